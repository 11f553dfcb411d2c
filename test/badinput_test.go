package test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

// private stands in all data of these tests, and must stand in no answer and no log. No port has such a number.
const private = "77412.53"

// reply is an answer of a gateway, with what both APIs say of an error.
type reply struct {
	status  int
	header  http.Header
	message string
	field   string // /v1 only
	reason  string // /v1 only
	body    map[string]any
}

// send makes one request as it is: with the headers given and no others.
func send(t *testing.T, method, url string, body io.Reader, headers ...string) reply {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
		switch name {
		case "Host":
			r.Host = value
		case "Content-Length":
			if _, err := fmt.Sscan(value, &r.ContentLength); err != nil {
				t.Fatal(err)
			}
		}
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.ExpectContinueTimeout = patience
	transport.DisableKeepAlives = true
	answer, err := (&http.Client{Transport: transport, Timeout: patience}).Do(r)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	a := reply{status: answer.StatusCode, header: answer.Header}
	if len(b) == 0 {
		return a
	}
	if err := json.Unmarshal(b, &a.body); err != nil {
		t.Fatalf("%s %s: %d: not JSON: %s", method, url, answer.StatusCode, b)
	}
	a.message, _ = a.body["message"].(string)
	if detail, ok := a.body["detail"].(string); ok {
		a.message = detail
	}
	a.field, _ = a.body["field"].(string)
	a.reason, _ = a.body["reason"].(string)
	return a
}

const asJSON = "Content-Type: application/json"

// compute is simon.compute(…) as the official clients ask for it: create, attribute, call. kwargs is the object's text.
func (d *demoProcess) compute(t *testing.T, party int, kwargs string) reply {
	t.Helper()
	return d.patchCompute(t, party, `{"args": [], "kwargs": `+kwargs+`}`)
}

// patchCompute calls compute with a body of any kind.
func (d *demoProcess) patchCompute(t *testing.T, party int, body string) reply {
	t.Helper()
	return send(t, "PATCH", d.urls[party]+"/representation/"+d.function(t, party), strings.NewReader(body), asJSON)
}

// function is the representation of simon.compute.
func (d *demoProcess) function(t *testing.T, party int) string {
	t.Helper()
	simon := send(t, "POST", d.urls[party]+"/representations", strings.NewReader(`{"args": [], "kwargs": {"protocol": "Simon"}}`), asJSON)
	if simon.status != 200 {
		t.Fatalf("creating Simon: %d %s", simon.status, simon.message)
	}
	compute := send(t, "GET", d.urls[party]+"/representation/"+simon.body["uuid"].(string)+"/compute", strings.NewReader("{}"), asJSON)
	if compute.status != 200 {
		t.Fatalf("the attribute compute: %d %s", compute.status, compute.message)
	}
	return compute.body["uuid"].(string)
}

// kwargs is the object's text of a call of compute that is right but for what the caller changes in it.
func (d *demoProcess) kwargs(party int, data, id string) string {
	return fmt.Sprintf(`{"microprotocol": "SecureSum", "data": %s, "network": {"nodes": ["%s"], "uuid": "%s", "myself": %d}}`,
		data, strings.Join(d.urls, `", "`), id, party)
}

// give calls compute, which must succeed, and returns the representation of the result.
func (d *demoProcess) give(t *testing.T, party int, data, id string) string {
	t.Helper()
	a := d.compute(t, party, d.kwargs(party, data, id))
	if a.status != 200 || a.body["type"] != "uuid" {
		t.Fatalf("party %d: %d %s", party, a.status, a.message)
	}
	return a.body["uuid"].(string)
}

// download waits for the value of a representation.
func (d *demoProcess) download(t *testing.T, party int, representation string) reply {
	t.Helper()
	return send(t, "GET", d.urls[party]+"/representation/"+representation, strings.NewReader("{}"), asJSON)
}

// jobs is the text of all parties' lists of jobs.
func (d *demoProcess) jobs(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, url := range d.urls {
		b, err := json.Marshal(send(t, "GET", url+"/v1/jobs", nil).body)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(b)
	}
	return all.String()
}

