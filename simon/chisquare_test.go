package simon_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/weftmpc/weft/simon"
	"github.com/weftmpc/weft/simon/simontest"
)

// tableRows writes a table's samples as rows ["r<i>","c<j>"].
func tableRows(counts [][]int) []string {
	var rows []string
	for i, row := range counts {
		for j, count := range row {
			for range count {
				rows = append(rows, fmt.Sprintf(`["r%d","c%d"]`, i, j))
			}
		}
	}
	return rows
}

// tableLists are the categories of such rows as a parameter.
func tableLists(height, width int) string {
	var lists [2][]string
	for i := range height {
		lists[0] = append(lists[0], fmt.Sprintf(`"r%d"`, i))
	}
	for j := range width {
		lists[1] = append(lists[1], fmt.Sprintf(`"c%d"`, j))
	}
	return "[[" + strings.Join(lists[0], ",") + "],[" + strings.Join(lists[1], ",") + "]]"
}

// dealtOut gives the rows to n parties in turn.
func dealtOut(n int, rows []string) []string {
	parts := make([][]string, n)
	for i, row := range rows {
		parts[i*7%n] = append(parts[i*7%n], row)
	}
	data := make([]string, n)
	for i, p := range parts {
		data[i] = "[" + strings.Join(p, ",") + "]"
	}
	return data
}

// tableOfR reads data of R as counts.
func tableOfR(t testing.TB, r rFile) [][]int {
	var counts [][]int
	if err := json.Unmarshal([]byte(r.json(t, "data")), &counts); err != nil {
		t.Fatal(err)
	}
	return counts
}

// cell is a value of a result's table.
func cell(t testing.TB, result map[string]any, table string, i, j int) any {
	t.Helper()
	rows, _ := result[table].(map[string]any)
	row, _ := rows[fmt.Sprintf("r%d", i)].(map[string]any)
	v, ok := row[fmt.Sprintf("c%d", j)]
	if !ok {
		t.Fatalf("%s has no cell %d %d: %v", table, i, j, result)
	}
	return v
}

func TestChiSquareOfR(t *testing.T) {
	for _, c := range []struct {
		name, against, method string
		correct               bool
	}{
		{"chisq-2x2", "corrected", "Pearson's Chi-squared test with Yates' continuity correction", true},
		{"chisq-2x2", "uncorrected", "Pearson's Chi-squared test", false},
		{"chisq-2x2-even", "corrected", "Pearson's Chi-squared test with Yates' continuity correction", true},
		{"chisq-2x2-even", "uncorrected", "Pearson's Chi-squared test", false},
		{"chisq-3x3", "uncorrected", "Pearson's Chi-squared test", true},
	} {
		r := fromR(t, c.name)
		counts := tableOfR(t, r)
		for _, parameters := range []string{
			fmt.Sprintf(`{"correct":%v}`, c.correct),
			fmt.Sprintf(`{"correct":%v,"categories":%s}`, c.correct, tableLists(len(counts), len(counts[0]))),
		} {
			got := decoded(t, mustPlay(t, simon.ChiSquare(), parameters, dealtOut(3, tableRows(counts))...))
			if got["method"] != c.method {
				t.Errorf("%s: method %q", c.name, got["method"])
			}
			near(t, c.name+" statistic", got["statistic"], r.number(t, c.against, "statistic"), 14)
			near(t, c.name+" df", got["df"], r.number(t, c.against, "parameter"), 16)
			near(t, c.name+" p", got["p_value"], r.number(t, c.against, "p.value"), 13)
			near(t, c.name+" Cramér's V", got["cramers_v"], r.number(t, "cramers.v"), 13)
			for i := range counts {
				for j := range counts[i] {
					near(t, c.name+" expected", cell(t, got, "expected", i, j), r.number(t, "expected", i, j), 14)
					near(t, c.name+" residual", cell(t, got, "residuals", i, j), r.number(t, "residuals", i, j), 12)
				}
			}
		}
	}
}

