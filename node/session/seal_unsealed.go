//go:build weft_insecure_unsealed

package session

import (
	"crypto/cipher"
	"crypto/sha256"
	"errors"
	"slices"
	"testing"
)

// newAEAD seals nothing: bodies travel in the clear. It exists so that the test of what an observer of the hub sees can
// show that it would find inputs if they were not sealed: a search that finds nothing proves nothing before it has been
// seen to find something. No program that is given to anybody has this build tag, and one that has it stops here.
func newAEAD(*[32]byte) cipher.AEAD {
	if !testing.Testing() {
		panic("session: built with the tag weft_insecure_unsealed, which is for tests only: build without it")
	}
	return unsealed{}
}

// unsealed copies, and has a checksum where AES-GCM has its tag, so that lengths and the detection of accidents are the
// same. Anybody can make the checksum.
type unsealed struct{}

func (unsealed) NonceSize() int { return len(nonceOf(0)) }
func (unsealed) Overhead() int  { return tagSize }

func (unsealed) Seal(dst, nonce, plain, aad []byte) []byte {
	sum := checksum(nonce, plain, aad) // before dst, which may overlap plain, is written to
	return append(append(dst, plain...), sum...)
}

func (unsealed) Open(dst, nonce, sealed, aad []byte) ([]byte, error) {
	n := len(sealed) - tagSize
	if n < 0 || !slices.Equal(sealed[n:], checksum(nonce, sealed[:n], aad)) {
		return nil, errors.New("session: checksum of an unsealed body")
	}
	return append(dst, sealed[:n]...), nil
}

func checksum(nonce, plain, aad []byte) []byte {
	b := appendLP(nil, nonce)
	b = appendLP(b, aad)
	sum := sha256.Sum256(append(b, plain...))
	return sum[:tagSize]
}
