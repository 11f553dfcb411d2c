package simon_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/weftmpc/weft/simon"
	"github.com/weftmpc/weft/simon/prg"
	"github.com/weftmpc/weft/simon/simontest"
)

// What evaluators and a dealer can do that do not follow the protocol: nothing panics, no error has a value, and what a
// description says of wrong results is all that happens.

// lied plays p with a lie, evaluators being seats 0 and 1 and the dealer a helper, and finishes at all parties. Each party has a
// result or an error.
func lied(t *testing.T, p prepared, lie simontest.Options) (results []string, errs []error) {
	t.Helper()
	lie.Seed = 8
	if lie.Roles == nil {
		lie.Roles = p.roles
	}
	o := withHelpers(p.m, p.common, lie)
	n := len(p.inputs)
	r := simontest.Run(t, n, o, func(ctx context.Context, s simon.Session) ([]byte, error) {
		if s.Self() >= s.N() {
			return nil, help(ctx, s, p.m, p.common)
		}
		return p.m.Run(ctx, s, p.common, p.inputs[s.Self()])
	})
	for seat := range n {
		err := r.Errs[seat]
		var got json.RawMessage
		if err == nil {
			got, err = p.m.Finish(p.common, p.inputs[seat], r.Results[seat])
		}
		results, errs = append(results, string(got)), append(errs, err)
	}
	return results, errs
}

// longNumber is what may be a value, a share or a key.
var longNumber = regexp.MustCompile(`[0-9]{6,}|[0-9a-f]{12,}`)

