package gateway

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"sort"
	"strings"
)

// Directory knows the parties of the fabric by name and by the URLs of their gateways.
type Directory interface {
	// Self is the name of this gateway's own party.
	Self() string
	// Resolve gives the name of the party that node names, by party name or by gateway URL.
	Resolve(node string) (party string, ok bool)
	// Parties lists all known parties in name order, this one included.
	Parties() []Party
}

// Party is one entry of a Directory.
type Party struct {
	Name string   // as in its certificate
	URLs []string // base URLs of its gateways, as clients know them
}

// List is a Directory with a fixed list of parties.
//
// URLs are equal if scheme and host are equal but for case, the ports are equal (a missing one is the scheme's) and the
// paths are equal but for trailing slashes. Credentials in a URL belong to the client and are passed over.
type List struct {
	self     string
	parties  []Party
	byURL    map[string]string // normal form of a URL to party name
	loopback bool
}

// NewDirectory makes a Directory of all parties, self included. Two parties with one URL are an error. With loopbackEqual
// localhost, 127.0.0.1 and [::1] are one host, which only the demo should want.
func NewDirectory(self string, parties []Party, loopbackEqual bool) (*List, error) {
	l := &List{self: self, byURL: map[string]string{}, loopback: loopbackEqual}
	names := map[string]bool{}
	for _, p := range parties {
		if p.Name == "" || strings.Contains(p.Name, "://") {
			return nil, fmt.Errorf("party name %q: a name without :// is needed", p.Name)
		}
		if names[p.Name] {
			return nil, fmt.Errorf("party %q is listed twice", p.Name)
		}
		names[p.Name] = true
		for _, raw := range p.URLs {
			u, ok := l.normal(raw)
			if !ok {
				return nil, fmt.Errorf("party %q: %q is no gateway URL; write it like https://host:port", p.Name, hideCredentials(raw))
			}
			if other, taken := l.byURL[u]; taken && other != p.Name {
				return nil, fmt.Errorf("parties %q and %q have the same gateway URL %s", other, p.Name, u)
			}
			l.byURL[u] = p.Name
		}
		l.parties = append(l.parties, Party{p.Name, slices.Clone(p.URLs)})
	}
	if !names[self] {
		return nil, fmt.Errorf("the list of parties does not contain this party, %q", self)
	}
	sort.Slice(l.parties, func(i, j int) bool { return l.parties[i].Name < l.parties[j].Name })
	return l, nil
}

// Self is the name of this gateway's own party.
func (l *List) Self() string { return l.self }

// Parties lists all parties in name order. The caller must not write into the lists of URLs.
func (l *List) Parties() []Party { return slices.Clone(l.parties) }

// Resolve gives the name of the party that node names, by party name or by gateway URL.
func (l *List) Resolve(node string) (string, bool) {
	if !strings.Contains(node, "://") {
		i, found := slices.BinarySearchFunc(l.parties, node, func(p Party, name string) int { return strings.Compare(p.Name, name) })
		if !found {
			return "", false
		}
		return l.parties[i].Name, true
	}
	u, ok := l.normal(node)
	if !ok {
		return "", false
	}
	party, ok := l.byURL[u]
	return party, ok
}

// maxURL bounds a gateway URL, in bytes.
const maxURL = 2048

// normal brings a gateway URL into the form in which equal ones are the same text.
func (l *List) normal(raw string) (string, bool) {
	if len(raw) > maxURL {
		return "", false
	}
	u, err := url.Parse(strings.TrimSpace(raw))
	if err != nil || u.RawQuery != "" || u.Fragment != "" || u.Opaque != "" {
		return "", false
	}
	scheme := strings.ToLower(u.Scheme)
	port := u.Port()
	switch {
	case scheme != "http" && scheme != "https":
		return "", false
	case port == "" && scheme == "http":
		port = "80"
	case port == "":
		port = "443"
	}
	host := normalHost(u.Hostname())
	if host == "" {
		return "", false
	}
	if l.loopback && isLoopbackName(host) {
		host = "localhost"
	}
	return scheme + "://" + host + ":" + port + strings.TrimRight(u.EscapedPath(), "/"), true
}

// normalHost writes a host name in lower case without the root's dot, and an address in its shortest form.
func normalHost(host string) string {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if a, err := netip.ParseAddr(host); err == nil {
		return a.String()
	}
	return host
}

func isLoopbackName(host string) bool {
	return host == "localhost" || host == "127.0.0.1" || host == "::1"
}

// hideCredentials removes user and password from a URL that is to be shown.
func hideCredentials(raw string) string {
	scheme, rest, ok := strings.Cut(raw, "://")
	if !ok {
		return raw
	}
	authority, path := rest, ""
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority, path = rest[:i], rest[i:]
	}
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		authority = authority[i+1:]
	}
	return scheme + "://" + authority + path
}
