package simon_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/weftmpc/weft/simon"
	"github.com/weftmpc/weft/simon/prg"
	"github.com/weftmpc/weft/simon/ring"
	"github.com/weftmpc/weft/simon/simontest"
)

var sumLabel = simon.Label{Round: 1, Vector: "sum"}

// sumOf is the total of vectors in math/big, field by field.
func sumOf(vectors []ring.Vector) ring.Vector {
	l := vectors[0].Layout()
	total := ring.New(l)
	for f, field := range l {
		m := new(big.Int).Lsh(big.NewInt(1), uint(64*field.Limbs))
		for i := range field.Count {
			x := new(big.Int)
			for _, v := range vectors {
				x.Add(x, v.Int(f, i))
			}
			x.Mod(x, m)
			if x.BitLen() == 64*field.Limbs {
				x.Sub(x, m)
			}
			if err := total.SetInt(f, i, x); err != nil {
				panic(err)
			}
		}
	}
	return total
}

func maskedSum(xs []ring.Vector) func(context.Context, simon.Session) ([]byte, error) {
	return func(ctx context.Context, s simon.Session) ([]byte, error) {
		v, err := simon.MaskedSum(ctx, s, sumLabel, xs[s.Self()])
		return v.Bytes(), err
	}
}

func openSum(xs []ring.Vector) func(context.Context, simon.Session) ([]byte, error) {
	return func(ctx context.Context, s simon.Session) ([]byte, error) {
		v, err := simon.OpenSum(ctx, s, sumLabel, xs[s.Self()])
		return v.Bytes(), err
	}
}

func randomVectors(r *rand.ChaCha8, l ring.Layout, n int) []ring.Vector {
	xs := make([]ring.Vector, n)
	for i := range xs {
		xs[i] = ring.New(l)
		r.Read(xs[i].Bytes())
	}
	return xs
}

func TestMaskedSumIsTheTotal(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(2, 16).Draw(rt, "n")
		l := ring.Layout{
			{Name: "n", Limbs: 1, Count: rapid.IntRange(1, 5).Draw(rt, "counts")},
			{Name: "s", Limbs: rapid.SampledFrom([]int{2, 3, 5}).Draw(rt, "limbs"), Count: rapid.IntRange(1, 5).Draw(rt, "sums")},
		}
		xs := make([]ring.Vector, n)
		for i := range xs {
			// Bytes 0 and 0xff make small negative and positive numbers and long carries.
			one := rapid.OneOf(rapid.SampledFrom([]byte{0, 0xff}), rapid.Byte())
			v, err := ring.Decode(l, rapid.SliceOfN(one, l.Size(), l.Size()).Draw(rt, "x"))
			if err != nil {
				rt.Fatal(err)
			}
			xs[i] = v
		}
		o := simontest.Options{Seed: rapid.Uint64().Draw(rt, "seed")}
		want := sumOf(xs).Bytes()
		for _, play := range []func(context.Context, simon.Session) ([]byte, error){maskedSum(xs), openSum(xs)} {
			r := simontest.Run(t, n, o, play)
			if err := r.Err(); err != nil {
				rt.Fatal(err)
			}
			for seat, got := range r.Results {
				if !bytes.Equal(got, want) {
					rt.Fatalf("seat %d of %d: %x, want %x", seat, n, got, want)
				}
			}
		}
	})
}

func TestMaskedSumOf128(t *testing.T) {
	l := ring.Layout{{Name: "n", Limbs: 1, Count: 1}, {Name: "s", Limbs: 3, Count: 4}}
	xs := randomVectors(rand.NewChaCha8([32]byte{1}), l, 128)
	want := sumOf(xs).Bytes()
	r := simontest.MustRun(t, 128, simontest.Options{Seed: 2}, maskedSum(xs))
	for seat, got := range r.Results {
		if !bytes.Equal(got, want) {
			t.Fatalf("seat %d: %x, want %x", seat, got, want)
		}
	}
	if got, want := len(r.Messages), 128*127; got != want {
		t.Errorf("%d messages, want %d", got, want)
	}
}

func TestOnlyRecipientsOpen(t *testing.T) {
	l := ring.Layout{{Name: "s", Limbs: 3, Count: 2}}
	xs := randomVectors(rand.NewChaCha8([32]byte{3}), l, 4)
	r := simontest.MustRun(t, 4, simontest.Options{Recipients: []int{1, 3}}, openSum(xs))
	want := sumOf(xs).Bytes()
	for seat, got := range r.Results {
		if seat%2 == 0 {
			if got != nil {
				t.Errorf("seat %d is no recipient and got %x", seat, got)
			}
			if v := r.View(seat); len(v) != 0 {
				t.Errorf("seat %d is no recipient and saw %d messages", seat, len(v))
			}
		} else if !bytes.Equal(got, want) {
			t.Errorf("seat %d: %x, want %x", seat, got, want)
		}
	}
}

