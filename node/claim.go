package node

import (
	"context"
	"fmt"

	"github.com/weftmpc/weft/jobs"
)

// claim is the write of a job's record that says which process works on it, and when its JOIN was issued. It goes on while
// the JOIN is signed and under way: what hangs on the record is that no START is served before, so that the computation's
// ledger line never stands before the record that it names. A process that dies in between has promised nothing: it has no
// open JOIN any more, and its next one is issued later by the clock.
type claim struct {
	stop context.CancelFunc
	done chan struct{} // closed when the write has ended
	job  jobs.Job      // as written
	err  error
}

// claim begins to write the record of an attempt whose JOIN is issued at the given time.
func (r *runner) claim(ctx context.Context, issued int64) *claim {
	ctx, stop := context.WithCancel(ctx)
	c := &claim{stop: stop, done: make(chan struct{})}
	attempt := r.job.State != jobs.Waiting || r.ran // a JOIN that was open at a restart counts for none, nor does a start too short to be written
	r.node.crew.run(func() {
		defer close(c.done)
		c.err = r.stored(ctx, func() (err error) {
			c.job, err = r.change(ctx, jobs.Waiting, func(j *jobs.Job) {
				j.Boot, j.Issued, j.SID, j.Waiting, j.Opened = r.node.boot, issued, [32]byte{}, nil, jobs.Body{}
				if attempt {
					j.Attempt++
				}
			})
			return err
		})
	})
	return c
}

// take makes what was written the runner's own copy; done is closed.
func (c *claim) take(r *runner) error {
	if c.err != nil {
		if err := r.refresh(context.Background()); err == nil && r.job.Approval.Verdict == jobs.Denied { // while the rules stopped asking
			return &denial{r.job.Approval}
		}
		return fmt.Errorf("claiming the job: %w", c.err)
	}
	r.job = c.job
	return nil
}

// settled waits for the write and takes it over, where the request goes on after then.
func (c *claim) settled(r *runner, then error) error {
	<-c.done
	if err := c.take(r); err != nil {
		return err
	}
	return then
}

// end stops a write that is still under way, so that it does not come after what the runner writes next.
func (c *claim) end() {
	c.stop()
	<-c.done
}
