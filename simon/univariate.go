package simon

import (
	"encoding/json"
	"io"
	"slices"

	"github.com/weftmpc/weft/simon/ring"
)

// The sums that StatisticsUnivariate may open. Powers are those of the numbers on the decimal grid, and exact.
const (
	sumOfOne  = iota // how many numbers
	sumOfX           // and the next five: sums of x^1 to x^6
	sumOfLog  = 7    // sum of ln x over positive x
	positives = 8    // how many x are positive
	sumOfInv  = 9    // sum of 1/x over x other than 0
	nonzeros  = 10   // how many x are not 0
	allSums   = 11
)

// The grids of the two sums that are rounded, once at each party: ln x in units of 1e-15, 1/x in units of 1e-24.
const (
	logDigits = 15
	invDigits = 24
)

// univariateField is a field of the result: which sums it needs, and how it follows from them.
type univariateField struct {
	name  string
	about string
	needs []int
	value func(m *moments) (v any, why string) // a reason where there is no value
}

// StatisticsUnivariate describes one list of numbers by its moments.
func StatisticsUnivariate() Microprotocol {
	fields := univariateFields()
	var all []string
	for _, f := range fields {
		all = append(all, f.name)
	}
	return tally{
		own:    []parameter{outputs(all)},
		order:  func(v values) int { return highestPower(univariateSums(fields, v)) },
		layout: func(v values) (ring.Layout, error) { return univariateLayout(univariateSums(fields, v)), nil },
		read:   func(data io.Reader, v values) (ring.Vector, int, error) { return readUnivariate(data, univariateSums(fields, v)) },
		finish: func(v values, _ int, x ring.Vector) (object, error) { return finishUnivariate(fields, v, x) },
	}.statistic().complete(Microprotocol{
		Name:    "StatisticsUnivariate",
		Summary: "Number, sum, means, variances, deviations and higher moments of all parties' numbers.",
		Input:   json.RawMessage(`{"description":"a number, or a list of numbers","anyOf":[{"type":"number"},{"type":"array","items":{"type":"number"}}]}`),
		Result:  univariateSchema(fields),
		Bytes:   "416 bytes to each receiver for all fields, 64 for mean and variance",
		Leakage: "Recipients learn the exact sums from which the wanted fields are computed: the number of samples and the sums of the first to the sixth powers, " +
			"of logarithms and of reciprocals, as far as outputs needs them, of all parties together. " +
			"Sums of many powers determine a small pool completely: six of them up to six values, and more where values are coarse, so let least_samples be 100 or more. " +
			"Any coalition of up to n-1 parties learns the same sums of the others: with two parties those are the other party's own. " +
			"Broker and coordinator learn neither inputs nor result.",
	})
}

// univariateSums lists the sums that the wanted fields need, ascending.
func univariateSums(fields []univariateField, v values) []int {
	wanted := v.texts("outputs")
	sums := []int{sumOfOne}
	for _, f := range fields {
		if wanted == nil || slices.Contains(wanted, f.name) {
			sums = append(sums, f.needs...)
		}
	}
	slices.Sort(sums)
	return slices.Compact(sums)
}

func highestPower(sums []int) int {
	order := 1
	for _, s := range sums {
		if s >= sumOfX && s < sumOfLog {
			order = max(order, s)
		}
	}
	return order
}

// univariateLayout has one field for each sum.
func univariateLayout(sums []int) ring.Layout {
	names := [allSums]string{"samples", "x1", "x2", "x3", "x4", "x5", "x6", "log", "positive", "inverse", "nonzero"}
	var l ring.Layout
	for _, s := range sums {
		limbs := 1
		switch {
		case s >= sumOfX && s < sumOfLog:
			limbs = limbsFor(s * statEncoding.Bits)
		case s == sumOfLog:
			limbs = 2
		case s == sumOfInv:
			limbs = 3
		}
		l = append(l, ring.Field{Name: names[s], Limbs: limbs, Count: 1})
	}
	return l
}

// readUnivariate adds up a party's own numbers. Nothing is allocated per number.
func readUnivariate(data io.Reader, sums []int) (ring.Vector, int, error) {
	powers, logs := newPowerSum(highestPower(sums)), newLogSum()
	var inverses [inverseLimbs]uint64
	var positive, nonzero uint64
	withLog, withInverse := slices.Contains(sums, sumOfLog), slices.Contains(sums, sumOfInv)
	rows, _, err := readRows(data, 0, func(_ place, cells []cell) error {
		q, err := cells[0].grid()
		if err != nil {
			return err
		}
		powers.add(q)
		if q.zero() {
			return nil
		}
		if withLog && !q.negative {
			positive++
			logs.add(q.magnitude)
		}
		if withInverse {
			nonzero++
			inverse := inverse(q.magnitude)
			addTo(inverses[:], inverse[:], q.negative)
		}
		return nil
	})
	if err != nil {
		return ring.Vector{}, 0, err
	}
	x := ring.New(univariateLayout(sums))
	for field, s := range sums {
		switch s {
		case sumOfOne:
			x.SetLimbs(field, 0, []uint64{uint64(rows)})
		case sumOfLog:
			setInt(x, field, 0, logs.total(statEncoding.Digits, logDigits))
		case positives:
			x.SetLimbs(field, 0, []uint64{positive})
		case sumOfInv:
			x.SetLimbs(field, 0, inverses[:])
		case nonzeros:
			x.SetLimbs(field, 0, []uint64{nonzero})
		default:
			x.SetLimbs(field, 0, powers.sums[s])
		}
	}
	return x, rows, nil
}
