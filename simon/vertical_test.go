package simon_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/weftmpc/weft/simon"
	"github.com/weftmpc/weft/simon/matrix"
	"github.com/weftmpc/weft/simon/prg"
	"github.com/weftmpc/weft/simon/simontest"
)

// verticalData splits columns among parties, of which each gets at least one, and names them c0, c1 and so on.
func verticalData(columns [][]string, cuts ...int) (data []string, names string) {
	var lists []string
	from := 0
	for _, to := range append(slices.Clone(cuts), len(columns)) {
		data = append(data, rowsOfColumns(columns[from:to]))
		var list []string
		for j := from; j < to; j++ {
			list = append(list, fmt.Sprintf(`"c%d"`, j))
		}
		lists = append(lists, "["+strings.Join(list, ",")+"]")
		from = to
	}
	return data, "[" + strings.Join(lists, ",") + "]"
}

// TestVerticalRegressionOfNIST: over two and three parties, with y at the first or at another one.
func TestVerticalRegressionOfNIST(t *testing.T) {
	const significant = 13
	for _, name := range strdNames(t, "regression", 11) {
		if name == "Filip" {
			continue
		}
		r := readRegression(t, name)
		columns, shifts := vertical(t, r)
		splits := [][]int{{1}, {len(columns) - 1}}
		if len(columns) > 2 {
			splits = append(splits, []int{1, 2}, []int{len(columns) - 2, len(columns) - 1})
		}
		for _, cuts := range splits {
			data, names := verticalData(columns, cuts...)
			parameters := fmt.Sprintf(`{"columns":%s,"outcome":"c0","intercept":%v}`, names, r.intercept())
			got := decoded(t, mustPlay(t, simon.LinearRegressionVertical(), parameters, data...))
			at := shifts[1:]
			if r.intercept() {
				at = append([]int{0}, at...)
			}
			for i := range r.parameters {
				what := fmt.Sprintf("%s, cut at %v, %s", name, cuts, r.parameters[i])
				certified(t, what, member(t, got, "coefficients", i, "estimate"), scaledBy(r.estimates[i], at[i]-shifts[0]), significant)
				certified(t, what+" deviation", member(t, got, "coefficients", i, "std_error"), scaledBy(r.sds[i], at[i]-shifts[0]), significant)
			}
			certified(t, name+" residual deviation", got["residual_standard_error"], scaledBy(r.residualSD, -shifts[0]), significant)
			certified(t, name+" R²", got["r_squared"], r.rSquared, significant)
			certified(t, name, got["df"], r.df[1], significant)
		}
	}
}

