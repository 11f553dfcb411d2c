package simon

import (
	"encoding/json"
	"io"
	"math/big"

	"github.com/weftmpc/weft/simon/ring"
	"github.com/weftmpc/weft/simon/special"
)

// The values of TTest's parameter type.
const (
	welch         = "welch"
	pooled        = "pooled"
	paired        = "paired"
	oneSampleTest = "one_sample"
)

// The values of the parameter alternative, in R's words.
const (
	twoSided = "two.sided"
	less     = "less"
	greater  = "greater"
)

func alternative() parameter {
	return choice("alternative", "the alternative hypothesis: the true value is not the null value, less than it, or greater", twoSided, less, greater)
}

// TTest compares means: of two groups, of paired numbers, or of one list with a given mean (Student, Biometrika 6, 1908;
// Welch, Biometrika 34, 1947).
//
// Each party counts and adds its numbers and their squares by group, on the decimal grid, and MaskedSum adds the parties'
// sums. All that follows is exact up to one square root, and what R's t.test computes.
func TTest() Microprotocol {
	return tally{
		own: []parameter{
			choice("type", "welch: two groups, each with a variance of its own; pooled: two groups with one variance; paired: differences of pairs; "+
				"one_sample: one list of numbers", welch, pooled, paired, oneSampleTest),
			groups("groups", 2, "the two groups, with type welch and pooled: the difference is the first's mean minus the second's"),
			number("mu", "0", func(*big.Rat) bool { return true }, "a number", "the mean, or difference of means, of the null hypothesis"),
			alternative(),
			level(),
		},
		layout: func(v values) (ring.Layout, error) {
			if twoGroups(v) {
				return groupSumsLayout(len(v.list("groups"))), nil
			}
			return groupSumsLayout(1), nil
		},
		read:   readTTest,
		finish: finishTTest,
	}.statistic().complete(Microprotocol{
		Name:    "TTest",
		Summary: "Student's and Welch's t-test: two groups, pairs, or one list of numbers against a given mean.",
		Input: json.RawMessage(`{"description":"rows [number, group] with type welch and pooled; rows [x, y] with type paired, where x-y counts; ` +
			`numbers with type one_sample","type":["array","number"]}`),
		Result: json.RawMessage(`{"type":"object","properties":{` +
			`"samples":{"type":"integer","description":"rows of all parties together"},` +
			`"method":{"type":"string","description":"the name of the test, as R writes it"},` +
			`"statistic":{"type":["number","null"],"description":"t"},` +
			`"df":{"type":["number","null"],"description":"degrees of freedom; with type welch no whole number"},` +
			`"p_value":{"type":["number","null"],"description":"of the alternative"},` +
			`"conf_int":{"description":"interval for estimate; a limit is null where the interval is open","anyOf":[{"type":"null"},` +
			`{"type":"array","items":{"type":["number","null"]},"minItems":2,"maxItems":2}]},` +
			`"conf_level":{"type":"number","description":"the level of conf_int"},` +
			`"estimate":{"type":["number","null"],"description":"mean (one_sample), mean of x-y (paired), difference of the means of first and second group"},` +
			`"difference":{"type":["number","null"],"description":"as estimate; not with type one_sample"},` +
			`"stderr":{"type":["number","null"],"description":"standard error of estimate"},` +
			`"null_value":{"type":"number","description":"the parameter mu"},` +
			`"alternative":{"enum":["two.sided","less","greater"],"description":"the parameter"},` + groupsSchema + `,` + notesSchema +
			`},"required":["samples","method","statistic","df","p_value","conf_int","conf_level","estimate","stderr","null_value","alternative"]}`),
		Bytes: "72 bytes to each receiver for each group, of which paired and one_sample have one",
		Leakage: "Recipients learn, of all parties together, the number of samples, the sum and the sum of squares, in each group: this is equivalent to size, mean and variance, " +
			"at full precision. They determine a group of one or two samples completely, so let least_samples be well above that. " +
			"Any coalition of up to n-1 parties learns the same sums of the others: with two parties those are the other party's own. " +
			"Broker and coordinator learn neither inputs nor result.",
	})
}

