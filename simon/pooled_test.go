package simon_test

import (
	"context"
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

// Plain computations on pooled data, to compare results with: textbook formulas in two passes, in fractions, with roots of
// 400 bits. Both sides round once, so that results are equal and not only close.

// failer is what testing.TB and *rapid.T have in common.
type failer interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Fatal(args ...any)
}

// member follows names (string) and positions (int) through a decoded result.
func member(t failer, result map[string]any, path ...any) any {
	t.Helper()
	var v any = result
	for i, step := range path {
		found := false
		switch step := step.(type) {
		case string:
			o, _ := v.(map[string]any)
			v, found = o[step]
		case int:
			list, _ := v.([]any)
			if found = step < len(list); found {
				v = list[step]
			}
		}
		if !found {
			t.Fatalf("the result has no %v", path[:i+1])
		}
	}
	return v
}

// is fails unless the member at a path is want, a *big.Rat, *big.Float or int, rounded to a double; nil stands for null.
func is(t failer, result map[string]any, want any, path ...any) {
	t.Helper()
	got := member(t, result, path...)
	var w float64
	switch want := want.(type) {
	case nil:
		if got != nil {
			t.Errorf("%v is %v, want null", path, got)
		}
		return
	case *big.Rat:
		w, _ = want.Float64()
	case *big.Float:
		w, _ = want.Float64()
	case int:
		w = float64(want)
	default:
		t.Fatalf("%v: %T is nothing to compare with", path, want)
	}
	n, ok := got.(json.Number)
	if !ok {
		t.Errorf("%v is %v, want %v", path, got, w)
		return
	}
	if g, err := n.Float64(); err != nil || g != w {
		t.Errorf("%v is %v, want %v", path, n, w)
	}
}

// isLimit fails unless the member at a path is the limit of an interval, estimate+reach, rounded. Where the two cancel, as at a
// quantile of exactly 1, it may be off by 1e-60 of them.
func isLimit(t failer, result map[string]any, estimate *big.Rat, reach *big.Float, path ...any) {
	t.Helper()
	middle, tiny := floating(estimate), new(big.Float).SetPrec(400)
	want := new(big.Float).Add(middle, reach)
	tiny.Mul(tiny.Abs(middle), big.NewFloat(1e-60))
	if new(big.Float).Abs(want).Cmp(tiny) > 0 {
		is(t, result, want, path...)
		return
	}
	n, _ := member(t, result, path...).(json.Number)
	if got, err := n.Float64(); err != nil || big.NewFloat(math.Abs(got)).Cmp(tiny) > 0 {
		t.Errorf("%v is %v, want %v", path, n, want)
	}
}

// noted fails unless the member at a path is null and the notes say why, with so many of the words.
func noted(t failer, result map[string]any, path, why string) {
	t.Helper()
	var v any = result
	for step := range strings.SplitSeq(strings.NewReplacer("[", ".", "]", "").Replace(path), ".") {
		switch in := v.(type) {
		case map[string]any:
			next, ok := in[step]
			if !ok {
				t.Fatalf("the result has no %s", path)
			}
			v = next
		case []any:
			var i int
			if _, err := fmt.Sscan(step, &i); err != nil || i >= len(in) {
				t.Fatalf("the result has no %s", path)
			}
			v = in[i]
		default:
			t.Fatalf("the result has no %s", path)
		}
	}
	if v != nil {
		t.Errorf("%s is %v, want null", path, v)
	}
	if note, _ := member(t, result, "notes").(map[string]any)[path].(string); !strings.Contains(note, why) || note == "" {
		t.Errorf("the note of %s is %q, want %q", path, note, why)
	}
}

// fraction is a number's decimal value.
func fraction(text string) *big.Rat {
	x, ok := new(big.Rat).SetString(text)
	if !ok {
		panic(text)
	}
	return x
}

func fractions(texts []string) []*big.Rat {
	var all []*big.Rat
	for _, s := range texts {
		all = append(all, fraction(s))
	}
	return all
}

func integral(n int) *big.Rat         { return new(big.Rat).SetInt64(int64(n)) }
func times(a, b *big.Rat) *big.Rat    { return new(big.Rat).Mul(a, b) }
func plus(a, b *big.Rat) *big.Rat     { return new(big.Rat).Add(a, b) }
func less(a, b *big.Rat) *big.Rat     { return new(big.Rat).Sub(a, b) }
func ratio(a, b *big.Rat) *big.Rat    { return new(big.Rat).Quo(a, b) }
func floating(x *big.Rat) *big.Float  { return new(big.Float).SetPrec(400).SetRat(x) }
func rootOf(x *big.Rat) *big.Float    { return new(big.Float).Sqrt(floating(x)) }
func meanOf(x []*big.Rat) *big.Rat    { return ratio(sumAll(x), integral(len(x))) }
func squaresOf(x []*big.Rat) *big.Rat { return productsOf(x, x) }

