package simon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/weftmpc/weft/simon/ring"
)

// glm is a generalized linear model with its canonical link, for which Newton's method and Fisher scoring are one
// (McCullagh and Nelder 1989, Generalized Linear Models, sections 2.2 and 2.5). The parties hold different samples of the
// same variables.
//
// First they add up what standardises the columns (MaskedSum): the number of samples, the sum of y, sums and sums of squares
// of the columns, exact on the decimal grid. Then, at one point after the other, they add half the deviance, its gradient
// and the information matrix of their samples (MaskedSum), and each makes the next point of the totals. The first point is
// the null model. A point where the deviance has grown is halved towards the one before. Where Newton's step has
// become negligible, the sums at the point it leads to are the last opening (OpenSum): coefficients, standard errors and
// deviance are all of that point.
//
// All points are made by big.Float arithmetic on opened integers and rounded once to doubles, so that all parties walk the
// same path. The private part, a sample's share in the sums, is computed in doubles and rounded to a multiple of 2^-60; the
// shares are added as integers, so that the totals, and all results, are the same bit for bit however the samples are dealt
// to the parties. Adding up doubles and rounding each party's total was rejected: results would change with the partition.
//
// Hops: JOIN, START, one for the columns, one for each point, CONFIRM. Sends 24·(1+p)(2+p)/2 bytes for a point of p
// coefficients to each of the n-1 other parties.
type glm struct {
	method, family, link string
	ratio                string // what e^coefficient is called

	counts bool // y is a number of events instead of 0 or 1
	// share is a sample's part of half the deviance, its derivative by the linear predictor with the sign changed, and its
	// weight in the information matrix; y and exposure are above, eta is the linear predictor without the exposure.
	share func(y, exposure, eta float64) (loss, residual, weight float64)
}

const (
	maxCells     = 1 << 24 // rows times columns at one party
	maxModel     = 255     // columns besides y and the exposure
	maxPoolRows  = 1 << 31 // so many rows fit into the bounds above at 128 parties, and into the sums
	maxNewton    = 100     // most points that a client may ask for
	presetNewton = 25
)

// The time-outs of both models: there are more hops than with one sum.
const (
	glmRound = 20 * time.Second
	glmLimit = 10 * time.Minute
)

// glmDesign is a model with what the parameters say of it.
type glmDesign struct {
	glm
	names               []string // of the columns
	intercept, exposure bool
}

func (g glm) design(v values) glmDesign {
	return glmDesign{g, columnNamesOf(v), v.truth("intercept"), v.truth("exposure")}
}

// order is the number of coefficients.
func (d glmDesign) order() int {
	if d.intercept {
		return len(d.names) + 1
	}
	return len(d.names)
}

// terms are the names of the coefficients.
func (d glmDesign) terms() []string {
	if d.intercept {
		return append([]string{"(intercept)"}, d.names...)
	}
	return d.names
}

// microprotocol completes the description m.
func (g glm) microprotocol(m Microprotocol) Microprotocol {
	own := []parameter{
		columnNames(1, maxModel, "the names of the columns besides y, or how many there are; by default as in the data"),
		truth("intercept", true, "whether the model has an intercept"),
		whole("max_iterations", int64(presetNewton), 1, maxNewton, "how many points Newton's method may try"),
		level(),
	}
	if g.counts {
		own = append(own, truth("exposure", false, "whether the last value of each row is the exposure: time, area or population, of which the logarithm is an offset"))
	}
	st := statistic{
		own: own,
		// The weights are different functions of the values at every point, so that much more is opened than second moments.
		order: func(values) int { return 3 },
		width: func(v values) int { return g.design(v).order() },
		read:  g.read,
		layout: func(v values) (ring.Layout, error) {
			d := g.design(v)
			return append(d.columnLayout(), pointLayout(d.order())...), nil
		},
		run: func(ctx context.Context, s Session, v values, payload []byte) ([]byte, error) {
			return g.design(v).run(ctx, s, int(v.whole("max_iterations")), payload)
		},
		finish: func(v values, _ int, opened []byte) (object, error) {
			return g.design(v).finish(v.rat("conf_level"), v.whole("max_iterations"), opened)
		},
	}
	return st.complete(m)
}

