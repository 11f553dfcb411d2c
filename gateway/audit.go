package gateway

import (
	"log/slog"
	"net/http"
	"path"

	"github.com/google/uuid"
)

// audited is the answer to a request that may change something; it remembers what the log has to say of it.
type audited struct {
	recorded
	request *http.Request // with its principal, once that is known
	ended   bool          // without a panic
	made    uuid.UUID     // the representation in the answer
	called  string        // the microservice and its member; may be empty
	decided string        // approved or denied; may be empty
}

// note tells the audit line, if the request has one, what f puts there.
func note(w http.ResponseWriter, f func(*audited)) {
	if a, ok := w.(*audited); ok {
		f(a)
	}
}

// mayChange says whether requests by the method may change something.
func mayChange(method string) bool {
	switch method {
	case http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
		return true
	}
	return false
}

// audit logs who did what to which object, and how it ended. Nothing that a client writes gets there but UUIDs and, by its
// authenticator's leave, the caller's name: no data, no names of files, no tokens. Refused credentials have lines of their
// own, and requests beyond the rate have none: a flood of them would be a flood of lines.
func (g *Gateway) audit(a *audited, rt route) {
	r := a.request
	if r == nil || a.status == http.StatusTooManyRequests {
		return
	}
	p, known := r.Context().Value(principalKey{}).(principal)
	switch {
	case !known && g.config.Access != nil:
		return
	case !known:
		p = open
	}
	switch {
	case a.status == 0 && a.ended:
		a.status = statusClientGone
	case a.status == 0: // a panic, which becomes an answer further out
		a.status = http.StatusInternalServerError
	}
	attrs := []slog.Attr{slog.String("who", p.caller), slog.String("role", p.role.String()), slog.String("what", rt.method+" "+rt.path)}
	if g.config.Access != nil {
		attrs = append(attrs, slog.String("from", g.proxies.client(r).String()))
	}
	if id, err := uuid.Parse(r.PathValue("id")); err == nil {
		attrs = append(attrs, slog.String("object", id.String()))
	}
	if id, err := uuid.Parse(path.Base(a.Header().Get("Location"))); err == nil {
		a.made = id
	}
	if a.called != "" {
		attrs = append(attrs, slog.String("service", a.called))
	}
	if a.decided != "" {
		attrs = append(attrs, slog.String("verdict", a.decided))
	}
	if a.made != (uuid.UUID{}) {
		attrs = append(attrs, slog.String("made", a.made.String()))
	}
	attrs = append(attrs, slog.Int("status", a.status))
	g.log(r.Context()).LogAttrs(r.Context(), slog.LevelInfo, "audit", attrs...)
}
