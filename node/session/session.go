package session

import (
	"context"
	"crypto/ed25519"
	"io"
	"time"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/broker/identity"
	"github.com/weftmpc/weft/simon"
)

// Link carries datagrams to the other seats. It may lose them.
type Link interface {
	// Send must not keep or change b.
	Send(to int, b []byte) error
}

// Participant is who sits in a seat.
type Participant struct {
	FP   identity.Fingerprint
	Key  ed25519.PublicKey
	Name string // of the party, for people
}

// Config is a computation as one of its seats sees it.
type Config struct {
	UUID         uuid.UUID
	SID, Layout  [32]byte
	Participants []Participant // the parties by ascending fingerprint, then the helpers
	Parties      int           // how many of Participants are parties, 2 to 128
	Self         int           // the own seat
	Positions    []int         // by party: index in the client's list of nodes
	Roles        map[simon.Role]int
	Recipients   []int // seats, ascending; whom Open opens to

	Version uint32        // of the microprotocol
	Round   time.Duration // time-out of one step; 0: no time-out
	Limit   time.Duration // of the whole computation, from Started; 0: none
	Started time.Time

	Rand     io.Reader // nil: crypto/rand
	Link     Link
	Durable  func() error         // waits until the start is durable; nil: it is. No datagram leaves before
	Progress func(simon.Progress) // told public facts; may be nil
	Memory   int64                // most bytes of bodies and ciphertexts held at a time; 0: 256 MiB
}

// Outcome is what a computation came to at this seat, before anybody has confirmed it.
type Outcome struct {
	Opened []byte   // what the protocol returned: the opened elements, nil at a seat that receives none
	TH, RH [32]byte // transcript and result hash
}

// Session is one computation at one seat. Its methods are safe for concurrent use.
type Session struct{}

// New checks c and makes a session. Nothing leaves before Play.
func New(c Config) (*Session, error) { panic("todo") }

// SetKey gives the secret that is shared with a peer, and the id of the channel it came from. Before it, bodies to and
// from that peer wait.
func (s *Session) SetKey(peer int, prk [32]byte, epoch [16]byte) error { panic("todo") }

// Deliver takes a datagram of kind 1 or 2 that came on the subject of seat from. Whatever is wrong with it is counted and
// dropped. b is not kept and not changed.
func (s *Session) Deliver(from int, b []byte) { panic("todo") }

// Tick tells the time, every 50 ms or so: it asks for what is missing and ends what took too long.
func (s *Session) Tick(now time.Time) { panic("todo") }

// Reconnected asks at once for all that is missing.
func (s *Session) Reconnected() { panic("todo") }

// Play runs the protocol up to the opening.
func (s *Session) Play(ctx context.Context, play func(context.Context, simon.Session) ([]byte, error)) (Outcome, error) {
	panic("todo")
}

// Heard lists the peers from whom an authenticated body or ask has come.
func (s *Session) Heard() []int { panic("todo") }

// Close ends a running Play with ErrClosed and erases keys, ciphertexts and bodies. It is safe to call twice.
func (s *Session) Close() { panic("todo") }
