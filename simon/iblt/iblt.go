// Package iblt is the invertible Bloom lookup table (Goodrich, Mitzenmacher 2011) by which parties open a pooled histogram
// over categories that nobody listed before.
//
// Each party adds its keys with their counts to a table of its own. The sum of the tables, as ring vectors, is the table of
// the pooled histogram, whoever held which key: so the parties sum the tables under masks and open only the total. Who
// opens it learns every key of every party with its pooled count, also a key that occurs once, and nothing about who holds
// what. A table that cannot be read is a function of the pooled histogram as well.
//
// A table has four parts of equal length, and each key has a cell in each of them. A cell holds three sums over its keys:
// the counts C, mod 2^64; count·key, the key read as an integer of keySize bytes, K mod 2^(8·keySize+64); and count·h64(key)
// mod 2^64, the check H. A cell of one key shows that key: K/C. Decode takes such a key out of its four cells, which leaves
// one key in others, until all is zero. Goodrich and Mitzenmacher store sums of keys that occur once; with counts, and sums
// instead of exclusive ors, the sum of tables is a table of the sum.
//
// Keys and counts are exact. A sum of several keys that happens to be divisible by its count passes for one key only where
// h64 and the position agree as well, and then the table does not end as zero. What may fail is reading. With 2·dmax+256 cells and dmax distinct keys that happened to 5 tables in a million
// (dmax 10) to 30 in a million (100, 1000), mostly because two keys had the same four cells. The parties then try again with
// other hash functions, and with a larger table in case the keys were too many.
package iblt

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"math/bits"
	"slices"

	"github.com/weftmpc/weft/simon/ring"
)

// parts is how many cells a key has, one in each part of the table.
const parts = 4

// The fields of a table, in the order of its layout.
const (
	counts = iota // C
	keys          // K, lowest byte first
	checks        // H
)

// Bounds of a table. Larger ones exceed ring.MaxLimbs or ring.MaxSize.
const (
	MaxKeySize = 8 * (ring.MaxLimbs - 1) // bytes
	MaxKeys    = 1 << 22                 // dmax
)

// domain separates the hash keys of tables from all others.
const domain = "weft/v1/iblt"

// Table is an invertible Bloom lookup table. It is not safe for concurrent use.
type Table struct {
	v     ring.Vector
	h     hasher
	words int // of a K: one more than keys have
	cells int
}

// HashKey derives the key of a table's hash functions (HKDF with SHA-256, RFC 5869). All parties need the same seed,
// fresh for each computation: who knows it before choosing keys can choose some that make the table unreadable. Another
// attempt at the same histogram gets another number.
func HashKey(seed []byte, label string, attempt uint32) [32]byte {
	info := binary.BigEndian.AppendUint32(nil, uint32(len(label)))
	info = append(info, label...)
	info = binary.BigEndian.AppendUint32(info, attempt)
	prk, err := hkdf.Extract(sha256.New, seed, []byte(domain))
	if err != nil {
		panic(err) // SHA-256 is allowed everywhere
	}
	key, err := hkdf.Expand(sha256.New, prk, string(info), 32)
	if err != nil {
		panic(err) // 32 bytes are not too many
	}
	return [32]byte(key)
}

// Layout is the layout of tables for keys of keySize bytes, a multiple of 8 up to MaxKeySize, of which the pool has dmax
// distinct ones, up to MaxKeys. A table has 2·dmax+256 cells, rounded up to a multiple of 4, of keySize+24 bytes. Other
// arguments are a bug of the protocol: Layout panics. Whether the table is too large says the layout's Check.
func Layout(keySize, dmax int) ring.Layout {
	if keySize < 8 || keySize%8 != 0 || keySize > MaxKeySize || dmax < 0 || dmax > MaxKeys {
		panic(fmt.Sprintf("iblt: a table for %d keys of %d bytes", dmax, keySize))
	}
	cells := parts * part(dmax)
	return ring.Layout{
		counts: {Name: "counts", Limbs: 1, Count: cells},
		keys:   {Name: "keys", Limbs: keySize/8 + 1, Count: cells},
		checks: {Name: "checks", Limbs: 1, Count: cells},
	}
}

