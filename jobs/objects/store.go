package objects

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/weftmpc/weft/broker"
	"github.com/weftmpc/weft/jobs/internal/body"
	"github.com/weftmpc/weft/jobs/internal/mirror"
	"github.com/weftmpc/weft/jobs/internal/quota"
)

// Limits bounds what one caller may keep.
type Limits struct {
	Count int   // objects; zero: 10,000
	Bytes int64 // of data in all; zero: 1 GiB
	Body  int64 // bytes of one object; zero: 64 MiB
}

// Options configures a Store. The zero value works.
type Options struct {
	Logger  *slog.Logger     // nil: slog.Default()
	Now     func() time.Time // nil: time.Now
	Idle    time.Duration    // how long a value is kept after its last use; zero: 1 h
	Grace   time.Duration    // how long an object of another kind is kept after its last use; zero: 24 h
	Version string           // of this weft, at most 64 bytes, written into each record; empty: "unknown"
	Limits  Limits
	// Shared says that other processes write the objects, too. What they wrote is then read from the server, and what is kept
	// for a time is kept for half of it longer: another process may use an object for so long before it tells.
	Shared bool
	// Guest is Shared, for a process that is not the node's: only the node's Store can sweep.
	Guest bool
}

func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	o.Shared = o.Shared || o.Guest
	o.Idle = cmp.Or(o.Idle, time.Hour)
	o.Grace = cmp.Or(o.Grace, 24*time.Hour)
	o.Version = cmp.Or(o.Version, "unknown")
	o.Limits.Count = cmp.Or(o.Limits.Count, 10_000)
	o.Limits.Bytes = cmp.Or(o.Limits.Bytes, 1<<30)
	o.Limits.Body = cmp.Or(o.Limits.Body, 64<<20)
	return o
}

// Store is a party's objects. Its methods may be called from any goroutine.
type Store struct {
	o      Options
	items  *mirror.Mirror[item]
	bodies *body.Store
	quota  *quota.Quota // by caller; guarded by the lock of items

	mu   sync.Mutex
	used map[uuid.UUID]time.Time // last use of each object in this process
}

// Open reads the objects. The connection must be one to the party's private account, whose buckets are there (jobs.Open of
// the node makes them); it stays the caller's, who closes it after the Store.
func Open(ctx context.Context, nc *nats.Conn, o Options) (*Store, error) {
	s := &Store{o: o.withDefaults(), quota: quota.New(), used: map[uuid.UUID]time.Time{}}
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("opening the object store: %w", err)
	}
	buckets, err := broker.Find(ctx, js)
	if err != nil {
		return nil, fmt.Errorf("opening the object store: %w", err)
	}
	if s.bodies, err = body.NewStore(ctx, js, buckets.Bodies, body.Options{Bucket: broker.StoreBodies, Prefix: "object-", Most: s.o.Limits.Body, Guest: s.o.Guest}); err != nil {
		return nil, fmt.Errorf("opening the object store: %w", err)
	}
	s.items, err = mirror.Open(ctx, js, mirror.Config[item]{
		Bucket: broker.BucketObjects, KV: buckets.Objects, Logger: s.o.Logger, Changed: s.changed,
		Decode: func(key string, b []byte, revision uint64) (item, error) {
			return decode(s.o.Version, key, b, revision)
		},
	})
	if err != nil {
		return nil, fmt.Errorf("opening the object store: %w", err)
	}
	return s, nil
}

// Close ends the watcher. It may be called twice.
func (s *Store) Close() { s.items.Close() }

// changed follows the mirror, under its lock.
func (s *Store) changed(old, new *item) {
	if old != nil {
		s.quota.Add(old.Caller, quota.Use{Count: -1, Bytes: -old.Size})
	}
	if new != nil {
		s.quota.Settle(new.ID.String())
		s.quota.Add(new.Caller, quota.Use{Count: 1, Bytes: new.Size})
		s.touch(new.ID)
	} else {
		s.mu.Lock()
		delete(s.used, old.ID)
		s.mu.Unlock()
	}
}

