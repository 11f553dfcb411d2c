package simon_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/weftmpc/weft/simon"
	"github.com/weftmpc/weft/simon/simontest"
)

// summed are computations whose masked sums may go through an aggregator.
var summed = []struct {
	m          simon.Microprotocol
	parameters string
	data       [3]string
}{
	{simon.SecureSum(), ``, [3]string{"19", "-5.25", "61"}},
	{simon.SecureSum(), ``, [3]string{"[[1,-2],[3,4]]", "[[1e22,-1e22]]", "[[0.1,0.2]]"}},
	{simon.SecureMean(), `{"least_samples":2}`, [3]string{"[1,2]", "3", "[6]"}},
	{simon.StatisticsUnivariate(), `{"least_samples":2,"least_contributors":3}`, [3]string{"[3,4.35]", "[-2]", "[7]"}},
	{simon.StatisticsBivariate(), ``, [3]string{"[[0,1],[1,-3]]", "[[2,5]]", "[[3,7]]"}},
	{simon.StatisticsByGroup(), `{"groups":["a","b"]}`, [3]string{`[[1,"a"],[2,"b"]]`, `[[3,"a"]]`, `[[-5,"a"]]`}},
	{simon.Histogram(), `{"breaks":[0,2,4]}`, [3]string{"[1,2.5]", "[3]", "[9]"}},
	{simon.StatisticsFrequency(), `{"categories":["a","b"]}`, [3]string{`["a"]`, `["a","b"]`, `[]`}},
	{simon.StatisticsFrequency(), `{"least_samples":1}`, [3]string{`["a"]`, `["a","b"]`, `[]`}},
	{simon.StatisticsContingency(), ``, [3]string{`[["a","b"]]`, `[["c","d"]]`, `[["a","b"]]`}},
	{simon.ChiSquare(), `{"categories":[["m","f"],[1,0]]}`, [3]string{`[["m",1],["m",0]]`, `[["f",1]]`, `[["f",0],["f",0]]`}},
	{simon.FisherExact(), `{"categories":[["m","f"],[1,0]]}`, [3]string{`[["m",1],["m",0]]`, `[["f",1]]`, `[["f",0],["f",0]]`}},
	{simon.TTest(), `{"groups":[1,2]}`, [3]string{"[[0.7,1],[-1.6,1],[1,2]]", "[[0.8,1],[0,2]]", "[[-0.1,2],[4.4,2]]"}},
	{simon.ANOVA(), `{"groups":["a","b","c"]}`, [3]string{`[[1,"a"],[2,"a"],[3,"a"]]`, `[[2,"b"],[3,"b"],[4,"b"]]`, `[[5,"c"],[6,"c"],[8,"c"]]`}},
	{simon.CorrelationMatrix(), ``, [3]string{"[[1,2,3]]", "[[2,4,1]]", "[[3,6,2]]"}},
	{simon.LinearRegression(), ``, [3]string{"[[1,0,0],[3,1,0]]", "[[0,0,1],[2,1,1]]", "[[6,3,1],[5,2,0],[4,2,1]]"}},
	{simon.LogisticRegression(), ``, [3]string{"[[0,0],[0,0],[0,0]]", "[[1,0],[1,1],[1,1]]", "[[1,1],[0,1]]"}},
	{simon.PoissonRegression(), ``, [3]string{"[[1,0],[3,0]]", "[[5,1]]", "[[7,1]]"}},
	{simon.KaplanMeier(), ``, [3]string{"[[1,1],[2,1]]", "[[3,1]]", "[[4,1],[5,0],[6,0]]"}},
	{simon.LogRank(), `{"groups":["a","b"]}`, [3]string{`[[1,1,"a"],[3,1,"b"]]`, `[[2,1,"a"]]`, `[[4,1,"b"]]`}},
	{simon.SecureMedian(), `{"mode":"open-counts","digit_bits":8}`, [3]string{"[1,2]", "[4.35]", "[-9,1]"}},
}

func withAggregator(n int) simontest.Options {
	return simontest.Options{Seed: 6, Roles: map[simon.Role]int{simon.Aggregator: n}}
}

