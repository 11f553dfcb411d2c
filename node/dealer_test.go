package node

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/broker/identity"
	"github.com/weftmpc/weft/coordinator"
	"github.com/weftmpc/weft/jobs"
	"github.com/weftmpc/weft/node/channel"
	"github.com/weftmpc/weft/node/policy"
	"github.com/weftmpc/weft/node/seat"
	"github.com/weftmpc/weft/node/session"
	"github.com/weftmpc/weft/simon"
	"github.com/weftmpc/weft/simon/simontest"
)

// A dealer that is no party takes part: at the first contact, when the channels are warm, and again after its restart.
func TestDealer(t *testing.T) {
	f := newFleet(t, simontest.Faults{}, three...)
	d := dealtFleet(t, f, DealtSum("{}"))
	w := f.watch()
	warm := uuid.New()
	for _, id := range []uuid.UUID{{1}, {1}, warm} {
		f.wantFirst(f.sumAll(id, data), "85")
		f.settle()
	}
	for _, x := range w.seen(func(x sent) bool { return x.uuid() == warm && x.kind() == kindInit }) {
		t.Errorf("an INIT from %s to %s over a warm channel", x.from, x.to)
	}
	for _, x := range w.seen(func(x sent) bool { return x.to == "coordinator" && x.kind() == kindShare }) {
		t.Errorf("%s sends the dealer a share message", x.from)
	}
	d.kill()
	f.deal(seat.DealerConfig{})
	f.wantFirst(f.sumAll(uuid.New(), data), "85")
	f.checkInvariants()
}

// A party deals where the parameters name it, and the coordinator has no part in it.
func TestPartyDeals(t *testing.T) {
	f := newFleet(t, simontest.Faults{}, three...)
	f.catalogue = []simon.Microprotocol{DealtSum(`{"dealer":"bob"}`)}
	f.again()
	w := f.watch()
	id := uuid.New()
	f.wantFirst(f.sumAll(id, data), "85")
	b := w.await(1, is(kindStart, id))
	a, err := coordinator.DecodeAnswer(b.body[1:])
	must(t, err)
	start, err := coordinator.DecodeStart(a.Start)
	must(t, err)
	c, _, err := start.Open()
	must(t, err)
	if len(start.Joins) != 3 || c.Dealer != f.ids["bob"].FP() || c.S0.Compare(c.S1) >= 0 || c.S0 == c.Dealer || c.S1 == c.Dealer {
		t.Errorf("START of %d JOINs, roles %v", len(start.Joins), []identity.Fingerprint{c.S0, c.S1, c.Dealer})
	}
}

// Two parties and a dealer, where both policies list it.
func TestDealerOfTwo(t *testing.T) {
	f := newFleet(t, simontest.Faults{}, three...)
	f.policy = func(_ string, p *policy.Policy) { p.Helpers = f.listed() }
	dealtFleet(t, f, DealtSum("{}"))
	id := uuid.New()
	a, b := f.submit("alice", id, "1", patience, "alice", "bob"), f.submit("bob", id, "2", patience, "alice", "bob")
	f.wantSum(map[string]jobs.Job{"alice": f.members["alice"].ended(a.ID, patience), "bob": f.members["bob"].ended(b.ID, patience)}, "3", "2")
}

// signer is the name of the party that has signed a notice.
func (f *fleet) signer(n session.Notice) string {
	for _, p := range f.peers {
		if p.FP == n.FP {
			return p.Name
		}
	}
	return ""
}

func (f *fleet) listed() []policy.Helper {
	return []policy.Helper{{Name: "coordinator", FP: f.center.FP(), Roles: []simon.Role{simon.Dealer}, Microprotocols: []string{"DealtSum"}}}
}

// Many computations with a dealer over a network that loses, doubles, reorders and alters.
func TestDealerOverABadNetwork(t *testing.T) {
	t.Parallel()
	f := newFleet(t, simontest.Faults{Seed: 3, MaxDelay: 5 * time.Millisecond, Loss: 0.05, Duplicate: 0.05, Reorder: 0.2, Tamper: 0.05}, three...)
	dealtFleet(t, f, DealtSum("{}"))
	var wg sync.WaitGroup
	for i := range 30 {
		wg.Go(func() {
			for name, j := range f.sumAll(uuid.New(), map[string]string{"alice": strconv.Itoa(i), "bob": "-5", "carol": "7"}) {
				if j.State != jobs.Done {
					t.Errorf("computation %d: %s: %s %v", i, name, j.State, j.Problem)
				} else if s, _ := f.members[name].sum(j); s != strconv.Itoa(i+2) {
					t.Errorf("computation %d: %s got %s", i, name, s)
				}
			}
		})
	}
	wg.Wait()
	f.checkInvariants()
}