func twoGroups(v values) bool { return v.text("type") == welch || v.text("type") == pooled }

func readTTest(data io.Reader, v values) (ring.Vector, int, error) {
	var s *groupSums
	var rows int
	var err error
	switch {
	case twoGroups(v):
		if !v.has("groups") || len(v.list("groups")) != 2 {
			return ring.Vector{}, 0, &InputError{"parameters.groups", "must name the two groups that are compared, such as [\"a\", \"b\"], or choose another type"}
		}
		s = newGroupSums(2)
		rows, err = readGrouped(data, v.categories("groups"), func(_ place, g int, q *big.Int) error {
			s.add(g, q)
			return nil
		})
	case v.has("groups"):
		return ring.Vector{}, 0, &InputError{"parameters.groups", "has no use with type " + v.text("type") + ": leave it out, or choose type welch or pooled"}
	default:
		width := 1 // numbers, or lists of one
		if v.text("type") == paired {
			width = 2
		}
		var x, y big.Int
		s = newGroupSums(1)
		rows, _, err = readRows(data, width, func(_ place, cells []cell) error {
			if err := cells[0].decimal(&x, statEncoding); err != nil {
				return err
			}
			if width == 2 {
				if err := cells[1].decimal(&y, statEncoding); err != nil {
					return err
				}
				x.Sub(&x, &y)
			}
			s.add(0, &x)
			return nil
		})
	}
	if err != nil {
		return ring.Vector{}, 0, err
	}
	return s.vector(), rows, nil
}

// meanTest is what a t-test rests on.
type meanTest struct {
	method   string
	estimate *big.Rat // nil: there is none
	spread   *big.Rat // squared standard error of estimate; nil: there is none
	df       *big.Rat // nil: there are none
	why      string   // the reason for what is nil, or for a spread of 0
}

const (
	smallGroup    = "both groups need at least two samples"
	smallPooled   = "both groups need a sample, and one of them two"
	emptyGroup    = "both groups need a sample"
	constantData  = "the data are constant: the standard error is 0"
	constantPairs = "the differences are constant: the standard error is 0"
	constantGroup = "the data are constant in both groups: the standard error is 0"
)

func finishTTest(v values, _ int, x ring.Vector) (object, error) {
	all, err := openedGroups(x)
	if err != nil {
		return object{}, err
	}
	var t meanTest
	switch v.text("type") {
	case welch:
		t = welchTest(all[0], all[1])
	case pooled:
		t = pooledTest(all[0], all[1])
	case paired:
		t = singleTest(all[0], "Paired t-test", constantPairs)
	default:
		t = singleTest(all[0], "One Sample t-test", constantData)
	}
	var o object
	o.put("samples", together(all))
	o.put("method", t.method)
	t.put(&o, v)
	if twoGroups(v) {
		o.putGroups(v.categories("groups"), all)
	}
	return o, nil
}

func singleTest(m *moments, method, whyConstant string) meanTest {
	t := meanTest{method: method, why: whyConstant}
	if m.n == 0 {
		t.why = noSamples
		return t
	}
	t.estimate = m.mean()
	if m.n < 2 {
		t.why = oneSample
		return t
	}
	t.spread, t.df = m.ofMean(), new(big.Rat).SetInt64(m.n-1)
	return t
}

// welchTest does not assume equal variances; the degrees of freedom are Satterthwaite's (Biometrics Bulletin 2, 1946).
func welchTest(x, y *moments) meanTest {
	t := meanTest{method: "Welch Two Sample t-test", why: smallGroup}
	if x.n == 0 || y.n == 0 {
		return t
	}
	t.estimate = new(big.Rat).Sub(x.mean(), y.mean())
	if x.n < 2 || y.n < 2 {
		return t
	}
	t.why = constantGroup
	vx, vy := x.ofMean(), y.ofMean()
	t.spread = new(big.Rat).Add(vx, vy)
	if t.spread.Sign() == 0 {
		return t
	}
	square := func(a *big.Rat) *big.Rat { return new(big.Rat).Mul(a, a) }
	dx := new(big.Rat).Quo(square(vx), new(big.Rat).SetInt64(x.n-1))
	dy := new(big.Rat).Quo(square(vy), new(big.Rat).SetInt64(y.n-1))
	t.df = new(big.Rat).Quo(square(t.spread), dx.Add(dx, dy))
	return t
}

