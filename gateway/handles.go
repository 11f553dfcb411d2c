package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/gateway/representation"
	"github.com/weftmpc/weft/jobs"
	"github.com/weftmpc/weft/jobs/objects"
)

// root is an object that exists without anybody making it.
type root struct {
	description representation.Description
	members     map[string]*function
}

// function is a member that can be called. It answers with the representation of what it returns, or none.
type function struct {
	signature representation.Signature
	invoke    func(ctx context.Context, g *Gateway, b binding) (id uuid.UUID, some bool, err error)
}

// binding is one call: who calls, of which task the function is a member (if of one), the arguments in order.
type binding struct {
	caller string
	task   uuid.UUID
	args   []json.RawMessage
	// wait lets a member wait a moment for a job; it needs the request for that.
	wait func(j jobs.Job) (jobs.Job, error)
}

// roots are the objects of GET /representations, in that order.
func roots() []*root { return []*root{simonRoot()} }

// Names of a task's members that are data: a call's return value, as a representation.
const (
	invitationValue = "invitation"
	progressValue   = "progress value"
)

// handles knows every identifier that is derived rather than stored. Those of the roots are few. Those of tasks' members
// are derived from the task's own identifier and remembered; after a restart they are found by deriving them anew for the
// caller's tasks.
type handles struct {
	key    []byte
	roots  []*root
	list   []byte               // the answer of GET /representations
	static map[string]*static   // by caller
	tasks  map[string]*function // a task's functions

	mu      sync.Mutex
	members map[uuid.UUID]handle             // of tasks
	indexed map[ownTask]map[string]uuid.UUID // the tasks whose members these are, by the members' names

	search sync.Mutex // held by the one request that looks through the tasks
}

// ownTask is a task as one caller sees it.
type ownTask struct {
	caller string
	task   uuid.UUID
}

// static are one caller's identifiers of the roots and their members.
type static struct {
	handles map[uuid.UUID]handle
	roots   map[*root]uuid.UUID
	members map[*function]uuid.UUID
}

// handle is what a derived identifier stands for: a root, a root's function, or a member of a task.
type handle struct {
	root   *root
	member *function
	task   uuid.UUID
	name   string // of the task's member
	caller string // whose task it is
}

const (
	mostIndexed = 15_000 // tasks whose members are remembered, about 20 MB; more than the store keeps for a caller
	mostCallers = 1_000
)

func newHandles(key []byte) *handles {
	h := &handles{key: append([]byte(nil), key...), roots: roots(), tasks: taskFunctions(), static: map[string]*static{}, members: map[uuid.UUID]handle{}, indexed: map[ownTask]map[string]uuid.UUID{}}
	descriptions := make([]representation.Description, len(h.roots))
	for i, r := range h.roots {
		descriptions[i] = r.description
	}
	h.list = mustJSON(struct {
		Type string                       `json:"type"`
		List []representation.Description `json:"list"`
	}{"list", descriptions})
	return h
}

func (h *handles) rootID(caller string, r *root) uuid.UUID {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.of(caller).roots[r]
}

func (h *handles) memberID(caller string, r *root, name string) uuid.UUID {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.of(caller).members[r.members[name]]
}

// of derives a caller's identifiers once. Its caller locks.
func (h *handles) of(caller string) *static {
	if s := h.static[caller]; s != nil {
		return s
	}
	s := &static{map[uuid.UUID]handle{}, map[*root]uuid.UUID{}, map[*function]uuid.UUID{}}
	for _, r := range h.roots {
		path := string(mustJSON(r.description))
		id := representation.Derive(h.key, caller, "root/"+path)
		s.handles[id], s.roots[r] = handle{root: r}, id
		for name, f := range r.members {
			id := representation.Derive(h.key, caller, "member/"+path+"/"+name)
			s.handles[id], s.members[f] = handle{root: r, member: f}, id
		}
	}
	if len(h.static) >= mostCallers {
		clear(h.static)
	}
	h.static[caller] = s
	return s
}

