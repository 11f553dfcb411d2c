package session

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weftmpc/weft/simon"
	"github.com/weftmpc/weft/simon/simontest"
)

// dealt is a sum through two evaluators with a dealer's random shares: it sends what a comparison does, and no more. bent
// changes what a seat does; it may be nil.
func dealt(value func(seat int) uint64, calls int) func(context.Context, simon.Session) ([]byte, error) {
	return func(ctx context.Context, s simon.Session) ([]byte, error) {
		var total []byte
		for range calls {
			c := s.Call("gate")
			sum, err := dealtSum(ctx, c, value)
			if err != nil {
				return nil, err
			}
			s.Join(c)
			total = append(total, sum...)
		}
		return total, nil
	}
}

var (
	labelDeal  = simon.Label{Round: 1, Vector: "dealt"}
	labelKey   = [2]simon.Label{{Round: 1, Vector: "key 0"}, {Round: 1, Vector: "key 1"}} // one label, one body
	labelInput = simon.Label{Round: 2, Vector: "input"}
	labelOut   = simon.Label{Round: 3, Vector: "out"}
)

func places(s simon.Session) (s0, s1, dealer int) {
	s0, _ = s.Seat(simon.S0)
	s1, _ = s.Seat(simon.S1)
	dealer, _ = s.Seat(simon.Dealer)
	return s0, s1, dealer
}

func word(s simon.Session, p simon.Purpose, peer int, l simon.Label) (uint64, error) {
	stream, err := s.Stream(p, peer, l)
	if err != nil {
		return 0, err
	}
	var b [8]byte
	stream.Fill(b[:])
	return binary.LittleEndian.Uint64(b[:]), nil
}

func le(x uint64) []byte { return binary.LittleEndian.AppendUint64(nil, x) }

func deal(ctx context.Context, s simon.Session) error {
	s0, s1, _ := places(s)
	var r uint64
	for party := range s.N() {
		x, err := word(s, simon.Deal, party, labelDeal)
		if err != nil {
			return err
		}
		r += x
	}
	var b [8]byte
	if _, err := s.Rand().Read(b[:]); err != nil {
		return err
	}
	if err := s.Send(ctx, []int{s0}, labelKey[0], b[:]); err != nil {
		return err
	}
	return s.Send(ctx, []int{s1}, labelKey[1], le(r-binary.LittleEndian.Uint64(b[:])))
}

func dealtSum(ctx context.Context, s simon.Session, value func(seat int) uint64) ([]byte, error) {
	s0, s1, dealer := places(s)
	if s.Self() == dealer {
		return nil, deal(ctx, s)
	}
	r, err := word(s, simon.Deal, dealer, labelDeal)
	if err != nil {
		return nil, err
	}
	y := value(s.Self()) + r
	for peer := range s.N() {
		if peer == s.Self() {
			continue
		}
		m, err := word(s, simon.Mask, peer, labelInput)
		if err != nil {
			return nil, err
		}
		if s.Self() < peer {
			y += m
		} else {
			y -= m
		}
	}
	if err := s.SendInput(ctx, labelInput, le(y)); err != nil {
		return nil, err
	}
	var out []byte
	if s.Self() == s0 || s.Self() == s1 {
		if out, err = evaluate(ctx, s); err != nil {
			return nil, err
		}
	}
	shares, err := s.Exchange(ctx, []int{min(s0, s1), max(s0, s1)}, labelOut, out)
	if err != nil {
		return nil, err
	}
	return le(binary.LittleEndian.Uint64(shares[0]) + binary.LittleEndian.Uint64(shares[1])), nil
}

func evaluate(ctx context.Context, s simon.Session) ([]byte, error) {
	s0, s1, dealer := places(s)
	all := make([]int, s.N())
	for i := range all {
		all[i] = i
	}
	inputs, err := s.Receive(ctx, all, labelInput)
	if err != nil {
		return nil, err
	}
	which := 0
	if s.Self() == s1 {
		which = 1
	}
	share, err := s.Receive(ctx, []int{dealer}, labelKey[which])
	if err != nil {
		return nil, err
	}
	o := -binary.LittleEndian.Uint64(share[0])
	if s.Self() == s0 {
		for _, b := range inputs {
			o += binary.LittleEndian.Uint64(b)
		}
		m, err := word(s, simon.Zero, s1, labelOut)
		return le(o + m), err
	}
	m, err := word(s, simon.Zero, s0, labelOut)
	return le(o - m), err
}

