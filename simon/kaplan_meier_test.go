package simon_test

import (
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/weftmpc/weft/simon"
	"github.com/weftmpc/weft/simon/special"
)

func TestKaplanMeierAgreesWithR(t *testing.T) {
	const digits = 12
	for name, groups := range map[string]string{"lung-sex": `"groups":[1,2]`, "lung-ecog": `"groups":[0,1,2]`} {
		r := fromR(t, name)
		rows, times := lungRows(t, r)
		for _, parameters := range []string{`{` + groups + `}`, `{` + groups + `,"times":` + times + `}`} {
			data := dealt(rows, 3)
			text := mustPlay(t, simon.KaplanMeier(), parameters, data...)
			conforms(t, simon.KaplanMeier(), data, parameters, text)
			got := decoded(t, text)
			near(t, "samples", got["samples"], json.Number(fmt.Sprint(len(rows))), 16)
			at := 0
			for g := range r.length(t, "groups") {
				group := follow(t, got, "groups", g)
				check := func(what string, got any, path ...any) {
					t.Helper()
					near(t, fmt.Sprintf("%s, group %d: %s", name, g, what), got, r.number(t, path...), digits)
				}
				if label := fmt.Sprint(follow(t, group, "group")); label != r.at(t, "groups", g, "group") {
					t.Fatalf("group %d is %s", g, label)
				}
				check("samples", follow(t, group, "samples"), "groups", g, "n")
				check("events", follow(t, group, "events"), "groups", g, "events")
				check("median", follow(t, group, "median"), "groups", g, "median")
				lower, upper := pairOf(follow(t, group, "median_conf_int"))
				check("lower limit of the median", lower, "groups", g, "lower")
				check("upper limit of the median", upper, "groups", g, "upper")
				table := follow(t, group, "table").([]any)
				for _, row := range table {
					if r.at(t, "curve", at, 0) != r.at(t, "groups", g, "group") {
						t.Fatalf("%s: group %d has %d rows in all", name, g, len(table))
					}
					for column, field := range map[int]string{1: "time", 2: "n_risk", 3: "n_event", 4: "n_censor", 5: "survival", 6: "std_error"} {
						check(fmt.Sprintf("%s of row %d", field, at), follow(t, row, field), "curve", at, column)
					}
					for column, field := range map[int]string{10: "conf_int", 12: "conf_int_plain"} {
						lower, upper := pairOf(follow(t, row, field))
						check(fmt.Sprintf("%s of row %d, lower", field, at), lower, "curve", at, column)
						check(fmt.Sprintf("%s of row %d, upper", field, at), upper, "curve", at, column+1)
					}
					at++
				}
			}
			if at != r.length(t, "curve") {
				t.Errorf("%s: %d rows, R has %d", name, at, r.length(t, "curve"))
			}
		}
	}
}

// R's quantile.survfit, survival 3.5-3, for curves that are at 1/2 for a while, that end above it, and that fall to 0.
func TestKaplanMeierMedian(t *testing.T) {
	for data, want := range map[string]string{
		`[[1,1],[2,1],[3,1],[4,1]]`:                               `2.5 [1,null]`,
		`[[1,1],[2,1],[3,0],[4,0]]`:                               `3 [1,null]`,
		`[[1,1],[2,1],[3,0],[4,1]]`:                               `3 [1,null]`,
		`[[1,0],[2,0],[3,0],[4,0]]`:                               `null [null,null]`,
		`[[1,1],[1,1],[1,1],[1,1]]`:                               `1 [null,null]`,
		`[[0,1],[0,0],[1,1],[2,1],[3,1],[4,0]]`:                   `2 [0,null]`,
		`[[1,0],[2,1],[3,1],[4,0],[5,0],[6,1],[7,0],[8,0]]`:       `6 [2,null]`,
		`[[0.1,1],[0.2,1],[0.3,1],[0.4,1],[0.5,1],[0.6,1]]`:       `0.35 [0.1,null]`,
		`[[1,1],[2,1],[3,1],[4,1],[5,1],[6,1],[7,1],[8,1],[9,1]]`: `5 [1,8]`,
	} {
		text := mustPlay(t, simon.KaplanMeier(), `{}`, data, `[]`, `[]`)
		group := follow(t, decoded(t, text), "groups", 0)
		if _, there := group.(map[string]any)["group"]; there {
			t.Errorf("%s has a group", data)
		}
		interval, err := json.Marshal(follow(t, group, "median_conf_int"))
		if err != nil {
			t.Fatal(err)
		}
		median := "null"
		if m := follow(t, group, "median"); m != nil {
			median = fmt.Sprint(m)
		}
		if got := median + " " + string(interval); got != want {
			t.Errorf("%s: %s, want %s", data, got, want)
		}
	}
}

