package broker_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/weftmpc/weft/broker"
	"github.com/weftmpc/weft/broker/brokertest"
	"github.com/weftmpc/weft/broker/identity"
)

// A goroutine of nats.go v1.55.0 stays when a connection is closed in the moment in which it begins to publish asynchronously.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/nats-io/nats.go/jetstream.(*jetStream).resetPendingAcksOnReconnect"))
}

func TestListen(t *testing.T) {
	alice := brokertest.Key(t)
	c := broker.Hub("hub", "127.0.0.1:-1", []broker.Member{{Name: "alice", NKey: alice.Public()}},
		broker.Member{Name: "coordinator", NKey: brokertest.Key(t).Public()})
	c.Logger = brokertest.Logger(t)
	s, err := broker.Start(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	if _, port, err := net.SplitHostPort(s.Addr()); err != nil || port == "0" || port == "-1" {
		t.Errorf("address %q: %v", s.Addr(), err)
	}
	nc, err := broker.Dial(broker.Remote{URL: "nats://" + s.Addr(), User: alice}, brokertest.Logger(t))
	if err != nil {
		t.Fatal(err)
	}
	flush(t, nc)
	nc.Close()

	refused := make(chan error, 100)
	nc, err = broker.Dial(broker.Remote{URL: "nats://" + s.Addr(), User: brokertest.Key(t)}, brokertest.Logger(t),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) { refused <- err }))
	if err != nil {
		t.Fatal(err)
	}
	if err := <-refused; !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("a stranger connects: %v", err)
	}
	nc.Close()
	if nc, err := nats.Connect("nats://" + s.Addr()); err == nil {
		nc.Close()
		t.Error("somebody without a key connects")
	}
	if _, err := s.Connect(brokertest.Key(t)); err == nil {
		t.Error("a stranger connects in process")
	}

	c.Listen = s.Addr()
	if again, err := broker.Start(c); err == nil {
		again.Shutdown()
		t.Error("two brokers listen on one address")
	} else if !strings.Contains(err.Error(), s.Addr()) || !strings.Contains(err.Error(), "another process") {
		t.Errorf("port in use: %v", err)
	}
}

func TestNotListening(t *testing.T) {
	f := brokertest.Hub(t, "alice")
	if a := f.Server.Addr(); a != "" {
		t.Errorf("listens on %q", a)
	}
}

// Shutdown with open connections is quiet, on the log and on standard error, and may be repeated.
func TestShutdownIsQuiet(t *testing.T) {
	var log bytes.Buffer
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr := os.Stderr
	os.Stderr = write
	defer func() { os.Stderr = stderr }()

	k := brokertest.Key(t)
	c := broker.Private("private", t.TempDir(), make(identity.Secret, 32), k.Public(), brokertest.Key(t).Public(), false)
	c.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelInfo}))
	s, err := broker.Start(c)
	if err != nil {
		t.Fatal(err)
	}
	nc, err := s.Connect(k)
	if err != nil {
		t.Fatal(err)
	}
	listen(t, nc, "x.>")
	s.Shutdown()
	s.Shutdown()
	if !nc.IsClosed() {
		t.Error("the connection outlives its broker")
	}
	if _, err := s.Connect(k); err == nil {
		t.Error("connected to a broker that was shut down")
	}
	write.Close()
	var printed bytes.Buffer
	if _, err := printed.ReadFrom(read); err != nil {
		t.Fatal(err)
	}
	if log.Len() > 0 || printed.Len() > 0 {
		t.Errorf("log: %s\nstandard error: %s", &log, &printed)
	}
}

func TestProvision(t *testing.T) {
	p := brokertest.Private(t)
	ctx := t.Context()
	rev, err := p.Buckets.Jobs.Create(ctx, "job", []byte("one"))
	if err != nil {
		t.Fatal(err)
	}
	big := bytes.Repeat([]byte{7}, broker.MaxValue)
	if _, err := p.Buckets.Jobs.Update(ctx, "job", big, rev); err != nil {
		t.Errorf("a value of MaxValue: %v", err)
	}
	if _, err := p.Buckets.Bodies.PutBytes(ctx, "body", bytes.Repeat([]byte{9}, 3<<20)); err != nil {
		t.Fatal(err)
	}
	again, err := broker.Provision(ctx, p.JS)
	if err != nil {
		t.Fatal(err)
	}
	if e, err := again.Jobs.Get(ctx, "job"); err != nil || !bytes.Equal(e.Value(), big) {
		t.Errorf("a second Provision lost a record: %v", err)
	}
	for name, ttl := range map[string]time.Duration{broker.BucketJobs: 0, broker.BucketSids: 25 * time.Hour, broker.BucketObjects: 0} {
		kv := map[string]jetstream.KeyValue{broker.BucketJobs: p.Buckets.Jobs, broker.BucketSids: p.Sids, broker.BucketObjects: p.Buckets.Objects}[name]
		st, err := kv.Status(ctx)
		if err != nil {
			t.Fatal(err)
		}
		info := st.(*jetstream.KeyValueBucketStatus).StreamInfo().Config
		if st.TTL() != ttl || st.History() != 1 || info.Storage != jetstream.FileStorage {
			t.Errorf("%s: TTL %s, history %d, storage %s", name, st.TTL(), st.History(), info.Storage)
		}
	}

	p.Restart(t)
	if e, err := p.Buckets.Jobs.Get(ctx, "job"); err != nil || !bytes.Equal(e.Value(), big) {
		t.Errorf("a restart lost a record: %v", err)
	}
	if b, err := p.Buckets.Bodies.GetBytes(ctx, "body"); err != nil || len(b) != 3<<20 {
		t.Errorf("a restart lost a body: %v", err)
	}
}

