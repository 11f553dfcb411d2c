package gateway

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/jobs"
)

// badNetworks are networks that no computation starts with; first and last are those of compute only.
func badNetworks() [][2]string {
	nodes := func(list string, rest ...string) string {
		uuid, myself := `"`+computation+`"`, "0"
		if len(rest) > 0 {
			uuid = rest[0]
		}
		if len(rest) > 1 {
			myself = rest[1]
		}
		return `{"nodes":` + list + `,"uuid":` + uuid + `,"myself":` + myself + `}`
	}
	const two = `["alice","bob"]`
	var names []string
	for _, p := range manyParties(33) {
		names = append(names, `"`+p.Name+`"`)
	}
	return [][2]string{
		{`null`, "network: it is missing"},
		{`{}`, "network: it is missing"},
		{`5`, "network: it must be an object"},
		{`["alice","bob"]`, "network: it must be an object"},
		{`{"uuid":"` + computation + `","myself":0}`, "network.nodes: it is missing"},
		{nodes(`null`), "network.nodes: it is missing"},
		{nodes(`{"0":"alice"}`), "network.nodes: it must be a list"},
		{nodes(`17`), "network.nodes: it must be a list"},
		{nodes(`"alice"`), "network.nodes: it names one node"},
		{nodes(`[]`), "network.nodes: it is empty"},
		{nodes(`["alice"]`), "network.nodes: it names one node"},
		{nodes(`["alice",5]`), "network.nodes[1]: it must be a text"},
		{nodes(`["alice","bob","http://127.0.0.1:55502"]`), "network.nodes[2]: it names bob, as network.nodes[1] does"},
		{nodes(`["alice","dave"]`), `no party here has the name or gateway URL \"dave\"; known are alice (http://127.0.0.1:55501), bob`},
		{nodes(`["alice","http://127.0.0.1:55599"]`), "http://127.0.0.1:55599"},
		{nodes(`["alice","http://user:s3cret@127.0.0.1:55599"]`), "http://127.0.0.1:55599"},
		{nodes(`["alice","` + strings.Repeat("x", 10_000) + `"]`), `xxx\"…`},
		{nodes(`["bob","carol"]`), "network.nodes: it does not name alice"},
		{nodes(`[` + strings.Join(names, ",") + `]`), "it names more than 32 nodes"},
		{nodes(two, `"`+computation+`"`, "null"), "network.myself: it is missing; for this gateway it is 0"},
		{nodes(two, `"`+computation+`"`, "2"), "network.myself: it is outside the list of 2 nodes"},
		{nodes(two, `"`+computation+`"`, "-1"), "network.myself: it is outside"},
		{nodes(two, `"`+computation+`"`, "1e99"), "network.myself: it is outside"},
		{nodes(two, `"`+computation+`"`, "1e999999999"), "network.myself: it is outside"},
		{nodes(two, `"`+computation+`"`, "1"), "network.myself: 1 is bob, but this is the gateway of alice: send 0"},
		{nodes(two, `"`+computation+`"`, "0.5"), "network.myself: it must be a whole number"},
		{nodes(two, `"`+computation+`"`, `"0"`), "network.myself: it must be a whole number"},
		{nodes(two, `"`+computation+`"`, `false`), "network.myself: it must be a whole number"},
		{nodes(two, `"weft.*.>"`), "network.uuid: it must be a UUID"},
		{nodes(two, `"`+computation+` "`), "network.uuid: it must be a UUID"},
		{nodes(two, `"`+strings.Repeat("u", 10_000)+`"`), "network.uuid: it must be a UUID"},
		{nodes(two, `17`), "network.uuid: it must be a UUID"},
	}
}

