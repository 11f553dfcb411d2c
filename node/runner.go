package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/broker/identity"
	"github.com/weftmpc/weft/coordinator"
	"github.com/weftmpc/weft/jobs"
	"github.com/weftmpc/weft/node/policy"
	"github.com/weftmpc/weft/node/seat"
	"github.com/weftmpc/weft/node/session"
	"github.com/weftmpc/weft/simon"
)

const (
	joinFirst       = time.Second // until a JOIN is repeated, doubling
	joinMost        = 10 * time.Second
	refusals        = 2                      // repetitions of a JOIN after which the coordinator's refusal is final
	lastLook        = 300 * time.Millisecond // before the deadline
	joinRequest     = 2 * time.Second        // how long one request waits for the coordinator
	showWaiting     = 200 * time.Millisecond // a wait that is shorter is not written down
	showStarted     = 200 * time.Millisecond // a computation that is shorter is not written down as started
	showStep        = time.Second            // between two writes of where a computation stands
	showUnconfirmed = time.Second
	retryFirst      = 500 * time.Millisecond // at most, at random, before the second attempt, doubling
	retryMost       = 8 * time.Second
)

var (
	errCancelled = error(cancelledError{})
	errRestarted = errors.New("this node was restarted meanwhile")
	errReplaced  = errors.New("replaced by a newer request; use a new uuid for computations side by side")
)

// runner brings one job to its end.
type runner struct {
	node    *Node
	id      uuid.UUID
	uuid    uuid.UUID // of the computation
	created time.Time
	job     jobs.Job // own copy, for the goroutine that runs; the store has the truth
	m       simon.Microprotocol
	input   []byte
	parties []seat.Peer                        // in the job's order, as admitted
	places  policy.Places                      // of the helpers and evaluators, as admitted
	full    []byte                             // the parameters, complete as far as this party knows; nil: as the job has them
	asked   int                                // how often the request was completed by what another party has said
	heard   map[identity.Fingerprint]time.Time // when the requests were issued that it was completed by
	left    *seat.Run                          // of a committed job after a restart
	ids     []any                              // of the job's span, for the log; empty where nobody traces

	ran     bool                                    // an attempt of this process has started
	ended   *seat.AbortedError                      // how the last attempt ended; nil: there was none
	playing atomic.Pointer[context.CancelCauseFunc] // ends the protocol that runs

	once                          [3]sync.Once
	cancelled, replaced, decision chan struct{} // decision: somebody has approved or denied the job
}

// log is for lines about this job.
func (r *runner) log() *slog.Logger {
	return r.node.cfg.Logger.With(append([]any{"job", r.id, "computation", r.uuid}, r.ids...)...)
}

// debug logs a step that every job takes, at the cost of nothing where nobody wants to know.
func (r *runner) debug(text string) {
	if r.node.cfg.Logger.Enabled(context.Background(), slog.LevelDebug) {
		r.log().Debug(text, "attempt", r.job.Attempt)
	}
}

// signal closes one of the runner's channels, once.
func (r *runner) signal(c chan struct{}) {
	i := 0
	switch c {
	case r.replaced:
		i = 1
	case r.decision:
		i = 2
	}
	r.once[i].Do(func() { close(c) })
	if stop := r.playing.Load(); stop != nil && c == r.cancelled {
		(*stop)(errCancelled)
	}
}

// run returns when the job has ended or ctx has; in the second case the record says what the next process has to do.
func (r *runner) run(ctx context.Context) {
	err := r.attempts(ctx)
	if err == nil || ctx.Err() != nil || errors.Is(err, errDrained) {
		return
	}
	to, p := jobs.Failed, problem(err)
	if errors.Is(err, errCancelled) {
		to = jobs.Cancelled
	}
	r.log().Info("job ended", "state", to.String(), "reason", p.Reason)
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 10*time.Second) {
		err := r.move(ctx, to, func(j *jobs.Job) { j.Problem = p })
		if err == nil || ctx.Err() != nil || errors.Is(err, jobs.ErrNotFound) {
			return
		}
		var step *jobs.MoveError
		if errors.As(err, &step) {
			if from, ok := step.From.(jobs.State); (ok && from.Terminal()) || to == jobs.Failed {
				return
			}
			to = jobs.Failed
			continue
		}
		r.log().Error("job record not written; trying again", "error", err)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
}

