package session

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/weftmpc/weft/simon"
)

// Parallel calls, nested calls and calls of one name: same transcript everywhere, no key twice (the lab's monitor).
func TestCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, 3, labOptions{})
		defer l.close()
		outs, errs := l.play(func(ctx context.Context, s simon.Session) ([]byte, error) {
			var children []simon.Session
			for range 4 {
				children = append(children, s.Call("gate"))
			}
			results, failed := make([][]byte, 4), make([]error, 4)
			done := make(chan struct{})
			for i, c := range children {
				go func() {
					defer func() { done <- struct{}{} }()
					if i == 2 { // one goes a level deeper
						c, parent := c.Call("gate"), c
						defer parent.Join(c)
						results[i], failed[i] = maskedSum(ctx, c, value(s.Self()))
						return
					}
					results[i], failed[i] = maskedSum(ctx, c, value(s.Self()))
					if failed[i] == nil {
						_, failed[i] = c.Exchange(ctx, nil, simon.Label{Round: 9}, []byte{byte(i)})
					}
				}()
			}
			for range children {
				<-done
			}
			if err := errors.Join(failed...); err != nil {
				return nil, err
			}
			first, second := s.Self(), (s.Self()+1)%3 // call order counts, not this
			s.Join(children[3], children[first], children[second], children[3-first-second])
			if _, err := s.Exchange(ctx, nil, simon.Label{Round: 2}, nil); err != nil {
				return nil, err
			}
			for _, r := range results[1:] {
				if !bytes.Equal(r, results[0]) {
					return nil, errors.New("sums differ")
				}
			}
			return results[0], nil
		})
		if check(t, 3, outs, errs) != 3 {
			t.Error(errs)
		}
		if l.fresh.seals == 0 || len(l.fresh.streams) != 4*3 {
			t.Errorf("the monitor saw %d seals and %d stream keys, want 12 keys", l.fresh.seals, len(l.fresh.streams))
		}
	})
}

func TestRecipients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, 4, labOptions{change: func(_ int, c *Config) { c.Recipients = []int{1, 3} }})
		defer l.close()
		outs, errs := l.play(sum(value))
		for i, out := range outs {
			receives := i == 1 || i == 3
			if errs[i] != nil || out.TH != outs[0].TH || (out.RH == [32]byte{}) == receives || bytes.Equal(out.Opened, total(4)) != receives {
				t.Errorf("seat %d: %v, opened %x, rh %x", i, errs[i], out.Opened, out.RH)
			}
		}
		if outs[1].RH != outs[3].RH {
			t.Error("the recipients' result hashes differ")
		}
	})
}

// One recipient sends its own part of the opening to nobody.
func TestOneRecipient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, 3, labOptions{change: func(_ int, c *Config) { c.Recipients = []int{1} }})
		defer l.close()
		outs, errs := l.play(sum(value))
		for i, out := range outs {
			if errs[i] != nil || bytes.Equal(out.Opened, total(3)) != (i == 1) {
				t.Errorf("seat %d: %v, opened %x", i, errs[i], out.Opened)
			}
		}
	})
}

// A helper hears private bodies only, goes on with the parties' transcript, and announces.
func TestHelper(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, 3, labOptions{helpers: 1, change: func(_ int, c *Config) { c.Roles[simon.Opener] = 3 }})
		defer l.close()
		private, public := simon.Label{Round: 2, Vector: "share"}, simon.Label{Round: 3, Vector: "announced"}
		outs, errs := l.play(func(ctx context.Context, s simon.Session) ([]byte, error) {
			opener, _ := s.Seat(simon.Opener)
			var body []byte
			if s.Self() == opener {
				shares, err := s.Receive(ctx, []int{0, 1, 2}, private)
				if err != nil {
					return nil, err
				}
				for _, b := range shares {
					body = append(body, b...)
				}
			} else {
				if _, err := s.Exchange(ctx, nil, simon.Label{Round: 1}, []byte("hello")); err != nil {
					return nil, err
				}
				if err := s.Send(ctx, []int{opener}, private, []byte{byte(s.Self())}); err != nil {
					return nil, err
				}
			}
			got, err := s.Exchange(ctx, []int{opener}, public, body)
			if err == nil && s.Self() != opener && !bytes.Equal(got[0], []byte{0, 1, 2}) {
				err = errors.New("wrong announcement")
			}
			return nil, err
		})
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		for i, out := range outs {
			if out.TH != outs[0].TH {
				t.Errorf("transcript of seat %d differs", i)
			}
		}
	})
}

func TestDealtStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, 2, labOptions{helpers: 1, change: func(_ int, c *Config) { c.Roles[simon.Dealer] = 2 }})
		defer l.close()
		first := make([][]byte, 3)
		_, errs := l.play(func(ctx context.Context, s simon.Session) ([]byte, error) {
			peer := 2
			if s.Self() == 2 {
				peer = 0
			}
			st, err := s.Stream(simon.Deal, peer, simon.Label{Vector: "r"})
			if err != nil {
				return nil, err
			}
			first[s.Self()] = make([]byte, 16)
			st.Fill(first[s.Self()])
			if _, err := s.Stream(simon.Deal, 1-s.Self()%2, simon.Label{Vector: "q"}); s.Self() < 2 && !errors.Is(err, ErrMisuse) {
				return nil, errors.New("a dealt stream between two parties")
			}
			if err := s.Send(ctx, []int{2}, simon.Label{}, nil); s.Self() < 2 && !errors.Is(err, ErrMisuse) {
				return nil, errors.New("sent to the dealer")
			}
			return nil, nil
		})
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(first[0], first[2]) || bytes.Equal(first[0], first[1]) {
			t.Error("dealt streams")
		}
	})
}

