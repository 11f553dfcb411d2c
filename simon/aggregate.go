package simon

import (
	"bytes"
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/weftmpc/weft/simon/prg"
	"github.com/weftmpc/weft/simon/ring"
)

// In a computation of n parties each sends its masked vector to n-1 others, n·(n-1) messages. An aggregator, a helper that is
// never a party, adds the vectors up instead, 2·n messages: parties send their vectors to it, and it tells all of them the
// total (Bonawitz et al., CCS 2017, without the recovery of parties that drop out).
//
// That the aggregator does not learn the total, one party adds a mask that all parties can take off: it is made from a key that
// this party has drawn after the START and has sent to the others, never to the aggregator. That it cannot change the total,
// each vector has a tag: the sum of its elements, each times a secret factor from the same key, in a prime field that is larger
// than the elements. The sum of the tags must be the tag of the total. Tags are masked like vectors, or the aggregator would
// see whether the total is 0. An aggregator that works together with a party knows the key: it can then change totals, for all
// parties alike, and learns what that party learns.

// MostAllToAll is the largest number of parties whose vectors go from each to each where there is an aggregator.
const MostAllToAll = 16

// mostAggregated bounds what an aggregator holds of one step, in bytes: half of what it may hold of a computation.
const mostAggregated = 32 << 20

const aggregatorHelper = "An aggregator, which computations of more than 16 parties may have, adds masked vectors up and learns nothing. With one party it learns what that party learns, and can make the sums wrong, for all parties alike."

// aggregated is a session whose masked sums go through the aggregator. Nested calls are those of the session itself.
type aggregated struct {
	Session
	seat int
	key  []byte // that all parties have
	sent uint32 // vectors so far
	over bool   // the aggregator has been told that there are no more
}

// What a party's body to the aggregator begins with: what it is, and whether another one follows.
const (
	aggregateEnd  = 0 // no vector
	aggregateMore = 1
	aggregateLast = 2
)

// begin starts the masked sums of a computation at a party. Where there is an aggregator, the returned session sends them to it,
// and the parties' common key is sent beside the step first, which may be nil; it costs a hop only then. end must be called at
// the end of a successful run.
func begin(ctx context.Context, s Session, first func(Session) error) (with Session, end func(context.Context) error, err error) {
	seat, ok := s.Seat(Aggregator)
	if first == nil {
		first = func(Session) error { return nil }
	}
	if !ok {
		return s, func(context.Context) error { return nil }, first(s)
	}
	if seat < s.N() {
		return nil, nil, errors.New("the aggregator is a party, which has the key that it must not have")
	}
	a := &aggregated{Session: s, seat: seat, key: make([]byte, prg.KeySize)}
	keys, pool := s.Call("common key"), s.Call("pool")
	l := Label{Round: 1, Vector: "common key"}
	if s.Self() == 0 {
		if _, err := io.ReadFull(s.Rand(), a.key); err != nil {
			return nil, nil, fmt.Errorf("reading private randomness: %w", err)
		}
		others := make([]int, s.N()-1)
		for i := range others {
			others[i] = i + 1
		}
		if err := keys.Send(ctx, others, l, a.key); err != nil {
			return nil, nil, fmt.Errorf("sending the common key: %w", err)
		}
	}
	if err := first(pool); err != nil {
		return nil, nil, err
	}
	if s.Self() > 0 {
		bodies, err := keys.Receive(ctx, []int{0}, l)
		if err != nil {
			return nil, nil, fmt.Errorf("receiving the common key: %w", err)
		}
		if len(bodies[0]) != len(a.key) {
			return nil, nil, fmt.Errorf("the common key of seat 0 has %d bytes, want %d", len(bodies[0]), len(a.key))
		}
		copy(a.key, bodies[0])
	}
	s.Join(keys, pool)
	return a, a.end, nil
}

// end tells the aggregator that there are no more vectors, if it does not know, so that it confirms the parties' transcript.
func (a *aggregated) end(ctx context.Context) error {
	defer clear(a.key)
	if a.over {
		return nil
	}
	a.over = true
	a.sent++
	if err := a.Session.Send(ctx, []int{a.seat}, toAggregator(a.sent), []byte{aggregateEnd}); err != nil {
		return fmt.Errorf("telling the aggregator that this was all: %w", err)
	}
	return nil
}

