package node

import (
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/coordinator"
	"github.com/weftmpc/weft/jobs"
	"github.com/weftmpc/weft/node/policy"
	"github.com/weftmpc/weft/node/seat"
	"github.com/weftmpc/weft/simon"
	"github.com/weftmpc/weft/simon/simontest"
)

// asks gives a microprotocol these parameters.
func asks(m simon.Microprotocol, parameters string) simon.Microprotocol {
	prepare := m.Prepare
	m.Prepare = func(r io.Reader, _ json.RawMessage, g simon.Guard) (simon.Prepared, error) {
		return prepare(r, json.RawMessage(parameters), g)
	}
	return m
}

// helpedBy is a policy that lists the coordinator for one role.
func (f *fleet) helpedBy(r simon.Role, microprotocol string) []policy.Helper {
	return []policy.Helper{{Name: "coordinator", FP: f.center.FP(), Roles: []simon.Role{r}, Microprotocols: []string{microprotocol}}}
}

// result is what a done job came to.
func (m *member) result(j jobs.Job) string {
	m.fleet.t.Helper()
	if j.State != jobs.Done {
		m.fleet.t.Fatalf("%s: %s %v", m.name, j.State, j.Problem)
	}
	b, err := m.current().Read(m.fleet.t.Context(), j.Result)
	must(m.fleet.t, err)
	return string(b)
}

var numbers = map[string]string{"alice": "[17,4]", "bob": "[5]", "carol": "[6,-3]"}

// The coordinator opens: the opener hears shares of the parties, all confirm one transcript, and what is too few for a policy
// ends for all alike, the opener among them.
func TestOpener(t *testing.T) {
	f := newFleet(t, simontest.Faults{}, three...)
	f.catalogue = []simon.Microprotocol{asks(simon.KthElement(), `{"rank":3,"digit_bits":8,"mode":"opener-counts","least_samples":5}`)}
	f.policy = func(_ string, p *policy.Policy) {
		p.Helpers, p.Disclose = f.helpedBy(simon.Opener, "KthElement"), []simon.Disclosure{simon.PooledCountsToOpener}
	}
	f.deal(seat.DealerConfig{})
	f.again()
	f.terms.round = patience
	w := f.watch()
	for range 2 {
		id := uuid.New()
		for name, j := range f.endedAll(f.submitAll(id, numbers)) {
			if got := f.members[name].result(j); got != `{"samples":5,"item":5}` {
				t.Errorf("%s: %s", name, got)
			}
		}
		start := w.await(1, is(kindStart, id))
		a, err := coordinator.DecodeAnswer(start.body[1:])
		must(t, err)
		s, err := coordinator.DecodeStart(a.Start)
		must(t, err)
		c, _, err := s.Open()
		must(t, err)
		if len(s.Joins) != 4 || c.Opener != f.center.FP() || len(c.Helpers()) != 1 {
			t.Errorf("START of %d JOINs, opener %.8s", len(s.Joins), c.Opener)
		}
		if n := len(w.seen(func(x sent) bool { return x.uuid() == id && x.to == "coordinator" && x.kind() == kindShare })); n < 27 { // the pool and 8 digits of 3 parties
			t.Errorf("the opener hears %d shares", n)
		}
		f.settle()
	}
	for name, j := range f.endedAll(f.submitAll(uuid.New(), map[string]string{"alice": "[1,2]", "bob": "[3]", "carol": "[]"})) {
		if j.State != jobs.Failed || j.Problem.Reason != "outcome" || !strings.Contains(j.Problem.Message, "fewer samples than the 5") {
			t.Errorf("%s: %s %v", name, j.State, j.Problem)
		}
	}
	f.settle()
	f.checkInvariants()
}

// A node lists its opener and allows what a mode discloses, each by name, or refuses before a JOIN leaves, whatever its profile.
func TestModesByPolicy(t *testing.T) {
	f := newFleet(t, simontest.Faults{}, three...)
	f.deal(seat.DealerConfig{})
	opener, everybody := []simon.Disclosure{simon.PooledCountsToOpener}, []simon.Disclosure{simon.PooledCountsToAll}
	for _, c := range []struct {
		mode     string
		helpers  []policy.Helper
		disclose []simon.Disclosure
		want     string
	}{
		{"opener-counts", f.helpedBy(simon.Opener, "KthElement"), nil, `does not allow "pooled-counts-to-opener"`},
		{"opener-counts", f.helpedBy(simon.Opener, "KthElement"), everybody, `does not allow "pooled-counts-to-opener"`},
		{"opener-counts", nil, opener, "does not let the coordinator"},
		{"opener-counts", f.helpedBy(simon.Dealer, "KthElement"), opener, "does not let the coordinator"},
		{"opener-counts", f.helpedBy(simon.Opener, "SecureMedian"), opener, "does not let the coordinator"},
		{"open-counts", f.helpedBy(simon.Opener, "KthElement"), opener, `does not allow "pooled-counts-to-all"`},
		{"open-counts", nil, everybody, ""},
	} {
		f.catalogue = []simon.Microprotocol{asks(simon.KthElement(), `{"rank":3,"digit_bits":8,"mode":"`+c.mode+`"}`)}
		f.policy = func(_ string, p *policy.Policy) { p.Helpers, p.Disclose = c.helpers, c.disclose }
		f.again()
		w, id := f.watch(), uuid.New()
		ended := f.endedAll(f.submitAll(id, numbers))
		if c.want != "" {
			f.refusedBefore(w, id, ended, c.want)
			continue
		}
		for name, j := range ended {
			if got := f.members[name].result(j); got != `{"samples":5,"item":5}` {
				t.Errorf("%s: %s", name, got)
			}
		}
	}
}

