package simon_test

import (
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// An rFile holds what R computed from data that it holds too; testdata/r/README.md describes the files. Numbers are json.Number,
// that is R's text.
type rFile map[string]any

// fromR reads testdata/r/name.json.
func fromR(t testing.TB, name string) rFile {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", "r", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	d := json.NewDecoder(f)
	d.UseNumber()
	var r rFile
	if err := d.Decode(&r); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return r
}

// at follows keys of objects (string) and positions in arrays (int).
func (r rFile) at(t testing.TB, path ...any) any {
	t.Helper()
	var v any = map[string]any(r)
	for i, step := range path {
		var found bool
		switch step := step.(type) {
		case string:
			object, _ := v.(map[string]any)
			v, found = object[step]
		case int:
			array, _ := v.([]any)
			if found = 0 <= step && step < len(array); found {
				v = array[step]
			}
		}
		if !found {
			t.Fatalf("R gives nothing at %v", path[:i+1])
		}
	}
	return v
}

// number is the value at a path as near takes it: a number, or the texts null, Inf and -Inf.
func (r rFile) number(t testing.TB, path ...any) json.Number {
	t.Helper()
	switch v := r.at(t, path...).(type) {
	case json.Number:
		return v
	case nil:
		return "null"
	case string:
		if v == "Inf" || v == "-Inf" {
			return json.Number(v)
		}
	}
	t.Fatalf("R gives no number at %v", path)
	return ""
}

// length is that of the array at a path.
func (r rFile) length(t testing.TB, path ...any) int {
	t.Helper()
	array, ok := r.at(t, path...).([]any)
	if !ok {
		t.Fatalf("R gives no array at %v", path)
	}
	return len(array)
}

// json is the value at a path as JSON, numbers in R's text: with "data" the rows as a microprotocol takes them.
func (r rFile) json(t testing.TB, path ...any) string {
	t.Helper()
	b, err := json.Marshal(r.at(t, path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// near reports an error unless got agrees with R's want in so many significant digits (1 to 16, see digits). What got may
// be, and where an absolute floor stands for the digits, says disagreement.
func near(t testing.TB, what string, got any, want json.Number, significant int) {
	t.Helper()
	if why := disagreement(got, want, significant); why != "" {
		t.Errorf("%s: %s", what, why)
	}
}

// The floor below which a number passes for the 0 that R gives. Only a want of 0 has it: a tail probability of 1e-22 is
// compared by its digits.
const rFloor = 1e-15

// disagreement says in what got (float64, int, json.Number, *float64, *big.Rat, *big.Float or nil) differs from want; empty
// is agreement. Where R has no value, or an infinite one, got has to be nil, because results never hold NaN or infinity.
func disagreement(got any, want json.Number, significant int) string {
	var x float64
	switch v := got.(type) {
	case float64:
		x = v
	case int:
		x = float64(v)
	case json.Number:
		var err error
		if x, err = v.Float64(); err != nil {
			return fmt.Sprintf("%q is no number, R has %s", v, want)
		}
	case *float64:
		if v == nil {
			return disagreement(nil, want, significant)
		}
		x = *v
	case *big.Rat:
		x, _ = v.Float64()
	case *big.Float:
		x, _ = v.Float64()
	case nil:
		if want == "null" || want == "Inf" || want == "-Inf" {
			return ""
		}
		return fmt.Sprintf("nothing, R has %s", want)
	default:
		return fmt.Sprintf("%T is no number, R has %s", got, want)
	}
	w, err := want.Float64()
	if err != nil || math.IsInf(w, 0) || math.IsNaN(w) {
		return fmt.Sprintf("%v, R has %s", x, want)
	}
	if w == 0 && math.Abs(x) <= rFloor {
		return ""
	}
	if d := digits(x, want.String()); w == 0 || !(d >= float64(significant)) {
		return fmt.Sprintf("%v, R has %s: %.1f digits agree, want %d", x, want, d, significant)
	}
	return ""
}

func TestNear(t *testing.T) {
	half := 0.5
	for _, c := range []struct {
		got         any
		want        json.Number
		significant int
		agree       bool
	}{
		{0.5, "0.5", 16, true},
		{&half, "0.5", 16, true},
		{big.NewRat(1, 3), "0.333333333333333", 14, true},
		{big.NewFloat(0.25), "0.25", 16, true},
		{json.Number("1.5"), "1.5", 16, true},
		{3, "3", 16, true},
		{1.0001, "1", 3, true},
		{1.0001, "1", 5, false},
		{-0.5, "0.5", 1, false},
		{1e-16, "0", 13, true},
		{1e-14, "0", 13, false},
		{1e-14, "0", 1, false},
		{2e-22, "1e-22", 3, false},
		{0.0, "1e-22", 1, false},
		{nil, "null", 13, true},
		{nil, "Inf", 13, true},
		{(*float64)(nil), "-Inf", 13, true},
		{nil, "0", 13, false},
		{0.0, "null", 13, false},
		{math.Inf(1), "Inf", 13, false},
		{math.NaN(), "1", 1, false},
		{math.NaN(), "0", 1, false},
		{json.Number("one"), "1", 1, false},
		{"1", "1", 1, false},
	} {
		if why := disagreement(c.got, c.want, c.significant); (why == "") != c.agree {
			t.Errorf("%v against %s, %d digits: %q", c.got, c.want, c.significant, why)
		}
	}
}

// Every file is complete: a source, rows as wide as their columns, numbers that a double holds.
func TestFromR(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "r", "*.json"))
	if err != nil || len(files) != 30 {
		t.Fatalf("%d files, want 30 (%v)", len(files), err)
	}
	for _, f := range files {
		name := strings.TrimSuffix(filepath.Base(f), ".json")
		r := fromR(t, name)
		if s, _ := r["source"].(string); s == "" {
			t.Errorf("%s names no source", name)
		}
		for columns, table := range map[string]string{"columns": "data", "curve.columns": "curve"} {
			if r[columns] == nil {
				continue
			}
			for i := range r.length(t, table) {
				if n := r.length(t, table, i); n != r.length(t, columns) {
					t.Errorf("%s: row %d of %s has %d fields", name, i, table, n)
				}
			}
		}
		if r.length(t, "data") == 0 {
			t.Errorf("%s has no data", name)
		}
		finite(t, name, map[string]any(r))
	}
}

func finite(t *testing.T, where string, v any) {
	t.Helper()
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			finite(t, where+"."+k, e)
		}
	case []any:
		for i, e := range v {
			finite(t, fmt.Sprintf("%s[%d]", where, i), e)
		}
	case json.Number:
		if x, err := v.Float64(); err != nil || math.IsInf(x, 0) {
			t.Errorf("%s: %s (%v)", where, v, err)
		}
	}
}

