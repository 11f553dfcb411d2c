package policy_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/weftmpc/weft/node/policy"
	"github.com/weftmpc/weft/node/seat"
	"github.com/weftmpc/weft/simon"
)

func parties(organisations ...string) []seat.Peer {
	var list []seat.Peer
	for i, o := range organisations {
		list = append(list, seat.Peer{Name: fmt.Sprint("party", i), Organisation: o})
	}
	return list
}

// parameters are the canonical parameters of m as a client of a party with guard g would agree on.
func parameters(t *testing.T, m simon.Microprotocol, set string, g simon.Guard) []byte {
	t.Helper()
	data := "[1,2,3]"
	if m.Name == "LogisticRegression" {
		data = "[]" // the parameters say how many columns there are
	}
	p, err := m.Prepare(strings.NewReader(data), json.RawMessage(set), g)
	if err != nil {
		t.Fatal(err)
	}
	return p.Parameters
}

func TestCheck(t *testing.T) {
	strict, teaching := policy.Strict.Guard(), policy.Teaching.Guard()
	sum, univariate, regression := simon.SecureSum(), simon.StatisticsUnivariate(), simon.LogisticRegression()
	second := `{"outputs":["variance"]}`
	for name, c := range map[string]struct {
		policy policy.Policy
		m      simon.Microprotocol
		set    string
		guard  simon.Guard // of the party whose client made the parameters
		of     []string
		rule   string // in the refusal; empty: none
	}{
		"three organisations":          {m: sum, of: []string{"a", "b", "c"}},
		"two parties":                  {m: sum, of: []string{"a", "b"}, rule: "with two parties"},
		"two parties, teaching":        {policy: policy.Policy{Profile: policy.Teaching}, m: sum, of: []string{"a", "a"}},
		"two parties with sets":        {m: simon.SetIntersection(), of: []string{"a", "b"}},
		"sizes of two":                 {m: simon.SetIntersectionSize(), guard: strict, of: []string{"a", "b"}},
		"sizes of three":               {m: simon.SetIntersectionSize(), guard: strict, of: []string{"a", "b", "c"}},
		"small sizes of three":         {m: simon.SetIntersectionSize(), set: `{"suppress_below":4}`, guard: teaching, of: []string{"a", "b", "c"}, rule: "suppress_below: must be at least 5"},
		"matrices are not for three":   {m: simon.SecureMatrixMultiplication(), of: []string{"a", "b", "c"}, rule: "at most 2"},
		"one party":                    {policy: policy.Policy{Profile: policy.Teaching}, m: sum, of: []string{"a"}, rule: "at least 2"},
		"one organisation twice":       {m: sum, of: []string{"a", "b", " A "}, rule: "one organisation"},
		"too many":                     {policy: policy.Policy{MaxParties: 3}, m: sum, of: []string{"a", "b", "c", "d"}, rule: "more than the 3"},
		"as the policy asks":           {m: univariate, guard: strict, of: []string{"a", "b", "c"}},
		"more than the policy asks":    {m: univariate, set: `{"least_samples":1000,"least_contributors":4}`, guard: strict, of: []string{"a", "b", "c"}},
		"no check of the pool":         {m: univariate, guard: teaching, of: []string{"a", "b", "c"}, rule: "least_contributors: must be at least 3"},
		"too small a pool":             {m: univariate, set: `{"least_samples":99,"least_contributors":3}`, guard: teaching, of: []string{"a", "b", "c"}, rule: "least_samples: must be at least 100"},
		"a pool for the second moment": {m: univariate, set: second, guard: strict, of: []string{"a", "b", "c"}},
		"small for the second moment":  {m: univariate, set: `{"outputs":["variance"],"least_samples":29,"least_contributors":3}`, guard: teaching, of: []string{"a", "b", "c"}, rule: "at least 30"},
		"a wide model":                 {m: regression, set: `{"columns":20}`, guard: strict, of: []string{"a", "b", "c"}},
		"a pool small for its columns": {m: regression, set: `{"columns":20,"least_samples":209,"least_contributors":3}`, guard: teaching, of: []string{"a", "b", "c"}, rule: "least_samples: must be at least 210: this party's policy asks for it, 10 for each of 21 columns or coefficients"},
		"teaching takes a small pool":  {policy: policy.Policy{Profile: policy.Teaching}, m: univariate, guard: teaching, of: []string{"a", "b"}},
	} {
		err := c.policy.Check(c.m, parameters(t, c.m, c.set, c.guard), parties(c.of...))
		var refusal *policy.Refusal
		switch {
		case c.rule == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.rule != "" && (!errors.As(err, &refusal) || !strings.Contains(err.Error(), c.rule)):
			t.Errorf("%s: %v, want a refusal with %q", name, err, c.rule)
		}
	}
}

