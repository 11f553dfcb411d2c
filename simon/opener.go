package simon

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/weftmpc/weft/simon/ring"
)

// An opener is a helper that is never a party. It sees what no party sees, computes something of it and announces that to all
// parties. What a microprotocol shows it must be said in the description, and each node's policy must list it.

// openerSum adds the parties' vectors for the opener alone, who announces something that follows from the total.
//
// The masks are those of MaskedSum, so that the opener learns the total and nothing else of any party, and any coalition of
// parties with the opener learns the total of the others. The parties learn the announcement. An opener that announces
// something else is not found; one that announces different things to different parties is, at the latest when they confirm.
// Two hops; a party sends the vector's bytes, the opener size bytes to each party.
type openerSum struct {
	label  Label
	layout ring.Layout
	size   int // of the announcement in bytes
	// after is what the parties' vectors depend on, next to their own data: what was announced or opened before. The masks hang
	// on it. So where parties were shown different things, the masks do not cancel, and who has shown them learns nothing: not
	// the sum of one party's answer to one question and another's to another one.
	after []byte
}

// openerSeat is the seat of the opener.
func openerSeat(s Session) (int, error) {
	seat, ok := s.Seat(Opener)
	if !ok || seat < s.N() {
		return 0, errors.New("the computation needs an opener that is no party, and does not have one")
	}
	return seat, nil
}

// run is a party's part. It returns the announcement.
func (o openerSum) run(ctx context.Context, s Session, x ring.Vector) ([]byte, error) {
	y, err := masked(s, maskLabel(o.label, o.after), x)
	if err != nil {
		return nil, err
	}
	if err := toOpener(ctx, s, o.label, y.Bytes()); err != nil {
		return nil, err
	}
	return announced(ctx, s, o.label, o.size)
}

// open is the opener's part. What f makes of the total, size bytes, is announced, and returned.
func (o openerSum) open(ctx context.Context, s Session, f func(total ring.Vector) ([]byte, error)) ([]byte, error) {
	bodies, err := atOpener(ctx, s, o.label)
	if err != nil {
		return nil, err
	}
	sum := ring.New(o.layout)
	for seat, b := range bodies {
		if err := sum.AddBytes(b); err != nil {
			return nil, fmt.Errorf("masked vector of seat %d: %w", seat, err)
		}
	}
	body, err := f(sum)
	if err != nil {
		return nil, err
	}
	return body, announceAsOpener(ctx, s, o.label, body)
}

// toOpener sends the opener a party's body, which no other party sees. It must not show the opener more than the description
// says: what is added up goes through openerSum. One hop.
func toOpener(ctx context.Context, s Session, l Label, body []byte) error {
	opener, err := openerSeat(s)
	if err != nil {
		return err
	}
	if err := s.Send(ctx, []int{opener}, l, body); err != nil {
		return fmt.Errorf("sending %q to the opener: %w", l.Vector, err)
	}
	return nil
}

// atOpener are, at the opener, the bodies of all parties. They come from parties that have seen the same so far, or not at all.
func atOpener(ctx context.Context, s Session, l Label) ([][]byte, error) {
	if seat, err := openerSeat(s); err != nil || seat != s.Self() {
		return nil, errors.Join(err, fmt.Errorf("seat %d is not the opener's", s.Self()))
	}
	parties := make([]int, s.N())
	for i := range parties {
		parties[i] = i
	}
	bodies, err := s.Receive(ctx, parties, l)
	if err != nil {
		return nil, fmt.Errorf("receiving %q: %w", l.Vector, err)
	}
	return bodies, nil
}

// announced is, at a party, what the opener says to all: size bytes.
func announced(ctx context.Context, s Session, l Label, size int) ([]byte, error) {
	opener, err := openerSeat(s)
	if err != nil {
		return nil, err
	}
	bodies, err := s.Exchange(ctx, []int{opener}, announcement(l), nil)
	if err != nil {
		return nil, fmt.Errorf("waiting for the opener's word on %q: %w", l.Vector, err)
	}
	if len(bodies[0]) != size {
		return nil, impossible(fmt.Sprintf("the opener announces %d bytes about %q, want %d", len(bodies[0]), l.Vector, size))
	}
	return bodies[0], nil
}

// announceAsOpener is the opener's word to all parties, the last that it sends under a label.
func announceAsOpener(ctx context.Context, s Session, l Label, body []byte) error {
	if _, err := s.Exchange(ctx, []int{s.Self()}, announcement(l), body); err != nil {
		return fmt.Errorf("announcing %q: %w", l.Vector, err)
	}
	return nil
}

func announcement(l Label) Label { return Label{l.Round, l.Vector + " announced"} }

// maskLabel is the label of masks that hang on what was shown before; nil: on nothing.
func maskLabel(l Label, after []byte) Label {
	if after == nil {
		return l
	}
	h := sha256.Sum256(after)
	return Label{l.Round, l.Vector + " after " + hex.EncodeToString(h[:])}
}
