package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"
)

// Await answers on l in the place of a gateway that has not found its node yet, until ctx ends: that the process lives, and
// that whatever else is asked has to be asked again. l stays open, and what connects meanwhile waits for the next to serve it.
// reason is what is missing; it must be safe to tell anybody. behind are the proxies in front.
func Await(ctx context.Context, l *net.TCPListener, secure *tls.Config, behind []netip.Prefix, reason func() string, log *slog.Logger) error {
	s := httpServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Connection", "close")
		switch r.URL.Path {
		case "/healthz":
			_ = write(w, mustJSON(health{Status: "ok"}))
		case "/readyz":
			w.WriteHeader(http.StatusServiceUnavailable)
			_ = write(w, mustJSON(health{Status: "not ready", Reason: reason()}))
		default:
			writeError(w, isV1(r), errAway)
		}
	}), secure, log, usualPatience)
	stopped := make(chan error, 1)
	counted := newListener(lent{l}, defaultConnections, behind, new(atomic.Int64))
	go func() {
		if secure != nil {
			stopped <- s.ServeTLS(counted, "", "")
		} else {
			stopped <- s.Serve(counted)
		}
	}()
	select {
	case err := <-stopped:
		return err
	case <-ctx.Done():
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	if err := s.Shutdown(last); err != nil {
		_ = s.Close()
	}
	if err := <-stopped; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return l.SetDeadline(time.Time{})
}

// lent is a listener whose Close ends its Accept, and no more.
type lent struct{ *net.TCPListener }

// Close implements net.Listener.
func (l lent) Close() error { return l.SetDeadline(time.Unix(1, 0)) }
