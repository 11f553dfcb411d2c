package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"sync"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/gateway/representation"
	"github.com/weftmpc/weft/jobs"
	"github.com/weftmpc/weft/jobs/objects"
)

// function is a member that can be called. It answers with the representation of what it returns, or none.
type function struct {
	signature representation.Signature
	invoke    func(ctx context.Context, g *Gateway, b binding) (id uuid.UUID, some bool, err error)
}

// binding is one call: who calls, of which stored object the function is a member (if of one), the arguments in order.
type binding struct {
	caller string
	object uuid.UUID
	args   []json.RawMessage
	loan   *loan // of the request, for what the call reads
	// wait lets a member wait a moment for a job; it needs the request for that.
	wait func(j jobs.Job) (jobs.Job, error)
}

// ownServices are the gateway's own objects, in the order of GET /representations.
func ownServices() []Service {
	return []Service{barrierRoot(), broadcastRoot(), keyValueRoot(), simonRoot()}
}

// officialVersion is that of the official server whose clients are served.
const officialVersion = "0.6.0"

// plugin describes a root of the official server's plugins.
func plugin(plugin, microservice string) representation.Description {
	return representation.Description{{Key: "namespace", Value: "federatedsecure"}, {Key: "plugin", Value: plugin}, {Key: "version", Value: officialVersion}, {Key: "microservice", Value: microservice}}
}

// class is a kind of stored object that has members.
type class struct {
	path      string               // in the derivation of its members' identifiers
	functions map[string]*function // that can be called
	values    []string             // names of members that are data: a call's return value, as a representation
}

// classes are all of them.
func classes() map[objects.Kind]class {
	return map[objects.Kind]class{
		objects.Task:     {path: "task", functions: taskFunctions(), values: []string{invitationValue, progressValue}},
		objects.Barrier:  {path: "barrier", functions: barrierFunctions()},
		objects.KeyValue: {path: "key-value storage", functions: keyValueFunctions()},
	}
}

// handles knows every identifier that is derived rather than stored. Those of the roots and of constants are few. Those of
// stored objects' members are derived from the object's own identifier and remembered; after a restart they are found by
// deriving them anew for the objects that the caller sees.
type handles struct {
	key       []byte
	roots     []*root // the gateway's own, which are always there
	classes   map[objects.Kind]class
	constants map[uuid.UUID]json.RawMessage

	mu         sync.Mutex
	others     []*root            // microservices, by name
	generation int                // of others
	list       []byte             // the answer of GET /representations
	static     map[string]*static // by caller
	derived    int                // identifiers in static

	members map[uuid.UUID]handle               // of stored objects
	indexed map[ownObject]map[string]uuid.UUID // the objects whose members these are, by the members' names

	search sync.Mutex // held by the one request that looks through the objects
}

// ownObject is a stored object as one caller sees it.
type ownObject struct {
	caller string
	id     uuid.UUID
}

// static are one caller's identifiers of the roots and their members.
type static struct {
	generation int // of the microservices among them
	handles    map[uuid.UUID]handle
	roots      map[string]uuid.UUID // by path
	members    map[*function]uuid.UUID
}

// handle is what a derived identifier stands for: a root, a root's function, a member of a stored object, or a constant.
type handle struct {
	root     *root
	member   *function
	object   uuid.UUID
	name     string // of the object's member
	caller   string // who may use the object's member
	constant json.RawMessage
}

// microservice is the one of which the handle is a function, if of one.
func (d handle) microservice() (*microservice, bool) {
	if d.root == nil {
		return nil, false
	}
	m, ok := d.root.service.(*microservice)
	return m, ok
}

const (
	mostIndexed = 15_000 // objects whose members are remembered, about 25 MB; more than the store keeps for a caller
	mostCallers = 1_000
	mostDerived = 100_000 // identifiers of roots and their members, about 30 MB
)

func newHandles(key []byte) *handles {
	h := &handles{
		key: append([]byte(nil), key...), classes: classes(), constants: map[uuid.UUID]json.RawMessage{},
		static: map[string]*static{}, members: map[uuid.UUID]handle{}, indexed: map[ownObject]map[string]uuid.UUID{},
	}
	for _, text := range []string{"true", "false"} {
		h.constants[h.constantID(text)] = json.RawMessage(text)
	}
	for n := range mostArrivals + 1 {
		h.constants[h.constantID(strconv.Itoa(n))] = json.RawMessage(strconv.Itoa(n))
	}
	for _, own := range ownServices() {
		h.roots = append(h.roots, newRoot(own, string(mustJSON(own.Description()))))
	}
	h.serve(nil)
	return h
}

