package simon_test

import (
	"math"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// The Statistical Reference Datasets of NIST are text with certified values of 15 digits. They are read as decimal text,
// never through float64: NumAcc4 and the SmLs sets lose digits on that way, and those digits are what they test.

// strdFile is one file, cut where its own head says that the parts lie.
type strdFile struct {
	name      string
	head      string   // all before the data
	certified []string // the lines of certified values and what follows up to the data: AtmWtAg counts one line too few
	data      []string
}

var (
	strdLines = regexp.MustCompile(`(?m)^\s*(?:File Format:\s+ASCII\s+)?(Certified Values|Data)\s*:?\s*\(?lines\s+(\d+)\s+to\s+(\d+)`)
	strdCount = regexp.MustCompile(`(?m)^[^\n\d]*?(\d+)\s+(Parameters?|Predictor Variables?|Treatments|Observations)\b`)
	strdTotal = regexp.MustCompile(`(?m)^Number of Observations:\s+(\d+)\s*$`) // in the univariate sets, and all that Michelso says
)

func readSTRD(t testing.TB, folder, name string) strdFile {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "strd", folder, name+".dat"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	part := func(what string) (from, to int) {
		for _, m := range strdLines.FindAllStringSubmatch(string(text), -1) {
			if m[1] == what {
				from, _ = strconv.Atoi(m[2])
				to, _ = strconv.Atoi(m[3])
			}
		}
		if from < 1 || to > len(lines) || from > to {
			t.Fatalf("%s: %s are said to lie in lines %d to %d of %d", name, what, from, to, len(lines))
		}
		return from, to
	}
	from, to := part("Data")
	certified, _ := part("Certified Values")
	if certified >= from {
		t.Fatalf("%s: the certified values lie behind the data", name)
	}
	for i, rest := range lines[to:] {
		if strings.TrimSpace(rest) != "" {
			t.Fatalf("%s: line %d lies after the data", name, to+1+i)
		}
	}
	return strdFile{
		name: name, head: strings.Join(lines[:from-1], "\n"),
		certified: lines[certified-1 : from-1], data: lines[from-1 : to],
	}
}

// count is what the head says of "Observations", "Treatments", "Parameter" or "Predictor Variable".
func (f strdFile) count(t testing.TB, of string) int {
	t.Helper()
	for _, m := range strdCount.FindAllStringSubmatch(f.head, -1) {
		if strings.TrimSuffix(m[2], "s") == strings.TrimSuffix(of, "s") {
			n, _ := strconv.Atoi(m[1])
			return n
		}
	}
	if m := strdTotal.FindStringSubmatch(f.head); m != nil && of == "Observations" {
		n, _ := strconv.Atoi(m[1])
		return n
	}
	t.Fatalf("%s: the head does not count %s", f.name, of)
	return 0
}

// rows are the data, every row of the same width.
func (f strdFile) rows(t testing.TB, width int) [][]string {
	t.Helper()
	rows := make([][]string, len(f.data))
	for i, line := range f.data {
		fields := strings.Fields(line)
		if len(fields) != width {
			t.Fatalf("%s: row %d of the data has %d fields, want %d", f.name, i+1, len(fields), width)
		}
		for j, s := range fields {
			fields[j] = strdNumber(t, f.name, s)
		}
		rows[i] = fields
	}
	return rows
}

// after gives the fields behind a label of the certified lines; the label may be followed by a unit in the same line.
func (f strdFile) after(t testing.TB, label string, fields int) []string {
	t.Helper()
	for _, line := range f.certified {
		rest, found := strings.CutPrefix(strings.TrimSpace(line), label)
		if !found {
			continue
		}
		if _, value, colon := strings.Cut(rest, ":"); colon {
			rest = value
		}
		got := strings.Fields(strings.TrimSuffix(strings.TrimSpace(rest), "(exact)"))
		if len(got) < fields {
			t.Fatalf("%s: %d values behind %q, want %d", f.name, len(got), label, fields)
		}
		got = got[len(got)-fields:]
		for i, s := range got {
			got[i] = strdNumber(t, f.name, s)
		}
		return got
	}
	t.Fatalf("%s: no certified value is called %q", f.name, label)
	return nil
}

// strdNumber checks a number and writes it as JSON does: NIST writes 760. and .11019 where JSON wants 760 and 0.11019.
// Infinity, a certified F statistic, stays as it is.
func strdNumber(t testing.TB, name, s string) string {
	t.Helper()
	if s == "Infinity" {
		return s
	}
	if _, ok := new(big.Rat).SetString(s); !ok || strings.ContainsAny(s, "/_xX") {
		t.Fatalf("%s: %q is no number", name, s)
	}
	sign := ""
	if s[0] == '-' {
		sign, s = "-", s[1:]
	}
	if s[0] == '.' {
		s = "0" + s
	}
	return sign + strings.TrimSuffix(s, ".")
}

// readUnivariate reads a set of one column. Certified are "mean", "sd" (denominator n-1) and "autocorrelation" (lag 1).
func readUnivariate(t testing.TB, name string) (certified map[string]string, data []string) {
	t.Helper()
	f := readSTRD(t, "univariate", name)
	certified = map[string]string{
		"mean":            f.after(t, "Sample Mean", 1)[0],
		"sd":              f.after(t, "Sample Standard Deviation", 1)[0],
		"autocorrelation": f.after(t, "Sample Autocorrelation Coefficient", 1)[0],
	}
	for _, row := range f.rows(t, 1) {
		data = append(data, row[0])
	}
	return certified, data
}

// A strdVariance is the certified analysis of variance: of the model first (regression, or between treatments), then of
// the residual (or within treatments).
type strdVariance struct {
	df, ss, ms [2]string
	f          string // Infinity where nothing is left over
	rSquared   string
	residualSD string
}

// A strdRegression is a linear least squares problem. With one predictor and more than two parameters the model is the
// polynomial in it: sum of B_k x^k.
type strdRegression struct {
	strdVariance
	parameters []string // B0 (the intercept), B1, ...; NoInt1 and NoInt2 have B1 only
	estimates  []string // in the order of parameters
	sds        []string // their standard deviations
	predictors int
	rows       [][]string // y, x1, x2, ...
}

// intercept tells whether the model has one.
func (r strdRegression) intercept() bool { return r.parameters[0] == "B0" }

func readRegression(t testing.TB, name string) strdRegression {
	t.Helper()
	f := readSTRD(t, "regression", name)
	r := strdRegression{predictors: f.count(t, "Predictor Variable")}
	for _, line := range f.certified {
		fields := strings.Fields(line)
		if len(fields) == 3 && regexp.MustCompile(`^B\d+$`).MatchString(fields[0]) {
			r.parameters = append(r.parameters, fields[0])
			r.estimates = append(r.estimates, strdNumber(t, name, fields[1]))
			r.sds = append(r.sds, strdNumber(t, name, fields[2]))
		}
	}
	if n := f.count(t, "Parameter"); len(r.parameters) != n {
		t.Fatalf("%s: %d certified parameters, the head says %d", name, len(r.parameters), n)
	}
	model, residual := f.after(t, "Regression", 4), strdResidual(t, f)
	r.strdVariance = strdVariance{
		df: [2]string{model[0], residual[0]}, ss: [2]string{model[1], residual[1]}, ms: [2]string{model[2], residual[2]}, f: model[3],
		rSquared: f.after(t, "R-Squared", 1)[0], residualSD: f.after(t, "Standard Deviation", 1)[0],
	}
	r.rows = f.rows(t, 1+r.predictors)
	return r
}

// strdResidual finds the row of the variance table, not the heading "Residual" over the standard deviation.
func strdResidual(t testing.TB, f strdFile) []string {
	t.Helper()
	for i, line := range f.certified {
		if len(strings.Fields(line)) == 4 && strings.HasPrefix(line, "Residual") {
			f.certified = f.certified[i:]
		}
	}
	return f.after(t, "Residual", 3)
}

// A strdANOVA is a one-way analysis of variance: rows of treatment label and response.
type strdANOVA struct {
	strdVariance
	treatments int
	rows       [][2]string
}

func readANOVA(t testing.TB, name string) strdANOVA {
	t.Helper()
	f := readSTRD(t, "anova", name)
	between, within := f.after(t, "Between", 4), f.after(t, "Within", 3)
	a := strdANOVA{treatments: f.count(t, "Treatments"), strdVariance: strdVariance{
		df: [2]string{between[0], within[0]}, ss: [2]string{between[1], within[1]}, ms: [2]string{between[2], within[2]}, f: between[3],
		rSquared: f.after(t, "Certified R-Squared", 1)[0], residualSD: f.after(t, "Standard Deviation", 1)[0],
	}}
	for _, row := range f.rows(t, 2) {
		a.rows = append(a.rows, [2]string(row))
	}
	return a
}

// digits counts the significant decimal digits in which got agrees with want: the log relative error of McCullough
// (The American Statistician 52, 1998), -log10(|got-want|/|want|), from 0 to 16. Where want is 0 the absolute error
// stands for the relative one. Infinity is met by infinity only.
func digits(got float64, want string) float64 {
	if math.IsNaN(got) {
		return 0
	}
	if math.IsInf(got, 1) && want == "Infinity" {
		return 16
	}
	const precision = 200 // bits, far more than 17 digits take
	w, _, err := big.ParseFloat(want, 10, precision, big.ToNearestEven)
	if err != nil || w.IsInf() || math.IsInf(got, 0) {
		return 0
	}
	off := new(big.Float).SetPrec(precision).SetFloat64(got)
	off.Sub(off, w).Abs(off)
	if w.Sign() != 0 {
		off.Quo(off, w.Abs(w))
	}
	relative, _ := off.Float64()
	return max(0, min(16, -math.Log10(relative)))
}

// strdNames lists the sets of a folder; fewer than there are is an error, so that no table test runs over nothing.
func strdNames(t testing.TB, folder string, n int) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "strd", folder, "*.dat"))
	if err != nil || len(files) != n {
		t.Fatalf("%d files of %s, want %d (%v)", len(files), folder, n, err)
	}
	var names []string
	for _, f := range files {
		names = append(names, strings.TrimSuffix(filepath.Base(f), ".dat"))
	}
	return names
}

