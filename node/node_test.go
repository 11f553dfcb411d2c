package node

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/jobs"
	"github.com/weftmpc/weft/node/policy"
	"github.com/weftmpc/weft/node/session"
	"github.com/weftmpc/weft/simon/simontest"
)

const patience = time.Minute

var three = []string{"alice", "bob", "carol"}

// sumAll submits one value per party and returns the ended jobs by party.
func (f *fleet) sumAll(id uuid.UUID, values map[string]string) map[string]jobs.Job {
	f.t.Helper()
	submitted := map[string]jobs.Job{}
	for name, v := range values {
		submitted[name] = f.submit(name, id, v, patience)
	}
	for name, j := range submitted {
		submitted[name] = f.members[name].ended(j.ID, 2*patience)
	}
	return submitted
}

func (f *fleet) wantSum(ended map[string]jobs.Job, sum, samples string) {
	f.t.Helper()
	for name, j := range ended {
		if j.State != jobs.Done {
			f.t.Fatalf("%s: %s %v", name, j.State, j.Problem)
		}
		if s, n := f.members[name].sum(j); s != sum || n != samples {
			f.t.Fatalf("%s: sum %s of %s samples, want %s of %s", name, s, n, sum, samples)
		}
		if len(j.Input.Inline) != 0 || j.Input.Object != "" {
			f.t.Errorf("%s: the prepared input is still there", name)
		}
	}
	f.recorded()
}

func TestSum(t *testing.T) {
	f := newFleet(t, simontest.Faults{}, three...)
	for range 3 { // first contact, then warm, under one uuid
		got := f.sumAll(uuid.UUID{1}, map[string]string{"alice": "19", "bob": "5", "carol": "61"})
		f.wantSum(got, "85", "3")
	}
	f.checkInvariants()
}

// checkInvariants looks at every notice that was ever sent: nobody both confirms and aborts, or confirms two things.
func (f *fleet) checkInvariants() {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	type key struct {
		sid [32]byte
		fp  [32]byte
	}
	seen := map[key]session.Notice{}
	for _, n := range f.notices {
		k := key{n.SID, n.FP}
		old, ok := seen[k]
		if ok && (old.Confirm != n.Confirm || old.TH != n.TH || old.RH != n.RH) {
			f.t.Errorf("%x signed two notices for one computation: %+v and %+v", n.FP[:4], old, n)
		}
		seen[k] = n
	}
}