func TestStoreIsEncrypted(t *testing.T) {
	p := brokertest.Private(t)
	secret := []byte("a patient's name that must not be on disk")
	if _, err := p.Buckets.Jobs.Put(t.Context(), "job", secret); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Buckets.Bodies.PutBytes(t.Context(), "body", secret); err != nil {
		t.Fatal(err)
	}
	p.Server.Shutdown()
	files := 0
	err := filepath.WalkDir(p.Config.StoreDir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		b, err := os.ReadFile(path)
		if bytes.Contains(b, secret) || bytes.Contains(b, p.StoreKey) {
			t.Errorf("%s shows it", path)
		}
		return err
	})
	if err != nil || files < 4 {
		t.Fatalf("%d files looked at: %v", files, err)
	}
}

// The server itself would start, and silently leave out every stream that it cannot read.
func TestWrongStoreKey(t *testing.T) {
	p := brokertest.Private(t)
	if _, err := p.Buckets.Jobs.Put(t.Context(), "job", []byte("one")); err != nil {
		t.Fatal(err)
	}
	p.Server.Shutdown()
	c := p.Config
	c.StoreKey = bytes.Repeat([]byte{1}, 32)
	if s, err := broker.Start(c); err == nil {
		s.Shutdown()
		t.Error("started under another key")
	} else if !strings.Contains(err.Error(), "another key") {
		t.Error(err)
	}
	c = broker.Config{Name: "plain", StoreDir: c.StoreDir, Accounts: c.Accounts, Logger: c.Logger}
	if s, err := broker.Start(c); err == nil {
		s.Shutdown()
		t.Error("started without the key")
	}
	p.Restart(t)
	if e, err := p.Buckets.Jobs.Get(t.Context(), "job"); err != nil || string(e.Value()) != "one" {
		t.Errorf("after the right key: %v", err)
	}
}

func TestPowerSyncs(t *testing.T) {
	c := broker.Private("private", t.TempDir(), make(identity.Secret, 32), brokertest.Key(t).Public(), brokertest.Key(t).Public(), true)
	text, err := c.Render()
	if err != nil {
		t.Fatal(err)
	}
	var o server.Options
	if err := o.ProcessConfigString(text); err != nil {
		t.Fatal(err)
	}
	if !o.SyncAlways || o.JetStreamMaxMemory != 64<<20 || o.JetStreamMaxStore != 16<<30 || o.MaxPayload != broker.MaxPayload || o.JetStreamCipher != server.AES {
		t.Errorf("got %+v", o)
	}
}

// A value one byte too large is refused by the client or the server, not cut.
func TestOversizeIsRefused(t *testing.T) {
	f := brokertest.Hub(t, "alice", "bob")
	err := f.Conns["alice"].Publish("weft.c.x.bob.alice", make([]byte, broker.MaxPayload+1))
	if !errors.Is(err, nats.ErrMaxPayload) {
		t.Errorf("got %v", err)
	}
}

func TestKey(t *testing.T) {
	k := brokertest.Key(t)
	seed, err := k.Seed()
	if err != nil {
		t.Fatal(err)
	}
	again, err := broker.ParseKey(seed)
	if err != nil || again.Public() != k.Public() {
		t.Errorf("round trip: %v", err)
	}
	for _, bad := range []string{"", "SU", "SAANWKXAYMPJNVPCAMWQSRYUKYYRRVXCOFUWTUBXTGJBEFBP75OAYVP4GM", string(seed) + "A"} {
		if _, err := broker.ParseKey(identity.Secret(bad)); err == nil {
			t.Errorf("%q is read as a user's key", bad)
		} else if len(bad) > 2 && strings.Contains(err.Error(), bad) {
			t.Errorf("the error shows the seed: %v", err)
		}
	}
	for _, s := range []string{fmt.Sprint(k), fmt.Sprintf("%+v", k), fmt.Sprintf("%#v", k), fmt.Sprintf("%x", struct{ k broker.Key }{k})} {
		if strings.Contains(s, string(seed)) || strings.Contains(s, fmt.Sprintf("%x", []byte(seed))) {
			t.Errorf("printing a key shows it: %s", s)
		}
	}
	if _, err := (broker.Key{}).Seed(); err == nil {
		t.Error("the zero key has a seed")
	}
	if _, err := brokertest.Hub(t, "alice").Server.Connect(broker.Key{}); err == nil {
		t.Error("the zero key connects")
	}
}

func TestSixteenParties(t *testing.T) {
	c := hubConfig(t, 16)
	begun := time.Now()
	s, err := broker.Start(c)
	if err != nil {
		t.Fatal(err)
	}
	took := time.Since(begun)
	s.Shutdown()
	t.Logf("started in %s", took)
	if took > time.Second {
		t.Errorf("a hub of 16 parties took %s to start", took)
	}
}
