package access

import (
	"crypto/x509"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"
)

const methodCertificate = "certificate"

// Certificates is the Authenticator of TLS client certificates: a role for each name. A certificate's names are the common
// name of its subject and its alternative names (DNS names, mail addresses, URIs). TLS has verified the certificate against
// the authorities that the server trusts for clients; what is left to do here is to know the name.
type Certificates struct {
	roles map[string]Role
	now   func() time.Time
	roots func() *x509.CertPool // nil: those of the connection's beginning
}

// Trust has the authorities looked at with each request, and not when a connection is made alone: one may last for days after
// its authority was taken out. roots is called from any goroutine.
func (c *Certificates) Trust(roots func() *x509.CertPool) { c.roots = roots }

// NewCertificates checks the names.
func NewCertificates(roles map[string]Role, now func() time.Time) (*Certificates, error) {
	for name := range roles {
		if err := checkCaller(methodCertificate, name); err != nil {
			return nil, fmt.Errorf("the certificate name %w", err)
		}
	}
	return &Certificates{roles: roles, now: now}, nil
}

// checkCaller refuses what cannot be an owner's name. Logs, lists and terminals show it, so nothing in it may be invisible,
// write backwards or steer them.
func checkCaller(method, name string) error {
	if name == "" || len(method)+1+len(name) > maxCaller || strings.ContainsFunc(name, func(c rune) bool { return !unicode.IsPrint(c) || c == unicode.ReplacementChar }) {
		return fmt.Errorf("cannot be used: it is empty, longer than %d bytes, or has characters that do not print", maxCaller-len(method)-1)
	}
	return nil
}

// Authenticate implements Authenticator. The caller is certificate:NAME with the name that gives the highest role.
func (c *Certificates) Authenticate(r *http.Request) (Identity, error) {
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
		return Identity{}, ErrNone
	}
	leaf := r.TLS.VerifiedChains[0][0]
	if now := c.now(); !now.Before(leaf.NotAfter) { // since the connection was made
		return Identity{}, refused("the client certificate has expired")
	}
	if !c.trusted(r.TLS.VerifiedChains) {
		return Identity{}, refused("the authority of the client certificate does not count here any more")
	}
	id := Identity{Method: methodCertificate, Expires: leaf.NotAfter}
	for _, name := range names(leaf) {
		if role := c.roles[name]; role > id.Role {
			id.Caller, id.Role = methodCertificate+":"+name, role
		}
	}
	if id.Role == 0 {
		return id, &Refused{Known: true, Message: "the client certificate is valid, but none of its names has a role here; this gateway's configuration lists those that have (access.certificates)"}
	}
	return id, nil
}

// trusted says whether one of the chains ends at an authority that counts now.
func (c *Certificates) trusted(chains [][]*x509.Certificate) bool {
	if c.roots == nil {
		return true
	}
	o := x509.VerifyOptions{Roots: c.roots(), CurrentTime: c.now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
	return slices.ContainsFunc(chains, func(chain []*x509.Certificate) bool {
		_, err := chain[len(chain)-1].Verify(o)
		return err == nil
	})
}

// names are all names of a certificate, the subject's first.
func names(c *x509.Certificate) []string {
	all := []string{c.Subject.CommonName}
	all = append(append(all, c.DNSNames...), c.EmailAddresses...)
	for _, u := range c.URIs {
		all = append(all, u.String())
	}
	return all
}
