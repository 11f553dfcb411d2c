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
)

// pooledHistogram is the result as text, from one party's look at all data: class after class.
func pooledHistogram(t fatal, texts, breaks []string, right bool) string {
	limits, data := numbersOf(t, breaks), numbersOf(t, texts)
	classes := len(limits) - 1
	counts, below, above, inside := make([]int, classes), 0, 0, 0
	for _, x := range data {
		if x.Cmp(limits[0]) < 0 {
			below++
			continue
		}
		if x.Cmp(limits[classes]) > 0 {
			above++
			continue
		}
		inside++
		for i := range classes {
			low, high := x.Cmp(limits[i]), x.Cmp(limits[i+1])
			if right && (low > 0 || i == 0 && low == 0) && high <= 0 || !right && low >= 0 && (high < 0 || i == classes-1 && high == 0) {
				counts[i]++
			}
		}
	}
	var edges, number, density, mids []string
	for i, limit := range limits {
		edges = append(edges, asJSON(limit))
		if i == classes {
			break
		}
		number = append(number, fmt.Sprint(counts[i]))
		mids = append(mids, asJSON(quotientOf(new(big.Rat).Add(limit, limits[i+1]), ratOf(2))))
		if inside > 0 {
			density = append(density, asJSON(quotientOf(big.NewRat(int64(counts[i]), int64(inside)), new(big.Rat).Sub(limits[i+1], limit))))
		}
	}
	join := func(list []string) string { return "[" + strings.Join(list, ",") + "]" }
	d, note := join(density), ""
	if inside == 0 {
		d, note = "null", `,"notes":{"density":"no sample lies within the breaks"}`
	}
	return fmt.Sprintf(`{"samples":%d,"breaks":%s,"counts":%s,"density":%s,"mids":%s,"below":%d,"above":%d%s}`,
		len(data), join(edges), join(number), d, join(mids), below, above, note)
}

func TestHistogramIsThatOfThePool(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		// Numbers and limits of one coarse grid meet often.
		number := rapid.Custom(func(rt *rapid.T) string {
			return fmt.Sprintf("%de-1", rapid.Int64Range(-20, 20).Draw(rt, "q"))
		})
		var breaks []string
		for q := rapid.Int64Range(-15, 10).Draw(rt, "first"); len(breaks) < 2 || q < 15 && rapid.Bool().Draw(rt, "more"); q += rapid.Int64Range(1, 7).Draw(rt, "width") {
			breaks = append(breaks, fmt.Sprintf("%de-1", q))
		}
		right := rapid.Bool().Draw(rt, "right")
		data := rapid.SliceOfN(number, 0, 40).Draw(rt, "data")
		parameters := fmt.Sprintf(`{"breaks":[%s],"right":%v}`, strings.Join(breaks, ","), right)
		want := pooledHistogram(rt, data, breaks, right)
		for range 2 {
			got, _, err := play(t, simon.Histogram(), simontest.Options{Seed: 3}, simon.Guard{}, split(rt, rapid.IntRange(2, 7).Draw(rt, "n"), data), parameters)
			if err != nil {
				rt.Fatal(err)
			}
			if got != want {
				rt.Fatalf("%s, want %s", got, want)
			}
		}
	})
}

func TestHistogramR(t *testing.T) {
	r := fromR(t, "hist-faithful")
	var data []string
	for i := range r.length(t, "data") {
		data = append(data, r.number(t, "data", i, 0).String())
	}
	for h := range r.length(t, "histograms") {
		parameters := fmt.Sprintf(`{"breaks":%s,"right":%s}`, r.json(t, "histograms", h, "breaks"), r.json(t, "histograms", h, "right"))
		got := decoded(t, mustPlay(t, simon.Histogram(), parameters, once(1, func(rt *rapid.T) []string { return split(rt, 3, data) })...))
		if got["below"] != json.Number("0") || got["above"] != json.Number("0") {
			t.Errorf("%v below, %v above", got["below"], got["above"])
		}
		for i := range r.length(t, "histograms", h, "counts") {
			near(t, fmt.Sprintf("count %d of %d", i, h), got["counts"].([]any)[i], r.number(t, "histograms", h, "counts", i), 16)
			near(t, fmt.Sprintf("density %d of %d", i, h), got["density"].([]any)[i], r.number(t, "histograms", h, "density", i), 14)
		}
	}
}

