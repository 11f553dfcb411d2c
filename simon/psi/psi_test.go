package psi

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	mathrand "math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/gtank/ristretto255"
	"pgregory.net/rapid"
)

func seeded(seed byte) io.Reader { return mathrand.NewChaCha8([32]byte{seed}) }

func texts(items ...string) [][]byte {
	var out [][]byte
	for _, s := range items {
		b, err := AppendText(nil, s)
		if err != nil {
			panic(err)
		}
		out = append(out, b)
	}
	return out
}

func keyed(t testing.TB, random io.Reader, sid byte, name string) *Keyed {
	t.Helper()
	k, err := NewKeyed(random, [32]byte{sid}, name)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// pair plays two parties and returns which of a's items b has.
func pair(t testing.TB, a, b [][]byte, n int) []bool {
	t.Helper()
	alice, bob := keyed(t, seeded(1), 1, "x"), keyed(t, seeded(2), 1, "x")
	listA, at, err := alice.Mask(seeded(3), a, n, steady)
	if err != nil {
		t.Fatal(err)
	}
	listB, _, err := bob.Mask(seeded(4), b, n, steady)
	if err != nil {
		t.Fatal(err)
	}
	returned, _, err := bob.Return(listA, n, 1, 0, steady)
	if err != nil {
		t.Fatal(err)
	}
	echo, theirs, err := alice.Return(listB, n, 0, 1, steady)
	if err != nil {
		t.Fatal(err)
	}
	if slices.Contains(Common(echo, theirs), true) {
		t.Error("what a party returned is taken for what was returned to it")
	}
	in, found := Common(returned, theirs), make([]bool, len(a))
	for i := range a {
		found[i] = in[at[i]]
	}
	return found
}

func TestPair(t *testing.T) {
	a, b := texts("a", "b", "", "é"), texts("é", "x", "b", "y", "z")
	if got := pair(t, a, b, 8); !slices.Equal(got, []bool{false, true, false, true}) {
		t.Errorf("%v", got)
	}
	if got := pair(t, nil, b, 5); len(got) != 0 {
		t.Errorf("%v", got)
	}
	if _, _, err := keyed(t, seeded(1), 1, "x").Mask(seeded(1), a, 3, steady); err == nil {
		t.Error("4 elements in 3 places")
	}
	many := make([][]byte, 2500) // several blocks, two goroutines
	for i := range many {
		many[i] = texts(fmt.Sprint(i))[0]
	}
	got := pair(t, many, many[1700:], 2500)
	for i, in := range got {
		if in != (i >= 1700) {
			t.Fatalf("element %d: %v", i, in)
		}
	}
}

// joint plays n parties up to their pseudonyms.
func joint(t testing.TB, sid byte, name string, size int, items ...[][]byte) [][][NameSize]byte {
	t.Helper()
	parties, blinded := make([]*Keyed, len(items)), make([]*Blinded, len(items))
	for i := range items {
		parties[i] = keyed(t, seeded(byte(10+i)), sid, name)
		var err error
		if blinded[i], err = parties[i].Blind(seeded(byte(20+i)), items[i], size, steady); err != nil {
			t.Fatal(err)
		}
	}
	names := make([][][NameSize]byte, len(items))
	for i := range items {
		var publics, answers [][]byte
		for j, p := range parties {
			if j == i {
				continue
			}
			a, err := p.Answer(blinded[i].List, size, steady)
			if err != nil {
				t.Fatal(err)
			}
			publics, answers = append(publics, p.Public()), append(answers, a)
		}
		all, at, err := blinded[i].Pseudonyms(publics, answers, steady)
		if err != nil {
			t.Fatal(err)
		}
		for k := range items[i] {
			names[i] = append(names[i], all[at[k]])
		}
	}
	return names
}

// TestJoint: one element has one pseudonym at all parties, different ones have different ones, and none occurs in another
// computation or in another intersection of the same computation, with the very same keys.
func TestJoint(t *testing.T) {
	a, b, c := texts("a", "b"), texts("b", "c", "a"), texts("d", "b")
	names := joint(t, 1, "x", 4, a, b, c)
	if names[0][0] != names[1][2] || names[0][1] != names[1][0] || names[0][1] != names[2][1] || names[0][0] == names[0][1] {
		t.Error("pseudonyms do not follow the elements")
	}
	seen := map[[NameSize]byte]bool{}
	for _, names := range [][][][NameSize]byte{names, joint(t, 2, "x", 4, a, b, c), joint(t, 1, "y", 4, a, b, c)} {
		for _, name := range [][NameSize]byte{names[0][0], names[0][1], names[1][1], names[2][0]} {
			if seen[name] {
				t.Error("a pseudonym of one intersection occurs in another")
			}
			seen[name] = true
		}
	}
}

func TestAnswersAreChecked(t *testing.T) {
	a, b := keyed(t, seeded(1), 1, "x"), keyed(t, seeded(2), 1, "x")
	list, err := a.Blind(seeded(3), texts("a", "b"), 2, steady)
	if err != nil {
		t.Fatal(err)
	}
	good, err := b.Answer(list.List, 2, steady)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		answer []byte
		want   error
	}{
		"short":        {good[:PointSize], ErrLength},
		"long":         {append(slices.Clone(good), good[:PointSize]...), ErrLength},
		"twice":        {append(slices.Clone(good[:PointSize]), good[:PointSize]...), ErrRepeated},
		"the identity": {append(slices.Clone(good[:PointSize]), make([]byte, PointSize)...), ErrPoint},
		"no element":   {append(slices.Clone(good[:PointSize]), bytes.Repeat([]byte{0xff}, PointSize)...), ErrPoint},
	} {
		_, _, err := list.Pseudonyms([][]byte{b.Public()}, [][]byte{c.answer}, steady)
		if part, ok := errors.AsType[*PartError](err); !ok || part.Part != 0 || !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := b.Answer(c.answer, 2, steady); !errors.Is(err, c.want) {
			t.Errorf("%s, to be answered: %v", name, err)
		}
		if _, _, err := b.Return(c.answer, 2, 1, 0, steady); !errors.Is(err, c.want) {
			t.Errorf("%s, to be returned: %v", name, err)
		}
	}
	// A party whose scalar takes the other's off would give all elements one pseudonym.
	b.key.s.Negate(&a.key.s)
	answer, err := b.Answer(list.List, 2, steady)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := list.Pseudonyms([][]byte{b.Public()}, [][]byte{answer}, steady); err != ErrAnswers {
		t.Errorf("elements without a key: %v", err)
	}
}

