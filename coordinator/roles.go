package coordinator

import (
	"errors"
	"fmt"

	"github.com/weftmpc/weft/broker/identity"
)

// Helper is the coordinator's own place in computations that it deals for, and nothing of the coordinator's state: it has the
// keys, which the coordinator does not see.
type Helper interface {
	// Sign makes a fresh JOIN for the encoded common part: own part and signature. It is called when all parties have joined,
	// must not block, and refuses what the helper takes no part in, with a *Refusal where the code matters.
	Sign(common []byte) (own, sig []byte, err error)
}

// CheckRoles says what is wrong with who does what: the rule that no party sees more than its place is for. Evaluators are two
// different parties. The dealer is no evaluator: with the dealer's secrets one evaluator alone reads what it evaluates. It is
// the coordinator, or, of three parties or more, the one that is left. Helpers receive no results.
func (c *Common) CheckRoles() error {
	none := identity.Fingerprint{}
	switch {
	case c.Opener != none:
		return errors.New("opener: not available in this version")
	case c.Aggregator != none:
		return errors.New("aggregator: not available in this version")
	case (c.S0 == none) != (c.S1 == none):
		return errors.New("evaluators: there is one; there must be two or none")
	case c.S0 != none && c.S0 == c.S1:
		return errors.New("evaluators: they must be two different parties")
	case c.S0 != none && (!c.Lists(c.S0) || !c.Lists(c.S1)):
		return errors.New("evaluators: they must be parties of the computation")
	}
	for _, fp := range c.Recipients {
		if !c.Lists(fp) {
			return errors.New("recipients: a helper receives no result")
		}
	}
	if c.Dealer == none {
		return nil
	}
	switch {
	case c.Dealer == c.S0 || c.Dealer == c.S1:
		return errors.New("dealer: it must not be an evaluator, too")
	case !c.Lists(c.Dealer) && c.Dealer != c.Coordinator:
		return errors.New("dealer: it must be the coordinator or a party of the computation")
	case c.Lists(c.Dealer) && c.S0 == none:
		return errors.New("dealer: a party deals for two evaluators only")
	}
	return nil
}

// deals says whether this coordinator has a place in the computation.
func (t *Table) deals(c *Common) bool { return c.Dealer == t.self }

// checkRoles refuses what CheckRoles does, and dealing that this coordinator does not do.
func (t *Table) checkRoles(c *Common) *Refusal {
	if err := c.CheckRoles(); err != nil {
		return refuse(CodeHelpers, "%v", err)
	}
	if t.deals(c) && t.config.Helper == nil {
		return refuse(CodeHelpers, "this coordinator does not deal: whoever runs it can set helper: true in coordinator.yaml")
	}
	return nil
}

// help appends the coordinator's own JOIN to a START that all parties are in, where it deals.
func (t *Table) help(c *Common, start *Start) *Refusal {
	if !t.deals(c) {
		return nil
	}
	own, sig, err := t.config.Helper.Sign(start.Common)
	if err != nil {
		var r *Refusal
		if errors.As(err, &r) {
			return r
		}
		t.config.Logger.Warn("coordinator: this computation is not dealt for", "computation", c.UUID, "reason", err)
		return refuse(CodeHelpers, "the coordinator cannot deal for this computation; its log says why")
	}
	j := Signed{Own: own}
	if o, err := DecodeOwn(own); err != nil || o.FP != t.self || copy(j.Sig[:], sig) != len(sig) || len(sig) != len(j.Sig) {
		panic(fmt.Sprintf("coordinator: the helper's JOIN is not its own: %v", err))
	}
	start.Joins = append(start.Joins, j)
	return nil
}
