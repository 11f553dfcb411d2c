package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/jobs"
	"github.com/weftmpc/weft/jobs/objects"
)

func TestRootsAndMembers(t *testing.T) {
	p := newParty(t, nil)
	a := p.do("GET", "/representations", "{}")
	if want := `{"type":"list","list":[` +
		`{"namespace":"federatedsecure","plugin":"Sync","version":"0.6.0","microservice":"Barrier"},` +
		`{"namespace":"federatedsecure","plugin":"Sync","version":"0.6.0","microservice":"Broadcast"},` +
		`{"namespace":"federatedsecure","plugin":"Util","version":"0.6.0","microservice":"KeyValueStorage"},` +
		`{"namespace":"federatedsecure","protocol":"Simon","version":"0.6.0"}]}`; a.code != 200 || a.body != want {
		t.Errorf("%d %s", a.code, a.body)
	}
	root := p.uuid("POST", "/representations", `{"args":[],"kwargs":{"protocol":"SIMON"}}`)
	const simon = `{"kwargs":{"namespace":"federatedsecure","protocol":"Simon"}}`
	barrier := p.uuid("POST", "/representations", `{"kwargs":{"microservice":"barrier"}}`)
	for body, want := range map[string]string{
		`{}`: barrier, `{"args":null,"kwargs":null}`: barrier, `{"args":[],"kwargs":[]}`: barrier, `{"kwargs":{"namespace":"federatedsecure","version":"0.6.0"}}`: barrier,
		`{"kwargs":{"plugin":"SYNC"}}`: barrier, `{"kwargs":{"protocol":"Simon"}}`: root, simon: root,
	} {
		if again := p.uuid("POST", "/representations", body); again != want {
			t.Errorf("%s: %s, at first %s", body, again, want)
		}
	}
	if len(map[string]bool{barrier: true, root: true, p.uuid("POST", "/representations", `{"kwargs":{"microservice":"Broadcast"}}`): true, p.uuid("POST", "/representations", `{"kwargs":{"plugin":"Util"}}`): true}) != 4 {
		t.Error("two objects have one representation")
	}
	members := map[string]string{}
	for _, name := range []string{"compute", "create_task", "join_task", "get_task"} {
		members[name] = p.uuid("GET", "/representation/"+root+"/"+name, "")
	}
	p.restart()
	if again := p.uuid("POST", "/representations", simon); again != root {
		t.Errorf("after a restart %s, before %s", again, root)
	}
	for name, id := range members {
		if again := p.uuid("GET", "/representation/"+strings.ToUpper(root)+"/"+name, `{"ignore":"R compatibility issues"}`); again != id {
			t.Errorf("%s after a restart %s, before %s", name, again, id)
		}
		p.want(p.do("DELETE", "/representation/"+id, `{}`), 200, `{"type":"none"}`)
		p.want(p.do("GET", "/representation/"+id, `{}`), 400, `"code":400`)
		p.want(p.do("PATCH", "/representation/"+id, `{}`), 400, name+"(")
	}
	// A client that joins a base URL with a slash and a path.
	if again := p.uuid("POST", "//representations", simon); again != root {
		t.Errorf("with two slashes %s", again)
	}
	if p.count() != 0 {
		t.Error("something was stored")
	}
}

