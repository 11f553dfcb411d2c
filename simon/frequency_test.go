package simon_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/weftmpc/weft/simon"
	"github.com/weftmpc/weft/simon/encode"
	"github.com/weftmpc/weft/simon/iblt"
	"github.com/weftmpc/weft/simon/prg"
	"github.com/weftmpc/weft/simon/ring"
	"github.com/weftmpc/weft/simon/simontest"
)

// spelling is a way to write a category in JSON, and which one it is: text (1), number (2) or boolean (3).
type spelling struct {
	json string
	kind int
	text string
}

var spellings = []spelling{
	{`"a"`, 1, "a"}, {`"b"`, 1, "b"}, {`"a_b"`, 1, "a_b"}, {`"b_c"`, 1, "b_c"}, {`""`, 1, ""}, {`"A"`, 1, "A"},
	{`"é"`, 1, "é"}, {`"e\u0301"`, 1, "é"}, {`"\u00e9"`, 1, "é"},
	{`"1"`, 1, "1"}, {`1`, 2, "1"}, {`1.0`, 2, "1"}, {`1e0`, 2, "1"}, {`2`, 2, "2"}, {`10`, 2, "10"}, {`-3`, 2, "-3"},
	{`9007199254740993`, 2, "9007199254740993"}, {`9007199254740992`, 2, "9007199254740992"},
	{`true`, 3, "true"}, {`"true"`, 1, "true"}, {`false`, 3, "false"},
}

// label is how a result calls the category where all are the categories beside it.
func (s spelling) label(all []spelling) string {
	if s.kind == 1 && slices.ContainsFunc(all, func(o spelling) bool { return o.kind != 1 && o.text == s.text }) {
		return `"` + s.text + `"`
	}
	return s.text
}