// part is the length of each part of a table: a fourth of 2·dmax+256, rounded up.
func part(dmax int) int { return (2*dmax + 256 + parts - 1) / parts }

// New returns the empty table. hashKey comes from HashKey; keySize and dmax are those of Layout.
func New(hashKey [32]byte, keySize, dmax int) *Table {
	return table(hashKey, keySize, dmax, ring.New(Layout(keySize, dmax)))
}

// FromVector is the table that the vector v holds, which has the layout of such a table; v is not copied.
func FromVector(hashKey [32]byte, keySize, dmax int, v ring.Vector) (*Table, error) {
	if !slices.Equal(v.Layout(), Layout(keySize, dmax)) {
		return nil, fmt.Errorf("iblt: the vector is not a table for %d keys of %d bytes", dmax, keySize)
	}
	return table(hashKey, keySize, dmax, v), nil
}

func table(hashKey [32]byte, keySize, dmax int, v ring.Vector) *Table {
	sub := part(dmax)
	return &Table{
		v:     v,
		h:     hasher{mac: hmac.New(sha256.New, hashKey[:]), sub: uint64(sub)},
		words: keySize/8 + 1,
		cells: parts * sub,
	}
}

// Vector is the table as a ring vector. It is not a copy.
func (t *Table) Vector() ring.Vector { return t.v }

// Add adds count occurrences of a key of keySize bytes. The counts of all parties together are less than 2^64.
func (t *Table) Add(key []byte, count uint64) {
	if len(key) != 8*(t.words-1) {
		panic(fmt.Sprintf("iblt: a key of %d bytes, want %d", len(key), 8*(t.words-1)))
	}
	b := t.v.Bytes()
	check := count * t.h.check(key)
	for _, cell := range t.h.cells(key) {
		add(b[8*cell:], count)
		add(b[8*(t.cells*(1+t.words)+cell):], check)
		sum := b[8*(t.cells+t.words*cell):]
		var high, carry uint64
		for at := 0; at < len(key); at += 8 {
			high, carry = mulAdd(sum[at:], binary.LittleEndian.Uint64(key[at:]), count, high, carry)
		}
		add(sum[len(key):], high+carry)
	}
}

// add adds x to the word at the beginning of b.
func add(b []byte, x uint64) {
	binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)+x)
}

// mulAdd adds word·count and what the word before left to the word at the beginning of b, and returns what is left for the
// next word.
func mulAdd(b []byte, word, count, high, carry uint64) (nextHigh, nextCarry uint64) {
	hi, lo := bits.Mul64(word, count)
	lo, c := bits.Add64(lo, high, 0)
	hi += c // hi < 2^64-1
	x, carry := bits.Add64(binary.LittleEndian.Uint64(b), lo, carry)
	binary.LittleEndian.PutUint64(b, x)
	return hi, carry
}

// hasher computes a table's hash functions.
type hasher struct {
	mac hash.Hash // HMAC-SHA256 under the table's hash key
	sub uint64    // cells of a part
	out [sha256.Size]byte
}

// cells are the four cells of a key: the words of HMAC(key), lowest byte first, mod the length of a part. The remainder is
// biased by less than one part in 2^40.
func (h *hasher) cells(key []byte) [parts]int {
	h.mac.Reset()
	h.mac.Write(key)
	out := h.mac.Sum(h.out[:0])
	var at [parts]int
	for i := range at {
		at[i] = i*int(h.sub) + int(binary.LittleEndian.Uint64(out[8*i:])%h.sub)
	}
	return at
}

// check is h64: the first word of HMAC(key || 0x01), lowest byte first. Keys of a table have one length, so this is not the
// HMAC of another key.
func (h *hasher) check(key []byte) uint64 {
	h.mac.Reset()
	h.mac.Write(key)
	h.mac.Write(one)
	return binary.LittleEndian.Uint64(h.mac.Sum(h.out[:0]))
}

var one = []byte{1}