// refused checks an answer that must be a refusal: its status, what its message says, and what it must not say.
func refused(t *testing.T, what string, a reply, status int, wants ...string) {
	t.Helper()
	if a.status != status {
		t.Errorf("%s: status %d, want %d: %s", what, a.status, status, a.message)
	}
	if a.message == "" || len(a.message) > 500 {
		t.Errorf("%s: the message has %d bytes", what, len(a.message))
	}
	for _, want := range wants {
		if !strings.Contains(a.message, want) {
			t.Errorf("%s: the message lacks %q: %s", what, want, a.message)
		}
	}
	whole := fmt.Sprint(a.body, a.header)
	for _, secret := range []string{private, "77412", "goroutine", ".go:"} {
		if strings.Contains(whole, secret) {
			t.Errorf("%s: the answer repeats %q: %s", what, secret, whole)
		}
	}
	switch code, old := a.body["code"]; {
	case old && (code != float64(status) || len(a.body) != 2):
		t.Errorf("%s: the error is %v, want code and message only", what, a.body)
	case !old && (a.body["status"] != float64(status) || a.reason == "" || a.header.Get("Content-Type") != "application/problem+json"):
		t.Errorf("%s: the problem is %v with %v", what, a.body, a.header)
	}
}

// strictDemo is a demo that logs everything; at the end its log is searched for data.
func strictDemo(t *testing.T, args ...string) *demoProcess {
	t.Helper()
	d := startDemo(t, append([]string{"--log-level", "debug"}, args...)...)
	t.Cleanup(func() {
		for _, line := range strings.Split(d.stdout.String()+d.stderr.String(), "\n") {
			if strings.Contains(line, private) {
				t.Errorf("the demo's log repeats data: %s", line)
			}
		}
	})
	return d
}

// badData are data that SecureSum cannot take: as Python, other languages or people write them.
var badData = []struct {
	name, data, field string // field: as the message must begin; empty for what is no JSON
	wants             []string
}{
	{"NaN", `NaN`, "", []string{"NaN is no number in JSON", "leave such values out", "at byte"}},
	{"NaN in a list", `[` + private + `, NaN]`, "", []string{"NaN is no number in JSON"}},
	{"Infinity", `Infinity`, "", []string{"Infinity is no number in JSON"}},
	{"-Infinity", `[` + private + `, -Infinity]`, "", []string{"-Infinity is no number in JSON"}},
	{"text", `"` + private + `"`, "data", []string{"is text, not a number"}},
	{"text in a list", `[1, "` + private + `"]`, "data[1]", []string{"is text, not a number", "remove the quotes"}},
	{"empty text", `""`, "data", []string{"is text"}},
	{"too large", `1e300`, "data", []string{"is out of range: |x| < 2.23e23"}},
	{"too large in a list", `[` + private + `, ` + private + `e50]`, "data[1]", []string{"|x| < 2.23e23", "choose a larger unit"}},
	{"beyond double", `1e400`, "data", []string{"|x| < 2.23e23"}},
	{"absurd exponent", private + `e999999999`, "data", []string{"|x| < 2.23e23"}},
	{"negative and too large", `-1e300`, "data", []string{"|x| < 2.23e23"}},
	{"too small", private + `e-40`, "data", []string{"is too small", "5e-21"}},
	{"too long", strings.Repeat(private[:5], 100), "data", []string{"more than 400 characters"}},
	{"null", `null`, "data", []string{"is null, not a number"}},
	{"null in a list", `[` + private + `, null]`, "data[1]", []string{"is null, not a number", "leave missing values out"}},
	{"true", `[true]`, "data[0]", []string{"is true or false, not a number"}},
	{"object", `{"age": ` + private + `}`, "data", []string{"is an object, not a number"}},
	{"nested garbage", `[[1, {"a": [[` + private + `, {"b": null}]]}]]`, "data[0][1]", []string{"is an object, not a number"}},
	{"three levels", `[[[` + private + `]]]`, "data[0][0]", []string{"is a list, not a number"}},
	{"ragged", `[[1, 2], [` + private + `]]`, "data[1]", []string{"fewer numbers than the 2"}},
	{"mixed", `[` + private + `, [1]]`, "data[1]", []string{"is a list, but data[0] is a number"}},
	{"empty row", `[[]]`, "data[0]", []string{"is an empty list"}},
	{"deep", strings.Repeat("[", 200) + private + strings.Repeat("]", 200), "", []string{"more than 64 lists and objects inside each other"}},
	{"no JSON number", `[` + private + `, 0x1F]`, "", []string{"no valid JSON"}},
	{"leading zero", `[007]`, "", []string{"no valid JSON"}},
	{"same key twice", `{"a": ` + private + `, "a": 1}`, "", []string{"the same key twice"}},
}

