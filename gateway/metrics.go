package gateway

import (
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/trace"

	"github.com/weftmpc/weft/jobs"
)

// NodeStats is what the node below the gateway tells for /metrics: sums over all computations since its start.
type NodeStats struct {
	Running int       // computations under way
	Hops    Histogram // how long the node waited for the others' messages of one step, in seconds

	Resent  uint64 // message parts sent again because another party asked for them
	Asks    uint64 // requests to other parties for what had not come
	Dropped uint64 // messages that were received and wrong in some way

	Connected         bool // to the hub
	Reconnects        uint64
	MessagesIn, Bytes uint64 // received from the hub
	MessagesOut, Sent uint64 // to the hub

	Expires map[string]time.Time // ends of own certificates, by a word of a few: identity, hub
}

// Histogram counts measurements: Counts[i] of them were at most Bounds[i], those of smaller bounds included.
type Histogram struct {
	Bounds []float64
	Counts []uint64
	Count  uint64
	Sum    float64
}

// family describes one metric. gateway/README.md has the same table.
type family struct{ name, kind, labels, help string }

// The metrics. No label's value comes from a request, a job's data or another party: routes are those of routes(), reasons
// those of reasons, microprotocols those of the catalogue.
const (
	metricBuild       = "weft_build_info"
	metricReady       = "weft_ready"
	metricJobs        = "weft_jobs"
	metricQueue       = "weft_jobs_queued"
	metricRequests    = "weft_http_requests_total"
	metricDuration    = "weft_http_request_seconds"
	metricRefused     = "weft_http_refused_total"
	metricFailures    = "weft_login_failures_total"
	metricConnections = "weft_http_connections"
	metricWaiting     = "weft_http_waiting_requests"
	metricBody        = "weft_http_body_bytes"
	metricRunning     = "weft_computations_running"
	metricHops        = "weft_hop_seconds"
	metricResent      = "weft_messages_resent_total"
	metricAsks        = "weft_messages_asked_total"
	metricDropped     = "weft_messages_dropped_total"
	metricConnected   = "weft_hub_connected"
	metricReconnects  = "weft_hub_reconnects_total"
	metricMessages    = "weft_hub_messages_total"
	metricBytes       = "weft_hub_bytes_total"
	metricExpiry      = "weft_certificate_expiry_timestamp_seconds"
)

func families() []family {
	return []family{
		{metricBuild, "gauge", "version, go", "always 1"},
		{metricReady, "gauge", "", "1 while /readyz answers 200, else 0"},
		{metricJobs, "gauge", "state, microprotocol", "jobs in the store, ended ones included until they expire"},
		{metricQueue, "gauge", "", "accepted jobs that have not started: submitted or waiting"},
		{metricRequests, "counter", "route, method, status", "requests by the class of their answer: 2xx to 5xx, or gone if the client left first"},
		{metricDuration, "histogram", "route", "seconds from a request's header to the end of its answer, waits for a job included"},
		{metricRefused, "counter", "reason", "answers that are errors"},
		{metricFailures, "counter", "", "credentials that were refused"},
		{metricConnections, "gauge", "", "open connections"},
		{metricWaiting, "gauge", "", "requests that wait for a job"},
		{metricBody, "gauge", "", "bytes of memory that the bodies of requests take, beyond the first 64 KiB of each"},
		{metricRunning, "gauge", "", "computations under way, those included that wait for the others' confirmations"},
		{metricHops, "histogram", "", "seconds that this node waited for the other parties' messages of one step"},
		{metricResent, "counter", "", "message parts sent again on request, of computations that have ended"},
		{metricAsks, "counter", "", "requests to other parties for missing messages, of computations that have ended"},
		{metricDropped, "counter", "", "messages that were wrong in some way, of computations that have ended"},
		{metricConnected, "gauge", "", "1 while there is a connection to the hub, else 0"},
		{metricReconnects, "counter", "", "connections to the hub after the first attempt"},
		{metricMessages, "counter", "direction", "messages from (in) and to (out) the hub"},
		{metricBytes, "counter", "direction", "their bytes"},
		{metricExpiry, "gauge", "certificate", "when this party's own certificates end, in Unix time: identity, hub (the TLS certificate in its file)"},
	}
}

