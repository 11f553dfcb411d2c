package gateway

import (
	"context"
	"log/slog"
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/weftmpc/weft/jobs"
)

// A request has one span, which names its route, its method, its status and the caller's role, and below it what the gateway
// does for a job: prepare, and store. The node's spans of the job hang on it, too, by the job's record.
//
// Spans tell no data, no tokens, no names of files and no names of callers. Nor is there a span before a caller is known and
// within the rate: a stranger, or a flood, could else fill the house's collector. Such requests are counted by the metrics.
//
// Each trace begins here: the traceparent of a request is a link and not the parent (W3C Trace Context, §3.4, "restarting the
// trace"). Ids that a client may choose would let one caller's lines in the log and spans pass for another's, decide about
// sampling in the collector's stead, and join what several houses do for one client under one id. tracestate is not looked at.

// spanned notes that the caller of a request is known, and begins its span, at the time of its beginning.
func (g *Gateway) spanned(w http.ResponseWriter, r *http.Request, p principal) *http.Request {
	if g.config.Tracer == nil {
		return r
	}
	o := observedIn(w)
	if o == nil || o.route == "/metrics" { // which somebody asks for every few seconds
		return r
	}
	options := []trace.SpanStartOption{
		trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(o.began), trace.WithAttributes(
			attribute.String("http.request.method", o.method), attribute.String("http.route", o.route), attribute.String("weft.role", p.role.String())),
	}
	if from := clientSpan(r); from.IsValid() {
		options = append(options, trace.WithLinks(trace.Link{SpanContext: from}))
	}
	ctx, span := g.config.Tracer.Start(r.Context(), o.method+" "+o.route, options...)
	o.span = span
	return r.WithContext(ctx)
}

// clientSpan is what the request's traceparent names; the zero SpanContext where there is none or more than one.
func clientSpan(r *http.Request) trace.SpanContext {
	if len(r.Header.Values("Traceparent")) != 1 {
		return trace.SpanContext{}
	}
	only := propagation.MapCarrier{"traceparent": r.Header.Get("Traceparent")}
	return trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), only))
}

// endSpan ends the request's span, if it has one.
func (o *observed) endSpan() {
	if o.span == nil {
		return
	}
	if o.status == 0 {
		o.span.SetAttributes(attribute.String("error.type", "gone")) // the client is
	} else {
		o.span.SetAttributes(attribute.Int("http.response.status_code", o.status))
	}
	if o.status >= http.StatusInternalServerError {
		o.span.SetStatus(codes.Error, "")
	}
	o.span.End()
}

// under begins a span below that of ctx. Where nobody traces it returns ctx and a span that does nothing, at no cost.
func under(ctx context.Context, name string) (context.Context, trace.Span) {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return ctx, trace.SpanFromContext(context.Background())
	}
	return parent.TracerProvider().Tracer("github.com/weftmpc/weft/gateway").Start(ctx, name)
}

// over ends a span with a word on why it failed, if it has. The text of an error may repeat data.
func over(span trace.Span, err error) {
	if err != nil && span.IsRecording() {
		span.SetAttributes(attribute.String("weft.reason", reasonClass(asError(err))))
		span.SetStatus(codes.Error, "")
	}
	span.End()
}

// tracing is the place in the trace that a job's record keeps.
func tracing(ctx context.Context) jobs.Trace {
	s := trace.SpanContextFromContext(ctx)
	return jobs.Trace{ID: s.TraceID(), Span: s.SpanID(), Flags: byte(s.TraceFlags())}
}

// madeJob notes on the request's span which job it has made.
func madeJob(ctx context.Context, j jobs.Job) {
	if span := trace.SpanFromContext(ctx); span.IsRecording() {
		span.SetAttributes(attribute.String("weft.job", j.ID.String()), attribute.String("weft.computation", j.UUID.String()),
			attribute.String("weft.microprotocol", j.Microprotocol))
	}
}

// log is for lines about the request of ctx.
func (g *Gateway) log(ctx context.Context) *slog.Logger {
	s := trace.SpanContextFromContext(ctx)
	if !s.IsValid() {
		return g.config.Logger
	}
	return g.config.Logger.With("trace_id", s.TraceID().String(), "span_id", s.SpanID().String())
}
