package simon_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/weftmpc/weft/simon"
	"github.com/weftmpc/weft/simon/simontest"
	"github.com/weftmpc/weft/simon/special"
)

// regressionRows are R's rows, each as JSON, with the columns in another order.
func regressionRows(t testing.TB, r rFile, order ...int) []string {
	t.Helper()
	rows := make([]string, r.length(t, "data"))
	for i := range rows {
		cells := make([]string, len(order))
		for j, column := range order {
			cells[j] = r.number(t, "data", i, column).String()
		}
		rows[i] = "[" + strings.Join(cells, ",") + "]"
	}
	return rows
}

func TestRegressionsFromR(t *testing.T) {
	for _, c := range []struct {
		file       string
		m          simon.Microprotocol
		order      []int
		parameters string
		ratio      string
	}{
		{"glm-infert", simon.LogisticRegression(), []int{0, 1, 2}, `{"columns":["spontaneous","induced"]}`, "odds_ratio"},
		{"glm-infert-4", simon.LogisticRegression(), []int{0, 1, 2, 3, 4}, `{"columns":["spontaneous","induced","age","parity"]}`, "odds_ratio"},
		{"glm-warpbreaks", simon.PoissonRegression(), []int{0, 1, 2, 3}, `{"columns":["woolB","tensionM","tensionH"]}`, "rate_ratio"},
		{"glm-offset", simon.PoissonRegression(), []int{0, 2, 3, 1}, `{"columns":["age","smoker"],"exposure":true}`, "rate_ratio"},
	} {
		t.Run(c.file, func(t *testing.T) {
			const significant = 12
			r := fromR(t, c.file)
			rows := regressionRows(t, r, c.order...)
			for parties := 2; parties <= 4; parties++ {
				data := make([]string, parties)
				for i := range data {
					data[i] = rowList(rows[i*len(rows)/parties : (i+1)*len(rows)/parties]...)
				}
				text := mustPlay(t, c.m, c.parameters, data...)
				got := decoded(t, text)
				for mine, theirs := range map[string]string{
					"deviance": "deviance", "null_deviance": "null.deviance", "df_residual": "df.residual", "df_null": "df.null", "aic": "aic", "log_likelihood": "logLik",
				} {
					near(t, mine, got[mine], r.number(t, theirs), significant)
				}
				list := got["coefficients"].([]any)
				if len(list) != r.length(t, "coefficients") || got["converged"] != true || got["separation"] != false {
					t.Fatalf("%s", text)
				}
				for i, one := range list {
					one := one.(map[string]any)
					interval, powers := one["conf_int"].([]any), one[c.ratio+"_conf_int"].([]any)
					for theirs, mine := range map[string]any{
						"estimate": one["estimate"], "std.error": one["std_error"], "z": one["z_value"], "lower": interval[0], "upper": interval[1],
						"exp.estimate": one[c.ratio], "exp.lower": powers[0], "exp.upper": powers[1],
					} {
						near(t, fmt.Sprintf("%v: %s", one["name"], theirs), mine, r.number(t, "coefficients", i, theirs), significant)
					}
					if want := r.number(t, "coefficients", i, "p.value"); want != "0" { // of tails R has fewer digits
						near(t, fmt.Sprintf("%v: p value", one["name"]), one["p_value"], want, 11)
					}
					if name := r.at(t, "coefficients", i, "term"); name != one["name"] && name != "(Intercept)" {
						t.Errorf("coefficient %d is that of %v, want %v", i, one["name"], name)
					}
				}
			}
		})
	}
}

// drawnModel is a regression, and its rows.
type drawnModel struct {
	m          simon.Microprotocol
	counts     bool
	intercept  bool
	exposure   bool
	rows       []string
	numbers    [][]*big.Rat // y, columns, exposure
	parameters string
}

