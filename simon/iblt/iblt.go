// Package iblt is the invertible Bloom lookup table (Goodrich, Mitzenmacher 2011) by which parties open a pooled histogram
// over categories that nobody listed before.
//
// Each party adds its keys with their counts to a table of its own. The sum of the tables, as ring vectors, is the table of
// the pooled histogram, whoever held which key: so the parties sum the tables under masks and open only the total.
package iblt

import (
	"hash"

	"github.com/weftmpc/weft/simon/ring"
)

// Entry is a key with its pooled count.
type Entry struct {
	Key   []byte
	Count uint64 // at least 1
}

// Table is an invertible Bloom lookup table. It is not safe for concurrent use.
type Table struct {
	v       ring.Vector
	mac     hash.Hash
	keySize int
	sub     int
}

// HashKey derives the key of a table's hash functions.
func HashKey(seed []byte, label string, attempt uint32) [32]byte { panic("soon") }

// Layout is the layout of tables for keys of keySize bytes, a positive multiple of 8, and dmax distinct keys in the pool.
func Layout(keySize, dmax int) ring.Layout { panic("soon") }

// New returns the empty table.
func New(hashKey [32]byte, keySize, dmax int) *Table { panic("soon") }

// FromVector is the table that an opened vector holds.
func FromVector(hashKey [32]byte, keySize, dmax int, v ring.Vector) (*Table, error) { panic("soon") }

// Vector is the table as a ring vector; it is not a copy.
func (t *Table) Vector() ring.Vector { return t.v }

// Add adds count occurrences of a key.
func (t *Table) Add(key []byte, count uint64) { panic("soon") }

// Decode lists the table's keys and counts, ordered by the bytes of the keys. ok is false where the keys are too many for
// the table. most bounds the sum of all counts; valid says whether a key is one.
func (t *Table) Decode(most uint64, valid func(key []byte) bool) (entries []Entry, ok bool, err error) {
	panic("soon")
}
