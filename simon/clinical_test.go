package simon_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/weftmpc/weft/simon"
	"github.com/weftmpc/weft/simon/simontest"
)

// A patient of a made-up trial: months until death or until the end of the observation, arm, toxicity of grade 3 or 4, and
// a score for the quality of life.
type patient struct {
	months   int
	died     bool
	arm      string
	toxicity string
	score    float64
}

// Two hospitals with 24 patients each. Neither shows a patient to the other.
var munich = []patient{
	{3, true, "new", "yes", 52}, {5, true, "new", "no", 61.5}, {8, false, "new", "no", 70}, {11, true, "new", "yes", 58},
	{14, true, "new", "no", 66.5}, {17, true, "new", "no", 73}, {19, false, "new", "yes", 64}, {21, true, "new", "no", 69.5},
	{24, true, "new", "no", 75}, {27, false, "new", "no", 71.5}, {30, false, "new", "yes", 62}, {33, true, "new", "no", 68},
	{2, true, "standard", "no", 49}, {4, true, "standard", "no", 55.5}, {6, true, "standard", "yes", 47}, {7, true, "standard", "no", 58},
	{9, true, "standard", "no", 60.5}, {12, true, "standard", "no", 63}, {13, false, "standard", "no", 57}, {16, true, "standard", "yes", 51.5},
	{18, true, "standard", "no", 65}, {20, true, "standard", "no", 54}, {23, false, "standard", "no", 61}, {26, true, "standard", "no", 59.5},
}

var rome = []patient{
	{4, true, "new", "yes", 57}, {7, false, "new", "yes", 60.5}, {10, true, "new", "no", 72}, {12, true, "new", "no", 65},
	{16, false, "new", "yes", 59.5}, {18, true, "new", "no", 70.5}, {20, true, "new", "yes", 63}, {22, false, "new", "no", 74},
	{25, true, "new", "no", 67.5}, {28, true, "new", "no", 76}, {31, false, "new", "yes", 66}, {36, false, "new", "no", 71},
	{1, true, "standard", "yes", 45}, {3, true, "standard", "no", 50.5}, {5, true, "standard", "no", 56}, {8, true, "standard", "no", 53.5},
	{10, true, "standard", "no", 62}, {11, true, "standard", "no", 59}, {14, true, "standard", "no", 48.5}, {15, false, "standard", "yes", 52},
	{17, true, "standard", "no", 64}, {19, true, "standard", "no", 55}, {22, true, "standard", "no", 60}, {29, false, "standard", "no", 66.5},
}

// The columns of the four analyses.
func survivalOf(p patient) []any { return []any{p.months, p.died, p.arm} }
func toxicityOf(p patient) []any { return []any{p.arm, p.toxicity} }
func scoreOf(p patient) []any    { return []any{p.score, p.arm} }

// TestClinicalStudy: what two hospitals find out together is what R finds in one list of all patients.
func TestClinicalStudy(t *testing.T) {
	analyse := func(m simon.Microprotocol, columns func(patient) []any, parameters string) map[string]any {
		t.Helper()
		var data []string
		for _, hospital := range [][]patient{munich, rome} {
			var rows []any
			for _, p := range hospital {
				rows = append(rows, columns(p))
			}
			b, err := json.Marshal(rows)
			if err != nil {
				t.Fatal(err)
			}
			data = append(data, string(b))
		}
		// Each hospital's policy wants 30 patients in the pool before anything of them is opened.
		text, _, err := play(t, m, simontest.Options{Seed: 24}, simon.Guard{Samples: 30, Contributors: 2}, data, parameters)
		if err != nil {
			t.Fatalf("%s: %v", m.Name, err)
		}
		conforms(t, m, data, parameters, text)
		result := decoded(t, text)
		near(t, m.Name+": patients", result["samples"], "48", 16)
		return result
	}
	check := func(result map[string]any, want json.Number, path ...any) {
		t.Helper()
		near(t, fmt.Sprintf("%v", path), member(t, result, path...), want, 12)
	}
	months := list(37) // 0 to 36

	// survfit(Surv(months, died) ~ arm, conf.type = "log-log")
	curves := analyse(simon.KaplanMeier(), survivalOf, `{"groups":["new","standard"],"times":`+months+`}`)
	for arm, want := range [][]json.Number{
		{"15", "21", "14", "33", "17", "0.736842105263158", "0.0926805670849443", "0.504292364296607", "0.872648252624471"},
		{"20", "13", "7", "18", "13", "0.5", "0.1020620726159658", "0.290977101041173", "0.677608919980369"},
	} {
		check(curves, "24", "groups", arm, "samples")
		check(curves, want[0], "groups", arm, "events")
		check(curves, want[1], "groups", arm, "median") // of the standard arm: survival is 0.5 from 12 to 14 months
		check(curves, want[2], "groups", arm, "median_conf_int", 0)
		check(curves, want[3], "groups", arm, "median_conf_int", 1)
		for i, row := range member(t, curves, "groups", arm, "table").([]any) {
			if row.(map[string]any)["time"] == json.Number("12") { // survival at one year
				check(curves, want[4], "groups", arm, "table", i, "n_risk")
				check(curves, want[5], "groups", arm, "table", i, "survival")
				check(curves, want[6], "groups", arm, "table", i, "std_error")
				check(curves, want[7], "groups", arm, "table", i, "conf_int", 0)
				check(curves, want[8], "groups", arm, "table", i, "conf_int", 1)
			}
		}
	}

	// survdiff(Surv(months, died) ~ arm)
	survival := analyse(simon.LogRank(), survivalOf, `{"groups":["new","standard"],"times":`+months+`}`)
	check(survival, "5.79833701401598", "statistic")
	check(survival, "0.0160413395463364", "p_value")
	check(survival, "21.6623134081152", "groups", 0, "expected")

	// fisher.test(table(arm, toxicity))
	toxicity := analyse(simon.FisherExact(), toxicityOf, `{"categories":[["new","standard"],["yes","no"]]}`)
	check(toxicity, "0.193019439588996", "p_value")
	check(toxicity, "9", "observed", "new", "yes")

	// t.test(score ~ arm)
	score := analyse(simon.TTest(), scoreOf, `{"groups":["new","standard"]}`)
	check(score, "5.68119556461619", "statistic")
	check(score, "45.8701345572319", "df")
	check(score, "8.75145341605688e-07", "p_value")
	check(score, "6.4566447799271", "conf_int", 0)
	check(score, "13.5433552200729", "conf_int", 1)
}
