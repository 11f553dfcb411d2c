package simon_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/weftmpc/weft/simon"
	"github.com/weftmpc/weft/simon/fss"
	"github.com/weftmpc/weft/simon/prg"
	"github.com/weftmpc/weft/simon/simontest"
)

// TestNoLabelTwice: a median, quantiles, a compared sum and two tables in nested calls of one computation, one of them twice,
// use no stream of a pair for two ends, and send no two bodies under one label.
func TestNoLabelTwice(t *testing.T) {
	calls := []struct {
		m          simon.Microprotocol
		parameters string
		data       []string
	}{
		{simon.SecureMedian(), `{"least_samples":2,"digit_bits":5}`, []string{"[1,2]", "[3]", "[4,4,5]"}},
		{simon.SecureMedian(), `{"least_samples":2,"digit_bits":5}`, []string{"[1,2]", "[3]", "[4,4,5]"}},
		{simon.SecureQuantiles(), `{"type":7,"digit_bits":4,"least_samples":1}`, []string{"[1,2]", "[3]", "[4,4,5]"}},
		{simon.MinimumMaximum(), ``, []string{"[1,2]", "[3]", "[4,4,5]"}},
		{simon.SecureCompare(), `{"threshold":3,"least_samples":1}`, []string{"[1,2]", "[3]", "[4,4,5]"}},
		{simon.StatisticsFrequency(), `{"categories":["a"],"suppress_below":2,"least_samples":1}`, []string{`["a"]`, `["a"]`, `[]`}},
		{simon.StatisticsByGroup(), `{"groups":["a"],"suppress_below":2,"least_samples":1}`, []string{`[[1,"a"]]`, `[[2,"a"]]`, `[]`}},
		{simon.KaplanMeier(), `{"times":[1,2],"suppress_below":2}`, []string{`[[1,1]]`, `[[2,0]]`, `[]`}},
	}
	var played []prepared
	for _, c := range calls {
		played = append(played, prepare(t, c.m, c.parameters, c.data))
	}
	for _, dealer := range []int{2, 3} {
		type use struct {
			seat int
			id   simontest.StreamID
		}
		var mu sync.Mutex
		used, first := map[use]int{}, map[string]string{} // by the first bytes of a stream: whose it is
		o := simontest.Options{Roles: map[simon.Role]int{simon.S0: 0, simon.S1: 1, simon.Dealer: dealer}, Stream: func(seat int, id simontest.StreamID, s prg.Stream) prg.Stream {
			start := make([]byte, 16)
			mu.Lock()
			defer mu.Unlock()
			used[use{seat, id}]++
			return simontest.Shift(s, 16, func(b []byte) []byte {
				copy(start, b)
				if before, ok := first[string(start)]; ok && before != fmt.Sprint(id) {
					t.Errorf("%v and %s have one stream", id, before)
				}
				first[string(start)] = fmt.Sprint(id)
				return b
			})
		}}
		r := simontest.MustRun(t, 3, o, func(ctx context.Context, s simon.Session) ([]byte, error) {
			for _, p := range played {
				call := s.Call("statistic")
				var err error
				if s.Self() >= s.N() {
					err = p.m.Deal(ctx, call, p.common)
				} else {
					_, err = p.m.Run(ctx, call, p.common, p.inputs[s.Self()])
				}
				if err != nil {
					return nil, err
				}
				s.Join(call)
			}
			return nil, nil
		})
		ends := map[simontest.StreamID]int{}
		purposes := map[simon.Purpose]int{}
		for u, n := range used {
			if n != 1 {
				t.Errorf("seat %d uses %v %d times", u.seat, u.id, n)
			}
			ends[u.id]++
			purposes[u.id.Purpose]++
		}
		for id, n := range ends {
			if n != 2 {
				t.Errorf("%v is used at %d ends", id, n)
			}
		}
		if purposes[simon.Mask] == 0 || purposes[simon.Deal] == 0 || purposes[simon.Opening] == 0 || len(purposes) != 3 {
			t.Errorf("purposes %v", purposes)
		}
		type sent struct {
			path     string
			label    simon.Label
			from, to int
		}
		bodies := map[sent]int{}
		for _, m := range r.Messages {
			if bodies[sent{m.Path, m.Label, m.From, m.To}]++; bodies[sent{m.Path, m.Label, m.From, m.To}] > 1 {
				t.Errorf("seat %d sends seat %d two bodies under %v of %s", m.From, m.To, m.Label, m.Path)
			}
			if m.To == dealer && m.Kind != simontest.Exchange && m.Kind != simontest.Open {
				t.Errorf("the dealer receives %v of %s", m.Label, m.Path)
			}
			if m.To >= 3 {
				t.Errorf("a helper receives %v of %s", m.Label, m.Path)
			}
		}
	}
}

