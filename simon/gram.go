package simon

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"math/bits"

	"github.com/weftmpc/weft/simon/ring"
)

// The limbs of a sum of numbers in statEncoding, and of a sum of their products.
const (
	linearLimbs  = 3
	productLimbs = 5
)

// gram is one party's number of rows, and the sums of the columns and of the products of every two columns, each with
// itself too: X'X of the matrix with a column of ones. It is exact, in units of the grid and its square, and kept in words:
// a row of 100 columns has 5050 products.
type gram struct {
	columns  int
	rows     int64
	sums     [][linearLimbs]uint64
	products [][productLimbs]uint64 // 00 01 … 0k 11 12 … kk
	row      []gridNumber
}

func newGram(columns int) *gram {
	return &gram{
		columns: columns, row: make([]gridNumber, columns),
		sums: make([][linearLimbs]uint64, columns), products: make([][productLimbs]uint64, pairsOf(columns)),
	}
}

// pairsOf is how many unordered pairs k columns have, each with itself too.
func pairsOf(k int) int { return k * (k + 1) / 2 }

// gramLayout has 8 bytes, 24 for each column if its sums are wanted, and 40 for each pair.
func gramLayout(columns int, sums bool) ring.Layout {
	l := ring.Layout{
		{Name: "samples", Limbs: 1, Count: 1},
		{Name: "products", Limbs: productLimbs, Count: pairsOf(columns)},
	}
	if sums {
		l = append(l, ring.Field{Name: "sums", Limbs: linearLimbs, Count: columns})
	}
	return l
}

// add counts a row.
func (g *gram) add(cells []cell) error {
	for i, c := range cells {
		q, err := c.grid()
		if err != nil {
			return err
		}
		g.row[i] = q
		addTo(g.sums[i][:], q.magnitude[:], q.negative)
	}
	g.rows++
	at := 0
	for i, x := range g.row {
		if x.zero() {
			at += g.columns - i
			continue
		}
		for j := i; j < g.columns; j++ {
			addProduct(&g.products[at], &x, &g.row[j])
			at++
		}
	}
	return nil
}

// addProduct adds x·y, which is below 2^224, to sum.
func addProduct(sum *[productLimbs]uint64, x, y *gridNumber) {
	h0, p0 := bits.Mul64(x.magnitude[0], y.magnitude[0])
	h1, l1 := bits.Mul64(x.magnitude[0], y.magnitude[1])
	h2, l2 := bits.Mul64(x.magnitude[1], y.magnitude[0])
	p3, l3 := bits.Mul64(x.magnitude[1], y.magnitude[1])
	p1, c := bits.Add64(h0, l1, 0)
	p2, c := bits.Add64(h1, l3, c)
	p3 += c
	p1, c = bits.Add64(p1, l2, 0)
	p2, c = bits.Add64(p2, h2, c)
	p3 += c
	if x.negative != y.negative {
		sum[0], c = bits.Sub64(sum[0], p0, 0)
		sum[1], c = bits.Sub64(sum[1], p1, c)
		sum[2], c = bits.Sub64(sum[2], p2, c)
		sum[3], c = bits.Sub64(sum[3], p3, c)
		sum[4], _ = bits.Sub64(sum[4], 0, c)
		return
	}
	sum[0], c = bits.Add64(sum[0], p0, 0)
	sum[1], c = bits.Add64(sum[1], p1, c)
	sum[2], c = bits.Add64(sum[2], p2, c)
	sum[3], c = bits.Add64(sum[3], p3, c)
	sum[4], _ = bits.Add64(sum[4], 0, c)
}

func (g *gram) vector(sums bool) ring.Vector {
	x := ring.New(gramLayout(g.columns, sums))
	x.SetLimbs(0, 0, []uint64{uint64(g.rows)})
	for i := range g.products {
		x.SetLimbs(1, i, g.products[i][:])
	}
	if sums {
		for i := range g.sums {
			x.SetLimbs(2, i, g.sums[i][:])
		}
	}
	return x
}

// cross are exact sums over all parties' rows: of columns, and of products of two columns, in units of the data.
type cross struct {
	n     int64
	sums  []*big.Rat   // nil where they were not opened
	of    [][]*big.Rat // symmetric: of[i][j] is of[j][i]
	about [][]*big.Rat // the same about the means, once computed
}

// newCross has no sums yet.
func newCross(n int64, columns int) *cross {
	c := &cross{n: n, of: make([][]*big.Rat, columns)}
	for i := range c.of {
		c.of[i] = make([]*big.Rat, columns)
	}
	return c
}

// openedGram reads an opened vector of a gram.
func openedGram(x ring.Vector, columns int, sums bool) (*cross, error) {
	n, err := samplesIn(x, 0, 0)
	if err != nil {
		return nil, err
	}
	c := newCross(n, columns)
	at := 0
	for i := range columns {
		for j := i; j < columns; j++ {
			c.of[i][j] = scaled(x.Int(1, at), 2*statEncoding.Digits)
			c.of[j][i] = c.of[i][j]
			at++
		}
		if sums {
			c.sums = append(c.sums, scaled(x.Int(2, i), statEncoding.Digits))
		}
	}
	return c, c.check()
}

