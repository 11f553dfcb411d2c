package matrix

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/weftmpc/weft/simon/prg"
)

var modulus = new(big.Int).Lsh(big.NewInt(1), 256)

// ring is x mod 2^256 as a signed number.
func ring(x *big.Int) *big.Int {
	y := new(big.Int).Mod(x, modulus)
	if y.Bit(255) == 1 {
		y.Sub(y, modulus)
	}
	return y
}

// draw prefers words of zeros and of ones, so that carries run through whole elements.
func draw(t *rapid.T, rows, columns int) Matrix {
	m := New(rows, columns)
	word := rapid.OneOf(rapid.SampledFrom([]uint64{0, ^uint64(0), 1, 1 << 63}), rapid.Uint64())
	for i := range m.w {
		m.w[i] = word.Draw(t, "word")
	}
	return m
}

func TestAgreesWithBigInt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(1, 5)
		p, q := size.Draw(t, "p"), size.Draw(t, "q")
		n := rapid.OneOf(size, rapid.SampledFrom([]int{block - 1, block, block + 1, 2*block + 3})).Draw(t, "n")
		if n > 5 {
			p, q = 1, 2
		}
		a, b, c := draw(t, n, p), draw(t, n, q), draw(t, p, q)
		sum := New(p, q)
		sum.Add(c)
		if err := sum.AddCross(t.Context(), a, b); err != nil {
			t.Fatal(err)
		}
		less := New(p, q)
		less.Add(sum)
		less.Sub(c)
		for i := range p {
			for j := range q {
				want := new(big.Int)
				for k := range n {
					want.Add(want, new(big.Int).Mul(a.Int(k, i), b.Int(k, j)))
				}
				if got := less.Int(i, j); got.Cmp(ring(want)) != 0 {
					t.Fatalf("element %d, %d is %v, want %v", i, j, got, ring(want))
				}
				if got := sum.Int(i, j); got.Cmp(ring(want.Add(want, c.Int(i, j)))) != 0 {
					t.Fatalf("with what was there: %v, want %v", got, want)
				}
				if got := a.Transpose().Int(i, 0); got.Cmp(a.Int(0, i)) != 0 {
					t.Fatal("a transpose is none")
				}
			}
		}
	})
}

func TestBytesAndBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := draw(t, rapid.IntRange(1, 4).Draw(t, "rows"), rapid.IntRange(1, 4).Draw(t, "columns"))
		back, err := Decode(m.Rows(), m.Columns(), m.Bytes())
		if err != nil || !bytes.Equal(back.Bytes(), m.Bytes()) {
			t.Fatal(err)
		}
		again := New(m.Rows(), m.Columns())
		for i := range m.Rows() {
			for j := range m.Columns() {
				if err := again.SetInt(i, j, m.Int(i, j)); err != nil {
					t.Fatal(err)
				}
			}
		}
		if !bytes.Equal(again.Bytes(), m.Bytes()) {
			t.Fatal("written numbers differ from those read")
		}
	})
	top := new(big.Int).Rsh(modulus, 1)
	m := New(1, 1)
	for _, x := range []*big.Int{top, new(big.Int).Sub(new(big.Int).Neg(top), big.NewInt(1))} {
		if m.SetInt(0, 0, x) == nil {
			t.Errorf("an element holds %v", x)
		}
	}
	for _, shape := range [][2]int{{0, 1}, {1, 0}, {-1, 1}, {Most, 2}, {1 << 62, 1 << 62}} {
		if _, err := Decode(shape[0], shape[1], nil); err == nil {
			t.Errorf("there is a matrix of shape %v", shape)
		}
	}
	if _, err := Decode(2, 2, make([]byte, 4*Size+8)); err == nil {
		t.Error("a matrix of another length was read")
	}
	if err := Check(1, Most); err != nil {
		t.Error(err)
	}
}

