// Package seat is one place in computations: an identity, its channels, its open JOINs and its running sessions.
//
// A party's node is a seat with jobs on top. The seat keeps two promises, which every crash test checks:
//
//   - It signs CONFIRM of a computation only after the ledger line "committed" is durable, and ABORT only of a computation
//     that it can never confirm: one with no committed line, no running session and no open JOIN of its own.
//   - The secret of a JOIN serves one computation. It exists in memory only, and is gone before the first message of that
//     computation leaves, or before the JOIN is withdrawn. After a restart no JOIN is open.
//
// The seat knows no socket and no clock of its own: it sends through a Fabric and is fed by Deliver, DeliverAnswer and
// Tick, so that whole fleets of seats run over an in-memory network in tests.
package seat

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"golang.org/x/time/rate"

	"github.com/weftmpc/weft/broker/identity"
	"github.com/weftmpc/weft/coordinator"
	"github.com/weftmpc/weft/jobs"
	"github.com/weftmpc/weft/node/channel"
	"github.com/weftmpc/weft/node/session"
)

// ledgerLook bounds a look into the ledger that a message from outside causes: a slow disk must not hold all messages up.
const ledgerLook = 200 * time.Millisecond

// Fabric carries bytes between seats and to the coordinator. Messages may be lost, doubled, reordered and altered.
type Fabric interface {
	// Send publishes b to the party named to, under the computation's uuid.
	Send(id uuid.UUID, to string, b []byte) error
	// Join asks the coordinator to hold a JOIN and returns its encoded Answer.
	Join(ctx context.Context, join []byte) ([]byte, error)
	// Leave tells the coordinator that a JOIN is withdrawn. It is a hint.
	Leave(leave []byte) error
}

// Ledger keeps one line per computation; jobs.Store is one. A step is durable when the call returns.
type Ledger interface {
	CreateLine(ctx context.Context, l jobs.Line) (jobs.Line, error)
	UpdateLine(ctx context.Context, l jobs.Line) (jobs.Line, error)
	Line(ctx context.Context, sid [32]byte) (jobs.Line, error)
	Lines(ctx context.Context) ([]jobs.Line, error)
}

// Peer is a party that this seat's administrator allows.
type Peer struct {
	Name         string
	FP           identity.Fingerprint
	Organisation string
}

// Config describes a seat.
type Config struct {
	// Helper says that the seat is that of a helper who is no party. It has no allow-list: it serves whoever the authority has
	// certified as a party, under the name in the certificate. It answers no
	// START but one that its own JOIN is open for, and knows no computation of an earlier process.
	Helper bool
	Budget func(coordinator.Common) *session.Budget // at a helper: bounds what a computation holds, in bytes; nil: nothing does
	Bytes  int64                                    // at a helper: most bytes that one computation sends to one participant, repetitions included

	Identity *identity.Identity
	Roots    identity.Roots
	Peers    []Peer // the allow-list, own entry included; nobody else is ever a party
	Fabric   Fabric
	Ledger   Ledger
	// StoreKey marks JOINs as this state folder's own, so that a restored copy or a twin never answers for its double.
	StoreKey identity.Secret
	Now      func() time.Time // nil: time.Now
	Rand     io.Reader        // nil: crypto/rand
	Logger   *slog.Logger     // nil: discards
}

// Seat is safe for concurrent use.
type Seat struct {
	cfg      Config
	channels *channel.Channels
	leaves   *identity.Leaves
	keys     pool
	allowed  atomic.Pointer[allowed]

	mu       sync.Mutex
	open     map[[32]byte]*Open     // by the hash of own part and signature
	declined map[[32]byte]time.Time // the same of JOINs that never were open, and when they expire
	starting map[[32]byte]bool      // sids whose JOIN is used up and whose run is being made
	runs     map[[32]byte]*Run      // by sid
	inits    map[pairKey][]*Run     // runs that wait for a peer's INIT
	early    early
	limits   map[string]*rate.Limiter
	horizon  int64 // JOINs issued before may have lost their line

	forgotten struct{ after, before int64 } // see Forgets
	met       acquaintance
	warned    map[string]time.Time            // when an operator was last told of a state of affairs
	helpers   map[identity.Fingerprint]string // names of helpers that have taken part in a START

	stats stats

	stopping chan struct{}
	stop     sync.Once
	later    sync.WaitGroup // writes that nobody waits for
	begin    sync.Mutex     // held while one is begun, and by who waits for all: a WaitGroup must not begin beside a Wait
}

