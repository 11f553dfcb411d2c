package node

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/jobs"
	"github.com/weftmpc/weft/node/policy"
	"github.com/weftmpc/weft/node/seat"
	"github.com/weftmpc/weft/simon/simontest"
)

// owned is a fleet in which computations wait for an approval at alice's.
func owned(t *testing.T) *fleet {
	t.Helper()
	f := newFleet(t, simontest.Faults{}, three...)
	f.policy = func(name string, p *policy.Policy) {
		if name == "alice" {
			p.Approval.Microprotocols = []string{policy.Every}
		}
	}
	f.again()
	return f
}

// left is what has left a party for a computation.
func left(w *watch, id uuid.UUID, name string) []sent {
	return w.seen(func(d sent) bool { return d.from == name && d.uuid() == id })
}

func (m *member) decide(j jobs.Job, v jobs.Verdict, reason string) jobs.Job {
	m.fleet.t.Helper()
	j, err := m.current().Decide(m.fleet.t.Context(), j.ID, v, "olga", reason)
	must(m.fleet.t, err)
	return j
}

// Nothing leaves a party before somebody there has approved the computation; then it is as any other.
func TestHeldUntilApproved(t *testing.T) {
	f := owned(t)
	w, id := f.watch(), uuid.New()
	all := f.submitAll(id, data)
	alice := f.members["alice"]
	alice.reached(all["alice"], jobs.Held)
	for _, name := range []string{"bob", "carol"} {
		j, err := f.members[name].current().Wait(t.Context(), all[name].ID, func(j jobs.Job) bool { return slices.Equal(j.Waiting, []string{"alice"}) })
		must(t, err)
		if j.State != jobs.Waiting {
			t.Errorf("%s: %v", name, j)
		}
	}
	j, err := alice.current().Get(t.Context(), all["alice"].ID)
	must(t, err)
	if a := j.Approval; a.Since.IsZero() || a.ByCaller || a.Verdict != 0 || j.Attempt != 0 || j.Issued != 0 || len(j.Waiting) != 0 {
		t.Errorf("held: %v, %+v, waiting for %v", j, a, j.Waiting)
	}
	if _, err := alice.current().Decide(t.Context(), j.ID, jobs.Approved, "test", ""); err == nil {
		t.Error("its caller has approved it")
	}
	if d := left(w, id, "alice"); len(d) != 0 {
		t.Errorf("%d messages have left a held job, the first a %s", len(d), d[0].kind())
	}
	alice.decide(j, jobs.Approved, "")
	ended := f.endedAll(all)
	f.wantSum(ended, "85", "3")
	if j := ended["alice"]; j.Attempt != 1 || j.Approval.By != "olga" {
		t.Errorf("%v %+v", j, j.Approval)
	}
	f.checkInvariants()
}

