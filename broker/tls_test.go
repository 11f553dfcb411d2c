package broker_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weftmpc/weft/broker"
	"github.com/weftmpc/weft/broker/brokertest"
	"github.com/weftmpc/weft/broker/identity"
)

// office is an authority that puts TLS files into folders.
type office struct {
	t  *testing.T
	ca *identity.Authority
}

func newOffice(t *testing.T) office {
	t.Helper()
	ca, err := identity.NewAuthority("test", time.Now().Add(-48*time.Hour), time.Now().Add(48*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	return office{t, ca}
}

// files issues a certificate that is valid until now + left.
func (o office) files(name string, left time.Duration, hosts ...string) *broker.TLS {
	o.t.Helper()
	dir := o.t.TempDir()
	pair, err := identity.NewTLS(o.ca, name, hosts, time.Now().Add(-24*time.Hour), time.Now().Add(left))
	if err == nil {
		err = errors.Join(pair.Save(dir), o.ca.SaveCertificate(dir))
	}
	if err != nil {
		o.t.Fatal(err)
	}
	return &broker.TLS{Cert: filepath.Join(dir, "tls.crt"), Key: filepath.Join(dir, "tls.key"), CA: filepath.Join(dir, "ca.crt")}
}

// hub runs a hub for alice on a free port of localhost.
func (o office) hub(files *broker.TLS, alice broker.Key) *broker.Server {
	o.t.Helper()
	c := broker.Hub("hub", "localhost:-1", []broker.Member{{Name: "alice", NKey: alice.Public()}},
		broker.Member{Name: "coordinator", NKey: brokertest.Key(o.t).Public()})
	c.TLS, c.Logger = files, brokertest.Logger(o.t)
	s, err := broker.Start(c)
	if err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(s.Shutdown)
	return s
}

// log collects what a connection complains of.
type log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// dial connects, and waits until it is connected or has failed once.
func dial(t *testing.T, r broker.Remote) (nc *nats.Conn, connected bool, said string) {
	t.Helper()
	l, result := &log{}, make(chan bool, 100)
	logger := slog.New(slog.NewTextHandler(l, nil))
	nc, err := broker.Dial(r, logger, nats.ConnectHandler(func(*nats.Conn) { result <- true }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	end := time.After(20 * time.Second)
	for {
		select {
		case <-result:
			return nc, true, l.String()
		case <-tick.C:
			if s := l.String(); strings.Contains(s, "no connection") {
				return nc, false, s
			}
		case <-end:
			t.Fatal("neither connected nor refused")
		}
	}
}

func TestTLS(t *testing.T) {
	o, alice := newOffice(t), brokertest.Key(t)
	s := o.hub(o.files("hub", time.Hour, "localhost", "127.0.0.1"), alice)
	_, port, _ := net.SplitHostPort(s.Addr())
	url := "tls://localhost:" + port
	mine := o.files("alice", time.Hour)

	nc, ok, said := dial(t, broker.Remote{URL: url, TLS: mine, User: alice})
	if !ok {
		t.Fatalf("alice is not let in: %s", said)
	}
	flush(t, nc)
	if st, err := nc.TLSConnectionState(); err != nil || st.Version != tls.VersionTLS13 {
		t.Errorf("the connection is not TLS 1.3: %x %v", st.Version, err)
	}

	for _, row := range []struct {
		name string
		r    broker.Remote
		want string
	}{
		{"another authority's certificate", broker.Remote{URL: url, User: alice, TLS: &broker.TLS{
			Cert: newOffice(t).files("alice", time.Hour).Cert, Key: "", CA: mine.CA}}, "refuses our certificate"},
		{"an expired certificate", broker.Remote{URL: url, User: alice, TLS: o.files("alice", -time.Hour)}, "refuses our certificate"},
		{"an unknown user", broker.Remote{URL: url, TLS: mine, User: brokertest.Key(t)}, "does not know this user"},
		{"a hub of another authority", broker.Remote{URL: url, User: alice, TLS: newOffice(t).files("alice", time.Hour)}, "not from the authority"},
		{"another host name", broker.Remote{URL: "tls://[::1]:" + port, User: alice, TLS: mine}, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			if row.r.TLS.Key == "" {
				row.r.TLS.Key = filepath.Join(filepath.Dir(row.r.TLS.Cert), "tls.key")
			}
			if _, ok, said := dial(t, row.r); ok || !strings.Contains(said, row.want) {
				t.Errorf("connected %t, said %s", ok, said)
			}
		})
	}

	// Without TLS the socket says nothing.
	raw, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	if _, err := raw.Write([]byte("CONNECT {}\r\nPING\r\n")); err != nil {
		t.Fatal(err)
	}
	if err := raw.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 4096)
	if n, _ := raw.Read(b); bytes.Contains(b[:n], []byte("INFO")) || bytes.Contains(b[:n], []byte("PONG")) {
		t.Errorf("the hub answers without TLS: %q", b[:n])
	}
}

// A hub does not start with a certificate that nobody believes.
func TestTLSHubCertificate(t *testing.T) {
	o := newOffice(t)
	for want, files := range map[string]*broker.TLS{
		"renew it":            o.files("hub", -time.Hour, "localhost"),
		"issued for its host": o.files("hub", time.Hour),
	} {
		c := broker.Hub("hub", "localhost:-1", []broker.Member{{Name: "alice", NKey: brokertest.Key(t).Public()}},
			broker.Member{Name: "coordinator", NKey: brokertest.Key(t).Public()})
		c.TLS, c.Logger = files, brokertest.Logger(t)
		s, err := broker.Start(c)
		if err == nil {
			s.Shutdown()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// A certificate that has expired since the hub started is not believed.
func TestTLSExpiredHub(t *testing.T) {
	o, alice := newOffice(t), brokertest.Key(t)
	expired, err := o.files("hub", -time.Hour, "localhost").Load()
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "localhost:0", &tls.Config{Certificates: []tls.Certificate{*expired}})
	if err != nil {
		t.Fatal(err)
	}
	var served sync.WaitGroup
	t.Cleanup(func() { l.Close(); served.Wait() })
	served.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.(*tls.Conn).Handshake()
			c.Close()
		}
	})
	_, port, _ := net.SplitHostPort(l.Addr().String())
	if _, ok, said := dial(t, broker.Remote{URL: "tls://localhost:" + port, TLS: o.files("alice", time.Hour), User: alice}); ok ||
		!strings.Contains(said, "has expired") {
		t.Errorf("connected %t, said %s", ok, said)
	}
}

// One member cannot use the hub up: what it may open is bounded, and the others still come in.
func TestHubLimits(t *testing.T) {
	alice, bob := brokertest.Key(t), brokertest.Key(t)
	c := broker.Hub("hub", "127.0.0.1:-1", []broker.Member{{Name: "alice", NKey: alice.Public()}, {Name: "bob", NKey: bob.Public()}},
		broker.Member{Name: "coordinator", NKey: brokertest.Key(t).Public()})
	c.Logger = slog.New(slog.DiscardHandler)
	s, err := broker.Start(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	connect := func(k broker.Key) (*nats.Conn, error) {
		nc, err := nats.Connect("nats://"+s.Addr(), k.Option(), nats.NoReconnect(), nats.MaxReconnects(0))
		if err == nil {
			t.Cleanup(nc.Close)
		}
		return nc, err
	}
	var first *nats.Conn
	open := 0
	for ; open < 100; open++ {
		nc, err := connect(alice)
		if err != nil {
			break
		}
		if first == nil {
			first = nc
		}
	}
	if open < 2 || open > 32 {
		t.Errorf("alice has %d connections", open)
	}
	if _, err := connect(bob); err != nil {
		t.Errorf("bob is kept out: %v", err)
	}
	refused := make(chan error, 1000)
	first.SetErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err })
	for i := range 400 {
		if _, err := first.SubscribeSync(fmt.Sprintf("_INBOX.%d", i)); err != nil {
			break
		}
	}
	_ = first.Flush()
	select {
	case err := <-refused:
		if !strings.Contains(err.Error(), "maximum subscriptions") {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Error("400 subscriptions are let through")
	}
}

// A client with an expired certificate is let in when its file has been renewed.
func TestTLSRenewed(t *testing.T) {
	o, alice := newOffice(t), brokertest.Key(t)
	s := o.hub(o.files("hub", time.Hour, "localhost"), alice)
	_, port, _ := net.SplitHostPort(s.Addr())
	old, renewed := o.files("alice", -time.Hour), o.files("alice", time.Hour)
	nc, ok, said := dial(t, broker.Remote{URL: "tls://localhost:" + port, TLS: old, User: alice})
	if ok {
		t.Fatal("an expired certificate is let in")
	}
	if strings.Count(said, "no connection") != 1 {
		t.Errorf("said %s", said)
	}
	again := make(chan struct{}, 100)
	nc.SetReconnectHandler(func(*nats.Conn) { again <- struct{}{} })
	nc.Opts.ConnectedCB = nil
	for from, to := range map[string]string{renewed.Cert: old.Cert, renewed.Key: old.Key} {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	deadline := time.After(20 * time.Second)
	for !nc.IsConnected() {
		select {
		case <-deadline:
			t.Fatal("not connected with the renewed certificate")
		case <-time.After(5 * time.Millisecond):
		}
	}
	flush(t, nc)
}

func TestDialRefuses(t *testing.T) {
	o, alice := newOffice(t), brokertest.Key(t)
	files := o.files("alice", time.Hour)
	loose := o.files("alice", time.Hour)
	if err := os.Chmod(loose.Key, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		r    broker.Remote
		want string
	}{
		{broker.Remote{URL: "nats://hub.example.org:4222"}, "without TLS"},
		{broker.Remote{URL: "tls://hub.example.org:4222"}, "needs a certificate"},
		{broker.Remote{URL: "ws://hub.example.org:4222", TLS: files}, "no way to a broker"},
		{broker.Remote{URL: "hub.example.org", TLS: files}, "tls://host:port"},
		{broker.Remote{URL: "tls://localhost:1", TLS: loose}, "chmod 600"},
		{broker.Remote{URL: "tls://localhost:1", TLS: &broker.TLS{Cert: files.Cert, Key: files.Key, CA: files.Key}}, "holds no certificate"},
		{broker.Remote{URL: "tls://localhost:1", TLS: &broker.TLS{Cert: files.Cert, Key: files.Key, CA: "nowhere"}}, "nowhere"},
	} {
		row.r.User = alice
		nc, err := broker.Dial(row.r, brokertest.Logger(t))
		if err == nil {
			nc.Close()
		}
		if err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%+v: %v", row.r, err)
		}
	}
	c := broker.Hub("hub", "0.0.0.0:4222", []broker.Member{{Name: "alice", NKey: alice.Public()}}, broker.Member{Name: "coordinator", NKey: brokertest.Key(t).Public()})
	if _, err := c.Render(); err == nil || !strings.Contains(err.Error(), "without TLS") {
		t.Errorf("a hub without TLS beyond loopback: %v", err)
	}
}
