package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/jobs"
)

// heldJob is a job of a person's that the party's node holds.
func (p *party) heldJob(who *people, name string, byCaller bool) string {
	p.t.Helper()
	a := p.do("POST", "/v1/jobs", `{"microprotocol":"Add","data":[`+secretValue+`],"parties":["alice","bob"],"deadline":"30m"}`, who.as(name))
	p.want(a, 202, `"state":"submitted"`)
	var v jobView
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		p.t.Fatal(err)
	}
	p.move(v.ID.String(), func(j *jobs.Job) { j.Approval.Since, j.Approval.ByCaller = time.Now().UTC(), byCaller }, jobs.Held)
	return v.ID.String()
}

// deny is what the node does about a denial.
func (p *party) deny(id string) {
	p.t.Helper()
	p.move(id, func(j *jobs.Job) {
		j.Problem = &jobs.Problem{Code: 403, Reason: "denied", Message: j.Approval.By + " has denied this computation: " + j.Approval.Reason}
	}, jobs.Failed)
}

func TestApproval(t *testing.T) {
	p, who := newGuarded(t, nil)
	id := p.heldJob(who, "analyst", false)
	path := "/v1/jobs/" + id
	const yes, no = `{"approve":true}`, `{"approve":false,"reason":"not this study"}`

	// What is seen before.
	j, _ := p.jobs.Get(t.Context(), uuid.MustParse(id))
	detail := `"state":"held","detail":"held: waits for a data owner's approval, other than token:analyst, since ` + clock(j.Approval.Since) + `, until ` + clock(j.Deadline) + `"`
	for _, at := range []string{path, "/v1/jobs?state=held", "/v1/jobs"} {
		for _, name := range []string{"analyst", "data-owner", "admin"} {
			p.want(p.do("GET", at, "", who.as(name)), 200, detail)
		}
	}
	p.want(p.do("GET", "/v1/jobs?state=waiting", "", who.as("admin")), 200, `"jobs":[]`)
	p.want(p.do("GET", "/v1/jobs?state=hold", "", who.as("admin")), 400, "submitted, held, waiting")
	a := p.do("GET", path+"/approval", "", who.as("data-owner"))
	for _, part := range []string{`"owner":"token:analyst"`, `"microprotocol":"Add"`, `"summary":"Adds."`, `"leakage":"nothing"`, `"parameters":` + noParameters, `"parties":["alice","bob"]`,
		fmt.Sprintf(`"input_bytes":%d`, len(secretValue)+2), `"by_caller":false`} {
		p.want(a, 200, part)
	}
	if strings.Contains(a.body, secretValue) {
		t.Errorf("who approves sees data: %s", a.body)
	}
	p.want(p.do("GET", path+"/approval", "", who.as("analyst")), 200, `"state":"held"`)
	p.want(p.do("GET", path+"/approval", "", who.as(stranger)), 404, "unknown-job")
	p.want(p.do("GET", "/representation/"+id, "", who.as("analyst"), "Prefer: respond-async"), 202, `"state":"held"`)

	// Who may not, and what is no decision.
	p.want(p.do("POST", path+"/approval", yes, who.as("analyst")), 403, "needs the role data-owner")
	for body, part := range map[string]string{
		``: "bad-json", `{}`: "approve: it is missing", `{"approve":1}`: "approve: it must be true or false", `{"approve":"true"}`: "approve: it must be", `{"approve":true,"approve":false}`: "bad-json",
		`{"approve":true,"reasons":"x"}`: "unknown field", `{"approve":true,"reason":7}`: "reason: it must be one line", `{"approve":true,"reason":"a\u001b[2Jb"}`: "one line", `{"approve":true,"reason":"a\nb"}`: "one line",
		`{"approve":true,"reason":"` + strings.Repeat("é", jobs.MaxReason/2+1) + `"}`: "at most 1024 bytes",
	} {
		p.want(p.do("POST", path+"/approval", body, who.as("admin")), 400, part)
	}
	p.want(p.do("POST", "/v1/jobs/"+p.jobOf("token:analyst")+"/approval", yes, who.as("admin")), 409, "not-held")

	// Denied, again, and otherwise.
	p.log.lines()
	p.want(p.do("POST", path+"/approval", no, who.as("data-owner")), 200, `"state":"held","detail":"denied by token:data-owner; this party's node tells the others and ends it"`)
	if got := p.log.lines(); len(got) != 1 || got[0] != `who=token:data-owner role=data-owner what="POST /v1/jobs/{id}/approval" from=127.0.0.1 object=`+id+` verdict=denied status=200` {
		t.Errorf("%q", got)
	}
	p.want(p.do("POST", path+"/approval", `{"approve":false}`, who.as("admin")), 200, `"by":"token:data-owner"`)
	p.want(p.do("POST", path+"/approval", yes, who.as("admin")), 409, "decided")
	p.want(p.do("POST", path+"/cancel", "", who.as("analyst")), 202, `"verdict":"denied"`)
	p.deny(id)
	for _, at := range []string{path + "/result", "/representation/" + id} {
		p.want(p.do("GET", at, "", who.as("analyst")), 403, "token:data-owner has denied this computation: not this study")
	}
	p.want(p.do("GET", path+"/result", "", who.as("analyst")), 403, `"type":"/problems/denied"`)
	p.want(p.do("POST", path+"/approval", no, who.as("admin")), 200, `"state":"failed"`)

	// Approved, and on its way.
	id = p.heldJob(who, "analyst", false)
	p.want(p.do("POST", "/v1/jobs/"+id+"/approval", yes, who.as("admin")), 200, "approved by token:admin; this party's node has not taken it up yet")
	p.move(id, nil, jobs.Waiting)
	p.want(p.do("POST", "/v1/jobs/"+id+"/approval", yes, who.as("data-owner")), 200, `"state":"waiting"`)
}

