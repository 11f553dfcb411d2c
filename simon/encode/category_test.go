package encode

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"
)

func TestNewText(t *testing.T) {
	long := strings.Repeat("x", MaxCategory)
	for _, c := range []struct {
		in, want string
		err      error
	}{
		{"", "", nil},
		{"female", "female", nil},
		{" a\tb\n", " a\tb\n", nil},
		{"nul\x00", "nul\x00", nil},
		{"e\u0301", "\u00e9", nil},
		{"\u212b", "\u00c5", nil},                   // the sign of the angstrom is the letter
		{"\ufb01", "\ufb01", nil},                   // compatibility forms stay
		{"\u1112\u1161\u11ab", "\ud55c", nil},       // jamo
		{"a\u0302\u0323", "\u1ead", nil},            // marks in the other order
		{"\U0001d15e", "\U0001d157\U0001d165", nil}, // grows
		{long, long, nil},
		{long + "x", "", ErrCategoryLong},
		{strings.Repeat("e\u0301", 30), strings.Repeat("\u00e9", 30), nil}, // 90 bytes before
		{strings.Repeat("\u00e9", 31), "", ErrCategoryLong},
		{"\xff", "", ErrCategoryUTF8},
		{"a\xed\xa0\x80", "", ErrCategoryUTF8}, // half of a surrogate pair
	} {
		got, err := NewText(c.in)
		if !errors.Is(err, c.err) || err == nil && got != (Category{KindText, c.want}) {
			t.Errorf("%q: %v, %v, want %q, %v", c.in, got, err, c.want, c.err)
		}
	}
}

func TestNewIntegerAndDecimal(t *testing.T) {
	nines := strings.Repeat("9", MaxCategory)
	const same = "same" // as the integer
	for _, c := range []struct {
		in, integer, decimal string
		integerErr           error
		decimalErr           error
	}{
		{"0", "0", same, nil, nil},
		{"-0", "0", same, nil, nil},
		{"-0.0e7", "0", same, nil, nil},
		{"0e9999999", "0", same, nil, nil},
		{"7", "7", same, nil, nil},
		{"-12", "-12", same, nil, nil},
		{"2.0", "2", same, nil, nil},
		{"1e3", "1000", same, nil, nil},
		{"1E+3", "1000", same, nil, nil},
		{"12.50e1", "125", same, nil, nil},
		{"-1200e-2", "-12", same, nil, nil},
		{"100", "100", same, nil, nil},
		{"9007199254740993", "9007199254740993", same, nil, nil},
		{nines, nines, same, nil, nil},
		{"-" + nines[1:], "-" + nines[1:], same, nil, nil},
		{"1e60", "1" + strings.Repeat("0", 60), same, nil, nil},
		// More than 17 digits with a point: all count in an integer, and those of the double in a decimal.
		{"123456789012345678901.0", "123456789012345678901", "123456789012345680000", nil, nil},
		{"0.00123456789012345678901e30", "1234567890123456789010000000", "1234567890123456900000000000", nil, nil},
		{"0.1000000000000000055511151231257827", "", "0.1", ErrFraction, nil},
		{"0.30000000000000004", "", "0.30000000000000004", ErrFraction, nil},
		{"0.5", "", "0.5", ErrFraction, nil},
		{"-0.50", "", "-0.5", ErrFraction, nil},
		{"1.5e-3", "", "0.0015", ErrFraction, nil},
		{"12.125", "", "12.125", ErrFraction, nil},
		{"1e-59", "", "0." + strings.Repeat("0", 58) + "1", ErrFraction, nil},
		{"1e-60", "", "", ErrFraction, ErrCategoryNumber},
		{"-1e-59", "", "", ErrFraction, ErrCategoryNumber},
		{"1e-9999999", "", "", ErrFraction, ErrCategoryNumber},
		{"0.000000000000000000012345678901234567890e-9999", "", "", ErrFraction, ErrCategoryNumber},
		{nines + "0", "", "", ErrCategoryNumber, ErrCategoryNumber},
		{"-" + nines, "", "", ErrCategoryNumber, ErrCategoryNumber},
		{"1e61", "", "", ErrCategoryNumber, ErrCategoryNumber},
		{"1.234567890123456789012e999999", "", "", ErrCategoryNumber, ErrCategoryNumber},
		{strings.Repeat("9", MaxText+1), "", "", ErrLong, ErrLong},
		{"", "", "", ErrSyntax, ErrSyntax},
		{"-", "", "", ErrSyntax, ErrSyntax},
		{"01", "", "", ErrSyntax, ErrSyntax},
		{"+1", "", "", ErrSyntax, ErrSyntax},
		{"1.", "", "", ErrSyntax, ErrSyntax},
		{" 1", "", "", ErrSyntax, ErrSyntax},
		{"NaN", "", "", ErrSyntax, ErrSyntax},
	} {
		if c.decimal == same {
			c.decimal = c.integer
		}
		got, err := NewInteger([]byte(c.in))
		if !errors.Is(err, c.integerErr) || err == nil && got != (Category{KindInteger, c.integer}) {
			t.Errorf("integer %s: %v, %v, want %s, %v", c.in, got, err, c.integer, c.integerErr)
		}
		got, err = NewDecimal([]byte(c.in))
		if !errors.Is(err, c.decimalErr) || err == nil && got != (Category{KindDecimal, c.decimal}) {
			t.Errorf("decimal %s: %v, %v, want %s, %v", c.in, got, err, c.decimal, c.decimalErr)
		}
	}
}

