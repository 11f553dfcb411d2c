package session

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weftmpc/weft/simon"
	"github.com/weftmpc/weft/simon/simontest"
)

func value(seat int) uint64 { return uint64(1) << (8 * seat % 60) }

func total(n int) []byte {
	var x uint64
	for i := range n {
		x += value(i)
	}
	return binary.LittleEndian.AppendUint64(nil, x)
}

// check tells whether a run ended well: all seats the right sum with one transcript and result, or a typed error.
func check(t *testing.T, n int, outs []Outcome, errs []error) (right int) {
	t.Helper()
	for i, err := range errs {
		if err != nil {
			if !typed(err) {
				t.Errorf("seat %d: untyped error %v", i, err)
			}
			continue
		}
		right++
		if !bytes.Equal(outs[i].Opened, total(n)) {
			t.Errorf("seat %d: sum %x, want %x", i, outs[i].Opened, total(n))
		}
		if outs[i].TH == [32]byte{} || outs[i].RH == [32]byte{} {
			t.Errorf("seat %d: empty hash", i)
		}
		for j := range i {
			if errs[j] == nil && (outs[j].TH != outs[i].TH || outs[j].RH != outs[i].RH) {
				t.Errorf("seats %d and %d differ in their hashes", j, i)
			}
		}
	}
	return right
}

func TestSum(t *testing.T) {
	for n := 2; n <= 8; n++ {
		synctest.Test(t, func(t *testing.T) {
			l := newLab(t, n, labOptions{})
			defer l.close()
			outs, errs := l.play(sum(value))
			if right := check(t, n, outs, errs); right != n {
				t.Fatalf("%d of %d seats have the sum: %v", right, n, errs)
			}
			if c := l.net.Count(); c.Sent != 2*n*(n-1) {
				t.Errorf("%d datagrams, want %d: nothing may be asked for on a good network", c.Sent, 2*n*(n-1))
			}
		})
	}
}

func TestFaults(t *testing.T) {
	var right, wrong, harshRight, harshWrong int
	seeds := uint64(1000)
	if testing.Short() {
		seeds = 100
	}
	for seed := range seeds {
		n := 3 + int(seed%6)
		faults := simontest.Faults{
			MinDelay: time.Millisecond, MaxDelay: 40 * time.Millisecond,
			Loss: float64(seed%5) * 0.05, Duplicate: float64(seed%3) * 0.15, Reorder: float64(seed%4) * 0.2, Tamper: float64(seed%7) * 0.02,
		}
		harsh := seed%10 == 9
		if harsh {
			faults.Loss, faults.Tamper = 0.5, 0.2
		}
		synctest.Test(t, func(t *testing.T) {
			l := newLab(t, n, labOptions{faults: faults, seed: seed})
			defer l.close()
			outs, errs := l.play(sum(value))
			if got := check(t, n, outs, errs); harsh {
				harshRight, harshWrong = harshRight+got, harshWrong+n-got
			} else {
				right, wrong = right+got, wrong+n-got
			}
		})
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	t.Logf("seats with the sum, and with a typed error: %d, %d on bad networks, %d, %d on terrible ones", right, wrong, harshRight, harshWrong)
	if wrong*20 > right {
		t.Errorf("%d of %d seats failed: repetition does not help", wrong, right+wrong)
	}
	if harshWrong == 0 {
		t.Error("no run failed even on terrible networks: errors are not tried")
	}
}

// A network so bad that rounds time out: the error names who is missing.
func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, 3, labOptions{})
		defer l.close()
		l.net.Isolate("p2")
		begun := time.Now()
		_, errs := l.play(sum(value))
		want := [][]int{{2}, {2}, {0, 1}}
		for i, err := range errs {
			var timeout *TimeoutError
			if !errors.As(err, &timeout) || !slices.Equal(timeout.Seats, want[i]) || len(timeout.Names) != len(want[i]) {
				t.Errorf("seat %d: %v, want a time-out for seats %v", i, err, want[i])
			}
		}
		if took := time.Since(begun); took < 20*time.Second || took > 21*time.Second {
			t.Errorf("round time-out of 20 s after %v", took)
		}
		if asks := l.sessions[0].Stats().Asks; asks < 6 || asks > 9 { // 250 ms doubling to 4 s within 20 s
			t.Errorf("%d asks in 20 s", asks)
		}
	})
}

