package simon

import (
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

// TestProductsAgreeWithBigInt: the words are such that carries run everywhere; (2³²-1)·(2³²+1) is a word of ones.
func TestProductsAgreeWithBigInt(t *testing.T) {
	low := []uint64{0, 1, 2, 1<<32 - 1, 1<<63 - 1, 1 << 63, 1<<64 - 2, 1<<64 - 1}
	high := []uint64{0, 1, 2, 1<<32 - 1, 1<<32 + 1, 1 << 47, 1<<48 - 2, 1<<48 - 1} // 112 bits in all
	number := func(i, j int, negative bool) *gridNumber {
		return &gridNumber{[statLimbs]uint64{low[i], high[j]}, negative}
	}
	for i := range 1 << 12 {
		x, y := number(i&7, i>>3&7, false), number(i>>6&7, i>>9, true)
		var sum [productLimbs]uint64
		addProduct(&sum, x, y)
		want := new(big.Int).Mul(x.int(), y.int())
		if got := signed(sum[:]); got.Cmp(want) != 0 {
			t.Fatalf("%v·%v is %v, want %v", x.int(), y.int(), got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		var sum [productLimbs]uint64
		want := new(big.Int)
		for range rapid.IntRange(1, 9).Draw(t, "products") {
			x, y := drawMagnitude(t, "x"), drawMagnitude(t, "y")
			addProduct(&sum, &x, &y)
			want.Add(want, new(big.Int).Mul(x.int(), y.int()))
		}
		if got := signed(sum[:]); got.Cmp(want) != 0 {
			t.Fatalf("%v, want %v", got, want)
		}
	})
}
