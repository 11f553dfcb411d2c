package coordinator

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/weftmpc/weft/broker/identity"
)

func TestCheckRoles(t *testing.T) {
	w := newWorld(t, "alice", "bob", "carol", "dave")
	center, outside := w.coord.FP(), identity.Fingerprint{1}
	two, three := w.common(first, "alice", "bob"), w.common(first, "alice", "bob", "carol")
	alice, bob, carol := w.fp("alice"), w.fp("bob"), w.fp("carol")
	type roles struct{ s0, s1, d, o, a identity.Fingerprint }
	for name, c := range map[string]struct {
		common Common
		roles  roles
		want   string
	}{
		"none":                           {two, roles{}, ""},
		"evaluators and the coordinator": {two, roles{s0: alice, s1: bob, d: center}, ""},
		"a dealer without evaluators":    {two, roles{d: center}, ""},
		"a party deals":                  {three, roles{s0: alice, s1: bob, d: carol}, ""},
		"one evaluator":                  {two, roles{s1: bob, d: center}, "there must be two or none"},
		"one evaluator twice":            {two, roles{s0: bob, s1: bob, d: center}, "two different parties"},
		"a stranger evaluates":           {two, roles{s0: alice, s1: carol, d: center}, "must be parties"},
		"the coordinator evaluates":      {two, roles{s0: alice, s1: center}, "must be parties"},
		"an evaluator deals":             {two, roles{s0: alice, s1: bob, d: bob}, "must not be an evaluator"},
		"a stranger deals":               {three, roles{s0: alice, s1: bob, d: outside}, "the coordinator or a party"},
		"a party deals to all":           {three, roles{d: carol}, "for two evaluators only"},
		"an opener":                      {three, roles{o: center}, ""},
		"an aggregator":                  {three, roles{a: center}, ""},
		"a party opens":                  {three, roles{o: carol}, "opener: it must be no party"},
		"a party aggregates":             {three, roles{a: carol}, "aggregator: it must be no party"},
		"a stranger opens":               {three, roles{o: outside}, "opener: it must be the coordinator"},
		"a stranger aggregates":          {three, roles{a: outside}, "aggregator: it must be the coordinator"},
		"a dealer opens":                 {three, roles{s0: alice, s1: bob, d: center, o: center}, "two places"},
		"a dealer aggregates":            {three, roles{d: center, a: center}, "two places"},
		"an opener aggregates":           {three, roles{o: center, a: center}, "two places"},
		"a party deals, another opens":   {three, roles{s0: alice, s1: bob, d: carol, o: center}, ""},
	} {
		c.common.S0, c.common.S1, c.common.Dealer, c.common.Opener, c.common.Aggregator = c.roles.s0, c.roles.s1, c.roles.d, c.roles.o, c.roles.a
		if err := c.common.CheckRoles(); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	three.S0, three.S1, three.Dealer = alice, bob, center
	three.Recipients = insert(w.fps("alice"), center)
	if err := three.CheckRoles(); err == nil || !strings.Contains(err.Error(), "a helper receives no result") {
		t.Errorf("the dealer as recipient: %v", err)
	}
}

// signer is a Helper that signs, or refuses.
type signer struct {
	w       *world
	refusal error
	asked   int
}

func (s *signer) Sign(common []byte) (own, sig []byte, err error) {
	if s.asked++; s.refusal != nil {
		return nil, nil, s.refusal
	}
	d := s.w.draft(s.w.coord, must(DecodeCommon(common))(s.w.t))
	j := must(DecodeJoin(d.sign(s.w.t)))(s.w.t)
	return j.Own, j.Sig[:], nil
}

// The coordinator's own JOIN comes after the parties', is made once for a START, and the helper hears of it.
func TestHelperInStart(t *testing.T) {
	w := newWorld(t, "alice", "bob", "carol")
	h, started := &signer{w: w}, [][]byte(nil)
	config := w.config()
	config.Helper, config.Started = h, func(b []byte) { started = append(started, b) }
	w.table = NewTable(config)
	c := w.common(first, "alice", "bob", "carol")
	c.S0, c.S1, c.Dealer = c.Parties[0], c.Parties[1], w.coord.FP()
	joins := [][]byte{w.join("alice", c), w.join("bob", c), w.join("carol", c)}
	w.table.Join(joins[0])
	w.table.Join(joins[1])
	if h.asked != 0 {
		t.Fatal("the helper is asked before all have joined")
	}
	a, push := w.table.Join(joins[2])
	if a.Kind != AnswerStart || len(push) != 2 || h.asked != 1 {
		t.Fatalf("%v, %d pushed, asked %d times", a.Kind, len(push), h.asked)
	}
	start := w.opened(a.Start)
	if len(start.Joins) != 4 || len(started) != 1 || !bytes.Equal(started[0], a.Start) {
		t.Errorf("START of %d JOINs, helper told %d times", len(start.Joins), len(started))
	}
	if again, _ := w.table.Join(joins[0]); !bytes.Equal(again.Start, a.Start) || h.asked != 1 {
		t.Errorf("a repeated JOIN gets another START; asked %d times", h.asked)
	}

	plain := w.common(second, "alice", "bob")
	w.table.Join(w.join("alice", plain))
	if a, _ := w.table.Join(w.join("bob", plain)); a.Kind != AnswerStart || h.asked != 1 || len(started) != 1 {
		t.Errorf("a computation without helper: %v, asked %d times, told %d times", a.Kind, h.asked, len(started))
	}
}

// A helper that refuses leaves the JOINs open: whoever repeats its own hears why, until the helper takes part.
func TestHelperRefuses(t *testing.T) {
	w := newWorld(t, "alice", "bob")
	h := &signer{w: w, refusal: &Refusal{Code: CodeBusy, Text: "busy dealing"}}
	config := w.config()
	config.Helper, config.Started = h, func([]byte) {}
	w.table = NewTable(config)
	c := w.common(first, "alice", "bob")
	c.Dealer = w.coord.FP()
	alice, bob := w.join("alice", c), w.join("bob", c)
	w.table.Join(alice)
	a, push := w.table.Join(bob)
	if a.Kind != AnswerRefused || a.Code != CodeBusy || a.Text != "busy dealing" || len(push) != 0 {
		t.Fatalf("%+v, %d pushed", a, len(push))
	}
	h.refusal = errors.New("out of ideas")
	if a, _ := w.table.Join(alice); a.Code != CodeHelpers || strings.Contains(a.Text, "ideas") {
		t.Errorf("%+v", a)
	}
	h.refusal = nil
	if a, push := w.table.Join(alice); a.Kind != AnswerStart || len(push) != 1 {
		t.Errorf("%v, %d pushed", a.Kind, len(push))
	}
	if n := w.table.Counts(); n.Open != 0 || n.Started != 1 {
		t.Errorf("%+v", n)
	}
}

// Two parties that name different evaluators do not start, and each is told which.
func TestEvaluatorsDiffer(t *testing.T) {
	w := newWorld(t, "alice", "bob", "carol")
	c := w.common(first, "alice", "bob", "carol")
	c.S0, c.S1 = c.Parties[0], c.Parties[1]
	other := c
	other.S0, other.S1 = c.Parties[1], c.Parties[2]
	w.table.Join(w.join("alice", c))
	a, _ := w.table.Join(w.join("bob", other))
	if a.Kind != AnswerConflict {
		t.Fatal(a.Kind)
	}
	theirs := must(DecodeCommon(must(DecodeJoin(a.Other))(t).Common))(t)
	if ds := Differences(other, theirs, w.name); len(ds) != 2 || ds[0].Name != "first evaluator" || ds[1].Name != "second evaluator" {
		t.Errorf("%v", ds)
	}
}
