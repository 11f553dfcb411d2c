package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"

	"github.com/weftmpc/weft/broker"
	"github.com/weftmpc/weft/broker/identity"
	"github.com/weftmpc/weft/coordinator"
	"github.com/weftmpc/weft/node"
	"github.com/weftmpc/weft/node/policy"
	"github.com/weftmpc/weft/node/seat"
	"github.com/weftmpc/weft/simon"
)

// helperConfig is an entry of helpers in node.yaml.
type helperConfig struct {
	Name           string               `yaml:"name"`
	Fingerprint    identity.Fingerprint `yaml:"fingerprint"`
	Roles          []string             `yaml:"roles"`
	Microprotocols []string             `yaml:"microprotocols"`
}

// helperPolicy is what node.yaml says about helpers and evaluators, checked.
func (c nodeConfig) helperPolicy() (helpers []policy.Helper, err error) {
	for i, h := range c.Helpers {
		at := fmt.Sprintf("helpers[%d]", i)
		if err := identity.CheckName(h.Name); err != nil {
			return nil, fmt.Errorf("%s.name: %w", at, err)
		}
		if h.Fingerprint == (identity.Fingerprint{}) {
			return nil, fmt.Errorf("%s.fingerprint of %s is missing", at, h.Name)
		}
		p := policy.Helper{Name: h.Name, FP: h.Fingerprint, Microprotocols: h.Microprotocols}
		for _, r := range h.Roles {
			switch r {
			case "dealer":
				p.Roles = append(p.Roles, simon.Dealer)
			case "opener":
				p.Roles = append(p.Roles, simon.Opener)
			case "aggregator":
				p.Roles = append(p.Roles, simon.Aggregator)
			default:
				return nil, fmt.Errorf("%s.roles: %q is unknown: use dealer, opener or aggregator", at, r)
			}
		}
		if len(p.Roles) == 0 || len(h.Microprotocols) == 0 {
			return nil, fmt.Errorf("%s of %s: roles and microprotocols must be listed: without them it allows nothing", at, h.Name)
		}
		for _, name := range h.Microprotocols {
			if !slices.ContainsFunc(simon.Catalogue(), func(m simon.Microprotocol) bool { return m.Name == name }) {
				return nil, fmt.Errorf("%s.microprotocols: %q is unknown: `weft microprotocols` lists them", at, name)
			}
		}
		helpers = append(helpers, p)
	}
	for _, name := range c.Excluded {
		if !slices.ContainsFunc(c.Parties, func(m member) bool { return m.Name == name }) {
			return nil, fmt.Errorf("exclude_evaluators: %q is not among the parties", name)
		}
	}
	return helpers, nil
}

// disclosures is what node.yaml lets modes of microprotocols disclose, checked.
func (c nodeConfig) disclosures() (all []simon.Disclosure, err error) {
	for i, name := range c.Disclose {
		d := simon.Disclosure(name)
		if !slices.Contains(simon.Disclosures(), d) {
			return nil, fmt.Errorf("disclose[%d]: %q is unknown: known are %v", i, name, simon.Disclosures())
		}
		all = append(all, d)
	}
	return all, nil
}

// inAll lets a coordinator help in all microprotocols that have a part for it, as dealer, opener or aggregator. What modes disclose is not
// thereby allowed.
func inAll(name string, fp identity.Fingerprint) (helpers []policy.Helper) {
	for _, r := range []simon.Role{simon.Dealer, simon.Opener, simon.Aggregator} {
		h := policy.Helper{Name: name, FP: fp, Roles: []simon.Role{r}}
		for _, m := range simon.Catalogue() {
			if slices.Contains(m.Roles, r) || r == simon.Aggregator && m.Aggregates {
				h.Microprotocols = append(h.Microprotocols, m.Name)
			}
		}
		helpers = append(helpers, h)
	}
	return helpers
}

// startDealer makes the coordinator's own place in computations, over the coordinator's connection.
func startDealer(nc *nats.Conn, c *coordinator.Config, log *slog.Logger, now func() time.Time) (stop func(), err error) {
	d, unsubscribe, err := node.NewDealer(nc, seat.DealerConfig{
		Identity: c.Identity, Roots: c.Roots, Catalogue: simon.Catalogue(), Now: now, Logger: log, MaxParties: c.MaxParties,
	})
	if err != nil {
		return nil, err
	}
	c.Helper, c.Started = d, d.Started
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { d.Run(ctx) })
	return func() {
		cancel()
		running.Wait()
		unsubscribe()
	}, nil
}

// dealer looks whether the hub lets this party and a coordinator that deals speak with each other. The dealer hears the
// message, which is none of any computation, and says nothing; a hub that does not pass it on says that nobody hears.
func (d *doctor) dealer(ctx context.Context, nc *nats.Conn, s coordinator.Status) {
	if !s.Deals {
		d.warn("dealer", "whoever runs the coordinator can set helper: true in coordinator.yaml",
			"the coordinator does not deal: comparisons, such as a median, need a party that does")
		return
	}
	if identity.CheckName(s.Name) != nil {
		d.wrong("dealer", "is the coordinator of another version?", "the coordinator's name is no member's name")
		return
	}
	pair, err := identity.LoadCertificate(d.config.Identity.Cert)
	if err != nil {
		return // told by identity
	}
	own, err := identity.ParseLeaf(pair)
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, unanswered)
	defer cancel()
	_, err = nc.RequestWithContext(ctx, broker.Share(uuid.NewString(), s.Name, own.Name), nil)
	if errors.Is(err, nats.ErrNoResponders) {
		d.wrong("dealer", "whoever runs the hub restarts it with this version of weft: its accounts let coordinator and parties exchange sealed messages",
			"the coordinator says that it deals, and the hub does not pass messages to it")
		return
	}
	d.ok("dealer", "the coordinator deals, and the hub passes messages to it")
}

// unanswered is how long a message to a dealer may stay unanswered before that means that it has been heard.
const unanswered = 500 * time.Millisecond

// usages is what a kind of process may be by its certificate, in words.
func usages(allowed []identity.Usage) string {
	words := make([]string, len(allowed))
	for i, u := range allowed {
		words[i] = "a " + u.String() + "'s"
	}
	return strings.Join(words, " or ")
}
