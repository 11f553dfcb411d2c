package simon_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/weftmpc/weft/simon"
	"github.com/weftmpc/weft/simon/ring"
	"github.com/weftmpc/weft/simon/simontest"
	"github.com/weftmpc/weft/simon/special"
)

func byGroup(t testing.TB, f fatal, parameters string, data ...string) map[string]any {
	got, _, err := play(t, simon.StatisticsByGroup(), simontest.Options{Seed: 3}, simon.Guard{}, data, parameters)
	if err != nil {
		f.Fatal(err)
	}
	return decoded(f, got)
}

// checkGroup compares one group of a result with what its numbers give. Its interval is checked by its probability.
func checkGroup(t fatal, result map[string]any, g int, label any, texts []string, level string) {
	data := numbersOf(t, texts)
	n := len(data)
	want := map[string]any{"samples": n, "sum": sumOver(n, func(i int) *big.Rat { return data[i] }), "mean": nil, "variance": nil, "standard_deviation": nil, "standard_error": nil}
	var mean *big.Rat
	if n > 0 {
		mean = quotientOf(want["sum"].(*big.Rat), ratOf(n))
		want["mean"] = mean
	}
	if n > 1 {
		variance := quotientOf(sumOver(n, func(i int) *big.Rat {
			return new(big.Rat).Mul(new(big.Rat).Sub(data[i], mean), new(big.Rat).Sub(data[i], mean))
		}), ratOf(n-1))
		want["variance"], want["standard_deviation"], want["standard_error"] = variance, root600(variance), root600(quotientOf(variance, ratOf(n)))
	}
	group := result["groups"].([]any)[g].(map[string]any)
	if group["group"] != label {
		t.Fatalf("group %d is %v, want %v", g, group["group"], label)
	}
	notes := map[string]any{} // those of this group, as matches wants them
	all, _ := result["notes"].(map[string]any)
	for path, why := range all {
		if name, ok := strings.CutPrefix(path, fmt.Sprintf("groups[%d].", g)); ok {
			notes[name] = why
		}
	}
	if group["notes"] = notes; len(notes) == 0 {
		group["notes"] = nil
	}
	matches(t, group, want)

	limits, _ := group["conf_int"].([]any)
	if n < 2 {
		if group["conf_int"] != nil || noteOn(group, "conf_int") == "" {
			t.Fatalf("the interval of %d samples is %v", n, group["conf_int"])
		}
		return
	}
	low, high := resultNumber(t, limits[0]), resultNumber(t, limits[1])
	variance := want["variance"].(*big.Rat)
	if variance.Sign() == 0 {
		if asJSON(low) != asJSON(mean) || asJSON(high) != asJSON(mean) {
			t.Fatalf("%v for equal samples", limits)
		}
		return
	}
	se := new(big.Float).SetPrec(special.Prec).Set(want["standard_error"].(*big.Float))
	tail := quotientOf(new(big.Rat).Sub(ratOf(1), numbersOf(t, []string{level})[0]), ratOf(2))
	for _, reach := range []*big.Rat{new(big.Rat).Sub(high, mean), new(big.Rat).Sub(mean, low)} {
		// The limit is a double next to a mean that may be much larger than the interval: so is what it may be off by.
		slack, _ := new(big.Float).Quo(in600(new(big.Rat).Abs(mean)), se).Float64()
		p := special.StudentUpper(new(big.Float).Quo(special.FromRat(reach), se), special.Int(int64(n-1)))
		off, _ := p.Sub(p, special.FromRat(tail)).Float64()
		if limit := (1e-13 + slack*0x1p-52); off > limit || off < -limit {
			t.Fatalf("the interval %v of %v leaves %v too much on one side", limits, texts, off)
		}
	}
}

func TestByGroupIsThatOfThePool(t *testing.T) {
	labels := []string{`"a"`, `1`, `"1"`, `true`}
	decodedLabels := []any{"a", json.Number("1"), "1", true}
	for seed := range 15 { // quantiles take their time
		once(seed, func(rt *rapid.T) bool {
			groups := make([][]string, rapid.IntRange(1, len(labels)).Draw(rt, "groups"))
			var rows []string
			for range rapid.IntRange(0, 15).Draw(rt, "samples") {
				g, x := rapid.IntRange(0, len(groups)-1).Draw(rt, "group"), rapid.Custom(drawSample).Draw(rt, "x")
				groups[g] = append(groups[g], x)
				rows = append(rows, "["+x+","+labels[g]+"]")
			}
			level := rapid.SampledFrom([]string{"0.95", "0.5", "0.999"}).Draw(rt, "level")
			parameters := fmt.Sprintf(`{"groups":[%s],"conf_level":%s}`, strings.Join(labels[:len(groups)], ","), level)
			got := byGroup(t, t, parameters, split(rt, rapid.IntRange(2, 7).Draw(rt, "n"), rows)...)
			if again := byGroup(t, t, parameters, split(rt, 2, rows)...); fmt.Sprint(again) != fmt.Sprint(got) {
				t.Fatalf("%v\nin another partition\n%v", got, again)
			}
			if got["samples"] != json.Number(fmt.Sprint(len(rows))) || got["conf_level"] != json.Number(level) {
				t.Fatalf("%v samples of %d, level %v", got["samples"], len(rows), got["conf_level"])
			}
			for g, texts := range groups {
				checkGroup(t, got, g, decodedLabels[g], texts, level)
			}
			return true
		})
	}
}

