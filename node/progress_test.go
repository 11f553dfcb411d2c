package node

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/jobs"
	"github.com/weftmpc/weft/simon/simontest"
)

// A computation that takes its time says which message step runs, whom it waits for and since when, and what is known of a
// party whose messages have come.
func TestRecordTellsWhereAComputationStands(t *testing.T) {
	f := newFleet(t, simontest.Faults{}, three...)
	f.terms.round = 20 * time.Second
	w := f.watch()
	id := uuid.New()
	w.rule(func(d sent) bool { return !(is(kindShare, id)(d) && d.to == "alice" && d.from == "carol") })
	begin := f.now()
	all := f.submitAll(id, data)
	j, err := f.members["alice"].current().Wait(t.Context(), all["alice"].ID, func(j jobs.Job) bool {
		return j.Terminal() || j.State == jobs.Started && slices.Equal(j.Waiting, []string{"carol"})
	})
	if err != nil || j.State != jobs.Started {
		t.Fatal(j, err)
	}
	if j.Step != 1 || j.Steps != 1 || j.StartedAt.Before(begin) || j.WaitingSince.Before(j.StartedAt) || j.WaitingSince.After(f.now()) {
		t.Errorf("step %d of %d, started %v, waiting since %v", j.Step, j.Steps, j.StartedAt, j.WaitingSince)
	}
	seat := f.members["alice"].node.Seat()
	if k := seat.Known("carol"); !k.Seen.IsZero() || !k.Expires.After(begin) {
		t.Errorf("before any message of hers alice knows of carol %+v", k)
	}
	w.open()
	ended := f.endedAll(all)
	f.wantSum(ended, "85", "3")
	if k := seat.Known("carol"); k.Seen.Before(begin) {
		t.Errorf("alice has not seen carol: %+v", k)
	}
	if j := ended["alice"]; j.Step != 1 || j.Steps != 1 || j.StartedAt.IsZero() || !j.WaitingSince.IsZero() {
		t.Errorf("at the end: step %d of %d, started %v, waiting since %v", j.Step, j.Steps, j.StartedAt, j.WaitingSince)
	}
}
