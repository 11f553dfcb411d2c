package simon

import (
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/weftmpc/weft/simon/linear"
	"github.com/weftmpc/weft/simon/special"
)

// fitPrec is the precision of solutions where they are not exact, in bits; package linear has twice that inside.
const fitPrec = 512

func powerName(base string, m int) string { return base + strconv.Itoa(m) }

// linearFit is a least squares fit. The first of coefficients is the intercept, if there is one.
type linearFit struct {
	n            int64
	names        []string
	coefficients []*big.Rat
	inverse      []*big.Float // diagonal of the inverse of X'X, as coefficients; nil with ridge
	total        *big.Rat     // squares of y about its mean, or about 0 without an intercept
	residual     *big.Rat     // squares of the residuals
	predictors   int64
	intercept    bool
	ridge        bool
}

// fitLinear fits column 0 of c by the others, which have the names.
//
// With an intercept it solves for the columns' distances from their means, which is the same fit, and finds the intercept
// from the means.
func fitLinear(c *cross, names []string, ridge *big.Rat) (*linearFit, error) {
	fit := &linearFit{n: c.n, names: names, predictors: int64(len(names)), intercept: c.sums != nil, ridge: ridge.Sign() > 0}
	all := fit.predictors
	if fit.intercept {
		all++
	}
	if c.n == 0 {
		return nil, &OutcomeError{"all parties together have no rows"}
	}
	if c.n < all && !fit.ridge {
		return nil, &OutcomeError{fmt.Sprintf("all parties together have %d rows, and the model has %d coefficients: at least that many rows are needed", c.n, all)}
	}
	products := c.of
	if fit.intercept {
		products = c.centred()
	}
	normal, right := make([][]*big.Rat, len(names)), products[0][1:]
	for i := range normal {
		normal[i] = slices.Clone(products[i+1][1:])
		normal[i][i] = new(big.Rat).Add(normal[i][i], ridge)
	}
	factor, err := linear.Decompose(normal, fitPrec)
	if collinear, is := errors.AsType[*linear.CollinearError](err); is {
		return nil, &OutcomeError{explain(c, normal, names, collinear.Columns)}
	}
	if errors.Is(err, linear.ErrIndefinite) {
		return nil, impossible("the sums contradict each other")
	}
	if err != nil {
		return nil, err
	}
	slopes := solved(factor, right)
	fit.total, fit.residual = products[0][0], new(big.Rat).Set(products[0][0])
	// y'y - 2·b'X'y + b'X'X·b, where X'X·b is X'y - λ·b.
	for i, b := range slopes {
		fit.residual.Sub(fit.residual, new(big.Rat).Mul(b, right[i]))
		fit.residual.Sub(fit.residual, new(big.Rat).Mul(square(b), ridge))
	}
	fit.clean()
	if fit.residual.Sign() < 0 {
		return nil, impossible("the sums contradict each other")
	}
	fit.coefficients = slopes
	if !fit.ridge {
		fit.inverse = factor.InverseDiagonal()
	}
	if fit.intercept {
		fit.addIntercept(c, factor, slopes)
	}
	return fit, nil
}

// solved is the solution for a right side as fractions: the exact one, or those that floats are.
func solved(factor *linear.Factor, right []*big.Rat) []*big.Rat {
	if x, ok := factor.SolveExact(right); ok {
		return x
	}
	floats := factor.Solve(right)
	x := make([]*big.Rat, len(floats))
	for i, f := range floats {
		x[i], _ = f.Rat(nil)
	}
	return x
}

// clean takes what rounding has left of residuals that are zero away. Where the solution is exact there is nothing to do.
func (fit *linearFit) clean() {
	if fit.predictors <= linear.MaxExact {
		return
	}
	least := new(big.Rat).SetFrac(big.NewInt(1), new(big.Int).Lsh(big.NewInt(1), fitPrec/2))
	if new(big.Rat).Abs(fit.residual).Cmp(least.Mul(least, fit.total)) < 0 {
		fit.residual.SetInt64(0)
	}
}

