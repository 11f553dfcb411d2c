package simon_test

import (
	"bytes"
	"context"
	"crypto/subtle"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/weftmpc/weft/simon"
	"github.com/weftmpc/weft/simon/prg"
	"github.com/weftmpc/weft/simon/psi"
	"github.com/weftmpc/weft/simon/simontest"
)

const forOpener = "stores for the opener"

func TestSetIntersectionSizeOfMany(t *testing.T) {
	for _, c := range []struct {
		parameters string
		data       []string
		want       string
	}{
		{"", []string{`["a","b","c"]`, `["c","x","b"]`, `["b","y","c","c"]`}, `{"size_intersection":2}`},
		{"", []string{`["a","b"]`, `["b","c"]`, `["c","a"]`}, `{"size_intersection":0}`},
		{"", []string{`["a"]`, `["a"]`, `[]`}, `{"size_intersection":0}`},
		{"", []string{`[]`, `[]`, `[]`, `[]`}, `{"size_intersection":0}`},
		{`{"pad_to":20}`, []string{`"a"`, `["a"]`, `"a"`, `[["a","b"],["c","a"]]`}, `{"size_intersection":1}`},
		{"", []string{numbered(0, 20), numbered(5, 30), numbered(10, 70)}, `{"size_intersection":10}`},
		{`{"suppress_below":2}`, []string{numbered(0, 9), numbered(7, 12), numbered(0, 30)}, `{"size_intersection":2}`},
		{`{"suppress_below":3}`, []string{numbered(0, 9), numbered(7, 12), numbered(0, 30)},
			`{"size_intersection":0,"notes":{"size_intersection":"0 stands for fewer than 3 elements, perhaps none"}}`},
		{`{"suppress_below":3}`, []string{numbered(0, 9), numbered(20, 22), numbered(0, 30)},
			`{"size_intersection":0,"notes":{"size_intersection":"0 stands for fewer than 3 elements, perhaps none"}}`},
		{`{"suppress_below":3}`, []string{numbered(0, 9), numbered(7, 12)},
			`{"size_intersection":2,"notes":{"size_intersection":"fewer than 3 elements (suppress_below): two parties see the number in any case"}}`},
	} {
		got, _ := playSets(t, simon.SetIntersectionSize(), simontest.Options{Seed: 3}, c.parameters, c.data...)
		for i := range got {
			if got[i] != c.want {
				t.Errorf("%s of %.60s: party %d has %s, want %s", c.parameters, c.data, i, got[i], c.want)
			}
		}
	}
}

// TestSizesOfManyAgree: whatever the sets of 3 to 6 parties are and whoever is the first of them, all have the size that a
// comparison in the clear gives.
func TestSizesOfManyAgree(t *testing.T) {
	checkSome(t, 40, func(r *rapid.T) {
		n := rapid.SampledFrom([]int{3, 3, 4, 6}).Draw(r, "parties")
		sets, data := make([][]int, n), make([]string, n)
		for i := range sets {
			sets[i] = rapid.SliceOfN(rapid.IntRange(0, 9), 0, 14).Draw(r, "set")
			b, err := json.Marshal(sets[i])
			if err != nil {
				r.Fatal(err)
			}
			data[i] = string(b)
		}
		want := map[int]bool{}
		for _, x := range sets[0] {
			if !slices.ContainsFunc(sets, func(s []int) bool { return !slices.Contains(s, x) }) {
				want[x] = true
			}
		}
		o := simontest.Options{Seed: rapid.Uint64().Draw(r, "seed"), Positions: rapid.Permutation([]int{0, 1, 2, 3, 4, 5}[:n]).Draw(r, "positions")}
		got, record := playSets(t, simon.SetIntersectionSize(), o, `{"pad_to":16}`, data...)
		for i := range got {
			if got[i] != fmt.Sprintf(`{"size_intersection":%d}`, len(want)) {
				r.Fatalf("party %d of %v has %s", i, data, got[i])
			}
		}
		for _, m := range record.Messages {
			if long := len(m.Body) > 8+psi.Columns(16)*psi.ValueSize; m.Label.Vector == forOpener && long != (o.Positions[m.From] == 0) {
				r.Fatalf("keys come from seat %d at position %d", m.From, o.Positions[m.From])
			}
		}
	})
}

