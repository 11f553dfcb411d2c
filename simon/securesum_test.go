package simon_test

import (
	"context"
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

// compute plays SecureSum with one JSON text per party and returns the result, which all parties must agree on.
func compute(t *testing.T, o simontest.Options, data []string, parameters string) (string, *simontest.Record, error) {
	t.Helper()
	return play(t, simon.SecureSum(), o, simon.Guard{}, data, parameters)
}

func mustCompute(t *testing.T, data ...string) string {
	t.Helper()
	got, _, err := compute(t, simontest.Options{Seed: 5}, data, "")
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// pooled is the sum of decimal texts in math/big, as JSON: exact if integral, else the nearest double.
func pooled(t interface{ Fatal(...any) }, numbers []string) string {
	sum := new(big.Rat)
	for _, s := range numbers {
		x, ok := new(big.Rat).SetString(s)
		if !ok {
			t.Fatal(s)
		}
		sum.Add(sum, x)
	}
	if sum.IsInt() {
		return sum.Num().String()
	}
	x, _ := sum.Float64()
	b, err := json.Marshal(x)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// drawDecimal draws a number that has at most 20 decimals and 17 digits, so that the encoding is exact.
func drawDecimal(t *rapid.T) string {
	q := rapid.OneOf(rapid.Int64Range(-99, 99), rapid.Int64Range(-99999999999999999, 99999999999999999)).Draw(t, "q")
	return fmt.Sprintf("%de%d", q, rapid.IntRange(-20, 6).Draw(t, "exponent"))
}

func TestSumIsExact(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(2, 16).Draw(rt, "n")
		numbers := rapid.SliceOfN(rapid.Custom(drawDecimal), 0, 40).Draw(rt, "numbers")
		want := fmt.Sprintf(`{"samples":%d,"sum":%s}`, len(numbers), pooled(rt, numbers))
		// Two partitions of two orders of the samples: one result, bit for bit.
		for _, order := range [][]string{numbers, rapid.Permutation(numbers).Draw(rt, "permutation")} {
			parts := make([][]string, n)
			for _, x := range order {
				i := rapid.IntRange(0, n-1).Draw(rt, "party")
				parts[i] = append(parts[i], x)
			}
			data := make([]string, n)
			for i, p := range parts {
				data[i] = "[" + strings.Join(p, ", ") + "]"
			}
			got, _, err := compute(t, simontest.Options{Seed: rapid.Uint64().Draw(rt, "seed")}, data, "")
			if err != nil {
				rt.Fatal(err)
			}
			if got != want {
				rt.Fatalf("%s, want %s", got, want)
			}
		}
	})
}

func TestVectorSumIsExact(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(2, 6).Draw(rt, "n")
		columns := rapid.IntRange(1, 5).Draw(rt, "columns")
		pool := make([][]string, columns)
		data, samples := make([]string, n), 0
		for i := range data {
			var rows []string
			for range rapid.IntRange(0, 4).Draw(rt, "rows") {
				row := rapid.SliceOfN(rapid.Custom(drawDecimal), columns, columns).Draw(rt, "row")
				rows = append(rows, "["+strings.Join(row, ",")+"]")
				for k, x := range row {
					pool[k] = append(pool[k], x)
				}
				samples++
			}
			data[i] = "[" + strings.Join(rows, ",") + "]"
		}
		sums := make([]string, columns)
		for k := range sums {
			sums[k] = pooled(rt, pool[k])
		}
		got, _, err := compute(t, simontest.Options{}, data, fmt.Sprintf(`{"columns":%d}`, columns))
		if err != nil {
			rt.Fatal(err)
		}
		if want := fmt.Sprintf(`{"samples":%d,"sum":[%s]}`, samples, strings.Join(sums, ",")); got != want {
			rt.Fatalf("%s, want %s", got, want)
		}
	})
}

