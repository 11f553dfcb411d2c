package node

import (
	"context"
	"errors"
)

// errDrained ends the work of this process on a job that has not started, and not the job: the next process goes on.
var errDrained = errors.New("this node is stopping")

// Drain lets the computations that run come to their end and begins no other: open requests are withdrawn, and their jobs
// wait for the next process, as do those that are submitted from now on. It returns when none is left, or when ctx ends, and
// says how many are. The caller then ends the context of Run.
func (n *Node) Drain(ctx context.Context) (left int) {
	n.retire()
	for {
		n.mu.Lock()
		left, ended := len(n.runners), n.ended
		n.mu.Unlock()
		if left == 0 {
			return 0
		}
		select {
		case <-ended:
		case <-ctx.Done():
			return left
		}
	}
}

// over tells Drain that a runner has ended; the node's lock is held.
func (n *Node) over() {
	if n.retired.Err() != nil {
		close(n.ended)
		n.ended = make(chan struct{})
	}
}

// joining is ctx for an open request, which Drain and other rules end.
func (n *Node) joining(ctx context.Context, r *rules) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	drained := context.AfterFunc(n.retired, func() { cancel(errDrained) })
	reloaded := context.AfterFunc(r.over, func() { cancel(errReloaded) })
	return ctx, func() { drained(); reloaded(); cancel(nil) }
}
