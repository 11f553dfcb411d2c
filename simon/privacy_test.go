package simon_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"testing"

	"github.com/weftmpc/weft/simon"
	"github.com/weftmpc/weft/simon/prg"
	"github.com/weftmpc/weft/simon/simontest"
)

// prepared is what the parties of a test enter: one input each, and parameters on which they agree.
type prepared struct {
	m      simon.Microprotocol
	common simon.Common
	inputs [][]byte
	roles  map[simon.Role]int // where a run's options have none
}

func prepare(t testing.TB, m simon.Microprotocol, parameters string, data []string) prepared {
	t.Helper()
	p := prepared{m: m, common: simon.Common{Parties: len(data)}}
	for i, d := range data {
		one, err := m.Prepare(strings.NewReader(d), json.RawMessage(parameters), simon.Guard{})
		if err != nil {
			t.Fatalf("data of party %d: %v", i, err)
		}
		if i > 0 && !bytes.Equal(one.Parameters, p.common.Parameters) {
			t.Fatalf("parties disagree: %s and %s", p.common.Parameters, one.Parameters)
		}
		p.common.Parameters = one.Parameters
		p.inputs = append(p.inputs, one.Input)
	}
	var err error
	if p.common.Parameters, err = completed(m, p.common.Parameters, p.inputs, nil); err != nil {
		t.Fatal(err)
	}
	return p
}

// part is what each seat plays.
func (p prepared) part(ctx context.Context, s simon.Session) ([]byte, error) {
	if s.Self() >= s.N() {
		return nil, help(ctx, s, p.m, p.common)
	}
	return p.m.Run(ctx, s, p.common, p.inputs[s.Self()])
}

func (p prepared) run(t testing.TB, o simontest.Options) *simontest.Record {
	t.Helper()
	if o.Roles == nil {
		o.Roles = p.roles
	}
	return simontest.MustRun(t, len(p.inputs), withHelpers(p.m, p.common, o), p.part)
}

// reprogrammed is the deterministic test of privacy. Two parties, honest ones, have other data in dataB than in dataA, but
// everything that is opened is the same. Then there are masks under which all others together see the same in both cases,
// bit for bit, so that they cannot tell them apart: the test finds those masks, by shifting what the honest pair shares by
// the difference of their inputs. It fails where anything of the inputs travels outside of the masks. That it sees the
// inputs at all shows the same comparison with the masks left as they were.
func reprogrammed(t testing.TB, m simon.Microprotocol, parameters string, dataA, dataB []string) {
	t.Helper()
	reprogrammedAs(t, m, parameters, nil, dataA, dataB)
}

// reprogrammedAs is reprogrammed with the seats of evaluators and dealer; nil: as withHelpers has them. The others have the
// dealer's secrets too: neither its masks nor its private randomness change.
func reprogrammedAs(t testing.TB, m simon.Microprotocol, parameters string, roles map[simon.Role]int, dataA, dataB []string) {
	t.Helper()
	var honest, others []int
	for i := range dataA {
		if dataA[i] != dataB[i] {
			honest = append(honest, i)
		} else {
			others = append(others, i)
		}
	}
	if len(honest) != 2 || len(others) == 0 {
		t.Fatalf("%d of %d parties have other data: it must be two, and there must be others", len(honest), len(dataA))
	}
	a, b := prepare(t, m, parameters, dataA), prepare(t, m, parameters, dataB)
	if !bytes.Equal(a.common.Parameters, b.common.Parameters) {
		t.Fatalf("parameters depend on data: %s and %s", a.common.Parameters, b.common.Parameters)
	}
	a.roles, b.roles = roles, roles
	clearA, clearB := clearVectors(t, a), clearVectors(t, b)
	starts := elements(t, a, clearA)

	moved := simontest.Options{Seed: 9, Stream: func(_ int, id simontest.StreamID, s prg.Stream) prg.Stream {
		if id.Purpose != simon.Mask || id.A != honest[0] || id.B != honest[1] {
			return s
		}
		at := vectorAt{id.Path, id.Label, id.A}
		at.label.Vector, _, _ = strings.Cut(at.label.Vector, " after ") // masks that hang on what was opened
		return simontest.Shift(s, len(clearA[at]), func(mask []byte) []byte {
			// The lower seat adds the mask: mask + (a - b) hides b as mask hides a.
			return addWords(addWords(mask, clearA[at], starts[at.of()], 1), clearB[at], starts[at.of()], -1)
		})
	}}
	first, second := a.run(t, simontest.Options{Seed: 9}), b.run(t, moved)
	if !sameView(first.View(others...), second.View(others...)) {
		t.Errorf("%s: parties %v can tell data of one total apart", m.Name, others)
	}
	if unmoved := b.run(t, simontest.Options{Seed: 9}); sameView(first.View(others...), unmoved.View(others...)) {
		t.Errorf("%s: the view does not depend on the data at all: this test sees nothing", m.Name)
	}
	for seat := range dataA {
		if !bytes.Equal(first.Results[seat], second.Results[seat]) {
			t.Errorf("%s: seat %d opened something else", m.Name, seat)
		}
	}
}

// vectorAt names the vector that a seat sends under a label.
type vectorAt struct {
	path  string
	label simon.Label
	seat  int
}

// of names all seats' vectors by that of seat 0.
func (v vectorAt) of() vectorAt { v.seat = 0; return v }

