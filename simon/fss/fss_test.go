package fss_test

import (
	"bytes"
	cryptorand "crypto/rand"
	"errors"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/weftmpc/weft/simon/fss"
)

// A shape of comparisons and what works on them, so that tests need not know whether payloads are pairs.
type comparison struct {
	bits, words int
}

func (c comparison) size() int {
	if c.words == 2 {
		return fss.PairKeySize(c.bits)
	}
	return fss.KeySize(c.bits)
}

func (c comparison) room(n int) [2][]byte {
	return [2][]byte{make([]byte, n*c.size()), make([]byte, n*c.size())}
}

func (c comparison) gen(k *fss.Keys, rand io.Reader, alpha uint64, beta []uint64, keys [2][]byte) error {
	if c.words == 2 {
		return k.GenPair(rand, c.bits, alpha, [2]uint64(beta), keys[0], keys[1])
	}
	return k.Gen(rand, c.bits, alpha, beta[0], keys[0], keys[1])
}

func (c comparison) genAll(k *fss.Keys, rand io.Reader, alphas, betas []uint64, keys [2][]byte) error {
	if c.words == 2 {
		return k.GenPairAll(rand, c.bits, alphas, betas, keys[0], keys[1])
	}
	return k.GenAll(rand, c.bits, alphas, betas, keys[0], keys[1])
}

func (c comparison) eval(k *fss.Keys, party int, key []byte, x uint64) ([]uint64, error) {
	if c.words == 2 {
		v, err := k.EvalPair(party, c.bits, key, x)
		return v[:], err
	}
	v, err := k.Eval(party, c.bits, key, x)
	return []uint64{v}, err
}

func (c comparison) evalAll(k *fss.Keys, party int, keys []byte, xs, out []uint64) error {
	if c.words == 2 {
		return k.EvalPairAll(party, c.bits, keys, xs, out)
	}
	return k.EvalAll(party, c.bits, keys, xs, out)
}

// right says whether the shares of f(x) add up to f(x).
func (c comparison) right(t *testing.T, k *fss.Keys, keys [2][]byte, alpha uint64, beta []uint64, x uint64) bool {
	t.Helper()
	v0, err0 := c.eval(k, 0, keys[0], x)
	v1, err1 := c.eval(k, 1, keys[1], x)
	if err := errors.Join(err0, err1); err != nil {
		t.Fatal(err)
	}
	for w := range beta {
		want := beta[w]
		if x >= alpha {
			want = 0
		}
		if v0[w]+v1[w] != want {
			return false
		}
	}
	return true
}

func testKeys() *fss.Keys { return fss.NewKeys([32]byte{1, 2, 3}, []byte("test"), 4) }

// seeded is a reader of the same bytes in each run. Tests of statistics must not fail by chance.
func seeded(seed byte) *rand.ChaCha8 { return rand.NewChaCha8([32]byte{seed}) }

// All alpha and x of up to 8 bits.
func TestExhaustive(t *testing.T) {
	longest := 8
	if testing.Short() {
		longest = 5
	}
	k, r := testKeys(), rand.New(seeded(1))
	for bits := 1; bits <= longest; bits++ {
		for alpha := range uint64(1) << bits {
			for _, beta := range [][]uint64{
				{0}, {1}, {^uint64(0)}, {r.Uint64()},
				{0, 0}, {1, ^uint64(0)}, {^uint64(0), 0}, {r.Uint64(), r.Uint64()},
			} {
				c := comparison{bits, len(beta)}
				keys := c.room(1)
				if err := c.gen(k, cryptorand.Reader, alpha, beta, keys); err != nil {
					t.Fatal(err)
				}
				for x := range uint64(1) << bits {
					if !c.right(t, k, keys, alpha, beta, x) {
						t.Fatalf("%d bits, alpha %d, beta %d: wrong at %d", bits, alpha, beta, x)
					}
				}
			}
		}
	}
}

// Alphas and xs of many bits that are at the ends, equal, neighbours, equal up to some bit, or anything.
func TestManyBits(t *testing.T) {
	k, r := testKeys(), rand.New(seeded(2))
	others := 60
	if testing.Short() {
		others = 4
	}
	for _, bits := range []int{9, 31, 32, 39, 62, 63} {
		top := uint64(1)<<bits - 1
		alphas := []uint64{0, 1, top - 1, top, 1 << (bits - 1), 1<<(bits-1) - 1}
		for range others {
			alphas = append(alphas, r.Uint64()&top)
		}
		for i, alpha := range alphas {
			c := comparison{bits, 1 + i%2}
			beta := []uint64{r.Uint64(), 1 - 2*uint64(i/2%2)}[:c.words]
			keys := c.room(1)
			if err := c.gen(k, cryptorand.Reader, alpha, beta, keys); err != nil {
				t.Fatal(err)
			}
			xs := []uint64{0, top, alpha, (alpha - 1) & top, (alpha + 1) & top, r.Uint64() & top}
			for bit := range bits {
				xs = append(xs, alpha^1<<bit, alpha^r.Uint64()&(1<<bit-1))
			}
			for _, x := range xs {
				if !c.right(t, k, keys, alpha, beta, x) {
					t.Fatalf("%d bits, alpha %d, beta %d: wrong at %d", bits, alpha, beta, x)
				}
			}
		}
	}
}