// recorded remembers the key at the beginning of a stream.
type recorded struct {
	prg.Stream
	key func([]byte)
}

func (r recorded) Fill(dst []byte) {
	r.Stream.Fill(dst)
	r.key(dst)
}

// heard is what an opener has: the sum of the stores and the first party's keys.
type heard struct {
	sum  []byte
	keys map[[psi.NameSize]byte]bool
}

// openingOf takes it from the messages to the opener's seat, of lists of 16 elements at the first attempt.
func openingOf(r *simontest.Record) heard {
	size := psi.Columns(16) * psi.ValueSize
	o := heard{make([]byte, size), map[[psi.NameSize]byte]bool{}}
	for _, m := range r.Messages {
		if m.Label.Vector == forOpener && m.To == r.N {
			subtle.XORBytes(o.sum, o.sum, m.Body[8:8+size])
			for _, key := range entries(m.Body[8+size:], psi.NameSize) {
				o.keys[[psi.NameSize]byte(key)] = true
			}
		}
	}
	return o
}

// TestOpenerAndPartiesReadWhatIsSaid: the opener and some parties get out of all that they saw what the description says of them,
// for any of them and any first party: which elements of their sets the first party has, and which of them are in the
// intersection. There is one thing more that they could ask, how many of the first party's other elements all parties outside of
// the coalition have: with the pseudonyms they would know, and the keys do not tell them.
func TestOpenerAndPartiesReadWhatIsSaid(t *testing.T) {
	sets := [][]string{
		{"all", "01", "02", "03", "023", "013", "only 0"}, {"all", "01", "12", "123", "013", "only 1"},
		{"all", "02", "12", "23", "123", "023"}, {"all", "03", "23", "123", "023", "013", "only 3"},
	}
	for first := range 4 {
		for _, coalition := range [][]int{{0}, {1}, {2}, {3}, {0, 1}, {1, 2}, {2, 3}, {1, 2, 3}} {
			var mu sync.Mutex
			zero := map[[2]int][32]byte{}
			positions := []int{1, 2, 3, 0}
			slices.Reverse(positions)
			positions[slices.Index(positions, 0)], positions[first] = positions[first], 0
			parts := make([]simon.SizePart, 4)
			r := simontest.MustRun(t, 4, simontest.Options{Seed: 5, Positions: positions, Roles: map[simon.Role]int{simon.Opener: 4},
				Stream: func(_ int, id simontest.StreamID, s prg.Stream) prg.Stream {
					if id.Purpose != simon.Zero {
						return s
					}
					return recorded{s, func(key []byte) {
						mu.Lock()
						defer mu.Unlock()
						zero[[2]int{id.A, id.B}] = [32]byte(key)
					}}
				}}, func(ctx context.Context, s simon.Session) ([]byte, error) {
				if s.Self() == 4 {
					_, err := simon.PlaySize(ctx, s, nil, 0)
					return nil, err
				}
				var err error
				parts[s.Self()], err = simon.PlaySize(ctx, s, itemsOf(sets[s.Self()]...), 0)
				return nil, err
			})
			// The coalition takes its own stores off, and puts its own shares in.
			o := openingOf(r)
			for _, j := range coalition {
				subtle.XORBytes(o.sum, o.sum, parts[j].Store)
			}
			rest := func(name, key [psi.NameSize]byte) bool { // all others have it
				value := psi.Decode(o.sum, 16, 0, key)
				for pair, k := range zero {
					if slices.Contains(coalition, pair[0]) != slices.Contains(coalition, pair[1]) {
						psi.AddShares(value[:], &k, [][psi.NameSize]byte{name})
					}
				}
				return value == [psi.ValueSize]byte{}
			}
			names := map[string][psi.NameSize]byte{}
			for _, j := range coalition {
				for i, x := range sets[j] {
					names[x] = parts[j].Names[i]
				}
			}
			for x, name := range names {
				everywhere, key := true, psi.StoreKeys([][psi.NameSize]byte{name})[0]
				for i := range sets {
					everywhere = everywhere && (slices.Contains(coalition, i) || slices.Contains(sets[i], x))
				}
				if got, want := o.keys[key], slices.Contains(sets[first], x); got != want {
					t.Errorf("first %d, coalition %v: that the first party has %s is %v", first, coalition, x, got)
				}
				if rest(name, key) != everywhere {
					t.Errorf("first %d, coalition %v: that all others have %s is not %v", first, coalition, x, everywhere)
				}
			}
			outside, readable := 0, 0
			for i, x := range sets[first] {
				if _, known := names[x]; known {
					continue
				}
				name := parts[first].Names[i]
				key := psi.StoreKeys([][psi.NameSize]byte{name})[0]
				if rest(name, key) {
					outside++
				}
				if rest(key, key) {
					readable++
				}
			}
			if readable > 0 {
				t.Errorf("first %d, coalition %v: keys of elements that it does not have tell that %d are everywhere else", first, coalition, readable)
			}
			if first == 0 && slices.Equal(coalition, []int{1}) && outside != 1 { // 023
				t.Errorf("with pseudonyms %d would be found: this test sees nothing", outside)
			}
		}
	}
}

