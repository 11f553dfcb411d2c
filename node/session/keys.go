package session

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"

	"github.com/weftmpc/weft/broker/identity"
	"github.com/weftmpc/weft/simon"
)

// The purposes of a key. One purpose and one label make one key, and one key serves one end.
const (
	purposeSeal   = "seal"   // AES-256-GCM of bodies; a sends to b, label empty
	purposeResend = "resend" // HMAC of asks; a asks b, label empty
	purposeMask   = "mask"   // streams; a is the lower fingerprint
	purposeOpen   = "open"
	purposeZero   = "psiz"
	purposeDeal   = "deal" // stream; a is the dealer
)

// deriveKey is HKDF-Expand (RFC 5869) of a pair's secret:
//
//	key(purpose, label, a, b) = HKDF-Expand(prk, "weft/v1/key" || LP(purpose) || LP(label) || LP(fp_a) || LP(fp_b), 32)
func deriveKey(prk *[32]byte, purpose, label string, a, b *identity.Fingerprint) [32]byte {
	info := make([]byte, 0, 128+len(label))
	info = append(info, "weft/v1/key"...)
	info = appendLP(info, purpose)
	info = appendLP(info, label)
	info = appendLP(info, string(a[:]))
	info = appendLP(info, string(b[:]))
	k, err := hkdf.Expand(sha256.New, prk[:], string(info), 32)
	if err != nil { // only for more than 255 blocks
		panic("session: expanding a key: " + err.Error())
	}
	key := [32]byte(k)
	clear(k)
	return key
}

// appendLP appends the length of s as u32 and s.
func appendLP[T string | []byte](b []byte, s T) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...)
}

// appendPath extends a call path by one nested call. Names have a length and the counter is fixed, so two different
// sequences of calls never give the same path.
func appendPath(path []byte, name string, counter uint32) []byte {
	return binary.BigEndian.AppendUint32(appendLP(path, name), counter)
}

// labelBytes is LP(call path) || u32(round) || LP(vector).
func labelBytes(path []byte, l simon.Label) []byte {
	b := appendLP(make([]byte, 0, 12+len(path)+len(l.Vector)), path)
	b = binary.BigEndian.AppendUint32(b, l.Round)
	return appendLP(b, l.Vector)
}

// nonceOf is the 96-bit counter of a sealing key.
func nonceOf(seq uint64) (nonce [12]byte) {
	binary.BigEndian.PutUint64(nonce[4:], seq)
	return nonce
}