func TestBadDataIsRefusedAtOnce(t *testing.T) {
	d := strictDemo(t)
	before := d.jobs(t)
	for _, c := range badData {
		wants := c.wants
		if c.field != "" {
			wants = append([]string{c.field + ": "}, wants...)
		}
		a := d.compute(t, 0, d.kwargs(0, c.data, uuid.NewString()))
		refused(t, c.name+" by compute", a, 400, wants...)
		if c.field != "" && !strings.HasPrefix(a.message, c.field+": ") {
			t.Errorf("%s by compute: the message does not begin with the field %s: %s", c.name, c.field, a.message)
		}
		a = send(t, "POST", d.urls[0]+"/v1/jobs", strings.NewReader(`{"microprotocol":"SecureSum","data":`+c.data+`,"parties":["alice","bob","carol"]}`), asJSON)
		refused(t, c.name+" by /v1/jobs", a, 400, wants...)
		if a.field != c.field {
			t.Errorf("%s by /v1/jobs: the field is %q, want %q", c.name, a.field, c.field)
		}
		if a.header.Get("Location") != "" {
			t.Errorf("%s by /v1/jobs: there is a Location", c.name)
		}
	}
	if after := d.jobs(t); after != before {
		t.Errorf("jobs were made:\n%s\n%s", before, after)
	}
}

