package simon

import (
	"encoding/json"
	"io"
	"math/big"

	"github.com/weftmpc/weft/simon/ring"
)

// Bounds of models. The sums of the 32nd powers have 57 limbs, and 64 is what a layout can have.
const (
	mostPredictors = 100
	mostPolynomial = 16
)

// LinearRegression fits y = b0 + b1·x1 + … by least squares, for data that the parties hold by rows.
//
// Each party adds the products of every two columns, and the columns, on the decimal grid: X'X, X'y and y'y of its rows,
// exactly. MaskedSum adds the parties' sums. Powers of x, for a polynomial, are exact too. The normal equations that are
// hopeless in floating point are harmless in exact arithmetic: up to 30 predictors they are solved in integers, and beyond
// in floats of 1152 bits, where a column counts as collinear if less than 2^-512 of its variance is its own (package
// linear).
//
// With ridge λ it solves (X'X + λ·I)b = X'y, without penalty on the intercept, for the columns as they are: not scaled.
func LinearRegression() Microprotocol {
	return tally{
		own: []parameter{
			columnNames(1, mostPredictors, "names of x1, x2 and so on, or how many there are; by default as in the data"),
			truth("intercept", true, "whether the model has an intercept"),
			number("ridge", "0", func(x *big.Rat) bool { return x.Sign() >= 0 }, "a number that is not negative",
				"what is added to the diagonal of X'X; columns are not scaled, the intercept is not penalised, and there are no standard errors"),
			whole("polynomial", int64(1), 1, mostPolynomial, "with rows [y, x]: the degree of a polynomial in x"),
			level(),
		},
		order:  func(v values) int { return 2 * int(v.whole("polynomial")) },
		width:  coefficientsIn,
		layout: func(v values) (ring.Layout, error) { return regressionLayout(v), nil },
		read:   readRegression,
		finish: finishRegression,
	}.statistic().complete(Microprotocol{
		Name:    "LinearRegression",
		Summary: "Least squares regression with standard errors and tests; ridge regression; polynomials.",
		Input: json.RawMessage(`{"description":"rows [y, x1, x2, ...], all of one length","type":"array",` +
			`"items":{"type":"array","items":{"type":"number"},"minItems":2}}`),
		Result: fitSchema("rows of all parties together"),
		Bytes:  "8 + 24·(k+1) + 20·(k+1)·(k+2) bytes to each receiver for k predictors, 208 KB for 100; 4 KB for a polynomial of degree 10",
		Leakage: "Recipients learn, of all parties together, the number of rows, with an intercept the sum of each column, and the sums of products of every two columns (y too), each with itself too: " +
			"this is equivalent to means and covariances, at full precision, and any regression among these columns follows from it. " +
			"k columns give k·(k+3)/2 sums: from a few rows of coarse values the rows themselves can be found, so let least_samples be ten times the number of columns or more. " +
			"A polynomial of degree d needs the sums of the first to the 2·d-th powers of x, which determine up to 2·d values of x completely. " +
			"Any coalition of up to n-1 parties learns the same sums of the others: with two parties those are the other party's own. " +
			"Broker and coordinator learn neither inputs nor result.",
	})
}

