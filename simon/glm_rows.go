package simon

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"math/bits"

	"github.com/weftmpc/weft/simon/ring"
)

// satDigits is the grid of the saturated model's log-likelihood: each count's share is rounded to a multiple of 1e-18.
const satDigits = 18

// read makes the private payload: the party's sums of its columns, then its rows, each y, exposure and columns.
func (g glm) read(data io.Reader, v values) ([]byte, int, error) {
	var sums glmSums
	var rows blocks
	exposure := v.truth("exposure")
	extra := 1
	if exposure {
		extra++
	}
	n, err := readMatrix(data, v, extra, maxModel, func(columns int, cells []cell) error {
		if sums.rows++; sums.rows*columns > maxCells {
			return cells[0].at.bad("comes after %d values: that is as many as a party may have", maxCells)
		}
		if !rows.room() {
			return cells[0].at.bad("comes after rows that take %d MiB: that is as much as a party may store; give fewer rows, fewer columns, or numbers of fewer digits", mostRows>>20)
		}
		y, err := g.outcome(cells[0])
		if err != nil {
			return err
		}
		sums.y += y // below 2^46·2^24
		rows.last = binary.AppendUvarint(rows.last, y)
		if g.counts {
			sums.saturated.add(y)
		}
		x := cells[1:]
		if exposure {
			last := len(x) - 1
			t, err := x[last].grid()
			if err != nil {
				return err
			}
			if t.zero() || t.negative {
				return x[last].at.bad("must be more than 0: it is the exposure")
			}
			addTo(sums.exposure[:], t.magnitude[:], false)
			rows.last = appendGrid(rows.last, t)
			x = x[:last]
		}
		return sums.add(x, &rows.last)
	})
	if err != nil {
		return nil, 0, err
	}
	d := g.design(v)
	return rows.behind(sums.vector(d).Bytes()), n, nil
}

// mostRows is how many bytes a party's rows may have. A job stores up to 64 MiB, and while it is prepared there are three
// copies of them.
const mostRows = 48 << 20

// blocks are bytes that become more without being copied, which for so many would take as much memory again.
type blocks struct {
	full [][]byte
	size int    // of full
	last []byte // what is appended to
}

const (
	blockSize = 1 << 20
	widestRow = (maxModel + 2) * 17 // bytes: 17 are the most that appendGrid appends
)

// room makes room for one more row, if there may be one.
func (b *blocks) room() bool {
	if b.size+len(b.last) > mostRows-widestRow {
		return false
	}
	if cap(b.last)-len(b.last) < widestRow {
		if b.size += len(b.last); b.last != nil {
			b.full = append(b.full, b.last)
		}
		b.last = make([]byte, 0, blockSize)
	}
	return true
}

// behind is head and all bytes, which b gives away.
func (b *blocks) behind(head []byte) []byte {
	all := append(make([]byte, 0, len(head)+b.size+len(b.last)), head...)
	for _, block := range b.full {
		all = append(all, block...)
	}
	all = append(all, b.last...)
	*b = blocks{}
	return all
}

// outcome reads y.
func (g glm) outcome(c cell) (uint64, error) {
	if !g.counts {
		event, err := c.event()
		if event {
			return 1, err
		}
		return 0, err
	}
	q, err := c.grid()
	if err != nil {
		return 0, err
	}
	high, low := q.magnitude[1], q.magnitude[0]
	const half = 1e10 // 10^20 is its square
	r, whole := uint64(0), [2]uint64{high, low}
	for range 2 {
		var rest uint64
		whole[0], rest = bits.Div64(0, whole[0], half)
		whole[1], rest = bits.Div64(rest, whole[1], half)
		r |= rest
	}
	if q.negative || r != 0 {
		return 0, c.at.bad("must be a whole number of at least 0: it counts events")
	}
	return whole[1], nil
}

// glmSums are a party's own sums of the columns.
type glmSums struct {
	rows      int
	y         uint64
	exposure  [3]uint64
	saturated saturation
	x         [][3]uint64
	squares   [][5]uint64
}

// add adds a row's columns and appends them to the rows.
func (s *glmSums) add(x []cell, rows *[]byte) error {
	if s.x == nil {
		s.x, s.squares = make([][3]uint64, len(x)), make([][5]uint64, len(x))
	}
	for i, c := range x {
		q, err := c.grid()
		if err != nil {
			return err
		}
		var square [2 * statLimbs]uint64
		multiply(square[:], q.magnitude[:], q.magnitude)
		addTo(s.x[i][:], q.magnitude[:], q.negative)
		addTo(s.squares[i][:], square[:], false)
		*rows = appendGrid(*rows, q)
	}
	return nil
}

func (s *glmSums) vector(d glmDesign) ring.Vector {
	v := ring.New(d.columnLayout())
	v.SetLimbs(columnSamples, 0, []uint64{uint64(s.rows)})
	setInt(v, columnOutcome, 0, new(big.Int).SetUint64(s.y))
	field := columnOthers
	if d.exposure {
		v.SetLimbs(field, 0, s.exposure[:])
		field++
	}
	if d.counts {
		setInt(v, field, 0, s.saturated.total())
		field++
	}
	for i := range s.x {
		v.SetLimbs(field, i, s.x[i][:])
		v.SetLimbs(field+1, i, s.squares[i][:])
	}
	return v
}

// A number on the grid is stored as m·10^e with the largest e up to 31: a byte of e and flags, then m, as a variable-length
// integer or, from 2^64 on, in 16 bytes.
const (
	gridExponent = 1<<5 - 1
	gridNegative = 1 << 5
	gridWide     = 1 << 6
)

