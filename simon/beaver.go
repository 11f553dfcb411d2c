package simon

import (
	"context"
	"errors"
	"fmt"

	"github.com/weftmpc/weft/simon/matrix"
	"github.com/weftmpc/weft/simon/prg"
)

// Products of matrices that different parties have, with masks from a dealer (Beaver, CRYPTO 1991 and STOC 1997; Du and Zhan,
// NSPW 2002). Each party takes a random matrix from its own, which the dealer knows and nobody else, and shows the others the
// difference; the dealer shares the products of the random matrices; from these follow shares of the products of the parties'
// matrices. The dealer sees no message. With one party it knows the others' matrices: whose policy does not list a dealer for
// this takes no part. Masks are never used for a second matrix: Session.Stream refuses that.
//
// Matrices stand here with what is summed over as their rows, so that a dealer needs only some rows of its masks at a time.

// twoSeats are those of a product of two parties' matrices.
type twoSeats struct{ left, right, dealer int }

func twoSeatsOf(s Session) (t twoSeats, err error) {
	first, ok := s.Seat(First)
	dealer, deals := s.Seat(Dealer)
	switch {
	case s.N() != 2 || !ok || first > 1:
		return t, errors.New("a product of two matrices is for two parties")
	case !deals || dealer < s.N():
		return t, errors.New("a product of two parties' matrices needs a dealer that is no party")
	}
	return twoSeats{left: first, right: 1 - first, dealer: dealer}, nil
}

// product is leftᵀ·right of two parties' matrices with the same number of rows.
type product struct {
	label                Label
	rows, inner, columns int // of leftᵀ, of both matrices, of right
}

// The most elements and multiplications of a product. A dealer's and a party's part of so many take about twenty seconds.
const mostMultiplications = 1 << 30

func (p product) check() error {
	for _, shape := range [][2]int{{p.inner, p.rows}, {p.inner, p.columns}, {p.rows, p.columns}} {
		if matrix.Check(shape[0], shape[1]) != nil {
			return fmt.Errorf("a matrix of %d by %d has more than the %d elements that are possible", shape[0], shape[1], matrix.Most)
		}
	}
	if p.rows*p.columns > mostMultiplications/p.inner { // the first factor is at most matrix.Most
		return fmt.Errorf("%d·%d·%d multiplications are more than the %d that are possible", p.rows, p.inner, p.columns, mostMultiplications)
	}
	return nil
}

func (p product) at(what string) Label { return Label{p.label.Round, p.label.Vector + " " + what} }

// deal is the dealer's part: it sends the right party its share of the masks' product. It hears nothing.
func (p product) deal(ctx context.Context, s Session, seats twoSeats) error {
	if err := p.check(); err != nil {
		return err
	}
	left, err := s.Stream(Deal, seats.left, p.at("left mask"))
	if err != nil {
		return fmt.Errorf("the left mask: %w", err)
	}
	right, err := s.Stream(Deal, seats.right, p.at("right mask"))
	if err != nil {
		return fmt.Errorf("the right mask: %w", err)
	}
	first, err := s.Stream(Deal, seats.left, p.at("left share"))
	if err != nil {
		return fmt.Errorf("the left share: %w", err)
	}
	share := matrix.New(p.rows, p.columns)
	if err := addDealt(ctx, share, p.inner, left, right); err != nil {
		return err
	}
	share.Sub(filled(first, p.rows, p.columns))
	if err := s.Send(ctx, []int{seats.right}, p.at("right share"), share.Bytes()); err != nil {
		return fmt.Errorf("dealing %q: %w", p.label.Vector, err)
	}
	return nil
}

// addDealt adds the product of two masks of so many rows, some rows at a time.
func addDealt(ctx context.Context, sum matrix.Matrix, rows int, left, right prg.Stream) error {
	const some = 256
	for from := 0; from < rows; from += some {
		n := min(some, rows-from)
		a, b := filled(left, n, sum.Rows()), filled(right, n, sum.Columns())
		err := sum.AddCross(ctx, a, b)
		a.Clear()
		b.Clear()
		if err != nil {
			return err
		}
	}
	return nil
}

// filled is a matrix of the next bytes of a stream.
func filled(s prg.Stream, rows, columns int) matrix.Matrix {
	m := matrix.New(rows, columns)
	m.Fill(s)
	return m
}

// run is a party's part: own is its matrix. It returns its share of the product. One hop, 32 bytes for each element of the own
// matrix to the other party.
func (p product) run(ctx context.Context, s Session, seats twoSeats, own matrix.Matrix) (matrix.Matrix, error) {
	if err := p.check(); err != nil {
		return own, err
	}
	columns, other, mine, theirs, width := p.rows, seats.right, "left", "right", p.columns
	if s.Self() == seats.right {
		columns, other, mine, theirs, width = p.columns, seats.left, "right", "left", p.rows
	}
	if own.Rows() != p.inner || own.Columns() != columns {
		return own, fmt.Errorf("this party's matrix has %d by %d elements, and the parties agreed on %d by %d", own.Rows(), own.Columns(), p.inner, columns)
	}
	stream, err := s.Stream(Deal, seats.dealer, p.at(mine+" mask"))
	if err != nil {
		return own, fmt.Errorf("mask shared with the dealer: %w", err)
	}
	mask := filled(stream, p.inner, columns)
	defer mask.Clear()
	hidden := matrix.New(p.inner, columns)
	hidden.Add(own)
	hidden.Sub(mask)
	if err := s.Send(ctx, []int{other}, p.at(mine+" less its mask"), hidden.Bytes()); err != nil {
		return own, fmt.Errorf("sending the masked matrix: %w", err)
	}
	bodies, err := s.Receive(ctx, []int{other}, p.at(theirs+" less its mask"))
	if err != nil {
		return own, fmt.Errorf("receiving the other party's masked matrix: %w", err)
	}
	shown, err := matrix.Decode(p.inner, width, bodies[0])
	if err != nil {
		return own, fmt.Errorf("masked matrix of seat %d: %w", other, err)
	}
	share, err := p.dealt(ctx, s, seats)
	if err != nil {
		return own, err
	}
	// With A and B for the masks: Xᵀ·(Y-B) here and (X-A)ᵀ·B there, and AᵀB in the dealt shares.
	if s.Self() == seats.left {
		err = share.AddCross(ctx, own, shown)
	} else {
		err = share.AddCross(ctx, shown, mask)
	}
	return share, err
}

// dealt is this party's share of the product of the masks.
func (p product) dealt(ctx context.Context, s Session, seats twoSeats) (matrix.Matrix, error) {
	if s.Self() == seats.left {
		stream, err := s.Stream(Deal, seats.dealer, p.at("left share"))
		if err != nil {
			return matrix.Matrix{}, fmt.Errorf("share of the masks' product: %w", err)
		}
		return filled(stream, p.rows, p.columns), nil
	}
	bodies, err := s.Receive(ctx, []int{seats.dealer}, p.at("right share"))
	if err != nil {
		return matrix.Matrix{}, fmt.Errorf("receiving what was dealt for %q: %w", p.label.Vector, err)
	}
	share, err := matrix.Decode(p.rows, p.columns, bodies[0])
	if err != nil {
		return share, fmt.Errorf("what the dealer sent for %q: %w", p.label.Vector, err)
	}
	return share, nil
}
