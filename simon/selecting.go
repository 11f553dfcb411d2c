package simon

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/weftmpc/weft/simon/ring"
)

// selecting is what statistics consist of that select elements of the pool of all parties' values.
type selecting struct {
	own []parameter
	// find is the selection in a pool of n values; n is 0 where the number of values is not opened. Its shape is the same for
	// every n.
	find func(v values, n int64) selection
	// counted says whether the number of values is opened, before the elements are selected; nil: it is not, it is compared
	// with what is asked for.
	counted func(v values) bool
	// read is as in statistic, of words in ascending order; nil: readForOrder.
	read func(data io.Reader, v values) (payload []byte, samples int, err error)
	// finish computes the result from the selected words; n is 0 where it is not opened.
	finish func(v values, found []uint64, n int64) (object, error)
}

func (t selecting) statistic() statistic {
	counts := func(v values) bool { return t.counted != nil && t.counted(v) }
	find := func(v values, n int64) selection {
		sel := t.find(v, n)
		sel.mode = v.text("mode")
		return sel
	}
	st := statistic{
		own:   append(slices.Clone(t.own), modes()),
		modes: true,
		opener: func(ctx context.Context, s Session, v values) error {
			return find(v, 1).open(ctx, s)
		},
		helped: func(v values) bool { return find(v, 1).hidden() },
		order:  func(values) int { return 1 },
		layout: func(v values) (ring.Layout, error) {
			sel := find(v, 1)
			return wordsLayout(len(sel.wanted)), sel.check()
		},
		read: t.read,
		run: func(ctx context.Context, s Session, v values, payload []byte) ([]byte, error) {
			if !counts(v) {
				found, err := runSelection(ctx, s, find(v, 0), payload)
				return appendWords(nil, found), err
			}
			n, err := openCount(ctx, s, len(payload)/8)
			if err != nil {
				return nil, err
			}
			// The compared sums have room for ranks in pools that can be; and who has told the check of the pool of more samples than
			// there are, be it an opener, gets no element.
			if n > mostPooled || checked(v) && n < v.whole("least_samples") {
				return nil, impossible("the number of samples is not one that was checked before")
			}
			found, err := runSelection(ctx, s, find(v, n), payload)
			return appendWords(nil, append(found, uint64(n))), err
		},
		deal: func(ctx context.Context, s Session, seats gateSeats, v values) error {
			return find(v, 1).deal(ctx, s, seats)
		},
		secret: func(v values) bool { return !counts(v) },
		finish: func(v values, _ int, opened []byte) (object, error) {
			wanted := len(t.find(v, 1).wanted)
			if !counts(v) {
				found, err := openedWords(opened, wanted)
				if err != nil {
					return object{}, err
				}
				return t.finish(v, found, 0)
			}
			x, err := openedWords(opened, wanted+1)
			if err != nil {
				return object{}, err
			}
			if x[wanted] > mostPooled {
				return object{}, impossible("a number of samples is impossible")
			}
			return t.finish(v, x[:wanted], int64(x[wanted]))
		},
	}
	if st.read == nil {
		st.read = readForOrder
	}
	return st
}

// readForOrder reads numbers whose order counts.
func readForOrder(data io.Reader, v values) ([]byte, int, error) {
	w, err := readOrdered(data, v)
	if err != nil {
		return nil, 0, err
	}
	return w.payload(), len(w.list), nil
}

// runSelection is a party's part in a selection from its stored values.
func runSelection(ctx context.Context, s Session, sel selection, payload []byte) ([]uint64, error) {
	own, err := storedWords(payload)
	if err != nil {
		return nil, err
	}
	if !sel.hidden() {
		return sel.run(ctx, s, gateSeats{}, own)
	}
	seats, err := gateSeatsOf(s)
	if err != nil {
		return nil, err
	}
	return sel.run(ctx, s, seats, own)
}

// openedWords takes what was opened apart: n words.
func openedWords(opened []byte, n int) ([]uint64, error) {
	if len(opened) != 8*n {
		return nil, fmt.Errorf("%d bytes were opened, want %d", len(opened), 8*n)
	}
	return decodeWords(opened), nil
}

const orderedSchema = `{"anyOf":[{"type":"number"},{"type":"array","items":{"type":"number"}}]}`
