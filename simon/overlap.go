package simon

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"

	"github.com/weftmpc/weft/simon/psi"
)

// overlap finds which of a party's elements the others have too.
type overlap struct {
	name  string   // of the nested call
	items [][]byte // own, encoded, all different
	most  int      // elements that a list may have
	pad   int      // elements that all lists have; 0: as many as the parties announce
}

// Bounds of lists.
const (
	leastList = 16      // elements to which a shorter list is filled up
	mostList  = 1 << 20 // elements of a list
	// mostLists is how many elements the lists of all other parties may have together where more than two parties compute.
	// With what is answered to them they take half of what a session holds, 256 MiB.
	mostLists = 1 << 21

	storeAttempts = 4 // of encoding; the first fails about once in 2^40 times
)

// SeatError says that what a party has sent is refused: who follows the protocol does not send it. The text has no values.
type SeatError struct {
	Seat int
	Name string // of the party; who knows it sets it
	What string // was sent
	Err  error  // why it is refused
}

func (e *SeatError) Error() string {
	who := e.Name
	if who == "" {
		who = fmt.Sprintf("seat %d", e.Seat)
	}
	return fmt.Sprintf("%s of %s: %v", e.What, who, e.Err)
}

func (e *SeatError) Unwrap() error { return e.Err }

// listSize is how many elements a list for n of them has: the next power of two from leastList on, but no more than most,
// since a longer list is one in which its sender can try more elements than was agreed.
func listSize(n, most int) int {
	return min(1<<bits.Len(uint(max(n, leastList)-1)), most)
}

// size is how many elements all lists have, dummies included. Unless all parties have set it, each announces its number of
// elements, rounded up by listSize, and the largest counts. One hop, 4 bytes to each party, where they announce.
func (o overlap) size(ctx context.Context, s Session) (int, error) {
	if len(s.Recipients()) != s.N() || s.Recipients()[s.N()-1] != s.N()-1 {
		return 0, errors.New("sets are compared for all parties: a computation with other recipients is not possible")
	}
	m := o.pad
	if m == 0 {
		l := Label{Round: 1, Vector: "bound"}
		bodies, err := s.Exchange(ctx, nil, l, binary.BigEndian.AppendUint32(nil, uint32(listSize(len(o.items), o.most))))
		if err != nil {
			return 0, fmt.Errorf("announcing the size of the lists: %w", err)
		}
		for seat, b := range bodies {
			if len(b) != 4 {
				return 0, &SeatError{Seat: seat, What: "the announced size of the list", Err: psi.ErrLength}
			}
			n := int(binary.BigEndian.Uint32(b))
			switch {
			case n <= o.most && n != listSize(n, o.most):
				return 0, &SeatError{Seat: seat, What: "the announced size of the list", Err: errors.New("is no power of two from 16")}
			case n > o.most:
				return 0, &SeatError{Seat: seat, What: "the announced size of the list", Err: fmt.Errorf("is more than the %d elements that were agreed (max_elements)", o.most)}
			}
			m = max(m, n)
		}
	}
	if len(o.items) > m {
		return 0, fmt.Errorf("the stored input has more elements than the lists: submit the computation again")
	}
	if s.N() > 2 && m > mostLists/(s.N()-1) {
		return 0, &OutcomeError{fmt.Sprintf("lists of %d elements are too long for %d parties: at most %d are possible", m, s.N(), mostLists/(s.N()-1))}
	}
	return m, nil
}

// pace tells the audience how far the work is.
type pace struct {
	ctx    context.Context
	s      Session
	done   int
	rounds uint32
}

// newPace is for work on so many lists of m elements.
func newPace(ctx context.Context, s Session, lists, m int) *pace {
	return &pace{ctx: ctx, s: s, rounds: uint32(lists * ((m + 999) / 1000))}
}

// step counts a block of at most 1,000 elements. It ends the work with the computation.
func (p *pace) step(int) error {
	p.done++
	p.s.Report(Progress{Round: min(uint32(p.done)+1, p.rounds), Rounds: p.rounds})
	if p.ctx.Err() != nil {
		return context.Cause(p.ctx)
	}
	return nil
}

// start reports the first block.
func (p *pace) start() { p.s.Report(Progress{Round: 1, Rounds: p.rounds}) }

