package simon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/weftmpc/weft/simon/encode"
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

// StatisticsUnivariate describes one list of numbers by its moments.
//
// One masked sum of exact integers: the number of samples and the sums of their first to sixth powers, in units of 1e-20 to
// 1e-120, as far as the wanted fields need them; for the geometric mean the sum of logarithms, rounded once at each party,
// and for the harmonic mean that of reciprocals, each rounded. The moments about the mean follow from the sums in rational
// arithmetic, where nothing cancels, and are rounded once. The geometric mean is off by a factor of at most 1±1e-15·p/n for
// p parties and n samples before that, the harmonic mean h by 1±1e-24·|h|: of numbers up to 1e9, in the sixteenth digit.
func StatisticsUnivariate() Microprotocol {
	fields := univariateFields()
	layout := func(v values) (ring.Layout, error) { return univariateLayout(fields.sums(v)), nil }
	return statistic{
		own:    []parameter{digitBits(6), outputs(fields.names())},
		order:  func(v values) int { return univariateOrder(fields.sums(v)) },
		layout: layout,
		read: func(data io.Reader, v values) ([]byte, int, error) {
			x, e, err := readUnivariate(data, fields.sums(v), namesExtremes(v))
			if !namesExtremes(v) {
				return x.Bytes(), e.samples, err
			}
			return append(x.Bytes(), e.payload()...), e.samples, err
		},
		run: func(ctx context.Context, s Session, v values, payload []byte) ([]byte, error) {
			l, err := layout(v)
			if err != nil {
				return nil, err
			}
			if len(payload) < l.Size() {
				return nil, errors.New("the stored input is cut off: submit the computation again")
			}
			x, err := ring.View(l, payload[:l.Size()])
			if err != nil {
				return nil, fmt.Errorf("the stored input: %w", err)
			}
			var found []uint64
			if namesExtremes(v) {
				if found, err = runExtremes(ctx, s, v, payload[l.Size():]); err != nil {
					return nil, err
				}
			}
			sum, err := OpenSum(ctx, s, Label{Round: 2, Vector: "sums"}, x)
			return appendWords(sum.Bytes(), found), err
		},
		deal:   dealExtremes,
		helped: namesExtremes,
		finish: func(v values, _ int, opened []byte) (object, error) {
			l, err := layout(v)
			if err != nil {
				return object{}, err
			}
			size := len(opened)
			if namesExtremes(v) {
				size = min(l.Size(), size)
			}
			x, err := ring.View(l, opened[:size])
			if err != nil {
				return object{}, fmt.Errorf("the opened sums: %w", err)
			}
			m, err := readMoments(fields.sums(v), x)
			if err == nil && namesExtremes(v) {
				var found []uint64
				if found, err = openedWords(opened[size:], 2); err == nil {
					m.extremes, err = shownExtremes(v, m.n, found)
				}
			}
			if err != nil {
				return object{}, err
			}
			return fields.result(v, m), nil
		},
	}.complete(Microprotocol{
		Name:       "StatisticsUnivariate",
		Summary:    "Number, sum, means, variances, deviations and higher moments of all parties' numbers.",
		Input:      json.RawMessage(`{"description":"a number, or a list of numbers","anyOf":[{"type":"number"},{"type":"array","items":{"type":"number"}}]}`),
		Result:     fields.schema(),
		Bytes:      "416 bytes to each receiver for all fields, 72 for mean and variance" + poolBytes,
		WithHelper: "Where outputs names minimum or maximum: " + extremesHelper,
		Leakage: "Recipients learn the exact sums from which the wanted fields are computed: the number of samples and the sums of the first to the sixth powers, " +
			"of logarithms and of reciprocals, as far as outputs needs them, of all parties together. " +
			"Sums of many powers determine a small pool completely: six of them up to six values, and more where values are coarse, so let least_samples be 100 or more. " +
			"Any coalition of up to n-1 parties learns the same sums of the others: with two parties those are the other party's own. " +
			"Broker and coordinator learn neither inputs nor result. Where outputs names minimum or maximum, both are found as in MinimumMaximum. " + extremesLeakage,
	})
}

// univariateOrder is the highest power, and at least 3 where more than two sums are opened: those of logarithms and
// reciprocals tell as much of single values as powers do.
func univariateOrder(sums []int) int {
	functions := 0
	for _, s := range sums {
		if s >= sumOfX && s <= sumOfLog || s == sumOfInv {
			functions++
		}
	}
	if functions > 2 {
		return max(3, highestPower(sums))
	}
	return highestPower(sums)
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

// namesExtremes says whether the outputs name minimum or maximum. By default they are left out: they are values of single
// samples, and take many times as long as all sums together.
func namesExtremes(v values) bool {
	named := v.texts("outputs")
	return slices.Contains(named, "minimum") || slices.Contains(named, "maximum")
}

// readUnivariate adds up a party's own numbers and finds its extremes, if they are wanted. Nothing is allocated per number.
func readUnivariate(data io.Reader, sums []int, withExtremes bool) (ring.Vector, *extremes, error) {
	ends := &extremes{}
	powers, logs := newPowerSum(highestPower(sums)), newLogSum()
	var inverses [inverseLimbs]uint64
	var positive, nonzero uint64
	withLog, withInverse := slices.Contains(sums, sumOfLog), slices.Contains(sums, sumOfInv)
	rows, _, err := readRows(data, 0, func(_ place, cells []cell) error {
		q, err := cells[0].grid()
		if err != nil {
			return err
		}
		if withExtremes {
			word := encode.Ordered(encode.Nearest(cells[0].number))
			ends.take(word, word)
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
		return ring.Vector{}, ends, err
	}
	if !withExtremes {
		ends.samples = rows
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
	return x, ends, nil
}
