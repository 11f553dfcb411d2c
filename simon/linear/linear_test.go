package linear

import (
	"errors"
	"math/big"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/weftmpc/weft/simon/special"
)

const prec = 256

// gram returns XᵀX.
func gram(x [][]*big.Rat) [][]*big.Rat {
	p := len(x[0])
	a := make([][]*big.Rat, p)
	for i := range a {
		a[i] = make([]*big.Rat, p)
		for j := range a[i] {
			a[i][j] = new(big.Rat)
			for _, row := range x {
				a[i][j].Add(a[i][j], new(big.Rat).Mul(row[i], row[j]))
			}
		}
	}
	return a
}

func times(a [][]*big.Rat, x []*big.Rat) []*big.Rat {
	b := make([]*big.Rat, len(a))
	for i, row := range a {
		b[i] = new(big.Rat)
		for j := range row {
			b[i].Add(b[i], new(big.Rat).Mul(row[j], x[j]))
		}
	}
	return b
}

func floats(a [][]*big.Rat) [][]*big.Float {
	z := make([][]*big.Float, len(a))
	for i, row := range a {
		for _, x := range row {
			z[i] = append(z[i], special.FromRat(x))
		}
	}
	return z
}

func hilbert(n int) [][]*big.Rat {
	a := make([][]*big.Rat, n)
	for i := range a {
		for j := range n {
			a[i] = append(a[i], big.NewRat(1, int64(i+j+1)))
		}
	}
	return a
}

// near says whether x is y up to 2^-bits of y, or of 1 if that is larger.
func near(x *big.Float, y *big.Rat, bits int) bool {
	exact, _ := x.Rat(nil)
	difference := exact.Sub(exact, y)
	limit := new(big.Rat).SetFrac(big.NewInt(1), new(big.Int).Lsh(big.NewInt(1), uint(bits)))
	if size := new(big.Rat).Abs(y); size.Cmp(big.NewRat(1, 1)) > 0 {
		limit.Mul(limit, size)
	}
	return difference.Abs(difference).Cmp(limit) <= 0
}

// drawRow draws numbers with a few digits.
func drawRow(t *rapid.T, n int) []*big.Rat {
	row := make([]*big.Rat, n)
	for i := range row {
		row[i] = big.NewRat(int64(rapid.IntRange(-50, 50).Draw(t, "x")), int64(rapid.IntRange(1, 4).Draw(t, "of")))
	}
	return row
}

func drawRows(t *rapid.T, n, p int) [][]*big.Rat {
	x := make([][]*big.Rat, n)
	for i := range x {
		x[i] = drawRow(t, p)
	}
	return x
}

// dependent finds the columns that depend on earlier ones by elimination in fractions, with row exchanges.
func dependent(x [][]*big.Rat) []int {
	rows := make([][]*big.Rat, len(x))
	for i := range x {
		rows[i] = slices.Clone(x[i])
	}
	var columns []int
	top := 0
	for j := range rows[0] {
		at := slices.IndexFunc(rows[top:], func(row []*big.Rat) bool { return row[j].Sign() != 0 })
		if at < 0 {
			columns = append(columns, j)
			continue
		}
		rows[top], rows[top+at] = rows[top+at], rows[top]
		for i := top + 1; i < len(rows); i++ {
			factor := new(big.Rat).Quo(rows[i][j], rows[top][j])
			for k := range rows[i] {
				rows[i][k] = new(big.Rat).Sub(rows[i][k], new(big.Rat).Mul(factor, rows[top][k]))
			}
		}
		top++
	}
	return columns
}

// TestSolve plays random systems, singular ones among them, through both forms.
func TestSolve(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.IntRange(1, 8).Draw(t, "p")
		x := drawRows(t, rapid.IntRange(1, 10).Draw(t, "n"), p)
		if p > 2 && rapid.Bool().Draw(t, "collinear") {
			j := rapid.IntRange(2, p-1).Draw(t, "column")
			for _, row := range x {
				row[j] = new(big.Rat).Sub(row[0], row[1])
			}
		}
		a, want := gram(x), drawRow(t, p)
		b := times(a, want)
		exact, err := Decompose(a, prec)
		rounded, errFloat := DecomposeFloat(floats(a), prec)
		if columns := dependent(x); columns != nil {
			for _, err := range []error{err, errFloat} {
				var collinear *CollinearError
				if !errors.As(err, &collinear) || !slices.Equal(collinear.Columns, columns) {
					t.Fatalf("%v, want columns %v", err, columns)
				}
			}
			return
		}
		if err != nil || errFloat != nil {
			t.Fatal(err, errFloat)
		}
		got, ok := exact.SolveExact(b)
		if _, other := rounded.SolveExact(b); !ok || other {
			t.Fatal("exact:", ok, other)
		}
		for i := range want {
			if got[i].Cmp(want[i]) != 0 {
				t.Fatalf("solution %v, want %v", got, want)
			}
		}
		for i, x := range exact.Solve(b) {
			if x.Cmp(new(big.Float).SetPrec(prec).SetRat(want[i])) != 0 {
				t.Fatalf("element %d is %s, want %s", i, x, want[i])
			}
		}
		for i, x := range rounded.Solve(b) {
			if !near(x, want[i], 150) {
				t.Fatalf("float: element %d is %s, want %s", i, x, want[i])
			}
		}
	})
}

