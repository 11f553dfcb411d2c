package test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"os"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/broker"
)

// twins is a rack in which one party's node has no gateway of its own: two are processes of their own, behind a proxy that
// has the party's address and lets them take turns.
type twins struct {
	*rack
	party string
	names []string          // of the gateways
	at    map[string]string // their own addresses, by name

	private string // where the node's broker listens
}

// newTwins makes all files and starts the proxy, and nothing else. The node's broker has TLS of an authority of the house.
func newTwins(t *testing.T) *twins {
	t.Helper()
	w := &twins{rack: prepareRack(t, rackOptions{}), party: "alice", names: []string{"gw-1", "gw-2"}, at: map[string]string{}}
	w.weft("ca", "init", "--dir", "house", "--name", "house of alice")
	w.weft("ca", "issue", "broker", "--ca", "house", "--out", "broker", "--host", "localhost")
	w.private = freeAddress(t)
	w.rewriteIn(w.party, "node.yaml", "gateway", fmt.Sprintf("  listen: %q", strings.TrimPrefix(w.urls[w.party], "http://")), `  listen: ""`)
	w.rewriteIn(w.party, "node.yaml", "private", `  listen: ""`, fmt.Sprintf("  listen: %q", w.private))
	for key, file := range map[string]string{"cert": "tls.crt", "key": "tls.key", "ca": "ca.crt"} {
		w.rewriteIn(w.party, "node.yaml", "private", "    "+key+`: ""`, fmt.Sprintf("    %s: %q", key, "../broker/"+file))
	}
	keys := "  gateways:\n"
	for _, name := range w.names {
		w.weft("ca", "issue", name, "--operator", "--ca", "house", "--out", name)
		keys += "    - " + w.guest(name) + "\n"
	}
	w.rewrite(w.party, "node.yaml", "  gateways: []\n", keys)
	w.balance()
	return w
}

// guest makes the folder of a gateway and its process, and returns the key that the node has to know.
func (w *twins) guest(name string) string {
	w.t.Helper()
	at := freeAddress(w.t)
	_, port, err := net.SplitHostPort(w.private)
	must(w.t, err)
	out := w.weft("gateway", "init", "--node", w.party+"/node.yaml", "--out", name, "--listen", at, "--url", "tls://localhost:"+port)
	key := regexp.MustCompile(`U[A-Z2-7]{55}`).FindString(out)
	if key == "" {
		w.t.Fatalf("no key in %q", out)
	}
	w.at[name] = "http://" + at
	w.add(name, "gateway", "--config", name+"/gateway.yaml")
	return key
}

// balance puts a proxy in front of the gateways, as a house's load balancer does it: requests take turns, and one that meets a
// closed port goes to the next.
func (w *twins) balance() {
	w.t.Helper()
	var turn atomic.Uint64
	l, err := net.Listen("tcp", strings.TrimPrefix(w.urls[w.party], "http://"))
	must(w.t, err)
	s := httptest.NewUnstartedServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = "http", "turn", r.In.Host
		},
		FlushInterval: -1,
		ErrorHandler: func(rw http.ResponseWriter, _ *http.Request, _ error) {
			rw.WriteHeader(http.StatusServiceUnavailable)
		},
		Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var all []error
			for range w.names {
				name := w.names[turn.Add(1)%uint64(len(w.names))]
				c, err := new(net.Dialer).DialContext(ctx, "tcp", strings.TrimPrefix(w.at[name], "http://"))
				if err == nil {
					return c, nil
				}
				all = append(all, err)
			}
			return nil, errors.Join(all...)
		}},
	})
	s.Listener.Close()
	s.Listener = l
	s.Start()
	w.t.Cleanup(s.Close)
}

// up waits until gateways can serve.
func (w *twins) up(names ...string) {
	w.t.Helper()
	for _, name := range names {
		await(w.t, name+" is ready", func() bool {
			answer, err := w.client.Get(w.at[name] + "/readyz")
			if err != nil {
				return false
			}
			answer.Body.Close()
			return answer.StatusCode == http.StatusOK
		})
	}
}

// get asks one gateway itself.
func (w *twins) get(method, url, body string) (*http.Response, string) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, url, strings.NewReader(body))
	must(w.t, err)
	r.Header.Set("Content-Type", "application/json")
	answer, err := w.client.Do(r)
	must(w.t, err)
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	must(w.t, err)
	return answer, string(b)
}

