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

func (p *party) post(body string) jobView {
	p.t.Helper()
	a := p.do("POST", "/v1/jobs", body)
	p.want(a, 202, `"state":"submitted"`)
	v := p.view(a)
	if a.header.Get("Location") != "/v1/jobs/"+v.ID.String() {
		p.t.Errorf("Location %s", a.header.Get("Location"))
	}
	return v
}

func (p *party) view(a answer) jobView {
	p.t.Helper()
	var v jobView
	d := json.NewDecoder(strings.NewReader(a.body))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		p.t.Fatalf("%s: %v", a.body, err)
	}
	return v
}

func TestJobFromSubmissionToDeletion(t *testing.T) {
	p := newParty(t, nil)
	v := p.post(`{"microprotocol":"Add","data":[1.0],"parties":["alice","http://127.0.0.1:55502/","carol"],"uuid":"` + computation + `","deadline":"10m","parameters":{"a":1}}`)
	if v.UUID.String() != computation || fmt.Sprint(v.Parties) != "[alice bob carol]" || v.Deadline.Sub(v.Created) != 10*time.Minute || v.Attempts != 5 {
		t.Errorf("%+v", v)
	}
	path := "/v1/jobs/" + v.ID.String()
	p.want(p.do("GET", path, ""), 200, `"waiting":[]`)
	p.want(p.do("GET", path+"?wait=10ms", ""), 200, `"submitted"`)

	// A long poll returns with the next change.
	changed := make(chan answer)
	go func() { changed <- p.do("GET", fmt.Sprintf("%s?wait=30s&revision=%d", path, v.Revision), "") }()
	p.move(v.ID.String(), func(j *jobs.Job) { j.Waiting, j.Attempt = []string{"carol"}, 1 }, jobs.Waiting)
	a := <-changed
	p.want(a, 200, `"detail":"waiting for carol until `)
	p.want(a, 200, `"waiting":["carol"],"attempt":1,`)
	ended := make(chan answer)
	go func() { ended <- p.do("GET", path+"?wait=30", "") }()
	go func() { ended <- p.do("GET", path+"/result", "") }()
	p.move(v.ID.String(), func(j *jobs.Job) { j.Waiting = nil }, jobs.Started)
	p.want(p.do("GET", path, ""), 200, `"state":"running","detail":"computing"`)
	p.want(p.do("GET", path+"/result", "", "Prefer: respond-async"), 202, `"state":"running"`)
	p.want(p.do("GET", path+"/result", "", "Prefer: wait=0"), 504, "no result yet: computing; the job goes on")
	p.move(v.ID.String(), func(j *jobs.Job) { j.Waiting = []string{"carol"} }, jobs.Committed)
	p.want(p.do("GET", path, ""), 200, `"state":"running","detail":"computed; waiting for carol's confirmation until `+v.Deadline.Add(2*time.Minute).Format("15:04")+` UTC"`)
	p.want(p.do("POST", path+"/cancel", ""), 409, "confirmations")
	p.want(p.do("DELETE", path, ""), 409, "confirmations")
	result, _ := p.jobs.Put(t.Context(), []byte(`{"sum":85.50}`))
	p.move(v.ID.String(), func(j *jobs.Job) { j.Result = result }, jobs.Done)
	for range 2 {
		p.want(<-ended, 200, `{"sum":85.50}`)
	}
	p.want(p.do("GET", path, ""), 200, `"result":{"sum":85.50}`)
	if a := p.do("GET", path+"/result", ""); a.body != `{"sum":85.50}` {
		t.Error(a.body)
	}
	p.want(p.do("POST", path+"/cancel", "{}"), 200, `"state":"done"`)
	p.want(p.do("GET", "/v1/jobs", ""), 200, path[len("/v1/jobs/"):])
	if a := p.do("GET", "/v1/jobs", ""); strings.Contains(a.body, "85.50") {
		t.Error("the list of jobs has results")
	}
	if a := p.do("DELETE", path, ""); a.code != 204 || a.body != "" {
		t.Errorf("%d %s", a.code, a.body)
	}
	p.want(p.do("GET", path, ""), 404, "no such job")
	p.want(p.do("GET", path+"/result", ""), 404, "no such job")
	p.want(p.do("DELETE", path, ""), 404, "no such job")
}

