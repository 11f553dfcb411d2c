package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/weftmpc/weft/broker"
	"github.com/weftmpc/weft/broker/identity"
	"github.com/weftmpc/weft/gateway"
	"github.com/weftmpc/weft/gateway/access"
	"github.com/weftmpc/weft/jobs"
)

// gatewayTLS is the gateway's own end of TLS.
type gatewayTLS struct {
	Cert     string `yaml:"cert" doc:"The certificate that clients see, with those between it and its authority. Empty: no TLS. A renewed file is read within a second."`
	Key      string `yaml:"key" doc:"Its private key, readable by the owner alone."`
	ClientCA string `yaml:"client_ca" doc:"The certificates of the authorities whose client certificates count in access.certificates. Not the consortium's: that one is for nodes."`
}

// accessConfig is who may call the gateway. Without any of tokens, certificates and oidc it has no access control.
type accessConfig struct {
	Tokens       bool              `yaml:"tokens" doc:"true: tokens that 'weft token create' makes. Their hashes lie in the state folder (tokens.yaml)."`
	Certificates map[string]string `yaml:"certificates" doc:"Client certificates: a role (viewer, analyst, data-owner or admin) for each name, which is the common name or an alternative name. Needs tls.client_ca."`
	OIDC         oidcConfig        `yaml:"oidc" doc:"Tokens of an OpenID Connect provider."`
	Rate         int               `yaml:"rate" doc:"Requests per second of one caller, over a while; twice as many may come at once. 0: 1000; at most 100000."`
}

type oidcConfig struct {
	Issuer   string            `yaml:"issuer" doc:"https address of the provider, exactly as its tokens have it in iss. Empty: none. The gateway starts while the provider is away."`
	Audience string            `yaml:"audience" doc:"What a token's aud must have: this gateway's name at the provider."`
	Claim    string            `yaml:"claim" doc:"The claim that decides about roles, a text or a list of texts. Dots lead into objects: realm_access.roles."`
	Roles    map[string]string `yaml:"roles" doc:"A role for each value of the claim. The highest counts; no value, no role."`
	CA       string            `yaml:"ca" doc:"The certificate of the authority that issued the provider's. Empty: those that this machine trusts."`
}

func (c accessConfig) on() bool {
	return c.Tokens || len(c.Certificates) > 0 || c.OIDC.Issuer != ""
}

// check refuses what cannot work, and what would let strangers in. Files are looked at when they are read.
func (c gatewayConfig) check() error {
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return fmt.Errorf("gateway.listen %q: write host:port, such as 127.0.0.1:55501", c.Listen)
	}
	if err := c.checkAccess(); err != nil {
		return err
	}
	if _, err := c.proxies(); err != nil {
		return err
	}
	away := !broker.IsLoopback(host)
	switch {
	case c.Insecure && c.Access.on():
		return withHint(errors.New("gateway.insecure_without_access_control and gateway.access exclude each other"), "take insecure_without_access_control out")
	case c.Insecure:
		return nil
	case away && !c.Access.on():
		return withHint(fmt.Errorf("gateway.listen %q is not a loopback address, and the gateway has no access control", c.Listen),
			"set gateway.access, such as tokens: true; or listen on 127.0.0.1")
	case len(c.BehindProxy) > 0 && !c.Access.on():
		return withHint(errors.New("gateway.behind_proxy says that a proxy brings others here, and the gateway has no access control"),
			"set gateway.access, such as tokens: true; or take behind_proxy out, if the proxy admits only whom it should")
	case away && c.TLS.Cert == "" && len(c.BehindProxy) == 0:
		return withHint(fmt.Errorf("gateway.listen %q is not a loopback address, and the gateway has no TLS: data and tokens would travel in the clear", c.Listen),
			"set gateway.tls; or gateway.behind_proxy, where a proxy in front has TLS")
	}
	return nil
}

func (c gatewayConfig) checkDeadline() error {
	if d := c.Deadline; d <= 0 || d > time.Hour {
		return fmt.Errorf("gateway.deadline %s: between 1ms and 1h are possible", d)
	}
	return nil
}

func (c gatewayConfig) checkAccess() error {
	switch t := c.TLS; {
	case (t.Cert == "") != (t.Key == ""):
		return errors.New("gateway.tls: cert and key go together, and one is missing")
	case t.ClientCA != "" && t.Cert == "":
		return errors.New("gateway.tls.client_ca: client certificates come by TLS, and gateway.tls.cert is missing")
	case len(c.Access.Certificates) > 0 && t.ClientCA == "":
		return errors.New("gateway.access.certificates: gateway.tls.client_ca is missing, which says whose certificates count")
	case len(c.Access.Certificates) == 0 && t.ClientCA != "":
		return errors.New("gateway.tls.client_ca: gateway.access.certificates is empty, so that no client certificate has a role")
	case c.Access.Rate < 0 || c.Access.Rate > 100_000:
		return fmt.Errorf("gateway.access.rate %d: between 1 and 100000 requests per second are possible, and 0 stands for 1000", c.Access.Rate)
	}
	if _, err := c.Access.authenticators(nil, nil, time.Now, nil); err != nil {
		return err
	}
	if o := c.Access.OIDC; o.Issuer == "" && (o.Audience != "" || o.Claim != "" || len(o.Roles) > 0 || o.CA != "") {
		return errors.New("gateway.access.oidc: issuer is missing")
	}
	return nil
}