// TestVerticalIsHorizontal: columns at several parties give, byte for byte, what rows at several parties give.
func TestVerticalIsHorizontal(t *testing.T) {
	collinear := 0
	checkSome(t, 30, func(rt *rapid.T) {
		n, k := rapid.IntRange(1, 12).Draw(rt, "rows"), rapid.IntRange(2, 6).Draw(rt, "columns")
		number := rapid.Map(rapid.Int64Range(-1e14, 1e14), func(i int64) string { return fmt.Sprintf("%de-9", i) })
		if rapid.Bool().Draw(rt, "small") {
			number = rapid.Map(rapid.IntRange(-2, 2), func(i int) string { return fmt.Sprint(i) })
		}
		columns := drawText(rt, k, n, number)
		var cuts []int
		for j := 1; j < k; j++ {
			if rapid.Bool().Draw(rt, "cut") {
				cuts = append(cuts, j)
			}
		}
		if cuts == nil {
			cuts = []int{1}
		}
		data, names := verticalData(columns, cuts...)
		var rows []string
		for i := range n {
			var row []string
			for _, c := range columns {
				row = append(row, c[i])
			}
			rows = append(rows, "["+strings.Join(row, ",")+"]")
		}
		y := rapid.IntRange(0, k-1).Draw(rt, "y")
		seats := rapid.Permutation(seatsOf(len(data))).Draw(rt, "seats") // by position
		o := simontest.Options{Seed: rapid.Uint64().Draw(rt, "seed"), Positions: make([]int, len(data))}
		placed := make([]string, len(data))
		for position, seat := range seats {
			o.Positions[seat], placed[seat] = position, data[position]
		}
		flatNames := strings.NewReplacer("[[", "[", "]]", "]", "],[", ",").Replace(names)

		got, _, err := play(t, simon.CorrelationVertical(), o, simon.Guard{}, placed, fmt.Sprintf(`{"columns":%s}`, names))
		want, _, errWant := play(t, simon.CorrelationMatrix(), simontest.Options{}, simon.Guard{}, split(rt, 3, rows), fmt.Sprintf(`{"columns":%s}`, flatNames))
		if got != want || err != nil || errWant != nil {
			rt.Fatalf("correlations\n%s, %v\nwant\n%s, %v", got, err, want, errWant)
		}

		more := fmt.Sprintf(`"intercept":%v,"conf_level":0.9,"ridge":%s`, rapid.Bool().Draw(rt, "intercept"), rapid.SampledFrom([]string{"0", "1.5"}).Draw(rt, "ridge"))
		got, _, err = play(t, simon.LinearRegressionVertical(), o, simon.Guard{}, placed, fmt.Sprintf(`{"columns":%s,"outcome":"c%d",%s}`, names, y, more))
		for i := range rows { // y first
			cells := strings.Split(strings.Trim(rows[i], "[]"), ",")
			rows[i] = "[" + strings.Join(append([]string{cells[y]}, slices.Delete(slices.Clone(cells), y, y+1)...), ",") + "]"
		}
		var list []string
		for j := range k {
			if j != y {
				list = append(list, fmt.Sprintf(`"c%d"`, j))
			}
		}
		want, _, errWant = play(t, simon.LinearRegression(), simontest.Options{}, simon.Guard{}, split(rt, 3, rows), fmt.Sprintf(`{"columns":[%s],%s}`, strings.Join(list, ","), more))
		if errWant != nil {
			var outcome *simon.OutcomeError
			if !errors.As(err, &outcome) || err.Error() != errWant.Error() {
				rt.Fatalf("%v, want %v", err, errWant)
			}
			collinear++
			return
		}
		if got != want || err != nil {
			rt.Fatalf("regression\n%s, %v\nwant\n%s", got, err, want)
		}
	})
	if collinear == 0 {
		t.Error("no draw was collinear")
	}
}

func TestVerticalRefuses(t *testing.T) {
	m := simon.LinearRegressionVertical()
	many := strings.TrimSuffix(strings.Repeat(`"x",`, 1), ",")
	for i := range 100 {
		many += fmt.Sprintf(`,"x%d"`, i)
	}
	for _, c := range []struct{ parameters, path, says string }{
		{``, "parameters.columns", "is missing"},
		{`{"columns":[["a"],["a"]]}`, "parameters.columns", `has the name "a" twice`},
		{`{"columns":[["a"]]}`, "parameters.columns", "the parties' lists of names"},
		{`{"columns":[["a"],[]]}`, "parameters.columns", "at index 1"},
		{`{"columns":["a",[3]]}`, "parameters.columns", "at index 1"},
		{`{"columns":[["y"],[` + many + `]]}`, "parameters.columns", "at most 100 names"},
		{`{"columns":[["a"],["b"]],"outcome":"c"}`, "parameters.outcome", `"c" is no column`},
		{`{"columns":[["a"],["b"]],"rows":0}`, "parameters.rows", "from 1"},
	} {
		if path, reason := refusal(t, m, "[1]", c.parameters); path != c.path || !strings.Contains(reason, c.says) {
			t.Errorf("%s: %s: %s", c.parameters, path, reason)
		}
	}
	for _, c := range []struct {
		position, parties int
		data, parameters  string
		says              string
	}{
		{0, 2, `[[1,2],[3,4]]`, `{"columns":[["a"],["b"]]}`, "data: has 2 columns, and parameters.columns names 1 for this party: a"},
		{1, 2, `[[1,2],[3,4]]`, `{"columns":[["a","c"],["b"]]}`, "names 1 for this party: b"},
		{0, 3, `[1]`, `{"columns":[["a"],["b"]]}`, "parameters.columns: has lists of 2 parties, and 3 take part"},
		{0, 2, `[1,2]`, `{"columns":[["a"],["b"]],"rows":3}`, "parameters.rows: is 3, and the data have 2 rows"},
	} {
		one, err := m.Prepare(strings.NewReader(c.data), json.RawMessage(c.parameters), simon.Guard{})
		if err == nil {
			_, err = m.Complete(simon.Placed{Position: c.position, Parties: c.parties, Parameters: one.Parameters, Input: one.Input})
		}
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s with %s: %v, want %q", c.data, c.parameters, err, c.says)
		}
	}
}

