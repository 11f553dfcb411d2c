package simon_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"testing"

	"github.com/weftmpc/weft/simon"
	"github.com/weftmpc/weft/simon/fss"
	"github.com/weftmpc/weft/simon/prg"
	"github.com/weftmpc/weft/simon/simontest"
)

// What a dealer could find that works together with a recipient: all its masks and keys are known, and every message that the
// recipient, no evaluator, gets. It tries all values that a pooled number may have.

// attack is a played computation in the eyes of dealer and recipient.
type attack struct {
	record *simontest.Record
	sid    [32]byte
	name   func(l simon.Label) []byte
	masks  map[simon.Label][]uint64 // what hides the evaluators' inputs
	dealer int
	seats  [2]int // of the evaluators
}

// recorder copies what is read from a stream.
type recorder struct {
	prg.Stream
	read func(b []byte)
}

func (r recorder) Fill(dst []byte) {
	r.Stream.Fill(dst)
	r.read(dst)
}

// attacked plays a computation of three parties. bend changes the evaluators' masks; nil: it does not.
func attacked(t *testing.T, p prepared, dealer int, bend func(id simontest.StreamID, s prg.Stream) prg.Stream) *attack {
	t.Helper()
	a := &attack{masks: map[simon.Label][]uint64{}, dealer: dealer, seats: [2]int{1, 0}}
	var mu sync.Mutex
	read := map[simontest.StreamID][]byte{} // at the dealer
	o := simontest.Options{Seed: 77, Stream: func(seat int, id simontest.StreamID, s prg.Stream) prg.Stream {
		switch {
		case id.Purpose == simon.Deal && seat == dealer:
			return recorder{s, func(b []byte) {
				mu.Lock()
				defer mu.Unlock()
				read[id] = append(read[id], b...)
			}}
		case id.Purpose == simon.Opening && bend != nil:
			return bend(id, s)
		}
		return s
	}}
	o.Roles = map[simon.Role]int{simon.S0: 1, simon.S1: 0, simon.Dealer: dealer}
	a.record = simontest.MustRun(t, len(p.inputs), o, func(ctx context.Context, s simon.Session) ([]byte, error) {
		if s.Self() == dealer {
			a.sid, a.name = s.SID(), s.Name
		}
		if s.Self() >= s.N() {
			return nil, p.m.Deal(ctx, s, p.common)
		}
		return p.m.Run(ctx, s, p.common, p.inputs[s.Self()])
	})
	for id, b := range read {
		sum := a.masks[id.Label]
		if sum == nil {
			sum = make([]uint64, len(b)/8)
		}
		for i := range sum {
			sum[i] += binary.LittleEndian.Uint64(b[8*i:])
		}
		a.masks[id.Label] = sum
	}
	return a
}

// body is what evaluator b, 0 or 1, or the dealer with b = 2, sent under a label.
func (a *attack) body(t *testing.T, b int, l simon.Label, to int) []byte {
	t.Helper()
	from := a.dealer
	if b < 2 {
		from = a.seats[b]
	}
	for _, m := range a.record.Messages {
		if m.Label == l && m.From == from && m.To == to {
			return m.Body
		}
	}
	t.Fatalf("nothing was sent from %d to %d under %v", from, to, l)
	return nil
}

func (a *attack) dealt(t *testing.T, b int, l simon.Label) []byte {
	name := [...]string{" for the first evaluator", " for the second evaluator"}[b]
	return a.body(t, 2, simon.Label{Round: l.Round, Vector: l.Vector + name}, a.seats[b])
}

// opened is word i of what evaluator b sent the recipient.
func (a *attack) opened(t *testing.T, b int, l simon.Label, i int) uint64 {
	return binary.LittleEndian.Uint64(a.body(t, b, l, 2)[8*i:])
}

// signShares are, by candidate, evaluator b's shares of gate i of n if the sum is that candidate.
func (a *attack) signShares(t *testing.T, b int, l simon.Label, i, n, bits int, candidates []uint64) []uint64 {
	t.Helper()
	dealt, size := a.dealt(t, b, l), fss.KeySize(bits-1)
	key, constant := dealt[i*size:(i+1)*size], binary.LittleEndian.Uint64(dealt[n*size+8*i:])
	shares := make([]uint64, len(candidates))
	for k, z := range candidates {
		m := (z + a.masks[l][i]) & (1<<bits - 1)
		v, err := fss.NewKeys(a.sid, a.name(l), l.Round).Eval(b, bits-1, key, m&(1<<(bits-1)-1))
		if err != nil {
			t.Fatal(err)
		}
		if v += constant; m>>(bits-1) == 1 {
			v = uint64(1-b) - v
		}
		shares[k] = v
	}
	return shares
}