// proxies reads behind_proxy: addresses, or networks with their number of bits.
func (c gatewayConfig) proxies() ([]netip.Prefix, error) {
	var list []netip.Prefix
	for i, text := range c.BehindProxy {
		p, err := netip.ParsePrefix(text)
		if a, e := netip.ParseAddr(text); e == nil {
			p, err = a.Unmap().Prefix(a.Unmap().BitLen())
		}
		switch {
		case err != nil:
			return nil, fmt.Errorf("gateway.behind_proxy[%d] %q: write an address like 192.0.2.7, or a network like 192.0.2.0/28", i, text)
		case p.Bits() == 0:
			return nil, fmt.Errorf("gateway.behind_proxy[%d] %q is everybody: name the proxy", i, text)
		}
		list = append(list, p.Masked())
	}
	return list, nil
}

// rolesOf reads a map of roles; what is its key.
func rolesOf(what string, words map[string]string) (map[string]access.Role, error) {
	roles := map[string]access.Role{}
	for name, word := range words {
		r, err := access.ParseRole(word)
		if err != nil {
			return nil, fmt.Errorf("%s: %q: %w", what, name, err)
		}
		roles[name] = r
	}
	return roles, nil
}

// authenticators are those of the configuration. readTokens reads the list of tokens. The provider, if there is one, is to
// be run; transport leads to it.
func (c accessConfig) authenticators(readTokens func() ([]byte, error), transport http.RoundTripper, now func() time.Time, log *slog.Logger) (list []access.Authenticator, err error) {
	if c.Tokens {
		list = append(list, access.NewTokens(readTokens, now))
	}
	if o := c.OIDC; o.Issuer != "" {
		roles, err := rolesOf("gateway.access.oidc.roles", o.Roles)
		if err != nil {
			return nil, err
		}
		provider, err := access.NewOIDC(access.OIDCConfig{Issuer: o.Issuer, Audience: o.Audience, Claim: o.Claim, Roles: roles, Transport: transport, Now: now, Logger: log})
		if err != nil {
			return nil, fmt.Errorf("gateway.access.oidc: %w", err)
		}
		list = append(list, provider)
	}
	if len(c.Certificates) > 0 { // last: who sends a token means that
		roles, err := rolesOf("gateway.access.certificates", c.Certificates)
		if err != nil {
			return nil, err
		}
		certificates, err := access.NewCertificates(roles, now)
		if err != nil {
			return nil, fmt.Errorf("gateway.access.certificates: %w", err)
		}
		list = append(list, certificates)
	}
	return list, nil
}

// gate is what stands before a gateway: TLS, proxies, access control, and what has to run for it.
type gate struct {
	tls     *tls.Config
	proxies []netip.Prefix
	access  *gateway.Access
	run     []func(context.Context)
}

// shares bound what one caller of several may keep: half of the store's 100,000 jobs and of what there is for them on disk.
func (g gate) shares() jobs.Limits {
	if g.access == nil {
		return jobs.Limits{}
	}
	return jobs.Limits{Kept: 50_000, Inside: 1 << 30, Beside: 6 << 30}
}

// openGate reads the files of the configuration. state is the node's state folder.
func (c gatewayConfig) openGate(state string, now func() time.Time, log *slog.Logger) (g gate, err error) {
	if g.proxies, err = c.proxies(); err != nil {
		return g, err
	}
	files := &tlsFiles{config: c.TLS, now: now, log: log}
	if c.TLS.Cert != "" {
		if err := files.read(); err != nil {
			return g, withHint(fmt.Errorf("gateway.tls: %w", err), "%s", advice(err, "correct the files or their paths; without TLS leave gateway.tls empty"))
		}
		g.tls = &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: files.current}
		g.run = append(g.run, files.warn)
	}
	if !c.Access.on() {
		return g, nil
	}
	transport, err := c.Access.OIDC.transport()
	if err != nil {
		return g, fmt.Errorf("gateway.access.oidc.ca: %w", err)
	}
	list, err := c.Access.authenticators(func() ([]byte, error) { return readTokens(state) }, transport, now, log)
	if err != nil {
		return g, err
	}
	for _, a := range list {
		switch a := a.(type) {
		case *access.OIDC:
			g.run = append(g.run, a.Run)
		case *access.Certificates:
			a.Trust(files.authorities)
		}
	}
	g.access = &gateway.Access{Authenticators: list, Rate: c.Access.Rate}
	return g, nil
}

