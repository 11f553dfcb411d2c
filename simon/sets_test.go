package simon_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	mathrand "math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/weftmpc/weft/simon"
	"github.com/weftmpc/weft/simon/psi"
	"github.com/weftmpc/weft/simon/simontest"
)

// playSets compares sets and returns each party's result.
func playSets(t testing.TB, m simon.Microprotocol, o simontest.Options, parameters string, data ...string) ([]string, *simontest.Record) {
	t.Helper()
	p := prepare(t, m, parameters, data)
	r := p.run(t, o)
	var results []string
	for seat, opened := range r.Results[:len(data)] {
		got, err := m.Finish(p.common, p.inputs[seat], opened)
		if err != nil {
			t.Fatal(err)
		}
		conforms(t, m, data[seat:seat+1], parameters, string(got))
		results = append(results, string(got))
	}
	return results, r
}

func numbered(from, to int) string {
	var b strings.Builder
	for i := from; i < to; i++ {
		fmt.Fprintf(&b, ",%d", i)
	}
	return "[" + strings.TrimPrefix(b.String(), ",") + "]"
}

func TestSetIntersection(t *testing.T) {
	for name, c := range map[string]struct{ data, want []string }{
		"some":                          {[]string{`["a","b","c"]`, `["c","x","a"]`}, []string{`["a","c"]`, `["c","a"]`}},
		"none":                          {[]string{`["a"]`, `["b"]`}, []string{`[]`, `[]`}},
		"empty":                         {[]string{`[]`, `["b"]`}, []string{`[]`, `[]`}},
		"both empty":                    {[]string{`[]`, `[[]]`}, []string{`[]`, `[]`}},
		"all":                           {[]string{`[3,1,2]`, `[1,2,3]`}, []string{`[3,1,2]`, `[1,2,3]`}},
		"one":                           {[]string{`"a"`, `["a"]`}, []string{`["a"]`, `["a"]`}},
		"duplicates count once":         {[]string{`["a","a","b","a"]`, `["b","b","a"]`}, []string{`["a","b"]`, `["b","a"]`}},
		"1 and its text":                {[]string{`[1,"1",true]`, `["1","true"]`}, []string{`["1"]`, `["1"]`}},
		"own spelling":                  {[]string{`["e\u0301", 2.0, "a"]`, `["\u00e9", 2, "A"]`}, []string{"[\"e\u0301\",2.0]", `["é",2]`}},
		"composite keys":                {[]string{`[[["a",1],["a","b"],["ab"]]]`, `[[["a",1.0],["a_b"],["ab",""],["a","b"]]]`}, []string{`[["a",1],["a","b"]]`, `[["a",1.0],["a","b"]]`}},
		"own sets are intersected":      {[]string{`[["a","b","c"],["c","b","b"],["x","c","b"]]`, `["c","b","a"]`}, []string{`["b","c"]`, `["c","b"]`}},
		"big integers":                  {[]string{`[9007199254740993]`, `[9007199254740992, 9007199254740993]`}, []string{`[9007199254740993]`, `[9007199254740993]`}},
		"three":                         {[]string{`["a","b","c"]`, `["c","x","b"]`, `["b","y","c","c"]`}, []string{`["b","c"]`, `["c","b"]`, `["b","c"]`}},
		"three, pairs only":             {[]string{`["a","b"]`, `["b","c"]`, `["c","a"]`}, []string{`[]`, `[]`, `[]`}},
		"three, one empty":              {[]string{`["a"]`, `["a"]`, `[]`}, []string{`[]`, `[]`, `[]`}},
		"more than the shortest list":   {[]string{numbered(0, 40), numbered(20, 50)}, []string{numbered(20, 40), numbered(20, 40)}},
		"three, more than the shortest": {[]string{numbered(0, 20), numbered(5, 30), numbered(10, 70)}, []string{numbered(10, 20), numbered(10, 20), numbered(10, 20)}},
	} {
		got, _ := playSets(t, simon.SetIntersection(), simontest.Options{Seed: 3}, "", c.data...)
		for i, want := range c.want {
			n := 0
			if want != "[]" {
				n = strings.Count(want, ",") + 1
			}
			if name == "composite keys" {
				n = 2
			}
			if want = fmt.Sprintf(`{"size_intersection":%d,"intersection":%s}`, n, want); got[i] != want {
				t.Errorf("%s: party %d has %s, want %s", name, i, got[i], want)
			}
		}
	}
}

