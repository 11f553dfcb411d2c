package simon

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/big"

	"github.com/weftmpc/weft/simon/ring"
	"github.com/weftmpc/weft/simon/special"
)

// StatisticsByGroup describes each of several groups by number, sum, mean and variance, with an interval for the mean
// (Student, Biometrika 6, 1908).
//
// One masked sum of exact integers: for each group the number of samples and the sums of numbers and of squares. Recipients
// learn those; any n-1 parties learn those of the rest.
func StatisticsByGroup() Microprotocol {
	counts := func(v values) (ring.Layout, error) { return wordsLayout(len(v.list("groups"))), nil }
	return tally{
		own: []parameter{
			groups("groups", 1, "the names of all groups, in the order of the result"),
			level(),
		},
		layout: func(v values) (ring.Layout, error) {
			return groupSumsLayout(len(v.list("groups"))), nil
		},
		read: readByGroup,
		open: openGroups,
		finish: func(v values, _ int, x ring.Vector) (object, error) {
			all, err := openedGroups(x)
			for g := 0; err == nil && g < len(all); g++ {
				err = checkCount(v, all[g].n)
			}
			if err != nil {
				return object{}, err
			}
			return byGroup(v, all), nil
		},
	}.statistic().suppressing(dealCounts(counts)).complete(Microprotocol{
		Name:    "StatisticsByGroup",
		Summary: "Number, sum, mean, variance and an interval for the mean of all parties' numbers, for each group.",
		Input: json.RawMessage(`{"description":"a list of rows [number, group]","type":"array","items":{"type":"array",` +
			`"prefixItems":[{"type":"number"},` + categoryItems + `],"minItems":2,"maxItems":2}}`),
		Result: byGroupSchema(),
		Bytes:  "72 bytes for each group to each receiver" + suppressionBytes + ", and 8 from each party to each other" + poolBytes,
		Leakage: "Recipients learn the number of samples and the exact sums of numbers and of squares of each group, of all parties together. " +
			"least_samples counts the samples of all groups: a group of one sample shows its number, one of two samples both, and a group that only one party has shows that party's sums, " +
			"so name groups that are large everywhere. " +
			"Any coalition of up to n-1 parties learns the same sums of the others: with two parties those are the other party's own. The parameters show everybody the names of the groups. " +
			"Broker and coordinator learn neither inputs nor result." + suppressionLeakage,
		WithHelper: suppressionHelper,
	})
}

// openGroups opens the sums of all groups; where small counts are hidden, first the counts of the groups that have enough, and
// then the sums of these groups.
func openGroups(ctx context.Context, s Session, v values, x ring.Vector) ([]byte, error) {
	var shown []uint64
	if hiding(v) {
		x = x.Clone() // the stored input is that of the next attempt too
		counts := make([]uint64, x.Layout()[0].Count)
		for g := range counts {
			x.Limbs(0, g, counts[g:g+1])
		}
		var err error
		if shown, err = openSurvivors(ctx, s, v, counts); err != nil {
			return nil, err
		}
		// Parties that were shown different counts would leave out different groups, and the sums were then of some parties only.
		if err := agree(ctx, s, Label{Round: 3, Vector: "shown counts"}, shown); err != nil {
			return nil, err
		}
		var zero big.Int
		for g, n := range shown {
			if n > 0 {
				continue
			}
			for field := range x.Layout() {
				setInt(x, field, g, &zero)
			}
		}
	}
	sum, err := OpenSum(ctx, s, Label{Round: 3, Vector: "sums"}, x)
	if err != nil || sum.Bytes() == nil {
		return nil, err
	}
	for g, n := range shown {
		var counted [1]uint64
		if sum.Limbs(0, g, counted[:]); counted[0] != n {
			return nil, impossible("the sums are of other counts than those that were shown")
		}
	}
	return sum.Bytes(), nil
}

func readByGroup(data io.Reader, v values) (ring.Vector, int, error) {
	if !v.has("groups") {
		return ring.Vector{}, 0, &InputError{"parameters.groups", `is needed: name all groups, such as ["a", "b"]`}
	}
	names := v.categories("groups")
	s := newGroupSums(len(names))
	rows, err := readGrouped(data, names, func(_ place, g int, q *big.Int) error {
		s.add(g, q)
		return nil
	})
	if err != nil {
		return ring.Vector{}, 0, err
	}
	return s.vector(), rows, nil
}

// mostSizes bounds the different sizes of groups that have intervals: a quantile takes five milliseconds, up to eight.
const mostSizes = 300

// byGroup writes the result. Groups of one size have one quantile, which is by far the slowest part.
func byGroup(v values, all []*moments) object {
	p := special.FromRat(bothSides(v.rat("conf_level")))
	quantiles := map[int64]*big.Float{} // by size; for lookups only
	var o object
	o.put("samples", together(all))
	o.put("conf_level", v.rat("conf_level"))
	list := make([]any, len(all))
	names := v.categories("groups")
	for g, m := range all {
		var member object
		member.put("group", names[g])
		member.put("samples", shown(hiding(v), m.n))
		path, none := fmt.Sprintf("groups[%d].", g), shown(hiding(v), m.n) == nil
		null := func(name, why string) {
			member.put(name, nil)
			if !none { // the note of groups says why
				o.note(path+name, why)
			}
		}
		if none {
			null("sum", "")
		} else {
			member.put("sum", m.power[1])
		}
		if m.n == 0 {
			null("mean", noSamples)
		} else {
			member.put("mean", m.mean())
		}
		if m.n < 2 {
			for _, name := range []string{"variance", "standard_deviation", "standard_error", "conf_int"} {
				null(name, oneSample)
			}
		} else {
			if quantiles[m.n] == nil && len(quantiles) < mostSizes {
				quantiles[m.n] = special.StudentQuantile(p, special.Int(m.n-1))
			}
			se := root(m.ofMean())
			member.put("variance", m.variance(1))
			member.put("standard_deviation", root(m.variance(1)))
			member.put("standard_error", se)
			if q := quantiles[m.n]; q != nil {
				member.put("conf_int", interval(m.mean(), se, q))
			} else {
				null("conf_int", fmt.Sprintf("intervals are computed for up to %d different numbers of samples: give fewer groups", mostSizes))
			}
		}
		list[g] = member
	}
	o.put("groups", list)
	o.noteHidden(v, "groups")
	return o
}

func byGroupSchema() json.RawMessage {
	return json.RawMessage(`{"type":"object","properties":{` +
		`"samples":{"type":"integer","minimum":0,"description":"how many numbers all parties gave together, in all groups"},` +
		`"conf_level":{"type":"number","description":"the level of the intervals"},` +
		`"groups":{"type":"array","description":"the groups, in the order of the parameter groups","items":{"type":"object","properties":{` +
		`"group":` + categoryItems + `,` +
		`"samples":{"type":["integer","null"],"minimum":0,"description":"null where that is hidden, as is all else of the group"},` +
		`"sum":{"type":["number","null"]},` +
		`"mean":{"type":["number","null"]},` +
		`"variance":{"type":["number","null"],"description":"with n-1"},` +
		`"standard_deviation":{"type":["number","null"],"description":"root of the variance"},` +
		`"standard_error":{"type":["number","null"],"description":"root of variance/n"},` +
		`"conf_int":{"type":["array","null"],"items":{"type":"number"},"description":"limits for the mean, by Student's t distribution with n-1 degrees of freedom"}},` +
		`"required":["group","samples","sum","mean","variance","standard_deviation","standard_error","conf_int"]}},` +
		notesSchema + `},"required":["samples","conf_level","groups"]}`)
}