// move takes the job's record one step on, durably, and the runner's copy with it.
func (r *runner) move(ctx context.Context, to jobs.State, change func(*jobs.Job)) error {
	job, err := r.change(ctx, to, change)
	if err == nil {
		r.job = job
	}
	return err
}

// change takes the job's record one step on, durably, whatever else was written to it meanwhile.
func (r *runner) change(ctx context.Context, to jobs.State, change func(*jobs.Job)) (jobs.Job, error) {
	job, err := r.node.cfg.Jobs.Change(ctx, r.id, func(j jobs.Job) (jobs.Job, error) {
		j, err := j.Move(to)
		if err == nil {
			change(&j)
		}
		return j, err
	})
	r.reached(to.String())
	return job, err
}

// reached tells the test that watches, if any, of a step.
func (r *runner) reached(step string) {
	if probe := r.node.cfg.probe; probe != nil {
		probe(step)
	}
}

// stored repeats a write or a read of the job store until it succeeds or can never succeed.
func (r *runner) stored(ctx context.Context, f func() error) error {
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 10*time.Second) {
		err := f()
		var step *jobs.MoveError
		if err == nil || ctx.Err() != nil || errors.As(err, &step) || errors.Is(err, jobs.ErrNotFound) || errors.Is(err, jobs.ErrTooLarge) {
			return err
		}
		r.log().Error("job store; trying again", "error", err)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// attempts runs the job, again after an attempt that nobody can have completed.
func (r *runner) attempts(ctx context.Context) error {
	if err := r.load(ctx); err != nil {
		return err
	}
	if r.job.State == jobs.Committed {
		if err := r.resume(ctx); err == nil || !r.again(ctx, err) {
			return err
		}
	}
	if r.job.State == jobs.Started { // by a process that is gone; the ledger says aborted
		err := &seat.AbortedError{Code: seat.CodeFailure, Cause: errRestarted}
		if !r.again(ctx, err) {
			return err
		}
	}
	pause := retryFirst
	for {
		err := r.try(ctx)
		if errors.Is(err, errReloaded) || errors.Is(err, errCompleted) {
			continue
		}
		if err == nil || !r.again(ctx, err) {
			return err
		}
		r.log().Info("attempt failed, trying again", "attempt", r.job.Attempt, "reason", err)
		select {
		case <-time.After(rand.N(pause)): // only spreads load: no secret hangs on it
		case <-r.node.retired.Done():
			return errDrained
		case <-ctx.Done():
			return ctx.Err()
		}
		pause = min(2*pause, retryMost)
	}
}

// again reports whether err leaves room for a new attempt.
func (r *runner) again(ctx context.Context, err error) bool {
	var aborted *seat.AbortedError
	if ctx.Err() != nil || !errors.As(err, &aborted) || !aborted.Retry() {
		return false
	}
	r.ended = aborted
	var outcome *simon.OutcomeError
	if errors.As(err, &outcome) || errors.Is(err, errCancelled) || tooLarge(err) {
		return false
	}
	return r.job.Attempt < r.job.Attempts && r.node.cfg.Now().Before(r.job.Deadline)
}

// tooLarge says that a computation needs more than a session holds or a job stores, as every attempt would.
func tooLarge(err error) bool {
	return errors.Is(err, jobs.ErrTooLarge) || errors.Is(err, session.ErrMemory)
}

func (r *runner) load(ctx context.Context) error {
	i := slices.IndexFunc(r.node.cfg.Catalogue, func(m simon.Microprotocol) bool {
		return m.Name == r.job.Microprotocol && m.Version == r.job.Version
	})
	if i < 0 {
		return &jobError{501, "not-available", fmt.Sprintf("%s version %d is not available at this node", r.job.Microprotocol, r.job.Version)}
	}
	r.m = r.node.cfg.Catalogue[i]
	return r.read(ctx)
}

// read takes the prepared input into memory.
func (r *runner) read(ctx context.Context) error {
	return r.stored(ctx, func() (err error) {
		if r.input, err = r.node.cfg.Jobs.Read(ctx, r.job.Input); err != nil {
			return fmt.Errorf("reading the prepared input: %w", err)
		}
		return nil
	})
}

// admit asks the policy, and notes who the parties are.
func (r *runner) admit(p policy.Policy) error {
	parties := make([]seat.Peer, len(r.job.Parties))
	for i, name := range r.job.Parties {
		p, ok := r.node.seat.Peer(name)
		if !ok {
			return &policy.Refusal{Rule: fmt.Sprintf("%s is not among the parties that this node's administrator allows", name)}
		}
		parties[i] = p
	}
	r.parties = parties
	if err := r.complete(); err != nil {
		return err
	}
	if err := p.Check(r.m, r.parameters(), parties); err != nil {
		return err
	}
	places, err := p.Places(r.m, r.parameters(), r.job.UUID, parties)
	r.places = places
	return err
}

// common is the part of the JOIN that all parties must sign alike.
func (r *runner) common() coordinator.Common {
	type place struct {
		fp       identity.Fingerprint
		position int
	}
	places := make([]place, len(r.parties))
	for i, p := range r.parties {
		places[i] = place{p.FP, i}
	}
	slices.SortFunc(places, func(a, b place) int { return slices.Compare(a.fp[:], b.fp[:]) })
	c := coordinator.Common{
		UUID: r.job.UUID, Microprotocol: r.job.Microprotocol, Version: r.job.Version, Parameters: r.parameters(),
		RoundMS: uint32(r.job.Round.Milliseconds()), LimitMS: uint32(r.job.Limit.Milliseconds()),
		Layout: r.job.Layout, Coordinator: r.node.cfg.Coordinator, S0: r.places.S0, S1: r.places.S1,
		Dealer: r.places.Dealer, Opener: r.places.Opener, Aggregator: r.places.Aggregator,
	}
	for _, p := range places {
		c.Parties = append(c.Parties, p.fp)
		c.Positions = append(c.Positions, uint16(p.position))
		c.Recipients = append(c.Recipients, p.fp)
	}
	return c
}

// attempt is one JOIN and, if it starts, one computation.
func (r *runner) attempt(ctx context.Context) error {
	if err := r.interrupted(); err != nil {
		return err
	}
	rules := r.node.rules.Load()
	if err := r.admit(rules.policy); err != nil {
		return err
	}
	if err := r.approved(ctx, rules); err != nil {
		return err
	}
	if r.input == nil { // it was held
		if err := r.read(ctx); err != nil {
			return err
		}
	}
	if leaf := r.node.cfg.Identity.Leaf; !r.node.cfg.Now().Before(leaf.NotAfter) {
		return &jobError{503, "certificate", fmt.Sprintf("the certificate of %s has expired at %s: whoever keeps the authority renews it with "+
			"`weft ca issue %s --renew`; then restart the node", leaf.Name, leaf.NotAfter.UTC().Format(time.RFC3339), leaf.Name)}
	}
	if room := r.node.cfg.Room; room != nil && room() != nil {
		return &jobError{507, "full", "this node has no disk space left: its operator has to make room before it can compute"}
	}
	issued := r.node.issue(r.job.Issued)
	c := r.claim(ctx, issued)
	defer c.stop()
	open, err := r.node.seat.Propose(r.common(), issued, r.job.Deadline)
	if err != nil {
		c.end()
		return fmt.Errorf("joining: %w", err)
	}
	open.Log = r.log()
	joining, end := r.node.joining(ctx, rules)
	defer end()
	run, err := (&wait{runner: r, open: open, claim: c}).join(joining)
	if err != nil {
		open.Withdraw()
		if err = r.completedBy(err); errors.Is(err, errCompleted) {
			return c.settled(r, err)
		}
		c.end()
		return err
	}
	r.ran = true
	r.debug("computation started")
	return r.compute(ctx, run)
}

// interrupted reports a request to stop that came before the JOIN.
func (r *runner) interrupted() error {
	select {
	case <-r.cancelled:
		return errCancelled
	case <-r.replaced:
		return errReplaced
	case <-r.node.retired.Done():
		return errDrained
	default:
		return nil
	}
}

// compute plays the protocol, commits to what it opened, and releases the result when all have confirmed.
func (r *runner) compute(ctx context.Context, run *seat.Run) error {
	common := simon.Common{Parties: len(r.job.Parties), Parameters: r.parameters()}
	began := r.node.cfg.Now().UTC()
	started := r.showStarted(ctx, run, began)
	playing, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	r.playing.Store(&stop)
	select {
	case <-r.cancelled: // before it could be told
		stop(errCancelled)
	default:
	}
	out, err := r.play(playing, run, common)
	r.reached("played")
	if moved := started(); err == nil && moved != nil {
		err = run.Abort(fmt.Errorf("writing the job record: %w", moved))
	}
	if err != nil {
		return err
	}
	_, span := under(ctx, "commit")
	opened, err := r.node.cfg.Jobs.Put(ctx, out.Opened)
	if err == nil {
		p, _ := run.Progress()
		err = r.move(ctx, jobs.Committed, func(j *jobs.Job) {
			j.SID, j.Waiting, j.Opened, j.CommittedAt = run.SID(), nil, opened, r.node.cfg.Now().UTC()
			j.StartedAt, j.Step, j.Steps = began, int(p.Round), int(p.Rounds)
		})
	}
	if over(span, err); err != nil {
		return run.Abort(fmt.Errorf("storing the opened result: %w", err))
	}
	err = r.watched(ctx, run, func() error { return run.Confirm(ctx, out) })
	if err != nil {
		return err
	}
	return r.finish(ctx, out.Opened)
}

// showStarted writes the job down as started, for users, if it still is after a moment, and then where it stands, at most
// once a second; the ledger line is what counts. The function that it returns ends that, and says whether the record could
// be written.
func (r *runner) showStarted(ctx context.Context, run *seat.Run, began time.Time) (end func() error) {
	var err error
	over, done := make(chan struct{}), make(chan struct{})
	t := time.AfterFunc(showStarted, func() {
		defer close(done)
		p, waiting := run.Progress()
		err = r.move(ctx, jobs.Started, func(j *jobs.Job) {
			j.SID, j.StartedAt, j.Step, j.Steps, j.Waiting = run.SID(), began, int(p.Round), int(p.Rounds), waiting
		})
		if err == nil {
			r.showSteps(ctx, run, over)
		}
	})
	return func() error {
		if t.Stop() {
			return nil
		}
		close(over)
		<-done
		return err
	}
}

// showSteps writes down where a computation stands when that has changed, until it is over. A write that fails is made up
// for by the next.
func (r *runner) showSteps(ctx context.Context, run *seat.Run, over <-chan struct{}) {
	t := time.NewTicker(showStep)
	defer t.Stop()
	for {
		select {
		case <-over:
			return
		case <-t.C:
		}
		p, waiting := run.Progress()
		if int(p.Round) == r.job.Step && int(p.Rounds) == r.job.Steps && slices.Equal(waiting, r.job.Waiting) {
			continue
		}
		job, err := r.node.cfg.Jobs.Change(ctx, r.id, func(j jobs.Job) (jobs.Job, error) {
			j.Step, j.Steps, j.Waiting = int(p.Round), int(p.Rounds), waiting
			return j, nil
		})
		if err == nil {
			r.job = job
		}
	}
}

// guarded turns a panic of a protocol into an error without its values: one bad computation must not end the node.
func guarded[T any](f func() (T, error)) (v T, err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("the microprotocol failed unexpectedly: please report this")
		}
	}()
	return f()
}

