package simon_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"runtime"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/weftmpc/weft/simon"
	"github.com/weftmpc/weft/simon/ring"
	"github.com/weftmpc/weft/simon/simontest"
)

// univariate computes with data of the parties given as JSON texts.
func univariate(t testing.TB, f fatal, parameters string, data ...string) map[string]any {
	got, _, err := play(t, simon.StatisticsUnivariate(), simontest.Options{Seed: 3}, simon.Guard{}, data, parameters)
	if err != nil {
		f.Fatal(err)
	}
	return decoded(f, got)
}

// The sets of NIST, dealt to three parties at random. Where NIST calls a value exact, it is met in all digits.
func TestUnivariateNIST(t *testing.T) {
	const enough = 14
	for i, name := range strdNames(t, "univariate", 9) {
		certified, data := readUnivariate(t, name)
		for seed := range 3 {
			parts := once(10*i+seed, func(rt *rapid.T) []string { return split(rt, 3, data) })
			got := univariate(t, t, `{"outputs":["mean","standard_deviation"]}`, parts...)
			for field, want := range map[string]string{"mean": certified["mean"], "standard_deviation": certified["sd"]} {
				x, err := got[field].(json.Number).Float64()
				if err != nil {
					t.Fatal(err)
				}
				if d := digits(x, want); d < enough {
					t.Errorf("%s: %s is %v, certified %s: %.1f digits", name, field, x, want, d)
				}
			}
		}
	}
	for name, want := range map[string][2]string{"NumAcc1": {"10000002", "1"}, "NumAcc2": {"1.2", "0.1"}, "NumAcc3": {"1000000.2", "0.1"}, "NumAcc4": {"10000000.2", "0.1"}} {
		_, data := readUnivariate(t, name)
		got := univariate(t, t, `{"outputs":["mean","standard_deviation"]}`, "["+strings.Join(data, ",")+"]", "[]")
		if got["mean"] != json.Number(want[0]) || got["standard_deviation"] != json.Number(want[1]) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

func TestUnivariateR(t *testing.T) {
	r := fromR(t, "univariate-waiting")
	var data []string
	for i := range r.length(t, "data") {
		data = append(data, r.number(t, "data", i, 0).String())
	}
	got := univariate(t, t, "", once(1, func(rt *rapid.T) []string { return split(rt, 4, data) })...)
	for field, name := range map[string]string{
		"samples": "n", "sum": "sum", "mean": "mean", "variance": "var", "standard_deviation": "sd", "standard_error_of_sample_mean": "se", "coefficient_of_variation": "cv",
		"variance_mle": "m2", "skewness": "skewness", "kurtosis": "kurtosis", "hyper_skewness": "standardised.5", "hyper_flatness": "standardised.6",
		"geometric_mean": "geometric.mean", "harmonic_mean": "harmonic.mean",
	} {
		near(t, field, got[field], r.number(t, name), 13)
	}
}

// pooledUnivariate is what one party would compute from all data, by the definitions: deviations first, then powers.
func pooledUnivariate(t fatal, texts []string) map[string]any {
	data := numbersOf(t, texts)
	n := len(data)
	want := map[string]any{
		"samples": n, "minimum": nil, "maximum": nil, "sum": sumOver(n, func(i int) *big.Rat { return data[i] }),
		"mean": nil, "variance": nil, "variance_mle": nil, "variance_of_sample_mean": nil, "standard_deviation": nil, "standard_deviation_mle": nil,
		"standard_error_of_sample_mean": nil, "coefficient_of_variation": nil, "coefficient_of_variation_mle": nil, "root_mean_square": nil,
		"root_mean_square_deviation": nil, "skewness": nil, "kurtosis": nil, "kurtosis_excess": nil, "hyper_skewness": nil, "hyper_flatness": nil,
	}
	if n == 0 {
		return want
	}
	mean := quotientOf(want["sum"].(*big.Rat), ratOf(n))
	central := func(k int) *big.Rat {
		return quotientOf(sumOver(n, func(i int) *big.Rat { return powerOf(new(big.Rat).Sub(data[i], mean), k) }), ratOf(n))
	}
	mle := central(2)
	want["mean"], want["variance_mle"], want["standard_deviation_mle"], want["root_mean_square_deviation"] = mean, mle, root600(mle), root600(mle)
	want["root_mean_square"] = root600(quotientOf(sumOver(n, func(i int) *big.Rat { return powerOf(data[i], 2) }), ratOf(n)))
	if mean.Sign() != 0 {
		want["coefficient_of_variation_mle"] = new(big.Float).Quo(root600(mle), in600(mean))
	}
	if mle.Sign() != 0 {
		sd, fourth := root600(mle), quotientOf(central(4), powerOf(mle, 2))
		cube := new(big.Float).Mul(in600(mle), sd)
		want["skewness"] = new(big.Float).Quo(in600(central(3)), cube)
		want["kurtosis"], want["kurtosis_excess"] = fourth, new(big.Rat).Sub(fourth, ratOf(3))
		want["hyper_skewness"] = new(big.Float).Quo(in600(central(5)), cube.Mul(cube, in600(mle)))
		want["hyper_flatness"] = quotientOf(central(6), powerOf(mle, 3))
	}
	if n > 1 {
		variance := quotientOf(new(big.Rat).Mul(mle, ratOf(n)), ratOf(n-1))
		want["variance"], want["standard_deviation"] = variance, root600(variance)
		want["variance_of_sample_mean"], want["standard_error_of_sample_mean"] = quotientOf(variance, ratOf(n)), root600(quotientOf(variance, ratOf(n)))
		if mean.Sign() != 0 {
			want["coefficient_of_variation"] = new(big.Float).Quo(root600(variance), in600(mean))
		}
	}
	return want
}

// checkUnivariate compares all fields with those of the pooled data.
func checkUnivariate(t fatal, got map[string]any, texts []string, parties int) {
	matches(t, got, pooledUnivariate(t, texts))
	data := numbersOf(t, texts)
	checkGeometric(t, got["geometric_mean"], data, parties)
	checkHarmonic(t, got["harmonic_mean"], data)
}

// resultNumber is the double in a result, not the decimal that stands for it.
func resultNumber(t fatal, v any) *big.Rat {
	x, err := v.(json.Number).Float64()
	if err != nil {
		t.Fatal(err)
	}
	return new(big.Rat).SetFloat64(x)
}

// checkGeometric compares powers: of the mean with the product of the data.
func checkGeometric(t fatal, got any, data []*big.Rat, parties int) {
	product := ratOf(1)
	for _, x := range data {
		if x.Sign() <= 0 {
			product.SetInt64(0)
		}
		product.Mul(product, x)
	}
	if len(data) == 0 || product.Sign() == 0 {
		if got != nil {
			t.Fatalf("geometric mean %v of %v", got, data)
		}
		return
	}
	// The sum of logarithms is rounded to 1e-15 at each party, the result to a double.
	limit := 0.5e-15*float64(parties)/float64(len(data)) + 0x1p-53
	power := in600(resultNumber(t, got))
	for range len(data) - 1 {
		power.Mul(power, in600(resultNumber(t, got)))
	}
	off, _ := power.Quo(power, in600(product)).Sub(power, in600(ratOf(1))).Float64()
	if limit *= 1.01 * float64(len(data)); off > limit || off < -limit {
		t.Fatalf("geometric mean %v: to the power of %d it is off by %v", got, len(data), off)
	}
	if limit > 1e-13*float64(len(data)) {
		t.Fatalf("a limit of %v", limit)
	}
}

// checkHarmonic compares reciprocals.
func checkHarmonic(t fatal, got any, data []*big.Rat) {
	inverse := new(big.Rat)
	for _, x := range data {
		if x.Sign() == 0 {
			if got != nil {
				t.Fatalf("harmonic mean %v of %v", got, data)
			}
			return
		}
		inverse.Add(inverse, new(big.Rat).Inv(x))
	}
	if len(data) == 0 {
		if got != nil {
			t.Fatalf("harmonic mean %v of nothing", got)
		}
		return
	}
	inverse.Quo(inverse, ratOf(len(data)))
	mean := new(big.Rat)
	if got != nil {
		mean.Inv(resultNumber(t, got))
	}
	limit := new(big.Rat).Mul(new(big.Rat).Abs(mean), big.NewRat(1, 1<<52))
	limit.Add(limit, numbersOf(t, []string{"0.5e-24"})[0])
	if off := new(big.Rat).Sub(inverse, mean); off.Abs(off).Cmp(limit) > 0 {
		t.Fatalf("harmonic mean %v of %v: its reciprocal is off by %v", got, data, asJSON(off))
	}
}

func TestUnivariateIsThatOfThePool(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		data := rapid.SliceOfN(rapid.Custom(drawSample), 0, 30).Draw(rt, "data")
		if rapid.Bool().Draw(rt, "positive") {
			for i, x := range data {
				data[i] = strings.TrimPrefix(x, "-")
			}
		}
		n := rapid.IntRange(2, 7).Draw(rt, "n")
		got := univariate(t, rt, "", split(rt, n, data)...)
		checkUnivariate(rt, got, data, n)
		// Another partition of another order at another number of parties: bit for bit the same but for the geometric mean,
		// which checkUnivariate bounds.
		n = rapid.IntRange(2, 7).Draw(rt, "n")
		again := univariate(t, rt, "", split(rt, n, data)...)
		checkGeometric(rt, again["geometric_mean"], numbersOf(rt, data), n)
		again["geometric_mean"] = got["geometric_mean"]
		if fmt.Sprint(again) != fmt.Sprint(got) {
			rt.Fatalf("%v\nin another partition\n%v", got, again)
		}
	})
}