// TestVerticalRowsByPolicy: a policy asks for rows, more of them for many columns.
func TestVerticalRowsByPolicy(t *testing.T) {
	m := simon.CorrelationVertical()
	for _, c := range []struct {
		rows    int
		columns string
		says    string
	}{
		{30, `[["a"],["b"],["c"]]`, ""}, {29, `[["a"],["b"],["c"]]`, "parameters.rows: must be at least 30"}, {39, `[["a"],["b","d"],["c"]]`, "must be at least 40: this party's policy asks for it, with 4 columns"},
	} {
		g := simon.Guard{Samples: 30, Contributors: 3}
		one, err := m.Prepare(strings.NewReader("["+strings.TrimSuffix(strings.Repeat("1,", c.rows), ",")+"]"), json.RawMessage(fmt.Sprintf(`{"columns":%s}`, c.columns)), g)
		var full []byte
		if err == nil {
			full, err = m.Complete(simon.Placed{Parties: 3, Parameters: one.Parameters, Input: one.Input})
		}
		if err == nil {
			err = m.Check(full, g)
		}
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%d rows: %v, want %q", c.rows, err, c.says)
		}
	}
}

// verticals are computations of three parties in which the last two rows may be exchanged at the first two: the third has the same
// there.
var verticals = []struct {
	m          simon.Microprotocol
	parameters string
	a, b       []string
}{
	{simon.CorrelationVertical(), `{"columns":[["a","b"],["c"],["d"]]}`, []string{"[[1,2],[3.5,-4],[9,1e-3]]", "[5,-6,7]", "[1,8,8]"}, []string{"[[1,2],[9,1e-3],[3.5,-4]]", "[5,7,-6]", "[1,8,8]"}},
	{simon.LinearRegressionVertical(), `{"columns":[["a"],["c"],["d"]],"intercept":false}`, []string{"[3.5,-4,9]", "[5,-6,7]", "[1,8,8]"}, []string{"[3.5,9,-4]", "[5,7,-6]", "[1,8,8]"}},
}

