package encode

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
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
	// Before the double is sought: it exists between these bounds.
	if n.point > MaxCategory || n.point < -MaxCategory {
		return Category{}, ErrCategoryNumber
	}
	if n, text, err = nearestText(text); err != nil {
		return Category{}, err
	}
	return n.category(KindDecimal, text)
}

// nearestText is nearest, with the text.
func nearestText(text []byte) (number, []byte, error) { panic("soon") }

func (n number) category(kind Kind, text []byte) (Category, error) { panic("soon") }

// Append appends the category's key, KeySize bytes.
func (c Category) Append(dst []byte) []byte { panic("soon") }

// ParseCategory reads a key of KeySize bytes.
func ParseCategory(key []byte) (Category, error) { panic("soon") }

// Compare orders categories by kind, then numbers by value and texts by their bytes.
func Compare(a, b Category) int { panic("soon") }

// AppendJSON appends the category as a JSON value.
func (c Category) AppendJSON(dst []byte) []byte { panic("soon") }

// Labels are names for the categories, as keys of a JSON object.
func Labels(all []Category) []string { panic("soon") }

var _, _, _, _, _ = bytes.Compare, binary.BigEndian, json.Marshal, strings.Compare, norm.NFC
