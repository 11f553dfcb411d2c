package simon

import (
	"math/big"
	"slices"

	"github.com/weftmpc/weft/simon/ring"
	"github.com/weftmpc/weft/simon/special"
)

// moments are the exact sums of one pool of numbers, and the central moments that follow from them. Nothing is rounded
// before a result is.
type moments struct {
	n         int64
	power     [7]*big.Rat // sums of x^k, nil where they were not opened; power[0] is n
	log, inv  *big.Rat
	positives int64
	nonzeros  int64
	central   [7]*big.Rat // sums of (x-mean)^k, once computed
	extremes  []any       // minimum and maximum, nil where nobody asked for them
}

func readMoments(sums []int, x ring.Vector) (*moments, error) {
	m := &moments{}
	for field, s := range sums {
		q := x.Int(field, 0)
		switch {
		case s >= sumOfX && s < sumOfLog:
			if !within(q, m.n, s*statEncoding.Bits) {
				return nil, impossible("a sum is larger than its samples allow")
			}
			m.power[s] = scaled(q, s*statEncoding.Digits)
		case s == sumOfLog:
			// ln 1e-20 is -46.1 and ln 2^112·1e-20 is 31.6; the rest is for rounding.
			if q.CmpAbs(new(big.Int).Mul(big.NewInt(47*m.n), powerOfTen(logDigits))) > 0 {
				return nil, impossible("a sum is larger than its samples allow")
			}
			m.log = scaled(q, logDigits)
		case s == sumOfInv:
			if q.CmpAbs(new(big.Int).Mul(big.NewInt(m.n), powerOfTen(statEncoding.Digits+invDigits))) > 0 {
				return nil, impossible("a sum is larger than its samples allow")
			}
			m.inv = scaled(q, invDigits)
		default:
			n, err := samplesIn(x, field, 0)
			if err != nil {
				return nil, err
			}
			switch s {
			case sumOfOne:
				m.n = n
			case positives:
				m.positives = n
			case nonzeros:
				m.nonzeros = n
			}
		}
	}
	m.power[0] = new(big.Rat).SetInt64(m.n)
	if m.positives > m.n || m.nonzeros > m.n || !m.plausible() {
		return nil, impossible("the sums contradict each other")
	}
	return m, nil
}

// within says whether q can be the sum of n numbers below 2^bits in magnitude.
func within(q *big.Int, n int64, bits int) bool {
	return q.Sign() == 0 || q.CmpAbs(new(big.Int).Lsh(big.NewInt(n), uint(bits))) < 0
}

// plausible checks the inequalities that the power sums of real numbers obey: even ones are not negative, and that of Cauchy
// and Schwarz holds.
func (m *moments) plausible() bool {
	for k := 2; k < len(m.power); k += 2 {
		if m.power[k] != nil && m.power[k].Sign() < 0 {
			return false
		}
	}
	for _, k := range [][3]int{{0, 2, 1}, {0, 4, 2}, {2, 6, 4}, {2, 4, 3}, {4, 6, 5}} {
		a, b, c := m.power[k[0]], m.power[k[1]], m.power[k[2]]
		if a == nil || b == nil || c == nil {
			continue
		}
		if new(big.Rat).Mul(a, b).Cmp(new(big.Rat).Mul(c, c)) < 0 {
			return false
		}
	}
	return m.n > 0 || slices.IndexFunc(m.power[:], func(p *big.Rat) bool { return p != nil && p.Sign() != 0 }) < 0
}

func (m *moments) mean() *big.Rat { return new(big.Rat).Quo(m.power[1], m.power[0]) }

// about is the sum of (x-mean)^k for k from 2, by the binomial formula: exact, so that nothing cancels.
func (m *moments) about(k int) *big.Rat {
	if m.central[k] != nil {
		return m.central[k]
	}
	back := new(big.Rat).Neg(m.mean())
	sum, power := new(big.Rat), big.NewRat(1, 1) // (-mean)^(k-j)
	for j := k; j >= 0; j-- {
		term := new(big.Rat).SetInt(new(big.Int).Binomial(int64(k), int64(j)))
		sum.Add(sum, term.Mul(term, power).Mul(term, m.power[j]))
		power.Mul(power, back)
	}
	m.central[k] = sum
	return sum
}

// variance is the sum of squares about the mean, divided by n-less.
func (m *moments) variance(less int64) *big.Rat {
	return new(big.Rat).Quo(m.about(2), new(big.Rat).SetInt64(m.n-less))
}

// standardised is the k-th central moment divided by the k-th power of the standard deviation (both of n).
func (m *moments) standardised(k int) any {
	n := new(big.Rat).SetInt64(m.n)
	c, v := new(big.Rat).Quo(m.about(k), n), m.variance(0)
	for range k / 2 {
		c.Quo(c, v)
	}
	if k%2 == 0 {
		return c
	}
	return special.FromRat(c).Quo(special.FromRat(c), root(v))
}

// root is the square root of a rational number that is not negative.
func root(x *big.Rat) *big.Float { return special.Sqrt(special.FromRat(x)) }

// Reasons why a statistic does not exist.
const (
	noSamples = "there are no samples"
	oneSample = "it needs at least two samples"
	constant  = "all samples are equal"
)

