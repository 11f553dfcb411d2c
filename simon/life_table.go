package simon

import (
	"fmt"
	"math/big"

	"github.com/weftmpc/weft/simon/special"
)

// lifeTable is one group of a follow-up on a grid whose small counts are hidden: of each point the events and the subjects
// that leave, where they are shown, and else 0, which stands for any number up to most.
//
// What is known of the curve are bounds. Whatever the other counts are, the estimate at a point falls when one more subject has
// its event there or before: of n at risk at the beginning and n' at the event, it makes the factors before larger, all together
// by a logarithm of at most 1/n' - 1/n, and the one of the event smaller by 1/n'. And the estimate rises when one more subject
// has its event later, or leaves at any time. So its least value is that of the most hidden events up to the point and of
// nobody else who is hidden, and its largest value the other way round. Both are possible: there are no closer bounds.
type lifeTable struct {
	points []exit
	most   int64 // what a hidden count can be, from 0
}

// hidden says whether a count is.
func (t lifeTable) hidden(n int64) bool { return n == 0 && t.most > 0 }

// exact says whether all counts are known.
func (t lifeTable) exact() bool {
	for _, x := range t.points {
		if t.hidden(x.events) || t.hidden(x.censored) {
			return false
		}
	}
	return true
}

// atRisk are the least and the largest number of subjects at risk at each point.
func (t lifeTable) atRisk() (least, most []int64) {
	least, most = make([]int64, len(t.points)+1), make([]int64, len(t.points)+1)
	for i := len(t.points) - 1; i >= 0; i-- {
		least[i], most[i] = least[i+1], most[i+1]
		for _, n := range []int64{t.points[i].events, t.points[i].censored} {
			least[i] += n
			most[i] += n
			if t.hidden(n) {
				most[i] += t.most
			}
		}
	}
	return least[:len(t.points)], most[:len(t.points)]
}

// survival is the estimate at point j if hidden events up to it number before, hidden events after it number after, and hidden
// subjects that leave number leave.
func (t lifeTable) survival(j int, before, after, leave int64) *big.Float {
	known := func(n, hidden int64) int64 {
		if t.hidden(n) {
			return hidden
		}
		return n
	}
	n := int64(0)
	for i := len(t.points) - 1; i > j; i-- {
		n += known(t.points[i].events, after) + known(t.points[i].censored, leave)
	}
	// From the last point to the first: n is how many are left after each.
	over, under := special.Int(1), special.Int(1)
	for i := j; i >= 0; i-- {
		n += known(t.points[i].censored, leave)
		if d := known(t.points[i].events, before); d > 0 {
			over.Mul(over, special.Int(n))
			n += d
			under.Mul(under, special.Int(n))
		}
	}
	return over.Quo(over, under)
}

// bounds are the least and the largest value of the estimate at each point. The time grows with the square of the points: a grid
// has no more than a thousand (listed), which take half a second.
func (t lifeTable) bounds() []survivalBand {
	all := make([]survivalBand, len(t.points))
	for j := range all {
		all[j] = survivalBand{lower: t.survival(j, t.most, 0, 0), upper: t.survival(j, 0, t.most, t.most)}
	}
	return all
}

// medianBounds are the first time at which the curve may be at 1/2 or below, and the first at which it is below for certain;
// nil where there is none.
func (t lifeTable) medianBounds(bounds []survivalBand) (first, last any) {
	for i, b := range bounds {
		at := scaled(t.points[i].time, statEncoding.Digits)
		if first == nil && againstHalf(b.lower) <= 0 {
			first = at
		}
		if last == nil && againstHalf(b.upper) < 0 {
			last = at
		}
	}
	return first, last
}

// finishLifeTables writes the result of KaplanMeier where small counts are hidden.
func finishLifeTables(d cohort, v values, opened []byte) (object, error) {
	points, err := d.openedPoints(v, opened)
	if err != nil {
		return object{}, err
	}
	samples := int64(0)
	for _, x := range points {
		for _, n := range []int64{x.events, x.censored} {
			if err := checkCount(v, n); err != nil {
				return object{}, err
			}
			samples += n
		}
	}
	if samples > maxSamples {
		return object{}, impossible("the number of samples is impossible")
	}
	z := special.NormalQuantile(special.FromRat(bothSides(v.rat("conf_level"))))
	var o object
	o.put("samples", samples)
	o.put("conf_level", v.rat("conf_level"))
	list, unknown := make([]any, max(len(d.groups), 1)), false
	for g := range list {
		t := lifeTable{points[g*len(d.grid) : (g+1)*len(d.grid)], v.whole("suppress_below") - 1}
		var member object
		if d.groups != nil {
			member.put("group", d.groups[g])
		}
		unknown = unknown || !t.exact()
		o.putLifeTable(&member, fmt.Sprintf("groups[%d].", g), t, z)
		list[g] = member
	}
	o.put("groups", list)
	o.noteHidden(v, "groups")
	if unknown {
		o.note("groups[].table[].survival_bounds", "the curve lies between them whatever the counts are that null stands for; they are no confidence limits. "+
			"survival, its standard errors and intervals, and the median are given where no count of the group is hidden")
	}
	return o, nil
}

// putLifeTable writes a group's table to member, which is at path in o.
func (o *object) putLifeTable(member *object, path string, t lifeTable, z *big.Float) {
	if t.exact() {
		var known []exit
		for _, x := range t.points {
			if x.events > 0 || x.censored > 0 {
				known = append(known, x)
			}
		}
		o.putCurve(member, path, newSurvivalCurve(known, z), z)
		return
	}
	bounds := t.bounds()
	least, most := t.atRisk()
	samples, events := int64(0), int64(0)
	table := make([]any, len(t.points))
	for i, x := range t.points {
		samples += x.events + x.censored
		events += x.events
		var r object
		r.put("time", scaled(x.time, statEncoding.Digits))
		r.put("n_risk", nil)
		r.put("n_event", shown(true, x.events))
		r.put("n_censor", shown(true, x.censored))
		for _, name := range []string{"survival", "std_error", "conf_int", "conf_int_plain"} {
			r.put(name, nil)
		}
		r.put("n_risk_bounds", []any{least[i], most[i]})
		r.put("survival_bounds", []any{bounds[i].lower, bounds[i].upper})
		table[i] = r
	}
	member.put("samples", shown(true, samples))
	member.put("events", shown(true, events))
	member.put("median", nil)
	member.put("median_conf_int", nil)
	first, last := t.medianBounds(bounds)
	member.put("median_bounds", []any{first, last})
	switch {
	case first == nil:
		o.note(path+"median_bounds", "the curve does not fall to 0.5")
	case last == nil:
		o.note(path+"median_bounds[1]", "the curve need not fall below 0.5")
	}
	member.put("table", table)
}