func sumAll(x []*big.Rat) *big.Rat {
	sum := new(big.Rat)
	for _, e := range x {
		sum.Add(sum, e)
	}
	return sum
}

// productsOf is the sum of products of distances from the means.
func productsOf(x, y []*big.Rat) *big.Rat {
	mx, my, sum := meanOf(x), meanOf(y), new(big.Rat)
	for i := range x {
		sum.Add(sum, times(less(x[i], mx), less(y[i], my)))
	}
	return sum
}

// drawNumber draws numbers with many ties, with fractions, and at the ends of the range.
func drawNumber() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.Map(rapid.IntRange(-3, 3), func(i int) string { return fmt.Sprint(i) }),
		rapid.Map(rapid.IntRange(-99999, 99999), func(i int) string { return fmt.Sprintf("%de-3", i) }),
		rapid.Map(rapid.IntRange(-1_000_000_000, 1_000_000_000), func(i int) string { return fmt.Sprintf("%de-14", i) }),
		rapid.SampledFrom([]string{"51922968585348", "-51922968585348", "1e-20", "-3e-20", "0.1", "1e13", "-0"}),
	)
}

// everywhere plays data, rows as JSON texts, spread over 2 to 7 parties at random, and in one party's hands. The results must
// be the same bytes; it returns one of them.
func everywhere(t *testing.T, rt *rapid.T, m simon.Microprotocol, parameters string, rows []string) map[string]any {
	n := rapid.IntRange(2, 7).Draw(rt, "parties")
	spread, _, err := play(t, m, simontest.Options{Seed: 1}, simon.Guard{}, split(rt, n, rows), parameters)
	if err != nil {
		rt.Fatal(err)
	}
	together, _, err := play(t, m, simontest.Options{Seed: 2}, simon.Guard{}, []string{"[" + strings.Join(rows, ",") + "]", "[]"}, parameters)
	if err != nil {
		rt.Fatal(err)
	}
	if spread != together {
		rt.Fatalf("%s, and with all data at one party %s", spread, together)
	}
	conforms(t, m, nil, parameters, spread)
	return decoded(rt, spread)
}

// outcome is the text of the OutcomeError of a computation, or fails the test.
func outcome(t *testing.T, m simon.Microprotocol, parameters string, data ...string) string {
	t.Helper()
	got, _, err := play(t, m, simontest.Options{Seed: 3}, simon.Guard{}, data, parameters)
	wrong, ok := errors.AsType[*simon.OutcomeError](err)
	if !ok {
		t.Fatalf("%s %v, want an OutcomeError", got, err)
	}
	return wrong.Reason
}

// refused checks what Prepare objects to, for rows of parameters, data, path and words of the reason.
func refused(t *testing.T, m simon.Microprotocol, cases [][4]string) {
	t.Helper()
	for _, c := range cases {
		path, reason := refusal(t, m, c[1], c[0])
		if path != c[2] || !strings.Contains(reason, c[3]) {
			t.Errorf("%s with %s: %s: %s, want %s: …%s…", c[1], c[0], path, reason, c[2], c[3])
		}
	}
}

// forged is what Finish makes of opened elements that no honest parties have: 64-bit words.
func forged(t *testing.T, m simon.Microprotocol, parameters string, data string, words int, change func(opened []byte)) error {
	t.Helper()
	p := prepare(t, m, parameters, []string{data, "[]"})
	opened := p.run(t, simontest.Options{Seed: 4}).Results[0]
	const head = 17 // what it is, and the size of the pool
	if len(opened) != head+8*words {
		t.Fatalf("%d bytes were opened, want %d+8·%d", len(opened), head, words)
	}
	if _, err := m.Finish(p.common, p.inputs[0], opened); err != nil {
		t.Fatalf("what was opened: %v", err)
	}
	change(opened[head:])
	_, err := m.Finish(p.common, p.inputs[0], opened)
	return err
}

// impossible fails unless err is an outcome that a party's deviation shows.
func impossible(t *testing.T, what string, err error) {
	t.Helper()
	if o, ok := errors.AsType[*simon.OutcomeError](err); !ok || !strings.Contains(o.Reason, "did not follow the protocol") {
		t.Errorf("%s: %v", what, err)
	}
}

// certified fails unless a number of a result has so many digits of NIST's value. Zero is met by zero.
func certified(t testing.TB, name string, got any, want string, significant float64) {
	t.Helper()
	n, ok := got.(json.Number)
	x, err := n.Float64()
	if !ok || err != nil {
		t.Errorf("%s: %v, certified is %s", name, got, want)
		return
	}
	if d := digits(x, want); d < significant {
		t.Errorf("%s: %v, certified is %s: %.1f digits", name, x, want, d)
	}
}

// play is what a seat does.
func (p prepared) play(ctx context.Context, s simon.Session) ([]byte, error) {
	return p.m.Run(ctx, s, p.common, p.inputs[s.Self()])
}

func boolean(b bool) int {
	if b {
		return 1
	}
	return 0
}
