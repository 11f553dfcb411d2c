package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/jobs"
)

// jobView is a job as its owner sees it.
type jobView struct {
	ID            uuid.UUID       `json:"id"`
	UUID          uuid.UUID       `json:"uuid"`
	Owner         string          `json:"owner"`
	Microprotocol string          `json:"microprotocol"`
	State         string          `json:"state"`
	Detail        string          `json:"detail"`
	Waiting       []string        `json:"waiting"`
	Attempt       int             `json:"attempt"`
	Attempts      int             `json:"attempts"`
	WaitingSince  *time.Time      `json:"waiting_since,omitempty"`
	Progress      jobProgress     `json:"progress"`
	Created       time.Time       `json:"created"`
	Deadline      time.Time       `json:"deadline"`
	Started       *time.Time      `json:"started,omitempty"`
	Ended         *time.Time      `json:"ended,omitempty"`
	Parties       []string        `json:"parties"`
	Revision      uint64          `json:"revision"`
	Result        json.RawMessage `json:"result,omitempty"`
	Error         *jobProblem     `json:"error,omitempty"`
	Approval      *jobApproval    `json:"approval,omitempty"`
}

type jobProblem struct {
	Code    int    `json:"code"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

// jobProgress counts message steps, one after the other: JOIN, START, those of the protocol, CONFIRM.
type jobProgress struct {
	Done    int `json:"done"`
	Planned int `json:"planned,omitempty"` // at most, where the protocol ends when it has converged; 0: not known
}

// progressOf is how far the job has come, when hops are those that its microprotocol usually takes; 0: not known.
func progressOf(j jobs.Job, hops int) jobProgress {
	const before, after = 2, 1 // JOIN and START; CONFIRM
	p := jobProgress{Planned: hops}
	if j.Steps > 0 {
		p.Planned = max(hops, before+j.Steps+after)
	}
	switch {
	case j.State == jobs.Done:
		p.Done = p.Planned
	case j.State == jobs.Committed:
		p.Done = max(0, p.Planned-after)
	case !j.StartedAt.IsZero():
		p.Done = before + max(0, j.Step-1)
	}
	return p
}

// view is a job as its owner sees it, with what the catalogue knows of its microprotocol.
func (g *Gateway) view(j jobs.Job) jobView {
	v := viewOf(j)
	if m := g.microprotocol[j.Microprotocol]; m != nil {
		v.Progress = progressOf(j, m.Hops)
	}
	return v
}

func viewOf(j jobs.Job) jobView {
	v := jobView{
		ID: j.ID, UUID: j.UUID, Owner: j.Caller, Microprotocol: j.Microprotocol, State: stateWord(j.State), Detail: detail(j),
		Waiting: j.Waiting, Attempt: j.Attempt, Attempts: j.Attempts, Created: j.Created.UTC(), Deadline: j.Deadline.UTC(),
		WaitingSince: timeOrNone(j.WaitingSince), Progress: progressOf(j, 0), Started: timeOrNone(j.StartedAt), Ended: timeOrNone(j.Ended),
		Parties: j.Parties, Revision: j.Revision, Approval: approvalOf(j),
	}
	if v.Waiting == nil {
		v.Waiting = []string{}
	}
	if e := problemOf(j); e != nil {
		v.Error = &jobProblem{e.Code, e.Reason, e.Message}
	}
	return v
}

// stateWord is the state as users know it: they need not tell started from committed.
func stateWord(s jobs.State) string {
	if s == jobs.Started || s == jobs.Committed {
		return "running"
	}
	return s.String()
}

// confirmTail is how long after the deadline a computed job still asks for confirmations.
const confirmTail = 2 * time.Minute

// detail is one sentence on where the job stands and whom it waits for.
func detail(j jobs.Job) string {
	var s string
	switch j.State {
	case jobs.Submitted:
		s = "accepted; this party's node has not taken it up yet"
	case jobs.Held:
		s = heldDetail(j)
	case jobs.Waiting:
		s = "waiting for the other parties until " + clock(j.Deadline)
		if len(j.Waiting) > 0 {
			s = "waiting for " + and(j.Waiting) + " until " + clock(j.Deadline)
		}
	case jobs.Started:
		s = "computing"
		if len(j.Waiting) > 0 {
			s = "computing; waiting for " + and(j.Waiting)
		}
	case jobs.Committed:
		whose := "the other parties' confirmations"
		if len(j.Waiting) > 0 {
			whose = and(j.Waiting) + "'s confirmation"
		}
		return "computed; waiting for " + whose + " until " + clock(j.Deadline.Add(confirmTail))
	case jobs.Done:
		return "done"
	default:
		return problemOf(j).Message
	}
	if j.CancelRequested {
		s += "; cancellation asked for"
	}
	return s
}

func clock(t time.Time) string { return t.UTC().Format("15:04 UTC") }

// and joins names: alice, bob and carol.
func and(names []string) string {
	if n := len(names); n > 1 {
		return strings.Join(names[:n-1], ", ") + " and " + names[n-1]
	}
	return names[0]
}

// problemOf is the answer that a failed or cancelled job gives instead of a result; nil for all others.
func problemOf(j jobs.Job) *Error {
	if j.State != jobs.Failed && j.State != jobs.Cancelled {
		return nil
	}
	p := j.Problem
	if p == nil {
		p = &jobs.Problem{}
	}
	e := &Error{Code: p.Code, Reason: p.Reason, Message: p.Message}
	if e.Code < 400 || e.Code > 599 {
		e.Code = http.StatusInternalServerError
		if j.State == jobs.Cancelled {
			e.Code = http.StatusConflict
		}
	}
	if e.Reason == "" {
		e.Reason = j.State.String()
	}
	if e.Message == "" {
		e.Message = "the job has " + e.Reason
		if j.State == jobs.Cancelled {
			e.Message = "the job was cancelled; submit a new one"
		}
	}
	return e
}

// ownJob is a job of the caller, or anybody's on routes where the caller's role sees them all. What else belongs to another is
// unknown here.
func (g *Gateway) ownJob(ctx context.Context, caller string, id uuid.UUID) (jobs.Job, error) {
	j, err := g.config.Jobs.Latest(ctx, id)
	if errors.Is(err, jobs.ErrExpired) { // whose it was is forgotten; only who asked for it knows its name
		return j, fail(http.StatusNotFound, "unknown-job", "this job has expired: a job and its result are kept for 24 hours after its end; submit it anew")
	}
	if errors.Is(err, jobs.ErrNotFound) || err == nil && j.Caller != caller && !principalOf(ctx).others {
		return j, fail(http.StatusNotFound, "unknown-job", "there is no such job here; it may have been deleted, or its result has expired")
	}
	return j, err
}

var errBusyWaiting = busy("as many requests wait for results as this gateway allows; the job goes on, ask again in a moment")

// await waits for until, for the client's departure, for the gateway's end or for most, whichever comes first. In the last
// case it returns the job as it stands and late = true.
func (g *Gateway) await(w http.ResponseWriter, r *http.Request, j jobs.Job, most time.Duration, until func(jobs.Job) bool) (_ jobs.Job, late bool, err error) {
	if until(j) {
		return j, false, nil
	}
	if most <= 0 {
		return j, true, nil
	}
	caller := callerOf(r.Context())
	if !g.waiters.enter(caller) {
		return j, false, errBusyWaiting
	}
	defer g.waiters.leave(caller)
	defer g.waiting.Add(-1)
	if g.waiting.Add(1) > int64(g.config.MaxWaiting) {
		return j, false, errBusyWaiting
	}
	defer renewWriteDeadline(w)
	ctx, cancel := context.WithTimeoutCause(r.Context(), most, errWaited)
	defer cancel()
	ctx, drain := context.WithCancelCause(ctx)
	defer drain(nil)
	defer context.AfterFunc(g.draining, func() { drain(errDraining) })()

	done, err := g.config.Jobs.Wait(ctx, j.ID, until)
	if ended := g.stillKnown(r); ended != nil && r.Context().Err() == nil && !g.ranOut(r) {
		return j, false, ended
	}
	switch {
	case err == nil:
		return done, false, nil
	case ctx.Err() == nil:
		return j, false, err
	case errors.Is(context.Cause(ctx), errWaited):
		now, err := g.config.Jobs.Latest(r.Context(), j.ID)
		return now, err == nil && !until(now), err
	}
	return j, false, context.Cause(ctx)
}

// renewWriteDeadline gives the answer the server's whole time-out, which has perhaps passed during the wait. The deadline
// for reading needs no care: net/http lifts it once the body has been read, and every handler reads it first.
func renewWriteDeadline(w http.ResponseWriter) {
	// An error means that there is no connection with deadlines below, as in a test's recorder.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout))
}

// preference is what the Prefer header (RFC 7240) asks of a download.
type preference struct {
	async bool
	wait  time.Duration // negative: not stated
}

func preferenceOf(r *http.Request) preference {
	p := preference{wait: -1}
	for _, line := range r.Header.Values("Prefer") {
		for _, item := range strings.FieldsFunc(line, func(c rune) bool { return c == ',' || c == ';' }) {
			name, value, _ := strings.Cut(strings.TrimSpace(item), "=")
			switch strings.ToLower(strings.TrimSpace(name)) {
			case "respond-async":
				p.async = true
			case "wait":
				if n, err := strconv.Atoi(strings.Trim(strings.TrimSpace(value), `"`)); err == nil && n >= 0 {
					p.wait = time.Duration(min(n, int(maxDeadline/time.Second))) * time.Second
				}
			}
		}
	}
	return p
}

