package node

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/jobs"
	"github.com/weftmpc/weft/simon"
	"github.com/weftmpc/weft/simon/simontest"
)

// A retry sends what Prepare made when the job was submitted: the source that it read has changed before the second
// attempt, and at bob another process makes that attempt.
func TestRetrySendsThePreparedInput(t *testing.T) {
	f := newFleet(t, simontest.Faults{}, three...)
	var mu sync.Mutex
	var preparations int
	source := maps.Clone(data)                                // what a party's data are called, and what they are
	stored, ran := map[string]string{}, map[string][]string{} // what Prepare made, and what each attempt was given
	base := simon.SecureSum()
	named := base
	named.Prepare = func(r io.Reader, parameters json.RawMessage, g simon.Guard) (simon.Prepared, error) {
		name, err := io.ReadAll(r)
		must(t, err)
		mu.Lock()
		defer mu.Unlock()
		preparations++
		p, err := base.Prepare(strings.NewReader(source[string(name)]), parameters, g)
		stored[string(name)] = string(p.Input)
		return p, err
	}
	fps := map[string]string{}
	for _, p := range f.peers {
		fps[string(p.FP[:])] = p.Name
	}
	order := slices.Sorted(maps.Keys(fps)) // seats are in the order of fingerprints
	named.Run = func(ctx context.Context, s simon.Session, c simon.Common, input []byte) ([]byte, error) {
		name := fps[order[s.Self()]]
		mu.Lock()
		ran[name] = append(ran[name], string(input))
		mu.Unlock()
		return base.Run(ctx, s, c, input)
	}
	f.catalogue = []simon.Microprotocol{named}
	f.again()
	f.terms.round = time.Second
	w, id, bob := f.watch(), uuid.New(), f.members["bob"]
	w.unheardAtFirst(id, "carol")
	killed := bob.killAt("after send 1", 2) // both shares of bob's are out
	all := f.submitAll(id, map[string]string{"alice": "alice", "bob": "bob", "carol": "carol"})
	mu.Lock()
	maps.Copy(source, map[string]string{"alice": "1000", "bob": "2000", "carol": "3000"})
	mu.Unlock()
	<-killed
	bob.onStep(nil)
	bob.restart()
	f.wantSum(f.endedAll(all), "85", "3")
	mu.Lock()
	defer mu.Unlock()
	if preparations != 3 {
		t.Errorf("Prepare ran %d times for 3 jobs", preparations)
	}
	for _, name := range three {
		if len(ran[name]) < 2 {
			t.Errorf("%s ran %d attempts, want 2", name, len(ran[name]))
		}
		for i, input := range ran[name] {
			if input != stored[name] {
				t.Errorf("%s: attempt %d was given %x, Prepare made %x", name, i+1, input, stored[name])
			}
		}
	}
	f.checkInvariants()
}

// A party that sees that a result cannot be right ends the computation for all, and nobody tries again.
func TestWhatCannotBeRightIsNotTriedAgain(t *testing.T) {
	f := newFleet(t, simontest.Faults{}, three...)
	m := simon.SecureSum()
	run := m.Run
	m.Run = func(ctx context.Context, s simon.Session, c simon.Common, input []byte) ([]byte, error) {
		if s.Self() == 1 {
			return nil, &simon.OutcomeError{Reason: "the minimum is larger than an own value"}
		}
		return run(ctx, s, c, input)
	}
	f.catalogue = []simon.Microprotocol{m}
	f.again()
	for name, j := range f.submitAll(uuid.New(), data) {
		if j := f.members[name].ended(j.ID, 10*time.Second); j.State != jobs.Failed || j.Attempt != 1 {
			t.Errorf("%s: %s after %d attempts, %v", name, j.State, j.Attempt, j.Problem)
		}
	}
}
