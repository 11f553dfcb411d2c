// Package node is a party: it takes jobs from the party's store, brings them through the coordinator to a start, plays the
// protocol over its seat, and writes the result back.
//
// Safety: a job's result is released only after every party has confirmed the same transcript and the same opened values,
// and a computation is tried again only where nobody can have completed it.
// Liveness: every accepted job ends as done, failed with a reason, or cancelled; each wait has a deadline that names whom it
// waits for. Killing the process at any moment loses no accepted job: the store is the queue, and Run goes through the
// ledger before it takes the first job.
package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/trace"

	"github.com/weftmpc/weft/broker"
	"github.com/weftmpc/weft/broker/identity"
	"github.com/weftmpc/weft/coordinator"
	"github.com/weftmpc/weft/jobs"
	"github.com/weftmpc/weft/node/policy"
	"github.com/weftmpc/weft/node/seat"
	"github.com/weftmpc/weft/simon"
)

const (
	tickEvery    = 50 * time.Millisecond
	pendingBytes = 512 << 20 // of messages that have arrived and are not looked at
)

// Config describes a party's node.
type Config struct {
	Identity    *identity.Identity
	Roots       identity.Roots
	Parties     []seat.Peer          // all parties that this node may compute with, itself included
	Coordinator identity.Fingerprint // whose STARTs the JOINs are made for
	Policy      policy.Policy
	Catalogue   []simon.Microprotocol
	Jobs        *jobs.Store     // whoever opened it keeps it swept
	Fabric      *nats.Conn      // to the hub; nil: Transport is used
	Transport   seat.Fabric     // instead of Fabric, for in-memory networks
	StoreKey    identity.Secret // at least 32 bytes, made with the state folder
	Attempts    int             // of one job; zero: 5
	Room        func() error    // tells why no computation may begin: the disk is nearly full; nil: there is always room
	Now         func() time.Time
	Logger      *slog.Logger
	Tracer      trace.Tracer // of jobs; nil: nobody traces

	ledger seat.Ledger       // nil: Jobs
	probe  func(step string) // told of each write of a job record and of the end of Play; for tests that stop the node there
}

// Node runs the jobs of one party.
type Node struct {
	cfg  Config
	boot string
	seat *seat.Seat

	mu      sync.Mutex
	lanes   map[string]*lane
	runners map[uuid.UUID]*runner
	issued  int64 // of the newest JOIN
	wg      sync.WaitGroup
	crew    *crew

	rules   atomic.Pointer[rules]
	retired context.Context // ends with Drain
	retire  context.CancelFunc
	ended   chan struct{} // closed and made anew when a runner ends after that

	finishing chan struct{} // has room for as many results as may be computed at a time
	link      chan struct{} // closed and made anew when there is a connection to the fabric again
}

// New returns a node that has not started.
func New(c Config) (*Node, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Attempts == 0 {
		c.Attempts = 5
	}
	if c.Jobs == nil || c.Identity == nil || (c.Fabric == nil && c.Transport == nil) {
		return nil, errors.New("node: identity, jobs and a connection to the fabric are required")
	}
	if c.ledger == nil {
		c.ledger = c.Jobs
	}
	n := &Node{cfg: c, boot: uuid.NewString(), lanes: map[string]*lane{}, runners: map[uuid.UUID]*runner{}, link: make(chan struct{}),
		ended: make(chan struct{}), finishing: make(chan struct{}, runtime.GOMAXPROCS(0))}
	n.setPolicy(c.Policy)
	n.retired, n.retire = context.WithCancel(context.Background())
	transport := c.Transport
	if transport == nil {
		transport = natsFabric{c.Fabric, c.Identity.Name()}
	}
	var err error
	n.seat, err = seat.New(seat.Config{
		Identity: c.Identity, Roots: c.Roots, Peers: c.Parties, Fabric: transport, Ledger: c.ledger,
		StoreKey: c.StoreKey, Now: c.Now, Logger: c.Logger,
	})
	return n, err
}

// Seat is the place that an in-memory transport delivers to.
func (n *Node) Seat() *seat.Seat { return n.seat }

