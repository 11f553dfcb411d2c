package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/weftmpc/weft/gateway/access"
	"github.com/weftmpc/weft/jobs"
)

func TestGatewayConfig(t *testing.T) {
	oidc := oidcConfig{Issuer: "https://id.example.org", Audience: "weft", Claim: "groups", Roles: map[string]string{"x": "analyst"}}
	for _, x := range []struct {
		name   string
		change func(*gatewayConfig)
		want   string // "": it is fine
	}{
		{"as it comes", func(*gatewayConfig) {}, ""},
		{"loopback with tokens", func(c *gatewayConfig) { c.Access.Tokens = true }, ""},
		{"away", func(c *gatewayConfig) { c.Listen = "0.0.0.0:1" }, "no access control"},
		{"away, all interfaces", func(c *gatewayConfig) { c.Listen = ":1" }, "no access control"},
		{"away, TLS alone", func(c *gatewayConfig) { c.Listen, c.TLS = "192.0.2.1:1", gatewayTLS{Cert: "c", Key: "k"} }, "no access control"},
		{"away, tokens alone", func(c *gatewayConfig) { c.Listen, c.Access.Tokens = "192.0.2.1:1", true }, "no TLS"},
		{"away, both", func(c *gatewayConfig) {
			c.Listen, c.Access.Tokens, c.TLS = "192.0.2.1:1", true, gatewayTLS{Cert: "c", Key: "k"}
		}, ""},
		{"away, proxy", func(c *gatewayConfig) {
			c.Listen, c.Access.Tokens, c.BehindProxy = "192.0.2.1:1", true, []string{"192.0.2.7"}
		}, ""},
		{"away, proxy alone", func(c *gatewayConfig) { c.Listen, c.BehindProxy = "192.0.2.1:1", []string{"192.0.2.7"} }, "no access control"},
		{"away, provider", func(c *gatewayConfig) {
			c.Listen, c.Access.OIDC, c.BehindProxy = "192.0.2.1:1", oidc, []string{"192.0.2.0/28", "2001:db8::7"}
		}, ""},
		{"away, certificates", func(c *gatewayConfig) {
			c.Listen, c.TLS, c.Access.Certificates = "192.0.2.1:1", gatewayTLS{Cert: "c", Key: "k", ClientCA: "a"}, map[string]string{"anna": "viewer"}
		}, ""},
		{"insecure", func(c *gatewayConfig) { c.Listen, c.Insecure = "0.0.0.0:1", true }, ""},
		{"insecure and tokens", func(c *gatewayConfig) { c.Insecure, c.Access.Tokens = true, true }, "exclude each other"},
		{"half a TLS", func(c *gatewayConfig) { c.TLS.Key = "k" }, "cert and key go together"},
		{"client_ca without TLS", func(c *gatewayConfig) { c.TLS.ClientCA = "a" }, "gateway.tls.cert is missing"},
		{"client_ca for nobody", func(c *gatewayConfig) { c.TLS = gatewayTLS{"c", "k", "a"} }, "no client certificate has a role"},
		{"certificates of nobody", func(c *gatewayConfig) {
			c.TLS, c.Access.Certificates = gatewayTLS{Cert: "c", Key: "k"}, map[string]string{"anna": "viewer"}
		}, "client_ca is missing"},
		{"a certificate's role", func(c *gatewayConfig) {
			c.TLS, c.Access.Certificates = gatewayTLS{"c", "k", "a"}, map[string]string{"anna": "boss"}
		}, `"anna": "boss" is no role`},
		{"no issuer", func(c *gatewayConfig) { c.Access.OIDC = oidc; c.Access.OIDC.Issuer = "" }, "issuer is missing"},
		{"no audience", func(c *gatewayConfig) { c.Access.OIDC = oidc; c.Access.OIDC.Audience = "" }, "gateway.access.oidc: audience is missing"},
		{"issuer without TLS", func(c *gatewayConfig) { c.Access.OIDC = oidc; c.Access.OIDC.Issuer = "http://id.example.org" }, "https address"},
		{"a claim's role", func(c *gatewayConfig) { c.Access.OIDC = oidc; c.Access.OIDC.Roles = map[string]string{"x": ""} }, `"" is no role`},
		{"a proxy by name", func(c *gatewayConfig) { c.BehindProxy, c.Access.Tokens = []string{"proxy.example.org"}, true }, "gateway.behind_proxy[0]"},
		{"everybody as proxy", func(c *gatewayConfig) { c.BehindProxy, c.Access.Tokens = []string{"::/0"}, true }, "is everybody"},
		{"rate", func(c *gatewayConfig) { c.Access.Rate = -1 }, "gateway.access.rate"},
	} {
		c := defaultNode().Gateway
		x.change(&c)
		if err := c.check(); (err == nil) != (x.want == "") || err != nil && !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: %v", x.name, err)
		}
	}
}

