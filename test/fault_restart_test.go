package test

import (
	"testing"
	"time"
)

// The hub, the coordinator, and both at once are killed and started again while a computation runs and another one waits
// for its last party: both end in a result.
func TestFaultHubAndCoordinatorRestart(t *testing.T) {
	t.Parallel()
	r := newRack(t, rackOptions{proxied: true})
	r.wantSum(r.sumAll("1", "2", "3"), "6")
	for _, members := range [][]string{{memberHub}, {memberCoordinator}, {memberHub, memberCoordinator}} {
		waits := r.sum(5 * time.Minute)
		waiting := r.give(waits, "alice", "bob")
		for party, j := range waiting {
			r.comesTo(party, j.ID, "waiting", "carol")
		}
		for _, p := range r.proxies {
			p.slow(200 * time.Millisecond) // so that the computation takes longer than it takes to see it run
		}
		running := r.give(r.sum(5 * time.Minute))
		for party, j := range running {
			r.comesTo(party, j.ID, "running")
		}
		for _, m := range members {
			r.procs[m].kill()
		}
		for _, p := range r.proxies {
			p.slow(0)
		}
		for _, m := range members {
			r.procs[m].start()
		}
		r.ready(members...)
		r.wantSum(r.ended(running), "6")
		for party, j := range r.give(waits, "carol") {
			waiting[party] = j
		}
		r.wantSum(r.ended(waiting), "6")
	}
}
