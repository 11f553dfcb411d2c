package gateway

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

const (
	clientTrace  = "4bf92f3577b34da6a3ce929d0e0e4736" // of the examples of W3C Trace Context
	clientParent = "00-" + clientTrace + "-00f067aa0ba902b7-01"
)

// recorder collects spans.
func recorder() (*tracetest.InMemoryExporter, trace.Tracer) {
	all := tracetest.NewInMemoryExporter()
	return all, sdk.NewTracerProvider(sdk.WithSyncer(all)).Tracer("test")
}

// spans are those of the request that do has made since the last call: its own last. A request's span ends a moment after its
// answer.
func (p *party) spans(all *tracetest.InMemoryExporter, n int) []tracetest.SpanStub {
	p.t.Helper()
	for until := time.Now().Add(20 * time.Second); len(all.GetSpans()) < n && time.Now().Before(until); {
		p.do("GET", "/healthz", "")
	}
	list := all.GetSpans()
	all.Reset()
	if len(list) != n {
		p.t.Fatalf("%d spans, want %d: %v", len(list), n, list)
	}
	return list
}

func attributes(s tracetest.SpanStub) string {
	var b strings.Builder
	for _, a := range s.Attributes {
		fmt.Fprintf(&b, "%s=%s ", a.Key, a.Value.String())
	}
	return b.String()
}

// A request of a known caller has a span with what it was and what came of it, and a trace of this gateway's own, whatever the
// client sends. Requests of others have none. No span has data, names of files, of callers, or tokens.
func TestRequestsAreTraced(t *testing.T) {
	all, tracer := recorder()
	p, who := newGuarded(t, func(c *Config) { c.Tracer = tracer })
	job := p.jobOf("token:analyst")
	all.Reset()
	body := `{"microprotocol":"Add","data":[` + secretValue + `],"parties":["alice","bob"]}`
	for _, x := range []struct {
		method, path, body, name, span, want string
		below                                int
		failed                               bool
	}{
		{"POST", "/v1/jobs", body, "analyst", "POST /v1/jobs", "http.request.method=POST http.route=/v1/jobs weft.role=analyst weft.job=ID http.response.status_code=202", 2, false},
		{"POST", "/v1/jobs", strings.Replace(body, secretValue, `"`+secretValue+`"`, 1), "analyst", "POST /v1/jobs", "http.response.status_code=202", 2, false},
		{"POST", "/v1/jobs", strings.Replace(body, "["+secretValue, `[[`+secretValue+`]`, 1), "analyst", "POST /v1/jobs", "http.response.status_code=400", 1, false},
		{"POST", "/v1/jobs", strings.Replace(body, secretValue, "666", 1), "admin", "POST /v1/jobs", "weft.role=admin http.response.status_code=500", 1, true},
		{"POST", "/v1/jobs", body, "viewer", "POST /v1/jobs", "weft.role=viewer http.response.status_code=403", 0, false},
		{"GET", "/v1/jobs/" + job, "", "analyst", "GET /v1/jobs/{id}", "http.route=/v1/jobs/{id} weft.role=analyst http.response.status_code=200", 0, false},
		{"GET", "/v1/jobs/" + secretValue, "", "analyst", "GET /v1/jobs/{id}", "http.response.status_code=404", 0, false},
		{"DELETE", "/representation/" + secretValue, "", "analyst", "DELETE /representation/{id}", "http.response.status_code=404", 0, false},
	} {
		p.log.lines()
		p.do(x.method, x.path, x.body, who.as(x.name), "Traceparent: "+clientParent, "Tracestate: x="+secretValue)
		list := p.spans(all, 1+x.below)
		own := list[x.below]
		got := attributes(own)
		if own.Name != x.span || own.SpanKind != trace.SpanKindServer {
			t.Errorf("%s %s: the span is called %s", x.method, x.path, own.Name)
		}
		for _, part := range strings.Fields(x.want) {
			if part, _, _ = strings.Cut(part, "ID"); !strings.Contains(got, part) {
				t.Errorf("%s %s: the span says %s, and not %s", x.method, x.path, got, part)
			}
		}
		if failed := own.Status.Code == codes.Error; failed != x.failed {
			t.Errorf("%s %s: failed is %v", x.method, x.path, failed)
		}
		if own.SpanContext.TraceID().String() == clientTrace || own.Parent.IsValid() || len(own.Links) != 1 || own.Links[0].SpanContext.TraceID().String() != clientTrace || own.Links[0].SpanContext.TraceState().Len() != 0 {
			t.Errorf("%s %s: trace %s below %v with links %v", x.method, x.path, own.SpanContext.TraceID(), own.Parent, own.Links)
		}
		for _, s := range list[:x.below] {
			if s.Parent.SpanID() != own.SpanContext.SpanID() {
				t.Errorf("%s %s: %s does not hang below", x.method, x.path, s.Name)
			}
		}
		if text := fmt.Sprintf("%+v", list); strings.Contains(text, secretValue) || strings.Contains(text, "weft_") || strings.Contains(text, "token:") {
			t.Errorf("%s %s: the spans say too much: %s", x.method, x.path, text)
		}
		if x.method != "GET" && !strings.Contains(p.log.String(), " trace_id="+own.SpanContext.TraceID().String()+" span_id="+own.SpanContext.SpanID().String()) {
			t.Errorf("%s %s: the log lacks the trace: %s", x.method, x.path, p.log)
		}
	}
	for _, path := range []string{"/v1/jobs", "/openapi.yaml", "/healthz", "/nothing"} {
		p.do("GET", path, "", who.as("nobody"), "Traceparent: "+clientParent)
	}
	p.do("GET", "/v1/jobs", "", "Authorization: Bearer weft_"+secretValue)
	p.do("GET", "/metrics", "", who.as("viewer"))
	p.do("GET", "/v1/me", "", who.as("viewer"))
	if own := p.spans(all, 1)[0]; own.Name != "GET /v1/me" || len(own.Links) != 0 {
		t.Errorf("%s %v", own.Name, own.Links)
	}
}