// constant is a stream of one byte.
type constant byte

func (c constant) Fill(dst []byte) {
	for i := range dst {
		dst[i] = byte(c)
	}
}

// clearVectors are the vectors as they are before they are masked: all masks are 0.
func clearVectors(t testing.TB, p prepared) map[vectorAt][]byte {
	return vectorsUnder(t, p, 0)
}

// vectorsUnder plays with masks that all consist of one byte, at both ends, so that sums are as always.
func vectorsUnder(t testing.TB, p prepared, mask constant) map[vectorAt][]byte {
	t.Helper()
	r := p.run(t, simontest.Options{Seed: 9, Stream: func(_ int, id simontest.StreamID, s prg.Stream) prg.Stream {
		if id.Purpose == simon.Mask {
			return mask
		}
		return s
	}})
	vectors := map[vectorAt][]byte{}
	for _, m := range r.Messages {
		vectors[vectorAt{m.Path, m.Label, m.From}] = m.Body
	}
	return vectors
}

// elements finds where the elements of vectors begin, without knowing their layout: for each word, whether it takes no carry
// from the word before. Seat 0 adds two or more masks that consist of ones, so that every word has a carry.
func elements(t testing.TB, p prepared, clear map[vectorAt][]byte) map[vectorAt][]bool {
	t.Helper()
	starts := map[vectorAt][]bool{}
	masks := uint64(len(p.inputs) - 1)
	if masks < 2 {
		t.Fatal("the layout shows with three parties or more")
	}
	for at, body := range vectorsUnder(t, p, 0xff) {
		if at.seat != 0 || bytes.Equal(body, clear[at]) { // no masks: a message of another kind
			continue
		}
		if len(body)%8 != 0 || len(body) != len(clear[at]) {
			t.Fatalf("%v: %d bytes, in the clear %d", at, len(body), len(clear[at]))
		}
		begins := make([]bool, len(body)/8)
		for i := range begins {
			// A word x plus so many words of ones is x minus so many, and what is carried into it.
			carry := binary.LittleEndian.Uint64(body[8*i:]) - binary.LittleEndian.Uint64(clear[at][8*i:]) + masks
			if carry > masks {
				t.Fatalf("%v: word %d is no sum of its masks", at, i)
			}
			begins[i] = carry == 0
		}
		starts[at] = begins
	}
	return starts
}

// addWords is x + sign·y, element by element.
func addWords(x, y []byte, begins []bool, sign int) []byte {
	if len(x) != len(y) || len(x) != 8*len(begins) {
		panic(fmt.Sprintf("%d and %d bytes, %d words", len(x), len(y), len(begins)))
	}
	z := slices.Clone(x)
	var carry uint64
	for i, begins := range begins {
		if begins {
			carry = 0
		}
		a, b := binary.LittleEndian.Uint64(x[8*i:]), binary.LittleEndian.Uint64(y[8*i:])
		if sign > 0 {
			a, carry = bits.Add64(a, b, carry)
		} else {
			a, carry = bits.Sub64(a, b, carry)
		}
		binary.LittleEndian.PutUint64(z[8*i:], a)
	}
	return z
}

// shape is a run's messages without their bodies.
func shape(r *simontest.Record) string {
	var s strings.Builder
	for _, m := range r.Messages {
		fmt.Fprintln(&s, m.Kind, m.Path, m.Label, m.From, m.To, len(m.Body))
	}
	return s.String()
}

// constantLengths: what travels has the same lengths for either data.
func constantLengths(t testing.TB, m simon.Microprotocol, parameters string, dataA, dataB []string) {
	t.Helper()
	a, b := shape(prepare(t, m, parameters, dataA).run(t, simontest.Options{})), shape(prepare(t, m, parameters, dataB).run(t, simontest.Options{}))
	if a != b || a == "" {
		t.Errorf("%s: the messages\n%sdiffer from\n%s", m.Name, a, b)
	}
}

// simulated compares what each party sends, and the sum of what two of three send, with what a simulator would put there,
// uniform bytes: a chi-square test at every byte of the vectors, at a level of 1e-6, for fixed seeds. data are those of three
// parties. It returns the number of bytes of a vector.
func simulated(t testing.TB, m simon.Microprotocol, parameters string, data []string) int {
	t.Helper()
	const runs = 4000
	p := prepare(t, m, parameters, data)
	clear := clearVectors(t, p)
	starts := elements(t, p, clear)
	sent := map[vectorAt][]byte{} // one run after the other
	for seed := range uint64(runs) {
		vectors := map[vectorAt][]byte{}
		for _, m := range p.run(t, simontest.Options{Seed: seed}).Messages {
			vectors[vectorAt{m.Path, m.Label, m.From}] = m.Body
		}
		for at, body := range vectors {
			next := at
			next.seat = (at.seat + 1) % 3
			sent[at] = append(sent[at], body...)
			both := at
			both.seat += 3
			sent[both] = append(sent[both], addWords(body, vectors[next], starts[at.of()], 1)...)
		}
	}
	size := 0
	for at, b := range sent {
		stride := len(b) / runs
		size = max(size, stride)
		for position := range stride {
			if !uniform(b, position, stride) {
				t.Errorf("%s: byte %d of %v is not uniform", m.Name, position, at)
			}
		}
	}
	return size
}
