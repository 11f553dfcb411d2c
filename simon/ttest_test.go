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

// rowsOf are the rows of R's data as JSON texts.
func rowsOf(t testing.TB, r rFile) []string {
	var rows []string
	for i := range r.length(t, "data") {
		rows = append(rows, r.json(t, "data", i))
	}
	return rows
}

// dealt spreads rows over n parties, one after the other.
func dealt(rows []string, n int) []string {
	parts := make([][]string, n)
	for i, row := range rows {
		parts[i%n] = append(parts[i%n], row)
	}
	data := make([]string, n)
	for i, p := range parts {
		data[i] = "[" + strings.Join(p, ", ") + "]"
	}
	return data
}

func TestTTestOfR(t *testing.T) {
	const significant = 12
	for file, kind := range map[string]string{"t-welch": "welch", "t-pooled": "pooled", "t-paired": "paired", "t-one": "one_sample"} {
		r := fromR(t, file)
		for i := range r.length(t, "tests") {
			of := func(path ...any) json.Number { return r.number(t, append([]any{"tests", i}, path...)...) }
			alternative := r.at(t, "tests", i, "alternative").(string)
			parameters := fmt.Sprintf(`{"type":%q,"alternative":%q,"mu":%s`, kind, alternative, of("null.value"))
			two := kind == "welch" || kind == "pooled"
			if two {
				parameters += `,"groups":["1","2"]`
			}
			parameters += "}"
			data := dealt(rowsOf(t, r), 3)
			text := mustPlay(t, simon.TTest(), parameters, data...)
			got := decoded(t, text)
			conforms(t, simon.TTest(), nil, parameters, text)
			check := func(want json.Number, path ...any) {
				t.Helper()
				near(t, fmt.Sprint(file, " ", alternative, path), member(t, got, path...), want, significant)
			}
			check(of("statistic"), "statistic")
			check(of("parameter"), "df")
			check(of("p.value"), "p_value")
			check(of("conf.int", 0), "conf_int", 0)
			check(of("conf.int", 1), "conf_int", 1)
			check(of("stderr"), "stderr")
			check(of("null.value"), "null_value")
			if two {
				check(of("estimate", 0), "groups", 0, "mean")
				check(of("estimate", 1), "groups", 1, "mean")
			} else {
				check(of("estimate", 0), "estimate")
			}
			if got["alternative"] != alternative {
				t.Errorf("alternative %v", got["alternative"])
			}
			switch alternative {
			case "less":
				noted(t, got, "conf_int[0]", "no lower limit")
			case "greater":
				noted(t, got, "conf_int[1]", "no upper limit")
			default:
				if got["notes"] != nil {
					t.Errorf("notes %v", got["notes"])
				}
			}
		}
	}
}

// TestTTestOfPooledData compares with the textbook's formulas.
func TestTTestOfPooledData(t *testing.T) {
	checkSome(t, 40, func(rt *rapid.T) {
		kind := rapid.SampledFrom([]string{"welch", "pooled", "paired", "one_sample"}).Draw(rt, "type")
		alternative := rapid.SampledFrom([]string{"two.sided", "less", "greater"}).Draw(rt, "alternative")
		mu := rapid.SampledFrom([]string{"0", "0.5", "-1e3"}).Draw(rt, "mu")
		level := rapid.SampledFrom([]string{"0.5", "0.95", "0.999"}).Draw(rt, "level")
		x := rapid.SliceOfN(drawNumber(), 2, 12).Draw(rt, "x")
		y := rapid.SliceOfN(drawNumber(), 2, 12).Draw(rt, "y")
		var rows []string
		var estimate, spread, df *big.Rat
		one := func(x []*big.Rat) {
			estimate, df = meanOf(x), integral(len(x)-1)
			spread = ratio(squaresOf(x), times(integral(len(x)), df))
		}
		more := ""
		switch kind {
		case "one_sample":
			rows = x
			one(fractions(x))
		case "paired":
			y = rapid.SliceOfN(drawNumber(), len(x), len(x)).Draw(rt, "pairs")
			var d []*big.Rat
			for i := range x {
				rows = append(rows, "["+x[i]+","+y[i]+"]")
				d = append(d, less(fraction(x[i]), fraction(y[i])))
			}
			one(d)
		default:
			more = `,"groups":[true,"b"]`
			for _, s := range x {
				rows = append(rows, "["+s+",true]")
			}
			for _, s := range y {
				rows = append(rows, "["+s+`,"b"]`)
			}
			estimate, spread, df = twoMeans(fractions(x), fractions(y), kind == "welch")
		}
		parameters := fmt.Sprintf(`{"type":%q,"alternative":%q,"mu":%s,"conf_level":%s%s}`, kind, alternative, mu, level, more)
		got := everywhere(t, rt, simon.TTest(), parameters, rows)
		is(rt, got, len(rows), "samples")
		is(rt, got, estimate, "estimate")
		is(rt, got, rootOf(spread), "stderr")
		is(rt, got, fraction(level), "conf_level")
		if spread.Sign() == 0 {
			noted(rt, got, "statistic", "constant")
			noted(rt, got, "p_value", "constant")
			noted(rt, got, "conf_int", "constant")
			return
		}
		is(rt, got, df, "df")
		se := rootOf(spread)
		statistic := new(big.Float).Quo(floating(less(estimate, fraction(mu))), se)
		is(rt, got, statistic, "statistic")
		p, reach := special.StudentUpper(statistic, floating(df)), fraction(level)
		switch alternative {
		case "less":
			p = special.StudentUpper(new(big.Float).Neg(statistic), floating(df))
		case "two.sided":
			p = special.StudentUpper(new(big.Float).Abs(statistic), floating(df))
			p.Add(p, p)
			reach = ratio(plus(reach, integral(1)), integral(2))
		}
		is(rt, got, p, "p_value")
		q := special.StudentQuantile(special.FromRat(reach), floating(df))
		q = new(big.Float).SetPrec(400).Mul(q, se)
		if alternative == "less" {
			is(rt, got, nil, "conf_int", 0)
		} else {
			isLimit(rt, got, estimate, new(big.Float).Neg(q), "conf_int", 0)
		}
		if alternative == "greater" {
			is(rt, got, nil, "conf_int", 1)
		} else {
			isLimit(rt, got, estimate, q, "conf_int", 1)
		}
	})
}

