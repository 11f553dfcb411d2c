package simon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"

	"github.com/weftmpc/weft/simon/ring"
	"github.com/weftmpc/weft/simon/special"
)

// testedCells bounds tables whose cells have expected counts and residuals.
const testedCells = 10_000

// Reasons why there is no test.
const (
	oneCategory   = "it needs at least two categories on each side"
	emptyCategory = "a category has no samples: leave it out of categories"
)

// ChiSquare tests whether two categories depend on each other, or whether categories have given probabilities.
//
// Pearson's statistic, for tables of two by two with Yates' correction, and its upper tail in the chi-square distribution:
// R's chisq.test. All of it follows from the counts.
func ChiSquare() Microprotocol {
	own := []parameter{
		testedCategories(), maxCategories(), unsuppressed(),
		truth("correct", true, "whether tables of two by two categories get Yates' continuity correction"),
		{"probabilities", nil, checkProbabilities, fmt.Sprintf(`"type":"array","minItems":1,"maxItems":%d,"items":{"type":"number","exclusiveMinimum":0}`, maxListed),
			"for plain categories: the probability of each of parameters.categories, in their order; they add up to 1; equal ones by default"},
	}
	return statistic{
		own: own,
		read: func(data io.Reader, v values) ([]byte, int, error) {
			if err := checkFit(v); err != nil {
				return nil, 0, err
			}
			return testedCensus(v).read(data, v)
		},
		layout: func(v values) (ring.Layout, error) { return testedCensus(v).layout(v) },
		run: func(ctx context.Context, s Session, v values, payload []byte) ([]byte, error) {
			return testedCensus(v).run(ctx, s, v, payload)
		},
		finish: func(v values, _ int, opened []byte) (object, error) {
			t, err := testedCensus(v).count(v, opened)
			if err != nil {
				return object{}, err
			}
			if len(t.lists) == 1 {
				return finishFit(v, t), nil
			}
			return finishIndependence(v, t), nil
		},
	}.complete(Microprotocol{
		Name:    "ChiSquare",
		Summary: "Pearson's chi-squared test: whether two categories depend on each other, or whether one has given probabilities.",
		Input: json.RawMessage(`{"description":"rows of two categories, or, where parameters.categories is one list, plain categories: text, whole numbers, true or false",` +
			`"anyOf":[` + pairsInput + `,` + categoryItems + `,{"type":"array","items":` + categoryItems + `}]}`),
		Result: chiSquareSchema(),
		Bytes:  censusBytes2,
		Hops:   censusHops,
		Leakage: "Recipients learn the counts from which the test is computed: how many samples of all parties together have each category, or each pair of categories, also where that is one. " +
			privateCategories + censusColluders,
	})
}

// testedCategories is a list of categories, or two.
func testedCategories() parameter {
	one := groups("categories", 2, "")
	two := categoryPairs()
	return parameter{"categories", nil, func(v any) (any, error) {
		if list, ok := v.([]any); ok && len(list) > 0 {
			if _, nested := list[0].([]any); !nested {
				return one.check(v)
			}
		}
		return two.check(v)
	}, `"anyOf":[{` + one.schema + `},{` + two.schema + `}]`,
		"the categories of the first and of the second column, as two lists, if they are public; or one list, for plain categories as data; without it data are rows and categories are private"}
}

func checkProbabilities(v any) (any, error) {
	in, ok := v.([]any)
	if !ok || len(in) == 0 || len(in) > maxListed {
		return nil, fmt.Errorf("must be a list of 1 to %d numbers", maxListed)
	}
	out := make([]any, 0, len(in))
	sum := new(big.Rat)
	for i, x := range in {
		p, err := decimal(x, func(x *big.Rat) bool { return x.Sign() > 0 }, "a number above 0")
		if err != nil {
			return nil, fmt.Errorf("at index %d %w", i, err)
		}
		sum.Add(sum, rational(p))
		out = append(out, p)
	}
	// R accepts the same error, the root of the distance between doubles at 1; the test divides by the sum.
	if sum.Sub(sum, big.NewRat(1, 1)); sum.Abs(sum).Cmp(big.NewRat(1, 1<<26)) > 0 {
		return nil, errors.New("must add up to 1")
	}
	return out, nil
}