// countShares are, by candidate, evaluator b's shares of what is left of count i of n if it is that candidate.
func (a *attack) countShares(t *testing.T, b int, l simon.Label, i, n int, least uint64, candidates []uint64) []uint64 {
	t.Helper()
	const bits = 63
	dealt, size := a.dealt(t, b, l), fss.PairKeySize(bits)
	key, constants := dealt[i*size:(i+1)*size], dealt[n*size+24*i:]
	high, product, mask := binary.LittleEndian.Uint64(constants), binary.LittleEndian.Uint64(constants[8:]), binary.LittleEndian.Uint64(constants[16:])
	shares := make([]uint64, len(candidates))
	for k, c := range candidates {
		m := c + a.masks[l][i]
		v, err := fss.NewKeys(a.sid, a.name(l), l.Round).EvalPair(b, bits, key, (m-least)&(1<<bits-1))
		if err != nil {
			t.Fatal(err)
		}
		count := -mask
		if b == 0 {
			count += m
		}
		hidden := m*(high+v[0]) - (product + v[1])
		if (m-least)>>bits == 1 {
			hidden = count - hidden
		}
		shares[k] = count - hidden
	}
	return shares
}

// found are the candidates whose share is what was sent.
func found(shares []uint64, sent uint64) (list []int) {
	for k, s := range shares {
		if s == sent {
			list = append(list, k)
		}
	}
	return list
}

func upTo(n int, from uint64) []uint64 {
	list := make([]uint64, n)
	for i := range list {
		list[i] = from + uint64(i)
	}
	return list
}

// bends are ways to break the rule by which shares are opened.
var bends = map[string]func(id simontest.StreamID, s prg.Stream) prg.Stream{
	"as it should be": nil,
	"no masks":        func(simontest.StreamID, prg.Stream) prg.Stream { return constant(0) },
	"one mask for all": func(id simontest.StreamID, _ prg.Stream) prg.Stream {
		s, err := prg.New(fmt.Appendf(nil, "%32d", id.A+10*id.B))
		if err != nil {
			panic(err)
		}
		return s
	},
}

// TestDealerAndRecipientFindNoRank: how many of the pool's values lie below the thresholds of a selection, for one level and,
// by the difference of what one evaluator sends, for two.
func TestDealerAndRecipientFindNoRank(t *testing.T) {
	const rank, below = 1000, 1 << 12
	list := func(from, n int) string {
		b := []byte("[")
		for i := range n {
			b = fmt.Appendf(b, "%d,", from+i)
		}
		return string(append(b[:len(b)-1], ']'))
	}
	p := prepare(t, simon.KthElement(), fmt.Sprintf(`{"rank":%d,"digit_bits":1}`, rank), []string{list(-700, 1200), list(-10, 800), list(5, 1500)})
	candidates := upTo(below, 0) // counts; the sums compared with 0 are rank less
	for i := range candidates {
		candidates[i] -= rank
	}
	level := func(k int) (in, out simon.Label) {
		return simon.Label{Round: uint32(k + 1), Vector: "thresholds"}, simon.Label{Round: uint32(k + 1), Vector: "digits"}
	}
	for name, bend := range bends {
		for _, dealer := range []int{2, 3} { // the recipient itself, or a helper
			a := attacked(t, p, dealer, bend)
			// Where the candidates' shares are right, the evaluators' sums are the digits that were opened.
			singles, doubles := 0, 0
			const levels = 6
			var shares [levels][2][]uint64
			for k := range levels {
				in, out := level(k)
				for b := range 2 {
					shares[k][b] = a.signShares(t, b, in, 0, 1, 32, candidates)
				}
				digit, like := a.opened(t, 0, out, 0)+a.opened(t, 1, out, 0), 0
				for c := range candidates {
					if shares[k][0][c]+shares[k][1][c] == digit {
						like++
					}
				}
				if want := map[uint64]int{1: rank, 0: below - rank}[digit]; like != want {
					t.Fatalf("%s: digit %d says that the count is one of %d, it should be of %d: the attack is wrong", name, digit, like, want)
				}
				for b := range 2 {
					if len(found(shares[k][b], a.opened(t, b, out, 0))) > 0 {
						singles++
					}
				}
			}
			for k := range levels {
				for later := k + 1; later < levels; later++ {
					_, first := level(k)
					_, second := level(later)
					difference := a.opened(t, 0, first, 0) - a.opened(t, 0, second, 0)
					at := map[uint64]bool{}
					for _, s := range shares[k][0] {
						at[s-difference] = true
					}
					for _, s := range shares[later][0] {
						if at[s] {
							doubles++
							break
						}
					}
				}
			}
			all, pairs := 2*levels, levels*(levels-1)/2
			want := map[string][2]int{"as it should be": {0, 0}, "no masks": {all, pairs}, "one mask for all": {0, pairs}}[name]
			if [2]int{singles, doubles} != want {
				t.Errorf("%s, dealer %d: the counts are found from %d of %d shares and %d of %d differences, want %v", name, dealer, singles, all, doubles, pairs, want)
			}
		}
	}
}