// watched runs wait and, if it takes long, writes down whose confirmation is missing.
func (r *runner) watched(ctx context.Context, run *seat.Run, wait func() error) error {
	ctx, span := under(ctx, "confirm")
	ended, done := make(chan struct{}), make(chan struct{})
	t := time.AfterFunc(showUnconfirmed, func() {
		defer close(done)
		r.showUnconfirmed(ctx, run, ended)
	})
	err := wait()
	if !t.Stop() {
		close(ended)
		<-done
	}
	over(span, err)
	return err
}

// showUnconfirmed writes down whose confirmation is missing, now and when that changes.
func (r *runner) showUnconfirmed(ctx context.Context, run *seat.Run, over <-chan struct{}) {
	t := time.NewTicker(showUnconfirmed)
	defer t.Stop()
	for {
		if missing := run.Unconfirmed(); !slices.Equal(missing, r.job.Waiting) {
			waits(ctx, r.job.Waiting, missing)
			job, err := r.node.cfg.Jobs.Change(ctx, r.id, func(j jobs.Job) (jobs.Job, error) {
				j.Waiting = missing
				return j, nil
			})
			if err == nil {
				r.job = job
			}
		}
		select {
		case <-over:
			return
		case <-t.C:
		}
	}
}

// resume goes on with a job that an earlier process committed.
func (r *runner) resume(ctx context.Context) error {
	if r.left == nil || r.left.SID() != r.job.SID { // its line is done, peer-aborted or failed, or was never committed: the process died between two writes
		return r.reread(ctx)
	}
	r.left.LogTo(r.log())
	if err := r.watched(ctx, r.left, func() error { return r.left.Resume(ctx) }); err != nil {
		return err
	}
	return r.release(ctx)
}

