package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
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
	note(w, func(a *audited) { a.made = id })
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
	return write(w, g.handles.listing())
}

func (g *Gateway) readCall(w http.ResponseWriter, r *http.Request, l *loan) (representation.Call, error) {
	body, err := g.readBody(w, r, l)
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
	l := g.loan()
	defer l.giveBack()
	c, err := g.readCall(w, r, l)
	if err != nil {
		return err
	}
	match := g.handles.match(c.Kwargs)
	if match == nil && g.microservices.look(r.Context()) {
		match = g.handles.match(c.Kwargs)
	}
	if match == nil {
		return fail(http.StatusNotFound, "unknown-object", "no object here meets these requirements; GET /representations lists what there is")
	}
	return writeUUID(w, g.handles.rootID(callerOf(r.Context()), match))
}

// upload stores a value.
func (g *Gateway) upload(w http.ResponseWriter, r *http.Request) error {
	l := g.loan()
	defer l.giveBack()
	c, err := g.readCall(w, r, l)
	if err != nil {
		return err
	}
	if len(c.Args) != 1 || len(c.Kwargs) != 0 {
		return fail(http.StatusBadRequest, "one-value", "an upload takes the value as its one positional argument: {\"args\":[VALUE],\"kwargs\":{}}")
	}
	id, err := g.keep(r.Context(), callerOf(r.Context()), c.Args[0])
	if err != nil {
		return err
	}
	return writeUUID(w, id)
}

// keep stores a value for a caller: one that was uploaded, or that a call returns.
func (g *Gateway) keep(ctx context.Context, caller string, value json.RawMessage) (uuid.UUID, error) {
	r, err := g.config.Objects.Put(ctx, objects.Record{ID: uuid.New(), Caller: caller, Kind: objects.Value, Data: value, Created: g.config.Now()})
	return r.ID, err
}

// pathThing is what the path's representation stands for.
func (g *Gateway) pathThing(r *http.Request) (thing, error) {
	id, err := pathID(r, "representation")
	if err != nil {
		return thing{}, err
	}
	return g.resolve(r.Context(), callerOf(r.Context()), id)
}

