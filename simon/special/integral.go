package special

import (
	"math/big"
	"sync"
)

// node is a point and a weight of a quadrature rule for the integral over w ≥ 0.
type node struct{ at, weight *big.Float }

// nodes is the double exponential rule for integrands that decay like e^-w or faster: the trapezoidal rule after
// w = exp(u - e^-u) (Takahasi and Mori 1974, "Double exponential formulas for numerical integration", §4). Steps of
// 1/32 leave an error below 2^-200 for the mixtures of exponential and Gaussian decay that large parameters give.
var nodes = sync.OnceValue(func() []node {
	const perUnit, from, to = 32, -170, 190
	list := make([]node, 0, to-from+1)
	for k := int64(from); k <= to; k++ {
		u := quo(small(k), small(perUnit))
		inner := exp(neg(u))
		w := exp(sub(u, inner))
		weight := add(one, inner)
		weight.Mul(weight, w)
		weight.Quo(weight, small(perUnit))
		list = append(list, node{w, weight})
	}
	return list
})

// lost is the logarithm of what does not count beside 1.
var lost = small(-300)

// integrate is the integral of e^h(v) over v ≥ 0 for a concave h with h(0) = 0, first derivative -slope ≤ 0 and second
// derivative -curve at 0: the unit of w is the distance at which h has fallen by about one.
func integrate(slope, curve *big.Float, h func(v *big.Float) *big.Float) *big.Float {
	unit := sqrt(curve)
	if unit.Cmp(slope) < 0 {
		unit.Set(slope)
	}
	unit.Quo(one, unit)
	sum := float()
	for _, n := range nodes() {
		height := h(mul(unit, n.at))
		if height.Cmp(lost) < 0 {
			break
		}
		e := exp(height)
		sum.Add(sum, e.Mul(e, n.weight))
	}
	return sum.Mul(sum, unit)
}

// gammaIntegral is γ(a,x)/(x^a·e^-x) for x < a, and Γ(a,x)/(x^a·e^-x) otherwise: with t = x·e^v, the integral over v on
// that side of e^(a·v - x(e^v-1)) (DLMF 8.2.1, 8.2.2).
func gammaIntegral(a, x *big.Float) *big.Float {
	slope := sub(x, a)
	lower := slope.Sign() < 0
	return integrate(slope.Abs(slope), x, func(v *big.Float) *big.Float {
		if lower {
			v.Neg(v)
		}
		fall := expm1(v)
		return sub(v.Mul(v, a), fall.Mul(fall, x))
	})
}

// betaIntegral is I_x(a,b)·B(a,b)/(x^a·y^b) for x up to about the mean: with t/(1-t) = e^-v·x/y, the integral over v ≥ 0 of
// e^(-a·v - (a+b)·log(1 + x(e^-v-1))) (DLMF 8.17.1).
func betaIntegral(a, b, x, y *big.Float) *big.Float {
	both := add(a, b)
	slope := sub(a, mul(both, x))
	if slope.Sign() < 0 { // between the mean and (a+1)/(a+b+2)
		slope.SetInt64(0)
	}
	curve := mul(mul(both, x), y)
	return integrate(slope, curve, func(v *big.Float) *big.Float {
		v.Neg(v)
		fall := expm1(v)
		fall = log1p(fall.Mul(fall, x))
		return sub(v.Mul(v, a), fall.Mul(fall, both))
	})
}
