package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"
	"go.opentelemetry.io/otel/trace"

	"github.com/weftmpc/weft/broker"
	"github.com/weftmpc/weft/broker/identity"
	"github.com/weftmpc/weft/gateway"
	"github.com/weftmpc/weft/jobs"
	"github.com/weftmpc/weft/jobs/objects"
	"github.com/weftmpc/weft/simon"
)

func (p *program) gatewayCommand() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "gateway",
		Short: "Run a gateway as a process of its own, beside its party's node",
		Long: `Runs a gateway until Ctrl-C or a request to terminate. It keeps nothing: jobs, inputs, results and uploaded values are with
the party's node, to whose broker it connects ('private' in node.yaml). Several gateways of a party, behind a load balancer,
serve the same objects, and a restart of any of them loses none.

It starts whether or not the node is there, and connects again for ever; /readyz tells whether it can serve, and what is
asked while the node is away is answered with 503 and Retry-After.

SIGTERM or Ctrl-C ends it: requests that wait for results go on for the time that 'drain' of the configuration gives them,
and a second signal ends it at once. SIGHUP has it read its configuration again: a new TLS certificate for the node is used
by a new connection, and the log says what needs a restart.`,
		Example: `  weft gateway init --node alice/node.yaml --out gateway-1
  weft gateway --config gateway-1/gateway.yaml`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return p.runGateway(c.Context(), file, c.ErrOrStderr())
		},
	}
	c.Flags().StringVar(&file, "config", "gateway.yaml", "the configuration file; `weft gateway init` writes one")
	c.AddCommand(p.gatewayInitCommand())
	return c
}

// runGateway is the whole life of the command.
func (p *program) runGateway(ctx context.Context, file string, stderr io.Writer) error {
	c, err := loadGatewayProcess(file, p.environ())
	if err != nil {
		return err
	}
	p.onHangup(func() {}) // until there is something to reload
	log, err := c.Log.logger(file, stderr)
	if err != nil {
		return err
	}
	g := &gatewayRun{config: c, log: log, now: p.now}
	if g.key, err = readSecret(c.Secret); err != nil {
		return fmt.Errorf("%s: secret: %w", file, err)
	}
	r, err := c.Node.remote()
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	var listener net.Listener
	if g.gate, listener, err = c.Gateway.open(c.State, file, p.now, log); err != nil {
		return err
	}
	defer listener.Close()
	g.listener = listener.(*net.TCPListener) //nolint:forcetypeassert // of net.Listen for tcp
	nc, err := broker.Dial(r, log, nats.Name(c.Party+" gateway"), r.User.Inbox())
	if err != nil {
		return fmt.Errorf("%s: node: %w", file, err)
	}
	defer nc.Close()
	tracer, endTraces, err := c.Traces.start(c.Party, log)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	defer endTraces()
	g.tracer = tracer
	g.view = &nodeView{nc: nc, party: c.Party, log: log}
	p.onHangup(func() { g.reload(file, p.environ()) })
	defer p.onHangup(func() {})
	if c.Node.Cert != "" {
		go warnExpiry(ctx, log, p.now, c.Node.Cert)
	}
	log.Info("the gateway is running", "party", c.Party, "gateway", c.Gateway.at(listener), "node", c.Node.URL, "version", version())
	if err := g.find(ctx); err != nil {
		if ctx.Err() != nil {
			return nil //nolint:nilerr // it was asked to end before it found its node
		}
		return fmt.Errorf("%s: %w", file, err)
	}
	return g.serve(ctx)
}

// readSecret reads the key from which names of objects are derived.
func readSecret(path string) (identity.Secret, error) {
	if err := identity.CheckPrivate(path); err != nil {
		return nil, withHint(err, "%s", advice(err, "chmod 600 "+path+"; `weft gateway init` writes it"))
	}
	key, err := identity.ReadSmall(path)
	if err != nil {
		return nil, err
	}
	if len(key) != 32 {
		clear(key)
		return nil, withHint(fmt.Errorf("%s has %d bytes, want 32", path, len(key)), "copy the file from another gateway of this party, or have `weft gateway init` write it anew")
	}
	return key, nil
}

// gatewayRun is a gateway on its way: first it looks for its node, then it serves.
type gatewayRun struct {
	config   gatewayProcess
	log      *slog.Logger
	now      func() time.Time
	key      identity.Secret
	tracer   trace.Tracer // nil: nobody traces
	gate     gate
	listener *net.TCPListener
	view     *nodeView
	jobs     *jobs.Store
	objects  *objects.Store
}

