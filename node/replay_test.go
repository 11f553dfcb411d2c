package node

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/coordinator"
	"github.com/weftmpc/weft/jobs"
	"github.com/weftmpc/weft/node/seat"
	"github.com/weftmpc/weft/simon/simontest"
)

// replay delivers datagrams once more: what was meant for the coordinator to it, all else to every party, under the name of
// its sender. The coordinator's reply goes to who replays, what it pushes to the parties.
func (f *fleet) replay(all []sent) {
	f.t.Helper()
	f.mu.Lock()
	table, heard, started := f.table, f.heard, f.started
	f.mu.Unlock()
	for _, d := range all {
		if heard != nil && d.from != "coordinator" {
			heard(d.uuid(), d.from, bytes.Clone(d.message()))
		}
		if a, err := coordinator.DecodeAnswer(d.message()); started != nil && err == nil && d.kind() == kindStart {
			started(bytes.Clone(a.Start))
		}
		switch d.kind() {
		case kindJoin:
			_, push := table.Join(bytes.Clone(d.message()))
			for _, p := range push {
				f.members[p.Name].receive("coordinator", append([]byte{'p'}, p.Answer.Encode()...))
			}
		case kindLeave:
			_ = table.Leave(bytes.Clone(d.message()))
		default:
			for name, m := range f.members {
				if name != d.from {
					m.receive(d.from, bytes.Clone(d.body))
				}
			}
		}
	}
	f.settle()
}

// orders are the ways in which a test replays what it has recorded.
func orders(all []sent) map[string][]sent {
	out := map[string][]sent{"in order": all}
	if testing.Short() {
		out = map[string][]sent{}
	}
	back := slices.Clone(all)
	slices.Reverse(back)
	out["backwards"] = back
	for seed := range uint64(2) {
		mixed := slices.Clone(all)
		rand.New(rand.NewPCG(5, seed)).Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
		out[fmt.Sprintf("mixed, seed %d", seed)] = mixed
	}
	return out
}

// cancelStarted cancels alice's job while it runs: no share reaches her.
func (f *fleet) cancelStarted(w *watch, id uuid.UUID) {
	w.rule(func(d sent) bool { return !(is(kindShare, id)(d) && d.to == "alice") })
	f.terms.attempts = 1
	all := f.submitAll(id, data)
	w.await(1, func(d sent) bool { return is(kindShare, id)(d) && d.from == "alice" })
	f.members["alice"].reached(all["alice"], jobs.Started)
	_, err := f.members["alice"].current().RequestCancel(f.t.Context(), all["alice"].ID)
	must(f.t, err)
	for name, j := range f.endedAll(all) {
		if name == "alice" && j.State != jobs.Cancelled {
			f.t.Errorf("alice: %s, want cancelled", j.State)
		}
		if name != "alice" && (j.State != jobs.Failed || j.Problem.Reason != "peer") {
			f.t.Errorf("%s: %s %v, want failed by a peer", name, j.State, j.Problem)
		}
	}
}

// cancelWaiting cancels alice's job before the others join. The coordinator does not hear of it and starts the computation
// with her JOIN: she answers that it is withdrawn, and sends nothing else.
func (f *fleet) cancelWaiting(w *watch, id uuid.UUID) {
	w.rule(func(d sent) bool { return !is(kindLeave, id)(d) })
	f.terms.attempts = 1
	a := f.submit("alice", id, "19", patience)
	w.await(1, is(kindAnswer, id))
	_, err := f.members["alice"].current().RequestCancel(f.t.Context(), a.ID)
	must(f.t, err)
	if j := f.members["alice"].ended(a.ID, patience); j.State != jobs.Cancelled {
		f.t.Errorf("alice: %s, want cancelled", j.State)
	}
	all := map[string]jobs.Job{"bob": f.submit("bob", id, "5", patience), "carol": f.submit("carol", id, "61", patience)}
	for name, j := range f.endedAll(all) {
		if j.State != jobs.Failed || j.Problem.Reason != "peer" || !strings.HasSuffix(j.Problem.Message, " ended the computation: its request was withdrawn") {
			f.t.Errorf("%s: %s %v, want failed because alice has withdrawn", name, j.State, j.Problem)
		}
	}
	if n := len(w.seen(func(d sent) bool { return is(kindShare, id)(d) && d.from == "alice" })); n > 0 {
		f.t.Errorf("%d shares left for a JOIN that was withdrawn", n)
	}
}

// timeOut lets a computation end by a time-out: carol's shares are lost.
func (f *fleet) timeOut(w *watch, id uuid.UUID) {
	w.rule(func(d sent) bool { return !(is(kindShare, id)(d) && d.from == "carol") })
	f.terms.attempts, f.terms.round = 1, 300*time.Millisecond
	for name, j := range f.endedAll(f.submitAll(id, data)) {
		if j.State != jobs.Failed {
			f.t.Errorf("%s: %s %v, want failed", name, j.State, j.Problem)
		}
	}
}

