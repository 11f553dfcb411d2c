package simon_test

import (
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/weftmpc/weft/simon"
	"github.com/weftmpc/weft/simon/simontest"
	"github.com/weftmpc/weft/simon/special"
)

// TestANOVAofNIST: 13 equal leading digits, with which one-pass formulas in double precision give nonsense.
func TestANOVAofNIST(t *testing.T) {
	const significant = 14
	for _, name := range strdNames(t, "anova", 11) {
		a := readANOVA(t, name)
		var rows, labels []string
		for _, row := range a.rows {
			rows = append(rows, "["+row[1]+","+row[0]+"]")
			if !slices.Contains(labels, row[0]) {
				labels = append(labels, row[0])
			}
		}
		parameters := `{"groups":[` + strings.Join(labels, ",") + `]}`
		for seed := range 2 {
			data := dealt(rows, 3+seed)
			text := mustPlay(t, simon.ANOVA(), parameters, data...)
			got := decoded(t, text)
			conforms(t, simon.ANOVA(), nil, parameters, text)
			for want, path := range map[string][]any{
				a.df[0]: {"table", 0, "df"}, a.df[1]: {"table", 1, "df"},
				a.ss[0]: {"table", 0, "sum_sq"}, a.ss[1]: {"table", 1, "sum_sq"},
				a.ms[0]: {"table", 0, "mean_sq"}, a.ms[1]: {"table", 1, "mean_sq"},
				a.f: {"table", 0, "f_value"}, a.rSquared: {"r_squared"}, a.residualSD: {"residual_standard_error"},
			} {
				certified(t, name, member(t, got, path...), want, significant)
			}
			certified(t, name, got["statistic"], a.f, significant)
			certified(t, name, got["eta_squared"], a.rSquared, significant)
		}
	}
}

func TestANOVAofR(t *testing.T) {
	const significant = 12
	for file, groups := range map[string]string{"oneway-plantgrowth": `["ctrl","trt1","trt2"]`, "oneway-insectsprays": `["A","B","C","D","E","F"]`} {
		r := fromR(t, file)
		got := decoded(t, mustPlay(t, simon.ANOVA(), `{"welch":true,"groups":`+groups+`}`, dealt(rowsOf(t, r), 4)...))
		check := func(member any, path ...any) {
			t.Helper()
			near(t, fmt.Sprint(file, path), member, r.number(t, path...), significant)
		}
		table, levene, welch := got["table"].([]any), got["levene"].(map[string]any), got["welch"].(map[string]any)
		for i := range 2 {
			row := table[i].(map[string]any)
			check(row["df"], "aov", "df", i)
			check(row["sum_sq"], "aov", "sum.sq", i)
			check(row["mean_sq"], "aov", "mean.sq", i)
		}
		check(got["statistic"], "aov", "f")
		check(got["p_value"], "aov", "p.value")
		check(levene["statistic"], "levene", "f")
		check(levene["p_value"], "levene", "p.value")
		check(levene["num_df"], "levene", "df", 0)
		check(levene["denom_df"], "levene", "df", 1)
		check(welch["statistic"], "welch", "f")
		check(welch["p_value"], "welch", "p.value")
		check(welch["num_df"], "welch", "df", 0)
		check(welch["denom_df"], "welch", "df", 1)
		for i := range r.length(t, "groups") {
			check(member(t, got, "groups", i, "samples"), "groups", i, "n")
			check(member(t, got, "groups", i, "mean"), "groups", i, "mean")
			check(member(t, got, "groups", i, "variance"), "groups", i, "var")
		}
		if levene["center"] != "mean" || got["notes"] != nil {
			t.Errorf("center %v, notes %v", levene["center"], got["notes"])
		}
	}
}

// oneWay is the analysis of variance by its definition.
func oneWay(groups [][]*big.Rat) (between, within *big.Rat) {
	var all []*big.Rat
	within = new(big.Rat)
	for _, g := range groups {
		all = append(all, g...)
		within.Add(within, squaresOf(g))
	}
	between = new(big.Rat)
	for _, g := range groups {
		off := less(meanOf(g), meanOf(all))
		between.Add(between, times(integral(len(g)), times(off, off)))
	}
	return between, within
}

