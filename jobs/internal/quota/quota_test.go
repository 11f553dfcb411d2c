package quota

import "testing"

func TestAReservationIsGivenBackOnce(t *testing.T) {
	q := New()
	expect := func(count int, bytes int64) {
		t.Helper()
		if got := q.Of("alice"); got != (Use{count, bytes}) {
			t.Fatalf("%+v, want %d and %d bytes", got, count, bytes)
		}
	}
	a, b := q.Reserve("k", "alice", Use{1, 10}), q.Reserve("k", "alice", Use{1, 20})
	c := q.Reserve("other", "alice", Use{1, 300})
	expect(3, 330)
	q.Settle("k")
	q.Add("alice", Use{1, 10}) // the record
	expect(2, 310)
	q.Release(a)
	q.Release(b)
	expect(2, 310)
	q.Release(c)
	q.Release(c)
	expect(1, 10)
	q.Add("alice", Use{-1, -10})
	if len(q.used) != 0 || len(q.pending) != 0 {
		t.Errorf("left: %v %v", q.used, q.pending)
	}
}
