package special

import (
	"math"
	"math/big"
	"sync"
)

// constantPrec is the precision of ln 2 and π: exponents of big.Float have 32 bits, which the reduction of an argument costs.
const constantPrec = work + 64

// Pi returns π.
func Pi() *big.Float { return round(pi()) }

// pi is Machin's formula, 16·atan(1/5) - 4·atan(1/239) (DLMF 4.24.3 for the series).
var pi = sync.OnceValue(func() *big.Float {
	return fixed([]inverse{{16, 5}, {-4, 239}}, -1)
})

// ln2 is 18·atanh(1/26) - 2·atanh(1/4801) + 8·atanh(1/8749) (DLMF 4.38.2 for the series).
var ln2 = sync.OnceValue(func() *big.Float {
	return fixed([]inverse{{18, 26}, {-2, 4801}, {8, 8749}}, 1)
})

// halfLogTwoPi is log(2π)/2.
var halfLogTwoPi = sync.OnceValue(func() *big.Float {
	return scale(log(scale(pi(), 1)), -1)
})

// inverse stands for factor·atan(1/of) or factor·atanh(1/of).
type inverse struct{ factor, of int64 }

// fixed adds terms in integers with 64 bits more than the result: the sum of atanh for sign 1, of atan for sign -1.
func fixed(terms []inverse, sign int64) *big.Float {
	const bits = constantPrec + 64
	sum := new(big.Int)
	for _, t := range terms {
		power := new(big.Int).Lsh(big.NewInt(t.factor), bits)
		power.Quo(power, big.NewInt(t.of))
		square := big.NewInt(sign * t.of * t.of)
		for k := int64(1); power.Sign() != 0; k += 2 {
			sum.Add(sum, new(big.Int).Quo(power, big.NewInt(k)))
			power.Quo(power, square)
		}
	}
	x := new(big.Float).SetPrec(constantPrec).SetInt(sum)
	return x.SetMantExp(x, -bits)
}

// Sqrt returns the square root of x ≥ 0.
func Sqrt(x *big.Float) *big.Float { return round(sqrt(x)) }

func sqrt(x *big.Float) *big.Float { return float().Sqrt(x) }

// Exp returns e^x. It is zero below -2^30 and infinite above 2^30.
func Exp(x *big.Float) *big.Float { return round(exp(x)) }

// exp takes multiples of ln 2 away from x, so that what remains is at most ln(2)/2, and multiplies by that power of two
// at the end.
func exp(x *big.Float) *big.Float {
	e := exponent(x)
	if x.IsInf() {
		e = math.MaxInt32
	}
	switch {
	case e < -work:
		return float().Set(one)
	case e > 30 && x.Sign() < 0:
		return float()
	case e > 30:
		return float().SetInf(false)
	}
	quotient := new(big.Float).SetPrec(64).Quo(x, ln2())
	if x.Sign() < 0 {
		quotient.Sub(quotient, half)
	} else {
		quotient.Add(quotient, half)
	}
	k, _ := quotient.Int64()
	whole := new(big.Float).SetPrec(constantPrec).Mul(ln2(), small(k))
	rest := sub(x, whole)
	return scale(add(one, expm1Near(rest)), int(k))
}

// Expm1 returns e^x - 1, with all digits near zero too.
func Expm1(x *big.Float) *big.Float { return round(expm1(x)) }

func expm1(x *big.Float) *big.Float {
	if exponent(x) < 0 {
		return expm1Near(x)
	}
	return sub(exp(x), one)
}

// expm1Near is e^x - 1 for |x| < 1/2: the series of x/256 (DLMF 4.2.19), then eight times e^(2y)-1 = (e^y-1)(e^y+1).
func expm1Near(x *big.Float) *big.Float {
	const halvings = 8
	y := scale(x, -halvings)
	sum, term := float().Set(y), float().Set(y)
	for n := int64(2); term.Sign() != 0 && exponent(term) >= exponent(sum)-work-8; n++ {
		term.Mul(term, y)
		term.Quo(term, small(n))
		sum.Add(sum, term)
	}
	twice := float()
	for range halvings {
		sum.Mul(sum, twice.Add(sum, two))
	}
	return sum
}

// Log returns the natural logarithm of x > 0.
func Log(x *big.Float) *big.Float {
	return round(log(x))
}

// log takes powers of two away from x, so that what remains is between √½ and √2, and adds their logarithm at the end.
func log(x *big.Float) *big.Float {
	positive("Log", "x", x)
	m := new(big.Float)
	k := x.MantExp(m)
	if m.Cmp(rootHalf) < 0 {
		m.SetMantExp(m, 1)
		k--
	}
	y := log1pNear(sub(m, one))
	if k == 0 {
		return y
	}
	return y.Add(y, mul(ln2(), small(int64(k))))
}

// rootHalf is about √½.
var rootHalf = new(big.Float).Quo(small(181), small(256))

// Log1p returns log(1+x) for x > -1, with all digits near zero too.
func Log1p(x *big.Float) *big.Float {
	if x.Cmp(small(-1)) <= 0 || x.IsInf() {
		panic("special.Log1p: x is not a number above -1")
	}
	return round(log1p(x))
}

func log1p(x *big.Float) *big.Float {
	if exponent(x) < -1 {
		return log1pNear(x)
	}
	return log(add(one, x))
}

// log1pNear is log(1+d) for |d| < 1/2: square roots until 1+d differs from 1 by less than 2^-10, then the series of
// 2·atanh(d/(2+d)) (DLMF 4.6.4).
func log1pNear(d *big.Float) *big.Float {
	const near = -10
	if exponent(d) < -work {
		return float().Set(d)
	}
	roots := 0
	if exponent(d) > near {
		u := new(big.Float).SetPrec(work+32).Add(one, d)
		for exponent(d) > near {
			u.Sqrt(u)
			d = sub(u, one)
			roots++
		}
	}
	z := quo(d, add(two, d))
	square := mul(z, z)
	sum, power, term := float().Set(z), float().Set(z), float()
	for n := int64(3); power.Sign() != 0 && exponent(power) >= exponent(sum)-work-8; n += 2 {
		power.Mul(power, square)
		sum.Add(sum, term.Quo(power, small(n)))
	}
	return scale(sum, roots+1)
}

// Pow returns x^y for x > 0, or x = 0 and y > 0.
func Pow(x, y *big.Float) *big.Float {
	if x.Sign() == 0 && y.Sign() > 0 {
		return new(big.Float).SetPrec(Prec)
	}
	positive("Pow", "x", x)
	return round(exp(mul(y, log(x))))
}