func TestGoodnessOfFitOfR(t *testing.T) {
	r := fromR(t, "chisq-gof")
	var rows, categories []string
	for i := range r.length(t, "data") {
		categories = append(categories, fmt.Sprint(i))
		n, _ := r.number(t, "data", i).Int64()
		for range n {
			rows = append(rows, fmt.Sprint(i))
		}
	}
	for k := range r.length(t, "tests") {
		parameters := []string{fmt.Sprintf(`{"categories":[%s],"probabilities":%s}`, strings.Join(categories, ","), r.json(t, "tests", k, "p"))}
		if k == 1 { // equal ones, the default
			parameters = append(parameters, fmt.Sprintf(`{"categories":[%s]}`, strings.Join(categories, ",")))
		}
		for _, p := range parameters {
			got := decoded(t, mustPlay(t, simon.ChiSquare(), p, dealtOut(2, rows)...))
			if got["method"] != "Chi-squared test for given probabilities" {
				t.Errorf("method %q", got["method"])
			}
			near(t, "statistic", got["statistic"], r.number(t, "tests", k, "statistic"), 14)
			near(t, "df", got["df"], r.number(t, "tests", k, "parameter"), 16)
			near(t, "p", got["p_value"], r.number(t, "tests", k, "p.value"), 13)
			for i, name := range categories {
				near(t, "expected", got["expected"].(map[string]any)[name], r.number(t, "tests", k, "expected", i), 14)
				near(t, "residual", got["residuals"].(map[string]any)[name], r.number(t, "tests", k, "residuals", i), 12)
			}
		}
	}
}

// The statistic is n times the sum of count²/(row·column), less n: another formula than the one in use, in fractions.
func TestChiSquareStatistic(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		height, width := rapid.IntRange(2, 4).Draw(rt, "height"), rapid.IntRange(2, 4).Draw(rt, "width")
		counts := make([][]int, height)
		rows, columns := make([]int64, height), make([]int64, width)
		n := int64(0)
		for i := range counts {
			counts[i] = make([]int, width)
			for j := range counts[i] {
				counts[i][j] = rapid.IntRange(0, 9).Draw(rt, "count")
				rows[i] += int64(counts[i][j])
				columns[j] += int64(counts[i][j])
				n += int64(counts[i][j])
			}
		}
		parameters := fmt.Sprintf(`{"correct":false,"categories":%s}`, tableLists(height, width))
		got, _, err := play(t, simon.ChiSquare(), simontest.Options{Seed: 1}, simon.Guard{}, split(rt, rapid.IntRange(2, 7).Draw(rt, "parties"), tableRows(counts)), parameters)
		if err != nil {
			rt.Fatal(err)
		}
		result := decoded(rt, got)
		for i := range counts {
			for j, count := range counts[i] {
				if !equalJSON(rt, cell(t, result, "observed", i, j), fmt.Sprint(count)) {
					rt.Fatalf("cell %d %d is not %d: %s", i, j, count, got)
				}
			}
		}
		if slices.Contains(rows, 0) || slices.Contains(columns, 0) {
			if result["statistic"] != nil || result["p_value"] != nil || result["expected"] != nil || result["cramers_v"] != nil {
				rt.Fatalf("a test in spite of an empty category: %s", got)
			}
			return
		}
		sum := new(big.Rat)
		for i := range counts {
			for j, count := range counts[i] {
				sum.Add(sum, big.NewRat(int64(count*count), rows[i]*columns[j]))
			}
		}
		sum.Sub(sum.Mul(sum, big.NewRat(n, 1)), big.NewRat(n, 1))
		want, _ := sum.Float64()
		if x, _ := result["statistic"].(json.Number).Float64(); x != want {
			rt.Fatalf("statistic %v, want %v", x, want)
		}
	})
}

