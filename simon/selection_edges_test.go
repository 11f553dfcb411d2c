package simon_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/weftmpc/weft/simon"
	"github.com/weftmpc/weft/simon/simontest"
)

// TestQuantilesOfR: the same values as R, of an odd and of an even number of values, dealt to three parties.
func TestQuantilesOfR(t *testing.T) {
	for _, name := range []string{"quantiles-rivers", "quantiles-eruptions"} {
		r := fromR(t, name)
		data, parts := make([]string, 3), make([][]string, 3)
		for i := range r.length(t, "data") {
			parts[i*i%3] = append(parts[i*i%3], r.number(t, "data", i, 0).String())
		}
		for i, p := range parts {
			data[i] = "[" + strings.Join(p, ",") + "]"
		}
		var p []string
		for i := range r.length(t, "quantiles", "probabilities") {
			p = append(p, r.number(t, "quantiles", "probabilities", i).String())
		}
		for _, definition := range []string{"1", "2", "6", "7"} {
			got := decoded(t, mustPlay(t, simon.SecureQuantiles(), fmt.Sprintf(`{"type":%s,"digit_bits":4,"probabilities":[%s]}`, definition, strings.Join(p, ",")), data...))
			for i, q := range got["quantiles"].([]any) {
				near(t, fmt.Sprintf("%s, quantile %s of type %s", name, p[i], definition), q.(map[string]any)["value"], r.number(t, "quantiles", "type"+definition, i), 14)
			}
			near(t, name+", interquartile range of type "+definition, got["interquartile_range"], r.number(t, "quantiles", "iqr"+definition), 14)
		}
		near(t, name+", median", decoded(t, mustPlay(t, simon.SecureMedian(), ``, data...))["median"], r.number(t, "median"), 16)
	}
}

// selects plays all selections of one pool of doubles and compares them with the pool in order.
func selects(t *testing.T, digit int, sorted []float64, data ...string) {
	t.Helper()
	n := len(sorted)
	with := func(more string) string { return fmt.Sprintf(`{"digit_bits":%d%s}`, digit, more) }
	got := decoded(t, mustPlay(t, simon.MinimumMaximum(), with(""), data...))
	if !sameNumber(got["minimum"], sorted[0]) || !sameNumber(got["maximum"], sorted[n-1]) {
		t.Errorf("digit_bits %d: extremes %v of %v", digit, got, sorted)
	}
	for k := range n {
		got := decoded(t, mustPlay(t, simon.KthElement(), with(fmt.Sprintf(`,"rank":%d`, k+1)), data...))
		if !sameNumber(got["item"], sorted[k]) || got["samples"] != json.Number(fmt.Sprint(n)) {
			t.Errorf("digit_bits %d: rank %d of %v is %v", digit, k+1, sorted, got)
		}
	}
}

// TestDigitsOfEveryLength: the result does not depend on how many bits a step finds, and edges of doubles are in order.
func TestDigitsOfEveryLength(t *testing.T) {
	data := []string{"[-0.0, 5e-324, -1.7976931348623157e308]", "[0, -5e-324]", "[]", "1.7976931348623157e308"}
	sorted := []float64{-math.MaxFloat64, -5e-324, 0, 0, 5e-324, math.MaxFloat64}
	for _, digit := range []int{1, 2, 3, 5, 7, 8, 9, 10} {
		got := decoded(t, mustPlay(t, simon.MinimumMaximum(), fmt.Sprintf(`{"digit_bits":%d}`, digit), data...))
		if !sameNumber(got["minimum"], sorted[0]) || !sameNumber(got["maximum"], sorted[5]) || got["samples"] != json.Number("6") {
			t.Errorf("digit_bits %d: %v", digit, got)
		}
	}
	selects(t, 6, sorted, data...)
	got := mustPlay(t, simon.KthElement(), `{"digit_bits":11,"rank":5}`, data...)
	if !sameNumber(decoded(t, got)["item"], 5e-324) {
		t.Errorf("with 11 bits %s", got)
	}
	if got := mustPlay(t, simon.KthElement(), `{"rank":3}`, data...); !strings.Contains(got, `"item":0`) || strings.Contains(got, "-0") {
		t.Errorf("zero is %s", got)
	}
	for p, want := range map[string]string{`{}`: `"median":0`, `{"values":"doubles"}`: `"median":0`} {
		if got := mustPlay(t, simon.SecureMedian(), p, data...); !strings.Contains(got, want) {
			t.Errorf("median %s", got)
		}
	}
	// Sums and differences of the ends of doubles.
	if got := decoded(t, mustPlay(t, simon.SecureMedian(), ``, "1.7976931348623157e308", "[1.7976931348623155e308]")); !sameNumber(got["median"], 1.7976931348623156e308) && !sameNumber(got["median"], math.MaxFloat64) && !sameNumber(got["median"], 1.7976931348623155e308) {
		t.Errorf("median %v", got)
	}
	got = mustPlay(t, simon.SecureQuantiles(), `{"type":1}`, "[1.7976931348623157e308,1.7976931348623157e308]", "[-1.7976931348623157e308,-1.7976931348623157e308]")
	if r := decoded(t, got); r["interquartile_range"] != nil || noteOn(r, "interquartile_range") == "" {
		t.Errorf("a range that no double holds is %s", got)
	}
}

