package test

import (
	"encoding/json"
	"math"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/simon"
)

// study is one computation by the official client: data by party, "" where only two take part, and some members of the result
// by their paths.
type study struct {
	Name       string          `json:"name"`
	Data       [3]string       `json:"-"`
	Parameters json.RawMessage `json:"parameters"`
	want       map[string]string
}

// studies has at least one computation of every microprotocol, with results that can be found by hand or in textbooks.
var studies = []study{
	{Name: "SecureSum", Data: [3]string{`19`, `5`, `61`}, want: map[string]string{"samples": "3", "sum": "85"}},
	{Name: "SecureMean", Data: [3]string{`[1, 2]`, `3`, `[6]`}, want: map[string]string{"samples": "4", "mean": "3"}},
	{Name: "SecureCompare", Data: [3]string{`[40, 2.5]`, `50`, `[7]`}, Parameters: json.RawMessage(`{"threshold": 99.5}`), want: map[string]string{"above": "false"}},
	{Name: "MinimumMaximum", Data: [3]string{`[{"minimum": 3, "maximum": 4.35}]`, `[{"minimum": -1e-300, "maximum": 9}]`, `[7]`},
		want: map[string]string{"samples": "3", "minimum": "-1e-300", "maximum": "9"}},
	{Name: "KthElement", Data: [3]string{`[{"array": [5, 1], "rank": 3}]`, `[{"array": [2.5], "rank": 3}]`, `[{"array": [4, 4], "rank": 3}]`},
		want: map[string]string{"samples": "5", "item": "4"}},
	{Name: "SecureMedian", Data: [3]string{`[0.57, 4.35]`, `[0.58]`, `[0.59, 1e-7, 2e-7]`}, want: map[string]string{"median": "0.575"}},
	{Name: "SecureMedian", Data: [3]string{`[93]`, `[94]`, `[1, 95]`}, Parameters: json.RawMessage(`{"values": "integers", "dealer": "bob"}`), want: map[string]string{"median": "93.5"}},
	{Name: "SecureQuantiles", Data: [3]string{`[1, 2, 3]`, `[4.5, -6]`, `[100]`}, want: map[string]string{"quantiles.1.value": "1.25", "quantiles.4.value": "100", "interquartile_range": "2.875"}},
	{Name: "SecureTopK", Data: [3]string{`[1, 2, 3]`, `[4.5, -6]`, `[100]`}, Parameters: json.RawMessage(`{"k": 3}`), want: map[string]string{"largest.0": "100", "largest.2": "3"}},
	{Name: "SecureMatrixMultiplication", Data: [3]string{`[[[1, 2, 3], [4, 5, 6], [7, 8, 10]]]`, `[[[1, 0, 0.5], [0, -1, 0], [2, 0, 0]]]`},
		want: map[string]string{"product.0.0": "7", "product.1.1": "-5", "product.2.0": "27", "product.2.2": "3.5"}},
	{Name: "CorrelationVertical", Data: [3]string{`[1, 2, 3]`, `[[2], [4], [6]]`, `[[3], [1], [2]]`}, Parameters: json.RawMessage(`{"columns": [["a"], ["b"], ["c"]]}`),
		want: map[string]string{"samples": "3", "correlation.0.1": "1", "correlation.0.2": "-0.5", "covariance.1.1": "4", "columns.2": `"c"`}},
	{Name: "LinearRegressionVertical", Data: [3]string{`[[0], [1], [0], [1], [3], [2], [2]]`, `[1, 3, 0, 2, 6, 5, 4]`, `[[0], [0], [1], [1], [1], [0], [1]]`},
		Parameters: json.RawMessage(`{"columns": [["dose"], ["y"], ["age"]], "outcome": "y"}`),
		want:       map[string]string{"samples": "7", "coefficients.0.estimate": "1", "coefficients.1.estimate": "2", "coefficients.2.estimate": "-1", "coefficients.2.name": `"age"`}},
	{Name: "LinearRegressionVertical", Data: [3]string{`[[1, 2], [3, 1], [2, 5], [7, 1]]`, `[1, 2, 3, 5]`}, Parameters: json.RawMessage(`{"columns": [["y", "x"], ["z"]]}`), want: map[string]string{"samples": "4", "df": "1"}},
	{Name: "StatisticsRegressionOLSVertical", Data: [3]string{`[[[1, 0], [1, 1], [1, 2], [1, 3]]]`, `[[[1], [3], [5], [7.5]]]`}, want: map[string]string{"mle.0.0": "0.9", "mle.1.0": "2.15"}},
	{Name: "StatisticsRegressionOLSVertical", Data: [3]string{`[[[2, 0, 0], [0, 4, 0], [0, 1, 1]]]`, `[[[1], [3], [5]]]`}, want: map[string]string{"mle.0.0": "0.5", "mle.1.0": "0.75", "mle.2.0": "4.25"}},
	{Name: "StatisticsFrequency", Data: [3]string{`["a", "b", "b"]`, `["a"]`, `["a"]`}, Parameters: json.RawMessage(`{"categories": ["a", "b", "c"], "suppress_below": 3}`),
		want: map[string]string{"samples": "3", "histogram.a": "3", "histogram.b": "null", "histogram.c": "null"}},
	{Name: "KaplanMeier", Data: [3]string{rowsOf(`[1, true]`, 4, `[2, false]`, 1), rowsOf(`[2, true]`, 1, `[2, false]`, 2), rowsOf(`[0.5, false]`, 4)},
		Parameters: json.RawMessage(`{"times": [1, 2], "suppress_below": 3}`), want: map[string]string{"samples": "11", "groups.0.table.0.n_event": "4", "groups.0.table.1.n_event": "null",
			"groups.0.table.1.survival_bounds.0": "0.4153846153846154", "groups.0.table.1.survival_bounds.1": "0.6363636363636364", "groups.0.table.1.n_risk_bounds.1": "5"}},
	{Name: "StatisticsUnivariate", Data: [3]string{`[3, 4.35]`, `[-2]`, `[7]`}, Parameters: json.RawMessage(`{"outputs": ["minimum", "maximum"]}`),
		want: map[string]string{"samples": "4", "minimum": "-2", "maximum": "7"}},
	{Name: "StatisticsUnivariate", Data: [3]string{`[0.001, 0.002, 0.003, 0.004]`, `[0.005, 0.006, 0.007]`, `[0.008, 0.009, 0.01]`},
		want: map[string]string{"samples": "10", "mean": "0.0055", "variance": "9.166666666666667e-06", "skewness": "0", "hyper_flatness": "3.7033976124885", "minimum": "null"}},
	{Name: "StatisticsUnivariate", Data: [3]string{`[1000001, 1000002, 1000003, 1000004]`, `[1000005, 1000006, 1000007]`, `[1000008, 1000009, 1000010]`},
		Parameters: json.RawMessage(`{"outputs": ["variance", "kurtosis"]}`), want: map[string]string{"variance": "9.166666666666667", "kurtosis": "1.7757575757575759"}},
	{Name: "StatisticsBivariate", Data: [3]string{`[[0, 1], [1, 3]]`, `[[2, 5]]`, `[[3, 7]]`},
		want: map[string]string{"samples": "4", "regression_slope": "2", "regression_interceipt": "1", "correlation_coefficient": "1", "covariance": "3.3333333333333335"}},
	{Name: "StatisticsByGroup", Data: [3]string{`[[1, "a"], [2, "b"]]`, `[[3, "a"]]`, `[[5, "a"]]`}, Parameters: json.RawMessage(`{"groups": ["a", "b"]}`),
		want: map[string]string{"groups.0.mean": "3", "groups.0.variance": "4", "groups.1.samples": "1", "groups.1.variance": "null"}},
	{Name: "Histogram", Data: [3]string{`[1, 2.5]`, `[3]`, `[9]`}, Parameters: json.RawMessage(`{"breaks": [0, 2, 4]}`),
		want: map[string]string{"samples": "4", "counts.0": "1", "counts.1": "2", "above": "1"}},
	{Name: "StatisticsFrequency", Data: [3]string{`["red", "blue"]`, `["red"]`, `["green"]`},
		want: map[string]string{"samples": "4", "mode": `"red"`, "histogram.red": "2", "histogram.blue": "1"}},
	{Name: "StatisticsFrequency", Data: [3]string{`[1, "1"]`, `["1"]`, `[]`}, Parameters: json.RawMessage(`{"categories": [1, "1", 2]}`),
		want: map[string]string{"mode": `"1"`, `histogram."1"`: "2", "histogram.1": "1", "histogram.2": "0"}},
	{Name: "StatisticsContingency", Data: [3]string{`[["a_b", "c"]]`, `[["a", "b_c"]]`, `[["a", "b_c"]]`},
		want: map[string]string{"table.a.b_c": "2", "table.a_b.c": "1", "table.a.c": "0", "mode.1": `"b_c"`}},
	{Name: "ChiSquare", Data: [3]string{rowsOf(`["m", 1]`, 12, `["m", 0]`, 5), rowsOf(`["f", 1]`, 7), rowsOf(`["f", 0]`, 7)},
		Parameters: json.RawMessage(`{"categories": [["m", "f"], [1, 0]], "correct": true}`), want: map[string]string{"df": "1", "statistic": "0.6411", "p_value": "0.4233"}},
	{Name: "FisherExact", Data: [3]string{rowsOf(`["milk", "milk"]`, 3, `["milk", "tea"]`, 1), rowsOf(`["tea", "milk"]`, 1), rowsOf(`["tea", "tea"]`, 3)},
		Parameters: json.RawMessage(`{"categories": [["milk", "tea"], ["milk", "tea"]]}`), want: map[string]string{"p_value": "0.4857142857142857", "estimate": "6.40832"}},
	{Name: "TTest", Data: [3]string{ // Student's sleep data
		`[[0.7, 1], [-1.6, 1], [-0.2, 1], [-1.2, 1], [-0.1, 1], [3.4, 1], [3.7, 1]]`, `[[0.8, 1], [0, 1], [2, 1], [1.9, 2], [0.8, 2], [1.1, 2], [0.1, 2]]`,
		`[[-0.1, 2], [4.4, 2], [5.5, 2], [1.6, 2], [4.6, 2], [3.4, 2]]`},
		Parameters: json.RawMessage(`{"groups": [1, 2]}`), want: map[string]string{"statistic": "-1.8608", "df": "17.776", "p_value": "0.07939"}},
	{Name: "ANOVA", Data: [3]string{`[[1, "a"], [2, "a"], [3, "a"]]`, `[[2, "b"], [3, "b"], [4, "b"]]`, `[[5, "c"], [6, "c"], [7, "c"]]`},
		Parameters: json.RawMessage(`{"groups": ["a", "b", "c"]}`), want: map[string]string{"statistic": "13", "num_df": "2", "denom_df": "6", "levene.statistic": "0"}},
	{Name: "CorrelationMatrix", Data: [3]string{`[[1, 2, 3]]`, `[[2, 4, 1]]`, `[[3, 6, 2]]`},
		want: map[string]string{"correlation.0.1": "1", "correlation.0.2": "-0.5", "covariance.1.1": "4"}},
	{Name: "LinearRegression", Data: [3]string{`[[1, 0, 0], [3, 1, 0]]`, `[[0, 0, 1], [2, 1, 1]]`, `[[6, 3, 1], [5, 2, 0], [4, 2, 1]]`},
		Parameters: json.RawMessage(`{"columns": ["dose", "age"]}`), want: map[string]string{"samples": "7", "coefficients.0.estimate": "1", "coefficients.1.estimate": "2", "coefficients.2.estimate": "-1", "coefficients.2.name": `"age"`}},
	{Name: "LogisticRegression", Data: [3]string{`[[0, 0], [0, 0], [0, 0]]`, `[[1, 0], [1, 1], [1, 1]]`, `[[1, 1], [0, 1]]`},
		want: map[string]string{"coefficients.0.estimate": "-1.0986122886681", "coefficients.1.estimate": "2.1972245773362", "converged": "true"}},
	{Name: "PoissonRegression", Data: [3]string{`[[1, 0], [3, 0]]`, `[[5, 1]]`, `[[7, 1]]`},
		want: map[string]string{"coefficients.0.estimate": "0.6931471805599", "coefficients.1.estimate": "1.0986122886681"}},
	{Name: "KaplanMeier", Data: [3]string{`[[1, 1], [2, 1]]`, `[[3, 1]]`, `[[4, 1], [5, 0], [6, 0]]`},
		want: map[string]string{"samples": "6", "groups.0.table.0.n_risk": "6", "groups.0.table.1.survival": "0.6666666666666666", "groups.0.events": "4"}},
	{Name: "LogRank", Data: [3]string{`[[1, 1, "a"], [3, 1, "b"]]`, `[[2, 1, "a"]]`, `[[4, 1, "b"]]`}, Parameters: json.RawMessage(`{"groups": ["a", "b"]}`),
		want: map[string]string{"df": "1", "statistic": "2.8823529411764706", "groups.0.observed": "2"}},
	{Name: "SetIntersection", Data: [3]string{`["p7", "p1", 1, "p3"]`, `["p1", "1", 1, "p4"]`, `["p9", "p1", 1, 2]`},
		want: map[string]string{"size_intersection": "2", "intersection.0": `"p1"`, "intersection.1": "1"}},
	{Name: "SetIntersection", Data: [3]string{`[["p1", "p2", "p3"], ["p3", "p2"]]`, `[["p2", "p3", "p3"]]`},
		want: map[string]string{"size_intersection": "2", "intersection.0": `"p2"`, "intersection.1": `"p3"`}},
	{Name: "SetIntersection", Data: [3]string{`[[["Ng", 1970], ["Ng", 1971]]]`, `[[["Ng", 1971]], [["Ng", 1971], "Ng"]]`, `[[["Ng", 1971], "Ng"]]`}, Parameters: json.RawMessage(`{"pad_to": 20}`),
		want: map[string]string{"size_intersection": "1", "intersection.0": `["Ng",1971]`}},
	{Name: "SetIntersectionSize", Data: [3]string{`["p1", "p2", "p3", "p2"]`, `["p3", "p2", "p8"]`}, want: map[string]string{"size_intersection": "2"}},
	{Name: "SetIntersectionSize", Data: [3]string{`["p1", "p2", "p3", "p2"]`, `["p3", "p2", "p8"]`, `["p8", "p3", 1, "p2"]`}, want: map[string]string{"size_intersection": "2"}},
	{Name: "SetIntersectionSize", Data: [3]string{`["p1", "p2"]`, `["p2", "p8"]`, `["p2"]`}, Parameters: json.RawMessage(`{"suppress_below": 2, "pad_to": 16}`), want: map[string]string{"size_intersection": "0"}},
}