// drawSpelling is a number in one of the spellings of JSON.
func drawSpelling(t *rapid.T) string {
	return rapid.StringMatching(`-?(0|[1-9][0-9]{0,24})(\.[0-9]{1,24})?([eE][+-]?[0-9]{1,2})?`).Draw(t, "number")
}

func TestNumbersKeepTheirValue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := drawSpelling(t)
		value, ok := new(big.Rat).SetString(text)
		if !ok {
			t.Fatal(text)
		}
		canonical := func(c Category) *big.Rat {
			t.Helper()
			x, ok := new(big.Rat).SetString(c.Text)
			whole, fraction, point := strings.Cut(strings.TrimPrefix(c.Text, "-"), ".")
			if !ok || strings.ContainsAny(c.Text, "eE+") || c.Text == "-0" || len(whole) > 1 && whole[0] == '0' ||
				point && (fraction == "" || strings.HasSuffix(fraction, "0")) {
				t.Fatalf("%s became %s", text, c.Text)
			}
			return x
		}
		if c, err := NewInteger([]byte(text)); err == nil {
			if canonical(c).Cmp(value) != 0 {
				t.Fatalf("%s became %s", text, c.Text)
			}
		} else if value.IsInt() && len(value.Num().String()) <= MaxCategory {
			t.Fatalf("%s: %v", text, err)
		}
		if c, err := NewDecimal([]byte(text)); err == nil {
			x, double := canonical(c), new(big.Rat)
			if f, _ := value.Float64(); double.SetFloat64(f) == nil {
				t.Fatal(text)
			}
			if f, _ := x.Float64(); x.Cmp(value) != 0 && new(big.Rat).SetFloat64(f).Cmp(double) != 0 {
				t.Fatalf("%s became %s", text, c.Text)
			}
		}
	})
}

// drawCategory prefers texts that look like numbers, booleans or quoted texts.
func drawCategory(t *rapid.T) Category {
	for {
		var c Category
		var err error
		switch rapid.IntRange(0, 5).Draw(t, "kind") {
		case 0:
			c, err = NewText(rapid.String().Draw(t, "text"))
		case 1:
			c, err = NewText(rapid.StringMatching(`"{0,2}(-?[0-2](\.[05])?|true|false)?"{0,2}`).Draw(t, "text"))
		case 2:
			c, err = NewInteger([]byte(rapid.StringMatching(`-?[0-2]|-?[1-9][0-9]{0,60}`).Draw(t, "integer")))
		case 3:
			c = NewBoolean(rapid.Bool().Draw(t, "boolean"))
		case 4:
			c, err = NewDecimal([]byte(rapid.StringMatching(`-?[0-2](\.[05])?`).Draw(t, "decimal")))
		default:
			c, err = NewDecimal([]byte(drawSpelling(t)))
		}
		if err == nil {
			return c
		}
	}
}

func TestKeysRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawCategory(t), drawCategory(t)
		keys := b.Append(a.Append(nil))
		if len(keys) != 2*KeySize {
			t.Fatalf("%d bytes", len(keys))
		}
		for i, want := range []Category{a, b} {
			if got, err := ParseCategory(keys[i*KeySize : (i+1)*KeySize]); err != nil || got != want {
				t.Fatalf("%v came back as %v, %v", want, got, err)
			}
		}
		if (a == b) != bytes.Equal(keys[:KeySize], keys[KeySize:]) {
			t.Fatalf("%v and %v: keys %x", a, b, keys)
		}
	})
}

// block is a key as somebody else might write it.
func block(kind byte, size int, text string) []byte {
	b := append([]byte{kind, byte(size >> 8), byte(size)}, text...)
	return append(b, make([]byte, max(0, KeySize-len(b)))...)
}

func TestKeyBytes(t *testing.T) {
	c, err := NewText("e\u0301!")
	if err != nil {
		t.Fatal(err)
	}
	want := append([]byte{1, 0, 3, 0xc3, 0xa9, '!'}, make([]byte, 58)...)
	if got := c.Append(nil); !bytes.Equal(got, want) {
		t.Errorf("%x, want %x", got, want)
	}
	for i, c := range []Category{{KindText, "1"}, {KindInteger, "1"}, NewBoolean(true), {KindDecimal, "1"}} {
		if got := c.Append(nil)[0]; int(got) != i+1 {
			t.Errorf("%v: tag %d, want %d", c, got, i+1)
		}
	}
}

func TestParseCategoryRefuses(t *testing.T) {
	padded := block(1, 1, "a")
	padded[KeySize-1] = 1
	for name, key := range map[string][]byte{
		"empty":               nil,
		"short":               block(1, 1, "a")[:KeySize-1],
		"long":                append(block(1, 1, "a"), 0),
		"kind 0":              block(0, 1, "a"),
		"kind 5":              block(5, 1, "1"),
		"all zero":            make([]byte, KeySize),
		"length 62":           block(1, 62, strings.Repeat("a", 61)),
		"length 65535":        block(1, 65535, "a"),
		"text in the padding": block(1, 1, "ab"),
		"end of the padding":  padded,
		"not UTF-8":           block(1, 1, "\xff"),
		"cut UTF-8":           block(1, 1, "\u00e9"),
		"not NFC":             block(1, 3, "e\u0301"),
		"no integer":          block(2, 0, ""),
		"a letter":            block(2, 1, "a"),
		"integer 01":          block(2, 2, "01"),
		"integer -0":          block(2, 2, "-0"),
		"integer 1.0":         block(2, 3, "1.0"),
		"integer 1e3":         block(2, 3, "1e3"),
		"integer 0.5":         block(2, 3, "0.5"),
		"integer, zero after": block(2, 2, "1\x00"),
		"boolean True":        block(3, 4, "True"),
		"boolean 1":           block(3, 1, "1"),
		"boolean, empty":      block(3, 0, ""),
		"decimal -0":          block(4, 2, "-0"),
		"decimal 1.50":        block(4, 4, "1.50"),
		"decimal 1.0":         block(4, 3, "1.0"),
		"decimal .5":          block(4, 2, ".5"),
		"decimal 1e3":         block(4, 3, "1e3"),
		"decimal of 18":       block(4, 19, "0.123456789012345678"),
	} {
		if c, err := ParseCategory(key); !errors.Is(err, ErrKey) || c != (Category{}) {
			t.Errorf("%s: %v, %v", name, c, err)
		}
	}
}