// The dealer's process dies at each point of a computation: it ends right, in another attempt if need be, and nobody signs
// two things.
func TestDealerDies(t *testing.T) {
	t.Parallel()
	for _, point := range []string{"signed", "before send 3", "after send 3", "before send 1", "after send 1", "after send 4"} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, simontest.Faults{}, three...)
			d := dealtFleet(t, f, DealtSum("{}"))
			f.terms.round = 700 * time.Millisecond
			dying := make(chan struct{})
			die := func(step string) {
				if step == point && d.dead.CompareAndSwap(false, true) {
					d.cancel()
					close(dying)
				}
			}
			d.step.Store(&die)
			all := f.submitAll(uuid.New(), data)
			<-dying
			f.deal(seat.DealerConfig{})
			f.wantSum(f.endedAll(all), "85", "3")
			f.checkInvariants()
		})
	}
}

// Between its last message and its CONFIRM the dealer's death leaves the parties without the one thing that nobody else has:
// they wait as long as for any party, and say so.
func TestDealerDiesBeforeItConfirms(t *testing.T) {
	f := newFleet(t, simontest.Faults{}, three...)
	d := dealtFleet(t, f, DealtSum("{}"))
	f.wantSum(f.sumAll(uuid.New(), data), "85", "3") // with warm channels nothing that it has dealt is missing
	f.settle()
	dying := make(chan struct{})
	die := func(step string) {
		if step == "before send 4" && d.dead.CompareAndSwap(false, true) {
			d.cancel()
			close(dying)
		}
	}
	d.step.Store(&die)
	id := uuid.New()
	all := f.submitAll(id, data)
	<-dying
	for name, j := range all {
		f.members[name].reached(j, jobs.Committed)
	}
	f.deal(seat.DealerConfig{})
	f.settle()
	f.ahead.Store(int64(3 * time.Minute))
	f.mu.Lock()
	notices := slices.Clone(f.notices)
	f.mu.Unlock()
	for name, m := range f.members { // a sign of life, upon which the clock is looked at
		for _, n := range notices {
			if from := f.signer(n); from != name {
				m.receive(from, append(bytes.Clone(id[:]), n.Encode()...))
			}
		}
	}
	for name, j := range f.endedAll(all) {
		if j.State != jobs.Failed || j.Problem.Reason != "not-confirmed" || !strings.Contains(j.Problem.Message, "coordinator in time") {
			t.Errorf("%s: %s %v", name, j.State, j.Problem)
		}
	}
	f.checkInvariants()
}

