package simon_test

import (
	"encoding/json"
	"errors"
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

// TestRegressionOfNIST: Filip is a polynomial of degree 10, Longley's predictors are nearly collinear, the Wampler sets are
// fits that are exact or have huge residuals. In double precision, normal equations get no digit of some right.
func TestLinearRegressionOfNIST(t *testing.T) {
	const significant = 14
	for _, name := range strdNames(t, "regression", 11) {
		r := readRegression(t, name)
		var rows []string
		for _, row := range r.rows {
			rows = append(rows, "["+strings.Join(row, ",")+"]")
		}
		parameters := `{}`
		switch {
		case !r.intercept():
			parameters = `{"intercept":false}`
		case r.predictors == 1:
			parameters = fmt.Sprintf(`{"polynomial":%d}`, len(r.parameters)-1)
		}
		text := mustPlay(t, simon.LinearRegression(), parameters, dealt(rows, 3)...)
		got := decoded(t, text)
		conforms(t, simon.LinearRegression(), nil, parameters, text)
		exact := r.f == "Infinity"
		for i := range r.parameters {
			certified(t, name+" "+r.parameters[i], member(t, got, "coefficients", i, "estimate"), r.estimates[i], significant)
			certified(t, name+" deviation of "+r.parameters[i], member(t, got, "coefficients", i, "std_error"), r.sds[i], significant)
			if exact {
				noted(t, got, fmt.Sprintf("coefficients[%d].t_value", i), "exact")
				noted(t, got, fmt.Sprintf("coefficients[%d].p_value", i), "exact")
			}
		}
		certified(t, name+" residual deviation", got["residual_standard_error"], r.residualSD, significant)
		certified(t, name+" R²", got["r_squared"], r.rSquared, significant)
		certified(t, name, got["num_df"], r.df[0], significant)
		certified(t, name, got["df"], r.df[1], significant)
		certified(t, name, got["denom_df"], r.df[1], significant)
		if exact {
			noted(t, got, "f_statistic", "infinite")
			noted(t, got, "f_p_value", "infinite")
		} else {
			certified(t, name+" F", got["f_statistic"], r.f, significant)
		}
	}
}

func TestLinearRegressionOfR(t *testing.T) {
	const significant = 10
	r := fromR(t, "lm-mtcars")
	parameters := `{"columns":["wt","hp","qsec"]}`
	got := decoded(t, mustPlay(t, simon.LinearRegression(), parameters, dealt(rowsOf(t, r), 3)...))
	for i := range r.length(t, "coefficients") {
		for ours, theirs := range map[string]string{"estimate": "estimate", "std_error": "std.error", "t_value": "t", "p_value": "p.value"} {
			near(t, ours, member(t, got, "coefficients", i, ours), r.number(t, "coefficients", i, theirs), significant)
		}
		near(t, "lower", member(t, got, "coefficients", i, "conf_int", 0), r.number(t, "coefficients", i, "lower"), significant)
		near(t, "upper", member(t, got, "coefficients", i, "conf_int", 1), r.number(t, "coefficients", i, "upper"), significant)
		if name := member(t, got, "coefficients", i, "name").(string); !strings.EqualFold(name, r.at(t, "coefficients", i, "term").(string)) {
			t.Errorf("coefficient %d is %s", i, name)
		}
	}
	near(t, "sigma", got["residual_standard_error"], r.number(t, "sigma"), significant)
	near(t, "df", got["df"], r.number(t, "df.residual"), significant)
	near(t, "R²", got["r_squared"], r.number(t, "r.squared"), significant)
	near(t, "adjusted R²", got["adj_r_squared"], r.number(t, "adj.r.squared"), significant)
	near(t, "F", got["f_statistic"], r.number(t, "fstatistic"), significant)
	near(t, "num df", got["num_df"], r.number(t, "fstatistic.df", 0), significant)
	near(t, "denom df", got["denom_df"], r.number(t, "fstatistic.df", 1), significant)
	near(t, "p", got["f_p_value"], r.number(t, "fstatistic.p.value"), significant)
}

func TestRidgeOfR(t *testing.T) {
	const significant = 11
	r := fromR(t, "ridge-mtcars")
	var y []*big.Rat
	for i := range r.length(t, "data") {
		y = append(y, fraction(r.number(t, "data", i, 0).String()))
	}
	for i := range r.length(t, "ridge") {
		parameters := fmt.Sprintf(`{"ridge":%s}`, r.number(t, "ridge", i, "lambda"))
		text := mustPlay(t, simon.LinearRegression(), parameters, dealt(rowsOf(t, r), 3)...)
		conforms(t, simon.LinearRegression(), nil, parameters, text)
		got := decoded(t, text)
		for j := range r.length(t, "terms") {
			near(t, parameters, member(t, got, "coefficients", j, "estimate"), r.number(t, "ridge", i, "coefficients", j), significant)
		}
		// 1-R² has lost no digit worth mentioning: R² is between 0.6 and 0.9.
		left := less(integral(1), fraction(got["r_squared"].(json.Number).String()))
		near(t, parameters, times(left, squaresOf(y)), r.number(t, "ridge", i, "rss"), significant)
		if parameters == `{"ridge":0}` {
			if got["method"] != "Ordinary least squares" {
				t.Errorf("method %v", got["method"])
			}
			continue
		}
		for _, path := range []string{"df", "residual_standard_error", "adj_r_squared", "f_statistic", "num_df", "denom_df", "f_p_value",
			"coefficients[0].std_error", "coefficients[1].t_value", "coefficients[2].p_value", "coefficients[3].conf_int"} {
			noted(t, got, path, "ridge")
		}
	}
}

// leastSquares is regression by Gauss and Jordan in fractions, with a column of ones where there is an intercept; nil where the
// columns are collinear.
func leastSquares(y []*big.Rat, x [][]*big.Rat, intercept bool, ridge *big.Rat) (b []*big.Rat, inverse [][]*big.Rat) {
	if intercept {
		ones := make([]*big.Rat, len(y))
		for i := range ones {
			ones[i] = integral(1)
		}
		x = append([][]*big.Rat{ones}, x...)
	}
	dot := func(a, b []*big.Rat) *big.Rat {
		sum := new(big.Rat)
		for i := range a {
			sum.Add(sum, times(a[i], b[i]))
		}
		return sum
	}
	k := len(x)
	m := make([][]*big.Rat, k) // X'X | X'y | I
	for i := range m {
		for j := range k {
			m[i] = append(m[i], dot(x[i], x[j]))
		}
		if i > 0 || !intercept {
			m[i][i] = plus(m[i][i], ridge)
		}
		m[i] = append(m[i], dot(x[i], y))
		for j := range k {
			m[i] = append(m[i], integral(boolean(i == j)))
		}
	}
	for c := range k {
		if m[c][c].Sign() == 0 { // positive semidefinite: no other row has a pivot either
			return nil, nil
		}
		pivot := new(big.Rat).Set(m[c][c])
		for j := range m[c] {
			m[c][j] = ratio(m[c][j], pivot)
		}
		for i := range m {
			if f := new(big.Rat).Set(m[i][c]); i != c && f.Sign() != 0 {
				for j := range m[i] {
					m[i][j] = less(m[i][j], times(f, m[c][j]))
				}
			}
		}
	}
	for i := range m {
		b = append(b, m[i][k])
		inverse = append(inverse, m[i][k+1:])
	}
	return b, inverse
}

// TestRegressionOfPooledData compares with residuals of rows, which no party has.
func TestLinearRegressionOfPooledData(t *testing.T) {
	collinear := 0
	checkSome(t, 40, func(rt *rapid.T) {
		k := rapid.IntRange(1, 4).Draw(rt, "predictors")
		intercept := rapid.Bool().Draw(rt, "intercept")
		all := k + boolean(intercept)
		ridge := rapid.SampledFrom([]string{"0", "0", "0", "2.5", "1e-7"}).Draw(rt, "ridge")
		n := rapid.IntRange(all, 10).Draw(rt, "rows")
		number := drawNumber()
		if rapid.Bool().Draw(rt, "small") {
			number = rapid.Map(rapid.IntRange(-2, 2), func(i int) string { return fmt.Sprint(i) })
		}
		rows, by := drawMatrix(rt, n, k+1, number)
		parameters := fmt.Sprintf(`{"columns":%d,"intercept":%v,"ridge":%s,"conf_level":0.8}`, k, intercept, ridge)
		// The last predictor is what was drawn, or y, so that the fit is exact, or the first predictor.
		if same := rapid.SampledFrom([]int{-1, -1, -1, 0, 1}).Draw(rt, "same"); same >= 0 && same < k {
			by[k] = by[same]
			for i, row := range rows {
				numbers := strings.Split(strings.Trim(row, "[]"), ",")
				numbers[k] = numbers[same]
				rows[i] = "[" + strings.Join(numbers, ",") + "]"
			}
		}
		b, inverse := leastSquares(by[0], by[1:], intercept, fraction(ridge))
		if b == nil {
			collinear++
			reason := outcome(t, simon.LinearRegression(), parameters, split(rt, 3, rows)...)
			if !strings.Contains(reason, "linear combination") && !strings.Contains(reason, "is constant") && !strings.Contains(reason, "is 0 in all rows") {
				rt.Fatal(reason)
			}
			return
		}
		got := everywhere(t, rt, simon.LinearRegression(), parameters, rows)
		isFit(rt, got, by, b, inverse, intercept, ridge != "0")
	})
	if collinear == 0 {
		t.Error("no draw was collinear")
	}
}

func isFit(t failer, got map[string]any, by [][]*big.Rat, b []*big.Rat, inverse [][]*big.Rat, intercept, ridge bool) {
	y, n := by[0], len(by[0])
	rss, tss := new(big.Rat), new(big.Rat)
	for i := range y {
		off := new(big.Rat).Set(y[i])
		about := new(big.Rat).Set(y[i])
		if intercept {
			off.Sub(off, b[0])
			about.Sub(about, meanOf(y))
		}
		for j, x := range by[1:] {
			off.Sub(off, times(b[j+boolean(intercept)], x[i]))
		}
		rss, tss = plus(rss, times(off, off)), plus(tss, times(about, about))
	}
	is(t, got, n, "samples")
	if tss.Sign() == 0 {
		noted(t, got, "r_squared", "y is")
	} else {
		is(t, got, less(integral(1), ratio(rss, tss)), "r_squared")
	}
	df := n - len(b)
	var q *big.Float
	if !ridge && df > 0 && rss.Sign() > 0 {
		q = special.StudentQuantile(special.FromRat(fraction("0.9")), special.Int(int64(df)))
	}
	for i := range b {
		is(t, got, b[i], "coefficients", i, "estimate")
		if ridge {
			noted(t, got, fmt.Sprintf("coefficients[%d].std_error", i), "ridge")
			continue
		}
		if df == 0 {
			noted(t, got, fmt.Sprintf("coefficients[%d].conf_int", i), "as many rows")
			continue
		}
		se := rootOf(times(ratio(rss, integral(df)), inverse[i][i]))
		is(t, got, se, "coefficients", i, "std_error")
		if se.Sign() == 0 {
			noted(t, got, fmt.Sprintf("coefficients[%d].t_value", i), "exact")
			is(t, got, b[i], "coefficients", i, "conf_int", 0)
			continue
		}
		value := new(big.Float).Quo(floating(b[i]), se)
		is(t, got, value, "coefficients", i, "t_value")
		p := special.StudentUpper(new(big.Float).Abs(value), special.Int(int64(df)))
		is(t, got, p.Add(p, p), "coefficients", i, "p_value")
		reach := new(big.Float).SetPrec(400).Mul(q, se)
		isLimit(t, got, b[i], new(big.Float).Neg(reach), "coefficients", i, "conf_int", 0)
		isLimit(t, got, b[i], reach, "coefficients", i, "conf_int", 1)
	}
	if ridge || df == 0 {
		is(t, got, nil, "f_statistic")
		return
	}
	is(t, got, rootOf(ratio(rss, integral(df))), "residual_standard_error")
	if tss.Sign() == 0 || rss.Sign() == 0 {
		is(t, got, nil, "f_statistic")
		return
	}
	k := len(by) - 1
	f := ratio(ratio(less(tss, rss), integral(k)), ratio(rss, integral(df)))
	is(t, got, f, "f_statistic")
	is(t, got, special.FUpper(special.FromRat(f), special.Int(int64(k)), special.Int(int64(df))), "f_p_value")
	adjusted := ratio(times(rss, integral(n-boolean(intercept))), times(tss, integral(df)))
	is(t, got, less(integral(1), adjusted), "adj_r_squared")
}

// TestPolynomialOfPooledData compares with a regression on columns of powers.
func TestPolynomialOfPooledData(t *testing.T) {
	checkSome(t, 40, func(rt *rapid.T) {
		degree := rapid.IntRange(2, 5).Draw(rt, "degree")
		intercept := rapid.Bool().Draw(rt, "intercept")
		rows, by := drawMatrix(rt, 9, 2, rapid.OneOf(drawNumber(), rapid.Map(rapid.IntRange(-99, 99), func(i int) string { return fmt.Sprint(i) })))
		columns := [][]*big.Rat{by[0]}
		power := by[1]
		for range degree {
			columns = append(columns, power)
			next := make([]*big.Rat, len(power))
			for i := range power {
				next[i] = times(power[i], by[1][i])
			}
			power = next
		}
		b, inverse := leastSquares(columns[0], columns[1:], intercept, new(big.Rat))
		parameters := fmt.Sprintf(`{"polynomial":%d,"intercept":%v,"conf_level":0.8,"columns":["age"]}`, degree, intercept)
		if b == nil {
			outcome(t, simon.LinearRegression(), parameters, split(rt, 3, rows)...)
			return
		}
		got := everywhere(t, rt, simon.LinearRegression(), parameters, rows)
		isFit(rt, got, columns, b, inverse, intercept, false)
		if name := member(rt, got, "coefficients", boolean(intercept)+1, "name"); name != "age^2" {
			rt.Errorf("the second power is called %v", name)
		}
	})
}

// TestRegressionOfManyColumns: beyond 30 predictors arithmetic is no longer exact, but results are.
func TestLinearRegressionOfManyColumns(t *testing.T) {
	const k, n = 34, 40
	r := rand.New(rand.NewPCG(3, 4))
	matrix := func(y func(row []string) string) (rows []string, by [][]*big.Rat) {
		by = make([][]*big.Rat, k+1)
		for range n {
			row := make([]string, k+1)
			for j := 1; j <= k; j++ {
				row[j] = fmt.Sprintf("%.2f", r.NormFloat64())
			}
			row[0] = y(row)
			rows = append(rows, "["+strings.Join(row, ",")+"]")
			for j, s := range row {
				by[j] = append(by[j], fraction(s))
			}
		}
		return rows, by
	}
	rows, by := matrix(func([]string) string { return fmt.Sprintf("%.3f", r.NormFloat64()) })
	b, inverse := leastSquares(by[0], by[1:], true, new(big.Rat))
	got := decoded(t, mustPlay(t, simon.LinearRegression(), `{"conf_level":0.8}`, dealt(rows, 3)...))
	isFit(t, got, by, b, inverse, true, false)

	// y is a sum of two columns: no residuals, though arithmetic leaves some of 1e-150.
	rows, by = matrix(func(row []string) string {
		x := plus(fraction(row[3]), fraction(row[30]))
		return x.FloatString(2)
	})
	b, _ = leastSquares(by[0], by[1:], true, new(big.Rat))
	got = decoded(t, mustPlay(t, simon.LinearRegression(), `{"conf_level":0.8}`, dealt(rows, 3)...))
	is(t, got, 0, "residual_standard_error")
	is(t, got, 1, "r_squared")
	noted(t, got, "f_statistic", "infinite")
	for i := range b {
		if e, _ := member(t, got, "coefficients", i, "estimate").(json.Number).Float64(); (i == 3 || i == 30) != (e == 1) || (e != 1 && (e > 1e-100 || e < -1e-100)) {
			t.Errorf("coefficient %d is %v", i, e)
		}
	}

	// The last column is twice the fifth less the first, and a constant.
	rows, _ = matrix(func(row []string) string {
		x := plus(times(integral(2), fraction(row[5])), fraction("-12345.67"))
		row[k] = less(x, fraction(row[1])).FloatString(2)
		return "1"
	})
	reason := outcome(t, simon.LinearRegression(), ``, dealt(rows, 3)...)
	if want := "x34 is a linear combination of x1 and x5, apart from a constant: leave such columns out, or set ridge"; reason != want {
		t.Errorf("%s, want %s", reason, want)
	}
	if got := mustPlay(t, simon.LinearRegression(), `{"ridge":0.01}`, dealt(rows, 3)...); !strings.Contains(got, "Ridge") {
		t.Error(got)
	}
}

func TestLinearRegressionOutcomes(t *testing.T) {
	const names = `{"columns":["wt","hp","wt2"]}`
	for _, c := range []struct{ parameters, data, want string }{
		{names, "[]", "no rows"},
		{names, "[[1,2,3,9],[4,5,6,1],[3,3,1,2]]", "3 rows, and the model has 4 coefficients"},
		{`{"columns":3,"intercept":false}`, "[[1,2,3,9],[4,5,6,1]]", "2 rows, and the model has 3 coefficients"},
		{names, "[[1,2,3,5],[4,5,6,11],[3,3,1,4],[3,7,1,8],[0,1,1,2]]", "wt2 is a linear combination of wt and hp, apart from a constant: leave"},
		{names, "[[1,2,3,2.1],[4,5,6,5.1],[3,3,1,3.1],[3,7,1,7.1],[0,1,1,1.1]]", "wt2 is a linear combination of wt, apart from a constant: leave"},
		{names, "[[1,2,0.1,9],[4,5,0.1,1],[3,3,0.1,2],[1,9,0.1,2]]", "hp is constant: leave"},
		{`{"columns":["a","b"],"intercept":false}`, "[[1,0.1,-0.3],[4,5,-15],[3,0,0]]", "b is a linear combination of a: leave"},
		{`{"columns":["a","b"],"intercept":false}`, "[[1,0,1],[4,0,2],[3,0,0]]", "a is 0 in all rows: leave"},
		{`{"columns":["a","b","c"],"intercept":false}`, "[[1,1,1,2],[4,2,2,4],[3,1,1,2]]", "b is a linear combination of a; c is a linear combination of a: leave"},
		{`{"columns":["a","b","c","d"],"intercept":false}`, "[[1,1,2,5,6],[2,2,4,1,3],[3,0,0,7,7],[1,4,8,2,6]]",
			"b is a linear combination of a; d is a linear combination of a and c: leave"},
		{`{"polynomial":2}`, "[[1,2],[4,2],[3,3],[4,3]]", "x^2 is a linear combination of x, apart from a constant: leave"},
	} {
		if got := outcome(t, simon.LinearRegression(), c.parameters, c.data, "[]"); !strings.Contains(got, c.want) {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
	// With ridge these have solutions.
	for _, parameters := range []string{`{"columns":2,"ridge":1}`, `{"columns":2,"ridge":1e-300}`} {
		got := decoded(t, mustPlay(t, simon.LinearRegression(), parameters, "[[1,2,4],[3,3,6]]", "[]"))
		if e := member(t, got, "coefficients", 1, "estimate"); e == nil {
			t.Error("no estimate")
		}
	}
	// Many collinear columns: not all are named.
	row := func(x int) string {
		return "[1" + strings.Repeat(fmt.Sprintf(",%d", x), 40) + "]"
	}
	rows := make([]string, 50)
	for i := range rows {
		rows[i] = row(i)
	}
	if got := outcome(t, simon.LinearRegression(), "", dealt(rows, 2)...); !strings.Contains(got, "and 34 more columns") || len(got) > 500 {
		t.Error(got)
	}
}

func TestLinearRegressionUndefined(t *testing.T) {
	for _, c := range []struct {
		parameters, data string
		null             map[string]string
		values           map[string]any
	}{
		{`{"columns":1}`, "[[1,2],[2,5]]", map[string]string{
			"coefficients[0].std_error": "as many rows", "residual_standard_error": "as many rows", "adj_r_squared": "as many rows", "f_statistic": "as many rows", "f_p_value": "as many"},
			map[string]any{"df": 0, "r_squared": 1, "num_df": 1, "denom_df": 0}},
		{`{"columns":1}`, "[[7,2],[7,5],[7,1]]", map[string]string{"r_squared": "constant", "adj_r_squared": "constant", "f_statistic": "constant", "coefficients[1].t_value": "estimate is 0"},
			map[string]any{"df": 1, "residual_standard_error": 0}},
		{`{"columns":1,"intercept":false}`, "[[0,2],[0,5],[0,1]]", map[string]string{"r_squared": "y is 0", "f_p_value": "y is 0"}, nil},
		{`{"columns":1}`, "[[0.3,0.1],[0.6,0.2],[0.9,0.3]]", map[string]string{"f_statistic": "infinite", "coefficients[1].p_value": "infinite", "coefficients[0].t_value": "estimate is 0"},
			map[string]any{"df": 1, "residual_standard_error": 0, "r_squared": 1, "adj_r_squared": 1}},
	} {
		text := mustPlay(t, simon.LinearRegression(), c.parameters, c.data, "[]")
		conforms(t, simon.LinearRegression(), nil, c.parameters, text)
		got := decoded(t, text)
		for path, why := range c.null {
			noted(t, got, path, why)
		}
		for name, want := range c.values {
			is(t, got, want, name)
		}
	}
}

func TestLinearRegressionRefuses(t *testing.T) {
	refused(t, simon.LinearRegression(), [][4]string{
		{``, `[]`, "parameters.columns", "is needed where there are no rows"},
		{``, `[[1]]`, "data[0]", "fewer than 2"},
		{``, `[1,2]`, "data[0]", "single value"},
		{``, `[[1,2],[3]]`, "data[1]", "fewer than 2"},
		{``, `[[1,2],[3,4,5]]`, "data[1]", "more than 2"},
		{``, `[[1,2],[3,"4"]]`, "data[1][1]", "text"},
		{``, `[[1,2],[true,4]]`, "data[1][0]", "true or false"},
		{`{"columns":2}`, `[[1,2]]`, "data[0]", "fewer than 3"},
		{`{"columns":101}`, `[]`, "parameters.columns", "from 1 to 100"},
		{`{"columns":0}`, `[]`, "parameters.columns", "from 1 to 100"},
		{`{"columns":["a","b","a"]}`, `[]`, "parameters.columns", "same value"},
		{`{"columns":{"a":1}}`, `[]`, "parameters.columns", "text"},
		{`{"ridge":-1}`, `[[1,2]]`, "parameters.ridge", "not negative"},
		{`{"ridge":"1"}`, `[[1,2]]`, "parameters.ridge", "not negative"},
		{`{"polynomial":17}`, `[[1,2]]`, "parameters.polynomial", "from 1 to 16"},
		{`{"polynomial":0}`, `[[1,2]]`, "parameters.polynomial", "from 1 to 16"},
		{`{"polynomial":2}`, `[[1,2,3]]`, "data[0]", "more than 2"},
		{`{"polynomial":2,"columns":["a","b"]}`, `[[1,2,3]]`, "parameters.columns", "one name"},
		{`{"intercept":"no"}`, `[[1,2]]`, "parameters.intercept", "true or false"},
		{``, "[[" + strings.Repeat("1,", 101) + "1]]", "data[0]", "longer than 101"},
	})
	// A polynomial opens higher moments, and more samples are asked for.
	_, err := simon.LinearRegression().Prepare(strings.NewReader("[[1,2]]"), json.RawMessage(`{"polynomial":2,"least_samples":50}`), simon.Guard{Samples: 30, Moments: 100})
	if input, ok := errors.AsType[*simon.InputError](err); !ok || input.Path != "parameters.least_samples" {
		t.Errorf("a polynomial of 50 samples: %v", err)
	}
	if _, err := simon.LinearRegression().Prepare(strings.NewReader("[[1,2]]"), json.RawMessage(`{"least_samples":50}`), simon.Guard{Samples: 30, Moments: 100}); err != nil {
		t.Errorf("a line of 50 samples: %v", err)
	}
}

func TestLinearRegressionPrivacy(t *testing.T) {
	for _, p := range []string{`{"columns":1}`, `{"columns":1,"intercept":false}`, `{"columns":1,"polynomial":3}`, `{"columns":1,"polynomial":2,"intercept":false}`} {
		reprogrammed(t, simon.LinearRegression(), p,
			[]string{`[[1,2]]`, `[[2.5,3],[-7,8]]`, `[[4,9]]`, `[]`},
			[]string{`[[1,2]]`, `[[4,9]]`, `[[-7,8],[2.5,3]]`, `[]`})
		constantLengths(t, simon.LinearRegression(), p, []string{`[[1,2]]`, `[]`}, []string{`[[-5e13,1],[1e-20,2],[2,3]]`, `[[1,1]]`})
	}
	const data = `[[1,2],[3,5],[2,9],[1,1]]`
	for what, change := range map[string]func(b []byte){
		"samples":                 func(b []byte) { b[7] = 0x80 },
		"negative square":         func(b []byte) { b[8+39] = 0x80 },
		"products beyond squares": func(b []byte) { b[8+40+30] = 1 },
		"sums beyond squares":     func(b []byte) { b[8+120+20] = 1 },
		"a correlation beyond 1":  func(b []byte) { correlate(b, -11) },
	} {
		impossible(t, what, forged(t, simon.LinearRegression(), `{"columns":1}`, data, 1+3*5+2*3, change))
	}
	// Powers of a polynomial: yy, x, x², x³, x⁴, y, yx, yx².
	const words = 1 + 5 + 3 + 5 + 6 + 8 + 3 + 5 + 6
	for what, change := range map[string]func(b []byte){
		"samples":         func(b []byte) { b[7] = 0x80 },
		"negative square": func(b []byte) { b[8*(1+5+3+5)-1] = 0x80 },
		"large cube":      func(b []byte) { b[8*(1+5+3+5+6)-2] = 1 },
	} {
		impossible(t, what, forged(t, simon.LinearRegression(), `{"columns":1,"polynomial":2}`, data, words, change))
	}
}

// BenchmarkRegression measures what follows the opening, for 100 predictors, and the reading of rows.
func BenchmarkRegression(b *testing.B) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, k := range []int{10, 20, 30, 100} {
		var rows []string
		for range 3 * k {
			row := make([]string, k+1)
			for j := range row {
				row[j] = fmt.Sprint(r.NormFloat64())
			}
			rows = append(rows, "["+strings.Join(row, ",")+"]")
		}
		data := "[" + strings.Join(rows, ",") + "]"
		p := prepare(b, simon.LinearRegression(), fmt.Sprintf(`{"columns":%d}`, k), []string{data, "[]"})
		opened := p.run(b, simontest.Options{}).Results[0]
		b.Run(fmt.Sprintf("finish/%d", k), func(b *testing.B) {
			for b.Loop() {
				if _, err := p.m.Finish(p.common, nil, opened); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("read/%d", k), func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				if _, err := p.m.Prepare(strings.NewReader(data), nil, simon.Guard{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