// made is a request through the proxy whose answer is a representation.
func (w *twins) made(method, path, body string) string {
	w.t.Helper()
	var v struct{ UUID string }
	must(w.t, w.ask(w.t.Context(), w.party, method, path, body, http.StatusOK, &v))
	if v.UUID == "" {
		w.t.Fatalf("%s %s gave no representation", method, path)
	}
	return v.UUID
}

// Two gateways are one to whoever comes through the proxy, over the death of each and of their node.
func TestTwoGateways(t *testing.T) {
	t.Parallel()
	py := python(t)
	w := newTwins(t)
	for _, name := range w.names { // before their node
		w.procs[name].start()
	}
	w.procs["gw-1"].says("no connection to the broker, trying again")
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 503, "/v1/jobs": 503, "/representations": 503} {
		answer, body := w.get("GET", w.at["gw-1"]+path, "")
		if answer.StatusCode != want || path == "/v1/jobs" && (answer.Header.Get("Retry-After") == "" || !strings.Contains(body, "/problems/away")) {
			t.Errorf("%s: %d %v %s", path, answer.StatusCode, answer.Header, body)
		}
	}
	w.start()
	w.up(w.names...)

	t.Run("client", func(t *testing.T) { // the official one, each of whose requests comes to another gateway
		nodes := make([]string, len(w.parties))
		for i, p := range w.parties {
			nodes[i] = w.urls[p]
		}
		compute, one := uuid.NewString(), uuid.NewString()
		tasks := []clientTask{{w.urls[w.party], syncSteps()}}
		for i := range w.parties {
			steps, _ := studies[0].steps(nodes, i, compute, one)
			tasks = append(tasks, clientTask{nodes[i], append([]clientStep{{Do: "create", Kwargs: map[string]any{"protocol": "Simon"}, As: "simon"}}, steps...)})
		}
		for i, outcomes := range processes(t, tasks, py, "clients/driver.py") {
			expect(t, tasks[i].Steps, outcomes)
		}
	})

	// What is made now is used after each of the deaths.
	storage := w.made("PATCH", "/representation/"+w.made("GET", "/representation/"+w.made("POST", "/representations", `{"kwargs":{"plugin":"Util"}}`)+"/create", "{}"), `{"args":["kept"]}`)
	var none map[string]any
	must(t, w.ask(t.Context(), w.party, "PATCH", "/representation/"+w.made("GET", "/representation/"+storage+"/store", "{}"), `{"args":["k",[1,2,3]]}`, 200, &none))
	retrieve := w.made("GET", "/representation/"+storage+"/retrieve", "{}")
	kept := func() {
		t.Helper()
		for range 2 {
			var value any
			must(t, w.ask(t.Context(), w.party, "GET", "/representation/"+w.made("PATCH", "/representation/"+retrieve, `{"args":["k"]}`), "{}", 200, &value))
			if !strings.Contains(fmt.Sprint(value), "[1 2 3]") {
				t.Errorf("kept: %v", value)
			}
		}
	}
	kept()

	w.noDeputy(kept)
	w.killOne(kept)
	w.killNode(kept)
	w.events()
	w.reloadReaches()

	w.reconnects()
	w.drains()

	metrics, body := w.get("GET", w.at["gw-2"]+"/metrics", "")
	if metrics.StatusCode != 200 || !strings.Contains(body, "weft_hub_connected 1\n") || !strings.Contains(body, "weft_ready 1\n") || !strings.Contains(body, `weft_certificate_expiry_timestamp_seconds{certificate="identity"}`) {
		t.Errorf("metrics: %d %s", metrics.StatusCode, body)
	}
	for _, member := range append(w.names, w.members()...) {
		w.procs[member].stop()
		if l := w.procs[member].log.String(); strings.Contains(l, "panic") || strings.Contains(l, "Permissions Violation") {
			t.Errorf("%s said:\n%s", member, l)
		}
	}
}

