package channel

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"github.com/weftmpc/weft/broker/identity"
	"github.com/weftmpc/weft/coordinator"
)

func TestCheck(t *testing.T) {
	ps := parties(t, "ann", "bob")
	raw := ps[1].bundle(t, noon)
	for range 2 { // the second time from memory
		b, leaf, err := ps[0].Check(raw, noon)
		if err != nil {
			t.Fatal(err)
		}
		if leaf.Name != "bob" || leaf.FP != ps[1].id.FP() || b.FP != leaf.FP || len(b.PK) != coordinator.BundleKey {
			t.Errorf("checked bundle is of %s, %s", leaf.Name, b.FP)
		}
		if b.NotBefore != noon.Add(-Tolerance).UnixNano() || b.NotAfter != noon.Add(BundleValid).UnixNano() {
			t.Error("bundle does not begin two minutes before its making and end two hours after")
		}
	}
}

func TestCheckRefuses(t *testing.T) {
	ps := parties(t, "ann", "bob", "cem")
	ann, bob, cem := ps[0], ps[1].id, ps[2].id
	raw := ps[1].bundle(t, noon)
	leafEnd := bob.Leaf.NotAfter
	limit := int64(BundleValid + Tolerance)
	for _, c := range []struct {
		name string
		id   *identity.Identity
		now  time.Time
		bend func(*coordinator.Bundle)
		ok   bool
	}{
		{"unchanged", bob, noon, func(*coordinator.Bundle) {}, true},
		{"signed by another", cem, noon, func(*coordinator.Bundle) {}, false},
		{"another's fingerprint", bob, noon, func(b *coordinator.Bundle) { b.FP = cem.FP() }, false},
		{"another's certificate", bob, noon, func(b *coordinator.Bundle) { b.Leaf = cem.Leaf.DER }, false},
		{"another's certificate and signature", cem, noon, func(b *coordinator.Bundle) { b.Leaf = cem.Leaf.DER }, false},
		{"certificate of garbage", bob, noon, func(b *coordinator.Bundle) { b.Leaf = []byte{0x30, 0} }, false},
		{"no certificate", bob, noon, func(b *coordinator.Bundle) { b.Leaf = nil }, false},
		{"certificate too long", bob, noon, func(b *coordinator.Bundle) { b.Leaf = append(bytes.Clone(b.Leaf), make([]byte, 1536)...) }, false},
		{"public key too short", bob, noon, func(b *coordinator.Bundle) { b.PK = b.PK[:1215] }, false},
		{"public key too long", bob, noon, func(b *coordinator.Bundle) { b.PK = append(bytes.Clone(b.PK), 0) }, false},
		{"public key out of range", bob, noon, func(b *coordinator.Bundle) { b.PK = bytes.Repeat([]byte{0xff}, 1216) }, false},
		{"just short enough", bob, noon, func(b *coordinator.Bundle) { b.NotAfter = b.NotBefore + limit }, true},
		{"valid for too long", bob, noon, func(b *coordinator.Bundle) { b.NotAfter = b.NotBefore + limit + 1 }, false},
		{"ends before it begins", bob, noon, func(b *coordinator.Bundle) { b.NotAfter = b.NotBefore - 1 }, false},
		{"for ever", bob, noon, func(b *coordinator.Bundle) { b.NotBefore, b.NotAfter = 1, 1<<63-1 }, false},
		{"for ever, with overflow", bob, noon, func(b *coordinator.Bundle) { b.NotBefore, b.NotAfter = -1<<63, 1<<63-1 }, false},
		{"ends with its certificate", bob, leafEnd.Add(-time.Hour), func(b *coordinator.Bundle) {
			b.NotBefore, b.NotAfter = leafEnd.Add(-2*time.Hour).UnixNano(), leafEnd.UnixNano()
		}, true},
		{"outlasts its certificate", bob, leafEnd.Add(-time.Hour), func(b *coordinator.Bundle) {
			b.NotBefore, b.NotAfter = leafEnd.Add(-2*time.Hour).UnixNano(), leafEnd.UnixNano()+1
		}, false},
	} {
		bundle := forge(t, c.id, raw, c.bend)
		if _, _, err := ann.Check(bundle, c.now); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
		if len(ann.checked.byHash) > 0 && !c.ok && ann.checked.get(hash(bundle)) != nil {
			t.Errorf("%s: remembered as good", c.name)
		}
	}
}

