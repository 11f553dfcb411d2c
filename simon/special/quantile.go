package special

import "math/big"

// quantileSteps bounds Newton's method, which needs about ten steps, and some hundred for a p next to 1/2 or a df far below 1.
const quantileSteps = 1 << 10

// NormalQuantile returns the z with P(Z ≤ z) = p, for 0 < p < 1.
func NormalQuantile(p *big.Float) *big.Float {
	tail, sign := nearTail("NormalQuantile", p)
	return signed(normalTailQuantile(tail), sign)
}

// nearTail returns the smaller of p and 1-p, which is exact, and the sign of the quantile.
func nearTail(function string, p *big.Float) (tail *big.Float, sign int) {
	if p.Sign() <= 0 || p.Cmp(one) >= 0 {
		panic("special." + function + ": p is not between 0 and 1")
	}
	if p.Cmp(half) <= 0 {
		return float().Set(p), p.Cmp(half)
	}
	return sub(one, p), 1
}

func signed(x *big.Float, sign int) *big.Float {
	if sign < 0 {
		x.Neg(x)
	}
	return round(x)
}

// normalTailQuantile solves P(Z > z) = tail for tail ≤ 1/2.
//
// It is Newton's method on the logarithm of the tail, which is concave: from √(-2·log(tail)), which is above the
// solution, the steps go down to it and never past it.
func normalTailQuantile(tail *big.Float) *big.Float {
	if tail.Cmp(half) == 0 {
		return float()
	}
	want := log(tail)
	z := sqrt(scale(neg(want), 1))
	for range quantileSteps {
		upper := normalUpper(z)
		step := sub(log(upper), want)
		step.Mul(step, upper)
		step.Quo(step, normalDensity(z))
		z.Add(z, step)
		if settled(step, z) {
			break
		}
	}
	return z
}

// settled says whether Newton's method ends with this step: the next would be of the size of its square.
func settled(step, x *big.Float) bool {
	return step.Sign() == 0 || exponent(step) < exponent(x)-goal/2
}