// find waits until the node answers and its stores can be read. Meanwhile whoever asks is told so.
func (g *gatewayRun) find(ctx context.Context) error {
	waiting, done := context.WithCancel(ctx)
	defer done()
	answering := make(chan error, 1)
	go func() {
		answering <- gateway.Await(waiting, g.listener, g.gate.tls, g.gate.proxies, func() string {
			if g.view.nc.IsConnected() {
				return "this party's node does not answer"
			}
			return "no connection to this party's node"
		}, g.log)
	}()
	told := ""
	for {
		err := g.view.ask(ctx)
		if err == nil {
			err = g.open(ctx)
		}
		var wrong *wrongParty
		switch {
		case err == nil:
			done()
			return <-answering
		case errors.As(err, &wrong):
			return withHint(err, "correct node.url; or make this gateway's files with `weft gateway init` at the node of %s", wrong.have)
		case g.view.nc.IsConnected() && err.Error() != told: // else the connection itself has told
			told = err.Error()
			g.log.Warn("the node cannot be used yet, trying again", "error", err,
				"hint", "is it starting, or of an older version of weft? this gateway's key must be under private.gateways in its configuration")
		}
		if err := pause(ctx, statusEvery); err != nil {
			return err
		}
	}
}

// openTime bounds the reading of the stores, which may hold 100,000 jobs.
const openTime = time.Minute

func (g *gatewayRun) open(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, openTime)
	defer cancel()
	if g.jobs, err = jobs.Open(ctx, g.view.nc, jobs.Options{Now: g.now, Logger: g.log, Version: version(), Limits: g.gate.shares()}); err != nil {
		return err
	}
	if g.objects, err = objects.Open(ctx, g.view.nc, objects.Options{Guest: true, Now: g.now, Logger: g.log, Version: version()}); err != nil {
		g.jobs.Close()
	}
	return err
}

// serve answers until ctx ends, then lets waiting requests come to their end.
func (g *gatewayRun) serve(ctx context.Context) error {
	defer g.jobs.Close()
	defer g.objects.Close()
	c := g.config.Gateway
	status, _ := g.view.now()
	serving, err := gateway.New(gateway.Config{
		Catalogue: simon.Catalogue(), Jobs: g.jobs, Objects: g.objects, Directory: &g.view.directory, Key: g.key, Guard: status.Guard,
		Version: version(), Deadline: c.Deadline, CORS: c.CORS, Hosts: c.Hosts, Now: g.now, Logger: g.log, Tracer: g.tracer,
		Ready: g.view.ready, Room: g.view.room, Stats: g.view.stats, Facts: g.view.facts,
		Access: g.gate.access, TLS: g.gate.tls, Proxies: g.gate.proxies, Microservices: microservices{broker.NewServices(g.view.nc)},
	})
	if err != nil {
		return err
	}
	g.view.taken = serving.SetGuard
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var background sync.WaitGroup
	defer background.Wait()
	defer stop()
	background.Go(func() { g.view.run(life) })
	for _, run := range g.gate.run {
		background.Go(func() { run(life) })
	}
	ended := make(chan error, 1)
	background.Go(func() { ended <- serving.Serve(life, g.listener) })
	g.log.Info("the gateway serves", "party", g.config.Party)
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	g.log.Info("the gateway is stopping", "party", g.config.Party, "drain", g.config.Drain)
	serving.Retire()
	for began := time.Now(); serving.Waiting() > 0 && time.Since(began) < g.config.Drain; {
		_ = pause(life, 50*time.Millisecond)
	}
	stop()
	return <-ended
}

// reload reads the configuration again. A renewed certificate for the node is used at once; all else is for the next start.
func (g *gatewayRun) reload(file string, environ []string) {
	next, err := loadGatewayProcess(file, environ)
	if err != nil {
		g.log.Error("nothing is reloaded: the configuration cannot be used", "error", err)
		return
	}
	taken := ""
	if c := g.config.Node; c.Cert != "" {
		if _, err := (broker.TLS{Cert: c.Cert, Key: c.Key, CA: c.CA}).Load(); err != nil {
			g.log.Error("the certificate for the node is not reloaded", "error", err)
		} else if err := g.view.nc.ForceReconnect(); err == nil {
			taken = "node.cert"
		}
	}
	restart := differences(reflect.ValueOf(g.config), reflect.ValueOf(next), "")
	g.log.Info("the configuration was read again", "reloaded", taken, "needs_restart", strings.Join(restart, ", "))
}
