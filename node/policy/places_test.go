package policy

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/broker/identity"
	"github.com/weftmpc/weft/node/seat"
	"github.com/weftmpc/weft/simon"
)

var center = identity.Fingerprint{0xcc}

func peers(orgs ...string) (all []seat.Peer) {
	for i, org := range orgs {
		all = append(all, seat.Peer{Name: string(rune('a' + i)), FP: identity.Fingerprint{byte(i + 1)}, Organisation: org})
	}
	return all
}

func compared(trusting ...simon.Role) simon.Microprotocol {
	return simon.Microprotocol{Name: "Compare", Roles: []simon.Role{simon.S0, simon.S1, simon.Dealer}, Trusting: trusting}
}

func TestDealerByPolicy(t *testing.T) {
	three, two := peers("x", "y", "z"), peers("x", "y")
	listed := []Helper{{FP: center, Roles: []simon.Role{simon.Dealer}, Microprotocols: []string{"Compare"}}}
	for name, c := range map[string]struct {
		policy     Policy
		m          simon.Microprotocol
		parameters string
		parties    []seat.Peer
		dealer     identity.Fingerprint
		want       string
	}{
		"the coordinator, of three":        {Policy{Coordinator: center}, compared(), "{}", three, center, ""},
		"the coordinator, of two":          {Policy{Coordinator: center, Profile: Teaching}, compared(), "{}", two, center, "with two parties"},
		"listed, of two":                   {Policy{Coordinator: center, Profile: Teaching, Helpers: listed}, compared(), "{}", two, center, ""},
		"one that could read":              {Policy{Coordinator: center}, compared(simon.Dealer), "{}", three, center, "it could read data together with one party"},
		"one that could read, listed":      {Policy{Coordinator: center, Helpers: listed}, compared(simon.Dealer), "{}", three, center, ""},
		"listed for something else":        {Policy{Coordinator: center, Helpers: []Helper{{FP: center, Roles: []simon.Role{simon.Dealer}, Microprotocols: []string{"Other"}}}}, compared(simon.Dealer), "{}", three, center, "does not let"},
		"listed as something else":         {Policy{Coordinator: center, Helpers: []Helper{{FP: center, Roles: []simon.Role{simon.Opener}, Microprotocols: []string{"Compare"}}}}, compared(simon.Dealer), "{}", three, center, "does not let"},
		"another one listed":               {Policy{Coordinator: center, Helpers: []Helper{{FP: identity.Fingerprint{1}, Roles: []simon.Role{simon.Dealer}, Microprotocols: []string{"Compare"}}}}, compared(simon.Dealer), "{}", three, center, "does not let"},
		"no coordinator":                   {Policy{}, compared(), "{}", three, center, "knows no coordinator"},
		"a party":                          {Policy{Coordinator: center}, compared(), `{"dealer":"b"}`, three, three[1].FP, ""},
		"a party that could read":          {Policy{Coordinator: center}, compared(simon.Dealer), `{"dealer":"b"}`, three, center, "does not let b"},
		"a party of two":                   {Policy{Coordinator: center, Profile: Teaching}, compared(), `{"dealer":"b"}`, two, center, "at least three"},
		"a stranger":                       {Policy{Coordinator: center}, compared(), `{"dealer":"q"}`, three, center, `"q" is not among the parties`},
		"no name":                          {Policy{Coordinator: center}, compared(), `{"dealer":7}`, three, center, "must be the name of a party"},
		"the only other party is excluded": {Policy{Coordinator: center, ExcludeEvaluators: []string{"a", "c"}}, compared(), "{}", three, center, "needs two evaluators among the parties, and 1 may be that"},
	} {
		at, err := c.policy.Places(c.m, []byte(c.parameters), uuid.UUID{1}, c.parties)
		if c.want == "" && (err != nil || at.Dealer != c.dealer) || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v %v, want %q", name, at, err, c.want)
		}
	}
	none := compared()
	none.RolesFor = func([]byte) []simon.Role { return nil }
	if at, err := (Policy{}).Places(none, nil, uuid.UUID{}, three); err != nil || at != (Places{}) {
		t.Errorf("a microprotocol that needs nobody: %v %v", at, err)
	}
	none.RolesFor = func([]byte) []simon.Role { return []simon.Role{simon.Aggregator} }
	if _, err := (Policy{}).Places(none, nil, uuid.UUID{}, three); err == nil || !strings.Contains(err.Error(), "aggregator: not available in this version") {
		t.Errorf("a microprotocol that cannot do without an aggregator: %v", err)
	}
}

