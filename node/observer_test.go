package node

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/weftmpc/weft/coordinator"
	"github.com/weftmpc/weft/jobs"
	"github.com/weftmpc/weft/node/session"
	"github.com/weftmpc/weft/simon"
	"github.com/weftmpc/weft/simon/simontest"
)

// sent is a datagram as a broker sees it.
type sent struct {
	from, to string
	body     []byte
}

// The kinds of datagrams in a fleet.
const (
	kindJoin   = "JOIN"
	kindLeave  = "LEAVE"
	kindAnswer = "answer" // of the coordinator, without a START
	kindStart  = "START"
	kindShare  = "share"
	kindAsk    = "ask"
	kindInit   = "INIT"
	kindNotice = "notice"
)

func (d sent) kind() string {
	switch {
	case len(d.body) == 0:
		return "empty"
	case d.helped():
	case d.to == "coordinator" && d.body[0] == 'j':
		return kindJoin
	case d.to == "coordinator":
		return kindLeave
	case d.from == "coordinator":
		if a, err := coordinator.DecodeAnswer(d.body[1:]); err == nil && a.Kind == coordinator.AnswerStart {
			return kindStart
		}
		return kindAnswer
	}
	kind, _, _ := session.Kind(d.message())
	return map[byte]string{session.KindShare: kindShare, session.KindAsk: kindAsk, session.KindInit: kindInit, session.KindNotice: kindNotice}[kind]
}

// helped reports whether d is between a party and the dealer, who sits at the coordinator.
func (d sent) helped() bool {
	return (d.from == "coordinator" || d.to == "coordinator") && len(d.body) > 17 && d.body[0] == 'd'
}

// message is the datagram without what the fleet puts before it.
func (d sent) message() []byte {
	if d.helped() {
		return d.body[17:]
	}
	if d.from == "coordinator" || d.to == "coordinator" {
		return d.body[1:]
	}
	return d.body[min(16, len(d.body)):]
}

// uuid is the computation's.
func (d sent) uuid() uuid.UUID {
	if d.helped() {
		return uuid.UUID(d.body[1:17])
	}
	switch d.kind() {
	case kindJoin:
		if j, err := coordinator.DecodeJoin(d.message()); err == nil {
			if c, err := coordinator.DecodeCommon(j.Common); err == nil {
				return c.UUID
			}
		}
	case kindLeave:
		if l, err := coordinator.DecodeLeave(d.message()); err == nil {
			return l.UUID
		}
	case kindStart, kindAnswer:
		if a, err := coordinator.DecodeAnswer(d.message()); err == nil {
			return a.UUID
		}
	default:
		if len(d.body) >= 16 {
			return uuid.UUID(d.body[:16])
		}
	}
	return uuid.UUID{}
}

func (d sent) sid() [32]byte {
	_, sid, _ := session.Kind(d.message())
	return sid
}

// notice is the signed notice in d; ok is false where it has none.
func (d sent) notice() (n session.Notice, ok bool) {
	if d.kind() != kindNotice {
		return n, false
	}
	n, err := session.DecodeNotice(d.message())
	return n, err == nil
}

// shareHeader is what stands in the clear in a share message: read here with the library's decoder, not with the engine's
// own, so that both have to agree.
type shareHeader struct {
	sid, epoch, label, from, to string
	seq                         uint64
	chunk                       uint32
}

func decodeShare(b []byte) (h shareHeader, err error) {
	d := msgpack.NewDecoder(bytes.NewReader(b))
	if n, err := d.DecodeArrayLen(); err != nil || n != 15 {
		return h, fmt.Errorf("array of %d: %v", n, err)
	}
	var fields [15]any
	for i := range fields {
		if fields[i], err = d.DecodeInterface(); err != nil {
			return h, err
		}
	}
	text := func(i int) string { b, _ := fields[i].([]byte); return hex.EncodeToString(b) }
	h = shareHeader{sid: text(3), epoch: text(4), label: text(6), from: text(7), to: text(8)}
	var ok [2]bool
	h.seq, ok[0] = fields[9].(uint64)
	h.chunk, ok[1] = fields[10].(uint32)
	if !ok[0] || !ok[1] {
		return h, fmt.Errorf("counters are %T and %T", fields[9], fields[10])
	}
	return h, nil
}

