package identity

import (
	"crypto/ed25519"
	"crypto/x509"
	"errors"
	"fmt"
	"time"
)

// Roots are the authorities a party believes. The zero Roots believe nobody.
type Roots struct{ pool *x509.CertPool }

// NewRoots reads the authorities' certificates in DER: at least one, each self-signed, Ed25519, for signing certificates.
func NewRoots(der ...[]byte) (Roots, error) {
	if len(der) == 0 {
		return Roots{}, errors.New("no authority given: name at least the consortium's own ca.crt")
	}
	pool := x509.NewCertPool()
	for _, d := range der {
		cert, err := parseRoot(d)
		if err != nil {
			return Roots{}, err
		}
		pool.AddCert(cert)
	}
	return Roots{pool: pool}, nil
}

func parseRoot(der []byte) (*x509.Certificate, error) {
	cert, err := x509.ParseCertificate(append([]byte(nil), der...))
	if err != nil {
		return nil, fmt.Errorf("reading the authority's certificate: %w", err)
	}
	_, ok := cert.PublicKey.(ed25519.PublicKey)
	switch {
	case !ok:
		return nil, fmt.Errorf("the authority's key is %s, only Ed25519 is used", cert.PublicKeyAlgorithm)
	case !cert.BasicConstraintsValid || !cert.IsCA || cert.KeyUsage&x509.KeyUsageCertSign == 0:
		return nil, errors.New("the certificate given as authority is not one that may sign certificates: use ca.crt, not a party's identity.crt")
	}
	if err := cert.CheckSignatureFrom(cert); err != nil {
		return nil, fmt.Errorf("the authority's certificate is not signed by itself: %w", err)
	}
	return cert, nil
}

// Verify tells whether one of the authorities issued l, for a party of weft, and whether it is valid at now. It is the
// caller's to know the party: see the package's doc.
func (r Roots) Verify(l *Leaf, now time.Time) error { return r.VerifyAs(UsageParty, l, now) }

// VerifyAs is Verify for a certificate of the usage given.
func (r Roots) VerifyAs(u Usage, l *Leaf, now time.Time) error {
	switch {
	case r.pool == nil: // crypto/x509 would take the machine's own authorities
		return errors.New("verifying a party certificate: no authority is known here")
	case l == nil || l.cert == nil:
		return errors.New("verifying a party certificate: it was not read by ParseLeaf")
	case now.IsZero(): // crypto/x509 would take its own clock
		return errors.New("verifying a party certificate: no time given")
	}
	usage, err := checkUsage(l.cert)
	if err == nil && usage != u {
		err = fmt.Errorf("it is a %s's, not a %s's", usage, u)
	}
	if err != nil {
		return fmt.Errorf("verifying the certificate of %q: %w", l.Name, err)
	}
	if d := l.NotAfter.Sub(l.NotBefore); d > MaxLifetime {
		return fmt.Errorf("verifying the certificate of %q: it is valid for %s, at most %s is allowed", l.Name, d, MaxLifetime)
	}
	// Our usage is checked above; crypto/x509 knows only registered ones, hence any. There are no intermediates, so a chain
	// is the leaf and its root.
	o := x509.VerifyOptions{Roots: r.pool, Intermediates: x509.NewCertPool(), CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
	if _, err := l.cert.Verify(o); err != nil {
		return fmt.Errorf("verifying the certificate of %q: %w", l.Name, err)
	}
	return nil
}
