package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"path"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/time/rate"

	"github.com/weftmpc/weft/gateway/representation"
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

	// Guard is what the party's policy asks of the pool of samples: the default, and the least, of two parameters.
	Guard simon.Guard

	MaxParties int           // parties of one computation; 0: 32; at most 128
	MaxBody    int64         // bytes of a request's body; 0: 64 MiB
	Deadline   time.Duration // from submission until all parties have come and computed; 0: 5 min; at most 1 h
	Attempts   int           // starts of one job; 0: 5
	Wait       time.Duration // how long a download waits for its job; 0: 10 min

	// MaxConnections is how many connections Serve holds at a time; further ones wait outside. Each takes a file
	// descriptor, and the stores need some too. 0: 512.
	MaxConnections int
	// MaxWaiting is how many requests may wait for a job at a time; further ones are answered with 503. 0: half of
	// MaxConnections, so that the others stay free for short requests and a supervisor's questions. Under access control one
	// caller has half of them at most.
	MaxWaiting int

	// MaxWatchers is how many clients may listen to events at a time; further ones are answered with 503. Their connections
	// do not count among MaxConnections. Under access control one caller has half of them at most. 0: 2,000.
	MaxWatchers int

	// CORS lists the origins of web pages that may call the gateway (https://example.org, or * for any page). Empty: only
	// the gateway's own pages.
	CORS []string
	// Hosts lists the names under which clients reach the gateway, with or without port. The directory's URLs of this
	// party and the loopback names always count. Anything else in a Host header is answered with 421.
	Hosts []string

	// Facts tells what the node knows of a party; nil: nothing.
	Facts func(party string) Facts
	// Files is the folder whose files clients may compute with by name; nil: there is none.
	Files Files

	// Microservices finds and calls the programs beside the gateway that serve its clients; nil: there are none.
	Microservices Microservices
	// ServiceTime is how long a call of a microservice may take. 0: 30 s; at most 1 min, because a client's connection waits
	// for it.
	ServiceTime time.Duration

	// Access says who may call the gateway; nil: whoever reaches it.
	Access *Access
	// TLS is how Serve speaks to clients; nil: without. Its ClientAuth decides whether certificates of clients are looked at.
	TLS *tls.Config
	// Proxies are the addresses of proxies in front of the gateway, whose X-Forwarded-For and X-Forwarded-Proto count. Where
	// there are some, and no TLS, the gateway answers them and this machine alone.
	Proxies []netip.Prefix

	// Ready tells why the party cannot compute at present; nil: it can. Nil func: always ready.
	Ready func() error
	// Room tells why nothing new may be stored at present; nil: there is room. Nil func: there always is.
	Room func() error
	// Stats is asked for what the node counts, at each request of /metrics. Nil: those metrics are absent.
	Stats func() NodeStats
	// Tracer makes the spans of requests; nil: nobody traces.
	Tracer trace.Tracer
	// Now is the clock; nil: time.Now.
	Now    func() time.Time
	Logger *slog.Logger // nil: slog.Default()
}

// Bounds of the configuration.
const (
	hardMaxParties  = 128
	maxDeadline     = time.Hour
	defaultDeadline = 5 * time.Minute
	defaultWait     = 10 * time.Minute
	defaultBody     = 64 << 20

	defaultWatchers    = 2000
	defaultConnections = 512 // half of the 1,024 descriptors that a process has where nobody raised the limit
)

// Gateway is the HTTP API of one party. It is an http.Handler.
type Gateway struct {
	config        Config
	handler       *http.ServeMux
	origins       origins
	hosts         hosts
	handles       *handles
	microprotocol map[string]*simon.Microprotocol
	catalogue     []byte // the answer of GET /v1/microprotocols
	metrics       *metrics
	memory        *memory        // of the requests' bodies
	files         *memory        // one for each file that may be read at a time
	microservices *microservices // nil: there are none
	refusals      refusals       // of files
	connections   atomic.Int64   // that are open
	waiting       atomic.Int64   // requests that wait for a job
	proxies       proxies
	rates         *limits      // of requests, by caller
	failures      *limits      // of refused credentials, by place
	loginFailures atomic.Int64 // credentials that were refused
	watching      atomic.Int64 // clients that listen to events
	waiters       places       // callers of the requests that wait
	watchers      places       // callers that listen
	changes       changes      // of jobs, for them
	beat          time.Duration
	patience      patience
	starting      sync.Mutex  // held while a task's job is stored
	changing      stripes     // held while a record is changed
	retired       atomic.Bool // nothing new is accepted
	guard         atomic.Pointer[simon.Guard]
	draining      context.Context
	drain         context.CancelCauseFunc
}

