package node

import (
	"context"
	"reflect"
	"runtime"
	"sync"
	"testing"
	"time"
	"weak"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/weftmpc/weft/jobs"
	"github.com/weftmpc/weft/simon"
	"github.com/weftmpc/weft/simon/simontest"
)

// When a computation is over, nothing of its session can be reached any more in a node that goes on: no key, no stream, no
// stored ciphertext. When the nodes stop, no goroutine of theirs is left.
func TestNothingOfAFinishedComputationStays(t *testing.T) {
	f := newFleet(t, simontest.Faults{}, "alice", "bob", "carol")
	for _, m := range f.members {
		m.stop()
	}
	before := goleak.IgnoreCurrent()
	var (
		mu      sync.Mutex
		objects = map[string][]weak.Pointer[byte]{} // of sessions, by type
	)
	f.catalogue = simon.Catalogue()
	run := f.catalogue[0].Run
	f.catalogue[0].Run = func(ctx context.Context, s simon.Session, c simon.Common, input []byte) ([]byte, error) {
		out, err := run(ctx, s, c, input)
		mu.Lock()
		defer mu.Unlock()
		reach(s, func(what string, p *byte) { objects[what] = append(objects[what], weak.Make(p)) })
		return out, err
	}
	for _, m := range f.members {
		m.start()
	}
	given := map[string]jobs.Job{}
	for name := range f.members {
		given[name] = f.submit(name, uuid.UUID{7}, "5", patience)
	}
	for name, j := range given {
		if j := f.members[name].ended(j.ID, patience); j.State != jobs.Done {
			t.Fatalf("%s: %s %v", name, j.State, j.Problem)
		}
	}
	mu.Lock()
	total := 0
	for _, all := range objects {
		total += len(all)
	}
	for _, want := range []string{"session.call", "session.Session", "session.peer"} {
		if len(objects[want]) < 3 {
			t.Errorf("%d objects of type %s were seen: %v", len(objects[want]), want, objects)
		}
	}
	mu.Unlock()
	// The last write of a ledger line, and what goroutines still hold in their hands, may take a moment.
	alive := map[string]int{}
	for until := time.Now().Add(patience); ; runtime.Gosched() {
		runtime.GC()
		clear(alive)
		for what, all := range objects {
			for _, p := range all {
				if p.Value() != nil {
					alive[what]++
				}
			}
		}
		if len(alive) == 0 || time.Now().After(until) {
			break
		}
	}
	if len(alive) > 0 {
		t.Errorf("of the sessions' %d objects these can still be reached: %v", total, alive)
	}
	for _, m := range f.members {
		m.stop()
	}
	goleak.VerifyNone(t, before)
}

// reach calls f for the objects behind a session that its computation has: its calls, the session, and what that knows of each
// peer, where the keys are. It reads nothing that changes while the session lives.
func reach(s simon.Session, f func(what string, p *byte)) {
	tell := func(v reflect.Value) { f(v.Type().Elem().String(), (*byte)(v.UnsafePointer())) }
	call := reflect.ValueOf(s)
	tell(call)
	for i := range call.Elem().NumField() {
		field := call.Elem().Field(i)
		if field.Kind() != reflect.Pointer || field.IsNil() || field.Type().Elem().Name() != "Session" {
			continue
		}
		tell(field)
		peers := field.Elem().FieldByName("peers")
		for i := range peers.Len() {
			tell(peers.Index(i))
		}
	}
}
