package channel

import (
	"fmt"

	"github.com/weftmpc/weft/broker/identity"
)

const (
	initVersion = 1
	initSigned  = 1 + 32 + 32 + 32 + 32 + encSize + 32 // bytes under the signature
	initSize    = initSigned + 64
)

// initMessage is an INIT, decoded.
type initMessage struct {
	fromBundle, toBundle [32]byte // H(bundle), signature included
	from, to             identity.Fingerprint
	enc                  [encSize]byte
	nonce                [32]byte
	sig                  [64]byte
}

// InitBundles returns the hashes of the sender's and the receiver's bundle, by which an INIT finds its pair.
// It checks the format only; Accept checks the rest.
func InitBundles(init []byte) (from, to [32]byte, err error) {
	m, err := decodeInit(init)
	return m.fromBundle, m.toBundle, err
}

// signed returns the bytes under the signature.
func (m *initMessage) signed() []byte {
	b := make([]byte, 0, initSize)
	b = append(b, initVersion)
	b = append(b, m.fromBundle[:]...)
	b = append(b, m.toBundle[:]...)
	b = append(b, m.from[:]...)
	b = append(b, m.to[:]...)
	b = append(b, m.enc[:]...)
	return append(b, m.nonce[:]...)
}

func (m *initMessage) encode() []byte { return append(m.signed(), m.sig[:]...) }

func decodeInit(b []byte) (initMessage, error) {
	var m initMessage
	if len(b) != initSize {
		return m, fmt.Errorf("channel: INIT has %d bytes, want %d", len(b), initSize)
	}
	if b[0] != initVersion {
		return m, fmt.Errorf("channel: INIT has version %d, this weft knows %d: run the same release everywhere", b[0], initVersion)
	}
	rest := b[1:]
	for _, field := range [][]byte{m.fromBundle[:], m.toBundle[:], m.from[:], m.to[:], m.enc[:], m.nonce[:], m.sig[:]} {
		rest = rest[copy(field, rest):]
	}
	return m, nil
}
