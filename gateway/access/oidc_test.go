package access

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/coreos/go-oidc/v3/oidc/oidctest"
)

// issuer is an OpenID Connect provider with keys of the test.
type issuer struct {
	t      *testing.T
	server *httptest.Server
	serves atomic.Pointer[oidctest.Server] // nil: it is down
	asked  atomic.Int64
	noKeys atomic.Bool // metadata come, keys do not
}

type signer struct {
	id  string
	key *ecdsa.PrivateKey
}

func newSigner(t *testing.T, id string) signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return signer{id, key}
}

func newIssuer(t *testing.T) *issuer {
	i := &issuer{t: t}
	i.server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.asked.Add(1)
		if s := i.serves.Load(); s != nil && !(i.noKeys.Load() && r.URL.Path == "/keys") {
			s.ServeHTTP(w, r)
			return
		}
		http.Error(w, "down", http.StatusServiceUnavailable)
	}))
	t.Cleanup(i.server.Close)
	return i
}

// keys lets the provider show these keys; nil brings it down.
func (i *issuer) keys(signers ...signer) {
	if signers == nil {
		i.serves.Store(nil)
		return
	}
	s := &oidctest.Server{Algorithms: []string{oidc.ES256, "HS256", "none"}}
	for _, k := range signers {
		s.PublicKeys = append(s.PublicKeys, oidctest.PublicKey{PublicKey: k.key.Public(), KeyID: k.id, Algorithm: oidc.ES256})
	}
	s.SetIssuer(i.server.URL)
	i.serves.Store(s)
}

// token is one for anna that counts, but for what change says; nil takes a claim out.
func (i *issuer) token(k signer, change map[string]any) string {
	i.t.Helper()
	claims := map[string]any{"iss": i.server.URL, "aud": "weft-alice", "sub": "anna", "exp": noon.Add(time.Hour).Unix(), "groups": []string{"staff", "analysts"}}
	maps.Copy(claims, change)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	b, err := json.Marshal(claims)
	if err != nil {
		i.t.Fatal(err)
	}
	return oidctest.SignIDToken(k.key, k.id, oidc.ES256, string(b))
}

// provider is the Authenticator, fetching anew after refresh, and running if run.
func (i *issuer) provider(run bool, refresh time.Duration, change func(*OIDCConfig)) *OIDC {
	i.t.Helper()
	c := OIDCConfig{
		Issuer: i.server.URL, Audience: "weft-alice", Claim: "groups", Roles: map[string]Role{"analysts": Analyst, "it": Admin, "readers": Viewer},
		Transport: i.server.Client().Transport, Now: func() time.Time { return noon }, Logger: slog.New(slog.DiscardHandler), Refresh: refresh, Retry: time.Millisecond,
	}
	if change != nil {
		change(&c)
	}
	o, err := NewOIDC(c)
	if err != nil {
		i.t.Fatal(err)
	}
	o.client.Transport.(*guard).limit.SetLimit(1000)
	if run {
		ctx, cancel := context.WithCancel(i.t.Context())
		done := make(chan struct{})
		go func() { defer close(done); o.Run(ctx) }()
		i.t.Cleanup(func() { cancel(); <-done; i.server.CloseClientConnections() })
	}
	return o
}

// soon repeats f until it is true.
func soon(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !f(); <-time.After(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(what)
		}
	}
}