// TestRanksOutOfThePool: every rank that a pool does not have is the same outcome at all parties.
func TestRanksOutOfThePool(t *testing.T) {
	outcome := func(m simon.Microprotocol, parameters, want string, data ...string) {
		t.Helper()
		got, r, err := play(t, m, simontest.Options{Seed: 3}, simon.Guard{}, data, parameters)
		o, ok := errors.AsType[*simon.OutcomeError](err)
		if !ok || !strings.Contains(o.Reason, want) {
			t.Errorf("%s with %s of %v: %s, %v", m.Name, parameters, data, got, err)
		}
		for seat := range data { // all parties have what it takes to say so
			if r == nil || len(r.Results[seat]) == 0 {
				t.Errorf("%s: seat %d has no outcome", m.Name, seat)
			}
		}
	}
	three := []string{"[5,1]", "[]", "3"}
	const none = "no element of this rank"
	outcome(simon.KthElement(), `{"rank":4}`, none, three...)
	outcome(simon.KthElement(), `{"rank":1024000000}`, none, three...)
	outcome(simon.KthElement(), `{"rank":1}`, none, "[]", "[]")
	outcome(simon.SecureMedian(), ``, none, "[]", "[]", "[]")
	for _, definition := range []int{1, 2, 6, 7} {
		outcome(simon.SecureQuantiles(), fmt.Sprintf(`{"type":%d}`, definition), none, "[]", "[]")
	}
	for _, values := range []string{"doubles", "integers"} {
		outcome(simon.SecureMedian(), fmt.Sprintf(`{"values":%q}`, values), none, "[]", "[]", "[]")
		outcome(simon.SecureQuantiles(), fmt.Sprintf(`{"type":1,"probabilities":[0],"values":%q}`, values), none, "[]", "[]", "[]")
		if got := mustPlay(t, simon.SecureTopK(), fmt.Sprintf(`{"values":%q,"k":3}`, values), "[]", "[]"); got != `{"largest":[]}` {
			t.Errorf("the largest of none are %s", got)
		}
		if got := decoded(t, mustPlay(t, simon.MinimumMaximum(), fmt.Sprintf(`{"values":%q}`, values), "[]", "[]")); got["minimum"] != nil || got["maximum"] != nil || noteOn(got, "minimum") == "" {
			t.Errorf("extremes of none are %v", got)
		}
	}
	outcome(simon.KthElement(), `{"rank":2,"lower_bound":3.5}`, "less than lower_bound", three...)
	outcome(simon.KthElement(), `{"rank":2,"upper_bound":2.5}`, "larger than upper_bound", three...)
	if got := mustPlay(t, simon.KthElement(), `{"rank":2,"lower_bound":3,"upper_bound":3}`, three...); got != `{"samples":3,"item":3}` {
		t.Errorf("bounds that the element meets: %s", got)
	}
	for _, m := range []simon.Microprotocol{simon.SecureMedian(), simon.SecureTopK(), simon.SecureQuantiles(), simon.MinimumMaximum()} {
		outcome(m, `{"least_samples":4}`, "4", three...)
		outcome(m, `{"least_contributors":3}`, "3", three...)
	}
}

