package node

import (
	"context"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/coordinator"
	"github.com/weftmpc/weft/jobs"
	"github.com/weftmpc/weft/node/seat"
)

// lane holds the jobs of one caller for one uuid and one set of parties. At most one of them has an open JOIN: a newer
// request replaces an older one that has not started, and waits for the end of one that has. So a client that was stopped
// and started again with other data is never answered with the old data.
type lane struct {
	active *runner
	next   *runner
}

func laneKey(j jobs.Job) string {
	parties := slices.Clone(j.Parties)
	slices.Sort(parties)
	return j.Caller + "\x00" + j.UUID.String() + "\x00" + strings.Join(parties, " ")
}

// issue is the time of a new JOIN, later than that of every other that this node knows of, even when the clock is set back a
// little. JOINs that are further ahead than clocks may differ were refused wherever the clock was right, and are not counted:
// else a node whose clock has been wrong for a moment would go on asking from the future.
func (n *Node) issue(before int64) int64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := n.cfg.Now()
	next, far := now.UnixNano(), now.Add(coordinator.ClockTolerance).UnixNano()
	for _, earlier := range []int64{before, n.issued} {
		if earlier < far {
			next = max(next, earlier+1)
		}
	}
	n.issued = next
	return next
}

// take looks at a job record that is new or has changed.
func (n *Node) take(ctx context.Context, job jobs.Job, left map[uuid.UUID]*seat.Run) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if r := n.runners[job.ID]; r != nil {
		if job.CancelRequested {
			r.signal(r.cancelled)
		}
		if job.Approval.Verdict != 0 {
			r.signal(r.decision)
		}
		return
	}
	if job.Terminal() {
		return
	}
	r := &runner{
		node: n, id: job.ID, uuid: job.UUID, created: job.Created, job: job, left: left[job.ID],
		cancelled: make(chan struct{}), replaced: make(chan struct{}), decision: make(chan struct{}),
	}
	if job.CancelRequested {
		r.signal(r.cancelled)
	}
	n.runners[job.ID] = r
	key := laneKey(job)
	l := n.lanes[key]
	if l == nil {
		l = &lane{}
		n.lanes[key] = l
	}
	n.place(ctx, key, l, r)
}

// place puts a runner into its lane; the node's lock is held.
func (n *Node) place(ctx context.Context, key string, l *lane, r *runner) {
	switch {
	case l.active == nil:
		l.active = r
		n.start(ctx, key, l, r)
		return
	case r.left != nil: // committed before a restart: it only waits for notices, beside whatever is open
		n.start(ctx, key, nil, r)
		return
	}
	older := func(a, b *runner) bool { return a.created.Before(b.created) }
	if older(r, l.active) || (l.next != nil && older(r, l.next)) { // a restart replays records in any order
		n.drop(ctx, r)
		return
	}
	if l.next != nil {
		n.drop(ctx, l.next)
	}
	l.next = r
	l.active.signal(l.active.replaced)
}

// drop ends a job whose turn never came.
func (n *Node) drop(ctx context.Context, r *runner) {
	r.signal(r.replaced)
	n.start(ctx, "", nil, r)
}

// start runs r, then the next of its lane.
func (n *Node) start(ctx context.Context, key string, l *lane, r *runner) {
	n.crew.run(func() {
		r.traced(ctx)
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(n.runners, r.id)
		defer n.over()
		if l == nil {
			return
		}
		l.active, l.next = l.next, nil
		if l.active != nil {
			n.start(ctx, key, l, l.active)
		} else {
			delete(n.lanes, key)
		}
	})
}