// drawModel draws rows with two decimals in each column, on scales that differ, and y that hardly follow them.
func drawModel(t *rapid.T) drawnModel {
	d := drawnModel{counts: rapid.Bool().Draw(t, "counts"), intercept: rapid.IntRange(0, 3).Draw(t, "intercept") > 0}
	d.m = simon.LogisticRegression()
	if d.counts {
		d.m = simon.PoissonRegression()
		d.exposure = rapid.Bool().Draw(t, "exposure")
	}
	columns := rapid.IntRange(1, 3).Draw(t, "columns")
	r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
	scale := make([]float64, columns)
	for j := range scale {
		scale[j] = math.Exp2(float64(r.IntN(14)))
	}
	for range rapid.IntRange(25, 50).Draw(t, "rows") {
		cells := []string{fmt.Sprint(r.IntN(2))}
		if d.counts {
			cells[0] = fmt.Sprint(r.IntN(6))
		}
		for j := range columns {
			cells = append(cells, fmt.Sprintf("%.2f", scale[j]*(r.NormFloat64()+3)))
		}
		if d.exposure {
			cells = append(cells, fmt.Sprintf("%.2f", 0.5+10*r.Float64()))
		}
		numbers := make([]*big.Rat, len(cells))
		for j, c := range cells {
			numbers[j], _ = new(big.Rat).SetString(c)
		}
		d.numbers = append(d.numbers, numbers)
		d.rows = append(d.rows, "["+strings.Join(cells, ",")+"]")
	}
	d.parameters = fmt.Sprintf(`{"columns":%d,"intercept":%t}`, columns, d.intercept)
	if d.exposure {
		d.parameters = strings.TrimSuffix(d.parameters, "}") + `,"exposure":true}`
	}
	return d
}

// pooledNewton is the model fitted in one place, in big.Float on the data as they are: the estimates, their standard errors
// and the deviance.
func (d drawnModel) pooledNewton() (estimates, deviations []*big.Float, deviance *big.Float) {
	float := func(r *big.Rat) *big.Float { return special.FromRat(r) }
	add := func(x, y *big.Float) *big.Float { return new(big.Float).Add(x, y) }
	mul := func(x, y *big.Float) *big.Float { return new(big.Float).Mul(x, y) }
	quo := func(x, y *big.Float) *big.Float { return new(big.Float).Quo(x, y) }
	one := special.Int(1)
	var x [][]*big.Float
	var y, t []*big.Float
	events, total := special.Int(0), special.Int(0)
	for _, row := range d.numbers {
		var z []*big.Float
		if d.intercept {
			z = append(z, one)
		}
		end := len(row)
		t = append(t, one)
		if d.exposure {
			end--
			t[len(t)-1] = float(row[end])
		}
		for _, c := range row[1:end] {
			z = append(z, float(c))
		}
		x, y = append(x, z), append(y, float(row[0]))
		events, total = add(events, y[len(y)-1]), add(total, t[len(t)-1])
	}
	p := len(x[0])
	b := make([]*big.Float, p)
	for i := range b {
		b[i] = special.Int(0)
	}
	if d.counts && d.intercept {
		b[0] = special.Log(quo(events, total))
	}
	for range 12 {
		// The matrix, the right side and the unit matrix beside each other, for elimination by Gauss and Jordan.
		a := make([][]*big.Float, p)
		for i := range a {
			for range 2*p + 1 {
				a[i] = append(a[i], special.Int(0))
			}
			a[i][p+1+i] = one
		}
		deviance = special.Int(0)
		for r, row := range x {
			eta := special.Int(0)
			for i := range row {
				eta = add(eta, mul(row[i], b[i]))
			}
			mu := special.Exp(eta)
			w := mu
			if d.counts {
				mu = mul(mu, t[r])
				w = mu
				if y[r].Sign() > 0 {
					deviance = add(deviance, mul(y[r], special.Log(quo(y[r], mu))))
				}
				deviance = add(deviance, new(big.Float).Sub(mu, y[r]))
			} else {
				deviance = add(deviance, new(big.Float).Sub(special.Log1p(mu), mul(y[r], eta)))
				mu = quo(mu, add(one, mu))
				w = mul(mu, new(big.Float).Sub(one, mu))
			}
			residual := new(big.Float).Sub(y[r], mu)
			for i := range row {
				a[i][p] = add(a[i][p], mul(residual, row[i]))
				for j := range row {
					a[i][j] = add(a[i][j], mul(w, mul(row[i], row[j])))
				}
			}
		}
		for k := range p {
			pivot := a[k][k]
			for j := range a[k] {
				a[k][j] = quo(a[k][j], pivot)
			}
			for i := range p {
				if factor := a[i][k]; i != k {
					for j := range a[i] {
						a[i][j] = new(big.Float).Sub(a[i][j], mul(factor, a[k][j]))
					}
				}
			}
		}
		deviations = nil
		for i := range p {
			b[i] = add(b[i], a[i][p])
			deviations = append(deviations, special.Sqrt(new(big.Float).Abs(a[i][p+1+i])))
		}
	}
	return b, deviations, mul(deviance, special.Int(2))
}

