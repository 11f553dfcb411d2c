package simon

import (
	"fmt"
	"math/big"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/weftmpc/weft/simon/special"
)

// drawTable draws counts, some of them 0, others much larger than the rest.
func drawTable(t *rapid.T, cells int, most int64) []int64 {
	counts := make([]int64, cells)
	for i := range counts {
		counts[i] = rapid.OneOf(rapid.SampledFrom([]int64{0, 1, most}), rapid.Int64Range(0, most)).Draw(t, "count")
	}
	return counts
}

// distance is |x-y|/|y|, or |x| where y is 0.
func distance(x, y *big.Float) float64 {
	d := new(big.Float).SetPrec(400).Sub(x, y)
	if y.Sign() != 0 {
		d.Quo(d, y)
	}
	f, _ := d.Abs(d).Float64()
	return f
}

// tails are P(X ≤ x), P(X ≥ x) and the expectation of X under odds, from binomial coefficients, without any recurrence.
func (h hypergeometric) tails(odds *big.Rat) (below, above, mean *big.Rat) {
	below, above, mean = new(big.Rat), new(big.Rat), new(big.Rat)
	total := new(big.Rat)
	for t := h.lo; t <= h.hi; t++ {
		w := new(big.Int).Binomial(h.m, t)
		w.Mul(w, new(big.Int).Binomial(h.n, h.k-t))
		power := new(big.Rat).SetFrac(new(big.Int).Exp(odds.Num(), big.NewInt(t), nil), new(big.Int).Exp(odds.Denom(), big.NewInt(t), nil))
		x := power.Mul(power, new(big.Rat).SetInt(w))
		total.Add(total, x)
		mean.Add(mean, new(big.Rat).Mul(x, new(big.Rat).SetInt64(t)))
		if t <= h.x {
			below.Add(below, x)
		}
		if t >= h.x {
			above.Add(above, x)
		}
	}
	return below.Quo(below, total), above.Quo(above, total), mean.Quo(mean, total)
}

// between says whether f, which grows with the odds, has its zero within one part in 10^20 of odds: it is evaluated, exactly,
// a little below and a little above.
func between(odds *big.Float, f func(odds *big.Rat) *big.Rat) bool {
	at, _ := new(big.Float).SetPrec(100).Set(odds).Rat(nil)
	little := new(big.Rat).SetFrac(big.NewInt(1), powerOfTen(20))
	low := new(big.Rat).Sub(at, new(big.Rat).Mul(at, little))
	high := new(big.Rat).Add(at, new(big.Rat).Mul(at, little))
	return f(low).Sign() < 0 && f(high).Sign() > 0
}

func TestOddsSolveTheirEquations(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := newHypergeometric(drawTable(t, 4, rapid.SampledFrom([]int64{3, 12, 20}).Draw(t, "most")))
		alpha := rapid.SampledFrom([]*big.Rat{big.NewRat(1, 40), big.NewRat(1, 20), big.NewRat(1, 1_000_000_000), big.NewRat(499, 1000), big.NewRat(19, 20)}).Draw(t, "alpha")
		if h.lo < h.x && h.x < h.hi {
			if !between(h.estimate(), func(odds *big.Rat) *big.Rat {
				_, _, mean := h.tails(odds)
				return mean.Sub(mean, new(big.Rat).SetInt64(h.x))
			}) {
				t.Errorf("%+v: the estimate %v does not solve its equation", h, h.estimate())
			}
		}
		if h.x < h.hi {
			if upper := h.limit(special.FromRat(alpha), 1); !between(upper, func(odds *big.Rat) *big.Rat {
				below, _, _ := h.tails(odds)
				return below.Sub(alpha, below)
			}) {
				t.Errorf("%+v: the upper limit %v for %v does not solve its equation", h, upper, alpha)
			}
		}
		if h.x > h.lo {
			if lower := h.limit(special.FromRat(alpha), -1); !between(lower, func(odds *big.Rat) *big.Rat {
				_, above, _ := h.tails(odds)
				return above.Sub(above, alpha)
			}) {
				t.Errorf("%+v: the lower limit %v for %v does not solve its equation", h, lower, alpha)
			}
		}
	})
}

func TestExactAndRoundedTails(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := newHypergeometric(drawTable(t, 4, rapid.SampledFrom([]int64{3, 12, 100, 500}).Draw(t, "most")))
		for _, alternative := range []string{twoSided, less, greater} {
			exact := special.FromRat(h.exact(alternative))
			if d := distance(h.rounded(alternative), exact); d > 1e-60 {
				t.Errorf("%+v, %s: rounded tails are off by %v", h, alternative, d)
			}
		}
		below, above, _ := h.tails(big.NewRat(1, 1))
		if h.exact(less).Cmp(below) != 0 || h.exact(greater).Cmp(above) != 0 {
			t.Errorf("%+v: %v and %v, want %v and %v", h, h.exact(less), h.exact(greater), below, above)
		}
	})
}

