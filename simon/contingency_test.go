package simon_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/weftmpc/weft/simon"
	"github.com/weftmpc/weft/simon/simontest"
)

func TestContingency(t *testing.T) {
	m := simon.StatisticsContingency()
	rapid.Check(t, func(rt *rapid.T) {
		type pair struct{ a, b spelling }
		given := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) pair {
			small := spellings[:16] // none beyond 2^53, which parameters cannot hold
			return pair{rapid.SampledFrom(small).Draw(rt, "a"), rapid.SampledFrom(small).Draw(rt, "b")}
		}), 1, 40).Draw(rt, "given")
		var first, second []spelling
		var rows []string
		for _, p := range given {
			first, second = append(first, p.a), append(second, p.b)
			rows = append(rows, "["+p.a.json+", "+p.b.json+"]")
		}
		first, second = listOf(first), listOf(second)
		table := map[string]map[string]int{}
		var mode pair
		most := 0
		for _, a := range first {
			row := map[string]int{}
			for _, b := range second {
				n := 0
				for _, p := range given {
					if p.a.same(a) && p.b.same(b) {
						n++
					}
				}
				row[b.label(second)] = n
				if n > most || n == most && n > 0 && cmp.Or(a.before(mode.a), b.before(mode.b)) < 0 {
					most, mode = n, pair{a, b}
				}
			}
			table[a.label(first)] = row
		}
		want, err := json.Marshal(table)
		if err != nil {
			rt.Fatal(err)
		}
		n := rapid.IntRange(2, 7).Draw(rt, "parties")
		for _, parameters := range []string{`{"max_categories":40}`, `{"categories":[` + jsonList(first) + `,` + jsonList(second) + `]}`} {
			got, _, err := play(t, m, simontest.Options{Seed: 2}, simon.Guard{}, split(rt, n, rows), parameters)
			if err != nil {
				rt.Fatal(err)
			}
			result := decoded(rt, got)
			if !equalJSON(rt, result["table"], string(want)) || !equalJSON(rt, result["samples"], fmt.Sprint(len(given))) {
				rt.Fatalf("%s: %s, want %s", parameters, got, want)
			}
			if !equalJSON(rt, result["mode"], "["+mode.a.canonical()+","+mode.b.canonical()+"]") {
				rt.Fatalf("mode of %s, want %v", got, mode)
			}
		}
	})
}

func TestContingencyInWords(t *testing.T) {
	for _, c := range []struct {
		name, parameters string
		data             []string
		want             string
	}{
		{"underscores", ``, []string{`[["a_b","c"]]`, `[["a","b_c"],["a","b_c"]]`},
			`{"samples":3,"mode":["a","b_c"],"table":{"a":{"b_c":2,"c":0},"a_b":{"b_c":0,"c":1}}}`},
		{"a tie", ``, []string{`[["b","c"]]`, `[["a","d"]]`}, `{"samples":2,"mode":["a","d"],"table":{"a":{"c":0,"d":1},"b":{"c":1,"d":0}}}`},
		{"zeros of listed categories", `{"categories":[["a","b"],[true,1]]}`, []string{`[["a",1]]`, `[]`},
			`{"samples":1,"mode":["a",1],"table":{"a":{"true":0,"1":1},"b":{"true":0,"1":0}}}`},
		{"nothing, private", ``, []string{`[]`, `[]`}, `{"samples":0,"mode":null,"table":{},"notes":{"mode":"there are no samples"}}`},
		{"nothing, public", `{"categories":[["a"],["b"]]}`, []string{`[]`, `[]`}, `{"samples":0,"mode":null,"table":{"a":{"b":0}},"notes":{"mode":"there are no samples"}}`},
	} {
		if got := mustPlay(t, simon.StatisticsContingency(), c.parameters, c.data...); got != c.want {
			t.Errorf("%s:\n%s, want\n%s", c.name, got, c.want)
		}
	}
}
