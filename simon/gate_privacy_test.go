package simon_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/weftmpc/weft/simon"
	"github.com/weftmpc/weft/simon/prg"
	"github.com/weftmpc/weft/simon/simontest"
)

// gated is one computation of each microprotocol with gates, at four parties.
var gated = []struct {
	m          simon.Microprotocol
	parameters string
	data       [4]string
}{
	{simon.SecureMedian(), `{"least_samples":3,"least_contributors":2,"digit_bits":5}`, [4]string{"[1,2,2]", "[]", "[-7.5,2]", "[9]"}},
	{simon.MinimumMaximum(), `{"digit_bits":4}`, [4]string{"[1,2]", "3", "[-1e308,8]", "[]"}},
	{simon.KthElement(), `{"rank":4,"digit_bits":3,"least_samples":2}`, [4]string{"[1,2]", "[3]", "[4,4,5]", "[6]"}},
	{simon.SecureQuantiles(), `{"digit_bits":4,"probabilities":[0.25,0.5],"type":1,"least_contributors":2}`, [4]string{"[1,2]", "[3]", "[4,4,5]", "[6]"}},
	{simon.SecureQuantiles(), `{"digit_bits":4,"probabilities":[0.3],"type":7}`, [4]string{"[1,2]", "[3]", "[4,4,5]", "[6]"}},
	{simon.SecureTopK(), `{"k":2,"values":"integers"}`, [4]string{"[1,9007199254740993]", "[3]", "[9007199254740994]", "[6]"}},
	{simon.SecureCompare(), `{"threshold":10,"least_samples":4}`, [4]string{"[1,2.5]", "[3]", "[4,-8]", "[60]"}},
	{simon.StatisticsFrequency(), `{"categories":["a","b",1],"suppress_below":3,"least_samples":2,"other":true}`, [4]string{`["a","a","b","z"]`, `["a"]`, `["b","a"]`, `["a"]`}},
	{simon.StatisticsContingency(), `{"categories":[["a","b"],[1,2]],"suppress_below":2}`, [4]string{`[["a",1]]`, `[]`, `[["a",1],["b",2]]`, `[["a",2]]`}},
	{simon.Histogram(), `{"breaks":[0,1,2],"suppress_below":2,"least_contributors":2}`, [4]string{"[0.5,1.5]", "[]", "[0.25]", "[7,1.75,1.5]"}},
	{simon.StatisticsByGroup(), `{"groups":["a","b"],"suppress_below":3,"least_samples":1}`, [4]string{`[[1,"a"],[2,"b"]]`, `[]`, `[[5,"a"],[-7,"a"]]`, `[[3.5,"a"],[4,"b"]]`}},
	{simon.KaplanMeier(), `{"times":[1,2],"suppress_below":2,"least_samples":1}`, [4]string{`[[0.5,1],[2,0]]`, `[]`, `[[1,1],[1.5,1]]`, `[[2,0]]`}},
}

// asRows says whether m reads rows or categories, of which other numbers are none.
func asRows(m simon.Microprotocol) bool {
	return strings.HasPrefix(m.Name, "Statistics") || m.Name == "Histogram" || m.Name == "KaplanMeier"
}

// gateSeatings are who may be evaluators and dealer among four parties: the dealer is a helper, or a party.
func gateSeatings() []map[simon.Role]int {
	return []map[simon.Role]int{
		{simon.S0: 0, simon.S1: 1, simon.Dealer: 4},
		{simon.S0: 3, simon.S1: 0, simon.Dealer: 1},
	}
}

// TestPooledGatesHideWhoHasWhat: two honest parties change their data for each other's, be they evaluators or not. All others
// together, evaluators and dealer among them, cannot tell.
func TestPooledGatesHideWhoHasWhat(t *testing.T) {
	for _, c := range gated {
		for _, roles := range gateSeatings() {
			for _, honest := range [][2]int{{0, 1}, {0, 2}, {1, 2}, {2, 3}} {
				swapped := c.data
				swapped[honest[0]], swapped[honest[1]] = swapped[honest[1]], swapped[honest[0]]
				if swapped == c.data {
					t.Fatalf("%s: parties %v have the same data", c.m.Name, honest)
				}
				if honest[0] == roles[simon.S0] && honest[1] == roles[simon.S1] {
					continue // nobody else sees inputs: TestOpeningsShowNothingButTheResult
				}
				if asksAnybody(c.m, roles) {
					continue // TestWhoSaysYesIsHidden
				}
				reprogrammedAs(t, c.m, c.parameters, roles, c.data[:], swapped[:])
			}
		}
	}
}