// TestColumnsUnderTheirMasks: two honest parties have other numbers with the same sums. Under other masks of theirs, and among
// themselves, the third party sees the same, bit for bit.
func TestColumnsUnderTheirMasks(t *testing.T) {
	for _, c := range verticals {
		a, b := prepare(t, c.m, c.parameters, c.a), prepare(t, c.m, c.parameters, c.b)
		by := make([]matrix.Matrix, 2) // what the honest parties' columns differ by
		for i := range by {
			by[i] = columnsOf(t, c.b[i])
			by[i].Sub(columnsOf(t, c.a[i]))
		}
		var mask matrix.Matrix // of the third party
		var mu sync.Mutex
		a.run(t, simontest.Options{Seed: 9, Stream: func(seat int, id simontest.StreamID, s prg.Stream) prg.Stream {
			if id.Label.Vector != "columns mask" || id.A != 2 || seat != 2 {
				return s
			}
			return recorder{s, func(read []byte) {
				mu.Lock()
				defer mu.Unlock()
				if mask.Rows() == 0 {
					mask, _ = matrix.Decode(3, 1, read[:3*matrix.Size])
				}
			}}
		}})
		dealt := func(id simontest.StreamID, s prg.Stream) prg.Stream {
			switch {
			case id.Purpose != simon.Deal || id.A > 1:
				return s
			case id.Label.Vector == "columns mask":
				return moved(s, by[id.A])
			case id.Label.Vector == "columns share with seat 2":
				share := matrix.New(by[id.A].Columns(), 1)
				if err := share.AddCross(t.Context(), by[id.A], mask); err != nil {
					t.Error(err)
				}
				return moved(s, share)
			}
			return s
		}
		// What the first party opens, without masks among the parties.
		open := func(p prepared, deal func(simontest.StreamID, prg.Stream) prg.Stream) []byte {
			for _, m := range p.run(t, simontest.Options{Seed: 9, Stream: func(_ int, id simontest.StreamID, s prg.Stream) prg.Stream {
				if id.Purpose == simon.Mask {
					return constant(0)
				}
				return deal(id, s)
			}}).Messages {
				if m.Label.Vector == "sums" && m.From == 0 {
					return m.Body
				}
			}
			t.Fatal("nothing is opened")
			return nil
		}
		clearA, clearB := open(a, func(_ simontest.StreamID, s prg.Stream) prg.Stream { return s }), open(b, dealt)
		begins := make([]bool, len(clearA)/8)
		for i := range begins {
			begins[i] = i%matrix.Limbs == 0
		}
		shifted := simontest.Options{Seed: 9, Stream: func(_ int, id simontest.StreamID, s prg.Stream) prg.Stream {
			if id.Purpose == simon.Mask && id.A == 0 && id.B == 1 {
				return simontest.Shift(s, len(clearA), func(mask []byte) []byte {
					return addWords(addWords(mask, clearA, begins, 1), clearB, begins, -1)
				})
			}
			return dealt(id, s)
		}}
		first, second, unmoved := a.run(t, simontest.Options{Seed: 9}), b.run(t, shifted), b.run(t, simontest.Options{Seed: 9})
		if !sameView(first.View(2), second.View(2)) {
			t.Errorf("%s: the third party can tell columns of the same sums apart", c.m.Name)
		}
		if sameView(first.View(2), unmoved.View(2)) {
			t.Errorf("%s: the view does not depend on the data at all: this test sees nothing", c.m.Name)
		}
		if len(first.View(3)) != 0 || shape(first) != shape(second) || !bytes.Equal(first.Results[2], second.Results[2]) {
			t.Errorf("%s: the dealer sees something, or messages or results differ", c.m.Name)
		}
	}
}

// columnsOf reads a test's data as a matrix on the grid.
func columnsOf(t *testing.T, data string) matrix.Matrix {
	t.Helper()
	rows := strings.Split(strings.Trim(data, "[]"), "],[")
	if len(rows) == 1 {
		rows = strings.Split(rows[0], ",")
	}
	var m matrix.Matrix
	for i, row := range rows {
		cells := strings.Split(row, ",")
		if i == 0 {
			m = matrix.New(len(rows), len(cells))
		}
		for j, cell := range cells {
			x := times(fraction(cell), fraction("1e18"))
			if err := m.SetInt(i, j, x.Num()); err != nil || !x.IsInt() {
				t.Fatal(err)
			}
		}
	}
	return m
}

// TestWhatColumnsSendIsUniform: masked columns, dealt shares and masked sums look like random bytes.
func TestWhatColumnsSendIsUniform(t *testing.T) {
	const runs = 2000
	p := prepare(t, simon.CorrelationVertical(), `{"columns":[["a"],["b"],["c"]]}`, []string{"[0,0]", "[1e12,-1e12]", "[1,1]"})
	sent := map[string][]byte{}
	for seed := range uint64(runs) {
		for _, m := range p.run(t, simontest.Options{Seed: seed}).Messages {
			if m.Kind != simontest.Send && m.To != (m.From+1)%3 {
				continue
			}
			at := fmt.Sprint(m.Label.Vector, m.From)
			sent[at] = append(sent[at], m.Body...)
		}
	}
	if len(sent) != 3+2+3 {
		t.Fatalf("%d kinds of messages", len(sent))
	}
	for what, b := range sent {
		for position, stride := 0, len(b)/runs; position < stride; position++ {
			if !uniform(b, position, stride) {
				t.Errorf("byte %d of %s is not uniform", position, what)
			}
		}
	}
}

