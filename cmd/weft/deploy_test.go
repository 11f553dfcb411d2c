package main

import (
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// The example files of deploy fit each other and this program.
func TestExampleOfAProxy(t *testing.T) {
	b, err := os.ReadFile("../../deploy/examples/gateway.yaml")
	if err != nil {
		t.Fatal(err)
	}
	c := defaultNode()
	if err := decode("gateway.yaml", b, &c); err != nil {
		t.Fatal(err)
	}
	if err := c.Gateway.check(); err != nil {
		t.Error(err)
	}
	if b, err = os.ReadFile("../../deploy/examples/nginx.conf"); err != nil {
		t.Fatal(err)
	}
	d := nginx(t, string(b))
	if got := d["http/upstream weft/server"]; !slices.Equal(got, []string{c.Gateway.Listen}) {
		t.Errorf("the proxy asks %v, and the gateway listens on %s", got, c.Gateway.Listen)
	}
	host, _, err := net.SplitHostPort(c.Gateway.Listen)
	if err != nil || !slices.Equal(c.Gateway.BehindProxy, []string{host}) {
		t.Errorf("the proxy is not trusted: %v", c.Gateway.BehindProxy)
	}
	for key, want := range map[string]string{
		"http/server/server_name":                        c.Gateway.Hosts[0],
		"http/server/listen":                             "443 ssl",
		"http/server/client_max_body_size":               "64m",
		"http/server/location //proxy_pass":              "http://weft",
		"http/server/location //proxy_http_version":      "1.1",
		"http/server/location //proxy_set_header":        "X-Forwarded-For $remote_addr",
		"http/server/location //proxy_request_buffering": "off",
		"http/server/location //proxy_buffering":         "off",
	} {
		if !slices.Contains(d[key], want) {
			t.Errorf("%s is %q, want %q", key, d[key], want)
		}
	}
	for _, header := range []string{"Host $host", "X-Forwarded-Proto $scheme", `Connection ""`} {
		if !slices.Contains(d["http/server/location //proxy_set_header"], header) {
			t.Errorf("the header %s is not set", header)
		}
	}
	wait, err := time.ParseDuration(strings.Join(d["http/server/location //proxy_read_timeout"], ""))
	if err != nil || wait <= 10*time.Minute {
		t.Errorf("the proxy gives a waiting download up after %v (%v)", wait, err)
	}
}

// nginx reads a configuration into the arguments of each directive, by the names of the blocks around it.
func nginx(t *testing.T, text string) map[string][]string {
	t.Helper()
	text = regexp.MustCompile(`(?m)#.*$`).ReplaceAllString(text, "")
	directives := map[string][]string{}
	var blocks, words []string
	for _, token := range regexp.MustCompile(`"[^"]*"|[{};]|[^\s{};"]+`).FindAllString(text, -1) {
		switch token {
		case "{":
			blocks, words = append(blocks, strings.Join(words, " ")), nil
		case "}":
			if len(blocks) == 0 || len(words) > 0 {
				t.Fatalf("} in the wrong place, after %q", words)
			}
			blocks = blocks[:len(blocks)-1]
		case ";":
			if len(words) == 0 {
				t.Fatal("; without a directive")
			}
			key := strings.Join(append(slices.Clone(blocks), words[0]), "/")
			directives[key], words = append(directives[key], strings.Join(words[1:], " ")), nil
		default:
			words = append(words, token)
		}
	}
	if len(blocks)+len(words) > 0 {
		t.Fatalf("it ends within %q %q", blocks, words)
	}
	return directives
}

// The parts of a node, of its gateways and of their proxy fit each other.
func TestExampleOfTwoGateways(t *testing.T) {
	read := func(name string, into any) {
		t.Helper()
		b, err := os.ReadFile("../../deploy/examples/two-gateways/" + name)
		if err == nil {
			err = decode(name, b, into)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	n, g := defaultNode(), defaultGatewayProcess()
	read("node.yaml", &n)
	read("gateway.yaml", &g)
	if err := n.Private.check(); err != nil || n.Gateway.Listen != "" || len(n.Private.Gateways) != 2 {
		t.Errorf("the node: %v, %+v", err, n.Private)
	}
	if err := g.check(); err != nil {
		t.Error(err)
	}
	_, port, err := net.SplitHostPort(n.Private.Listen)
	if err != nil || !strings.HasSuffix(g.Node.URL, ":"+port) || !strings.HasPrefix(g.Node.URL, "tls://") {
		t.Errorf("the gateway dials %s, and the node listens on %s", g.Node.URL, n.Private.Listen)
	}
	b, err := os.ReadFile("../../deploy/examples/two-gateways/nginx.conf")
	if err != nil {
		t.Fatal(err)
	}
	d := nginx(t, string(b))
	if got := d["upstream weft/server"]; len(got) != 2 || got[0] != g.Gateway.Listen {
		t.Errorf("the proxy asks %v, and a gateway listens on %s", got, g.Gateway.Listen)
	}
	if got := d["server/location //proxy_ssl_name"]; !slices.Equal(got, g.Gateway.Hosts) {
		t.Errorf("the proxy wants the name %v, and the gateway is %v", got, g.Gateway.Hosts)
	}
}
