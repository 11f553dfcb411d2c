package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/trace"

	"github.com/weftmpc/weft/broker/brokertest"
	"github.com/weftmpc/weft/broker/identity"
	"github.com/weftmpc/weft/coordinator"
	"github.com/weftmpc/weft/jobs"
	"github.com/weftmpc/weft/node/policy"
	"github.com/weftmpc/weft/node/seat"
	"github.com/weftmpc/weft/node/session"
	"github.com/weftmpc/weft/simon"
	"github.com/weftmpc/weft/simon/simontest"
)

// fleet is a consortium in one process: real nodes with real private brokers, on a network of datagrams with faults.
type fleet struct {
	t       *testing.T
	net     *simontest.Network
	ca      *identity.Authority
	roots   identity.Roots
	peers   []seat.Peer
	ids     map[string]*identity.Identity
	center  *identity.Identity
	table   *coordinator.Table
	members map[string]*member
	profile policy.Profile
	policy  func(name string, p *policy.Policy) // changes that of one node; nil: none is changed
	helper  coordinator.Helper                  // of the coordinator; nil: it does not deal
	started func(start []byte)                  // is told of its STARTs
	end     *simontest.Endpoint                 // of the coordinator, and of the dealer
	heard   func(id uuid.UUID, from string, b []byte)
	logger  *slog.Logger

	catalogue []simon.Microprotocol
	terms     terms       // of the jobs that submit makes
	body      int64       // most bytes of what their stores take at once; 0: as a store does
	computes  string      // the microprotocol of those jobs; empty: the first of the catalogue
	guard     simon.Guard // of their parties
	from      jobs.Trace  // of their requests
	tracers   map[string]trace.Tracer
	ahead     atomic.Int64 // nanoseconds by which all clocks of the fleet are ahead of the real one

	mu      sync.Mutex
	notices []session.Notice // every notice that any node has sent
	shares  int              // share messages that any node has sent
}

// terms are what the parties of a computation have agreed on beside its parameters.
type terms struct {
	round, limit time.Duration
	attempts     int
}

func (f *fleet) now() time.Time { return time.Now().Add(time.Duration(f.ahead.Load())) }

// member is one party of a fleet. stopped says that its process is "dead": nothing leaves it any more.
type member struct {
	fleet   *fleet
	name    string
	private *brokertest.PrivateBroker
	key     identity.Secret
	cut     atomic.Int32 // how many JOINs find no way to the coordinator from now on

	mu      sync.Mutex
	store   *jobs.Store
	node    *Node
	cancel  context.CancelFunc
	done    chan struct{}
	stopped bool
	end     *simontest.Endpoint
	step    func(step string) // called after each durable step and before each send
}