// badCalls are calls of compute that are wrong elsewhere than in the data. NODES, ALICE, BOB and UUID are replaced.
var badCalls = []struct {
	name, kwargs string
	status       int
	wants        []string
}{
	{"unknown microprotocol", `{"microprotocol": "SecureProduct", "data": 77412.53, "network": {"nodes": NODES, "uuid": UUID, "myself": 0}}`, 501,
		[]string{"microprotocol: ", `"SecureProduct" is not available`, "GET /v1/microprotocols"}},
	{"microprotocol in other letters", `{"microprotocol": "securesum", "data": 77412.53, "network": {"nodes": NODES, "uuid": UUID, "myself": 0}}`, 501,
		[]string{"microprotocol: ", "it is spelled SecureSum"}},
	{"microprotocol is a number", `{"microprotocol": 7, "data": 77412.53, "network": {"nodes": NODES, "uuid": UUID, "myself": 0}}`, 400,
		[]string{"microprotocol: it must be a text"}},
	{"unknown microprotocol beside bad data", `{"microprotocol": "SecureProduct", "data": "77412.53", "network": {"nodes": NODES, "uuid": UUID, "myself": 0}}`, 501,
		[]string{"microprotocol: "}},

	{"myself outside", `{"microprotocol": "SecureSum", "data": 77412.53, "network": {"nodes": NODES, "uuid": UUID, "myself": 3}}`, 400,
		[]string{"network.myself: it is outside the list of 3 nodes", "counted from 0", "it is 0"}},
	{"myself is another's", `{"microprotocol": "SecureSum", "data": 77412.53, "network": {"nodes": NODES, "uuid": UUID, "myself": 1}}`, 400,
		[]string{"network.myself: 1 is bob, but this is the gateway of alice: send 0 here"}},
	{"myself negative", `{"microprotocol": "SecureSum", "data": 77412.53, "network": {"nodes": NODES, "uuid": UUID, "myself": -1}}`, 400,
		[]string{"network.myself: it is outside the list"}},
	{"myself text", `{"microprotocol": "SecureSum", "data": 77412.53, "network": {"nodes": NODES, "uuid": UUID, "myself": "0"}}`, 400,
		[]string{"network.myself: it must be a whole number"}},
	{"myself half", `{"microprotocol": "SecureSum", "data": 77412.53, "network": {"nodes": NODES, "uuid": UUID, "myself": 0.5}}`, 400,
		[]string{"network.myself: it must be a whole number"}},
	{"myself huge", `{"microprotocol": "SecureSum", "data": 77412.53, "network": {"nodes": NODES, "uuid": UUID, "myself": 1e999999}}`, 400,
		[]string{"network.myself: it is outside the list"}},
	{"myself missing", `{"microprotocol": "SecureSum", "data": 77412.53, "network": {"nodes": NODES, "uuid": UUID}}`, 400,
		[]string{"network.myself: it is missing; for this gateway it is 0"}},

	{"unknown node", `{"microprotocol": "SecureSum", "data": 77412.53, "network": {"nodes": [ALICE, "http://127.0.0.1:9"], "uuid": UUID, "myself": 0}}`, 400,
		[]string{"network.nodes[1]: no party here has the name or gateway URL", "http://127.0.0.1:9", "known are alice"}},
	{"unknown name", `{"microprotocol": "SecureSum", "data": 77412.53, "network": {"nodes": ["alice", "bob", "mallory"], "uuid": UUID, "myself": 0}}`, 400,
		[]string{"network.nodes[2]: ", `"mallory"`}},
	{"node as a subject", `{"microprotocol": "SecureSum", "data": 77412.53, "network": {"nodes": ["alice", "bob.>", "*"], "uuid": UUID, "myself": 0}}`, 400,
		[]string{"network.nodes[1]: no party here"}},
	{"same node twice", `{"microprotocol": "SecureSum", "data": 77412.53, "network": {"nodes": [ALICE, BOB, "bob"], "uuid": UUID, "myself": 0}}`, 400,
		[]string{"network.nodes[2]: it names bob, as network.nodes[1] does"}},
	{"same node with and without a slash", `{"microprotocol": "SecureSum", "data": 77412.53, "network": {"nodes": [ALICE, SLASH], "uuid": UUID, "myself": 0}}`, 400,
		[]string{"network.nodes[1]: it names alice, as network.nodes[0] does"}},
	{"one node", `{"microprotocol": "SecureSum", "data": 77412.53, "network": {"nodes": [ALICE], "uuid": UUID, "myself": 0}}`, 400,
		[]string{"network.nodes: it names one node; list at least two"}},
	{"one node as text", `{"microprotocol": "SecureSum", "data": 77412.53, "network": {"nodes": ALICE, "uuid": UUID, "myself": 0}}`, 400,
		[]string{"network.nodes: it names one node"}},
	{"no node", `{"microprotocol": "SecureSum", "data": 77412.53, "network": {"nodes": [], "uuid": UUID, "myself": 0}}`, 400,
		[]string{"network.nodes: it is empty"}},
	{"without this one", `{"microprotocol": "SecureSum", "data": 77412.53, "network": {"nodes": ["bob", "carol"], "uuid": UUID, "myself": 0}}`, 400,
		[]string{"network.nodes: it does not name alice, whose gateway this is"}},
	{"node is a number", `{"microprotocol": "SecureSum", "data": 77412.53, "network": {"nodes": ["alice", 1], "uuid": UUID, "myself": 0}}`, 400,
		[]string{"network.nodes[1]: it must be a text"}},
	{"33 nodes", `{"microprotocol": "SecureSum", "data": 77412.53, "network": {"nodes": ["alice"` + strings.Repeat(`, "bob"`, 32) + `], "uuid": UUID, "myself": 0}}`, 400,
		[]string{"network.nodes: it names more than 32 nodes"}},

	{"uuid *", `{"microprotocol": "SecureSum", "data": 77412.53, "network": {"nodes": NODES, "uuid": "*", "myself": 0}}`, 400, []string{"network.uuid: it must be a UUID"}},
	{"uuid >", `{"microprotocol": "SecureSum", "data": 77412.53, "network": {"nodes": NODES, "uuid": ">", "myself": 0}}`, 400, []string{"network.uuid: it must be a UUID"}},
	{"uuid with a wildcard", `{"microprotocol": "SecureSum", "data": 77412.53, "network": {"nodes": NODES, "uuid": "387a7282-c380-44c9-aede-08da7e93193*", "myself": 0}}`, 400,
		[]string{"network.uuid: it must be a UUID"}},
	{"uuid with dots", `{"microprotocol": "SecureSum", "data": 77412.53, "network": {"nodes": NODES, "uuid": "387a7282.c380.44c9.aede.08da7e931931", "myself": 0}}`, 400,
		[]string{"network.uuid: it must be a UUID"}},
	{"uuid with spaces", `{"microprotocol": "SecureSum", "data": 77412.53, "network": {"nodes": NODES, "uuid": " 387a7282-c380-44c9-aede-08da7e931931 ", "myself": 0}}`, 400,
		[]string{"network.uuid: it must be a UUID"}},
	{"uuid with a line end", `{"microprotocol": "SecureSum", "data": 77412.53, "network": {"nodes": NODES, "uuid": "387a7282-c380-44c9-aede-08da7e93193\n", "myself": 0}}`, 400,
		[]string{"network.uuid: it must be a UUID"}},
	{"uuid in braces", `{"microprotocol": "SecureSum", "data": 77412.53, "network": {"nodes": NODES, "uuid": "{387a7282-c380-44c9-aede-08da7e931931}", "myself": 0}}`, 400,
		[]string{"network.uuid: it must be a UUID"}},
	{"uuid of 10 kB", `{"microprotocol": "SecureSum", "data": 77412.53, "network": {"nodes": NODES, "uuid": "` + strings.Repeat("387a7282", 1250) + `", "myself": 0}}`, 400,
		[]string{"network.uuid: it must be a UUID"}},
	{"uuid empty", `{"microprotocol": "SecureSum", "data": 77412.53, "network": {"nodes": NODES, "uuid": "", "myself": 0}}`, 400, []string{"network.uuid: it must be a UUID"}},
	{"uuid missing", `{"microprotocol": "SecureSum", "data": 77412.53, "network": {"nodes": NODES, "myself": 0}}`, 400, []string{"network.uuid: it is missing"}},
	{"uuid is a number", `{"microprotocol": "SecureSum", "data": 77412.53, "network": {"nodes": NODES, "uuid": 387, "myself": 0}}`, 400, []string{"network.uuid: it must be a UUID"}},

	{"network missing", `{"microprotocol": "SecureSum", "data": 77412.53}`, 400, []string{"compute(microprotocol, data, network", "the argument network is missing"}},
	{"network null", `{"microprotocol": "SecureSum", "data": 77412.53, "network": null}`, 400, []string{"network: it is missing", `"nodes"`, `"myself"`}},
	{"network empty", `{"microprotocol": "SecureSum", "data": 77412.53, "network": {}}`, 400, []string{"network: it is missing"}},
	{"network text", `{"microprotocol": "SecureSum", "data": 77412.53, "network": "alice,bob,carol"}`, 400, []string{"network: it must be an object"}},
	{"nodes missing", `{"microprotocol": "SecureSum", "data": 77412.53, "network": {"uuid": UUID, "myself": 0}}`, 400, []string{"network.nodes: it is missing"}},
	{"data missing", `{"microprotocol": "SecureSum", "network": {"nodes": NODES, "uuid": UUID, "myself": 0}}`, 400, []string{"the argument data is missing"}},
	{"unknown argument", `{"microprotocol": "SecureSum", "data": 77412.53, "netwrok": {}, "network": {"nodes": NODES, "uuid": UUID, "myself": 0}}`, 400,
		[]string{"compute(", `unknown argument "netwrok"`}},
	{"unknown parameter", `{"microprotocol": "SecureSum", "data": 77412.53, "network": {"nodes": NODES, "uuid": UUID, "myself": 0}, "parameters": {"colums": 1}}`, 400,
		[]string{"parameters.colums: is unknown; known are columns, limit_ms, round_ms"}},
	{"parameter of another kind", `{"microprotocol": "SecureSum", "data": 77412.53, "network": {"nodes": NODES, "uuid": UUID, "myself": 0}, "parameters": {"columns": "many"}}`, 400,
		[]string{"parameters.columns: must be an integer"}},
	{"columns against the data", `{"microprotocol": "SecureSum", "data": [[77412.53, 1]], "network": {"nodes": NODES, "uuid": UUID, "myself": 0}, "parameters": {"columns": 3}}`, 400,
		[]string{"data[0]: has fewer numbers than the 3 that parameters.columns says"}},
}

