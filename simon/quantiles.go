package simon

import (
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"slices"
)

// mostProbabilities bounds the quantiles of one computation, and quantileParts the denominators of their probabilities.
const (
	mostProbabilities = 100
	quantileParts     = 1_000_000
)

// SecureQuantiles are quantiles of all parties' values, by the definitions that R numbers 1, 2, 6 and 7 (Hyndman, Fan,
// American Statistician 50, 1996).
//
// Type 1 is a selection of one element for each probability, and the number of values stays secret. The other types need the
// number of values, which is opened first, and two neighbouring elements for each probability.
func SecureQuantiles() Microprotocol {
	m := selecting{
		own: []parameter{
			digitBits(6),
			probabilities(),
			wholeOf("type", 7, []int64{1, 2, 6, 7}, "the definition of quantiles, as R numbers them: 1 takes a value of the data, 2 averages at steps, 6 and 7 interpolate"),
			valuesAs(),
		},
		find:    func(v values, n int64) selection { return quantilesOf(v).selection(n) },
		counted: func(v values) bool { return !quantilesOf(v).secret() },
		finish: func(v values, found []uint64, n int64) (object, error) {
			return quantilesOf(v).finish(v, found, n)
		},
	}.statistic().complete(Microprotocol{
		Name:    "SecureQuantiles",
		Summary: "Exact quantiles of all parties' values: any probabilities, by default the five numbers of a box plot.",
		Hops:    26,
		Input:   json.RawMessage(orderedSchema),
		Result: json.RawMessage(`{"type":"object","properties":{"samples":{"type":"integer","minimum":0,"description":"how many numbers all parties gave together; absent with type 1"},` +
			`"quantiles":{"type":"array","items":{"type":"object","properties":{"probability":{"type":"number"},"value":{"type":"number"}},"required":["probability","value"]}},` +
			`"interquartile_range":{"type":["number","null"],"description":"where 0.25 and 0.75 are among the probabilities"},` + notesSchema + `},"required":["quantiles"]}`),
		Bytes: selectionBytes + poolBytes,
		Leakage: "Recipients learn the quantiles; with types 2, 6 and 7 they learn the number of values and, of each quantile that lies between two neighbouring values, these two; with type 1 the number of values stays secret." +
			selectionLeakage,
		WithHelper: selectionHelper,
	})
	m.Leakage += " With type 1 they learn only whether there are enough."
	return m
}

// probabilities are the wanted quantiles.
func probabilities() parameter {
	wanted := fmt.Sprintf("a number from 0 to 1, as a fraction with a denominator of at most %d", quantileParts)
	p := listed("probabilities", 1, func(v any) (any, error) {
		return decimal(v, func(x *big.Rat) bool {
			return x.Sign() >= 0 && x.Cmp(big.NewRat(1, 1)) <= 0 && x.Denom().Cmp(big.NewInt(quantileParts)) <= 0
		}, wanted)
	}, `{"type":"number","minimum":0,"maximum":1}`, "the probabilities whose quantiles are wanted, in any order")
	p.preset = []any{json.Number("0"), json.Number("0.25"), json.Number("0.5"), json.Number("0.75"), json.Number("1")}
	check := p.check
	p.check = func(v any) (any, error) {
		x, err := check(v)
		if list, ok := x.([]any); ok && len(list) > mostProbabilities {
			return nil, fmt.Errorf("must be a list of 1 to %d probabilities", mostProbabilities)
		}
		return x, err
	}
	return p
}

// wholeOf is one of a few integers.
func wholeOf(name string, preset int64, options []int64, about string) parameter {
	list, err := json.Marshal(options)
	if err != nil {
		panic(err)
	}
	return parameter{name, preset, func(v any) (any, error) {
		for _, o := range options {
			if x, err := integer(o, o)(v); err == nil {
				return x, nil
			}
		}
		return nil, fmt.Errorf("must be one of %s", list)
	}, `"enum":` + string(list), about}
}

// quantiles are the probabilities and the definition of a computation.
type quantiles struct {
	definition    int64
	probabilities []*big.Rat
	digit         int
}

func quantilesOf(v values) quantiles {
	return quantiles{v.whole("type"), v.rats("probabilities"), int(v.whole("digit_bits"))}
}

// secret says whether the number of values stays so.
func (q quantiles) secret() bool { return q.definition == 1 }

