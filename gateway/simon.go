package gateway

import (
	"context"
	"encoding/json"
	"strconv"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/gateway/representation"
	"github.com/weftmpc/weft/simon"
)

func signature(name string, parameters ...representation.Parameter) representation.Signature {
	return representation.Signature{Name: name, Parameters: parameters}
}

func needed(name string) representation.Parameter { return representation.Parameter{Name: name} }
func optional(name string) representation.Parameter {
	return representation.Parameter{Name: name, Optional: true}
}

// simonRoot is the object by which the official clients compute.
func simonRoot() Service {
	return &builtin{
		description: representation.Description{{Key: "namespace", Value: "federatedsecure"}, {Key: "protocol", Value: "Simon"}, {Key: "version", Value: officialVersion}},
		members: map[string]*function{
			"compute":     {signature("compute", needed("microprotocol"), needed("data"), needed("network"), optional("parameters")), compute},
			"create_task": {signature("create_task", needed("microprotocol"), needed("network"), optional("parameters"), optional("task_id"), optional("parent")), createTask},
			"join_task":   {signature("join_task", needed("invitation"), needed("network")), joinTask},
			"get_task":    {signature("get_task", needed("task_id")), getTask},
		},
	}
}

// compute submits a job; its representation is the result to come.
func compute(ctx context.Context, g *Gateway, b binding) (uuid.UUID, bool, error) {
	m, n, parameters, err := g.readComputation(b.args[0], b.args[2], b.args[3])
	if err != nil {
		return uuid.UUID{}, false, err
	}
	if n.uuid == nil {
		return uuid.UUID{}, false, invalid("network.uuid", "it is missing; all parties name the same UUID")
	}
	j, err := g.submit(ctx, request{
		id: uuid.New(), caller: b.caller, microprotocol: m, parties: n.parties, self: n.self, uuid: *n.uuid,
		parameters: parameters, deadline: g.config.Deadline, data: b.args[1],
	})
	return j.ID, true, err
}

// readComputation checks what compute and tasks have in common.
func (g *Gateway) readComputation(microprotocol, net, parameters json.RawMessage) (*simon.Microprotocol, network, json.RawMessage, error) {
	m, err := g.readMicroprotocol(microprotocol)
	if err != nil {
		return nil, network{}, nil, err
	}
	n, err := g.readNetwork(net)
	if err != nil {
		return nil, n, nil, err
	}
	if err := checkCount("network.nodes", m, len(n.parties)); err != nil {
		return nil, n, nil, err
	}
	parameters, err = readParameters(parameters)
	return m, n, parameters, err
}

// createTask stores a task: a computation whose data come one after the other.
func createTask(ctx context.Context, g *Gateway, b binding) (uuid.UUID, bool, error) {
	m, n, parameters, err := g.readComputation(b.args[0], b.args[1], b.args[2])
	if err != nil {
		return uuid.UUID{}, false, err
	}
	t := task{
		ID: uuid.New(), Microprotocol: m.Name, Parties: n.parties, Self: n.self, Parameters: parameters,
		Invitation: json.RawMessage(strconv.Quote(uuid.NewString())), Parent: orNull(b.args[4]),
	}
	switch {
	case !representation.IsEmpty(b.args[3]):
		if t.ID, err = readUUID("task_id", b.args[3]); err != nil {
			return uuid.UUID{}, false, err
		}
	case n.uuid != nil:
		t.ID = *n.uuid
	}
	id, err := g.storeTask(ctx, b.caller, t)
	return id, true, err
}

// joinTask stores the same task as the party that made the invitation has.
func joinTask(ctx context.Context, g *Gateway, b binding) (uuid.UUID, bool, error) {
	if !representation.IsObject(b.args[0]) {
		return uuid.UUID{}, false, invalid("invitation", "it must be an object, as invite() of the task returns it")
	}
	in := func(key string) json.RawMessage {
		value, _ := representation.Find(b.args[0], key)
		return value
	}
	m, n, parameters, err := g.readComputation(in("microprotocol"), b.args[1], in("parameters"))
	if err != nil {
		return uuid.UUID{}, false, err
	}
	t := task{
		Microprotocol: m.Name, Parties: n.parties, Self: n.self, Parameters: parameters,
		Invitation: orNull(in("invitation_id")), Parent: orNull(in("parent")),
	}
	if t.ID, err = readUUID("invitation.task_id", in("task_id")); err != nil {
		return uuid.UUID{}, false, err
	}
	id, err := g.storeTask(ctx, b.caller, t)
	return id, true, err
}

// getTask finds the caller's newest task with a task_id.
func getTask(ctx context.Context, g *Gateway, b binding) (uuid.UUID, bool, error) {
	want, err := readUUID("task_id", b.args[0])
	if err != nil {
		return uuid.UUID{}, false, err
	}
	ids, err := g.tasksOf(ctx, b.caller)
	if err != nil {
		return uuid.UUID{}, false, err
	}
	for _, id := range ids {
		t, _, err := g.loadTask(ctx, b.caller, id)
		if err == errTaskGone { //nolint:errorlint // exactly this value
			continue // deleted since it was listed
		}
		if err != nil {
			return uuid.UUID{}, false, err
		}
		if t.ID == want {
			return id, true, nil
		}
	}
	return uuid.UUID{}, false, nil
}

func orNull(raw json.RawMessage) json.RawMessage {
	if representation.IsNull(raw) {
		return json.RawMessage("null")
	}
	return raw
}
