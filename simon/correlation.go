package simon

import (
	"encoding/json"
	"fmt"
	"io"
	"math/big"

	"github.com/weftmpc/weft/simon/ring"
	"github.com/weftmpc/weft/simon/special"
)

// mostCorrelated bounds the columns of CorrelationMatrix: 100 make 4,950 tests, which take two seconds.
const mostCorrelated = 100

// CorrelationMatrix gives means, covariances and Pearson's correlations of columns, with tests of every two.
//
// Each party adds its columns and their products on the decimal grid, and MaskedSum adds the parties' sums. Squared
// correlations are exact; tests and intervals (Fisher, Metron 1, 1921) are those of R's cor.test.
func CorrelationMatrix() Microprotocol {
	return tally{
		own: []parameter{
			columnNames(2, mostCorrelated, "names of the columns, or how many there are; by default as in the data, called x1, x2 and so on"),
			level(),
		},
		width:  columnsIn,
		layout: func(v values) (ring.Layout, error) { return gramLayout(columnsIn(v), true), nil },
		read: func(data io.Reader, v values) (ring.Vector, int, error) {
			return readGram(data, v, 0, mostCorrelated, true)
		},
		finish: finishCorrelation,
	}.statistic().complete(Microprotocol{
		Name:    "CorrelationMatrix",
		Summary: "Means, covariances and Pearson correlations of columns, with a test and an interval for every two.",
		Input:   json.RawMessage(`{"description":"rows of numbers, all of one length","type":"array","items":{"type":"array","items":{"type":"number"},"minItems":2}}`),
		Result:  json.RawMessage(correlationSchema("rows of all parties together")),
		Bytes:   "8 + 24·k + 20·k·(k+1) bytes to each receiver for k columns: 204 KB for 100",
		Leakage: "Recipients learn, of all parties together, the number of rows, the sum of each column and the sums of products of every two columns, each with itself too: " +
			"this is equivalent to means and covariances, at full precision. k columns give k·(k+3)/2 sums: from a few rows of coarse values the rows themselves can be found, " +
			"so let least_samples be ten times the number of columns or more. " +
			"Any coalition of up to n-1 parties learns the same sums of the others: with two parties those are the other party's own. " +
			"Broker and coordinator learn neither inputs nor result.",
	})
}

// correlationSchema is the result, whose member samples is about so many.
func correlationSchema(samples string) string {
	return `{"type":"object","properties":{` +
		`"samples":{"type":"integer","description":` + string(appendString(nil, samples)) + `},` +
		`"columns":{"type":"array","items":{"type":"string"},"description":"names of the columns"},` +
		`"means":{"type":"array","description":"means of the columns","items":{"type":["number","null"]}},` +
		`"covariance":{"type":"array","description":"matrix, with n-1","items":{"type":"array","items":{"type":["number","null"]}}},` +
		`"correlation":{"type":"array","description":"matrix; null in the rows and columns of constant columns","items":{"type":"array","items":{"type":["number","null"]}}},` +
		`"conf_level":{"type":"number","description":"the level of conf_int"},` +
		`"pairs":{"type":"array","description":"every two columns","items":{"type":"object","properties":{"x":{"type":"string","description":"name of the first column"},"y":{"type":"string","description":"name of the second"},` +
		`"estimate":{"type":["number","null"],"description":"correlation"},"statistic":{"type":["number","null"],"description":"t"},` +
		`"df":{"type":["integer","null"],"description":"degrees of freedom"},"p_value":{"type":["number","null"],"description":"two-sided"},` +
		`"conf_int":{"description":"by Fisher's z; it needs four samples","anyOf":[{"type":"null"},{"type":"array","items":{"type":"number"},"minItems":2,"maxItems":2}]}}}},` +
		notesSchema + `},"required":["samples","columns","means","covariance","correlation","conf_level","pairs"]}`
}

// Reasons why a correlation or its test does not exist.
const (
	constantColumn  = "a column is constant"
	twoRows         = "it needs at least three samples"
	threeRows       = "it needs at least four samples"
	perfectRelation = "the correlation is exactly 1 or -1: t and Fisher's z are infinite"
)

func finishCorrelation(v values, _ int, x ring.Vector) (object, error) {
	c, err := openedGram(x, columnsIn(v), true)
	if err != nil {
		return object{}, err
	}
	return correlationOf(c, columnNamesOf(v), v.rat("conf_level")), nil
}

// correlationOf is the result for the sums of columns with names.
func correlationOf(c *cross, names []string, level *big.Rat) object {
	var o object
	o.put("samples", c.n)
	list := make([]any, len(names))
	for i, name := range names {
		list[i] = name
	}
	o.put("columns", list)
	means := make([]any, len(names))
	for i := range means {
		if c.n == 0 {
			o.note(fmt.Sprintf("means[%d]", i), noSamples)
		} else {
			means[i] = over(c.sums[i], c.n)
		}
	}
	o.put("means", means)
	if c.n == 0 {
		c.n = 1 // the sums are 0 then, and what follows is as with one row: undefined
	}
	about := c.centred()
	o.putMatrix("covariance", len(names), func(i, j int) (any, string) {
		if c.n < 2 {
			return nil, oneSample
		}
		return over(about[i][j], c.n-1), ""
	})
	relations := relate(c.n, about, level)
	o.putMatrix("correlation", len(names), func(i, j int) (any, string) {
		switch {
		case c.n < 2:
			return nil, oneSample
		case about[i][i].Sign() == 0 || about[j][j].Sign() == 0:
			return nil, constantColumn
		case i == j:
			return int64(1), ""
		}
		return relations[max(i, j)][min(i, j)].r, ""
	})
	o.put("conf_level", level)
	var pairs []any
	for i := range names {
		for j := i + 1; j < len(names); j++ {
			path := fmt.Sprintf("pairs[%d].", len(pairs))
			pairs = append(pairs, relations[j][i].object(&o, path, names[i], names[j]))
		}
	}
	o.put("pairs", pairs)
	return o
}