func pooledTest(x, y *moments) meanTest {
	t := meanTest{method: "Two Sample t-test", why: emptyGroup}
	if x.n == 0 || y.n == 0 {
		return t
	}
	t.estimate = new(big.Rat).Sub(x.mean(), y.mean())
	t.why = smallPooled
	if x.n+y.n < 3 {
		return t
	}
	t.why = constantGroup
	t.df = new(big.Rat).SetInt64(x.n + y.n - 2)
	t.spread = new(big.Rat).Add(x.about(2), y.about(2))
	t.spread.Quo(t.spread, t.df)
	t.spread.Mul(t.spread, new(big.Rat).Add(big.NewRat(1, x.n), big.NewRat(1, y.n)))
	return t
}

// put writes the test, from the statistic to the alternative.
func (t meanTest) put(o *object, v values) {
	mu, alternative := v.rat("mu"), v.text("alternative")
	if t.spread == nil || t.spread.Sign() == 0 {
		o.null("statistic", t.why)
		t.putDF(o)
		o.null("p_value", t.why)
		o.null("conf_int", t.why)
	} else {
		se, df := root(t.spread), special.FromRat(t.df)
		off := special.FromRat(new(big.Rat).Sub(t.estimate, mu))
		statistic := off.Quo(off, se)
		o.put("statistic", statistic)
		t.putDF(o)
		o.put("p_value", studentP(statistic, df, alternative))
		o.putInterval("conf_int", t.estimate, se, df, v)
	}
	o.put("conf_level", v.rat("conf_level"))
	t.putEstimate(o, "estimate")
	if v.text("type") != oneSampleTest {
		t.putEstimate(o, "difference")
	}
	if t.spread == nil {
		o.null("stderr", t.why)
	} else {
		o.put("stderr", root(t.spread))
	}
	o.put("null_value", mu)
	o.put("alternative", alternative)
}

func (t meanTest) putDF(o *object) {
	if t.df == nil {
		o.null("df", t.why)
	} else {
		o.put("df", t.df)
	}
}

func (t meanTest) putEstimate(o *object, name string) {
	if t.estimate == nil {
		o.null(name, t.why)
	} else {
		o.put(name, t.estimate)
	}
}

// studentP is the p-value of a t statistic.
func studentP(t, df *big.Float, alternative string) *big.Float {
	switch alternative {
	case less:
		return special.StudentUpper(new(big.Float).Neg(t), df)
	case greater:
		return special.StudentUpper(t, df)
	}
	p := special.StudentUpper(new(big.Float).Abs(t), df)
	return p.Add(p, p)
}

// putInterval adds the interval around an estimate with a standard error, at the level conf_level and on the side that the
// alternative asks for.
func (o *object) putInterval(name string, estimate *big.Rat, se, df *big.Float, v values) {
	level := v.rat("conf_level")
	if v.text("alternative") == twoSided {
		o.put(name, interval(estimate, se, special.StudentQuantile(special.FromRat(bothSides(level)), df)))
		return
	}
	limits := interval(estimate, se, special.StudentQuantile(special.FromRat(level), df))
	if v.text("alternative") == less {
		limits[0] = nil
		o.note(name+"[0]", "the interval has no lower limit with alternative less")
	} else {
		limits[1] = nil
		o.note(name+"[1]", "the interval has no upper limit with alternative greater")
	}
	o.put(name, limits)
}

// bothSides is the probability below the upper limit of an interval with two limits.
func bothSides(level *big.Rat) *big.Rat {
	p := new(big.Rat).Add(level, big.NewRat(1, 1))
	return p.Mul(p, big.NewRat(1, 2))
}

// interval is estimate ± quantile·se.
func interval(estimate *big.Rat, se, quantile *big.Float) []any {
	middle, reach := special.FromRat(estimate), new(big.Float).Mul(quantile, se)
	return []any{new(big.Float).Sub(middle, reach), new(big.Float).Add(middle, reach)}
}
