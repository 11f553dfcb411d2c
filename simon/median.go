package simon

import (
	"encoding/json"
	"math/big"
)

// SecureMedian is the median of all parties' values: with an even number of values the mean of the two middle ones.
//
// A selection of the lower and the upper median. The number of values stays secret. Recipients learn both middle elements.
func SecureMedian() Microprotocol {
	digits := digitBits(7)
	digits.about += "; steps after the first find one bit less, as the two middle values may differ"
	return selecting{
		own: []parameter{digits, valuesAs()},
		find: func(v values, _ int64) selection {
			sel := newSelection(int(v.whole("digit_bits")), lowerMedian, upperMedian)
			sel.room = 1 // most medians are one element
			return sel
		},
		finish: func(v values, found []uint64, _ int64) (object, error) {
			var o object
			m, err := middle(v, found[0], found[1])
			o.put("median", m)
			return o, err
		},
	}.statistic().complete(Microprotocol{
		Name:    "SecureMedian",
		Summary: "The median of all parties' values, exactly: with an even number of values the mean of the two middle ones.",
		Hops:    25,
		Input:   json.RawMessage(orderedSchema),
		Result:  json.RawMessage(`{"type":"object","properties":{"median":{"type":"number"}},"required":["median"]}`),
		Bytes:   selectionBytes,
		Leakage: "Recipients learn the median; where the two middle values differ, which only an even number of values allows, they learn both. The number of values stays secret." +
			selectionLeakage,
		WithHelper: selectionHelper,
	})
}

// middle is the mean of two selected elements, rounded once.
func middle(v values, lower, upper uint64) (any, error) {
	if lower == upper {
		return element(v, lower)
	}
	a, ok := exactly(v, lower)
	b, also := exactly(v, upper)
	switch {
	case !ok || !also:
		return nil, errNoElement
	case a.Cmp(b) > 0:
		return nil, impossible("the lower of two elements is the larger one")
	}
	m := new(big.Rat).Add(a, b)
	return interpolated(v, m.Mul(m, big.NewRat(1, 2))), nil
}

// interpolated is how a result shows a number between elements: of integers, whole and half numbers keep all digits.
func interpolated(v values, x *big.Rat) any {
	switch f, _ := x.Float64(); {
	case v.text("values") != asIntegers:
		return f
	case x.Denom().Cmp(big.NewInt(2)) == 0:
		return json.RawMessage(x.FloatString(1))
	}
	return x
}
