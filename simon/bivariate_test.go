package simon_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/weftmpc/weft/simon"
	"github.com/weftmpc/weft/simon/ring"
	"github.com/weftmpc/weft/simon/simontest"
)

func bivariate(t testing.TB, f fatal, parameters string, data ...string) map[string]any {
	got, _, err := play(t, simon.StatisticsBivariate(), simontest.Options{Seed: 3}, simon.Guard{}, data, parameters)
	if err != nil {
		f.Fatal(err)
	}
	return decoded(f, got)
}

// pooledBivariate is what one party would compute from all pairs, from deviations.
func pooledBivariate(t fatal, x, y []string) map[string]any {
	xs, ys := numbersOf(t, x), numbersOf(t, y)
	n := len(xs)
	want := map[string]any{
		"samples": n, "covariance_mle": nil, "covariance": nil, "correlation_coefficient": nil, "regression_slope": nil,
		"regression_interceipt": nil, "regression_intercept": nil, "regression_slope_only": nil,
	}
	if n == 0 {
		return want
	}
	mean := func(data []*big.Rat) *big.Rat {
		return quotientOf(sumOver(n, func(i int) *big.Rat { return data[i] }), ratOf(n))
	}
	mx, my := mean(xs), mean(ys)
	products := func(a, b []*big.Rat, ma, mb *big.Rat) *big.Rat {
		return sumOver(n, func(i int) *big.Rat {
			d := new(big.Rat).Sub(a[i], ma)
			return d.Mul(d, new(big.Rat).Sub(b[i], mb))
		})
	}
	cxx, cyy, cxy := products(xs, xs, mx, mx), products(ys, ys, my, my), products(xs, ys, mx, my)
	want["covariance_mle"] = quotientOf(cxy, ratOf(n))
	if n > 1 {
		want["covariance"] = quotientOf(cxy, ratOf(n-1))
	}
	if cxx.Sign() != 0 {
		slope := quotientOf(cxy, cxx)
		intercept := new(big.Rat).Sub(my, new(big.Rat).Mul(slope, mx))
		want["regression_slope"], want["regression_interceipt"], want["regression_intercept"] = slope, intercept, intercept
		if cyy.Sign() != 0 {
			want["correlation_coefficient"] = new(big.Float).Quo(in600(cxy), new(big.Float).Mul(root600(cxx), root600(cyy)))
		}
	}
	zero := new(big.Rat)
	if xx := products(xs, xs, zero, zero); xx.Sign() != 0 {
		want["regression_slope_only"] = quotientOf(products(xs, ys, zero, zero), xx)
	}
	return want
}

func pairsOf(x, y []string) []string {
	var rows []string
	for i := range x {
		rows = append(rows, "["+x[i]+","+y[i]+"]")
	}
	return rows
}

func TestBivariateIsThatOfThePool(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(0, 20).Draw(rt, "samples")
		x := rapid.SliceOfN(rapid.Custom(drawSample), n, n).Draw(rt, "x")
		y := rapid.SliceOfN(rapid.Custom(drawSample), n, n).Draw(rt, "y")
		if rapid.Bool().Draw(rt, "line") { // a correlation of 1 or -1
			sign := rapid.SampledFrom([]string{"", "-"}).Draw(rt, "sign")
			for i := range x {
				y[i] = strings.Replace(sign+x[i], "--", "", 1)
			}
		}
		want := pooledBivariate(rt, x, y)
		got := bivariate(t, rt, "", split(rt, rapid.IntRange(2, 7).Draw(rt, "n"), pairsOf(x, y))...)
		matches(rt, got, want)
		if again := bivariate(t, rt, "", split(rt, rapid.IntRange(2, 7).Draw(rt, "n"), pairsOf(x, y))...); fmt.Sprint(again) != fmt.Sprint(got) {
			rt.Fatalf("%v\nin another partition\n%v", got, again)
		}
		// The correlation of y with x is the same, bit for bit; so is that of numbers that are shifted and have another unit.
		if swapped := bivariate(t, rt, "", split(rt, 2, pairsOf(y, x))...); n > 1 && swapped["correlation_coefficient"] != got["correlation_coefficient"] ||
			swapped["covariance"] != got["covariance"] {
			rt.Fatalf("%v\nwith x for y\n%v", got, swapped)
		}
	})
}

