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
}

// samples is the least number of samples for statistics of an order.
func (g Guard) samples(order int) int {
	if order > 2 {
		return max(g.Samples, g.Moments)
	}
	return g.Samples
}

// The parameters by which the parties agree on a check of the pool. Where both are 0 there is none.
func guarded() []parameter {
	return []parameter{
		whole("least_contributors", nil, 0, 128, "least parties that must have samples; by default as this party's policy asks"),
		whole("least_samples", nil, 0, maxSamples, "least samples of all parties together; by default as this party's policy asks"),
	}
}

// fill sets what the client has left open as the policy asks, and refuses what it has set lower.
func (g Guard) fill(v values, order int) error {
	for name, least := range map[string]int{"least_contributors": g.Contributors, "least_samples": g.samples(order)} {
		if !v.has(name) {
			v[name] = int64(least)
		}
	}
	return g.check(v, order)
}

func (g Guard) check(v values, order int) error {
	if least := g.Contributors; v.whole("least_contributors") < int64(least) {
		return &InputError{"parameters.least_contributors", fmt.Sprintf("must be at least %d: this party's policy asks for it", least)}
	}
	if least := g.samples(order); v.whole("least_samples") < int64(least) {
		return &InputError{"parameters.least_samples", fmt.Sprintf("must be at least %d: this party's policy asks for it", least)}
	}
	return nil
}

// poolBytes ends the descriptions of what statistics send.
const poolBytes = "; 16 more to each party where the pool of samples is checked"

// poolLayout is the vector of the check: the number of samples, and of parties that have some.
func poolLayout() ring.Layout {
	return ring.Layout{{Name: "samples", Limbs: 1, Count: 1}, {Name: "contributors", Limbs: 1, Count: 1}}
}

// The first byte of what statistics open.
const (
	openedResult = 1 // the statistics follow
	openedTooFew = 2 // the pool is too small: its size follows
)

// checkPool opens how many samples all parties have together, and how many parties have some, if the parameters ask for
// that. stop is what the computation then opens if the pool is too small, and nil otherwise: a decision from opened values
// that all parties take alike. One hop, 16 bytes to each party.
func checkPool(ctx context.Context, s Session, v values, samples uint64) (stop []byte, err error) {
	if v.whole("least_samples") == 0 && v.whole("least_contributors") == 0 {
		return nil, nil
	}
	x := ring.New(poolLayout())
	x.SetLimbs(0, 0, []uint64{samples})
	if samples > 0 {
		x.SetLimbs(1, 0, []uint64{1})
	}
	if x, err = MaskedSum(ctx, s, Label{Round: 1, Vector: "pool"}, x); err != nil {
		return nil, err
	}
	if tooFew(v, x) == nil {
		return nil, nil
	}
	return append([]byte{openedTooFew}, x.Bytes()...), nil
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

// openedPayload is what a computation has opened, or the outcome that there is nothing.
func openedPayload(v values, opened []byte) ([]byte, error) {
	if len(opened) == 0 {
		return nil, errors.New("nothing was opened")
	}
	switch opened[0] {
	case openedResult:
		return opened[1:], nil
	case openedTooFew:
		x, err := ring.View(poolLayout(), opened[1:])
		if err != nil {
			return nil, fmt.Errorf("the opened size of the pool: %w", err)
		}
		if err := tooFew(v, x); err != nil {
			return nil, err
		}
	}
	return nil, errors.New("what was opened was written by another version of weft: submit the computation again")
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