func TestUnivariateExtremes(t *testing.T) {
	for _, data := range [][]string{
		{"1e-20", "5e13"},
		{"1e-20", "2e-20", "1e-20"},
		{"-5e13", "5e13", "1e-20"},
		{"51922968585348", "-51922968585348", "51922968585348", "51922968585347"},
		{"1e9", "1000000000.000001", "1000000000.000002", "999999999.999998"},
		{"1e-6", "1.00000000001e-6", "9.9999999e-7"},
		{"1e-10", "1e-5", "1", "1e5", "1e10"},
		{"0.1", "0.2", "0.3"},
		{"1", "-1"},
		{"0", "0", "0"},
		{"-0.0", "0"},
	} {
		checkUnivariate(t, univariate(t, t, "", "["+strings.Join(data, ",")+"]", "[]", "[]"), data, 3)
		checkUnivariate(t, univariate(t, t, "", "["+strings.Join(data[1:], ",")+"]", data[0]), data, 2)
	}
}

// Another program for the same statistics, which adds floating numbers, gives -165.7 and 5e18 for the first two of these
// flatnesses and -1.3e7 for the second kurtosis, 2.2e-308 for the greatest of negative numbers, fails where numbers are equal
// or a party has none, and divides by all samples where it has left some out.
func TestUnivariateWhereFloatsFail(t *testing.T) {
	const kurtosis, flatness = "1.7757575757575759", "3.7033976124885215" // 293/165 and 4033/1089
	for _, data := range [][]string{
		{"[0.001,0.002,0.003,0.004]", "[0.005,0.006,0.007,0.008,0.009,0.01]"},
		{"[1000001,1000002,1000003,1000004,1000005]", "[1000006,1000007,1000008,1000009,1000010]"},
		{"[-1,-2,-3,-4,-5]", "[]", "[-6,-7,-8,-9,-10]"},
	} {
		got := univariate(t, t, "", data...)
		for field, want := range map[string]json.Number{"skewness": "0", "hyper_skewness": "0", "kurtosis": kurtosis, "hyper_flatness": flatness} {
			if got[field] != want {
				t.Errorf("%v: %s is %v, want %s", data, field, got[field], want)
			}
		}
	}
	for _, c := range []struct {
		data  []string
		field string
		want  any
		note  string
	}{
		{[]string{"[-1,-2]", "-3"}, "maximum", nil, "not computed"},
		{[]string{"[-1,-2]", "-3"}, "geometric_mean", nil, "a sample is not positive"},
		{[]string{"[1,0]", "-3"}, "geometric_mean", nil, "a sample is not positive"},
		{[]string{"[4,9]", "[]"}, "geometric_mean", json.Number("6"), ""},
		{[]string{"[1,2]", "0"}, "harmonic_mean", nil, "a sample is 0"},
		{[]string{"[2,-2]", "[]"}, "harmonic_mean", nil, "the sum of the reciprocals is 0"},
		{[]string{"[3,6]", "[]"}, "harmonic_mean", json.Number("4"), ""},
		{[]string{"[5,5]", "5"}, "skewness", nil, "all samples are equal"},
		{[]string{"[5,5]", "5"}, "kurtosis_excess", nil, "all samples are equal"},
		{[]string{"[5,5]", "5"}, "variance", json.Number("0"), ""},
		{[]string{"[5,-5]", "0"}, "coefficient_of_variation", nil, "the mean is 0"},
		{[]string{"[]", "5"}, "variance", nil, "it needs at least two samples"},
		{[]string{"[]", "5"}, "variance_mle", json.Number("0"), ""},
		{[]string{"[]", "5"}, "coefficient_of_variation", nil, "it needs at least two samples"},
		{[]string{"[]", "[]"}, "sum", json.Number("0"), ""},
		{[]string{"[]", "[]"}, "mean", nil, "there are no samples"},
		{[]string{"[]", "[]"}, "coefficient_of_variation_mle", nil, "there are no samples"},
		{[]string{"[]", "[]"}, "hyper_flatness", nil, "there are no samples"},
	} {
		got := univariate(t, t, "", c.data...)
		note := noteOn(got, c.field)
		if value, there := got[c.field]; !there || value != c.want || !strings.Contains(note, c.note) || (note == "") != (c.note == "") {
			t.Errorf("%v: %s is %v, want %v; %q", c.data, c.field, value, c.want, note)
		}
	}
}

