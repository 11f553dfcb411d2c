package simon_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/weftmpc/weft/simon"
	"github.com/weftmpc/weft/simon/simontest"
)

// BenchmarkSetIntersection is all parties' work together, without a network: the first elements are the parties' own.
func BenchmarkSetIntersection(b *testing.B) {
	for _, c := range []struct{ parties, elements int }{{2, 100}, {2, 1 << 12}, {3, 1 << 10}, {2, 1 << 16}, {3, 1 << 14}, {2, 1 << 20}} {
		b.Run(fmt.Sprintf("%d-parties-%d", c.parties, c.elements), func(b *testing.B) {
			data := make([]string, c.parties)
			for i := range data {
				data[i] = numbered(min(i, 1)*c.elements/2, min(i, 1)*c.elements/2+c.elements)
			}
			p := prepare(b, simon.SetIntersection(), fmt.Sprintf(`{"max_elements":%d}`, c.elements), data)
			for b.Loop() {
				r := p.run(b, simontest.Options{Seed: 1})
				got, err := p.m.Finish(p.common, p.inputs[0], r.Results[0])
				if want := fmt.Sprintf(`{"size_intersection":%d,`, c.elements/2); err != nil || !strings.HasPrefix(string(got), want) {
					b.Fatalf("%.60s %v", got, err)
				}
			}
		})
	}
}
