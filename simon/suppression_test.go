package simon_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/weftmpc/weft/simon"
	"github.com/weftmpc/weft/simon/simontest"
)

// hiding are the tables whose small counts can be hidden, with a row for each of their cells.
var hiding = []struct {
	m          simon.Microprotocol
	parameters string // without suppress_below
	rows       []string
	counts     func(result map[string]any) []any
}{
	{simon.StatisticsFrequency(), `"categories":["a","b",7],"other":true`, []string{`"a"`, `"b"`, `7`, `"z"`}, func(r map[string]any) []any {
		h := r["histogram"].(map[string]any)
		return []any{h["a"], h["b"], h["7"], r["other"]}
	}},
	{simon.StatisticsContingency(), `"categories":[["a","b"],[true,false]]`, []string{`["a",true]`, `["a",false]`, `["b",true]`, `["b",false]`}, func(r map[string]any) []any {
		h := r["table"].(map[string]any)
		a, b := h["a"].(map[string]any), h["b"].(map[string]any)
		return []any{a["true"], a["false"], b["true"], b["false"]}
	}},
	{simon.Histogram(), `"breaks":[0,1,2]`, []string{`-5`, `0.5`, `1.5`, `8`}, func(r map[string]any) []any {
		return slices.Concat([]any{r["below"]}, r["counts"].([]any), []any{r["above"]})
	}},
	{simon.StatisticsByGroup(), `"groups":["a","b","c","d"]`, []string{`[1.5,"a"]`, `[-7,"b"]`, `[2,"c"]`, `[1e9,"d"]`}, func(r map[string]any) []any {
		var counts []any
		for _, g := range r["groups"].([]any) {
			counts = append(counts, g.(map[string]any)["samples"])
		}
		return counts
	}},
	{simon.KaplanMeier(), `"times":[1,2.5]`, []string{`[0.5,1]`, `[2,1]`, `[1,0]`, `[2.5,0]`}, func(r map[string]any) []any {
		counts := make([]any, 4)
		for _, row := range r["groups"].([]any)[0].(map[string]any)["table"].([]any) {
			row := row.(map[string]any)
			at := map[any]int{json.Number("1"): 0, json.Number("2.5"): 1}[row["time"]]
			for k, name := range []string{"n_event", "n_censor"} {
				if row[name] != json.Number("0") { // with least 1 nothing is hidden, and 0 is 0
					counts[at+2*k] = row[name]
				}
			}
		}
		return counts
	}},
}

// tableOf deals the cells' rows to three parties, one after the other.
func tableOf(rows []string, counts ...int) []string {
	parts := make([][]string, 3)
	k := 0
	for i, n := range counts {
		for range n {
			parts[k%3] = append(parts[k%3], rows[i])
			k++
		}
	}
	data := make([]string, 3)
	for i, p := range parts {
		data[i] = "[" + strings.Join(p, ",") + "]"
	}
	return data
}

// TestOneHiddenCellShowsNothing: where one count is below the least one, no field of the result depends on it, nor does the
// number or the length of any message.
func TestOneHiddenCellShowsNothing(t *testing.T) {
	const least = 4
	for _, c := range hiding {
		parameters := fmt.Sprintf(`{%s,"suppress_below":%d,"least_samples":9,"least_contributors":3}`, c.parameters, least)
		for cell := range c.rows {
			var result, messages string
			for n := range least {
				counts := []int{9, 6, 5, 8}
				counts[cell] = n
				got, r, err := play(t, c.m, simontest.Options{Seed: uint64(n)}, simon.Guard{}, tableOf(c.rows, counts...), parameters)
				if err != nil {
					t.Fatal(err)
				}
				if n == 0 {
					result, messages = got, shape(r)
					continue
				}
				if got != result {
					t.Errorf("%s: with %d in cell %d the result is\n%s\nand with none\n%s", c.m.Name, n, cell, got, result)
				}
				if shape(r) != messages {
					t.Errorf("%s: the messages show how much is in cell %d", c.m.Name, cell)
				}
			}
		}
	}
}

