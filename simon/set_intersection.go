package simon

import (
	"context"
	"encoding/json"

	"github.com/weftmpc/weft/simon/psi"
)

// SetIntersection tells each party which of its elements all parties have.
func SetIntersection() Microprotocol {
	return set{
		name: "intersection",
		run: func(ctx context.Context, s Session, o overlap, _ values) ([]byte, error) {
			find := o.pair
			if s.N() > 2 {
				find = o.among
			}
			mine, err := find(ctx, s)
			if err != nil {
				return nil, err
			}
			return packed(mine), nil
		},
		finish: func(own []setElement, opened []byte, _ Common, _ values) (object, error) {
			if len(opened) != (len(own)+7)/8 {
				return object{}, errOpenedSet
			}
			var list []byte
			size := 0
			for i, e := range own {
				if opened[i/8]>>(i%8)&1 == 0 {
					continue
				}
				list = append(list, "[,"[min(size, 1)])
				size++
				if len(e.spelled) > 0 {
					list = append(list, e.spelled...)
				} else {
					list = psi.AppendJSON(list, e.item)
				}
			}
			if size == 0 {
				list = append(list, '[')
			}
			var o object
			o.put("size_intersection", size)
			o.put("intersection", json.RawMessage(append(list, ']')))
			return o, nil
		},
	}.complete(Microprotocol{
		Name:    "SetIntersection",
		Summary: "The elements that all parties have, to each in its own spelling and order.",
		Result: json.RawMessage(`{"type":"object","properties":{` +
			`"size_intersection":{"type":"integer","minimum":0,"description":"how many elements all parties have"},` +
			`"intersection":{"description":"these elements, as this party has written them, in the order of its first set","type":"array","items":` + elementSchema + `}` +
			`},"required":["size_intersection","intersection"]}`),
		ForTwo: true,
		Hops:   6, // JOIN, START, sizes, lists, returned lists, CONFIRM
		Bytes:  "48 bytes for each of the M elements of a list, dummies included; for more than two parties 82·M + 4,300 bytes, and two message steps more",
		Leakage: "Each party learns which of its elements all parties have, nothing of the other elements of others." + setEquality + setSizes +
			" Where more than two parties compute, nobody learns what some of them have in common, and any coalition of up to n-1 parties learns of the elements of all its sets together which ones all the others have; " +
			"experimental: that part is weft's own composition of published ones, without a proof of its own." +
			setTrying + " Broker and coordinator learn neither elements nor result.",
	})
}