func TestBivariateMetamorphic(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(2, 10).Draw(rt, "samples")
		number := rapid.Int64Range(-1e9, 1e9)
		x, y := rapid.SliceOfN(number, n, n).Draw(rt, "x"), rapid.SliceOfN(number, n, n).Draw(rt, "y")
		compute := func(shift int64, exponent int) map[string]any {
			var rows []string
			for i := range x {
				rows = append(rows, fmt.Sprintf("[%de%d,%d]", x[i]+shift, exponent, y[i]))
			}
			return bivariate(t, rt, "", split(rt, 3, rows)...)
		}
		plain := compute(0, -6)
		shifted, scaled := compute(rapid.Int64Range(-1e15, 1e15).Draw(rt, "shift"), -6), compute(0, rapid.IntRange(-20, 4).Draw(rt, "exponent"))
		for _, name := range []string{"covariance", "covariance_mle", "regression_slope", "correlation_coefficient"} {
			if shifted[name] != plain[name] {
				rt.Fatalf("shift: %s was %v and is %v", name, plain[name], shifted[name])
			}
		}
		for _, name := range []string{"correlation_coefficient", "regression_intercept"} {
			if scaled[name] != plain[name] {
				rt.Fatalf("scale: %s was %v and is %v", name, plain[name], scaled[name])
			}
		}
	})
}

func TestBivariateR(t *testing.T) {
	r := fromR(t, "bivariate-faithful")
	var x, y []string
	for i := range r.length(t, "data") {
		x = append(x, r.number(t, "data", i, 0).String())
		y = append(y, r.number(t, "data", i, 1).String())
	}
	got := bivariate(t, t, "", once(1, func(rt *rapid.T) []string { return split(rt, 4, pairsOf(x, y)) })...)
	for field, name := range map[string]string{
		"samples": "n", "covariance": "cov", "correlation_coefficient": "cor", "regression_slope": "slope", "regression_intercept": "intercept",
		"regression_interceipt": "intercept", "regression_slope_only": "slope.origin",
	} {
		near(t, field, got[field], r.number(t, name), 13)
	}
}

// NIST certifies straight lines too. With no intercept they go through the origin.
func TestBivariateNIST(t *testing.T) {
	const enough = 13 // of 15 certified digits; the data of NoInt2 are three points
	for name, fields := range map[string][]string{
		"Norris": {"regression_intercept", "regression_slope"},
		"NoInt1": {"regression_slope_only"},
		"NoInt2": {"regression_slope_only"},
	} {
		r := readRegression(t, name)
		var rows []string
		for _, row := range r.rows {
			rows = append(rows, "["+row[1]+","+row[0]+"]")
		}
		got := bivariate(t, t, "", once(1, func(rt *rapid.T) []string { return split(rt, 3, rows) })...)
		for i, field := range fields {
			near(t, name+" "+field, got[field], json.Number(r.estimates[i]), enough)
		}
	}
}

func TestBivariateWithoutValue(t *testing.T) {
	for _, c := range []struct {
		data  []string
		field string
		want  any
		note  string
	}{
		{[]string{"[]", "[]"}, "covariance", nil, "it needs at least two samples"},
		{[]string{"[]", "[]"}, "covariance_mle", nil, "there are no samples"},
		{[]string{"[]", "[]"}, "correlation_coefficient", nil, "there are no samples"},
		{[]string{"[]", "[]"}, "regression_slope_only", nil, "there are no samples"},
		{[]string{"[[1,2]]", "[]"}, "covariance", nil, "it needs at least two samples"},
		{[]string{"[[1,2]]", "[]"}, "covariance_mle", json.Number("0"), ""},
		{[]string{"[[1,2]]", "[]"}, "regression_slope", nil, "it needs at least two samples"},
		{[]string{"[[1,2]]", "[]"}, "correlation_coefficient", nil, "it needs at least two samples"},
		{[]string{"[[4,2]]", "[]"}, "regression_slope_only", json.Number("0.5"), ""},
		{[]string{"[[1,2]]", "[[1,3]]"}, "correlation_coefficient", nil, "all values of x are equal"},
		{[]string{"[[1,2]]", "[[1,3]]"}, "regression_slope", nil, "all values of x are equal"},
		{[]string{"[[1,2]]", "[[1,3]]"}, "regression_intercept", nil, "all values of x are equal"},
		{[]string{"[[1,2]]", "[[1,3]]"}, "regression_interceipt", nil, "all values of x are equal"},
		{[]string{"[[1,2]]", "[[3,2]]"}, "correlation_coefficient", nil, "all values of y are equal"},
		{[]string{"[[1,2]]", "[[3,2]]"}, "regression_slope", json.Number("0"), ""},
		{[]string{"[[0,2]]", "[[0,3]]"}, "regression_slope_only", nil, "all values of x are 0"},
		{[]string{"[[1,2],[2,4]]", "[[3,6]]"}, "correlation_coefficient", json.Number("1"), ""},
		{[]string{"[[1,-2],[2,-4]]", "[[3,-6]]"}, "correlation_coefficient", json.Number("-1"), ""},
		{[]string{"[[1e9,1],[1000000000.000001,2]]", "[[1000000000.000002,3]]"}, "correlation_coefficient", json.Number("1"), ""},
		{[]string{"[[1e-20,5e13],[-5e13,1]]", "[[5e13,-1e-20]]"}, "covariance_mle", json.Number("-16666666666666.666"), ""},
	} {
		got := bivariate(t, t, "", c.data...)
		note := noteOn(got, c.field)
		if value, there := got[c.field]; !there || value != c.want || note != c.note {
			t.Errorf("%v: %s is %v, want %v; %q", c.data, c.field, value, c.want, note)
		}
	}
}

