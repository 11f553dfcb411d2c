package simon

import (
	"encoding/json"
	"fmt"
	"math/big"

	"github.com/weftmpc/weft/simon/special"
)

// LogRank compares the survival of two or more groups (Mantel, Cancer Chemotherapy Reports 50, 1966; Peto, Peto, Journal of
// the Royal Statistical Society A 135, 1972), within strata if rows have them.
//
// Each party counts events and censored subjects by stratum, group and time. What is computed from the pooled counts is what
// R's survdiff computes.
func LogRank() Microprotocol {
	f := followUp{groups: 2, strata: true, most: 100, exits: 1 << 16, terms: mostTerms}
	return statistic{
		own:    f.own(),
		layout: f.layout, read: f.read, run: f.run,
		finish: func(v values, _ int, opened []byte) (object, error) { return finishLogRank(f, v, opened) },
	}.complete(Microprotocol{
		Name:    "LogRank",
		Summary: "Log-rank test: do groups differ in survival, within strata if rows have them.",
		Input: json.RawMessage(`{"description":"rows [time, event, group] or [time, event, group, stratum]; event is 0 or false where the subject left without event","type":"array",` +
			`"items":{"type":"array","minItems":3,"maxItems":4,"prefixItems":[{"type":"number","minimum":0},{"enum":[0,1,true,false]},` + categoryItems + `,` + categoryItems + `]}}`),
		Result: json.RawMessage(`{"type":"object","properties":{` +
			`"samples":{"type":"integer","minimum":0,"description":"subjects of all parties together"},` +
			`"method":{"type":"string","description":"the name of the test"},` +
			`"statistic":{"type":["number","null"],"description":"chi-squared"},` +
			`"df":{"type":"integer","minimum":0,"description":"degrees of freedom: groups that can be compared, less one"},` +
			`"p_value":{"type":["number","null"]},` +
			`"groups":{"type":"array","description":"the groups, in the order of the parameter groups","items":{"type":"object","properties":{` +
			`"group":{"type":["string","integer","boolean"]},"samples":{"type":"integer","minimum":0},` +
			`"observed":{"type":"integer","minimum":0,"description":"events"},` +
			`"expected":{"type":"number","minimum":0,"description":"events, if all groups had the same survival"}},` +
			`"required":["group","samples","observed","expected"]}},` +
			`"variance":{"type":"array","description":"hypergeometric covariance of observed-expected, by group","items":{"type":"array","items":{"type":"number"}}},` +
			notesSchema + `},"required":["samples","method","statistic","df","p_value","groups","variance"]}`),
		Bytes: followUpBytes,
		Leakage: "Recipients learn, of all parties together, how many subjects of each group (and stratum) have the event at each time, and how many leave: " +
			"more than the test needs, and equivalent to the survival curves of KaplanMeier with their numbers at risk. " + followUpLeakage,
	})
}

// mostTerms bounds times·groups²: half as many terms are added up, which takes up to two seconds.
const mostTerms = 2_000_000

// logRank adds up, over the times and strata of a follow-up, what the test needs.
type logRank struct {
	samples, observed []int64
	// The terms n_g·d/n of a group's expected events: numerators for each group, and the n, which all have.
	over  [][]*big.Int
	under []*big.Int
	terms int // times·groups² so far
	// weight[g][h] is minus the covariance of groups g and h. All of its terms are positive.
	weight [][]*big.Float
}

func newLogRank(groups int) *logRank {
	t := &logRank{samples: make([]int64, groups), observed: make([]int64, groups), over: make([][]*big.Int, groups), weight: make([][]*big.Float, groups)}
	for g := range t.weight {
		for range groups {
			t.weight[g] = append(t.weight[g], special.Int(0))
		}
	}
	return t
}

// stratum adds the exits of one stratum. It returns false where there are more terms than mostTerms.
func (t *logRank) stratum(exits []exit) bool {
	atRisk, n := make([]int64, len(t.samples)), int64(0)
	for _, x := range exits {
		atRisk[x.group] += x.events + x.censored
		t.samples[x.group] += x.events + x.censored
		t.observed[x.group] += x.events
		n += x.events + x.censored
	}
	for exits = byTime(exits); len(exits) > 0; {
		together := 1
		for together < len(exits) && exits[together].time.Cmp(exits[0].time) == 0 {
			together++
		}
		d := int64(0)
		for _, x := range exits[:together] {
			d += x.events
		}
		if d > 0 {
			if t.terms += len(atRisk) * len(atRisk); t.terms > mostTerms {
				return false
			}
			t.time(atRisk, n, d)
		}
		for _, x := range exits[:together] {
			atRisk[x.group] -= x.events + x.censored
			n -= x.events + x.censored
		}
		exits = exits[together:]
	}
	return true
}

// time adds one time with d events among n subjects at risk. Given these, and no difference between groups, the events of
// the groups have a multivariate hypergeometric distribution.
func (t *logRank) time(atRisk []int64, n, d int64) {
	product := func(a, b int64) *big.Int { return new(big.Int).Mul(big.NewInt(a), big.NewInt(b)) }
	t.under = append(t.under, big.NewInt(n))
	for g, own := range atRisk {
		t.over[g] = append(t.over[g], product(own, d))
	}
	if n == d { // no choice whom the events meet
		return
	}
	// d·(n-d)/(n²·(n-1)), and n_g·n_h of it
	common := special.FromRat(new(big.Rat).SetFrac(product(d, n-d), new(big.Int).Mul(product(n, n), big.NewInt(n-1))))
	var term big.Float
	for g, own := range atRisk {
		for h, other := range atRisk[:g] {
			if own > 0 && other > 0 {
				t.weight[g][h].Add(t.weight[g][h], term.SetPrec(special.Prec).Mul(common, new(big.Float).SetInt(product(own, other))))
			}
		}
	}
}

