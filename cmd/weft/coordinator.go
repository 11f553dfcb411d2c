package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weftmpc/weft/broker/identity"
	"github.com/weftmpc/weft/coordinator"
)

// coordinatorConfig is coordinator.yaml.
type coordinatorConfig struct {
	Identity identityConfig `yaml:"identity" doc:"Who this coordinator is: the parties' configurations name its fingerprint."`
	CA       string         `yaml:"ca" doc:"The certificate of the consortium's authority, which issued the parties'."`
	Hub      linkConfig     `yaml:"hub" doc:"The broker between the institutions."`
	Helper   bool           `yaml:"helper" doc:"true: this coordinator helps in computations that need it, with keys of its own. As dealer, such as for a median, it sends the evaluators random correlations, and receives no input, share or result. As opener, where each party's node.yaml lists it as that, it receives sums of all parties' numbers and announces what follows from them. As aggregator, likewise listed, it adds up the masked vectors of more than 16 parties and learns nothing. Its identity needs a dealer's certificate, as weft ca issue --coordinator makes."`
	Log      logConfig      `yaml:"log" doc:"The log, on standard error."`
}

func defaultCoordinator() coordinatorConfig {
	return coordinatorConfig{
		Identity: identityConfig{Cert: "identity.crt", Key: "identity.key"}, CA: "ca.crt", Hub: defaultLink(), Log: defaultLog(),
	}
}

func loadCoordinator(file string, environ []string) (coordinatorConfig, error) {
	c := defaultCoordinator()
	if err := loadConfig(file, &c, environ); err != nil {
		return c, err
	}
	beside(file, &c.Identity.Cert, &c.Identity.Key, &c.CA, &c.Hub.Cert, &c.Hub.Key, &c.Hub.CA, &c.Hub.NKey)
	if err := required(map[string]string{
		"identity.cert": c.Identity.Cert, "identity.key": c.Identity.Key, "ca": c.CA, "hub.url": c.Hub.URL,
	}); err != nil {
		return c, fmt.Errorf("%s: %w", file, err)
	}
	return c, nil
}

func (p *program) coordinatorCommand() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "coordinator",
		Short: "Run the service that brings the parties of a computation together",
		Long: `Runs a coordinator until Ctrl-C or a request to terminate. It gathers the parties' signed requests and tells all of them
to start; it sees who computes what with whom, when, and with which parameters, and no data, share or result. With helper:
true it also deals: what it sends the evaluators of a comparison is random, and nothing comes back to it. It keeps nothing
on disk: after a restart the parties repeat their requests.`,
		Example: `  weft coordinator init --dir coordinator
  weft coordinator --config coordinator/coordinator.yaml`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return p.runCoordinator(c.Context(), file, c.ErrOrStderr())
		},
	}
	c.Flags().StringVar(&file, "config", "coordinator.yaml", "the configuration file; `weft coordinator init` writes one")
	c.AddCommand(p.coordinatorInitCommand())
	return c
}

func (p *program) runCoordinator(ctx context.Context, file string, stderr io.Writer) error {
	c, err := loadCoordinator(file, p.environ())
	if err != nil {
		return err
	}
	log, err := c.Log.logger(file, stderr)
	if err != nil {
		return err
	}
	id, roots, err := c.Identity.loadAs(c.CA, p.now(), identity.UsageDealer, identity.UsageParty)
	if err != nil {
		return err
	}
	nc, err := c.Hub.dial(id.Name(), log)
	if err != nil {
		return err
	}
	defer nc.Close()
	config := coordinator.Config{Identity: id, Roots: roots, Logger: log, Now: p.now, Version: serviceVersion(version())}
	if c.Helper {
		stop, err := startDealer(nc, &config, log, p.now)
		if err != nil {
			return fmt.Errorf("starting the coordinator: %w", err)
		}
		defer stop()
	}
	s, err := coordinator.Serve(context.WithoutCancel(ctx), nc, config)
	if err != nil {
		return fmt.Errorf("starting the coordinator: %w", err)
	}
	defer s.Stop()
	go warnExpiry(ctx, log, p.now, c.Identity.Cert, c.Hub.Cert)
	log.Info("the coordinator is running", "name", id.Name(), "deals", c.Helper, "fingerprint", id.FP().String(), "hub", c.Hub.URL, "version", version())
	<-ctx.Done()
	log.Info("the coordinator is stopping", "name", id.Name())
	return nil
}

// serviceVersion is a version as NATS services write it, without the v; "", which lets the coordinator tell its own, where
// the build knows none.
func serviceVersion(v string) string {
	number, ok := strings.CutPrefix(v, "v")
	if !ok { // (devel)
		return ""
	}
	return number
}

func (p *program) coordinatorInitCommand() *cobra.Command {
	var dir, hub string
	c := &cobra.Command{
		Use:     "init",
		Short:   "Write a commented coordinator.yaml",
		Long:    `Writes coordinator.yaml into a folder in which 'weft ca issue NAME --coordinator' has put certificates and keys.`,
		Example: `  weft coordinator init --dir coordinator --hub tls://hub.example.org:4222`,
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			id, err := identity.LoadIdentity(filepath.Join(dir, "identity.crt"), filepath.Join(dir, "identity.key"))
			if err != nil {
				return withHint(err, "`weft ca issue coordinator --coordinator --out %s` puts certificates and keys there", dir)
			}
			cfg := defaultCoordinator()
			cfg.Hub.URL, cfg.Helper = hub, id.Leaf.Usage == identity.UsageDealer
			path := filepath.Join(dir, "coordinator.yaml")
			if err := writeConfig(path, "The coordinator "+id.Name()+", run by `weft coordinator --config coordinator.yaml`.", cfg); err != nil {
				return err
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "%s\n", path)
			return err
		},
	}
	c.Flags().StringVar(&dir, "dir", "coordinator", "the folder with the coordinator's certificates and keys")
	c.Flags().StringVar(&hub, "hub", defaultLink().URL, "where the hub listens")
	return c
}
