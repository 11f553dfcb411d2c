package node

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/weftmpc/weft/broker"
	"github.com/weftmpc/weft/coordinator"
	"github.com/weftmpc/weft/jobs"
	"github.com/weftmpc/weft/node/policy"
	"github.com/weftmpc/weft/simon/simontest"
)

// hooked is a member's ledger whose calls a test may bend.
type hooked struct {
	*probedLedger
	update func(ctx context.Context, l jobs.Line) (jobs.Line, error) // nil: the store's
	listed func()                                                    // called when Lines has read
}

func (h *hooked) UpdateLine(ctx context.Context, l jobs.Line) (jobs.Line, error) {
	if h.update != nil {
		return h.update(ctx, l)
	}
	return h.probedLedger.UpdateLine(ctx, l)
}

func (h *hooked) Lines(ctx context.Context) ([]jobs.Line, error) {
	lines, err := h.probedLedger.Lines(ctx)
	if h.listed != nil {
		h.listed()
	}
	return lines, err
}

// bend starts a member that has stopped over a ledger that bend has changed. The channel gets what Run returns.
func (m *member) bend(bend func(h *hooked)) <-chan error {
	t := m.fleet.t
	t.Helper()
	store, err := jobs.Open(t.Context(), m.private.Conn, jobs.Options{Ledger: m.private.Ledger, Logger: m.fleet.logger, Now: m.fleet.now})
	must(t, err)
	h := &hooked{probedLedger: &probedLedger{store, m}}
	n, err := New(Config{
		Identity: m.fleet.ids[m.name], Roots: m.fleet.roots, Parties: m.fleet.peers, Coordinator: m.fleet.center.FP(),
		Policy: policy.Policy{Profile: m.fleet.profile}, Catalogue: m.fleet.catalogue, Jobs: store, Transport: m,
		StoreKey: m.key, Now: m.fleet.now, Logger: m.fleet.logger.With("node", m.name),
		ledger: h, probe: func(step string) { m.at("job " + step) },
	})
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	m.mu.Lock()
	m.store, m.node, m.cancel, m.stopped, m.done = store, n, cancel, false, make(chan struct{})
	done := m.done
	m.mu.Unlock()
	bend(h)
	ended := make(chan error, 1)
	go func() {
		defer close(done)
		ended <- n.Run(ctx)
	}()
	return ended
}

// The write of "committed" arrives, its acknowledgement does not. The line holds the CONFIRM then, and the others get it
// when they ask: so this node must not try again, or the next data of the others would meet its old data.
func TestCommitWithoutAcknowledgement(t *testing.T) {
	t.Parallel()
	f := newFleet(t, simontest.Faults{}, three...)
	bob, id := f.members["bob"], uuid.New()
	bob.stop()
	var once sync.Once
	bob.bend(func(h *hooked) {
		h.update = func(ctx context.Context, l jobs.Line) (stored jobs.Line, err error) {
			stored, err = h.probedLedger.UpdateLine(ctx, l)
			if l.State == jobs.LineCommitted {
				once.Do(func() { stored, err = jobs.Line{}, context.DeadlineExceeded })
			}
			return stored, err
		}
	})
	first := f.submitAll(id, map[string]string{"alice": "1", "bob": "2", "carol": "4"})
	got := map[string]jobs.Job{}
	for _, name := range []string{"alice", "carol"} {
		got[name] = f.members[name].ended(first[name].ID, patience)
	}
	f.wantSum(got, "7", "3")
	second := map[string]jobs.Job{"alice": f.submit("alice", id, "100", 3*time.Second), "carol": f.submit("carol", id, "400", 3*time.Second)}
	for name, j := range second {
		j = f.members[name].ended(j.ID, patience)
		if j.State == jobs.Done {
			sum, _ := f.members[name].sum(j)
			t.Errorf("%s: the second computation, for which bob gave nothing, has sum %s: it holds bob's data of the first", name, sum)
		}
	}
	if j := bob.ended(first["bob"].ID, patience); j.Attempt != 1 {
		t.Errorf("bob: attempt %d after his CONFIRM of the first was served", j.Attempt)
	}
	f.checkInvariants()
}

