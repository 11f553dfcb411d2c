package psi

import (
	"crypto/sha256"
	"fmt"
	"io"
	"slices"

	"github.com/gtank/ristretto255"
)

// Keyed is one party's scalar at work in one intersection.
type Keyed struct {
	hash Hasher
	sid  [32]byte
	name string
	key  *Scalar
}

// NewKeyed draws the scalar of a party for the intersection called name in the computation sid.
func NewKeyed(random io.Reader, sid [32]byte, name string) (*Keyed, error) {
	key, err := NewScalar(random)
	if err != nil {
		return nil, err
	}
	return &Keyed{NewHasher(sid, name), sid, name, key}, nil
}

// Forget overwrites the scalar.
func (k *Keyed) Forget() { k.key.Forget() }

// filled calls put for n slots, of which slot at[i] is for items[i] and the others for random elements: so nobody can tell
// them apart, not by the time that they take either. at is a random order.
func filled(random io.Reader, h Hasher, items [][]byte, n int, more int, step Step, put func(slot int, e *ristretto255.Element, extra []byte)) (at []int, err error) {
	if len(items) > n {
		return nil, fmt.Errorf("psi: %d elements for %d places", len(items), n)
	}
	if at, err = Permutation(random, n); err != nil {
		return nil, err
	}
	item := make([]int, n) // by slot, from 1
	for i := range items {
		item[at[i]] = i + 1
	}
	each := 64 + more
	drawn := make([]byte, min(n, block)*each)
	defer clear(drawn)
	base := 0
	err = inBlocks(n, step, func(from, to int) error {
		base = from
		if _, err := io.ReadFull(random, drawn[:(to-from)*each]); err != nil {
			return fmt.Errorf("reading private randomness: %w", err)
		}
		return nil
	}, func(from, to int) error {
		var e ristretto255.Element
		var wide [64]byte
		for slot := from; slot < to; slot++ {
			own := drawn[(slot-base)*each:][:each]
			if i := item[slot]; i > 0 {
				h.uniform(wide[:], items[i-1])
			} else {
				h.uniform(wide[:], own[:64])
				copy(wide[:], own)
			}
			e.FromUniformBytes(wide[:])
			put(slot, &e, own[64:])
		}
		return nil
	})
	return at[:len(items)], err
}

// Mask is what a party sends first: n group elements, in random order. at says where each item is.
func (k *Keyed) Mask(random io.Reader, items [][]byte, n int, step Step) (list []byte, at []int, err error) {
	list = make([]byte, n*PointSize)
	at, err = filled(random, k.hash, items, n, 0, step, func(slot int, e *ristretto255.Element, _ []byte) {
		e.ScalarMult(&k.key.s, e)
		e.Encode(list[slot*PointSize : slot*PointSize])
	})
	return list, at, err
}

// Return is what a party makes of the n elements that the other has sent: their hashes under both scalars, in the order of
// the list. What an honest party does not send is refused.
func (k *Keyed) Return(list []byte, n int, step Step) (hashes []byte, err error) {
	if err := CheckList(list, n, PointSize); err != nil {
		return nil, err
	}
	hashes = make([]byte, n*HashSize)
	prefix := place("weft/v1/psi2", k.sid, k.name)
	err = inBlocks(n, step, nil, func(from, to int) error {
		var e ristretto255.Element
		b := slices.Grow(slices.Clone(prefix), PointSize)
		for i := from; i < to; i++ {
			if err := decode(&e, list[i*PointSize:][:PointSize]); err != nil {
				return err
			}
			e.ScalarMult(&k.key.s, &e)
			sum := sha256.Sum256(e.Encode(b))
			copy(hashes[i*HashSize:], sum[:HashSize])
		}
		return nil
	})
	return hashes, err
}

// Shuffled are the hashes in a random order of their own.
func Shuffled(random io.Reader, hashes []byte) ([]byte, error) {
	order, err := Permutation(random, len(hashes)/HashSize)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, len(hashes))
	for _, i := range order {
		out = append(out, hashes[i*HashSize:][:HashSize]...)
	}
	return out, nil
}

// Common says which of the hashes in returned are in theirs too.
func Common(returned, theirs []byte) []bool {
	set := make(map[[HashSize]byte]struct{}, len(theirs)/HashSize)
	for i := 0; i < len(theirs); i += HashSize {
		set[[HashSize]byte(theirs[i:])] = struct{}{}
	}
	in := make([]bool, len(returned)/HashSize)
	for i := range in {
		_, in[i] = set[[HashSize]byte(returned[i*HashSize:])]
	}
	return in
}