// A computation takes no hop more for its dealer: what it sends is there with the START. The evaluators' opening is the
// protocol's own.
func TestDealerHops(t *testing.T) {
	f := newFleet(t, simontest.Faults{}, three...)
	dealtFleet(t, f, DealtSum("{}"))
	f.terms.round = patience
	w := f.watch()
	for range 2 {
		f.wantSum(f.sumAll(uuid.New(), data), "85", "3")
		f.settle()
	}
	id := uuid.New()
	var (
		mu      sync.Mutex
		clock   = map[string]int{}
		steps   = map[string][]int{}
		known   = map[string]bool{}
		held    = map[string][]sent{}
		waves   = map[string][]int{kindJoin: {3}, kindStart: {3}, kindShare: {6, 4}, kindNotice: {12}} // in lockstep
		arrived sync.WaitGroup
	)
	center := f.net.Endpoint("coordinator", nil)
	f.end = center
	arrive := func(d sent, step int) {
		mu.Lock()
		clock[d.to] = max(clock[d.to], step)
		mu.Unlock()
		if m := f.members[d.to]; m != nil {
			m.receive(d.from, d.body)
		} else {
			f.coordinate(center, d.from, d.body)
		}
	}
	w.rule(func(d sent) bool {
		kind := d.kind()
		if d.uuid() != id || kind == kindAnswer {
			return d.uuid() != id
		}
		mu.Lock()
		defer mu.Unlock()
		key := d.from + " " + d.to + " " + string(d.body)
		if known[key] || kind == kindAsk {
			return false
		}
		known[key] = true
		steps[kind] = append(steps[kind], clock[d.from]+1)
		if held[kind] = append(held[kind], d); len(waves[kind]) > 0 && len(held[kind]) == waves[kind][0] {
			step := slices.Max(steps[kind])
			for _, d := range held[kind] {
				arrived.Go(func() { arrive(d, step) })
			}
			held[kind], waves[kind] = nil, waves[kind][1:]
		}
		return false
	})
	f.wantSum(f.sumAll(id, data), "85", "3")
	arrived.Wait()
	mu.Lock()
	defer mu.Unlock()
	for _, s := range steps {
		slices.Sort(s)
	}
	want := map[string][]int{
		kindJoin: {1, 1, 1}, kindStart: {2, 2, 2}, kindShare: {2, 2, 3, 3, 3, 3, 4, 4, 4, 4},
		kindNotice: {2, 2, 2, 5, 5, 5, 5, 5, 5, 5, 5, 5},
	}
	if !maps.EqualFunc(steps, want, slices.Equal) {
		t.Errorf("steps %v, want %v", steps, want)
	}
}

// What a party sends to the dealer as a share message is dropped before it is read, and changes nothing.
func TestDealerIsSentShares(t *testing.T) {
	f := newFleet(t, simontest.Faults{}, three...)
	d := dealtFleet(t, f, DealtSum("{}"))
	w := f.watch()
	id := uuid.New()
	w.rule(func(x sent) bool { // each share message between parties goes to the dealer as well, and nonsense with it
		if x.uuid() == id && x.kind() == kindShare && !x.helped() {
			for _, b := range [][]byte{x.message(), {0x9f, session.KindShare, 0xff}, bytes.Repeat([]byte{session.KindShare}, 1<<16)} {
				d.deliver(id, x.from, b)
			}
		}
		return true
	})
	f.wantFirst(f.sumAll(id, data), "85")
	if n := d.Stats().Session.Dropped; n < 3*8 {
		t.Errorf("the dealer has dropped %d share messages", n)
	}
}

// Where the coordinator does not deal, a request that needs it to ends with what to do.
func TestCoordinatorDoesNotDeal(t *testing.T) {
	t.Parallel()
	f := newFleet(t, simontest.Faults{}, three...)
	f.catalogue = []simon.Microprotocol{DealtSum("{}")}
	f.again()
	for party, j := range f.endedAll(f.submitAll(uuid.New(), data)) {
		if j.State != jobs.Failed || j.Problem.Reason != "coordinator" || !strings.Contains(j.Problem.Message, "does not deal: whoever runs it can set helper: true") {
			t.Errorf("%s: %s %v", party, j.State, j.Problem)
		}
	}
}

// A dealer that may not hold what a computation needs ends it for good.
func TestDealerMemory(t *testing.T) {
	for name, c := range map[string]seat.DealerConfig{"of one": {Memory: 100}, "of a party": {OfParty: 100}, "of all": {Total: 100}} {
		f := newFleet(t, simontest.Faults{}, three...)
		f.catalogue = []simon.Microprotocol{DealtSum("{}")}
		f.deal(c)
		f.again()
		for party, j := range f.endedAll(f.submitAll(uuid.New(), data)) {
			if j.State != jobs.Failed || j.Attempt != 1 || !strings.Contains(j.Problem.Message, "coordinator ended the computation: it refused") {
				t.Errorf("%s: %s: %s in attempt %d, %v", name, party, j.State, j.Attempt, j.Problem)
			}
		}
	}
}