// withDealer gives seat n of a lab, the helper's, the dealer's role, and two parties the evaluators'.
func withDealer(n, s0, s1 int) func(int, *Config) {
	return func(_ int, c *Config) {
		c.Round, c.Limit = 5*time.Minute, time.Hour // a bad network loses what is asked for again, too
		c.Roles[simon.S0], c.Roles[simon.S1], c.Roles[simon.Dealer] = s0, s1, n
	}
}

func square(seat int) uint64 { return uint64(seat*seat) + 7 }

// A dealer, two evaluators and all parties end with one transcript that everybody can confirm, whatever the network does.
func TestDealtComputation(t *testing.T) {
	for _, n := range []int{2, 3, 5} {
		for seed := range uint64(5) {
			synctest.Test(t, func(t *testing.T) {
				faults := simontest.Faults{Loss: 0.2, Duplicate: 0.2}
				l := newLab(t, n, labOptions{helpers: 1, seed: seed, faults: faults, change: withDealer(n, 1, 0)})
				defer l.close()
				outs, errs := l.play(dealt(square, 3))
				if err := errors.Join(errs...); err != nil {
					t.Fatal(err)
				}
				var want uint64
				for i := range n {
					want += square(i)
				}
				for i, o := range outs[:n] {
					if !slices.Equal(o.Opened, slices.Concat(le(want), le(want), le(want))) || o.TH != outs[0].TH {
						t.Errorf("n %d, seed %d: seat %d has another sum or transcript", n, seed, i)
					}
				}
				if outs[n].TH != transcriptStart(labSID(seed)) || outs[n].RH != [32]byte{} || outs[n].Opened != nil {
					t.Errorf("the dealer's outcome is %+v", outs[n])
				}
				for self := range n + 1 {
					c := NewCommit(labSID(seed), labParticipants(n+1), self, n, []int{0}, outs[self].TH, outs[self].RH)
					c.Deaf(n)
					for i := range n + 1 {
						c.count(i, Notice{Confirm: true, TH: outs[i].TH, RH: outs[i].RH})
					}
					if v := c.Verdict(); v.State != Done {
						t.Errorf("seat %d judges %+v", self, v)
					}
					c.count(n-1, Notice{Confirm: true, TH: [32]byte{1}})
					if v := c.Verdict(); v.State != Failed || v.Seat != n-1 {
						t.Errorf("seat %d judges two confirmations %+v", self, v)
					}
				}
			})
		}
	}
}

// The dealer's word counts for the transcript that a dealer can know, and no other.
func TestDealersConfirmation(t *testing.T) {
	sid, th := labSID(1), [32]byte{1}
	confirm := func(self int, ths ...[32]byte) CommitState {
		c := NewCommit(sid, labParticipants(3), self, 2, []int{0}, ths[self], [32]byte{})
		c.Deaf(2)
		for i, th := range ths {
			c.count(i, Notice{Confirm: true, TH: th})
		}
		return c.Verdict().State
	}
	start := transcriptStart(sid)
	for self := range 3 {
		if s := confirm(self, th, th, start); s != Done {
			t.Errorf("seat %d: %v", self, s)
		}
		if s := confirm(self, th, th, th); self < 2 && s != Failed {
			t.Errorf("seat %d takes a dealer's word for a transcript that it cannot know: %v", self, s)
		}
		if s := confirm(self, th, [32]byte{2}, start); s != Failed {
			t.Errorf("seat %d does not see that the parties' transcripts differ: %v", self, s)
		}
	}
}

// A party that sends the evaluators different inputs is caught before anything is made of what they open.
func TestDifferentInputs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, 3, labOptions{helpers: 1, change: withDealer(3, 0, 1)})
		defer l.close()
		_, errs := l.play(func(ctx context.Context, s simon.Session) ([]byte, error) {
			if s.Self() != 2 {
				return dealt(square, 1)(ctx, s)
			}
			c := s.Call("gate").(*call)
			for seat, y := range []uint64{1, 2} {
				r, err := c.run(ctx, step{label: labelInput, send: true, body: le(y), to: []int{seat}})
				if err != nil {
					return nil, err
				}
				c.rest()
				delete(c.s.used, r.label)
			}
			_, err := c.Exchange(ctx, []int{0, 1}, labelOut, nil)
			return nil, err
		})
		var e *EquivocationError
		for i, err := range errs[:3] {
			if !errors.As(err, &e) || !strings.Contains(err.Error(), "p0 and p1: evaluate different inputs") {
				t.Errorf("seat %d: %v", i, err)
			}
		}
	})
}

