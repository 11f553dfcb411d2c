package node

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	sdk "go.opentelemetry.io/otel/sdk/trace"

	"github.com/weftmpc/weft/jobs"
	"github.com/weftmpc/weft/simon/simontest"
)

// lines collects log lines as JSON objects.
type lines struct {
	mu  sync.Mutex
	all []string
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, string(b))
	return len(b), nil
}

// Every line about a job names it and its computation, whatever came of it, and none has a party's data.
func TestLogLinesNameJobAndComputation(t *testing.T) {
	log := &lines{}
	f := newFleet(t, simontest.Faults{}, three...)
	f.logger = slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	f.again()
	alice := f.members["alice"]
	const secret = "48151623"
	done := f.submitAll(uuid.New(), map[string]string{"alice": secret, "bob": "1", "carol": "2"})
	f.endedAll(done)
	late := f.submit("alice", uuid.New(), secret, 300*time.Millisecond)
	alice.ended(late.ID, patience)
	cancelled := f.submit("alice", uuid.New(), secret, patience)
	_, err := alice.current().RequestCancel(context.Background(), cancelled.ID)
	must(t, err)
	alice.ended(cancelled.ID, patience)

	found := map[string]bool{}
	log.mu.Lock()
	defer log.mu.Unlock()
	for _, line := range log.all {
		if strings.Contains(line, secret) {
			t.Errorf("the log has a party's data: %s", line)
		}
		var v struct{ Msg, Job, Computation, Node string }
		must(t, json.Unmarshal([]byte(line), &v))
		if v.Node != "alice" || v.Job == "" {
			continue
		}
		for name, j := range map[string][2]uuid.UUID{"done": {done["alice"].ID, done["alice"].UUID}, "late": {late.ID, late.UUID}, "cancelled": {cancelled.ID, cancelled.UUID}} {
			if v.Job == j[0].String() {
				found[name+" "+v.Msg] = true
				if v.Computation != j[1].String() {
					t.Errorf("%s: computation %s in %s", name, j[1], line)
				}
			}
		}
	}
	for _, want := range []string{"done computation started", "done job done", "late job ended", "cancelled job ended"} {
		if !found[want] {
			t.Errorf("the log lacks %q among %v", want, found)
		}
	}
}

// Lines that a seat writes about a traced job name the trace, as the node's own do.
func TestLinesOfTheSeatNameTheTrace(t *testing.T) {
	log := &lines{}
	f := newFleet(t, simontest.Faults{}, three...)
	f.logger = slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	f.from = jobs.Trace{ID: [16]byte{1}, Span: [8]byte{2}, Flags: 1}
	f.trace(sdk.AlwaysSample())
	bob := f.members["bob"]
	killed := bob.killAt("before send 4", 1) // so that it cannot be sent
	all := f.submitAll(uuid.New(), data)
	<-killed
	bob.onStep(nil)
	bob.restart()
	f.endedAll(all)
	log.mu.Lock()
	defer log.mu.Unlock()
	found := 0
	for _, line := range log.all {
		var v struct {
			Msg, Job, Computation, Node string
			Trace                       string `json:"trace_id"`
			Span                        string `json:"span_id"`
		}
		must(t, json.Unmarshal([]byte(line), &v))
		if v.Msg != "notice not sent" || v.Node != "bob" {
			continue
		}
		found++
		if v.Job != all["bob"].ID.String() || v.Computation != all["bob"].UUID.String() || v.Trace != "01000000000000000000000000000000" || len(v.Span) != 16 {
			t.Errorf("%s", line)
		}
		if n := strings.Count(line, `"computation"`); n != 1 {
			t.Errorf("%d times the computation: %s", n, line)
		}
	}
	if found == 0 {
		t.Error("no notice was lost")
	}
}