func TestBadCallsAreRefusedAtOnce(t *testing.T) {
	d := strictDemo(t)
	before := d.jobs(t)
	fill := func() *strings.Replacer {
		return strings.NewReplacer("NODES", `["`+strings.Join(d.urls, `", "`)+`"]`, "ALICE", `"`+d.urls[0]+`"`, "BOB", `"`+d.urls[1]+`"`,
			"SLASH", `"`+d.urls[0]+`/"`, "UUID", `"`+uuid.NewString()+`"`)
	}
	for _, c := range badCalls {
		began := time.Now()
		refused(t, c.name, d.compute(t, 0, fill().Replace(c.kwargs)), c.status, c.wants...)
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s: that took %s", c.name, took)
		}
	}
	// A tolerant spelling must not become an error: the slash at the end, an index as R writes it, the names of the parties.
	for _, kwargs := range []string{
		`{"microprotocol": "SecureSum", "data": "77412.53", "network": {"nodes": [SLASH, BOB], "uuid": UUID, "myself": 0.0}}`,
		`{"microprotocol": "SecureSum", "data": "77412.53", "network": {"nodes": ["alice", BOB], "uuid": UUID, "myself": 0}, "parameters": []}`,
	} {
		refused(t, "only the data", d.compute(t, 0, fill().Replace(kwargs)), 400, "data: is text")
	}
	if after := d.jobs(t); after != before {
		t.Errorf("jobs were made:\n%s\n%s", before, after)
	}
}