func TestStepEndsTheWork(t *testing.T) {
	stop, steps := errors.New("stop"), 0
	_, _, err := keyed(t, seeded(1), 1, "x").Mask(seeded(1), nil, 2500, func(done int) error {
		if steps++; steps == 2 {
			return stop
		}
		return nil
	})
	if err != stop || steps != 2 {
		t.Errorf("%v after %d steps", err, steps)
	}
	var done []int
	if _, _, err := keyed(t, seeded(1), 1, "x").Mask(seeded(1), nil, 2500, func(n int) error { done = append(done, n); return nil }); err != nil || !slices.Equal(done, []int{1000, 1000, 500}) {
		t.Errorf("%v %v", done, err)
	}
	defer func() {
		if recover() == nil {
			t.Error("a panic of a goroutine is lost")
		}
	}()
	fan(0, 100, func(from, _ int) error {
		if from > 0 {
			panic("x")
		}
		return nil
	})
	panic("only one core: nothing to see")
}

func TestSecretsDoNotPrint(t *testing.T) {
	k := keyed(t, seeded(1), 1, "x")
	plain := k.key.s.Encode(nil)
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		if got := fmt.Sprintf(format, k.key); got != "[secret]" {
			t.Errorf("%s: %s", format, got)
		}
	}
	k.Forget()
	if bytes.Equal(k.key.s.Encode(nil), plain) {
		t.Error("the scalar is still there")
	}
	if _, err := NewScalar(strings.NewReader("short")); err == nil {
		t.Error("a scalar of no randomness")
	}
	// Zero is drawn again.
	s, err := NewScalar(io.MultiReader(bytes.NewReader(make([]byte, 64)), seeded(1)))
	if err != nil || identical(s.s.Encode(nil)) {
		t.Errorf("zero is a scalar: %v", err)
	}
}

