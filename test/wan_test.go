package test

import (
	"fmt"
	"slices"
	"strings"
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
	o, counts, err := longLines(t, oneWay, loss, stormSeed(t), memberCoordinator)
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

// BenchmarkFarApart measures computations of three institutions that are 28 ms apart, there and back, with hub and
// coordinator in the middle: four messages in turn, which travel for 42 ms. The time is from when the last party has its job
// until the last has its result, by the jobs' records.
func BenchmarkFarApart(b *testing.B) {
	const oneWay = 7 * time.Millisecond // between a party and the hub
	list := func(party int) string {
		var rows []string
		for i := range 100 {
			rows = append(rows, fmt.Sprintf("%d.%02d", 10+(i*(party+7))%80, i%97))
		}
		return "[" + strings.Join(rows, ",") + "]"
	}
	sum, moments := []string{"19", "5", "61"}, []string{list(0), list(1), list(2)}
	for _, c := range []struct {
		name, profile, microprotocol string
		data                         []string
	}{
		{"sum", "teaching", "SecureSum", sum},
		{"moments", "teaching", "StatisticsUnivariate", moments},
		{"moments after a look at the pool", "strict", "StatisticsUnivariate", moments},
		{"median", "teaching", "SecureMedian", moments},
		{"minimum and maximum", "teaching", "MinimumMaximum", moments},
	} {
		b.Run(c.name, func(b *testing.B) {
			o, _, err := longLines(b, oneWay, 0, 1, memberHub)
			if err != nil {
				b.Fatalf("no network of its own for this benchmark: %v", err)
			}
			r := prepareRack(b, o)
			for _, party := range three {
				r.rewrite(party, "node.yaml", "profile: strict", "profile: "+c.profile)
			}
			r.start()
			r.ended(r.submitTo(c.microprotocol, c.data...)) // the nodes' first contact
			var took []time.Duration
			for b.Loop() {
				var begin, end time.Time
				for party, j := range r.ended(r.submitTo(c.microprotocol, c.data...)) {
					if j.State != "done" || j.Ended == nil {
						b.Fatalf("%s: %s %s %+v", party, j.State, j.Detail, j.Error)
					}
					begin, end = later(begin, j.Created), later(end, *j.Ended)
				}
				took = append(took, end.Sub(begin))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2])/float64(time.Millisecond), "ms-median")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
