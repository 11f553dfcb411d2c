package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
)

// sidsTTL is how long a line of the ledger is kept after its last change: the 24 hours that it answers for, and one more.
const sidsTTL = 25 * time.Hour

// What the streams may hold at most, in bytes on disk. Together they are 15 of the 16 GiB of a store (defaultMaxStore), which
// the server sets aside for them: however much clients upload or submit, the ledger has the last GiB.
const (
	maxBodies  = 12 << 30
	maxJobs    = 2 << 30 // 100,000 records of 20 KiB
	maxObjects = 1 << 30
)

// Buckets are the durable records of a party, but for the ledger.
type Buckets struct {
	Jobs, Objects jetstream.KeyValue
	Bodies        jetstream.ObjectStore
}

// kept describes a bucket. ttl 0: its records stay; most is in bytes, 0: what the store has.
func kept(name, about string, ttl time.Duration, most int64) jetstream.KeyValueConfig {
	return jetstream.KeyValueConfig{
		Bucket: name, Description: about, TTL: ttl, MaxBytes: most,
		History: 1, MaxValueSize: MaxPayload, Storage: jetstream.FileStorage, Replicas: 1,
	}
}

// Provision makes the buckets of a private account, or finds them. It and ProvisionLedger are the only places that do.
//
// None of them is ever deleted: a server that deletes an account's last stream removes the account's folder, and a
// stream that is made at the same moment then fails ("error creating store"). A stream that is new here was never there
// before: Start fails when one that was there is not.
func Provision(ctx context.Context, js jetstream.JetStream) (b Buckets, err error) {
	if b.Jobs, err = bucket(ctx, js, kept(BucketJobs, "jobs by id", 0, maxJobs)); err != nil {
		return Buckets{}, fmt.Errorf("provisioning bucket %s: %w", BucketJobs, err)
	}
	if b.Objects, err = bucket(ctx, js, kept(BucketObjects, "uploaded values and tasks by id", 0, maxObjects)); err != nil {
		return Buckets{}, fmt.Errorf("provisioning bucket %s: %w", BucketObjects, err)
	}
	b.Bodies, err = objectStore(ctx, js, jetstream.ObjectStoreConfig{
		Bucket: StoreBodies, Description: "inputs, opened elements and results too large for a record",
		MaxBytes: maxBodies, Storage: jetstream.FileStorage, Replicas: 1,
	})
	if err != nil {
		return Buckets{}, fmt.Errorf("provisioning object store %s: %w", StoreBodies, err)
	}
	return b, nil
}

// ProvisionLedger makes the bucket of the ledger, or finds it.
func ProvisionLedger(ctx context.Context, js jetstream.JetStream) (jetstream.KeyValue, error) {
	kv, err := bucket(ctx, js, kept(BucketSids, "ledger of computations by sid", sidsTTL, 0))
	if err != nil {
		return nil, fmt.Errorf("provisioning bucket %s: %w", BucketSids, err)
	}
	return kv, nil
}

// Find finds the buckets of a private account that a node has made, for a guest of it.
func Find(ctx context.Context, js jetstream.JetStream) (b Buckets, err error) {
	if b.Jobs, err = js.KeyValue(ctx, BucketJobs); err != nil {
		return Buckets{}, fmt.Errorf("looking for bucket %s: %w", BucketJobs, err)
	}
	if b.Objects, err = js.KeyValue(ctx, BucketObjects); err != nil {
		return Buckets{}, fmt.Errorf("looking for bucket %s: %w", BucketObjects, err)
	}
	if b.Bodies, err = js.ObjectStore(ctx, StoreBodies); err != nil {
		return Buckets{}, fmt.Errorf("looking for object store %s: %w", StoreBodies, err)
	}
	return b, nil
}

// bucket finds a bucket, or makes it. One that is there as it should be is left alone: with each update, also one that
// changes nothing, the server writes the stream's description and its checksum anew, and a process that is killed between
// the two leaves a stream that no server opens.
func bucket(ctx context.Context, js jetstream.JetStream, want jetstream.KeyValueConfig) (jetstream.KeyValue, error) {
	kv, err := js.KeyValue(ctx, want.Bucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		return js.CreateKeyValue(ctx, want)
	}
	if err != nil {
		return nil, err
	}
	status, err := kv.Status(ctx)
	if err != nil {
		return nil, err
	}
	have := status.Config()
	if have.MaxBytes == -1 { // how the server says that there is no bound
		have.MaxBytes = 0
	}
	if have.Description == want.Description && have.TTL == want.TTL && have.MaxBytes == want.MaxBytes && have.History == want.History &&
		have.MaxValueSize == want.MaxValueSize && have.Storage == want.Storage && have.Replicas == want.Replicas {
		return kv, nil
	}
	return js.UpdateKeyValue(ctx, want)
}

// objectStore is bucket for a store of objects.
func objectStore(ctx context.Context, js jetstream.JetStream, want jetstream.ObjectStoreConfig) (jetstream.ObjectStore, error) {
	store, err := js.ObjectStore(ctx, want.Bucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) || errors.Is(err, jetstream.ErrStreamNotFound) {
		return js.CreateObjectStore(ctx, want)
	}
	if err != nil {
		return nil, err
	}
	status, err := store.Status(ctx)
	if err != nil {
		return nil, err
	}
	if s, ok := status.(*jetstream.ObjectBucketStatus); ok {
		if have := s.StreamInfo().Config; have.Description == want.Description && have.MaxBytes == want.MaxBytes && have.Storage == want.Storage && have.Replicas == want.Replicas {
			return store, nil
		}
	}
	return js.UpdateObjectStore(ctx, want)
}

// The server's codes for a write for which a stream or the whole store has no room.
const (
	codeNoResources = 10023
	codeNoStorage   = 10047
	codeNotStored   = 10077 // of any bound of a stream; the description tells which
)

// IsFull says whether a write failed because the bytes set aside for it on disk are used up.
func IsFull(err error) bool {
	var e *jetstream.APIError
	if !errors.As(err, &e) {
		return false
	}
	return e.ErrorCode == codeNoResources || e.ErrorCode == codeNoStorage ||
		e.ErrorCode == codeNotStored && e.Description == server.ErrMaxBytes.Error()
}