// watch sees every datagram of a fleet from now on: it records them, lets rules drop them, and watches over freshness.
type watch struct {
	f *fleet

	mu    sync.Mutex
	all   []sent
	rules []func(d sent) bool // false: dropped. Called with the lock held

	sealed map[string][32]byte // what was sealed under a nonce, and what was sent for a label and chunk
	lives  map[string]string   // the process that sent shares of a computation
}

func (f *fleet) watch() *watch {
	w := &watch{f: f, sealed: map[string][32]byte{}, lives: map[string]string{}}
	f.net.Tap(w.see)
	f.t.Cleanup(func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.rules = nil
	})
	return w
}

func (w *watch) see(g *simontest.Datagram) bool {
	d := sent{g.From, g.To, bytes.Clone(g.Body)}
	var boot string
	if m := w.f.members[g.From]; m != nil {
		m.mu.Lock()
		boot = m.node.boot
		m.mu.Unlock()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, d)
	if d.kind() == kindShare {
		w.fresh(d, boot)
	}
	pass := true
	for _, rule := range w.rules {
		pass = rule(d) && pass
	}
	return pass
}

// fresh fails the test where two ciphertexts share a nonce or a label, or where a process goes on with shares of another.
func (w *watch) fresh(d sent, boot string) {
	t := w.f.t
	h, err := decodeShare(d.message())
	if err != nil {
		t.Errorf("share message of %s: %v", d.from, err)
		return
	}
	sum := sha256.Sum256(d.body)
	for _, key := range []string{
		fmt.Sprintf("nonce %s %s %s %d", h.sid, h.from, h.to, h.seq),
		fmt.Sprintf("label %s %s %s %s %d", h.sid, h.from, h.to, h.label, h.chunk),
	} {
		if old, ok := w.sealed[key]; ok && old != sum {
			t.Errorf("%s sent two ciphertexts for one %s", d.from, key)
		}
		w.sealed[key] = sum
	}
	key := h.sid + d.from
	if old, ok := w.lives[key]; ok && old != boot {
		t.Errorf("%s sends shares of computation %.8s after a restart", d.from, h.sid)
	}
	w.lives[key] = boot
}

// rule adds a rule.
func (w *watch) rule(f func(d sent) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rules = append(w.rules, f)
}

// unheardAtFirst loses all that a party sends in the first attempt at a computation.
func (w *watch) unheardAtFirst(id uuid.UUID, party string) {
	var first [32]byte
	w.rule(func(d sent) bool {
		if !is(kindShare, id)(d) {
			return true
		}
		if first == [32]byte{} {
			first = d.sid()
		}
		return d.sid() != first || d.from != party
	})
}

// open takes all rules away.
func (w *watch) open() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rules = nil
}

// seen returns the datagrams so far for which f is true; nil: all.
func (w *watch) seen(f func(d sent) bool) []sent {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []sent
	for _, d := range w.all {
		if f == nil || f(d) {
			out = append(out, d)
		}
	}
	return out
}

// await waits for the n-th datagram for which f is true and returns it.
func (w *watch) await(n int, f func(d sent) bool) sent {
	w.f.t.Helper()
	var got []sent
	w.f.await("a datagram", func() bool { got = w.seen(f); return len(got) >= n })
	return got[n-1]
}

// await looks until cond is true.
func (f *fleet) await(what string, cond func() bool) {
	f.t.Helper()
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for until := time.Now().Add(patience); !cond(); <-look.C {
		if time.Now().After(until) {
			f.t.Fatalf("%s did not come", what)
		}
	}
}

// settle waits until nothing is under way on the network.
func (f *fleet) settle() {
	f.t.Helper()
	f.await("silence", func() bool {
		c := f.net.Count()
		return c.Sent+c.Duplicated == c.Delivered+c.Lost
	})
	f.recorded()
}

// recorded waits until the ledgers say what the released results do: the line is written beside the release, not before.
func (f *fleet) recorded() {
	f.t.Helper()
	f.await("the lines of done jobs to be done", func() bool {
		for _, m := range f.members {
			if m.dead() {
				continue
			}
			store := m.current()
			lines, err := store.Lines(f.t.Context())
			must(f.t, err)
			for _, l := range lines {
				if l.State != jobs.LineCommitted {
					continue
				}
				if j, err := store.Get(f.t.Context(), l.Job); err == nil && j.State == jobs.Done {
					return false
				}
			}
		}
		return true
	})
	for _, m := range f.members {
		m.mu.Lock()
		n, dead := m.node, m.stopped
		m.mu.Unlock()
		if !dead {
			n.Seat().Wait() // until the step has been told, too
		}
	}
}

