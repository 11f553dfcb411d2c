package gateway

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/gateway/representation"
	"github.com/weftmpc/weft/jobs"
	"github.com/weftmpc/weft/jobs/objects"
)

var none = []byte(`{"type":"none"}`)

// writeUUID answers with a representation.
func writeUUID(w http.ResponseWriter, id uuid.UUID) error {
	b := make([]byte, 0, 64)
	b = append(b, `{"type":"uuid","uuid":"`...)
	b = append(b, id.String()...)
	b = append(b, `"}`...)
	return write(w, b)
}

// writeObject answers with a value.
func writeObject(w http.ResponseWriter, value []byte) error {
	const before, after = `{"type":"object","object":`, `}`
	w.Header().Set("Content-Length", strconv.Itoa(len(before)+len(value)+len(after)))
	_, _ = w.Write([]byte(before))
	_, _ = w.Write(value)
	return write(w, []byte(after))
}

// write sends a body. An error means that the client has gone, which nobody needs to hear of.
func write(w http.ResponseWriter, b []byte) error {
	_, _ = w.Write(b)
	return nil
}

func (g *Gateway) list(w http.ResponseWriter, r *http.Request) error {
	if err := dropBody(w, r); err != nil {
		return err
	}
	return write(w, g.handles.list)
}

func (g *Gateway) readCall(w http.ResponseWriter, r *http.Request) (representation.Call, error) {
	body, err := g.readBody(w, r)
	if err != nil {
		return representation.Call{}, err
	}
	c, err := representation.ParseCall(body)
	if err != nil {
		return c, fail(http.StatusBadRequest, "bad-json", "%s", err)
	}
	return c, nil
}

// create gives the representation of the first root object that meets the requirements.
func (g *Gateway) create(w http.ResponseWriter, r *http.Request) error {
	c, err := g.readCall(w, r)
	if err != nil {
		return err
	}
	for _, root := range g.handles.roots {
		if root.description.Match(c.Kwargs) {
			return writeUUID(w, g.handles.rootID(anyone, root))
		}
	}
	return fail(http.StatusNotFound, "unknown-object", "no object here meets these requirements; GET /representations lists what there is")
}

// upload stores a value.
func (g *Gateway) upload(w http.ResponseWriter, r *http.Request) error {
	c, err := g.readCall(w, r)
	if err != nil {
		return err
	}
	if len(c.Args) != 1 || len(c.Kwargs) != 0 {
		return fail(http.StatusBadRequest, "one-value", "an upload takes the value as its one positional argument: {\"args\":[VALUE],\"kwargs\":{}}")
	}
	record, err := g.config.Objects.Put(r.Context(), objects.Record{ID: uuid.New(), Caller: anyone, Kind: objects.Value, Data: c.Args[0], Created: g.config.Now()})
	if err != nil {
		return err
	}
	return writeUUID(w, record.ID)
}

// call calls a function.
func (g *Gateway) call(w http.ResponseWriter, r *http.Request) error {
	c, err := g.readCall(w, r)
	if err != nil {
		return err
	}
	id, err := pathID(r, "representation")
	if err != nil {
		return err
	}
	t, err := g.resolve(r.Context(), anyone, id)
	if err != nil {
		return err
	}
	if t.derived == nil || t.derived.member == nil {
		return fail(http.StatusBadRequest, "no-function", "this representation stands for no function and cannot be called")
	}
	if c.Kwargs, err = g.substitute(r.Context(), anyone, c.Kwargs); err != nil {
		return err
	}
	f := t.derived.member
	args, err := f.signature.Bind(c)
	if err != nil {
		return fail(http.StatusBadRequest, "wrong-arguments", "%s", err)
	}
	b := binding{caller: anyone, task: t.derived.task, args: args, wait: func(j jobs.Job) (jobs.Job, error) {
		j, _, err := g.await(w, r, j, resultPause, jobs.Job.Terminal)
		return j, err
	}}
	returned, some, err := f.invoke(r.Context(), g, b)
	if err != nil {
		return err
	}
	if !some {
		return write(w, none)
	}
	return writeUUID(w, returned)
}

// resultPause is how long a task's result() waits before it says None: clients ask again at once.
const resultPause = time.Second

// substitute replaces the arguments that stand for objects of this gateway by these objects' values.
func (g *Gateway) substitute(ctx context.Context, caller string, kwargs map[string]json.RawMessage) (map[string]json.RawMessage, error) {
	const most = 16 // uploads may stand for uploads, in a circle too
	for _, name := range slices.Sorted(maps.Keys(kwargs)) {
		raw := kwargs[name]
		for depth := 0; ; depth++ {
			id, ok := standsFor(raw)
			if !ok {
				break
			}
			if depth == most {
				return nil, invalid(name, "representations stand for representations in a circle")
			}
			t, err := g.resolve(ctx, caller, id)
			if err == errUnknownRepresentation { //nolint:errorlint // exactly this value: it stays as it was sent
				break
			}
			if err != nil {
				return nil, err
			}
			if raw, err = g.value(ctx, caller, t); err != nil {
				e := *asError(err)
				e.Field, e.Message = name, name+": "+e.Message
				return nil, &e
			}
			kwargs[name] = raw
		}
	}
	return kwargs, nil
}

