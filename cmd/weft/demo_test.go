package main

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weftmpc/weft/broker"
	"github.com/weftmpc/weft/coordinator"
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

// The demo's coordinator deals, and the hub passes messages of the parties to it.
func TestDemoDeals(t *testing.T) {
	d, err := startDemo(t.Context(), demoFlags{parties: 2, deadline: time.Minute}, slog.New(slog.DiscardHandler))
	t.Cleanup(func() {
		if err := d.close(); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	var found []finding
	doctor := &doctor{now: time.Now, tell: func(f finding) { found = append(found, f) }}
	doctor.config.Identity.Cert = filepath.Join(d.temporary, "alice", "identity.crt")
	m, err := d.conns[1].Request(broker.SubjectStatus, nil, 10*time.Second) // alice's: the first is the coordinator's
	if err != nil {
		t.Fatal(err)
	}
	var s coordinator.Status
	if err := json.Unmarshal(m.Data, &s); err != nil || !s.Deals {
		t.Fatalf("%s %v", m.Data, err)
	}
	doctor.dealer(t.Context(), d.conns[1], s)
	if len(found) != 1 || found[0].Status != "ok" {
		t.Errorf("%+v", found)
	}
}