// TestCountsAroundTheLeastOne: t and t+1 are shown, t-1 and 0 are not, and all sums are of what is shown.
func TestCountsAroundTheLeastOne(t *testing.T) {
	for _, least := range []int{1, 2, 5} {
		for _, c := range hiding {
			for turn := range 4 {
				counts := []int{least - 1, least, least + 1, 0}
				counts = slices.Concat(counts[turn:], counts[:turn])
				got := decoded(t, mustPlay(t, c.m, fmt.Sprintf(`{%s,"suppress_below":%d}`, c.parameters, least), tableOf(c.rows, counts...)...))
				for i, shown := range c.counts(got) {
					var want any
					if counts[i] >= least {
						want = json.Number(fmt.Sprint(counts[i]))
					}
					if shown != want {
						t.Errorf("%s: a count of %d with least %d is shown as %v", c.m.Name, counts[i], least, shown)
					}
				}
				if got["samples"] != json.Number(fmt.Sprint(2*least+1)) {
					t.Errorf("%s: %v samples of counts %v with least %d", c.m.Name, got["samples"], counts, least)
				}
				if got["notes"] == nil {
					t.Errorf("%s: nothing says what null is", c.m.Name)
				}
			}
		}
	}
}

// TestStatisticsOfWhatIsShown: mode, density and all that a group has are of counts that are shown.
func TestStatisticsOfWhatIsShown(t *testing.T) {
	got := decoded(t, mustPlay(t, simon.Histogram(), `{"breaks":[0,1,2,4],"suppress_below":3}`, tableOf([]string{"0.5", "1.5", "3", "9"}, 2, 6, 4, 1)...))
	if !equalJSON(t, got["density"], `[null,0.6,0.2]`) || !equalJSON(t, got["counts"], `[null,6,4]`) || got["above"] != nil {
		t.Errorf("histogram %v", got)
	}
	got = decoded(t, mustPlay(t, simon.Histogram(), `{"breaks":[0,1],"suppress_below":3}`, tableOf([]string{"0.5", "9"}, 2, 5)...))
	if got["density"] != nil || noteOn(got, "density") == "" || got["above"] != json.Number("5") {
		t.Errorf("histogram %v", got)
	}
	for name, m := range map[string]simon.Microprotocol{`{"categories":["a","b"],"suppress_below":3}`: simon.StatisticsFrequency(), `{"categories":[["a","b"],[1]],"suppress_below":3}`: simon.StatisticsContingency()} {
		rows := []string{`"a"`, `"b"`}
		if m.Name == "StatisticsContingency" {
			rows = []string{`["a",1]`, `["b",1]`}
		}
		got = decoded(t, mustPlay(t, m, name, tableOf(rows, 2, 1)...))
		if got["mode"] != nil || noteOn(got, "mode") == "" || got["samples"] != json.Number("0") {
			t.Errorf("%s: %v", m.Name, got)
		}
		got = decoded(t, mustPlay(t, m, name, tableOf(rows, 2, 3)...))
		if !strings.Contains(fmt.Sprint(got["mode"]), "b") {
			t.Errorf("%s: %v", m.Name, got)
		}
	}
	got = decoded(t, mustPlay(t, simon.StatisticsByGroup(), `{"groups":["a","b"],"suppress_below":3}`, tableOf([]string{`[5,"a"]`, `[7,"b"]`}, 2, 3)...))
	if !equalJSON(t, got["groups"].([]any)[0], `{"conf_int":null,"group":"a","mean":null,"samples":null,"standard_deviation":null,"standard_error":null,"sum":null,"variance":null}`) {
		t.Errorf("groups %v", got)
	}
	if b := got["groups"].([]any)[1].(map[string]any); b["sum"] != json.Number("21") || b["samples"] != json.Number("3") {
		t.Errorf("groups %v", got)
	}
}

// publicSums adds up what all senders of a public body have sent to seat 2, word by word, with its own.
func publicSums(r *simontest.Record, parties int) map[simon.Label][]uint64 {
	sums := map[simon.Label][]uint64{}
	add := func(m simontest.Message) {
		if sums[m.Label] == nil {
			sums[m.Label] = make([]uint64, len(m.Body)/8)
		}
		for i := range sums[m.Label] {
			for k := range 8 {
				sums[m.Label][i] += uint64(m.Body[8*i+k]) << (8 * k)
			}
		}
	}
	for _, m := range r.Messages {
		if m.Kind != simontest.Exchange && m.Kind != simontest.Open {
			continue
		}
		// What seat 2 sends itself is not recorded: it sends seat 0 the same.
		if m.To == 2 || m.From == 2 && m.To == 0 {
			add(m)
		}
	}
	return sums
}