// A denial ends the job at once, and those of the others as soon as they have asked, too. No share was wasted on it.
func TestDenied(t *testing.T) {
	f := owned(t)
	for when, before := range map[string]bool{"before the others ask": true, "while the others wait": false} {
		w, id := f.watch(), uuid.New()
		all := map[string]jobs.Job{}
		others := func() {
			for _, name := range []string{"bob", "carol"} {
				all[name] = f.submit(name, id, data[name], patience)
			}
		}
		if !before {
			others()
		}
		all["alice"] = f.submit("alice", id, data["alice"], patience)
		f.members["alice"].reached(all["alice"], jobs.Held)
		f.members["alice"].decide(all["alice"], jobs.Denied, "not this study")
		own := f.members["alice"].ended(all["alice"].ID, patience)
		if p := own.Problem; own.State != jobs.Failed || p.Code != 403 || p.Reason != "denied" || !strings.HasPrefix(p.Message, "olga has denied this computation at ") || !strings.HasSuffix(p.Message, ": not this study") {
			t.Errorf("%s: alice: %v %+v", when, own, p)
		}
		if before {
			others()
		}
		began := time.Now()
		for name, j := range f.endedAll(all) {
			if name == "alice" {
				continue
			}
			if p := j.Problem; j.State != jobs.Failed || p.Code != 502 || p.Reason != "denied" || p.Message != "alice ended the computation: whoever decides about its data has denied it" {
				t.Errorf("%s: %s: %v %+v", when, name, j, p)
			}
		}
		if took := time.Since(began); took > patience/2 {
			t.Errorf("%s: the others were told after %s", when, took)
		}
		for _, d := range left(w, id, "alice") {
			if n, ok := d.notice(); d.kind() != kindJoin && (!ok || n.Confirm || n.Code != seat.CodeDenied) {
				t.Errorf("%s: a %s has left the party that denied it", when, d.kind())
			}
		}
	}
	// The same uuid may be asked for again, and approved.
	id := uuid.New()
	first := f.submit("alice", id, data["alice"], patience)
	f.members["alice"].reached(first, jobs.Held)
	f.members["alice"].decide(first, jobs.Denied, "")
	f.members["alice"].ended(first.ID, patience)
	again := f.submit("alice", id, data["alice"], patience)
	f.members["alice"].reached(again, jobs.Held)
	f.members["alice"].decide(again, jobs.Approved, "")
	_, err := f.members["alice"].current().Wait(t.Context(), again.ID, func(j jobs.Job) bool { return len(j.Waiting) == 2 }) // its JOIN is in the place of the first
	must(t, err)
	all := map[string]jobs.Job{"alice": again}
	for _, name := range []string{"bob", "carol"} {
		all[name] = f.submit(name, id, data[name], patience)
	}
	f.wantSum(f.endedAll(all), "85", "3")
	f.checkInvariants()
}

func TestNobodyApproves(t *testing.T) {
	f := owned(t)
	w, id := f.watch(), uuid.New()
	j := f.submit("alice", id, data["alice"], time.Second)
	got := f.members["alice"].ended(j.ID, patience)
	if p := got.Problem; got.State != jobs.Failed || p.Code != 504 || p.Reason != "not-approved" ||
		!strings.Contains(p.Message, "it has waited since "+got.Approval.Since.Format("15:04 UTC")+" for the approval of a data owner or an administrator of this party, other than test, who asked for it,") {
		t.Errorf("%v %+v", got, p)
	}
	if d := left(w, id, "alice"); len(d) != 0 {
		t.Errorf("a %s has left", d[0].kind())
	}
}

// The others hear of a denial though the coordinator was away at first.
func TestDeniedWhileTheCoordinatorIsAway(t *testing.T) {
	f := owned(t)
	id, alice := uuid.New(), f.members["alice"]
	alice.cut.Store(3)
	all := f.submitAll(id, data)
	alice.reached(all["alice"], jobs.Held)
	alice.decide(all["alice"], jobs.Denied, "")
	for name, j := range f.endedAll(all) {
		if j.State != jobs.Failed || j.Problem.Reason != "denied" {
			t.Errorf("%s: %v %+v", name, j, j.Problem)
		}
	}
}

// deaf is the runner of a held job that hears of no decision any more.
func (m *member) deaf(j jobs.Job) *runner {
	m.node.mu.Lock()
	defer m.node.mu.Unlock()
	r := m.node.runners[j.ID]
	r.once[2].Do(func() {})
	return r
}

// What was decided in the last moment counts, as whoever decided was told.
func TestDecidedInTheLastMoment(t *testing.T) {
	f := owned(t)
	alice := f.members["alice"]
	for v, reason := range map[jobs.Verdict]string{jobs.Approved: "not-joined", jobs.Denied: "denied"} {
		j := f.submit("alice", uuid.New(), data["alice"], 2*time.Second)
		alice.reached(j, jobs.Held)
		alice.deaf(j)
		alice.decide(j, v, "")
		if got := alice.ended(j.ID, patience); got.State != jobs.Failed || got.Problem.Reason != reason {
			t.Errorf("%s: %v %+v", v, got, got.Problem)
		}
	}
}

// A decision that the record has no longer, because a gateway has taken it back, is none.
func TestADecisionThatIsGone(t *testing.T) {
	f := owned(t)
	w, id, alice := f.watch(), uuid.New(), f.members["alice"]
	j := f.submit("alice", id, data["alice"], patience)
	alice.reached(j, jobs.Held)
	close(alice.deaf(j).decision)
	if got := alice.ended(j.ID, patience); got.State != jobs.Failed || got.Problem.Reason != "not-approved" {
		t.Errorf("%v %+v", got, got.Problem)
	}
	if d := left(w, id, "alice"); len(d) != 0 {
		t.Errorf("a %s has left", d[0].kind())
	}
}

