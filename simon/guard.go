package simon

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/weftmpc/weft/simon/ring"
)

// Guard is what a party's policy asks of the pool of all parties' samples. It is met before anything but the size of the
// pool is opened. The zero Guard asks nothing.
type Guard struct {
	Samples      int // least samples of all parties together, where sums of values or squares are opened
	Moments      int // the same where sums of higher powers are opened, which tell more of single values
	Contributors int // least parties that have samples
	Suppress     int // least count that tables may show
	Elements     int // most elements of a set that others may compare with this party's; 0: as the microprotocol allows
	Ratio        int // least terms of each sum in a product of two parties' matrices, for each row of the left and column of the right one
}

// rowsEach is how many samples a pool must have for each column or coefficient: k columns open sums of k·(k+1)/2 products,
// and with few rows more than k the rows themselves follow from them.
const rowsEach = 10

// samples is the least number of samples for statistics of an order with so many columns or coefficients. Who asks for no
// samples gets no more for columns.
func (g Guard) samples(order, width int) int {
	least := g.Samples
	if order > 2 {
		least = max(least, g.Moments)
	}
	if least == 0 {
		return 0
	}
	return max(least, rowsEach*width)
}

// The parameters by which the parties agree on a check of the pool. Where both are 0 there is none.
func guarded() []parameter {
	return []parameter{
		whole("least_contributors", nil, 0, 128, "least parties that must have samples; by default as this party's policy asks"),
		whole("least_samples", nil, 0, maxSamples, "least samples of all parties together; by default as this party's policy asks"),
	}
}

// fill sets what the client has left open as the policy asks, and refuses what it has set lower.
func (g Guard) fill(v values, order, width int) error {
	if !v.has("least_contributors") {
		v["least_contributors"] = int64(g.Contributors)
	}
	if !v.has("least_samples") {
		v["least_samples"] = int64(g.samples(order, width))
	}
	return g.check(v, order, width)
}

func (g Guard) check(v values, order, width int) error {
	if least := g.Contributors; v.whole("least_contributors") < int64(least) {
		return &InputError{"parameters.least_contributors", fmt.Sprintf("must be at least %d: this party's policy asks for it", least)}
	}
	least := g.samples(order, width)
	switch {
	case v.whole("least_samples") >= int64(least):
		return nil
	case least == rowsEach*width && least > g.samples(order, 0):
		return &InputError{"parameters.least_samples", fmt.Sprintf("must be at least %d: this party's policy asks for it, %d for each of %d columns or coefficients", least, rowsEach, width)}
	}
	return &InputError{"parameters.least_samples", fmt.Sprintf("must be at least %d: this party's policy asks for it", least)}
}

// suppress sets the least count that is shown as the policy asks, where the client has left it open, and refuses a lower one.
func (g Guard) suppress(v values) error {
	if !v.has("suppress_below") {
		v["suppress_below"] = int64(g.Suppress)
	}
	if v.whole("suppress_below") < int64(g.Suppress) {
		return &InputError{"parameters.suppress_below", fmt.Sprintf("must be at least %d: this party's policy asks for it", g.Suppress)}
	}
	return nil
}

// poolBytes ends the descriptions of what statistics send.
const poolBytes = "; 16 more to each party where the pool of samples is checked"

// poolLeakage ends the descriptions of what statistics reveal.
const poolLeakage = " Where the pool of samples is checked, all parties, recipients or not, learn how many samples all parties have together, and how many parties have some."

// secretPoolLeakage is poolLeakage where the size of the pool stays secret.
const secretPoolLeakage = " Where the pool of samples is checked, all parties learn whether it has enough samples, and whether enough parties have some, nothing else of its size."

// poolLayout is the vector of the check: the number of samples, and of parties that have some.
func poolLayout() ring.Layout {
	return ring.Layout{{Name: "samples", Limbs: 1, Count: 1}, {Name: "contributors", Limbs: 1, Count: 1}}
}

// The first byte of what statistics open. 1 stood before statistics without the size of the pool.
const (
	openedTooFew = 2 // the pool is too small: its size follows
	openedResult = 3 // the size of the pool follows, zeros where it was not checked, and the statistics
)

// checked says whether the parameters ask for a check of the pool.
func checked(v values) bool {
	return v.whole("least_samples") > 0 || v.whole("least_contributors") > 0
}

// checkPool opens how many samples all parties have together, and how many parties have some, if the parameters ask for
// that; otherwise pool is zero. All parties compare it with the parameters and decide alike. One hop, 16 bytes to each party.
func checkPool(ctx context.Context, s Session, v values, samples uint64) (pool ring.Vector, err error) {
	pool = ring.New(poolLayout())
	if !checked(v) {
		return pool, nil
	}
	pool.SetLimbs(0, 0, []uint64{samples})
	if samples > 0 {
		pool.SetLimbs(1, 0, []uint64{1})
	}
	return MaskedSum(ctx, s, Label{Round: 1, Vector: "pool"}, pool)
}

// poolGates compare the size of the pool with what is asked for, where it must stay secret.
func poolGates() signs {
	return signs{label: Label{Round: 1, Vector: "pool gates"}, bits: 64, gates: 2}
}

