package node

import (
	"context"
	"errors"
	"slices"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/weftmpc/weft/jobs"
	"github.com/weftmpc/weft/node/seat"
	"github.com/weftmpc/weft/node/session"
	"github.com/weftmpc/weft/simon"
)

// A job's spans hang below the request that asked for it, whose place in the trace its record has, so that a restart and
// another process go on with the same trace:
//
//	job                      from the moment that this process takes it up to its end, or the process's
//	  attempt                a JOIN and what came of it; a retry is another one
//	    approval             the wait for one (hold.go)
//	    join                 until the START; an event "waits" at each change of who is missing
//	      start              the check of a START
//	    compute              the protocol
//	      key, hop           a wait for a peer's key, for the messages of one step (node/seat)
//	    commit               what was opened becomes durable
//	    confirm              the ledger, and the wait for everybody's confirmation
//	    result               the result is made and stored
//
// They tell what the log may tell as well: who with whom, what, when and how it ended, in words of this package. Never data,
// counts or results, nor the text of an error, which may repeat one. And nothing of a trace is ever sent to another party:
// its identifiers would link what one house does on its own with what others see of it.
//
// A span that is under way when the process is killed is lost, and those below it hang on nothing, in the right trace.

// The keys of the ids in a log line.
const (
	logTrace = "trace_id"
	logSpan  = "span_id"
)

// traced is run under the job's span.
func (r *runner) traced(ctx context.Context) {
	tracer := r.node.cfg.Tracer
	if tracer == nil {
		r.run(ctx)
		return
	}
	asked := trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: r.job.Trace.ID, SpanID: r.job.Trace.Span, TraceFlags: trace.TraceFlags(r.job.Trace.Flags), Remote: true,
	})
	ctx, span := tracer.Start(trace.ContextWithRemoteSpanContext(ctx, asked), "job", trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(
		attribute.String("weft.job", r.id.String()), attribute.String("weft.computation", r.uuid.String()),
		attribute.String("weft.microprotocol", r.job.Microprotocol), attribute.StringSlice("weft.parties", r.job.Parties),
	))
	r.ids = []any{logTrace, span.SpanContext().TraceID().String(), logSpan, span.SpanContext().SpanID().String()}
	r.run(ctx)
	span.SetAttributes(attribute.String("weft.state", r.job.State.String()), attribute.Int("weft.attempt", r.job.Attempt))
	if p := r.job.Problem; p != nil {
		span.SetAttributes(attribute.String("weft.reason", p.Reason))
	}
	if r.job.State == jobs.Failed {
		span.SetStatus(codes.Error, "")
	}
	span.End()
}

// under begins a span below that of ctx. Where nobody traces it returns ctx and a span that does nothing, at no cost.
func under(ctx context.Context, name string) (context.Context, trace.Span) {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return ctx, trace.SpanFromContext(context.Background())
	}
	return parent.TracerProvider().Tracer("github.com/weftmpc/weft/node").Start(ctx, name)
}

// over ends a span with a word on why it failed, if it has.
func over(span trace.Span, err error) {
	if err != nil && span.IsRecording() {
		span.SetAttributes(attribute.String("weft.reason", word(err)))
		span.SetStatus(codes.Error, "")
		var late *session.TimeoutError
		var open *seat.NotConfirmedError
		var ended *seat.AbortedError
		switch {
		case errors.As(err, &late):
			span.SetAttributes(attribute.StringSlice("weft.missing", late.Names))
		case errors.As(err, &open):
			span.SetAttributes(attribute.StringSlice("weft.missing", open.Parties))
		case errors.As(err, &ended) && ended.Party != "":
			span.SetAttributes(attribute.String("weft.ended_by", ended.Party))
		}
	}
	span.End()
}

// word is the reason of an error, of a few.
func word(err error) string {
	switch {
	case errors.Is(err, errDrained):
		return "draining"
	case errors.Is(err, errReloaded):
		return "reloaded"
	case errors.Is(err, errCompleted):
		return "completed"
	case errors.Is(err, context.Canceled):
		return "stopped"
	}
	return problem(err).Reason
}

// waits tells of those whom the span of ctx waits for, if they are others than before.
func waits(ctx context.Context, before, now []string) {
	if span := trace.SpanFromContext(ctx); span.IsRecording() && !slices.Equal(before, now) {
		span.AddEvent("waits", trace.WithAttributes(attribute.StringSlice("weft.missing", slices.Clone(now))))
	}
}

// tell tells of those who have not joined, if they are others than before.
func (w *wait) tell(ctx context.Context) {
	if trace.SpanFromContext(ctx).IsRecording() {
		waits(ctx, w.told, w.missing)
		w.told = slices.Clone(w.missing)
	}
}

// try is attempt under a span.
func (r *runner) try(ctx context.Context) error {
	ctx, span := under(ctx, "attempt")
	err := r.attempt(ctx)
	if span.IsRecording() {
		span.SetAttributes(attribute.Int("weft.attempt", r.job.Attempt))
	}
	over(span, err)
	return err
}

// join is start under a span.
func (w *wait) join(ctx context.Context) (*seat.Run, error) {
	ctx, span := under(ctx, "join")
	run, err := w.start(ctx)
	over(span, err)
	return run, err
}

// begin checks a START under a span.
func (w *wait) begin(ctx context.Context, start []byte) (*seat.Run, error) {
	_, span := under(ctx, "start")
	run, err := w.open.Begin(start, w.runner.job)
	over(span, err)
	return run, err
}

// play runs the protocol under a span.
func (r *runner) play(ctx context.Context, run *seat.Run, common simon.Common) (session.Outcome, error) {
	ctx, span := under(ctx, "compute")
	out, err := run.Play(ctx, func(ctx context.Context, s simon.Session) ([]byte, error) {
		return guarded(func() ([]byte, error) { return r.m.Run(ctx, s, common, r.input) })
	})
	over(span, err)
	return out, err
}
