package simon

import (
	"encoding/json"
	"fmt"
	"math/big"

	"github.com/weftmpc/weft/simon/special"
)

// FisherExact tests whether two categories depend on each other, by the probabilities of all tables with the same margins:
// R's fisher.test (Fisher 1935; Freeman and Halton 1951).
//
// P-values of up to exactSamples samples, and those of larger tables than two by two, are rational numbers that are rounded
// once. The odds ratio and its interval solve their equations to more digits than a double has, where R stops after about
// four to seven.
func FisherExact() Microprotocol {
	c := census{ways: 2, cells: testedCells}
	return statistic{
		own:  append(c.own(), alternative(), level()),
		read: c.read, layout: c.layout, run: c.run,
		finish: func(v values, _ int, opened []byte) (object, error) {
			t, err := c.count(v, opened)
			if err != nil {
				return object{}, err
			}
			return finishFisher(v, t), nil
		},
	}.complete(Microprotocol{
		Name:    "FisherExact",
		Summary: "Fisher's exact test whether two categories depend on each other; for two by two categories with the odds ratio and its confidence interval.",
		Input:   json.RawMessage(pairsInput),
		Result: json.RawMessage(`{"type":"object","properties":{` +
			`"samples":{"type":"integer","minimum":0,"description":"how many rows all parties gave together"},` +
			`"method":{"type":"string","description":"the name of the test in R"},` +
			`"p_value":{"type":["number","null"],"description":"the probability of tables that speak against independence as much as this one, margins given"},` +
			`"estimate":{"type":["number","null"],"description":"for two by two categories: the conditional maximum likelihood estimate of the odds ratio, in the order of observed; null where it is infinite"},` +
			`"conf_int":{"type":["array","null"],"items":{"type":["number","null"]},"minItems":2,"maxItems":2,"description":"for two by two categories: interval of the odds ratio; an upper limit of null is infinite"},` +
			`"conf_level":{"type":"number","description":"confidence level of the interval"},` +
			`"odds_ratio":{"type":["number","null"],"description":"for two by two categories: the odds ratio of the sample, ad/bc"},` +
			`"alternative":{"enum":["two.sided","less","greater"],"description":"the alternative hypothesis about the odds ratio"},` +
			`"null_value":{"const":1,"description":"the odds ratio of the hypothesis"},` +
			`"observed":{"allOf":[` + tableSchema + `],"description":"the counts, by the first category, then by the second"},` +
			notesSchema + `},"required":["samples","method","p_value","estimate","conf_int","conf_level","odds_ratio","alternative","null_value","observed"]}`),
		Bytes: censusBytes2,
		Hops:  censusHops,
		Leakage: "Recipients learn the counts from which the test is computed: how many samples of all parties together have each pair of categories, also where that is one. " +
			privateCategories + censusColluders,
	})
}

func finishFisher(v values, t *crosstab) object {
	rows, columns := t.margins()
	var o object
	o.put("samples", t.n)
	o.put("method", "Fisher's Exact Test for Count Data")
	square := len(rows) == 2 && len(columns) == 2
	switch {
	case t.n == 0:
		o.null("p_value", noSamples)
	case len(rows) < 2 || len(columns) < 2:
		o.null("p_value", oneCategory)
	case square && t.n > testedSamples:
		o.null("p_value", fmt.Sprintf("it is computed for up to %d samples: use ChiSquare", testedSamples))
	case square:
		o.put("p_value", newHypergeometric(t.counts).pValue(v.text("alternative")))
	case v.text("alternative") != twoSided:
		o.null("p_value", "there are one-sided alternatives for two by two categories only")
	default:
		if p, ok := fixedMarginsP(t.counts, rows, columns); ok {
			o.put("p_value", p)
		} else {
			o.null("p_value", "there are too many tables with these margins: use ChiSquare")
		}
	}
	why := ""
	switch {
	case t.n == 0:
		why = noSamples
	case !square:
		why = "there is one odds ratio for two by two categories only"
	case t.n > testedSamples:
		why = fmt.Sprintf("it is computed for up to %d samples", testedSamples)
	}
	if why != "" {
		o.null("estimate", why)
		o.null("conf_int", why)
	} else {
		putOdds(&o, v, newHypergeometric(t.counts))
	}
	o.put("conf_level", v.rat("conf_level"))
	switch {
	case why == "" || square && t.n > 0: // a quotient for any number of samples
		putOddsRatio(&o, t.counts)
	default:
		o.null("odds_ratio", why)
	}
	o.put("alternative", v.text("alternative"))
	o.put("null_value", 1)
	o.put("observed", t.object(t.countOf))
	return o
}

const infiniteOdds = "it is infinite"

// putOdds puts the conditional estimate of the odds ratio and its interval.
func putOdds(o *object, v values, h hypergeometric) {
	switch {
	case h.lo == h.hi:
		o.null("estimate", "a category has no samples: every odds ratio is equally likely")
	case h.x == h.lo:
		o.put("estimate", 0)
	case h.x == h.hi:
		o.null("estimate", infiniteOdds)
	default:
		o.put("estimate", h.estimate())
	}
	alternative := v.text("alternative")
	alpha := new(big.Rat).Sub(big.NewRat(1, 1), v.rat("conf_level"))
	if alternative == twoSided {
		alpha.Quo(alpha, big.NewRat(2, 1))
	}
	var interval [2]any
	if alternative == less || h.x == h.lo {
		interval[0] = 0
	} else {
		interval[0] = h.limit(special.FromRat(alpha), -1)
	}
	if alternative == greater || h.x == h.hi {
		o.note("conf_int[1]", infiniteOdds)
	} else {
		interval[1] = h.limit(special.FromRat(alpha), 1)
	}
	o.put("conf_int", interval[:])
}

// putOddsRatio puts ad/bc.
func putOddsRatio(o *object, counts []int64) {
	product := func(a, b int64) *big.Int { return new(big.Int).Mul(big.NewInt(a), big.NewInt(b)) }
	above, below := product(counts[0], counts[3]), product(counts[1], counts[2])
	switch {
	case below.Sign() > 0:
		o.put("odds_ratio", new(big.Rat).SetFrac(above, below))
	case above.Sign() > 0:
		o.null("odds_ratio", infiniteOdds)
	default:
		o.null("odds_ratio", "it is 0/0")
	}
}
