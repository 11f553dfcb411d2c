package gateway

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
)

func TestOneMicroprotocol(t *testing.T) {
	p := newParty(t, nil)
	p.want(p.do("GET", "/v1/microprotocols/AddTwo", ""), 200, `{"name":"AddTwo","version":3,`)
	for name, part := range map[string]string{"AddTow": "did you mean AddTwo?", "multiplication": "GET /v1/microprotocols lists what is", strings.Repeat("a", 5000): "lists what is"} {
		a := p.do("GET", "/v1/microprotocols/"+name, "")
		p.want(a, 404, `"type":"/problems/unknown-microprotocol"`)
		p.want(a, 404, part)
	}
}

func TestPartiesTellWhatTheNodeKnows(t *testing.T) {
	seen := time.Date(2026, 11, 21, 12, 0, 0, 0, time.FixedZone("", 3600))
	p := newParty(t, func(c *Config) {
		c.Facts = func(party string) Facts {
			return map[string]Facts{"alice": {"Alice Hospital", time.Time{}, seen.AddDate(1, 0, 0)}, "bob": {"Bob Clinic", seen, seen.AddDate(0, 1, 0)}}[party]
		}
	})
	a := p.do("GET", "/v1/parties", "")
	p.want(a, 200, `"organisation":"Alice Hospital","certificate_expires":"2027-11-21T11:00:00Z"},{"name":"bob","urls":["http://127.0.0.1:55502"],"organisation":"Bob Clinic","last_seen":"2026-11-21T11:00:00Z","certificate_expires":"2026-12-21T11:00:00Z"},{"name":"carol","urls":["http://127.0.0.1:55503"]}`)
}

// The pages show every operation, schema and problem, link to nothing that is not there, hold no script, and nothing foreign.
func TestDocumentationPages(t *testing.T) {
	p := newParty(t, nil)
	a := p.do("GET", "/docs", "")
	csp := a.header.Get("Content-Security-Policy")
	if a.code != 200 || a.header.Get("Content-Type") != "text/html; charset=utf-8" || !strings.HasPrefix(csp, "default-src 'none'; style-src 'sha256-") || strings.Contains(csp, "unsafe") {
		t.Fatalf("%d %v", a.code, a.header)
	}
	for _, r := range routes() {
		if !strings.Contains(a.body, "<h3><code>"+r.method+" "+r.path+"</code></h3>") {
			t.Errorf("the page lacks %s %s", r.method, r.path)
		}
	}
	for _, part := range []string{
		`<article id="schema-JobRequest">`, `<article id="schema-Progress">`, `<td><code>Idempotency-Key</code></td><td>header</td><td>string</td>`,
		`<td><code>id</code> *</td><td>path</td><td><a href="#schema-UUID">UUID</a></td>`, `<td>422</td><td>application/problem&#43;json: <a href="#schema-Problem">Problem</a></td>`,
		`list of <a href="#schema-Job">Job</a>`, "&#34;microprotocol&#34;: &#34;SecureSum&#34;", "submitted, held, waiting, running, done, failed, cancelled",
	} {
		if !strings.Contains(a.body, part) {
			t.Errorf("the page lacks %s", part)
		}
	}
	_, style, _ := strings.Cut(a.body, "<style>")
	style, _, _ = strings.Cut(style, "</style>")
	if sum := sha256.Sum256([]byte(style)); len(style) < 100 || !strings.Contains(csp, "'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'") {
		t.Error("the policy forbids the page's style")
	}
	ids := map[string]bool{}
	for _, m := range regexp.MustCompile(` id="([^"]*)"`).FindAllStringSubmatch(a.body, -1) {
		if ids[m[1]] {
			t.Errorf("%s stands twice", m[1])
		}
		ids[m[1]] = true
	}
	for _, m := range regexp.MustCompile(` (?:href|src)="([^"]*)"`).FindAllStringSubmatch(a.body, -1) {
		if id, within := strings.CutPrefix(m[1], "#"); within && ids[id] {
			continue
		}
		if b := p.do("GET", m[1], ""); b.code != 200 {
			t.Errorf("%s leads to %d", m[1], b.code)
		}
	}
	if strings.Contains(a.body, "<script") || strings.Contains(a.body, "//") && regexp.MustCompile(`(?:href|src|url\()[="']*(?:https?:)?//`).MatchString(a.body) {
		t.Error("the page has a script or something foreign")
	}
	for _, problem := range problemTypes {
		b := p.do("GET", problemURI+problem.name, "")
		if b.code != 200 || !strings.Contains(b.body, problem.name) || b.header.Get("Content-Security-Policy") != csp {
			t.Errorf("%s: %d", problem.name, b.code)
		}
	}
	p.want(p.do("GET", problemURI+"nothing", ""), 404, "/docs lists them")
}

