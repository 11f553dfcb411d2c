package simon

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"sort"

	"github.com/weftmpc/weft/simon/ring"
)

// The fields of Histogram's layout.
const (
	fieldBelow = iota
	fieldCounts
	fieldAbove
)

// Histogram counts numbers in classes between public breaks, as R's hist does with include.lowest = TRUE, but without its
// tolerance: a number belongs to the class that its decimal value says.
//
// One masked sum of counts: below the breaks, in each class, above. Recipients learn those; any n-1 parties learn those of
// the rest.
func Histogram() Microprotocol {
	layout := func(v values) (ring.Layout, error) { return histogramLayout(len(v.list("breaks")) - 1), nil }
	return tally{
		own: []parameter{
			breaks(),
			truth("right", true, "classes are (a, b], and the first also holds its lower limit; with false they are [a, b), and the last also holds its upper limit"),
		},
		order:  func(values) int { return 1 },
		layout: layout,
		read:   readHistogram,
		open:   openCounts,
		finish: func(v values, _ int, x ring.Vector) (object, error) { return finishHistogram(v, x) },
	}.statistic().suppressing(dealCounts(layout)).complete(Microprotocol{
		Name:    "Histogram",
		Summary: "How many of all parties' numbers lie in each of the classes between given limits.",
		Input:   json.RawMessage(`{"description":"a number, or a list of numbers","anyOf":[{"type":"number"},{"type":"array","items":{"type":"number"}}]}`),
		Result: json.RawMessage(`{"type":"object","properties":{` +
			`"samples":{"type":"integer","minimum":0,"description":"how many numbers all parties gave together"},` +
			`"breaks":{"type":"array","items":{"type":"number"},"description":"the limits of the classes"},` +
			`"counts":{"type":"array","items":{"type":["integer","null"],"minimum":0},"description":"numbers in each class, null where that is hidden"},` +
			`"density":{"anyOf":[{"type":"null"},{"type":"array","items":{"type":["number","null"]}}],"description":"share of a class in the numbers of all classes, divided by its width"},` +
			`"mids":{"type":"array","items":{"type":"number"},"description":"the middle of each class"},` +
			`"below":{"type":["integer","null"],"minimum":0,"description":"numbers below the first limit"},` +
			`"above":{"type":["integer","null"],"minimum":0,"description":"numbers above the last limit"},` +
			notesSchema + `},"required":["samples","breaks","counts","density","mids","below","above"]}`),
		Bytes: "8·k + 16 bytes to each receiver for k classes" + suppressionBytes + poolBytes,
		Leakage: "Recipients learn how many numbers of all parties together lie in each class, below and above, nothing else; a count of 1 is a single sample, " +
			"so narrow classes show single numbers. Any coalition of up to n-1 parties learns the counts of the others: with two parties those are the other party's own. " +
			"The parameters show everybody the limits. Broker and coordinator learn neither inputs nor result." + suppressionLeakage,
		WithHelper: suppressionHelper,
	})
}

func histogramLayout(classes int) ring.Layout {
	return ring.Layout{
		fieldBelow:  {Name: "below", Limbs: 1, Count: 1},
		fieldCounts: {Name: "counts", Limbs: 1, Count: classes},
		fieldAbove:  {Name: "above", Limbs: 1, Count: 1},
	}
}

// breaks is the list of the limits of classes: numbers that sumEncoding can tell apart, ascending.
func breaks() parameter {
	one := func(v any) (any, error) {
		n, err := decimal(v, func(*big.Rat) bool { return true }, "a number")
		if err != nil {
			return nil, err
		}
		if _, err := onGrid(n.(json.Number)); err != nil {
			return nil, err
		}
		return n, nil
	}
	p := listed("breaks", 2, one, `{"type":"number"}`, "the limits of the classes, ascending: k+1 for k classes")
	p.check = func(v any) (any, error) {
		list, err := checkList(v, 2, one)
		if err != nil {
			return nil, err
		}
		var before *big.Int
		for i, x := range list.([]any) {
			q, err := onGrid(x.(json.Number))
			if err != nil {
				return nil, err
			}
			if before != nil && before.Cmp(q) >= 0 {
				return nil, fmt.Errorf("must be ascending, in steps of at least 1e-20: it is not from index %d to %d", i-1, i)
			}
			before = q
		}
		return list, nil
	}
	return p
}