// TestANOVAofPooledData compares with the definitions: distances from the means of all data are computed in the second pass,
// with the mean as a fraction.
func TestANOVAofPooledData(t *testing.T) {
	labels := []string{`"a"`, "7", "true", `"empty"`}
	checkSome(t, 40, func(rt *rapid.T) {
		k := rapid.IntRange(2, 3).Draw(rt, "groups")
		var rows []string
		var groups, distances [][]*big.Rat
		n := 0
		for g := range k {
			texts := rapid.SliceOfN(drawNumber(), 2, 8).Draw(rt, "group")
			x := fractions(texts)
			var d []*big.Rat
			for i, s := range texts {
				rows = append(rows, "["+s+","+labels[g]+"]")
				d = append(d, new(big.Rat).Abs(less(x[i], meanOf(x))))
			}
			n += len(x)
			groups, distances = append(groups, x), append(distances, d)
		}
		parameters := `{"welch":true,"groups":[` + strings.Join(append(slices.Clone(labels[:k]), labels[3]), ",") + `]}`
		got := everywhere(t, rt, simon.ANOVA(), parameters, rows)
		between, within := oneWay(groups)
		is(rt, got, n, "samples")
		is(rt, got, between, "table", 0, "sum_sq")
		is(rt, got, within, "table", 1, "sum_sq")
		is(rt, got, k-1, "table", 0, "df")
		is(rt, got, n-k, "table", 1, "df")
		is(rt, got, rootOf(ratio(within, integral(n-k))), "residual_standard_error")
		noted(rt, got, fmt.Sprintf("groups[%d].mean", k), "no samples")
		for g, x := range groups {
			is(rt, got, meanOf(x), "groups", g, "mean")
			is(rt, got, ratio(squaresOf(x), integral(len(x)-1)), "groups", g, "variance")
		}
		isF(rt, got, between, within, k-1, n-k, nil)
		between, within = oneWay(distances)
		isF(rt, got, between, within, k-1, n-k, "levene")
		isWelch(rt, got, groups)
	})
}

func isF(t failer, got map[string]any, between, within *big.Rat, num, denom int, of any) {
	at := func(name string) []any {
		if of == nil {
			return []any{name}
		}
		return []any{of, name}
	}
	if within.Sign() == 0 {
		is(t, got, nil, at("statistic")...)
		return
	}
	f := ratio(ratio(between, integral(num)), ratio(within, integral(denom)))
	is(t, got, f, at("statistic")...)
	is(t, got, special.FUpper(special.FromRat(f), special.Int(int64(num)), special.Int(int64(denom))), at("p_value")...)
	is(t, got, num, at("num_df")...)
	is(t, got, denom, at("denom_df")...)
}

func isWelch(t failer, got map[string]any, groups [][]*big.Rat) {
	var w []*big.Rat
	weight, sum := new(big.Rat), new(big.Rat)
	for _, x := range groups {
		if squaresOf(x).Sign() == 0 {
			noted(t, got, "welch.statistic", "all samples are equal")
			return
		}
		v := ratio(squaresOf(x), integral(len(x)-1))
		w = append(w, ratio(integral(len(x)), v))
		weight = plus(weight, w[len(w)-1])
		sum = plus(sum, times(w[len(w)-1], meanOf(x)))
	}
	k := len(groups)
	top, lambda := new(big.Rat), new(big.Rat)
	for g, x := range groups {
		off := less(meanOf(x), ratio(sum, weight))
		top = plus(top, times(w[g], times(off, off)))
		rest := less(integral(1), ratio(w[g], weight))
		lambda = plus(lambda, ratio(times(rest, rest), integral(len(x)-1)))
	}
	tail := ratio(times(integral(2*(k-2)), lambda), integral(k*k-1))
	is(t, got, ratio(ratio(top, integral(k-1)), plus(integral(1), tail)), "welch", "statistic")
	is(t, got, ratio(integral(k*k-1), times(integral(3), lambda)), "welch", "denom_df")
}

