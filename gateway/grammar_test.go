package gateway

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// choices is the bytes that decide what a request looks like: of a fuzzer or of a seed. Where they end the first of
// everything is chosen.
type choices struct{ b []byte }

// n chooses a number below most, which is at most 65,536.
func (c *choices) n(most int) int {
	v := 0
	for range 1 + min(1, (most-1)>>8) {
		if len(c.b) > 0 {
			v, c.b = v<<8|int(c.b[0]), c.b[1:]
		}
	}
	return v % most
}

// one says yes one time in so many.
func (c *choices) one(in int) bool { return c.n(in) == in-1 }

func pick[T any](c *choices, list ...T) T { return list[c.n(len(list))] }

// sketch is a request before it becomes bytes.
type sketch struct {
	method, target string
	caller         string // whose credential it bears; empty: none
	header         []string
	body           string
	chunked        bool
	odd            bool   // its Host header may be none
	asked          string // what the path's object is, and the member: what an answer's UUID will be
}

// bytes is the request as it is sent.
func (s sketch) bytes(credential string) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\n", s.method, s.target)
	host := false
	for _, h := range s.header {
		host = host || strings.HasPrefix(h, "Host:")
		b.WriteString(h + "\r\n")
	}
	if !host {
		b.WriteString("Host: localhost\r\n")
	}
	if credential != "" {
		b.WriteString("Authorization: Bearer " + credential + "\r\n")
	}
	switch {
	case s.chunked && s.body != "":
		half := len(s.body) / 2
		b.WriteString("Transfer-Encoding: chunked\r\n\r\n")
		if half > 0 {
			fmt.Fprintf(&b, "%x\r\n%s\r\n", half, s.body[:half])
		}
		fmt.Fprintf(&b, "%x\r\n%s\r\n0\r\n\r\n", len(s.body)-half, s.body[half:])
	case s.body != "":
		fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(s.body), s.body)
	default:
		b.WriteString("\r\n")
	}
	return []byte(b.String())
}

// made is something that the gateway has, or had: a path's {id}, what it is and whose.
type made struct{ id, what, caller string }

// What things are: a root by its name, an object that a call has made, or "root.member" and "object.member" for functions.
var members = map[string][]string{
	"Simon": {"compute", "create_task", "join_task", "get_task"}, "Barrier": {"create", "delete"},
	"Broadcast": {"create", "send", "receive", "delete"}, "KeyValueStorage": {"create", "delete"},
	"task": {"invite", "input", "start", "progress", "result"}, "barrier": {"arrive", "arrived", "depart", "departed", "reset"},
	"storage": {"store", "retrieve", "exists", "delete"}, "value": {}, "job": {},
}

// returns is what a function's answer stands for.
var returns = map[string]string{
	"Simon.compute": "job", "Simon.create_task": "task", "Simon.join_task": "task", "Simon.get_task": "task",
	"Barrier.create": "barrier", "KeyValueStorage.create": "storage", "task.result": "job",
}

// requirements lead to the roots.
var requirements = map[string]string{"Simon": `"protocol":"Simon"`, "Barrier": `"microservice":"Barrier"`, "Broadcast": `"microservice":"Broadcast"`, "KeyValueStorage": `"plugin":"Util"`}