func TestErrorsOfTheRepresentationAPI(t *testing.T) {
	p := newParty(t, func(c *Config) { c.MaxBody = 5000 })
	root := p.uuid("POST", "/representations", `{"kwargs":{"protocol":"Simon"}}`)
	value := p.uuid("PUT", "/representations", `{"args":[[1]],"kwargs":{}}`)
	unknown := uuid.NewString()
	before := p.count()
	for _, tt := range []struct {
		method, path, body, header string
		code                       int
		part                       string
	}{
		{"GET", "/", "", "", 404, "openapi.yaml"},
		{"GET", "/representation", "", "", 404, "nothing at this path"},
		{"GET", "/representations/", "", "", 404, "nothing at this path"},
		{"GET", "/representation/" + root + "/compute/more", "", "", 404, "nothing at this path"},
		{"GET", "/representation/../representations", "", "", 404, "nothing at a path"},
		{"PATCH", "/representations", "{}", "", 405, "GET, POST, PUT"},
		{"POST", "/representation/" + root, "{}", "", 405, "DELETE, GET, PATCH"},
		{"BREW", "/representations", "{}", "", 405, "BREW"},
		{"GET", "/representation/" + unknown, "", "", 404, "no such representation"},
		{"GET", "/representation/" + unknown + "/compute", "", "", 404, "no such representation"},
		{"GET", "/representation/8a3a5ac0-1ad0-8d6c-9d1e-0d7d3f0f5b3c", "", "", 404, "no such representation"},
		{"GET", "/representation/x", "", "", 404, "not a UUID"},
		{"GET", "/representation/{" + root + "}", "", "", 404, "not a UUID"},
		{"PATCH", "/representation/" + unknown, "{}", "", 404, "no such representation"},
		{"DELETE", "/representation/" + unknown, "{}", "", 404, "no such representation"},
		{"GET", "/representation/" + root + "/_private", "", "", 403, "underscore"},
		{"GET", "/representation/" + unknown + "/__init__", "", "", 403, "underscore"},
		{"GET", "/representation/x/_", "", "", 403, "underscore"},
		{"GET", "/representation/" + root + "/shutdown", "", "", 404, `no attribute \"shutdown\"`},
		{"GET", "/representation/" + root + "/" + strings.Repeat("x", 3000), "", "", 404, `xxx\"…`},
		{"GET", "/representation/" + value + "/append", "", "", 404, "no attribute"},
		{"PATCH", "/representation/" + value, "{}", "", 400, "no function"},
		{"PATCH", "/representation/" + root, "{}", "", 400, "no function"},
		{"GET", "/representation/" + root, "", "", 400, "no value"},
		{"POST", "/representations", `{"kwargs":{"protocol":"Sync"}}`, "", 404, "meets these requirements"},
		{"POST", "/representations", `{"kwargs":{"Protocol":"Simon"}}`, "", 404, "meets these requirements"},
		{"POST", "/representations", `{"kwargs":{"protocol":1}}`, "", 404, "meets these requirements"},
		{"POST", "/representations", ``, "", 400, "empty"},
		{"POST", "/representations", `[]`, "", 400, "must be a JSON object"},
		{"POST", "/representations", `null`, "", 400, "must be a JSON object"},
		{"POST", "/representations", `{"kwargs":{`, "", 400, "key in quotes"},
		{"POST", "/representations", `{"kwargs":{"a":1,"a":2}}`, "", 400, "same key twice"},
		{"POST", "/representations", `{} {}`, "", 400, "follows"},
		{"POST", "/representations", `{"args":5}`, "", 400, "args must be a list"},
		{"PUT", "/representations", `{"args":[[NaN]]}`, "", 400, "NaN is no number"},
		{"PUT", "/representations", `{"args":[-Infinity]}`, "", 400, "-Infinity is no number"},
		{"PUT", "/representations", `{"args":[]}`, "", 400, "one positional argument"},
		{"PUT", "/representations", `{"args":[1,2]}`, "", 400, "one positional argument"},
		{"PUT", "/representations", `{"kwargs":{"value":1}}`, "", 400, "one positional argument"},
		{"PUT", "/representations", `{"args":["` + strings.Repeat("x", 5000) + `"]}`, "", 413, "5000 bytes"},
		{"PUT", "/representations", `{"args":[1]}`, "Content-Type: text/plain", 415, "application/json"},
		{"PUT", "/representations", `{"args":[1]}`, "Content-Type: application/x-www-form-urlencoded", 415, "application/json"},
		{"GET", "/representations", strings.Repeat("x", 70_000), "", 413, "larger"},
	} {
		a := p.do(tt.method, tt.path, tt.body, tt.header)
		p.want(a, tt.code, tt.part)
		var e struct {
			Code       int
			Message    string
			Stacktrace any
		}
		if err := json.Unmarshal([]byte(a.body), &e); err != nil || e.Code != tt.code || e.Message == "" || len(a.body) > 600 {
			t.Errorf("%s %s: %s", tt.method, tt.path, a.body)
		}
		if ct := a.header.Get("Content-Type"); ct != "application/json" {
			t.Errorf("%s %s: content type %s", tt.method, tt.path, ct)
		}
	}
	if n := p.count(); n != before {
		t.Errorf("%d records more", n-before)
	}
	if a := p.do("PATCH", "/representations", "{}"); a.header.Get("Allow") != "GET, POST, PUT, OPTIONS" {
		t.Errorf("Allow: %s", a.header.Get("Allow"))
	}
}

