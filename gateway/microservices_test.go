package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/weftmpc/weft/broker"
	"github.com/weftmpc/weft/broker/brokertest"
	"github.com/weftmpc/weft/gateway/access"
)

// overNATS is what cmd/weft hands to the gateway.
type overNATS struct{ *broker.Services }

func (m overNATS) Find(ctx context.Context, names []string) ([]Announced, error) {
	found, err := m.Services.Find(ctx, names)
	var list []Announced
	for _, s := range found {
		list = append(list, Announced{Name: s.Name, Version: s.Version, Text: s.Metadata, Members: s.Endpoints})
	}
	return list, err
}

func (m overNATS) Call(ctx context.Context, service, member string, body []byte) ([]byte, error) {
	answer, err := m.Services.Call(ctx, service, member, body)
	var refused *broker.ServiceError
	switch {
	case errors.As(err, &refused):
		return nil, &Refused{refused.Code, refused.Text}
	case errors.Is(err, broker.ErrNoService):
		return nil, ErrNotRunning
	}
	return answer, err
}

// setClock is a clock that a test sets.
type setClock struct{ ahead atomic.Int64 }

func (c *setClock) now() time.Time          { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *setClock) advance(d time.Duration) { c.ahead.Add(int64(d)) }

// house is a gateway over a private broker at which services have users of their own.
type house struct {
	*party
	keys  map[string]broker.Key
	clock *setClock
}

func newHouse(t testing.TB, change func(*Config), names ...string) *house {
	t.Helper()
	h := &house{party: &party{t: t, log: &buffer{}}, keys: map[string]broker.Key{}, clock: &setClock{}}
	guests := broker.Guests{Listen: "127.0.0.1:-1"}
	for _, name := range names {
		h.keys[name] = brokertest.Key(t)
		guests.Services = append(guests.Services, broker.Member{Name: name, NKey: h.keys[name].Public()})
	}
	h.broker = brokertest.Private(t, guests)
	h.openHouse(change)
	t.Cleanup(func() { h.close() })
	return h
}

func (h *house) openHouse(change func(*Config)) {
	h.open(func(c *Config) {
		c.Microservices, c.Now = overNATS{broker.NewServices(h.broker.Conn)}, h.clock.now
		if change != nil {
			change(c)
		}
	})
}

// look is what happens every few seconds.
func (h *house) look() { h.gateway.microservices.lookAfter(h.t.Context(), 0) }

const adder = `{"description":{"namespace":"example.org","microservice":"ADDER"},"members":[
	{"name":"add","parameters":[{"name":"a","schema":{"type":"number"}},{"name":"b","optional":true}],"returns":{"type":"number"}},{"name":"fail","parameters":[{"name":"code"}]},{"name":"echo","parameters":[{"name":"x"}]}]}`

type handlers map[string]micro.HandlerFunc

// announce starts a service as its own user. stop ends it.
func (h *house) announce(name, version, text string, members handlers) (stop func()) {
	h.t.Helper()
	nc := brokertest.Connect(h.t, h.broker.Server, h.keys[name], h.keys[name].Inbox())
	return announceOn(h.t, nc, name, version, text, members)
}

func announceOn(t testing.TB, nc *nats.Conn, name, version, text string, members handlers) (stop func()) {
	t.Helper()
	s, err := micro.AddService(nc, micro.Config{Name: name, Version: version, Metadata: map[string]string{broker.ServiceMetadata: text}})
	if err != nil {
		t.Fatal(err)
	}
	for _, member := range slices.Sorted(maps.Keys(members)) {
		if err := s.AddEndpoint(member, members[member], micro.WithEndpointSubject(broker.ServiceSubject(name, member))); err != nil {
			t.Fatal(err)
		}
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := errors.Join(s.Stop(), nc.Flush()); err != nil { // the broker has taken its subscriptions away then
			t.Error(err)
		}
		nc.Close()
	}
}

