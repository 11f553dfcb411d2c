package channel

import (
	"bytes"
	"crypto/hpke"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/weftmpc/weft/coordinator"
)

func TestRotation(t *testing.T) {
	p := parties(t, "ann")[0]
	first := p.bundle(t, noon)
	for _, c := range []struct {
		after time.Duration
		same  bool
	}{
		{0, true}, {time.Minute, true}, {-Tolerance, true}, {BundleEvery - 1, true}, {BundleEvery, false},
	} {
		if same := bytes.Equal(p.bundle(t, noon.Add(c.after)), first); same != c.same {
			t.Errorf("after %s the bundle is the same: %t, want %t", c.after, same, c.same)
		}
	}
	second, err := coordinator.DecodeBundle(p.bundle(t, noon.Add(BundleEvery)))
	if err != nil {
		t.Fatal(err)
	}
	old, err := coordinator.DecodeBundle(first)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(old.PK, second.PK) || old.Nonce == second.Nonce {
		t.Error("the new bundle has the old one's key or nonce")
	}
	if len(p.own) != 2 {
		t.Errorf("%d bundles are usable, want 2", len(p.own))
	}
}

// The clock was put back: the bundle of the future is not published, and its key not kept beyond two hours.
func TestClockPutBack(t *testing.T) {
	p := parties(t, "ann")[0]
	future := p.bundle(t, noon)
	now := noon.Add(-30 * time.Minute)
	b := p.own[hash(future)]
	if bytes.Equal(p.bundle(t, now), future) {
		t.Error("a bundle that is not valid yet was published")
	}
	p.Tick(now)
	if b.key != nil || len(p.own) != 1 {
		t.Error("the key of a bundle from the future was kept")
	}
}

func TestBundleEndsWithCertificate(t *testing.T) {
	p := parties(t, "ann", "bob")
	end := p[0].id.Leaf.NotAfter
	now := end.Add(-time.Hour)
	raw := p[0].bundle(t, now)
	if b, _, err := p[1].Check(raw, now); err != nil || b.NotAfter != end.UnixNano() {
		t.Errorf("bundle ends at %d, want the certificate's end: %v", b.NotAfter, err)
	}
	if _, err := p[0].Bundle(end); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("bundle after the certificate's end: %v", err)
	}
}

func TestErasure(t *testing.T) {
	ps := parties(t, "ann", "bob")
	a, b := ps[0].bundle(t, noon), ps[1].bundle(t, noon)
	left, right := ps[0].pair(t, a, b, noon), ps[1].pair(t, b, a, noon)
	if left.sent == ([32]byte{}) {
		t.Fatal("no own half of the secret before the peer's INIT")
	}
	accept(t, left, right.Init())
	accept(t, right, left.Init())
	agree(t, left, right)
	if left.sent != ([32]byte{}) {
		t.Error("the own half of the secret outlives the key")
	}
	own := ps[0].own[hash(a)]
	key := own.key
	seed, err := key.Bytes()
	if err != nil || bytes.Equal(seed, make([]byte, seedSize)) {
		t.Fatalf("no seed in the key: %v", err)
	}

	last := noon.Add(BundleValid - 1)
	ps[0].Tick(last)
	agree(t, left, right)

	end := noon.Add(BundleValid)
	ps[0].Tick(end)
	secretless(t, left)
	if left.k != ([32]byte{}) || left.sent != ([32]byte{}) {
		t.Error("the pair's secrets were not overwritten")
	}
	if own.key != nil || len(ps[0].own) != 0 || ps[0].current != nil {
		t.Error("the private key is still reachable")
	}
	if !bytes.Equal(seed, make([]byte, seedSize)) {
		t.Error("the seed was not overwritten")
	}
	if inside, err := key.Bytes(); err != nil || !bytes.Equal(inside, make([]byte, seedSize)) {
		t.Error("the seed inside the key was not overwritten: hpke gives out copies now")
	}
	if err := left.Accept(right.Init()); !errors.Is(err, ErrErased) {
		t.Errorf("Accept after erasure: %v, want ErrErased", err)
	}
	secretless(t, left)
	later := ps[1].bundle(t, end)
	for _, now := range []time.Time{end, last} {
		if _, err := ps[0].Pair(a, forgeLater(t, ps[1], later, last), now); !errors.Is(err, ErrNoKey) {
			t.Errorf("Pair after erasure: %v, want ErrNoKey", err)
		}
	}
	if len(left.Init()) != initSize {
		t.Error("the own INIT, which is public, is gone")
	}
}

