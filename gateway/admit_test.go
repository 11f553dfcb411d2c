package gateway

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/weftmpc/weft/gateway/representation"
)

func TestHostsAndOrigins(t *testing.T) {
	strict := newParty(t, func(c *Config) {
		c.Hosts = []string{"gw.example.org", "other.example:8443"}
		c.CORS = []string{"https://Page.example"}
	})
	demo := newParty(t, func(c *Config) { c.CORS = []string{"*"} })
	port := strict.server.URL[strings.LastIndex(strict.server.URL, ":"):]
	const job = `{"microprotocol":"Add","data":[1],"parties":["alice","bob"]}`
	for _, tt := range []struct {
		p            *party
		method, path string
		headers      []string
		code         int
		allow        string // Access-Control-Allow-Origin
	}{
		{strict, "POST", "/v1/jobs", nil, 202, ""},
		{strict, "POST", "/v1/jobs", []string{"Host: localhost" + port}, 202, ""},
		{strict, "POST", "/v1/jobs", []string{"Host: [::1]:1"}, 202, ""},
		{strict, "POST", "/v1/jobs", []string{"Host: GW.example.org."}, 202, ""},
		{strict, "POST", "/v1/jobs", []string{"Host: gw.example.org:9999"}, 202, ""},
		{strict, "POST", "/v1/jobs", []string{"Host: alice.example"}, 202, ""},
		{strict, "POST", "/v1/jobs", []string{"Host: other.example:8443"}, 202, ""},
		{strict, "POST", "/v1/jobs", []string{"Host: other.example"}, 421, ""},
		{strict, "POST", "/v1/jobs", []string{"Host: evil.example" + port}, 421, ""},
		{strict, "GET", "/representations", []string{"Host: evil.example"}, 421, ""},
		{strict, "GET", "/healthz", []string{"Host: 10.1.2.3:80"}, 200, ""},
		{strict, "GET", "/readyz", []string{"Host: 10.1.2.3:80"}, 200, ""},
		{demo, "GET", "/representations", []string{"Host: evil.example"}, 421, "*"},

		{strict, "POST", "/v1/jobs", []string{"Origin: https://page.example"}, 202, "https://page.example"},
		{strict, "POST", "/v1/jobs", []string{"Origin: http://page.example"}, 403, ""},
		{strict, "POST", "/v1/jobs", []string{"Origin: null"}, 403, ""},
		{strict, "POST", "/v1/jobs", []string{"Origin: https://evil.example"}, 403, ""},
		{strict, "GET", "/representations", []string{"Origin: https://evil.example"}, 403, ""},
		{strict, "POST", "/v1/jobs", []string{"Host: gw.example.org", "Origin: https://gw.example.org"}, 202, "https://gw.example.org"},
		{strict, "POST", "/v1/jobs", []string{"Host: [[::1]]"}, 421, ""},
		{strict, "POST", "/v1/jobs", []string{"Host: [localhost]"}, 421, ""},
		{strict, "POST", "/v1/jobs", []string{"Host: [localhost]:80"}, 421, ""},
		{strict, "POST", "/v1/jobs", []string{"Host: localhost]"}, 421, ""},
		{strict, "POST", "/v1/jobs", []string{"Host: [::1]"}, 202, ""},
		// Own pages: where the directory has https only, http will not do.
		{strict, "POST", "/v1/jobs", []string{"Host: alice.example", "Origin: https://alice.example"}, 202, "https://alice.example"},
		{strict, "POST", "/v1/jobs", []string{"Host: alice.example", "Origin: http://alice.example"}, 403, ""},
		{strict, "POST", "/v1/jobs", []string{"Host: 127.0.0.1:55501", "Origin: http://127.0.0.1:55501"}, 202, "http://127.0.0.1:55501"},
		{strict, "POST", "/v1/jobs", []string{"Host: localhost", "Origin: ftp://localhost"}, 403, ""},
		// Browsers that send no Origin.
		{strict, "POST", "/v1/jobs", []string{"Sec-Fetch-Site: cross-site", "Content-Type: "}, 403, ""},
		{strict, "POST", "/v1/jobs", []string{"Sec-Fetch-Site: same-site", "Content-Type: text/plain"}, 403, ""},
		{strict, "POST", "/v1/jobs", []string{"Sec-Fetch-Site: none", "Content-Type: "}, 202, ""},
		{strict, "POST", "/v1/jobs", []string{"Content-Type: "}, 202, ""},
		{strict, "POST", "/v1/jobs", []string{"Origin: https://page.example", "Content-Type: text/plain"}, 403, "https://page.example"},
		{strict, "POST", "/v1/jobs", []string{"Origin: https://page.example", "Content-Type: "}, 403, "https://page.example"},
		{strict, "POST", "/v1/jobs", []string{"Content-Type: application/json; charset=utf-8"}, 202, ""},
		{strict, "GET", "/representations", []string{"Origin: https://page.example", "Content-Type: "}, 200, "https://page.example"},
		{strict, "OPTIONS", "/v1/jobs", []string{"Origin: https://page.example"}, 204, "https://page.example"},
		{strict, "OPTIONS", "/v1/jobs", []string{"Origin: https://evil.example"}, 403, ""},
		{strict, "OPTIONS", "/v1/jobs", nil, 204, ""},

		{demo, "GET", "/representations", nil, 200, "*"},
		{demo, "POST", "/v1/jobs", []string{"Origin: null"}, 202, "*"},
		{demo, "POST", "/v1/jobs", []string{"Origin: https://any.example", "Content-Type: text/plain"}, 403, "*"},
		{demo, "GET", "/representation/x", []string{"Origin: https://any.example"}, 404, "*"},
		{demo, "OPTIONS", "/representation/x", []string{"Origin: https://any.example"}, 204, "*"},
	} {
		body := ""
		if tt.method == "POST" {
			body = job
		}
		a := tt.p.do(tt.method, tt.path, body, tt.headers...)
		name := fmt.Sprint(tt.method, " ", tt.path, " ", tt.headers)
		if a.code != tt.code || a.header.Get("Access-Control-Allow-Origin") != tt.allow {
			t.Errorf("%s: %d %q %s, want %d %q", name, a.code, a.header.Get("Access-Control-Allow-Origin"), a.body, tt.code, tt.allow)
		}
		headers, methods := "", ""
		if tt.allow != "" {
			headers, methods = "Content-Type, Authorization", "GET,PUT,POST,PATCH,DELETE"
			if strings.HasPrefix(tt.path, "/v1/") {
				headers += ", Idempotency-Key, Prefer, Last-Event-ID"
			}
		}
		if a.header.Get("Access-Control-Allow-Headers") != headers || a.header.Get("Access-Control-Allow-Methods") != methods {
			t.Errorf("%s: %v", name, a.header)
		}
		if a.code == 204 && a.body != "" {
			t.Errorf("%s: body %s", name, a.body)
		}
	}
}

