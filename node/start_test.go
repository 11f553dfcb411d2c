package node

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/coordinator"
	"github.com/weftmpc/weft/jobs"
	"github.com/weftmpc/weft/simon/simontest"
)

// said counts the log records with one message.
type said struct {
	slog.Handler
	message string
	got     chan string
}

func (h said) Enabled(context.Context, slog.Level) bool { return true }

func (h said) WithAttrs([]slog.Attr) slog.Handler { return h }

func (h said) Handle(_ context.Context, r slog.Record) error {
	if r.Message == h.message {
		text := ""
		r.Attrs(func(a slog.Attr) bool { text += a.Key + "=" + a.Value.String() + " "; return true })
		h.got <- text
	}
	return nil
}

// again starts all nodes anew, after a change of the fleet that only a new process sees.
func (f *fleet) again() {
	for _, m := range f.members {
		m.stop()
		m.start()
	}
}

func answerWith(id uuid.UUID, start []byte) []byte {
	return coordinator.Answer{Kind: coordinator.AnswerStart, UUID: id, Start: start}.Encode()
}

// carries reports whether a START has the very JOIN own, so that a node that holds it open must judge the START.
func carries(start []byte, own coordinator.Signed) bool {
	s, err := coordinator.DecodeStart(start)
	if err != nil {
		return false
	}
	for _, j := range s.Joins {
		if bytes.Equal(j.Own, own.Own) && j.Sig == own.Sig {
			return true
		}
	}
	return false
}

// A START that differs from what the parties signed in a single byte, wherever that is, starts nothing: no share leaves the
// party that got it, the job goes on waiting, and the true START is served when it comes.
func TestAlteredStart(t *testing.T) {
	victims, stride := three, 1
	if testing.Short() {
		victims, stride = victims[2:], 37
	}
	alterStarts(newFleet(t, simontest.Faults{}, three...), victims, stride)
}

// alterStarts alters each START of one computation for each of the victims, in every byte that the stride comes to.
func alterStarts(f *fleet, victims []string, stride int) {
	t := f.t
	refused := make(chan string, 64)
	f.logger = slog.New(said{slog.DiscardHandler, "START refused", refused})
	f.terms.round, f.terms.limit = 2*patience, 4*patience
	f.again()
	w := f.watch()
	f.wantSum(f.sumAll(uuid.UUID{1}, data), "85", "3")
	older := w.seen(func(d sent) bool { return d.kind() == kindStart })[0] // of another computation of the same parties
	for _, victim := range victims {
		id := uuid.New()
		w.rule(func(d sent) bool { return !(is(kindStart, id)(d) && d.to == victim) })
		all := f.submitAll(id, data)
		held := w.await(1, func(d sent) bool { return is(kindStart, id)(d) && d.to == victim })
		a, err := coordinator.DecodeAnswer(held.message())
		must(t, err)
		start, err := coordinator.DecodeStart(a.Start)
		must(t, err)
		var own coordinator.Signed
		for i, j := range start.Joins {
			if fp := f.ids[victim].FP(); bytes.HasPrefix(j.Own, fp[:]) {
				own = start.Joins[i]
			}
		}
		m, judged := f.members[victim], 0
		try := func(what string, altered []byte) {
			t.Helper()
			m.node.Seat().DeliverAnswer(answerWith(id, altered))
			if !carries(altered, own) {
				return // dropped, or answered for a JOIN that is not open: judged below, by what left
			}
			judged++
			select {
			case <-refused:
			case <-time.After(patience):
				t.Fatalf("%s: a START with %s is not refused", victim, what)
			}
		}
		for at := 0; at < len(a.Start); at += stride {
			b := bytes.Clone(a.Start)
			b[at] ^= 1 << (at % 8)
			try(fmt.Sprintf("byte %d changed", at), b)
		}
		for what, change := range map[string]func(s *coordinator.Start){
			"two JOINs exchanged":          func(s *coordinator.Start) { s.Joins[0], s.Joins[1] = s.Joins[1], s.Joins[0] },
			"a JOIN less":                  func(s *coordinator.Start) { s.Joins = s.Joins[:len(s.Joins)-1] },
			"a JOIN twice":                 func(s *coordinator.Start) { s.Joins = append(s.Joins, s.Joins[0]) },
			"one JOIN in place of another": func(s *coordinator.Start) { s.Joins[0] = s.Joins[2] },
			"JOINs of another computation": func(s *coordinator.Start) {
				a, err := coordinator.DecodeAnswer(older.message())
				must(t, err)
				other, err := coordinator.DecodeStart(a.Start)
				must(t, err)
				for i := range s.Joins {
					if !bytes.Equal(s.Joins[i].Own, own.Own) {
						s.Joins[i] = other.Joins[i]
					}
				}
			},
		} {
			s := start
			s.Joins = append([]coordinator.Signed(nil), start.Joins...)
			change(&s)
			try(what, s.Encode())
		}
		if judged < len(a.Start)/stride/3 {
			t.Errorf("%s: only %d of the altered STARTs came as far as to be judged", victim, judged)
		}
		if shares := w.seen(func(d sent) bool { return is(kindShare, id)(d) && d.from == victim }); len(shares) > 0 {
			t.Errorf("%s: %d share messages left for altered STARTs", victim, len(shares))
		}
		if j, err := m.current().Get(t.Context(), all[victim].ID); err != nil || j.State != jobs.Waiting || j.Attempt != 1 {
			t.Errorf("%s: %v in attempt %d, want waiting in attempt 1 (%v)", victim, j, j.Attempt, err)
		}
		m.node.Seat().DeliverAnswer(held.message())
		ended := f.endedAll(all)
		f.wantSum(ended, "85", "3")
		for name, j := range ended {
			if j.Attempt != 1 {
				t.Errorf("%s: attempt %d", name, j.Attempt)
			}
		}
		f.wantOneLine(id, jobs.LineDone)
		w.open()
	}
	f.checkInvariants()
}

