package simontest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// sink collects what arrives.
type sink struct {
	mu  sync.Mutex
	got []string
	at  []time.Duration
	t0  time.Time
}

func newSink() *sink { return &sink{t0: time.Now()} }

func (s *sink) receive(from string, b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, from+" "+string(b))
	s.at = append(s.at, time.Since(s.t0))
}

// send has alice send n numbered datagrams to bob.
func send(t *testing.T, e *Endpoint, to string, n int) {
	t.Helper()
	for i := range n {
		if err := e.Send(to, fmt.Appendf(nil, "%03d", i)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestNetworkKeepsTheOrderOfALink(t *testing.T) {
	for name, f := range map[string]Faults{
		"at once": {},
		"delayed": {Seed: 1, MinDelay: time.Millisecond, MaxDelay: 30 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := NewNetwork(f)
				defer n.Close()
				s := newSink()
				n.Endpoint("bob", s.receive)
				send(t, n.Endpoint("alice", nil), "bob", 100)
				time.Sleep(time.Second)
				synctest.Wait()
				if len(s.got) != 100 || !slices.IsSorted(s.got) {
					t.Fatalf("%v", s.got)
				}
				if s.at[0] < f.MinDelay || s.at[99] > f.MaxDelay {
					t.Errorf("first after %v, last after %v", s.at[0], s.at[99])
				}
				if c := n.Count(); c != (Count{Sent: 100, Delivered: 100}) {
					t.Errorf("%+v", c)
				}
			})
		})
	}
}

func TestNetworkFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		run := func(f Faults, n int) ([]string, Count) {
			net := NewNetwork(f)
			defer net.Close()
			s := newSink()
			net.Endpoint("bob", s.receive)
			send(t, net.Endpoint("alice", nil), "bob", n)
			time.Sleep(time.Second)
			synctest.Wait()
			return s.got, net.Count()
		}
		const n = 1000
		near := func(what string, got int, share float64) {
			t.Helper()
			if want := share * n; float64(got) < want-60 || float64(got) > want+60 {
				t.Errorf("%s: %d of %d", what, got, n)
			}
		}
		got, c := run(Faults{Seed: 2, Loss: 0.3}, n)
		near("lost", c.Lost, 0.3)
		if len(got) != n-c.Lost {
			t.Errorf("%d arrived, %d were lost", len(got), c.Lost)
		}
		got, c = run(Faults{Seed: 3, Duplicate: 0.2}, n)
		near("duplicated", c.Duplicated, 0.2)
		if len(got) != n+c.Duplicated || len(slices.Compact(slices.Sorted(slices.Values(got)))) != n {
			t.Errorf("%d arrived", len(got))
		}
		got, c = run(Faults{Seed: 4, MaxDelay: 10 * time.Millisecond, Reorder: 0.4}, n)
		near("reordered", c.Reordered, 0.4)
		if len(got) != n || slices.IsSorted(got) {
			t.Errorf("%d arrived, in order: %v", len(got), slices.IsSorted(got))
		}
		got, c = run(Faults{Seed: 5, Tamper: 0.5}, n)
		near("tampered", c.Tampered, 0.5)
		changed := 0
		for i, m := range got {
			if m != fmt.Sprintf("alice %03d", i) {
				changed++
			}
		}
		if changed != c.Tampered {
			t.Errorf("%d changed, %d tampered with", changed, c.Tampered)
		}
		if got, c := run(Faults{Loss: 1}, 10); len(got) != 0 || c.Lost != 10 {
			t.Errorf("%v %+v", got, c)
		}
	})
}

// TestNetworkRepeats: one seed, one fate for each datagram; another seed, another.
func TestNetworkRepeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		run := func(seed uint64) string {
			n := NewNetwork(Faults{Seed: seed, MinDelay: time.Millisecond, MaxDelay: 50 * time.Millisecond, Loss: 0.2, Duplicate: 0.2, Reorder: 0.2, Tamper: 0.2})
			defer n.Close()
			var logs [3]sink
			var wg sync.WaitGroup
			for i := range logs {
				logs[i].t0 = time.Now()
				n.Endpoint(fmt.Sprint(i), logs[i].receive)
			}
			for from := range 3 {
				wg.Go(func() { // in parallel: scheduling must not matter
					e := n.Endpoint(fmt.Sprint("sender ", from), nil)
					for to := range 3 {
						send(t, e, fmt.Sprint(to), 40)
					}
				})
			}
			wg.Wait()
			time.Sleep(time.Second)
			synctest.Wait()
			var all []string
			for i := range logs {
				for k := range logs[i].got {
					all = append(all, fmt.Sprint(i, " ", logs[i].at[k], " ", logs[i].got[k]))
				}
			}
			slices.Sort(all)
			return strings.Join(all, "\n")
		}
		first := run(7)
		for range 5 {
			if run(7) != first {
				t.Fatal("one seed, two histories")
			}
		}
		if run(8) == first {
			t.Error("two seeds, one history")
		}
	})
}

