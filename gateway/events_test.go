package gateway

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weftmpc/weft/jobs"
)

// event is one server-sent event.
type event struct {
	name string
	id   uint64
	job  jobView
}

// ear is a client of a stream, as the HTML standard has it.
type ear struct {
	t     testing.TB
	res   *http.Response
	lines *bufio.Scanner
	beats int
}

// hear opens a stream at the server under base.
func (p *party) hear(base, path string, last uint64) *ear {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.t.Context(), "GET", base+path, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	if last > 0 {
		r.Header.Set("Last-Event-ID", strconv.FormatUint(last, 10))
	}
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { res.Body.Close() })
	return &ear{t: p.t, res: res, lines: bufio.NewScanner(res.Body)}
}

// next is the next event; ok = false: the stream has ended.
func (l *ear) next() (e event, ok bool) {
	l.t.Helper()
	for l.lines.Scan() {
		name, value, _ := strings.Cut(l.lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "event":
			e.name = value
		case "id":
			e.id, _ = strconv.ParseUint(value, 10, 64)
		case "data":
			if err := json.Unmarshal([]byte(value), &e.job); err != nil {
				l.t.Fatalf("%v: %s", err, value)
			}
			if strings.Contains(value, `"result"`) {
				l.t.Errorf("an event has a result: %s", value)
			}
		case "retry":
		case "":
			switch {
			case e.name != "":
				return e, true
			case l.lines.Text() == ":":
				l.beats++
			}
		default:
			l.t.Fatalf("line %q", l.lines.Text())
		}
	}
	return e, false
}

// want wants the next event to tell of a state.
func (l *ear) want(state string) event {
	l.t.Helper()
	e, ok := l.next()
	if !ok || e.name != "job" || e.job.State != state || e.id != e.job.Revision {
		l.t.Fatalf("%v %+v, want a job that is %s", ok, e, state)
	}
	return e
}

func (l *ear) wantEnd() {
	l.t.Helper()
	if e, ok := l.next(); ok {
		l.t.Fatalf("%+v, want the end of the stream", e)
	}
}

func TestEventsOfAJob(t *testing.T) {
	p := newParty(t, nil)
	v := p.post(`{"microprotocol":"Add","data":[1],` + twoParties)
	id, path := v.ID.String(), "/v1/jobs/"+v.ID.String()+"/events"
	l := p.hear(p.server.URL, path, 0)
	if ct := l.res.Header.Get("Content-Type"); ct != "text/event-stream" || l.res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%v", l.res.Header)
	}
	first := l.want("submitted")
	p.move(id, func(j *jobs.Job) { j.Waiting = []string{"bob"} }, jobs.Waiting)
	if e := l.want("waiting"); fmt.Sprint(e.job.Waiting) != "[bob]" {
		t.Errorf("%+v", e.job)
	}
	back := p.hear(p.server.URL, path, first.id) // has missed a state
	second := back.want("waiting")
	still := p.hear(p.server.URL, path, second.id) // has missed nothing
	p.move(id, nil, jobs.Started)
	for _, l := range []*ear{l, back, still} {
		l.want("running")
	}
	p.move(id, nil, jobs.Committed)
	l.want("running")
	result, err := p.jobs.Put(t.Context(), []byte(`{"sum":85}`))
	if err != nil {
		t.Fatal(err)
	}
	p.move(id, func(j *jobs.Job) { j.Result = result }, jobs.Done)
	last := l.want("done")
	l.wantEnd()
	p.hear(p.server.URL, path, 0).want("done")
	if a := p.do("GET", path, "", fmt.Sprint("Last-Event-ID: ", last.id)); a.code != 204 {
		t.Errorf("%d: the client asks again and again", a.code)
	}
	p.want(p.do("GET", path, "", "Last-Event-ID: x"), 400, "bad-header")
	p.want(p.do("GET", path+"?x=1", ""), 400, "bad-query")
	p.want(p.do("GET", "/v1/jobs/"+computation+"/events", ""), 404, "/problems/unknown-job")
}

func TestEventsOfADeletedJob(t *testing.T) {
	p := newParty(t, nil)
	v := p.post(`{"microprotocol":"Add","data":[1],` + twoParties)
	l := p.hear(p.server.URL, "/v1/jobs/"+v.ID.String()+"/events", 0)
	l.want("submitted")
	// The job ends and goes before the stream has told its end, or after.
	j := p.move(v.ID.String(), nil, jobs.Failed)
	if err := p.jobs.Delete(t.Context(), j.ID); err != nil {
		t.Fatal(err)
	}
	e, ok := l.next()
	if !ok || e.name != "deleted" && e.job.State != "failed" || e.job.ID != v.ID {
		t.Errorf("%v %+v", ok, e)
	}
	l.wantEnd()
}

