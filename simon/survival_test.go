package simon_test

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/weftmpc/weft/simon"
	"github.com/weftmpc/weft/simon/simontest"
)

// lungRows are R's data with events 0 and 1, and all distinct times in order.
func lungRows(t *testing.T, r rFile) (rows []string, times string) {
	t.Helper()
	var grid []int64
	for i := range r.length(t, "data") {
		row := []string{r.number(t, "data", i, 0).String(), map[json.Number]string{"1": "0", "2": "1"}[r.number(t, "data", i, 1)]}
		for j := 2; j < r.length(t, "data", i); j++ {
			row = append(row, r.number(t, "data", i, j).String())
		}
		rows = append(rows, "["+strings.Join(row, ",")+"]")
		days, err := r.number(t, "data", i, 0).Int64()
		if err != nil {
			t.Fatal(err)
		}
		grid = append(grid, days)
	}
	slices.Sort(grid)
	b, err := json.Marshal(slices.Compact(grid))
	if err != nil {
		t.Fatal(err)
	}
	return rows, string(b)
}

// follow is member for parts of a result.
func follow(t failer, part any, path ...any) any {
	t.Helper()
	object, _ := part.(map[string]any)
	return member(t, object, path...)
}

// pairOf are two limits, also where there are none.
func pairOf(v any) (lower, upper any) {
	if list, ok := v.([]any); ok {
		return list[0], list[1]
	}
	return nil, nil
}

// aSubject is one row of a test, its time in quarters.
type aSubject struct {
	quarters       int64
	event          bool
	group, stratum int
}

func (s aSubject) time() *big.Rat { return big.NewRat(s.quarters, 4) }

// row is the subject as data: the event as number or truth, the time in several spellings.
func (s aSubject) row(width int) string {
	time := s.time().FloatString(2)
	if s.quarters%4 == 0 && s.group == 0 {
		time = fmt.Sprintf("%de0", s.quarters/4)
	}
	event := map[bool]string{false: "0", true: "1"}[s.event]
	if s.group == 1 {
		event = fmt.Sprint(s.event)
	}
	return "[" + strings.Join([]string{time, event, fmt.Sprintf("%q", testGroups[s.group]), fmt.Sprint(s.stratum)}[:width], ",") + "]"
}

var testGroups = []string{"a", "b", "c", "never"}

const testGroupList = `"groups":["a","b","c","never"]`

// subjects draws up to 14 subjects with many ties.
func subjects(rt *rapid.T) []aSubject {
	return rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) aSubject {
		return aSubject{
			quarters: rapid.SampledFrom([]int64{0, 1, 2, 4, 4, 6, 7, 9, 12}).Draw(rt, "quarters"), event: rapid.Bool().Draw(rt, "event"),
			group: rapid.IntRange(0, 2).Draw(rt, "group"), stratum: rapid.IntRange(0, 1).Draw(rt, "stratum"),
		}
	}), 0, 14).Draw(rt, "subjects")
}

// testGrid is a public grid for subjects, and upGrid moves a subject to it.
const testGrid = `"times":[0,0.5,1,2,3]`

func upGrid(s aSubject) aSubject {
	for _, q := range []int64{0, 2, 4, 8, 12} {
		if q >= s.quarters {
			s.quarters = q
			return s
		}
	}
	panic("beyond the grid")
}

// played is the result of m for subjects dealt at random twice, in which both agree byte for byte. With a public grid, and
// without.
func played(rt *rapid.T, t *testing.T, m simon.Microprotocol, width int, parameters string, all []aSubject) map[string]any {
	rows := make([]string, len(all))
	for i, s := range all {
		rows[i] = s.row(width)
	}
	var results []string
	for range 2 {
		data := split(rt, rapid.IntRange(2, 7).Draw(rt, "parties"), rows)
		got, _, err := play(t, m, simontest.Options{Seed: rapid.Uint64().Draw(rt, "seed")}, simon.Guard{}, data, parameters)
		if err != nil {
			rt.Fatal(err)
		}
		conforms(t, m, data, parameters, got)
		results = append(results, got)
	}
	if results[0] != results[1] {
		rt.Fatalf("the split matters:\n%s\n%s", results[0], results[1])
	}
	return decoded(rt, results[0])
}