// parties is how many take part.
func (s study) parties() int {
	if s.Data[2] == "" {
		return 2
	}
	return 3
}

// rowsOf is a list of rows, each as often as the number after it says.
func rowsOf(pairs ...any) string {
	var rows []string
	for i := 0; i < len(pairs); i += 2 {
		for range pairs[i+1].(int) {
			rows = append(rows, pairs[i].(string))
		}
	}
	return "[" + strings.Join(rows, ", ") + "]"
}

// studyScript computes one study after the other as official clients do: with compute, and again as a task whose data come
// one after the other. It prints a line for each.
const studyScript = `
import sys, json
import federatedsecure.client
me, nodes, studies = int(sys.argv[1]), sys.argv[2].split(","), json.load(sys.stdin)
api = federatedsecure.client.Api(nodes[me])
simon = api.create(protocol="Simon")
for s in studies:
    among = nodes[:s["parties"]]
    network = {"nodes": among, "uuid": s["compute"], "myself": me}
    first = api.download(simon.compute(microprotocol=s["name"], data=s["data"], network=network, parameters=s["parameters"]))
    task = simon.create_task(microprotocol=s["name"], network={"nodes": among, "myself": me}, parameters=s["parameters"], task_id=s["task"])
    for element in s["data"] if isinstance(s["data"], list) else [s["data"]]:
        task.input([element])
    task.start()
    result = None
    while result is None:
        result = task.result()
    second = api.download(result)
    if first != second:
        sys.exit("%s: %s by compute, %s as a task" % (s["name"], first, second))
    print(json.dumps(first), flush=True)
`

