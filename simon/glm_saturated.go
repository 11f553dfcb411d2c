package simon

import (
	"math/big"
	"math/bits"
	"sync"

	"github.com/weftmpc/weft/simon/special"
)

// saturation adds up the log-likelihood of the saturated Poisson model: the logarithms of the probabilities of each count y
// where y is expected, y·ln y - y - ln y!. Each is rounded to units of 10^-satDigits, so that the sum does not depend on who
// has which count. They are not above 0; what is kept is without the sign.
type saturation struct {
	sum   [2]uint64               // below 2^24 rows · 17·10^18
	small [saturationSmall]uint64 // by y; 0: not known yet
}

const (
	saturationSmall = 1024 // from here on, Stirling's series is exact enough with three terms
	saturationUnits = 1e18 // 10^satDigits
)

func (s *saturation) add(y uint64) {
	switch {
	case y == 0:
	case y < saturationSmall:
		if s.small[y] == 0 {
			s.small[y] = smallSaturation(y)
		}
		addTo(s.sum[:], s.small[y:y+1], false)
	default:
		addTo(s.sum[:], []uint64{largeSaturation(y)}, false)
	}
}

func (s *saturation) total() *big.Int {
	x := new(big.Int).SetUint64(s.sum[1])
	x.Lsh(x, 64).Add(x, new(big.Int).SetUint64(s.sum[0]))
	return x.Neg(x)
}

// smallSaturation is ln y! + y - y·ln y.
func smallSaturation(y uint64) uint64 {
	x := new(big.Float).SetPrec(special.Prec).SetUint64(y)
	sum := special.Int(0)
	sum.Mul(x, special.Log(x)).Sub(x, sum)
	sum.Add(sum, special.LogGamma(new(big.Float).Add(x, special.Int(1))))
	sum.Mul(sum, special.New(saturationUnits))
	q, _ := sum.Add(sum, special.New(0.5)).Uint64()
	return q
}

// largeSaturation is the same for y from saturationSmall to 2^46, by Stirling's series (DLMF 5.11.1):
// (ln 2π + ln y)/2 + 1/12y - 1/360y³ + 1/1260y⁵, within one unit. With millions of different counts it must not take the
// many microseconds that logarithms of special take.
func largeSaturation(y uint64) uint64 {
	// y = 2^k·c·(1+r), where c is one of 256 from 1 to 2, and r < 2^-8 in units of 2^-72.
	k := bits.Len64(y) - 1
	fraction := y << (64 - k) // y/2^k - 1
	j := fraction >> 56
	rest := fraction << 8 // of it beyond c-1, in units of 2^-72
	r, _ := bits.Div64(rest>>56, rest<<8, 256+j)

	// ln(1+r) = r·(1 - r·(1/2 - r·(1/3 - …))) in units of 2^-72, its inner sums in units of 2^-64.
	inner := uint64(0)
	for n := uint64(8); n >= 2; n-- {
		share, _ := bits.Div64(1, 0, n)
		product, _ := bits.Mul64(r, inner)
		inner = share - product>>8
	}
	inner, _ = bits.Mul64(r, inner)
	less, _ := bits.Mul64(r, inner>>8)

	t := stirling()
	sum := t[j]
	high, low := bits.Mul64(t[256][0], uint64(k))
	addTo(sum[:], []uint64{low, high + t[256][1]*uint64(k)}, false)
	addTo(sum[:], []uint64{r - less}, false)

	// Half of it is the same number in units of 2^-73, in which the series goes on.
	const one = 1 << 9 // times 2^64
	first, _ := bits.Div64(one, 0, 12*y)
	second, _ := bits.Div64(one, 0, 360*y)
	third, _ := bits.Div64(one, 0, 1260*y)
	addTo(sum[:], []uint64{first}, false)
	addTo(sum[:], []uint64{second / y / y}, true)
	addTo(sum[:], []uint64{third / y / y / y / y}, false)

	above, _ := bits.Mul64(sum[0], saturationUnits)
	high, mid := bits.Mul64(sum[1], saturationUnits)
	mid, carry := bits.Add64(mid, above, 0)
	high += carry
	mid, carry = bits.Add64(mid, 1<<8, 0) // half of 2^73
	high += carry
	return high<<55 | mid>>9
}

// stirling are ln 2π + ln(1+j/256), and at the end ln 2, in units of 2^-72, lowest word first.
var stirling = sync.OnceValue(func() *[257][2]uint64 {
	var t [257][2]uint64
	fixed := func(x *big.Float) [2]uint64 {
		x = new(big.Float).SetMantExp(x, 72)
		n, _ := x.Add(x, special.New(0.5)).Int(nil)
		w := words(n)
		return [2]uint64{w[0], w[1]}
	}
	circle := special.Log(new(big.Float).Mul(special.Pi(), special.Int(2)))
	for j := range int64(256) {
		c := special.Log(new(big.Float).Quo(special.Int(256+j), special.Int(256)))
		t[j] = fixed(c.Add(c, circle))
	}
	t[256] = fixed(special.Log(special.Int(2)))
	return &t
})
