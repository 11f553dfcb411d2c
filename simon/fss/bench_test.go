package fss_test

import (
	"crypto/aes"
	"crypto/rand"
	"fmt"
	"math"
	mathrand "math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/weftmpc/weft/simon/fss"
)

// BenchmarkAES is one block of AES-128 after the other, each with the result of the one before, and eight independent ones:
// what the generator can reach at best. Compare: openssl speed -evp aes-128-ecb -bytes 16.
func BenchmarkAES(b *testing.B) {
	c, err := aes.NewCipher(make([]byte, 16))
	if err != nil {
		b.Fatal(err)
	}
	var blocks [8][16]byte
	b.Run("chained", func(b *testing.B) {
		for b.Loop() {
			c.Encrypt(blocks[0][:], blocks[0][:])
		}
	})
	b.Run("independent", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			c.Encrypt(blocks[i&7][:], blocks[i&7][:])
		}
	})
}

func benchKeys(b *testing.B, bits, n int, pair bool) (k *fss.Keys, keys [2][]byte, alphas, betas, xs []uint64) {
	k = fss.NewKeys([32]byte{1}, []byte("benchmark"), 0)
	words, size, gen := 1, fss.KeySize(bits), k.GenAll
	if pair {
		words, size, gen = 2, fss.PairKeySize(bits), k.GenPairAll
	}
	for range n {
		alphas = append(alphas, mathrand.Uint64()>>(64-bits))
		xs = append(xs, mathrand.Uint64()>>(64-bits))
	}
	for range n * words {
		betas = append(betas, mathrand.Uint64())
	}
	keys = [2][]byte{make([]byte, n*size), make([]byte, n*size)}
	if err := gen(rand.Reader, bits, alphas, betas, keys[0], keys[1]); err != nil {
		b.Fatal(err)
	}
	return k, keys, alphas, betas, xs
}

// blocks reports the time of one AES block: what an evaluation or generation computes of them per bit, plus last at the end.
func blocks(b *testing.B, n, bits, perBit, last int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/comparison")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n)/float64(bits*perBit+last), "ns/block")
}

var benchShapes = []struct {
	bits int
	pair bool
}{{39, false}, {63, false}, {63, true}}

func BenchmarkEvalAll(b *testing.B) {
	const n = 4096
	for _, s := range benchShapes {
		k, keys, _, _, xs := benchKeys(b, s.bits, n, s.pair)
		eval, out, perBit, last := k.EvalAll, make([]uint64, n), 3, 0
		if s.pair {
			eval, out, perBit, last = k.EvalPairAll, make([]uint64, 2*n), 4, 1
		}
		for _, cores := range []int{1, runtime.NumCPU()} {
			b.Run(fmt.Sprintf("bits=%d/pair=%v/cores=%d", s.bits, s.pair, cores), func(b *testing.B) {
				defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(cores))
				b.ReportAllocs()
				for b.Loop() {
					if err := eval(0, s.bits, keys[0], xs, out); err != nil {
						b.Fatal(err)
					}
				}
				blocks(b, n, s.bits, perBit, last)
			})
		}
	}
}

func BenchmarkGenAll(b *testing.B) {
	const n = 4096
	for _, s := range benchShapes {
		k, keys, alphas, betas, _ := benchKeys(b, s.bits, n, s.pair)
		gen, perBit, last := k.GenAll, 6, 0
		if s.pair {
			gen, perBit, last = k.GenPairAll, 8, 2
		}
		for _, cores := range []int{1, runtime.NumCPU()} {
			b.Run(fmt.Sprintf("bits=%d/pair=%v/cores=%d", s.bits, s.pair, cores), func(b *testing.B) {
				defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(cores))
				b.ReportAllocs()
				for b.Loop() {
					if err := gen(rand.Reader, s.bits, alphas, betas, keys[0], keys[1]); err != nil {
						b.Fatal(err)
					}
				}
				blocks(b, n, s.bits, perBit, last)
			})
		}
	}
}

func BenchmarkEval(b *testing.B) {
	k, keys, _, _, xs := benchKeys(b, 39, 1, false)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := k.Eval(0, 39, keys[0], xs[0]); err != nil {
			b.Fatal(err)
		}
	}
	blocks(b, 1, 39, 3, 0)
}

// BenchmarkTiming compares how long one secret takes with how long random ones take, as Reparaz, Balasch and Verbauwhede
// (Dude, is my code constant time?, DATE 2017): t is Welch's statistic without the slowest tenth. Beyond 10 the time depends on
// the secret; a run of -benchtime 100000x on an idle machine says most. A machine's noise makes t larger, so no test asks for it.
func BenchmarkTiming(b *testing.B) {
	const bits = 39
	k := fss.NewKeys([32]byte{1}, []byte("timing"), 0)
	source := mathrand.NewChaCha8([32]byte{1})
	r := mathrand.New(source)
	key0, key1, other := make([]byte, fss.KeySize(bits)), make([]byte, fss.KeySize(bits)), make([]byte, fss.KeySize(bits))
	_, _ = source.Read(other)
	var alpha, beta, x uint64
	for _, tt := range []struct {
		name    string
		prepare func(random bool) // the same work for both, so that caches are the same
		run     func() error
	}{
		{"Gen", func(random bool) {
			m := -flag(random)
			alpha, beta = r.Uint64()>>(64-bits)&m, r.Uint64()&m
		}, func() error { return k.Gen(source, bits, alpha, beta, key0, key1) }},
		{"Eval", func(random bool) {
			m := -flag(random)
			x = r.Uint64() >> (64 - bits) & m
			_, _ = source.Read(key1)
			for i := range key0 {
				key0[i] = other[i] ^ byte(m)&(other[i]^key1[i])
			}
		}, func() error { _, err := k.Eval(1, bits, key0, x); return err }},
	} {
		b.Run(tt.name, func(b *testing.B) {
			var times [2][]float64
			for b.Loop() {
				random := r.Uint64()&1 == 1
				tt.prepare(random)
				start := time.Now()
				err := tt.run()
				took := float64(time.Since(start))
				if err != nil {
					b.Fatal(err)
				}
				times[flag(random)] = append(times[flag(random)], took)
			}
			b.ReportMetric(welch(times), "t")
		})
	}
}

func flag(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

func welch(times [2][]float64) float64 {
	all := slices.Sorted(slices.Values(slices.Concat(times[0], times[1])))
	limit := all[len(all)*9/10]
	var mean, variance [2]float64
	for i, ts := range times {
		n, sum, squares := 0.0, 0.0, 0.0
		for _, t := range ts {
			if t <= limit {
				n, sum, squares = n+1, sum+t, squares+t*t
			}
		}
		mean[i] = sum / n
		variance[i] = (squares/n - mean[i]*mean[i]) / n
	}
	return (mean[1] - mean[0]) / math.Sqrt(variance[0]+variance[1])
}
