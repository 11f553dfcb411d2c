package encode

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var dec20 = Decimal{20, 144}

// toBig reads two's complement limbs.
func toBig(q []uint64) *big.Int {
	x := new(big.Int)
	for _, w := range slices.Backward(q) {
		x.Lsh(x, 64).Or(x, new(big.Int).SetUint64(w))
	}
	if len(q) > 0 && q[len(q)-1]>>63 == 1 {
		x.Sub(x, new(big.Int).Lsh(big.NewInt(1), uint(64*len(q))))
	}
	return x
}

func toLimbs(x *big.Int, limbs int) []uint64 {
	m := new(big.Int).Lsh(big.NewInt(1), uint(64*limbs))
	y := new(big.Int).Mod(x, m)
	q := make([]uint64, limbs)
	word := new(big.Int).SetUint64(math.MaxUint64)
	for i := range q {
		q[i] = new(big.Int).And(y, word).Uint64()
		y.Rsh(y, 64)
	}
	return q
}

func pow10(k int) *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(k)), nil) }

// naive is the rule of Encode in math/big, for valid texts; ok is false where Encode refuses.
func naive(d Decimal, text string) (q *big.Int, ok bool) {
	if mantissa, _, found := cutAny(text, "eE"); found || strings.Contains(text, ".") {
		digits := strings.Trim(strings.NewReplacer("-", "", ".", "").Replace(mantissa), "0")
		if len(digits) > 17 {
			x, err := strconv.ParseFloat(text, 64)
			if err != nil || x == 0 {
				return nil, false
			}
			text = strconv.FormatFloat(x, 'e', -1, 64)
		}
	}
	x, valid := new(big.Rat).SetString(text)
	if !valid {
		panic(text)
	}
	zero := x.Sign() == 0
	x.Mul(x, new(big.Rat).SetInt(pow10(d.Digits)))
	// Round half to even: floor(x + 1/2), one less at a tie with an odd floor.
	half := new(big.Rat).Add(x, big.NewRat(1, 2))
	q = new(big.Int).Div(half.Num(), half.Denom()) // Euclidean: floor for a positive denominator
	if half.IsInt() && q.Bit(0) == 1 {
		q.Sub(q, big.NewInt(1))
	}
	if q.BitLen() > d.Bits || !zero && q.Sign() == 0 {
		return nil, false
	}
	return q, true
}

func cutAny(s, chars string) (before, after string, found bool) {
	if i := strings.IndexAny(s, chars); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return s, "", false
}

func compare(t interface {
	Helper()
	Fatalf(string, ...any)
}, d Decimal, text string) {
	t.Helper()
	q := []uint64{1, 2, 3, 4} // must be overwritten
	err := d.Encode(q, []byte(text))
	want, ok := naive(d, text)
	switch {
	case ok && err != nil:
		t.Fatalf("DEC(%d,%d) of %s: %v, want %v", d.Digits, d.Bits, text, err, want)
	case !ok && err == nil:
		t.Fatalf("DEC(%d,%d) of %s: %v, want an error", d.Digits, d.Bits, text, toBig(q))
	case ok && toBig(q).Cmp(want) != 0:
		t.Fatalf("DEC(%d,%d) of %s: %v, want %v", d.Digits, d.Bits, text, toBig(q), want)
	}
	if err != nil {
		if _, isRange := errors.AsType[*RangeError](err); !isRange {
			t.Fatalf("DEC(%d,%d) of %s: %v, want a range error", d.Digits, d.Bits, text, err)
		}
		if len(text) > 8 && strings.Contains(err.Error(), text) {
			t.Fatalf("the error shows the number: %v", err)
		}
	}
}

func drawNumber(t *rapid.T) string {
	digits := func(least, most int) string {
		return rapid.StringMatching(fmt.Sprintf(`[0-9]{%d,%d}`, least, most)).Draw(t, "digits")
	}
	s := rapid.SampledFrom([]string{"", "-"}).Draw(t, "sign")
	whole := strings.TrimLeft(digits(1, rapid.SampledFrom([]int{1, 3, 19, 45}).Draw(t, "whole")), "0")
	if whole == "" {
		whole = "0"
	}
	s += whole
	if rapid.Bool().Draw(t, "fraction") {
		s += "." + digits(1, rapid.SampledFrom([]int{1, 3, 17, 40}).Draw(t, "fraction digits"))
	}
	if rapid.Bool().Draw(t, "exponent") {
		s += rapid.SampledFrom([]string{"e", "E", "e+"}).Draw(t, "e")
		if s[len(s)-1] != '+' {
			s += rapid.SampledFrom([]string{"", "-"}).Draw(t, "exponent sign")
		}
		s += strconv.Itoa(rapid.SampledFrom([]int{0, 1, 5, 17, 20, 21, 22, 30, 310, 330}).Draw(t, "exponent"))
	}
	return s
}

func TestEncodeAgreesWithRationals(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := rapid.SampledFrom([]Decimal{dec20, {20, 112}, {6, 112}, {40, 160}, {0, 56}, {60, 255}, {2, 20}}).Draw(t, "encoding")
		compare(t, d, drawNumber(t))
	})
}

