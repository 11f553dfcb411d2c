package session

import (
	"context"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/broker/identity"
	"github.com/weftmpc/weft/simon"
)

// Link carries datagrams to the other seats. It may lose them.
type Link interface {
	// Send must neither keep nor change b.
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
	Parties      int           // how many of Participants are parties, at least 2
	Self         int           // the own seat
	Positions    []int         // by party: index in the client's list of nodes
	Roles        map[simon.Role]int
	Recipients   []int // seats, ascending, not empty; whom Open opens to

	Version uint32        // of the microprotocol
	Round   time.Duration // time-out of one step; 0: none
	Limit   time.Duration // of the whole computation, from Started; 0: none
	Started time.Time

	Rand     io.Reader // nil: crypto/rand
	Link     Link
	Durable  func() error                                  // waits until the start is durable; nil: it is. No datagram leaves before
	Progress func(simon.Progress)                          // told public facts; may be nil
	Hop      func(context.Context, Hop) (over func(error)) // told that a wait begins; over, if not nil, that it has ended; may be nil
	Memory   int64                                         // most bytes of bodies and ciphertexts held at a time; 0: 256 MiB
	Budget   *Budget                                       // bounds the same over several sessions; nil: nothing does
}

const defaultMemory = 256 << 20

// Outcome is what a computation came to at this seat, before anybody has confirmed it.
type Outcome struct {
	Opened []byte   // what the protocol returned: the opened elements, nil at a seat that receives none
	TH, RH [32]byte // transcript and result hash
}

// Stats counts what became of datagrams.
type Stats struct {
	Dropped    uint64 // received, and wrong in some way
	Duplicates uint64 // received before
	Repeated   uint64 // sent again, on an ask
	Asks       uint64 // asks sent
	Unsent     uint64 // refused by the link
}

// Session is one computation at one seat. Its methods are safe for concurrent use.
type Session struct {
	cfg     Config
	parties []int // their seats
	rand    io.Reader
	durable sync.Once
	closed  atomic.Bool
	dead    chan struct{} // closed with the first error

	mu       sync.Mutex
	err      error // the first, which ends everything
	now      time.Time
	ready    bool // durable has succeeded: datagrams may leave
	played   bool
	playing  bool
	ctx      context.Context // of Play
	cancel   context.CancelCauseFunc
	peers    []*peer // by seat; the own one holds what is sent to oneself
	used     map[string]bool
	streams  map[streamID]bool
	waits    []*wait
	openings []opening
	memory   int64 // bytes held
	last     simon.Progress
	stats    Stats
	w        writer

	// monitor, in tests, is shown every sealing key with its nonce, and every stream key with none.
	monitor func(key [32]byte, nonce []byte)
}

type streamID struct {
	purpose simon.Purpose
	peer    int
	label   string
}

// peer is what the session knows and holds of one other seat.
type peer struct {
	Participant
	seat int

	keyed      bool
	prk        [32]byte
	epoch      [16]byte
	sealKey    [32]byte // kept for the monitor only; the cipher has its own
	seal, open cipher.AEAD
	askKey     [32]byte // of own asks
	answerKey  [32]byte // of the peer's asks
	seq        uint64   // of the last sealed unit

	out        map[string]*receiver // by label
	waiting    []*receiver          // for the key
	in         map[string]*incoming
	early      [][]byte // before the key
	earlyBytes int
	unasked    int   // bodies that nobody here waits for yet
	unaskedMem int64 // and their bytes
	heard      bool
}

// New checks c and makes a session. Nothing leaves before Play.
func New(c Config) (*Session, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	if c.Memory == 0 {
		c.Memory = defaultMemory
	}
	c.Participants, c.Positions, c.Recipients = slices.Clone(c.Participants), slices.Clone(c.Positions), slices.Clone(c.Recipients)
	c.Roles = maps.Clone(c.Roles)
	s := &Session{
		cfg: c, rand: &lockedReader{r: c.Rand}, dead: make(chan struct{}), now: c.Started, ctx: context.Background(),
		peers: make([]*peer, len(c.Participants)), used: map[string]bool{}, streams: map[streamID]bool{},
	}
	if c.Rand == nil {
		s.rand = rand.Reader
	}
	for i := range c.Parties {
		s.parties = append(s.parties, i)
	}
	for i, p := range c.Participants {
		s.peers[i] = &peer{Participant: p, seat: i, out: map[string]*receiver{}, in: map[string]*incoming{}}
	}
	return s, nil
}