// noDeputy has a gateway ask the node, and the store, to answer where streams are emptied: the node and the server may do
// that, and must not for it.
func (w *twins) noDeputy(kept func()) {
	w.t.Helper()
	seed, err := os.ReadFile(w.path("gw-1", "gateway.nk"))
	must(w.t, err)
	key, err := broker.ParseKey(seed)
	must(w.t, err)
	_, port, err := net.SplitHostPort(w.private)
	must(w.t, err)
	nc, err := broker.Dial(broker.Remote{
		URL: "tls://localhost:" + port, User: key,
		TLS: &broker.TLS{Cert: w.path("gw-1", "tls.crt"), Key: w.path("gw-1", "tls.key"), CA: w.path("gw-1", "ca.crt")},
	}, slog.New(slog.DiscardHandler), key.Inbox())
	must(w.t, err)
	defer nc.Close()
	const purge = "$JS.API.STREAM.PURGE.KV_" + broker.BucketObjects
	for _, subject := range []string{broker.SubjectNode, "$SRV.PING", "$JS.API.STREAM.INFO.KV_" + broker.BucketObjects} {
		must(w.t, nc.PublishRequest(subject, purge, nil))
	}
	_, err = nc.Request(broker.SubjectNode, nil, patience) // which comes after them
	must(w.t, err)
	kept()
}

// killOne kills each gateway in turn while a job waits.
func (w *twins) killOne(kept func()) {
	w.t.Helper()
	for _, name := range w.names {
		k := task{uuid: uuid.New(), data: map[string]string{"alice": "19", "bob": "5", "carol": "61"}, deadline: "5m"}
		j, err := w.post(w.t.Context(), w.party, k)
		must(w.t, err)
		all := map[string]jobReport{w.party: j}
		w.procs[name].kill()
		kept()
		for _, p := range w.parties[1:] {
			all[p], err = w.post(w.t.Context(), p, k)
			must(w.t, err)
		}
		w.wantSum(w.ended(all), "85")
		w.procs[name].start()
		w.up(name)
		kept()
	}
}

// killNode kills the node while a job waits: meanwhile there are clear answers, and afterwards nothing is lost.
func (w *twins) killNode(kept func()) {
	w.t.Helper()
	t := w.t
	k := task{uuid: uuid.New(), data: map[string]string{"alice": "19", "bob": "5", "carol": "62"}, deadline: "5m"}
	j, err := w.post(t.Context(), w.party, k)
	must(t, err)
	all := map[string]jobReport{w.party: j}
	w.procs[w.party].kill()
	for _, name := range w.names {
		await(t, name+" notices", func() bool {
			answer, _ := w.get("GET", w.at[name]+"/readyz", "")
			return answer.StatusCode == 503
		})
		for _, r := range [][2]string{{"POST", "/v1/jobs"}, {"GET", "/v1/jobs/" + j.ID.String()}} {
			began := time.Now()
			answer, body := w.get(r[0], w.at[name]+r[1], k.body(w.party, w.parties))
			if answer.StatusCode != 503 || answer.Header.Get("Retry-After") == "" || time.Since(began) > 10*time.Second {
				t.Errorf("%s %s at %s without its node: %d %s after %s", r[0], r[1], name, answer.StatusCode, body, time.Since(began))
			}
		}
	}
	w.procs[w.party].start()
	w.up(w.names...)
	kept()
	for _, p := range w.parties[1:] {
		all[p], err = w.post(t.Context(), p, k)
		must(t, err)
	}
	w.wantSum(w.ended(all), "86")
	kept()
}

// events listens at one gateway to a job that was given to the other.
func (w *twins) events() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	k := task{uuid: uuid.New(), data: map[string]string{"alice": "1", "bob": "2", "carol": "3"}, deadline: "5m"}
	answer, body := w.get("POST", w.at["gw-1"]+"/v1/jobs", k.body(w.party, w.parties))
	var j jobReport
	if answer.StatusCode != 202 || json.Unmarshal([]byte(body), &j) != nil {
		w.t.Fatalf("%d %s", answer.StatusCode, body)
	}
	r, err := http.NewRequestWithContext(ctx, "GET", w.at["gw-2"]+"/v1/jobs/"+j.ID.String()+"/events", nil)
	must(w.t, err)
	stream, err := http.DefaultClient.Do(r)
	must(w.t, err)
	defer stream.Body.Close()
	lines := bufio.NewScanner(stream.Body)
	for sent := false; lines.Scan(); {
		if !strings.HasPrefix(lines.Text(), "data: ") {
			continue
		}
		if !sent {
			sent = true
			for _, p := range w.parties[1:] {
				_, err := w.post(ctx, p, k)
				must(w.t, err)
			}
		}
		if strings.Contains(lines.Text(), `"state":"done"`) {
			return
		}
	}
	w.t.Errorf("the other gateway did not tell of the job's end: %v", lines.Err())
}

