package simon

import (
	"encoding/json"
	"fmt"
	"math/big"

	"github.com/weftmpc/weft/simon/special"
)

// KaplanMeier estimates survival curves, one for each group (Kaplan, Meier, Journal of the American Statistical Association
// 53, 1958), with Greenwood's standard errors and the median.
//
// Each party counts events and censored subjects by group and time. What is computed from the pooled counts is what R's
// survfit computes with conf.type "log-log", and with "plain" for conf_int_plain. Where small counts are hidden, the result has
// bounds of the curves.
func KaplanMeier() Microprotocol {
	f := followUp{most: maxListed, exits: mostSteps}
	return statistic{
		own:    append(f.own(), level()),
		layout: f.layout, read: f.read, run: f.run,
		finish: func(v values, _ int, opened []byte) (object, error) { return finishKaplanMeier(f, v, opened) },
	}.suppressing(f.deal).complete(Microprotocol{
		Name:    "KaplanMeier",
		Summary: "Kaplan-Meier survival curves by group: survival at each time with its standard error and interval, and the median.",
		Input: json.RawMessage(`{"description":"rows [time, event] or [time, event, group]; event is 0 or false where the subject left without event","type":"array",` +
			`"items":{"type":"array","minItems":2,"maxItems":3,"prefixItems":[{"type":"number","minimum":0},{"enum":[0,1,true,false]},` + categoryItems + `]}}`),
		Result: json.RawMessage(kaplanMeierSchema),
		Bytes:  followUpBytes + suppressionBytes,
		Leakage: "Recipients learn, of all parties together, how many subjects of each group have the event at each time, and how many leave: " +
			"that is equivalent to the curves with their numbers at risk. " + followUpLeakage + suppressionLeakage +
			" What is shown then, of each group and point of times, is the number of events and the number of subjects that leave, each where it reaches t; all bounds follow from these, and from t.",
		WithHelper: suppressionHelper,
	})
}

// mostSteps bounds the times of all curves together: the limits of one take 0.1 ms, which is two seconds for as many.
const mostSteps = 1 << 14

const kaplanMeierSchema = `{"type":"object","properties":{` +
	`"samples":{"type":"integer","minimum":0,"description":"subjects of all parties together"},` +
	`"conf_level":{"type":"number"},` +
	`"groups":{"type":"array","description":"the groups, in the order of the parameter groups; one where rows have none","items":{"type":"object","properties":{` +
	`"group":{"type":["string","integer","boolean"]},` +
	`"samples":{"type":["integer","null"],"minimum":0,"description":"where small counts are hidden: those that are shown together, null if none is; so are events"},` +
	`"events":{"type":["integer","null"],"minimum":0},` +
	`"median":{"type":["number","null"],"description":"the first time at which survival is at most 0.5; where it is exactly 0.5 for a while, the middle of that while"},` +
	`"median_conf_int":{"description":"from the first time at which the lower limit of conf_int is at most 0.5 to the first time at which the upper limit is; null where a limit is not","anyOf":[{"type":"null"},` + limitsSchema + `]},` +
	`"median_bounds":{"description":"where counts are hidden: the first time at which survival may be at most 0.5, and the first at which it is below for certain; null where there is none","type":"array","items":{"type":["number","null"]},"minItems":2,"maxItems":2},` +
	`"table":{"type":"array","description":"all times at which a subject has the event or leaves; where counts are hidden all points of the parameter times","items":{"type":"object","properties":{` +
	`"time":{"type":"number","minimum":0},` +
	`"n_risk":{"type":["integer","null"],"minimum":1,"description":"subjects under observation just before time; null where a count of the group is hidden, as are all estimates"},` +
	`"n_event":{"type":["integer","null"],"minimum":0,"description":"null where that is hidden"},` +
	`"n_censor":{"type":["integer","null"],"minimum":0,"description":"subjects that leave without event; null where that is hidden"},` +
	`"n_risk_bounds":{"description":"where counts are hidden: the least and the largest n_risk that they leave possible","type":"array","items":{"type":"integer"},"minItems":2,"maxItems":2},` +
	`"survival_bounds":{"description":"where counts are hidden: the least and the largest value of survival that they leave possible","type":"array","items":{"type":"number"},"minItems":2,"maxItems":2},` +
	`"survival":{"type":["number","null"],"minimum":0,"maximum":1,"description":"estimated probability of no event up to and at time"},` +
	`"std_error":{"type":["number","null"],"description":"standard error of survival (Greenwood)"},` +
	`"conf_int":{"description":"interval for survival by log(-log)","anyOf":[{"type":"null"},` + limitsSchema + `]},` +
	`"conf_int_plain":{"description":"survival plus and minus a multiple of std_error, within 0 and 1","anyOf":[{"type":"null"},` + limitsSchema + `]}},` +
	`"required":["time","n_risk","n_event","n_censor","survival","std_error","conf_int","conf_int_plain"]}}},` +
	`"required":["samples","events","median","median_conf_int","table"]}},` +
	notesSchema + `},"required":["samples","conf_level","groups"]}`