// TestDealerAndRecipientFindNoMiddle: the two elements of a median take their first digits from one key. The difference of what
// an evaluator sends for them must not be that of its shares.
func TestDealerAndRecipientFindNoMiddle(t *testing.T) {
	const below = 1 << 12
	p := prepare(t, simon.SecureMedian(), `{"digit_bits":1}`, []string{"[-1,-2,-3,5]", "[7,7,-8]", "[1,2,3,4,5,6,7]"})
	in, out := simon.Label{Round: 1, Vector: "thresholds"}, simon.Label{Round: 1, Vector: "digits"}
	lower, upper := upTo(below, 0), upTo(below, 0) // 2c - n and one less, for 4 of 14 below: -6
	for i := range lower {
		lower[i] -= below / 2
		upper[i] = lower[i] - 1
	}
	for name, bend := range map[string]func(id simontest.StreamID, s prg.Stream) prg.Stream{
		"as it should be":        nil,
		"one mask for all words": func(simontest.StreamID, prg.Stream) prg.Stream { return constant(0x5c) },
	} {
		for _, dealer := range []int{2, 3} {
			a := attacked(t, p, dealer, bend)
			hits := 0
			for b := range 2 {
				first, second := a.signShares(t, b, in, 0, 1, 32, lower), a.signShares(t, b, in, 0, 1, 32, upper)
				difference := a.opened(t, b, out, 0) - a.opened(t, b, out, 1)
				at := -6 + below/2
				if right := first[at] - second[at]; bend != nil && right != difference {
					t.Fatalf("the difference is %d, that of the shares %d: the attack is wrong", difference, right)
				}
				for i := range first {
					if first[i] != second[i] && first[i]-second[i] == difference { // where they are equal nobody learns more than that
						hits++
					}
				}
			}
			if want := map[bool]int{true: 2, false: 0}[bend != nil]; hits != want {
				t.Errorf("%s, dealer %d: %d of two differences fit, want %d", name, dealer, hits, want)
			}
		}
	}
}

// TestDealerAndRecipientFindNoHiddenCount: the counts of a table that are below suppress_below, and the size of the pool.
func TestDealerAndRecipientFindNoHiddenCount(t *testing.T) {
	const least, below = 1000, 1 << 12
	counts := map[string]int{"a": 3, "b": 0, "c": 999, "d": 1500}
	data := []byte("[")
	for _, name := range []string{"a", "b", "c", "d"} {
		for range counts[name] {
			data = fmt.Appendf(data, "%q,", name)
		}
	}
	data = append(data[:len(data)-1], ']')
	p := prepare(t, simon.StatisticsFrequency(), fmt.Sprintf(`{"categories":["a","b","c","d"],"suppress_below":%d,"least_samples":77}`, least), []string{string(data), "[]", "[]"})
	in, out := simon.Label{Round: 2, Vector: "counts"}, simon.Label{Round: 2, Vector: "surviving counts"}
	for name, bend := range bends {
		for _, dealer := range []int{2, 3} {
			a := attacked(t, p, dealer, bend)
			candidates := upTo(below, 0)
			matches := 0
			var shares [4][2][]uint64
			for i, cell := range []string{"a", "b", "c", "d"} {
				for b := range 2 {
					shares[i][b] = a.countShares(t, b, in, i, 4, least, candidates)
				}
				sum, like := a.opened(t, 0, out, i)+a.opened(t, 1, out, i), 0
				for c := range candidates {
					if shares[i][0][c]+shares[i][1][c] == sum {
						like++
					}
				}
				if hidden := counts[cell] < least; hidden != (sum == 0) || hidden && like != least || !hidden && like != 1 {
					t.Fatalf("%s: cell %s opens %d, which %d counts could be: the attack is wrong", name, cell, sum, like)
				}
				for b := range 2 {
					if list := found(shares[i][b], a.opened(t, b, out, i)); len(list) > 0 {
						matches++
						if len(list) != 1 || list[0] != counts[cell] {
							t.Errorf("%s: cell %s is found as %d", name, cell, list)
						}
					}
				}
			}
			pool, enough := simon.Label{Round: 1, Vector: "pool gates"}, simon.Label{Round: 1, Vector: "pool"}
			for b := range 2 {
				sizes := upTo(below, 0)
				for i := range sizes {
					sizes[i] = 76 - sizes[i]
				}
				if list := found(a.signShares(t, b, pool, 0, 2, 64, sizes), a.opened(t, b, enough, 0)); len(list) > 0 {
					matches++
					if len(list) != 1 || list[0] != 2502 {
						t.Errorf("%s: the size of the pool is found as %d", name, list)
					}
				}
			}
			want := 0
			if name == "no masks" {
				want = 10
			}
			if matches != want {
				t.Errorf("%s, dealer %d: %d numbers are found, want %d", name, dealer, matches, want)
			}
		}
	}
}