// two is what both ways for two parties have in common.
type two struct {
	keyed *psi.Keyed
	m     int
	at    []int  // where the own items are in the own list
	own   []byte // what the other party's list became under both scalars: it is returned
	match []byte // the same as the other party would return it
}

// meet exchanges the lists: each party sends its elements under a scalar of its own, in random order, and has the other's
// under both. One hop, 32 bytes for each element.
func (o overlap) meet(ctx context.Context, s Session) (w two, err error) {
	if w.m, err = o.size(ctx, s); err != nil {
		return w, err
	}
	p := newPace(ctx, s, 2, w.m)
	p.start()
	l := Label{Round: 2, Vector: "elements"}
	if w.keyed, err = psi.NewKeyed(s.Rand(), s.SID(), string(s.Name(l))); err != nil {
		return w, err
	}
	defer w.keyed.Forget()
	list, at, err := w.keyed.Mask(s.Rand(), o.items, w.m, p.step)
	if err != nil {
		return w, err
	}
	lists, err := s.Exchange(ctx, nil, l, list)
	if err != nil {
		return w, fmt.Errorf("exchanging the lists of elements: %w", err)
	}
	peer := 1 - s.Self()
	w.at = at
	if w.own, w.match, err = w.keyed.Return(lists[peer], w.m, s.Self(), peer, p.step); err != nil {
		return w, listError(peer, "the list of elements", err)
	}
	return w, nil
}

// listError names the sender of a list that psi refuses. Other errors are not the sender's fault.
func listError(seat int, what string, err error) error {
	if errors.Is(err, psi.ErrPoint) || errors.Is(err, psi.ErrRepeated) || errors.Is(err, psi.ErrLength) || errors.Is(err, psi.ErrProof) {
		return &SeatError{Seat: seat, What: what, Err: err}
	}
	return err
}

// pair tells each of two parties which of its elements the other has.
//
// Shuffled Diffie-Hellman (Meadows 1986; Huberman, Franklin and Hogg 1999): both lists come back in the order in which they
// were sent. Each party learns which of its elements both have, and the size of the lists; with another list it would
// learn the same of that one. Passive parties, decisional Diffie-Hellman, hashes as random oracles. Two hops; 48 bytes for each
// element of the lists.
func (o overlap) pair(ctx context.Context, s Session) (mine []bool, err error) {
	call := s.Call(o.name)
	w, err := o.meet(ctx, call)
	if err != nil {
		return nil, err
	}
	returns, err := call.Exchange(ctx, nil, Label{Round: 3, Vector: "returned"}, w.own)
	if err != nil {
		return nil, fmt.Errorf("returning the lists: %w", err)
	}
	in, err := w.common(1-s.Self(), returns)
	if err != nil {
		return nil, err
	}
	s.Join(call)
	mine = make([]bool, len(o.items))
	for i := range mine {
		mine[i] = in[w.at[i]]
	}
	return mine, nil
}

// common says which elements of the own list, as it came back from peer, both have.
func (w two) common(peer int, returns [][]byte) ([]bool, error) {
	if err := psi.CheckList(returns[peer], w.m, psi.HashSize); err != nil {
		return nil, listError(peer, "the returned list", err)
	}
	return psi.Common(returns[peer], w.match), nil
}

// pairSize tells two parties how many elements both have, and not which: what comes back is in a random order (De Cristofaro,
// Gasti and Tsudik 2012). As pair in all else; the returned lists are the last opening.
func (o overlap) pairSize(ctx context.Context, s Session) (size int, err error) {
	call := s.Call(o.name)
	w, err := o.meet(ctx, call)
	if err != nil {
		return 0, err
	}
	shuffled, err := psi.Shuffled(call.Rand(), w.own)
	if err != nil {
		return 0, err
	}
	returns, err := call.Open(ctx, Label{Round: 3, Vector: "returned"}, shuffled)
	if err != nil {
		return 0, fmt.Errorf("returning the lists: %w", err)
	}
	in, err := w.common(1-s.Self(), returns)
	if err != nil {
		return 0, err
	}
	s.Join(call)
	for _, both := range in {
		if both {
			size++
		}
	}
	return size, nil
}
