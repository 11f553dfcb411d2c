package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"

	"github.com/nats-io/nkeys"
	"github.com/spf13/cobra"

	"github.com/weftmpc/weft/broker"
	"github.com/weftmpc/weft/broker/identity"
)

// privateConfig is who else of the house may use the node's own broker.
type privateConfig struct {
	Listen   string            `yaml:"listen" doc:"host:port, 0.0.0.0 for all of this machine's addresses. Empty: the broker has no socket, and only the node uses it."`
	TLS      privateTLS        `yaml:"tls" doc:"Mutual TLS 1.3, needed unless listen is a loopback address."`
	Gateways []string          `yaml:"gateways" doc:"Public keys of gateways that are processes of their own; 'weft gateway init' makes one. A gateway reads and writes all jobs and uploaded values of this party."`
	Services map[string]string `yaml:"services" doc:"Micro services of this house: the public key of each by its name. 'weft service init' makes one. A service is asked by gateways and may do nothing else."`
}

type privateTLS struct {
	Cert string `yaml:"cert" doc:"The broker's certificate, for the host names by which it is reached. Empty: no TLS."`
	Key  string `yaml:"key" doc:"Its private key, readable by the owner alone."`
	CA   string `yaml:"ca" doc:"The certificate of the authority whose certificates may connect: one of this house's rather than the consortium's."`
}

func defaultPrivate() privateConfig {
	return privateConfig{Gateways: []string{}, Services: map[string]string{}}
}

// checkPublic refuses what is no public key without showing it: somebody may have taken the secret one.
func checkPublic(at, key string) error {
	if len(key) != 56 || !nkeys.IsValidPublicUserKey(key) {
		return withHint(fmt.Errorf("%s is not the public key of a user, which has 56 characters and begins with U", at),
			"take the line that `weft gateway init` or `weft service init` printed; what is in the .nk file is secret and stays there")
	}
	return nil
}

// guests are those of the configuration.
func (c privateConfig) guests() broker.Guests {
	g := broker.Guests{Listen: c.Listen, Gateways: c.Gateways}
	if c.TLS.Cert != "" {
		g.TLS = &broker.TLS{Cert: c.TLS.Cert, Key: c.TLS.Key, CA: c.TLS.CA}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Services)) {
		g.Services = append(g.Services, broker.Member{Name: name, NKey: c.Services[name]})
	}
	return g
}

// check refuses what the broker would refuse.
func (c privateConfig) check() error {
	t := c.TLS
	if some := t.Cert != "" || t.Key != "" || t.CA != ""; some && (t.Cert == "" || t.Key == "" || t.CA == "") {
		return errors.New("private.tls: cert, key and ca go together, and one is missing")
	}
	if c.Listen == "" && len(c.Gateways)+len(c.Services) > 0 {
		return withHint(errors.New("private.listen is empty, and private.gateways or private.services connect there"), "set private.listen, such as 127.0.0.1:4333")
	}
	if host, _, err := net.SplitHostPort(c.Listen); err == nil && host != "" && !broker.IsLoopback(host) && t.Cert == "" {
		return withHint(fmt.Errorf("private.listen %q is not a loopback address, and private.tls is missing", c.Listen),
			"`weft ca issue NAME --host HOST` of an authority of this house makes a certificate; or listen on 127.0.0.1")
	}
	for i, key := range c.Gateways {
		if err := checkPublic(fmt.Sprintf("private.gateways[%d]", i), key); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Services)) {
		if identity.CheckName(name) != nil {
			return fmt.Errorf("private.services: the name %q: 1 to 63 of a-z, 0-9 and hyphen are possible", name)
		}
		if err := checkPublic("private.services."+name, c.Services[name]); err != nil {
			return err
		}
	}
	user, ledger, err := nodeKeys()
	if err != nil {
		return err
	}
	if _, err := broker.Private("private", "state", make(identity.Secret, 32), user.Public(), ledger.Public(), false).Admit(c.guests()).Render(); err != nil {
		return fmt.Errorf("private: %w", errors.Unwrap(err))
	}
	return nil
}

// nodeKeys makes the keys by which a node connects to its own broker, and to the ledger there.
func nodeKeys() (user, ledger broker.Key, err error) {
	if user, err = broker.NewKey(); err == nil {
		ledger, err = broker.NewKey()
	}
	return user, ledger, err
}

func (p *program) serviceCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "service",
		Short: "Let micro services of this house answer at the gateway",
	}, p.serviceInitCommand())
}

func (p *program) serviceInitCommand() *cobra.Command {
	var out string
	c := &cobra.Command{
		Use:   "init NAME",
		Short: "Make the key of a micro service",
		Long: `Makes the key by which a NATS micro service of this house connects to the node's own broker, as NAME.nk in a folder, and
prints the lines for the node's configuration. The service announces itself under NAME and answers on weft.service.NAME.>;
it receives answers in the inbox _INBOX. followed by its public key.`,
		Example: `  weft service init mean --out services`,
		Args:    oneArgument("NAME", "a name is of a-z, 0-9 and hyphen"),
		RunE: func(c *cobra.Command, args []string) error {
			name := args[0]
			if identity.CheckName(name) != nil {
				return usageError("NAME %q: write 1 to 63 of a-z, 0-9 and hyphen", name)
			}
			key, err := makeUser(out, name+".nk")
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "private:\n  services:\n    %s: %s\n", quote(name), quote(key))
			return errors.Join(err, pasteHint(c.ErrOrStderr()))
		},
	}
	c.Flags().StringVar(&out, "out", ".", "the folder for the key")
	return c
}

// pasteHint says what the lines on standard output are for.
func pasteHint(stderr io.Writer) error {
	_, err := fmt.Fprintln(stderr, "weft: put these lines into node.yaml, with private.listen, and restart the node")
	return err
}

// makeUser writes the seed of a new user's key into a file that is not there yet, and returns the public key.
func makeUser(dir, name string) (string, error) {
	key, err := broker.NewKey()
	if err != nil {
		return "", err
	}
	seed, err := key.Seed()
	if err != nil {
		return "", err
	}
	defer clear(seed)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	return key.Public(), writeSecret(filepath.Join(dir, name), seed)
}

// writeSecret makes a file that its owner alone can read, and replaces none.
func writeSecret(path string, b []byte) error {
	if _, err := os.Lstat(path); err == nil {
		return withHint(fmt.Errorf("%s is there already and is not overwritten", path), "move it away first, or give another folder with --out")
	}
	return writeWhole(path, b, 0o600)
}
