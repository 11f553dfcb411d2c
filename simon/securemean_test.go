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

func TestMeanIsExact(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		numbers := rapid.SliceOfN(rapid.Custom(drawDecimal), 1, 40).Draw(rt, "numbers")
		sum := sumOver(len(numbers), func(i int) *big.Rat { return numbersOf(rt, numbers[i:i+1])[0] })
		want := fmt.Sprintf(`{"samples":%d,"mean":%s,"sum":%s}`, len(numbers), asJSON(quotientOf(sum, ratOf(len(numbers)))), asJSON(sum))
		for range 2 {
			data := split(rt, rapid.IntRange(2, 7).Draw(rt, "n"), numbers)
			got, _, err := play(t, simon.SecureMean(), simontest.Options{Seed: rapid.Uint64().Draw(rt, "seed")}, simon.Guard{}, data, "")
			if err != nil {
				rt.Fatal(err)
			}
			if got != want {
				rt.Fatalf("%s, want %s", got, want)
			}
		}
	})
}

func TestMeansOfListsAreExact(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		columns := rapid.IntRange(1, 4).Draw(rt, "columns")
		rows := rapid.SliceOfN(rapid.SliceOfN(rapid.Custom(drawDecimal), columns, columns), 1, 10).Draw(rt, "rows")
		var texts, means, sums []string
		for _, row := range rows {
			texts = append(texts, "["+strings.Join(row, ",")+"]")
		}
		for k := range columns {
			sum := sumOver(len(rows), func(i int) *big.Rat { return numbersOf(rt, rows[i][k:k+1])[0] })
			means, sums = append(means, asJSON(quotientOf(sum, ratOf(len(rows))))), append(sums, asJSON(sum))
		}
		parameters := fmt.Sprintf(`{"columns":%d}`, columns) // a party without rows has to say
		got, _, err := play(t, simon.SecureMean(), simontest.Options{}, simon.Guard{}, split(rt, rapid.IntRange(2, 7).Draw(rt, "n"), texts), parameters)
		if err != nil {
			rt.Fatal(err)
		}
		if want := fmt.Sprintf(`{"samples":%d,"mean":[%s],"sum":[%s]}`, len(rows), strings.Join(means, ","), strings.Join(sums, ",")); got != want {
			rt.Fatalf("%s, want %s", got, want)
		}
	})
}

func TestMeanCases(t *testing.T) {
	for _, c := range []struct {
		data       []string
		parameters string
		want       string
	}{
		{[]string{"85", "120", "-7"}, ``, `{"samples":3,"mean":66,"sum":198}`},
		{[]string{"0.1", "[0.2,0.3]"}, ``, `{"samples":3,"mean":0.2,"sum":0.6}`},
		{[]string{"[1,2]", "[]"}, ``, `{"samples":2,"mean":1.5,"sum":3}`},
		{[]string{"1e-20", "-2e-20"}, ``, `{"samples":2,"mean":-5e-21,"sum":-1e-20}`},
		{[]string{"223007451985306231415357", "1"}, ``, `{"samples":2,"mean":111503725992653115707679,"sum":223007451985306231415358}`},
		{[]string{"[[1,2],[3,4.5]]", "[[-1,0.5]]"}, ``, `{"samples":3,"mean":[1,2.3333333333333335],"sum":[3,7]}`},
		{[]string{"[]", "[]"}, ``, `{"samples":0,"mean":null,"sum":0,"notes":{"mean":"there are no samples"}}`},
		{[]string{"[]", "[]"}, `{"columns":2}`, `{"samples":0,"mean":null,"sum":[0,0],"notes":{"mean":"there are no samples"}}`},
	} {
		if got := mustPlay(t, simon.SecureMean(), c.parameters, c.data...); got != c.want {
			t.Errorf("%v: %s, want %s", c.data, got, c.want)
		}
	}
}

func TestMeanRefuses(t *testing.T) {
	for _, c := range []struct{ data, parameters, path, reason string }{
		{`[1,"2"]`, ``, "data[1]", "is text"},
		{`[[1,2],[3]]`, ``, "data[1]", "fewer numbers than the 2 that data[0] has"},
		{`[[1,NaN]]`, ``, "data[0][1]", "is NaN"},
		{`[1e24]`, ``, "data[0]", "|x| < 2.23e23"},
		{`[[1]]`, `{"columns":2}`, "data[0]", "fewer numbers than the 2 that parameters.columns says"},
		{`[1]`, `{"columns":-2}`, "parameters.columns", "integer from 0"},
		{`[1]`, `{"outputs":["mean"]}`, "parameters.outputs", "is unknown"},
	} {
		if path, reason := refusal(t, simon.SecureMean(), c.data, c.parameters); path != c.path || !strings.Contains(reason, c.reason) {
			t.Errorf("%s %s: %s: %s, want %s: …%s…", c.data, c.parameters, path, reason, c.path, c.reason)
		}
	}
}

