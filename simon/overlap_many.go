package simon

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/weftmpc/weft/simon/psi"
)

// errStore ends a computation whose stores could not be encoded.
var errStore = errors.New("the elements could not be encoded: submit the computation again")

// among tells each of three or more parties which of its elements all others have.
//
// Each party learns pseudonyms of its own elements under a key that all parties share (two hops), and stores for each
// pseudonym its share of zero, which all pairs of parties make alike: the shares of all parties add up to zero where all have
// the element. The stores are added up under masks (one hop), so nobody sees a single one; what the sum has for an element
// that somebody lacks is random. Zero shares follow Kolesnikov et al. (CCS 2017), sums of encoded sets Inbar, Omri and
// Pinkas (SCN 2018); the composition is weft's own and has no published proof.
//
// Learns: each party which of its elements all have, and the size of the lists, nothing of pairs of other parties. A
// coalition learns which elements of all its sets together all the others have. Passive parties. An element that not all have
// passes once in 2^128 times. Three hops and one byte of a fourth; to each other party 64 bytes for each element of the lists
// and 16 for each column of the store, 1.1 for an element.
func (o overlap) among(ctx context.Context, s Session) (mine []bool, err error) {
	call := s.Call(o.name)
	m, err := o.size(ctx, call)
	if err != nil {
		return nil, err
	}
	names, at, err := o.pseudonyms(ctx, call, m)
	if err != nil {
		return nil, err
	}
	for attempt := range uint32(storeAttempts) {
		sum, ok, err := zeroSum(ctx, call, names, attempt)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		zero, err := psi.Zeros(sum, attempt, names, func(int) error { return context.Cause(ctx) })
		if err != nil {
			return nil, err
		}
		s.Join(call)
		mine = make([]bool, len(o.items))
		for i := range mine {
			mine[i] = zero[at[i]]
		}
		return mine, nil
	}
	return nil, errStore
}

// pseudonyms evaluates the joint pseudorandom function at the own elements and at random ones, m in all. Item i has the
// pseudonym names[at[i]].
func (o overlap) pseudonyms(ctx context.Context, s Session, m int) (names [][psi.NameSize]byte, at []int, err error) {
	n := s.N()
	others := slices.DeleteFunc(allSeats(n), func(seat int) bool { return seat == s.Self() })
	p := newPace(ctx, s, n+1, m)
	p.start()
	l := Label{Round: 2, Vector: "blinded elements"}
	keyed, err := psi.NewKeyed(s.Rand(), s.SID(), string(s.Name(l)))
	if err != nil {
		return nil, nil, err
	}
	defer keyed.Forget()
	blinded, err := keyed.Blind(s.Rand(), o.items, m, p.step)
	if err != nil {
		return nil, nil, err
	}
	defer blinded.Forget()
	proof, err := keyed.Prove(s.Rand(), s.Self())
	if err != nil {
		return nil, nil, err
	}
	const head = psi.PointSize + psi.ProofSize
	lists, err := s.Exchange(ctx, nil, l, slices.Concat(keyed.Public(), proof, blinded.List))
	if err != nil {
		return nil, nil, fmt.Errorf("exchanging blinded elements: %w", err)
	}
	publics := make([][]byte, 0, n-1)
	for _, peer := range others {
		const what = "the list of blinded elements"
		if len(lists[peer]) != head+m*psi.PointSize {
			return nil, nil, &SeatError{Seat: peer, What: what, Err: psi.ErrLength}
		}
		public := lists[peer][:psi.PointSize]
		if err := keyed.CheckPublic(public, lists[peer][psi.PointSize:head], peer); err != nil {
			return nil, nil, listError(peer, what, err)
		}
		answer, err := keyed.Answer(lists[peer][head:], m, p.step)
		if err != nil {
			return nil, nil, listError(peer, what, err)
		}
		publics = append(publics, slices.Clone(public))
		lists[peer] = nil
		if err := s.Send(ctx, []int{peer}, answersTo(peer), answer); err != nil {
			return nil, nil, fmt.Errorf("answering seat %d: %w", peer, err)
		}
	}
	answers, err := s.Receive(ctx, others, answersTo(s.Self()))
	if err != nil {
		return nil, nil, fmt.Errorf("receiving the answers: %w", err)
	}
	names, at, err = blinded.Pseudonyms(publics, answers, p.step)
	if part, ok := errors.AsType[*psi.PartError](err); ok {
		return nil, nil, listError(others[part.Part], "the answers", part.Err)
	}
	if errors.Is(err, psi.ErrAnswers) { // nobody knows whose fault it is, but it is somebody's
		err = &OutcomeError{err.Error()}
	}
	return names, at, err
}

// answersTo is the label of what one seat gets from each other.
func answersTo(seat int) Label {
	return Label{Round: 3, Vector: fmt.Sprintf("answers to seat %d", seat)}
}

func allSeats(n int) []int {
	seats := make([]int, n)
	for i := range seats {
		seats[i] = i
	}
	return seats
}

// zeroSum is one attempt at the sum of all parties' stores of shares of zero. ok is false where a party could not encode its
// own: then all try again, with other bands.
func zeroSum(ctx context.Context, s Session, names [][psi.NameSize]byte, attempt uint32) (sum []byte, ok bool, err error) {
	store, ok, err := zeroStore(ctx, s, names, names, attempt)
	if err != nil || !ok {
		return nil, false, err
	}
	sum, err = maskedXOR(ctx, s, storesAt(attempt), store)
	return sum, err == nil, err
}

// zeroLabel is that of a step of an attempt, and storesAt that of the stores.
func zeroLabel(what string, attempt uint32) Label {
	return Label{Round: 4 + 2*attempt, Vector: fmt.Sprintf("%s %d", what, attempt)}
}

func storesAt(attempt uint32) Label {
	l := zeroLabel("stores", attempt)
	l.Round++
	return l
}

// zeroStore is a party's own store of an attempt: for each name, under its key, the party's share of zero. It must not leave
// unmasked. ok is false where a party could not encode its own. One hop, one byte to each party.
func zeroStore(ctx context.Context, s Session, names, keys [][psi.NameSize]byte, attempt uint32) (store []byte, ok bool, err error) {
	shares := make([]byte, len(names)*psi.ValueSize)
	for peer := range s.N() {
		if peer == s.Self() {
			continue
		}
		stream, err := s.Stream(Zero, peer, zeroLabel("zero shares", attempt))
		if err != nil {
			return nil, false, fmt.Errorf("key shared with seat %d: %w", peer, err)
		}
		var key [32]byte
		stream.Fill(key[:])
		psi.AddShares(shares, &key, names)
		clear(key[:])
	}
	store, ok, err = psi.Encode(s.Rand(), attempt, keys, shares)
	if err != nil {
		return nil, false, err
	}
	ok, err = allReady(ctx, s, zeroLabel("encoded", attempt), ok)
	return store, ok, err
}

// allReady says whether all parties are. One hop, one byte to each party.
func allReady(ctx context.Context, s Session, l Label, ready bool) (bool, error) {
	const yes, no = 1, 2
	own := []byte{no}
	if ready {
		own[0] = yes
	}
	bodies, err := s.Exchange(ctx, nil, l, own)
	if err != nil {
		return false, fmt.Errorf("exchanging %q: %w", l.Vector, err)
	}
	for seat, b := range bodies {
		if len(b) != 1 || b[0] != yes && b[0] != no {
			return false, &SeatError{Seat: seat, What: "the word whether elements are encoded", Err: errors.New("is none")}
		}
		ready = ready && b[0] == yes
	}
	return ready, nil
}