// TestNothingElseIsOpened: two bits say that the pool is large enough, and then come the counts that are shown; never the size
// of the pool, by which the hidden counts would follow from the shown ones.
func TestNothingElseIsOpened(t *testing.T) {
	for _, c := range hiding {
		for pool, parameters := range map[string]string{
			"[1 1]": `{%s,"suppress_below":4,"least_samples":15,"least_contributors":3}`,
			"[0 1]": `{%s,"suppress_below":4,"least_samples":16}`,
			"[1 0]": `{%s,"suppress_below":4,"least_contributors":4}`,
			"[]":    `{%s,"suppress_below":4}`,
		} {
			p := prepare(t, c.m, fmt.Sprintf(parameters, c.parameters), tableOf(c.rows, 3, 4, 0, 8))
			r := p.run(t, simontest.Options{Seed: 2})
			sums := publicSums(r, 3)
			if got := fmt.Sprint(sums[simon.Label{Round: 1, Vector: "pool"}]); got != pool {
				t.Errorf("%s: of the pool is opened %s, want %s", c.m.Name, got, pool)
			}
			want := 1
			if pool == "[]" || pool == "[1 1]" {
				if pool == "[]" {
					want = 0
				}
				want++
				if got := fmt.Sprint(sums[simon.Label{Round: 2, Vector: "surviving counts"}]); got != "[0 4 0 8]" && (c.m.Name != "StatisticsFrequency" && c.m.Name != "Histogram" || got == "") {
					t.Errorf("%s: the counts %s are opened", c.m.Name, got)
				}
				if c.m.Name == "StatisticsByGroup" { // the parties tell each other what they were shown
					if got := fmt.Sprint(sums[simon.Label{Round: 3, Vector: "shown counts"}]); got != "[0 12 0 24]" {
						t.Errorf("what was shown is compared as %s", got)
					}
					want += 2
					words := sums[simon.Label{Round: 3, Vector: "sums"}]
					if len(words) != 36 || fmt.Sprint(words[:4]) != "[0 4 0 8]" {
						t.Errorf("the groups' sums begin with %v", words)
					}
				}
			}
			if len(sums) != want {
				t.Errorf("%s, pool %s: opened are %v", c.m.Name, pool, sums)
			}
			for _, m := range r.Messages {
				if m.Kind == simontest.Send && m.From != 3 {
					t.Errorf("%s: seat %d sends %v to %d", c.m.Name, m.From, m.Label, m.To)
				}
			}
			_, err := c.m.Finish(p.common, p.inputs[0], r.Results[0])
			switch outcome, ok := errors.AsType[*simon.OutcomeError](err); {
			case pool == "[0 1]":
				if !ok || outcome.Reason != "all parties together have fewer samples than the 16 that are needed (least_samples): nothing else was opened" {
					t.Errorf("%s: %v", c.m.Name, err)
				}
			case pool == "[1 0]":
				if !ok || outcome.Reason != "fewer parties have samples than the 4 that are needed (least_contributors): nothing else was opened" {
					t.Errorf("%s: %v", c.m.Name, err)
				}
			case err != nil:
				t.Errorf("%s: %v", c.m.Name, err)
			}
		}
	}
}