func TestRolesInAFile(t *testing.T) {
	read := func(text string) (nodeConfig, error) {
		c := defaultNode()
		return c, decode("node.yaml", []byte(text), &c)
	}
	c := defaultNode()
	text := "gateway:\n  access:\n    rate: 20\n    certificates:\n      anna: analyst\n      \"CN x, y\": admin\n    oidc: {issuer: \"https://id\", roles: {a: viewer}}\n"
	if err := decode("node.yaml", []byte(text), &c); err != nil || c.Gateway.Access.Certificates["CN x, y"] != "admin" || c.Gateway.Access.OIDC.Roles["a"] != "viewer" || c.Gateway.Access.Rate != 20 {
		t.Errorf("%+v, %v", c.Gateway.Access, err)
	}
	for bad, want := range map[string]string{
		"gateway: {access: {certificates: [anna]}}":       "a group of names",
		"gateway: {access: {certificates: {anna: [x]}}}":  `gateway.access.certificates."anna": text`,
		"gateway: {access: {certificates: {anna: 1}}}":    "text",
		"gateway: {access: {rate: fast}}":                 "a whole number",
		"gateway: {access: {oidc: {isuer: x}}}":           `unknown key "gateway.access.oidc.isuer"`,
		"gateway: {access: {certificates: {a: x, a: y}}}": "",
	} {
		if _, err := read(bad); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// writePair writes a certificate for localhost, which is its own authority.
func writePair(t *testing.T, dir string, until time.Time) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), NotBefore: time.Now().Add(-time.Hour), NotAfter: until,
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"gw.crt": {Type: "CERTIFICATE", Bytes: der}, "gw.key": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRenewedCertificateIsRead has a server whose certificate is renewed, then broken.
func TestRenewedCertificateIsRead(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	writePair(t, dir, now.Add(time.Hour))
	var log bytes.Buffer
	c := gatewayConfig{TLS: gatewayTLS{Cert: filepath.Join(dir, "gw.crt"), Key: filepath.Join(dir, "gw.key")}}
	g, err := c.openGate(dir, func() time.Time { return now }, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	serial := func() string {
		server, err := g.tls.GetConfigForClient(nil)
		if err != nil {
			t.Fatal(err)
		}
		return server.Certificates[0].Leaf.SerialNumber.String()
	}
	first := serial()
	writePair(t, dir, now.Add(time.Hour))
	if serial() != first {
		t.Error("the files are looked at for each connection")
	}
	now = now.Add(time.Second)
	second := serial()
	if second == first {
		t.Error("a renewed certificate is not read")
	}
	fileWith(t, c.TLS.Cert, "broken")
	now = now.Add(time.Second)
	if serial() != second || !strings.Contains(log.String(), "the old one goes on to serve") {
		t.Errorf("a broken certificate: %s", log.String())
	}
	writePair(t, dir, now.Add(-time.Minute))
	if _, err := c.openGate(dir, func() time.Time { return now }, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "has expired") {
		t.Errorf("%v", err)
	}
	writePair(t, dir, now.Add(time.Hour))
	if runtime.GOOS == "windows" { // mode bits say nothing there
		return
	}
	third := serial()
	if err := os.Chmod(c.TLS.Key, 0o644); err != nil {
		t.Fatal(err)
	}
	writePair(t, dir, now.Add(time.Hour)) // keeps the mode
	now = now.Add(time.Second)
	if serial() != third {
		t.Error("a key is read that others can read")
	}
	if err := os.Chmod(c.TLS.Key, 0o600); err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Second)
	if serial() == third {
		t.Error("a certificate is not read once its key is private")
	}
	if err := os.Chmod(c.TLS.Key, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := c.openGate(dir, func() time.Time { return now }, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "can be read or changed by others") {
		t.Errorf("%v", err)
	}
}

// TestClientSendsItsToken has the commands speak to a gateway with TLS, to one that refuses, and never to another one.
func TestClientSendsItsToken(t *testing.T) {
	token := "weft_0123456789ab_" + strings.Repeat("s", 43)
	code := http.StatusOK
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+token {
			t.Errorf("Authorization: %q", r.Header.Get("Authorization"))
		}
		if code != http.StatusOK {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(code)
			_, _ = io.WriteString(w, `{"status":401,"detail":"the token has expired"}`)
			return
		}
		_, _ = io.WriteString(w, `{"jobs":[],"more":false}`)
	}))
	defer s.Close()
	dir := t.TempDir()
	ca := fileWith(t, filepath.Join(dir, "ca.crt"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})))
	file := fileWith(t, filepath.Join(dir, "token.txt"), token+"\n")
	for _, x := range []struct {
		name     string
		args     []string
		variable string
		code     int
		exit     int
		stderr   string
	}{
		{"in a file", []string{"--ca", ca, "--token", "@" + file}, "", 200, exitDone, "has no jobs"},
		{"in the environment", []string{"--ca", ca}, token, 200, exitDone, "has no jobs"},
		{"a file in the environment", []string{"--ca", ca}, "@" + file, 200, exitDone, "has no jobs"},
		{"itself", []string{"--ca", ca, "--token", token}, "wrong", 200, exitDone, "has no jobs"},
		{"refused", []string{"--ca", ca, "--token", token}, "", 401, exitFailed, "weft: hint: give the token with --token @FILE or in WEFT_TOKEN"},
		{"another authority", []string{"--token", token}, "", 200, exitFailed, "weft: hint: name the file of the authority that issued it with --ca"},
	} {
		t.Run(x.name, func(t *testing.T) {
			w := newWorld(t)
			env := w.program.getenv
			w.program.getenv = func(name string) string {
				if name == tokenVariable {
					return x.variable
				}
				return env(name)
			}
			code = x.code
			w.start(append([]string{"job", "ls", "--gateway", s.URL}, x.args...)...)
			w.ends(x.exit)
			w.wantErr(x.stderr)
			w.lackErr(token)
		})
	}
	http.DefaultClient.CloseIdleConnections()
}

