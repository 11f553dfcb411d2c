// Package simon holds the microprotocols of weft: pure functions over a Session, without network, clock, files or
// randomness of their own.
//
// A reader who wants to know what a computation does starts at Microprotocol and Catalogue; one who writes a protocol
// starts at Session and MaskedSum.
package simon

import (
	"context"
	"errors"
	"io"

	"github.com/weftmpc/weft/simon/prg"
)

// Label names one message step of a call. The session adds the call path, so two calls never share a label.
type Label struct {
	Round  uint32
	Vector string
}

// Role is a place in a computation that a protocol addresses by what it does.
type Role uint8

// The roles. First is the party at position 0 of the client's node list; the others are the helpers' and evaluators' places.
const (
	First Role = iota + 1
	S0
	S1
	Dealer
	Opener
	Aggregator
)

// Purpose separates the pairwise streams that serve different ends.
type Purpose uint8

// The purposes of Session.Stream.
const (
	Mask Purpose = iota + 1
	Deal
	Opening
	Zero
)

// ErrUsed is returned by Session.Stream at the second call for one (path, purpose, label, peer).
var ErrUsed = errors.New("simon: stream used twice")

// Progress is what a protocol tells its audience while it runs: public facts only.
type Progress struct {
	Round, Rounds uint32
	Waiting       []int // seats whose message is outstanding
}

// Session is one seat's view of one computation. Its engine adds salts, keeps the transcript and runs CONFIRM.
// Every wait ends with ctx, with the engine's round time-out or with the computation's time limit.
type Session interface {
	// N is the number of parties. Parties have seats 0..N()-1 in fingerprint order; helpers follow.
	N() int
	Self() int
	Seat(r Role) (seat int, ok bool)
	// Position is the index of a party in the client's nodes list.
	Position(party int) int
	Recipients() []int
	// SID names the computation: a hash over all parties' signed JOINs, public, and new for every attempt. Hash functions
	// that all parties evaluate alike are keyed by it, so that nobody can choose data against them in advance.
	SID() [32]byte
	// Name is the whole name of a step: call path, round and vector, in bytes that no other step of the computation has. It is
	// public and the same at all seats.
	Name(l Label) []byte

	// Call opens a nested call with its own label space; the parent makes it before any goroutine starts.
	// While a child is open the parent's Exchange, Send and Open fail.
	Call(name string) Session
	// Join folds the children's transcripts back, in call order.
	Join(children ...Session)

	// A body given to any of the following is the caller's again when the call returns.

	// Exchange is public: the seats in from (nil: all parties) send one salted body to all parties, and it enters the
	// transcript. The result has one body per seat of from, in ascending order, own body included.
	Exchange(ctx context.Context, from []int, l Label, body []byte) ([][]byte, error)
	// Open is a last opening: every party sends body to Recipients(); once per call path; returns nil at others. Its salts
	// and the opened elements make the result hash.
	Open(ctx context.Context, l Label, body []byte) ([][]byte, error)
	// Send is private: one body, one salt, for all of to. Sending to the dealer is an error.
	Send(ctx context.Context, to []int, l Label, body []byte) error
	// SendInput sends body to both evaluators, whose input digests are compared: the next Exchange of the two, in this call or
	// after it was joined, carries them, and fails at all parties where they differ. A run that ends before one is an error.
	SendInput(ctx context.Context, l Label, body []byte) error
	// Receive waits for the bodies that the seats in from sent under l with Send or SendInput. At an evaluator that has sent an
	// input under l itself these are inputs: it receives all of them in one Receive, and its own seat may be in from.
	Receive(ctx context.Context, from []int, l Label) ([][]byte, error)

	// Stream is the same at both ends of the pair, forward only.
	Stream(p Purpose, peer int, l Label) (prg.Stream, error)
	// Rand is private randomness.
	Rand() io.Reader
	Report(Progress)
}
