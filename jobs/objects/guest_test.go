package objects

import (
	"bytes"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weftmpc/weft/broker"
	"github.com/weftmpc/weft/broker/brokertest"
)

// visit opens the stores of a node and of a guest, on one broker, with a clock that the test moves.
func visit(t *testing.T, ahead *atomic.Int64) (p *brokertest.PrivateBroker, node, guest *Store) {
	t.Helper()
	key := brokertest.Key(t)
	p = brokertest.Private(t, broker.Guests{Listen: "127.0.0.1:-1", Gateways: []string{key.Public()}})
	nc, err := broker.Dial(broker.Remote{URL: "nats://" + p.Server.Addr(), User: key}, slog.New(slog.DiscardHandler), key.Inbox(),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { t.Error(err) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	node = reopen(t, p, Options{Now: now, Shared: true})
	if guest, err = Open(timeout(t), nc, Options{Now: now, Guest: true}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(guest.Close)
	return p, node, guest
}

// A guest may not purge streams, and bytes that it removes are gone all the same: at once but for a mark, which the node sweeps.
func TestGuestRemovesBytes(t *testing.T) {
	var ahead atomic.Int64
	p, node, guest := visit(t, &ahead)
	ctx := timeout(t)
	big := bytes.Repeat([]byte("0123456789"), 100_000)
	first, second := put(t, guest, "alice", big), put(t, guest, "alice", big)
	second.Data = large('b')
	if _, err := guest.Update(ctx, second); err != nil {
		t.Fatal(err)
	}
	if err := guest.Delete(ctx, first.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := node.Get(ctx, first.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("the node's store: %v", err)
	}
	if r, err := node.Get(ctx, second.ID); err != nil || !bytes.Equal(r.Data, second.Data) {
		t.Errorf("the node's store: %v", err)
	}
	st, err := p.Buckets.Bodies.Status(ctx)
	if err != nil || st.Size() > uint64(len(big)) {
		t.Errorf("%d bytes are left of two objects of %d, %v", st.Size(), len(big), err)
	}
	if _, err := node.List(ctx, "alice"); err != nil { // when its copy has caught up; a sweep goes by the copy
		t.Fatal(err)
	}
	ahead.Store(int64(80 * time.Minute)) // more than an hour for what has no name, less than what is kept
	if err := node.Sweep(ctx, node.o.Now()); err != nil {
		t.Fatal(err)
	}
	if r, err := guest.Get(ctx, second.ID); err != nil || !bytes.Equal(r.Data, second.Data) {
		t.Errorf("after the sweep: %v", err)
	}
	if err := node.Delete(ctx, second.ID); err != nil {
		t.Fatal(err)
	}
	if n := messages(t, p, "OBJ_"+broker.StoreBodies); n != 0 {
		t.Errorf("%d messages are left", n)
	}
}

// What is written through one store is read through the other at once, also in the place of something, and gone at once.
func TestSharedIsRead(t *testing.T) {
	var ahead atomic.Int64
	_, node, guest := visit(t, &ahead)
	ctx := timeout(t)
	for i := range 200 {
		a, b := node, guest
		if i%2 == 0 {
			a, b = guest, node
		}
		r := put(t, a, "alice", []byte("1"))
		r.Data = []byte("2")
		if _, err := a.Update(ctx, r); err != nil {
			t.Fatal(err)
		}
		if r, err := b.Get(ctx, r.ID); err != nil || string(r.Data) != "2" {
			t.Fatalf("%q, %v", r.Data, err)
		}
		if list, err := b.List(ctx, "alice"); err != nil || len(list) != 1 || list[0].ID != r.ID {
			t.Fatalf("%d objects, %v", len(list), err)
		}
		if err := a.Delete(ctx, r.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Get(ctx, r.ID); !errors.Is(err, ErrNotFound) {
			t.Fatal(err)
		}
		if list, err := b.List(ctx, "alice"); err != nil || len(list) != 0 {
			t.Fatalf("%d objects, %v", len(list), err)
		}
	}
}

// A use that a guest has not told yet counts.
func TestSharedKeepsWhatAnotherUses(t *testing.T) {
	var ahead atomic.Int64
	_, node, guest := visit(t, &ahead)
	ctx := timeout(t)
	r := put(t, node, "alice", []byte("1"))
	ahead.Store(int64(25 * time.Minute))
	if _, err := guest.Get(ctx, r.ID); err != nil {
		t.Fatal(err)
	}
	ahead.Store(int64(80 * time.Minute)) // 55 minutes later
	if err := node.Sweep(ctx, node.o.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := node.Get(ctx, r.ID); err != nil {
		t.Error("an hour has not passed:", err)
	}
	ahead.Add(int64(95 * time.Minute))
	if _, err := node.Get(ctx, r.ID); !errors.Is(err, ErrExpired) {
		t.Error("more than an hour and a half has passed:", err)
	}
}
