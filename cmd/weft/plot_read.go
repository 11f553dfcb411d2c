package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// readResult reads what a picture needs of a result; other members may stand beside it.
func readResult(raw json.RawMessage, into any) error {
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("the result has not the form that is known here: %w", err)
	}
	return nil
}

// number is a number of a result, as exact as a picture needs it. It is not ok where the result has null, nothing, or
// more than a double holds.
type number struct {
	value float64
	ok    bool
}

// UnmarshalJSON implements json.Unmarshaler.
func (n *number) UnmarshalJSON(b []byte) error {
	*n = number{}
	if string(b) == "null" {
		return nil
	}
	v, err := strconv.ParseFloat(string(b), 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return fmt.Errorf("a number is needed, not %.20q", b)
	}
	if !math.IsInf(v, 0) {
		*n = number{v, true}
	}
	return nil
}

// text is the number, or a dash for one that is not known.
func (n number) text() string {
	if !n.ok {
		return unknown
	}
	return numeral(n.value)
}

// interval is a pair of numbers, or null.
type interval []number

// ends gives both ends of an interval that has both.
func (i interval) ends() (lower, upper float64, ok bool) {
	if len(i) != 2 || !i[0].ok || !i[1].ok {
		return 0, 0, false
	}
	return i[0].value, i[1].value, true
}

// label is a category of a result, which may be text, a number or a truth value, as one line of text.
type label string

// UnmarshalJSON implements json.Unmarshaler.
func (l *label) UnmarshalJSON(b []byte) error {
	switch b[0] {
	case '{', '[', 'n':
		return fmt.Errorf("a label is needed, not %.20q", b)
	case '"':
		var text string
		if err := json.Unmarshal(b, &text); err != nil {
			return err
		}
		*l = labelOf(text)
	default:
		*l = label(b)
	}
	return nil
}

func labelOf(text string) label {
	if text = oneLine(text); text == "" {
		return "(empty)"
	}
	return label(text)
}

// tally is one member of an object of counts.
type tallied struct {
	label label
	count number
}

// counts is an object of counts in its order.
type counts []tallied

// UnmarshalJSON implements json.Unmarshaler.
func (c *counts) UnmarshalJSON(b []byte) error {
	*c = nil
	d := json.NewDecoder(bytes.NewReader(b))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return errors.New("an object of counts is needed")
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return err
		}
		one := tallied{label: labelOf(key.(string))} // a decoder gives nothing else where a name stands
		if err := d.Decode(&one.count); err != nil {
			return err
		}
		*c = append(*c, one)
	}
	return nil
}

const (
	minus   = "\u2212"
	unknown = "\u2013"
)

// numeral writes a number as people do: 1234, −0.25, 2.5e9.
func numeral(v float64) string {
	if v == math.Trunc(v) && math.Abs(v) < 1e15 {
		return signed(strconv.FormatFloat(v, 'f', 0, 64))
	}
	if size := math.Abs(v); size >= 1e-4 && size < 1e6 {
		return signed(strconv.FormatFloat(v, 'g', 6, 64))
	}
	return short(v)
}

// short writes a number with three digits.
func short(v float64) string {
	if v == 0 {
		return "0"
	}
	return fixed(v, digitsFor(v))
}

// digitsFor is how many decimals give a number of this size three digits; -1: it is written with a power of ten.
func digitsFor(size float64) int {
	size = math.Abs(size)
	switch {
	case size == 0:
		return 2
	case size >= 1e6 || size < 1e-5:
		return -1
	}
	return max(0, 2-int(math.Floor(math.Log10(size))))
}

// fixed writes a number with so many decimals.
func fixed(v float64, decimals int) string {
	if decimals < 0 {
		mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(v, 'e', 2, 64), "e")
		sign, power := "", strings.TrimLeft(exponent, "+-0")
		if exponent[0] == '-' {
			sign = "-"
		}
		if power == "" {
			return signed(mantissa)
		}
		if strings.Contains(mantissa, ".") {
			mantissa = strings.TrimRight(strings.TrimRight(mantissa, "0"), ".")
		}
		return signed(mantissa + "e" + sign + power)
	}
	return signed(strconv.FormatFloat(v, 'f', decimals, 64))
}

// signed gives a number the sign that is as wide as a plus, and zero none.
func signed(digits string) string {
	if strings.Trim(digits, "-0.") == "" {
		digits = strings.TrimPrefix(digits, "-")
	}
	return strings.ReplaceAll(digits, "-", minus)
}

// percent writes a level as 95 %.
func percent(level number) string {
	if !level.ok {
		return "confidence"
	}
	return signed(strconv.FormatFloat(100*level.value, 'g', 6, 64)) + " %"
}

// probability writes a p-value as journals do.
func probability(p number) string {
	switch {
	case !p.ok:
		return unknown
	case p.value < 0.001:
		return "<0.001"
	case p.value > 0.9995:
		return ">0.999"
	case p.value < 0.1:
		return fixed(p.value, 3)
	}
	return fixed(p.value, 2)
}
