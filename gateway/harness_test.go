package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/weftmpc/weft/broker/brokertest"
	"github.com/weftmpc/weft/jobs"
	"github.com/weftmpc/weft/jobs/objects"
	"github.com/weftmpc/weft/simon"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// A goroutine of nats.go v1.55.0 stays when a connection is closed in the moment in which it begins to publish asynchronously.
		goleak.IgnoreTopFunction("github.com/nats-io/nats.go/jetstream.(*jetStream).resetPendingAcksOnReconnect"),
		// The embedded server of the tests shares these over its life in the process.
		goleak.IgnoreTopFunction("github.com/nats-io/nats-server/v2/server.(*ipQueue[...]).pop"),
	)
}

const (
	computation = "b8a3a5ac-1ad0-4d6c-9d1e-0d7d3f0f5b3c"
	secretValue = "48151623" // no answer and no log line may contain it
)

// party is a gateway over real stores, with a node that the test plays.
type party struct {
	t       testing.TB
	broker  *brokertest.PrivateBroker
	jobs    *jobs.Store
	objects *objects.Store
	gateway *Gateway
	server  *httptest.Server
	log     *buffer
}

// buffer collects a log that several goroutines write.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// noParameters are the canonical parameters of a client that gives none.
const noParameters = `{"limit_ms":120000,"round_ms":20000}`

// addThem is a microprotocol with what the gateway must cope with: data and parameters that it refuses, and defects.
func addThem(name string, least, most int) simon.Microprotocol {
	return simon.Microprotocol{
		Name: name, Version: 3, Summary: "Adds.", MinParties: least, MaxParties: most, Leakage: "nothing", Round: 20 * time.Second, Limit: 2 * time.Minute,
		Input: json.RawMessage(`{"type":"array"}`),
		Prepare: func(data io.Reader, parameters json.RawMessage, _ simon.Guard) (simon.Prepared, error) {
			raw, err := io.ReadAll(data)
			if err != nil {
				return simon.Prepared{}, err
			}
			var numbers []json.Number
			if err := json.Unmarshal(raw, &numbers); err != nil {
				return simon.Prepared{}, &simon.InputError{Path: "data[3]", Reason: "a number was expected"}
			}
			for _, n := range numbers {
				switch n.String() {
				case "666":
					panic("defect with " + secretValue)
				case "667":
					return simon.Prepared{}, errors.New("defect with " + secretValue)
				}
			}
			if bytes.Contains(parameters, []byte("bad")) {
				return simon.Prepared{}, &simon.InputError{Path: "parameters.bad", Reason: "unknown"}
			}
			canonical := map[string]json.RawMessage{"round_ms": json.RawMessage("20000"), "limit_ms": json.RawMessage("120000")}
			if parameters != nil {
				if err := json.Unmarshal(parameters, &canonical); err != nil {
					return simon.Prepared{}, err
				}
			}
			all, err := json.Marshal(canonical)
			return simon.Prepared{Parameters: all, Layout: [32]byte{7}, Input: raw}, err
		},
	}
}

func manyParties(n int) []Party {
	list := []Party{
		{"alice", []string{"http://127.0.0.1:55501", "https://alice.example/weft/"}},
		{"bob", []string{"http://127.0.0.1:55502"}},
		{"carol", []string{"http://127.0.0.1:55503"}},
	}
	for i := len(list); i < n; i++ {
		list = append(list, Party{fmt.Sprintf("party-%02d", i), nil})
	}
	return list
}

func newParty(t testing.TB, change func(*Config)) *party {
	t.Helper()
	p := &party{t: t, broker: brokertest.Private(t), log: &buffer{}}
	p.open(change)
	t.Cleanup(p.close)
	return p
}