// json of the category itself, in its canonical form.
func (s spelling) canonical() string {
	if s.kind != 1 {
		return s.text
	}
	b, err := json.Marshal(s.text)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// before is the order of keys: kind, length, bytes.
func (s spelling) before(o spelling) int {
	return cmp.Or(cmp.Compare(s.kind, o.kind), cmp.Compare(len(s.text), len(o.text)), strings.Compare(s.text, o.text))
}

func (s spelling) same(o spelling) bool { return s.kind == o.kind && s.text == o.text }

// listOf are the distinct categories that occur, in order of their keys.
func listOf(all []spelling) []spelling {
	all = slices.Clone(all)
	slices.SortStableFunc(all, spelling.before)
	return slices.CompactFunc(all, spelling.same)
}

// jsonList is a parameter's list of categories.
func jsonList(all []spelling) string {
	var texts []string
	for _, s := range all {
		texts = append(texts, s.canonical())
	}
	return "[" + strings.Join(texts, ",") + "]"
}

// equalJSON compares two values of JSON, regardless of order and space.
func equalJSON(t interface{ Fatalf(string, ...any) }, got any, want string) bool {
	d := json.NewDecoder(strings.NewReader(want))
	d.UseNumber()
	var w any
	if err := d.Decode(&w); err != nil {
		t.Fatalf("%s: %v", want, err)
	}
	a, _ := json.Marshal(got)
	b, _ := json.Marshal(w)
	return bytes.Equal(a, b)
}

func TestFrequency(t *testing.T) {
	m := simon.StatisticsFrequency()
	rapid.Check(t, func(rt *rapid.T) {
		given := rapid.SliceOfN(rapid.SampledFrom(spellings), 0, 60).Draw(rt, "given")
		list := listOf(given)
		counts := map[string]int{} // by label
		var rows []string
		var mode spelling
		for _, s := range given {
			counts[s.label(list)]++
			rows = append(rows, s.json)
		}
		for _, s := range list {
			if n := counts[s.label(list)]; mode.kind == 0 || n > counts[mode.label(list)] {
				mode = s
			}
		}
		histogram, err := json.Marshal(counts)
		if err != nil {
			rt.Fatal(err)
		}
		n := rapid.IntRange(2, 7).Draw(rt, "parties")
		modes := []string{`{"max_categories":20}`}
		// 2^53+1 cannot stand in a parameter.
		if len(list) > 0 && !slices.ContainsFunc(list, func(s spelling) bool { return s.text == "9007199254740993" }) {
			modes = append(modes, `{"categories":`+jsonList(list)+`}`)
		}
		for _, parameters := range modes {
			data := split(rt, n, rows)
			got, _, err := play(t, m, simontest.Options{Seed: rapid.Uint64().Draw(rt, "seed")}, simon.Guard{}, data, parameters)
			if err != nil {
				rt.Fatal(err)
			}
			result := decoded(rt, got)
			if !equalJSON(rt, result["histogram"], string(histogram)) || !equalJSON(rt, result["samples"], strconv.Itoa(len(given))) {
				rt.Fatalf("%s: %s, want %s of %d", parameters, got, histogram, len(given))
			}
			if mode.kind == 0 {
				if result["mode"] != nil || !equalJSON(rt, result["notes"], `{"mode":"there are no samples"}`) {
					rt.Fatalf("no samples: %s", got)
				}
			} else if !equalJSON(rt, result["mode"], mode.canonical()) {
				rt.Fatalf("mode of %s, want %s", got, mode.canonical())
			}
		}
	})
}

func TestFrequencyInWords(t *testing.T) {
	m := simon.StatisticsFrequency()
	for _, c := range []struct {
		name, parameters string
		data             []string
		want             string
	}{
		{"private, in order of kinds and values", ``, []string{`[10, 9, "b"]`, `["a", 9, true, false]`, `[]`},
			`{"samples":7,"mode":9,"histogram":{"a":1,"b":1,"9":2,"10":1,"false":1,"true":1}}`},
		{"public, in order of the list", `{"categories":["b","a",3]}`, []string{`["a"]`, `"a"`, `["b"]`},
			`{"samples":3,"mode":"a","histogram":{"b":1,"a":2,"3":0}}`},
		{"text and number 1", ``, []string{`["1",1]`, `[1]`}, `{"samples":3,"mode":1,"histogram":{"\"1\"":1,"1":2}}`},
		{"a tie goes to text", ``, []string{`[1]`, `["1"]`}, `{"samples":2,"mode":"1","histogram":{"\"1\"":1,"1":1}}`},
		{"a tie goes to the shorter text", `{"categories":["aa","b","c"]}`, []string{`["c"]`, `["aa","b"]`}, `{"samples":3,"mode":"b","histogram":{"aa":1,"b":1,"c":1}}`},
		{"others", `{"categories":["a"],"other":true}`, []string{`["a","x",1]`, `["a",true]`}, `{"samples":5,"mode":"a","histogram":{"a":2},"other":3}`},
		{"others only", `{"categories":["a"],"other":true}`, []string{`["x"]`, `[]`},
			`{"samples":1,"mode":null,"histogram":{"a":0},"other":1,"notes":{"mode":"no sample has a category that is listed"}}`},
		{"nothing, public", `{"categories":["a",true]}`, []string{`[]`, `[]`}, `{"samples":0,"mode":null,"histogram":{"a":0,"true":0},"notes":{"mode":"there are no samples"}}`},
		{"nothing, private", ``, []string{`[]`, `[]`}, `{"samples":0,"mode":null,"histogram":{},"notes":{"mode":"there are no samples"}}`},
		{"é in two spellings", ``, []string{`["é"]`, `["e\u0301"]`}, `{"samples":2,"mode":"é","histogram":{"é":2}}`},
		{"61 bytes", ``, []string{`["` + strings.Repeat("x", 61) + `"]`, `[]`}, `{"samples":1,"mode":"` + strings.Repeat("x", 61) + `","histogram":{"` + strings.Repeat("x", 61) + `":1}}`},
	} {
		if got := mustPlay(t, m, c.parameters, c.data...); got != c.want {
			t.Errorf("%s:\n%s, want\n%s", c.name, got, c.want)
		}
	}
}

func TestFrequencyRefuses(t *testing.T) {
	m := simon.StatisticsFrequency()
	many := make([]string, 257)
	for i := range many {
		many[i] = strconv.Itoa(i)
	}
	for _, c := range [][4]string{ // data, parameters, path, part of the reason
		{`["a",null]`, ``, "data[1]", "null"},
		{`["a",1.5]`, ``, "data[1]", "fraction"},
		{`["a",["b"]]`, ``, "data[1]", "no category"},
		{`["a",{}]`, ``, "data[1]", "no category"},
		{`["` + strings.Repeat("x", 62) + `"]`, ``, "data[0]", "61 bytes"},
		{`{"a":1}`, ``, "data", "object"},
		{`["a"`, ``, "data", "bracket"},
		{`["a","b"]`, `{"categories":["a"]}`, "data[1]", "no category of parameters.categories"},
		{`["a"]`, `{"categories":[1,"a",1]}`, "parameters.categories", "same value at 0 and 2"},
		{`["a"]`, `{"categories":["é","e\u0301"]}`, "parameters.categories", "same value"},
		{`["a"]`, `{"categories":[]}`, "parameters.categories", "list"},
		{`["a"]`, `{"categories":[["a"],["b"]]}`, "parameters.categories", "index 0"},
		{`["a"]`, `{"categories":[1.5]}`, "parameters.categories", "fraction"},
		{`["a"]`, `{"other":true}`, "parameters.other", "categories"},
		{`["a"]`, `{"suppress_below":5}`, "parameters.categories", "list the categories"},
		{`["a"]`, `{"max_categories":0}`, "parameters.max_categories", "1 to 65536"},
		{`["a","b","a"]`, `{"max_categories":1}`, "data", "more than 1 different categories: set max_categories at all parties, or give the list as categories"},
		{"[" + strings.Join(many, ",") + "]", ``, "data", "more than 256 different categories"},
	} {
		path, reason := refusal(t, m, c[0], c[1])
		if path != c[2] || !strings.Contains(reason, c[3]) {
			t.Errorf("%s with %s: %s: %s, want %s: …%s…", c[0], c[1], path, reason, c[2], c[3])
		}
	}
	if _, err := m.Prepare(strings.NewReader("["+strings.Join(many[:256], ",")+"]"), nil, simon.Guard{}); err != nil {
		t.Errorf("256 categories: %v", err)
	}
}

// different are n categories of a party.
func different(party, n int) string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf(`"%d of %d"`, i, party))
	}
	return "[" + strings.Join(list, ",") + "]"
}

