package gateway

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/jobs"
	"github.com/weftmpc/weft/simon"
)

const twoParties = `"parties":["alice","bob"]}`

// The same key with the same body is one job, whenever it comes; with another body it is refused.
func TestIdempotencyKey(t *testing.T) {
	p := newParty(t, nil)
	const body, other = `{"microprotocol":"Add","data":[1],` + twoParties, `{"microprotocol":"Add","data":[2],` + twoParties
	const key = `Idempotency-Key: "8e03978e-40d5-43dd-bc93-6894a57f9324"`
	first := p.view(p.do("POST", "/v1/jobs", body, key))
	same := func(a answer, code int) {
		t.Helper()
		p.want(a, code, `"id":"`+first.ID.String()+`","uuid":"`+first.UUID.String()+`"`)
		if a.header.Get("Location") != "/v1/jobs/"+first.ID.String() {
			t.Errorf("Location %s", a.header.Get("Location"))
		}
	}
	if first.ID.Version() != 4 {
		t.Errorf("the job is called %s", first.ID)
	}
	same(p.do("POST", "/v1/jobs", body, key), 202)
	same(p.do("POST", "/v1/jobs", body, strings.ReplaceAll(key, `"`, "")), 202)
	for _, another := range []string{other, body + " ", "{"} {
		a := p.do("POST", "/v1/jobs", another, key)
		p.want(a, 422, `"type":"/problems/key-reused"`)
		p.want(a, 422, `"instance":"/v1/jobs/`+first.ID.String()+`","reason":"key-reused","field":"Idempotency-Key"`)
	}
	p.restart()
	same(p.do("POST", "/v1/jobs", body, key), 202)
	p.want(p.do("POST", "/v1/jobs", other, key), 422, "another body")
	p.finish(first.ID.String(), `{"sum":1}`)
	same(p.do("POST", "/v1/jobs", body, key), 200)
	if n := p.count(); n != 1 {
		t.Errorf("%d jobs", n)
	}
	if a := p.do("POST", "/v1/jobs", body, "Idempotency-Key: another"); p.view(a).ID == first.ID || a.code != 202 {
		t.Error("another key has the same job")
	}
	if a := p.do("POST", "/v1/jobs", body); p.view(a).ID == first.ID || a.code != 202 {
		t.Error("a request without key has the job of a key")
	}
	if a := p.do("DELETE", "/v1/jobs/"+first.ID.String(), ""); a.code != 204 {
		t.Fatal(a.code)
	}
	p.want(p.do("POST", "/v1/jobs", other, key), 202, "submitted") // the key is free again

	for _, bad := range []string{`"`, `""`, `"a`, `"a"b"`, `"a\b"`, "ä", `"` + strings.Repeat("k", 256) + `"`} {
		p.want(p.do("POST", "/v1/jobs", body, "Idempotency-Key: "+bad), 400, `"type":"/problems/bad-header"`)
	}
	if strings.Contains(p.log.String(), "8e03978e") {
		t.Error("the log has the key")
	}
}

// Clients that do not know whether their request has come send it again at once; one job runs.
func TestOneJobForOneKeyAtOnce(t *testing.T) {
	const many = 8
	var together sync.WaitGroup // nobody has found the job before all look for it
	together.Add(many)
	p := newParty(t, func(c *Config) {
		prepare := c.Catalogue[0].Prepare
		c.Catalogue[0].Prepare = func(data io.Reader, parameters json.RawMessage, g simon.Guard) (simon.Prepared, error) {
			together.Done()
			together.Wait()
			return prepare(data, parameters, g)
		}
	})
	var wg sync.WaitGroup
	ids := make([]uuid.UUID, many)
	for i := range many {
		wg.Go(func() {
			a, err := p.try(t.Context(), "POST", "/v1/jobs", `{"microprotocol":"Add","data":[1],`+twoParties, "Idempotency-Key: k")
			var v jobView
			if err != nil || a.code != 202 || json.Unmarshal([]byte(a.body), &v) != nil {
				t.Errorf("%d %s %v", a.code, a.body, err)
			}
			ids[i] = v.ID
		})
	}
	wg.Wait()
	for _, id := range ids {
		if id != ids[0] {
			t.Fatalf("jobs %v", ids)
		}
	}
	if n := p.count(); n != 1 {
		t.Errorf("%d jobs", n)
	}
}

// A key means something to its caller only.
func TestKeysOfTwoCallers(t *testing.T) {
	p := newParty(t, nil)
	a, one := p.gateway.keyedJob("ann", "k", []byte("{}"))
	b, two := p.gateway.keyedJob("ben", "k", []byte("{}"))
	if a == b || one == two {
		t.Error("two callers share a key")
	}
}