// TestOpenerSeesTheSizeAlone: what the opener gets are random bytes but for the number of zeros, whatever pairs have in common;
// parties get nothing of the stores, and the masks of each pair are in what both send.
func TestOpenerSeesTheSizeAlone(t *testing.T) {
	r := mathrand.NewChaCha8([32]byte{3})
	random := make([]byte, 100_000)
	r.Read(random)
	views := map[string][]byte{}
	size := psi.Columns(16) * psi.ValueSize
	for seed := range uint64(40) {
		_, record := playSets(t, simon.SetIntersectionSize(), simontest.Options{Seed: seed}, "", `["a","b","c","d"]`, `["c","d","e","f"]`, `["a","b","e","f"]`)
		for _, m := range record.Messages {
			if m.Label.Vector != forOpener {
				continue
			}
			if m.To != 3 {
				t.Fatalf("a store goes to seat %d", m.To)
			}
			views["stores"] = append(views["stores"], m.Body[8:8+size]...)
			views["keys"] = append(views["keys"], m.Body[8+size:]...)
		}
		views["sum"] = append(views["sum"], openingOf(record).sum...)
	}
	for name, view := range views {
		likely(t, name, view, random)
	}
	p := prepare(t, simon.SetIntersectionSize(), "", []string{`["a","b"]`, `["b","c"]`, `["c","b"]`})
	shift := make([]byte, size)
	r.Read(shift)
	plain := p.run(t, simontest.Options{Seed: 2})
	moved := p.run(t, simontest.Options{Seed: 2, Stream: func(_ int, id simontest.StreamID, s prg.Stream) prg.Stream {
		if id.Purpose != simon.Mask || id.A != 1 || id.B != 2 {
			return s
		}
		return simontest.Shift(s, size, func(mask []byte) []byte {
			subtle.XORBytes(mask, mask, shift)
			return mask
		})
	}})
	changed := 0
	for i, m := range plain.Messages {
		want := slices.Clone(m.Body)
		if m.Label.Vector == forOpener && (m.From == 1 || m.From == 2) {
			subtle.XORBytes(want[8:], want[8:], shift)
			changed++
		}
		if !bytes.Equal(moved.Messages[i].Body, want) {
			t.Errorf("%v of seat %d is something else", m.Label, m.From)
		}
	}
	if changed != 2 {
		t.Errorf("%d messages are masked by the pair, want 2", changed)
	}
	data := func(n int) []string { return []string{numbered(0, n), numbered(1, n), numbered(2, n+1)} }
	constantLengths(t, simon.SetIntersectionSize(), "", data(3), data(15))
}

