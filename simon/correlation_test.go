package simon_test

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/weftmpc/weft/simon"
	"github.com/weftmpc/weft/simon/simontest"
	"github.com/weftmpc/weft/simon/special"
)

func TestCorrelationOfR(t *testing.T) {
	const significant = 12
	r := fromR(t, "cor-mtcars")
	parameters := `{"columns":` + r.json(t, "columns") + `}`
	text := mustPlay(t, simon.CorrelationMatrix(), parameters, dealt(rowsOf(t, r), 3)...)
	conforms(t, simon.CorrelationMatrix(), nil, parameters, text)
	got := decoded(t, text)
	for i := range 3 {
		for j := range 3 {
			near(t, fmt.Sprint("cor ", i, j), member(t, got, "correlation", i, j), r.number(t, "cor", i, j), significant)
			near(t, fmt.Sprint("cov ", i, j), member(t, got, "covariance", i, j), r.number(t, "cov", i, j), significant)
		}
	}
	for i := range r.length(t, "tests") {
		for ours, theirs := range map[string]string{"estimate": "estimate", "statistic": "statistic", "df": "parameter", "p_value": "p.value"} {
			near(t, ours, member(t, got, "pairs", i, ours), r.number(t, "tests", i, theirs), significant)
		}
		for limit := range 2 {
			near(t, "conf_int", member(t, got, "pairs", i, "conf_int", limit), r.number(t, "tests", i, "conf.int", limit), significant)
		}
		for _, name := range []string{"x", "y"} {
			if got := member(t, got, "pairs", i, name); got != r.at(t, "tests", i, name) {
				t.Errorf("pair %d: %s is %v", i, name, got)
			}
		}
	}
}

// drawMatrix draws rows of numbers, and gives them as JSON too.
func drawMatrix(rt *rapid.T, rows, columns int, number *rapid.Generator[string]) (texts []string, by [][]*big.Rat) {
	by = make([][]*big.Rat, columns)
	for range rows {
		row := rapid.SliceOfN(number, columns, columns).Draw(rt, "row")
		texts = append(texts, "["+strings.Join(row, ",")+"]")
		for j, s := range row {
			by[j] = append(by[j], fraction(s))
		}
	}
	return texts, by
}

func TestCorrelationOfPooledData(t *testing.T) {
	checkSome(t, 40, func(rt *rapid.T) {
		k, n := rapid.IntRange(2, 4).Draw(rt, "columns"), rapid.IntRange(2, 9).Draw(rt, "rows")
		rows, by := drawMatrix(rt, n, k, drawNumber())
		got := everywhere(t, rt, simon.CorrelationMatrix(), fmt.Sprintf(`{"columns":%d,"conf_level":0.9}`, k), rows)
		is(rt, got, n, "samples")
		pair := 0
		for i := range k {
			is(rt, got, meanOf(by[i]), "means", i)
			for j := range k {
				is(rt, got, ratio(productsOf(by[i], by[j]), integral(n-1)), "covariance", i, j)
			}
			for j := i + 1; j < k; j++ {
				isRelation(rt, got, pair, i, j, by[i], by[j])
				pair++
			}
		}
	})
}

// isRelation checks a pair, at the level 0.9, by formulas of its own, Fisher's z with 400 bits and no care for cancellation: where |r| is closer to
// 1 than that is good for, only r is compared.
func isRelation(t failer, got map[string]any, pair, i, j int, x, y []*big.Rat) {
	xx, yy, xy, n := squaresOf(x), squaresOf(y), productsOf(x, y), len(x)
	if xx.Sign() == 0 || yy.Sign() == 0 {
		is(t, got, nil, "correlation", i, j)
		noted(t, got, fmt.Sprintf("pairs[%d].estimate", pair), "constant")
		noted(t, got, fmt.Sprintf("pairs[%d].p_value", pair), "constant")
		return
	}
	r := rootOf(ratio(times(xy, xy), times(xx, yy)))
	if xy.Sign() < 0 {
		r.Neg(r)
	}
	is(t, got, r, "correlation", i, j)
	is(t, got, r, "correlation", j, i)
	is(t, got, r, "pairs", pair, "estimate")
	one := floating(integral(1))
	rest := new(big.Float).Sub(one, new(big.Float).Mul(r, r))
	if n < 3 {
		noted(t, got, fmt.Sprintf("pairs[%d].statistic", pair), "three samples")
		return
	}
	is(t, got, n-2, "pairs", pair, "df")
	if times(xy, xy).Cmp(times(xx, yy)) == 0 {
		noted(t, got, fmt.Sprintf("pairs[%d].statistic", pair), "exactly 1 or -1")
		noted(t, got, fmt.Sprintf("pairs[%d].conf_int", pair), map[bool]string{true: "exactly", false: "four samples"}[n > 3])
		return
	}
	if rest.MantExp(nil) < -150 {
		return
	}
	statistic := new(big.Float).Mul(r, new(big.Float).Sqrt(new(big.Float).Quo(floating(integral(n-2)), rest)))
	is(t, got, statistic, "pairs", pair, "statistic")
	p := special.StudentUpper(new(big.Float).Abs(statistic), special.Int(int64(n-2)))
	is(t, got, p.Add(p, p), "pairs", pair, "p_value")
	if n < 4 {
		noted(t, got, fmt.Sprintf("pairs[%d].conf_int", pair), "four samples")
		return
	}
	z := special.Log(new(big.Float).Quo(new(big.Float).Add(one, r), new(big.Float).Sub(one, r)))
	q := special.NormalQuantile(special.FromRat(fraction("0.95")))
	q.Quo(q.Mul(q, special.Int(2)), special.Sqrt(special.Int(int64(n-3))))
	for limit, x := range []*big.Float{new(big.Float).Sub(z, q), new(big.Float).Add(z, q)} {
		e := special.Exp(x)
		is(t, got, new(big.Float).Quo(new(big.Float).Sub(e, one), new(big.Float).Add(e, one)), "pairs", pair, "conf_int", limit)
	}
}

