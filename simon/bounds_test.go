package simon

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/weftmpc/weft/simon/encode"
	"github.com/weftmpc/weft/simon/iblt"
)

// A result is computed from what others chose: each of these tests gives Finish the worst that parties can open.

// long is how long a computation may take here that takes a tenth of that on an idle machine, and has no bound otherwise.
const long = 20 * time.Second

// bounded fails unless f returns in time, having allocated no more than so many bytes, freed ones included.
func bounded(t *testing.T, mostBytes uint64, f func()) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	begin := time.Now()
	f()
	took := time.Since(begin)
	runtime.ReadMemStats(&after)
	bytes := after.TotalAlloc - before.TotalAlloc
	t.Logf("%v, %d MB allocated in all", took, bytes>>20)
	if bytes > mostBytes {
		t.Errorf("%d bytes were allocated, want up to %d", bytes, mostBytes)
	}
	if took > long {
		t.Errorf("it took %v", took)
	}
}

func outcome(t *testing.T, err error, part string) {
	t.Helper()
	if o, ok := errors.AsType[*OutcomeError](err); !ok || !strings.Contains(o.Reason, part) {
		t.Errorf("%v, want an outcome with %q", err, part)
	}
}

// diagonal is the opened table of k pairs (c_i, c_i) whose names are as long as they get.
func diagonal(t *testing.T, k, ways int) []byte {
	var list []keyed
	for i := range k {
		text := fmt.Sprintf("%08d", i) + strings.Repeat("\x01", encode.MaxCategory-8)
		c, err := encode.NewText(text)
		if err != nil {
			t.Fatal(err)
		}
		var key []byte
		for range ways {
			key = c.Append(key)
		}
		list = append(list, keyed{key, 1})
	}
	return append([]byte{unionRead}, encodeKeyed(list, ways*encode.KeySize)...)
}

func TestPrivateTablesAreBounded(t *testing.T) {
	pairs := census{ways: 2, cells: mostCells}
	for _, c := range []struct {
		name    string
		census  census
		keys    int
		outcome string // empty: there is a table
	}{
		{"a million cells", pairs, 1000, "1000000 cells, and at most 100000"},
		{"long names", pairs, 316, "bytes, and at most 33554432"},
		{"pairs that fit", pairs, 250, ""},
		{"long names of one way", census{ways: 1, cells: mostCells}, 200_000, "bytes, and at most 33554432"},
		{"names that fit", census{ways: 1, cells: mostCells}, 80_000, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			opened := diagonal(t, c.keys, c.census.ways)
			bounded(t, 512<<20, func() {
				table, err := c.census.count(values{"max_categories": int64(1 << 16)}, opened)
				if c.outcome != "" {
					outcome(t, err, c.outcome)
					outcome(t, err, "give the list as categories")
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				table.mode()
				if n := len(appendValue(nil, table.object(table.countOf))); n > mostTable || n > tableSize(table.labels) {
					t.Errorf("%d bytes, said to be up to %d", n, tableSize(table.labels))
				}
			})
		})
	}
}

// The size of a table is told before it is built, from names alone.
func TestTableSize(t *testing.T) {
	for _, labels := range [][][]string{
		{{"a"}}, {{}, {}}, {{"a", "b"}, {"\x00", "\"", "\\", "é", "\n"}}, {{"1", `"1"`}, {"x"}}, {{"", "\b\f\t\r\x7f"}},
	} {
		cells := 1
		for _, l := range labels {
			cells *= len(l)
		}
		for _, count := range []int64{0, 1, int64(maxSamples / max(cells, 1))} {
			table := crosstab{labels: labels, lists: make([][]encode.Category, len(labels))}
			n := len(appendValue(nil, table.object(func(int) any { return count })))
			if size := tableSize(labels); n > size {
				t.Errorf("%q with counts of %d: %d bytes, said to be up to %d", labels, count, n, size)
			} else if size > n+20*(cells+2) {
				t.Errorf("%q with counts of %d: %d bytes, said to be up to %d", labels, count, n, size)
			}
		}
	}
}