func (r *runner) reread(ctx context.Context) error {
	line, err := r.node.cfg.Jobs.Line(ctx, r.job.SID)
	if err != nil {
		return fmt.Errorf("reading the ledger line of a committed job: %w", err)
	}
	switch line.State {
	case jobs.LineDone:
		return r.release(ctx)
	case jobs.LineAborted, jobs.LinePeerAborted:
		return &seat.AbortedError{Code: seat.CodeFailure, Cause: errRestarted}
	}
	return &seat.NotConfirmedError{Reason: "not confirmed by all parties; the others may have the result: ask them before you compute again"}
}

func (r *runner) release(ctx context.Context) error {
	var opened []byte
	err := r.stored(ctx, func() (err error) {
		opened, err = r.node.cfg.Jobs.Read(ctx, r.job.Opened)
		return err
	})
	if err != nil {
		return fmt.Errorf("reading the opened result: %w", err)
	}
	return r.finish(ctx, opened)
}

// finish turns what was opened into the result. It says the same at every recipient, also where there is none: an error of
// Finish, or its panic, ends the job for good, and the next process does not try again.
//
// Some results take seconds and hundreds of megabytes: as many are computed at a time as there are processors. Finish is
// bounded and does not end with ctx.
func (r *runner) finish(ctx context.Context, opened []byte) (err error) {
	ctx, span := under(ctx, "result")
	defer func() { over(span, err) }()
	select {
	case r.node.finishing <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	common := simon.Common{Parties: len(r.job.Parties), Parameters: r.job.Parameters}
	result, err := guarded(func() (json.RawMessage, error) { return r.m.Finish(common, r.input, opened) })
	<-r.node.finishing
	if err != nil {
		return err
	}
	return r.stored(ctx, func() error {
		body, err := r.node.cfg.Jobs.Put(ctx, result)
		if err != nil {
			return fmt.Errorf("storing the result: %w", err)
		}
		if err = r.move(ctx, jobs.Done, func(j *jobs.Job) { j.Result, j.Problem = body, nil }); err == nil {
			r.debug("job done")
		}
		return err
	})
}