func TestEncodeTies(t *testing.T) {
	for i := range 200 { // 0.05, 0.15, ... in steps of 0.1, and neighbours
		for _, tail := range []string{"5", "49", "51", "50000", "500000000000001"} {
			for _, sign := range []string{"", "-"} {
				compare(t, Decimal{1, 20}, fmt.Sprintf("%s%d.%d%s", sign, i/10, i%10, tail))
			}
		}
	}
}

func TestEncodeAllExponents(t *testing.T) {
	for _, d := range []Decimal{dec20, {40, 160}} {
		for e := uint64(0); e < 2047; e++ {
			for _, m := range []uint64{0, 1, 1<<52 - 1, 0xb504f333f9de6} {
				for _, sign := range []uint64{0, 1 << 63} {
					x := math.Float64frombits(sign | e<<52 | m)
					compare(t, d, string(AppendFloat(nil, x)))                  // as JavaScript writes it
					compare(t, d, strconv.FormatFloat(x, 'e', -1, 64))          // with exponent
					compare(t, d, strconv.FormatFloat(x, 'e', 25, 64))          // with the garbage of binary fractions
					if s := strconv.FormatFloat(x, 'f', -1, 64); len(s) < 400 { // all digits
						compare(t, d, s)
					}
				}
			}
		}
	}
}

func TestEncodeCases(t *testing.T) {
	edge := new(big.Int).Lsh(big.NewInt(1), 144)
	below := new(big.Int).Sub(edge, big.NewInt(1)).String()
	point := func(s string) string { return s[:len(s)-20] + "." + s[len(s)-20:] }
	whole := new(big.Int).Div(edge, pow10(20))
	for text, want := range map[string]string{
		"0":                             "0",
		"-0":                            "0",
		"-0.0":                          "0",
		"0e99999":                       "0",
		"0.000e-99999999999999":         "0",
		"0.1":                           "10000000000000000000",
		"0.1000000000000000055511":      "10000000000000000000", // more than a double has: 0.1
		"0.30000000000000004":           "30000000000000004000",
		"1e-20":                         "1",
		"-1.5e-20":                      "-2",
		"2.5e-20":                       "2",
		"0.51e-20":                      "1",
		"0.50e-20":                      "range",
		"1e-21":                         "range",
		"5e-324":                        "range",
		"-2.2250738585072009e-308":      "range",
		"1e-99999":                      "range",
		"1e23":                          "1" + strings.Repeat("0", 43),
		"1e24":                          "range",
		"1e400":                         "range",
		"-1e99999999999999999999":       "range",
		"1.7976931348623157e308":        "range",
		"9007199254740993":              "900719925474099300000000000000000000", // 2^53 + 1, exact
		"9007199254740993.0":            "900719925474099300000000000000000000",
		"12345678901234567890123":       "1234567890123456789012300000000000000000000",
		"12345678901234567890123.0":     "1234567890123456800000000000000000000000000", // written as a float: its double
		"-12345678901234567890123":      "-1234567890123456789012300000000000000000000",
		whole.String():                  new(big.Int).Mul(whole, pow10(20)).String(),
		"-" + whole.String():            new(big.Int).Mul(new(big.Int).Neg(whole), pow10(20)).String(),
		whole.String() + "0":            "range",
		strings.Repeat("9", 400):        "range",
		strings.Repeat("9", 401):        "long",
		"0." + strings.Repeat("0", 500): "long",
		point(below):                    "22300745198530622" + strings.Repeat("0", 27), // 44 digits: its double
	} {
		q := make([]uint64, 3)
		err := dec20.Encode(q, []byte(text))
		got := toBig(q).String()
		if _, ok := errors.AsType[*RangeError](err); ok {
			got = "range"
		} else if errors.Is(err, ErrLong) {
			got = "long"
		} else if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	// The edge itself, where texts reach it exactly: integers in DEC(0, 144).
	integers := Decimal{0, 144}
	for text, ok := range map[string]bool{below: true, "-" + below: true, edge.String(): false, "-" + edge.String(): false} {
		q := make([]uint64, 3)
		err := integers.Encode(q, []byte(text))
		if (err == nil) != ok || ok && toBig(q).String() != text {
			t.Errorf("%s: %v, %v", text, toBig(q), err)
		}
	}
}

func TestEncodeSyntax(t *testing.T) {
	for _, text := range []string{
		"", "-", "+1", "01", "-01", "00", ".5", "5.", "-.5", "1e", "1e+", "1e-", "e5", "1.e5", "1e5.0", "1e5e5", "--1", "1-", "1+1",
		" 1", "1 ", "0x10", "1_000", "1,5", "NaN", "Infinity", "-Infinity", "١", "1\x00",
	} {
		if err := dec20.Encode(make([]uint64, 3), []byte(text)); !errors.Is(err, ErrSyntax) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestRangeText(t *testing.T) {
	for d, want := range map[Decimal]string{
		dec20:     "|x| < 2.23e23",
		{20, 112}: "|x| < 5.19e13",
		{0, 56}:   "|x| < 7.20e16",
		{0, 3}:    "|x| < 8.00e0",
	} {
		if got := d.Range(); got != want {
			t.Errorf("DEC(%d,%d): %s, want %s", d.Digits, d.Bits, got, want)
		}
	}
	err := dec20.Encode(make([]uint64, 3), []byte("1e24"))
	if err == nil || !strings.Contains(err.Error(), "|x| < 2.23e23") {
		t.Errorf("%v does not state the range", err)
	}
}

// naiveText is the rule of AppendJSON in math/big.
func naiveText(d Decimal, x *big.Int) string {
	r := new(big.Rat).SetFrac(x, pow10(d.Digits))
	if r.IsInt() {
		return r.Num().String()
	}
	f, _ := r.Float64()
	b, err := json.Marshal(f)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func TestAppendJSONAgreesWithRationals(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := rapid.SampledFrom([]Decimal{dec20, {40, 160}, {0, 56}, {6, 112}}).Draw(t, "encoding")
		b := rapid.SliceOfN(rapid.Byte(), 0, 24).Draw(t, "magnitude")
		x := new(big.Int).SetBytes(b)
		x.Mul(x, pow10(rapid.IntRange(0, 25).Draw(t, "zeros")))
		if rapid.Bool().Draw(t, "negative") {
			x.Neg(x)
		}
		q := toLimbs(x, 5)
		before := slices.Clone(q)
		if got, want := string(d.AppendJSON(nil, q)), naiveText(d, x); got != want {
			t.Fatalf("%v·10^-%d: %s, want %s", x, d.Digits, got, want)
		}
		if !slices.Equal(q, before) {
			t.Fatal("the argument changed")
		}
	})
}

// TestRoundTrip: what a client writes as a double comes back as the same double.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := rapid.Float64Range(-2e23, 2e23).Draw(t, "x")
		if rapid.Bool().Draw(t, "decimal") {
			x = math.Round(math.Mod(x, 1e9)*100) / 100
		}
		q := make([]uint64, 3)
		if dec20.Encode(q, AppendFloat(nil, x)) != nil {
			return
		}
		if math.Abs(x) < 1 && x != 0 {
			return // fewer than 17 digits are left
		}
		back, err := strconv.ParseFloat(string(dec20.AppendJSON(nil, q)), 64)
		if err != nil || back != x {
			t.Fatalf("%v came back as %v (%v)", x, back, err)
		}
	})
}

