package node

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/weftmpc/weft/jobs"
	"github.com/weftmpc/weft/simon/simontest"
)

// spans collects those of one member; what a killed process has left is lost.
type spans struct {
	*tracetest.InMemoryExporter
	m *member
}

func (s *spans) ExportSpans(ctx context.Context, list []sdk.ReadOnlySpan) error {
	if s.m.dead() {
		return nil
	}
	return s.InMemoryExporter.ExportSpans(ctx, list)
}

// trace has every member of the fleet make spans, and starts them again.
func (f *fleet) trace(sampler sdk.Sampler) map[string]*spans {
	all := map[string]*spans{}
	f.tracers = map[string]trace.Tracer{}
	for name, m := range f.members {
		all[name] = &spans{tracetest.NewInMemoryExporter(), m}
		provider := sdk.NewTracerProvider(sdk.WithSyncer(all[name]), sdk.WithSampler(sampler))
		f.tracers[name] = provider.Tracer("test")
	}
	f.again()
	return all
}

// ended waits for n ended spans of the name, and returns all that there are, by name.
func (s *spans) ended(name string, n int) map[string][]tracetest.SpanStub {
	var by map[string][]tracetest.SpanStub
	s.m.fleet.await(fmt.Sprintf("%s: %d spans %s", s.m.name, n, name), func() bool {
		by = map[string][]tracetest.SpanStub{}
		for _, span := range s.GetSpans() {
			by[span.Name] = append(by[span.Name], span)
		}
		return len(by[name]) >= n
	})
	return by
}

func attr(span tracetest.SpanStub, key string) string {
	for _, a := range span.Attributes {
		if string(a.Key) == key {
			return a.Value.String()
		}
	}
	return ""
}

func below(t *testing.T, parent tracetest.SpanStub, children ...tracetest.SpanStub) {
	t.Helper()
	if len(children) == 0 {
		t.Errorf("nothing hangs below %s", parent.Name)
	}
	for _, c := range children {
		if c.Parent.SpanID() != parent.SpanContext.SpanID() || c.SpanContext.TraceID() != parent.SpanContext.TraceID() {
			t.Errorf("%s does not hang below %s", c.Name, parent.Name)
		}
		if c.StartTime.Before(parent.StartTime) || c.EndTime.After(parent.EndTime) {
			t.Errorf("%s, from %v to %v, is outside of %s, from %v to %v", c.Name, c.StartTime, c.EndTime, parent.Name, parent.StartTime, parent.EndTime)
		}
	}
}

// asked is the place in a trace that a gateway would have put into a job's record.
var asked = jobs.Trace{ID: [16]byte{1, 2, 3}, Span: [8]byte{4, 5, 6}, Flags: 1}