func TestByGroupR(t *testing.T) {
	r := fromR(t, "means-chickwts")
	var rows, names []string
	for i := range r.length(t, "data") {
		rows = append(rows, r.json(t, "data", i))
	}
	for g := range r.length(t, "groups") {
		names = append(names, r.json(t, "groups", g, "group"))
	}
	got := byGroup(t, t, `{"groups":[`+strings.Join(names, ",")+`]}`, once(1, func(rt *rapid.T) []string { return split(rt, 3, rows) })...)
	for g := range names {
		group := got["groups"].([]any)[g].(map[string]any)
		for field, name := range map[string]string{"samples": "n", "mean": "mean", "variance": "var", "standard_deviation": "sd"} {
			near(t, names[g]+" "+field, group[field], r.number(t, "groups", g, name), 14)
		}
		limits := group["conf_int"].([]any)
		near(t, names[g]+" lower", limits[0], r.number(t, "groups", g, "lower"), 12)
		near(t, names[g]+" upper", limits[1], r.number(t, "groups", g, "upper"), 12)
	}
}

func TestByGroupCases(t *testing.T) {
	for _, c := range []struct {
		data             []string
		parameters, want string
	}{
		{[]string{"[]", "[]"}, `{"groups":["a"]}`, `{"samples":0,"conf_level":0.95,"groups":[{"group":"a","samples":0,"sum":0,"mean":null,"variance":null,"standard_deviation":null,"standard_error":null,"conf_int":null}],` +
			`"notes":{"groups[0].mean":"there are no samples","groups[0].variance":"it needs at least two samples","groups[0].standard_deviation":"it needs at least two samples",` +
			`"groups[0].standard_error":"it needs at least two samples","groups[0].conf_int":"it needs at least two samples"}}`},
		{[]string{`[[1,"a"],[3,"a"]]`, `[[5,"a"],[2.5,"b"]]`}, `{"groups":["b","a"],"conf_level":0.5}`,
			`{"samples":4,"conf_level":0.5,"groups":[{"group":"b","samples":1,"sum":2.5,"mean":2.5,"variance":null,"standard_deviation":null,"standard_error":null,"conf_int":null},` +
				// The quartile of t with 2 degrees of freedom is √(2/3), and so the reach here 2√2/3.
				`{"group":"a","samples":3,"sum":9,"mean":3,"variance":4,"standard_deviation":2,"standard_error":1.1547005383792515,"conf_int":[2.0571909584179364,3.9428090415820636]}],` +
				`"notes":{"groups[0].variance":"it needs at least two samples","groups[0].standard_deviation":"it needs at least two samples","groups[0].standard_error":"it needs at least two samples",` +
				`"groups[0].conf_int":"it needs at least two samples"}}`},
		// Each size has its own quantile: here that of the Cauchy distribution, 1, and with 2 degrees of freedom √(2/3).
		{[]string{`[[1,1],[3,1]]`, `[[1,2],[3,2],[5,2]]`}, `{"groups":[1,2],"conf_level":0.5}`,
			`{"samples":5,"conf_level":0.5,"groups":[{"group":1,"samples":2,"sum":4,"mean":2,"variance":2,"standard_deviation":1.4142135623730951,"standard_error":1,"conf_int":[1,3]},` +
				`{"group":2,"samples":3,"sum":9,"mean":3,"variance":4,"standard_deviation":2,"standard_error":1.1547005383792515,"conf_int":[2.0571909584179364,3.9428090415820636]}]}`},
		{[]string{`[[7,true]]`, `[[7,true]]`}, `{"groups":[true]}`,
			`{"samples":2,"conf_level":0.95,"groups":[{"group":true,"samples":2,"sum":14,"mean":7,"variance":0,"standard_deviation":0,"standard_error":0,"conf_int":[7,7]}]}`},
	} {
		if got := mustPlay(t, simon.StatisticsByGroup(), c.parameters, c.data...); got != c.want {
			t.Errorf("%v:\n%s, want\n%s", c.data, got, c.want)
		}
	}
}