func TestUploadAndDownload(t *testing.T) {
	p := newParty(t, nil)
	for _, value := range []string{`0`, `false`, `null`, `""`, `[1.50,1e400,12345678901234567890123]`, `{"b":1,"a":{"x":"é\u00e9"}}`, `"` + strings.Repeat("x", 200_000) + `"`} {
		id := p.uuid("PUT", "/representations", `{"args":[`+value+`],"kwargs":{}}`)
		if a := p.do("GET", "/representation/"+id, "{}"); a.code != 200 || a.body != `{"type":"object","object":`+value+`}` {
			t.Errorf("%.80s: %d %.200s", value, a.code, a.body)
		}
		p.want(p.do("DELETE", "/representation/"+id, ""), 200, `{"type":"none"}`)
		p.want(p.do("GET", "/representation/"+id, ""), 404, "no such representation")
		p.want(p.do("DELETE", "/representation/"+id, ""), 404, "no such representation")
	}
	// Without a content type, which some clients leave out.
	p.want(p.do("PUT", "/representations", `{"args":[1]}`, "Content-Type: "), 200, `"uuid"`)
	id := p.uuid("PUT", "/representations", `{"args":[[1,2]],"kwargs":{}}`)
	p.restart()
	p.want(p.do("GET", "/representation/"+id, ""), 200, "[1,2]")
}

func TestComputeWaitsForTheResult(t *testing.T) {
	p := newParty(t, nil)
	id := p.compute()
	j, err := p.jobs.Get(t.Context(), uuid.MustParse(id))
	if err != nil {
		t.Fatal(err)
	}
	input, _ := p.jobs.Read(t.Context(), j.Input)
	if j.Microprotocol != "Add" || j.Version != 3 || j.UUID.String() != computation || fmt.Sprint(j.Parties) != "[alice bob carol]" || j.Self != 0 ||
		j.State != jobs.Submitted || j.Attempts != 5 || j.Layout != [32]byte{7} || j.Round != 20*time.Second || j.Limit != 2*time.Minute || string(j.Parameters) != noParameters ||
		string(input) != "[1,2.50]" || j.Deadline.Sub(j.Created) != 5*time.Minute || j.Caller != anyone {
		t.Errorf("%v: %+v", j, struct{ a, b any }{j.Parties, j.Deadline})
	}

	p.want(p.do("GET", "/representation/"+id, "{}", "Prefer: respond-async"), 202, `"state":"submitted"`)
	p.move(id, func(j *jobs.Job) { j.Waiting = []string{"bob", "carol"} }, jobs.Waiting)
	a := p.do("GET", "/representation/"+id, "{}", "Prefer: foo, respond-async")
	p.want(a, 202, `"detail":"waiting for bob and carol until `)
	if a.header.Get("Preference-Applied") != "respond-async" {
		t.Error("Preference-Applied is missing")
	}
	p.want(p.do("GET", "/representation/"+id, "{}", "Prefer: wait=0"), 504, "waiting for bob and carol until ")

	got := make(chan answer, 3)
	for range cap(got) {
		go func() { got <- p.do("GET", "/representation/"+id, "{}") }()
	}
	body, _ := p.jobs.Put(t.Context(), []byte(`{"samples":3,"sum":85}`))
	p.move(id, func(j *jobs.Job) { j.Result = body }, jobs.Started, jobs.Committed, jobs.Done)
	for range cap(got) {
		if a := <-got; a.code != 200 || a.body != `{"type":"object","object":{"inputs":3,"result":{"samples":3,"sum":85}}}` {
			t.Errorf("%d %s", a.code, a.body)
		}
	}
	// Once more, at once; then it is released.
	p.restart()
	p.want(p.do("GET", "/representation/"+id, "", "Prefer: respond-async"), 200, `"sum":85`)
	p.want(p.do("GET", "/representation/"+id+"/sum", ""), 404, "no attribute")
	p.want(p.do("PATCH", "/representation/"+id, "{}"), 400, "no function")
	p.want(p.do("DELETE", "/representation/"+id, ""), 200, "none")
	p.want(p.do("GET", "/representation/"+id, ""), 404, "no such representation")
}

