package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/pem"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"
)

func TestTracesRefuses(t *testing.T) {
	for _, x := range []struct {
		name string
		c    tracesConfig
		want string
	}{
		{"nothing", tracesConfig{Sample: 100}, ""},
		{"a collector", tracesConfig{Endpoint: "https://collector.example.org:4318/v1/traces", CA: "ca.pem", Headers: "h", Sample: 1}, ""},
		{"one on this machine", tracesConfig{Endpoint: "http://[::1]:4318/v1/traces", Sample: 100}, ""},
		{"no sample", tracesConfig{}, "traces.sample 0: between 1 and 100"},
		{"all and more", tracesConfig{Sample: 101}, "traces.sample 101"},
		{"headers for nobody", tracesConfig{Headers: "h", Sample: 100}, "traces.endpoint is missing"},
		{"in the clear", tracesConfig{Endpoint: "http://collector.example.org:4318/v1/traces", Sample: 100}, "would travel in the clear"},
		{"another scheme", tracesConfig{Endpoint: "grpc://localhost:4317/v1/traces", Sample: 100}, "no URL of a collector"},
		{"no path", tracesConfig{Endpoint: "http://localhost:4318", Sample: 100}, "has no path"},
		{"a password", tracesConfig{Endpoint: "https://u:s3cret@collector.example.org/v1/traces", Sample: 100}, "user name or password"},
		{"a token", tracesConfig{Endpoint: "https://collector.example.org/v1/traces?token=s3cret", Sample: 100}, "no URL of a collector"},
		{"certificates of nobody", tracesConfig{Endpoint: "http://localhost:4318/v1/traces", CA: "ca.pem", Sample: 100}, "plain http has no certificates"},
	} {
		err := x.c.check()
		switch {
		case x.want == "" && err != nil, x.want != "" && (err == nil || !strings.Contains(err.Error(), x.want)):
			t.Errorf("%s: %v, want %q", x.name, err, x.want)
		case err != nil && strings.Contains(err.Error(), "s3cret"):
			t.Errorf("%s: the error shows a secret: %v", x.name, err)
		}
	}
}

func TestTracesHeaders(t *testing.T) {
	path := filepath.Join(t.TempDir(), "headers")
	read := func(text string, mode os.FileMode) (map[string]string, error) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return tracesConfig{Headers: path}.headers()
	}
	got, err := read("# of the collector\n\nAuthorization: Bearer a:b=\r\nX-Scope-OrgID:  house 7 \n", 0o600)
	if err != nil || len(got) != 2 || got["Authorization"] != "Bearer a:b=" || got["X-Scope-OrgID"] != "house 7" {
		t.Errorf("%q %v", got, err)
	}
	for _, text := range []string{"s3cret", "s3cret s3cret: x", "Authorization: s3cr\x07et", "Authorization:\n", "A: " + strings.Repeat("s3cret", 2000), strings.Repeat("A: 1\n", 1) + ": s3cret"} {
		if _, err := read(text, 0o600); err == nil || !strings.Contains(err.Error(), ", line ") || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%.20q: %v", text, err)
		}
	}
	if _, err := read("A: 1", 0o644); err == nil {
		t.Error("a file that others can read is taken")
	}
}

// Spans go to the collector by TLS under the authority of the configuration, with the headers of the file, whatever the
// environment has for other programs; the end of the process sends what is left; a redirect is not followed.
func TestTracesAreSent(t *testing.T) {
	for name, value := range map[string]string{
		"OTEL_EXPORTER_OTLP_HEADERS": "X-Other=1", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:1", "OTEL_EXPORTER_OTLP_COMPRESSION": "none",
		"OTEL_TRACES_SAMPLER": "always_off", "OTEL_BSP_MAX_QUEUE_SIZE": "1", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json",
	} {
		t.Setenv(name, value)
	}
	var asked []*http.Request
	var spans []string
	away := ""
	c := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r)
		if away != "" {
			http.Redirect(w, r, away, http.StatusTemporaryRedirect)
			return
		}
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			t.Error(err)
			return
		}
		b, _ := io.ReadAll(z)
		var q collector.ExportTraceServiceRequest
		if err := proto.Unmarshal(b, &q); err != nil {
			t.Error(err)
			return
		}
		for _, s := range q.ResourceSpans[0].ScopeSpans[0].Spans {
			spans = append(spans, s.Name)
		}
	}))
	defer c.Close()
	dir := t.TempDir()
	config := tracesConfig{Endpoint: c.URL + "/v1/traces", CA: filepath.Join(dir, "ca.pem"), Headers: filepath.Join(dir, "headers"), Sample: 100}
	for path, text := range map[string][]byte{config.CA: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate().Raw}), config.Headers: []byte("Authorization: Bearer s3cret")} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	send := func(name string) string {
		t.Helper()
		var log bytes.Buffer
		tracer, end, err := config.start("alice", slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		_, span := tracer.Start(context.Background(), name)
		span.End()
		began := time.Now()
		end()
		if took := time.Since(began); took > spanFlush+5*time.Second {
			t.Errorf("the end took %s", took)
		}
		return log.String()
	}
	if log := send("one"); log != "" || len(spans) != 1 || spans[0] != "one" {
		t.Fatalf("%q %s", spans, log)
	}
	if h := asked[0].Header; h.Get("Authorization") != "Bearer s3cret" || h.Get("X-Other") != "" || asked[0].URL.Path != "/v1/traces" {
		t.Errorf("%v", asked[0].Header)
	}
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a redirect was followed") }))
	defer other.Close()
	away = other.URL
	if log := send("two"); !strings.Contains(log, "spans cannot be sent") || strings.Contains(log, "s3cret") {
		t.Errorf("after a redirect: %s", log)
	}
	away, config.CA = "", ""
	if log := send("three"); len(spans) != 1 || !strings.Contains(log, "certificate") {
		t.Errorf("a collector of an unknown authority got %q: %s", spans, log)
	}
	config.CA = config.Headers
	if _, _, err := config.start("alice", slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "traces.ca: ") || strings.Contains(err.Error(), "s3cret") {
		t.Error(err)
	}
	if tracer, end, err := defaultTraces().start("alice", nil); tracer != nil || err != nil {
		t.Errorf("without an endpoint: %v %v", tracer, err)
	} else {
		end()
	}
}