// The same for jobs as resources: the field is a member of its own.
func TestBadJobsAreRefusedAtOnce(t *testing.T) {
	d := strictDemo(t)
	before := d.jobs(t)
	for _, c := range []struct {
		name, body, field, reason string
		status                    int
		wants                     []string
	}{
		{"unknown microprotocol", `{"microprotocol":"SecureProduct","data":77412.53,"parties":["alice","bob"]}`, "microprotocol", "unknown-microprotocol", 501, []string{"SecureProduct", "GET /v1/microprotocols"}},
		{"unknown party", `{"microprotocol":"SecureSum","data":77412.53,"parties":["alice","mallory"]}`, "parties[1]", "invalid-parties", 400, []string{`"mallory"`, "known are"}},
		{"same party twice", `{"microprotocol":"SecureSum","data":77412.53,"parties":["alice","bob","alice"]}`, "parties[2]", "invalid-parties", 400, []string{"it names alice, as parties[0] does"}},
		{"one party", `{"microprotocol":"SecureSum","data":77412.53,"parties":["alice"]}`, "parties", "invalid-parties", 400, []string{"list at least two"}},
		{"33 parties", `{"microprotocol":"SecureSum","data":77412.53,"parties":["alice"` + strings.Repeat(`,"bob"`, 32) + `]}`, "parties", "invalid-parties", 400, []string{"more than 32"}},
		{"without this one", `{"microprotocol":"SecureSum","data":77412.53,"parties":["carol","bob"]}`, "parties", "invalid-parties", 400, []string{"it does not name alice"}},
		{"parties missing", `{"microprotocol":"SecureSum","data":77412.53}`, "parties", "invalid-parties", 400, []string{"parties: it is missing"}},
		{"data missing", `{"microprotocol":"SecureSum","parties":["alice","bob"]}`, "data", "invalid-data", 400, []string{"data: it is missing"}},
		{"uuid *", `{"microprotocol":"SecureSum","data":77412.53,"parties":["alice","bob"],"uuid":"*"}`, "uuid", "invalid-uuid", 400, []string{"uuid: it must be a UUID"}},
		{"uuid >", `{"microprotocol":"SecureSum","data":77412.53,"parties":["alice","bob"],"uuid":">"}`, "uuid", "invalid-uuid", 400, []string{"uuid: it must be a UUID"}},
		{"uuid with dots", `{"microprotocol":"SecureSum","data":77412.53,"parties":["alice","bob"],"uuid":"387a7282.c380.44c9.aede.08da7e931931"}`, "uuid", "invalid-uuid", 400, []string{"uuid: it must be a UUID"}},
		{"uuid of 10 kB", `{"microprotocol":"SecureSum","data":77412.53,"parties":["alice","bob"],"uuid":"` + strings.Repeat("x", 10_000) + `"}`, "uuid", "invalid-uuid", 400, []string{"uuid: it must be a UUID"}},
		{"deadline", `{"microprotocol":"SecureSum","data":77412.53,"parties":["alice","bob"],"deadline":"2h"}`, "deadline", "invalid-deadline", 400, []string{"from 1 second to 1 hour"}},
		{"parameters", `{"microprotocol":"SecureSum","data":77412.53,"parties":["alice","bob"],"parameters":"x"}`, "parameters", "invalid-parameters", 400, []string{"it must be an object"}},
		{"unknown field", `{"microprotocol":"SecureSum","data":77412.53,"parties":["alice","bob"],"self":0}`, "", "unknown-field", 400, []string{`unknown field "self"`, "deadline"}},
	} {
		a := send(t, "POST", d.urls[0]+"/v1/jobs", strings.NewReader(c.body), asJSON)
		refused(t, c.name, a, c.status, c.wants...)
		if a.field != c.field || a.reason != c.reason {
			t.Errorf("%s: field %q and reason %q, want %q and %q", c.name, a.field, a.reason, c.field, c.reason)
		}
	}
	if after := d.jobs(t); after != before {
		t.Errorf("jobs were made:\n%s\n%s", before, after)
	}
}

