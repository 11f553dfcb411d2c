package simon_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/weftmpc/weft/simon"
	"github.com/weftmpc/weft/simon/prg"
	"github.com/weftmpc/weft/simon/simontest"
)

// ranked are the microprotocols that have modes, with parameters that a mode is added to.
var ranked = []struct {
	m          simon.Microprotocol
	parameters string
}{
	{simon.SecureMedian(), `"digit_bits":3`},
	{simon.KthElement(), `"digit_bits":3,"rank":3`},
	{simon.SecureQuantiles(), `"digit_bits":3,"type":1,"probabilities":[0,0.3,1]`},
	{simon.SecureQuantiles(), `"digit_bits":3,"type":7,"probabilities":[0.25]`},
	{simon.SecureTopK(), `"digit_bits":3,"k":3`},
}

func withMode(parameters, mode string) string {
	return fmt.Sprintf(`{%s,"mode":%q,"least_samples":2,"least_contributors":1}`, parameters, mode)
}

// TestModesGiveOneResult: whoever sees the counts, the result is the same, and so is that there is none.
func TestModesGiveOneResult(tt *testing.T) {
	checkSome(tt, 50, func(t *rapid.T) {
		_, data := pooledDoubles(t, 0)
		c := ranked[rapid.IntRange(0, len(ranked)-1).Draw(t, "which")]
		want, _, errWant := play(tt, c.m, simontest.Options{Seed: 1}, simon.Guard{}, data, withMode(c.parameters, "compare"))
		for _, mode := range []string{"opener-counts", "open-counts"} {
			got, _, err := play(tt, c.m, simontest.Options{Seed: 1}, simon.Guard{}, data, withMode(c.parameters, mode))
			if got != want || (err == nil) != (errWant == nil) {
				t.Fatalf("%s, %s: %s %v, want %s %v", c.m.Name, mode, got, err, want, errWant)
			}
			var outcome *simon.OutcomeError
			if err != nil && !errors.As(err, &outcome) {
				t.Fatalf("%s, %s: %v", c.m.Name, mode, err)
			}
		}
	})
}

// TestModesSayWhatTheyNeedAndDisclose: who must take part, and what a policy has to allow.
func TestModesSayWhatTheyNeedAndDisclose(t *testing.T) {
	for _, c := range ranked {
		for mode, want := range map[string]struct {
			roles     []simon.Role
			discloses []simon.Disclosure
		}{
			"compare":       {[]simon.Role{simon.S0, simon.S1, simon.Dealer}, nil},
			"opener-counts": {[]simon.Role{simon.Opener}, []simon.Disclosure{simon.PooledCountsToOpener}},
			"open-counts":   {nil, []simon.Disclosure{simon.PooledCountsToAll}},
		} {
			p := prepare(t, c.m, withMode(c.parameters, mode), []string{"[1,2,3]", "[4]"})
			if got := c.m.Needs(p.common.Parameters, 2); !slices.Equal(got, want.roles) {
				t.Errorf("%s, %s needs %v", c.m.Name, mode, got)
			}
			if got := c.m.Discloses(p.common.Parameters); !slices.Equal(got, want.discloses) {
				t.Errorf("%s, %s discloses %v", c.m.Name, mode, got)
			}
		}
		for _, says := range []string{"With mode opener-counts, the opener, which is no party, learns the wanted elements, how many values of the pool lie below", "With mode open-counts, every party, recipient or not, learns those counts"} {
			if !strings.Contains(c.m.Leakage, says) {
				t.Errorf("%s does not say %q", c.m.Name, says)
			}
		}
		if !strings.Contains(c.m.WithHelper, "With mode opener-counts") || !slices.Contains(c.m.Roles, simon.Opener) {
			t.Errorf("%s does not describe its opener", c.m.Name)
		}
		if path, _ := refusal(t, c.m, "[1]", `{"rank":1,"mode":"show-all"}`); c.m.Name == "KthElement" && path != "parameters.mode" {
			t.Errorf("an unknown mode: %s", path)
		}
	}
	if p := prepare(t, simon.SecureMedian(), "", []string{"1", "2"}); !strings.Contains(string(p.common.Parameters), `"mode":"compare"`) {
		t.Errorf("by default %s", p.common.Parameters)
	}
}