// adding are the members of adder; calls counts them.
func adding(calls *atomic.Int64) handlers {
	return handlers{
		"add": func(r micro.Request) {
			calls.Add(1)
			var c struct{ Kwargs struct{ A, B float64 } }
			if err := json.Unmarshal(r.Data(), &c); err != nil {
				_ = r.Error("400", "no numbers", nil)
				return
			}
			_ = r.RespondJSON(c.Kwargs.A + c.Kwargs.B)
		},
		"fail": func(r micro.Request) {
			var c struct{ Kwargs struct{ Code any } }
			_ = json.Unmarshal(r.Data(), &c)
			_ = r.Error(fmt.Sprint(c.Kwargs.Code), "the \x1b[31mcode\n is wrong", []byte(secretValue))
		},
		"echo": func(r micro.Request) { _ = r.Respond(r.Data()) },
	}
}

func (h *house) service(requirements string) string {
	h.t.Helper()
	return h.uuid("POST", "/representations", `{"args":[],"kwargs":`+requirements+`}`)
}

func (h *house) memberOf(root, name string) string {
	h.t.Helper()
	return h.uuid("GET", "/representation/"+root+"/"+name, "")
}

func TestAMicroserviceIsAnObject(t *testing.T) {
	h := newHouse(t, nil, "adder")
	before := h.do("GET", "/representations", "").body
	var calls atomic.Int64
	stop := h.announce("adder", "1.2.0", adder, adding(&calls))

	// The first who asks for it does not have to wait for the next look.
	root := h.service(`{"microservice":"adder"}`)
	const listed = `{"namespace":"example.org","microservice":"ADDER","version":"1.2.0"}`
	if got := h.do("GET", "/representations", "").body; got != strings.TrimSuffix(before, "]}")+","+listed+"]}" {
		t.Error(got)
	}
	h.want(h.do("GET", "/v1/services", ""), 200, `{"description":`+listed+`,"members":[{"name":"add","signature":"add(a, b=None)","parameters":[{"name":"a","optional":false,"schema":{"type":"number"}},{"name":"b","optional":true}],"returns":{"type":"number"}},`)
	h.want(h.do("GET", "/v1/services", ""), 200, `"protocol":"Simon","version":"0.6.0"},"members":[{"name":"compute","signature":"compute(microprotocol, data, network, parameters=None)",`)
	add := h.memberOf(root, "add")
	h.want(h.do("GET", "/representation/"+root+"/__init__", ""), 403, "underscore")
	h.want(h.do("GET", "/representation/"+root+"/add.fail", ""), 404, "no attribute")
	h.want(h.do("GET", "/representation/"+root, ""), 400, "no value")
	h.want(h.do("DELETE", "/representation/"+add, ""), 200, "none")

	// By position, by name, by representation.
	for _, body := range []string{`{"args":[1,2.5]}`, kwargs("a", "1", "b", "2.5"), kwargs("a", "1", "b", `{"representation_uuid":"`+h.uuid("PUT", "/representations", `{"args":[2.5]}`)+`"}`)} {
		sum := h.uuid("PATCH", "/representation/"+add, body)
		h.want(h.do("GET", "/representation/"+sum, ""), 200, `{"type":"object","object":3.5}`)
	}
	for _, body := range []string{`{}`, `{"args":[1,2,3]}`, kwargs("a", "1", "c", "2")} {
		h.want(h.do("PATCH", "/representation/"+add, body), 400, "add(a, b=None)")
	}
	if calls.Load() != 3 {
		t.Errorf("%d calls", calls.Load())
	}

	// What the service is told: who calls, what was given, and no more.
	echo := h.memberOf(root, "echo")
	told := h.uuid("PATCH", "/representation/"+echo, kwargs("x", `{"b": [1.50]}`))
	h.want(h.do("GET", "/representation/"+told, ""), 200, `"object":{"caller":"anyone","kwargs":{"x":{"b": [1.50]}}}}`)
	if log := h.log.String(); !strings.Contains(log, "service=adder.echo made="+told) {
		t.Errorf("the audit line is missing:\n%s", log)
	}

	// Gone, it is neither listed nor forgotten.
	stop()
	h.want(h.do("PATCH", "/representation/"+add, `{"args":[1]}`), 503, "the microservice adder does not run at present")
	h.clock.advance(absentAfter)
	h.look()
	if got := h.do("GET", "/representations", "").body; got != before {
		t.Error(got)
	}
	h.want(h.do("POST", "/representations", `{"kwargs":{"microservice":"adder"}}`), 404, "meets these requirements")
	a := h.do("PATCH", "/representation/"+add, `{"args":[1]}`)
	h.want(a, 503, "the microservice adder does not run at present")
	if a.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}

	// Back, it is the same object, at once, though its version is another.
	h.announce("adder", "2.0.0", adder, adding(&calls))
	h.uuid("PATCH", "/representation/"+add, `{"args":[1]}`)
	h.look()
	h.want(h.do("GET", "/representations", ""), 200, `"version":"2.0.0"`)
	if again := h.service(`{"namespace":"Example.org","version":"2.0.0"}`); again != root {
		t.Error("it has another representation now")
	}

	// Another gateway process of the party knows the handles.
	h.close()
	h.openHouse(nil)
	sum := h.uuid("PATCH", "/representation/"+add, `{"args":[1]}`)
	h.want(h.do("GET", "/representation/"+sum, ""), 200, `"object":1}`)
}

