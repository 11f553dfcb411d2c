package mirror_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weftmpc/weft/broker"
	"github.com/weftmpc/weft/broker/brokertest"
	"github.com/weftmpc/weft/jobs/internal/mirror"
)

// frail is a bucket whose watchers can be cut off.
type frail struct {
	jetstream.KeyValue
	mu      sync.Mutex
	current *frailWatcher
	held    chan struct{} // while not nil, no new watcher begins before it is closed

	gate sync.RWMutex // while it is locked, no news pass
}

type frailWatcher struct {
	jetstream.KeyWatcher
	out   chan jetstream.KeyValueEntry
	cut   chan struct{}
	ended chan struct{} // no news pass any more
}

func (w *frailWatcher) Updates() <-chan jetstream.KeyValueEntry { return w.out }

func (f *frail) WatchAll(ctx context.Context, o ...jetstream.WatchOpt) (jetstream.KeyWatcher, error) {
	f.mu.Lock()
	held := f.held
	f.mu.Unlock()
	if held != nil {
		select {
		case <-held:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	real, err := f.KeyValue.WatchAll(ctx, o...)
	if err != nil {
		return nil, err
	}
	w := &frailWatcher{KeyWatcher: real, out: make(chan jetstream.KeyValueEntry), cut: make(chan struct{}), ended: make(chan struct{})}
	f.mu.Lock()
	f.current = w
	f.mu.Unlock()
	go func() {
		defer close(w.out)
		defer close(w.ended)
		for {
			select {
			case e, ok := <-real.Updates():
				if !ok {
					return
				}
				f.gate.RLock()
				w.out <- e
				f.gate.RUnlock()
			case <-w.cut:
				_ = real.Stop()
				for range real.Updates() {
				}
				return
			}
		}
	}()
	return w, nil
}

// cut ends the watcher; the next one begins when the returned function is called.
func (f *frail) cut() (restore func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.held = make(chan struct{})
	close(f.current.cut)
	<-f.current.ended
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		close(f.held)
		f.held = nil
	}
}

func opened(t *testing.T, p *brokertest.PrivateBroker, kv jetstream.KeyValue, changed func(old, new *string)) *mirror.Mirror[string] {
	t.Helper()
	m, err := mirror.Open(t.Context(), p.JS, mirror.Config[string]{
		Bucket: broker.BucketObjects, KV: kv, Logger: slog.New(slog.DiscardHandler), Changed: changed,
		Decode: func(_ string, b []byte, _ uint64) (string, error) {
			if string(b) == "bad" {
				return "", errors.New("bad")
			}
			return string(b), nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

// A watcher that ends starts again, and what happened meanwhile, removals without a trace included, is caught up with.
func TestWatcherStartsAgain(t *testing.T) {
	p := brokertest.Private(t)
	f := &frail{KeyValue: p.Buckets.Objects}
	count := 0
	m := opened(t, p, f, func(old, new *string) {
		if old != nil {
			count--
		}
		if new != nil {
			count++
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	put := func(key, value string) {
		t.Helper()
		if _, err := p.Buckets.Objects.Put(ctx, key, []byte(value)); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range []string{"kept", "changed", "marked", "purged", "spoiled"} {
		if _, err := m.Create(ctx, key, []byte("one")); err != nil {
			t.Fatal(err)
		}
	}
	restore := f.cut()
	put("changed", "two")
	put("new", "one")
	put("spoiled", "bad")
	if err := p.Buckets.Objects.Delete(ctx, "marked"); err != nil {
		t.Fatal(err)
	}
	other := opened(t, p, p.Buckets.Objects, nil)
	e, _, _ := other.Get("purged")
	if err := other.Forget(ctx, "purged", e.Revision); err != nil {
		t.Fatal(err)
	}
	if v, err := m.Update(ctx, "kept", []byte("own"), 1); err != nil || v != "own" {
		t.Fatal("an own write without a watcher:", v, err)
	}
	if e, _, _ := m.Get("changed"); e.Value != "one" {
		t.Fatal("the watcher was not cut")
	}
	// A write over the old copy is refused by the server, not by luck.
	if _, err := m.Update(ctx, "changed", []byte("lost"), 2); !errors.Is(err, mirror.ErrConflict) {
		t.Fatal(err)
	}
	restore()
	for key, want := range map[string]string{"changed": "two"} {
		if _, err := m.Wait(ctx, key, func(v string) bool { return v == want }); err != nil {
			t.Fatal(key, err)
		}
	}
	for _, key := range []string{"purged", "marked"} { // the end of the replay tells of the first
		if _, err := m.Wait(ctx, key, func(string) bool { return false }); !errors.Is(err, mirror.ErrNotFound) {
			t.Fatal(key, err)
		}
	}
	if e, found, _ := m.Get("spoiled"); !found || e.Err == nil {
		t.Error("spoiled:", e, found)
	}
	if e, _, _ := m.Get("kept"); e.Value != "own" {
		t.Error("kept:", e)
	}
	readable := 0
	m.Each(func(_ string, e *mirror.Entry[string]) {
		if e.Err == nil {
			readable++
		}
	})
	m.Locked(func() {
		if readable != 3 || count != 3 { // kept, changed, new
			t.Errorf("%d readable keys, %d counted", readable, count)
		}
	})
}

// A marker that Delete guessed the revision of becomes the real one, and Prune then removes it; a key that was written
// again meanwhile stays.
func TestPruneRemovesMarkersOnly(t *testing.T) {
	p := brokertest.Private(t)
	f := &frail{KeyValue: p.Buckets.Objects}
	m := opened(t, p, f, nil)
	ctx := t.Context()
	for i := range 20 {
		if _, err := m.Create(ctx, fmt.Sprint("k", i), []byte("v")); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 20 {
		key := fmt.Sprint("k", i)
		e, _, _ := m.Get(key)
		if err := m.Delete(ctx, key, e.Revision); err != nil {
			t.Fatal(err)
		}
		if _, found, known := m.Get(key); found || !known {
			t.Fatal("an own delete is not read")
		}
		if err := m.Delete(ctx, key, e.Revision); !errors.Is(err, mirror.ErrConflict) {
			t.Fatal("twice:", err)
		}
		if i%2 == 0 {
			if _, err := m.Create(ctx, key, []byte("again")); err != nil {
				t.Fatal(err)
			}
		}
	}
	// The watcher is behind the last write; what comes after it in the stream comes after it here.
	tail, err := p.Buckets.Objects.Put(ctx, "tail", []byte("v"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Fetch(ctx, "tail"); err != nil {
		t.Fatal(err)
	}
	f.gate.Lock() // the real marker, of the very revision that Delete guesses, comes after the guess
	err = m.Delete(ctx, "tail", tail)
	f.gate.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Buckets.Objects.Put(ctx, "last", []byte("v")); err != nil {
		t.Fatal(err)
	}
	watched := m.Watch(ctx)
	for v := range watched {
		if v == "v" {
			break
		}
	}
	if err := m.Prune(ctx, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	keys, err := p.Buckets.Objects.Keys(ctx)
	if err != nil || len(keys) != 11 {
		t.Fatal(keys, err)
	}
	st, err := p.JS.Stream(ctx, "KV_"+broker.BucketObjects)
	if err != nil || st.CachedInfo().State.Msgs != 11 {
		t.Errorf("%d messages for 11 keys: %v", st.CachedInfo().State.Msgs, err)
	}
}

// News of own writes come late; the copy does not go back to them.
func TestLateNewsChangeNothing(t *testing.T) {
	p := brokertest.Private(t)
	f := &frail{KeyValue: p.Buckets.Objects}
	var history []string
	m := opened(t, p, f, func(old, new *string) {
		if old != nil {
			history = append(history, "-"+*old)
		}
		if new != nil {
			history = append(history, "+"+*new)
		}
	})
	ctx := t.Context()
	f.gate.Lock()
	if _, err := m.Create(ctx, "k", []byte("one")); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Update(ctx, "k", []byte("two"), 1); err != nil {
		t.Fatal(err)
	}
	if err := m.Delete(ctx, "k", 2); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Create(ctx, "k", []byte("three")); err != nil {
		t.Fatal(err)
	}
	f.gate.Unlock()
	if _, err := p.Buckets.Objects.Put(ctx, "last", []byte("last")); err != nil {
		t.Fatal(err)
	}
	for v := range m.Watch(ctx) {
		if v == "last" {
			break
		}
	}
	m.Locked(func() {
		if got, want := fmt.Sprint(history), "[+one -one +two -two +three +last]"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	})
}

// A marker is pruned at its revision: a record that another process has written over it meanwhile stays.
func TestPruneSparesWhatCameAfter(t *testing.T) {
	p := brokertest.Private(t)
	f := &frail{KeyValue: p.Buckets.Objects}
	m := opened(t, p, f, nil)
	ctx := t.Context()
	if _, err := m.Create(ctx, "k", []byte("one")); err != nil {
		t.Fatal(err)
	}
	if err := m.Delete(ctx, "k", 1); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Buckets.Objects.Put(ctx, "last", []byte("last")); err != nil {
		t.Fatal(err)
	}
	for v := range m.Watch(ctx) { // the marker came before
		if v == "last" {
			break
		}
	}
	f.gate.Lock()
	defer f.gate.Unlock()
	if _, err := p.Buckets.Objects.Create(ctx, "k", []byte("again")); err != nil {
		t.Fatal(err)
	}
	if err := m.Prune(ctx, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if e, err := p.Buckets.Objects.Get(ctx, "k"); err != nil || string(e.Value()) != "again" {
		t.Fatal(err)
	}
}

func TestClosedConnectionEndsTheMirror(t *testing.T) {
	p := brokertest.Private(t)
	m := opened(t, p, p.Buckets.Objects, nil)
	if _, err := m.Create(t.Context(), "k", []byte("v")); err != nil {
		t.Fatal(err)
	}
	p.Conn.Close()
	if _, err := m.Wait(t.Context(), "k", func(string) bool { return false }); !errors.Is(err, mirror.ErrClosed) {
		t.Fatal(err)
	}
}

// A mirror that is the only writer of its bucket reads what is there, hears no news after that, and learns from a conflict
// that a write of its own had arrived whose acknowledgement was lost.
func TestSoleWriter(t *testing.T) {
	p := brokertest.Private(t)
	ctx, kv := t.Context(), p.Buckets.Objects
	for i := range 300 {
		if _, err := kv.Put(ctx, fmt.Sprint("k", i), []byte("old")); err != nil {
			t.Fatal(err)
		}
	}
	m, err := mirror.Open(ctx, p.JS, mirror.Config[string]{
		Bucket: broker.BucketObjects, KV: kv, Logger: slog.New(slog.DiscardHandler), Sole: true,
		Decode: func(_ string, b []byte, _ uint64) (string, error) { return string(b), nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	all := 0
	m.Each(func(string, *mirror.Entry[string]) { all++ })
	e, found, _ := m.Get("k299")
	if all != 300 || !found || e.Value != "old" {
		t.Fatalf("%d keys, the last %v", all, e)
	}
	late, err := kv.Update(ctx, "k299", []byte("late"), e.Revision)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Update(ctx, "k299", []byte("again"), e.Revision); !errors.Is(err, mirror.ErrConflict) {
		t.Fatal(err)
	}
	if e, _, _ := m.Get("k299"); e.Value != "late" || e.Revision != late {
		t.Errorf("after the conflict: %+v", e)
	}
	if v, err := m.Update(ctx, "k299", []byte("new"), late); err != nil || v != "new" {
		t.Error(v, err)
	}
	if _, err := kv.Put(ctx, "k300", []byte("late")); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Create(ctx, "k300", []byte("again")); !errors.Is(err, mirror.ErrExists) {
		t.Fatal(err)
	}
	if e, _, _ := m.Get("k300"); e.Value != "late" {
		t.Errorf("a key whose creation was not acknowledged: %+v", e)
	}
}

// unsure is a bucket that takes a write and does not acknowledge it.
type unsure struct{ jetstream.KeyValue }

func (u unsure) Create(ctx context.Context, key string, value []byte, o ...jetstream.KVCreateOpt) (uint64, error) {
	if _, err := u.KeyValue.Create(ctx, key, value, o...); err != nil {
		return 0, err
	}
	return 0, context.DeadlineExceeded
}

func (u unsure) Delete(ctx context.Context, key string, opts ...jetstream.KVDeleteOpt) error {
	if err := u.KeyValue.Delete(ctx, key, opts...); err != nil {
		return err
	}
	return context.DeadlineExceeded
}

// A sole writer's deletes are known too: after an outcome that nobody told, and so that their markers can be pruned.
func TestSoleWriterDeletes(t *testing.T) {
	p := brokertest.Private(t)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	open := func(kv jetstream.KeyValue) *mirror.Mirror[string] {
		m, err := mirror.Open(ctx, p.JS, mirror.Config[string]{
			Bucket: broker.BucketObjects, KV: kv, Logger: slog.New(slog.DiscardHandler), Sole: true,
			Decode: func(_ string, b []byte, _ uint64) (string, error) { return string(b), nil },
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(m.Close)
		return m
	}
	m := open(p.Buckets.Objects)
	for _, key := range []string{"a", "b", "c"} {
		if _, err := m.Create(ctx, key, []byte(key)); err != nil {
			t.Fatal(err)
		}
	}
	revision := func(m *mirror.Mirror[string], key string) uint64 {
		e, found, _ := m.Get(key)
		if !found {
			t.Fatalf("%s is not there", key)
		}
		return e.Revision
	}
	if err := m.Delete(ctx, "a", revision(m, "a")); err != nil {
		t.Fatal(err)
	}
	if err := m.Prune(ctx, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if status, err := p.Buckets.Objects.Status(ctx); err != nil || status.Values() != 2 {
		t.Errorf("%d records are left after the marker's end: %v", status.Values(), err)
	}

	// Somebody deletes b, as an own delete does whose answer is lost with the caller.
	if err := p.Buckets.Objects.Delete(ctx, "b"); err != nil {
		t.Fatal(err)
	}
	if err := m.Delete(ctx, "b", revision(m, "b")); err == nil {
		t.Error("what is deleted is deleted again")
	}
	if _, found, _ := m.Get("b"); found {
		t.Error("b is deleted and still there")
	}
	m.Close()

	m = open(unsure{p.Buckets.Objects})
	if err := m.Delete(ctx, "c", revision(m, "c")); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		if _, found, _ := m.Get("c"); !found {
			break
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("c is deleted and still there")
		}
	}
}

// After a write whose outcome is unknown a sole writer reads the bucket anew, and whoever watches hears of the record.
func TestSoleWriterInDoubt(t *testing.T) {
	p := brokertest.Private(t)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	m, err := mirror.Open(ctx, p.JS, mirror.Config[string]{
		Bucket: broker.BucketObjects, KV: unsure{p.Buckets.Objects}, Logger: slog.New(slog.DiscardHandler), Sole: true,
		Decode: func(_ string, b []byte, _ uint64) (string, error) { return string(b), nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	news := m.Watch(ctx)
	for _, value := range []string{"one", "two"} {
		if _, err := m.Create(ctx, value, []byte(value)); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		if got := <-news; got != value {
			t.Fatalf("%q comes, want %q", got, value)
		}
	}
}
