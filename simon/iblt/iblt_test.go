package iblt

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/weftmpc/weft/simon/encode"
	"github.com/weftmpc/weft/simon/ring"
)

var hashKey = HashKey([]byte("seed"), "test", 0)

func anyKey([]byte) bool { return true }

// numbered are n distinct keys of the given size that differ in few bits.
func numbered(n, size int) [][]byte {
	keys := make([][]byte, n)
	for i := range keys {
		keys[i] = make([]byte, size)
		binary.BigEndian.PutUint64(keys[i][size-8:], uint64(i))
	}
	return keys
}

func decode(t testing.TB, table *Table) []Entry {
	t.Helper()
	entries, ok, err := table.Decode(math.MaxUint64, anyKey)
	if err != nil || !ok {
		t.Fatalf("decoded: %v, %v", ok, err)
	}
	return entries
}

// check fails unless entries are the keys with the counts, in order.
func check(t testing.TB, entries []Entry, histogram map[string]uint64) {
	t.Helper()
	if len(entries) != len(histogram) {
		t.Fatalf("%d entries, want %d", len(entries), len(histogram))
	}
	for i, e := range entries {
		if e.Count != histogram[string(e.Key)] {
			t.Errorf("key %x has count %d, want %d", e.Key, e.Count, histogram[string(e.Key)])
		}
		if i > 0 && bytes.Compare(entries[i-1].Key, e.Key) >= 0 {
			t.Errorf("key %x stands after %x", e.Key, entries[i-1].Key)
		}
	}
}

func TestBytesOfTheTable(t *testing.T) {
	seed := make([]byte, 32)
	for i := range seed {
		seed[i] = byte(i)
	}
	// Both computed with Python's hmac and integers: parties of different versions must agree.
	key := HashKey(seed, "frequency/categories", 1)
	if got, want := hex.EncodeToString(key[:]), "e49d02b80fd497ed6cc16b69aa1265c2a02e30cbf15ee724157d9b362ef64bee"; got != want {
		t.Errorf("hash key %s, want %s", got, want)
	}
	table := New(key, 16, 3)
	table.Add([]byte("0123456789abcdef"), 1)
	table.Add(bytes.Repeat([]byte{0xff}, 16), 1<<40)
	table.Add(append(make([]byte, 15), 1), 6)
	sum := sha256.Sum256(table.Vector().Bytes())
	if got, want := hex.EncodeToString(sum[:]), "01b96d7b233eb725be7fa5930f9defbfe1833247f74e89784b0195fae4ba9d32"; got != want {
		t.Errorf("the table's bytes have the hash %s, want %s", got, want)
	}
}

func TestHashKeysDiffer(t *testing.T) {
	seen := map[[32]byte]bool{}
	for _, seed := range []string{"", "a"} {
		for _, label := range []string{"", "a", "ab", "a\x00\x00\x00\x01"} {
			for _, attempt := range []uint32{0, 1, 2} {
				key := HashKey([]byte(seed), label, attempt)
				if seen[key] {
					t.Errorf("%q, %q, %d: the key of another", seed, label, attempt)
				}
				seen[key] = true
			}
		}
	}
}

func TestLayout(t *testing.T) {
	for _, c := range []struct{ keySize, dmax, cells, size int }{
		{64, 0, 256, 256 * 88},
		{64, 1, 260, 260 * 88}, // 258, rounded up
		{64, 100, 456, 456 * 88},
		{128, 1000, 2256, 2256 * 152},
		{192, 1001, 2260, 2260 * 216},
		{64, MaxKeys, 2*MaxKeys + 256, (2*MaxKeys + 256) * 88},
	} {
		l := Layout(c.keySize, c.dmax)
		if err := l.Check(); err != nil {
			t.Error(err)
		}
		if l[0].Count != c.cells || l.Size() != c.size {
			t.Errorf("%d keys of %d bytes: %d cells, %d bytes, want %d, %d", c.dmax, c.keySize, l[0].Count, l.Size(), c.cells, c.size)
		}
	}
	for _, bad := range [][2]int{{0, 1}, {7, 1}, {65, 1}, {-8, 1}, {MaxKeySize + 8, 1}, {64, -1}, {64, MaxKeys + 1}, {64, math.MaxInt}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%v: a layout", bad)
				}
			}()
			Layout(bad[0], bad[1])
		}()
	}
	if _, err := FromVector(hashKey, 64, 10, ring.New(Layout(64, 12))); err == nil {
		t.Error("a table of another length was accepted")
	}
	if _, err := FromVector(hashKey, 64, 10, ring.Vector{}); err == nil {
		t.Error("no vector was accepted")
	}
}

