// Package ring adds vectors of fixed-width integers: the arithmetic of everything that travels under masks.
//
// A Layout says which fields a vector has and how wide they are. Addition is mod 2^(64·limbs) in each element, with the
// carry inside the element and none across: without the carry the sums of single limbs would show more than the total.
// Widths and running time depend on the layout alone, never on a value; math/big has neither property and serves only for
// reading and writing single elements.
package ring

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

// Bounds of a layout. 64 limbs hold the exact sum of any doubles (34 limbs) with room to spare.
const (
	MaxLimbs = 64
	MaxSize  = 1 << 30 // bytes of one vector
)

// domain separates layout hashes from all others.
const domain = "weft/v1/layout"

// Field is a run of elements of one width.
type Field struct {
	Name  string // at most 255 bytes; the parties agree on it through Layout.Hash
	Limbs int    // 64-bit words per element, 1..MaxLimbs
	Count int    // elements, at least 1
}

// Layout is the ordered list of a vector's fields.
type Layout []Field

// Check says whether vectors of this layout can exist.
func (l Layout) Check() error {
	if len(l) == 0 {
		return fmt.Errorf("ring: a layout needs at least one field")
	}
	size := 0
	for _, f := range l {
		if f.Name == "" || len(f.Name) > 255 {
			return fmt.Errorf("ring: the name of a field has %d bytes, want 1 to 255", len(f.Name))
		}
		if f.Limbs < 1 || f.Limbs > MaxLimbs {
			return fmt.Errorf("ring: field %q has %d limbs, want 1 to %d", f.Name, f.Limbs, MaxLimbs)
		}
		if f.Count < 1 || f.Count > (MaxSize-size)/(8*f.Limbs) {
			return fmt.Errorf("ring: field %q has %d elements: want at least 1, and %d bytes at most for all fields", f.Name, f.Count, MaxSize)
		}
		size += 8 * f.Limbs * f.Count
	}
	return nil
}

// Size is the length of a vector of this layout in bytes.
func (l Layout) Size() int {
	size := 0
	for _, f := range l {
		size += 8 * f.Limbs * f.Count
	}
	return size
}

// Hash names the layout: two layouts with equal hashes have equal fields in the same order.
func (l Layout) Hash() [32]byte {
	b := binary.BigEndian.AppendUint32([]byte(domain), uint32(len(l)))
	for _, f := range l {
		b = binary.BigEndian.AppendUint32(b, uint32(len(f.Name)))
		b = append(b, f.Name...)
		b = binary.BigEndian.AppendUint32(b, uint32(f.Limbs))
		b = binary.BigEndian.AppendUint64(b, uint64(f.Count))
	}
	return sha256.Sum256(b)
}

// offset is where element i of field f begins, in bytes.
func (l Layout) offset(f, i int) int {
	if i < 0 || i >= l[f].Count {
		panic(fmt.Sprintf("ring: element %d of field %q, which has %d", i, l[f].Name, l[f].Count))
	}
	at := 0
	for _, g := range l[:f] {
		at += 8 * g.Limbs * g.Count
	}
	return at + 8*l[f].Limbs*i
}
