package coordinator

import (
	"errors"
	"fmt"

	"github.com/weftmpc/weft/broker/identity"
)

// Helper is the coordinator's own place in computations, as dealer, opener or aggregator, and nothing of the coordinator's
// state: it has the keys, which the coordinator does not see.
type Helper interface {
	// Sign makes a fresh JOIN for the encoded common part: own part and signature. It is called when all parties have joined,
	// must not block, and refuses what the helper takes no part in, with a *Refusal where the code matters.
	Sign(common []byte) (own, sig []byte, err error)
}

// CheckRoles says what is wrong with who does what: the rule that no party sees more than its place is for. Evaluators are two
// different parties. The dealer is no evaluator: with the dealer's secrets one evaluator alone reads what it evaluates. It is
// the coordinator, or, of three parties or more, the one that is left. Opener and aggregator are the coordinator, and never a
// party: the opener sees sums that no party sees, and the aggregator must not hold the parties' common key. A helper has one
// place, so that a dealer hears nothing. Helpers receive no results.
func (c *Common) CheckRoles() error {
	none := identity.Fingerprint{}
	switch {
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
	if err := c.checkHearing(); err != nil || c.Dealer == none {
		return err
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

// checkHearing is CheckRoles for opener and aggregator.
func (c *Common) checkHearing() error {
	none, places := identity.Fingerprint{}, 0
	for _, at := range []struct {
		role string
		fp   identity.Fingerprint
	}{{"opener", c.Opener}, {"aggregator", c.Aggregator}} {
		switch {
		case at.fp == none:
			continue
		case c.Lists(at.fp):
			return fmt.Errorf("%s: it must be no party of the computation", at.role)
		case at.fp != c.Coordinator:
			return fmt.Errorf("%s: it must be the coordinator", at.role)
		}
		places++
	}
	if c.Dealer == c.Coordinator && places > 0 || places > 1 {
		return errors.New("helpers: the coordinator has two places, and must have one")
	}
	return nil
}

// helps says what this coordinator does in the computation; "" where it has no place in it.
func (t *Table) helps(c *Common) string {
	switch t.self {
	case c.Dealer:
		return "deal"
	case c.Opener:
		return "open"
	case c.Aggregator:
		return "aggregate"
	}
	return ""
}

// checkRoles refuses what CheckRoles does, and help that this coordinator does not give.
func (t *Table) checkRoles(c *Common) *Refusal {
	if err := c.CheckRoles(); err != nil {
		return refuse(CodeHelpers, "%v", err)
	}
	if what := t.helps(c); what != "" && t.config.Helper == nil {
		return refuse(CodeHelpers, "this coordinator does not %s: whoever runs it can set helper: true in coordinator.yaml", what)
	}
	return nil
}

// help appends the coordinator's own JOIN to a START that all parties are in, where it has a place.
func (t *Table) help(c *Common, start *Start) *Refusal {
	what := t.helps(c)
	if what == "" {
		return nil
	}
	own, sig, err := t.config.Helper.Sign(start.Common)
	if err != nil {
		var r *Refusal
		if errors.As(err, &r) {
			return r
		}
		t.config.Logger.Warn("coordinator: no help for this computation", "computation", c.UUID, "help", what, "reason", err)
		return refuse(CodeHelpers, "the coordinator cannot %s for this computation; its log says why", what)
	}
	j := Signed{Own: own}
	if o, err := DecodeOwn(own); err != nil || o.FP != t.self || copy(j.Sig[:], sig) != len(sig) || len(sig) != len(j.Sig) {
		panic(fmt.Sprintf("coordinator: the helper's JOIN is not its own: %v", err))
	}
	start.Joins = append(start.Joins, j)
	return nil
}