// The job's record has the place of its request's span, for the node; without traces it has none. Headers that are no
// traceparent are as none.
func TestJobRecordNamesItsRequestsSpan(t *testing.T) {
	all, tracer := recorder()
	p := newParty(t, func(c *Config) { c.Tracer = tracer })
	v := p.post(`{"microprotocol":"Add","data":[1],"parties":["alice","bob"]}`)
	list := p.spans(all, 3)
	own := list[2]
	j, err := p.jobs.Get(context.Background(), v.ID)
	if err != nil || list[0].Name != "prepare" || list[1].Name != "store" {
		t.Fatal(err, list)
	}
	if trace.TraceID(j.Trace.ID) != own.SpanContext.TraceID() || trace.SpanID(j.Trace.Span) != own.SpanContext.SpanID() || j.Trace.Flags != 1 {
		t.Errorf("the record has %x, the request's span is %v", j.Trace, own.SpanContext)
	}
	for _, header := range []string{"", "00-" + clientTrace, strings.ToUpper(clientParent), "00-" + strings.Repeat("0", 32) + "-00f067aa0ba902b7-01", secretValue} {
		p.do("GET", "/v1/me", "", "Traceparent: "+header)
		if own := p.spans(all, 1)[0]; len(own.Links) != 0 {
			t.Errorf("%q became a link to %v", header, own.Links)
		}
	}
	if from := clientSpan(&http.Request{Header: http.Header{"Traceparent": {clientParent, clientParent}}}); from.IsValid() {
		t.Errorf("two headers became a link to %v", from)
	}
	free := newParty(t, nil)
	v = free.post(`{"microprotocol":"Add","data":[1],"parties":["alice","bob"]}`)
	free.do("GET", "/v1/me", "", "Traceparent: "+clientParent)
	if j, err = free.jobs.Get(context.Background(), v.ID); err != nil || j.Trace.ID != uuid.Nil || strings.Contains(free.log.String(), "trace_id") {
		t.Errorf("%v: the record has %x, and nobody traces", err, j.Trace)
	}
}

// Where nobody traces, spans cost nothing.
func TestNoTracerNoAllocations(t *testing.T) {
	ctx := t.Context()
	g := &Gateway{}
	n := testing.AllocsPerRun(100, func() {
		under, span := under(ctx, "store")
		_ = tracing(under)
		over(span, nil)
		_ = g.log(under)
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}
