package special

import "math/big"

// continued evaluates 1/(b0 + a1/(b1 + a2/(b2 + …))) by the recurrence of numerators and denominators (DLMF 3.10.5): it
// needs no division, which is what a step of Lentz's algorithm spends its time on. The exponents of big.Float hold the
// growth of some 2^17 steps without scaling.
type continued struct {
	a, b         *big.Float // last numerator and denominator
	a1, b1       *big.Float // those before
	product, old *big.Float
	value        *big.Float
	steps        int
}

// pause is how many steps there are between two looks at the value.
const pause = 8

// newContinued begins with 1/b0.
func newContinued(b0 *big.Float) *continued {
	return &continued{
		a: float().Set(one), b: float().Set(b0),
		a1: float(), b1: float().Set(one),
		product: float(), old: float(), value: float(),
	}
}

// step appends above/(below + …), and says whether the value stands since the last look.
func (c *continued) step(above, below *big.Float) bool {
	c.a1.Mul(c.a1, above)
	c.a1.Add(c.a1, c.product.Mul(c.a, below))
	c.b1.Mul(c.b1, above)
	c.b1.Add(c.b1, c.product.Mul(c.b, below))
	c.a, c.a1 = c.a1, c.a
	c.b, c.b1 = c.b1, c.b
	if c.steps++; c.steps%pause != 0 || c.b.Sign() == 0 {
		return false
	}
	c.old, c.value = c.value, c.old
	c.value.Quo(c.a, c.b)
	return negligible(c.product.Sub(c.value, c.old), c.value)
}