// TestKaplanMeierIsThatOfThePool computes the curves again, patient by patient and in fractions.
func TestKaplanMeierIsThatOfThePool(t *testing.T) {
	z := special.NormalQuantile(special.FromRat(big.NewRat(19, 20)))
	checkSome(t, 40, func(rt *rapid.T) {
		all := subjects(rt)
		grid := rapid.Bool().Draw(rt, "grid")
		parameters := `{` + testGroupList + `,"conf_level":0.9}`
		if grid {
			parameters = `{` + testGroupList + `,"conf_level":0.9,` + testGrid + `}`
		}
		got := played(rt, t, simon.KaplanMeier(), 3, parameters, all)
		if grid {
			for i := range all {
				all[i] = upGrid(all[i])
			}
		}
		same(rt, "samples", got["samples"], big.NewRat(int64(len(all)), 1))
		for g := range testGroups {
			var own []aSubject
			for _, s := range all {
				if s.group == g {
					own = append(own, s)
				}
			}
			checkCurve(rt, t, follow(t, got, "groups", g), own, z)
		}
	})
}

func checkCurve(rt *rapid.T, t *testing.T, group any, own []aSubject, z *big.Float) {
	survival, greenwood := big.NewRat(1, 1), new(big.Rat)
	table := follow(t, group, "table").([]any)
	events := int64(0)
	var median, flat *big.Rat
	half := big.NewRat(1, 2)
	var last *big.Rat
	for quarters := range int64(13) {
		var n, d, c int64
		for _, s := range own {
			if s.quarters >= quarters {
				n++
			}
			if s.quarters == quarters && s.event {
				d++
			} else if s.quarters == quarters {
				c++
			}
		}
		if d+c == 0 {
			continue
		}
		if len(table) == 0 {
			rt.Fatalf("no row for %d/4", quarters)
		}
		time := big.NewRat(quarters, 4)
		if d > 0 && flat != nil && median == nil {
			median = new(big.Rat).Mul(new(big.Rat).Add(flat, time), half)
		}
		last = time
		events += d
		survival.Mul(survival, big.NewRat(n-d, n))
		if d > 0 && survival.Cmp(half) == 0 {
			flat = time
		}
		if survival.Cmp(half) < 0 && median == nil {
			median = time
		}
		row := table[0]
		table = table[1:]
		same(rt, "time", follow(t, row, "time"), time)
		same(rt, "n_risk", follow(t, row, "n_risk"), big.NewRat(n, 1))
		same(rt, "n_event", follow(t, row, "n_event"), big.NewRat(d, 1))
		same(rt, "n_censor", follow(t, row, "n_censor"), big.NewRat(c, 1))
		same(rt, "survival", follow(t, row, "survival"), survival)
		if survival.Sign() == 0 {
			for _, f := range []string{"std_error", "conf_int", "conf_int_plain"} {
				if v := follow(t, row, f); v != nil {
					rt.Fatalf("%s where survival is 0: %v", f, v)
				}
			}
			continue
		}
		greenwood.Add(greenwood, big.NewRat(d, n*(n-d)))
		variance := new(big.Rat).Mul(greenwood, new(big.Rat).Mul(survival, survival))
		std := sqrtOf(variance)
		about(rt, "std_error", follow(t, row, "std_error"), std)
		s := special.FromRat(survival)
		lower, upper := pairOf(follow(t, row, "conf_int_plain"))
		width := new(big.Float).Mul(std, z)
		about(rt, "plain lower", lower, atLeast(new(big.Float).Sub(s, width), 0))
		about(rt, "plain upper", upper, atMost(new(big.Float).Add(s, width), 1))
		if survival.Cmp(big.NewRat(1, 1)) == 0 {
			if v := follow(t, row, "conf_int"); v != nil {
				rt.Fatalf("conf_int where survival is 1: %v", v)
			}
			continue
		}
		// The interval of log(-log S), whose standard error is (that of S)/(S·|log S|), taken back.
		minus := new(big.Float).Neg(special.Log(s))
		width.Quo(width, new(big.Float).Mul(s, minus))
		lower, upper = pairOf(follow(t, row, "conf_int"))
		for sign, limit := range map[int]any{1: lower, -1: upper} {
			x := special.Log(minus)
			if sign > 0 {
				x.Add(x, width)
			} else {
				x.Sub(x, width)
			}
			x = special.Exp(x)
			about(rt, "conf_int", limit, special.Exp(x.Neg(x)))
		}
	}
	if len(table) > 0 {
		rt.Fatalf("more rows: %v", table)
	}
	if median == nil && flat != nil {
		median = new(big.Rat).Mul(new(big.Rat).Add(flat, last), half)
	}
	same(rt, "samples", follow(t, group, "samples"), big.NewRat(int64(len(own)), 1))
	same(rt, "events", follow(t, group, "events"), big.NewRat(events, 1))
	if got := follow(t, group, "median"); median != nil {
		same(rt, "median", got, median)
	} else if got != nil {
		rt.Fatalf("median %v of a curve that stays above 1/2", got)
	}
}