func TestSetIntersectionSize(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{`["a","b","c"]`, `["c","x","a"]`, 2}, {`["a"]`, `["b"]`, 0}, {`[]`, `[]`, 0}, {`"a"`, `"a"`, 1},
		{`[1,"1",1.0]`, `["1",1]`, 2}, {numbered(0, 40), numbered(20, 90), 20}, {`[["a","b"],["b"]]`, `["a","b"]`, 1},
	} {
		got, _ := playSets(t, simon.SetIntersectionSize(), simontest.Options{Seed: 3}, "", c.a, c.b)
		if want := fmt.Sprintf(`{"size_intersection":%d}`, c.want); got[0] != want || got[1] != want {
			t.Errorf("%s and %s: %s", c.a, c.b, got)
		}
	}
}

// TestSetsAgree: whatever the sets of 2 to 7 parties are, each has what a comparison in the clear gives, in its own order.
func TestSetsAgree(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		n := rapid.SampledFrom([]int{2, 2, 3, 3, 4, 5, 7}).Draw(r, "parties")
		sets, data := make([][]int, n), make([]string, n)
		for i := range sets {
			sets[i] = rapid.SliceOfN(rapid.IntRange(0, 9), 0, 14).Draw(r, "set")
			b, err := json.Marshal(sets[i])
			if err != nil {
				r.Fatal(err)
			}
			data[i] = string(b)
		}
		got, _ := playSets(t, simon.SetIntersection(), simontest.Options{Seed: rapid.Uint64().Draw(r, "seed")}, `{"pad_to":16}`, data...)
		for i, own := range sets {
			want := []int{}
			for _, x := range own {
				everywhere := !slices.ContainsFunc(sets, func(s []int) bool { return !slices.Contains(s, x) })
				if everywhere && !slices.Contains(want, x) {
					want = append(want, x)
				}
			}
			var result struct {
				Size         int `json:"size_intersection"`
				Intersection []int
			}
			if err := json.Unmarshal([]byte(got[i]), &result); err != nil {
				r.Fatal(err)
			}
			if result.Size != len(want) || !slices.Equal(result.Intersection, want) {
				r.Fatalf("party %d of %v has %s", i, data, got[i])
			}
		}
	})
}

func TestSetsRefuse(t *testing.T) {
	for _, m := range []simon.Microprotocol{simon.SetIntersection(), simon.SetIntersectionSize()} {
		for _, c := range []struct{ data, parameters, path, reason string }{
			{`["a",["b"]]`, "", "data[1]", "is a list beside plain values"},
			{`[["b"],"a"]`, "", "data[1]", "is no list"},
			{`[1.5]`, "", "data[0]", "is a number with a fraction: give text, whole numbers, true or false"},
			{`[["a",2.5]]`, "", "data[0][1]", "is a number with a fraction: give text, whole numbers, true or false"},
			{`[null]`, "", "data[0]", "is null"},
			{`[{"a":1}]`, "", "data[0]", "is an object"},
			{`[[[["a"]]]]`, "", "data[0][0]", "is a list with a list in it"},
			{`[NaN]`, "", "data[0]", "is NaN"},
			{`["a"`, "", "data", "ends without its closing bracket"},
			{`["a",]`, "", "data", "is not valid JSON"},
			{`["a"] []`, "", "data", "has more text after the value"},
			{``, "", "data", "is missing"},
			{`["` + strings.Repeat("x", 4096) + `"]`, "", "data[0]", ""},
			{`[[["` + strings.Repeat("x", 2100) + `","` + strings.Repeat("x", 2100) + `"]]]`, "", "data[0][0]", "is longer than"},
			{`["a","b","c"]`, `{"max_elements":2}`, "data", "has more than 2 different elements: set max_elements at all parties"},
			{numbered(0, 17), `{"pad_to":16}`, "data", "has more than 16 different elements: set pad_to at all parties"},
			{`["a"]`, `{"pad_to":15}`, "parameters.pad_to", "must be an integer from 16 to 1048576"},
			{`["a"]`, `{"pad_to":32,"max_elements":3}`, "parameters.pad_to", "must not be more than max_elements"},
			{`["a"]`, `{"max_elements":1048577}`, "parameters.max_elements", "must be an integer from 1 to 1048576"},
		} {
			if path, reason := refusal(t, m, c.data, c.parameters); path != c.path || !strings.Contains(reason, c.reason) {
				t.Errorf("%.40s: %s: %s", c.data, path, reason)
			}
		}
		if path, _ := refusal(t, m, numbered(0, 65537), ""); path != "data" {
			t.Error(path)
		}
		g := simon.Guard{Elements: 100}
		if _, err := m.Prepare(strings.NewReader(`[1]`), json.RawMessage(`{"max_elements":101}`), g); err == nil || !strings.Contains(err.Error(), "at most 100: this party's policy") {
			t.Errorf("%s: %v", m.Name, err)
		}
		p, err := m.Prepare(strings.NewReader(`[1]`), nil, g)
		if err != nil || !strings.Contains(string(p.Parameters), `"max_elements":100,`) || m.Check(p.Parameters, g) != nil || m.Check(p.Parameters, simon.Guard{Elements: 99}) == nil {
			t.Errorf("%s: %s %v", m.Name, p.Parameters, err)
		}
	}
}