func TestFillIsTheStream(t *testing.T) {
	stream := func() prg.Stream {
		s, err := prg.New(make([]byte, prg.KeySize))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	m := New(7, 301) // several chunks and a part of one
	m.Fill(stream())
	want := make([]byte, 7*301*Size)
	stream().Fill(want)
	if !bytes.Equal(m.Bytes(), want) {
		t.Error("Fill gives other bytes than the stream")
	}
}

func TestProductsEndEarly(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := New(2, 2).AddCross(ctx, New(3, 2), New(3, 2)); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := New(2, 2).AddCross(t.Context(), New(3, 2), New(4, 2)); !errors.Is(err, errRows) {
		t.Error(err)
	}
}

// share splits a number in units into shares of so many holders.
func share(r *rand.Rand, z *big.Int, holders int) []Matrix {
	rest := new(big.Int).Set(z)
	var all []Matrix
	for range holders - 1 {
		m := New(1, 1)
		for i := range m.w {
			m.w[i] = r.Uint64()
		}
		rest.Sub(rest, m.Int(0, 0))
		all = append(all, m)
	}
	last := New(1, 1)
	if err := last.SetInt(0, 0, ring(rest)); err != nil {
		panic(err)
	}
	return append(all, last)
}

// opened is what recipients make of trimmed shares.
func opened(t *testing.T, c Cut, shares []Matrix) *big.Int {
	t.Helper()
	sum := New(1, 1)
	for _, s := range shares {
		c.Trim(s)
		sum.Add(s)
	}
	value, ok := c.Value(sum.Limbs(0, 0))
	if !ok {
		t.Fatal("trimmed shares have low bits")
	}
	return value
}

// TestCut: multiples of the last decimal are exact for all shares; other numbers are off by less than that decimal once
// rounded, by less than half before.
func TestCut(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for holders := 2; holders <= 5; holders++ {
		for decimals := range 19 {
			const unit = 36
			c, err := NewCut(unit, decimals, holders)
			if err != nil {
				t.Fatal(err)
			}
			step := power(unit - decimals)
			for range 300 {
				whole := big.NewInt(r.Int64N(1<<62) - 1<<61)
				if got := opened(t, c, share(r, new(big.Int).Mul(whole, step), holders)); got.Cmp(whole) != 0 {
					t.Fatalf("%d holders, %d decimals: %v came out as %v", holders, decimals, whole, got)
				}
				z := new(big.Int).Mul(whole, big.NewInt(r.Int64()))
				got := opened(t, c, share(r, z, holders))
				off := new(big.Int).Sub(new(big.Int).Mul(got, step), z)
				if off.CmpAbs(step) >= 0 {
					t.Fatalf("%d holders, %d decimals: off by %v of %v", holders, decimals, off, step)
				}
			}
			// The bound before rounding, at both ends of what the shares can drop.
			most := new(big.Int).Mul(big.NewInt(int64(holders)), new(big.Int).Lsh(big.NewInt(1), uint(c.Bits()-1)))
			if new(big.Int).Lsh(most, 1).Cmp(step) > 0 {
				t.Errorf("%d holders, %d decimals: up to %v of %v are lost", holders, decimals, most, step)
			}
		}
	}
}

func TestIntegersStayIntegers(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	c, err := NewCut(36, 12, 2)
	if err != nil {
		t.Fatal(err)
	}
	one := power(12)
	for range 10_000 {
		x := big.NewInt(r.Int64N(2001) - 1000)
		got := opened(t, c, share(r, new(big.Int).Mul(x, power(36)), 2))
		if got.Cmp(new(big.Int).Mul(x, one)) != 0 {
			t.Fatalf("%v came out as %v of 1e-12", x, got)
		}
	}
}

func TestCutsThatAreNone(t *testing.T) {
	for _, c := range [][3]int{{36, 36, 2}, {36, -1, 2}, {36, 12, 0}, {78, 12, 2}, {13, 12, 10}} {
		if _, err := NewCut(c[0], c[1], c[2]); err == nil {
			t.Errorf("there is a cut %v", c)
		}
	}
	c, err := NewCut(36, 12, 2)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := c.Value([]uint64{1, 0, 0, 0}); ok {
		t.Error("an opened number with low bits was taken")
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(1, 2, make([]byte, 2*Size))
	f.Add(3, 1, bytes.Repeat([]byte{0xff}, 3*Size))
	f.Add(-1, 1<<62, []byte{})
	f.Fuzz(func(t *testing.T, rows, columns int, b []byte) {
		m, err := Decode(rows, columns, b)
		if err == nil && !bytes.Equal(m.Bytes(), b) {
			t.Fatal("other bytes came back")
		}
	})
}

func BenchmarkCross(b *testing.B) {
	for _, s := range [][3]int{{10, 10, 10}, {100, 1000, 100}, {1, 10000, 100}} {
		b.Run(fmt.Sprintf("%dx%dx%d", s[0], s[1], s[2]), func(b *testing.B) {
			r := rand.New(rand.NewPCG(1, 1))
			x, y, z := New(s[1], s[0]), New(s[1], s[2]), New(s[0], s[2])
			for _, m := range []Matrix{x, y} {
				for i := range m.w {
					m.w[i] = r.Uint64()
				}
			}
			for b.Loop() {
				if err := z.AddCross(b.Context(), x, y); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(s[0]*s[1]*s[2]), "ns/product")
		})
	}
}
