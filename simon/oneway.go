package simon

import (
	"fmt"
	"math/big"

	"github.com/weftmpc/weft/simon/ring"
	"github.com/weftmpc/weft/simon/special"
)

// fTest is an F statistic with its degrees of freedom and p-value. What is nil does not exist, for the reason why.
type fTest struct {
	f          *big.Rat
	num, denom *big.Rat
	p          *big.Float
	why        string
}

// withP computes the p-value.
func (t fTest) withP() fTest {
	if t.f != nil {
		t.p = special.FUpper(special.FromRat(t.f), special.FromRat(t.num), special.FromRat(t.denom))
	}
	return t
}

// put adds the members of the test to o. Notes go to the result, in which o has the path.
func (t fTest) put(o, result *object, path string) {
	o.putRat(result, path, "statistic", t.f, t.why)
	o.putRat(result, path, "num_df", t.num, t.why)
	o.putRat(result, path, "denom_df", t.denom, t.why)
	o.putFloat(result, path, "p_value", t.p, t.why)
}

// putRat adds a number, or null and the reason, which goes to the notes of the result, in which o has the path.
func (o *object) putRat(result *object, path, name string, x *big.Rat, why string) {
	if x == nil {
		o.put(name, nil)
		result.note(path+name, why)
		return
	}
	o.put(name, x)
}

// putFloat is putRat for a number that is not rational.
func (o *object) putFloat(result *object, path, name string, x *big.Float, why string) {
	if x == nil {
		o.put(name, nil)
		result.note(path+name, why)
		return
	}
	o.put(name, x)
}

// variances are the sums of squares of an analysis of variance, and their degrees of freedom.
type variances struct {
	between, within *big.Rat
	numDF, denomDF  int64 // numDF is -1 if there are no samples
}

// analyse compares groups by the sum of each, and its sum of squares about its mean. Groups without samples do not count.
func analyse(groups []*moments, sum, about func(g int) *big.Rat) variances {
	n := together(groups)
	a := variances{between: new(big.Rat), within: new(big.Rat), numDF: -1, denomDF: n}
	all := new(big.Rat)
	for g, m := range groups {
		if m.n == 0 {
			continue
		}
		a.numDF++
		a.denomDF--
		s := sum(g)
		all.Add(all, s)
		a.between.Add(a.between, over(square(s), m.n))
		a.within.Add(a.within, about(g))
	}
	if n > 0 {
		a.between.Sub(a.between, over(square(all), n))
	}
	return a
}

func square(x *big.Rat) *big.Rat { return new(big.Rat).Mul(x, x) }

// over is x/n.
func over(x *big.Rat, n int64) *big.Rat { return new(big.Rat).Quo(x, new(big.Rat).SetInt64(n)) }

// Reasons why an analysis of variance has no result.
const (
	fewGroups   = "fewer than two groups have samples"
	noResiduals = "no group has two samples: there are no residual degrees of freedom"
	noWithin    = "there is no variance within the groups: F is infinite"
	noDistance  = "in each group all samples have the same distance from the mean"
	smallWelch  = "every group needs at least two samples"
	evenWelch   = "in a group all samples are equal"
)

// test is the F test of equal means. whyWithin is the reason where nothing varies within the groups.
func (a variances) test(whyWithin string) fTest {
	var t fTest
	if a.numDF >= 1 {
		t.num = new(big.Rat).SetInt64(a.numDF)
	}
	if a.denomDF >= 1 {
		t.denom = new(big.Rat).SetInt64(a.denomDF)
	}
	switch {
	case t.num == nil:
		t.why = fewGroups
	case t.denom == nil:
		t.why = noResiduals
	case a.within.Sign() == 0 && a.between.Sign() == 0:
		t.why = constant
	case a.within.Sign() == 0:
		t.why = whyWithin
	default:
		t.f = new(big.Rat).Quo(over(a.between, a.numDF), over(a.within, a.denomDF))
	}
	return t.withP()
}