// check looks whether real numbers can have these sums, as far as the inequalities of Cauchy and Schwarz tell: about 0, and
// about the means, where they say that no correlation is beyond 1.
func (c *cross) check() error {
	n := new(big.Rat).SetInt64(c.n)
	possible := true
	bounded := func(x, a, b *big.Rat) { // x² ≤ a·b
		if a.Sign() < 0 || b.Sign() < 0 || square(x).Cmp(new(big.Rat).Mul(a, b)) > 0 {
			possible = false
		}
	}
	for i, row := range c.of {
		if c.sums != nil {
			bounded(c.sums[i], n, row[i])
		}
		for j := range i {
			bounded(row[j], row[i], c.of[j][j])
		}
		if c.n == 0 && row[i].Sign() != 0 {
			possible = false
		}
	}
	if possible && c.sums != nil && c.n > 0 {
		about := c.centred()
		for i, row := range about {
			for j := range i {
				bounded(row[j], row[i], about[j][j])
			}
		}
	}
	if !possible {
		return impossible("the sums contradict each other")
	}
	return nil
}

// centred are the sums of products of the columns' distances from their means, if there are samples.
func (c *cross) centred() [][]*big.Rat {
	if c.about != nil {
		return c.about
	}
	about := make([][]*big.Rat, len(c.of))
	for i := range about {
		about[i] = make([]*big.Rat, len(c.of))
		for j := range i + 1 {
			x := new(big.Rat).Mul(c.sums[i], c.sums[j])
			about[i][j] = x.Sub(c.of[i][j], x.Quo(x, new(big.Rat).SetInt64(c.n)))
			about[j][i] = about[i][j]
		}
	}
	c.about = about
	return about
}

// columnNames is the parameter columns of a microprotocol whose rows have so many columns: their names, or how many there
// are.
func columnNames(least, most int, about string) parameter {
	list := names("columns", least, "")
	count := integer(int64(least), int64(most))
	return parameter{"columns", nil, func(v any) (any, error) {
		if _, is := v.(json.Number); is {
			return count(v)
		}
		if all, is := v.([]any); is && len(all) > most {
			return nil, fmt.Errorf("must have at most %d names", most)
		}
		if _, is := v.(bool); is {
			return nil, errors.New("must be a list of names, or how many columns there are")
		}
		return list.check(v)
	}, fmt.Sprintf(`"anyOf":[{"type":"integer","minimum":%d,"maximum":%d},{"type":"array","minItems":%d,"maxItems":%d,"uniqueItems":true,`+
		`"items":{"type":"string","minLength":1,"maxLength":100}}]`, least, most, least, most),
		about}
}

// columnsIn is how many columns the parameter speaks of, 0 if it is not set.
func columnsIn(v values) int {
	if list := v.list("columns"); list != nil {
		return len(list)
	}
	return int(v.whole("columns"))
}

// columnNamesOf are the names of columns, or x1, x2 and so on.
func columnNamesOf(v values) []string {
	if v.list("columns") != nil {
		return v.texts("columns")
	}
	all := make([]string, v.whole("columns"))
	for i := range all {
		all[i] = fmt.Sprintf("x%d", i+1)
	}
	return all
}

// readMatrix reads rows of extra columns and 1 to most columns of which the parameter columns speaks, which it sets where it
// is not. row is called with the number of all columns of a row.
func readMatrix(data io.Reader, v values, extra, most int, row func(columns int, cells []cell) error) (rows int, err error) {
	width := -(most + extra)
	if n := columnsIn(v); n > 0 {
		width = n + extra
	}
	rows, width, err = readRows(data, width, func(at place, cells []cell) error {
		if len(cells) <= extra {
			return at.bad("has fewer than %d values", extra+1)
		}
		return row(len(cells), cells)
	})
	if err != nil {
		return 0, err
	}
	if width < 0 {
		return 0, &InputError{"parameters.columns", "is needed where there are no rows: say how many columns the others have, or name them"}
	}
	if !v.has("columns") {
		v["columns"] = int64(width - extra)
	}
	return rows, nil
}

// readGram reads a matrix of at least two columns as readMatrix does, and gives the vector of its gram.
func readGram(data io.Reader, v values, extra, most int, sums bool) (ring.Vector, int, error) {
	var g *gram
	rows, err := readMatrix(data, v, extra, most, func(columns int, cells []cell) error {
		if columns < 2 {
			return place{cells[0].at.row, -1}.bad("has fewer than 2 values")
		}
		if g == nil {
			g = newGram(columns)
		}
		return g.add(cells)
	})
	if err != nil {
		return ring.Vector{}, 0, err
	}
	if g == nil {
		g = newGram(columnsIn(v) + extra)
	}
	return g.vector(sums), rows, nil
}