// open starts stores, gateway and server over the broker as it is.
func (p *party) open(change func(*Config)) {
	p.t.Helper()
	logger := slog.New(slog.NewTextHandler(p.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var err error
	if p.jobs, err = jobs.Open(p.t.Context(), p.broker.Conn, jobs.Options{Logger: logger, Alone: true}); err != nil {
		p.t.Fatal(err)
	}
	if p.objects, err = objects.Open(p.t.Context(), p.broker.Conn, objects.Options{Logger: logger}); err != nil {
		p.t.Fatal(err)
	}
	directory, err := NewDirectory("alice", manyParties(40), true)
	if err != nil {
		p.t.Fatal(err)
	}
	c := Config{
		Catalogue: []simon.Microprotocol{addThem("Add", 2, 0), addThem("AddTwo", 2, 2), addThem("AddMany", 3, 4)},
		Jobs:      p.jobs, Objects: p.objects, Directory: directory, Key: []byte("0123456789abcdef0123456789abcdef"), Version: "1.2.3", Logger: logger,
	}
	if change != nil {
		change(&c)
	}
	if p.gateway, err = New(c); err != nil {
		p.t.Fatal(err)
	}
	p.server = httptest.NewUnstartedServer(nil)
	p.server.Config = p.gateway.server()
	p.server.Start()
}

func (p *party) close() {
	p.gateway.Drain()
	p.server.Close()
	p.objects.Close()
	p.jobs.Close()
}

// restart is what a crash and a new start leave: the stores' contents and nothing else.
func (p *party) restart() {
	p.t.Helper()
	p.close()
	p.broker.Restart(p.t)
	p.open(nil)
}

type answer struct {
	code   int
	header http.Header
	body   string
}

// do sends a request; header holds "Name: value" lines.
func (p *party) do(method, path, body string, header ...string) answer {
	p.t.Helper()
	a, err := p.try(p.t.Context(), method, path, body, header...)
	if err != nil {
		p.t.Fatal(err)
	}
	return a
}

func (p *party) try(ctx context.Context, method, path, body string, header ...string) (answer, error) {
	r, err := http.NewRequestWithContext(ctx, method, p.server.URL+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	r.Header.Set("Content-Type", "application/json")
	for _, h := range header {
		name, value, _ := strings.Cut(h, ": ")
		switch {
		case name == "Host":
			r.Host = value
		case value == "":
			r.Header.Del(name)
		default:
			r.Header.Set(name, value)
		}
	}
	res, err := p.server.Client().Transport.RoundTrip(r)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err == nil {
		checkAnswer(p.t, r, res, b)
	}
	return answer{res.StatusCode, res.Header, string(b)}, err
}

// want checks an answer: status, a part of the body, and that it is JSON.
func (p *party) want(a answer, code int, part string) {
	p.t.Helper()
	if a.code != code || !strings.Contains(a.body, part) {
		p.t.Errorf("%d %s\nwant %d with %s", a.code, a.body, code, part)
	}
	if code != http.StatusNoContent && !json.Valid([]byte(a.body)) {
		p.t.Errorf("no JSON: %q", a.body)
	}
}

// uuid sends a request whose answer is a representation.
func (p *party) uuid(method, path, body string) string {
	p.t.Helper()
	a := p.do(method, path, body)
	var v struct{ Type, UUID string }
	if err := json.Unmarshal([]byte(a.body), &v); err != nil || a.code != 200 || v.Type != "uuid" {
		p.t.Fatalf("%s %s: %d %s, want a representation", method, path, a.code, a.body)
	}
	if _, err := uuid.Parse(v.UUID); err != nil {
		p.t.Fatal(err)
	}
	return v.UUID
}

// member is the representation of a member of Simon, by the requests that the official clients send.
func (p *party) member(name string) string {
	p.t.Helper()
	return p.uuid("GET", "/representation/"+p.uuid("POST", "/representations", `{"args":[],"kwargs":{"protocol":"Simon"}}`)+"/"+name, "{}")
}

// network is three parties, as alice sees them.
const network3 = `{"nodes":["http://127.0.0.1:55501","http://127.0.0.1:55502/","http://localhost:55503"],"uuid":"` + computation + `","myself":0}`

func kwargs(pairs ...string) string {
	var b strings.Builder
	for i := 0; i < len(pairs); i += 2 {
		fmt.Fprintf(&b, ",%q:%s", pairs[i], pairs[i+1])
	}
	return `{"args":[],"kwargs":{` + b.String()[1:] + `}}`
}

// compute submits a job of three parties and returns its representation.
func (p *party) compute() string {
	p.t.Helper()
	return p.uuid("PATCH", "/representation/"+p.member("compute"), kwargs("microprotocol", `"Add"`, "data", `[1,2.50]`, "network", network3))
}

// move is the node's part: it brings a job into further states.
func (p *party) move(id string, f func(*jobs.Job), to ...jobs.State) jobs.Job {
	p.t.Helper()
	var j jobs.Job
	var err error
	for i, state := range to {
		j, err = p.jobs.Change(p.t.Context(), uuid.MustParse(id), func(j jobs.Job) (jobs.Job, error) {
			j, err := j.Move(state)
			if err == nil && f != nil && i == len(to)-1 {
				f(&j)
			}
			return j, err
		})
		if err != nil {
			p.t.Fatal(err)
		}
	}
	return j
}

// finish lets the job end with a result.
func (p *party) finish(id, result string) {
	p.t.Helper()
	body, err := p.jobs.Put(p.t.Context(), []byte(result))
	if err != nil {
		p.t.Fatal(err)
	}
	p.move(id, func(j *jobs.Job) { j.Result = body }, jobs.Waiting, jobs.Started, jobs.Committed, jobs.Done)
}

// count is how many jobs and objects are stored.
func (p *party) count() (n int) {
	p.t.Helper()
	js, err := p.jobs.List(p.t.Context(), "")
	if err != nil {
		p.t.Fatal(err)
	}
	os, err := p.objects.List(p.t.Context(), anyone)
	if err != nil {
		p.t.Fatal(err)
	}
	return len(js) + len(os)
}

// newServer serves the party's gateway with other time-outs.
func newServer(p *party, change func(*http.Server)) *httptest.Server {
	s := httptest.NewUnstartedServer(nil)
	s.Config = p.gateway.server()
	change(s.Config)
	s.Start()
	return s
}