// TestIntegersBeyondDoubles: whole numbers of 64 bits are exact, to both ends.
func TestIntegersBeyondDoubles(t *testing.T) {
	const most, least = "9223372036854775806", "-9223372036854775807"
	data := []string{"[9007199254740993," + most + "]", "[" + least + ",9007199254740992]", "[]"}
	for _, c := range []struct {
		m                simon.Microprotocol
		parameters, want string
	}{
		{simon.KthElement(), `"rank":2`, `{"samples":4,"item":9007199254740992}`},
		{simon.KthElement(), `"rank":3`, `{"samples":4,"item":9007199254740993}`},
		{simon.MinimumMaximum(), ``, `{"samples":4,"minimum":` + least + `,"maximum":` + most + `}`},
		{simon.SecureMedian(), ``, `{"median":9007199254740992.5}`},
		{simon.SecureTopK(), `"k":4`, `{"largest":[` + most + `,9007199254740993,9007199254740992,` + least + `]}`},
		{simon.SecureQuantiles(), `"type":2,"probabilities":[0.5]`, `{"samples":4,"quantiles":[{"probability":0.5,"value":9007199254740992.5}]}`},
		{simon.SecureQuantiles(), `"type":1,"probabilities":[1,0]`, `{"quantiles":[{"probability":1,"value":` + most + `},{"probability":0,"value":` + least + `}]}`},
	} {
		if got := mustPlay(t, c.m, "{"+strings.Trim(`"values":"integers",`+c.parameters, ",")+"}", data...); got != c.want {
			t.Errorf("%s: %s, want %s", c.m.Name, got, c.want)
		}
	}
}