// What openapi.yaml refuses, the gateway refuses: requests that are spoiled in one place each. And what the document gives as
// examples passes both.
func TestWhatTheDocumentRefusesIsRefused(t *testing.T) {
	p := newParty(t, nil)
	good := map[string]string{
		"microprotocol": `"Add"`, "data": `[1]`, "parties": `["alice","bob"]`, "uuid": `"` + computation + `"`, "parameters": `{"a":1}`, "deadline": `"5m"`,
	}
	names := []string{"microprotocol", "data", "file", "parties", "uuid", "parameters", "deadline", "extra"}
	values := []string{
		"", "null", "true", "0", "-1", "1.5", "1e400", `""`, `"Add"`, `"5m"`, `"` + computation + `"`, `"` + computation[1:] + `"`, "[]", `["alice"]`, `["alice",2]`,
		`["alice",null]`, `[["alice"],"bob"]`, `{"alice":1}`, "{}", `"` + strings.Repeat("x", 1025) + `"`,
	}
	refused, accepted := 0, 0
	check := func(method, path, body, header string) {
		t.Helper()
		documented := documentedRequest(t, method, path, body, header)
		a := p.do(method, path, body, header)
		switch {
		case documented != nil && a.code < 400:
			t.Errorf("%s %s %s %s: %d, though openapi.yaml says: %v", method, path, body, header, a.code, documented)
		case documented != nil:
			refused++
		case a.code < 400:
			accepted++
		}
	}
	for _, name := range names {
		for _, value := range values {
			var members []string
			for _, n := range names {
				v := good[n]
				if n == name {
					v = value
				}
				if v != "" {
					members = append(members, fmt.Sprintf("%q:%s", n, v))
				}
			}
			check("POST", "/v1/jobs", "{"+strings.Join(members, ",")+"}", "")
		}
	}
	for _, body := range []string{"", "[]", "3", `"x"`, "null", "{}"} {
		check("POST", "/v1/jobs", body, "")
		check("POST", "/representations", body, "")
		check("PUT", "/representations", body, "")
	}
	for _, member := range []string{"args", "kwargs"} {
		for _, value := range values[1:] {
			for _, method := range []string{"POST", "PUT"} {
				check(method, "/representations", fmt.Sprintf("{%q:%s}", member, value), "")
			}
		}
	}
	texts := []string{"", "0", "1", "1000", "1001", "-1", "1.5", "x", "done", "asleep", computation, computation[2:], "%00", "1e3", "+5", strings.Repeat("A", 32), strings.Repeat("A", 33), "alice", "30s"}
	id := p.post(`{"microprotocol":"Add","data":[1],` + twoParties).ID.String()
	p.finish(id, `{"sum":1}`)
	for _, text := range texts {
		for _, name := range []string{"state", "limit", "microprotocol", "uuid", "party", "after"} {
			check("GET", "/v1/jobs?"+name+"="+text, "", "")
		}
		for _, name := range []string{"revision", "wait"} { // of a job that has ended: nothing waits
			check("GET", "/v1/jobs/"+id+"?"+name+"="+text, "", "")
		}
		if text != "" && !strings.Contains(text, "%") {
			for _, path := range []string{"/v1/jobs/" + text, "/v1/jobs/" + text + "/result", "/v1/jobs/" + text + "/events", "/representation/" + text} {
				if text != id {
					check("GET", path, "", "Prefer: wait=0")
				}
			}
		}
	}
	if refused < 100 || accepted < 20 {
		t.Errorf("%d requests were refused by both, %d accepted by both: the table has lost its meaning", refused, accepted)
	}
	t.Logf("%d requests refused by both, %d accepted by both", refused, accepted)
}

// The examples of openapi.yaml are accepted by the document itself and by the gateway.
func TestExamplesOfTheDocument(t *testing.T) {
	p := newParty(t, func(c *Config) { c.Catalogue[0].Name = "SecureSum" })
	if _, err := documented(); err != nil {
		t.Fatal(err)
	}
	examples := 0
	for _, o := range operationsOf(t) {
		if o.Body == nil || o.Body.Example == "" {
			continue
		}
		examples++
		if err := documentedRequest(t, o.Method, strings.ReplaceAll(o.Path, "{id}", computation), o.Body.Example, ""); err != nil {
			t.Errorf("%s %s: %v", o.Method, o.Path, err)
		}
		path := o.Path
		switch {
		case o.ID == "uploadValue": // shares its body with calls, and takes one positional argument
			continue
		case strings.Contains(path, "{id}"):
			continue
		}
		if a := p.do(o.Method, path, o.Body.Example); a.code >= 400 {
			t.Errorf("%s %s: %d %s", o.Method, path, a.code, a.body)
		}
	}
	if examples < 2 {
		t.Errorf("%d examples", examples)
	}
}

// operationsOf lists all operations of openapi.yaml.
func operationsOf(t *testing.T) (list []manualOperation) {
	t.Helper()
	var d any
	if err := yaml.UnmarshalWithOptions(openAPI, &d, yaml.UseOrderedMap()); err != nil {
		t.Fatal(err)
	}
	for _, tag := range readManual(d).Tags {
		list = append(list, tag.Operations...)
	}
	return list
}
