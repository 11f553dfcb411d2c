package simon

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"regexp"

	"github.com/weftmpc/weft/simon/fss"
	"github.com/weftmpc/weft/simon/ring"
)

// A gate computes on the pooled sums of the parties' private numbers without opening them. Two of the parties, the evaluators,
// see each sum under a mask that only the dealer knows as a whole, and hold keys from the dealer by which they compute
// shares of a function of the sum (Boyle et al., EUROCRYPT 2021). The dealer sees no message at all. Shares are opened by
// openShares and never in another way: a dealer that colludes with a recipient could find the sum from them.
//
// All numbers are words mod 2^64.

// gateSeats are who does what at the gates of a computation. The dealer may be a party that is no evaluator, or a helper.
type gateSeats struct {
	evaluators [2]int
	dealer     int
}

func gateSeatsOf(s Session) (g gateSeats, err error) {
	var ok [3]bool
	g.evaluators[0], ok[0] = s.Seat(S0)
	g.evaluators[1], ok[1] = s.Seat(S1)
	g.dealer, ok[2] = s.Seat(Dealer)
	switch {
	case ok != [3]bool{true, true, true}:
		return g, errors.New("the computation needs two evaluators and a dealer, and does not have them")
	case g.evaluators[0] == g.evaluators[1] || g.evaluators[0] >= s.N() || g.evaluators[1] >= s.N():
		return g, errors.New("the evaluators are not two parties")
	case g.dealer == g.evaluators[0] || g.dealer == g.evaluators[1]:
		return g, errors.New("the dealer is an evaluator, who would see everything")
	}
	return g, nil
}

// dealerParty is the parameter by which a party deals, in place of the coordinator's helper.
func dealerParty() parameter {
	name := regexp.MustCompile(`^[a-z0-9-]{1,63}$`)
	return parameter{"dealer", nil, func(v any) (any, error) {
		if s, ok := v.(string); ok && name.MatchString(s) {
			return s, nil
		}
		return nil, errors.New("must be the name of a party, such as alice")
	}, `"type":"string","pattern":"^[a-z0-9-]{1,63}$"`, "the party that deals, where at least three compute; by default the coordinator does"}
}

// evaluator is 0 or 1 at the evaluators' seats, -1 at others.
func (g gateSeats) evaluator(seat int) int {
	for b, e := range g.evaluators {
		if seat == e {
			return b
		}
	}
	return -1
}

// wordsLayout is a vector of n words.
func wordsLayout(n int) ring.Layout { return ring.Layout{{Name: "words", Limbs: 1, Count: n}} }

// wordsVector is a vector of words.
func wordsVector(x []uint64) ring.Vector {
	v := ring.New(wordsLayout(len(x)))
	for i := range x {
		v.SetLimbs(0, i, x[i:i+1])
	}
	return v
}

// wordsOf are the words of a vector of nothing else.
func wordsOf(v ring.Vector) []uint64 { return decodeWords(v.Bytes()) }

func decodeWords(b []byte) []uint64 {
	x := make([]uint64, len(b)/8)
	for i := range x {
		x[i] = binary.LittleEndian.Uint64(b[8*i:])
	}
	return x
}

func appendWords(dst []byte, x []uint64) []byte {
	for _, w := range x {
		dst = binary.LittleEndian.AppendUint64(dst, w)
	}
	return dst
}

// mix gives the evaluators the sum of all parties' x under the dealer's masks; elsewhere it returns nil. Each party adds a
// mask that it shares with the dealer, so that the evaluators learn nothing, and the masks of MaskedSum, so that an
// evaluator who colludes with the dealer learns the sum and no party's own number. These hang on what x depends on next to the
// parties' own data: see openerSum. One hop, 8 bytes a word to each evaluator.
func mix(ctx context.Context, s Session, g gateSeats, l Label, after []byte, x []uint64) ([]uint64, error) {
	y, err := masked(s, maskLabel(l, after), wordsVector(x))
	if err != nil {
		return nil, err
	}
	if s.Self() != g.dealer { // who knows all masks needs none
		mask, err := s.Stream(Deal, g.dealer, l)
		if err != nil {
			return nil, fmt.Errorf("mask shared with the dealer: %w", err)
		}
		y.AddStream(mask)
	}
	if err := s.SendInput(ctx, l, y.Bytes()); err != nil {
		return nil, fmt.Errorf("sending %q to the evaluators: %w", l.Vector, err)
	}
	if g.evaluator(s.Self()) < 0 {
		return nil, nil
	}
	others := make([]int, 0, s.N()-1)
	for seat := range s.N() {
		if seat != s.Self() {
			others = append(others, seat)
		}
	}
	bodies, err := s.Receive(ctx, others, l)
	if err != nil {
		return nil, fmt.Errorf("receiving %q: %w", l.Vector, err)
	}
	for i, b := range bodies {
		if err := y.AddBytes(b); err != nil {
			return nil, fmt.Errorf("masked numbers %q of seat %d: %w", l.Vector, others[i], err)
		}
	}
	return wordsOf(y), nil
}