// TestSelectionsRefuse: what cannot be used is refused before anything is sent, at the place where it stands, with what to do
// and without the number.
func TestSelectionsRefuse(t *testing.T) {
	median, kth, extremes, quantiles, top, compare := simon.SecureMedian(), simon.KthElement(), simon.MinimumMaximum(), simon.SecureQuantiles(), simon.SecureTopK(), simon.SecureCompare()
	for _, c := range []struct {
		m                            simon.Microprotocol
		data, parameters, path, says string
	}{
		{median, `[1,"2"]`, ``, "data[1]", "remove the quotes"},
		{median, `[1,2,null]`, ``, "data[2]", "leave missing values out"},
		{median, `[NaN]`, ``, "data[0]", "NaN"},
		{median, `[1,-Infinity]`, ``, "data[1]", "infinite"},
		{median, `[1e309]`, ``, "data[0]", "1.798e308"},
		{median, `[1,[2]]`, ``, "data[1]", "list"},
		{median, `[1,{"minimum":1}]`, ``, "data[1]", "object"},
		{median, `[9007199254740993]`, ``, "data[0]", `set the parameter "values" to "integers"`},
		{median, `[1.5]`, `{"values":"integers"}`, "data[0]", "fraction"},
		{median, `[9223372036854775807]`, `{"values":"integers"}`, "data[0]", "2^63"},
		{median, `[-9223372036854775808]`, `{"values":"integers"}`, "data[0]", "2^63"},
		{median, `1 2`, ``, "data", "more text"},
		{median, `[1,2`, ``, "data", "bracket"},
		{median, `[1]`, `{"digit_bits":0}`, "parameters.digit_bits", "from 1 to 11"},
		{median, `[1]`, `{"digit_bits":12}`, "parameters.digit_bits", "from 1 to 11"},
		{median, `[1]`, `{"values":"texts"}`, "parameters.values", "doubles, integers"},
		{kth, `[1]`, ``, "parameters.rank", "missing"},
		{kth, `[1]`, `{"rank":0}`, "parameters.rank", "from 1"},
		{kth, `[1]`, `{"rank":-1}`, "parameters.rank", "from 1"},
		{kth, `[1]`, `{"rank":1.5}`, "parameters.rank", "integer"},
		{kth, `[1]`, `{"rank":1024000001}`, "parameters.rank", "1024000000"},
		{kth, `[1]`, `{"rank":1,"lower_bound":2,"upper_bound":1}`, "parameters.upper_bound", "less than lower_bound"},
		{kth, `[1]`, `{"rank":1,"lower_bound":"x"}`, "parameters.lower_bound", "finite number"},
		{kth, `{"array":[1],"rank":0}`, ``, "data.rank", "from 1"},
		{kth, `{"array":[1],"rank":"1"}`, ``, "data.rank", "quotes"},
		{kth, `{"array":[1],"rank":[1]}`, ``, "data.rank", "list"},
		{kth, `{"array":[1],"rank":{"a":1}}`, ``, "data.rank", "object"},
		{kth, `{"array":[1]}`, ``, "parameters.rank", "missing"},
		{kth, `{"array":"7","rank":1}`, ``, "data.array", "list"},
		{kth, `{"array":[[1]],"rank":1}`, ``, "data[0]", "list"},
		{kth, `{"array":[1],"array":[2],"rank":1}`, ``, "data", "twice"},
		{kth, `{"array":[1],"ranks":1}`, ``, "data", "known are array, rank, lower_bound, upper_bound"},
		{kth, `{"array":[1],"rank":1}`, `{"rank":2}`, "data.rank", "another one than in the parameters"},
		{kth, `[{"array":[1],"rank":1},2]`, ``, "data[1]", ""},
		{kth, `[2,{"array":[1],"rank":1}]`, ``, "data[1]", "object beside"},
		{kth, `[{"array":[1],"rank":1},{"array":[1],"rank":1}]`, ``, "data[1]", "object beside"},
		{kth, `{"array":[1],"rank":1,}`, ``, "data", "not valid JSON"},
		{kth, `{"array":[1] "rank":1}`, ``, "data", "not valid JSON"},
		{kth, `{"array":[1],"rank":1`, ``, "data", "not valid JSON"},
		{kth, `{"array":[1],"rank":1} {}`, ``, "data", "more text"},
		{kth, `{"array":[1],"rank":1,"lower_bound":null}`, ``, "data.lower_bound", "null"},
		{extremes, `[{"minimum":1,"maximum":0}]`, ``, "data[0]", "larger than its maximum"},
		{extremes, `[1,{"minimum":1}]`, ``, "data[1]", "both minimum and maximum"},
		{extremes, `[{}]`, ``, "data[0]", "both minimum and maximum"},
		{extremes, `[{"minimum":1,"minimum":1}]`, ``, "data[0]", "twice"},
		{extremes, `[{"minimum":{"minimum":1},"maximum":2}]`, ``, "data[0].minimum", "object"},
		{extremes, `[{"minimum":[1],"maximum":2}]`, ``, "data[0].minimum", "list"},
		{extremes, `[{"minimum":"1","maximum":2}]`, ``, "data[0].minimum", "quotes"},
		{extremes, `[{"minimum":1,"maximum":2,"mean":1}]`, ``, "data[0]", "known are minimum, maximum"},
		{extremes, `[{"minimum":1,"maximum":1e400}]`, ``, "data[0]", "1.798e308"},
		{extremes, `[[1]]`, ``, "data[0]", "list"},
		{quantiles, `[1]`, `{"probabilities":[1.01]}`, "parameters.probabilities", "0 to 1"},
		{quantiles, `[1]`, `{"probabilities":[-0.01]}`, "parameters.probabilities", "0 to 1"},
		{quantiles, `[1]`, `{"probabilities":[0.0000001]}`, "parameters.probabilities", "1000000"},
		{quantiles, `[1]`, `{"probabilities":[]}`, "parameters.probabilities", "list"},
		{quantiles, `[1]`, `{"probabilities":[0.5,0.50]}`, "parameters.probabilities", "same value"},
		{quantiles, `[1]`, `{"type":3}`, "parameters.type", "[1,2,6,7]"},
		{top, `[1]`, `{"k":101}`, "parameters.k", "1 to 100"},
		{top, `[1]`, `{"k":0}`, "parameters.k", "1 to 100"},
		{compare, `[1]`, ``, "parameters.threshold", "missing"},
		{compare, `[1]`, `{"threshold":0.1234567}`, "parameters.threshold", "decimals"},
		{compare, `[1]`, `{"threshold":1e18}`, "parameters.threshold", "out of range"},
		{compare, `[1,36028797018963968]`, `{"threshold":1,"decimals":0}`, "data[1]", ""},
		{compare, `[36028797018963967,1]`, `{"threshold":1,"decimals":0}`, "data[1]", "sum"},
	} {
		path, reason := refusal(t, c.m, c.data, c.parameters)
		if path != c.path || !strings.Contains(reason, c.says) {
			t.Errorf("%s of %s with %s: %s: %s, want %s: … %s", c.m.Name, c.data, c.parameters, path, reason, c.path, c.says)
		}
		if strings.Contains(reason, "9007199254740993") || strings.Contains(reason, "36028797018963968") {
			t.Errorf("%s: %s repeats the number", c.m.Name, reason)
		}
	}
}

