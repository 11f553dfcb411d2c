package node

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/jobs"
	"github.com/weftmpc/weft/node/session"
	"github.com/weftmpc/weft/simon"
	"github.com/weftmpc/weft/simon/simontest"
)

// counted is a sum of which a test bends the ends, and counts how often they are called, by all parties together.
type counted struct {
	simon.Microprotocol
	runs, finished atomic.Int32
}

// count installs a sum with other ends; nil: that of the sum.
func (f *fleet) count(run func([]byte, error) ([]byte, error), finish func(json.RawMessage, error) (json.RawMessage, error)) *counted {
	c := &counted{Microprotocol: simon.SecureSum()}
	base := c.Microprotocol
	c.Run = func(ctx context.Context, s simon.Session, common simon.Common, input []byte) ([]byte, error) {
		c.runs.Add(1)
		opened, err := base.Run(ctx, s, common, input)
		if run != nil {
			return run(opened, err)
		}
		return opened, err
	}
	c.Finish = func(common simon.Common, input, opened []byte) (json.RawMessage, error) {
		c.finished.Add(1)
		result, err := base.Finish(common, input, opened)
		if finish != nil {
			return finish(result, err)
		}
		return result, err
	}
	f.catalogue = []simon.Microprotocol{c.Microprotocol}
	f.again()
	return c
}

// What a store does not take or a session does not hold is no better the second time.
func TestTooLargeIsFinal(t *testing.T) {
	const most = 64 << 10
	for name, c := range map[string]struct {
		run     func([]byte, error) ([]byte, error)
		finish  func(json.RawMessage, error) (json.RawMessage, error)
		message string
		all     bool // parties say so; else those that another one tells first say who did
	}{
		"opened": {run: func(b []byte, err error) ([]byte, error) { return append(b, make([]byte, most)...), err }, message: "too large to store"},
		"result": {finish: func(json.RawMessage, error) (json.RawMessage, error) {
			return json.RawMessage(`"` + strings.Repeat("x", most) + `"`), nil
		}, message: "too large to store", all: true},
		"memory": {run: func([]byte, error) ([]byte, error) { return nil, fmt.Errorf("opening: %w", session.ErrMemory) }, message: "too large for so many parties"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t, simontest.Faults{}, three...)
			f.body = most
			m := f.count(c.run, c.finish)
			told := 0
			for party, j := range f.endedAll(f.submitAll(uuid.New(), data)) {
				switch p := j.Problem; {
				case j.State != jobs.Failed:
					t.Errorf("%s: %v", party, j.State)
				case p.Reason == "too-large" && p.Code == 507 && strings.Contains(p.Message, c.message):
					told++
				case c.all || p.Reason != "peer":
					t.Errorf("%s: %+v", party, *p)
				}
			}
			if told == 0 {
				t.Error("nobody says what was too large")
			}
			if n := m.runs.Load(); n > 3 {
				t.Errorf("3 parties ran %d times", n)
			}
			if n := m.finished.Load(); n > 3 {
				t.Errorf("3 parties finished %d times", n)
			}
		})
	}
}

// A result whose computation panics is none, for good: not even the next process tries it again.
func TestPanicOfFinishIsFinal(t *testing.T) {
	t.Parallel()
	for _, step := range []string{"", "job committed", "line committed", "line done"} { // at which bob dies; empty: he does not
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, simontest.Faults{}, three...)
			m := f.count(nil, func(json.RawMessage, error) (json.RawMessage, error) { panic("a bug") })
			bob := f.members["bob"]
			var killed <-chan bool
			if step != "" {
				killed = bob.killAt(step, 1)
			}
			all := f.submitAll(uuid.New(), data)
			if killed != nil {
				<-killed
				bob.onStep(nil)
				bob.restart()
			}
			for party, j := range f.endedAll(all) {
				if j.State != jobs.Failed || j.Problem.Code != 500 || j.Problem.Reason != "internal" || strings.Contains(j.Problem.Message, "a bug") {
					t.Errorf("%s: %v %v", party, j.State, j.Problem)
				}
			}
			before := m.finished.Load()
			if before > 4 { // the dead process may have come as far
				t.Errorf("3 parties finished %d times", before)
			}
			f.again()
			for party, j := range f.endedAll(all) {
				if j.State != jobs.Failed {
					t.Errorf("%s: %v after a restart", party, j.State)
				}
			}
			f.sumStill(t)
			if n := m.finished.Load() - before; n != 3 { // those of that sum
				t.Errorf("%d times more after a restart", n)
			}
		})
	}
}

// sumStill shows that all nodes are at work, by a computation that ends.
func (f *fleet) sumStill(t *testing.T) {
	for party, j := range f.endedAll(f.submitAll(uuid.New(), data)) {
		if j.State != jobs.Failed || j.Problem.Code != 500 {
			t.Errorf("%s: %v %v", party, j.State, j.Problem)
		}
	}
}

// No more results are computed at a time than there is room for.
func TestFewResultsAtATime(t *testing.T) {
	f := newFleet(t, simontest.Faults{}, three...)
	var mu sync.Mutex
	var open bool
	gate, begun := make(chan struct{}), make(chan struct{}, 100)
	var at, most int
	f.count(nil, func(r json.RawMessage, err error) (json.RawMessage, error) {
		mu.Lock()
		wait := !open
		at++
		most = max(most, at)
		mu.Unlock()
		if wait {
			begun <- struct{}{}
			<-gate
		}
		mu.Lock()
		at--
		mu.Unlock()
		return r, err
	})
	rooms := 0
	for _, m := range f.members {
		rooms += cap(m.node.finishing)
	}
	var all []map[string]jobs.Job
	for range rooms/3 + 2 { // lanes of their own
		all = append(all, f.submitAll(uuid.New(), data))
	}
	for range rooms {
		<-begun
	}
	mu.Lock()
	open = true
	mu.Unlock()
	close(gate)
	for _, a := range all {
		f.wantSum(f.endedAll(a), "85", "3")
	}
	if most > rooms {
		t.Errorf("%d results at a time, want %d", most, rooms)
	}
}
