package simon

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"math/big"
	"math/bits"
	"slices"

	"github.com/weftmpc/weft/simon/linear"
	"github.com/weftmpc/weft/simon/ring"
	"github.com/weftmpc/weft/simon/special"
)

// gridBits is the grid of all that is summed at a point: multiples of 2^-60, about 1e-18. With the bounds of samples,
// standardised values and clipped expectations no sum exceeds 2^130 of them in units of 1, so three words hold it.
const (
	gridBits  = 60
	gridLimbs = 3
)

// pointLayout is the vector of one point for p coefficients: half the deviance, its gradient with the sign changed, and the
// upper triangle of the information matrix by rows.
func pointLayout(p int) ring.Layout {
	return ring.Layout{
		{Name: "half_deviance", Limbs: gridLimbs, Count: 1},
		{Name: "gradient", Limbs: gridLimbs, Count: p},
		{Name: "information", Limbs: gridLimbs, Count: p * (p + 1) / 2},
	}
}

// gridSum adds doubles as multiples of 2^-gridBits, two's complement, lowest word first.
type gridSum [gridLimbs]uint64

func (s *gridSum) add(v float64) {
	v *= 1 << gridBits // exact
	if !(math.Abs(v) < 1<<62) {
		s.addLarge(v)
		return
	}
	i := int64(math.RoundToEven(v))
	sign := uint64(i >> 63)
	var c uint64
	s[0], c = bits.Add64(s[0], uint64(i), 0)
	s[1], c = bits.Add64(s[1], sign, c)
	s[2] += sign + c
}

// addLarge adds a multiple of 2^-gridBits that fits into no word. What false sums of another party may lead to, it cuts.
func (s *gridSum) addLarge(v float64) {
	const most = 1 << 64 * (1 << 64) * (1 << 52)
	if math.IsNaN(v) {
		return
	}
	fraction, exponent := math.Frexp(min(math.Abs(v), most))
	m := uint64(fraction * (1 << 53))
	shift := exponent - 53 // at least 9
	var w gridSum
	at, by := shift/64, uint(shift%64)
	w[at] = m << by
	if at+1 < len(w) {
		w[at+1] = m >> (64 - by)
	}
	addTo(s[:], w[:], v < 0)
}

// sumsAt are a party's sums at a point. Their time is 4 ns for each product in the information matrix.
func (d glmDesign) sumsAt(ctx context.Context, t *sampleTable, point []float64) (ring.Vector, error) {
	p := len(point)
	var deviance gridSum
	gradient, information := make([]gridSum, p), make([]gridSum, p*(p+1)/2)
	for i, y := range t.y {
		if i%glmPause == 0 && ctx.Err() != nil {
			return ring.Vector{}, ctx.Err()
		}
		z := t.z[i*p:][:p]
		eta := 0.0
		for j, b := range point {
			eta += float64(b * z[j])
		}
		loss, residual, weight := d.share(y, t.exposure[i], eta)
		deviance.add(loss)
		k := 0
		for j, x := range z {
			gradient[j].add(residual * x)
			wx := weight * x
			for _, other := range z[j:] {
				information[k].add(wx * other)
				k++
			}
		}
	}
	v := ring.New(pointLayout(p))
	v.SetLimbs(0, 0, deviance[:])
	for j := range gradient {
		v.SetLimbs(1, j, gradient[j][:])
	}
	for k := range information {
		v.SetLimbs(2, k, information[k][:])
	}
	return v, nil
}

// gridFloat is an element of the sums at a point.
func gridFloat(x ring.Vector, field, i int) *big.Float {
	f := new(big.Float).SetPrec(special.Prec).SetInt(x.Int(field, i))
	return f.SetMantExp(f, -gridBits)
}

// informationAt is the lower triangle of the matrix at a point of p coefficients.
func informationAt(x ring.Vector, p int) [][]*big.Float {
	a := make([][]*big.Float, p)
	k := 0
	for i := range p {
		a[i] = make([]*big.Float, i+1)
	}
	for j := range p {
		for i := j; i < p; i++ {
			a[i][j] = gridFloat(x, 2, k)
			k++
		}
	}
	return a
}

