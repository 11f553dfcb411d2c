//go:build !weft_insecure_unsealed

package session

import (
	"crypto/aes"
	"crypto/cipher"
)

// newAEAD is the cipher of bodies: AES-256-GCM, with a key that seals in one direction of one pair in one computation.
func newAEAD(key *[32]byte) cipher.AEAD {
	block, err := aes.NewCipher(key[:])
	if err == nil {
		var aead cipher.AEAD
		if aead, err = cipher.NewGCM(block); err == nil {
			return aead
		}
	}
	panic("session: AES-256-GCM: " + err.Error()) // only for a wrong length of key
}