func toAggregator(k uint32) Label    { return Label{k, "for the aggregator"} }
func aggregatedTotal(k uint32) Label { return Label{k, "aggregated total"} }

// takes says whether the aggregator adds such vectors up. All parties answer alike.
func (a *aggregated) takes(x ring.Vector) bool {
	_, err := mersenneFor(x.Layout())
	return err == nil && len(x.Layout()) < 1<<16 && len(x.Bytes()) <= mostAggregated/a.N()
}

// streams are those that the parties share for one label: the mask that seat 0 adds, and the factors of the tags.
func (a *aggregated) streams(l Label) (mask, factors prg.Stream, err error) {
	info := func(what string) string {
		b := binary.BigEndian.AppendUint32(append([]byte("weft/v1/agg/"), what...), uint32(len(l.Vector)))
		return string(binary.BigEndian.AppendUint32(append(b, l.Vector...), l.Round))
	}
	var both [2]prg.Stream
	for i, what := range []string{"mask", "chk"} {
		key, err := hkdf.Expand(sha256.New, a.key, info(what), prg.KeySize)
		if err != nil {
			return nil, nil, err
		}
		both[i], err = prg.New(key)
		clear(key)
		if err != nil {
			return nil, nil, err
		}
	}
	return both[0], both[1], nil
}

var errOver = errors.New("the last masked sum has been told: nothing is said in public after it")

// Exchange is that of the session. After the last sum the aggregator would not know the transcript.
func (a *aggregated) Exchange(ctx context.Context, from []int, l Label, body []byte) ([][]byte, error) {
	if a.over {
		return nil, errOver
	}
	return a.Session.Exchange(ctx, from, l, body)
}

// Call is that of the session, likewise.
func (a *aggregated) Call(name string) Session {
	if a.over {
		panic(errOver)
	}
	return a.Session.Call(name)
}

// sum is MaskedSum through the aggregator. last says that no step of the parties follows in which they speak to each other.
func (a *aggregated) sum(ctx context.Context, l Label, x ring.Vector, last bool) (ring.Vector, error) {
	if a.over {
		return ring.Vector{}, errOver
	}
	m, err := mersenneFor(x.Layout())
	if err != nil {
		return ring.Vector{}, err
	}
	mask, factors, err := a.streams(l)
	if err != nil {
		return ring.Vector{}, err
	}
	tag, part := m.tag(x, factors), make([]uint64, m.words())
	y, err := maskedBy(a.Session, Mask, l, x, func(s prg.Stream, added bool) {
		if m.random(part, s); added {
			m.add(tag, part)
		} else {
			m.sub(tag, part)
		}
	})
	if err != nil {
		return ring.Vector{}, err
	}
	if a.Self() == 0 {
		y.AddStream(mask)
		m.random(part, mask)
		m.add(tag, part)
	}
	kind := byte(aggregateMore)
	if a.over = last; last {
		kind = aggregateLast
	}
	a.sent++
	body := appendWords(append(appendLayout([]byte{kind}, x.Layout()), y.Bytes()...), tag)
	if err := a.Session.Send(ctx, []int{a.seat}, toAggregator(a.sent), body); err != nil {
		return ring.Vector{}, fmt.Errorf("sending %q to the aggregator: %w", l.Vector, err)
	}
	bodies, err := a.Session.Exchange(ctx, []int{a.seat}, aggregatedTotal(a.sent), nil)
	if err != nil {
		return ring.Vector{}, fmt.Errorf("waiting for the aggregator's total of %q: %w", l.Vector, err)
	}
	return a.total(m, l, x.Layout(), bodies[0])
}

// total takes the common mask off what the aggregator says, and looks whether it is the total.
func (a *aggregated) total(m mersenne, l Label, layout ring.Layout, body []byte) (ring.Vector, error) {
	size := layout.Size()
	if len(body) != size+m.size() {
		return ring.Vector{}, impossible(fmt.Sprintf("the aggregator's total of %q has %d bytes, want %d", l.Vector, len(body), size+m.size()))
	}
	sum, err := ring.Decode(layout, body[:size])
	if err != nil {
		return ring.Vector{}, err
	}
	tag, err := m.element(body[size:])
	if err != nil {
		return ring.Vector{}, impossible("the aggregator's tag is none")
	}
	mask, factors, err := a.streams(l)
	if err != nil {
		return ring.Vector{}, err
	}
	part := make([]uint64, m.words())
	sum.SubStream(mask)
	m.random(part, mask)
	m.sub(tag, part)
	m.sub(tag, m.tag(sum, factors))
	if !m.zero(tag) {
		return ring.Vector{}, &OutcomeError{fmt.Sprintf("the aggregator's total of %q is not that of the parties' vectors: the aggregator or a party did not follow the protocol", l.Vector)}
	}
	return sum, nil
}

