package node

import (
	"bytes"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/jobs"
	"github.com/weftmpc/weft/node/seat"
	"github.com/weftmpc/weft/node/session"
	"github.com/weftmpc/weft/simon/simontest"
)

// pairs are the ordered pairs of three parties.
func pairs() (all [][2]string) {
	for _, a := range three {
		for _, b := range three {
			if a != b {
				all = append(all, [2]string{a, b})
			}
		}
	}
	return all
}

// drops is a rule that loses the first notices of one signer on their way to one party, whoever relays them.
type drops struct {
	confirm     bool
	signer, to  string
	link        bool // only those that come from the signer itself
	limit, done int
}

func (f *fleet) drop(w *watch, id uuid.UUID, r *drops) {
	fp := f.ids[r.signer].FP()
	w.rule(func(d sent) bool {
		n, ok := d.notice()
		if !ok || d.uuid() != id || d.to != r.to || n.FP != fp || n.Confirm != r.confirm || (r.link && d.from != r.signer) {
			return true
		}
		if r.done >= r.limit {
			return true
		}
		r.done++
		return false
	})
}

// lost are the ways in which a notice is lost: once; always, from its signer; and many times, from everybody.
func lost(confirm bool) (all []*drops) {
	for _, p := range pairs() {
		all = append(all,
			&drops{confirm: confirm, signer: p[0], to: p[1], limit: 1},
			&drops{confirm: confirm, signer: p[0], to: p[1], limit: 1 << 30, link: true},
			&drops{confirm: confirm, signer: p[0], to: p[1], limit: 3})
	}
	return all
}

// Each CONFIRM between two parties is lost: once, for a while, and for good on its own link, where the third party relays
// it. All computations are done in their first attempt.
func TestLostConfirm(t *testing.T) {
	f := newFleet(t, simontest.Faults{}, three...)
	f.terms.round = 10 * time.Second
	w := f.watch()
	var rules []*drops
	var all []map[string]jobs.Job
	for _, r := range lost(true) {
		id := uuid.New()
		f.drop(w, id, r)
		rules, all = append(rules, r), append(all, f.submitAll(id, data))
	}
	for i, submitted := range all {
		r, ended := rules[i], f.endedAll(submitted)
		f.wantSum(ended, "85", "3")
		for name, j := range ended {
			if j.Attempt != 1 {
				t.Errorf("CONFIRM of %s lost on its way to %s: %s needed %d attempts", r.signer, r.to, name, j.Attempt)
			}
		}
	}
	w.open()
	for _, r := range rules {
		if r.done == 0 || (!r.link && r.done != r.limit) {
			t.Errorf("only %d CONFIRMs of %s were lost on their way to %s", r.done, r.signer, r.to)
		}
	}
	f.checkInvariants()
}

// One party never gets the others' shares and gives up; its ABORT is lost on its way to a party that has confirmed: once,
// for a while, and for good on its own link. Nobody completes the computation, all try again, and that attempt is done.
func TestLostAbort(t *testing.T) {
	t.Parallel()
	f := newFleet(t, simontest.Faults{}, three...)
	f.wantSum(f.sumAll(uuid.New(), data), "85", "3")
	f.terms.round = 3 * time.Second // long enough for all who hear each other, on a busy machine, too
	w := f.watch()
	type scene struct {
		*drops
		id    uuid.UUID
		first [32]byte // sid of the first attempt
		all   map[string]jobs.Job
	}
	var scenes []*scene
	for _, r := range lost(false) {
		s := &scene{drops: r, id: uuid.New()}
		f.drop(w, s.id, r)
		w.rule(func(d sent) bool {
			if !is(kindShare, s.id)(d) {
				return true
			}
			if s.first == [32]byte{} {
				s.first = d.sid()
			}
			return d.sid() != s.first || d.to != s.signer
		})
		s.all = f.submitAll(s.id, data)
		scenes = append(scenes, s)
	}
	for _, s := range scenes {
		ended := f.endedAll(s.all)
		f.wantSum(ended, "85", "3")
		for name, state := range f.lines(s.first) {
			want := jobs.LinePeerAborted
			if name == s.signer {
				want = jobs.LineAborted
			}
			if state != want {
				t.Errorf("ABORT of %s lost on its way to %s: the line of %s is %s, want %s", s.signer, s.to, name, state, want)
			}
		}
	}
	w.open()
	for _, s := range scenes {
		if s.done == 0 || (!s.link && s.done != s.limit) {
			t.Errorf("only %d ABORTs of %s were lost on their way to %s", s.done, s.signer, s.to)
		}
	}
	f.checkInvariants()
}