func TestComputeRefuses(t *testing.T) {
	p := newParty(t, nil)
	compute := "/representation/" + p.member("compute")
	type row struct {
		body string
		code int
		part string
	}
	rows := []row{
		{`{}`, 400, "compute(microprotocol, data, network, parameters=None): the argument microprotocol is missing"},
		{kwargs("microprotocol", `"Add"`, "data", `[1]`), 400, "the argument network is missing"},
		{kwargs("microprotocol", `"Add"`, "network", network3), 400, "the argument data is missing"},
		{`{"args":["Add",[1]],"kwargs":{"data":[2],"network":` + network3 + `}}`, 400, "data was given by position and by name"},
		{`{"args":["Add",[1],` + network3 + `,null,5]}`, 400, "takes at most 4 arguments, 5 were given"},
		{kwargs("microprotocol", `"Add"`, "data", `[1]`, "network", network3, "secret", `1`), 400, `unknown argument \"secret\"`},
		{kwargs("microprotocol", `5`, "data", `[1]`, "network", network3), 400, "microprotocol: it must be a text"},
		{kwargs("microprotocol", `"Multiply"`, "data", `[1]`, "network", network3), 501, `microprotocol: \"Multiply\" is not available; GET /v1/microprotocols lists what is`},
		{kwargs("microprotocol", `"add"`, "data", `[1]`, "network", network3), 501, "it is spelled Add"},
		{kwargs("microprotocol", `"`+strings.Repeat("M", 10_000)+`"`, "data", `[1]`, "network", network3), 501, "MMM"},
		{kwargs("microprotocol", `"AddTwo"`, "data", `[1]`, "network", network3), 400, "network.nodes: AddTwo is for exactly 2 parties; 3 are named"},
		{kwargs("microprotocol", `"AddMany"`, "data", `[1]`, "network", `{"nodes":["alice","bob"],"uuid":"`+computation+`","myself":0}`), 400, "AddMany is for at least 3 parties; 2 are named"},
		{kwargs("microprotocol", `"AddMany"`, "data", `[1]`, "network", `{"nodes":["alice","bob","carol","party-03","party-04"],"uuid":"`+computation+`","myself":0}`), 400, "at most 4 parties; 5 are named"},
		{kwargs("microprotocol", `"Add"`, "data", `[1]`, "network", `{"nodes":["alice","bob"],"myself":0}`), 400, "network.uuid: it is missing"},
		{kwargs("microprotocol", `"Add"`, "data", `[1]`, "network", network3, "parameters", `5`), 400, "parameters: it must be an object"},
		{kwargs("microprotocol", `"Add"`, "data", `[1]`, "network", network3, "parameters", `["x"]`), 400, "parameters: it must be an object"},
		{kwargs("microprotocol", `"Add"`, "data", `[1]`, "network", network3, "parameters", `{"bad":1}`), 400, "parameters.bad: unknown"},
		{kwargs("microprotocol", `"Add"`, "data", `["`+secretValue+`",{}]`, "network", network3), 400, "data[3]: a number was expected"},
		{kwargs("microprotocol", `"Add"`, "data", `[`+secretValue+`,NaN]`, "network", network3), 400, "NaN is no number in JSON"},
		{kwargs("microprotocol", `"Add"`, "data", `[`+secretValue+`,666]`, "network", network3), 500, "its log says what"},
		{kwargs("microprotocol", `"Add"`, "data", `[`+secretValue+`,667]`, "network", network3), 500, "its log says what"},
	}
	for _, bad := range badNetworks() {
		rows = append(rows, row{kwargs("microprotocol", `"Add"`, "data", `[`+secretValue+`]`, "network", bad[0]), 400, bad[1]})
	}
	for _, tt := range rows {
		a := p.do("PATCH", compute, tt.body)
		p.want(a, tt.code, tt.part)
		if strings.Contains(a.body, secretValue) || strings.Contains(a.body, "s3cret") || len(a.body) > 3000 {
			t.Errorf("the answer repeats what was sent: %.300s", a.body)
		}
	}
	if n := p.count(); n != 0 {
		t.Errorf("%d records were stored", n)
	}
	if log := p.log.String(); strings.Contains(log, secretValue) || !strings.Contains(log, "a request met a defect") || !strings.Contains(log, "preparing the input of Add: *errors.errorString") {
		t.Errorf("log: %s", log)
	}
}

func TestComputeAcceptsWhatClientsSend(t *testing.T) {
	p := newParty(t, nil)
	compute := "/representation/" + p.member("compute")
	nodes := func(list, myself string) string {
		return `{"nodes":` + list + `,"uuid":"` + strings.ToUpper(computation) + `","myself":` + myself + `,"more":1}`
	}
	for _, body := range []string{
		`{"args":["Add",[1],` + nodes(`["alice","bob"]`, "0") + `]}`,
		`{"args":["Add",[1]],"kwargs":{"network":` + nodes(`["http://LOCALHOST:55501/","bob"]`, "0.0") + `,"parameters":null}}`,
		kwargs("microprotocol", `"Add"`, "data", `[1]`, "network", nodes(`["bob","http://token:x@127.0.0.1:55501"]`, "1"), "parameters", `{}`),
		kwargs("microprotocol", `"Add"`, "data", `[1]`, "network", nodes(`["bob","https://alice.example:443/weft"]`, "1.0e0"), "parameters", `[]`),
	} {
		id := p.uuid("PATCH", compute, body)
		j, err := p.jobs.Get(t.Context(), uuid.MustParse(id))
		if err != nil || j.UUID.String() != computation || string(j.Parameters) != noParameters {
			t.Errorf("%s: %v, %v", body, j, err)
		}
		if j.Parties[j.Self] != "alice" {
			t.Errorf("%s: self is %d of %v", body, j.Self, j.Parties)
		}
	}
}