func TestPrivateCategoriesRetry(t *testing.T) {
	for _, c := range []struct{ parties, each, attempts int }{
		{2, 100, 1}, {4, 100, 2}, {7, 64, 3}, // far more than tables of 2·max_categories+256 cells hold
	} {
		var data []string
		for party := range c.parties {
			data = append(data, different(party, c.each))
		}
		parameters := fmt.Sprintf(`{"max_categories":%d}`, c.each)
		got, record, err := play(t, simon.StatisticsFrequency(), simontest.Options{}, simon.Guard{}, data, parameters)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(decoded(t, got)["histogram"].(map[string]any)); n != c.parties*c.each {
			t.Errorf("%d categories, want %d", n, c.parties*c.each)
		}
		if got, want := len(record.Messages), c.attempts*c.parties*(c.parties-1); got != want {
			t.Errorf("%d parties with %d categories: %d messages, want %d in %d attempts", c.parties, c.each, got, want, c.attempts)
		}
		sizes := map[int]bool{}
		for _, m := range record.Messages {
			sizes[len(m.Body)] = true
		}
		for attempt := range c.attempts {
			if size := iblt.Layout(64, c.each<<attempt).Size(); !sizes[size] {
				t.Errorf("no table of %d bytes, but of %v", size, sizes)
			}
		}
	}
}