func (s *Store) touch(id uuid.UUID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used[id] = s.o.Now()
}

// reserve takes room for a write; release gives it back if the write failed.
func (s *Store) reserve(r Record, n int, bytes int64) (release func(), err error) {
	var room *quota.Reservation
	s.items.Locked(func() {
		u := s.quota.Of(r.Caller)
		if (n > 0 && u.Count+n > s.o.Limits.Count) || (bytes > 0 && u.Bytes+bytes > s.o.Limits.Bytes) {
			err = ErrTooMany
			return
		}
		room = s.quota.Reserve(r.ID.String(), r.Caller, quota.Use{Count: n, Bytes: bytes})
	})
	if err != nil {
		return nil, err
	}
	return func() { s.items.Locked(func() { s.quota.Release(room) }) }, nil
}

func known(err error) error {
	switch {
	case errors.Is(err, mirror.ErrExpired):
		return ErrExpired
	case errors.Is(err, mirror.ErrNotFound), errors.Is(err, body.ErrNotFound):
		return ErrNotFound
	case errors.Is(err, mirror.ErrExists):
		return ErrExists
	case errors.Is(err, mirror.ErrConflict):
		return ErrConflict
	case errors.Is(err, mirror.ErrClosed):
		return ErrClosed
	case broker.IsFull(err):
		return ErrFull
	}
	return err
}

// Put stores a new object, with a random ID if it has none. ErrExists: the ID is taken. ErrTooMany: the caller has
// reached a bound. After an error other than these, ErrTooLarge and ErrFull the object may be there all the same.
func (s *Store) Put(ctx context.Context, r Record) (Record, error) {
	if r.ID == uuid.Nil {
		id, err := uuid.NewRandom()
		if err != nil {
			return Record{}, fmt.Errorf("storing an object: %w", err)
		}
		r.ID = id
	}
	if r.Kind < Value || r.Kind > lastKind {
		return Record{}, fmt.Errorf("storing object %s: %s is no kind of object", r.ID, r.Kind)
	}
	if r.Created.IsZero() {
		r.Created = s.o.Now().UTC()
	}
	release, err := s.reserve(r, 1, int64(len(r.Data)))
	if err != nil {
		return Record{}, fmt.Errorf("storing object %s: %w", r.ID, err)
	}
	defer release()
	out, err := s.write(ctx, r, func(key string, b []byte) (item, error) { return s.items.Create(ctx, key, b) })
	if err != nil {
		return Record{}, fmt.Errorf("storing object %s: %w", r.ID, err)
	}
	return out, nil
}

// write stores the data, then the record by the given function. What no record can name is removed again.
func (s *Store) write(ctx context.Context, r Record, record func(key string, b []byte) (item, error)) (Record, error) {
	var err error
	x := item{Record: r}
	x.Data = nil
	if x.body, err = s.bodies.Put(ctx, r.Data); err != nil {
		return Record{}, err
	}
	b, err := x.encode(s.o.Version)
	sure := err != nil
	if err == nil {
		var written item
		if written, err = record(r.ID.String(), b); err == nil {
			out := written.Record
			out.Data = r.Data
			return out, nil
		}
		sure = errors.Is(err, mirror.ErrExists) || errors.Is(err, mirror.ErrConflict) || broker.IsFull(err)
	}
	if sure {
		s.bodies.Discard(ctx, s.o.Logger, x.body)
	}
	return Record{}, known(err)
}

// load returns the newest known item, from the server if asked to or where others write.
func (s *Store) load(ctx context.Context, id uuid.UUID, server bool) (item, error) {
	get := s.items.Load
	switch {
	case s.o.Shared:
		get = s.items.Latest
	case server:
		get = s.items.Fetch
	}
	e, err := get(ctx, id.String())
	if err == nil {
		err = e.Err
	}
	if err != nil {
		return item{}, known(err)
	}
	return e.Value, nil
}