func TestInstancesShareTheLoad(t *testing.T) {
	h := newHouse(t, nil, "adder")
	var one, two atomic.Int64
	h.announce("adder", "1.0.0", adder, adding(&one))
	stop := h.announce("adder", "1.0.0", adder, adding(&two))
	h.look()
	if n := strings.Count(h.do("GET", "/representations", "").body, "ADDER"); n != 1 {
		t.Fatalf("it is listed %d times", n)
	}
	add := h.memberOf(h.service(`{"microservice":"ADDER"}`), "add")
	for range 60 {
		h.uuid("PATCH", "/representation/"+add, `{"args":[1]}`)
	}
	if one.Load() < 5 || two.Load() < 5 || one.Load()+two.Load() != 60 {
		t.Errorf("%d and %d calls", one.Load(), two.Load())
	}
	stop()
	for range 20 {
		h.uuid("PATCH", "/representation/"+add, `{"args":[1]}`)
	}
}

// While an older program runs beside a newer one, what clients know stays as it is.
func TestAnUpgradeTakesOverWhenTheOldOneIsGone(t *testing.T) {
	h := newHouse(t, nil, "adder")
	var calls atomic.Int64
	stop := h.announce("adder", "1.0.0", adder, adding(&calls))
	h.look()
	newer := `{"description":{"namespace":"example.org"},"members":[{"name":"plus","parameters":[{"name":"a"}]}]}`
	for range 2 {
		h.announce("adder", "1.1.0", newer, handlers{"plus": adding(&calls)["add"]})
	}
	h.look()
	h.want(h.do("GET", "/representations", ""), 200, `"version":"1.0.0"`)
	root := h.service(`{"microservice":"adder"}`)
	stop()
	h.look()
	h.want(h.do("GET", "/representations", ""), 200, `"version":"1.1.0"`)
	h.want(h.do("GET", "/representation/"+root+"/add", ""), 404, "no attribute")
	h.memberOf(root, "plus")
}

func TestErrorsOfAMicroservice(t *testing.T) {
	h := newHouse(t, nil, "adder")
	var calls atomic.Int64
	h.announce("adder", "1.0.0", adder, adding(&calls))
	fail := h.memberOf(h.service(`{"microservice":"adder"}`), "fail")
	const says = "the microservice adder says: the  [31mcode  is wrong"
	for code, want := range map[string]int{
		"400": 400, "403": 403, "404": 404, "409": 409, "413": 413, "429": 429, "401": 400, "422": 400, "499": 400,
		"500": 502, "503": 502, "599": 502, "200": 502, "399": 502, "0": 502, "-400": 502, `"x"`: 502, "4000": 502,
	} {
		part := says
		if want == 502 {
			part = "the microservice adder has failed"
		}
		a := h.do("PATCH", "/representation/"+fail, kwargs("code", code))
		h.want(a, want, part)
		if strings.Contains(a.body, secretValue) || want == 502 && strings.Contains(a.body, "wrong") {
			t.Error(a.body)
		}
	}
	h.want(h.do("PATCH", "/representation/"+fail, kwargs("code", `"400"`)), 400, says)
	if strings.Contains(h.log.String(), "is wrong") || strings.Contains(h.log.String(), secretValue) {
		t.Error("the log has what the service said")
	}
}

