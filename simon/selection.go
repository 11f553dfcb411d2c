package simon

import (
	"context"
	"fmt"
	"math/bits"
	"slices"
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

// signBits is the width of sums that holds c.below·c + c.size·n + c.constant for all pools, of which c is from 0 to n.
func (c condition) signBits() int {
	most := max(abs(c.size), abs(c.below+c.size))*mostPooled + abs(c.constant)
	for _, bits := range []int{32, 40} {
		if most < 1<<(bits-1) {
			return bits
		}
	}
	return 64
}

// alike says whether two conditions compare the same sum of a threshold, but for the constant.
func (c condition) alike(o condition) bool { return c.below == o.below && c.size == o.size }

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
//
// The first digits of all elements have the same thresholds. Where the elements' conditions differ in the constant alone, one
// gate answers for all of them (point), so that the first digit can be longer, and the steps have gates for shorter digits of each
// element after it: for a median the dealer sends little more than for one element. Where the sums are seen (modes.go), every
// element has sums of its own. After the first digit every element has gates of its own, also
// while their digits agree: the dealer learns no digits, and what is sent must not show them.
type selection struct {
	wanted []condition
	digit  int    // bits of a digit, 1 to mostDigit
	room   int    // for how many elements a step has gates that find a whole digit; more of them have shorter ones
	bits   int    // of the compared sums, 32, 40 or 64
	mode   string // who sees the compared sums; "": nobody
}

// mostDigit bounds a digit: at 11 bits each step has 2,047 comparisons for each wanted element.
const mostDigit = 11

// mostGates bounds the comparisons of a step: the dealer holds the keys of all of them, 2 kB for each, and every evaluator half.
const mostGates = 1 << 14

// check refuses steps that would be too large.
func (sel selection) check() error {
	if n := max(sel.gates(0).gates, sel.gates(1).gates); n > mostGates {
		return &InputError{"parameters.digit_bits", fmt.Sprintf("make a step of %d comparisons: at most %d are possible; give fewer bits, or ask for fewer elements", n, mostGates)}
	}
	return nil
}

// newSelection is a selection whose steps find digits of all wanted elements, each of them on its own.
func newSelection(digit int, wanted ...condition) selection {
	sel := selection{wanted: wanted, digit: digit, room: len(wanted)}
	for _, c := range wanted {
		sel.bits = max(sel.bits, c.signBits())
	}
	return sel
}

// widths are the bits of the digits.
func (sel selection) widths() []int {
	gates := sel.room<<sel.digit - 1
	first := digitFor(gates, len(sel.groups(0)))
	return append([]int{first}, digitWidths(64-first, digitFor(gates, len(sel.wanted)))...)
}

// digitFor is the most bits, at least one, of a digit that gates are enough for, for each of n elements.
func digitFor(gates, n int) int { return max(1, bits.Len(uint(gates/n+1))-1) }

// digitWidths are the bits of the digits of a word of n bits, each at most most; the first ones are longer where they cannot
// be alike.
func digitWidths(n, most int) []int {
	widths := make([]int, (n+most-1)/most)
	for i := range widths {
		widths[i] = n / len(widths)
		if i < n%len(widths) {
			widths[i]++
		}
	}
	return widths
}

// groups are the wanted elements, by position, that share gates at a level.
func (sel selection) groups(level int) [][]int {
	var groups [][]int
	for r, c := range sel.wanted {
		g := slices.IndexFunc(groups, func(g []int) bool { return level == 0 && sel.hidden() && c.alike(sel.wanted[g[0]]) })
		if g < 0 {
			groups = append(groups, []int{r})
		} else {
			groups[g] = append(groups[g], r)
		}
	}
	return groups
}

func (sel selection) gates(level int) signs {
	return signs{
		label: Label{Round: uint32(level + 1), Vector: "thresholds"}, bits: sel.bits,
		gates: len(sel.groups(level)) * (1<<sel.widths()[level] - 1),
	}
}

// deal is the part of a dealer that is no party. It sends the keys of all digits, one digit after the other, and waits for
// nothing: while the parties work on a digit, the keys of the next are under way.
func (sel selection) deal(ctx context.Context, s Session, seats gateSeats) error {
	if err := sel.check(); err != nil {
		return err
	}
	for level := range sel.widths() {
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
	used, widths := 0, sel.widths()
	for level, w := range widths {
		s.Report(Progress{Round: uint32(level + 1), Rounds: uint32(len(widths))})
		used += w
		digits, err := sel.digits(ctx, s, seats, level, found, sel.contribution(s, own, found, level, 64-used))
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

// digits are the next digits of the wanted elements, from what this party adds to the compared sums.
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
	g := sel.gates(level)
	if level > 0 {
		g.after = appendWords(nil, found)
	}
	shares, err := g.runAt(ctx, s, seats, z, sel.points(level))
	if err != nil {
		return nil, err
	}
	return openShares(ctx, s, seats, Label{Round: uint32(level + 1), Vector: "digits"}, sumOfEach(shares, len(sel.wanted)))
}

// points are what is asked of a level's gates: element by element, threshold by threshold. The sums at a group's gates have the
// constant of its first element.
func (sel selection) points(level int) []point {
	each := 1<<sel.widths()[level] - 1
	points := make([]point, len(sel.wanted)*each)
	for k, group := range sel.groups(level) {
		for _, r := range group {
			for j := range each {
				points[r*each+j] = point{k*each + j, sel.wanted[r].constant - sel.wanted[group[0]].constant}
			}
		}
	}
	return points
}

// contribution is what this party adds to the sums that are compared with 0: for each group of elements, whose digits so far
// are found and the same, and each value but 0 of the next digit, which has rest bits after it.
func (sel selection) contribution(s Session, own, found []uint64, level, rest int) []uint64 {
	groups, w := sel.groups(level), sel.widths()[level]
	z := make([]uint64, 0, len(groups)<<w)
	for _, group := range groups {
		c, prefix := sel.wanted[group[0]], found[group[0]]
		alike := c.size * int64(len(own))
		if s.Self() == 0 {
			alike += c.constant
		}
		for j := uint64(1); j < 1<<w; j++ {
			threshold := (prefix<<w | j) << rest
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

// sumOfEach adds every part of n equal ones to one word.
func sumOfEach(x []uint64, n int) []uint64 {
	sums := make([]uint64, n)
	for i, w := range x {
		sums[i/(len(x)/n)] += w
	}
	return sums
}