// The result is that of the pool, and the same bytes however the samples lie.
func TestRegressionIsThatOfThePool(t *testing.T) {
	drawn, fitted := 0, 0
	checkSome(t, 40, func(rt *rapid.T) {
		drawn++
		d := drawModel(rt)
		text, _, err := play(t, d.m, simontest.Options{Seed: 1}, simon.Guard{}, split(rt, rapid.IntRange(2, 7).Draw(rt, "parties"), d.rows), d.parameters)
		if err != nil {
			rt.Fatal(err)
		}
		again, _, err := play(t, d.m, simontest.Options{Seed: 2}, simon.Guard{}, []string{"[]", "[" + strings.Join(d.rows, ",") + "]"}, d.parameters)
		if err != nil || again != text {
			rt.Fatalf("another partition: %v\n%s\n%s", err, text, again)
		}
		conforms(t, d.m, nil, d.parameters, text)
		got := decoded(rt, text)
		if got["converged"] != true {
			return // rare: y are drawn without regard to the columns
		}
		fitted++
		estimates, deviations, deviance := d.pooledNewton()
		// Far from its standard error a coefficient has no digits of its own to lose.
		within := func(what string, got any, want, scale *big.Float) {
			x, err := got.(json.Number).Float64()
			if err != nil {
				rt.Fatal(err)
			}
			w, _ := want.Float64()
			s, _ := scale.Float64()
			if math.Abs(x-w) > 1e-12*(math.Abs(w)+s) {
				rt.Errorf("%s is %v, want %v, standard error %v", what, x, w, s)
			}
		}
		within("deviance", got["deviance"], deviance, special.Int(0))
		for i, one := range got["coefficients"].([]any) {
			one := one.(map[string]any)
			within(fmt.Sprint(one["name"]), one["estimate"], estimates[i], new(big.Float).Mul(deviations[i], special.New(0.01)))
			within("its error", one["std_error"], deviations[i], special.Int(0))
		}
	})
	if fitted < drawn/2 {
		t.Errorf("only %d of %d models have converged", fitted, drawn)
	}
}

// rowList is rows as one list.
func rowList(rows ...string) string { return "[" + strings.Join(rows, ",") + "]" }

func manyRows(row string, times int) string {
	return strings.TrimSuffix(strings.Repeat(row+",", times), ",")
}