func TestAnswersOfAMicroservice(t *testing.T) {
	h := newHouse(t, nil, "odd")
	var answer atomic.Value
	h.announce("odd", "1.0.0", `{"description":{"namespace":"x"},"members":[{"name":"get"}]}`, handlers{"get": func(r micro.Request) {
		for range 3 { // a user of its own has one answer; the first counts in any case
			_ = r.Respond([]byte(answer.Load().(string)))
		}
	}})
	get := h.memberOf(h.service(`{"microservice":"odd"}`), "get")
	deep := strings.Repeat("[", 65) + strings.Repeat("]", 65)
	for text, want := range map[string]string{
		`[1,2.50]`: `[1,2.50]`, `0`: `0`, `false`: `false`, `null`: "none", ``: "none", ` null `: "none",
		`{"representation_uuid":"x"}`: `{"representation_uuid":"x"}`, `"` + strings.Repeat("x", 1_000_000) + `"`: "xxx",
		`{`: "", `NaN`: "", `{"a":1,"a":2}`: "", "\xff": "", `1 2`: "", deep: "", "<html>": "", strings.Repeat("7", 70) + "x": "",
	} {
		answer.Store(text)
		a := h.do("PATCH", "/representation/"+get, `{}`)
		switch want {
		case "":
			h.want(a, 502, "something else than one JSON value")
		case "none":
			h.want(a, 200, `{"type":"none"}`)
		default:
			var v struct{ UUID string }
			if err := json.Unmarshal([]byte(a.body), &v); err != nil || a.code != 200 {
				t.Errorf("%.40q: %d %s", text, a.code, a.body)
			}
			h.want(h.do("GET", "/representation/"+v.UUID, ""), 200, want)
		}
	}
}

func TestACallHasBounds(t *testing.T) {
	h := newHouse(t, func(c *Config) { c.ServiceTime = 300 * time.Millisecond }, "slow")
	entered, release := make(chan struct{}, 1000), make(chan struct{})
	t.Cleanup(func() { close(release) })
	h.announce("slow", "1.0.0", `{"description":{"namespace":"x"},"members":[{"name":"get","parameters":[{"name":"x"}]}]}`, handlers{"get": func(r micro.Request) {
		entered <- struct{}{}
		go func() { // not the subscription's
			<-release
			_ = r.Respond([]byte("1"))
		}()
	}})
	get := h.memberOf(h.service(`{"microservice":"slow"}`), "get")
	h.want(h.do("PATCH", "/representation/"+get, kwargs("x", "1")), 504, "the microservice slow has not answered within 300ms")
	<-entered
	h.want(h.do("PATCH", "/representation/"+get, kwargs("x", `"`+strings.Repeat("x", 1<<20)+`"`)), 413, "may take 1048576; send them in parts")
	value := h.uuid("PUT", "/representations", `{"args":["`+strings.Repeat("x", 1<<20)+`"]}`)
	h.want(h.do("PATCH", "/representation/"+get, kwargs("x", `{"representation_uuid":"`+value+`"}`)), 413, "may take 1048576")
	if len(entered) != 0 {
		t.Error("a call that is too large was sent")
	}

	// A client that goes takes its place with it; more than there are places are not sent.
	h.close()
	h.openHouse(nil)
	h.look()
	h.gateway.microservices.known["slow"].calls.wait = 10 * time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range callsAtOnce {
		wg.Go(func() { _, _ = h.try(ctx, "PATCH", "/representation/"+get, kwargs("x", "1")) })
	}
	for range callsAtOnce {
		<-entered
	}
	a := h.do("PATCH", "/representation/"+get, kwargs("x", "1"))
	h.want(a, 503, "slow has as many calls under way")
	if a.header.Get("Retry-After") == "" || len(entered) != 0 {
		t.Error("it was sent, or says not when to come again")
	}
	cancel()
	wg.Wait()

	// The end of the gateway ends calls.
	got := make(chan answer)
	go func() { got <- h.do("PATCH", "/representation/"+get, kwargs("x", "1")) }()
	<-entered
	h.gateway.Drain()
	h.want(<-got, 503, "shutting down")
}