// TestInverse: A·A⁻¹ is one, and both forms agree.
func TestInverse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.IntRange(1, 8).Draw(t, "p")
		a := gram(drawRows(t, p+2, p))
		for i := range a {
			a[i][i].Add(a[i][i], big.NewRat(1, 10))
		}
		exact, err := Decompose(a, prec)
		if err != nil {
			t.Fatal(err)
		}
		rounded, err := DecomposeFloat(floats(a), prec)
		if err != nil {
			t.Fatal(err)
		}
		checkInverse(t, a, exact, 200)
		checkInverse(t, a, rounded, 200)
		want, _ := exact.LogDeterminant().Rat(nil)
		if d := rounded.LogDeterminant(); !near(d, want, 200) {
			t.Fatalf("log determinants %s and %s", d.String(), want.FloatString(60))
		}
	})
}

func checkInverse(t interface{ Fatalf(string, ...any) }, a [][]*big.Rat, f *Factor, bits int) {
	inverse, diagonal := f.Inverse(), f.InverseDiagonal()
	for j := range inverse {
		column := make([]*big.Rat, len(a))
		for i := range column {
			if inverse[i][j].Cmp(inverse[j][i]) != 0 || inverse[i][j].Prec() != prec {
				t.Fatalf("inverse is not symmetric at %d, %d", i, j)
			}
			column[i], _ = inverse[i][j].Rat(nil)
		}
		if diagonal[j].Cmp(inverse[j][j]) != 0 {
			t.Fatalf("diagonal %d is %s and %s", j, diagonal[j], inverse[j][j])
		}
		for i, x := range times(a, column) {
			want := new(big.Rat)
			if i == j {
				want.SetInt64(1)
			}
			if !near(new(big.Float).SetPrec(2*prec).SetRat(x), want, bits) {
				t.Fatalf("product %d, %d is %s", i, j, x.FloatString(60))
			}
		}
	}
}

func TestHilbert(t *testing.T) {
	for n := 1; n <= 12; n++ {
		a := hilbert(n)
		f, err := Decompose(a, prec)
		if err != nil {
			t.Fatal(err)
		}
		if f.Shape() != n {
			t.Fatal(f.Shape())
		}
		for i, row := range f.Inverse() {
			for j, x := range row { // Choi 1983, "Tricks or treats with the Hilbert matrix", §3
				sign, n, i, j := int64(1-2*((i+j)%2)), int64(n), int64(i+1), int64(j+1)
				want := big.NewInt(sign * (i + j - 1))
				for _, c := range [][2]int64{{n + i - 1, n - j}, {n + j - 1, n - i}, {i + j - 2, i - 1}, {i + j - 2, i - 1}} {
					want.Mul(want, new(big.Int).Binomial(c[0], c[1]))
				}
				if x.Cmp(new(big.Float).SetInt(want)) != 0 {
					t.Fatalf("order %d: element %d, %d of the inverse is %s, want %s", n, i, j, x, want)
				}
			}
		}
		rounded, err := DecomposeFloat(floats(a), prec)
		if err != nil {
			t.Fatal(err)
		}
		checkInverse(t, a, f, 150)
		checkInverse(t, a, rounded, 150)
	}
}