func (c *Config) check() error {
	n := len(c.Participants)
	if c.Parties < 2 || c.Parties > n || n > 256 {
		return fmt.Errorf("session: %d parties of %d participants", c.Parties, n)
	}
	if c.Self < 0 || c.Self >= n || c.Link == nil || c.Memory < 0 || c.Round < 0 || c.Limit < 0 {
		return fmt.Errorf("session: seat %d of %d: link, memory, round or limit missing or out of range", c.Self, n)
	}
	seen := map[identity.Fingerprint]bool{}
	for i, p := range c.Participants {
		if seen[p.FP] || (i > 0 && i < c.Parties && c.Participants[i-1].FP.Compare(p.FP) >= 0) {
			return fmt.Errorf("session: participant %d is out of the order of fingerprints", i)
		}
		seen[p.FP] = true
	}
	if len(c.Positions) != c.Parties {
		return fmt.Errorf("session: %d positions for %d parties", len(c.Positions), c.Parties)
	}
	places := map[int]bool{}
	for _, p := range c.Positions {
		if p < 0 || p >= c.Parties || places[p] {
			return fmt.Errorf("session: positions %v are no permutation", c.Positions)
		}
		places[p] = true
	}
	if len(c.Recipients) == 0 || !ascending(c.Recipients, n) {
		return fmt.Errorf("session: recipients %v are not ascending seats", c.Recipients)
	}
	for role, seat := range c.Roles {
		if seat < 0 || seat >= n {
			return fmt.Errorf("session: role %d has seat %d of %d", role, seat, n)
		}
	}
	return nil
}

// ascending reports whether seats are strictly ascending and below n.
func ascending(seats []int, n int) bool {
	for i, s := range seats {
		if s < 0 || s >= n || (i > 0 && seats[i-1] >= s) {
			return false
		}
	}
	return true
}

// lockedReader serves parallel calls.
type lockedReader struct {
	mu sync.Mutex
	r  io.Reader
}

func (l *lockedReader) Read(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.r.Read(b)
}

// deaf reports whether this seat is that of a dealer who is no party: it sends, and answers asks, and receives no body.
func (s *Session) deaf() bool {
	seat, ok := s.cfg.Roles[simon.Dealer]
	return ok && seat == s.cfg.Self && seat >= s.cfg.Parties
}

// String names the computation and the seat, and shows nothing that a session holds.
func (s *Session) String() string {
	return fmt.Sprintf("session of %s in seat %d", s.cfg.UUID, s.cfg.Self)
}

// SetKey gives the secret that is shared with a peer, and the id of the channel it came from. Before it, bodies to and
// from that peer wait. It may be called once per peer.
func (s *Session) SetKey(seat int, prk [32]byte, epoch [16]byte) error {
	if seat < 0 || seat >= len(s.peers) || seat == s.cfg.Self {
		return fmt.Errorf("session: no peer in seat %d", seat)
	}
	s.mu.Lock()
	if s.closed.Load() {
		s.mu.Unlock()
		return ErrClosed
	}
	p, own := s.peers[seat], &s.peers[s.cfg.Self].FP
	if p.keyed {
		s.mu.Unlock()
		return fmt.Errorf("session: the key of %s was set before", p.Name)
	}
	p.prk, p.epoch, p.keyed = prk, epoch, true
	p.sealKey = deriveKey(&prk, purposeSeal, "", own, &p.FP)
	openKey := deriveKey(&prk, purposeSeal, "", &p.FP, own)
	p.seal, p.open = newAEAD(&p.sealKey), newAEAD(&openKey)
	p.askKey = deriveKey(&prk, purposeResend, "", own, &p.FP)
	p.answerKey = deriveKey(&prk, purposeResend, "", &p.FP, own)
	clear(openKey[:])
	clear(prk[:])
	if s.monitor == nil {
		clear(p.sealKey[:])
	}
	var outs []packet
	for _, r := range p.waiting {
		outs = append(outs, s.sealUpTo(p, r, firstWindow)...)
	}
	p.waiting = nil
	for _, w := range s.waits {
		if w.key == p {
			w.finish()
		}
	}
	early := p.early
	p.early, p.earlyBytes = nil, 0
	s.mu.Unlock()
	s.flush(outs)
	for _, b := range early {
		s.Deliver(seat, b)
	}
	return nil
}

