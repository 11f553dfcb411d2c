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
	"github.com/weftmpc/weft/simon/simontest"
)

// estimates are Kaplan and Meier's, in fractions: counts are events and censored subjects, in turns, by time.
func estimates(counts []int64) []*big.Rat {
	curve := make([]*big.Rat, len(counts)/2)
	s := big.NewRat(1, 1)
	for i := range curve {
		n := int64(0)
		for _, c := range counts[2*i:] {
			n += c
		}
		if d := counts[2*i]; d > 0 {
			s = new(big.Rat).Mul(s, big.NewRat(n-d, n))
		}
		curve[i] = s
	}
	return curve
}

// every calls f with all tables that look like counts where those below least are hidden.
func every(counts []int64, least int64, f func(counts []int64)) {
	for i, c := range counts {
		if c != 0 {
			continue
		}
		for c := range least {
			filled := append([]int64{}, counts...)
			if filled[i] = c; c == 0 {
				filled[i] = -1 // 0 for certain
			}
			every(filled, least, f)
		}
		return
	}
	for i, c := range counts {
		counts[i] = max(c, 0)
	}
	f(counts)
}

// medianOf is the first time, 1 for the first point, at which a curve is at most 1/2, or the middle of those at which it is 1/2.
func medianOf(counts []int64) *big.Rat {
	half := big.NewRat(1, 2)
	last := 0
	for i := range len(counts) / 2 {
		if counts[2*i]+counts[2*i+1] > 0 {
			last = i
		}
	}
	curve := estimates(counts)
	for i, s := range curve {
		switch s.Cmp(half) {
		case -1:
			return big.NewRat(int64(i+1), 1)
		case 0:
			until := last
			for k := i + 1; k < len(curve); k++ {
				if counts[2*k] > 0 {
					until = k
					break
				}
			}
			return big.NewRat(int64(i+until+2), 2)
		}
	}
	return nil
}

// TestBoundsOfHiddenCurves: the bounds are the least and the largest of the curves and numbers at risk of all tables that show
// the same, and the medians of all these lie within their bounds.
func TestBoundsOfHiddenCurves(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		least := rapid.Int64Range(2, 3).Draw(rt, "suppress_below")
		counts := rapid.SliceOfN(rapid.SampledFrom([]int64{0, 1, 2, 3, 4, 5, 9}), 6, 6).Draw(rt, "counts")
		var rows []string
		shown := make([]int64, len(counts))
		for i, c := range counts {
			if c >= least {
				shown[i] = c
			}
			for range c {
				rows = append(rows, fmt.Sprintf("[%d,%d]", i/2+1, 1-i%2))
			}
		}
		parameters := fmt.Sprintf(`{"times":[1,2,3],"suppress_below":%d}`, least)
		data := split(rt, 3, rows)
		text, _, err := play(t, simon.KaplanMeier(), simontest.Options{Seed: 1}, simon.Guard{}, data, parameters)
		if err != nil {
			rt.Fatal(err)
		}
		conforms(t, simon.KaplanMeier(), data, parameters, text)
		var lowest, highest [3]*big.Rat
		var fewest, most [3]int64
		var medians []*big.Rat
		tables := 0
		every(shown, least, func(counts []int64) {
			for i, s := range estimates(counts) {
				n := int64(0)
				for _, c := range counts[2*i:] {
					n += c
				}
				if tables == 0 {
					lowest[i], highest[i], fewest[i], most[i] = s, s, n, n
				}
				if fewest[i], most[i] = min(fewest[i], n), max(most[i], n); s.Cmp(lowest[i]) < 0 {
					lowest[i] = s
				}
				if s.Cmp(highest[i]) > 0 {
					highest[i] = s
				}
			}
			medians = append(medians, medianOf(counts))
			tables++
		})
		group := follow(t, decoded(t, text), "groups", 0)
		table := follow(t, group, "table").([]any)
		if tables == 1 { // all is shown
			for i, s := range estimates(counts) {
				same(rt, "survival", follow(t, table[i], "survival"), s)
			}
			if _, there := group.(map[string]any)["median_bounds"]; there || follow(t, table[0], "conf_int") == nil {
				rt.Fatalf("nothing is hidden in %s", text)
			}
			return
		}
		if len(table) != 3 || follow(t, group, "median") != nil || follow(t, group, "median_conf_int") != nil {
			rt.Fatalf("%s", text)
		}
		for i, row := range table {
			lower, upper := pairOf(follow(t, row, "survival_bounds"))
			same(rt, fmt.Sprintf("least survival at %d", i+1), lower, lowest[i])
			same(rt, fmt.Sprintf("largest survival at %d", i+1), upper, highest[i])
			lower, upper = pairOf(follow(t, row, "n_risk_bounds"))
			same(rt, fmt.Sprintf("fewest at risk at %d", i+1), lower, big.NewRat(fewest[i], 1))
			same(rt, fmt.Sprintf("most at risk at %d", i+1), upper, big.NewRat(most[i], 1))
			for k, name := range []string{"n_event", "n_censor"} {
				var want any
				if c := shown[2*i+k]; c > 0 {
					want = json.Number(fmt.Sprint(c))
				}
				if got := follow(t, row, name); got != want {
					rt.Fatalf("%s at %d is %v, want %v", name, i+1, got, want)
				}
			}
			for _, name := range []string{"n_risk", "survival", "std_error", "conf_int", "conf_int_plain"} {
				if got := follow(t, row, name); got != nil {
					rt.Fatalf("%s at %d is %v, though counts are hidden", name, i+1, got)
				}
			}
		}
		first, last := pairOf(follow(t, group, "median_bounds"))
		for _, m := range medians {
			if m == nil && last != nil || m != nil && (first == nil || m.Cmp(numbersOf(rt, []string{fmt.Sprint(first)})[0]) < 0 || last != nil && m.Cmp(numbersOf(rt, []string{fmt.Sprint(last)})[0]) > 0) {
				rt.Fatalf("a median may be %v, and is said to be from %v to %v", m, first, last)
			}
		}
	})
}

