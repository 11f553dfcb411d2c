package matrix

import (
	"fmt"
	"math/big"
)

// Cut is the opening of a shared number without its low digits, so that the recipients learn it to a few decimals and not
// to the last: from many exact functionals of coarse values the values themselves can be found.
//
// Each of h holders takes the low d bits of its share away before the shares are added up. What is lost lies between 0 and
// h·(2^d-1); half of h·2^d stands for it, so that the error is below half of the last decimal: what is a multiple of it
// comes out exactly. Other numbers may come out as one of two neighbours, by chance, the same at all recipients.
type Cut struct {
	unit, decimals, holders int
	bits                    int
}

// NewCut opens numbers in units of 10^-unit, shared by so many holders, to so many decimals.
func NewCut(unit, decimals, holders int) (Cut, error) {
	if holders < 1 || decimals < 0 || unit <= decimals || unit > 77 {
		return Cut{}, fmt.Errorf("matrix: no cut of units of 1e-%d to %d decimals for %d holders", unit, decimals, holders)
	}
	share := new(big.Int).Quo(power(unit-decimals), big.NewInt(int64(holders)))
	d := share.BitLen() - 1
	if d < 1 {
		return Cut{}, fmt.Errorf("matrix: units of 1e-%d are too coarse for %d decimals and %d holders", unit, decimals, holders)
	}
	return Cut{unit, decimals, holders, d}, nil
}

func power(n int) *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil) }

// Bits is how many bits of each share are dropped.
func (c Cut) Bits() int { return c.bits }

// Trim drops the low bits of all elements. The sum of trimmed shares is one mod 2^(256-d) times 2^d: no carry shows.
func (c Cut) Trim(m Matrix) {
	for i := 0; i < len(m.w); i += Limbs {
		for k := range Limbs {
			switch low := c.bits - 64*k; {
			case low >= 64:
				m.w[i+k] = 0
			case low > 0:
				m.w[i+k] &^= 1<<low - 1
			}
		}
	}
}

// Value is the number that the sum of the trimmed shares stands for, in units of the last decimal. It is false where the
// sum is none of trimmed shares.
func (c Cut) Value(sum []uint64) (*big.Int, bool) {
	u := Signed(sum)
	if u.Sign() != 0 && u.TrailingZeroBits() < uint(c.bits) {
		return nil, false
	}
	u.Rsh(u, uint(c.bits)) // exact
	u.Lsh(u, 1).Add(u, big.NewInt(int64(c.holders)))
	u.Lsh(u, uint(c.bits-1))
	return halfEven(u, power(c.unit-c.decimals)), true
}

// halfEven is x/y for y > 0, rounded to the nearest integer, to the even one of two.
func halfEven(x, y *big.Int) *big.Int {
	q, r := new(big.Int).DivMod(x, y, new(big.Int)) // 0 <= r < y
	switch r.Lsh(r, 1).Cmp(y) {
	case 1:
		q.Add(q, big.NewInt(1))
	case 0:
		if q.Bit(0) == 1 {
			q.Add(q, big.NewInt(1))
		}
	}
	return q
}
