package jobs

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/weftmpc/weft/broker"
)

// MoveLedger copies the lines of a ledger that an earlier weft kept beside the jobs, of which nc is the account, into the
// account of the ledger. It may be repeated, and overwrites nothing. Once it has returned without an error it must not be
// called again: what stands in the old place may then come from others.
func MoveLedger(ctx context.Context, nc, ledger *nats.Conn) error {
	if err := moveLedger(ctx, nc, ledger); err != nil {
		return fmt.Errorf("moving the ledger into its own account: %w", err)
	}
	return nil
}

func moveLedger(ctx context.Context, nc, ledger *nats.Conn) error {
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	from, err := js.KeyValue(ctx, broker.BucketSids)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if js, err = jetstream.New(ledger); err != nil {
		return err
	}
	to, err := broker.ProvisionLedger(ctx, js)
	if err != nil {
		return err
	}
	keys, err := from.Keys(ctx)
	if errors.Is(err, jetstream.ErrNoKeysFound) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, key := range keys {
		line, err := from.Get(ctx, key)
		if errors.Is(err, jetstream.ErrKeyNotFound) { // it had its time
			continue
		}
		if err != nil {
			return err
		}
		if _, err := to.Create(ctx, key, line.Value()); err != nil && !errors.Is(err, jetstream.ErrKeyExists) {
			return err
		}
	}
	return nil
}
