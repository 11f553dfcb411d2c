package session

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/simon"
	"github.com/weftmpc/weft/simon/simontest"
)

// lab is one computation with all its seats in memory.
type lab struct {
	t        testing.TB
	net      *simontest.Network
	sessions []*Session
	ends     []*simontest.Endpoint
	stop     chan struct{}
	ticking  sync.WaitGroup
	fresh    *freshness
}

type labOptions struct {
	helpers int
	faults  simontest.Faults
	seed    uint64
	change  func(seat int, c *Config)
	noKeys  bool
}

// freshness is the monitor: no sealing key meets a nonce twice, and no two streams have one key, except at the two ends.
type freshness struct {
	mu      sync.Mutex
	sealed  map[string]bool
	streams map[[32]byte]int
	seals   int
}

func (f *freshness) see(key [32]byte, nonce []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if nonce == nil {
		if f.streams[key]++; f.streams[key] > 2 {
			return errors.New("a stream's key was used more than once at each end")
		}
		return nil
	}
	id := string(key[:]) + string(nonce)
	if f.sealed[id] {
		return errors.New("a nonce was used twice under one key")
	}
	f.sealed[id] = true
	f.seals++
	return nil
}

func labSID(seed uint64) [32]byte {
	return sha256.Sum256(binary.BigEndian.AppendUint64([]byte("lab sid"), seed))
}

func labParticipants(n int) []Participant {
	ps := make([]Participant, n)
	for i := range ps {
		ps[i] = Participant{FP: sha256.Sum256([]byte{'f', 'p', byte(i)})}
	}
	slices.SortFunc(ps, func(a, b Participant) int { return a.FP.Compare(b.FP) })
	for i := range ps {
		ps[i].Name = fmt.Sprintf("p%d", i)
	}
	return ps
}

func labPRK(sid [32]byte, a, b int) [32]byte {
	return sha256.Sum256(append(sid[:], "prk"+fmt.Sprint(min(a, b), max(a, b))...))
}

func labEpoch(a, b int) (e [16]byte) {
	h := sha256.Sum256([]byte("epoch" + fmt.Sprint(min(a, b), max(a, b))))
	copy(e[:], h[:])
	return e
}

func labConfig(n, helpers, self int, seed uint64) Config {
	c := Config{
		UUID: uuid.UUID{1, 2, 3}, SID: labSID(seed), Layout: sha256.Sum256([]byte("layout")), Participants: labParticipants(n + helpers),
		Parties: n, Self: self, Version: 7, Round: 20 * time.Second, Limit: 2 * time.Minute, Started: time.Now(),
		Rand:  rand.NewChaCha8(sha256.Sum256(fmt.Appendf(nil, "rand %d %d", seed, self))),
		Roles: map[simon.Role]int{simon.First: 0},
	}
	for i := range n {
		c.Positions = append(c.Positions, i)
		c.Recipients = append(c.Recipients, i)
	}
	return c
}

func newLab(t testing.TB, n int, o labOptions) *lab {
	o.faults.Seed = o.seed
	l := &lab{t: t, net: simontest.NewNetwork(o.faults), stop: make(chan struct{})}
	l.fresh = &freshness{sealed: map[string]bool{}, streams: map[[32]byte]int{}}
	for i := range n + o.helpers {
		c := labConfig(n, o.helpers, i, o.seed)
		l.ends = append(l.ends, nil)
		c.Link = labLink{l, i}
		if o.change != nil {
			o.change(i, &c)
		}
		s, err := New(c)
		if err != nil {
			t.Fatal(err)
		}
		s.monitor = func(key [32]byte, nonce []byte) {
			if err := l.fresh.see(key, nonce); err != nil {
				t.Error(err)
			}
		}
		l.sessions = append(l.sessions, s)
	}
	for i, s := range l.sessions {
		l.ends[i] = l.net.Endpoint(labName(i), func(from string, b []byte) {
			var seat int
			fmt.Sscanf(from, "p%d", &seat)
			s.Deliver(seat, b)
		})
	}
	if !o.noKeys {
		for i := range l.sessions {
			for j := range l.sessions {
				if i != j {
					l.key(i, j)
				}
			}
		}
	}
	for _, s := range l.sessions {
		l.ticking.Go(func() {
			ticker := time.NewTicker(50 * time.Millisecond)
			defer ticker.Stop()
			for {
				select {
				case now := <-ticker.C:
					s.Tick(now)
				case <-l.stop:
					return
				}
			}
		})
	}
	return l
}

func labName(i int) string { return fmt.Sprintf("p%d", i) }

type labLink struct {
	l    *lab
	self int
}

func (k labLink) Send(to int, b []byte) error { return k.l.ends[k.self].Send(labName(to), b) }

// key tells seat i the secret that it shares with j.
func (l *lab) key(i, j int) {
	if err := l.sessions[i].SetKey(j, labPRK(l.sessions[i].cfg.SID, i, j), labEpoch(i, j)); err != nil {
		l.t.Error(err)
	}
}

// play runs one function at all seats and waits for all. A seat whose outcome stands stays open, as a node does until all
// have confirmed.
func (l *lab) play(play func(context.Context, simon.Session) ([]byte, error)) ([]Outcome, []error) {
	outs, errs := make([]Outcome, len(l.sessions)), make([]error, len(l.sessions))
	var wg sync.WaitGroup
	for i, s := range l.sessions {
		wg.Go(func() { outs[i], errs[i] = s.Play(l.t.Context(), play) })
	}
	wg.Wait()
	return outs, errs
}

func (l *lab) close() {
	close(l.stop)
	l.ticking.Wait()
	l.net.Close()
	for _, s := range l.sessions {
		s.Close()
	}
}

// sum is a masked sum of one word per party with a public round before it and a nested call around it.
func sum(value func(seat int) uint64) func(context.Context, simon.Session) ([]byte, error) {
	return func(ctx context.Context, s simon.Session) ([]byte, error) {
		hello, err := s.Exchange(ctx, nil, simon.Label{Round: 1, Vector: "hello"}, []byte{byte(s.Self())})
		if err != nil {
			return nil, err
		}
		for i, b := range hello {
			if len(b) != 1 || int(b[0]) != i {
				return nil, fmt.Errorf("greeting of seat %d is %v", i, b)
			}
		}
		c := s.Call("sum")
		total, err := maskedSum(ctx, c, value(s.Self()))
		if err != nil {
			return nil, err
		}
		s.Join(c)
		return total, nil
	}
}

func maskedSum(ctx context.Context, s simon.Session, x uint64) ([]byte, error) {
	l := simon.Label{Round: 1, Vector: "y"}
	for peer := range s.N() {
		if peer == s.Self() {
			continue
		}
		stream, err := s.Stream(simon.Mask, peer, l)
		if err != nil {
			return nil, err
		}
		var m [8]byte
		stream.Fill(m[:])
		if s.Self() < peer {
			x += binary.LittleEndian.Uint64(m[:])
		} else {
			x -= binary.LittleEndian.Uint64(m[:])
		}
	}
	shares, err := s.Open(ctx, l, binary.LittleEndian.AppendUint64(nil, x))
	if err != nil || shares == nil {
		return nil, err
	}
	var total uint64
	for _, y := range shares {
		total += binary.LittleEndian.Uint64(y)
	}
	return binary.LittleEndian.AppendUint64(nil, total), nil
}

// typed reports whether err is one that callers can branch on.
func typed(err error) bool {
	var timeout *TimeoutError
	var equivocation *EquivocationError
	return errors.As(err, &timeout) || errors.As(err, &equivocation) || errors.Is(err, ErrClosed)
}