func TestBrokenJSONIsRefused(t *testing.T) {
	d := strictDemo(t)
	before := d.jobs(t)
	good := `{"args": [], "kwargs": ` + d.kwargs(0, private, uuid.NewString()) + `}`
	job := `{"microprotocol":"SecureSum","data":` + private + `,"parties":["alice","bob","carol"]}`
	for _, c := range []struct {
		name string
		edit func(string) string
		want string
	}{
		{"nothing", func(string) string { return "" }, "it is empty"},
		{"space", func(string) string { return " \n" }, "it is empty"},
		{"cut off", func(s string) string { return s[:len(s)-1] }, "a comma or } was expected"},
		{"cut in a text", func(s string) string { return s[:strings.Index(s, "SecureSum")+3] }, "a text does not end"},
		{"twice", func(s string) string { return s + s }, "something follows the value"},
		{"a comma too many", func(s string) string { return strings.Replace(s, "}", ",}", 1) }, "a key in quotes was expected"},
		{"single quotes", func(s string) string { return strings.ReplaceAll(s, `"`, `'`) }, "a key in quotes was expected"},
		{"not UTF-8", func(s string) string { return strings.Replace(s, "SecureSum", "Secure\xffSum", 1) }, "not valid UTF-8"},
		{"half a surrogate pair", func(s string) string { return strings.Replace(s, "SecureSum", `\ud800`, 1) }, "half a surrogate pair"},
		{"data twice", func(s string) string { return strings.Replace(s, `"data"`, `"data": 1, "data"`, 1) }, "the same key twice"},
		{"data twice in disguise", func(s string) string { return strings.Replace(s, `"data"`, `"data": 1, "d\u0061ta"`, 1) }, "the same key twice"},
		{"a list", func(s string) string { return "[" + s + "]" }, "the body must be a JSON object"},
		{"a number", func(string) string { return private }, "the body must be a JSON object"},
		{"a text", func(string) string { return `"` + private + `"` }, "the body must be a JSON object"},
		{"null", func(string) string { return "null" }, "the body must be a JSON object"},
	} {
		refused(t, c.name+" by compute", d.patchCompute(t, 0, c.edit(good)), 400, c.want)
		refused(t, c.name+" by /v1/jobs", send(t, "POST", d.urls[0]+"/v1/jobs", strings.NewReader(c.edit(job)), asJSON), 400, c.want)
		refused(t, c.name+" by create", send(t, "POST", d.urls[0]+"/representations", strings.NewReader(c.edit(good)), asJSON), 400, c.want)
	}
	twice := strings.Replace(d.kwargs(0, private, uuid.NewString()), `"myself": 0`, `"myself": 0, "myself": 0`, 1)
	refused(t, "myself twice", d.compute(t, 0, twice), 400, "the same key twice")
	refused(t, "kwargs twice", d.patchCompute(t, 0, `{"kwargs": {}, `+good[1:]), 400, "the same key twice")
	refused(t, "args is an object", d.patchCompute(t, 0, `{"args": {"a": 1}}`), 400, "args must be a list")
	refused(t, "kwargs is a list", d.patchCompute(t, 0, `{"kwargs": [`+private+`]}`), 400, "kwargs must be an object")
	if after := d.jobs(t); after != before {
		t.Errorf("jobs were made:\n%s\n%s", before, after)
	}
}

// zeros is a JSON list that is as long as wanted, and costs no memory.
type zeros struct{ begun bool }

func (z *zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	if !z.begun && len(p) > 0 {
		p[0], z.begun = '[', true
	}
	return len(p), nil
}

func TestABodyOverTheLimitIsRefused(t *testing.T) {
	t.Parallel()
	const limit = 64 << 20
	d := strictDemo(t)
	before := d.jobs(t)
	compute := d.function(t, 0)
	for _, c := range []struct{ method, path string }{
		{"PATCH", "/representation/" + compute}, {"POST", "/v1/jobs"}, {"PUT", "/representations"},
	} {
		// Announced: refused before a byte of it is sent, for a client that asks first, as curl does.
		a := send(t, c.method, d.urls[0]+c.path, io.LimitReader(&zeros{}, limit+1), asJSON, fmt.Sprintf("Content-Length: %d", limit+1), "Expect: 100-continue")
		refused(t, c.method+" announced", a, 413, "67108864 bytes")
		// Not announced: refused when the limit is passed.
		a = send(t, c.method, d.urls[0]+c.path, io.LimitReader(&zeros{}, limit+1), asJSON)
		refused(t, c.method+" in chunks", a, 413, "67108864 bytes")
	}
	// One byte less is read to its end, and is an open list.
	a := send(t, "POST", d.urls[0]+"/v1/jobs", io.LimitReader(&zeros{}, limit), asJSON)
	refused(t, "64 MiB", a, 400, "no valid JSON", fmt.Sprintf("at byte %d", limit))
	if after := d.jobs(t); after != before {
		t.Errorf("jobs were made:\n%s\n%s", before, after)
	}
}

