package simon_test

import (
	"context"
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

// matrixText writes a matrix as JSON.
func matrixText(rows [][]string) string {
	lines := make([]string, len(rows))
	for i, row := range rows {
		lines[i] = "[" + strings.Join(row, ",") + "]"
	}
	return "[" + strings.Join(lines, ",") + "]"
}

// drawText draws a matrix of numbers by their texts.
func drawText(t *rapid.T, rows, columns int, number *rapid.Generator[string]) [][]string {
	m := make([][]string, rows)
	for i := range m {
		m[i] = rapid.SliceOfN(number, columns, columns).Draw(t, "row")
	}
	return m
}

// productOf is the product of two matrices in fractions.
func productOf(x, y [][]string) [][]*big.Rat {
	p := make([][]*big.Rat, len(x))
	for i := range x {
		for j := range y[0] {
			sum := new(big.Rat)
			for k := range y {
				sum = plus(sum, times(fraction(x[i][k]), fraction(y[k][j])))
			}
			p[i] = append(p[i], sum)
		}
	}
	return p
}

// TestProductOfMatrices compares with fractions: multiples of the last decimal are exact, other numbers one off at most.
func TestProductOfMatrices(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p, n, q := rapid.IntRange(1, 4).Draw(rt, "p"), rapid.IntRange(1, 5).Draw(rt, "n"), rapid.IntRange(1, 4).Draw(rt, "q")
		number := rapid.OneOf(rapid.Map(rapid.Int64Range(-1e12, 1e12), func(i int64) string { return fmt.Sprint(i) }),
			rapid.Map(rapid.Int64Range(-1e15, 1e15), func(i int64) string { return fmt.Sprintf("%de-10", i) }), rapid.SampledFrom([]string{"1e-18", "-0", "0.1", "-1.2e12"}))
		if rapid.Bool().Draw(rt, "integers") {
			number = rapid.Map(rapid.Int64Range(-1000, 1000), func(i int64) string { return fmt.Sprint(i) })
		}
		x, y := drawText(rt, p, n, number), drawText(rt, n, q, number)
		decimals := rapid.IntRange(0, 15).Draw(rt, "decimals")
		data := []string{matrixText(x), "[" + matrixText(y) + "]"}
		o := simontest.Options{Seed: rapid.Uint64().Draw(rt, "seed"), Positions: []int{0, 1}}
		if rapid.Bool().Draw(rt, "the other way round") {
			o.Positions, data[0], data[1] = []int{1, 0}, data[1], data[0]
		}
		text, r, err := play(t, simon.SecureMatrixMultiplication(), o, simon.Guard{}, data, fmt.Sprintf(`{"decimals":%d}`, decimals))
		if err != nil {
			rt.Fatal(err)
		}
		got, want := decoded(t, text)["product"].([]any), productOf(x, y)
		step := new(big.Rat).SetFrac(big.NewInt(1), new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(decimals)), nil))
		if len(got) != p {
			rt.Fatalf("%d rows", len(got))
		}
		for i := range want {
			for j, w := range want[i] {
				g := fraction(got[i].([]any)[j].(json.Number).String())
				off := new(big.Rat).Abs(less(g, w))
				if whole := ratio(w, step); whole.IsInt() {
					exact, _ := w.Float64()
					if f, _ := g.Float64(); f != exact {
						rt.Fatalf("%v is %v", w, g)
					}
					continue
				}
				rounding := new(big.Rat).Mul(new(big.Rat).Abs(w), big.NewRat(1, 1<<52)) // to a double
				if off.Cmp(plus(step, rounding)) > 0 {
					rt.Fatalf("element %d, %d is %v, want %v", i, j, g.FloatString(20), w.FloatString(20))
				}
			}
		}
		for _, m := range r.Messages {
			if m.To == 2 {
				rt.Fatal("the dealer received something")
			}
		}
	})
}

// TestIntegersStayIntegersUnderAllMasks: what is exact is so for every seed.
func TestIntegersStayIntegersUnderAllMasks(t *testing.T) {
	p := prepare(t, simon.SecureMatrixMultiplication(), "", []string{"[[3,-4]]", "[[5],[7]]"})
	for seed := range uint64(10_000) {
		opened := p.run(t, simontest.Options{Seed: seed}).Results[0]
		got, err := p.m.Finish(p.common, p.inputs[0], opened)
		if err != nil || string(got) != `{"product":[[-13]]}` {
			t.Fatalf("seed %d: %s, %v", seed, got, err)
		}
	}
}

