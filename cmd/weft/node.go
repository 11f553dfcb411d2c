package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/weftmpc/weft/broker"
	"github.com/weftmpc/weft/broker/identity"
	"github.com/weftmpc/weft/gateway"
	"github.com/weftmpc/weft/node/policy"
	"github.com/weftmpc/weft/node/seat"
)

// nodeConfig is node.yaml.
type nodeConfig struct {
	Identity    identityConfig `yaml:"identity" doc:"Who this party is."`
	CA          string         `yaml:"ca" doc:"The certificate of the consortium's authority. While it is being replaced, the file holds both."`
	State       string         `yaml:"state" doc:"The folder of jobs, inputs and results, encrypted under a key that lies in it (state.key). One process at a time; local disk. Never run a copy of it: use a new folder."`
	Durability  string         `yaml:"durability" doc:"power: every write is on disk before it counts, so that a power cut loses nothing. process: only a crash of weft loses nothing; a small sum then takes some 40 % less time."`
	Profile     string         `yaml:"profile" doc:"What is allowed. strict: at least three parties, of distinct organisations. teaching: also two parties and one organisation playing all, which discloses data; never with data that matter."`
	Drain       time.Duration  `yaml:"drain" doc:"How long the end of the process waits for computations that run, at most 10m. What has not ended then is tried again after the next start. 0s: not at all."`
	Hub         linkConfig     `yaml:"hub" doc:"The broker between the institutions."`
	Coordinator string         `yaml:"coordinator" doc:"The fingerprint of the coordinator, which brings the parties of a computation together. It sees who computes what with whom, and no data."`
	Parties     []member       `yaml:"parties" doc:"Whom this party computes with, its own entry included, and nobody else. Compare each fingerprint with the one that the institution tells you by another way. gateways are the URLs under which clients name a party."`
	Helpers     []helperConfig `yaml:"helpers" doc:"Who may help where that takes trust: name, fingerprint, roles (dealer, opener, aggregator), microprotocols. A dealer is listed where it could read data together with one party; an opener always, because it sees sums that no party sees; an aggregator where more than 16 parties should send their masked sums to it, and not each to each. The coordinator needs no entry to deal for three parties or more where all that it could do is spoil the result. Empty: nobody."`
	Excluded    []string       `yaml:"exclude_evaluators" doc:"Names of parties that never evaluate comparisons. All parties of a computation must list the same, or it does not start."`
	Disclose    []string       `yaml:"disclose" doc:"What modes of microprotocols may disclose that their defaults do not. pooled-counts-to-opener: while elements are found by their rank, the opener, whom helpers must list, learns how many values of all parties lie below others. pooled-counts-to-all: every party learns that. Empty: nothing."`
	Approval    approvalConfig `yaml:"approval" doc:"What waits for somebody of this party to approve it."`
	Gateway     gatewayConfig  `yaml:"gateway" doc:"The HTTP API for this party's own people."`
	Private     privateConfig  `yaml:"private" doc:"Other processes of this house at the node's own broker, which has jobs, inputs and results."`
	Log         logConfig      `yaml:"log" doc:"The log, on standard error. It never holds data."`
	Traces      tracesConfig   `yaml:"traces" doc:"OpenTelemetry traces of requests and their jobs, for this party's own operators. They never hold data, and nothing of them reaches other parties."`
}

type gatewayConfig struct {
	Listen      string        `yaml:"listen" doc:"host:port. On a loopback address all users of this machine are one caller, unless access below says more. Any other address needs access, and tls or behind_proxy. Empty, in a node with private.listen: gateways are processes of their own, and the node has none."`
	Insecure    bool          `yaml:"insecure_without_access_control" doc:"true lets the gateway listen beyond this machine without access control and TLS: whoever reaches it can compute in this party's name."`
	TLS         gatewayTLS    `yaml:"tls" doc:"The gateway's own TLS."`
	BehindProxy []string      `yaml:"behind_proxy" doc:"Addresses (192.0.2.7) or networks (192.0.2.0/28) of the proxy in front, which has TLS in the gateway's stead. Its X-Forwarded-For and X-Forwarded-Proto count, and nobody else's. Without tls above the gateway answers the proxy and this machine alone."`
	Access      accessConfig  `yaml:"access" doc:"Who may call the gateway. Nothing below: no access control."`
	Hosts       []string      `yaml:"hosts" doc:"Further host names under which clients reach it, such as a proxy's. Loopback names and this party's own gateways above always count; all else is refused."`
	CORS        []string      `yaml:"cors" doc:"Origins of web pages that may call it, such as https://example.org. Empty: none."`
	Files       string        `yaml:"files" doc:"Folder whose files this party's own people may compute with by name: CSV or JSON; the node reads them itself. Whoever reaches the gateway can, with patience, learn single values: put only files there that its users may read. Empty: none."`
	Deadline    time.Duration `yaml:"deadline" doc:"How long a computation waits for all its parties, at most 1h."`
}

