package jobs

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// ahead is the clock of the stores.
func ahead() time.Time { return time.Now().Add(time.Hour) }

// sweeper counts its sweeps and answers each as told.
type sweeper struct {
	t     *testing.T
	sweep func(ctx context.Context) error
	count int
}

func (s *sweeper) Sweep(ctx context.Context, now time.Time) error {
	s.count++
	if want := ahead(); !now.Equal(want) {
		s.t.Errorf("swept for %s, want %s", now, want)
	}
	return s.sweep(ctx)
}

// A store that hangs is left after its minute, one that fails is logged, and neither keeps the others from their turn, nor
// itself from the next.
func TestKeepSweptGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		hangs := &sweeper{t: t, sweep: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}
		fails := &sweeper{t: t, sweep: func(context.Context) error { return errors.New("the disk is full") }}
		works := &sweeper{t: t, sweep: func(ctx context.Context) error { return ctx.Err() }}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan bool)
		go func() {
			defer close(done)
			KeepSwept(ctx, ahead, slog.New(slog.NewTextHandler(&log, nil)), hangs, fails, works)
		}()
		time.Sleep(3*sweepEvery + sweepLimit + time.Second)
		synctest.Wait()
		for name, s := range map[string]*sweeper{"that hangs": hangs, "that fails": fails, "that works": works} {
			if s.count != 3 {
				t.Errorf("the store %s was swept %d times in three periods", name, s.count)
			}
		}
		for text, want := range map[string]int{"the disk is full": 3, "deadline exceeded": 3, "level=ERROR": 6} {
			if n := strings.Count(log.String(), text); n != want {
				t.Errorf("%q was logged %d times, want %d:\n%s", text, n, want, log.String())
			}
		}
		stop()
		<-done
	})
}

// A process that ends in the middle of a sweep says nothing of it: what was not swept is swept by the next.
func TestKeepSweptEndsInSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		ctx, stop := context.WithCancel(t.Context())
		s := &sweeper{t: t, sweep: func(ctx context.Context) error { stop(); return ctx.Err() }}
		KeepSwept(ctx, ahead, slog.New(slog.NewTextHandler(&log, nil)), s)
		if s.count != 1 || log.Len() > 0 {
			t.Errorf("swept %d times; logged %q", s.count, log.String())
		}
	})
}
