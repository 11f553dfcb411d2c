package gateway

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/weftmpc/weft/jobs"
	"github.com/weftmpc/weft/simon"
)

// scrape reads /metrics: the values by series, and the kinds by name.
func (p *party) scrape() (values, kinds map[string]string, page string) {
	p.t.Helper()
	a := p.do("GET", "/metrics", "")
	if a.code != 200 || !strings.HasPrefix(a.header.Get("Content-Type"), "text/plain") {
		p.t.Fatalf("%d %s", a.code, a.header.Get("Content-Type"))
	}
	values, kinds = map[string]string{}, map[string]string{}
	for line := range strings.Lines(a.body) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "# TYPE "); ok {
			name, kind, _ := strings.Cut(name, " ")
			kinds[name] = kind
		} else if at := strings.LastIndex(line, " "); at > 0 && line[0] != '#' {
			values[line[:at]] = line[at+1:]
		}
	}
	return values, kinds, a.body
}

// waits returns when a request waits for a job, and fails when its answer comes instead.
func (p *party) waits(done <-chan answer) {
	p.t.Helper()
	for p.gateway.waiting.Load() == 0 {
		select {
		case a := <-done:
			p.t.Fatalf("%d %s, and it should wait", a.code, a.body)
		default:
			p.do("GET", "/healthz", "")
		}
	}
}

func nodeStats() NodeStats {
	return NodeStats{
		Running: 2, Hops: Histogram{Bounds: []float64{0.1, 1}, Counts: []uint64{3, 5}, Count: 6, Sum: 7.5}, Resent: 11, Asks: 12, Dropped: 13,
		Connected: true, Reconnects: 1, MessagesIn: 21, Bytes: 22, MessagesOut: 23, Sent: 24,
		Expires: map[string]time.Time{"identity": time.Unix(1_800_000_000, 0)},
	}
}

func TestMetrics(t *testing.T) {
	p := newParty(t, func(c *Config) { c.Stats = nodeStats })
	v := p.post(`{"microprotocol":"Add","data":[1],"parties":["alice","bob"]}`)
	p.finish(v.ID.String(), `{"sum":1}`)
	w := p.post(`{"microprotocol":"AddTwo","data":[1],"parties":["alice","bob"]}`)
	_, err := p.jobs.Submit(t.Context(), jobs.Job{Microprotocol: "Foreign" + secretValue, Caller: anyone, Parties: []string{"alice"}, UUID: w.UUID}, nil)
	if err != nil {
		t.Fatal(err)
	}
	p.want(p.do("GET", "/v1/jobs/"+secretValue, ""), 404, "")
	p.want(p.do("GET", "/none/"+secretValue, ""), 404, "")
	p.want(p.do("BREW"+secretValue, "/v1/jobs", ""), 405, "")
	p.want(p.do("POST", "/v1/jobs", `{"microprotocol":"Add","data":[1],"parties":["alice","bob"],"x`+secretValue+`":1}`), 400, "")
	p.want(p.do("GET", "/v1/jobs", "", "Host: "+secretValue+".example"), 421, "")

	values, kinds, page := p.scrape()
	for series, want := range map[string]string{
		`weft_jobs{microprotocol="Add",state="done"}`:         "1",
		`weft_jobs{microprotocol="AddTwo",state="submitted"}`: "1",
		`weft_jobs{microprotocol="AddMany",state="failed"}`:   "0",
		`weft_jobs{microprotocol="other",state="submitted"}`:  "1",
		`weft_jobs_queued`: "2",
		`weft_ready`:       "1",
		`weft_http_requests_total{method="POST",route="/v1/jobs",status="2xx"}`:     "2",
		`weft_http_requests_total{method="POST",route="/v1/jobs",status="4xx"}`:     "1",
		`weft_http_requests_total{method="GET",route="/v1/jobs/{id}",status="4xx"}`: "1",
		`weft_http_requests_total{method="other",route="other",status="4xx"}`:       "3",
		`weft_http_refused_total{reason="unknown"}`:                                 "2",
		`weft_http_refused_total{reason="invalid"}`:                                 "1",
		`weft_http_refused_total{reason="wrong-method"}`:                            "1",
		`weft_http_refused_total{reason="wrong-host"}`:                              "1",
		`weft_http_request_seconds_count{route="/v1/jobs"}`:                         "3",
		`weft_http_body_bytes`:                                              "0",
		`weft_computations_running`:                                         "2",
		`weft_hop_seconds_bucket{le="0.1"}`:                                 "3",
		`weft_hop_seconds_bucket{le="+Inf"}`:                                "6",
		`weft_hop_seconds_sum`:                                              "7.5",
		`weft_messages_resent_total`:                                        "11",
		`weft_hub_bytes_total{direction="out"}`:                             "24",
		`weft_certificate_expiry_timestamp_seconds{certificate="identity"}`: "1.8e+09",
		`weft_build_info{go="` + runtime.Version() + `",version="1.2.3"}`:   "1",
	} {
		if values[series] != want {
			t.Errorf("%s is %q, want %s", series, values[series], want)
		}
	}
	for _, word := range []string{secretValue, v.ID.String(), w.UUID.String(), "alice", "bob"} {
		if strings.Contains(page, word) {
			t.Errorf("the metrics show %s", word)
		}
	}
	for _, f := range families() {
		if kinds[f.name] != f.kind {
			t.Errorf("%s is served as %q, its table says %s", f.name, kinds[f.name], f.kind)
		}
		delete(kinds, f.name)
	}
	for name := range kinds {
		if strings.HasPrefix(name, "weft_") {
			t.Errorf("%s is in no table", name)
		}
	}
}