// TestWhatIsHiddenBelowOne: nothing is, and the result is that without hiding, but for the note of what null would be.
func TestWhatIsHiddenBelowOne(t *testing.T) {
	data := []string{`[[1,1,"a"],[2,0,"b"],[0.25,1,"b"]]`, `[[3,1,"a"],[3,0,"a"]]`, `[[1.5,1,"b"]]`}
	const parameters = `{"groups":["a","b","never"],"times":[0.5,1,2,3],"suppress_below":%d}`
	all := decoded(t, mustPlay(t, simon.KaplanMeier(), fmt.Sprintf(parameters, 0), data...))
	one := decoded(t, mustPlay(t, simon.KaplanMeier(), fmt.Sprintf(parameters, 1), data...))
	delete(all, "notes")
	delete(one, "notes")
	want, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	if !equalJSON(t, one, string(want)) {
		t.Errorf("%v, want %s", one, want)
	}
}

// TestHiddenCurvesNeedAGrid: private times cannot be hidden, and grids have bounds; both are told before anything is sent, also
// where a policy asks.
func TestHiddenCurvesNeedAGrid(t *testing.T) {
	grid := func(n int) string {
		b := []byte("[")
		for i := range n {
			b = fmt.Appendf(b, "%d,", i)
		}
		return string(append(b[:len(b)-1], ']'))
	}
	groups := `"groups":[1,2,3,4,5,6]`
	for parameters, want := range map[string]string{
		`{"suppress_below":5}`:         "is missing",
		`{"suppress_below":0}`:         "must be at least 5",
		`{}`:                           "is missing",
		`{"times":` + grid(1000) + `}`: "",
		`{"times":` + grid(833) + `,` + groups + `}`:                    "",
		`{"times":` + grid(834) + `,` + groups + `}`:                    "at most 5000",
		`{"times":` + grid(834) + `,` + groups + `,"suppress_below":0}`: "must be at least 5",
	} {
		_, err := simon.KaplanMeier().Prepare(strings.NewReader("[]"), json.RawMessage(parameters), simon.Guard{Suppress: 5})
		input, ok := errors.AsType[*simon.InputError](err)
		if want == "" && err != nil || want != "" && (!ok || !strings.Contains(input.Reason, want)) {
			t.Errorf("%.60s: %v", parameters, err)
		}
	}
}
