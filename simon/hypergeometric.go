package simon

import (
	"math/big"

	"github.com/weftmpc/weft/simon/special"
)

// hypergeometric is the distribution of the first cell of a table of two by two with given margins: of k draws from m
// samples of one kind and n of another, t are of the first kind with a weight C(m,t)·C(n,k-t)·odds^t. With odds 1 it is the
// hypergeometric distribution, otherwise Fisher's noncentral one (Fisher 1935; Cornfield 1956).
type hypergeometric struct {
	m, n, k int64
	x       int64 // the cell that was observed
	lo, hi  int64 // the least and the most it could be
}

// Bounds of the work for one table.
const (
	// exactSamples is up to where p-values are exact rational numbers. Beyond, their terms have special.Prec bits.
	exactSamples = 4000
	// testedSamples is up to where there is a result at all: a million terms take about half a second.
	testedSamples = 1 << 20
)

// newHypergeometric reads the counts a, b, c, d of a table with the rows a b and c d.
func newHypergeometric(counts []int64) hypergeometric {
	a, b, c, d := counts[0], counts[1], counts[2], counts[3]
	h := hypergeometric{m: a + c, n: b + d, k: a + b, x: a}
	h.lo, h.hi = max(0, h.k-h.n), min(h.k, h.m)
	return h
}

// relative is how much more probable a table may be than the observed one to be counted as no more probable: R's, which
// allows for rounding.
var relative = big.NewRat(10_000_001, 10_000_000)

// pValue is the probability of tables that speak against odds of 1 as much as the observed one does.
func (h hypergeometric) pValue(alternative string) any {
	if h.m+h.n <= exactSamples {
		return h.exact(alternative)
	}
	return h.rounded(alternative)
}

// exact sums weights as integers.
func (h hypergeometric) exact(alternative string) *big.Rat {
	weights := make([]*big.Int, h.hi-h.lo+1)
	total := new(big.Int)
	for i := range weights {
		t := h.lo + int64(i)
		if i == 0 {
			weights[i] = new(big.Int).Binomial(h.m, t)
			weights[i].Mul(weights[i], new(big.Int).Binomial(h.n, h.k-t))
		} else {
			weights[i] = new(big.Int).Mul(weights[i-1], big.NewInt((h.m-t+1)*(h.k-t+1)))
			weights[i].Quo(weights[i], big.NewInt(t*(h.n-h.k+t))) // leaves no rest
		}
		total.Add(total, weights[i])
	}
	// No more than observed·relative: compared after multiplication with the denominator.
	most := new(big.Int).Mul(weights[h.x-h.lo], relative.Num())
	sum, scaled := new(big.Int), new(big.Int)
	for i, w := range weights {
		t := h.lo + int64(i)
		switch {
		case alternative == less && t > h.x,
			alternative == greater && t < h.x,
			alternative == twoSided && scaled.Mul(w, relative.Denom()).Cmp(most) > 0:
			continue
		}
		sum.Add(sum, w)
	}
	return new(big.Rat).SetFrac(sum, total)
}

// rounded is exact with weights relative to that of the observed cell.
func (h hypergeometric) rounded(alternative string) *big.Float {
	one := special.Int(1)
	down, up := h.side(one, -1, true), h.side(one, 1, true)
	sum := special.Int(1)
	switch alternative {
	case less:
		sum.Add(sum, down.sum)
	case greater:
		sum.Add(sum, up.sum)
	default:
		sum.Add(sum, down.rare).Add(sum, up.rare)
	}
	total := special.Int(1)
	total.Add(total, down.sum).Add(total, up.sum)
	return sum.Quo(sum, total)
}

// side are sums over the cells on one side of the observed one, relative to the weight of that: of the weights, and of
// weight·|t-x| and weight·(t-x)².
type side struct {
	sum, first, second *big.Float
	rare               *big.Float // of the weights that are no more than the observed one
}

// negligible is how many bits smaller than a sum a term is where the sum ends.
const negligible = 220

// side walks from the observed cell in the direction of step, 1 or -1. The weights rise to a largest one and then fall; it
// ends where they are falling and no longer count, with deep: not even beside the observed one.
func (h hypergeometric) side(odds *big.Float, step int64, deep bool) side {
	s := side{special.Int(0), special.Int(0), special.Int(0), special.Int(0)}
	limit := special.FromRat(relative)
	w, before, term := special.Int(1), special.Int(1), special.Int(0)
	var factor big.Float
	factor.SetPrec(64)
	end := h.hi
	if step < 0 {
		end = h.lo
	}
	for t := h.x; t != end; {
		before.Set(w)
		if step > 0 {
			t++
			w.Mul(w, factor.SetInt64((h.m-t+1)*(h.k-t+1)))
			w.Mul(w, odds)
			w.Quo(w, factor.SetInt64(t*(h.n-h.k+t)))
		} else {
			w.Mul(w, factor.SetInt64(t*(h.n-h.k+t)))
			w.Quo(w, odds)
			w.Quo(w, factor.SetInt64((h.m-t+1)*(h.k-t+1)))
			t--
		}
		distance := factor.SetInt64((t - h.x) * step)
		accumulate(s.sum, w)
		accumulate(s.first, term.Mul(w, distance))
		accumulate(s.second, term.Mul(term, distance))
		if w.Cmp(limit) <= 0 {
			s.rare.Add(s.rare, w)
		}
		least := s.sum.MantExp(nil)
		if deep {
			least = min(least, 0)
		}
		if w.MantExp(nil) < least-negligible && w.Cmp(before) < 0 {
			break
		}
	}
	return s
}