// Whoever calls a slow service again and again leaves places to others.
func TestACallerLeavesPlacesOfAService(t *testing.T) {
	who := newPeople(t)
	h := newHouse(t, func(c *Config) {
		c.Access = &Access{Authenticators: []access.Authenticator{who.authenticator()}, Rate: maxRate}
	}, "slow")
	entered, release := make(chan struct{}, 1000), make(chan struct{})
	h.announce("slow", "1.0.0", `{"description":{"namespace":"x"},"members":[{"name":"get"}]}`, handlers{"get": func(r micro.Request) {
		entered <- struct{}{}
		go func() {
			<-release
			_ = r.Respond([]byte("1"))
		}()
	}})
	h.look()
	h.gateway.microservices.known["slow"].calls.wait = 10 * time.Millisecond
	root := h.gateway.handles.others[0]
	get := func(name string) answer {
		id := h.gateway.handles.memberID("token:"+name, root, "get").String()
		return h.do("PATCH", "/representation/"+id, `{}`, who.as(name))
	}
	const share = callsAtOnce * 3 / 4
	var wg sync.WaitGroup
	for range share {
		wg.Go(func() { h.want(get("analyst"), 200, "uuid") })
	}
	for range share {
		<-entered
	}
	h.want(get("analyst"), 503, "as many calls under way")
	wg.Go(func() { h.want(get("admin"), 200, "uuid") })
	<-entered
	close(release)
	wg.Wait()
}

// Where the broker is away it is not said of the service.
func TestACallWithoutABroker(t *testing.T) {
	h := newHouse(t, nil, "adder")
	var calls atomic.Int64
	h.announce("adder", "1.0.0", adder, adding(&calls))
	add := h.memberOf(h.service(`{"microservice":"adder"}`), "add")
	nc := brokertest.Connect(t, h.broker.Server, h.broker.Key)
	h.gateway.microservices.via = overNATS{broker.NewServices(nc)}
	nc.Close()
	h.want(h.do("PATCH", "/representation/"+add, `{"args":[1]}`), 503, "this party's node, which keeps jobs and objects, does not answer")
	h.look()
	h.clock.advance(absentAfter)
	h.look()
	if log := h.log.String(); strings.Count(log, "microservices cannot be looked for") != 1 || !strings.Contains(log, "a microservice is gone") {
		t.Error(log)
	}
}

// The caller's name goes to the service, and a viewer may not call.
func TestWhoCallsAMicroservice(t *testing.T) {
	who := newPeople(t)
	h := newHouse(t, func(c *Config) {
		c.Access = &Access{Authenticators: []access.Authenticator{who.authenticator()}, Rate: maxRate}
	}, "adder")
	p, calls := h.party, &atomic.Int64{}
	h.announce("adder", "1.0.0", adder, adding(calls))
	h.look()
	root := p.gateway.handles.others[0]
	echo := func(caller string) string {
		return "/representation/" + p.gateway.handles.memberID(caller, root, "echo").String()
	}
	for name, code := range map[string]int{"analyst": 200, "admin": 200, "viewer": 403} {
		p.want(p.do("PATCH", echo("token:"+name), kwargs("x", "1"), who.as(name)), code, "")
	}
	p.want(p.do("PATCH", echo("token:admin"), kwargs("x", "1"), who.as("analyst")), 404, "no such representation")
	a := p.do("PATCH", echo("token:analyst"), kwargs("x", "1"), who.as("analyst"))
	var v struct{ UUID string }
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		t.Fatal(err)
	}
	p.want(p.do("GET", "/representation/"+v.UUID, "", who.as("analyst")), 200, `"object":{"caller":"token:analyst","kwargs":{"x":1}}}`)
}

