package simon_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/weftmpc/weft/simon"
	"github.com/weftmpc/weft/simon/matrix"
	"github.com/weftmpc/weft/simon/prg"
	"github.com/weftmpc/weft/simon/simontest"
)

// gridMatrix is a matrix of whole numbers on the grid of 1e-18, with what is summed over as rows.
func gridMatrix(rows [][]int64) matrix.Matrix {
	m := matrix.New(len(rows), len(rows[0]))
	grid := new(big.Int).Exp(big.NewInt(10), big.NewInt(18), nil)
	for i, row := range rows {
		for j, x := range row {
			if err := m.SetInt(i, j, new(big.Int).Mul(big.NewInt(x), grid)); err != nil {
				panic(err)
			}
		}
	}
	return m
}

// moved adds a matrix to what a stream begins with.
func moved(s prg.Stream, by matrix.Matrix) prg.Stream {
	return simontest.Shift(s, len(by.Bytes()), func(mask []byte) []byte {
		m, err := matrix.Decode(by.Rows(), by.Columns(), mask)
		if err != nil {
			panic(err)
		}
		m.Add(by)
		return m.Bytes()
	})
}

// TestFactorsUnderTheirMasks: a party has another matrix with the same product. Under another mask of its own, and what the
// dealer's share of the masks' product becomes by that, the other party sees the same, bit for bit.
func TestFactorsUnderTheirMasks(t *testing.T) {
	const member = "product"
	for _, c := range []struct {
		mine     string // whose matrix is another one
		a, b     [2]string
		by       [][]int64 // b less a, with what is summed over as rows
		observer int
	}{
		{"left", [2]string{"[[1,2,5],[0,1,1]]", "[[1],[1],[0]]"}, [2]string{"[[2,1,9],[-3,4,1]]", "[[1],[1],[0]]"}, [][]int64{{1, -3}, {-1, 3}, {4, 0}}, 1},
		{"right", [2]string{"[[1,1,0]]", "[[1,0],[2,7],[3,1]]"}, [2]string{"[[1,1,0]]", "[[5,1],[-2,6],[1000,1]]"}, [][]int64{{4, 1}, {-4, -1}, {997, 0}}, 0},
	} {
		a, b := prepare(t, simon.SecureMatrixMultiplication(), "", c.a[:]), prepare(t, simon.SecureMatrixMultiplication(), "", c.b[:])
		by := gridMatrix(c.by)
		right := func() matrix.Matrix { // the mask of the right matrix, as it is before
			key := [3]int{by.Rows(), 1, 0}
			m := matrix.New(key[0], key[1])
			var once sync.Once
			a.run(t, simontest.Options{Seed: 9, Stream: func(_ int, id simontest.StreamID, s prg.Stream) prg.Stream {
				if id.Label.Vector == member+" right mask" {
					return recorder{s, func(read []byte) {
						once.Do(func() {
							got, err := matrix.Decode(key[0], key[1], read[:key[0]*key[1]*matrix.Size])
							if err != nil {
								panic(err)
							}
							m.Add(got)
						})
					}}
				}
				return s
			}})
			return m
		}
		shift := map[string]matrix.Matrix{member + " " + c.mine + " mask": by}
		if c.mine == "left" {
			share := matrix.New(by.Columns(), 1)
			if err := share.AddCross(t.Context(), by, right()); err != nil {
				t.Fatal(err)
			}
			shift[member+" left share"] = share
		}
		options := simontest.Options{Seed: 9, Stream: func(_ int, id simontest.StreamID, s prg.Stream) prg.Stream {
			if by, ok := shift[id.Label.Vector]; ok && id.Purpose == simon.Deal {
				return moved(s, by)
			}
			return s
		}}
		first, second, unmoved := a.run(t, simontest.Options{Seed: 9}), b.run(t, options), b.run(t, simontest.Options{Seed: 9})
		if !sameView(first.View(c.observer), second.View(c.observer)) {
			t.Errorf("%s: the other party can tell matrices of one product apart", c.mine)
		}
		if sameView(first.View(c.observer), unmoved.View(c.observer)) {
			t.Errorf("%s: the view does not depend on the data at all: this test sees nothing", c.mine)
		}
		if len(first.View(2)) != 0 {
			t.Error("the dealer sees something")
		}
		if !bytes.Equal(first.Results[0], second.Results[0]) || shape(first) != shape(second) {
			t.Errorf("%s: another product, or other messages", c.mine)
		}
	}
}

