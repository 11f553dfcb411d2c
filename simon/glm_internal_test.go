package simon

import (
	"bytes"
	"context"
	"encoding/binary"
	"math"
	"math/big"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/weftmpc/weft/simon/ring"
	"github.com/weftmpc/weft/simon/special"
)

// drawGrid draws a number in the range of the grid, often one with few digits.
func drawGrid(t *rapid.T, name string) *big.Int {
	x := new(big.Int).SetUint64(rapid.Uint64().Draw(t, name))
	x.Rsh(x, uint(rapid.IntRange(0, 64).Draw(t, name+" shift")))
	x.Mul(x, powerOfTen(rapid.IntRange(0, 33).Draw(t, name+" tens")))
	x.Add(x, big.NewInt(rapid.SampledFrom([]int64{0, 0, 0, 1}).Draw(t, name+" odd")))
	x.And(x, new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), uint(statEncoding.Bits)), big.NewInt(1)))
	if rapid.Bool().Draw(t, name+" sign") {
		x.Neg(x)
	}
	return x
}

func (q gridNumber) integer() *big.Int {
	x := new(big.Int).SetUint64(q.magnitude[1])
	x.Lsh(x, 64).Add(x, new(big.Int).SetUint64(q.magnitude[0]))
	if q.negative {
		x.Neg(x)
	}
	return x
}

func TestStoredNumbers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x, y := drawGrid(t, "x"), drawGrid(t, "y")
		b := appendGrid(appendGrid(nil, gridOf(x)), gridOf(y))
		p, rest, err := nextGrid(b)
		if err != nil || p.integer().Cmp(x) != 0 {
			t.Fatalf("%v came back as %v (%v)", x, p.integer(), err)
		}
		q, rest, err := nextGrid(rest)
		if err != nil || len(rest) != 0 || q.integer().Cmp(y) != 0 {
			t.Fatalf("%v came back as %v (%v)", y, q.integer(), err)
		}
		if want := new(big.Int).Sub(x, y); p.less(q).integer().Cmp(want) != 0 {
			t.Fatalf("%v-%v is %v", x, y, p.less(q).integer())
		}
		if want, _ := new(big.Float).SetInt(x).Float64(); p.double() != want {
			t.Fatalf("%v as a double is %v, want %v", x, p.double(), want)
		}
		for n := range len(b) {
			if p, rest, err := nextGrid(b[:n]); err == nil {
				if _, _, err = nextGrid(rest); err == nil {
					t.Fatalf("%d of %d bytes were enough after %v", n, len(b), p.integer())
				}
			}
		}
	})
	if b := appendGrid(nil, gridOf(powerOfTen(20))); len(b) != 2 {
		t.Errorf("a 1 takes %d bytes", len(b))
	}
}

func TestSumsOfDoublesAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s gridSum
		want := new(big.Int)
		for range rapid.IntRange(1, 30).Draw(t, "terms") {
			v := rapid.Float64Range(-1, 1).Draw(t, "fraction") * math.Exp2(float64(rapid.IntRange(-70, 100).Draw(t, "exponent")))
			s.add(v)
			want.Add(want, rounded(v))
		}
		v := ring.New(ring.Layout{{Name: "s", Limbs: gridLimbs, Count: 1}})
		v.SetLimbs(0, 0, s[:])
		if v.Int(0, 0).Cmp(want) != 0 {
			t.Fatalf("%v, want %v", v.Int(0, 0), want)
		}
	})
	var s gridSum
	for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, -math.MaxFloat64} {
		s.add(v)
	}
	if s != (gridSum{}) {
		t.Errorf("what cancels leaves %v", s)
	}
}

// rounded is v in units of 2^-gridBits, half to even.
func rounded(v float64) *big.Int {
	x := new(big.Rat).SetFloat64(v)
	x.Mul(x, new(big.Rat).SetInt(new(big.Int).Lsh(big.NewInt(1), gridBits)))
	q, r := new(big.Int).DivMod(x.Num(), x.Denom(), new(big.Int))
	switch c := r.Lsh(r, 1).Cmp(x.Denom()); {
	case c > 0, c == 0 && q.Bit(0) == 1:
		q.Add(q, big.NewInt(1))
	}
	return q
}