// Web pages: the demo allows all of them, but a request from one must be JSON, which a browser does not send to a foreign
// server without asking it first. A foreign name in the Host header is one that an attacker bound to this address.
func TestForeignHostsAndOrigins(t *testing.T) {
	d := strictDemo(t)
	before := d.jobs(t)
	const page = "Origin: https://evil.example"
	url, host := d.urls[0], strings.TrimPrefix(d.urls[0], "http://")
	bad := func() io.Reader {
		return strings.NewReader(`{"microprotocol":"SecureSum","data":"` + private + `","parties":["alice","bob"]}`)
	}

	for _, name := range []string{"evil.example", "evil.example" + host[strings.LastIndex(host, ":"):], "127.0.0.1.evil.example", "10.0.0.1"} {
		for _, c := range []struct{ method, path string }{{"GET", "/representations"}, {"POST", "/representations"}, {"GET", "/v1/jobs"}, {"POST", "/v1/jobs"}} {
			refused(t, c.method+" "+c.path+" at "+name, send(t, c.method, url+c.path, bad(), asJSON, "Host: "+name), 421, name, "add the name to the hosts")
		}
	}
	for _, name := range []string{host, "127.0.0.1", "localhost", "LOCALHOST:80", "[::1]:80"} {
		if a := send(t, "GET", url+"/v1/jobs", nil, "Host: "+name); a.status != 200 {
			t.Errorf("Host %s: %d %s", name, a.status, a.message)
		}
	}
	if a := send(t, "GET", url+"/healthz", nil, "Host: evil.example"); a.status != 200 {
		t.Errorf("/healthz under a foreign name: %d %s", a.status, a.message)
	}

	for _, c := range []struct {
		name    string
		status  int
		want    string
		headers []string
	}{
		{"a page with JSON", 400, "data: is text", []string{page, asJSON}},
		{"a page with JSON in UTF-8", 400, "data: is text", []string{page, asJSON + "; charset=utf-8"}},
		{"a page with a text", 403, "must have Content-Type: application/json", []string{page, "Content-Type: text/plain"}},
		{"a page with a form", 403, "must have Content-Type: application/json", []string{page, "Content-Type: application/x-www-form-urlencoded"}},
		{"a page without a type", 403, "must have Content-Type: application/json", []string{page}},
		{"a sandboxed page", 403, "must have Content-Type: application/json", []string{"Origin: null", "Content-Type: text/plain"}},
		{"a program with a text", 415, "Content-Type: application/json", []string{"Content-Type: text/plain"}},
		{"a program without a type", 400, "data: is text", nil},
	} {
		a := send(t, "POST", url+"/v1/jobs", bad(), c.headers...)
		refused(t, c.name, a, c.status, c.want)
		if got := a.header.Get("Access-Control-Allow-Origin"); got != "*" {
			t.Errorf("%s: Access-Control-Allow-Origin is %q on an error", c.name, got)
		}
		a = send(t, "PATCH", url+"/representation/"+d.function(t, 0), strings.NewReader(`{"args": [], "kwargs": `+d.kwargs(0, `"`+private+`"`, uuid.NewString())+`}`), c.headers...)
		refused(t, c.name+" by compute", a, c.status, c.want)
	}
	a := send(t, "OPTIONS", url+"/representations", nil, page, "Access-Control-Request-Method: PATCH", "Access-Control-Request-Headers: content-type")
	if a.status != 204 || a.header.Get("Access-Control-Allow-Origin") != "*" || a.header.Get("Access-Control-Allow-Methods") != "GET,PUT,POST,PATCH,DELETE" ||
		a.header.Get("Access-Control-Allow-Headers") != "Content-Type, Authorization" || a.header.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("preflight: %d %v", a.status, a.header)
	}
	if after := d.jobs(t); after != before {
		t.Errorf("jobs were made:\n%s\n%s", before, after)
	}
}
