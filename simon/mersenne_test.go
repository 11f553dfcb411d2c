package simon

import (
	"bytes"
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"github.com/weftmpc/weft/simon/prg"
	"github.com/weftmpc/weft/simon/ring"
)

// TestTagsAgreeWithBigInt: tags are what math/big says, for all widths of fields and for numbers at their ends.
func TestTagsAgreeWithBigInt(tt *testing.T) {
	rapid.Check(tt, func(t *rapid.T) {
		var l ring.Layout
		for range rapid.IntRange(1, 3).Draw(t, "fields") {
			l = append(l, ring.Field{Name: "x", Limbs: rapid.SampledFrom([]int{1, 1, 2, 3, 8, 9, 19, 34}).Draw(t, "limbs"), Count: rapid.IntRange(1, 3).Draw(t, "count")})
		}
		one := rapid.OneOf(rapid.SampledFrom([]byte{0, 0xff, 1, 0x80, 0x7f}), rapid.Byte())
		v, err := ring.Decode(l, rapid.SliceOfN(one, l.Size(), l.Size()).Draw(t, "bytes"))
		if err != nil {
			t.Fatal(err)
		}
		m, err := mersenneFor(l)
		if err != nil {
			t.Fatal(err)
		}
		key := rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "key")
		stream := func() prg.Stream {
			s, err := prg.New(key)
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		p := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), uint(m.e)), big.NewInt(1))
		want, factors := new(big.Int), stream()
		for f, field := range l {
			if 64*field.Limbs >= m.e {
				t.Fatalf("a field of %d words mod 2^%d-1", field.Limbs, m.e)
			}
			for i := range field.Count {
				b := make([]byte, (m.e+128+63)/64*8)
				factors.Fill(b)
				alpha := bigOf(decodeWords(b))
				alpha.And(alpha, new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), uint(m.e+128)), big.NewInt(1)))
				want.Add(want, alpha.Mul(alpha, v.Int(f, i)))
			}
		}
		got := m.tag(v, stream())
		if g := bigOf(got); g.Cmp(p) > 0 || new(big.Int).Mod(g, p).Cmp(want.Mod(want, p)) != 0 {
			t.Fatalf("the tag is %x, want %x", g, want)
		}
		m.sub(got, m.tag(v, stream()))
		if !m.zero(got) {
			t.Fatalf("x - x is %x", got)
		}
		unit := make([]uint64, m.words())
		unit[0] = 1
		m.add(got, unit)
		if m.zero(got) {
			t.Fatal("1 is 0")
		}
	})
	if _, err := mersenneFor(ring.Layout{{Name: "x", Limbs: 35, Count: 1}}); err == nil {
		tt.Error("a field of 2,240 bits has a tag")
	}
	m := mersenne{127}
	if _, err := m.element(bytes.Repeat([]byte{0xff}, 16)); err == nil {
		tt.Error("2^128-1 is an element")
	}
	for _, e := range mersennes {
		if p := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), uint(e)), big.NewInt(1)); e < 1000 && !p.ProbablyPrime(10) {
			tt.Errorf("2^%d-1 is no prime", e)
		}
	}
}

func bigOf(x []uint64) *big.Int {
	z := new(big.Int)
	for i := len(x) - 1; i >= 0; i-- {
		z.Or(z.Lsh(z, 64), new(big.Int).SetUint64(x[i]))
	}
	return z
}
