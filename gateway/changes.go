package gateway

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/jobs"
)

// changes tells listeners which jobs have changed. One subscription to the store serves all of them, and exists as long as
// there is one of them. A listener that is slow costs a job's identifier and revision, and holds nobody up.
type changes struct {
	mu        sync.Mutex
	listeners map[*listen]struct{}
	stop      context.CancelFunc // ends the subscription
}

// listen is one listener. Its lock is that of changes.
type listen struct {
	caller string               // whose jobs; empty: everybody's
	queue  map[uuid.UUID]uint64 // jobs that have changed, and their newest revision
	ahead  map[uuid.UUID]uint64 // jobs that were told as they stood after a change that is still to come; the stream's alone
	over   bool                 // the store is closed
	wake   chan struct{}        // holds one
}

// changed is one job that has changed.
type changed struct {
	id       uuid.UUID
	revision uint64
}

// listen begins to tell of the caller's jobs, or of everybody's where caller is ""; what is read from the store after it, and what is told, is all. The function
// that it returns ends it.
func (c *changes) listen(store *jobs.Store, caller string) (*listen, func()) {
	l := &listen{caller: caller, queue: map[uuid.UUID]uint64{}, ahead: map[uuid.UUID]uint64{}, wake: make(chan struct{}, 1)}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.listeners) == 0 {
		ctx, stop := context.WithCancel(context.Background())
		c.listeners, c.stop = map[*listen]struct{}{}, stop
		go c.follow(ctx, store.Changes(ctx), c.listeners)
	}
	c.listeners[l] = struct{}{}
	return l, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if delete(c.listeners, l); len(c.listeners) == 0 {
			c.stop()
		}
	}
}

// follow passes on what the store says to those that listen since this subscription began.
func (c *changes) follow(ctx context.Context, news <-chan jobs.Job, listeners map[*listen]struct{}) {
	for j := range news {
		c.mu.Lock()
		for l := range listeners {
			if l.hears(j) {
				l.queue[j.ID] = j.Revision
				l.wakeUp()
			}
		}
		c.mu.Unlock()
	}
	if ctx.Err() != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for l := range listeners {
		l.over = true
		l.wakeUp()
	}
}

// hears says whether the listener may know of the job.
func (l *listen) hears(j jobs.Job) bool { return l.caller == "" || l.caller == j.Caller }

func (l *listen) wakeUp() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// take empties the queue, the oldest change first.
func (c *changes) take(l *listen) (list []changed, over bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, revision := range l.queue {
		list = append(list, changed{id, revision})
	}
	clear(l.queue)
	slices.SortFunc(list, func(a, b changed) int {
		return cmp.Or(cmp.Compare(a.revision, b.revision), bytes.Compare(a.id[:], b.id[:]))
	})
	return list, l.over
}
