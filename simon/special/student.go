package special

import "math/big"

// Student is a t distribution, prepared for many values: what depends on the degrees of freedom alone, some half of the
// work, is computed once. It does not change, so that many may use it at the same time.
type Student struct {
	df       *big.Float
	shape    betaShape  // df/2, 1/2
	constant *big.Float // logarithm of Γ((df+1)/2)/(√(df·π)·Γ(df/2))
}

// NewStudent returns the t distribution with df > 0 degrees of freedom, which need not be integral.
func NewStudent(df *big.Float) *Student {
	positive("NewStudent", "df", df)
	return newStudent(df)
}

func newStudent(df *big.Float) *Student {
	s := &Student{df: new(big.Float).Copy(df), shape: newBetaShape(scale(df, -1), half)}
	s.constant = sub(s.shape.logBoth, s.shape.logA)
	s.constant.Sub(s.constant, scale(log(mul(df, pi())), -1))
	return s
}

// Upper returns P(T > t).
func (s *Student) Upper(t *big.Float) *big.Float { return round(s.upper(t)) }

// Quantile returns the t with P(T ≤ t) = p, for 0 < p < 1. For df below 0.001 and small p it takes long, as t has millions of
// digits.
func (s *Student) Quantile(p *big.Float) *big.Float {
	tail, sign := nearTail("StudentQuantile", p)
	return signed(s.tailQuantile(tail), sign)
}

// StudentUpper returns P(T > t) of the t distribution with df > 0 degrees of freedom, which need not be integral.
func StudentUpper(t, df *big.Float) *big.Float {
	positive("StudentUpper", "df", df)
	return newStudent(df).Upper(t)
}

// StudentQuantile returns the t with P(T ≤ t) = p of the t distribution with df > 0 degrees of freedom, for 0 < p < 1. For
// df below 0.001 and small p it takes long, as t has millions of digits.
func StudentQuantile(p, df *big.Float) *big.Float {
	positive("StudentQuantile", "df", df)
	return newStudent(df).Quantile(p)
}

// upper is I_x(df/2, 1/2)/2 with x = df/(df+t²), for t ≥ 0 (Abramowitz and Stegun 1964, 26.7.1).
func (s *Student) upper(t *big.Float) *big.Float {
	upper := float()
	if !t.IsInf() {
		square := mul(t, t)
		both := add(square, s.df)
		upper, _ = s.shape.tails(quo(s.df, both), square.Quo(square, both))
		upper = scale(upper, -1)
	}
	if t.Sign() < 0 {
		return sub(one, upper)
	}
	return upper
}

// tailQuantile solves P(T > t) = tail for tail ≤ 1/2.
func (s *Student) tailQuantile(tail *big.Float) *big.Float {
	if tail.Cmp(half) == 0 {
		return float()
	}
	if tail.Cmp(scale(one, -2)) > 0 {
		return s.central(tail)
	}
	return s.far(tail)
}

// central is Newton's method on the tail itself, which is convex for t ≥ 0: from 0, the steps go up to the solution and never
// past it.
func (s *Student) central(tail *big.Float) *big.Float {
	t := float()
	upper := float().Set(half)
	for range quantileSteps {
		step := sub(upper, tail)
		step.Quo(step, s.density(t))
		t.Add(t, step)
		if settled(step, t) {
			break
		}
		upper = s.upper(t)
	}
	return t
}

// far is Newton's method on the logarithm of the tail as a function of log t, which is concave and nearly a line: from any
// start, the steps after the first go down to the solution and never past it. It starts at the normal quantile.
func (s *Student) far(tail *big.Float) *big.Float {
	want := log(tail)
	t := normalTailQuantile(tail)
	for range quantileSteps {
		upper := s.upper(t)
		step := sub(log(upper), want)
		step.Mul(step, upper)
		step.Quo(step, s.density(t))
		step.Quo(step, t)
		t.Mul(t, exp(step))
		if settled(step, one) {
			break
		}
	}
	return t
}

// density is Γ((df+1)/2)/(√(df·π)·Γ(df/2))·(1+t²/df)^(-(df+1)/2).
func (s *Student) density(t *big.Float) *big.Float {
	fall := log1p(quo(mul(t, t), s.df))
	return exp(sub(s.constant, fall.Mul(fall, scale(add(s.df, one), -1))))
}