func TestAppendRefusesWhatNoConstructorMade(t *testing.T) {
	for _, c := range []Category{{}, {5, "1"}, {KindText, strings.Repeat("a", MaxCategory+1)}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%v has a key", c)
				}
			}()
			c.Append(nil)
		}()
	}
}

func TestCompare(t *testing.T) {
	ascending := []Category{
		{KindText, ""}, {KindText, "\""}, {KindText, "10"}, {KindText, "2"}, {KindText, "B"}, {KindText, "a"}, {KindText, "aa"}, {KindText, "\u00e9"},
		{KindInteger, "-100"}, {KindInteger, "-11"}, {KindInteger, "-10"}, {KindInteger, "-9"}, {KindInteger, "0"}, {KindInteger, "2"}, {KindInteger, "10"}, {KindInteger, "11"},
		NewBoolean(false), NewBoolean(true),
		{KindDecimal, "-10.5"}, {KindDecimal, "-10.25"}, {KindDecimal, "-10"}, {KindDecimal, "-2"}, {KindDecimal, "-0.5"}, {KindDecimal, "-0.05"},
		{KindDecimal, "0"}, {KindDecimal, "0.05"}, {KindDecimal, "0.5"}, {KindDecimal, "0.51"}, {KindDecimal, "2"}, {KindDecimal, "2.125"}, {KindDecimal, "2.25"}, {KindDecimal, "10"},
	}
	for i, a := range ascending {
		for j, b := range ascending {
			if got := Compare(a, b); (got < 0) != (i < j) || (got > 0) != (i > j) {
				t.Errorf("%v, %v: %d", a, b, got)
			}
		}
	}
}

func TestNumbersAreInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawCategory(t), drawCategory(t)
		got := Compare(a, b)
		if got != -Compare(b, a) || (got == 0) != (a == b) {
			t.Fatalf("%v and %v: %d, %d", a, b, got, Compare(b, a))
		}
		if a.Kind != b.Kind || a.Kind != KindInteger && a.Kind != KindDecimal {
			return
		}
		x, _ := new(big.Rat).SetString(a.Text)
		y, _ := new(big.Rat).SetString(b.Text)
		if got != x.Cmp(y) {
			t.Fatalf("%v and %v: %d", a, b, got)
		}
	})
}

