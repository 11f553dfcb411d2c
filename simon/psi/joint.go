package psi

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"io"
	"slices"

	"github.com/gtank/ristretto255"
)

// Public is the party's part of the joint key's public point: its scalar times the generator.
func (k *Keyed) Public() []byte {
	return new(ristretto255.Element).ScalarBaseMult(&k.key.s).Encode(nil)
}

// Blinded is a party's list for the joint pseudorandom function. It is secret, but for List.
type Blinded struct {
	// List has the n blinded elements, for all other parties.
	List []byte

	keyed *Keyed
	at    []int // where each item is in List
	blind []ristretto255.Scalar
}

// Blind hides items, filled up to n with random elements and in random order, by random multiples of the generator: whatever
// the items are, the list is n uniformly random elements.
func (k *Keyed) Blind(random io.Reader, items [][]byte, n int, step Step) (*Blinded, error) {
	b := &Blinded{List: make([]byte, n*PointSize), keyed: k, blind: make([]ristretto255.Scalar, n)}
	var err error
	b.at, err = filled(random, k.hash, items, n, 64, step, func(slot int, e *ristretto255.Element, extra []byte) {
		var r ristretto255.Element
		r.ScalarBaseMult(b.blind[slot].FromUniformBytes(extra))
		e.Add(e, &r).Encode(b.List[slot*PointSize : slot*PointSize])
	})
	return b, err
}

// Answer is what a party makes of the n elements that another one has sent: each times its scalar, in the order of the list.
// What an honest party does not send is refused.
func (k *Keyed) Answer(list []byte, n int, step Step) (answers []byte, err error) {
	if err := CheckList(list, n, PointSize); err != nil {
		return nil, err
	}
	answers = make([]byte, n*PointSize)
	err = inBlocks(n, step, nil, func(from, to int) error {
		var e ristretto255.Element
		for i := from; i < to; i++ {
			if err := decode(&e, list[i*PointSize:][:PointSize]); err != nil {
				return err
			}
			e.ScalarMult(&k.key.s, &e).Encode(answers[i*PointSize : i*PointSize])
		}
		return nil
	})
	return answers, err
}

// ErrAnswers is why the answers of all other parties together are refused.
var ErrAnswers = errors.New("the answers do not belong together: a party did not follow the protocol")

// PartError says whose answers are refused, by their place in the list of all others'.
type PartError struct {
	Part int
	Err  error
}

func (e *PartError) Error() string { return e.Err.Error() }
func (e *PartError) Unwrap() error { return e.Err }

// Pseudonyms takes the blinding off. publics and answers are those of all other parties, in one order; publics have passed
// Keyed.CheckPublic. It returns the pseudonyms of the n elements of the list; that of item i is at[i]. The rest are random: those of
// no item of anybody.
func (b *Blinded) Pseudonyms(publics, answers [][]byte, step Step) (names [][NameSize]byte, at []int, err error) {
	n := len(b.blind)
	for part, a := range answers {
		if err := CheckList(a, n, PointSize); err != nil {
			return nil, nil, &PartError{part, err}
		}
	}
	key := new(ristretto255.Element).ScalarBaseMult(&b.keyed.key.s)
	for part, y := range publics {
		var e ristretto255.Element
		if err := decode(&e, y); err != nil {
			return nil, nil, &PartError{part, err}
		}
		key.Add(key, &e)
	}
	names = make([][NameSize]byte, n)
	prefix := place("weft/psi", b.keyed.sid, b.keyed.name)
	err = inBlocks(n, step, nil, func(from, to int) error {
		var sum, e ristretto255.Element
		var minus ristretto255.Scalar
		text := slices.Grow(slices.Clone(prefix), PointSize)
		for i := from; i < to; i++ {
			if err := sum.Decode(b.List[i*PointSize:][:PointSize]); err != nil {
				return err
			}
			sum.ScalarMult(&b.keyed.key.s, &sum)
			sum.Add(&sum, e.ScalarMult(minus.Negate(&b.blind[i]), key))
			for part, a := range answers {
				if err := decode(&e, a[i*PointSize:][:PointSize]); err != nil {
					return &PartError{part, err}
				}
				sum.Add(&sum, &e)
			}
			names[i] = sha256.Sum256(sum.Encode(text))
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	seen := make(map[[NameSize]byte]struct{}, n)
	for _, name := range names {
		seen[name] = struct{}{}
	}
	if len(seen) != n {
		return nil, nil, ErrAnswers
	}
	return names, b.at, nil
}

// Forget overwrites the blinding.
func (b *Blinded) Forget() {
	for i := range b.blind {
		b.blind[i].Zero()
	}
}

// StoreKeys are the keys under which a store has values for names, where who is told keys must not find shares of zero: those
// are made of the names, and from a key nobody finds the name of an element that is not its own.
func StoreKeys(names [][NameSize]byte) [][NameSize]byte {
	const domain = "weft/v1/psi-key"
	keys := make([][NameSize]byte, len(names))
	var in [len(domain) + NameSize]byte
	copy(in[:], domain)
	for i := range names {
		copy(in[len(domain):], names[i][:])
		keys[i] = sha256.Sum256(in[:])
	}
	return keys
}

// AddShares adds to the shares of zero, of ValueSize bytes for each name, what this party and one other make of the names
// with a key that only they have: both the same, so that the shares of all parties add up to zero (HMAC with SHA-256, RFC
// 2104, cut to 16 bytes).
func AddShares(shares []byte, key *[32]byte, names [][NameSize]byte) {
	h := hmac.New(sha256.New, key[:])
	var sum [sha256.Size]byte
	for i := range names {
		h.Reset()
		h.Write(names[i][:])
		share := shares[i*ValueSize:][:ValueSize]
		subtle.XORBytes(share, share, h.Sum(sum[:0]))
	}
}
