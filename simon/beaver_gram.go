package simon

import (
	"context"
	"errors"
	"fmt"

	"github.com/weftmpc/weft/simon/matrix"
	"github.com/weftmpc/weft/simon/prg"
	"github.com/weftmpc/weft/simon/ring"
)

// crossShares are shares of XᵀX, where the columns of X lie at all parties and its rows are those of all. Each party shows all
// others its columns less one mask; the dealer shares the products of the masks of every two parties among these two. Blocks of
// own columns a party computes by itself.
type crossShares struct {
	label   Label
	rows    int
	columns []int // by seat
}

// mostVertical bounds the columns of all parties together.
const mostVertical = 100

func (c crossShares) check() error {
	all := 0
	for _, k := range c.columns {
		if k < 1 || matrix.Check(c.rows, k) != nil {
			return fmt.Errorf("%d rows of %d columns: at most %d numbers of one party are possible", c.rows, k, matrix.Most)
		}
		all += k
	}
	if all > mostVertical || all*all > mostMultiplications/c.rows {
		return fmt.Errorf("%d rows of %d columns of all parties are more than the %d columns, or %d multiplications, that are possible", c.rows, all, mostVertical, mostMultiplications)
	}
	return nil
}

func (c crossShares) at(what string) Label { return Label{c.label.Round, c.label.Vector + " " + what} }

// with is the label of what seats i < j share of the product of their masks: i by a stream with the dealer, j by a message.
func (c crossShares) with(j int) Label { return c.at(fmt.Sprintf("share with seat %d", j)) }

// deal is the dealer's part: it sends each party but the first its shares with those before it. It hears nothing.
func (c crossShares) deal(ctx context.Context, s Session) error {
	if err := c.check(); err != nil {
		return err
	}
	masks := make([]prg.Stream, s.N())
	for i := range masks {
		var err error
		if masks[i], err = s.Stream(Deal, i, c.at("mask")); err != nil {
			return fmt.Errorf("mask of seat %d: %w", i, err)
		}
	}
	products := make([][]matrix.Matrix, s.N()) // products[j][i] of the masks of i < j
	for j := range products {
		for i := range j {
			products[j] = append(products[j], matrix.New(c.columns[i], c.columns[j]))
		}
	}
	const some = 256
	for from := 0; from < c.rows; from += some {
		parts := make([]matrix.Matrix, s.N())
		for i := range parts {
			parts[i] = filled(masks[i], min(some, c.rows-from), c.columns[i])
		}
		for j := range products {
			for i := range j {
				if err := products[j][i].AddCross(ctx, parts[i], parts[j]); err != nil {
					return err
				}
			}
		}
		for _, p := range parts {
			p.Clear()
		}
	}
	for j := 1; j < s.N(); j++ {
		var body []byte
		for i, p := range products[j] {
			share, err := s.Stream(Deal, i, c.with(j))
			if err != nil {
				return fmt.Errorf("share of seats %d and %d: %w", i, j, err)
			}
			p.Sub(filled(share, p.Rows(), p.Columns()))
			body = append(body, p.Bytes()...)
		}
		if err := s.Send(ctx, []int{j}, c.at(fmt.Sprintf("shares of seat %d", j)), body); err != nil {
			return fmt.Errorf("dealing %q: %w", c.label.Vector, err)
		}
	}
	return nil
}

