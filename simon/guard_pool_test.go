package simon_test

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/weftmpc/weft/simon"
	"github.com/weftmpc/weft/simon/simontest"
)

// small is one computation of each microprotocol whose pool can be checked.
var small = map[string]struct {
	parameters string
	data       [2]string
}{
	"SecureMean":            {``, [2]string{`[1,2]`, `3`}},
	"SecureCompare":         {`"threshold":2`, [2]string{`[1,2]`, `3`}},
	"MinimumMaximum":        {``, [2]string{`[1,2]`, `3`}},
	"KthElement":            {`"rank":2`, [2]string{`[1,2]`, `3`}},
	"SecureMedian":          {``, [2]string{`[1,2]`, `3`}},
	"SecureQuantiles":       {``, [2]string{`[1,2]`, `3`}},
	"SecureTopK":            {``, [2]string{`[1,2]`, `3`}},
	"StatisticsUnivariate":  {``, [2]string{`[1,2]`, `3`}},
	"StatisticsBivariate":   {``, [2]string{`[[1,2],[2,3]]`, `[[3,5]]`}},
	"StatisticsByGroup":     {`"groups":["a","b"]`, [2]string{`[[1,"a"],[2,"b"]]`, `[[3,"a"]]`}},
	"Histogram":             {`"breaks":[0,2,4]`, [2]string{`[1,2.5]`, `[9]`}},
	"StatisticsFrequency":   {``, [2]string{`["a","b"]`, `["a"]`}},
	"StatisticsContingency": {``, [2]string{`[["a","c"]]`, `[["b","c"],["a","d"]]`}},
	"ChiSquare":             {`"categories":[["m","f"],[1,0]]`, [2]string{`[["m",1],["f",1]]`, `[["f",0]]`}},
	"FisherExact":           {`"categories":[["m","f"],[1,0]]`, [2]string{`[["m",1],["f",1]]`, `[["f",0]]`}},
	"TTest":                 {`"groups":[1,2]`, [2]string{`[[1,1],[2,1]]`, `[[3,2],[5,2]]`}},
	"ANOVA":                 {`"groups":["a","b"]`, [2]string{`[[1,"a"],[2,"a"]]`, `[[3,"b"],[5,"b"]]`}},
	"CorrelationMatrix":     {``, [2]string{`[[1,2],[2,3]]`, `[[3,5]]`}},
	"LinearRegression":      {``, [2]string{`[[1,2],[2,3]]`, `[[3,5]]`}},
	"LogisticRegression":    {``, [2]string{`[[0,0],[1,0],[0,0]]`, `[[1,1],[0,1],[1,1]]`}},
	"PoissonRegression":     {``, [2]string{`[[1,0],[3,0]]`, `[[5,1],[7,1]]`}},
	"KaplanMeier":           {``, [2]string{`[[1,1],[2,1]]`, `[[3,0]]`}},
	"LogRank":               {`"groups":["a","b"]`, [2]string{`[[1,1,"a"],[3,1,"b"]]`, `[[2,1,"a"]]`}},
}

// hidden are those that never open the size of the pool: nobody can compare it.
var hidden = map[string]bool{"SecureCompare": true, "SecureMedian": true, "SecureTopK": true}

// looks says whether a microprotocol looks at the size of the pool.
func looks(m simon.Microprotocol) bool {
	return strings.Contains(string(m.Parameters), "least_samples")
}

// TestPoolOfTheResult: a party cannot say in the check that it has more samples, or fewer, than it then adds.
func TestPoolOfTheResult(t *testing.T) {
	for _, m := range simon.Catalogue() {
		if !looks(m) || m.Complete != nil { // or there is no pool: the parties have other columns of the same rows
			continue
		}
		c, ok := small[m.Name]
		if !ok {
			t.Errorf("%s is not tested", m.Name)
			continue
		}
		with := func(check string) string { return "{" + strings.Trim(c.parameters+","+check, ",") + "}" }
		// No check: what a party says is not asked for.
		for _, parameters := range []string{with(``), with(`"least_samples":1`), with(`"least_contributors":2`)} {
			p := prepare(t, m, parameters, c.data[:])
			for _, more := range []uint64{0, 97, 1 << 63} {
				p.inputs[1] = slices.Clone(p.inputs[1])
				counted := p.inputs[1][1:9]
				true64 := binary.LittleEndian.Uint64(counted)
				binary.LittleEndian.PutUint64(counted, true64+more)
				opened := p.run(t, simontest.Options{Seed: 6}).Results[0]
				got, err := m.Finish(p.common, p.inputs[0], opened)
				binary.LittleEndian.PutUint64(counted, true64)
				if hidden[m.Name] && parameters != with(``) && more == 1<<63 {
					if _, ok := errors.AsType[*simon.OutcomeError](err); !ok { // a number below 0
						t.Errorf("%s: %v", m.Name, err)
					}
					continue
				}
				if more == 0 || parameters == with(``) || hidden[m.Name] {
					if err != nil {
						t.Errorf("%s with %s: %v", m.Name, parameters, err)
					}
					continue
				}
				if got != nil {
					t.Errorf("%s with %s: %s of a pool that was another", m.Name, parameters, got)
				}
				impossible(t, m.Name, err)
			}
		}
	}
}