// drawRequest draws one request to a gateway where there is what things has.
func drawRequest(c *choices, things func(what string) made, names []string) sketch {
	s := sketch{method: "GET", caller: pick(c, "analyst", "admin", "data-owner", "viewer", stranger, "analyst", "analyst")}
	if c.one(40) {
		s.caller = ""
	}
	kinds := []string{"Simon", "Barrier", "Broadcast", "KeyValueStorage", "task", "barrier", "storage", "value", "job", "task", "job"}
	own := func(what string) string { // almost always the caller's
		m := things(what)
		if m.id == "" || c.one(30) {
			return anyID(c)
		}
		if !c.one(12) {
			s.caller = m.caller
		}
		return m.id
	}
	switch c.n(16) {
	case 0:
		s.target = pick(c, "/representations", "/v1/parties", "/v1/microprotocols", "/v1/me", "/healthz", "/readyz", "/openapi.yaml", "/docs", "/metrics", "/problems/"+text(c), "/v1/microprotocols/"+text(c),
			"/v1/microprotocols/"+pick(c, names...), "/"+text(c), "/v1/"+text(c), "/v1", "/representation/"+anyID(c))
	case 1:
		root := pick(c, "Simon", "Barrier", "Broadcast", "KeyValueStorage")
		s.method, s.target, s.asked, s.body = "POST", "/representations", root, `{"args":[],"kwargs":{`+requirements[root]+`}}`
		if c.one(6) {
			s.asked, s.body = "", value(c, things, 0)
		}
	case 2, 3:
		s.method, s.target, s.asked, s.body = "PUT", "/representations", "value", `{"args":[`+value(c, things, 0)+`],"kwargs":{}}`
	case 4, 5, 6:
		what := pick(c, kinds...)
		name := text(c)
		if list := members[what]; len(list) > 0 && !c.one(12) {
			name = pick(c, list...)
		}
		s.target, s.asked = "/representation/"+own(what)+"/"+name, what+"."+name
	case 7, 8, 9, 10:
		s.method = "PATCH"
		what := pick(c, kinds[:7]...) // those with members
		if c.one(20) {
			what = "job"
		} else {
			what += "." + pick(c, members[what]...)
		}
		s.target = "/representation/" + own(what)
		s.body, s.asked = call(c, things, what, names), returns[what]
		if s.asked == "" {
			s.asked = "value"
		}
	case 11:
		s.method = pick(c, "GET", "DELETE", "GET")
		s.target = "/representation/" + own(pick(c, kinds...))
	case 12, 13:
		s.method, s.target, s.asked = "POST", "/v1/jobs", "job"
		s.body = posted(c, things, names)
	case 14:
		s.target = "/v1/jobs" + query(c, names)
	case 15:
		s.target = "/v1/jobs/" + own("job") + pick(c, "", "/result", "/events", "/cancel", "/approval", "?wait=5ms", "?wait="+text(c), "?revision=1&wait=1ms", "/"+text(c))
		if strings.HasSuffix(s.target, "/cancel") {
			s.method = "POST"
		} else if strings.HasSuffix(s.target, "/approval") && !c.one(3) {
			s.method, s.body = "POST", pick(c, `{"approve":true}`, `{"approve":false,"reason":`+strconv.Quote(text(c))+`}`, `{"approve":`+text(c)+`}`)
		} else if c.one(4) {
			s.method = "DELETE"
		}
		if c.one(24) {
			s.target = "/v1/events"
		}
	}
	s.vary(c)
	return s
}

// vary changes what any request may have otherwise.
func (s *sketch) vary(c *choices) {
	s.chunked = c.one(8)
	if s.body != "" && !c.one(30) {
		s.header = append(s.header, "Content-Type: application/json")
	}
	for range c.n(8) / 5 {
		s.header = append(s.header, pick(c,
			"Prefer: wait=0", "Prefer: respond-async", "Prefer: wait="+text(c), "Prefer: "+text(c), "Idempotency-Key: "+text(c), "Idempotency-Key: k", `Idempotency-Key: "`+text(c)+`"`,
			"Last-Event-ID: 1", "Last-Event-ID: "+text(c), "Content-Type: text/plain", "Content-Type: "+text(c), "Content-Encoding: gzip", "Content-Encoding: identity",
			"Origin: https://evil.example", "Origin: http://localhost", "Origin: null", "Origin: "+text(c), "Host: evil.example", "Host: "+text(c), "X-Forwarded-For: "+text(c), "X-Forwarded-Proto: https",
			"Accept-Encoding: gzip", "Expect: 100-continue", "Sec-Fetch-Site: cross-site", "Connection: close", "X: "+strings.Repeat("y", 1+c.n(4096)), "Range: bytes=0-1", "Upgrade: h2c", "Authorization: Basic "+text(c), "If-Match: *",
		))
	}
	for _, h := range s.header {
		s.odd = s.odd || strings.HasPrefix(h, "Host:") || strings.HasPrefix(h, "Expect:")
	}
	if c.one(30) {
		s.method = pick(c, "HEAD", "OPTIONS", "TRACE", "CONNECT", "PRI", "get", "PATCH", "PUT", "POST", "DELETE")
	}
	if c.one(40) {
		s.target = pick(c, "http://localhost"+s.target, "https://evil.example"+s.target, "*", "/"+s.target, s.target+"/", s.target+"?"+text(c), "/."+s.target, s.target+"/../x", strings.Repeat("/a", 1+c.n(2000)))
	}
}

func drawUUID(c *choices) string {
	var id uuid.UUID
	for i := range id {
		id[i] = byte(c.n(256))
	}
	return id.String()
}

// anyID is an identifier that stands for nothing, of a kind or another.
func anyID(c *choices) string {
	id := drawUUID(c)
	return pick(c, id, "00000000-0000-0000-0000-000000000000", id[:8]+"-0000-8000-8000-000000000000", id+"0", "x", "%2e%2e", text(c))
}

// text is a word that may stand in a line of the header and in a path.
func text(c *choices) string {
	switch c.n(6) {
	case 0:
		return pick(c, "x", "", "_private", "compute", "__class__", "constructor", "%00", "%ff", "a%2Fb", "%", "~", "0", "-1", "1e9", "99999999999999999999", "true", "alice", "SecureSum", "5m", "NaN", ";", "a=b&c", "*", ">", "😀", "ü")
	case 1:
		return strings.Repeat(pick(c, "x", "9", "%41", "/"), c.n(300))
	}
	b := make([]byte, c.n(12))
	for i := range b {
		b[i] = 0x21 + byte(c.n(0x5e))
	}
	return string(b)
}