// TestSetsShowNoSizes: numbers and lengths of messages, and the reported progress, follow from the announced sizes alone.
func TestSetsShowNoSizes(t *testing.T) {
	for _, n := range []int{2, 3} {
		few, many := make([]string, n), make([]string, n)
		for i := range few {
			few[i], many[i] = numbered(i, i+1), numbered(0, 16)
		}
		_, a := playSets(t, simon.SetIntersection(), simontest.Options{Seed: 3}, "", few...)
		_, b := playSets(t, simon.SetIntersection(), simontest.Options{Seed: 3}, "", many...)
		if shape(a) != shape(b) || fmt.Sprint(a.Progress) != fmt.Sprint(b.Progress) {
			t.Errorf("%d parties: messages show how many elements there are:\n%v\n%v", n, shape(a), shape(b))
		}
		_, padded := playSets(t, simon.SetIntersection(), simontest.Options{Seed: 3}, `{"pad_to":16}`, few...)
		if slices.ContainsFunc(padded.Messages, func(m simontest.Message) bool { return m.Label.Vector == "bound" }) || len(padded.Messages) != len(a.Messages)-n*(n-1) {
			t.Errorf("%d parties: sizes are announced that all know", n)
		}
	}
}

// entries cuts a list.
func entries(list []byte, size int) [][]byte { return slices.Collect(slices.Chunk(list, size)) }

// TestReturnsAreShuffled: the list that comes back for a size is in an order that has nothing to do with the one in which it
// was sent. Alice draws the same in all runs, so her list is the same; bob does not. Alice has one element that bob has, too.
// Its place in what comes back is uniform over 16 (chi-squared with 15 degrees of freedom, below the quantile of 1e-7). So is the
// place of bob's element in the list that he sends, which for SetIntersection is seen in what alice returns.
func TestReturnsAreShuffled(t *testing.T) {
	const runs, places = 320, 16
	for name, c := range map[string]struct {
		m        simon.Microprotocol
		from, to int // of the list whose order counts
		label    string
		kind     simontest.Kind
	}{
		"returned for a size":   {simon.SetIntersectionSize(), 1, 0, "returned", simontest.Open},
		"sent for intersecting": {simon.SetIntersection(), 0, 1, "returned", simontest.Exchange},
	} {
		p := prepare(t, c.m, `{"pad_to":16}`, []string{numbered(0, 8), `["x","y",3,"z","u","v"]`})
		var counts [places]int
		var first []byte
		for run := range runs {
			r := simontest.MustRun(t, 2, simontest.Options{Seed: uint64(run)}, func(ctx context.Context, s simon.Session) ([]byte, error) {
				d := drawing{s, [32]byte{}, s.Rand()}
				if s.Self() == 0 {
					d.r = mathrand.NewChaCha8([32]byte{1})
				}
				return c.m.Run(ctx, d, p.common, p.inputs[s.Self()])
			})
			var list, other []byte
			for _, m := range r.Messages {
				switch {
				case m.Label.Vector == "elements" && m.From == 0:
					if first == nil {
						first = m.Body
					}
					if !bytes.Equal(first, m.Body) {
						t.Fatal("alice does not draw the same")
					}
				case m.Label.Vector == c.label && m.From == c.from:
					list = m.Body
				case m.Label.Vector == c.label:
					other = m.Body
				}
			}
			for place, h := range entries(list, psi.HashSize) {
				if slices.ContainsFunc(entries(other, psi.HashSize), func(o []byte) bool { return bytes.Equal(o, h) }) {
					counts[place]++
				}
			}
		}
		chi, expected := 0.0, float64(runs)/places
		total := 0
		for _, k := range counts {
			chi += math.Pow(float64(k)-expected, 2) / expected
			total += k
		}
		if total != runs || chi > 62 {
			t.Errorf("%s: %v: chi-squared %.1f", name, counts, chi)
		}
	}
}

