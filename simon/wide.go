package simon

import (
	"math/big"
	"math/bits"

	"github.com/weftmpc/weft/simon/special"
)

// Adding up ten million numbers takes three seconds if nothing is allocated for any of them, and five times as long with
// math/big. So private sums are kept in words, lowest first: numbers as sign and magnitude, sums in two's complement, as vectors hold them.

// gridNumber is a number in statEncoding: ±magnitude in units of 1e-20, below 2^112.
type gridNumber struct {
	magnitude [statLimbs]uint64
	negative  bool
}

// grid reads a number in statEncoding.
func (c cell) grid() (gridNumber, error) {
	var q gridNumber
	if c.item != itemNumber {
		return q, c.at.bad("%s", c.item.reason())
	}
	if err := statEncoding.Encode(q.magnitude[:], c.number); err != nil {
		return q, c.at.bad("%s", err)
	}
	if q.negative = q.magnitude[statLimbs-1]>>63 == 1; q.negative {
		low, borrow := bits.Sub64(0, q.magnitude[0], 0)
		high, _ := bits.Sub64(0, q.magnitude[1], borrow)
		q.magnitude = [statLimbs]uint64{low, high}
	}
	return q, nil
}

func (q gridNumber) zero() bool { return q.magnitude == [statLimbs]uint64{} }

// addTo adds ±m to sum, which has room for the total and is not shorter than m.
func addTo(sum, m []uint64, negative bool) {
	var carry uint64
	tail := sum[len(m):]
	if negative {
		for i, w := range m {
			sum[i], carry = bits.Sub64(sum[i], w, carry)
		}
		for i := 0; carry != 0 && i < len(tail); i++ {
			tail[i], carry = bits.Sub64(tail[i], 0, carry)
		}
		return
	}
	for i, w := range m {
		sum[i], carry = bits.Add64(sum[i], w, carry)
	}
	for i := 0; carry != 0 && i < len(tail); i++ {
		tail[i], carry = bits.Add64(tail[i], 0, carry)
	}
}

// multiply sets z, which has two words more than x, to x·y.
func multiply(z, x []uint64, y [statLimbs]uint64) {
	var low, high uint64 // what is carried into the next two words
	for i, w := range x {
		h0, l0 := bits.Mul64(w, y[0])
		h1, l1 := bits.Mul64(w, y[1])
		var c uint64
		z[i], c = bits.Add64(l0, low, 0)
		h0, c = bits.Add64(h0, high, c)
		h1 += c // w·y and what is carried are together below 2^192: nothing is lost
		low, c = bits.Add64(h0, l1, 0)
		high = h1 + c
	}
	z[len(x)], z[len(x)+1] = low, high
}

// powerSum adds up powers of numbers on the grid, from the first to one of at most the sixth.
type powerSum struct {
	order int
	sums  [7][]uint64 // by power; as long as limbsFor says
	power [2][6 * statLimbs]uint64
}

func newPowerSum(order int) *powerSum {
	s := &powerSum{order: order}
	for k := 1; k <= order; k++ {
		s.sums[k] = make([]uint64, limbsFor(k*statEncoding.Bits))
	}
	return s
}

func (s *powerSum) add(q gridNumber) {
	power := append(s.power[0][:0], q.magnitude[:]...)
	for k := 1; ; k++ {
		sum := s.sums[k]
		// The highest words of a power of a number below 2^112 are 0; the sum may be shorter than they make the power.
		addTo(sum, power[:min(len(power), len(sum))], q.negative && k%2 == 1)
		if k == s.order {
			return
		}
		next := s.power[k%2][:len(power)+statLimbs]
		multiply(next, power, q.magnitude)
		power = next
	}
}

// The sum of reciprocals in units of 10^-invDigits: each is rounded half to even, so that the total does not depend on who
// holds which number.
const inverseLimbs = 3

// inverseScale is the reciprocal of 1 on the grid, 10^(20+invDigits): 1/(q·10^-20) in units of 10^-invDigits is
// inverseScale/q.
var inverseScale = words(powerOfTen(statEncoding.Digits + invDigits))

func words(x *big.Int) (w [inverseLimbs]uint64) {
	mask := new(big.Int).SetUint64(1<<64 - 1)
	for i := range w {
		w[i] = new(big.Int).And(new(big.Int).Rsh(x, uint(64*i)), mask).Uint64()
	}
	return w
}

// inverse is the reciprocal of a magnitude other than 0.
func inverse(d [statLimbs]uint64) [inverseLimbs]uint64 {
	q, r := divide(inverseScale, d)
	// Twice the remainder against the divisor, which is below 2^112, so that doubling loses nothing.
	half := [statLimbs]uint64{r[0] << 1, r[1]<<1 | r[0]>>63}
	low, borrow := bits.Sub64(d[0], half[0], 0)
	high, borrow := bits.Sub64(d[1], half[1], borrow)
	if borrow == 1 || low|high == 0 && q[0]&1 == 1 {
		addTo(q[:], []uint64{1}, false)
	}
	return q
}