func defaultNode() nodeConfig {
	return nodeConfig{
		Identity: identityConfig{Cert: "identity.crt", Key: "identity.key"}, CA: "ca.crt", State: "state",
		Durability: "power", Profile: "strict", Drain: 30 * time.Second, Hub: defaultLink(), Helpers: []helperConfig{}, Excluded: []string{}, Disclose: []string{},
		Approval: approvalConfig{Microprotocols: []string{}},
		Gateway: gatewayConfig{
			Listen: "127.0.0.1:55501", BehindProxy: []string{}, Hosts: []string{}, CORS: []string{}, Deadline: 5 * time.Minute,
			Access: accessConfig{Certificates: map[string]string{}, OIDC: oidcConfig{Roles: map[string]string{}}},
		},
		Private: defaultPrivate(), Log: defaultLog(), Traces: defaultTraces(),
	}
}

// loadNode reads and checks node.yaml. What lies in other files is checked when those are read.
func loadNode(file string, environ []string) (nodeConfig, error) {
	c := defaultNode()
	if err := loadConfig(file, &c, environ); err != nil {
		return c, err
	}
	beside(file, append(c.Gateway.paths(), &c.Identity.Cert, &c.Identity.Key, &c.CA, &c.State, &c.Hub.Cert, &c.Hub.Key, &c.Hub.CA, &c.Hub.NKey,
		&c.Private.TLS.Cert, &c.Private.TLS.Key, &c.Private.TLS.CA, &c.Traces.CA, &c.Traces.Headers)...)
	if err := c.check(); err != nil {
		return c, fmt.Errorf("%s: %w", file, err)
	}
	return c, nil
}

func (c nodeConfig) check() error {
	if err := required(map[string]string{
		"identity.cert": c.Identity.Cert, "identity.key": c.Identity.Key, "ca": c.CA, "state": c.State, "hub.url": c.Hub.URL, "coordinator": c.Coordinator,
	}); err != nil {
		return err
	}
	if _, err := policy.ParseProfile(c.Profile); err != nil {
		return err
	}
	if c.Durability != "power" && c.Durability != "process" {
		return fmt.Errorf("durability %q: use power or process", c.Durability)
	}
	if _, err := identity.ParseFingerprint(c.Coordinator); err != nil {
		return fmt.Errorf("coordinator: %w", err)
	}
	if err := c.Gateway.checkDeadline(); err != nil {
		return err
	}
	if c.Drain < 0 || c.Drain > maxDrain {
		return fmt.Errorf("drain %s: between 0s and %s are possible", c.Drain, maxDrain)
	}
	if c.Gateway.Listen == "" && c.Private.Listen == "" {
		return withHint(errors.New("gateway.listen is empty, and so is private.listen: nobody could reach this node"), "set gateway.listen, such as 127.0.0.1:55501")
	}
	if c.Gateway.Listen != "" {
		if err := c.Gateway.check(); err != nil {
			return err
		}
	}
	if err := c.Private.check(); err != nil {
		return err
	}
	if err := c.Traces.check(); err != nil {
		return err
	}
	if len(c.Parties) < 2 {
		return errors.New("parties: list every party to compute with, this one included")
	}
	names, prints := map[string]bool{}, map[identity.Fingerprint]string{}
	for i, p := range c.Parties {
		at := fmt.Sprintf("parties[%d]", i)
		if err := identity.CheckName(p.Name); err != nil {
			return fmt.Errorf("%s.name: %w", at, err)
		}
		if p.Fingerprint == (identity.Fingerprint{}) {
			return fmt.Errorf("%s.fingerprint of %s is missing", at, p.Name)
		}
		if names[p.Name] {
			return fmt.Errorf("%s: %s stands twice", at, p.Name)
		}
		if other, ok := prints[p.Fingerprint]; ok {
			return fmt.Errorf("%s: %s and %s have the same fingerprint", at, other, p.Name)
		}
		if p.Organisation == "" {
			return fmt.Errorf("%s.organisation of %s is missing", at, p.Name)
		}
		names[p.Name], prints[p.Fingerprint] = true, p.Name
	}
	if _, err := c.disclosures(); err != nil {
		return err
	}
	if _, err := c.helperPolicy(); err != nil {
		return err
	}
	_, err := c.approvals()
	return err
}