func TestDigits(t *testing.T) {
	for _, c := range []struct {
		got  float64
		want string
		from float64
		to   float64
	}{
		{0.5, "0.5", 16, 16},
		{10000000.2, "10000000.2", 16, 16},
		{0.1, "0.1000000000000001", 14.9, 15.1},
		{0.12344, "0.12345", 4, 4.1},
		{-1, "1", 0, 0},
		{1e300, "1e-300", 0, 0},
		{0, "1", 0, 0},
		{0, "0.000000000000000", 16, 16},
		{1e-9, "0.000000000000000", 8.99, 9.01},
		{math.Inf(1), "Infinity", 16, 16},
		{math.Inf(-1), "Infinity", 0, 0},
		{1e308, "Infinity", 0, 0},
		{math.Inf(1), "1", 0, 0},
		{math.NaN(), "1", 0, 0},
		{1, "one", 0, 0},
		{0.429796848199937e-3, "0.429796848199937E-03", 15.5, 16},
	} {
		if d := digits(c.got, c.want); d < c.from || d > c.to {
			t.Errorf("%v against %s: %v digits, want %v to %v", c.got, c.want, d, c.from, c.to)
		}
	}
}

func TestReadUnivariate(t *testing.T) {
	for _, name := range strdNames(t, "univariate", 9) {
		certified, data := readUnivariate(t, name)
		if n := readSTRD(t, "univariate", name).count(t, "Observations"); len(data) != n {
			t.Errorf("%s: %d rows, the head says %d", name, len(data), n)
		}
		sum := new(big.Rat)
		for _, s := range data {
			sum.Add(sum, rational(t, s))
		}
		mean, _ := sum.Quo(sum, big.NewRat(int64(len(data)), 1)).Float64()
		if d := digits(mean, certified["mean"]); d < 14.3 {
			t.Errorf("%s: the mean %v agrees in %.1f digits with %s", name, mean, d, certified["mean"])
		}
	}
	certified, data := readUnivariate(t, "NumAcc4")
	if certified["mean"] != "10000000.2" || certified["sd"] != "0.1" || certified["autocorrelation"] != "-0.999" || data[1000] != "10000000.3" {
		t.Errorf("NumAcc4: %v, last %s", certified, data[1000])
	}
}