// A held job is cancelled, or replaced by a newer request of its caller, which needs an approval of its own.
func TestHeldAndCancelledOrReplaced(t *testing.T) {
	f := owned(t)
	w, id, alice := f.watch(), uuid.New(), f.members["alice"]
	old := f.submit("alice", id, "1000", patience)
	alice.reached(old, jobs.Held)
	fresh := f.submit("alice", id, data["alice"], patience)
	if j := alice.ended(old.ID, patience); j.State != jobs.Failed || j.Problem.Reason != "replaced" {
		t.Errorf("%v %+v", j, j.Problem)
	}
	alice.reached(fresh, jobs.Held)
	if _, err := alice.current().RequestCancel(t.Context(), fresh.ID); err != nil {
		t.Fatal(err)
	}
	if j := alice.ended(fresh.ID, patience); j.State != jobs.Cancelled {
		t.Errorf("%v %+v", j, j.Problem)
	}
	if d := left(w, id, "alice"); len(d) != 0 {
		t.Errorf("a %s has left", d[0].kind())
	}
}

// What is decided while the node is down counts at its next start, and a node that drains leaves held jobs held.
func TestDecidedWhileTheNodeIsDown(t *testing.T) {
	f := owned(t)
	alice := f.members["alice"]
	for _, v := range []jobs.Verdict{jobs.Approved, jobs.Denied} {
		all := f.submitAll(uuid.New(), data)
		alice.reached(all["alice"], jobs.Held)
		if n := <-alice.drained(t.Context()); n != 0 {
			t.Errorf("%d jobs are left", n)
		}
		alice.stop()
		store, err := jobs.Open(t.Context(), alice.private.Conn, jobs.Options{Logger: f.logger}) // as a gateway does
		must(t, err)
		j, err := store.Decide(t.Context(), all["alice"].ID, v, "olga", "")
		must(t, err)
		if j.State != jobs.Held {
			t.Errorf("%v", j)
		}
		store.Close()
		alice.start()
		ended := f.endedAll(all)
		if v == jobs.Approved {
			f.wantSum(ended, "85", "3")
			continue
		}
		for name, j := range ended {
			if j.State != jobs.Failed || j.Problem.Reason != "denied" {
				t.Errorf("%s: %v %+v", name, j, j.Problem)
			}
		}
	}
	f.checkInvariants()
}

// Rules that begin to ask hold what has not started, rules that ask no more let it go on, and what was approved under some
// rules stays approved.
func TestRulesAboutApprovals(t *testing.T) {
	f := newFleet(t, simontest.Faults{}, three...)
	alice, id := f.members["alice"], uuid.New()
	asks := policy.Policy{Profile: policy.Teaching, Approval: policy.Approval{Microprotocols: []string{"Other", "SecureSum"}}}
	all := map[string]jobs.Job{"alice": f.submit("alice", id, data["alice"], patience)}
	alice.reached(all["alice"], jobs.Waiting)
	must(t, alice.node.SetRules(asks, f.peers))
	alice.reached(all["alice"], jobs.Held)
	for _, name := range []string{"bob", "carol"} {
		all[name] = f.submit(name, id, data[name], patience)
	}
	asks.Approval.ByCaller = true
	must(t, alice.node.SetRules(asks, f.peers))
	_, err := alice.current().Wait(t.Context(), all["alice"].ID, func(j jobs.Job) bool { return j.Approval.ByCaller })
	must(t, err)
	asks.Approval = policy.Approval{Microprotocols: []string{"Other"}}
	must(t, alice.node.SetRules(asks, f.peers))
	ended := f.endedAll(all)
	f.wantSum(ended, "85", "3")
	if n := ended["alice"].Attempt; n > 2 {
		t.Errorf("%d attempts", n)
	}
	f.checkInvariants()
}

