package main

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Any web page may try the demo's gateways, but not when it could compute with somebody's files.
func TestDemoKeepsFilesFromPages(t *testing.T) {
	for _, files := range []string{"", t.TempDir()} {
		d, err := startDemo(t.Context(), demoFlags{parties: 2, files: files, deadline: time.Minute}, slog.New(slog.DiscardHandler))
		t.Cleanup(func() {
			if err := d.close(); err != nil {
				t.Error(err)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		for i, origin := range []string{"https://page.example", "null", d.urls[0]} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, d.urls[0]+"/v1/parties", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Origin", origin)
			a, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			a.Body.Close()
			want := http.StatusOK
			if own := i == 2; files != "" && !own {
				want = http.StatusForbidden
			}
			if allowed := a.Header.Get("Access-Control-Allow-Origin") != ""; a.StatusCode != want || allowed != (want == http.StatusOK) {
				t.Errorf("files %q, a page from %s: %s, allowed %v", files, origin, a.Status, allowed)
			}
		}
	}
	if help := demoCommand(); !strings.Contains(help.Long, "With --files none may") {
		t.Error("the help does not say so")
	}
}
