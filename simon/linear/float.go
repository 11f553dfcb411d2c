package linear

import "math/big"

// triangle is L·D·Lᵀ with a unit lower triangle L and a positive diagonal D.
type triangle struct {
	prec   uint
	lower  [][]*big.Float // row i has the i elements before the diagonal
	pivots []*big.Float
}

// triangulate factors the matrix of the lower triangle a in precision prec (Golub and Van Loan 2013, Matrix Computations,
// §4.1.2). A pivot of at most 2^-tolerance of its diagonal element makes its column collinear; if strict, one that is
// below minus that makes the matrix indefinite.
func triangulate(a [][]*big.Float, prec, tolerance uint, strict bool) (*triangle, error) {
	t := &triangle{prec: prec}
	product := t.float()
	var collinear []int
	for i := range a {
		row := make([]*big.Float, i)
		scaled := make([]*big.Float, i) // row times D
		pivot := t.float().Set(a[i][i])
		for j := range i {
			row[j], scaled[j] = t.float(), t.float()
			if t.pivots[j] == nil {
				continue // as if the column were not there
			}
			scaled[j].Set(a[i][j])
			for k := range j {
				scaled[j].Sub(scaled[j], product.Mul(scaled[k], t.lower[j][k]))
			}
			row[j].Quo(scaled[j], t.pivots[j])
			pivot.Sub(pivot, product.Mul(scaled[j], row[j]))
		}
		least := t.float().SetMantExp(a[i][i], -int(tolerance))
		if strict && (least.Sign() < 0 || product.Neg(pivot).Cmp(least) > 0) {
			return nil, ErrIndefinite
		}
		if pivot.Cmp(least) <= 0 || pivot.Sign() <= 0 {
			collinear = append(collinear, i)
			pivot = nil
		}
		t.lower = append(t.lower, row)
		t.pivots = append(t.pivots, pivot)
	}
	if collinear != nil {
		return nil, &CollinearError{collinear}
	}
	return t, nil
}

func (t *triangle) float() *big.Float { return new(big.Float).SetPrec(t.prec) }

func (t *triangle) order() int { return len(t.pivots) }

func (t *triangle) solve(b []*big.Rat) []*big.Float {
	x := make([]*big.Float, len(b))
	for i := range b {
		x[i] = t.float().SetRat(b[i])
	}
	return t.substitute(x, 0)
}

func (t *triangle) column(j int) []*big.Float {
	x := make([]*big.Float, t.order())
	for i := range x {
		x[i] = t.float()
	}
	x[j].SetInt64(1)
	return t.substitute(x, j)
}

// substitute solves for a right side x, which it overwrites and which is zero before from; it returns the elements from
// there on.
func (t *triangle) substitute(x []*big.Float, from int) []*big.Float {
	product := t.float()
	for i := from; i < len(x); i++ {
		for k := from; k < i; k++ {
			x[i].Sub(x[i], product.Mul(t.lower[i][k], x[k]))
		}
	}
	for i := from; i < len(x); i++ {
		x[i].Quo(x[i], t.pivots[i])
	}
	for i := len(x) - 1; i >= from; i-- {
		for k := i + 1; k < len(x); k++ {
			x[i].Sub(x[i], product.Mul(t.lower[k][i], x[k]))
		}
	}
	return x[from:]
}

func (t *triangle) determinant() *big.Float {
	d := t.float().SetInt64(1)
	for _, p := range t.pivots {
		d.Mul(d, p)
	}
	return d
}