func TestSumNamesTheSeatOfABadVector(t *testing.T) {
	l := ring.Layout{{Name: "s", Limbs: 3, Count: 2}}
	xs := randomVectors(rand.NewChaCha8([32]byte{4}), l, 3)
	for _, play := range []func(context.Context, simon.Session) ([]byte, error){maskedSum(xs), openSum(xs)} {
		for _, length := range []int{0, 47, 49} {
			r := simontest.Run(t, 3, simontest.Options{Rewrite: func(m simontest.Message) []byte {
				if m.From == 2 && m.To == 0 {
					return make([]byte, length)
				}
				return m.Body
			}}, play)
			if err := r.Errs[0]; err == nil || !strings.Contains(err.Error(), "seat 2") {
				t.Errorf("a vector of %d bytes: %v", length, err)
			}
			if r.Results[0] != nil {
				t.Error("a result in spite of the error")
			}
		}
	}
}

func TestOneMaskServesOneSum(t *testing.T) {
	l := ring.Layout{{Name: "s", Limbs: 1, Count: 1}}
	r := simontest.Run(t, 2, simontest.Options{}, func(ctx context.Context, s simon.Session) ([]byte, error) {
		if _, err := simon.MaskedSum(ctx, s, sumLabel, ring.New(l)); err != nil {
			return nil, err
		}
		_, err := simon.MaskedSum(ctx, s, sumLabel, ring.New(l))
		return nil, err
	})
	if err := r.Err(); !errors.Is(err, simon.ErrUsed) {
		t.Errorf("the second sum under one label: %v", err)
	}
	for _, m := range r.Messages {
		if m.Label != sumLabel {
			t.Errorf("unexpected message %v", m)
		}
	}
}

func TestHelpersDoNotSum(t *testing.T) {
	l := ring.Layout{{Name: "s", Limbs: 1, Count: 1}}
	r := simontest.Run(t, 2, simontest.Options{Roles: map[simon.Role]int{simon.Opener: 2}},
		func(ctx context.Context, s simon.Session) ([]byte, error) {
			if s.Self() < 2 {
				return nil, nil
			}
			_, err := simon.MaskedSum(ctx, s, sumLabel, ring.New(l))
			return nil, err
		})
	if err := r.Errs[2]; err == nil || !strings.Contains(err.Error(), "helper") {
		t.Errorf("a helper's masked sum: %v", err)
	}
}

// TestViewsDependOnTheTotalOnly: for two inputs of the honest parties with one total there are masks under which everything
// that a coalition sees is the same, bit for bit; so it cannot tell the inputs apart. With the masks as they are the
// views differ, which shows that the comparison sees something.
func TestViewsDependOnTheTotalOnly(t *testing.T) {
	l := ring.Layout{{Name: "n", Limbs: 1, Count: 2}, {Name: "s", Limbs: 3, Count: 50}}
	for n := 3; n <= 6; n++ {
		for low := range n {
			for high := low + 1; high < n; high++ {
				t.Run(fmt.Sprintf("n=%d honest=%d,%d", n, low, high), func(t *testing.T) {
					var coalition []int
					for seat := range n {
						if seat != low && seat != high {
							coalition = append(coalition, seat)
						}
					}
					r := rand.NewChaCha8([32]byte{byte(n), byte(low), byte(high)})
					xs := randomVectors(r, l, n)
					d := randomVectors(r, l, 1)[0]
					ys := append([]ring.Vector(nil), xs...)
					ys[low] = xs[low].Clone()
					ys[low].Add(d)
					ys[high] = minus(xs[high], d)

					for _, play := range []func([]ring.Vector) func(context.Context, simon.Session) ([]byte, error){maskedSum, openSum} {
						plain := simontest.Options{Seed: 9}
						moved := simontest.Options{Seed: 9, Stream: moveMask(low, high, d)}
						first := simontest.MustRun(t, n, plain, play(xs))
						second := simontest.MustRun(t, n, moved, play(ys))
						if !sameView(first.View(coalition...), second.View(coalition...)) {
							t.Error("the coalition can tell two inputs with one total apart")
						}
						if unmoved := simontest.MustRun(t, n, plain, play(ys)); sameView(first.View(coalition...), unmoved.View(coalition...)) {
							t.Error("the view does not depend on the inputs at all: this test sees nothing")
						}
					}
				})
			}
		}
	}
}

func minus(x, y ring.Vector) ring.Vector {
	z := x.Clone()
	z.SubStream(&vectorStream{y.Bytes()})
	return z
}

type vectorStream struct{ left []byte }

func (s *vectorStream) Fill(dst []byte) { s.left = s.left[copy(dst, s.left):] }