// open opens the gate and the listener of a gateway. file is the configuration's, for the messages.
func (c gatewayConfig) open(state, file string, now func() time.Time, log *slog.Logger) (g gate, l net.Listener, err error) {
	if g, err = c.openGate(state, now, log); err != nil {
		return g, nil, fmt.Errorf("%s: %w", file, err)
	}
	if l, err = net.Listen("tcp", c.Listen); err != nil {
		return g, nil, withHint(fmt.Errorf("gateway.listen %s: %w", c.Listen, err), "stop what uses the port, or choose another in %s", file)
	}
	return g, l, nil
}

// at is the address under which the gateway listens.
func (c gatewayConfig) at(l net.Listener) string {
	if c.TLS.Cert != "" {
		return "https://" + l.Addr().String()
	}
	return "http://" + l.Addr().String()
}

// transport leads to the provider.
func (c oidcConfig) transport() (http.RoundTripper, error) {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DisableKeepAlives = true // a question every quarter of an hour
	if c.CA == "" {
		return t, nil
	}
	pool, err := loadPool(c.CA)
	t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}
	return t, err
}

// loadPool reads a file of authorities' certificates.
func loadPool(path string) (*x509.CertPool, error) {
	pem, err := identity.ReadSmall(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", path)
	}
	return pool, nil
}

// tlsFiles are the files of a server's end of TLS, read again when they have changed.
type tlsFiles struct {
	config gatewayTLS
	now    func() time.Time
	log    *slog.Logger

	mu     sync.Mutex
	looked time.Time
	seen   [3]fs.FileInfo
	server *tls.Config
}

// current is the server's end as the files are now. Files that cannot be used leave it as it was.
func (f *tlsFiles) current(*tls.ClientHelloInfo) (*tls.Config, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now := f.now(); now.Sub(f.looked) >= time.Second || now.Before(f.looked) {
		f.looked = now
		if f.changed() {
			if err := f.readLocked(); err != nil {
				f.log.Error("the gateway's certificate has changed and cannot be used; the old one goes on to serve", "error", err)
			} else {
				f.log.Info("the gateway's certificate has been read again", "file", f.config.Cert)
			}
		}
	}
	return f.server, nil
}

// authorities are those of clients as the files are now.
func (f *tlsFiles) authorities() *x509.CertPool {
	server, _ := f.current(nil) // it has no errors
	return server.ClientCAs
}

// warn logs once a day, from seven days before, that the certificate ends.
func (f *tlsFiles) warn(ctx context.Context) {
	for {
		f.mu.Lock()
		until := f.server.Certificates[0].Leaf.NotAfter
		f.mu.Unlock()
		if until.Sub(f.now()) < expirySoon {
			f.log.Warn("the gateway's certificate expires soon: renew it", "file", f.config.Cert, "not_after", until.UTC().Format(time.RFC3339))
		}
		if pause(ctx, 24*time.Hour) != nil {
			return
		}
	}
}

func (f *tlsFiles) paths() [3]string {
	return [...]string{f.config.Cert, f.config.Key, f.config.ClientCA}
}

// changed says whether a file is another one than before, and remembers it.
func (f *tlsFiles) changed() bool {
	any := false
	for i, path := range f.paths() {
		if path == "" {
			continue
		}
		info, err := os.Stat(path)
		if err != nil {
			continue // between two files; or gone, which the next start tells
		}
		if old := f.seen[i]; old == nil || !os.SameFile(old, info) || !old.ModTime().Equal(info.ModTime()) || old.Size() != info.Size() || old.Mode() != info.Mode() {
			f.seen[i], any = info, true
		}
	}
	return any
}

func (f *tlsFiles) read() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.changed()
	f.looked = f.now()
	return f.readLocked()
}

func (f *tlsFiles) readLocked() error {
	if err := identity.CheckPrivate(f.config.Key); err != nil {
		return withHint(err, "chmod 600 %s", f.config.Key)
	}
	pair, err := tls.LoadX509KeyPair(f.config.Cert, f.config.Key)
	if err != nil {
		return err
	}
	if now := f.now(); !now.Before(pair.Leaf.NotAfter) {
		return withHint(fmt.Errorf("%s has expired at %s", f.config.Cert, pair.Leaf.NotAfter.UTC().Format(time.RFC3339)), "renew it; if it should still be valid, look at this machine's clock")
	}
	server := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, Time: f.now}
	if f.config.ClientCA != "" {
		if server.ClientCAs, err = loadPool(f.config.ClientCA); err != nil {
			return err
		}
		server.ClientAuth = tls.VerifyClientCertIfGiven
	}
	f.server = server
	return nil
}

// fileTokens is the list of tokens in a state folder. It lies in the folder, and not beside it, because the folder is one
// party's alone: two parties with their configurations in one place must not have each other's tokens.
const fileTokens = "tokens.yaml"

// readTokens reads the list; where there is none yet, it is empty.
func readTokens(state string) ([]byte, error) {
	path := filepath.Join(state, fileTokens)
	b, err := identity.ReadSmall(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		err = identity.CheckPrivate(path)
	}
	return b, err
}
