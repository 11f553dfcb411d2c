package coordinator

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/weftmpc/weft/broker/identity"
)

const (
	minOwn = 32 + 8 + 8 + 32 + 32 + 4 + minBundle
	maxOwn = 32 + 8 + 8 + 32 + 32 + 4 + maxBundle

	maxJoin = 4 + maxCommon + 4 + maxOwn + 64

	// MaxStart bounds a START, in bytes: half of what a broker forwards in one message. The bounds of its parts keep every
	// START below it.
	MaxStart = 512 << 10
)

// Own is the part of a JOIN that is the party's alone.
//
//	fp[32] | i64 issued_ns | i64 expiry_ns | nonce[32] | e[32] | LP(bundle)
type Own struct {
	FP             identity.Fingerprint
	Issued, Expiry int64    // Unix time in nanoseconds
	Nonce          [32]byte // fresh
	E              [32]byte // fresh X25519 public key; its secret is erased at START
	Bundle         []byte   // an encoded Bundle
}

// Encode returns the bytes that are signed after the hash of the common part.
func (o Own) Encode() []byte {
	b := make([]byte, 0, minOwn-minBundle+len(o.Bundle))
	b = append(b, o.FP[:]...)
	b = appendI64(b, o.Issued)
	b = appendI64(b, o.Expiry)
	b = append(b, o.Nonce[:]...)
	b = append(b, o.E[:]...)
	return appendLP(b, o.Bundle)
}

// DecodeOwn reads the own part of a JOIN; the bundle stays encoded and shares memory with b.
func DecodeOwn(b []byte) (Own, error) {
	var o Own
	r := reader{b: b}
	r.into(o.FP[:])
	o.Issued, o.Expiry = r.i64(), r.i64()
	r.into(o.Nonce[:])
	r.into(o.E[:])
	o.Bundle = r.lp("bundle", minBundle, maxBundle)
	if r.err == nil && (o.Issued <= 0 || o.Expiry <= o.Issued) {
		r.fail("issued and expiry: not in order")
	}
	if err := r.end("the own part of a JOIN"); err != nil {
		return Own{}, err
	}
	return o, nil
}

// Signed is a participant's own part with its signature, as received.
type Signed struct {
	Own []byte   // an encoded Own
	Sig [64]byte // identity.ContextJoin over SigningBytes
}

// Join is a participant's signed consent to one run of one computation, as received.
//
//	LP(common) | LP(own) | sig[64]
type Join struct {
	Common []byte // an encoded Common
	Signed
}

// SigningBytes is what the signature of a JOIN covers: SHA-256(common) || own.
func SigningBytes(common, own []byte) []byte {
	h := sha256.Sum256(common)
	return append(h[:], own...)
}

// Encode returns the bytes of the JOIN.
func (j Join) Encode() []byte {
	b := make([]byte, 0, 4+len(j.Common)+4+len(j.Own)+64)
	b = appendLP(b, j.Common)
	b = appendLP(b, j.Own)
	return append(b, j.Sig[:]...)
}

// Hash is SHA-256 of the encoding: the name of this very JOIN.
func (j Join) Hash() [32]byte { return sha256.Sum256(j.Encode()) }

// DecodeJoin splits a JOIN into its parts, which share memory with b and are not looked into.
func DecodeJoin(b []byte) (Join, error) {
	var j Join
	r := reader{b: b}
	j.Common = r.lp("common", minCommon, maxCommon)
	j.Own = r.lp("own", minOwn, maxOwn)
	r.into(j.Sig[:])
	if err := r.end("a JOIN"); err != nil {
		return Join{}, err
	}
	return j, nil
}

// Start holds every signed JOIN of a computation and nothing else: parties in fingerprint order, then helpers.
//
//	u8 1 | LP(common) | u16 count | count x (LP(own) | sig[64])
type Start struct {
	Common []byte
	Joins  []Signed
}

// Encode returns the bytes of the START.
func (s Start) Encode() []byte {
	size := 1 + 4 + len(s.Common) + 2
	for i := range s.Joins {
		size += 4 + len(s.Joins[i].Own) + 64
	}
	b := make([]byte, 0, size)
	b = append(b, formatVersion)
	b = appendLP(b, s.Common)
	b = binary.BigEndian.AppendUint16(b, uint16(len(s.Joins)))
	for i := range s.Joins {
		b = appendLP(b, s.Joins[i].Own)
		b = append(b, s.Joins[i].Sig[:]...)
	}
	return b
}

// DecodeStart splits a START into its parts, which share memory with b. It verifies nothing: Open and the receiver's own
// checks of signatures, certificates and policy come after it.
func DecodeStart(b []byte) (Start, error) {
	var s Start
	r := reader{b: b}
	if len(b) > MaxStart {
		r.fail("%d bytes; at most %d", len(b), MaxStart)
	}
	r.version()
	s.Common = r.lp("common", minCommon, maxCommon)
	n := int(r.u16())
	if r.err == nil && (n < MinParties || n > maxParticipants) {
		r.fail("%d joins; want %d to %d", n, MinParties, maxParticipants)
	}
	if r.err == nil && len(r.b) < n*(4+minOwn+64) {
		r.err = errShort
	}
	if r.err == nil {
		s.Joins = make([]Signed, n)
	}
	for i := range s.Joins {
		s.Joins[i].Own = r.lp("own", minOwn, maxOwn)
		r.into(s.Joins[i].Sig[:])
	}
	if err := r.end("a START"); err != nil {
		return Start{}, err
	}
	return s, nil
}

// SID names the run in the cryptography: SHA-256 over the bytes of all JOINs as received.
//
//	H("weft/v1/sid" || LP(common) || u16(count) || LP(own_0 || sig_0) || ...)
func (s Start) SID() [32]byte {
	h := sha256.New()
	h.Write([]byte("weft/v1/sid"))
	h.Write(appendLP(nil, s.Common))
	h.Write(binary.BigEndian.AppendUint16(nil, uint16(len(s.Joins))))
	for i := range s.Joins {
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(s.Joins[i].Own)+64)))
		h.Write(s.Joins[i].Own)
		h.Write(s.Joins[i].Sig[:])
	}
	return [32]byte(h.Sum(nil))
}

// Open decodes the parts and checks that the own parts are those of the participants of common, each at its place: parties
// in fingerprint order, then dealer, opener and aggregator where they are no parties. Signatures, times and certificates are
// the caller's.
func (s Start) Open() (Common, []Own, error) {
	c, err := DecodeCommon(s.Common)
	if err != nil {
		return Common{}, nil, err
	}
	places := append(append([]identity.Fingerprint(nil), c.Parties...), c.Helpers()...)
	if len(places) != len(s.Joins) {
		return Common{}, nil, fmt.Errorf("decoding a START: %d joins for %d participants", len(s.Joins), len(places))
	}
	owns := make([]Own, len(places))
	for i := range places {
		if owns[i], err = DecodeOwn(s.Joins[i].Own); err != nil {
			return Common{}, nil, err
		}
		if owns[i].FP != places[i] {
			return Common{}, nil, fmt.Errorf("decoding a START: join %d is of %s; want %s", i, owns[i].FP, places[i])
		}
	}
	return c, owns, nil
}
