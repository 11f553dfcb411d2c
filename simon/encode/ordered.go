package encode

import (
	"errors"
	"math"
	"math/big"
	"strconv"
)

// Ordered maps the finite doubles to whole numbers in their order: x < y exactly where Ordered(x) < Ordered(y). -0 is 0.
func Ordered(x float64) uint64 {
	if x == 0 {
		x = 0 // not -0
	}
	const sign = 1 << 63
	b := math.Float64bits(x)
	if b&sign != 0 {
		return ^b
	}
	return b | sign
}

// FromOrdered is the double that Ordered maps to u, NaN or infinite where no finite one is.
func FromOrdered(u uint64) float64 {
	const sign = 1 << 63
	if u&sign != 0 {
		return math.Float64frombits(u &^ sign)
	}
	return math.Float64frombits(^u)
}

// OrderedInteger is Ordered for 64-bit integers.
func OrderedInteger(x int64) uint64 { return uint64(x) ^ 1<<63 }

// FromOrderedInteger is the integer that OrderedInteger maps to u.
func FromOrderedInteger(u uint64) int64 { return int64(u ^ 1<<63) }

// ErrInexact refuses a whole number that no double holds.
var ErrInexact = errors.New("is a whole number beyond 2^53 that no double holds exactly")

// ErrDouble refuses a number that is too large for a double.
var ErrDouble = errors.New("is out of range: |x| < 1.798e308 is required")

// ErrInteger64 refuses a whole number outside of 64 bits, without the two ends.
var ErrInteger64 = errors.New("is out of range: whole numbers x with -2^63 < x < 2^63 - 1 are possible")

var errFraction64 = errors.New("is a number with a fraction, where whole numbers are asked for")

// Double is the double that is nearest to a number, given as JSON writes numbers. Whole numbers must be exact.
func Double(text []byte) (float64, error) {
	n, err := parse(text)
	if err != nil {
		return 0, err
	}
	x, err := strconv.ParseFloat(string(text), 64)
	if err != nil {
		return 0, ErrDouble
	}
	if n.integer && n.significant > 15 {
		exact, _ := new(big.Float).SetFloat64(x).Int(nil)
		if exact.String() != string(text) {
			return 0, ErrInexact
		}
	}
	return x, nil
}

// Nearest is the double next to a number whose text an encoding has accepted.
func Nearest(text []byte) float64 {
	x, err := strconv.ParseFloat(string(text), 64)
	if err != nil {
		panic(err) // encodings accept neither other texts nor numbers beyond the doubles
	}
	return x
}

// Integer64 is a whole number, given as JSON writes numbers; 2.0 and 1e3 are 2 and 1000.
func Integer64(text []byte) (int64, error) {
	c, err := NewInteger(text)
	if errors.Is(err, ErrCategoryNumber) {
		return 0, ErrInteger64
	}
	if errors.Is(err, ErrFraction) {
		return 0, errFraction64
	}
	if err != nil {
		return 0, err
	}
	x, err := strconv.ParseInt(c.Text, 10, 64)
	if err != nil || x == math.MaxInt64 || x == math.MinInt64 {
		return 0, ErrInteger64
	}
	return x, nil
}