func newFleet(t *testing.T, faults simontest.Faults, names ...string) *fleet {
	t.Helper()
	f := &fleet{
		t: t, net: simontest.NewNetwork(faults), ids: map[string]*identity.Identity{}, members: map[string]*member{},
		profile: policy.Teaching, logger: slog.New(slog.DiscardHandler),
		catalogue: simon.Catalogue(), terms: terms{round: 3 * time.Second, limit: 20 * time.Second, attempts: 8},
	}
	if testing.Verbose() {
		f.logger = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	now := time.Now()
	ca, err := identity.NewAuthority("test", now.Add(-time.Hour), now.Add(time.Hour*24*60))
	must(t, err)
	f.ca = ca
	f.roots, err = identity.NewRoots(ca.Certificate())
	must(t, err)
	for _, name := range append(append([]string(nil), names...), "coordinator") {
		usage := identity.UsageParty
		if name == "coordinator" {
			usage = identity.UsageDealer
		}
		id, err := identity.NewAs(usage, ca, name, name+" org", now.Add(-time.Hour), now.Add(24*time.Hour))
		must(t, err)
		f.ids[name] = id
		if name != "coordinator" {
			f.peers = append(f.peers, seat.Peer{Name: name, FP: id.FP(), Organisation: id.Leaf.Organisation})
		}
	}
	f.center = f.ids["coordinator"]
	f.newCoordinator()
	f.end = f.net.Endpoint("coordinator", func(from string, b []byte) { f.coordinate(f.end, from, b) })
	t.Cleanup(func() {
		f.net.Close()
	})
	for _, name := range names {
		m := &member{fleet: f, name: name, private: brokertest.Private(t), key: make(identity.Secret, 32)}
		copy(m.key, name)
		m.end = f.net.Endpoint(name, m.receive)
		f.members[name] = m
		m.start()
		t.Cleanup(m.stop)
	}
	return f
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newCoordinator is a coordinator that knows nothing, as after a restart.
func (f *fleet) newCoordinator() {
	t := coordinator.NewTable(coordinator.Config{Identity: f.center, Roots: f.roots, Logger: f.logger, Now: f.now, Helper: f.helper, Started: f.started})
	f.mu.Lock()
	f.table = t
	f.mu.Unlock()
}

// coordinate serves what is sent to the coordinator: 'j' JOIN, 'l' LEAVE. Its answers are 'r' (reply) and 'p' (pushed).
func (f *fleet) coordinate(center *simontest.Endpoint, from string, b []byte) {
	if len(b) == 0 {
		return
	}
	f.mu.Lock()
	table, heard := f.table, f.heard
	f.mu.Unlock()
	switch b[0] {
	case 'd':
		if heard != nil && len(b) > 17 {
			heard(uuid.UUID(b[1:17]), from, b[17:])
		}
	case 'j':
		reply, push := table.Join(b[1:])
		_ = center.Send(from, append([]byte{'r'}, reply.Encode()...))
		for _, d := range push {
			_ = center.Send(d.Name, append([]byte{'p'}, d.Answer.Encode()...))
		}
	case 'l':
		_ = table.Leave(b[1:])
	}
}

// start runs the member's node over its private broker, as a new process would.
func (m *member) start() {
	t := m.fleet.t
	t.Helper()
	store, err := jobs.Open(context.Background(), m.private.Conn, jobs.Options{Ledger: m.private.Ledger, Logger: m.fleet.logger, Now: m.fleet.now, Alone: true, Limits: jobs.Limits{Body: m.fleet.body}})
	must(t, err)
	rules := policy.Policy{Profile: m.fleet.profile}
	if m.fleet.policy != nil {
		m.fleet.policy(m.name, &rules)
	}
	config := Config{
		Identity: m.fleet.ids[m.name], Roots: m.fleet.roots, Parties: m.fleet.peers, Coordinator: m.fleet.center.FP(),
		Policy: rules, Catalogue: m.fleet.catalogue, Jobs: store, Transport: m,
		StoreKey: m.key, Now: m.fleet.now, Logger: m.fleet.logger.With("node", m.name), Tracer: m.fleet.tracers[m.name],
		ledger: &probedLedger{store, m}, probe: func(step string) { m.at("job " + step) },
	}
	n, err := New(config)
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	m.mu.Lock()
	m.store, m.node, m.cancel, m.stopped, m.done = store, n, cancel, false, make(chan struct{})
	done := m.done
	m.mu.Unlock()
	go func() {
		defer close(done)
		if err := n.Run(ctx); err != nil && ctx.Err() == nil {
			t.Errorf("%s: %v", m.name, err)
		}
	}()
}

// kill ends the member's process: from this moment nothing leaves it and nothing is written.
func (m *member) kill() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.stopped {
		m.stopped = true
		m.private.Conn.Close()
		m.private.Ledger.Close()
		m.cancel()
	}
}

// restart starts a new process over the state that the killed one left.
func (m *member) restart() {
	m.kill()
	<-m.done
	m.store.Close()
	m.private.Restart(m.fleet.t)
	m.start()
}

func (m *member) stop() {
	m.mu.Lock()
	m.cancel()
	m.mu.Unlock()
	<-m.done
	m.store.Close()
}

func (m *member) dead() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.stopped
}

// at is called at each step that a crash may follow.
func (m *member) at(step string) {
	m.mu.Lock()
	f := m.step
	m.mu.Unlock()
	if f != nil {
		f(step)
	}
}

func (m *member) onStep(f func(step string)) {
	m.mu.Lock()
	m.step = f
	m.mu.Unlock()
}

func (m *member) receive(from string, b []byte) {
	m.mu.Lock()
	n, dead := m.node, m.stopped
	m.mu.Unlock()
	if dead || n == nil || len(b) == 0 {
		return
	}
	switch {
	case from == "coordinator" && b[0] == 'd' && len(b) > 17:
		n.Seat().Deliver(uuid.UUID(b[1:17]), from, b[17:])
	case from == "coordinator":
		n.Seat().DeliverAnswer(b[1:])
	case len(b) > 16:
		n.Seat().Deliver(uuid.UUID(b[:16]), from, b[16:])
	}
}

func (m *member) Send(id uuid.UUID, to string, b []byte) error {
	kind, _, _ := session.Kind(b)
	m.at(fmt.Sprintf("before send %d", kind))
	if m.dead() {
		return errors.New("dead")
	}
	m.fleet.note(kind, b)
	head := bytes.Clone(id[:])
	if to == "coordinator" {
		head = append([]byte{'d'}, head...)
	}
	err := m.end.Send(to, append(head, b...))
	m.at(fmt.Sprintf("after send %d", kind))
	return err
}

