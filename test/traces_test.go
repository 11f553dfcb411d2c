package test

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// otlpServer is a collector: it takes OTLP over HTTP.
type otlpServer struct {
	*httptest.Server
	t        *testing.T
	mu       sync.Mutex
	spans    []otlpSpan
	raw      bytes.Buffer // all that came, decompressed
	refusing bool
}

// otlpSpan is a span and the party whose node it comes from.
type otlpSpan struct {
	*otlp.Span
	party string
}

const collectorToken = "collector-s3cret-71"

func newOTLPServer(t *testing.T) *otlpServer {
	c := &otlpServer{t: t}
	c.Server = httptest.NewServer(c)
	t.Cleanup(c.Close)
	return c
}

func (c *otlpServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != "POST" || r.URL.Path != "/v1/traces" || r.Header.Get("Authorization") != "Bearer "+collectorToken {
		c.t.Errorf("the collector is asked %s %s with authorization %q", r.Method, r.URL, r.Header.Get("Authorization"))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refusing {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	z, err := gzip.NewReader(r.Body)
	if err != nil {
		c.t.Error(err)
		return
	}
	b, err := io.ReadAll(z)
	var q collector.ExportTraceServiceRequest
	if err == nil {
		err = proto.Unmarshal(b, &q)
	}
	if err != nil {
		c.t.Error(err)
		return
	}
	c.raw.Write(b)
	for _, from := range q.ResourceSpans {
		party := otlpAttribute(from.Resource.Attributes, "service.instance.id")
		for _, scope := range from.ScopeSpans {
			for _, s := range scope.Spans {
				c.spans = append(c.spans, otlpSpan{s, party})
			}
		}
	}
}

func otlpAttribute(list []*common.KeyValue, key string) string {
	for _, a := range list {
		if a.Key == key {
			return a.Value.GetStringValue()
		}
	}
	return ""
}

func (s otlpSpan) attribute(key string) string { return otlpAttribute(s.Attributes, key) }

// of are the party's spans with an attribute; the others of their traces are by.
func (c *otlpServer) of(party, name, key, value string) []otlpSpan {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []otlpSpan
	for _, s := range c.spans {
		if s.party == party && s.Name == name && s.attribute(key) == value {
			list = append(list, s)
		}
	}
	return list
}

// tree is a trace as text: a span in a line, below its parent, siblings by their beginnings. Hops and keys are once each.
func (c *otlpServer) tree(trace []byte) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	below := map[string][]otlpSpan{}
	known := map[string]bool{}
	for _, s := range c.spans {
		if bytes.Equal(s.TraceId, trace) {
			known[string(s.SpanId)] = true
			below[string(s.ParentSpanId)] = append(below[string(s.ParentSpanId)], s)
		}
	}
	var b strings.Builder
	var write func(parent, indent string)
	write = func(parent, indent string) {
		list := below[parent]
		slices.SortFunc(list, func(a, b otlpSpan) int { return int(int64(a.StartTimeUnixNano) - int64(b.StartTimeUnixNano)) })
		seen := map[string]bool{}
		for _, s := range list {
			if (s.Name == "hop" || s.Name == "key") && seen[s.Name] {
				continue
			}
			seen[s.Name] = true
			fmt.Fprintf(&b, "%s%s\n", indent, s.Name)
			write(string(s.SpanId), indent+"  ")
		}
	}
	for _, parent := range slices.Sorted(maps.Keys(below)) {
		if !known[parent] {
			write(parent, "")
		}
	}
	return b.String()
}

// trace has parties send their spans to the collector, with its token from a file.
func (r *rack) trace(endpoint string, parties ...string) {
	r.t.Helper()
	for _, party := range parties {
		must(r.t, os.WriteFile(r.path(party, "collector.txt"), []byte("# of the collector\nAuthorization: Bearer "+collectorToken+"\n"), 0o600))
		r.rewrite(party, "node.yaml", `endpoint: ""`, "endpoint: "+endpoint+"/v1/traces")
		r.rewrite(party, "node.yaml", `headers_file: ""`, "headers_file: collector.txt")
	}
}

// A computation is one trace at each party that has a collector, from the request to the result; two parties have two, and
// one without a collector takes part in none. What is exported has no data, no tokens and no names of files. A request that
// an earlier process has taken and a later one works on is one trace.
func TestTraces(t *testing.T) {
	t.Parallel()
	const secret, name = "48151623", "needle-in-a-file.json"
	c := newOTLPServer(t)
	r := prepareRack(t, rackOptions{})
	must(t, os.MkdirAll(r.path("alice", "secret-folder"), 0o700))
	must(t, os.WriteFile(r.path("alice", "secret-folder", name), []byte(secret), 0o600))
	r.rewrite("alice", "node.yaml", `files: ""`, "files: secret-folder")
	r.trace(c.URL, "alice", "bob")
	r.start()
	k := r.sum(time.Minute)
	k.data["bob"] = "2"
	body := strings.Replace(k.body("alice", r.parties), `"data":1`, `"file":"`+name+`"`, 1)
	var posted jobReport
	must(t, r.ask(t.Context(), "alice", "POST", "/v1/jobs", body, http.StatusAccepted, &posted))
	all := r.give(k, "bob", "carol")
	all["alice"] = posted
	r.wantSum(r.ended(all), "48151628")

	waits := r.sum(5 * time.Minute)
	again := r.give(waits, "alice")
	r.comesTo("alice", again["alice"].ID, "waiting")
	await(t, "the request's span is exported", func() bool {
		return len(c.of("alice", "POST /v1/jobs", "weft.job", again["alice"].ID.String())) == 1
	})
	r.restart("alice")
	maps.Copy(again, r.give(waits, "bob", "carol"))
	r.wantSum(r.ended(again), "6")
	for _, party := range r.parties { // which sends what is left
		r.procs[party].stop()
	}

	const whole = "POST /v1/jobs\n  prepare\n  store\n  job\n    attempt\n      join\n        start\n      compute\n        HOPS      commit\n      confirm\n      result\n"
	ids := map[string]bool{}
	for _, x := range []struct {
		party string
		job   jobReport
	}{{"alice", all["alice"]}, {"bob", all["bob"]}, {"alice", again["alice"]}} {
		list := c.of(x.party, "job", "weft.job", x.job.ID.String())
		if len(list) != 1 {
			t.Fatalf("%s: %d spans of the job", x.party, len(list))
		}
		ids[hex.EncodeToString(list[0].TraceId)] = true
		tree := c.tree(list[0].TraceId)
		flat := strings.NewReplacer("        key\n", "", "        hop\n", "        HOPS").Replace(tree)
		if flat != whole {
			t.Errorf("%s: the trace is\n%s", x.party, tree)
		}
		log := r.procs[x.party].log.String()
		if !strings.Contains(log, "trace_id="+hex.EncodeToString(list[0].TraceId)) {
			t.Errorf("the log of %s lacks the trace", x.party)
		}
	}
	if len(ids) != 3 {
		t.Errorf("%d traces, want 3", len(ids))
	}
	if list := c.of("carol", "job", "weft.state", "done"); len(list) > 0 || strings.Contains(r.procs["carol"].log.String(), "trace_id") {
		t.Error("carol traces")
	}
	for id := range ids {
		for _, other := range []string{"carol", memberCoordinator, memberHub} {
			if strings.Contains(r.procs[other].log.String(), id) {
				t.Errorf("%s knows the trace %s", other, id)
			}
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, needle := range []string{secret, "48151628", name, "secret-folder", r.dir, collectorToken, "node.yaml", "samples"} {
		if bytes.Contains(c.raw.Bytes(), []byte(needle)) {
			t.Errorf("what is exported has %s", needle)
		}
	}
	if !bytes.Contains(c.raw.Bytes(), []byte(all["alice"].UUID.String())) {
		t.Error("what is exported lacks the computation: the needles prove nothing")
	}
}

// A collector that takes nothing, and one that is not there, are told in the log and change nothing else: computations go
// on, and the end of the process waits for neither.
func TestTracesWithoutCollector(t *testing.T) {
	t.Parallel()
	c := newOTLPServer(t)
	c.refusing = true
	r := prepareRack(t, rackOptions{})
	r.trace(c.URL, "alice")
	r.trace("http://"+freeAddress(t), "bob")
	r.start()
	for range 3 {
		r.wantSum(r.sumAll("1", "2", "3"), "6")
	}
	r.procs["bob"].says("spans cannot be sent; computations go on without")
	for _, party := range []string{"alice", "bob"} {
		began := time.Now()
		r.procs[party].stop()
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("the end of %s took %s", party, took)
		}
		log := r.procs[party].life()
		for line := range strings.Lines(log) {
			if !strings.HasPrefix(line, "time=") || strings.Contains(line, collectorToken) {
				t.Errorf("%s says %s", party, line)
			}
		}
		if n := strings.Count(log, "spans cannot be sent"); n > 1 {
			t.Errorf("%s says %d times within a minute that spans cannot be sent", party, n)
		}
	}
}
