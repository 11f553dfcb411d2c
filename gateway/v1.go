package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/gateway/representation"
	"github.com/weftmpc/weft/jobs"
)

// postJob accepts a computation.
func (g *Gateway) postJob(w http.ResponseWriter, r *http.Request) error {
	if _, err := readQuery(r); err != nil {
		return err
	}
	key, err := requestKey(r)
	if err != nil {
		return err
	}
	l := g.loan()
	defer l.giveBack()
	body, err := g.readBody(w, r, l)
	if err != nil {
		return err
	}
	id, asked := uuid.New(), [32]byte{}
	if key != "" {
		id, asked = g.keyedJob(callerOf(r.Context()), key, body)
		if j, found, err := g.repeated(r.Context(), id, asked); found || err != nil {
			if err != nil {
				return err
			}
			l.giveBack()
			return g.answerPosted(w, r, j)
		}
	}
	members, err := representation.ParseObject(body)
	if err != nil {
		return fail(http.StatusBadRequest, "bad-json", "%s", err)
	}
	q, err := g.readJob(r.Context(), members)
	if err != nil {
		return err
	}
	q.id, q.asked = id, asked
	j, err := g.accept(r.Context(), q, key != "")
	if q.file != "" { // reading it may have taken longer than an answer may
		renewWriteDeadline(w)
	}
	if err != nil {
		return err
	}
	body, members, q = nil, nil, request{} // not held while the answer waits
	l.giveBack()
	return g.answerPosted(w, r, j)
}

// readJob checks the fields of a posted job.
func (g *Gateway) readJob(ctx context.Context, members []representation.Member) (request, error) {
	const fields = "microprotocol, data or file, parameters, parties, uuid, deadline"
	q := request{caller: callerOf(ctx), deadline: g.config.Deadline, uuid: uuid.New()}
	in := map[string]json.RawMessage{}
	for _, m := range members {
		in[m.Key] = m.Value
		switch m.Key {
		case "microprotocol", "data", "file", "parameters", "parties", "uuid", "deadline":
		default:
			return q, fail(http.StatusBadRequest, "unknown-field", "unknown field %s; a job has %s", representation.Show(m.Key), fields)
		}
	}
	_, file := in["file"]
	for _, name := range [...]string{"microprotocol", "data", "parties"} {
		if _, ok := in[name]; !ok && !(name == "data" && file) {
			return q, invalid(name, "it is missing; a job has %s", fields)
		}
	}
	if !file && representation.IsNull(in["data"]) {
		return q, invalid("data", "it is null, not a number or a list: give this party's data, or file")
	}
	if in["data"] != nil && file {
		return q, invalid("file", "there is data, too; a job has either data or file")
	}
	var err error
	if q.microprotocol, err = g.readMicroprotocol(in["microprotocol"]); err != nil {
		return q, err
	}
	if q.parties, err = g.readNodes("parties", in["parties"]); err != nil {
		return q, err
	}
	if q.self, err = g.place("parties", q.parties); err != nil {
		return q, err
	}
	if err := checkCount("parties", q.microprotocol, len(q.parties)); err != nil {
		return q, err
	}
	if q.parameters, err = readParameters(in["parameters"]); err != nil {
		return q, err
	}
	if id := in["uuid"]; !representation.IsNull(id) {
		if q.uuid, err = readUUID("uuid", id); err != nil {
			return q, err
		}
	}
	if d := in["deadline"]; !representation.IsNull(d) {
		if q.deadline, err = readDeadline(d); err != nil {
			return q, err
		}
	}
	if file {
		q.file, err = g.readFileName(in["file"])
		return q, err
	}
	q.data = in["data"]
	return q, nil
}

// readDeadline reads "5m" or a number of seconds.
func readDeadline(raw json.RawMessage) (time.Duration, error) {
	var d time.Duration
	var err error
	if text, ok := representation.Text(raw); ok {
		d, err = parseWait(text)
	} else {
		d, err = parseWait(string(raw))
	}
	if err != nil || d < time.Second || d > maxDeadline {
		return 0, invalid("deadline", `it must be a duration like "5m" or a number of seconds, from 1 second to 1 hour`)
	}
	return d, nil
}

// parseWait reads a duration with unit or a number of seconds.
func parseWait(text string) (time.Duration, error) {
	if d, err := time.ParseDuration(text); err == nil {
		return d, nil
	}
	const most = 16 // characters
	if len(text) > most || strings.ContainsAny(text, "eE/pPxX") {
		return 0, errors.New("no duration")
	}
	seconds, ok := new(big.Rat).SetString(text)
	if !ok {
		return 0, errors.New("no duration")
	}
	ns, _ := seconds.Mul(seconds, big.NewRat(int64(time.Second), 1)).Float64()
	if ns < 0 || ns > float64(24*time.Hour) {
		return 0, errors.New("out of range")
	}
	return time.Duration(ns), nil
}

// pathJob is the caller's job that the path names.
func (g *Gateway) pathJob(r *http.Request) (jobs.Job, error) {
	id, err := pathID(r, "job")
	if err != nil {
		return jobs.Job{}, err
	}
	return g.ownJob(r.Context(), callerOf(r.Context()), id)
}

