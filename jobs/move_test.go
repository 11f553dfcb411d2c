package jobs

import (
	"context"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weftmpc/weft/broker"
	"github.com/weftmpc/weft/broker/brokertest"
)

// A ledger that an earlier version kept beside the jobs is there after the move, however often it is cut off and repeated.
func TestMoveLedger(t *testing.T) {
	p := brokertest.Private(t)
	ctx := timeout(t)
	if err := MoveLedger(ctx, p.Conn, p.Ledger); err != nil {
		t.Fatal("a store without one:", err)
	}
	beside, err := broker.ProvisionLedger(ctx, p.JS)
	if err != nil {
		t.Fatal(err)
	}
	if err := MoveLedger(ctx, p.Conn, p.Ledger); err != nil {
		t.Fatal("an empty one:", err)
	}
	lines := map[string]string{"a": "1", "b": "2", "c": "3"}
	for key, line := range lines {
		if _, err := beside.Put(ctx, key, []byte(line)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.Sids.Put(ctx, "a", []byte("newer")); err != nil { // a move that was cut off, and a node that went on
		t.Fatal(err)
	}
	lines["a"] = "newer"
	for range 2 {
		if err := MoveLedger(ctx, p.Conn, p.Ledger); err != nil {
			t.Fatal(err)
		}
		for key, want := range lines {
			if e, err := p.Sids.Get(ctx, key); err != nil || string(e.Value()) != want {
				t.Errorf("line %s: %v, %v", key, e, err)
			}
		}
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if err := MoveLedger(ended, p.Conn, p.Ledger); err == nil {
		t.Error("a move that could not read says that it is done")
	}
}

// A store without a ledger is a guest's: it makes no buckets.
func TestOpenWithoutLedger(t *testing.T) {
	p := brokertest.Private(t)
	s, err := Open(timeout(t), p.Conn, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := p.JS.KeyValue(timeout(t), broker.BucketSids); err != jetstream.ErrBucketNotFound { //nolint:errorlint // as it comes
		t.Errorf("beside the jobs there is a ledger: %v", err)
	}
	if len(s.Unreadable()) != 0 {
		t.Error("something is unreadable")
	}
}