func TestLargeResultComesByItsOwnPath(t *testing.T) {
	p := newParty(t, nil)
	v := p.post(`{"microprotocol":"Add","data":[1],"parties":["alice","bob"]}`)
	if v.UUID == uuid.Nil || v.UUID == v.ID {
		t.Errorf("computation %s, job %s", v.UUID, v.ID)
	}
	large := `{"list":"` + strings.Repeat("x", 200_000) + `"}`
	p.finish(v.ID.String(), large)
	if got := p.view(p.do("GET", "/v1/jobs/"+v.ID.String(), "")); got.State != "done" || got.Result != nil {
		t.Errorf("%s with %d bytes of result", got.State, len(got.Result))
	}
	if a := p.do("GET", "/v1/jobs/"+v.ID.String()+"/result", ""); a.body != large {
		t.Errorf("%d bytes", len(a.body))
	}
}

func TestCancelAndDeleteARunningJob(t *testing.T) {
	p := newParty(t, nil)
	v := p.post(`{"microprotocol":"Add","data":[1],"parties":["alice","bob"]}`)
	path := "/v1/jobs/" + v.ID.String()
	p.want(p.do("POST", path+"/cancel", ""), 202, "cancellation asked for")
	p.move(v.ID.String(), nil, jobs.Waiting)
	gone := make(chan answer)
	go func() { gone <- p.do("DELETE", path, "") }()
	p.move(v.ID.String(), nil, jobs.Cancelled)
	if a := <-gone; a.code != 204 {
		t.Errorf("%d %s", a.code, a.body)
	}
	if p.count() != 0 {
		t.Error("the job is still there")
	}
}

