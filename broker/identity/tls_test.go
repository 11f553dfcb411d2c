package identity

import (
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func newTLS(t testing.TB, a *Authority, name string, hosts ...string) *TLSPair {
	t.Helper()
	p, err := NewTLS(a, name, hosts, t0, t0.Add(MaxLifetime))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// handshake connects a client to a server at host, both with a certificate, both believing a alone, at the time now. It
// returns what either side says.
func handshake(t *testing.T, a *Authority, server, client tls.Certificate, host string, now time.Time) (atServer, atClient error) {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	clock := func() time.Time { return now }
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	here, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	there, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	s := tls.Server(there, &tls.Config{
		Certificates: []tls.Certificate{server}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool,
		MinVersion: tls.VersionTLS13, Time: clock,
	})
	// The client shows its certificate whatever the server asks for: a cheat would.
	show := func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &client, nil }
	c := tls.Client(here, &tls.Config{GetClientCertificate: show, RootCAs: pool, ServerName: host, MinVersion: tls.VersionTLS13, Time: clock})
	served := make(chan error, 1)
	go func() {
		err := s.Handshake()
		if err == nil {
			_, err = io.WriteString(s, "!")
		}
		_ = there.Close()
		served <- err
	}()
	atClient = c.Handshake()
	if atClient == nil { // TLS 1.3: the client hears what the server thinks of it after its own handshake
		_, atClient = io.ReadFull(c, make([]byte, 1))
	}
	_ = here.Close()
	return <-served, atClient
}

func (p *TLSPair) shown() tls.Certificate {
	return tls.Certificate{Certificate: [][]byte{p.Leaf.DER}, PrivateKey: p.key()}
}

func (i *Identity) shown() tls.Certificate {
	return tls.Certificate{Certificate: [][]byte{i.Leaf.DER}, PrivateKey: i.key()}
}

func TestTLSHandshakes(t *testing.T) {
	a, other := newAuthority(t), newAuthority(t)
	hub := newTLS(t, a, "hub", "hub.example.org", "192.0.2.7", "2001:db8::7").shown()
	alice, bob := newTLS(t, a, "alice").shown(), newTLS(t, a, "bob").shown()
	id := newIdentity(t, a).shown()
	for name, c := range map[string]struct {
		server, client tls.Certificate
		host           string
		now            time.Time
		atServer       bool // it is the server who refuses
		want           string
	}{
		"by name":                    {server: hub, client: alice, host: "hub.example.org"},
		"by address":                 {server: hub, client: alice, host: "192.0.2.7"},
		"by the other address":       {server: hub, client: alice, host: "2001:db8::7"},
		"a broker as client":         {server: hub, client: hub, host: "hub.example.org"},
		"last second":                {server: hub, client: alice, host: "hub.example.org", now: t0.Add(MaxLifetime)},
		"expired":                    {server: hub, client: alice, host: "hub.example.org", now: t0.Add(MaxLifetime + time.Second), want: "expired"},
		"another host":               {server: hub, client: alice, host: "example.org", want: "valid for"},
		"a client as server":         {server: bob, client: alice, host: "bob", want: "use SANs"},
		"an identity as client":      {server: hub, client: id, host: "hub.example.org", atServer: true, want: "incompatible key usage"},
		"an identity as server":      {server: id, client: alice, host: "alice", want: "use SANs"},
		"a stranger as client":       {server: hub, client: newTLS(t, other, "alice").shown(), host: "hub.example.org", atServer: true, want: "unknown authority"},
		"a stranger as server":       {server: newTLS(t, other, "hub", "hub.example.org").shown(), client: alice, host: "hub.example.org", want: "unknown authority"},
		"another's certificate":      {server: hub, client: tls.Certificate{Certificate: bob.Certificate, PrivateKey: alice.PrivateKey}, host: "hub.example.org", atServer: true, want: "invalid signature"},
		"the authority's as a party": {server: hub, client: tls.Certificate{Certificate: [][]byte{other.cert.Raw}, PrivateKey: other.key()}, host: "hub.example.org", atServer: true, want: "unknown authority"},
	} {
		if c.now.IsZero() {
			c.now = t0
		}
		atServer, atClient := handshake(t, a, c.server, c.client, c.host, c.now)
		if c.want == "" {
			if atServer != nil || atClient != nil {
				t.Errorf("%s: server %v, client %v", name, atServer, atClient)
			}
			continue
		}
		err := atClient
		if c.atServer {
			err = atServer
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: server %v, client %v, want %q", name, atServer, atClient, c.want)
		}
	}
}

// The other direction: what is for TLS is no identity, whatever is in it.
func TestTLSIsNoIdentity(t *testing.T) {
	a := newAuthority(t)
	for name, p := range map[string]*TLSPair{"client": newTLS(t, a, "alice"), "broker": newTLS(t, a, "alice", "alice.example.org")} {
		if _, err := ParseLeaf(p.Leaf.DER); err == nil || !strings.Contains(err.Error(), "extended key usage") {
			t.Errorf("%s: ParseLeaf: %v", name, err)
		}
		if _, err := FromKey(p.Leaf.DER, p.key()); err == nil {
			t.Errorf("%s: FromKey made an identity of it", name)
		}
		// As if ParseLeaf had let it through.
		l := &Leaf{DER: p.Leaf.DER, Name: "alice", Organisation: "A", Key: p.Leaf.Key, FP: FingerprintOf(p.Leaf.Key), NotBefore: t0, NotAfter: t0.Add(day), cert: p.Leaf.cert}
		if err := roots(t, a).Verify(l, t0); err == nil {
			t.Errorf("%s: Verify believes it", name)
		}
	}
	if _, err := ParseTLS(newIdentity(t, a).Leaf.DER); err == nil {
		t.Error("an identity is read as a TLS certificate")
	}
	// Neither an identity nor a client is a server, even for somebody who does not look at host names.
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	for usage, certs := range map[x509.ExtKeyUsage][]*x509.Certificate{
		x509.ExtKeyUsageServerAuth: {newIdentity(t, a).Leaf.cert, newTLS(t, a, "alice").Leaf.cert},
		x509.ExtKeyUsageClientAuth: {newIdentity(t, a).Leaf.cert},
	} {
		for _, c := range certs {
			_, err := c.Verify(x509.VerifyOptions{Roots: pool, CurrentTime: t0, KeyUsages: []x509.ExtKeyUsage{usage}})
			var invalid x509.CertificateInvalidError
			if !errors.As(err, &invalid) || invalid.Reason != x509.IncompatibleUsage {
				t.Errorf("usage %d: %v", usage, err)
			}
		}
	}
	if _, err := ParseTLS(a.Certificate()); err == nil {
		t.Error("an authority is read as a TLS certificate")
	}
}

func TestIssueTLS(t *testing.T) {
	a := newAuthority(t)
	l := newTLS(t, a, "hub", "Hub.Example.org", "hub.example.org", "::1", "127.0.0.1", "0:0::1").Leaf
	if l.Name != "hub" || !slices.Equal(l.Hosts, []string{"127.0.0.1", "::1", "hub.example.org"}) || !l.NotBefore.Equal(t0) || !l.NotAfter.Equal(t0.Add(MaxLifetime)) {
		t.Errorf("issued %+v", l)
	}
	pub := l.Key
	long := strings.Repeat("a.", 127) + "ab" // 256 characters
	for _, bad := range []string{"", ".", "a..b", "hub.", "-a", "a-", "a_b", "*.example.org", "hub:4222", "tls://hub", "[::1]", "fe80::1%eth0", "0.0.0.0", "::", "1.2.3", "1.2.3.4.5", "300.1.1.1", "hüb", "a b", long, strings.Repeat("a", 64)} {
		if CheckHost(bad) == nil {
			t.Errorf("%q is a host", bad)
		}
		if _, err := a.IssueTLS("hub", []string{"localhost", bad}, pub, t0, t0.Add(day)); err == nil {
			t.Errorf("%q is certified", bad)
		}
	}
	for name, f := range map[string]func() ([]byte, error){
		"name":      func() ([]byte, error) { return a.IssueTLS("Hub", nil, pub, t0, t0.Add(day)) },
		"key":       func() ([]byte, error) { return a.IssueTLS("hub", nil, pub[1:], t0, t0.Add(day)) },
		"too long":  func() ([]byte, error) { return a.IssueTLS("hub", nil, pub, t0, t0.Add(MaxLifetime+time.Second)) },
		"backwards": func() ([]byte, error) { return a.IssueTLS("hub", nil, pub, t0, t0) },
		"too early": func() ([]byte, error) { return a.IssueTLS("hub", nil, pub, t0.Add(-2*day), t0) },
		"hosts":     func() ([]byte, error) { return a.IssueTLS("hub", make([]string, maxHosts+1), pub, t0, t0.Add(day)) },
	} {
		if _, err := f(); err == nil {
			t.Errorf("%s: issued", name)
		}
	}
}

func TestRenew(t *testing.T) {
	a, other := newAuthority(t), newAuthority(t)
	i, hub := newIdentity(t, a), newTLS(t, a, "hub", "hub.example.org")
	later := t0.Add(90 * day) // the old ones are not valid any more
	der, err := a.Renew(i.Leaf, "Other name", later, later.Add(MaxLifetime))
	if err != nil {
		t.Fatal(err)
	}
	l, err := ParseLeaf(der)
	if err != nil || l.FP != i.FP() || l.Name != "alice" || l.Organisation != "Other name" || !l.NotAfter.Equal(later.Add(MaxLifetime)) {
		t.Errorf("%+v %v", l, err)
	}
	if err := roots(t, a).Verify(l, later); err != nil {
		t.Error(err)
	}
	der, err = a.RenewTLS(hub.Leaf, hub.Leaf.Hosts, later, later.Add(MaxLifetime))
	if err != nil {
		t.Fatal(err)
	}
	renewed, err := ParseTLS(der)
	if err != nil || !renewed.Key.Equal(hub.Leaf.Key) || renewed.Name != "hub" || !slices.Equal(renewed.Hosts, []string{"hub.example.org"}) {
		t.Errorf("%+v %v", renewed, err)
	}
	// A certificate that somebody else put there would have its key certified under the party's name.
	if _, err := other.Renew(i.Leaf, "A", later, later.Add(day)); err == nil || !strings.Contains(err.Error(), "not issued by this authority") {
		t.Error(err)
	}
	if _, err := other.RenewTLS(hub.Leaf, nil, later, later.Add(day)); err == nil || !strings.Contains(err.Error(), "not issued by this authority") {
		t.Error(err)
	}
}

func TestForget(t *testing.T) {
	a := newAuthority(t)
	i, p := newIdentity(t, a), newTLS(t, a, "alice")
	for name, v := range map[string]struct {
		key    ed25519.PrivateKey
		forget func()
	}{"authority": {a.key(), a.Forget}, "identity": {i.key(), i.Forget}, "TLS": {p.key(), p.Forget}} {
		v.forget()
		v.forget()
		if slices.ContainsFunc(v.key, func(b byte) bool { return b != 0 }) {
			t.Errorf("%s: the key is still there", name)
		}
	}
	if _, err := a.Issue("bob", "B", i.Leaf.Key, t0, t0.Add(day)); err == nil || !strings.Contains(err.Error(), "forgotten") {
		t.Error(err)
	}
}

func TestSaveAndReplaceTLS(t *testing.T) {
	a := newAuthority(t)
	dir := t.TempDir()
	p := newTLS(t, a, "hub", "localhost")
	if err := p.Save(dir); err != nil {
		t.Fatal(err)
	}
	crt, key := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	if _, err := tls.LoadX509KeyPair(crt, key); err != nil {
		t.Error(err)
	}
	if err := CheckPrivate(key); err != nil {
		t.Error(err)
	}
	if err := p.Save(dir); err == nil {
		t.Error("overwrote a pair")
	}
	if err := os.Chmod(crt, 0o644); err != nil {
		t.Fatal(err)
	}
	der, err := a.RenewTLS(p.Leaf, p.Leaf.Hosts, t0.Add(day), t0.Add(2*day))
	if err != nil {
		t.Fatal(err)
	}
	if err := ReplaceCertificate(crt, der); err != nil {
		t.Fatal(err)
	}
	if got, err := LoadCertificate(crt); err != nil || !slices.Equal(got, der) {
		t.Error("the certificate is not the new one", err)
	}
	if _, err := tls.LoadX509KeyPair(crt, key); err != nil {
		t.Error(err)
	}
	if st, err := os.Stat(crt); err != nil || st.Mode().Perm()&0o400 == 0 {
		t.Error(st, err)
	}
	if err := ReplaceCertificate(filepath.Join(dir, "none.crt"), der); !errors.Is(err, os.ErrNotExist) {
		t.Error("replaced what is not there:", err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".new-*")); err != nil || len(left) != 0 {
		t.Error("left behind", left, err)
	}

	if err := a.SaveCertificate(dir); err != nil {
		t.Fatal(err)
	}
	if err := a.SaveCertificate(dir); err != nil {
		t.Error("the same once more:", err)
	}
	if err := newAuthority(t).SaveCertificate(dir); err == nil {
		t.Error("overwrote another authority's certificate")
	}
}
