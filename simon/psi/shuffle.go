package psi

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
)

// Permutation draws a permutation of 0 to n-1 from private randomness, all of them with one probability (Fisher and Yates;
// Knuth, The Art of Computer Programming, 3.4.2, algorithm P).
func Permutation(random io.Reader, n int) ([]int, error) {
	p := make([]int, n)
	for i := range p {
		p[i] = i
	}
	r := bufio.NewReaderSize(random, min(8*n+16, 64<<10))
	for i := n - 1; i > 0; i-- {
		j, err := below(r, uint64(i+1))
		if err != nil {
			return nil, err
		}
		p[i], p[j] = p[j], p[i]
	}
	return p, nil
}

// below draws a number from 0 to n-1.
func below(random io.Reader, n uint64) (uint64, error) {
	var b [8]byte
	least := -n % n // 2^64 mod n: below it, small numbers would come more often
	for {
		if _, err := io.ReadFull(random, b[:]); err != nil {
			return 0, fmt.Errorf("reading private randomness: %w", err)
		}
		if x := binary.LittleEndian.Uint64(b[:]); x >= least {
			return x % n, nil
		}
	}
}
