package coordinator

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"go.uber.org/goleak"

	"github.com/weftmpc/weft/broker"
	"github.com/weftmpc/weft/broker/brokertest"
)

const patience = 10 * time.Second

// hub is a world with a real broker between coordinator and parties.
type hub struct {
	*world
	fabric *brokertest.Fabric
	starts map[string]chan Answer // what comes on each party's start subject
}

func newHub(t *testing.T, names ...string) *hub {
	t.Helper()
	h := &hub{world: newWorld(t, names...), fabric: brokertest.Hub(t, names...), starts: map[string]chan Answer{}}
	for _, n := range names {
		ch := make(chan Answer, 100)
		h.starts[n] = ch
		nc := h.fabric.Conns[n]
		must(nc.Subscribe(broker.StartSubject(n), func(m *nats.Msg) {
			if a, err := DecodeAnswer(m.Data); err == nil {
				ch <- a
			}
		}))(t)
		if err := nc.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

// serve starts a coordinator whose clock stands still, as tests move the world's from another goroutine.
func (h *hub) serve(t *testing.T) *Service {
	t.Helper()
	c, at := h.config(), h.now
	c.Now = func() time.Time { return at }
	s := must(Serve(t.Context(), h.fabric.Coordinator, c))(t)
	t.Cleanup(s.Stop)
	if err := h.fabric.Coordinator.Flush(); err != nil {
		t.Fatal(err)
	}
	return s
}

// ask sends a request as the party and decodes the answer.
func (h *hub) ask(t *testing.T, name string, join []byte) Answer {
	t.Helper()
	m, err := h.fabric.Conns[name].Request(broker.JoinSubject(name), join, patience)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return must(DecodeAnswer(m.Data))(t)
}

func (h *hub) pushed(t *testing.T, name string) Answer {
	t.Helper()
	select {
	case a := <-h.starts[name]:
		return a
	case <-time.After(patience):
		t.Fatalf("%s receives nothing", name)
		return Answer{}
	}
}

func TestService(t *testing.T) {
	h := newHub(t, "alice", "bob", "carol")
	h.serve(t)
	c := h.common(first, "alice", "bob", "carol")
	for _, n := range []string{"alice", "bob"} {
		if a := h.ask(t, n, h.join(n, c)); a.Kind != AnswerWaiting {
			t.Fatalf("%s: %+v", n, a)
		}
	}
	start := h.ask(t, "carol", h.join("carol", c))
	if start.Kind != AnswerStart {
		t.Fatalf("carol: %+v", start)
	}
	h.opened(start.Start)
	for _, n := range []string{"alice", "bob"} {
		if a := h.pushed(t, n); !cmp.Equal(a, start) {
			t.Errorf("%s receives %s", n, a.Kind)
		}
	}
	if len(h.starts["carol"]) != 0 {
		t.Error("carol is told twice")
	}

	// A conflict goes to the other party too, and names what differs.
	two := h.common(second, "alice", "bob")
	three := two
	three.Parameters = []byte(`{"columns":3}`)
	ja := h.join("alice", two)
	h.ask(t, "alice", ja)
	if a := h.ask(t, "bob", h.join("bob", three)); a.Kind != AnswerConflict || !bytes.Equal(a.Other, ja) {
		t.Fatalf("bob: %+v", a)
	}
	a := h.pushed(t, "alice")
	if a.Kind != AnswerConflict {
		t.Fatalf("alice: %+v", a)
	}
	other := must(DecodeCommon(must(DecodeJoin(a.Other))(t).Common))(t)
	ds := Differences(two, other, h.name)
	if len(ds) != 1 || ds[0].String() != "parameters: columns is 2 here, 3 there" {
		t.Errorf("differences %v", ds)
	}

	// LEAVE, status and rubbish.
	ab := h.common(first, "alice", "bob")
	j := h.join("alice", ab)
	h.ask(t, "alice", j)
	if n := h.status(t); n.Open != 1 || n.Conflict != 2 || n.Started != 1 {
		t.Errorf("status %+v", n)
	}
	bad := must(h.fabric.Conns["alice"].Request(broker.LeaveSubject("alice"), []byte("rubbish"), patience))(t)
	if bad.Header.Get(micro.ErrorCodeHeader) != "400" {
		t.Errorf("rubbish as LEAVE: %v", bad.Header)
	}
	good := must(h.fabric.Conns["alice"].Request(broker.LeaveSubject("alice"), h.leave("alice", ab, j), patience))(t)
	if len(good.Header) != 0 || h.status(t).Open != 0 {
		t.Errorf("LEAVE: %v", good.Header)
	}
	if a := h.ask(t, "bob", []byte("rubbish")); a.Kind != AnswerRefused || a.Code != CodeMalformed {
		t.Errorf("rubbish as JOIN: %+v", a)
	}
}

// status is what operators see, and, beside it, what a party sees.
func (h *hub) status(t *testing.T) Counts {
	t.Helper()
	m := must(h.fabric.Conns["bob"].Request(broker.SubjectStatus, nil, patience))(t)
	var party Status
	if strict(t, m.Data, &party); party.Name == "" || party.Fingerprint.IsZero() || party.Time.IsZero() {
		t.Errorf("who answers, and when: %+v", party)
	}
	ops := brokertest.Connect(t, h.fabric.Server, h.fabric.OpsKey)
	defer ops.Close()
	m = must(ops.Request("$SRV.STATS."+broker.ServiceCoordinator, nil, patience))(t)
	var all micro.Stats
	if err := json.Unmarshal(m.Data, &all); err != nil {
		t.Fatal(err)
	}
	var n Counts
	for _, e := range all.Endpoints {
		if e.Name == endpointStatus {
			strict(t, e.Data, &n)
		}
	}
	return n
}

func strict(t *testing.T, b []byte, into any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		t.Fatal(err)
	}
}

// A coordinator that dies with open JOINs is replaced by one with empty memory; repetition completes the computation, and
// who had its START already is not answered with another.
func TestServiceRestart(t *testing.T) {
	h := newHub(t, "alice", "bob")
	s := h.serve(t)
	c := h.common(first, "alice", "bob")
	ja, jb := h.join("alice", c), h.join("bob", c)
	h.ask(t, "alice", ja)
	s.Stop()
	if _, err := h.fabric.Conns["bob"].Request(broker.JoinSubject("bob"), jb, patience); err == nil {
		t.Fatal("a stopped coordinator answers")
	}
	h.serve(t)
	if a := h.ask(t, "bob", jb); a.Kind != AnswerWaiting {
		t.Fatalf("bob, after the restart: %+v", a)
	}
	start := h.ask(t, "alice", ja)
	if a := h.pushed(t, "bob"); start.Kind != AnswerStart || !cmp.Equal(a, start) {
		t.Fatalf("alice: %s, bob: %s", start.Kind, a.Kind)
	}
	if a := h.ask(t, "bob", jb); !cmp.Equal(a, start) {
		t.Errorf("bob, repeating: %s", a.Kind)
	}
}

// Two replicas of one identity share nothing and still make one START.
func TestServiceReplicas(t *testing.T) {
	h := newHub(t, "alice", "bob")
	h.serve(t)
	h.serve(t)
	c := h.common(first, "alice", "bob")
	joins := map[string][]byte{"alice": h.join("alice", c), "bob": h.join("bob", c)}
	var start Answer
	for range 1000 {
		for name, j := range joins {
			if a := h.ask(t, name, j); a.Kind == AnswerStart {
				if start.Kind == AnswerStart && !bytes.Equal(a.Start, start.Start) {
					t.Fatal("two STARTs from the same JOINs")
				}
				start = a
			}
		}
		if start.Kind == AnswerStart {
			return
		}
	}
	t.Error("repetition does not complete")
}

func TestServiceDiscovery(t *testing.T) {
	h := newHub(t, "alice", "bob")
	h.serve(t)
	ops := brokertest.Connect(t, h.fabric.Server, h.fabric.OpsKey)
	m := must(ops.Request("$SRV.INFO."+broker.ServiceCoordinator, nil, patience))(t)
	var info micro.Info
	if err := json.Unmarshal(m.Data, &info); err != nil {
		t.Fatal(err)
	}
	if info.Name != "weft-coordinator" || info.Description == "" || info.Metadata["fingerprint"] != h.coord.FP().String() || len(info.Endpoints) != 3 {
		t.Errorf("%+v", info)
	}
	for _, e := range info.Endpoints {
		if e.Metadata["description"] == "" || !strings.HasPrefix(e.Subject, "weft.coordinator.") {
			t.Errorf("%+v", e)
		}
	}
}

func TestServiceStops(t *testing.T) {
	h := newHub(t, "alice", "bob")
	before := goleak.IgnoreCurrent()
	c := h.config()
	s := must(Serve(t.Context(), h.fabric.Coordinator, c))(t)
	s.Stop()
	s.Stop()
	ctx, cancel := context.WithCancel(t.Context())
	s = must(Serve(ctx, h.fabric.Coordinator, c))(t)
	cancel()
	s.Stop()
	goleak.VerifyNone(t, before)
	if _, err := Serve(t.Context(), h.fabric.Coordinator, Config{}); err == nil {
		t.Error("a coordinator without identity starts")
	}
	c.Version = "one"
	if _, err := Serve(t.Context(), h.fabric.Coordinator, c); err == nil {
		t.Error("a version that is no SemVer is accepted")
	}
}