func TestOIDC(t *testing.T) {
	i, k := newIssuer(t), newSigner(t, "k1")
	stranger := newSigner(t, "k1")
	i.keys(k)
	o := i.provider(true, time.Hour, nil)
	soon(t, "the provider is not known", func() bool { return o.verifier.Load() != nil })
	for _, r := range []*http.Request{bearer(i.token(k, nil)), basic("token", i.token(k, nil))} {
		id, err := o.Authenticate(r)
		if want := (Identity{"oidc:anna", Analyst, "oidc", noon.Add(time.Hour)}); err != nil || id.Caller != want.Caller || id.Role != want.Role || id.Method != want.Method || !id.Expires.Equal(want.Expires) {
			t.Errorf("%+v, %v", id, err)
		}
	}
	for _, x := range []struct {
		name, token, part string
		known             bool
	}{
		{"another's signature", i.token(stranger, nil), "not one of", false},
		{"unknown key", i.token(signer{"k9", stranger.key}, nil), "not one of", false},
		{"another audience", i.token(k, map[string]any{"aud": "weft-bob"}), "not one of", false},
		{"no audience", i.token(k, map[string]any{"aud": nil}), "not one of", false},
		{"another issuer", i.token(k, map[string]any{"iss": "https://elsewhere.example"}), "not one of", false},
		{"expired", i.token(k, map[string]any{"exp": noon.Add(-time.Second).Unix()}), "has expired", false},
		{"without end", i.token(k, map[string]any{"exp": nil}), "has expired", false},
		{"not yet", i.token(k, map[string]any{"nbf": noon.Add(10 * time.Minute).Unix()}), "not one of", false},
		{"no subject", i.token(k, map[string]any{"sub": ""}), "sub cannot be used", false},
		{"long subject", i.token(k, map[string]any{"sub": strings.Repeat("x", 300)}), "sub cannot be used", false},
		{"subject with a line break", i.token(k, map[string]any{"sub": "a\nb"}), "sub cannot be used", false},
		{"subject with a control code for terminals", i.token(k, map[string]any{"sub": "a\u009b2Jb"}), "sub cannot be used", false},
		{"subject that is written backwards", i.token(k, map[string]any{"sub": "a\u202eb"}), "sub cannot be used", false},
		{"subject that looks like another", i.token(k, map[string]any{"sub": "anna\u200b"}), "sub cannot be used", false},
		{"subject with a line separator", i.token(k, map[string]any{"sub": "a\u2028b"}), "sub cannot be used", false},
		{"another claim that is nearly sub", i.token(k, map[string]any{"\u017fub": "bob"}), "nearly sub", false},
		{"sub in capitals alone", i.token(k, map[string]any{"sub": nil, "SUB": "bob"}), "nearly sub", false},
		{"none", unsigned(t, "none", i.token(k, nil)), "not one of", false},
		{"key as a password", hs256(k, i.token(k, nil)), "not one of", false},
		{"large", i.token(k, map[string]any{"x": strings.Repeat("x", maxJWT)}), "larger than", false},
		{"no role", i.token(k, map[string]any{"groups": []string{"staff"}}), "gives no role here", true},
		{"no claim", i.token(k, map[string]any{"groups": nil}), "gives no role here", true},
		{"claim of another kind", i.token(k, map[string]any{"groups": map[string]any{"analysts": true}}), "gives no role here", true},
	} {
		_, err := o.Authenticate(bearer(x.token))
		var refused *Refused
		if !errors.As(err, &refused) || refused.Known != x.known || !strings.Contains(refused.Message, x.part) {
			t.Errorf("%s: %v", x.name, err)
		}
	}
	for _, none := range []string{"", "weft_a.b.c", "a.b", "abc"} {
		if _, err := o.Authenticate(bearer(none)); !errors.Is(err, ErrNone) {
			t.Errorf("%q: %v", none, err)
		}
	}
	// The highest of several roles counts, and a text does as well as a list.
	for _, x := range []struct {
		groups any
		want   Role
	}{{[]string{"analysts", "it", "readers"}, Admin}, {"readers", Viewer}} {
		if id, err := o.Authenticate(bearer(i.token(k, map[string]any{"groups": x.groups}))); err != nil || id.Role != x.want {
			t.Errorf("%v: %+v, %v", x.groups, id, err)
		}
	}
}

// unsigned is the token with another algorithm in its header, and no signature.
func unsigned(t *testing.T, algorithm, token string) string {
	t.Helper()
	header := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"` + algorithm + `"}`))
	return header + "." + strings.Split(token, ".")[1] + "."
}

// hs256 is the token, signed with the public key as a password.
func hs256(k signer, token string) string {
	public, _ := k.key.PublicKey.Bytes()
	text := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","kid":"`+k.id+`"}`)) + "." + strings.Split(token, ".")[1]
	m := hmac.New(sha256.New, public)
	m.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(m.Sum(nil))
}

func TestOIDCNestedClaim(t *testing.T) {
	i, k := newIssuer(t), newSigner(t, "k1")
	i.keys(k)
	o := i.provider(true, time.Hour, func(c *OIDCConfig) { c.Claim = "realm_access.roles" })
	soon(t, "the provider is not known", func() bool { return o.verifier.Load() != nil })
	for _, claims := range []map[string]any{{"realm_access": map[string]any{"roles": []string{"it"}}}, {"realm_access.roles": "it"}} {
		if id, err := o.Authenticate(bearer(i.token(k, claims))); err != nil || id.Role != Admin {
			t.Errorf("%v: %+v, %v", claims, id, err)
		}
	}
}