func TestDecode(t *testing.T) {
	for _, size := range []int{8, 64, 128, 192, MaxKeySize} {
		for _, dmax := range []int{1, 10, 100} {
			for _, distinct := range []int{0, 1, dmax, dmax + 1} {
				t.Run(fmt.Sprint(size, "/", distinct, "of", dmax), func(t *testing.T) {
					table := New(hashKey, size, dmax)
					histogram := map[string]uint64{}
					counts := []uint64{1, 2, 3, 1 << 40, 6, 1000, 1<<40 - 2, 1<<40 + 1}
					for i, key := range numbered(distinct, size) {
						histogram[string(key)] = counts[i%len(counts)]
						table.Add(key, counts[i%len(counts)])
					}
					before := table.Vector().Clone()
					check(t, decode(t, table), histogram)
					if !table.Vector().Equal(before) {
						t.Error("Decode changed the table")
					}
				})
			}
		}
	}
}

// TestCellsAgreeWithBigInt computes the sums of every cell once more, for keys and counts full of carries.
func TestCellsAgreeWithBigInt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table := New(hashKey, 24, 100)
		counts, sums, checks := make([]uint64, table.cells), make([]big.Int, table.cells), make([]uint64, table.cells)
		one := rapid.OneOf(rapid.SampledFrom([]byte{0, 0xff, 0xff, 1, 0x80}), rapid.Byte())
		histogram := map[string]uint64{}
		for range rapid.IntRange(0, 6).Draw(t, "keys") {
			key := rapid.SliceOfN(one, 24, 24).Draw(t, "key")
			count := rapid.OneOf(rapid.Uint64Range(1, 9), rapid.Uint64Range(1<<58, 1<<59)).Draw(t, "count")
			histogram[string(key)] += count
			table.Add(key, count)
			backwards := slices.Clone(key)
			slices.Reverse(backwards)
			product := new(big.Int).Mul(new(big.Int).SetBytes(backwards), new(big.Int).SetUint64(count))
			for _, cell := range table.h.cells(key) {
				counts[cell] += count
				sums[cell].Add(&sums[cell], product)
				checks[cell] += count * table.h.check(key)
			}
		}
		want := ring.New(Layout(24, 100))
		for cell := range table.cells {
			want.SetLimbs(0, cell, counts[cell:])
			want.SetLimbs(2, cell, checks[cell:])
			if err := want.SetInt(1, cell, &sums[cell]); err != nil {
				t.Fatal(err)
			}
		}
		if !table.Vector().Equal(want) {
			t.Fatal("the table differs")
		}
		entries, ok, err := table.Decode(math.MaxUint64, anyKey)
		if !ok || err != nil || len(entries) != len(histogram) {
			t.Fatalf("%v, %v, %v", entries, ok, err)
		}
		for _, e := range entries {
			if histogram[string(e.Key)] != e.Count {
				t.Fatalf("key %x: %d, want %d", e.Key, e.Count, histogram[string(e.Key)])
			}
		}
	})
}

func TestTooManyKeys(t *testing.T) {
	table := New(hashKey, 64, 10) // 276 cells; peeling stops at about 0.77 keys per cell
	for _, key := range numbered(300, 64) {
		table.Add(key, 1)
	}
	entries, ok, err := table.Decode(math.MaxUint64, anyKey)
	if entries != nil || ok || err != nil {
		t.Errorf("%d entries, %v, %v", len(entries), ok, err)
	}
	if entries, ok, err = table.Decode(299, anyKey); entries != nil || ok || !errors.Is(err, ErrCorrupt) {
		t.Errorf("too large a sum: %d entries, %v, %v", len(entries), ok, err)
	}
}

func TestExtremeKeysAndCounts(t *testing.T) {
	zero, ones := make([]byte, 64), bytes.Repeat([]byte{0xff}, 64)
	table := New(hashKey, 64, 4)
	table.Add(zero, 1<<63)
	table.Add(ones, 1<<63-1)
	check(t, decode(t, table), map[string]uint64{string(zero): 1 << 63, string(ones): 1<<63 - 1})
	table.Add(zero, 0)
	check(t, decode(t, table), map[string]uint64{string(zero): 1 << 63, string(ones): 1<<63 - 1})
}