// onGrid is a number of canonical parameters in sumEncoding.
func onGrid(n json.Number) (*big.Int, error) {
	var limbs [sumLimbs]uint64
	if err := sumEncoding.Encode(limbs[:], []byte(n)); err != nil {
		return nil, err
	}
	q := new(big.Int)
	setSigned(q, limbs[:])
	return q, nil
}

// readHistogram counts a party's own numbers.
func readHistogram(data io.Reader, v values) (ring.Vector, int, error) {
	if !v.has("breaks") {
		return ring.Vector{}, 0, &InputError{"parameters.breaks", "is needed: give the limits of the classes, ascending, such as [0, 10, 20]"}
	}
	var limits []*big.Int
	for _, n := range v.list("breaks") {
		q, err := onGrid(n.(json.Number))
		if err != nil {
			return ring.Vector{}, 0, &InputError{"parameters.breaks", err.Error()}
		}
		limits = append(limits, q)
	}
	right, last := v.truth("right"), len(limits)-1
	counts := make([]uint64, len(limits)+1) // below, the classes, above
	var q big.Int
	rows, _, err := readRows(data, 0, func(_ place, cells []cell) error {
		if err := cells[0].decimal(&q, sumEncoding); err != nil {
			return err
		}
		// The class ends at the first limit that is not below q, or for classes [a, b) at the first one above.
		i := sort.Search(len(limits), func(i int) bool {
			c := limits[i].Cmp(&q)
			return c > 0 || right && c == 0
		})
		switch {
		case i == 0 && right && limits[0].Cmp(&q) == 0:
			i = 1
		case i > last && !right && limits[last].Cmp(&q) == 0:
			i = last
		}
		counts[i]++
		return nil
	})
	if err != nil {
		return ring.Vector{}, 0, err
	}
	x := ring.New(histogramLayout(last))
	x.SetLimbs(fieldBelow, 0, counts[:1])
	for i := range last {
		x.SetLimbs(fieldCounts, i, counts[i+1:i+2])
	}
	x.SetLimbs(fieldAbove, 0, counts[last+1:])
	return x, rows, nil
}

func finishHistogram(v values, x ring.Vector) (object, error) {
	limits, hides := v.rats("breaks"), hiding(v)
	below, err := samplesIn(x, fieldBelow, 0)
	if err != nil {
		return object{}, err
	}
	above, err := samplesIn(x, fieldAbove, 0)
	if err != nil {
		return object{}, err
	}
	classes := len(limits) - 1
	counts, inside := make([]int64, classes), int64(0)
	for i := range counts {
		if counts[i], err = samplesIn(x, fieldCounts, i); err == nil {
			err = errors.Join(checkCount(v, counts[i]), checkCount(v, below), checkCount(v, above))
		}
		if err != nil {
			return object{}, err
		}
		inside += counts[i] // at most 1000·2^40
	}
	if inside+below+above > maxSamples {
		return object{}, impossible("the number of samples is impossible")
	}
	var list, middle, density, edges []any
	for _, x := range limits {
		edges = append(edges, x)
	}
	for i, n := range counts {
		width, mid := new(big.Rat).Sub(limits[i+1], limits[i]), new(big.Rat).Add(limits[i+1], limits[i])
		list = append(list, shown(hides, n))
		middle = append(middle, mid.Quo(mid, big.NewRat(2, 1)))
		switch {
		case inside > 0 && shown(hides, n) == nil:
			density = append(density, nil)
		case inside > 0:
			d := big.NewRat(n, inside)
			density = append(density, d.Quo(d, width))
		}
	}
	var o object
	o.put("samples", inside+below+above)
	o.put("breaks", edges)
	o.put("counts", list)
	o.noteHidden(v, "counts")
	if inside > 0 {
		o.put("density", density)
	} else {
		o.null("density", "no sample lies within the breaks")
	}
	o.put("mids", middle)
	o.put("below", shown(hides, below))
	o.put("above", shown(hides, above))
	return o, nil
}