// TestFirstPartyShuffles: the place among the keys of the element that was first in the first party's list is uniform
// (chi-squared with 15 degrees of freedom, below the quantile of 1e-7).
func TestFirstPartyShuffles(t *testing.T) {
	const runs = 160
	var counts [16]int
	for seed := range uint64(runs) {
		parts := make([]simon.SizePart, 3)
		r := simontest.MustRun(t, 3, simontest.Options{Seed: seed, Roles: map[simon.Role]int{simon.Opener: 3}}, func(ctx context.Context, s simon.Session) ([]byte, error) {
			var err error
			part, err := simon.PlaySize(ctx, s, itemsOf("a", "b"), 0)
			if s.Self() < 3 {
				parts[s.Self()] = part
			}
			return nil, err
		})
		key := psi.StoreKeys(parts[0].List[:1])[0]
		for _, m := range r.Messages {
			if m.Label.Vector == forOpener && m.From == 0 {
				for place, k := range entries(m.Body[8+psi.Columns(16)*psi.ValueSize:], psi.NameSize) {
					if bytes.Equal(k, key[:]) {
						counts[place]++
					}
				}
			}
		}
	}
	chi, total := 0.0, 0
	for _, k := range counts {
		d := float64(k) - runs/16.0
		chi += d * d / (runs / 16.0)
		total += k
	}
	if total != runs || chi > 62 {
		t.Errorf("%v: chi-squared %.1f", counts, chi)
	}
}

// sizeAt plays with a change of what one seat sends under the opener's labels, and returns all errors, the opener's last.
func sizeAt(t testing.TB, p prepared, from int, bend func(b []byte) []byte) *simontest.Record {
	t.Helper()
	return simontest.Run(t, len(p.inputs), withHelpers(p.m, p.common, rewritten(func(m simontest.Message) []byte {
		if m.From == from && strings.HasPrefix(m.Label.Vector, forOpener) {
			return bend(slices.Clone(m.Body))
		}
		return m.Body
	})), p.part)
}

// TestPartiesThatLieAboutSizes: what no party sends ends the computation with an error of the opener that names who sent it.
func TestPartiesThatLieAboutSizes(t *testing.T) {
	p := prepare(t, simon.SetIntersectionSize(), "", []string{`["a","b"]`, `["b"]`, `["b","c"]`})
	padded := prepare(t, simon.SetIntersectionSize(), `{"pad_to":32}`, []string{`["a","b"]`, `["b"]`, `["b","c"]`})
	for name, c := range map[string]struct {
		p    prepared
		from int
		bend func(b []byte) []byte
		want string
	}{
		"nothing":             {p, 1, func([]byte) []byte { return nil }, "another number of elements"},
		"a head":              {p, 1, func(b []byte) []byte { return b[:8] }, "another number of elements"},
		"short":               {p, 2, func(b []byte) []byte { return b[:len(b)-1] }, "another number of elements"},
		"long":                {p, 1, func(b []byte) []byte { return append(b, 0) }, "another number of elements"},
		"keys of another":     {p, 1, func(b []byte) []byte { return append(b, make([]byte, 16*32)...) }, "another number of elements"},
		"no keys":             {p, 0, func(b []byte) []byte { return b[:len(b)-16*32] }, "another number of elements"},
		"a key twice":         {p, 0, func(b []byte) []byte { copy(b[len(b)-32:], b[len(b)-64:]); return b }, "has an element twice"},
		"another attempt":     {p, 2, func(b []byte) []byte { b[3] = 4; return b }, "an attempt that there is not"},
		"a huge list":         {p, 0, func(b []byte) []byte { b[4] = 0xff; return b }, "another length than was agreed"},
		"an empty list":       {p, 1, func(b []byte) []byte { copy(b[4:], make([]byte, 4)); return b }, "another length than was agreed"},
		"not padded as asked": {padded, 0, func(b []byte) []byte { b[7] = 16; return b }, "another length than was agreed"},
	} {
		r := sizeAt(t, c.p, c.from, c.bend)
		refused, ok := errors.AsType[*simon.SeatError](r.Errs[3])
		if !ok || refused.Seat != c.from || !strings.Contains(refused.Error(), c.want) || !strings.Contains(refused.Error(), "the part for the opener of seat") {
			t.Errorf("%s: %v", name, r.Errs[3])
		}
		public(t, name, r.Errs)
	}
	for name, bend := range map[string]func(b []byte) []byte{"an attempt": func(b []byte) []byte { b[3] = 1; return b }, "a length": func(b []byte) []byte { b[7] = 17; return b }} {
		r := sizeAt(t, p, 1, bend)
		if o, ok := errors.AsType[*simon.OutcomeError](r.Errs[3]); !ok || !strings.Contains(o.Reason, "do not belong together: a party did not follow the protocol") {
			t.Errorf("%s of its own: %v", name, r.Errs[3])
		}
	}
}

