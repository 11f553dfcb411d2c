// Package prg expands pairwise keys to pseudorandom streams: AES-256 in counter mode with IV 0 (NIST SP 800-38A).
//
// A key serves one stream. The IV is always the same, so a second stream of one key would repeat the first, and two vectors
// under one mask show their difference to everybody who sees both. The owner of the keys sees to it that no key is used twice.
package prg

import (
	"crypto/aes"
	"crypto/cipher"
	"fmt"
)

// KeySize is the length of a stream's key in bytes.
const KeySize = 32

// Stream is a pseudorandom byte stream, read forward only.
type Stream interface {
	// Fill overwrites dst with the next len(dst) bytes.
	Fill(dst []byte)
}

type ctr struct{ c cipher.Stream }

// New returns the stream of key, which must have KeySize bytes.
func New(key []byte) (Stream, error) {
	if len(key) != KeySize {
		return nil, fmt.Errorf("prg: key has %d bytes, want %d", len(key), KeySize)
	}
	b, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return ctr{cipher.NewCTR(b, make([]byte, aes.BlockSize))}, nil
}

func (s ctr) Fill(dst []byte) {
	clear(dst)
	s.c.XORKeyStream(dst, dst)
}
