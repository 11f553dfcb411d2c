package fss_test

import (
	"crypto/rand"
	"testing"

	"github.com/weftmpc/weft/simon/fss"
)

func TestExhaustive(t *testing.T) {
	k := fss.NewKeys([32]byte{1}, []byte("a"), 0)
	for bits := 1; bits <= 6; bits++ {
		k0, k1 := make([]byte, fss.KeySize(bits)), make([]byte, fss.KeySize(bits))
		p0, p1 := make([]byte, fss.PairKeySize(bits)), make([]byte, fss.PairKeySize(bits))
		for alpha := uint64(0); alpha < 1<<bits; alpha++ {
			beta := [2]uint64{^alpha, alpha + 7}
			if err := k.Gen(rand.Reader, bits, alpha, beta[0], k0, k1); err != nil {
				t.Fatal(err)
			}
			if err := k.GenPair(rand.Reader, bits, alpha, beta, p0, p1); err != nil {
				t.Fatal(err)
			}
			for x := uint64(0); x < 1<<bits; x++ {
				a, _ := k.Eval(0, bits, k0, x)
				b, _ := k.Eval(1, bits, k1, x)
				c, _ := k.EvalPair(0, bits, p0, x)
				d, _ := k.EvalPair(1, bits, p1, x)
				var want [2]uint64
				if x < alpha {
					want = beta
				}
				if a+b != want[0] || c[0]+d[0] != want[0] || c[1]+d[1] != want[1] {
					t.Fatalf("bits %d, alpha %d, x %d", bits, alpha, x)
				}
			}
		}
	}
}
