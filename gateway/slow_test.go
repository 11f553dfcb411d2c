package gateway

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// short is how long the gateway of a test waits for slow clients. What it must wait for otherwise takes far less.
var short = patience{header: 2 * time.Second, read: 3 * time.Second, write: 2 * time.Second, idle: 2 * time.Second}

// The gateway's own times are bounded: with these it waits for nobody for longer than two minutes.
func TestPatienceIsBounded(t *testing.T) {
	p := newParty(t, nil)
	s := p.gateway.server()
	for _, d := range []time.Duration{s.ReadHeaderTimeout, s.ReadTimeout, s.WriteTimeout, s.IdleTimeout} {
		if d <= 0 || d > 2*time.Minute {
			t.Errorf("a time of %v", d)
		}
	}
	if s.MaxHeaderBytes <= 0 || s.MaxHeaderBytes > 64<<10 {
		t.Errorf("%d bytes of header", s.MaxHeaderBytes)
	}
}

// drip sends bytes one by one, as slowly as it may without being silent, until the gateway hangs up, then returns what it
// had answered.
func drip(c net.Conn, text string) string {
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range len(text) {
			if _, err := c.Write([]byte{text[i]}); err != nil {
				return
			}
			select {
			case <-time.After(20 * time.Millisecond):
			case <-stop:
				return
			}
		}
		<-stop
	})
	all, _ := io.ReadAll(c) // what the other side said before it hung up, however it did
	close(stop)
	wg.Wait()
	return string(all)
}