// What a shift, another unit and a second copy of the data change, and what not, bit for bit.
func TestUnivariateMetamorphic(t *testing.T) {
	about := []string{"variance", "variance_mle", "variance_of_sample_mean", "standard_deviation", "standard_deviation_mle", "standard_error_of_sample_mean", "root_mean_square_deviation"}
	shape := []string{"skewness", "kurtosis", "kurtosis_excess", "hyper_skewness", "hyper_flatness"}
	relative := []string{"coefficient_of_variation", "coefficient_of_variation_mle"}
	ofN := []string{"mean", "root_mean_square", "variance_mle", "standard_deviation_mle", "root_mean_square_deviation", "coefficient_of_variation_mle", "harmonic_mean"}
	rapid.Check(t, func(rt *rapid.T) {
		q := rapid.SliceOfN(rapid.Int64Range(-1e9, 1e9), 2, 20).Draw(rt, "q")
		compute := func(shift int64, exponent, copies int) map[string]any {
			var data []string
			for range copies {
				for _, x := range q {
					data = append(data, fmt.Sprintf("%de%d", x+shift, exponent))
				}
			}
			return univariate(t, rt, "", split(rt, 2, data)...)
		}
		same := func(what string, a, b map[string]any, fields ...[]string) {
			for _, name := range slices.Concat(fields...) {
				if a[name] != b[name] {
					rt.Fatalf("%s: %s was %v and is %v", what, name, a[name], b[name])
				}
			}
		}
		plain := compute(0, -6, 1)
		same("shift", plain, compute(rapid.Int64Range(-1e15, 1e15).Draw(rt, "shift"), -6, 1), about, shape)
		same("scale", plain, compute(0, rapid.IntRange(-20, 4).Draw(rt, "exponent"), 1), shape, relative)
		same("copy", plain, compute(0, -6, 2), ofN, shape)
	})
}

