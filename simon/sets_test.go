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
		"surrogates":                    {[]string{`["\uD83D\uDE00","\\ud800","\ufffd","\""]`, `["😀","\\ud800","�","\u0022"]`}, []string{`["😀","\\ud800","�","\""]`, `["😀","\\ud800","�","\""]`}},
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
			{`["\ud800"]`, "", "data[0]", "is not valid JSON"},
			{`["\udc01\ud801"]`, "", "data[0]", "is not valid JSON"},
			{`["\ud800 \\ufffd"]`, "", "data[0]", "is not valid JSON"},
			{`["\ufffd\ud800\u0061"]`, "", "data[0]", "is not valid JSON"},
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
		m    simon.Microprotocol
		from int // who returns the list whose order counts
	}{
		"returned for a size":   {simon.SetIntersectionSize(), 1},
		"sent for intersecting": {simon.SetIntersection(), 0},
	} {
		p := prepare(t, c.m, `{"pad_to":16}`, []string{numbered(0, 8), `["x","y",3,"z","u","v"]`})
		var counts [places]int
		var first []byte
		var step string
		for run := range runs {
			r := simontest.MustRun(t, 2, simontest.Options{Seed: uint64(run)}, func(ctx context.Context, s simon.Session) ([]byte, error) {
				if s.Self() > 0 {
					return c.m.Run(ctx, drawing{s, [32]byte{}, s.Rand()}, p.common, p.inputs[s.Self()])
				}
				d := drawing{s, [32]byte{}, mathrand.NewChaCha8([32]byte{1})}
				return c.m.Run(ctx, &naming{d, &step}, p.common, p.inputs[0])
			})
			var sent, list, other []byte
			for _, m := range r.Messages {
				switch {
				case m.Label.Vector == "elements" && m.From == 0:
					if first == nil {
						first = m.Body
					}
					if !bytes.Equal(first, m.Body) {
						t.Fatal("alice does not draw the same")
					}
				case m.Label.Vector == "elements":
					sent = m.Body
				case m.Label.Vector == "returned" && m.From == 0:
					list = m.Body
				case m.Label.Vector == "returned":
					other = m.Body
				}
			}
			alice, err := psi.NewKeyed(mathrand.NewChaCha8([32]byte{1}), [32]byte{}, step)
			if err != nil {
				t.Fatal(err)
			}
			hashes, match, err := alice.Return(sent, places, 0, 1, func(int) error { return nil })
			if err != nil {
				t.Fatal(err)
			}
			in := psi.Common(other, match)
			if c.from == 0 { // the list is in bob's order
				if in = psi.Common(match, other); !bytes.Equal(list, hashes) {
					t.Fatal("alice does not return the list in the order in which it came")
				}
			}
			for place, both := range in {
				if both {
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

// naming keeps the name of the step in which lists are sent.
type naming struct {
	drawing
	name *string
}

func (s *naming) Call(name string) simon.Session {
	return &naming{s.drawing.Call(name).(drawing), s.name}
}
func (s *naming) Join(children ...simon.Session) { s.drawing.Join(children[0].(*naming).drawing) }
func (s *naming) Name(l simon.Label) []byte {
	name := s.drawing.Name(l)
	*s.name = string(name)
	return name
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
		{"blinded elements", func(b []byte) []byte { return slices.Concat(b[:len(b)-psi.PointSize], none) }, "no canonical encoding"},
		{"blinded elements", func(b []byte) []byte {
			return slices.Concat(b[:len(b)-psi.PointSize], b[len(b)-2*psi.PointSize:len(b)-psi.PointSize])
		}, "has an element twice"},
		{"blinded elements", func(b []byte) []byte { return slices.Concat(b[len(b)-psi.PointSize:], b[psi.PointSize:]) }, "no proof that its sender knows the key"},
		{"blinded elements", func(b []byte) []byte { b[psi.PointSize+psi.ProofSize-1] ^= 16; return b }, "no proof that its sender knows the key"},
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
			want := map[int]int{2: 12, 3: 15}[n]
			if n == 3 && m.Name == "SetIntersectionSize" {
				want-- // stores go to the opener
			}
			if told != want {
				t.Errorf("%s of %d: %d lies were told, want %d", m.Name, n, told, want)
			}
		}
	}
}

// TestSetsAreCapped: no list is longer than max_elements, whatever a party announces, and pad_to is not more.
func TestSetsAreCapped(t *testing.T) {
	for _, m := range []simon.Microprotocol{simon.SetIntersection(), simon.SetIntersectionSize()} {
		for most, want := range map[int]int{1: 1, 3: 3, 20: 20, 40: 20, 16: 16} {
			data := []string{numbered(0, min(most, 20)), numbered(0, min(most, 18))}
			if most == 40 {
				want = 32
			}
			_, r := playSets(t, m, simontest.Options{Seed: 2}, fmt.Sprintf(`{"max_elements":%d}`, most), data...)
			for _, msg := range r.Messages {
				if msg.Label.Vector == "elements" && len(msg.Body) != want*psi.PointSize {
					t.Errorf("%s of at most %d elements: a list of %d", m.Name, most, len(msg.Body)/psi.PointSize)
				}
			}
			p := prepare(t, m, fmt.Sprintf(`{"max_elements":%d}`, most), data)
			longer := simontest.Run(t, 2, simontest.Options{Rewrite: func(msg simontest.Message) []byte {
				if msg.Label.Vector == "bound" && msg.From == 1 {
					return []byte{0, 0, 0, 64}
				}
				return msg.Body
			}}, func(ctx context.Context, s simon.Session) ([]byte, error) {
				return m.Run(ctx, s, p.common, p.inputs[s.Self()])
			})
			if refused, ok := errors.AsType[*simon.SeatError](longer.Errs[0]); !ok || refused.Seat != 1 {
				t.Errorf("%s of at most %d elements, and 64 announced: %v", m.Name, most, longer.Errs[0])
			}
		}
		if path, _ := refusal(t, m, `[1]`, `{"max_elements":20,"pad_to":32}`); path != "parameters.pad_to" {
			t.Errorf("%s: pad_to is more than max_elements: %q", m.Name, path)
		}
	}
}

// TestReturnsAreNotEchoed: a party that returns what it was returned does not make the other believe that all is common.
func TestReturnsAreNotEchoed(t *testing.T) {
	for _, m := range []simon.Microprotocol{simon.SetIntersection(), simon.SetIntersectionSize()} {
		p := prepare(t, m, `{"pad_to":16}`, []string{numbered(0, 16), numbered(100, 116)})
		r := simontest.MustRun(t, 2, simontest.Options{Seed: 2}, func(ctx context.Context, s simon.Session) ([]byte, error) {
			return m.Run(ctx, echoing(s), p.common, p.inputs[s.Self()])
		})
		result, err := m.Finish(p.common, p.inputs[0], r.Results[0])
		if err != nil || !strings.HasPrefix(string(result), `{"size_intersection":0`) {
			t.Errorf("%s: %s %v", m.Name, result, err)
		}
	}
}

// echo is the session of an honest party, in seat 0, that receives its own returned list.
type echo struct{ simon.Session }

func echoing(s simon.Session) simon.Session {
	if s.Self() > 0 {
		return s
	}
	return echo{s}
}

func (e echo) Call(name string) simon.Session { return echo{e.Session.Call(name)} }
func (e echo) Join(children ...simon.Session) { e.Session.Join(children[0].(echo).Session) }
func (e echo) Exchange(ctx context.Context, from []int, l simon.Label, body []byte) ([][]byte, error) {
	return echoed(l, body)(e.Session.Exchange(ctx, from, l, body))
}
func (e echo) Open(ctx context.Context, l simon.Label, body []byte) ([][]byte, error) {
	return echoed(l, body)(e.Session.Open(ctx, l, body))
}

func echoed(l simon.Label, body []byte) func([][]byte, error) ([][]byte, error) {
	return func(bodies [][]byte, err error) ([][]byte, error) {
		if err == nil && l.Vector == "returned" {
			bodies[1] = slices.Clone(body)
		}
		return bodies, err
	}
}
