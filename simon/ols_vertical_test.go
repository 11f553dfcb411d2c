package simon_test

import (
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/weftmpc/weft/simon"
	"github.com/weftmpc/weft/simon/simontest"
)

// vertical are the columns of a problem of NIST, y first, with powers of x and a column of ones as the model has them. Columns
// beyond the grid are divided by powers of ten, whose exponents are the second result; Filip's tenth power has 90 decimals and
// is no column that a double holds, so the set is left out.
func vertical(t *testing.T, r strdRegression) (columns [][]string, shifts []int) {
	t.Helper()
	add := func(column []*big.Rat) {
		shift := 0
		most := big.NewRat(1e12, 1)
		for _, x := range column {
			for new(big.Rat).Abs(x).Cmp(most) > 0 {
				most.Mul(most, big.NewRat(1000, 1))
				shift += 3
			}
		}
		by := new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(shift)), nil))
		texts := make([]string, len(column))
		for i, x := range column {
			texts[i] = strings.TrimSuffix(strings.TrimRight(ratio(x, by).FloatString(18), "0"), ".")
		}
		columns, shifts = append(columns, texts), append(shifts, shift)
	}
	column := func(j int) []*big.Rat {
		var c []*big.Rat
		for _, row := range r.rows {
			c = append(c, fraction(row[j]))
		}
		return c
	}
	add(column(0))
	if r.predictors == 1 {
		power := column(1)
		for k := 1; k <= len(r.parameters)-boolean(r.intercept()); k++ {
			add(power)
			for i, x := range column(1) {
				power[i] = times(power[i], x)
			}
		}
		return columns, shifts
	}
	for j := 1; j <= r.predictors; j++ {
		add(column(j))
	}
	return columns, shifts
}

// rowsOfColumns writes columns as rows.
func rowsOfColumns(columns [][]string) string {
	rows := make([][]string, len(columns[0]))
	for i := range rows {
		for _, c := range columns {
			rows[i] = append(rows[i], c[i])
		}
	}
	return matrixText(rows)
}

// scaledBy is a certified number of a column that was divided by 10^shift, or -shift for one of y.
func scaledBy(s string, shift int) string {
	x := fraction(s)
	by := new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(shift, -shift))), nil))
	if shift < 0 {
		by.Inv(by)
	}
	f, _ := times(x, by).Float64()
	return fmt.Sprintf("%.17e", f)
}

func TestVerticalOLSOfNIST(t *testing.T) {
	const significant = 13
	for _, name := range strdNames(t, "regression", 11) {
		if name == "Filip" {
			continue
		}
		r := readRegression(t, name)
		columns, shifts := vertical(t, r)
		x := columns[1:]
		if r.intercept() {
			ones := make([]string, len(r.rows))
			for i := range ones {
				ones[i] = "1"
			}
			x, shifts = append([][]string{ones}, x...), append([]int{shifts[0], 0}, shifts[1:]...)
		}
		got := decoded(t, mustPlay(t, simon.StatisticsRegressionOLSVertical(), `{"decimals":24}`, "["+rowsOfColumns(x)+"]", rowsOfColumns(columns[:1])))
		for i := range r.parameters {
			certified(t, name+" "+r.parameters[i], member(t, got, "mle", i, 0), scaledBy(r.estimates[i], shifts[i+1]-shifts[0]), significant)
		}
	}
}

// TestVerticalOLSOfPooledData compares with fractions.
func TestVerticalOLSOfPooledData(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p := rapid.IntRange(1, 4).Draw(rt, "p")
		n := rapid.IntRange(p, 9).Draw(rt, "n")
		number := rapid.Map(rapid.IntRange(-999, 999), func(i int) string { return fmt.Sprintf("%de-2", i) })
		x, y := drawText(rt, n, p, number), drawText(rt, n, 1, number)
		by := make([][]*big.Rat, p)
		var ys []*big.Rat
		for i := range n {
			for j := range p {
				by[j] = append(by[j], fraction(x[i][j]))
			}
			ys = append(ys, fraction(y[i][0]))
		}
		b, _ := leastSquares(ys, by, false, new(big.Rat))
		o := simontest.Options{Seed: rapid.Uint64().Draw(rt, "seed")}
		flat := strings.NewReplacer("[[", "[", "]]", "]", "],[", ",").Replace(matrixText(y))
		form := rapid.SampledFrom([]string{matrixText(y), "[" + matrixText(y) + "]", flat, "[" + flat + "]"}).Draw(rt, "y")
		text, _, err := play(t, simon.StatisticsRegressionOLSVertical(), o, simon.Guard{}, []string{matrixText(x), form}, "")
		if b == nil {
			if err == nil || !strings.Contains(err.Error(), "column") {
				rt.Fatalf("collinear columns: %s, %v", text, err)
			}
			return
		}
		if err != nil {
			rt.Fatal(err)
		}
		for i, want := range b {
			got := fraction(member(rt, decoded(t, text), "mle", i, 0).(json.Number).String())
			limit := plus(big.NewRat(1, 1e12), times(new(big.Rat).Abs(want), big.NewRat(1, 1<<50)))
			if new(big.Rat).Abs(less(got, want)).Cmp(limit) > 0 {
				rt.Fatalf("coefficient %d is %s, want %s", i, got.FloatString(20), want.FloatString(20))
			}
		}
	})
}

func TestVerticalOLSRefuses(t *testing.T) {
	m := simon.StatisticsRegressionOLSVertical()
	many := "[[1" + strings.Repeat(",1", 100) + "]" + strings.Repeat(",[1"+strings.Repeat(",1", 100)+"]", 101) + "]"
	for _, c := range []struct {
		position   int
		data, says string
	}{
		{0, `[[1,2,3],[1,3,4],[1,5,6],[1,0,1]]`, "data: has columns that are linear combinations of columns before them, by their numbers from 1: 3"},
		{0, `[[0],[0]]`, "data: has zeros in column 1"},
		{0, `[[1,2,3],[1,3,4]]`, "data: has 2 rows and 3 columns"},
		{0, `[[1e-18],[0]]`, "data: has numbers in column 1"},
		{0, many, "at most 100 columns are possible"},
		{1, `[[1,2],[3,4]]`, "data: has 2 columns: y is one column"},
	} {
		one, err := m.Prepare(strings.NewReader(c.data), nil, simon.Guard{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err = m.Complete(simon.Placed{Position: c.position, Parties: 2, Parameters: one.Parameters, Input: one.Input}); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%.40s at %d: %v, want %q", c.data, c.position, err, c.says)
		}
	}
	for _, c := range []struct{ parameters, says string }{
		{`{"left":[3,1],"right":[4,1]}`, "has 4 rows, and the left matrix has 3"}, {`{"left":[3,1],"right":[3,2]}`, "y is one column"},
		{`{"left":[2,3]}`, "at least as many rows"}, {`{"left":[19,2],"least_ratio":10}`, "makes a result of 2 rows from sums of 19 terms"},
	} {
		if path, reason := refusal(t, m, "[1]", c.parameters); !strings.HasPrefix(path, "parameters.") || !strings.Contains(reason, c.says) {
			t.Errorf("%s: %s: %s", c.parameters, path, reason)
		}
	}
}

// TestVerticalOLSHasMessagesOfOneShape: what travels has the same lengths for all data of one shape.
func TestVerticalOLSHasMessagesOfOneShape(t *testing.T) {
	constantLengths(t, simon.StatisticsRegressionOLSVertical(), "", []string{"[[1],[2]]", "[0,0]"}, []string{"[[1e12],[-1e-9]]", "[1e12,3]"})
}