func TestLikelihoodOfCounts(t *testing.T) {
	counts := []uint64{0, 1, 2, 17, 1023, 1024, 1025, 5000, 1 << 20, 1<<20 - 1, 1<<45 - 1, 1 << 45, 1<<46 - 1}
	for r := rand.New(rand.NewPCG(3, 4)); len(counts) < 1000; {
		counts = append(counts, r.Uint64()>>(18+r.IntN(37)))
	}
	var all saturation
	total := special.Int(0)
	for _, y := range counts {
		want := special.Int(0)
		if y > 0 {
			x := new(big.Float).SetPrec(special.Prec).SetUint64(y)
			want.Mul(x, special.Log(x))
			want.Sub(want, x).Sub(want, special.LogGamma(new(big.Float).Add(x, special.Int(1))))
		}
		var s saturation
		s.add(y)
		d := new(big.Float).Sub(special.FromRat(scaled(s.total(), satDigits)), want)
		if d, _ := d.Float64(); math.Abs(d) > 0.6e-18 {
			t.Errorf("y = %d: %v too much", y, d)
		}
		all.add(y)
		total.Add(total, want)
	}
	d := total.Sub(total, special.FromRat(scaled(all.total(), satDigits)))
	if d, _ := d.Float64(); math.Abs(d) > 0.6e-18*float64(len(counts)) {
		t.Errorf("all together: %v too little", d)
	}
	// Millions of counts may all be different: nothing is kept for each, and no big.Float is made.
	y := uint64(saturationSmall)
	if n := testing.AllocsPerRun(1000, func() { all.add(y); y++ }); n != 0 {
		t.Errorf("a new count takes %v pieces of memory", n)
	}
}

func BenchmarkLikelihoodOfCounts(b *testing.B) {
	b.ReportAllocs()
	var s saturation
	for y := uint64(saturationSmall); b.Loop(); y++ {
		s.add(y)
	}
}

// The shares of a sample against big.Float: loss, residual and weight.
func TestSharesOfSamples(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 3000 {
		eta := (2*r.Float64() - 1) * math.Exp2(float64(r.IntN(9)))
		e := special.Exp(special.New(eta))
		other := new(big.Float).Quo(special.Int(1), new(big.Float).Add(e, special.Int(1))) // 1-p, which cancels where p is 1
		p := new(big.Float).Mul(e, other)
		for _, y := range []float64{0, 1} {
			loss, residual, weight := logisticShare(y, 1, eta)
			want := special.Log1p(e)
			if y == 1 {
				want = special.Log1p(special.Exp(special.New(-eta)))
			}
			left := new(big.Float).Neg(p)
			if y == 1 {
				left = other
			}
			for what, u := range map[string]float64{
				"loss": units(loss, want), "weight": units(weight, new(big.Float).Mul(p, other)), "residual": units(residual, left),
			} {
				if u > 6 {
					t.Fatalf("y = %v, eta = %v: %s is %.1f units away", y, eta, what, u)
				}
			}
		}
		eta = 8 * (2*r.Float64() - 1)
		exposure := 1 + 100*r.Float64()
		mu := special.Exp(special.New(eta))
		mu.Mul(mu, special.New(exposure))
		near, _ := mu.Float64()
		y := math.Round(near * (1 + (r.Float64()-0.5)*math.Exp2(-float64(r.IntN(8)))))
		loss, residual, weight := poissonShare(y, exposure, eta)
		want := new(big.Float).Sub(mu, special.New(y))
		if y > 0 {
			x := special.Log(new(big.Float).Quo(special.New(y), mu))
			want.Add(want, x.Mul(x, special.New(y)))
		}
		// The loss is flat where the expectation is right: its error is that of mu, times y/mu-1.
		tolerance := 1e-14*(math.Abs(y-near)+math.Abs(loss)) + 1e-30*near
		if d, _ := new(big.Float).Sub(special.New(loss), want).Float64(); math.Abs(d) > tolerance {
			t.Fatalf("y = %v, mu = %v: loss is %v, wrong by %v", y, near, loss, d)
		}
		if units(weight, mu) > 3 || math.Abs(residual-(y-near)) > 1e-15*(y+near) {
			t.Fatalf("y = %v, mu = %v: weight %v, residual %v", y, near, weight, residual)
		}
	}
}

