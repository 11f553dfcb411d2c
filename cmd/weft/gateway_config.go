package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weftmpc/weft/broker"
	"github.com/weftmpc/weft/broker/identity"
)

// gatewayProcess is gateway.yaml: a gateway that is a process of its own.
type gatewayProcess struct {
	Party   string        `yaml:"party" doc:"The name of the party whose gateway this is."`
	Node    privateLink   `yaml:"node" doc:"The party's node, where private.listen lets gateways connect."`
	Secret  string        `yaml:"secret" doc:"The file of the key from which names of objects are derived: the same in all gateways of a party, so that each serves what another has made. Readable by the owner alone."`
	State   string        `yaml:"state" doc:"The folder of this gateway's access tokens (tokens.yaml). Gateways that are to know the same tokens have it in common, or a copy."`
	Drain   time.Duration `yaml:"drain" doc:"How long the end of the process waits for requests that wait for a result, at most 10m. 0s: not at all."`
	Gateway gatewayConfig `yaml:"gateway" doc:"The HTTP API for this party's own people."`
	Log     logConfig     `yaml:"log" doc:"The log, on standard error. It never holds data."`
	Traces  tracesConfig  `yaml:"traces" doc:"OpenTelemetry traces of requests, for this party's own operators. The node traces their jobs. They never hold data."`
}

// privateLink is how a guest reaches the private broker.
type privateLink struct {
	URL  string `yaml:"url" doc:"Where the node's broker listens: tls://host:port, or nats://host:port on a loopback address."`
	Cert string `yaml:"cert" doc:"Our TLS certificate, of the authority that private.tls.ca of the node names. A renewed file is read at the next connection. Empty for nats://."`
	Key  string `yaml:"key" doc:"Its private key, readable by the owner alone."`
	CA   string `yaml:"ca" doc:"The certificate of the authority that issued the broker's."`
	NKey string `yaml:"nkey" doc:"The seed of our user there (gateway.nk), readable by the owner alone."`
}

// The files that `weft gateway init` makes besides gateway.yaml.
const (
	fileGatewayNKey = "gateway.nk"
	fileGatewayKey  = "representations.key"
)

func defaultGatewayProcess() gatewayProcess {
	return gatewayProcess{
		Node: privateLink{NKey: fileGatewayNKey}, Secret: fileGatewayKey, State: "state", Drain: 30 * time.Second,
		Gateway: defaultNode().Gateway, Log: defaultLog(), Traces: defaultTraces(),
	}
}

// loadGatewayProcess reads and checks gateway.yaml. What lies in other files is checked when those are read.
func loadGatewayProcess(file string, environ []string) (gatewayProcess, error) {
	c := defaultGatewayProcess()
	if err := loadConfig(file, &c, environ); err != nil {
		return c, err
	}
	beside(file, append(c.Gateway.paths(), &c.Node.Cert, &c.Node.Key, &c.Node.CA, &c.Node.NKey, &c.Secret, &c.State, &c.Traces.CA, &c.Traces.Headers)...)
	if err := c.check(); err != nil {
		return c, fmt.Errorf("%s: %w", file, err)
	}
	return c, nil
}

// paths are those in a gateway's part of a configuration.
func (c *gatewayConfig) paths() []*string {
	return []*string{&c.Files, &c.TLS.Cert, &c.TLS.Key, &c.TLS.ClientCA, &c.Access.OIDC.CA}
}

func (c gatewayProcess) check() error {
	if err := required(map[string]string{"party": c.Party, "node.url": c.Node.URL, "node.nkey": c.Node.NKey, "secret": c.Secret, "state": c.State, "gateway.listen": c.Gateway.Listen}); err != nil {
		return err
	}
	if err := identity.CheckName(c.Party); err != nil {
		return fmt.Errorf("party: %w", err)
	}
	if l := c.Node; (l.Cert == "") != (l.Key == "") || (l.Cert == "") != (l.CA == "") {
		return errors.New("node: cert, key and ca go together, and one is missing")
	}
	if c.Drain < 0 || c.Drain > maxDrain {
		return fmt.Errorf("drain %s: between 0s and %s are possible", c.Drain, maxDrain)
	}
	if c.Gateway.Files != "" { // how often somebody may try values against a file is counted in one process
		return withHint(errors.New("gateway.files: a gateway that is a process of its own reads no files"), "leave it empty here; the node's own gateway can have it")
	}
	if err := c.Gateway.checkDeadline(); err != nil {
		return err
	}
	if err := c.Traces.check(); err != nil {
		return err
	}
	return c.Gateway.check()
}