// The spans of a sum hang below the request that the record names; its lines in the log have the trace's id; and no message
// to anybody has one.
func TestTraceOfASum(t *testing.T) {
	log := &lines{}
	f := newFleet(t, simontest.Faults{}, three...)
	f.logger = slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	all := f.trace(sdk.ParentBased(sdk.AlwaysSample()))
	w, id := f.watch(), uuid.New()
	lost := map[string]bool{}
	w.rule(func(d sent) bool { // bob's first INIT and carol's first share are lost on their way to alice, who waits for them to come again
		kind := d.kind()
		first := d.to == "alice" && !lost[kind] && (kind == kindInit && d.from == "bob" || kind == kindShare && d.from == "carol")
		lost[kind] = lost[kind] || first
		return !first
	})
	f.from = asked
	mine := f.submit("alice", id, data["alice"], patience)
	alice := all["alice"]
	f.await("alice waits", func() bool {
		j, err := f.members["alice"].current().Get(t.Context(), mine.ID)
		return err == nil && len(j.Waiting) == 2
	})
	f.from = jobs.Trace{}
	jobsOf := f.submitAll(id, map[string]string{"bob": data["bob"], "carol": data["carol"]})
	jobsOf["alice"] = mine
	f.wantSum(f.endedAll(jobsOf), "85", "3")

	by := alice.ended("job", 1)
	job, attempt, join, compute := by["job"][0], by["attempt"][0], by["join"][0], by["compute"][0]
	if job.SpanContext.TraceID() != trace.TraceID(asked.ID) || job.Parent.SpanID() != trace.SpanID(asked.Span) {
		t.Errorf("the job hangs on %v", job.Parent)
	}
	below(t, job, attempt)
	for _, name := range []string{"join", "compute", "commit", "confirm", "result"} {
		below(t, attempt, by[name]...)
	}
	below(t, join, by["start"]...)
	below(t, compute, by["hop"]...)
	below(t, compute, by["key"]...)
	for key, want := range map[string]string{
		"weft.job": mine.ID.String(), "weft.computation": id.String(), "weft.microprotocol": "SecureSum", "weft.state": "done", "weft.attempt": "1",
		"weft.parties": `["alice","bob","carol"]`,
	} {
		if got := attr(job, key); got != want {
			t.Errorf("job: %s is %q, want %q", key, got, want)
		}
	}
	if s := attr(by["hop"][0], "weft.step"); s == "" || strings.Contains(s, "unreadable") {
		t.Errorf("the hop's step is called %q", s)
	}
	if !slices.ContainsFunc(by["key"], func(s tracetest.SpanStub) bool { return attr(s, "weft.last") == "bob" }) {
		t.Errorf("no wait for a key was for bob's: %v", by["key"])
	}
	if !slices.ContainsFunc(by["hop"], func(s tracetest.SpanStub) bool {
		return attr(s, "weft.last") == "carol" && s.EndTime.Sub(s.StartTime) > 200*time.Millisecond
	}) {
		t.Errorf("no hop says that carol came last: %v", by["hop"])
	}
	var told []attribute.Value
	for _, e := range join.Events {
		told = append(told, e.Attributes[0].Value)
	}
	if len(told) == 0 || !slices.Equal(told[0].AsStringSlice(), []string{"bob", "carol"}) {
		t.Errorf("the JOIN waited for %v", told)
	}
	others := map[trace.TraceID]bool{}
	for _, name := range three {
		others[all[name].ended("job", 1)["job"][0].SpanContext.TraceID()] = true
	}
	if len(others) != 3 {
		t.Errorf("three parties have %d traces", len(others))
	}

	log.mu.Lock()
	lines := 0
	for _, line := range log.all {
		var v struct{ Job, Node, Trace_id, Span_id string }
		must(t, json.Unmarshal([]byte(line), &v))
		if v.Job == mine.ID.String() {
			if lines++; v.Trace_id != trace.TraceID(asked.ID).String() || v.Span_id != job.SpanContext.SpanID().String() {
				t.Errorf("the line has another trace: %s", line)
			}
		}
	}
	log.mu.Unlock()
	if lines == 0 {
		t.Error("the log has no line about the job")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, d := range w.all {
		for tid := range others {
			if bytes.Contains(d.body, tid[:]) || bytes.Contains(d.body, []byte(hex.EncodeToString(tid[:]))) {
				t.Errorf("a %s from %s to %s has the id of a trace", d.kind(), d.from, d.to)
			}
		}
	}
	if len(w.all) == 0 {
		t.Error("no message was seen")
	}
}

// An attempt that fails, one that another process makes after a kill, and a computation that another process goes on to have
// confirmed are in the trace of the request.
func TestRetryAndRestartStayInTheTrace(t *testing.T) {
	f := newFleet(t, simontest.Faults{}, three...)
	f.terms.round, f.from = time.Second, asked
	all := f.trace(sdk.ParentBased(sdk.AlwaysSample()))
	w, id, bob := f.watch(), uuid.New(), f.members["bob"]
	w.unheardAtFirst(id, "carol")
	killed := bob.killAt("after send 1", 2)
	jobsOf := f.submitAll(id, data)
	<-killed
	bob.onStep(nil)
	bob.restart()
	f.wantSum(f.endedAll(jobsOf), "85", "3")
	for _, name := range three {
		by := all[name].ended("job", 1)
		for n, list := range by {
			for _, s := range list {
				if s.SpanContext.TraceID() != trace.TraceID(asked.ID) {
					t.Errorf("%s: %s is in another trace", name, n)
				}
			}
		}
		if job := by["job"][0]; job.Parent.SpanID() != trace.SpanID(asked.Span) || name != "bob" && attr(job, "weft.attempt") == "1" {
			t.Errorf("%s: the job hangs on %v after %s attempts", name, job.Parent, attr(job, "weft.attempt"))
		}
	}
	by := all["alice"].ended("attempt", 2)
	failed := by["attempt"][0]
	if failed.Status.Code != codes.Error || attr(failed, "weft.attempt") != "1" || attr(failed, "weft.reason") == "" {
		t.Errorf("the first attempt: %v %v", failed.Status, failed.Attributes)
	}
	below(t, by["job"][0], by["attempt"]...)
}

// A hop that fails says who was missing, and so does its attempt.
func TestTraceNamesWhoIsMissing(t *testing.T) {
	f := newFleet(t, simontest.Faults{}, three...)
	f.terms.round, f.terms.attempts = time.Second, 1
	all := f.trace(sdk.AlwaysSample())
	w, id := f.watch(), uuid.New()
	w.rule(func(d sent) bool { return !is(kindShare, id)(d) || d.from != "carol" })
	f.endedAll(f.submitAll(id, data))
	by := all["alice"].ended("job", 1)
	if hop := by["hop"][0]; hop.Status.Code != codes.Error || attr(hop, "weft.missing") != `["carol"]` || attr(hop, "weft.last") != "" {
		t.Errorf("the hop: %v %v", hop.Status, hop.Attributes)
	}
	attempt := by["attempt"][0]
	if r := attr(attempt, "weft.reason"); attempt.Status.Code != codes.Error || r != "timeout" && r != "peer" {
		t.Errorf("the attempt: %v %v", attempt.Status, attempt.Attributes)
	}
	if missing, by := attr(attempt, "weft.missing"), attr(attempt, "weft.ended_by"); missing != `["carol"]` && by == "" {
		t.Errorf("the attempt: %v", attempt.Attributes)
	}
	for _, span := range all["alice"].GetSpans() {
		if span.Status.Description != "" && strings.ContainsAny(span.Status.Description, "0123456789\"") || len(span.Events) > 0 && span.Events[0].Name == "exception" {
			t.Errorf("%s has the text of an error: %v %v", span.Name, span.Status, span.Events)
		}
	}
}

// A job whose request was not sampled has no spans, and its lines in the log have its trace all the same. A job without a
// trace, as of an older weft, begins one.
func TestTraceOfARequestThatIsNotSampled(t *testing.T) {
	log := &lines{}
	f := newFleet(t, simontest.Faults{}, three...)
	f.logger = slog.New(slog.NewJSONHandler(log, nil))
	all := f.trace(sdk.ParentBased(sdk.AlwaysSample()))
	f.from = asked
	f.from.Flags = 0
	late := f.submit("alice", uuid.New(), "1", 300*time.Millisecond)
	f.members["alice"].ended(late.ID, patience)
	f.from = jobs.Trace{}
	next := f.submit("alice", uuid.New(), "1", 300*time.Millisecond)
	f.members["alice"].ended(next.ID, patience)
	by := all["alice"].ended("job", 1)
	if len(by["job"]) != 1 || attr(by["job"][0], "weft.job") != next.ID.String() || by["job"][0].Parent.IsValid() {
		t.Errorf("%v", by["job"])
	}
	if job := by["job"][0]; job.Status.Code != codes.Error || attr(job, "weft.reason") != "not-joined" || attr(job, "weft.state") != "failed" {
		t.Errorf("%v %v", job.Status, job.Attributes)
	}
	log.mu.Lock()
	defer log.mu.Unlock()
	if all := strings.Join(log.all, ""); strings.Count(all, `"trace_id":"`+trace.TraceID(asked.ID).String()) == 0 {
		t.Error("the log lacks the trace of a request that is not sampled")
	}
}

// Where nobody traces, a job's spans cost nothing.
func TestNoTracerNoAllocations(t *testing.T) {
	ctx := t.Context()
	w := &wait{missing: []string{"bob"}}
	n := testing.AllocsPerRun(100, func() {
		ctx, span := under(ctx, "attempt")
		w.tell(ctx)
		waits(ctx, nil, w.missing)
		over(span, nil)
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}
