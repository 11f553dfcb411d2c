package simon

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
)

var errOpenedSet = errors.New("what was opened was written by another version of weft: submit the computation again")

// SetIntersectionSize tells two parties how many elements both have.
func SetIntersectionSize() Microprotocol {
	return set{
		name: "intersection size",
		run: func(ctx context.Context, s Session, o overlap) ([]byte, error) {
			size, err := o.pairSize(ctx, s)
			if err != nil {
				return nil, err
			}
			return binary.BigEndian.AppendUint32(nil, uint32(size)), nil
		},
		finish: func(own []setElement, opened []byte) (object, error) {
			if len(opened) != 4 {
				return object{}, errOpenedSet
			}
			size := binary.BigEndian.Uint32(opened)
			if uint64(size) > uint64(len(own)) {
				return object{}, impossible("more elements are common than this party has")
			}
			var o object
			o.put("size_intersection", int64(size))
			return o, nil
		},
	}.complete(Microprotocol{
		Name:    "SetIntersectionSize",
		Summary: "How many elements two parties have both, and not which.",
		Result: json.RawMessage(`{"type":"object","properties":{` +
			`"size_intersection":{"type":"integer","minimum":0,"description":"how many elements both parties have"}},"required":["size_intersection"]}`),
		MaxParties: 2,
		Hops:       6, // JOIN, START, sizes, lists, returned lists, CONFIRM
		Bytes:      "48 bytes for each element of a list, dummies included",
		Leakage: "Both parties learn how many elements they have in common, also where that is one, and not which." + setEquality + setSizes +
			" Who knows all but one of the other's elements, or lists one element, learns whether the other has it." +
			setTrying + " Broker and coordinator learn neither elements nor result.",
	})
}