// checkPoolSecretly is checkPool where the size of the pool must not be opened: pool has 1 where there is enough, else 0. Two
// hops.
func checkPoolSecretly(ctx context.Context, s Session, seats gateSeats, v values, samples uint64) (pool ring.Vector, err error) {
	pool = ring.New(poolLayout())
	if !checked(v) {
		return pool, nil
	}
	// least - 1 - pool < 0 where there is enough.
	z := []uint64{-samples, -min(samples, 1)}
	if s.Self() == 0 {
		z[0] += uint64(v.whole("least_samples") - 1)
		z[1] += uint64(v.whole("least_contributors") - 1)
	}
	shares, err := poolGates().run(ctx, s, seats, z)
	if err != nil {
		return pool, err
	}
	enough, err := openShares(ctx, s, seats, Label{Round: 1, Vector: "pool"}, shares)
	if err != nil {
		return pool, err
	}
	pool.SetLimbs(0, 0, enough[:1])
	pool.SetLimbs(1, 0, enough[1:])
	return pool, nil
}

// tooFewSecretly says what a pool lacks whose size is secret, or nil.
func tooFewSecretly(v values, x ring.Vector) error {
	if !checked(v) {
		return nil
	}
	var samples, contributors [1]uint64
	x.Limbs(0, 0, samples[:])
	x.Limbs(1, 0, contributors[:])
	switch {
	case samples[0] > 1 || contributors[0] > 1, samples[0] == 0 && v.whole("least_samples") == 0, contributors[0] == 0 && v.whole("least_contributors") == 0:
		return impossible("the answer about the size of the pool is none")
	case samples[0] == 0:
		return &OutcomeError{fmt.Sprintf("all parties together have fewer samples than the %d that are needed (least_samples): nothing else was opened", v.whole("least_samples"))}
	case contributors[0] == 0:
		return &OutcomeError{fmt.Sprintf("fewer parties have samples than the %d that are needed (least_contributors): nothing else was opened", v.whole("least_contributors"))}
	}
	return nil
}

// tooFew says what an opened pool lacks, or nil.
func tooFew(v values, x ring.Vector) error {
	var samples, contributors [1]uint64
	x.Limbs(0, 0, samples[:])
	x.Limbs(1, 0, contributors[:])
	if least := v.whole("least_samples"); samples[0] < uint64(least) {
		return &OutcomeError{fmt.Sprintf("all parties together have %d samples and %d are needed (least_samples): nothing else was opened", samples[0], least)}
	}
	if least := v.whole("least_contributors"); contributors[0] < uint64(least) {
		return &OutcomeError{fmt.Sprintf("%d parties have samples and %d are needed (least_contributors): nothing else was opened", contributors[0], least)}
	}
	return nil
}

// readOpened takes what a computation has opened apart: the size of the pool and the statistics, or the outcome that there
// are none.
func (st statistic) readOpened(v values, opened []byte) (pool ring.Vector, payload []byte, err error) {
	size := 1 + poolLayout().Size()
	if len(opened) == 0 {
		return pool, nil, errors.New("nothing was opened")
	}
	if len(opened) >= size {
		if pool, err = ring.View(poolLayout(), opened[1:size]); err != nil {
			return pool, nil, fmt.Errorf("the opened size of the pool: %w", err)
		}
		switch {
		case opened[0] == openedResult && (checked(v) || pool.Int(0, 0).Sign() == 0 && pool.Int(1, 0).Sign() == 0):
			return pool, opened[size:], nil
		case opened[0] == openedTooFew && len(opened) == size:
			if err := st.lacks(v, pool); err != nil {
				return pool, nil, err
			}
		}
	}
	return pool, nil, errors.New("what was opened was written by another version of weft: submit the computation again")
}

// samePool refuses a result of other samples than the check of the pool has counted: a party may have said there that it has
// enough and then have added few.
func samePool(v values, pool ring.Vector, result object) error {
	if !checked(v) {
		return nil
	}
	n, ok := result.member("samples").(int64)
	if !ok {
		return errors.New("the result does not say of how many samples it is")
	}
	var counted [1]uint64
	if pool.Limbs(0, 0, counted[:]); counted[0] != uint64(n) {
		return impossible(fmt.Sprintf("the parties counted %d samples before the computation, and the sums are of %d", counted[0], n))
	}
	return nil
}

// member is the value of a member, nil if there is none.
func (o *object) member(name string) any {
	for _, m := range o.members {
		if m.name == name {
			return m.value
		}
	}
	return nil
}

// storedInput is a party's contribution as its job keeps it: version, number of samples, payload.
func storedInput(samples uint64, payload []byte) []byte {
	b := make([]byte, 0, 9+len(payload))
	b = binary.LittleEndian.AppendUint64(append(b, inputVersion), samples)
	return append(b, payload...)
}

func readInput(input []byte) (samples uint64, payload []byte, err error) {
	if len(input) < 9 || input[0] != inputVersion {
		return 0, nil, errors.New("the stored input was written by another version of weft: submit the computation again")
	}
	return binary.LittleEndian.Uint64(input[1:]), input[9:], nil
}