// asksAnybody says whether m has no gates on sums with such roles, but numbers of a prime field.
func asksAnybody(m simon.Microprotocol, roles map[simon.Role]int) bool {
	return m.Name == "MinimumMaximum" && roles[simon.Dealer] >= 4
}

// TestWhoSaysYesIsHidden: as TestPooledGatesHideWhoHasWhat, where parties ask whether anybody has a digit. Here masks are
// numbers of 16 bytes mod 2^61-1.
func TestWhoSaysYesIsHidden(t *testing.T) {
	const prime = 1<<61 - 1
	m, data := simon.MinimumMaximum(), [4]string{"[1,2]", "3", "[-1e308,8]", "[]"}
	for _, honest := range [][2]int{{0, 1}, {0, 2}, {1, 2}, {2, 3}} {
		swapped := data
		swapped[honest[0]], swapped[honest[1]] = swapped[honest[1]], swapped[honest[0]]
		a, b := prepare(t, m, `{"digit_bits":4}`, data[:]), prepare(t, m, `{"digit_bits":4}`, swapped[:])
		clearA, clearB := clearVectors(t, a), clearVectors(t, b)
		moved := simontest.Options{Seed: 9, Stream: func(_ int, id simontest.StreamID, s prg.Stream) prg.Stream {
			if id.Purpose != simon.Mask || id.A != honest[0] || id.B != honest[1] {
				return s
			}
			at := vectorAt{id.Path, id.Label, id.A}
			at.label.Vector, _, _ = strings.Cut(at.label.Vector, " after ") // masks that hang on the digits found
			from, to := clearA[at], clearB[at]
			if id.Label.Vector == "samples" {
				return simontest.Shift(s, len(from), func(mask []byte) []byte {
					return addWords(addWords(mask, from, []bool{true}, 1), to, []bool{true}, -1)
				})
			}
			return simontest.Shift(s, 2*len(from), func(mask []byte) []byte {
				for i := range len(from) / 8 {
					x := new(big.Int).SetUint64(binary.LittleEndian.Uint64(mask[16*i+8:]))
					x.Add(x.Lsh(x, 64), new(big.Int).SetUint64(binary.LittleEndian.Uint64(mask[16*i:])))
					x.Add(x, new(big.Int).SetUint64(binary.LittleEndian.Uint64(from[8*i:])))
					x.Sub(x, new(big.Int).SetUint64(binary.LittleEndian.Uint64(to[8*i:])))
					x.Mod(x, big.NewInt(prime))
					binary.LittleEndian.PutUint64(mask[16*i:], x.Uint64())
					binary.LittleEndian.PutUint64(mask[16*i+8:], 0)
				}
				return mask
			})
		}}
		var others []int
		for seat := range data {
			if seat != honest[0] && seat != honest[1] {
				others = append(others, seat)
			}
		}
		first, second, unmoved := a.run(t, simontest.Options{Seed: 9}), b.run(t, moved), b.run(t, simontest.Options{Seed: 9})
		if !sameView(first.View(others...), second.View(others...)) {
			t.Errorf("parties %v and the dealer can tell who of %v has what", others, honest)
		}
		if sameView(first.View(others...), unmoved.View(others...)) {
			t.Error("the view does not depend on the data at all: this test sees nothing")
		}
	}
}

// openings are the evaluators' shares as they are before they are masked.
func openings(t *testing.T, p prepared) map[vectorAt][]byte {
	t.Helper()
	r := p.run(t, simontest.Options{Seed: 9, Stream: func(_ int, id simontest.StreamID, s prg.Stream) prg.Stream {
		if id.Purpose == simon.Opening {
			return constant(0)
		}
		return s
	}})
	shares := map[vectorAt][]byte{}
	for _, m := range r.Messages {
		shares[vectorAt{m.Path, m.Label, m.From}] = m.Body
	}
	return shares
}