// runner is the one that has the job in hand.
func (m *member) runner(j jobs.Job) *runner {
	m.node.mu.Lock()
	defer m.node.mu.Unlock()
	return m.node.runners[j.ID]
}

// A request to cancel that comes after the protocol has played, before the job is committed, is too late. When a peer then
// aborts, the job still has to end.
func TestCancelOvertakenByCommit(t *testing.T) {
	f := newFleet(t, simontest.Faults{}, three...)
	f.wantSum(f.sumAll(uuid.New(), data), "85", "3")
	alice, carol, id := f.members["alice"], f.members["carol"], uuid.New()
	held, resume := make(chan bool), make(chan bool)
	var once sync.Once
	alice.onStep(func(step string) {
		if step == "job played" {
			once.Do(func() { close(held); <-resume })
		}
	})
	killed := carol.killAt("job committed", 1)
	all := f.submitAll(id, data)
	<-held
	_, err := alice.current().RequestCancel(t.Context(), all["alice"].ID)
	must(t, err)
	r := alice.runner(all["alice"])
	select {
	case <-r.cancelled:
	case <-time.After(patience):
		t.Error("alice's node does not see that the job shall be cancelled")
	}
	close(resume)
	<-killed
	alice.reached(all["alice"], jobs.Committed)
	carol.onStep(nil)
	carol.restart() // her line says started: she aborts it
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
	defer cancel()
	j, err := alice.current().Wait(ctx, all["alice"].ID, func(j jobs.Job) bool { return j.Terminal() })
	if err != nil {
		t.Errorf("alice's job does not end after carol's ABORT: it is %v and stays so (%v)", j, err)
	}
	f.checkInvariants()
}

// The clock runs away for a day and comes back. Whatever was swept meanwhile, a party that has confirmed a computation does
// not sign ABORT of it when its START is shown again.
func TestClockRunsAwayAndComesBack(t *testing.T) {
	f := newFleet(t, simontest.Faults{}, three...)
	w, id := f.watch(), uuid.New()
	f.wantSum(f.sumAll(id, data), "85", "3")
	start := w.seen(is(kindStart, id))[0]
	f.settle()
	f.ahead.Store(int64(25 * time.Hour))
	must(t, f.members["bob"].current().Sweep(t.Context(), f.now()))
	bob := f.members["bob"].node.Seat()
	bob.Tick(f.now())
	f.ahead.Store(0)
	bob.Tick(f.now())
	bob.DeliverAnswer(start.message())
	f.settle()
	f.checkInvariants()
}

// A START with an own part of this node, but with a common part and a signature that the node never made, is no request of
// its own: it is not worth a signature, however many uuids it names.
func TestForgedStartsAreNotAnswered(t *testing.T) {
	f := newFleet(t, simontest.Faults{}, three...)
	w, id := f.watch(), uuid.New()
	f.wantSum(f.sumAll(id, data), "85", "3")
	f.settle()
	a, err := coordinator.DecodeAnswer(w.seen(is(kindStart, id))[0].message())
	must(t, err)
	start, err := coordinator.DecodeStart(a.Start)
	must(t, err)
	common, err := coordinator.DecodeCommon(start.Common)
	must(t, err)
	aborts := func() int {
		return len(w.seen(func(d sent) bool { n, ok := d.notice(); return ok && d.from == "bob" && !n.Confirm }))
	}
	before := aborts()
	for range 100 {
		common.UUID = uuid.New()
		raw, err := common.Encode()
		must(t, err)
		f.members["bob"].node.Seat().DeliverAnswer(answerWith(common.UUID, coordinator.Start{Common: raw, Joins: start.Joins}.Encode()))
	}
	f.settle()
	if n := aborts() - before; n > 0 {
		t.Errorf("bob signed and sent %d ABORTs for 100 STARTs whose common part he never signed", n)
	}
}