// An evaluator that lies about its inputs, or tells nothing of them, ends the computation for all.
func TestEvaluatorLies(t *testing.T) {
	for name, lie := range map[string]func(*call) []byte{
		"another digest": func(c *call) []byte { c.digest[3] ^= 1; return le(0) },
		"no digest":      func(c *call) []byte { c.digest = [32]byte{}; return le(0) },
	} {
		synctest.Test(t, func(t *testing.T) {
			l := newLab(t, 3, labOptions{helpers: 1, change: withDealer(3, 0, 1)})
			defer l.close()
			_, errs := l.play(func(ctx context.Context, s simon.Session) ([]byte, error) {
				if s.Self() != 1 {
					return dealt(square, 1)(ctx, s)
				}
				c := s.Call("gate").(*call)
				if err := c.SendInput(ctx, labelInput, le(5)); err != nil {
					return nil, err
				}
				if _, err := c.Receive(ctx, []int{0, 2}, labelInput); err != nil {
					return nil, err
				}
				_, err := c.Exchange(ctx, []int{0, 1}, labelOut, lie(c))
				return nil, err
			})
			var e *EquivocationError
			for _, i := range []int{0, 2} {
				if !errors.As(errs[i], &e) {
					t.Errorf("%s: seat %d: %v", name, i, errs[i])
				}
			}
		})
	}
	synctest.Test(t, func(t *testing.T) { // a body too short for a digest
		l := newLab(t, 3, labOptions{helpers: 1, change: withDealer(3, 0, 1)})
		defer l.close()
		_, errs := l.play(func(ctx context.Context, s simon.Session) ([]byte, error) {
			c := s.(*call)
			if s.Self() == 1 {
				if _, err := c.run(ctx, step{label: labelOut, send: true, body: le(1), to: c.s.parties}); err != nil {
					return nil, err
				}
				c.rest()
				return nil, nil
			}
			if s.Self() == 3 {
				return nil, nil
			}
			var own []byte
			if s.Self() == 0 {
				own = le(0)
			}
			_, err := s.Exchange(ctx, []int{0, 1}, labelOut, own)
			return nil, err
		})
		for _, i := range []int{0, 2} {
			var e *EquivocationError
			if !errors.As(errs[i], &e) || e.Name != "p1" {
				t.Errorf("seat %d: %v", i, errs[i])
			}
		}
	})
}

// Inputs that were received and never compared make no outcome.
func TestInputsMustBeCompared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, 3, labOptions{helpers: 1, change: withDealer(3, 0, 1)})
		defer l.close()
		_, errs := l.play(func(ctx context.Context, s simon.Session) ([]byte, error) {
			if s.Self() == 3 {
				return nil, nil
			}
			c := s.Call("gate")
			if err := c.SendInput(ctx, labelInput, le(1)); err != nil {
				return nil, err
			}
			if s.Self() < 2 {
				if _, err := c.Receive(ctx, []int{1 - s.Self(), 2}, labelInput); err != nil {
					return nil, err
				}
			}
			s.Join(c)
			return nil, nil
		})
		for i, err := range errs {
			if (i < 2) != errors.Is(err, ErrMisuse) {
				t.Errorf("seat %d: %v", i, err)
			}
		}
	})
}

