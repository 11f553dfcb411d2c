package simon

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/weftmpc/weft/simon/ring"
)

// statistic is what a statistical microprotocol consists of, next to its description: everything that they share (times,
// the check of the pool, the framing of inputs and openings) is added by complete.
type statistic struct {
	own []parameter // without those of times and pool

	// order is the highest power of values whose sum is opened; nil: 2.
	order func(v values) int
	// width is the number of columns or coefficients, for which the least pool of a policy grows; nil: it does not. It is
	// asked when read has set the parameters that follow from the data.
	width func(v values) int
	// read makes the private payload that a job stores from a client's data, and counts samples. It may set parameters that
	// follow from the data. Everything that can be refused is refused here.
	read func(data io.Reader, v values) (payload []byte, samples int, err error)
	// layout is the vector that is added up for checked parameters.
	layout func(v values) (ring.Layout, error)
	// run opens what finish reads.
	run func(ctx context.Context, s Session, v values, payload []byte) ([]byte, error)
	// finish computes the result from what was opened. It must not trust it: a party may not have followed the protocol.
	finish func(v values, parties int, opened []byte) (object, error)

	// deal is the part of a dealer that is no party, for statistics with gates; nil: there are none. helped says whether the
	// gates are needed; nil: always.
	deal   func(ctx context.Context, s Session, seats gateSeats, v values) error
	helped func(v values) bool
	// secret says whether the size of the pool is no part of the result: it is compared and not opened. Needs deal. nil: no.
	secret func(v values) bool
	// modes says that the parameter mode chooses who sees the sums that are compared, and opener is the part of the opener where
	// that is it: see selecting.
	modes  bool
	opener func(ctx context.Context, s Session, v values) error
	// suppresses says that the parameter suppress_below hides small counts.
	suppresses bool
}

// suppressing lets the parameter suppress_below hide small counts. The size of the pool is then secret.
func (st statistic) suppressing(deal func(ctx context.Context, s Session, seats gateSeats, v values) error) statistic {
	st.own = append(slices.Clone(st.own), suppressible())
	st.deal, st.helped, st.secret, st.suppresses = deal, hiding, hiding, true
	return st
}

// tally is a statistic whose parties add up one vector.
type tally struct {
	own    []parameter
	order  func(v values) int
	width  func(v values) int
	layout func(v values) (ring.Layout, error)
	read   func(data io.Reader, v values) (x ring.Vector, samples int, err error)
	finish func(v values, parties int, x ring.Vector) (object, error)
	// open opens the vector that x is this party's part of; nil: by OpenSum.
	open func(ctx context.Context, s Session, v values, x ring.Vector) ([]byte, error)
}

func (t tally) statistic() statistic {
	return statistic{
		own: t.own, order: t.order, width: t.width, layout: t.layout,
		read: func(data io.Reader, v values) ([]byte, int, error) {
			x, samples, err := t.read(data, v)
			return x.Bytes(), samples, err
		},
		run: func(ctx context.Context, s Session, v values, payload []byte) ([]byte, error) {
			l, err := t.layout(v)
			if err != nil {
				return nil, err
			}
			x, err := ring.View(l, payload)
			if err != nil {
				return nil, fmt.Errorf("the stored input: %w", err)
			}
			if t.open != nil {
				return t.open(ctx, s, v, x)
			}
			sum, err := OpenSum(ctx, s, Label{Round: 2, Vector: "sums"}, x)
			return sum.Bytes(), err
		},
		finish: func(v values, parties int, opened []byte) (object, error) {
			l, err := t.layout(v)
			if err != nil {
				return object{}, err
			}
			x, err := ring.View(l, opened)
			if err != nil {
				return object{}, fmt.Errorf("the opened sums: %w", err)
			}
			return t.finish(v, parties, x)
		},
	}
}