// Each attempt has hash functions of its own, from the name of the computation: two keys that collide in one attempt do not
// in the next.
func TestTablesOfAttempts(t *testing.T) {
	const each, parties = 100, 4
	var data []string
	for party := range parties {
		data = append(data, different(party, each))
	}
	p := prepare(t, simon.StatisticsFrequency(), fmt.Sprintf(`{"max_categories":%d}`, each), data)
	r := p.run(t, simontest.Options{Seed: 8})
	sid := simontest.MustRun(t, 2, simontest.Options{Seed: 8}, func(_ context.Context, s simon.Session) ([]byte, error) {
		sid := s.SID()
		return sid[:], nil
	}).Results[0]
	for attempt := range 2 {
		own := &simontest.Record{N: parties}
		for _, m := range r.Messages {
			if strings.HasPrefix(m.Path, fmt.Sprintf("/categories %d#", attempt)) {
				own.Messages = append(own.Messages, m)
			}
		}
		want := iblt.New(iblt.HashKey(sid, "categories", uint32(attempt)), encode.KeySize, each<<attempt)
		for party := range parties {
			for i := range each {
				c, err := encode.NewText(fmt.Sprintf("%d of %d", i, party))
				if err != nil {
					t.Fatal(err)
				}
				want.Add(c.Append(nil), 1)
			}
		}
		if !bytes.Equal(openedTable(t, own, iblt.Layout(encode.KeySize, each<<attempt)), want.Vector().Bytes()) {
			t.Errorf("attempt %d opens another table", attempt)
		}
	}
}

func TestTooManyPrivateCategories(t *testing.T) {
	var data []string
	for party := range 20 {
		data = append(data, different(party, 100))
	}
	_, record, err := play(t, simon.StatisticsFrequency(), simontest.Options{}, simon.Guard{}, data, `{"max_categories":100}`)
	outcome, ok := errors.AsType[*simon.OutcomeError](err)
	if !ok || !strings.Contains(outcome.Reason, "max_categories 100: raise it") {
		t.Errorf("2000 categories in tables for 800: %v", err)
	}
	if got := len(record.Messages); got != 4*20*19 {
		t.Errorf("%d messages, want those of 4 attempts", got)
	}
}

// opened is the table that the parties open: the sum of what seat 0 receives.
func openedTable(t *testing.T, r *simontest.Record, l ring.Layout) []byte {
	t.Helper()
	clear := ring.New(l)
	for _, m := range r.Messages {
		// Every party sends one body to all, and the masks cancel in the sum.
		if to := (m.From + 1) % r.N; m.To == to {
			if err := clear.AddBytes(m.Body); err != nil {
				t.Fatal(err)
			}
		}
	}
	return clear.Bytes()
}

func TestTheTableDependsOnThePoolOnly(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var rows []string
		for _, s := range rapid.SliceOfN(rapid.SampledFrom(spellings), 1, 40).Draw(rt, "given") {
			rows = append(rows, s.json)
		}
		l := iblt.Layout(64, 30)
		var tables [][]byte
		for _, n := range []int{2, rapid.IntRange(2, 5).Draw(rt, "parties")} {
			_, record, err := play(t, simon.StatisticsFrequency(), simontest.Options{Seed: 3}, simon.Guard{}, split(rt, n, rows), `{"max_categories":30}`)
			if err != nil {
				rt.Fatal(err)
			}
			tables = append(tables, openedTable(t, record, l))
		}
		if !bytes.Equal(tables[0], tables[1]) {
			rt.Fatal("the opened table depends on who holds what")
		}
	})
}

