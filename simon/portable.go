package simon

import "math"

// Exponential and logarithm that give the same double on every processor. Those of package math are assembly on some and
// fuse multiplications with additions on others, and so differ in the last place. Here every product that enters a sum is
// rounded first, which the language guarantees for an explicit conversion, and all else is an operation that IEEE 754 rounds
// correctly. Both are right to about one unit in the last place.

// The natural logarithm of 2 in two parts: the first has 32 bits, so that its product with an exponent is exact.
const (
	ln2High = 0x1.62e42feep-1
	ln2Low  = math.Ln2 - ln2High
)

// portableExp is e^x for |x| ≤ 700: x = k·ln 2 + r with |r| ≤ ln(2)/2, and e^r by its series up to r^13, whose rest is below
// 2^-57.
func portableExp(x float64) float64 {
	const last = 13
	k := math.RoundToEven(float64(x * (1 / math.Ln2)))
	high, low := x-float64(k*ln2High), float64(k*ln2Low)
	r := high - low
	lost := (high - r) - low // what r lacks of x - k·ln 2
	q := 1.0
	for n := last; n > 2; n-- {
		q = 1 + float64(r/float64(n)*q)
	}
	return math.Ldexp(1+(r+(lost+float64(float64(r*r)*0.5*q))), int(k)) // 1 + r + r²/2·(1 + r/3·(1 + …))
}

// portableLog1p is log(1+x) for x > -1.
//
// Near 0 it is 2·atanh(x/(2+x)) (DLMF 4.6.4); elsewhere 1+x loses nothing that counts, and powers of 2 are taken out of it.
func portableLog1p(x float64) float64 {
	if math.Abs(x) < 0.4 {
		return atanhTwice(x / (2 + x))
	}
	return portableLog(1 + x)
}

// portableLog is log(x) for positive finite x.
func portableLog(x float64) float64 {
	m, k := math.Frexp(x)
	if m < math.Sqrt2/2 {
		m, k = 2*m, k-1
	}
	e := float64(k)
	return float64(e*ln2High) + (atanhTwice((m-1)/(m+1)) + float64(e*ln2Low))
}

// atanhTwice is 2·atanh(s) for |s| ≤ 1/4, by its series up to s^29.
func atanhTwice(s float64) float64 {
	const last = 29
	square, sum := float64(s*s), 1.0/last
	for n := last - 2; n > 1; n -= 2 {
		sum = 1/float64(n) + float64(square*sum)
	}
	return float64(2*s) + float64(2*s*float64(square*sum))
}