// divide is n/d and what is left, by Knuth's algorithm D (The Art of Computer Programming, volume 2, section 4.3.1).
func divide(n [inverseLimbs]uint64, d [statLimbs]uint64) (q [inverseLimbs]uint64, r [statLimbs]uint64) {
	if d[1] == 0 {
		for i := inverseLimbs - 1; i >= 0; i-- {
			q[i], r[0] = bits.Div64(r[0], n[i], d[0])
		}
		return q, r
	}
	shift := uint(bits.LeadingZeros64(d[1])) // shifting by 64 gives 0, as is wanted here for a shift of 0
	d1, d0 := d[1]<<shift|d[0]>>(64-shift), d[0]<<shift
	u := [inverseLimbs + 1]uint64{n[0] << shift, n[1]<<shift | n[0]>>(64-shift), n[2]<<shift | n[1]>>(64-shift), n[2] >> (64 - shift)}
	for j := inverseLimbs - statLimbs; j >= 0; j-- {
		q[j], u[j+1], u[j] = divideStep(u[j+2], u[j+1], u[j], d1, d0)
	}
	return q, [statLimbs]uint64{u[0]>>shift | u[1]<<(64-shift), u[1] >> shift}
}

// divideStep is one digit of a quotient: (u2,u1,u0)/(d1,d0) and the remainder, for (u2,u1) < (d1,d0) and the highest bit of
// d1 set.
func divideStep(u2, u1, u0, d1, d0 uint64) (digit, r1, r0 uint64) {
	digit = 1<<64 - 1
	if u2 < d1 {
		digit, _ = bits.Div64(u2, u1, d1)
	}
	// The digit is at most 2 too large: subtract digit·d, and add d back while the result is negative.
	h0, l0 := bits.Mul64(digit, d0)
	h1, l1 := bits.Mul64(digit, d1)
	l1, carry := bits.Add64(l1, h0, 0)
	h1 += carry
	r0, borrow := bits.Sub64(u0, l0, 0)
	r1, borrow = bits.Sub64(u1, l1, borrow)
	r2, _ := bits.Sub64(u2, h1, borrow)
	for r2 != 0 {
		digit--
		r0, carry = bits.Add64(r0, d0, 0)
		r1, carry = bits.Add64(r1, d1, carry)
		r2 += carry
	}
	return digit, r1, r0
}

// logSum adds logarithms of positive integers: it multiplies them, and takes one logarithm at the end. The product keeps
// its highest 256 bits, so that a billion factors leave 67 digits of it.
type logSum struct {
	product  [4]uint64 // the highest bit is set: product·2^-256 is in [1/2, 1)
	exponent int64     // of 2
	count    int64
}

func newLogSum() *logSum {
	return &logSum{product: [4]uint64{3: 1 << 63}, exponent: 1} // 1
}

// add takes one more factor, not 0.
func (l *logSum) add(m [statLimbs]uint64) {
	length := 64 + bits.Len64(m[1])
	if m[1] == 0 {
		m[0], m[1], length = 0, m[0], bits.Len64(m[0])
	}
	shift := uint(bits.LeadingZeros64(m[1]))
	m[0], m[1] = m[0]<<shift, m[1]<<shift|m[0]>>(64-shift) // m·2^-128 is in [1/2, 1)
	l.exponent += int64(length)
	var z [6]uint64
	multiply(z[:], l.product[:], m)
	copy(l.product[:], z[2:])
	if z[5]>>63 == 0 {
		for i := range l.product {
			l.product[i] = z[i+2]<<1 | z[i+1]>>63
		}
		l.exponent--
	}
	l.count++
}

// total is the sum of ln(q·10^-digits), in units of 10^-out, rounded.
func (l *logSum) total(digits, out int) *big.Int {
	sum := special.Log(l.mantissa())
	two, ten := special.Log(special.Int(2)), special.Log(special.Int(10))
	sum.Add(sum, two.Mul(two, special.Int(l.exponent)))
	sum.Sub(sum, ten.Mul(ten, special.Int(l.count*int64(digits))))
	sum.Mul(sum, new(big.Float).SetInt(powerOfTen(out)))
	half := special.New(0.5)
	if sum.Sign() < 0 {
		half.Neg(half)
	}
	t, _ := sum.Add(sum, half).Int(nil)
	return t
}

// mantissa is product·2^-256.
func (l *logSum) mantissa() *big.Float {
	x := special.Int(0)
	for i := len(l.product) - 1; i >= 0; i-- {
		x.SetMantExp(x, 64)
		x.Add(x, new(big.Float).SetUint64(l.product[i]))
	}
	return x.SetMantExp(x, -256)
}
