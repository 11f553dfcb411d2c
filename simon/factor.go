package simon

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/weftmpc/weft/simon/encode"
	"github.com/weftmpc/weft/simon/matrix"
)

// matrixEncoding is how matrices encode numbers: |x| < 1.26e12 in steps of 1e-18. Sums of 2^24 products take 225 bits.
var matrixEncoding = encode.Decimal{Digits: 18, Bits: 100}

// factorBytes is what a stored element takes: a two's complement number of 128 bits.
const factorBytes = 16

// factor is a matrix that a party gives, as its job stores it.
type factor struct {
	rows, columns int
	elements      []byte // row after row
}

// factorReader reads one matrix: a list of rows, the same in a list of one, or a list of numbers, which is a column.
type factorReader struct {
	factor
	n     *numberReader
	depth int // of lists: 1 to 3; 0: not known yet
}

func readFactor(data io.Reader) (factor, error) {
	r := &factorReader{n: newNumberReader(data)}
	top := place{-1, -1}
	it, err := r.n.next()
	if err != nil {
		return r.factor, err
	}
	switch it {
	case itemNumber: // a number where a list is meant is a list of one
		r.depth = 1
		err = r.element(it, 0)
		r.rows, r.columns = 1, 1
	case itemOpen:
		err = r.n.list(top, r.outer)
	default:
		err = top.bad("%s", it.reason())
	}
	if err != nil {
		return r.factor, err
	}
	if it, err = r.n.next(); err != nil {
		return r.factor, err
	}
	switch {
	case it != itemEnd:
		return r.factor, top.bad("has more text after the value: give one matrix")
	case r.rows == 0:
		return r.factor, top.bad("has no rows: give a matrix, such as [[1, 2], [3, 4]]")
	}
	return r.factor, nil
}

// bad is an error at a path of indexes.
func (r *factorReader) bad(format string, a []any, at ...int) error {
	var path strings.Builder
	path.WriteString("data")
	for _, i := range at {
		fmt.Fprintf(&path, "[%d]", i)
	}
	return &InputError{path.String(), fmt.Sprintf(format, a...)}
}

// is fails unless lists have been as deep so far.
func (r *factorReader) is(depth int, at ...int) error {
	if r.depth == 0 {
		r.depth = depth
	}
	if r.depth != depth {
		return r.bad("stands among others of another depth: give a list of rows, and each row as a list of numbers", nil, at...)
	}
	return nil
}

// outer reads an element of the outermost list.
func (r *factorReader) outer(i int, it item) error {
	if it != itemOpen {
		if err := r.is(1, i); err != nil {
			return err
		}
		if err := r.element(it, i); err != nil {
			return err
		}
		r.rows, r.columns = r.rows+1, 1
		return nil
	}
	width := 0
	err := r.n.list(place{i, -1}, func(j int, it item) error {
		if it == itemOpen {
			if err := r.is(3, i, j); err != nil {
				return err
			}
			if i > 0 {
				return r.bad("is a second matrix: give one", nil, i)
			}
			return r.row(i, j)
		}
		if err := r.is(2, i, j); err != nil {
			return err
		}
		width++
		return r.element(it, i, j)
	})
	if err != nil || r.depth == 3 && width == 0 && i == 0 {
		return err
	}
	return r.end(width, i)
}

// row reads a row of a matrix that stands in a list.
func (r *factorReader) row(i, j int) error {
	width := 0
	err := r.n.list(place{i, j}, func(k int, it item) error {
		width++
		return r.element(it, i, j, k)
	})
	if err != nil {
		return err
	}
	return r.end(width, i, j)
}

// end counts a row of so many elements.
func (r *factorReader) end(width int, at ...int) error {
	switch {
	case width == 0:
		return r.bad("is an empty list: give its numbers, or leave it out", nil, at...)
	case r.rows > 0 && width != r.columns:
		return r.bad("has %d numbers, and the rows before it have %d: all rows have one length", []any{width, r.columns}, at...)
	}
	r.rows, r.columns = r.rows+1, width
	return nil
}

// element stores a number.
func (r *factorReader) element(it item, at ...int) error {
	if it != itemNumber {
		return r.bad("%s", []any{it.reason()}, at...)
	}
	if len(r.elements) == matrix.Most*factorBytes {
		return r.bad("is beyond the %d elements that a matrix may have", []any{matrix.Most}, at...)
	}
	var q [factorBytes / 8]uint64
	if err := matrixEncoding.Encode(q[:], r.n.number); err != nil {
		return r.bad("%s", []any{err}, at...)
	}
	r.elements = appendWords(r.elements, q[:])
	return nil
}

// stored is the factor as a job keeps it: version, rows, columns, elements.
func (f factor) stored() []byte {
	b := make([]byte, 0, 9+len(f.elements))
	b = binary.LittleEndian.AppendUint32(append(b, inputVersion), uint32(f.rows))
	b = binary.LittleEndian.AppendUint32(b, uint32(f.columns))
	return append(b, f.elements...)
}

func storedFactor(input []byte) (factor, error) {
	bad := errors.New("the stored input was written by another version of weft: submit the computation again")
	if len(input) < 9 || input[0] != inputVersion {
		return factor{}, bad
	}
	f := factor{int(binary.LittleEndian.Uint32(input[1:])), int(binary.LittleEndian.Uint32(input[5:])), input[9:]}
	if matrix.Check(f.rows, f.columns) != nil || len(f.elements) != f.rows*f.columns*factorBytes {
		return factor{}, bad
	}
	return f, nil
}

// element writes element i, counted row after row, to limbs of matrix.Limbs words.
func (f factor) element(i int, limbs []uint64) {
	low, high := binary.LittleEndian.Uint64(f.elements[factorBytes*i:]), binary.LittleEndian.Uint64(f.elements[factorBytes*i+8:])
	sign := uint64(int64(high) >> 63)
	limbs[0], limbs[1], limbs[2], limbs[3] = low, high, sign, sign
}

// matrix is the factor as elements mod 2^256.
func (f factor) matrix() matrix.Matrix {
	m := matrix.New(f.rows, f.columns)
	for i := range f.rows * f.columns {
		f.element(i, m.Limbs(i/f.columns, i%f.columns))
	}
	return m
}