// TestPermutation: all permutations come, with one probability (chi-squared with 23 degrees of freedom, below the quantile of
// 1e-9), and random numbers are rejected where they would favour small ones.
func TestPermutation(t *testing.T) {
	r, counts := seeded(1), map[[4]int]int{}
	const runs = 24_000
	for range runs {
		p, err := Permutation(r, 4)
		if err != nil {
			t.Fatal(err)
		}
		counts[[4]int(p)]++
	}
	chi := 0.0
	for _, c := range counts {
		chi += math.Pow(float64(c)-runs/24, 2) / (runs / 24)
	}
	if len(counts) != 24 || chi > 95 {
		t.Errorf("%d permutations, chi-squared %.1f", len(counts), chi)
	}
	low := binary.LittleEndian.AppendUint64(nil, 0) // 2^64 mod 3 is 1: 0 must be rejected
	next := binary.LittleEndian.AppendUint64(nil, 5)
	if x, err := below(bytes.NewReader(append(low, next...)), 3); err != nil || x != 2 {
		t.Errorf("%d %v", x, err)
	}
	if _, err := Permutation(strings.NewReader(""), 2); err == nil {
		t.Error("a permutation of no randomness")
	}
}

func randomNames(t testing.TB, n int) (names [][NameSize]byte, values []byte) {
	t.Helper()
	names, values = make([][NameSize]byte, n), make([]byte, n*ValueSize)
	for i := range names {
		rand.Read(names[i][:])
	}
	rand.Read(values)
	return names, values
}

func TestStore(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		n := rapid.IntRange(0, 600).Draw(r, "names")
		attempt := rapid.Uint32().Draw(r, "attempt")
		names, values := randomNames(t, n)
		_, others := randomNames(t, n)
		one, ok, err := Encode(rand.Reader, attempt, names, values)
		if !ok || err != nil {
			r.Fatalf("%v %v", ok, err)
		}
		two, ok, err := Encode(rand.Reader, attempt, names, others)
		if !ok || err != nil {
			r.Fatalf("%v %v", ok, err)
		}
		sum := make([]byte, len(one))
		for i := range sum {
			sum[i] = one[i] ^ two[i]
		}
		for i, name := range names {
			got, both := Decode(one, n, attempt, name), Decode(sum, n, attempt, name)
			for k := range got {
				if got[k] != values[i*ValueSize+k] || both[k] != got[k]^others[i*ValueSize+k] {
					r.Fatalf("name %d of %d is lost", i, n)
				}
			}
		}
	})
	if _, _, err := Encode(rand.Reader, 0, make([][NameSize]byte, 2), make([]byte, 3)); err == nil {
		t.Error("values of another length")
	}
}

// TestStoreFails: what cannot be solved says so: two equal names, or more names in one place than there are columns.
func TestStoreFails(t *testing.T) {
	names, values := randomNames(t, 10)
	names[7] = names[2]
	if _, ok, err := Encode(rand.Reader, 0, names, values); ok || err != nil {
		t.Errorf("%v %v", ok, err)
	}
}

// TestStoreIsUniform: all columns of a store are random, free ones too: no column is zero, a name that was not encoded has a
// random value, and two stores of the same names and values differ in about half of their free bits.
func TestStoreIsUniform(t *testing.T) {
	names, values := randomNames(t, 300)
	clear(values)
	one, _, err := Encode(rand.Reader, 0, names, values)
	if err != nil {
		t.Fatal(err)
	}
	two, _, err := Encode(rand.Reader, 0, names, values)
	if err != nil {
		t.Fatal(err)
	}
	ones, differ := 0, 0
	for i := range one {
		for k := range 8 {
			ones += int(one[i] >> k & 1)
			differ += int((one[i] ^ two[i]) >> k & 1)
		}
	}
	n := float64(8 * len(one))
	if d := math.Abs(float64(ones)-n/2) / math.Sqrt(n/4); d > 6 {
		t.Errorf("%d of %.0f bits are 1: %.1f standard deviations", ones, n, d)
	}
	if d := math.Abs(float64(differ)-n/2) / math.Sqrt(n/4); d > 6 {
		t.Errorf("%d of %.0f bits differ between two stores: %.1f standard deviations", differ, n, d)
	}
	for i := 0; i < len(one); i += ValueSize {
		if identical(one[i : i+ValueSize]) {
			t.Fatalf("column %d is zero", i/ValueSize)
		}
	}
	strangers, _ := randomNames(t, 1000)
	for _, s := range strangers {
		if v := Decode(one, len(names), 0, s); identical(v[:]) {
			t.Error("a name that is not there has the value of those that are")
		}
	}
}

