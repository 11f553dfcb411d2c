package node

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/jobs"
	"github.com/weftmpc/weft/simon/simontest"
)

// drained begins to drain a member's node and returns where the number of jobs left comes.
func (m *member) drained(ctx context.Context) <-chan int {
	m.mu.Lock()
	n := m.node
	m.mu.Unlock()
	left := make(chan int, 1)
	go func() { left <- n.Drain(ctx) }()
	<-n.retired.Done()
	return left
}

// A node that drains brings the computation that runs to its end, at whatever step it is, and begins no other: what waits
// and what is submitted meanwhile is served by the next process, in the first attempt.
func TestDrain(t *testing.T) {
	f := newFleet(t, simontest.Faults{}, three...)
	alice := f.members["alice"]
	for _, step := range []string{"line started", "played", "job committed", "line committed", "before send 4"} {
		waits := f.submit("alice", uuid.New(), data["alice"], patience)
		alice.reached(waits, jobs.Waiting)
		at, proceed := make(chan struct{}), make(chan struct{})
		alice.onStep(func(s string) {
			if s == step || s == "job "+step {
				alice.onStep(nil)
				close(at)
				<-proceed
			}
		})
		running := f.submitAll(uuid.New(), data)
		<-at
		left := alice.drained(t.Context())
		late := f.submit("alice", uuid.New(), data["alice"], patience)
		select {
		case n := <-left:
			t.Fatalf("%s: drained with %d jobs left while one runs", step, n)
		case <-time.After(20 * time.Millisecond):
		}
		close(proceed)
		if n := <-left; n != 0 {
			t.Errorf("%s: %d jobs left", step, n)
		}
		j, err := alice.current().Get(t.Context(), running["alice"].ID)
		if err != nil || j.State != jobs.Done {
			t.Errorf("%s: %v (%v), want done before the node ends", step, j, err)
		}
		f.wantSum(f.endedAll(running), "85", "3")
		alice.restart()
		for _, job := range []jobs.Job{waits, late} {
			if j, err = alice.current().Get(t.Context(), job.ID); err != nil || j.Terminal() || j.Attempt > 1 {
				t.Errorf("%s: %v (%v), want it to wait for the others", step, j, err)
			}
			all := map[string]jobs.Job{"alice": job}
			for _, name := range []string{"bob", "carol"} {
				all[name] = f.submit(name, job.UUID, data[name], patience)
			}
			ended := f.endedAll(all)
			f.wantSum(ended, "85", "3")
			if n := ended["alice"].Attempt; n != 1 {
				t.Errorf("%s: %d attempts", step, n)
			}
		}
	}
	f.checkInvariants()
}

// A computation whose other party has gone holds the end up no longer than the bound. The next process tries it again.
func TestDrainIsBounded(t *testing.T) {
	f := newFleet(t, simontest.Faults{}, three...)
	f.terms.round, f.terms.limit = patience, patience
	alice := f.members["alice"]
	f.members["carol"].onStep(func(step string) {
		if step == "line started" { // nothing of this computation has left it
			f.net.Isolate("carol")
		}
	})
	running := f.submitAll(uuid.New(), data)
	alice.reached(running["alice"], jobs.Started)
	ctx, stop := context.WithCancel(t.Context())
	left := alice.drained(ctx)
	stop()
	if n := <-left; n != 1 {
		t.Errorf("%d jobs left, want 1", n)
	}
	f.members["carol"].onStep(nil)
	alice.restart()
	f.net.Rejoin("carol")
	f.wantSum(f.endedAll(running), "85", "3")
	f.checkInvariants()
}

// What the node counts of a computation whose first messages are lost.
func TestStats(t *testing.T) {
	f := newFleet(t, simontest.Faults{}, three...)
	w, dropped := f.watch(), 0
	w.rule(func(d sent) bool {
		if d.kind() != kindShare || d.from != "bob" || d.to != "alice" || dropped > 0 {
			return true
		}
		dropped++
		return false
	})
	f.wantSum(f.sumAll(uuid.New(), data), "85", "3")
	alice, bob := f.members["alice"].node, f.members["bob"].node
	f.await("the computation is counted", func() bool { return alice.Stats().Running == 0 && bob.Stats().Running == 0 })
	s, hops := alice.Stats(), uint64(0)
	for _, n := range s.Hops {
		hops += n
	}
	if hops == 0 || s.HopTime < 200*time.Millisecond || s.HopTime > patience || s.Session.Asks == 0 {
		t.Errorf("alice: %d hops in %s, %+v; want one that waited for what was asked for again", hops, s.HopTime, s.Session)
	}
	if got := bob.Stats().Session.Repeated; got == 0 {
		t.Error("bob has sent nothing again")
	}
}
