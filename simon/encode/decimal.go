// Package encode turns numbers into ring elements and back, exactly.
//
// Numbers come as the decimal text that a client wrote, not as the double that is next to it: 0.1 + 0.2 gives 0.3, data
// with few decimals are added without any error, and the opened total carries none of the low-order bits by which sums of
// binary fractions tell one split of a total from another.
package encode

import (
	"errors"
	"fmt"
	"math/big"
	"math/bits"
	"strconv"
)

// MaxText bounds the text of one number in bytes.
const MaxText = 400

// maxWords is how many limbs a magnitude has while it is encoded: Decimal.Bits is less than 64 times that.
const maxWords = 4

// Decimal is the encoding DEC(Digits, Bits): x becomes the integer q = x·10^Digits, rounded half to even, which must have
// |q| < 2^Bits. Digits is 0..60 and Bits 1..255.
type Decimal struct {
	Digits int
	Bits   int
}

// The reasons why a number cannot be encoded. None of them contains the number.
var (
	ErrSyntax = errors.New("is not a number as JSON writes them, such as 12, -0.5 or 6.02e23")
	ErrLong   = fmt.Errorf("is a number of more than %d characters: round it", MaxText)
)

// RangeError says that a number is too large or too small for its encoding.
type RangeError struct {
	Small bool // not zero, but would be rounded to zero
	Limit Decimal
}

func (e *RangeError) Error() string {
	if e.Small {
		return fmt.Sprintf("is too small: apart from 0, |x| must be more than %s, which would be rounded to zero; choose a smaller unit or give 0", e.Limit.least())
	}
	return fmt.Sprintf("is out of range: %s is required; choose a larger unit", e.Limit.Range())
}

// Range is the condition that every number has to meet, such as "|x| < 2.23e23": the limit is cut, not rounded, to three
// digits.
func (d Decimal) Range() string {
	limit := new(big.Int).Lsh(big.NewInt(1), uint(d.Bits)).String()
	exp := len(limit) - 1 - d.Digits
	limit = (limit + "00")[:3]
	return fmt.Sprintf("|x| < %s.%se%d", limit[:1], limit[1:], exp)
}

func (d Decimal) least() string { return fmt.Sprintf("5e-%d", d.Digits+1) }

// Encode writes the number with the given text, in JSON's spelling, to q as a two's complement integer, lowest limb first;
// q has room for Bits+1 bits.
//
// An integer without point and exponent is taken as written. Other texts with more than 17 significant digits, which no
// double needs, are first replaced by the shortest decimal of the nearest double. -0 is 0. A number that is not zero but
// would become zero is refused, as are numbers out of range.
func (d Decimal) Encode(q []uint64, text []byte) error {
	if d.Digits < 0 || d.Digits > 60 || d.Bits < 1 || d.Bits > 255 || 64*len(q) <= d.Bits {
		panic(fmt.Sprintf("encode: DEC(%d, %d) in %d limbs", d.Digits, d.Bits, len(q)))
	}
	n, err := parse(text)
	if err != nil {
		return err
	}
	if n.zero {
		clear(q)
		return nil
	}
	// The value is 0.d1d2d3…·10^point with d1 > 0, and 10^77 < 2^256 < 10^78: between these bounds no power is large.
	if n.point+d.Digits > 78 {
		return &RangeError{Limit: d}
	}
	if n.point+d.Digits < 0 {
		return &RangeError{Small: true, Limit: d}
	}
	if !n.integer && n.significant > 17 {
		if n, err = nearest(text); err != nil {
			return err
		}
	}
	var m magnitude
	if !m.scale(n, d.Digits) || m.bitLen() > d.Bits {
		return &RangeError{Limit: d}
	}
	if m.bitLen() == 0 {
		return &RangeError{Small: true, Limit: d}
	}
	m.write(q, n.negative)
	return nil
}

// number is a parsed text: ±digits·10^exp.
type number struct {
	negative, zero bool
	integer        bool   // without point and exponent
	significant    int    // digits without leading and trailing zeros
	point          int    // the value is 0.d1d2d3…·10^point
	low            uint64 // the value is low·10^exp if significant <= 19
	exp            int
	text           []byte // the digits as written, if integer
}