// counts are the sums of a step of which the opener got the parts.
func countsAt(r *simontest.Record, round uint32) []uint64 {
	var sums []uint64
	for _, m := range r.Messages {
		if m.Label != (simon.Label{Round: round, Vector: "counts"}) || m.To != r.N {
			continue
		}
		if sums == nil {
			sums = make([]uint64, len(m.Body)/8)
		}
		for i := range sums {
			sums[i] += binary.LittleEndian.Uint64(m.Body[8*i:])
		}
	}
	return sums
}

// TestOpenerSeesPooledCountsAlone: two honest parties change their data for each other's, and the opener together with all
// others cannot tell; what it gets in each step adds up to counts of the pool. No party gets anything but announcements.
func TestOpenerSeesPooledCountsAlone(t *testing.T) {
	data := []string{"[1,2,2]", "[9]", "[-7.5,2]", "[]"}
	for _, c := range ranked {
		for _, honest := range [][2]int{{0, 1}, {1, 2}, {0, 3}} {
			swapped := slices.Clone(data)
			swapped[honest[0]], swapped[honest[1]] = swapped[honest[1]], swapped[honest[0]]
			parameters := withMode(c.parameters, "opener-counts")
			a, b := prepare(t, c.m, parameters, data), prepare(t, c.m, parameters, swapped)
			clearA, clearB := clearVectors(t, a), clearVectors(t, b)
			shift := simontest.Options{Seed: 9, Stream: func(_ int, id simontest.StreamID, s prg.Stream) prg.Stream {
				if id.Purpose != simon.Mask || id.A != honest[0] || id.B != honest[1] {
					return s
				}
				l := id.Label
				l.Vector, _, _ = strings.Cut(l.Vector, " after ")
				at := vectorAt{id.Path, l, id.A}
				from, to := clearA[at], clearB[at]
				if from == nil || to == nil {
					t.Errorf("no message has the masks %v", id)
				}
				return simontest.Shift(s, len(from), func(mask []byte) []byte {
					whole := slices.Repeat([]bool{true}, len(from)/8)
					return addWords(addWords(mask, from, whole, 1), to, whole, -1)
				})
			}}
			others := []int{4}
			for seat := range data {
				if seat != honest[0] && seat != honest[1] {
					others = append(others, seat)
				}
			}
			first, second, unmoved := a.run(t, simontest.Options{Seed: 9}), b.run(t, shift), b.run(t, simontest.Options{Seed: 9})
			if !sameView(first.View(others...), second.View(others...)) {
				t.Errorf("%s: the opener and parties but %v can tell who has what", c.m.Name, honest)
			}
			if sameView(first.View(others...), unmoved.View(others...)) {
				t.Errorf("%s: the view does not depend on the data at all: this test sees nothing", c.m.Name)
			}
			for _, m := range first.View(0, 1, 2, 3) {
				if m.From != 4 && m.Label.Vector != "samples" {
					t.Errorf("%s: party %d gets %v of party %d", c.m.Name, m.To, m.Label, m.From)
				}
			}
		}
	}
	// The first digits of the median have 2 bits: thresholds are at the words 40…, 80… and c0…; -7.5 is 3fe1…, 1 is bff0…, 2 is c000….
	r := prepare(t, simon.SecureMedian(), withMode(`"digit_bits":3`, "opener-counts"), data).run(t, simontest.Options{Seed: 3})
	var want []uint64
	for range 2 {
		for _, below := range []int64{1, 1, 2} {
			want = append(want, uint64(2*below-6))
		}
	}
	for i := 3; i < 6; i++ { // of the upper median 2c ≤ n
		want[i]--
	}
	if got := countsAt(r, 1); !slices.Equal(got, want) {
		t.Errorf("the opener sees %d, want %d", got, want)
	}
}

