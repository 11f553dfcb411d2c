package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/gateway/representation"
	"github.com/weftmpc/weft/jobs"
	"github.com/weftmpc/weft/jobs/objects"
	"github.com/weftmpc/weft/simon"
)

// task is a computation whose data come by and by. It is stored as JSON in an objects.Record, whose identifier is the
// task's representation.
//
// Starting it takes three steps: the job's identifier is written into the record, the job is submitted under it, and the
// record drops the data, which the job now has. A job is submitted once at most: a task that names a job which is not there
// is refused, because the job may have been cancelled and deleted. After a crash between the first two steps the client
// creates another task; the alternative, to submit again, could run what somebody had cancelled.
type task struct {
	ID            uuid.UUID       `json:"task_id"` // the computation's UUID
	Microprotocol string          `json:"microprotocol"`
	Invitation    json.RawMessage `json:"invitation_id"`
	Parameters    json.RawMessage `json:"parameters"`
	Parent        json.RawMessage `json:"parent"`
	Parties       []string        `json:"parties"`
	Self          int             `json:"self"`
	Items         json.RawMessage `json:"items,omitempty"` // private: one list, never split; nil for an empty one
	Job           uuid.UUID       `json:"job"`             // zero before start()
	Named         time.Time       `json:"named,omitzero"`  // when a start gave the job its identifier
	Submitted     bool            `json:"submitted"`
}

// add appends the elements of a list, or one value. It refuses what would make the items larger than limit bytes.
func (t *task) add(raw json.RawMessage, limit int64) error {
	more, ok := representation.Inside(raw)
	switch {
	case !ok:
		more = raw
	case len(more) == 0:
		return nil
	}
	if int64(len(t.Items)+len(more)+2) > limit {
		return taskTooLarge(limit)
	}
	items := make([]byte, 0, len(t.Items)+len(more)+2)
	if before, _ := representation.Inside(t.Items); len(before) > 0 {
		items = append(append(append(items, '['), before...), ',')
	} else {
		items = append(items, '[')
	}
	t.Items = append(append(items, more...), ']')
	return nil
}

func taskTooLarge(limit int64) *Error {
	return fail(http.StatusRequestEntityTooLarge, "too-large", "the task's data together are larger than the %d bytes that this gateway accepts", limit)
}

// Names of a task's members that are data.
const (
	invitationValue = "invitation"
	progressValue   = "progress value"
)

// taskFunctions are the members of a task that can be called.
func taskFunctions() map[string]*function {
	return map[string]*function{
		"invite":   {signature("invite"), invite},
		"input":    {signature("input", needed("data")), input},
		"start":    {signature("start"), start},
		"progress": {signature("progress"), progress},
		"result":   {signature("result"), result},
	}
}

var errTaskGone = fail(http.StatusNotFound, "unknown-task", "the task has been deleted or has expired")

func (g *Gateway) storeTask(ctx context.Context, caller string, t task) (uuid.UUID, error) {
	r, err := g.config.Objects.Put(ctx, objects.Record{ID: uuid.New(), Caller: caller, Kind: objects.Task, Data: mustJSON(t), Created: g.config.Now()})
	return r.ID, err
}

// loadTask reads a task of the caller and the record that it was read from.
func (g *Gateway) loadTask(ctx context.Context, caller string, id uuid.UUID) (task, objects.Record, error) {
	r, err := g.object(ctx, id)
	if errors.Is(err, objects.ErrNotFound) || err == nil && (r.Caller != caller || r.Kind != objects.Task) {
		g.handles.forget(caller, id)
		return task{}, r, errTaskGone
	}
	if err != nil {
		return task{}, r, err
	}
	var t task
	if err := json.Unmarshal(r.Data, &t); err != nil {
		return task{}, r, errors.New("a stored task cannot be read") // err might repeat data
	}
	return t, r, nil
}