func TestCategoryJSON(t *testing.T) {
	for _, c := range []struct {
		c    Category
		want string
	}{
		{Category{KindText, ""}, `""`},
		{Category{KindText, `a"b\c`}, `"a\"b\\c"`},
		{Category{KindText, "<&>\u00e9"}, "\"<&>\u00e9\""},
		{Category{KindText, "a\n\x00"}, `"a\n\u0000"`},
		{Category{KindText, "1"}, `"1"`},
		{Category{KindInteger, "-12345678901234567890"}, `-12345678901234567890`},
		{Category{KindDecimal, "0.25"}, `0.25`},
		{NewBoolean(true), `true`},
		{NewBoolean(false), `false`},
	} {
		if got := string(c.c.AppendJSON([]byte("["))); got != "["+c.want {
			t.Errorf("%v: %s, want [%s", c.c, got, c.want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		c := drawCategory(t)
		b := c.AppendJSON(nil)
		if c.Kind != KindText {
			if !json.Valid(b) || string(b) != c.Text {
				t.Fatalf("%v: %s", c, b)
			}
			return
		}
		var text string
		if err := json.Unmarshal(b, &text); err != nil || text != c.Text {
			t.Fatalf("%v: %s, %v", c, b, err)
		}
	})
}

func TestLabels(t *testing.T) {
	text := func(s string) Category { return Category{KindText, s} }
	one := Category{KindInteger, "1"}
	decimal := Category{KindDecimal, "1"}
	for name, c := range map[string]struct {
		all  []Category
		want []string
	}{
		"none":                {nil, []string{}},
		"clear":               {[]Category{text("a"), text(""), text("true"), one, NewBoolean(false)}, []string{"a", "", "true", "1", "false"}},
		"number":              {[]Category{text("1"), one, text("2")}, []string{`"1"`, "1", "2"}},
		"order":               {[]Category{one, text("2"), text("1")}, []string{"1", "2", `"1"`}},
		"boolean":             {[]Category{text("true"), NewBoolean(true), text("false")}, []string{`"true"`, "true", "false"}},
		"decimal":             {[]Category{text("1"), decimal}, []string{`"1"`, "1"}},
		"quoted text":         {[]Category{text("1"), one, text(`"1"`)}, []string{`""1""`, "1", `"1"`}},
		"quoted twice":        {[]Category{text("1"), one, text(`"1"`), text(`""1""`)}, []string{`"""1"""`, "1", `"1"`, `""1""`}},
		"only quoted":         {[]Category{one, text(`"1"`)}, []string{"1", `"1"`}},
		"twice":               {[]Category{text("1"), one, text("1"), one}, []string{`"1"`, "1", `"1"`, "1"}},
		"integer and decimal": {[]Category{decimal, one, text("1"), text("1.0")}, []string{"1.0", "1", `"1"`, `"1.0"`}},
	} {
		if got := Labels(c.all); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestLabelsDiffer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.SliceOfN(rapid.Custom(drawCategory), 0, 12).Draw(t, "categories")
		labels := Labels(all)
		by := map[string]Category{}
		for i, label := range labels {
			if c, ok := by[label]; ok && c != all[i] {
				t.Fatalf("%v and %v are both %q", c, all[i], label)
			}
			by[label] = all[i]
		}
		order := rapid.Permutation(slices.Collect(func(yield func(int) bool) {
			for i := range all {
				if !yield(i) {
					return
				}
			}
		})).Draw(t, "order")
		shuffled := make([]Category, len(all))
		for to, from := range order {
			shuffled[to] = all[from]
		}
		for to, label := range Labels(shuffled) {
			if label != labels[order[to]] {
				t.Fatalf("%v is %q and, in another order, %q", shuffled[to], labels[order[to]], label)
			}
		}
	})
}

func TestErrorsDoNotNameTheValue(t *testing.T) {
	const secret = "4711"
	long := strings.Repeat(secret, 20)
	for _, err := range []error{
		second(NewText(long)), second(NewText(secret + "\xff")), second(NewInteger([]byte(secret + ".5"))), second(NewInteger([]byte(long))),
		second(NewInteger([]byte("x" + secret))), second(NewDecimal([]byte(secret + "e-80"))), second(ParseCategory([]byte(secret))),
	} {
		if err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%v", err)
		}
	}
}

func second(_ Category, err error) error { return err }

func FuzzParseCategory(f *testing.F) {
	for _, c := range []Category{{KindText, ""}, {KindText, "\u1ead"}, {KindInteger, "-12"}, NewBoolean(true), {KindDecimal, "0.5"}} {
		f.Add(c.Append(nil))
	}
	f.Add(block(1, 3, "e\u0301"))
	f.Add(block(4, 4, "1e-3"))
	f.Fuzz(func(t *testing.T, key []byte) {
		c, err := ParseCategory(key)
		if err != nil {
			if err != ErrKey {
				t.Fatal(err)
			}
			return
		}
		if got := c.Append(nil); !bytes.Equal(got, key) {
			t.Fatalf("%x came back as %x", key, got)
		}
		if !utf8.ValidString(c.Text) || !norm.NFC.IsNormalString(c.Text) {
			t.Fatalf("%q is not normal", c.Text)
		}
	})
}

func FuzzNewText(f *testing.F) {
	f.Add("e\u0301")
	f.Add(strings.Repeat("\u0301", 31))
	f.Add("e\u0302\u0301" + strings.Repeat("\u0323", 29))
	f.Fuzz(func(t *testing.T, s string) {
		c, err := NewText(s)
		if err != nil {
			return
		}
		if again, err := ParseCategory(c.Append(nil)); err != nil || again != c {
			t.Fatalf("%q: %q came back as %q, %v", s, c.Text, again.Text, err)
		}
	})
}
