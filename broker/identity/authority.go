package identity

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"time"
)

// MaxLifetime is the longest validity of a party's certificate.
const MaxLifetime = 30 * 24 * time.Hour

// Authority is the consortium's certificate authority: an Ed25519 key and its self-signed certificate.
type Authority struct {
	cert *x509.Certificate
	key  func() ed25519.PrivateKey // a function, see Identity
}

// NewAuthority makes an authority with a fresh key. The name is for people, 1 to 64 characters. The authority outlives
// its parties' certificates: years, not days.
func NewAuthority(name string, notBefore, notAfter time.Time) (*Authority, error) {
	if err := CheckOrganisation(name); err != nil {
		return nil, fmt.Errorf("naming the authority: %w", err)
	}
	if !notAfter.After(notBefore) {
		return nil, errors.New("an authority's validity must end after it begins")
	}
	pub, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, fmt.Errorf("making the authority's key: %w", err)
	}
	t := &x509.Certificate{
		Subject:   pkix.Name{CommonName: name},
		NotBefore: notBefore.UTC(), NotAfter: notAfter.UTC(),
		KeyUsage: x509.KeyUsageCertSign, IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, pub, key)
	if err != nil {
		return nil, fmt.Errorf("making the authority's certificate: %w", err)
	}
	return authority(der, key)
}

func authority(der []byte, key ed25519.PrivateKey) (*Authority, error) {
	cert, err := parseRoot(der)
	if err != nil {
		return nil, err
	}
	if !key.Public().(ed25519.PublicKey).Equal(cert.PublicKey) {
		return nil, errors.New("the authority's key does not belong to its certificate: bring back the pair that was made together")
	}
	return &Authority{cert: cert, key: func() ed25519.PrivateKey { return key }}, nil
}

// Certificate is the authority's own certificate in DER, to be handed to NewRoots of every party.
func (a *Authority) Certificate() []byte { return bytes.Clone(a.cert.Raw) }

// Issue certifies that pub belongs to the party name of organisation. The validity is at most MaxLifetime and within
// the authority's own. The caller has made sure, by other means than this call, that the party holds the private key.
func (a *Authority) Issue(name, organisation string, pub ed25519.PublicKey, notBefore, notAfter time.Time) ([]byte, error) {
	return a.IssueAs(UsageParty, name, organisation, pub, notBefore, notAfter)
}

// IssueAs is Issue for another usage, such as a dealer's.
func (a *Authority) IssueAs(u Usage, name, organisation string, pub ed25519.PublicKey, notBefore, notAfter time.Time) ([]byte, error) {
	der, err := a.issue(u, name, organisation, pub, notBefore, notAfter)
	if err != nil {
		return nil, fmt.Errorf("issuing a certificate for %q: %w", name, err)
	}
	return der, nil
}

func (a *Authority) issue(u Usage, name, organisation string, pub ed25519.PublicKey, notBefore, notAfter time.Time) ([]byte, error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	if err := CheckOrganisation(organisation); err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		Subject:            pkix.Name{CommonName: name, Organization: []string{organisation}},
		UnknownExtKeyUsage: []asn1.ObjectIdentifier{u.oid()},
	}
	der, err := a.certify(t, pub, notBefore, notAfter)
	if err != nil {
		return nil, err
	}
	// What every party will check is checked before the certificate leaves.
	if _, err := parseLeaf(der); err != nil {
		return nil, err
	}
	return der, nil
}

// certify signs t, to which it gives the key, the validity and what all leaf certificates have in common.
func (a *Authority) certify(t *x509.Certificate, pub ed25519.PublicKey, notBefore, notAfter time.Time) ([]byte, error) {
	if len(pub) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("the key has %d bytes, an Ed25519 key has %d", len(pub), ed25519.PublicKeySize)
	}
	// A certificate holds whole seconds: round inwards, so that no bound is passed.
	notBefore, notAfter = notBefore.UTC().Truncate(time.Second), notAfter.UTC().Truncate(time.Second)
	switch {
	case !notAfter.After(notBefore):
		return nil, errors.New("the validity must end after it begins")
	case notAfter.Sub(notBefore) > MaxLifetime:
		return nil, fmt.Errorf("the validity is %s, at most %s is allowed", notAfter.Sub(notBefore), MaxLifetime)
	case notBefore.Before(a.cert.NotBefore), notAfter.After(a.cert.NotAfter):
		return nil, fmt.Errorf("the authority itself is valid from %s to %s only: shorten the validity or renew the authority",
			a.cert.NotBefore.UTC().Format(time.RFC3339), a.cert.NotAfter.UTC().Format(time.RFC3339))
	case a.key == nil:
		return nil, errors.New("the authority's key has been forgotten: load it again")
	}
	t.NotBefore, t.NotAfter = notBefore, notAfter
	t.KeyUsage, t.BasicConstraintsValid = x509.KeyUsageDigitalSignature, true
	return x509.CreateCertificate(rand.Reader, t, a.cert, pub, a.key())
}

// Renew certifies the key of old once more, under the same name: the party's fingerprint stays. This authority must have
// issued old. Whether old is still valid is no matter: the name and the key were bound then, and still are.
func (a *Authority) Renew(old *Leaf, organisation string, notBefore, notAfter time.Time) ([]byte, error) {
	return a.RenewAs(old.Usage, old, organisation, notBefore, notAfter)
}

// RenewAs is Renew with another usage: coordinators had a party's before they could deal.
func (a *Authority) RenewAs(u Usage, old *Leaf, organisation string, notBefore, notAfter time.Time) ([]byte, error) {
	if err := a.issued(old.cert); err != nil {
		return nil, fmt.Errorf("renewing the certificate of %q: %w", old.Name, err)
	}
	return a.IssueAs(u, old.Name, organisation, old.Key, notBefore, notAfter)
}

func (a *Authority) issued(cert *x509.Certificate) error {
	if err := cert.CheckSignatureFrom(a.cert); err != nil {
		return errors.New("it was not issued by this authority")
	}
	return nil
}

// Validity is from when to when the authority's own certificate is valid: no certificate that it issues is valid longer.
func (a *Authority) Validity() (notBefore, notAfter time.Time) {
	return a.cert.NotBefore.UTC(), a.cert.NotAfter.UTC()
}

// Forget overwrites the private key, as far as the runtime has made no copies of it. The authority issues nothing after.
func (a *Authority) Forget() {
	if a.key != nil {
		clear(a.key())
		a.key = nil
	}
}