func TestByGroupRefuses(t *testing.T) {
	const groups = `{"groups":["a",1]}`
	for _, c := range []struct{ data, parameters, path, reason string }{
		{`[[1,"a"]]`, ``, "parameters.groups", "is needed"},
		{`[[1,"a"]]`, `{"groups":[]}`, "parameters.groups", "must be a list of 1"},
		{`[[1,"a"]]`, `{"groups":["a","a"]}`, "parameters.groups", "the same value"},
		{`[[1,"a"]]`, `{"groups":[1.5]}`, "parameters.groups", "at index 0"},
		{`[[1,"a"]]`, `{"groups":["a"],"conf_level":1}`, "parameters.conf_level", "between 0 and 1"},
		{`[[1,"a"],[2,"b"]]`, groups, "data[1][1]", "is no group of parameters.groups"},
		{`[[2,"1"]]`, groups, "data[0][1]", "is no group of parameters.groups"},
		{`[[2,true]]`, groups, "data[0][1]", "is no group of parameters.groups"},
		{`[[2,null]]`, groups, "data[0][1]", "is null"},
		{`[["a",2]]`, groups, "data[0][0]", "is text"},
		{`[[2]]`, groups, "data[0]", "fewer than 2"},
		{`[2]`, groups, "data[0]", "is a single value"},
		{`[[6e13,"a"]]`, groups, "data[0][0]", "|x| < 5.19e13"},
	} {
		path, reason := refusal(t, simon.StatisticsByGroup(), c.data, c.parameters)
		if path != c.path || !strings.Contains(reason, c.reason) {
			t.Errorf("%s %s: %s: %s, want %s: …%s…", c.data, c.parameters, path, reason, c.path, c.reason)
		}
	}
	if _, reason := refusal(t, simon.StatisticsByGroup(), `[[77777,"secret"]]`, groups); strings.Contains(reason, "secret") || strings.Contains(reason, "777") {
		t.Errorf("%s tells of the data", reason)
	}
}

func TestByGroupRefusesTheImpossible(t *testing.T) {
	m := simon.StatisticsByGroup()
	p, err := m.Prepare(strings.NewReader("[]"), json.RawMessage(`{"groups":["a"]}`), simon.Guard{})
	if err != nil {
		t.Fatal(err)
	}
	l := ring.Layout{{Name: "samples", Limbs: 1, Count: 1}, {Name: "sums", Limbs: 3, Count: 1}, {Name: "squares", Limbs: 5, Count: 1}}
	if l.Hash() != p.Layout {
		t.Fatal("another layout")
	}
	for _, x := range []struct {
		values []string
		ok     bool
	}{
		{[]string{"2", "3", "5"}, true},
		{[]string{"0", "0", "0"}, true},
		{[]string{"0", "1", "1"}, false},
		{[]string{"-1", "0", "0"}, false},
		{[]string{"2", "3", "4"}, false},
		{[]string{"2", "0", "-1"}, false},
	} {
		_, err := m.Finish(simon.Common{Parties: 2, Parameters: p.Parameters}, nil, opening(t, l, x.values...))
		if _, outcome := errors.AsType[*simon.OutcomeError](err); outcome == x.ok || (err == nil) != x.ok {
			t.Errorf("%v: %v", x.values, err)
		}
	}
}

func TestByGroupGuard(t *testing.T) {
	rows := func(n int) string { return `[[1,"a"]` + strings.Repeat(`,[2,"b"]`, n-1) + "]" }
	m := simon.StatisticsByGroup()
	_, r, err := guarded(t, m, `{"groups":["a","b"]}`, rows(10), rows(10), rows(9))
	if _, ok := errors.AsType[*simon.OutcomeError](err); !ok || len(r.Messages) != 6 || r.Messages[5].Label.Vector != "pool" {
		t.Errorf("%v, messages\n%s", err, shape(r))
	}
	if got, _, err := guarded(t, m, `{"groups":["a","b"]}`, rows(10), rows(10), rows(10)); err != nil || got == "" {
		t.Errorf("%s, %v", got, err)
	}
}

func TestByGroupPrivacy(t *testing.T) {
	m := simon.StatisticsByGroup()
	const groups = `{"groups":["a","b","c"],"least_samples":1}`
	reprogrammed(t, m, groups,
		[]string{`[[1,"a"]]`, `[[3,"a"],[-2,"b"]]`, `[[4.5,"b"],[7,"a"]]`, `[]`},
		[]string{`[[1,"a"]]`, `[[7,"a"]]`, `[[-2,"b"],[4.5,"b"],[3,"a"]]`, `[]`})
	constantLengths(t, m, groups, []string{`[]`, `[[1,"a"]]`}, []string{`[[5e13,"c"],[-1e-20,"c"]]`, `[[0,"b"]]`})
	if n := simulated(t, m, groups, []string{`[[1,"a"]]`, `[]`, `[[-3,"b"]]`}); n != 3*72 {
		t.Errorf("%d bytes", n)
	}
}