// Four eyes: nobody decides about a job of their own, unless the node has written that they may.
func TestApprovalOfOnesOwn(t *testing.T) {
	p, who := newGuarded(t, nil)
	for _, name := range []string{"data-owner", "admin"} {
		for _, approve := range []string{`{"approve":true}`, `{"approve":false}`} {
			own := p.heldJob(who, name, false)
			p.want(p.do("POST", "/v1/jobs/"+own+"/approval", approve, who.as(name)), 403, `"type":"/problems/own-job"`)
			allowed := p.heldJob(who, name, true)
			p.want(p.do("POST", "/v1/jobs/"+allowed+"/approval", approve, who.as(name)), 200, `"by":"token:`+name+`"`)
		}
	}
	own := p.heldJob(who, "analyst", true)
	p.want(p.do("POST", "/v1/jobs/"+own+"/approval", `{"approve":true}`, who.as("analyst")), 403, "needs the role")
}

// Without access control everybody is one caller, who approves nothing.
func TestApprovalWithoutAccessControl(t *testing.T) {
	p := newParty(t, nil)
	id := p.compute()
	p.move(id, func(j *jobs.Job) { j.Approval = jobs.Approval{Since: time.Now().UTC(), ByCaller: true} }, jobs.Held)
	p.want(p.do("POST", "/v1/jobs/"+id+"/approval", `{"approve":true}`), 403, "needs the role data-owner")
}