func TestChiSquareWithoutTest(t *testing.T) {
	for _, c := range []struct{ parameters, data, want string }{
		{`{"categories":[["a","b"],["x","y"]]}`, `[["a","x"],["a","y"]]`, `{"samples":2,"method":"Pearson's Chi-squared test","statistic":null,"df":1,"p_value":null,` +
			`"observed":{"a":{"x":1,"y":1},"b":{"x":0,"y":0}},"expected":null,"residuals":null,"cramers_v":null,"phi":null,` +
			`"notes":{"statistic":"a category has no samples: leave it out of categories","p_value":"a category has no samples: leave it out of categories",` +
			`"expected":"there is no test","residuals":"there is no test","cramers_v":"a category has no samples: leave it out of categories","phi":"a category has no samples: leave it out of categories"}}`},
		{``, `[["a","x"],["a","y"]]`, `{"samples":2,"method":"Pearson's Chi-squared test","statistic":null,"df":0,"p_value":null,` +
			`"observed":{"a":{"x":1,"y":1}},"expected":null,"residuals":null,"cramers_v":null,` +
			`"notes":{"statistic":"it needs at least two categories on each side","p_value":"it needs at least two categories on each side",` +
			`"expected":"there is no test","residuals":"there is no test","cramers_v":"it needs at least two categories on each side"}}`},
		{``, `[]`, `{"samples":0,"method":"Pearson's Chi-squared test","statistic":null,"df":0,"p_value":null,"observed":{},"expected":null,"residuals":null,"cramers_v":null,` +
			`"notes":{"statistic":"there are no samples","p_value":"there are no samples","expected":"there is no test","residuals":"there is no test","cramers_v":"there are no samples"}}`},
		{`{"categories":["a","b"]}`, `[]`, `{"samples":0,"method":"Chi-squared test for given probabilities","statistic":null,"df":1,"p_value":null,"observed":{"a":0,"b":0},"expected":null,"residuals":null,` +
			`"notes":{"statistic":"there are no samples","p_value":"there are no samples","expected":"there is no test","residuals":"there is no test"}}`},
		// Independent to the last sample: no correction, and 0 is 0.
		{``, `[["a","x"],["a","y"],["b","x"],["b","y"]]`, `{"samples":4,"method":"Pearson's Chi-squared test","statistic":0,"df":1,"p_value":1,` +
			`"observed":{"a":{"x":1,"y":1},"b":{"x":1,"y":1}},"expected":{"a":{"x":1,"y":1},"b":{"x":1,"y":1}},"residuals":{"a":{"x":0,"y":0},"b":{"x":0,"y":0}},"cramers_v":0,"phi":0}`},
	} {
		if got := mustPlay(t, simon.ChiSquare(), c.parameters, c.data, "[]"); got != c.want {
			t.Errorf("%s with %s:\n%s, want\n%s", c.data, c.parameters, got, c.want)
		}
	}
	// Fully dependent, in either direction.
	for sign, data := range map[string]string{"1": `[["a","x"],["b","y"],["b","y"]]`, "-1": `[["a","y"],["b","x"]]`} {
		if got := decoded(t, mustPlay(t, simon.ChiSquare(), ``, data, "[]")); !equalJSON(t, got["phi"], sign) || !equalJSON(t, got["cramers_v"], "1") {
			t.Errorf("phi of %s: %v", data, got)
		}
	}
}

