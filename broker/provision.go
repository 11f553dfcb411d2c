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

// Buckets are the durable records of a party.
type Buckets struct {
	Jobs, Sids, Objects jetstream.KeyValue
	Bodies              jetstream.ObjectStore
}

// Provision makes the buckets of a private account, or finds them. It is the only place that does.
//
// None of them is ever deleted: a server that deletes an account's last stream removes the account's folder, and a
// stream that is made at the same moment then fails ("error creating store"). A stream that is new here was never there
// before: Start fails when one that was there is not.
func Provision(ctx context.Context, js jetstream.JetStream) (Buckets, error) {
	var b Buckets
	for _, v := range []struct {
		bucket *jetstream.KeyValue
		name   string
		about  string
		ttl    time.Duration
		most   int64 // bytes; 0: what the store has
	}{
		{&b.Jobs, BucketJobs, "jobs by id", 0, maxJobs},
		{&b.Sids, BucketSids, "ledger of computations by sid", sidsTTL, 0},
		{&b.Objects, BucketObjects, "uploaded values and tasks by id", 0, maxObjects},
	} {
		kv, err := bucket(ctx, js, jetstream.KeyValueConfig{
			Bucket: v.name, Description: v.about, TTL: v.ttl, MaxBytes: v.most,
			History: 1, MaxValueSize: MaxPayload, Storage: jetstream.FileStorage, Replicas: 1,
		})
		if err != nil {
			return Buckets{}, fmt.Errorf("provisioning bucket %s: %w", v.name, err)
		}
		*v.bucket = kv
	}
	bodies, err := objectStore(ctx, js, jetstream.ObjectStoreConfig{
		Bucket: StoreBodies, Description: "inputs, opened elements and results too large for a record",
		MaxBytes: maxBodies, Storage: jetstream.FileStorage, Replicas: 1,
	})
	if err != nil {
		return Buckets{}, fmt.Errorf("provisioning object store %s: %w", StoreBodies, err)
	}
	b.Bodies = bodies
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