func TestTenthsAddUp(t *testing.T) {
	a, b := make([]uint64, 3), make([]uint64, 3)
	if err := errors.Join(dec20.Encode(a, []byte("0.1")), dec20.Encode(b, []byte("0.2"))); err != nil {
		t.Fatal(err)
	}
	sum := new(big.Int).Add(toBig(a), toBig(b))
	if got := string(dec20.AppendJSON(nil, toLimbs(sum, 3))); got != "0.3" {
		t.Errorf("0.1 + 0.2 = %s", got)
	}
}

func TestAppendFloat(t *testing.T) {
	for _, x := range []float64{1, 0.1, 1e20, 1e21, 123456789e15, 1e-6, 1e-7, -1e-9, 5e-324, math.MaxFloat64, 1e100, 1.5e-10} {
		want, err := json.Marshal(x)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(AppendFloat(nil, x)); got != string(want) {
			t.Errorf("%s, want %s", got, want)
		}
	}
	if got := string(AppendFloat(nil, math.Copysign(0, -1))); got != "0" {
		t.Errorf("-0 is %s", got)
	}
}

func FuzzEncode(f *testing.F) {
	for _, s := range []string{"0", "-1.5", "1e23", "0.1000000000000000055511", "12345678901234567890123", "1e-20", "5e-21", "9e999", "1.e", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		q := make([]uint64, 3)
		err := dec20.Encode(q, []byte(s))
		valid := json.Valid([]byte(s)) && s != "" && strings.IndexAny(s[:1], "-0123456789") == 0 && strings.TrimSpace(s) == s
		if len(s) > MaxText {
			if !errors.Is(err, ErrLong) {
				t.Fatalf("%q: %v", s, err)
			}
			return
		}
		if errors.Is(err, ErrSyntax) == valid {
			t.Fatalf("%q: %v, but valid is %v", s, err, valid)
		}
		if _, exp, ok := cutAny(s, "eE"); valid && !(ok && len(exp) > 5) { // big.Rat takes forever on large exponents
			compare(t, dec20, s)
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	for _, text := range []string{"85", "120.55", "-0.123456789012345", "1.2345678901234567e-05", "0.1000000000000000055511"} {
		b.Run(text, func(b *testing.B) {
			q, t := make([]uint64, 3), []byte(text)
			b.ReportAllocs()
			for b.Loop() {
				if err := dec20.Encode(q, t); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAppendJSON(b *testing.B) {
	q := make([]uint64, 3)
	if err := dec20.Encode(q, []byte("123456.789")); err != nil {
		b.Fatal(err)
	}
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = dec20.AppendJSON(buf[:0], q)
	}
}
