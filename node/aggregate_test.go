package node

import (
	"fmt"
	"testing"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/coordinator"
	"github.com/weftmpc/weft/node/policy"
	"github.com/weftmpc/weft/node/seat"
	"github.com/weftmpc/weft/simon"
	"github.com/weftmpc/weft/simon/simontest"
)

// Twenty nodes whose policies list the coordinator as aggregator send it their vectors, and each other none.
func TestAggregator(t *testing.T) {
	t.Parallel()
	const n = 20
	var names []string
	data := map[string]string{}
	for i := range n {
		name := fmt.Sprintf("party-%02d", i)
		names, data[name] = append(names, name), fmt.Sprint(i)
	}
	f := newFleet(t, simontest.Faults{}, names...)
	f.catalogue = []simon.Microprotocol{simon.SecureSum()}
	f.policy = func(_ string, p *policy.Policy) { p.Helpers = f.helpedBy(simon.Aggregator, "SecureSum") }
	f.terms.round, f.terms.limit = patience, 3*patience
	f.deal(seat.DealerConfig{})
	f.again()
	w, id := f.watch(), uuid.New()
	f.wantSum(f.endedAll(f.submitAll(id, data)), "190", "20")
	start := w.await(1, is(kindStart, id))
	a, err := coordinator.DecodeAnswer(start.body[1:])
	must(t, err)
	s, err := coordinator.DecodeStart(a.Start)
	must(t, err)
	c, _, err := s.Open()
	must(t, err)
	if len(s.Joins) != n+1 || c.Aggregator != f.center.FP() {
		t.Errorf("START of %d JOINs, aggregator %.8s", len(s.Joins), c.Aggregator)
	}
	from := map[string]bool{}
	for _, d := range w.seen(func(d sent) bool { return d.uuid() == id && d.kind() == kindShare }) {
		if d.from != "coordinator" && d.to != "coordinator" {
			from[d.from] = true
		}
	}
	if len(from) > 1 { // who sends the others the common key
		t.Errorf("%d parties send shares to each other", len(from))
	}
	f.checkInvariants()
}
