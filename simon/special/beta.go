package special

import "math/big"

// BetaIncReg returns I_x(a, b), the regularised incomplete beta function, for a, b > 0 and x, y ≥ 0 with x + y = 1.
// The caller gives y too, because it may know it better than 1-x does. The other tail is BetaIncReg(b, a, y, x).
func BetaIncReg(a, b, x, y *big.Float) *big.Float {
	positive("BetaIncReg", "a", a)
	positive("BetaIncReg", "b", b)
	lower, _ := betaTails(a, b, x, y)
	return round(lower)
}

// betaSteps bounds the continued fraction, whose steps grow with the root of the smaller parameter and not with the larger:
// some thousands at most for those that it is used for. betaWide is the smaller parameter from which the integral is
// faster, and it takes over if the bound is ever reached.
const (
	betaSteps = 1 << 17
	betaWide  = 1 << 16
)

// betaTails returns I_x(a, b) and 1 - I_x(a, b), of which it computes the one on the near side of the mean.
func betaTails(a, b, x, y *big.Float) (lower, upper *big.Float) {
	return newBetaShape(a, b).tails(x, y)
}

// betaShape is a beta distribution, with what of it does not depend on x.
type betaShape struct{ a, b, logBoth, logA, logB *big.Float }

func newBetaShape(a, b *big.Float) betaShape {
	return betaShape{a, b, logGamma(add(a, b)), logGamma(a), logGamma(b)}
}

// tails is betaTails.
func (s betaShape) tails(x, y *big.Float) (lower, upper *big.Float) {
	switch {
	case x.Sign() <= 0:
		return float(), float().Set(one)
	case y.Sign() <= 0:
		return float().Set(one), float()
	}
	factor := mul(s.a, log(x)) // x^a·y^b/B(a,b)
	factor.Add(factor, mul(s.b, log(y)))
	factor.Add(factor, s.logBoth)
	factor.Sub(factor, s.logA)
	factor.Sub(factor, s.logB)
	factor = exp(factor)
	if nearLower(s.a, s.b, x, y) {
		lower = factor.Mul(factor, betaTail(s.a, s.b, x, y))
		return lower, sub(one, lower)
	}
	upper = factor.Mul(factor, betaTail(s.b, s.a, y, x))
	return sub(one, upper), upper
}

// nearLower says whether to compute the lower tail: if x ≤ (a+1)/(a+b+2), where the continued fraction converges fast.
//
// With one large parameter and one small, this is nearly a gamma distribution, and about its mean the tail of the small
// parameter takes ten times fewer steps: a t test spends its time there. That side is taken further for this reason; as in
// gammaTails, the other tail, which is one minus it, does not get smaller than the spare precision allows.
func nearLower(a, b, x, y *big.Float) bool {
	const large, further = 64, 16
	both := add(a, b)
	switch limit := small(large); {
	case a.Cmp(limit) >= 0 && b.Cmp(limit) < 0:
		return mul(y, both).Cmp(add(b, small(further))) >= 0
	case a.Cmp(limit) < 0 && b.Cmp(limit) >= 0:
		return mul(x, both).Cmp(add(a, small(further))) < 0
	}
	return mul(x, add(both, two)).Cmp(add(a, one)) <= 0
}

// betaTail is I_x(a,b)·B(a,b)/(x^a·y^b) for the side that nearLower chooses.
func betaTail(a, b, x, y *big.Float) *big.Float {
	if wide := small(betaWide); a.Cmp(wide) < 0 || b.Cmp(wide) < 0 {
		if tail, ok := betaFraction(a, b, x); ok {
			return tail
		}
	}
	return betaIntegral(a, b, x, y)
}

// betaFraction is the continued fraction DLMF 8.17.22 with the denominators (a+n)(a+n-1) of its coefficients multiplied out:
// 1/(a + c1/(a+1 + c2/(a+2 + …))), where c(2m) = m(b-m)x and c(2m+1) = -(a+m)(a+b+m)x.
func betaFraction(a, b, x *big.Float) (*big.Float, bool) {
	c := newContinued(a)
	above, other, below := float(), float(), float().Set(a)
	both, n := add(a, b), float()
	for m := int64(0); m < betaSteps; m++ {
		n.SetInt64(m)
		above.Add(a, n)
		above.Mul(above, other.Add(both, n))
		above.Mul(above, x)
		above.Neg(above)
		if c.step(above, below.Add(below, one)) {
			return c.value, true
		}
		n.SetInt64(m + 1)
		above.Sub(b, n)
		above.Mul(above, n)
		above.Mul(above, x)
		if c.step(above, below.Add(below, one)) {
			return c.value, true
		}
	}
	return nil, false
}