func TestUnivariateOutputs(t *testing.T) {
	for _, c := range []struct {
		outputs string
		size    int
		order   int
	}{
		{`"samples"`, 8, 1},
		{`"sum"`, 32, 1},
		{`"mean","sum"`, 32, 1},
		{`"mean","variance"`, 72, 2},
		{`"root_mean_square"`, 48, 2},
		{`"skewness"`, 120, 3},
		{`"kurtosis"`, 184, 4},
		{`"hyper_skewness"`, 264, 5},
		{`"hyper_flatness"`, 360, 6},
		{`"geometric_mean"`, 32, 1},
		{`"harmonic_mean"`, 40, 1},
		{``, 416, 6},
	} {
		parameters := ""
		if c.outputs != "" {
			parameters = `{"outputs":[` + c.outputs + `]}`
		}
		text, r, err := play(t, simon.StatisticsUnivariate(), simontest.Options{}, simon.Guard{}, []string{"[1,2.5]", "4"}, parameters)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range r.Messages {
			if len(m.Body) != c.size {
				t.Errorf("%s: a message of %d bytes, want %d", c.outputs, len(m.Body), c.size)
			}
		}
		got := decoded(t, text)
		delete(got, "notes")
		var want []string
		for _, name := range strings.Split(c.outputs, ",") {
			want = append(want, strings.Trim(name, `"`))
		}
		if want = append(want, "samples"); c.outputs == "" {
			want = members(pooledUnivariate(t, nil))
			want = append(want, "geometric_mean", "harmonic_mean")
		}
		slices.Sort(want)
		if !slices.Equal(members(got), slices.Compact(want)) {
			t.Errorf("%s: members %v", c.outputs, members(got))
		}
		all := univariate(t, t, "", "[1,2.5]", "4")
		for name, value := range got {
			if value != all[name] {
				t.Errorf("%s: %s is %v alone and %v among all", c.outputs, name, value, all[name])
			}
		}
		// Moments beyond the second need the larger pool of a policy.
		p, err := simon.StatisticsUnivariate().Prepare(strings.NewReader("1"), json.RawMessage(parameters), simon.Guard{Samples: 7, Moments: 9})
		if err != nil {
			t.Fatal(err)
		}
		least := `"least_samples":7,`
		if c.order > 2 {
			least = `"least_samples":9,`
		}
		if !bytes.Contains(p.Parameters, []byte(least)) {
			t.Errorf("%s: %s", c.outputs, p.Parameters)
		}
	}
	// R writes a list of one text as the text.
	a, errA := simon.StatisticsUnivariate().Prepare(strings.NewReader("1"), json.RawMessage(`{"outputs":"mean"}`), simon.Guard{})
	b, errB := simon.StatisticsUnivariate().Prepare(strings.NewReader("1"), json.RawMessage(`{"outputs":["mean"]}`), simon.Guard{})
	if errA != nil || errB != nil || !bytes.Equal(a.Parameters, b.Parameters) {
		t.Errorf("%s (%v) and %s (%v)", a.Parameters, errA, b.Parameters, errB)
	}
}

