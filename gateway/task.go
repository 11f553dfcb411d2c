package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/gateway/representation"
	"github.com/weftmpc/weft/jobs"
	"github.com/weftmpc/weft/jobs/objects"
)

// task is a computation whose data come by and by. It is stored as JSON in an objects.Record, whose identifier is the
// task's representation.
//
// Starting it takes three steps, each safe to repeat after a crash: the job's identifier is written into the record, the
// job is submitted under it, and the record drops the data, which the job now has.
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

// taskNames are all members of a task that have an identifier.
var taskNames = []string{"invite", "input", "start", "progress", "result", invitationValue, progressValue}

// taskFunctions are those of them that can be called.
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
	r, err := g.config.Objects.Get(ctx, id)
	if errors.Is(err, objects.ErrNotFound) || err == nil && (r.Caller != caller || r.Kind != objects.Task) {
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
func (g *Gateway) changeTask(ctx context.Context, caller string, id uuid.UUID, f func(*task) error) (task, error) {
	const tries = 20
	for try := 1; ; try++ {
		t, r, err := g.loadTask(ctx, caller, id)
		if err != nil {
			return t, err
		}
		if err := f(&t); err != nil {
			return t, err
		}
		r.Data = mustJSON(t)
		if int64(len(r.Data)) > g.config.MaxBody {
			return t, taskTooLarge(g.config.MaxBody)
		}
		_, err = g.config.Objects.Update(ctx, r)
		if !errors.Is(err, objects.ErrConflict) || try == tries {
			return t, err
		}
	}
}

// invite returns what another party needs to join the task.
func invite(ctx context.Context, g *Gateway, b binding) (uuid.UUID, bool, error) {
	if _, _, err := g.loadTask(ctx, b.caller, b.task); err != nil {
		return uuid.UUID{}, false, err
	}
	return g.handles.taskID(b.caller, b.task, invitationValue), true, nil
}

// input adds data: the elements of a list, or one value.
func input(ctx context.Context, g *Gateway, b binding) (uuid.UUID, bool, error) {
	_, err := g.changeTask(ctx, b.caller, b.task, func(t *task) error {
		if t.Job != (uuid.UUID{}) {
			return fail(http.StatusConflict, "started", "the task has been started and takes no more data; create another one")
		}
		return t.add(b.args[0], g.config.MaxBody)
	})
	return uuid.UUID{}, false, err
}

// start submits the task's job. The second time it does nothing.
func start(ctx context.Context, g *Gateway, b binding) (uuid.UUID, bool, error) {
	t, _, err := g.loadTask(ctx, b.caller, b.task)
	if err != nil || t.Submitted {
		return uuid.UUID{}, false, err
	}
	// Bad data is an answer, and leaves the task as it was; so it is looked at before the job has a name.
	q, err := g.taskRequest(b.caller, t)
	if err != nil {
		return uuid.UUID{}, false, err
	}
	if _, err := q.microprotocol.Prepare(bytes.NewReader(q.data), q.parameters); err != nil {
		return uuid.UUID{}, false, prepareError(q.microprotocol, err)
	}
	t, err = g.changeTask(ctx, b.caller, b.task, func(t *task) error {
		if t.Job == (uuid.UUID{}) {
			t.Job = uuid.New()
		}
		return nil
	})
	if err != nil || t.Submitted {
		return uuid.UUID{}, false, err
	}
	// From here on input() is refused, so t holds all data.
	if q, err = g.taskRequest(b.caller, t); err != nil {
		return uuid.UUID{}, false, err
	}
	if _, err := g.submit(ctx, q); err != nil && !errors.Is(err, jobs.ErrExists) {
		return uuid.UUID{}, false, err
	}
	_, err = g.changeTask(ctx, b.caller, b.task, func(t *task) error {
		t.Submitted, t.Items = true, nil
		return nil
	})
	return uuid.UUID{}, false, err
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
	t, _, err := g.loadTask(ctx, b.caller, b.task)
	if err != nil || !t.Submitted {
		return uuid.UUID{}, false, err
	}
	return g.handles.taskID(b.caller, b.task, progressValue), true, nil
}

// result returns the job's representation once its result is there, and the error of a job that will have none.
func result(ctx context.Context, g *Gateway, b binding) (uuid.UUID, bool, error) {
	t, _, err := g.loadTask(ctx, b.caller, b.task)
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
	t, _, err := g.loadTask(ctx, caller, d.task)
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
