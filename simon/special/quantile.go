package special

import "math/big"

// quantileSteps bounds Newton's method, which needs about ten steps, and some hundred for a p next to 1/2 or a df far below 1.
const quantileSteps = 1 << 10

// NormalQuantile returns the z with P(Z ≤ z) = p, for 0 < p < 1.
func NormalQuantile(p *big.Float) *big.Float {
	tail, sign := nearTail("NormalQuantile", p)
	return signed(normalTailQuantile(tail), sign)
}

// StudentQuantile returns the t with P(T ≤ t) = p of the t distribution with df > 0 degrees of freedom, for 0 < p < 1. For
// df below 0.001 and small p it takes long, as t has millions of digits.
func StudentQuantile(p, df *big.Float) *big.Float {
	positive("StudentQuantile", "df", df)
	tail, sign := nearTail("StudentQuantile", p)
	return signed(studentTailQuantile(tail, df), sign)
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

// studentTailQuantile solves P(T > t) = tail for tail ≤ 1/2.
func studentTailQuantile(tail, df *big.Float) *big.Float {
	if tail.Cmp(half) == 0 {
		return float()
	}
	if tail.Cmp(scale(one, -2)) > 0 {
		return studentCentral(tail, df)
	}
	return studentFar(tail, df)
}

// studentCentral is Newton's method on the tail itself, which is convex for t ≥ 0: from 0, the steps go up to the solution
// and never past it.
func studentCentral(tail, df *big.Float) *big.Float {
	t, density := float(), studentDensity(df)
	upper := float().Set(half)
	for range quantileSteps {
		step := sub(upper, tail)
		step.Quo(step, density(t))
		t.Add(t, step)
		if settled(step, t) {
			break
		}
		upper = studentUpper(t, df)
	}
	return t
}

// studentFar is Newton's method on the logarithm of the tail as a function of log t, which is concave and nearly a
// line: from any start, the steps after the first go down to the solution and never past it. It starts at the normal
// quantile.
func studentFar(tail, df *big.Float) *big.Float {
	want := log(tail)
	t, density := normalTailQuantile(tail), studentDensity(df)
	for range quantileSteps {
		upper := studentUpper(t, df)
		step := sub(log(upper), want)
		step.Mul(step, upper)
		step.Quo(step, density(t))
		step.Quo(step, t)
		t.Mul(t, exp(step))
		if settled(step, one) {
			break
		}
	}
	return t
}

// studentDensity returns the density of the t distribution,
// Γ((df+1)/2)/(√(df·π)·Γ(df/2))·(1+t²/df)^(-(df+1)/2), with what does not depend on t computed once.
func studentDensity(df *big.Float) func(t *big.Float) *big.Float {
	power := scale(add(df, one), -1)
	constant := sub(logGamma(power), logGamma(scale(df, -1)))
	constant.Sub(constant, scale(log(mul(df, pi())), -1))
	return func(t *big.Float) *big.Float {
		fall := log1p(quo(mul(t, t), df))
		return exp(sub(constant, fall.Mul(fall, power)))
	}
}
