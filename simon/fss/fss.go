// Package fss is the distributed comparison function of Boyle, Chandran, Gilboa, Gupta, Ishai, Kumar and Rathee (EUROCRYPT
// 2021, Fig. 1) over the integers mod 2^64.
//
// A dealer shares the function f(x) = beta if x < alpha, else 0, between two evaluators, numbered 0 and 1: Keys.Gen makes a
// key for each of them. Keys.Eval of the two keys at the same x gives two numbers whose sum mod 2^64 is f(x). One key alone
// says nothing about alpha and beta. The payload beta is one number or, in the functions named Pair, two. The functions
// named All work on many independent keys and use all cores.
//
// A key serves one x: the evaluators learn masked inputs, and two of them under one key would show their difference.
// Keys are not authenticated: of a key that the dealer did not make, the length is all that is checked, and the sums are
// then arbitrary.
//
// # Generator
//
// A node of the tree is a seed s of 16 bytes with a control bit. It is expanded under five AES-128 keys that everybody knows
// (Matyas, Meyer and Oseas: each is a one-way function of s if AES is an ideal cipher):
//
//	sL = AES(K1, s) ^ s, sR = AES(K2, s) ^ s; tL, tR are bit 0 of their bytes 0, which is then cleared
//	vL, vR = the two halves of AES(K3, s) ^ s; of a pair AES(K3, s) ^ s and AES(K4, s) ^ s
//
// At the last node the number is bytes 8 to 15 of s, of a pair AES(K5, s) ^ s. Numbers are little-endian.
//
// # Key
//
//	root seed, 16 bytes
//	for each bit of x, the highest first: correction of the seed, 16 bytes; of the number, 8 bytes, of a pair 16;
//	    of the control bits, one byte: bit 0 is tL's, bit 1 is tR's, the others are 0
//	correction at the end, 8 bytes, of a pair 16
//
// That is 999 bytes for 39 bits and 2111 bytes for a pair and 63 bits. The two keys of a function differ in the root only.
//
// # Constant time
//
// Neither which instructions run nor which addresses are read or written depends on alpha, beta, x, seeds, control bits or
// corrections: both children of a node are always computed and one is taken under a mask, which costs Eval a third of its
// speed. A test holds the source to this, and that of the gates that use the package; BenchmarkTiming measures it. In the code
// that Go 1.26 makes for amd64, all conditional jumps are bounds checks, loops over counts, copies onto themselves, and choices
// between one number and two. AES itself is constant-time where the processor has instructions for it (amd64, arm64, ppc64 and
// s390x of the last ten years); elsewhere crypto/aes looks up tables. Errors are about lengths and about numbers that are too
// large, which honest callers never have.
//
// # Speed
//
// On one core of an AMD EPYC 1,000,000 evaluations of 39 bits take 1.2 s, 10 ns for each of their 117 AES blocks, and
// 1,000,000 pairs of keys 3.9 s. crypto/aes alone takes 7 ns for a block that does not wait for another one, and 14 ns for one
// that does; openssl speed -evp aes-128-ecb -bytes 16 has 14.5 ns. The standard library has nothing that encrypts many
// independent blocks in one call. (The best of many runs on a machine that had other work.)
package fss

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Lambda is the length of a seed in bytes.
const Lambda = aes.BlockSize

// MaxBits is the largest length of x and alpha.
const MaxBits = 63

// domain separates the generator's keys from all others.
const domain = "weft/v1/fss"

// Keys are the five AES keys of the generator. They are no secret. They are safe for concurrent use.
type Keys struct {
	k [5]cipher.Block // K1 to K5
}

// NewKeys derives the generator's keys from the id of a computation and the label and level at which the comparisons stand in
// it (HKDF with SHA-256, RFC 5869). The label names one step of one call in the computation, with its call path. Few nodes are
// under one key then: 2^14 nodes leave 112 bits of security.
func NewKeys(sid [32]byte, label []byte, level uint32) *Keys {
	info := binary.BigEndian.AppendUint32(nil, uint32(len(label)))
	info = append(info, label...)
	info = binary.BigEndian.AppendUint32(info, level)
	info = append(info, 'K')
	var k Keys
	prk, err := hkdf.Extract(sha256.New, sid[:], []byte(domain))
	if err != nil {
		panic(err) // SHA-256 is allowed everywhere
	}
	raw, err := hkdf.Expand(sha256.New, prk, string(info), len(k.k)*Lambda)
	if err != nil {
		panic(err) // 80 bytes are not too many
	}
	for i := range k.k {
		if k.k[i], err = aes.NewCipher(raw[i*Lambda : (i+1)*Lambda]); err != nil {
			panic(err) // 16 bytes are a key
		}
	}
	return &k
}

// shape is what a key looks like: bits of x, and words of the payload, 1 or 2.
type shape struct{ bits, words int }

// step is the length of what a key has for one bit of x.
func (s shape) step() int { return Lambda + 8*s.words + 1 }

func (s shape) size() int { return Lambda + s.bits*s.step() + 8*s.words }

// check panics if bits or party is none: these come from the protocol, never from a peer.
func (s shape) check(party int) {
	if s.bits < 1 || s.bits > MaxBits {
		panic(fmt.Sprintf("fss: comparisons of %d bits, there are those of 1 to %d", s.bits, MaxBits))
	}
	if party != 0 && party != 1 {
		panic(fmt.Sprintf("fss: evaluator %d, there are 0 and 1", party))
	}
}

