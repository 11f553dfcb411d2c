package special

import "math/big"

// NormalUpper returns P(Z > z) of the standard normal distribution.
func NormalUpper(z *big.Float) *big.Float { return round(normalUpper(z)) }

// normalUpper is Q(1/2, z²/2)/2 for z ≥ 0 (DLMF 7.2.2 and 7.11.2).
func normalUpper(z *big.Float) *big.Float {
	_, upper := gammaTails(half, scale(mul(z, z), -1))
	upper = scale(upper, -1)
	if z.Sign() < 0 {
		return sub(one, upper)
	}
	return upper
}

// normalDensity is e^(-z²/2)/√(2π).
func normalDensity(z *big.Float) *big.Float {
	return exp(neg(add(scale(mul(z, z), -1), halfLogTwoPi())))
}

// ChiSquareUpper returns P(X > x) of the chi-square distribution with df > 0 degrees of freedom; it is 1 for x ≤ 0.
func ChiSquareUpper(x, df *big.Float) *big.Float {
	positive("ChiSquareUpper", "df", df)
	_, upper := gammaTails(scale(df, -1), scale(x, -1))
	return round(upper)
}

// FUpper returns P(X > x) of the F distribution with d1, d2 > 0 degrees of freedom; it is 1 for x ≤ 0. It is I_y(d2/2, d1/2)
// with y = d2/(d2+d1·x) (Abramowitz and Stegun 1964, 26.6.2).
func FUpper(x, d1, d2 *big.Float) *big.Float {
	positive("FUpper", "d1", d1)
	positive("FUpper", "d2", d2)
	switch {
	case x.Sign() <= 0:
		return Int(1)
	case x.IsInf():
		return Int(0)
	}
	part := mul(d1, x)
	both := add(part, d2)
	upper, _ := betaTails(scale(d2, -1), scale(d1, -1), quo(d2, both), part.Quo(part, both))
	return round(upper)
}