// TestPolicyOfHiddenCounts: a policy's least count becomes the parameter, and less is refused, also from another party.
func TestPolicyOfHiddenCounts(t *testing.T) {
	careful := simon.Guard{Samples: 30, Moments: 100, Contributors: 3, Suppress: 5}
	for _, c := range hiding {
		with := func(more string) json.RawMessage { return json.RawMessage("{" + c.parameters + more + "}") }
		data := "[" + c.rows[0] + "]"
		p, err := c.m.Prepare(strings.NewReader(data), with(""), careful)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{`"suppress_below":5`, `"least_samples":30`, `"least_contributors":3`} {
			if !strings.Contains(string(p.Parameters), want) {
				t.Errorf("%s: parameters %s without %s", c.m.Name, p.Parameters, want)
			}
		}
		for more, want := range map[string]string{`,"suppress_below":9`: "", `,"suppress_below":5`: "", `,"suppress_below":4`: "parameters.suppress_below", `,"suppress_below":0`: "parameters.suppress_below",
			`,"suppress_below":9,"least_samples":29`: "parameters.least_samples", `,"least_contributors":2`: "parameters.least_contributors"} {
			check := func(what string, err error) {
				input, ok := errors.AsType[*simon.InputError](err)
				if want == "" && err != nil || want != "" && (!ok || input.Path != want || !strings.Contains(input.Reason, "must be at least ")) {
					t.Errorf("%s of %s with %s: %v", what, c.m.Name, more, err)
				}
			}
			_, err := c.m.Prepare(strings.NewReader(data), with(more), careful)
			check("Prepare", err)
			if !strings.Contains(more, "least_") { // the client of another party, whose policy asks for nothing
				more += `,"least_samples":30`
			}
			if !strings.Contains(more, "contributors") {
				more += `,"least_contributors":3`
			}
			if !strings.Contains(more, "suppress") {
				more += `,"suppress_below":5`
			}
			if !strings.Contains(more, "least_samples") {
				more += `,"least_samples":30`
			}
			p, err := c.m.Prepare(strings.NewReader(data), with(more), simon.Guard{})
			if err != nil {
				t.Fatal(err)
			}
			check("Check", c.m.Check(p.Parameters, careful))
		}
		if p, err = c.m.Prepare(strings.NewReader(data), with(""), simon.Guard{}); err != nil || !strings.Contains(string(p.Parameters), `"suppress_below":0`) {
			t.Errorf("%s: %s, %v", c.m.Name, p.Parameters, err)
		}
		if roles := c.m.RolesFor(p.Parameters); roles != nil {
			t.Errorf("%s needs %v where nothing is hidden", c.m.Name, roles)
		}
	}
	// Categories that are private cannot be hidden, and say so with the way out.
	for m, data := range map[string]string{"StatisticsFrequency": `["a"]`, "StatisticsContingency": `[["a",1]]`} {
		for parameters, g := range map[string]simon.Guard{`{"suppress_below":5}`: {}, ``: careful} {
			_, err := named(t, m).Prepare(strings.NewReader(data), json.RawMessage(parameters), g)
			if input, ok := errors.AsType[*simon.InputError](err); !ok || input.Path != "parameters.categories" || !strings.Contains(input.Reason, "list the categories") {
				t.Errorf("%s with %s: %v", m, parameters, err)
			}
		}
		if _, err := named(t, m).Prepare(strings.NewReader(data), nil, simon.Guard{}); err != nil {
			t.Error(err)
		}
	}
	// Tests of tables show no table whose counts could be hidden.
	for m, data := range map[string]string{"ChiSquare": `[["a",1]]`, "FisherExact": `[["a",1]]`} {
		p, err := named(t, m).Prepare(strings.NewReader(data), json.RawMessage(`{"categories":[["a","b"],[1,0]]}`), careful)
		if err != nil {
			t.Errorf("%s: %v", m, err)
			continue
		}
		if err := named(t, m).Check(p.Parameters, careful); err != nil {
			t.Errorf("%s: %v", m, err)
		}
	}
}

// TestTooManyCellsToHide: a table that is too large for a dealer is refused before anything is sent.
func TestTooManyCellsToHide(t *testing.T) {
	list := func(n int) string {
		b := []byte("[")
		for i := range n {
			b = fmt.Appendf(b, "%d,", i)
		}
		return string(append(b[:len(b)-1], ']'))
	}
	for rows, want := range map[int]string{99: "", 100: "parameters.categories"} {
		parameters := fmt.Sprintf(`{"categories":[%s,%s],"suppress_below":5}`, list(100), list(rows))
		_, err := simon.StatisticsContingency().Prepare(strings.NewReader("[[1,1]]"), json.RawMessage(parameters), simon.Guard{})
		if input, ok := errors.AsType[*simon.InputError](err); want == "" && err != nil || want != "" && (!ok || input.Path != want) {
			t.Errorf("%d cells: %v", 100*rows, err)
		}
	}
}
