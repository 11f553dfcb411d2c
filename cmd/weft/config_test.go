package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"github.com/weftmpc/weft/broker/identity"
)

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "node.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// full is a configuration in which no key has its default.
func full() nodeConfig {
	c := defaultNode()
	c.Coordinator = strings.Repeat("ab", 32)
	c.Parties = []member{
		{Name: "alice", Organisation: "Alice: Hospital #1", Fingerprint: identity.Fingerprint{1}, Gateways: []string{"http://127.0.0.1:55501"}},
		{Name: "bob", Organisation: `Bob's "clinic"`, Fingerprint: identity.Fingerprint{2}},
	}
	c.Gateway.Hosts = []string{"weft.example.org"}
	c.Gateway.Deadline = 90 * time.Second
	c.Private = privateConfig{
		Listen: "192.0.2.7:4333", TLS: privateTLS{Cert: "house.crt", Key: "house.key", CA: "house-ca.crt"},
		Gateways: []string{"UCZB2DGDV5KR7B425COU7Z2G5Y66T4RAT46W3YRMRJWBFQN5Q3A3MG2O"},
		Services: map[string]string{"mean": "UAZCQ6UGXSPGIVLPEESVQTTS7ITKDFBLUFAFZHCZW5MI4J5NJBEQ5P6Y"},
	}
	return c
}

// What init writes is what a node reads.
func TestConfigRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "node.yaml")
	if err := writeConfig(path, "A title.", full()); err != nil {
		t.Fatal(err)
	}
	c := nodeConfig{}
	if err := loadConfig(path, &c, nil); err != nil {
		b, _ := os.ReadFile(path)
		t.Fatalf("%v\n%s", err, b)
	}
	if d := cmp.Diff(full(), c); d != "" {
		t.Error(d)
	}
	if err := writeConfig(path, "A title.", full()); err == nil || !strings.Contains(err.Error(), "not overwritten") {
		t.Errorf("a file that is there: %v", err)
	}
}

// Every key of every configuration has a comment, and lines that fit a terminal.
func TestConfigComments(t *testing.T) {
	for _, c := range []any{full(), defaultCoordinator(), defaultHub(), defaultGatewayProcess()} {
		var b strings.Builder
		if err := render(&b, reflect.ValueOf(c), ""); err != nil {
			t.Fatal(err)
		}
		text := b.String()
		var keys func(reflect.Type)
		keys = func(typ reflect.Type) {
			for f := range fields(typ) {
				if f.Tag.Get("doc") == "" {
					t.Errorf("%s.%s has no comment", typ.Name(), keyOf(f))
				}
				if !strings.Contains(text, keyOf(f)+":") {
					t.Errorf("%s is not written", keyOf(f))
				}
				if isGroup(f.Type) {
					keys(f.Type)
				}
			}
		}
		keys(reflect.TypeOf(c))
		for line := range strings.Lines(text) {
			if strings.HasPrefix(strings.TrimSpace(line), "#") && len(line) > 101 {
				t.Errorf("a comment of %d characters: %s", len(line), line)
			}
		}
		if err := yaml.Unmarshal([]byte(text), new(any)); err != nil {
			t.Error(err)
		}
	}
}