// TestWhatProductsSendIsUniform: masked matrices, dealt shares and opened shares look like random bytes, whatever the numbers.
func TestWhatProductsSendIsUniform(t *testing.T) {
	const runs = 3000
	for _, data := range [][]string{{"[[0,0]]", "[[0],[0]]"}, {"[[1e12,-1e12]]", "[[1e12],[1e-18]]"}} {
		p := prepare(t, simon.SecureMatrixMultiplication(), "", data)
		sent := map[string][]byte{}
		for seed := range uint64(runs) {
			r := p.run(t, simontest.Options{Seed: seed})
			for _, m := range r.Messages {
				sent[m.Label.Vector+fmt.Sprint(m.From)] = append(sent[m.Label.Vector+fmt.Sprint(m.From)], m.Body...)
			}
		}
		if len(sent) != 5 {
			t.Fatalf("%d kinds of messages", len(sent))
		}
		for what, b := range sent {
			stride := len(b) / runs
			for position := range stride {
				if !uniform(b, position, stride) {
					t.Errorf("%v: byte %d of %s is not uniform", data, position, what)
				}
			}
		}
	}
}

// TestOpenedSharesHaveNoLowBits: what two parties open together is a multiple of the last digit that counts; nothing of the
// digits behind it is there.
func TestOpenedSharesHaveNoLowBits(t *testing.T) {
	cut, err := matrix.NewCut(36, 12, 2)
	if err != nil {
		t.Fatal(err)
	}
	p := prepare(t, simon.SecureMatrixMultiplication(), "", []string{"[[0.123456789012345678]]", "[[0.987654321098765432]]"})
	seen := map[string]bool{}
	for seed := range uint64(50) {
		opened := p.run(t, simontest.Options{Seed: seed}).Results[0][12:]
		m, err := matrix.Decode(1, 1, opened)
		if err != nil {
			t.Fatal(err)
		}
		if m.Int(0, 0).TrailingZeroBits() < uint(cut.Bits()) {
			t.Fatalf("%d bits are dropped, and bit %d is there", cut.Bits(), m.Int(0, 0).TrailingZeroBits())
		}
		seen[string(opened)] = true
	}
	if len(seen) > 2 {
		t.Errorf("one product is opened in %d ways: at most a neighbour beside it", len(seen))
	}
}

// TestNeighboursAreNotTheDealersToTell: as which of two neighbours a number comes out depends on what the parties have among
// themselves, and so tells a dealer nothing of the numbers, which knows all that the shares were made of.
func TestNeighboursAreNotTheDealersToTell(t *testing.T) {
	p := prepare(t, simon.SecureMatrixMultiplication(), "", []string{"[[0.123456789012345678]]", "[[0.987654321098765432]]"})
	seen := map[string]bool{}
	for seed := range uint64(50) {
		opened := p.run(t, simontest.Options{Seed: seed, Stream: func(_ int, id simontest.StreamID, s prg.Stream) prg.Stream {
			if id.Purpose != simon.Deal {
				return s
			}
			key := make([]byte, prg.KeySize)
			copy(key, id.Label.Vector)
			dealt, err := prg.New(key)
			if err != nil {
				panic(err)
			}
			return dealt
		}}).Results[0]
		seen[string(opened)] = true
	}
	if len(seen) != 2 {
		t.Errorf("with the same dealt masks one number is opened in %d ways, want both neighbours", len(seen))
	}
}

// TestProductsUseNoStreamTwice: two products in nested calls of one computation.
func TestProductsUseNoStreamTwice(t *testing.T) {
	p := prepare(t, simon.SecureMatrixMultiplication(), "", []string{"[[1,2],[3,4]]", "[[5],[6]]"})
	checkStreams(t, 2, func(ctx context.Context, s simon.Session) error {
		for range 2 {
			call := s.Call("product")
			var err error
			if s.Self() == 2 {
				err = p.m.Deal(ctx, call, p.common)
			} else {
				_, err = p.m.Run(ctx, call, p.common, p.inputs[s.Self()])
			}
			if err != nil {
				return err
			}
			s.Join(call)
		}
		return nil
	})
}

// checkStreams plays with a dealer behind n parties, and fails if two streams of anybody begin alike, or one is read at other
// than two ends.
func checkStreams(t *testing.T, n int, play func(ctx context.Context, s simon.Session) error) {
	t.Helper()
	var mu sync.Mutex
	first, ends := map[string]simontest.StreamID{}, map[simontest.StreamID]int{}
	o := simontest.Options{Roles: map[simon.Role]int{simon.Dealer: n}, Stream: func(_ int, id simontest.StreamID, s prg.Stream) prg.Stream {
		return simontest.Shift(s, 16, func(b []byte) []byte {
			mu.Lock()
			defer mu.Unlock()
			if before, ok := first[string(b)]; ok && before != id {
				t.Errorf("%v and %v are one stream", id, before)
			}
			first[string(b)] = id
			ends[id]++
			return b
		})
	}}
	r := simontest.MustRun(t, n, o, func(ctx context.Context, s simon.Session) ([]byte, error) { return nil, play(ctx, s) })
	for id, k := range ends {
		if k != 2 {
			t.Errorf("%v is read %d times", id, k)
		}
	}
	for _, m := range r.Messages {
		if m.To == n {
			t.Errorf("the dealer receives %v", m.Label)
		}
	}
	if len(ends) == 0 {
		t.Error("no stream was used")
	}
}