// resultOf waits for the end of the job as the request prefers. pending = true: the job goes on, and the client wanted
// to know that rather than wait. A job without a result is an error.
func (g *Gateway) resultOf(w http.ResponseWriter, r *http.Request, j jobs.Job) (_ jobs.Job, result []byte, pending bool, err error) {
	prefer, most := preferenceOf(r), g.config.Wait
	switch {
	case prefer.wait >= 0:
		most = min(most, prefer.wait)
	case prefer.async:
		most = 0
	}
	j, late, err := g.await(w, r, j, most, jobs.Job.Terminal)
	switch {
	case err != nil:
		return j, nil, false, err
	case late && prefer.async:
		w.Header().Set("Preference-Applied", "respond-async")
		return j, nil, true, nil
	case late:
		return j, nil, false, fail(http.StatusGatewayTimeout, "not-finished", "no result yet: %s; the job goes on, ask again for its result", detail(j))
	}
	if e := problemOf(j); e != nil {
		return j, nil, false, e
	}
	result, err = g.readResult(r.Context(), j)
	if err != nil {
		return j, nil, false, fmt.Errorf("reading the result of job %s: %w", j.ID, err)
	}
	return j, result, false, nil
}

// envelope is the value of a finished job on the representation API.
func envelope(j jobs.Job, result []byte) []byte {
	b := make([]byte, 0, len(result)+40)
	b = append(b, `{"inputs":`...)
	b = strconv.AppendInt(b, int64(len(j.Parties)), 10)
	b = append(b, `,"result":`...)
	b = append(b, result...)
	return append(b, '}')
}
