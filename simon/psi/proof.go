package psi

import (
	"bytes"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/gtank/ristretto255"
)

// ProofSize is the length of a proof in bytes.
const ProofSize = 64

// ErrProof is why a part of the public point is refused whose sender does not know its scalar.
var ErrProof = errors.New("has no proof that its sender knows the key")

// Prove shows that the party in seat self knows the scalar of its Public, without showing it: Schnorr's proof (Journal of
// Cryptology, 1991), its challenge a hash, for this intersection and this seat.
//
// Without it, a party that waits for the public points of all others could choose its own so that the sum is one whose scalar
// it knows. With answers to fit, others' pseudonyms would be under a key that it has, and it could try as many elements as it
// likes, by itself.
func (k *Keyed) Prove(random io.Reader, self int) ([]byte, error) {
	// The scalar is hashed with fresh randomness and the place: a generator that repeats does not give the scalar away.
	var fresh [64]byte
	defer clear(fresh[:])
	if _, err := io.ReadFull(random, fresh[:]); err != nil {
		return nil, fmt.Errorf("reading private randomness: %w", err)
	}
	secret := k.key.s.Encode(fresh[:])
	defer clear(secret)
	var r, c ristretto255.Scalar
	defer r.Zero()
	wide := sha512.Sum512(append(place("weft/v1/psi/nonce", k.sid, k.name), secret...))
	defer clear(wide[:])
	r.FromUniformBytes(wide[:])
	proof := new(ristretto255.Element).ScalarBaseMult(&r).Encode(nil)
	k.challenge(&c, self, k.Public(), proof)
	return c.Add(c.Multiply(&c, &k.key.s), &r).Encode(proof), nil
}

// CheckPublic refuses what no honest party in seat peer sends as its part of the public point and the proof for it.
func (k *Keyed) CheckPublic(public, proof []byte, peer int) error {
	var y, r ristretto255.Element
	var c, z ristretto255.Scalar
	if err := decode(&y, public); err != nil {
		return err
	}
	if len(proof) != ProofSize || z.Decode(proof[PointSize:]) != nil {
		return ErrProof
	}
	k.challenge(&c, peer, public, proof[:PointSize])
	c.Negate(&c)
	if !bytes.Equal(r.VarTimeDoubleScalarBaseMult(&c, &y, &z).Encode(nil), proof[:PointSize]) {
		return ErrProof
	}
	return nil
}

// challenge sets c to what the party in seat must answer.
func (k *Keyed) challenge(c *ristretto255.Scalar, seat int, public, commitment []byte) {
	b := binary.BigEndian.AppendUint32(place("weft/v1/psi/proof", k.sid, k.name), uint32(seat))
	wide := sha512.Sum512(slices.Concat(b, public, commitment))
	c.FromUniformBytes(wide[:])
}
