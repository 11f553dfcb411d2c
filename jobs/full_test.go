package jobs

import (
	"errors"
	"testing"

	"github.com/weftmpc/weft/broker"
	"github.com/weftmpc/weft/broker/brokertest"
	"github.com/weftmpc/weft/jobs/objects"
)

// limit bounds a stream by so many bytes.
func limit(t *testing.T, p *brokertest.PrivateBroker, stream string, most int64) {
	t.Helper()
	s, err := p.JS.Stream(timeout(t), stream)
	if err != nil {
		t.Fatal(err)
	}
	c := s.CachedInfo().Config
	c.MaxBytes = most
	if _, err := p.JS.UpdateStream(timeout(t), c); err != nil {
		t.Fatal(err)
	}
}

// When the disk space for a stream is used up, the caller is told so, nothing is left of the attempt, and jobs that are
// there can end and go.
func TestFull(t *testing.T) {
	p := brokertest.Private(t)
	s := reopen(t, p, Options{})
	values, err := objects.Open(timeout(t), p.Conn, objects.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(values.Close)
	ctx := timeout(t)
	j, err := s.Submit(ctx, Job{Caller: "alice"}, make([]byte, 1000))
	if err != nil {
		t.Fatal(err)
	}
	value := objects.Record{Caller: "alice", Kind: objects.Value, Data: make([]byte, 1000)}
	v, err := values.Put(ctx, value)
	if err != nil {
		t.Fatal(err)
	}

	limit(t, p, "OBJ_"+broker.StoreBodies, 1000)
	if _, err := s.Submit(ctx, Job{Caller: "alice"}, large('a')); !errors.Is(err, ErrFull) {
		t.Errorf("the store of bodies is full: %v", err)
	}
	if n := stored(t, p); n != 0 {
		t.Errorf("%d messages are left of a body that did not fit", n)
	}
	limit(t, p, "OBJ_"+broker.StoreBodies, 1<<30)
	limit(t, p, "KV_"+broker.BucketJobs, 1500)
	limit(t, p, "KV_"+broker.BucketObjects, 1500)
	if _, err := s.Submit(ctx, Job{Caller: "alice"}, make([]byte, 1000)); !errors.Is(err, ErrFull) {
		t.Errorf("the bucket of jobs is full: %v", err)
	}
	if _, err := values.Put(ctx, value); !errors.Is(err, objects.ErrFull) {
		t.Errorf("the bucket of values is full: %v", err)
	}
	walk(t, s, j, Cancelled)
	if err := s.Delete(ctx, j.ID); err != nil {
		t.Error(err)
	}
	if err := values.Delete(ctx, v.ID); err != nil {
		t.Error(err)
	}
}
