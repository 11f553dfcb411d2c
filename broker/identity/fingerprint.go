package identity

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// Fingerprint names a key: SHA-256 of its SubjectPublicKeyInfo (RFC 5280, section 4.1) in DER.
type Fingerprint [32]byte

// spkiPrefix is all of an Ed25519 SubjectPublicKeyInfo but the 32 bytes of the key (RFC 8410, section 4).
var spkiPrefix = [12]byte{0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00}

// FingerprintOf gives the fingerprint of a key of 32 bytes; any other length is a mistake of the caller.
func FingerprintOf(pub ed25519.PublicKey) Fingerprint {
	return sha256.Sum256(spki(pub))
}

func spki(pub ed25519.PublicKey) []byte {
	if len(pub) != ed25519.PublicKeySize {
		panic(fmt.Sprintf("identity: an Ed25519 key has %d bytes, not %d", ed25519.PublicKeySize, len(pub)))
	}
	return append(spkiPrefix[:len(spkiPrefix):len(spkiPrefix)], pub...)
}

// ParseFingerprint reads what String writes: 64 lower-case hexadecimal digits.
func ParseFingerprint(s string) (Fingerprint, error) {
	var f Fingerprint
	if len(s) != 2*len(f) {
		return Fingerprint{}, fmt.Errorf("a fingerprint has %d hexadecimal digits, this has %d characters", 2*len(f), len(s))
	}
	if _, err := hex.Decode(f[:], []byte(s)); err != nil {
		return Fingerprint{}, fmt.Errorf("reading fingerprint: %w", err)
	}
	if f.String() != s {
		return Fingerprint{}, fmt.Errorf("fingerprint %q: write it in lower case", s)
	}
	return f, nil
}

// String is the fingerprint as 64 lower-case hexadecimal digits.
func (f Fingerprint) String() string { return hex.EncodeToString(f[:]) }

// IsZero tells whether f is the zero Fingerprint, which is no key's. Encoders that leave out what is empty ask it.
func (f Fingerprint) IsZero() bool { return f == Fingerprint{} }

// MarshalText writes what String does.
func (f Fingerprint) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText reads what ParseFingerprint does.
func (f *Fingerprint) UnmarshalText(b []byte) error {
	g, err := ParseFingerprint(string(b))
	if err != nil {
		return err
	}
	*f = g
	return nil
}

// Compare orders fingerprints as big-endian numbers: -1, 0 or +1. It is the order of parties in a computation.
func (f Fingerprint) Compare(g Fingerprint) int { return bytes.Compare(f[:], g[:]) }

// CheckName tells whether s can name a party: 1 to 63 of a-z, 0-9 and hyphen, so that it is one token of a NATS subject.
func CheckName(s string) error {
	if len(s) == 0 || len(s) > 63 {
		return fmt.Errorf("a party's name has 1 to 63 characters, this has %d", len(s))
	}
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return fmt.Errorf("a party's name is of a-z, 0-9 and hyphen, %q is not", s)
		}
	}
	return nil
}
