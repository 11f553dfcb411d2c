package gateway

import (
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"time"
)

// origins are the web pages that may call the gateway.
type origins struct {
	any    bool
	list   map[string]bool
	secure map[string]bool // own names, of the directory, that are served by https only
}

func newOrigins(config []string, d Directory) (origins, error) {
	o := origins{list: map[string]bool{}, secure: map[string]bool{}}
	for _, u := range ownURLs(d) {
		name := normalHost(u.Hostname())
		if before, again := o.secure[name]; !again || before {
			o.secure[name] = strings.EqualFold(u.Scheme, "https")
		}
	}
	for _, c := range config {
		if c == "*" {
			o.any = true
			continue
		}
		u, err := url.Parse(c)
		if err != nil || u.Host == "" || u.Scheme == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
			return o, fmt.Errorf("gateway: CORS origin %q: write it like https://example.org, without a path, or * for any page", c)
		}
		o.list[strings.ToLower(u.Scheme+"://"+u.Host)] = true
	}
	return o, nil
}

// allows says whether a page from origin may send the request: a listed one, or one of the gateway's own. Those may come by
// https in any case, because a proxy in front of the gateway may speak it, but by http only where the gateway's name is not
// one of https alone: anybody on the way can put a page there.
func (o origins) allows(origin string, r *http.Request, secure bool) bool {
	if o.any || o.list[strings.ToLower(origin)] {
		return true
	}
	scheme, from, _ := strings.Cut(origin, "://")
	if !strings.EqualFold(from, r.Host) {
		return false
	}
	name, _ := splitHost(r.Host)
	switch strings.ToLower(scheme) {
	case "https":
		return true
	case "http":
		return !secure && !o.secure[name]
	}
	return false
}

// ownURLs are the URLs of this gateway that the directory has.
func ownURLs(d Directory) []*url.URL {
	var list []*url.URL
	for _, p := range d.Parties() {
		if p.Name != d.Self() {
			continue
		}
		for _, raw := range p.URLs {
			if u, err := url.Parse(raw); err == nil && u.Hostname() != "" {
				list = append(list, u)
			}
		}
	}
	return list
}

// hosts are the gateway's own names, with a port or for any port. A page that rebinds its own name to this address would
// send that name in the Host header, and is turned away by it.
type hosts map[string]bool

func newHosts(config []string, d Directory) (hosts, error) {
	h := hosts{"localhost": true, "127.0.0.1": true, "::1": true}
	for _, c := range config {
		name, port := splitHost(c)
		if name == "" || strings.ContainsAny(c, "/* ") {
			return nil, fmt.Errorf("gateway: host %q: write a name or an address, with or without a port, like gateway.example.org", c)
		}
		if port != "" {
			name = net.JoinHostPort(name, port)
		}
		h[name] = true
	}
	for _, u := range ownURLs(d) {
		h[normalHost(u.Hostname())] = true
	}
	return h, nil
}

func (h hosts) has(header string) bool {
	name, port := splitHost(header)
	return h[name] || port != "" && h[net.JoinHostPort(name, port)]
}

// splitHost takes a Host header apart; the name is in normal form, and empty where it is none. Brackets stand around an
// IPv6 address, once.
func splitHost(s string) (name, port string) {
	name, port, err := net.SplitHostPort(s)
	if err != nil {
		name, port = s, ""
		if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
			name = s[1 : len(s)-1]
		}
	}
	if strings.ContainsAny(name, "[]") || s != "" && s[0] == '[' && net.ParseIP(name) == nil {
		return "", ""
	}
	return normalHost(name), port
}

// probes may be asked under any name: a supervisor uses addresses, and the answers say nothing about anybody.
func isProbe(path string) bool { return path == "/healthz" || path == "/readyz" }

