package ring

import (
	"bytes"
	"encoding/hex"
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"github.com/weftmpc/weft/simon/prg"
)

// modulus is 2^(64·limbs).
func modulus(limbs int) *big.Int { return new(big.Int).Lsh(big.NewInt(1), uint(64*limbs)) }

// signed brings x into the range of a field of the given width.
func signed(x *big.Int, limbs int) *big.Int {
	m := modulus(limbs)
	y := new(big.Int).Mod(x, m)
	if y.BitLen() == 64*limbs {
		y.Sub(y, m)
	}
	return y
}

func drawLayout(t *rapid.T) Layout {
	fields := rapid.IntRange(1, 4).Draw(t, "fields")
	var l Layout
	for i := range fields {
		l = append(l, Field{
			Name:  string(rune('a' + i)),
			Limbs: rapid.SampledFrom([]int{1, 2, 3, 3, 4, 5, 34}).Draw(t, "limbs"),
			Count: rapid.SampledFrom([]int{1, 2, 3, 4, 5, 7, 9}).Draw(t, "count"),
		})
	}
	return l
}

// drawVector prefers bytes 0x00 and 0xff, so that carries run through whole elements.
func drawVector(t *rapid.T, l Layout) Vector {
	one := rapid.OneOf(rapid.SampledFrom([]byte{0, 0xff, 0xff, 1, 0x80}), rapid.Byte())
	v, err := Decode(l, rapid.SliceOfN(one, l.Size(), l.Size()).Draw(t, "bytes"))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestAddAgreesWithBigInt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := drawLayout(t)
		x, y := drawVector(t, l), drawVector(t, l)
		sum, diff := x.Clone(), x.Clone()
		sum.Add(y)
		diff.SubStream(bytesStream(y.Bytes()))
		for f, field := range l {
			for i := range field.Count {
				a, b := x.Int(f, i), y.Int(f, i)
				if got, want := sum.Int(f, i), signed(new(big.Int).Add(a, b), field.Limbs); got.Cmp(want) != 0 {
					t.Fatalf("%v + %v = %v, want %v", a, b, got, want)
				}
				if got, want := diff.Int(f, i), signed(new(big.Int).Sub(a, b), field.Limbs); got.Cmp(want) != 0 {
					t.Fatalf("%v - %v = %v, want %v", a, b, got, want)
				}
			}
		}
	})
}

// bytesStream is a stream of given bytes.
func bytesStream(b []byte) prg.Stream { return &fixed{bytes.NewReader(b)} }

type fixed struct{ r *bytes.Reader }

func (f *fixed) Fill(dst []byte) {
	if n, _ := f.r.Read(dst); n < len(dst) {
		panic("stream read beyond its vector")
	}
}

func TestCarryStaysInsideTheElement(t *testing.T) {
	l := Layout{{"a", 3, 2}, {"b", 1, 5}, {"c", 2, 2}}
	ones, err := Decode(l, bytes.Repeat([]byte{0xff}, l.Size()))
	if err != nil {
		t.Fatal(err)
	}
	one := New(l)
	for f, field := range l {
		for i := range field.Count {
			if err := one.SetInt(f, i, big.NewInt(1)); err != nil {
				t.Fatal(err)
			}
		}
	}
	ones.Add(one)
	if !ones.Equal(New(l)) {
		t.Fatalf("-1 + 1 = %x", ones.Bytes())
	}
}