// killAt kills a member when it comes to a step for the k-th time; the channel is closed then.
func (m *member) killAt(step string, k int) <-chan bool {
	killed, seen, mu := make(chan bool), 0, sync.Mutex{}
	m.onStep(func(s string) {
		mu.Lock()
		defer mu.Unlock()
		if s == step {
			if seen++; seen == k {
				m.kill()
				close(killed)
			}
		}
	})
	return killed
}

// A party dies after its commit, before its CONFIRM is out, or between the first CONFIRM and the second. When it comes back
// it is cut off: it waits, and signs nothing else. As soon as the others answer, all are done, in the first attempt.
func TestCommittedPartyComesBack(t *testing.T) {
	f := newFleet(t, simontest.Faults{}, three...)
	f.wantSum(f.sumAll(uuid.New(), data), "85", "3")
	w, bob := f.watch(), f.members["bob"]
	for step, othersDone := range map[string]bool{"line committed": false, "after send 4": true} {
		killed, id := bob.killAt(step, 1), uuid.New()
		all := f.submitAll(id, data)
		<-killed
		bob.onStep(nil)
		for _, name := range []string{"alice", "carol"} {
			if othersDone { // one has bob's CONFIRM, and relays it
				f.members[name].ended(all[name].ID, patience)
			} else {
				f.members[name].reached(all[name], jobs.Committed)
			}
		}
		f.net.Isolate("bob")
		bob.restart()
		asked := func(d sent) bool { return is(kindAsk, id)(d) && d.from == "bob" }
		w.await(len(w.seen(asked))+4, asked) // twice to both
		for name, j := range all {
			now, err := f.members[name].current().Get(t.Context(), j.ID)
			if err != nil || (now.State != jobs.Committed && (name == "bob" || !othersDone)) {
				t.Errorf("%s: %s: %v while bob is cut off, want committed (%v)", step, name, now, err)
			}
		}
		f.net.Rejoin("bob")
		ended := f.endedAll(all)
		f.wantSum(ended, "85", "3")
		for name, j := range ended {
			if j.Attempt != 1 {
				t.Errorf("%s: %s needed %d attempts", step, name, j.Attempt)
			}
		}
		f.wantOneLine(id, jobs.LineDone)
	}
	f.checkInvariants()
}

// A party dies after its commit and stays away. The others wait until the computation's hold time is over, then fail: they
// name it, and say that others may have the result. So does the party itself when it comes back.
func TestPartyNeverConfirms(t *testing.T) {
	f := newFleet(t, simontest.Faults{}, three...)
	f.wantSum(f.sumAll(uuid.New(), data), "85", "3")
	w, bob, id := f.watch(), f.members["bob"], uuid.New()
	killed := bob.killAt("line committed", 1)
	all := f.submitAll(id, data)
	<-killed
	bob.onStep(nil)
	confirm := func(from, to string) func(d sent) bool {
		return func(d sent) bool { return is(kindNotice, id)(d) && d.from == from && d.to == to }
	}
	forAlice, forCarol := w.await(1, confirm("carol", "alice")), w.await(1, confirm("alice", "carol"))
	wake := func() { // a notice that is known already: its only effect is that the clock is looked at
		f.members["alice"].receive("carol", bytes.Clone(forAlice.body))
		f.members["carol"].receive("alice", bytes.Clone(forCarol.body))
	}
	for _, name := range []string{"alice", "carol"} {
		f.members[name].reached(all[name], jobs.Committed)
	}
	hold := f.terms.limit + 2*time.Minute
	f.ahead.Store(int64(hold - patience)) // not yet: the test has taken less than that
	asks := func(d sent) bool { return is(kindAsk, id)(d) && d.from != "bob" }
	n := len(w.seen(asks))
	wake()
	w.await(n+4, asks)
	for _, name := range []string{"alice", "carol"} {
		if j, err := f.members[name].current().Get(t.Context(), all[name].ID); err != nil || j.State != jobs.Committed {
			t.Errorf("%s: %v before the time is over, want committed (%v)", name, j, err)
		}
	}
	f.ahead.Store(int64(hold + time.Second))
	f.await("the end of alice's and carol's jobs", func() bool {
		wake()
		for _, name := range []string{"alice", "carol"} {
			if j, err := f.members[name].current().Get(t.Context(), all[name].ID); err != nil || !j.Terminal() {
				return false
			}
		}
		return true
	})
	w.rule(func(d sent) bool { return !is(kindNotice, id)(d) || d.to != "bob" }) // he might be told before he looks at the clock
	bob.restart()
	for name, j := range f.endedAll(all) {
		if j.State != jobs.Failed || j.Problem.Code != 504 || j.Problem.Reason != "not-confirmed" {
			t.Fatalf("%s: %s %+v, want not-confirmed", name, j.State, j.Problem)
		}
		missing := "not confirmed by bob in time"
		if name == "bob" {
			missing = "not confirmed by"
		}
		if text := j.Problem.Message; !strings.Contains(text, missing) || !strings.Contains(text, "others may have the result") {
			t.Errorf("%s: %q", name, text)
		}
		if len(j.Result.Inline) > 0 || j.Attempt != 1 {
			t.Errorf("%s: a result, or attempt %d", name, j.Attempt)
		}
	}
	f.wantOneLine(id, jobs.LineFailed)
	w.open()
	f.wantSum(f.sumAll(id, data), "85", "3")
	f.checkInvariants()
}

