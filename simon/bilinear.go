package simon

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"
	"time"

	"github.com/weftmpc/weft/simon/matrix"
	"github.com/weftmpc/weft/simon/ring"
)

// bilinear is a microprotocol that opens a product of what two parties make of their matrices. The party at position 0 of the
// client's list of nodes has the left one.
//
// A party knows the shape of its own matrix only, and not from its data on which side it stands: Complete writes the shapes
// into the parameters. So both parties sign them, and a dealer, who hears nothing, reads them in the request.
type bilinear struct {
	// of is the product of matrices of these shapes, [rows, columns] as clients give them, or why there is none.
	of func(left, right [2]int) (product, error)
	// look refuses a matrix that is no left or right one.
	look func(f factor, position int) error
	// sides are what the parties multiply, with the rows that are summed over as their rows.
	sides func(f factor, position int) (matrix.Matrix, error)
	// column says that the right matrix is a column, and that the left one has its rows where the right one has them.
	column bool
	// unit is the number of decimals of a product's units, and bits bounds one term of a sum in units; most and preset are the
	// decimals that can be opened, and that are.
	unit, bits, most, preset int
	left, right              string // about the parameters
	member                   string // of the result
}

// The parameters of shapes.
const (
	leftShape  = "left"
	rightShape = "right"
)

func shape(name, about string) parameter {
	one := integer(1, matrix.Most)
	return parameter{name, nil, func(v any) (any, error) {
		list, ok := v.([]any)
		if !ok || len(list) != 2 {
			return nil, errors.New("must be a list of two numbers, of rows and of columns")
		}
		out := make([]any, 2)
		for i, x := range list {
			var err error
			if out[i], err = one(x); err != nil {
				return nil, fmt.Errorf("at index %d %w", i, err)
			}
		}
		if matrix.Check(int(out[0].(int64)), int(out[1].(int64))) != nil {
			return nil, fmt.Errorf("must be of at most %d elements", matrix.Most)
		}
		return out, nil
	}, fmt.Sprintf(`"type":"array","minItems":2,"maxItems":2,"items":{"type":"integer","minimum":1,"maximum":%d}`, matrix.Most), about}
}

// shapeIn is a shape among checked parameters.
func (v values) shapeIn(name string) (s [2]int, ok bool) {
	list := v.list(name)
	if len(list) != 2 {
		return s, false
	}
	for i, x := range list {
		n, _ := x.(int64)
		s[i] = int(n)
	}
	return s, true
}

func shapeValue(s [2]int) []any { return []any{int64(s[0]), int64(s[1])} }

func (b bilinear) parameters() []parameter {
	return []parameter{
		whole("decimals", int64(b.preset), 0, int64(b.most), "decimals that are opened of each number; more tell more of the matrices"),
		whole("least_ratio", nil, 0, 1000, "least terms of each sum, for each row of the result and each column; by default as this party's policy asks"),
		shape(leftShape, b.left), shape(rightShape, b.right),
	}
}

// complete adds what all of them share to a description.
func (b bilinear) complete(m Microprotocol) Microprotocol {
	m.Version, m.MinParties, m.MaxParties, m.Hops = 1, 2, 2, 7 // JOIN and conflict, JOIN, START, masked matrices, product, CONFIRM
	m.Round, m.Limit = 20*time.Second, 120*time.Second
	m.Roles, m.Trusting = []Role{Dealer}, []Role{Dealer}
	known := withTiming(m.Round, m.Limit, b.parameters()...)
	m.Parameters = schemaOf(known)
	m.Prepare = func(data io.Reader, parameters json.RawMessage, g Guard) (Prepared, error) {
		return b.prepare(data, parameters, known, g)
	}
	m.Complete = func(p Placed) ([]byte, error) { return b.place(p, known) }
	m.Check = func(canonical []byte, g Guard) error {
		v, err := readParameters(canonical, known)
		if err != nil {
			return err
		}
		if err := g.ratio(v); err != nil {
			return err
		}
		return b.check(v)
	}
	m.Run = func(ctx context.Context, s Session, c Common, input []byte) ([]byte, error) {
		v, p, err := b.agreed(c, known)
		if err != nil {
			return nil, err
		}
		return b.run(ctx, s, v, p, input)
	}
	m.Deal = func(ctx context.Context, s Session, c Common) error {
		_, p, err := b.agreed(c, known)
		if err != nil {
			return err
		}
		seats, err := twoSeatsOf(s)
		if err != nil {
			return err
		}
		return p.deal(ctx, s, seats)
	}
	m.Finish = func(c Common, _, opened []byte) (json.RawMessage, error) {
		v, err := canonicalValues(c, known)
		if err != nil {
			return nil, err
		}
		return b.finish(v, opened)
	}
	return m
}

