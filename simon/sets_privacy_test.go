package simon_test

import (
	"bytes"
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	mathrand "math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/gtank/ristretto255"

	"github.com/weftmpc/weft/simon"
	"github.com/weftmpc/weft/simon/prg"
	"github.com/weftmpc/weft/simon/psi"
	"github.com/weftmpc/weft/simon/simontest"
)

// drawing is a session of another computation, with another private randomness.
type drawing struct {
	simon.Session
	sid [32]byte
	r   io.Reader
}

func (d drawing) SID() [32]byte                  { return d.sid }
func (d drawing) Rand() io.Reader                { return d.r }
func (d drawing) Call(name string) simon.Session { return drawing{d.Session.Call(name), d.sid, d.r} }
func (d drawing) Join(children ...simon.Session) {
	for _, c := range children {
		d.Session.Join(c.(drawing).Session)
	}
}

func itemsOf(texts ...string) (items [][]byte) {
	for _, s := range texts {
		b, err := psi.AppendText(nil, s)
		if err != nil {
			panic(err)
		}
		items = append(items, b)
	}
	return items
}

// TestIntersectionsAreUnlinkable: even if parties drew the very same private randomness again, nothing that they send for a
// set in one computation occurs for the same set in another one, nor in another comparison of the same computation. Only
// public points of keys do, and random elements, of which full lists have none.
func TestIntersectionsAreUnlinkable(t *testing.T) {
	var items [][]byte
	for i := range 16 {
		items = append(items, itemsOf(fmt.Sprint(i))...)
	}
	for _, n := range []int{2, 3} {
		seen, linked := map[string]string{}, ""
		for _, sid := range []byte{1, 2} {
			r := simontest.MustRun(t, n, simontest.Options{Seed: uint64(sid)}, func(ctx context.Context, s simon.Session) ([]byte, error) {
				for _, name := range []string{"x", "y", "x"} {
					d := drawing{s, [32]byte{sid}, mathrand.NewChaCha8([32]byte{byte(s.Self())})}
					if _, err := simon.PlayOverlap(ctx, d, name, items); err != nil {
						return nil, err
					}
				}
				return nil, nil
			})
			for _, m := range r.Messages {
				if m.Label.Vector == "bound" || strings.HasPrefix(m.Label.Vector, "encoded") {
					continue
				}
				body := m.Body
				if m.Label.Vector == "blinded elements" {
					body = body[psi.PointSize:]
				}
				where := fmt.Sprint("computation ", sid, ", ", m.Path)
				for _, e := range entries(body, psi.HashSize) {
					if before, ok := seen[string(e)]; ok && before != where {
						linked = fmt.Sprintf("%s and %s have 16 bytes of %q in common", before, where, m.Label.Vector)
					}
					seen[string(e)] = where
				}
			}
		}
		if want := map[int]int{2: 300, 3: 3000}[n]; linked != "" || len(seen) < want {
			t.Errorf("%d parties, %d entries: %s", n, len(seen), linked)
		}
	}
}

// TestFailedStoreIsRetried: a party that cannot encode makes all parties try again, with other bands and masks, up to four
// times; then none has a result.
func TestFailedStoreIsRetried(t *testing.T) {
	for _, failures := range []int{1, 3, 4} {
		r := simontest.Run(t, 3, simontest.Options{Seed: 6}, func(ctx context.Context, s simon.Session) ([]byte, error) {
			mine, err := simon.PlayOverlap(ctx, &unable{Session: s, left: failures}, "x", itemsOf("a", fmt.Sprint(s.Self()), "b"))
			return []byte(fmt.Sprint(mine)), err
		})
		stores := map[string]bool{}
		for _, m := range r.Messages {
			if strings.HasPrefix(m.Label.Vector, "stores") {
				stores[m.Label.Vector] = true
			}
		}
		if failures == 4 {
			if err := r.Errs[0]; err == nil || !strings.Contains(err.Error(), "could not be encoded") || len(stores) > 0 {
				t.Errorf("%v, and %v were sent", err, stores)
			}
			continue
		}
		if r.Err() != nil || string(r.Results[1]) != "[true false true]" || len(stores) != 1 || !stores[fmt.Sprint("stores ", failures)] {
			t.Errorf("%d failures: %s %v, and %v were sent", failures, r.Results[1], r.Err(), stores)
		}
	}
}

