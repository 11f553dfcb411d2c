package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/jobs"
	"github.com/weftmpc/weft/simon"
)

// request is a computation that has passed all checks but those of its data.
type request struct {
	id            uuid.UUID // of the job
	asked         [32]byte  // digest of the request, where it may be sent again; else zero
	caller        string
	microprotocol *simon.Microprotocol
	parties       []string
	self          int
	uuid          uuid.UUID
	parameters    json.RawMessage
	deadline      time.Duration
	data          []byte // private: one JSON value; nil: they are in a file
	file          string // name of the file with the data; no log and no job sees it
}

// submit prepares the data and stores the job. Bad data leaves nothing behind.
func (g *Gateway) submit(ctx context.Context, q request) (jobs.Job, error) {
	prepared, err := g.prepare(ctx, q)
	if err != nil {
		return jobs.Job{}, err
	}
	round, limit, err := simon.Timing(prepared.Parameters)
	if err != nil {
		return jobs.Job{}, prepareError(q.microprotocol, err)
	}
	now := g.config.Now().UTC()
	storing, span := under(ctx, "store")
	j, err := g.config.Jobs.Submit(storing, jobs.Job{
		ID: q.id, Caller: q.caller, UUID: q.uuid,
		Microprotocol: q.microprotocol.Name, Version: q.microprotocol.Version, Parameters: prepared.Parameters, Layout: prepared.Layout,
		Parties: q.parties, Self: q.self, Round: round, Limit: limit,
		Asked: q.asked, Created: now, Deadline: now.Add(q.deadline), State: jobs.Submitted, Attempts: g.config.Attempts,
		Trace: tracing(ctx),
	}, prepared.Input)
	if over(span, err); err == nil {
		madeJob(ctx, j)
	}
	return j, err
}

// prepare reads the data from the request or from the file that it names. It ends with the client, who may have sent what
// takes many seconds.
func (g *Gateway) prepare(ctx context.Context, q request) (_ simon.Prepared, err error) {
	ctx, span := under(ctx, "prepare")
	defer func() { over(span, err) }()
	if q.file != "" {
		return g.prepareFile(ctx, q)
	}
	return g.prepareFrom(ctx, stoppable{bytes.NewReader(q.data), ctx.Err}, q)
}

func (g *Gateway) prepareFrom(ctx context.Context, data io.Reader, q request) (simon.Prepared, error) {
	prepared, err := q.microprotocol.Prepare(data, q.parameters, *g.guard.Load())
	switch {
	case err != nil && ctx.Err() != nil: // whatever was made of data that ended too early
		return simon.Prepared{}, ctx.Err()
	case err != nil:
		return simon.Prepared{}, prepareError(q.microprotocol, err)
	}
	return prepared, nil
}

// prepareError passes on what the client did wrong. Another error is a defect, and its text is neither shown nor logged:
// it may repeat the data.
func prepareError(m *simon.Microprotocol, err error) error {
	var compared *simon.ComparedError
	var input *simon.InputError
	switch {
	case errors.As(err, &compared):
		return compared
	case errors.As(err, &input):
		return input
	}
	return &Error{Code: http.StatusInternalServerError, Reason: "internal", Message: "something failed in this gateway; its log says what",
		cause: fmt.Errorf("preparing the input of %s: %T", m.Name, err)}
}