// TestAggregatedResults: through an aggregator everything comes to what it comes to without.
func TestAggregatedResults(t *testing.T) {
	tried := map[string]bool{}
	for _, c := range summed {
		tried[c.m.Name] = true
		want, plain, err := play(t, c.m, simontest.Options{Seed: 6}, simon.Guard{}, c.data[:], c.parameters)
		if err != nil {
			t.Fatalf("%s: %v", c.m.Name, err)
		}
		got, r, err := play(t, c.m, withAggregator(3), simon.Guard{}, c.data[:], c.parameters)
		if err != nil || got != want {
			t.Errorf("%s: %s %v, want %s", c.m.Name, got, err, want)
			continue
		}
		seen := 0
		for _, m := range r.Messages {
			if m.From == 3 {
				seen++
			}
		}
		if union := strings.Contains(fmt.Sprint(plain.Messages), "table"); seen == 0 && !union {
			t.Errorf("%s: the aggregator adds nothing up", c.m.Name)
		}
	}
	for _, m := range simon.Catalogue() {
		never := m.RolesFor == nil && len(m.Roles) > 0 || strings.HasPrefix(m.Name, "SetIntersection") // another helper's, or nothing to add up
		if m.Aggregates == never || m.Aggregates && !tried[m.Name] && len(m.Roles) == 0 {
			t.Errorf("%s: aggregates %v, tried %v", m.Name, m.Aggregates, tried[m.Name])
		}
		if m.Aggregates && !strings.Contains(m.WithHelper, "An aggregator") {
			t.Errorf("%s does not describe its aggregator", m.Name)
		}
	}
}

// TestAggregatedPools: too few samples end the computation at the aggregator, too.
func TestAggregatedPools(t *testing.T) {
	for _, c := range summed {
		if c.m.Name == "SecureSum" {
			continue
		}
		_, r, err := play(t, c.m, withAggregator(3), simon.Guard{Samples: 5000, Moments: 5000}, c.data[:], c.parameters)
		var input *simon.InputError
		if o, ok := errors.AsType[*simon.OutcomeError](err); !errors.As(err, &input) && (!ok || !strings.Contains(o.Reason, "5000 are needed")) {
			t.Errorf("%s: %v", c.m.Name, err)
		}
		if r != nil {
			for _, m := range r.View(3) {
				if len(m.Body) != 1 {
					t.Errorf("%s: the aggregator gets %d bytes", c.m.Name, len(m.Body))
				}
			}
		}
	}
}

// TestAggregatedPropertySums: any numbers of many parties.
func TestAggregatedPropertySums(tt *testing.T) {
	rapid.Check(tt, func(t *rapid.T) {
		n := rapid.IntRange(2, 24).Draw(t, "parties")
		data := make([]string, n)
		for i := range data {
			data[i] = fmt.Sprintf("[%d, %d.25]", rapid.Int64().Draw(t, "x"), rapid.Int32().Draw(t, "y"))
		}
		want, _, err := play(tt, simon.SecureSum(), simontest.Options{Seed: 1}, simon.Guard{}, data, "")
		if err != nil {
			t.Fatal(err)
		}
		got, r, err := play(tt, simon.SecureSum(), withAggregator(n), simon.Guard{}, data, "")
		if err != nil || got != want {
			t.Fatalf("%s %v, want %s", got, err, want)
		}
		if len(r.Messages) != 3*n-1 { // the key to n-1, a vector from each, the total to each
			t.Fatalf("%d messages of %d parties", len(r.Messages), n)
		}
	})
}

// totals are what the aggregator tells, by seed, in computations of the same data.
func totals(t *testing.T, data []string, runs uint64) (told [][]byte) {
	t.Helper()
	p := prepare(t, simon.SecureSum(), "", data)
	for seed := range runs {
		o := withAggregator(3)
		o.Seed = seed
		for _, m := range p.run(t, o).Messages {
			if m.From == 3 && m.To == 0 {
				told = append(told, m.Body)
			}
		}
	}
	return told
}

// TestAggregatorSeesNothing: what the aggregator adds up looks uniform, whether the total is 0 or 1: every byte of vector and
// tag, and of what any party has sent.
func TestAggregatorSeesNothing(t *testing.T) {
	const runs = 2000
	for _, data := range [][]string{{"[]", "[]", "[]"}, {"[1]", "[-1]", "[]"}, {"[1]", "[]", "[]"}} {
		told := totals(t, data, runs)
		if len(told) != runs || len(told[0]) != 8+24+72 {
			t.Fatalf("%d totals of %d bytes", len(told), len(told[0]))
		}
		all := slices.Concat(told...)
		for position := range 8 + 24 + 521/8 { // the last word of a tag has 9 bits
			if !uniform(all, position, len(told[0])) {
				t.Errorf("%v: byte %d of the total is not uniform", data, position)
			}
		}
	}
}