func TestUnivariateRefuses(t *testing.T) {
	for _, c := range []struct{ data, parameters, path, reason string }{
		{`[1,NaN]`, ``, "data[1]", "is NaN"},
		{`[1,2,"3"]`, ``, "data[2]", "is text"},
		{`[null]`, ``, "data[0]", "is null"},
		{`[true]`, ``, "data[0]", "is true or false"},
		{`[[1]]`, ``, "data[0]", "is a list"},
		{`{}`, ``, "data", "is an object"},
		{``, ``, "data", "is missing"},
		{`"1"`, ``, "data", "is text"},
		{`[1,6e13]`, ``, "data[1]", "|x| < 5.19e13"},
		{`-6e13`, ``, "data", "|x| < 5.19e13"},
		{`[51922968585349]`, ``, "data[0]", "|x| < 5.19e13"},
		{`[1,4e-21]`, ``, "data[1]", "too small"},
		{`[01]`, ``, "data[0]", "is not a number"},
		{`[1,2`, ``, "data", "closing bracket"},
		{`1`, `{"outputs":["median"]}`, "parameters.outputs", "is no field of the result"},
		{`1`, `{"outputs":[]}`, "parameters.outputs", "must be a list"},
		{`1`, `{"outputs":["mean","mean"]}`, "parameters.outputs", "the same value"},
		{`1`, `{"output":["mean"]}`, "parameters.output", "is unknown"},
		{`1`, `{"least_samples":-1}`, "parameters.least_samples", "integer from 0"},
		{`1`, `{"least_contributors":129}`, "parameters.least_contributors", "integer from 0 to 128"},
	} {
		if path, reason := refusal(t, simon.StatisticsUnivariate(), c.data, c.parameters); path != c.path || !strings.Contains(reason, c.reason) {
			t.Errorf("%s %s: %s: %s, want %s: …%s…", c.data, c.parameters, path, reason, c.path, c.reason)
		}
	}
}

// opening is a vector as it was opened where the pool was not checked.
func opening(t *testing.T, l ring.Layout, values ...string) []byte {
	t.Helper()
	x := ring.New(l)
	for field, s := range values {
		n, ok := new(big.Int).SetString(s, 0)
		if !ok {
			t.Fatal(s)
		}
		if err := x.SetInt(field, 0, n); err != nil {
			t.Fatal(err)
		}
	}
	return slices.Concat([]byte{3}, make([]byte, 16), x.Bytes())
}