// fitSchema is the result of a fit, whose member samples is about so many.
func fitSchema(samples string) json.RawMessage {
	return json.RawMessage(`{"type":"object","properties":{` +
		`"samples":{"type":"integer","description":` + string(appendString(nil, samples)) + `},"method":{"type":"string","description":"ordinary least squares or ridge regression"},` +
		`"coefficients":{"type":"array","items":{"type":"object","properties":{"name":{"type":"string","description":"name of the column"},` +
		`"estimate":{"type":"number","description":"the coefficient"},"std_error":{"type":["number","null"],"description":"standard error of estimate"},` +
		`"t_value":{"type":["number","null"],"description":"estimate/std_error"},"p_value":{"type":["number","null"],"description":"two-sided"},` +
		`"conf_int":{"description":"interval for the coefficient","anyOf":[{"type":"null"},{"type":"array","items":{"type":"number"},"minItems":2,"maxItems":2}]}}},` +
		`"description":"(intercept) first, if there is one"},` +
		`"residual_standard_error":{"type":["number","null"],"description":"root of the residuals' sum of squares divided by df"},"df":{"type":["integer","null"],"description":"degrees of freedom of the residuals"},` +
		`"r_squared":{"type":["number","null"],"description":"about the mean of y with an intercept, about 0 without"},"adj_r_squared":{"type":["number","null"],"description":"adjusted for the number of predictors"},` +
		`"f_statistic":{"type":["number","null"],"description":"of all predictors together"},"num_df":{"type":["integer","null"],"description":"number of predictors"},` +
		`"denom_df":{"type":["integer","null"],"description":"as df"},"f_p_value":{"type":["number","null"],"description":"P(F > f_statistic) if no predictor counts"},` +
		`"conf_level":{"type":"number","description":"the level of conf_int"},` + notesSchema +
		`},"required":["samples","method","coefficients","residual_standard_error","df","r_squared","adj_r_squared","f_statistic","num_df","denom_df","f_p_value","conf_level"]}`)
}

// coefficientsIn is how many the model has.
func coefficientsIn(v values) int {
	n := columnsIn(v)
	if degree := int(v.whole("polynomial")); degree > 1 {
		n = degree
	}
	if v.truth("intercept") {
		n++
	}
	return n
}

// regressionLayout is that of a gram of y and the predictors, or the powers of a polynomial.
func regressionLayout(v values) ring.Layout {
	if degree := int(v.whole("polynomial")); degree > 1 {
		return powersLayout(degree, v.truth("intercept"))
	}
	return gramLayout(1+columnsIn(v), v.truth("intercept"))
}

func readRegression(data io.Reader, v values) (ring.Vector, int, error) {
	degree, intercept := int(v.whole("polynomial")), v.truth("intercept")
	if degree == 1 {
		return readGram(data, v, 1, mostPredictors, intercept)
	}
	if columnsIn(v) > 1 {
		return ring.Vector{}, 0, &InputError{"parameters.columns", "must be one name with polynomial: that of x in rows [y, x]"}
	}
	p := newPowers(degree)
	if !v.has("columns") {
		v["columns"] = int64(1)
	}
	rows, err := readMatrix(data, v, 1, 1, func(_ int, cells []cell) error { return p.add(cells) })
	if err != nil {
		return ring.Vector{}, 0, err
	}
	return p.vector(intercept), rows, nil
}

// powers are one party's exact sums for a polynomial in x: of x^m up to twice the degree, of y·x^j up to the degree, and
// of y². They are all that X'X and X'y consist of.
type powers struct {
	degree int
	rows   int64
	x      [][]uint64 // x^m at m from 1, in units of 1e-20^m
	yx     [][]uint64 // y·x^j at j from 0
	yy     []uint64
	power  [][]uint64 // of the current row: x^m at m from 1
	scrap  []uint64
}

func newPowers(degree int) *powers {
	p := &powers{
		degree: degree, x: make([][]uint64, 2*degree+1), yx: make([][]uint64, degree+1), yy: make([]uint64, productLimbs),
		power: make([][]uint64, 2*degree+1), scrap: make([]uint64, statLimbs*(degree+1)),
	}
	for m := 1; m <= 2*degree; m++ {
		p.x[m] = make([]uint64, limbsFor(m*statEncoding.Bits))
		p.power[m] = make([]uint64, m*statLimbs)
	}
	for j := range p.yx {
		p.yx[j] = make([]uint64, limbsFor((j+1)*statEncoding.Bits))
	}
	return p
}

// add counts a row [y, x].
func (p *powers) add(cells []cell) error {
	y, err := cells[0].grid()
	if err != nil {
		return err
	}
	x, err := cells[1].grid()
	if err != nil {
		return err
	}
	p.rows++
	// The highest words of a product below 2^(112·m) are 0; the sum may be shorter than they make the product.
	add := func(sum, product []uint64, negative bool) {
		addTo(sum, product[:min(len(product), len(sum))], negative)
	}
	copy(p.power[1], x.magnitude[:])
	for m := 1; m <= 2*p.degree; m++ {
		if m > 1 {
			multiply(p.power[m], p.power[m-1], x.magnitude)
		}
		add(p.x[m], p.power[m], x.negative && m%2 == 1)
	}
	add(p.yx[0], y.magnitude[:], y.negative)
	for j := 1; j <= p.degree; j++ {
		product := p.scrap[:statLimbs*(j+1)]
		multiply(product, p.power[j], y.magnitude)
		add(p.yx[j], product, y.negative != (x.negative && j%2 == 1))
	}
	product := p.scrap[:2*statLimbs]
	multiply(product, y.magnitude[:], y.magnitude)
	add(p.yy, product, false)
	return nil
}

