package gateway

import (
	"context"
	"net/http"
)

// anyone is the caller of every request of a gateway without access control: all of its clients are one.
const anyone = "anyone"

// principal is who makes a request.
type principal struct {
	caller string // the owner of what the request makes; objects of others do not exist for it
}

type principalKey struct{}

// as is the request with its principal.
func (p principal) as(r *http.Request) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), principalKey{}, p))
}

// callerOf is who owns what the request makes and may see.
func callerOf(ctx context.Context) string {
	if p, ok := ctx.Value(principalKey{}).(principal); ok {
		return p.caller
	}
	return anyone
}
