package psi

import (
	"cmp"
	"crypto/sha512"
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"
	"slices"
)

// The oblivious key-value store is the random band matrix of Bienstock, Patel, Seo and Yeo, "Near-Optimal Oblivious
// Key-Value Stores for Efficient PSI, PSU and Volume-Hiding Multi-Maps" (USENIX Security 2023): the value of a key is the
// exclusive or of the columns of a store that a band of random bits at a random place says. Solving for the columns leaves
// some free. They are random, so that a store of random values is uniformly random, whatever its keys are; and stores of
// one size can be added: what the sum has for a key is the sum of what they have.

// band is the width of a band in columns. With a tenth more columns than keys, encoding fails about once in 2^40 times for 2^20
// keys, by the authors' estimate: then another number of the attempt gives other bands.
const band = 208

// ValueSize is the length of a value, and of a column of a store, in bytes.
const ValueSize = 16

// Columns is how many columns a store for n keys has.
func Columns(n int) int { return (11*n+9)/10 + 256 }

// bits208 are the bits of a band, the first one lowest.
type bits208 [4]uint64

// first is the place of the first bit that is 1; ok is false where there is none.
func (b *bits208) first() (at int, ok bool) {
	for i, w := range b {
		if w != 0 {
			return 64*i + bits.TrailingZeros64(w), true
		}
	}
	return 0, false
}

func (b *bits208) has(at int) bool { return b[at>>6]>>(at&63)&1 == 1 }

// add adds o, which begins d columns before b and has no bit there.
func (b *bits208) add(o *bits208, d int) {
	words, rest := d>>6, d&63
	for i := 0; i+words < len(b); i++ {
		w := o[i+words] >> rest
		if rest > 0 && i+words+1 < len(b) {
			w |= o[i+words+1] << (64 - rest)
		}
		b[i] ^= w
	}
}

// row is what a key says of the columns.
type row struct {
	start, pivot int
	bits         bits208
	value        value
}

// value is 16 bytes as two words.
type value [2]uint64

func (v *value) add(o value) { v[0] ^= o[0]; v[1] ^= o[1] }

// rowOf is the place and the bits of a key's band in a store with so many columns. Attempts give different ones.
func rowOf(name *[NameSize]byte, attempt uint32, columns int) (start int, b bits208) {
	const domain = "weft/v1/okvs"
	var in [len(domain) + 4 + NameSize]byte
	copy(in[:], domain)
	binary.BigEndian.PutUint32(in[len(domain):], attempt)
	copy(in[len(domain)+4:], name[:])
	h := sha512.Sum512(in[:])
	for i := range b {
		b[i] = binary.LittleEndian.Uint64(h[8*i:])
	}
	b[3] &= 1<<(band-192) - 1
	return int(binary.LittleEndian.Uint64(h[32:]) % uint64(columns-band+1)), b
}

// Encode makes a store of Columns(len(names)) columns in which each name has its value. The names are different, and the
// values 16 bytes each. ok is false where that cannot be done for this attempt: a function of the names alone.
func Encode(random io.Reader, attempt uint32, names [][NameSize]byte, values []byte) (store []byte, ok bool, err error) {
	if len(values) != ValueSize*len(names) {
		return nil, false, fmt.Errorf("psi: %d names and %d bytes of values", len(names), len(values))
	}
	columns := Columns(len(names))
	rows := make([]row, len(names))
	for i := range rows {
		r := &rows[i]
		r.start, r.bits = rowOf(&names[i], attempt, columns)
		r.value = valueAt(values, i)
	}
	slices.SortFunc(rows, func(a, b row) int { return cmp.Compare(a.start, b.start) })
	for i := range rows {
		r := &rows[i]
		first, any := r.bits.first()
		if !any {
			return nil, false, nil
		}
		r.pivot = r.start + first
		for k := i + 1; k < len(rows) && rows[k].start <= r.pivot; k++ {
			if o := &rows[k]; o.bits.has(r.pivot - o.start) {
				o.bits.add(&r.bits, o.start-r.start)
				o.value.add(r.value)
			}
		}
	}
	store = make([]byte, columns*ValueSize)
	if _, err := io.ReadFull(random, store); err != nil {
		return nil, false, fmt.Errorf("reading private randomness: %w", err)
	}
	for i := len(rows) - 1; i >= 0; i-- { // what later rows have settled is there, and the free columns
		r := &rows[i]
		first := r.pivot - r.start
		r.bits[first>>6] &^= 1 << (first & 63)
		v := lookup(store, r.start, &r.bits)
		v.add(r.value)
		binary.LittleEndian.PutUint64(store[r.pivot*ValueSize:], v[0])
		binary.LittleEndian.PutUint64(store[r.pivot*ValueSize+8:], v[1])
	}
	return store, true, nil
}

// Zeros says for each of the names of a party whether a store, or a sum of stores, for as many has the value zero. It looks
// at all of them, dummies too, so that the time does not show how many are of elements.
func Zeros(store []byte, attempt uint32, names [][NameSize]byte, step Step) ([]bool, error) {
	zero := make([]bool, len(names))
	err := inBlocks(len(names), step, nil, func(from, to int) error {
		for i := from; i < to; i++ {
			zero[i] = Decode(store, len(names), attempt, names[i]) == [ValueSize]byte{}
		}
		return nil
	})
	return zero, err
}

// Decode is what a store, or a sum of stores, for n keys has for a name.
func Decode(store []byte, n int, attempt uint32, name [NameSize]byte) [ValueSize]byte {
	start, b := rowOf(&name, attempt, Columns(n))
	v := lookup(store, start, &b)
	var out [ValueSize]byte
	binary.LittleEndian.PutUint64(out[:], v[0])
	binary.LittleEndian.PutUint64(out[8:], v[1])
	return out
}

func valueAt(b []byte, i int) value {
	return value{binary.LittleEndian.Uint64(b[i*ValueSize:]), binary.LittleEndian.Uint64(b[i*ValueSize+8:])}
}

// lookup is the sum of the columns that b says, from start on.
func lookup(store []byte, start int, b *bits208) value {
	var v value
	for i, w := range b {
		for ; w != 0; w &= w - 1 {
			v.add(valueAt(store, start+64*i+bits.TrailingZeros64(w)))
		}
	}
	return v
}