// The profile strict bounds how many elements another party may compare with this one's; teaching takes what is asked for.
func TestCheckOfSets(t *testing.T) {
	m := simon.SetIntersection()
	for asked, ok := range map[string]bool{`{}`: true, `{"max_elements":65536}`: true, `{"max_elements":65537}`: false} {
		one, err := m.Prepare(strings.NewReader(`["a"]`), []byte(asked), simon.Guard{})
		if err != nil {
			t.Fatal(err)
		}
		if err := (policy.Policy{}).Check(m, one.Parameters, parties("a", "b")); (err == nil) != ok || !ok && !strings.Contains(err.Error(), "at most 65536") {
			t.Errorf("strict, %s: %v", asked, err)
		}
		if err := (policy.Policy{Profile: policy.Teaching}).Check(m, one.Parameters, parties("a", "b")); err != nil {
			t.Errorf("teaching, %s: %v", asked, err)
		}
	}
}

// The profile strict refuses a product that gives a matrix away, and says so; teaching does not.
func TestCheckOfMatrices(t *testing.T) {
	m := simon.SecureMatrixMultiplication()
	for _, c := range []struct {
		profile policy.Profile
		guard   simon.Guard
		data    string
		rule    string
	}{
		{policy.Teaching, policy.Teaching.Guard(), "[[1,2,3],[4,5,6],[7,8,9]]", ""},
		{policy.Strict, policy.Strict.Guard(), "[[1,2,3],[4,5,6],[7,8,9]]", "profile strict: parameters.left: makes a result of 3 rows from sums of 3 terms"},
		{policy.Strict, policy.Strict.Guard(), "[[1,2,3,4,5,6,7,8,9,10]]", ""},
		{policy.Strict, policy.Teaching.Guard(), "[[1,2,3,4,5,6,7,8,9,10]]", "profile strict: parameters.least_ratio: must be at least 10"},
	} {
		one, err := m.Prepare(strings.NewReader(c.data), nil, c.guard)
		if err != nil {
			t.Fatal(err)
		}
		// Where its shape is refused, what the party would ask for is.
		full, err := m.Complete(simon.Placed{Parties: 2, Parameters: one.Parameters, Input: one.Input})
		if err == nil {
			err = policy.Policy{Profile: c.profile}.Check(m, full, parties("a", "b"))
		} else {
			err = fmt.Errorf("profile %s: %w", c.profile, err)
		}
		if (err == nil) != (c.rule == "") || err != nil && !strings.Contains(err.Error(), c.rule) {
			t.Errorf("%v, %s: %v, want %q", c.profile, c.data, err, c.rule)
		}
	}
}

func TestProfiles(t *testing.T) {
	for _, p := range []policy.Profile{policy.Strict, policy.Teaching} {
		if got, err := policy.ParseProfile(p.String()); err != nil || got != p {
			t.Errorf("%v: %v, %v", p, got, err)
		}
	}
	if _, err := policy.ParseProfile("lax"); err == nil {
		t.Error("a profile that nobody knows was taken")
	}
}