// The size of an intersection needs an opener where more than two parties compute.
func TestOpenerFromThreeParties(t *testing.T) {
	m := simon.SetIntersectionSize()
	listed := Policy{Coordinator: center, Helpers: []Helper{{FP: center, Roles: []simon.Role{simon.Opener}, Microprotocols: []string{m.Name}}}}
	all := peers("a", "b", "c", "d")
	for n, want := range map[int]Places{2: {}, 3: {Opener: center}, 4: {Opener: center}} {
		if at, err := listed.Places(m, nil, uuid.UUID{1}, all[:n]); err != nil || at != want {
			t.Errorf("%d parties: %v %v", n, at, err)
		}
		_, err := Policy{Coordinator: center}.Places(m, nil, uuid.UUID{1}, all[:n])
		if refused := err != nil && strings.Contains(err.Error(), "does not let the coordinator"); refused != (n > 2) || !refused && err != nil {
			t.Errorf("%d parties, not listed: %v", n, err)
		}
	}
}

// An opener is listed for the microprotocol, whoever else is.
func TestOpenerByPolicy(t *testing.T) {
	m := simon.Microprotocol{Name: "Count", Roles: []simon.Role{simon.Opener}}
	list := func(fp identity.Fingerprint, r simon.Role, name string) []Helper {
		return []Helper{{FP: fp, Roles: []simon.Role{r}, Microprotocols: []string{name}}}
	}
	for name, c := range map[string]struct {
		policy Policy
		want   string
	}{
		"listed":                {Policy{Coordinator: center, Helpers: list(center, simon.Opener, "Count")}, ""},
		"not listed":            {Policy{Coordinator: center}, "does not let the coordinator"},
		"as dealer":             {Policy{Coordinator: center, Helpers: list(center, simon.Dealer, "Count")}, "does not let the coordinator"},
		"for another":           {Policy{Coordinator: center, Helpers: list(center, simon.Opener, "Sum")}, "does not let the coordinator"},
		"somebody else":         {Policy{Coordinator: center, Helpers: list(identity.Fingerprint{1}, simon.Opener, "Count")}, "does not let the coordinator"},
		"without a coordinator": {Policy{Helpers: list(center, simon.Opener, "Count")}, "knows no coordinator"},
	} {
		at, err := c.policy.Places(m, nil, uuid.UUID{}, peers("x", "y"))
		if c.want == "" && (err != nil || at != Places{Opener: center}) || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v %v", name, at, err)
		}
	}
}

// An aggregator is there for more than 16 parties, where the policy lists it and the microprotocol needs no helper.
func TestAggregatorByPolicy(t *testing.T) {
	many := make([]seat.Peer, 17)
	for i := range many {
		many[i] = seat.Peer{Name: string(rune('a' + i)), FP: identity.Fingerprint{byte(i + 1)}, Organisation: string(rune('a' + i))}
	}
	listed := Policy{Coordinator: center, Helpers: []Helper{{FP: center, Roles: []simon.Role{simon.Aggregator, simon.Opener}, Microprotocols: []string{"Sum", "Compare", "Count"}}}}
	sum := simon.Microprotocol{Name: "Sum", Aggregates: true}
	both, count := compared(), simon.Microprotocol{Name: "Count", Aggregates: true, Roles: []simon.Role{simon.Opener}}
	both.Aggregates = true
	for name, c := range map[string]struct {
		policy  Policy
		m       simon.Microprotocol
		parties []seat.Peer
		want    bool
	}{
		"seventeen":      {listed, sum, many, true},
		"sixteen":        {listed, sum, many[:16], false},
		"not listed":     {Policy{Coordinator: center}, sum, many, false},
		"nothing to add": {listed, simon.Microprotocol{Name: "Sum"}, many, false},
		"a dealer":       {listed, both, many, false},
		"an opener":      {listed, count, many, false},
	} {
		at, err := c.policy.Places(c.m, []byte("{}"), uuid.UUID{1}, c.parties)
		if err != nil || (at.Aggregator == center) != c.want || !c.want && at.Aggregator != (identity.Fingerprint{}) {
			t.Errorf("%s: %v %v", name, at, err)
		}
	}
}

