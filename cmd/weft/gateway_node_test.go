package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weftmpc/weft/broker"
	"github.com/weftmpc/weft/broker/brokertest"
	"github.com/weftmpc/weft/gateway"
	"github.com/weftmpc/weft/simon"
)

// A gateway takes over what its node says, each time, and says what it does not know any more.
func TestNodeView(t *testing.T) {
	key := brokertest.Key(t)
	p := brokertest.Private(t, broker.Guests{Listen: "127.0.0.1:-1", Gateways: []string{key.Public()}})
	said := &screen{t: t, changed: make(chan struct{})}
	log := slog.New(slog.NewTextHandler(said, nil))
	nc, err := broker.Dial(broker.Remote{URL: "nats://" + p.Server.Addr(), User: key}, log, key.Inbox())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	v := &nodeView{nc: nc, party: "alice", log: log}
	if err := v.ask(t.Context()); !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("without a node: %v", err)
	}
	if err := v.ready(); err == nil || !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("without a node it is ready: %v", err)
	}

	var answer atomic.Value // of bytes
	answer.Store([]byte("{}"))
	if _, err := p.Conn.Subscribe(broker.SubjectNode, func(m *nats.Msg) { _ = m.Respond(answer.Load().([]byte)) }); err != nil {
		t.Fatal(err)
	}
	if err := p.Conn.Flush(); err != nil {
		t.Fatal(err)
	}
	status := nodeStatus{
		Party: "alice", Version: "v1.0.0", Guard: simon.Guard{Samples: 10},
		Parties: []partyStatus{{Name: "alice", URLs: []string{"http://127.0.0.1:1"}}, {Name: "bob", Organisation: "Bob Clinic", Seen: time.Unix(1000, 0).UTC()}},
		Stats:   gateway.NodeStats{Connected: true, Hops: gateway.Histogram{Bounds: []float64{0.5}, Counts: []uint64{7}, Count: 9, Sum: 1.5}, Expires: map[string]time.Time{"identity": time.Unix(2000, 0).UTC()}},
	}
	ask := func() error {
		b, err := json.Marshal(status)
		if err != nil {
			t.Fatal(err)
		}
		answer.Store(b)
		return v.ask(t.Context())
	}
	var guards []simon.Guard
	v.taken = func(g simon.Guard) { guards = append(guards, g) }
	if err := ask(); err != nil {
		t.Fatal(err)
	}
	if v.ready() != nil || v.room() != nil || len(guards) != 1 || guards[0].Samples != 10 {
		t.Errorf("ready %v, room %v, guards %v", v.ready(), v.room(), guards)
	}
	if f := v.facts("bob"); f.Organisation != "Bob Clinic" || f.Seen.Unix() != 1000 || !f.Expires.IsZero() {
		t.Errorf("bob: %+v", f)
	}
	if s := v.stats(); !s.Connected || s.Hops.Count != 9 || s.Hops.Counts[0] != 7 || s.Expires["identity"].Unix() != 2000 {
		t.Errorf("stats: %+v", s)
	}
	if name, ok := v.directory.Resolve("http://127.0.0.1:1/"); !ok || name != "alice" {
		t.Errorf("the list of parties has %q", name)
	}
	if !strings.Contains(said.String(), "another version of weft") {
		t.Errorf("another version is not told: %s", said)
	}

	status.Guard.Samples, status.Missing, status.Room = 20, "no connection to the hub", "the disk is full"
	status.Parties = append(status.Parties, partyStatus{Name: "carol"})
	if err := ask(); err != nil {
		t.Fatal(err)
	}
	if err := v.ready(); err == nil || err.Error() != "no connection to the hub" {
		t.Errorf("ready: %v", err)
	}
	if v.room() == nil || len(guards) != 2 || guards[1].Samples != 20 || len(v.directory.Parties()) != 3 {
		t.Errorf("room %v, guards %v, %d parties", v.room(), guards, len(v.directory.Parties()))
	}
	status.Party = "bob"
	var wrong *wrongParty
	if err := ask(); !errors.As(err, &wrong) {
		t.Errorf("another party's node: %v", err)
	}
	answer.Store(bytes.Repeat([]byte("x"), 10))
	if err := v.ask(t.Context()); err == nil {
		t.Error("a broken answer is taken")
	}

	old := *v.last.Load()
	old.at = old.at.Add(-statusOld)
	v.last.Store(&old)
	if err := v.ready(); err == nil || !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("an old answer: %v", err)
	}
	if s := v.stats(); s.Connected || s.Expires["identity"].Unix() != 2000 {
		t.Errorf("old stats: %+v", s)
	}
	p.Server.Shutdown()
	for nc.IsConnected() {
		<-time.After(time.Millisecond)
	}
	if err := v.ready(); err == nil || !strings.Contains(err.Error(), "no connection") {
		t.Errorf("without a connection: %v", err)
	}
}
