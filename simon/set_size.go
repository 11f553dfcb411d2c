package simon

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
)

var errOpenedSet = errors.New("what was opened was written by another version of weft: submit the computation again")

// SetIntersectionSize tells the parties how many elements all have: two alone, more with an opener.
func SetIntersectionSize() Microprotocol {
	return set{
		name: "intersection size",
		run: func(ctx context.Context, s Session, o overlap, v values) ([]byte, error) {
			var size int
			var err error
			if s.N() > 2 {
				size, err = o.sizeByOpener(ctx, s, int(v.whole("suppress_below")))
			} else {
				size, err = o.pairSize(ctx, s)
			}
			if err != nil {
				return nil, err
			}
			return binary.BigEndian.AppendUint32(nil, uint32(size)), nil
		},
		open: func(ctx context.Context, s Session, o overlap, v values) error {
			return o.openSize(ctx, s, int(v.whole("suppress_below")))
		},
		finish: finishSize,
	}.complete(Microprotocol{
		Name:    "SetIntersectionSize",
		Summary: "How many elements all parties have, and not which.",
		Result: json.RawMessage(`{"type":"object","properties":{` +
			`"size_intersection":{"type":"integer","minimum":0,"description":"how many elements all parties have"},` + notesSchema + `},"required":["size_intersection"]}`),
		ForTwo: true,
		Hops:   6, // JOIN, START, sizes, lists, returned lists, CONFIRM
		Bytes: "48 bytes for each of the M elements of a list, dummies included; for more than two parties 64·M + 100, 17.6·M + 4,100 to the opener and 32·M more from the first party, " +
			"and three message steps more",
		Leakage: "All parties learn how many elements they have in common, also where that is one, and not which." + setEquality + setSizes +
			" Of two parties, who knows all but one of the other's elements, or lists one element, learns whether the other has it." +
			" Where more than two parties compute, the coordinator is the opener: it learns the exact number of common elements, also where suppress_below hides it, and the size of the lists, nothing of the elements and nothing of what only some parties have in common. " +
			"With suppress_below t > 0 the parties learn 0 in place of a number below t; with two parties, who see the number, it hides nothing. " +
			"Any coalition of up to n-1 parties without the opener learns the announced number alone: if all but one of them list the same, it follows how many of these elements the last one has. " +
			"An opener that does not follow the protocol can announce another number. Experimental: that part is weft's own composition of published ones, without a proof of its own." +
			setTrying + " The broker learns neither elements nor result, and of two parties neither does the coordinator.",
		WithHelper: "For more than two parties. The opener together with any party: that party's intersection with the first party's set, and which of its elements are in the intersection. " +
			"Together with several parties: the same of their sets together, where all that are not among them have the elements of the intersection. " +
			"The first party is the first in the client's list of nodes. Each node's policy must list the opener.",
	})
}

func finishSize(own []setElement, opened []byte, c Common, v values) (object, error) {
	if len(opened) != 4 {
		return object{}, errOpenedSet
	}
	size := int64(binary.BigEndian.Uint32(opened))
	if size > int64(len(own)) {
		return object{}, impossible("more elements are common than this party has")
	}
	const name = "size_intersection"
	var o object
	o.put(name, size)
	switch least := v.whole("suppress_below"); {
	case c.Parties > 2 && size == 0 && least > 0:
		o.note(name, fmt.Sprintf("0 stands for fewer than %d elements, perhaps none", least))
	case c.Parties == 2 && size < least:
		o.note(name, fmt.Sprintf("fewer than %d elements (suppress_below): two parties see the number in any case", least))
	}
	return o, nil
}