// What a protocol's code can do wrong is refused before anything leaves.
func TestMisuse(t *testing.T) {
	one := simon.Label{Round: 1}
	for name, play := range map[string]func(ctx context.Context, s simon.Session) error{
		"label used twice": func(ctx context.Context, s simon.Session) error {
			if err := s.Send(ctx, []int{1}, one, []byte("a")); err != nil {
				return err
			}
			return s.Send(ctx, []int{2}, one, []byte("b"))
		},
		"opened twice": func(ctx context.Context, s simon.Session) error {
			if _, err := s.Open(ctx, one, nil); err != nil {
				return err
			}
			_, err := s.Open(ctx, simon.Label{Round: 2}, nil)
			return err
		},
		"open child": func(ctx context.Context, s simon.Session) error {
			s.Call("child")
			return s.Send(ctx, []int{1}, one, nil)
		},
		"ended with an open child": func(_ context.Context, s simon.Session) error { s.Call("child"); return nil },
		"spoke after Join": func(ctx context.Context, s simon.Session) error {
			c := s.Call("child")
			s.Join(c)
			return c.Send(ctx, []int{1}, one, nil)
		},
		"joined twice": func(_ context.Context, s simon.Session) error {
			c := s.Call("child")
			s.Join(c)
			s.Join(c)
			return nil
		},
		"joined a stranger's child": func(_ context.Context, s simon.Session) error {
			s.Join(s.Call("child").Call("grandchild"))
			return nil
		},
		"to itself":        func(ctx context.Context, s simon.Session) error { return s.Send(ctx, []int{0}, one, nil) },
		"to nobody's seat": func(ctx context.Context, s simon.Session) error { return s.Send(ctx, []int{3}, one, nil) },
		"endless label": func(ctx context.Context, s simon.Session) error {
			return s.Send(ctx, []int{1}, simon.Label{Vector: strings.Repeat("x", maxLabel)}, nil)
		},
		"body from a seat that does not send": func(ctx context.Context, s simon.Session) error {
			_, err := s.Exchange(ctx, []int{1}, one, []byte("mine"))
			return err
		},
		"inputs without evaluators": func(ctx context.Context, s simon.Session) error { return s.SendInput(ctx, one, nil) },
	} {
		synctest.Test(t, func(t *testing.T) {
			l := newLab(t, 3, labOptions{})
			defer l.close()
			_, errs := l.play(func(ctx context.Context, s simon.Session) ([]byte, error) {
				if s.Self() != 0 {
					_, err := s.Open(ctx, one, nil)
					return nil, err
				}
				return nil, play(ctx, s)
			})
			if !errors.Is(errs[0], ErrMisuse) {
				t.Errorf("%s: %v", name, errs[0])
			}
		})
	}
}

func TestStreamUsedTwice(t *testing.T) {
	s, _, _ := loner(t, 2, 0, 1)
	_, err := s.Play(t.Context(), func(_ context.Context, c simon.Session) ([]byte, error) {
		for _, p := range []simon.Purpose{simon.Mask, simon.Opening, simon.Zero} {
			if _, err := c.Stream(p, 1, simon.Label{Vector: "m"}); err != nil {
				return nil, err
			}
			if _, err := c.Stream(p, 1, simon.Label{Vector: "m"}); !errors.Is(err, simon.ErrUsed) {
				t.Errorf("purpose %d: second use: %v", p, err)
			}
		}
		return nil, nil
	})
	if err != nil {
		t.Error(err)
	}
	if _, err := s.Play(t.Context(), nil); !errors.Is(err, ErrMisuse) {
		t.Errorf("a second Play: %v", err)
	}
}

func TestConfig(t *testing.T) {
	for what, change := range map[string]func(c *Config){
		"one party":            func(c *Config) { c.Parties = 1 },
		"own seat":             func(c *Config) { c.Self = 3 },
		"no link":              func(c *Config) { c.Link = nil },
		"order":                func(c *Config) { p := c.Participants; p[0], p[1] = p[1], p[0] },
		"a party twice":        func(c *Config) { c.Participants[1] = c.Participants[0] },
		"positions":            func(c *Config) { c.Positions = []int{0, 1, 1} },
		"no recipient":         func(c *Config) { c.Recipients = nil },
		"recipient of no seat": func(c *Config) { c.Recipients = []int{0, 3} },
		"role of no seat":      func(c *Config) { c.Roles[simon.Dealer] = 3 },
		"negative memory":      func(c *Config) { c.Memory = -1 },
	} {
		c := labConfig(3, 0, 0, 0)
		c.Link = recorder{new([][]byte)}
		change(&c)
		if _, err := New(c); err == nil {
			t.Errorf("%s: accepted", what)
		}
	}
}
