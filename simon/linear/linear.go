// Package linear solves the symmetric positive definite systems of statistical models: normal equations, information
// matrices, covariance matrices.
//
// Rational matrices up to order 30 are eliminated in integers, without fractions (Bareiss 1968, "Sylvester's identity and
// multistep integer-preserving Gaussian elimination"), so that rank is a fact and not a threshold, and every result is
// the exact one rounded once. Larger ones, where the integers would grow too long, and matrices of big.Float are
// factored as L·D·Lᵀ in big.Float of higher precision than the result. Both take the columns in the given order, without
// pivoting: a positive definite matrix needs none, and it makes the column that is called collinear the later one, as
// in R's alias and lm. No step goes through float64, and every platform gives the same bits.
package linear

import (
	"errors"
	"fmt"
	"math/big"

	"github.com/weftmpc/weft/simon/special"
)

// MaxExact is the largest order of a rational matrix that is eliminated exactly.
const MaxExact = 30

// CollinearError says that a matrix is singular.
type CollinearError struct {
	// Columns are the columns, from 0 and ascending, that are linear combinations of earlier ones. Without them the
	// matrix is positive definite.
	Columns []int
}

func (e *CollinearError) Error() string {
	return fmt.Sprintf("columns %v are linear combinations of earlier columns: leave them out", e.Columns)
}

// ErrIndefinite says that a matrix is not positive semidefinite, so it is no matrix of products or covariances.
var ErrIndefinite = errors.New("matrix is not positive semidefinite")

var errShape = errors.New("matrix is not square or not symmetric")

// Factor is a factored positive definite matrix A. It does not change, and many goroutines may use it.
type Factor struct {
	prec uint
	form form
}

// form is how a matrix is factored. Results have at least the precision that it was made for and are not yet rounded.
type form interface {
	order() int
	// solve returns the x of A·x = b.
	solve(b []*big.Rat) []*big.Float
	// column returns entries j and below of column j of the inverse.
	column(j int) []*big.Float
	determinant() *big.Float
}

// Decompose factors a symmetric positive definite matrix; results will have precision prec, which must be at least 1.
//
// Up to order MaxExact, the error is a *CollinearError if and only if the matrix is singular and positive semidefinite,
// and ErrIndefinite if it is not even that. Above, a pivot that is at most 2^-prec of its diagonal element counts as zero.
// The cost is of the order p³; for p = 30 and entries of 200 bits, about a tenth of a second.
func Decompose(a [][]*big.Rat, prec uint) (*Factor, error) {
	for i, row := range a {
		if len(row) != len(a) {
			return nil, errShape
		}
		for j := range i {
			if row[j].Cmp(a[j][i]) != 0 {
				return nil, errShape
			}
		}
	}
	if len(a) <= MaxExact {
		form, err := eliminate(a)
		if err != nil {
			return nil, err
		}
		form.prec = prec
		return &Factor{prec, form}, nil
	}
	inner := 2*prec + 128
	floats := make([][]*big.Float, len(a))
	for i, row := range a {
		floats[i] = make([]*big.Float, i+1)
		for j := range floats[i] {
			floats[i][j] = new(big.Float).SetPrec(inner).SetRat(row[j])
		}
	}
	form, err := triangulate(floats, inner, prec, true)
	if err != nil {
		return nil, err
	}
	return &Factor{prec, form}, nil
}

// DecomposeFloat factors a symmetric positive definite matrix of which it reads the lower triangle; results will have
// precision prec, which must be at least 1. Elements must be finite.
//
// A pivot that is at most 2^-(prec/2) of its diagonal element, or negative, makes its column a collinear one: so much is
// left for the rounding errors of the elements.
func DecomposeFloat(a [][]*big.Float, prec uint) (*Factor, error) {
	for i, row := range a {
		if len(row) <= i || len(row) > len(a) {
			return nil, errShape
		}
	}
	form, err := triangulate(a, prec+64, prec/2, false)
	if err != nil {
		return nil, err
	}
	return &Factor{prec, form}, nil
}

// Shape returns the number of rows, which is that of columns.
func (f *Factor) Shape() int { return f.form.order() }

// Solve returns the x of A·x = b; b has as many elements as A has rows.
func (f *Factor) Solve(b []*big.Rat) []*big.Float {
	return f.round(f.form.solve(b))
}

// SolveFloat is Solve for finite floats, which it takes as exact.
func (f *Factor) SolveFloat(b []*big.Float) []*big.Float {
	exact := make([]*big.Rat, len(b))
	for i, x := range b {
		exact[i], _ = x.Rat(nil)
	}
	return f.Solve(exact)
}

// SolveExact returns the x of A·x = b as fractions, and false if the matrix is not one that is eliminated exactly.
func (f *Factor) SolveExact(b []*big.Rat) ([]*big.Rat, bool) {
	if e, ok := f.form.(*elimination); ok {
		return e.fractions(b), true
	}
	return nil, false
}

// Inverse returns the inverse of A, all of it.
func (f *Factor) Inverse() [][]*big.Float {
	n := f.Shape()
	inverse := make([][]*big.Float, n)
	for i := range inverse {
		inverse[i] = make([]*big.Float, n)
	}
	for j := range n {
		for i, x := range f.round(f.form.column(j)) {
			inverse[j+i][j] = x
			if i > 0 {
				inverse[j][j+i] = new(big.Float).Set(x)
			}
		}
	}
	return inverse
}

// InverseDiagonal returns the diagonal of the inverse of A.
func (f *Factor) InverseDiagonal() []*big.Float {
	diagonal := make([]*big.Float, f.Shape())
	for j := range diagonal {
		diagonal[j] = f.form.column(j)[0]
	}
	return f.round(diagonal)
}

// LogDeterminant returns the natural logarithm of the determinant of A, with at most special.Prec bits.
func (f *Factor) LogDeterminant() *big.Float {
	return special.Log(f.form.determinant()).SetPrec(min(f.prec, special.Prec))
}

// round rounds x in place.
func (f *Factor) round(x []*big.Float) []*big.Float {
	for _, e := range x {
		e.SetPrec(f.prec)
	}
	return x
}