// TestSlowClients are many at once who take as long as they can, in all ways at once: all lose their connection once the
// gateway's patience is over, and somebody else is served meanwhile.
func TestSlowClients(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 100_000)
	const late = "400 the body ended too early or came too slowly"
	attacks := []struct {
		name string
		run  func(t *testing.T, w *wire) error
	}{
		{"header", func(t *testing.T, w *wire) error { return w.hungUp("", drip(w.dial(t), get("/v1/me", "X: "+long))) }},
		{"request line", func(t *testing.T, w *wire) error { return w.hungUp("", drip(w.dial(t), "GET /"+long)) }},
		{"body", func(t *testing.T, w *wire) error {
			c := w.dial(t)
			head, body, _ := strings.Cut(put(`{"args":["`+long+`"]}`), "\r\n\r\n")
			fmt.Fprint(c, head+"\r\n\r\n")
			return w.hungUp(late, drip(c, body))
		}},
		{"chunks", func(t *testing.T, w *wire) error {
			c := w.dial(t)
			fmt.Fprint(c, chunked(""))
			return w.hungUp(late, drip(c, strings.Repeat("1\r\n \r\n", 20_000)))
		}},
		{"a giant chunk that does not come", func(t *testing.T, w *wire) error {
			c := w.dial(t)
			fmt.Fprint(c, chunked("ffffffffffffffff\r\n"+upload))
			return w.hungUp(late, drip(c, ""))
		}},
		{"a body with GET", func(t *testing.T, w *wire) error {
			c := w.dial(t)
			fmt.Fprint(c, "GET /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nabc")
			return w.hungUp("400 broken-body", drip(c, ""))
		}},
		{"a body that was asked for", func(t *testing.T, w *wire) error {
			c := w.dial(t)
			head, _, _ := strings.Cut(put(upload, "Expect: 100-continue"), "\r\n\r\n")
			fmt.Fprint(c, head+"\r\n\r\n")
			return w.hungUp("100", drip(c, ""))
		}},
		{"nothing", func(t *testing.T, w *wire) error { return w.hungUp("", drip(w.dial(t), "")) }},
		{"nothing after a request", func(t *testing.T, w *wire) error {
			c := w.dial(t)
			fmt.Fprint(c, get("/healthz"))
			return w.hungUp(`200 "status":"ok"`, drip(c, ""))
		}},
		{"handshake", func(t *testing.T, w *wire) error {
			c, err := net.Dial("tcp", w.address)
			if err != nil {
				return err
			}
			defer c.Close()
			return w.hungUp("", drip(c, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"+long))
		}},
	}
	bothWires(t, nil, func(t *testing.T, w *wire) {
		t.Parallel()
		w.gateway.patience = short
		w.listen(t)
		end := w.honest(t)
		const each = 6
		var wg sync.WaitGroup
		began := time.Now()
		for _, attack := range attacks {
			for i := range each {
				wg.Go(func() {
					if err := attack.run(t, w); err != nil && i == 0 {
						t.Errorf("%s: %v", attack.name, err)
					} else if err != nil {
						t.Fail()
					}
				})
			}
		}
		wg.Wait()
		t.Logf("%d clients were put up with for %v", each*len(attacks), time.Since(began).Round(time.Millisecond))
		end()
		w.alone(t)
	})
}

// A body that takes longer than an answer may is answered all the same.
func TestSlowBodyIsAnswered(t *testing.T) {
	t.Parallel()
	bothWires(t, nil, func(t *testing.T, w *wire) {
		t.Parallel()
		w.gateway.patience = patience{header: 5 * time.Second, read: 10 * time.Second, write: time.Second, idle: 5 * time.Second}
		w.listen(t)
		for _, request := range []string{put(upload), "GET /v1/me HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}"} {
			c := w.dial(t)
			last := len(request) - 1
			fmt.Fprint(c, request[:last])
			<-time.After(1500 * time.Millisecond)
			fmt.Fprint(c, request[last:])
			res, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != 200 {
				t.Error(res.StatusCode)
			}
		}
	})
}

// hungUp checks what a client had been answered when the gateway hung up: an answer's status and a part of it, or nothing.
func (w *wire) hungUp(want, got string) error {
	status, part, _ := strings.Cut(want, " ")
	switch {
	case want == "" && (got == "" || strings.HasPrefix(got, "HTTP/1.1 400 ") || strings.HasPrefix(got, "HTTP/1.0 400 ")):
		return nil // net/http says in plain text that what came is none, or nothing at all
	case want != "" && strings.HasPrefix(got, "HTTP/1.1 "+status+" ") && strings.Contains(got, part):
		return nil
	}
	return fmt.Errorf("the answer was %.300q, want %s", got, want)
}

// alone waits until the gateway has no connection left but those of its well-behaved clients, which the test has closed.
func (w *wire) alone(t *testing.T) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); w.gateway.connections.Load() > 1; {
		if time.Now().After(end) {
			t.Fatalf("%d connections are left", w.gateway.connections.Load())
		}
		<-time.After(time.Millisecond)
	}
	if n := w.gateway.waiting.Load(); n != 0 {
		t.Errorf("%d requests wait", n)
	}
}

// TestSlowReaders ask for a large value and do not take it. The memory comes back, and others are served.
func TestSlowReaders(t *testing.T) {
	t.Parallel()
	bothWires(t, nil, func(t *testing.T, w *wire) {
		t.Parallel()
		w.gateway.patience = short
		w.listen(t)
		const size = 6 << 20
		id := w.uuid("PUT", "/representations", `{"args":["`+strings.Repeat("x", size)+`"]}`)
		end := w.honest(t)
		var wg sync.WaitGroup
		for range 8 {
			c := w.dial(t)
			raw := c
			if s, ok := c.(*tls.Conn); ok {
				raw = s.NetConn()
			}
			if err := raw.(*net.TCPConn).SetReadBuffer(64 << 10); err != nil {
				t.Fatal(err)
			}
			fmt.Fprint(c, get("/representation/"+id))
			wg.Go(func() {
				total, b := 0, make([]byte, 64) // a few bytes now and then
				for began := time.Now(); time.Since(began) < 2*short.write; {
					n, err := c.Read(b)
					if total += n; err != nil {
						break
					}
					<-time.After(5 * time.Millisecond)
				}
				rest, _ := io.Copy(io.Discard, c) // what was on its way when the gateway hung up
				if total += int(rest); total > size {
					t.Error("the whole value was sent")
				}
			})
		}
		wg.Wait()
		end()
		w.alone(t)
		w.stop()
		if free := w.gateway.memory.left(); free != bodiesAtOnce<<26 {
			t.Errorf("%d bytes are free", free)
		}
	})
}

