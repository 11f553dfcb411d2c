package simon

import (
	"encoding/json"
	"io"
	"math/big"
	"slices"

	"github.com/weftmpc/weft/simon/ring"
)

// The sums that StatisticsBivariate may open, exact.
const (
	pairCount = iota // how many pairs (x, y)
	sumX
	sumY
	sumXX
	sumYY
	sumXY
	pairSums
)

// StatisticsBivariate describes how two variables go together: covariance, correlation and the straight line through them.
//
// One masked sum of exact integers: the number of pairs and the sums of x, y, x², y² and xy, in units of 1e-20 and 1e-40.
// The formulas are rational and rounded once. Recipients learn those sums as far as the wanted fields need them; any n-1
// parties learn those of the rest.
func StatisticsBivariate() Microprotocol {
	fields := bivariateFields()
	return tally{
		own:    []parameter{outputs(fields.names())},
		layout: func(v values) (ring.Layout, error) { return bivariateLayout(fields.sums(v)), nil },
		order: func(v values) int {
			if slices.Max(fields.sums(v)) >= sumXX {
				return 2
			}
			return 1
		},
		read: func(data io.Reader, v values) (ring.Vector, int, error) { return readBivariate(data, fields.sums(v)) },
		finish: func(v values, _ int, x ring.Vector) (object, error) {
			m, err := readPairMoments(fields.sums(v), x)
			if err != nil {
				return object{}, err
			}
			return fields.result(v, m), nil
		},
	}.statistic().complete(Microprotocol{
		Name:    "StatisticsBivariate",
		Summary: "Covariance, correlation and linear regression of all parties' pairs of numbers.",
		Input: json.RawMessage(`{"description":"a list of pairs [x, y]","type":"array",` +
			`"items":{"type":"array","items":{"type":"number"},"minItems":2,"maxItems":2}}`),
		Result: fields.schema(),
		Bytes:  "176 bytes to each receiver for all fields, 96 for a covariance" + poolBytes,
		Leakage: "Recipients learn the exact sums from which the wanted fields are computed: the number of pairs and the sums of x, y, x², y² and xy, as far as outputs " +
			"needs them, of all parties together, and so also means and variances of either variable. " +
			"Any coalition of up to n-1 parties learns the same sums of the others: with two parties those are the other party's own. " +
			"Broker and coordinator learn neither inputs nor result.",
	})
}

// bivariateLayout has one field for each sum.
func bivariateLayout(sums []int) ring.Layout {
	names := [pairSums]string{"samples", "x", "y", "xx", "yy", "xy"}
	var l ring.Layout
	for _, s := range sums {
		limbs := 1
		if s != pairCount {
			limbs = limbsFor(bivariateBits(s))
		}
		l = append(l, ring.Field{Name: names[s], Limbs: limbs, Count: 1})
	}
	return l
}

// bivariateBits bounds what one pair adds to a sum.
func bivariateBits(sum int) int {
	if sum >= sumXX {
		return 2 * statEncoding.Bits
	}
	return statEncoding.Bits
}

// readBivariate adds up a party's own pairs.
func readBivariate(data io.Reader, sums []int) (ring.Vector, int, error) {
	var total [pairSums][]uint64
	for s := sumX; s < pairSums; s++ {
		total[s] = make([]uint64, limbsFor(bivariateBits(s)))
	}
	var product [2 * statLimbs]uint64
	add := func(s int, a, b gridNumber) {
		multiply(product[:], a.magnitude[:], b.magnitude)
		addTo(total[s], product[:], a.negative != b.negative)
	}
	rows, _, err := readRows(data, 2, func(_ place, cells []cell) error {
		x, err := cells[0].grid()
		if err != nil {
			return err
		}
		y, err := cells[1].grid()
		if err != nil {
			return err
		}
		addTo(total[sumX], x.magnitude[:], x.negative)
		addTo(total[sumY], y.magnitude[:], y.negative)
		add(sumXX, x, x)
		add(sumYY, y, y)
		add(sumXY, x, y)
		return nil
	})
	if err != nil {
		return ring.Vector{}, 0, err
	}
	total[pairCount] = []uint64{uint64(rows)}
	v := ring.New(bivariateLayout(sums))
	for field, s := range sums {
		v.SetLimbs(field, 0, total[s])
	}
	return v, rows, nil
}

// pairMoments are the exact sums of one pool of pairs.
type pairMoments struct {
	n    int64
	sums [pairSums]*big.Rat // nil where they were not opened; that of pairCount is n
}

func readPairMoments(sums []int, x ring.Vector) (*pairMoments, error) {
	n, err := samplesIn(x, pairCount, 0)
	if err != nil {
		return nil, err
	}
	m := &pairMoments{n: n}
	m.sums[pairCount] = new(big.Rat).SetInt64(n)
	for field, s := range sums {
		if s == pairCount {
			continue
		}
		q, digits := x.Int(field, 0), statEncoding.Digits
		if !within(q, n, bivariateBits(s)) {
			return nil, impossible("a sum is larger than its samples allow")
		}
		if s >= sumXX {
			digits *= 2
		}
		m.sums[s] = scaled(q, digits)
	}
	if !m.plausible() {
		return nil, impossible("the sums contradict each other")
	}
	return m, nil
}