func appendGrid(dst []byte, q gridNumber) []byte {
	e := byte(0)
	high, low := q.magnitude[1], q.magnitude[0]
	for step := byte(16); step > 0 && high|low != 0; step /= 2 {
		if low&(1<<step-1) != 0 { // no multiple of that power of 2, so none of the one of 10
			continue
		}
		ten := wordTens[step]
		h, r := bits.Div64(0, high, ten)
		l, r := bits.Div64(r, low, ten)
		if r == 0 {
			high, low, e = h, l, e+step
		}
	}
	if q.negative {
		e |= gridNegative
	}
	if high == 0 {
		return binary.AppendUvarint(append(dst, e), low)
	}
	dst = append(dst, e|gridWide)
	return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(dst, low), high)
}

// wordTens are the powers of ten that fit into a word.
var wordTens = func() (p [20]uint64) {
	p[0] = 1
	for i := 1; i < len(p); i++ {
		p[i] = 10 * p[i-1]
	}
	return p
}()

var errStored = errors.New("the stored input is cut off")

func nextGrid(b []byte) (q gridNumber, rest []byte, err error) {
	if len(b) == 0 {
		return q, nil, errStored
	}
	flags := b[0]
	b = b[1:]
	if flags&gridWide != 0 {
		if len(b) < 16 {
			return q, nil, errStored
		}
		q.magnitude = [2]uint64{binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])}
		b = b[16:]
	} else {
		m, n := binary.Uvarint(b)
		if n <= 0 {
			return q, nil, errStored
		}
		q.magnitude[0], b = m, b[n:]
	}
	q.negative = flags&gridNegative != 0
	for e := flags & gridExponent; e > 0; {
		step := min(e, 16)
		h, l := bits.Mul64(q.magnitude[0], wordTens[step])
		q.magnitude = [2]uint64{l, h + q.magnitude[1]*wordTens[step]}
		e -= step
	}
	return q, b, nil
}

// double is q as the nearest double, in units of the grid.
func (q gridNumber) double() float64 {
	x := float64(q.magnitude[0])
	if high := q.magnitude[1]; high != 0 {
		// The highest 64 bits, with the lowest of them set if any below is: that rounds as all of them would.
		shift := bits.LeadingZeros64(high)
		top := high<<shift | q.magnitude[0]>>(64-shift)
		if q.magnitude[0]<<shift != 0 {
			top |= 1
		}
		x = math.Ldexp(float64(top), 64-shift)
	}
	if q.negative {
		return -x
	}
	return x
}

// less is q-m, where m is in the range of the grid.
func (q gridNumber) less(m gridNumber) gridNumber {
	a, b := q.magnitude, m.magnitude
	if q.negative != m.negative {
		low, c := bits.Add64(a[0], b[0], 0)
		return gridNumber{[2]uint64{low, a[1] + b[1] + c}, q.negative}
	}
	low, borrow := bits.Sub64(a[0], b[0], 0)
	high, borrow := bits.Sub64(a[1], b[1], borrow)
	if borrow == 1 {
		low, borrow = bits.Sub64(0, low, 0)
		high, _ = bits.Sub64(0, high, borrow)
		return gridNumber{[2]uint64{low, high}, !q.negative}
	}
	return gridNumber{[2]uint64{low, high}, q.negative}
}

// gridOf is an integer in the range of the grid, in its units.
func gridOf(x *big.Int) gridNumber {
	a := new(big.Int).Abs(x)
	high := new(big.Int).Rsh(a, 64)
	return gridNumber{[2]uint64{a.And(a, new(big.Int).SetUint64(math.MaxUint64)).Uint64(), high.Uint64()}, x.Sign() < 0}
}

// sampleTable is a party's standardised rows.
type sampleTable struct {
	y, exposure []float64 // exposure is 1 where the model has none
	z           []float64 // rows of as many as there are coefficients
}

// mostZ bounds standardised values: by Samuelson's inequality no value of n ≤ 2^31 is √n standard deviations away from the
// mean. Only false sums of another party can lead beyond.
const mostZ = 1 << 16

// table standardises the rows of a payload.
func (d glmDesign) table(ctx context.Context, rows int, b []byte, columns []scaling) (*sampleTable, error) {
	t := &sampleTable{y: make([]float64, rows), exposure: make([]float64, rows), z: make([]float64, 0, rows*d.order())}
	means := make([]gridNumber, len(columns))
	for i, c := range columns {
		means[i] = gridOf(c.mean)
	}
	var q gridNumber
	var err error
	for i := range rows {
		if i%glmPause == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		y, n := binary.Uvarint(b)
		if n <= 0 {
			return nil, errStored
		}
		t.y[i], t.exposure[i], b = float64(y), 1, b[n:]
		if d.exposure {
			if q, b, err = nextGrid(b); err != nil {
				return nil, err
			}
			t.exposure[i] = q.double() / 1e20
		}
		if d.intercept {
			t.z = append(t.z, 1)
		}
		for j, c := range columns {
			if q, b, err = nextGrid(b); err != nil {
				return nil, err
			}
			z := math.Ldexp(q.less(means[j]).double(), -c.exponent)
			t.z = append(t.z, max(-mostZ, min(mostZ, z)))
		}
	}
	if len(b) != 0 {
		return nil, fmt.Errorf("the stored input has %d bytes too many", len(b))
	}
	return t, nil
}

// glmPause is after how many rows a computation looks whether it has been called off.
const glmPause = 4096

func appendDoubles(b []byte, x []float64) []byte {
	for _, v := range x {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
	}
	return b
}

func doubles(b []byte) []float64 {
	x := make([]float64, 0, len(b)/8)
	for ; len(b) >= 8; b = b[8:] {
		x = append(x, math.Float64frombits(binary.LittleEndian.Uint64(b)))
	}
	return x
}