// getJob answers with the job as it is. With wait it answers when the job has ended, with revision too when it has changed
// since that revision, and in any case when the wait is over.
func (g *Gateway) getJob(w http.ResponseWriter, r *http.Request) error {
	query, err := readQuery(r, "wait", "revision")
	if err != nil {
		return err
	}
	most, err := g.readWait(query, 0)
	if err != nil {
		return err
	}
	until := jobs.Job.Terminal
	if text := query.Get("revision"); text != "" {
		since, err := strconv.ParseUint(text, 10, 63)
		if err != nil {
			return invalid("revision", "it must be the revision of an earlier answer, a whole number")
		}
		until = func(j jobs.Job) bool { return j.Terminal() || j.Revision != since }
	}
	if err := dropBody(w, r); err != nil {
		return err
	}
	j, err := g.pathJob(r)
	if err != nil {
		return err
	}
	if j, _, err = g.await(w, r, j, most, until); err != nil {
		return err
	}
	return g.writeJob(w, r, http.StatusOK, j)
}

// readWait reads ?wait=30s; at most what downloads wait.
func (g *Gateway) readWait(query url.Values, otherwise time.Duration) (time.Duration, error) {
	text := query.Get("wait")
	if text == "" {
		return otherwise, nil
	}
	d, err := parseWait(text)
	if err != nil || d < 0 {
		return 0, invalid("wait", "it must be a duration like 30s or a number of seconds")
	}
	return min(d, g.config.Wait), nil
}

// writeJob answers with a job, its result included where that is small.
func (g *Gateway) writeJob(w http.ResponseWriter, r *http.Request, code int, j jobs.Job) error {
	v := g.view(j)
	if j.State == jobs.Done && j.Result.Size <= jobs.MaxInline && j.Caller == callerOf(r.Context()) {
		result, err := g.readResult(r.Context(), j)
		if err != nil {
			return err
		}
		v.Result = result
	}
	w.WriteHeader(code)
	return write(w, mustJSON(v))
}

// getResult waits for the result and answers with it alone.
func (g *Gateway) getResult(w http.ResponseWriter, r *http.Request) error {
	if _, err := readQuery(r); err != nil {
		return err
	}
	if err := dropBody(w, r); err != nil {
		return err
	}
	j, err := g.pathJob(r)
	if err != nil {
		return err
	}
	j, result, pending, err := g.resultOf(w, r, j)
	if err != nil {
		return err
	}
	if pending {
		return g.writeJob(w, r, http.StatusAccepted, j)
	}
	return write(w, result)
}

// cancelJob asks the node to give the job up. The answer shows the job as it stands; poll it for the end.
func (g *Gateway) cancelJob(w http.ResponseWriter, r *http.Request) error {
	if _, err := readQuery(r); err != nil {
		return err
	}
	if err := dropBody(w, r); err != nil {
		return err
	}
	j, err := g.pathJob(r)
	if err != nil {
		return err
	}
	if j.Terminal() {
		return g.writeJob(w, r, http.StatusOK, j)
	}
	if j, err = g.config.Jobs.RequestCancel(r.Context(), j.ID); err != nil {
		return err
	}
	return g.writeJob(w, r, http.StatusAccepted, j)
}

// deletePause is how long a deletion waits for the job that it has to cancel first.
const deletePause = 5 * time.Second

// deleteJob removes a job with its result; one that has not ended is cancelled first, and then all parties are told.
func (g *Gateway) deleteJob(w http.ResponseWriter, r *http.Request) error {
	if _, err := readQuery(r); err != nil {
		return err
	}
	if err := dropBody(w, r); err != nil {
		return err
	}
	j, err := g.pathJob(r)
	if err != nil {
		return err
	}
	if !j.Terminal() {
		if j, err = g.config.Jobs.RequestCancel(r.Context(), j.ID); err != nil {
			return err
		}
		var late bool
		if j, late, err = g.await(w, r, j, deletePause, jobs.Job.Terminal); err != nil {
			return err
		}
		if late {
			return fail(http.StatusConflict, "active", "the job is being cancelled and has not ended yet; delete it again in a moment")
		}
	}
	if err := g.config.Jobs.Delete(r.Context(), j.ID); err != nil && !errors.Is(err, jobs.ErrNotFound) {
		return err
	}
	w.Header().Del("Content-Type")
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// readQuery refuses query parameters that nobody reads.
func readQuery(r *http.Request, known ...string) (url.Values, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, fail(http.StatusBadRequest, "bad-query", "the part of the URL after ? cannot be read")
	}
	for name, values := range query {
		if slices.Contains(known, name) {
			if len(values) > 1 || values[0] == "" {
				return nil, fail(http.StatusBadRequest, "bad-query", "after ? the parameter %s must stand once, with a value", name)
			}
			continue
		}
		if len(known) == 0 {
			return nil, fail(http.StatusBadRequest, "bad-query", "this path takes no parameters after ?")
		}
		return nil, fail(http.StatusBadRequest, "bad-query", "after ? only these parameters are possible: %s", strings.Join(known, ", "))
	}
	return query, nil
}
