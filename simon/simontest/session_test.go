package simontest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/weftmpc/weft/simon"
)

var label = simon.Label{Round: 1, Vector: "v"}

func TestRunExchanges(t *testing.T) {
	r := MustRun(t, 3, Options{Positions: []int{2, 0, 1}}, func(ctx context.Context, s simon.Session) ([]byte, error) {
		if first, ok := s.Seat(simon.First); !ok || first != 1 || s.Position(first) != 0 || s.N() != 3 {
			return nil, errors.New("seats are wrong")
		}
		s.Report(simon.Progress{Round: 1, Rounds: 1})
		all, err := s.Exchange(ctx, nil, label, []byte{byte(s.Self())})
		if err != nil {
			return nil, err
		}
		var own []byte
		if s.Self() > 0 {
			own = []byte{byte(10 + s.Self())}
		}
		some, err := s.Exchange(ctx, []int{1, 2}, simon.Label{Round: 2, Vector: "v"}, own)
		if err != nil {
			return nil, err
		}
		if err := s.Send(ctx, []int{(s.Self() + 1) % 3}, simon.Label{Round: 3}, []byte{byte(20 + s.Self())}); err != nil {
			return nil, err
		}
		ring, err := s.Receive(ctx, []int{(s.Self() + 2) % 3}, simon.Label{Round: 3})
		if err != nil {
			return nil, err
		}
		return bytes.Join(append(append(all, some...), ring...), nil), nil
	})
	for seat, got := range r.Results {
		want := []byte{0, 1, 2, 11, 12, byte(20 + (seat+2)%3)}
		if !bytes.Equal(got, want) {
			t.Errorf("seat %d: %v, want %v", seat, got, want)
		}
		if len(r.Progress[seat]) != 1 {
			t.Errorf("seat %d reported %v", seat, r.Progress[seat])
		}
	}
	if len(r.Messages) != 6+4+3 || len(r.View(0)) != 2+2+1 {
		t.Errorf("%d messages, %d seen by seat 0", len(r.Messages), len(r.View(0)))
	}
}

func TestStreamsAgree(t *testing.T) {
	read := func(seed uint64) [][]byte {
		return MustRun(t, 3, Options{Seed: seed}, func(_ context.Context, s simon.Session) ([]byte, error) {
			all := make([]byte, 16*4*3) // purpose, peer
			for p := simon.Mask; p <= simon.Zero; p++ {
				for peer := range 3 {
					if peer == s.Self() {
						continue
					}
					stream, err := s.Stream(p, peer, label)
					if err != nil {
						return nil, err
					}
					stream.Fill(all[16*(3*(int(p)-1)+peer):][:16])
					if _, err := s.Stream(p, peer, label); !errors.Is(err, simon.ErrUsed) {
						return nil, fmt.Errorf("second use: %v", err)
					}
				}
			}
			return all, nil
		}).Results
	}
	a, other := read(1), read(2)
	seen := map[string]bool{}
	for p := range 4 {
		for i := range 3 {
			for j := range i {
				x, y := a[i][16*(3*p+j):][:16], a[j][16*(3*p+i):][:16]
				if !bytes.Equal(x, y) {
					t.Errorf("purpose %d: seats %d and %d read different streams", p+1, i, j)
				}
				if bytes.Equal(x, other[i][16*(3*p+j):][:16]) {
					t.Error("streams do not depend on the seed")
				}
				if seen[string(x)] {
					t.Error("one stream for two uses")
				}
				seen[string(x)] = true
			}
		}
	}
}

func TestCallsHaveLabelsOfTheirOwn(t *testing.T) {
	r := MustRun(t, 2, Options{}, func(ctx context.Context, s simon.Session) ([]byte, error) {
		var out []byte
		a, b := s.Call("gate"), s.Call("gate")
		for _, c := range []simon.Session{b, a} {
			stream, err := c.Stream(simon.Mask, 1-s.Self(), label)
			if err != nil {
				return nil, err
			}
			mask := make([]byte, 8)
			stream.Fill(mask)
			bodies, err := c.Exchange(ctx, nil, label, mask)
			if err != nil {
				return nil, err
			}
			if !bytes.Equal(bodies[0], bodies[1]) {
				return nil, errors.New("different masks")
			}
			out = append(out, mask...)
			if _, err := c.Open(ctx, simon.Label{Round: 2}, nil); err != nil {
				return nil, err
			}
		}
		s.Join(a, b)
		_, err := s.Exchange(ctx, nil, label, nil)
		return out, err
	})
	if got := r.Results[0]; bytes.Equal(got[:8], got[8:]) {
		t.Error("two calls share a stream")
	}
}

