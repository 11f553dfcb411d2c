package simon_test

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/weftmpc/weft/simon"
	"github.com/weftmpc/weft/simon/simontest"
)

func TestFisherOfR(t *testing.T) {
	for _, name := range []string{"fisher-tea", "fisher-skewed", "fisher-zero"} {
		r := fromR(t, name)
		counts := tableOfR(t, r)
		for k := range r.length(t, "tests") {
			alternative := r.at(t, "tests", k, "alternative").(string)
			for _, categories := range []string{"", `,"categories":` + tableLists(2, 2)} {
				got := decoded(t, mustPlay(t, simon.FisherExact(), fmt.Sprintf(`{"alternative":%q%s}`, alternative, categories), dealtOut(3, tableRows(counts))...))
				what := name + " " + alternative
				near(t, what+" p", got["p_value"], r.number(t, "tests", k, "p.value"), 13)
				near(t, what+" estimate", got["estimate"], r.number(t, "tests", k, "estimate"), 12)
				near(t, what+" estimate of uniroot", got["estimate"], r.number(t, "tests", k, "r.estimate"), 4)
				for i, limit := range got["conf_int"].([]any) {
					near(t, what+" limit", limit, r.number(t, "tests", k, "conf.int", i), 12)
					near(t, what+" limit of uniroot", limit, r.number(t, "tests", k, "r.conf.int", i), 2)
				}
				if got["method"] != "Fisher's Exact Test for Count Data" || got["alternative"] != alternative {
					t.Errorf("%s: %v", what, got)
				}
			}
		}
	}
	r := fromR(t, "fisher-job")
	got := decoded(t, mustPlay(t, simon.FisherExact(), ``, dealtOut(3, tableRows(tableOfR(t, r)))...))
	near(t, "p of job satisfaction", got["p_value"], "0.78268493896639476", 16)
	near(t, "p of job satisfaction in R", got["p_value"], r.number(t, "p.value"), 11)
}

func TestFisherInWords(t *testing.T) {
	repeat := func(n int, row string) string { return strings.TrimSuffix(strings.Repeat(row+",", n), ",") }
	for _, c := range []struct {
		name, parameters string
		data             []string
		want             string
	}{
		// The limits of the first two are the roots of ω²+4ω = 1/39 and 39ω²-4ω = 1.
		{"no association", ``, []string{`[["a","x"],["a","y"]]`, `[["b","x"],["b","y"]]`},
			`{"samples":4,"method":"Fisher's Exact Test for Count Data","p_value":1,"estimate":1,"conf_int":[0.006400016357911028,156.24960063795854],"conf_level":0.95,"odds_ratio":1,"alternative":"two.sided","null_value":1,"observed":{"a":{"x":1,"y":1},"b":{"x":1,"y":1}}}`},
		{"infinite", `{"categories":[["a","b"],["x","y"]]}`, []string{"[" + repeat(2, `["a","x"]`) + "]", "[" + repeat(2, `["b","y"]`) + "]"},
			`{"samples":4,"method":"Fisher's Exact Test for Count Data","p_value":0.3333333333333333,"estimate":null,"conf_int":[0.21942150062312823,null],"conf_level":0.95,"odds_ratio":null,"alternative":"two.sided","null_value":1,` +
				`"observed":{"a":{"x":2,"y":0},"b":{"x":0,"y":2}},"notes":{"estimate":"it is infinite","conf_int[1]":"it is infinite","odds_ratio":"it is infinite"}}`},
		{"an empty category", `{"categories":[["a","b"],["x","y"]]}`, []string{`[["a","x"]]`, `[["a","y"]]`},
			`{"samples":2,"method":"Fisher's Exact Test for Count Data","p_value":1,"estimate":null,"conf_int":[0,null],"conf_level":0.95,"odds_ratio":null,"alternative":"two.sided","null_value":1,` +
				`"observed":{"a":{"x":1,"y":1},"b":{"x":0,"y":0}},"notes":{"estimate":"a category has no samples: every odds ratio is equally likely","conf_int[1]":"it is infinite","odds_ratio":"it is 0/0"}}`},
		{"nothing", ``, []string{`[]`, `[]`},
			`{"samples":0,"method":"Fisher's Exact Test for Count Data","p_value":null,"estimate":null,"conf_int":null,"conf_level":0.95,"odds_ratio":null,"alternative":"two.sided","null_value":1,"observed":{},` +
				`"notes":{"p_value":"there are no samples","estimate":"there are no samples","conf_int":"there are no samples","odds_ratio":"there are no samples"}}`},
		{"one category", ``, []string{`[["a","x"]]`, `[["a","y"]]`},
			`{"samples":2,"method":"Fisher's Exact Test for Count Data","p_value":null,"estimate":null,"conf_int":null,"conf_level":0.95,"odds_ratio":null,"alternative":"two.sided","null_value":1,"observed":{"a":{"x":1,"y":1}},` +
				`"notes":{"p_value":"it needs at least two categories on each side","estimate":"there is one odds ratio for two by two categories only","conf_int":"there is one odds ratio for two by two categories only","odds_ratio":"there is one odds ratio for two by two categories only"}}`},
		{"one-sided, three categories", `{"alternative":"less"}`, []string{`[["a","x"],["c","x"]]`, `[["b","y"]]`},
			`{"samples":3,"method":"Fisher's Exact Test for Count Data","p_value":null,"estimate":null,"conf_int":null,"conf_level":0.95,"odds_ratio":null,"alternative":"less","null_value":1,"observed":{"a":{"x":1,"y":0},"b":{"x":0,"y":1},"c":{"x":1,"y":0}},` +
				`"notes":{"p_value":"there are one-sided alternatives for two by two categories only","estimate":"there is one odds ratio for two by two categories only","conf_int":"there is one odds ratio for two by two categories only","odds_ratio":"there is one odds ratio for two by two categories only"}}`},
	} {
		if got := mustPlay(t, simon.FisherExact(), c.parameters, c.data...); got != c.want {
			t.Errorf("%s:\n%s, want\n%s", c.name, got, c.want)
		}
	}
}

