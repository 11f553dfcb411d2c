package access

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/time/rate"
)

const methodOIDC = "oidc"

// OIDCConfig says which tokens of which provider count.
type OIDCConfig struct {
	Issuer   string          // https URL, exactly as the provider's tokens have it in iss
	Audience string          // what aud must have
	Claim    string          // the claim that decides about roles; dots lead into objects: realm_access.roles
	Roles    map[string]Role // by values of the claim; the highest counts

	Transport http.RoundTripper // to the provider; nil: http.DefaultTransport
	Now       func() time.Time  // nil: time.Now
	Logger    *slog.Logger      // nil: slog.Default()
	// Refresh is how often the provider's metadata and keys are fetched anew, beside when a token names a key that is not
	// known: so long, at most, counts a key that the provider has taken back. 0: 15 min.
	Refresh time.Duration
	// Retry is the first pause after a failed fetch; it doubles up to Refresh. 0: 1 s.
	Retry time.Duration
}

// OIDC is the Authenticator of tokens that an OpenID Connect provider has signed (OpenID Connect Core 1.0 §3.1.3.7).
//
// The provider need not be there when the gateway starts, nor while it runs: Run fetches its metadata in the background, and
// keys that have been fetched once go on to count while it is away.
type OIDC struct {
	config   OIDCConfig
	client   *http.Client
	verifier atomic.Pointer[oidc.IDTokenVerifier] // nil until the provider has answered once
}

// Bounds of what is exchanged with the provider.
const (
	providerTime  = 10 * time.Second // for an answer
	providerBytes = 1 << 20          // of an answer
	providerRate  = 1                // requests per second: tokens with made-up key names must not become a flood there
	providerBurst = 5
	maxJWT        = 16 << 10 // bytes
)

// NewOIDC checks the configuration. Nothing is fetched before Run.
func NewOIDC(c OIDCConfig) (*OIDC, error) {
	u, err := url.Parse(c.Issuer)
	switch {
	case err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("issuer %q: the https address of the provider is expected, as its tokens name it", c.Issuer)
	case c.Audience == "":
		return nil, errors.New("audience is missing: without it tokens for any other service would count")
	case c.Claim == "":
		return nil, errors.New("claim is missing: it names what in a token decides about roles, such as groups")
	case len(c.Roles) == 0:
		return nil, errors.New("roles is empty, and nobody would have one: give roles to values of the claim")
	}
	if c.Transport == nil {
		c.Transport = http.DefaultTransport
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Refresh <= 0 {
		c.Refresh = 15 * time.Minute
	}
	if c.Retry <= 0 {
		c.Retry = time.Second
	}
	guarded := &guard{next: c.Transport, limit: rate.NewLimiter(providerRate, providerBurst)}
	return &OIDC{config: c, client: &http.Client{Transport: guarded, Timeout: providerTime}}, nil
}

// Run keeps the provider's metadata and keys fresh until ctx ends.
func (o *OIDC) Run(ctx context.Context) {
	pause := o.config.Retry
	for {
		err := o.discover(ctx)
		wait := o.config.Refresh
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			wait, pause = pause, min(2*pause, o.config.Refresh)
			o.config.Logger.Warn("the OpenID Connect provider cannot be asked; trying again", "issuer", o.config.Issuer, "ready", o.verifier.Load() != nil, "error", short(err))
		default:
			pause = o.config.Retry
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return
		}
	}
}

// signingAlgorithms are those that count: all with a public key. What else a provider names, HS256 or none, would let whoever
// can read its metadata sign.
var signingAlgorithms = []string{oidc.RS256, oidc.RS384, oidc.RS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.EdDSA}

// discover fetches metadata and keys. Those that are in use go on to count until the new ones are complete.
func (o *OIDC) discover(ctx context.Context) error {
	p, err := oidc.NewProvider(oidc.ClientContext(ctx, o.client), o.config.Issuer)
	if err != nil {
		return err
	}
	var metadata struct {
		Keys       string   `json:"jwks_uri"`
		Algorithms []string `json:"id_token_signing_alg_values_supported"`
	}
	if err := p.Claims(&metadata); err != nil {
		return err
	}
	var algorithms []string // none: RS256, as the standard has it
	for _, a := range metadata.Algorithms {
		if slices.Contains(signingAlgorithms, a) {
			algorithms = append(algorithms, a)
		}
	}
	keys := &keySet{oidc.NewRemoteKeySet(oidc.ClientContext(context.WithoutCancel(ctx), o.client), metadata.Keys)}
	if err := keys.fetch(ctx); err != nil {
		return err
	}
	v := oidc.NewVerifier(o.config.Issuer, keys, &oidc.Config{ClientID: o.config.Audience, SupportedSigningAlgs: algorithms, Now: o.config.Now})
	if o.verifier.Swap(v) == nil {
		o.config.Logger.Info("the OpenID Connect provider has answered", "issuer", o.config.Issuer)
	}
	return nil
}

// keySet is the provider's keys. It tells a request, by a *fetchFailure in its context, when the reason why a token cannot be
// verified is that keys cannot be had: the verifier drops the cause of such an error.
type keySet struct{ remote *oidc.RemoteKeySet }

type fetchFailure struct{ err error }

type fetchFailureKey struct{}

