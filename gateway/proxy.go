package gateway

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// proxies are the addresses whose word on where a request comes from counts.
type proxies []netip.Prefix

func (p proxies) has(a netip.Addr) bool {
	return slices.ContainsFunc(p, func(prefix netip.Prefix) bool { return prefix.Contains(a) })
}

// peer is the other end of the connection; the zero Addr where that is no network address.
func peer(r *http.Request) netip.Addr { return addressOf(r.RemoteAddr) }

func addressOf(remote string) netip.Addr {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	return at.Addr().Unmap().WithZone("")
}

// client is the address that the request comes from: the last one before the trusted proxies. What stands before it in
// X-Forwarded-For anybody can have written.
func (p proxies) client(r *http.Request) netip.Addr {
	from := peer(r)
	if !p.has(from) {
		return from
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		a, err := netip.ParseAddr(strings.TrimSpace(hop))
		if err != nil {
			return from
		}
		if from = a.Unmap().WithZone(""); !p.has(from) {
			return from
		}
	}
	return from
}

// place is what counts as one place in the network: an IPv4 address, or an IPv6 network of 64 bits, which is the least that
// a customer has (RFC 6177 §2).
func (p proxies) place(r *http.Request) string { return placeOf(p.client(r)) }

func placeOf(a netip.Addr) string {
	if a.Is6() {
		if prefix, err := a.Prefix(64); err == nil {
			return prefix.String()
		}
	}
	return a.String()
}

// secure says whether the request has come by https, as far as this gateway or its proxy can tell.
func (p proxies) secure(r *http.Request) bool {
	if r.TLS != nil {
		return true
	}
	if !p.has(peer(r)) {
		return false
	}
	protocols := strings.Split(strings.Join(r.Header.Values("X-Forwarded-Proto"), ","), ",")
	return strings.EqualFold(strings.TrimSpace(protocols[len(protocols)-1]), "https")
}

// checkProxy turns away who passes the proxy by: a gateway behind one has no TLS of its own, and tokens would travel in
// the clear. This machine itself and supervisors' questions may.
func (g *Gateway) checkProxy(r *http.Request) error {
	if len(g.proxies) == 0 || r.TLS != nil || isProbe(r.URL.Path) {
		return nil
	}
	if from := peer(r); g.proxies.has(from) || from.IsLoopback() {
		return nil
	}
	return fail(http.StatusForbidden, "proxy-only", "this gateway answers its proxy alone; use the proxy's address")
}

// secureHeaders are what browsers should know about every answer.
func (g *Gateway) secureHeaders(h http.Header, r *http.Request) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	// RFC 6797 §8.1: not for addresses; and not for localhost, where other services live on other ports by http.
	if name, _ := splitHost(r.Host); name != "localhost" && g.proxies.secure(r) {
		if _, err := netip.ParseAddr(name); err != nil {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
	}
}
