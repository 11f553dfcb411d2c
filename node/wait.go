package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/weftmpc/weft/coordinator"
	"github.com/weftmpc/weft/jobs"
	"github.com/weftmpc/weft/node/seat"
)

// cancelledError is a withdrawal to the others, whose nodes say so.
type cancelledError struct{}

func (cancelledError) Error() string { return "cancelled by the caller" }
func (cancelledError) Unwrap() error { return seat.ErrWithdrawn }

// wait is one open JOIN on its way to a START.
type wait struct {
	runner  *runner
	open    *seat.Open
	claim   *claim
	missing []string // parties that have not joined, as the coordinator said last
	told    []string // missing, as the trace has it
	heard   bool     // the coordinator has answered
	refused uint16   // the code for which it refused the JOIN with its last answer; 0: it did not
	reason  string   // why there is no start yet, if it is not that parties are missing
	at      int32    // how often the JOIN had been sent then
	sent    atomic.Int32
}

// start repeats the JOIN until a valid START has come, or something ends the wait. The JOIN is still open after an error.
func (w *wait) start(ctx context.Context) (*seat.Run, error) {
	r := w.runner
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan struct{})
	until := r.job.Deadline
	if e := w.open.Expiry(); e.Before(until) {
		until = e
	}
	r.node.crew.run(func() { defer close(done); w.repeat(ctx, until) })
	defer func() { stop(); <-done }()
	deadline := time.NewTimer(until.Sub(r.node.cfg.Now()))
	defer deadline.Stop()
	show := time.NewTimer(showWaiting)
	defer show.Stop()
	claimed := w.claim.done
	var starts <-chan []byte // nil: none is served before the claim is durable
	for {
		select {
		case <-claimed:
			if err := w.claim.take(r); err != nil {
				return nil, err
			}
			claimed, starts = nil, w.open.Starts
		case b := <-starts:
			run, err := w.begin(ctx, b)
			if err == nil || errors.Is(err, seat.ErrWithdrawn) {
				return run, err
			}
			r.log().Warn("START refused", "reason", err)
			w.heard, w.missing, w.reason = true, nil, "what the coordinator sent was refused here: "+err.Error() // all had joined
		case a := <-w.open.Answers:
			if err := w.answer(a); err != nil {
				return nil, err
			}
			w.tell(ctx)
			show.Reset(showWaiting)
		case <-show.C:
			if claimed != nil {
				show.Reset(showWaiting)
				continue
			}
			w.show(ctx)
		case <-deadline.C:
			return nil, w.late()
		case <-r.cancelled:
			return nil, errCancelled
		case <-r.replaced:
			return nil, errReplaced
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// repeat sends the JOIN after 1 s, doubling to 10 s, so that a lost START or a restarted coordinator repairs itself, and
// once more shortly before the end, so that the right parties are named as missing.
func (w *wait) repeat(ctx context.Context, until time.Time) {
	now := w.runner.node.cfg.Now
	for pause := joinFirst; ; pause = min(2*pause, joinMost) {
		again := w.runner.node.relinked()
		w.sent.Add(1)
		one, cancel := context.WithTimeout(ctx, joinRequest)
		if err := w.open.Send(one); err != nil && ctx.Err() == nil {
			w.runner.log().Debug("coordinator does not answer", "error", err)
		}
		cancel()
		sleep := pause
		if last := until.Sub(now()) - lastLook; last > 0 {
			sleep = min(sleep, last)
		}
		select {
		case <-time.After(sleep):
		case <-again:
			pause = joinFirst / 2
		case <-ctx.Done():
			return
		}
	}
}

// answer takes in what the coordinator said instead of a START.
func (w *wait) answer(a coordinator.Answer) error {
	r := w.runner
	w.heard = true
	refused := w.refused
	w.refused = 0
	switch a.Kind {
	case coordinator.AnswerWaiting:
		w.missing, w.reason = w.missing[:0], ""
		for _, fp := range a.Waiting {
			w.missing = append(w.missing, r.node.seat.Name(fp))
		}
		slices.SortFunc(w.missing, func(a, b string) int { return slices.Index(r.job.Parties, a) - slices.Index(r.job.Parties, b) })
	case coordinator.AnswerConflict:
		if c := w.open.Conflict(a); c != nil {
			return c
		}
	case coordinator.AnswerRefused:
		return w.refusal(a, refused)
	}
	return nil
}

// refusal decides what a refusal means. A JOIN that was damaged on its way is refused once; what is wrong with the JOIN
// itself is refused each time, with the same code: the text may tell the time.
func (w *wait) refusal(a coordinator.Answer, before uint16) error {
	sent := w.sent.Load()
	again := before == a.Code && sent >= w.at+refusals
	if before != a.Code {
		w.at = sent
	}
	w.missing = nil
	w.refused, w.reason = a.Code, "the coordinator refused the request: "+a.Text
	switch a.Code {
	case coordinator.CodeBusy:
		return nil
	case coordinator.CodeReplaced:
		return &seat.AbortedError{Code: seat.CodeWithdrawn, Cause: errors.New(a.Text + "; if nobody else here has asked for it, another process uses this party's identity")}
	case coordinator.CodeOver, coordinator.CodeWithdrawn:
		return &seat.AbortedError{Code: seat.CodeWithdrawn, Cause: errors.New(a.Text)}
	}
	if !again {
		return nil
	}
	return &jobError{502, "coordinator", w.reason}
}

// show writes down whom the job waits for, for progress bars.
func (w *wait) show(ctx context.Context) {
	r := w.runner
	if slices.Equal(w.missing, r.job.Waiting) {
		return
	}
	missing := slices.Clone(w.missing)
	if err := r.move(ctx, jobs.Waiting, func(j *jobs.Job) { j.Waiting = missing }); err != nil && ctx.Err() == nil {
		r.log().Debug("progress not written", "error", err)
	}
}

// late names who did not come.
func (w *wait) late() error {
	r := w.runner
	d := r.job.Deadline.Sub(r.job.Created).Round(time.Millisecond)
	if !w.heard {
		return &jobError{504, "no-coordinator", fmt.Sprintf("the coordinator did not answer within %s: is it running and linked?", d)}
	}
	if len(w.missing) == 0 {
		text := fmt.Sprintf("the computation did not start within %s", d)
		if w.reason != "" {
			text += ": " + w.reason
		}
		return &jobError{504, "not-joined", text}
	}
	return &jobError{504, "not-joined", fmt.Sprintf("%s did not join within %s%s", names(w.missing), d, cmp.Or(w.before(), w.strangers()))}
}

// before says how a party that is missing now has ended the attempt before, if it did.
func (w *wait) before() string {
	if e := w.runner.ended; e != nil && slices.Contains(w.missing, e.Party) {
		return "; before that, " + e.Error()
	}
	return ""
}

// mostNamed is how many fingerprints an error shows: for many parties the reason is hardly that all have new ones.
const mostNamed = 3

// strangers says how this node knows the parties that are missing: one that did ask, under a certificate that is not on our
// list, is a stranger whom nobody tells us of.
func (w *wait) strangers() string {
	if len(w.missing) > mostNamed {
		return ""
	}
	var known []string
	for _, name := range w.missing {
		if p, ok := w.runner.node.seat.Peer(name); ok {
			known = append(known, fmt.Sprintf("%s by fingerprint %.16s…", name, p.FP))
		}
	}
	return "; if they did ask for it with the same parties, compare fingerprints: this node knows " + names(known)
}