func TestSumOf128(t *testing.T) {
	var data []string
	for i := range 128 {
		data = append(data, fmt.Sprintf("[%d.25, -1]", i))
	}
	if got, want := mustCompute(t, data...), `{"samples":256,"sum":8032}`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestSumCases(t *testing.T) {
	for _, c := range []struct {
		data []string
		want string
	}{
		{[]string{"85", "120", "-7"}, `{"samples":3,"sum":198}`},
		{[]string{"0.1", "0.2"}, `{"samples":2,"sum":0.3}`},
		{[]string{"-0.0", "[-0]"}, `{"samples":2,"sum":0}`},
		{[]string{"[]", "[]"}, `{"samples":0,"sum":0}`},
		{[]string{"[]", "[1.5, 2.5]"}, `{"samples":2,"sum":4}`},
		{[]string{"1e-20", "-2e-20"}, `{"samples":2,"sum":-1e-20}`},
		{[]string{"1e-13", "1e-13"}, `{"samples":2,"sum":2e-13}`}, // the reference's grid of 1e-12 gives 0
		{[]string{"9007199254740993", "0"}, `{"samples":2,"sum":9007199254740993}`},
		{[]string{"223007451985306231415357", "[223007451985306231415357, 1]"}, `{"samples":3,"sum":446014903970612462830715}`},
		{[]string{"-223007451985306231415357", "[-223007451985306231415357]"}, `{"samples":2,"sum":-446014903970612462830714}`},
		{[]string{" [ 1 ,\n2.0e0\t] ", "\r\n[3E0]"}, `{"samples":3,"sum":6}`},
		{[]string{"[[1,2],[3,4.5]]", "[[-1,0.5]]"}, `{"samples":3,"sum":[3,7]}`},
		{[]string{"[[0.1]]", "[[0.2]]"}, `{"samples":2,"sum":[0.3]}`},
	} {
		if got := mustCompute(t, c.data...); got != c.want {
			t.Errorf("%v: %s, want %s", c.data, got, c.want)
		}
	}
}

func TestEmptyPartyInAVectorSum(t *testing.T) {
	got, _, err := compute(t, simontest.Options{}, []string{"[]", "[[1,2,3]]"}, `{"columns": 3}`)
	if want := `{"samples":1,"sum":[1,2,3]}`; err != nil || got != want {
		t.Errorf("%s (%v), want %s", got, err, want)
	}
	if _, _, err := compute(t, simontest.Options{}, []string{"[]", "[[1,2,3]]"}, ""); err == nil {
		t.Error("scalars and lists of three were added")
	}
	// R writes list(5) and 5 alike.
	if got, _, err := compute(t, simontest.Options{}, []string{"[5, [6]]", "7"}, `{"columns": 1.0}`); err != nil || got != `{"samples":3,"sum":[18]}` {
		t.Errorf("%s, %v", got, err)
	}
}

func TestPrepareRefuses(t *testing.T) {
	for _, c := range []struct{ data, parameters, path, reason string }{
		{`"85"`, ``, "data", "is text"},
		{``, ``, "data", "is missing"},
		{` `, ``, "data", "is missing"},
		{`null`, ``, "data", "is null"},
		{`{}`, ``, "data", "is an object"},
		{`true`, ``, "data", "is true or false"},
		{`NaN`, ``, "data", "is NaN"},
		{`[1,Infinity]`, ``, "data[1]", "is infinite"},
		{`[1,-Infinity]`, ``, "data[1]", "is infinite"},
		{`[1,2,"abc"]`, ``, "data[2]", "is text"},
		{`[1,null]`, ``, "data[1]", "is null"},
		{`[false]`, ``, "data[0]", "is true or false"},
		{`[{"a":1}]`, ``, "data[0]", "is an object"},
		{`[[1,2],[3,"x"]]`, ``, "data[1][1]", "is text"},
		{`[[1,2],[3,NaN]]`, ``, "data[1][1]", "is NaN"},
		{`[[1,2],[[3],4]]`, ``, "data[1][0]", "is a list"},
		{`[[1,2],[3]]`, ``, "data[1]", "fewer numbers than the 2 that data[0] has"},
		{`[[1,2],[3,4,5]]`, ``, "data[1]", "more numbers than the 2 that data[0] has"},
		{`[[1,2],[]]`, ``, "data[1]", "empty list"},
		{`[[]]`, ``, "data[0]", "empty list"},
		{`[1,[2]]`, ``, "data[1]", "is a list, but data[0] is a number"},
		{`[[2],1]`, ``, "data[1]", "is a number, but data[0] is a list"},
		{`[1,2`, ``, "data", "closing bracket"},
		{`[1,`, ``, "data", "closing bracket"},
		{`[[1,2`, ``, "data[0]", "closing bracket"},
		{`[1,]`, ``, "data", "no value at index 1"},
		{`[,1]`, ``, "data", "no value at index 0"},
		{`[1 2]`, ``, "data", "no comma"},
		{`[1]]`, ``, "data", "more text"},
		{`1 2`, ``, "data", "more text"},
		{`[1],`, ``, "data", "more text"},
		{`]`, ``, "data", "not valid JSON"},
		{`x`, ``, "data", "not valid JSON"},
		{`[+1]`, ``, "data[0]", "not valid JSON"},
		{`[01]`, ``, "data[0]", "is not a number as JSON writes them"},
		{`[1e]`, ``, "data[0]", "is not a number as JSON writes them"},
		{`[0,1e24]`, ``, "data[1]", "|x| < 2.23e23"},
		{`[0,-1e400]`, ``, "data[1]", "|x| < 2.23e23"},
		{`[0,1e-21]`, ``, "data[1]", "too small"},
		{`[` + strings.Repeat("1", 401) + `]`, ``, "data[0]", "more than 400 characters"},
		{`[1]`, `{"columns":2}`, "data[0]", "parameters.columns is 2"},
		{`1`, `{"columns":2}`, "data", "parameters.columns is 2"},
		{`[[1]]`, `{"columns":0}`, "data[0]", "parameters.columns is 0"},
		{`[[1]]`, `{"columns":2}`, "data[0]", "fewer numbers than the 2 that parameters.columns says"},
		{`[[1,2,3]]`, `{"columns":2}`, "data[0]", "more numbers than the 2 that parameters.columns says"},
		{`1`, `{"columns":-1}`, "parameters.columns", "integer from 0"},
		{`1`, `{"columns":1e99}`, "parameters.columns", "integer from 0"},
		{`1`, `{"columns":"2"}`, "parameters.columns", "integer from 0"},
		{`1`, `{"colums":2}`, "parameters.colums", "is unknown; known are columns, limit_ms, round_ms"},
		{`1`, `{"round_ms":1.5}`, "parameters.round_ms", "integer from 100"},
		{`1`, `{"round_ms":99}`, "parameters.round_ms", "integer from 100"},
		{`1`, `{"limit_ms":3600001}`, "parameters.limit_ms", "integer from 1000 to 3600000"},
		{`1`, `{"round_ms":130000}`, "parameters.limit_ms", "not be less than round_ms"},
		{`1`, `{"columns":0,"columns":1}`, "parameters", "twice"},
		{`1`, `[1]`, "parameters", "object"},
		{`1`, `7`, "parameters", "object"},
		{`1`, `{} x`, "parameters", "more text"},
		{`1`, `{`, "parameters", "JSON"},
	} {
		_, err := simon.SecureSum().Prepare(strings.NewReader(c.data), json.RawMessage(c.parameters), simon.Guard{})
		e, ok := errors.AsType[*simon.InputError](err)
		if !ok {
			t.Errorf("%.40s %s: %v, want an InputError", c.data, c.parameters, err)
			continue
		}
		if e.Path != c.path || !strings.Contains(e.Reason, c.reason) {
			t.Errorf("%.40s %s: %v, want %s: …%s…", c.data, c.parameters, e, c.path, c.reason)
		}
	}
}

func TestErrorsKeepTheData(t *testing.T) {
	for _, data := range []string{"[1, 77777e70]", `["77777"]`, "[77777 77777]", "[077777]", "[77777e-70]", "[77777, [77777]]", "[[77777],[77777,77777]]", "[77777.77777.7]", "77777 x"} {
		_, err := simon.SecureSum().Prepare(strings.NewReader(data), nil, simon.Guard{})
		if err == nil || strings.Contains(err.Error(), "7777") {
			t.Errorf("%s: %v", data, err)
		}
	}
}

func TestCanonicalParametersOfSum(t *testing.T) {
	for _, c := range []struct{ data, parameters, want string }{
		{"1", "", `{"columns":0,"limit_ms":120000,"round_ms":20000}`},
		{"[[1,2]]", "null", `{"columns":2,"limit_ms":120000,"round_ms":20000}`},
		{"[]", "[]", `{"columns":0,"limit_ms":120000,"round_ms":20000}`},
		{"[]", `{"round_ms":5e+03,"limit_ms":10000.0,"columns":3}`, `{"columns":3,"limit_ms":10000,"round_ms":5000}`},
		{"[]", `{"columns":null}`, `{"columns":0,"limit_ms":120000,"round_ms":20000}`},
	} {
		p, err := simon.SecureSum().Prepare(strings.NewReader(c.data), json.RawMessage(c.parameters), simon.Guard{})
		if err != nil || string(p.Parameters) != c.want {
			t.Errorf("%s with %s: %s (%v), want %s", c.data, c.parameters, p.Parameters, err, c.want)
		}
		if _, _, err := simon.Timing(p.Parameters); err != nil {
			t.Error(err)
		}
	}
}

func TestFinishRefusesTheImpossible(t *testing.T) {
	m := simon.SecureSum()
	c := simon.Common{Parties: 2, Parameters: []byte(`{"columns":0,"limit_ms":120000,"round_ms":20000}`)}
	l := ring.Layout{{Name: "samples", Limbs: 1, Count: 1}, {Name: "sum", Limbs: 3, Count: 1}}
	bound := new(big.Int).Lsh(big.NewInt(3), 144)
	one := big.NewInt(1)
	for _, x := range []struct {
		samples int64
		sum     *big.Int
		ok      bool
	}{
		{3, new(big.Int).Sub(bound, one), true},
		{3, bound, false},
		{3, new(big.Int).Sub(one, bound), true},
		{3, new(big.Int).Neg(bound), false},
		{0, big.NewInt(0), true},
		{0, one, false},
		{-1, one, false},
		{1 << 40, new(big.Int).Lsh(one, 183), true},
		{1<<40 + 1, one, false},
	} {
		v := ring.New(l)
		if err := errors.Join(v.SetInt(0, 0, big.NewInt(x.samples)), v.SetInt(1, 0, x.sum)); err != nil {
			t.Fatal(err)
		}
		_, err := m.Finish(c, nil, v.Bytes())
		if _, outcome := errors.AsType[*simon.OutcomeError](err); outcome == x.ok || err == nil != x.ok {
			t.Errorf("%d samples, sum %v: %v", x.samples, x.sum, err)
		}
	}
	if _, err := m.Finish(c, nil, make([]byte, 31)); err == nil {
		t.Error("31 opened bytes were taken")
	}
}

func TestRunRefusesForeignInput(t *testing.T) {
	m := simon.SecureSum()
	p, err := m.Prepare(strings.NewReader("1"), nil, simon.Guard{})
	if err != nil {
		t.Fatal(err)
	}
	for name, input := range map[string][]byte{
		"nothing":      nil,
		"version":      append([]byte{2}, p.Input[1:]...),
		"short":        p.Input[:len(p.Input)-1],
		"long":         append(slices.Clone(p.Input), 0),
		"version only": {1},
	} {
		r := simontest.Run(t, 2, simontest.Options{}, func(ctx context.Context, s simon.Session) ([]byte, error) {
			return m.Run(ctx, s, simon.Common{Parties: 2, Parameters: p.Parameters}, input)
		})
		if r.Err() == nil || len(r.Messages) > 0 {
			t.Errorf("%s: %v, %d messages", name, r.Err(), len(r.Messages))
		}
	}
}

// TestTraceLengths: what travels has the same lengths for all data of one layout.
func TestTraceLengths(t *testing.T) {
	shape := func(data ...string) string {
		_, r, err := compute(t, simontest.Options{}, data, "")
		if err != nil {
			t.Fatal(err)
		}
		var s strings.Builder
		for _, m := range r.Messages {
			fmt.Fprintln(&s, m.Kind, m.Label, m.From, m.To, len(m.Body))
		}
		return s.String()
	}
	if a, b := shape("[]", "0"), shape("[1,2,3,1e20]", "[-123456789.123456789]"); a != b {
		t.Errorf("%s differs from %s", a, b)
	}
}

// TestSumViews: the coalition of seats 0 and 3 sees the same bytes whichever way the other two hold one total.
func TestSumViews(t *testing.T) {
	m := simon.SecureSum()
	input := func(data string) []byte {
		p, err := m.Prepare(strings.NewReader(data), nil, simon.Guard{})
		if err != nil {
			t.Fatal(err)
		}
		return p.Input
	}
	p, err := m.Prepare(strings.NewReader("[]"), nil, simon.Guard{})
	if err != nil {
		t.Fatal(err)
	}
	c := simon.Common{Parties: 4, Parameters: p.Parameters}
	run := func(o simontest.Options, data ...string) []simontest.Message {
		r := simontest.MustRun(t, 4, o, func(ctx context.Context, s simon.Session) ([]byte, error) {
			return m.Run(ctx, s, c, input(data[s.Self()]))
		})
		return r.View(0, 3)
	}
	l := ring.Layout{{Name: "samples", Limbs: 1, Count: 1}, {Name: "sum", Limbs: 3, Count: 1}}
	before, err := ring.Decode(l, input("[1.5, 2]")[1:])
	if err != nil {
		t.Fatal(err)
	}
	after, err := ring.Decode(l, input("[-6.25]")[1:])
	if err != nil {
		t.Fatal(err)
	}
	first := run(simontest.Options{}, "7", "[1.5, 2]", "[3]", "-8")
	second := run(simontest.Options{Stream: moveMask(1, 2, minus(after, before))}, "7", "[-6.25]", "[12.25, 0.5]", "-8")
	if !sameView(first, second) {
		t.Error("the coalition can tell [1.5, 2] and [3] from [-6.25] and [12.25, 0.5]")
	}
	if third := run(simontest.Options{Stream: moveMask(1, 2, minus(after, before))}, "7", "[-6.25]", "[12.25, 0.75]", "-8"); sameView(first, third) {
		t.Error("the view does not depend on the total: this test sees nothing")
	}
}

func TestSumTranscript(t *testing.T) {
	_, scalars, err := compute(t, simontest.Options{Seed: 1}, []string{"85", "[120.5, 1]", "-7e-3"}, "")
	if err != nil {
		t.Fatal(err)
	}
	simontest.Golden(t, "securesum", scalars.Transcript())
	_, lists, err := compute(t, simontest.Options{Seed: 1}, []string{"[[1,2]]", "[[3,4],[5,6]]"}, "")
	if err != nil {
		t.Fatal(err)
	}
	simontest.Golden(t, "securesum-lists", lists.Transcript())
}

func TestCatalogue(t *testing.T) {
	for _, m := range simon.Catalogue() {
		for name, schema := range map[string]json.RawMessage{"input": m.Input, "parameters": m.Parameters, "result": m.Result} {
			var v map[string]any
			if err := json.Unmarshal(schema, &v); err != nil {
				t.Errorf("%s: schema of %s: %v", m.Name, name, err)
			}
		}
		if m.Name == "" || m.Version == 0 || m.Summary == "" || m.Bytes == "" || m.Leakage == "" || m.MinParties < 2 || m.Hops < 1 ||
			m.Round <= 0 || m.Limit < m.Round || m.Prepare == nil || m.Run == nil || m.Finish == nil {
			t.Errorf("the description of %s is not complete", m.Name)
		}
	}
}
