package broker

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// sidsTTL is how long a line of the ledger is kept after its last change: the 24 hours that it answers for, and one more.
const sidsTTL = 25 * time.Hour

// Buckets are the durable records of a party.
type Buckets struct {
	Jobs, Sids, Objects jetstream.KeyValue
	Bodies              jetstream.ObjectStore
}

// Provision makes the buckets of a private account, or finds them. It is the only place that does.
//
// None of them is ever deleted: a server that deletes an account's last stream removes the account's folder, and a
// stream that is made at the same moment then fails ("error creating store").
func Provision(ctx context.Context, js jetstream.JetStream) (Buckets, error) {
	var b Buckets
	for _, v := range []struct {
		bucket *jetstream.KeyValue
		name   string
		about  string
		ttl    time.Duration
	}{
		{&b.Jobs, BucketJobs, "jobs by id", 0},
		{&b.Sids, BucketSids, "ledger of computations by sid", sidsTTL},
		{&b.Objects, BucketObjects, "uploaded values and tasks by id", 0},
	} {
		kv, err := js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{
			Bucket: v.name, Description: v.about, TTL: v.ttl,
			History: 1, MaxValueSize: MaxPayload, Storage: jetstream.FileStorage, Replicas: 1,
		})
		if err != nil {
			return Buckets{}, fmt.Errorf("provisioning bucket %s: %w", v.name, err)
		}
		*v.bucket = kv
	}
	bodies, err := js.CreateOrUpdateObjectStore(ctx, jetstream.ObjectStoreConfig{
		Bucket: StoreBodies, Description: "inputs, opened elements and results too large for a record",
		Storage: jetstream.FileStorage, Replicas: 1,
	})
	if err != nil {
		return Buckets{}, fmt.Errorf("provisioning object store %s: %w", StoreBodies, err)
	}
	b.Bodies = bodies
	return b, nil
}