// TestOpeningsShowNothingButTheResult: the evaluators are honest and have other data, so that the pool is another one with the
// same result. All other parties and the dealer see the same, bit for bit, under other masks between the evaluators.
func TestOpeningsShowNothingButTheResult(t *testing.T) {
	for _, c := range []struct {
		m          simon.Microprotocol
		parameters string
		a, b       [4]string
	}{
		// The number of values, all counts, and where the median lies among them differ.
		{simon.SecureMedian(), `{"least_samples":3,"digit_bits":5}`, [4]string{"[1,2,2]", "[4]", "2", "[]"}, [4]string{"[]", "[2,2]", "2", "[]"}},
		{simon.SecureQuantiles(), `{"type":1,"probabilities":[0.25,0.9],"digit_bits":4}`, [4]string{"[1,5]", "[]", "[1,5]", "[]"}, [4]string{"[1,1,2]", "[5,5,5]", "[1,5]", "[]"}},
		{simon.SecureTopK(), `{"k":2}`, [4]string{"[7,8]", "[9]", "[1]", "[]"}, [4]string{"[-1,-1,8,0]", "[9,3]", "[1]", "[]"}},
		{simon.MinimumMaximum(), `{"digit_bits":4}`, [4]string{"[1,2]", "[9]", "[3]", "[]"}, [4]string{"[9]", "[8.5,1]", "[3]", "[]"}},
		{simon.SecureCompare(), `{"threshold":10,"least_contributors":2}`, [4]string{"[1e3]", "[]", "[3]", "[]"}, [4]string{"[5]", "[3]", "[3]", "[]"}},
		{simon.StatisticsFrequency(), `{"categories":["a","b","c"],"suppress_below":3}`, [4]string{`["a","a"]`, `["a","b","b"]`, `[]`, `[]`}, [4]string{`["a"]`, `["a","a","c"]`, `[]`, `[]`}},
		{simon.StatisticsContingency(), `{"categories":[["a","b"],[1]],"suppress_below":3}`, [4]string{`[["a",1]]`, `[["a",1]]`, `[["b",1]]`, `[["b",1],["b",1]]`}, [4]string{`[]`, `[]`, `[["b",1]]`, `[["b",1],["b",1]]`}},
		{simon.Histogram(), `{"breaks":[0,1],"suppress_below":5}`, [4]string{"[0.5,0.5]", "[0.5,0.5,7]", "[]", "[]"}, [4]string{"[]", "[]", "[]", "[]"}},
		{simon.StatisticsByGroup(), `{"groups":["a","b"],"suppress_below":2}`, [4]string{`[[1,"a"]]`, `[[2,"b"]]`, `[[1,"b"]]`, `[]`}, [4]string{`[]`, `[[2,"b"]]`, `[[1,"b"]]`, `[]`}},
		{simon.KaplanMeier(), `{"times":[1,2],"suppress_below":3}`, [4]string{`[[0.5,1],[2,0],[2,0]]`, `[[2,0]]`, `[[1,0]]`, `[]`}, [4]string{`[[0.5,0],[2,0]]`, `[[2,0],[2,0]]`, `[[1,0]]`, `[]`}},
	} {
		for _, dealer := range []int{2, 4} {
			evaluators := map[simon.Role]int{simon.S0: 1, simon.S1: 0, simon.Dealer: dealer}
			if asksAnybody(c.m, evaluators) {
				continue
			}
			a, b := prepare(t, c.m, c.parameters, c.a[:]), prepare(t, c.m, c.parameters, c.b[:])
			a.roles, b.roles = evaluators, evaluators
			sharesA, sharesB := openings(t, a), openings(t, b)
			clearA, clearB := clearVectors(t, a), clearVectors(t, b) // of what is opened with ordinary masks
			moved := simontest.Options{Seed: 9, Stream: func(_ int, id simontest.StreamID, s prg.Stream) prg.Stream {
				from, masked := sharesA, sharesB
				at := vectorAt{id.Path, id.Label, 1} // the first evaluator adds the mask
				switch {
				case id.Purpose == simon.Mask && id.A == 0 && id.B == 1:
					from, masked, at.seat = clearA, clearB, 0
				case id.Purpose != simon.Opening:
					return s
				}
				begins := slices.Repeat([]bool{true}, len(from[at])/8)
				return simontest.Shift(s, len(from[at]), func(mask []byte) []byte {
					return addWords(addWords(mask, from[at], begins, 1), masked[at], begins, -1)
				})
			}}
			if strings.HasPrefix(c.m.Name, "StatisticsByGroup") { // its sums have elements of several words
				starts := elements(t, a, clearA)
				stream := moved.Stream
				moved.Stream = func(seat int, id simontest.StreamID, s prg.Stream) prg.Stream {
					at := vectorAt{id.Path, id.Label, 0}
					if id.Purpose == simon.Mask && id.A == 0 && id.B == 1 && len(clearA[at]) > 0 {
						return simontest.Shift(s, len(clearA[at]), func(mask []byte) []byte {
							return addWords(addWords(mask, clearA[at], starts[at], 1), clearB[at], starts[at], -1)
						})
					}
					return stream(seat, id, s)
				}
			}
			first, second := a.run(t, simontest.Options{Seed: 9}), b.run(t, moved)
			if !sameView(first.View(2, 3), second.View(2, 3)) {
				t.Errorf("%s, dealer %d: the other parties can tell pools of one result apart", c.m.Name, dealer)
			}
			if unmoved := b.run(t, simontest.Options{Seed: 9}); sameView(first.View(2, 3), unmoved.View(2, 3)) {
				t.Errorf("%s: the view does not depend on the data at all: this test sees nothing", c.m.Name)
			}
			if shape(first) != shape(second) {
				t.Errorf("%s: the messages differ", c.m.Name)
			}
			for seat := range 4 {
				if !bytes.Equal(first.Results[seat], second.Results[seat]) {
					t.Errorf("%s: seat %d opened something else", c.m.Name, seat)
				}
			}
		}
	}
}

