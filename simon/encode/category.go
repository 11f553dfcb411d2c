package encode

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Bounds of a category.
const (
	MaxCategory = 61              // bytes of its canonical text
	KeySize     = MaxCategory + 3 // bytes of its key: kind, length, text, padding
)

// Kind says what a category is. Text "1", number 1 and decimal 1 are three categories. The values stand in keys.
type Kind uint8

// The kinds of categories, in the order in which results list them.
const (
	KindText    Kind = iota + 1
	KindInteger      // a whole number
	KindBoolean
	KindDecimal // a number with or without a fraction, such as a time
)

// Category is a value by which rows are counted. Categories are equal exactly if == says so, because their texts are
// canonical; only the constructors and ParseCategory make them.
//
// Text is UTF-8 in normalization form C (Unicode Standard Annex 15), so that é is one category no matter which keyboard
// wrote it. Integers are decimal digits without leading zeros, decimals have no exponent and no zeros at the end of the
// fraction, neither is ever -0; booleans are true and false.
type Category struct {
	Kind Kind
	Text string
}

// The reasons why a value cannot be a category, besides ErrSyntax and ErrLong. None of them contains the value.
var (
	ErrCategoryUTF8   = errors.New("is not valid UTF-8: save the data as UTF-8 and send it again")
	ErrCategoryLong   = fmt.Errorf("is a text of more than %d bytes in UTF-8: give categories shorter names", MaxCategory)
	ErrCategoryNumber = fmt.Errorf("is a number that needs more than %d characters without exponent: round it, choose another unit or give it as text", MaxCategory)
	ErrFraction       = errors.New("is a number with a fraction: give categories as text, whole numbers or true/false")
	ErrKey            = errors.New("is not the key of a category in its canonical form")
)

// NewText is the category of a text, which may be empty. It is compared after normalization; case and spaces count.
func NewText(s string) (Category, error) {
	if !utf8.ValidString(s) {
		return Category{}, ErrCategoryUTF8
	}
	if s = norm.NFC.String(s); len(s) > MaxCategory {
		return Category{}, ErrCategoryLong
	}
	return Category{KindText, s}, nil
}

// NewInteger is the category of a whole number, given as JSON writes numbers. 2.0 and 1e3, as R and Python write them, are
// 2 and 1000. All digits count, also beyond 2^53.
func NewInteger(text []byte) (Category, error) {
	n, err := parse(text)
	if err != nil {
		return Category{}, err
	}
	if !n.zero && n.exp < 0 {
		return Category{}, ErrFraction
	}
	return n.category(KindInteger, text)
}

// NewBoolean is the category true or false.
func NewBoolean(b bool) Category {
	if b {
		return Category{KindBoolean, "true"}
	}
	return Category{KindBoolean, "false"}
}

// NewDecimal is the category of a number, given as JSON writes numbers and read as Decimal.Encode reads it: texts with
// point or exponent and more than 17 significant digits stand for the nearest double.
func NewDecimal(text []byte) (Category, error) {
	n, err := parse(text)
	if err != nil {
		return Category{}, err
	}
	if n.integer || n.significant <= 17 {
		return n.category(KindDecimal, text)
	}
	// Before the double is sought: between these bounds it is neither zero nor infinite.
	if n.point > MaxCategory || n.point < -MaxCategory {
		return Category{}, ErrCategoryNumber
	}
	if n, err = nearest(text); err != nil {
		return Category{}, err
	}
	return n.category(KindDecimal, nil) // no more than 17 digits: all in n
}

// category is the category of n, whose digits are those of text where they are more than n keeps.
func (n number) category(kind Kind, text []byte) (Category, error) {
	if n.zero {
		return Category{kind, "0"}, nil
	}
	if n.significant > MaxCategory || n.point > MaxCategory || n.point < -MaxCategory {
		return Category{}, ErrCategoryNumber
	}
	digits := n.all(text)
	b := make([]byte, 0, 4*MaxCategory)
	if n.negative {
		b = append(b, '-')
	}
	switch {
	case n.point <= 0:
		b = append(b, "0."...)
		b = appendZeros(b, -n.point)
		b = append(b, digits...)
	case n.point < len(digits):
		b = append(b, digits[:n.point]...)
		b = append(b, '.')
		b = append(b, digits[n.point:]...)
	default:
		b = append(b, digits...)
		b = appendZeros(b, n.point-len(digits))
	}
	if len(b) > MaxCategory {
		return Category{}, ErrCategoryNumber
	}
	return Category{kind, string(b)}, nil
}

// all are the significant digits of n, whose text is given.
func (n number) all(text []byte) []byte {
	if n.significant <= 19 {
		return strconv.AppendUint(nil, n.low, 10)
	}
	digits := make([]byte, 0, n.significant)
	for _, c := range text {
		if c < '0' || c > '9' || c == '0' && len(digits) == 0 {
			continue // sign, point and leading zeros
		}
		if digits = append(digits, c); len(digits) == n.significant {
			break
		}
	}
	return digits
}

