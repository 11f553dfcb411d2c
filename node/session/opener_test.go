package session

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/weftmpc/weft/simon"
	"github.com/weftmpc/weft/simon/simontest"
)

var (
	labelPublic  = simon.Label{Round: 1, Vector: "public"}
	labelMasked  = simon.Label{Round: 2, Vector: "masked"}
	labelSaid    = simon.Label{Round: 2, Vector: "said"}
	labelMasked2 = simon.Label{Round: 3, Vector: "masked"}
	labelSaid2   = simon.Label{Round: 3, Vector: "said"}
)

func withOpener(n int) func(int, *Config) {
	return func(_ int, c *Config) { c.Roles[simon.Opener] = n }
}

// opened is two steps with an opener in the last seat: parties send it bytes, it announces how many there are.
func opened(ctx context.Context, s simon.Session) ([]byte, error) {
	opener, _ := s.Seat(simon.Opener)
	for _, l := range [][2]simon.Label{{labelMasked, labelSaid}, {labelMasked2, labelSaid2}} {
		var said []byte
		if s.Self() == opener {
			bodies, err := s.Receive(ctx, []int{0, 1, 2}, l[0])
			if err != nil {
				return nil, err
			}
			said = []byte{byte(len(bodies))}
		} else if err := s.Send(ctx, []int{opener}, l[0], []byte{byte(s.Self())}); err != nil {
			return nil, err
		}
		if _, err := s.Exchange(ctx, []int{opener}, l[1], said); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// Parties that were shown different things by one of them cannot use the opener: it sees that before it reads anything.
func TestOpenerSeesThatTranscriptsDiffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, 3, labOptions{helpers: 1, change: withOpener(3)})
		defer l.close()
		_, errs := l.play(func(ctx context.Context, s simon.Session) ([]byte, error) {
			switch s.Self() {
			case 3:
				return opened(ctx, s)
			case 1: // says one thing to party 0 and another to party 2
				c := s.(*call)
				for seat, b := range map[int]byte{0: 7, 2: 8} {
					r, err := c.run(ctx, step{label: labelPublic, send: true, body: []byte{b}, to: []int{seat}})
					if err != nil {
						return nil, err
					}
					c.rest()
					delete(c.s.used, r.label)
				}
				return nil, nil
			}
			if _, err := s.Exchange(ctx, []int{1}, labelPublic, nil); err != nil {
				return nil, err
			}
			return opened(ctx, s)
		})
		var e *EquivocationError
		if !errors.As(errs[3], &e) {
			t.Errorf("the opener: %v", errs[3])
		}
	})
}

// An opener that says two things is found by whoever confirms; parties that a second word of it has reached end at once.
func TestOpenerSaysTwoThings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, 3, labOptions{helpers: 1, change: withOpener(3)})
		defer l.close()
		outs, errs := l.play(func(ctx context.Context, s simon.Session) ([]byte, error) {
			if s.Self() < 3 {
				if err := s.Send(ctx, []int{3}, labelMasked, nil); err != nil {
					return nil, err
				}
				_, err := s.Exchange(ctx, []int{3}, labelSaid, nil)
				return nil, err
			}
			c := s.(*call)
			if _, err := c.Receive(ctx, []int{0, 1, 2}, labelMasked); err != nil {
				return nil, err
			}
			for seat := range 3 {
				r, err := c.run(ctx, step{label: labelSaid, send: true, body: []byte{byte(seat / 2)}, to: []int{seat}})
				if err != nil {
					return nil, err
				}
				c.rest()
				delete(c.s.used, r.label)
			}
			return nil, nil
		})
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		for self := range 3 {
			c := NewCommit(labSID(0), labParticipants(4), self, 3, []int{0, 1, 2}, outs[self].TH, outs[self].RH)
			for i, o := range outs {
				c.count(i, Notice{Confirm: true, TH: o.TH, RH: o.RH})
			}
			if v := c.Verdict(); v.State != Failed || !strings.Contains(v.Reason, "a different course") {
				t.Errorf("seat %d: %+v", self, v)
			}
		}
	})
}

// An opener speaks when it has heard the parties, or not at all; who stands at the start like a dealer is not believed.
func TestOpenerThatHasNotHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, 2, labOptions{helpers: 1, change: withOpener(2)})
		defer l.close()
		_, errs := l.play(func(ctx context.Context, s simon.Session) ([]byte, error) {
			if s.Self() < 2 {
				if _, err := s.Exchange(ctx, nil, labelPublic, []byte{byte(s.Self())}); err != nil {
					return nil, err
				}
			}
			var said []byte
			if s.Self() == 2 {
				said = []byte{1}
			}
			_, err := s.Exchange(ctx, []int{2}, labelSaid, said)
			return nil, err
		})
		var e *EquivocationError
		for i, err := range errs[:2] {
			if !errors.As(err, &e) || e.Seat != 2 {
				t.Errorf("seat %d: %v", i, err)
			}
		}
	})
}

// All end with one transcript that everybody confirms, whatever the network does.
func TestOpenedComputation(t *testing.T) {
	for seed := range uint64(5) {
		synctest.Test(t, func(t *testing.T) {
			l := newLab(t, 3, labOptions{helpers: 1, seed: seed, faults: simontest.Faults{Loss: 0.2, Duplicate: 0.2}, change: func(_ int, c *Config) {
				c.Roles[simon.Opener], c.Round, c.Limit = 3, 0, 0
			}})
			defer l.close()
			outs, errs := l.play(opened)
			if err := errors.Join(errs...); err != nil {
				t.Fatal(err)
			}
			for self := range outs {
				c := NewCommit(labSID(seed), labParticipants(4), self, 3, []int{0, 1, 2}, outs[self].TH, outs[self].RH)
				c.Unsure(3)
				for i, o := range outs {
					c.count(i, Notice{Confirm: true, TH: o.TH, RH: o.RH})
				}
				if v := c.Verdict(); v.State != Done {
					t.Errorf("seat %d judges %+v", self, v)
				}
			}
		})
	}
}

// Who does not know after a restart whether a helper hears takes the start of the transcript from it, or the parties' own.
func TestUnsureOfAHelper(t *testing.T) {
	sid, th := labSID(1), [32]byte{1}
	verdict := func(helper [32]byte) CommitState {
		c := NewCommit(sid, labParticipants(3), 0, 2, []int{0}, th, [32]byte{})
		c.Unsure(2)
		for i, th := range [][32]byte{th, th, helper} {
			c.count(i, Notice{Confirm: true, TH: th})
		}
		return c.Verdict().State
	}
	for want, helpers := range map[CommitState][][32]byte{Done: {th, transcriptStart(sid)}, Failed: {{2}, {}}} {
		for _, helper := range helpers {
			if got := verdict(helper); got != want {
				t.Errorf("%x: %v, want %v", helper[:2], got, want)
			}
		}
	}
}
