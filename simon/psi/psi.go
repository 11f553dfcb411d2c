// Package psi is the cryptography of private set intersection: hashing to a group, the steps of shuffled Diffie-Hellman for
// two parties and of a joint pseudorandom function for more, and a key-value store that is oblivious of its keys. It sends
// nothing: package simon has the protocols.
//
// The group is ristretto255 (RFC 9496), of prime order, with one encoding for each element: what is no canonical encoding, or
// is that of the identity, is refused. Elements of sets become group elements by expand_message_xmd with SHA-512 (RFC 9380,
// section 5.3.1) and the element derivation of RFC 9496, section 4.3.4, as in RFC 9497, with a tag that names the computation.
//
// # Two parties
//
// Each party has a fresh secret scalar. It sends Keyed.Mask, its elements times the scalar in random order, filled up to a
// public number with random elements, and gets them back from Keyed.Return, times the other's scalar too, as hashes. An
// element of both sets has one hash in both lists (Meadows 1986; Huberman, Franklin and Hogg 1999; the shuffled return, from
// which only the number of common elements follows, De Cristofaro, Gasti and Tsudik 2012). Secure against passive parties
// under the decisional Diffie-Hellman assumption, with hashes as random oracles.
//
// # More parties
//
// f(x) = H(K·x) for a key K that is the sum of all parties' scalars, which nobody has: all must take part in each evaluation,
// so nobody can try elements alone. Blinded hides the elements by random multiples of the generator, Keyed.Answer is what the
// others do with them, and Blinded.Pseudonyms takes the blinding off. Encode then stores a share of zero for each pseudonym;
// where all parties have one, the shares in the sum of the stores are zero.
package psi

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/gtank/ristretto255"
)

// Sizes in bytes.
const (
	PointSize = 32 // of an encoded group element
	HashSize  = 16 // of an element of a returned list
	NameSize  = 32 // of a pseudonym
)

// The reasons why a list that another party has sent is refused. None of them has a value.
var (
	ErrPoint    = errors.New("has an element that is no canonical encoding of a group element other than the identity")
	ErrRepeated = errors.New("has an element twice")
	ErrLength   = errors.New("has another number of elements than was agreed")
)

// tag starts the domain separation tag of hashes to the group.
const tag = "weft/v1/psi/ristretto255_XMD:SHA-512_R255MAP_RO_"

// Hasher maps the elements of sets to the group. Each intersection has one of its own.
type Hasher struct{ dst []byte }

// NewHasher is for the intersection called name in the computation sid: the whole name of the step in which lists are sent, call
// path included, which is one intersection's only.
func NewHasher(sid [32]byte, name string) Hasher {
	at := sha256.Sum256(place("", sid, name))
	return Hasher{append([]byte(tag), at[:]...)}
}

// place is start || sid || LP(name): what no other intersection has.
func place(start string, sid [32]byte, name string) []byte {
	b := append([]byte(start), sid[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(name)))
	return append(b, name...)
}

// uniform are 64 bytes that stand for an element.
func (h Hasher) uniform(dst, item []byte) { expand(dst[:64:64], item, h.dst) }

// expand is expand_message_xmd with SHA-512: RFC 9380, section 5.3.1. It fills dst, at most 255·64 bytes; tag has at most 255.
func expand(dst, message, tag []byte) {
	blocks := (len(dst) + sha512.Size - 1) / sha512.Size
	if blocks > 255 || len(tag) > 255 {
		panic("psi: expanded to more than there can be")
	}
	var pad [sha512.BlockSize]byte
	prime := append(append(make([]byte, 0, len(tag)+1), tag...), byte(len(tag)))
	d := sha512.New()
	d.Write(pad[:])
	d.Write(message)
	d.Write(binary.BigEndian.AppendUint16(nil, uint16(len(dst))))
	d.Write([]byte{0})
	d.Write(prime)
	var first, b [sha512.Size]byte
	d.Sum(first[:0])
	for i := 1; i <= blocks; i++ {
		for k := range b {
			b[k] ^= first[k]
		}
		d.Reset()
		d.Write(b[:])
		d.Write([]byte{byte(i)})
		d.Write(prime)
		d.Sum(b[:0])
		dst = dst[copy(dst, b[:]):]
	}
}

// Scalar is a secret multiplier, never 0. It prints as [secret].
type Scalar struct{ s ristretto255.Scalar }

// NewScalar draws a scalar.
func NewScalar(random io.Reader) (*Scalar, error) {
	var b [64]byte
	defer clear(b[:])
	zero := ristretto255.NewScalar()
	for { // once, but for one time in 2^252
		if _, err := io.ReadFull(random, b[:]); err != nil {
			return nil, fmt.Errorf("reading private randomness: %w", err)
		}
		k := new(Scalar)
		if k.s.FromUniformBytes(b[:]); k.s.Equal(zero) == 0 {
			return k, nil
		}
	}
}

// Forget overwrites the scalar.
func (k *Scalar) Forget() { k.s.Zero() }

// Format hides the scalar from whatever prints it.
func (k *Scalar) Format(f fmt.State, _ rune) { io.WriteString(f, "[secret]") }

// decode reads an element that another party has sent.
func decode(e *ristretto255.Element, b []byte) error {
	if e.Decode(b) != nil || identical(b) {
		return ErrPoint
	}
	return nil
}

// identical says whether b encodes the identity, whose canonical encoding is zeros.
func identical(b []byte) bool {
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}

// CheckList refuses a list of n entries of size bytes that has another length or an entry twice.
func CheckList(list []byte, n, size int) error {
	if len(list) != n*size {
		return ErrLength
	}
	seen := make(map[[PointSize]byte]struct{}, n)
	for ; len(list) > 0; list = list[size:] {
		var entry [PointSize]byte
		copy(entry[:], list[:size])
		seen[entry] = struct{}{}
	}
	if len(seen) != n {
		return ErrRepeated
	}
	return nil
}
