package simon

import (
	"context"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/weftmpc/weft/simon/psi"
)

// mostOpened is what the lists that an opener adds up may have together, in bytes: a helper holds 64 MiB for one computation.
const mostOpened = 48 << 20

// sizeByOpener tells three or more parties how many elements all have, and nobody which; a number below least is 0.
//
// As among, but the opener alone adds up the masked stores of zero shares. The party at position 0 sends it the keys of its own
// elements and dummies, shuffled; in the sum they have the value zero where all parties have the element, else a random one. The
// opener counts the zeros, and announces how many there are. A store has its values under hashes of the pseudonyms, and only
// these hashes leave: with pseudonyms of elements that it does not have, a party could make its own share of zero for them, and
// with the opener see how many elements all the others have.
//
// Learns: each party the number alone, as any coalition of up to n-1 parties does. The opener: the exact number, and the size of
// the lists. A coalition of it with a party: that party's intersection with the first party's set, and which of its elements are
// in the intersection; with several parties, the same of their sets together, seen with all parties that are not among them.
// Passive parties and opener. Five hops; 64 bytes for each element of the lists to each other party, 17.6 to the opener, and 32
// more from the first party.
func (o overlap) sizeByOpener(ctx context.Context, s Session, least int) (int, error) {
	if _, err := openerSeat(s); err != nil {
		return 0, err
	}
	call := s.Call(o.name)
	part, _, _, err := o.counted(ctx, call)
	if err != nil {
		return 0, err
	}
	size, err := part.count(ctx, call, least)
	if err != nil {
		return 0, err
	}
	s.Join(call)
	return size, nil
}

// counted are the steps among the parties. The store of the part is not masked yet. Item i has the pseudonym names[at[i]].
func (o overlap) counted(ctx context.Context, s Session) (p countedPart, names [][psi.NameSize]byte, at []int, err error) {
	if p.m, err = o.size(ctx, s); err != nil {
		return p, nil, nil, err
	}
	if most := mostOpened / (s.N()*psi.ValueSize*11/10 + psi.NameSize); p.m > most {
		return p, nil, nil, &OutcomeError{fmt.Sprintf("lists of %d elements are too long for the opener of %d parties: at most %d are possible", p.m, s.N(), most)}
	}
	if names, at, err = o.pseudonyms(ctx, s, p.m); err != nil {
		return p, nil, nil, err
	}
	keys := psi.StoreKeys(names)
	if first, ok := s.Seat(First); ok && first == s.Self() {
		if p.keys, err = shuffledKeys(s, keys); err != nil {
			return p, nil, nil, err
		}
	}
	for p.attempt = range uint32(storeAttempts) {
		var ok bool
		if p.store, ok, err = zeroStore(ctx, s, names, keys, p.attempt); err != nil || ok {
			return p, names, at, err
		}
	}
	return p, nil, nil, errStore
}

// shuffledKeys are the keys one after the other, in an order that nobody else knows.
func shuffledKeys(s Session, keys [][psi.NameSize]byte) ([]byte, error) {
	order, err := psi.Permutation(s.Rand(), len(keys))
	if err != nil {
		return nil, err
	}
	list := make([]byte, 0, len(keys)*psi.NameSize)
	for _, i := range order {
		list = append(list, keys[i][:]...)
	}
	return list, nil
}

// countedPart is what a party sends the opener: the attempt at a store and the number of elements of the lists, which all
// parties know, the masked store, and from the first party the keys of its own elements.
type countedPart struct {
	attempt uint32
	m       int
	store   []byte
	keys    []byte
}

const countedHead = 8 // bytes of attempt and number

// countedLabel is the same for all attempts: only one of them comes so far.
func countedLabel() Label { return Label{Round: 4 + 2*storeAttempts, Vector: "stores for the opener"} }

// count sends the party's part, with the store masked, and returns what the opener announces.
func (p countedPart) count(ctx context.Context, s Session, least int) (int, error) {
	if err := maskXOR(s, countedLabel(), p.store); err != nil {
		return 0, err
	}
	body := make([]byte, 0, countedHead+len(p.store)+len(p.keys))
	body = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(body, p.attempt), uint32(p.m))
	if err := toOpener(ctx, s, countedLabel(), append(append(body, p.store...), p.keys...)); err != nil {
		return 0, err
	}
	said, err := announced(ctx, s, countedLabel(), 4)
	if err != nil {
		return 0, err
	}
	size := int64(binary.BigEndian.Uint32(said))
	switch {
	case size > int64(p.m):
		return 0, impossible("the opener announces more common elements than the lists have")
	case size > 0 && size < int64(least):
		return 0, impossible("the opener announces a number that is below suppress_below")
	}
	return int(size), nil
}

// openSize is the opener's part of sizeByOpener.
func (o overlap) openSize(ctx context.Context, s Session, least int) error {
	first, ok := s.Seat(First)
	if !ok || s.N() < 3 {
		return errors.New("the computation has no opener")
	}
	call := s.Call(o.name)
	bodies, err := atOpener(ctx, call, countedLabel())
	if err != nil {
		return err
	}
	sum, err := o.added(bodies, first)
	if err != nil {
		return err
	}
	size, err := sum.zeros(ctx)
	if err != nil {
		return err
	}
	if size < least {
		size = 0
	}
	if err := announceAsOpener(ctx, call, countedLabel(), binary.BigEndian.AppendUint32(nil, uint32(size))); err != nil {
		return err
	}
	s.Join(call)
	return nil
}

// added is the sum of the parties' stores, with the first party's keys.
func (o overlap) added(bodies [][]byte, first int) (countedPart, error) {
	const what = "the part for the opener"
	var sum countedPart
	for seat, b := range bodies {
		refused := func(err error) error { return &SeatError{Seat: seat, What: what, Err: err} }
		if len(b) < countedHead {
			return sum, refused(psi.ErrLength)
		}
		attempt, m := binary.BigEndian.Uint32(b), int64(binary.BigEndian.Uint32(b[4:]))
		switch {
		case attempt >= storeAttempts:
			return sum, refused(errors.New("is of an attempt that there is not"))
		case m < 1 || m > int64(o.most) || o.pad > 0 && m != int64(o.pad):
			return sum, refused(errors.New("is of lists of another length than was agreed"))
		case seat > 0 && (attempt != sum.attempt || int(m) != sum.m):
			return sum, impossible("the parts for the opener do not belong together")
		}
		b = b[countedHead:]
		sum.attempt, sum.m = attempt, int(m)
		size, keys := psi.Columns(sum.m)*psi.ValueSize, 0
		if seat == first {
			keys = sum.m * psi.NameSize
		}
		if len(b) != size+keys {
			return sum, refused(psi.ErrLength)
		}
		if seat == 0 {
			sum.store = make([]byte, size)
		}
		subtle.XORBytes(sum.store, sum.store, b)
		if seat == first {
			sum.keys = b[len(sum.store):]
			if err := psi.CheckList(sum.keys, sum.m, psi.NameSize); err != nil {
				return sum, refused(err)
			}
		}
	}
	return sum, nil
}

// zeros counts the keys that have the value zero in the store.
func (p countedPart) zeros(ctx context.Context) (n int, err error) {
	keys := make([][psi.NameSize]byte, p.m)
	for i := range keys {
		keys[i] = [psi.NameSize]byte(p.keys[i*psi.NameSize:])
	}
	zero, err := psi.Zeros(p.store, p.attempt, keys, func(int) error { return context.Cause(ctx) })
	for _, z := range zero {
		if z {
			n++
		}
	}
	return n, err
}