// dealtMasks are, at the dealer, the sums of the masks that mix adds: what hides the evaluators' n words.
func dealtMasks(s Session, l Label, n int) ([]uint64, error) {
	r := ring.New(wordsLayout(n))
	for seat := range s.N() {
		if seat == s.Self() {
			continue
		}
		mask, err := s.Stream(Deal, seat, l)
		if err != nil {
			return nil, fmt.Errorf("mask shared with seat %d: %w", seat, err)
		}
		r.AddStream(mask)
	}
	return wordsOf(r), nil
}

// batch is gates of one kind, side by side: what their dealer and their parties do for every kind.
type batch struct {
	label     Label // of the step; the masks, keys and inputs hang on it
	gates     int
	keySize   int // bytes of a gate's key
	constants int // words that a gate has beside its key
	after     []byte
}

// size is what the dealer sends an evaluator: the gates' keys, then their constants.
func (g batch) size() int { return g.gates * (g.keySize + 8*g.constants) }

// keys are those of the comparisons' generator. They hang on the whole name of the step, so that gates of two calls have keys of
// their own, also where the labels are the same.
func (g batch) keys(s Session) *fss.Keys {
	return fss.NewKeys(s.SID(), s.Name(g.label), g.label.Round)
}

// keysLabel is the label of what the dealer sends evaluator b.
func (g batch) keysLabel(b int) Label {
	return Label{Round: g.label.Round, Vector: g.label.Vector + [...]string{" for the first evaluator", " for the second evaluator"}[b]}
}

// deal is the dealer's part: it sends the evaluators their keys, and shares of the gates' constants. generate writes the keys
// for the masks r, both evaluators', and returns the constants.
func (g batch) deal(ctx context.Context, s Session, seats gateSeats, generate func(r []uint64, keys [2][]byte) ([]uint64, error)) error {
	r, err := dealtMasks(s, g.label, g.gates)
	if err != nil {
		return err
	}
	defer clear(r)
	bodies := [2][]byte{make([]byte, g.size()), make([]byte, g.size())}
	keys := g.gates * g.keySize
	constants, err := generate(r, [2][]byte{bodies[0][:keys], bodies[1][:keys]})
	if err != nil {
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
	for b, e := range seats.evaluators {
		if err := s.Send(ctx, []int{e}, g.keysLabel(b), bodies[b]); err != nil {
			return fmt.Errorf("dealing %q: %w", g.label.Vector, err)
		}
	}
	return nil
}

// maskedSums are what an evaluator computes on.
type maskedSums struct {
	evaluator int      // 0 or 1
	sums      []uint64 // under the dealer's masks
	keys      []byte
	constants []uint64
}

// begin is what parties do before the evaluators compute: x is this party's own contribution to the sums. It returns nil at
// parties that are no evaluator. A party that deals does so here. One hop, 8 bytes a gate to each evaluator.
func (g batch) begin(ctx context.Context, s Session, seats gateSeats, x []uint64, deal func(context.Context, Session, gateSeats) error) (*maskedSums, error) {
	if len(x) != g.gates {
		return nil, fmt.Errorf("%d numbers for %d gates", len(x), g.gates)
	}
	if s.Self() == seats.dealer {
		if err := deal(ctx, s, seats); err != nil {
			return nil, err
		}
	}
	m, err := mix(ctx, s, seats, g.label, g.after, x)
	if err != nil || m == nil {
		return nil, err
	}
	b := seats.evaluator(s.Self())
	bodies, err := s.Receive(ctx, []int{seats.dealer}, g.keysLabel(b))
	if err != nil {
		return nil, fmt.Errorf("receiving what was dealt for %q: %w", g.label.Vector, err)
	}
	if len(bodies[0]) != g.size() {
		return nil, fmt.Errorf("the dealer sent %d bytes for %q, want %d", len(bodies[0]), g.label.Vector, g.size())
	}
	keys := g.gates * g.keySize
	return &maskedSums{b, m, bodies[0][:keys], decodeWords(bodies[0][keys:])}, nil
}

// random fills words from the session's private randomness.
func random(s Session, x []uint64) error {
	b := make([]byte, 8*len(x))
	defer clear(b)
	if _, err := io.ReadFull(s.Rand(), b); err != nil {
		return fmt.Errorf("reading private randomness: %w", err)
	}
	copy(x, decodeWords(b))
	return nil
}
