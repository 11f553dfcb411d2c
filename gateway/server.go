package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// Time-outs of the server. A download that waits for its job is exempt while it waits.
const (
	headerTimeout = 10 * time.Second // to send the request's header
	readTimeout   = 2 * time.Minute  // to send the whole request
	writeTimeout  = time.Minute      // to take the answer
	idleTimeout   = 2 * time.Minute  // between two requests of one connection
	drainTimeout  = 800 * time.Millisecond
	maxHeader     = 64 << 10 // bytes
)

// patience is how long the server waits for a slow client; tests wait less.
type patience struct{ header, read, write, idle time.Duration }

var usualPatience = patience{headerTimeout, readTimeout, writeTimeout, idleTimeout}

// Serve answers requests on l, over MaxConnections connections at a time, until ctx ends, then drains and returns within a second: waiting downloads get 503, other
// running requests are given what is left of that second. Its error is nil after an orderly end.
func (g *Gateway) Serve(ctx context.Context, l net.Listener) error {
	s := g.server()
	if g.microservices != nil {
		var looking sync.WaitGroup
		defer looking.Wait()
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		looking.Go(func() { g.microservices.keepLooking(ctx) })
	}
	stopped := make(chan error, 1)
	counted := newListener(l, g.config.MaxConnections, g.proxies, &g.connections)
	go func() {
		if s.TLSConfig != nil {
			stopped <- s.ServeTLS(counted, "", "")
		} else {
			stopped <- s.Serve(counted)
		}
	}()
	select {
	case err := <-stopped:
		return fmt.Errorf("gateway on %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	g.Drain()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	if err := s.Shutdown(last); err != nil {
		_ = s.Close() // a client that neither reads nor leaves loses its connection
	}
	if err := <-stopped; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("gateway on %s: %w", l.Addr(), err)
	}
	return nil
}

func (g *Gateway) server() *http.Server {
	var secure *tls.Config
	if g.config.TLS != nil {
		secure = g.config.TLS.Clone()
	}
	return httpServer(g, secure, g.config.Logger, g.patience)
}

// httpServer has the bounds of every server here.
func httpServer(h http.Handler, secure *tls.Config, log *slog.Logger, p patience) *http.Server {
	return &http.Server{
		Handler:   h,
		TLSConfig: secure,
		// HTTP/1.1 alone: the bounds of the gateway count connections, and one of HTTP/2 brings hundreds of requests. A proxy in
		// front may speak HTTP/2 to the outside.
		TLSNextProto:      map[string]func(*http.Server, *tls.Conn, http.Handler){},
		ReadHeaderTimeout: p.header,
		ReadTimeout:       p.read,
		WriteTimeout:      p.write,
		IdleTimeout:       p.idle,
		MaxHeaderBytes:    maxHeader,
		ConnContext:       withConnection,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}
