package linear

import "math/big"

// elimination is a positive definite matrix after elimination in integers.
type elimination struct {
	prec  uint     // of results
	scale *big.Int // A times this is the integer matrix
	// rows is the lower triangle. Element (i, k) is what stands there when column k is eliminated, a minor of order k+1; the
	// diagonal has the leading minors. By symmetry, the transpose is the upper triangle that is left at the end.
	rows [][]*big.Int
}

// eliminate leaves columns without a pivot out, so that the columns after them are judged by those that remain.
func eliminate(a [][]*big.Rat) (*elimination, error) {
	e := &elimination{scale: denominator(a...)}
	for i, row := range a {
		e.rows = append(e.rows, whole(row[:i+1], e.scale))
	}
	var collinear []int
	before := big.NewInt(1)
	product := new(big.Int)
	for k := range e.rows {
		pivot := e.rows[k][k]
		switch pivot.Sign() {
		case -1:
			return nil, ErrIndefinite
		case 0:
			for _, row := range e.rows[k+1:] {
				if row[k].Sign() != 0 {
					return nil, ErrIndefinite
				}
			}
			collinear = append(collinear, k)
			continue
		}
		for i := k + 1; i < len(e.rows); i++ {
			for j := k + 1; j <= i; j++ {
				x := e.rows[i][j]
				x.Mul(x, pivot)
				x.Sub(x, product.Mul(e.rows[i][k], e.rows[j][k]))
				x.Quo(x, before)
			}
		}
		before = pivot
	}
	if collinear != nil {
		return nil, &CollinearError{collinear}
	}
	return e, nil
}

// denominator is the least common one.
func denominator(rows ...[]*big.Rat) *big.Int {
	common, divisor := big.NewInt(1), new(big.Int)
	for _, row := range rows {
		for _, x := range row {
			divisor.GCD(nil, nil, common, x.Denom())
			common.Mul(common, divisor.Quo(x.Denom(), divisor))
		}
	}
	return common
}

// whole returns x times a multiple of its denominators.
func whole(x []*big.Rat, scale *big.Int) []*big.Int {
	z := make([]*big.Int, len(x))
	for i := range x {
		z[i] = new(big.Int).Quo(scale, x[i].Denom())
		z[i].Mul(z[i], x[i].Num())
	}
	return z
}

func (e *elimination) order() int { return len(e.rows) }

// minor is the leading minor of the integer matrix of the given order.
func (e *elimination) minor(order int) *big.Int {
	if order == 0 {
		return big.NewInt(1)
	}
	return e.rows[order-1][order-1]
}

// substitute solves for an integer right side c, which it overwrites and which is zero before from; it returns the
// elements from there on, times the determinant of the integer matrix. All divisions are exact (Cramer's rule).
func (e *elimination) substitute(c []*big.Int, from int) []*big.Int {
	n, product := len(c), new(big.Int)
	for i := range c[:from] { // the elimination of columns before only multiplies by pivots
		c[i].SetInt64(0)
	}
	for i := from; i < n; i++ {
		c[i].Mul(c[i], e.minor(from))
	}
	for k := from; k < n; k++ {
		pivot, before := e.rows[k][k], e.minor(k)
		for i := k + 1; i < n; i++ {
			c[i].Mul(c[i], pivot)
			c[i].Sub(c[i], product.Mul(e.rows[i][k], c[k]))
			c[i].Quo(c[i], before)
		}
	}
	for k := n - 1; k >= from; k-- {
		c[k].Mul(c[k], e.minor(n))
		for j := k + 1; j < n; j++ {
			c[k].Sub(c[k], product.Mul(e.rows[j][k], c[j]))
		}
		c[k].Quo(c[k], e.rows[k][k])
	}
	return c[from:]
}

// fractions solves A·x = b. With integers M = s·A and c = t·b, x is M⁻¹·c·s/t.
func (e *elimination) fractions(b []*big.Rat) []*big.Rat {
	t := denominator(b)
	below := new(big.Int).Mul(t, e.minor(len(e.rows)))
	x := make([]*big.Rat, len(b))
	for i, c := range e.substitute(whole(b, t), 0) {
		x[i] = new(big.Rat).SetFrac(c.Mul(c, e.scale), below)
	}
	return x
}

func (e *elimination) solve(b []*big.Rat) []*big.Float {
	return e.floats(e.fractions(b))
}

func (e *elimination) column(j int) []*big.Float {
	c := make([]*big.Int, len(e.rows))
	for i := range c {
		c[i] = new(big.Int)
	}
	c[j].SetInt64(1)
	x := make([]*big.Rat, 0, len(c)-j)
	for _, y := range e.substitute(c, j) {
		x = append(x, new(big.Rat).SetFrac(y.Mul(y, e.scale), e.minor(len(c))))
	}
	return e.floats(x)
}

func (e *elimination) determinant() *big.Float {
	n := len(e.rows)
	power := new(big.Int).Exp(e.scale, big.NewInt(int64(n)), nil)
	return e.float(new(big.Rat).SetFrac(e.minor(n), power))
}

func (e *elimination) floats(x []*big.Rat) []*big.Float {
	z := make([]*big.Float, len(x))
	for i := range x {
		z[i] = e.float(x[i])
	}
	return z
}

// float rounds to the precision of results, so that there is no second rounding after it.
func (e *elimination) float(x *big.Rat) *big.Float {
	return new(big.Float).SetPrec(e.prec).SetRat(x)
}
