package encode

import (
	"math"
	"math/bits"
	"slices"
	"strconv"
)

// AppendJSON appends x·10^-Digits as a JSON number, x being a two's complement integer, lowest limb first, which it leaves
// alone. Integral values keep all digits; others are rounded once to the nearest double, whose shortest text is written.
func (d Decimal) AppendJSON(dst []byte, x []uint64) []byte {
	q := append(make([]uint64, 0, 8), x...)
	if len(q) > 0 && q[len(q)-1]>>63 == 1 {
		negate(q)
		dst = append(dst, '-')
	}
	if n, ok := d.integer(q); ok {
		return strconv.AppendUint(dst, n, 10)
	}
	var buf [160]byte
	text := appendDigits(buf[:0], q)
	if text[0] == '0' {
		return append(dst, '0')
	}
	zeros := 0
	for zeros < d.Digits && text[len(text)-1] == '0' {
		text = text[:len(text)-1]
		zeros++
	}
	if zeros == d.Digits {
		return append(dst, text...)
	}
	text = append(text, 'e')
	return appendFloat(dst, strconv.AppendInt(text, int64(zeros-d.Digits), 10))
}

// integer is q/10^Digits where that is an integer of one word, as most sums of whole numbers are.
func (d Decimal) integer(q []uint64) (n uint64, ok bool) {
	var buf [8]uint64
	q = append(buf[:0], q...)
	for left := d.Digits; left > 0; {
		k := min(19, left)
		if divideBy(q, powers[k]) != 0 {
			return 0, false
		}
		left -= k
	}
	for i, limb := range q {
		if i == 0 {
			n = limb
		} else if limb != 0 {
			return 0, false
		}
	}
	return n, true
}

// divideBy divides q in place and returns the remainder.
func divideBy(q []uint64, by uint64) (r uint64) {
	for i := len(q) - 1; i >= 0; i-- {
		q[i], r = bits.Div64(r, q[i], by)
	}
	return r
}

// appendFloat appends the double next to a decimal.
func appendFloat(dst, text []byte) []byte {
	x, err := strconv.ParseFloat(string(text), 64) // correctly rounded for texts of any length
	if err != nil {
		panic(err) // the fields of a layout are too narrow for sums beyond the doubles
	}
	return AppendFloat(dst, x)
}

// AppendFloat appends the shortest text that reads back as x, which is finite, spelled as JavaScript spells it (ECMA-262,
// Number::toString, which RFC 8785 prescribes for canonical JSON). -0 is 0.
func AppendFloat(dst []byte, x float64) []byte {
	if x == 0 {
		return append(dst, '0')
	}
	if abs := math.Abs(x); abs >= 1e-6 && abs < 1e21 {
		return strconv.AppendFloat(dst, x, 'f', -1, 64)
	}
	dst = strconv.AppendFloat(dst, x, 'e', -1, 64)
	if n := len(dst); dst[n-4] == 'e' && dst[n-2] == '0' { // e-09 is spelled e-9
		dst[n-2] = dst[n-1]
		dst = dst[:n-1]
	}
	return dst
}

// appendDigits appends the decimal digits of q, an unsigned integer, and destroys it.
func appendDigits(dst []byte, q []uint64) []byte {
	const digits = 19 // per division
	start := len(dst)
	for {
		for len(q) > 0 && q[len(q)-1] == 0 {
			q = q[:len(q)-1]
		}
		if len(q) == 0 {
			break
		}
		r := divideBy(q, powers[digits])
		for range digits {
			dst = append(dst, '0'+byte(r%10))
			r /= 10
		}
	}
	for len(dst) > start+1 && dst[len(dst)-1] == '0' {
		dst = dst[:len(dst)-1]
	}
	if len(dst) == start {
		dst = append(dst, '0')
	}
	slices.Reverse(dst[start:])
	return dst
}