// The gateway starts while the provider is down, and goes on while it is down again.
func TestOIDCProviderAway(t *testing.T) {
	i, k := newIssuer(t), newSigner(t, "k1")
	o := i.provider(true, 5*time.Millisecond, nil)
	soon(t, "nobody asks the provider again", func() bool { return i.asked.Load() > 2 })
	var refused *Refused
	if _, err := o.Authenticate(bearer(i.token(k, nil))); !errors.Is(err, errNoProvider) || errors.As(err, &refused) {
		t.Errorf("%v", err)
	}
	i.keys(k)
	soon(t, "the provider's return is not seen", func() bool { _, err := o.Authenticate(bearer(i.token(k, nil))); return err == nil })
	i.noKeys.Store(true)
	for range 3 {
		before := i.asked.Load()
		soon(t, "nobody asks the provider again", func() bool { return i.asked.Load() > before+2 })
		if _, err := o.Authenticate(bearer(i.token(k, nil))); err != nil {
			t.Errorf("a known key does not count while the keys cannot be fetched: %v", err)
		}
	}
	i.noKeys.Store(false)
	i.keys()
	before := i.asked.Load()
	soon(t, "nobody asks the provider again", func() bool { return i.asked.Load() > before+2 })
	if _, err := o.Authenticate(bearer(i.token(k, nil))); err != nil {
		t.Errorf("a known key does not count while the provider is away: %v", err)
	}
	// Whether an unknown key is one of the provider's cannot be said now: that is not the client's fault.
	if _, err := o.Authenticate(bearer(i.token(newSigner(t, "k2"), nil))); err == nil || errors.As(err, &refused) {
		t.Errorf("%v", err)
	}
}

// A new key counts with its first token; one that the provider takes back does not count after the next fetch.
func TestOIDCRotation(t *testing.T) {
	i, old, next := newIssuer(t), newSigner(t, "k1"), newSigner(t, "k2")
	i.keys(old)
	o := i.provider(false, 0, nil)
	if err := o.discover(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(i.server.CloseClientConnections)
	asked := i.asked.Load()
	for range 5 {
		if _, err := o.Authenticate(bearer(i.token(old, nil))); err != nil {
			t.Fatal(err)
		}
	}
	if n := i.asked.Load(); n != asked {
		t.Errorf("a known key was fetched %d times", n-asked)
	}
	i.keys(old, next)
	if _, err := o.Authenticate(bearer(i.token(next, nil))); err != nil {
		t.Errorf("a new key does not count: %v", err)
	}
	i.keys(next)
	if _, err := o.Authenticate(bearer(i.token(old, nil))); err != nil {
		t.Errorf("before the next fetch: %v", err)
	}
	if err := o.discover(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err := o.Authenticate(bearer(i.token(old, nil)))
	wantRefused(t, err, "not one of")
	if _, err := o.Authenticate(bearer(i.token(next, nil))); err != nil {
		t.Error(err)
	}
}

func TestOIDCConfig(t *testing.T) {
	good := OIDCConfig{Issuer: "https://id.example.org", Audience: "a", Claim: "c", Roles: map[string]Role{"x": Viewer}}
	for what, change := range map[string]func(*OIDCConfig){
		"issuer": func(c *OIDCConfig) { c.Issuer = "http://id.example.org" }, "https address": func(c *OIDCConfig) { c.Issuer = "https://u:p@id.example.org" },
		"audience": func(c *OIDCConfig) { c.Audience = "" }, "claim": func(c *OIDCConfig) { c.Claim = "" }, "roles": func(c *OIDCConfig) { c.Roles = nil },
	} {
		c := good
		change(&c)
		if _, err := NewOIDC(c); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// What is fetched from the provider is fetched by https, seldom, and not without end.
func TestGuardOfTheProvider(t *testing.T) {
	var answer func(w http.ResponseWriter, r *http.Request)
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { answer(w, r) }))
	defer s.Close()
	o, err := NewOIDC(OIDCConfig{Issuer: s.URL, Audience: "a", Claim: "c", Roles: map[string]Role{"x": Viewer}, Transport: s.Client().Transport})
	if err != nil {
		t.Fatal(err)
	}
	answer = func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
	}
	if err := o.discover(t.Context()); err == nil || !strings.Contains(err.Error(), "without TLS") {
		t.Errorf("%v", err)
	}
	answer = func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write(make([]byte, providerBytes+1)) }
	if err := o.discover(t.Context()); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("%v", err)
	}
	var asked atomic.Int64
	answer = func(http.ResponseWriter, *http.Request) { asked.Add(1) }
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	for range 10 * providerBurst {
		err = o.discover(ctx)
	}
	if n := asked.Load(); err == nil || n > providerBurst {
		t.Errorf("asked %d times, %v", n, err)
	}
}
