package gateway

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/weftmpc/weft/jobs"
	"github.com/weftmpc/weft/jobs/objects"
	"github.com/weftmpc/weft/simon"
)

// Config says what a gateway serves and for whom. Zero values are the defaults named at each field.
type Config struct {
	Catalogue []simon.Microprotocol
	Jobs      *jobs.Store
	Objects   *objects.Store
	Directory Directory

	// Key derives the identifiers of root objects and members: at least 16 secret bytes that stay the same over restarts.
	Key []byte
	// Version is weft's own version, as /healthz tells it.
	Version string

	MaxParties int           // parties of one computation; 0: 32; at most 128
	MaxBody    int64         // bytes of a request's body; 0: 64 MiB
	Deadline   time.Duration // from submission until all parties have come and computed; 0: 5 min; at most 1 h
	Attempts   int           // starts of one job; 0: 5
	Wait       time.Duration // how long a download waits for its job; 0: 10 min

	// CORS lists the origins of web pages that may call the gateway (https://example.org, or * for any page). Empty: only
	// the gateway's own pages.
	CORS []string
	// Hosts lists the names under which clients reach the gateway, with or without port. The directory's URLs of this
	// party and the loopback names always count. Anything else in a Host header is answered with 421.
	Hosts []string

	// Ready tells why the party cannot compute at present; nil: it can. Nil func: always ready.
	Ready func() error
	// Now is the clock; nil: time.Now.
	Now    func() time.Time
	Logger *slog.Logger // nil: slog.Default()
}

// Gateway is the HTTP API of one party. It is an http.Handler.
type Gateway struct {
	config Config
}

// New checks the configuration and makes the gateway.
func New(c Config) (*Gateway, error) {
	if c.Jobs == nil || c.Objects == nil || c.Directory == nil {
		return nil, errors.New("gateway: Jobs, Objects and Directory are required")
	}
	if len(c.Key) < 16 {
		return nil, fmt.Errorf("gateway: the key for identifiers has %d bytes, at least 16 are needed", len(c.Key))
	}
	return &Gateway{config: c}, nil
}

// Drain answers all waiting downloads and every further request for work with 503. It returns at once.
func (g *Gateway) Drain() { panic("todo") }

// ServeHTTP answers one request.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) { panic("todo") }
