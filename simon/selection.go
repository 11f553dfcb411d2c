package simon

import (
	"context"
	"fmt"
	"sort"
)

// condition says when a wanted element of the pool, or the threshold itself, lies below what is asked for: where
// below·c + size·n + constant < 0, c being how many of the pool's n elements lie below the threshold, the wanted element
// does not. Minimum: no element below, c - 1 < 0.
type condition struct{ below, size, constant int64 }

// kth is the k-th smallest element, k from 1.
func kth(k int64) condition { return condition{1, 0, -k} }

var (
	smallest    = kth(1)
	largest     = condition{1, -1, 0}  // c < n
	lowerMedian = condition{2, -1, 0}  // 2c < n
	upperMedian = condition{2, -1, -1} // 2c ≤ n
)

// quantile is the smallest element x with at least the part a/b of the pool at or below it, 0 < a ≤ b: b·c < a·n.
func quantile(a, b int64) condition { return condition{b, -a, 0} }

// mostOrdered is how many values a party may give where elements are selected: a job stores 8 bytes for each.
const mostOrdered = 8_000_000

// mostPooled is how many values all parties can have together.
const mostPooled = 128 * mostOrdered

// signBits is the width of sums that holds c.below·c + c.size·n + c.constant for all pools.
func (c condition) signBits() int {
	if (abs(c.below)+abs(c.size)+1)*mostPooled < 1<<39 && abs(c.constant) < 1<<38 {
		return 40
	}
	return 64
}

func abs(x int64) int64 {
	if x < 0 {
		return -x
	}
	return x
}

// selection finds elements of the pool of all parties' words by their rank, digit by digit from the highest. For each wanted
// element and each value j of the next digit, the evaluators compute whether the element's digit is at least j, from how many
// elements lie below the threshold that the digits so far and j make; what is opened is how many j hold, which is the digit
// (Aggarwal, Mishra, Pinkas, EUROCRYPT 2004, with many thresholds at a time and comparisons of shared sums). So the parties
// learn the wanted elements, and neither the counts nor the size of the pool. Two hops a digit.
type selection struct {
	wanted []condition
	digit  int    // bits of a digit, 1 to mostDigit
	bits   int    // of the compared sums, 40 or 64
	mode   string // who sees the compared sums; "": nobody
}

// mostDigit bounds a digit: at 11 bits each step has 2,047 comparisons for each wanted element.
const mostDigit = 11

// mostGates bounds the comparisons of a step: the dealer holds the keys of all of them, 2 kB for each, and every evaluator half.
const mostGates = 1 << 14

// check refuses steps that would be too large.
func (sel selection) check() error {
	if n := sel.gates(0).gates; n > mostGates {
		return &InputError{"parameters.digit_bits", fmt.Sprintf("make a step of %d comparisons: at most %d are possible; give fewer bits, or ask for fewer elements", n, mostGates)}
	}
	return nil
}

func newSelection(digit int, wanted ...condition) selection {
	sel := selection{wanted: wanted, digit: digit, bits: 40}
	for _, c := range wanted {
		sel.bits = max(sel.bits, c.signBits())
	}
	return sel
}

// levels is the number of digits of a word.
func (sel selection) levels() int { return (64 + sel.digit - 1) / sel.digit }

// width is the number of bits of one digit; the first ones are longer where they cannot be alike.
func (sel selection) width(level int) int {
	w := 64 / sel.levels()
	if level < 64%sel.levels() {
		w++
	}
	return w
}

func (sel selection) gates(level int) signs {
	return signs{label: Label{Round: uint32(level + 1), Vector: "thresholds"}, bits: sel.bits, gates: len(sel.wanted) * (1<<sel.width(level) - 1)}
}

// deal is the part of a dealer that is no party. It sends the keys of all digits, one digit after the other, and waits for
// nothing: while the parties work on a digit, the keys of the next are under way.
func (sel selection) deal(ctx context.Context, s Session, seats gateSeats) error {
	if err := sel.check(); err != nil {
		return err
	}
	for level := range sel.levels() {
		if err := sel.gates(level).deal(ctx, s, seats); err != nil {
			return err
		}
	}
	return nil
}

// run is a party's part: own are its words in ascending order. It returns the wanted elements. Where the pool does not have
// one, its word is all ones or all zeros.
func (sel selection) run(ctx context.Context, s Session, seats gateSeats, own []uint64) ([]uint64, error) {
	found := make([]uint64, len(sel.wanted))
	used := 0
	for level := range sel.levels() {
		s.Report(Progress{Round: uint32(level + 1), Rounds: uint32(sel.levels())})
		w := sel.width(level)
		used += w
		digits, err := sel.digits(ctx, s, seats, level, found, sel.contribution(s, own, found, w, 64-used))
		if err != nil {
			return nil, err
		}
		for r := range found {
			if digits[r] > 1<<w-1 {
				return nil, impossible("a digit of a result is out of range")
			}
			found[r] = found[r]<<w | digits[r]
		}
	}
	return found, nil
}

// digits are the next digits of the wanted elements, by the sums of all parties' z.
func (sel selection) digits(ctx context.Context, s Session, seats gateSeats, level int, found, z []uint64) ([]uint64, error) {
	switch sel.mode {
	case modeOpener:
		b, err := sel.openerSum(level, found).run(ctx, s, wordsVector(z))
		return decodeWords(b), err
	case modeOpen:
		o := sel.openerSum(level, found)
		sums, err := maskedSumAfter(ctx, s, o.label, o.after, wordsVector(z))
		if err != nil {
			return nil, err
		}
		return sel.counted(level, wordsOf(sums))
	}
	shares, err := sel.gates(level).run(ctx, s, seats, z)
	if err != nil {
		return nil, err
	}
	return openShares(ctx, s, seats, Label{Round: uint32(level + 1), Vector: "digits"}, sumOfEach(shares, 1<<sel.width(level)-1))
}

// contribution is what this party adds to the sums that are compared with 0: for each wanted element, whose digits so far are
// found, and each value but 0 of the next digit, which has w bits and rest bits after it.
func (sel selection) contribution(s Session, own, found []uint64, w, rest int) []uint64 {
	z := make([]uint64, 0, len(sel.wanted)<<w)
	for r, c := range sel.wanted {
		alike := c.size * int64(len(own))
		if s.Self() == 0 {
			alike += c.constant
		}
		for j := uint64(1); j < 1<<w; j++ {
			threshold := (found[r]<<w | j) << rest
			// What is read here depends on this party's own values alone. Who measures when its messages leave may guess how many
			// these are, as reading a million takes milliseconds; no other party's can be guessed.
			below := sort.Search(len(own), func(i int) bool { return own[i] >= threshold })
			z = append(z, uint64(c.below*int64(below)+alike))
		}
	}
	return z
}

// openCount adds the parties' numbers of samples up, for all parties. One hop.
func openCount(ctx context.Context, s Session, samples int) (int64, error) {
	v, err := MaskedSum(ctx, s, Label{Round: 1, Vector: "samples"}, wordsVector([]uint64{uint64(samples)}))
	if err != nil {
		return 0, err
	}
	return samplesIn(v, 0, 0)
}

// sumOfEach adds every n words to one.
func sumOfEach(x []uint64, n int) []uint64 {
	sums := make([]uint64, len(x)/n)
	for i, w := range x {
		sums[i/n] += w
	}
	return sums
}
