package jobs

import (
	"errors"
	"testing"
)

// A gateway may write records, and what it writes must not stop the node: a record that gives its bytes an absurd size is
// refused and no memory is asked for.
func TestSizeOfARecordIsNotBelieved(t *testing.T) {
	s, p := newStore(t, Options{})
	ctx := timeout(t)
	j := submit(t, s, sample("a"), make([]byte, 2*MaxInline))
	for _, size := range []int64{1 << 40, 1 << 62, 64<<20 + 1} {
		j.Input.Size = size
		b, err := j.encode("1.2.3")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Buckets.Jobs.Put(ctx, j.ID.String(), b); err != nil {
			t.Fatal(err)
		}
		forged, err := reopen(t, p, Options{}).Get(ctx, j.ID)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Read(ctx, forged.Input); !errors.Is(err, ErrNotFound) {
			t.Errorf("%d: %v", size, err)
		}
	}
}