// bytes and leakage are the parts of the descriptions that both models share.
const (
	glmBytes = "24 and 64·k bytes for k columns, then 24·(1+p)(2+p)/2 bytes for each point of p coefficients, the last to receivers only and the others to each party" + poolBytes +
		"; there is one point for each iteration and a last one, and as many hops: 5 and the number of iterations"
	glmLeakage = "All parties learn, of all samples together, their number, the sum of y, and the sum and the sum of squares of each column; " +
		"then, at every point that Newton's method visits, half the deviance, its gradient and the information matrix, which are sums over all samples. " +
		"Recipients learn the same at the last point. With p coefficients these are (1+p)(2+p)/2 numbers for each point, some five to ten points: " +
		"a pool with fewer values than that may be determined by them, so let least_samples be 100 or more, and ten times the number of coefficients. " +
		"Any coalition of up to n-1 parties learns the same sums of the others, with two parties those are the other party's own; and by false sums of its own it can lead Newton's method to other points, " +
		"where the sums tell more of the samples for which the model is least certain: no point is visited where a standard deviation of a column counts for more than 30 logits or logarithms of the rate. " +
		"Broker and coordinator learn neither inputs nor result, but the number of messages shows how many points there were."
)

// The fields of what is added up first. Those that follow are there only in some models.
const (
	columnSamples = iota
	columnOutcome
	columnOthers
)

func (d glmDesign) columnLayout() ring.Layout {
	l := ring.Layout{{Name: "samples", Limbs: 1, Count: 1}, {Name: "y", Limbs: 2, Count: 1}}
	if d.exposure {
		l = append(l, ring.Field{Name: "exposure", Limbs: limbsFor(statEncoding.Bits), Count: 1})
	}
	if d.counts {
		l = append(l, ring.Field{Name: "saturated", Limbs: 2, Count: 1})
	}
	return append(l,
		ring.Field{Name: "x", Limbs: limbsFor(statEncoding.Bits), Count: len(d.names)},
		ring.Field{Name: "squares", Limbs: limbsFor(2 * statEncoding.Bits), Count: len(d.names)})
}

// scaling makes (x-mean)·2^-exponent of a column, in units of the decimal grid.
type scaling struct {
	mean     *big.Int // 0 without an intercept
	exponent int      // the power of two next to the standard deviation, or to the root of the mean square
}

// glmScheme is what follows from the sums of the columns.
type glmScheme struct {
	samples   int64
	saturated *big.Int // logarithm of the likelihood where every y is its own expectation, in units of 10^-satDigits
	columns   []scaling
	start     *big.Float // of the intercept; nil if all y are equal, so that it is not finite
}

// scheme reads the opened sums of the columns. Its error is an *OutcomeError that all parties come to alike.
func (d glmDesign) scheme(x ring.Vector) (*glmScheme, error) {
	n, err := samplesIn(x, columnSamples, 0)
	switch {
	case err != nil:
		return nil, err
	case n > maxPoolRows:
		return nil, impossible("a number of samples is impossible")
	case n == 0:
		return nil, &OutcomeError{"there are no samples"}
	case n < int64(d.order()):
		return nil, &OutcomeError{fmt.Sprintf("all parties together have %d samples, which is less than the %d coefficients: leave columns out", n, d.order())}
	}
	p := &glmScheme{samples: n, saturated: new(big.Int)}
	field := columnOthers
	y := x.Int(columnOutcome, 0)
	exposure := new(big.Int).Mul(big.NewInt(n), powerOfTen(statEncoding.Digits))
	if d.exposure {
		exposure = x.Int(field, 0)
		field++
		if exposure.Sign() <= 0 || !within(exposure, n, statEncoding.Bits) {
			return nil, impossible("the sum of the exposures is impossible")
		}
	}
	if d.counts {
		p.saturated = x.Int(field, 0)
		field++
	}
	if y.Sign() < 0 || !within(y, n, statEncoding.Bits) || !d.counts && y.Cmp(big.NewInt(n)) > 0 {
		return nil, impossible("the sum of y is impossible")
	}
	p.start = d.nullModel(big.NewInt(n), y, exposure)
	for i := range d.names {
		c, err := d.scaling(i, big.NewInt(n), x.Int(field, i), x.Int(field+1, i))
		if err != nil {
			return nil, err
		}
		p.columns = append(p.columns, c)
	}
	return p, nil
}

// scaling is that of column i with the given sum and sum of squares over n samples.
func (d glmDesign) scaling(i int, n, sum, squares *big.Int) (scaling, error) {
	spread := new(big.Int).Mul(n, squares) // n² times the variance
	spread.Sub(spread, new(big.Int).Mul(sum, sum))
	if spread.Sign() < 0 || squares.Cmp(new(big.Int).Lsh(n, uint(2*statEncoding.Bits))) >= 0 {
		return scaling{}, impossible("the sums of a column contradict each other")
	}
	c := scaling{mean: new(big.Int)}
	if !d.intercept {
		spread.Mul(n, squares) // about 0
	} else {
		c.mean.Quo(sum, n)
	}
	if spread.Sign() == 0 {
		if d.intercept {
			return c, &OutcomeError{fmt.Sprintf("column %q has the same value in all samples, as the intercept has: leave one of them out", d.names[i])}
		}
		return c, &OutcomeError{fmt.Sprintf("column %q is 0 in all samples: leave it out", d.names[i])}
	}
	variance := new(big.Float).SetPrec(64).SetRat(new(big.Rat).SetFrac(spread, new(big.Int).Mul(n, n)))
	c.exponent = variance.MantExp(nil) >> 1 // the deviation is in [√½, √2)·2^exponent
	return c, nil
}