// moveMask subtracts d from the mask that seats low and high share.
func moveMask(low, high int, d ring.Vector) func(int, simontest.StreamID, prg.Stream) prg.Stream {
	return func(_ int, id simontest.StreamID, s prg.Stream) prg.Stream {
		if id.Purpose != simon.Mask || id.A != low || id.B != high {
			return s
		}
		return simontest.Shift(s, d.Layout().Size(), func(mask []byte) []byte {
			m, err := ring.Decode(d.Layout(), mask)
			if err != nil {
				panic(err)
			}
			return minus(m, d).Bytes()
		})
	}
}

func sameView(a, b []simontest.Message) bool {
	if len(a) != len(b) || len(a) == 0 {
		return false
	}
	for i := range a {
		if a[i].Label != b[i].Label || a[i].From != b[i].From || a[i].To != b[i].To || !bytes.Equal(a[i].Body, b[i].Body) {
			return false
		}
	}
	return true
}

// TestMaskedVectorsLookRandom compares what each party sends, and the sum of what two of three send, with what a simulator
// would put there, uniform bytes: a chi-square test at each of the 24 byte positions of an element, at a level of 1e-6 for
// fixed seeds, for inputs that are all 0 and all as large as possible.
func TestMaskedVectorsLookRandom(t *testing.T) {
	const count = 40_000
	l := ring.Layout{{Name: "s", Limbs: 3, Count: count}}
	most, err := ring.Decode(l, bytes.Repeat([]byte{0xff}, l.Size()))
	if err != nil {
		t.Fatal(err)
	}
	for name, x := range map[string]ring.Vector{"zero": ring.New(l), "most": most} {
		r := simontest.MustRun(t, 3, simontest.Options{Seed: 11}, maskedSum([]ring.Vector{x, x, x}))
		sent := make([]ring.Vector, 3)
		for _, m := range r.Messages {
			v, err := ring.Decode(l, m.Body)
			if err != nil {
				t.Fatal(err)
			}
			sent[m.From] = v
		}
		for seat, v := range sent {
			checkUniform(t, fmt.Sprintf("%s, seat %d", name, seat), v.Bytes())
			two := v.Clone()
			two.Add(sent[(seat+1)%3])
			checkUniform(t, fmt.Sprintf("%s, seats %d and next", name, seat), two.Bytes())
		}
	}
	if uniform(most.Bytes(), 0, 24) {
		t.Error("the test takes constant bytes for random ones")
	}
}

func checkUniform(t *testing.T, what string, b []byte) {
	t.Helper()
	for position := range 24 {
		if !uniform(b, position, 24) {
			t.Errorf("%s: byte %d of the elements is not uniform", what, position)
		}
	}
}

// uniform is the test at one byte position of elements of stride bytes: 255 degrees of freedom, two-sided quantiles at 1e-6 by Wilson and Hilferty.
func uniform(b []byte, position, stride int) bool {
	var seen [256]float64
	n := 0.0
	for i := position; i < len(b); i += stride {
		seen[b[i]]++
		n++
	}
	chi := 0.0
	for _, k := range seen {
		chi += (k - n/256) * (k - n/256) / (n / 256)
	}
	return chi > 159.2 && chi < 381.3
}

// TestMaskedVectorsOfAnotherProgram compares with vectors that a Python program computed (big integers, its own AES-CTR,
// Decimal and Fraction), with 32 bytes of 16·i+j as the key of seats i < j.
func TestMaskedVectorsOfAnotherProgram(t *testing.T) {
	data := []string{"85", "[120.5, 1]", "-7e-3", "[-1e23, 1e-20]"}
	want := []string{
		"f88ef31990558c3bc908b7fc8b1d7d1e13dfc34a54a55d80d8fae0301308e4d0",
		"e96925af6c0e2e3c60f57ad14258b089f836a994a0cf8bb723d34e5ff0f535a4",
		"74632ef341138bf86e5ebbf66b1119c271a48b9b3e2efa82f292d189209a4c97",
		"b1a3b843c188ba8f6aa3b4141722d19513937aa1aaf943e9452cfee5db6799f3",
	}
	o := simontest.Options{Stream: func(_ int, id simontest.StreamID, _ prg.Stream) prg.Stream {
		s, err := prg.New(bytes.Repeat([]byte{byte(16*id.A + id.B)}, prg.KeySize))
		if err != nil {
			panic(err)
		}
		return s
	}}
	result, r, err := compute(t, o, data, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range r.Messages {
		if got := fmt.Sprintf("%x", m.Body); got != want[m.From] {
			t.Errorf("seat %d sent %s, want %s", m.From, got, want[m.From])
		}
	}
	if want := `{"samples":6,"sum":-1e+23}`; result != want {
		t.Errorf("%s, want %s", result, want)
	}
}
