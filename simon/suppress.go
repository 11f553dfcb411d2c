package simon

import (
	"context"
	"errors"
	"fmt"

	"github.com/weftmpc/weft/simon/fss"
	"github.com/weftmpc/weft/simon/ring"
)

// survivors keeps the pooled counts that reach a least one and turns the others into 0, before anybody sees them. Like signs
// it compares count - least with 0; the payload of the shared comparison is a pair, the answer and the answer times the
// dealer's mask, so that the product of count and answer needs no further step (Boyle et al., EUROCRYPT 2021, section 4).
type survivors struct {
	label Label
	least uint64 // counts below it become 0; 1 to 2^32
	gates int    // counts, each of less than 2^62
}

// hiding says whether small counts are hidden.
func hiding(v values) bool { return v.whole("suppress_below") > 0 }

// countGates hide the small ones of n counts.
func countGates(v values, n int) survivors {
	return survivors{label: Label{Round: 2, Vector: "counts"}, least: uint64(v.whole("suppress_below")), gates: n}
}

// openCounts opens the pooled counts of a vector that has nothing else, to the recipients; where suppress_below says so those
// below it as 0, and then to all parties.
func openCounts(ctx context.Context, s Session, v values, x ring.Vector) ([]byte, error) {
	if !hiding(v) {
		sum, err := OpenSum(ctx, s, Label{Round: 2, Vector: "counts"}, x)
		return sum.Bytes(), err
	}
	counts, err := openSurvivors(ctx, s, v, wordsOf(x))
	return appendWords(nil, counts), err
}

func openSurvivors(ctx context.Context, s Session, v values, counts []uint64) ([]uint64, error) {
	seats, err := gateSeatsOf(s)
	if err != nil {
		return nil, err
	}
	shares, err := countGates(v, len(counts)).run(ctx, s, seats, counts)
	if err != nil {
		return nil, err
	}
	return openShares(ctx, s, seats, Label{Round: 2, Vector: "surviving counts"}, shares)
}

// dealCounts is a dealer's part in openCounts.
func dealCounts(layout func(v values) (ring.Layout, error)) func(ctx context.Context, s Session, seats gateSeats, v values) error {
	return func(ctx context.Context, s Session, seats gateSeats, v values) error {
		l, err := layout(v)
		if err != nil {
			return err
		}
		switch cells := l.Size() / 8; {
		case cells < 1 || !hiding(v):
			return errors.New("the parameters are of no table whose small counts are hidden")
		case cells > suppressedCells:
			return errTooManyCells
		default:
			return countGates(v, cells).deal(ctx, s, seats)
		}
	}
}

var errTooManyCells = fmt.Errorf("the table has more than the %d cells whose small counts can be hidden", suppressedCells)

// checkCount refuses an opened count that should have been hidden.
func checkCount(v values, n int64) error {
	if n > 0 && n < v.whole("suppress_below") {
		return impossible("a count that is below suppress_below was opened")
	}
	return nil
}

// shown is a count in a result: null where small ones are hidden and it may be one.
func shown(hides bool, n int64) any {
	if n == 0 && hides {
		return nil
	}
	return n
}

// noteHidden says what null stands for in a member of a result.
func (o *object) noteHidden(v values, name string) {
	if hiding(v) {
		o.note(name, fmt.Sprintf("null stands for fewer than %d samples, perhaps none; samples and all sums are of the counts that are shown", v.whole("suppress_below")))
	}
}

// suppressionLeakage ends the descriptions of tables whose small counts can be hidden, and suppressionHelper says what a dealer
// could do.
const (
	suppressionLeakage = " With suppress_below t > 0, counts below t are null before anybody sees them, indistinguishable from 0, and the number of samples stays secret, but for the sum of the counts that are shown. " +
		"Then any coalition of parties without the two evaluators learns nothing else, also with the dealer; the two evaluators together, or one of them with the dealer, learn the hidden counts of all parties together. " +
		"Differences of several results can show what one of them hides; and whoever asks again and again with other least_samples finds the number of samples, and with it the sum of the hidden counts. Experimental: the comparisons are published, their composition is not, and evaluators and dealer must follow the protocol; one that does not can make results wrong, or have them show what is below t."
	suppressionHelper = "With suppress_below, the dealer sends keys and receives nothing. With one evaluator it learns the hidden counts of all parties together."
	suppressionBytes  = "; with suppress_below 8 bytes for each count to each evaluator, 2,135 from the dealer to each evaluator, and 8 from each evaluator to each party"
)

const survivorBits = 63 // of the comparison: words without their highest bit

func (g survivors) batch() batch {
	return batch{label: g.label, gates: g.gates, keySize: fss.PairKeySize(survivorBits), constants: 3}
}

// deal is the dealer's part: it sends the evaluators their keys, and shares of what else they need of the masks.
func (g survivors) deal(ctx context.Context, s Session, seats gateSeats) error {
	return g.batch().deal(ctx, s, seats, func(r []uint64, keys [2][]byte) ([]uint64, error) {
		low, beta := make([]uint64, g.gates), make([]uint64, 0, 2*g.gates)
		constants := make([]uint64, 0, 3*g.gates) // the highest bit of r, that bit times r, and r
		for i, r := range r {
			high := r >> survivorBits
			low[i] = r & (1<<survivorBits - 1)
			beta = append(beta, 1-2*high, (1-2*high)*r)
			constants = append(constants, high, high*r, r)
		}
		return constants, g.batch().keys(s).GenPairAll(s.Rand(), survivorBits, low, beta, keys[0], keys[1])
	})
}

// run is a party's part: c are its own counts. It returns the evaluators' shares of the pooled counts that survive, 0 for the
// others, and zeros at the other parties. One hop, 8 bytes a count to each evaluator.
func (g survivors) run(ctx context.Context, s Session, seats gateSeats, c []uint64) ([]uint64, error) {
	shares := make([]uint64, g.gates)
	m, err := g.batch().begin(ctx, s, seats, c, g.deal)
	if err != nil || m == nil {
		return shares, err
	}
	low, below := make([]uint64, g.gates), make([]uint64, 2*g.gates)
	for i, sum := range m.sums {
		low[i] = (sum - g.least) & (1<<survivorBits - 1)
	}
	if err := g.batch().keys(s).EvalPairAll(m.evaluator, survivorBits, m.keys, low, below); err != nil {
		return nil, fmt.Errorf("the dealer's keys for %q: %w", g.label.Vector, err)
	}
	for i, sum := range m.sums {
		high, borrow, product, mask := (sum-g.least)>>survivorBits, m.constants[3*i]+below[2*i], m.constants[3*i+1]+below[2*i+1], m.constants[3*i+2]
		count := uint64(1-m.evaluator)*sum - mask
		suppressed := sum*borrow - product // count times borrow
		// The count is below least where the borrow and the highest bit differ: where that bit is set, the other part goes.
		suppressed += high * (count - 2*suppressed)
		shares[i] = count - suppressed
	}
	return shares, nil
}