// New checks the configuration and makes the gateway.
func New(c Config) (*Gateway, error) {
	if c.Jobs == nil || c.Objects == nil || c.Directory == nil {
		return nil, errors.New("gateway: Jobs, Objects and Directory are required")
	}
	if len(c.Key) < 16 {
		return nil, fmt.Errorf("gateway: the key for identifiers has %d bytes, at least 16 are needed", len(c.Key))
	}
	if err := c.fill(); err != nil {
		return nil, err
	}
	g := &Gateway{config: c, memory: newMemory(bodiesAtOnce * c.MaxBody), files: newMemory(filesAtOnce), handles: newHandles(c.Key), microprotocol: map[string]*simon.Microprotocol{}, beat: heartbeat, patience: usualPatience}
	for i := range c.Catalogue {
		m := &c.Catalogue[i]
		if g.microprotocol[m.Name] != nil {
			return nil, fmt.Errorf("gateway: the catalogue has %s twice", m.Name)
		}
		g.microprotocol[m.Name] = m
	}
	g.catalogue = catalogueJSON(c.Catalogue)
	g.proxies, g.failures = c.Proxies, newLimits(rate.Every(failuresEach), failuresAtOnce, mostLimited)
	if c.Access != nil {
		g.rates = newLimits(rate.Limit(c.Access.Rate), 2*c.Access.Rate, mostLimited)
		g.memory.each, g.files.each = (bodiesAtOnce-1)*c.MaxBody, filesAtOnce-1 // a caller who is slow leaves one to others
		g.waiters.each, g.watchers.each = (c.MaxWaiting+1)/2, (c.MaxWatchers+1)/2
	}
	if err := checkPermissions(); err != nil {
		return nil, err
	}
	var err error
	if g.origins, err = newOrigins(c.CORS, c.Directory); err != nil {
		return nil, err
	}
	if g.hosts, err = newHosts(c.Hosts, c.Directory); err != nil {
		return nil, err
	}
	g.draining, g.drain = context.WithCancelCause(context.Background())
	if c.Microservices != nil {
		g.microservices = newMicroservices(g)
	}
	g.SetGuard(c.Guard)
	g.metrics = newMetrics(g)
	g.handler = g.mux()
	return g, nil
}

// fill puts in the defaults and refuses what is out of bounds.
func (c *Config) fill() error {
	switch {
	case c.MaxParties < 0 || c.MaxParties > hardMaxParties:
		return fmt.Errorf("gateway: MaxParties is %d; 2 to %d are possible, 0 stands for 32", c.MaxParties, hardMaxParties)
	case c.MaxParties == 1:
		return errors.New("gateway: MaxParties is 1, and one party alone computes nothing")
	case c.Deadline < 0 || c.Deadline > maxDeadline:
		return fmt.Errorf("gateway: Deadline is %v; at most %v are possible, 0 stands for %v", c.Deadline, maxDeadline, defaultDeadline)
	case c.ServiceTime < 0 || c.ServiceTime > maxServiceTime:
		return fmt.Errorf("gateway: ServiceTime is %v; at most %v are possible, 0 stands for %v", c.ServiceTime, maxServiceTime, defaultServiceTime)
	case c.MaxBody < 0 || c.Wait < 0 || c.Attempts < 0:
		return errors.New("gateway: MaxBody, Wait and Attempts must not be negative")
	case c.MaxConnections < 0 || c.MaxWaiting < 0 || c.MaxWatchers < 0:
		return errors.New("gateway: MaxConnections, MaxWaiting and MaxWatchers must not be negative")
	}
	if c.MaxWatchers == 0 {
		c.MaxWatchers = defaultWatchers
	}
	if c.Access != nil {
		filled := *c.Access
		if err := filled.fill(); err != nil {
			return err
		}
		c.Access = &filled
	}
	if c.MaxConnections == 0 {
		c.MaxConnections = defaultConnections
	}
	if c.MaxWaiting == 0 {
		c.MaxWaiting = max(1, c.MaxConnections/2)
	}
	if c.MaxParties == 0 {
		c.MaxParties = 32
	}
	if c.MaxBody == 0 {
		c.MaxBody = defaultBody
	}
	if c.Deadline == 0 {
		c.Deadline = defaultDeadline
	}
	if c.Attempts == 0 {
		c.Attempts = 5
	}
	if c.ServiceTime == 0 {
		c.ServiceTime = defaultServiceTime
	}
	if c.Wait == 0 {
		c.Wait = defaultWait
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return nil
}

// Retire answers every further request that brings work with 503, while downloads go on to wait for their jobs: the first
// step of an orderly end. It returns at once.
func (g *Gateway) Retire() { g.retired.Store(true) }

// Waiting is how many requests wait for a job at present.
func (g *Gateway) Waiting() int { return int(g.waiting.Load()) }

// refusing says whether Retire or Drain was called.
func (g *Gateway) refusing() bool { return g.retired.Load() || g.draining.Err() != nil }

// SetGuard replaces what Config.Guard says, for the requests from now on.
func (g *Gateway) SetGuard(guard simon.Guard) { g.guard.Store(&guard) }

// Drain answers all waiting downloads and every further request that brings work with 503. It returns at once.
func (g *Gateway) Drain() { g.drain(errDraining) }

// ServeHTTP answers one request.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer := g.observe(w)
	w = answer
	defer answer.end(g.metrics)
	defer g.recover(w, r)
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	g.secureHeaders(h, r)
	if g.crowded() {
		h.Set("Connection", "close") // rather than hold a place until the next request
	}
	if err := cleanPath(r); err != nil {
		g.answerError(w, r, err)
		return
	}
	if err := g.checkProxy(r); err != nil {
		g.answerError(w, r, err)
		return
	}
	if err := g.admit(w, r); err != nil {
		g.answerError(w, r, err)
		return
	}
	if r.Method == http.MethodOptions {
		h.Del("Content-Type")
		w.WriteHeader(http.StatusNoContent)
		return
	}
	g.handler.ServeHTTP(w, r)
	if answer.status == 0 {
		// The client has gone, for which nothing is counted, or has closed its own side of the connection and reads on: net/http
		// cannot tell these apart, and would say 200 to the second.
		h.Set("Connection", "close")
		writeError(answer.ResponseWriter, isV1(r), errHalfClosed)
	}
}

