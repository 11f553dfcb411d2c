// Package matrix has matrices over the integers mod 2^256, fast enough to be multiplied under masks, and the opening of
// their elements without the low digits.
//
// An element is four 64-bit limbs, the lowest first, in two's complement. It stands for a number with a fixed count of
// decimals, such as units of 1e-18. Sums and products take the same time for all elements, whose shares and masks look like
// random ones anyway: nothing branches on a value, and math/big reads single elements only.
package matrix

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"math/bits"

	"github.com/weftmpc/weft/simon/prg"
)

// Limbs is how many words an element has, and Size how many bytes.
const (
	Limbs = 4
	Size  = 8 * Limbs
)

// Most bounds the elements of a matrix: 32 MiB.
const Most = 1 << 20

// Matrix is a list of rows of elements. Copies share their elements. The zero Matrix has none.
type Matrix struct {
	rows, columns int
	w             []uint64 // row after row, Limbs words for each element
}

// New returns the zero matrix of a shape that Check accepts.
func New(rows, columns int) Matrix {
	if err := Check(rows, columns); err != nil {
		panic(err)
	}
	return Matrix{rows, columns, make([]uint64, rows*columns*Limbs)}
}

// Check says whether there are matrices of a shape.
func Check(rows, columns int) error {
	if rows < 1 || columns < 1 || rows > Most/columns {
		return fmt.Errorf("matrix: %d rows of %d columns: want at least one of each, and at most %d elements", rows, columns, Most)
	}
	return nil
}

// Decode reads a matrix from its bytes, which it copies. Every string of the right length is one.
func Decode(rows, columns int, b []byte) (Matrix, error) {
	if err := Check(rows, columns); err != nil {
		return Matrix{}, err
	}
	if len(b) != rows*columns*Size {
		return Matrix{}, fmt.Errorf("matrix: %d bytes, want %d", len(b), rows*columns*Size)
	}
	m := New(rows, columns)
	m.read(b)
	return m, nil
}

func (m Matrix) read(b []byte) {
	for i := range m.w {
		m.w[i] = binary.LittleEndian.Uint64(b[8*i:])
	}
}

// Rows is the number of rows.
func (m Matrix) Rows() int { return m.rows }

// Columns is the number of columns.
func (m Matrix) Columns() int { return m.columns }

// Bytes are the elements, row after row, limbs little endian.
func (m Matrix) Bytes() []byte {
	b := make([]byte, 8*len(m.w))
	for i, w := range m.w {
		binary.LittleEndian.PutUint64(b[8*i:], w)
	}
	return b
}

// Limbs are the words of an element, which the caller may write.
func (m Matrix) Limbs(row, column int) []uint64 {
	at := (row*m.columns + column) * Limbs
	return m.w[at : at+Limbs : at+Limbs]
}

// Int reads an element as a signed number.
func (m Matrix) Int(row, column int) *big.Int { return Signed(m.Limbs(row, column)) }

// Signed is the number that an element stands for.
func Signed(limbs []uint64) *big.Int {
	var be [Size]byte
	for i := range Limbs {
		binary.BigEndian.PutUint64(be[Size-8*(i+1):], limbs[i])
	}
	x := new(big.Int).SetBytes(be[:])
	if be[0] >= 0x80 {
		x.Sub(x, new(big.Int).Lsh(big.NewInt(1), 8*Size))
	}
	return x
}

// SetInt sets an element to x, which must lie in -2^255 .. 2^255-1.
func (m Matrix) SetInt(row, column int, x *big.Int) error {
	y := x
	if x.Sign() < 0 {
		y = new(big.Int).Not(x) // -x-1 has the same bound
	}
	if y.BitLen() >= 8*Size {
		return fmt.Errorf("matrix: a number of %d bits does not fit into an element", y.BitLen()+1)
	}
	var be [Size]byte
	y.FillBytes(be[:])
	limbs := m.Limbs(row, column)
	for i := range limbs {
		limbs[i] = binary.BigEndian.Uint64(be[Size-8*(i+1):])
		if x.Sign() < 0 {
			limbs[i] = ^limbs[i]
		}
	}
	return nil
}

// Transpose returns a matrix of its own with rows and columns exchanged.
func (m Matrix) Transpose() Matrix {
	t := New(m.columns, m.rows)
	for i := range m.rows {
		for j := range m.columns {
			copy(t.Limbs(j, i), m.Limbs(i, j))
		}
	}
	return t
}

// Fill overwrites all elements with the next bytes of s.
func (m Matrix) Fill(s prg.Stream) {
	var buf [chunk]byte
	for rest := m.w; len(rest) > 0; {
		n := min(len(rest), chunk/8)
		s.Fill(buf[:8*n])
		Matrix{w: rest[:n]}.read(buf[:])
		rest = rest[n:]
	}
	clear(buf[:])
}

// chunk is how many bytes of a stream are expanded at a time, a multiple of Size.
const chunk = 8 << 10

// Clear makes all elements 0.
func (m Matrix) Clear() { clear(m.w) }