// TestOpenersThatLieAboutSizes: a number that cannot be is an outcome at all parties; one that can be is believed, which the
// description says.
func TestOpenersThatLieAboutSizes(t *testing.T) {
	p := prepare(t, simon.SetIntersectionSize(), `{"suppress_below":3}`, []string{numbered(0, 9), numbered(0, 8), numbered(0, 7)})
	say := func(n uint32) func([]byte) []byte {
		return func([]byte) []byte { return binary.BigEndian.AppendUint32(nil, n) }
	}
	for name, c := range map[string]struct {
		bend func(b []byte) []byte
		want string
	}{
		"nothing":          {func([]byte) []byte { return nil }, "the opener announces"},
		"long":             {func(b []byte) []byte { return append(b, 0) }, "the opener announces"},
		"more than lists":  {say(17), "more common elements than the lists have"},
		"huge":             {say(1 << 31), "more common elements than the lists have"},
		"what is hidden":   {say(2), "below suppress_below"},
		"more than have":   {say(10), "more elements are common than this party has"},
		"a believable lie": {say(6), ""},
	} {
		r := sizeAt(t, p, 3, c.bend)
		errs := slices.Clone(r.Errs[:3])
		for seat := range errs {
			if errs[seat] != nil {
				continue
			}
			got, err := p.m.Finish(p.common, p.inputs[seat], r.Results[seat])
			if errs[seat] = err; c.want == "" && string(got) != `{"size_intersection":6}` {
				t.Errorf("%s: %s", name, got)
			}
		}
		public(t, name, errs)
		if c.want != "" {
			outcomes(t, name, errs, c.want, 0, 1, 2)
		}
	}
}