func TestDownloadOfAJobWithoutResult(t *testing.T) {
	p := newParty(t, nil)
	for _, tt := range []struct {
		problem *jobs.Problem
		to      []jobs.State
		code    int
		part    string
	}{
		{&jobs.Problem{Code: 504, Reason: "not-joined", Message: "carol did not join"}, []jobs.State{jobs.Waiting, jobs.Failed}, 504, "carol did not join"},
		{&jobs.Problem{Code: 409, Reason: "conflict", Message: "bob sent another list"}, []jobs.State{jobs.Waiting, jobs.Failed}, 409, "bob sent another list"},
		{&jobs.Problem{Code: 200, Reason: "odd"}, []jobs.State{jobs.Failed}, 500, "odd"},
		{nil, []jobs.State{jobs.Failed}, 500, "failed"},
		{nil, []jobs.State{jobs.Cancelled}, 409, "cancelled"},
	} {
		id := p.compute()
		p.move(id, func(j *jobs.Job) { j.Problem = tt.problem }, tt.to...)
		p.want(p.do("GET", "/representation/"+id, "{}"), tt.code, tt.part)
		p.want(p.do("GET", "/representation/"+id, "{}", "Prefer: respond-async"), tt.code, tt.part)
		p.want(p.do("GET", "/v1/jobs/"+id+"/result", ""), tt.code, tt.part)
		p.want(p.do("GET", "/v1/jobs/"+id, ""), 200, fmt.Sprintf(`"error":{"code":%d`, tt.code))
	}
}

func TestReleaseDoesNotTouchARunningJob(t *testing.T) {
	p := newParty(t, nil)
	id := p.compute()
	for _, to := range []jobs.State{jobs.Waiting, jobs.Started, jobs.Committed} {
		p.want(p.do("DELETE", "/representation/"+id, "{}"), 200, "none")
		if j := p.move(id, nil, to); j.CancelRequested {
			t.Errorf("%s: cancelled by a release", to)
		}
	}
	p.want(p.do("DELETE", "/representation/"+id, "{}"), 200, "none")
	p.want(p.do("GET", "/representation/"+id, "{}", "Prefer: respond-async"), 202, `"running"`)
}

func TestWaitEndsWithTheClientAndWithTime(t *testing.T) {
	p := newParty(t, func(c *Config) { c.Wait = 50 * time.Millisecond })
	id := p.compute()
	p.want(p.do("GET", "/representation/"+id, "{}"), 504, "not taken it up yet; the job goes on")

	p = newParty(t, nil)
	id = p.compute()
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error)
	go func() {
		_, err := p.try(ctx, "GET", "/representation/"+id, "{}")
		gone <- err
	}()
	cancel()
	if err := <-gone; err == nil {
		t.Error("the request was answered")
	}
	p.server.Close() // returns only when no request is left
}

// TestWaitOutlastsTheServersTimeouts has a server that gives every request a tenth of a second.
func TestWaitOutlastsTheServersTimeouts(t *testing.T) {
	p := newParty(t, nil)
	p.server.Close()
	p.server = newServer(p, func(s *http.Server) { s.ReadTimeout, s.WriteTimeout = 100*time.Millisecond, 100*time.Millisecond })
	// On a connection that was used before, the transport would send a GET again that got no answer.
	p.server.Client().Transport.(*http.Transport).DisableKeepAlives = true
	id := p.compute()
	got := make(chan answer, 1)
	go func() {
		a, err := p.try(t.Context(), "GET", "/representation/"+id, "{}")
		if err != nil {
			a.body = err.Error()
		}
		got <- a
	}()
	select {
	case a := <-got:
		t.Fatalf("answered before the result: %d %s", a.code, a.body)
	case <-time.After(400 * time.Millisecond):
	}
	p.finish(id, `{"sum":1}`)
	p.want(<-got, 200, `"sum":1`)
}