// TestAggregatorCannotTell: for other data of the same two honest parties there are masks of theirs under which the aggregator
// with the third party gets the same bytes; so it learns nothing but the total that this party learns anyway.
func TestAggregatorCannotTell(t *testing.T) {
	a, b := prepare(t, simon.SecureSum(), "", []string{"3", "4", "5"}), prepare(t, simon.SecureSum(), "", []string{"4", "3", "5"})
	o := withAggregator(3)
	first, second := a.run(t, o), b.run(t, o)
	if sameView(first.View(2, 3), second.View(2, 3)) {
		t.Error("the view does not depend on the data at all: this test sees nothing")
	}
	sumOf := func(r *simontest.Record) []byte { // of the two honest parties' bodies: what the masks between them leave
		var parts [][]byte
		for _, m := range r.View(3) {
			if m.From < 2 && len(m.Body) > 1 {
				parts = append(parts, m.Body[15:15+32])
			}
		}
		begins := []bool{true, true, false, false}
		return addWords(parts[0], parts[1], begins, 1)
	}
	if !bytes.Equal(sumOf(first), sumOf(second)) {
		t.Error("what the two parties send together depends on who has what")
	}
}

// TestAggregatorsThatLie: a total that is another one by 1, 2^64 or 2^191 in any field, one without a party's vector or with it
// twice, one of another length, and a tag that is none, are refused by all parties.
func TestAggregatorsThatLie(t *testing.T) {
	const rejected = "is not that of the parties' vectors: the aggregator or a party did not follow the protocol"
	p := prepare(t, simon.SecureSum(), "", []string{"[[3,-1]]", "[[4,5],[0,0]]", "[[-5,8]]"})
	p.roles = map[simon.Role]int{simon.Aggregator: 3}
	told := func(bend func(b []byte) []byte) []error {
		_, errs := lied(t, p, rewritten(func(m simontest.Message) []byte {
			if m.From == 3 {
				return bend(slices.Clone(m.Body))
			}
			return m.Body
		}))
		public(t, "total", errs)
		return errs
	}
	addTo := func(b []byte, word, words int) {
		for i := word; i < words; i++ {
			x := binary.LittleEndian.Uint64(b[8*i:]) + 1
			if binary.LittleEndian.PutUint64(b[8*i:], x); x != 0 {
				return
			}
		}
	}
	fields := [][2]int{{0, 1}, {1, 4}, {4, 7}} // samples, two sums, in words
	for _, f := range fields {
		for word := f[0]; word < f[1]; word++ {
			for _, high := range []bool{false, true} {
				errs := told(func(b []byte) []byte {
					if high { // the highest bit of the word: 2^63, 2^127, 2^191
						b[8*word+7] ^= 0x80
					} else { // 1, 2^64, 2^128
						addTo(b, word, f[1])
					}
					return b
				})
				outcomes(t, fmt.Sprint("word ", word, high), errs, rejected, 0, 1, 2)
			}
		}
	}
	outcomes(t, "tag", told(func(b []byte) []byte { b[60] ^= 1; return b }), rejected, 0, 1, 2)
	outcomes(t, "no tag", told(func(b []byte) []byte { b[len(b)-1] = 0xff; return b }), "the aggregator's tag is none", 0, 1, 2)
	outcomes(t, "nothing", told(func([]byte) []byte { return nil }), "the aggregator's total of", 0, 1, 2)
	outcomes(t, "too long", told(func(b []byte) []byte { return append(b, 0) }), "the aggregator's total of", 0, 1, 2)
	outcomes(t, "zeros", told(func(b []byte) []byte { clear(b); return b }), rejected, 0, 1, 2)

	bodies := map[int][]byte{}
	for _, m := range p.run(t, simontest.Options{Seed: 8}).Messages {
		if m.To == 3 {
			bodies[m.From] = m.Body
		}
	}
	for name, bend := range map[string]func(from int, b []byte) []byte{
		"dropped": func(from int, b []byte) []byte {
			if from == 1 {
				clear(b[15:])
			}
			return b
		},
		"doubled": func(from int, b []byte) []byte {
			if from == 1 {
				return bodies[2]
			}
			return b
		},
	} {
		_, errs := lied(t, p, rewritten(func(m simontest.Message) []byte {
			if m.To == 3 {
				return bend(m.From, slices.Clone(m.Body))
			}
			return m.Body
		}))
		outcomes(t, name, errs, rejected, 0, 1, 2)
		public(t, name, errs)
	}
}

