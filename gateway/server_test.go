package gateway

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// serve runs the gateway's own server; the function that it returns ends it and says how long that took.
func (p *party) serve() (url string, stop func() time.Duration) {
	p.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		p.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(p.t.Context())
	served := make(chan error, 1)
	go func() { served <- p.gateway.Serve(ctx, l) }()
	p.t.Cleanup(cancel)
	return "http://" + l.Addr().String(), func() time.Duration {
		start := time.Now()
		cancel()
		if err := <-served; err != nil {
			p.t.Error(err)
		}
		return time.Since(start)
	}
}

func TestShutdownAnswersWaitingDownloads(t *testing.T) {
	p := newParty(t, nil)
	id := p.compute()
	url, stop := p.serve()
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	const waiting = 20
	got := make(chan answer, waiting)
	for range waiting {
		go func() {
			res, err := client.Get(url + "/representation/" + id)
			if err != nil {
				got <- answer{body: err.Error()}
				return
			}
			defer res.Body.Close()
			b, _ := io.ReadAll(res.Body)
			got <- answer{res.StatusCode, res.Header, string(b)}
		}()
	}
	// One client that says nothing, and one that stops in the middle of its request: neither may hold the end up.
	for _, text := range []string{"", "POST /representations HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{"} {
		c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.WriteString(c, text); err != nil {
			t.Fatal(err)
		}
	}
	p.waitFor(waiting)
	if took := stop(); took > time.Second {
		t.Errorf("the end took %v", took)
	}
	for range waiting {
		a := <-got
		p.want(a, 503, `{"code":503,"message":"this gateway is shutting down`)
	}
	// The job is untouched.
	if j := p.view(p.do("GET", "/v1/jobs/"+id, "")); j.State != "submitted" {
		t.Errorf("the job is %s", j.State)
	}
	p.want(p.do("PUT", "/representations", `{"args":[1]}`), 503, "shutting down")
	p.want(p.do("POST", "/v1/jobs", `{}`), 503, `"status":503`)
	p.want(p.do("GET", "/readyz", ""), 503, "shutting down")
	p.want(p.do("GET", "/healthz", ""), 200, `{"status":"ok","party":"alice","version":"1.2.3"}`)
}

// waitFor waits until so many downloads wait.
func (p *party) waitFor(n int) {
	p.t.Helper()
	for end := time.Now().Add(10 * time.Second); p.gateway.waiting.Load() != int64(n); {
		if time.Now().After(end) {
			p.t.Fatalf("%d downloads wait, not %d", p.gateway.waiting.Load(), n)
		}
		<-time.After(time.Millisecond)
	}
}

func TestServeFailsWithItsListener(t *testing.T) {
	p := newParty(t, nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if err := p.gateway.Serve(t.Context(), l); err == nil || !errors.Is(err, net.ErrClosed) {
		t.Errorf("%v", err)
	}
}

func TestReadyz(t *testing.T) {
	var reason error
	p := newParty(t, func(c *Config) { c.Ready = func() error { return reason } })
	p.want(p.do("GET", "/readyz", ""), 200, `{"status":"ready"}`)
	reason = errors.New("no connection to the hub")
	p.want(p.do("GET", "/readyz", ""), 503, `{"status":"not ready","reason":"no connection to the hub"}`)
	p.want(p.do("GET", "/healthz", ""), 200, "ok")
}

// TestConnectionIsKept sends the four requests of a compute over one connection.
func TestConnectionIsKept(t *testing.T) {
	p := newParty(t, nil)
	url, stop := p.serve()
	defer stop()
	c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	in := bufio.NewReader(c)
	for range 4 {
		fmt.Fprintf(c, "GET /representations HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}")
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, res.Body); err != nil || res.Close {
			t.Fatal(err, res.Close)
		}
	}
}

// BenchmarkAttribute is the request that clients send most.
func BenchmarkAttribute(b *testing.B) {
	d, err := NewDirectory("alice", manyParties(3), true)
	if err != nil {
		b.Fatal(err)
	}
	g := &Gateway{config: Config{Directory: d, MaxBody: 1 << 20}, handles: newHandles(make([]byte, 32)), draining: context.Background(), hosts: hosts{"localhost": true}}
	g.handler, g.metrics = g.mux(), newMetrics(g)
	path := "/representation/" + g.handles.rootID(anyone, g.handles.roots[3]).String() + "/compute"
	b.ReportAllocs()
	for b.Loop() {
		w, r := &discard{h: http.Header{}}, mustRequest(path)
		g.ServeHTTP(w, r)
		if w.code != 0 {
			b.Fatal(w.code)
		}
	}
}

type discard struct {
	h    http.Header
	code int
}

func (d *discard) Header() http.Header         { return d.h }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(code int)        { d.code = code }

func mustRequest(path string) *http.Request {
	r, err := http.NewRequest("GET", "http://localhost"+path, http.NoBody)
	if err != nil {
		panic(err)
	}
	return r
}