// plausible checks that sums of squares are not negative, and the inequality of Cauchy and Schwarz: between means and squares
// of either variable, and between the variables, that is, that no correlation is beyond 1.
func (m *pairMoments) plausible() bool {
	s := &m.sums
	for _, squares := range []*big.Rat{s[sumXX], s[sumYY]} {
		if squares != nil && squares.Sign() < 0 {
			return false
		}
	}
	bounded := func(a, b, c *big.Rat) bool {
		return a == nil || b == nil || c == nil || new(big.Rat).Mul(a, b).Cmp(new(big.Rat).Mul(c, c)) >= 0
	}
	if !bounded(s[pairCount], s[sumXX], s[sumX]) || !bounded(s[pairCount], s[sumYY], s[sumY]) {
		return false
	}
	return slices.Contains(s[:], nil) || m.n == 0 || bounded(m.about(sumXX, sumX, sumX), m.about(sumYY, sumY, sumY), m.about(sumXY, sumX, sumY))
}

// about is the sum of products of deviations from the means: S_ab - S_a·S_b/n.
func (m *pairMoments) about(ab, a, b int) *big.Rat {
	c := new(big.Rat).Mul(m.sums[a], m.sums[b])
	c.Quo(c, m.sums[pairCount])
	return c.Sub(m.sums[ab], c)
}

func (m *pairMoments) covariance(less int64) *big.Rat {
	return new(big.Rat).Quo(m.about(sumXY, sumX, sumY), new(big.Rat).SetInt64(m.n-less))
}

// slope is that of the least squares line of y on x.
func (m *pairMoments) slope() *big.Rat {
	return new(big.Rat).Quo(m.about(sumXY, sumX, sumY), m.about(sumXX, sumX, sumX))
}

// correlation is Pearson's: the root of its square, with the sign of the covariance.
func (m *pairMoments) correlation() *big.Float {
	c := m.about(sumXY, sumX, sumY)
	square := new(big.Rat).Mul(c, c)
	square.Quo(square, m.about(sumXX, sumX, sumX)).Quo(square, m.about(sumYY, sumY, sumY))
	r := root(square)
	if c.Sign() < 0 {
		r.Neg(r)
	}
	return r
}

// Reasons why a statistic of two variables does not exist.
const (
	constantX = "all values of x are equal"
	constantY = "all values of y are equal"
)

// bivariateFields are the fields of the result in their order.
func bivariateFields() fields[*pairMoments] {
	line := func(f func(m *pairMoments) any) func(*pairMoments) (any, string) {
		return func(m *pairMoments) (any, string) {
			switch {
			case m.n == 0:
				return nil, noSamples
			case m.n == 1:
				return nil, oneSample
			case m.about(sumXX, sumX, sumX).Sign() == 0:
				return nil, constantX
			}
			return f(m), ""
		}
	}
	intercept := line(func(m *pairMoments) any {
		b := new(big.Rat).Mul(m.slope(), m.sums[sumX])
		b.Sub(m.sums[sumY], b)
		return b.Quo(b, m.sums[pairCount])
	})
	return fields[*pairMoments]{
		{"samples", "how many pairs all parties gave together", nil, func(m *pairMoments) (any, string) { return m.n, "" }},
		{"covariance_mle", "covariance, with n", []int{sumX, sumY, sumXY}, func(m *pairMoments) (any, string) {
			if m.n == 0 {
				return nil, noSamples
			}
			return m.covariance(0), ""
		}},
		{"covariance", "covariance, with n-1", []int{sumX, sumY, sumXY}, func(m *pairMoments) (any, string) {
			if m.n < 2 {
				return nil, oneSample
			}
			return m.covariance(1), ""
		}},
		{"correlation_coefficient", "Pearson's correlation", []int{sumX, sumY, sumXX, sumYY, sumXY}, func(m *pairMoments) (any, string) {
			v, why := line(func(m *pairMoments) any { return nil })(m)
			if why == "" && m.about(sumYY, sumY, sumY).Sign() == 0 {
				why = constantY
			}
			if why != "" {
				return v, why
			}
			return m.correlation(), ""
		}},
		{"regression_slope", "slope of the least squares line of y on x", []int{sumX, sumY, sumXX, sumXY}, line(func(m *pairMoments) any { return m.slope() })},
		{"regression_interceipt", "as regression_intercept, in the spelling of earlier clients", []int{sumX, sumY, sumXX, sumXY}, intercept},
		{"regression_intercept", "intercept of the least squares line of y on x", []int{sumX, sumY, sumXX, sumXY}, intercept},
		{"regression_slope_only", "slope of the least squares line of y on x through the origin", []int{sumXX, sumXY}, func(m *pairMoments) (any, string) {
			switch {
			case m.n == 0:
				return nil, noSamples
			case m.sums[sumXX].Sign() == 0:
				return nil, "all values of x are 0"
			}
			return new(big.Rat).Quo(m.sums[sumXY], m.sums[sumXX]), ""
		}},
	}
}