// Run recovers what an earlier process left, then serves jobs until ctx ends. It returns when all its goroutines have:
// a result that is just being computed, which takes some seconds at most, is waited for.
func (n *Node) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer n.seat.Wait()
	defer n.wg.Wait()
	defer stop()
	n.crew = newCrew(ctx, &n.wg)
	n.wg.Go(func() { <-ctx.Done(); n.seat.Stop() })
	n.wg.Go(func() { n.tick(ctx) })
	n.seat.Forgets(0, math.MaxInt64) // until the store is read
	if n.cfg.Fabric != nil {
		unsubscribe, err := n.subscribe()
		if err != nil {
			return err
		}
		defer unsubscribe()
	}
	committed, err := n.seat.Recover(ctx)
	if err != nil {
		return fmt.Errorf("recovering from the ledger: %w", err)
	}
	left := map[uuid.UUID]*seat.Run{}
	for _, r := range committed {
		left[r.Job()] = r
	}
	all, err := n.cfg.Jobs.List(ctx, "")
	if err != nil {
		return fmt.Errorf("reading the jobs: %w", err)
	}
	var known int64
	for _, job := range all {
		if job.Issued <= n.cfg.Now().Add(coordinator.ClockTolerance).UnixNano() { // else of a clock that was wrong
			known = max(known, job.Issued)
		}
		n.issue(job.Issued)
		if r := left[job.ID]; r != nil && job.State == jobs.Done && job.SID == r.SID() {
			if err := r.Settle(); err != nil {
				return fmt.Errorf("recovering from the ledger: %w", err)
			}
		}
	}
	n.seat.Forgets(known, n.issue(0))
	for job := range n.cfg.Jobs.Watch(ctx) {
		n.take(ctx, job, left)
	}
	if ctx.Err() == nil {
		return errors.New("the job store was closed")
	}
	return nil
}

func (n *Node) tick(ctx context.Context) {
	t := time.NewTicker(tickEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			n.seat.Tick(n.cfg.Now())
		}
	}
}

// subscribe makes the two standing subscriptions. One wildcard serves all computations: a subscription per computation
// would lose the first messages over leaf links, and show its UUID to others.
func (n *Node) subscribe() (func(), error) {
	nc, self := n.cfg.Fabric, n.cfg.Identity.Name()
	shares, err := nc.Subscribe(broker.ShareInbox(self), func(m *nats.Msg) {
		id, to, from, ok := broker.ParseShare(m.Subject)
		if !ok || to != self {
			return
		}
		if u, err := uuid.Parse(id); err == nil && u.String() == id {
			n.seat.Deliver(u, from, m.Data)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("subscribing to share messages: %w", err)
	}
	starts, err := nc.Subscribe(broker.StartSubject(self), func(m *nats.Msg) { n.seat.DeliverAnswer(m.Data) })
	if err != nil {
		return nil, fmt.Errorf("subscribing to starts: %w", err)
	}
	for _, s := range []*nats.Subscription{shares, starts} {
		if err := s.SetPendingLimits(-1, pendingBytes); err != nil { // what is dropped beyond is asked for again
			return nil, err
		}
	}
	before := nc.Opts.ReconnectedCB
	nc.SetReconnectHandler(func(nc *nats.Conn) {
		if before != nil {
			before(nc)
		}
		n.reconnected()
	})
	unsubscribe := func() { _ = shares.Unsubscribe(); _ = starts.Unsubscribe() }
	if !nc.IsConnected() { // the connection brings them along when there is one
		return unsubscribe, nil
	}
	return unsubscribe, nc.Flush()
}

// reconnected makes all that waits for an answer ask again at once: what was sent while the link was down is lost.
func (n *Node) reconnected() {
	n.mu.Lock()
	close(n.link)
	n.link = make(chan struct{})
	n.mu.Unlock()
	n.seat.Reconnected()
}

// relinked is closed at the next reconnection.
func (n *Node) relinked() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.link
}

// natsFabric is a seat's Fabric over a connection to the hub.
type natsFabric struct {
	nc   *nats.Conn
	self string
}

func (f natsFabric) Send(id uuid.UUID, to string, b []byte) error {
	return f.nc.Publish(broker.Share(id.String(), to, f.self), b)
}

func (f natsFabric) Join(ctx context.Context, join []byte) ([]byte, error) {
	m, err := f.nc.RequestWithContext(ctx, broker.JoinSubject(f.self), join)
	if err != nil {
		return nil, err
	}
	return m.Data, nil
}

func (f natsFabric) Leave(leave []byte) error {
	return f.nc.Publish(broker.LeaveSubject(f.self), leave)
}