// public fails if an error has a number in it that is no length or parameter.
func public(t *testing.T, what string, errs []error) {
	t.Helper()
	for _, err := range errs {
		if err != nil && longNumber.MatchString(err.Error()) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// added adds to word i of what evaluator 0 or 1 opens under a label's name in a round. It tells all parties the same lie: two
// lies are found by the session.
func added(evaluator int, vector string, round uint32, i int, more uint64) simontest.Options {
	return simontest.Options{Stream: func(seat int, id simontest.StreamID, s prg.Stream) prg.Stream {
		if id.Purpose != simon.Opening || seat != evaluator || id.Label.Vector != vector || id.Label.Round != round {
			return s
		}
		return simontest.Shift(s, 8*i+8, func(mask []byte) []byte {
			word := binary.LittleEndian.Uint64(mask[8*i:])
			if evaluator == 0 {
				word += more
			} else { // who subtracts the mask
				word -= more
			}
			return binary.LittleEndian.AppendUint64(slices.Clone(mask[:8*i]), word)
		})
	}}
}

// rewritten bends bodies on their way.
func rewritten(bend func(m simontest.Message) []byte) simontest.Options {
	return simontest.Options{Rewrite: bend}
}

// outcomes fails unless these seats have an outcome that says so.
func outcomes(t *testing.T, what string, errs []error, says string, seats ...int) {
	t.Helper()
	for _, seat := range seats {
		if o, ok := errors.AsType[*simon.OutcomeError](errs[seat]); (!ok || !strings.Contains(o.Reason, says)) && !errors.Is(errs[seat], context.Canceled) {
			t.Errorf("%s, seat %d: %v, want %s", what, seat, errs[seat], says)
		}
	}
	if !slices.ContainsFunc(errs, func(err error) bool { _, ok := errors.AsType[*simon.OutcomeError](err); return ok }) {
		t.Errorf("%s: no outcome: %v", what, errs)
	}
}

// TestEvaluatorLiesOnDigits: a digit out of range is an outcome at all whom the lie reaches. One in range is not seen, which the
// description says.
func TestEvaluatorLiesOnDigits(t *testing.T) {
	data := []string{"[17,4]", "[5]", "[6,-3]"}
	p := prepare(t, simon.KthElement(), `{"rank":3,"digit_bits":4}`, data)
	for _, round := range []uint32{1, 7, 16} {
		for _, more := range []uint64{16, 1 << 63, ^uint64(15)} {
			_, errs := lied(t, p, added(0, "digits", round, 0, more))
			outcomes(t, "a digit out of range", errs, "a digit of a result is out of range: a party did not follow the protocol", 1, 2)
			public(t, "a digit out of range", errs)
		}
	}
	// 5 is c014000000000000 with its sign flipped; the evaluator makes it c013…, which nobody can know to be wrong.
	results, errs := lied(t, p, added(0, "digits", 4, 0, ^uint64(0)))
	if errs[2] != nil || results[2] == `{"samples":5,"item":5}` || results[2] != results[1] {
		t.Errorf("an undetected lie: %s, %v", results[2], errs[2])
	}
	for _, m := range []simon.Microprotocol{simon.KthElement(), simon.SecureMedian(), simon.SecureQuantiles(), simon.SecureTopK()} {
		if !strings.Contains(m.Leakage, "one that does not can make results wrong, or have them show something else of the pool") {
			t.Errorf("%s does not say what a dishonest helper can do: %s", m.Name, m.Leakage)
		}
	}
	for _, m := range []simon.Microprotocol{simon.StatisticsFrequency(), simon.StatisticsContingency(), simon.Histogram(), simon.StatisticsByGroup()} {
		if !strings.Contains(m.Leakage, "one that does not can make results wrong, or have them show what is below t") {
			t.Errorf("%s does not say what a dishonest helper can do: %s", m.Name, m.Leakage)
		}
	}
}

// TestPartiesKnowTheirOwnExtremes: an evaluator cannot hide the least or the largest value from whom it belongs to.
func TestPartiesKnowTheirOwnExtremes(t *testing.T) {
	p := prepare(t, simon.MinimumMaximum(), `{"digit_bits":4}`, []string{"[1,2]", "[2,8]", "[-3,2.5]"})
	p.roles = map[simon.Role]int{simon.S0: 0, simon.S1: 1, simon.Dealer: 2}
	for i, more := range map[int]uint64{0: 1, 1: ^uint64(0)} { // the least one becomes larger, the largest one less
		holder := []int{2, 1}[i]
		for round := uint32(1); round <= 3; round++ {
			if i == 1 && round > 1 && round < 3 || i == 0 && round == 1 {
				continue // these digits are at their end
			}
			_, errs := lied(t, p, added(0, "digits", round, i, more))
			if o, ok := errors.AsType[*simon.OutcomeError](errs[holder]); !ok || o.Reason != "the minimum or maximum is not that of this party's own values: a party did not follow the protocol" {
				if !ok || !strings.Contains(o.Reason, "out of range") {
					t.Errorf("round %d, element %d: %v", round, i, errs)
				}
			}
			public(t, "extremes", errs)
		}
	}
}

// TestEvaluatorLiesOnCounts: a count that should be hidden, or is none, is an outcome; so are an answer about the pool that is
// neither yes nor no, and sums of groups whose counts are others than those shown.
func TestEvaluatorLiesOnCounts(t *testing.T) {
	for _, c := range hiding {
		p := prepare(t, c.m, fmt.Sprintf(`{%s,"suppress_below":4,"least_samples":2}`, c.parameters), tableOf(c.rows, 5, 6, 3, 7))
		for cell := range 4 {
			for _, more := range []uint64{3, ^uint64(6), 1 << 50, 1 << 63} {
				counts := []uint64{5, 6, 0, 7}
				if n := counts[cell] + more; n == 0 || n >= 4 && n < 1<<40 {
					continue
				}
				_, errs := lied(t, p, added(1, "surviving counts", 2, cell, more))
				outcomes(t, c.m.Name, errs, "did not follow the protocol", 0, 2)
				public(t, c.m.Name, errs)
			}
		}
		for i, more := range []uint64{1, 2} {
			_, errs := lied(t, p, added(0, "pool", 1, i, more))
			outcomes(t, c.m.Name, errs, "the size of the pool is none", 1, 2)
		}
		// Saying that the pool is too small ends the computation, as anybody can.
		_, errs := lied(t, p, added(0, "pool", 1, 0, ^uint64(0)))
		outcomes(t, c.m.Name, errs, "fewer samples than the 2", 2)
	}
	// In range a wrong count cannot be known; the sums of a group show it.
	p := prepare(t, simon.StatisticsFrequency(), `{"categories":["a","b"],"suppress_below":4}`, tableOf([]string{`"a"`, `"b"`}, 5, 6))
	if results, errs := lied(t, p, added(0, "surviving counts", 2, 0, 1)); errs[2] != nil || !strings.Contains(results[2], `{"a":6,"b":6}`) {
		t.Errorf("%s, %v", results[2], errs[2])
	}
	p = prepare(t, simon.StatisticsByGroup(), `{"groups":["a","b"],"suppress_below":4}`, tableOf([]string{`[1,"a"]`, `[2,"b"]`}, 5, 6))
	_, errs := lied(t, p, added(0, "surviving counts", 2, 0, 1))
	outcomes(t, "groups", errs, "the sums are of other counts than those that were shown", 1, 2)

	p = prepare(t, simon.SecureCompare(), `{"threshold":3}`, []string{"1", "1", "5"})
	_, errs = lied(t, p, added(0, "above", 2, 0, 1))
	outcomes(t, "compare", errs, "neither yes nor no", 1, 2)
}

// TestEvaluatorShowsTwoTables: an evaluator that tells one party of a hidden group that it is shown, or another that a group is
// hidden, would learn sums of single parties. Nobody sends any.
func TestEvaluatorShowsTwoTables(t *testing.T) {
	p := prepare(t, simon.StatisticsByGroup(), `{"groups":["a","b"],"suppress_below":4}`, tableOf([]string{`[1,"a"]`, `[2,"b"]`}, 5, 3))
	for group, more := range map[int]uint64{0: ^uint64(4), 1: 4} {
		var sent atomic.Bool
		_, errs := lied(t, p, rewritten(func(m simontest.Message) []byte {
			if m.Label == (simon.Label{Round: 3, Vector: "sums"}) {
				sent.Store(true)
			}
			if m.From != 1 || m.To != 2 || m.Label.Vector != "surviving counts" {
				return m.Body
			}
			b := slices.Clone(m.Body)
			binary.LittleEndian.PutUint64(b[8*group:], binary.LittleEndian.Uint64(b[8*group:])+more)
			return b
		}))
		if sent.Load() {
			t.Errorf("group %d: a party sends its sums: %v", group, errs)
		}
		outcomes(t, "two tables", errs, "the parties were shown different counts", 0, 2)
	}
}

// TestDealersKeysThatAreNone: whatever the dealer sends, parties end with a result or an error that says who it is about.
func TestDealersKeysThatAreNone(t *testing.T) {
	bends := map[string]func(b []byte, other []byte) []byte{
		"nothing":   func(b, _ []byte) []byte { return nil },
		"truncated": func(b, _ []byte) []byte { return b[:len(b)-1] },
		"longer":    func(b, _ []byte) []byte { return append(slices.Clone(b), 0) },
		"zeros":     func(b, _ []byte) []byte { return make([]byte, len(b)) },
		"ones":      func(b, _ []byte) []byte { return []byte(strings.Repeat("\xff", len(b))) },
		"noise": func(b, _ []byte) []byte {
			x := slices.Clone(b)
			for i := range x {
				x[i] ^= byte(i*i*31 + 7)
			}
			return x
		},
		"the other's": func(_, other []byte) []byte { return other },
	}
	for _, c := range gated {
		p := prepare(t, c.m, c.parameters, c.data[:])
		honest, sent := p.run(t, simontest.Options{Seed: 8}), map[simon.Label][]byte{}
		for _, m := range honest.Messages {
			if m.Kind == simontest.Send {
				sent[m.Label] = m.Body
			}
		}
		for _, name := range slices.Sorted(maps.Keys(bends)) {
			results, errs := lied(t, p, rewritten(func(m simontest.Message) []byte {
				if m.Kind != simontest.Send {
					return m.Body
				}
				other := simon.Label{Round: m.Label.Round, Vector: strings.Replace(m.Label.Vector, "for the first", "for the second", 1)}
				if other == m.Label {
					other.Vector = strings.Replace(m.Label.Vector, "for the second", "for the first", 1)
				}
				return bends[name](m.Body, sent[other])
			}))
			public(t, c.m.Name+" "+name, errs)
			switch name {
			case "nothing", "truncated", "longer":
				for b := range 2 {
					if err := errs[b]; err == nil || !strings.Contains(err.Error(), "the dealer sent") && !errors.Is(err, context.Canceled) {
						t.Errorf("%s, %s: %v", c.m.Name, name, errs)
					}
				}
			case "noise": // shares of noise are noise
				if errs[2] == nil {
					t.Errorf("%s: noise gives %s", c.m.Name, results[2])
				}
			}
		}
	}
}

// TestEvaluatorsBodiesOfOtherLengths: shares and inputs that are too short or too long are errors.
func TestEvaluatorsBodiesOfOtherLengths(t *testing.T) {
	for _, c := range gated {
		p := prepare(t, c.m, c.parameters, c.data[:])
		p.roles = map[simon.Role]int{simon.S0: 0, simon.S1: 1, simon.Dealer: 3}
		for _, kind := range []simontest.Kind{simontest.Exchange, simontest.SendInput} {
			for name, bend := range map[string]func(b []byte) []byte{
				"none": func([]byte) []byte { return nil }, "short": func(b []byte) []byte { return b[:len(b)-8] }, "odd": func(b []byte) []byte { return b[1:] }, "long": func(b []byte) []byte { return append(slices.Clone(b), b...) },
			} {
				_, errs := lied(t, p, rewritten(func(m simontest.Message) []byte {
					if m.Kind == kind && m.From == 0 {
						return bend(m.Body)
					}
					return m.Body
				}))
				public(t, c.m.Name, errs)
				if errs[1] == nil || !slices.ContainsFunc(errs, func(err error) bool { return err != nil && strings.Contains(err.Error(), "seat 0") }) {
					t.Errorf("%s, %v %s: %v", c.m.Name, kind, name, errs)
				}
			}
		}
	}
}

// opens is what a selection opens last where the pool is not checked.
func opens(words ...uint64) []byte {
	b := append([]byte{3}, make([]byte, 16)...)
	for _, w := range words {
		b = binary.LittleEndian.AppendUint64(b, w)
	}
	return b
}

// TestSelectionsRefuseTheImpossible: elements that no pool has.
func TestSelectionsRefuseTheImpossible(t *testing.T) {
	const one, two = 0xbff0000000000000, 0xc000000000000000 // 1 and 2 in their order
	for _, c := range []struct {
		m          simon.Microprotocol
		parameters string
		words      []uint64
	}{
		{simon.SecureTopK(), `{"k":3}`, []uint64{one, two, 0}},
		{simon.SecureTopK(), `{"k":3}`, []uint64{two, 0, one}},
		{simon.SecureTopK(), `{"k":3}`, []uint64{^uint64(0), one, one}},
		{simon.SecureMedian(), ``, []uint64{two, one}},
		{simon.MinimumMaximum(), ``, []uint64{0, one, 1}},
		{simon.MinimumMaximum(), ``, []uint64{one, two, 1 << 41}},
		{simon.MinimumMaximum(), ``, []uint64{two, one, 5}},
		{simon.KthElement(), `{"rank":1}`, []uint64{^uint64(0), 5}},
		{simon.KthElement(), `{"rank":1}`, []uint64{one, 1 << 41}},
		{simon.SecureQuantiles(), `{"type":7,"probabilities":[0.5]}`, []uint64{two, one, 4}},
		{simon.SecureQuantiles(), `{"type":7,"probabilities":[0.5]}`, []uint64{one, two, 5}},
		{simon.SecureQuantiles(), `{"type":7,"probabilities":[0.5]}`, []uint64{one, two, 1 << 35}},
		{simon.SecureQuantiles(), `{"type":1,"probabilities":[0.5,0.25]}`, []uint64{one, two}},
	} {
		p := prepare(t, c.m, c.parameters, []string{"1", "2"})
		got, err := c.m.Finish(p.common, p.inputs[0], opens(c.words...))
		if got != nil {
			t.Errorf("%s with %s of %x gives %s", c.m.Name, c.parameters, c.words, got)
		}
		impossible(t, c.m.Name, err)
	}
	for _, c := range gated { // what is stored may be damaged
		p := prepare(t, c.m, c.parameters, c.data[:])
		whole := p.run(t, simontest.Options{Seed: 1}).Results[0]
		for n := range whole {
			if got, err := c.m.Finish(p.common, p.inputs[0], whole[:n]); err == nil {
				t.Errorf("%s of %d bytes of %d: %s", c.m.Name, n, len(whole), got)
			}
		}
	}
}

// TestDealersWorkIsBounded: parameters that no client could set are refused by a dealer too, and steps that are too large before
// anything is made.
func TestDealersWorkIsBounded(t *testing.T) {
	var list []string
	for i := range 100 {
		list = append(list, fmt.Sprintf("0.%02d", i))
	}
	large := map[string]string{
		"SecureQuantiles": `{"digit_bits":7,"probabilities":[` + strings.Join(list, ",") + `]}`,
		"SecureTopK":      `{"digit_bits":8,"k":100}`,
	}
	for _, m := range []simon.Microprotocol{simon.SecureQuantiles(), simon.SecureTopK()} {
		path, reason := refusal(t, m, "[1]", large[m.Name])
		if path != "parameters.digit_bits" || !strings.Contains(reason, "give fewer bits") {
			t.Errorf("%s: %s: %s", m.Name, path, reason)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		dealsAlone(t, m, large[m.Name], true)
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 8<<20 {
			t.Errorf("%s: a dealer takes %d bytes to refuse", m.Name, n)
		}
		if _, err := m.Prepare(strings.NewReader("[1]"), json.RawMessage(strings.NewReplacer(`:7,`, `:6,`, `:8,`, `:7,`).Replace(large[m.Name])), simon.Guard{}); err != nil {
			t.Errorf("%s: %v", m.Name, err)
		}
	}
	for _, c := range gated {
		for _, parameters := range []string{``, `{}`, `null`, `[]`, `7`, `{"digit_bits":63}`, `{"rank":0}`, `{"k":-1}`, `{"probabilities":[2]}`, `{"probabilities":7,"type":"x"}`, `{"categories":[["a"],[]],"suppress_below":1e9}`,
			`{"groups":[],"suppress_below":5}`, `{"suppress_below":5}`, `{"breaks":[2,1],"suppress_below":5}`, `{"threshold":1e300}`, strings.Repeat("[", 1000)} {
			dealsAlone(t, c.m, parameters, false)
		}
	}
}

// dealsAlone is a dealer alone, with parameters that nobody has checked.
func dealsAlone(t *testing.T, m simon.Microprotocol, parameters string, refused bool) {
	t.Helper()
	o := simontest.Options{Roles: map[simon.Role]int{simon.S0: 0, simon.S1: 1, simon.Dealer: 2}}
	r := simontest.Run(t, 2, o, func(ctx context.Context, s simon.Session) (b []byte, err error) {
		if s.Self() < 2 {
			return nil, nil
		}
		defer func() {
			if p := recover(); p != nil {
				t.Errorf("%s with %s: the dealer panics: %v", m.Name, parameters, p)
			}
		}()
		return nil, m.Deal(ctx, s, simon.Common{Parties: 2, Parameters: []byte(parameters)})
	})
	if err := r.Errs[2]; refused && err == nil {
		t.Errorf("%s deals for %s", m.Name, parameters)
	}
}

// TestDamagedInputs: what a job stores may be cut off; the party whose it is says so.
func TestDamagedInputs(t *testing.T) {
	for _, c := range gated {
		for _, dealer := range []int{2, 4} {
			whole := prepare(t, c.m, c.parameters, c.data[:])
			whole.roles = map[simon.Role]int{simon.S0: 0, simon.S1: 1, simon.Dealer: dealer}
			for _, n := range []int{0, 1, 8, 9, 10, 16, len(whole.inputs[0]) - 1} {
				if n >= len(whole.inputs[0]) || n == 9 && (c.m.Name != "MinimumMaximum" && c.m.Name != "SecureCompare" && !strings.HasPrefix(c.m.Name, "Stat") && c.m.Name != "Histogram") {
					continue // a list without values is one
				}
				p := whole
				p.inputs = slices.Clone(whole.inputs)
				p.inputs[0] = p.inputs[0][:n]
				_, errs := lied(t, p, simontest.Options{})
				if errs[0] == nil || errors.Is(errs[0], context.Canceled) {
					t.Errorf("%s with %d bytes of input: %v", c.m.Name, n, errs)
				}
				public(t, c.m.Name, errs)
			}
		}
	}
}