// Without a coordinator that helps, the parties are told so, and who can change that.
func TestOpenerIsMissing(t *testing.T) {
	f := newFleet(t, simontest.Faults{}, three...)
	f.catalogue = []simon.Microprotocol{asks(simon.KthElement(), `{"rank":3,"mode":"opener-counts"}`)}
	f.policy = func(_ string, p *policy.Policy) {
		p.Helpers, p.Disclose = f.helpedBy(simon.Opener, "KthElement"), []simon.Disclosure{simon.PooledCountsToOpener}
	}
	f.again()
	for name, j := range f.endedAll(f.submitAll(uuid.New(), numbers)) {
		if j.State != jobs.Failed || !strings.Contains(j.Problem.Message, "this coordinator does not open: whoever runs it can set helper: true") {
			t.Errorf("%s: %s %v", name, j.State, j.Problem)
		}
	}
}

// Three parties count what all have, with the coordinator as opener; two need none. Who does not list it is refused before a
// JOIN leaves.
func TestSizeByOpener(t *testing.T) {
	f := newFleet(t, simontest.Faults{}, three...)
	f.catalogue = []simon.Microprotocol{asks(simon.SetIntersectionSize(), `{"suppress_below":2}`)}
	f.policy = func(_ string, p *policy.Policy) { p.Helpers = f.helpedBy(simon.Opener, "SetIntersectionSize") }
	f.deal(seat.DealerConfig{})
	f.again()
	f.terms.round = patience
	sets := map[string]string{"alice": `["a","b","c","d"]`, "bob": `["d","c","b","x"]`, "carol": `["d","c","a"]`}
	w := f.watch()
	for _, c := range []struct{ carol, want string }{
		{sets["carol"], `{"size_intersection":2}`},
		{`["c","a"]`, `{"size_intersection":0,"notes":{"size_intersection":"0 stands for fewer than 2 elements, perhaps none"}}`},
	} {
		id := uuid.New()
		sets["carol"] = c.carol
		for name, j := range f.endedAll(f.submitAll(id, sets)) {
			if got := f.members[name].result(j); got != c.want {
				t.Errorf("%s: %s", name, got)
			}
		}
		if n := len(w.seen(func(x sent) bool { return x.uuid() == id && x.to == "coordinator" && x.kind() == kindShare })); n < 3 {
			t.Errorf("the opener hears %d shares", n)
		}
		f.settle()
	}
	f.checkInvariants()
	f.policy = func(_ string, p *policy.Policy) { p.Helpers = f.helpedBy(simon.Opener, "KthElement") }
	f.again()
	w = f.watch()
	id := uuid.New()
	f.refusedBefore(w, id, f.endedAll(f.submitAll(id, sets)), "does not let the coordinator")
}

// The opener's process dies while parties wait for its word: they try again with its successor.
func TestOpenerDies(t *testing.T) {
	f := newFleet(t, simontest.Faults{}, three...)
	f.catalogue = []simon.Microprotocol{asks(simon.KthElement(), `{"rank":3,"digit_bits":8,"mode":"opener-counts"}`)}
	f.policy = func(_ string, p *policy.Policy) {
		p.Helpers, p.Disclose = f.helpedBy(simon.Opener, "KthElement"), []simon.Disclosure{simon.PooledCountsToOpener}
	}
	d := f.deal(seat.DealerConfig{})
	f.again()
	f.terms.round = 700 * time.Millisecond
	dying := make(chan struct{})
	die := func(step string) {
		if step == "after send 1" && d.dead.CompareAndSwap(false, true) {
			d.cancel()
			close(dying)
		}
	}
	d.step.Store(&die)
	all := f.submitAll(uuid.New(), numbers)
	<-dying
	f.deal(seat.DealerConfig{})
	for name, j := range f.endedAll(all) {
		if got := f.members[name].result(j); got != `{"samples":5,"item":5}` {
			t.Errorf("%s: %s", name, got)
		}
	}
	f.checkInvariants()
}
