package simon_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/weftmpc/weft/simon"
	"github.com/weftmpc/weft/simon/simontest"
)

// gateRoles draws evaluators among n parties, and a dealer: a helper, or the party that is left.
func gateRoles(t *rapid.T, n int) map[simon.Role]int {
	seats := rapid.Permutation(seatsOf(n)).Draw(t, "seats")
	roles := map[simon.Role]int{simon.S0: seats[0], simon.S1: seats[1], simon.Dealer: n}
	if n > 2 && rapid.Bool().Draw(t, "a party deals") {
		roles[simon.Dealer] = seats[2]
	}
	return roles
}

func seatsOf(n int) []int {
	seats := make([]int, n)
	for i := range seats {
		seats[i] = i
	}
	return seats
}

// shared deals numbers mod 2^64 to n parties.
func shared(t *rapid.T, n int, sums []uint64) [][]uint64 {
	parts := make([][]uint64, n+1) // and a helper's, who has none
	for i := range parts {
		parts[i] = make([]uint64, len(sums))
	}
	for k, sum := range sums {
		for i := range n - 1 {
			parts[i][k] = rapid.Uint64().Draw(t, "part")
			sum -= parts[i][k]
		}
		parts[n-1][k] = sum
	}
	return parts
}

type gate func(ctx context.Context, s simon.Session, x []uint64) ([]uint64, error)

// playGate plays a gate at n parties and a dealer, and returns what all parties have opened.
func playGate(t testing.TB, n int, o simontest.Options, parts [][]uint64, g gate) []uint64 {
	t.Helper()
	r := simontest.MustRun(t, n, o, func(ctx context.Context, s simon.Session) ([]byte, error) {
		x, err := g(ctx, s, parts[s.Self()])
		var b []byte
		for _, w := range x {
			b = binary.LittleEndian.AppendUint64(b, w)
		}
		return b, err
	})
	for seat := range n {
		if !bytes.Equal(r.Results[seat], r.Results[0]) {
			t.Fatalf("seat %d opened something else than seat 0", seat)
		}
	}
	x := make([]uint64, len(r.Results[0])/8)
	for i := range x {
		x[i] = binary.LittleEndian.Uint64(r.Results[0][8*i:])
	}
	return x
}

func TestSignsOfSums(tt *testing.T) {
	rapid.Check(tt, func(t *rapid.T) {
		bits, n := rapid.SampledFrom([]int{32, 40, 64}).Draw(t, "bits"), rapid.IntRange(2, 7).Draw(t, "parties")
		most := int64(1)<<(bits-1) - 1
		sums := []int64{0, 1, -1, 2, -2, most, -most - 1}
		for range rapid.IntRange(0, 70).Draw(t, "more") {
			sums = append(sums, rapid.Int64Range(-most-1, most).Draw(t, "sum"))
		}
		words := make([]uint64, len(sums))
		for i, z := range sums {
			words[i] = uint64(z)
		}
		o := simontest.Options{Seed: rapid.Uint64().Draw(t, "seed"), Roles: gateRoles(t, n)}
		got := playGate(tt, n, o, shared(t, n, words), func(ctx context.Context, s simon.Session, x []uint64) ([]uint64, error) {
			return simon.PlaySigns(ctx, s, simon.Label{Round: 3, Vector: "test"}, bits, x)
		})
		for i, z := range sums {
			if want := z < 0; got[i] > 1 || (got[i] == 1) != want {
				t.Fatalf("[%d < 0] is %d", z, got[i])
			}
		}
	})
}