// selection is that of the elements which the quantiles of a pool of n values follow from: one for each probability with
// type 1, two with the others.
func (q quantiles) selection(n int64) selection {
	var wanted []condition
	for _, p := range q.probabilities {
		switch {
		case q.secret() && p.Sign() == 0:
			wanted = append(wanted, smallest)
		case q.secret():
			wanted = append(wanted, quantile(p.Num().Int64(), p.Denom().Int64()))
		default:
			lower, upper := q.neighbours(p, n)
			wanted = append(wanted, kth(lower), kth(upper))
		}
	}
	sel := newSelection(q.digit, wanted...)
	if !q.secret() {
		sel.bits = kth(mostPooled).signBits() // of ranks in any pool
	}
	return sel
}

// between says where the quantile of p lies in a pool of n values in order: between the j-th and the next, at the part w of
// the way, 0 ≤ w < 1 or 1.
func (q quantiles) between(p *big.Rat, n int64) (j int64, w *big.Rat) {
	at := new(big.Rat)
	switch q.definition {
	case 6: // p(n + 1)
		at.Mul(p, big.NewRat(n+1, 1))
	case 7: // p(n - 1) + 1
		at.Add(at.Mul(p, big.NewRat(n-1, 1)), big.NewRat(1, 1))
	default: // pn
		at.Mul(p, big.NewRat(n, 1))
	}
	j = new(big.Int).Div(at.Num(), at.Denom()).Int64()
	w = at.Sub(at, big.NewRat(j, 1))
	if q.definition == 2 {
		if w.Sign() == 0 {
			return j, big.NewRat(1, 2)
		}
		return j, big.NewRat(1, 1)
	}
	return j, w
}

// neighbours are the ranks of the elements that the quantile of p lies between in a pool of n values: one rank twice where it is
// an element itself, so that no element is opened that the result does not have.
func (q quantiles) neighbours(p *big.Rat, n int64) (lower, upper int64) {
	j, w := q.between(p, n)
	lower, upper = max(1, min(j, n)), max(1, min(j+1, n))
	switch {
	case w.Sign() == 0:
		upper = lower
	case w.Cmp(big.NewRat(1, 1)) == 0:
		lower = upper
	}
	return lower, upper
}

// finish computes the quantiles from the selected elements in a pool of n values, 0 if that is secret.
func (q quantiles) finish(v values, x []uint64, n int64) (object, error) {
	var o object
	each := 1
	if !q.secret() {
		each = 2
		o.put("samples", n)
	}
	if n == 0 && !q.secret() {
		return o, errNoElement
	}
	var list []any
	var quartiles [2]*big.Rat
	all := make([]*big.Rat, len(q.probabilities))
	for i, p := range q.probabilities {
		value, exact, err := q.value(v, p, n, x[each*i:each*(i+1)])
		if err != nil {
			return o, err
		}
		all[i] = exact
		for k, quarters := range []int64{1, 3} {
			if p.Cmp(big.NewRat(quarters, 4)) == 0 {
				quartiles[k] = exact
			}
		}
		var one object
		one.put("probability", p)
		one.put("value", value)
		list = append(list, one)
	}
	if !q.ascending(all) {
		return o, impossible("a quantile is less than that of a smaller probability")
	}
	o.put("quantiles", list)
	if quartiles[0] != nil && quartiles[1] != nil {
		d := new(big.Rat).Sub(quartiles[1], quartiles[0])
		if x, _ := d.Float64(); math.IsInf(x, 0) {
			o.null("interquartile_range", "it is larger than any double")
		} else {
			o.put("interquartile_range", d)
		}
	}
	return o, nil
}

// ascending says whether the quantiles of all probabilities are in the order of these.
func (q quantiles) ascending(all []*big.Rat) bool {
	order := make([]int, len(all))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return q.probabilities[i].Cmp(q.probabilities[j]) })
	return slices.IsSortedFunc(order, func(i, j int) int { return all[i].Cmp(all[j]) })
}

// value is the quantile of p, as a result shows it and exactly.
func (q quantiles) value(v values, p *big.Rat, n int64, x []uint64) (any, *big.Rat, error) {
	a, ok := exactly(v, x[0])
	b, also := exactly(v, x[len(x)-1])
	switch {
	case !ok || !also:
		return nil, nil, errNoElement
	case a.Cmp(b) > 0:
		return nil, nil, impossible("the lower of two elements is the larger one")
	case a.Cmp(b) == 0:
		e, err := element(v, x[0])
		return e, a, err
	}
	if lower, upper := q.neighbours(p, n); lower == upper {
		return nil, nil, impossible("there are two elements of one rank")
	}
	_, w := q.between(p, n)
	exact := new(big.Rat).Sub(b, a)
	exact.Add(exact.Mul(exact, w), a)
	return interpolated(v, exact), exact, nil
}