// Aggregate is the part of an aggregator: it adds up what the parties send until they say that it was all. It knows no
// microprotocol and no parameter.
func Aggregate(ctx context.Context, s Session) error {
	if seat, ok := s.Seat(Aggregator); !ok || seat != s.Self() || seat < s.N() {
		return errors.New("this seat is not that of an aggregator who is no party")
	}
	parties := make([]int, s.N())
	for i := range parties {
		parties[i] = i
	}
	for k := uint32(1); ; k++ {
		bodies, err := s.Receive(ctx, parties, toAggregator(k))
		if err != nil {
			return fmt.Errorf("receiving vectors: %w", err)
		}
		total, last, err := addUp(bodies)
		if err != nil {
			return err
		}
		if total != nil {
			if _, err := s.Exchange(ctx, []int{s.Self()}, aggregatedTotal(k), total); err != nil {
				return fmt.Errorf("telling the total: %w", err)
			}
		}
		if last {
			return nil
		}
	}
}

// addUp adds the parties' bodies: nil where they have no vector.
func addUp(bodies [][]byte) (total []byte, last bool, err error) {
	if len(bodies[0]) == 0 || bodies[0][0] > aggregateLast {
		return nil, false, errors.New("seat 0 sends no vector and does not say that it was all")
	}
	if bodies[0][0] == aggregateEnd {
		for seat, b := range bodies {
			if !bytes.Equal(b, []byte{aggregateEnd}) {
				return nil, false, fmt.Errorf("seat %d has more to add up, and seat 0 does not", seat)
			}
		}
		return nil, true, nil
	}
	layout, head, err := readLayout(bodies[0])
	if err != nil {
		return nil, false, fmt.Errorf("vector of seat 0: %w", err)
	}
	m, err := mersenneFor(layout)
	if err != nil || layout.Size() > mostAggregated/len(bodies) {
		return nil, false, fmt.Errorf("vector of seat 0: it is too large to be added up")
	}
	sum, tag := ring.New(layout), make([]uint64, m.words())
	for seat, b := range bodies {
		if len(b) != head+layout.Size()+m.size() || !bytes.Equal(b[:head], bodies[0][:head]) {
			return nil, false, fmt.Errorf("vector of seat %d: it is another kind than that of seat 0", seat)
		}
		if err := sum.AddBytes(b[head : head+layout.Size()]); err != nil {
			return nil, false, fmt.Errorf("vector of seat %d: %w", seat, err)
		}
		part, err := m.element(b[head+layout.Size():])
		if err != nil {
			return nil, false, fmt.Errorf("tag of seat %d: %w", seat, err)
		}
		m.add(tag, part)
	}
	return appendWords(slices.Clone(sum.Bytes()), tag), bodies[0][0] == aggregateLast, nil
}

// appendLayout appends the shape of a layout: how many fields, and of each the words of an element and the elements.
func appendLayout(dst []byte, l ring.Layout) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(l)))
	for _, f := range l {
		dst = binary.BigEndian.AppendUint16(dst, uint16(f.Limbs))
		dst = binary.BigEndian.AppendUint32(dst, uint32(f.Count))
	}
	return dst
}

// readLayout reads the shape that stands after the first byte of a body; head is where the vector begins.
func readLayout(body []byte) (l ring.Layout, head int, err error) {
	b := body[1:]
	if len(b) < 2 || len(b) < 2+6*int(binary.BigEndian.Uint16(b)) {
		return nil, 0, errors.New("it is cut off")
	}
	n := int(binary.BigEndian.Uint16(b))
	for i := range n {
		f := b[2+6*i:]
		l = append(l, ring.Field{Name: "field", Limbs: int(binary.BigEndian.Uint16(f)), Count: int(binary.BigEndian.Uint32(f[2:]))})
	}
	if l.Check() != nil {
		return nil, 0, errors.New("its layout is none")
	}
	return l, 3 + 6*n, nil
}
