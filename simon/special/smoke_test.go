package special

import ("testing";"math/big";"time";"fmt")

func TestSmoke(t *testing.T) {
	p := func(name string, f func() *big.Float) { f(); s := time.Now(); v := f(); fmt.Println(name, v.Text('g', 60), time.Since(s)) }
	N := New
	p("exp1", func() *big.Float { return Exp(N(1)) })
	p("log2", func() *big.Float { return Log(N(2)) })
	p("pi", Pi)
	p("lgamma.5", func() *big.Float { return LogGamma(N(.5)) })
	p("lgamma1e9", func() *big.Float { return LogGamma(N(1e9)) })
	for _, z := range []float64{-1,0, .5, 3, 6.9, 7.1, 33} { p(fmt.Sprint("normal", z), func() *big.Float { return NormalUpper(N(z)) }) }
	for _, df := range []float64{.5, 2.7, 100, 1e6, 1e9, 1e12} { for _, z := range []float64{.01, 1, 1.7, 2, 10, 40} {
		p(fmt.Sprint("t", z, " ", df), func() *big.Float { return StudentUpper(N(z), N(df)) }) } }
	for _, d := range []float64{3, 1000, 1e5, 1.3e5,  1e6, 1e8} { for _, x := range []float64{.9, 1, 1.01, 1.5} {
		p(fmt.Sprint("F", x, " ", d), func() *big.Float { return FUpper(N(x), N(d), N(d)) })
		p(fmt.Sprint("F", x, " 5,", d), func() *big.Float { return FUpper(N(x), N(5), N(d)) })
		p(fmt.Sprint("F", x, " ", d, ",5"), func() *big.Float { return FUpper(N(x), N(d), N(5)) })
		p(fmt.Sprint("chi", x*d, " ", d), func() *big.Float { return ChiSquareUpper(N(x*d), N(d)) })
		} }
	for _, q := range []float64{.975, .5000001, 1e-250, .2} {
		p(fmt.Sprint("normq", q), func() *big.Float { return NormalQuantile(N(q)) })
		for _, df := range []float64{.5, 2.7, 100, 1e6, 1e9} { p(fmt.Sprint("tq", q, " ", df), func() *big.Float { return StudentQuantile(N(q), N(df)) })}
	}
}
