package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/gateway/representation"
	"github.com/weftmpc/weft/jobs/objects"
)

// who is one client with a caller's name, in the same process.
type who struct {
	*party
	caller  string
	gateway *Gateway
}

func (p *party) as(caller string) who { return who{p, caller, p.gateway} }

func (c who) send(method, path, body string) answer {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(method, "http://localhost"+path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	c.gateway.ServeHTTP(w, principal{caller: c.caller}.as(r))
	return answer{w.Code, w.Header(), w.Body.String()}
}

// id is the representation that a request is answered with.
func (c who) id(method, path, body string) string {
	c.t.Helper()
	a := c.send(method, path, body)
	var v struct{ Type, UUID string }
	if err := json.Unmarshal([]byte(a.body), &v); err != nil || a.code != 200 || v.Type != "uuid" {
		c.t.Fatalf("%s %s: %d %s, want a representation", method, path, a.code, a.body)
	}
	return v.UUID
}

// service is the representation of a root object.
func (c who) service(microservice string) string {
	c.t.Helper()
	return c.id("POST", "/representations", `{"args":[],"kwargs":{"microservice":"`+microservice+`"}}`)
}

// call is what clients do for OBJECT.NAME(ARGS): attribute, call.
func (c who) call(object, name, args string) answer {
	c.t.Helper()
	return c.send("PATCH", "/representation/"+c.id("GET", "/representation/"+object+"/"+name, "{}"), `{"args":[`+args+`],"kwargs":{}}`)
}

// value is a call's return value, downloaded; none if there is none.
func (c who) value(object, name, args string) string {
	c.t.Helper()
	a := c.call(object, name, args)
	var v struct{ Type, UUID string }
	if err := json.Unmarshal([]byte(a.body), &v); err != nil || a.code != 200 {
		return fmt.Sprint(a.code)
	}
	if v.Type == "none" {
		return "none"
	}
	return strings.TrimSuffix(strings.TrimPrefix(c.send("GET", "/representation/"+v.UUID, "{}").body, `{"type":"object","object":`), "}")
}

// instance is what a service's create returns.
func (c who) instance(microservice, args string) string {
	c.t.Helper()
	return c.id("PATCH", "/representation/"+c.id("GET", "/representation/"+c.service(microservice)+"/create", "{}"), `{"args":[`+args+`]}`)
}

const meetingPoint = `"0F3A5A60-6f8c-4f2c-9d0b-7a1d3f1f5c11"`

// step is one call with what it returns.
type step struct{ name, args, want string }

func (c who) walk(object string, steps []step) {
	c.t.Helper()
	for i, s := range steps {
		if got := c.value(object, s.name, s.args); got != s.want {
			c.t.Errorf("step %d: %s(%s) returns %s, want %s", i, s.name, s.args, got, s.want)
		}
	}
}

func TestBarrier(t *testing.T) {
	p := newParty(t, nil)
	c := p.as("ann")
	b := c.instance("Barrier", meetingPoint)
	if again := c.instance("Barrier", strings.ToLower(meetingPoint)); again != b {
		t.Errorf("the same UUID is %s and %s", b, again)
	}
	if other := c.instance("Barrier", `"`+uuid.NewString()+`"`); other == b {
		t.Error("another UUID is the same barrier")
	}
	c.walk(b, []step{
		{"arrived", "", "0"}, {"departed", "", "0"},
		{"arrive", `"a"`, "none"}, {"arrive", `"a"`, "none"}, {"arrived", "", "1"},
		{"arrive", `1`, "none"}, {"arrive", `1.0`, "none"}, {"arrive", `1e0`, "none"}, {"arrive", `"1"`, "none"}, {"arrived", "", "3"},
		{"arrive", `0`, "none"}, {"arrive", `-0`, "none"}, {"arrive", `9007199254740993`, "none"}, {"arrive", `9007199254740992`, "none"}, {"arrived", "", "6"},
		{"depart", `"a"`, "none"}, {"depart", `"z"`, "none"}, {"departed", "", "2"}, {"arrived", "", "6"},
		{"reset", "", "none"}, {"arrived", "", "0"}, {"departed", "", "2"},
		{"arrive", `"b"`, "none"}, {"arrived", "", "1"}, {"departed", "", "0"},
	})
	for _, bad := range []string{`null`, `true`, `[]`, `{"a":1}`, `1e999`, `"` + strings.Repeat("x", 257) + `"`} {
		p.want(c.call(b, "arrive", bad), 400, "party: ")
	}
	p.want(c.call(b, "arrive", ""), 400, "arrive(party): the argument party is missing")
	for _, bad := range []string{`"barrier"`, `5`, `null`} {
		p.want(c.call(c.service("Barrier"), "create", bad), 400, "uuid: it must be a UUID")
	}
	// A barrier is state, not a value; releasing it takes it from nobody.
	p.want(c.send("GET", "/representation/"+b, ""), 400, "no value")
	p.want(c.send("PATCH", "/representation/"+b, "{}"), 400, "no function")
	p.want(c.send("DELETE", "/representation/"+b, ""), 200, "none")
	p.want(c.send("GET", "/representation/"+b+"/Arrived", ""), 404, "no attribute")

	// Everybody who has the UUID meets there, and after a restart too.
	arrive := c.id("GET", "/representation/"+b+"/arrive", "")
	p.restart()
	c, d := p.as("ann"), p.as("dora")
	p.want(c.send("PATCH", "/representation/"+arrive, `{"args":["c"]}`), 200, "none")
	if id := d.instance("Barrier", meetingPoint); id != b {
		t.Errorf("for another caller it is %s", id)
	}
	d.walk(b, []step{{"arrived", "", "2"}, {"arrive", `"d"`, "none"}})
	c.walk(b, []step{{"arrived", "", "3"}})
	// … but functions of the one are unknown to the other.
	p.want(d.send("PATCH", "/representation/"+arrive, `{"args":["c"]}`), 404, "no such representation")

	service := d.service("Barrier")
	p.want(d.call(service, "delete", meetingPoint), 200, "none")
	p.want(d.call(service, "delete", meetingPoint), 404, "no barrier")
	p.want(c.send("PATCH", "/representation/"+arrive, `{"args":["c"]}`), 404, "no such representation")
	c.walk(c.instance("Barrier", meetingPoint), []step{{"arrived", "", "0"}})
}

func TestBarrierIsBounded(t *testing.T) {
	p := newParty(t, nil)
	c := p.as("ann")
	b := c.instance("Barrier", meetingPoint)
	var all []string
	for i := range mostArrivals {
		all = append(all, fmt.Sprint(i))
	}
	r, err := p.objects.Get(t.Context(), uuid.MustParse(b))
	if err != nil {
		t.Fatal(err)
	}
	r.Data = mustJSON(barrier{Arrived: all})
	if _, err := p.objects.Update(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	p.want(c.call(b, "arrive", `"one more"`), 429, "takes no more")
	c.walk(b, []step{{"arrive", "5", "none"}, {"arrived", "", fmt.Sprint(mostArrivals)}})
}

func TestBroadcast(t *testing.T) {
	p := newParty(t, nil)
	c, d := p.as("ann"), p.as("dora")
	s := c.service("Broadcast")
	c.walk(s, []step{
		{"receive", meetingPoint, "none"}, {"create", meetingPoint, "none"}, {"receive", meetingPoint, "none"},
		{"send", meetingPoint + `,{"x":[1.50,0]}`, "none"}, {"create", meetingPoint, "none"}, {"receive", meetingPoint, `{"x":[1.50,0]}`},
	})
	for _, zero := range []string{"0", "false", `""`, "[]"} {
		c.walk(s, []step{{"send", meetingPoint + "," + zero, "none"}, {"receive", meetingPoint, zero}})
	}
	c.walk(s, []step{{"send", meetingPoint + ",null", "none"}, {"receive", meetingPoint, "none"}})
	// A message that was sent through a representation stays when that is released; what is received is a copy.
	upload := c.id("PUT", "/representations", `{"args":[[7]]}`)
	send := "/representation/" + c.id("GET", "/representation/"+s+"/send", "")
	p.want(c.send("PATCH", send, kwargs("uuid", meetingPoint, "message", `{"representation_uuid":"`+upload+`"}`)), 200, "none")
	p.want(c.send("DELETE", "/representation/"+upload, ""), 200, "none")
	receive := "/representation/" + d.id("GET", "/representation/"+d.service("Broadcast")+"/receive", "")
	copied := d.id("PATCH", receive, kwargs("uuid", meetingPoint))
	c.walk(s, []step{{"send", meetingPoint + ",8", "none"}})
	p.want(d.send("GET", "/representation/"+copied, ""), 200, `"object":[7]`)
	p.want(c.send("GET", "/representation/"+copied, ""), 404, "no such representation")
	p.want(d.send("DELETE", "/representation/"+copied, ""), 200, "none")
	p.restart()
	c = p.as("ann")
	c.walk(s, []step{{"receive", meetingPoint, "8"}, {"delete", meetingPoint, "none"}, {"delete", meetingPoint, "404"}, {"receive", meetingPoint, "none"}})
	p.want(c.call(s, "send", `"x",1`), 400, "uuid: it must be a UUID")
	p.want(c.call(s, "send", meetingPoint), 400, "send(uuid, message): the argument message is missing")
}

func TestKeyValueStorage(t *testing.T) {
	p := newParty(t, func(c *Config) { c.MaxBody = 10_000 })
	c := p.as("ann")
	s := c.instance("KeyValueStorage", "")
	for _, same := range []string{`"default"`, `null`, `{}`} {
		if again := c.instance("KeyValueStorage", same); again != s {
			t.Errorf("%s: %s, want %s", same, again, s)
		}
	}
	other, foreign := c.instance("KeyValueStorage", `"other"`), p.as("dora").instance("KeyValueStorage", "")
	if other == s || foreign == s {
		t.Error("two storages are one")
	}
	c.walk(s, []step{
		{"exists", `"k"`, "false"}, {"retrieve", `"k"`, "none"}, {"delete", `"k"`, "404"},
		{"store", `"k",{"a":[1.0]}`, "none"}, {"exists", `"k"`, "true"}, {"retrieve", `"k"`, `{"a":[1.0]}`},
		{"store", `"k",0`, "none"}, {"retrieve", `"k"`, "0"}, {"store", `"k",false`, "none"}, {"retrieve", `"k"`, "false"},
		{"store", `1,"one"`, "none"}, {"retrieve", `1.0`, `"one"`}, {"exists", `"1"`, "false"},
		{"store", `"quote \" and \u00e9",2`, "none"}, {"retrieve", `"quote \" and é"`, "2"},
		{"store", `"n",null`, "none"}, {"retrieve", `"n"`, "none"}, {"exists", `"n"`, "true"},
		{"delete", `"k"`, "none"}, {"exists", `"k"`, "false"}, {"delete", `"k"`, "404"}, {"store", `[],1`, "400"},
		{"store", `"big","` + strings.Repeat("x", 6_000) + `"`, "none"}, {"store", `"big2","` + strings.Repeat("x", 6_000) + `"`, "413"},
		{"exists", `"big2"`, "false"}, {"store", `"big",3`, "none"}, {"store", `"big2","` + strings.Repeat("x", 6_000) + `"`, "none"},
	})
	c.walk(other, []step{{"exists", `"big"`, "false"}})
	p.as("dora").walk(foreign, []step{{"exists", `"big"`, "false"}})
	p.want(p.as("dora").send("GET", "/representation/"+s+"/retrieve", ""), 404, "no such representation")
	// A value that was retrieved does not change with the storage.
	one := c.id("PATCH", "/representation/"+c.id("GET", "/representation/"+s+"/retrieve", ""), `{"args":[1]}`)
	c.walk(s, []step{{"store", `1,"two"`, "none"}})
	p.want(c.send("GET", "/representation/"+one, ""), 200, `"object":"one"`)
	exists := c.id("GET", "/representation/"+s+"/exists", "")
	p.restart()
	c = p.as("ann")
	p.want(c.send("PATCH", "/representation/"+exists, `{"args":[1]}`), 200, "uuid")
	c.walk(s, []step{{"retrieve", "1", `"two"`}})
	p.want(c.send("GET", "/representation/"+s, ""), 400, "no value")
	service := c.service("KeyValueStorage")
	p.want(c.call(service, "delete", ""), 200, "none")
	p.want(c.call(service, "delete", ""), 404, "no storage")
	p.want(c.send("PATCH", "/representation/"+exists, `{"args":[1]}`), 404, "no such representation")
	p.want(c.call(service, "create", "5"), 400, "storage: it must be a text")
	p.want(c.call(service, "create", `"a","b"`), 400, `create(storage=\"default\") takes at most 1 arguments, 2 were given`)
}

// TestTwoGatewaysOfOneParty have stores of their own over the same buckets, as two processes have. All clients at both get in.
func TestTwoGatewaysOfOneParty(t *testing.T) {
	p := newParty(t, nil)
	second, err := objects.Open(t.Context(), p.broker.Conn, objects.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	config := p.gateway.config
	config.Objects = second
	g, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	clients := []who{p.as("ann"), {p, "ann", g}}
	b := clients[0].instance("Barrier", meetingPoint)
	const each = 12
	arrive := [2]string{}
	for i, c := range clients {
		arrive[i] = c.id("GET", "/representation/"+b+"/arrive", "")
	}
	if arrive[0] != arrive[1] {
		t.Error("the two derive different identifiers")
	}
	var wg sync.WaitGroup
	for i, c := range clients {
		for n := range each {
			wg.Go(func() {
				if a := c.send("PATCH", "/representation/"+arrive[i], fmt.Sprintf(`{"args":["%d of %d"]}`, n, i)); a.code != 200 {
					t.Errorf("%d %s", a.code, a.body)
				}
			})
		}
	}
	wg.Wait()
	r, err := p.broker.Buckets.Objects.Get(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range clients {
		store := p.objects
		if i == 1 {
			store = second
		}
		awaitRevision(t, store, b, r.Revision())
		c.walk(b, []step{{"arrived", "", fmt.Sprint(2 * each)}})
	}
}

// awaitRevision waits until a store has heard of a record's revision.
func awaitRevision(t *testing.T, s *objects.Store, id string, revision uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		if r, err := s.Get(ctx, uuid.MustParse(id)); err == nil && r.Revision >= revision {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("the news did not come")
		}
	}
}

// FuzzNameOf: a name is JSON, within bounds, and the name of itself.
func FuzzNameOf(f *testing.F) {
	for _, s := range []string{`1`, `1.0`, `-0`, `1e0`, `1.5`, `1e400`, `-1e-400`, `"a"`, `"\u00e9\ud800"`, `null`, `{}`, `9007199254740993`, `123456789012345678901234567890.00`, `1E+5`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if representation.Check(raw) != nil {
			return
		}
		name, err := nameOf("party", raw)
		if err != nil {
			checkFuzzed(t, err)
			return
		}
		again, err := nameOf("party", json.RawMessage(name))
		if !json.Valid([]byte(name)) || len(name) > 6*longestName+2 || again != name || err != nil {
			t.Errorf("%s is named %s, and that %s (%v)", raw, name, again, err)
		}
	})
}
