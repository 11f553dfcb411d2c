package test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
)

// rackClient makes a new connection for each request, so that a request that cannot connect has never arrived.
var rackClient = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}

// jobReport is a job as GET /v1/jobs shows it.
type jobReport struct {
	ID      uuid.UUID
	UUID    uuid.UUID
	State   string
	Detail  string
	Attempt int
	Created time.Time
	Ended   *time.Time
	Result  *sumResult
	Error   *struct {
		Code            int
		Reason, Message string
	}
}

// sumResult is the result of a sum: numbers, or lists of them, as they were written.
type sumResult struct{ Samples, Sum verbatim }

// verbatim is a JSON value as it was written.
type verbatim string

func (x *verbatim) UnmarshalJSON(b []byte) error { *x = verbatim(b); return nil }

func (x verbatim) String() string { return string(x) }

func (j jobReport) terminal() bool {
	return j.State == "done" || j.State == "failed" || j.State == "cancelled"
}

// ask makes one request of a party's gateway and reads a JSON answer of the status wanted into v.
func (r *rack) ask(ctx context.Context, party, method, path, body string, status int, v any) error {
	q, err := http.NewRequestWithContext(ctx, method, r.urls[party]+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	q.Header.Set("Content-Type", "application/json")
	answer, err := r.client.Do(q)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode != status {
		return &statusError{party + " " + method + " " + path, answer.StatusCode, string(bytes.TrimSpace(b))}
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%s %s %s: %w: %s", party, method, path, err, b)
	}
	return nil
}

// statusError is an answer of another status than the one wanted.
type statusError struct {
	what   string
	status int
	body   string
}

func (e *statusError) Error() string { return fmt.Sprintf("%s: %d %s", e.what, e.status, e.body) }

// passing tells whether an error is one of a node that is down, starting or stopping: ask again.
func passing(err error) bool {
	var s *statusError
	return !errors.As(err, &s) || s.status == http.StatusServiceUnavailable
}

// task is one computation of all parties, as their clients give it.
type task struct {
	uuid     uuid.UUID
	data     map[string]string // JSON by party
	deadline string            // such as 60s
	roundMS  int               // 0: the microprotocol's own
	limitMS  int
	name     string // of the microprotocol; empty: SecureSum
}

func (k task) body(party string, parties []string) string {
	parameters := "{}"
	if k.roundMS > 0 {
		parameters = fmt.Sprintf(`{"round_ms":%d,"limit_ms":%d}`, k.roundMS, k.limitMS)
	}
	list, err := json.Marshal(parties)
	if err != nil {
		panic(err) // of strings
	}
	return fmt.Sprintf(`{"microprotocol":%q,"data":%s,"parties":%s,"uuid":%q,"deadline":%q,"parameters":%s}`,
		cmp.Or(k.name, "SecureSum"), k.data[party], list, k.uuid, k.deadline, parameters)
}

// post gives one party's part of a computation, as a client does that does not give up: while the node is down it asks
// again, and after an answer that got lost it looks whether the job is there before it gives it a second time.
func (r *rack) post(ctx context.Context, party string, k task) (jobReport, error) {
	body := k.body(party, r.parties)
	for {
		var j jobReport
		err := r.ask(ctx, party, "POST", "/v1/jobs", body, http.StatusAccepted, &j)
		if err == nil {
			return j, nil
		}
		if !passing(err) {
			return j, err
		}
		if j, ok, err := r.find(ctx, party, k.uuid); ok || err != nil {
			return j, err
		}
	}
}

// find looks for a party's job of a computation, until its gateway answers.
func (r *rack) find(ctx context.Context, party string, id uuid.UUID) (jobReport, bool, error) {
	for {
		var list struct{ Jobs []jobReport }
		err := r.ask(ctx, party, "GET", "/v1/jobs?limit=1000", "", http.StatusOK, &list)
		switch {
		case err == nil:
			for _, j := range list.Jobs {
				if j.UUID == id {
					return j, true, nil
				}
			}
			return jobReport{}, false, nil
		case !passing(err):
			return jobReport{}, false, err
		}
		if err := pauseFor(ctx, 20*time.Millisecond); err != nil {
			return jobReport{}, false, err
		}
	}
}

// outcome waits for the end of a job that was accepted, over restarts of its node. A job that is not known any more is an
// error: it is lost.
func (r *rack) outcome(ctx context.Context, party string, id uuid.UUID) (jobReport, error) {
	for {
		var j jobReport
		err := r.ask(ctx, party, "GET", "/v1/jobs/"+id.String()+"?wait=20s", "", http.StatusOK, &j)
		switch {
		case err == nil && j.State == "done" && j.Result == nil: // too large to stand in the job
			j.Result = &sumResult{}
			if err = r.ask(ctx, party, "GET", "/v1/jobs/"+id.String()+"/result", "", http.StatusOK, j.Result); err == nil {
				return j, nil
			}
		case err == nil && j.terminal():
			return j, nil
		case err != nil && !passing(err):
			return j, err
		}
		if ctx.Err() != nil {
			return j, fmt.Errorf("job %s at %s has not ended: %q (%v): %w", id, party, j.Detail, err, context.Cause(ctx))
		}
		if err != nil {
			_ = pauseFor(ctx, 20*time.Millisecond)
		}
	}
}

// pauseFor lets a client that asks again leave the machine to others meanwhile.
func pauseFor(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// submit gives every party's part of a sum, in the order of the parties, and returns the jobs by party.
func (r *rack) submit(data ...string) map[string]jobReport {
	r.t.Helper()
	return r.submitTo("SecureSum", data...)
}

// submitTo gives every party's part of a computation.
func (r *rack) submitTo(microprotocol string, data ...string) map[string]jobReport {
	r.t.Helper()
	k := task{uuid: uuid.New(), data: map[string]string{}, deadline: "5m", name: microprotocol}
	for i, party := range r.parties {
		k.data[party] = data[i]
	}
	all := map[string]jobReport{}
	for _, party := range r.parties {
		var err error
		if all[party], err = r.post(r.t.Context(), party, k); err != nil {
			r.t.Fatalf("submitting at %s: %v", party, err)
		}
	}
	return all
}

// ended waits for the ends of jobs.
func (r *rack) ended(all map[string]jobReport) map[string]jobReport {
	r.t.Helper()
	out := map[string]jobReport{}
	for party, j := range all {
		ctx, cancel := context.WithTimeoutCause(r.t.Context(), 2*patience, errors.New("the test's patience is over"))
		var err error
		if out[party], err = r.outcome(ctx, party, j.ID); err != nil {
			r.t.Fatal(err)
		}
		cancel()
	}
	return out
}

// sumAll computes a sum and waits for its end.
func (r *rack) sumAll(data ...string) map[string]jobReport {
	r.t.Helper()
	return r.ended(r.submit(data...))
}

// wantSum compares the results of all parties.
func (r *rack) wantSum(all map[string]jobReport, sum string) {
	r.t.Helper()
	for party, j := range all {
		if j.State != "done" || j.Result == nil || j.Result.Sum.String() != sum || j.Result.Samples.String() != fmt.Sprint(len(r.parties)) {
			r.t.Errorf("%s: %s %s %+v, want the sum %s", party, j.State, j.Detail, j.Result, sum)
		}
	}
}