func TestSubstitution(t *testing.T) {
	p := newParty(t, nil)
	stands := func(id string) string { return `{"representation_uuid":"` + id + `"}` }
	upload := func(value string) string { return p.uuid("PUT", "/representations", `{"args":[`+value+`]}`) }
	compute := "/representation/" + p.member("compute")
	inputOf := func(id string) string {
		j, err := p.jobs.Get(t.Context(), uuid.MustParse(id))
		if err != nil {
			t.Fatal(err)
		}
		b, _ := p.jobs.Read(t.Context(), j.Input)
		return string(b)
	}
	data := upload(`[4,5.0]`)
	chain := upload(stands(upload(stands(upload(`[4,5.0]`)))))
	for _, id := range []string{data, chain} {
		job := p.uuid("PATCH", compute, kwargs("microprotocol", stands(upload(`"Add"`)), "data", stands(id), "network", stands(upload(network3))))
		if got := inputOf(job); got != "[4,5.0]" {
			t.Errorf("input %s", got)
		}
		// Releasing it afterwards changes nothing.
		p.do("DELETE", "/representation/"+id, "")
		if got := inputOf(job); got != "[4,5.0]" {
			t.Errorf("input %s", got)
		}
	}
	data = upload(`[4,5.0]`)
	job := p.compute()
	before := p.count()
	for _, tt := range []struct {
		data string
		code int
		part string
	}{
		{stands(uuid.NewString()), 400, "data[3]: a number was expected"}, // stays an object, which Add does not take
		{`[` + stands(data) + `]`, 400, "data[3]"},
		{stands(p.member("compute")), 400, "data: this representation stands for a service"},
		{stands(job), 409, "data: the computation it stands for has not ended"},
		{`{"representation_uuid":5}`, 400, "data[3]"},
	} {
		p.want(p.do("PATCH", compute, kwargs("microprotocol", `"Add"`, "data", tt.data, "network", network3)), tt.code, tt.part)
	}
	// Positional arguments stay as they are.
	p.want(p.do("PATCH", compute, `{"args":["Add",`+stands(data)+`,`+network3+`]}`), 400, "data[3]")
	if n := p.count(); n != before {
		t.Errorf("%d records more", n-before)
	}
	loop := upload(`1`)
	r, err := p.objects.Get(t.Context(), uuid.MustParse(loop))
	if err != nil {
		t.Fatal(err)
	}
	r.Data = []byte(stands(loop))
	if _, err := p.objects.Update(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	p.want(p.do("PATCH", compute, kwargs("microprotocol", `"Add"`, "data", stands(loop), "network", network3)), 400, "circle")
}

// TestObjectsOfOthersAreUnknown has records of another caller, as they will be once there is access control.
func TestObjectsOfOthersAreUnknown(t *testing.T) {
	p := newParty(t, nil)
	j, err := p.gateway.submit(t.Context(), request{
		id: uuid.New(), caller: "somebody else", microprotocol: p.gateway.microprotocol["Add"], parties: []string{"alice", "bob"},
		uuid: uuid.New(), deadline: time.Minute, data: []byte(`[1]`),
	})
	if err != nil {
		t.Fatal(err)
	}
	value, err := p.objects.Put(t.Context(), objects.Record{ID: uuid.New(), Caller: "somebody else", Kind: objects.Value, Data: []byte(`1`)})
	if err != nil {
		t.Fatal(err)
	}
	task, err := p.gateway.storeTask(t.Context(), "somebody else", task{Microprotocol: "Add", Parties: []string{"alice", "bob"}})
	if err != nil {
		t.Fatal(err)
	}
	start := p.gateway.handles.partOf("somebody else", objects.Task, task, "start")
	for _, id := range []uuid.UUID{j.ID, value.ID, task} {
		for _, method := range []string{"GET", "PATCH", "DELETE"} {
			p.want(p.do(method, "/representation/"+id.String(), "{}"), 404, "no such representation")
		}
	}
	p.want(p.do("GET", "/representation/"+task.String()+"/start", "{}"), 404, "no such representation")
	p.want(p.do("PATCH", "/representation/"+start.String(), "{}"), 404, "deleted")
	for method, path := range map[string]string{"GET": "", "DELETE": "", "POST": "/cancel"} {
		p.want(p.do(method, "/v1/jobs/"+j.ID.String()+path, ""), 404, "no such job")
	}
	p.want(p.do("GET", "/v1/jobs", ""), 200, `{"jobs":[],"more":false}`)
}