func TestShapesOfFactors(t *testing.T) {
	m := simon.SecureMatrixMultiplication()
	for data, want := range map[string]string{
		`[[1,2],[3,4]]`: "2 2", `[[[1,2],[3,4]]]`: "2 2", `[1,2,3]`: "3 1", `7`: "1 1", ` [ [ [ 1e3 ] ] ] `: "1 1", `[[1,2,3]]`: "1 3",
	} {
		one, err := m.Prepare(strings.NewReader(data), nil, simon.Guard{})
		if err != nil {
			t.Errorf("%s: %v", data, err)
			continue
		}
		c, err := m.Complete(simon.Placed{Position: 0, Parties: 2, Parameters: one.Parameters, Input: one.Input})
		if rows, columns, _ := strings.Cut(want, " "); err != nil || !strings.Contains(string(c), `"left":[`+rows+`,`+columns+`]`) {
			t.Errorf("%s: %s, %v, want %s", data, c, err, want)
		}
	}
	for data, want := range map[string]string{
		`[]`: "data", `[[]]`: "data[0]", `[[[]]]`: "data[0][0]", `[[1,2],[3]]`: "data[1]", `[[[1,2],[3]]]`: "data[0][1]", `[1,[2]]`: "data[1][0]", `[[1],2]`: "data[1]",
		`[[[1]],[[2]]]`: "data[1]", `[[[1]],[2]]`: "data[1][0]", `[[1,"a"]]`: "data[0][1]", `[[null]]`: "data[0][0]", `[[NaN]]`: "data[0][0]", `{}`: "data", `[[2e12]]`: "data[0][0]",
		`[[1e-19]]`: "data[0][0]", `[[1]] 2`: "data", `[[[[1]]]]`: "data[0][0][0]", `"x"`: "data", `[[1`: "data[0]", `true`: "data",
	} {
		if path, reason := refusal(t, m, data, ""); path != want {
			t.Errorf("%s: %s: %s, want %s", data, path, reason, want)
		}
	}
}

// TestShapesAreAgreedOn: each party says its own shape and takes the other's over where the two fit; else both stay as they are.
func TestShapesAreAgreedOn(t *testing.T) {
	m := simon.SecureMatrixMultiplication()
	place := func(position int, data, parameters, other string) (string, error) {
		t.Helper()
		one, err := m.Prepare(strings.NewReader(data), json.RawMessage(parameters), simon.Guard{})
		if err != nil {
			return "", err
		}
		p := simon.Placed{Position: position, Parties: 2, Parameters: one.Parameters, Input: one.Input, OtherPosition: 1 - position}
		if other != "" {
			p.Other = []byte(other)
		}
		c, err := m.Complete(p)
		return string(c), err
	}
	const tail = `,"limit_ms":120000,"right":%s,"round_ms":20000}`
	form := func(left, right string) string {
		return `{"decimals":12,"least_ratio":0,"left":` + left + fmt.Sprintf(tail, right)
	}
	for _, c := range []struct {
		position                      int
		data, parameters, other, want string
	}{
		{0, `[[1,2]]`, ``, ``, form(`[1,2]`, `null`)},
		{1, `[[1],[2]]`, ``, ``, form(`null`, `[2,1]`)},
		{0, `[[1,2]]`, ``, form(`null`, `[2,5]`), form(`[1,2]`, `[2,5]`)},
		{1, `[[1],[2]]`, ``, form(`[7,2]`, `null`), form(`[7,2]`, `[2,1]`)},
		{0, `[[1,2]]`, ``, form(`null`, `[3,5]`), form(`[1,2]`, `null`)},                              // does not fit
		{0, `[[1,2]]`, ``, form(`[9,9]`, `null`), form(`[1,2]`, `null`)},                              // says nothing of its own
		{0, `[[1,2]]`, ``, `{"right":[2,1048576]}`, form(`[1,2]`, `null`)},                            // too large
		{0, `[[1,2]]`, ``, `{"right":[2]}`, form(`[1,2]`, `null`)},                                    // none
		{0, `[[1,2]]`, ``, `[[[`, form(`[1,2]`, `null`)},                                              // nothing that can be read
		{0, `[[1,2]]`, `{"left":[1,2],"right":[2,2]}`, form(`null`, `[2,5]`), form(`[1,2]`, `[2,2]`)}, // as the client has said
	} {
		if got, err := place(c.position, c.data, c.parameters, c.other); err != nil || got != c.want {
			t.Errorf("%s at %d with %s: %s, %v, want %s", c.data, c.position, c.other, got, err, c.want)
		}
	}
	for _, c := range []struct{ data, parameters, path string }{
		{`[[1,2]]`, `{"left":[2,2]}`, "parameters.left"}, {`[[1,2]]`, `{"left":[1,2],"right":[3,1]}`, "parameters.right"}, {`[[1,2]]`, `{"left":[1]}`, "parameters.left"},
		{`[[1,2]]`, `{"least_ratio":3}`, "parameters.left"}, {`[[1,2]]`, `{"right":[19,2],"least_ratio":10}`, "parameters.right"}, {`[[1,2]]`, `{"left":[1024,1025]}`, "parameters.left"},
	} {
		_, err := place(0, c.data, c.parameters, "")
		if input, ok := errors.AsType[*simon.InputError](err); !ok || input.Path != c.path {
			t.Errorf("%s with %s: %v", c.data, c.parameters, err)
		}
	}
	const most = `{"left":[1024,1024],"right":[1024,1024],"least_ratio":0}`
	if _, err := m.Prepare(strings.NewReader("[[1]]"), json.RawMessage(most), simon.Guard{}); err != nil {
		t.Errorf("2^30 multiplications: %v", err)
	}
}

