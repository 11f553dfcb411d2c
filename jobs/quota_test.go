package jobs

import (
	"errors"
	"testing"
)

// What one caller keeps, ended jobs included, leaves room for others.
func TestOneCallerKeepsNotAll(t *testing.T) {
	s, p := newStore(t, Options{Limits: Limits{Jobs: 100, Kept: 3, Inside: 1000, Beside: 2 * (MaxInline + 1)}})
	ctx := timeout(t)
	refused := func(caller, what string, input int) {
		t.Helper()
		if _, err := s.Submit(ctx, sample(caller), make([]byte, input)); !errors.Is(err, ErrTooMany) {
			t.Errorf("%s: %v", what, err)
		}
	}
	var last Job
	for range 3 {
		last = walk(t, s, submit(t, s, sample("alice"), nil), Cancelled)
	}
	refused("alice", "a fourth record, the others have ended", 0)
	submit(t, s, sample("bob"), nil)
	if err := s.Delete(ctx, last.ID); err != nil {
		t.Fatal(err)
	}
	refused("alice", "too many bytes in records", 1000)
	submit(t, s, sample("alice"), make([]byte, 100))

	for range 2 {
		last = submit(t, s, sample("carol"), make([]byte, MaxInline+1))
	}
	refused("carol", "too many bytes beside records", MaxInline+1)
	submit(t, s, sample("dave"), make([]byte, MaxInline+1))
	s = reopen(t, p, Options{Limits: s.o.Limits})
	refused("carol", "too many bytes after a restart", MaxInline+1)
	walk(t, s, last, Cancelled) // its input goes
	submit(t, s, sample("carol"), make([]byte, MaxInline+1))
}