func TestPublicTablesAreBounded(t *testing.T) {
	lists := func(k, size int) []any {
		var both []any
		for _, prefix := range []string{"a", "b"} {
			var list []any
			for i := range k {
				list = append(list, fmt.Sprintf("%s%04d", prefix, i)+strings.Repeat("\x01", size))
			}
			both = append(both, list)
		}
		return both
	}
	c := census{ways: 2, cells: mostCells}
	if _, _, err := c.read(strings.NewReader(`[]`), values{"categories": lists(1000, 8)}); err == nil {
		t.Error("a table of 65 MB is accepted")
	} else if input, ok := errors.AsType[*InputError](err); !ok || input.Path != "parameters.categories" || !strings.Contains(input.Reason, "shorter names") {
		t.Errorf("%v", err)
	}
	if _, _, err := c.read(strings.NewReader(`[]`), values{"categories": lists(1000, 2)}); err != nil {
		t.Errorf("short names: %v", err)
	}
}

func TestUnionsFitIntoSessionAndStore(t *testing.T) {
	const pair = 2 * encode.KeySize
	for _, c := range []struct {
		parties, keySize, dmax int
		fits                   bool
	}{
		{2, pair, 256, true}, {128, pair, 256 << 3, true}, {2, pair, 1 << 16, true}, {2, pair, 1 << 17, true},
		{2, pair, 1 << 18, false}, {2, pair, 1 << 19, false}, {10, pair, 1 << 16, true}, {12, pair, 1 << 16, false},
		{2, encode.KeySize, 1 << 18, true}, {2, encode.KeySize, 1 << 19, false}, {4, encode.KeySize, 1 << 18, true}, {128, pair, 1 << 16, false},
		{30, exitKeySize, mostTimes << 3, true}, {128, exitKeySize, mostTimes << 3, false},
	} {
		if fits := unionFits(c.parties, c.keySize, c.dmax); fits != c.fits {
			t.Errorf("%+v: %v", c, fits)
		}
		if size := iblt.Layout(c.keySize, c.dmax).Size(); c.fits && size*(c.parties-1) > 256<<20 {
			t.Errorf("%+v: %d bytes in memory", c, size*(c.parties-1))
		}
	}
}

// crowd is a session of which only the numbers are asked.
type crowd struct {
	Session
	n int
}

func (c crowd) N() int            { return c.n }
func (c crowd) Recipients() []int { return []int{0} }
func (c crowd) Self() int         { return 0 }

// A table that does not fit is no longer sent.
func TestTooLargeUnionIsAnOutcome(t *testing.T) {
	opened, err := runUnion(context.Background(), crowd{n: 128}, "categories", nil, 2*encode.KeySize, 1<<16, validCategories)
	if err != nil {
		t.Fatal(err)
	}
	v := values{"max_categories": int64(1 << 16), "max_times": int64(7)}
	_, err = readUnion(v, opened, 2*encode.KeySize)
	outcome(t, err, "max_categories 65536 is too large")
	_, err = cohort{}.openedKeys(v, opened)
	outcome(t, err, "max_times 7 is too large")
}

// sample is a group of n numbers with the mean m and n-1 times the variance s.
func sample(n int64, mean, s *big.Rat) *moments {
	m := &moments{n: n}
	m.power[0] = new(big.Rat).SetInt64(n)
	m.power[1] = new(big.Rat).Mul(mean, m.power[0])
	m.power[2] = new(big.Rat).Add(s, new(big.Rat).Mul(m.power[1], mean))
	return m
}

func manyGroups(k int) []*moments {
	groups := make([]*moments, k)
	for g := range groups {
		i := int64(g)
		groups[g] = sample(i+2, big.NewRat(1e9*i*i%999_999_937, 999_999_937), big.NewRat(1_000_003+i*i, 1_000_000_007+2*i))
	}
	return groups
}

func TestWelchOfManyGroups(t *testing.T) {
	bounded(t, 256<<20, func() {
		if test := welchOneWay(manyGroups(1000)); test.f == nil || test.p == nil {
			t.Errorf("%+v", test)
		}
	})
}