func TestANOVAUndefined(t *testing.T) {
	for _, c := range []struct {
		data []string
		null map[string]string
	}{
		{[]string{"[]", "[]"}, map[string]string{
			"statistic": "fewer than two groups", "table[0].df": "no samples", "levene.statistic": "fewer than two", "welch.p_value": "fewer than two",
			"r_squared": "equal", "residual_standard_error": "residual"}},
		{[]string{`[[1,"a"],[2,"a"]]`, `[[3,"a"]]`}, map[string]string{"statistic": "fewer than two groups", "table[0].mean_sq": "fewer than two groups", "num_df": "fewer"}},
		{[]string{`[[1,"a"]]`, `[[3,"b"]]`}, map[string]string{
			"statistic": "two samples", "table[1].mean_sq": "two samples", "denom_df": "two samples", "residual_standard_error": "two samples", "welch.statistic": "two samples"}},
		{[]string{`[[1,"a"],[1,"b"]]`, `[[1,"a"],[1,"b"]]`}, map[string]string{
			"statistic": "all samples are equal", "r_squared": "all samples are equal", "levene.statistic": "equal", "welch.statistic": "equal"}},
		{[]string{`[[1,"a"],[2,"b"]]`, `[[1,"a"],[2,"b"]]`}, map[string]string{"table[0].f_value": "infinite", "table[0].p_value": "infinite", "statistic": "infinite", "p_value": "infinite"}},
		{[]string{`[[1,"a"],[2,"a"]]`, `[[1,"b"],[4,"b"]]`}, map[string]string{"levene.statistic": "same distance", "levene.p_value": "same distance"}},
	} {
		const parameters = `{"groups":["a","b"],"welch":true}`
		text := mustPlay(t, simon.ANOVA(), parameters, c.data...)
		conforms(t, simon.ANOVA(), nil, parameters, text)
		got := decoded(t, text)
		for path, why := range c.null {
			noted(t, got, path, why)
		}
	}
}

func TestANOVARefuses(t *testing.T) {
	const two = `{"groups":["a","b"]}`
	refused(t, simon.ANOVA(), [][4]string{
		{``, `[[1,"a"]]`, "parameters.groups", "is needed"},
		{`{"groups":["a"]}`, `[[1,"a"]]`, "parameters.groups", "2 to"},
		{`{"groups":["a",1.5]}`, `[[1,"a"]]`, "parameters.groups", "at index 1"},
		{`{"groups":["a","b"],"levene":1}`, `[[1,"a"]]`, "parameters.levene", "true or false"},
		{two, `[[1,"a"],[2,"c"]]`, "data[1][1]", "no group"},
		{two, `[[1,"a"],["x","a"]]`, "data[1][0]", "text"},
		{two, `[[1,"a"],[2]]`, "data[1]", "fewer"},
		{two, `[[1,"a",3]]`, "data[0]", "more than 2"},
		{two, `{"a":1}`, "data", "object"},
		{two, `[[1,"a"]`, "data", "closing bracket"},
	})
	rows := strings.Repeat(`[1,"a"],`, 2_000_000) + `[1,"a"]]`
	_, err := simon.ANOVA().Prepare(strings.NewReader("["+rows), []byte(two), simon.Guard{})
	if input, ok := errors.AsType[*simon.InputError](err); !ok || input.Path != "data[2000000]" || !strings.Contains(input.Reason, "levene to false") {
		t.Errorf("a row too many for Levene's test: %v", err)
	}
	if _, err := simon.ANOVA().Prepare(strings.NewReader("["+rows), []byte(`{"groups":["a","b"],"levene":false}`), simon.Guard{}); err != nil {
		t.Errorf("without it: %v", err)
	}
}

