package gateway

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/weftmpc/weft/gateway/access"
)

// authority issues certificates for one test.
type authority struct {
	t    *testing.T
	pair tls.Certificate
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t}
	a.pair = a.issue(&x509.Certificate{Subject: pkix.Name{CommonName: "house"}, IsCA: true, BasicConstraintsValid: true})
	return a
}

func (a *authority) issue(template *x509.Certificate) tls.Certificate {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template.SerialNumber, template.NotBefore, template.NotAfter = big.NewInt(time.Now().UnixNano()), time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.pair.Leaf, a.pair.PrivateKey
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func (a *authority) person(name string) tls.Certificate {
	return a.issue(&x509.Certificate{Subject: pkix.Name{CommonName: name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
}

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.pair.Leaf)
	return p
}

// TestServesTLS has the gateway's own server know people by their certificates, by their tokens, and not at all.
func TestServesTLS(t *testing.T) {
	house, elsewhere := newAuthority(t), newAuthority(t)
	certificates, err := access.NewCertificates(map[string]access.Role{"anna": access.Analyst}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	server := house.issue(&x509.Certificate{DNSNames: []string{"localhost", "gateway.example.org"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	p, who := newGuarded(t, func(c *Config) {
		c.Access.Authenticators = append(c.Access.Authenticators, certificates)
		c.Hosts = []string{"gateway.example.org"}
		c.TLS = &tls.Config{Certificates: []tls.Certificate{server}, ClientCAs: house.pool(), ClientAuth: tls.VerifyClientCertIfGiven}
	})
	url, stop := p.serve()
	defer stop()
	url = strings.Replace(url, "http://127.0.0.1", "https://localhost", 1)
	for _, x := range []struct {
		name        string
		certificate *tls.Certificate
		header      string
		code        int // 0: no connection
		part        string
	}{
		{"nobody", nil, who.as("nobody"), 401, "unauthenticated"},
		{"a token", nil, who.as("admin"), 200, `"caller":"token:admin"`},
		{"a certificate", pointer(house.person("anna")), who.as("nobody"), 200, `"caller":"certificate:anna","role":"analyst","method":"certificate"`},
		{"both", pointer(house.person("anna")), who.as("viewer"), 200, `"caller":"token:viewer"`},
		{"a wrong token with a certificate", pointer(house.person("anna")), "Authorization: Bearer weft_x", 401, "not complete"},
		{"another name", pointer(house.person("bert")), who.as("nobody"), 403, "none of its names"},
		{"another house", pointer(elsewhere.person("anna")), who.as("nobody"), 0, ""},
	} {
		config := &tls.Config{RootCAs: house.pool(), NextProtos: []string{"h2", "http/1.1"}}
		if x.certificate != nil { // whatever authorities the server asks for
			config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return x.certificate, nil }
		}
		transport := &http.Transport{TLSClientConfig: config, DisableKeepAlives: true, ForceAttemptHTTP2: true}
		r, err := http.NewRequestWithContext(t.Context(), "GET", url+"/v1/me", nil)
		if err != nil {
			t.Fatal(err)
		}
		name, value, _ := strings.Cut(x.header, ": ")
		r.Header.Set(name, value)
		r.Host = "gateway.example.org"
		res, err := transport.RoundTrip(r)
		if x.code == 0 {
			if err == nil {
				t.Errorf("%s: %d", x.name, res.StatusCode)
				res.Body.Close()
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", x.name, err)
			continue
		}
		b, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != x.code || !strings.Contains(string(b), x.part) {
			t.Errorf("%s: %d %s %v", x.name, res.StatusCode, b, err)
		}
		if res.ProtoMajor != 1 || res.Header.Get("Strict-Transport-Security") == "" {
			t.Errorf("%s: %s %v", x.name, res.Proto, res.Header)
		}
	}
	// Plain HTTP is no way in.
	res, err := http.Get(strings.Replace(url, "https", "http", 1) + "/v1/me")
	if err == nil {
		if res.Body.Close(); res.StatusCode != 400 {
			t.Errorf("plain HTTP: %d", res.StatusCode)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

func pointer[T any](v T) *T { return &v }