// TestSizeNeedsAnOpener: more than two parties need one, two do not; without it nothing is sent.
func TestSizeNeedsAnOpener(t *testing.T) {
	m := simon.SetIntersectionSize()
	p := prepare(t, m, "", []string{`"a"`, `"a"`, `"a"`})
	if needs := m.Needs(p.common.Parameters, 2); needs != nil || !slices.Equal(m.Needs(p.common.Parameters, 3), []simon.Role{simon.Opener}) || !m.Trusts(simon.Opener) {
		t.Errorf("two need %v, three %v", needs, m.Needs(p.common.Parameters, 3))
	}
	if !strings.Contains(m.WithHelper, "The opener together with any party: that party's intersection with the first party's set, and which of its elements are in the intersection.") {
		t.Errorf("with a helper: %s", m.WithHelper)
	}
	for name, roles := range map[string]map[simon.Role]int{"nobody": {}, "a party": {simon.Opener: 1}} {
		r := simontest.Run(t, 3, simontest.Options{Roles: roles}, p.part)
		if r.Errs[0] == nil || !strings.Contains(r.Errs[0].Error(), "needs an opener that is no party") || len(r.Messages) > 0 {
			t.Errorf("%s opens: %v, %d messages", name, r.Errs, len(r.Messages))
		}
	}
	two := prepare(t, m, "", []string{`"a"`, `"a"`})
	r := simontest.Run(t, 2, simontest.Options{Roles: map[simon.Role]int{simon.Opener: 2}}, func(ctx context.Context, s simon.Session) ([]byte, error) {
		if s.Self() < 2 {
			return nil, nil
		}
		return nil, m.OpenTo(ctx, s, two.common)
	})
	if r.Errs[2] == nil || !strings.Contains(r.Errs[2].Error(), "no opener") {
		t.Errorf("an opener of two: %v", r.Errs[2])
	}
	// Lists that a helper cannot hold are refused before work is done.
	long := prepare(t, m, `{"pad_to":1048576,"max_elements":1048576}`, []string{`"a"`, `"a"`, `"a"`})
	r = simontest.Run(t, 3, withHelpers(m, long.common, simontest.Options{}), long.part)
	if o, ok := errors.AsType[*simon.OutcomeError](r.Errs[0]); !ok || !strings.Contains(o.Reason, "too long for the opener of 3 parties") || len(r.Messages) > 0 {
		t.Errorf("%v, %d messages", r.Errs, len(r.Messages))
	}
}

// TestSizeFollowsThePolicy: suppress_below is what the policy asks for, or more.
func TestSizeFollowsThePolicy(t *testing.T) {
	m, g := simon.SetIntersectionSize(), simon.Guard{Suppress: 5}
	p, err := m.Prepare(strings.NewReader(`[1]`), nil, g)
	if err != nil || !strings.Contains(string(p.Parameters), `"suppress_below":5`) || m.Check(p.Parameters, g) != nil || m.Check(p.Parameters, simon.Guard{Suppress: 6}) == nil {
		t.Errorf("%s %v", p.Parameters, err)
	}
	if _, err := m.Prepare(strings.NewReader(`[1]`), json.RawMessage(`{"suppress_below":4}`), g); err == nil || !strings.Contains(err.Error(), "must be at least 5: this party's policy") {
		t.Error(err)
	}
	if path, _ := refusal(t, simon.SetIntersection(), `[1]`, `{"suppress_below":4}`); path != "parameters.suppress_below" {
		t.Errorf("%s", path)
	}
}

// FuzzOpenedSize: whatever a party sends the opener and whatever that announces, there is a result or an error without values.
func FuzzOpenedSize(f *testing.F) {
	p := prepare(f, simon.SetIntersectionSize(), `{"pad_to":16}`, []string{`["a","b"]`, `["b"]`, `["b","c"]`})
	part := make([]byte, 8+psi.Columns(16)*psi.ValueSize)
	part[7] = 16
	f.Add(uint8(3), []byte{0, 0, 0, 1})
	f.Add(uint8(3), []byte{})
	f.Add(uint8(1), part)
	f.Add(uint8(0), append(part, make([]byte, 16*32)...))
	f.Add(uint8(2), []byte{0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, from uint8, body []byte) {
		r := sizeAt(t, p, int(from%4), func([]byte) []byte { return body })
		for seat, err := range r.Errs {
			if err != nil && longNumber.MatchString(err.Error()) {
				t.Errorf("seat %d: %v", seat, err)
			}
			if err == nil && seat < 3 && len(r.Results[seat]) != 4 {
				t.Errorf("seat %d has %x", seat, r.Results[seat])
			}
		}
	})
}
