package jobs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/weftmpc/weft/broker"
	"github.com/weftmpc/weft/jobs/internal/body"
	"github.com/weftmpc/weft/jobs/internal/mirror"
)

// Errors that callers branch on.
var (
	ErrNotFound  = errors.New("there is no such record")
	ErrExpired   = fmt.Errorf("%w: it has expired", ErrNotFound)
	ErrExists    = errors.New("a record with this name exists")
	ErrConflict  = errors.New("the record has changed since it was read: read it again")
	ErrCommitted = errors.New("the result is computed and waits for the other parties' confirmations: wait until the job has ended")
	ErrActive    = errors.New("the job has not ended: cancel it first")
	ErrTooMany   = errors.New("too many jobs: delete ended ones, or wait until running ones end")
	ErrTooLarge  = body.ErrTooLarge
	ErrFull      = body.ErrFull
	ErrClosed    = errors.New("the job store is closed")
)

// Limits bounds what a Store accepts.
type Limits struct {
	PerCaller int   // unfinished jobs of one caller; zero: 1,000
	Jobs      int   // job records in all; zero: 100,000
	Body      int64 // bytes of one body; zero: 64 MiB

	// What one caller may keep, ended jobs included, where callers do not trust each other to leave room. Results count, too,
	// and are never refused. Zero: no bound.
	Kept   int   // job records
	Inside int64 // bytes that records carry themselves: parameters and small bodies
	Beside int64 // bytes of larger bodies
}

// Options configures a Store. The zero value works.
type Options struct {
	Logger  *slog.Logger     // nil: slog.Default()
	Now     func() time.Time // nil: time.Now
	Retain  time.Duration    // how long an ended job is kept; zero: 24 h
	Version string           // of this weft, at most 64 bytes, written into each record; empty: "unknown"
	Limits  Limits
	// Alone says that no other process, and no other Store of this one, writes the jobs while this Store is open. It then
	// need not hear of its own writes again. The ledger is always alone.
	Alone bool
	// Ledger is a connection to the account that has the ledger. Nil: a Store without ledger, of a gateway that is a process
	// of its own. The buckets must be there then, and only the node's Store can sweep them.
	Ledger *nats.Conn
}

func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	o.Retain = cmp.Or(o.Retain, 24*time.Hour)
	o.Version = cmp.Or(o.Version, "unknown")
	o.Limits.PerCaller = cmp.Or(o.Limits.PerCaller, 1000)
	o.Limits.Jobs = cmp.Or(o.Limits.Jobs, 100_000)
	o.Limits.Body = cmp.Or(o.Limits.Body, 64<<20)
	return o
}

// Store is a party's jobs and its ledger. Its methods may be called from any goroutine.
type Store struct {
	o      Options
	jobs   *mirror.Mirror[Job]
	sids   *mirror.Mirror[Line] // nil: without ledger
	bodies *body.Store
	quotas quotas // guarded by the lock of jobs
}

// Open makes the buckets where they are missing and reads them. The connection must be one to the party's private
// account; it and Options.Ledger stay the caller's, who closes them after the Store.
func Open(ctx context.Context, nc *nats.Conn, o Options) (*Store, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("opening the job store: %w", err)
	}
	find := broker.Provision
	if o.Ledger == nil {
		find = broker.Find
	}
	buckets, err := find(ctx, js)
	if err != nil {
		return nil, fmt.Errorf("opening the job store: %w", err)
	}
	return open(ctx, js, buckets, o)
}

func open(ctx context.Context, js jetstream.JetStream, buckets broker.Buckets, o Options) (_ *Store, err error) {
	s := &Store{o: o.withDefaults(), quotas: newQuotas()}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if s.bodies, err = body.NewStore(ctx, js, buckets.Bodies, body.Options{Bucket: broker.StoreBodies, Prefix: "job-", Most: s.o.Limits.Body, Guest: o.Ledger == nil}); err != nil {
		return nil, fmt.Errorf("opening the job store: %w", err)
	}
	s.jobs, err = mirror.Open(ctx, js, mirror.Config[Job]{
		Bucket: broker.BucketJobs, KV: buckets.Jobs, Logger: s.o.Logger, Changed: s.quotas.changed, Sole: s.o.Alone,
		Decode: func(key string, b []byte, revision uint64) (Job, error) {
			return decodeJob(s.o.Version, key, b, revision)
		},
	})
	if err != nil {
		return nil, fmt.Errorf("opening the job store: %w", err)
	}
	if o.Ledger == nil {
		return s, nil
	}
	if s.sids, err = openLedger(ctx, s.o); err != nil {
		return nil, fmt.Errorf("opening the ledger: %w", err)
	}
	return s, nil
}