func TestPreferencesOfASubmission(t *testing.T) {
	p := newParty(t, nil)
	const body = `{"microprotocol":"Add","data":[1],` + twoParties
	for _, tt := range []struct{ prefer, applied string }{
		{"respond-async", "respond-async"}, {"wait=0", "wait=0"}, {"wait=0, respond-async", "wait=0,respond-async"}, {"return=minimal", ""}, {"wait=x", ""},
	} {
		a := p.do("POST", "/v1/jobs", body, "Prefer: "+tt.prefer)
		p.want(a, 202, `"state":"submitted"`)
		if got := strings.Join(a.header.Values("Preference-Applied"), ","); got != tt.applied {
			t.Errorf("%s: applied %q, want %q", tt.prefer, got, tt.applied)
		}
	}
	news := p.jobs.Changes(t.Context())
	got := make(chan answer)
	go func() { got <- p.do("POST", "/v1/jobs", body, "Prefer: wait=30") }()
	p.finish((<-news).ID.String(), `{"sum":7}`)
	a := <-got
	p.want(a, 200, `"result":{"sum":7}`)
	if a.header.Get("Preference-Applied") != "wait=30" || a.header.Get("Location") == "" {
		t.Errorf("%v", a.header)
	}
	go func() { got <- p.do("POST", "/v1/jobs", body, "Prefer: wait=30") }()
	for j := range news {
		if j.State == jobs.Submitted {
			p.move(j.ID.String(), func(j *jobs.Job) {
				j.Problem = &jobs.Problem{Code: 504, Reason: "not-joined", Message: "bob did not join"}
			}, jobs.Failed)
			break
		}
	}
	p.want(<-got, 200, `"state":"failed"`)

	// A job that is stored is accepted, however many wait.
	p.gateway.waiting.Add(int64(p.gateway.config.MaxWaiting))
	p.want(p.do("POST", "/v1/jobs", body, "Prefer: wait=30"), 202, "submitted")
	p.gateway.waiting.Add(-int64(p.gateway.config.MaxWaiting))
	go func() { got <- p.do("POST", "/v1/jobs", body, "Prefer: wait=30") }()
	for j := range news {
		if j.State == jobs.Submitted {
			break
		}
	}
	p.gateway.Drain()
	if a := <-got; a.code != 202 && a.code != 503 { // 503: it was not read yet
		t.Error(a.code, a.body)
	}
}

func TestPagesOfJobs(t *testing.T) {
	p := newParty(t, nil)
	var ids []string
	for i := range 7 {
		v := p.post(fmt.Sprintf(`{"microprotocol":%q,"data":[1],"parties":["alice",%q],"uuid":%q}`, []string{"Add", "AddTwo"}[i%2], []string{"bob", "carol"}[i/4], uuid.NewString()))
		ids = append(ids, v.ID.String())
	}
	pages := func(query string) (got string) {
		t.Helper()
		for path := "/v1/jobs" + query; path != ""; {
			a := p.do("GET", path, "")
			var list jobList
			if err := json.Unmarshal([]byte(a.body), &list); err != nil || a.code != 200 {
				t.Fatal(a.code, a.body)
			}
			for _, j := range list.Jobs {
				for i, id := range ids {
					if j.ID.String() == id {
						got += fmt.Sprint(i)
					}
				}
			}
			if got += "|"; len(got) > 100 {
				t.Fatal("the pages do not end")
			}
			link, next := a.header.Get("Link"), ""
			if link != "" {
				next = strings.TrimSuffix(strings.TrimPrefix(link, "<"), `>; rel="next"`)
			}
			if next != list.Next || list.More != (next != "") {
				t.Errorf("%s: Link %s, next %s, more %v", path, link, list.Next, list.More)
			}
			path = next
		}
		return got
	}
	p.move(ids[2], nil, jobs.Waiting) // another revision changes no order
	for query, want := range map[string]string{
		"": "6543210|", "?limit=3": "654|321|0|", "?limit=7": "6543210|", "?microprotocol=AddTwo&limit=2": "53|1|", "?party=carol": "654|",
		"?party=" + url.QueryEscape("http://localhost:55503/") + "&microprotocol=Add": "64|", "?state=submitted&limit=4": "6543|10|", "?microprotocol=Nothing": "|",
	} {
		if got := pages(query); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	j, err := p.jobs.Get(t.Context(), uuid.MustParse(ids[4]))
	if err != nil || pages("?uuid="+j.UUID.String()) != "4|" {
		t.Error("the computation's uuid finds another job")
	}

	// A page begins where the one before has ended, though that job and others are gone.
	first := p.do("GET", "/v1/jobs?limit=2", "")
	for _, id := range ids[5:] {
		p.move(id, nil, jobs.Failed)
		p.do("DELETE", "/v1/jobs/"+id, "")
	}
	p.post(`{"microprotocol":"Add","data":[1],` + twoParties)
	var list jobList
	_ = json.Unmarshal([]byte(first.body), &list)
	if got := pages(strings.TrimPrefix(list.Next, "/v1/jobs")); got != "43|21|0|" {
		t.Errorf("after the deletion: %s", got)
	}
}

func TestWhereAJobStands(t *testing.T) {
	p := newParty(t, func(c *Config) { c.Catalogue[0].Hops = 4 })
	v := p.post(`{"microprotocol":"Add","data":[1],` + twoParties)
	path := "/v1/jobs/" + v.ID.String()
	p.want(p.do("GET", path, ""), 200, `"progress":{"done":0,"planned":4}`)
	j := p.move(v.ID.String(), func(j *jobs.Job) { j.Waiting = []string{"bob"} }, jobs.Waiting)
	p.want(p.do("GET", path, ""), 200, `"waiting_since":"`+j.WaitingSince.UTC().Format("2006-01-02T15:04:05.999999999Z07:00")+`","progress":{"done":0,"planned":4}`)
	p.move(v.ID.String(), func(j *jobs.Job) { j.StartedAt, j.Step, j.Steps, j.Waiting = j.Created, 3, 5, nil }, jobs.Started)
	p.want(p.do("GET", path, ""), 200, `"progress":{"done":4,"planned":8}`)
	p.want(p.do("GET", path, ""), 200, `"started":"`)
	p.move(v.ID.String(), nil, jobs.Committed)
	p.want(p.do("GET", path, ""), 200, `"progress":{"done":7,"planned":8}`)
	p.move(v.ID.String(), nil, jobs.Done)
	if v := viewOf(jobs.Job{State: jobs.Done, Steps: 1}); v.Progress != (jobProgress{4, 4}) {
		t.Errorf("%+v", v.Progress)
	}
}
