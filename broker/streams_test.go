package broker_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weftmpc/weft/broker"
	"github.com/weftmpc/weft/broker/brokertest"
)

// ledger runs a private broker, puts a line into its ledger, stops it and returns the folder of the ledger's stream.
func ledger(t *testing.T) (p *brokertest.PrivateBroker, folder string) {
	t.Helper()
	p = brokertest.Private(t)
	if _, err := p.Sids.Put(t.Context(), "line", []byte("committed")); err != nil {
		t.Fatal(err)
	}
	p.Server.Shutdown()
	return p, filepath.Join(p.Config.StoreDir, "jetstream", broker.AccountLedger, "streams", "KV_"+broker.BucketSids)
}

func checkLedger(t *testing.T, p *brokertest.PrivateBroker) {
	t.Helper()
	if e, err := p.Sids.Get(t.Context(), "line"); err != nil || string(e.Value()) != "committed" {
		t.Errorf("the ledger lost its line: %v", err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}

// A stream that the server cannot read at its start (a disk or a table of files that was full can leave one so) must stop
// the start: an empty stream made in its place would have lost accepted jobs, or the ledger.
func TestUnreadableStreamStopsTheStart(t *testing.T) {
	p := brokertest.Private(t)
	if _, err := p.Sids.Put(t.Context(), "line", []byte("committed")); err != nil {
		t.Fatal(err)
	}
	p.Server.Shutdown()
	spoil(t, filepath.Join(p.Config.StoreDir, "jetstream", broker.AccountLedger, "streams", "KV_"+broker.BucketSids))

	s, err := broker.Start(p.Config)
	if err != nil {
		return // refused, as it should be
	}
	t.Cleanup(s.Shutdown)
	js, err := jetstream.New(brokertest.Connect(t, s, p.LedgerKey))
	if err != nil {
		t.Fatal(err)
	}
	sids, err := broker.ProvisionLedger(t.Context(), js)
	if err != nil {
		return
	}
	if _, err := sids.Get(t.Context(), "line"); err != nil {
		t.Errorf("the broker started, the buckets were provisioned, and what the ledger held is gone: %v", err)
	}
}

// spoil leaves a stream's folder as a full table of files leaves it: a block without its key, and no index.
func spoil(t *testing.T, dir string) {
	t.Helper()
	msgs := filepath.Join(dir, "msgs")
	if err := os.WriteFile(filepath.Join(msgs, "2.blk"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(msgs, "index.db"), 0); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
}

// Whatever is wrong with a stream, no start goes on without it: not the first one, and none after it, although the server
// may have deleted what there was to see. What is there before is there after.
func TestLostStreamStopsEveryStart(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(t *testing.T, folder string)
	}{
		{"the folder is gone", func(t *testing.T, folder string) { remove(t, folder) }},
		{"the description is gone", func(t *testing.T, folder string) { remove(t, filepath.Join(folder, "meta.inf")) }},
		{"the checksum is gone", func(t *testing.T, folder string) { remove(t, filepath.Join(folder, "meta.sum")) }},
		{"the stream's key is gone", func(t *testing.T, folder string) { remove(t, filepath.Join(folder, "meta.key")) }},
		{"a block's key is gone", func(t *testing.T, folder string) { remove(t, filepath.Join(folder, "msgs", "1.key")) }},
		{"a block's key is cut", func(t *testing.T, folder string) {
			if err := os.Truncate(filepath.Join(folder, "msgs", "1.key"), 10); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, folder := ledger(t)
			p.Restart(t) // which lists what there is
			p.Server.Shutdown()
			block, err := os.ReadFile(filepath.Join(folder, "msgs", "1.blk"))
			if err != nil {
				t.Fatal(err)
			}
			c.spoil(t, folder)
			for range 3 {
				s, err := broker.Start(p.Config)
				if err == nil {
					s.Shutdown()
					t.Fatal("it started")
				}
				for _, want := range []string{"KV_" + broker.BucketSids, p.Config.StoreDir, "restore the folder from a backup"} {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("%q does not say %q", err, want)
					}
				}
			}
			if !strings.HasPrefix(c.name, "a block's") {
				return
			}
			if now, err := os.ReadFile(filepath.Join(folder, "msgs", "1.blk")); err != nil || !bytes.Equal(now, block) {
				t.Errorf("the block was changed: %v", err)
			}
		})
	}
}

// A folder that was put back from a backup goes on.
func TestRestoredStoreStarts(t *testing.T) {
	p, folder := ledger(t)
	p.Restart(t)
	p.Server.Shutdown()
	backup := filepath.Join(t.TempDir(), "backup")
	if err := os.CopyFS(backup, os.DirFS(folder)); err != nil {
		t.Fatal(err)
	}
	remove(t, folder)
	if s, err := broker.Start(p.Config); err == nil {
		s.Shutdown()
		t.Fatal("it started without its ledger")
	}
	if err := os.CopyFS(folder, os.DirFS(backup)); err != nil {
		t.Fatal(err)
	}
	p.Restart(t)
	checkLedger(t, p)
}

// The server takes an empty block that has no key for one that it cannot decrypt, and deletes the whole stream.
func TestEmptyBlockCostsNothing(t *testing.T) {
	for _, index := range []bool{true, false} {
		p, folder := ledger(t)
		spoil(t, folder)
		if !index {
			remove(t, filepath.Join(folder, "msgs", "index.db"))
		}
		p.Restart(t)
		checkLedger(t, p)
		p.Restart(t)
		checkLedger(t, p)
	}
}

// A process that dies while it makes a stream leaves a folder that says nothing; it is no stream that was lost.
func TestHalfMadeStream(t *testing.T) {
	p, folder := ledger(t)
	half := filepath.Join(filepath.Dir(folder), "KV_half")
	if err := os.MkdirAll(filepath.Join(half, "msgs"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(half, "msgs", "1.blk"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p.Restart(t)
	checkLedger(t, p)
	if _, err := p.JS.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "half"}); err != nil {
		t.Errorf("it cannot be made after all: %v", err)
	}
	list, err := os.ReadFile(filepath.Join(p.Config.StoreDir, "streams"))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"LEDGER/KV_weft_sids", "PRIVATE/KV_weft_jobs", "PRIVATE/KV_weft_objects", "PRIVATE/OBJ_weft_bodies"}
	if got := strings.Fields(string(list)); !slices.Equal(got, want) {
		t.Errorf("listed: %q", got)
	}
}

// However much there is in the other streams, the ledger can be written.
func TestLedgerHasRoom(t *testing.T) {
	p := brokertest.Private(t)
	set := int64(0)
	for _, stream := range []string{"KV_" + broker.BucketJobs, "KV_" + broker.BucketObjects, "OBJ_" + broker.StoreBodies} {
		s, err := p.JS.Stream(t.Context(), stream)
		if err != nil {
			t.Fatal(err)
		}
		c := s.CachedInfo().Config
		if c.MaxBytes <= 0 || c.Discard != jetstream.DiscardNew {
			t.Errorf("%s: at most %d bytes, discard %s", stream, c.MaxBytes, c.Discard)
		}
		set += c.MaxBytes
		c.MaxBytes = 1000
		if _, err := p.JS.UpdateStream(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	if set > 15<<30 {
		t.Errorf("%d bytes are set aside, which leaves too few of 16 GiB to the ledger", set)
	}
	full := make([]byte, 2000)
	_, errJobs := p.Buckets.Jobs.Put(t.Context(), "x", full)
	_, errObjects := p.Buckets.Objects.Create(t.Context(), "x", full)
	_, errBodies := p.Buckets.Bodies.PutBytes(t.Context(), "x", full)
	for _, err := range []error{errJobs, errObjects, errBodies} {
		if !broker.IsFull(err) {
			t.Errorf("a write into a full stream: %v", err)
		}
	}
	if _, err := p.Sids.Put(t.Context(), "x", full); err != nil {
		t.Error(err)
	}
	for _, err := range []error{nil, errors.New("x"), context.Canceled, jetstream.ErrKeyExists, jetstream.ErrStreamNotFound} {
		if broker.IsFull(err) {
			t.Errorf("%v counts as full", err)
		}
	}
}