// TestInputsOfGatesUnderTheDealersMasks: without the dealer, one evaluator and all parties but one see the same inputs for any
// number of that party, under other masks that it shares with the dealer.
func TestInputsOfGatesUnderTheDealersMasks(t *testing.T) {
	for _, c := range gated {
		other := c.data
		switch {
		case asRows(c.m) && c.data[2] != "[]":
			other[2] = "[]"
		case strings.Contains(c.parameters, `"type":7`):
			other[2] = "[-77,-78,-79]" // the wanted ranks follow from how many there are, which is opened
		default:
			other[2] = "[77,78,79,80,81]"
		}
		a, b := prepare(t, c.m, c.parameters, c.data[:]), prepare(t, c.m, c.parameters, other[:])
		a.roles = map[simon.Role]int{simon.S0: 0, simon.S1: 1, simon.Dealer: 3}
		b.roles = a.roles
		clearA, clearB := clearVectors(t, a), clearVectors(t, b)
		moved := simontest.Options{Seed: 9, Stream: func(_ int, id simontest.StreamID, s prg.Stream) prg.Stream {
			if id.Purpose != simon.Deal || id.A != 2 {
				return s
			}
			at := vectorAt{id.Path, id.Label, 2}
			begins := slices.Repeat([]bool{true}, len(clearA[at])/8)
			return simontest.Shift(s, len(clearA[at]), func(mask []byte) []byte {
				return addWords(addWords(mask, clearA[at], begins, 1), clearB[at], begins, -1)
			})
		}}
		first, second := firstInputs(a.run(t, simontest.Options{Seed: 9})), firstInputs(b.run(t, moved))
		if !sameView(first, second) {
			t.Errorf("%s: one evaluator sees what party 2 has", c.m.Name)
		}
		if unmoved := firstInputs(b.run(t, simontest.Options{Seed: 9})); sameView(first, unmoved) {
			t.Errorf("%s: the inputs do not depend on the data at all: this test sees nothing", c.m.Name)
		}
	}
}

// firstInputs are what evaluators got before anything was opened that may differ.
func firstInputs(r *simontest.Record) []simontest.Message {
	var view []simontest.Message
	for _, m := range r.Messages {
		if m.Kind == simontest.SendInput && m.Label.Round == r.Messages[firstInput(r)].Label.Round {
			view = append(view, m)
		}
	}
	return view
}