// The rules of Newton's method, on the standardised scale.
const (
	// rankPrec makes a column collinear of which the others leave less than 2^-32 of the variance: the rounding of samples'
	// shares would make its coefficient meaningless.
	rankPrec = 64
	// stepPrec is for points that are not the first, where the information in a direction may have vanished.
	stepPrec = 128

	settledStep = 1e-9 // no element of the last step is larger

	mostSlope     = 30   // logits, or logarithms of the rate, for a standard deviation of a column
	growth        = 1e-9 // of the deviance, that passes for rounding
	lostDecrement = 1e-3 // of half the deviance: a thousandth of what one sample counts for
	mostCut       = 5    // the exponent of 2 by which a step is shortened at most before its end is tried
)

// newtonWalk is Newton's method of one computation, the same at all parties.
type newtonWalk struct {
	d     glmDesign
	best  *newtonVisit // the last point that was no worse than the one before
	point []float64
	step  *big.Float // the largest element of the last step
}

// newtonVisit is a point and what was opened there.
type newtonVisit struct {
	point    []float64
	deviance *big.Float // half of it
}

// next takes the sums at the walk's point and moves on. It returns the outcome, 0 while there is none; at glmFitted, the point
// is the last, whose sums are still to be opened. Its decisions depend on opened integers alone.
func (w *newtonWalk) next(x ring.Vector) (outcome byte, column int) {
	deviance := gridFloat(x, 0, 0)
	if deviance.Cmp(special.New(-growth)) < 0 {
		return glmNotPossible, 0
	}
	if w.best != nil {
		allowed := new(big.Float).Add(w.best.deviance, special.Int(1))
		allowed.Mul(allowed, special.New(growth)).Add(allowed, w.best.deviance)
		if deviance.Cmp(allowed) > 0 {
			w.retreat(deviance)
			return 0, 0
		}
	}
	first := w.best == nil
	w.best = &newtonVisit{slices.Clone(w.point), deviance}
	// Half the deviance of 0s and 1s is at least ln 2 unless every sample is more likely than not: only then there is a
	// hyperplane between them.
	if !w.d.counts && deviance.Cmp(special.New(0.693)) < 0 {
		return glmSeparated, 0
	}
	p := w.d.order()
	prec := uint(stepPrec)
	if first {
		prec = rankPrec
	}
	a, g := informationAt(x, p), make([]*big.Float, p)
	for i := range p {
		g[i] = gridFloat(x, 1, i)
		if a[i][i].Sign() < 0 {
			return glmNotPossible, 0
		}
	}
	factor, err := linear.DecomposeFloat(a, prec)
	if err != nil {
		return w.singular(first, err)
	}
	step := factor.SolveFloat(g)
	return w.judge(step, g), 0
}

// singular is the outcome where the information matrix is.
func (w *newtonWalk) singular(first bool, err error) (outcome byte, column int) {
	singular, ok := errors.AsType[*linear.CollinearError](err)
	switch {
	case !ok:
		return glmNotPossible, 0
	case first:
		return glmCollinear, singular.Columns[0]
	}
	return glmSeparated, 0
}

// judge decides whether step, the solution for gradient g, is the last, and otherwise takes it.
func (w *newtonWalk) judge(step, g []*big.Float) byte {
	longest, decrement := special.Int(0), special.Int(0)
	for i, s := range step {
		if a := new(big.Float).Abs(s); a.Cmp(longest) > 0 {
			longest = a
		}
		decrement.Add(decrement, new(big.Float).Mul(s, g[i]))
	}
	before := w.step
	w.step = longest
	if longest.Cmp(special.New(settledStep)) < 0 {
		if w.move(step, 0); w.slope(w.point) > mostSlope {
			return glmSteep
		}
		return glmFitted
	}
	// Near a maximum, steps shrink by squares. Where they go on although all samples together promise next to nothing, the
	// likelihood has no maximum: each step makes samples e times likelier that are as good as certain.
	lingers := before != nil && new(big.Float).SetMantExp(longest, 1).Cmp(before) > 0
	if lingers && decrement.Cmp(special.New(lostDecrement)) < 0 {
		return glmSeparated
	}
	// A step beyond the bound may be too long; one from its far half is not the first that goes there.
	w.move(step, 0)
	for halvings := 1; w.slope(w.point) > mostSlope; halvings++ {
		if w.slope(w.best.point) > mostSlope/2 {
			return glmSteep
		}
		w.move(step, halvings)
	}
	return 0
}

// slope is the largest coefficient of a column.
func (w *newtonWalk) slope(point []float64) float64 {
	if w.d.intercept {
		point = point[1:]
	}
	most := 0.0
	for _, b := range point {
		most = max(most, math.Abs(b))
	}
	return most
}

