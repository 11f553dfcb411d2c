package simon

import (
	"errors"
	"fmt"
	"math/big"
	"slices"

	"github.com/weftmpc/weft/simon/linear"
	"github.com/weftmpc/weft/simon/special"
)

// nullModel is the intercept of the model that has nothing else, or 0 where the model has none; nil if it is not finite. All
// sums are whole numbers, that of the exposures in units of the grid.
func (d glmDesign) nullModel(n, y, exposure *big.Int) *big.Float {
	var odds *big.Rat
	switch {
	case !d.intercept:
		return special.Int(0)
	case y.Sign() == 0 || !d.counts && y.Cmp(n) == 0:
		return nil
	case d.counts:
		odds = scaled(exposure, statEncoding.Digits)
		odds.Quo(new(big.Rat).SetInt(y), odds)
	default:
		odds = new(big.Rat).SetFrac(y, new(big.Int).Sub(n, y))
	}
	return special.Log(special.FromRat(odds))
}

// at is what is left at this seat: nothing where it is no recipient's.
func (o glmOpening) at(s Session) []byte {
	if !slices.Contains(s.Recipients(), s.Self()) {
		return nil
	}
	return o.encode()
}

// finish computes the result.
func (d glmDesign) finish(level *big.Rat, most int64, opened []byte) (object, error) {
	o, err := d.readOpening(opened)
	if err != nil {
		return object{}, err
	}
	plan, err := d.scheme(o.columns)
	if err != nil {
		return object{}, err
	}
	why := ""
	switch o.outcome {
	case glmFitted:
	case glmSeparated:
		why = d.separation()
	case glmSteep:
		why = fmt.Sprintf("no estimates: a coefficient has grown beyond %d for a standard deviation of its column, "+
			"because of separation, or because columns all but follow from each other: leave one out", mostSlope)
	case glmUnsettled:
		why = fmt.Sprintf("no estimates: Newton's method has not converged after %d iterations: raise max_iterations, or look for a column that hardly varies", most)
	case glmCollinear:
		return object{}, d.collinear(int(o.collinear))
	case glmNotPossible:
		return object{}, impossible("the sums contradict each other")
	default:
		return object{}, errors.New("what was opened has an unknown outcome")
	}
	var f *glmFit
	if why == "" {
		if f, err = d.fit(plan, o); err != nil {
			return object{}, err
		}
	}
	return d.result(plan, o, f, level, why), nil
}

func (d glmDesign) separation() string {
	if d.counts {
		return "no estimates: the likelihood grows without end, because some combination of columns occurs without events only (separation)"
	}
	return "no estimates: the likelihood grows without end, because some combination of columns separates samples of one outcome from all others (separation)"
}

// collinear is the outcome where the information matrix of the null model is singular.
func (d glmDesign) collinear(column int) error {
	terms := d.terms()
	if column >= len(terms) {
		return errors.New("what was opened names a column that is not there")
	}
	if column == 0 {
		return impossible("the sums contradict each other")
	}
	before := "column " + fmt.Sprintf("%q", terms[column-1])
	switch {
	case column == 1 && d.intercept:
		before = "the intercept"
	case column > 1:
		before = fmt.Sprintf("the %d terms before it, from %s to %s", column, terms[0], terms[column-1])
	}
	return &OutcomeError{fmt.Sprintf("column %q follows from %s (collinear): leave it out", terms[column], before)}
}

// glmFit are coefficients in units of the data.
type glmFit struct {
	estimate, variance []*big.Float
	deviance           *big.Float // half of it
}