func TestConfigRefuses(t *testing.T) {
	for _, row := range []struct{ name, text, want, hint string }{
		{"a mistyped key", "profil: strict\n", `line 1: unknown key "profil"`, `"profile"`},
		{"a nested one", "gateway:\n  listen: 127.0.0.1:1\n  host: []\n", `line 3: unknown key "gateway.host"`, `"gateway.hosts"`},
		{"one in a list", "parties:\n  - name: a\n    fingreprint: b\n", `line 3: unknown key "parties[0].fingreprint"`, `"parties[0].fingerprint"`},
		{"nothing near", "xyzzy: 1\n", `line 1: unknown key "xyzzy"`, "identity, ca, state"},
		{"bytes that look like a key", "\u07b4+\x1d\u0414Famx: [", "line 1", ""},
		{"a word that nobody means", "F\u00d4A&sc: 1\n", "line 1: a key that is no plain word", "is this a configuration file?"},
		{"a key twice", "ca: a\nca: b\n", "line 2", ""},
		{"a map for a word", "ca: {a: b}\n", "line 1: ca: text", ""},
		{"a number for a word", "gateway:\n  listen: 55501\n", "line 2: gateway.listen: text", ""},
		{"an alias", "ca: &a x\nstate: *a\n", "line 1: a tag", ""},
		{"a tag on nothing", "gateway:\n  cors:\n    - !- http://x\n", "line 3: a tag", ""},
		{"a word for a map", "gateway: yes please\n", "line 1: gateway: a group", ""},
		{"no duration", "gateway:\n  deadline: soon\n", "line 2: gateway.deadline: a duration", ""},
		{"a duration without unit", "gateway:\n  deadline: 90\n", "line 2: gateway.deadline: a duration", ""},
		{"deep nesting", strings.Repeat("{a: ", 1000), "nested too deeply", ""},
		{"deep lists", strings.Repeat("- ", 1000), "nested too deeply", ""},
		{"deep blocks", strings.Repeat(" ", 200) + "a: b", "nested too deeply", ""},
		{"no YAML", "a: [\n", "line", ""},
		{"two documents", "ca: a\n---\nca: b\n", "several documents", ""},
		{"a short fingerprint", "parties:\n  - fingerprint: abc\n", "64 hexadecimal digits", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := defaultNode()
			err := loadConfig(write(t, row.text), &c, nil)
			if err == nil {
				t.Fatal("it was accepted")
			}
			if !strings.Contains(err.Error(), row.want) {
				t.Errorf("%v", err)
			}
			var h *hinted
			if row.hint != "" && (!errors.As(err, &h) || !strings.Contains(h.hint, row.hint)) {
				t.Errorf("no hint %s: %+v", row.hint, err)
			}
			for _, foreign := range []string{"Go ", "nodeConfig", "struct", "[]main"} {
				if strings.Contains(err.Error(), foreign) {
					t.Errorf("the message speaks of the program, not of the file: %v", err)
				}
			}
		})
	}
}

func TestConfigEnvironment(t *testing.T) {
	path := write(t, "hub:\n  url: tls://one:4222\n")
	c := defaultNode()
	err := loadConfig(path, &c, []string{"WEFT_HUB_URL=tls://two:4222", "WEFT_GATEWAY_DEADLINE=7m", "WEFT_GATEWAY_CORS=https://a, https://b",
		"WEFT_GATEWAY_INSECURE_WITHOUT_ACCESS_CONTROL=true", "WEFT_PYTHON=python3", "HOME=/"})
	if err != nil {
		t.Fatal(err)
	}
	if c.Hub.URL != "tls://two:4222" || c.Gateway.Deadline != 7*time.Minute || !c.Gateway.Insecure || len(c.Gateway.CORS) != 2 || c.Gateway.CORS[1] != "https://b" {
		t.Errorf("%+v", c)
	}
	for _, wrong := range []string{"WEFT_HUB_URI=tls://x:1", "WEFT_GATEWAY_DEADLINE=7", "WEFT_GATEWAY_INSECURE_WITHOUT_ACCESS_CONTROL=perhaps"} {
		if err := loadConfig(path, &c, []string{wrong}); err == nil || !strings.Contains(err.Error(), strings.Split(wrong, "=")[0]) {
			t.Errorf("%s: %v", wrong, err)
		}
	}
}

