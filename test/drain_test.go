package test

import (
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A node that is asked to end in the middle of a computation ends when that is done: the client that waits gets its result,
// new work is answered with 503 and when to come back, and what waits for others goes on after the next start.
func TestDrainEndsComputations(t *testing.T) {
	t.Parallel()
	r := newRack(t, rackOptions{proxied: true})
	r.wantSum(r.sumAll("1", "2", "3"), "6") // so that channels are open
	k := r.sum(5 * time.Minute)
	waits := r.give(k, "alice")
	for _, p := range r.proxies {
		p.slow(200 * time.Millisecond)
	}
	running := r.give(r.sum(5 * time.Minute))
	r.comesTo("alice", running["alice"].ID, "running")
	result := make(chan string, 1)
	go func() {
		answer, err := r.client.Get(r.urls["alice"] + "/v1/jobs/" + running["alice"].ID.String() + "/result")
		if err != nil {
			result <- err.Error()
			return
		}
		defer answer.Body.Close()
		b, _ := io.ReadAll(answer.Body)
		result <- answer.Status + " " + string(b)
	}()
	await(t, "a client waits", func() bool { return strings.Contains(r.metrics("alice"), "\nweft_http_waiting_requests 1\n") })
	must(t, r.procs["alice"].cmd.Process.Signal(syscall.SIGTERM))
	r.procs["alice"].says("the node is stopping")
	answer, err := r.client.Post(r.urls["alice"]+"/v1/jobs", "application/json", strings.NewReader(r.sum(time.Minute).body("alice", r.parties)))
	must(t, err)
	answer.Body.Close()
	if answer.StatusCode != http.StatusServiceUnavailable || answer.Header.Get("Retry-After") == "" {
		t.Errorf("new work is answered with %s, Retry-After %q", answer.Status, answer.Header.Get("Retry-After"))
	}
	if got := <-result; !strings.HasPrefix(got, "200 ") || !strings.Contains(got, `"sum":6`) {
		t.Errorf("the waiting client got %s", got)
	}
	if code := r.procs["alice"].code(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	for _, p := range r.proxies {
		p.slow(0)
	}
	r.procs["alice"].start()
	r.ready("alice")
	if j := r.look("alice", running["alice"].ID); j.State != "done" || j.Attempt != 1 {
		t.Errorf("after the restart: %+v", j)
	}
	for party, j := range r.give(k, "bob", "carol") {
		waits[party] = j
	}
	r.wantSum(r.ended(waits), "6")
}

// A computation whose other party has fallen silent holds the end of a node up for the configured time and no longer, and
// completes after the next start.
func TestDrainIsBounded(t *testing.T) {
	t.Parallel()
	r := prepareRack(t, rackOptions{proxied: true})
	r.rewrite("alice", "node.yaml", "drain: 30s", "drain: 1s")
	r.start()
	r.wantSum(r.sumAll("1", "2", "3"), "6")
	for _, p := range r.proxies {
		p.slow(200 * time.Millisecond)
	}
	running := r.give(r.sum(5 * time.Minute))
	r.comesTo("alice", running["alice"].ID, "running")
	r.proxies["carol"].silence(true, true)
	began := time.Now()
	r.procs["alice"].stop()
	if took := time.Since(began); took < time.Second || took > 10*time.Second {
		t.Errorf("the end took %s, with 1s for computations", took)
	}
	r.procs["alice"].says("computations have not ended in time", "jobs=1")
	for _, p := range r.proxies {
		p.slow(0)
	}
	r.proxies["carol"].heal()
	r.proxies["carol"].cut(true)
	r.procs["alice"].start()
	r.ready("alice", "carol")
	r.wantSum(r.ended(running), "6")
}

// metrics is a party's /metrics.
func (r *rack) metrics(party string) string {
	r.t.Helper()
	answer, err := r.client.Get(r.urls[party] + "/metrics")
	must(r.t, err)
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	must(r.t, err)
	return string(b)
}

// A node's metrics tell of its computations, its link and its certificates, and of nobody by name.
func TestMetricsOfANode(t *testing.T) {
	t.Parallel()
	r := newRack(t, rackOptions{})
	all := r.sumAll("1", "2", "3")
	page := r.metrics("alice")
	for _, line := range []string{
		`weft_jobs{microprotocol="SecureSum",state="done"} 1`, "weft_ready 1", "weft_hub_connected 1", "weft_jobs_queued 0",
		`weft_certificate_expiry_timestamp_seconds{certificate="identity"} `, `weft_certificate_expiry_timestamp_seconds{certificate="hub"} `,
		`weft_hop_seconds_bucket{le="+Inf"} `, `weft_hub_bytes_total{direction="out"} `, "process_resident_memory_bytes ",
	} {
		if !strings.Contains(page, "\n"+line) {
			t.Errorf("the metrics lack %s", line)
		}
	}
	if strings.Contains(page, "weft_hop_seconds_count 0\n") || strings.Contains(page, `weft_hub_bytes_total{direction="out"} 0`) {
		t.Error("a computation has left no trace")
	}
	for _, word := range append([]string{all["alice"].ID.String(), all["alice"].UUID.String()}, r.parties...) {
		if strings.Contains(page, word) {
			t.Errorf("the metrics show %s", word)
		}
	}
}

// /readyz names everything that is missing, and /metrics agrees.
func TestReadyzNamesAllThatIsMissing(t *testing.T) {
	t.Parallel()
	r := prepareRack(t, rackOptions{})
	clock := r.path("alice", "clock")
	r.setClock(clock, 0)
	r.clock("alice", "@"+clock)
	r.start()
	r.setClock(clock, 40*24*time.Hour) // longer than certificates are valid
	r.procs[memberHub].kill()
	await(t, "alice names what is missing", func() bool {
		code, v := call(t, "GET", r.urls["alice"]+"/readyz", "")
		reason, _ := v["reason"].(string)
		return code == http.StatusServiceUnavailable && strings.Contains(reason, "no connection to the hub; the certificate of alice has expired at ")
	})
	if page := r.metrics("alice"); !strings.Contains(page, "\nweft_ready 0\n") || !strings.Contains(page, "\nweft_hub_connected 0\n") {
		t.Error("the metrics say that alice is ready")
	}
}