// addIntercept puts the intercept before the slopes: mean of y less that of the fitted slopes, with the variance factor
// 1/n + m'(X'X)⁻¹m, where m are the means of the predictors.
func (fit *linearFit) addIntercept(c *cross, factor *linear.Factor, slopes []*big.Rat) {
	fit.names = append([]string{"(intercept)"}, fit.names...)
	means := make([]*big.Rat, len(slopes))
	at := over(c.sums[0], c.n)
	for i, b := range slopes {
		means[i] = over(c.sums[i+1], c.n)
		at.Sub(at, new(big.Rat).Mul(b, means[i]))
	}
	fit.coefficients = append([]*big.Rat{at}, slopes...)
	if fit.ridge {
		return
	}
	spread := new(big.Float).SetPrec(fitPrec).SetRat(big.NewRat(1, c.n))
	for i, x := range factor.Solve(means) {
		spread.Add(spread, x.Mul(x, new(big.Float).SetPrec(fitPrec).SetRat(means[i])))
	}
	fit.inverse = append([]*big.Float{spread}, fit.inverse...)
}

// explain names the columns that are linear combinations of others, and of which: at most so many of each.
func explain(c *cross, normal [][]*big.Rat, names []string, dependent []int) string {
	const most = 5
	var base []int
	for i := range names {
		if !slices.Contains(dependent, i) {
			base = append(base, i)
		}
	}
	matrix := make([][]*big.Rat, len(base))
	for k, i := range base {
		for _, j := range base {
			matrix[k] = append(matrix[k], normal[i][j])
		}
	}
	factor, err := linear.Decompose(matrix, fitPrec)
	var reasons []string
	for _, d := range dependent[:min(most, len(dependent))] {
		var parts []string
		if err == nil && len(base) > 0 {
			right := make([]*big.Rat, len(base))
			for k, i := range base {
				right[k] = normal[i][d]
			}
			negligible := new(big.Rat).SetFrac(big.NewInt(1), new(big.Int).Lsh(big.NewInt(1), fitPrec/2))
			for k, x := range solved(factor, right) {
				if x.Abs(x).Cmp(negligible) > 0 {
					parts = append(parts, names[base[k]])
				}
			}
		}
		reasons = append(reasons, combination(names[d], parts, c.sums != nil))
	}
	if left := len(dependent) - len(reasons); left > 0 {
		reasons = append(reasons, fmt.Sprintf("and %d more columns are such combinations", left))
	}
	return strings.Join(reasons, "; ") + ": leave such columns out, or set ridge"
}

// combination says of what a column is a linear combination.
func combination(name string, parts []string, intercept bool) string {
	const most = 8
	switch {
	case len(parts) == 0 && intercept:
		return name + " is constant"
	case len(parts) == 0:
		return name + " is 0 in all rows"
	case len(parts) > most:
		parts = append(slices.Clone(parts[:most]), fmt.Sprintf("%d more columns", len(parts)-most))
	}
	list := parts[0]
	if last := len(parts) - 1; last > 0 {
		list = strings.Join(parts[:last], ", ") + " and " + parts[last]
	}
	if intercept {
		return name + " is a linear combination of " + list + ", apart from a constant"
	}
	return name + " is a linear combination of " + list
}

// Reasons why parts of a regression do not exist.
const (
	ofRidge      = "ridge estimates are biased: there is no standard error"
	fullModel    = "there are as many rows as coefficients: nothing is left to estimate the error from"
	exactFit     = "the fit is exact, all residuals are 0: the statistic is infinite"
	levelY       = "y is constant"
	zeroY        = "y is 0 in all rows"
	zeroEstimate = "the fit is exact, and the estimate is 0"
)

// why is the reason why there are no standard errors, empty if there are.
func (fit *linearFit) why() string {
	switch {
	case fit.ridge:
		return ofRidge
	case fit.df() == 0:
		return fullModel
	}
	return ""
}

// df are the degrees of freedom of the residuals.
func (fit *linearFit) df() int64 { return fit.n - int64(len(fit.coefficients)) }