func TestCorrelationUndefined(t *testing.T) {
	for _, c := range []struct {
		data []string
		null map[string]string
	}{
		{[]string{"[]", "[]"}, map[string]string{"means[0]": "no samples", "covariance[0][1]": "two samples", "correlation[1][1]": "two samples", "pairs[0].estimate": "two samples", "pairs[0].df": "three"}},
		{[]string{"[[1,2]]", "[]"}, map[string]string{"covariance[1][1]": "two samples", "correlation[0][0]": "two samples", "pairs[0].p_value": "two samples"}},
		{[]string{"[[1,2]]", "[[2,5]]"}, map[string]string{"pairs[0].statistic": "three", "pairs[0].df": "three", "pairs[0].conf_int": "four"}},
		{[]string{"[[1,2]]", "[[2,5],[3,9]]"}, map[string]string{"pairs[0].conf_int": "four"}},
		{[]string{"[[1,2],[0.1,0.2]]", "[[2,4],[-7,-14]]"}, map[string]string{"pairs[0].statistic": "exactly 1", "pairs[0].p_value": "exactly 1", "pairs[0].conf_int": "exactly 1"}},
		{[]string{"[[1,-2],[0.1,-0.2]]", "[[2,-4],[-7,14]]"}, map[string]string{"pairs[0].statistic": "exactly 1"}},
		{[]string{"[[0.1,2],[0.1,3]]", "[[0.1,4]]"}, map[string]string{"correlation[0][0]": "constant", "correlation[0][1]": "constant", "pairs[0].estimate": "constant", "pairs[0].conf_int": "constant"}},
	} {
		text := mustPlay(t, simon.CorrelationMatrix(), `{"columns":2}`, c.data...)
		conforms(t, simon.CorrelationMatrix(), nil, "", text)
		got := decoded(t, text)
		for path, why := range c.null {
			noted(t, got, path, why)
		}
	}
	got := decoded(t, mustPlay(t, simon.CorrelationMatrix(), "", "[[1,-2],[0.1,-0.2]]", "[[2,-4],[-7,14]]"))
	is(t, got, -1, "correlation", 0, 1)
	is(t, got, 1, "correlation", 1, 1)
	if fmt.Sprint(got["columns"]) != "[x1 x2]" {
		t.Errorf("columns %v", got["columns"])
	}
}

func TestCorrelationRefuses(t *testing.T) {
	refused(t, simon.CorrelationMatrix(), [][4]string{
		{``, `[]`, "parameters.columns", "is needed where there are no rows"},
		{``, `[[1]]`, "data[0]", "fewer than 2"},
		{``, `[1,2]`, "data[0]", "single value"},
		{``, `[[1,2],[3]]`, "data[1]", "fewer than 2"},
		{``, `[[1,2],[3,4,5]]`, "data[1]", "more than 2"},
		{``, `[[1,2],[3,"4"]]`, "data[1][1]", "text"},
		{``, `[[1,2],[3,null]]`, "data[1][1]", "null"},
		{`{"columns":3}`, `[[1,2]]`, "data[0]", "fewer than 3"},
		{`{"columns":["a","b","c"]}`, `[[1,2]]`, "data[0]", "fewer than 3"},
		{`{"columns":["a","a"]}`, `[[1,2]]`, "parameters.columns", "same value"},
		{`{"columns":["a",1]}`, `[[1,2]]`, "parameters.columns", "text"},
		{`{"columns":["a"]}`, `[[1,2]]`, "parameters.columns", "2 to"},
		{`{"columns":1}`, `[[1,2]]`, "parameters.columns", "from 2 to 100"},
		{`{"columns":101}`, `[]`, "parameters.columns", "from 2 to 100"},
		{`{"columns":true}`, `[]`, "parameters.columns", "names"},
		{``, "[[" + strings.Repeat("1,", 100) + "1]]", "data[0]", "longer than 100"},
	})
}