// wantOneLine wants every party's ledger to hold one line for a uuid, in the given state.
func (f *fleet) wantOneLine(id uuid.UUID, s jobs.LineState) {
	f.t.Helper()
	f.recorded()
	for name, m := range f.members {
		lines, err := m.current().Lines(f.t.Context())
		must(f.t, err)
		n := 0
		for _, l := range lines {
			if l.UUID == id {
				n++
				if l.State != s {
					f.t.Errorf("%s: line %x is %s, want %s", name, l.SID[:4], l.State, s)
				}
			}
		}
		if n != 1 {
			f.t.Errorf("%s: %d lines for the computation, want 1", name, n)
		}
	}
}

// A coordinator shows different parties different JOINs of alice, both signed by her: an older one, which she has replaced,
// and the newer. The two computations that come of it have nothing in common: not even with the name of the computation
// rewritten does a share of one open in the other, and both end without a result. Then an honest coordinator takes over.
func TestSplitView(t *testing.T) {
	f := newFleet(t, simontest.Faults{}, three...)
	f.wantSum(f.sumAll(uuid.New(), data), "85", "3")
	f.terms.round = time.Second
	w, id := f.watch(), uuid.New()
	mine := func(d sent) bool { return d.uuid() == id }
	w.rule(func(d sent) bool { return !mine(d) || (d.to != "coordinator" && d.from != "coordinator") })
	join := func(name string, n int) (common []byte, s coordinator.Signed) {
		var joins []sent
		known := map[string]bool{}
		f.await("a JOIN of "+name, func() bool {
			joins = joins[:0]
			clear(known)
			for _, d := range w.seen(is(kindJoin, id)) {
				if d.from == name && !known[string(d.body)] {
					known[string(d.body)] = true
					joins = append(joins, d)
				}
			}
			return len(joins) >= n
		})
		j, err := coordinator.DecodeJoin(joins[n-1].message())
		must(t, err)
		return j.Common, j.Signed
	}
	replaced := f.submit("alice", id, "1000", patience)
	common, old := join("alice", 1)
	all := f.submitAll(id, data)
	_, fresh := join("alice", 2)
	_, bob := join("bob", 1)
	_, carol := join("carol", 1)
	c, err := coordinator.DecodeCommon(common)
	must(t, err)
	start := func(alice coordinator.Signed) coordinator.Start {
		by := map[string]coordinator.Signed{}
		for name, s := range map[string]coordinator.Signed{"alice": alice, "bob": bob, "carol": carol} {
			fp := f.ids[name].FP()
			by[string(fp[:])] = s
		}
		s := coordinator.Start{Common: common}
		for _, fp := range c.Parties {
			s.Joins = append(s.Joins, by[string(fp[:])])
		}
		return s
	}
	forBob, forOthers := start(old), start(fresh)
	sids := [2][32]byte{forBob.SID(), forOthers.SID()}
	if sids[0] == sids[1] {
		t.Fatal("two STARTs with different JOINs have one sid")
	}
	crossed, shown := 0, sync.WaitGroup{}
	w.rule(func(d sent) bool { // every share of one computation is shown to the other as if it were its own
		for i, sid := range sids {
			if mine(d) && d.kind() == kindShare && d.sid() == sid {
				other := sids[1-i]
				b := bytes.Replace(d.body, sid[:], other[:], 1)
				shown.Go(func() { f.members[d.to].receive(d.from, b) })
				crossed++
			}
		}
		return true
	})
	f.members["bob"].node.Seat().DeliverAnswer(answerWith(id, forBob.Encode()))
	f.members["alice"].node.Seat().DeliverAnswer(answerWith(id, forOthers.Encode()))
	f.members["carol"].node.Seat().DeliverAnswer(answerWith(id, forOthers.Encode()))
	w.await(1, func(d sent) bool { n, ok := d.notice(); return ok && n.SID == sids[0] && !n.Confirm })
	w.await(1, func(d sent) bool { n, ok := d.notice(); return ok && n.SID == sids[1] && !n.Confirm })
	w.open()
	shown.Wait()
	ended := f.endedAll(all)
	f.wantSum(ended, "85", "3")
	if j := f.members["alice"].ended(replaced.ID, patience); j.State != jobs.Failed || j.Problem.Reason != "replaced" {
		t.Errorf("the replaced request: %s %v", j.State, j.Problem)
	}
	if got := stateNames(f.lines(sids[0])); got != "bob aborted" {
		t.Errorf("lines of the computation with alice's old JOIN: %s", got)
	}
	if got := stateNames(f.lines(sids[1])); got != "alice aborted, carol aborted" {
		t.Errorf("lines of the computation with alice's new JOIN: %s", got)
	}
	if n := len(w.seen(func(d sent) bool {
		n, ok := d.notice()
		return ok && n.Confirm && (n.SID == sids[0] || n.SID == sids[1])
	})); n > 0 {
		t.Errorf("%d CONFIRMs for computations with two views", n)
	}
	if crossed < 4 {
		t.Errorf("only %d shares were shown to the other computation", crossed)
	}
	f.checkInvariants()
}
