package gateway

import (
	"context"
	"net/http"
	"runtime"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/jobs"
	"github.com/weftmpc/weft/jobs/objects"
)

// Bounds of the memory that bodies take.
const (
	largeBody    = 16 << 20         // bytes that are collected as soon as they are done with, lest as many more be taken before
	freeBody     = 64 << 10         // bytes of a body that need no loan, so that small requests never wait for large ones
	bodiesAtOnce = 4                // times MaxBody: what all bodies together may take
	memoryWait   = 10 * time.Second // for memory, before the answer is 503
)

var errBusyMemory = busy("this gateway reads as many large requests as it has memory for; send this one again in a moment")

// memory is what the bodies of all requests share.
type memory struct {
	wait time.Duration // how long take waits
	each int64         // bytes that one caller may have; 0: all

	mu    sync.Mutex
	free  int64
	taken map[string]int64 // by caller
	freed chan struct{}    // closed and replaced when something comes back
}

func newMemory(bytes int64) *memory {
	return &memory{wait: memoryWait, free: bytes, taken: map[string]int64{}, freed: make(chan struct{})}
}

// loan is one request's part of the memory. Only the goroutine of the request uses it.
type loan struct {
	of     *memory
	ends   context.Context // the gateway's end
	caller string
	size   int64
}

func (g *Gateway) loan() *loan { return &loan{of: g.memory, ends: g.draining} }

// take adds n bytes to the loan. While there are none it waits, at most as long as the memory says: requests that each
// hold a part and wait for more of it would wait for each other.
func (l *loan) take(ctx context.Context, n int64) error {
	if n == 0 {
		return nil
	}
	if l.size == 0 {
		l.caller = callerOf(ctx)
	}
	var late <-chan time.Time
	for {
		freed, ok := l.of.try(n, l.caller)
		if ok {
			l.size += n
			return nil
		}
		if late == nil {
			t := time.NewTimer(l.of.wait)
			defer t.Stop()
			late = t.C
		}
		select {
		case <-freed:
		case <-late:
			return errBusyMemory
		case <-l.ends.Done():
			return errDraining
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

type loanKey struct{}

// in is a context in which what is read from the stores belongs to the loan.
func (l *loan) in(ctx context.Context) context.Context { return context.WithValue(ctx, loanKey{}, l) }

// borrow takes the memory for n bytes from the stores. A request reads one thing after the other, so its loan is as large as
// the largest.
func borrow(ctx context.Context, n int64) error {
	if l, ok := ctx.Value(loanKey{}).(*loan); ok && n > l.size {
		return l.take(ctx, n-l.size)
	}
	return nil
}

// object reads a stored object, once there is memory for it.
func (g *Gateway) object(ctx context.Context, id uuid.UUID) (objects.Record, error) {
	if err := borrow(ctx, g.config.Objects.Large(id)); err != nil {
		return objects.Record{}, err
	}
	return g.config.Objects.Get(ctx, id)
}

// readResult reads the result of a job, once there is memory for it.
func (g *Gateway) readResult(ctx context.Context, j jobs.Job) ([]byte, error) {
	if j.Result.Size > jobs.MaxInline {
		if err := borrow(ctx, j.Result.Size); err != nil {
			return nil, err
		}
	}
	return g.config.Jobs.Read(ctx, j.Result)
}

// giveBack ends the loan.
func (l *loan) giveBack() {
	if l.size == 0 {
		return
	}
	m := l.of
	if l.size > largeBody {
		defer runtime.GC()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.free += l.size
	if m.taken[l.caller] -= l.size; m.taken[l.caller] == 0 {
		delete(m.taken, l.caller)
	}
	l.size = 0
	close(m.freed)
	m.freed = make(chan struct{})
}

// try takes n bytes for a caller if they are there; if not, freed is closed once there are more.
func (m *memory) try(n int64, caller string) (freed <-chan struct{}, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.free < n || m.each > 0 && m.taken[caller]+n > m.each {
		return m.freed, false
	}
	m.free -= n
	m.taken[caller] += n
	return nil, true
}

// left is how many bytes nobody has borrowed.
func (m *memory) left() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.free
}

// comingBack has an answer say when the next process is likely to be there.
func comingBack(e *Error) *Error {
	e.retry = 5
	return e
}

// busy is the answer to a request that comes at a bad time.
func busy(message string) *Error {
	e := fail(http.StatusServiceUnavailable, "busy", "%s", message)
	e.retry = 2
	return e
}