// unable is the session of parties of which seat 1 says at first that it could not encode.
type unable struct {
	simon.Session
	left int
}

func (f *unable) Call(name string) simon.Session { return &unable{f.Session.Call(name), f.left} }
func (f *unable) Join(children ...simon.Session) { f.Session.Join(children[0].(*unable).Session) }
func (f *unable) Exchange(ctx context.Context, from []int, l simon.Label, body []byte) ([][]byte, error) {
	if strings.HasPrefix(l.Vector, "encoded") && f.Self() == 1 && f.left > 0 {
		f.left--
		body = []byte{2}
	}
	return f.Session.Exchange(ctx, from, l, body)
}

// TestStoresAreMasked: with another mask of two honest parties, what they send changes by exactly the difference, in every
// bit, and nothing else does: whatever their stores are, others see random ones with a given sum.
func TestStoresAreMasked(t *testing.T) {
	p := prepare(t, simon.SetIntersection(), "", []string{`["a","b","c"]`, `["b","c","d"]`, `["c","x"]`, `["c","b"]`})
	size := psi.Columns(16) * psi.ValueSize
	shift := make([]byte, size)
	mathrand.NewChaCha8([32]byte{7}).Read(shift)
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
		if m.Label.Vector == "stores 0" && (m.From == 1 || m.From == 2) {
			subtle.XORBytes(want, want, shift)
			changed++
		}
		if !bytes.Equal(moved.Messages[i].Body, want) {
			t.Errorf("%v of seat %d is something else", m.Label, m.From)
		}
	}
	if changed != 6 {
		t.Errorf("%d messages are masked by the pair, want 6", changed)
	}
	for seat := range plain.Results {
		if !bytes.Equal(plain.Results[seat], moved.Results[seat]) {
			t.Errorf("seat %d has another result", seat)
		}
	}
}

// likely fails where the bytes of two samples are of different distributions: chi-squared with 255 degrees of freedom,
// below the quantile of 1e-9.
func likely(t *testing.T, what string, a, b []byte) {
	t.Helper()
	var of [2][256]float64
	for i, sample := range [][]byte{a, b} {
		for _, x := range sample {
			of[i][x]++
		}
	}
	chi, ra, rb := 0.0, math.Sqrt(float64(len(b))/float64(len(a))), math.Sqrt(float64(len(a))/float64(len(b)))
	for x := range 256 {
		if sum := of[0][x] + of[1][x]; sum > 0 {
			chi += math.Pow(of[0][x]*ra-of[1][x]*rb, 2) / sum
		}
	}
	if len(a) < 10_000 || chi > 410 {
		t.Errorf("%s: chi-squared %.0f over %d bytes", what, chi, len(a))
	}
}

// TestSetsAreSimulated: what each party receives is distributed as what a simulator makes that knows the size of the lists
// alone: random group elements, random hashes, random columns. Parties have rich pairwise overlaps, and three have no
// common one: then no element of anybody has the value zero in the sum of the stores, which is random.
func TestSetsAreSimulated(t *testing.T) {
	r := mathrand.NewChaCha8([32]byte{3})
	const points = 4000
	group, random := make([]byte, 0, points*psi.PointSize), make([]byte, 200_000)
	for range points {
		var wide [64]byte
		r.Read(wide[:])
		group = new(ristretto255.Element).FromUniformBytes(wide[:]).Encode(group)
	}
	r.Read(random)
	for _, data := range [][]string{
		{numbered(0, 15), numbered(5, 20)},
		{`["a","b","c","d"]`, `["c","d","e","f"]`, `["a","b","e","f"]`},
	} {
		views := map[string][]byte{}
		for seed := range uint64(40) {
			results, record := playSets(t, simon.SetIntersection(), simontest.Options{Seed: seed}, "", data...)
			if len(data) > 2 && slices.ContainsFunc(results, func(s string) bool { return s != `{"size_intersection":0,"intersection":[]}` }) {
				t.Fatalf("%s", results)
			}
			sum := make([]byte, psi.Columns(16)*psi.ValueSize)
			for _, m := range record.Messages {
				if m.To != (m.From+1)%len(data) || m.Label.Vector == "returned" && m.From > 0 {
					continue // the same bytes again
				}
				views[m.Label.Vector] = append(views[m.Label.Vector], m.Body...)
				if m.Label.Vector == "stores 0" {
					subtle.XORBytes(sum, sum, m.Body)
				}
			}
			if len(data) > 2 {
				views["sum"] = append(views["sum"], sum...)
			}
		}
		for name, view := range views {
			switch {
			case name == "bound" || strings.HasPrefix(name, "encoded"):
			case name == "returned" || name == "stores 0" || name == "sum":
				likely(t, name, view, random)
			default:
				likely(t, name, view, group)
			}
		}
		if want := map[int]int{2: 3, 3: 8}[len(data)]; len(views) != want {
			t.Errorf("%d kinds of messages, want %d", len(views), want)
		}
	}
}