// changeTask applies f to a task until nobody else has changed it in between.
func (g *Gateway) changeTask(ctx context.Context, caller string, id uuid.UUID, f func(*task) error) (t task, err error) {
	err = g.change(ctx, id, func() (objects.Record, error) {
		var r objects.Record
		if t, r, err = g.loadTask(ctx, caller, id); err != nil {
			return r, err
		}
		if err := f(&t); err != nil {
			return r, err
		}
		if r.Data = mustJSON(t); int64(len(r.Data)) > g.config.MaxBody {
			return r, taskTooLarge(g.config.MaxBody)
		}
		return r, nil
	})
	return t, err
}

// invite returns what another party needs to join the task.
func invite(ctx context.Context, g *Gateway, b binding) (uuid.UUID, bool, error) {
	if _, _, err := g.loadTask(ctx, b.caller, b.object); err != nil {
		return uuid.UUID{}, false, err
	}
	return g.handles.partOf(b.caller, objects.Task, b.object, invitationValue), true, nil
}

// input adds data: the elements of a list, or one value.
func input(ctx context.Context, g *Gateway, b binding) (uuid.UUID, bool, error) {
	_, err := g.changeTask(ctx, b.caller, b.object, func(t *task) error {
		if t.Job != (uuid.UUID{}) {
			return fail(http.StatusConflict, "started", "the task has been started and takes no more data; create another one")
		}
		return t.add(b.args[0], g.config.MaxBody)
	})
	return uuid.UUID{}, false, err
}

var errStarting = busy("another gateway of this party is starting the task; ask again in a moment")

var errJobGone = fail(http.StatusConflict, "job-gone", "the task was started before, and its job is not here: it was deleted, has expired, or this gateway died while it stored the job; create another task")

// Bounds of a start.
const (
	startTime  = 30 * time.Second      // how long it goes on for a client that has gone
	startAgain = 50 * time.Millisecond // between two looks at what another gateway does
	startWait  = 5 * time.Second       // how long it waits for another gateway
	clocksOff  = 10 * time.Second      // by which the clocks of two gateways may differ here
)

// start submits the task's job. The second time it does nothing.
func start(ctx context.Context, g *Gateway, b binding) (uuid.UUID, bool, error) {
	t, _, err := g.loadTask(ctx, b.caller, b.object)
	if err != nil || t.Submitted {
		return uuid.UUID{}, false, err
	}
	// Bad data is an answer, and leaves the task as it was; so it is looked at before the job has a name.
	q, err := g.taskRequest(b.caller, t)
	if err != nil {
		return uuid.UUID{}, false, err
	}
	if _, err := g.prepare(ctx, q); err != nil {
		return uuid.UUID{}, false, err
	}
	// A client that goes away now must not leave a task between its steps.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), startTime)
	defer cancel()
	g.starting.Lock()
	defer g.starting.Unlock()
	return uuid.UUID{}, false, g.startTask(ctx, b.caller, b.object)
}

// startTask takes the steps of a start that are not done yet. No other start runs in this process.
func (g *Gateway) startTask(ctx context.Context, caller string, id uuid.UUID) error {
	named := false
	t, err := g.changeTask(ctx, caller, id, func(t *task) error {
		if named = t.Job == (uuid.UUID{}); named {
			t.Job, t.Named = uuid.New(), g.config.Now().UTC()
		}
		return nil
	})
	if err != nil || t.Submitted {
		return err
	}
	if named {
		// From here on input() is refused, so t holds all data.
		err = g.submitTask(ctx, caller, id, t)
	} else {
		err = g.startedElsewhere(ctx, caller, id, t)
	}
	if err != nil {
		return err
	}
	_, err = g.changeTask(ctx, caller, id, func(t *task) error {
		t.Submitted, t.Items = true, nil
		return nil
	})
	return err
}

// startedElsewhere is nil once the job is there that another process has named and may be about to submit. A process that named
// one longer ago than a start takes has died in between.
func (g *Gateway) startedElsewhere(ctx context.Context, caller string, id uuid.UUID, t task) error {
	for began := time.Now(); ; {
		_, err := g.config.Jobs.Latest(ctx, t.Job)
		switch {
		case !errors.Is(err, jobs.ErrNotFound):
			return err
		case g.config.Now().Sub(t.Named) > startTime+clocksOff:
			return errJobGone
		case time.Since(began) > startWait:
			return errStarting
		}
		select {
		case <-time.After(startAgain):
		case <-ctx.Done():
			return ctx.Err()
		}
		job := t.Job
		if t, _, err = g.loadTask(ctx, caller, id); err != nil || t.Submitted {
			return err
		}
		if t.Job != job { // the other could not submit it, and said why to whoever asked
			return errStarting
		}
	}
}

