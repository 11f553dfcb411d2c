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
// them apart. at is a random order. What is hashed for the others is an item too, so that the time shows how long the items are
// on average, and not how many.
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
				like := own[:64]
				if len(items) > 0 {
					like = items[slot%len(items)]
				}
				h.uniform(wide[:], like)
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

// Return is what a party makes of the n elements that the other has sent, in the order of the list, under both scalars:
// the hashes that it returns, and for comparison those that the other one would return. The two differ, so that nobody can
// return what it was returned. self and peer are the seats. What an honest party does not send is refused.
func (k *Keyed) Return(list []byte, n int, self, peer int, step Step) (hashes, match []byte, err error) {
	if err := CheckList(list, n, PointSize); err != nil {
		return nil, nil, err
	}
	hashes, match = make([]byte, n*HashSize), make([]byte, n*HashSize)
	own := place("weft/v1/psi2", k.sid, fmt.Sprint(k.name, ", returned by seat ", self))
	other := place("weft/v1/psi2", k.sid, fmt.Sprint(k.name, ", returned by seat ", peer))
	err = inBlocks(n, step, nil, func(from, to int) error {
		var e ristretto255.Element
		mine, theirs := slices.Grow(slices.Clone(own), PointSize), slices.Grow(slices.Clone(other), PointSize)
		for i := from; i < to; i++ {
			if err := decode(&e, list[i*PointSize:][:PointSize]); err != nil {
				return err
			}
			e.ScalarMult(&k.key.s, &e)
			sum := sha256.Sum256(e.Encode(mine))
			copy(hashes[i*HashSize:], sum[:HashSize])
			sum = sha256.Sum256(e.Encode(theirs))
			copy(match[i*HashSize:], sum[:HashSize])
		}
		return nil
	})
	return hashes, match, err
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

// Common says which of the hashes in returned are in match too.
func Common(returned, match []byte) []bool {
	set := make(map[[HashSize]byte]struct{}, len(match)/HashSize)
	for i := 0; i < len(match); i += HashSize {
		set[[HashSize]byte(match[i:])] = struct{}{}
	}
	in := make([]bool, len(returned)/HashSize)
	for i := range in {
		_, in[i] = set[[HashSize]byte(returned[i*HashSize:])]
	}
	return in
}