// Whoever holds which rows, the result has the same bytes.
func TestFisherDoesNotDependOnThePartition(t *testing.T) {
	checkSome(t, 40, func(rt *rapid.T) {
		height, width := rapid.IntRange(1, 3).Draw(rt, "height"), rapid.IntRange(1, 3).Draw(rt, "width")
		counts := make([][]int, height)
		for i := range counts {
			counts[i] = rapid.SliceOfN(rapid.IntRange(0, 8), width, width).Draw(rt, "counts")
		}
		want := ""
		for _, parties := range []int{2, rapid.IntRange(2, 7).Draw(rt, "parties")} {
			got, _, err := play(t, simon.FisherExact(), simontest.Options{Seed: 4}, simon.Guard{}, split(rt, parties, tableRows(counts)), `{"conf_level":0.9}`)
			if err != nil {
				rt.Fatal(err)
			}
			if want != "" && got != want {
				rt.Fatalf("%s and %s", got, want)
			}
			want = got
		}
	})
}

func TestFisherBounds(t *testing.T) {
	// Nine by nine with many samples: more tables than anybody counts.
	counts := make([][]int, 9)
	for i := range counts {
		counts[i] = make([]int, 9)
		for j := range counts[i] {
			counts[i][j] = 5 + (i*j)%3
		}
	}
	got := decoded(t, mustPlay(t, simon.FisherExact(), ``, dealtOut(2, tableRows(counts))...))
	if got["p_value"] != nil || got["notes"].(map[string]any)["p_value"] != "there are too many tables with these margins: use ChiSquare" {
		t.Errorf("p-value %v, notes %v", got["p_value"], got["notes"])
	}
	for _, c := range [][4]string{
		{`[["a","b"]]`, `{"alternative":"two-sided"}`, "parameters.alternative", "two.sided"},
		{`[["a","b"]]`, `{"conf_level":1}`, "parameters.conf_level", "between 0 and 1"},
		{`[["a","z"]]`, `{"categories":[["a"],["b"]]}`, "data[0][1]", "no category"},
	} {
		if path, reason := refusal(t, simon.FisherExact(), c[0], c[1]); path != c[2] || !strings.Contains(reason, c[3]) {
			t.Errorf("%s with %s: %s: %s", c[0], c[1], path, reason)
		}
	}
}
