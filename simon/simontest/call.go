package simontest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/weftmpc/weft/simon"
	"github.com/weftmpc/weft/simon/prg"
)

// session is one seat's simon.Session on one call path.
type session struct {
	*seat
	path   string
	parent *session

	// guarded by seat.mu
	calls  int  // children made so far, for their paths
	open   int  // children not joined yet
	joined bool // this call is over
	opened bool
}

// seat is what all sessions of one seat share.
type seat struct {
	b    *board
	self int
	rnd  io.Reader

	mu       sync.Mutex
	used     map[StreamID]bool
	progress []simon.Progress
}

func newSession(b *board, self int) *session {
	return &session{seat: &seat{b: b, self: self, rnd: &lockedReader{r: b.rand(self)}, used: map[StreamID]bool{}}}
}

var errOver = errors.New("simontest: this call was joined: nothing may be sent or received through it any more")

func (s *session) N() int                { return s.b.n }
func (s *session) Self() int             { return s.self }
func (s *session) Position(seat int) int { return s.b.Positions[seat] }
func (s *session) Recipients() []int     { return slices.Clone(s.b.Recipients) }
func (s *session) SID() [32]byte         { return digest("sid", s.b.Seed, "") }
func (s *session) Rand() io.Reader       { return s.rnd }

func (s *session) Name(l simon.Label) []byte {
	return fmt.Appendf(nil, "%q %d %q", s.path, l.Round, l.Vector)
}

func (s *session) Seat(r simon.Role) (int, bool) {
	seat, ok := s.b.Roles[r]
	return seat, ok
}

func (s *session) Call(name string) simon.Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.joined {
		panic(errOver)
	}
	s.calls++
	s.open++
	return &session{seat: s.seat, path: fmt.Sprintf("%s/%s#%d", s.path, name, s.calls), parent: s}
}

func (s *session) Join(children ...simon.Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, child := range children {
		c, ok := child.(*session)
		if !ok || c.parent != s {
			panic("simontest: Join of a session that is no child of this call")
		}
		if c.joined || c.open > 0 {
			panic(fmt.Sprintf("simontest: Join of %q, which was joined before or has open children", c.path))
		}
		c.joined = true
		s.open--
	}
}

// speak checks that this call may send and receive.
func (s *session) speak() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.joined:
		return errOver
	case s.open > 0:
		return fmt.Errorf("simontest: call %q has %d open children: join them first", s.path, s.open)
	}
	return nil
}

func (s *session) finished() error {
	if err := s.speak(); err != nil {
		return fmt.Errorf("at the end of the run: %w", err)
	}
	return nil
}

func (s *session) at(k Kind, l simon.Label) address {
	return address{path: s.path, kind: k, label: l, from: s.self, to: s.self}
}

// gather takes one body from each seat of from.
func (s *session) gather(ctx context.Context, from []int, l simon.Label, kinds ...Kind) ([][]byte, error) {
	bodies := make([][]byte, 0, len(from))
	for _, peer := range from {
		a := s.at(0, l)
		a.from = peer
		body, err := s.b.take(ctx, kinds, a)
		if err != nil {
			return nil, err
		}
		bodies = append(bodies, body)
	}
	return bodies, nil
}

func (s *session) Exchange(ctx context.Context, from []int, l simon.Label, body []byte) ([][]byte, error) {
	if err := s.speak(); err != nil {
		return nil, err
	}
	parties := make([]int, s.b.n)
	for i := range parties {
		parties[i] = i
	}
	if from == nil {
		from = parties
	}
	if !slices.IsSorted(from) {
		return nil, fmt.Errorf("simontest: senders %v are not in ascending order", from)
	}
	if slices.Contains(from, s.self) {
		if err := s.b.post(s.at(Exchange, l), withSelf(parties, s.self), body); err != nil {
			return nil, err
		}
	} else if body != nil {
		return nil, fmt.Errorf("simontest: seat %d gives a body to an exchange of %v", s.self, from)
	}
	if s.self >= s.b.n {
		return nil, nil // a helper sends to the parties and hears nothing
	}
	return s.gather(ctx, from, l, Exchange)
}

// withSelf makes sure that a seat that receives its own body finds it.
func withSelf(to []int, self int) []int {
	if slices.Contains(to, self) {
		return to
	}
	return append(slices.Clone(to), self)
}

func (s *session) Open(ctx context.Context, l simon.Label, body []byte) ([][]byte, error) {
	if err := s.speak(); err != nil {
		return nil, err
	}
	if s.self >= s.b.n {
		return nil, fmt.Errorf("simontest: seat %d is a helper's: only parties open", s.self)
	}
	s.mu.Lock()
	again := s.opened
	s.opened = true
	s.mu.Unlock()
	if again {
		return nil, fmt.Errorf("simontest: call %q opens twice", s.path)
	}
	if err := s.b.post(s.at(Open, l), withSelf(s.b.Recipients, s.self), body); err != nil {
		return nil, err
	}
	if !slices.Contains(s.b.Recipients, s.self) {
		return nil, nil
	}
	from := make([]int, s.b.n)
	for i := range from {
		from[i] = i
	}
	return s.gather(ctx, from, l, Open)
}

func (s *session) Send(_ context.Context, to []int, l simon.Label, body []byte) error {
	if err := s.speak(); err != nil {
		return err
	}
	if dealer, ok := s.b.Roles[simon.Dealer]; ok && slices.Contains(to, dealer) {
		return errors.New("simontest: nothing may be sent to the dealer")
	}
	return s.b.post(s.at(Send, l), to, body)
}

func (s *session) SendInput(_ context.Context, l simon.Label, body []byte) error {
	if err := s.speak(); err != nil {
		return err
	}
	s0, ok0 := s.b.Roles[simon.S0]
	s1, ok1 := s.b.Roles[simon.S1]
	if !ok0 || !ok1 || s0 == s1 {
		return errors.New("simontest: SendInput without two evaluators")
	}
	return s.b.post(s.at(SendInput, l), []int{s0, s1}, body)
}

func (s *session) Receive(ctx context.Context, from []int, l simon.Label) ([][]byte, error) {
	if err := s.speak(); err != nil {
		return nil, err
	}
	return s.gather(ctx, from, l, Send, SendInput)
}

func (s *session) Stream(p simon.Purpose, peer int, l simon.Label) (prg.Stream, error) {
	if peer < 0 || peer >= s.b.seats || peer == s.self {
		return nil, fmt.Errorf("simontest: seat %d has no stream with seat %d", s.self, peer)
	}
	id := StreamID{p, s.path, l, min(s.self, peer), max(s.self, peer)}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.joined {
		return nil, errOver
	}
	if s.used[id] {
		return nil, simon.ErrUsed
	}
	s.used[id] = true
	key := s.b.key(id)
	stream, err := prg.New(key[:])
	if err == nil && s.b.Stream != nil {
		stream = s.b.Stream(s.self, id, stream)
	}
	return stream, err
}

func (s *session) Report(p simon.Progress) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.progress = append(s.progress, p)
}

func (s *session) reported() []simon.Progress {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.progress
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