func (f *fleet) note(kind byte, b []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch kind {
	case session.KindNotice:
		if n, err := session.DecodeNotice(b); err == nil {
			f.notices = append(f.notices, n)
		}
	case session.KindShare:
		f.shares++
	}
}

func (m *member) Join(_ context.Context, join []byte) ([]byte, error) {
	m.at("before join")
	if m.dead() {
		return nil, errors.New("dead")
	}
	if m.cut.Add(-1) >= 0 {
		return nil, errors.New("no way to the coordinator")
	}
	return nil, m.end.Send("coordinator", append([]byte{'j'}, join...)) // the answer comes as a datagram
}

func (m *member) Leave(leave []byte) error {
	if m.dead() {
		return errors.New("dead")
	}
	return m.end.Send("coordinator", append([]byte{'l'}, leave...))
}

// probedLedger tells the member of each write of a line.
type probedLedger struct {
	*jobs.Store
	m *member
}

func (l *probedLedger) CreateLine(ctx context.Context, line jobs.Line) (jobs.Line, error) {
	l.m.at("before line " + line.State.String())
	line, err := l.Store.CreateLine(ctx, line)
	l.m.at("line " + line.State.String())
	return line, err
}

func (l *probedLedger) UpdateLine(ctx context.Context, line jobs.Line) (jobs.Line, error) {
	to := line.State.String()
	l.m.at("before line " + to)
	line, err := l.Store.UpdateLine(ctx, line)
	l.m.at("line " + to)
	return line, err
}

// submit gives a party's part of a sum.
func (f *fleet) submit(name string, id uuid.UUID, data string, deadline time.Duration, parties ...string) jobs.Job {
	f.t.Helper()
	j, err := f.trySubmit(name, id, data, deadline, parties...)
	must(f.t, err)
	return j
}

func (f *fleet) trySubmit(name string, id uuid.UUID, data string, deadline time.Duration, parties ...string) (jobs.Job, error) {
	f.t.Helper()
	if len(parties) == 0 {
		for _, p := range f.peers {
			parties = append(parties, p.Name)
		}
	}
	mp := f.catalogue[max(0, slices.IndexFunc(f.catalogue, func(m simon.Microprotocol) bool { return m.Name == f.computes }))]
	prepared, err := mp.Prepare(strings.NewReader(data), nil, f.guard)
	must(f.t, err)
	now := f.now().UTC()
	self := -1
	for i, p := range parties {
		if p == name {
			self = i
		}
	}
	m := f.members[name]
	return m.current().Submit(f.t.Context(), jobs.Job{
		Caller: "test", UUID: id, Microprotocol: mp.Name, Version: mp.Version, Parameters: prepared.Parameters, Layout: prepared.Layout,
		Parties: parties, Self: self, Round: f.terms.round, Limit: f.terms.limit, Created: now, Deadline: now.Add(deadline), Attempts: f.terms.attempts,
		Trace: f.from,
	}, prepared.Input)
}

// submitted gives a party's part again until its node, which may be down for a moment, has accepted it.
func (f *fleet) submitted(name string, id uuid.UUID, data string) jobs.Job {
	for {
		if j, err := f.trySubmit(name, id, data, patience); err == nil {
			return j
		}
		runtime.Gosched()
	}
}

func (m *member) current() *jobs.Store {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.store
}

// ended waits until a job has ended, over restarts of its node.
func (m *member) ended(id uuid.UUID, patience time.Duration) jobs.Job {
	m.fleet.t.Helper()
	ctx, cancel := context.WithTimeout(m.fleet.t.Context(), patience)
	defer cancel()
	for {
		job, err := m.current().Wait(ctx, id, func(j jobs.Job) bool { return j.Terminal() })
		if err == nil {
			return job
		}
		if ctx.Err() != nil {
			m.fleet.t.Fatalf("%s: job %s did not end: %v (%v)", m.name, id, err, job)
		}
		runtime.Gosched()
	}
}

// sum reads a done job's result.
func (m *member) sum(job jobs.Job) (sum, samples string) {
	m.fleet.t.Helper()
	b, err := m.current().Read(m.fleet.t.Context(), job.Result)
	must(m.fleet.t, err)
	var r struct {
		Sum     json.Number
		Samples json.Number
	}
	must(m.fleet.t, json.Unmarshal(b, &r))
	return r.Sum.String(), r.Samples.String()
}