// TestQuantilesOpenNoMoreThanTheyNeed: where a quantile is an element, no other one is opened, though as much is sent.
func TestQuantilesOpenNoMoreThanTheyNeed(t *testing.T) {
	data := []string{"[1,5]", "[-3e7]", "[88,0.125]"}
	for _, c := range []struct {
		definition  string
		probability string
		one         bool
	}{
		{"7", "0", true}, {"7", "0.5", true}, {"7", "0.25", true}, {"7", "1", true}, {"7", "0.3", false},
		{"6", "0", true}, {"6", "0.5", true}, {"6", "0.6", false},
		{"2", "0.3", true}, {"2", "0.4", false}, {"2", "1", true},
	} {
		p := prepare(t, simon.SecureQuantiles(), fmt.Sprintf(`{"digit_bits":4,"type":%s,"probabilities":[%s]}`, c.definition, c.probability), data)
		sums := publicSums(p.run(t, simontest.Options{Seed: 4}), 3)
		alike := true
		for level := range uint32(16) {
			digits := sums[simon.Label{Round: level + 1, Vector: "digits"}]
			if len(digits) != 2 {
				t.Fatalf("%v", digits)
			}
			alike = alike && digits[0] == digits[1]
		}
		if alike != c.one {
			t.Errorf("quantile %s of type %s opens one element: %v, want %v", c.probability, c.definition, alike, c.one)
		}
	}
}

// TestKeysOfCallsDiffer: gates of two calls with one label have generators of their own: keys of one are noise under the other's.
func TestKeysOfCallsDiffer(t *testing.T) {
	const bits = 40
	in := simon.Label{Round: 3, Vector: "test"}
	var sid [32]byte
	var names [][]byte
	o := simontest.Options{Roles: map[simon.Role]int{simon.S0: 0, simon.S1: 1, simon.Dealer: 2}}
	r := simontest.MustRun(t, 2, o, func(ctx context.Context, s simon.Session) ([]byte, error) {
		for range 2 {
			call := s.Call("gate")
			if s.Self() == 0 {
				sid, names = s.SID(), append(names, call.Name(in))
			}
			if _, err := simon.PlaySigns(ctx, call, in, bits, []uint64{uint64(s.Self())}); err != nil {
				return nil, err
			}
			s.Join(call)
		}
		return nil, nil
	})
	keys := map[string]map[int][]byte{}
	for _, m := range r.Messages {
		if m.Kind == simontest.Send {
			if keys[m.Path] == nil {
				keys[m.Path] = map[int][]byte{}
			}
			keys[m.Path][m.To] = m.Body[:fss.KeySize(bits-1)]
		}
	}
	for i, path := range slices.Sorted(maps.Keys(keys)) {
		for k, name := range names {
			sum := uint64(0)
			for b := range 2 {
				share, err := fss.NewKeys(sid, name, in.Round).Eval(b, bits-1, keys[path][b], 0)
				if err != nil {
					t.Fatal(err)
				}
				sum += share
			}
			if fits := sum+1 <= 2; fits != (i == k) { // -1, 0 or 1
				t.Errorf("keys of %s under %q give %d", path, name, sum)
			}
		}
	}
	if len(keys) != 2 || len(names) != 2 {
		t.Errorf("keys of %d calls, %d names", len(keys), len(names))
	}
}