func TestPostJobRefuses(t *testing.T) {
	p := newParty(t, nil)
	const rest = `,"microprotocol":"Add","data":[1],"parties":["alice","bob"]}`
	type row struct {
		body string
		code int
		part string
	}
	rows := []row{
		{``, 400, "empty"},
		{`[]`, 400, "must be a JSON object"},
		{`{}`, 400, `"field":"microprotocol"`},
		{`{"microprotocol":"Add","parties":["alice","bob"]}`, 400, "data: it is missing; a job has microprotocol, data or file, param"},
		{`{"microprotocol":"Add","data":[1]}`, 400, "parties: it is missing"},
		{`{"dataset":1` + rest, 400, `unknown field \"dataset\"; a job has`},
		{`{"data":1` + rest, 400, "same key twice"},
		{`{"uuid":"*"` + rest, 400, "uuid: it must be a UUID"},
		{`{"uuid":"` + strings.Repeat(">", 10_000) + `"` + rest, 400, "uuid: it must be a UUID"},
		{`{"deadline":"soon"` + rest, 400, "deadline: it must be a duration"},
		{`{"deadline":0` + rest, 400, "deadline: it must be a duration"},
		{`{"deadline":3601` + rest, 400, "deadline: it must be a duration"},
		{`{"deadline":"-5m"` + rest, 400, "deadline: it must be a duration"},
		{`{"deadline":1e999999999` + rest, 400, "deadline: it must be a duration"},
		{`{"deadline":true` + rest, 400, "deadline: it must be a duration"},
		{`{"parameters":3` + rest, 400, "parameters: it must be an object"},
		{`{"parameters":{"bad":3}` + rest, 400, `"field":"parameters.bad"`},
		{`{"microprotocol":"Multiply","data":[1],"parties":["alice","bob"]}`, 501, `"reason":"unknown-microprotocol"`},
		{`{"microprotocol":"AddTwo","data":[1],"parties":["alice","bob","carol"]}`, 400, "parties: AddTwo is for exactly 2"},
		{`{"microprotocol":"Add","data":[` + secretValue + `,{}],"parties":["alice","bob"]}`, 400, `"field":"data[3]"`},
		{`{"microprotocol":"Add","data":[1],"parties":["bob","carol"]}`, 400, "parties: it does not name alice"},
		{`{"microprotocol":"Add","data":[1],"parties":["alice"]}`, 400, "parties: it names one node"},
		{`{"microprotocol":"Add","data":[1],"parties":["alice","dave"]}`, 400, `"field":"parties[1]"`},
		{`{"microprotocol":"Add","data":[1],"parties":["alice","alice"]}`, 400, "parties[1]: it names alice, as parties[0] does"},
	}
	for _, tt := range rows {
		a := p.do("POST", "/v1/jobs", tt.body)
		p.want(a, tt.code, tt.part)
		var problem problemDetails
		if err := json.Unmarshal([]byte(a.body), &problem); err != nil || problem.Status != tt.code || problem.Type != "/problems/"+typeName(problem.Reason) || problem.Title != typesByName[typeName(problem.Reason)].title {
			t.Errorf("%s", a.body)
		}
		if a.header.Get("Content-Type") != "application/problem+json" || strings.Contains(a.body, secretValue) || len(a.body) > 2000 {
			t.Errorf("%s: %.300s", a.header.Get("Content-Type"), a.body)
		}
	}
	for _, tt := range []struct{ method, path, part string }{
		{"GET", "/v1/jobs/" + uuid.NewString(), "404"}, {"GET", "/v1/jobs/x", "404"}, {"GET", "/v1/nothing", "404"}, {"GET", "/v1", "404"},
		{"PUT", "/v1/jobs", "405"}, {"GET", "/v1/jobs?state=asleep", "400"}, {"GET", "/v1/jobs?limit=0", "400"}, {"GET", "/v1/jobs?order=x", "400"},
		{"GET", "/v1/jobs/" + uuid.NewString() + "?wait=-1s", "400"}, {"GET", "/v1/jobs/" + uuid.NewString() + "?revision=x", "400"},
		{"GET", "/v1/jobs/" + uuid.NewString() + "/result?wait=1", "400"},
		{"POST", "/v1/jobs/" + uuid.NewString() + "/cancel", "404"}, {"DELETE", "/v1/jobs/" + uuid.NewString(), "404"},
	} {
		a := p.do(tt.method, tt.path, "")
		if fmt.Sprint(a.code) != tt.part || a.header.Get("Content-Type") != "application/problem+json" || !strings.Contains(a.body, `"status":`+tt.part) {
			t.Errorf("%s %s: %d %s", tt.method, tt.path, a.code, a.body)
		}
	}
	if p.count() != 0 {
		t.Error("a job was stored")
	}
}