// expected is the number of events that group g would have without differences, and excess how many more it has, which is
// exactly 0 where there is no excess.
func (t *logRank) expected(g int) (expected, excess *big.Float) {
	over, under := addFractions(t.over[g], t.under)
	quotient := func(over *big.Int) *big.Float {
		x := new(big.Float).SetPrec(special.Prec).SetInt(over)
		return x.Quo(x, new(big.Float).SetPrec(special.Prec).SetInt(under))
	}
	observed := big.NewInt(t.observed[g])
	return quotient(over), quotient(observed.Sub(observed.Mul(observed, under), over))
}

// addFractions is the exact sum of over[i]/under[i], not reduced. It adds halves first, which keeps most numbers short.
func addFractions(over, under []*big.Int) (sum, common *big.Int) {
	switch len(over) {
	case 0:
		return big.NewInt(0), big.NewInt(1)
	case 1:
		return over[0], under[0]
	}
	half := len(over) / 2
	a, b := addFractions(over[:half], under[:half])
	c, d := addFractions(over[half:], under[half:])
	sum = new(big.Int).Mul(a, d)
	return sum.Add(sum, new(big.Int).Mul(b, c)), new(big.Int).Mul(b, d)
}

// chiSquared is u'·V⁻·u for the excesses u, and the rank of their covariance V.
//
// Covariances of different groups are negative or 0, and rows of V add up to 0: V is the Laplacian of a graph in which
// groups are joined that were at risk together. Elimination keeps that form, so that every pivot is a sum of weights and
// nothing is subtracted (Grassmann, Taksar, Heyman, Operations Research 33, 1985). A pivot is 0, exactly, for the last group
// of each part of the graph, whose excess is minus that of the others of its part: V then has a generalised inverse that
// leaves it out. Where the graph is in one part, that is the test without one of the groups, in R's words.
func (t *logRank) chiSquared(excess []*big.Float) (statistic *big.Float, rank int) {
	k := len(excess)
	w, u := make([][]*big.Float, k), make([]*big.Float, k)
	for g := range k {
		w[g] = make([]*big.Float, g)
		for h := range g {
			w[g][h] = new(big.Float).Set(t.weight[g][h])
		}
		u[g] = new(big.Float).Set(excess[g])
	}
	statistic = special.Int(0)
	part := new(big.Float).SetPrec(special.Prec)
	for g := k - 1; g > 0; g-- {
		pivot := special.Int(0)
		for _, x := range w[g] {
			pivot.Add(pivot, x)
		}
		if pivot.Sign() == 0 {
			continue
		}
		rank++
		part.Mul(u[g], u[g])
		statistic.Add(statistic, part.Quo(part, pivot))
		for h := range g {
			share := new(big.Float).Quo(w[g][h], pivot)
			u[h].Add(u[h], part.Mul(u[g], share))
			for i := range h {
				w[h][i].Add(w[h][i], part.Mul(w[g][i], share))
			}
		}
	}
	return statistic, rank
}

// variance is the covariance matrix of the excesses, as it stands in a result.
func (t *logRank) variance() []any {
	k := len(t.samples)
	rows := make([]any, k)
	for g := range k {
		row := make([]any, k)
		own := special.Int(0)
		for h := range k {
			if h == g {
				continue
			}
			w := t.weight[max(g, h)][min(g, h)]
			own.Add(own, w)
			if row[h] = int64(0); w.Sign() > 0 {
				row[h] = new(big.Float).Neg(w)
			}
		}
		row[g] = own
		rows[g] = row
	}
	return rows
}

func finishLogRank(f followUp, v values, opened []byte) (object, error) {
	d, err := f.cohort(v)
	if err != nil {
		return object{}, err
	}
	exits, samples, err := d.exits(v, opened)
	if err != nil {
		return object{}, err
	}
	t := newLogRank(len(d.groups))
	for len(exits) > 0 {
		same := 1
		for same < len(exits) && exits[same].stratum == exits[0].stratum {
			same++
		}
		if !t.stratum(exits[:same]) {
			return object{}, &OutcomeError{fmt.Sprintf("the parties have too many different times together for %d groups: with as many, at most %d times with events, over all strata, are possible: agree on a grid of times, or on fewer groups",
				len(d.groups), mostTerms/(len(d.groups)*len(d.groups)))}
		}
		exits = exits[same:]
	}
	var o object
	list, excess := make([]any, len(d.groups)), make([]*big.Float, len(d.groups))
	for g, name := range d.groups {
		var expected *big.Float
		expected, excess[g] = t.expected(g)
		var member object
		member.put("group", name)
		member.put("samples", t.samples[g])
		member.put("observed", t.observed[g])
		member.put("expected", expected)
		list[g] = member
	}
	statistic, rank := t.chiSquared(excess)
	o.put("samples", samples)
	if d.strata == nil {
		o.put("method", "Log-rank test")
	} else {
		o.put("method", "Stratified log-rank test")
	}
	if rank == 0 {
		const why = "there was no event with subjects of two groups at risk that might have met either"
		o.null("statistic", why)
		o.put("df", 0)
		o.null("p_value", why)
	} else {
		o.put("statistic", statistic)
		o.put("df", rank)
		o.put("p_value", special.ChiSquareUpper(statistic, special.Int(int64(rank))))
	}
	o.put("groups", list)
	matrix := t.variance()
	o.put("variance", matrix)
	for g, row := range matrix {
		if own := row.([]any)[g].(*big.Float); own.Sign() == 0 && rank > 0 {
			o.note(fmt.Sprintf("groups[%d]", g), "not compared: it was at risk with no other group at an event that might have met either")
		}
	}
	return o, nil
}