func TestSimilarKeys(t *testing.T) {
	text := func(s string) encode.Category {
		c, err := encode.NewText(s)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	number, err := encode.NewInteger([]byte("1"))
	if err != nil {
		t.Fatal(err)
	}
	table := New(hashKey, 2*encode.KeySize, 20)
	histogram := map[string]uint64{}
	for i, pair := range [][2]encode.Category{
		{text("a_b"), text("c")}, {text("a"), text("b_c")}, {text("a_b_c"), text("")}, {text(""), text("a_b_c")},
		{text("1"), number}, {number, text("1")}, {number, number}, {text("1"), text("1")},
		{text("true"), encode.NewBoolean(true)}, {encode.NewBoolean(true), text("true")},
		{text("a"), text("a\x00")}, {text("a\x00"), text("a")}, {text(""), text("")}, {text("\x00"), text("")},
	} {
		key := pair[1].Append(pair[0].Append(nil))
		histogram[string(key)] = uint64(i + 1)
		table.Add(key, uint64(i+1))
	}
	if len(histogram) != 14 {
		t.Fatalf("%d keys, want 14", len(histogram))
	}
	check(t, decode(t, table), histogram)
}

// TestOnlyThePoolCounts splits a histogram in two ways and compares the opened vectors.
func TestOnlyThePoolCounts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		keys := numbered(rapid.IntRange(0, 40).Draw(t, "keys"), 64)
		pool := New(hashKey, 64, 40)
		var parties [2][3]*Table
		for split := range parties {
			for i := range parties[split] {
				parties[split][i] = New(hashKey, 64, 40)
			}
		}
		histogram := map[string]uint64{}
		for _, key := range keys {
			count := rapid.Uint64Range(1, 1<<40).Draw(t, "count")
			histogram[string(key)] = count
			pool.Add(key, count)
			for split := range parties {
				left := count
				for i := range 2 {
					part := rapid.Uint64Range(0, left).Draw(t, "part")
					parties[split][i].Add(key, part)
					left -= part
				}
				parties[split][2].Add(key, left)
			}
		}
		for split := range parties {
			sum := ring.New(Layout(64, 40))
			for _, p := range parties[split] {
				sum.Add(p.Vector())
			}
			if !sum.Equal(pool.Vector()) {
				t.Fatal("the sum of the tables is not the table of the sum")
			}
			opened, err := FromVector(hashKey, 64, 40, sum)
			if err != nil {
				t.Fatal(err)
			}
			entries, ok, err := opened.Decode(40<<40, anyKey)
			if !ok || err != nil {
				t.Fatalf("%v, %v", ok, err)
			}
			if len(entries) != len(histogram) {
				t.Fatalf("%d entries, want %d", len(entries), len(histogram))
			}
			for _, e := range entries {
				if histogram[string(e.Key)] != e.Count {
					t.Fatalf("key %x: %d, want %d", e.Key, e.Count, histogram[string(e.Key)])
				}
			}
		}
	})
}

func TestKeysWithTheSameCells(t *testing.T) {
	h := New(hashKey, 8, 0).h
	seen := map[[parts]int][]byte{}
	for _, key := range numbered(100_000, 8) {
		at := h.cells(key)
		other, ok := seen[at]
		seen[at] = key
		if !ok {
			continue
		}
		table := New(hashKey, 8, 0)
		table.Add(key, 2)
		table.Add(other, 4)
		if entries, ok, err := table.Decode(6, anyKey); entries != nil || ok || err != nil {
			t.Fatalf("%v, %v, %v", entries, ok, err)
		}
		again := New(HashKey([]byte("seed"), "test", 1), 8, 0)
		again.Add(key, 2)
		again.Add(other, 4)
		check(t, decode(t, again), map[string]uint64{string(key): 2, string(other): 4})
		return
	}
	t.Fatal("no two keys with the same cells")
}

func TestHowOftenReadingFails(t *testing.T) {
	tables := map[int]int{10: 20_000, 100: 3_000}
	if testing.Short() {
		tables = map[int]int{10: 1_000, 100: 100}
	}
	for _, dmax := range []int{10, 100} {
		random := rand.New(rand.NewPCG(1, uint64(dmax)))
		l := Layout(8, dmax)
		v := ring.New(l)
		failed := 0
		for attempt := range tables[dmax] {
			clear(v.Bytes())
			table, err := FromVector(HashKey(nil, "rate", uint32(attempt)), 8, dmax, v)
			if err != nil {
				t.Fatal(err)
			}
			var key [8]byte
			for range dmax {
				binary.LittleEndian.PutUint64(key[:], random.Uint64())
				table.Add(key[:], 1+random.Uint64N(100))
			}
			entries, ok, err := table.Decode(math.MaxUint64, anyKey)
			if err != nil || ok && len(entries) != dmax {
				t.Fatalf("%d entries, %v", len(entries), err)
			}
			if !ok {
				failed++
			}
		}
		// Rates are 5e-6 and 3e-5: more than two failures in these tables have a probability below 2e-4.
		if failed > 2 {
			t.Errorf("dmax %d: %d of %d tables could not be read", dmax, failed, tables[dmax])
		}
	}
}

