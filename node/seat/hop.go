package seat

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/weftmpc/weft/node/session"
)

// tracerName names this package to whoever looks at spans.
const tracerName = "github.com/weftmpc/weft/node/seat"

// hop begins to measure a wait for others and, where the computation is traced, makes a span of it below that of ctx. What it
// returns ends that. A span tells the step's name and whom it waited for: public facts, as a log may have them too.
func (r *Run) hop(ctx context.Context, h session.Hop) func(error) {
	s, parent := r.seat, trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		if h.Key() {
			return nil
		}
		since := s.cfg.Now()
		return func(err error) {
			if err == nil {
				s.stats.count(s.cfg.Now().Sub(since))
			}
		}
	}
	since, name := s.cfg.Now(), "hop"
	if h.Key() {
		name = "key"
	}
	_, span := parent.TracerProvider().Tracer(tracerName).Start(ctx, name, trace.WithAttributes(attribute.String("weft.step", h.Label())))
	return func(err error) {
		if err == nil && !h.Key() {
			s.stats.count(s.cfg.Now().Sub(since))
		}
		var late []string
		for _, seat := range h.Late(err) {
			late = append(late, r.Name(seat))
		}
		switch {
		case err != nil:
			span.SetAttributes(attribute.StringSlice("weft.missing", late))
			span.SetStatus(codes.Error, "not all came")
		case len(late) > 0:
			span.SetAttributes(attribute.String("weft.last", late[0]))
		}
		span.End()
	}
}
