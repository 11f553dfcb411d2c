package policy

import (
	"crypto/sha256"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/broker/identity"
	"github.com/weftmpc/weft/node/seat"
	"github.com/weftmpc/weft/simon"
)

// Helper is who may be what for which microprotocols, beyond what needs no permission.
type Helper struct {
	Name           string // for people
	FP             identity.Fingerprint
	Roles          []simon.Role
	Microprotocols []string
}

// Places are who does what in a computation; zero: nobody.
type Places struct{ S0, S1, Dealer, Opener, Aggregator identity.Fingerprint }

// Places chooses who does what in the computation id of the parties, own one included, and returns a *Refusal where nobody
// may. The choice is a function of what all parties know alike: id, fingerprints, the organisations and excluded evaluators
// of their configurations, and the parameters. Where those differ the parties' requests do, and the conflict names the role.
func (p Policy) Places(m simon.Microprotocol, parameters []byte, id uuid.UUID, parties []seat.Peer) (Places, error) {
	var at Places
	evaluators := false
	for _, role := range m.Needs(parameters, len(parties)) {
		switch role {
		case simon.First:
		case simon.S0, simon.S1:
			evaluators = true
		case simon.Dealer:
			var err error
			if at.Dealer, err = p.dealer(m, parameters, parties); err != nil {
				return Places{}, err
			}
		case simon.Opener:
			var err error
			if at.Opener, err = p.opener(m); err != nil {
				return Places{}, err
			}
		default:
			return Places{}, refuse("%s needs %s: not available in this version", m.Name, role)
		}
	}
	if at == (Places{}) && !evaluators {
		at.Aggregator = p.aggregator(m, parties)
	}
	if evaluators {
		var err error
		if at.S0, at.S1, err = p.evaluators(m, id, parties, at.Dealer); err != nil {
			return Places{}, err
		}
	}
	return at, nil
}

// dealer is the party that the parameters name, else the coordinator. Where a dealer can be no more than a spoiler, and at
// least three parties compute, the choice of the coordinator is permission enough.
func (p Policy) dealer(m simon.Microprotocol, parameters []byte, parties []seat.Peer) (identity.Fingerprint, error) {
	name, err := simon.DealerParty(parameters)
	if err != nil {
		return identity.Fingerprint{}, refuse("%v", err)
	}
	fp, what := p.Coordinator, "the coordinator"
	if name != "" {
		i := slices.IndexFunc(parties, func(q seat.Peer) bool { return q.Name == name })
		if i < 0 {
			return fp, refuse("parameters.dealer: %q is not among the parties of this computation", name)
		}
		if len(parties) < 3 {
			return fp, refuse("parameters.dealer: a party can deal where there are at least three; leave it out, and the coordinator deals")
		}
		fp, what = parties[i].FP, name
	}
	if fp == (identity.Fingerprint{}) {
		return fp, refuse("%s needs a dealer, and this node knows no coordinator that could be it", m.Name)
	}
	if !m.Trusts(simon.Dealer) && len(parties) >= 3 || p.lists(fp, simon.Dealer, m.Name) {
		return fp, nil
	}
	reason := "with two parties it could read the other's values together with one of them"
	if m.Trusts(simon.Dealer) {
		reason = "it could read data together with one party"
	}
	return fp, refuse("this node's policy does not let %s (fingerprint %.16s…) deal for %s: %s; whoever administers the node can allow it under helpers in node.yaml",
		what, fp, m.Name, reason)
}

// opener is the coordinator, where the policy lists it: what an opener sees, no party does.
func (p Policy) opener(m simon.Microprotocol) (identity.Fingerprint, error) {
	switch {
	case p.Coordinator == identity.Fingerprint{}:
		return p.Coordinator, refuse("%s needs an opener, and this node knows no coordinator that could be it", m.Name)
	case !p.lists(p.Coordinator, simon.Opener, m.Name):
		return p.Coordinator, refuse("this node's policy does not let the coordinator (fingerprint %.16s…) open for %s: it sees what no party does; "+
			"whoever administers the node can allow it under helpers in node.yaml", p.Coordinator, m.Name)
	}
	return p.Coordinator, nil
}

// aggregator is the coordinator where there are so many parties that it pays and the policy lists it; else nobody, and the
// parties send their vectors to each other.
func (p Policy) aggregator(m simon.Microprotocol, parties []seat.Peer) identity.Fingerprint {
	if m.Aggregates && len(parties) > simon.MostAllToAll && p.lists(p.Coordinator, simon.Aggregator, m.Name) {
		return p.Coordinator
	}
	return identity.Fingerprint{}
}

func (p Policy) lists(fp identity.Fingerprint, r simon.Role, microprotocol string) bool {
	return slices.ContainsFunc(p.Helpers, func(h Helper) bool {
		return h.FP == fp && slices.Contains(h.Roles, r) && slices.Contains(h.Microprotocols, microprotocol)
	})
}

// evaluators are two parties that nobody can choose by who they are: the first ones in the order of a hash over the
// computation and themselves, of two organisations, neither the dealer nor excluded. S0 has the lower fingerprint. In the
// profile teaching two of one organisation will do where there are no others.
func (p Policy) evaluators(m simon.Microprotocol, id uuid.UUID, parties []seat.Peer, dealer identity.Fingerprint) (s0, s1 identity.Fingerprint, err error) {
	order := slices.DeleteFunc(slices.Clone(parties), func(q seat.Peer) bool {
		return q.FP == dealer || slices.Contains(p.ExcludeEvaluators, q.Name)
	})
	slices.SortFunc(order, func(a, b seat.Peer) int {
		x, y := lot(id, parties, a.FP), lot(id, parties, b.FP)
		return slices.Compare(x[:], y[:])
	})
	if len(order) < 2 {
		return s0, s1, refuse("%s needs two evaluators among the parties, and %d may be that: see exclude_evaluators in node.yaml", m.Name, len(order))
	}
	second := slices.IndexFunc(order, func(q seat.Peer) bool { return organisation(q) != organisation(order[0]) })
	switch {
	case second < 0 && p.Profile != Teaching:
		return s0, s1, refuse("profile strict: %s needs two evaluators of distinct organisations, and all that may be that are of %s", m.Name, order[0].Organisation)
	case second < 0:
		second = 1
	}
	if s0, s1 = order[0].FP, order[second].FP; s1.Compare(s0) < 0 {
		s0, s1 = s1, s0
	}
	return s0, s1, nil
}

// lot is the place of a party in the order in which evaluators are chosen.
func lot(id uuid.UUID, parties []seat.Peer, fp identity.Fingerprint) [32]byte {
	sorted := make([]identity.Fingerprint, len(parties))
	for i, q := range parties {
		sorted[i] = q.FP
	}
	slices.SortFunc(sorted, identity.Fingerprint.Compare)
	h := sha256.New()
	h.Write([]byte("weft/v1/evaluators"))
	h.Write(id[:])
	for _, x := range sorted {
		h.Write(x[:])
	}
	h.Write(fp[:])
	return [32]byte(h.Sum(nil))
}

func organisation(q seat.Peer) string { return strings.ToLower(strings.TrimSpace(q.Organisation)) }
