package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/trace"

	"github.com/weftmpc/weft/broker"
	"github.com/weftmpc/weft/broker/identity"
	"github.com/weftmpc/weft/gateway"
	"github.com/weftmpc/weft/jobs"
	"github.com/weftmpc/weft/jobs/objects"
	"github.com/weftmpc/weft/node"
	"github.com/weftmpc/weft/node/policy"
	"github.com/weftmpc/weft/node/seat"
	"github.com/weftmpc/weft/simon"
)

// partyConfig is what one party's node needs from outside its state folder.
type partyConfig struct {
	state       *stateFolder
	identity    *identity.Identity
	roots       identity.Roots
	parties     []seat.Peer
	urls        []gateway.Party
	coordinator identity.Fingerprint
	profile     policy.Profile
	helpers     []policy.Helper
	excluded    []string // from evaluating
	disclose    []simon.Disclosure
	approval    policy.Approval
	power       bool          // every write survives a power cut
	guests      broker.Guests // of the private broker; the zero Guests: none
	loopback    bool          // localhost, 127.0.0.1 and [::1] are one
	cors        []string
	hosts       []string
	deadline    time.Duration
	maxParties  int     // of one computation; 0: as policy and gateway decide
	files       *folder // of data that its people compute with by name; nil: none
	gate        gate    // TLS and access control of the gateway; the zero gate: none
	fabric      *nats.Conn
	hubCert     string       // file of the TLS certificate for the hub; empty: none
	listener    net.Listener // of the gateway; nil: the node has none of its own
	logger      *slog.Logger
	tracer      trace.Tracer     // nil: nobody traces
	now         func() time.Time // nil: time.Now
}

// policy is what the node takes part in.
func (c partyConfig) policy(maxParties int) policy.Policy {
	return policy.Policy{Profile: c.profile, MaxParties: maxParties, Helpers: c.helpers, ExcludeEvaluators: c.excluded, Disclose: c.disclose, Approval: c.approval}
}

// party is a node with its private broker, its stores and its gateway.
type party struct {
	private *broker.Server
	node    *node.Node
	gateway *gateway.Gateway // nil: none of its own
	guard   atomic.Pointer[simon.Guard]
	retired atomic.Bool // nothing new begins

	directory *directory
	conn      *nats.Conn
	ledger    *nats.Conn // to the ledger's account
	jobs      *jobs.Store
	objects   *objects.Store
	stop      context.CancelFunc
	done      sync.WaitGroup
	failed    chan struct{} // closed when a part has stopped by itself

	mu  sync.Mutex
	err error
}

// startParty brings a party up: private broker, stores, node, gateway, in this order.
func startParty(ctx context.Context, c partyConfig) (_ *party, err error) {
	p := &party{stop: func() {}, failed: make(chan struct{})}
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	if err := p.openStores(ctx, c); err != nil {
		return nil, err
	}
	p.node, err = node.New(node.Config{
		Identity: c.identity, Roots: c.roots, Parties: c.parties, Coordinator: c.coordinator,
		Policy: c.policy(c.maxParties), Catalogue: simon.Catalogue(), Jobs: p.jobs, Fabric: c.fabric,
		StoreKey: c.state.derive("nonce"), Room: c.state.room, Now: c.now, Logger: c.logger, Tracer: c.tracer,
	})
	if err != nil {
		return nil, err
	}
	list, err := gateway.NewDirectory(c.identity.Name(), c.urls, c.loopback)
	if err != nil {
		return nil, err
	}
	p.directory = &directory{}
	p.directory.list.Store(list)
	p.setGuard(c.profile.Guard())
	if c.listener != nil {
		if err := p.openGateway(c); err != nil {
			return nil, err
		}
	}
	if c.guests.Listen != "" {
		if err := p.serveGateways(c); err != nil {
			return nil, fmt.Errorf("serving gateways of their own: %w", err)
		}
	}
	ctx, p.stop = context.WithCancel(ctx)
	p.done.Go(func() { p.ended("node", p.node.Run(ctx), c.logger) })
	if p.gateway != nil {
		for _, run := range c.gate.run {
			p.done.Go(func() { run(ctx) })
		}
		p.done.Go(func() { p.ended("gateway", p.gateway.Serve(ctx, c.listener), c.logger) })
	}
	p.done.Go(func() { jobs.KeepSwept(ctx, c.now, c.logger, p.jobs, p.objects) })
	p.done.Go(func() { p.watchStore(ctx, c) })
	return p, nil
}

