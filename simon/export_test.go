package simon

import (
	"context"
	"slices"

	"github.com/weftmpc/weft/simon/psi"
)

// What package simon_test plays of gates: each seat calls the same function, at a helper's seat with nothing to add.

// PlaySigns opens [sum < 0] of each sum of the parties' numbers.
func PlaySigns(ctx context.Context, s Session, l Label, bits int, z []uint64) ([]uint64, error) {
	g := signs{label: l, bits: bits, gates: len(z)}
	return playGate(ctx, s, l, g.deal, g.run, z)
}

// PlaySignsAt opens [sum + offset < 0] of each sum and each offset, offset by offset.
func PlaySignsAt(ctx context.Context, s Session, l Label, bits int, z []uint64, offsets []int64) ([]uint64, error) {
	g := signs{label: l, bits: bits, gates: len(z)}
	var points []point
	for _, offset := range offsets {
		for i := range z {
			points = append(points, point{i, offset})
		}
	}
	return playGate(ctx, s, l, g.deal, func(ctx context.Context, s Session, seats gateSeats, z []uint64) ([]uint64, error) {
		return g.runAt(ctx, s, seats, z, points)
	}, z)
}

// PlaySurvivors opens the pooled counts that reach least.
func PlaySurvivors(ctx context.Context, s Session, l Label, least uint64, c []uint64) ([]uint64, error) {
	g := survivors{l, least, len(c)}
	return playGate(ctx, s, l, g.deal, g.run, c)
}

func playGate(ctx context.Context, s Session, l Label, deal func(context.Context, Session, gateSeats) error,
	run func(context.Context, Session, gateSeats, []uint64) ([]uint64, error), x []uint64,
) ([]uint64, error) {
	seats, err := gateSeatsOf(s)
	if err != nil {
		return nil, err
	}
	if s.Self() >= s.N() {
		return nil, deal(ctx, s, seats)
	}
	shares, err := run(ctx, s, seats, x)
	if err != nil {
		return nil, err
	}
	return openShares(ctx, s, seats, Label{l.Round, l.Vector + " out"}, shares)
}

// PlayOverlap compares lists of encoded elements under a name of its own.
func PlayOverlap(ctx context.Context, s Session, name string, items [][]byte) ([]bool, error) {
	o := overlap{name: name, items: items, most: usualElements}
	if s.N() > 2 {
		return o.among(ctx, s)
	}
	return o.pair(ctx, s)
}

// SizePart is what a party has in a count by an opener: its pseudonyms, by item, those of its list in the order in which
// others answered, and its store before it is masked.
type SizePart struct {
	Names [][psi.NameSize]byte
	List  [][psi.NameSize]byte
	Store []byte
	Size  int
}

// PlaySize counts the common elements, as an opener does or as a party.
func PlaySize(ctx context.Context, s Session, items [][]byte, least int) (p SizePart, err error) {
	o := overlap{name: "size", items: items, most: usualElements}
	if s.Self() >= s.N() {
		return p, o.openSize(ctx, s, least)
	}
	call := s.Call(o.name)
	part, names, at, err := o.counted(ctx, call)
	if err != nil {
		return p, err
	}
	for i := range items {
		p.Names = append(p.Names, names[at[i]])
	}
	p.List = names
	p.Store = slices.Clone(part.store)
	if p.Size, err = part.count(ctx, call, least); err != nil {
		return p, err
	}
	s.Join(call)
	return p, nil
}

// AddUp is what an aggregator makes of the parties' bodies.
var AddUp = addUp
