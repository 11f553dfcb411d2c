package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// traces sends the collector a request without spans, as the node's are. Computations go on without a collector: what is
// wrong with it is a warning.
func (d *doctor) traces(ctx context.Context) {
	c := d.config.Traces
	if c.Endpoint == "" {
		return
	}
	headers, client, err := c.client()
	if err != nil {
		d.wrong("traces", advice(err, "correct traces in "+d.file), "%v", err) // with which the node does not start
		return
	}
	defer client.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, spanSend)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.Endpoint, http.NoBody) // protobuf of a message without fields
	if err != nil {
		d.wrong("traces", "correct traces.endpoint in "+d.file, "traces.endpoint is no URL")
		return
	}
	r.Header.Set("Content-Type", "application/x-protobuf")
	for name, value := range headers {
		r.Header.Set(name, value)
	}
	answer, err := client.Do(r)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err
		}
		d.warn("traces", "is the collector running, and is traces.endpoint (and traces.ca) right?", "the collector at %s does not answer: %v", c.Endpoint, err)
		return
	}
	defer answer.Body.Close()
	_, _ = io.CopyN(io.Discard, answer.Body, 1<<20)
	said := fmt.Sprintf("the collector at %s answers %d %s", c.Endpoint, answer.StatusCode, http.StatusText(answer.StatusCode))
	switch code := answer.StatusCode; {
	case code >= 200 && code < 300:
		d.ok("traces", "the collector at %s takes spans", c.Endpoint)
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		d.warn("traces", "correct the headers in traces.headers_file", "%s", said)
	case code == http.StatusNotFound || code == http.StatusMethodNotAllowed || code >= 300 && code < 400:
		d.warn("traces", "correct the path in traces.endpoint; most collectors take traces at /v1/traces", "%s", said)
	default:
		d.warn("traces", "look at the collector's log", "%s", said)
	}
}
