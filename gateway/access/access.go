// Package access finds out who makes a request of a gateway, and what role they have.
//
// Three kinds of credentials can stand side by side: tokens that this party's administrator makes (Tokens), client
// certificates of TLS (Certificates), and tokens that an OpenID Connect provider signs (OIDC). Each is an Authenticator.
// What a role may do is the gateway's business, not this package's.
//
// A token of weft is a random secret of 32 bytes and no signed statement: it can be revoked at once, nothing in it has to be
// parsed before it is believed, and the file that knows it holds hashes only. The rejected alternative, a JWT signed by the
// node, would need a list of revoked ones anyway.
package access

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Role is what somebody may do.
type Role int

// The roles, each of which may do what those before it may.
const (
	Viewer    Role = iota + 1 // reads: descriptions, parties, and what is its own
	Analyst                   // computes, with objects and jobs of its own
	DataOwner                 // sees all jobs of the party, may cancel them, and approves those that wait for it
	Admin                     // the rest
)

var roleNames = [...]string{Viewer: "viewer", Analyst: "analyst", DataOwner: "data-owner", Admin: "admin"}

// Roles are all roles, the least first.
func Roles() []Role { return []Role{Viewer, Analyst, DataOwner, Admin} }

// String is the role as configurations and commands write it; "none" for what is no role.
func (r Role) String() string {
	if r < Viewer || r > Admin {
		return "none"
	}
	return roleNames[r]
}

// ParseRole reads a role as String writes it.
func ParseRole(s string) (Role, error) {
	for _, r := range Roles() {
		if r.String() == s {
			return r, nil
		}
	}
	return 0, fmt.Errorf("%q is no role; use viewer, analyst, data-owner or admin", s)
}

// Identity is who makes a request.
type Identity struct {
	Caller  string    // owner of what they make, such as token:anna; at most 256 bytes
	Role    Role      //
	Method  string    // token, certificate or oidc
	Expires time.Time // of the credential
}

// maxCaller is how long a Caller may be: the stores' bound.
const maxCaller = 256

// Authenticator knows one kind of credential.
type Authenticator interface {
	// Authenticate says who makes the request. Its errors are ErrNone, a *Refused, or something that is out of order here
	// and not at the client.
	Authenticate(r *http.Request) (Identity, error)
}

// ErrNone says that the request has no credential of this kind.
var ErrNone = errors.New("access: no credential of this kind")

// Refused is a credential that is not accepted. Its message is for the client and has no part of the credential.
type Refused struct {
	Known   bool // the credential is good, but gives no role here
	Message string
}

func (e *Refused) Error() string { return e.Message }

func refused(format string, args ...any) error {
	return &Refused{Message: fmt.Sprintf(format, args...)}
}

// Bearer is the credential in the request's Authorization header: a bearer token (RFC 6750 §2.1), or the password of basic
// credentials (RFC 7617), which is where clients put it that can only write https://token:…@host. ok says whether the header
// is there; a header of another scheme has the credential "".
func Bearer(r *http.Request) (credential string, ok bool) {
	header := r.Header.Get("Authorization")
	if header == "" {
		return "", false
	}
	if scheme, rest, _ := strings.Cut(header, " "); strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(rest), true
	}
	_, password, _ := r.BasicAuth()
	return password, true
}
