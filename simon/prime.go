package simon

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/weftmpc/weft/simon/prg"
)

// The prime field of 2^61 - 1 elements, in which a product with a random factor shows of a number only whether it is 0: mod
// 2^64 it would also show how often it can be halved. Elements are 0 to prime-1; no branch depends on one.
const prime = 1<<61 - 1

// reduce is x mod prime, of x below 2^62.
func reduce(x uint64) uint64 {
	x -= prime
	return x + prime&-(x>>63)
}

func addPrime(x, y uint64) uint64 { return reduce(x + y) }
func subPrime(x, y uint64) uint64 { return reduce(x + prime - y) }

func mulPrime(x, y uint64) uint64 {
	high, low := bits.Mul64(x, y) // below 2^122
	return reduce(low&prime + (low>>61 | high<<3))
}

// fillPrime reads elements from a stream, 16 bytes each, so that they are uniform up to 2^-67.
func fillPrime(x []uint64, s prg.Stream) {
	b := make([]byte, 16*len(x))
	s.Fill(b)
	for i := range x {
		x[i] = wideElement(b[16*i:])
	}
	clear(b)
}

// wideElement is a 128-bit number mod prime.
func wideElement(b []byte) uint64 {
	low, high := binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])
	// 2^61 is 1, so that 2^64 is 8 and 2^122 is 1.
	x := reduce(low&prime + low>>61)
	y := reduce(high&prime + high>>61)
	return addPrime(x, mulPrime(y, 8))
}

// elements reads bytes from a peer: n elements.
func elements(b []byte, n int) ([]uint64, error) {
	if len(b) != 8*n {
		return nil, fmt.Errorf("%d bytes, want %d", len(b), 8*n)
	}
	x := decodeWords(b)
	for _, e := range x {
		if e >= prime {
			return nil, fmt.Errorf("a number that is no element of the field")
		}
	}
	return x, nil
}
