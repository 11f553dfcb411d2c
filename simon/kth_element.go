package simon

import (
	"encoding/json"
	"io"
	"math/big"
)

// KthElement is the k-th smallest of all parties' values.
//
// A selection of one element. Recipients learn it and the number of values.
func KthElement() Microprotocol {
	return selecting{
		own: []parameter{
			digitBits(6),
			anyNumber("lower_bound", "the least value that the element may have"),
			whole("rank", nil, 1, mostPooled, "which element, 1 for the smallest; clients of the reference give it with the data"),
			anyNumber("upper_bound", "the largest value that the element may have"),
			valuesAs(),
		},
		find: func(v values, _ int64) selection {
			return newSelection(int(v.whole("digit_bits")), kth(v.whole("rank")))
		},
		counted: func(values) bool { return true },
		read:    readRanked,
		finish:  finishRanked,
	}.statistic().complete(Microprotocol{
		Name:    "KthElement",
		Summary: "The k-th smallest of all parties' values.",
		Hops:    26,
		Input: json.RawMessage(`{"description":"numbers, or one object with the numbers and the rank, as clients of the reference give them","anyOf":[{"type":"number"},{"type":"array","items":{"type":"number"}},` +
			`{"type":"array","minItems":1,"maxItems":1,"items":` + rankedSchema + `},` + rankedSchema + `]}`),
		Result: json.RawMessage(`{"type":"object","properties":{"samples":{"type":"integer","minimum":0,"description":"how many numbers all parties gave together"},` +
			`"item":{"type":"number"}},"required":["samples","item"]}`),
		Bytes:      selectionBytes + poolBytes,
		Leakage:    "Recipients learn the element and the number of values of all parties together." + selectionLeakage,
		WithHelper: selectionHelper,
	})
}

const rankedSchema = `{"type":"object","properties":{"array":{"anyOf":[{"type":"number"},{"type":"array","items":{"type":"number"}}]},"rank":{"type":"integer","minimum":1},` +
	`"lower_bound":{"type":"number"},"upper_bound":{"type":"number"}},"required":["array","rank"],"additionalProperties":false}`

// anyNumber is a number that the client may leave out.
func anyNumber(name, about string) parameter {
	return number(name, nil, func(*big.Rat) bool { return true }, "a finite number", about)
}

// readRanked reads numbers, or an object that has them together with the parameters.
func readRanked(data io.Reader, v values) ([]byte, int, error) {
	w, n := &orderedValues{v: v}, newNumberReader(data)
	given := func(name string, it item) error { // a parameter in the data
		if it != itemNumber {
			return &InputError{"data." + name, it.reason()}
		}
		check := anyNumber(name, "").check
		if name == "rank" {
			check = integer(1, mostPooled)
		}
		x, err := check(json.Number(n.number))
		if err != nil {
			return &InputError{"data." + name, err.Error()}
		}
		if v.has(name) && v[name] != x {
			return &InputError{"data." + name, "is another one than in the parameters"}
		}
		v[name] = x
		return nil
	}
	plain, object := false, false
	err := n.values(func(at place, it item) error {
		switch {
		case it == itemNumber && !object:
			plain = true
			return w.add(at, n.number)
		case it == itemObject && !plain && !object:
			object = true
			return n.object(at, []string{"array", "rank", "lower_bound", "upper_bound"}, func(name string, it item) error {
				if name != "array" {
					return given(name, it)
				}
				switch it {
				case itemNumber: // R writes a list of one number as a number
					return w.add(at, n.number)
				case itemOpen:
				default:
					return &InputError{"data.array", "must be a list of numbers"}
				}
				return n.list(at, func(i int, it item) error {
					if it != itemNumber {
						return place{i, -1}.bad("%s", it.reason())
					}
					return w.add(place{i, -1}, n.number)
				})
			})
		case it == itemObject:
			return at.bad("is an object beside other values: give one object, or numbers")
		}
		return at.bad("%s", it.reason())
	})
	switch {
	case err != nil:
		return nil, 0, err
	case !v.has("rank"):
		return nil, 0, &InputError{"parameters.rank", "is missing: which element is wanted, 1 for the smallest"}
	case v.has("lower_bound") && v.has("upper_bound") && v.rat("lower_bound").Cmp(v.rat("upper_bound")) > 0:
		return nil, 0, &InputError{"parameters.upper_bound", "is less than lower_bound"}
	}
	return w.payload(), len(w.list), nil
}

func finishRanked(v values, found []uint64, n int64) (object, error) {
	var o object
	if v.whole("rank") > n {
		return o, errNoElement
	}
	e, ok := exactly(v, found[0])
	switch {
	case !ok:
		return o, impossible("there is no element of a rank that the pool has")
	case v.has("lower_bound") && e.Cmp(v.rat("lower_bound")) < 0:
		return o, &OutcomeError{"the element is less than lower_bound"}
	case v.has("upper_bound") && e.Cmp(v.rat("upper_bound")) > 0:
		return o, &OutcomeError{"the element is larger than upper_bound"}
	}
	o.put("samples", n)
	item, err := element(v, found[0])
	o.put("item", item)
	return o, err
}