// Stop ends waits for the ledger and drops the keys that were made for later.
func (s *Seat) Stop() {
	s.stop.Do(func() { close(s.stopping) })
	s.keys.empty()
}

// Wait returns when the last write to the ledger has ended; after Stop that is soon.
func (s *Seat) Wait() {
	s.begin.Lock()
	defer s.begin.Unlock()
	s.later.Wait()
}

// pairKey names a pair of bundles: the hashes of the peer's and of the own one.
type pairKey struct{ from, to [32]byte }

// surroundings puts the defaults of a configuration in where it has nil.
func surroundings(now func() time.Time, random io.Reader, log *slog.Logger) (func() time.Time, io.Reader, *slog.Logger) {
	if now == nil {
		now = time.Now
	}
	if random == nil {
		random = rand.Reader
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return now, random, log
}

// New returns a seat; Tick must be called about every 50 ms.
func New(c Config) (*Seat, error) {
	c.Now, c.Rand, c.Logger = surroundings(c.Now, c.Rand, c.Logger)
	if c.Identity == nil || c.Fabric == nil || c.Ledger == nil {
		return nil, errors.New("seat: identity, fabric and ledger are required")
	}
	if len(c.StoreKey) < 32 {
		return nil, errors.New("seat: the store key must have at least 32 bytes")
	}
	s := &Seat{
		cfg: c, channels: channel.New(channel.Config{Identity: c.Identity, Rand: c.Rand}), leaves: identity.NewLeaves(c.Roots), keys: pool{rand: c.Rand},
		open: map[[32]byte]*Open{}, declined: map[[32]byte]time.Time{}, starting: map[[32]byte]bool{}, runs: map[[32]byte]*Run{}, inits: map[pairKey][]*Run{},
		early: newEarly(), limits: map[string]*rate.Limiter{}, warned: map[string]time.Time{}, helpers: map[identity.Fingerprint]string{}, stopping: make(chan struct{}),
	}
	if c.Helper {
		s.allowed.Store(&allowed{})
		return s, nil
	}
	if err := s.Allow(c.Peers); err != nil {
		return nil, err
	}
	return s, nil
}

// Forgets says that of the JOINs which were issued after and before some times (unix ns, both exclusive) nothing is known
// here: they are of an earlier process, and later than all that the store remembers. A process that dies may leave one or
// two; a store that was set back to an older copy has forgotten all since, and what it has promised in them. So nothing is
// signed for their computations that is not in the ledger.
func (s *Seat) Forgets(after, before int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgotten.after, s.forgotten.before = after, before
}

// warnEvery bounds how often an operator is told of the same thing.
const warnEvery = time.Minute

func (s *Seat) warn(what, text string) {
	now := s.cfg.Now()
	s.mu.Lock()
	last, told := s.warned[what]
	told = told && now.Sub(last).Abs() < warnEvery
	if !told {
		s.warned[what] = now
	}
	s.mu.Unlock()
	if !told {
		s.cfg.Logger.Warn(text, "party", s.cfg.Identity.Name())
	}
}

// Tick drives every wait: asks, repeated INITs, time-outs, erasure of old keys; and makes keys for the next JOINs.
func (s *Seat) Tick(now time.Time) {
	s.channels.Tick(now)
	s.mu.Lock()
	s.horizon = max(s.horizon, now.Add(-jobs.LineKept).UnixNano())
	s.mu.Unlock()
	for _, r := range s.running() {
		r.tick(now)
	}
	s.keys.fill(now)
}

// Reconnected makes every session ask at once for what it lacks.
func (s *Seat) Reconnected() {
	for _, r := range s.running() {
		if r.session != nil {
			r.session.Reconnected()
		}
	}
}

func (s *Seat) running() []*Run {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*Run, 0, len(s.runs))
	for _, r := range s.runs {
		all = append(all, r)
	}
	return all
}

// allow reports whether one more answer for key fits the limit of 10 a second.
func (s *Seat) allow(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.limits[key]
	if l == nil {
		if len(s.limits) > 10_000 {
			clear(s.limits)
		}
		l = rate.NewLimiter(10, 10)
		s.limits[key] = l
	}
	return l.AllowN(s.cfg.Now(), 1)
}

