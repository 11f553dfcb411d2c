package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"github.com/weftmpc/weft/broker"
	"github.com/weftmpc/weft/broker/identity"
	"github.com/weftmpc/weft/coordinator"
	"github.com/weftmpc/weft/gateway"
	"github.com/weftmpc/weft/node/policy"
	"github.com/weftmpc/weft/node/seat"
)

// demoNames are the parties of the demo, in the order of their ports.
var demoNames = [...]string{
	"alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi",
	"ivan", "judy", "kim", "leo", "mia", "noah", "olga", "paul",
}

// partyNames are the names of n parties; those of a benchmark may be more than the demo's.
func partyNames(n int) []string {
	names := demoNames[:min(n, len(demoNames))]
	for i := len(names); i < n; i++ {
		names = append(names, fmt.Sprintf("party-%d", i+1))
	}
	return names
}

// demoValidity is how long the demo's certificates are valid.
const demoValidity = 30 * 24 * time.Hour

type demoFlags struct {
	parties  int
	port     int
	nats     string
	state    string
	files    string
	once     bool
	deadline time.Duration
	logLevel string

	maxParties int // of one computation; 0: as coordinator, policy and gateway decide. The benchmark of 64 parties sets it
}

func demoCommand() *cobra.Command {
	var f demoFlags
	c := &cobra.Command{
		Use:   "demo",
		Short: "Run parties, broker and coordinator in one process, for learning",
		Long: `Runs a small fabric on this machine: parties alice, bob, carol …, each with its own gateway on 127.0.0.1, one embedded
broker without a listening port, and a coordinator. It computes 19 + 5 + 61 once, shows how to do the same from Python,
and serves until Ctrl-C.

The demo is for learning: all parties live in one process, anybody on this machine may ask its gateways, and a sum of
two parties is allowed. Data that matters needs a node of its own at each party.

Any web page that is open on this machine may use the gateways, to try things out. With --files none may: it could
compute with the files.`,
		Example: `  weft demo
  weft demo --parties 5 --state ~/weft-demo
  weft demo --once`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return runDemo(c.Context(), f, c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	fl := c.Flags()
	fl.IntVar(&f.parties, "parties", 3, "number of parties, 2 to 16")
	fl.IntVar(&f.port, "port", 55501, "port of the first party's gateway; the others follow. 0 takes free ones")
	fl.StringVar(&f.nats, "nats", "", "open the broker on this loopback address for the NATS CLI, such as 127.0.0.1:4222; port 0 takes a free one")
	fl.StringVar(&f.state, "state", "", "keep the state in this folder, so that a restarted demo goes on (default: a temporary one)")
	fl.StringVar(&f.files, "files", "", "folder whose files the parties, each of them, may compute with by name: CSV or JSON; web pages may not use the gateways then (default: none)")
	fl.BoolVar(&f.once, "once", false, "compute 19 + 5 + 61, print the result as JSON, exit")
	fl.DurationVar(&f.deadline, "deadline", 5*time.Minute, "how long a computation waits for all its parties, at most 1h")
	fl.StringVar(&f.logLevel, "log-level", "warn", "debug, info, warn or error; the log goes to standard error")
	return c
}

// check refuses flags that cannot work.
func (f demoFlags) check() error {
	if f.parties < 2 || f.parties > len(demoNames) {
		return usageError("--parties %d: between 2 and %d parties are possible", f.parties, len(demoNames))
	}
	if f.port < 0 || f.port+f.parties > 65536 {
		return usageError("--port %d: the ports of %d parties must lie between 1 and 65535", f.port, f.parties)
	}
	if f.deadline <= 0 || f.deadline > time.Hour {
		return usageError("--deadline %s: between 1ms and 1h are possible", f.deadline)
	}
	if f.nats == "" {
		return nil
	}
	host, port, err := net.SplitHostPort(f.nats)
	if err != nil {
		return usageError("--nats %s: give an address and a port, such as 127.0.0.1:4222", f.nats)
	}
	if !broker.IsLoopback(host) {
		return usageError("--nats %s: the demo listens on loopback only, such as 127.0.0.1:%s", f.nats, port)
	}
	return nil
}

// demo is a running fabric.
type demo struct {
	hub         *broker.Server
	conns       []*nats.Conn
	coordinator *coordinator.Service
	stopDealer  func()
	states      []*stateFolder
	files       *folder // of all parties; nil: none
	parties     []*party
	names       []string
	urls        []string
	ops         broker.Key
	opsURL      string
	context     string // file of the NATS CLI's context
	temporary   string
}

// startDemo brings the whole fabric up. close must be called after an error, too.
func startDemo(ctx context.Context, f demoFlags, logger *slog.Logger) (d *demo, err error) {
	d = &demo{names: partyNames(f.parties)}
	dir := f.state
	if dir == "" {
		removeStale(logger)
		if dir, err = os.MkdirTemp("", "weft-demo-"); err != nil {
			return d, err
		}
		d.temporary = dir
	}
	listeners, err := d.listen(f.port)
	if err != nil {
		return d, err
	}
	defer func() {
		if err != nil {
			for _, l := range listeners {
				_ = l.Close()
			}
		}
	}()
	root, err := d.openState(dir)
	if err != nil {
		return d, err
	}
	if f.files != "" {
		if d.files, err = openFolder(f.files, dir); err != nil {
			return d, fmt.Errorf("--files: %w", err)
		}
	}
	ids, roots, err := demoIdentities(root, d.names)
	if err != nil {
		return d, err
	}
	keys, err := d.startHub(f.nats, logger)
	if err != nil {
		return d, err
	}
	conn, err := d.connect(keys[len(d.names)])
	if err != nil {
		return d, err
	}
	center := coordinator.Config{
		Identity: ids[len(d.names)], Roots: roots, MaxParties: f.maxParties, Logger: logger.With("at", "coordinator"),
	}
	if d.stopDealer, err = startDealer(conn, &center, center.Logger, time.Now); err != nil {
		return d, fmt.Errorf("starting the dealer: %w", err)
	}
	d.coordinator, err = coordinator.Serve(ctx, conn, center)
	if err != nil {
		return d, fmt.Errorf("starting the coordinator: %w", err)
	}
	for i, name := range d.names {
		p, err := d.startParty(ctx, i, ids, roots, keys[i], listeners[i], f, filepath.Join(dir, name), logger.With("at", name))
		if err != nil {
			return d, fmt.Errorf("starting %s: %w", name, err)
		}
		d.parties = append(d.parties, p)
	}
	return d, nil
}

// listen opens the gateways' ports before anything else, so that a port in use stops the demo at once.
func (d *demo) listen(base int) ([]net.Listener, error) {
	var all []net.Listener
	for i := range d.names {
		port := 0
		if base != 0 {
			port = base + i
		}
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			for _, l := range all {
				_ = l.Close()
			}
			return nil, fmt.Errorf("port %d is in use or not allowed (%w): stop what uses it, or choose others with --port", port, err)
		}
		all = append(all, l)
		d.urls = append(d.urls, "http://"+l.Addr().String())
	}
	return all, nil
}

func (d *demo) openState(dir string) (*stateFolder, error) {
	s, err := openState(dir)
	if err == nil {
		d.states = append(d.states, s)
	}
	return s, err
}

func (d *demo) startHub(listen string, logger *slog.Logger) ([]broker.Key, error) {
	var keys []broker.Key
	var members []broker.Member
	for _, name := range append(append([]string(nil), d.names...), "coordinator") {
		k, err := broker.NewKey()
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
		members = append(members, broker.Member{Name: name, NKey: k.Public()})
	}
	var err error
	if d.ops, err = broker.NewKey(); err != nil {
		return nil, err
	}
	if host, port, err := net.SplitHostPort(listen); err == nil && port == "0" {
		listen = net.JoinHostPort(host, "-1") // any free one, as the server spells it
	}
	config := broker.Hub("weft-demo", listen, members[:len(d.names)], members[len(d.names)], d.ops.Public())
	config.Logger = logger.With("at", "broker")
	if d.hub, err = broker.Start(config); err != nil {
		return nil, fmt.Errorf("starting the broker: %w", err)
	}
	if listen != "" {
		d.opsURL = "nats://" + d.hub.Addr()
	}
	return keys, nil
}

func (d *demo) connect(k broker.Key) (*nats.Conn, error) {
	nc, err := d.hub.Connect(k)
	if err == nil {
		d.conns = append(d.conns, nc)
	}
	return nc, err
}

func (d *demo) startParty(ctx context.Context, i int, ids []*identity.Identity, roots identity.Roots, key broker.Key,
	l net.Listener, f demoFlags, dir string, logger *slog.Logger) (*party, error) {
	state, err := d.openState(dir)
	if err != nil {
		return nil, err
	}
	nc, err := d.connect(key)
	if err != nil {
		return nil, err
	}
	pages := []string{"*"}
	if d.files != nil {
		pages = nil // only the gateways' own
	}
	c := partyConfig{
		state: state, identity: ids[i], roots: roots, coordinator: ids[len(d.names)].FP(), profile: policy.Teaching,
		loopback: true, cors: pages, deadline: f.deadline, maxParties: f.maxParties, files: d.files, fabric: nc, listener: l, logger: logger,
		helpers: inAll(ids[len(d.names)].Name(), ids[len(d.names)].FP()),
	}
	for j, name := range d.names {
		c.parties = append(c.parties, seat.Peer{Name: name, FP: ids[j].FP(), Organisation: ids[j].Leaf.Organisation})
		c.urls = append(c.urls, gateway.Party{Name: name, URLs: []string{d.urls[j]}})
	}
	return startParty(ctx, c)
}

// close stops everything, the last started first.
func (d *demo) close() error {
	errs := make(chan error, len(d.parties))
	for _, p := range d.parties {
		go func() { errs <- p.close() }()
	}
	var err error
	for range d.parties {
		err = errors.Join(err, <-errs)
	}
	if d.coordinator != nil {
		d.coordinator.Stop()
	}
	if d.stopDealer != nil {
		d.stopDealer()
	}
	for _, nc := range d.conns {
		nc.Close()
	}
	if d.hub != nil {
		d.hub.Shutdown()
	}
	for _, s := range d.states {
		s.close()
	}
	if d.temporary != "" {
		err = errors.Join(err, os.RemoveAll(d.temporary))
	}
	return err
}

// removeStale removes temporary folders of demos that were killed: they hold keys.
func removeStale(logger *slog.Logger) {
	old, _ := filepath.Glob(filepath.Join(os.TempDir(), "weft-demo-*"))
	for _, dir := range old {
		if _, err := os.Stat(filepath.Join(dir, "state.key")); err != nil {
			continue // being made, or not a demo's
		}
		s, err := openState(dir)
		if err != nil {
			continue // in use, or another user's
		}
		s.close()
		if err := os.RemoveAll(dir); err != nil {
			logger.Warn("a killed demo's folder is still there", "folder", dir, "error", err)
		}
	}
}

// demoIdentities loads the certificates of the parties and, last, the coordinator, or makes them.
func demoIdentities(state *stateFolder, names []string) ([]*identity.Identity, identity.Roots, error) {
	now := time.Now()
	dir := filepath.Join(state.dir, "ca")
	ca, err := identity.LoadAuthority(dir)
	if errors.Is(err, os.ErrNotExist) {
		if err = os.MkdirAll(dir, 0o700); err == nil {
			if ca, err = identity.NewAuthority("weft demo", now.Add(-time.Hour), now.AddDate(10, 0, 0)); err == nil {
				err = ca.Save(dir)
			}
		}
	}
	if err != nil {
		return nil, identity.Roots{}, fmt.Errorf("the demo's certificate authority: %w", err)
	}
	roots, err := identity.NewRoots(ca.Certificate())
	if err != nil {
		return nil, roots, err
	}
	var ids []*identity.Identity
	for i, name := range append(append([]string(nil), names...), "coordinator") {
		usage := identity.UsageParty
		if i == len(names) {
			usage = identity.UsageDealer
		}
		id, err := demoIdentity(ca, usage, filepath.Join(state.dir, name), name, now)
		if err != nil {
			return nil, roots, fmt.Errorf("the demo's identity of %s: %w", name, err)
		}
		ids = append(ids, id)
	}
	return ids, roots, nil
}

func demoIdentity(ca *identity.Authority, usage identity.Usage, dir, name string, now time.Time) (*identity.Identity, error) {
	crt, key := filepath.Join(dir, "identity.crt"), filepath.Join(dir, "identity.key")
	id, err := identity.LoadIdentity(crt, key)
	if err == nil && id.Leaf.Usage == usage && now.Before(id.Leaf.NotAfter.Add(-24*time.Hour)) {
		return id, nil
	}
	if err == nil { // a new key: computations of a month ago are over
		err = errors.Join(os.Remove(crt), os.Remove(key))
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if id, err = identity.NewAs(usage, ca, name, name+" (demo)", now.Add(-time.Hour), now.Add(demoValidity-time.Hour)); err != nil {
		return nil, err
	}
	return id, id.Save(dir)
}