// Holds says whether this process knows of an object, without asking the server.
func (s *Store) Holds(id uuid.UUID) bool {
	_, found, _ := s.items.Get(id.String())
	return found
}

// Large is how many bytes Get reads from beside an object's record: 0 where they stand in it, or the object is not known in
// this process.
func (s *Store) Large(id uuid.UUID) int64 {
	e, found, _ := s.items.Get(id.String())
	if !found || e.Err != nil || e.Value.body.Object == "" {
		return 0
	}
	return e.Value.Size
}

// Get returns an object with its data, and counts as a use of it. ErrExpired: it was there and was not used for long.
func (s *Store) Get(ctx context.Context, id uuid.UUID) (Record, error) {
	if err := s.expire(ctx, id); err != nil {
		return Record{}, fmt.Errorf("reading object %s: %w", id, err)
	}
	x, err := s.load(ctx, id, false)
	for err == nil {
		var data []byte
		if data, err = s.bodies.Read(ctx, x.body); err == nil {
			x.Data = data
			return s.use(ctx, x), nil
		}
		// The data go with the revision that named them: if that one is the newest no more, read the newest.
		newest, errNew := s.load(ctx, id, true)
		if errNew != nil {
			err = errNew
		} else if newest.Revision != x.Revision {
			x, err = newest, nil
		}
	}
	return Record{}, fmt.Errorf("reading object %s: %w", id, known(err))
}

// expire removes an object that has had its time and is still there because no Sweep has come by.
func (s *Store) expire(ctx context.Context, id uuid.UUID) error {
	e, found, _ := s.items.Get(id.String())
	if !found || e.Err != nil || !s.idle(e.Value.Record, s.o.Now()) {
		return nil
	}
	switch err := s.items.Expire(ctx, id.String(), e.Revision); {
	case err == nil:
		s.bodies.Discard(ctx, s.o.Logger, e.Value.body)
		return ErrExpired
	case errors.Is(err, mirror.ErrConflict): // another process uses it
		return nil
	default:
		return known(err)
	}
}

// use notes that an object was read. Once in half its time the record is written anew, which tells other processes; if
// that fails, another use will do it.
func (s *Store) use(ctx context.Context, x item) Record {
	s.touch(x.ID)
	e, found, _ := s.items.Get(x.ID.String())
	if !found || e.Revision != x.Revision || e.Written.IsZero() || s.o.Now().Sub(e.Written) < s.time(x.Kind)/2 {
		return x.Record
	}
	if b, err := x.encode(s.o.Version); err == nil {
		if again, err := s.items.Update(ctx, x.ID.String(), b, x.Revision); err == nil {
			x.Revision = again.Revision
		}
	}
	return x.Record
}

// time is how long an object is kept after its last use.
func (s *Store) time(k Kind) time.Duration {
	if k == Value {
		return s.o.Idle
	}
	return s.o.Grace
}

func (s *Store) idle(r Record, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	most := s.time(r.Kind)
	if s.o.Shared {
		most += most / 2 // which use allows another process
	}
	return now.Sub(s.used[r.ID]) > most
}

