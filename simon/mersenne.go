package simon

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/weftmpc/weft/simon/prg"
	"github.com/weftmpc/weft/simon/ring"
)

// mersenne is the field of integers mod 2^e - 1. Elements are words, lowest first, from 0 to 2^e - 1, where the last one is 0,
// too. No branch depends on one.
type mersenne struct{ e int }

// mersennes are the exponents of the primes that tags use.
var mersennes = [...]int{127, 521, 607, 1279, 2203}

// mersenneFor is the smallest field that is larger than each element of a layout, so that a number is 0 in it only if it is 0.
func mersenneFor(l ring.Layout) (mersenne, error) {
	limbs := 0
	for _, f := range l {
		limbs = max(limbs, f.Limbs)
	}
	for _, e := range mersennes {
		if e > 64*limbs {
			return mersenne{e}, nil
		}
	}
	return mersenne{}, fmt.Errorf("elements of %d words are too wide for a tag", limbs)
}

func (m mersenne) words() int { return (m.e + 63) / 64 }

// size is the length of an element in bytes.
func (m mersenne) size() int { return 8 * m.words() }

// top is the mask of the highest word.
func (m mersenne) top() uint64 { return 1<<(m.e%64) - 1 }

// add sets x to x + y.
func (m mersenne) add(x, y []uint64) {
	var c uint64
	for i := range x {
		x[i], c = bits.Add64(x[i], y[i], c)
	}
	last := len(x) - 1
	over := x[last] >> (m.e % 64) // 2^e is 1
	x[last] &= m.top()
	for i := range x {
		x[i], over = bits.Add64(x[i], over, 0)
	}
}

// flip sets x to -x where mask is all ones, and leaves it where mask is 0.
func (m mersenne) flip(x []uint64, mask uint64) {
	for i := range x[:len(x)-1] {
		x[i] ^= mask
	}
	x[len(x)-1] ^= mask & m.top()
}

// sub sets x to x - y.
func (m mersenne) sub(x, y []uint64) {
	z := append(make([]uint64, 0, len(y)), y...)
	m.flip(z, ^uint64(0))
	m.add(x, z)
}

// reduce sets z to x, of any length. part is room for an element.
func (m mersenne) reduce(z, x, part []uint64) {
	clear(z)
	for at := 0; at < 64*len(x); at += m.e {
		word, shift := at/64, uint(at%64)
		for i := range part {
			part[i] = 0
			if word+i < len(x) {
				part[i] = x[word+i] >> shift
			}
			if shift > 0 && word+i+1 < len(x) {
				part[i] |= x[word+i+1] << (64 - shift)
			}
		}
		part[len(part)-1] &= m.top()
		m.add(z, part)
	}
}

// random reads an element of a stream: 128 bits more than it has, so that it is uniform up to 2^-128.
func (m mersenne) random(z []uint64, s prg.Stream) {
	m.randoms(z, s, make([]byte, m.wide()), make([]uint64, m.wide()/8), make([]uint64, m.words()))
}

// wide is how many bytes of a stream an element takes.
func (m mersenne) wide() int { return (m.e + 128 + 63) / 64 * 8 }

// randoms is random with room for what it reads, for its words, and for an element.
func (m mersenne) randoms(z []uint64, s prg.Stream, b []byte, wide, part []uint64) {
	s.Fill(b)
	for i := range wide {
		wide[i] = binary.LittleEndian.Uint64(b[8*i:])
	}
	wide[len(wide)-1] &= 1<<((m.e+128)%64) - 1
	m.reduce(z, wide, part)
	clear(b)
	clear(wide)
}

// zero says whether x is 0.
func (m mersenne) zero(x []uint64) bool {
	var any, less uint64
	for i, w := range x {
		any |= w
		full := ^uint64(0)
		if i == len(x)-1 {
			full = m.top()
		}
		less |= w ^ full
	}
	return any == 0 || less == 0
}

// element reads one from bytes.
func (m mersenne) element(b []byte) ([]uint64, error) {
	if len(b) != m.size() {
		return nil, fmt.Errorf("%d bytes, want %d", len(b), m.size())
	}
	x := decodeWords(b)
	if x[len(x)-1]&^m.top() != 0 {
		return nil, fmt.Errorf("a number that is no element of the field")
	}
	return x, nil
}

// tag is the sum of the elements of v, as signed integers, each times a factor of its own from the stream.
func (m mersenne) tag(v ring.Vector, factors prg.Stream) []uint64 {
	w := m.words()
	sum, factor, product, part := make([]uint64, w), make([]uint64, w), make([]uint64, w), make([]uint64, w)
	read, words := make([]byte, m.wide()), make([]uint64, m.wide()/8)
	b := v.Bytes()
	for _, f := range v.Layout() {
		x, wide := make([]uint64, f.Limbs), make([]uint64, w+f.Limbs)
		for range f.Count {
			for i := range x {
				x[i], b = binary.LittleEndian.Uint64(b), b[8:]
			}
			negative := -(x[len(x)-1] >> 63) // all ones, or 0
			carry := negative & 1
			for i := range x {
				x[i], carry = bits.Add64(x[i]^negative, carry, 0)
			}
			m.randoms(factor, factors, read, words, part)
			clear(wide)
			for i, p := range x {
				var high uint64
				for k, q := range factor {
					h, l := bits.Mul64(p, q)
					var c uint64
					l, c = bits.Add64(l, high, 0)
					h += c
					wide[i+k], c = bits.Add64(wide[i+k], l, 0)
					high = h + c
				}
				wide[i+w] = high
			}
			m.reduce(product, wide, part)
			m.flip(product, negative)
			m.add(sum, product)
		}
		clear(x)
		clear(wide)
	}
	return sum
}