// putVariances adds the table of an analysis of variance, its test and what follows from it.
func (o *object) putVariances(a variances) {
	t := a.test(noWithin)
	group, residuals := object{}, object{}
	put := func(row *object, index int, name string, x *big.Rat, why string) {
		row.putRat(o, fmt.Sprintf("table[%d].", index), name, x, why)
	}
	row := func(term *object, index int, df int64, squares *big.Rat, why string) (mean *big.Rat) {
		var degrees *big.Rat
		if df < 0 {
			squares = nil
		} else {
			degrees = new(big.Rat).SetInt64(df)
		}
		put(term, index, "df", degrees, noSamples)
		put(term, index, "sum_sq", squares, noSamples)
		if df > 0 {
			mean = over(squares, df)
		}
		put(term, index, "mean_sq", mean, why)
		return mean
	}
	group.put("term", "group")
	row(&group, 0, a.numDF, a.between, fewGroups)
	put(&group, 0, "f_value", t.f, t.why)
	group.putFloat(o, "table[0].", "p_value", t.p, t.why)
	residuals.put("term", "residuals")
	within := row(&residuals, 1, a.denomDF, a.within, noResiduals)
	o.put("table", []any{group, residuals})
	t.put(o, o, "")
	var share *big.Rat
	if total := new(big.Rat).Add(a.between, a.within); total.Sign() > 0 {
		share = total.Quo(a.between, total)
	}
	o.putRat(o, "", "r_squared", share, constant)
	o.putRat(o, "", "eta_squared", share, constant)
	if within == nil {
		o.null("residual_standard_error", noResiduals)
	} else {
		o.put("residual_standard_error", root(within))
	}
}

// leveneTest is the analysis of variance of the distances from the groups' means (Levene 1960). Sum and squares of the
// distances of a group are D/n, where D is the opened sum of |n·x-S|, and the sum of squares of its numbers about the mean.
func leveneTest(groups []*moments, x ring.Vector) (fTest, error) {
	const deviations = 3 // the field behind those of groupSumsLayout
	sums, abouts := make([]*big.Rat, len(groups)), make([]*big.Rat, len(groups))
	for g, m := range groups {
		d := scaled(x.Int(deviations, g), statEncoding.Digits)
		if m.n == 0 {
			if d.Sign() != 0 {
				return fTest{}, impossible("the sums contradict each other")
			}
			continue
		}
		sums[g] = over(d, m.n)
		abouts[g] = new(big.Rat).Sub(m.about(2), over(square(sums[g]), m.n))
		if d.Sign() < 0 || abouts[g].Sign() < 0 {
			return fTest{}, impossible("the sums contradict each other")
		}
	}
	return analyse(groups, func(g int) *big.Rat { return sums[g] }, func(g int) *big.Rat { return abouts[g] }).test(noDistance), nil
}

// welchOneWay is Welch's test of equal means without the assumption of equal variances (Biometrika 38, 1951), as R's
// oneway.test computes it. Groups without samples do not count.
//
// All of it is rational, but a common denominator of a thousand weights would have hundreds of thousands of digits: weights
// and what follows have special.Prec bits. Means are taken relative to the largest weight's, exactly, so that groups far from
// 0 lose none of them.
func welchOneWay(groups []*moments) fTest {
	var used []*moments
	var weights, offs []*big.Float
	heavy := 0
	for _, m := range groups {
		if m.n == 0 {
			continue
		}
		if m.n < 2 {
			return fTest{why: smallWelch}
		}
		v := m.variance(1)
		if v.Sign() == 0 {
			return fTest{why: evenWelch}
		}
		used = append(used, m)
		weights = append(weights, special.FromRat(v.Quo(m.power[0], v)))
		if last := len(used) - 1; weights[last].Cmp(weights[heavy]) > 0 {
			heavy = last
		}
	}
	k := int64(len(used))
	if k < 2 {
		return fTest{why: fewGroups}
	}
	var x big.Float // scratch
	x.SetPrec(special.Prec)
	total, mean := special.Int(0), special.Int(0)
	for i, m := range used {
		offs = append(offs, special.FromRat(new(big.Rat).Sub(m.mean(), used[heavy].mean())))
		total.Add(total, weights[i])
		mean.Add(mean, x.Mul(weights[i], offs[i]))
	}
	mean.Quo(mean, total)
	between, spread := special.Int(0), special.Int(0)
	for i, m := range used {
		off := offs[i].Sub(offs[i], mean)
		between.Add(between, x.Mul(off, off).Mul(&x, weights[i]))
		// 1-w/total, which is positive, as the sum of the other weights: the difference may have few digits.
		x.Sub(total, weights[i])
		x.Quo(&x, total)
		spread.Add(spread, x.Mul(&x, &x).Quo(&x, special.Int(m.n-1)))
	}
	spread.Quo(spread, special.Int(k*k-1))
	bottom := special.Int(2 * (k - 2))
	bottom.Mul(bottom, spread).Add(bottom, special.Int(1))
	between.Quo(between, special.Int(k-1))
	t := fTest{num: big.NewRat(k-1, 1)}
	t.f, _ = between.Quo(between, bottom).Rat(nil)
	t.denom, _ = spread.Quo(special.Int(1), spread.Mul(spread, special.Int(3))).Rat(nil)
	return t.withP()
}