// TestStudies: every microprotocol through the unmodified official client, by compute and as a task.
func TestStudies(t *testing.T) {
	covered := map[string]bool{}
	for _, s := range studies {
		covered[s.Name] = true
	}
	for _, m := range simon.Catalogue() {
		if !covered[m.Name] {
			t.Errorf("no study computes %s", m.Name)
		}
	}
	py, d := python(t), startDemo(t)
	type posted struct {
		study
		Data    json.RawMessage `json:"data"`
		Parties int             `json:"parties"`
		Compute string          `json:"compute"`
		Task    string          `json:"task"`
	}
	var inputs [3][]posted
	for _, s := range studies {
		compute, task := uuid.NewString(), uuid.NewString()
		for i := range s.parties() {
			inputs[i] = append(inputs[i], posted{s, json.RawMessage(s.Data[i]), s.parties(), compute, task})
		}
	}
	var answers [3][]string
	var wg sync.WaitGroup
	for i := range inputs {
		wg.Go(func() {
			in, err := json.Marshal(inputs[i])
			if err != nil {
				t.Error(err)
				return
			}
			c := exec.Command(py, "-c", studyScript, strconv.Itoa(i), strings.Join(d.urls, ","))
			c.Stdin = strings.NewReader(string(in))
			var problems strings.Builder
			c.Stderr = &problems
			out, err := c.Output()
			if err != nil {
				t.Errorf("party %d: %v: %s", i, err, problems.String())
			}
			answers[i] = strings.Split(strings.TrimSpace(string(out)), "\n")
		})
	}
	wg.Wait()
	for _, s := range studies {
		var first string
		for i := range s.parties() {
			if len(answers[i]) == 0 || i > 0 && answers[i][0] != first {
				t.Errorf("%s: the parties do not have the same", s.Name)
				continue
			}
			if i == 0 {
				first = answers[0][0]
				s.check(t, first)
			}
			answers[i] = answers[i][1:]
		}
	}
}