// A START whose dealer's JOIN was altered on its way to one party, or that names other evaluators to it, is dropped there,
// and the right one, which comes with the next repetition, is served.
func TestDealersJoinIsTampered(t *testing.T) {
	t.Parallel()
	for name, bend := range map[string]func(s *coordinator.Start){
		"own part":  func(s *coordinator.Start) { s.Joins[3].Own = bytes.Clone(s.Joins[3].Own); s.Joins[3].Own[70] ^= 1 },
		"signature": func(s *coordinator.Start) { s.Joins[3].Sig[5] ^= 1 },
		"no JOIN":   func(s *coordinator.Start) { s.Joins = s.Joins[:3] },
		"a party's": func(s *coordinator.Start) { s.Joins[3] = s.Joins[0] },
		"other evaluators": func(s *coordinator.Start) {
			c, _ := coordinator.DecodeCommon(s.Common)
			for _, fp := range c.Parties {
				if fp != c.S0 && fp != c.S1 {
					c.S0 = fp
					break
				}
			}
			s.Common, _ = c.Encode()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, simontest.Faults{}, three...)
			dealtFleet(t, f, DealtSum("{}"))
			w := f.watch()
			id := uuid.New()
			bent := false
			w.rule(func(d sent) bool {
				if bent || d.uuid() != id || d.kind() != kindStart || d.to != "bob" {
					return true
				}
				bent = true
				a, err := coordinator.DecodeAnswer(d.body[1:])
				must(t, err)
				s, err := coordinator.DecodeStart(a.Start)
				must(t, err)
				bend(&s)
				a.Start = s.Encode()
				go f.members["bob"].receive("coordinator", append([]byte{d.body[0]}, a.Encode()...))
				return false
			})
			f.wantFirst(f.sumAll(id, data), "85")
			f.checkInvariants()
		})
	}
}

// A START with a dealer that differs in a single byte starts nothing, as one without.
func TestAlteredStartWithDealer(t *testing.T) {
	f := newFleet(t, simontest.Faults{}, three...)
	dealtFleet(t, f, DealtSum("{}"))
	stride := 13
	if testing.Short() {
		stride = 37
	}
	alterStarts(f, three[:1], stride)
}

// All that was ever sent is sent again, to the dealer, too, and to one that has forgotten everything: no party sends a share,
// no record changes, nobody contradicts what he has signed.
func TestReplayWithDealer(t *testing.T) {
	f := newFleet(t, simontest.Faults{}, three...)
	dealtFleet(t, f, DealtSum("{}"))
	w := f.watch()
	f.wantSum(f.sumAll(uuid.New(), data), "85", "3")
	for _, point := range []string{"after send 1", "line committed"} {
		f.crash(point, uuid.New())
	}
	f.settle()
	all := w.seen(nil)
	shares := func() int {
		return len(w.seen(func(d sent) bool { return d.kind() == kindShare && d.from != "coordinator" }))
	}
	before, sharesBefore := f.state(), shares()
	for _, process := range []string{"the same", "a new dealer"} {
		for order, list := range orders(all) {
			f.replay(list)
			if n := shares(); n != sharesBefore {
				t.Errorf("%s, %s: %d share messages left", process, order, n-sharesBefore)
			}
			wantState(t, process+", "+order, f.state(), before)
			f.checkInvariants()
		}
		f.deal(seat.DealerConfig{})
	}
	f.wantSum(f.sumAll(uuid.New(), data), "85", "3")
}

// refusedBefore wants that all jobs fail by the policy, and that no JOIN has left.
func (f *fleet) refusedBefore(w *watch, id uuid.UUID, ended map[string]jobs.Job, text string) {
	f.t.Helper()
	for name, j := range ended {
		if j.State != jobs.Failed || j.Problem.Reason != "policy" || !strings.Contains(j.Problem.Message, text) {
			f.t.Errorf("%s: %s %v, want a refusal with %q", name, j.State, j.Problem, text)
		}
	}
	if out := w.seen(func(d sent) bool { return d.uuid() == id && d.to == "coordinator" && d.kind() == kindJoin }); len(out) > 0 {
		f.t.Errorf("%d JOINs have left", len(out))
	}
}

// A dealer that could read data is refused where the policy does not list it, before a JOIN leaves.
func TestDealerIsNotListed(t *testing.T) {
	m := DealtSum("{}")
	m.Trusting = []simon.Role{simon.Dealer}
	f := newFleet(t, simontest.Faults{}, three...)
	dealtFleet(t, f, m)
	w := f.watch()
	id := uuid.New()
	f.refusedBefore(w, id, f.endedAll(f.submitAll(id, data)), "does not let the coordinator")
	f.policy = func(_ string, p *policy.Policy) { p.Helpers = f.listed() }
	f.again()
	f.wantFirst(f.sumAll(uuid.New(), data), "85")
}