// rowsOf3 has rows of three values, and columns of no meaning.
const rowsOf3 = `[[1,2,3]]`

// TestGuardOfManyColumns: the wider a model, the more samples a policy that asks for samples wants.
func TestGuardOfManyColumns(t *testing.T) {
	wide := func(columns int) string { return "[[" + strings.Repeat("1,", columns-1) + "1]]" }
	for _, c := range []struct {
		m          simon.Microprotocol
		parameters string
		data       string
		want       int
	}{
		{simon.CorrelationMatrix(), ``, rowsOf3, 30},
		{simon.CorrelationMatrix(), ``, wide(4), 40},
		{simon.CorrelationMatrix(), `{"columns":99}`, `[]`, 990},
		{simon.CorrelationMatrix(), `{"columns":["a","b","c","d","e"]}`, `[]`, 50},
		{simon.LinearRegression(), ``, rowsOf3, 30},
		{simon.LinearRegression(), ``, wide(4), 40},
		{simon.LinearRegression(), `{"intercept":false}`, wide(5), 40},
		{simon.LinearRegression(), `{"columns":100}`, `[]`, 1010},
		{simon.LinearRegression(), `{"polynomial":2}`, `[[1,2]]`, 100},
		{simon.LinearRegression(), `{"polynomial":12}`, `[[1,2]]`, 130},
		{simon.LogisticRegression(), ``, rowsOf3, 100},
		{simon.LogisticRegression(), `{"columns":20}`, `[]`, 210},
		{simon.LogisticRegression(), `{"columns":20,"intercept":false}`, `[]`, 200},
		{simon.PoissonRegression(), `{"columns":20,"exposure":true}`, `[]`, 210},
		{simon.StatisticsUnivariate(), `{"outputs":["mean","variance"]}`, `1`, 30},
		{simon.StatisticsUnivariate(), `{"outputs":["harmonic_mean","geometric_mean"]}`, `1`, 30},
		{simon.StatisticsUnivariate(), `{"outputs":["mean","geometric_mean"]}`, `1`, 30},
		{simon.StatisticsUnivariate(), `{"outputs":["variance","geometric_mean"]}`, `1`, 100},
		{simon.StatisticsUnivariate(), `{"outputs":["mean","geometric_mean","harmonic_mean"]}`, `1`, 100},
	} {
		prepared, err := c.m.Prepare(strings.NewReader(c.data), json.RawMessage(c.parameters), strict)
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			Samples int `json:"least_samples"`
		}
		if err := json.Unmarshal(prepared.Parameters, &got); err != nil || got.Samples != c.want {
			t.Errorf("%s of %s with %s asks for %d samples, want %d", c.m.Name, c.data, c.parameters, got.Samples, c.want)
		}
		if err := c.m.Check(prepared.Parameters, strict); err != nil {
			t.Error(err)
		}
		// A client, and another party's client, ask for one less.
		parameters := strings.TrimSuffix(c.parameters, "}")
		switch parameters {
		case "":
			parameters = "{"
		default:
			parameters += ","
		}
		parameters += fmt.Sprintf(`"least_contributors":3,"least_samples":%d}`, c.want-1)
		_, err = c.m.Prepare(strings.NewReader(c.data), json.RawMessage(parameters), strict)
		low(t, c.m.Name+" "+parameters, c.want, err)
		if prepared, err = c.m.Prepare(strings.NewReader(c.data), json.RawMessage(parameters), simon.Guard{}); err != nil {
			t.Fatal(err)
		}
		low(t, c.m.Name+" of another party", c.want, c.m.Check(prepared.Parameters, strict))
		// Who asks for no samples gets no more for columns.
		prepared, err = c.m.Prepare(strings.NewReader(c.data), json.RawMessage(c.parameters), simon.Guard{})
		if err != nil || !strings.Contains(string(prepared.Parameters), `"least_samples":0`) {
			t.Errorf("%s, %v", prepared.Parameters, err)
		}
	}
}

// low fails unless err says that least_samples must be at least want.
func low(t *testing.T, what string, want int, err error) {
	t.Helper()
	input, ok := errors.AsType[*simon.InputError](err)
	if !ok || input.Path != "parameters.least_samples" || !strings.Contains(input.Reason, fmt.Sprintf("at least %d:", want)) {
		t.Errorf("%s: %v, want at least %d", what, err, want)
	}
}

// TestLeakageOfTheCheck: what the check shows to all parties stands in every description that has one.
func TestLeakageOfTheCheck(t *testing.T) {
	for _, m := range simon.Catalogue() {
		const says = "all parties, recipients or not, learn how many samples all parties have together"
		if strings.Contains(m.Leakage, says) != (looks(m) && m.Complete == nil && !hidden[m.Name]) {
			t.Errorf("%s: %s", m.Name, m.Leakage)
		}
		const bits = "all parties learn whether it has enough samples, and whether enough parties have some, nothing else of its size"
		if strings.Contains(m.Leakage, bits) != hidden[m.Name] {
			t.Errorf("%s: %s", m.Name, m.Leakage)
		}
	}
}