func TestKeySize(t *testing.T) {
	for _, tt := range []struct{ bits, size, pair int }{{1, 49, 65}, {8, 224, 296}, {39, 999, 1319}, {63, 1599, 2111}} {
		if s, p := fss.KeySize(tt.bits), fss.PairKeySize(tt.bits); s != tt.size || p != tt.pair {
			t.Errorf("%d bits: %d and %d bytes, want %d and %d", tt.bits, s, p, tt.size, tt.pair)
		}
	}
}

// Batches give what single calls give, from the same random bytes, on one core and on several.
func TestBatches(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	k, r := testKeys(), rand.New(seeded(3))
	for _, c := range []comparison{{3, 1}, {39, 1}, {39, 2}, {63, 2}} {
		for _, n := range []int{0, 1, 4, 5, 7, 8, 9, 17, 127, 128, 129, 200, 517} {
			runtime.GOMAXPROCS(1 + n%4)
			alphas, xs, betas := make([]uint64, n), make([]uint64, n), make([]uint64, n*c.words)
			for i := range n {
				alphas[i], xs[i] = r.Uint64()>>(64-c.bits), r.Uint64()>>(64-c.bits)
			}
			for i := range betas {
				betas[i] = r.Uint64()
			}
			keys, single := c.room(n), c.room(n)
			if err := c.genAll(k, seeded(byte(n)), alphas, betas, keys); err != nil {
				t.Fatal(err)
			}
			source := seeded(byte(n))
			for i := range n {
				at := [2][]byte{single[0][i*c.size():][:c.size()], single[1][i*c.size():][:c.size()]}
				if err := c.gen(k, source, alphas[i], betas[i*c.words:][:c.words], at); err != nil {
					t.Fatal(err)
				}
			}
			for party := range 2 {
				if !bytes.Equal(keys[party], single[party]) {
					t.Fatalf("%v: %d keys are not those of single calls", c, n)
				}
				out, want := make([]uint64, n*c.words), []uint64{}
				if err := c.evalAll(k, party, keys[party], xs, out); err != nil {
					t.Fatal(err)
				}
				for i := range n {
					v, err := c.eval(k, party, keys[party][i*c.size():][:c.size()], xs[i])
					if err != nil {
						t.Fatal(err)
					}
					want = append(want, v...)
				}
				if !slices.Equal(out, want) {
					t.Fatalf("%v: %d results are not those of single calls", c, n)
				}
			}
		}
	}
}

// Another computation, label or level has another generator: a key works under its own only.
func TestKeysAreBoundToTheirPlace(t *testing.T) {
	sid, label := [32]byte{1}, []byte("median")
	c := comparison{8, 1}
	keys := c.room(1)
	if err := c.gen(fss.NewKeys(sid, label, 3), cryptorand.Reader, 200, []uint64{1}, keys); err != nil {
		t.Fatal(err)
	}
	want, _ := c.eval(fss.NewKeys(sid, label, 3), 0, keys[0], 100)
	for what, k := range map[string]*fss.Keys{
		"sid": fss.NewKeys([32]byte{2}, label, 3), "label": fss.NewKeys(sid, []byte("mediam"), 3), "level": fss.NewKeys(sid, label, 4),
		"length": fss.NewKeys(sid, []byte("media"), uint32('n')<<24),
	} {
		if got, _ := c.eval(k, 0, keys[0], 100); slices.Equal(got, want) {
			t.Errorf("the %s makes no difference", what)
		}
	}
}

