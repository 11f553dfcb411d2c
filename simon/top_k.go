package simon

import "encoding/json"

// mostTop bounds the elements of SecureTopK.
const mostTop = 100

// SecureTopK are the k largest of all parties' values, the largest first.
//
// A selection of k elements. The number of values stays secret, unless there are fewer than k.
func SecureTopK() Microprotocol {
	return selecting{
		own: []parameter{digitBits(4), whole("k", int64(10), 1, mostTop, "how many values are wanted"), valuesAs()},
		find: func(v values, _ int64) selection {
			var wanted []condition
			for i := range v.whole("k") { // c < n - i
				wanted = append(wanted, condition{1, -1, i})
			}
			return newSelection(int(v.whole("digit_bits")), wanted...)
		},
		finish: func(v values, found []uint64, _ int64) (object, error) {
			var o object
			list := []any{}
			for i, word := range found {
				if i > 0 && word > found[i-1] {
					return o, impossible("the values are not in order")
				}
				if word == 0 { // the pool has no more
					continue
				}
				e, err := element(v, word)
				if err != nil {
					return o, impossible("a value is none")
				}
				list = append(list, e)
			}
			o.put("largest", list)
			return o, nil
		},
	}.statistic().complete(Microprotocol{
		Name:    "SecureTopK",
		Summary: "The k largest of all parties' values, the largest first.",
		Hops:    35,
		Input:   json.RawMessage(orderedSchema),
		Result: json.RawMessage(`{"type":"object","properties":{"largest":{"type":"array","items":{"type":"number"},"maxItems":100,` +
			`"description":"equal values as often as they occur; fewer than k where all parties together have fewer"}},"required":["largest"]}`),
		Bytes:      selectionBytes,
		Leakage:    "Recipients learn the k largest values, not who has them; where there are fewer than k, the number of values." + selectionLeakage,
		WithHelper: selectionHelper,
	})
}
