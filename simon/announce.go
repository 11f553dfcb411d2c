package simon

import (
	"bytes"
	"context"
	"fmt"
	"slices"
)

// announce has the seats in from tell all parties one byte, a public fact that they have decided alike from opened values:
// never a share, nor anything that follows from a party's own data. The error names seats that differ. b counts at the seats
// in from. One hop, one byte to each party.
func announce(ctx context.Context, s Session, from []int, l Label, b byte) (byte, error) {
	var body []byte
	if slices.Contains(from, s.Self()) {
		body = []byte{b}
	}
	bodies, err := s.Exchange(ctx, from, l, body)
	if err != nil {
		return 0, fmt.Errorf("exchanging %q: %w", l.Vector, err)
	}
	for i, told := range bodies {
		if len(told) != 1 || told[0] != bodies[0][0] {
			return 0, fmt.Errorf("seat %d says something else about %q than seat %d", from[i], l.Vector, from[0])
		}
	}
	return bodies[0][0], nil
}

// agree fails unless all parties have the same public words. A party calls it before it sends what depends on them. One hop, 8
// bytes a word to each party.
func agree(ctx context.Context, s Session, l Label, x []uint64) error {
	body := appendWords(nil, x)
	bodies, err := s.Exchange(ctx, nil, l, body)
	if err != nil {
		return fmt.Errorf("comparing %q: %w", l.Vector, err)
	}
	for _, b := range bodies {
		if !bytes.Equal(b, body) {
			return impossible("the parties were shown different counts")
		}
	}
	return nil
}