func TestManyComputationsOverABadNetwork(t *testing.T) {
	t.Parallel()
	count := 600
	if testing.Short() {
		count = 60
	}
	f := newFleet(t, simontest.Faults{
		Seed: 1, MinDelay: 0, MaxDelay: 10 * time.Millisecond, Loss: 0.05, Duplicate: 0.05, Reorder: 0.2, Tamper: 0.05,
	}, three...)
	var wg sync.WaitGroup
	slots := make(chan bool, 64)
	var mu sync.Mutex
	outcomes := map[string]int{}
	for i := range count {
		slots <- true
		wg.Go(func() {
			defer func() { <-slots }()
			r := rand.New(rand.NewPCG(1, uint64(i)))
			values, sum := map[string]string{}, 0
			for _, name := range three {
				v := r.IntN(2_000_000) - 1_000_000
				values[name], sum = strconv.Itoa(v), sum+v
			}
			for name, j := range f.sumAll(uuid.New(), values) {
				what := j.State.String()
				switch j.State {
				case jobs.Done:
					if s, _ := f.members[name].sum(j); s != strconv.Itoa(sum) {
						t.Errorf("computation %d: %s got %s, want %d", i, name, s, sum)
					}
				case jobs.Failed:
					what += " " + j.Problem.Reason
					if j.Problem.Reason != "not-joined" {
						t.Logf("computation %d: %s: %s", i, name, j.Problem.Message)
					}
				default:
					t.Errorf("computation %d: %s ended as %s", i, name, j.State)
				}
				mu.Lock()
				outcomes[what]++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	f.checkInvariants()
	t.Log(outcomes)
	if outcomes["done"] < count*3*9/10 {
		t.Errorf("only %d of %d jobs were done: %v", outcomes["done"], 3*count, outcomes)
	}
}

// steps records what bob does in one undisturbed computation.
func (f *fleet) steps() []string {
	var mu sync.Mutex
	var all []string
	bob := f.members["bob"]
	bob.onStep(func(s string) { mu.Lock(); all = append(all, s); mu.Unlock() })
	f.wantSum(f.sumAll(uuid.New(), map[string]string{"alice": "19", "bob": "5", "carol": "61"}), "85", "3")
	f.await("bob's last two writes, of which the release needs one", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return slices.Contains(all, "job done") && slices.Contains(all, "line done")
	})
	bob.onStep(nil)
	mu.Lock()
	defer mu.Unlock()
	return all
}

// A node is killed at every step of a computation: after each durable write, before and after each send. No job is lost,
// no result is wrong, and nobody signs two different things.
func TestCrashAtEveryStep(t *testing.T) {
	t.Parallel()
	f := newFleet(t, simontest.Faults{}, three...)
	f.steps() // channels stand
	clean := f.steps()
	counts := map[string]int{}
	for _, s := range clean {
		counts[s]++
	}
	for _, want := range []string{"job waiting", "before line started", "line started", "job played", "job committed", "line committed", "job done", "line done", "after send 1", "after send 4"} {
		if counts[want] == 0 {
			t.Fatalf("a clean run has no step %q: %v", want, clean)
		}
	}
	for step, times := range counts {
		for k := 1; k <= times; k++ {
			t.Run(fmt.Sprintf("%s %d", strings.ReplaceAll(step, " ", "-"), k), func(t *testing.T) { f.crashAt(t, step, k) })
		}
	}
	f.checkInvariants()
}

func (f *fleet) crashAt(t *testing.T, step string, k int) {
	f.recorded() // no step of the computation before is still to come
	bob, seen, killed := f.members["bob"], 0, make(chan bool)
	var mu sync.Mutex
	bob.onStep(func(s string) {
		mu.Lock()
		defer mu.Unlock()
		if s == step {
			if seen++; seen == k {
				bob.kill()
				close(killed)
			}
		}
	})
	values := map[string]string{"alice": "19", "bob": "5", "carol": "61"}
	id := uuid.New()
	submitted := map[string]jobs.Job{}
	for name, v := range values {
		submitted[name] = f.submit(name, id, v, patience)
	}
	select {
	case <-killed:
	case <-time.After(patience):
		t.Fatalf("bob never came to step %q for the %d. time", step, k)
	}
	bob.onStep(nil)
	bob.restart()
	for name, j := range submitted {
		got := f.members[name].ended(j.ID, patience)
		if got.State != jobs.Done {
			t.Errorf("%s: %s %v", name, got.State, got.Problem)
			continue
		}
		if sum, _ := f.members[name].sum(got); sum != "85" {
			t.Errorf("%s: sum %s, want 85", name, sum)
		}
	}
	f.checkInvariants()
}

// Two computations with different data under one uuid, one after the other at each party, with a crash somewhere: no result
// ever has data of both.
func TestResultsNeverMixData(t *testing.T) {
	t.Parallel()
	f := newFleet(t, simontest.Faults{Seed: 3, Loss: 0.1, MaxDelay: 5 * time.Millisecond}, three...)
	rounds := 10
	if testing.Short() {
		rounds = 3
	}
	steps := []string{"job waiting", "line started", "before send 1", "job committed", "line committed", "before send 4", "after send 4", "job done", "line done"}
	for round := range rounds {
		r := rand.New(rand.NewPCG(7, uint64(round)))
		victim, step, id := three[r.IntN(3)], steps[r.IntN(len(steps))], uuid.New()
		m := f.members[victim]
		var once sync.Once
		killed := make(chan bool)
		m.onStep(func(s string) {
			if s == step {
				once.Do(func() { m.kill(); close(killed) })
			}
		})
		restarted := make(chan bool)
		go func() {
			defer close(restarted)
			<-killed
			m.onStep(nil)
			m.restart()
		}()
		var wg sync.WaitGroup
		for _, name := range three {
			wg.Go(func() {
				for i, data := range []string{"1", "100"} {
					got := f.members[name].ended(f.submitted(name, id, data).ID, patience)
					if got.State != jobs.Done {
						t.Errorf("round %d (%s killed at %s): computation %d of %s: %s %v", round, victim, step, i+1, name, got.State, got.Problem)
					} else if sum, _ := f.members[name].sum(got); sum != []string{"3", "300"}[i] {
						t.Errorf("round %d (%s killed at %s): computation %d of %s: sum %s", round, victim, step, i+1, name, sum)
					}
				}
			})
		}
		wg.Wait()
		<-restarted
	}
	f.checkInvariants()
}

func TestDeadlineNamesWhoIsMissing(t *testing.T) {
	f := newFleet(t, simontest.Faults{}, three...)
	id := uuid.New()
	a, b := f.submit("alice", id, "1", time.Second), f.submit("bob", id, "2", time.Second)
	for name, j := range map[string]jobs.Job{"alice": a, "bob": b} {
		got := f.members[name].ended(j.ID, patience)
		if got.State != jobs.Failed || got.Problem.Code != 504 || !strings.HasPrefix(got.Problem.Message, "carol did not join within 1s; ") ||
			!strings.Contains(got.Problem.Message, "carol by fingerprint "+f.ids["carol"].FP().String()[:16]) {
			t.Errorf("%s: %s %+v", name, got.State, got.Problem)
		}
	}
	if f.shares != 0 {
		t.Errorf("%d share messages left for a computation that never started", f.shares)
	}
}

func TestConflictNamesTheDifference(t *testing.T) {
	f := newFleet(t, simontest.Faults{}, three...)
	id := uuid.New()
	all := map[string]jobs.Job{
		"alice": f.submit("alice", id, "[[1,2]]", patience), "bob": f.submit("bob", id, "[[1,2,3]]", patience),
		"carol": f.submit("carol", id, "[[1,2]]", patience),
	}
	for name, j := range all {
		got := f.members[name].ended(j.ID, patience)
		if got.State != jobs.Failed || got.Problem.Code != 409 || !strings.Contains(got.Problem.Message, "columns") {
			t.Errorf("%s: %s %+v", name, got.State, got.Problem)
		}
	}
}

func TestNewerRequestReplacesAnOpenOne(t *testing.T) {
	f := newFleet(t, simontest.Faults{}, three...)
	id := uuid.New()
	old := f.submit("alice", id, "1000", patience)
	fresh := f.submit("alice", id, "19", patience)
	b, c := f.submit("bob", id, "5", patience), f.submit("carol", id, "61", patience)
	if got := f.members["alice"].ended(old.ID, patience); got.State != jobs.Failed || got.Problem.Reason != "replaced" {
		t.Errorf("the older request: %s %+v", got.State, got.Problem)
	}
	f.wantSum(map[string]jobs.Job{
		"alice": f.members["alice"].ended(fresh.ID, patience), "bob": f.members["bob"].ended(b.ID, patience),
		"carol": f.members["carol"].ended(c.ID, patience),
	}, "85", "3")
}

func TestCancelWhileWaiting(t *testing.T) {
	f := newFleet(t, simontest.Faults{}, three...)
	id := uuid.New()
	j := f.submit("alice", id, "1", patience)
	alice := f.members["alice"]
	if _, err := alice.current().Wait(t.Context(), j.ID, func(j jobs.Job) bool { return j.State == jobs.Waiting }); err != nil {
		t.Fatal(err)
	}
	if _, err := alice.current().RequestCancel(t.Context(), j.ID); err != nil {
		t.Fatal(err)
	}
	if got := alice.ended(j.ID, patience); got.State != jobs.Cancelled {
		t.Errorf("state %s, want cancelled", got.State)
	}
	f.wantSum(f.sumAll(id, map[string]string{"alice": "19", "bob": "5", "carol": "61"}), "85", "3")
}

func TestStrictPolicyRefusesTwoParties(t *testing.T) {
	f := newFleet(t, simontest.Faults{}, "alice", "bob")
	f.members["alice"].stop()
	f.profile = policy.Strict
	f.members["alice"].start()
	j := f.submit("alice", uuid.New(), "1", patience)
	if got := f.members["alice"].ended(j.ID, patience); got.State != jobs.Failed || got.Problem.Code != 403 || !strings.Contains(got.Problem.Message, "strict") {
		t.Errorf("%s %+v", got.State, got.Problem)
	}
}

func TestCoordinatorRestartsWhilePartiesWait(t *testing.T) {
	f := newFleet(t, simontest.Faults{}, three...)
	id := uuid.New()
	a, b := f.submit("alice", id, "19", patience), f.submit("bob", id, "5", patience)
	for name, j := range map[string]jobs.Job{"alice": a, "bob": b} {
		if _, err := f.members[name].current().Wait(t.Context(), j.ID, func(j jobs.Job) bool { return len(j.Waiting) > 0 }); err != nil {
			t.Fatal(err)
		}
	}
	f.newCoordinator()
	c := f.submit("carol", id, "61", patience)
	f.wantSum(map[string]jobs.Job{
		"alice": f.members["alice"].ended(a.ID, patience), "bob": f.members["bob"].ended(b.ID, patience),
		"carol": f.members["carol"].ended(c.ID, patience),
	}, "85", "3")
}