// TestCompareAtItsEnds: the largest sums and thresholds that can be.
func TestCompareAtItsEnds(t *testing.T) {
	const most = "36028797018963967" // 2^55 - 1
	data := make([]string, 128)
	for i := range data {
		data[i] = most
	}
	for threshold, want := range map[string]bool{"4611686018427387000": true, "-4611686018427387000": true, "0": true} {
		got := mustPlay(t, simon.SecureCompare(), `{"decimals":0,"threshold":`+threshold+`}`, data[:2]...)
		if want = want && threshold != "4611686018427387000"; got != fmt.Sprintf(`{"above":%v}`, want) {
			t.Errorf("two of the largest above %s: %s", threshold, got)
		}
	}
	for i := range data {
		data[i] = "-" + most
	}
	if got := mustPlay(t, simon.SecureCompare(), `{"decimals":0,"threshold":4611686018427387000}`, data[:7]...); got != `{"above":false}` {
		t.Error(got)
	}
	if got := mustPlay(t, simon.SecureCompare(), `{"decimals":0,"threshold":-216172782113783802}`, data[:6]...); got != `{"above":false}` {
		t.Errorf("a sum is above itself: %s", got)
	}
}

// TestObjectsAreSamples: objects of the reference's clients stand beside numbers.
func TestObjectsAreSamples(t *testing.T) {
	if got := mustPlay(t, simon.MinimumMaximum(), ``, `[{"minimum": 2, "maximum": 5}, 3]`, `[ {"maximum":-1,"minimum":-1.5} ]`, `[]`); got != `{"samples":3,"minimum":-1.5,"maximum":5}` {
		t.Error(got)
	}
	if got := mustPlay(t, simon.KthElement(), ``, `{"array":[3,1],"rank":2,"lower_bound":0,"upper_bound":9}`, `[{"rank":2,"upper_bound":9,"lower_bound":0,"array":[]}]`, `{"lower_bound":0.0,"upper_bound":9,"array":[2],"rank":2.0}`); got != `{"samples":3,"item":2}` {
		t.Error(got)
	}
	// Numbers of a party and parameters, objects of another.
	if got := mustPlay(t, simon.KthElement(), `{"rank":1}`, `[4,5]`, `{"array":[6],"rank":1}`); got != `{"samples":3,"item":4}` {
		t.Error(got)
	}
}

// naiveObjects is what encoding/json makes of the objects and numbers of MinimumMaximum; ok is false where they are refused.
func naiveObjects(data []byte) (least, most *big.Rat, samples int, ok bool) {
	v, err := parseStrictly(data)
	if err != nil {
		return nil, nil, 0, false
	}
	list, isList := v.([]any)
	if !isList {
		list = []any{v}
	}
	number := func(v any) (*big.Rat, bool) {
		n, ok := v.(json.Number)
		if !ok || len(n) > 15 {
			return nil, false
		}
		x, err := n.Float64()
		if err != nil {
			return nil, false
		}
		return new(big.Rat).SetFloat64(x), true
	}
	for _, one := range list {
		pair := [2]any{one, one}
		if m, isObject := one.(map[string]any); isObject {
			if len(m) != 2 {
				return nil, nil, 0, false
			}
			pair = [2]any{m["minimum"], m["maximum"]}
		}
		a, okA := number(pair[0])
		b, okB := number(pair[1])
		if !okA || !okB || a.Cmp(b) > 0 {
			return nil, nil, 0, false
		}
		if least == nil || a.Cmp(least) < 0 {
			least = a
		}
		if most == nil || b.Cmp(most) > 0 {
			most = b
		}
		samples++
	}
	return least, most, samples, true
}

// parseStrictly is encoding/json with names at most once.
func parseStrictly(data []byte) (any, error) {
	d := json.NewDecoder(strings.NewReader(string(data)))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if d.More() || strings.TrimSpace(string(data[d.InputOffset():])) != "" {
		return nil, errors.New("more text")
	}
	for _, name := range []string{"minimum", "maximum"} { // a name twice in one object
		for _, part := range strings.Split(string(data), "}") {
			if strings.Count(part, name) > 1 {
				return nil, errors.New("twice")
			}
		}
	}
	return v, nil
}