// sqrtOf is the root of a rational number with 300 bits.
func sqrtOf(x *big.Rat) *big.Float {
	f := new(big.Float).SetPrec(300).SetRat(x)
	return f.Sqrt(f)
}

// same fails unless got, a number of a result, is the double that is nearest to want.
func same(rt *rapid.T, what string, got any, want *big.Rat) {
	n, ok := got.(json.Number)
	if !ok {
		rt.Fatalf("%s: %v, want %s", what, got, want)
	}
	x, _ := n.Float64()
	if w, _ := want.Float64(); x != w {
		rt.Fatalf("%s: %v, want %s", what, got, want)
	}
}

// about fails unless got agrees with want, which is computed in another order, in 14 digits.
func about(rt *rapid.T, what string, got any, want *big.Float) {
	if why := disagreement(got, json.Number(want.Text('e', 20)), 14); why != "" {
		rt.Fatalf("%s: %s", what, why)
	}
}

func TestSurvivalRefuses(t *testing.T) {
	km, lr := simon.KaplanMeier(), simon.LogRank()
	const grouped = `{"groups":["a",2,true]}`
	for _, c := range []struct {
		m                simon.Microprotocol
		data, parameters string
		path, reason     string
	}{
		{km, `[[1,1],[-0.5,1]]`, `{}`, "data[1][0]", "negative"},
		{km, `[[1,1],[-1e-25,1]]`, `{}`, "data[1][0]", "too small"},
		{km, `[[NaN,1]]`, `{}`, "data[0][0]", "NaN"},
		{km, `[[-Infinity,1]]`, `{}`, "data[0][0]", "infinite"},
		{km, `[[null,1]]`, `{}`, "data[0][0]", "null"},
		{km, `[["1",1]]`, `{}`, "data[0][0]", "quotes"},
		{km, `[[1e14,1]]`, `{}`, "data[0][0]", "range"},
		{km, `[[1,2]]`, `{}`, "data[0][1]", "0, 1, true or false"},
		{km, `[[1,"1"]]`, `{}`, "data[0][1]", "0, 1, true or false"},
		{km, `[[1,0.5]]`, `{}`, "data[0][1]", "0, 1, true or false"},
		{km, `[[1]]`, `{}`, "data[0]", "[time, event]"},
		{km, `[[1,1],[1]]`, `{}`, "data[1]", "fewer"},
		{km, `[[1,1,"a"]]`, `{}`, "data[0]", "parameters.groups"},
		{km, `[[1,1]]`, grouped, "data[0]", "[time, event, group]"},
		{km, `[[1,1,"a",1]]`, grouped, "data[0]", "4 values"},
		{km, `[[1,1,"a",1,1]]`, grouped, "data[0]", "longer"},
		{km, `[[1,1,"a"],[1,1,"b"]]`, grouped, "data[1][2]", "group of parameters.groups"},
		{km, `[[1,1,"2"]]`, grouped, "data[0][2]", "kind"},
		{km, `[[1,1,0.5]]`, grouped, "data[0][2]", "fraction"},
		{km, `[1,2]`, `{}`, "data[0]", "single value"},
		{km, `5`, `{}`, "data", "list of lists"},
		{km, `[[1,1],[3.5,1]]`, `{"times":[1,3]}`, "data[1][0]", "after the last"},
		{km, `[[1,1],[3.00000000000000001,1]]`, `{"times":[1,3]}`, "", ""}, // the nearest double is 3
		{km, `[]`, `{"times":[]}`, "parameters.times", "1 to 1000"},
		{km, `[]`, `{"times":[1,1]}`, "parameters.times", "0 and 1"},
		{km, `[]`, `{"times":[1,2,1.5]}`, "parameters.times", "index 2 is not after index 1"},
		{km, `[]`, `{"times":[1e-19,1.000000001e-19]}`, "parameters.times", "index 1 is not after"},
		{km, `[]`, `{"times":[-1]}`, "parameters.times", "number from 0"},
		{km, `[]`, `{"times":["1"]}`, "parameters.times", "number from 0"},
		{km, `[]`, `{"times":[1e14]}`, "parameters.times", "range"},
		{km, `[]`, `{"conf_level":1}`, "parameters.conf_level", "between 0 and 1"},
		{km, `[]`, `{"strata":[1]}`, "parameters.strata", "unknown"},
		{km, `[[1,1],[2,1],[2,0]]`, `{"max_times":2}`, "data", "more than 2 different times"},
		{km, `[]`, `{"max_times":8193}`, "parameters.max_times", "8192"},
		{lr, `[[1,1,"a"]]`, `{}`, "parameters.groups", "at least 2"},
		{lr, `[[1,1,"a"]]`, `{"groups":["a"]}`, "parameters.groups", "2 to 1000"},
		{lr, `[[1,1,"a",0]]`, grouped, "data[0]", "parameters.strata"},
		{lr, `[[1,1]]`, grouped, "data[0]", "[time, event, group]"},
		{lr, `[[1,1,"a"]]`, `{"groups":["a",2],"strata":[0,1]}`, "data[0]", "[time, event, group, stratum]"},
		{lr, `[[1,1,"a",1],[1,1,2,7]]`, `{"groups":["a",2],"strata":[0,1]}`, "data[1][3]", "stratum of parameters.strata"},
		{lr, `[[1,1,"a",null]]`, `{"groups":["a",2],"strata":[0,1]}`, "data[0][3]", "null"},
		{lr, `[]`, `{"groups":` + list(101) + `}`, "parameters.groups", "at most 100"},
		{lr, `[]`, `{"groups":` + list(100) + `,"times":` + list(1000) + `}`, "parameters.times", "100000 points"},
	} {
		if c.path == "" {
			if _, err := c.m.Prepare(strings.NewReader(c.data), json.RawMessage(c.parameters), simon.Guard{}); err != nil {
				t.Errorf("%s with %s: %v", c.data, c.parameters, err)
			}
			continue
		}
		path, reason := refusal(t, c.m, c.data, c.parameters)
		if path != c.path || !strings.Contains(reason, c.reason) {
			t.Errorf("%s with %s: %s: %s, want %s: %s", c.data, c.parameters, path, reason, c.path, c.reason)
		}
	}
}