// A dealer that is no party hears nothing: not by its own code, and not whatever a party sends.
func TestDealerHearsNothing(t *testing.T) {
	for name, play := range map[string]func(context.Context, simon.Session) error{
		"receive": func(ctx context.Context, s simon.Session) error {
			_, err := s.Receive(ctx, []int{0}, labelInput)
			return err
		},
		"exchange": func(ctx context.Context, s simon.Session) error {
			_, err := s.Exchange(ctx, []int{3}, labelOut, le(1))
			return err
		},
		"open":  func(ctx context.Context, s simon.Session) error { _, err := s.Open(ctx, labelOut, nil); return err },
		"input": func(ctx context.Context, s simon.Session) error { return s.SendInput(ctx, labelInput, nil) },
	} {
		synctest.Test(t, func(t *testing.T) {
			l := newLab(t, 3, labOptions{helpers: 1, change: withDealer(3, 0, 1)})
			defer l.close()
			_, errs := l.play(func(ctx context.Context, s simon.Session) ([]byte, error) {
				if s.Self() == 3 {
					return nil, play(ctx, s)
				}
				return nil, nil
			})
			if !errors.Is(errs[3], ErrMisuse) {
				t.Errorf("%s: %v", name, errs[3])
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, 3, labOptions{helpers: 1, change: withDealer(3, 0, 1)})
		defer l.close()
		sent := make(chan struct{})
		_, errs := l.play(func(ctx context.Context, s simon.Session) ([]byte, error) {
			if s.Self() == 3 {
				<-sent
				synctest.Wait() // it plays still when the body comes
			}
			if s.Self() != 0 {
				return nil, nil
			}
			defer close(sent)
			if err := s.Send(ctx, []int{3}, labelInput, le(1)); !errors.Is(err, ErrMisuse) {
				t.Errorf("a party sends to the dealer: %v", err)
			}
			c := s.(*call) // as a cheat would
			_, err := c.run(ctx, step{label: labelInput, send: true, body: le(1), to: []int{3}})
			c.rest()
			return nil, err
		})
		synctest.Wait()
		dealer := l.sessions[3]
		if err := errors.Join(errs...); err != nil || dealer.Stats().Dropped == 0 || len(dealer.peers[0].in) != 0 || dealer.peers[0].heard {
			t.Errorf("%v; the dealer dropped %d, knows %d bodies", err, dealer.Stats().Dropped, len(dealer.peers[0].in))
		}
	})
}

// What sessions hold together is bounded, and given back when they end.
func TestBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		budget := NewBudget(1 << 20)
		l := newLab(t, 2, labOptions{helpers: 1, change: func(seat int, c *Config) {
			withDealer(2, 0, 1)(seat, c)
			if seat == 2 {
				c.Budget = budget
			}
		}})
		_, errs := l.play(func(ctx context.Context, s simon.Session) ([]byte, error) {
			if s.Self() != 2 {
				return nil, nil
			}
			if err := s.Send(ctx, []int{0}, labelKey[0], make([]byte, 900<<10)); err != nil {
				return nil, err
			}
			if budget.Used() < 900<<10 {
				t.Errorf("%d bytes are counted", budget.Used())
			}
			return nil, s.Send(ctx, []int{1}, labelKey[1], make([]byte, 900<<10))
		})
		if errs[2] == nil {
			t.Error("two bodies of 900 KiB fit into 1 MiB")
		}
		l.close()
		if budget.Used() != 0 {
			t.Errorf("%d bytes are held after the end", budget.Used())
		}
	})
}

// A budget that is part of others takes from all of them, or from none.
func TestBudgetOfBudgets(t *testing.T) {
	all, alice, bob := NewBudget(100), NewBudget(60), NewBudget(60)
	one, two := NewBudget(50, all, alice, bob), NewBudget(50, all, alice)
	used := func() [5]int64 { return [5]int64{all.Used(), alice.Used(), bob.Used(), one.Used(), two.Used()} }
	for i, step := range []struct {
		of   *Budget
		n    int64
		ok   bool
		used [5]int64
	}{
		{one, 51, false, [5]int64{}},
		{one, 40, true, [5]int64{40, 40, 40, 40, 0}},
		{two, 21, false, [5]int64{40, 40, 40, 40, 0}},
		{two, 20, true, [5]int64{60, 60, 40, 40, 20}},
		{all, 41, false, [5]int64{60, 60, 40, 40, 20}},
	} {
		if ok := step.of.take(step.n); ok != step.ok || used() != step.used {
			t.Errorf("step %d: %v, used %v", i, ok, used())
		}
	}
	one.give(40)
	two.give(20)
	if used() != [5]int64{} {
		t.Errorf("used %v after all was given back", used())
	}
}

// Greet makes the peer know that the key stands, and nothing else happens.
func TestGreet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, 2, labOptions{helpers: 1, change: withDealer(2, 0, 1)})
		defer l.close()
		l.sessions[2].Greet(0)
		synctest.Wait()
		if heard := l.sessions[0].Heard(); len(heard) != 0 {
			t.Errorf("a greeting leaves before the start is durable: %v", heard)
		}
		if _, errs := l.play(dealt(square, 1)); errors.Join(errs...) != nil {
			t.Fatal(errs)
		}
		before := l.sessions[2].Heard()
		l.sessions[1].Greet(2)
		synctest.Wait()
		if heard := l.sessions[2].Heard(); slices.Contains(before, 1) || !slices.Contains(heard, 1) {
			t.Errorf("the dealer has heard %v, then %v", before, heard)
		}
	})
}