// Update replaces the data of an object over the revision that was read; all else stays. ErrConflict: there is a newer
// one, which the next Get returns. After another error the data may have been replaced all the same.
func (s *Store) Update(ctx context.Context, r Record) (Record, error) {
	old, err := s.load(ctx, r.ID, false)
	if err == nil && old.Revision < r.Revision {
		old, err = s.load(ctx, r.ID, true)
	}
	if err == nil && old.Revision != r.Revision {
		err = ErrConflict
	}
	if err != nil {
		return Record{}, fmt.Errorf("updating object %s: %w", r.ID, err)
	}
	r.Caller, r.Kind, r.Created = old.Caller, old.Kind, old.Created
	release, err := s.reserve(r, 0, int64(len(r.Data))-old.Size)
	if err != nil {
		return Record{}, fmt.Errorf("updating object %s: %w", r.ID, err)
	}
	defer release()
	out, err := s.write(ctx, r, func(key string, b []byte) (item, error) { return s.items.Update(ctx, key, b, r.Revision) })
	if errors.Is(err, ErrConflict) {
		_, _ = s.load(ctx, r.ID, true) // what another process wrote may not have come yet
	}
	if err != nil {
		return Record{}, fmt.Errorf("updating object %s: %w", r.ID, err)
	}
	s.bodies.Discard(ctx, s.o.Logger, old.body)
	return out, nil
}

// Delete removes an object and its data, whatever its revision.
func (s *Store) Delete(ctx context.Context, id uuid.UUID) error {
	x, err := s.load(ctx, id, false)
	for err == nil {
		if err = s.items.Delete(ctx, id.String(), x.Revision); err == nil {
			s.bodies.Discard(ctx, s.o.Logger, x.body)
			return nil
		}
		if errors.Is(err, mirror.ErrConflict) {
			x, err = s.load(ctx, id, true)
		}
	}
	return fmt.Errorf("deleting object %s: %w", id, known(err))
}

// List returns the objects of a caller, newest first and without their data; the empty caller stands for all.
func (s *Store) List(ctx context.Context, caller string) ([]Record, error) {
	if s.o.Shared {
		if err := s.items.Sync(ctx); err != nil {
			return nil, fmt.Errorf("listing objects: %w", err)
		}
	}
	var out []Record
	s.items.Each(func(_ string, e *mirror.Entry[item]) {
		if e.Err == nil && (caller == "" || e.Value.Caller == caller) {
			out = append(out, e.Value.Record)
		}
	})
	slices.SortFunc(out, func(a, b Record) int {
		return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(b.Revision, a.Revision))
	})
	return out, nil
}

// Sweep removes objects that have had their time, damaged records after the longer one, delete markers, and bytes
// that no record has named for an hour (none while a newer weft's record is there, which may name them). It goes on
// after an error.
func (s *Store) Sweep(ctx context.Context, now time.Time) error {
	type victim struct {
		key      string
		revision uint64
		body     body.Body
	}
	var victims []victim
	s.items.Each(func(key string, e *mirror.Entry[item]) {
		if s.unused(e, now) {
			victims = append(victims, victim{key, e.Revision, e.Value.body})
		}
	})
	var errs []error
	for _, v := range victims {
		switch err := s.items.Expire(ctx, v.key, v.revision); {
		case err == nil:
			s.bodies.Discard(ctx, s.o.Logger, v.body)
		case !errors.Is(err, mirror.ErrConflict): // else it was used after all
			errs = append(errs, err)
		}
	}
	errs = append(errs, s.items.Prune(ctx, now.Add(-body.Orphan)))
	named := sync.OnceValue(s.named)
	errs = append(errs, s.bodies.Sweep(ctx, now, func(name string) bool { return named() == nil || named()[name] }))
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("sweeping the object store: %w", known(err))
	}
	return nil
}

func (s *Store) unused(e *mirror.Entry[item], now time.Time) bool {
	if e.Err != nil {
		var damaged *RecordError
		return errors.As(e.Err, &damaged) && !damaged.Newer() && !e.Written.IsZero() && now.Sub(e.Written) > s.o.Grace
	}
	return s.idle(e.Value.Record, now)
}

// named returns the names of all bytes that records name; nil if some record cannot be read.
func (s *Store) named() map[string]bool {
	names, readable := map[string]bool{}, true
	s.items.Each(func(_ string, e *mirror.Entry[item]) {
		readable = readable && e.Err == nil
		if e.Value.body.Object != "" {
			names[e.Value.body.Object] = true
		}
	})
	if !readable {
		return nil
	}
	return names
}