// call calls a function.
func (g *Gateway) call(w http.ResponseWriter, r *http.Request) error {
	l := g.loan()
	defer l.giveBack()
	c, err := g.readCall(w, r, l)
	if err != nil {
		return err
	}
	t, err := g.pathThing(r)
	if err != nil {
		return err
	}
	if t.derived == nil || t.derived.member == nil {
		return fail(http.StatusBadRequest, "no-function", "this representation stands for no function and cannot be called")
	}
	f := t.derived.member
	if m, ok := t.derived.microservice(); ok {
		note(w, func(a *audited) { a.called = m.name + "." + f.signature.Name })
	}
	args, err := f.signature.Bind(c) // before anything is read for arguments that the function does not have
	if err != nil {
		return fail(http.StatusBadRequest, "wrong-arguments", "%s", err)
	}
	s := substitution{g: g, caller: callerOf(r.Context()), loan: l, cache: map[uuid.UUID]json.RawMessage{}}
	for i, p := range f.signature.Parameters {
		if _, named := c.Kwargs[p.Name]; named {
			if args[i], err = s.replace(r.Context(), p.Name, args[i]); err != nil {
				return err
			}
		}
	}
	b := binding{caller: callerOf(r.Context()), object: t.derived.object, args: args, loan: l, wait: func(j jobs.Job) (jobs.Job, error) {
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

// substitution replaces arguments of one call that stand for objects of this gateway by these objects' values.
type substitution struct {
	g      *Gateway
	caller string
	loan   *loan
	cache  map[uuid.UUID]json.RawMessage
	size   int64 // bytes of all that was put in
}

// replace is the value that raw stands for, and raw itself where it stands for nothing here. name is the argument's.
func (s *substitution) replace(ctx context.Context, name string, raw json.RawMessage) (json.RawMessage, error) {
	const most = 16 // uploads may stand for uploads, in a circle too
	for depth := 0; ; depth++ {
		id, ok := standsFor(raw)
		if !ok {
			return raw, nil
		}
		if depth == most {
			return nil, invalid(name, "representations stand for representations in a circle")
		}
		value, err := s.read(ctx, id)
		if err == errUnknownRepresentation { //nolint:errorlint // exactly this value: it stays as it was sent
			return raw, nil
		}
		if err != nil {
			e := *asError(err)
			e.Field, e.Message = name, name+": "+e.Message
			return nil, &e
		}
		if s.size += int64(len(value)); s.size > s.g.config.MaxBody {
			return nil, &Error{Code: http.StatusRequestEntityTooLarge, Reason: "too-large", Field: name, Message: fmt.Sprintf(
				"%s: with it the values that the arguments stand for are together larger than the %d bytes that this gateway accepts", name, s.g.config.MaxBody)}
		}
		raw = value
	}
}

// read is the value of a representation; one call reads each once.
func (s *substitution) read(ctx context.Context, id uuid.UUID) (json.RawMessage, error) {
	if value, ok := s.cache[id]; ok {
		return value, nil
	}
	t, err := s.g.resolve(ctx, s.caller, id)
	if err != nil {
		return nil, err
	}
	value, err := s.g.value(ctx, s.caller, t)
	if err != nil {
		return nil, err
	}
	if err := s.loan.take(ctx, int64(len(value))); err != nil {
		return nil, err
	}
	s.cache[id] = value
	return value, nil
}

// standsFor reads {"representation_uuid": U}.
func standsFor(raw json.RawMessage) (uuid.UUID, bool) {
	value, ok := representation.Find(raw, "representation_uuid")
	if !ok {
		return uuid.UUID{}, false
	}
	text, _ := representation.Text(value)
	return representation.ParseUUID(text)
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
		result, err := g.readResult(ctx, *t.job)
		if err != nil {
			return nil, err
		}
		return envelope(*t.job, result), nil
	case t.derived != nil && t.derived.constant != nil:
		return t.derived.constant, nil
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
	t, err := g.pathThing(r)
	if err != nil {
		return err
	}
	switch {
	case t.derived != nil && t.derived.root != nil && t.derived.member == nil:
		if t.derived.root.members[name] != nil {
			return writeUUID(w, g.handles.memberID(callerOf(r.Context()), t.derived.root, name))
		}
	case t.record != nil:
		if g.handles.classes[t.record.Kind].functions[name] != nil {
			return writeUUID(w, g.handles.partOf(callerOf(r.Context()), t.record.Kind, t.record.ID, name))
		}
	}
	return fail(http.StatusNotFound, "unknown-attribute", "this representation has no attribute %s", representation.Show(name))
}

// download gives the value, and waits for the one that a job will have.
func (g *Gateway) download(w http.ResponseWriter, r *http.Request) error {
	if err := dropBody(w, r); err != nil {
		return err
	}
	t, err := g.pathThing(r)
	if err != nil {
		return err
	}
	if t.job == nil {
		value, err := g.value(r.Context(), callerOf(r.Context()), t)
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

// release forgets a value, a task or an ended job. What is derived cannot be forgotten. A barrier or a storage is kept under
// its own name, and others may use it: its service deletes it. A job that runs is other parties' concern too: it goes on,
// and its result stays for its time. Cancelling is said aloud, under /v1.
func (g *Gateway) release(w http.ResponseWriter, r *http.Request) error {
	if err := dropBody(w, r); err != nil {
		return err
	}
	t, err := g.pathThing(r)
	switch {
	case err != nil:
		return err
	case t.record != nil && (t.record.Kind == objects.Value || t.record.Kind == objects.Task):
		err = g.config.Objects.Delete(r.Context(), t.record.ID)
		g.handles.forget(callerOf(r.Context()), t.record.ID)
	case t.job != nil && t.job.Terminal():
		err = g.config.Jobs.Delete(r.Context(), t.job.ID)
	}
	if err != nil {
		return err
	}
	return write(w, none)
}
