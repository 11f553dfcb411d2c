package simon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
)

// anybody says for each of a number of questions whether any party answers yes, and not how many do. A dealer that is no
// party shares a random factor rho that is not 0, a random number a, and their product: the parties open d, the number of
// yes minus a, and then rho·d + rho·a, which is 0 where nobody says yes and else a random number (Beaver, CRYPTO 1991). Both
// sums are masked, so that a dealer who colludes with a party learns no single answer. Two hops, 8 bytes for each question
// from each party to each other in each.
type anybody struct {
	label     Label
	questions int
	after     []byte // what the answers depend on next to the parties' own data; see openerSum
}

// The streams that each party shares with the dealer, and what the last party gets in addition so that the product fits.
func (q anybody) streams() (rho, a, product, rest Label) {
	at := func(what string) Label { return Label{q.label.Round, q.label.Vector + " " + what} }
	return at("factor"), at("shift"), at("product"), at("rest of factor and product")
}

// deal is the dealer's part. It hears nothing, and learns not even the answers.
func (q anybody) deal(ctx context.Context, s Session) error {
	rhoLabel, aLabel, productLabel, rest := q.streams()
	var sums [3][]uint64
	for i, l := range []Label{rhoLabel, aLabel, productLabel} {
		sums[i] = make([]uint64, q.questions)
		part := make([]uint64, q.questions)
		for seat := range s.N() {
			mask, err := s.Stream(Deal, seat, l)
			if err != nil {
				return fmt.Errorf("numbers shared with seat %d: %w", seat, err)
			}
			fillPrime(part, mask)
			for k := range part {
				sums[i][k] = addPrime(sums[i][k], part[k])
			}
		}
	}
	body := make([]uint64, 0, 2*q.questions)
	for k := range q.questions {
		rho, err := randomFactor(s)
		if err != nil {
			return err
		}
		body = append(body, subPrime(rho, sums[0][k]), subPrime(mulPrime(rho, sums[1][k]), sums[2][k]))
	}
	if err := s.Send(ctx, []int{s.N() - 1}, rest, appendWords(nil, body)); err != nil {
		return fmt.Errorf("dealing %q: %w", q.label.Vector, err)
	}
	return nil
}

// run is a party's part: yes are its answers, 1 or 0. It returns whether anybody says yes.
func (q anybody) run(ctx context.Context, s Session, dealer int, yes []uint64) ([]bool, error) {
	if dealer < s.N() {
		return nil, errors.New("the dealer is a party, which would learn the others' answers")
	}
	rhoLabel, aLabel, productLabel, rest := q.streams()
	var shares [3][]uint64
	for i, l := range []Label{rhoLabel, aLabel, productLabel} {
		mask, err := s.Stream(Deal, dealer, l)
		if err != nil {
			return nil, fmt.Errorf("numbers shared with the dealer: %w", err)
		}
		shares[i] = make([]uint64, q.questions)
		fillPrime(shares[i], mask)
	}
	x := make([]uint64, q.questions)
	for k := range x {
		x[k] = subPrime(yes[k], shares[1][k])
	}
	d, err := maskedPrimeSum(ctx, s, Label{q.label.Round, q.label.Vector + " shifted"}, q.after, x)
	if err != nil {
		return nil, err
	}
	if s.Self() == s.N()-1 {
		if err := q.addRest(ctx, s, dealer, rest, shares[0], shares[2]); err != nil {
			return nil, err
		}
	}
	for k := range x {
		x[k] = addPrime(mulPrime(shares[0][k], d[k]), shares[2][k])
	}
	products, err := maskedPrimeSum(ctx, s, Label{q.label.Round, q.label.Vector + " times factor"}, appendWords(slices.Clip(q.after), d), x)
	if err != nil {
		return nil, err
	}
	any := make([]bool, q.questions)
	for k, p := range products {
		any[k] = p != 0
	}
	return any, nil
}

// addRest adds what the dealer sends the last party to its shares.
func (q anybody) addRest(ctx context.Context, s Session, dealer int, l Label, rho, product []uint64) error {
	bodies, err := s.Receive(ctx, []int{dealer}, l)
	if err != nil {
		return fmt.Errorf("receiving what was dealt for %q: %w", q.label.Vector, err)
	}
	both, err := elements(bodies[0], 2*q.questions)
	if err != nil {
		return fmt.Errorf("what the dealer sent for %q: %w", q.label.Vector, err)
	}
	for k := range rho {
		rho[k], product[k] = addPrime(rho[k], both[2*k]), addPrime(product[k], both[2*k+1])
	}
	return nil
}

// randomFactor draws an element that is not 0 from the session's private randomness.
func randomFactor(s Session) (uint64, error) {
	var b [16]byte
	for { // once, but for one time in 2^61
		if _, err := io.ReadFull(s.Rand(), b[:]); err != nil {
			return 0, fmt.Errorf("reading private randomness: %w", err)
		}
		if x := wideElement(b[:]); x != 0 {
			return x, nil
		}
	}
}