// flat is the reason why there is nothing to explain, empty if there is.
func (fit *linearFit) flat() string {
	switch {
	case fit.total.Sign() != 0:
		return ""
	case fit.intercept:
		return levelY
	}
	return zeroY
}

func (fit *linearFit) object(level *big.Rat) object {
	var o object
	o.put("samples", fit.n)
	if fit.ridge {
		o.put("method", "Ridge regression")
	} else {
		o.put("method", "Ordinary least squares")
	}
	o.put("coefficients", fit.table(&o, level))
	why := fit.why()
	var df *big.Rat
	if !fit.ridge {
		df = new(big.Rat).SetInt64(fit.df())
	}
	if why != "" {
		o.null("residual_standard_error", why)
	} else {
		o.put("residual_standard_error", root(over(fit.residual, fit.df())))
	}
	o.putRat(&o, "", "df", df, why)
	var share, adjusted *big.Rat // explained
	unexplained := fit.flat()
	if unexplained == "" {
		left := new(big.Rat).Quo(fit.residual, fit.total)
		share = new(big.Rat).Sub(big.NewRat(1, 1), left)
		if why == "" {
			rows := fit.n
			if fit.intercept {
				rows--
			}
			adjusted = left.Mul(left, big.NewRat(rows, fit.df()))
			adjusted.Sub(big.NewRat(1, 1), adjusted)
		}
	}
	o.putRat(&o, "", "r_squared", share, unexplained)
	if why != "" {
		unexplained = why
	}
	o.putRat(&o, "", "adj_r_squared", adjusted, unexplained)
	fit.putF(&o)
	o.put("conf_level", level)
	return o
}

// putF adds the test of all predictors together.
func (fit *linearFit) putF(o *object) {
	t := fTest{why: fit.why()}
	if !fit.ridge {
		t.num = new(big.Rat).SetInt64(fit.predictors)
		t.denom = new(big.Rat).SetInt64(fit.df())
	}
	switch {
	case t.why != "":
	case fit.flat() != "":
		t.why = fit.flat()
	case fit.residual.Sign() == 0:
		t.why = exactFit
	default:
		explained := new(big.Rat).Sub(fit.total, fit.residual)
		t.f = explained.Quo(over(explained, fit.predictors), over(fit.residual, fit.df()))
		t = t.withP()
	}
	o.putRat(o, "", "f_statistic", t.f, t.why)
	o.putRat(o, "", "num_df", t.num, t.why)
	o.putRat(o, "", "denom_df", t.denom, t.why)
	o.putFloat(o, "", "f_p_value", t.p, t.why)
}

// table is the member coefficients. Notes go to the result.
func (fit *linearFit) table(result *object, level *big.Rat) []any {
	var student *special.Student
	var quantile, variance *big.Float
	if fit.why() == "" {
		student = special.NewStudent(special.Int(fit.df()))
		quantile = student.Quantile(special.FromRat(bothSides(level)))
		variance = special.FromRat(over(fit.residual, fit.df()))
	}
	list := make([]any, len(fit.coefficients))
	for i, b := range fit.coefficients {
		var o object
		path := fmt.Sprintf("coefficients[%d].", i)
		o.put("name", fit.names[i])
		o.put("estimate", b)
		var se, t, p *big.Float
		var limits any
		why := fit.why()
		if why == "" {
			se = special.Sqrt(new(big.Float).Mul(variance, fit.inverse[i]))
			limits = interval(b, se, quantile)
			switch {
			case se.Sign() > 0:
				t = special.FromRat(b)
				t.Quo(t, se)
				p = student.Upper(new(big.Float).Abs(t))
				p.Add(p, p)
			case b.Sign() == 0:
				why = zeroEstimate
			default:
				why = exactFit
			}
		}
		o.putFloat(result, path, "std_error", se, why)
		o.putFloat(result, path, "t_value", t, why)
		o.putFloat(result, path, "p_value", p, why)
		o.put("conf_int", limits)
		if limits == nil {
			result.note(path+"conf_int", why)
		}
		list[i] = o
	}
	return list
}