// What a mode discloses is allowed by its name, in every profile.
func TestDisclosuresByPolicy(t *testing.T) {
	m := simon.Microprotocol{Name: "Count", Discloses: func(canonical []byte) []simon.Disclosure {
		if string(canonical) == "{}" {
			return nil
		}
		return []simon.Disclosure{simon.PooledCountsToAll}
	}}
	for _, profile := range []Profile{Strict, Teaching} {
		p, three := Policy{Profile: profile}, peers("x", "y", "z")
		if err := p.Check(m, []byte("{}"), three); err != nil {
			t.Error(err)
		}
		p.Disclose = []simon.Disclosure{simon.PooledCountsToOpener}
		if err := p.Check(m, []byte("open"), three); err == nil || !strings.Contains(err.Error(), `does not allow "pooled-counts-to-all", which Count discloses`) {
			t.Errorf("%s: %v", profile, err)
		}
		p.Disclose = append(p.Disclose, simon.PooledCountsToAll)
		if err := p.Check(m, []byte("open"), three); err != nil {
			t.Error(err)
		}
	}
}

// A dealer of a product of two matrices, who with one party reads the other's, must be listed whatever the profile.
func TestDealerOfMatrices(t *testing.T) {
	m, two := simon.SecureMatrixMultiplication(), peers("x", "y")
	for _, profile := range []Profile{Strict, Teaching} {
		p := Policy{Profile: profile, Coordinator: center}
		if _, err := p.Places(m, []byte("{}"), uuid.UUID{1}, two); err == nil || !strings.Contains(err.Error(), "it could read data together with one party") {
			t.Errorf("%v: %v", profile, err)
		}
		p.Helpers = []Helper{{FP: center, Roles: []simon.Role{simon.Dealer}, Microprotocols: []string{m.Name}}}
		if at, err := p.Places(m, []byte("{}"), uuid.UUID{1}, two); err != nil || at != (Places{Dealer: center}) {
			t.Errorf("%v: %v %v", profile, at, err)
		}
	}
}

// All parties choose the same two evaluators, in whatever order they list each other; over many computations every pair of
// distinct organisations comes to it, and no other.
func TestEvaluators(t *testing.T) {
	all := peers("x", "y", " X ", "z", "y")
	p := Policy{Coordinator: center}
	chosen := map[[2]identity.Fingerprint]int{}
	for i := range 400 {
		id := uuid.UUID{byte(i), byte(i >> 8)}
		at, err := p.Places(compared(), []byte("{}"), id, all)
		if err != nil {
			t.Fatal(err)
		}
		back := slices.Clone(all)
		slices.Reverse(back)
		if other, err := p.Places(compared(), []byte("{}"), id, back); err != nil || other != at {
			t.Fatalf("%v by one party, %v by another", at, other)
		}
		if at.S0.Compare(at.S1) >= 0 {
			t.Fatal("not in the order of fingerprints")
		}
		chosen[[2]identity.Fingerprint{at.S0, at.S1}]++
	}
	for i, a := range all {
		for _, b := range all[i+1:] {
			n := chosen[[2]identity.Fingerprint{a.FP, b.FP}]
			if (organisation(a) == organisation(b)) != (n == 0) {
				t.Errorf("%s of %q and %s of %q evaluate in %d of 400", a.Name, a.Organisation, b.Name, b.Organisation, n)
			}
		}
	}
	one := peers("x", "x", "X")
	if _, err := p.Places(compared(), []byte("{}"), uuid.UUID{}, one); err == nil || !strings.Contains(err.Error(), "distinct organisations") {
		t.Errorf("one organisation evaluates for itself: %v", err)
	}
	p.Profile = Teaching
	if at, err := p.Places(compared(), []byte("{}"), uuid.UUID{}, one); err != nil || at.S0 == at.S1 {
		t.Errorf("teaching: %v %v", at, err)
	}
}