// TestLarge: beyond MaxExact, the solution has all its digits, and collinear columns are found too.
func TestLarge(t *testing.T) {
	const p = MaxExact + 4
	a := hilbert(p) // its condition is about 10^50
	want := make([]*big.Rat, p)
	for i := range want {
		want[i] = big.NewRat(int64(i-7), 3)
	}
	f, err := Decompose(a, prec)
	if err != nil {
		t.Fatal(err)
	}
	for i, x := range f.Solve(times(a, want)) {
		if !near(x, want[i], 240) {
			t.Errorf("element %d is %s, want %s", i, x, want[i])
		}
	}
	if _, ok := f.SolveExact(want); ok {
		t.Error("exact beyond MaxExact")
	}
	for i := range p { // column 9 becomes the sum of columns 2 and 5
		a[i][9] = new(big.Rat).Add(a[i][2], a[i][5])
	}
	for j := range p {
		a[9][j] = new(big.Rat).Add(a[2][j], a[5][j])
	}
	var collinear *CollinearError
	if _, err := Decompose(a, prec); !errors.As(err, &collinear) || !slices.Equal(collinear.Columns, []int{9}) {
		t.Error(err)
	}
	a[p-1][p-1] = big.NewRat(-1, 1)
	if _, err := Decompose(a, prec); !errors.Is(err, ErrIndefinite) {
		t.Error(err)
	}
}

// TestNearlyCollinear: columns that differ in the last place of float64 are two columns.
func TestNearlyCollinear(t *testing.T) {
	epsilon := new(big.Rat).SetFrac(big.NewInt(1), new(big.Int).Lsh(big.NewInt(1), 52))
	x := [][]*big.Rat{
		{big.NewRat(1, 1), new(big.Rat).Add(big.NewRat(1, 1), epsilon)},
		{big.NewRat(1, 1), big.NewRat(1, 1)},
		{big.NewRat(3, 2), big.NewRat(3, 2)},
	}
	a := gram(x)
	f, err := Decompose(a, prec)
	if err != nil {
		t.Fatal(err)
	}
	rounded, err := DecomposeFloat(floats(a), prec)
	if err != nil {
		t.Fatal(err)
	}
	want := []*big.Rat{big.NewRat(5, 1), big.NewRat(-7, 2)}
	for i, x := range f.Solve(times(a, want)) {
		if !near(x, want[i], 255) {
			t.Error(x)
		}
	}
	for i, x := range rounded.SolveFloat(floats([][]*big.Rat{times(a, want)})[0]) {
		if !near(x, want[i], 140) {
			t.Error(x)
		}
	}
}

func TestRefused(t *testing.T) {
	row := func(x ...int64) []*big.Rat {
		r := make([]*big.Rat, len(x))
		for i := range x {
			r[i] = big.NewRat(x[i], 1)
		}
		return r
	}
	for _, c := range []struct {
		name string
		a    [][]*big.Rat
		want error
	}{
		{"negative", [][]*big.Rat{row(-1)}, ErrIndefinite},
		{"zero diagonal", [][]*big.Rat{row(0, 1), row(1, 0)}, ErrIndefinite},
		{"negative pivot", [][]*big.Rat{row(1, 2), row(2, 3)}, ErrIndefinite},
		{"not symmetric", [][]*big.Rat{row(2, 1), row(0, 2)}, errShape},
		{"not square", [][]*big.Rat{row(2, 1)}, errShape},
	} {
		if _, err := Decompose(c.a, prec); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	for name, a := range map[string][][]*big.Rat{
		"a column of zeros": {row(1, 0, 0), row(0, 0, 0), row(0, 0, 1)},
		"indefinite":        {row(1, 2, 0), row(2, 3, 0), row(0, 0, 1)},
	} {
		var collinear *CollinearError
		if _, err := DecomposeFloat(floats(a), prec); !errors.As(err, &collinear) || !slices.Equal(collinear.Columns, []int{1}) {
			t.Errorf("%s: %v", name, err)
		}
	}
	f, err := Decompose(nil, prec)
	if err != nil || f.Shape() != 0 || len(f.Inverse()) != 0 || f.LogDeterminant().Sign() != 0 {
		t.Error("the empty matrix is a matrix:", err)
	}
}

func BenchmarkDecompose(b *testing.B) {
	for _, p := range []int{5, MaxExact, MaxExact + 20} {
		a := hilbert(p)
		for i := range a { // entries of about 100 bits, as sums of products of float64 are
			for j := range a {
				a[i][j] = new(big.Rat).Quo(a[i][j], big.NewRat(1, 1))
				s := new(big.Int).Lsh(big.NewInt(1), 100)
				n := new(big.Int).Quo(new(big.Int).Mul(s, a[i][j].Num()), a[i][j].Denom())
				a[i][j].SetFrac(n, s)
			}
			a[i][i].Add(a[i][i], big.NewRat(1, 1))
		}
		b.Run(map[int]string{5: "exact/5", MaxExact: "exact/30", MaxExact + 20: "float/50"}[p], func(b *testing.B) {
			for b.Loop() {
				f, err := Decompose(a, prec)
				if err != nil {
					b.Fatal(err)
				}
				f.Inverse()
			}
		})
	}
}