// TestOpenersThatLie: what is no digit is an outcome at all parties, and so is a word of another length; a digit in range is
// believed, which the description says.
func TestOpenersThatLie(t *testing.T) {
	data := []string{"[17,4]", "[5]", "[6,-3]"}
	for _, c := range ranked {
		p := prepare(t, c.m, withMode(c.parameters, "opener-counts"), data)
		says := func(vector string, round uint32, bend func(b []byte) []byte) (results []string, errs []error) {
			return lied(t, p, rewritten(func(m simontest.Message) []byte {
				if m.Kind != simontest.Exchange || m.From != 3 || m.Label != (simon.Label{Round: round, Vector: vector + " announced"}) {
					return m.Body
				}
				return bend(m.Body)
			}))
		}
		for _, round := range []uint32{1, 9, 22} {
			for name, more := range map[string]byte{"too large": 8, "no digit": 0xf0} {
				_, errs := says("counts", round, func(b []byte) []byte { return append([]byte{b[0] + more}, b[1:]...) })
				outcomes(t, c.m.Name+", "+name, errs, "a digit of a result is out of range", 0, 1, 2)
				public(t, c.m.Name, errs)
			}
			for name, bend := range map[string]func(b []byte) []byte{
				"nothing": func([]byte) []byte { return nil }, "short": func(b []byte) []byte { return b[1:] }, "long": func(b []byte) []byte { return append(b, 0) },
			} {
				_, errs := says("counts", round, bend)
				outcomes(t, c.m.Name+", "+name, errs, "the opener announces", 0, 1, 2)
				public(t, c.m.Name, errs)
			}
		}
		_, errs := says("pool for the opener", 1, func(b []byte) []byte { return []byte{2, 1} })
		outcomes(t, c.m.Name+", pool", errs, "the opener's answer about the size of the pool is none", 0, 1, 2)
	}
	p := prepare(t, simon.KthElement(), `{"rank":3,"digit_bits":4,"mode":"opener-counts"}`, data)
	results, errs := lied(t, p, rewritten(func(m simontest.Message) []byte {
		if m.From == 3 && m.Label.Round == 4 {
			return append([]byte{m.Body[0] - 1}, m.Body[1:]...)
		}
		return m.Body
	}))
	if errs[2] != nil || results[2] == `{"samples":5,"item":5}` || results[2] != results[1] {
		t.Errorf("a lie that nobody can see: %s, %v", results[2], errs[2])
	}
}

// TestPartiesThatLieToTheOpener: vectors of other lengths are the sender's error; counts that no pool has are an outcome.
func TestPartiesThatLieToTheOpener(t *testing.T) {
	for _, c := range ranked {
		for _, mode := range []string{"opener-counts", "open-counts"} {
			p := prepare(t, c.m, withMode(c.parameters, mode), []string{"[17,4]", "[5]", "[6,-3]"})
			reader := map[string]int{"opener-counts": 3, "open-counts": 2}[mode]
			for name, bend := range map[string]func(b []byte) []byte{
				"none": func([]byte) []byte { return nil }, "short": func(b []byte) []byte { return b[8:] }, "long": func(b []byte) []byte { return append(b, b...) },
			} {
				_, err := bent(t, p, 1, reader, bend)
				if err == nil || !strings.Contains(err.Error(), "seat 1") || !strings.Contains(err.Error(), "masked vector") {
					t.Errorf("%s, %s, %s: %v", c.m.Name, mode, name, err)
				}
			}
			_, err := bent(t, p, 1, reader, func(b []byte) []byte {
				b = slices.Clone(b)
				last := b[len(b)-8:]
				binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)+1<<62)
				binary.LittleEndian.PutUint64(last, binary.LittleEndian.Uint64(last)-1<<62)
				return b
			})
			if o, ok := errors.AsType[*simon.OutcomeError](err); !ok || o.Reason != "the counts of values do not grow: a party did not follow the protocol" {
				t.Errorf("%s, %s: counts that fall: %v", c.m.Name, mode, err)
			}
		}
	}
}