// Groups far from 0, with weights that differ by more than 256 bits, have the statistic that fractions give.
func TestWelchOfUnequalGroups(t *testing.T) {
	tiny, huge := new(big.Rat).SetFrac(big.NewInt(1), new(big.Int).Exp(big.NewInt(10), big.NewInt(40), nil)), new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(44), nil))
	far := new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(13), nil))
	for _, groups := range [][]*moments{
		{sample(2, far, tiny), sample(5, new(big.Rat).Add(far, big.NewRat(1, 3)), huge), sample(9, big.NewRat(0, 1), big.NewRat(1, 7))},
		{sample(2, far, tiny), sample(3, new(big.Rat).Add(far, new(big.Rat).Quo(tiny, big.NewRat(3, 1))), tiny)},
		{sample(4, far, huge), sample(4, far, big.NewRat(1, 3)), sample(7, far, tiny)},
	} {
		got := welchOneWay(groups)
		f, denom := exactWelch(groups)
		for what, pair := range map[string][2]*big.Rat{"statistic": {got.f, f}, "degrees of freedom": {got.denom, denom}} {
			x, _ := pair[0].Float64()
			if want, _ := pair[1].Float64(); x != want {
				t.Errorf("%s: %v, want %v", what, x, want)
			}
		}
	}
}

// exactWelch is Welch's statistic and its degrees of freedom in fractions.
func exactWelch(groups []*moments) (f, denom *big.Rat) {
	k := int64(len(groups))
	var w []*big.Rat
	total, sum := new(big.Rat), new(big.Rat)
	for g, m := range groups {
		w = append(w, new(big.Rat).Quo(m.power[0], m.variance(1)))
		total.Add(total, w[g])
		sum.Add(sum, new(big.Rat).Mul(w[g], m.mean()))
	}
	mean := sum.Quo(sum, total)
	between, spread := new(big.Rat), new(big.Rat)
	for g, m := range groups {
		between.Add(between, new(big.Rat).Mul(w[g], square(new(big.Rat).Sub(m.mean(), mean))))
		rest := new(big.Rat).Sub(big.NewRat(1, 1), new(big.Rat).Quo(w[g], total))
		spread.Add(spread, over(square(rest), m.n-1))
	}
	spread = over(spread, k*k-1)
	bottom := new(big.Rat).Mul(spread, big.NewRat(2*(k-2), 1))
	f = new(big.Rat).Quo(over(between, k-1), bottom.Add(bottom, big.NewRat(1, 1)))
	return f, new(big.Rat).Inv(spread.Mul(spread, big.NewRat(3, 1)))
}

func TestByGroupOfManySizes(t *testing.T) {
	const k = 1000
	var names []any
	for g := range k {
		names = append(names, fmt.Sprint("g", g))
	}
	v, err := readParameters([]byte(`{}`), []parameter{level()})
	if err != nil {
		t.Fatal(err)
	}
	v["groups"] = names
	var o object
	bounded(t, 4<<30, func() { o = byGroup(v, manyGroups(k)) })
	missing := 0
	for _, n := range o.notes {
		if strings.HasSuffix(n.name, ".conf_int") && strings.Contains(n.value.(string), "up to 300") {
			missing++
		}
	}
	if missing != k-mostSizes {
		t.Errorf("%d groups have no interval, want %d", missing, k-mostSizes)
	}
}

func openedExits(n int, subject func(i int) subject) []byte {
	var list []keyed
	for i := range n {
		x := subject(i)
		key := make([]byte, exitKeySize)
		x.write(key)
		list = append(list, keyed{key, 1})
	}
	return append([]byte{unionRead}, encodeKeyed(list, exitKeySize)...)
}

