package special

import (
	"bufio"
	"math"
	"math/big"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// functions are those that vectors name.
var functions = map[string]func(x []*big.Float) *big.Float{
	"Exp":              func(x []*big.Float) *big.Float { return Exp(x[0]) },
	"Expm1":            func(x []*big.Float) *big.Float { return Expm1(x[0]) },
	"Log":              func(x []*big.Float) *big.Float { return Log(x[0]) },
	"Log1p":            func(x []*big.Float) *big.Float { return Log1p(x[0]) },
	"Sqrt":             func(x []*big.Float) *big.Float { return Sqrt(x[0]) },
	"Pow":              func(x []*big.Float) *big.Float { return Pow(x[0], x[1]) },
	"LogGamma":         func(x []*big.Float) *big.Float { return LogGamma(x[0]) },
	"NormalUpper":      func(x []*big.Float) *big.Float { return NormalUpper(x[0]) },
	"NormalQuantile":   func(x []*big.Float) *big.Float { return NormalQuantile(x[0]) },
	"StudentUpper":     func(x []*big.Float) *big.Float { return StudentUpper(x[0], x[1]) },
	"StudentQuantile":  func(x []*big.Float) *big.Float { return StudentQuantile(x[0], x[1]) },
	"ChiSquareUpper":   func(x []*big.Float) *big.Float { return ChiSquareUpper(x[0], x[1]) },
	"GammaIncRegLower": func(x []*big.Float) *big.Float { return GammaIncRegLower(x[0], x[1]) },
	"GammaIncRegUpper": func(x []*big.Float) *big.Float { return GammaIncRegUpper(x[0], x[1]) },
	"FUpper":           func(x []*big.Float) *big.Float { return FUpper(x[0], x[1], x[2]) },
	"BetaIncReg": func(x []*big.Float) *big.Float {
		return BetaIncReg(x[0], x[1], x[2], sub(one, x[2]))
	},
}

// agree is what vectors must agree to: they have 50 digits.
var agree = parse("1e-48")

func parse(s string) *big.Float {
	x, _, err := big.ParseFloat(s, 10, work, big.ToNearestEven)
	if err != nil {
		panic(err)
	}
	return x
}

// near says whether |x-y| ≤ tolerance·|y|.
func near(x, y, tolerance *big.Float) bool {
	d := sub(x, y)
	return d.Abs(d).Cmp(mul(tolerance, float().Abs(y))) <= 0
}

func TestVectors(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) != 5 {
		t.Fatal(files, err)
	}
	seen := 0
	for _, name := range files {
		file, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		lines := bufio.NewScanner(file)
		for lines.Scan() {
			fields := strings.Fields(lines.Text())
			arguments := make([]*big.Float, 0, 3)
			for _, s := range fields[1 : len(fields)-1] {
				x, err := strconv.ParseFloat(s, 64)
				if err != nil {
					t.Fatal(err)
				}
				arguments = append(arguments, New(x))
			}
			got, want := functions[fields[0]](arguments), parse(fields[len(fields)-1])
			if !near(got, want, agree) {
				t.Errorf("%s: got %s", lines.Text(), got.Text('g', 50))
			}
			if got.Prec() != Prec {
				t.Errorf("%s: precision %d", lines.Text(), got.Prec())
			}
			if again := functions[fields[0]](arguments); again.Cmp(got) != 0 {
				t.Errorf("%s: another value the second time", lines.Text())
			}
			for i, s := range fields[1 : len(fields)-1] {
				if x, _ := strconv.ParseFloat(s, 64); arguments[i].Cmp(New(x)) != 0 {
					t.Errorf("%s: changed its argument %d", lines.Text(), i)
				}
			}
			seen++
		}
		if err := lines.Err(); err != nil {
			t.Fatal(err)
		}
	}
	if seen < 500 {
		t.Errorf("only %d vectors", seen)
	}
}