func TestConfigurationIsChecked(t *testing.T) {
	p := newParty(t, nil)
	for want, change := range map[string]func(*Config){
		"required":                func(c *Config) { c.Jobs = nil },
		"at least 16":             func(c *Config) { c.Key = []byte("short") },
		"MaxParties is 129":       func(c *Config) { c.MaxParties = 129 },
		"MaxParties is 1":         func(c *Config) { c.MaxParties = 1 },
		"Deadline":                func(c *Config) { c.Deadline = 2 * maxDeadline },
		"not be negative":         func(c *Config) { c.Wait = -1 },
		"MaxConnections":          func(c *Config) { c.MaxConnections = -1 },
		"the catalogue has Add":   func(c *Config) { c.Catalogue = append(c.Catalogue, c.Catalogue[0]) },
		`CORS origin "evil.org"`:  func(c *Config) { c.CORS = []string{"evil.org"} },
		`CORS origin "https://a/`: func(c *Config) { c.CORS = []string{"https://a/b"} },
		`host "http://x"`:         func(c *Config) { c.Hosts = []string{"http://x"} },
		`host "*"`:                func(c *Config) { c.Hosts = []string{"*"} },
	} {
		c := p.gateway.config
		change(&c)
		if _, err := New(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// FuzzRequest sends any body to the functions that read one: none may fail with 500, or with other than JSON.
func FuzzRequest(f *testing.F) {
	for _, s := range []string{
		`{"args":["Add",[1],` + network3 + `]}`, kwargs("microprotocol", `"Add"`, "data", `[1]`, "network", network3, "parameters", `{}`),
		`{"microprotocol":"Add","data":[1],"parties":["alice","bob"],"deadline":1.5,"uuid":null}`, `{"args":[{"representation_uuid":"x"}]}`, `{"kwargs":{"task_id":1}}`,
	} {
		for route := range byte(6) {
			f.Add(route, []byte(s))
		}
	}
	directory, err := NewDirectory("alice", manyParties(3), true)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, route byte, body []byte) {
		// No store and no catalogue: nothing gets beyond the checks.
		g := &Gateway{config: Config{Directory: directory, MaxBody: 1 << 20, MaxParties: 32}, handles: newHandles(make([]byte, 32)), memory: newMemory(4 << 20), draining: context.Background()}
		if err := g.config.fill(); err != nil {
			t.Fatal(err)
		}
		simon := g.handles.roots[3]
		switch route % 6 {
		case 0, 1, 2, 3:
			name := []string{"compute", "create_task", "join_task", "get_task"}[route%6]
			c, err := representation.ParseCall(body)
			if err != nil {
				return
			}
			bound, err := simon.members[name].signature.Bind(c)
			if err != nil {
				return
			}
			if name == "compute" || name == "create_task" {
				at := map[string]int{"compute": 2, "create_task": 1}[name]
				_, err = g.readNetwork(bound[at])
				checkFuzzed(t, err)
				_, err = g.readMicroprotocol(bound[0])
				checkFuzzed(t, err)
			}
		case 4:
			w, r := httptest.NewRecorder(), httptest.NewRequest("POST", "/v1/jobs", strings.NewReader(string(body)))
			checkFuzzed(t, g.postJob(w, r))
		case 5:
			w, r := httptest.NewRecorder(), httptest.NewRequest("POST", "/representations", strings.NewReader(string(body)))
			checkFuzzed(t, g.create(w, r))
		}
	})
}

func checkFuzzed(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	if e := asError(err); e.Code < 400 || e.Code == http.StatusInternalServerError || e.Message == "" || len(e.Message) > 3000 {
		t.Errorf("%d %s", e.Code, e.Message)
	}
}
