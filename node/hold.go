package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/weftmpc/weft/coordinator"
	"github.com/weftmpc/weft/jobs"
	"github.com/weftmpc/weft/node/seat"
)

// denial says who has denied a job.
type denial struct{ jobs.Approval }

func (e *denial) Error() string {
	s := fmt.Sprintf("%s has denied this computation at %s", e.By, e.At.UTC().Format("15:04 UTC"))
	if e.Reason != "" {
		s += ": " + e.Reason
	}
	return s
}

// approved returns nil where the rules let the job go on: they ask for no approval, or there is one. Else it holds the job
// until there is, before anything has left for it; *denial: there will be none.
//
// An approval is for the job as it is stored, whatever the rules become, and so it counts for every attempt.
func (r *runner) approved(ctx context.Context, rules *rules) error {
	if r.job.State == jobs.Held { // perhaps decided since it was read
		if err := r.refresh(ctx); err != nil {
			return err
		}
	}
	switch a := r.job.Approval; {
	case a.Verdict == jobs.Denied:
		return r.decline(ctx)
	case a.Verdict == jobs.Approved:
		return r.inTime()
	case !rules.policy.Approval.Needs(r.job.Microprotocol):
		return nil
	}
	if err := r.hold(ctx, rules.policy.Approval.ByCaller); err != nil {
		return err
	}
	if err := r.decided(ctx, rules); err != nil {
		return err
	}
	if err := r.refresh(ctx); err != nil {
		return err
	}
	switch r.job.Approval.Verdict {
	case jobs.Denied:
		return r.decline(ctx)
	case jobs.Approved:
		r.log().Info("job approved", "by", r.job.Approval.By)
		return r.inTime()
	}
	return r.undecided() // the deadline has passed, or a decision is in the record no longer
}

// refresh reads the runner's copy anew.
func (r *runner) refresh(ctx context.Context) error {
	job, err := r.node.cfg.Jobs.Get(ctx, r.id)
	if err == nil {
		r.job = job
	}
	return err
}

// hold writes down that the job waits for an approval, since when, and whose. A job whose attempt was aborted has two steps
// to take: the table lets it wait only.
func (r *runner) hold(ctx context.Context, byCaller bool) error {
	if r.job.State == jobs.Held && r.job.Approval.ByCaller == byCaller {
		return nil
	}
	now := r.node.cfg.Now().UTC()
	err := r.stored(ctx, func() error {
		if s := r.job.State; s == jobs.Started || s == jobs.Committed {
			if err := r.move(ctx, jobs.Waiting, func(*jobs.Job) {}); err != nil {
				return err
			}
		}
		job, err := r.node.cfg.Jobs.Change(ctx, r.id, func(j jobs.Job) (jobs.Job, error) {
			if j.Approval.Verdict != 0 { // under the rules before
				return j, nil
			}
			if j.State != jobs.Held {
				var err error
				if j, err = j.Move(jobs.Held); err != nil {
					return j, err
				}
				j.Approval.Since, j.Boot = now, r.node.boot
			}
			j.Approval.ByCaller = byCaller
			return j, nil
		})
		r.reached(jobs.Held.String())
		if err == nil {
			r.job = job
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("holding the job: %w", err)
	}
	r.log().Info("job held: it waits for an approval", "until", r.job.Deadline.UTC())
	return nil
}

// decided waits for the decision, for the deadline, at which the record tells whether there is one, and for whatever else
// ends the wait.
func (r *runner) decided(ctx context.Context, rules *rules) (err error) {
	ctx, span := under(ctx, "approval")
	defer func() { over(span, err) }()
	ctx, end := r.node.joining(ctx, rules)
	defer end()
	if r.job.Approval.Verdict != 0 {
		return nil
	}
	r.input = nil // which may be large; it is read again for the attempt
	deadline := time.NewTimer(r.job.Deadline.Sub(r.node.cfg.Now()))
	defer deadline.Stop()
	select {
	case <-r.decision:
		return nil
	case <-deadline.C:
		return nil
	case <-r.cancelled:
		return errCancelled
	case <-r.replaced:
		return errReplaced
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// undecided says for whom the job has waited.
func (r *runner) undecided() error {
	who := "a data owner or an administrator of this party"
	if !r.job.Approval.ByCaller {
		who += ", other than " + r.job.Caller + ", who asked for it,"
	}
	return &jobError{504, "not-approved", fmt.Sprintf("nobody approved this computation before its deadline: it has waited since %s for the approval of %s "+
		"and nothing was sent; submit it again, with a later deadline if they need more time", r.job.Approval.Since.UTC().Format("15:04 UTC"), who)}
}

// inTime refuses an approved job whose time is over: the node was down meanwhile, or the approval came in the last moment.
func (r *runner) inTime() error {
	if r.job.State != jobs.Held || r.node.cfg.Now().Before(r.job.Deadline) {
		return nil
	}
	return &jobError{504, "not-joined", fmt.Sprintf("%s has approved this computation in time, and this node could not begin it before its deadline: submit it again", r.job.Approval.By)}
}

// declineTries is how often the coordinator is told of a denial, pauses as between JOINs in between: 15 s in all where there is
// no way to it, 25 s where it does not answer. Who is not told waits until the deadline.
const declineTries = 5

// decline tells the other parties, who may have been waiting, that this one takes no part: it joins with a JOIN whose secret
// is erased before it leaves, so that what starts with it ends at once with a signed ABORT, and says no more than that it was
// denied. The record has the JOIN's time first: a process that dies in between tells it again.
func (r *runner) decline(ctx context.Context) error {
	denied := &denial{r.job.Approval}
	switch err := r.interrupted(); {
	case errors.Is(err, errDrained):
		return err
	case err != nil, !r.node.cfg.Now().Before(r.job.Deadline):
		return denied
	}
	issued := r.node.issue(r.job.Issued)
	err := r.stored(ctx, func() error {
		job, err := r.node.cfg.Jobs.Change(ctx, r.id, func(j jobs.Job) (jobs.Job, error) {
			j.Issued = issued
			return j, nil
		})
		if err == nil {
			r.job = job
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("writing down a denial: %w", err)
	}
	r.reached("declining")
	join, err := r.node.seat.Decline(r.common(), issued, r.job.Deadline)
	if err == nil {
		err = r.send(ctx, join)
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, errDrained): // the next process tells it
		return err
	}
	if err != nil {
		r.log().Warn("the other parties are not told of a denial; they wait until their deadline", "error", err)
	}
	return denied
}

// send hands a declined JOIN to the coordinator.
func (r *runner) send(ctx context.Context, join *seat.Open) (err error) {
	pause := joinFirst
	for try := 1; ; try, pause = try+1, 2*pause {
		again := r.node.relinked()
		one, cancel := context.WithTimeout(ctx, joinRequest)
		err = join.Send(one)
		cancel()
		if err == nil {
			select {
			case a := <-join.Answers:
				if a.Kind == coordinator.AnswerRefused && a.Code == coordinator.CodeBusy {
					err = errors.New("the coordinator refused the request: " + a.Text)
				}
			default:
			}
		}
		if err == nil || try == declineTries {
			return err
		}
		select {
		case <-time.After(pause):
		case <-again:
		case <-r.replaced: // what replaces it joins, or is declined as well
			return err
		case <-r.node.retired.Done():
			return errDrained
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