func TestBivariateOutputs(t *testing.T) {
	data := []string{"[[1,2.5],[3,-4]]", "[[1,1]]"}
	all := bivariate(t, t, "", data...)
	for outputs, size := range map[string]int{
		"samples": 8, "covariance": 96, "covariance_mle": 96, "regression_slope": 136, "regression_intercept": 136, "regression_interceipt": 136,
		"regression_slope_only": 88, "correlation_coefficient": 176,
	} {
		text, r, err := play(t, simon.StatisticsBivariate(), simontest.Options{}, simon.Guard{}, data, `{"outputs":["`+outputs+`"]}`)
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Messages) != 2 || len(r.Messages[0].Body) != size {
			t.Errorf("%s: %d messages, the first of %d bytes, want %d", outputs, len(r.Messages), len(r.Messages[0].Body), size)
		}
		want := []string{outputs, "samples"}
		slices.Sort(want)
		if got := decoded(t, text); got[outputs] != all[outputs] || !slices.Equal(members(got), slices.Compact(want)) {
			t.Errorf("%s: %s", outputs, text)
		}
	}
}

func TestBivariateGuard(t *testing.T) {
	rows := func(n int) string { return "[[1,2]" + strings.Repeat(",[2,3]", n-1) + "]" }
	m := simon.StatisticsBivariate()
	_, r, err := guarded(t, m, "", rows(10), rows(10), rows(9))
	if _, ok := errors.AsType[*simon.OutcomeError](err); !ok || len(r.Messages) != 6 || r.Messages[5].Label.Vector != "pool" {
		t.Errorf("%v, messages\n%s", err, shape(r))
	}
	if got, _, err := guarded(t, m, "", rows(10), rows(10), rows(10)); err != nil || got == "" {
		t.Errorf("%s, %v", got, err)
	}
	p, err := m.Prepare(strings.NewReader("[]"), json.RawMessage(`{"least_samples":29}`), simon.Guard{})
	if err != nil || m.Check(p.Parameters, strict) == nil {
		t.Errorf("%v, and a guard takes a lower bound", err)
	}
}

func TestBivariateRefuses(t *testing.T) {
	for _, c := range []struct{ data, parameters, path, reason string }{
		{`[1,2]`, ``, "data[0]", "is a single value"},
		{`1`, ``, "data", "must be a list of lists"},
		{`[[1]]`, ``, "data[0]", "fewer than 2"},
		{`[[1,2],[1,2,3]]`, ``, "data[1]", "more than 2"},
		{`[[1,2],[]]`, ``, "data[1]", "is an empty list"},
		{`[[1,2],[1,"2"]]`, ``, "data[1][1]", "is text"},
		{`[[1,NaN]]`, ``, "data[0][1]", "is NaN"},
		{`[[1,-Infinity]]`, ``, "data[0][1]", "is infinite"},
		{`[[1,x]]`, ``, "data[0][1]", "is not valid JSON"},
		{`[[1,{}]]`, ``, "data[0][1]", "is an object"},
		{`[[null,1]]`, ``, "data[0][0]", "is null"},
		{`[[6e13,1]]`, ``, "data[0][0]", "|x| < 5.19e13"},
		{`[[1,1e-30]]`, ``, "data[0][1]", "too small"},
		{`[[1,[2]]]`, ``, "data[0][1]", "is a list"},
		{`[]`, `{"outputs":["slope"]}`, "parameters.outputs", "is no field of the result"},
	} {
		if path, reason := refusal(t, simon.StatisticsBivariate(), c.data, c.parameters); path != c.path || !strings.Contains(reason, c.reason) {
			t.Errorf("%s %s: %s: %s, want %s: …%s…", c.data, c.parameters, path, reason, c.path, c.reason)
		}
	}
}