// standsFor reads {"representation_uuid": U}.
func standsFor(raw json.RawMessage) (uuid.UUID, bool) {
	members, ok := representation.Members(raw)
	if !ok {
		return uuid.UUID{}, false
	}
	for _, m := range members {
		if m.Key == "representation_uuid" {
			text, _ := representation.Text(m.Value)
			return representation.ParseUUID(text)
		}
	}
	return uuid.UUID{}, false
}

// value is what a representation's download gives, without waiting.
func (g *Gateway) value(ctx context.Context, caller string, t thing) (json.RawMessage, error) {
	switch {
	case t.record != nil && t.record.Kind == objects.Value:
		return t.record.Data, nil
	case t.job != nil:
		if e := problemOf(*t.job); e != nil {
			return nil, e
		}
		if !t.job.Terminal() {
			return nil, fail(http.StatusConflict, "not-finished", "the computation it stands for has not ended; download it first")
		}
		result, err := g.config.Jobs.Read(ctx, t.job.Result)
		if err != nil {
			return nil, err
		}
		return envelope(*t.job, result), nil
	case t.derived != nil && t.derived.root == nil && t.derived.member == nil:
		return g.taskValue(ctx, caller, *t.derived)
	}
	return nil, errNoValue
}

var errNoValue = fail(http.StatusBadRequest, "no-value", "this representation stands for a service or a function, which has no value to download; call it instead")

// attribute gives the representation of a member. A name with an underscore in front is private, also where nothing is.
func (g *Gateway) attribute(w http.ResponseWriter, r *http.Request) error {
	if err := dropBody(w, r); err != nil {
		return err
	}
	name := r.PathValue("name")
	if strings.HasPrefix(name, "_") {
		return fail(http.StatusForbidden, "private-attribute", "attributes that begin with an underscore are private")
	}
	id, err := pathID(r, "representation")
	if err != nil {
		return err
	}
	t, err := g.resolve(r.Context(), anyone, id)
	if err != nil {
		return err
	}
	switch {
	case t.derived != nil && t.derived.root != nil && t.derived.member == nil:
		if t.derived.root.members[name] != nil {
			return writeUUID(w, g.handles.memberID(anyone, t.derived.root, name))
		}
	case t.record != nil && t.record.Kind == objects.Task:
		if g.handles.tasks[name] != nil {
			return writeUUID(w, g.handles.taskID(anyone, t.record.ID, name))
		}
	}
	return fail(http.StatusNotFound, "unknown-attribute", "this representation has no attribute %s", representation.Show(name))
}

// download gives the value, and waits for the one that a job will have.
func (g *Gateway) download(w http.ResponseWriter, r *http.Request) error {
	if err := dropBody(w, r); err != nil {
		return err
	}
	id, err := pathID(r, "representation")
	if err != nil {
		return err
	}
	t, err := g.resolve(r.Context(), anyone, id)
	if err != nil {
		return err
	}
	if t.job == nil {
		value, err := g.value(r.Context(), anyone, t)
		if err != nil {
			return err
		}
		return writeObject(w, value)
	}
	j, result, pending, err := g.resultOf(w, r, *t.job)
	if err != nil {
		return err
	}
	if pending {
		w.WriteHeader(http.StatusAccepted)
		return write(w, mustJSON(pendingView{"none", stateWord(j.State), detail(j), nonNil(j.Waiting)}))
	}
	return writeObject(w, envelope(j, result))
}

// pendingView is the answer to a download that would rather not wait.
type pendingView struct {
	Type    string   `json:"type"`
	State   string   `json:"state"`
	Detail  string   `json:"detail"`
	Waiting []string `json:"waiting"`
}

func nonNil(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}

// release forgets a value, a task or an ended job. What is derived cannot be forgotten, and a job that runs is other
// parties' concern too: it goes on, and its result stays for its time. Cancelling is said aloud, under /v1.
func (g *Gateway) release(w http.ResponseWriter, r *http.Request) error {
	if err := dropBody(w, r); err != nil {
		return err
	}
	id, err := pathID(r, "representation")
	if err != nil {
		return err
	}
	t, err := g.resolve(r.Context(), anyone, id)
	switch {
	case err != nil:
		return err
	case t.record != nil:
		err = g.config.Objects.Delete(r.Context(), id)
	case t.job != nil && t.job.Terminal():
		err = g.config.Jobs.Delete(r.Context(), id)
	}
	if err != nil {
		return err
	}
	return write(w, none)
}
