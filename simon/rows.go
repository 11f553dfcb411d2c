package simon

import (
	"errors"
	"fmt"
	"io"
	"math/big"
	"strconv"

	"github.com/weftmpc/weft/simon/encode"
	"github.com/weftmpc/weft/simon/ring"
)

// place is a path into the data; -1 stands for no index.
type place struct{ row, column int }

func (p place) String() string {
	path := "data"
	for _, i := range []int{p.row, p.column} {
		if i >= 0 {
			path += "[" + strconv.Itoa(i) + "]"
		}
	}
	return path
}

func (p place) bad(format string, args ...any) error {
	return &InputError{p.String(), fmt.Sprintf(format, args...)}
}

// unlisted is bad for a value that parameters do not allow.
func (p place) unlisted(format string, args ...any) error {
	return &ComparedError{&InputError{p.String(), fmt.Sprintf(format, args...)}}
}

// cell is one value of the data: a number, a text, true or false.
type cell struct {
	at     place
	item   item
	number []byte // its text; valid until the next row
	text   string
	truth  bool
}

// statEncoding is how statistics encode numbers: |x| < 5.19e13 in steps of 1e-20.
var statEncoding = encode.Decimal{Digits: 20, Bits: 112}

// statLimbs is room for one number in statEncoding.
const statLimbs = 2

// decimal sets q to the number in encoding d, as a signed integer in units of 10^-d.Digits.
func (c cell) decimal(q *big.Int, d encode.Decimal) error {
	if c.item != itemNumber {
		return c.at.bad("%s", c.item.reason())
	}
	var limbs [4]uint64 // 256 bits, more than any encoding has
	if err := d.Encode(limbs[:], c.number); err != nil {
		return c.at.bad("%s", err)
	}
	setSigned(q, limbs[:])
	return nil
}

// setSigned sets q to the two's complement number in limbs, lowest first, and destroys limbs.
func setSigned(q *big.Int, limbs []uint64) {
	negative := limbs[len(limbs)-1]>>63 == 1
	if negative {
		carry := uint64(1)
		for i := range limbs {
			limbs[i] = ^limbs[i] + carry
			if limbs[i] != 0 {
				carry = 0
			}
		}
	}
	words := q.Bits()[:0]
	for _, l := range limbs {
		if strconv.IntSize == 32 {
			words = append(words, big.Word(l&0xffffffff), big.Word(l>>32))
		} else {
			words = append(words, big.Word(l))
		}
	}
	q.SetBits(words)
	if negative {
		q.Neg(q)
	}
}

// category reads a text, a whole number, true or false as a category.
func (c cell) category() (encode.Category, error) {
	var k encode.Category
	var err error
	switch c.item {
	case itemText:
		k, err = encode.NewText(c.text)
	case itemBoolean:
		k = encode.NewBoolean(c.truth)
	case itemNumber:
		k, err = encode.NewInteger(c.number)
	case itemNull:
		err = errors.New("is null: leave missing values out")
	case itemObject, itemOpen:
		err = errors.New("is no category: give text, a whole number, true or false")
	default:
		err = errors.New(c.item.reason())
	}
	if err != nil {
		return k, c.at.bad("%s", err)
	}
	return k, nil
}

// event reads 0, 1, true or false.
func (c cell) event() (bool, error) {
	switch {
	case c.item == itemBoolean:
		return c.truth, nil
	case c.item == itemNumber:
		k, err := encode.NewInteger(c.number)
		if err == nil && k.Text == "0" {
			return false, nil
		}
		if err == nil && k.Text == "1" {
			return true, nil
		}
	}
	return false, c.at.bad("must be 0, 1, true or false")
}

// readRows reads data as a list of rows of one width and calls row for each. The cells and their texts are valid until row
// returns. Width 0 stands for plain values instead of rows: each is a row of one cell. With width 1 both are possible. A
// negative width is that of the first row, at least 1 and at most -width. It returns the number of rows and their width (as
// given, where there are none). A value where a list of values is meant is a list of one.
func readRows(data io.Reader, width int, row func(at place, cells []cell) error) (rows, cells int, err error) {
	t := &table{r: newNumberReader(data), width: width, row: row}
	if err := t.read(); err != nil {
		return 0, 0, err
	}
	return t.rows, t.width, nil
}