func TestChiSquareRefuses(t *testing.T) {
	long := make([]string, 200)
	for i := range long {
		long[i] = fmt.Sprint(i)
	}
	list := "[" + strings.Join(long, ",") + "]"
	for _, c := range [][4]string{
		{`["a"]`, ``, "data[0]", "list of 2"},
		{`[["a"]]`, ``, "data[0]", "fewer than 2"},
		{`[["a","b","c"]]`, ``, "data[0]", "more than 2"},
		{`[["a",1.5]]`, ``, "data[0][1]", "fraction"},
		{`[["a","z"]]`, `{"categories":[["a"],["b"]]}`, "data[0][1]", "no category"},
		{`[["a","b"]]`, `{"categories":["a","b"]}`, "data[0]", "no category"},
		{`["c"]`, `{"categories":["a","b"]}`, "data[0]", "no category"},
		{`[]`, `{"categories":[["a"],["b"],["c"]]}`, "parameters.categories", "two lists"},
		{`[]`, `{"categories":[["a"],[1.5]]}`, "parameters.categories", "index 1"},
		{`[]`, `{"categories":["a"]}`, "parameters.categories", "list of 2"},
		{`[]`, `{"categories":[` + list + `,` + list + `]}`, "parameters.categories", "40000 cells"},
		{`[]`, `{"probabilities":[0.5,0.5]}`, "parameters.probabilities", "needs one list"},
		{`[]`, `{"categories":[["a"],["b"]],"probabilities":[0.5,0.5]}`, "parameters.probabilities", "needs one list"},
		{`[]`, `{"categories":["a","b"],"probabilities":[0.5,0.25,0.25]}`, "parameters.probabilities", "3 numbers for 2"},
		{`[]`, `{"categories":["a","b"],"probabilities":[0.5,0.6]}`, "parameters.probabilities", "add up to 1"},
		{`[]`, `{"categories":["a","b"],"probabilities":[1,0]}`, "parameters.probabilities", "above 0"},
		{`[]`, `{"categories":["a","b"],"probabilities":"half"}`, "parameters.probabilities", "list"},
	} {
		path, reason := refusal(t, simon.ChiSquare(), c[0], c[1])
		if path != c[2] || !strings.Contains(reason, c[3]) {
			t.Errorf("%.60s with %.60s: %s: %s, want %s: …%s…", c[0], c[1], path, reason, c[2], c[3])
		}
	}
}

// R writes a list of one value as the value.
func TestListsOfOneCategory(t *testing.T) {
	for _, m := range []simon.Microprotocol{simon.StatisticsContingency(), simon.FisherExact()} {
		a := prepare(t, m, `{"categories":["a","b"]}`, []string{`[["a","b"]]`})
		b := prepare(t, m, `{"categories":[["a"],["b"]]}`, []string{`[["a","b"]]`})
		if !bytes.Equal(a.common.Parameters, b.common.Parameters) {
			t.Errorf("%s and %s", a.common.Parameters, b.common.Parameters)
		}
	}
}

// Private categories may make a larger table than is tested, as the parties see only then.
func TestPrivateTableIsTooLarge(t *testing.T) {
	var rows []string
	for i := range 150 {
		rows = append(rows, fmt.Sprintf(`[%d,%d]`, i, i))
	}
	_, _, err := play(t, simon.ChiSquare(), simontest.Options{}, simon.Guard{}, dealtOut(2, rows), ``)
	if outcome, ok := errors.AsType[*simon.OutcomeError](err); !ok || !strings.Contains(outcome.Reason, "22500 cells") {
		t.Errorf("%v, want an outcome", err)
	}
	if got := mustPlay(t, simon.StatisticsContingency(), ``, dealtOut(2, rows)...); !strings.Contains(got, `"149":{"0":0`) {
		t.Errorf("the table of the same rows: %.200s", got)
	}
}

func BenchmarkChiSquare(b *testing.B) {
	var rows []string
	for i := range 60_000 {
		rows = append(rows, fmt.Sprintf(`["r%d","c%d"]`, i%100, i*i/100%100))
	}
	p := prepare(b, simon.ChiSquare(), `{"categories":`+tableLists(100, 100)+`}`, dealtOut(2, rows))
	opened := p.run(b, simontest.Options{}).Results[0]
	for b.Loop() {
		result, err := p.m.Finish(p.common, p.inputs[0], opened)
		if err != nil || decoded(b, string(result))["statistic"] == nil {
			b.Fatalf("%.100s, %v", result, err)
		}
	}
}