// full is a table of some keys, with the sum of their counts.
func full() (table *Table, total uint64) {
	table = New(hashKey, 16, 8)
	for i, key := range numbered(8, 16) {
		table.Add(key, uint64(i+1))
		total += uint64(i + 1)
	}
	return table, total
}

func TestBoundOfTheSum(t *testing.T) {
	table, total := full()
	if _, ok, err := table.Decode(total, anyKey); !ok || err != nil {
		t.Errorf("%v, %v", ok, err)
	}
	if _, ok, err := table.Decode(total-1, anyKey); ok || !errors.Is(err, ErrCorrupt) {
		t.Errorf("too large a sum: %v, %v", ok, err)
	}
	// 2^64 = 0: the sum of the counts is that of one key alone.
	key := numbered(10, 16)[9]
	table.Add(key, math.MaxUint64-total)
	if _, ok, err := table.Decode(math.MaxUint64, anyKey); !ok || err != nil {
		t.Errorf("%v, %v", ok, err)
	}
	table.Add(key, 5)
	if _, ok, err := table.Decode(4, anyKey); ok || !errors.Is(err, ErrCorrupt) {
		t.Errorf("a sum beyond 2^64: %v, %v", ok, err)
	}
	if _, ok, err := table.Decode(math.MaxUint64, anyKey); ok || !errors.Is(err, ErrCorrupt) {
		t.Errorf("a sum beyond 2^64 without bound: %v, %v", ok, err)
	}
}

func TestKeysThatAreNone(t *testing.T) {
	table, total := full()
	for _, bad := range numbered(8, 16) {
		_, ok, err := table.Decode(total, func(key []byte) bool { return !bytes.Equal(key, bad) })
		if ok || !errors.Is(err, ErrCorrupt) {
			t.Errorf("key %x: %v, %v", bad, ok, err)
		}
	}
}

func TestPlantedCellsAreRefused(t *testing.T) {
	_, total := full()
	words := New(hashKey, 16, 8).Vector().Layout().Size() / 8
	for at := range words {
		table, _ := full()
		add(table.Vector().Bytes()[8*at:], 1)
		if entries, ok, err := table.Decode(math.MaxUint64, anyKey); entries != nil || ok || !errors.Is(err, ErrCorrupt) {
			t.Fatalf("word %d: %v, %v, %v", at, entries, ok, err)
		}
	}
	// The same words in each part: the sums of the parts agree.
	for at := range words / parts {
		table, _ := full()
		for part := range parts {
			plant(table, part, at, 1)
		}
		if entries, ok, err := table.Decode(2*total, anyKey); entries != nil || ok {
			t.Fatalf("word %d: %v, %v, %v", at, entries, ok, err)
		}
	}
}

// plant adds x to word at of the given part.
func plant(table *Table, part, at int, x uint64) {
	sub := table.cells / parts
	b := table.Vector().Bytes()
	switch {
	case at < sub:
		add(b[8*(part*sub+at):], x)
	case at < sub*(1+table.words):
		add(b[8*(table.cells+part*sub*table.words+at-sub):], x)
	default:
		add(b[8*(table.cells*(1+table.words)+part*sub+at-sub*(1+table.words)):], x)
	}
}

// plantKey adds count times a key, word by word without carries, to a cell of the given part.
func plantKey(table *Table, part, cell int, key []byte, count uint64) {
	sub := table.cells / parts
	plant(table, part, cell, count)
	for i := range table.words - 1 {
		plant(table, part, sub+cell*table.words+i, count*binary.LittleEndian.Uint64(key[8*i:]))
	}
	plant(table, part, sub*(1+table.words)+cell, count*table.h.check(key))
}

const minus1 = math.MaxUint64

func TestNoKeyTwice(t *testing.T) {
	key := numbered(4, 16)[3]
	table := New(hashKey, 16, 8)
	table.Add(key, 2)
	// One of the two goes from the key's first cell to the next one: so one can be taken out there, and one elsewhere.
	cell := table.h.cells(key)[0]
	plantKey(table, 0, cell, key, minus1)
	plantKey(table, 0, (cell+1)%part(8), key, 1)
	entries, ok, err := table.Decode(100, anyKey)
	if entries != nil || ok || !errors.Is(err, ErrCorrupt) {
		t.Errorf("%v, %v, %v", entries, ok, err)
	}
}