func TestBivariateRefusesTheImpossible(t *testing.T) {
	m := simon.StatisticsBivariate()
	p, err := m.Prepare(strings.NewReader("[]"), nil, simon.Guard{})
	if err != nil {
		t.Fatal(err)
	}
	c := simon.Common{Parties: 2, Parameters: p.Parameters}
	l := ring.Layout{
		{Name: "samples", Limbs: 1, Count: 1}, {Name: "x", Limbs: 3, Count: 1}, {Name: "y", Limbs: 3, Count: 1},
		{Name: "xx", Limbs: 5, Count: 1}, {Name: "yy", Limbs: 5, Count: 1}, {Name: "xy", Limbs: 5, Count: 1},
	}
	if l.Hash() != p.Layout {
		t.Fatal("another layout")
	}
	for _, x := range []struct {
		what   string
		values []string
		ok     bool
	}{
		{"(1,1) and (2,3)", []string{"2", "3", "4", "5", "10", "7"}, true},
		{"nothing", []string{"0", "0", "0", "0", "0", "0"}, true},
		{"sums of nothing", []string{"0", "0", "0", "0", "0", "1"}, false},
		{"fewer samples than none", []string{"-1", "0", "0", "0", "0", "0"}, false},
		{"too many samples", []string{"0x10000000001", "0", "0", "0", "0", "0"}, false},
		{"squares of x below those of the mean", []string{"2", "4", "4", "7", "10", "7"}, false},
		{"squares of y below those of the mean", []string{"2", "3", "5", "5", "12", "7"}, false},
		{"products beyond the squares", []string{"2", "0", "0", "5", "10", "8"}, false},
		{"a correlation beyond 1", []string{"2", "3", "4", "5", "10", "-7"}, false},
		{"a correlation just beyond 1", []string{"4", "0", "0", "4", "4", "5"}, false},
		{"a sum beyond its samples", []string{"1", fmt.Sprint(new(big.Int).Lsh(big.NewInt(1), 112)), "0", fmt.Sprint(new(big.Int).Lsh(big.NewInt(1), 224)), "0", "0"}, false},
	} {
		_, err := m.Finish(c, nil, opening(t, l, x.values...))
		if _, outcome := errors.AsType[*simon.OutcomeError](err); outcome == x.ok || (err == nil) != x.ok {
			t.Errorf("%s: %v", x.what, err)
		}
	}
}

// TestBivariateOfNegativeSquares: where the sums of the numbers are not opened, the squares alone must be possible.
func TestBivariateOfNegativeSquares(t *testing.T) {
	m := simon.StatisticsBivariate()
	p, err := m.Prepare(strings.NewReader("[]"), json.RawMessage(`{"outputs":["regression_slope_only"]}`), simon.Guard{})
	if err != nil {
		t.Fatal(err)
	}
	l := ring.Layout{{Name: "samples", Limbs: 1, Count: 1}, {Name: "xx", Limbs: 5, Count: 1}, {Name: "xy", Limbs: 5, Count: 1}}
	if l.Hash() != p.Layout {
		t.Fatal("another layout")
	}
	c := simon.Common{Parties: 2, Parameters: p.Parameters}
	if got, err := m.Finish(c, nil, opening(t, l, "2", "2", "4")); err != nil || !strings.Contains(string(got), `"regression_slope_only":2`) {
		t.Errorf("%s, %v", got, err)
	}
	_, err = m.Finish(c, nil, opening(t, l, "2", "-2", "4"))
	impossible(t, "negative squares", err)
}

func TestBivariatePrivacy(t *testing.T) {
	m := simon.StatisticsBivariate()
	for _, parameters := range []string{``, `{"outputs":["covariance"]}`, `{"least_samples":4,"least_contributors":2}`} {
		reprogrammed(t, m, parameters,
			[]string{"[[1,2]]", "[[3,4],[-1.5,2.25]]", "[[7,-8]]", "[]"},
			[]string{"[[1,2]]", "[[7,-8],[3,4]]", "[[-1.5,2.25]]", "[]"})
	}
	constantLengths(t, m, `{"least_samples":1}`, []string{"[]", "[[1,2]]", "[]"}, []string{"[[5e13,-1e-20],[1,1]]", "[]", "[[0,0]]"})
	if n := simulated(t, m, `{"least_samples":1}`, []string{"[[1,2]]", "[[3,4],[-1.5,2.25]]", "[[7,-8]]"}); n != 176 {
		t.Errorf("%d bytes", n)
	}
}
