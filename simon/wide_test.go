package simon

import (
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

// drawMagnitude draws numbers on the grid: of all lengths, with long runs of zeros and ones, and where words end.
func drawMagnitude(t *rapid.T, name string) gridNumber {
	x := new(big.Int).SetBytes(rapid.SliceOfN(rapid.OneOf(rapid.SampledFrom([]byte{0, 0xff}), rapid.Byte()), 0, 14).Draw(t, name))
	if rapid.Bool().Draw(t, "short") {
		x.Rsh(x, uint(rapid.IntRange(0, 111).Draw(t, "shift")))
	}
	w := words(x)
	return gridNumber{[statLimbs]uint64(w[:statLimbs]), rapid.Bool().Draw(t, "negative")}
}

func (q gridNumber) int() *big.Int {
	x := unsigned(q.magnitude[:])
	if q.negative {
		x.Neg(x)
	}
	return x
}

func unsigned(w []uint64) *big.Int {
	x := new(big.Int)
	for i := len(w) - 1; i >= 0; i-- {
		x.Lsh(x, 64).Or(x, new(big.Int).SetUint64(w[i]))
	}
	return x
}

// signed reads two's complement.
func signed(w []uint64) *big.Int {
	x := unsigned(w)
	if w[len(w)-1]>>63 == 1 {
		x.Sub(x, new(big.Int).Lsh(big.NewInt(1), uint(64*len(w))))
	}
	return x
}

func TestPowerSumsAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newPowerSum(rapid.IntRange(1, 6).Draw(t, "order"))
		var want [7]big.Int
		for range rapid.IntRange(0, 20).Draw(t, "n") {
			q := drawMagnitude(t, "q")
			s.add(q)
			for k := 1; k <= s.order; k++ {
				want[k].Add(&want[k], new(big.Int).Exp(q.int(), big.NewInt(int64(k)), nil))
			}
		}
		for k := 1; k <= s.order; k++ {
			if got := signed(s.sums[k]); got.Cmp(&want[k]) != 0 {
				t.Fatalf("sum of powers %d: %v, want %v", k, got, &want[k])
			}
		}
	})
}

func TestMultiply(t *testing.T) {
	word := rapid.OneOf(rapid.SampledFrom([]uint64{0, 1, 1<<64 - 1, 1<<64 - 2}), rapid.Uint64())
	rapid.Check(t, func(t *rapid.T) {
		x := rapid.SliceOfN(word, 1, 5).Draw(t, "x")
		y := [statLimbs]uint64{word.Draw(t, "y0"), word.Draw(t, "y1")}
		z := make([]uint64, len(x)+statLimbs)
		multiply(z, x, y)
		if want := new(big.Int).Mul(unsigned(x), unsigned(y[:])); unsigned(z).Cmp(want) != 0 {
			t.Fatalf("%x·%x = %x, want %x", x, y, z, want)
		}
	})
}

// The sums have room for 2^40 of the largest numbers.
func TestPowerSumsHaveRoom(t *testing.T) {
	largest := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), uint(statEncoding.Bits)), big.NewInt(1))
	for k := 1; k <= 6; k++ {
		most := new(big.Int).Exp(largest, big.NewInt(int64(k)), nil)
		if most.Mul(most, big.NewInt(maxSamples)); most.BitLen() >= 64*limbsFor(k*statEncoding.Bits) {
			t.Errorf("power %d: %d bits in %d limbs", k, most.BitLen(), limbsFor(k*statEncoding.Bits))
		}
	}
	if most := new(big.Int).Mul(unsigned(inverseScale[:]), big.NewInt(maxSamples)); most.BitLen() >= 64*inverseLimbs {
		t.Errorf("reciprocals: %d bits", most.BitLen())
	}
}

func TestInverse(t *testing.T) {
	check := func(t rapid.TB, q gridNumber) {
		t.Helper()
		if q.zero() {
			return
		}
		d := unsigned(q.magnitude[:])
		got := inverse(q.magnitude)
		want, rest := new(big.Int).QuoRem(unsigned(inverseScale[:]), d, new(big.Int))
		if c := rest.Lsh(rest, 1).Cmp(d); c > 0 || c == 0 && want.Bit(0) == 1 {
			want.Add(want, big.NewInt(1))
		}
		if unsigned(got[:]).Cmp(want) != 0 {
			t.Fatalf("1/%v is %v, want %v", d, unsigned(got[:]), want)
		}
	}
	rapid.Check(t, func(t *rapid.T) { check(t, drawMagnitude(t, "q")) })
	// Quotients that are whole or end in one half, and neighbours of them: 10^44 = 2^44·5^44.
	for two := range 46 {
		for five := range 45 {
			d := new(big.Int).Exp(big.NewInt(5), big.NewInt(int64(five)), nil)
			d.Lsh(d, uint(two))
			for range 3 {
				if d.Sign() > 0 && d.BitLen() <= statEncoding.Bits {
					w := words(d)
					check(t, gridNumber{magnitude: [statLimbs]uint64(w[:statLimbs])})
				}
				d.Sub(d, big.NewInt(1))
			}
		}
	}
}

// The division corrects its digit where the divisor's second word is large: random numbers hardly do that.
func TestDivide(t *testing.T) {
	word := rapid.OneOf(rapid.SampledFrom([]uint64{0, 1, 1 << 63, 1<<64 - 1, 1<<64 - 2}), rapid.Uint64())
	rapid.Check(t, func(t *rapid.T) {
		d := [statLimbs]uint64{word.Draw(t, "d0"), word.Draw(t, "d1") >> rapid.UintRange(16, 70).Draw(t, "shift")}
		n := [inverseLimbs]uint64{word.Draw(t, "n0"), word.Draw(t, "n1"), word.Draw(t, "n2") >> 16}
		if d[1] == 0 {
			d[0] |= 1
		} else if d[1] <= n[2] {
			n[2] %= d[1] // the quotient of two words
		}
		q, r := divide(n, d)
		want, rest := new(big.Int).QuoRem(unsigned(n[:]), unsigned(d[:]), new(big.Int))
		if unsigned(q[:]).Cmp(want) != 0 || unsigned(r[:]).Cmp(rest) != 0 {
			t.Fatalf("%x/%x = %x and %x, want %x and %x", n, d, q, r, want, rest)
		}
	})
}

// A sum of logarithms is that of the exact product, however long it is.
func TestLogSum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, product := newLogSum(), big.NewInt(1)
		for range rapid.IntRange(0, 30).Draw(t, "n") {
			if q := drawMagnitude(t, "q"); !q.zero() {
				l.add(q.magnitude)
				product.Mul(product, unsigned(q.magnitude[:]))
			}
		}
		got := new(big.Float).SetPrec(4000).SetMantExp(l.mantissa(), int(l.exponent))
		off := new(big.Float).SetPrec(4000).SetInt(product)
		off.Sub(off, got)
		if off.Sign() != 0 && off.MantExp(nil) > product.BitLen()-248 {
			t.Fatalf("%v instead of %v", got, product)
		}
		if l.product[3]>>63 != 1 {
			t.Fatalf("the highest bit of %x is not set", l.product)
		}
	})
}