// move goes from the best point by step·2^-halvings.
func (w *newtonWalk) move(step []*big.Float, halvings int) {
	w.point = make([]float64, len(step))
	for i, s := range step {
		x := new(big.Float).SetMantExp(s, -halvings)
		w.point[i], _ = x.Add(special.New(w.best.point[i]), x).Float64()
	}
}

// retreat goes back towards the best point, because the deviance has grown: half the way, and more where it has grown
// beyond all measure. Counts grow exponentially on the way, so that the logarithms of the deviances tell how far it was
// too long.
func (w *newtonWalk) retreat(deviance *big.Float) {
	halvings := 1
	allowed := special.Log1p(w.best.deviance)
	for tried := special.Log1p(deviance); halvings < mostCut; halvings++ {
		if tried.SetMantExp(tried, -1).Cmp(new(big.Float).SetMantExp(allowed, 1)) < 0 {
			break
		}
	}
	for i, b := range w.point {
		from := special.New(w.best.point[i])
		x := new(big.Float).Sub(special.New(b), from)
		w.point[i], _ = from.Add(from, x.SetMantExp(x, -halvings)).Float64()
	}
}

// run opens the sums of the columns, then those at one point after the other.
func (d glmDesign) run(ctx context.Context, s Session, most int, payload []byte) ([]byte, error) {
	layout := d.columnLayout()
	if len(payload) < layout.Size() {
		return nil, errStored
	}
	own, err := ring.View(layout, payload[:layout.Size()])
	if err != nil {
		return nil, fmt.Errorf("the stored input: %w", err)
	}
	rows, err := samplesIn(own, columnSamples, 0)
	if err != nil || rows > maxCells {
		return nil, errStored
	}
	columns, err := MaskedSum(ctx, s, Label{Round: 2, Vector: "columns"}, own)
	if err != nil {
		return nil, err
	}
	o := glmOpening{columns: columns, first: ring.New(pointLayout(d.order())), last: ring.New(pointLayout(d.order())), point: make([]float64, d.order())}
	plan, err := d.scheme(columns)
	switch {
	case err != nil:
		o.outcome = glmRefused
	case plan.start == nil:
		o.outcome = glmSeparated
	}
	if o.outcome != 0 {
		return o.at(s), nil
	}
	t, err := d.table(ctx, int(rows), payload[layout.Size():], plan.columns)
	if err != nil {
		return nil, err
	}
	so, err := d.newton(ctx, s, most, t, plan, &o)
	if err != nil {
		return nil, err
	}
	if o.outcome == glmFitted {
		x, err := d.sumsAt(ctx, t, o.point)
		if err != nil {
			return nil, err
		}
		if x, err = openSumAfter(ctx, s, Label{Round: 3 + uint32(o.iterations), Vector: "last"}, so, x); err != nil || x.Bytes() == nil {
			return nil, err
		}
		o.last = x
	}
	return o.at(s), nil
}

// newton visits points until there is an outcome. A point follows from all that was opened before, and the masks of its sums hang
// on that: parties that were shown different sums would else add up theirs at different points, which can be chosen so that one
// party's are left. It returns a hash of all that was opened.
func (d glmDesign) newton(ctx context.Context, s Session, most int, t *sampleTable, plan *glmScheme, o *glmOpening) (so []byte, err error) {
	so = alsoOpened(nil, o.columns)
	w := &newtonWalk{d: d, point: make([]float64, d.order())}
	if d.intercept {
		w.point[0], _ = plan.start.Float64()
	}
	for k := 0; k < most && o.outcome == 0; k++ {
		s.Report(Progress{Round: uint32(k) + 2, Rounds: uint32(most) + 2})
		x, err := d.sumsAt(ctx, t, w.point)
		if err != nil {
			return nil, err
		}
		if x, err = maskedSumAfter(ctx, s, Label{Round: 3 + uint32(k), Vector: "point"}, so, x); err != nil {
			return nil, err
		}
		so = alsoOpened(so, x)
		if k == 0 {
			o.first = x
		}
		o.iterations++
		var column int
		o.outcome, column = w.next(x)
		o.collinear = uint8(column)
	}
	if o.outcome == 0 {
		o.outcome = glmUnsettled
	}
	o.point = w.point
	return so, nil
}

// alsoOpened goes on with a hash of what was opened.
func alsoOpened(so []byte, x ring.Vector) []byte {
	h := sha256.New()
	h.Write(so)
	h.Write(x.Bytes())
	return h.Sum(nil)
}