// TestBits holds results to the last bit, so that another platform or another version of math/big would show.
func TestBits(t *testing.T) {
	for _, c := range []struct {
		name string
		x    *big.Float
		want string
	}{
		{"Pi", Pi(), "0x.c90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74020bbea63b139b22p+2"},
		{"Exp", Exp(New(1)), "0x.adf85458a2bb4a9aafdc5620273d3cf1d8b9c583ce2d3695a9e13641146433fcp+2"},
		{"Log", Log(New(10)), "0x.935d8dddaaa8ac16ea56d62b82d30a28e28fecf9da5df90e83c61e8201f02d73p+2"},
		{"LogGamma", LogGamma(New(0.5)), "0x.928682473d0de85eafcab635421fa4cc2f36edf9d9f9303719c0176577d49847p+0"},
		{"NormalUpper", NormalUpper(New(1.96)), "0x.ccc862c42c9892a35f6c6eb80c94c5a59fee03bd1c6f9e93710bac696c4f5b89p-5"},
		{"NormalQuantile", NormalQuantile(New(0.975)), "0x.fae0198f77fc19044083d4a59048a932e9c447355b14b3bd68465e620f2b91cbp+1"},
		{"StudentUpper", StudentUpper(New(2.2), New(11.7)), "0x.c76a47e228c158740ee6671b1f8c3ff1a62161232c23ea3547ff160737a41809p-5"},
		{"StudentQuantile", StudentQuantile(New(0.975), New(11.7)), "0x.8bd773beef99d7f89abcd51470061d0cfe0728eb8f76a7d3974cbb24738ed0a2p+2"},
		{"ChiSquareUpper", ChiSquareUpper(New(2.2e6), New(2.1e6)), "0x.94efffd0ae6401af5b9bdb5ac3e582ea27efb4c70eca98b3a62eef57f033ed3dp-1671"},
		{"FUpper", FUpper(New(1.01), New(1e6), New(1e6)), "0x.af023905ef508a913ac0c44ab6bab5401337aee95802b8985b702c8180f4d2dap-21"},
	} {
		if got := c.x.Text('p', 0); got != c.want {
			t.Errorf("{%q, ..., %q},", c.name, got)
		}
	}
}

func TestKnownValues(t *testing.T) {
	tight := parse("1e-75")
	for _, c := range []struct {
		name      string
		got, want *big.Float
	}{
		{"LogGamma(1)", LogGamma(Int(1)), Int(0)},
		{"LogGamma(2)", LogGamma(Int(2)), Int(0)},
		{"LogGamma(1/2)", LogGamma(New(0.5)), scale(log(pi()), -1)},
		{"Exp(0)", Exp(Int(0)), Int(1)},
		{"Log(1)", Log(Int(1)), Int(0)},
		{"Log1p(0)", Log1p(Int(0)), Int(0)},
		{"Pow(0, 2)", Pow(Int(0), Int(2)), Int(0)},
		{"NormalUpper(0)", NormalUpper(Int(0)), half},
		{"NormalQuantile(1/2)", NormalQuantile(half), Int(0)},
		{"StudentQuantile(1/2)", StudentQuantile(half, New(2.7)), Int(0)},
		{"StudentUpper(0)", StudentUpper(Int(0), New(2.7)), half},
		{"Cauchy quantile", StudentQuantile(New(0.75), Int(1)), Int(1)},
		{"ChiSquareUpper df 2", ChiSquareUpper(Int(500), Int(2)), Exp(Int(-250))},
		{"ChiSquareUpper(0)", ChiSquareUpper(Int(0), Int(2)), Int(1)},
		{"FUpper 2, 2", FUpper(Int(9), Int(2), Int(2)), FromRat(big.NewRat(1, 10))},
		{"FUpper(-1)", FUpper(Int(-1), Int(2), Int(2)), Int(1)},
		{"Student of an infinity", StudentUpper(New(math.Inf(-1)), Int(2)), Int(1)},
		{"F of an infinity", FUpper(New(math.Inf(1)), Int(2), Int(3)), Int(0)},
		{"chi-square of an infinity", ChiSquareUpper(New(math.Inf(1)), Int(2)), Int(0)},
		{"normal of an infinity", NormalUpper(New(math.Inf(1))), Int(0)},
		{"beta at 0", BetaIncReg(Int(2), Int(3), Int(0), Int(1)), Int(0)},
		{"beta at 1", BetaIncReg(Int(2), Int(3), Int(1), Int(0)), Int(1)},
	} {
		if !near(c.got, c.want, tight) {
			t.Errorf("%s: got %s, want %s", c.name, c.got.Text('g', 60), c.want.Text('g', 60))
		}
	}
}

