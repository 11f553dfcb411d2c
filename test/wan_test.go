package test

import (
	"slices"
	"testing"
	"time"
)

// Institutions far apart: 28 ms there and back between any process and the hub, and one packet in fifty lost. Every sum is
// right, at every party. Where this machine does not let a test have its own network, the lines are long but lose nothing.
func TestFarApart(t *testing.T) {
	const (
		oneWay = 14 * time.Millisecond
		loss   = 0.02
		sums   = 20
	)
	o, counts, err := longLines(t, oneWay, loss, stormSeed(t))
	if err != nil {
		t.Logf("without loss of packets, over proxies with delay: %v", err)
		o, counts = rackOptions{proxied: true}, func() string { return "none lost" }
	}
	r := newRack(t, o)
	for _, p := range r.proxies {
		p.slow(oneWay)
	}
	var took []time.Duration
	attempts := 0
	for range sums {
		all := r.sumAll("19", "5", "61")
		r.wantSum(all, "85")
		slowest, most := time.Duration(0), 0
		for _, j := range all {
			if j.Ended != nil {
				slowest = max(slowest, j.Ended.Sub(j.Created))
			}
			most = max(most, j.Attempt)
		}
		took, attempts = append(took, slowest), attempts+most
	}
	slices.Sort(took)
	t.Logf("%d sums in %d attempts: median %s, slowest %s; %s", sums, attempts, took[sums/2].Round(time.Millisecond), took[sums-1].Round(time.Millisecond), counts())
}
