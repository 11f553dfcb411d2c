// Package mirror keeps a local copy of a key-value bucket, so that reading costs no message and waiting needs no polling.
//
// One watcher feeds the copy: all the time or, where nobody else writes the bucket, until it has said what is there. Own
// writes are entered when the server has acknowledged them, so a process reads what it wrote; a revision never goes back,
// so the watcher's later news of the same write changes nothing. The copy may be a moment behind other processes' writes:
// every write is a compare-and-set against the revision that was read, so acting on an old copy ends in ErrConflict, and
// never overwrites.
package mirror

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

var (
	ErrNotFound = errors.New("no such key")
	ErrExpired  = fmt.Errorf("%w: it has expired", ErrNotFound)
	ErrExists   = errors.New("the key exists")
	ErrConflict = errors.New("the key has another revision")
	ErrClosed   = errors.New("the bucket's watcher is closed")
)

// Entry is the newest known record of a key.
type Entry[T any] struct {
	Value    T
	Err      error // the record cannot be read; Value is zero then
	Revision uint64
	Written  time.Time // by the server's clock; zero for an own write that has not come back yet
}

// Config describes a bucket.
type Config[T any] struct {
	Bucket string
	KV     jetstream.KeyValue
	Logger *slog.Logger
	// Sole says that nobody but this mirror writes the bucket while it is open. The watcher then ends when it has said what
	// the bucket holds, and own writes do not come back as news. After a write of which nobody knows whether it arrived, the
	// bucket is read anew.
	Sole bool
	// Decode reads a record; the result may point into b, which nobody else uses.
	Decode func(key string, b []byte, revision uint64) (T, error)
	// Changed is called under the mirror's lock when a key's readable value comes, changes or goes (nil: was not, is not
	// there), in revision order per key. It must not block and not call the mirror. It may be nil.
	Changed func(old, new *T)
}

type entry[T any] struct {
	Entry[T]
	gone    bool // a delete marker is the newest record
	expired bool // … which Expire wrote
}

// Mirror is the local copy.
type Mirror[T any] struct {
	c      Config[T]
	conn   *nats.Conn
	stream jetstream.Stream

	mu      sync.RWMutex
	entries map[string]*entry[T]
	waiters map[string]map[chan struct{}]struct{}
	readers map[*reader[T]]struct{}
	closed  bool
	seen    uint64        // the newest revision that the watcher has told of
	news    chan struct{} // closed when seen grows

	doubt chan struct{} // holds one: the bucket may hold more than the copy; for a sole writer

	stop context.CancelFunc
	done chan struct{} // closed when the watcher goroutine has ended
}

// Open starts the watcher and returns when all records that the bucket holds have been read.
func Open[T any](ctx context.Context, js jetstream.JetStream, c Config[T]) (*Mirror[T], error) {
	stream, err := js.Stream(ctx, "KV_"+c.Bucket)
	if err != nil {
		return nil, fmt.Errorf("opening the stream of bucket %s: %w", c.Bucket, err)
	}
	m := &Mirror[T]{
		c: c, conn: js.Conn(), stream: stream,
		entries: map[string]*entry[T]{}, waiters: map[string]map[chan struct{}]struct{}{}, readers: map[*reader[T]]struct{}{},
		news: make(chan struct{}), doubt: make(chan struct{}, 1), done: make(chan struct{}),
	}
	life, stop := context.WithCancel(context.Background())
	m.stop = stop
	ready := make(chan error, 1)
	go m.run(life, ready)
	select {
	case err = <-ready:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		m.Close()
		return nil, fmt.Errorf("reading bucket %s: %w", c.Bucket, err)
	}
	return m, nil
}

// Close ends the watcher, and all waits and watches with ErrClosed. It may be called twice.
func (m *Mirror[T]) Close() {
	m.stop()
	<-m.done
}

// Get returns the newest known record of a key. found is false where there is none, or only a delete marker; known says
// that the mirror has seen that marker, so that asking the server is of no use.
func (m *Mirror[T]) Get(key string) (e Entry[T], found, known bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	x := m.entries[key]
	if x == nil {
		return Entry[T]{}, false, false
	}
	if x.gone {
		return Entry[T]{}, false, true
	}
	return x.Entry, true, true
}

// Fetch asks the server for a key, past the copy.
func (m *Mirror[T]) Fetch(ctx context.Context, key string) (Entry[T], error) {
	m.mu.RLock()
	before := m.entries[key]
	m.mu.RUnlock()
	raw, err := m.c.KV.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		m.mu.Lock()
		defer m.mu.Unlock()
		if x := m.entries[key]; m.c.Sole && x != nil && x == before && !x.gone { // a delete whose outcome nobody told
			m.set(key, nil)
		}
		return Entry[T]{}, ErrNotFound
	}
	if err != nil {
		return Entry[T]{}, err
	}
	m.put(key, raw.Value(), raw.Revision(), raw.Created())
	e, found, _ := m.Get(key) // at least as new as what came
	if !found {
		return Entry[T]{}, ErrNotFound
	}
	return e, nil
}