// list is the JSON list of 0 to n-1.
func list(n int) string {
	b := []byte("[0")
	for i := 1; i < n; i++ {
		b = fmt.Appendf(b, ",%d", i)
	}
	return string(append(b, ']'))
}

func TestSurvivalIsPrivate(t *testing.T) {
	for _, m := range []simon.Microprotocol{simon.KaplanMeier(), simon.LogRank()} {
		for _, parameters := range []string{`{"groups":["a","b"],"times":[1,2,3.5]}`, `{"groups":["a","b"],"max_times":8}`} {
			// Parties 0 and 2 have other subjects, and the same ones together.
			reprogrammed(t, m, parameters,
				[]string{`[[1,1,"a"],[2,0,"b"]]`, `[[3,1,"a"]]`, `[[2,1,"b"],[2,0,"b"]]`},
				[]string{`[]`, `[[3,1,"a"]]`, `[[2,1,"b"],[2,0,"b"],[1,1,"a"],[2,0,"b"]]`})
			constantLengths(t, m, parameters,
				[]string{`[]`, `[[3.5,1,"a"]]`, `[]`},
				[]string{`[[1,1,"a"],[2,0,"b"],[0,0,"b"]]`, `[[0.25,true,"a"]]`, `[[2,1,"b"],[2,0,"b"]]`})
		}
	}
}

