package main

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"sync"

	"github.com/gtank/ristretto255"

	"github.com/weftmpc/weft/simon"
)

// benchPairs are the rows that compare sets of two parties.
var benchPairs = []string{benchSets, benchSetSize, benchSetsLarge, benchSetsFloor}

const (
	benchLeastSet = 16
	benchMostSet  = 1 << 20
)

// wantsPairs says whether a fabric of two parties is needed.
func (f benchFlags) wantsPairs() bool { return slices.ContainsFunc(benchPairs, f.wants) }

// fabrics are the numbers of parties that are measured here.
func (f benchFlags) fabrics() []int {
	if f.wantsPairs() && !slices.Contains(f.parties, 2) {
		return append(slices.Clone(f.parties), 2)
	}
	return f.parties
}

// setCases are the rows that compare sets, for a fabric of n parties.
func (f benchFlags) setCases(b *benchFabric, core asker, usual bool) (all []benchCase) {
	n := len(b.names)
	add := func(kind string, elements, count int, m simon.Microprotocol) {
		if f.wants(kind) {
			all = append(all, benchCase{kind: kind, work: setWork(m, elements), count: count, atOnce: 1, ask: core})
		}
	}
	floor := func(kind string, times, elements int) {
		if f.wants(kind) && !b.remote {
			w := work{values: elements}
			all = append(all, benchCase{kind: kind, work: w, count: (f.count + 29) / 30, atOnce: 1, pure: func() { groupFloor(n, times, elements) }})
		}
	}
	if n == 2 {
		add(benchSets, benchSamples, f.count, simon.SetIntersection())
		add(benchSetSize, benchSamples, f.count, simon.SetIntersectionSize())
		add(benchSetsLarge, f.elements, (f.count+29)/30, simon.SetIntersection())
		floor(benchSetsFloor, 1, f.elements)
	} else if usual {
		many := max(f.elements/4, benchLeastSet)
		add(benchSetsMany, many, (f.count+29)/30, simon.SetIntersection())
		floor(benchManyFloor, n-1, many)
	}
	return all
}

// setWork compares sets of so many elements, of which the second half is common.
func setWork(m simon.Microprotocol, elements int) work {
	return work{
		microprotocol: m, values: elements, check: sameResults,
		parameters: json.RawMessage(fmt.Sprintf(`{"max_elements":%d}`, elements)),
		data: func(party int) []byte {
			from := 0
			if party > 0 {
				from = elements / 2
			}
			b := []byte("[")
			for i := range elements {
				k := from + i
				if party > 1 && k >= elements {
					k += party * benchMostSet
				}
				if i > 0 {
					b = append(b, ',')
				}
				b = append(strconv.AppendInt(append(b, `"patient `...), int64(k), 10), '"')
			}
			return append(b, ']')
		},
	}
}

// groupFloor does what no implementation can leave out for n parties on this machine: for each element of each party's list
// the map to the group, a multiplication and an encoding, and for each list that comes, of times parties, a decoding, a
// multiplication and an encoding. Of more than two parties each also blinds an element and takes that off again: a
// multiplication of the generator, two others, and a decoding for each answer.
func groupFloor(n, times, elements int) {
	var wg sync.WaitGroup
	cores := runtime.GOMAXPROCS(0)
	for c := range cores {
		wg.Go(func() {
			var wide [64]byte
			if _, err := rand.Read(wide[:]); err != nil {
				panic(err)
			}
			var e, g ristretto255.Element
			k := new(ristretto255.Scalar).FromUniformBytes(wide[:])
			for i := c; i < n*elements; i += cores {
				wide[0], wide[1], wide[2], wide[3] = byte(i), byte(i>>8), byte(i>>16), byte(i>>24)
				e.FromUniformBytes(wide[:])
				if times == 1 {
					e.ScalarMult(k, &e)
				} else {
					e.Add(&e, g.ScalarBaseMult(k))
				}
				sent := e.Encode(wide[:0:0])
				for range times { // lists that come
					if e.Decode(sent) != nil {
						panic("an encoding of weft bench is none")
					}
					e.ScalarMult(k, &e).Encode(wide[:0:0])
				}
				if times > 1 {
					g.ScalarMult(k, &e)
					e.ScalarMult(k, &e)
					for range times {
						if g.Decode(sent) != nil {
							panic("an encoding of weft bench is none")
						}
						e.Add(&e, &g)
					}
					e.Encode(wide[:0:0])
				}
			}
		})
	}
	wg.Wait()
}