// size is the order and the width of a statistic with complete parameters.
func (st statistic) size(v values) (order, width int) {
	order = 2
	if st.order != nil {
		order = st.order(v)
	}
	if st.width != nil {
		width = st.width(v)
	}
	return order, width
}

// complete adds to the description m what st does. Times, hops and the least number of parties have defaults.
func (st statistic) complete(m Microprotocol) Microprotocol {
	m.Version, m.MinParties = max(m.Version, 1), max(m.MinParties, 2)
	if m.Hops == 0 {
		m.Hops = 4 // JOIN, START, masked vectors, CONFIRM
	}
	if m.Round == 0 {
		m.Round, m.Limit = 20*time.Second, 120*time.Second
	}
	own := append(slices.Clone(st.own), guarded()...)
	if st.deal != nil {
		own = append(own, dealerParty())
	}
	known := withTiming(m.Round, m.Limit, own...)
	m.Parameters = schemaOf(known)
	switch {
	case st.secret != nil && st.secret(values{}): // with all parameters
		m.Leakage += secretPoolLeakage
	case st.suppresses:
		m.Leakage += poolLeakage + " With suppress_below they learn only whether there are enough."
	default:
		m.Leakage += poolLeakage
	}
	if st.deal == nil || st.helped != nil { // else there is always a dealer
		m.Aggregates = true
		m.WithHelper = strings.TrimSpace(m.WithHelper + " " + aggregatorHelper)
	}
	st.addDealer(&m, known)
	st.addOpener(&m, known)
	m.Prepare = func(data io.Reader, parameters json.RawMessage, g Guard) (Prepared, error) {
		return st.prepare(data, parameters, known, g)
	}
	m.Check = func(canonical []byte, g Guard) error {
		v, err := readParameters(canonical, known)
		if err != nil {
			return err
		}
		if st.suppresses {
			if err := g.suppress(v); err != nil {
				return err
			}
		}
		order, width := st.size(v)
		return g.check(v, order, width)
	}
	m.Run = func(ctx context.Context, s Session, c Common, input []byte) ([]byte, error) {
		v, err := canonicalValues(c, known)
		if err != nil {
			return nil, err
		}
		return st.open(ctx, s, v, input)
	}
	m.Finish = func(c Common, _, opened []byte) (json.RawMessage, error) {
		v, err := canonicalValues(c, known)
		if err != nil {
			return nil, err
		}
		return st.result(v, c.Parties, opened)
	}
	return m
}

// canonicalValues are the parameters on which all parties have agreed.
func canonicalValues(c Common, known []parameter) (values, error) {
	v, err := readParameters(c.Parameters, known)
	if err != nil {
		return nil, fmt.Errorf("reading canonical parameters: %w", err)
	}
	return v, nil
}

// addDealer adds the roles and the dealer's part, for statistics with gates.
func (st statistic) addDealer(m *Microprotocol, known []parameter) {
	if st.deal == nil {
		return
	}
	roles := []Role{S0, S1, Dealer}
	m.Roles = roles
	if st.helped != nil {
		m.RolesFor = func(canonical []byte) []Role {
			if v, err := readParameters(canonical, known); err == nil && !st.helped(v) {
				return nil
			}
			return roles
		}
	}
	m.Deal = func(ctx context.Context, s Session, c Common) error {
		v, err := canonicalValues(c, known)
		if err != nil {
			return err
		}
		return st.dealAll(ctx, s, v)
	}
}

// prepare reads a client's parameters and data.
func (st statistic) prepare(data io.Reader, parameters json.RawMessage, known []parameter, g Guard) (Prepared, error) {
	v, err := readParameters(parameters, known)
	if err != nil {
		return Prepared{}, err
	}
	if st.suppresses {
		if err := g.suppress(v); err != nil {
			return Prepared{}, err
		}
	}
	payload, samples, err := st.read(data, v)
	if err != nil {
		return Prepared{}, err
	}
	order, width := st.size(v)
	if err := g.fill(v, order, width); err != nil {
		return Prepared{}, err
	}
	l, err := st.layout(v)
	if err != nil {
		return Prepared{}, err
	}
	c, err := canonical(nil, v)
	if err != nil {
		return Prepared{}, err
	}
	return Prepared{Parameters: c, Layout: l.Hash(), Input: storedInput(uint64(samples), payload)}, nil
}