func (p *program) gatewayInitCommand() *cobra.Command {
	var node, out, listen, url string
	c := &cobra.Command{
		Use:   "init",
		Short: "Write a commented gateway.yaml and the keys of a gateway",
		Long: `Writes a folder for a gateway that is a process of its own, from the configuration of its party's node: gateway.yaml, the
key by which it connects to the node's broker (` + fileGatewayNKey + `), and the key from which it derives names of objects
(` + fileGatewayKey + `), which comes from the node's state folder. Run it on the node's machine as the node's own user, and
hand the folder over like the node's keys.

Prints the lines for the node's configuration. Hosts, CORS and deadline are taken over from the node's own gateway; access
control and TLS are to be set, as the comments in gateway.yaml say. Where the broker has TLS, put a certificate for the
gateway and its authority's into the folder: tls.crt, tls.key and ca.crt.`,
		Example: `  weft gateway init --node alice/node.yaml --out gateway-1 --listen 127.0.0.1:55511`,
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := loadNode(node, p.environ())
			if err != nil {
				return err
			}
			public, err := p.initGateway(cfg, out, listen, url)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "private:\n  gateways:\n    - %s\n", quote(public))
			return errors.Join(err, pasteHint(c.ErrOrStderr()))
		},
	}
	fl := c.Flags()
	fl.StringVar(&node, "node", "node.yaml", "the node's configuration file")
	fl.StringVar(&out, "out", "gateway", "the folder to make")
	fl.StringVar(&listen, "listen", defaultNode().Gateway.Listen, "host:port of the gateway")
	fl.StringVar(&url, "url", "", "where the node's broker is reached (default: from private.listen of the node)")
	return c
}

// initGateway makes the folder of a gateway of the node's party, and returns the public key of its user.
func (p *program) initGateway(node nodeConfig, dir, listen, url string) (public string, err error) {
	id, _, err := node.Identity.load(node.CA, p.now())
	if err != nil {
		return "", err
	}
	cfg := defaultGatewayProcess()
	cfg.Party, cfg.Node.URL = id.Name(), url
	if url == "" {
		cfg.Node.URL = node.Private.url()
	}
	if strings.HasPrefix(cfg.Node.URL, "tls:") {
		cfg.Node.Cert, cfg.Node.Key, cfg.Node.CA = "tls.crt", "tls.key", "ca.crt"
	}
	cfg.Gateway.Listen, cfg.Gateway.Hosts, cfg.Gateway.CORS, cfg.Gateway.Deadline = listen, node.Gateway.Hosts, node.Gateway.CORS, node.Gateway.Deadline
	if err := cfg.check(); err != nil {
		return "", err
	}
	path := filepath.Join(dir, "gateway.yaml")
	if _, err := os.Lstat(path); err == nil { // before any key is made
		return "", withHint(fmt.Errorf("%s is there already and is not overwritten", path), "move it away first, or give another folder with --out")
	}
	secret, err := representationsKey(node.State)
	if err != nil {
		return "", err
	}
	defer clear(secret)
	if public, err = makeUser(dir, fileGatewayNKey); err != nil {
		return "", err
	}
	if err := writeSecret(filepath.Join(dir, fileGatewayKey), secret); err != nil {
		return "", err
	}
	return public, writeConfig(path, "A gateway of "+id.Name()+", run by `weft gateway --config gateway.yaml`.", cfg)
}

// representations is the use of the state key from which gateways derive names of objects.
const representations = "representations"

// representationsKey is the key that the gateway of a node has. The node may run; if it never has, its state folder is made.
func representationsKey(dir string) (identity.Secret, error) {
	key, err := loadKey(dir)
	if err == nil {
		defer clear(key)
		return (&stateFolder{key: key}).derive(representations), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	s, err := openState(dir)
	if err != nil {
		return nil, err
	}
	defer s.close()
	return s.derive(representations), nil
}

// url is where guests on this machine reach the broker.
func (c privateConfig) url() string {
	scheme, listen := "nats", c.Listen
	if c.TLS.Cert != "" {
		scheme = "tls"
	}
	if listen == "" {
		listen = defaultPrivateListen
	}
	host, port, err := net.SplitHostPort(listen)
	if ip := net.ParseIP(host); err == nil && ip != nil && ip.IsUnspecified() {
		listen = net.JoinHostPort("localhost", port)
	}
	return scheme + "://" + listen
}

// defaultPrivateListen is where a private broker listens unless somebody says where.
const defaultPrivateListen = "127.0.0.1:4333"

// remote reads the key of the link's user.
func (c privateLink) remote() (broker.Remote, error) {
	key, err := readNKey("node.nkey", c.NKey)
	if err != nil {
		return broker.Remote{}, err
	}
	r := broker.Remote{URL: c.URL, User: key}
	if c.Cert != "" {
		r.TLS = &broker.TLS{Cert: c.Cert, Key: c.Key, CA: c.CA}
	}
	return r, nil
}
