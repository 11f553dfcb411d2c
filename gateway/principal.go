package gateway

import (
	"context"
	"net/http"
	"time"

	"github.com/weftmpc/weft/gateway/access"
)

// anyone is the caller of every request of a gateway without access control: all of its clients are one.
const anyone = "anyone"

// principal is who makes a request.
type principal struct {
	caller  string      // the owner of what the request makes; objects of others do not exist for it
	role    access.Role // zero where the route needs none
	method  string      // how it is known: token, certificate, oidc, or none
	expires time.Time   // of the credential; zero: there is none
	others  bool        // on this route jobs of other callers exist, too
}

type principalKey struct{}

// as is the request with its principal.
func (p principal) as(r *http.Request) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), principalKey{}, p))
}

// open is everybody's principal where there is no access control.
var open = principal{caller: anyone, role: openRole, method: "none"}

// principalOf is who makes the request.
func principalOf(ctx context.Context) principal {
	if p, ok := ctx.Value(principalKey{}).(principal); ok {
		return p
	}
	return open
}

// callerOf is who owns what the request makes and may see.
func callerOf(ctx context.Context) string { return principalOf(ctx).caller }

// listedFor is whose jobs a list has: the caller's, or everybody's ("").
func listedFor(ctx context.Context) string {
	if p := principalOf(ctx); !p.others {
		return p.caller
	}
	return ""
}