func (p *program) nodeCommand() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "node",
		Short: "Run one party: its store, its protocols and its gateway",
		Long: `Runs one party's node until Ctrl-C or a request to terminate. The node keeps jobs, inputs and results in its own state
folder, encrypted; it connects to the hub, outbound only, and opens a gateway for the party's own people.

It starts whether or not the hub is there; /readyz of its gateway tells whether it can compute.

SIGTERM or Ctrl-C ends it: computations that run come to their end within the time that 'drain' of the configuration gives
them, and a second signal ends it at once; nothing that was accepted is lost. SIGHUP, or 'weft node reload', has it read its
configuration again.`,
		Example: `  weft node init --dir alice
  weft node --config alice/node.yaml`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return p.runNode(c.Context(), file, c.ErrOrStderr())
		},
	}
	c.Flags().StringVar(&file, "config", "node.yaml", "the configuration file; `weft node init` writes one")
	c.AddCommand(p.nodeInitCommand(), p.nodeReloadCommand())
	return c
}

// runNode is the whole life of the command.
func (p *program) runNode(ctx context.Context, file string, stderr io.Writer) (err error) {
	c, err := loadNode(file, p.environ())
	if err != nil {
		return err
	}
	p.onHangup(func() {}) // until there is something to reload
	log, err := c.Log.logger(file, stderr)
	if err != nil {
		return err
	}
	id, roots, err := c.Identity.load(c.CA, p.now())
	if err != nil {
		return err
	}
	party, err := c.party(id)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	party.roots, party.logger, party.now, party.hubCert = roots, log, p.now, c.Hub.Cert
	if party.state, err = openStateWithin(ctx, c.State, lockWait); err != nil {
		return err
	}
	defer party.state.close()
	forgetPID, err := party.state.tellPID()
	if err != nil {
		return err
	}
	defer forgetPID()
	if c.Gateway.Files != "" && c.Gateway.Listen != "" {
		if party.files, err = c.openFiles(); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	own := "none"
	if c.Gateway.Listen != "" {
		if party.gate, party.listener, err = c.Gateway.open(c.State, file, p.now, log); err != nil {
			return err
		}
		defer party.listener.Close()
		own = c.Gateway.at(party.listener)
	}
	if party.fabric, err = c.Hub.dial(id.Name(), log); err != nil {
		return err
	}
	defer party.fabric.Close()
	tracer, endTraces, err := c.Traces.start(id.Name(), log)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	defer endTraces()
	party.tracer = tracer
	running, err := startParty(context.WithoutCancel(ctx), party)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, running.close()) }()
	p.onHangup(newReloader(p, file, c, party, running).reload)
	defer p.onHangup(func() {})
	certificates := []string{c.Identity.Cert, c.Hub.Cert}
	if c.Private.Listen != "" && c.Private.TLS.Cert != "" {
		certificates = append(certificates, c.Private.TLS.Cert)
	}
	go warnExpiry(ctx, log, p.now, certificates...)
	log.Info("the node is running", "party", id.Name(), "gateway", own, "private", running.private.Addr(), "hub", c.Hub.URL,
		"profile", c.Profile, "durability", c.Durability, "version", version())
	select {
	case <-ctx.Done():
		log.Info("the node is stopping", "party", id.Name(), "drain", c.Drain)
		if left := running.drain(context.WithoutCancel(ctx), c.Drain); left > 0 {
			log.Warn("computations have not ended in time; they are tried again after the next start", "jobs", left)
		}
	case <-running.failed: // close tells why
	}
	return nil
}

// openFiles opens the folder of files. None of the node's secrets may lie in it.
func (c nodeConfig) openFiles() (*folder, error) {
	private := []string{c.State, c.Identity.Key, c.Hub.Key, c.Hub.NKey}
	for _, file := range []string{c.Gateway.TLS.Key, c.Private.TLS.Key, c.Traces.Headers} {
		if file != "" {
			private = append(private, file)
		}
	}
	f, err := openFolder(c.Gateway.Files, private...)
	if err != nil {
		return nil, withHint(fmt.Errorf("gateway.files: %w", err), "%s", advice(err, "make the folder, or leave gateway.files empty"))
	}
	return f, nil
}

