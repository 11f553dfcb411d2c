package identity

import (
	"crypto/x509"
	"encoding/asn1"
	"strings"
	"testing"
	"time"
)

// A party's certificate is none of a dealer's, nor the other way round, whoever asks and however often.
func TestUsages(t *testing.T) {
	now := time.Now()
	ca, err := NewAuthority("test", now.Add(-time.Hour), now.AddDate(1, 0, 0))
	if err != nil {
		t.Fatal(err)
	}
	roots, err := NewRoots(ca.Certificate())
	if err != nil {
		t.Fatal(err)
	}
	leaves := NewLeaves(roots)
	usages := []Usage{UsageParty, UsageDealer}
	for _, is := range usages {
		id, err := NewAs(is, ca, "coordinator", "center", now.Add(-time.Minute), now.Add(time.Hour))
		if err != nil || id.Leaf.Usage != is {
			t.Fatal(err)
		}
		der, err := ca.Renew(id.Leaf, "center", now.Add(-time.Minute), now.Add(2*time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		if l, err := ParseLeaf(der); err != nil || l.Usage != is || l.FP != id.FP() {
			t.Errorf("a %s's certificate was renewed as a %s's: %v", is, l.Usage, err)
		}
		for range 2 {
			for _, asked := range usages {
				if err := roots.VerifyAs(asked, id.Leaf, now); (err == nil) != (is == asked) {
					t.Errorf("a %s's as a %s's: %v", is, asked, err)
				}
				if _, err := leaves.VerifyAs(asked, id.Leaf.DER, now); (err == nil) != (is == asked) {
					t.Errorf("a %s's as a %s's, remembered: %v", is, asked, err)
				}
			}
		}
		if err := roots.Verify(id.Leaf, now); (err == nil) != (is == UsageParty) {
			t.Errorf("Verify believes a %s's: %v", is, err)
		}
	}
}

// One certificate has one usage.
func TestBothUsages(t *testing.T) {
	a := newAuthority(t)
	id, err := New(a, "alice", "Alice Hospital", t0, t0.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	der := bent(t, a, id.Leaf.Key, func(c *x509.Certificate) {
		c.UnknownExtKeyUsage = []asn1.ObjectIdentifier{usageParty, usageDealer}
	})
	if _, err := ParseLeaf(der); err == nil || !strings.Contains(err.Error(), "neither weft party") {
		t.Error(err)
	}
}
