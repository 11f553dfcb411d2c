package jobs

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/weftmpc/weft/broker"
	"github.com/weftmpc/weft/broker/brokertest"
)

func TestSubmitAndGet(t *testing.T) {
	s, p := newStore(t, Options{})
	for _, input := range [][]byte{nil, []byte("small"), large('L')} {
		j := submit(t, s, sample("alice"), input)
		if j.ID == uuid.Nil || j.State != Submitted || j.Revision == 0 || j.Created.IsZero() {
			t.Fatalf("%s", plain(j))
		}
		got, err := s.Get(timeout(t), j.ID)
		if err != nil || plain(got) != plain(j) {
			t.Fatalf("own write: %v\n%s\nwant\n%s", err, plain(got), plain(j))
		}
		b, err := s.Read(timeout(t), got.Input)
		if err != nil || !bytes.Equal(b, input) {
			t.Fatalf("%d bytes, want %d: %v", len(b), len(input), err)
		}
		check(t, p, j)
		if _, err := s.Submit(timeout(t), j, []byte("other")); !errors.Is(err, ErrExists) {
			t.Fatalf("again: %v", err)
		}
	}
	before := stored(t, p)
	again := submit(t, s, sample("alice"), nil)
	if _, err := s.Submit(timeout(t), again, large('X')); !errors.Is(err, ErrExists) || stored(t, p) != before {
		t.Errorf("a refused job leaves its input: %v", err)
	}
	if _, err := s.Get(timeout(t), uuid.New()); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
}

func TestListIsByCallerAndNewestFirst(t *testing.T) {
	now := time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)
	s, _ := newStore(t, Options{Now: func() time.Time { now = now.Add(time.Second); return now }})
	a, b, c := submit(t, s, sample("alice"), nil), submit(t, s, sample("bob"), nil), submit(t, s, sample("alice"), nil)
	for caller, want := range map[string][]uuid.UUID{"alice": {c.ID, a.ID}, "bob": {b.ID}, "": {c.ID, b.ID, a.ID}, "carol": nil} {
		got, err := s.List(timeout(t), caller)
		if err != nil || len(got) != len(want) {
			t.Fatalf("%q: %v %v", caller, got, err)
		}
		for i := range got {
			if got[i].ID != want[i] {
				t.Errorf("%q: place %d has %v", caller, i, got[i])
			}
		}
	}
}

func TestLimits(t *testing.T) {
	s, p := newStore(t, Options{Limits: Limits{PerCaller: 3, Jobs: 5, Body: MaxInline + 1}})
	ctx := timeout(t)
	if _, err := s.Submit(ctx, sample("alice"), make([]byte, MaxInline+2)); !errors.Is(err, ErrTooLarge) {
		t.Fatal(err)
	}
	var ok atomic.Int32
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, err := s.Submit(ctx, sample("alice"), nil); err == nil {
				ok.Add(1)
			} else if !errors.Is(err, ErrTooMany) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if ok.Load() != 3 {
		t.Fatalf("%d jobs at once, 3 are allowed", ok.Load())
	}
	mine, _ := s.List(ctx, "alice")
	walk(t, s, mine[0], Cancelled)
	submit(t, s, sample("alice"), nil)
	submit(t, s, sample("bob"), nil)
	if _, err := s.Submit(ctx, sample("carol"), nil); !errors.Is(err, ErrTooMany) {
		t.Fatalf("a sixth job in all: %v", err)
	}
	if err := s.Delete(ctx, mine[0].ID); err != nil {
		t.Fatal(err)
	}
	submit(t, s, sample("carol"), nil)
	if _, err := reopen(t, p, Options{Limits: Limits{PerCaller: 3}}).Submit(ctx, sample("alice"), nil); !errors.Is(err, ErrTooMany) {
		t.Errorf("a new process forgot the count: %v", err)
	}
}

func TestUpdateComparesRevisions(t *testing.T) {
	s, p := newStore(t, Options{})
	other := reopen(t, p, Options{})
	ctx := timeout(t)
	j := submit(t, s, sample("alice"), nil)
	one, err := j.Move(Waiting)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = s.Update(ctx, one); err != nil {
		t.Fatal(err)
	}
	two, _ := j.Move(Failed)
	for _, s := range []*Store{s, other} {
		if _, err = s.Update(ctx, two); !errors.Is(err, ErrConflict) {
			t.Fatalf("an old revision: %v", err)
		}
	}
	two.Revision = 0
	if _, err = s.Update(ctx, two); !errors.Is(err, ErrConflict) {
		t.Fatalf("no revision: %v", err)
	}
	two.ID = uuid.New()
	if _, err = s.Update(ctx, two); !errors.Is(err, ErrNotFound) {
		t.Fatalf("no record: %v", err)
	}
}

