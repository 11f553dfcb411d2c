package identity

import (
	"crypto/sha256"
	"errors"
	"testing"
	"time"
)

// A certificate is read and its chain followed once in ten minutes; its validity counts at every call.
func TestLeavesRemember(t *testing.T) {
	now := time.Now()
	ca, err := NewAuthority("test", now.Add(-time.Hour), now.AddDate(1, 0, 0))
	if err != nil {
		t.Fatal(err)
	}
	roots, err := NewRoots(ca.Certificate())
	if err != nil {
		t.Fatal(err)
	}
	id, err := New(ca, "alice", "Alice Hospital", now.Add(-time.Minute), now.Add(5*time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	v, der := NewLeaves(roots), id.Leaf.DER
	first, err := v.Verify(der, now)
	if err != nil || first.Name != "alice" {
		t.Fatal(first, err)
	}
	if again, err := v.Verify(append([]byte(nil), der...), now.Add(time.Minute)); err != nil || again != first {
		t.Errorf("the same bytes: %p %v, want %p", again, err, first)
	}
	for name, at := range map[string]time.Time{"expired": now.Add(6 * time.Minute), "not yet valid": now.Add(-2 * time.Minute)} {
		if _, err := v.Verify(der, at); err == nil || errors.Is(err, ErrUnreadable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := v.Verify(der[:len(der)-1], now); !errors.Is(err, ErrUnreadable) {
		t.Errorf("cut off: %v", err)
	}
	if v.Known() != 1 {
		t.Errorf("%d known", v.Known())
	}
	if _, err := NewLeaves(Roots{}).Verify(der, now); err == nil {
		t.Error("no roots, and yet believed")
	}
}

// The chain is followed again after ten minutes and when the clock was put back, and an error is never remembered.
func TestLeavesLookAgain(t *testing.T) {
	now := time.Now()
	ca, err := NewAuthority("test", now.Add(-time.Hour), now.AddDate(1, 0, 0))
	if err != nil {
		t.Fatal(err)
	}
	roots, err := NewRoots(ca.Certificate())
	if err != nil {
		t.Fatal(err)
	}
	id, err := New(ca, "alice", "Alice Hospital", now.Add(-30*time.Minute), now.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	v, der := NewLeaves(roots), id.Leaf.DER
	if _, err := v.Verify(der, now); err != nil {
		t.Fatal(err)
	}
	v.roots = Roots{} // whoever looks at the chain now finds none
	for name, c := range map[string]struct {
		after time.Duration
		known bool
	}{
		"at once": {0, true}, "soon": {chainAgain - 1, true}, "ten minutes later": {chainAgain, false}, "clock put back": {-time.Second, false},
	} {
		if _, err := v.Verify(der, now.Add(c.after)); (err == nil) != c.known {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLeavesAreBounded(t *testing.T) {
	now := time.Now()
	ca, err := NewAuthority("test", now.Add(-time.Hour), now.AddDate(1, 0, 0))
	if err != nil {
		t.Fatal(err)
	}
	roots, err := NewRoots(ca.Certificate())
	if err != nil {
		t.Fatal(err)
	}
	v := NewLeaves(roots)
	for i := range maxLeaves {
		h := sha256.Sum256([]byte{byte(i), byte(i >> 8)})
		v.known[h], v.order = knownLeaf{leaf: &Leaf{}}, append(v.order, h)
	}
	oldest := v.order[0]
	id, err := New(ca, "alice", "Alice Hospital", now.Add(-time.Minute), now.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Verify(id.Leaf.DER, now); err != nil {
		t.Fatal(err)
	}
	if _, there := v.known[oldest]; there || v.Known() != maxLeaves {
		t.Errorf("%d known, the oldest among them: %v", v.Known(), there)
	}
}