// value is a JSON value, or nearly one.
func value(c *choices, things func(string) made, depth int) string {
	if depth > 4 {
		return "0"
	}
	list := func(of func() string, open, end string) string {
		var all []string
		for range c.n(5) {
			all = append(all, of())
		}
		return open + strings.Join(all, ",") + end
	}
	switch c.n(12) {
	case 0, 1, 2:
		return strconv.Itoa(c.n(1000))
	case 3:
		return pick(c, "1.5", "-0", "0.1e1", "1e300", "1e-400", "9007199254740993", "123456789012345678901234567890", "-1", "5e-21", "2.23e23", strings.Repeat("9", 1+c.n(500)), secretValue)
	case 4:
		return pick(c, "true", "false", "null", `""`, "[]", "{}", `"a"`, `"b"`, `"\u0000"`, `"\ud83d\ude00"`, `"ü"`, `"`+strings.Repeat("z", c.n(3000))+`"`)
	case 5, 6, 7:
		return list(func() string { return strconv.Itoa(c.n(200)) }, "[", "]")
	case 8:
		return list(func() string { return value(c, things, depth+1) }, "[", "]")
	case 9:
		return list(func() string { return strconv.Quote(text(c)) + ":" + value(c, things, depth+1) }, "{", "}")
	case 10:
		return `{"representation_uuid":"` + things(pick(c, "value", "job", "task", "Simon", "value")).id + `"}`
	}
	return pick(c, "NaN", "Infinity", "007", `"\ud800"`, "\"\xff\"", strings.Repeat("[", 70)+strings.Repeat("]", 70), strings.Repeat("[", 60)+"1"+strings.Repeat("]", 60), `{"a":1,"a":2}`, "tru", `"`, "[1,]", "\x00",
		"["+strings.Repeat("1,", c.n(40_000))+"1]", `{"k":`+strings.Repeat(`{"k":`, 20)+"1"+strings.Repeat("}", 21))
}

// call is a body for a function.
func call(c *choices, things func(string) made, what string, names []string) string {
	number := func() string { return pick(c, `"a"`, `"b"`, "1", "2.0", value(c, things, 3)) }
	id := func() string {
		return pick(c, `"`+computation+`"`, `"b8a3a5ac-1ad0-4d6c-9d1e-0d7d3f0f5b3d"`, strconv.Quote(anyID(c)), value(c, things, 3))
	}
	network := func() string {
		return pick(c, network3, network3, `{"nodes":["alice","bob"],"uuid":"`+drawUUID(c)+`","myself":0}`, `{"nodes":`+value(c, things, 2)+`,"uuid":`+id()+`,"myself":`+value(c, things, 3)+`}`, value(c, things, 1))
	}
	var arguments [][2]string
	switch what {
	case "Simon.compute":
		arguments = [][2]string{{"microprotocol", microprotocol(c, names)}, {"data", data(c, things)}, {"network", network()}, {"parameters", parameters(c, things)}}[:3+c.n(2)]
	case "Simon.create_task":
		arguments = [][2]string{{"microprotocol", microprotocol(c, names)}, {"network", network()}, {"parameters", parameters(c, things)}, {"task_id", id()}, {"parent", value(c, things, 2)}}[:2+c.n(4)]
	case "Simon.join_task":
		arguments = [][2]string{{"invitation", `{"representation_uuid":"` + things("value").id + `"}`}, {"network", network()}}
	case "Simon.get_task":
		arguments = [][2]string{{"task_id", id()}}
	case "Barrier.create", "Barrier.delete", "Broadcast.create", "Broadcast.receive", "Broadcast.delete":
		arguments = [][2]string{{"uuid", id()}}
	case "Broadcast.send":
		arguments = [][2]string{{"uuid", id()}, {"message", value(c, things, 0)}}
	case "KeyValueStorage.create", "KeyValueStorage.delete":
		arguments = [][2]string{{"storage", number()}}[:c.n(2)]
	case "task.input":
		arguments = [][2]string{{"data", data(c, things)}}
	case "barrier.arrive", "barrier.depart":
		arguments = [][2]string{{"party", number()}}
	case "storage.store":
		arguments = [][2]string{{"key", number()}, {"value", value(c, things, 0)}}
	case "storage.retrieve", "storage.exists", "storage.delete":
		arguments = [][2]string{{"key", number()}}
	}
	if c.one(16) {
		arguments = append(arguments, [2]string{text(c), value(c, things, 1)})
	}
	if c.one(24) {
		return value(c, things, 0)
	}
	var args, kwargs []string
	positional := c.n(2 * (len(arguments) + 1))
	for i, a := range arguments {
		if i < positional {
			args = append(args, a[1])
		} else {
			kwargs = append(kwargs, strconv.Quote(a[0])+":"+a[1])
		}
	}
	return `{"args":[` + strings.Join(args, ",") + `],"kwargs":{` + strings.Join(kwargs, ",") + `}}`
}