func rational(t testing.TB, s string) *big.Rat {
	t.Helper()
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		t.Fatalf("%q is no number", s)
	}
	return r
}

// consistent checks the variance table against itself and the number of rows, which fails if a column is misread.
func (v strdVariance) consistent(t *testing.T, name string, n, parameters int, intercept bool) {
	t.Helper()
	const enough = 13.5 // the table has 15 digits, its quotients lose a little
	number := func(s string) float64 { f, _ := rational(t, s).Float64(); return f }
	quotient := func(what string, a, b float64, want string) {
		t.Helper()
		if d := digits(a/b, want); d < enough {
			t.Errorf("%s: %s is %s, from its parts %v", name, what, want, a/b)
		}
	}
	ss, ms := [2]float64{number(v.ss[0]), number(v.ss[1])}, [2]float64{number(v.ms[0]), number(v.ms[1])}
	for i := range ss {
		quotient("mean square", ss[i], number(v.df[i]), v.ms[i])
	}
	quotient("F", ms[0], ms[1], v.f)
	quotient("R-squared", ss[0], ss[0]+ss[1], v.rSquared)
	quotient("residual standard deviation", math.Sqrt(ms[1]), 1, v.residualSD)
	mean := 0
	if intercept {
		mean = 1
	}
	if v.df[0] != strconv.Itoa(parameters-mean) || v.df[1] != strconv.Itoa(n-parameters) {
		t.Errorf("%s: %v degrees of freedom with %d rows and %d parameters", name, v.df, n, parameters)
	}
}