// The data belong to the results: what is easily computed from the one is found in the other.
func TestDataFromR(t *testing.T) {
	r := fromR(t, "univariate-waiting")
	sum, n := new(big.Rat), r.length(t, "data")
	for i := range n {
		sum.Add(sum, rational(t, r.number(t, "data", i, 0).String()))
	}
	near(t, "n", n, r.number(t, "n"), 16)
	near(t, "sum", sum, r.number(t, "sum"), 16)
	near(t, "mean", sum.Quo(sum, big.NewRat(int64(n), 1)), r.number(t, "mean"), 15)

	r = fromR(t, "lung-sex")
	deaths := map[string]int{}
	for i := range r.length(t, "data") {
		if r.number(t, "data", i, 1) == "2" {
			deaths[r.number(t, "data", i, 2).String()]++
		}
	}
	for g := range r.length(t, "groups") {
		group := r.at(t, "groups", g, "group").(string)
		near(t, "deaths", deaths[group], r.number(t, "groups", g, "events"), 16)
		near(t, "observed", deaths[group], r.number(t, "survdiff", "observed", g), 16)
	}

	for _, name := range []string{"chisq-2x2", "chisq-2x2-even", "chisq-3x3"} {
		r = fromR(t, name)
		total, expected := new(big.Rat), new(big.Rat)
		for i := range r.length(t, "data") {
			for j := range r.length(t, "data") {
				total.Add(total, rational(t, r.number(t, "data", i, j).String()))
				expected.Add(expected, rational(t, r.number(t, "expected", i, j).String()))
				r.number(t, "residuals", i, j)
			}
		}
		if got, _ := expected.Float64(); digits(got, total.FloatString(0)) < 15 {
			t.Errorf("%s: %v expected of %v", name, got, total.FloatString(0))
		}
	}

	r = fromR(t, "lung-ecog")
	last := r.length(t, "curve") - 1
	near(t, "standard error where nobody is left", nil, r.number(t, "curve", last, 6), 16)
	if got := fromR(t, "fisher-tea").json(t, "data"); got != "[[3,1],[1,3]]" {
		t.Errorf("data of the tea drinker: %s", got)
	}
}