// A stream waits for the pair's key, but not for ever.
func TestTimeoutOfKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, 2, labOptions{noKeys: true})
		defer l.close()
		_, errs := l.play(func(_ context.Context, s simon.Session) ([]byte, error) {
			_, err := s.Stream(simon.Mask, 1-s.Self(), simon.Label{})
			return nil, err
		})
		var timeout *TimeoutError
		if !errors.As(errs[0], &timeout) || !slices.Equal(timeout.Seats, []int{1}) || timeout.Names[0] != "p1" {
			t.Error(errs)
		}
	})
}

func TestLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, 2, labOptions{change: func(_ int, c *Config) { c.Limit = 5 * time.Second }})
		defer l.close()
		begun := time.Now()
		_, errs := l.play(func(ctx context.Context, s simon.Session) ([]byte, error) {
			if s.Self() == 1 {
				<-ctx.Done() // says nothing
				return nil, ctx.Err()
			}
			return sum(value)(ctx, s)
		})
		var timeout *TimeoutError
		if !errors.As(errs[0], &timeout) || !slices.Equal(timeout.Seats, []int{1}) || time.Since(begun) > 6*time.Second {
			t.Errorf("after %v: %v", time.Since(begun), errs[0])
		}
		if !errors.As(errs[1], &timeout) || len(timeout.Seats) != 0 {
			t.Errorf("a protocol that computes for ever ends with %v", errs[1])
		}
	})
}

func TestReconnected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, 2, labOptions{})
		defer l.close()
		l.net.Cut("p0", "p1")
		go func() {
			time.Sleep(8 * time.Second) // asks are seconds apart by now
			l.net.Heal("p0", "p1")
			time.Sleep(10 * time.Millisecond)
			for _, s := range l.sessions {
				s.Reconnected()
			}
		}()
		begun := time.Now()
		outs, errs := l.play(sum(value))
		if check(t, 2, outs, errs) != 2 || time.Since(begun) > 8*time.Second+20*time.Millisecond {
			t.Errorf("after %v: %v", time.Since(begun), errs)
		}
	})
}

func TestLateKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, 3, labOptions{noKeys: true})
		defer l.close()
		go func() { // seat 0 is ready at once for 1, the others one by one; 2 has sent long before 1 can read it
			pairs := [][2]int{{0, 1}, {0, 2}, {2, 0}, {2, 1}, {1, 2}, {1, 0}}
			for _, p := range pairs {
				time.Sleep(700 * time.Millisecond)
				l.key(p[0], p[1])
			}
		}()
		outs, errs := l.play(sum(value))
		if check(t, 3, outs, errs) != 3 {
			t.Error(errs)
		}
		if err := l.sessions[0].SetKey(1, [32]byte{}, [16]byte{}); err == nil {
			t.Error("a second key was taken")
		}
	})
}

// Without the pair's key a session keeps 64 datagrams of a peer, and gets the rest by asking.
func TestEarlyBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const many = 100
		l := newLab(t, 2, labOptions{noKeys: true})
		defer l.close()
		l.key(0, 1)
		go func() {
			time.Sleep(time.Second)
			l.key(1, 0)
		}()
		_, errs := l.play(func(ctx context.Context, s simon.Session) ([]byte, error) {
			for i := range uint32(many) {
				if s.Self() == 0 {
					if err := s.Send(ctx, []int{1}, simon.Label{Round: i}, []byte{byte(i)}); err != nil {
						return nil, err
					}
					continue
				}
				b, err := s.Receive(ctx, []int{0}, simon.Label{Round: i})
				if err != nil || b[0][0] != byte(i) {
					return nil, errors.Join(err, errors.New("wrong body"))
				}
			}
			return nil, nil
		})
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		if d := l.sessions[1].Stats().Dropped; d != many-earlyMessages {
			t.Errorf("%d dropped, want %d", d, many-earlyMessages)
		}
		if r := l.sessions[0].Stats().Repeated; r < many-earlyMessages {
			t.Errorf("%d repeated, want %d", r, many-earlyMessages)
		}
	})
}