func TestRulesOfSession(t *testing.T) {
	roles := map[simon.Role]int{simon.Dealer: 2, simon.S0: 0, simon.S1: 1}
	for name, c := range map[string]struct {
		play func(ctx context.Context, s simon.Session) error
		want string
	}{
		"two exchanges, one label": {func(ctx context.Context, s simon.Session) error {
			_, err := s.Exchange(ctx, nil, label, nil)
			if err == nil {
				_, err = s.Exchange(ctx, nil, label, nil)
			}
			return err
		}, "twice"},
		"two openings": {func(ctx context.Context, s simon.Session) error {
			_, err := s.Open(ctx, label, nil)
			if err == nil {
				_, err = s.Open(ctx, simon.Label{Round: 2}, nil)
			}
			return err
		}, "opens twice"},
		"parent speaks": {func(ctx context.Context, s simon.Session) error {
			c := s.Call("c")
			defer s.Join(c)
			_, err := s.Exchange(ctx, nil, label, nil)
			return err
		}, "open children"},
		"parent opens": {func(ctx context.Context, s simon.Session) error {
			s.Call("c")
			_, err := s.Open(ctx, label, nil)
			return err
		}, "open children"},
		"parent sends": {func(ctx context.Context, s simon.Session) error {
			s.Call("c")
			return s.Send(ctx, []int{0}, label, nil)
		}, "open children"},
		"open child at the end": {func(context.Context, simon.Session) error { return nil }, ""},
		"joined child speaks": {func(ctx context.Context, s simon.Session) error {
			c := s.Call("c")
			s.Join(c)
			_, err := c.Exchange(ctx, nil, label, nil)
			return err
		}, "joined"},
		"joined child reads": {func(_ context.Context, s simon.Session) error {
			c := s.Call("c")
			s.Join(c)
			_, err := c.Stream(simon.Mask, 1-s.Self(), label)
			return err
		}, "joined"},
		"to the dealer": {func(ctx context.Context, s simon.Session) error {
			return s.Send(ctx, []int{0, 2}, label, nil)
		}, "dealer"},
		"own stream": {func(_ context.Context, s simon.Session) error {
			_, err := s.Stream(simon.Mask, s.Self(), label)
			return err
		}, "no stream"},
		"body of a listener": {func(ctx context.Context, s simon.Session) error {
			_, err := s.Exchange(ctx, []int{1}, label, []byte("x"))
			return err
		}, "gives a body"},
		"senders in disorder": {func(ctx context.Context, s simon.Session) error {
			_, err := s.Exchange(ctx, []int{1, 0}, label, []byte("x"))
			return err
		}, "ascending"},
	} {
		r := Run(t, 2, Options{Roles: roles}, func(ctx context.Context, s simon.Session) ([]byte, error) {
			if s.Self() == 2 {
				return nil, nil
			}
			if name == "open child at the end" {
				s.Call("c")
			}
			return nil, c.play(ctx, s)
		})
		want := c.want
		if want == "" {
			want = "at the end of the run"
		}
		if err := r.Err(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want …%s…", name, err, want)
		}
	}
}

func TestInputsReachBothEvaluators(t *testing.T) {
	roles := map[simon.Role]int{simon.S0: 0, simon.S1: 2}
	r := MustRun(t, 3, Options{Roles: roles}, func(ctx context.Context, s simon.Session) ([]byte, error) {
		if err := s.SendInput(ctx, label, []byte{byte(s.Self())}); err != nil || s.Self() == 1 {
			return nil, err
		}
		bodies, err := s.Receive(ctx, []int{0, 1, 2}, label)
		return bytes.Join(bodies, nil), err
	})
	for _, seat := range []int{0, 2} {
		if !bytes.Equal(r.Results[seat], []byte{0, 1, 2}) {
			t.Errorf("evaluator %d: %v", seat, r.Results[seat])
		}
	}
}

func TestRandIsSeededAndPrivate(t *testing.T) {
	draw := func(seed uint64) [][]byte {
		return MustRun(t, 2, Options{Seed: seed}, func(_ context.Context, s simon.Session) ([]byte, error) {
			b := make([]byte, 32)
			_, err := io.ReadFull(s.Rand(), b)
			return b, err
		}).Results
	}
	a, again, other := draw(1), draw(1), draw(2)
	if !bytes.Equal(a[0], again[0]) || bytes.Equal(a[0], a[1]) || bytes.Equal(a[0], other[0]) {
		t.Errorf("%x %x %x", a, again, other)
	}
}

func TestAnErrorEndsTheRunForAll(t *testing.T) {
	broken := errors.New("broken")
	r := Run(t, 3, Options{}, func(ctx context.Context, s simon.Session) ([]byte, error) {
		if s.Self() == 1 {
			return nil, broken
		}
		_, err := s.Exchange(ctx, nil, label, nil)
		return nil, err
	})
	if !errors.Is(r.Err(), broken) || !errors.Is(r.Errs[0], context.Canceled) || !errors.Is(r.Errs[2], context.Canceled) {
		t.Errorf("%v", r.Errs)
	}
}