// A START that is shown again while the node goes through its ledger after a crash aborts the same line. The node comes up.
func TestStartDuringRecovery(t *testing.T) {
	f := newFleet(t, simontest.Faults{}, three...)
	w, bob, id := f.watch(), f.members["bob"], uuid.New()
	f.terms.attempts = 1
	killed := bob.killAt("line started", 1)
	job := f.submitAll(id, data)["bob"]
	<-killed
	bob.onStep(nil)
	start := w.await(1, is(kindStart, id))
	<-bob.done
	bob.store.Close()
	bob.private.Restart(t)
	ended := bob.bend(func(h *hooked) {
		h.listed = func() { bob.node.Seat().DeliverAnswer(start.message()) }
	})
	f.await("bob's node to take the job", func() bool {
		select {
		case err := <-ended:
			t.Fatalf("the node did not come up: %v", err)
		default:
		}
		j, err := bob.current().Get(t.Context(), job.ID)
		must(t, err)
		return bob.runner(job) != nil || j.Terminal()
	})
	f.checkInvariants()
}

// room sets how large a record a bucket of the member's private broker takes; -1: any. With 1 every write is refused, as on a
// full disk.
func (m *member) room(bucket string, bytes int32) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	js := m.private.JS
	if bucket == broker.BucketSids {
		var err error
		if js, err = jetstream.New(m.private.Ledger); err != nil {
			return err
		}
	}
	s, err := js.Stream(ctx, "KV_"+bucket)
	if err != nil {
		return err
	}
	c := s.CachedInfo().Config
	c.MaxMsgSize = bytes
	_, err = js.UpdateStream(ctx, c)
	return err
}

// The disk is full for a moment at one step of bob. Before his CONFIRM nobody has lost anything and a new attempt may be
// made; after all have confirmed his result must not be lost. Either way all are done, with the right sum.
func TestDiskFullForAMoment(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ step, bucket string }{
		{"before join", broker.BucketJobs},
		{"before line started", broker.BucketSids},
		{"line started", broker.BucketJobs},
		{"job played", broker.BucketJobs},
		{"before line committed", broker.BucketSids},
		{"before line done", broker.BucketSids},
		{"after send 4", broker.BucketJobs},
	} {
		t.Run(c.step, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, simontest.Faults{}, three...)
			f.wantSum(f.sumAll(uuid.New(), data), "85", "3")
			f.terms.round = time.Second
			bob := f.members["bob"]
			var once sync.Once
			full := make(chan error, 1)
			bob.onStep(func(step string) {
				if step == c.step {
					once.Do(func() {
						if err := bob.room(c.bucket, 1); err != nil {
							full <- err
							return
						}
						time.AfterFunc(700*time.Millisecond, func() { full <- bob.room(c.bucket, -1) })
					})
				}
			})
			all := f.submitAll(uuid.New(), data)
			must(t, <-full)
			for _, name := range []string{"bob", "alice", "carol"} {
				if j := f.members[name].ended(all[name].ID, 15*time.Second); j.State != jobs.Done {
					t.Fatalf("%s: %s %v", name, j.State, j.Problem)
				}
			}
			f.checkInvariants()
		})
	}
}

// The clock is put back by half a minute between two computations under one uuid, as a time server does. The second starts
// all the same.
func TestClockIsPutBack(t *testing.T) {
	f := newFleet(t, simontest.Faults{}, three...)
	f.terms.attempts = 5
	f.ahead.Store(int64(30 * time.Second))
	f.wantSum(f.sumAll(uuid.UUID{1}, data), "85", "3")
	f.ahead.Store(0)
	f.wantSum(f.sumAll(uuid.UUID{1}, data), "85", "3")
}