func TestNetworkPartitions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewNetwork(Faults{MinDelay: 10 * time.Millisecond})
		defer n.Close()
		s := newSink()
		n.Endpoint("bob", s.receive)
		alice, carol := n.Endpoint("alice", nil), n.Endpoint("carol", nil)
		say := func(text string) {
			for _, e := range []*Endpoint{alice, carol} {
				if err := e.Send("bob", []byte(text)); err != nil {
					t.Fatal(err)
				}
			}
		}
		step := func() { time.Sleep(time.Second); synctest.Wait() }
		say("1")
		n.Cut("bob", "alice") // what alice sent is under way
		step()
		say("2")
		step()
		n.Heal("alice", "bob")
		say("3")
		step()
		n.Isolate("bob")
		say("4")
		step()
		n.Rejoin("bob")
		say("5")
		step()
		n.Endpoint("bob", nil) // the process has died
		say("6")
		step()
		n.Endpoint("bob", s.receive)
		say("7")
		step()
		slices.Sort(s.got)
		want := []string{"alice 3", "alice 5", "alice 7", "carol 1", "carol 2", "carol 3", "carol 5", "carol 7"}
		if !slices.Equal(s.got, want) {
			t.Errorf("%v, want %v", s.got, want)
		}
		if err := alice.Send("nobody", nil); err != nil {
			t.Error(err)
		}
	})
}

func TestNetworkTap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewNetwork(Faults{})
		defer n.Close()
		s := newSink()
		n.Endpoint("bob", s.receive)
		var seen []string
		n.Tap(func(d *Datagram) bool {
			seen = append(seen, fmt.Sprint(d.From, d.To, d.Seq, string(d.Body)))
			return string(d.Body) != "001"
		})
		n.Tap(func(d *Datagram) bool {
			if string(d.Body) == "002" {
				d.Body, d.Delay = []byte("late"), time.Minute
			}
			return true
		})
		b := []byte("000")
		alice := n.Endpoint("alice", nil)
		if err := alice.Send("bob", b); err != nil {
			t.Fatal(err)
		}
		b[0] = 'x' // the caller's bytes are his own again
		for _, text := range []string{"001", "002"} {
			if err := alice.Send("bob", []byte(text)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if want := []string{"alicebob1000", "alicebob2001", "alicebob3002"}; !slices.Equal(seen, want) {
			t.Errorf("seen %v", seen)
		}
		if want := []string{"alice 000", "alice late"}; !slices.Equal(s.got, want) || s.at[1] != time.Minute {
			t.Errorf("got %v at %v", s.got, s.at)
		}
	})
}

// TestNetworkReceiverMaySend: receivers answer, and a receiver that waits holds up its link only.
func TestNetworkReceiverMaySend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewNetwork(Faults{MinDelay: time.Millisecond})
		defer n.Close()
		s := newSink()
		alice := n.Endpoint("alice", s.receive)
		release := make(chan struct{})
		var bob *Endpoint
		bob = n.Endpoint("bob", func(from string, b []byte) {
			if from == "carol" {
				<-release
			}
			if err := bob.Send("alice", append([]byte("re "), b...)); err != nil {
				t.Error(err)
			}
		})
		carol := n.Endpoint("carol", nil)
		send(t, carol, "bob", 2)
		send(t, alice, "bob", 2)
		time.Sleep(time.Second)
		synctest.Wait()
		if len(s.got) != 2 {
			t.Errorf("%v while a link is held up", s.got)
		}
		close(release)
		time.Sleep(time.Second)
		synctest.Wait()
		if len(s.got) != 4 {
			t.Errorf("%v", s.got)
		}
	})
}

func TestNetworkClose(t *testing.T) {
	n := NewNetwork(Faults{})
	began, release := make(chan struct{}), make(chan struct{})
	finished := false
	n.Endpoint("bob", func(string, []byte) {
		close(began)
		<-release
		finished = true
	})
	alice := n.Endpoint("alice", nil)
	if err := alice.Send("bob", bytes.Repeat([]byte("x"), 100)); err != nil {
		t.Fatal(err)
	}
	<-began
	if err := alice.Send("bob", nil); err != nil { // waits behind the first, and is dropped
		t.Fatal(err)
	}
	go close(release)
	n.Close()
	if !finished {
		t.Error("Close did not wait for a delivery that had begun")
	}
	if err := alice.Send("bob", nil); !errors.Is(err, ErrClosed) {
		t.Errorf("Send after Close: %v", err)
	}
	n.Close() // again: nothing happens
}