func openLedger(ctx context.Context, o Options) (*mirror.Mirror[Line], error) {
	js, err := jetstream.New(o.Ledger)
	if err != nil {
		return nil, err
	}
	kv, err := broker.ProvisionLedger(ctx, js)
	if err != nil {
		return nil, err
	}
	return mirror.Open(ctx, js, mirror.Config[Line]{
		Bucket: broker.BucketSids, KV: kv, Logger: o.Logger,
		Sole: true, // one node works on a state folder, and only nodes write the ledger
		Decode: func(key string, b []byte, revision uint64) (Line, error) {
			return decodeLine(o.Version, key, b, revision)
		},
	})
}

// Close ends the watchers; waits end with ErrClosed, watches with a closed channel. It may be called twice.
func (s *Store) Close() {
	if s.jobs != nil {
		s.jobs.Close()
	}
	if s.sids != nil {
		s.sids.Close()
	}
}

// known translates the mirror's errors into those of this package.
func known(err error) error {
	switch {
	case errors.Is(err, mirror.ErrExpired):
		return ErrExpired
	case errors.Is(err, mirror.ErrNotFound):
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

// Submit accepts a job: once it returns without an error, the job survives. The input's bytes are stored before the
// record that names them. A job without an ID gets a random one; ErrExists: the ID is taken. After another error the job
// may have been accepted all the same, unless the error is ErrTooMany, ErrTooLarge or ErrFull; Get tells.
func (s *Store) Submit(ctx context.Context, j Job, input []byte) (Job, error) {
	if j.ID == uuid.Nil {
		id, err := uuid.NewRandom()
		if err != nil {
			return Job{}, fmt.Errorf("submitting a job: %w", err)
		}
		j.ID = id
	}
	j.State, j.Problem, j.Input, j.Opened, j.Result, j.Approval = Submitted, nil, Body{}, Body{}, Body{}, Approval{}
	if j.Created.IsZero() {
		j.Created = s.o.Now().UTC()
	}
	inside, beside := j.bytes()
	if n := int64(len(input)); n > MaxInline {
		beside += n
	} else {
		inside += n
	}
	release, err := s.reserve(j.ID, j.Caller, inside, beside)
	if err != nil {
		return Job{}, fmt.Errorf("submitting a job: %w", err)
	}
	defer release()
	if j.Input, err = s.bodies.Put(ctx, input); err != nil {
		return Job{}, fmt.Errorf("submitting job %s: its input: %w", j.ID, err)
	}
	b, err := j.encode(s.o.Version)
	sure := err != nil // that no record names the body
	if err == nil {
		out, errCreate := s.jobs.Create(ctx, j.ID.String(), b)
		if errCreate == nil {
			return out, nil
		}
		err, sure = errCreate, errors.Is(errCreate, mirror.ErrExists) || broker.IsFull(errCreate)
	}
	if sure {
		s.bodies.Discard(ctx, s.o.Logger, j.Input)
	}
	return Job{}, fmt.Errorf("submitting job %s: %w", j.ID, known(err))
}

// waitingSince is since when a job waits for the parties that it waits for: as before where some have come and nobody was
// added, else from now on.
func (s *Store) waitingSince(old, j Job) time.Time {
	if len(j.Waiting) == 0 {
		return time.Time{}
	}
	for _, name := range j.Waiting {
		if old.State != j.State || old.WaitingSince.IsZero() || !slices.Contains(old.Waiting, name) {
			return s.o.Now().UTC()
		}
	}
	return old.WaitingSince
}

// Get returns a job from the local copy. It sees every write of this Store at once, and those of other processes
// moments later.
func (s *Store) Get(ctx context.Context, id uuid.UUID) (Job, error) {
	e, err := s.jobs.Load(ctx, id.String())
	if err == nil {
		err = e.Err
	}
	if err != nil {
		return Job{}, fmt.Errorf("job %s: %w", id, known(err))
	}
	return e.Value, nil
}

// Update writes a changed job over the revision that was read. ErrConflict: there is a newer one. Another state must be
// a step of the table, and a job that has ended changes no more: *MoveError. Bytes in the object store that the new
// record does not name any more are removed. After another error the record may have been written all the same.
func (s *Store) Update(ctx context.Context, j Job) (Job, error) {
	old, err := s.at(ctx, j.ID, j.Revision)
	if err == nil && (old.Terminal() || (j.State != old.State && !old.State.CanMove(j.State))) {
		err = &MoveError{From: old.State, To: j.State}
	}
	if err == nil {
		err = old.approvalAllows(j)
	}
	if j.Terminal() && j.Ended.IsZero() {
		j.Ended = s.o.Now().UTC()
	}
	j.WaitingSince = s.waitingSince(old, j)
	var b []byte
	if err == nil {
		b, err = j.encode(s.o.Version)
	}
	if err == nil {
		j, err = s.jobs.Update(ctx, j.ID.String(), b, j.Revision)
	}
	if err != nil {
		return Job{}, fmt.Errorf("updating job %s: %w", old.ID, known(err))
	}
	for _, was := range old.bodies() {
		if !slices.ContainsFunc(j.bodies(), func(is Body) bool { return is.Object == was.Object }) {
			s.bodies.Discard(ctx, s.o.Logger, was)
		}
	}
	return j, nil
}

// at returns the job at exactly the given revision.
func (s *Store) at(ctx context.Context, id uuid.UUID, revision uint64) (Job, error) {
	key := id.String()
	e, err := s.jobs.Load(ctx, key)
	if err == nil && e.Revision < revision {
		e, err = s.jobs.Fetch(ctx, key)
	}
	switch {
	case err == nil && e.Err != nil:
		err = e.Err
	case err == nil && e.Revision != revision:
		err = mirror.ErrConflict
	}
	if err != nil {
		return Job{ID: id}, err
	}
	return e.Value, nil
}

func (j Job) bodies() []Body { return []Body{j.Input, j.Opened, j.Result} }

// Change reads a job, calls f and writes what it returns, again and again until nobody else wrote in between. f may be
// called several times, must depend on its argument alone, and ends the loop with an error of its own.
func (s *Store) Change(ctx context.Context, id uuid.UUID, f func(Job) (Job, error)) (Job, error) {
	j, err := s.Get(ctx, id)
	for err == nil {
		var next Job
		if next, err = f(j); err != nil {
			return j, err
		}
		next.ID, next.Revision = j.ID, j.Revision
		if next, err = s.Update(ctx, next); err == nil {
			return next, nil
		}
		if !errors.Is(err, ErrConflict) || ctx.Err() != nil {
			return j, err
		}
		j, err = s.fetch(ctx, id)
	}
	return Job{}, err
}

// fetch is Get past the local copy.
func (s *Store) fetch(ctx context.Context, id uuid.UUID) (Job, error) {
	e, err := s.jobs.Fetch(ctx, id.String())
	if err == nil {
		err = e.Err
	}
	if err != nil {
		return Job{}, fmt.Errorf("job %s: %w", id, known(err))
	}
	return e.Value, nil
}

// Latest is Get for who has heard of the job from another process: where others write jobs it asks the server.
func (s *Store) Latest(ctx context.Context, id uuid.UUID) (Job, error) {
	if s.o.Alone {
		return s.Get(ctx, id)
	}
	e, err := s.jobs.Latest(ctx, id.String())
	if err == nil {
		err = e.Err
	}
	if err != nil {
		return Job{}, fmt.Errorf("job %s: %w", id, known(err))
	}
	return e.Value, nil
}

// List returns the jobs of a caller, newest first; the empty caller stands for all. Records that cannot be read have no
// known caller: Unreadable lists them.
func (s *Store) List(ctx context.Context, caller string) ([]Job, error) {
	return s.Select(ctx, caller, nil, func(a, b *Job) int {
		return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(b.Revision, a.Revision))
	}, 0)
}

// Select returns the first jobs of a caller, at most so many, that keep wants, in the order of compare. The empty caller
// stands for all, no keep for every job, 0 for no bound. Neither function changes a job. What is not returned takes a pointer's
// memory: a Job is large, and there may be 100,000.
func (s *Store) Select(ctx context.Context, caller string, keep func(*Job) bool, compare func(a, b *Job) int, most int) ([]Job, error) {
	if !s.o.Alone {
		if err := s.jobs.Sync(ctx); err != nil {
			return nil, fmt.Errorf("listing jobs: %w", err)
		}
	}
	var found []*Job
	s.jobs.Each(func(_ string, e *mirror.Entry[Job]) {
		if e.Err == nil && (caller == "" || e.Value.Caller == caller) && (keep == nil || keep(&e.Value)) {
			found = append(found, &e.Value)
		}
	})
	slices.SortFunc(found, compare)
	if most > 0 {
		found = found[:min(most, len(found))]
	}
	out := make([]Job, len(found))
	for i, j := range found {
		out[i] = *j
	}
	return out, nil
}

// Unreadable returns a *RecordError per record, of jobs and ledger, that a newer weft wrote or that is damaged, by key.
func (s *Store) Unreadable() []error {
	errs := map[string]error{}
	s.jobs.Each(func(key string, e *mirror.Entry[Job]) {
		if e.Err != nil {
			errs[key] = e.Err
		}
	})
	if s.sids != nil {
		s.sids.Each(func(key string, e *mirror.Entry[Line]) {
			if e.Err != nil {
				errs[key] = e.Err
			}
		})
	}
	keys := make([]string, 0, len(errs))
	for key := range errs {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	out := make([]error, 0, len(keys))
	for _, key := range keys {
		out = append(out, errs[key])
	}
	return out
}

// Wait returns the job as soon as until accepts it; until sees the newest record now and after each change. When ctx
// ends first, the job comes with ctx's error. ErrNotFound: there is no such job, or it was deleted.
func (s *Store) Wait(ctx context.Context, id uuid.UUID, until func(Job) bool) (Job, error) {
	j, err := s.jobs.Wait(ctx, id.String(), until)
	if err != nil {
		return j, fmt.Errorf("waiting for job %s: %w", id, known(err))
	}
	return j, nil
}

// Watch sends every job that is there, oldest write first, and then each change, until ctx ends or the Store is closed;
// then the channel is closed. Changes of one job in quick succession may be seen as one, for a slow reader most of all;
// the newest record of every job always comes. Deleted jobs and unreadable records are not sent.
func (s *Store) Watch(ctx context.Context) <-chan Job { return s.jobs.Watch(ctx) }

// Changes is Watch without the jobs that are there.
func (s *Store) Changes(ctx context.Context) <-chan Job { return s.jobs.Changes(ctx) }

// errAsIs ends a Change that has nothing to write.
var errAsIs = errors.New("nothing to change")

// RequestCancel asks for the end of a job; the node that runs it acts on it (a job that is only submitted may be moved
// to cancelled at once). A job that has ended, or ends because it was denied, is returned as it is; a committed one is
// ErrCommitted.
func (s *Store) RequestCancel(ctx context.Context, id uuid.UUID) (Job, error) {
	j, err := s.Change(ctx, id, func(j Job) (Job, error) {
		switch {
		case j.Terminal() || (j.CancelRequested && j.State != Committed) || j.State == Held && j.Approval.Verdict == Denied:
			return j, errAsIs
		case j.State == Committed:
			return j, fmt.Errorf("cancelling job %s: %w", id, ErrCommitted)
		}
		j.CancelRequested = true
		return j, nil
	})
	if errors.Is(err, errAsIs) {
		return j, nil
	}
	return j, err
}

// Delete removes a job that has ended: its record, and with it input, opened elements and result. ErrActive: it has not
// ended; ErrCommitted: nor can it be cancelled. The ledger keeps its line.
func (s *Store) Delete(ctx context.Context, id uuid.UUID) error {
	return s.remove(ctx, id, s.jobs.Delete)
}

// remove deletes an ended job by the given function of its bucket.
func (s *Store) remove(ctx context.Context, id uuid.UUID, drop func(ctx context.Context, key string, revision uint64) error) error {
	j, err := s.Get(ctx, id)
	for err == nil {
		switch {
		case j.State == Committed:
			return fmt.Errorf("deleting job %s: %w", id, ErrCommitted)
		case !j.Terminal():
			return fmt.Errorf("deleting job %s: %w", id, ErrActive)
		}
		err = drop(ctx, id.String(), j.Revision)
		if err == nil {
			for _, b := range j.bodies() {
				s.bodies.Discard(ctx, s.o.Logger, b)
			}
			return nil
		}
		if !errors.Is(err, mirror.ErrConflict) {
			return fmt.Errorf("deleting job %s: %w", id, err)
		}
		j, err = s.fetch(ctx, id) // another process was faster, or the copy was old
	}
	return err
}

// Put makes a body of a job out of bytes: to be named by the record in the next Update. Small ones are not copied.
func (s *Store) Put(ctx context.Context, b []byte) (Body, error) { return s.bodies.Put(ctx, b) }

// Read returns the bytes of a body. ErrNotFound: they are gone, because the job went on since it was read.
func (s *Store) Read(ctx context.Context, b Body) ([]byte, error) {
	out, err := s.bodies.Read(ctx, b)
	if errors.Is(err, body.ErrNotFound) {
		return nil, fmt.Errorf("%w: %w", err, ErrNotFound)
	}
	return out, err
}

// Drop removes the bytes of a body that no record will name.
func (s *Store) Drop(ctx context.Context, b Body) error { return s.bodies.Drop(ctx, b) }