func TestCheckRefusesAnotherSuite(t *testing.T) {
	ps := parties(t, "ann", "bob")
	for _, suite := range []uint16{0x0041, 0x0050, 0x0020, 0} { // ML-KEM-768, MLKEM768-P256, DHKEM(X25519), none
		raw := ps[1].bundle(t, noon)
		binary.BigEndian.PutUint16(raw[1:], suite)
		unsigned := raw[:len(raw)-64]
		h := hash(unsigned)
		raw = append(unsigned, ps[1].id.Sign(identity.ContextBundle, h[:])...)
		if _, _, err := ps[0].Check(raw, noon); err == nil {
			t.Errorf("suite %#04x: accepted", suite)
		}
	}
}

// The time is compared at every call, also for a bundle that is remembered.
func TestCheckComparesTimeEveryTime(t *testing.T) {
	ps := parties(t, "ann", "bob")
	raw := ps[1].bundle(t, noon)
	for _, c := range []struct {
		name string
		now  time.Time
		ok   bool
	}{
		{"when made", noon, true},
		{"clock two minutes behind", noon.Add(-Tolerance), true},
		{"clock further behind", noon.Add(-Tolerance - 1), false},
		{"just before the end", noon.Add(BundleValid - 1), true},
		{"at the end", noon.Add(BundleValid), false},
		{"back again", noon, true},
	} {
		_, _, err := ps[0].Check(raw, c.now)
		if (err == nil) != c.ok || (err != nil && !errors.Is(err, ErrTime)) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if len(ps[0].checked.byHash) != 1 {
		t.Error("the bundle is not remembered once")
	}
}

func TestEveryByteOfBundleCounts(t *testing.T) {
	ps := parties(t, "ann", "bob")
	good := ps[1].bundle(t, noon)
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 1 << (i % 8)
		if _, _, err := ps[0].Check(bad, noon); err == nil {
			t.Fatalf("byte %d changed: accepted", i)
		}
	}
	for _, bad := range [][]byte{nil, good[:len(good)-1], append(bytes.Clone(good), 0), make([]byte, maxBundle+1)} {
		if _, _, err := ps[0].Check(bad, noon); err == nil {
			t.Errorf("bundle of %d bytes: accepted", len(bad))
		}
	}
	if len(ps[0].checked.byHash) != 0 {
		t.Error("a refused bundle was remembered")
	}
}

// What Check remembers is its own copy.
func TestCheckKeepsACopy(t *testing.T) {
	ps := parties(t, "ann", "bob")
	a, raw := ps[0].bundle(t, noon), ps[1].bundle(t, noon)
	given := bytes.Clone(raw)
	if _, _, err := ps[0].Check(given, noon); err != nil {
		t.Fatal(err)
	}
	clear(given)
	left, right := ps[0].pair(t, a, raw, noon), ps[1].pair(t, raw, a, noon)
	accept(t, left, right.Init())
	accept(t, right, left.Init())
	agree(t, left, right)
}

func TestCacheForgetsTheOldest(t *testing.T) {
	c := newCache(3)
	for i := range byte(10) {
		c.put(&checked{hash: [32]byte{i}})
		c.put(&checked{hash: [32]byte{i}})
		for j := range byte(10) {
			if kept := c.get([32]byte{j}) != nil; kept != (j <= i && j+3 > i) {
				t.Fatalf("after %d: entry %d is there: %t", i, j, kept)
			}
		}
	}
	if len(c.byHash) != 3 || len(c.order) != 3 {
		t.Errorf("%d entries in a cache of three", len(c.byHash))
	}
}
