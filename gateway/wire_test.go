package gateway

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// wire is a gateway's own server, spoken to in bytes.
type wire struct {
	*party
	address string
	secure  *tls.Config // of clients; nil: without
	stop    func() time.Duration
}

// bothWires runs a test without and with TLS.
func bothWires(t *testing.T, change func(*Config), test func(t *testing.T, w *wire)) {
	for _, secure := range []bool{false, true} {
		t.Run(map[bool]string{false: "plain", true: "TLS"}[secure], func(t *testing.T) {
			w := &wire{}
			w.party = newParty(t, func(c *Config) {
				if secure {
					house := newAuthority(t)
					own := house.issue(&x509.Certificate{DNSNames: []string{"localhost"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
					c.TLS = &tls.Config{Certificates: []tls.Certificate{own}}
					w.secure = &tls.Config{RootCAs: house.pool(), ServerName: "localhost", NextProtos: []string{"h2", "http/1.1"}}
				}
				if change != nil {
					change(c)
				}
			})
			test(t, w)
		})
	}
}

// listen begins to serve.
func (w *wire) listen(t *testing.T) {
	t.Helper()
	url, stop := w.serve()
	w.address = strings.TrimPrefix(url, "http://")
	w.stop = sync.OnceValue(stop)
	t.Cleanup(func() { w.stop() })
}

func (w *wire) dial(t *testing.T) net.Conn {
	t.Helper()
	c, err := w.connect()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// connect opens a connection that lasts 30 s at most.
func (w *wire) connect() (net.Conn, error) {
	c, err := net.Dial("tcp", w.address)
	if err != nil {
		return nil, err
	}
	if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return nil, err
	}
	if w.secure == nil {
		return c, nil
	}
	s := tls.Client(c, w.secure)
	return s, s.Handshake()
}

// honest has a client make requests one after the other, each over a connection of its own, until the function that it
// returns is called, which wants all of them to have been served, each within a time that is long for any machine.
func (w *wire) honest(t *testing.T) (end func()) {
	t.Helper()
	const long = 10 * time.Second
	var served int
	var slowest time.Duration
	ask := func(method, path, body string) (made struct{ UUID string }, err error) {
		began := time.Now()
		c, err := w.connect()
		if err != nil {
			return made, err
		}
		defer c.Close()
		fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", method, path, len(body), body)
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			return made, err
		}
		b, err := io.ReadAll(res.Body)
		if took := time.Since(began); err != nil || res.StatusCode != 200 || took > long {
			return made, fmt.Errorf("%d %s after %v, %w", res.StatusCode, b, took, err)
		}
		served++
		slowest = max(slowest, time.Since(began))
		return made, json.Unmarshal(b, &made)
	}
	var over atomic.Bool
	done := make(chan error, 1)
	go func() {
		for {
			made, err := ask("PUT", "/representations", upload)
			if err == nil {
				_, err = ask("DELETE", "/representation/"+made.UUID, "")
			}
			if err != nil || over.Load() {
				done <- err
				return
			}
			<-time.After(time.Millisecond)
		}
	}()
	return func() {
		t.Helper()
		over.Store(true)
		if err := <-done; err != nil || served == 0 {
			t.Errorf("another client was served %d times, then: %v", served, err)
		}
		t.Logf("another client was served %d times, the slowest in %v", served, slowest)
	}
}

// get is a request without a body, with more lines of the header.
func get(target string, lines ...string) string {
	return "GET " + target + " HTTP/1.1\r\nHost: localhost\r\n" + strings.Join(append(lines, ""), "\r\n") + "\r\n"
}

// put is an upload with more lines of the header.
func put(body string, lines ...string) string {
	return fmt.Sprintf("PUT /representations HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n%s\r\n%s", len(body), strings.Join(append(lines, ""), "\r\n"), body)
}

// chunked is an upload whose body is written as given.
func chunked(body string, lines ...string) string {
	return "PUT /representations HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n" + strings.Join(append(lines, ""), "\r\n") + "\r\n" + body
}

// wireCase is bytes and the answers to them: of each the status and a part of the body. After the last, where the
// connection is kept, the answer to another request must come next, which shows that both sides agree where one ends.
type wireCase struct {
	name, bytes string
	want        []string
	closed      bool
}

const upload = `{"args":[1]}`

func wireCases() []wireCase {
	smuggled := get("/v1/parties")
	var cases []wireCase
	add := func(name, bytes string, want ...string) { cases = append(cases, wireCase{name, bytes, want, false}) }
	refused := func(name, bytes string, want ...string) { cases = append(cases, wireCase{name, bytes, want, true}) }

	// Too much.
	refused("one giant header", get("/v1/me", "X: "+strings.Repeat("x", 80<<10)), "431")
	refused("many headers", get("/v1/me", strings.Repeat("X-Header: value\r\n", 6000)), "431")
	refused("giant URL", get("/v1/me?"+strings.Repeat("x", 90<<10)), "431")
	add("long URL", get("/"+strings.Repeat("x", 50<<10)), "404 there is nothing at this path")
	add("long path of slashes", get(strings.Repeat("/", 50<<10)+"v1/me"), "200 caller")
	add("long query", get("/v1/jobs?state="+strings.Repeat("x", 50<<10)), "400 invalid-state")
	add("many parameters", get("/v1/jobs?"+strings.Repeat("a&", 25<<10)), "400 bad-query")
	add("one parameter many times", get("/v1/jobs?"+strings.Repeat("limit=1&", 6000)), "400 bad-query")
	add("a body with GET", "GET /v1/me HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nabcde", "200 caller")
	refused("a large body with GET", "GET /v1/me HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1048576\r\n\r\n"+strings.Repeat("x", 1<<20), "413 too-large")
	add("deep JSON", put(`{"args":[`+strings.Repeat("[", 500_000)+strings.Repeat("]", 500_000)+"]}"), "400 more than 64")
	add("deep objects", put(`{"args":[`+strings.Repeat(`{"a":`, 200_000)+"1"+strings.Repeat("}", 200_000)+"]}"), "400 more than 64")
	refused("a body beyond the limit", "PUT /representations HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n{", "413 67108864 bytes")

	// Codings.
	for _, coding := range []string{"gzip", "deflate", "br", "zstd", "x-gzip", "compress", "gzip, gzip", "identity, gzip", "GZIP", "aes128gcm"} {
		add("Content-Encoding "+coding, put("\x1f\x8b\x08\x00"+strings.Repeat("\x00", 1000), "Content-Encoding: "+coding), "415 without Content-Encoding")
		add("Content-Encoding with PATCH "+coding, strings.Replace(put(upload, "Content-Encoding: "+coding), "PUT /representations", "PATCH /representation/"+computation, 1), "415 without Content-Encoding")
		add("Content-Encoding with POST "+coding, strings.Replace(put("{}", "Content-Encoding: "+coding), "PUT /representations", "POST /v1/jobs", 1), `415 "type":"/problems/compressed"`)
	}
	add("two Content-Encodings", put(upload, "Content-Encoding: identity", "Content-Encoding: gzip"), "415 without Content-Encoding")
	add("Content-Encoding identity", put(upload, "Content-Encoding: identity"), "200 uuid")
	for _, te := range []string{"gzip, chunked", "gzip", "chunked, chunked", "xchunked", "identity", "chunked;q=1", "\"chunked\"", "chunked, identity"} {
		refused("Transfer-Encoding "+te, strings.Replace(chunked("c\r\n"+upload+"\r\n0\r\n\r\n"), "chunked", te, 1)+smuggled, "501")
	}
	refused("Transfer-Encoding twice", chunked("c\r\n"+upload+"\r\n0\r\n\r\n", "Transfer-Encoding: chunked")+smuggled, "501")
	refused("Transfer-Encoding with a space", strings.Replace(chunked("c\r\n"+upload+"\r\n0\r\n\r\n"), "Transfer-Encoding:", "Transfer-Encoding :", 1)+smuggled, "400")
	refused("Transfer-Encoding with a control", strings.Replace(chunked("c\r\n"+upload+"\r\n0\r\n\r\n"), ": chunked", ": \x0bchunked", 1)+smuggled, "400|501")

	// Where a request ends.
	add("the same Content-Length twice", put(upload, "Content-Length: 12"), "200 uuid")
	refused("two Content-Lengths", put(upload, "Content-Length: 11")+smuggled, "400")
	for _, length := range []string{"+12", "-1", "0x0c", "12, 13", "1 2", "12abc", "99999999999999999999", "１２", "1e1"} {
		refused("Content-Length "+length, strings.Replace(put(upload), "Content-Length: 12", "Content-Length: "+length, 1)+smuggled, "400")
	}
	refused("Content-Length and a newline", strings.Replace(put(upload), "Content-Length: 12", "Content-Length\n: 12", 1)+smuggled, "400")
	// Chunks count and Content-Length does not (RFC 9112 §6.3), whichever of the two would hide a request.
	add("Content-Length beside chunks", chunked("c\r\n"+upload+"\r\n0\r\n\r\n", "Content-Length: 4")+smuggled, "200 uuid", "200 carol")
	add("chunks beside Content-Length", "PUT /representations HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500\r\nTransfer-Encoding: chunked\r\n\r\nc\r\n"+upload+"\r\n0\r\n\r\n"+smuggled, "200 uuid", "200 carol")
	add("a request in a body", put(`{"args":["GET /v1/parties HTTP/1.1 Host: localhost"]}`), "200 uuid")
	add("a chunk's extension", chunked("c;a=b;c=\"d\"\r\n"+upload+"\r\n0;x\r\n\r\n"), "200 uuid")
	add("leading zeros of a chunk's size", chunked("000c\r\n"+upload+"\r\n000\r\n\r\n"), "200 uuid")
	for name, chunks := range map[string]string{
		"a giant extension": "c;" + strings.Repeat("x", 70<<10) + "\r\n" + upload + "\r\n0\r\n\r\n", "a chunk of -1": "-1\r\n" + upload, "a chunk of 0x": "0xc\r\n" + upload,
		"a size of 17 digits": "1000000000000000c\r\n" + upload, "a chunk that is shorter": "4\r\n" + upload + "\r\n0\r\n\r\n", "a chunk without a size": "\r\n" + upload + "\r\n0\r\n\r\n", "no size": "xyz\r\n",
		"more extensions than data": strings.Repeat("1;"+strings.Repeat("x", 3000)+"\r\n \r\n", 100),
	} {
		refused(name, chunked(chunks), "400 the body ended too early")
	}
	add("a length after chunks", chunked("c\r\n"+upload+"\r\n0\r\nContent-Length: 50\r\nHost: evil.example\r\n\r\n")+smuggled, "200 uuid", "200 carol")

	// Requests that are none.
	refused("two spaces", "GET  /v1/me HTTP/1.1\r\nHost: localhost\r\n\r\n", "400")
	refused("HTTP/0.9", "GET /v1/me\r\n\r\n", "400")
	refused("HTTP/3.0", "GET /v1/me HTTP/3.0\r\nHost: localhost\r\n\r\n", "505")
	refused("lower case", "GET /v1/me http/1.1\r\nHost: localhost\r\n\r\n", "400")
	refused("a NUL in a header", get("/v1/me", "X: a\x00b"), "400")
	refused("a NUL in a path", get("/v1/\x00me"), "400")
	refused("a header without a colon", get("/v1/me", "Authorization"), "400")
	refused("a header without a name", get("/v1/me", ": x"), "400")
	refused("an empty line first", "\r\n\r\n\r\n\r\n\r\n"+get("/v1/me"), "400")
	refused("HTTP/2 without TLS", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"+strings.Repeat("\x00\x00\x04\x03\x00\x00\x00\x00\x01\x00\x00\x00\x08", 100), "404 the path must begin with /")
	add("an upgrade to HTTP/2", get("/v1/me", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"), "200 caller")
	add("an upgrade to WebSocket", get("/v1/me", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Version: 13"), "200 caller")
	add("TRACE", strings.Replace(get("/v1/me", "Cookie: x"), "GET", "TRACE", 1), "405 GET, OPTIONS")
	add("a method of 1,000 letters", strings.Replace(get("/v1/me"), "GET", strings.Repeat("X", 1000), 1), "405 is not possible here")
	refused("an Expect that nobody knows", put(upload, "Expect: 200-ok"), "417")
	add("HTTP/1.0", "GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "200 ok")

	// Whose request it is.
	refused("no Host", "GET /v1/me HTTP/1.1\r\n\r\n", "400")
	refused("two Hosts", "GET /v1/me HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n", "400")
	for _, host := range []string{
		"evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "localhost:80:80", "evil.example:80", "0x7f.1", "127.1", "0.0.0.0", "[::1%25lo]", "[::]", "::1:80:x", "localhost,evil.example",
		"xn--localhost-", "localhost..", ".localhost", "", "127.0.0.1%00", "localhost;evil", "user:password",
	} {
		add("Host "+host, strings.Replace(get("/v1/me"), "Host: localhost", "Host: "+host, 1), "421 is not called")
	}
	for _, host := range []string{"localhost@evil.example", "localhost/evil", "localhost evil", "localhost\\evil", "localhost#evil", "löcalhost", "localhost\tevil"} {
		refused("Host "+host, strings.Replace(get("/v1/me"), "Host: localhost", "Host: "+host, 1), "400")
	}
	add("a URL as target", strings.Replace(get("/v1/me"), "GET /", "GET http://localhost/", 1), "200 caller")
	add("a foreign URL as target", strings.Replace(get("/v1/me"), "GET /", "GET http://evil.example/", 1), "421 evil.example")
	add("an own URL and a foreign Host", "GET http://localhost/v1/me HTTP/1.1\r\nHost: evil.example\r\n\r\n", "200 caller")
	add("a URL of a file", strings.Replace(get("/v1/me"), "GET /v1/me", "GET file:///etc/passwd", 1), "421|404")
	add("CONNECT", "CONNECT localhost:22 HTTP/1.1\r\nHost: localhost\r\n\r\n", "404 the path must begin with /")
	add("CONNECT elsewhere", "CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n", "404|421")
	add("OPTIONS of everything", "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n", "200")
	add("GET of everything", "GET * HTTP/1.1\r\nHost: localhost\r\n\r\n", "404 the path must begin with /")
	refused("a target that is no path", "GET v1/me HTTP/1.1\r\nHost: localhost\r\n\r\n", "400")
	for _, path := range []string{"/../etc/passwd", "/v1/../v1/me", "/v1/%2e%2e/v1/me", "/./v1/me", "/v1/me/..;/", "/representation/..%2f..%2fetc"} {
		add("path "+path, get(path), "404")
	}

	// Texts.
	add("no UTF-8", put("{\"args\":[\"\xff\xfe\"]}"), "400 UTF-8")
	add("half a surrogate pair", put(`{"args":["\ud800"]}`), "400 surrogate")
	add("no UTF-8 in a path", get("/v1/%ff%fe"), "404 unknown-path")
	add("no UTF-8 in a query", get("/v1/jobs?microprotocol=%ff"), "200 jobs")
	add("a byte order mark", put("\xef\xbb\xbf"+upload), "400 no valid JSON")
	add("UTF-16", put("\xff\xfe{\x00}\x00"), "400")
	add("the same key twice", put(`{"args":[1],"args":[2]}`), "400 same key twice")
	add("the same key twice, deep", put(`{"args":[[{"a":{"b":1,"\u0062":2}}]]}`), "400 same key twice")
	for _, media := range []string{
		"text/plain", "application/xml", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded", "application/jsonx", "text/json", "application/json, text/plain", "json", ";", "application/json; charset", "*/*", "\xff",
	} {
		add("Content-Type "+media, put(upload, "Content-Type: "+media), "415 send Content-Type: application/json")
	}
	for _, media := range []string{"application/json", "APPLICATION/JSON", "application/json; charset=utf-8", "application/json;a=b"} {
		add("Content-Type "+media, put(upload, "Content-Type: "+media), "200 uuid")
	}

	// Several at once.
	var many string
	var wants []string
	for i := range 40 {
		many += []string{get("/healthz"), put(upload), get("/nothing"), chunked("c\r\n" + upload + "\r\n0\r\n\r\n"), put("{")}[i%5]
		wants = append(wants, []string{"200 ok", "200 uuid", "404 nothing", "200 uuid", "400 no valid JSON"}[i%5])
	}
	add("forty requests at once", many, wants...)
	return cases
}

// TestWire sends bytes that no HTTP library sends.
func TestWire(t *testing.T) {
	cases := wireCases()
	bothWires(t, nil, func(t *testing.T, w *wire) {
		w.listen(t)
		end := w.honest(t)
		for _, tt := range cases {
			w.check(t, tt)
		}
		end()
		if strings.Contains(w.log.String(), "level=ERROR") {
			t.Errorf("the log has errors: %s", w.log)
		}
	})
	t.Logf("%d cases", len(cases))
}

func (w *wire) check(t *testing.T, tt wireCase) {
	t.Helper()
	c := w.dial(t)
	defer c.Close()
	sent := make(chan struct{})
	go func() { // what is refused early is not read to its end
		defer close(sent)
		_, _ = io.WriteString(c, tt.bytes)
		if !tt.closed {
			_, _ = io.WriteString(c, get("/readyz"))
		}
	}()
	defer func() { c.Close(); <-sent }()
	in := bufio.NewReader(c)
	want := tt.want
	if !tt.closed {
		want = append(want[:len(want):len(want)], `200 {"status":"ready"}`)
	}
	for i, one := range want {
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Errorf("%s: %v instead of answer %d, %s", tt.name, err, i, one)
			return
		}
		body, err := io.ReadAll(res.Body)
		if err != nil && !tt.closed {
			t.Errorf("%s: %v in answer %d", tt.name, err, i)
			return
		}
		statuses, part, _ := strings.Cut(one, " ")
		if !strings.Contains("|"+statuses+"|", fmt.Sprintf("|%d|", res.StatusCode)) || !strings.Contains(string(body), part) {
			t.Errorf("%s: answer %d is %d %.300s, want %s", tt.name, i, res.StatusCode, body, one)
			return
		}
		if part != "" && !json.Valid(body) {
			t.Errorf("%s: no JSON: %.300q", tt.name, body)
		}
		if last := i == len(want)-1; last && tt.closed && !res.Close {
			t.Errorf("%s: the connection is kept after %d", tt.name, res.StatusCode)
		}
	}
	if tt.closed {
		if res, err := http.ReadResponse(in, nil); err == nil {
			t.Errorf("%s: one more answer, %d", tt.name, res.StatusCode)
		}
	}
}

// TestHTTP2IsNotSpoken: a client that would like it is not given it, and what it sends all the same ends its connection.
func TestHTTP2IsNotSpoken(t *testing.T) {
	bothWires(t, nil, func(t *testing.T, w *wire) {
		w.listen(t)
		end := w.honest(t)
		for range 20 {
			c := w.dial(t)
			if s, ok := c.(*tls.Conn); ok && s.ConnectionState().NegotiatedProtocol == "h2" {
				t.Error("HTTP/2 is negotiated")
			}
			var b strings.Builder
			b.WriteString("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
			for stream := range 500 { // HEADERS and RST_STREAM, over and over
				id := string([]byte{0, 0, byte((2*stream + 1) >> 8), byte(2*stream + 1)})
				b.WriteString("\x00\x00\x03\x01\x05" + id + "\x82\x84\x86" + "\x00\x00\x04\x03\x00" + id + "\x00\x00\x00\x08")
			}
			_, _ = io.WriteString(c, b.String()) // the gateway may have closed before the end
			all, _ := io.ReadAll(c)
			if len(all) > 0 && !strings.HasPrefix(string(all), "HTTP/1.1 ") {
				t.Errorf("%.100q", all)
			}
		}
		end()
	})
}
