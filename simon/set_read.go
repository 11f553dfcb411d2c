package simon

import (
	"errors"
	"io"
	"slices"

	"github.com/weftmpc/weft/simon/encode"
	"github.com/weftmpc/weft/simon/psi"
)

// setElement is one element of a party's set.
type setElement struct {
	item    []byte // its encoding: equal elements have equal ones
	spelled []byte // as the party has written it, in JSON
}

// setReader reads a party's sets.
type setReader struct {
	n     *numberReader
	sets  int            // begun so far
	index map[string]int // into all
	all   []setElement   // of the first set, as they came
	in    []int          // by element: in how many sets, one after the other, it has been
}

// readSets reads a set, or a list of sets, and returns the different elements that all of them have, spelled and ordered
// as in the first.
func readSets(data io.Reader) ([]setElement, error) {
	r := &setReader{n: newNumberReader(data), index: map[string]int{}}
	top := place{-1, -1}
	flat := false // plain elements stand in the list
	it, err := r.n.next()
	if err != nil {
		return nil, err
	}
	switch it {
	case itemOpen:
		err = r.n.list(top, func(i int, it item) error {
			at := place{i, -1}
			if i == 0 {
				flat = it != itemOpen
				if flat {
					r.sets++
				}
			}
			switch {
			case flat && it == itemOpen:
				return at.bad("is a list beside plain values: give one list of plain values, or a list of sets, where elements may be lists")
			case flat:
				return r.add(at, it)
			case it != itemOpen:
				return at.bad("is no list, and what is before it is one: give one list of plain values, or a list of sets")
			}
			r.sets++
			return r.n.list(at, func(k int, it item) error { return r.add(place{i, k}, it) })
		})
	default:
		r.sets++
		err = r.add(top, it)
	}
	if err != nil {
		return nil, err
	}
	if it, err = r.n.next(); err != nil {
		return nil, err
	}
	if it != itemEnd {
		return nil, top.bad("has more text after the value: give one list")
	}
	common := r.all[:0]
	for i, e := range r.all {
		if r.in[i] == r.sets {
			common = append(common, e)
		}
	}
	return common, nil
}

// add takes an element whose first item is read into the present set.
func (r *setReader) add(at place, it item) error {
	e, err := r.element(at, it)
	if err != nil {
		return err
	}
	if len(e.spelled) > maxSpelled {
		return at.bad("%s", psi.ErrLong)
	}
	i, known := r.index[string(e.item)]
	switch {
	case known && r.in[i] == r.sets-1:
		r.in[i]++
	case !known && r.sets == 1:
		if len(r.all) == mostList {
			return place{-1, -1}.bad("has more than %d different elements", mostList)
		}
		r.index[string(e.item)] = len(r.all)
		r.all, r.in = append(r.all, e), append(r.in, 1)
	}
	return nil
}

// maxSpelled bounds the JSON of one element, which is stored after its length in two bytes. One byte of text has six at most.
const maxSpelled = 1<<16 - 1

// element reads an element whose first item is read.
func (r *setReader) element(at place, it item) (e setElement, err error) {
	if it != itemOpen {
		return r.plain(at, it)
	}
	var parts [][]byte
	e.spelled = []byte{'['}
	err = r.n.list(at, func(i int, it item) error {
		if it == itemOpen {
			return at.bad("is a list with a list in it: an element is a plain value or a list of plain values")
		}
		p, err := r.plain(at, it)
		if err != nil {
			return err
		}
		if i > 0 {
			e.spelled = append(e.spelled, ',')
		}
		parts, e.spelled = append(parts, p.item), append(e.spelled, p.spelled...)
		if len(e.spelled) > maxSpelled {
			return at.bad("%s", psi.ErrLong)
		}
		return nil
	})
	if err != nil {
		return e, err
	}
	e.spelled = append(e.spelled, ']')
	if e.item, err = psi.AppendList(nil, parts...); err != nil {
		return e, at.bad("%s", err)
	}
	return e, nil
}

// plain is an element that is a text, a whole number, true or false.
func (r *setReader) plain(at place, it item) (e setElement, err error) {
	switch it {
	case itemText:
		e.item, err = psi.AppendText(nil, r.n.text)
		e.spelled = appendString(nil, r.n.text)
	case itemNumber:
		e.item, err = psi.AppendInteger(nil, r.n.number)
		e.spelled = slices.Clone(r.n.number)
	case itemBoolean:
		e.item = psi.AppendBoolean(nil, r.n.truth)
		e.spelled = []byte(encode.NewBoolean(r.n.truth).Text)
	case itemNull:
		err = errors.New("is null: leave missing values out")
	case itemObject:
		err = errors.New("is an object: give text, whole numbers, true or false, or lists of these")
	default:
		err = errors.New(it.reason())
	}
	if err != nil {
		return e, at.bad("%s", err)
	}
	return e, nil
}