func (s study) check(t *testing.T, answer string) {
	t.Helper()
	var envelope struct {
		Inputs int
		Result any
	}
	if err := json.Unmarshal([]byte(answer), &envelope); err != nil || envelope.Inputs != s.parties() {
		t.Errorf("%s: %s (%v)", s.Name, answer, err)
		return
	}
	for path, want := range s.want {
		got, ok := memberAt(envelope.Result, strings.Split(path, "."))
		if !ok || !same(got, want) {
			t.Errorf("%s: %s is %v, want %s, in %s", s.Name, path, got, want, answer)
		}
	}
}

// memberAt follows a path of names and indexes.
func memberAt(v any, path []string) (any, bool) {
	for _, name := range path {
		switch w := v.(type) {
		case map[string]any:
			inner, ok := w[name]
			if !ok {
				return nil, false
			}
			v = inner
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i < 0 || i >= len(w) {
				return nil, false
			}
			v = w[i]
		default:
			return nil, false
		}
	}
	return v, true
}

// same compares a value with JSON text: numbers in as many digits as the text has.
func same(got any, want string) bool {
	x, isNumber := got.(float64)
	y, err := strconv.ParseFloat(want, 64)
	if !isNumber || err != nil {
		b, _ := json.Marshal(got)
		return string(b) == want
	}
	mantissa, _, _ := strings.Cut(want, "e")
	places := len(strings.TrimLeft(strings.NewReplacer("-", "", ".", "").Replace(mantissa), "0"))
	if places < 4 || y == 0 {
		return x == y
	}
	return math.Abs(x-y) <= math.Abs(y)*0.51*math.Pow10(1-places)+1e-16
}