// accumulate adds a term of a sum unless it is too small to change it: big.Float shifts the larger number by the difference
// of the exponents, which may be a million bits.
func accumulate(sum, term *big.Float) {
	if sum.Sign() == 0 || term.MantExp(nil) > sum.MantExp(nil)-special.Prec-2 {
		sum.Add(sum, term)
	}
}

// estimate is the odds that make the observed cell most probable, its conditional maximum likelihood estimate; lo < x < hi.
// There the expected cell is the observed one (Cornfield 1956), which Newton's method solves for the logarithm of the odds:
// the derivative of the expectation is the variance.
func (h hypergeometric) estimate() *big.Float {
	theta := h.logOdds()
	odds := special.Exp(theta)
	var low, high *big.Float // logarithms that are known to be too small, too large
	for range newtonSteps {
		down, up := h.side(odds, -1, false), h.side(odds, 1, false)
		total := special.Int(1)
		total.Add(total, down.sum).Add(total, up.sum)
		mean := special.Int(0)
		mean.Sub(up.first, down.first).Quo(mean, total) // less x
		variance := special.Int(0)
		variance.Add(up.second, down.second).Quo(variance, total)
		variance.Sub(variance, special.Int(0).Mul(mean, mean))
		if mean.Sign() < 0 {
			low = new(big.Float).Copy(theta)
		} else {
			high = new(big.Float).Copy(theta)
		}
		step := capped(mean.Quo(mean.Neg(mean), variance))
		last := step.Sign() == 0 || step.MantExp(nil) < -settled
		theta.Add(theta, step)
		if !last && low != nil && high != nil && (theta.Cmp(low) <= 0 || theta.Cmp(high) >= 0) {
			theta.Add(low, high)
			theta.Quo(theta, special.Int(2))
		}
		odds = special.Exp(theta)
		if last {
			break
		}
	}
	return odds
}

const (
	newtonSteps = 200
	settled     = 90 // a step below 2^-settled is the last one: the next would be below 2^-2·settled
)

// capped is a step of Newton's method, no larger than 3.
func capped(step *big.Float) *big.Float {
	most := special.Int(3)
	if new(big.Float).Abs(step).Cmp(most) <= 0 {
		return step
	}
	if step.Sign() < 0 {
		most.Neg(most)
	}
	return most
}

// logOdds is the logarithm of the odds ratio with half a sample added to each cell (Haldane 1956): a start.
func (h hypergeometric) logOdds() *big.Float {
	x := big.NewRat((2*h.x+1)*(2*(h.n-h.k+h.x)+1), (2*(h.m-h.x)+1)*(2*(h.k-h.x)+1))
	return special.Log(special.FromRat(x))
}

// limit is the odds for which cells up to the observed one, seen in the direction of step, have the probability alpha: with
// step 1 P(X ≤ x) = alpha, the upper limit of an interval, with step -1 P(X ≥ x) = alpha, the lower one (Cornfield 1956).
//
// Newton's method for the logarithms of both. The logarithm of the probability is concave and monotone in the logarithm of
// the odds, so that the steps approach the limit from one side after the first.
func (h hypergeometric) limit(alpha *big.Float, step int64) *big.Float {
	variance := new(big.Rat)
	for _, cell := range []int64{h.x, h.m - h.x, h.k - h.x, h.n - h.k + h.x} {
		variance.Add(variance, big.NewRat(2, 2*cell+1))
	}
	width := special.NormalQuantile(special.Int(0).Sub(special.Int(1), alpha))
	width.Mul(width, root(variance))
	theta := h.logOdds()
	if step > 0 {
		theta.Add(theta, width)
	} else {
		theta.Sub(theta, width)
	}
	odds := special.Exp(theta)
	wanted := special.Log(alpha)
	for range newtonSteps {
		in, out := h.side(odds, -step, false), h.side(odds, step, false)
		a := special.Int(1)
		a.Add(a, in.sum)
		total := special.Int(0).Add(a, out.sum)
		probability := special.Int(0).Quo(a, total)
		// The derivative: the mean of the cells that count less that of all, a sum of products of one sign.
		slope := special.Int(0).Mul(in.first, out.sum)
		slope.Add(slope, special.Int(0).Mul(a, out.first))
		slope.Quo(slope, special.Int(0).Mul(a, total))
		d := special.Log(probability)
		d.Sub(d, wanted)
		if step < 0 {
			d.Neg(d)
		}
		d = capped(d.Quo(d, slope))
		theta.Add(theta, d)
		odds = special.Exp(theta)
		if d.Sign() == 0 || d.MantExp(nil) < -settled {
			break
		}
	}
	return odds
}