// The same request under its key is the job that is held, and the one that was denied; events, a wait and metrics tell.
func TestHeldJobsAreTold(t *testing.T) {
	p, who := newGuarded(t, nil)
	body := `{"microprotocol":"Add","data":[1],"parties":["alice","bob"]}`
	a := p.do("POST", "/v1/jobs", body, who.as("analyst"), "Idempotency-Key: k")
	var v jobView
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		t.Fatal(err)
	}
	id := v.ID.String()
	changed := make(chan answer, 1)
	go func() {
		a, err := p.try(context.WithoutCancel(t.Context()), "GET", fmt.Sprintf("/v1/jobs/%s?wait=20s&revision=%d", id, v.Revision), "", who.as("analyst"))
		if err != nil {
			t.Error(err)
		}
		changed <- a
	}()
	p.move(id, func(j *jobs.Job) { j.Approval.Since = time.Now().UTC() }, jobs.Held)
	p.want(<-changed, 200, `"state":"held"`)
	p.want(p.do("POST", "/v1/jobs", body, who.as("analyst"), "Idempotency-Key: k"), 202, `"state":"held"`)
	if page := p.do("GET", "/metrics", "", who.as("viewer")); !strings.Contains(page.body, `weft_jobs{microprotocol="Add",state="held"} 1`) || !strings.Contains(page.body, "weft_jobs_queued 0") {
		t.Errorf("metrics say nothing of a held job, or that it is in the queue:\n%s", page.body)
	}
	ended := make(chan answer, 1)
	go func() {
		a, err := p.try(context.WithoutCancel(t.Context()), "GET", "/v1/jobs/"+id+"/events", "", who.as("data-owner"))
		if err != nil {
			t.Error(err)
		}
		ended <- a
	}()
	p.want(p.do("POST", "/v1/jobs/"+id+"/approval", `{"approve":false}`, who.as("data-owner")), 200, `"verdict":"denied"`)
	p.deny(id)
	if told := <-ended; !strings.Contains(told.body, `"reason":"denied"`) {
		t.Errorf("events: %s", told.body)
	}
	p.want(p.do("POST", "/v1/jobs", body, who.as("analyst"), "Idempotency-Key: k"), 200, `"reason":"denied"`)
}

// Held jobs are unfinished ones of their caller, and bounded with them.
func TestHeldJobsCount(t *testing.T) {
	p, who := newGuarded(t, nil)
	store, err := jobs.Open(t.Context(), p.broker.Conn, jobs.Options{Alone: true, Limits: jobs.Limits{PerCaller: 1}})
	if err != nil {
		t.Fatal(err)
	}
	p.gateway.config.Jobs = store
	t.Cleanup(store.Close)
	body := `{"microprotocol":"Add","data":[1],"parties":["alice","bob"]}`
	a := p.do("POST", "/v1/jobs", body, who.as("analyst"))
	p.want(a, 202, "submitted")
	var v jobView
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Change(t.Context(), v.ID, func(j jobs.Job) (jobs.Job, error) { return j.Move(jobs.Held) }); err != nil {
		t.Fatal(err)
	}
	p.want(p.do("POST", "/v1/jobs", body, who.as("analyst")), 429, "too many jobs")
}

// Who has looked at a job decides about that one: its caller may have put another one into its place.
func TestApprovalOfWhatWasLookedAt(t *testing.T) {
	p, who := newGuarded(t, nil)
	held := func(data string) (id, since string) {
		t.Helper()
		a := p.do("POST", "/v1/jobs", `{"microprotocol":"Add","data":[`+data+`],"parties":["alice","bob"],"deadline":"30m"}`, who.as("analyst"), "Idempotency-Key: one")
		p.want(a, 202, `"state":"submitted"`)
		var v jobView
		if err := json.Unmarshal([]byte(a.body), &v); err != nil {
			t.Fatal(err)
		}
		j := p.move(v.ID.String(), func(j *jobs.Job) { j.Approval.Since = time.Now().UTC() }, jobs.Held)
		return v.ID.String(), j.Approval.Since.Format(time.RFC3339Nano)
	}
	id, since := held("1")
	path := "/v1/jobs/" + id
	p.move(id, nil, jobs.Cancelled)
	p.want(p.do("DELETE", path, "", who.as("analyst")), 204, "")
	other, now := held("2")
	if other != id {
		t.Fatalf("%s and %s: this shows nothing", id, other)
	}
	p.want(p.do("POST", path+"/approval", `{"approve":true,"since":"`+since+`"}`, who.as("data-owner")), 409, "it was held at another time")
	for _, bad := range []string{`7`, `""`, `"today"`, `"0001-01-01T00:00:00Z"`} {
		p.want(p.do("POST", path+"/approval", `{"approve":true,"since":`+bad+`}`, who.as("data-owner")), 400, "since: it must be")
	}
	p.want(p.do("POST", path+"/approval", `{"approve":true,"since":"`+now+`"}`, who.as("data-owner")), 200, `"verdict":"approved"`)
	p.want(p.do("POST", path+"/approval", `{"approve":true,"since":null}`, who.as("data-owner")), 200, `"verdict":"approved"`)
}
