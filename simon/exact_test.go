package simon_test

import (
	"encoding/json"
	"fmt"
	"math/big"
	"slices"

	"pgregory.net/rapid"
)

// What tests expect is computed in rational numbers and, for roots, in 600 bits, and compared with results as text: the
// nearest double, no other.

// fatal is what *testing.T and *rapid.T have in common, as far as these functions need it.
type fatal interface {
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// asJSON is how a result shows a value: *big.Rat, *big.Float, int, string or nil.
func asJSON(v any) string {
	switch x := v.(type) {
	case *big.Rat:
		if x.IsInt() {
			return x.Num().String()
		}
		v, _ = x.Float64()
	case *big.Float:
		v, _ = x.Float64()
	}
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	if string(b) == "-0" {
		return "0"
	}
	return string(b)
}

// in600 is a number in 600 bits.
func in600(x *big.Rat) *big.Float { return new(big.Float).SetPrec(600).SetRat(x) }

func root600(x *big.Rat) *big.Float { return in600(x).Sqrt(in600(x)) }

func quotientOf(a, b *big.Rat) *big.Rat { return new(big.Rat).Quo(a, b) }

func ratOf(n int) *big.Rat { return big.NewRat(int64(n), 1) }

// numbersOf reads decimal texts.
func numbersOf(t fatal, texts []string) []*big.Rat {
	var all []*big.Rat
	for _, s := range texts {
		x, ok := new(big.Rat).SetString(s)
		if !ok {
			t.Fatalf("%q is no number", s)
		}
		all = append(all, x)
	}
	return all
}

// sumOver adds f(i) for i from 0 to n-1.
func sumOver(n int, f func(i int) *big.Rat) *big.Rat {
	sum := new(big.Rat)
	for i := range n {
		sum.Add(sum, f(i))
	}
	return sum
}

// powerOf is x^k.
func powerOf(x *big.Rat, k int) *big.Rat {
	p := ratOf(1)
	for range k {
		p.Mul(p, x)
	}
	return p
}

// matches compares the members of an object with what they should be, which may be texts of JSON (json.RawMessage), and
// demands a note for each that is null, and for no other.
func matches(t fatal, got map[string]any, want map[string]any) {
	notes, _ := got["notes"].(map[string]any)
	for name, w := range want {
		value, there := got[name]
		if !there {
			t.Fatalf("%s is not there in %v", name, got)
		}
		b, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		if text := asJSON(w); string(b) != text {
			t.Fatalf("%s is %s, want %s", name, b, text)
		}
		if _, noted := notes[name]; noted != (w == nil) {
			t.Fatalf("%s is %s, and there is a note: %v", name, b, noted)
		}
	}
}

// noteOn is what a result says of a member that is null.
func noteOn(result map[string]any, member string) string {
	notes, _ := result["notes"].(map[string]any)
	note, _ := notes[member].(string)
	return note
}

// members are an object's names in order.
func members(object map[string]any) []string {
	var names []string
	for name := range object {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// drawSample draws a number that statistics take as it is: at most 17 digits, 20 decimals, below 1e13. Small ones come
// often, so that samples are equal.
func drawSample(t *rapid.T) string {
	if rapid.Bool().Draw(t, "long") {
		return fmt.Sprintf("%de%d", rapid.Int64Range(-99999999999999999, 99999999999999999).Draw(t, "q"), rapid.IntRange(-20, -4).Draw(t, "exponent"))
	}
	return fmt.Sprintf("%de%d", rapid.OneOf(rapid.Int64Range(-3, 3), rapid.Int64Range(-9999, 9999)).Draw(t, "q"), rapid.SampledFrom([]int{-2, -2, -9, 3}).Draw(t, "exponent"))
}

// once draws from a generator once, for a seed.
func once[V any](seed int, draw func(t *rapid.T) V) V {
	return rapid.Custom(draw).Example(seed)
}