// openGateway makes the node's own gateway.
func (p *party) openGateway(c partyConfig) (err error) {
	serving := gateway.Config{
		Catalogue: simon.Catalogue(), Jobs: p.jobs, Objects: p.objects, Directory: p.directory, Key: c.state.derive(representations), Guard: c.profile.Guard(),
		Version: version(), Deadline: c.deadline, MaxParties: c.maxParties, CORS: c.cors, Hosts: c.hosts, Now: c.now, Logger: c.logger, Tracer: c.tracer,
		Ready: func() error { return p.missing(c) }, Room: c.state.room, Stats: func() gateway.NodeStats { return p.stats(c) },
		Access: c.gate.access, TLS: c.gate.tls, Proxies: c.gate.proxies,
	}
	serving.Facts, serving.Microservices = c.facts(p.node), microservices{broker.NewServices(p.conn)}
	if c.files != nil {
		serving.Files = c.files
	}
	p.gateway, err = gateway.New(serving)
	return err
}

// roomEvery is how often the free space is looked at for the log.
const roomEvery = 2 * time.Second

// watchStore logs when the disk gets nearly full and when it has room again, and ends the party if the store is broken: what
// is not written cannot be promised, and a new start goes on where the last write has left it.
func (p *party) watchStore(ctx context.Context, c partyConfig) {
	full := false
	for {
		err := c.state.room()
		switch {
		case err != nil && !full:
			c.logger.Error("the disk is nearly full: nothing new is accepted and computed until there is room", "error", err)
		case err == nil && full:
			c.logger.Info("the disk has room again", "folder", c.state.dir)
		}
		full = err != nil
		select {
		case err := <-p.private.Broken():
			p.ended("store", fmt.Errorf("%w: make room on the disk of %s, or see to the disk, and start again: nothing that was accepted is lost", err, c.state.dir), c.logger)
			return
		case <-time.After(roomEvery):
		case <-ctx.Done():
			return
		}
	}
}

func (p *party) openStores(ctx context.Context, c partyConfig) error {
	if c.guests.Listen != "" {
		// Until the ledger has its own account a guest could write what becomes of it: nobody else is let in before.
		moved, err := c.state.movedLedger()
		if err == nil && !moved {
			alone, before := c, &party{stop: func() {}}
			alone.guests = broker.Guests{}
			err = errors.Join(before.openStores(ctx, alone), before.close())
		}
		if err != nil {
			return err
		}
	}
	user, ledger, err := nodeKeys()
	if err != nil {
		return err
	}
	config := broker.Private(c.identity.Name(), c.state.dir, c.state.derive("jetstream"), user.Public(), ledger.Public(), c.power).Admit(c.guests)
	config.Logger = c.logger
	if p.private, err = broker.Start(config); err != nil {
		return fmt.Errorf("starting the private broker of %s: %w", c.identity.Name(), err)
	}
	if p.conn, err = p.private.Connect(user); err != nil {
		return err
	}
	if p.ledger, err = p.private.Connect(ledger); err != nil {
		return err
	}
	if err := c.state.moveLedger(ctx, p.conn, p.ledger); err != nil {
		return err
	}
	if p.jobs, err = jobs.Open(ctx, p.conn, jobs.Options{Alone: c.guests.Listen == "", Ledger: p.ledger, Now: c.now, Logger: c.logger, Version: version(), Limits: c.gate.shares()}); err != nil {
		return fmt.Errorf("opening the job store of %s: %w", c.identity.Name(), err)
	}
	if p.objects, err = objects.Open(ctx, p.conn, objects.Options{Shared: c.guests.Listen != "", Now: c.now, Logger: c.logger, Version: version()}); err != nil {
		return fmt.Errorf("opening the object store of %s: %w", c.identity.Name(), err)
	}
	return nil
}

// ended keeps why a part of the party stopped; the gateway is not ready from then on.
func (p *party) ended(part string, err error, logger *slog.Logger) {
	if err == nil || errors.Is(err, context.Canceled) {
		return
	}
	logger.Error("a part of the party has stopped", "part", part, "error", err)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		close(p.failed)
	}
	p.err = errors.Join(p.err, fmt.Errorf("the %s has stopped: %w", part, err))
}

func (p *party) problem() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// close stops the node and the gateway, then the stores and the broker below them.
func (p *party) close() error {
	p.stop()
	p.done.Wait()
	if p.objects != nil {
		p.objects.Close()
	}
	if p.jobs != nil {
		p.jobs.Close()
	}
	if p.conn != nil {
		p.conn.Close()
	}
	if p.ledger != nil {
		p.ledger.Close()
	}
	if p.private != nil {
		p.private.Shutdown()
	}
	return p.problem()
}