func TestRefused(t *testing.T) {
	k := testKeys()
	key, one, two := make([]byte, fss.KeySize(39)), make([]uint64, 1), make([]uint64, 2)
	pair := make([]byte, fss.PairKeySize(39))
	eval := func(_ any, err error) error { return err }
	for _, tt := range []struct {
		err  error
		want string
	}{
		{eval(k.Eval(0, 39, nil, 1)), "keys have 0 bytes, 1 comparisons of 39 bits need 999"},
		{eval(k.Eval(0, 39, key[1:], 1)), "keys have 998 bytes"},
		{eval(k.Eval(1, 39, append(key, 0), 1)), "keys have 1000 bytes"},
		{eval(k.Eval(0, 38, key, 1)), "need 974"},
		{eval(k.EvalPair(0, 39, key, 1)), "need 1319"},
		{eval(k.EvalPair(0, 39, pair[:1318], 1)), "keys have 1318 bytes"},
		{k.EvalAll(0, 39, key, two, two), "need 1998"},
		{k.EvalAll(0, 39, key, one, two), "room for 2 results of 1 comparisons, want 1"},
		{k.EvalPairAll(0, 39, pair, one, one), "room for 1 results of 1 comparisons, want 2"},
		{k.EvalAll(0, 39, key, nil, nil), "need 0"},
		{eval(k.Eval(0, 39, key, 1<<39)), "an x has more bits"},
		{eval(k.Eval(0, 39, key, 1<<63)), "an x has more bits"},
		{eval(k.Eval(0, 39, key, 1<<39-1)), ""},
		{k.EvalAll(0, 39, append(key, key...), []uint64{1, 1 << 40}, two), "an x has more bits"},
		{k.Gen(cryptorand.Reader, 39, 1<<39, 1, key, key), "an alpha has more bits"},
		{k.GenAll(cryptorand.Reader, 39, []uint64{1 << 50}, one, key, key), "an alpha has more bits"},
		{k.Gen(cryptorand.Reader, 39, 1<<39-1, 1, key, slices.Clone(key)), ""},
		{k.Gen(cryptorand.Reader, 39, 1, 1, key, key[1:]), "room for keys of 999 and 998 bytes, 1 comparisons of 39 bits need 999"},
		{k.Gen(cryptorand.Reader, 39, 1, 1, nil, key), "room for keys of 0 and 999 bytes"},
		{k.GenPair(cryptorand.Reader, 39, 1, [2]uint64{}, key, pair), "need 1319"},
		{k.GenAll(cryptorand.Reader, 39, one, two, key, key), "2 payloads for 1 comparisons, want 1"},
		{k.GenPairAll(cryptorand.Reader, 39, one, one, pair, pair), "1 payloads for 1 comparisons, want 2"},
		{k.Gen(bytes.NewReader(make([]byte, 31)), 39, 1, 1, key, slices.Clone(key)), "reading random seeds: unexpected EOF"},
	} {
		switch {
		case tt.want == "" && tt.err != nil:
			t.Errorf("refused: %v", tt.err)
		case tt.want != "" && (tt.err == nil || !strings.Contains(tt.err.Error(), tt.want)):
			t.Errorf("%v, want %q", tt.err, tt.want)
		}
	}
	for what, f := range map[string]func(){
		"0 bits":       func() { fss.KeySize(0) },
		"64 bits":      func() { fss.PairKeySize(64) },
		"-1 bits":      func() { _, _ = k.Eval(0, -1, nil, 0) },
		"64 bits, Gen": func() { _ = k.Gen(cryptorand.Reader, 64, 0, 0, nil, nil) },
		"evaluator 2":  func() { _, _ = k.Eval(2, 39, key, 0) },
		"evaluator -1": func() { _, _ = k.EvalPair(-1, 39, pair, 0) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", what)
				}
			}()
			f()
		}()
	}
}

// Evaluation allocates its block, not more for more comparisons.
func TestAllocations(t *testing.T) {
	k := testKeys()
	for _, c := range []comparison{{39, 1}, {63, 2}} {
		allocations := func(n int) (eval, gen float64) {
			keys, alphas, out := c.room(n), make([]uint64, n), make([]uint64, n*c.words)
			source := seeded(0)
			gen = testing.AllocsPerRun(5, func() { _ = c.genAll(k, source, alphas, out, keys) })
			eval = testing.AllocsPerRun(5, func() { _ = c.evalAll(k, 0, keys[0], alphas, out) })
			return eval, gen
		}
		eval1, gen1 := allocations(1)
		eval, gen := allocations(200)
		if eval != eval1 || gen != gen1 || eval > 4 || gen > 4 {
			t.Errorf("%v: evaluation allocates %v times for one and %v for 200, generation %v and %v", c, eval1, eval, gen1, gen)
		}
	}
}

// A key of any bytes is evaluated or refused, and what its evaluation is does not depend on other keys beside it.
func FuzzEval(f *testing.F) {
	k := testKeys()
	c := comparison{5, 1}
	keys := c.room(1)
	if err := c.gen(k, seeded(0), 9, []uint64{7}, keys); err != nil {
		f.Fatal(err)
	}
	f.Add(uint8(5), false, keys[0], uint64(8))
	f.Add(uint8(5), false, bytes.Repeat([]byte{0xff}, fss.KeySize(5)), uint64(31))
	f.Add(uint8(1), true, make([]byte, fss.PairKeySize(1)), uint64(0))
	f.Add(uint8(63), true, make([]byte, fss.PairKeySize(62)), uint64(1<<63))
	f.Fuzz(func(t *testing.T, bits uint8, pair bool, key []byte, x uint64) {
		c := comparison{1 + int(bits)%fss.MaxBits, 1}
		if pair {
			c.words = 2
		}
		for party := range 2 {
			v, err := c.eval(k, party, key, x)
			if fits := len(key) == c.size() && x>>c.bits == 0; fits != (err == nil) {
				t.Fatalf("%d bytes for %v: %v", len(key), c, err)
			}
			if err != nil {
				continue
			}
			out := make([]uint64, 3*c.words)
			other := make([]byte, c.size())
			if err := c.evalAll(k, party, slices.Concat(other, key, other), []uint64{0, x, 0}, out); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(out[c.words:2*c.words], v) {
				t.Fatal("another result beside other keys")
			}
		}
	})
}
