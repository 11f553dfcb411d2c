package identity

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"time"
	"unicode"
	"unicode/utf8"
)

// MaxLeaf is the most bytes a leaf certificate may have in DER: it travels in every channel bundle.
const MaxLeaf = 1536

// maxOrganisation is the most characters of an organisation's name (RFC 5280, appendix A.1, ub-organization-name).
const maxOrganisation = 64

// Usage is what a certificate says that its holder is. A certificate has one: the key of a dealer is never a party's, so that
// whoever deals for all cannot take part as one of them as well.
type Usage uint8

// The usages.
const (
	UsageParty  Usage = iota + 1 // owns data
	UsageDealer                  // a helper that is no party: the coordinator, which deals
)

func (u Usage) String() string {
	switch u {
	case UsageParty:
		return "party"
	case UsageDealer:
		return "dealer"
	}
	return fmt.Sprintf("usage %d", uint8(u))
}

// The extended key usages "weft party" and "weft dealer". Arc 2.25 needs no registration; its next integer is a UUID, but
// crypto/x509 reads arcs of 31 bits at most, so this is the small number whose bytes spell "weft".
var (
	usageParty  = asn1.ObjectIdentifier{2, 25, 0x77656674, 1}
	usageDealer = asn1.ObjectIdentifier{2, 25, 0x77656674, 2}
)

func (u Usage) oid() asn1.ObjectIdentifier {
	if u == UsageDealer {
		return usageDealer
	}
	return usageParty
}

var (
	oidCommonName   = asn1.ObjectIdentifier{2, 5, 4, 3}
	oidOrganisation = asn1.ObjectIdentifier{2, 5, 4, 10}
)

// Leaf is a party's or dealer's certificate, read but not yet believed: Roots.Verify says whether the authority issued it.
type Leaf struct {
	DER                 []byte // at most MaxLeaf bytes
	Usage               Usage
	Name                string // the party's, one token: CheckName
	Organisation        string // 1 to 64 printable characters
	Key                 ed25519.PublicKey
	FP                  Fingerprint // of Key
	NotBefore, NotAfter time.Time   // UTC, whole seconds, both inclusive

	cert *x509.Certificate
}

// ParseLeaf reads a certificate from anybody. It refuses what Issue would not have made: another kind of key, other key
// usages, a name that is no token, bytes after the end. The chain, and the time, are for Roots.Verify.
func ParseLeaf(der []byte) (*Leaf, error) {
	l, err := parseLeaf(der)
	if err != nil {
		return nil, fmt.Errorf("reading party certificate: %w", err)
	}
	return l, nil
}

func parseLeaf(der []byte) (*Leaf, error) {
	if len(der) > MaxLeaf {
		return nil, fmt.Errorf("it has %d bytes, at most %d are allowed", len(der), MaxLeaf)
	}
	der = bytes.Clone(der) // the parsed certificate keeps slices of it
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	key, ok := cert.PublicKey.(ed25519.PublicKey)
	if !ok {
		return nil, fmt.Errorf("its key is %s, only Ed25519 is used", cert.PublicKeyAlgorithm)
	}
	if !bytes.Equal(cert.RawSubjectPublicKeyInfo, spki(key)) {
		return nil, errors.New("its public key is not encoded in the one canonical way")
	}
	usage, err := checkUsage(cert)
	if err != nil {
		return nil, err
	}
	name, organisation, err := subject(cert)
	if err != nil {
		return nil, err
	}
	return &Leaf{
		DER: der, Usage: usage, Name: name, Organisation: organisation, Key: key, FP: FingerprintOf(key),
		NotBefore: cert.NotBefore.UTC(), NotAfter: cert.NotAfter.UTC(), cert: cert,
	}, nil
}

func checkUsage(cert *x509.Certificate) (Usage, error) {
	switch {
	case cert.Version != 3:
		return 0, fmt.Errorf("it is X.509 version %d, not 3", cert.Version)
	case cert.IsCA || !cert.BasicConstraintsValid:
		return 0, errors.New("its basic constraints do not say that it is no authority")
	case cert.KeyUsage != x509.KeyUsageDigitalSignature:
		return 0, errors.New("its key usage is not digital signature alone")
	case len(cert.UnhandledCriticalExtensions) != 0:
		return 0, fmt.Errorf("it has a critical extension %s that is not known", cert.UnhandledCriticalExtensions[0])
	case len(cert.ExtKeyUsage) == 0 && len(cert.UnknownExtKeyUsage) == 1:
		for _, u := range []Usage{UsageParty, UsageDealer} {
			if cert.UnknownExtKeyUsage[0].Equal(u.oid()) {
				return u, nil
			}
		}
	}
	return 0, fmt.Errorf("its extended key usage is neither weft party (%s) alone nor weft dealer (%s) alone", usageParty, usageDealer)
}

// subject wants one CN and one O: with two, another reader of the same certificate might take the other.
func subject(cert *x509.Certificate) (name, organisation string, err error) {
	var names, organisations int
	for _, a := range cert.Subject.Names {
		s, _ := a.Value.(string)
		switch {
		case a.Type.Equal(oidCommonName):
			name, names = s, names+1
		case a.Type.Equal(oidOrganisation):
			organisation, organisations = s, organisations+1
		}
	}
	if names != 1 || organisations != 1 {
		return "", "", fmt.Errorf("its subject has %d common names and %d organisations, one of each is wanted", names, organisations)
	}
	if err := CheckName(name); err != nil {
		return "", "", err
	}
	return name, organisation, CheckOrganisation(organisation)
}

// CheckOrganisation tells whether s can be the name of an organisation: 1 to 64 printable characters. It keeps out what
// would confuse a terminal or a reader: control and format characters, odd spaces.
func CheckOrganisation(s string) error {
	if n := utf8.RuneCountInString(s); n == 0 || n > maxOrganisation {
		return fmt.Errorf("an organisation's name has 1 to %d characters, this has %d", maxOrganisation, n)
	}
	if !utf8.ValidString(s) {
		return errors.New("an organisation's name is UTF-8, this is not")
	}
	for _, r := range s {
		if !unicode.IsPrint(r) { // of all spaces, only U+0020 is
			return fmt.Errorf("an organisation's name has printable characters only, %q has not", s)
		}
	}
	return nil
}