func TestCellsThatShowNoKey(t *testing.T) {
	key := numbered(4, 16)[3]
	sub := part(8)
	for name, change := range map[string]func(table *Table, part, cell int){
		"another cell": func(table *Table, part, cell int) {
			plantKey(table, part, cell, key, minus1)
			plantKey(table, part, (cell+1)%sub, key, 1)
		},
		"a remainder":   func(table *Table, part, cell int) { plant(table, part, sub+cell*table.words, 1) },
		"another check": func(table *Table, part, cell int) { plant(table, part, sub*(1+table.words)+cell, 1) },
		"too large": func(table *Table, part, cell int) {
			plant(table, part, sub+cell*table.words+table.words-1, 2)
		},
		"no count": func(table *Table, part, cell int) { plant(table, part, cell, minus1-1) },
	} {
		table := New(hashKey, 16, 8)
		table.Add(key, 1)
		if name != "another cell" {
			table.Add(key, 1)
		}
		for part, cell := range table.h.cells(key) {
			change(table, part, cell%sub)
		}
		shown := 0
		entries, ok, err := table.Decode(100, func([]byte) bool { shown++; return true })
		if entries != nil || ok || err != nil || shown > 0 {
			t.Errorf("%s: %v, %v, %v; %d keys", name, entries, ok, err, shown)
		}
	}
}

// FuzzDecode changes words of a table as the fuzzer says: eleven bytes name a word, the parts in which it is changed, and
// what is added to it. What is read must be what the vector holds.
func FuzzDecode(f *testing.F) {
	const most = 1 << 50
	f.Add([]byte{})
	f.Add([]byte{3, 0, 15, 1, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{255, 255, 1, 255, 255, 255, 255, 255, 255, 255, 255, 255})
	key := numbered(3, 8)[2]
	h := New(hashKey, 8, 0).h
	var more []byte // a key that is added again, word by word
	for part, cell := range h.cells(key) {
		cell := uint64(cell % 64)
		for _, change := range [][2]uint64{{cell, 1}, {64 + 2*cell, binary.LittleEndian.Uint64(key)}, {64*3 + cell, h.check(key)}} {
			more = binary.LittleEndian.AppendUint16(more, uint16(change[0]))
			more = append(more, 1<<part)
			more = binary.LittleEndian.AppendUint64(more, change[1])
		}
	}
	f.Add(more)
	f.Fuzz(func(t *testing.T, changes []byte) {
		table := New(hashKey, 8, 0)
		for i, key := range numbered(6, 8) {
			table.Add(key, uint64(i+1))
		}
		if len(changes) > 0 && changes[0] == 0xfe { // or any vector at all
			copy(table.Vector().Bytes(), changes[1:])
		} else {
			for ; len(changes) >= 11; changes = changes[11:] {
				at := int(binary.LittleEndian.Uint16(changes)) % (table.cells / parts * 4)
				for part := range parts {
					if changes[2]>>part&1 == 1 {
						plant(table, part, at, binary.LittleEndian.Uint64(changes[3:]))
					}
				}
			}
		}
		entries, ok, err := table.Decode(most, anyKey)
		if !ok {
			if entries != nil {
				t.Fatalf("entries of a table that was not read: %v", entries)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		again := New(hashKey, 8, 0)
		var total uint64
		for _, e := range entries {
			again.Add(e.Key, e.Count)
			total += e.Count
		}
		if !again.Vector().Equal(table.Vector()) || total > most {
			t.Fatalf("%v are not in the table", entries)
		}
		for i := range entries[min(1, len(entries)):] {
			if bytes.Compare(entries[i].Key, entries[i+1].Key) >= 0 {
				t.Fatalf("%v are not in order", entries)
			}
		}
	})
}

func BenchmarkAdd(b *testing.B) {
	for _, size := range []int{64, 128, 192} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			table := New(hashKey, size, 1000)
			key := numbered(1, size)[0]
			for b.Loop() {
				table.Add(key, 3)
			}
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, size := range []int{64, 128, 192} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			table := New(hashKey, size, 1000)
			random := rand.New(rand.NewPCG(1, 1))
			for _, key := range numbered(1000, size) {
				table.Add(key, 1+random.Uint64N(1000))
			}
			for b.Loop() {
				decode(b, table)
			}
		})
	}
}
