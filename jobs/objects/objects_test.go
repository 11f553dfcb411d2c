package objects

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/broker"
	"github.com/weftmpc/weft/broker/brokertest"
	"github.com/weftmpc/weft/jobs"
)

func timeout(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func reopen(t testing.TB, p *brokertest.PrivateBroker, o Options) *Store {
	t.Helper()
	s, err := Open(timeout(t), p.Conn, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func newStore(t testing.TB, o Options) (*Store, *brokertest.PrivateBroker) {
	t.Helper()
	p := brokertest.Private(t)
	return reopen(t, p, o), p
}

func large(seed byte) []byte { return bytes.Repeat([]byte{seed, 1, 2, 3}, 40_000) }

func put(t testing.TB, s *Store, caller string, data []byte) Record {
	t.Helper()
	r, err := s.Put(timeout(t), Record{Caller: caller, Kind: Value, Data: data})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func messages(t testing.TB, p *brokertest.PrivateBroker, stream string) uint64 {
	t.Helper()
	st, err := p.JS.Stream(timeout(t), stream)
	if err != nil {
		t.Fatal(err)
	}
	return st.CachedInfo().State.Msgs
}

func TestPutGetUpdateDelete(t *testing.T) {
	s, p := newStore(t, Options{})
	ctx := timeout(t)
	for _, data := range [][]byte{nil, []byte(`{"a":1}`), large('a')} {
		r := put(t, s, "alice", data)
		for _, s := range []*Store{s, reopen(t, p, Options{})} {
			got, err := s.Get(ctx, r.ID)
			if err != nil || !bytes.Equal(got.Data, data) || got.Caller != "alice" || got.Kind != Value || !got.Created.Equal(r.Created) || got.Size != int64(len(data)) {
				t.Fatal(got, err)
			}
		}
		if _, err := s.Put(ctx, r); !errors.Is(err, ErrExists) {
			t.Fatal(err)
		}
		for _, next := range [][]byte{large('b'), []byte("small"), large('c')} {
			stale := r
			r.Data, r.Caller, r.Kind = next, "mallory", Task
			r, _ = must(s.Update(ctx, r))(t)
			if r.Caller != "alice" || r.Kind != Value {
				t.Fatal("an update changed more than the data:", r)
			}
			stale.Data = large('z')
			before := messages(t, p, "OBJ_"+broker.StoreBodies)
			if _, err := s.Update(ctx, stale); !errors.Is(err, ErrConflict) || messages(t, p, "OBJ_"+broker.StoreBodies) != before {
				t.Fatal("an old revision:", err)
			}
			got, err := s.Get(ctx, r.ID)
			if err != nil || !bytes.Equal(got.Data, next) {
				t.Fatal(got, err)
			}
		}
		if err := s.Delete(ctx, r.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Get(ctx, r.ID); !errors.Is(err, ErrNotFound) {
			t.Fatal(err)
		}
		if err := s.Delete(ctx, r.ID); !errors.Is(err, ErrNotFound) {
			t.Fatal(err)
		}
		if n := messages(t, p, "OBJ_"+broker.StoreBodies); n != 0 {
			t.Errorf("%d messages of deleted data are left", n)
		}
	}
	if _, err := s.Put(ctx, Record{Kind: lastKind + 1}); err == nil {
		t.Error("a kind that does not exist was stored")
	}
	if _, err := s.Update(ctx, Record{ID: uuid.New(), Revision: 1}); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
}

func must(r Record, err error) func(testing.TB) (Record, error) {
	return func(t testing.TB) (Record, error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return r, err
	}
}

func TestListByCaller(t *testing.T) {
	now := time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)
	s, _ := newStore(t, Options{Now: func() time.Time { now = now.Add(time.Second); return now }})
	a, b, c := put(t, s, "alice", []byte("1")), put(t, s, "bob", nil), put(t, s, "alice", large('c'))
	for caller, want := range map[string][]uuid.UUID{"alice": {c.ID, a.ID}, "bob": {b.ID}, "": {c.ID, b.ID, a.ID}, "eve": nil} {
		got, err := s.List(timeout(t), caller)
		if err != nil || len(got) != len(want) {
			t.Fatal(caller, got, err)
		}
		for i := range got {
			if got[i].ID != want[i] || got[i].Data != nil {
				t.Errorf("%q: place %d has %v", caller, i, got[i])
			}
		}
	}
}

func TestBoundsPerCaller(t *testing.T) {
	s, p := newStore(t, Options{Limits: Limits{Count: 4, Bytes: 1000}})
	ctx := timeout(t)
	var ok atomic.Int32
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, err := s.Put(ctx, Record{Caller: "alice", Kind: Task, Data: make([]byte, 10)}); err == nil {
				ok.Add(1)
			} else if !errors.Is(err, ErrTooMany) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if ok.Load() != 4 {
		t.Fatalf("%d objects, 4 are allowed", ok.Load())
	}
	mine, _ := s.List(ctx, "alice")
	r := mine[0]
	r.Data = make([]byte, 971)
	if _, err := s.Update(ctx, r); !errors.Is(err, ErrTooMany) {
		t.Fatalf("1,001 bytes: %v", err)
	}
	r.Data = make([]byte, 970)
	r, _ = must(s.Update(ctx, r))(t)
	if err := s.Delete(ctx, mine[1].ID); err != nil {
		t.Fatal(err)
	}
	s = reopen(t, p, Options{Limits: Limits{Count: 4, Bytes: 1000}})
	if _, err := s.Put(ctx, Record{Caller: "alice", Kind: Task, Data: make([]byte, 11)}); !errors.Is(err, ErrTooMany) {
		t.Fatalf("1,001 bytes after a restart: %v", err)
	}
	put(t, s, "alice", make([]byte, 10))
	put(t, s, "bob", make([]byte, 1000))
	r.Data = nil // less is always allowed
	must(s.Update(ctx, r))(t)
	s.items.Locked(func() {
		if got := fmt.Sprint(s.quota.Of("alice"), s.quota.Of("bob")); got != "{4 30} {1 1000}" {
			t.Error("the count is off:", got)
		}
	})
}

func TestSweepAfterTheGracePeriod(t *testing.T) {
	clock := atomic.Pointer[time.Time]{}
	start := time.Now().UTC()
	clock.Store(&start)
	pass := func(d time.Duration) time.Time { now := clock.Load().Add(d); clock.Store(&now); return now }
	s, p := newStore(t, Options{Now: func() time.Time { return *clock.Load() }, Idle: 3 * time.Hour})
	ctx := timeout(t)
	idle, read, written := put(t, s, "alice", large('i')), put(t, s, "alice", large('r')), put(t, s, "alice", large('w'))
	// A job's bytes are not this store's business, nor the other way round.
	j, err := jobs.Open(ctx, p.Conn, jobs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(j.Close)
	job, err := j.Submit(ctx, jobs.Job{Caller: "alice"}, large('j'))
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Sweep(ctx, start.Add(2*time.Hour)); err != nil {
		t.Fatal(err)
	}

	pass(2 * time.Hour)
	if _, err := s.Get(ctx, read.ID); err != nil {
		t.Fatal(err)
	}
	written.Data = large('v')
	must(s.Update(ctx, written))(t)
	if err := s.Sweep(ctx, pass(2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	left, _ := s.List(ctx, "")
	if len(left) != 2 || left[0].ID == idle.ID || left[1].ID == idle.ID {
		t.Fatalf("left: %v", left)
	}
	if got, err := s.Get(ctx, written.ID); err != nil || !bytes.Equal(got.Data, large('v')) {
		t.Fatal(err)
	}
	if b, err := j.Read(ctx, job.Input); err != nil || !bytes.Equal(b, large('j')) {
		t.Fatal("a job's input was swept:", err)
	}
	// A restart begins the period anew.
	pass(4 * time.Hour)
	s = reopen(t, p, Options{Now: func() time.Time { return *clock.Load() }, Idle: 3 * time.Hour})
	if err := s.Sweep(ctx, *clock.Load()); err != nil {
		t.Fatal(err)
	}
	if left, _ = s.List(ctx, ""); len(left) != 2 {
		t.Errorf("swept at the start: %v", left)
	}
}

func TestRestartAndUnreadable(t *testing.T) {
	s, p := newStore(t, Options{Version: "1.2.3"})
	ctx := timeout(t)
	r := put(t, s, "alice", large('a'))
	x := item{Record: Record{ID: uuid.New(), Kind: Task}}
	b, err := x.encode("9.0")
	if err != nil {
		t.Fatal(err)
	}
	b[0] = format + 1
	if _, err := p.Buckets.Objects.Put(ctx, x.ID.String(), b); err != nil {
		t.Fatal(err)
	}
	s.Close()
	p.Conn.Close()
	p.Restart(t)
	s = reopen(t, p, Options{Version: "1.2.3", Logger: slog.New(slog.DiscardHandler)})
	if got, err := s.Get(ctx, r.ID); err != nil || !bytes.Equal(got.Data, large('a')) {
		t.Fatal(err)
	}
	if l, err := s.List(ctx, ""); err != nil || len(l) != 1 {
		t.Fatal(l, err)
	}
	for _, err := range []error{s.Delete(ctx, x.ID), second(s.Get(ctx, x.ID))} {
		if err == nil || !strings.Contains(err.Error(), "was written by weft 9.0; this is weft 1.2.3: upgrade this node") {
			t.Error(err)
		}
	}
}

func second(_ Record, err error) error { return err }

func TestNothingPrintsData(t *testing.T) {
	r := Record{ID: uuid.New(), Kind: Value, Data: []byte("4711-private")}
	var out strings.Builder
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "r", r, "p", &r)
	for _, verb := range []string{"%v", "%+v", "%#v", "%x", "%d"} {
		fmt.Fprintf(&out, verb+verb+"\n", r, []*Record{&r})
		fmt.Fprintf(&out, verb+"\n", []Record{r})
	}
	if s := out.String(); strings.Contains(s, "4711") || strings.Contains(s, fmt.Sprintf("%x", "4711")) || strings.Contains(s, "52 55") {
		t.Error(s)
	}
}

func FuzzDecode(f *testing.F) {
	x := item{Record: Record{ID: uuid.New(), Caller: "alice", Kind: Task, Created: time.Unix(5, 6).UTC()}}
	x.body.Inline, x.body.Size = []byte("data"), 4
	b, err := x.encode("1.2.3")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		key := uuid.Nil.String()
		if len(b) > 2 && len(b) >= 18+int(b[1]) {
			key = uuid.UUID(b[2+int(b[1]):][:16]).String()
		}
		x, err := decode("1", key, b, 1)
		if err != nil {
			return
		}
		if again, err := x.encode(string(b[2 : 2+int(b[1])])); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%v\n%x\n%x", err, b, again)
		}
	})
}