// Nothing leaves before the start is durable, and nothing at all if it cannot be made so.
func TestDurable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		written := make(chan error, 1)
		l := newLab(t, 2, labOptions{change: func(seat int, c *Config) {
			if seat == 0 {
				c.Durable = func() error { return <-written }
			}
		}})
		defer l.close()
		var sent atomic.Int64
		l.net.Tap(func(d *simontest.Datagram) bool {
			if d.From == "p0" {
				sent.Add(1)
			}
			return true
		})
		go func() {
			time.Sleep(3 * time.Second)
			if n := sent.Load(); n != 0 {
				t.Errorf("%d datagrams left before the start was durable", n)
			}
			written <- nil
		}()
		outs, errs := l.play(sum(value))
		if check(t, 2, outs, errs) != 2 || sent.Load() == 0 {
			t.Error(errs)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("disk full")
		l := newLab(t, 2, labOptions{change: func(seat int, c *Config) { c.Durable = func() error { return broken } }})
		defer l.close()
		_, errs := l.play(sum(value))
		if !errors.Is(errs[0], broken) || l.net.Count().Sent != 0 {
			t.Errorf("%v, %d datagrams sent", errs[0], l.net.Count().Sent)
		}
	})
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, 2, labOptions{})
		defer l.close()
		var mu sync.Mutex
		var recorded []*simontest.Datagram
		l.net.Tap(func(d *simontest.Datagram) bool {
			mu.Lock()
			defer mu.Unlock()
			recorded = append(recorded, d)
			return true
		})
		outs, errs := l.play(sum(value))
		if check(t, 2, outs, errs) != 2 {
			t.Fatal(errs)
		}
		s := l.sessions[0]
		s.Close()
		s.Close()
		before := l.net.Count().Sent
		ask := sealAsk(Ask{SID: s.cfg.SID, From: s.cfg.Participants[1].FP[:], To: s.cfg.Participants[0].FP[:],
			Labels: []LabelAsk{{Label: labelBytes(nil, simon.Label{Round: 1, Vector: "hello"})}}}, askKeyOf(l, 1, 0))
		s.Deliver(1, ask)
		for _, d := range recorded {
			if d.To == "p0" {
				s.Deliver(1, d.Body)
			}
		}
		s.Tick(time.Now())
		s.Reconnected()
		synctest.Wait()
		if after := l.net.Count().Sent; after != before {
			t.Errorf("%d datagrams left after Close", after-before)
		}
		for _, p := range s.peers {
			if p.prk != [32]byte{} || p.askKey != [32]byte{} || p.answerKey != [32]byte{} || p.seal != nil || p.out != nil || p.in != nil {
				t.Error("Close left keys or bodies behind")
			}
		}
		// The other seat is open still, and answers the ask of its peer.
		l.sessions[1].Deliver(0, sealAsk(Ask{SID: s.cfg.SID, From: s.cfg.Participants[0].FP[:], To: s.cfg.Participants[1].FP[:],
			Labels: []LabelAsk{{Label: labelBytes(nil, simon.Label{Round: 1, Vector: "hello"})}}}, askKeyOf(l, 0, 1)))
		if after := l.net.Count().Sent; after != before+1 {
			t.Errorf("%d answers after Play, want 1", after-before)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, 2, labOptions{})
		defer l.close()
		l.net.Cut("p0", "p1")
		go func() { time.Sleep(time.Second); l.sessions[0].Close(); l.sessions[1].Close() }()
		_, errs := l.play(sum(value))
		if !errors.Is(errs[0], ErrClosed) {
			t.Errorf("a running Play ends with %v", errs[0])
		}
	})
}

// askKeyOf is the key with which from asks to.
func askKeyOf(l *lab, from, to int) [32]byte {
	c := l.sessions[0].cfg
	prk := labPRK(c.SID, from, to)
	return deriveKey(&prk, purposeResend, "", &c.Participants[from].FP, &c.Participants[to].FP)
}

// A session that is closed while it sends sends no more.
func TestCloseWhileSending(t *testing.T) {
	c := labConfig(3, 0, 0, 0)
	k := &closingLink{}
	c.Link = k
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	k.s = s
	for j := 1; j < 3; j++ {
		if err := s.SetKey(j, labPRK(c.SID, 0, j), labEpoch(0, j)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Play(t.Context(), sum(value)); !errors.Is(err, ErrClosed) || k.sent != 1 {
		t.Errorf("%v after %d datagrams, want 1", err, k.sent)
	}
}

type closingLink struct {
	s    *Session
	sent int
}

func (k *closingLink) Send(int, []byte) error { k.sent++; k.s.Close(); return nil }

func TestCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, 2, labOptions{})
		defer l.close()
		ctx, cancel := context.WithCancelCause(t.Context())
		cause := errors.New("withdrawn")
		go func() { time.Sleep(time.Second); cancel(cause) }()
		if _, err := l.sessions[0].Play(ctx, sum(value)); !errors.Is(err, cause) {
			t.Errorf("cancelled: %v", err)
		}
	})
}