func is(kind string, id uuid.UUID) func(d sent) bool {
	return func(d sent) bool { return d.kind() == kind && d.uuid() == id }
}

// state is all that the members have written, with revisions: equal states mean that nothing was written in between.
func (f *fleet) state() map[string]string {
	f.t.Helper()
	out := map[string]string{}
	for name, m := range f.members {
		list, err := m.current().List(f.t.Context(), "test")
		must(f.t, err)
		for _, j := range list {
			out[name+" job "+j.ID.String()] = fmt.Sprintf("%s, revision %d", j.State, j.Revision)
		}
		lines, err := m.current().Lines(f.t.Context())
		must(f.t, err)
		for _, l := range lines {
			out[fmt.Sprintf("%s line %x", name, l.SID[:4])] = fmt.Sprintf("%s, revision %d", l.State, l.Revision)
		}
	}
	return out
}

func wantState(t *testing.T, when string, got, want map[string]string) {
	t.Helper()
	for _, k := range slices.Sorted(maps.Keys(want)) {
		if got[k] != want[k] {
			t.Errorf("%s: %s is %q, was %q", when, k, got[k], want[k])
		}
	}
	if len(got) != len(want) {
		t.Errorf("%s: %d records, were %d", when, len(got), len(want))
	}
}

// lines are the states of a computation's ledger lines by party.
func (f *fleet) lines(sid [32]byte) map[string]jobs.LineState {
	f.t.Helper()
	out := map[string]jobs.LineState{}
	for name, m := range f.members {
		if l, err := m.current().Line(f.t.Context(), sid); err == nil {
			out[name] = l.State
		}
	}
	return out
}

// submitAll gives every party's part of a sum.
func (f *fleet) submitAll(id uuid.UUID, values map[string]string) map[string]jobs.Job {
	f.t.Helper()
	all := map[string]jobs.Job{}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		all[name] = f.submit(name, id, values[name], patience)
	}
	return all
}

// endedAll waits for the end of jobs by party.
func (f *fleet) endedAll(all map[string]jobs.Job) map[string]jobs.Job {
	f.t.Helper()
	out := map[string]jobs.Job{}
	for name, j := range all {
		out[name] = f.members[name].ended(j.ID, patience)
	}
	return out
}

// reached waits until a job is in a state, over restarts of its node.
func (m *member) reached(j jobs.Job, s jobs.State) {
	m.fleet.t.Helper()
	m.fleet.await(fmt.Sprintf("%s: state %s", m.name, s), func() bool {
		now, err := m.current().Get(m.fleet.t.Context(), j.ID)
		return err == nil && now.State == s
	})
}

var data = map[string]string{"alice": "19", "bob": "5", "carol": "61"} // sum 85

// What a broker sees does not depend on the data: who sends what to whom, and how long it is. Repetitions are left out:
// they come from timers, and are the same bytes again; so are asks, which a timer sends.
func TestTrafficDoesNotDependOnData(t *testing.T) {
	f := newFleet(t, simontest.Faults{}, three...)
	w := f.watch()
	f.wantSum(f.sumAll(uuid.New(), data), "85", "3")
	shape := func(values map[string]string) map[string]int {
		id := uuid.New()
		all := map[string]jobs.Job{}
		for _, name := range three { // in this order: the coordinator's answers depend on it, by who has joined already
			all[name] = f.submit(name, id, values[name], patience)
			w.await(1, func(d sent) bool { return d.from == "coordinator" && d.to == name && d.uuid() == id })
		}
		for name, j := range f.endedAll(all) {
			if j.State != jobs.Done || j.Attempt != 1 {
				t.Fatalf("%s: %s in attempt %d: %v", name, j.State, j.Attempt, j.Problem)
			}
		}
		f.settle()
		out, known := map[string]int{}, map[string]bool{}
		for _, d := range w.seen(func(d sent) bool { return d.uuid() == id && d.kind() != kindAsk }) {
			if key := d.from + " " + d.to + " " + string(d.body); !known[key] {
				known[key] = true
				out[fmt.Sprintf("%s from %s to %s, %d bytes", d.kind(), d.from, d.to, len(d.body))]++
			}
		}
		return out
	}
	lists := []map[string]string{
		{"alice": "[0,0,0]", "bob": "[0,0,0]", "carol": "[0,0,0]"},
		{"alice": "[1,-1,0.5]", "bob": "[98765432109876543210,1e-20,-0.00000000000000000001]", "carol": "[-1e22,-7,3]"},
	}
	want := shape(lists[0])
	for k, n := range shape(lists[1]) {
		if want[k] != n {
			t.Errorf("%d × %s, with other data %d", n, k, want[k])
		}
		delete(want, k)
	}
	for k, n := range want {
		t.Errorf("%d × %s, with other data none", n, k)
	}
}

