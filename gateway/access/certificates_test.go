package access

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// certificate is one that parent has signed; nil: itself.
func certificate(t *testing.T, template, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore = noon.Add(-time.Hour)
	if template.NotAfter.IsZero() {
		template.NotAfter = noon.Add(time.Hour)
	}
	if parent == nil {
		parent, parentKey = template, key
		template.IsCA, template.BasicConstraintsValid = true, true
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, parentKey)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c, key
}

func TestCertificates(t *testing.T) {
	c := &clock{noon}
	s, err := NewCertificates(map[string]Role{"anna": Analyst, "anna@example.org": DataOwner, "svc.example.org": Viewer, "spiffe://x/y": Admin}, c.now)
	if err != nil {
		t.Fatal(err)
	}
	ca, key := certificate(t, &x509.Certificate{Subject: pkix.Name{CommonName: "house"}}, nil, nil)
	leaf := func(cn string, more func(*x509.Certificate)) *x509.Certificate {
		template := &x509.Certificate{Subject: pkix.Name{CommonName: cn}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
		if more != nil {
			more(template)
		}
		made, _ := certificate(t, template, ca, key)
		return made
	}
	spiffe, err := url.Parse("spiffe://x/y")
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		name string
		leaf *x509.Certificate
		want Identity
	}{
		{"common name", leaf("anna", nil), Identity{"certificate:anna", Analyst, "certificate", noon.Add(time.Hour)}},
		{"highest of several", leaf("anna", func(c *x509.Certificate) { c.EmailAddresses = []string{"anna@example.org"} }), Identity{"certificate:anna@example.org", DataOwner, "certificate", noon.Add(time.Hour)}},
		{"DNS name", leaf("", func(c *x509.Certificate) { c.DNSNames = []string{"svc.example.org"} }), Identity{"certificate:svc.example.org", Viewer, "certificate", noon.Add(time.Hour)}},
		{"URI", leaf("x", func(c *x509.Certificate) { c.URIs = []*url.URL{spiffe} }), Identity{"certificate:spiffe://x/y", Admin, "certificate", noon.Add(time.Hour)}},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{x.leaf}, VerifiedChains: [][]*x509.Certificate{{x.leaf, ca}}}
		if id, err := s.Authenticate(r); err != nil || id != x.want {
			t.Errorf("%s: %+v, %v", x.name, id, err)
		}
		// What TLS has not verified is no credential.
		r.TLS.VerifiedChains = nil
		if _, err := s.Authenticate(r); !errors.Is(err, ErrNone) {
			t.Errorf("%s, not verified: %v", x.name, err)
		}
		// A connection may live longer than the certificate.
		r.TLS.VerifiedChains = [][]*x509.Certificate{{x.leaf, ca}}
		c.at = noon.Add(time.Hour)
		_, err := s.Authenticate(r)
		wantRefused(t, err, "has expired")
		c.at = noon
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.TLS = &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{leaf("carla", nil), ca}}}
	_, err = s.Authenticate(r)
	wantRefused(t, err, "none of its names has a role")
	if _, err := NewCertificates(map[string]Role{strings.Repeat("a", 300): Viewer}, c.now); err == nil {
		t.Error("a name that no store takes is accepted")
	}
}
