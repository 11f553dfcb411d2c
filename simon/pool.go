package simon

import (
	"io"
	"math/bits"

	"github.com/weftmpc/weft/simon/ring"
)

// pool adds a party's own numbers while it reads them. A body would need terabytes to exceed what the sums can hold.
type pool struct {
	r        *numberReader
	columns  int        // numbers per row, 0 for plain numbers, -1 until the first row is seen
	explicit bool       // columns is a parameter
	samples  uint64     // rows so far
	sums     [][]uint64 // sumLimbs words per column, two's complement, in blocks, so that a long row is never copied to grow
	width    int        // columns there is room for
}

// sumBlock is how many columns one block of sums has.
const sumBlock = 8 << 10

// readPool reads numbers, or lists of as many numbers as the parameter columns says. Where it says nothing, the first row
// does, and readPool sets the parameter.
func readPool(data io.Reader, v values) (*pool, error) {
	p := &pool{r: newNumberReader(data), columns: -1}
	if v.has("columns") {
		p.columns, p.explicit = int(v.whole("columns")), true
		p.fix(max(1, p.columns))
	}
	if err := p.read(); err != nil {
		return nil, err
	}
	v["columns"] = int64(p.columns)
	return p, nil
}

// store writes what was read into a vector of sumLayout.
func (p *pool) store(x ring.Vector) {
	x.SetLimbs(fieldSamples, 0, []uint64{p.samples})
	for i := range max(1, p.columns) {
		x.SetLimbs(fieldSum, i, p.sum(i))
	}
}

// grow makes room for columns 0..n-1.
func (p *pool) grow(n int) {
	for ; p.width < n; p.width += sumBlock {
		p.sums = append(p.sums, make([]uint64, sumLimbs*sumBlock))
	}
}

// fix makes room for columns 0..n-1 and no more.
func (p *pool) fix(n int) {
	for p.width = n; n > 0; n -= sumBlock {
		p.sums = append(p.sums, make([]uint64, sumLimbs*min(n, sumBlock)))
	}
}

// sum is the sum of a column, in place.
func (p *pool) sum(column int) []uint64 {
	return p.sums[column/sumBlock][sumLimbs*(column%sumBlock):][:sumLimbs]
}

// read adds up all data.
func (p *pool) read() error {
	top := place{-1, -1}
	it, err := p.r.next()
	if err != nil {
		return err
	}
	switch it {
	case itemNumber: // a scalar where a list is meant is a list of one
		err = p.plain(top)
	case itemOpen:
		err = p.r.list(top, func(i int, it item) error {
			at := place{i, -1}
			switch it {
			case itemNumber:
				return p.plain(at)
			case itemOpen:
				return p.row(at)
			}
			return at.bad("%s", it.reason())
		})
	default:
		err = top.bad("%s", it.reason())
	}
	if err != nil {
		return err
	}
	if it, err = p.r.next(); err != nil {
		return err
	}
	if it != itemEnd {
		return top.bad("has more text after the value: give one number or one list")
	}
	if p.columns < 0 { // an empty list
		p.columns = 0
		p.fix(1)
	}
	return nil
}

// plain adds a number that is a sample of its own.
func (p *pool) plain(at place) error {
	switch {
	case p.columns < 0:
		p.columns = 0
		p.fix(1)
	case p.columns == 0:
	case p.columns == 1 && p.explicit: // R writes a list of one number as a number
	case p.explicit:
		return at.bad("is a number, but parameters.columns is %d: give lists of %d numbers", p.columns, p.columns)
	default:
		return at.bad("is a number, but data[0] is a list: give either numbers or lists of numbers")
	}
	p.samples++
	return p.add(0, at)
}

// row adds a list of numbers whose opening bracket is read.
func (p *pool) row(at place) error {
	if p.columns == 0 {
		if p.explicit {
			return at.bad("is a list, but parameters.columns is 0: give numbers, or set columns to the length of the lists")
		}
		return at.bad("is a list, but data[0] is a number: give either numbers or lists of numbers")
	}
	length := 0
	err := p.r.list(at, func(i int, it item) error {
		in := place{at.row, i}
		if it != itemNumber {
			return in.bad("%s", it.reason())
		}
		if length++; p.columns >= 0 && length > p.columns {
			return p.ragged(at, "more")
		}
		if p.columns < 0 {
			if length > maxColumns {
				return at.bad("is longer than %d numbers: split the computation", maxColumns)
			}
			p.grow(length)
		}
		return p.add(i, in)
	})
	switch {
	case err != nil:
		return err
	case length == 0:
		return at.bad("is an empty list: give at least one number, or leave it out")
	case p.columns < 0:
		p.columns = length
	case length < p.columns:
		return p.ragged(at, "fewer")
	}
	p.samples++
	return nil
}

func (p *pool) ragged(at place, how string) error {
	model := "data[0] has"
	if p.explicit {
		model = "parameters.columns says"
	}
	return at.bad("has %s numbers than the %d that %s: all lists must have one length", how, p.columns, model)
}

// add adds the number that was just read to a column.
func (p *pool) add(column int, at place) error {
	var q [sumLimbs]uint64
	if err := sumEncoding.Encode(q[:], p.r.number); err != nil {
		return at.bad("%s", err)
	}
	sum := p.sum(column)
	var carry uint64
	for k := range sum {
		sum[k], carry = bits.Add64(sum[k], q[k], carry)
	}
	return nil
}