// TestUnivariateOfForgedSums: sums that are opened without the others that could contradict them are bounded too.
func TestUnivariateOfForgedSums(t *testing.T) {
	m := simon.StatisticsUnivariate()
	for _, x := range []struct {
		output, what string
		limbs        int
		values       []string
		ok           bool
	}{
		{"root_mean_square", "x2", 5, []string{"3", "3"}, true},
		{"root_mean_square", "x2", 5, []string{"3", "-1"}, false},
		{"root_mean_square", "x2", 5, []string{"0", "-1"}, false},
	} {
		p, err := m.Prepare(strings.NewReader("1"), json.RawMessage(`{"outputs":["`+x.output+`"]}`), simon.Guard{})
		if err != nil {
			t.Fatal(err)
		}
		c := simon.Common{Parties: 2, Parameters: p.Parameters}
		l := ring.Layout{{Name: "samples", Limbs: 1, Count: 1}, {Name: x.what, Limbs: x.limbs, Count: 1}}
		got, err := m.Finish(c, nil, opening(t, l, x.values...))
		if _, outcome := errors.AsType[*simon.OutcomeError](err); outcome == x.ok || (err == nil) != x.ok {
			t.Errorf("%s of %v: %s, %v", x.output, x.values, got, err)
		}
	}
	// One number adds no more than 1e20 to the reciprocals, in units of 1e-24.
	inverse, err := m.Prepare(strings.NewReader("1"), json.RawMessage(`{"outputs":["harmonic_mean"]}`), simon.Guard{})
	if err != nil {
		t.Fatal(err)
	}
	reciprocals := ring.Layout{{Name: "samples", Limbs: 1, Count: 1}, {Name: "inverse", Limbs: 3, Count: 1}, {Name: "nonzero", Limbs: 1, Count: 1}}
	most := "1" + strings.Repeat("0", 44)
	of := simon.Common{Parties: 2, Parameters: inverse.Parameters}
	if got, err := m.Finish(of, nil, opening(t, reciprocals, "1", most, "1")); err != nil {
		t.Errorf("%s, %v", got, err)
	}
	_, err = m.Finish(of, nil, opening(t, reciprocals, "1", most[:44]+"1", "1"))
	impossible(t, "reciprocals", err)
}

// No data lead to these sums: a party has sent others than its own.
func TestUnivariateRefusesTheImpossible(t *testing.T) {
	m := simon.StatisticsUnivariate()
	p, err := m.Prepare(strings.NewReader("1"), json.RawMessage(`{"outputs":["kurtosis","geometric_mean"]}`), simon.Guard{})
	if err != nil {
		t.Fatal(err)
	}
	c := simon.Common{Parties: 2, Parameters: p.Parameters}
	l := ring.Layout{
		{Name: "samples", Limbs: 1, Count: 1}, {Name: "x1", Limbs: 3, Count: 1}, {Name: "x2", Limbs: 5, Count: 1}, {Name: "x3", Limbs: 6, Count: 1}, {Name: "x4", Limbs: 8, Count: 1},
		{Name: "log", Limbs: 2, Count: 1}, {Name: "positive", Limbs: 1, Count: 1},
	}
	if l.Hash() != p.Layout {
		t.Fatal("another layout")
	}
	for _, x := range []struct {
		what   string
		values []string
		ok     bool
	}{
		{"two equal samples", []string{"2", "2", "2", "2", "2", "0", "2"}, true},
		{"nothing", []string{"0", "0", "0", "0", "0", "0", "0"}, true},
		{"sums of nothing", []string{"0", "1", "1", "1", "1", "0", "0"}, false},
		{"fewer samples than none", []string{"-1", "0", "0", "0", "0", "0", "0"}, false},
		{"too many samples", []string{"0x10000000001", "0", "0", "0", "0", "0", "0"}, false},
		{"a logarithm of nothing", []string{"0", "0", "0", "0", "0", "1", "0"}, false},
		{"a logarithm below that of 1e-20", []string{"1", "1", "1", "1", "1", "-47000000000000001", "1"}, false},
		{"a logarithm beyond that of 5.2e13", []string{"1", "1", "1", "1", "1", "47000000000000001", "1"}, false},
		{"negative squares", []string{"2", "0", "-1", "0", "0", "0", "0"}, false},
		{"squares below those of the mean", []string{"2", "3", "4", "9", "9", "0", "2"}, false},
		{"fourth powers below squares", []string{"2", "2", "4", "0", "7", "0", "2"}, false},
		{"cubes beyond the other powers", []string{"2", "2", "4", "7", "10", "0", "2"}, false},
		{"more positive samples than samples", []string{"2", "2", "2", "2", "2", "0", "3"}, false},
		{"a sum beyond its samples", []string{"2", fmt.Sprint(new(big.Int).Lsh(big.NewInt(1), 113)), fmt.Sprint(new(big.Int).Lsh(big.NewInt(1), 225)), "0", fmt.Sprint(new(big.Int).Lsh(big.NewInt(1), 449)), "0", "2"}, false},
	} {
		_, err := m.Finish(c, nil, opening(t, l, x.values...))
		if _, outcome := errors.AsType[*simon.OutcomeError](err); outcome == x.ok || (err == nil) != x.ok {
			t.Errorf("%s: %v", x.what, err)
		}
	}
	for _, opened := range [][]byte{nil, {1}, make([]byte, l.Size()+1), append(opening(t, l), 0), {2}, append([]byte{2}, make([]byte, 16)...),
		append([]byte{1}, opening(t, l)[1:]...), slices.Concat([]byte{3, 1}, opening(t, l)[2:])} {
		if _, err := m.Finish(c, nil, opened); err == nil {
			t.Errorf("%d opened bytes were taken", len(opened))
		}
	}
	for _, input := range [][]byte{nil, {1}, p.Input[:len(p.Input)-1], append([]byte{9}, p.Input[1:]...)} {
		r := simontest.Run(t, 2, simontest.Options{}, func(ctx context.Context, s simon.Session) ([]byte, error) { return m.Run(ctx, s, c, input) })
		if r.Err() == nil || len(r.Messages) > 0 {
			t.Errorf("an input of %d bytes: %v, %d messages", len(input), r.Err(), len(r.Messages))
		}
	}
}