func TestChangeUnderConcurrency(t *testing.T) {
	s, p := newStore(t, Options{})
	stores := []*Store{s, reopen(t, p, Options{}), reopen(t, p, Options{})}
	ctx := timeout(t)
	j := submit(t, s, sample("alice"), nil)
	const writers, each = 12, 20
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			for range each {
				if _, err := stores[i%3].Change(ctx, j.ID, func(j Job) (Job, error) { j.Attempt, j.Revision = j.Attempt+1, 0; return j, nil }); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for _, s := range stores {
		got, err := s.Wait(ctx, j.ID, func(j Job) bool { return j.Attempt >= writers*each })
		if err != nil || got.Attempt != writers*each {
			t.Fatalf("%d of %d changes: %v", got.Attempt, writers*each, err)
		}
	}

	// One process claims the job, whoever else tries.
	var claims atomic.Int32
	for i := range writers {
		wg.Go(func() {
			_, err := stores[i%3].Change(ctx, j.ID, func(j Job) (Job, error) {
				if j.State != Submitted {
					return j, context.Canceled
				}
				return j.Move(Waiting)
			})
			if err == nil {
				claims.Add(1)
			}
		})
	}
	wg.Wait()
	if claims.Load() != 1 {
		t.Errorf("%d processes claimed the job", claims.Load())
	}
}

func TestBodiesGoWithTheStateThatNeedsThem(t *testing.T) {
	s, p := newStore(t, Options{})
	ctx := timeout(t)
	empty := stored(t, p)
	j := submit(t, s, sample("alice"), large('I'))
	j = walk(t, s, j, Waiting, Started)
	opened, err := s.Put(ctx, large('O'))
	if err != nil {
		t.Fatal(err)
	}
	if j, err = j.Move(Committed); err != nil {
		t.Fatal(err)
	}
	j.Opened = opened
	if j, err = s.Update(ctx, j); err != nil {
		t.Fatal(err)
	}
	check(t, p, j)

	// A peer aborted: what was opened goes, the input stays for the next attempt.
	j = walk(t, s, j, Waiting)
	if _, err = s.Read(ctx, opened); !errors.Is(err, ErrNotFound) {
		t.Errorf("opened elements are left: %v", err)
	}
	if b, err := s.Read(ctx, j.Input); err != nil || !bytes.Equal(b, large('I')) {
		t.Fatalf("the input is gone: %v", err)
	}

	j = walk(t, s, j, Started, Committed)
	result, err := s.Put(ctx, large('R'))
	if err != nil {
		t.Fatal(err)
	}
	input := j.Input
	if j, err = j.Move(Done); err != nil {
		t.Fatal(err)
	}
	j.Result = result
	if j, err = s.Update(ctx, j); err != nil || j.Ended.IsZero() {
		t.Fatal(j, err)
	}
	if _, err = s.Read(ctx, input); !errors.Is(err, ErrNotFound) {
		t.Errorf("the input is left after the end: %v", err)
	}
	if b, err := s.Read(ctx, j.Result); err != nil || !bytes.Equal(b, large('R')) {
		t.Fatal(err)
	}
	if err = s.Delete(ctx, j.ID); err != nil {
		t.Fatal(err)
	}
	if n := stored(t, p); n != empty {
		t.Errorf("%d messages are left in the object store", n-empty)
	}
	if _, err = s.Get(ctx, j.ID); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	if _, err = reopen(t, p, Options{}).Get(ctx, j.ID); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	if err = s.Delete(ctx, j.ID); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
}

func TestCancelAndDelete(t *testing.T) {
	s, _ := newStore(t, Options{})
	ctx := timeout(t)
	for _, path := range [][]State{{}, {Waiting}, {Waiting, Started}} {
		j := walk(t, s, submit(t, s, sample("alice"), nil), path...)
		if err := s.Delete(ctx, j.ID); !errors.Is(err, ErrActive) {
			t.Errorf("deleting in %s: %v", j.State, err)
		}
		c, err := s.RequestCancel(ctx, j.ID)
		if err != nil || !c.CancelRequested || c.State != j.State {
			t.Errorf("cancelling in %s: %v %v", j.State, c, err)
		}
		again, err := s.RequestCancel(ctx, j.ID)
		if err != nil || again.Revision != c.Revision {
			t.Errorf("cancelling twice in %s writes twice: %v", j.State, err)
		}
		c = walk(t, s, c, Cancelled)
		if again, err = s.RequestCancel(ctx, j.ID); err != nil || again.Revision != c.Revision {
			t.Errorf("cancelling after the end: %v %v", again, err)
		}
		if err := s.Delete(ctx, j.ID); err != nil {
			t.Error(err)
		}
	}
	j := walk(t, s, submit(t, s, sample("alice"), nil), Waiting, Started, Committed)
	if _, err := s.RequestCancel(ctx, j.ID); !errors.Is(err, ErrCommitted) {
		t.Error(err)
	}
	if err := s.Delete(ctx, j.ID); !errors.Is(err, ErrCommitted) {
		t.Error(err)
	}
	if _, err := s.RequestCancel(ctx, uuid.New()); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
}

func TestWait(t *testing.T) {
	s, p := newStore(t, Options{})
	other := reopen(t, p, Options{})
	ctx := timeout(t)
	j := submit(t, s, sample("alice"), nil)
	type answer struct {
		j   Job
		err error
	}
	wait := func(s *Store, ctx context.Context, until func(Job) bool) <-chan answer {
		called, out := make(chan struct{}), make(chan answer, 1)
		var once sync.Once
		go func() {
			got, err := s.Wait(ctx, j.ID, func(j Job) bool { once.Do(func() { close(called) }); return until(j) })
			out <- answer{got, err}
		}()
		<-called
		return out
	}
	done := wait(s, ctx, Job.Terminal)
	far := wait(other, ctx, Job.Terminal)
	gone := wait(s, ctx, func(Job) bool { return false })
	stopped, stop := context.WithCancel(ctx)
	cancelled := wait(s, stopped, func(Job) bool { return false })
	closed := wait(other, ctx, func(Job) bool { return false })

	stop()
	if a := <-cancelled; !errors.Is(a.err, context.Canceled) || a.j.ID != j.ID {
		t.Error(a.err)
	}
	walk(t, s, j, Waiting, Started, Failed)
	for _, ch := range []<-chan answer{done, far} {
		if a := <-ch; a.err != nil || a.j.State != Failed {
			t.Error(a.j, a.err)
		}
	}
	if got, err := s.Wait(ctx, j.ID, Job.Terminal); err != nil || got.State != Failed {
		t.Error("a wait for what is so already:", err)
	}
	other.Close()
	if a := <-closed; !errors.Is(a.err, ErrClosed) {
		t.Error(a.err)
	}
	if err := s.Delete(ctx, j.ID); err != nil {
		t.Fatal(err)
	}
	if a := <-gone; !errors.Is(a.err, ErrNotFound) {
		t.Error(a.err)
	}
	if _, err := s.Wait(ctx, uuid.New(), Job.Terminal); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
}

func TestWatchReplaysThenFollows(t *testing.T) {
	s, p := newStore(t, Options{})
	ctx := timeout(t)
	first, second := submit(t, s, sample("alice"), nil), submit(t, s, sample("alice"), nil)
	first = walk(t, s, first, Waiting)
	for _, s := range []*Store{s, reopen(t, p, Options{})} {
		if _, err := s.Wait(ctx, first.ID, func(j Job) bool { return j.Revision == first.Revision }); err != nil {
			t.Fatal(err)
		}
		watch, stop := context.WithCancel(ctx)
		ch := s.Watch(watch)
		if a, b := <-ch, <-ch; a.ID != second.ID || b.Revision != first.Revision {
			t.Fatalf("replay: %v, %v", a, b)
		}
		second = walk(t, s, second, Waiting)
		if a := <-ch; a.Revision != second.Revision {
			t.Fatalf("change: %v at %d", a, a.Revision)
		}
		first = walk(t, s, first, Waiting) // so that second is the older write again
		<-ch
		stop()
		for range ch {
			t.Log("one value was on its way") // and then the channel is closed
		}
	}
}

func TestSlowWatcherGetsTheNewestOfEveryJob(t *testing.T) {
	s, p := newStore(t, Options{})
	ctx := timeout(t)
	slow, far := s.Watch(ctx), reopen(t, p, Options{}).Watch(ctx)
	newest := map[uuid.UUID]uint64{}
	const jobs, changes = 50, 40
	for range jobs {
		j := walk(t, s, submit(t, s, sample("alice"), nil), Waiting)
		for range changes {
			j = walk(t, s, j, Waiting)
		}
		newest[j.ID] = j.Revision
	}
	// Nobody read so far, and nobody was held up.
	for name, ch := range map[string]<-chan Job{"slow": slow, "far": far} {
		seen, n := map[uuid.UUID]uint64{}, 0
		for left := jobs; left > 0; n++ {
			j := <-ch
			if j.Revision <= seen[j.ID] {
				t.Fatalf("%s: revision %d after %d", name, j.Revision, seen[j.ID])
			}
			if seen[j.ID] = j.Revision; j.Revision == newest[j.ID] {
				left--
			}
		}
		// The first value was taken out of the line before the rest was written.
		if name == "slow" && n > jobs+1 {
			t.Errorf("%d values for %d jobs: a slow reader's changes are not folded", n, jobs)
		}
	}
}

func TestSweepExpiresEndedJobs(t *testing.T) {
	now := time.Now().UTC()
	s, p := newStore(t, Options{Now: func() time.Time { return now }, Retain: 24 * time.Hour})
	ctx := timeout(t)
	empty := stored(t, p)
	running := walk(t, s, submit(t, s, sample("alice"), nil), Waiting, Started, Committed)
	ended := walk(t, s, submit(t, s, sample("alice"), nil), Waiting, Started, Committed)
	result, err := s.Put(ctx, large('R'))
	if err != nil {
		t.Fatal(err)
	}
	if ended, err = ended.Move(Done); err != nil {
		t.Fatal(err)
	}
	ended.Result = result
	if ended, err = s.Update(ctx, ended); err != nil {
		t.Fatal(err)
	}
	if err := s.Sweep(ctx, now.Add(24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if b, err := s.Read(ctx, ended.Result); err != nil || !bytes.Equal(b, large('R')) {
		t.Fatalf("swept too early, or its bytes taken for orphans: %v", err)
	}
	if err := s.Sweep(ctx, now.Add(24*time.Hour+time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(ctx, ended.ID); !errors.Is(err, ErrNotFound) || !errors.Is(err, ErrExpired) {
		t.Errorf("not swept: %v", err)
	}
	if n := stored(t, p); n != empty {
		t.Errorf("%d messages are left in the object store", n-empty)
	}
	if _, err := s.Get(ctx, running.ID); err != nil {
		t.Errorf("a running job was swept: %v", err)
	}
	// The delete marker goes too, once the watcher has shown it.
	s2 := reopen(t, p, Options{})
	if err := s2.Sweep(ctx, now.Add(48*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if n := messages(t, p.JS, "KV_"+broker.BucketJobs); n != 1 {
		t.Errorf("%d records and markers for one job", n)
	}
}

func TestUnreadableRecords(t *testing.T) {
	s, p := newStore(t, Options{Logger: quiet()})
	ctx := timeout(t)
	good := submit(t, s, sample("alice"), nil)
	doc := submit(t, s, sample("alice"), large('K'))
	record, err := doc.encode("7.0.0")
	if err != nil {
		t.Fatal(err)
	}
	record[0]++
	if _, err := p.Buckets.Jobs.Put(ctx, doc.ID.String(), record); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{uuid.NewString(), "not-even-a-uuid"} {
		if _, err := p.Buckets.Jobs.Put(ctx, key, []byte("private rubbish")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.Sids.Put(ctx, lineKey([32]byte{5}), []byte{99, 1, 'z'}); err != nil {
		t.Fatal(err)
	}

	s = reopen(t, p, Options{Logger: quiet(), Version: "1.2.3"})
	if _, err := s.Get(ctx, good.ID); err != nil {
		t.Fatal(err)
	}
	if l, err := s.List(ctx, ""); err != nil || len(l) != 1 {
		t.Errorf("%v %v", l, err)
	}
	if errs := s.Unreadable(); len(errs) != 4 || strings.Contains(errors.Join(errs...).Error(), "rubbish") {
		t.Errorf("%v", errs)
	}
	newer := "was written by weft 7.0.0; this is weft 1.2.3: upgrade this node"
	doc.State = Waiting
	if doc.Revision++; doc.Revision > 0 {
		e, _ := p.Buckets.Jobs.Get(ctx, doc.ID.String())
		doc.Revision = e.Revision()
	}
	_, errGet := s.Get(ctx, doc.ID)
	_, errUpdate := s.Update(ctx, doc)
	_, errCancel := s.RequestCancel(ctx, doc.ID)
	_, errWait := s.Wait(ctx, doc.ID, Job.Terminal)
	for i, err := range []error{errGet, errUpdate, errCancel, errWait, s.Delete(ctx, doc.ID)} {
		if err == nil || !strings.Contains(err.Error(), newer) {
			t.Errorf("%d: %v", i, err)
		}
	}
	if _, err := s.Line(ctx, [32]byte{5}); err == nil || errors.Is(err, ErrNotFound) {
		t.Errorf("a line that cannot be read is not a line that is missing: %v", err)
	}

	// In time damaged records go; a newer one stays, and so do bytes that it may name.
	if err := s.Sweep(ctx, time.Now().Add(30*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if errs := s.Unreadable(); len(errs) != 2 {
		t.Errorf("%v", errs)
	}
	if b, err := s.Read(ctx, doc.Input); err != nil || !bytes.Equal(b, large('K')) {
		t.Errorf("the bytes of a newer record were swept: %v", err)
	}
}

func TestCloseLeavesNothingRunning(t *testing.T) {
	p := brokertest.Private(t)
	leak := goleak.IgnoreCurrent()
	s, err := Open(timeout(t), p.Conn, Options{})
	if err != nil {
		t.Fatal(err)
	}
	j := submit(t, s, sample("alice"), nil)
	ch := s.Watch(context.Background())
	<-ch
	walk(t, s, j, Waiting) // a value that nobody takes
	s.Close()
	s.Close()
	if _, err := s.Wait(context.Background(), j.ID, func(Job) bool { return false }); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	for range s.Watch(context.Background()) {
		t.Error("a closed store is watched")
	}
	// The client's one reply subscription lives as long as its connection.
	goleak.VerifyNone(t, leak, goleak.IgnoreAnyFunction("github.com/nats-io/nats.go.(*Conn).waitForMsgs"),
		goleak.IgnoreAnyFunction("github.com/nats-io/nats-server/v2/server.(*Server).startGoRoutine.func1"))
}

// The place of an accepted job is not counted twice, not even for a moment, as whoever hears of the job can see.
func TestAnAcceptedJobCountsOnce(t *testing.T) {
	s, _ := newStore(t, Options{})
	var counts []int
	j := sample("alice")
	j.ID = uuid.New()
	release, err := s.reserve(j.ID, "alice", 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	count := func() {
		s.jobs.Locked(func() { counts = append(counts, s.quotas.active.Of("alice").Count, s.quotas.all.Of("").Count) })
	}
	count()
	submit(t, s, j, nil)
	count()
	release()
	count()
	for _, n := range counts {
		if n != 1 {
			t.Fatalf("counted %v", counts)
		}
	}
}

// Changes leaves out what is there, and says all that comes.
func TestChanges(t *testing.T) {
	s, p := newStore(t, Options{})
	ctx := timeout(t)
	first := submit(t, s, sample("alice"), nil)
	far := reopen(t, p, Options{})
	if _, err := far.Get(ctx, first.ID); err != nil {
		t.Fatal(err)
	}
	for _, s := range []*Store{s, far} {
		changes := s.Changes(ctx)
		second := submit(t, s, sample("alice"), nil)
		if j := <-changes; j.ID != second.ID {
			t.Errorf("%v, want the new one", j)
		}
		if _, err := far.Get(ctx, second.ID); err != nil {
			t.Fatal(err)
		}
	}
}

// A job tells since when it waits for all whom it waits for.
func TestWaitingSince(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	begin := now
	s, _ := newStore(t, Options{Now: func() time.Time { return now }})
	j := walk(t, s, submit(t, s, sample("alice"), nil), Waiting)
	for i, tt := range []struct {
		to    State
		names []string
		want  int // minutes after the beginning; -1: none
	}{
		{Waiting, nil, -1}, {Waiting, []string{"bob", "carol"}, 2}, {Waiting, []string{"carol"}, 2}, {Waiting, []string{"carol", "bob"}, 4},
		{Started, []string{"bob"}, 5}, {Committed, nil, -1}, {Committed, []string{"carol"}, 7}, {Done, nil, -1},
	} {
		now = begin.Add(time.Duration(i+1) * time.Minute)
		var err error
		j, err = s.Change(timeout(t), j.ID, func(j Job) (Job, error) {
			if j.State != tt.to {
				j, _ = j.Move(tt.to)
			}
			j.Waiting = tt.names
			return j, nil
		})
		want := time.Time{}
		if tt.want >= 0 {
			want = begin.Add(time.Duration(tt.want) * time.Minute)
		}
		if err != nil || !j.WaitingSince.Equal(want) {
			t.Errorf("%d: %s for %v since %v, want %v (%v)", i, j.State, j.Waiting, j.WaitingSince, want, err)
		}
	}
}
