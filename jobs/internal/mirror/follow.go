package mirror

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

var (
	errCutOff = errors.New("the watcher ended before it had said what the bucket holds")
	errAnew   = errors.New("the connection is a new one")
)

// retry is how long the watcher waits before it starts again, from first to last.
const (
	retryFirst = 50 * time.Millisecond
	retryLast  = 5 * time.Second
)

// run keeps a watcher going until the mirror is closed or its connection is.
func (m *Mirror[T]) run(ctx context.Context, ready chan<- error) {
	defer close(m.done)
	defer m.shut()
	pause := retryFirst
	for first := true; ; {
		err := m.follow(ctx, func() {
			pause = retryFirst
			if first {
				first = false
				ready <- nil
			}
		})
		if first || ctx.Err() != nil || errors.Is(err, nats.ErrConnectionClosed) {
			if first {
				ready <- cmpErr(err, ErrClosed)
			}
			return
		}
		if m.c.Sole && err == nil {
			select {
			case <-m.doubt:
			case <-ctx.Done():
				return
			}
			continue
		}
		m.c.Logger.Warn("the watcher of a bucket ended and is started again", "bucket", m.c.Bucket, "error", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
			pause = min(2*pause, retryLast)
		}
	}
}

func cmpErr(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

// follow enters what one watcher says until it ends. replayed is called when it has said all that the bucket holds; keys
// that it did not name by then are gone.
func (m *Mirror[T]) follow(ctx context.Context, replayed func()) error {
	before := map[string]uint64{}
	m.mu.RLock()
	for key, x := range m.entries {
		before[key] = x.Revision
	}
	m.mu.RUnlock()
	// The watcher ends with ctx. Its channel must be drained to the end, or its callback would block for ever.
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	anew := m.onReconnect(ctx, stop)
	start, err := m.stream.Info(ctx)
	if err != nil {
		return err
	}
	w, err := m.c.KV.WatchAll(ctx)
	if err != nil {
		return err
	}
	whole := false
	for e := range w.Updates() {
		switch {
		case e == nil:
			m.missing(before)
			before = nil
			m.heard(start.State.LastSeq)
			replayed()
			if whole = true; m.c.Sole {
				stop()
			}
		case e.Operation() == jetstream.KeyValuePut:
			delete(before, e.Key())
			_, _ = m.put(e.Key(), e.Value(), e.Revision(), e.Created()) // an unreadable record is kept as such
			m.heard(e.Revision())
		default:
			delete(before, e.Key())
			m.remove(e.Key(), e.Revision(), e.Created(), e.Operation() == jetstream.KeyValuePurge)
			m.heard(e.Revision())
		}
	}
	switch {
	case m.c.Sole && !whole:
		return errCutOff
	case anew.Load():
		return errAnew
	}
	return nil
}

// onReconnect calls stop, and says so, when the connection has been made anew: a broker that was started again has no watcher
// of before, which its client would notice in many seconds only.
func (m *Mirror[T]) onReconnect(ctx context.Context, stop func()) *atomic.Bool {
	var anew atomic.Bool
	status := m.conn.StatusChanged(nats.CONNECTED)
	context.AfterFunc(ctx, func() { m.conn.RemoveStatusListener(status) }) // which closes it
	go func() {
		if _, ok := <-status; ok {
			anew.Store(true)
			stop()
		}
	}()
	return &anew
}

// missing removes the keys that a whole replay did not name, unless they were written meanwhile.
func (m *Mirror[T]) missing(before map[string]uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for key, revision := range before {
		if x := m.entries[key]; x != nil && x.Revision == revision {
			m.set(key, nil)
		}
	}
}

func (m *Mirror[T]) shut() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	for key, ws := range m.waiters {
		for w := range ws {
			close(w)
		}
		delete(m.waiters, key)
	}
	for r := range m.readers {
		r.wakeUp()
	}
}
