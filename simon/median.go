package simon

import (
	"context"
	"encoding/json"
	"io"
	"math/big"
)

// SecureMedian is the median of all parties' values: with an even number of values the mean of the two middle ones.
//
// A selection of the lower and the upper median. The number of values stays secret. Recipients learn both middle elements.
func SecureMedian() Microprotocol {
	find := func(v values) selection { return newSelection(int(v.whole("digit_bits")), lowerMedian, upperMedian) }
	return statistic{
		own:    []parameter{digitBits(6), modes(), valuesAs()},
		order:  func(values) int { return 1 },
		layout: selectionLayout(find),
		read:   readForOrder,
		run: func(ctx context.Context, s Session, v values, payload []byte) ([]byte, error) {
			found, err := runSelection(ctx, s, v, find(v), payload)
			return appendWords(nil, found), err
		},
		secret: func(values) bool { return true },
		finish: func(v values, _ int, opened []byte) (object, error) {
			var o object
			x, err := openedWords(opened, 2)
			if err != nil {
				return o, err
			}
			m, err := middle(v, x[0], x[1])
			o.put("median", m)
			return o, err
		},
	}.selecting(find).complete(Microprotocol{
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

const orderedSchema = `{"anyOf":[{"type":"number"},{"type":"array","items":{"type":"number"}}]}`

// readForOrder reads numbers whose order counts.
func readForOrder(data io.Reader, v values) ([]byte, int, error) {
	w, err := readOrdered(data, v)
	if err != nil {
		return nil, 0, err
	}
	return w.payload(), len(w.list), nil
}

// runSelection is a party's part in a selection from its stored values.
func runSelection(ctx context.Context, s Session, v values, sel selection, payload []byte) ([]uint64, error) {
	own, err := storedWords(payload)
	if err != nil {
		return nil, err
	}
	if sel.mode = v.text("mode"); sel.mode != modeCompare {
		return sel.run(ctx, s, gateSeats{}, own)
	}
	seats, err := gateSeatsOf(s)
	if err != nil {
		return nil, err
	}
	return sel.run(ctx, s, seats, own)
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