func TestLogRankIsBounded(t *testing.T) {
	f := followUp{groups: 2, strata: true, most: 100, exits: 1 << 16, terms: mostTerms}
	for _, c := range []struct {
		groups, times int
		outcome       string
	}{
		{5, 1 << 16, ""}, {100, 200, ""}, {100, 201, "at most 200 times"}, {100, 1 << 16, "at most 200 times"}, {6, 1 << 16, "at most 55555 times"},
		{2, 1<<16 + 1, "at most 65536 are possible"},
	} {
		var names []any
		for g := range c.groups {
			names = append(names, int64(g))
		}
		v := values{"groups": names, "max_times": int64(mostTimes)}
		opened := openedExits(c.times, func(i int) subject {
			x := subject{group: i % c.groups, event: true}
			x.time.SetInt64(int64(i))
			return x
		})
		bounded(t, 2<<30, func() {
			_, err := finishLogRank(f, v, opened)
			if c.outcome != "" {
				outcome(t, err, c.outcome)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

func TestLogRankOfAFineGridIsRefused(t *testing.T) {
	var groups, times []string
	for g := range 100 {
		groups = append(groups, fmt.Sprint(g))
	}
	for i := range 201 {
		times = append(times, fmt.Sprint(i))
	}
	list := func(l []string) string { return "[" + strings.Join(l, ",") + "]" }
	for n, refused := range map[int]bool{200: false, 201: true} {
		_, err := LogRank().Prepare(strings.NewReader(`[]`), []byte(`{"groups":`+list(groups)+`,"times":`+list(times[:n])+`}`), Guard{})
		if input, ok := errors.AsType[*InputError](err); ok != refused || ok && (input.Path != "parameters.times" || !strings.Contains(input.Reason, "at most 20000")) {
			t.Errorf("%d times: %v", n, err)
		}
	}
}

func TestKaplanMeierIsBounded(t *testing.T) {
	v, err := readParameters([]byte(`{}`), []parameter{level()})
	if err != nil {
		t.Fatal(err)
	}
	v["max_times"] = int64(mostTimes)
	f := followUp{most: maxListed, exits: mostSteps}
	each := func(i int) (x subject) {
		x.event = true
		x.time.SetInt64(int64(i))
		return x
	}
	bounded(t, 6<<30, func() {
		if _, err := finishKaplanMeier(f, v, openedExits(mostSteps, each)); err != nil {
			t.Error(err)
		}
	})
	_, err = finishKaplanMeier(f, v, openedExits(1<<16, each))
	outcome(t, err, "at most 16384 are possible")
}

func TestFixedMarginsAreBounded(t *testing.T) {
	for _, k := range []int{10, 20, 100} {
		counts := make([]int64, k*k)
		for i := range counts {
			counts[i] = int64(enumeratedSamples*(i+1)/len(counts) - enumeratedSamples*i/len(counts))
		}
		rows, columns := marginsOf(counts, k)
		bounded(t, 256<<20, func() {
			if p, ok := fixedMarginsP(counts, rows, columns); ok {
				t.Errorf("%d by %d: %v, want too many tables", k, k, p)
			}
		})
	}
}

func TestMeansFitIntoTheStore(t *testing.T) {
	// The longest texts: a sum of 2^40 numbers of 2^144 units, and a mean with all digits of a double.
	sum := new(big.Int).Lsh(big.NewInt(-1), uint(sumEncoding.Bits+40))
	sum.Add(sum, big.NewInt(1))
	limbs := make([]uint64, sumLimbs)
	x := new(big.Int).Add(sum, new(big.Int).Lsh(big.NewInt(1), 64*sumLimbs))
	for i := range limbs {
		limbs[i] = new(big.Int).And(new(big.Int).Rsh(x, uint(64*i)), new(big.Int).SetUint64(1<<64-1)).Uint64()
	}
	text := len(sumEncoding.AppendJSON(nil, limbs)) + len(",")
	mean := len(appendValue(nil, -1.2345678901234567e-20)) + len(",")
	if n := mostMeans * (text + max(mean, 26)); n > 60_000_000 {
		t.Errorf("%d columns of %d and %d bytes: %d", mostMeans, text, mean, n)
	}
	if _, err := SecureMean().Prepare(strings.NewReader(`[]`), fmt.Appendf(nil, `{"columns":%d}`, mostMeans+1), Guard{}); err == nil {
		t.Error("more columns are accepted")
	}
	row := "[[" + strings.Repeat("1,", mostMeans) + "1]]"
	_, err := SecureMean().Prepare(strings.NewReader(row), nil, Guard{})
	if input, ok := errors.AsType[*InputError](err); !ok || input.Path != "data[0]" || !strings.Contains(input.Reason, "524288") {
		t.Errorf("%v", err)
	}
}