// univariateFields are the fields of the result in their order.
func univariateFields() fields[*moments] {
	x := func(k ...int) []int { return k }
	some := func(f func(m *moments) any) func(*moments) (any, string) {
		return func(m *moments) (any, string) {
			if m.n == 0 {
				return nil, noSamples
			}
			return f(m), ""
		}
	}
	two := func(f func(m *moments) any) func(*moments) (any, string) {
		return func(m *moments) (any, string) {
			if m.n < 2 {
				return nil, oneSample
			}
			return f(m), ""
		}
	}
	shape := func(k int) func(*moments) (any, string) {
		return func(m *moments) (any, string) {
			if m.n == 0 {
				return nil, noSamples
			}
			if m.about(2).Sign() == 0 {
				return nil, constant
			}
			return m.standardised(k), ""
		}
	}
	variation := func(less int64) func(*moments) (any, string) {
		return func(m *moments) (any, string) {
			switch {
			case m.n <= less && m.n == 0:
				return nil, noSamples
			case m.n <= less:
				return nil, oneSample
			case m.power[1].Sign() == 0:
				return nil, "the mean is 0"
			}
			return new(big.Float).Quo(root(m.variance(less)), special.FromRat(m.mean())), ""
		}
	}
	extreme := func(i int) func(*moments) (any, string) {
		return func(m *moments) (any, string) {
			switch {
			case m.n == 0:
				return nil, noSamples
			case m.extremes == nil:
				return nil, "not computed: it is the value of a single sample; who wants it names it in outputs"
			}
			return m.extremes[i], ""
		}
	}
	excess := func(m *moments) (any, string) {
		v, why := shape(4)(m)
		if why != "" {
			return nil, why
		}
		return new(big.Rat).Sub(v.(*big.Rat), big.NewRat(3, 1)), ""
	}
	return fields[*moments]{
		{"samples", "how many numbers all parties gave together", x(), func(m *moments) (any, string) { return m.n, "" }},
		{"minimum", "the least value, the double next to it; null unless outputs names it", x(), extreme(0)},
		{"maximum", "the largest value, the double next to it; null unless outputs names it", x(), extreme(1)},
		{"sum", "sum", x(1), func(m *moments) (any, string) { return m.power[1], "" }},
		{"mean", "arithmetic mean", x(1), some(func(m *moments) any { return m.mean() })},
		{"harmonic_mean", "harmonic mean; null where a number is 0", x(sumOfInv, nonzeros), (*moments).harmonic},
		{"geometric_mean", "geometric mean; null where a number is not positive", x(sumOfLog, positives), (*moments).geometric},
		{"variance", "variance, with n-1", x(1, 2), two(func(m *moments) any { return m.variance(1) })},
		{"variance_mle", "variance, with n", x(1, 2), some(func(m *moments) any { return m.variance(0) })},
		{"variance_of_sample_mean", "variance/n", x(1, 2), two(func(m *moments) any { return m.ofMean() })},
		{"standard_deviation", "root of the variance", x(1, 2), two(func(m *moments) any { return root(m.variance(1)) })},
		{"standard_deviation_mle", "root of variance_mle", x(1, 2), some(func(m *moments) any { return root(m.variance(0)) })},
		{"standard_error_of_sample_mean", "root of variance_of_sample_mean", x(1, 2), two(func(m *moments) any { return root(m.ofMean()) })},
		{"coefficient_of_variation", "standard_deviation/mean", x(1, 2), variation(1)},
		{"coefficient_of_variation_mle", "standard_deviation_mle/mean", x(1, 2), variation(0)},
		{"root_mean_square", "root of the mean of the squares", x(2), some(func(m *moments) any { return root(new(big.Rat).Quo(m.power[2], m.power[0])) })},
		{"root_mean_square_deviation", "as standard_deviation_mle", x(1, 2), some(func(m *moments) any { return root(m.variance(0)) })},
		{"skewness", "third standardised moment", x(1, 2, 3), shape(3)},
		{"kurtosis", "fourth standardised moment", x(1, 2, 3, 4), shape(4)},
		{"kurtosis_excess", "kurtosis-3", x(1, 2, 3, 4), excess},
		{"hyper_skewness", "fifth standardised moment", x(1, 2, 3, 4, 5), shape(5)},
		{"hyper_flatness", "sixth standardised moment", x(1, 2, 3, 4, 5, 6), shape(6)},
	}
}

func (m *moments) ofMean() *big.Rat {
	return new(big.Rat).Quo(m.variance(1), m.power[0])
}

func (m *moments) harmonic() (any, string) {
	switch {
	case m.n == 0:
		return nil, noSamples
	case m.nonzeros < m.n:
		return nil, "a sample is 0"
	case m.inv.Sign() == 0:
		return nil, "the sum of the reciprocals is 0"
	}
	return new(big.Rat).Quo(m.power[0], m.inv), ""
}

func (m *moments) geometric() (any, string) {
	switch {
	case m.n == 0:
		return nil, noSamples
	case m.positives < m.n:
		return nil, "a sample is not positive"
	}
	return special.Exp(special.FromRat(new(big.Rat).Quo(m.log, m.power[0]))), ""
}

// notesSchema is the member of all results that says why others are null.
const notesSchema = `"notes":{"type":"object","additionalProperties":{"type":"string"},"description":"for each member that is null, why"}`