func twoMeans(x, y []*big.Rat, welch bool) (estimate, spread, df *big.Rat) {
	estimate = less(meanOf(x), meanOf(y))
	nx, ny := integral(len(x)), integral(len(y))
	if !welch {
		df = integral(len(x) + len(y) - 2)
		v := ratio(plus(squaresOf(x), squaresOf(y)), df)
		return estimate, plus(ratio(v, nx), ratio(v, ny)), df
	}
	vx := ratio(squaresOf(x), times(nx, integral(len(x)-1)))
	vy := ratio(squaresOf(y), times(ny, integral(len(y)-1)))
	spread = plus(vx, vy)
	if spread.Sign() == 0 {
		return estimate, spread, nil
	}
	bottom := plus(ratio(times(vx, vx), integral(len(x)-1)), ratio(times(vy, vy), integral(len(y)-1)))
	return estimate, spread, ratio(times(spread, spread), bottom)
}

func TestTTestUndefined(t *testing.T) {
	for _, c := range []struct {
		parameters string
		data       []string
		null       map[string]string
		samples    int
	}{
		{`{"type":"one_sample"}`, []string{"[]", "[]"}, map[string]string{
			"statistic": "no samples", "df": "no samples", "p_value": "no samples", "conf_int": "no samples", "estimate": "no samples", "stderr": "no samples"}, 0},
		{`{"type":"one_sample"}`, []string{"[3]", "[]"}, map[string]string{"statistic": "two samples", "stderr": "two samples", "df": "two samples"}, 1},
		{`{"type":"paired"}`, []string{"[[3,1]]", "[[0.1,-1.9]]"}, map[string]string{"statistic": "differences are constant", "p_value": "constant", "conf_int": "constant"}, 2},
		{`{"groups":["a","b"]}`, []string{`[[1,"a"],[2,"a"]]`, `[[1,"b"]]`}, map[string]string{
			"statistic": "at least two", "df": "at least two", "stderr": "at least two", "groups[1].variance": "two samples"}, 3},
		{`{"groups":["a","b"]}`, []string{`[[1,"a"],[2,"a"]]`, `[]`}, map[string]string{
			"estimate": "two samples", "difference": "two samples", "groups[1].mean": "no samples", "groups[1].variance": "two samples"}, 2},
		{`{"groups":["a","b"]}`, []string{`[[1,"a"],[1,"a"]]`, `[[2,"b"],[2,"b"]]`}, map[string]string{"statistic": "constant in both", "df": "constant in both"}, 4},
		{`{"groups":["a","b"],"type":"pooled"}`, []string{`[[1,"a"]]`, `[[2,"b"]]`}, map[string]string{"statistic": "one of them two", "df": "one of them two"}, 2},
		{`{"groups":["a","b"],"type":"pooled"}`, []string{`[[1,"a"]]`, `[]`}, map[string]string{"estimate": "need a sample"}, 1},
	} {
		text := mustPlay(t, simon.TTest(), c.parameters, c.data...)
		conforms(t, simon.TTest(), nil, c.parameters, text)
		got := decoded(t, text)
		is(t, got, c.samples, "samples")
		for path, why := range c.null {
			noted(t, got, path, why)
		}
	}
	// One group of one is enough with a common variance.
	got := decoded(t, mustPlay(t, simon.TTest(), `{"groups":["a","b"],"type":"pooled"}`, `[[1,"a"],[3,"a"]]`, `[[2,"b"]]`))
	is(t, got, 1, "df")
	is(t, got, 0, "statistic")
	is(t, got, 1, "p_value")
	// 0.1 - 0.3 and 0.2 - 0.4 differ as doubles, and are the same.
	got = decoded(t, mustPlay(t, simon.TTest(), `{"type":"paired"}`, `[[0.1,0.3]]`, `[[0.2,0.4]]`))
	noted(t, got, "statistic", "constant")
	is(t, got, fraction("-0.2"), "estimate")
}