// What waits and what is borrowed counts while it lasts.
func TestMetricsOfWaitsAndMemory(t *testing.T) {
	p := newParty(t, func(c *Config) {
		c.MaxBody = 1 << 20
		c.Ready = func() error { return errors.Join(errors.New("no hub"), errors.New("no room")) }
	})
	v := p.post(`{"microprotocol":"Add","data":[1],"parties":["alice","bob"]}`)
	l := p.gateway.loan()
	if err := l.take(t.Context(), 1000); err != nil {
		t.Fatal(err)
	}
	done := make(chan answer)
	go func() { done <- p.do("GET", "/v1/jobs/"+v.ID.String()+"/result", "") }()
	p.waits(done)
	values, _, _ := p.scrape()
	if values[metricBody] != "1000" || values[metricWaiting] != "1" || values[metricReady] != "0" {
		t.Errorf("%s bytes, %s waiting, ready %s", values[metricBody], values[metricWaiting], values[metricReady])
	}
	if _, ok := values[metricConnected]; ok {
		t.Error("there are metrics of a node that tells none")
	}
	l.giveBack()
	p.want(p.do("GET", "/readyz", ""), 503, `"reason":"no hub; no room"`)
	p.finish(v.ID.String(), `{"sum":1}`)
	p.want(<-done, 200, `{"sum":1}`)
	if values, _, _ = p.scrape(); values[metricBody] != "0" || values[metricWaiting] != "0" {
		t.Errorf("%s bytes, %s waiting", values[metricBody], values[metricWaiting])
	}
}

// A retired gateway takes no work and tells when to come back; who waits for a job gets its result.
func TestRetire(t *testing.T) {
	p := newParty(t, nil)
	v := p.post(`{"microprotocol":"Add","data":[1],"parties":["alice","bob"]}`)
	done := make(chan answer)
	go func() { done <- p.do("GET", "/v1/jobs/"+v.ID.String()+"/result", "") }()
	p.waits(done)
	p.gateway.Retire()
	for _, path := range []string{"/v1/jobs", "/representations"} {
		a := p.do("POST", path, `{"microprotocol":"Add","data":[1],"parties":["alice","bob"]}`)
		p.want(a, 503, "shutting down")
		if a.header.Get("Retry-After") != "5" {
			t.Errorf("Retry-After: %q", a.header.Get("Retry-After"))
		}
	}
	p.want(p.do("GET", "/readyz", ""), 503, `"reason":"shutting down"`)
	p.want(p.do("GET", "/v1/jobs/"+v.ID.String(), ""), 200, "submitted")
	p.finish(v.ID.String(), `{"sum":1}`)
	p.want(<-done, 200, `{"sum":1}`)
}

// Every reason that an error can have is one of a few words.
func TestReasonClasses(t *testing.T) {
	for want, err := range map[string]error{
		"invalid": invalid("parameters.x"+secretValue, "no"), "too-large": tooLarge(1), "draining": errDraining, "busy": errBusyMemory,
		"internal": errors.New("defect"), "too-many-refused": tooManyRefused(1), "full": jobs.ErrFull, "conflict": jobs.ErrActive,
		"other": fail(418, secretValue, "x"),
	} {
		if got := reasonClass(asError(err)); got != want {
			t.Errorf("%v counts as %s, want %s", err, got, want)
		}
	}
	input := &simon.InputError{Path: "data." + secretValue, Reason: "no"}
	if got := reasonClass(asError(input)); got != "invalid" {
		t.Error(got)
	}
}

func TestReadmeListsTheMetrics(t *testing.T) {
	b, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	for _, f := range families() {
		fmt.Fprintf(&want, "| `%s` | %s | %s | %s |\n", f.name, f.kind, f.labels, f.help)
	}
	got := strings.Join(regexp.MustCompile("(?m)^\\| `weft_.*\n").FindAllString(string(b), -1), "")
	if got != want.String() {
		t.Errorf("README.md has\n%s\nand should have\n%s", got, want.String())
	}
}
