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
	bits  int   // sums lie in -2^(bits-1) .. 2^(bits-1)-1; 32, 40 or 64
	gates int
	after []byte // what the sums depend on next to the parties' own data; see openerSum
}

// point is a question about a gate's sum: whether sum + offset < 0. The offset is public; sum + offset lies in the gate's bounds.
//
// A gate answers any number of points from one key. m + offset is the sum + offset under the same mask r, and the key's
// comparison is with r, so the evaluators take the answer from the key at m + offset. Nothing is revealed by that: all that an
// evaluator gets of a gate is m, its key and its constant, whatever the points are, and m + offset follows from m. (Two masked
// sums of different secrets under one key would show their difference; here there is one.) The dealer gets nothing. What
// the parties get are the answers, or sums of them: the evaluators' shares of every word that is opened have a mask of their own
// (openShares), so that shares of answers from one key are not seen together.
type point struct {
	gate   int
	offset int64
}

// eachOnce asks of each of n gates whether its sum is below 0.
func eachOnce(n int) []point {
	points := make([]point, n)
	for i := range points {
		points[i].gate = i
	}
	return points
}

func (g signs) batch() batch {
	return batch{label: g.label, gates: g.gates, keySize: fss.KeySize(g.bits - 1), constants: 1, after: g.after}
}

// split takes a number mod 2^bits apart: its highest bit, and the others.
func (g signs) split(x uint64) (high, low uint64) {
	return x >> (g.bits - 1) & 1, x & (1<<(g.bits-1) - 1)
}

// deal is the dealer's part: it sends the evaluators their keys, and shares of the masks' highest bits.
func (g signs) deal(ctx context.Context, s Session, seats gateSeats) error {
	return g.batch().deal(ctx, s, seats, func(r []uint64, keys [2][]byte) ([]uint64, error) {
		high, beta := make([]uint64, g.gates), make([]uint64, g.gates)
		for i := range r {
			high[i], r[i] = g.split(r[i])
			beta[i] = 1 - 2*high[i]
		}
		return high, g.batch().keys(s).GenAll(s.Rand(), g.bits-1, r, beta, keys[0], keys[1])
	})
}

// run is a party's part: z is its own contribution to the sums. It returns the evaluators' shares of [sum < 0] mod 2^64 and
// zeros at the other parties, for openShares. One hop, 8 bytes a gate to each evaluator.
func (g signs) run(ctx context.Context, s Session, seats gateSeats, z []uint64) ([]uint64, error) {
	return g.runAt(ctx, s, seats, z, eachOnce(g.gates))
}

// runAt is run with other questions about the sums: it returns a share for each point.
func (g signs) runAt(ctx context.Context, s Session, seats gateSeats, z []uint64, points []point) ([]uint64, error) {
	shares := make([]uint64, len(points))
	b := g.batch()
	in, err := b.begin(ctx, s, seats, z, g.deal)
	if err != nil || in == nil {
		return shares, err
	}
	high, low := make([]uint64, len(points)), make([]uint64, len(points))
	keys := make([]byte, 0, len(points)*b.keySize)
	for i, p := range points {
		high[i], low[i] = g.split(in.sums[p.gate] + uint64(p.offset))
		keys = append(keys, in.keys[p.gate*b.keySize:][:b.keySize]...)
	}
	if err := b.keys(s).EvalAll(in.evaluator, g.bits-1, keys, low, shares); err != nil {
		return nil, fmt.Errorf("the dealer's keys for %q: %w", g.label.Vector, err)
	}
	for i, p := range points {
		v := in.constants[p.gate] + shares[i]
		// Where the highest bit of m is set the answer is the other one: v becomes [b = 0] - v.
		shares[i] = v + high[i]*(uint64(1-in.evaluator)-2*v)
	}
	return shares, nil
}
