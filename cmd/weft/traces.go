package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/weftmpc/weft/broker"
	"github.com/weftmpc/weft/broker/identity"
)

// tracesConfig is where a node sends its spans. This file alone knows how; the other rooms know go.opentelemetry.io/otel/trace.
type tracesConfig struct {
	Endpoint string `yaml:"endpoint" doc:"URL of a collector that takes OTLP over HTTP, such as https://collector.example.org:4318/v1/traces; plain http on this machine only. Empty: nobody traces, at no cost."`
	CA       string `yaml:"ca" doc:"The certificate of the authority that issued the collector's. Empty: those that this machine trusts."`
	Headers  string `yaml:"headers_file" doc:"File of header lines for the collector, such as Authorization: Bearer TOKEN, readable by this user alone. Empty: none."`
	Sample   int    `yaml:"sample" doc:"How many of 100 requests are traced, with their jobs, 1 to 100."`
}

// Bounds of what spans may take.
const (
	spanQueue    = 2048             // spans that wait to be sent; what comes beyond is dropped
	spanBatch    = 512              // spans of one request to the collector
	spanEvery    = 2 * time.Second  // between two requests
	spanSend     = 5 * time.Second  // for one request
	spanGiveUp   = 20 * time.Second // after which a batch is dropped, with its repetitions
	spanFlush    = 2 * time.Second  // for what is left at the end of the process
	spanWarn     = time.Minute      // between two lines in the log on a collector that does not take spans
	mostHeaders  = 16
	mostOfHeader = 8 << 10 // bytes
)

// Headers as people write them; RFC 9110 §5.1 and §5.5 allow some more.
var (
	headerName  = regexp.MustCompile(`^[A-Za-z0-9_-]{1,100}$`)
	headerValue = regexp.MustCompile(`^[!-~]([ -~]*[!-~])?$`)
)

func defaultTraces() tracesConfig { return tracesConfig{Sample: 100} }

// check refuses what cannot work, and what would tell strangers who computes with whom. Files are looked at when they are read.
func (c tracesConfig) check() error {
	if c.Sample < 1 || c.Sample > 100 {
		return fmt.Errorf("traces.sample %d: between 1 and 100 of 100 requests can be traced; to trace none, leave traces.endpoint empty", c.Sample)
	}
	if c.Endpoint == "" {
		if c.CA != "" || c.Headers != "" {
			return errors.New("traces.endpoint is missing: without it nothing is traced, and traces.ca and traces.headers_file are for nothing")
		}
		return nil
	}
	u, err := url.Parse(c.Endpoint)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.Fragment != "":
		return errors.New("traces.endpoint is no URL of a collector: write it like https://collector.example.org:4318/v1/traces")
	case u.User != nil:
		return withHint(errors.New("traces.endpoint has a user name or password in it"), "put an Authorization header into a file, and name that as traces.headers_file")
	case u.Path == "" || u.Path == "/":
		return withHint(fmt.Errorf("traces.endpoint %s has no path", c.Endpoint), "most collectors take traces at /v1/traces")
	case u.Scheme == "http" && !broker.IsLoopback(u.Hostname()):
		return withHint(fmt.Errorf("traces.endpoint %s: spans tell who computes with whom, and would travel in the clear", c.Endpoint), "use https, or a collector on this machine that passes them on")
	case u.Scheme == "http" && c.CA != "":
		return errors.New("traces.ca: plain http has no certificates; use https in traces.endpoint, or take traces.ca out")
	}
	return nil
}