// A party may enter what no data give. Whoever opens that sees that somebody did not follow the protocol.
func TestSurvivalOfADishonestParty(t *testing.T) {
	const header = 9 // version and number of samples, before the payload
	data := []string{`[[1,1,"a"],[2,0,"b"]]`, `[[3,1,"a"]]`, `[]`}
	for _, m := range []simon.Microprotocol{simon.KaplanMeier(), simon.LogRank()} {
		for name, c := range map[string]struct {
			parameters string
			bend       func(payload []byte)
		}{
			"negative count":     {`{"groups":["a","b"],"times":[1,2,3]}`, func(p []byte) { p[7] = 0x80 }},
			"events only":        {`{"groups":["a","b"],"times":[1,2,3]}`, func(p []byte) { p[6] = 1 }},
			"impossible total":   {`{"groups":["a","b"],"times":[1,2,3]}`, func(p []byte) { p[4], p[12], p[20] = 0x80, 0x80, 0x80 }},
			"unknown group":      {`{"groups":["a","b"]}`, func(p []byte) { p[3] = 2 }},
			"unknown stratum":    {`{"groups":["a","b"]}`, func(p []byte) { p[1] = 1 }},
			"third kind of end":  {`{"groups":["a","b"]}`, func(p []byte) { p[18] = 2 }},
			"no zeros":           {`{"groups":["a","b"]}`, func(p []byte) { p[23] = 1 }},
			"impossible samples": {`{"groups":["a","b"]}`, func(p []byte) { p[24+6] = 1 }},
		} {
			p := prepare(t, m, c.parameters, data)
			c.bend(p.inputs[1][header:])
			for seat, opened := range p.run(t, simontest.Options{Seed: 3}).Results {
				result, err := m.Finish(p.common, p.inputs[seat], opened)
				if _, ok := errors.AsType[*simon.OutcomeError](err); !ok {
					t.Errorf("%s: %s at seat %d: %v and %s, want an outcome", m.Name, name, seat, err, result)
				}
			}
		}
	}
}

// More times than the tables hold are an outcome for all parties.
func TestSurvivalOfTooManyTimes(t *testing.T) {
	rows := make([]string, 400) // the last table has 416 cells, enough for 320
	for i := range rows {
		rows[i] = fmt.Sprintf("[%d,1]", i)
	}
	m := simon.KaplanMeier()
	p := prepare(t, m, `{"max_times":10}`, dealt(rows, 40))
	for seat, opened := range p.run(t, simontest.Options{Seed: 3}).Results {
		_, err := m.Finish(p.common, p.inputs[seat], opened)
		if outcome, ok := errors.AsType[*simon.OutcomeError](err); !ok || !strings.Contains(outcome.Reason, "max_times 10") {
			t.Fatalf("seat %d: %v", seat, err)
		}
	}
}

// The policy's check of the pool comes first.
func TestSurvivalOfASmallPool(t *testing.T) {
	for _, parameters := range []string{`{}`, `{"times":[5]}`} {
		_, _, err := play(t, simon.KaplanMeier(), simontest.Options{Seed: 3}, simon.Guard{Samples: 5}, []string{`[[1,1],[2,1]]`, `[[1,0]]`, `[[3,1]]`}, parameters)
		if outcome, ok := errors.AsType[*simon.OutcomeError](err); !ok || !strings.Contains(outcome.Reason, "4 samples and 5 are needed") {
			t.Errorf("%v", err)
		}
	}
}

// The largest table can hold a few more times than results may have.
func TestSurvivalOfMoreTimesThanResultsHold(t *testing.T) {
	m := simon.KaplanMeier()
	p := prepare(t, m, `{}`, []string{`[]`, `[]`})
	opened := append([]byte{3}, make([]byte, 16)...) // a result, no check of the pool
	opened = append(opened, 1)                       // a table that could be read
	for i := range uint32(1<<16 + 1) {
		var key [24]byte
		binary.BigEndian.PutUint32(key[14:], i) // the time's lowest bytes
		opened = append(append(opened, key[:]...), 1, 0, 0, 0, 0, 0, 0, 0)
	}
	_, err := m.Finish(p.common, p.inputs[0], opened)
	if outcome, ok := errors.AsType[*simon.OutcomeError](err); !ok || !strings.Contains(outcome.Reason, "grid of times") {
		t.Errorf("%v", err)
	}
}