func TestUnivariatePrivacy(t *testing.T) {
	// The sum of logarithms is rounded at each party, so for one total of all fields the two must exchange their lists.
	reprogrammed(t, simon.StatisticsUnivariate(), "", []string{"[1.5,-2]", "[7]", "[3,3,-8.25]", "[]"}, []string{"[1.5,-2]", "[3,3,-8.25]", "[7]", "[]"})
	for _, parameters := range []string{`{"outputs":["hyper_flatness","harmonic_mean"]}`, `{"outputs":["mean"],"least_samples":4,"least_contributors":2}`} {
		reprogrammed(t, simon.StatisticsUnivariate(), parameters,
			[]string{"[1.5,-2]", "[7]", "[3,3,-8.25]", "[]"},
			[]string{"[1.5,-2]", "[-8.25]", "[3,7,3]", "[]"})
	}
	constantLengths(t, simon.StatisticsUnivariate(), `{"least_samples":1}`, []string{"[]", "1", "[]"}, []string{many(1000), "[-5e13,1e-20]", "0"})
	for _, data := range [][]string{{"[]", "0", "[]"}, {"[5e13,1]", "-5e13", "[-1e-20,7]"}} {
		if n := simulated(t, simon.StatisticsUnivariate(), `{"least_samples":1}`, data); n != 416 {
			t.Errorf("vectors of %d bytes", n)
		}
	}
}

func TestPrepareUnivariateStreams(t *testing.T) {
	const n = 1_000_000
	data := repeated("-123.456,7.25e3", n/2)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := simon.StatisticsUnivariate().Prepare(data, nil, simon.Guard{})
	runtime.ReadMemStats(&after)
	if err != nil {
		t.Fatal(err)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 1<<20 {
		t.Errorf("a list of %d numbers took %d bytes of memory", n, used)
	}
}

// BenchmarkPrepareUnivariate reads numbers for the fields that need all sums, for those of mean and variance, and for either
// of the means that need a sum of their own.
func BenchmarkPrepareUnivariate(b *testing.B) {
	const n = 100_000
	for name, parameters := range map[string]string{
		"all":       ``,
		"variance":  `{"outputs":["mean","variance"]}`,
		"geometric": `{"outputs":["geometric_mean"]}`,
		"harmonic":  `{"outputs":["harmonic_mean"]}`,
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := simon.StatisticsUnivariate().Prepare(repeated("-123.456,7.25e3", n/2), json.RawMessage(parameters), simon.Guard{}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/value")
		})
	}
}