// forgeLater is a bundle that is valid at the given time and for an hour more.
func forgeLater(t *testing.T, p party, raw []byte, now time.Time) []byte {
	return forge(t, p.id, raw, func(b *coordinator.Bundle) {
		b.NotBefore, b.NotAfter = now.Add(-time.Minute).UnixNano(), now.Add(time.Hour).UnixNano()
	})
}

// Between the end of the own bundle and the next Tick its key is not used either.
func TestEndedBeforeTick(t *testing.T) {
	ps := parties(t, "ann", "bob")
	a := ps[0].bundle(t, noon)
	end := noon.Add(BundleValid)
	b := ps[1].bundle(t, end)
	if _, err := ps[0].Pair(a, b, end); !errors.Is(err, ErrNoKey) {
		t.Errorf("got %v, want ErrNoKey", err)
	}
}

// A pair that waits for the peer's INIT when its bundle ends keeps nothing either.
func TestErasureBeforeFirstInit(t *testing.T) {
	ps := parties(t, "ann", "bob")
	a, b := ps[0].bundle(t, noon), ps[1].bundle(t, noon)
	left, right := ps[0].pair(t, a, b, noon), ps[1].pair(t, b, a, noon)
	ps[0].Tick(noon.Add(BundleValid))
	if left.sent != ([32]byte{}) {
		t.Error("the own half of the secret was not overwritten")
	}
	if err := left.Accept(right.Init()); !errors.Is(err, ErrErased) {
		t.Errorf("Accept after erasure: %v, want ErrErased", err)
	}
	secretless(t, left)
}

// The peer's bundle ends first: the pair is erased and never made again, while the own bundle serves others.
func TestErasureAtPeersEnd(t *testing.T) {
	ps := parties(t, "ann", "bob", "cem")
	b := ps[1].bundle(t, noon)
	later := noon.Add(BundleEvery)
	a, c := ps[0].bundle(t, later), ps[2].bundle(t, later)
	left, right := ps[0].pair(t, a, b, later), ps[1].pair(t, b, a, later)
	other, far := ps[0].pair(t, a, c, later), ps[2].pair(t, c, a, later)
	for _, x := range [][2]*Pair{{left, right}, {other, far}} {
		accept(t, x[0], x[1].Init())
		accept(t, x[1], x[0].Init())
	}
	end := noon.Add(BundleValid)
	ps[0].Tick(end)
	secretless(t, left)
	agree(t, other, far)
	if err := left.Accept(right.Init()); !errors.Is(err, ErrErased) {
		t.Errorf("Accept after erasure: %v, want ErrErased", err)
	}
	secretless(t, left)
	// Somebody read the clock before Tick and asks only now: no second INIT for these bundles.
	if _, err := ps[0].Pair(a, b, end.Add(-1)); !errors.Is(err, ErrErased) {
		t.Errorf("Pair after erasure: %v, want ErrErased", err)
	}
	if _, err := ps[0].Pair(a, b, end); !errors.Is(err, ErrTime) {
		t.Errorf("Pair with an ended bundle: %v, want ErrTime", err)
	}
	if left.until != math.MaxInt64 || ps[0].own[hash(a)].key == nil {
		t.Error("the pair is visited again, or the own key went with it")
	}
	ps[0].Tick(later.Add(BundleValid))
	secretless(t, other)
}

// A day of ticks and bundles: at no time are more than three private keys alive.
func TestKeysOfADay(t *testing.T) {
	p := parties(t, "ann")[0]
	keys := make(map[*bundle]hpke.PrivateKey)
	most := 0
	for minute := range 24 * 60 {
		now := noon.Add(time.Duration(minute) * time.Minute)
		p.Tick(now)
		p.bundle(t, now)
		most = max(most, len(p.own))
		for _, b := range p.own {
			keys[b] = b.key
		}
	}
	if most != 3 || len(keys) != 32 {
		t.Errorf("%d bundles in a day, up to %d at once; want 32 and 3", len(keys), most)
	}
	alive := 0
	for b, key := range keys {
		seed, err := key.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		if b.key != nil {
			alive++
		} else if !bytes.Equal(seed, make([]byte, seedSize)) {
			t.Error("an erased key has its seed")
		}
	}
	if alive != len(p.own) {
		t.Errorf("%d keys are alive in %d bundles", alive, len(p.own))
	}
}
