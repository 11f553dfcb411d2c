package main

import (
	"crypto/sha256"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The doctor sends the collector what the node would, but no span, and says what its answer means.
func TestDoctorAsksTheCollector(t *testing.T) {
	code, asked := http.StatusOK, 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		body, err := io.ReadAll(r.Body)
		if err != nil || len(body) != 0 || r.Method != "POST" || r.Header.Get("Content-Type") != "application/x-protobuf" || r.Header.Get("Authorization") != "Bearer s3cret" {
			t.Errorf("%s with %d bytes, %v (%v)", r.Method, len(body), r.Header, err)
		}
		w.WriteHeader(code)
		_, _ = w.Write([]byte("s3cret, says the collector"))
	}))
	headers := filepath.Join(t.TempDir(), "headers")
	if err := os.WriteFile(headers, []byte("Authorization: Bearer s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var found []finding
	d := &doctor{file: "node.yaml", tell: func(f finding) { found = append(found, f) }}
	ask := func(status, text, advice string) {
		t.Helper()
		found = nil
		d.traces(t.Context())
		if len(found) != 1 || found[0].Check != "traces" || found[0].Status != status || !strings.Contains(found[0].Text, text) || !strings.Contains(found[0].Advice, advice) {
			t.Errorf("%+v, want %s: %s", found, status, text)
		}
		if len(found) == 1 && strings.Contains(found[0].Text+found[0].Advice, "s3cret") {
			t.Errorf("a secret is shown: %+v", found)
		}
	}
	if d.traces(t.Context()); len(found) != 0 || asked != 0 {
		t.Errorf("without traces: %+v", found)
	}
	d.config.Traces = tracesConfig{Endpoint: s.URL + "/v1/traces", Headers: headers, Sample: 100}
	ask("ok", "takes spans", "")
	for c, advice := range map[int]string{401: "headers_file", 403: "headers_file", 404: "the path", 405: "the path", 308: "the path", 415: "collector's log", 503: "collector's log"} {
		code = c
		ask("warning", "answers", advice)
	}
	s.Close()
	ask("warning", "does not answer", "is the collector running")
	if d.errors != 0 {
		t.Errorf("%d errors, though the node can compute", d.errors)
	}
	if err := os.Chmod(headers, 0o644); err != nil {
		t.Fatal(err)
	}
	ask("error", "traces.headers_file", "chmod 600")
}

// A reload looks at the files of private.tls, too.
func TestFilesOfTheBrokersOwnTLSAreWatched(t *testing.T) {
	c := defaultNode()
	before := digests(c)
	dir := t.TempDir()
	for key, file := range map[string]*string{"private.tls.cert": &c.Private.TLS.Cert, "private.tls.key": &c.Private.TLS.Key, "private.tls.ca": &c.Private.TLS.CA} {
		if _, ok := before[key]; ok {
			t.Errorf("%s is watched where there is none", key)
		}
		*file = filepath.Join(dir, key)
		for _, text := range []string{"old", "renewed"} {
			if err := os.WriteFile(*file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if got := digests(c)[key]; got != sha256.Sum256([]byte(text)) {
				t.Errorf("%s: %x", key, got)
			}
		}
	}
}