// The mean is held to the pool that a policy asks for where sums of values are opened, not to that of higher moments.
func TestMeanGuard(t *testing.T) {
	m := simon.SecureMean()
	_, r, err := guarded(t, m, "", many(10), many(10), many(9))
	if _, ok := errors.AsType[*simon.OutcomeError](err); !ok || len(r.Messages) != 6 || r.Messages[5].Label.Vector != "pool" {
		t.Errorf("%v, messages\n%s", err, shape(r))
	}
	if got, _, err := guarded(t, m, "", many(10), many(10), many(10)); err != nil || got != `{"samples":30,"mean":1.9,"sum":57}` {
		t.Errorf("%s, %v", got, err)
	}
	if _, _, err := guarded(t, m, "", many(30), many(10), "[]"); err == nil {
		t.Error("two of three parties were enough")
	}
	p, err := m.Prepare(strings.NewReader("1"), json.RawMessage(`{"least_samples":29}`), simon.Guard{})
	if err != nil || m.Check(p.Parameters, strict) == nil {
		t.Errorf("%v, and a guard takes a lower bound", err)
	}
}

func TestMeanRefusesTheImpossible(t *testing.T) {
	m := simon.SecureMean()
	p, err := m.Prepare(strings.NewReader("1"), nil, simon.Guard{})
	if err != nil {
		t.Fatal(err)
	}
	c := simon.Common{Parties: 2, Parameters: p.Parameters}
	l := ring.Layout{{Name: "samples", Limbs: 1, Count: 1}, {Name: "sum", Limbs: 3, Count: 1}}
	if l.Hash() != p.Layout {
		t.Fatal("the layout is not that of SecureSum")
	}
	bound := new(big.Int).Lsh(big.NewInt(3), 144)
	for _, x := range []struct {
		samples string
		sum     *big.Int
		ok      bool
	}{
		{"3", new(big.Int).Sub(bound, big.NewInt(1)), true},
		{"3", bound, false},
		{"3", new(big.Int).Neg(bound), false},
		{"0", big.NewInt(0), true},
		{"0", big.NewInt(1), false},
		{"-1", big.NewInt(0), false},
		{"0x10000000001", big.NewInt(0), false},
	} {
		_, err := m.Finish(c, nil, opening(t, l, x.samples, x.sum.String()))
		if _, outcome := errors.AsType[*simon.OutcomeError](err); outcome == x.ok || (err == nil) != x.ok {
			t.Errorf("%s samples, sum %v: %v", x.samples, x.sum, err)
		}
	}
	for _, parameters := range []string{`{}`, `{"columns":null}`} {
		if _, err := m.Finish(simon.Common{Parties: 2, Parameters: []byte(parameters)}, nil, opening(t, l, "1", "1")); err == nil {
			t.Errorf("parameters %s were taken for canonical", parameters)
		}
	}
}

func TestMeanPrivacy(t *testing.T) {
	m := simon.SecureMean()
	reprogrammed(t, m, "", []string{"7", "[1.5, 2]", "[3]", "-8"}, []string{"7", "[-6.25]", "[12.25, 0.5]", "-8"})
	reprogrammed(t, m, `{"least_samples":1}`, []string{"[[7,1]]", "[[1.5,2]]", "[[3,-1]]"}, []string{"[[7,1]]", "[[3.5,-7]]", "[[1,8]]"})
	constantLengths(t, m, `{"columns":2,"least_samples":0}`, []string{"[]", "[[1,2]]"}, []string{"[[-1e20,3],[1e-20,9]]", "[[0,0]]"})
}

func BenchmarkFinishMean(b *testing.B) {
	m := simon.SecureMean()
	const columns = 100_000
	p, err := m.Prepare(strings.NewReader("[["+strings.Repeat("123456.789,", columns-1)+"2]]"), nil, simon.Guard{})
	if err != nil {
		b.Fatal(err)
	}
	opened := slices.Concat([]byte{3}, make([]byte, 16), p.Input[9:])
	for b.Loop() {
		if _, err := m.Finish(simon.Common{Parties: 2, Parameters: p.Parameters}, nil, opened); err != nil {
			b.Fatal(err)
		}
	}
}