// fits says whether the test is one of plain categories.
func fits(v values) bool {
	list := v.list("categories")
	if len(list) == 0 {
		return false
	}
	_, nested := list[0].([]any)
	return !nested
}

func checkFit(v values) error {
	if !v.has("probabilities") {
		return nil
	}
	if !fits(v) {
		return &InputError{"parameters.probabilities", "needs one list of categories, in the same order: set parameters.categories"}
	}
	if n, m := len(v.list("probabilities")), len(v.list("categories")); n != m {
		return &InputError{"parameters.probabilities", fmt.Sprintf("has %d numbers for %d categories", n, m)}
	}
	return nil
}

func testedCensus(v values) census {
	if fits(v) {
		return census{ways: 1, cells: testedCells}
	}
	return census{ways: 2, cells: testedCells}
}

// finishFit is the test of given probabilities (Pearson 1900).
func finishFit(v values, t *crosstab) object {
	p := v.rats("probabilities")
	if p == nil {
		for range t.counts {
			p = append(p, big.NewRat(1, int64(len(t.counts))))
		}
	}
	sum := new(big.Rat)
	for _, x := range p {
		sum.Add(sum, x)
	}
	expected := make([]*big.Rat, len(p))
	for i, x := range p {
		expected[i] = new(big.Rat).Quo(new(big.Rat).Mul(x, new(big.Rat).SetInt64(t.n)), sum)
	}
	why := ""
	if t.n == 0 {
		why = noSamples
	}
	var o object
	o.put("samples", t.n)
	o.put("method", "Chi-squared test for given probabilities")
	statistic := putPearson(&o, t, expected, new(big.Rat), int64(len(p)-1), why)
	putTable(&o, t, expected, statistic)
	return o
}

// finishIndependence is the test whether two categories are independent (Pearson 1900; Yates 1934).
func finishIndependence(v values, t *crosstab) object {
	rows, columns := t.margins()
	expected := make([]*big.Rat, len(t.counts))
	why := t.untestable(rows, columns)
	correction := new(big.Rat)
	method := "Pearson's Chi-squared test"
	if why == "" {
		n := big.NewInt(t.n)
		for i := range expected {
			product := new(big.Int).Mul(big.NewInt(rows[i/len(columns)]), big.NewInt(columns[i%len(columns)]))
			expected[i] = new(big.Rat).SetFrac(product, n)
		}
		if len(t.counts) == 4 && v.truth("correct") {
			// All four differences have one size.
			correction.Abs(correction.Sub(expected[0], new(big.Rat).SetInt64(t.counts[0])))
			if half := big.NewRat(1, 2); correction.Cmp(half) > 0 {
				correction.Set(half)
			}
			if correction.Sign() > 0 {
				method += " with Yates' continuity correction"
			}
		}
	}
	var o object
	o.put("samples", t.n)
	o.put("method", method)
	df := int64(max(0, len(rows)-1)) * int64(max(0, len(columns)-1))
	statistic := putPearson(&o, t, expected, correction, df, why)
	putTable(&o, t, expected, statistic)
	if why != "" {
		o.null("cramers_v", why)
	} else {
		// Of the statistic without correction: n·(k-1) is its largest value.
		plain := pearson(t.counts, expected, new(big.Rat))
		most := special.Int(t.n * int64(min(len(rows), len(columns))-1))
		o.put("cramers_v", special.Sqrt(plain.Quo(plain, most)))
	}
	if len(rows) == 2 && len(columns) == 2 {
		putPhi(&o, t, rows, columns, why)
	}
	return o
}

// margins are the counts of the first categories, and of the second ones.
func (t *crosstab) margins() (rows, columns []int64) {
	rows, columns = make([]int64, len(t.lists[0])), make([]int64, len(t.lists[1]))
	for i, count := range t.counts {
		rows[i/len(columns)] += count
		columns[i%len(columns)] += count
	}
	return rows, columns
}

// untestable says why independence cannot be tested, or nothing.
func (t *crosstab) untestable(rows, columns []int64) string {
	switch {
	case t.n == 0:
		return noSamples
	case len(rows) < 2 || len(columns) < 2:
		return oneCategory
	}
	for _, margin := range [][]int64{rows, columns} {
		for _, count := range margin {
			if count == 0 {
				return emptyCategory
			}
		}
	}
	return ""
}