func TestCorrelationPrivacy(t *testing.T) {
	reprogrammed(t, simon.CorrelationMatrix(), `{"columns":2}`,
		[]string{`[[1,2]]`, `[[2.5,3],[-7,8]]`, `[[4,9]]`, `[]`},
		[]string{`[[1,2]]`, `[[4,9]]`, `[[-7,8],[2.5,3]]`, `[]`})
	constantLengths(t, simon.CorrelationMatrix(), `{"columns":2}`, []string{`[[1,2]]`, `[]`}, []string{`[[-5e13,1],[1e-20,2],[2,3]]`, `[[1,1]]`})
	const words = 1 + 3*5 + 2*3
	for what, change := range map[string]func(b []byte){
		"samples":                  func(b []byte) { b[7] = 0x80 },
		"negative square":          func(b []byte) { b[8+39] = 0x80 },
		"products beyond squares":  func(b []byte) { b[8+40+30] = 1 },
		"sums beyond squares":      func(b []byte) { b[8+120+20] = 1 },
		"squares of no samples":    func(b []byte) { b[0] = 0 },
		"a correlation beyond 1":   func(b []byte) { correlate(b, -11) },
		"one just beyond 1":        func(b []byte) { correlate(b, 12) },
		"a second negative square": func(b []byte) { b[8+119] = 0x80 },
	} {
		impossible(t, what, forged(t, simon.CorrelationMatrix(), `{"columns":2}`, `[[1,2],[3,5]]`, words, change))
	}
}

// correlate makes the sums of two columns those of ten rows of which Σx and Σy are 10, Σx² and Σy² 11, and Σxy is given.
func correlate(b []byte, xy int64) {
	at := 0
	put := func(n int64, digits int64, words int) {
		q := new(big.Int).Mul(big.NewInt(n), new(big.Int).Exp(big.NewInt(10), big.NewInt(digits), nil))
		if n < 0 {
			q.Add(q, new(big.Int).Lsh(big.NewInt(1), uint(64*words)))
		}
		for range 8 * words {
			b[at] = byte(q.Uint64())
			q.Rsh(q, 8)
			at++
		}
	}
	put(10, 0, 1)
	for _, n := range []int64{11, xy, 11} {
		put(n, 40, 5)
	}
	put(10, 20, 3)
	put(10, 20, 3)
}

// TestCorrelationOfForgedSums: what correlate writes is read as such, up to a correlation of exactly 1.
func TestCorrelationOfForgedSums(t *testing.T) {
	for _, xy := range []int64{9, 10, 11} {
		if err := forged(t, simon.CorrelationMatrix(), `{"columns":2}`, `[[1,2],[3,5]]`, 1+3*5+2*3, func(b []byte) { correlate(b, xy) }); err != nil {
			t.Errorf("%d: %v", xy, err)
		}
	}
}

// TestCorrelationOfManyColumns: the largest vector is as the description says, and pairs are in their order. (The 4,950
// tests of 100 columns take two seconds, so the second part has fewer.)
func TestCorrelationOfManyColumns(t *testing.T) {
	p := prepare(t, simon.CorrelationMatrix(), `{"columns":100}`, []string{"[[" + strings.Repeat("1,", 99) + "1]]", "[]"})
	for _, m := range p.run(t, simontest.Options{}).Messages {
		if len(m.Body) != 8+24*100+20*100*101 {
			t.Errorf("%d bytes to each receiver", len(m.Body))
		}
	}
	const columns = 25
	r := rand.New(rand.NewPCG(1, 2))
	var rows []string
	by := make([][]*big.Rat, columns)
	for range 8 {
		var row []string
		for j := range columns {
			row = append(row, fmt.Sprintf("%.6f", r.NormFloat64()))
			by[j] = append(by[j], fraction(row[j]))
		}
		rows = append(rows, "["+strings.Join(row, ",")+"]")
	}
	got := decoded(t, mustPlay(t, simon.CorrelationMatrix(), `{"conf_level":0.9}`, dealt(rows, 2)...))
	pair := 0
	for i := range columns {
		for j := i + 1; j < columns; j++ {
			isRelation(t, got, pair, i, j, by[i], by[j])
			if x, y := member(t, got, "pairs", pair, "x"), member(t, got, "pairs", pair, "y"); x != fmt.Sprint("x", i+1) || y != fmt.Sprint("x", j+1) {
				t.Errorf("pair %d is %v, %v", pair, x, y)
			}
			pair++
		}
	}
	if all := member(t, got, "pairs").([]any); len(all) != pair {
		t.Errorf("%d pairs", len(all))
	}
}