// TestExtremes: what is too large for the exponents of big.Float ends as zero or infinity, at once.
func TestExtremes(t *testing.T) {
	if x := Exp(New(-1e300)); x.Sign() != 0 {
		t.Error(x)
	}
	if x := Exp(New(1e300)); !x.IsInf() {
		t.Error("finite")
	}
	for _, x := range []*big.Float{
		NormalUpper(New(1e300)),
		ChiSquareUpper(New(1e300), New(1e6)),
		sub(one, ChiSquareUpper(New(1e-300), New(1e8))),
	} {
		if f, ok := Float64(x); f != 0 || !ok {
			t.Error(f, ok)
		}
	}
	if x := Exp(New(math.Inf(-1))); x.Sign() != 0 {
		t.Error(x.Sign())
	}
	p, df := New(1e-250), New(1e-3)
	if q := StudentQuantile(p, df); !near(StudentUpper(neg(q), df), p, parse("1e-55")) {
		t.Error("a quantile of about 10^250000")
	}
	if _, ok := Float64(StudentQuantile(New(1e-300), New(0.5))); ok {
		t.Error("1e600 is a float64")
	}
}

func TestDomain(t *testing.T) {
	for name, f := range map[string]func(){
		"Log":             func() { Log(Int(0)) },
		"Log1p":           func() { Log1p(Int(-1)) },
		"LogGamma":        func() { LogGamma(Int(0)) },
		"Pow":             func() { Pow(Int(-1), Int(2)) },
		"StudentUpper":    func() { StudentUpper(Int(1), Int(0)) },
		"NewStudent":      func() { NewStudent(Int(-1)) },
		"ChiSquareUpper":  func() { ChiSquareUpper(Int(1), Int(-1)) },
		"FUpper":          func() { FUpper(Int(1), Int(1), New(math.Inf(1))) },
		"NormalQuantile":  func() { NormalQuantile(Int(1)) },
		"StudentQuantile": func() { StudentQuantile(Int(0), Int(1)) },
	} {
		func() {
			defer func() {
				if s, _ := recover().(string); !strings.HasPrefix(s, "special."+name+": ") {
					t.Errorf("%s: %q", name, s)
				}
			}()
			f()
		}()
	}
}

// shape draws a parameter over many sizes.
func shape(t *rapid.T, name string) *big.Float {
	return New(math.Ldexp(rapid.Float64Range(1, 2).Draw(t, name), rapid.IntRange(-8, 21).Draw(t, name+" exponent")))
}

var close = parse("1e-60")

func TestInverses(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := New(math.Ldexp(rapid.Float64Range(0.5, 1).Draw(t, "x"), rapid.IntRange(-200, 25).Draw(t, "exponent")))
		if got := Log(Exp(x)); exponent(x) > -40 && !near(got, x, close) {
			t.Errorf("log of exp: %s", got)
		}
		if got := Log1p(Expm1(x)); !near(got, x, close) {
			t.Errorf("log1p of expm1: %s", got)
		}
		if got := Sqrt(mul(x, x)); got.Cmp(x) != 0 {
			t.Errorf("root of a square: %s", got)
		}
		if got, want := sub(LogGamma(add(x, one)), LogGamma(x)), Log(x); !near(got, want, parse("1e-55")) {
			t.Errorf("recurrence of gamma: %s", got)
		}
	})
}

// TestMethodsAgree compares continued fractions and series with the integral, which have nothing in common.
func TestMethodsAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := New(rapid.Float64Range(3e3, 6e4).Draw(t, "a"))
		b := New(rapid.Float64Range(3e3, 6e4).Draw(t, "b"))
		c := New(rapid.Float64Range(0.9, 0.9999).Draw(t, "c"))
		x := mul(quo(a, add(a, b)), c)
		y := sub(one, x)
		below, above := mul(a, c), quo(a, c)
		var got, want *big.Float
		var ok bool
		switch rapid.SampledFrom([]string{"beta", "lower gamma", "upper gamma"}).Draw(t, "function") {
		case "beta":
			got, ok = betaFraction(a, b, x)
			want = betaIntegral(a, b, x, y)
		case "lower gamma":
			got, ok = gammaSeries(a, below)
			want = gammaIntegral(a, below)
		case "upper gamma":
			got, ok = gammaFraction(a, above)
			want = gammaIntegral(a, above)
		}
		if !ok || !near(got, want, close) {
			t.Errorf("%v, but the integral is %v", got, want)
		}
	})
}