func TestCategoriesStayPrivate(t *testing.T) {
	for _, m := range []simon.Microprotocol{simon.StatisticsFrequency()} {
		for _, parameters := range []string{`{"max_categories":4}`, `{"categories":["a","b",1,true]}`, `{"categories":["a"],"other":true,"least_samples":2}`} {
			reprogrammed(t, m, parameters, []string{`["a","b","b"]`, `["b"]`, `[1]`}, []string{`["b"]`, `["a","b","b"]`, `[1]`})
			constantLengths(t, m, parameters, []string{`["a","b","b"]`, `["b"]`, `[1]`}, []string{`[]`, `["a",true]`, `[true]`})
		}
	}
	for _, m := range []simon.Microprotocol{simon.StatisticsContingency(), simon.ChiSquare(), simon.FisherExact()} {
		for _, parameters := range []string{`{"max_categories":4}`, `{"categories":[["a","b"],[1,2]]}`} {
			reprogrammed(t, m, parameters, []string{`[["a",1],["b",1]]`, `[["b",2]]`, `[["a",2]]`}, []string{`[["b",2],["b",1]]`, `[["a",1]]`, `[["a",2]]`})
			constantLengths(t, m, parameters, []string{`[["a",1],["b",1]]`, `[["b",2]]`, `[["a",2]]`}, []string{`[]`, `[["a",1]]`, `[["b",2]]`})
		}
	}
}

func TestDishonestCounts(t *testing.T) {
	data := []string{`["a","b"]`, `["b"]`, `[1]`}
	m := simon.StatisticsFrequency()
	for name, c := range map[string]struct {
		parameters string
		bend       func(b []byte)
	}{
		"a table out of balance":        {``, func(b []byte) { b[0] ^= 1 }},
		"a key out of balance":          {``, func(b []byte) { b[len(b)/2] ^= 1 }},
		"random bytes":                  {``, func(b []byte) { copy(b, bytes.Repeat([]byte{0x5a, 0x13, 0x77}, len(b)/3)) }},
		"counts that cannot be":         {`{"categories":["a","b",1]}`, func(b []byte) { b[7] ^= 0x80 }},
		"a negative count":              {`{"categories":["a","b",1]}`, func(b []byte) { copy(b, bytes.Repeat([]byte{0xff}, len(b))) }},
		"counts beyond all samples":     {`{"categories":["a","b",1]}`, func(b []byte) { b[5] ^= 2 }},
		"others that cannot be so many": {`{"categories":["a","b",1],"other":true}`, func(b []byte) { b[len(b)-1] ^= 0x40 }},
	} {
		o := simontest.Options{Rewrite: func(m simontest.Message) []byte {
			if m.From != 2 {
				return m.Body
			}
			b := bytes.Clone(m.Body)
			c.bend(b)
			return b
		}}
		_, _, err := play(t, m, o, simon.Guard{}, data, c.parameters)
		if outcome, ok := errors.AsType[*simon.OutcomeError](err); !ok {
			t.Errorf("%s: %v, want an outcome", name, err)
		} else if strings.Contains(outcome.Reason, "%") {
			t.Errorf("%s: %s", name, outcome.Reason)
		}
	}
}

// lessAt is a stream whose words at some offsets are less by one.
type lessAt struct {
	prg.Stream
	offsets []int
	at      int
}

func (l *lessAt) Fill(dst []byte) {
	l.Stream.Fill(dst)
	for _, offset := range l.offsets {
		if i := offset - l.at; i >= 0 && i < len(dst) {
			binary.LittleEndian.PutUint64(dst[i:], binary.LittleEndian.Uint64(dst[i:])-1)
		}
	}
	l.at += len(dst)
}