// TestStrictPool: nodes with the profile strict look at the size of the pool first, and compute nothing over a small one.
func TestStrictPool(t *testing.T) {
	r := newRack(t, rackOptions{})
	list := func(n int) string { return "[" + strings.TrimSuffix(strings.Repeat("1.5,", n), ",") + "]" }
	for party, j := range r.ended(r.submitTo("StatisticsUnivariate", list(33), list(33), list(33))) {
		if j.State != "failed" || j.Error == nil || !strings.Contains(j.Error.Message, "all parties together have 99 samples and 100 are needed") || j.Attempt != 1 {
			t.Errorf("%s, 99 samples: %s %+v", party, j.State, j.Error)
		}
	}
	for party, j := range r.ended(r.submitTo("StatisticsUnivariate", list(60), list(60), "[]")) {
		if j.State != "failed" || j.Error == nil || !strings.Contains(j.Error.Message, "2 parties have samples and 3 are needed") {
			t.Errorf("%s, two parties with samples: %s %+v", party, j.State, j.Error)
		}
	}
	for party, j := range r.ended(r.submitTo("StatisticsUnivariate", list(33), list(33), list(34))) {
		if j.State != "done" || j.Result == nil || j.Result.Samples.String() != "100" || j.Result.Sum.String() != "150" {
			t.Errorf("%s, 100 samples: %s %+v", party, j.State, j.Error)
		}
	}
}