// run is a party's part: own are its columns. It returns its share of XᵀX, with the parties' columns in the order of their seats,
// where the blocks below the diagonal are 0. One hop, 32 bytes for each own number to each other party.
func (c crossShares) run(ctx context.Context, s Session, own matrix.Matrix) (matrix.Matrix, error) {
	if err := c.check(); err != nil {
		return own, err
	}
	dealer, ok := s.Seat(Dealer)
	self := s.Self()
	switch {
	case !ok || dealer < s.N():
		return own, errors.New("products of the columns of several parties need a dealer that is no party")
	case len(c.columns) != s.N() || own.Rows() != c.rows || own.Columns() != c.columns[self]:
		return own, fmt.Errorf("this party has %d rows of %d columns, which is not what the parties agreed on", own.Rows(), own.Columns())
	}
	stream, err := s.Stream(Deal, dealer, c.at("mask"))
	if err != nil {
		return own, fmt.Errorf("mask shared with the dealer: %w", err)
	}
	mask := filled(stream, c.rows, c.columns[self])
	defer mask.Clear()
	hidden := matrix.New(c.rows, c.columns[self])
	hidden.Add(own)
	hidden.Sub(mask)
	bodies, err := s.Exchange(ctx, nil, c.at("less masks"), hidden.Bytes())
	if err != nil {
		return own, fmt.Errorf("exchanging masked columns: %w", err)
	}
	dealt, err := c.dealt(ctx, s, dealer)
	if err != nil {
		return own, err
	}
	first, all := c.offsets()
	shares := matrix.New(all, all)
	for j, body := range bodies {
		if j == self {
			block := matrix.New(own.Columns(), own.Columns())
			if err := block.AddCross(ctx, own, own); err != nil {
				return own, err
			}
			setBlock(shares, block, first[self], first[self])
			continue
		}
		shown, err := matrix.Decode(c.rows, c.columns[j], body)
		if err != nil {
			return own, fmt.Errorf("masked columns of seat %d: %w", j, err)
		}
		// With A for the masks: Xᵢᵀ·(Xⱼ-Aⱼ) at i, (Xᵢ-Aᵢ)ᵀ·Aⱼ at j > i, and AᵢᵀAⱼ in the dealt shares.
		left, right, row, column := own, shown, first[self], first[j]
		if j < self {
			left, right, row, column = shown, mask, first[j], first[self]
		}
		if err := dealt[j].AddCross(ctx, left, right); err != nil {
			return own, err
		}
		setBlock(shares, dealt[j], row, column)
	}
	return shares, nil
}

// dealt are this party's shares of the products of its mask and each other party's, by seat.
func (c crossShares) dealt(ctx context.Context, s Session, dealer int) ([]matrix.Matrix, error) {
	self, k := s.Self(), c.columns[s.Self()]
	shares := make([]matrix.Matrix, s.N())
	for j := self + 1; j < s.N(); j++ {
		stream, err := s.Stream(Deal, dealer, c.with(j))
		if err != nil {
			return nil, fmt.Errorf("share of seats %d and %d: %w", self, j, err)
		}
		shares[j] = filled(stream, k, c.columns[j])
	}
	if self == 0 {
		return shares, nil
	}
	bodies, err := s.Receive(ctx, []int{dealer}, c.at(fmt.Sprintf("shares of seat %d", self)))
	if err != nil {
		return nil, fmt.Errorf("receiving what was dealt for %q: %w", c.label.Vector, err)
	}
	rest := bodies[0]
	before := 0
	for _, n := range c.columns[:self] {
		before += n
	}
	if len(rest) != before*k*matrix.Size {
		return nil, fmt.Errorf("the dealer sent %d bytes for %q, want %d", len(rest), c.label.Vector, before*k*matrix.Size)
	}
	for i := range self {
		size := c.columns[i] * k * matrix.Size
		if shares[i], err = matrix.Decode(c.columns[i], k, rest[:size]); err != nil {
			return nil, fmt.Errorf("what the dealer sent for %q: %w", c.label.Vector, err)
		}
		rest = rest[size:]
	}
	return shares, nil
}

// offsets are where the parties' columns begin in the order of seats, and how many there are.
func (c crossShares) offsets() (first []int, all int) {
	for _, k := range c.columns {
		first = append(first, all)
		all += k
	}
	return first, all
}

// setBlock copies a block into a matrix.
func setBlock(m, block matrix.Matrix, row, column int) {
	for i := range block.Rows() {
		for j := range block.Columns() {
			copy(m.Limbs(row+i, column+j), block.Limbs(i, j))
		}
	}
}

// verticalLayout has 32 bytes for each pair of columns, and for the sum of each if sums are wanted.
func verticalLayout(columns int, sums bool) ring.Layout {
	l := ring.Layout{{Name: "products", Limbs: matrix.Limbs, Count: pairsOf(columns)}}
	if sums {
		l = append(l, ring.Field{Name: "sums", Limbs: matrix.Limbs, Count: columns})
	}
	return l
}
