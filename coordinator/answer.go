package coordinator

import (
	"crypto/sha256"
	"encoding/binary"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/broker/identity"
)

// AnswerKind says what the coordinator has to tell a party.
type AnswerKind uint8

// The kinds of answers.
const (
	AnswerStart    AnswerKind = iota + 1 // all parties joined: Start
	AnswerWaiting                        // the JOIN is held; Waiting lists who has not joined
	AnswerConflict                       // another party's JOIN differs: Other
	AnswerRefused                        // the JOIN is not held: Code, Text
)

func (k AnswerKind) String() string {
	switch k {
	case AnswerStart:
		return "start"
	case AnswerWaiting:
		return "waiting"
	case AnswerConflict:
		return "conflict"
	case AnswerRefused:
		return "refused"
	default:
		return "unknown"
	}
}

// Codes of refusals.
const (
	CodeMalformed   uint16 = iota + 1 // not the format, or parts that do not belong together
	CodeCertificate                   // certificate not issued by this consortium, or not valid now
	CodeSignature                     // signature of the JOIN does not verify
	CodeExpired                       // expired, or valid for more than an hour
	CodeClock                         // issued in the future
	CodeCoordinator                   // meant for another coordinator
	CodeHelpers                       // names helpers or evaluators who cannot be that, or a dealer who does not deal
	CodeParties                       // more parties than this coordinator serves
	CodeReplaced                      // the party has sent a newer JOIN for this computation
	CodeWithdrawn                     // the party has withdrawn this JOIN
	CodeOver                          // started, so long ago that the START is no longer kept
	CodeBusy                          // too many open JOINs; try again later
	CodeSender                        // came under another name than its certificate has
)

// maxText bounds the text of a refusal, in bytes.
const maxText = 512

// Answer goes from the coordinator to a party, as reply to its JOIN or on its start subject. Only the fields of its kind are
// encoded.
//
//	u8 1 | u8 kind | uuid[16] | start: LP(START) | waiting: u16 count | count x fp[32] ascending
//	                          | conflict: LP(JOIN) | refused: u16 code | LP(text)
//
// An answer is not signed: it has no power beyond the signed JOINs in it, and what the others say can delay a party but not
// deceive it. A refusal or a list of missing parties is for display and for a decision to try again.
type Answer struct {
	Kind    AnswerKind
	UUID    uuid.UUID
	Start   []byte                 // an encoded Start
	Other   []byte                 // the whole JOIN of a party of the receiver's list that differs in its common part
	Waiting []identity.Fingerprint // ascending; may be empty
	Code    uint16
	Text    string // one sentence for a person: printable UTF-8, at most 512 bytes
}

// Encode returns the bytes of the answer; text is cut to its bound.
func (a Answer) Encode() []byte {
	b := make([]byte, 0, 18+4+len(a.Start)+len(a.Other)+32*len(a.Waiting)+len(a.Text))
	b = append(b, formatVersion, byte(a.Kind))
	b = append(b, a.UUID[:]...)
	switch a.Kind {
	case AnswerStart:
		b = appendLP(b, a.Start)
	case AnswerWaiting:
		b = appendFingerprints(b, a.Waiting)
	case AnswerConflict:
		b = appendLP(b, a.Other)
	case AnswerRefused:
		b = binary.BigEndian.AppendUint16(b, a.Code)
		b = appendLP(b, []byte(printable(a.Text, maxText)))
	}
	return b
}

// DecodeAnswer reads an answer; Start and Other share memory with b and are not looked into.
func DecodeAnswer(b []byte) (Answer, error) {
	var a Answer
	r := reader{b: b}
	r.version()
	a.Kind = AnswerKind(r.u8())
	r.into(a.UUID[:])
	switch a.Kind {
	case AnswerStart:
		a.Start = r.lp("START", 1, MaxStart)
	case AnswerWaiting:
		a.Waiting = r.fingerprints("waiting", 0, maxParticipants)
		if r.err == nil && !ascending(a.Waiting) {
			r.fail("waiting: not strictly ascending by fingerprint")
		}
	case AnswerConflict:
		a.Other = r.lp("JOIN", 1, maxJoin)
	case AnswerRefused:
		if a.Code = r.u16(); r.err == nil && a.Code == 0 {
			r.fail("code 0")
		}
		text := r.lp("text", 0, maxText)
		if a.Text = string(text); r.err == nil && printable(a.Text, maxText) != a.Text {
			r.fail("text: not printable UTF-8")
		}
	default:
		r.fail("unknown kind %d", a.Kind)
	}
	if err := r.end("an answer of the coordinator"); err != nil {
		return Answer{}, err
	}
	return a, nil
}

// Leave withdraws the JOIN whose hash it names. It is a hint: whoever sends it has erased that JOIN's secret before.
//
//	u8 1 | uuid[16] | fp[32] | SHA-256(JOIN)[32] | sig[64]
//
// The signature is Ed25519ctx with identity.ContextLeave over SHA-256 of all bytes before it.
type Leave struct {
	UUID uuid.UUID
	FP   identity.Fingerprint
	Join [32]byte
	Sig  [64]byte
}

const sizeLeave = 1 + 16 + 32 + 32 + 64

func (l Leave) unsigned() []byte {
	b := make([]byte, 0, sizeLeave)
	b = append(b, formatVersion)
	b = append(b, l.UUID[:]...)
	b = append(b, l.FP[:]...)
	return append(b, l.Join[:]...)
}

// SigningBytes is what the signature covers: SHA-256 of all bytes before it.
func (l Leave) SigningBytes() []byte {
	h := sha256.Sum256(l.unsigned())
	return h[:]
}

// Encode returns the bytes of the LEAVE.
func (l Leave) Encode() []byte { return append(l.unsigned(), l.Sig[:]...) }

// DecodeLeave reads a LEAVE; its signature is not verified here.
func DecodeLeave(b []byte) (Leave, error) {
	var l Leave
	r := reader{b: b}
	r.version()
	r.into(l.UUID[:])
	r.into(l.FP[:])
	r.into(l.Join[:])
	r.into(l.Sig[:])
	if err := r.end("a LEAVE"); err != nil {
		return Leave{}, err
	}
	return l, nil
}

// printable replaces what should not reach a terminal and cuts s to at most limit bytes, at a character's border.
func printable(s string, limit int) string {
	s = strings.Map(func(c rune) rune {
		if c == utf8.RuneError || !unicode.IsPrint(c) {
			return '?'
		}
		return c
	}, s)
	for len(s) > limit {
		_, size := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-size]
	}
	return s
}
