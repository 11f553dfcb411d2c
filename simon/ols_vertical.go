package simon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/weftmpc/weft/simon/encode"
	"github.com/weftmpc/weft/simon/linear"
	"github.com/weftmpc/weft/simon/matrix"
)

// pseudoEncoding is how the rows of (XᵀX)⁻¹Xᵀ are encoded: |x| < 3.4e8 in steps of 1e-30, so that small coefficients have
// their digits, too. With a column in matrixEncoding, sums of 2^24 products take 253 bits.
var pseudoEncoding = encode.Decimal{Digits: 30, Bits: 128}

// mostSquares bounds rows times columns² of a design matrix: about five seconds of work.
const mostSquares = 1 << 25

// StatisticsRegressionOLSVertical gives the least squares coefficients of y on X, where one party has X and the other y, row by
// row of the same samples.
//
// The first party computes M = (XᵀX)⁻¹Xᵀ, from exact sums of products and with 512 bits, so that a bad condition costs no
// digit of what is then rounded; b = M·y is a product of two matrices.
func StatisticsRegressionOLSVertical() Microprotocol {
	return bilinear{
		of: func(left, right [2]int) (product, error) {
			switch {
			case right[1] != 1:
				return product{}, fmt.Errorf("has %d columns: y is one column", right[1])
			case left[0] != right[0]:
				return product{}, fmt.Errorf("has %d rows, and the left matrix has %d: row by row, both are of the same samples", right[0], left[0])
			case left[0] < left[1]:
				return product{}, fmt.Errorf("has %d rows and %d columns: a regression needs at least as many rows", left[0], left[1])
			}
			return product{rows: left[1], inner: left[0], columns: 1}, nil
		},
		look: lookAtDesign, sides: sidesOfRegression, column: true,
		unit: pseudoEncoding.Digits + matrixEncoding.Digits, bits: pseudoEncoding.Bits + matrixEncoding.Bits, most: 24, preset: 12, member: "mle",
		left: "rows and columns of X; by default as in the data", right: "rows of y, and 1; by default as in the data",
	}.complete(Microprotocol{
		Name:    "StatisticsRegressionOLSVertical",
		Summary: "Least squares coefficients where one party has the predictors X and another one y, for the same samples in the same order.",
		Input: json.RawMessage(factorSchema("the first party gives X as a list of rows, the second y as a column or a list of numbers; either also in a list of one. Rows are samples, " +
			"the same ones in the same order; there is no intercept unless X has a column of ones")),
		Result: json.RawMessage(`{"type":"object","properties":{"mle":{"type":"array","description":"the coefficients, a column",` +
			`"items":{"type":"array","items":{"type":"number"},"minItems":1,"maxItems":1}}},"required":["mle"]}`),
		Bytes: "32 bytes for each number of X from the first party, for each of y from the second, and for each coefficient; the dealer sends the second party 32 for each coefficient",
		Leakage: "Both parties learn the coefficients and the numbers of rows and columns. To the first party each coefficient is an equation for y, of which it knows the factors: with as many columns as rows y follows completely, whatever the " +
			"protocol, and coarse values of y follow from fewer; so a policy wants ten rows for each column (least_ratio). The second party learns as many equations for X. " +
			"What is opened has so many decimals and no more; for each coefficient one bit of what lies behind them shows, at every computation anew. " +
			"Either party alone learns nothing else, no fitted value and no residual. Broker and coordinator learn the shapes and neither data nor coefficients, unless the coordinator deals and works with a party. " +
			"With least_ratio 0 this is experimental: the coefficients can be y. Parties and dealer must follow the protocol; one that does not can make the coefficients wrong.",
		WithHelper: "The dealer sends random numbers and receives nothing, not even the coefficients. Together with the first party it reads y, together with the second (XᵀX)⁻¹Xᵀ, and so X: a node's policy must list it for this microprotocol.",
	})
}