// party is the configuration without what is opened: folder, connection, listener.
func (c nodeConfig) party(id *identity.Identity) (partyConfig, error) {
	coordinator, err := identity.ParseFingerprint(c.Coordinator)
	if err != nil {
		return partyConfig{}, fmt.Errorf("coordinator: %w", err)
	}
	profile, err := policy.ParseProfile(c.Profile)
	if err != nil {
		return partyConfig{}, err
	}
	p := partyConfig{
		identity: id, coordinator: coordinator, profile: profile, power: c.Durability == "power",
		guests: c.Private.guests(), cors: c.Gateway.CORS, hosts: c.Gateway.Hosts, deadline: c.Gateway.Deadline, excluded: c.Excluded,
	}
	if p.disclose, err = c.disclosures(); err != nil {
		return p, err
	}
	if p.helpers, err = c.helperPolicy(); err != nil {
		return p, err
	}
	if p.approval, err = c.approvals(); err != nil {
		return p, err
	}
	own := false
	for _, m := range c.Parties {
		p.parties = append(p.parties, seat.Peer{Name: m.Name, FP: m.Fingerprint, Organisation: m.Organisation})
		p.urls = append(p.urls, gateway.Party{Name: m.Name, URLs: m.Gateways})
		own = own || m.Name == id.Name() && m.Fingerprint == id.FP()
	}
	if !own {
		return p, fmt.Errorf("parties: this party's own entry is missing or has another fingerprint; its certificate says name %s, fingerprint %s", id.Name(), id.FP())
	}
	return p, nil
}

func (p *program) nodeInitCommand() *cobra.Command {
	var dir, from, hub, listen, profile string
	c := &cobra.Command{
		Use:   "init",
		Short: "Write a commented node.yaml",
		Long: `Writes node.yaml into a folder in which 'weft ca issue' has put a party's certificates and keys. The parties are taken
from the authority's list of members; whoever keeps this node's data strikes out whom it does not compute with, and
compares the fingerprints with what the institutions themselves say.`,
		Example: `  weft node init --dir alice --members ca/members.yaml --hub tls://hub.example.org:4222`,
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			m, err := loadMembers(from)
			if err != nil {
				return err
			}
			id, err := identity.LoadIdentity(filepath.Join(dir, "identity.crt"), filepath.Join(dir, "identity.key"))
			if err != nil {
				return withHint(err, "`weft ca issue NAME --out %s` puts a party's certificates and keys there", dir)
			}
			cfg := defaultNode()
			cfg.Hub.URL, cfg.Parties, cfg.Profile = hub, m.Parties, profile
			if m.Coordinator != nil {
				cfg.Coordinator = m.Coordinator.Fingerprint.String()
			}
			for i := range cfg.Parties {
				cfg.Parties[i].NKey, cfg.Parties[i].TLS = "", identity.Fingerprint{} // the hub's and the authority's business
				if cfg.Parties[i].Name == id.Name() && listen == "" {
					listen = localListen(cfg.Parties[i].Gateways)
				}
			}
			if listen != "" {
				cfg.Gateway.Listen = listen
			}
			if _, err := cfg.party(id); err != nil {
				return fmt.Errorf("%s: %w", from, err)
			}
			if err := cfg.check(); err != nil {
				return err
			}
			path := filepath.Join(dir, "node.yaml")
			if err := writeConfig(path, "The node of "+id.Name()+", run by `weft node --config node.yaml`.", cfg); err != nil {
				return err
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "%s\n", path)
			return err
		},
	}
	fl := c.Flags()
	fl.StringVar(&dir, "dir", ".", "the folder with the party's certificates and keys")
	fl.StringVar(&from, "members", filepath.Join("ca", "members.yaml"), "the list of members that `weft ca issue` keeps")
	fl.StringVar(&hub, "hub", defaultLink().URL, "where the hub listens")
	fl.StringVar(&listen, "listen", "", "host:port of the gateway (default: this party's own gateway URL if it is on this machine, else 127.0.0.1:55501)")
	fl.StringVar(&profile, "profile", "strict", "strict or teaching")
	return c
}

// localListen is the address of the first gateway URL that is plain HTTP on this machine, or "".
func localListen(gateways []string) string {
	for _, g := range gateways {
		if u, err := url.Parse(g); err == nil && u.Scheme == "http" && broker.IsLoopback(u.Hostname()) && u.Port() != "" {
			return u.Host
		}
	}
	return ""
}
