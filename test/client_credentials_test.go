package test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// guarded is a gateway with TLS that wants a token or a client certificate, and a folder in which a client finds, under the
// names that gateway/README.md has for them, its token, certificate and key, and the authority of the gateway's certificate.
type guarded struct {
	t          *testing.T
	r          *rack
	dir        string
	url, token string
	blocks     map[string]string // of the README's section about credentials, by language
}

func newGuarded(t *testing.T) *guarded {
	t.Helper()
	g := &guarded{t: t, r: prepareRack(t, rackOptions{}), dir: t.TempDir(), blocks: map[string]string{}}
	g.r.weft("ca", "issue", "gateway", "--host", "localhost", "--host", "127.0.0.1")
	writeClientCertificate(t, g.dir, "anna")
	must(t, copyFile(g.r.path("ca", "ca.crt"), filepath.Join(g.dir, "ca.crt")))
	must(t, copyFile(filepath.Join(g.dir, "anna.crt"), g.r.path("alice", "people.crt"))) // it is its own authority
	for old, new := range map[string]string{
		"    tokens: false\n": "    tokens: true\n", "    certificates: {}\n": "    certificates: {anna: analyst}\n",
		"    cert: \"\"\n": "    cert: ../gateway/tls.crt\n", "    key: \"\"\n": "    key: ../gateway/tls.key\n", "    client_ca: \"\"\n": "    client_ca: people.crt\n",
	} {
		g.r.rewriteIn("alice", "node.yaml", "gateway", old, new)
	}
	g.token = strings.TrimSpace(g.r.weft("token", "create", "--config", "alice/node.yaml", "--name", "anna", "--role", "analyst"))
	must(t, os.WriteFile(filepath.Join(g.dir, "token.txt"), []byte(g.token+"\n"), 0o600))
	_, port, err := net.SplitHostPort(strings.TrimPrefix(g.r.urls["alice"], "http://"))
	must(t, err)
	g.url = "https://localhost:" + port

	text, err := os.ReadFile("../gateway/README.md")
	must(t, err)
	_, section, ok := strings.Cut(string(text), "\n## Credentials of the official clients\n")
	if !ok {
		t.Fatal("gateway/README.md has no section about credentials")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	for _, m := range regexp.MustCompile("(?ms)^```(\\w+)\n(.*?)^```$").FindAllStringSubmatch(section, -1) {
		g.blocks[m[1]] = strings.ReplaceAll(m[2], "https://gateway.example.org", g.url)
	}
	g.r.procs["alice"].start()
	g.r.procs["alice"].says("the node is running")
	return g
}

func copyFile(from, to string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o600)
}

// writeClientCertificate writes NAME.crt, which is its own authority, and NAME.key.
func writeClientCertificate(t *testing.T, dir, name string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, name+".crt"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, name+".key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
}

// run has a client upload a value and read it back, and wants that it can, as who; who is empty for a client that must not
// get anywhere. base is the gateway's address as the client is given it.
func (g *guarded) run(what, who, base string, env []string, program string, args ...string) {
	g.t.Helper()
	life := len(g.r.procs["alice"].life())
	in, err := json.Marshal(clientTask{Base: base, Steps: []clientStep{{Do: "upload", As: "v", Args: []any{42}}, {Do: "download", On: "v"}}})
	must(g.t, err)
	c := exec.CommandContext(g.t.Context(), program, args...)
	var problems strings.Builder
	c.Dir, c.Env, c.Stdin, c.Stderr = g.dir, append(rackEnviron(), env...), strings.NewReader(string(in)), &problems
	out, err := c.Output()
	served := strings.Contains(string(out), `{"representation":true}`) && strings.Contains(string(out), `{"value":42}`)
	served = served || strings.Contains(string(out), `{"representation": true}`) && strings.Contains(string(out), `{"value": 42}`)
	if served != (who != "") {
		g.t.Errorf("%s: %v: %s%s", what, err, out, &problems)
		return
	}
	log := g.r.procs["alice"].life()[life:]
	if who != "" && !strings.Contains(log, "msg=audit who="+who+" ") {
		g.t.Errorf("%s: the gateway does not take the client for %s: %s", what, who, log)
	}
}