func TestRegressionsWithoutEstimates(t *testing.T) {
	logistic, poisson := simon.LogisticRegression(), simon.PoissonRegression()
	perfect := rowList("[0,1]", "[0,2]", "[0,3]", "[1,4]", "[1,5]", "[1,6]", "[0,1.5]", "[1,5.5]")
	for name, c := range map[string]struct {
		m         simon.Microprotocol
		data      string
		intercept bool
		most      int // iterations
	}{
		"complete separation":    {logistic, perfect, true, 10},
		"wide separation":        {logistic, rowList("[0,-1]", "[0,-1]", "[1,1]", "[1,1]", "[0,-1]", "[1,1]"), true, 6},
		"without intercept":      {logistic, rowList("[0,-1]", "[0,-2]", "[1,1]", "[1,3]"), false, 6},
		"quasi-separation":       {logistic, rowList(manyRows("[0,0]", 20), manyRows("[1,0]", 30), manyRows("[1,1]", 15)), true, 16},
		"large quasi-separation": {logistic, rowList(manyRows("[0,0,1]", 500), manyRows("[1,0,2]", 300), manyRows("[0,0,2]", 300), manyRows("[1,0,1]", 500), manyRows("[1,1,1]", 500), manyRows("[1,1,2]", 400)), true, 16},
		"touching classes":       {logistic, rowList("[0,1]", "[0,2]", "[0,3]", "[1,3]", "[1,4]", "[1,5]", "[0,0]", "[1,9]"), true, 16},
		"all events":             {logistic, rowList(manyRows("[1,2]", 5), "[1,3]"), true, 0},
		"no events":              {logistic, rowList(manyRows("[0,2]", 5), "[0,3]"), true, 0},
		"group without events":   {poisson, rowList(manyRows("[3,0]", 10), manyRows("[1,0]", 10), manyRows("[0,1]", 12)), true, 16},
		"no counts":              {poisson, rowList(manyRows("[0,2]", 5), "[0,3]"), true, 0},
		"no counts on one side":  {poisson, rowList(manyRows("[0,2]", 5), "[0,3]"), false, 16},
	} {
		t.Run(name, func(t *testing.T) {
			columns := strings.Count(c.data[:strings.Index(c.data, "]")], ",")
			text := mustPlay(t, c.m, fmt.Sprintf(`{"columns":%d,"intercept":%t}`, columns, c.intercept), c.data, "[]")
			conforms(t, c.m, nil, "", text)
			got := decoded(t, text)
			iterations, err := got["iterations"].(json.Number).Int64()
			if err != nil || int(iterations) > c.most || got["separation"] != true || got["converged"] != false || got["deviance"] != nil || got["aic"] != nil {
				t.Errorf("%s", text)
			}
			notes := got["notes"].(map[string]any)
			for i, one := range got["coefficients"].([]any) {
				one := one.(map[string]any)
				if one["estimate"] != nil || one["std_error"] != nil || one["conf_int"] != nil || notes[fmt.Sprintf("coefficients[%d].conf_int", i)] == nil {
					t.Errorf("%s", text)
				}
			}
		})
	}
}

// What is hard, but has estimates: with one column of 0 and 1 they are differences of logarithms.
func TestRegressionsNearTheEdge(t *testing.T) {
	for name, c := range map[string]struct {
		m    simon.Microprotocol
		rows []string
		want [2]float64
	}{
		"one event in a large group": {simon.LogisticRegression(), []string{manyRows("[0,0]", 2999), "[1,0]", manyRows("[0,1]", 40), manyRows("[1,1]", 60)},
			[2]float64{-math.Log(2999), math.Log(1.5 * 2999)}},
		"one of three": {simon.LogisticRegression(), []string{"[0,0]", "[1,0]", "[0,1]", "[1,1]"}, [2]float64{0, 0}},
		"one count in a large group": {simon.PoissonRegression(), []string{manyRows("[0,0]", 2999), "[1,0]", manyRows("[90,1]", 40)},
			[2]float64{-math.Log(3000), math.Log(90 * 3000)}},
		"large counts": {simon.PoissonRegression(), []string{"[1000000,0]", "[1001000,0]", "[40000000000000,1]", "[40000000100000,1]"},
			[2]float64{math.Log(1000500), math.Log(40000000050000 / 1000500.0)}},
		"one large count": {simon.PoissonRegression(), []string{manyRows("[0,0]", 1000), manyRows("[1,0]", 1000), "[1000000,1]"},
			[2]float64{-math.Log(2), math.Log(2e6)}}, // the first step leads far too far
	} {
		t.Run(name, func(t *testing.T) {
			text := mustPlay(t, c.m, "", rowList(c.rows[0]), rowList(c.rows[1:]...))
			conforms(t, c.m, nil, "", text)
			got := decoded(t, text)
			for i, one := range got["coefficients"].([]any) {
				estimate, ok := one.(map[string]any)["estimate"].(json.Number)
				if x, err := estimate.Float64(); !ok || err != nil || math.Abs(x-c.want[i]) > 1e-12*(1+math.Abs(c.want[i])) {
					t.Errorf("coefficient %d is not %v: %s", i, c.want[i], text)
				}
			}
		})
	}
}

// Columns far from 0 lose nothing: slopes and their errors are the same bits wherever a column begins.
func TestRegressionsDoNotDependOnTheOrigin(t *testing.T) {
	rows := regressionRows(t, fromR(t, "glm-infert-4"), 0, 3, 4)
	far := make([]string, len(rows))
	for i, row := range rows {
		var x [3]int64
		if err := json.Unmarshal([]byte(row), &x); err != nil {
			t.Fatal(err)
		}
		far[i] = fmt.Sprintf("[%d,%d,%d]", x[0], x[1]+1_000_000_000, x[2]+7)
	}
	a := decoded(t, mustPlay(t, simon.LogisticRegression(), "", rowList(rows[:99]...), rowList(rows[99:]...)))["coefficients"].([]any)
	b := decoded(t, mustPlay(t, simon.LogisticRegression(), "", rowList(far[:9]...), rowList(far[9:]...)))["coefficients"].([]any)
	if fmt.Sprint(a[1:]) != fmt.Sprint(b[1:]) || fmt.Sprint(a) == fmt.Sprint(b) {
		t.Errorf("%v\n%v", a, b)
	}
}

