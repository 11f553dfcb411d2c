package simon

import (
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