// start makes the tracer of a party and what ends it: that sends what is left, within spanFlush. Both do nothing where the
// configuration traces nothing; the tracer is nil then.
func (c tracesConfig) start(party string, log *slog.Logger) (trace.Tracer, func(), error) {
	if c.Endpoint == "" {
		return nil, func() {}, nil
	}
	headers, client, err := c.client()
	if err != nil {
		return nil, nil, err
	}
	// Everything is set here that the exporter would else take from the environment's OTEL_… variables.
	sender, err := otlptracehttp.New(context.Background(),
		otlptracehttp.WithEndpointURL(c.Endpoint), otlptracehttp.WithHeaders(headers), otlptracehttp.WithTimeout(spanSend),
		otlptracehttp.WithCompression(otlptracehttp.GzipCompression), otlptracehttp.WithEncoding(otlptracehttp.EncodingProtobuf),
		otlptracehttp.WithRetry(otlptracehttp.RetryConfig{Enabled: true, InitialInterval: time.Second, MaxInterval: 5 * time.Second, MaxElapsedTime: spanGiveUp}),
		otlptracehttp.WithHTTPClient(client))
	if err != nil {
		return nil, nil, fmt.Errorf("traces: %w", err)
	}
	said := &spanSender{Exporter: sender, log: log, endpoint: c.Endpoint}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(error) {})) // its own would write to standard error; spanSender tells
	provider := sdk.NewTracerProvider(
		sdk.WithSampler(sdk.ParentBased(sdk.TraceIDRatioBased(float64(c.Sample)/100))),
		sdk.WithRawSpanLimits(spanLimits()),
		sdk.WithResource(resource.NewSchemaless(
			attribute.String("service.name", "weft"), attribute.String("service.version", version()), attribute.String("service.instance.id", party))),
		sdk.WithBatcher(said, sdk.WithMaxQueueSize(spanQueue), sdk.WithMaxExportBatchSize(spanBatch), sdk.WithBatchTimeout(spanEvery), sdk.WithExportTimeout(spanGiveUp)),
	)
	end := func() {
		ctx, stop := context.WithTimeout(context.Background(), spanFlush)
		defer stop()
		if err := provider.Shutdown(ctx); err != nil {
			log.Warn("the last spans could not be sent within their time", "endpoint", c.Endpoint)
		}
		client.CloseIdleConnections()
	}
	return provider.Tracer("github.com/weftmpc/weft"), end, nil
}

// client is what speaks to the collector, and the headers that go with each request.
func (c tracesConfig) client() (headers map[string]string, client *http.Client, err error) {
	if headers, err = c.headers(); err != nil {
		return nil, nil, fmt.Errorf("traces.headers_file: %w", err)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CA != "" {
		if transport.TLSClientConfig.RootCAs, err = loadPool(c.CA); err != nil {
			return nil, nil, fmt.Errorf("traces.ca: %w", err)
		}
	}
	return headers, &http.Client{
		Transport: transport, Timeout: spanSend,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // with the headers it must not go elsewhere
	}, nil
}

// spanLimits bounds one span: 128 names of parties are the longest that one tells.
func spanLimits() sdk.SpanLimits {
	return sdk.SpanLimits{AttributeCountLimit: 16, AttributeValueLengthLimit: 256, EventCountLimit: 64, LinkCountLimit: 1, AttributePerEventCountLimit: 4, AttributePerLinkCountLimit: 1}
}

// headers reads the header lines. No error repeats one: they hold secrets.
func (c tracesConfig) headers() (map[string]string, error) {
	all := map[string]string{}
	if c.Headers == "" {
		return all, nil
	}
	if err := identity.CheckPrivate(c.Headers); err != nil {
		return nil, withHint(err, "chmod 600 %s", c.Headers)
	}
	b, err := identity.ReadSmall(c.Headers)
	if err != nil {
		return nil, err
	}
	defer clear(b)
	lines := bufio.NewScanner(bytes.NewReader(b))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		if !headerName.MatchString(name) || !headerValue.MatchString(value) || len(value) > mostOfHeader || len(all) == mostHeaders {
			return nil, fmt.Errorf("%s, line %d: a header is expected, such as Authorization: Bearer TOKEN, and %d at most", c.Headers, n, mostHeaders)
		}
		all[name] = value
	}
	return all, lines.Err()
}

// spanSender tells the log, once a minute at most, that spans cannot be sent, and that they can be again. Nothing waits for
// it: spans go through a queue, which drops what it cannot hold.
type spanSender struct {
	*otlptrace.Exporter
	log      *slog.Logger
	endpoint string

	mu   sync.Mutex
	lost int       // spans since the last line
	told time.Time // of the last line; zero: all is well
}

// ExportSpans implements sdk.SpanExporter.
func (s *spanSender) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	err := s.Exporter.ExportSpans(ctx, spans)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err == nil && !s.told.IsZero():
		s.log.Info("the collector takes spans again", "endpoint", s.endpoint)
		s.told, s.lost = time.Time{}, 0
	case err != nil:
		s.lost += len(spans)
		if s.told.IsZero() || time.Since(s.told) >= spanWarn {
			s.log.Warn("spans cannot be sent; computations go on without", "endpoint", s.endpoint, "lost", s.lost, "error", plainCause(err))
			s.told, s.lost = time.Now(), 0
		}
	}
	return nil
}

// plainCause is an exporter's error without what the collector has answered, in one line of bounded length.
func plainCause(err error) string {
	text, _, _ := strings.Cut(err.Error(), " (body:")
	text, _, _ = strings.Cut(strings.TrimPrefix(text, "traces export: "), "body:")
	const most = 300
	if text = oneLine(text); len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}