// bent plays p with a change of what a party sends for the counts of the second digit, and returns the error of the seat that
// reads it.
func bent(t *testing.T, p prepared, from, reader int, bend func(b []byte) []byte) ([]byte, error) {
	t.Helper()
	o := rewritten(func(m simontest.Message) []byte {
		if m.From == from && m.Label == (simon.Label{Round: 2, Vector: "counts"}) {
			return bend(m.Body)
		}
		return m.Body
	})
	r := simontest.Run(t, len(p.inputs), withHelpers(p.m, p.common, o), func(ctx context.Context, s simon.Session) ([]byte, error) {
		if s.Self() >= s.N() {
			return nil, help(ctx, s, p.m, p.common)
		}
		return p.m.Run(ctx, s, p.common, p.inputs[s.Self()])
	})
	return r.Results[reader], r.Errs[reader]
}

// TestTwoWordsOfTheOpener: an opener that shows one party another digit than the rest gets masked vectors of it that do not add
// up with the others': not the counts at one place, and not those of some parties at one and of others at another.
func TestTwoWordsOfTheOpener(t *testing.T) {
	p := prepare(t, simon.SecureMedian(), `{"digit_bits":3,"mode":"opener-counts"}`, []string{"[1,2,2]", "[9]", "[-7.5,2]"})
	honest := p.run(t, simontest.Options{Seed: 4})
	steered := func(to int) []uint64 { // the sums of the second digit where these seats hear another first one
		r := simontest.Run(t, 3, withHelpers(p.m, p.common, simontest.Options{Seed: 4, Rewrite: func(m simontest.Message) []byte {
			if m.Label == (simon.Label{Round: 1, Vector: "counts announced"}) && (to < 0 || m.To == to) {
				return append([]byte{m.Body[0] ^ 1}, m.Body[1:]...)
			}
			return m.Body
		}}), func(ctx context.Context, s simon.Session) ([]byte, error) {
			if s.Self() >= s.N() { // it goes on whatever the sums are
				for round := range uint32(2) {
					l := simon.Label{Round: round + 1, Vector: "counts"}
					if _, err := s.Receive(ctx, []int{0, 1, 2}, l); err != nil {
						return nil, err
					}
					said := make([]byte, 16)
					for _, m := range honest.Messages {
						if m.From == 3 && m.To == 0 && m.Label == (simon.Label{Round: round + 1, Vector: "counts announced"}) {
							copy(said, m.Body)
						}
					}
					if _, err := s.Exchange(ctx, []int{3}, simon.Label{Round: round + 1, Vector: "counts announced"}, said); err != nil {
						return nil, err
					}
				}
				return nil, errors.New("that was enough")
			}
			return p.m.Run(ctx, s, p.common, p.inputs[s.Self()])
		})
		return countsAt(r, 2)
	}
	small := func(sums []uint64) int {
		n := 0
		for _, z := range sums {
			if int64(z) > -100 && int64(z) < 100 {
				n++
			}
		}
		return n
	}
	if sums := countsAt(honest, 2); len(sums) != 6 || small(sums) != 6 {
		t.Fatalf("honest counts are %d", sums)
	}
	if sums := steered(-1); len(sums) != 6 || small(sums) != 6 { // all steered alike: nobody can know
		t.Fatalf("counts of parties that are steered alike are %d", sums)
	}
	for seat := range 3 {
		if sums := steered(seat); len(sums) != 6 || small(sums) > 0 {
			t.Errorf("where seat %d is steered elsewhere the opener reads %d", seat, sums)
		}
	}
}