// halfClose says that no more will come from this side.
func halfClose(c net.Conn) error { return c.(interface{ CloseWrite() error }).CloseWrite() }

// TestHalfClosedConnections: a client that closes its own side and reads on is served, or told why not; it is never told
// that all is well with nothing in the answer.
func TestHalfClosedConnections(t *testing.T) {
	bothWires(t, nil, func(t *testing.T, w *wire) {
		w.listen(t)
		end := w.honest(t)
		id := w.compute()
		const gone, late = "closed its side of the connection", "the body ended too early"
		for _, tt := range []struct {
			name, bytes string
			well        string   // in an answer 200; empty: there is none
			refused     []string // all in an answer 400; empty: in plain text, or no answer
		}{
			{"a short request", get("/v1/me"), `"caller"`, []string{gone}},
			{"a page", get("/docs"), "<html", []string{gone}},
			{"an upload", put(upload), `"uuid"`, []string{gone}},
			{"a wait", get("/representation/" + id), "", []string{gone}},
			{"a wait for a job", get("/v1/jobs/" + id + "?wait=30s"), "", []string{`"type":"/problems/client-gone"`, gone}},
			{"a result", get("/v1/jobs/" + id + "/result"), "", []string{`"type":"/problems/client-gone"`, gone}},
			{"half a body", strings.TrimSuffix(put(upload), "1]}"), "", []string{late}},
			{"a chunk less", chunked("c\r\n" + upload + "\r\n"), "", []string{late}},
			{"half a header", "GET /v1/me HTTP/1.1\r\nHost: loc", "", nil},
			{"nothing", "", "", nil},
		} {
			for range 5 {
				c := w.dial(t)
				fmt.Fprint(c, tt.bytes)
				if err := halfClose(c); err != nil {
					t.Fatal(err)
				}
				res, err := http.ReadResponse(bufio.NewReader(c), nil)
				if err != nil && tt.refused == nil {
					continue
				}
				if err != nil {
					t.Errorf("%s: %v", tt.name, err)
					continue
				}
				b, err := io.ReadAll(res.Body)
				ok := err == nil && res.StatusCode == 400
				for _, part := range tt.refused {
					ok = ok && strings.Contains(string(b), part)
				}
				ok = ok || err == nil && tt.well != "" && res.StatusCode == 200 && strings.Contains(string(b), tt.well)
				if !ok {
					t.Errorf("%s: %d %.200s, %v", tt.name, res.StatusCode, b, err)
				}
			}
		}
		end()
		w.alone(t)
	})
}

// TestResets: clients that break their connections off in every state leave nothing behind.
func TestResets(t *testing.T) {
	bothWires(t, func(c *Config) { c.MaxConnections = 64 }, func(t *testing.T, w *wire) {
		w.listen(t)
		end := w.honest(t)
		id := w.compute()
		requests := []string{
			get("/v1/jobs/" + id + "/result"), get("/representation/" + id), get("/v1/events"), get("/v1/jobs/" + id + "/events"), get("/v1/jobs/" + id + "?wait=5m"), strings.TrimSuffix(put(upload), "1]}"), put(upload), chunked("c\r\n"), "GET /", "",
			get("/docs") + get("/docs") + get("/docs"),
		}
		for i := range 300 { // rather more than there are places
			c, err := w.connect()
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprint(c, requests[i%len(requests)])
			raw := c
			if s, ok := c.(*tls.Conn); ok {
				raw = s.NetConn()
			}
			if err := raw.(*net.TCPConn).SetLinger(0); err != nil { // RST, not FIN
				t.Fatal(err)
			}
			raw.Close()
		}
		end()
		w.alone(t)
		for end := time.Now().Add(10 * time.Second); w.gateway.watching.Load() != 0; {
			if time.Now().After(end) {
				t.Fatalf("%d watchers", w.gateway.watching.Load())
			}
			<-time.After(time.Millisecond)
		}
	})
}
