package simon_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/weftmpc/weft/simon"
	"github.com/weftmpc/weft/simon/simontest"
)

// strict is a guard as a careful policy has it.
var strict = simon.Guard{Samples: 30, Moments: 100, Contributors: 3}

// guarded plays with a guard and returns what all parties' Finish say, which must be the same.
func guarded(t *testing.T, m simon.Microprotocol, parameters string, data ...string) (string, *simontest.Record, error) {
	t.Helper()
	p := prepared{m: m, common: simon.Common{Parties: len(data)}}
	for _, d := range data {
		one, err := m.Prepare(strings.NewReader(d), json.RawMessage(parameters), strict)
		if err != nil {
			t.Fatal(err)
		}
		p.common.Parameters = one.Parameters
		p.inputs = append(p.inputs, one.Input)
	}
	r := p.run(t, simontest.Options{Seed: 4})
	var result string
	var first error
	for seat, opened := range r.Results {
		got, err := m.Finish(p.common, p.inputs[seat], opened)
		if seat > 0 && (fmt.Sprint(err) != fmt.Sprint(first) || string(got) != result) {
			t.Fatalf("seat %d: %s (%v), seat 0: %s (%v)", seat, got, err, result, first)
		}
		result, first = string(got), err
	}
	return result, r, first
}

func many(n int) string { return "[1" + strings.Repeat(",2", n-1) + "]" }

func TestUnivariateGuard(t *testing.T) {
	const variance, skewness = `{"outputs":["variance"]}`, `{"outputs":["skewness"]}`
	for _, c := range []struct {
		parameters string
		data       []string
		want       string // of the outcome
	}{
		{variance, []string{many(10), many(10), many(9)}, "29 samples and 30 are needed"},
		{variance, []string{many(10), many(10), many(10)}, ""},
		{variance, []string{many(20), many(20), "[]"}, "2 parties have samples and 3 are needed"},
		{variance, []string{many(20), many(20), "[]", "1"}, ""},
		{skewness, []string{many(33), many(33), many(33)}, "99 samples and 100 are needed"},
		{skewness, []string{many(33), many(33), many(34)}, ""},
		{``, []string{many(33), many(33), many(33)}, "99 samples and 100 are needed"},
		{`{"outputs":["mean"],"least_samples":31}`, []string{many(10), many(10), many(10)}, "30 samples and 31 are needed"},
		{`{"outputs":["mean"],"least_contributors":4}`, []string{many(10), many(10), many(10)}, "3 parties have samples and 4 are needed"},
	} {
		result, r, err := guarded(t, simon.StatisticsUnivariate(), c.parameters, c.data...)
		n := len(c.data)
		if c.want == "" {
			if err != nil || result == "" || len(r.Messages) != 2*n*(n-1) {
				t.Errorf("%s: %s, %v, %d messages", c.parameters, result, err, len(r.Messages))
			}
			continue
		}
		if _, ok := errors.AsType[*simon.OutcomeError](err); !ok || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %s, %v", c.parameters, result, err)
		}
		for _, m := range r.Messages {
			if m.Kind != simontest.Exchange || m.Label.Vector != "pool" || len(m.Body) != 16 {
				t.Errorf("%s: %v %v was sent, %d bytes", c.parameters, m.Kind, m.Label, len(m.Body))
			}
		}
		if len(r.Messages) != n*(n-1) {
			t.Errorf("%s: %d messages", c.parameters, len(r.Messages))
		}
	}
}

func TestUnivariateGuardRefuses(t *testing.T) {
	m := simon.StatisticsUnivariate()
	for _, c := range []struct{ parameters, path string }{
		{`{"outputs":["variance"],"least_samples":30,"least_contributors":3}`, ""},
		{`{"outputs":["variance"],"least_samples":29,"least_contributors":3}`, "parameters.least_samples"},
		{`{"outputs":["variance"],"least_samples":0,"least_contributors":3}`, "parameters.least_samples"},
		{`{"outputs":["skewness"],"least_samples":99,"least_contributors":3}`, "parameters.least_samples"},
		{`{"outputs":["skewness"],"least_samples":100,"least_contributors":3}`, ""},
		{`{"outputs":["variance"],"least_samples":30,"least_contributors":2}`, "parameters.least_contributors"},
		{`{"least_samples":99,"least_contributors":3}`, "parameters.least_samples"},
	} {
		path := func(err error) string {
			if err == nil {
				return ""
			}
			input, ok := errors.AsType[*simon.InputError](err)
			if !ok {
				t.Fatal(err)
			}
			return input.Path
		}
		if _, err := m.Prepare(strings.NewReader("1"), json.RawMessage(c.parameters), strict); path(err) != c.path {
			t.Errorf("Prepare with %s: %v", c.parameters, err)
		}
		// The same parameters come from another party, whose policy asks less.
		p, err := m.Prepare(strings.NewReader("1"), json.RawMessage(c.parameters), simon.Guard{})
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Check(p.Parameters, strict); path(err) != c.path {
			t.Errorf("Check of %s: %v", p.Parameters, err)
		}
		if err := m.Check(p.Parameters, simon.Guard{}); err != nil {
			t.Error(err)
		}
	}
	if err := m.Check([]byte(`{"outputs":7}`), simon.Guard{}); err == nil {
		t.Error("Check takes parameters that are none")
	}
}