// submitTask submits the job that the task names. Where that surely failed the task forgets the name, and may be started
// again.
func (g *Gateway) submitTask(ctx context.Context, caller string, id uuid.UUID, t task) error {
	q, err := g.taskRequest(caller, t)
	if err != nil {
		return err
	}
	_, err = g.submit(ctx, q)
	var input *simon.InputError
	if errors.Is(err, jobs.ErrTooMany) || errors.Is(err, jobs.ErrTooLarge) || errors.Is(err, jobs.ErrFull) || errors.As(err, &input) {
		_, undo := g.changeTask(ctx, caller, id, func(now *task) error {
			if now.Job == t.Job {
				now.Job = uuid.UUID{}
			}
			return nil
		})
		return errors.Join(err, undo)
	}
	if err != nil {
		if _, there := g.config.Jobs.Latest(ctx, t.Job); there == nil {
			return nil // it was stored all the same
		}
	}
	return err
}

func (g *Gateway) taskRequest(caller string, t task) (request, error) {
	m := g.microprotocol[t.Microprotocol]
	if m == nil { // the gateway was restarted with another catalogue
		return request{}, fail(http.StatusNotImplemented, "unknown-microprotocol", "the task's microprotocol %s is not available any more", t.Microprotocol)
	}
	data := t.Items
	if len(data) == 0 {
		data = json.RawMessage("[]")
	}
	parameters, err := readParameters(t.Parameters)
	return request{
		id: t.Job, caller: caller, microprotocol: m, parties: t.Parties, self: t.Self, uuid: t.ID,
		parameters: parameters, deadline: g.config.Deadline, data: data,
	}, err
}

// progress returns the job's state, once there is a job.
func progress(ctx context.Context, g *Gateway, b binding) (uuid.UUID, bool, error) {
	t, _, err := g.loadTask(ctx, b.caller, b.object)
	if err != nil || !t.Submitted {
		return uuid.UUID{}, false, err
	}
	return g.handles.partOf(b.caller, objects.Task, b.object, progressValue), true, nil
}

// result returns the job's representation once its result is there, and the error of a job that will have none.
func result(ctx context.Context, g *Gateway, b binding) (uuid.UUID, bool, error) {
	t, _, err := g.loadTask(ctx, b.caller, b.object)
	if err != nil || !t.Submitted {
		return uuid.UUID{}, false, err
	}
	j, err := g.ownJob(ctx, b.caller, t.Job)
	if err != nil {
		return uuid.UUID{}, false, err
	}
	if j, err = b.wait(j); err != nil {
		return uuid.UUID{}, false, err
	}
	if e := problemOf(j); e != nil {
		return uuid.UUID{}, false, e
	}
	return j.ID, j.State == jobs.Done, nil
}

// invitation is the value that invite() returns.
type invitation struct {
	TaskID        uuid.UUID       `json:"task_id"`
	Microprotocol string          `json:"microprotocol"`
	InvitationID  json.RawMessage `json:"invitation_id"`
	Parameters    json.RawMessage `json:"parameters"`
	Parent        json.RawMessage `json:"parent"`
}

// taskValue is the download of a task's data member.
func (g *Gateway) taskValue(ctx context.Context, caller string, d handle) (json.RawMessage, error) {
	t, _, err := g.loadTask(ctx, caller, d.object)
	if err != nil {
		return nil, err
	}
	if d.name == invitationValue {
		return mustJSON(invitation{t.ID, t.Microprotocol, orNull(t.Invitation), orNull(t.Parameters), orNull(t.Parent)}), nil
	}
	if !t.Submitted {
		return json.RawMessage("null"), nil
	}
	j, err := g.ownJob(ctx, caller, t.Job)
	if err != nil {
		return nil, err
	}
	return mustJSON(viewOf(j)), nil
}