// reasons are the values of the label reason: an error with another one counts under the first that has its status.
var reasons = []struct {
	status int
	reason string
}{
	{http.StatusBadRequest, "invalid"},
	{http.StatusUnauthorized, "unauthenticated"},
	{http.StatusForbidden, "forbidden"}, {http.StatusForbidden, "wrong-origin"}, {http.StatusForbidden, "policy"},
	{http.StatusNotFound, "unknown"},
	{http.StatusMethodNotAllowed, "wrong-method"},
	{http.StatusConflict, "conflict"},
	{http.StatusGone, "gone"},
	{http.StatusRequestEntityTooLarge, "too-large"},
	{http.StatusUnsupportedMediaType, "not-json"},
	{http.StatusMisdirectedRequest, "wrong-host"},
	{http.StatusUnprocessableEntity, "key-reused"},
	{http.StatusTooManyRequests, "too-many"}, {http.StatusTooManyRequests, "too-many-refused"},
	{http.StatusInternalServerError, "internal"},
	{http.StatusNotImplemented, "not-available"},
	{http.StatusBadGateway, "peer"},
	{http.StatusServiceUnavailable, "busy"}, {http.StatusServiceUnavailable, "draining"},
	{http.StatusGatewayTimeout, "timeout"},
	{http.StatusInsufficientStorage, "full"},
}

// labelNames are the labels of a metric.
func labelNames(f family) []string {
	if f.labels == "" {
		return nil
	}
	return strings.Split(f.labels, ", ")
}

// reasonClass is the label of an error; reasons of requests may name what a client sent, and are not bounded.
func reasonClass(e *Error) string {
	class := ""
	for _, r := range reasons {
		switch {
		case r.status != e.Code:
		case r.reason == e.Reason:
			return r.reason
		case class == "":
			class = r.reason
		}
	}
	if class == "" {
		return "other"
	}
	return class
}

// metrics are what the gateway counts; the rest is read when somebody asks.
type metrics struct {
	requests, refused *prometheus.CounterVec
	duration          *prometheus.HistogramVec
	descs             map[string]*prometheus.Desc // of what is read
	page              http.Handler
}

// newMetrics makes the registry of one gateway.
func newMetrics(g *Gateway) *metrics {
	m := &metrics{descs: map[string]*prometheus.Desc{}}
	help := map[string]string{}
	for _, f := range families() {
		help[f.name] = f.help
		switch f.name {
		case metricRequests, metricRefused, metricDuration:
		default:
			m.descs[f.name] = prometheus.NewDesc(f.name, f.help, labelNames(f), nil)
		}
	}
	m.requests = prometheus.NewCounterVec(prometheus.CounterOpts{Name: metricRequests, Help: help[metricRequests]}, []string{"route", "method", "status"})
	m.refused = prometheus.NewCounterVec(prometheus.CounterOpts{Name: metricRefused, Help: help[metricRefused]}, []string{"reason"})
	m.duration = prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: metricDuration, Help: help[metricDuration],
		Buckets: []float64{.001, .005, .02, .1, .5, 2, 10, 60, 600}}, []string{"route"})
	registry := prometheus.NewRegistry()
	registry.MustRegister(m.requests, m.refused, m.duration, &reader{g, m.descs},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.page = promhttp.HandlerFor(registry, promhttp.HandlerOpts{DisableCompression: true, ErrorHandling: promhttp.ContinueOnError})
	return m
}

// metricsPage answers with all metrics, as Prometheus reads them.
func (g *Gateway) metricsPage(w http.ResponseWriter, r *http.Request) error {
	g.metrics.page.ServeHTTP(w, r)
	return nil
}

// observed is a request's answer on its way, with what is counted of it.
type observed struct {
	recorded
	began         time.Time
	route, method string
	span          trace.Span // nil: the request is not traced
}

// otherLabel is the label of what is none of the gateway's own routes and methods.
const otherLabel = "other"

// observe begins to count a request; the caller answers over what it returns and calls end.
func (g *Gateway) observe(w http.ResponseWriter) *observed {
	return &observed{recorded: recorded{ResponseWriter: w}, began: time.Now(), route: otherLabel, method: otherLabel}
}