func microprotocol(c *choices, names []string) string {
	if c.n(3) > 0 {
		return `"SecureSum"`
	}
	return `"` + pick(c, append(names[:len(names):len(names)], text(c))...) + `"`
}

// data is mostly what a sum takes.
func data(c *choices, things func(string) made) string {
	if c.n(4) > 0 {
		return pick(c, "[1,2,3]", "[[1,2],[3,4]]", "7", "[0.5]", "["+strings.Repeat("1,", c.n(5000))+"1]")
	}
	return value(c, things, 0)
}

func parameters(c *choices, things func(string) made) string {
	return pick(c, "{}", "[]", "null", "{}", "{}", "{}", `{"round_ms":1000,"limit_ms":60000}`, `{"columns":2}`, `{"min_samples":0}`, `{"lower":0,"upper":100,"bins":10}`, `{"edges":[0,10,20]}`, `{"alternative":"less"}`,
		`{"categories":["1","2","3"]}`, `{"`+text(c)+`":`+value(c, things, 2)+`}`, value(c, things, 1))
}

// posted is a body of POST /v1/jobs.
func posted(c *choices, things func(string) made, names []string) string {
	members := []string{
		`"microprotocol":` + microprotocol(c, names),
		`"parties":` + pick(c, `["alice","bob","carol"]`, `["bob","alice"]`, `["alice","http://127.0.0.1:55502/"]`, value(c, things, 1)),
		`"data":` + data(c, things),
	}
	for range c.n(3) {
		members = append(members, pick(c, `"uuid":"`+drawUUID(c)+`"`, `"uuid":"`+computation+`"`, `"uuid":`+value(c, things, 2), `"deadline":"`+text(c)+`"`, `"deadline":`+value(c, things, 2), `"parameters":`+parameters(c, things),
			`"file":`+value(c, things, 2), strconv.Quote(text(c))+":"+value(c, things, 1), `"data":1`))
	}
	if c.one(12) {
		members = members[c.n(len(members)):]
	}
	return "{" + strings.Join(members, ",") + "}"
}

func query(c *choices, names []string) string {
	var all []string
	for range c.n(4) {
		all = append(all, pick(c, "state=done", "state=failed", "state="+text(c), "limit=3", "limit="+text(c), "microprotocol="+pick(c, names...), "microprotocol="+text(c), "uuid="+computation, "uuid="+anyID(c), "party=bob",
			"party="+text(c), "after="+text(c), "after="+strings.Repeat("A", 32), text(c)))
	}
	if len(all) == 0 {
		return ""
	}
	return "?" + strings.Join(all, "&")
}

// hostile is what is put into the bytes of a request.
var hostile = []string{
	"\r\n", "\n", "\r", "\x00", "\xff", " ", "\t", "/", "//", "..", "%00", "%", ":", ";", "Content-Length: 5\r\n", "Content-Length: -1\r\n", "Content-Length: 99999999999999999999\r\n", "Transfer-Encoding: chunked\r\n",
	"Transfer-Encoding: gzip, chunked\r\n", "Transfer-Encoding: identity\r\n", "Host: a\r\nHost: b\r\n", "Expect: 200-maybe\r\n", "Connection: Upgrade, HTTP2-Settings\r\n", "HTTP/1.0", "HTTP/2.0", "HTTP/9.9",
	"GET /v1/me HTTP/1.1\r\nHost: localhost\r\n\r\n", "0\r\n\r\n", "ffffffffffffffff\r\n", "{", "}", "[", "]", `"`, `\u0000`, `\ud800`, "1e999", "null", "{\"a\":", "\u202e",
}

// spoil changes some bytes of a request.
func spoil(c *choices, b []byte) []byte {
	for range 1 + c.n(4) {
		if len(b) == 0 {
			return b
		}
		at := c.n(min(len(b), 65_536))
		if c.one(2) { // mostly near the beginning, where the header is
			at = c.n(min(len(b), 256))
		}
		end := min(len(b), at+1+c.n(40))
		switch c.n(6) {
		case 0:
			b[at] ^= 1 << c.n(8)
		case 1:
			b[at] = byte(c.n(256))
		case 2:
			b = append(b[:at:at], b[end:]...)
		case 3:
			b = append(append(append([]byte(nil), b[:end]...), b[at:end]...), b[end:]...)
		case 4:
			b = append(append(append([]byte(nil), b[:at]...), pick(c, hostile...)...), b[at:]...)
		case 5:
			b = b[:at]
		}
	}
	return b
}
