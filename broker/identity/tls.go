package identity

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// maxHosts is the most host names and addresses of one TLS certificate.
const maxHosts = 32

// TLSLeaf is a certificate for TLS connections between brokers and their clients, read but not yet believed: that is
// crypto/tls's to do. It says nothing about who a party is, and ParseLeaf refuses it.
type TLSLeaf struct {
	DER                 []byte
	Name                string   // whose it is: CheckName
	Hosts               []string // host names and IP addresses it is good for as a server, sorted; none: a client's only
	Key                 ed25519.PublicKey
	NotBefore, NotAfter time.Time // UTC, whole seconds, both inclusive

	cert *x509.Certificate
}

// IssueTLS certifies that pub is the TLS key of name. Without hosts the certificate is a client's; with hosts it is a
// broker's, who is the server for its clients and a client of other brokers. Hosts are DNS names and IP addresses, at most
// 32. The validity is at most MaxLifetime and within the authority's own. TLS and identity have different keys: pub is not
// the key of an identity.
func (a *Authority) IssueTLS(name string, hosts []string, pub ed25519.PublicKey, notBefore, notAfter time.Time) ([]byte, error) {
	der, err := a.issueTLS(name, hosts, pub, notBefore, notAfter)
	if err != nil {
		return nil, fmt.Errorf("issuing a TLS certificate for %q: %w", name, err)
	}
	return der, nil
}

func (a *Authority) issueTLS(name string, hosts []string, pub ed25519.PublicKey, notBefore, notAfter time.Time) ([]byte, error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	if len(hosts) > maxHosts {
		return nil, fmt.Errorf("%d hosts are given, at most %d are possible", len(hosts), maxHosts)
	}
	t := &x509.Certificate{Subject: pkix.Name{CommonName: name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	if len(hosts) > 0 {
		t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	}
	for _, h := range hosts {
		h, ip, err := parseHost(h)
		switch {
		case err != nil:
			return nil, err
		case ip != nil && !slices.ContainsFunc(t.IPAddresses, ip.Equal):
			t.IPAddresses = append(t.IPAddresses, ip)
		case ip == nil && !slices.Contains(t.DNSNames, h):
			t.DNSNames = append(t.DNSNames, h)
		}
	}
	der, err := a.certify(t, pub, notBefore, notAfter)
	if err != nil {
		return nil, err
	}
	if _, err := parseTLS(der); err != nil {
		return nil, err
	}
	return der, nil
}

// RenewTLS certifies the key of old once more, under the same name, for the hosts given. This authority must have issued
// old, valid still or not.
func (a *Authority) RenewTLS(old *TLSLeaf, hosts []string, notBefore, notAfter time.Time) ([]byte, error) {
	if err := a.issued(old.cert); err != nil {
		return nil, fmt.Errorf("renewing the TLS certificate of %q: %w", old.Name, err)
	}
	return a.IssueTLS(old.Name, hosts, old.Key, notBefore, notAfter)
}

// ParseTLS reads a certificate that IssueTLS made. It refuses others, such as an identity's.
func ParseTLS(der []byte) (*TLSLeaf, error) {
	l, err := parseTLS(der)
	if err != nil {
		return nil, fmt.Errorf("reading TLS certificate: %w", err)
	}
	return l, nil
}

func parseTLS(der []byte) (*TLSLeaf, error) {
	der = bytes.Clone(der)
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	key, ok := cert.PublicKey.(ed25519.PublicKey)
	hosts := slices.Clone(cert.DNSNames)
	for _, ip := range cert.IPAddresses {
		hosts = append(hosts, ip.String())
	}
	slices.Sort(hosts)
	client, server := slices.Contains(cert.ExtKeyUsage, x509.ExtKeyUsageClientAuth), slices.Contains(cert.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	switch {
	case !ok:
		return nil, fmt.Errorf("its key is %s, only Ed25519 is used", cert.PublicKeyAlgorithm)
	case cert.IsCA || !cert.BasicConstraintsValid || cert.KeyUsage != x509.KeyUsageDigitalSignature || len(cert.UnknownExtKeyUsage) != 0 || !client:
		return nil, errors.New("it is not one for TLS alone")
	case server != (len(hosts) > 0):
		return nil, errors.New("it is a server's without a host, or a client's with one")
	}
	if err := CheckName(cert.Subject.CommonName); err != nil {
		return nil, err
	}
	return &TLSLeaf{
		DER: der, Name: cert.Subject.CommonName, Hosts: hosts, Key: key,
		NotBefore: cert.NotBefore.UTC(), NotAfter: cert.NotAfter.UTC(), cert: cert,
	}, nil
}

// CheckHost tells whether s can stand in a broker's TLS certificate: a DNS name or an IP address, nothing around it.
func CheckHost(s string) error {
	_, _, err := parseHost(s)
	return err
}

// parseHost gives a DNS name in lower case, or an IP address.
func parseHost(s string) (string, net.IP, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		switch {
		case a.Zone() != "":
			return "", nil, fmt.Errorf("the address %q has a zone, which means something on one machine only: leave out the %% and what follows", s)
		case a.IsUnspecified():
			return "", nil, fmt.Errorf("nobody connects to %s: give the names and addresses that clients use", s)
		}
		return "", a.Unmap().AsSlice(), nil
	}
	s = strings.ToLower(s)
	labels := strings.Split(s, ".")
	ok := len(s) <= 253 && strings.Trim(labels[len(labels)-1], "0123456789") != "" // else it is an address gone wrong
	for _, l := range labels {
		ok = ok && l != "" && len(l) <= 63 && l[0] != '-' && l[len(l)-1] != '-' && strings.Trim(l, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
	}
	if !ok {
		return "", nil, fmt.Errorf("%q is no host: give a DNS name or an IP address, like hub.example.org or 192.0.2.7, without scheme and port", s)
	}
	return s, nil, nil
}

// TLSPair is a TLS certificate with its private key.
type TLSPair struct {
	Leaf *TLSLeaf

	key func() ed25519.PrivateKey // a function, see Identity
}

// NewTLS makes a TLS key and has it certified; see IssueTLS.
func NewTLS(a *Authority, name string, hosts []string, notBefore, notAfter time.Time) (*TLSPair, error) {
	pub, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, fmt.Errorf("making a TLS key for %q: %w", name, err)
	}
	der, err := a.IssueTLS(name, hosts, pub, notBefore, notAfter)
	if err != nil {
		return nil, err
	}
	leaf, err := ParseTLS(der)
	if err != nil {
		return nil, err
	}
	return &TLSPair{Leaf: leaf, key: func() ed25519.PrivateKey { return key }}, nil
}

// Save writes tls.crt and tls.key into the folder dir as Identity.Save does.
func (p *TLSPair) Save(dir string) error {
	der, err := x509.MarshalPKCS8PrivateKey(p.key())
	if err != nil {
		return fmt.Errorf("encoding the TLS key of %q: %w", p.Leaf.Name, err)
	}
	defer clear(der)
	return savePair(dir, FileTLSCert, p.Leaf.DER, FileTLSKey, der)
}

// Forget overwrites the private key, as far as the runtime has made no copies of it. The pair must not be saved after.
func (p *TLSPair) Forget() {
	if p.key != nil {
		clear(p.key())
		p.key = nil
	}
}
