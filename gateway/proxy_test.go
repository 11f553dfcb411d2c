package gateway

import (
	"crypto/tls"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

func TestClientBehindProxies(t *testing.T) {
	p := proxies{netip.MustParsePrefix("192.0.2.7/32"), netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::7/128")}
	for _, x := range []struct {
		from, forwarded, proto string
		place                  string
		secure                 bool
	}{
		{"198.51.100.1:5", "", "", "198.51.100.1", false},
		{"198.51.100.1:5", "203.0.113.9", "https", "198.51.100.1", false}, // nobody believes a stranger
		{"192.0.2.7:5", "203.0.113.9", "https", "203.0.113.9", true},
		{"192.0.2.7:5", "203.0.113.9", "HTTPS", "203.0.113.9", true},
		{"192.0.2.7:5", "127.0.0.1, 203.0.113.9", "http", "203.0.113.9", false}, // nor what a stranger has told the proxy
		{"192.0.2.7:5", "203.0.113.9, 10.1.2.3", "http, https", "203.0.113.9", true},
		{"192.0.2.7:5", "10.1.2.3", "", "10.1.2.3", false},
		{"192.0.2.7:5", "", "https, http", "192.0.2.7", false},
		{"192.0.2.7:5", "unknown", "", "192.0.2.7", false},
		{"192.0.2.7:5", "203.0.113.9, unknown", "", "192.0.2.7", false},
		{"[::ffff:192.0.2.7]:5", "::ffff:203.0.113.9", "https", "203.0.113.9", true},
		{"[2001:db8::7]:5", "2001:db8:1:2:3:4:5:6", "https", "2001:db8:1:2::/64", true},
		{"[fe80::1%eth0]:5", "", "", "fe80::/64", false},
		{"@", "", "", "invalid IP", false},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = x.from
		if x.forwarded != "" {
			r.Header.Set("X-Forwarded-For", x.forwarded)
		}
		r.Header.Set("X-Forwarded-Proto", x.proto)
		if place, secure := p.place(r), p.secure(r); place != x.place || secure != x.secure {
			t.Errorf("%+v: %s, %v", x, place, secure)
		}
	}
	r := httptest.NewRequest("GET", "/", nil) // a proxy may add a line of its own to the client's
	r.RemoteAddr = "192.0.2.7:5"
	r.Header["X-Forwarded-For"], r.Header["X-Forwarded-Proto"] = []string{"127.0.0.1", "203.0.113.9"}, []string{"https", "http"}
	if place := p.place(r); place != "203.0.113.9" || p.secure(r) {
		t.Errorf("the client's own line counts: %s, %v", place, p.secure(r))
	}
	r = httptest.NewRequest("GET", "/", nil)
	r.TLS = &tls.ConnectionState{}
	if !(proxies{}).secure(r) {
		t.Error("TLS is not secure")
	}
}

// A gateway behind a proxy has no TLS: whoever passes the proxy by is turned away before anything is looked at.
func TestOnlyTheProxyIsAnswered(t *testing.T) {
	p, who := newGuarded(t, func(c *Config) { c.Proxies = []netip.Prefix{netip.MustParsePrefix("192.0.2.7/32")} })
	for _, x := range []struct {
		from, path string
		code       int
	}{
		{"192.0.2.7:5", "/v1/me", 200}, {"127.0.0.1:5", "/v1/me", 200}, {"[::1]:5", "/v1/me", 200},
		{"198.51.100.1:5", "/v1/me", 403}, {"198.51.100.1:5", "/openapi.yaml", 403}, {"198.51.100.1:5", "/healthz", 200}, {"@", "/v1/me", 403},
	} {
		r := httptest.NewRequest("GET", "http://localhost"+x.path, nil)
		r.RemoteAddr = x.from
		r.Header.Set("Authorization", "Bearer "+who.tokens["viewer"])
		w := httptest.NewRecorder()
		p.gateway.ServeHTTP(w, r)
		if w.Code != x.code {
			t.Errorf("%+v: %d %s", x, w.Code, w.Body)
		}
	}
}

func TestSecurityHeaders(t *testing.T) {
	p, who := newGuarded(t, func(c *Config) {
		c.Proxies, c.Hosts = []netip.Prefix{netip.MustParsePrefix("192.0.2.7/32")}, []string{"gateway.example.org"}
	})
	for _, path := range []string{"/v1/me", "/nothing", "/openapi.yaml", "/healthz", "/representations"} {
		for _, header := range []string{who.as("viewer"), "X-Nobody: yes"} {
			a := p.do("GET", path, "", header)
			for name, want := range map[string]string{
				"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY",
				"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Strict-Transport-Security": "",
			} {
				if got := a.header.Get(name); got != want {
					t.Errorf("%s: %s: %q, want %q", path, name, got, want)
				}
			}
		}
	}
	for url, want := range map[string]string{"http://gateway.example.org/healthz": "max-age=31536000", "http://localhost/healthz": "", "http://127.0.0.1/healthz": "", "http://[::1]/healthz": ""} {
		for proto, hsts := range map[string]string{"https": want, "http": ""} {
			r := httptest.NewRequest("GET", url, nil)
			r.RemoteAddr = "192.0.2.7:5"
			r.Header.Set("X-Forwarded-Proto", proto)
			w := httptest.NewRecorder()
			p.gateway.ServeHTTP(w, r)
			if got := w.Header().Get("Strict-Transport-Security"); got != hsts {
				t.Errorf("%s by %s: %q", url, proto, got)
			}
		}
	}
	// A page by http under a name that the proxy serves by https is none of the gateway's own.
	r := httptest.NewRequest("GET", "http://gateway.example.org/v1/me", nil)
	r.RemoteAddr = "192.0.2.7:5"
	r.Header.Set("X-Forwarded-Proto", "https")
	r.Header.Set("Origin", "http://gateway.example.org")
	w := httptest.NewRecorder()
	if p.gateway.ServeHTTP(w, r); w.Code != 403 {
		t.Error(w.Code, w.Body)
	}
}

func TestCompressedBodiesAreRefused(t *testing.T) {
	p := newParty(t, nil)
	for _, coding := range []string{"gzip", "deflate", "br", "identity, gzip", "x"} {
		p.want(p.do("PUT", "/representations", `{"args":[1]}`, "Content-Encoding: "+coding), 415, "without Content-Encoding")
		p.want(p.do("POST", "/v1/jobs", `{}`, "Content-Encoding: "+coding), 415, "without Content-Encoding")
	}
	p.want(p.do("PUT", "/representations", `{"args":[1]}`, "Content-Encoding: identity"), 200, "uuid")
}

func TestDepthOfBodies(t *testing.T) {
	p := newParty(t, nil)
	nested := func(n int) string { return `{"args":[` + strings.Repeat("[", n) + strings.Repeat("]", n) + `]}` }
	p.want(p.do("PUT", "/representations", nested(62)), 200, "uuid")
	p.want(p.do("PUT", "/representations", nested(63)), 400, "more than 64 lists and objects inside each other")
}