// powersFields are the sums that are opened: powers of x and products y·x^j from the lowest that the model needs.
func powersFields(intercept bool) (fromX, fromYX int) {
	if intercept {
		return 1, 0
	}
	return 2, 1
}

// powersLayout is the vector of powers.
func powersLayout(degree int, intercept bool) ring.Layout {
	l := ring.Layout{{Name: "samples", Limbs: 1, Count: 1}, {Name: "yy", Limbs: productLimbs, Count: 1}}
	fromX, fromYX := powersFields(intercept)
	for m := fromX; m <= 2*degree; m++ {
		l = append(l, ring.Field{Name: powerName("x", m), Limbs: limbsFor(m * statEncoding.Bits), Count: 1})
	}
	for j := fromYX; j <= degree; j++ {
		l = append(l, ring.Field{Name: powerName("yx", j), Limbs: limbsFor((j + 1) * statEncoding.Bits), Count: 1})
	}
	return l
}

func (p *powers) vector(intercept bool) ring.Vector {
	v := ring.New(powersLayout(p.degree, intercept))
	v.SetLimbs(0, 0, []uint64{uint64(p.rows)})
	v.SetLimbs(1, 0, p.yy)
	fromX, fromYX := powersFields(intercept)
	field := 2
	for m := fromX; m <= 2*p.degree; m++ {
		v.SetLimbs(field, 0, p.x[m])
		field++
	}
	for j := fromYX; j <= p.degree; j++ {
		v.SetLimbs(field, 0, p.yx[j])
		field++
	}
	return v
}

// openedPowers reads an opened vector of powers as the sums of the columns y, x, x², ….
func openedPowers(v ring.Vector, degree int, intercept bool) (*cross, error) {
	n, err := samplesIn(v, 0, 0)
	if err != nil {
		return nil, err
	}
	c := newCross(n, degree+1)
	c.of[0][0] = scaled(v.Int(1, 0), 2*statEncoding.Digits)
	fromX, fromYX := powersFields(intercept)
	x, yx := make([]*big.Rat, 2*degree+1), make([]*big.Rat, degree+1)
	field := 2
	for m := fromX; m <= 2*degree; m++ {
		x[m] = scaled(v.Int(field, 0), m*statEncoding.Digits)
		field++
	}
	for j := fromYX; j <= degree; j++ {
		yx[j] = scaled(v.Int(field, 0), (j+1)*statEncoding.Digits)
		field++
	}
	for i := 1; i <= degree; i++ {
		c.of[0][i], c.of[i][0] = yx[i], yx[i]
		for j := 1; j <= degree; j++ {
			c.of[i][j] = x[i+j]
		}
	}
	if intercept {
		c.sums = append([]*big.Rat{yx[0]}, x[1:degree+1]...)
	}
	return c, c.check()
}

func finishRegression(v values, _ int, x ring.Vector) (object, error) {
	degree, intercept := int(v.whole("polynomial")), v.truth("intercept")
	names := columnNamesOf(v)
	var c *cross
	var err error
	if degree > 1 {
		if v.list("columns") == nil {
			names[0] = "x"
		}
		for m := 2; m <= degree; m++ {
			names = append(names, powerName(names[0]+"^", m))
		}
		c, err = openedPowers(x, degree, intercept)
	} else {
		c, err = openedGram(x, 1+len(names), intercept)
	}
	if err != nil {
		return object{}, err
	}
	fit, err := fitLinear(c, names, v.rat("ridge"))
	if err != nil {
		return object{}, err
	}
	return fit.object(v.rat("conf_level")), nil
}