// Load is Get, and Fetch for a key of which nothing is known. ErrExpired: Expire removed it, and that is remembered.
func (m *Mirror[T]) Load(ctx context.Context, key string) (Entry[T], error) {
	m.mu.RLock()
	x := m.entries[key]
	m.mu.RUnlock()
	switch {
	case x == nil:
		return m.Fetch(ctx, key)
	case x.expired:
		return Entry[T]{}, ErrExpired
	case x.gone:
		return Entry[T]{}, ErrNotFound
	}
	e, found, _ := m.Get(key)
	if !found {
		return Entry[T]{}, ErrNotFound
	}
	return e, nil
}

// Latest is Load for a key that another process may have written a moment ago: it asks the server.
func (m *Mirror[T]) Latest(ctx context.Context, key string) (Entry[T], error) {
	e, err := m.Fetch(ctx, key)
	if errors.Is(err, ErrNotFound) {
		m.mu.RLock()
		defer m.mu.RUnlock()
		if x := m.entries[key]; x != nil && x.expired {
			return e, ErrExpired
		}
	}
	return e, err
}

// syncTime bounds a wait for the watcher. Only a record that was removed without a trace before it came costs all of it.
const syncTime = time.Second

// Sync waits until the copy has what the server has now.
func (m *Mirror[T]) Sync(ctx context.Context) error {
	info, err := m.stream.Info(ctx)
	if err != nil {
		return err
	}
	late := time.NewTimer(syncTime)
	defer late.Stop()
	for {
		m.mu.Lock()
		seen, news := m.seen, m.news
		m.mu.Unlock()
		if seen >= info.State.LastSeq {
			return nil
		}
		select {
		case <-news:
		case <-late.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// heard notes how far the watcher has come.
func (m *Mirror[T]) heard(revision uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.seen < revision {
		m.seen = revision
		close(m.news)
		m.news = make(chan struct{})
	}
}

// Create writes a new key, one message to the server and back. After an error other than ErrExists the record may have
// been written all the same.
func (m *Mirror[T]) Create(ctx context.Context, key string, b []byte) (T, error) {
	revision, err := m.c.KV.Create(ctx, key, b)
	if errors.Is(err, jetstream.ErrKeyExists) {
		err = ErrExists
	}
	return m.wrote(ctx, key, b, revision, err)
}

// Update replaces the given revision of a key. ErrConflict: another one is the newest. After any other error the record
// may have been written all the same.
func (m *Mirror[T]) Update(ctx context.Context, key string, b []byte, revision uint64) (T, error) {
	if e, found, known := m.Get(key); known && (!found || e.Revision > revision) {
		var zero T
		return zero, ErrConflict
	}
	revision, err := m.c.KV.Update(ctx, key, b, revision)
	if errors.Is(err, jetstream.ErrKeyRevisionMismatch) {
		err = ErrConflict
	}
	return m.wrote(ctx, key, b, revision, err)
}

// wrote takes the outcome of a write in.
func (m *Mirror[T]) wrote(ctx context.Context, key string, b []byte, revision uint64, err error) (T, error) {
	if err == nil {
		return m.put(key, b, revision, time.Time{})
	}
	switch {
	case !m.c.Sole:
	case errors.Is(err, ErrConflict) || errors.Is(err, ErrExists): // by an own write whose acknowledgement was lost
		_, _ = m.Fetch(ctx, key)
	default: // it may arrive yet; what asks for the bucket's records comes after it on the same connection
		select {
		case m.doubt <- struct{}{}:
		default:
		}
	}
	var zero T
	return zero, err
}

// Delete removes the given revision of a key. What is left is a marker, until Prune.
func (m *Mirror[T]) Delete(ctx context.Context, key string, revision uint64) error {
	return m.drop(ctx, key, revision, false)
}

// Expire is Delete for a key that has had its time: Load says so until Prune, in every process and after a restart. The
// bucket keeps one record of a key, so its purge marker differs from a delete marker in nothing but the name.
func (m *Mirror[T]) Expire(ctx context.Context, key string, revision uint64) error {
	return m.drop(ctx, key, revision, true)
}

func (m *Mirror[T]) drop(ctx context.Context, key string, revision uint64, expired bool) error {
	write := m.c.KV.Delete
	if expired {
		write = m.c.KV.Purge
	}
	err := write(ctx, key, jetstream.LastRevision(revision))
	if errors.Is(err, jetstream.ErrKeyRevisionMismatch) {
		err = ErrConflict
	}
	if err != nil {
		_, err = m.wrote(ctx, key, nil, 0, err)
		return err
	}
	// The marker's own revision is not told. It is above this one and below that of anything written later.
	m.remove(key, revision+1, time.Time{}, expired)
	if m.c.Sole { // no news of it will come, and Prune has to know it
		if last, err := m.stream.GetLastMsgForSubject(ctx, m.subject(key)); err == nil && last.Header.Get(operation) != "" {
			m.remove(key, last.Sequence, last.Time, expired)
		}
	}
	return nil
}

// operation is the header of a marker; a record has none.
const operation = "KV-Operation"

func (m *Mirror[T]) subject(key string) string { return "$KV." + m.c.Bucket + "." + key }

// Forget removes a key at the given revision without a marker; other processes' mirrors notice only when they restart
// their watcher. It is for keys that nobody writes any more.
func (m *Mirror[T]) Forget(ctx context.Context, key string, revision uint64) error {
	if err := m.stream.Purge(ctx, jetstream.WithPurgeSubject(m.subject(key)), jetstream.WithPurgeSequence(revision+1)); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if x := m.entries[key]; x != nil && x.Revision == revision {
		m.set(key, nil)
	}
	return nil
}

// Bounds of what is remembered of expired keys; about 200 bytes each.
const (
	expiredKept = 24 * time.Hour
	expiredMost = 10_000
)

// Prune removes delete markers that were written before the given time, and of expired keys those that are older than a
// day before it or the oldest beyond 10,000. It removes none of a key that was written since.
func (m *Mirror[T]) Prune(ctx context.Context, before time.Time) error {
	type marker struct {
		key      string
		revision uint64
	}
	var markers, expired []marker
	m.mu.RLock()
	for key, x := range m.entries {
		switch {
		case !x.gone || x.Written.IsZero():
		case x.expired && !x.Written.Before(before.Add(-expiredKept)):
			expired = append(expired, marker{key, x.Revision})
		case x.expired || x.Written.Before(before):
			markers = append(markers, marker{key, x.Revision})
		}
	}
	m.mu.RUnlock()
	if over := len(expired) - expiredMost; over > 0 {
		slices.SortFunc(expired, func(a, b marker) int { return cmp.Compare(a.revision, b.revision) })
		markers = append(markers, expired[:over]...)
	}
	for _, x := range markers {
		if err := m.Forget(ctx, x.key, x.revision); err != nil {
			return err
		}
	}
	return nil
}

// Each calls f for every key, unreadable records included, in no order. f must not block and not call the mirror. It may
// keep the pointer to the value, which never changes, but not the one to the entry.
func (m *Mirror[T]) Each(f func(key string, e *Entry[T])) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for key, x := range m.entries {
		if !x.gone {
			f(key, &x.Entry)
		}
	}
}

// Locked calls f while no key changes: for counters that Changed keeps.
func (m *Mirror[T]) Locked(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f()
}

// put enters a record and returns what it says.
func (m *Mirror[T]) put(key string, b []byte, revision uint64, written time.Time) (T, error) {
	if v, known, err := m.known(key, revision, written); known {
		return v, err
	}
	v, err := m.c.Decode(key, b, revision)
	x := &entry[T]{Entry: Entry[T]{Value: v, Err: err, Revision: revision, Written: written}}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch old := m.entries[key]; {
	case old != nil && old.Revision == revision && !old.gone && old.Written.IsZero():
		old.Written = written // an own write came back
	case old == nil || old.Revision < revision:
		if err != nil {
			m.c.Logger.Error("a record cannot be read and is left alone", "bucket", m.c.Bucket, "key", key, "error", err)
		}
		m.set(key, x)
	}
	return v, err
}

// known notes when an own write was written, which its news tell. It saves reading a record anew that comes back.
func (m *Mirror[T]) known(key string, revision uint64, written time.Time) (v T, known bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	x := m.entries[key]
	if x == nil || x.gone || x.Revision != revision {
		return v, false, nil
	}
	if x.Written.IsZero() {
		x.Written = written
	}
	return x.Value, true, x.Err
}

// remove enters a delete marker. One with the revision of a marker that Delete guessed replaces it.
func (m *Mirror[T]) remove(key string, revision uint64, written time.Time, expired bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if old := m.entries[key]; old == nil || old.Revision < revision || (old.Revision == revision && old.gone && old.Written.IsZero()) {
		m.set(key, &entry[T]{Entry: Entry[T]{Revision: revision, Written: written}, gone: true, expired: expired})
	}
}

// set replaces a key's entry, nil for none, and tells everyone. The caller holds the lock.
func (m *Mirror[T]) set(key string, x *entry[T]) {
	old := m.entries[key]
	if x == nil {
		delete(m.entries, key)
	} else {
		m.entries[key] = x
	}
	if m.c.Changed != nil {
		if a, b := old.readable(), x.readable(); a != nil || b != nil {
			m.c.Changed(a, b)
		}
	}
	for w := range m.waiters[key] {
		close(w)
	}
	delete(m.waiters, key)
	if x.readable() != nil {
		for r := range m.readers {
			r.add(key)
		}
	}
}

func (x *entry[T]) readable() *T {
	if x == nil || x.gone || x.Err != nil {
		return nil
	}
	return &x.Value
}