// TestPartiesThatLieToTheAggregator: what cannot be added up is an error that names its sender.
func TestPartiesThatLieToTheAggregator(t *testing.T) {
	p := prepare(t, simon.SecureSum(), "", []string{"3", "4", "5"})
	for name, bend := range map[string]func(b []byte) []byte{
		"nothing": func([]byte) []byte { return nil }, "end": func([]byte) []byte { return []byte{0} }, "short": func(b []byte) []byte { return b[:len(b)-8] },
		"long": func(b []byte) []byte { return append(b, 0) }, "last": func(b []byte) []byte { b[0] = 1; return b }, "kind": func(b []byte) []byte { b[0] = 9; return b },
		"fields": func(b []byte) []byte { b[1] = 0xff; return b }, "limbs": func(b []byte) []byte { b[3] = 0xff; return b }, "count": func(b []byte) []byte { b[5] = 0xff; return b },
		"no tag": func(b []byte) []byte { b[len(b)-1] = 0xff; return b },
	} {
		for _, from := range []int{0, 1} {
			o := withAggregator(3)
			o.Rewrite = func(m simontest.Message) []byte {
				if m.To == 3 && m.From == from {
					return bend(slices.Clone(m.Body))
				}
				return m.Body
			}
			r := simontest.Run(t, 3, o, p.part)
			if err := r.Errs[3]; err == nil || !strings.Contains(err.Error(), fmt.Sprintf("seat %d", from)) && !strings.Contains(err.Error(), "seat 0") {
				t.Errorf("%s of seat %d: %v", name, from, err)
			}
			public(t, name, r.Errs)
		}
	}
	for name, key := range map[string][]byte{"short": make([]byte, 31), "none": nil} {
		o := withAggregator(3)
		o.Rewrite = func(m simontest.Message) []byte {
			if m.Label.Vector == "common key" && m.To == 1 {
				return key
			}
			return m.Body
		}
		if r := simontest.Run(t, 3, o, p.part); r.Errs[1] == nil || !strings.Contains(r.Errs[1].Error(), "the common key of seat 0") {
			t.Errorf("%s key: %v", name, r.Errs[1])
		}
	}
	o := withAggregator(3)
	o.Rewrite = func(m simontest.Message) []byte { // two keys
		if m.Label.Vector == "common key" && m.To == 1 {
			return bytes.Repeat([]byte{7}, 32)
		}
		return m.Body
	}
	r := simontest.Run(t, 3, o, p.part)
	if err := r.Err(); err == nil || !strings.Contains(err.Error(), "is not that of the parties' vectors") {
		t.Errorf("two keys: %v", err)
	}
	for seat, role := range map[int]string{1: "is a party", 3: ""} {
		r := simontest.Run(t, 3, simontest.Options{Roles: map[simon.Role]int{simon.Aggregator: seat}}, p.part)
		if err := r.Errs[0]; (role == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), role) {
			t.Errorf("seat %d aggregates: %v", seat, err)
		}
	}
}

// FuzzAddUp: whatever the parties send, an aggregator ends with an error or goes on.
func FuzzAddUp(f *testing.F) {
	f.Add([]byte{0}, []byte{0})
	f.Add([]byte{1, 0, 1, 0, 1, 0, 0, 0, 1}, []byte{2, 0, 0})
	f.Add([]byte{2, 0, 1, 0, 64, 0xff, 0xff, 0xff, 0xff}, []byte{2})
	f.Fuzz(func(_ *testing.T, a, b []byte) {
		_, _, _ = simon.AddUp([][]byte{a, b})
		_, _, _ = simon.AddUp([][]byte{a, a})
	})
}