// Forged notices, made of what a broker sees or signed by another party, change nothing: neither before the receiver's
// commit nor after it. What ends the computation is bob's own CONFIRM.
func TestForgedNotices(t *testing.T) {
	f := newFleet(t, simontest.Faults{}, three...)
	f.terms.round = patience
	w := f.watch()
	f.wantSum(f.sumAll(uuid.New(), data), "85", "3")
	older := w.await(1, func(d sent) bool { n, ok := d.notice(); return ok && d.from == "bob" && n.FP == f.ids["bob"].FP() })
	old, _ := older.notice()
	id, bob, carol := uuid.New(), f.ids["bob"], f.ids["carol"]
	w.rule(func(d sent) bool { // nothing of bob's reaches alice, who lacks his share at first
		return !(is(kindShare, id)(d) && d.to == "alice" && d.from == "bob")
	})
	w.rule(func(d sent) bool { n, ok := d.notice(); return !ok || d.uuid() != id || n.FP != bob.FP() })
	all := f.submitAll(id, data)
	share := w.await(1, func(d sent) bool { return is(kindShare, id)(d) && d.from == "bob" && d.to == "alice" })
	sid := share.sid()
	forge := func(real session.Notice) {
		th := real.TH
		th[0] ^= 1
		own := func(n session.Notice) session.Notice { n.FP = bob.FP(); return n }
		moved := old
		moved.SID = sid
		otherTH, otherRH, abort := real, real, real
		otherTH.TH, otherRH.RH[31] = th, real.RH[31]^1
		abort.Confirm, abort.Code = false, seat.CodeEquivocation
		forged := []session.Notice{
			own(session.SignConfirm(carol, sid, real.TH, real.RH)), own(session.SignConfirm(f.center, sid, th, real.RH)),
			own(session.SignAbort(carol, sid, seat.CodeFailure)), own(session.SignAbort(f.center, sid, seat.CodeRefused)),
			session.SignAbort(f.center, sid, seat.CodeFailure), // nobody's in this computation
			session.SignAbort(bob, old.SID, seat.CodeFailure),  // of another computation
			old, moved, otherTH, otherRH, abort,
		}
		for _, n := range forged {
			for _, to := range []string{"alice", "carol"} {
				for _, from := range []string{"bob", "alice", "carol"} {
					if from != to {
						f.members[to].receive(from, append(bytes.Clone(id[:]), n.Encode()...))
					}
				}
			}
		}
	}
	forge(session.Notice{SID: sid, FP: bob.FP(), Confirm: true})
	f.members["carol"].reached(all["carol"], jobs.Committed)
	f.members["alice"].reached(all["alice"], jobs.Started) // and it stays there: nothing forged has ended it
	f.members["alice"].receive("bob", bytes.Clone(share.body))
	f.members["alice"].reached(all["alice"], jobs.Committed)
	kept := w.await(1, func(d sent) bool { n, ok := d.notice(); return ok && n.SID == sid && n.FP == bob.FP() })
	real, _ := kept.notice()
	forge(real)
	asks := func(d sent) bool { return is(kindAsk, id)(d) && d.from == "alice" }
	w.await(len(w.seen(asks))+2, asks) // alice still lacks a notice
	w.open()
	ended := f.endedAll(all)
	f.wantSum(ended, "85", "3")
	f.wantOneLine(id, jobs.LineDone)
	for _, name := range []string{"alice", "carol"} {
		line, err := f.members[name].current().Line(t.Context(), sid)
		must(t, err)
		if !slices.ContainsFunc(line.Notices, func(b []byte) bool { return bytes.Equal(b, real.Encode()) }) {
			t.Errorf("%s: bob's CONFIRM is not in the ledger", name)
		}
		if ended[name].Attempt != 1 {
			t.Errorf("%s: attempt %d", name, ended[name].Attempt)
		}
	}
	f.checkInvariants()
}