// Where only false sums lead, everything stays finite.
func TestSharesStayFinite(t *testing.T) {
	for _, eta := range []float64{-math.MaxFloat64, -1e6, 1e6, math.MaxFloat64} {
		for _, share := range []func(y, exposure, eta float64) (loss, residual, weight float64){logisticShare, poissonShare} {
			for _, y := range []float64{0, 1} {
				loss, residual, weight := share(y, 1e-20, eta)
				if !(loss >= 0 && loss <= mostExpected) || !(math.Abs(residual) <= mostExpected) || !(weight >= 0 && weight <= mostExpected) {
					t.Errorf("y = %v, eta = %v: %v, %v, %v", y, eta, loss, residual, weight)
				}
			}
		}
	}
	d := logistic().design(values{"columns": int64(1)})
	for _, exponent := range []int{-2000, 2000} {
		rows := appendGrid([]byte{1}, gridOf(powerOfTen(20)))
		table, err := d.table(context.Background(), 1, rows, []scaling{{new(big.Int), exponent}})
		if err != nil || !(math.Abs(table.z[0]) <= mostZ) {
			t.Errorf("2^%d: %v (%v)", exponent, table.z, err)
		}
	}
}

// benchRows are 427 samples of ten columns, standardised.
func benchRows(b *testing.B) (glmDesign, *sampleTable, *glmScheme) {
	b.Helper()
	r := rand.New(rand.NewPCG(7, 8))
	var data strings.Builder
	for i := range 427 {
		data.WriteString(strings.Repeat(",", min(i, 1)) + "[" + string('0'+rune(r.IntN(2))))
		for range 10 {
			data.WriteString("," + new(big.Rat).SetFloat64(math.Round(1e4*r.NormFloat64())/1e4).FloatString(4))
		}
		data.WriteString("]")
	}
	v, err := readParameters(nil, []parameter{truth("intercept", true, "")})
	if err != nil {
		b.Fatal(err)
	}
	g := logistic()
	payload, n, err := g.read(bytes.NewReader([]byte("["+data.String()+"]")), v)
	if err != nil {
		b.Fatal(err)
	}
	d := g.design(v)
	x, err := ring.View(d.columnLayout(), payload[:d.columnLayout().Size()])
	if err != nil {
		b.Fatal(err)
	}
	plan, err := d.scheme(x)
	if err != nil {
		b.Fatal(err)
	}
	t, err := d.table(context.Background(), n, payload[d.columnLayout().Size():], plan.columns)
	if err != nil {
		b.Fatal(err)
	}
	return d, t, plan
}

func BenchmarkSumsAtAPoint(b *testing.B) {
	d, t, _ := benchRows(b)
	point := make([]float64, d.order())
	for i := range point {
		point[i] = 0.1
	}
	for b.Loop() {
		if _, err := d.sumsAt(context.Background(), t, point); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNewtonStep(b *testing.B) {
	d, t, _ := benchRows(b)
	x, err := d.sumsAt(context.Background(), t, make([]float64, d.order()))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		w := &newtonWalk{d: d, point: make([]float64, d.order())}
		if outcome, _ := w.next(x); outcome != 0 {
			b.Fatal(outcome)
		}
	}
}

// A party's rows are in memory twice, while they are put behind the sums, and no third time.
func TestBlocksAreNotCopied(t *testing.T) {
	var b blocks
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	n := 0
	for row := make([]byte, widestRow-3); b.room(); n++ {
		binary.LittleEndian.PutUint32(row, uint32(n))
		b.last = append(b.last, row...)
	}
	all := b.behind([]byte("head"))
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 2*mostRows+2<<20 {
		t.Errorf("%d bytes were taken", used)
	}
	if len(all) > mostRows+4 || len(all) <= mostRows-2*widestRow || string(all[:4]) != "head" {
		t.Fatalf("%d bytes begin with %q", len(all), all[:4])
	}
	for i := range n {
		if k := binary.LittleEndian.Uint32(all[4+i*(widestRow-3):]); int(k) != i {
			t.Fatalf("row %d stands in the place of %d", k, i)
		}
	}
}