// TestRatioByPolicy: a policy refuses products that give a matrix away, and says why.
func TestRatioByPolicy(t *testing.T) {
	m, strict := simon.SecureMatrixMultiplication(), simon.Guard{Ratio: 10}
	row := func(n int) string { return "[[" + strings.TrimSuffix(strings.Repeat("1,", n), ",") + "]]" }
	for _, c := range []struct {
		data, parameters string
		says             string
	}{
		{row(10), ``, ""},
		{row(9), ``, "makes a result of 1 rows from sums of 9 terms"},
		{row(10), `{"least_ratio":9}`, "must be at least 10: this party's policy asks for it"},
		{row(30), `{"least_ratio":31}`, "at least 31 terms for each are needed (least_ratio)"},
	} {
		one, err := m.Prepare(strings.NewReader(c.data), json.RawMessage(c.parameters), strict)
		var full []byte
		if err == nil {
			full, err = m.Complete(simon.Placed{Parties: 2, Parameters: one.Parameters, Input: one.Input})
		}
		if err == nil {
			err = m.Check(full, strict)
		}
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s with %s: %v, want %q", c.data, c.parameters, err, c.says)
		}
	}
	teaching, err := m.Prepare(strings.NewReader(row(3)), nil, simon.Guard{})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Check(teaching.Parameters, strict); err == nil || !strings.Contains(err.Error(), "least_ratio: must be at least 10") {
		t.Errorf("a party with a policy takes part in what another one allows: %v", err)
	}
}

// TestPartsRefuseWhatNobodyHasAgreedOn: neither party nor dealer works on shapes that nobody has checked.
func TestPartsRefuseWhatNobodyHasAgreedOn(t *testing.T) {
	for _, m := range []simon.Microprotocol{simon.SecureMatrixMultiplication(), simon.StatisticsRegressionOLSVertical()} {
		one, err := m.Prepare(strings.NewReader("[[1]]"), nil, simon.Guard{})
		if err != nil {
			t.Fatal(err)
		}
		for _, parameters := range []string{`{}`, ``, `[`, `{"left":[1,1]}`, `{"left":[1,1],"right":[2,1]}`, `{"left":[0,1],"right":[1,1]}`, `{"left":[1024,1024],"right":[1024,1025]}`, `{"left":[1048576,1],"right":[1,1048576]}`} {
			simontest.Run(t, 2, simontest.Options{Roles: map[simon.Role]int{simon.Dealer: 2}}, func(ctx context.Context, s simon.Session) ([]byte, error) {
				c := simon.Common{Parties: 2, Parameters: []byte(parameters)}
				var err error
				if s.Self() == 2 {
					err = m.Deal(ctx, s, c)
				} else {
					_, err = m.Run(ctx, s, c, one.Input)
				}
				if err == nil {
					t.Errorf("%s with %s: seat %d plays", m.Name, parameters, s.Self())
				}
				return nil, err
			})
		}
	}
}