// parse reads a number of JSON (RFC 8259, section 6). Only the first 19 significant digits are kept in low.
func parse(text []byte) (number, error) {
	var n number
	if len(text) > MaxText {
		return n, ErrLong
	}
	b := text
	if len(b) > 0 && b[0] == '-' {
		n.negative = true
		b = b[1:]
	}
	whole := digits(b)
	if whole == 0 || whole > 1 && b[0] == '0' {
		return n, ErrSyntax
	}
	n.text, n.integer = b[:whole], true
	rest := b[whole:]
	var fraction []byte
	if len(rest) > 0 && rest[0] == '.' {
		k := digits(rest[1:])
		if k == 0 {
			return n, ErrSyntax
		}
		fraction, rest, n.integer = rest[1:1+k], rest[1+k:], false
	}
	exp := 0
	if len(rest) > 0 && (rest[0] == 'e' || rest[0] == 'E') {
		var ok bool
		if exp, ok = exponent(rest[1:]); !ok {
			return n, ErrSyntax
		}
		rest, n.integer = nil, false
	}
	if len(rest) > 0 {
		return n, ErrSyntax
	}
	n.collect(n.text, fraction, exp)
	return n, nil
}

// digits counts the decimal digits that b starts with.
func digits(b []byte) int {
	for i, c := range b {
		if c < '0' || c > '9' {
			return i
		}
	}
	return len(b)
}

// exponent reads what follows an e. Large exponents are cut at ±9999, far beyond any bound.
func exponent(b []byte) (exp int, ok bool) {
	negative := false
	if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
		negative = b[0] == '-'
		b = b[1:]
	}
	if len(b) == 0 || digits(b) != len(b) {
		return 0, false
	}
	for _, c := range b {
		exp = min(10*exp+int(c-'0'), 9999)
	}
	if negative {
		exp = -exp
	}
	return exp, true
}

// collect finds the significant digits of whole.fraction·10^exp. Zeros count when another digit follows them.
func (n *number) collect(whole, fraction []byte, exp int) {
	n.zero = true
	at := len(whole) + exp // power of ten above the current digit
	zeros := 0             // seen since the last digit that is not 0
	for _, part := range [2][]byte{whole, fraction} {
		for _, c := range part {
			at--
			if c == '0' {
				zeros++
				continue
			}
			if n.zero {
				n.zero, n.point, zeros = false, at+1, 0
			}
			n.significant += zeros + 1
			if n.significant <= 19 {
				n.low = n.low*powers[zeros+1] + uint64(c-'0')
			}
			zeros, n.exp = 0, at
		}
	}
}

// nearest is the shortest decimal that reads back as the double nearest to text.
func nearest(text []byte) (number, error) {
	x, err := strconv.ParseFloat(string(text), 64)
	if err != nil {
		return number{}, ErrSyntax // out of range was answered before
	}
	var buf [32]byte
	return parse(strconv.AppendFloat(buf[:0], x, 'e', -1, 64))
}

// powers are the powers of ten that fit into a word.
var powers = func() (p [20]uint64) {
	p[0] = 1
	for i := 1; i < len(p); i++ {
		p[i] = 10 * p[i-1]
	}
	return p
}()

// magnitude is an unsigned integer, lowest word first.
type magnitude [maxWords]uint64

// scale sets m to n·10^digits, rounded half to even, and says whether it fits.
func (m *magnitude) scale(n number, digits int) bool {
	exp := n.exp + digits
	if n.significant > 19 { // an integer: nothing to round away
		for text := n.text; len(text) > 0; {
			k := min(19, len(text))
			var part uint64
			for _, c := range text[:k] {
				part = 10*part + uint64(c-'0')
			}
			if !m.mulAdd(powers[k], part) {
				return false
			}
			text = text[k:]
		}
		exp = digits
	} else if exp >= 0 {
		m[0] = n.low
	}
	if exp < 0 {
		m[0] = divide(n.low, -exp)
	}
	for exp > 0 {
		k := min(19, exp)
		if !m.mulAdd(powers[k], 0) {
			return false
		}
		exp -= k
	}
	return true
}

// divide is x/10^k rounded half to even.
func divide(x uint64, k int) uint64 {
	if k > 19 {
		return 0 // 2^64 < 5·10^19
	}
	q, r := x/powers[k], x%powers[k]
	// Twice r may overflow, so compare r with what is missing to the next multiple.
	if missing := powers[k] - r; r > missing || r == missing && q&1 == 1 {
		q++
	}
	return q
}

// mulAdd sets m to m·f + x and says whether it fits.
func (m *magnitude) mulAdd(f, x uint64) bool {
	for i := range m {
		hi, lo := bits.Mul64(m[i], f)
		lo, c := bits.Add64(lo, x, 0)
		m[i], x = lo, hi+c
	}
	return x == 0
}

func (m *magnitude) bitLen() int {
	for i := maxWords - 1; i >= 0; i-- {
		if m[i] != 0 {
			return 64*i + bits.Len64(m[i])
		}
	}
	return 0
}

// write stores ±m in two's complement.
func (m *magnitude) write(q []uint64, negative bool) {
	clear(q)
	copy(q, m[:])
	if negative {
		negate(q)
	}
}

func negate(q []uint64) {
	c := uint64(1)
	for i := range q {
		q[i], c = bits.Add64(^q[i], 0, c)
	}
}
