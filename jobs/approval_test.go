package jobs

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/broker"
	"github.com/weftmpc/weft/broker/brokertest"
)

// lasting is a job whose deadline does not pass during a test.
func lasting(caller string) Job {
	j := sample(caller)
	j.Deadline = time.Now().Add(time.Hour).UTC()
	return j
}

// held is a job that waits for an approval.
func held(t testing.TB, s *Store, byCaller bool) Job {
	t.Helper()
	j := submit(t, s, lasting("anna"), []byte("input"))
	return hold(t, s, j, byCaller)
}

func hold(t testing.TB, s *Store, j Job, byCaller bool) Job {
	t.Helper()
	j, err := s.Change(timeout(t), j.ID, func(j Job) (Job, error) {
		j, err := j.Move(Held)
		j.Approval.Since, j.Approval.ByCaller = time.Now().UTC(), byCaller
		return j, err
	})
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func TestDecide(t *testing.T) {
	now := time.Now()
	s, p := newStore(t, Options{Now: func() time.Time { return now }})
	ctx := timeout(t)
	j := submit(t, s, lasting("anna"), []byte("input"))
	if _, err := s.Decide(ctx, j.ID, Approved, "olga", ""); !errors.Is(err, ErrNotHeld) {
		t.Errorf("a job that nobody holds: %v", err)
	}
	j = hold(t, s, j, false)
	if _, err := s.Decide(ctx, j.ID, Approved, "anna", ""); !errors.Is(err, ErrOwnJob) {
		t.Errorf("by its own caller: %v", err)
	}
	for name, bad := range map[string]func() (Job, error){
		"no verdict":      func() (Job, error) { return s.Decide(ctx, j.ID, 0, "olga", "") },
		"nobody":          func() (Job, error) { return s.Decide(ctx, j.ID, Approved, "", "") },
		"a long reason":   func() (Job, error) { return s.Decide(ctx, j.ID, Denied, "olga", strings.Repeat("r", MaxReason+1)) },
		"an unknown job":  func() (Job, error) { return s.Decide(ctx, uuid.New(), Denied, "olga", "") },
		"another verdict": func() (Job, error) { return s.Decide(ctx, j.ID, Denied+1, "olga", "") },
	} {
		if _, err := bad(); err == nil {
			t.Errorf("%s was decided", name)
		}
	}
	if _, err := s.DecideSince(ctx, j.ID, j.Approval.Since.Add(-1), Denied, "olga", ""); !errors.Is(err, ErrAnother) {
		t.Errorf("another one was looked at: %v", err)
	}
	j, err := s.DecideSince(ctx, j.ID, j.Approval.Since, Denied, "olga", "not this study")
	if err != nil || j.State != Held || j.Approval.Verdict != Denied || j.Approval.By != "olga" || j.Approval.Reason != "not this study" || !j.Approval.At.Equal(now) {
		t.Fatalf("%v %+v", err, j.Approval)
	}
	check(t, p, j)
	if again, err := s.Decide(ctx, j.ID, Denied, "otto", "me too"); err != nil || again.Revision != j.Revision || again.Approval.By != "olga" {
		t.Errorf("again: %v %+v", err, again.Approval)
	}
	if _, err := s.Decide(ctx, j.ID, Approved, "otto", ""); !errors.Is(err, ErrDecided) {
		t.Errorf("otherwise: %v", err)
	}
	if after, err := s.RequestCancel(ctx, j.ID); err != nil || after.CancelRequested {
		t.Errorf("a denied job is cancelled: %v %v", after, err)
	}
	if _, err := j.Move(Waiting); err == nil {
		t.Error("a denied job goes on")
	}
	for name, spoil := range map[string]func(*Job){
		"undone":    func(j *Job) { j.Approval.Verdict = 0 },
		"turned":    func(j *Job) { j.Approval.Verdict = Approved },
		"another's": func(j *Job) { j.Approval.By = "mallory" },
		"passed by": func(j *Job) { j.State = Waiting },
	} {
		bad := j
		spoil(&bad)
		if _, err := s.Update(ctx, bad); err == nil {
			t.Errorf("a denial was %s", name)
		}
	}
	walk(t, s, j, Failed)

	own := held(t, s, true)
	if own, err = s.Decide(ctx, own.ID, Approved, "anna", ""); err != nil {
		t.Fatalf("by the caller, as the rules say: %v", err)
	}
	own = walk(t, s, own, Waiting, Started, Waiting, Committed, Done)
	if own.Approval.Verdict != Approved || own.Approval.By != "anna" {
		t.Errorf("an approval is forgotten: %+v", own.Approval)
	}

	forged := submit(t, s, lasting("anna"), nil)
	forged.Approval = Approval{Since: now.UTC(), Verdict: Approved, By: "mallory", At: now.UTC()}
	if _, err := s.Update(ctx, forged); !errors.Is(err, ErrDecided) {
		t.Errorf("a decision came past Decide: %v", err)
	}
	early := lasting("anna")
	early.Approval = forged.Approval
	if early = submit(t, s, early, nil); early.Approval != (Approval{}) {
		t.Errorf("a job came with its approval: %+v", early.Approval)
	}

	late := held(t, s, false)
	now = late.Deadline
	if _, err := s.Decide(ctx, late.ID, Approved, "olga", ""); !errors.Is(err, ErrNotHeld) {
		t.Errorf("after the deadline: %v", err)
	}
}

// Of a cancellation and a decision one comes first; a denial and a cancellation never both take place.
func TestDecideAndCancel(t *testing.T) {
	s, _ := newStore(t, Options{})
	ctx := timeout(t)
	cancelled := held(t, s, false)
	if _, err := s.RequestCancel(ctx, cancelled.ID); err != nil {
		t.Fatal(err)
	}
	for _, v := range []Verdict{Approved, Denied} {
		if _, err := s.Decide(ctx, cancelled.ID, v, "olga", ""); !errors.Is(err, ErrNotHeld) {
			t.Errorf("%s of a job that is being cancelled: %v", v, err)
		}
	}
}

// Many processes decide and cancel at once: one decision stands, whoever asks, and a denied job is not being cancelled.
func TestDecisionsAtOnce(t *testing.T) {
	p := brokertest.Private(t)
	stores := []*Store{reopen(t, p, Options{}), reopen(t, p, Options{}), reopen(t, p, Options{})}
	for round := range 20 {
		j := held(t, stores[0], false)
		var wg sync.WaitGroup
		verdicts := make([]error, 2*len(stores))
		for i, s := range stores {
			for k, v := range []Verdict{Approved, Denied} {
				wg.Go(func() {
					_, verdicts[2*i+k] = s.Decide(timeout(t), j.ID, v, fmt.Sprint("owner-", i), "")
				})
			}
			wg.Go(func() {
				if _, err := s.RequestCancel(timeout(t), j.ID); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		var seen *Approval
		for _, s := range stores {
			now, err := s.Latest(timeout(t), j.ID)
			if err != nil {
				t.Fatal(err)
			}
			if seen == nil {
				seen = &now.Approval
			}
			if now.Approval != *seen {
				t.Fatalf("round %d: %+v and %+v", round, now.Approval, *seen)
			}
			if now.CancelRequested == (now.Approval.Verdict == Denied) {
				t.Errorf("round %d: %s, and cancelled: %t", round, now.Approval.Verdict, now.CancelRequested)
			}
		}
		for i, err := range verdicts {
			v := Verdict(i%2 + 1)
			if err == nil && v != seen.Verdict || err != nil && !errors.Is(err, ErrDecided) && !errors.Is(err, ErrNotHeld) {
				t.Errorf("round %d: %s was answered with %v; it is %s", round, v, err, seen.Verdict)
			}
		}
	}
}

// A process is killed at each of its writes for a job that is held and decided: what was acknowledged stands, and nobody
// finds a decision that nobody has made.
func TestKilledAroundADecision(t *testing.T) {
	p := brokertest.Private(t)
	for _, v := range []Verdict{Approved, Denied} {
		for n := 0; n < 5; n++ {
			for _, after := range []bool{false, true} {
				killedDeciding(t, p, v, n, after)
			}
		}
	}
}

func killedDeciding(t *testing.T, p *brokertest.PrivateBroker, v Verdict, n int, after bool) {
	t.Helper()
	ctx, id, k := timeout(t), uuid.New(), &knife{left: n, after: after}
	victim, err := open(ctx, p.JS, broker.Buckets{Jobs: knifeKV{p.Buckets.Jobs, k}, Bodies: knifeObjects{p.Buckets.Bodies, k}}, Options{Logger: quiet(), Ledger: p.Ledger})
	if err != nil {
		t.Fatal(err)
	}
	var acked Job
	step := func(f func() (Job, error)) {
		if err == nil {
			var j Job
			if j, err = f(); err == nil {
				acked = j
			}
		}
	}
	j := lasting("anna")
	j.ID = id
	step(func() (Job, error) { return victim.Submit(ctx, j, []byte("input")) })
	step(func() (Job, error) {
		return victim.Change(ctx, id, func(j Job) (Job, error) {
			j, err := j.Move(Held)
			j.Approval.Since = time.Now().UTC()
			return j, err
		})
	})
	step(func() (Job, error) { return victim.Decide(ctx, id, v, "olga", "") })
	next := Waiting
	if v == Denied {
		next = Failed
	}
	step(func() (Job, error) {
		return victim.Change(ctx, id, func(j Job) (Job, error) { return j.Move(next) })
	})
	victim.Close()

	s := reopen(t, p, Options{Logger: quiet()})
	defer s.Close()
	now, err := s.Get(ctx, id)
	if errors.Is(err, ErrNotFound) && acked.State == 0 {
		return
	}
	if err != nil {
		t.Fatalf("%s, killed after %d writes (%v): %v", v, n, after, err)
	}
	ahead := now.Revision != acked.Revision
	if ahead && !after {
		t.Errorf("%s, killed before write %d: %s, acknowledged was %s", v, n, now.State, acked.State)
	}
	if acked.Approval.Verdict != 0 && now.Approval != acked.Approval || now.Approval.Verdict != 0 && now.Approval.Verdict != v {
		t.Errorf("%s, killed after %d writes (%v): %+v, acknowledged was %+v", v, n, after, now.Approval, acked.Approval)
	}
	if now.State == Waiting && now.Approval.Verdict != Approved {
		t.Errorf("%s, killed after %d writes (%v): it goes on undecided", v, n, after)
	}
	// Whoever repeats the request gets the same answer, or the first one.
	if now.State == Held {
		if again, err := s.Decide(ctx, id, v, "olga", ""); err != nil || again.Approval.Verdict != v {
			t.Errorf("%s, killed after %d writes (%v), again: %v", v, n, after, err)
		}
	}
}