// TestSetsEndWithTheComputation: a comparison that nobody waits for any more stops after a thousand elements.
func TestSetsEndWithTheComputation(t *testing.T) {
	stop := errors.New("stopped")
	r := simontest.Run(t, 2, simontest.Options{}, func(ctx context.Context, s simon.Session) ([]byte, error) {
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		items := make([][]byte, 3000)
		for i := range items {
			items[i] = itemsOf(fmt.Sprint(i))[0]
		}
		_, err := simon.PlayOverlap(ctx, &watched{s, func(p simon.Progress) {
			if p.Rounds != 10 || p.Round < 1 || p.Round > 10 {
				t.Errorf("step %d of %d", p.Round, p.Rounds)
			}
			if p.Round == 2 {
				cancel(stop)
			}
		}}, "x", items)
		return nil, err
	})
	for seat, err := range r.Errs {
		if !errors.Is(err, stop) && !errors.Is(err, context.Canceled) {
			t.Errorf("seat %d: %v", seat, err)
		}
	}
	if len(r.Messages) != 2 { // the announced sizes
		t.Errorf("%d messages", len(r.Messages))
	}
}

// watched shows what is reported.
type watched struct {
	simon.Session
	see func(simon.Progress)
}

func (w *watched) Call(name string) simon.Session { return &watched{w.Session.Call(name), w.see} }
func (w *watched) Report(p simon.Progress)        { w.see(p) }

// FuzzSets: whatever a client sends, a set is read or refused, and what is stored of it comes back.
func FuzzSets(f *testing.F) {
	for _, s := range []string{`["a",1,true]`, `[["a"],["b",["c",2]]]`, `[]`, `[[]]`, `"\u00e9"`, `[1e3,-0]`, `{`, `[[["a"`, `[null]`} {
		f.Add(s)
	}
	m := simon.SetIntersection()
	f.Fuzz(func(t *testing.T, data string) {
		p, err := m.Prepare(strings.NewReader(data), nil, simon.Guard{})
		if err != nil {
			var input *simon.InputError
			if !errors.As(err, &input) {
				t.Fatalf("%v", err)
			}
			return
		}
		all := bytes.Repeat([]byte{0xff}, (int(p.Input[1])+256*int(p.Input[2])+7)/8)
		result, err := m.Finish(simon.Common{Parties: 2, Parameters: p.Parameters}, p.Input, all)
		if err != nil || !json.Valid(result) {
			t.Fatalf("%s %v", result, err)
		}
		var o struct{ Intersection json.RawMessage }
		if err := json.Unmarshal(result, &o); err != nil {
			t.Fatal(err)
		}
		again, err := m.Prepare(strings.NewReader("["+string(o.Intersection)+"]"), nil, simon.Guard{})
		if err != nil || !bytes.Equal(again.Input, p.Input) {
			t.Fatalf("%s is stored as %x, and what is written of it as %x, %v", data, p.Input, again.Input, err)
		}
	})
}

// FuzzStoredSet: no stored input and no opened bytes make Finish panic.
func FuzzStoredSet(f *testing.F) {
	p, err := simon.SetIntersection().Prepare(strings.NewReader(`[["a",2.0,[1]]]`), nil, simon.Guard{})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(p.Input, []byte{3})
	f.Add([]byte{1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1}, []byte{})
	f.Fuzz(func(t *testing.T, input, opened []byte) {
		for _, m := range []simon.Microprotocol{simon.SetIntersection(), simon.SetIntersectionSize()} {
			_, _ = m.Finish(simon.Common{Parties: 2, Parameters: p.Parameters}, input, opened)
		}
	})
}
