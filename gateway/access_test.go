package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/gateway/access"
	"github.com/weftmpc/weft/jobs/objects"
)

// people are a token of each role, and of another analyst, by name.
type people struct {
	tokens map[string]string
	list   []access.Token
}

const stranger = "stranger" // an analyst whose objects are foreign to all others

func newPeople(t testing.TB) *people {
	t.Helper()
	p := &people{tokens: map[string]string{}}
	add := func(name string, role access.Role) {
		made, text, err := access.NewToken(name, role, time.Now(), time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		p.tokens[name] = text
		p.list = append(p.list, made)
	}
	for _, r := range access.Roles() {
		add(r.String(), r)
	}
	add(stranger, access.Analyst)
	return p
}

func (p *people) authenticator() access.Authenticator {
	return access.NewTokens(func() ([]byte, error) { return access.FormatTokens(p.list), nil }, time.Now)
}

// newGuarded is a gateway with access control.
func newGuarded(t testing.TB, change func(*Config)) (*party, *people) {
	t.Helper()
	who := newPeople(t)
	return newParty(t, func(c *Config) {
		c.Access = &Access{Authenticators: []access.Authenticator{who.authenticator()}, Rate: maxRate}
		if change != nil {
			change(c)
		}
	}), who
}

// as is the header of a person; nobody's is of another name.
func (p *people) as(name string) string {
	if p.tokens[name] == "" {
		return "X-Nobody: yes"
	}
	return "Authorization: Bearer " + p.tokens[name]
}

// jobOf is a finished job of a caller.
func (p *party) jobOf(caller string) string {
	p.t.Helper()
	j, err := p.gateway.submit(p.t.Context(), request{
		id: uuid.New(), caller: caller, microprotocol: p.gateway.microprotocol["Add"], parties: []string{"alice", "bob"}, uuid: uuid.New(), deadline: time.Minute, data: []byte("[1]"),
	})
	if err != nil {
		p.t.Fatal(err)
	}
	p.finish(j.ID.String(), `{"sum":`+secretValue+`}`)
	return j.ID.String()
}

func (p *party) uploadOf(caller string) string {
	p.t.Helper()
	r, err := p.objects.Put(p.t.Context(), objects.Record{ID: uuid.New(), Caller: caller, Kind: objects.Value, Data: []byte("1"), Created: time.Now()})
	if err != nil {
		p.t.Fatal(err)
	}
	return r.ID.String()
}

// pathOf is the route's path to an object of the caller.
func (p *party) pathOf(rt route, caller string) string {
	p.t.Helper()
	simon := p.gateway.handles.roots[3]
	var id, name string
	switch {
	case !strings.Contains(rt.path, "{id}"):
		name = "Add"
	case strings.HasPrefix(rt.path, "/v1/jobs/"):
		id = p.jobOf(caller)
	case strings.HasSuffix(rt.path, "/{name}"):
		id, name = p.gateway.handles.rootID(caller, simon).String(), "compute"
	case rt.method == "PATCH":
		id = p.gateway.handles.memberID(caller, simon, "compute").String()
	default:
		id = p.uploadOf(caller)
	}
	return strings.NewReplacer("{id}", id, "{name}", name).Replace(rt.path)
}

// status sends a request and does not wait for the end of its answer, which some routes do not have.
func (p *party) status(method, path, body string, header ...string) (int, http.Header) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 20*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, p.server.URL+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	for _, h := range header {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	res, err := p.server.Client().Transport.RoundTrip(r)
	if err != nil {
		p.t.Fatalf("%s %s: %v", method, path, err)
	}
	res.Body.Close()
	return res.StatusCode, res.Header
}

// TestPermissions walks every route as everybody, with an object of their own and with a foreign one, and compares with the
// table.
func TestPermissions(t *testing.T) {
	p, who := newGuarded(t, nil)
	for _, rt := range routes() {
		name := rt.method + " " + rt.path
		granted := permissions[name]
		code, header := p.status(rt.method, p.pathOf(rt, "token:"+stranger), `{"args":[],"kwargs":{}}`)
		if refused := code == 401; refused != (granted[0] == no) || refused && header.Get("WWW-Authenticate") != `Bearer realm="weft"` {
			t.Errorf("%s without a credential: %d %v", name, code, header)
		}
		for _, role := range access.Roles() {
			for _, owner := range []string{role.String(), stranger} {
				code, header := p.status(rt.method, p.pathOf(rt, "token:"+owner), `{"args":[],"kwargs":{}}`, who.as(role.String()))
				at := fmt.Sprintf("%s as %s with an object of %s: %d", name, role, owner, code)
				switch g := granted[role]; {
				case code == 401 || code >= 500:
					t.Error(at)
				case (code == 403) != (g == no):
					t.Error(at)
				case code == 403 && !strings.Contains(header.Get("WWW-Authenticate"), "insufficient_scope"):
					t.Error(at, header)
				case g == own && owner == stranger && code != 404 && strings.Contains(rt.path, "{id}"):
					t.Errorf("%s, want 404", at)
				case (g == all || g == own && owner != stranger) && code == 404:
					t.Errorf("%s, and it is there", at)
				}
			}
		}
	}
}

func TestEveryRouteHasARow(t *testing.T) {
	if err := checkPermissions(); err != nil {
		t.Error(err)
	}
	if n := len(routes()); n != len(permissions) {
		t.Errorf("permissions has %d rows for %d routes", len(permissions), n)
	}
	for name, g := range permissions {
		for i := 1; i < len(g); i++ {
			if g[i] < g[i-1] {
				t.Errorf("%s: %s may do less than the role before it", name, access.Role(i))
			}
		}
	}
}

// TestReadmeHasThePermissions compares the table of README.md.
func TestReadmeHasThePermissions(t *testing.T) {
	b, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	words := map[grant]string{no: "–", yes: "yes", own: "own", all: "all"}
	var table strings.Builder
	table.WriteString("| | nobody | viewer | analyst | data-owner | admin |\n|---|---|---|---|---|---|\n")
	for _, rt := range routes() {
		fmt.Fprintf(&table, "| `%s %s` |", rt.method, rt.path)
		for _, g := range permissions[rt.method+" "+rt.path] {
			fmt.Fprintf(&table, " %s |", words[g])
		}
		table.WriteByte('\n')
	}
	if !strings.Contains(string(b), "\n"+table.String()+"\n") {
		t.Errorf("README.md has another table than this:\n%s", table.String())
	}
}

func TestForeignJobs(t *testing.T) {
	p, who := newGuarded(t, nil)
	mine, foreign := p.jobOf("token:analyst"), p.jobOf("token:"+stranger)
	list := func(name string) string {
		a := p.do("GET", "/v1/jobs", "", who.as(name))
		p.want(a, 200, "jobs")
		return a.body
	}
	if l := list("analyst"); !strings.Contains(l, mine) || strings.Contains(l, foreign) {
		t.Errorf("an analyst sees %s", l)
	}
	for _, name := range []string{"data-owner", "admin"} {
		if l := list(name); !strings.Contains(l, mine) || !strings.Contains(l, foreign) || !strings.Contains(l, `"owner":"token:stranger"`) {
			t.Errorf("%s sees %s", name, l)
		}
		// They see the job and not its result, which is its owner's.
		for _, a := range []answer{
			p.do("GET", "/v1/jobs/"+foreign, "", who.as(name)), p.do("POST", "/v1/jobs/"+foreign+"/cancel", "", who.as(name)), p.do("GET", "/v1/jobs/"+foreign+"?wait=1s", "", who.as(name)),
		} {
			p.want(a, 200, `"state":"done"`)
			if strings.Contains(a.body, secretValue) {
				t.Errorf("%s sees the result: %s", name, a.body)
			}
		}
		// The representation API has no foreign objects for anybody.
		p.want(p.do("GET", "/representation/"+foreign, "", who.as(name)), 404, "no such representation")
		p.want(p.do("DELETE", "/representation/"+foreign, "", who.as(name)), 404, "no such representation")
	}
	p.want(p.do("GET", "/v1/jobs/"+foreign, "", who.as(stranger)), 200, secretValue)

	// A value of somebody else stands for nothing in a call.
	upload := p.uploadOf("token:" + stranger)
	compute := p.gateway.handles.memberID("token:analyst", p.gateway.handles.roots[3], "compute").String()
	p.want(p.do("PATCH", "/representation/"+compute, kwargs("microprotocol", `"Add"`, "data", `{"representation_uuid":"`+upload+`"}`, "network", network3), who.as("analyst")), 400, "data")
}

// A task's members have identifiers of their own; those of another's task are as unknown as the task, whatever is asked.
func TestForeignTasks(t *testing.T) {
	p, who := newGuarded(t, nil)
	create := p.gateway.handles.memberID("token:"+stranger, p.gateway.handles.roots[3], "create_task").String()
	a := p.do("PATCH", "/representation/"+create, kwargs("microprotocol", `"Add"`, "network", network3), who.as(stranger))
	p.want(a, 200, "uuid")
	var made struct{ UUID string }
	if err := json.Unmarshal([]byte(a.body), &made); err != nil {
		t.Fatal(err)
	}
	var member struct{ UUID string }
	a = p.do("GET", "/representation/"+made.UUID+"/input", "", who.as(stranger))
	if err := json.Unmarshal([]byte(a.body), &member); err != nil {
		t.Fatal(err)
	}
	p.want(p.do("PATCH", "/representation/"+member.UUID, `{"args":[[1]]}`, who.as(stranger)), 200, "none")
	own := p.gateway.handles.memberID("token:admin", p.gateway.handles.roots[3], "create_task").String() // so that there are tasks to look through
	p.want(p.do("PATCH", "/representation/"+own, kwargs("microprotocol", `"Add"`, "network", network3), who.as("admin")), 200, "uuid")
	for _, body := range []string{`{"args":[[1]]}`, `{"args":[]}`, `{}`} {
		p.want(p.do("PATCH", "/representation/"+member.UUID, body, who.as("admin")), 404, "no such representation")
	}
	p.want(p.do("GET", "/representation/"+made.UUID+"/input", "", who.as("admin")), 404, "no such representation")
}

func TestMe(t *testing.T) {
	p, who := newGuarded(t, nil)
	a := p.do("GET", "/v1/me", "", who.as("analyst"))
	p.want(a, 200, `{"caller":"token:analyst","role":"analyst","method":"token","expires":"`+who.list[1].Expires.Format(time.RFC3339)+`"}`)
	// The official clients put credentials into the URL, which makes them basic ones.
	r, err := http.NewRequestWithContext(t.Context(), "GET", strings.Replace(p.server.URL, "://", "://token:"+who.tokens["admin"]+"@", 1)+"/v1/me", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := p.server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 200 {
		t.Error(res.StatusCode)
	}
	free := newParty(t, nil)
	free.want(free.do("GET", "/v1/me", ""), 200, `{"caller":"anyone","role":"analyst","method":"none"}`)
}

// broken is an Authenticator that cannot say, or says nonsense.
type broken struct {
	id  access.Identity
	err error
}

func (b broken) Authenticate(*http.Request) (access.Identity, error) { return b.id, b.err }

func TestAuthenticatorsInTurn(t *testing.T) {
	who := newPeople(t)
	for _, x := range []struct {
		name  string
		first access.Authenticator
		code  int
		part  string
	}{
		{"the next one knows it", broken{err: access.ErrNone}, 200, "token:admin"},
		{"cannot say", broken{err: errors.New("no provider at 192.0.2.1")}, 503, "at present"},
		{"nonsense", broken{id: access.Identity{Caller: "x", Role: 99}}, 500, "internal"},
		{"nobody", broken{}, 500, "internal"},
		{"refused", broken{err: &access.Refused{Message: "it has expired"}}, 401, "it has expired"},
		{"without a role", broken{err: &access.Refused{Known: true, Message: "gives no role here"}}, 403, "gives no role here"},
	} {
		p := newParty(t, func(c *Config) {
			c.Access = &Access{Authenticators: []access.Authenticator{x.first, who.authenticator()}}
		})
		a := p.do("GET", "/v1/me", "", who.as("admin"))
		p.want(a, x.code, x.part)
		if strings.Contains(a.body, "192.0.2.1") {
			t.Errorf("%s: %s", x.name, a.body)
		}
		if x.code == 503 && a.header.Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", x.name)
		}
	}
	for _, bad := range []Access{{}, {Authenticators: []access.Authenticator{broken{}}, Rate: -1}, {Authenticators: []access.Authenticator{broken{}}, Rate: maxRate + 1}} {
		if err := bad.fill(); err == nil {
			t.Errorf("%+v", bad)
		}
	}
}

func TestRefusedCredentials(t *testing.T) {
	now := time.Now()
	p, who := newGuarded(t, func(c *Config) { c.Now = func() time.Time { return now } })
	wrong := who.tokens["admin"][:len(who.tokens["admin"])-4] + "AAAA"
	for range failuresAtOnce {
		a := p.do("GET", "/v1/jobs", "", "Authorization: Bearer "+wrong)
		p.want(a, 401, "no such token")
		if a.header.Get("WWW-Authenticate") != `Bearer realm="weft", error="invalid_token"` {
			t.Error(a.header)
		}
	}
	a := p.do("GET", "/representations", "", "Authorization: Negotiate abc")
	p.want(a, 429, `"code":429`)
	if a.header.Get("Retry-After") != "10" {
		t.Errorf("Retry-After: %s", a.header.Get("Retry-After"))
	}
	// A good credential works all the same, and no credential is no failure.
	p.want(p.do("GET", "/v1/me", "", who.as("viewer")), 200, "token:viewer")
	p.want(p.do("GET", "/v1/me", ""), 401, "weft token create")
	now = now.Add(failuresEach)
	p.want(p.do("GET", "/v1/me", "", "Authorization: Bearer x"), 401, "no credential of this kind")
	p.want(p.do("GET", "/v1/me", "", "Authorization: Bearer x"), 429, "too-often")
	if n := p.gateway.LoginFailures(); n != failuresAtOnce+3 {
		t.Errorf("%d failures were counted", n)
	}
	for _, token := range append([]string{wrong}, who.tokens["viewer"]) {
		if log := p.log.String(); strings.Contains(log, token[len(token)-43:len(token)-4]) {
			t.Errorf("the log has a token: %s", log)
		}
	}
}

func TestRateOfACaller(t *testing.T) {
	now := time.Now()
	who := newPeople(t)
	p := newParty(t, func(c *Config) {
		c.Access, c.Now = &Access{Authenticators: []access.Authenticator{who.authenticator()}, Rate: 2}, func() time.Time { return now }
	})
	for range 4 {
		p.want(p.do("GET", "/v1/me", "", who.as("viewer")), 200, "viewer")
	}
	a := p.do("GET", "/v1/me", "", who.as("viewer"))
	p.want(a, 429, "too-often")
	if a.header.Get("Retry-After") != "1" {
		t.Errorf("Retry-After: %s", a.header.Get("Retry-After"))
	}
	p.want(p.do("GET", "/v1/me", "", who.as("admin")), 200, "admin") // another caller
	now = now.Add(time.Second)
	for _, code := range []int{200, 200, 429} {
		p.want(p.do("GET", "/v1/me", "", who.as("viewer")), code, "")
	}
}

func TestLimitsAreBounded(t *testing.T) {
	l, now := newLimits(1, 2, 100), time.Now()
	for i := range 1000 {
		l.take(fmt.Sprint(i), now)
		l.take("busy", now)
	}
	if len(l.names) != 100 || l.order.Len() != 100 {
		t.Errorf("%d names, %d in order", len(l.names), l.order.Len())
	}
	if wait := l.take("busy", now); wait != time.Second {
		t.Errorf("a busy name was forgotten: %v", wait)
	}
	if wait := l.take("0", now); wait != 0 {
		t.Errorf("a quiet name was not: %v", wait)
	}
}
