package simon

import (
	"context"
	"crypto/subtle"
	"fmt"
	"slices"

	"github.com/weftmpc/weft/simon/matrix"
	"github.com/weftmpc/weft/simon/prg"
	"github.com/weftmpc/weft/simon/psi"
	"github.com/weftmpc/weft/simon/ring"
)

// MaskedSum adds the parties' vectors and gives every party the total.
//
// Every pair of parties shares a mask stream; the lower seat adds it, the higher subtracts it, so that masks cancel in
// the total (Ács and Castelluccia 2011, section 3; Bonawitz et al. 2017 without the recovery of parties that drop out).
// Inputs: one vector per party, same layout at all of them. Result: the element-wise total mod 2^(64·limbs).
// Learns: every party the total and nothing else. Any coalition of up to n-1 parties learns the total of the others.
// One hop. Sends Size bytes to each of the n-1 other parties; with an aggregator two hops and Size bytes, to it. A missing vector
// ends the computation.
func MaskedSum(ctx context.Context, s Session, l Label, x ring.Vector) (ring.Vector, error) {
	return maskedSumAfter(ctx, s, l, nil, x)
}

// maskedSumAfter is MaskedSum with masks that hang on what the vectors depend on next to the parties' own data: see openerSum.
func maskedSumAfter(ctx context.Context, s Session, l Label, after []byte, x ring.Vector) (ring.Vector, error) {
	if a, ok := s.(*aggregated); ok && a.takes(x) {
		return a.sum(ctx, maskLabel(l, after), x, false)
	}
	y, err := masked(s, maskLabel(l, after), x)
	if err != nil {
		return ring.Vector{}, err
	}
	bodies, err := s.Exchange(ctx, nil, l, y.Bytes())
	if err != nil {
		return ring.Vector{}, fmt.Errorf("exchanging masked vectors %q: %w", l.Vector, err)
	}
	return total(s, y, bodies)
}

// OpenSum adds the parties' vectors and gives the total to the recipients of the computation; elsewhere the result is the
// zero Vector. It is MaskedSum as the last opening, once per call path.
//
// Source, inputs, leakage and colluders as with MaskedSum, with "recipient" in place of "every party": a party that is no
// recipient learns nothing. One hop. Sends Size bytes to each recipient.
func OpenSum(ctx context.Context, s Session, l Label, x ring.Vector) (ring.Vector, error) {
	return openSumAfter(ctx, s, l, nil, x)
}

// openSumAfter is OpenSum with masks that hang on what the vectors depend on next to the parties' own data: see openerSum.
func openSumAfter(ctx context.Context, s Session, l Label, after []byte, x ring.Vector) (ring.Vector, error) {
	if a, ok := s.(*aggregated); ok && a.takes(x) && len(s.Recipients()) == s.N() { // what an aggregator says all parties hear
		return a.sum(ctx, maskLabel(l, after), x, true)
	}
	y, err := masked(s, maskLabel(l, after), x)
	if err != nil {
		return ring.Vector{}, err
	}
	bodies, err := s.Open(ctx, l, y.Bytes())
	if err != nil {
		return ring.Vector{}, fmt.Errorf("opening the sum %q: %w", l.Vector, err)
	}
	if bodies == nil {
		return ring.Vector{}, nil
	}
	return total(s, y, bodies)
}

// openCut gives the recipients the total of the parties' shares of a matrix without its low digits, as cut says; elsewhere the
// result is nil.
//
// The shares are made anew with streams that the parties have among themselves before their low bits go. So what is opened
// depends on the total and on these streams alone: a dealer who knows what the shares were made of, and works together with a
// recipient, learns nothing more from which of two neighbours a number comes out as. One hop, 32 bytes for each element to
// each recipient.
func openCut(ctx context.Context, s Session, l Label, share matrix.Matrix, cut matrix.Cut) (*matrix.Matrix, error) {
	layout := ring.Layout{{Name: "elements", Limbs: matrix.Limbs, Count: share.Rows() * share.Columns()}}
	x, err := ring.View(layout, share.Bytes())
	if err != nil {
		return nil, err
	}
	if x, err = maskedBy(s, Opening, Label{l.Round, l.Vector + " shared anew"}, x, nil); err != nil {
		return nil, err
	}
	anew, err := matrix.Decode(share.Rows(), share.Columns(), x.Bytes())
	if err != nil {
		return nil, err
	}
	cut.Trim(anew)
	if x, err = ring.View(layout, anew.Bytes()); err != nil {
		return nil, err
	}
	sum, err := OpenSum(ctx, s, l, x)
	if err != nil || sum.Bytes() == nil {
		return nil, err
	}
	opened, err := matrix.Decode(share.Rows(), share.Columns(), sum.Bytes())
	return &opened, err
}