// crowded says whether few connections are left.
func (g *Gateway) crowded() bool {
	return g.config.MaxConnections > 0 && g.connections.Load() > int64(g.config.MaxConnections)*3/4
}

// recover answers a defect of ours with 500. The log gets the place, never the panic's text nor the words of the functions'
// arguments, which a usual stack trace shows: either may hold input.
func (g *Gateway) recover(w http.ResponseWriter, r *http.Request) {
	v := recover()
	if v == nil {
		return
	}
	if v == http.ErrAbortHandler { //nolint:errorlint // net/http compares it the same way
		panic(v)
	}
	ctx := r.Context()
	if o := observedIn(w); o != nil && o.span != nil {
		ctx = trace.ContextWithSpan(ctx, o.span)
	}
	g.log(ctx).Error("gateway: a request met a defect", "method", r.Method, "route", r.Pattern, "panic", fmt.Sprintf("%T", v), "at", callers())
	g.refuse(w, r, asError(nil))
}

// callers lists functions and lines, innermost first, of a panic that a deferred function of its caller has recovered.
func callers() []string {
	const most, own = 32, 4 // runtime.Callers, callers, recover and the runtime's own function for panics
	pc := make([]uintptr, most)
	frames := runtime.CallersFrames(pc[:runtime.Callers(own, pc)])
	var list []string
	for {
		f, more := frames.Next()
		list = append(list, fmt.Sprintf("%s %s:%d", f.Function, path.Base(f.File), f.Line))
		if !more {
			return list
		}
	}
}

// cleanPath makes one slash of several: clients put "/" between a base URL that ends with a slash and the path, and a
// redirect would turn their POST into a GET.
func cleanPath(r *http.Request) error {
	if !strings.HasPrefix(r.URL.Path, "/") {
		return fail(http.StatusNotFound, "unknown-path", "the path must begin with /")
	}
	for _, part := range strings.Split(r.URL.EscapedPath(), "/") {
		if part == "." || part == ".." {
			return fail(http.StatusNotFound, "unknown-path", "there is nothing at a path with . or .. in it")
		}
	}
	for strings.Contains(r.URL.Path, "//") {
		r.URL.Path = strings.ReplaceAll(r.URL.Path, "//", "/")
	}
	for strings.Contains(r.URL.RawPath, "//") {
		r.URL.RawPath = strings.ReplaceAll(r.URL.RawPath, "//", "/")
	}
	return nil
}

func isV1(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/v1/") || r.URL.Path == "/v1" }

// answerError answers with the error. Causes go to the log; the client's absence is no event.
func (g *Gateway) answerError(w http.ResponseWriter, r *http.Request, err error) {
	e := asError(err)
	if e.Code == statusClientGone {
		return
	}
	switch {
	case e.Code == http.StatusInternalServerError:
		g.log(r.Context()).Error("gateway: a request failed", append(objectID(r), "method", r.Method, "route", r.Pattern, "error", e.cause)...)
	case e.Reason == "away":
		g.log(r.Context()).Warn("gateway: the store does not answer", append(objectID(r), "method", r.Method, "route", r.Pattern, "error", e.cause)...)
	}
	g.refuse(w, r, e)
}

// refuse counts the error and answers with it.
func (g *Gateway) refuse(w http.ResponseWriter, r *http.Request, e *Error) {
	g.metrics.refused.WithLabelValues(reasonClass(e)).Inc()
	writeError(w, isV1(r), e.about(r))
}

// objectID is what the log says of the object in a request's path: the UUID of a job or a representation, if it is one.
func objectID(r *http.Request) []any {
	id, ok := representation.ParseUUID(r.PathValue("id"))
	if !ok {
		return nil
	}
	return []any{"id", id}
}

func representationShow(name string) string { return representation.Show(name) }

// pathID reads the {id} of the path; what names it for the error.
func pathID(r *http.Request, what string) (uuid.UUID, error) {
	id, ok := representation.ParseUUID(r.PathValue("id"))
	if !ok {
		return id, fail(http.StatusNotFound, "unknown-"+strings.ReplaceAll(what, " ", "-"), "there is no such %s: its name is not a UUID", what)
	}
	return id, nil
}