func firstInput(r *simontest.Record) int {
	return slices.IndexFunc(r.Messages, func(m simontest.Message) bool { return m.Kind == simontest.SendInput })
}

// TestGatesHaveMessagesOfOneShape: numbers, labels and lengths of messages do not depend on data.
func TestGatesHaveMessagesOfOneShape(t *testing.T) {
	for _, c := range gated {
		others := [][4]string{{c.data[3], c.data[2], c.data[1], c.data[0]}, {c.data[0], c.data[0], c.data[0], c.data[0]}}
		if !asRows(c.m) {
			others = append(others, [4]string{"[-1000,100,100,100]", "[7]", "[1,2,3,4,5,6]", "[1,1]"})
		}
		for _, other := range others {
			constantLengths(t, c.m, c.parameters, c.data[:], other[:])
		}
	}
}

// TestWhatGatesSendIsUniform: inputs to evaluators and masked shares, and sums of two of three inputs, look like random bytes.
func TestWhatGatesSendIsUniform(t *testing.T) {
	const runs = 3000
	p := prepare(t, simon.SecureCompare(), `{"threshold":-3}`, []string{"7", "[]", "-10"})
	sent := map[string][]byte{}
	for seed := range uint64(runs) {
		r := p.run(t, simontest.Options{Seed: seed})
		inputs := map[simon.Label][3][]byte{}
		for _, m := range r.Messages {
			switch {
			case m.Kind == simontest.SendInput:
				three := inputs[m.Label]
				three[m.From] = m.Body
				inputs[m.Label] = three
			case m.Kind == simontest.Exchange && m.To == 2:
				at := fmt.Sprint(m.Label, "from", m.From)
				sent[at] = append(sent[at], m.Body...)
			}
		}
		for l, three := range inputs {
			for i, body := range three {
				begins := slices.Repeat([]bool{true}, len(body)/8)
				at := fmt.Sprint(l, i)
				sent[at] = append(sent[at], body...)
				sent[at+" and the next"] = append(sent[at+" and the next"], addWords(body, three[(i+1)%3], begins, 1)...)
			}
		}
	}
	if len(sent) != 3+3+2 {
		t.Fatalf("%d kinds of vectors", len(sent))
	}
	for _, at := range slices.Sorted(maps.Keys(sent)) {
		stride := len(sent[at]) / runs
		if stride == 0 || stride%8 != 0 {
			t.Fatalf("%s has %d bytes", at, stride)
		}
		for position := range stride {
			if !uniform(sent[at], position, stride) {
				t.Errorf("byte %d of %s is not uniform", position, at)
			}
		}
	}
}

// TestFactorsHideHowManySayYes: what is opened of a question looks like a random number, whether one party says yes or all do.
func TestFactorsHideHowManySayYes(t *testing.T) {
	const prime = 1<<61 - 1
	for _, data := range [][]string{{"1", "1", "1"}, {"1", "[]", "[]"}} {
		p := prepare(t, simon.MinimumMaximum(), `{"digit_bits":2}`, data)
		var low []byte
		for seed := range uint64(100) {
			sums := map[simon.Label]*[192]big.Int{}
			for _, m := range p.run(t, simontest.Options{Seed: seed}).Messages {
				if m.Label.Vector != "at least times factor" || m.To != 2 && (m.From != 2 || m.To != 0) {
					continue
				}
				if sums[m.Label] == nil {
					sums[m.Label] = new([192]big.Int)
				}
				for i := range len(m.Body) / 8 {
					sum := &sums[m.Label][i]
					sum.Add(sum, new(big.Int).SetUint64(binary.LittleEndian.Uint64(m.Body[8*i:])))
				}
			}
			for level := range uint32(32) {
				for i := range 6 {
					x := &sums[simon.Label{Round: level + 1, Vector: "at least times factor"}][i]
					if x.Mod(x, big.NewInt(prime)).Sign() != 0 {
						low = append(low, byte(x.Uint64()))
					}
				}
			}
		}
		if len(low) < 5000 || !uniform(low, 0, 1) {
			t.Errorf("%v: the low bytes of %d opened numbers are not uniform", data, len(low))
		}
	}
}