// tables calls yield for every table with the given margins, column by column.
func tables(rows, columns []int64, yield func(cells []int64)) {
	cells := make([]int64, len(rows)*len(columns))
	left := slices.Clone(rows)
	var fill func(i, j int, rest int64)
	fill = func(i, j int, rest int64) {
		switch {
		case j == len(columns):
			yield(cells)
		case i == len(rows)-1:
			if rest > left[i] {
				return
			}
			cells[i*len(columns)+j] = rest
			left[i] -= rest
			if j == len(columns)-1 {
				fill(0, j+1, 0)
			} else {
				fill(0, j+1, columns[j+1])
			}
			left[i] += rest
		default:
			for x := range min(rest, left[i]) + 1 {
				cells[i*len(columns)+j] = x
				left[i] -= x
				fill(i+1, j, rest-x)
				left[i] += x
			}
		}
	}
	fill(0, 0, columns[0])
}

// bruteForce adds up the probabilities of all tables one by one.
func bruteForce(counts, rows, columns []int64) *big.Rat {
	weight := func(cells []int64) *big.Rat {
		w := big.NewInt(1)
		for _, x := range cells {
			w.Mul(w, new(big.Int).MulRange(1, x))
		}
		return new(big.Rat).SetFrac(big.NewInt(1), w)
	}
	most := weight(counts)
	most.Mul(most, relative)
	sum, total := new(big.Rat), new(big.Rat)
	tables(rows, columns, func(cells []int64) {
		w := weight(cells)
		total.Add(total, w)
		if w.Cmp(most) <= 0 {
			sum.Add(sum, w)
		}
	})
	return sum.Quo(sum, total)
}

func marginsOf(counts []int64, width int) (rows, columns []int64) {
	rows, columns = make([]int64, len(counts)/width), make([]int64, width)
	for i, x := range counts {
		rows[i/width] += x
		columns[i%width] += x
	}
	return rows, columns
}

func TestFixedMarginsAgainstAllTables(t *testing.T) {
	for _, shape := range [][3]int64{{2, 2, 9}, {2, 3, 6}, {3, 2, 6}, {2, 5, 3}, {3, 3, 3}, {4, 3, 2}, {3, 5, 1}} {
		t.Run(fmt.Sprint(shape), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				counts := drawTable(t, int(shape[0]*shape[1]), shape[2])
				rows, columns := marginsOf(counts, int(shape[1]))
				got, ok := fixedMarginsP(counts, rows, columns)
				if want := bruteForce(counts, rows, columns); !ok || got.Cmp(want) != 0 {
					t.Fatalf("%v: %v, want %v", counts, got, want)
				}
				if len(counts) == 4 && got.Cmp(newHypergeometric(counts).exact(twoSided)) != 0 {
					t.Fatalf("%v: %v here, %v for two by two", counts, got, newHypergeometric(counts).exact(twoSided))
				}
			})
		})
	}
}

func TestFixedMarginsEnds(t *testing.T) {
	many := make([]int64, 100)
	for i := range many {
		many[i] = int64(50 + i%7)
	}
	for name, counts := range map[string][]int64{"tables": many, "samples": {4000, 3000, 2000, 2000, 1, 1}} {
		width := 10
		if len(counts) < 10 {
			width = 3
		}
		rows, columns := marginsOf(counts, width)
		if p, ok := fixedMarginsP(counts, rows, columns); ok {
			t.Errorf("too many %s: %v", name, p)
		}
	}
}

func TestLogFactorials(t *testing.T) {
	unit := special.Int(1)
	unit.SetMantExp(unit, logUnit)
	for _, n := range []int64{0, 1, 2, 20, 170, 9999, enumeratedSamples} {
		want := special.LogGamma(special.Int(n + 1))
		want.Mul(want, unit)
		got := special.Int(logFactorials(n)[n])
		if d, _ := got.Sub(want, got).Float64(); d < -1e-9 || d >= 1 {
			t.Errorf("log %d! is off by %v units", n, d)
		}
	}
}

func BenchmarkFisher(b *testing.B) {
	for name, counts := range map[string][]int64{
		"100":             {20, 30, 30, 20},
		"4000":            {1000, 1010, 990, 1000},
		"1e6 independent": {250_100, 249_900, 249_900, 250_100},
		"1e6 dependent":   {400_000, 100_000, 100_000, 400_000},
		"1e6 extreme":     {499_999, 1, 1, 499_999},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				h := newHypergeometric(counts)
				h.pValue(twoSided)
				h.estimate()
				h.limit(special.FromRat(big.NewRat(1, 40)), 1)
				h.limit(special.FromRat(big.NewRat(1, 40)), -1)
			}
		})
	}
	b.Run("job", func(b *testing.B) {
		counts := []int64{1, 3, 10, 6, 2, 3, 10, 7, 1, 6, 14, 12, 0, 1, 9, 11}
		for b.Loop() {
			rows, columns := marginsOf(counts, 4)
			if _, ok := fixedMarginsP(counts, rows, columns); !ok {
				b.Fatal("too many tables")
			}
		}
	})
	b.Run("too many", func(b *testing.B) {
		counts := make([]int64, 36)
		for i := range counts {
			counts[i] = 30
		}
		for b.Loop() {
			rows, columns := marginsOf(counts, 6)
			if _, ok := fixedMarginsP(counts, rows, columns); ok {
				b.Fatal("not too many tables")
			}
		}
	})
}
