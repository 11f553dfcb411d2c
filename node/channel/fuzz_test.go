package channel

import (
	"bytes"
	"testing"
)

func FuzzInit(f *testing.F) {
	ps := parties(f, "ann", "bob")
	a, b := ps[0].bundle(f, noon), ps[1].bundle(f, noon)
	left, right := ps[0].pair(f, a, b, noon), ps[1].pair(f, b, a, noon)
	good := right.Init()
	f.Add(good)
	f.Add(left.Init())
	f.Add(good[:len(good)-1])
	f.Add(append(bytes.Clone(good), 0))
	f.Add(make([]byte, initSize))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		from, to, err := InitBundles(raw)
		if err == nil {
			m, err := decodeInit(raw)
			if err != nil || !bytes.Equal(m.encode(), raw) || m.fromBundle != from || m.toBundle != to {
				t.Error("encoding again gives other bytes")
			}
		}
		// Only the one INIT that bob made opens anything.
		fresh := &Pair{self: left.self, own: left.own, peer: left.peer, init: left.init, sent: [32]byte{1}}
		accepted := fresh.Accept(raw) == nil
		if accepted != bytes.Equal(raw, good) {
			t.Errorf("INIT of %d bytes: accepted %t", len(raw), accepted)
		}
		if _, _, ok := fresh.Secret(); ok != accepted {
			t.Error("there is a secret without a good INIT")
		}
	})
}

func FuzzCheck(f *testing.F) {
	ps := parties(f, "ann", "bob")
	good := ps[1].bundle(f, noon)
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add(append(bytes.Clone(good), 0))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		if _, _, err := ps[0].Check(raw, noon); (err == nil) != bytes.Equal(raw, good) {
			t.Errorf("bundle of %d bytes: %v", len(raw), err)
		}
	})
}
