package ring

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/big"
	"slices"

	"github.com/weftmpc/weft/simon/prg"
)

// chunk is how many bytes of a stream are expanded at a time: they stay in the processor's cache until they are added.
const chunk = 32 << 10

// Vector is a list of ring elements. Copies share their elements (Clone does not). The zero Vector has no layout and
// stands for "no vector": its Bytes are nil.
type Vector struct {
	layout Layout
	b      []byte // the elements in layout order, limbs little endian
}

// New returns the zero vector of a layout. A layout that fails its Check is a bug of the protocol: New panics.
func New(l Layout) Vector {
	if err := l.Check(); err != nil {
		panic(err)
	}
	return Vector{slices.Clone(l), make([]byte, l.Size())}
}

// Decode reads a vector of layout l from its bytes, which it copies. Every string of the right length is a vector.
func Decode(l Layout, b []byte) (Vector, error) {
	v, err := View(l, b)
	if err != nil {
		return Vector{}, err
	}
	return v.Clone(), nil
}

// View is Decode without the copy: the vector's elements are b itself.
func View(l Layout, b []byte) (Vector, error) {
	if err := l.Check(); err != nil {
		return Vector{}, err
	}
	if len(b) != l.Size() {
		return Vector{}, fmt.Errorf("ring: %d bytes, want %d", len(b), l.Size())
	}
	return Vector{slices.Clone(l), b}, nil
}

// Layout is the vector's layout; nobody may change it.
func (v Vector) Layout() Layout { return v.layout }

// Bytes are the vector's elements in layout order, limbs little endian, l.Size() bytes. They are not a copy.
func (v Vector) Bytes() []byte { return v.b }

// Clone returns a vector with elements of its own.
func (v Vector) Clone() Vector { return Vector{v.layout, bytes.Clone(v.b)} }

// Equal says whether layout and elements are equal. It takes the same time for all elements of one layout only when they
// are equal: do not compare secrets with it.
func (v Vector) Equal(w Vector) bool {
	return slices.Equal(v.layout, w.layout) && bytes.Equal(v.b, w.b)
}

// Add adds w, a vector of the same layout, to v.
func (v Vector) Add(w Vector) {
	if !slices.Equal(v.layout, w.layout) {
		panic("ring: adding vectors of different layouts")
	}
	v.each(w.b, add)
}

// AddBytes adds the vector that b encodes, without copying it.
func (v Vector) AddBytes(b []byte) error {
	if len(b) != len(v.b) {
		return fmt.Errorf("ring: %d bytes, want %d", len(b), len(v.b))
	}
	v.each(b, add)
	return nil
}

// AddStream adds the next Size bytes of s, read as a vector of the same layout.
func (v Vector) AddStream(s prg.Stream) { v.stream(s, add) }

// SubStream subtracts the next Size bytes of s, read as a vector of the same layout.
func (v Vector) SubStream(s prg.Stream) { v.stream(s, sub) }

// each applies op to each field of v and of b, which has the same length.
func (v Vector) each(b []byte, op func(limbs int, dst, src []byte)) {
	dst := v.b
	for _, f := range v.layout {
		size := 8 * f.Limbs * f.Count
		op(f.Limbs, dst[:size], b[:size])
		dst, b = dst[size:], b[size:]
	}
}

func (v Vector) stream(s prg.Stream, op func(limbs int, dst, src []byte)) {
	buf := make([]byte, min(chunk, len(v.b)))
	defer clear(buf)
	dst := v.b
	for _, f := range v.layout {
		element := 8 * f.Limbs
		for left := element * f.Count; left > 0; {
			n := min(left, len(buf)/element*element)
			s.Fill(buf[:n])
			op(f.Limbs, dst[:n], buf[:n])
			dst, left = dst[n:], left-n
		}
	}
}

// Limbs copies element i of field f into dst, lowest limb first; dst has as many words as the field has limbs.
func (v Vector) Limbs(f, i int, dst []uint64) {
	b := v.b[v.layout.offset(f, i):]
	for k := range v.layout[f].Limbs {
		dst[k] = binary.LittleEndian.Uint64(b[8*k:])
	}
}

// SetLimbs sets element i of field f from src, lowest limb first; src has as many words as the field has limbs.
func (v Vector) SetLimbs(f, i int, src []uint64) {
	b := v.b[v.layout.offset(f, i):]
	for k := range v.layout[f].Limbs {
		binary.LittleEndian.PutUint64(b[8*k:], src[k])
	}
}

// Int reads element i of field f as a signed number (two's complement).
func (v Vector) Int(f, i int) *big.Int {
	size := 8 * v.layout[f].Limbs
	at := v.layout.offset(f, i)
	be := slices.Clone(v.b[at : at+size])
	slices.Reverse(be)
	x := new(big.Int).SetBytes(be)
	if be[0] >= 0x80 {
		x.Sub(x, new(big.Int).Lsh(big.NewInt(1), uint(8*size)))
	}
	return x
}

// SetInt sets element i of field f to x, which must lie in -2^(64·limbs-1) .. 2^(64·limbs-1)-1.
func (v Vector) SetInt(f, i int, x *big.Int) error {
	size := 8 * v.layout[f].Limbs
	y := x
	if x.Sign() < 0 {
		y = new(big.Int).Not(x) // -x-1: has the same bit length bound on both sides of zero
	}
	if y.BitLen() >= 8*size {
		return fmt.Errorf("ring: a number of %d bits does not fit into field %q of %d bits", y.BitLen()+1, v.layout[f].Name, 8*size)
	}
	at := v.layout.offset(f, i)
	b := v.b[at : at+size]
	y.FillBytes(b)
	slices.Reverse(b)
	if x.Sign() < 0 {
		for k := range b {
			b[k] = ^b[k]
		}
	}
	return nil
}