// table is data on their way through readRows.
type table struct {
	r     *numberReader
	width int
	row   func(at place, cells []cell) error
	rows  int
	cells []cell
	texts []byte // of the numbers in cells
}

func (t *table) read() error {
	top := place{-1, -1}
	it, err := t.r.next()
	if err != nil {
		return err
	}
	switch it {
	case itemNumber, itemText, itemBoolean:
		if t.width > 1 || t.width < 0 {
			return top.bad("must be a list of lists, one for each sample")
		}
		err = t.plain(top, it)
	case itemOpen:
		err = t.r.list(top, func(i int, it item) error {
			at := place{i, -1}
			switch {
			case it == itemOpen && t.width != 0:
				return t.wide(at)
			case t.width == 0 || t.width == 1:
				return t.plain(at, it)
			case it == itemNumber || it == itemText || it == itemBoolean:
				return at.bad("is a single value: give a list%s for each sample", t.wanted())
			}
			return at.bad("%s", it.reason())
		})
	default:
		err = top.bad("%s", it.reason())
	}
	if err != nil {
		return err
	}
	if it, err = t.r.next(); err != nil {
		return err
	}
	if it != itemEnd {
		return top.bad("has more text after the value: give one list")
	}
	return nil
}

func (t *table) wanted() string {
	if t.width > 0 {
		return fmt.Sprintf(" of %d values", t.width)
	}
	return ""
}

// plain is a value that is a row of its own. What stands there may be wrong: the row's reader says what it wanted.
func (t *table) plain(at place, it item) error {
	t.cells, t.texts = t.cells[:0], t.texts[:0]
	t.add(at, it)
	t.rows++
	return t.row(at, t.cells)
}

// wide is a row whose opening bracket is read.
func (t *table) wide(at place) error {
	t.cells, t.texts = t.cells[:0], t.texts[:0]
	most := t.width
	if most < 0 {
		most = -most
	}
	err := t.r.list(at, func(i int, it item) error {
		if i == most {
			if t.width < 0 {
				return at.bad("is longer than %d values", most)
			}
			return at.bad("has more than %d values: all rows have that many", most)
		}
		t.add(place{at.row, i}, it)
		switch it {
		case itemOpen:
			return t.cells[i].at.bad("is a list: give plain values")
		case itemNaN, itemInfinity, itemObject, itemOther: // only begun: what follows is no comma
			return t.cells[i].at.bad("%s", it.reason())
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case len(t.cells) == 0:
		return at.bad("is an empty list: give its values, or leave it out")
	case t.width < 0:
		t.width = len(t.cells)
	case len(t.cells) < t.width:
		return at.bad("has fewer than %d values: all rows have that many", t.width)
	}
	t.rows++
	return t.row(at, t.cells)
}

func (t *table) add(at place, it item) {
	c := cell{at: at, item: it, text: t.r.text, truth: t.r.truth}
	if it == itemNumber {
		from := len(t.texts)
		t.texts = append(t.texts, t.r.number...)
		c.number = t.texts[from:len(t.texts):len(t.texts)]
	}
	t.cells = append(t.cells, c)
}

// list reads the elements of a list whose opening bracket is read, calling element with the first item of each.
func (n *numberReader) list(at place, element func(i int, it item) error) error {
	for i := 0; ; i++ {
		it, err := n.next()
		if err != nil {
			return err
		}
		switch {
		case it == itemClose && i == 0:
			return nil
		case it == itemComma || it == itemClose:
			return at.bad("is not valid JSON: no value at index %d", i)
		case it == itemEnd:
			return at.bad("ends without its closing bracket")
		}
		if err := element(i, it); err != nil {
			return err
		}
		if it, err = n.next(); err != nil {
			return err
		}
		switch it {
		case itemComma:
		case itemClose:
			return nil
		case itemEnd:
			return at.bad("ends without its closing bracket")
		default:
			return at.bad("is not valid JSON: no comma or closing bracket after index %d", i)
		}
	}
}

// setInt sets an element of x to a sum of at most maxSamples checked values, for which the layout has room.
func setInt(x ring.Vector, field, i int, sum *big.Int) {
	if err := x.SetInt(field, i, sum); err != nil {
		panic(err)
	}
}

// limbsFor is how many limbs hold the signed sum of 2^40 values below 2^bits, and 8 bits to spare.
func limbsFor(bits int) int { return (bits + 48 + 63) / 64 }
