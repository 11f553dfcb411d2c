package simon_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math/big"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/weftmpc/weft/simon"
	"github.com/weftmpc/weft/simon/ring"
)

// repeated is a long JSON list that nobody holds in memory.
func repeated(element string, n int) io.Reader {
	parts := []io.Reader{strings.NewReader("[" + element)}
	const block = 1000
	for ; n > block; n -= block {
		parts = append(parts, strings.NewReader(strings.Repeat(","+element, block)))
	}
	return io.MultiReader(append(parts, strings.NewReader(strings.Repeat(","+element, n-1)+"]"))...)
}

func TestPrepareStreams(t *testing.T) {
	const n = 1_000_000
	data := repeated("-123.456", n)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	p, err := simon.SecureSum().Prepare(data, nil, simon.Guard{})
	runtime.ReadMemStats(&after)
	if err != nil {
		t.Fatal(err)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 1<<20 {
		t.Errorf("a list of %d numbers took %d bytes of memory", n, used)
	}
	v, err := ring.Decode(ring.Layout{{Name: "samples", Limbs: 1, Count: 1}, {Name: "sum", Limbs: 3, Count: 1}}, p.Input[1:])
	if err != nil {
		t.Fatal(err)
	}
	if got := v.Int(0, 0); got.Int64() != n {
		t.Errorf("%v samples", got)
	}
	if got := v.Int(1, 0).String(); got != "-123456"+strings.Repeat("0", 23) {
		t.Errorf("sum %s", got)
	}
}

func TestPrepareReportsABrokenStream(t *testing.T) {
	broken := errors.New("broken")
	for _, start := range []string{"", "[", "[1", "[1,", "[[1"} {
		_, err := simon.SecureSum().Prepare(io.MultiReader(strings.NewReader(start), &failing{broken}), nil, simon.Guard{})
		if !errors.Is(err, broken) {
			t.Errorf("%q: %v", start, err)
		}
	}
}

type failing struct{ err error }

func (f *failing) Read([]byte) (int, error) { return 0, f.err }

// naiveSum reads data with encoding/json; ok is false where SecureSum refuses them.
func naiveSum(data []byte) (columns int, samples int, sums []*big.Rat, ok bool) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return 0, 0, nil, false
	}
	if _, err := d.Token(); err != io.EOF {
		return 0, 0, nil, false
	}
	number := func(v any) (*big.Rat, bool) {
		n, ok := v.(json.Number)
		if !ok || len(n) > 25 {
			return nil, false
		}
		x, err := strconv.ParseFloat(string(n), 64)
		if err != nil || x > 1e22 || x < -1e22 || x == 0 && strings.ContainsAny(string(n), "eE") { // big.Rat takes forever on 1e-999999999
			return nil, false
		}
		return new(big.Rat).SetString(string(n))
	}
	list, isList := v.([]any)
	if !isList {
		list = []any{v}
	}
	columns = -1
	for _, row := range list {
		cells, k := []any{row}, 0
		if c, ok := row.([]any); ok && isList {
			cells, k = c, len(c)
			if k == 0 {
				return 0, 0, nil, false
			}
		}
		if columns < 0 {
			columns = k
			for range cells {
				sums = append(sums, new(big.Rat))
			}
		}
		if k != columns {
			return 0, 0, nil, false
		}
		for i, c := range cells {
			x, ok := number(c)
			if !ok {
				return 0, 0, nil, false
			}
			sums[i].Add(sums[i], x)
		}
		samples++
	}
	return max(0, columns), samples, sums, true
}

func FuzzPrepare(f *testing.F) {
	for _, s := range []string{
		"1", "-0.5", "[]", "[1,2,3]", "[[1,2],[3,4]]", "[[1],[2,3]]", "[1,[2]]", `["x"]`, "[NaN]", "[-Infinity]", "[1e400]", "[1,", "[[", "1 1", "[null]", " [ 1 ] ",
		"[0.1,0.2]", "[12345678901234567890]", "[1e-20]", "{}", "[true]", "\ufeff1",
	} {
		f.Add([]byte(s))
	}
	m := simon.SecureSum()
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := m.Prepare(bytes.NewReader(data), nil, simon.Guard{})
		columns, samples, sums, ok := naiveSum(data)
		if err != nil {
			if _, isInput := errors.AsType[*simon.InputError](err); !isInput {
				t.Fatalf("%q: %v", data, err)
			}
			if ok && !strings.Contains(err.Error(), "too small") {
				t.Fatalf("%q was refused: %v", data, err)
			}
			return
		}
		if !json.Valid(data) {
			t.Fatalf("%q is no JSON and was taken", data)
		}
		if !ok {
			return // long or large numbers, which the twin does not judge
		}
		l := ring.Layout{{Name: "samples", Limbs: 1, Count: 1}, {Name: "sum", Limbs: 3, Count: max(1, columns)}}
		if p.Layout != l.Hash() {
			t.Fatalf("%q: layout is not that of %d columns", data, columns)
		}
		v, err := ring.Decode(l, p.Input[1:])
		if err != nil {
			t.Fatal(err)
		}
		if v.Int(0, 0).Cmp(big.NewInt(int64(samples))) != 0 {
			t.Fatalf("%q: %v samples, want %d", data, v.Int(0, 0), samples)
		}
		scale := new(big.Int).Exp(big.NewInt(10), big.NewInt(20), nil)
		for i, want := range sums {
			diff := new(big.Rat).Sub(new(big.Rat).SetFrac(v.Int(1, i), scale), want)
			// Rounding to 20 decimals, and to doubles where a float has more than 17 digits.
			if limit := new(big.Rat).SetFrac64(int64(samples)*10_000_000, 1); diff.Abs(diff).Cmp(limit) > 0 {
				t.Fatalf("%q: sum %d is off by %v", data, i, diff)
			}
		}
	})
}

func BenchmarkPrepare(b *testing.B) {
	for b.Loop() {
		if _, err := simon.SecureSum().Prepare(repeated("-123.456", 1_000_000), nil, simon.Guard{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPrepareLists(b *testing.B) {
	row := "[" + strings.Repeat("1.5,", 999) + "2]"
	for b.Loop() {
		if _, err := simon.SecureSum().Prepare(repeated(row, 1000), nil, simon.Guard{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFinish(b *testing.B) {
	m := simon.SecureSum()
	p, err := m.Prepare(strings.NewReader("[["+strings.Repeat("123456.789,", 999_999)+"2]]"), nil, simon.Guard{})
	if err != nil {
		b.Fatal(err)
	}
	c := simon.Common{Parties: 2, Parameters: p.Parameters}
	for b.Loop() {
		if _, err := m.Finish(c, p.Input, p.Input[1:]); err != nil {
			b.Fatal(err)
		}
	}
}