// FuzzObjects: whatever the text, the reader ends with a value or an InputError; where encoding/json understands it, both have
// the same numbers.
func FuzzObjects(f *testing.F) {
	for _, s := range []string{`[{"minimum":1,"maximum":2},3]`, `{"minimum":-1e3,"maximum":2.5}`, `[{"minimum" : 1 , "maximum":2 } , {}]`, `[{"minimum":{"minimum":1},"maximum":2}]`, `{"array":[1,2],"rank":1}`,
		`[{"minimum":1,"minimum":2}]`, `[{"minimum":1,"maximum":`, `[{"mini\u006dum":1,"maximum":2}]`, `{"array":[1,[2]],"rank":9,"lower_bound":3}`, `[{,}]`, `{"":{"":[]}}`, `[{"minimum":01,"maximum":2}]`, `[{]}`, `{`, `{"a`, `{}`, `[{}{}]`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, m := range []simon.Microprotocol{simon.MinimumMaximum(), simon.KthElement()} {
			p, err := m.Prepare(strings.NewReader(string(data)), nil, simon.Guard{})
			if err != nil {
				if _, ok := errors.AsType[*simon.InputError](err); !ok {
					t.Fatalf("%s: %v", m.Name, err)
				}
			}
			if m.Name != "MinimumMaximum" {
				continue
			}
			least, most, samples, ok := naiveObjects(data)
			if strings.ContainsAny(string(data), `\`) || len(data) > 1000 {
				continue
			}
			if ok && err != nil && !strings.Contains(err.Error(), "is out of range") {
				t.Fatalf("%q is refused: %v", data, err)
			}
			if err == nil && ok {
				common := simon.Common{Parties: 2, Parameters: p.Parameters}
				if p.Input[1] != byte(samples) {
					t.Fatalf("%q has %d samples, read are %d", data, samples, p.Input[1])
				}
				if samples > 0 && len(p.Input) != 9+24 || samples == 0 && len(p.Input) != 9+8 {
					t.Fatalf("%q: input of %d bytes for %v", data, len(p.Input), common)
				}
				if samples > 0 && (orderedWord(p.Input[17:]).Cmp(least) != 0 || orderedWord(p.Input[25:]).Cmp(most) != 0) {
					t.Fatalf("%q: read are %v and %v", data, orderedWord(p.Input[17:]), orderedWord(p.Input[25:]))
				}
			}
		}
	})
}

// orderedWord reads the encoding of a double that keeps order.
func orderedWord(b []byte) *big.Rat {
	var u uint64
	for i := range 8 {
		u |= uint64(b[i]) << (8 * i)
	}
	if u>>63 == 1 {
		u &^= 1 << 63
	} else {
		u = ^u
	}
	return new(big.Rat).SetFloat64(math.Float64frombits(u))
}

// TestSelectionAmongManyParties: ties, empty parties and any seats, for all microprotocols of one pool at a time.
func TestSelectionAmongManyParties(tt *testing.T) {
	checkSome(tt, 40, func(t *rapid.T) {
		n := rapid.IntRange(2, 7).Draw(t, "parties")
		var rows []string
		var pool []int64
		for range rapid.IntRange(1, 12).Draw(t, "values") {
			x := rapid.SampledFrom([]int64{math.MinInt64 + 1, -1, 0, 0, 1, 1 << 53, 1<<53 + 1, math.MaxInt64 - 1}).Draw(t, "value")
			pool, rows = append(pool, x), append(rows, fmt.Sprint(x))
		}
		k := rapid.IntRange(1, len(pool)).Draw(t, "rank")
		got, err := playRoles(tt, t, simon.KthElement(), split(t, n, rows), fmt.Sprintf(`{"values":"integers","rank":%d,"digit_bits":%d}`, k, rapid.IntRange(1, 8).Draw(t, "digit")))
		if err != nil {
			t.Fatal(err)
		}
		below, notAbove := 0, 0
		for _, x := range pool {
			item, ok := new(big.Int).SetString(string(got["item"].(json.Number)), 10)
			if !ok {
				t.Fatal(got)
			}
			if c := big.NewInt(x).Cmp(item); c < 0 {
				below++
			} else if c == 0 {
				notAbove++
			}
		}
		if below >= k || below+notAbove < k {
			t.Fatalf("rank %d of %d is %v", k, pool, got)
		}
	})
}
