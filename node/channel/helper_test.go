package channel

import (
	"crypto/sha256"
	"testing"
	"time"

	"github.com/weftmpc/weft/broker/identity"
	"github.com/weftmpc/weft/coordinator"
)

// noon is when the tests begin.
var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// party is one end of the tests.
type party struct {
	*Channels
	id *identity.Identity
}

// parties makes identities under one authority, with certificates that end ten days after noon.
func parties(t testing.TB, names ...string) []party {
	t.Helper()
	authority, err := identity.NewAuthority("test", noon.Add(-time.Hour), noon.AddDate(1, 0, 0))
	if err != nil {
		t.Fatal(err)
	}
	var all []party
	for _, name := range names {
		id, err := identity.New(authority, name, "Org "+name, noon.Add(-time.Hour), noon.AddDate(0, 0, 10))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, party{New(Config{Identity: id}), id})
	}
	return all
}

func (p party) bundle(t testing.TB, now time.Time) []byte {
	t.Helper()
	b, err := p.Bundle(now)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (p party) pair(t testing.TB, own, peer []byte, now time.Time) *Pair {
	t.Helper()
	pair, err := p.Pair(own, peer, now)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// forge returns a bundle with a few fields bent and a good signature of id.
func forge(t testing.TB, id *identity.Identity, raw []byte, bend func(*coordinator.Bundle)) []byte {
	t.Helper()
	b, err := coordinator.DecodeBundle(raw)
	if err != nil {
		t.Fatal(err)
	}
	bend(&b)
	copy(b.Sig[:], id.Sign(identity.ContextBundle, b.SigningBytes()))
	return b.Encode()
}

// agree fails unless both ends have the same secret, which it returns.
func agree(t testing.TB, p, q *Pair) [32]byte {
	t.Helper()
	k, epoch, ok := p.Secret()
	l, other, okay := q.Secret()
	if !ok || !okay {
		t.Fatalf("secrets are there: %t and %t, want both", ok, okay)
	}
	if k != l || epoch != other {
		t.Fatal("the two ends have different secrets")
	}
	if k == ([32]byte{}) || epoch == ([16]byte{}) {
		t.Fatal("secret or epoch is zero")
	}
	return k
}

func accept(t testing.TB, p *Pair, init []byte) {
	t.Helper()
	if err := p.Accept(init); err != nil {
		t.Fatal(err)
	}
}

// secretless fails if a pair has a secret or remembers any of its bytes.
func secretless(t testing.TB, p *Pair) {
	t.Helper()
	k, epoch, ok := p.Secret()
	if ok || k != ([32]byte{}) || epoch != ([16]byte{}) {
		t.Error("a secret is there that should not be")
	}
}

func hash(b []byte) [32]byte { return sha256.Sum256(b) }
