package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/jobs/internal/body"
	"github.com/weftmpc/weft/jobs/internal/mirror"
)

const (
	sweepEvery = 10 * time.Minute
	sweepLimit = time.Minute // for one sweep of one store
)

// Sweeper is a store that lets go what has had its time.
type Sweeper interface {
	Sweep(ctx context.Context, now time.Time) error
}

// KeepSwept sweeps the stores every ten minutes, one after the other, until ctx ends. now is the clock that the stores have,
// nil: time.Now. It wants a goroutine of its own: a store that is slow must not stop the clock of the protocols.
func KeepSwept(ctx context.Context, now func() time.Time, logger *slog.Logger, stores ...Sweeper) {
	if now == nil {
		now = time.Now
	}
	t := time.NewTicker(sweepEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		for _, s := range stores {
			one, cancel := context.WithTimeout(ctx, sweepLimit)
			if err := s.Sweep(one, now()); err != nil && ctx.Err() == nil {
				logger.Error("not all old records were swept; trying again in ten minutes", "error", err)
			}
			cancel()
		}
	}
}

// Sweep removes what has had its time: jobs that ended more than Retain ago, ledger lines after their Kept, damaged
// records after Retain, delete markers, and bytes in the object store that no record has named for an hour. It goes on
// after an error. Once an hour is often enough.
//
// Records of a newer weft stay. As long as there is one, unnamed bytes stay too: it may be the one that names them.
func (s *Store) Sweep(ctx context.Context, now time.Time) error {
	errs := []error{s.sweepJobs(ctx, now), s.jobs.Prune(ctx, now.Add(-body.Orphan))}
	if s.sids != nil {
		errs = append(errs, s.sweepLines(ctx, now), s.sids.Prune(ctx, now.Add(-body.Orphan)))
	}

	// The names are collected after the list of bytes was read: a record that was written in between counts.
	named := sync.OnceValue(s.named)
	errs = append(errs, s.bodies.Sweep(ctx, now, func(name string) bool { return named() == nil || named()[name] }))
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("sweeping the job store: %w", known(err))
	}
	return nil
}

func (s *Store) sweepJobs(ctx context.Context, now time.Time) error {
	var ended []uuid.UUID
	damaged := map[string]uint64{}
	s.jobs.Each(func(key string, e *mirror.Entry[Job]) {
		switch {
		case e.Err != nil && old(e.Err, e.Written, now, s.o.Retain):
			damaged[key] = e.Revision
		case e.Err == nil && e.Value.Terminal() && now.Sub(e.Value.Ended) > s.o.Retain:
			ended = append(ended, e.Value.ID)
		}
	})
	var errs []error
	for _, id := range ended {
		if err := s.remove(ctx, id, s.jobs.Expire); err != nil && !errors.Is(err, ErrNotFound) {
			errs = append(errs, err)
		}
	}
	for key, revision := range damaged {
		errs = append(errs, s.jobs.Delete(ctx, key, revision))
	}
	return errors.Join(errs...)
}

func (s *Store) sweepLines(ctx context.Context, now time.Time) error {
	gone := map[string]uint64{}
	s.sids.Each(func(key string, e *mirror.Entry[Line]) {
		if (e.Err != nil && old(e.Err, e.Written, now, LineKept)) || (e.Err == nil && now.After(e.Value.Kept)) {
			gone[key] = e.Revision
		}
	})
	var errs []error
	for key, revision := range gone {
		errs = append(errs, s.sids.Forget(ctx, key, revision))
	}
	return errors.Join(errs...)
}

// old says whether a damaged record has had its time. A newer weft's never has.
func old(err error, written, now time.Time, keep time.Duration) bool {
	var e *RecordError
	if !errors.As(err, &e) || e.Newer() {
		return false
	}
	return !written.IsZero() && now.Sub(written) > keep
}

// named returns the names of all bytes that records name; nil if some record cannot be read.
func (s *Store) named() map[string]bool {
	names := map[string]bool{}
	readable := true
	s.jobs.Each(func(_ string, e *mirror.Entry[Job]) {
		readable = readable && e.Err == nil
		for _, b := range e.Value.bodies() {
			if b.Object != "" {
				names[b.Object] = true
			}
		}
	})
	if !readable {
		return nil
	}
	return names
}