// A table in balance that shows no keys cannot be told from one of too many: the parties try again, together.
func TestAnUnreadableTableIsTriedAgain(t *testing.T) {
	for cheats, attempts := range map[string]int{"0": 2, "01": 3, "0123": 4} {
		o := simontest.Options{Stream: func(seat int, id simontest.StreamID, s prg.Stream) prg.Stream {
			// Seat 2 subtracts a mask that is less by one: it adds one to a count in each part of its table, and sees what others see.
			attempt := strings.TrimSuffix(strings.TrimPrefix(id.Path, "/categories "), fmt.Sprintf("#%c", id.Path[len(id.Path)-1]))
			if seat != 2 || id.A != 0 || !strings.Contains(cheats, attempt) {
				return s
			}
			part := iblt.Layout(64, 256<<(attempt[0]-'0'))[0].Count / 4
			return &lessAt{Stream: s, offsets: []int{8 * 5, 8 * (part + 5), 8 * (2*part + 5), 8 * (3*part + 5)}}
		}}
		got, record, err := play(t, simon.StatisticsFrequency(), o, simon.Guard{}, []string{`["a"]`, `["b"]`, `[1]`}, ``)
		if len(cheats) < 4 {
			if want := `{"samples":3,"mode":"a","histogram":{"a":1,"b":1,"1":1}}`; err != nil || got != want {
				t.Errorf("attempts %s bent: %s, %v", cheats, got, err)
			}
		} else if _, ok := errors.AsType[*simon.OutcomeError](err); !ok {
			t.Errorf("all attempts bent: %v, want an outcome", err)
		}
		if n := len(record.Messages); n != attempts*6 {
			t.Errorf("attempts %s bent: %d messages, want those of %d attempts", cheats, n, attempts)
		}
	}
}

// Parties that receive nothing are told whether to go on.
func TestCategoriesForSomeRecipients(t *testing.T) {
	var data []string
	for party := range 4 {
		data = append(data, different(party, 100))
	}
	p := prepare(t, simon.StatisticsFrequency(), `{"max_categories":100}`, data)
	r := p.run(t, simontest.Options{Recipients: []int{1, 3}})
	for seat, opened := range r.Results {
		if seat%2 == 0 {
			if opened != nil {
				t.Errorf("seat %d is no recipient and has %d bytes", seat, len(opened))
			}
			for _, m := range r.View(seat) {
				if len(m.Body) != 1 {
					t.Errorf("seat %d is no recipient and sees %d bytes", seat, len(m.Body))
				}
			}
			continue
		}
		result, err := p.m.Finish(p.common, p.inputs[seat], opened)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(decoded(t, string(result))["histogram"].(map[string]any)); n != 400 {
			t.Errorf("%d categories at seat %d, want 400", n, seat)
		}
	}
}

func TestFrequencyGuard(t *testing.T) {
	got, _, err := play(t, simon.StatisticsFrequency(), simontest.Options{}, simon.Guard{Samples: 5}, []string{`["a","b"]`, `["b","c"]`}, ``)
	if _, ok := errors.AsType[*simon.OutcomeError](err); !ok {
		t.Errorf("4 samples where 5 are needed: %s, %v", got, err)
	}
	if _, _, err := play(t, simon.StatisticsFrequency(), simontest.Options{}, simon.Guard{Samples: 4}, []string{`["a","b"]`, `["b","c"]`}, ``); err != nil {
		t.Error(err)
	}
}

func TestOpenedCategoriesAreChecked(t *testing.T) {
	p := prepare(t, simon.StatisticsFrequency(), ``, []string{`["a"]`, `[2]`})
	opened := p.run(t, simontest.Options{}).Results[0]
	for size := range opened {
		if _, err := p.m.Finish(p.common, p.inputs[0], opened[:size]); err == nil && (size-18)%72 != 0 {
			t.Errorf("the first %d bytes of %d are taken for all", size, len(opened))
		}
	}
	for i := range opened {
		for _, bit := range []byte{1, 0x80} {
			bent := bytes.Clone(opened)
			bent[i] ^= bit
			_, _ = p.m.Finish(p.common, p.inputs[0], bent) // an error or other counts, no panic
		}
	}
}

func BenchmarkFrequency(b *testing.B) {
	var data []string
	for party := range 3 {
		var rows []string
		for i := range 1000 {
			rows = append(rows, fmt.Sprintf(`"category %d"`, (i+party)%1000))
		}
		data = append(data, "["+strings.Join(rows, ",")+"]")
	}
	p := prepare(b, simon.StatisticsFrequency(), `{"max_categories":1000}`, data)
	for b.Loop() {
		opened := p.run(b, simontest.Options{}).Results[0]
		if _, err := p.m.Finish(p.common, p.inputs[0], opened); err != nil {
			b.Fatal(err)
		}
	}
}