// setLie is one body that is not as the protocol has it.
type setLie struct {
	vector string
	change func(body []byte) []byte
	want   string
}

func setLies() []setLie {
	identity, none := make([]byte, psi.PointSize), bytes.Repeat([]byte{0xff}, psi.PointSize)
	return []setLie{
		{"bound", func([]byte) []byte { return []byte{0, 0, 0, 17} }, "is no power of two"},
		{"bound", func([]byte) []byte { return []byte{0, 0, 0, 8} }, "is no power of two"},
		{"bound", func([]byte) []byte { return []byte{0, 16, 0, 0} }, "is more than the 65536 elements that were agreed"},
		{"bound", func(b []byte) []byte { return append(b, 0) }, "another number"},
		{"elements", func(b []byte) []byte { return append(b, b[:psi.PointSize]...) }, "another number of elements"},
		{"elements", func(b []byte) []byte { return b[psi.PointSize:] }, "another number of elements"},
		{"elements", func(b []byte) []byte { return slices.Concat(b[:psi.PointSize], b[:len(b)-psi.PointSize]) }, "has an element twice"},
		{"elements", func(b []byte) []byte { return slices.Concat(identity, b[psi.PointSize:]) }, "no canonical encoding"},
		{"elements", func(b []byte) []byte { return slices.Concat(b[psi.PointSize:], none) }, "no canonical encoding"},
		{"returned", func(b []byte) []byte { return b[1:] }, "another number of elements"},
		{"returned", func(b []byte) []byte { return append(b, b[:psi.HashSize]...) }, "another number of elements"},
		{"returned", func(b []byte) []byte { return slices.Concat(b[:psi.HashSize], b[:len(b)-psi.HashSize]) }, "has an element twice"},
		{"blinded elements", func(b []byte) []byte { return append(b, b[:psi.PointSize]...) }, "another number of elements"},
		{"blinded elements", func(b []byte) []byte { return slices.Concat(identity, b[psi.PointSize:]) }, "no canonical encoding"},
		{"blinded elements", func(b []byte) []byte { return slices.Concat(b[psi.PointSize:], none) }, "no canonical encoding"},
		{"blinded elements", func(b []byte) []byte { copy(b[2*psi.PointSize:], b[psi.PointSize:2*psi.PointSize]); return b }, "has an element twice"},
		{"answers to seat 0", func(b []byte) []byte { return nil }, "another number of elements"},
		{"answers to seat 0", func(b []byte) []byte { return slices.Concat(identity, b[psi.PointSize:]) }, "no canonical encoding"},
		{"answers to seat 0", func(b []byte) []byte { return slices.Concat(b[:psi.PointSize], b[:len(b)-psi.PointSize]) }, "has an element twice"},
		{"encoded 0", func(b []byte) []byte { return []byte{3} }, "is none"},
		{"stores 0", func(b []byte) []byte { return b[1:] }, "another number of elements"},
	}
}

// TestSetLies: what an honest party does not send ends the computation with an error that names who sent it.
func TestSetLies(t *testing.T) {
	for _, m := range []simon.Microprotocol{simon.SetIntersection(), simon.SetIntersectionSize()} {
		for _, n := range []int{2, 3} {
			data := []string{`["a","b"]`, `["b"]`, `["b","c"]`}[:n]
			p := prepare(t, m, "", data)
			told := 0
			for _, lie := range setLies() {
				lied := false
				r := simontest.Run(t, n, withHelpers(m, p.common, simontest.Options{Seed: 4, Rewrite: func(m simontest.Message) []byte {
					if m.From == 1 && m.To == 0 && m.Label.Vector == lie.vector {
						lied = true
						return lie.change(m.Body)
					}
					return m.Body
				}}), p.part)
				if !lied {
					continue
				}
				told++
				refused, ok := errors.AsType[*simon.SeatError](r.Errs[0])
				if !ok || refused.Seat != 1 || !strings.Contains(refused.Error(), lie.want) || !strings.Contains(refused.Error(), "seat 1") {
					t.Errorf("%s of %d, %s: %v", m.Name, n, lie.vector, r.Errs[0])
				}
				public(t, lie.vector, r.Errs)
			}
			want := map[int]int{2: 12, 3: 13}[n]
			if n == 3 && m.Name == "SetIntersectionSize" {
				want-- // stores go to the opener
			}
			if told != want {
				t.Errorf("%s of %d: %d lies were told, want %d", m.Name, n, told, want)
			}
		}
	}
}
