package channel

import (
	"bytes"
	"crypto/hpke"
	"encoding/hex"
	"testing"

	"github.com/weftmpc/weft/broker/identity"
)

// frozenPair returns a maker of the stored pair's lower end, before the peer's INIT. Fuzzing runs in several processes,
// so everything must be the same in each.
func frozenPair(t testing.TB) (v vector, fresh func() *Pair) {
	t.Helper()
	v = readVector(t)
	lo, hi := unhex(t, v.BundleLo), unhex(t, v.BundleHi)
	peer, err := verify(hi, hash(hi))
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := identity.ParseLeaf(leafOf(lo))
	if err != nil {
		t.Fatal(err)
	}
	key, err := hpke.MLKEM768X25519().NewPrivateKey(unhex(t, v.SeedLo))
	if err != nil {
		t.Fatal(err)
	}
	own := &bundle{raw: lo, hash: hash(lo), key: key}
	init := unhex(t, v.InitLo)
	ss := rawOpen(t, unhex(t, v.SeedHi), init[129:1249], own.hash[:], peer.hash[:])
	return v, func() *Pair {
		return &Pair{self: &identity.Identity{Leaf: leaf}, own: own, peer: peer, init: init, sent: [32]byte(ss)}
	}
}

func FuzzInit(f *testing.F) {
	v, fresh := frozenPair(f)
	good := unhex(f, v.InitHi)
	f.Add(good)
	f.Add(unhex(f, v.InitLo))
	f.Add(good[:len(good)-1])
	f.Add(append(bytes.Clone(good), 0))
	f.Add(make([]byte, initSize))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		if from, to, err := InitBundles(raw); err == nil {
			m, err := decodeInit(raw)
			if err != nil || !bytes.Equal(m.encode(), raw) || m.fromBundle != from || m.toBundle != to {
				t.Error("encoding again gives other bytes")
			}
		}
		// Only the one INIT that the peer made opens anything.
		p := fresh()
		accepted := p.Accept(raw) == nil
		if accepted != bytes.Equal(raw, good) {
			t.Errorf("INIT of %d bytes: accepted %t", len(raw), accepted)
		}
		k, epoch, ok := p.Secret()
		if ok != accepted || ok != (hex.EncodeToString(k[:]) == v.K) || ok != (hex.EncodeToString(epoch[:]) == v.Epoch) {
			t.Error("the secret is not there exactly with the good INIT")
		}
	})
}

func FuzzCheck(f *testing.F) {
	good := unhex(f, readVector(f).BundleHi)
	id := parties(f, "ann")[0]
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add(append(bytes.Clone(good), 0))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		fresh := New(Config{Identity: id.id}) // one that remembers nothing: the same path for the same bytes
		if _, _, err := fresh.Check(raw, noon); (err == nil) != bytes.Equal(raw, good) {
			t.Errorf("bundle of %d bytes: %v", len(raw), err)
		}
	})
}