// admit turns away requests that were not meant for this gateway, or come from a web page that may not use it, and sets
// the headers by which browsers know.
func (g *Gateway) admit(w http.ResponseWriter, r *http.Request) error {
	h, origin := w.Header(), r.Header.Get("Origin")
	switch {
	case g.origins.any:
		h.Set("Access-Control-Allow-Origin", "*")
	case origin != "":
		h.Add("Vary", "Origin")
		if g.origins.allows(origin, r, g.proxies.secure(r)) {
			h.Set("Access-Control-Allow-Origin", origin)
		}
	}
	if h.Get("Access-Control-Allow-Origin") != "" {
		headers := "Content-Type, Authorization"
		if isV1(r) {
			headers += ", Idempotency-Key, Prefer, Last-Event-ID"
			h.Set("Access-Control-Expose-Headers", "Link, Location, Preference-Applied, Retry-After")
		}
		h.Set("Access-Control-Allow-Headers", headers)
		h.Set("Access-Control-Allow-Methods", "GET,PUT,POST,PATCH,DELETE")
	}
	if !isProbe(r.URL.Path) && !g.hosts.has(r.Host) {
		return fail(http.StatusMisdirectedRequest, "wrong-host", "this gateway is not called %s; if it should be, add the name to the hosts of its configuration", representationShow(r.Host))
	}
	if origin != "" && !g.origins.allows(origin, r, g.proxies.secure(r)) {
		return fail(http.StatusForbidden, "wrong-origin", "web pages of %s may not use this gateway; its configuration lists those that may", representationShow(origin))
	}
	return nil
}

// checkBody refuses a body that is not called JSON. From a program a missing content type passes; from a web page it does
// not, because browsers let any page send other types without asking first. A page shows by its Origin or, where a browser
// leaves that out, by Sec-Fetch-Site.
func (g *Gateway) checkBody(r *http.Request) error {
	switch r.Method {
	case http.MethodPost, http.MethodPut, http.MethodPatch:
	default:
		return nil
	}
	if g.refusing() {
		return errDraining
	}
	for _, coding := range r.Header.Values("Content-Encoding") {
		if coding != "" && !strings.EqualFold(coding, "identity") {
			return fail(http.StatusUnsupportedMediaType, "compressed", "the body is compressed; send it as it is, without Content-Encoding")
		}
	}
	ct := r.Header.Get("Content-Type")
	media, _, err := mime.ParseMediaType(ct)
	switch {
	case err == nil && media == "application/json":
		return nil
	case r.Header.Get("Origin") != "", foreignPage(r):
		return fail(http.StatusForbidden, "origin-needs-json", "a request from a web page must have Content-Type: application/json")
	case ct == "":
		return nil
	}
	return fail(http.StatusUnsupportedMediaType, "not-json", "the body must be JSON: send Content-Type: application/json")
}

// foreignPage says whether a browser sent the request for a page of another origin.
func foreignPage(r *http.Request) bool {
	site := strings.ToLower(r.Header.Get("Sec-Fetch-Site"))
	return site == "cross-site" || site == "same-site"
}

// readBody reads the whole body, at most MaxBody bytes. It borrows as the body comes, at most twice what has come: what a
// stranger announces takes memory from nobody. The body may be used until the loan is given back.
func (g *Gateway) readBody(w http.ResponseWriter, r *http.Request, l *loan) ([]byte, error) {
	limit := g.config.MaxBody
	if r.ContentLength > limit {
		w.Header().Set("Connection", "close")
		return nil, tooLarge(limit)
	}
	most := limit
	if r.ContentLength >= 0 {
		most = r.ContentLength
	}
	most++ // room to see that it ends there
	defer renewSlow(w, time.Now())
	in, b := http.MaxBytesReader(w, r.Body, limit), make([]byte, 0, min(most, freeBody))
	for {
		n, err := in.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		switch {
		case err == io.EOF: //nolint:errorlint // io.Reader's contract
			return b, nil
		case err != nil:
			return nil, bodyError(err)
		case len(b) < cap(b):
			continue
		}
		larger := min(most, 2*int64(cap(b)))
		if err := l.take(r.Context(), larger-int64(cap(b))); err != nil {
			w.Header().Set("Connection", "close")
			return nil, err
		}
		b = append(make([]byte, 0, larger), b...)
		if larger > largeBody {
			runtime.GC() // of the smaller ones
		}
	}
}

// renewSlow renews the time for the answer where much of it has passed since the body began to come: a large body may take
// longer than that.
func renewSlow(w http.ResponseWriter, began time.Time) {
	if time.Since(began) > time.Second {
		renewWriteDeadline(w)
	}
}

// bodyError is a client that stopped sending, but for a body over the limit.
func bodyError(err error) error {
	if e := asError(err); e.Code == http.StatusRequestEntityTooLarge {
		return e
	}
	return &Error{Code: http.StatusBadRequest, Reason: "broken-body", Message: "the body ended too early or came too slowly", cause: err}
}

// dropBody reads the body that some clients send with GET and DELETE, so that the server notices when the client leaves.
func dropBody(w http.ResponseWriter, r *http.Request) error {
	const most = 64 << 10
	defer renewSlow(w, time.Now())
	if _, err := io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, most)); err != nil {
		return bodyError(err)
	}
	return nil
}