func TestStreamsCancelAndMatchTheirBytes(t *testing.T) {
	for _, l := range []Layout{
		{{"one", 1, 1}},
		{{"a", 3, 5000}, {"b", 1, 9001}, {"c", 64, 130}, {"d", 5, 4099}, {"e", 2, 1}}, // several chunks, none of equal size
	} {
		key := bytes.Repeat([]byte{7}, prg.KeySize)
		stream := func() prg.Stream {
			s, err := prg.New(key)
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		mask := New(l)
		stream().Fill(mask.Bytes())

		x := New(l)
		for i := range x.Bytes() {
			x.Bytes()[i] = byte(i * 31)
		}
		y := x.Clone()
		y.AddStream(stream())
		want := x.Clone()
		want.Add(mask)
		if !y.Equal(want) {
			t.Fatal("AddStream differs from Add of the stream's bytes")
		}
		if err := y.AddBytes(make([]byte, l.Size()-1)); err == nil {
			t.Fatal("a vector of the wrong length was added")
		}
		y.SubStream(stream())
		if !y.Equal(x) {
			t.Fatal("SubStream does not undo AddStream")
		}
	}
}

func TestIntBounds(t *testing.T) {
	for _, limbs := range []int{1, 2, 3, 34} {
		v := New(Layout{{"pad", 1, 1}, {"x", limbs, 3}})
		top := new(big.Int).Rsh(modulus(limbs), 1)
		for _, x := range []*big.Int{
			big.NewInt(0), big.NewInt(1), big.NewInt(-1),
			new(big.Int).Sub(top, big.NewInt(1)), new(big.Int).Neg(top),
		} {
			if err := v.SetInt(1, 1, x); err != nil {
				t.Fatal(err)
			}
			if got := v.Int(1, 1); got.Cmp(x) != 0 {
				t.Errorf("%d limbs: wrote %v, read %v", limbs, x, got)
			}
			words := make([]uint64, limbs)
			v.Limbs(1, 1, words)
			v.SetLimbs(1, 2, words)
			if got := v.Int(1, 2); got.Cmp(x) != 0 {
				t.Errorf("%d limbs: %v through words is %v", limbs, x, got)
			}
		}
		if v.Int(0, 0).Sign() != 0 || v.Int(1, 0).Sign() != 0 {
			t.Error("a neighbour changed")
		}
		for _, x := range []*big.Int{top, new(big.Int).Sub(new(big.Int).Neg(top), big.NewInt(1))} {
			if v.SetInt(1, 1, x) == nil {
				t.Errorf("%d limbs hold %v", limbs, x)
			}
		}
	}
}

func TestLayoutCheck(t *testing.T) {
	bad := map[string]Layout{
		"empty":      nil,
		"no name":    {{"", 1, 1}},
		"long name":  {{string(make([]byte, 256)), 1, 1}},
		"no limbs":   {{"a", 0, 1}},
		"many limbs": {{"a", MaxLimbs + 1, 1}},
		"no element": {{"a", 1, 0}},
		"negative":   {{"a", 1, -1}},
		"large":      {{"a", 1, MaxSize/8 + 1}},
		"large sum":  {{"a", 1, MaxSize / 8}, {"b", 1, 1}},
		"overflow":   {{"a", 64, 1 << 62}},
	}
	for name, l := range bad {
		if l.Check() == nil {
			t.Errorf("%s: accepted", name)
		}
		if _, err := Decode(l, nil); err == nil {
			t.Errorf("%s: decoded", name)
		}
	}
	if err := (Layout{{"a", 1, MaxSize / 8}}).Check(); err != nil {
		t.Error(err)
	}
}

func TestLayoutHash(t *testing.T) {
	seen := map[[32]byte]int{}
	for i, l := range []Layout{
		{{"a", 1, 1}}, {{"b", 1, 1}}, {{"a", 2, 1}}, {{"a", 1, 2}},
		{{"a", 1, 1}, {"b", 1, 1}}, {{"b", 1, 1}, {"a", 1, 1}}, {{"ab", 1, 1}}, {{"a", 1, 1}, {"a", 1, 1}},
	} {
		h := l.Hash()
		if j, ok := seen[h]; ok {
			t.Errorf("layouts %d and %d have one hash", i, j)
		}
		seen[h] = i
	}
	// Computed with Python's hashlib over the bytes that Hash describes: parties of different versions must agree.
	const want = "028805a0de756e20bcc156bb2e184a811e8f7fd26363d60d328e288a382a30da"
	h := Layout{{"samples", 1, 1}, {"sum", 3, 2}}.Hash()
	if got := hex.EncodeToString(h[:]); got != want {
		t.Errorf("layout hash %s, want %s", got, want)
	}
}

func TestZeroVectorHasNoBytes(t *testing.T) {
	if (Vector{}).Bytes() != nil {
		t.Error("the zero vector has bytes")
	}
}

func FuzzDecode(f *testing.F) {
	l := Layout{{"samples", 1, 1}, {"sum", 3, 2}}
	f.Add(make([]byte, l.Size()))
	f.Add(bytes.Repeat([]byte{0xff}, l.Size()))
	f.Add(make([]byte, l.Size()+1))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := Decode(l, b)
		if (err == nil) != (len(b) == l.Size()) {
			t.Fatalf("%d bytes: %v", len(b), err)
		}
		if err != nil {
			return
		}
		w := New(l)
		for f, field := range l {
			for i := range field.Count {
				if err := w.SetInt(f, i, v.Int(f, i)); err != nil {
					t.Fatal(err)
				}
			}
		}
		if !bytes.Equal(w.Bytes(), b) {
			t.Fatalf("%x came back as %x", b, w.Bytes())
		}
	})
}

func benchmark(b *testing.B, limbs, count int, op func(v Vector, w Vector)) {
	l := Layout{{"x", limbs, count}}
	v, w := New(l), New(l)
	for i := range w.Bytes() {
		w.Bytes()[i] = byte(i * 37)
	}
	b.SetBytes(int64(l.Size()))
	for b.Loop() {
		op(v, w)
	}
}

func BenchmarkAdd(b *testing.B) {
	add := func(v, w Vector) { v.Add(w) }
	b.Run("1x1000", func(b *testing.B) { benchmark(b, 1, 1000, add) })
	b.Run("3x1000", func(b *testing.B) { benchmark(b, 3, 1000, add) })
	b.Run("5x1000", func(b *testing.B) { benchmark(b, 5, 1000, add) })
	b.Run("3x1000000", func(b *testing.B) { benchmark(b, 3, 1000000, add) })
}

func BenchmarkAddStream(b *testing.B) {
	s, err := prg.New(make([]byte, prg.KeySize))
	if err != nil {
		b.Fatal(err)
	}
	benchmark(b, 3, 1000000, func(v, _ Vector) { v.AddStream(s) })
}
