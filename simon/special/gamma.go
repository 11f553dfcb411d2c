package special

import (
	"math/big"
	"sync"
)

// stirlingTerms and stirlingFrom belong together: at 96, the 48th term of Stirling's series is below 2^-385.
const (
	stirlingTerms = 48
	stirlingFrom  = 96
)

// stirling has the coefficients B(2k)/(2k(2k-1)) of Stirling's series, k from 1. The Bernoulli numbers come from the tangent
// numbers, which are integers: B(2k) = (-1)^(k-1)·2k·T(k)/(4^k·(4^k-1)) (DLMF 24.15.4; Brent and Harvey 2013,
// "Fast computation of Bernoulli, tangent and secant numbers", algorithm TangentNumbers).
var stirling = sync.OnceValue(func() []*big.Float {
	t := make([]*big.Int, stirlingTerms+1)
	t[1] = big.NewInt(1)
	for k := 2; k <= stirlingTerms; k++ {
		t[k] = new(big.Int).Mul(big.NewInt(int64(k-1)), t[k-1])
	}
	for k := 2; k <= stirlingTerms; k++ {
		for j := k; j <= stirlingTerms; j++ {
			before := new(big.Int).Mul(big.NewInt(int64(j-k)), t[j-1])
			t[j].Mul(big.NewInt(int64(j-k+2)), t[j]).Add(t[j], before)
		}
	}
	coefficients := make([]*big.Float, stirlingTerms)
	for k := 1; k <= stirlingTerms; k++ {
		power := new(big.Int).Lsh(big.NewInt(1), uint(2*k))
		below := new(big.Int).Sub(power, big.NewInt(1))
		below.Mul(below, power)
		below.Mul(below, big.NewInt(int64(2*k-1))) // the 2k of B(2k) and that of its divisor cancel
		c := float().SetRat(new(big.Rat).SetFrac(t[k], below))
		if k%2 == 0 {
			c.Neg(c)
		}
		coefficients[k-1] = c
	}
	return coefficients
})

// LogGamma returns log Γ(x) for x > 0. Its error is below 2^-300, and below 2^-250 of the value unless x is within
// 2^-50 of 1 or 2, where it is zero.
func LogGamma(x *big.Float) *big.Float {
	positive("LogGamma", "x", x)
	return round(logGamma(x))
}

// logGamma is Stirling's series (DLMF 5.11.1) at x+m ≥ 96, less the logarithm of x(x+1)…(x+m-1) (DLMF 5.5.1).
func logGamma(x *big.Float) *big.Float {
	if x.Cmp(one) == 0 || x.Cmp(two) == 0 {
		return float()
	}
	y := float().Set(x)
	shift := (*big.Float)(nil)
	if y.Cmp(small(stirlingFrom)) < 0 {
		product := float().Set(one)
		for y.Cmp(small(stirlingFrom)) < 0 {
			product.Mul(product, y)
			y.Add(y, one)
		}
		shift = log(product)
	}
	sum := mul(sub(y, half), log(y))
	sum.Sub(sum, y)
	sum.Add(sum, halfLogTwoPi())
	power := quo(one, y)
	square := mul(power, power)
	term := float()
	for _, c := range stirling() {
		if term.Mul(c, power); exponent(term) < exponent(sum)-work {
			break
		}
		sum.Add(sum, term)
		power.Mul(power, square)
	}
	if shift != nil {
		sum.Sub(sum, shift)
	}
	return sum
}

// GammaIncRegLower returns P(a, x) = γ(a,x)/Γ(a), for a > 0 and x ≥ 0.
func GammaIncRegLower(a, x *big.Float) *big.Float {
	positive("GammaIncRegLower", "a", a)
	lower, _ := gammaTails(a, x)
	return round(lower)
}

// GammaIncRegUpper returns Q(a, x) = Γ(a,x)/Γ(a), for a > 0 and x ≥ 0.
func GammaIncRegUpper(a, x *big.Float) *big.Float {
	positive("GammaIncRegUpper", "a", a)
	_, upper := gammaTails(a, x)
	return round(upper)
}

// gammaSteps bounds series and continued fraction, which need about 20·√a steps near x = a. gammaWide is the parameter from
// which the integral is faster, and it takes over if the bound is ever reached.
const (
	gammaSteps = 1 << 17
	gammaWide  = 1 << 19
)

// gammaTails returns P(a, x) and Q(a, x).
//
// Below a+16 it adds the series of P; what that costs the digits of Q, about 25 bits for a near 1, is within the spare
// precision. Above, the continued fraction of Q needs at most about 200 steps for small a. For large a, it integrates.
func gammaTails(a, x *big.Float) (lower, upper *big.Float) {
	switch {
	case x.Sign() <= 0:
		return float(), float().Set(one)
	case x.IsInf():
		return float().Set(one), float()
	}
	factor := mul(a, log(x)) // x^a·e^-x/Γ(a)
	factor.Sub(factor, x)
	factor.Sub(factor, logGamma(a))
	factor = exp(factor)
	series := x.Cmp(add(a, small(16))) < 0
	if a.Cmp(small(gammaWide)) < 0 {
		if series {
			if sum, ok := gammaSeries(a, x); ok {
				lower = sum.Mul(sum, factor)
				return lower, sub(one, lower)
			}
		} else if fraction, ok := gammaFraction(a, x); ok {
			upper = fraction.Mul(fraction, factor)
			return sub(one, upper), upper
		}
	}
	if x.Cmp(a) < 0 {
		lower = mul(factor, gammaIntegral(a, x))
		return lower, sub(one, lower)
	}
	upper = mul(factor, gammaIntegral(a, x))
	return sub(one, upper), upper
}

// gammaSeries is γ(a,x)/(x^a·e^-x) = Σ x^n/(a(a+1)…(a+n)), all terms positive (DLMF 8.7.1 and 8.2.6).
func gammaSeries(a, x *big.Float) (*big.Float, bool) {
	below := float().Set(a)
	term := quo(one, a)
	sum := float().Set(term)
	for range gammaSteps {
		below.Add(below, one)
		term.Mul(term, x)
		term.Quo(term, below)
		sum.Add(sum, term)
		if below.Cmp(x) > 0 && negligible(term, sum) {
			return sum, true
		}
	}
	return nil, false
}

// gammaFraction is Γ(a,x)/(x^a·e^-x) = 1/(x+1-a + 1·(a-1)/(x+3-a + 2·(a-2)/(x+5-a + …))), for x above a
// (DLMF 8.9.2, its even part).
func gammaFraction(a, x *big.Float) (*big.Float, bool) {
	c := newContinued(add(sub(x, a), one))
	above, below := float(), float().Set(c.b)
	n := float()
	for k := int64(1); k <= gammaSteps; k++ {
		n.SetInt64(k)
		above.Sub(a, n)
		above.Mul(above, n)
		below.Add(below, two)
		if c.step(above, below) {
			return c.value, true
		}
	}
	return nil, false
}