// TestTokensWhileTheGatewayRuns changes the file of tokens as the commands do, under a gate that is open.
func TestTokensWhileTheGatewayRuns(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	made, text, err := access.NewToken("anna", access.Analyst, now, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	c := gatewayConfig{Access: accessConfig{Tokens: true}}
	g, err := c.openGate(dir, func() time.Time { return now }, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	enters := func() error {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", "Bearer "+text)
		_, err := g.access.Authenticators[0].Authenticate(r)
		now = now.Add(time.Second)
		return err
	}
	write := func() {
		if err := writeWhole(filepath.Join(dir, fileTokens), access.FormatTokens([]access.Token{made}), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := enters(); err == nil {
		t.Error("a token counts that is not there")
	}
	write()
	if err := enters(); err != nil {
		t.Error(err)
	}
	made.Revoked = now
	write()
	if err := enters(); err == nil || !strings.Contains(err.Error(), "revoked") {
		t.Errorf("%v", err)
	}
	if len(g.run) != 0 {
		t.Error("something runs for tokens")
	}
}

// The gate runs what it needs and ends with its context.
func TestGateWithProvider(t *testing.T) {
	dir := t.TempDir()
	writePair(t, dir, time.Now().Add(time.Hour))
	c := gatewayConfig{
		TLS:    gatewayTLS{Cert: filepath.Join(dir, "gw.crt"), Key: filepath.Join(dir, "gw.key"), ClientCA: filepath.Join(dir, "gw.crt")},
		Access: accessConfig{Certificates: map[string]string{"anna": "viewer"}, OIDC: oidcConfig{Issuer: "https://127.0.0.1:1", Audience: "a", Claim: "c", Roles: map[string]string{"x": "admin"}, CA: filepath.Join(dir, "gw.crt")}},
	}
	g, err := c.openGate(dir, time.Now, slog.New(slog.DiscardHandler))
	if err != nil || len(g.access.Authenticators) != 2 || len(g.run) != 2 {
		t.Fatalf("%+v, %v", g, err)
	}
	if l := g.shares(); l.Kept == 0 || l.Inside == 0 || l.Beside == 0 || (gate{}).shares() != (jobs.Limits{}) {
		t.Errorf("shares: %+v", l)
	}
	server, err := g.tls.GetConfigForClient(nil)
	if err != nil || server.ClientAuth != tls.VerifyClientCertIfGiven || server.ClientCAs == nil {
		t.Errorf("%+v, %v", server, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	for _, run := range g.run {
		go func() { run(ctx); done <- struct{}{} }()
	}
	cancel()
	<-done
	<-done
	c.Access.OIDC.CA = filepath.Join(dir, "none.crt")
	if _, err := c.openGate(dir, time.Now, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a missing authority is passed over")
	}
}
