package node

import (
	"context"
	"sync"
	"sync/atomic"
)

// maxIdle is how many goroutines without work are kept.
const maxIdle = 32

// crew runs functions side by side, on goroutines that it keeps for the next ones. The stack of a new goroutine grows to the
// depth of a signature check by being copied several times, which is a few percent of a small computation.
type crew struct {
	work chan func()
	idle atomic.Int32
	quit context.Context // ends the idle ones
	wg   *sync.WaitGroup // of all of them
}

func newCrew(quit context.Context, wg *sync.WaitGroup) *crew {
	return &crew{work: make(chan func()), quit: quit, wg: wg}
}

// run calls f on a goroutine of its own.
func (c *crew) run(f func()) {
	select {
	case c.work <- f:
	default:
		c.wg.Go(func() { c.serve(f) })
	}
}

func (c *crew) serve(f func()) {
	for {
		f()
		f = nil // what it holds is not kept
		if c.idle.Add(1) > maxIdle {
			c.idle.Add(-1)
			return
		}
		select {
		case f = <-c.work:
			c.idle.Add(-1)
		case <-c.quit.Done():
			c.idle.Add(-1)
			return
		}
	}
}