// crash kills bob when he has sent a share, and starts him again.
func (f *fleet) crash(step string, id uuid.UUID) {
	bob, killed, once := f.members["bob"], make(chan bool), sync.Once{}
	bob.onStep(func(s string) {
		if s == step {
			once.Do(func() { bob.kill(); close(killed) })
		}
	})
	all := f.submitAll(id, data)
	<-killed
	bob.onStep(nil)
	bob.restart()
	f.wantSum(f.endedAll(all), "85", "3")
}

// All that was ever sent is sent again, in several orders, after computations that were done, timed out, were cancelled
// while they waited and while they ran, or were struck by a crash: before a restart of all nodes and after it, and to
// a coordinator that remembers and to one that does not. Nobody sends a share, no record changes, nobody contradicts what he
// has signed.
func TestReplay(t *testing.T) {
	f := newFleet(t, simontest.Faults{}, three...)
	w := f.watch()
	usual := f.terms
	for _, scene := range []func(id uuid.UUID){
		func(id uuid.UUID) { f.wantSum(f.sumAll(id, data), "85", "3") },
		func(id uuid.UUID) { f.timeOut(w, id) },
		func(id uuid.UUID) { f.cancelStarted(w, id) },
		func(id uuid.UUID) { f.cancelWaiting(w, id) },
		func(id uuid.UUID) { f.crash("after send 1", id) },
		func(id uuid.UUID) { f.crash("line committed", id) },
	} {
		scene(uuid.New())
		w.open()
		f.terms = usual
	}
	f.settle()
	all := w.seen(nil)
	for _, kind := range []string{kindJoin, kindLeave, kindStart, kindAnswer, kindShare, kindAsk, kindInit, kindNotice} {
		if !slices.ContainsFunc(all, func(d sent) bool { return d.kind() == kind }) {
			t.Fatalf("nothing of kind %s was recorded", kind)
		}
	}
	shares := func() int { return len(w.seen(func(d sent) bool { return d.kind() == kindShare })) }
	before, sharesBefore := f.state(), shares()
	check := func(when string) {
		t.Helper()
		if n := shares(); n != sharesBefore {
			t.Errorf("%s: %d share messages left", when, n-sharesBefore)
		}
		wantState(t, when, f.state(), before)
		f.checkInvariants()
	}
	for _, process := range []string{"the same processes", "new processes"} {
		for order, list := range orders(all) {
			f.replay(list)
			check(process + ", " + order)
		}
		f.newCoordinator()
		f.replay(all)
		check(process + ", a new coordinator")
		for _, m := range f.members {
			m.restart()
		}
	}
	f.wantSum(f.sumAll(uuid.New(), data), "85", "3")
}

// Everything of a finished computation is sent again while the next one under the same uuid waits for carol. Where the
// coordinator has forgotten the first, her old JOIN even starts a computation with the others' new ones, which she ends. The
// result has the data of the second only.
func TestReplayIntoTheNextComputation(t *testing.T) {
	t.Parallel()
	for name, forgotten := range map[string]bool{"coordinator remembers": false, "coordinator has forgotten": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, simontest.Faults{}, three...)
			w, id := f.watch(), uuid.New()
			f.wantSum(f.sumAll(id, data), "85", "3")
			f.settle()
			all := w.seen(func(d sent) bool { return !forgotten || d.kind() != kindJoin || d.from == "carol" })
			shares := func() int { return len(w.seen(func(d sent) bool { return d.kind() == kindShare })) }
			submitted := map[string]jobs.Job{"alice": f.submit("alice", id, "100", patience), "bob": f.submit("bob", id, "200", patience)}
			f.await("both JOINs", func() bool {
				for name, j := range submitted {
					now, err := f.members[name].current().Get(t.Context(), j.ID)
					if err != nil || now.State != jobs.Waiting || len(now.Waiting) != 1 {
						return false
					}
				}
				return true
			})
			before, sharesBefore := f.state(), shares()
			if forgotten {
				f.newCoordinator()
			}
			for order, list := range orders(all) {
				f.replay(list)
				if forgotten {
					continue
				}
				if n := shares(); n != sharesBefore {
					t.Errorf("%s: %d share messages left", order, n-sharesBefore)
				}
				wantState(t, order, f.state(), before)
			}
			if forgotten {
				d := w.await(1, func(d sent) bool { n, ok := d.notice(); return ok && d.from == "carol" && !n.Confirm })
				if n, _ := d.notice(); n.Code != seat.CodeWithdrawn || f.lines(n.SID)["carol"] != 0 {
					t.Errorf("carol ends the computation with her old JOIN with code %d and line %s", n.Code, stateNames(f.lines(n.SID)))
				}
			}
			submitted["carol"] = f.submit("carol", id, "300", patience)
			ended := f.endedAll(submitted)
			f.wantSum(ended, "600", "3")
			if again := ended["alice"].Attempt > 1; again != forgotten {
				t.Errorf("alice needed %d attempts", ended["alice"].Attempt)
			}
			f.replay(all)
			f.checkInvariants()
		})
	}
}