func TestReadRegression(t *testing.T) {
	for _, name := range strdNames(t, "regression", 11) {
		r := readRegression(t, name)
		if n := readSTRD(t, "regression", name).count(t, "Observations"); len(r.rows) != n {
			t.Errorf("%s: %d rows, the head says %d", name, len(r.rows), n)
		}
		if r.intercept() == strings.HasPrefix(name, "NoInt") {
			t.Errorf("%s: parameters %v", name, r.parameters)
		}
		r.consistent(t, name, len(r.rows), len(r.parameters), r.intercept())
	}
	r := readRegression(t, "Longley")
	if got := strings.Join(r.rows[15], " "); got != "70551 116.9 554894 4007 2827 130081 1962" || r.estimates[2] != "-0.358191792925910E-01" || r.sds[6] != "455.478499142212" {
		t.Errorf("Longley: last row %s, B2 %s, deviation of B6 %s", got, r.estimates[2], r.sds[6])
	}
	if r := readRegression(t, "Wampler3"); r.rows[0][0] != "760" || r.rows[1][0] != "-2042" {
		t.Errorf("Wampler3: %v", r.rows[:2])
	}
	if r := readRegression(t, "Pontius"); r.rows[0][0] != "0.11019" {
		t.Errorf("Pontius: %v", r.rows[0])
	}
}

func TestReadANOVA(t *testing.T) {
	for _, name := range strdNames(t, "anova", 11) {
		a := readANOVA(t, name)
		if n := readSTRD(t, "anova", name).count(t, "Observations"); len(a.rows) != n {
			t.Errorf("%s: %d rows, the head says %d", name, len(a.rows), n)
		}
		labels := map[string]bool{}
		for _, row := range a.rows {
			labels[row[0]] = true
		}
		if len(labels) != a.treatments {
			t.Errorf("%s: %d treatments, the head says %d", name, len(labels), a.treatments)
		}
		a.consistent(t, name, len(a.rows), a.treatments, true)
	}
	if a := readANOVA(t, "SmLs09"); a.rows[18008] != [2]string{"9", "1000000000000.6"} {
		t.Errorf("SmLs09: last row %v", a.rows[18008])
	}
}