// limitsSchema is a pair of limits, each of which may be missing.
const limitsSchema = `{"type":"array","items":{"type":["number","null"]},"minItems":2,"maxItems":2}`

// survivalCurve is the survival of subjects of one group.
type survivalCurve []survivalStep

// survivalStep is one time of a curve.
type survivalStep struct {
	exit
	atRisk    int64
	survival  *big.Float    // after it
	greenwood *big.Float    // the sum of d/(n·(n-d)) up to it; nil where survival is 0
	limits    *survivalBand // nil where survival is 0 or 1
}

// survivalBand is an interval for the survival at one time.
type survivalBand struct{ lower, upper *big.Float }

// newSurvivalCurve is the curve of subjects whose exits are ordered by time. z is the quantile for the intervals.
//
// Products and sums carry 256 bits: with 2^16 times at least 70 digits are right.
func newSurvivalCurve(exits []exit, z *big.Float) survivalCurve {
	atRisk := int64(0)
	for _, x := range exits {
		atRisk += x.events + x.censored
	}
	survival, greenwood := special.Int(1), special.Int(0)
	var band *survivalBand
	steps := make(survivalCurve, 0, len(exits))
	for _, x := range exits {
		if x.events > 0 {
			left := special.Int(atRisk - x.events)
			survival = new(big.Float).Mul(survival, left)
			survival.Quo(survival, special.Int(atRisk))
			band = nil
			if x.events == atRisk {
				greenwood = nil
			} else {
				term := special.Int(x.events)
				greenwood = new(big.Float).Add(greenwood, term.Quo(term, left.Mul(left, special.Int(atRisk))))
				band = logLog(survival, greenwood, z)
			}
		}
		steps = append(steps, survivalStep{x, atRisk, survival, greenwood, band})
		atRisk -= x.events + x.censored
	}
	return steps
}

// logLog is the interval for a survival s between 0 and 1 whose logarithm has variance g: log(-log s) ± z·√g/log s, taken
// back. That is s to the power of e^(±z·√g/log s).
func logLog(s, g, z *big.Float) *survivalBand {
	log := special.Log(s)
	width := special.Sqrt(g)
	width.Mul(width, z).Quo(width, log) // below 0
	up := special.Exp(width)
	down := new(big.Float).Quo(special.Int(1), up)
	return &survivalBand{special.Exp(down.Mul(down, log)), special.Exp(up.Mul(up, log))}
}

// stdError is Greenwood's standard error of survival, for which greenwood is there.
func (s survivalStep) stdError() *big.Float {
	e := special.Sqrt(s.greenwood)
	return e.Mul(e, s.survival)
}

// plain is the interval s ± z·(standard error) within 0 and 1.
func (s survivalStep) plain(z *big.Float) *survivalBand {
	half := s.stdError()
	half.Mul(half, z)
	l := &survivalBand{new(big.Float).Sub(s.survival, half), new(big.Float).Add(s.survival, half)}
	if l.lower.Sign() < 0 {
		l.lower.SetInt64(0)
	}
	if one := special.Int(1); l.upper.Cmp(one) > 0 {
		l.upper = one
	}
	return l
}

// againstHalf compares with 1/2. A product of fractions that is 1/2 is not more than 2^-230 away from it after rounding;
// that another one comes as close is out of the question.
func againstHalf(x *big.Float) int {
	d := new(big.Float).Sub(x, special.New(0.5))
	if d.Sign() == 0 || d.MantExp(nil) < -200 {
		return 0
	}
	return d.Sign()
}