// pearson is the sum of (|count-expected|-correction)²/expected. Every term is exact up to its last bit and none is
// negative, so that nothing cancels in the sum.
func pearson(counts []int64, expected []*big.Rat, correction *big.Rat) *big.Float {
	sum := special.Int(0)
	d := new(big.Rat)
	for i, e := range expected {
		d.Sub(d.SetInt64(counts[i]), e)
		d.Sub(d.Abs(d), correction)
		sum.Add(sum, special.FromRat(d.Mul(d, d).Quo(d, e)))
	}
	return sum
}

// putPearson puts statistic, df and p_value, or null for the reason why, and says whether they are there.
func putPearson(o *object, t *crosstab, expected []*big.Rat, correction *big.Rat, df int64, why string) bool {
	if why != "" {
		o.null("statistic", why)
		o.put("df", df)
		o.null("p_value", why)
		return false
	}
	statistic := pearson(t.counts, expected, correction)
	o.put("statistic", statistic)
	o.put("df", df)
	o.put("p_value", special.ChiSquareUpper(statistic, special.Int(df)))
	return true
}

// putTable puts counts, expected counts and Pearson's residuals, the latter two as null where there is no test.
func putTable(o *object, t *crosstab, expected []*big.Rat, tested bool) {
	o.put("observed", t.object(t.countOf))
	if !tested {
		o.null("expected", "there is no test")
		o.null("residuals", "there is no test")
		return
	}
	o.put("expected", t.object(func(cell int) any { return expected[cell] }))
	o.put("residuals", t.object(func(cell int) any {
		e := expected[cell]
		d := new(big.Rat).Sub(new(big.Rat).SetInt64(t.counts[cell]), e)
		return new(big.Float).Quo(special.FromRat(d), root(e))
	}))
}

// putPhi puts Pearson's correlation of two by two categories, in their order.
func putPhi(o *object, t *crosstab, rows, columns []int64, why string) {
	if why != "" {
		o.null("phi", why)
		return
	}
	product := func(a, b int64) *big.Int { return new(big.Int).Mul(big.NewInt(a), big.NewInt(b)) }
	above := product(t.counts[0], t.counts[3])
	above.Sub(above, product(t.counts[1], t.counts[2]))
	below := product(rows[0], rows[1])
	below.Mul(below, product(columns[0], columns[1]))
	o.put("phi", new(big.Float).Quo(special.FromRat(new(big.Rat).SetInt(above)), root(new(big.Rat).SetInt(below))))
}

func chiSquareSchema() json.RawMessage {
	// One level for plain categories, two for pairs.
	table := func(kind, about string) string {
		return fmt.Sprintf(`{"type":["object","null"],"additionalProperties":{"anyOf":[%[1]s,{"type":"object","additionalProperties":%[1]s}]},"description":%[2]q}`, kind, about)
	}
	number := func(about string) string { return fmt.Sprintf(`{"type":["number","null"],"description":%q}`, about) }
	return json.RawMessage(`{"type":"object","properties":{` +
		`"samples":{"type":"integer","minimum":0,"description":"how many samples all parties gave together"},` +
		`"method":{"type":"string","description":"the name of the test in R"},` +
		`"statistic":` + number("Pearson's chi-squared, corrected where method says so") + `,` +
		`"df":{"type":"integer","minimum":0,"description":"degrees of freedom"},` +
		`"p_value":` + number("the probability of a statistic as large as this") + `,` +
		`"observed":` + table(`{"type":"integer","minimum":0}`, "the counts, by category, or by the first category, then by the second") + `,` +
		`"expected":` + table(`{"type":"number"}`, "the counts that the hypothesis leads to") + `,` +
		`"residuals":` + table(`{"type":"number"}`, "(observed-expected)/root of expected") + `,` +
		`"cramers_v":` + number("for pairs: Cramér's V, of the uncorrected statistic") + `,` +
		`"phi":` + number("for two by two categories: their correlation, in the order of the tables") + `,` +
		notesSchema + `},"required":["samples","method","statistic","df","p_value","observed","expected"]}`)
}
