package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/weftmpc/weft/gateway/access"
)

// Access says who may call a gateway. A nil *Access admits everybody as one caller, with the rights of an analyst.
type Access struct {
	// Authenticators are asked in this order; the first that knows its kind of credential in the request decides. One at
	// least is needed.
	Authenticators []access.Authenticator
	// Rate is how many requests of one caller are served in a second, over a while; twice as many may come at once.
	// 0: 1,000; at most 100,000.
	Rate int
}

// openRole is everybody's on a gateway without access control.
const openRole = access.Analyst

// Bounds of access control.
const (
	defaultRate = 1000 // official clients ask in loops, and give up at a 429
	maxRate     = 100_000
	mostLimited = 10_000 // callers, and addresses, that are remembered

	failuresAtOnce = 10               // failed logins of one address
	failuresEach   = 10 * time.Second // in which it may have one more
)

// grant is what a role may do on a route.
type grant int

const (
	no  grant = iota + 1
	yes       // the route is about no object, or makes one
	own       // objects of the caller's own and what belongs to nobody; all else is 404
	all       // objects of everybody
)

// grants are a route's, by access.Role; the first is for requests without a credential.
type grants [access.Admin + 1]grant

// permissions says who may do what. Every route has a row: New refuses to serve one without.
//
// Objects belong to the caller who made them, and a foreign one is 404, as if it were not there. Data owners see all jobs
// of the party, cancel them and approve those that wait for it, because it is their data that is computed with; but a result stays with whoever asked
// for it, and so do uploads and tasks. The representation API has no foreign objects for anybody: its clients have no
// means to show whose something is.
var permissions = map[string]grants{
	//                               nobody viewer analyst data owner admin
	"GET /representations":            {no, yes, yes, yes, yes},
	"POST /representations":           {no, no, yes, yes, yes},
	"PUT /representations":            {no, no, yes, yes, yes},
	"PATCH /representation/{id}":      {no, no, own, own, own},
	"GET /representation/{id}":        {no, own, own, own, own},
	"GET /representation/{id}/{name}": {no, own, own, own, own},
	"DELETE /representation/{id}":     {no, no, own, own, own},

	"POST /v1/jobs":                 {no, no, yes, yes, yes},
	"GET /v1/jobs":                  {no, own, own, all, all},
	"GET /v1/jobs/{id}":             {no, own, own, all, all},
	"GET /v1/jobs/{id}/result":      {no, own, own, own, own},
	"POST /v1/jobs/{id}/cancel":     {no, no, own, all, all},
	"DELETE /v1/jobs/{id}":          {no, no, own, own, all},
	"GET /v1/jobs/{id}/approval":    {no, own, own, all, all},
	"POST /v1/jobs/{id}/approval":   {no, no, no, all, all}, // but nobody about a job of their own, unless the node's policy lets them
	"GET /v1/jobs/{id}/events":      {no, own, own, all, all},
	"GET /v1/events":                {no, own, own, all, all},
	"GET /v1/microprotocols/{name}": {no, yes, yes, yes, yes},
	"GET /v1/microprotocols":        {no, yes, yes, yes, yes},
	"GET /v1/parties":               {no, yes, yes, yes, yes},
	"GET /v1/services":              {no, yes, yes, yes, yes},
	"GET /v1/me":                    {no, yes, yes, yes, yes},

	"GET /openapi.yaml":    {yes, yes, yes, yes, yes},
	"GET /docs":            {yes, yes, yes, yes, yes},
	"GET /problems/{name}": {yes, yes, yes, yes, yes},
	"GET /healthz":         {yes, yes, yes, yes, yes},
	"GET /readyz":          {yes, yes, yes, yes, yes},
	"GET /metrics":         {no, yes, yes, yes, yes},
}

// needs is the least role that may call the route.
func (g grants) needs() access.Role {
	for _, r := range access.Roles() {
		if g[r] != no {
			return r
		}
	}
	return access.Admin
}

// checkPermissions refuses routes that permissions does not have.
func checkPermissions() error {
	for _, rt := range routes() {
		g, ok := permissions[rt.method+" "+rt.path]
		for _, one := range g {
			ok = ok && one >= no && one <= all
		}
		if !ok {
			return fmt.Errorf("gateway: permissions does not say who may call %s %s", rt.method, rt.path)
		}
	}
	return nil
}

// fill puts in the defaults and refuses what is out of bounds.
func (a *Access) fill() error {
	switch {
	case len(a.Authenticators) == 0:
		return errors.New("gateway: access control without an authenticator would admit nobody")
	case a.Rate < 0 || a.Rate > maxRate:
		return fmt.Errorf("gateway: the rate per caller is %d; at most %d requests per second are possible, 0 stands for %d", a.Rate, maxRate, defaultRate)
	}
	if a.Rate == 0 {
		a.Rate = defaultRate
	}
	return nil
}

// authorize finds out who makes a request and refuses what they may not do. It returns the request with its principal.
func (g *Gateway) authorize(w http.ResponseWriter, r *http.Request, rt route) (*http.Request, error) {
	granted := permissions[rt.method+" "+rt.path]
	if granted[0] != no {
		return r, nil
	}
	p := open
	if g.config.Access != nil {
		id, err := g.authenticate(w, r)
		if err != nil {
			return r, err
		}
		p = principal{caller: id.Caller, role: id.Role, method: id.Method, expires: id.Expires}
		r = p.as(r) // also of a request that is refused: the log says whose
		if wait := g.rates.take(id.Caller, g.config.Now()); wait > 0 {
			return r, tooOften("more requests come from you than this gateway allows; send this one again in a moment", wait)
		}
	}
	r = g.spanned(w, r, p)
	switch granted[p.role] {
	case all:
		p.others = true
		return p.as(r), nil
	case yes, own:
		return r, nil
	}
	w.Header().Set("WWW-Authenticate", `Bearer realm="weft", error="insufficient_scope"`)
	return r, fail(http.StatusForbidden, "role", "this needs the role %s, and yours is %s; ask this gateway's administrator", granted.needs(), p.role)
}