// VerifySignature implements oidc.KeySet.
func (k *keySet) VerifySignature(ctx context.Context, jwt string) ([]byte, error) {
	payload, err := k.remote.VerifySignature(ctx, jwt)
	// These are the words of go-oidc v3.21.0 before what went wrong on the way; it has no error of its own for that.
	if err != nil && strings.HasPrefix(err.Error(), "fetching keys") {
		if f, ok := ctx.Value(fetchFailureKey{}).(*fetchFailure); ok {
			f.err = err
		}
	}
	return payload, err
}

// fetch has the keys fetched, by a token that none of them has signed.
func (k *keySet) fetch(ctx context.Context) error {
	const unsigned = "eyJhbGciOiJSUzI1NiIsImtpZCI6Ii0ifQ.e30.AA" // {"alg":"RS256","kid":"-"}.{}.
	var f fetchFailure
	_, _ = k.VerifySignature(context.WithValue(ctx, fetchFailureKey{}, &f), unsigned)
	return f.err
}

// short is an error's beginning: the text of some holds a whole answer.
func short(err error) string {
	const most = 300 // bytes
	s := err.Error()
	return strings.ToValidUTF8(s[:min(len(s), most)], "")
}

var errNoProvider = errors.New("the OpenID Connect provider has not answered yet")

// Authenticate implements Authenticator. The caller is oidc:SUB.
func (o *OIDC) Authenticate(r *http.Request) (Identity, error) {
	text, _ := Bearer(r)
	if text == "" || IsToken(text) || strings.Count(text, ".") != 2 {
		return Identity{}, ErrNone
	}
	if len(text) > maxJWT {
		return Identity{}, refused("the token is larger than %d bytes", maxJWT)
	}
	v := o.verifier.Load()
	if v == nil {
		return Identity{}, errNoProvider
	}
	var failure fetchFailure
	token, err := v.Verify(context.WithValue(r.Context(), fetchFailureKey{}, &failure), text)
	var expired *oidc.TokenExpiredError
	switch {
	case failure.err != nil:
		return Identity{}, fmt.Errorf("asking the OpenID Connect provider for its keys: %s", short(failure.err))
	case errors.As(err, &expired):
		return Identity{}, refused("the token has expired; fetch a new one from your provider")
	case err != nil: // its text may hold parts of the token
		return Identity{}, refused("the token is not one of %s for %q", o.config.Issuer, o.config.Audience)
	}
	if err := checkCaller(methodOIDC, token.Subject); err != nil {
		return Identity{}, refused("the token's sub %s", err)
	}
	id := Identity{Caller: methodOIDC + ":" + token.Subject, Method: methodOIDC, Expires: token.Expiry}
	var claims map[string]json.RawMessage
	if err := token.Claims(&claims); err != nil {
		return Identity{}, refused("the token's claims are no JSON object")
	}
	if name := doubtful(claims); name != "" {
		return Identity{}, refused("the token has a claim that is nearly %s", name)
	}
	for _, value := range valuesOf(claims, o.config.Claim) {
		id.Role = max(id.Role, o.config.Roles[value])
	}
	if id.Role == 0 {
		return id, &Refused{Known: true, Message: fmt.Sprintf("the token is valid, but what its claim %q says gives no role here; this gateway's configuration lists what does (access.oidc.roles)", o.config.Claim)}
	}
	return id, nil
}

// doubtful is the standard claim that another one is taken for by a decoder that does not heed case, as go-oidc's does: "Sub",
// or "ſub" with a long s, after sub would count in its place. "": there is none.
func doubtful(claims map[string]json.RawMessage) string {
	for name := range claims {
		for _, standard := range [...]string{"iss", "sub", "aud", "exp", "iat", "nbf"} {
			if name != standard && strings.EqualFold(name, standard) {
				return standard
			}
		}
	}
	return ""
}

// valuesOf are the texts of a claim, which is one or a list of them. A claim with just this name, dots and all, goes before
// one inside objects.
func valuesOf(claims map[string]json.RawMessage, path string) []string {
	raw, there := claims[path]
	if first, rest, dotted := strings.Cut(path, "."); !there && dotted {
		var inner map[string]json.RawMessage
		if json.Unmarshal(claims[first], &inner) != nil {
			return nil
		}
		return valuesOf(inner, rest)
	}
	var one string
	var many []string
	switch {
	case json.Unmarshal(raw, &many) == nil:
		return many
	case json.Unmarshal(raw, &one) == nil:
		return []string{one}
	}
	return nil
}

var errProvider = errors.New("the provider's answer cannot be used")

// guard is the way to the provider: https only, redirects included, few requests, bounded answers.
type guard struct {
	next  http.RoundTripper
	limit *rate.Limiter
}

// RoundTrip implements http.RoundTripper.
func (g *guard) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" {
		return nil, fmt.Errorf("%w: it leads to an address without TLS", errProvider)
	}
	if err := g.limit.Wait(r.Context()); err != nil {
		return nil, err
	}
	res, err := g.next.RoundTrip(r)
	if err == nil {
		res.Body = &bounded{ReadCloser: res.Body, left: providerBytes}
	}
	return res, err
}

// bounded is a body that fails rather than become large.
type bounded struct {
	io.ReadCloser
	left int
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("%w: it is larger than %d bytes", errProvider, providerBytes)
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}