// fit goes back from the standardised columns: the linear predictor a + Σ b·(x-mean)·2^-exponent is
// a - Σ c·mean + Σ c·x with c = b·2^-exponent, and the covariances follow by the same linear map.
func (d glmDesign) fit(plan *glmScheme, o glmOpening) (*glmFit, error) {
	p := d.order()
	factor, err := linear.DecomposeFloat(informationAt(o.last, p), stepPrec)
	if err != nil || o.last.Int(0, 0).Sign() < 0 {
		return nil, impossible("the sums contradict each other")
	}
	covariance := factor.Inverse()
	f := &glmFit{deviance: gridFloat(o.last, 0, 0)}
	constant := make([]*big.Float, p) // of the standardised coefficients in the intercept
	for i, b := range o.point {
		j := i
		if d.intercept {
			j--
		}
		estimate, variance := special.New(b), new(big.Float).SetPrec(special.Prec).Set(covariance[i][i])
		constant[i] = special.Int(1)
		if j >= 0 {
			c := plan.columns[j]
			estimate.SetMantExp(estimate, -c.exponent)
			variance.SetMantExp(variance, -2*c.exponent)
			constant[i].SetInt(c.mean).Neg(constant[i])
			constant[i].SetMantExp(constant[i], -c.exponent)
			grid := new(big.Float).SetPrec(special.Prec).SetInt(powerOfTen(statEncoding.Digits))
			estimate.Mul(estimate, grid)
			variance.Mul(variance, grid).Mul(variance, grid)
		}
		f.estimate, f.variance = append(f.estimate, estimate), append(f.variance, variance)
	}
	if d.intercept {
		f.estimate[0], f.variance[0] = special.Int(0), special.Int(0)
		term := special.Int(0)
		for i, b := range o.point {
			f.estimate[0].Add(f.estimate[0], term.Mul(constant[i], special.New(b)))
			for k := range p {
				term.Mul(constant[i], constant[k])
				f.variance[0].Add(f.variance[0], term.Mul(term, covariance[i][k]))
			}
		}
	}
	for _, v := range f.variance {
		if v.Sign() <= 0 {
			return nil, impossible("the sums contradict each other")
		}
	}
	return f, nil
}

// result writes all fields. f is nil where there are no estimates, and why says so.
func (d glmDesign) result(plan *glmScheme, o glmOpening, f *glmFit, level *big.Rat, why string) object {
	var r object
	r.put("samples", plan.samples)
	r.put("method", d.method)
	r.put("family", d.family)
	r.put("link", d.link)
	r.put("coefficients", d.coefficients(&r, f, level, why))
	twice := func(x *big.Float) *big.Float { return new(big.Float).SetMantExp(x, 1) }
	put := func(name string, value func() *big.Float) {
		if f == nil {
			r.null(name, why)
		} else {
			r.put(name, value())
		}
	}
	likelihood := func() *big.Float {
		l := special.FromRat(scaled(plan.saturated, satDigits))
		return l.Sub(l, f.deviance)
	}
	p := int64(d.order())
	put("deviance", func() *big.Float { return twice(f.deviance) })
	r.put("null_deviance", twice(gridFloat(o.first, 0, 0)))
	r.put("df_residual", plan.samples-p)
	null := plan.samples
	if d.intercept {
		null--
	}
	r.put("df_null", null)
	put("aic", func() *big.Float { return twice(new(big.Float).Sub(special.Int(p), likelihood())) })
	put("log_likelihood", likelihood)
	r.put("iterations", int(o.iterations))
	r.put("converged", f != nil)
	r.put("separation", o.outcome == glmSeparated || o.outcome == glmSteep)
	r.put("conf_level", level)
	return r
}

// coefficients lists the rows of the table and notes on r what is missing.
func (d glmDesign) coefficients(r *object, f *glmFit, level *big.Rat, why string) []any {
	var list []any
	quantile := special.NormalQuantile(special.FromRat(bothSides(level)))
	for i, name := range d.terms() {
		var c object
		c.put("name", name)
		if f == nil {
			for _, field := range []string{"estimate", "std_error", "z_value", "p_value", "conf_int", d.ratio, d.ratio + "_conf_int"} {
				c.put(field, nil)
				r.note(fmt.Sprintf("coefficients[%d].%s", i, field), why)
			}
			list = append(list, c)
			continue
		}
		estimate, deviation := f.estimate[i], special.Sqrt(f.variance[i])
		z := new(big.Float).Quo(estimate, deviation)
		p := special.NormalUpper(new(big.Float).Abs(z))
		half := new(big.Float).Mul(quantile, deviation)
		lower, upper := new(big.Float).Sub(estimate, half), new(big.Float).Add(estimate, half)
		c.put("estimate", estimate)
		c.put("std_error", deviation)
		c.put("z_value", z)
		c.put("p_value", p.SetMantExp(p, 1))
		c.put("conf_int", []any{lower, upper})
		power := func(field string, x *big.Float) any {
			e := special.Exp(x)
			if _, finite := special.Float64(e); finite {
				return e
			}
			r.note(fmt.Sprintf("coefficients[%d].%s", i, field), "it is larger than any double")
			return nil
		}
		c.put(d.ratio, power(d.ratio, estimate))
		interval := d.ratio + "_conf_int"
		c.put(interval, []any{power(interval+"[0]", lower), power(interval+"[1]", upper)})
		list = append(list, c)
	}
	return list
}
