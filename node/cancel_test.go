package node

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/jobs"
	"github.com/weftmpc/weft/node/seat"
	"github.com/weftmpc/weft/simon/simontest"
)

// A job is cancelled while its computation runs. The others are told that the request was withdrawn, not that something
// failed: they wait for that party again, and when it does not come back their jobs say both.
func TestCancelledWhileItRuns(t *testing.T) {
	t.Parallel()
	f := newFleet(t, simontest.Faults{}, "alice", "bob", "carol")
	w, id := f.watch(), uuid.New()
	w.rule(func(d sent) bool { return !(is(kindShare, id)(d) && d.to == "alice") })
	all := map[string]jobs.Job{}
	for name, secret := range data {
		all[name] = f.submit(name, id, secret, 4*time.Second)
	}
	w.await(1, func(d sent) bool { return is(kindShare, id)(d) && d.from == "alice" })
	f.members["alice"].reached(all["alice"], jobs.Started)
	_, err := f.members["alice"].current().RequestCancel(t.Context(), all["alice"].ID)
	must(t, err)
	for name, j := range f.endedAll(all) {
		if name == "alice" {
			if j.State != jobs.Cancelled {
				t.Errorf("alice: %s, want cancelled", j.State)
			}
			continue
		}
		if j.State != jobs.Failed || j.Problem.Reason != "not-joined" || !strings.HasPrefix(j.Problem.Message, "alice did not join within 4s; before that, alice ended the computation: its request was withdrawn") {
			t.Errorf("%s: %s %+v, want failed because alice has withdrawn", name, j.State, j.Problem)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	said := false
	for _, n := range f.notices {
		if n.FP == f.ids["alice"].FP() {
			said = true
			if n.Confirm || n.Code != seat.CodeWithdrawn {
				t.Errorf("alice has said CONFIRM %t, code %d", n.Confirm, n.Code)
			}
		}
	}
	if !said {
		t.Error("alice has not said that she withdraws")
	}
}
