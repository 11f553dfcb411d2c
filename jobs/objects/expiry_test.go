package objects

import (
	"bytes"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/broker"
	"github.com/weftmpc/weft/broker/brokertest"
)

// clocked is a store whose clock the test moves.
func clocked(t *testing.T, p *brokertest.PrivateBroker, ahead *atomic.Int64) *Store {
	return reopen(t, p, Options{Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }})
}

func TestExpiry(t *testing.T) {
	p := brokertest.Private(t)
	ctx := timeout(t)
	var ahead atomic.Int64
	s, other := clocked(t, p, &ahead), clocked(t, p, &ahead)
	swept, looked := put(t, s, "alice", large('a')), put(t, s, "alice", large('b'))
	deleted := put(t, s, "alice", []byte("1"))
	if err := s.Delete(ctx, deleted.ID); err != nil {
		t.Fatal(err)
	}
	barrier, _ := must(s.Put(ctx, Record{Caller: "alice", Kind: Barrier, Data: []byte("{}")}))(t)
	ahead.Store(int64(time.Hour + time.Minute))
	// One that nobody has swept yet is gone all the same, with its bytes.
	if _, err := s.Get(ctx, looked.ID); !errors.Is(err, ErrExpired) || !errors.Is(err, ErrNotFound) || s.Holds(looked.ID) {
		t.Error(err)
	}
	if err := s.Sweep(ctx, s.o.Now()); err != nil {
		t.Fatal(err)
	}
	if n := messages(t, p, "OBJ_"+broker.StoreBodies); n != 0 {
		t.Errorf("%d messages of expired data are left", n)
	}
	other.Close()
	for name, s := range map[string]*Store{"same": s, "other": clocked(t, p, &ahead)} {
		for _, id := range []uuid.UUID{swept.ID, looked.ID} {
			if _, err := s.Get(ctx, id); !errors.Is(err, ErrExpired) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := s.Get(ctx, deleted.ID); errors.Is(err, ErrExpired) || !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: what was deleted: %v", name, err)
		}
		if got, err := s.Get(ctx, barrier.ID); err != nil || got.Kind != Barrier || string(got.Data) != "{}" {
			t.Errorf("%s: %v %v", name, got, err)
		}
	}
	ahead.Add(int64(25 * time.Hour))
	if _, err := s.Get(ctx, barrier.ID); !errors.Is(err, ErrExpired) {
		t.Error(err)
	}
	// The name is free again, and what expired long ago is forgotten.
	again, _ := must(s.Put(ctx, barrier))(t)
	if got, err := s.Get(ctx, again.ID); err != nil || !bytes.Equal(got.Data, barrier.Data) {
		t.Error(got, err)
	}
	if err := s.Sweep(ctx, s.o.Now().Add(24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(ctx, swept.ID); errors.Is(err, ErrExpired) || !errors.Is(err, ErrNotFound) {
		t.Error("two days after:", err)
	}
}

// TestUseInAnotherProcess: what one process reads, the other one keeps.
func TestUseInAnotherProcess(t *testing.T) {
	p := brokertest.Private(t)
	ctx := timeout(t)
	var ahead atomic.Int64
	a, b := clocked(t, p, &ahead), clocked(t, p, &ahead)
	r := put(t, a, "alice", large('a'))
	for range 4 {
		ahead.Add(int64(40 * time.Minute))
		got, err := b.Get(ctx, r.ID)
		if err != nil || !bytes.Equal(got.Data, large('a')) {
			t.Fatal(err)
		}
		seen, err := a.items.Wait(ctx, r.ID.String(), func(x item) bool { return x.Revision >= got.Revision })
		if err != nil || seen.Revision == r.Revision {
			t.Fatal(seen.Revision, err)
		}
		if err := a.Sweep(ctx, a.o.Now()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := a.Get(ctx, r.ID); err != nil {
		t.Error(err)
	}
}