// open checks the pool and opens the statistics, or only the size of a pool that is too small.
func (st statistic) open(ctx context.Context, s Session, v values, input []byte) ([]byte, error) {
	samples, payload, err := readInput(input)
	if err != nil {
		return nil, err
	}
	s.Report(Progress{Round: 1, Rounds: 1})
	var pool ring.Vector
	s, end, err := begin(ctx, s, func(s Session) (err error) {
		pool, err = st.checkPool(ctx, s, v, samples)
		return err
	})
	if err != nil {
		return nil, err
	}
	if st.lacks(v, pool) != nil {
		return append([]byte{openedTooFew}, pool.Bytes()...), end(ctx)
	}
	opened, err := st.run(ctx, s, v, payload)
	if err == nil {
		err = end(ctx)
	}
	if err != nil || opened == nil || !slices.Contains(s.Recipients(), s.Self()) {
		return nil, err
	}
	return slices.Concat([]byte{openedResult}, pool.Bytes(), opened), nil
}

// hides says whether the parties learn no more of the pool than whether it is large enough.
func (st statistic) hides(v values) bool {
	switch st.modeOf(v) {
	case modeOpener: // who sees the size in any case
		return true
	case modeOpen:
		return false
	}
	return st.untold(v)
}

// untold says whether the size of the pool is no part of the result.
func (st statistic) untold(v values) bool { return st.secret != nil && st.secret(v) }

func (st statistic) checkPool(ctx context.Context, s Session, v values, samples uint64) (ring.Vector, error) {
	switch {
	case !st.hides(v):
		return checkPool(ctx, s, v, samples)
	case st.modeOf(v) == modeOpener:
		return checkPoolByOpener(ctx, s, v, samples)
	}
	seats, err := gateSeatsOf(s)
	if err != nil {
		return ring.Vector{}, err
	}
	return checkPoolSecretly(ctx, s, seats, v, samples)
}

// lacks says why the pool is too small, or nil.
func (st statistic) lacks(v values, pool ring.Vector) error {
	if st.hides(v) {
		return tooFewSecretly(v, pool)
	}
	return tooFew(v, pool)
}

// dealAll is the whole part of a dealer that is no party.
func (st statistic) dealAll(ctx context.Context, s Session, v values) error {
	seats, err := gateSeatsOf(s)
	if err != nil {
		return err
	}
	if st.hides(v) && checked(v) {
		if err := poolGates().deal(ctx, s, seats); err != nil {
			return err
		}
	}
	return st.deal(ctx, s, seats, v)
}

// result is that of what open has returned.
func (st statistic) result(v values, parties int, opened []byte) (json.RawMessage, error) {
	pool, payload, err := st.readOpened(v, opened)
	if err != nil {
		return nil, err
	}
	o, err := st.finish(v, parties, payload)
	if err != nil {
		return nil, err
	}
	if !st.hides(v) && !st.untold(v) {
		if err := samePool(v, pool, o); err != nil {
			return nil, err
		}
	}
	return o.json(), nil
}

// impossible is the outcome that opened sums show when a party did not follow the protocol.
func impossible(what string) error {
	return &OutcomeError{what + ": a party did not follow the protocol"}
}

// samplesIn reads an opened count of samples.
func samplesIn(x ring.Vector, field, i int) (int64, error) {
	n := x.Int(field, i)
	if n.Sign() < 0 || !n.IsInt64() || n.Int64() > maxSamples {
		return 0, impossible("a number of samples is impossible")
	}
	return n.Int64(), nil
}