// reconnects has a gateway read its configuration again, and with it its certificate.
func (w *twins) reconnects() {
	w.t.Helper()
	must(w.t, w.procs["gw-1"].cmd.Process.Signal(syscall.SIGHUP))
	w.procs["gw-1"].says("the configuration was read again", "reloaded=node.cert")
	w.up("gw-1")
}

// drains asks a gateway to end while a request waits for a result, which it gets.
func (w *twins) drains() {
	w.t.Helper()
	k := task{uuid: uuid.New(), data: map[string]string{"alice": "1", "bob": "2", "carol": "4"}, deadline: "5m"}
	j, err := w.post(w.t.Context(), w.party, k)
	must(w.t, err)
	got := make(chan string, 1)
	go func() {
		answer, err := w.client.Get(w.at["gw-1"] + "/v1/jobs/" + j.ID.String() + "/result")
		if err != nil {
			got <- err.Error()
			return
		}
		defer answer.Body.Close()
		body, _ := io.ReadAll(answer.Body) // what is missing is missed below
		got <- fmt.Sprint(answer.StatusCode, " ", string(body))
	}()
	await(w.t, "the request waits", func() bool {
		_, body := w.get("GET", w.at["gw-1"]+"/metrics", "")
		return strings.Contains(body, "weft_http_waiting_requests 1\n")
	})
	must(w.t, w.procs["gw-1"].cmd.Process.Signal(syscall.SIGTERM))
	await(w.t, "gw-1 says that it ends", func() bool {
		_, body := w.get("GET", w.at["gw-1"]+"/readyz", "")
		return strings.Contains(body, "shutting down")
	})
	for _, p := range w.parties[1:] {
		_, err := w.post(w.t.Context(), p, k)
		must(w.t, err)
	}
	if text := <-got; !strings.HasPrefix(text, "200 ") || !strings.Contains(text, `"sum":7`) {
		w.t.Errorf("the request that waited got %s", text)
	}
	if code := w.procs["gw-1"].code(); code != 0 {
		w.t.Errorf("gw-1 ended with %d", code)
	}
	w.procs["gw-1"].start()
	w.up("gw-1")
}

// reloadReaches changes the node's list of parties and has the node read it.
func (w *twins) reloadReaches() {
	w.t.Helper()
	w.rewrite(w.party, "node.yaml", `organisation: "bob org"`, `organisation: "Bob Clinic"`)
	w.rewrite(w.party, "node.yaml", w.urls["bob"], "http://bob.example.org:55502")
	w.weft("node", "reload", "--config", w.party+"/node.yaml")
	for _, name := range w.names {
		await(w.t, name+" knows the new list", func() bool {
			_, body := w.get("GET", w.at[name]+"/v1/parties", "")
			return strings.Contains(body, "Bob Clinic") && strings.Contains(body, "http://bob.example.org:55502")
		})
	}
}

// A gateway that its node does not know, or that is another party's, says so.
func TestGatewayOfNobody(t *testing.T) {
	t.Parallel()
	w := newTwins(t)
	w.names = w.names[:1]
	w.weft("ca", "issue", "stranger", "--operator", "--ca", "house", "--out", "stranger")
	w.guest("stranger")
	w.procs["gw-1"].start()
	w.start()
	stranger := w.procs["stranger"]
	stranger.start()
	stranger.says("its entry there must have the public key of our nkey file")
	answer, body := w.get("GET", w.at["stranger"]+"/readyz", "")
	if answer.StatusCode != 503 || !strings.Contains(body, "no connection to this party's node") {
		t.Errorf("%d %s", answer.StatusCode, body)
	}
	stranger.stop()

	w.rewrite("gw-2", "gateway.yaml", "party: alice", "party: bob")
	other := w.procs["gw-2"]
	other.start()
	if code := other.code(); code != 1 || !strings.Contains(other.log.String(), "node.url leads to the node of alice, and party of this configuration is bob") {
		t.Errorf("ended with %d", code)
	}
}
