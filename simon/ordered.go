package simon

import (
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"slices"

	"github.com/weftmpc/weft/simon/encode"
)

// Values whose order counts are words, by one of two encodings.
const (
	asDoubles  = "doubles"
	asIntegers = "integers"
)

// valuesAs is the parameter that chooses the encoding.
func valuesAs() parameter {
	return choice("values", "what the data are: doubles, of which all finite ones are in exact order, or integers from -2^63+1 to 2^63-2, exact also beyond 2^53", asDoubles, asIntegers)
}

// wordOf encodes a number for its order.
func wordOf(v values, text []byte) (uint64, error) {
	if v.text("values") == asIntegers {
		x, err := encode.Integer64(text)
		return encode.OrderedInteger(x), err
	}
	x, err := encode.Double(text)
	if errors.Is(err, encode.ErrInexact) {
		err = fmt.Errorf(`%w: set the parameter "values" to "integers"`, err)
	}
	return encode.Ordered(x), err
}

// exactly is the number that a word stands for; ok is false where the pool does not have the element that was asked for.
func exactly(v values, word uint64) (x *big.Rat, ok bool) {
	if v.text("values") == asIntegers {
		if word == 0 || word == math.MaxUint64 {
			return nil, false
		}
		return new(big.Rat).SetInt64(encode.FromOrderedInteger(word)), true
	}
	x = new(big.Rat).SetFloat64(encode.FromOrdered(word)) // nil if it is not finite
	return x, x != nil
}

// element is how a result shows a selected element: an integer with all digits, or the double itself.
func element(v values, word uint64) (any, error) {
	x, ok := exactly(v, word)
	switch {
	case !ok:
		return nil, errNoElement
	case v.text("values") == asIntegers:
		return x, nil
	}
	return encode.FromOrdered(word), nil
}

// errNoElement is the outcome where the pool has no element of a rank.
var errNoElement = &OutcomeError{"the pool of all parties' values has no element of this rank: it is empty, or the rank is larger than the number of values"}

// orderedValues collects a party's values for their order.
type orderedValues struct {
	v    values
	list []uint64
}

// add adds the number in text, which stands at at.
func (w *orderedValues) add(at place, text []byte) error {
	if len(w.list) == mostOrdered {
		return at.bad("is the value number %d, and a party can give at most %d where their order counts", mostOrdered+1, mostOrdered)
	}
	x, err := wordOf(w.v, text)
	if err != nil {
		return at.bad("%s", err)
	}
	w.list = append(w.list, x)
	return nil
}

// payload is what a job stores: the words in order.
func (w *orderedValues) payload() []byte {
	slices.Sort(w.list)
	return appendWords(make([]byte, 0, 8*len(w.list)), w.list)
}

// readOrdered reads a number or a list of numbers.
func readOrdered(data io.Reader, v values) (*orderedValues, error) {
	w := &orderedValues{v: v}
	_, _, err := readRows(data, 0, func(at place, cells []cell) error {
		if cells[0].item != itemNumber {
			return at.bad("%s", cells[0].item.reason())
		}
		return w.add(at, cells[0].number)
	})
	return w, err
}

// storedWords are the words of a payload.
func storedWords(payload []byte) ([]uint64, error) {
	if len(payload)%8 != 0 {
		return nil, errors.New("the stored values are cut off: submit the computation again")
	}
	own := decodeWords(payload)
	if !slices.IsSorted(own) { // a damaged store
		return nil, errors.New("the stored values are not in order: submit the computation again")
	}
	return own, nil
}