func TestTails(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := shape(t, "a"), shape(t, "b")
		x := New(rapid.Float64Range(1e-12, 1).Draw(t, "x"))
		y := sub(one, x)
		lower, upper := BetaIncReg(a, b, x, y), BetaIncReg(b, a, y, x)
		if !near(add(lower, upper), one, close) {
			t.Errorf("beta: tails add up to %s", add(lower, upper))
		}
		further := scale(x, -1)
		if less := BetaIncReg(a, b, further, sub(one, further)); less.Cmp(lower) > 0 {
			t.Errorf("beta falls: %s at x/2, %s at x", less, lower)
		}
		u := mul(a, scale(x, 1))
		lower, upper = GammaIncRegLower(a, u), GammaIncRegUpper(a, u)
		if !near(add(lower, upper), one, close) {
			t.Errorf("gamma: tails add up to %s", add(lower, upper))
		}
		if more := GammaIncRegUpper(a, scale(u, 1)); more.Cmp(upper) > 0 {
			t.Errorf("gamma rises: %s at 2x, %s at x", more, upper)
		}
		if got, want := FUpper(mul(x, x), one, a), scale(StudentUpper(x, a), 1); !near(got, want, close) {
			t.Errorf("F with one degree %s, t squared %s", got, want)
		}
		if got, want := StudentUpper(neg(u), b), sub(one, StudentUpper(u, b)); !near(got, want, close) {
			t.Errorf("t: %s below 0, %s above", got, want)
		}
	})
}

func TestQuantiles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := New(math.Ldexp(rapid.Float64Range(0.5, 1).Draw(t, "p"), -rapid.IntRange(0, 900).Draw(t, "exponent")))
		if p.Cmp(one) == 0 {
			p = New(0.5)
		}
		df := shape(t, "df")
		z, q := NormalQuantile(p), StudentQuantile(p, df)
		if got := NormalUpper(neg(z)); !near(got, p, close) {
			t.Errorf("normal: %s has the tail %s", z, got)
		}
		if got := StudentUpper(neg(q), df); !near(got, p, close) {
			t.Errorf("t: %s has the tail %s", q, got)
		}
		if exponent(p) > -100 {
			if other := StudentQuantile(sub(one, p), df); !near(neg(other), q, close) {
				t.Errorf("t: %s and %s", q, other)
			}
		}
		if p.Cmp(half) < 0 && q.Cmp(z) > 0 {
			t.Errorf("the tail of t is lighter than the normal one: %s, %s", q, z)
		}
	})
}

// TestStudent: a prepared distribution gives the bits of the functions, whatever it was asked before.
func TestStudent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		df := shape(t, "df")
		s := NewStudent(df)
		for range 3 {
			x := New(rapid.Float64Range(-40, 40).Draw(t, "t"))
			p := New(rapid.Float64Range(1e-9, 1-1e-9).Draw(t, "p"))
			if got, want := s.Upper(x), StudentUpper(x, df); got.Cmp(want) != 0 || got.Prec() != Prec {
				t.Errorf("the tail of %s is %s, want %s", x, got, want)
			}
			if got, want := s.Quantile(p), StudentQuantile(p, df); got.Cmp(want) != 0 {
				t.Errorf("the quantile of %s is %s, want %s", p, got, want)
			}
		}
	})
}

func BenchmarkTails(b *testing.B) {
	for _, c := range []struct {
		name string
		f    func() *big.Float
	}{
		{"Exp", func() *big.Float { return Exp(New(1.3)) }},
		{"Log", func() *big.Float { return Log(New(1.3)) }},
		{"LogGamma", func() *big.Float { return LogGamma(New(1.3)) }},
		{"NormalUpper", func() *big.Float { return NormalUpper(New(1.96)) }},
		{"NormalQuantile", func() *big.Float { return NormalQuantile(New(0.975)) }},
		{"Student/df=10", func() *big.Float { return StudentUpper(New(2), New(10)) }},
		{"Student/df=1e6", func() *big.Float { return StudentUpper(New(2), New(1e6)) }},
		{"Student/df=1e9", func() *big.Float { return StudentUpper(New(2), New(1e9)) }},
		{"StudentQuantile/df=10", func() *big.Float { return StudentQuantile(New(0.975), New(10)) }},
		{"StudentQuantile/df=1e9", func() *big.Float { return StudentQuantile(New(0.975), New(1e9)) }},
		{"ChiSquare/df=1e6", func() *big.Float { return ChiSquareUpper(New(1e6), New(1e6)) }},
		{"ChiSquare/df=1e9", func() *big.Float { return ChiSquareUpper(New(1e9), New(1e9)) }},
		{"F/df=1e5", func() *big.Float { return FUpper(New(1.001), New(1e5), New(1e5)) }},
		{"F/df=1e9", func() *big.Float { return FUpper(New(1.00001), New(1e9), New(1e9)) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				c.f()
			}
		})
	}
}