// median is the time at which the curve reaches 1/2, in units of 1e-20, or nil. Where it is 1/2 from one event to the next,
// or to the last time, that is the middle of the two (R's quantile.survfit).
func (steps survivalCurve) median() *big.Rat {
	for i, s := range steps {
		switch c := againstHalf(s.survival); {
		case c > 0:
			continue
		case c < 0:
			return new(big.Rat).SetInt(s.time)
		}
		until := steps[len(steps)-1].time
		for _, next := range steps[i+1:] {
			if next.events > 0 {
				until = next.time
				break
			}
		}
		return new(big.Rat).SetFrac(new(big.Int).Add(s.time, until), big.NewInt(2))
	}
	return nil
}

// firstBelowHalf is the first time at which a limit of the curve is at most 1/2, or nil.
func (steps survivalCurve) firstBelowHalf(limit func(*survivalBand) *big.Float) any {
	for _, s := range steps {
		if s.limits != nil && againstHalf(limit(s.limits)) <= 0 {
			return scaled(s.time, statEncoding.Digits)
		}
	}
	return nil
}

func finishKaplanMeier(f followUp, v values, opened []byte) (object, error) {
	d, err := f.cohort(v)
	if err != nil {
		return object{}, err
	}
	if hiding(v) {
		return finishLifeTables(d, v, opened)
	}
	exits, samples, err := d.exits(v, opened)
	if err != nil {
		return object{}, err
	}
	z := special.NormalQuantile(special.FromRat(bothSides(v.rat("conf_level"))))
	var o object
	o.put("samples", samples)
	o.put("conf_level", v.rat("conf_level"))
	list := make([]any, max(len(d.groups), 1))
	for g := range list {
		var of []exit
		for len(exits) > 0 && exits[0].group == g {
			of, exits = append(of, exits[0]), exits[1:]
		}
		var member object
		if d.groups != nil {
			member.put("group", d.groups[g])
		}
		o.putCurve(&member, fmt.Sprintf("groups[%d].", g), newSurvivalCurve(of, z), z)
		list[g] = member
	}
	o.put("groups", list)
	return o, nil
}

// putCurve writes a group's curve to member, which is at path in o.
func (o *object) putCurve(member *object, path string, steps survivalCurve, z *big.Float) {
	samples, events := int64(0), int64(0)
	table := make([]any, len(steps))
	for i, s := range steps {
		samples += s.events + s.censored
		events += s.events
		table[i] = o.row(fmt.Sprintf("%stable[%d].", path, i), s, z)
	}
	member.put("samples", samples)
	member.put("events", events)
	middle := steps.median()
	switch {
	case samples == 0:
		member.put("median", nil)
		o.note(path+"median", noSamples)
	case middle == nil:
		member.put("median", nil)
		o.note(path+"median", "the curve does not fall to 0.5")
	default:
		member.put("median", middle.Quo(middle, new(big.Rat).SetInt(powerOfTen(statEncoding.Digits))))
	}
	if samples == 0 {
		member.put("median_conf_int", nil)
		o.note(path+"median_conf_int", noSamples)
	} else {
		lower := steps.firstBelowHalf(func(l *survivalBand) *big.Float { return l.lower })
		upper := steps.firstBelowHalf(func(l *survivalBand) *big.Float { return l.upper })
		member.put("median_conf_int", []any{lower, upper})
		if lower == nil {
			o.note(path+"median_conf_int[0]", "no lower limit of the curve is at or below 0.5")
		}
		if upper == nil {
			o.note(path+"median_conf_int[1]", "no upper limit of the curve is at or below 0.5")
		}
	}
	member.put("table", table)
}

// row is one line of a table, which is at path in o.
func (o *object) row(path string, s survivalStep, z *big.Float) object {
	var r object
	r.put("time", scaled(s.time, statEncoding.Digits))
	r.put("n_risk", s.atRisk)
	r.put("n_event", s.events)
	r.put("n_censor", s.censored)
	r.put("survival", s.survival)
	missing := func(name, why string) {
		r.put(name, nil)
		o.note(path+name, why)
	}
	const over = "survival is 0: its standard error is not defined"
	if s.greenwood == nil {
		missing("std_error", over)
		missing("conf_int", over)
		missing("conf_int_plain", over)
		return r
	}
	r.put("std_error", s.stdError())
	if s.limits == nil {
		missing("conf_int", "no event yet: log(-log) of a survival of 1 is not defined")
	} else {
		r.put("conf_int", []any{s.limits.lower, s.limits.upper})
	}
	plain := s.plain(z)
	r.put("conf_int_plain", []any{plain.lower, plain.upper})
	return r
}