// serve replaces the microservices. Identifiers hang on a service's name alone, so those of one that has been away, or has
// other members now, are what they were.
func (h *handles) serve(others []*root) {
	descriptions := []json.RawMessage{}
	for _, r := range slices.Concat(h.roots, others) {
		if !r.absent {
			descriptions = append(descriptions, r.listed)
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.others = others
	h.generation++
	h.list = mustJSON(struct {
		Type string            `json:"type"`
		List []json.RawMessage `json:"list"`
	}{"list", descriptions})
}

// listing is the answer of GET /representations.
func (h *handles) listing() []byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.list
}

// present are the roots that are there, the gateway's own first.
func (h *handles) present() []*root {
	h.mu.Lock()
	all := slices.Concat(h.roots, h.others)
	h.mu.Unlock()
	return slices.DeleteFunc(all, func(r *root) bool { return r.absent })
}

// match is the first root, of those that are there, that meets the requirements.
func (h *handles) match(requirements map[string]json.RawMessage) *root {
	for _, r := range h.present() {
		if r.service.Description().Match(requirements) {
			return r
		}
	}
	return nil
}

// rootID is the caller's identifier of a root, which may have been replaced since it was matched.
func (h *handles) rootID(caller string, r *root) uuid.UUID {
	h.mu.Lock()
	defer h.mu.Unlock()
	if id, ok := h.of(caller).roots[r.path]; ok {
		return id
	}
	return h.deriveRoot(caller, r)
}

func (h *handles) memberID(caller string, r *root, name string) uuid.UUID {
	h.mu.Lock()
	defer h.mu.Unlock()
	if id, ok := h.of(caller).members[r.members[name]]; ok {
		return id
	}
	return h.deriveMember(caller, r, name)
}

func (h *handles) deriveRoot(caller string, r *root) uuid.UUID {
	return representation.Derive(h.key, caller, "root/"+r.path)
}

func (h *handles) deriveMember(caller string, r *root, name string) uuid.UUID {
	return representation.Derive(h.key, caller, "member/"+r.path+"/"+name)
}

// of derives a caller's identifiers of the roots once. Its caller locks.
func (h *handles) of(caller string) *static {
	s := h.static[caller]
	if s != nil && s.generation == h.generation {
		return s
	}
	if s != nil {
		h.derived -= len(s.handles)
	}
	s = &static{h.generation, map[uuid.UUID]handle{}, map[string]uuid.UUID{}, map[*function]uuid.UUID{}}
	for _, list := range [...][]*root{h.roots, h.others} {
		for _, r := range list {
			id := h.deriveRoot(caller, r)
			s.handles[id], s.roots[r.path] = handle{root: r}, id
			for name, f := range r.members {
				id := h.deriveMember(caller, r, name)
				s.handles[id], s.members[f] = handle{root: r, member: f}, id
			}
		}
	}
	if len(h.static) >= mostCallers || h.derived+len(s.handles) > mostDerived {
		clear(h.static)
		h.derived = 0
	}
	h.static[caller] = s
	h.derived += len(s.handles)
	return s
}

// constantID is the identifier of a truth value, or of a number of parties at a barrier: what is returned so often, and to
// clients that ask in a loop, that it must not be stored. Everybody has the same.
func (h *handles) constantID(text string) uuid.UUID {
	return representation.Derive(h.key, "", "constant/"+text)
}

// partOf is the identifier of a stored object's member.
func (h *handles) partOf(caller string, kind objects.Kind, id uuid.UUID, name string) uuid.UUID {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.index(caller, kind, id)[name]
}

// index derives the identifiers of a stored object's members once. Its caller locks.
func (h *handles) index(caller string, kind objects.Kind, object uuid.UUID) map[string]uuid.UUID {
	own := ownObject{caller, object}
	if ids := h.indexed[own]; ids != nil {
		return ids
	}
	if len(h.indexed) >= mostIndexed { // most are of objects that are gone; find derives the others anew
		clear(h.indexed)
		clear(h.members)
	}
	c := h.classes[kind]
	ids := make(map[string]uuid.UUID, len(c.functions)+len(c.values))
	add := func(name string, f *function) {
		id := representation.Derive(h.key, caller, c.path+"/"+object.String()+"/"+name)
		ids[name], h.members[id] = id, handle{object: object, name: name, caller: caller, member: f}
	}
	for name, f := range c.functions {
		add(name, f)
	}
	for _, name := range c.values {
		add(name, nil)
	}
	h.indexed[own] = ids
	return ids
}

// forget drops what is remembered of a stored object that is gone for a caller.
func (h *handles) forget(caller string, object uuid.UUID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	own := ownObject{caller, object}
	for _, id := range h.indexed[own] {
		delete(h.members, id)
	}
	delete(h.indexed, own)
}

// find looks through the objects that the caller sees for the one of which id is a member. Identifiers that somebody invents
// cost little: one request at a time looks, and derives nothing that is remembered.
func (h *handles) find(caller string, id uuid.UUID, visible func() ([]objects.Record, error)) (handle, bool, error) {
	h.search.Lock()
	defer h.search.Unlock()
	all, err := visible()
	if err != nil {
		return handle{}, false, err
	}
	for _, r := range all {
		if _, ok := h.classes[r.Kind]; !ok {
			continue
		}
		if d, ok := h.has(caller, r, id); ok {
			return d, true, nil
		}
	}
	return handle{}, false, nil
}

// has says whether id is a member of the record. The lock is for one record, so that a long search holds nobody up.
func (h *handles) has(caller string, r objects.Record, id uuid.UUID) (handle, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.index(caller, r.Kind, r.ID)
	d, ok := h.members[id]
	return d, ok && d.caller == caller
}

func (h *handles) remembered(caller string, id uuid.UUID) (handle, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if d, ok := h.of(caller).handles[id]; ok {
		return d, true
	}
	if c, ok := h.constants[id]; ok {
		return handle{constant: c}, true
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
	if d, ok := g.handles.remembered(caller, id); ok {
		return thing{derived: &d}, nil
	}
	t, err := g.stored(ctx, caller, id)
	if err != errUnknownRepresentation || id.Version() != 8 { //nolint:errorlint // exactly this value
		return t, err
	}
	d, ok, err := g.handles.find(caller, id, func() ([]objects.Record, error) { return g.visible(ctx, caller) })
	if err != nil {
		return thing{}, err
	}
	if !ok && g.microservices.look(ctx) {
		d, ok = g.handles.remembered(caller, id)
	}
	if !ok {
		return thing{}, errUnknownRepresentation
	}
	return thing{derived: &d}, nil
}

var (
	errUnknownRepresentation = fail(http.StatusNotFound, "unknown-representation", "there is no such representation here; it may have been deleted or have expired, or belong to another gateway")
	errExpiredRepresentation = fail(http.StatusNotFound, "expired-representation", "what this representation stood for has expired: a value is kept for an hour after its last use, a task, barrier or storage for 24 hours, a result for 24 hours after the end of its job; make it anew")
)

// stored finds the job or the record that has the identifier. Each store asks the server for what it does not know.
func (g *Gateway) stored(ctx context.Context, caller string, id uuid.UUID) (thing, error) {
	expired := false
	if !g.config.Objects.Holds(id) {
		j, err := g.config.Jobs.Latest(ctx, id)
		switch {
		case err == nil && j.Caller == caller:
			return thing{job: &j}, nil
		case err != nil && !errors.Is(err, jobs.ErrNotFound):
			return thing{}, err
		}
		expired = errors.Is(err, jobs.ErrExpired)
	}
	r, err := g.object(ctx, id)
	switch {
	case err == nil && sees(caller, r):
		return thing{record: &r}, nil
	case err != nil && !errors.Is(err, objects.ErrNotFound):
		return thing{}, err
	case expired || errors.Is(err, objects.ErrExpired):
		return thing{}, errExpiredRepresentation
	}
	return thing{}, errUnknownRepresentation
}

// sees says whether a record exists for a caller: whoever made it, and everybody who was given the identifier of a barrier.
// A broadcast has no representation.
func sees(caller string, r objects.Record) bool {
	return r.Kind == objects.Barrier || r.Kind != objects.Broadcast && r.Caller == caller
}

// visible lists the records that a caller sees, newest first and without their data.
func (g *Gateway) visible(ctx context.Context, caller string) ([]objects.Record, error) {
	all, err := g.config.Objects.List(ctx, "")
	return slices.DeleteFunc(all, func(r objects.Record) bool { return !sees(caller, r) }), err
}

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