// takes notes which route answers.
func takes(w http.ResponseWriter, rt route) {
	if o := observedIn(w); o != nil {
		o.route, o.method = rt.path, rt.method
	}
}

// observedIn finds the observed answer under w; nil: there is none.
func observedIn(w http.ResponseWriter) *observed {
	for w != nil {
		if o, ok := w.(*observed); ok {
			return o
		}
		u, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return nil
		}
		w = u.Unwrap()
	}
	return nil
}

// Flush sends what has been written, for streams.
func (o *observed) Flush() { _ = http.NewResponseController(o.ResponseWriter).Flush() }

// end counts the request.
func (o *observed) end(m *metrics) {
	o.endSpan()
	status := "gone"
	if o.status > 0 {
		status = strconv.Itoa(o.status/100) + "xx"
	}
	m.requests.WithLabelValues(o.route, o.method, status).Inc()
	m.duration.WithLabelValues(o.route).Observe(time.Since(o.began).Seconds())
}

// reader reads the metrics that nobody counts.
type reader struct {
	g     *Gateway
	descs map[string]*prometheus.Desc
}

// Describe implements prometheus.Collector.
func (r *reader) Describe(out chan<- *prometheus.Desc) {
	for _, d := range r.descs {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (r *reader) Collect(out chan<- prometheus.Metric) {
	g := r.g
	send := func(kind prometheus.ValueType, name string, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(r.descs[name], kind, v, labels...)
	}
	gauge := func(name string, v float64, labels ...string) { send(prometheus.GaugeValue, name, v, labels...) }
	gauge(metricBuild, 1, g.config.Version, runtime.Version())
	gauge(metricReady, truth(g.unready() == ""))
	send(prometheus.CounterValue, metricFailures, float64(g.LoginFailures()))
	gauge(metricConnections, float64(g.connections.Load()))
	gauge(metricWaiting, float64(g.waiting.Load()))
	gauge(metricBody, float64(bodiesAtOnce*g.config.MaxBody-g.memory.left()))
	r.jobs(gauge)
	if g.config.Stats == nil {
		return
	}
	s := g.config.Stats()
	counter := func(name string, v uint64, labels ...string) {
		send(prometheus.CounterValue, name, float64(v), labels...)
	}
	gauge(metricRunning, float64(s.Running))
	counter(metricResent, s.Resent)
	counter(metricAsks, s.Asks)
	counter(metricDropped, s.Dropped)
	gauge(metricConnected, truth(s.Connected))
	counter(metricReconnects, s.Reconnects)
	counter(metricMessages, s.MessagesIn, "in")
	counter(metricMessages, s.MessagesOut, "out")
	counter(metricBytes, s.Bytes, "in")
	counter(metricBytes, s.Sent, "out")
	for name, until := range s.Expires {
		gauge(metricExpiry, float64(until.Unix()), name)
	}
	buckets := map[float64]uint64{}
	for i, b := range s.Hops.Bounds {
		buckets[b] = s.Hops.Counts[i]
	}
	out <- prometheus.MustNewConstHistogram(r.descs[metricHops], s.Hops.Count, s.Hops.Sum, buckets)
}

// jobs counts the jobs of the catalogue's microprotocols, and those of others as one.
func (r *reader) jobs(gauge func(string, float64, ...string)) {
	count, queued := map[jobs.Kind]int{}, 0
	for _, state := range jobs.States() {
		for name := range r.g.microprotocol {
			count[jobs.Kind{State: state, Microprotocol: name}] = 0
		}
	}
	for kind, n := range r.g.config.Jobs.Tally() {
		if r.g.microprotocol[kind.Microprotocol] == nil { // of another version of weft
			kind.Microprotocol = otherLabel
		}
		count[kind] += n
		if kind.State == jobs.Submitted || kind.State == jobs.Waiting {
			queued += n
		}
	}
	for kind, n := range count {
		gauge(metricJobs, float64(n), kind.State.String(), kind.Microprotocol)
	}
	gauge(metricQueue, float64(queued))
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
