package seat

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/weftmpc/weft/broker/identity"
	"github.com/weftmpc/weft/coordinator"
	"github.com/weftmpc/weft/simon"
)

// part is what a helper plays in one computation.
type part struct {
	role simon.Role
	play func(ctx context.Context, s simon.Session, c simon.Common) error
}

// run turns a panic of a protocol into an error without its values: parties choose the parameters, and one bad computation
// must not end the coordinator.
func (p part) run(ctx context.Context, s simon.Session, c simon.Common) (err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("the microprotocol failed unexpectedly: please report this")
		}
	}()
	return p.play(ctx, s, c)
}

// partOf is what the helper in a role plays of a microprotocol; nil: nothing.
func partOf(m simon.Microprotocol, r simon.Role) part {
	switch r {
	case simon.Dealer:
		return part{r, m.Deal}
	case simon.Opener:
		return part{r, m.OpenTo}
	case simon.Aggregator:
		if m.Aggregates {
			return part{r, func(ctx context.Context, s simon.Session, _ simon.Common) error { return simon.Aggregate(ctx, s) }}
		}
	}
	return part{}
}

// accepts refuses what this helper takes no part in.
func (d *Dealer) accepts(c coordinator.Common) (part, error) {
	role := roleOf(c, d.cfg.Identity.FP())
	refuse := func(format string, a ...any) (part, error) {
		return part{}, &coordinator.Refusal{Code: coordinator.CodeHelpers, Text: "the " + role.String() + ": " + fmt.Sprintf(format, a...)}
	}
	if err := c.CheckRoles(); err != nil {
		return refuse("%v", err)
	}
	if role == 0 || c.Lists(d.cfg.Identity.FP()) {
		role = simon.Dealer
		return refuse("this computation has another one")
	}
	i := slices.IndexFunc(d.cfg.Catalogue, func(m simon.Microprotocol) bool { return m.Name == c.Microprotocol && m.Version == c.Version })
	if i < 0 {
		return refuse("it does not help %s version %d: is it as new as the parties' nodes?", c.Microprotocol, c.Version)
	}
	m := d.cfg.Catalogue[i]
	p, needs := partOf(m, role), m.Needs(c.Parameters, len(c.Parties))
	evaluators := slices.Contains(needs, simon.S0) || slices.Contains(needs, simon.S1)
	switch {
	case p.play == nil:
		return refuse("it does not help %s version %d: is it as new as the parties' nodes?", c.Microprotocol, c.Version)
	case role != simon.Aggregator && !slices.Contains(needs, role), role == simon.Aggregator && len(needs) > 0, evaluators != (c.S0 != identity.Fingerprint{}),
		slices.Contains(needs, simon.Dealer) != (c.Dealer != identity.Fingerprint{}), slices.Contains(needs, simon.Opener) != (c.Opener != identity.Fingerprint{}):
		return refuse("the roles are not those that %s has", m.Name)
	case len(c.Parties) > d.cfg.MaxParties:
		return refuse("%d parties are more than the %d that it helps", len(c.Parties), d.cfg.MaxParties)
	case time.Duration(c.LimitMS)*time.Millisecond > time.Hour:
		return refuse("the time limit is more than 1h")
	}
	return p, nil
}

// roleOf is the place of a helper that is no party; 0: it has none.
func roleOf(c coordinator.Common, fp identity.Fingerprint) simon.Role {
	switch fp {
	case c.Dealer:
		return simon.Dealer
	case c.Opener:
		return simon.Opener
	case c.Aggregator:
		return simon.Aggregator
	}
	return 0
}