func TestItems(t *testing.T) {
	number := func(s string) []byte {
		b, err := AppendInteger(nil, []byte(s))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	list := func(parts ...[]byte) []byte {
		b, err := AppendList(nil, parts...)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	text := func(s string) []byte { return texts(s)[0] }
	different := [][]byte{
		text("1"), number("1"), number("-1"), AppendBoolean(nil, true), text("true"), AppendBoolean(nil, false), text(""), list(), list(text("")),
		list(number("1")), list(text("1")), list(text("a_b"), text("c")), list(text("a"), text("b_c")), list(text("ab")), list(text("a"), text("b")),
		text("A"), text("a"), text(" a"), number("123456789012345678901234567890"), number("123456789012345678901234567891"),
	}
	for i, a := range different {
		for k, b := range different {
			if bytes.Equal(a, b) != (i == k) {
				t.Errorf("%s and %s", AppendJSON(nil, a), AppendJSON(nil, b))
			}
		}
	}
	for _, same := range [][2][]byte{{text("e\u0301"), text("\u00e9")}, {number("1"), number("1.0")}, {number("1e3"), number("1000")}, {number("-0"), number("0")}} {
		if !bytes.Equal(same[0], same[1]) {
			t.Errorf("%s and %s", AppendJSON(nil, same[0]), AppendJSON(nil, same[1]))
		}
	}
	if got := string(AppendJSON(nil, list(text("a\"<é"), number("1e2"), AppendBoolean(nil, true)))); got != `["a\"<é",100,true]` {
		t.Error(got)
	}
	if _, err := AppendText(nil, "\xff"); err != ErrUTF8 {
		t.Error(err)
	}
	if _, err := AppendText(nil, strings.Repeat("x", MaxItem)); err != ErrLong {
		t.Error(err)
	}
	if _, err := AppendList(nil, text(strings.Repeat("x", MaxItem-1))); err != ErrLong {
		t.Error(err)
	}
	if _, err := AppendInteger(nil, []byte("1.5")); err == nil || strings.Contains(err.Error(), "1.5") {
		t.Error(err)
	}
}

// FuzzLists: whatever a party sends, it is worked on or refused, and what is worked on are different elements, none the identity.
func FuzzLists(f *testing.F) {
	k := keyed(f, seeded(1), 1, "x")
	list, _, err := k.Mask(seeded(2), texts("a", "b"), 2, steady)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(list, 2)
	f.Add(list, 1)
	f.Add(append(list[:PointSize:PointSize], list[:PointSize]...), 2)
	f.Add(make([]byte, PointSize), 1)
	f.Fuzz(func(t *testing.T, list []byte, n int) {
		if n < 0 || n > 100 {
			return
		}
		answers, err := k.Answer(list, n, steady)
		returned, match, again := k.Return(list, n, 1, 0, steady)
		if (err == nil) != (again == nil) {
			t.Fatalf("%v and %v", err, again)
		}
		if err != nil {
			return
		}
		if CheckList(answers, n, PointSize) != nil || CheckList(returned, n, HashSize) != nil || CheckList(match, n, HashSize) != nil || len(list) != n*PointSize {
			t.Fatalf("%d answers to a list of %d bytes, want %d different ones", len(answers)/PointSize, len(list), n)
		}
		for i := range n {
			if decode(new(ristretto255.Element), answers[i*PointSize:][:PointSize]) != nil {
				t.Fatal("an answer is no element")
			}
		}
	})
}

// TestMarks: what normalization would break in two is refused, since another text has the same encoding.
func TestMarks(t *testing.T) {
	marks := strings.Repeat("\u0300", 30)
	for s, want := range map[string]error{"x" + marks: nil, "x" + marks + "\u034f": nil, "x" + marks + "\u034f\u0300": nil, "x" + marks + "\u0300": ErrMarks} {
		if b, err := AppendText([]byte("y"), s); err != want || err != nil && len(b) != 1 {
			t.Errorf("%q: %v", s, err)
		}
	}
}
