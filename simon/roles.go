package simon

import (
	"encoding/json"
	"errors"
	"slices"
)

// Needs are the roles that somebody must have in a computation of so many parties with these canonical parameters.
func (m Microprotocol) Needs(canonical []byte, parties int) []Role {
	if parties < m.RolesFrom {
		return nil
	}
	if m.RolesFor != nil {
		return m.RolesFor(canonical)
	}
	return m.Roles
}

// Trusts reports whether a helper in this role reads data once it works together with one party, so that a policy must say
// who may have it.
func (m Microprotocol) Trusts(r Role) bool { return slices.Contains(m.Trusting, r) }

// DealerParty is the party that canonical parameters name as dealer, by its name; empty: they name none, and the coordinator
// deals.
func DealerParty(canonical []byte) (string, error) {
	var p struct {
		Dealer string `json:"dealer"`
	}
	if err := json.Unmarshal(canonical, &p); err != nil {
		return "", errors.New("parameters.dealer: must be the name of a party")
	}
	return p.Dealer, nil
}

// Disclosure names what a mode of a microprotocol lets somebody see beyond its default.
type Disclosure string

// The disclosures. A policy allows each by its name, or not at all.
const (
	PooledCountsToOpener Disclosure = "pooled-counts-to-opener" // how many of all parties' values lie below the values that are compared with
	PooledCountsToAll    Disclosure = "pooled-counts-to-all"    // the same to every party
)

// Disclosures lists all of them.
func Disclosures() []Disclosure { return []Disclosure{PooledCountsToOpener, PooledCountsToAll} }

func (r Role) String() string {
	switch r {
	case First:
		return "first party"
	case S0:
		return "first evaluator"
	case S1:
		return "second evaluator"
	case Dealer:
		return "dealer"
	case Opener:
		return "opener"
	case Aggregator:
		return "aggregator"
	}
	return "no role"
}