func appendZeros(b []byte, n int) []byte {
	for range n {
		b = append(b, '0')
	}
	return b
}

// Append appends the category's key: kind (1 byte), length of the text (2 bytes, big endian), text, zeros; KeySize bytes in
// all. Different categories have different keys, and the keys of a pair may follow each other: "a_b" and "c" do not read as
// "a" and "b_c".
func (c Category) Append(dst []byte) []byte {
	if c.Kind < KindText || c.Kind > KindDecimal || len(c.Text) > MaxCategory {
		panic("encode: a category that no constructor made")
	}
	dst = append(dst, byte(c.Kind))
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(c.Text)))
	dst = append(dst, c.Text...)
	var padding [MaxCategory]byte
	return append(dst, padding[len(c.Text):]...)
}

// ParseCategory reads a key. It accepts what Append writes and nothing else, or fails with ErrKey: whoever opened the key
// does not know who sent it.
func ParseCategory(key []byte) (Category, error) {
	if len(key) != KeySize {
		return Category{}, ErrKey
	}
	size := int(binary.BigEndian.Uint16(key[1:]))
	if size > MaxCategory {
		return Category{}, ErrKey
	}
	text, padding := key[3:3+size], key[3+size:]
	for _, b := range padding {
		if b != 0 {
			return Category{}, ErrKey
		}
	}
	var again Category
	var err error
	switch Kind(key[0]) {
	case KindText:
		again, err = NewText(string(text))
	case KindInteger:
		again, err = NewInteger(text)
	case KindBoolean:
		again = NewBoolean(string(text) == "true")
	case KindDecimal:
		again, err = NewDecimal(text)
	default:
		return Category{}, ErrKey
	}
	if err != nil || again.Text != string(text) {
		return Category{}, ErrKey
	}
	return again, nil
}

// Compare orders categories by kind, numbers by value, false before true, texts by their bytes. It is zero for equal
// categories only.
func Compare(a, b Category) int {
	if c := cmp.Compare(a.Kind, b.Kind); c != 0 {
		return c
	}
	if a.Kind == KindInteger || a.Kind == KindDecimal {
		return compareNumbers(a.Text, b.Text)
	}
	return strings.Compare(a.Text, b.Text) // "false" < "true"
}

// compareNumbers compares canonical numbers by value.
func compareNumbers(a, b string) int {
	x, below := strings.CutPrefix(a, "-")
	y, alsoBelow := strings.CutPrefix(b, "-")
	if below != alsoBelow {
		if below {
			return -1
		}
		return 1
	}
	if below {
		x, y = y, x
	}
	// Neither has leading zeros, so the longer whole part is the larger one; of equal length, digits compare as text.
	whole, fraction, _ := strings.Cut(x, ".")
	otherWhole, otherFraction, _ := strings.Cut(y, ".")
	return cmp.Or(
		cmp.Compare(len(whole), len(otherWhole)),
		strings.Compare(whole, otherWhole),
		strings.Compare(fraction, otherFraction),
	)
}

// AppendJSON appends the category as a JSON value: a string without the escapes for HTML, a number as its text, true or
// false.
func (c Category) AppendJSON(dst []byte) []byte {
	if c.Kind != KindText {
		return append(dst, c.Text...)
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(c.Text); err != nil {
		panic(err) // no string fails
	}
	return append(dst, bytes.TrimSuffix(b.Bytes(), []byte("\n"))...)
}

// Labels are names for categories, as the keys of a JSON object need them: one per category, in the order of all; equal
// categories have equal labels, different ones different labels. The order of all changes no label.
//
// A label is the text of the category, as long as that is clear. Where all has a number or a boolean with the text of a
// text category, the text category is written in quotes: the number 1 is 1 and the text 1 is "1". Should another text
// category be called "1", quotes and all, more quotes are put around until no category has that text. Where all has
// an integer and a decimal of one value, .0 follows the decimal.
func Labels(all []Category) []string {
	given := map[Category]bool{} // for lookups only, as are the others
	texts := map[string]bool{}
	for _, c := range all {
		given[c] = true
		texts[c.Text] = true
	}
	labels := make([]string, len(all))
	taken := map[string]bool{} // labels of numbers and booleans, none of which has quotes
	for i, c := range all {
		if c.Kind == KindText {
			continue
		}
		labels[i] = c.Text
		if c.Kind == KindDecimal && given[Category{KindInteger, c.Text}] {
			labels[i] += ".0" // no canonical decimal ends like that
		}
		taken[labels[i]] = true
	}
	for i, c := range all {
		if c.Kind != KindText {
			continue
		}
		label := c.Text
		if taken[label] {
			label = `"` + label + `"`
			for texts[label] {
				label = `"` + label + `"`
			}
		}
		labels[i] = label
	}
	return labels
}