// putMatrix adds a symmetric matrix, with a note for every element that is null.
func (o *object) putMatrix(name string, size int, element func(i, j int) (any, string)) {
	rows := make([]any, size)
	for i := range rows {
		row := make([]any, size)
		for j := range row {
			var why string
			if row[j], why = element(i, j); why != "" {
				o.note(fmt.Sprintf("%s[%d][%d]", name, i, j), why)
			}
		}
		rows[i] = row
	}
	o.put(name, rows)
}

// relation is the correlation of two columns and its test. What is nil does not exist.
type relation struct {
	r, t, p *big.Float
	limits  []any
	df      int64
	why     string // r does not exist
	whyT    string
	whyZ    string
}

// relate tests every two columns. relations[i][j] is there for j < i. All tests have the same degrees of freedom.
func relate(n int64, about [][]*big.Rat, level *big.Rat) [][]relation {
	relations := make([][]relation, len(about))
	var reach *big.Float // of Fisher's z
	if n > 3 {
		quantile := special.NormalQuantile(special.FromRat(bothSides(level)))
		reach = quantile.Quo(quantile, special.Sqrt(special.Int(n-3)))
	}
	var student *special.Student
	if n > 2 {
		student = special.NewStudent(special.Int(n - 2))
	}
	for i := range about {
		relations[i] = make([]relation, i)
		for j := range i {
			relations[i][j] = related(n, about[i][i], about[j][j], about[i][j], student, reach)
		}
	}
	return relations
}

// related is the correlation of two columns with sums of squares xx and yy and of products xy about their means.
func related(n int64, xx, yy, xy *big.Rat, student *special.Student, reach *big.Float) relation {
	var r relation
	switch {
	case n < 2:
		r.why = oneSample
	case xx.Sign() == 0 || yy.Sign() == 0:
		r.why = constantColumn
	}
	if r.df = n - 2; r.why != "" {
		r.whyT, r.whyZ = r.why, r.why
		return r
	}
	// r² is rational, and so is 1-r²: where r is close to 1, nothing cancels.
	squared := new(big.Rat).Quo(square(xy), new(big.Rat).Mul(xx, yy))
	rest := new(big.Rat).Sub(big.NewRat(1, 1), squared)
	negative := xy.Sign() < 0
	sign := func(x *big.Float) *big.Float {
		if negative {
			x.Neg(x)
		}
		return x
	}
	size := root(squared)
	r.r = sign(new(big.Float).Copy(size))
	switch {
	case n < 3:
		r.whyT = twoRows
	case rest.Sign() == 0:
		r.whyT = perfectRelation
	default:
		t := root(new(big.Rat).Quo(new(big.Rat).Mul(squared, new(big.Rat).SetInt64(r.df)), rest))
		r.p = student.Upper(t)
		r.p.Add(r.p, r.p)
		r.t = sign(t)
	}
	switch {
	case n < 4:
		r.whyZ = threeRows
	case rest.Sign() == 0:
		r.whyZ = perfectRelation
	default:
		// 2·artanh|r| = ln((1+|r|)/(1-|r|)) = ln((1+|r|)²/(1-r²)).
		up := new(big.Float).Add(special.Int(1), size)
		z := sign(special.Log(up.Mul(up, up).Quo(up, special.FromRat(rest))))
		twice := new(big.Float).Add(reach, reach)
		r.limits = []any{tanhHalf(new(big.Float).Sub(z, twice)), tanhHalf(z.Add(z, twice))}
	}
	return r
}

// tanhHalf is tanh(x/2) = (eˣ-1)/(eˣ+1).
func tanhHalf(x *big.Float) *big.Float {
	e := special.Exp(x)
	top := new(big.Float).Sub(e, special.Int(1))
	return top.Quo(top, e.Add(e, special.Int(1)))
}

// object is a member of pairs. Notes go to the result.
func (r relation) object(result *object, path, x, y string) object {
	var o object
	o.put("x", x)
	o.put("y", y)
	o.putFloat(result, path, "estimate", r.r, r.why)
	o.putFloat(result, path, "statistic", r.t, r.whyT)
	if r.df > 0 {
		o.put("df", r.df)
	} else {
		o.put("df", nil)
		result.note(path+"df", twoRows)
	}
	o.putFloat(result, path, "p_value", r.p, r.whyT)
	if r.limits == nil {
		o.put("conf_int", nil)
		result.note(path+"conf_int", r.whyZ)
	} else {
		o.put("conf_int", r.limits)
	}
	return o
}