// Add adds x, of the same shape, to m.
func (m Matrix) Add(x Matrix) {
	m.same(x)
	for i := 0; i+Limbs <= len(m.w); i += Limbs {
		a, b := (*[Limbs]uint64)(m.w[i:]), (*[Limbs]uint64)(x.w[i:])
		var c uint64
		a[0], c = bits.Add64(a[0], b[0], 0)
		a[1], c = bits.Add64(a[1], b[1], c)
		a[2], c = bits.Add64(a[2], b[2], c)
		a[3], _ = bits.Add64(a[3], b[3], c)
	}
}

// Sub subtracts x, of the same shape, from m.
func (m Matrix) Sub(x Matrix) {
	m.same(x)
	for i := 0; i+Limbs <= len(m.w); i += Limbs {
		a, b := (*[Limbs]uint64)(m.w[i:]), (*[Limbs]uint64)(x.w[i:])
		var c uint64
		a[0], c = bits.Sub64(a[0], b[0], 0)
		a[1], c = bits.Sub64(a[1], b[1], c)
		a[2], c = bits.Sub64(a[2], b[2], c)
		a[3], _ = bits.Sub64(a[3], b[3], c)
	}
}

func (m Matrix) same(x Matrix) {
	if m.rows != x.rows || m.columns != x.columns {
		panic(fmt.Sprintf("matrix: %d×%d and %d×%d are two shapes", m.rows, m.columns, x.rows, x.columns))
	}
}

// block is how many rows are multiplied at a time: a column of so many elements has 8 KB.
const block = 256

var errRows = errors.New("matrix: the factors have different numbers of rows")

// AddCross adds aᵀ·b to m, which has a row for each column of a and a column for each of b. It ends early with ctx.
//
// All products of this package are of this form, rows being what is summed over, so that a long matrix needs to be there
// only some rows at a time.
func (m Matrix) AddCross(ctx context.Context, a, b Matrix) error {
	if a.rows != b.rows {
		return errRows
	}
	if m.rows != a.columns || m.columns != b.columns {
		panic(fmt.Sprintf("matrix: %d×%d for a product of %d×%d", m.rows, m.columns, a.columns, b.columns))
	}
	x, y := make([]uint64, a.columns*min(block, a.rows)*Limbs), make([]uint64, b.columns*min(block, b.rows)*Limbs)
	defer clear(x)
	defer clear(y)
	for from := 0; from < a.rows; from += block {
		n := min(block, a.rows-from)
		a.turn(x, from, n)
		b.turn(y, from, n)
		for i := range a.columns {
			if err := ctx.Err(); err != nil {
				return err
			}
			column := x[i*n*Limbs : (i+1)*n*Limbs]
			for j := range b.columns {
				addDot((*[Limbs]uint64)(m.Limbs(i, j)), column, y[j*n*Limbs:(j+1)*n*Limbs])
			}
		}
	}
	return nil
}

// turn writes n rows, column after column, to dst.
func (m Matrix) turn(dst []uint64, from, n int) {
	for k := range n {
		row := m.w[(from+k)*m.columns*Limbs:]
		for j := range m.columns {
			copy(dst[(j*n+k)*Limbs:(j*n+k+1)*Limbs], row[j*Limbs:(j+1)*Limbs])
		}
	}
}

// addDot adds the sum of the products of x's and y's elements to sum. Partial products are collected by their weight, each
// with room for the carries of 2^64 of them, and put together once.
func addDot(sum *[Limbs]uint64, x, y []uint64) {
	var a0, a1, a2, b0, b1, b2, c0, c1, d uint64 // of weight 2^0, 2^64, 2^128 and 2^192
	for len(x) >= Limbs && len(y) >= Limbs {
		x0, x1, x2, x3 := x[0], x[1], x[2], x[3]
		y0, y1, y2, y3 := y[0], y[1], y[2], y[3]
		var c uint64
		h, l := bits.Mul64(x0, y0)
		a0, c = bits.Add64(a0, l, 0)
		a1, c = bits.Add64(a1, h, c)
		a2 += c
		h, l = bits.Mul64(x0, y1)
		b0, c = bits.Add64(b0, l, 0)
		b1, c = bits.Add64(b1, h, c)
		b2 += c
		h, l = bits.Mul64(x1, y0)
		b0, c = bits.Add64(b0, l, 0)
		b1, c = bits.Add64(b1, h, c)
		b2 += c
		h, l = bits.Mul64(x0, y2)
		c0, c = bits.Add64(c0, l, 0)
		c1, _ = bits.Add64(c1, h, c)
		h, l = bits.Mul64(x1, y1)
		c0, c = bits.Add64(c0, l, 0)
		c1, _ = bits.Add64(c1, h, c)
		h, l = bits.Mul64(x2, y0)
		c0, c = bits.Add64(c0, l, 0)
		c1, _ = bits.Add64(c1, h, c)
		d += x0*y3 + x1*y2 + x2*y1 + x3*y0
		x, y = x[Limbs:], y[Limbs:]
	}
	var c uint64
	sum[0], c = bits.Add64(sum[0], a0, 0)
	sum[1], c = bits.Add64(sum[1], a1, c)
	sum[2], c = bits.Add64(sum[2], a2, c)
	sum[3] += c
	sum[1], c = bits.Add64(sum[1], b0, 0)
	sum[2], c = bits.Add64(sum[2], b1, c)
	sum[3] += b2 + c
	sum[2], c = bits.Add64(sum[2], c0, 0)
	sum[3] += c1 + c + d
}