func TestNodeConfigCheck(t *testing.T) {
	for _, row := range []struct {
		want   string
		change func(*nodeConfig)
	}{
		{"", func(*nodeConfig) {}},
		{"durability", func(c *nodeConfig) { c.Durability = "none" }},
		{"profile", func(c *nodeConfig) { c.Profile = "lax" }},
		{"coordinator", func(c *nodeConfig) { c.Coordinator = "" }},
		{"coordinator", func(c *nodeConfig) { c.Coordinator = "abc" }},
		{"gateway.listen", func(c *nodeConfig) { c.Gateway.Listen = "0.0.0.0:55501" }},
		{"gateway.listen", func(c *nodeConfig) { c.Gateway.Listen = "127.0.0.1" }},
		{"", func(c *nodeConfig) { c.Gateway.Listen, c.Gateway.Insecure = "0.0.0.0:55501", true }},
		{"gateway.deadline", func(c *nodeConfig) { c.Gateway.Deadline = 2 * time.Hour }},
		{"parties", func(c *nodeConfig) { c.Parties = c.Parties[:1] }},
		{"parties[1]", func(c *nodeConfig) { c.Parties[1].Name = "alice" }},
		{"parties[1]", func(c *nodeConfig) { c.Parties[1].Fingerprint = c.Parties[0].Fingerprint }},
		{"parties[1].fingerprint", func(c *nodeConfig) { c.Parties[1].Fingerprint = identity.Fingerprint{} }},
		{"parties[0].organisation", func(c *nodeConfig) { c.Parties[0].Organisation = "" }},
		{"", func(c *nodeConfig) { c.Helpers = []helperConfig{helper()} }},
		{"helpers[0].name", func(c *nodeConfig) { h := helper(); h.Name = "The Dealer"; c.Helpers = []helperConfig{h} }},
		{"helpers[1].fingerprint of center is missing", func(c *nodeConfig) {
			h := helper()
			h.Fingerprint = identity.Fingerprint{}
			c.Helpers = []helperConfig{helper(), h}
		}},
		{"", func(c *nodeConfig) {
			h := helper()
			h.Roles = []string{"dealer", "opener", "aggregator"}
			c.Helpers = []helperConfig{h}
		}},
		{`helpers[0].roles: "king" is unknown`, func(c *nodeConfig) { h := helper(); h.Roles = []string{"king"}; c.Helpers = []helperConfig{h} }},
		{"roles and microprotocols must be listed", func(c *nodeConfig) { h := helper(); h.Microprotocols = nil; c.Helpers = []helperConfig{h} }},
		{`helpers[0].microprotocols: "SecureSumm" is unknown`, func(c *nodeConfig) {
			h := helper()
			h.Microprotocols = []string{"SecureSumm"}
			c.Helpers = []helperConfig{h}
		}},
		{"", func(c *nodeConfig) { c.Disclose = []string{"pooled-counts-to-opener", "pooled-counts-to-all"} }},
		{`disclose[1]: "everything" is unknown: known are [pooled-counts-to-opener pooled-counts-to-all]`, func(c *nodeConfig) {
			c.Disclose = []string{"pooled-counts-to-all", "everything"}
		}},
		{`exclude_evaluators: "dave" is not among the parties`, func(c *nodeConfig) { c.Excluded = []string{"dave"} }},
	} {
		c := full()
		row.change(&c)
		err := c.check()
		if (row.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), row.want) {
			t.Errorf("%q: %v", row.want, err)
		}
	}
}

func helper() helperConfig {
	return helperConfig{Name: "center", Fingerprint: identity.Fingerprint{9}, Roles: []string{"dealer"}, Microprotocols: []string{"SecureSum"}}
}

func TestExpiryIsTold(t *testing.T) {
	o := newOffice(t)
	o.issue("alice", "--days", "5")
	o.issue("bob", "--days", "30")
	var b bytes.Buffer
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // once
	warnExpiry(ctx, slog.New(slog.NewTextHandler(&b, nil)), func() time.Time { return o.now }, o.path("alice", "identity.crt"), o.path("alice", "tls.crt"),
		o.path("bob", "identity.crt"), o.path("carol", "tls.crt"))
	said := b.String()
	if strings.Count(said, "weft ca issue alice --renew") != 2 || strings.Contains(said, "bob") || !strings.Contains(said, "carol") {
		t.Error(said)
	}
}