func TestRegressionOutcomes(t *testing.T) {
	logistic, poisson := simon.LogisticRegression(), simon.PoissonRegression()
	for name, c := range map[string]struct {
		m          simon.Microprotocol
		data       []string
		parameters string
		want       string
	}{
		"no samples":            {logistic, []string{"[]", "[]"}, `{"columns":2}`, "there are no samples"},
		"too few":               {logistic, []string{"[[0,1,2]]", "[[1,2,2]]"}, `{}`, "2 samples, which is less than the 3 coefficients"},
		"constant column":       {logistic, []string{"[[0,1,2],[1,2,2]]", "[[1,3,2]]"}, `{"columns":["a","b"]}`, `column "b" has the same value in all samples`},
		"zero column":           {poisson, []string{"[[0,1,0],[1,2,0]]", "[[1,3,0]]"}, `{"intercept":false}`, `column "x2" is 0 in all samples`},
		"twice the same column": {logistic, []string{"[[0,1,0.1],[1,2,0.2],[0,4,0.4]]", "[[1,3,0.3]]"}, `{"columns":["a","b"]}`, `column "b" follows from the 2 terms before it, from (intercept) to a (collinear)`},
		"without intercept":     {poisson, []string{"[[0,1,-2],[1,2,-4],[0,4,-8]]", "[[1,3,-6]]"}, `{"columns":["a","b"],"intercept":false}`, `column "b" follows from column "a" (collinear)`},
		"all dummies":           {poisson, []string{"[[5,1,0,0],[1,0,1,0]]", "[[3,0,0,1],[6,0,0,1],[1,1,0,0]]"}, `{"columns":["a","b","c"]}`, `column "c" follows from`},
		"a sum": {logistic, []string{"[[1,1,5,0.3],[0,2,-3,4.25],[1,0.1,7,0.001]]", "[[0,3.5,9,1],[1,2,2,6]]", "[]"},
			`{"columns":["a","b","c"]}`, ""}, // none: the check of the test
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := play(t, c.m, simontest.Options{}, simon.Guard{}, c.data, c.parameters)
			outcome, ok := errors.AsType[*simon.OutcomeError](err)
			if c.want == "" && err == nil {
				return
			}
			if !ok || c.want == "" || !strings.Contains(outcome.Reason, c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

// Two columns that are all but one: coefficients of thousands would hold each other in check.
func TestRegressionThatGrowsSteep(t *testing.T) {
	text := mustPlay(t, simon.PoissonRegression(), "", "[[10,1,1.0001],[20,2,1.9999],[9,3,3.0001],[18,4,3.9999]]", "[[11,5,5.0001],[22,6,5.9999],[10,7,7.0001]]")
	conforms(t, simon.PoissonRegression(), nil, "", text)
	if got := decoded(t, text); got["converged"] != false || got["separation"] != true || !strings.Contains(fmt.Sprint(got["notes"]), "beyond 30") {
		t.Errorf("%s", text)
	}
}

func TestRegressionThatDoesNotConverge(t *testing.T) {
	rows := regressionRows(t, fromR(t, "glm-infert"), 0, 1, 2)
	text := mustPlay(t, simon.LogisticRegression(), `{"max_iterations":3}`, rowList(rows[:99]...), rowList(rows[99:]...))
	conforms(t, simon.LogisticRegression(), nil, "", text)
	got := decoded(t, text)
	if got["converged"] != false || got["separation"] != false || got["iterations"].(json.Number) != "3" || got["log_likelihood"] != nil ||
		!strings.Contains(fmt.Sprint(got["notes"]), "raise max_iterations") {
		t.Errorf("%s", text)
	}
}

func TestRegressionsRefuse(t *testing.T) {
	logistic, poisson := simon.LogisticRegression(), simon.PoissonRegression()
	for name, c := range map[string]struct {
		m                simon.Microprotocol
		data, parameters string
		path, want       string
	}{
		"y is 2":             {logistic, "[[0,1],[2,1]]", "", "data[1][0]", "0, 1, true or false"},
		"y is text":          {logistic, `[["yes",1]]`, "", "data[0][0]", "0, 1, true or false"},
		"y is half":          {poisson, "[[1,1],[0.5,1]]", "", "data[1][0]", "whole number"},
		"y is whole":         {poisson, "[[1,1],[3.0,1],[2e1,1]]", "", "", ""},
		"y is negative":      {poisson, "[[-1,1]]", "", "data[0][0]", "whole number"},
		"y is large":         {poisson, "[[1e14,1]]", "", "data[0][0]", "out of range"},
		"y is true":          {poisson, "[[true,1]]", "", "data[0][0]", "give 1 or 0"},
		"y is null":          {logistic, "[[null,1]]", "", "data[0][0]", "0, 1, true or false"},
		"x is text":          {logistic, `[[1,1],[0,"a"]]`, "", "data[1][1]", "is text"},
		"x is null":          {logistic, `[[1,1],[0,null]]`, "", "data[1][1]", "is null"},
		"x is NaN":           {poisson, `[[1,1],[0,NaN]]`, "", "data[1][1]", "NaN"},
		"x is large":         {logistic, `[[1,1e15]]`, "", "data[0][1]", "out of range"},
		"x is tiny":          {logistic, `[[1,1e-30]]`, "", "data[0][1]", "too small"},
		"ragged":             {logistic, `[[1,1,2],[0,1]]`, "", "data[1]", "fewer than 3 values"},
		"wide":               {logistic, `[[1,1,2],[0,1,2,3]]`, "", "data[1]", "more than 3 values"},
		"columns in data":    {logistic, `[[1,1,2]]`, `{"columns":["a"]}`, "data[0]", "more than 2 values"},
		"nothing but y":      {logistic, `[[1],[0]]`, "", "data[0]", "fewer than 2"},
		"plain numbers":      {logistic, `[1,0]`, "", "data[0]", "single value"},
		"no rows, no names":  {logistic, `[]`, "", "parameters.columns", "is needed"},
		"exposure is 0":      {poisson, `[[1,1,5],[0,1,0]]`, `{"exposure":true}`, "data[1][2]", "must be more than 0"},
		"exposure is below":  {poisson, `[[1,1,-5]]`, `{"exposure":true}`, "data[0][2]", "must be more than 0"},
		"exposure is absent": {poisson, `[[1,5]]`, `{"exposure":true}`, "data[0]", "fewer than 3"},
		"no exposure here":   {logistic, `[[1,5]]`, `{"exposure":true}`, "parameters.exposure", "unknown"},
		"level":              {logistic, `[[1,5]]`, `{"conf_level":95}`, "parameters.conf_level", "between 0 and 1"},
		"iterations":         {logistic, `[[1,5]]`, `{"max_iterations":0}`, "parameters.max_iterations", "1 to 100"},
		"names":              {logistic, `[[1,5]]`, `{"columns":["a","a"]}`, "parameters.columns", "same value"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.path == "" {
				if _, err := c.m.Prepare(strings.NewReader(c.data), nil, simon.Guard{}); err != nil {
					t.Error(err)
				}
				return
			}
			path, reason := refusal(t, c.m, c.data, c.parameters)
			if path != c.path || !strings.Contains(reason, c.want) {
				t.Errorf("%s: %s, want %s: … %s …", path, reason, c.path, c.want)
			}
		})
	}
	wide := "[1" + strings.Repeat(",2", 256) + "]"
	if path, _ := refusal(t, logistic, "["+wide+"]", ""); path != "data[0]" {
		t.Errorf("256 columns: %s", path)
	}
	row := strings.Repeat("[0"+strings.Repeat(",1", 255)+"],", 1<<16)
	if path, reason := refusal(t, logistic, "["+row+"[0"+strings.Repeat(",1", 255)+"]]", ""); !strings.HasPrefix(path, "data[65536]") || !strings.Contains(reason, "16777216 values") {
		t.Errorf("too many values: %s: %s", path, reason)
	}
}

// What a party sends has lengths that depend on the number of columns alone; how often it sends, on what all have opened.
func TestRegressionsSendConstantLengths(t *testing.T) {
	constantLengths(t, simon.LogisticRegression(), `{"columns":1}`,
		[]string{"[[0,1],[1,2]]", "[[1,1.5],[0,2],[0,0.123456789]]", "[]"},
		[]string{"[]", "[[1,10],[0,20]]", "[[0,15],[1,20],[1,1.23456789]]"})
	constantLengths(t, simon.PoissonRegression(), `{"columns":1,"exposure":true}`,
		[]string{"[[0,1,1],[1,2,1]]", "[[1,1.5,1],[0,2,1],[0,0.123456789,1]]", "[]"},
		[]string{"[[0,1,10],[1,2,10],[1,1.5,10]]", "[[0,2,10],[0,0.123456789,10]]", "[]"})
}

// Two honest parties that have each other's samples open the same at every point, bit for bit.
func TestRegressionsShowTotalsOnly(t *testing.T) {
	a, b := "[[0,1,2],[1,2,2.5],[0,3,-1],[1,1,1]]", "[[1,1.5,0.1],[0,2,3],[0,0.123456789,9]]"
	others := []string{"[[1,7,-2],[0,5,0.5],[1,0,0],[0,9,1]]", "[]"}
	for _, m := range []simon.Microprotocol{simon.LogisticRegression(), simon.PoissonRegression()} {
		reprogrammed(t, m, `{"columns":2}`, append([]string{a, b}, others...), append([]string{b, a}, others...))
	}
	a, b = "[[0,1,2],[1,2,2.5],[0,3,0.1],[1,1,1]]", "[[3,1.5,0.1],[0,2,3],[0,0.123456789,9]]"
	others = []string{"[[1,7,2],[0,5,0.5],[1,0,11],[0,9,1]]", "[]"}
	reprogrammed(t, simon.PoissonRegression(), `{"columns":1,"exposure":true}`, append([]string{a, b}, others...), append([]string{b, a}, others...))
}

// Only recipients learn the last point, and nobody else stores anything.
func TestRegressionsOpenToRecipients(t *testing.T) {
	rows := regressionRows(t, fromR(t, "glm-infert"), 0, 1, 2)
	for _, data := range [][]string{
		{rowList(rows[:99]...), rowList(rows[99:]...), "[]"},
		{"[[0,1,1]]", "[[1,1,2]]", "[]"}, // too few
	} {
		p := prepare(t, simon.LogisticRegression(), `{"columns":2}`, data)
		r := p.run(t, simontest.Options{Recipients: []int{1}})
		if r.Results[0] != nil || r.Results[1] == nil || r.Results[2] != nil {
			t.Errorf("opened %d, %d and %d bytes", len(r.Results[0]), len(r.Results[1]), len(r.Results[2]))
		}
	}
}

// Whatever is stored as opened, Finish has an error or a result.
func FuzzFinishRegression(f *testing.F) {
	rows := regressionRows(f, fromR(f, "glm-warpbreaks"), 0, 1, 2, 3)
	p := prepare(f, simon.PoissonRegression(), "", []string{rowList(rows[:20]...), rowList(rows[20:]...)})
	f.Add(p.run(f, simontest.Options{}).Results[0])
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, opened []byte) {
		if result, err := p.m.Finish(p.common, nil, opened); err == nil {
			fits(t, p.m.Name+" result", p.m.Result, string(result))
		}
	})
}

func BenchmarkLogisticRegression(b *testing.B) {
	r := rand.New(rand.NewPCG(9, 10))
	data := make([]string, 3)
	for i := range data {
		var rows []string
		for range 427 {
			row := "[" + fmt.Sprint(r.IntN(2))
			for range 10 {
				row += fmt.Sprintf(",%.4f", r.NormFloat64())
			}
			rows = append(rows, row+"]")
		}
		data[i] = rowList(rows...)
	}
	for b.Loop() {
		p := prepare(b, simon.LogisticRegression(), "", data)
		opened := p.run(b, simontest.Options{}).Results[0]
		if _, err := p.m.Finish(p.common, nil, opened); err != nil {
			b.Fatal(err)
		}
	}
}
