package coordinator

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/weftmpc/weft/broker/identity"
)

// Suite is the HPKE KEM of a bundle's key: X-Wing (X25519 and ML-KEM-768).
const Suite = 0x647a

const (
	// BundleKey is the size of a bundle's public key in bytes.
	BundleKey = 1216
	// MaxLeaf bounds the DER of a leaf certificate, in bytes.
	MaxLeaf = 1536

	minBundle = 1 + 2 + 32 + 8 + 8 + 32 + 4 + BundleKey + 4 + 1 + 64
	maxBundle = minBundle - 1 + MaxLeaf
)

// Bundle is a party's channel key for about two hours, with the certificate that it hangs on.
//
//	u8 1 | u16 0x647a | fp[32] | i64 not_before | i64 not_after | nonce[32] | LP(pk) | LP(leaf DER) | sig[64]
//
// The signature is Ed25519ctx with identity.ContextBundle over SHA-256 of all bytes before it.
type Bundle struct {
	FP                  identity.Fingerprint
	NotBefore, NotAfter int64 // Unix time in nanoseconds
	Nonce               [32]byte
	PK                  []byte // BundleKey bytes
	Leaf                []byte // DER, 1 to MaxLeaf bytes
	Sig                 [64]byte
}

func (b Bundle) unsigned() []byte {
	out := make([]byte, 0, minBundle-1+len(b.Leaf))
	out = append(out, formatVersion)
	out = binary.BigEndian.AppendUint16(out, Suite)
	out = append(out, b.FP[:]...)
	out = appendI64(out, b.NotBefore)
	out = appendI64(out, b.NotAfter)
	out = append(out, b.Nonce[:]...)
	out = appendLP(out, b.PK)
	return appendLP(out, b.Leaf)
}

// SigningBytes is what the signature covers: SHA-256 of all bytes before it.
func (b Bundle) SigningBytes() []byte {
	h := sha256.Sum256(b.unsigned())
	return h[:]
}

// Encode returns the bytes of the bundle.
func (b Bundle) Encode() []byte { return append(b.unsigned(), b.Sig[:]...) }

// DecodeBundle reads a bundle; PK and Leaf share memory with raw. The signature is not verified here.
func DecodeBundle(raw []byte) (Bundle, error) {
	var b Bundle
	r := reader{b: raw}
	r.version()
	if suite := r.u16(); r.err == nil && suite != Suite {
		r.fail("key suite %#04x; this program knows %#04x", suite, Suite)
	}
	r.into(b.FP[:])
	b.NotBefore, b.NotAfter = r.i64(), r.i64()
	r.into(b.Nonce[:])
	b.PK = r.lp("public key", BundleKey, BundleKey)
	b.Leaf = r.lp("leaf certificate", 1, MaxLeaf)
	r.into(b.Sig[:])
	if r.err == nil && (b.NotBefore <= 0 || b.NotAfter <= b.NotBefore) {
		r.fail("not_before and not_after: not in order")
	}
	if err := r.end("a channel bundle"); err != nil {
		return Bundle{}, err
	}
	return b, nil
}