func TestHistogramCases(t *testing.T) {
	for _, c := range []struct {
		data             []string
		parameters, want string
	}{
		{[]string{"[0,1,2]", "[3,1.5,-1]"}, `{"breaks":[0,1,2]}`, `{"samples":6,"breaks":[0,1,2],"counts":[2,2],"density":[0.5,0.5],"mids":[0.5,1.5],"below":1,"above":1}`},
		{[]string{"[0,1,2]", "[3,1.5,-1]"}, `{"breaks":[0,1,2],"right":false}`, `{"samples":6,"breaks":[0,1,2],"counts":[1,3],"density":[0.25,0.75],"mids":[0.5,1.5],"below":1,"above":1}`},
		{[]string{"[0.1,0.3]", "0.30000000000000004"}, `{"breaks":[0.1,0.3]}`, `{"samples":3,"breaks":[0.1,0.3],"counts":[2],"density":[5],"mids":[0.2],"below":0,"above":1}`},
		{[]string{"[1e20,-1e20]", "1e-20"}, `{"breaks":[-1e22,0,2e-20,1e22]}`, `{"samples":3,"breaks":[-10000000000000000000000,0,2e-20,10000000000000000000000],"counts":[1,1,1],` +
			`"density":[3.3333333333333333e-23,16666666666666666000,3.3333333333333333e-23],"mids":[-5000000000000000000000,1e-20,5e+21],"below":0,"above":0}`},
		{[]string{"[]", "[]"}, `{"breaks":[0,1]}`, `{"samples":0,"breaks":[0,1],"counts":[0],"density":null,"mids":[0.5],"below":0,"above":0,"notes":{"density":"no sample lies within the breaks"}}`},
		{[]string{"2", "[]"}, `{"breaks":[0,1]}`, `{"samples":1,"breaks":[0,1],"counts":[0],"density":null,"mids":[0.5],"below":0,"above":1,"notes":{"density":"no sample lies within the breaks"}}`},
	} {
		if got := mustPlay(t, simon.Histogram(), c.parameters, c.data...); got != c.want {
			t.Errorf("%v:\n%s, want\n%s", c.data, got, c.want)
		}
	}
}

func TestHistogramRefuses(t *testing.T) {
	const breaks = `{"breaks":[0,1]}`
	for _, c := range []struct{ data, parameters, path, reason string }{
		{`[1]`, ``, "parameters.breaks", "is needed"},
		{`[1]`, `{"breaks":[1]}`, "parameters.breaks", "must be a list of 2"},
		{`[1]`, `{"breaks":1}`, "parameters.breaks", "must be a list of 2"},
		{`[1]`, `{"breaks":[0,1,1]}`, "parameters.breaks", "the same value"},
		{`[1]`, `{"breaks":[0,2,1]}`, "parameters.breaks", "must be ascending, in steps of at least 1e-20: it is not from index 1 to 2"},
		{`[1]`, `{"breaks":[1e-20,1.1e-20]}`, "parameters.breaks", "must be ascending"},
		{`[1]`, `{"breaks":[0,1e24]}`, "parameters.breaks", "at index 1 is out of range"},
		{`[1]`, `{"breaks":[1e-30,1]}`, "parameters.breaks", "at index 0 is too small"},
		{`[1]`, `{"breaks":[0,"1"]}`, "parameters.breaks", "at index 1 must be a number"},
		{`[1]`, `{"breaks":[0,1e999]}`, "parameters.breaks", "at index 1 must be a number"},
		{`[1]`, `{"breaks":[0,1],"right":1}`, "parameters.right", "must be true or false"},
		{`[1,"2"]`, breaks, "data[1]", "is text"},
		{`[1,[2]]`, breaks, "data[1]", "is a list"},
		{`[NaN]`, breaks, "data[0]", "is NaN"},
		{`[1e24]`, breaks, "data[0]", "|x| < 2.23e23"},
		{`[1e-21]`, breaks, "data[0]", "too small"},
	} {
		if path, reason := refusal(t, simon.Histogram(), c.data, c.parameters); path != c.path || !strings.Contains(reason, c.reason) {
			t.Errorf("%s %s: %s: %s, want %s: …%s…", c.data, c.parameters, path, reason, c.path, c.reason)
		}
	}
	many := make([]string, 1001)
	for i := range many {
		many[i] = fmt.Sprint(i)
	}
	if path, _ := refusal(t, simon.Histogram(), `[1]`, `{"breaks":[`+strings.Join(many, ",")+`]}`); path != "parameters.breaks" {
		t.Error(path)
	}
}