// A denial counts whatever becomes of the rules in the same moment: the job never goes on, and no share leaves the party.
func TestDeniedWhileTheRulesStopAsking(t *testing.T) {
	f := owned(t)
	alice := f.members["alice"]
	asks := policy.Policy{Profile: policy.Teaching, Approval: policy.Approval{Microprotocols: []string{policy.Every}}}
	for range 10 {
		must(t, alice.node.SetRules(asks, f.peers))
		w, id := f.watch(), uuid.New()
		all := f.submitAll(id, data)
		alice.reached(all["alice"], jobs.Held)
		alice.decide(all["alice"], jobs.Denied, "")
		must(t, alice.node.SetRules(policy.Policy{Profile: policy.Teaching}, f.peers))
		if j := alice.ended(all["alice"].ID, patience); j.State != jobs.Failed || j.Problem.Reason != "denied" {
			t.Errorf("%v %+v", j, j.Problem)
		}
		for _, name := range []string{"bob", "carol"} {
			_, err := f.members[name].current().RequestCancel(t.Context(), all[name].ID)
			must(t, err)
		}
		for name, j := range f.endedAll(all) {
			if j.State == jobs.Done {
				t.Errorf("%s has a result", name)
			}
		}
		for _, d := range left(w, id, "alice") {
			if d.kind() == kindShare {
				t.Error("a share has left the party that denied it")
			}
		}
	}
	f.checkInvariants()
}

// An approval is for what Prepare made: the attempt after one that was aborted needs no other, in another process neither.
func TestAnApprovalCountsForEveryAttempt(t *testing.T) {
	f := owned(t)
	f.terms.round = time.Second
	w, id, alice := f.watch(), uuid.New(), f.members["alice"]
	w.unheardAtFirst(id, "carol")
	all := f.submitAll(id, data)
	alice.reached(all["alice"], jobs.Held)
	killed := alice.killAt("after send 1", 2)
	alice.decide(all["alice"], jobs.Approved, "")
	<-killed
	alice.onStep(nil)
	alice.restart()
	ended := f.endedAll(all)
	f.wantSum(ended, "85", "3")
	if n := ended["bob"].Attempt; n < 2 {
		t.Errorf("%d attempts, which shows nothing", n)
	}
	f.checkInvariants()
}

// The node is killed at each step of a job that is held and decided. After its next start the job comes to the end that was
// decided, the others' with it, and nothing has left before the decision.
func TestKilledWhileHeld(t *testing.T) {
	f := owned(t)
	alice := f.members["alice"]
	for _, v := range []jobs.Verdict{jobs.Approved, jobs.Denied} {
		steps := []string{"job held", "before join", "job waiting", "line started", "job committed", "line committed"}
		if v == jobs.Denied {
			steps = []string{"job held", "job declining", "before join"}
		}
		for _, step := range steps {
			w, id := f.watch(), uuid.New()
			killed := alice.killAt(step, 1)
			all := f.submitAll(id, data)
			if step != "job held" {
				alice.reached(all["alice"], jobs.Held)
				if d := left(w, id, "alice"); len(d) != 0 {
					t.Errorf("%s, %s: a %s has left before that", v, step, d[0].kind())
				}
				_, _ = alice.current().Decide(context.Background(), all["alice"].ID, v, "olga", "")
			}
			<-killed
			alice.onStep(nil)
			alice.restart()
			f.await("it is decided", func() bool { // whoever has had no answer asks again
				j, err := alice.current().Decide(t.Context(), all["alice"].ID, v, "olga", "")
				return err == nil && j.Approval.Verdict == v
			})
			ended := f.endedAll(all)
			if v == jobs.Approved {
				f.wantSum(ended, "85", "3")
				continue
			}
			for name, j := range ended {
				if j.State != jobs.Failed || j.Problem.Reason != "denied" && name == "alice" {
					t.Errorf("%s, %s: %s: %v %+v", v, step, name, j, j.Problem)
				}
				if name != "alice" && j.Problem.Reason != "denied" && !strings.Contains(j.Problem.Message, "alice ended the computation: its request was withdrawn") {
					t.Errorf("%s, %s: %s was not told: %v %+v", v, step, name, j, j.Problem)
				}
			}
		}
	}
	f.checkInvariants()
}