func TestListJobs(t *testing.T) {
	p := newParty(t, nil)
	var ids []string
	for range 3 {
		ids = append(ids, p.post(`{"microprotocol":"Add","data":[1],"parties":["alice","bob"],"deadline":90.5}`).ID.String())
	}
	p.move(ids[1], nil, jobs.Waiting, jobs.Started)
	var list jobList
	get := func(query string) string {
		t.Helper()
		a := p.do("GET", "/v1/jobs"+query, "")
		if err := json.Unmarshal([]byte(a.body), &list); err != nil || a.code != 200 {
			t.Fatal(a.code, a.body)
		}
		got := fmt.Sprint(list.More)
		for _, j := range list.Jobs {
			for i, id := range ids {
				if j.ID.String() == id {
					got += fmt.Sprint(" ", i)
				}
			}
		}
		return got
	}
	for query, want := range map[string]string{"": "false 2 1 0", "?limit=2": "true 2 1", "?state=running": "false 1", "?state=done": "false", "?state=submitted&limit=1": "true 2"} {
		if got := get(query); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
}

func TestCatalogueAndParties(t *testing.T) {
	p := newParty(t, nil)
	a := p.do("GET", "/v1/microprotocols", "")
	p.want(a, 200, `{"microprotocols":[{"name":"Add","version":3,"summary":"Adds.","min_parties":2,"max_parties":0,`)
	p.want(a, 200, `"leakage":"nothing","round_ms":20000,"limit_ms":120000,"input":{"type":"array"},"parameters":true,"result":true}`)
	p.want(p.do("GET", "/v1/parties", ""), 200, `{"self":"alice","parties":[{"name":"alice","urls":["http://127.0.0.1:55501","https://alice.example/weft/"]},{"name":"bob"`)
}

// TestAnswersAreAsDocumented asks on every path, with answers of every kind; the harness holds each against openapi.yaml.
func TestAnswersAreAsDocumented(t *testing.T) {
	p := newParty(t, func(c *Config) { c.Files = shelf{"ages.csv": holds("1\n")} })
	done := p.post(`{"microprotocol":"Add","data":[1],"parties":["alice","bob"]}`).ID.String()
	p.finish(done, `{"sum":1}`)
	failed := p.post(`{"microprotocol":"Add","data":[1],"parties":["alice","bob"]}`).ID.String()
	p.move(failed, nil, jobs.Failed)
	value := p.uuid("PUT", "/representations", `{"args":[0]}`)
	root := p.uuid("POST", "/representations", `{"kwargs":{"protocol":"Simon"}}`)
	for _, tt := range []struct {
		method, path, body, header string
		code                       int
	}{
		{"GET", "/representations", "", "", 200}, {"POST", "/representations", "{}", "", 200}, {"POST", "/representations", `{"kwargs":{"a":"b"}}`, "", 404},
		{"PUT", "/representations", `{"args":[1]}`, "", 200}, {"GET", "/representation/" + value, "", "", 200}, {"GET", "/representation/" + done, "", "", 200},
		{"GET", "/representation/" + failed, "", "", 500}, {"GET", "/representation/" + root + "/compute", "", "", 200}, {"GET", "/representation/" + root + "/_x", "", "", 403},
		{"GET", "/representation/" + p.compute(), "", "Prefer: respond-async", 202}, {"PATCH", "/representation/" + root, "{}", "", 400}, {"DELETE", "/representation/" + value, "", "", 200},
		{"POST", "/v1/jobs", `{"microprotocol":"Add","data":[1],"parties":["alice","bob"],"deadline":60,"uuid":null,"parameters":null}`, "", 202},
		{"POST", "/v1/jobs", `{"microprotocol":"Add","file":"ages.csv","parties":["alice","bob"]}`, "", 202},
		{"POST", "/v1/jobs", `{"microprotocol":"Subtract","data":[1],"parties":["alice","bob"]}`, "", 501},
		{"GET", "/v1/jobs?limit=5&state=done", "", "", 200}, {"GET", "/v1/jobs/" + done + "?wait=1s&revision=1", "", "", 200}, {"GET", "/v1/jobs/" + failed, "", "", 200},
		{"GET", "/v1/jobs/" + done + "/result", "", "", 200}, {"POST", "/v1/jobs/" + done + "/cancel", "", "", 200}, {"DELETE", "/v1/jobs/" + done, "", "", 204},
		{"DELETE", "/v1/jobs/" + done, "", "", 404}, {"GET", "/v1/microprotocols", "", "", 200}, {"GET", "/v1/parties", "", "", 200},
		{"GET", "/openapi.yaml", "", "", 200}, {"GET", "/healthz", "", "", 200}, {"GET", "/readyz", "", "", 200},
	} {
		a := p.do(tt.method, tt.path, tt.body, tt.header)
		if a.code != tt.code {
			t.Errorf("%s %s: %d %s, want %d", tt.method, tt.path, a.code, a.body, tt.code)
		}
		if a.code < 400 {
			if err := documentedRequest(t, tt.method, tt.path, tt.body, tt.header); err != nil {
				t.Errorf("%s %s is accepted, and openapi.yaml refuses it: %v", tt.method, tt.path, err)
			}
		}
	}
}