// ratio sets least_ratio as the policy asks where the client has left it open, and refuses a lower one.
func (g Guard) ratio(v values) error {
	if !v.has("least_ratio") {
		v["least_ratio"] = int64(g.Ratio)
	}
	if v.whole("least_ratio") < int64(g.Ratio) {
		return &InputError{"parameters.least_ratio", fmt.Sprintf("must be at least %d: this party's policy asks for it", g.Ratio)}
	}
	return nil
}

func (b bilinear) prepare(data io.Reader, parameters json.RawMessage, known []parameter, g Guard) (Prepared, error) {
	v, err := readParameters(parameters, known)
	if err != nil {
		return Prepared{}, err
	}
	if err := g.ratio(v); err != nil {
		return Prepared{}, err
	}
	if err := b.check(v); err != nil {
		return Prepared{}, err
	}
	f, err := readFactor(data)
	if err != nil {
		return Prepared{}, err
	}
	c, err := canonical(nil, v)
	if err != nil {
		return Prepared{}, err
	}
	return Prepared{Parameters: c, Layout: oneElement().Hash(), Input: f.stored()}, nil
}

// oneElement is the layout that stands for the matrix that is opened: its shape is in the parameters.
func oneElement() ring.Layout {
	return ring.Layout{{Name: "elements", Limbs: matrix.Limbs, Count: 1}}
}

// place writes the own shape, and the other party's where it has said one that fits.
func (b bilinear) place(p Placed, known []parameter) ([]byte, error) {
	v, err := readParameters(p.Parameters, known)
	if err != nil {
		return nil, err
	}
	f, err := storedFactor(p.Input)
	if err != nil {
		return nil, err
	}
	mine, theirs := leftShape, rightShape
	if p.Position == 1 {
		mine, theirs = theirs, mine
	}
	own := b.shapeAt(f, p.Position)
	if said, ok := v.shapeIn(mine); ok && said != own {
		return nil, &InputError{"parameters." + mine, fmt.Sprintf("is %d by %d, and the data have %d by %d", said[0], said[1], own[0], own[1])}
	}
	if err := b.look(f, p.Position); err != nil {
		return nil, err
	}
	v[mine] = shapeValue(own)
	if err := b.check(v); err != nil {
		return nil, err
	}
	if other, err := readParameters(p.Other, known); err == nil && other.has(theirs) && !v.has(theirs) {
		v[theirs] = other[theirs]
		if b.check(v) != nil { // what differs stays as it is, so that both hear of it
			v[theirs] = nil
		}
	}
	return canonical(nil, v)
}

// shapeAt is the shape of a matrix on its side: a row that stands where a column must be is one.
func (b bilinear) shapeAt(f factor, position int) [2]int {
	if b.column && position == 1 && f.rows == 1 {
		return [2]int{f.columns, 1}
	}
	return [2]int{f.rows, f.columns}
}

// check looks at the shapes that are there.
func (b bilinear) check(v values) error {
	left, hasLeft := v.shapeIn(leftShape)
	right, hasRight := v.shapeIn(rightShape)
	ratio := int(v.whole("least_ratio"))
	if hasLeft && hasRight {
		p, err := b.of(left, right)
		if err == nil {
			err = p.check()
		}
		if err != nil {
			return &InputError{"parameters." + rightShape, err.Error()}
		}
	}
	for _, side := range []struct {
		name  string
		there bool
		of    func() (product, error)
		many  func(p product) int
		what  string
	}{
		{leftShape, hasLeft, func() (product, error) { return b.ofLeft(left) }, func(p product) int { return p.rows }, "rows"},
		{rightShape, hasRight, func() (product, error) { return b.ofRight(right) }, func(p product) int { return p.columns }, "columns"},
	} {
		if !side.there {
			continue
		}
		p, err := side.of()
		if err != nil {
			return &InputError{"parameters." + side.name, err.Error()}
		}
		if n := side.many(p); n*ratio > p.inner {
			return &InputError{"parameters." + side.name, fmt.Sprintf("makes a result of %d %s from sums of %d terms: each of them is an equation for what the other party has, "+
				"and as many as there are terms give its numbers away; at least %d terms for each are needed (least_ratio): take fewer %s, or a lower least_ratio where the policy of every party allows it",
				n, side.what, p.inner, ratio, side.what)}
		}
	}
	return nil
}