func TestHistogramRefusesTheImpossible(t *testing.T) {
	m := simon.Histogram()
	p, err := m.Prepare(strings.NewReader("[]"), json.RawMessage(`{"breaks":[0,1]}`), simon.Guard{})
	if err != nil {
		t.Fatal(err)
	}
	l := ring.Layout{{Name: "below", Limbs: 1, Count: 1}, {Name: "counts", Limbs: 1, Count: 1}, {Name: "above", Limbs: 1, Count: 1}}
	if l.Hash() != p.Layout {
		t.Fatal("another layout")
	}
	for _, x := range []struct {
		values []string
		ok     bool
	}{
		{[]string{"1", "2", "3"}, true},
		{[]string{"-1", "2", "3"}, false},
		{[]string{"1", "-2", "3"}, false},
		{[]string{"1", "2", "-3"}, false},
		{[]string{"0x10000000000", "0", "1"}, false},
		{[]string{"0x8000000000", "0x8000000000", "0"}, true},
		{[]string{"0x8000000000", "0x8000000000", "1"}, false},
	} {
		_, err := m.Finish(simon.Common{Parties: 2, Parameters: p.Parameters}, nil, opening(t, l, x.values...))
		if _, outcome := errors.AsType[*simon.OutcomeError](err); outcome == x.ok || (err == nil) != x.ok {
			t.Errorf("%v: %v", x.values, err)
		}
	}
	if _, err := m.Finish(simon.Common{Parties: 2, Parameters: []byte(`{}`)}, nil, []byte{1}); err == nil {
		t.Error("no breaks were taken for canonical")
	}
}

func TestHistogramGuard(t *testing.T) {
	const breaks = `{"breaks":[0,1,2]}`
	_, r, err := guarded(t, simon.Histogram(), breaks, many(10), many(10), many(9))
	if _, ok := errors.AsType[*simon.OutcomeError](err); !ok || len(r.Messages) != 6 || r.Messages[5].Label.Vector != "pool" {
		t.Errorf("%v, messages\n%s", err, shape(r))
	}
	if got, _, err := guarded(t, simon.Histogram(), breaks, many(10), many(10), many(10)); err != nil || !strings.Contains(got, `"counts":[3,27]`) {
		t.Errorf("%s, %v", got, err)
	}
}

func TestHistogramPrivacy(t *testing.T) {
	const breaks = `{"breaks":[0,1,2.5,4],"least_samples":1}`
	reprogrammed(t, simon.Histogram(), breaks, []string{"[1]", "[-3,0.5]", "[9,2,3]", "[]"}, []string{"[1]", "[2.25,3.5,-7]", "[0.75,10]", "[]"})
	constantLengths(t, simon.Histogram(), breaks, []string{"[]", "1"}, []string{"[-1e20,1e20]", "[0,0,0]"})
	if n := simulated(t, simon.Histogram(), breaks, []string{"[1]", "[]", "[9,2,3]"}); n != 40 {
		t.Errorf("%d bytes", n)
	}
}