// The outcomes of a run, as the first byte of what is opened.
const (
	glmFitted      = 1
	glmSeparated   = 2
	glmUnsettled   = 3 // no convergence
	glmCollinear   = 4
	glmNotPossible = 5
	glmRefused     = 6 // what the sums of the columns show
	glmSteep       = 7 // a coefficient has grown beyond its bound
)

// glmOpening is what run leaves to finish: the same at all parties, or nothing.
type glmOpening struct {
	outcome    byte
	iterations uint8
	collinear  uint8 // which coefficient is, if one is
	columns    ring.Vector
	first      ring.Vector // the sums at the null model; all 0 where there are none
	point      []float64
	last       ring.Vector // the sums at the point; all 0 where there are none
}

// glmHead is how many bytes the outcome, the iterations and the collinear coefficient have.
const glmHead = 3

func (o glmOpening) encode() []byte {
	b := []byte{o.outcome, o.iterations, o.collinear}
	b = append(b, o.columns.Bytes()...)
	b = append(b, o.first.Bytes()...)
	b = append(b, o.last.Bytes()...)
	return appendDoubles(b, o.point)
}

func (d glmDesign) readOpening(b []byte) (o glmOpening, err error) {
	p := d.order()
	c, l := d.columnLayout(), pointLayout(p)
	if len(b) != glmHead+c.Size()+2*l.Size()+8*p {
		return o, errors.New("what was opened has the wrong length")
	}
	o.outcome, o.iterations, o.collinear = b[0], b[1], b[2]
	b = b[glmHead:]
	for _, v := range []struct {
		x *ring.Vector
		l ring.Layout
	}{{&o.columns, c}, {&o.first, l}, {&o.last, l}} {
		if *v.x, err = ring.View(v.l, b[:v.l.Size()]); err != nil {
			return o, err
		}
		b = b[v.l.Size():]
	}
	o.point = doubles(b)
	return o, nil
}

// glmInput is the schema of rows; y says what the first value is.
func glmInput(y, rest string) json.RawMessage {
	return json.RawMessage(`{"description":"rows [y, x1, x2, ...], one for each sample: ` + y + `, then the columns` + rest +
		`","type":"array","items":{"type":"array","minItems":2,"items":{"type":["number","boolean"]}}}`)
}

// glmResult is the schema of results; ratio is the name of e^coefficient.
func glmResult(ratio, about string) json.RawMessage {
	const interval = `{"type":["array","null"],"minItems":2,"maxItems":2,"items":{"type":["number","null"]}}`
	some := func(name, about string) string {
		return fmt.Sprintf(`%q:{"type":["number","null"],"description":%q},`, name, about)
	}
	whole := func(name, about string) string {
		return fmt.Sprintf(`%q:{"type":"integer","description":%q},`, name, about)
	}
	return json.RawMessage(`{"type":"object","properties":{` + whole("samples", "rows of all parties together") +
		`"method":{"type":"string"},"family":{"type":"string"},"link":{"type":"string"},` +
		`"coefficients":{"type":"array","items":{"type":"object","properties":{"name":{"type":"string"},` +
		some("estimate", "maximum likelihood") + some("std_error", "from the information matrix") + some("z_value", "estimate/std_error") +
		some("p_value", "two-sided, of the standard normal distribution") +
		`"conf_int":` + interval + `,` + some(ratio, about) + `"` + ratio + `_conf_int":` + interval + `},"required":["name","estimate","std_error","z_value","p_value","conf_int"]}},` +
		some("deviance", "twice the distance of the log-likelihood from that of the saturated model") + some("null_deviance", "that of the model with nothing but the intercept and the exposure") +
		whole("df_residual", "samples less coefficients") + whole("df_null", "samples, less one if there is an intercept") +
		some("aic", "Akaike's criterion") + some("log_likelihood", "its greatest value") +
		whole("iterations", "points that Newton's method tried, the null model first") +
		`"converged":{"type":"boolean"},"separation":{"type":"boolean","description":"the likelihood grows without end in some direction, so that there are no estimates"},` +
		`"conf_level":{"type":"number"},` + notesSchema + `},"required":["samples","method","family","link","coefficients","deviance","null_deviance",` +
		`"df_residual","df_null","aic","log_likelihood","iterations","converged","separation","conf_level"]}`)
}