func atLeast(x *big.Float, least int64) *big.Float {
	if y := special.Int(least); x.Cmp(y) < 0 {
		return y
	}
	return x
}

func atMost(x *big.Float, most int64) *big.Float {
	if y := special.Int(most); x.Cmp(y) > 0 {
		return y
	}
	return x
}

// Whatever is null has a note that says why.
func TestKaplanMeierNotes(t *testing.T) {
	text := mustPlay(t, simon.KaplanMeier(), `{"groups":["a","b","c"]}`, `[[1,0,"a"],[2,1,"a"]]`, `[[1,0,"b"]]`)
	got := decoded(t, text)
	notes := got["notes"].(map[string]any)
	for path, why := range map[string]string{
		"groups[0].table[0].conf_int":       "no event yet",
		"groups[0].table[1].std_error":      "survival is 0",
		"groups[0].table[1].conf_int":       "survival is 0",
		"groups[0].table[1].conf_int_plain": "survival is 0",
		"groups[0].median_conf_int[0]":      "no lower limit",
		"groups[0].median_conf_int[1]":      "no upper limit",
		"groups[1].table[0].conf_int":       "no event yet",
		"groups[1].median":                  "does not fall to 0.5",
		"groups[1].median_conf_int[0]":      "no lower limit",
		"groups[1].median_conf_int[1]":      "no upper limit",
		"groups[2].median":                  "no samples",
		"groups[2].median_conf_int":         "no samples",
	} {
		if note, _ := notes[path].(string); !strings.Contains(note, why) {
			t.Errorf("%s: %q, want %q", path, note, why)
		}
		delete(notes, path)
	}
	if len(notes) > 0 {
		t.Errorf("more notes: %v", notes)
	}
	if n := strings.Count(text, "null"); n != 12 {
		t.Errorf("%d nulls in %s", n, text)
	}
	if got := mustPlay(t, simon.KaplanMeier(), `{}`, `[]`, `[]`); got != `{"samples":0,"conf_level":0.95,"groups":[{"samples":0,"events":0,"median":null,"median_conf_int":null,"table":[]}],`+
		`"notes":{"groups[0].median":"there are no samples","groups[0].median_conf_int":"there are no samples"}}` {
		t.Error(got)
	}
}