// Heard lists the peers from whom an authenticated body or ask has come.
func (s *Session) Heard() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	var seats []int
	for _, p := range s.peers {
		if p.heard {
			seats = append(seats, p.seat)
		}
	}
	return seats
}

// Stats counts what became of datagrams so far.
func (s *Session) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

// Play runs the protocol up to the opening, in the calling goroutine, once per session. Afterwards the session goes on
// answering asks until Close: peers may still lack what was sent from here.
func (s *Session) Play(ctx context.Context, play func(context.Context, simon.Session) ([]byte, error)) (Outcome, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s.mu.Lock()
	if s.err != nil || s.played {
		err := s.err
		s.mu.Unlock()
		if err == nil {
			err = misuse("a session plays once")
		}
		return Outcome{}, err
	}
	s.played, s.playing, s.ctx, s.cancel = true, true, ctx, cancel
	s.mu.Unlock()

	root := &call{s: s, th: transcriptStart(s.cfg.SID)}
	opened, err := play(ctx, root)

	s.mu.Lock()
	defer s.mu.Unlock()
	s.playing, s.cancel = false, nil
	switch {
	case s.err != nil:
		return Outcome{}, s.err
	case err != nil:
		if refused, ok := errors.AsType[*simon.SeatError](err); ok && refused.Seat >= 0 && refused.Seat < len(s.peers) {
			refused.Name = s.peers[refused.Seat].Name
		}
		return Outcome{}, err
	case root.open > 0:
		return Outcome{}, misuse("the protocol ended with an open call")
	case root.digest != [32]byte{}:
		return Outcome{}, misuse("the protocol ended with inputs that the evaluators have not compared")
	}
	return Outcome{Opened: opened, TH: root.th, RH: resultHash(s.openings, s.cfg.Layout, opened)}, nil
}

// fail ends the computation here with its first error. The caller holds the lock.
func (s *Session) fail(err error) {
	if s.err != nil {
		return
	}
	s.err = err
	close(s.dead)
	if s.cancel != nil {
		s.cancel(err)
	}
}

// Close ends a running Play with ErrClosed and erases keys, ciphertexts and bodies. It is safe to call twice.
func (s *Session) Close() {
	s.closed.Store(true)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail(ErrClosed)
	for _, p := range s.peers {
		for _, in := range p.in {
			clear(in.body)
		}
		for _, r := range p.out {
			r.wipe()
		}
		clear(p.prk[:])
		clear(p.sealKey[:])
		clear(p.askKey[:])
		clear(p.answerKey[:])
		p.seal, p.open, p.keyed = nil, nil, false
		p.out, p.in, p.early, p.waiting = nil, nil, nil, nil
	}
	for _, o := range s.openings {
		for i := range o.salts {
			clear(o.salts[i][:])
		}
	}
	s.cfg.Budget.give(s.memory)
	s.openings, s.memory = nil, 0
}

// awaitDurable waits, once, until the start is durable. The lock is not held.
func (s *Session) awaitDurable() error {
	s.mu.Lock()
	if s.ready || s.err != nil {
		defer s.mu.Unlock()
		return s.err
	}
	s.mu.Unlock()
	s.durable.Do(func() {
		var err error
		if s.cfg.Durable != nil {
			err = s.cfg.Durable()
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if err != nil {
			s.fail(fmt.Errorf("session: recording the start: %w", err))
			return
		}
		s.ready = true
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// packet is a datagram that waits to be sent until the lock is released.
type packet struct {
	to int
	b  []byte
}

// flush sends. A link that fails is like one that loses: the receiver asks again.
func (s *Session) flush(outs []packet) {
	for _, o := range outs {
		if s.closed.Load() {
			return
		}
		if err := s.cfg.Link.Send(o.to, o.b); err != nil {
			s.mu.Lock()
			s.stats.Unsent++
			s.mu.Unlock()
		}
	}
}

// reserve accounts for n more bytes, if there is room.
func (s *Session) reserve(n int64) bool {
	if n > s.cfg.Memory-s.memory || !s.cfg.Budget.take(n) {
		return false
	}
	s.memory += n
	return true
}

func (s *Session) release(n int64) {
	s.memory -= n
	s.cfg.Budget.give(n)
}
