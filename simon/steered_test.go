package simon_test

import (
	"context"
	"encoding/binary"
	"math/bits"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/weftmpc/weft/simon"
	"github.com/weftmpc/weft/simon/simontest"
)

// TestPartiesThatAreSteered: what parties add up in a later step depends on what was opened before. A party that shows one of two
// others another total gets vectors that do not add up, and not those of the one for one total and of the other for another:
// by a total of its choice it could leave one party's numbers alone in the sum.
func TestPartiesThatAreSteered(t *testing.T) {
	for _, c := range []struct {
		m           simon.Microprotocol
		parameters  string
		data        []string
		first, next simon.Label
		word, limbs int // what is changed of the first total, from its end if negative, and the words of an element of the next one
	}{
		{
			simon.ANOVA(), `{"groups":["a","b"],"levene":true}`,
			[]string{`[[1,"a"],[2,"a"],[3,"b"]]`, `[[2,"b"],[3,"b"],[4,"a"]]`, `[[5,"a"],[6,"b"]]`},
			simon.Label{Round: 2, Vector: "sums"}, simon.Label{Round: 3, Vector: "deviations"}, 2, 4,
		},
		{
			simon.LogisticRegression(), ``, []string{"[[0,0],[0,0],[0,0]]", "[[1,0],[1,1],[1,1]]", "[[1,1],[0,1]]"},
			simon.Label{Round: 2, Vector: "columns"}, simon.Label{Round: 3, Vector: "point"}, -3, 3,
		},
		{
			simon.LogisticRegression(), ``, []string{"[[0,0],[0,0],[0,0]]", "[[1,0],[1,1],[1,1]]", "[[1,1],[0,1]]"},
			simon.Label{Round: 3, Vector: "point"}, simon.Label{Round: 4, Vector: "point"}, 3, 3,
		},
	} {
		p := prepare(t, c.m, c.parameters, c.data)
		small := func(steered func(to int) bool) (all bool) { // whether the next vectors of the parties add up to small numbers
			over, stop := context.WithCancel(t.Context())
			defer stop()
			var sent atomic.Int32
			r := simontest.Run(t, 3, simontest.Options{Seed: 3, Rewrite: func(m simontest.Message) []byte {
				if m.Label == c.next && m.To != m.From && sent.Add(1) == 6 {
					stop() // that was enough: parties that are steered apart may wait for each other
				}
				if m.From != 2 || m.Label != c.first || !steered(m.To) {
					return m.Body
				}
				b := slices.Clone(m.Body)
				word := b[(8*c.word+len(b))%len(b):]
				binary.LittleEndian.PutUint64(word, binary.LittleEndian.Uint64(word)+1)
				return b
			}}, func(ctx context.Context, s simon.Session) ([]byte, error) {
				ctx, end := context.WithCancel(ctx)
				defer end()
				defer context.AfterFunc(over, end)()
				defer stop() // the others have sent theirs, or wait for this one's for ever
				return p.m.Run(ctx, s, p.common, p.inputs[s.Self()])
			})
			var sum []uint64
			for _, m := range r.Messages {
				if m.Label != c.next || m.To != (m.From+1)%3 {
					continue
				}
				if sum == nil {
					sum = make([]uint64, len(m.Body)/8)
				}
				var carry uint64
				for i := range sum {
					if i%c.limbs == 0 {
						carry = 0
					}
					sum[i], carry = bits.Add64(sum[i], binary.LittleEndian.Uint64(m.Body[8*i:]), carry)
				}
			}
			if len(sum) < 2*c.limbs || sent.Load() < 6 {
				t.Fatalf("%s, %v: %d words in %d messages, %v", c.m.Name, c.first, len(sum), sent.Load(), r.Errs)
			}
			for i := c.limbs - 1; i < len(sum); i += c.limbs {
				if sum[i]+1 > 1 { // neither 0 nor -1
					return false
				}
			}
			return true
		}
		if !small(func(int) bool { return false }) {
			t.Errorf("%s: the honest vectors do not add up", c.m.Name)
		}
		for seat := range 2 {
			if small(func(to int) bool { return to == seat }) {
				t.Errorf("%s: where seat %d is shown another %s, the next vectors add up all the same", c.m.Name, seat, c.first.Vector)
			}
		}
	}
}

// TestOpenerThatLetsSmallPoolsPass: where the number of samples is opened, an opener that says there are enough is found before
// anything else is.
func TestOpenerThatLetsSmallPoolsPass(t *testing.T) {
	p := prepare(t, simon.KthElement(), `{"rank":3,"mode":"opener-counts","least_samples":30}`, []string{"[17,4]", "[5]", "[6,-3]"})
	_, errs := lied(t, p, rewritten(func(m simontest.Message) []byte {
		if m.From == 3 {
			return []byte{1, 1}
		}
		if m.Label.Vector == "counts" {
			t.Error("counts are on their way")
		}
		return m.Body
	}))
	outcomes(t, "pool", errs, "the number of samples is not one that was checked before", 0, 1, 2)
}

// TestSignsAtAllOffsets: every sum and every offset of narrow gates, up to both ends of what they hold.
func TestSignsAtAllOffsets(t *testing.T) {
	for _, bits := range []int{3, 4, 5} {
		least, most := -(int64(1) << (bits - 1)), int64(1)<<(bits-1)-1
		var sums, offsets []int64
		var z []uint64
		for x := least; x <= most; x++ {
			sums, z = append(sums, x), append(z, uint64(x))
		}
		for x := least - most; x <= most-least; x++ {
			offsets = append(offsets, x)
		}
		roles := map[simon.Role]int{simon.S0: 0, simon.S1: 1, simon.Dealer: 2}
		none := make([]uint64, len(z))
		for seed := range uint64(40) { // other masks
			got := playGate(t, 2, simontest.Options{Seed: seed, Roles: roles}, [][]uint64{z, none, none}, func(ctx context.Context, s simon.Session, x []uint64) ([]uint64, error) {
				return simon.PlaySignsAt(ctx, s, simon.Label{Round: 1, Vector: "all"}, bits, x, offsets)
			})
			for i, offset := range offsets {
				for k, x := range sums {
					if y := x + offset; y >= least && y <= most && (got[i*len(sums)+k] == 1) != (y < 0) {
						t.Fatalf("%d bits: %d + %d < 0 is %d", bits, x, offset, got[i*len(sums)+k])
					}
				}
			}
		}
	}
}