func TestVerticalsUseNoStreamTwice(t *testing.T) {
	var played []prepared
	for _, c := range verticals {
		played = append(played, prepare(t, c.m, c.parameters, c.a), prepare(t, c.m, c.parameters, c.b))
	}
	checkStreams(t, 3, func(ctx context.Context, s simon.Session) error {
		for _, p := range played {
			call := s.Call("statistic")
			var err error
			if s.Self() == 3 {
				err = p.m.Deal(ctx, call, p.common)
			} else {
				_, err = p.m.Run(ctx, call, p.common, p.inputs[s.Self()])
			}
			if err != nil {
				return err
			}
			s.Join(call)
		}
		return nil
	})
}

// TestVerticalLies: bodies of other lengths end the computation with an error that says whose they are; noise is an outcome.
func TestVerticalLies(t *testing.T) {
	for _, c := range verticals {
		p := prepare(t, c.m, c.parameters, c.a)
		for what, says := range map[string]string{
			"columns less masks0": "masked columns of seat 0", "columns shares of seat 13": "the dealer sent", "columns shares of seat 23": "the dealer sent", "sums1": "masked vector of seat 1",
		} {
			for name, bend := range map[string]func(b []byte) []byte{
				"nothing": func([]byte) []byte { return nil }, "short": func(b []byte) []byte { return b[:len(b)-8] }, "long": func(b []byte) []byte { return append(slices.Clone(b), b...) },
			} {
				_, errs := lied(t, p, rewritten(func(m simontest.Message) []byte {
					if fmt.Sprint(m.Label.Vector, m.From) == what {
						return bend(m.Body)
					}
					return m.Body
				}))
				if !slices.ContainsFunc(errs, func(err error) bool { return err != nil && strings.Contains(err.Error(), says) }) {
					t.Errorf("%s, %s %s: %v", c.m.Name, what, name, errs)
				}
				public(t, c.m.Name, errs)
			}
			_, errs := lied(t, p, rewritten(func(m simontest.Message) []byte {
				b := slices.Clone(m.Body)
				if fmt.Sprint(m.Label.Vector, m.From) == what {
					for i := range b {
						b[i] ^= byte(i*i*31 + 7)
					}
				}
				return b
			}))
			outcomes(t, c.m.Name+" "+what, errs, "did not follow the protocol", 2)
			public(t, c.m.Name, errs)
		}
		whole := p.run(t, simontest.Options{Seed: 3}).Results[0]
		for n := range whole {
			if got, err := p.m.Finish(p.common, p.inputs[0], whole[:n]); err == nil {
				t.Errorf("%s of %d bytes: %s", c.m.Name, n, got)
			}
		}
		other := p // two parties with other rows than all agreed on
		other.inputs = slices.Clone(p.inputs)
		one, err := c.m.Prepare(strings.NewReader("[1,2]"), json.RawMessage(c.parameters), simon.Guard{})
		if err != nil {
			t.Fatal(err)
		}
		other.inputs[2] = one.Input
		if _, errs := lied(t, other, simontest.Options{}); errs[2] == nil || !strings.Contains(errs[2].Error(), "not what the parties agreed on") {
			t.Errorf("%s: %v", c.m.Name, errs)
		}
	}
}

func TestVerticalsHaveMessagesOfOneShape(t *testing.T) {
	for _, c := range verticals {
		constantLengths(t, c.m, c.parameters, c.a, []string{strings.ReplaceAll(c.a[0], "9", "1e11"), "[0,0,0]", "[-1e12,0,1e-18]"})
	}
}