// A warm computation takes four hops: JOIN, START, shares, CONFIRM, whether it is a sum or all moments; where the policy asks
// for a look at the pool, one more. The network here is in lockstep: no datagram of a hop
// arrives before all of that hop are sent, so that none can depend on another of the same hop; and a logical clock, one
// more than all its sender had received, tells that each hop needs the one before it.
func TestHops(t *testing.T) {
	warm := map[string][]int{kindJoin: {1, 1, 1}, kindStart: {2, 2, 2}, kindShare: {3, 3, 3, 3, 3, 3}, kindNotice: {4, 4, 4, 4, 4, 4}}
	guarded := map[string][]int{kindJoin: {1, 1, 1}, kindStart: {2, 2, 2}, kindShare: {3, 3, 3, 3, 3, 3, 4, 4, 4, 4, 4, 4}, kindNotice: {5, 5, 5, 5, 5, 5}}
	t.Run("SecureSum", func(t *testing.T) { testHops(t, "SecureSum", simon.Guard{}, warm) })
	t.Run("StatisticsUnivariate", func(t *testing.T) { testHops(t, "StatisticsUnivariate", simon.Guard{}, warm) })
	t.Run("with a guard", func(t *testing.T) {
		testHops(t, "StatisticsUnivariate", simon.Guard{Samples: 3, Contributors: 3}, guarded)
	})
}

func testHops(t *testing.T, microprotocol string, g simon.Guard, want map[string][]int) {
	f := newFleet(t, simontest.Faults{}, three...)
	f.terms.round, f.computes, f.guard = patience, microprotocol, g
	w := f.watch()
	f.wantSum(f.sumAll(uuid.New(), data), "85", "3")
	f.wantSum(f.sumAll(uuid.New(), data), "85", "3") // nobody waits for an INIT any more
	f.settle()

	id := uuid.New()
	sizes := map[string]int{kindJoin: 3, kindStart: 3, kindShare: 6, kindNotice: 6}
	var (
		mu      sync.Mutex
		clock   = map[string]int{} // latest step that a node has received
		steps   = map[string][]int{}
		known   = map[string]bool{}
		held    = map[string][]sent{}
		arrived sync.WaitGroup
	)
	center := f.net.Endpoint("coordinator", nil) // from here on nothing comes to it but by arrive
	arrive := func(d sent, step int) {           // on a goroutine of its own, as a datagram does
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
			return d.uuid() != id // whom the coordinator waits for is for people
		}
		mu.Lock()
		defer mu.Unlock()
		key := d.from + " " + d.to + " " + string(d.body)
		if known[key] || kind == kindAsk {
			return false // a timer's
		}
		known[key] = true
		steps[kind] = append(steps[kind], clock[d.from]+1)
		if held[kind] = append(held[kind], d); len(held[kind]) == sizes[kind] {
			step := slices.Max(steps[kind])
			for _, d := range held[kind] {
				arrived.Go(func() { arrive(d, step) })
			}
			held[kind] = nil
		}
		return false
	})
	f.wantSum(f.sumAll(id, data), "85", "3")
	arrived.Wait()
	mu.Lock()
	defer mu.Unlock()
	if !maps.EqualFunc(steps, want, slices.Equal) {
		t.Errorf("steps %v, want %v", steps, want)
	}
	for _, m := range f.catalogue {
		if m.Name == microprotocol && m.Hops != 4 {
			t.Errorf("the description says %d hops", m.Hops)
		}
	}
}

// stateNames prints the states of lines in the order of names.
func stateNames(m map[string]jobs.LineState) string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		out = append(out, name+" "+m[name].String())
	}
	return strings.Join(out, ", ")
}