// TestANOVALevene: the second sum is there for Levene's test alone, and goes to recipients alone.
func TestANOVALevene(t *testing.T) {
	const plain, with = `{"groups":["a","b"],"levene":false}`, `{"groups":["a","b"]}`
	data := []string{`[[1,"a"],[2,"b"]]`, `[[1.5,"a"],[7,"b"]]`, `[[4,"b"]]`}
	without, r, err := play(t, simon.ANOVA(), simontest.Options{}, simon.Guard{}, data, plain)
	if err != nil || strings.Contains(without, "levene") || len(r.Messages) != 6 {
		t.Errorf("%s, %d messages, %v", without, len(r.Messages), err)
	}
	both, r, err := play(t, simon.ANOVA(), simontest.Options{}, simon.Guard{}, data, with)
	if err != nil || !strings.HasPrefix(both, strings.TrimSuffix(without, "}")) || len(r.Messages) != 12 {
		t.Errorf("%s, %d messages, %v", both, len(r.Messages), err)
	}
	r = prepare(t, simon.ANOVA(), with, data).run(t, simontest.Options{Recipients: []int{1}})
	for seat, opened := range r.Results {
		if (seat == 1) != (opened != nil) {
			t.Errorf("seat %d opened %d bytes", seat, len(opened))
		}
	}
	for _, m := range r.Messages {
		if m.Label.Vector == "deviations" && m.To != 1 {
			t.Errorf("seat %d, no recipient, gets deviations", m.To)
		}
	}
}

func TestANOVAPrivacy(t *testing.T) {
	for _, p := range []string{`{"groups":["a","b"]}`, `{"groups":["a","b"],"levene":false}`} {
		reprogrammed(t, simon.ANOVA(), p,
			[]string{`[[1,"a"]]`, `[[2.5,"a"],[-7,"b"]]`, `[[4,"b"]]`, `[]`},
			[]string{`[[1,"a"]]`, `[[4,"b"]]`, `[[-7,"b"],[2.5,"a"]]`, `[]`})
		constantLengths(t, simon.ANOVA(), p, []string{`[[1,"a"]]`, `[]`}, []string{`[[-5e13,"a"],[1e-20,"b"],[2,"b"]]`, `[[1,"b"]]`})
	}
	const levene, data = `{"groups":["a","b"]}`, `[[1,"a"],[2,"a"],[4,"b"]]`
	const words = 18 + 8
	impossible(t, "samples", forged(t, simon.ANOVA(), levene, data, words, func(b []byte) { b[7] = 0x80 }))
	impossible(t, "negative distances", forged(t, simon.ANOVA(), levene, data, words, func(b []byte) { b[18*8+31] = 0x80 }))
	impossible(t, "far distances", forged(t, simon.ANOVA(), levene, data, words, func(b []byte) { b[18*8+16] = 1 }))
	impossible(t, "distances in the group of one", forged(t, simon.ANOVA(), levene, data, words, func(b []byte) { b[18*8+32] = 1 }))
}

// TestANOVAofACheat: a party that enters sums beyond all bounds stops the computation before anything is computed from them.
// That is an outcome, and no failure that would be tried again.
func TestANOVAofACheat(t *testing.T) {
	for at, what := range map[int]string{7: "samples", 16 + 23: "sum"} {
		p := prepare(t, simon.ANOVA(), `{"groups":["a","b"]}`, []string{`[[1,"a"],[2,"b"]]`, `[[5,"b"]]`})
		p.inputs[1] = slices.Clone(p.inputs[1])
		p.inputs[1][9+at] ^= 0x40
		r := simontest.Run(t, 2, simontest.Options{Recipients: []int{0}}, p.play)
		if err := r.Err(); err != nil || r.Results[1] != nil {
			t.Errorf("%s: %v, no recipient has %x", what, err, r.Results[1])
		}
		_, err := p.m.Finish(p.common, p.inputs[0], r.Results[0])
		impossible(t, what, err)
		for _, m := range r.Messages {
			if m.Label.Vector == "deviations" {
				t.Errorf("%s: distances are on their way", what)
			}
		}
	}
}