func (p *party) task(id, member, body string) answer {
	p.t.Helper()
	return p.do("PATCH", "/representation/"+p.uuid("GET", "/representation/"+id+"/"+member, "{}"), body)
}

func TestTaskFromInvitationToResult(t *testing.T) {
	p := newParty(t, nil)
	const taskID = "6ba7b810-9dad-41d1-80b4-00c04fd430c8"
	id := p.uuid("PATCH", "/representation/"+p.member("create_task"), kwargs("microprotocol", `"Add"`, "network", `{"nodes":["alice","bob"],"myself":0}`,
		"parameters", `{"digits":3,"limit_ms":60000,"round_ms":1500}`, "task_id", `"`+taskID+`"`, "parent", `{"x":1}`))
	invited := p.task(id, "invite", "{}")
	p.want(invited, 200, "uuid")
	var rep struct{ UUID string }
	_ = json.Unmarshal([]byte(invited.body), &rep)
	invitation := p.do("GET", "/representation/"+rep.UUID, "{}")
	p.want(invitation, 200, `"object":{"task_id":"`+taskID+`","microprotocol":"Add","invitation_id":"`)
	p.want(invitation, 200, `"parameters":{"digits":3,"limit_ms":60000,"round_ms":1500},"parent":{"x":1}}}`)

	p.want(p.task(id, "result", "{}"), 200, `{"type":"none"}`)
	p.want(p.task(id, "progress", "{}"), 200, `{"type":"none"}`)
	p.want(p.task(id, "input", `{"args":[[1,2.0]]}`), 200, `{"type":"none"}`)
	p.want(p.task(id, "input", `{"kwargs":{"data":3}}`), 200, `{"type":"none"}`)
	p.want(p.task(id, "input", `{"args":[[]]}`), 200, `{"type":"none"}`)
	p.want(p.task(id, "input", `{}`), 400, "input(data): the argument data is missing")
	p.want(p.do("GET", "/representation/"+id, "{}"), 400, "no value") // the inputs stay inside
	p.want(p.do("GET", "/representation/"+id+"/items", "{}"), 404, "no attribute")
	if n := p.jobCount(); n != 0 {
		t.Errorf("%d jobs before start", n)
	}

	member := p.uuid("GET", "/representation/"+id+"/start", "{}")
	p.restart() // identifiers of members outlive it
	for range 2 {
		p.want(p.do("PATCH", "/representation/"+member, "{}"), 200, `{"type":"none"}`)
	}
	if n := p.jobCount(); n != 1 {
		t.Errorf("%d jobs after start", n)
	}
	list, _ := p.jobs.List(t.Context(), anyone)
	job := list[0]
	input, _ := p.jobs.Read(t.Context(), job.Input)
	if string(input) != "[1,2.0,3]" || job.UUID.String() != taskID || string(job.Parameters) != `{"digits":3,"limit_ms":60000,"round_ms":1500}` ||
		job.Round != 1500*time.Millisecond || job.Limit != time.Minute {
		t.Errorf("%v, input %s, parameters %s", job, input, job.Parameters)
	}
	record, _ := p.objects.Get(t.Context(), uuid.MustParse(id))
	if strings.Contains(string(record.Data), "items") {
		t.Errorf("the task still holds its data: %s", record.Data)
	}
	p.want(p.task(id, "input", `{"args":[4]}`), 409, "takes no more data")
	progress := p.task(id, "progress", "{}")
	p.want(progress, 200, "uuid")
	_ = json.Unmarshal([]byte(progress.body), &rep)
	p.want(p.do("GET", "/representation/"+rep.UUID, "{}"), 200, `"state":"submitted"`)
	p.want(p.task(id, "result", "{}"), 200, `{"type":"none"}`) // after a pause

	p.finish(job.ID.String(), `{"sum":6}`)
	result := p.task(id, "result", "{}")
	p.want(result, 200, job.ID.String())
	p.want(p.do("GET", "/representation/"+job.ID.String(), "{}"), 200, `"object":{"inputs":2,"result":{"sum":6}}`)
	p.want(p.do("GET", "/representation/"+rep.UUID, "{}"), 200, `"state":"done"`)

	// get_task finds the newest of that task_id.
	get := "/representation/" + p.member("get_task")
	p.want(p.do("PATCH", get, `{"args":["`+taskID+`"]}`), 200, id)
	joined := p.uuid("PATCH", "/representation/"+p.member("join_task"), kwargs("invitation", `{"representation_uuid":"`+idOf(t, invited)+`"}`, "network", `{"nodes":["alice","bob"],"myself":0}`))
	p.want(p.do("PATCH", get, kwargs("task_id", `"`+taskID+`"`)), 200, joined)
	p.want(p.do("PATCH", get, `{"args":["`+uuid.NewString()+`"]}`), 200, `{"type":"none"}`)
	p.want(p.do("PATCH", get, `{"args":["x"]}`), 400, "task_id: it must be a UUID")

	p.want(p.do("DELETE", "/representation/"+id, "{}"), 200, `{"type":"none"}`)
	p.want(p.do("PATCH", "/representation/"+member, "{}"), 404, "deleted")
	p.want(p.do("GET", "/representation/"+id+"/start", "{}"), 404, "no such representation")
	p.want(p.do("GET", "/representation/"+job.ID.String(), "{}"), 200, `"sum":6`)
}