// design factors XᵀX, whose numbers are exact, in units of X.
func design(f factor) (*linear.Factor, error) {
	if f.columns > mostPredictors || f.rows*f.columns > mostSquares/f.columns {
		return nil, &InputError{"data", fmt.Sprintf("has %d rows of %d columns: at most %d columns are possible, and rows times columns² of %d", f.rows, f.columns, mostPredictors, mostSquares)}
	}
	x, g := f.matrix(), matrix.New(f.columns, f.columns)
	if err := g.AddCross(context.Background(), x, x); err != nil {
		return nil, err
	}
	x.Clear()
	gram := make([][]*big.Rat, f.columns)
	for i := range gram {
		for j := range f.columns {
			gram[i] = append(gram[i], scaled(g.Int(i, j), 2*matrixEncoding.Digits))
		}
	}
	factored, err := linear.Decompose(gram, fitPrec)
	if collinear, is := errors.AsType[*linear.CollinearError](err); is {
		return nil, &InputError{"data", dependent(collinear.Columns)}
	}
	return factored, err
}

// dependent says which columns, from 0, are combinations of earlier ones.
func dependent(columns []int) string {
	const most = 5
	var list []string
	for _, c := range columns[:min(most, len(columns))] {
		list = append(list, fmt.Sprint(c+1))
	}
	if len(columns) > most {
		list = append(list, fmt.Sprintf("%d more", len(columns)-most))
	}
	if slices.Equal(columns, []int{0}) {
		return "has zeros in column 1: leave it out"
	}
	return "has columns that are linear combinations of columns before them, by their numbers from 1: " + strings.Join(list, ", ") + "; leave them out"
}

// lookAtDesign refuses an X that has no coefficients or too large ones. Each row of M has the length of the root of an element of
// (XᵀX)⁻¹'s diagonal, so that no number of it is larger.
func lookAtDesign(f factor, position int) error {
	if position == 1 {
		if f.columns > 1 && f.rows > 1 {
			return &InputError{"data", fmt.Sprintf("has %d columns: y is one column, or a list of numbers", f.columns)}
		}
		return nil
	}
	if f.rows < f.columns {
		return &InputError{"data", fmt.Sprintf("has %d rows and %d columns: a regression needs at least as many rows", f.rows, f.columns)}
	}
	factored, err := design(f)
	if err != nil {
		return err
	}
	limit := new(big.Float).SetInt(new(big.Int).Lsh(big.NewInt(1), uint(pseudoEncoding.Bits-1)))
	limit.Quo(limit, new(big.Float).SetInt(powerOfTen(pseudoEncoding.Digits)))
	for i, d := range factored.InverseDiagonal() {
		if new(big.Float).Sqrt(d).Cmp(limit) > 0 {
			return &InputError{"data", fmt.Sprintf("has numbers in column %d, or a part of it that is no combination of other columns, so small that its coefficient would be too large: choose a smaller unit", i+1)}
		}
	}
	return nil
}

// sidesOfRegression are Mᵀ and y.
func sidesOfRegression(f factor, position int) (matrix.Matrix, error) {
	if position == 1 {
		if f.rows == 1 {
			return f.matrix().Transpose(), nil
		}
		return f.matrix(), nil
	}
	factored, err := design(f)
	if err != nil {
		return matrix.Matrix{}, err
	}
	inverse := factored.Inverse()
	toUnits := new(big.Float).SetInt(powerOfTen(pseudoEncoding.Digits - matrixEncoding.Digits))
	for _, row := range inverse {
		for _, x := range row {
			x.Mul(x, toUnits)
		}
	}
	m := matrix.New(f.rows, f.columns)
	limbs, x := make([]uint64, matrix.Limbs), make([]*big.Float, f.columns)
	var q big.Int
	var term, sum big.Float
	for k := range f.rows {
		for i := range x {
			f.element(k*f.columns+i, limbs)
			setSigned(&q, limbs)
			x[i] = new(big.Float).SetInt(&q)
		}
		for j, row := range inverse {
			sum.SetPrec(fitPrec).SetInt64(0)
			term.SetPrec(fitPrec)
			for i := range x {
				sum.Add(&sum, term.Mul(row[i], x[i]))
			}
			if err := m.SetInt(k, j, nearestInt(&sum, &q)); err != nil || q.BitLen() > pseudoEncoding.Bits {
				return m, errors.New("the coefficients of this party's matrix are too large")
			}
		}
	}
	return m, nil
}

// nearestInt sets q to x rounded to the nearest integer, halves away from 0.
func nearestInt(x *big.Float, q *big.Int) *big.Int {
	half := big.NewFloat(0.5)
	if x.Sign() < 0 {
		half.Neg(half)
	}
	new(big.Float).SetPrec(fitPrec).Add(x, half).Int(q)
	return q
}