// Deliver takes a message that arrived on the computation's subject from the party called from. Nothing that it finds
// wrong is answered: the bytes are dropped, and what is missing is asked for again.
func (s *Seat) Deliver(id uuid.UUID, from string, b []byte) {
	peer, ok := s.sender(from)
	if !ok || peer.Name == s.cfg.Identity.Name() {
		return
	}
	kind, sid, ok := session.Kind(b)
	if !ok {
		return
	}
	switch kind {
	case session.KindInit:
		s.deliverInit(id, peer, b)
	case session.KindNotice:
		s.deliverNotice(id, peer, b)
	case session.KindAsk:
		s.deliverAsk(id, peer, sid, b)
	case session.KindShare:
		if r := s.run(id, peer, sid, b); r != nil && r.session != nil {
			if seat, ok := r.seatFrom(peer); ok {
				r.session.Deliver(seat, b)
			}
		}
	}
}

// run finds the run of sid, or keeps b for later where a JOIN of this uuid is still open.
func (s *Seat) run(id uuid.UUID, peer Peer, sid [32]byte, b []byte) *Run {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.runs[sid]; r != nil {
		if r.uuid != id {
			return nil
		}
		return r
	}
	s.early.keep(id, peer, b)
	return nil
}

func (s *Seat) deliverInit(id uuid.UUID, peer Peer, b []byte) {
	init, err := session.DecodeInit(b)
	if err != nil {
		return
	}
	from, to, err := channel.InitBundles(init)
	if err != nil {
		return
	}
	s.mu.Lock()
	waiting := append([]*Run(nil), s.inits[pairKey{from, to}]...)
	if len(waiting) == 0 {
		s.early.keep(id, peer, b)
	}
	s.mu.Unlock()
	for _, r := range waiting {
		r.init(peer, init)
	}
}

func (s *Seat) deliverNotice(id uuid.UUID, peer Peer, b []byte) {
	n, err := session.DecodeNotice(b)
	if err != nil {
		return
	}
	if r := s.run(id, peer, n.SID, b); r != nil {
		r.notice(n)
	}
}

func (s *Seat) deliverAsk(id uuid.UUID, peer Peer, sid [32]byte, b []byte) {
	s.mu.Lock()
	r := s.runs[sid]
	s.mu.Unlock()
	var seat int
	var known bool
	if r != nil {
		seat, known = r.seatFrom(peer)
	}
	if known && r.session != nil {
		r.session.Deliver(seat, b)
	}
	ask, err := session.DecodeAsk(b)
	if err != nil || (r != nil && len(ask.Notices) == 0) || !s.allow("notice/"+peer.Name) {
		return
	}
	if known {
		r.answer(peer.Name, ask.Notices)
		return
	}
	s.answerFromLedger(id, peer, sid, ask.Notices)
}

// answerFromLedger serves notices of a computation that is over, to its participants.
func (s *Seat) answerFromLedger(id uuid.UUID, peer Peer, sid [32]byte, wanted []identity.Fingerprint) {
	ctx, cancel := context.WithTimeout(context.Background(), ledgerLook)
	defer cancel()
	line, err := s.cfg.Ledger.Line(ctx, sid)
	if err != nil || line.UUID != id || !s.takesPart(line, peer) {
		return
	}
	for i, raw := range line.Notices {
		if raw == nil {
			continue
		}
		asked := i == line.Self
		for _, fp := range wanted {
			asked = asked || line.Participants[i].FP == [32]byte(fp)
		}
		if asked {
			_ = s.cfg.Fabric.Send(id, peer.Name, raw)
		}
	}
}

// takesPart reports whether peer has a seat in the line's computation.
func (s *Seat) takesPart(l jobs.Line, peer Peer) bool {
	for i, p := range l.Participants {
		if s.is(peer, identity.Fingerprint(p.FP), p.Name, i >= l.Parties) {
			return true
		}
	}
	return false
}

// DeliverAnswer takes what the coordinator sent: a START, a conflict, or whom it waits for. Nothing in it is believed
// that is not signed by a party.
func (s *Seat) DeliverAnswer(b []byte) {
	a, err := coordinator.DecodeAnswer(b)
	if err != nil {
		return
	}
	if a.Kind == coordinator.AnswerStart {
		s.deliverStart(a.Start)
		return
	}
	s.mu.Lock()
	var open []*Open
	for _, o := range s.open {
		if o.common.UUID == a.UUID {
			open = append(open, o)
		}
	}
	s.mu.Unlock()
	for _, o := range open {
		o.answer(a)
	}
}
