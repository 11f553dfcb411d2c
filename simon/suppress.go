package simon

import (
	"context"
	"fmt"

	"github.com/weftmpc/weft/simon/fss"
)

// survivors keeps the pooled counts that reach a least one and turns the others into 0, before anybody sees them. Like signs
// it compares count - least with 0; the payload of the shared comparison is a pair, the answer and the answer times the
// dealer's mask, so that the product of count and answer needs no further step (Boyle et al., EUROCRYPT 2021, section 4).
type survivors struct {
	label Label
	least uint64 // counts below it become 0; 1 to 2^32
	gates int    // counts, each of less than 2^62
}

const survivorBits = 63 // of the comparison: words without their highest bit

func (g survivors) keySize() int { return fss.PairKeySize(survivorBits) }

// size is what the dealer sends an evaluator: the gates' keys, then three words for each.
func (g survivors) size() int { return g.gates * (g.keySize() + 24) }

func (g survivors) keys(s Session) *fss.Keys {
	return fss.NewKeys(s.SID(), []byte(g.label.Vector), g.label.Round)
}

// deal is the dealer's part: it sends the evaluators their keys.
func (g survivors) deal(ctx context.Context, s Session, seats gateSeats) error {
	r, err := dealtMasks(s, g.label, g.gates)
	if err != nil {
		return err
	}
	defer clear(r)
	low, beta := make([]uint64, g.gates), make([]uint64, 0, 2*g.gates)
	constants := make([]uint64, 0, 3*g.gates) // the highest bit of r, that bit times r, and r
	for i, r := range r {
		high := r >> survivorBits
		low[i] = r & (1<<survivorBits - 1)
		beta = append(beta, 1-2*high, (1-2*high)*r)
		constants = append(constants, high, high*r, r)
	}
	bodies := [2][]byte{make([]byte, g.size()), make([]byte, g.size())}
	keys := g.gates * g.keySize()
	if err := g.keys(s).GenPairAll(s.Rand(), survivorBits, low, beta, bodies[0][:keys], bodies[1][:keys]); err != nil {
		return err
	}
	first := make([]uint64, len(constants))
	if err := random(s, first); err != nil {
		return err
	}
	for i := range constants {
		constants[i] -= first[i]
	}
	appendWords(bodies[0][:keys], first)
	appendWords(bodies[1][:keys], constants)
	return deal(ctx, s, seats, g.label, bodies)
}

// run is a party's part: c are its own counts. It returns the evaluators' shares of the pooled counts that survive, 0 for the
// others, and zeros at the other parties. One hop, 8 bytes a count to each evaluator.
func (g survivors) run(ctx context.Context, s Session, seats gateSeats, c []uint64) ([]uint64, error) {
	if len(c) != g.gates {
		return nil, fmt.Errorf("%d counts for %d gates", len(c), g.gates)
	}
	if s.Self() == seats.dealer {
		if err := g.deal(ctx, s, seats); err != nil {
			return nil, err
		}
	}
	m, err := mix(ctx, s, seats, g.label, c)
	if err != nil || m == nil {
		return make([]uint64, g.gates), err
	}
	body, err := dealt(ctx, s, seats, g.label, g.size())
	if err != nil {
		return nil, err
	}
	b := uint64(seats.evaluator(s.Self()))
	keys, constants := body[:g.gates*g.keySize()], decodeWords(body[g.gates*g.keySize():])
	low, below := make([]uint64, g.gates), make([]uint64, 2*g.gates)
	for i := range m {
		low[i] = (m[i] - g.least) & (1<<survivorBits - 1)
	}
	if err := g.keys(s).EvalPairAll(int(b), survivorBits, keys, low, below); err != nil {
		return nil, fmt.Errorf("the dealer's keys for %q: %w", g.label.Vector, err)
	}
	shares := make([]uint64, g.gates)
	for i := range shares {
		high, borrow, product, mask := (m[i]-g.least)>>survivorBits, constants[3*i]+below[2*i], constants[3*i+1]+below[2*i+1], constants[3*i+2]
		count := (1-b)*m[i] - mask
		suppressed := m[i]*borrow - product // count times borrow
		// The count is below least where the borrow and the highest bit differ: where that bit is set, the other part goes.
		suppressed += high * (count - 2*suppressed)
		shares[i] = count - suppressed
	}
	return shares, nil
}
