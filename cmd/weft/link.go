package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weftmpc/weft/broker"
	"github.com/weftmpc/weft/broker/identity"
)

// identityConfig is who a process is.
type identityConfig struct {
	Cert string `yaml:"cert" doc:"The certificate that the consortium's authority issued for this identity (identity.crt)."`
	Key  string `yaml:"key" doc:"Its private key (identity.key), readable by the owner alone."`
}

// linkConfig is how a process reaches the hub.
type linkConfig struct {
	URL  string `yaml:"url" doc:"Where the hub listens: tls://host:port. The host must be one of those in the hub's certificate."`
	Cert string `yaml:"cert" doc:"Our TLS certificate. A renewed file is read at the next connection."`
	Key  string `yaml:"key" doc:"Its private key, readable by the owner alone."`
	CA   string `yaml:"ca" doc:"The certificate of the authority that issued the hub's."`
	NKey string `yaml:"nkey" doc:"The seed of our user at the hub (nats.nk), readable by the owner alone."`
}

// logConfig is what a process tells about itself, on standard error.
type logConfig struct {
	Level  string `yaml:"level" doc:"debug, info, warn or error."`
	Format string `yaml:"format" doc:"text or json."`
}

// defaultLink is a link whose files lie where 'weft ca issue' put them.
func defaultLink() linkConfig {
	return linkConfig{URL: "tls://localhost:4222", Cert: "tls.crt", Key: "tls.key", CA: "ca.crt", NKey: "nats.nk"}
}

func defaultLog() logConfig { return logConfig{Level: "info", Format: "text"} }

// logger writes to w as the configuration in file says.
func (c logConfig) logger(file string, w io.Writer) (*slog.Logger, error) {
	o := &slog.HandlerOptions{}
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		return nil, fmt.Errorf("%s: log.level %q: use debug, info, warn or error", file, c.Level)
	}
	o.Level = level
	switch c.Format {
	case "text":
		return slog.New(slog.NewTextHandler(w, o)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, o)), nil
	}
	return nil, fmt.Errorf("%s: log.format %q: use text or json", file, c.Format)
}

// remote reads the key of the link's user.
func (c linkConfig) remote() (broker.Remote, error) {
	key, err := readNKey("hub.nkey", c.NKey)
	if err != nil {
		return broker.Remote{}, err
	}
	return broker.Remote{URL: c.URL, TLS: &broker.TLS{Cert: c.Cert, Key: c.Key, CA: c.CA}, User: key}, nil
}

// readNKey reads the seed of a user's key; at is the configuration's key that names the file.
func readNKey(at, file string) (broker.Key, error) {
	if err := identity.CheckPrivate(file); err != nil {
		return broker.Key{}, fmt.Errorf("%s: %w", at, err)
	}
	seed, err := identity.ReadSmall(file)
	if err != nil {
		return broker.Key{}, fmt.Errorf("%s: %w", at, err)
	}
	defer clear(seed)
	key, err := broker.ParseKey(bytes.TrimSpace(seed))
	if err != nil {
		return broker.Key{}, fmt.Errorf("%s: %s: %w", at, file, err)
	}
	return key, nil
}

// dial begins to connect to the hub; it does not wait until it is there.
func (c linkConfig) dial(name string, log *slog.Logger) (*nats.Conn, error) {
	r, err := c.remote()
	if err != nil {
		return nil, err
	}
	return broker.Dial(r, log, nats.Name(name))
}

// load reads a party's identity and the authority's certificate, and refuses an identity that nobody would accept.
func (c identityConfig) load(ca string, now time.Time) (*identity.Identity, identity.Roots, error) {
	return c.loadAs(ca, now, identity.UsageParty)
}

// loadAs is load for an identity of one of the usages that are allowed.
func (c identityConfig) loadAs(ca string, now time.Time, allowed ...identity.Usage) (*identity.Identity, identity.Roots, error) {
	roots, err := loadRoots(ca)
	if err != nil {
		return nil, roots, err
	}
	id, err := identity.LoadIdentity(c.Cert, c.Key)
	if err != nil {
		return nil, roots, err
	}
	if !now.Before(id.Leaf.NotAfter) {
		return nil, roots, withHint(fmt.Errorf("the certificate %s of %s has expired at %s", c.Cert, id.Name(), id.Leaf.NotAfter.UTC().Format(time.RFC3339)),
			"whoever keeps the authority renews it with `weft ca issue %s --renew`; if it should still be valid, look at this machine's clock", id.Name())
	}
	if !slices.Contains(allowed, id.Leaf.Usage) {
		return nil, roots, withHint(fmt.Errorf("the certificate %s of %s is %s, and %s is needed here", c.Cert, id.Name(), usages([]identity.Usage{id.Leaf.Usage}), usages(allowed)),
			"`weft ca issue` makes a party's, with --coordinator a dealer's: a member has a name, keys and a folder for each")
	}
	if err := roots.VerifyAs(id.Leaf.Usage, id.Leaf, now); err != nil {
		return nil, roots, fmt.Errorf("the certificate %s: %w", c.Cert, err)
	}
	return id, roots, nil
}

// loadRoots reads a file of one or more certificates of authorities: more than one while an authority is being replaced.
func loadRoots(path string) (identity.Roots, error) {
	b, err := identity.ReadSmall(path)
	if err != nil {
		return identity.Roots{}, fmt.Errorf("ca: %w", err)
	}
	var der [][]byte
	for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			return identity.Roots{}, fmt.Errorf("ca: %s holds a block %q; only certificates belong there", path, block.Type)
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return identity.Roots{}, fmt.Errorf("ca: %s: %w", path, err)
		}
		der = append(der, block.Bytes)
	}
	if len(der) == 0 {
		return identity.Roots{}, fmt.Errorf("ca: %s holds no certificate", path)
	}
	roots, err := identity.NewRoots(der...)
	if err != nil {
		return roots, fmt.Errorf("ca: %s: %w", path, err)
	}
	return roots, nil
}

// warnExpiry logs once a day, from seven days before, that a certificate in one of the files ends. It reads them each time:
// a renewed one says nothing, even if it takes effect at the next start only.
func warnExpiry(ctx context.Context, log *slog.Logger, now func() time.Time, files ...string) {
	for {
		for _, file := range files {
			name, until, err := validUntil(file)
			if err != nil {
				log.Warn("a certificate that this process needs at its next start cannot be read", "file", file, "error", err)
			} else if until.Sub(now()) < expirySoon {
				log.Warn("a certificate expires soon: renew it and restart",
					"file", file, "not_after", until.UTC().Format(time.RFC3339), "command", "weft ca issue "+name+" --renew")
			}
		}
		if err := pause(ctx, 24*time.Hour); err != nil {
			return
		}
	}
}

func validUntil(file string) (name string, until time.Time, err error) {
	der, err := identity.LoadCertificate(file)
	if err != nil {
		return "", until, err
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return "", until, err
	}
	return c.Subject.CommonName, c.NotAfter, nil
}

// required refuses empty keys.
func required(values map[string]string) error {
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if values[key] == "" {
			return errors.New(key + " is missing")
		}
	}
	return nil
}
