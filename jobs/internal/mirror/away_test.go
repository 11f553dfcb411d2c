package mirror

import (
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weftmpc/weft/broker"
	"github.com/weftmpc/weft/broker/brokertest"
)

// A broker that was started again knows no watcher: the copy follows all the same, at once, and drops what went meanwhile.
func TestBrokerStartsAgain(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := l.Addr().String()
	l.Close()
	key := brokertest.Key(t)
	p := brokertest.Private(t, broker.Guests{Listen: at, Gateways: []string{key.Public()}})
	nc, err := broker.Dial(broker.Remote{URL: "nats://" + at, User: key}, slog.New(slog.DiscardHandler), key.Inbox())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	buckets, err := broker.Find(ctx, js)
	if err != nil {
		t.Fatal(err)
	}
	m, err := Open(ctx, js, Config[string]{
		Bucket: broker.BucketObjects, KV: buckets.Objects, Logger: slog.New(slog.DiscardHandler),
		Decode: func(_ string, b []byte, _ uint64) (string, error) { return string(b), nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	has := func(key, want string) {
		t.Helper()
		for end := time.Now().Add(4 * time.Second); ; <-time.After(10 * time.Millisecond) {
			if e, _, _ := m.Get(key); e.Value == want {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("the copy does not come to say %q of %s", want, key)
			}
		}
	}
	for round := range 2 {
		for _, key := range []string{"gone", "stays"} {
			if _, err := p.Buckets.Objects.Put(ctx, key, []byte{'0' + byte(round)}); err != nil {
				t.Fatal(err)
			}
			has(key, string('0'+rune(round)))
		}
		p.Restart(t)
		if err := p.Buckets.Objects.Purge(ctx, "gone"); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Buckets.Objects.Put(ctx, "stays", []byte("new")); err != nil {
			t.Fatal(err)
		}
		has("gone", "")
		has("stays", "new")
	}
}