// TestSignsAtSeveralPoints: one gate says of a sum whether it is below several public numbers.
func TestSignsAtSeveralPoints(tt *testing.T) {
	rapid.Check(tt, func(t *rapid.T) {
		bits, n := rapid.SampledFrom([]int{32, 40, 64}).Draw(t, "bits"), rapid.IntRange(2, 5).Draw(t, "parties")
		most := int64(1)<<(bits-1) - 1
		offsets := rapid.SliceOfN(rapid.Int64Range(-100, 100), 1, 5).Draw(t, "offsets")
		sums := []int64{0, 1, -1, most - 100, -most + 99}
		for range rapid.IntRange(0, 30).Draw(t, "more") {
			sums = append(sums, rapid.Int64Range(-most+99, most-100).Draw(t, "sum"))
		}
		for _, offset := range offsets {
			sums = append(sums, -offset, -offset-1)
		}
		words := make([]uint64, len(sums))
		for i, z := range sums {
			words[i] = uint64(z)
		}
		o := simontest.Options{Seed: rapid.Uint64().Draw(t, "seed"), Roles: gateRoles(t, n)}
		got := playGate(tt, n, o, shared(t, n, words), func(ctx context.Context, s simon.Session, x []uint64) ([]uint64, error) {
			return simon.PlaySignsAt(ctx, s, simon.Label{Round: 3, Vector: "test"}, bits, x, offsets)
		})
		for k, offset := range offsets {
			for i, z := range sums {
				if want := z+offset < 0; got[k*len(sums)+i] > 1 || (got[k*len(sums)+i] == 1) != want {
					t.Fatalf("[%d + %d < 0] is %d", z, offset, got[k*len(sums)+i])
				}
			}
		}
	})
}

// TestPointsShowNothingMore: whatever is asked of a gate, all that dealer and parties send before the answers are opened is the
// same, bit for bit: an evaluator's view of a gate does not depend on how many answers it takes from the key. That the others see
// the answers alone, TestOpeningsShowNothingButTheResult says, where the two elements of a median share the gates of their first
// digit.
func TestPointsShowNothingMore(t *testing.T) {
	in, out := simon.Label{Round: 3, Vector: "test"}, simon.Label{Round: 3, Vector: "test out"}
	for _, dealer := range []int{2, 3} {
		run := func(want []uint64, offsets ...int64) (before []simontest.Message) {
			o := simontest.Options{Seed: 5, Roles: map[simon.Role]int{simon.S0: 0, simon.S1: 1, simon.Dealer: dealer}}
			r := simontest.MustRun(t, 3, o, func(ctx context.Context, s simon.Session) ([]byte, error) {
				x := make([]uint64, 4)
				if s.Self() == 0 {
					x = []uint64{0, 1, ^uint64(0), 5}
				}
				got, err := simon.PlaySignsAt(ctx, s, in, 32, x, offsets)
				if s.Self() < 3 && err == nil && !slices.Equal(got, want) {
					t.Errorf("dealer %d: answers %d, want %d", dealer, got, want)
				}
				return nil, err
			})
			for _, m := range r.Messages {
				if m.Label != out {
					before = append(before, m)
				}
			}
			return before
		}
		one, two := run([]uint64{0, 0, 1, 0}, 0), run([]uint64{0, 0, 1, 0, 1, 0, 1, 0}, 0, -1)
		if len(one) == 0 || !sameView(one, two) {
			t.Errorf("dealer %d: a second question changes what is sent", dealer)
		}
	}
}

func TestCountsBelowALeastOneAreZero(tt *testing.T) {
	rapid.Check(tt, func(t *rapid.T) {
		n, least := rapid.IntRange(2, 7).Draw(t, "parties"), rapid.Uint64Range(1, 1<<32).Draw(t, "least")
		counts := []uint64{0, 1, least - 1, least, least + 1, 1<<62 - 1}
		for range rapid.IntRange(0, 70).Draw(t, "more") {
			counts = append(counts, rapid.Uint64Range(0, min(3*least, math.MaxInt64)).Draw(t, "count"))
		}
		o := simontest.Options{Seed: rapid.Uint64().Draw(t, "seed"), Roles: gateRoles(t, n)}
		got := playGate(tt, n, o, shared(t, n, counts), func(ctx context.Context, s simon.Session, x []uint64) ([]uint64, error) {
			return simon.PlaySurvivors(ctx, s, simon.Label{Round: 1, Vector: "test"}, least, x)
		})
		for i, c := range counts {
			want := c
			if c < least {
				want = 0
			}
			if got[i] != want {
				t.Fatalf("of count %d with least %d there is %d", c, least, got[i])
			}
		}
	})
}