// openShares adds the shares that the two evaluators of a gate have, and gives every party the total. The evaluators mask them
// with a stream of their own, so that a dealer who receives them as well learns the total and no share: from a share it could
// find what went into the gate. x counts at the evaluators. One hop, 8 bytes for each word from each evaluator to each party.
func openShares(ctx context.Context, s Session, g gateSeats, l Label, x []uint64) ([]uint64, error) {
	var body []byte
	if b := g.evaluator(s.Self()); b >= 0 {
		mask, err := s.Stream(Opening, g.evaluators[1-b], l)
		if err != nil {
			return nil, fmt.Errorf("mask shared by the evaluators: %w", err)
		}
		y := wordsVector(x)
		if b == 0 {
			y.AddStream(mask)
		} else {
			y.SubStream(mask)
		}
		body = y.Bytes()
	}
	from := g.evaluators[:]
	if from[0] > from[1] {
		from = []int{from[1], from[0]}
	}
	bodies, err := s.Exchange(ctx, from, l, body)
	if err != nil {
		return nil, fmt.Errorf("exchanging shares of %q: %w", l.Vector, err)
	}
	sum := ring.New(wordsLayout(len(x)))
	for i, b := range bodies {
		if err := sum.AddBytes(b); err != nil {
			return nil, fmt.Errorf("shares of %q of seat %d: %w", l.Vector, from[i], err)
		}
	}
	return wordsOf(sum), nil
}

// maskedPrimeSum is MaskedSum of elements of the prime field, with masks that hang on what the vectors depend on next to the
// parties' own data: see openerSum.
func maskedPrimeSum(ctx context.Context, s Session, l Label, after []byte, x []uint64) ([]uint64, error) {
	y, mask := slices.Clone(x), make([]uint64, len(x))
	for peer := range s.N() {
		if peer == s.Self() {
			continue
		}
		stream, err := s.Stream(Mask, peer, maskLabel(l, after))
		if err != nil {
			return nil, fmt.Errorf("mask shared with seat %d: %w", peer, err)
		}
		fillPrime(mask, stream)
		for k, m := range mask {
			if s.Self() < peer {
				y[k] = addPrime(y[k], m)
			} else {
				y[k] = subPrime(y[k], m)
			}
		}
	}
	bodies, err := s.Exchange(ctx, nil, l, appendWords(nil, y))
	if err != nil {
		return nil, fmt.Errorf("exchanging masked numbers %q: %w", l.Vector, err)
	}
	sum := make([]uint64, len(x))
	for seat, b := range bodies {
		part, err := elements(b, len(x))
		if err != nil {
			return nil, fmt.Errorf("masked numbers %q of seat %d: %w", l.Vector, seat, err)
		}
		for k := range sum {
			sum[k] = addPrime(sum[k], part[k])
		}
	}
	return sum, nil
}

// masked returns x plus the masks shared with higher seats minus those shared with lower ones. Session.Stream refuses the
// second use of a label, so no two vectors can leave under one mask.
func masked(s Session, l Label, x ring.Vector) (ring.Vector, error) {
	return maskedBy(s, Mask, l, x, nil)
}

// maskedBy is masked with streams of a purpose. It hands each stream on to more, if that is not nil, once the vector's mask is
// read from it, with whether that was added.
func maskedBy(s Session, p Purpose, l Label, x ring.Vector, more func(mask prg.Stream, added bool)) (ring.Vector, error) {
	if s.Self() >= s.N() {
		return ring.Vector{}, fmt.Errorf("seat %d is a helper's: only parties take part in a masked sum", s.Self())
	}
	y := x.Clone()
	for peer := range s.N() {
		if peer == s.Self() {
			continue
		}
		mask, err := s.Stream(p, peer, l)
		if err != nil {
			return ring.Vector{}, fmt.Errorf("mask shared with seat %d: %w", peer, err)
		}
		if s.Self() < peer {
			y.AddStream(mask)
		} else {
			y.SubStream(mask)
		}
		if more != nil {
			more(mask, s.Self() < peer)
		}
	}
	return y, nil
}

// total adds the bodies of the other seats to the own one, which is y and over with: the session has sealed it.
func total(s Session, y ring.Vector, bodies [][]byte) (ring.Vector, error) {
	if len(bodies) != s.N() {
		return ring.Vector{}, fmt.Errorf("%d masked vectors, want one from each of %d parties", len(bodies), s.N())
	}
	for seat, b := range bodies {
		if seat == s.Self() {
			continue
		}
		if err := y.AddBytes(b); err != nil {
			return ring.Vector{}, fmt.Errorf("masked vector of seat %d: %w", seat, err)
		}
	}
	return y, nil
}

// maskedXOR adds the parties' vectors bit by bit, and gives every party the total: as MaskedSum, with exclusive or. x is over
// with afterwards.
func maskedXOR(ctx context.Context, s Session, l Label, x []byte) ([]byte, error) {
	if err := maskXOR(s, l, x); err != nil {
		return nil, err
	}
	bodies, err := s.Exchange(ctx, nil, l, x)
	if err != nil {
		return nil, fmt.Errorf("exchanging masked vectors %q: %w", l.Vector, err)
	}
	for seat, b := range bodies {
		switch {
		case seat == s.Self():
		case len(b) != len(x):
			return nil, &SeatError{Seat: seat, What: "the masked vector", Err: psi.ErrLength}
		default:
			subtle.XORBytes(x, x, b)
		}
	}
	return x, nil
}

// maskXOR adds to x, bit by bit, the masks that this party shares with each other one: in the sum of all parties' they cancel.
func maskXOR(s Session, l Label, x []byte) error {
	mask := make([]byte, min(len(x), 64<<10))
	for peer := range s.N() {
		if peer == s.Self() {
			continue
		}
		stream, err := s.Stream(Mask, peer, l)
		if err != nil {
			return fmt.Errorf("mask shared with seat %d: %w", peer, err)
		}
		for at := 0; at < len(x); at += len(mask) {
			part := mask[:min(len(mask), len(x)-at)]
			stream.Fill(part)
			subtle.XORBytes(x[at:], x[at:], part)
		}
	}
	return nil
}