// Parties whose policies exclude different evaluators do not start, and each is told what differs.
func TestEvaluatorsAreExcluded(t *testing.T) {
	f := newFleet(t, simontest.Faults{}, "alice", "bob", "carol", "dave")
	f.policy = func(_ string, p *policy.Policy) { p.ExcludeEvaluators = []string{"alice", "dave"} }
	dealtFleet(t, f, DealtSum("{}"))
	w := f.watch()
	four := map[string]string{"alice": "19", "bob": "5", "carol": "61", "dave": "15"}
	for range 3 {
		id := uuid.New()
		f.wantSum(f.sumAll(id, four), "100", "4")
		j, err := coordinator.DecodeJoin(w.await(1, is(kindJoin, id)).message())
		must(t, err)
		c, err := coordinator.DecodeCommon(j.Common)
		must(t, err)
		if s := []identity.Fingerprint{c.S0, c.S1}; slices.Contains(s, f.ids["alice"].FP()) || slices.Contains(s, f.ids["dave"].FP()) {
			t.Error("an excluded party evaluates")
		}
	}
	f.policy = func(name string, p *policy.Policy) {
		if p.ExcludeEvaluators = []string{"alice", "dave"}; name == "bob" {
			p.ExcludeEvaluators = []string{"bob", "carol"}
		}
	}
	f.again()
	for name, j := range f.sumAll(uuid.New(), four) {
		if j.State != jobs.Failed || j.Problem.Reason != "conflict" || !strings.Contains(j.Problem.Message, "first evaluator is ") || !strings.Contains(j.Problem.Message, "second evaluator is ") {
			t.Errorf("%s: %s %v", name, j.State, j.Problem)
		}
	}
}

// impostor is a helper that signs with any identity.
type impostor struct {
	id  *identity.Identity
	now func() time.Time
}

func (h impostor) Sign(common []byte) (own, sig []byte, err error) {
	bundle, err := channel.New(channel.Config{Identity: h.id}).Bundle(h.now())
	if err != nil {
		return nil, nil, err
	}
	now := h.now().UnixNano()
	b := coordinator.Own{FP: h.id.FP(), Issued: now, Expiry: now + int64(time.Minute), Bundle: bundle, E: [32]byte{9}}.Encode()
	return b, h.id.Sign(identity.ContextJoin, coordinator.SigningBytes(common, b)), nil
}

// A helper whose certificate is not a dealer's, or is of a party's organisation or has its name, is refused by every party.
func TestWrongDealers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		usage        identity.Usage
		as, org, say string
	}{
		"a party's certificate":      {identity.UsageParty, "coordinator", "nobody's", "it is a party's, not a dealer's"},
		"the organisation of alice":  {identity.UsageDealer, "coordinator", " ALICE org", "belong to one organisation"},
		"the name of bob":            {identity.UsageDealer, "bob", "nobody's", "two participants are called bob"},
		"another authority's, known": {0, "coordinator", "nobody's", "certificate of the helper"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, simontest.Faults{}, three...)
			ca := f.ca
			if c.usage == 0 {
				var err error
				ca, err = identity.NewAuthority("other", time.Now().Add(-time.Hour), time.Now().AddDate(0, 1, 0))
				must(t, err)
				c.usage = identity.UsageDealer
			}
			id, err := identity.NewAs(c.usage, ca, c.as, c.org, time.Now().Add(-time.Hour), time.Now().Add(12*time.Hour))
			must(t, err)
			f.center, f.helper, f.started = id, impostor{id, f.now}, func([]byte) {}
			f.newCoordinator()
			f.catalogue = []simon.Microprotocol{DealtSum("{}")}
			f.again()
			computation, all := uuid.New(), map[string]jobs.Job{}
			for party, x := range data {
				all[party] = f.submit(party, computation, x, 4*time.Second)
			}
			for party, j := range f.endedAll(all) {
				if j.State != jobs.Failed || !strings.Contains(fmt.Sprint(j.Problem), c.say) {
					t.Errorf("%s: %s %v, want %q", party, j.State, j.Problem, c.say)
				}
			}
			if f.shares != 0 {
				t.Errorf("%d share messages have left", f.shares)
			}
		})
	}
}