// What a service must not announce: it is left out, the log says why, and what there is stays as it is.
func TestAnnouncementsThatAreNotTaken(t *testing.T) {
	long := strings.Repeat("x", 200)
	many := func(n int, f string) string {
		list := make([]string, n)
		for i := range list {
			list[i] = strings.ReplaceAll(f, "#", strconv.Itoa(i))
		}
		return strings.Join(list, ",")
	}
	d := func(description string) string {
		return `{"description":{` + description + `},"members":[{"name":"get"}]}`
	}
	m := func(members string) string { return `{"description":{"namespace":"x"},"members":[` + members + `]}` }
	for _, tt := range []struct{ name, version, text, part string }{
		{"evil", "1.0.0", d(`"namespace":"federatedsecure"`), "belongs to an object of the gateway"},
		{"evil", "1.0.0", d(`"namespace":"FederatedSecure"`), "belongs to an object of the gateway"},
		{"evil", "1.0.0", d(`"namespace":"Weft"`), "belongs to an object of the gateway"},
		{"evil", "1.0.0", d(`"namespace":"x","protocol":"SIMON"`), "belongs to an object of the gateway"},
		{"evil", "1.0.0", d(`"namespace":"x","plugin":"Sync"`), "belongs to an object of the gateway"},
		{"evil", "1.0.0", d(`"namespace":"x","microservice":"Barrier"`), "must be the service's name, evil"},
		{"evil", "1.0.0", d(`"namespace":"x","microservice":"other"`), "must be the service's name, evil"},
		{"barrier", "1.0.0", d(`"namespace":"x"`), "its name, barrier, belongs"},
		{"simon", "1.0.0", d(`"namespace":"x","microservice":"Simon"`), "belongs to an object of the gateway"},
		{"util", "1.0.0", d(`"namespace":"x"`), "its name, util, belongs"},
		{"evil", "1.0.0", d(`"namespace":"x","version":"0.6.0"`), "leave it out"},
		{"evil", "1.0.0", d(`"plugin":"x"`), "namespace is missing"},
		{"evil", "1.0.0", d(`"namespace":"x","Key":"x"`), "the key \"Key\""},
		{"evil", "1.0.0", d(`"namespace":"x","_key":"x"`), "the key \"_key\""},
		{"evil", "1.0.0", d(`"namespace":""`), "namespace must be a text"},
		{"evil", "1.0.0", d(`"namespace":5`), "namespace must be a text"},
		{"evil", "1.0.0", d(`"namespace":"` + long + `"`), "namespace must be a text"},
		{"evil", "1.0.0", d(`"namespace":"x\u001b[2J"`), "printable"},
		{"evil", "1.0.0", d(`"namespace":"x",` + many(16, `"k#":"x"`)), "1 to 16"},
		{"evil", "1.0.0", d(`"namespace":"x","namespace":"y"`), "same key twice"},
		{"evil", "1.0.0", `{"description":[],"members":[{"name":"get"}]}`, "description must be an object"},
		{"evil", "1.0.0", `{"members":[{"name":"get"}]}`, "description must be an object"},
		{"evil", "1.0.0", `{"description":{"namespace":"x"}}`, "members must be a list"},
		{"evil", "1.0.0", m(``), "members must be a list"},
		{"evil", "1.0.0", m(many(33, `{"name":"m#"}`)), "1 to 32"},
		{"evil", "1.0.0", m(`{"name":"_get"}`), "must begin with a letter"},
		{"evil", "1.0.0", m(`{"name":"get.all"}`), "must begin with a letter"},
		{"evil", "1.0.0", m(`{"name":"*"}`), "must begin with a letter"},
		{"evil", "1.0.0", m(`{"name":">"}`), "must begin with a letter"},
		{"evil", "1.0.0", m(`{"name":"get"},{"name":"get"}`), "twice"},
		{"evil", "1.0.0", m(`{"name":"put"}`), "no endpoint weft.service.evil.put"},
		{"evil", "1.0.0", m(`"get"`), "members[0] must be an object"},
		{"evil", "1.0.0", m(`{"name":"get","code":"x"}`), "unknown key \"code\""},
		{"evil", "1.0.0", m(`{"name":"get","parameters":{}}`), "at most 16"},
		{"evil", "1.0.0", m(`{"name":"get","parameters":[` + many(17, `{"name":"p#"}`) + `]}`), "at most 16"},
		{"evil", "1.0.0", m(`{"name":"get","parameters":[{"name":"a"},{"name":"a"}]}`), "twice"},
		{"evil", "1.0.0", m(`{"name":"get","parameters":[{"name":"a","optional":true},{"name":"b"}]}`), "b must be optional"},
		{"evil", "1.0.0", m(`{"name":"get","parameters":[{"name":"a\"b"}]}`), "must begin with a letter"},
		{"evil", "1.0.0", m(`{"name":"get","parameters":[{"name":"a","optional":1}]}`), "true or false"},
		{"evil", "1.0.0", m(`{"name":"get","parameters":[{"name":"a","schema":true}]}`), "must be a JSON schema"},
		{"evil", "1.0.0", m(`{"name":"get","returns":[]}`), "must be a JSON schema"},
		{"evil", "1.0.0", `{"description":{"namespace":"x"},"members":[{"name":"get"}],"roles":[]}`, "unknown key \"roles\""},
		{"evil", "1.0.0", `{`, "no JSON"},
		{"evil", "1.0.0", `[]`, "must be an object"},
		{"evil", "1.0.0", d(`"namespace":"x"`) + strings.Repeat(" ", maxAnnouncement), "longer than 16384"},
		{"evil", "", d(`"namespace":"x"`), "version"},
		{"evil", "1.0\n", d(`"namespace":"x"`), "version"},
	} {
		_, err := readAnnouncement(Announced{tt.name, tt.version, tt.text, []string{"get", "_get", "get.all"}})
		if err == nil || !strings.Contains(err.Error(), tt.part) || len(err.Error()) > 200 {
			t.Errorf("%s %.100s: %v, want %s", tt.name, tt.text, err, tt.part)
		}
	}
	r, err := readAnnouncement(Announced{"icd-10", "1.0.0-rc.1+b", `{"members":[{"name":"get","parameters":[]}],"description":{"plugin":"Codes","microservice":"ICD-10","namespace":"krankenhaus.example"}}`, []string{"get"}})
	if err != nil || string(mustJSON(r.description)) != `{"plugin":"Codes","microservice":"ICD-10","namespace":"krankenhaus.example","version":"1.0.0-rc.1+b"}` {
		t.Errorf("%v %s", err, mustJSON(r.description))
	}
}