// authenticate asks the authenticators.
//
// Failures of one address are counted, and from the eleventh on answered with 429 and no reason. A credential that is good
// works all the same: nobody guesses 32 random bytes or a signature, and a stranger behind the same address, which is a
// whole house's where it has but one, must not be able to lock its people out.
func (g *Gateway) authenticate(w http.ResponseWriter, r *http.Request) (access.Identity, error) {
	for _, a := range g.config.Access.Authenticators {
		id, err := a.Authenticate(r)
		var refused *access.Refused
		switch {
		case err == nil && id.Caller != "" && id.Role >= access.Viewer && id.Role <= access.Admin:
			return id, nil
		case err == nil:
			return id, &Error{Code: http.StatusInternalServerError, Reason: "internal", Message: "something failed in this gateway; its log says what", cause: fmt.Errorf("%T admits %q with the role %d", a, id.Caller, id.Role)}
		case errors.Is(err, access.ErrNone):
			continue
		case errors.As(err, &refused) && refused.Known:
			w.Header().Set("WWW-Authenticate", `Bearer realm="weft", error="insufficient_scope"`)
			return id, fail(http.StatusForbidden, "no-role", "%s", refused.Message)
		case errors.As(err, &refused):
			return id, g.loginFailed(w, r, refused.Message)
		}
		if g.failures.take(g.proxies.place(r), g.config.Now()) == 0 { // as many lines as for refused ones
			g.config.Logger.Warn("gateway: a credential cannot be checked", "error", err)
		}
		return id, uncheckable(err)
	}
	if _, ok := access.Bearer(r); ok {
		return access.Identity{}, g.loginFailed(w, r, "this gateway knows no credential of this kind; GET /openapi.yaml says what it accepts")
	}
	w.Header().Set("WWW-Authenticate", `Bearer realm="weft"`) // no Basic: browsers would ask, and then send it from any page
	return access.Identity{}, fail(http.StatusUnauthorized, "unauthenticated",
		"this gateway wants to know who asks: send a token as Authorization: Bearer TOKEN, or as the password of basic credentials; its administrator makes one with `weft token create`")
}

func uncheckable(err error) error {
	return &Error{Code: http.StatusServiceUnavailable, Reason: "no-authentication", Message: "this gateway cannot check credentials of this kind at present; its log says why", retry: 5, cause: err}
}

// stillKnown says why the credential of a request that has taken its time gives it no longer what it gave at its beginning:
// it may have been revoked or have expired since.
func (g *Gateway) stillKnown(r *http.Request) error {
	if g.config.Access == nil {
		return nil
	}
	before := principalOf(r.Context())
	for _, a := range g.config.Access.Authenticators {
		id, err := a.Authenticate(r)
		var refused *access.Refused
		switch {
		case errors.Is(err, access.ErrNone):
			continue
		case err == nil && id.Caller == before.caller && id.Role == before.role:
			return nil
		case err != nil && !errors.As(err, &refused):
			return uncheckable(err)
		}
		break
	}
	return fail(http.StatusUnauthorized, "unauthenticated", "the credential of this request has ended while it waited; send it again with another one")
}

// ranOut says whether the time of a request's credential is over. It was good for a request that came before, which waits for
// minutes at most; one that was taken back is not.
func (g *Gateway) ranOut(r *http.Request) bool {
	until := principalOf(r.Context()).expires
	return !until.IsZero() && !g.config.Now().Before(until)
}

// loginFailed counts a failure.
func (g *Gateway) loginFailed(w http.ResponseWriter, r *http.Request, message string) error {
	g.loginFailures.Add(1)
	place := g.proxies.place(r)
	if wait := g.failures.take(place, g.config.Now()); wait > 0 {
		return tooOften("too many credentials from this address have been refused; wait before you try another", wait)
	}
	g.config.Logger.Warn("gateway: a credential is refused", "from", place, "reason", message)
	w.Header().Set("WWW-Authenticate", `Bearer realm="weft", error="invalid_token"`)
	return fail(http.StatusUnauthorized, "unauthenticated", "%s", message)
}

// LoginFailures is how many credentials have been refused since the start.
func (g *Gateway) LoginFailures() int64 { return g.loginFailures.Load() }

// tooOften is the answer to a request that comes before its time.
func tooOften(message string, wait time.Duration) *Error {
	e := fail(http.StatusTooManyRequests, "too-often", "%s", message)
	e.retry = int((wait + time.Second - 1) / time.Second)
	return e
}

// me is who the caller is, to the caller.
type me struct {
	Caller  string     `json:"caller"`
	Role    string     `json:"role"`
	Method  string     `json:"method"`
	Expires *time.Time `json:"expires,omitempty"`
}

// getMe answers with who the caller is.
func (g *Gateway) getMe(w http.ResponseWriter, r *http.Request) error {
	if _, err := readQuery(r); err != nil {
		return err
	}
	if err := dropBody(w, r); err != nil {
		return err
	}
	p := principalOf(r.Context())
	answer := me{Caller: p.caller, Role: p.role.String(), Method: p.method}
	if !p.expires.IsZero() {
		at := p.expires.UTC()
		answer.Expires = &at
	}
	return write(w, mustJSON(answer))
}