func idOf(t *testing.T, a answer) string {
	t.Helper()
	var v struct{ UUID string }
	if err := json.Unmarshal([]byte(a.body), &v); err != nil || v.UUID == "" {
		t.Fatalf("%s is no representation", a.body)
	}
	return v.UUID
}

func (p *party) jobCount() int {
	p.t.Helper()
	list, err := p.jobs.List(p.t.Context(), "")
	if err != nil {
		p.t.Fatal(err)
	}
	return len(list)
}

func TestTasksRefuse(t *testing.T) {
	p := newParty(t, nil)
	create, join := "/representation/"+p.member("create_task"), "/representation/"+p.member("join_task")
	const net = `{"nodes":["alice","bob"],"myself":0}`
	for _, tt := range []struct {
		path, body string
		code       int
		part       string
	}{
		{create, kwargs("microprotocol", `"Multiply"`, "network", net), 501, "Multiply"},
		{create, kwargs("microprotocol", `"Add"`), 400, "create_task(microprotocol, network, parameters=None, task_id=None, parent=None): the argument network is missing"},
		{create, kwargs("microprotocol", `"Add"`, "network", net, "task_id", `"x"`), 400, "task_id: it must be a UUID"},
		{create, kwargs("microprotocol", `"Add"`, "network", net, "task_id", `">"`), 400, "task_id: it must be a UUID"},
		{create, kwargs("microprotocol", `"Add"`, "network", net, "parameters", `"x"`), 400, "parameters: it must be an object"},
		{create, kwargs("microprotocol", `"AddMany"`, "network", net), 400, "at least 3"},
		{join, kwargs("invitation", `"x"`, "network", net), 400, "invitation: it must be an object"},
		{join, kwargs("invitation", `{"task_id":"`+computation+`"}`, "network", net), 400, "microprotocol: it must be a text"},
		{join, kwargs("invitation", `{"microprotocol":"Add"}`, "network", net), 400, "invitation.task_id: it must be a UUID"},
	} {
		p.want(p.do("PATCH", tt.path, tt.body), tt.code, tt.part)
	}
	for _, bad := range badNetworks() {
		p.want(p.do("PATCH", create, kwargs("microprotocol", `"Add"`, "network", bad[0])), 400, bad[1])
	}
	if n := p.count(); n != 0 {
		t.Errorf("%d records were stored", n)
	}

	// Bad data show at start, and leave the task as it was.
	id := p.uuid("PATCH", create, kwargs("microprotocol", `"Add"`, "network", net))
	p.want(p.task(id, "input", `{"args":[{"x":`+secretValue+`}]}`), 200, "none")
	p.want(p.task(id, "start", "{}"), 400, "data[3]")
	p.want(p.task(id, "result", "{}"), 200, "none")
	if p.jobCount() != 0 {
		t.Error("a job with bad data")
	}
	// A failed task's result is its error.
	id = p.uuid("PATCH", create, kwargs("microprotocol", `"Add"`, "network", net))
	p.want(p.task(id, "start", "{}"), 200, "none")
	list, _ := p.jobs.List(t.Context(), anyone)
	p.move(list[0].ID.String(), func(j *jobs.Job) {
		j.Problem = &jobs.Problem{Code: 504, Reason: "not-joined", Message: "bob did not join"}
	}, jobs.Failed)
	p.want(p.task(id, "result", "{}"), 504, "bob did not join")
}