// README.md shows what the example announces.
func TestReadmeShowsTheAnnouncement(t *testing.T) {
	shown := readmeBlocks(t, "Your own microservice")["json"]
	program, err := os.ReadFile("../deploy/examples/service/main.go")
	if err != nil {
		t.Fatal(err)
	}
	if len(shown) != 1 || !strings.Contains(string(program), "`"+strings.TrimSpace(shown[0])+"`") {
		t.Fatalf("the example announces something else than %q", shown)
	}
	if _, err := readAnnouncement(Announced{"icd10", "1.0.0", shown[0], []string{"within"}}); err != nil {
		t.Error(err)
	}
}

func FuzzAnnouncement(f *testing.F) {
	for _, s := range []string{adder, `{"description":{"namespace":"x"},"members":[{"name":"get"}]}`, `{"description":{"namespace":"x","protocol":"Simon"},"members":[]}`, `{"members":[{"parameters":[{}]}]}`, `[`} {
		f.Add("adder", "1.0.0", s)
	}
	own := map[string]bool{}
	for _, s := range ownServices() {
		for _, e := range s.Description() {
			own[e.Key+"="+strings.ToLower(e.Value)] = e.Key != "version"
		}
	}
	f.Fuzz(func(t *testing.T, name, version, text string) {
		r, err := readAnnouncement(Announced{name, version, text, []string{"get", "add", "fail", "echo"}})
		if err != nil {
			if len(err.Error()) > 1000 {
				t.Error(err)
			}
			return
		}
		for _, e := range r.description {
			if own[e.Key+"="+strings.ToLower(e.Value)] {
				t.Errorf("%s passes for an object of the gateway", text)
			}
		}
		root := newRoot(&microservice{name: name, announcement: r}, "x")
		if !json.Valid(root.listed) || len(root.members) == 0 {
			t.Errorf("%s", root.listed)
		}
	})
}
