// Package policy decides what a party takes part in, before anything leaves the house.
package policy

import (
	"errors"
	"fmt"
	"slices"

	"github.com/weftmpc/weft/broker/identity"
	"github.com/weftmpc/weft/node/seat"
	"github.com/weftmpc/weft/simon"
)

// Profile is a set of rules.
type Profile uint8

// Strict is the default of a node: at least three parties, of distinct organisations. Teaching allows what lessons need
// and what discloses data in earnest: two parties, whose sum tells each the other's value, and one organisation playing all.
const (
	Strict Profile = iota + 1
	Teaching
)

func (p Profile) String() string {
	switch p {
	case Strict:
		return "strict"
	case Teaching:
		return "teaching"
	}
	return fmt.Sprintf("profile %d", uint8(p))
}

// ParseProfile reads strict or teaching.
func ParseProfile(s string) (Profile, error) {
	switch s {
	case "strict":
		return Strict, nil
	case "teaching":
		return Teaching, nil
	}
	return 0, fmt.Errorf("profile %q is unknown: use strict or teaching", s)
}

// Policy is what a party's administrator allows.
type Policy struct {
	Profile    Profile // zero: Strict
	MaxParties int     // zero: 32; at most 128

	Coordinator       identity.Fingerprint // who deals where no party does
	Helpers           []Helper             // who may have roles that need permission
	ExcludeEvaluators []string             // names of parties that are never evaluators; all parties must exclude the same
	Disclose          []simon.Disclosure   // what modes of microprotocols may let others see; nil: nothing

	Approval Approval // which computations wait for one
}

// Refusal says which rule forbids a computation, and what would satisfy it.
type Refusal struct{ Rule string }

func (r *Refusal) Error() string { return r.Rule }

func refuse(format string, a ...any) error { return &Refusal{fmt.Sprintf(format, a...)} }

// Guard is what a profile asks of the pool of all parties' samples. Strict: 30 samples, 100 where sums of higher powers are
// opened, from at least three parties; counts below 5 are hidden; a product of matrices has sums of ten terms for each row and
// column; sets that are compared have at most 65,536 elements, which is also how many a party that cheats can try at once.
func (p Profile) Guard() simon.Guard {
	if p == Teaching {
		return simon.Guard{}
	}
	return simon.Guard{Samples: 30, Moments: 100, Contributors: 3, Suppress: 5, Ratio: 10, Elements: 1 << 16}
}

// Check returns nil or a *Refusal for a computation of m with canonical parameters by the parties, own one included.
func (p Policy) Check(m simon.Microprotocol, parameters []byte, parties []seat.Peer) error {
	most := p.MaxParties
	if most == 0 {
		most = 32
	}
	if len(parties) > most {
		return refuse("%d parties are more than the %d that this node allows", len(parties), most)
	}
	if len(parties) < max(2, m.MinParties) {
		return refuse("%s needs at least %d parties", m.Name, max(2, m.MinParties))
	}
	if m.MaxParties > 0 && len(parties) > m.MaxParties {
		return refuse("%s is for at most %d parties", m.Name, m.MaxParties)
	}
	if m.Check != nil {
		var input *simon.InputError
		if err := m.Check(parameters, p.Profile.Guard()); errors.As(err, &input) {
			return refuse("profile %s: %s", p.Profile, input)
		} else if err != nil {
			return err
		}
	}
	if m.Discloses != nil {
		for _, d := range m.Discloses(parameters) {
			if !slices.Contains(p.Disclose, d) {
				return refuse("this node's policy does not allow %q, which %s discloses with these parameters; use other ones, or let whoever administers the node add it to disclose in node.yaml", d, m.Name)
			}
		}
	}
	if p.Profile == Teaching {
		return nil
	}
	if len(parties) < 3 && m.MaxParties != 2 && !m.ForTwo {
		return refuse("profile strict: with two parties the result of %s tells each the other's value; "+
			"take a third party in, or let the node's administrator set the profile to teaching", m.Name)
	}
	seen := map[string]string{}
	for _, party := range parties {
		org := organisation(party)
		if other, ok := seen[org]; ok {
			return refuse("profile strict: %s and %s belong to one organisation (%s); parties must be of distinct organisations",
				other, party.Name, party.Organisation)
		}
		seen[org] = party.Name
	}
	return nil
}