// TestStartAfterACrash has a task whose job was named, and perhaps submitted, before the process died.
func TestStartAfterACrash(t *testing.T) {
	p := newParty(t, nil)
	for _, submitted := range []bool{false, true} {
		id := p.uuid("PATCH", "/representation/"+p.member("create_task"), kwargs("microprotocol", `"Add"`, "network", `{"nodes":["alice","bob"],"myself":0}`))
		p.want(p.task(id, "input", `{"args":[[7]]}`), 200, "none")
		job := uuid.New()
		tk, err := p.gateway.changeTask(t.Context(), anyone, uuid.MustParse(id), func(t *task) error { t.Job = job; return nil })
		if err != nil {
			t.Fatal(err)
		}
		if submitted {
			q, err := p.gateway.taskRequest(anyone, tk)
			if err == nil {
				_, err = p.gateway.submit(t.Context(), q)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		p.restart()
		p.want(p.task(id, "input", `{"args":[8]}`), 409, "no more data")
		if !submitted { // nobody can tell whether it was submitted, cancelled and deleted
			p.want(p.task(id, "start", `{}`), 409, "create another task")
			continue
		}
		p.want(p.task(id, "start", `{}`), 200, "none")
		j, err := p.jobs.Get(t.Context(), job)
		if err != nil {
			t.Fatal(err)
		}
		if input, _ := p.jobs.Read(t.Context(), j.Input); string(input) != "[7]" {
			t.Errorf("input %s", input)
		}
		p.want(p.task(id, "progress", `{}`), 200, "uuid")
	}
	if n := p.jobCount(); n != 1 {
		t.Errorf("%d jobs", n)
	}
}

// TestStartAfterTheJobWasDeleted has a task that was not told of its job, which then was cancelled and deleted.
func TestStartAfterTheJobWasDeleted(t *testing.T) {
	p := newParty(t, nil)
	id := p.uuid("PATCH", "/representation/"+p.member("create_task"), kwargs("microprotocol", `"Add"`, "network", `{"nodes":["alice","bob"],"myself":0}`))
	p.want(p.task(id, "start", `{}`), 200, "none")
	tk, err := p.gateway.changeTask(t.Context(), anyone, uuid.MustParse(id), func(t *task) error { t.Submitted, t.Named = false, time.Time{}; return nil }) // long ago
	if err != nil {
		t.Fatal(err)
	}
	p.move(tk.Job.String(), nil, jobs.Cancelled)
	p.want(p.do("DELETE", "/v1/jobs/"+tk.Job.String(), ""), 204, "")
	p.want(p.task(id, "start", `{}`), 409, "it was deleted, has expired")
	if n := p.jobCount(); n != 0 {
		t.Errorf("%d jobs", n)
	}
}

// TestStartAgainAfterARefusal has a job store that is full at first.
func TestStartAgainAfterARefusal(t *testing.T) {
	p := newParty(t, nil)
	id := p.uuid("PATCH", "/representation/"+p.member("create_task"), kwargs("microprotocol", `"Add"`, "network", `{"nodes":["alice","bob"],"myself":0}`))
	p.compute()
	full, err := jobs.Open(t.Context(), p.broker.Conn, jobs.Options{Limits: jobs.Limits{Jobs: 1}})
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	roomy := p.gateway.config.Jobs
	p.gateway.config.Jobs = full
	p.want(p.task(id, "start", `{}`), 429, "too many jobs")
	p.want(p.task(id, "input", `{"args":[5]}`), 200, "none")
	p.gateway.config.Jobs = roomy
	p.want(p.task(id, "start", `{}`), 200, "none")
	if n := p.jobCount(); n != 2 {
		t.Errorf("%d jobs", n)
	}
}

// TestParallelInputsAllCount has eight clients feed one task.
func TestParallelInputsAllCount(t *testing.T) {
	p := newParty(t, nil)
	id := p.uuid("PATCH", "/representation/"+p.member("create_task"), kwargs("microprotocol", `"Add"`, "network", `{"nodes":["alice","bob"],"myself":0}`))
	member := "/representation/" + p.uuid("GET", "/representation/"+id+"/input", "{}")
	done := make(chan answer)
	for i := range 8 {
		go func() {
			a, _ := p.try(t.Context(), "PATCH", member, fmt.Sprintf(`{"args":[%d]}`, i))
			done <- a
		}()
	}
	for range 8 {
		p.want(<-done, 200, "none")
	}
	tk, _, err := p.gateway.loadTask(t.Context(), anyone, uuid.MustParse(id))
	var items []int
	if err == nil {
		err = json.Unmarshal(tk.Items, &items)
	}
	if err != nil || len(items) != 8 {
		t.Errorf("%d items, %v", len(items), err)
	}
}
