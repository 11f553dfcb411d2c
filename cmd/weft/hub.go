package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/weftmpc/weft/broker"
)

// hubConfig is hub.yaml.
type hubConfig struct {
	Name        string    `yaml:"name" doc:"The server's name, one word."`
	Listen      string    `yaml:"listen" doc:"host:port to listen on; 0.0.0.0:4222 for all of this machine's addresses."`
	TLS         tlsConfig `yaml:"tls" doc:"Mutual TLS 1.3: whoever connects shows a certificate of the authority, too."`
	Coordinator member    `yaml:"coordinator" doc:"The coordinator: its name, and the public key of its user."`
	Operators   []member  `yaml:"operators" doc:"Who may look at services and events with the NATS CLI, nothing else."`
	Parties     []member  `yaml:"parties" doc:"Each party's name, and the public key of its user. Each gets an account of its own; nothing passes between two but sealed share messages."`
	Log         logConfig `yaml:"log" doc:"The log, on standard error."`
}

type tlsConfig struct {
	Cert string `yaml:"cert" doc:"The hub's certificate, for the host names by which it is reached."`
	Key  string `yaml:"key" doc:"Its private key, readable by the owner alone."`
	CA   string `yaml:"ca" doc:"The certificate of the authority whose certificates may connect."`
}

func defaultHub() hubConfig {
	return hubConfig{
		Name: "weft-hub", Listen: "127.0.0.1:4222", TLS: tlsConfig{Cert: "tls.crt", Key: "tls.key", CA: "ca.crt"},
		Operators: []member{}, Log: defaultLog(),
	}
}

func loadHub(file string, environ []string) (hubConfig, error) {
	c := defaultHub()
	if err := loadConfig(file, &c, environ); err != nil {
		return c, err
	}
	beside(file, &c.TLS.Cert, &c.TLS.Key, &c.TLS.CA)
	if len(c.Parties) < 2 {
		return c, fmt.Errorf("%s: parties: at least two are needed", file)
	}
	for i, m := range append([]member{c.Coordinator}, c.Parties...) {
		if m.Name == "" || m.NKey == "" {
			at := "coordinator"
			if i > 0 {
				at = fmt.Sprintf("parties[%d]", i-1)
			}
			return c, fmt.Errorf("%s: %s: name and nkey are needed", file, at)
		}
	}
	return c, nil
}

// broker describes the server.
func (c hubConfig) broker() broker.Config {
	parties := make([]broker.Member, len(c.Parties))
	for i, p := range c.Parties {
		parties[i] = broker.Member{Name: p.Name, NKey: p.NKey}
	}
	operators := make([]string, len(c.Operators))
	for i, o := range c.Operators {
		operators[i] = o.NKey
	}
	b := broker.Hub(c.Name, c.Listen, parties, broker.Member{Name: c.Coordinator.Name, NKey: c.Coordinator.NKey}, operators...)
	b.TLS = &broker.TLS{Cert: c.TLS.Cert, Key: c.TLS.Key, CA: c.TLS.CA}
	return b
}

func (p *program) brokerCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "broker",
		Short: "Run a broker between institutions",
	}, p.hubCommand())
}

func (p *program) hubCommand() *cobra.Command {
	var (
		file   string
		onlyIt bool
	)
	c := &cobra.Command{
		Use:   "hub",
		Short: "Run the broker between the institutions",
		Long: `Runs a NATS server with an account for each party until Ctrl-C or a request to terminate. What passes through it is sealed
end to end; it sees who sends how much to whom, and when. It stores nothing.

With --print it writes the equivalent configuration of a stock nats-server (2.14 or newer) and exits.`,
		Example: `  weft broker hub init --dir hub
  weft broker hub --config hub/hub.yaml
  weft broker hub --config hub/hub.yaml --print > nats-server.conf`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := loadHub(file, p.environ())
			if err != nil {
				return err
			}
			if onlyIt {
				text, err := cfg.broker().Render()
				if err != nil {
					return fmt.Errorf("%s: %w", file, err)
				}
				_, err = io.WriteString(c.OutOrStdout(), text)
				return err
			}
			return p.runHub(c.Context(), file, cfg, c.ErrOrStderr())
		},
	}
	c.Flags().StringVar(&file, "config", "hub.yaml", "the configuration file; `weft broker hub init` writes one")
	c.Flags().BoolVar(&onlyIt, "print", false, "write the configuration of a stock nats-server and exit")
	c.AddCommand(p.hubInitCommand())
	return c
}

func (p *program) runHub(ctx context.Context, file string, c hubConfig, stderr io.Writer) error {
	log, err := c.Log.logger(file, stderr)
	if err != nil {
		return err
	}
	b := c.broker()
	b.Logger = log
	s, err := broker.Start(b)
	if err != nil {
		return err
	}
	defer s.Shutdown()
	go warnExpiry(ctx, log, p.now, c.TLS.Cert)
	log.Info("the hub is running", "name", c.Name, "listen", s.Addr(), "parties", len(c.Parties), "version", version())
	<-ctx.Done()
	log.Info("the hub is stopping", "name", c.Name)
	return nil
}

func (p *program) hubInitCommand() *cobra.Command {
	var dir, from, listen string
	c := &cobra.Command{
		Use:     "init",
		Short:   "Write a commented hub.yaml",
		Long:    `Writes hub.yaml into a folder in which 'weft ca issue NAME --host HOST' has put the hub's certificate and key.`,
		Example: `  weft broker hub init --dir hub --members ca/members.yaml --listen 0.0.0.0:4222`,
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			m, err := loadMembers(from)
			if err != nil {
				return err
			}
			if m.Coordinator == nil {
				return withHint(errors.New(from+" has no coordinator"), "`weft ca issue coordinator --coordinator` makes one")
			}
			cfg := defaultHub()
			cfg.Listen, cfg.Operators = listen, bare(m.Operators)
			cfg.Coordinator = bare([]member{*m.Coordinator})[0]
			cfg.Parties = bare(m.Parties)
			if _, err := cfg.broker().Render(); err != nil {
				return err
			}
			path := filepath.Join(dir, "hub.yaml")
			if err := writeConfig(path, "The broker between the institutions, run by `weft broker hub --config hub.yaml`.", cfg); err != nil {
				return err
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "%s\n", path)
			return err
		},
	}
	c.Flags().StringVar(&dir, "dir", "hub", "the folder with the hub's certificate and key")
	c.Flags().StringVar(&from, "members", filepath.Join("ca", "members.yaml"), "the list of members that `weft ca issue` keeps")
	c.Flags().StringVar(&listen, "listen", defaultHub().Listen, "host:port to listen on")
	return c
}

// bare is what a hub needs to know of members.
func bare(members []member) []member {
	all := make([]member, len(members))
	for i, m := range members {
		all[i] = member{Name: m.Name, NKey: m.NKey}
	}
	return all
}