// KeySize is the length of a key with one number as payload, for x of bits bits, 1 to MaxBits; other bits are a bug of the
// protocol and panic, here and in all functions.
func KeySize(bits int) int { return sizeOf(shape{bits, 1}) }

// PairKeySize is the length of a key with two numbers as payload.
func PairKeySize(bits int) int { return sizeOf(shape{bits, 2}) }

func sizeOf(s shape) int {
	s.check(0)
	return s.size()
}

// Gen makes the two keys of f(x) = beta if x < alpha, else 0, into key0 and key1, each of KeySize(bits) bytes. It reads 32
// bytes of rand, the roots of key0 and key1, which must be uniform and unknown to the evaluators. alpha is below 2^bits.
func (k *Keys) Gen(rand io.Reader, bits int, alpha, beta uint64, key0, key1 []byte) error {
	return k.genAll(rand, shape{bits, 1}, []uint64{alpha}, []uint64{beta}, key0, key1)
}

// GenPair is Gen for a payload of two numbers; keys have PairKeySize(bits) bytes.
func (k *Keys) GenPair(rand io.Reader, bits int, alpha uint64, beta [2]uint64, key0, key1 []byte) error {
	return k.genAll(rand, shape{bits, 2}, []uint64{alpha}, beta[:], key0, key1)
}

// GenAll makes the keys of len(alphas) functions, which stand one after the other in keys0 and keys1. It reads rand as that
// many calls of Gen would, and gives the same keys. It uses all cores.
func (k *Keys) GenAll(rand io.Reader, bits int, alphas, betas []uint64, keys0, keys1 []byte) error {
	return k.genAll(rand, shape{bits, 1}, alphas, betas, keys0, keys1)
}

// GenPairAll is GenAll for payloads of two numbers, which stand one after the other in betas.
func (k *Keys) GenPairAll(rand io.Reader, bits int, alphas, betas []uint64, keys0, keys1 []byte) error {
	return k.genAll(rand, shape{bits, 2}, alphas, betas, keys0, keys1)
}

// Eval is the share of evaluator party, 0 or 1, of f(x). key has KeySize(bits) bytes and may be anything otherwise; x is below
// 2^bits.
func (k *Keys) Eval(party, bits int, key []byte, x uint64) (uint64, error) {
	var out [1]uint64
	err := k.evalAll(party, shape{bits, 1}, key, []uint64{x}, out[:])
	return out[0], err
}

// EvalPair is Eval for keys with a payload of two numbers.
func (k *Keys) EvalPair(party, bits int, key []byte, x uint64) ([2]uint64, error) {
	var out [2]uint64
	err := k.evalAll(party, shape{bits, 2}, key, []uint64{x}, out[:])
	return out, err
}

// EvalAll evaluates len(xs) keys, which stand one after the other in keys, each at its own x, into out, which has the
// length of xs. It uses all cores.
func (k *Keys) EvalAll(party, bits int, keys []byte, xs, out []uint64) error {
	return k.evalAll(party, shape{bits, 1}, keys, xs, out)
}

// EvalPairAll is EvalAll for keys with a payload of two numbers; out has two numbers for each of xs.
func (k *Keys) EvalPairAll(party, bits int, keys []byte, xs, out []uint64) error {
	return k.evalAll(party, shape{bits, 2}, keys, xs, out)
}

// The sentences do not say which number is too large, nor its value.
var (
	errAlpha = errors.New("fss: an alpha has more bits than the comparison")
	errX     = errors.New("fss: an x has more bits than the comparison")
)

// below says whether all xs are below 2^bits. It looks at all of them, whichever is too large.
func below(xs []uint64, bits int) bool {
	var all uint64
	for _, x := range xs {
		all |= x >> bits
	}
	return all == 0
}

func (k *Keys) genAll(rand io.Reader, s shape, alphas, betas []uint64, keys0, keys1 []byte) error {
	s.check(0)
	n, size := len(alphas), s.size()
	switch {
	case len(betas) != n*s.words:
		return fmt.Errorf("fss: %d payloads for %d comparisons, want %d", len(betas), n, n*s.words)
	case len(keys0) != n*size || len(keys1) != n*size:
		return fmt.Errorf("fss: room for keys of %d and %d bytes, %d comparisons of %d bits need %d", len(keys0), len(keys1), n, s.bits, n*size)
	case !below(alphas, s.bits):
		return errAlpha
	}
	for i := range n {
		for _, keys := range [2][]byte{keys0, keys1} {
			if _, err := io.ReadFull(rand, keys[i*size:][:Lambda]); err != nil {
				return fmt.Errorf("fss: reading random seeds: %w", err)
			}
		}
	}
	fan(n, lanes/2, func(b *block, from, to int) {
		k.gen(b, s, alphas[from:to], betas[from*s.words:to*s.words], keys0[from*size:to*size], keys1[from*size:to*size])
	})
	return nil
}

func (k *Keys) evalAll(party int, s shape, keys []byte, xs, out []uint64) error {
	s.check(party)
	n, size := len(xs), s.size()
	switch {
	case len(keys) != n*size:
		return fmt.Errorf("fss: keys have %d bytes, %d comparisons of %d bits need %d", len(keys), n, s.bits, n*size)
	case len(out) != n*s.words:
		return fmt.Errorf("fss: room for %d results of %d comparisons, want %d", len(out), n, n*s.words)
	case !below(xs, s.bits):
		return errX
	}
	fan(n, lanes, func(b *block, from, to int) {
		k.eval(b, uint64(party), s, keys[from*size:to*size], xs[from:to], out[from*s.words:to*s.words])
	})
	return nil
}