// What gateway/README.md says of credentials, certificates and proxies works with the clients as they are; what it says does
// not work would be good news.
func TestCredentialsOfTheOfficialClients(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	client := func(name string) string {
		path, err := filepath.Abs(filepath.Join("clients", name))
		must(t, err)
		return path
	}
	const token, certificate = "token:anna", "certificate:anna"
	withToken := strings.Replace(g.url, "://", "://token:"+g.token+"@", 1)

	t.Run("Python", func(t *testing.T) {
		py, driver := python(t), "\nexec(open("+quotedPath(client("driver.py"))+").read())\n"
		verified := "import federatedsecure.client.httpsinterface as h\nh.HttpsInterface.ssl_verify = 'ca.crt'\n"
		text, ok := strings.CutSuffix(g.blocks["python"], `print(api.list()[-1]["protocol"])       # Simon`+"\n")
		if !ok {
			t.Fatalf("the example is\n%s", g.blocks["python"])
		}
		own := text + "import federatedsecure.client.api\nfederatedsecure.client.Api = lambda base: api\n" // the driver's is this one
		by := func(old, new string) string {
			if !strings.Contains(own, old) {
				t.Errorf("the example lacks %q", old)
			}
			return strings.Replace(own, old, new, 1)
		}
		netrc := filepath.Join(g.dir, "netrc")
		must(t, os.WriteFile(netrc, []byte(strings.NewReplacer("gateway.example.org", "localhost", "weft_…", g.token).Replace(g.blocks["netrc"])), 0o600))
		g.run("nothing", "", g.url, nil, py, "-c", verified+driver)
		g.run("the URL", token, withToken, nil, py, "-c", verified+driver)
		g.run(".netrc", token, g.url, []string{"NETRC=" + netrc}, py, "-c", verified+driver)
		g.run("an interface", token, g.url, nil, py, "-c", own+driver)
		g.run("an interface with a certificate", certificate, g.url, nil, py, "-c",
			by(`hook(headers={"Authorization": "Bearer " + token}, **arguments)`, `hook(cert=("anna.crt", "anna.key"), **arguments)`)+driver)
		g.run("another authority", "", g.url, nil, py, "-c", by(`"ca.crt"`, `"anna.crt"`)+driver)
		g.viaProxy("Python by a proxy", func(env []string) { g.run("a proxy", token, g.url, env, py, "-c", own+driver) })
	})
	t.Run("R", func(t *testing.T) {
		r := interpreter(t, "Rscript", "r-base-core r-cran-httr r-cran-jsonlite", "-e", "library(httr); library(jsonlite)")
		driver, own := "\nsource("+quotedPath(client("driver.R"))+")\n", g.blocks["r"]
		only := func(drop string) string {
			return regexp.MustCompile("(?m)^set_config\\("+drop+".*$").ReplaceAllString(own, "")
		}
		certified := strings.Replace(only("add_headers"), "# or, with a client certificate: ", "", 1)
		g.run("nothing", "", g.url, nil, r, "-e", only("add_headers")+driver)
		g.run("the URL", "", withToken, nil, r, "-e", only("add_headers")+driver)
		g.run("a header", token, g.url, nil, r, "-e", own+driver)
		g.run("a certificate", certificate, g.url, nil, r, "-e", certified+driver)
		g.run("no authority", "", g.url, nil, r, "-e", only("config.cainfo")+driver)
		g.viaProxy("R by a proxy", func(env []string) { g.run("a proxy", token, g.url, env, r, "-e", own+driver) })
	})
	t.Run("Node", func(t *testing.T) {
		node := interpreter(t, "node", "nodejs", "--version")
		must(t, os.WriteFile(filepath.Join(g.dir, "signed.mjs"), []byte(g.blocks["js"]), 0o600))
		authority, driver := []string{"NODE_EXTRA_CA_CERTS=ca.crt"}, client("driver.mjs")
		g.run("nothing", "", g.url, authority, node, driver, "run")
		g.run("the URL", "", withToken, authority, node, driver, "run")
		g.run("a fetch of one's own", token, g.url, authority, node, "--import", "./signed.mjs", driver, "run")
		g.run("no authority", "", g.url, nil, node, "--import", "./signed.mjs", driver, "run")
	})
}

// viaProxy runs a client whose environment names a proxy, and wants that all of its connections come from there.
func (g *guarded) viaProxy(what string, run func(env []string)) {
	g.t.Helper()
	var tunnels atomic.Int64
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		to, err := net.Dial("tcp", r.Host)
		if r.Method != http.MethodConnect || err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer to.Close()
		tunnels.Add(1)
		w.WriteHeader(http.StatusOK)
		from, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer from.Close()
		over := make(chan struct{})
		go func() {
			defer close(over)
			_, _ = io.Copy(from, to)
		}()
		_, _ = io.Copy(to, buffered)
		_ = to.Close()
		<-over
	}))
	defer proxy.Close()
	run([]string{"HTTPS_PROXY=" + proxy.URL, "https_proxy=" + proxy.URL, "NO_PROXY=", "no_proxy="})
	if tunnels.Load() == 0 {
		g.t.Errorf("%s: no connection came to the proxy", what)
	}
}

func quotedPath(path string) string {
	b, err := json.Marshal(filepath.ToSlash(path))
	if err != nil {
		panic(err) // of a text
	}
	return string(b)
}