// TestNoOpener: without the seat, or with a party in it, nothing is sent.
func TestNoOpener(t *testing.T) {
	p := prepare(t, simon.SecureMedian(), `{"mode":"opener-counts"}`, []string{"1", "2", "3"})
	for name, roles := range map[string]map[simon.Role]int{"nobody": {}, "a party": {simon.Opener: 1}} {
		r := simontest.Run(t, 3, simontest.Options{Roles: roles}, func(ctx context.Context, s simon.Session) ([]byte, error) {
			return p.m.Run(ctx, s, p.common, p.inputs[s.Self()])
		})
		for seat, err := range r.Errs {
			if err == nil || !strings.Contains(err.Error(), "needs an opener that is no party") {
				t.Errorf("%s opens: seat %d: %v", name, seat, err)
			}
		}
		if len(r.Messages) > 0 {
			t.Errorf("%s opens, and there are %d messages", name, len(r.Messages))
		}
	}
	q := prepare(t, simon.SecureMedian(), "", []string{"1", "2", "3"})
	r := simontest.Run(t, 3, simontest.Options{Roles: map[simon.Role]int{simon.Opener: 3}}, func(ctx context.Context, s simon.Session) ([]byte, error) {
		if s.Self() < 3 {
			return nil, nil
		}
		return nil, q.m.OpenTo(ctx, s, q.common)
	})
	if r.Errs[3] == nil || !strings.Contains(r.Errs[3].Error(), "no opener") {
		t.Errorf("an opener where there is none: %v", r.Errs[3])
	}
}

// TestModeTranscripts: what is sent to whom, and that shapes do not depend on the data.
func TestModeTranscripts(t *testing.T) {
	for _, mode := range []string{"opener-counts", "open-counts"} {
		p := prepare(t, simon.SecureMedian(), withMode(`"digit_bits":11`, mode), []string{"[1,2,2]", "[9]", "[-7.5,2]"})
		r := p.run(t, simontest.Options{Seed: 12})
		simontest.Golden(t, "median-"+mode, r.Transcript())
		other := prepare(t, simon.SecureMedian(), withMode(`"digit_bits":11`, mode), []string{"[1e300]", "[5,5,5,5]", "[]"}).run(t, simontest.Options{Seed: 12})
		if len(other.Messages) != len(r.Messages) {
			t.Fatalf("%s: %d messages, with other data %d", mode, len(r.Messages), len(other.Messages))
		}
		for i, m := range r.Messages {
			if o := other.Messages[i]; o.Label != m.Label || o.From != m.From || o.To != m.To || len(o.Body) != len(m.Body) {
				t.Errorf("%s: message %d is %v of %d bytes, with other data %v of %d", mode, i, m.Label, len(m.Body), o.Label, len(o.Body))
			}
		}
	}
}

// FuzzAnnouncement: whatever an opener announces, each party has a result or an error without values.
func FuzzAnnouncement(f *testing.F) {
	f.Add(uint32(1), []byte{1, 0, 0, 0, 0, 0, 0, 0})
	f.Add(uint32(3), []byte{})
	f.Add(uint32(2), bytes.Repeat([]byte{0xff}, 8))
	f.Fuzz(func(t *testing.T, round uint32, said []byte) {
		p := prepare(t, simon.KthElement(), `{"rank":2,"digit_bits":11,"mode":"opener-counts"}`, []string{"[1,2]", "[3]"})
		results, errs := lied(t, p, rewritten(func(m simontest.Message) []byte {
			if m.From == 2 && m.Label.Round == round%6+1 {
				return said
			}
			return m.Body
		}))
		public(t, "announcement", errs)
		for seat := range results {
			if errs[seat] == nil && !json.Valid([]byte(results[seat])) {
				t.Errorf("seat %d has %s", seat, results[seat])
			}
		}
	})
}