func TestEventsOfAllJobs(t *testing.T) {
	p := newParty(t, nil)
	post := func() string {
		return p.post(`{"microprotocol":"Add","data":[1],` + twoParties).ID.String()
	}
	one, over := post(), post()
	p.move(over, nil, jobs.Failed)
	foreign, err := p.jobs.Submit(t.Context(), jobs.Job{Caller: "somebody else", Parties: []string{"alice", "bob"}, Deadline: time.Now().Add(time.Hour)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	l := p.hear(p.server.URL, "/v1/events", 0)
	if e := l.want("submitted"); e.job.ID.String() != one {
		t.Errorf("%+v: ended jobs are told to a newcomer", e.job)
	}
	p.move(foreign.ID.String(), nil, jobs.Waiting)
	two := post()
	e := l.want("submitted")
	if e.job.ID.String() != two {
		t.Errorf("%+v", e.job)
	}
	p.move(two, nil, jobs.Waiting, jobs.Failed)
	for e.job.State != "failed" { // quick changes may be told as one
		var ok bool
		if e, ok = l.next(); !ok || e.job.ID.String() != two {
			t.Fatalf("%+v", e)
		}
	}
	back := p.hear(p.server.URL, "/v1/events", e.id-1)
	told := map[string]string{}
	for range 3 {
		e, _ := back.next()
		told[e.job.ID.String()] = e.job.State
	}
	if fmt.Sprint(told) != fmt.Sprint(map[string]string{one: "submitted", over: "failed", two: "failed"}) {
		t.Errorf("who comes back is told %v", told)
	}
	p.gateway.Drain()
	l.wantEnd()
	p.want(p.do("GET", "/v1/events", ""), 503, "draining")
}

// A stream shows that it is alive, and one whose store is closed ends.
func TestStreamsLiveAndEnd(t *testing.T) {
	p := newParty(t, nil)
	p.gateway.beat = 5 * time.Millisecond
	v := p.post(`{"microprotocol":"Add","data":[1],` + twoParties)
	both := []*ear{p.hear(p.server.URL, "/v1/events", 0), p.hear(p.server.URL, "/v1/jobs/"+v.ID.String()+"/events", 0)}
	for _, l := range both {
		l.want("submitted")
		for l.beats < 3 && l.lines.Scan() {
			if l.lines.Text() == ":" {
				l.beats++
			}
		}
		if l.beats < 3 {
			t.Fatal("the stream has ended")
		}
	}
	p.jobs.Close()
	for _, l := range both {
		for l.lines.Scan() {
		}
	}
}

// Listeners have places of their own: they take none of those of downloads, nor of other connections.
func TestListenersAreBounded(t *testing.T) {
	const most = 3
	p := newParty(t, func(c *Config) { c.MaxWatchers, c.MaxWaiting, c.MaxConnections = most, 1, 2 })
	base, stop := p.serve()
	v := p.post(`{"microprotocol":"Add","data":[1],` + twoParties)
	var all []*ear
	for range most {
		l := p.hear(base, "/v1/jobs/"+v.ID.String()+"/events", 0)
		l.want("submitted")
		all = append(all, l)
	}
	for _, path := range []string{"/v1/events", "/v1/jobs/" + v.ID.String() + "/events"} {
		a := p.do("GET", path, "")
		p.want(a, 503, `"type":"/problems/busy"`)
		if a.header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
	}
	if n := p.gateway.connections.Load(); n != 0 {
		t.Errorf("%d connections are counted", n)
	}
	waiting := make(chan answer)
	go func() { waiting <- p.do("GET", "/v1/jobs/"+v.ID.String()+"/result", "") }()
	p.finish(v.ID.String(), `{"sum":1}`)
	p.want(<-waiting, 200, `{"sum":1}`)
	for _, l := range all {
		for {
			if e, ok := l.next(); !ok || e.job.State == "done" {
				break
			}
		}
		l.wantEnd()
	}
	for end := time.Now().Add(10 * time.Second); p.gateway.watching.Load() != 0; <-time.After(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d places are not given back", p.gateway.watching.Load())
		}
	}
	stop()
}

// A thousand clients listen on one gateway, half of them to one job and half to all.
func TestAThousandListeners(t *testing.T) {
	const many = 1000
	p := newParty(t, nil)
	base, stop := p.serve()
	v := p.post(`{"microprotocol":"Add","data":[1],` + twoParties)
	settle := func() (bytes uint64, goroutines int) {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc + m.StackInuse, runtime.NumGoroutine()
	}
	before, crew := settle()
	all := make([]*ear, many)
	for i := range all {
		path := "/v1/events"
		if i%2 == 0 {
			path = "/v1/jobs/" + v.ID.String() + "/events"
		}
		all[i] = p.hear(base, path, 0)
		all[i].want("submitted")
	}
	after, more := settle()
	perClient, goroutines := float64(after-before)/many/1024, float64(more-crew)/many
	begin := time.Now()
	p.move(v.ID.String(), nil, jobs.Waiting)
	var wg sync.WaitGroup
	for _, l := range all {
		wg.Go(func() {
			if e, ok := l.next(); !ok || e.job.State != "waiting" {
				t.Errorf("%v %+v", ok, e)
			}
		})
	}
	wg.Wait()
	t.Logf("%d listeners: %.1f KiB and %.1f goroutines each, both ends together; all are told within %s", many, perClient, goroutines, time.Since(begin).Round(time.Millisecond))
	if perClient > 128 || goroutines > 7 {
		t.Errorf("a listener and its gateway take %.1f KiB and %.1f goroutines", perClient, goroutines)
	}
	p.gateway.Drain()
	for _, l := range all {
		l.wantEnd()
	}
	stop()
}
