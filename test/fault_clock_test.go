package test

import (
	"testing"
	"time"
)

// The clock of one node is off by ten minutes: its jobs fail at once with words about the clock and its doctor says so; the
// others are told who is missing; once it is right, all compute.
func TestFaultClockIsOff(t *testing.T) {
	t.Parallel()
	r := prepareRack(t, rackOptions{})
	clock := r.path("carol", "clock")
	r.clock("carol", "@"+clock)
	r.setClock(clock, 0)
	r.start()
	r.wantSum(r.sumAll("1", "2", "3"), "6")
	for _, c := range []struct {
		off  time.Duration
		word string
	}{{10 * time.Minute, "ahead"}, {-10 * time.Minute, "behind"}} {
		r.setClock(clock, c.off)
		k := r.sum(10 * time.Second)
		all := r.give(k, "carol")
		k.deadline = "2s"
		all["alice"] = r.give(k, "alice")["alice"]
		all = r.ended(all)
		wantError(t, "carol", all["carol"], "coordinator", "the coordinator refused", "clock of carol", c.word, "synchronise")
		wantError(t, "alice", all["alice"], "not-joined", "bob, carol did not join")
		code, findings := r.doctor("carol")
		if code == 0 {
			t.Errorf("weft doctor finds nothing wrong with a clock that is %s", c.word)
		}
		r.wantFinding(findings, "clock", "error", "10m0", c.word, "NTP")
	}
	r.setClock(clock, 0)
	r.wantSum(r.sumAll("1", "2", "4"), "7")
}