// ofLeft is the product with a right side of one column, as far as the left side decides.
func (b bilinear) ofLeft(left [2]int) (product, error) {
	inner := left[1]
	if b.column {
		inner = left[0]
	}
	return b.of(left, [2]int{inner, 1})
}

// ofRight is the product with a left side of one row, or one column, likewise.
func (b bilinear) ofRight(right [2]int) (product, error) {
	if b.column {
		return b.of([2]int{right[0], 1}, right)
	}
	return b.of([2]int{1, right[0]}, right)
}

// agreed are the parameters of a computation that runs.
func (b bilinear) agreed(c Common, known []parameter) (values, product, error) {
	v, err := canonicalValues(c, known)
	if err != nil {
		return nil, product{}, err
	}
	left, ok := v.shapeIn(leftShape)
	right, both := v.shapeIn(rightShape)
	if !ok || !both {
		return nil, product{}, errors.New("the parties have not agreed on the shapes of both matrices")
	}
	if err := b.check(v); err != nil {
		return nil, product{}, err
	}
	p, err := b.of(left, right)
	p.label = Label{Round: 1, Vector: b.member}
	return v, p, err
}

func (b bilinear) cut(v values) (matrix.Cut, error) {
	return matrix.NewCut(b.unit, int(v.whole("decimals")), 2)
}

// run multiplies and opens: rows, terms and columns of the product, and its elements without their last digits.
func (b bilinear) run(ctx context.Context, s Session, v values, p product, input []byte) ([]byte, error) {
	f, err := storedFactor(input)
	if err != nil {
		return nil, err
	}
	seats, err := twoSeatsOf(s)
	if err != nil {
		return nil, err
	}
	cut, err := b.cut(v)
	if err != nil {
		return nil, err
	}
	position := 0
	if s.Self() == seats.right {
		position = 1
	}
	own, err := b.sides(f, position)
	if err != nil {
		return nil, err
	}
	defer own.Clear()
	s.Report(Progress{Round: 1, Rounds: 2})
	share, err := p.run(ctx, s, seats, own)
	if err != nil {
		return nil, err
	}
	s.Report(Progress{Round: 2, Rounds: 2})
	sum, err := openCut(ctx, s, Label{Round: 2, Vector: b.member}, share, cut)
	if err != nil || sum == nil || !slices.Contains(s.Recipients(), s.Self()) {
		return nil, err
	}
	var head []byte
	for _, n := range []int{p.rows, p.inner, p.columns} {
		head = binary.LittleEndian.AppendUint32(head, uint32(n))
	}
	return append(head, sum.Bytes()...), nil
}

func (b bilinear) finish(v values, opened []byte) (json.RawMessage, error) {
	const head = 12
	bad := errors.New("what was opened was written by another version of weft: submit the computation again")
	if len(opened) < head {
		return nil, bad
	}
	var n [3]int
	for i := range n {
		n[i] = int(binary.LittleEndian.Uint32(opened[4*i:]))
	}
	m, err := matrix.Decode(n[0], n[2], opened[head:])
	if err != nil {
		return nil, bad
	}
	cut, err := b.cut(v)
	if err != nil {
		return nil, err
	}
	// No honest numbers lead to more; the last digits are off by what all holders drop.
	limit := new(big.Int).Lsh(big.NewInt(int64(n[1])+1), uint(b.bits))
	units := powerOfTen(int(v.whole("decimals")))
	rows := make([]any, m.Rows())
	for i := range rows {
		row := make([]any, m.Columns())
		for j := range row {
			if m.Int(i, j).CmpAbs(limit) > 0 {
				return nil, impossible("a number of the product is larger than its terms allow")
			}
			x, ok := cut.Value(m.Limbs(i, j))
			if !ok {
				return nil, impossible("a number of the product has digits that nobody opens")
			}
			row[j] = new(big.Rat).SetFrac(x, units)
		}
		rows[i] = row
	}
	var o object
	o.put(b.member, rows)
	return o.json(), nil
}