// taskID is the identifier of a task's member.
func (h *handles) taskID(caller string, task uuid.UUID, name string) uuid.UUID {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.index(caller, task)[name]
}

// index derives the identifiers of a task's members once. Its caller locks.
func (h *handles) index(caller string, task uuid.UUID) map[string]uuid.UUID {
	own := ownTask{caller, task}
	if ids := h.indexed[own]; ids != nil {
		return ids
	}
	if len(h.indexed) >= mostIndexed { // most are of tasks that are gone; find derives the others anew
		clear(h.indexed)
		clear(h.members)
	}
	ids := make(map[string]uuid.UUID, len(taskNames))
	for _, name := range taskNames {
		id := representation.Derive(h.key, caller, "task/"+task.String()+"/"+name)
		ids[name], h.members[id] = id, handle{task: task, name: name, member: h.tasks[name], caller: caller}
	}
	h.indexed[own] = ids
	return ids
}

// find looks a derived identifier up. tasks gives the caller's tasks if memory does not have it. Identifiers that somebody
// invents cost little: one request at a time looks through the tasks, and derives nothing that is remembered.
func (h *handles) find(caller string, id uuid.UUID, tasks func() ([]uuid.UUID, error)) (handle, bool, error) {
	if d, ok := h.remembered(caller, id); ok {
		return d, true, nil
	}
	if id.Version() != 8 || tasks == nil {
		return handle{}, false, nil
	}
	h.search.Lock()
	defer h.search.Unlock()
	all, err := tasks()
	if err != nil {
		return handle{}, false, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, task := range all {
		h.index(caller, task)
		if d, ok := h.members[id]; ok && d.caller == caller {
			return d, true, nil
		}
	}
	return handle{}, false, nil
}

func (h *handles) remembered(caller string, id uuid.UUID) (handle, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if d, ok := h.of(caller).handles[id]; ok {
		return d, true
	}
	d, ok := h.members[id]
	return d, ok && d.caller == caller
}

// thing is what a representation stands for: exactly one of the fields is set.
type thing struct {
	derived *handle
	job     *jobs.Job
	record  *objects.Record
}

// resolve finds what id stands for. What belongs to another caller is unknown.
func (g *Gateway) resolve(ctx context.Context, caller string, id uuid.UUID) (thing, error) {
	if id.Version() == 8 { // a derived one; records have random identifiers
		d, ok, err := g.handles.find(caller, id, func() ([]uuid.UUID, error) { return g.tasksOf(ctx, caller) })
		if err != nil {
			return thing{}, err
		}
		if ok {
			return thing{derived: &d}, nil
		}
	}
	j, err := g.config.Jobs.Get(ctx, id)
	switch {
	case err == nil && j.Caller == caller:
		return thing{job: &j}, nil
	case err != nil && !errors.Is(err, jobs.ErrNotFound):
		return thing{}, err
	}
	r, err := g.config.Objects.Get(ctx, id)
	switch {
	case err == nil && r.Caller == caller:
		return thing{record: &r}, nil
	case err != nil && !errors.Is(err, objects.ErrNotFound):
		return thing{}, err
	}
	return thing{}, errUnknownRepresentation
}

var errUnknownRepresentation = fail(http.StatusNotFound, "unknown-representation", "there is no such representation here; it may have been deleted or have expired, or belong to another gateway")

// tasksOf lists the identifiers of the caller's tasks, newest first.
func (g *Gateway) tasksOf(ctx context.Context, caller string) ([]uuid.UUID, error) {
	records, err := g.config.Objects.List(ctx, caller)
	if err != nil {
		return nil, err
	}
	var ids []uuid.UUID
	for _, r := range records {
		if r.Kind == objects.Task {
			ids = append(ids, r.ID)
		}
	}
	return ids, nil
}
