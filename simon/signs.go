package simon

import (
	"context"
	"fmt"

	"github.com/weftmpc/weft/simon/fss"
)

// signs says of pooled sums whether they are negative. The evaluators see each sum z under the dealer's mask r: m = z + r. The
// dealer shares the comparison of the low bits of m with those of r, which is the borrow of m - r, and the highest bit of r;
// from these, and the highest bit of m, follow shares of [z < 0] (Boyle et al., EUROCRYPT 2021, section 4, with masked
// inputs from all parties).
type signs struct {
	label Label // of the step; the masks, keys and inputs hang on it
	bits  int   // sums lie in -2^(bits-1) .. 2^(bits-1)-1; 40 or 64
	gates int
}

func (g signs) keySize() int { return fss.KeySize(g.bits - 1) }

// size is what the dealer sends an evaluator: the gates' keys, then a word for each.
func (g signs) size() int { return g.gates * (g.keySize() + 8) }

func (g signs) keys(s Session) *fss.Keys {
	return fss.NewKeys(s.SID(), []byte(g.label.Vector), g.label.Round)
}

// split takes a number mod 2^bits apart: its highest bit, and the others.
func (g signs) split(x uint64) (high, low uint64) {
	return x >> (g.bits - 1) & 1, x & (1<<(g.bits-1) - 1)
}

// deal is the dealer's part: it sends the evaluators their keys.
func (g signs) deal(ctx context.Context, s Session, seats gateSeats) error {
	r, err := dealtMasks(s, g.label, g.gates)
	if err != nil {
		return err
	}
	defer clear(r)
	high, beta := make([]uint64, g.gates), make([]uint64, g.gates)
	for i := range r {
		high[i], r[i] = g.split(r[i])
		beta[i] = 1 - 2*high[i]
	}
	bodies := [2][]byte{make([]byte, g.size()), make([]byte, g.size())}
	keys := g.gates * g.keySize()
	if err := g.keys(s).GenAll(s.Rand(), g.bits-1, r, beta, bodies[0][:keys], bodies[1][:keys]); err != nil {
		return err
	}
	first := make([]uint64, g.gates)
	if err := random(s, first); err != nil {
		return err
	}
	for i := range high {
		high[i] -= first[i]
	}
	appendWords(bodies[0][:keys], first)
	appendWords(bodies[1][:keys], high)
	return deal(ctx, s, seats, g.label, bodies)
}

// run is a party's part: z is its own contribution to the sums. It returns the evaluators' shares of [sum < 0] mod 2^64 and
// zeros at the other parties, for openShares. One hop, 8 bytes a gate to each evaluator.
func (g signs) run(ctx context.Context, s Session, seats gateSeats, z []uint64) ([]uint64, error) {
	if len(z) != g.gates {
		return nil, fmt.Errorf("%d numbers for %d gates", len(z), g.gates)
	}
	if s.Self() == seats.dealer {
		if err := g.deal(ctx, s, seats); err != nil {
			return nil, err
		}
	}
	shares := make([]uint64, g.gates)
	m, err := mix(ctx, s, seats, g.label, z)
	if err != nil || m == nil {
		return shares, err
	}
	body, err := dealt(ctx, s, seats, g.label, g.size())
	if err != nil {
		return nil, err
	}
	b := seats.evaluator(s.Self())
	keys, constants := body[:g.gates*g.keySize()], decodeWords(body[g.gates*g.keySize():])
	high := make([]uint64, g.gates)
	for i := range m {
		high[i], m[i] = g.split(m[i])
	}
	if err := g.keys(s).EvalAll(b, g.bits-1, keys, m, shares); err != nil {
		return nil, fmt.Errorf("the dealer's keys for %q: %w", g.label.Vector, err)
	}
	for i := range shares {
		v := constants[i] + shares[i]
		// Where the highest bit of m is set the answer is the other one: v becomes [b = 0] - v.
		shares[i] = v + high[i]*(uint64(1-b)-2*v)
	}
	return shares, nil
}
