package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

// house is an authority of clients, and a client of it.
func house(t *testing.T, name string) (ca []byte, client tls.Certificate) {
	t.Helper()
	make := func(template, parent *x509.Certificate, signer *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if parent == nil {
			parent, signer = template, key
		}
		template.SerialNumber, template.NotBefore, template.NotAfter = big.NewInt(time.Now().UnixNano()), time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
		der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
		if err != nil {
			t.Fatal(err)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return c, key
	}
	root, rootKey := make(&x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true}, nil, nil)
	leaf, key := make(&x509.Certificate{Subject: pkix.Name{CommonName: "anna"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, root, rootKey)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Raw}), tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}
}

// An authority that is taken out of client_ca counts no longer, on connections that are there already either.
func TestAuthorityTakenOut(t *testing.T) {
	dir := t.TempDir()
	var ahead atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	writePair(t, dir, now().Add(time.Hour))
	old, anna := house(t, "old")
	next, _ := house(t, "next")
	ca := fileWith(t, filepath.Join(dir, "clients.crt"), string(old))
	c := gatewayConfig{
		TLS:    gatewayTLS{Cert: filepath.Join(dir, "gw.crt"), Key: filepath.Join(dir, "gw.key"), ClientCA: ca},
		Access: accessConfig{Certificates: map[string]string{"anna": "admin"}},
	}
	g, err := c.openGate(dir, now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, err := g.access.Authenticators[0].Authenticate(r)
		if err != nil {
			w.WriteHeader(http.StatusUnauthorized)
		}
		_, _ = io.WriteString(w, id.Caller)
	}))
	s.TLS = g.tls
	s.StartTLS()
	defer s.Close()
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, ClientSessionCache: tls.NewLRUClientSessionCache(4), Certificates: []tls.Certificate{anna}}} //nolint:gosec // a test's server
	defer transport.CloseIdleConnections()
	ask := func() (int, error) {
		r, err := http.NewRequestWithContext(t.Context(), "GET", s.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := transport.RoundTrip(r)
		if err != nil {
			return 0, err
		}
		defer res.Body.Close()
		_, err = io.Copy(io.Discard, res.Body)
		return res.StatusCode, err
	}
	for range 2 {
		if code, err := ask(); code != 200 {
			t.Fatal(code, err)
		}
	}
	fileWith(t, ca, string(next))
	ahead.Store(int64(2 * time.Second))
	if code, err := ask(); code == 200 {
		t.Errorf("on a connection that is there: %d, %v", code, err)
	}
	transport.CloseIdleConnections()
	if code, err := ask(); code == 200 {
		t.Errorf("by a session that is taken up again: %d, %v", code, err)
	}
	transport.CloseIdleConnections()
	transport.TLSClientConfig.ClientSessionCache = nil // the last session is one without a certificate
	fileWith(t, ca, string(old)+string(next))
	ahead.Store(int64(4 * time.Second))
	if code, err := ask(); code != 200 {
		t.Errorf("back again: %d, %v", code, err)
	}
}