// TestBodiesThatAreNoMatrices: bodies of other lengths end the computation with an error that says whose they are, and no
// number of theirs.
func TestBodiesThatAreNoMatrices(t *testing.T) {
	bends := map[string]func(b []byte) []byte{
		"nothing": func([]byte) []byte { return nil }, "short": func(b []byte) []byte { return b[:len(b)-8] }, "long": func(b []byte) []byte { return append(slices.Clone(b), b...) },
		"odd": func(b []byte) []byte { return b[1:] },
	}
	p := prepare(t, simon.SecureMatrixMultiplication(), "", []string{"[[1,2],[3,4]]", "[[5],[6]]"})
	for what, c := range map[string]struct {
		to   int
		says string
	}{
		"product left less its mask": {1, "masked matrix of seat 0"}, "product right less its mask": {0, "masked matrix of seat 1"},
		"product right share": {1, "what the dealer sent"}, "product": {0, "masked vector of seat 1"},
	} {
		for name, bend := range bends {
			_, errs := lied(t, p, rewritten(func(m simontest.Message) []byte {
				if m.Label.Vector == what && m.To == c.to {
					return bend(m.Body)
				}
				return m.Body
			}))
			if errs[c.to] == nil || !strings.Contains(errs[c.to].Error(), c.says) {
				t.Errorf("%s, %s: %v", what, name, errs)
			}
			public(t, what, errs)
		}
	}
}

// TestProductsThatCannotBe: noise in place of a share is a number beyond what the terms allow, and an outcome at both.
func TestProductsThatCannotBe(t *testing.T) {
	p := prepare(t, simon.SecureMatrixMultiplication(), "", []string{"[[1,2],[3,4]]", "[[5],[6]]"})
	for _, what := range []string{"product left less its mask", "product right less its mask", "product right share"} {
		_, errs := lied(t, p, rewritten(func(m simontest.Message) []byte {
			b := slices.Clone(m.Body)
			if m.Label.Vector == what {
				for i := range b {
					b[i] ^= byte(i*i*31 + 7)
				}
			}
			return b
		}))
		for seat, err := range errs {
			if o, ok := errors.AsType[*simon.OutcomeError](err); !ok || !strings.Contains(o.Reason, "did not follow the protocol") {
				t.Errorf("%s, seat %d: %v", what, seat, err)
			}
		}
		public(t, what, errs)
	}
	whole := p.run(t, simontest.Options{Seed: 3}).Results[0]
	for n := range whole { // what is stored may be damaged
		if got, err := p.m.Finish(p.common, p.inputs[0], whole[:n]); err == nil {
			t.Errorf("of %d bytes: %s", n, got)
		}
	}
	for i := range whole {
		b := slices.Clone(whole)
		b[i] ^= 0x81
		if got, err := p.m.Finish(p.common, p.inputs[0], b); err == nil && i < 12 && i != 4 && i != 5 && i != 6 && i != 7 {
			t.Errorf("byte %d changed: %s", i, got)
		}
	}
	for n := range p.inputs[0] {
		short := p
		short.inputs = [][]byte{p.inputs[0][:n], p.inputs[1]}
		if _, errs := lied(t, short, simontest.Options{}); errs[0] == nil || errors.Is(errs[0], context.Canceled) {
			t.Errorf("an input of %d bytes of %d: %v", n, len(p.inputs[0]), errs[0])
		}
	}
}

func FuzzMatrixData(f *testing.F) {
	for _, s := range []string{`[[[1,2],[3,4]]]`, `[[1,2],[3]]`, `[1,2]`, `7`, `[[[[`, `[[1e12,-0]]`, `[[],[]]`, "[[1,\"a\"]]"} {
		f.Add(s)
	}
	m := simon.SecureMatrixMultiplication()
	f.Fuzz(func(t *testing.T, data string) {
		one, err := m.Prepare(strings.NewReader(data), nil, simon.Guard{})
		if err != nil {
			if _, ok := errors.AsType[*simon.InputError](err); !ok {
				t.Fatalf("%q: %v", data, err)
			}
			return
		}
		for position := range 2 {
			if _, err := m.Complete(simon.Placed{Position: position, Parties: 2, Parameters: one.Parameters, Input: one.Input}); err != nil {
				t.Fatalf("%q is taken, and then not: %v", data, err)
			}
		}
	})
}

// FuzzOtherParameters: whatever another party's request says, this one's stays in its form.
func FuzzOtherParameters(f *testing.F) {
	for _, s := range []string{`{"right":[2,3]}`, `{"right":[2,null]}`, `{"right":"x","left":[1]}`, `[`, ``, `{"right":[2,1048576]}`} {
		f.Add(s)
	}
	m := simon.SecureMatrixMultiplication()
	one, err := m.Prepare(strings.NewReader(`[[1,2]]`), nil, simon.Guard{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, other string) {
		c, err := m.Complete(simon.Placed{Parties: 2, Parameters: one.Parameters, Input: one.Input, Other: []byte(other), OtherPosition: 1})
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Check(c, simon.Guard{}); err != nil {
			t.Fatalf("%s after %q: %v", c, other, err)
		}
	})
}