func TestTTestRefuses(t *testing.T) {
	refused(t, simon.TTest(), [][4]string{
		{``, `[[1,"a"]]`, "parameters.groups", "two groups"},
		{`{"groups":["a"]}`, `[[1,"a"]]`, "parameters.groups", "2 to"},
		{`{"groups":["a","b","c"]}`, `[[1,"a"]]`, "parameters.groups", "two groups"},
		{`{"groups":["a","a"]}`, `[[1,"a"]]`, "parameters.groups", "same value"},
		{`{"groups":["a","b"],"type":"paired"}`, `[[1,2]]`, "parameters.groups", "no use with type paired"},
		{`{"groups":["a","b"],"type":"one_sample"}`, `[1]`, "parameters.groups", "no use"},
		{`{"type":"student"}`, `[1]`, "parameters.type", "one of welch"},
		{`{"type":"one_sample","alternative":"both"}`, `[1]`, "parameters.alternative", "two.sided"},
		{`{"type":"one_sample","mu":"1"}`, `[1]`, "parameters.mu", "a number"},
		{`{"type":"one_sample","conf_level":1}`, `[1]`, "parameters.conf_level", "between 0 and 1"},
		{`{"type":"one_sample"}`, `[1,"x"]`, "data[1]", "text"},
		{`{"type":"one_sample"}`, `[1,[2,3]]`, "data[1]", "1 value"},
		{`{"type":"one_sample"}`, `[1,null]`, "data[1]", "null"},
		{`{"type":"one_sample"}`, `[1,NaN]`, "data[1]", "NaN"},
		{`{"type":"paired"}`, `[[1,2],[3]]`, "data[1]", "fewer than 2"},
		{`{"type":"paired"}`, `[[1,2],[3,4,5]]`, "data[1]", "more than 2"},
		{`{"type":"paired"}`, `[[1,2],[3,"4"]]`, "data[1][1]", "text"},
		{`{"type":"paired"}`, `[1,2]`, "data[0]", "single value"},
		{`{"groups":["a","b"]}`, `[[1,"a"],[2,"c"]]`, "data[1][1]", "no group of parameters.groups"},
		{`{"groups":["a","b"]}`, `[[1,"a"],["2","b"]]`, "data[1][0]", "text"},
		{`{"groups":["1","2"]}`, `[[1,1]]`, "data[0][1]", "kind"},
		{`{"groups":["a","b"]}`, `[["a",1]]`, "data[0][0]", "text"},
		{`{"groups":["a","b"]}`, `[[1,null]]`, "data[0][1]", "null"},
		{`{"groups":["a","b"]}`, `[[1e14,"a"]]`, "data[0][0]", "out of range"},
	})
	if _, reason := refusal(t, simon.TTest(), `[[1,"a"],[2,"secret"]]`, `{"groups":["a","b"]}`); strings.Contains(reason, "secret") {
		t.Errorf("the reason tells data: %s", reason)
	}
}

func TestTTestPrivacy(t *testing.T) {
	const two = `{"groups":["a","b"]}`
	reprogrammed(t, simon.TTest(), two,
		[]string{`[[1,"a"]]`, `[[2.5,"a"],[-7,"b"]]`, `[[4,"b"]]`, `[]`},
		[]string{`[[1,"a"]]`, `[[4,"b"]]`, `[[-7,"b"],[2.5,"a"]]`, `[]`})
	reprogrammed(t, simon.TTest(), `{"type":"paired"}`,
		[]string{`[[1,2],[3,3]]`, `[]`, `[[5,6]]`}, []string{`[]`, `[[1,2],[3,3]]`, `[[5,6]]`})
	constantLengths(t, simon.TTest(), two, []string{`[[1,"a"]]`, `[]`}, []string{`[[-5e13,"a"],[1e-20,"b"],[2,"b"]]`, `[[1,"b"]]`})
	for _, c := range []struct{ parameters, data string }{{two, `[[1,"a"]]`}, {`{"type":"paired"}`, `[[1,2]]`}} {
		words := 18
		if c.parameters != two {
			words = 9
		}
		// The count of samples comes first, negative numbers of them do not exist; then sums and squares.
		impossible(t, "samples", forged(t, simon.TTest(), c.parameters, c.data, words, func(b []byte) { b[7] = 0x80 }))
		impossible(t, "too many samples", forged(t, simon.TTest(), c.parameters, c.data, words, func(b []byte) { b[6] = 1 }))
		impossible(t, "squares", forged(t, simon.TTest(), c.parameters, c.data, words, func(b []byte) { b[len(b)-1] = 0x80 }))
		impossible(t, "no samples", forged(t, simon.TTest(), c.parameters, c.data, words, func(b []byte) { b[0] = 0 }))
	}
}
