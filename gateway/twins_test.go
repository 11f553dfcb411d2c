package gateway

import (
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"

	"github.com/weftmpc/weft/broker"
	"github.com/weftmpc/weft/broker/brokertest"
	"github.com/weftmpc/weft/jobs"
	"github.com/weftmpc/weft/jobs/objects"
	"github.com/weftmpc/weft/simon"
)

// newTwins are gateways of one party, each with a connection of its own that has a gateway's permissions, and no more.
func newTwins(t *testing.T, n int) []*party {
	t.Helper()
	guests := broker.Guests{Listen: "127.0.0.1:-1"}
	var keys []broker.Key
	for range n {
		k := brokertest.Key(t)
		keys, guests.Gateways = append(keys, k), append(guests.Gateways, k.Public())
	}
	private := brokertest.Private(t, guests)
	var twins []*party
	for _, k := range keys {
		p := &party{t: t, broker: private, log: &buffer{}}
		nc, err := broker.Dial(broker.Remote{URL: "nats://" + private.Server.Addr(), User: k}, brokertest.Logger(t), k.Inbox(),
			nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { t.Error(err) }))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		p.openGuest(nc)
		t.Cleanup(p.close)
		twins = append(twins, p)
	}
	return twins
}

// openGuest is open for a gateway that is a process of its own.
func (p *party) openGuest(nc *nats.Conn) {
	p.t.Helper()
	logger := slog.New(slog.NewTextHandler(p.log, nil))
	var err error
	if p.jobs, err = jobs.Open(p.t.Context(), nc, jobs.Options{Logger: logger}); err != nil {
		p.t.Fatal(err)
	}
	if p.objects, err = objects.Open(p.t.Context(), nc, objects.Options{Guest: true, Logger: logger}); err != nil {
		p.t.Fatal(err)
	}
	directory, err := NewDirectory("alice", manyParties(40), true)
	if err != nil {
		p.t.Fatal(err)
	}
	if p.gateway, err = New(Config{
		Catalogue: []simon.Microprotocol{addThem("Add", 2, 0)},
		Jobs:      p.jobs, Objects: p.objects, Directory: directory, Key: []byte("0123456789abcdef0123456789abcdef"), Logger: logger,
	}); err != nil {
		p.t.Fatal(err)
	}
	p.server = httptest.NewUnstartedServer(nil)
	p.server.Config = p.gateway.server()
	p.server.Start()
}

// What is done at one gateway is there at the next, at once: each request goes to another one.
func TestTwinsAreOne(t *testing.T) {
	twins := newTwins(t, 3)
	turn := 0
	next := func() *party { turn++; return twins[turn%len(twins)] }
	root := func(name string) string {
		what := "microservice"
		if name == "Simon" {
			what = "protocol"
		}
		return next().uuid("POST", "/representations", `{"args":[],"kwargs":{"`+what+`":"`+name+`"}}`)
	}
	member := func(id, name string) string { return next().uuid("GET", "/representation/"+id+"/"+name, "{}") }
	call := func(id, body string) answer { return next().do("PATCH", "/representation/"+id, body) }
	made := func(id, body string) string { return next().uuid("PATCH", "/representation/"+id, body) }

	for round := range 30 {
		// A storage: what was stored is what is retrieved, also when it was stored in the place of something.
		storage := made(member(root("KeyValueStorage"), "create"), `{"args":["s"]}`)
		for i := range 3 {
			value := fmt.Sprint(100*round + i)
			next().want(call(member(storage, "store"), `{"args":["k",`+value+`]}`), 200, "none")
			next().want(next().do("GET", "/representation/"+made(member(storage, "retrieve"), `{"args":["k"]}`), "{}"), 200, value)
		}
		// A barrier: who has arrived counts.
		barrier := made(member(root("Barrier"), "create"), `{"args":["`+uuid.NewString()+`"]}`)
		for i := range 3 {
			next().want(call(member(barrier, "arrive"), fmt.Sprintf(`{"args":[%d]}`, i)), 200, "none")
			next().want(next().do("GET", "/representation/"+made(member(barrier, "arrived"), "{}"), "{}"), 200, fmt.Sprint(i+1))
		}
		// A broadcast, with a message too large for a record, and another in its place.
		broadcast, message := root("Broadcast"), uuid.NewString()
		for _, text := range []string{strings.Repeat("a", 100_000), strings.Repeat("b", 100_000)} {
			next().want(call(member(broadcast, "send"), `{"args":["`+message+`","`+text+`"]}`), 200, "none")
			next().want(next().do("GET", "/representation/"+made(member(broadcast, "receive"), `{"args":["`+message+`"]}`), "{}"), 200, text)
		}
		next().want(call(member(broadcast, "delete"), `{"args":["`+message+`"]}`), 200, "none")
		next().want(call(member(broadcast, "receive"), `{"args":["`+message+`"]}`), 200, "none")
		// Values, which go at once.
		value := next().uuid("PUT", "/representations", `{"args":[[1,2]]}`)
		next().want(next().do("GET", "/representation/"+value, "{}"), 200, "[1,2]")
		next().want(next().do("DELETE", "/representation/"+value, ""), 200, "")
		next().want(next().do("GET", "/representation/"+value, "{}"), 404, "")
		// A task, and its job.
		task := made(member(root("Simon"), "create_task"), kwargs("microprotocol", `"Add"`, "network", `{"nodes":["alice","bob"],"myself":0}`))
		next().want(call(member(task, "input"), `{"args":[[7]]}`), 200, "none")
		next().want(call(member(task, "input"), `{"args":[[8]]}`), 200, "none")
		next().want(call(member(task, "start"), `{}`), 200, "none")
		next().want(call(member(task, "input"), `{"args":[[9]]}`), 409, "no more data")
		made(member(task, "progress"), `{}`)
		list := next().do("GET", "/v1/jobs?limit=1", "")
		id := strings.Split(strings.Split(list.body, `"id":"`)[1], `"`)[0]
		next().finish(id, `{"sum":15}`)
		next().want(next().do("GET", "/v1/jobs/"+id+"/result", ""), 200, `{"sum":15}`)
		next().want(next().do("GET", "/representation/"+made(member(task, "result"), `{}`), "{}"), 200, "sum")
		next().want(next().do("DELETE", "/v1/jobs/"+id, ""), 204, "")
		next().want(next().do("GET", "/v1/jobs/"+id, ""), 404, "")
	}
	for _, p := range twins {
		if text := p.log.String(); strings.Contains(text, "level=WARN") || strings.Contains(text, "level=ERROR") {
			t.Error(text)
		}
	}
}

// However many gateways start a task at once, it has one job, and each of them says so.
func TestTwinsStartATaskOnce(t *testing.T) {
	twins := newTwins(t, 3)
	for range 20 {
		simon := twins[0].uuid("POST", "/representations", `{"args":[],"kwargs":{"protocol":"Simon"}}`)
		task := twins[0].uuid("PATCH", "/representation/"+twins[0].uuid("GET", "/representation/"+simon+"/create_task", "{}"),
			kwargs("microprotocol", `"Add"`, "network", `{"nodes":["alice","bob"],"myself":0}`))
		var all sync.WaitGroup
		for i := range 6 {
			p := twins[i%len(twins)]
			member := p.uuid("GET", "/representation/"+task+"/start", "{}")
			all.Go(func() { p.want(p.do("PATCH", "/representation/"+member, "{}"), 200, "none") })
		}
		all.Wait()
	}
	if list, err := twins[1].jobs.List(t.Context(), ""); err != nil || len(list) != 20 {
		t.Errorf("%d jobs of 20 tasks, %v", len(list), err)
	}
}

// A key for a request is one job, whichever gateways the request comes to, and at what time.
func TestTwinsKnowARequestAgain(t *testing.T) {
	twins := newTwins(t, 3)
	body := `{"microprotocol":"Add","parties":["alice","bob"],"data":[1]}`
	for i := range 20 {
		var all sync.WaitGroup
		ids := make([]string, 6)
		for n := range ids {
			all.Go(func() {
				a := twins[n%3].do("POST", "/v1/jobs", body, fmt.Sprintf(`Idempotency-Key: "k%d"`, i))
				if a.code != 202 {
					t.Errorf("%d %s", a.code, a.body)
				}
				ids[n] = a.header.Get("Location")
			})
		}
		all.Wait()
		for _, id := range ids {
			if id != ids[0] || id == "" {
				t.Errorf("jobs %v", ids)
			}
		}
	}
}

// A process that has named a task's job and not submitted it is waited for, and not for ever.
func TestStartWhileAnotherStarts(t *testing.T) {
	twins := newTwins(t, 2)
	a, b := twins[0], twins[1]
	id := a.uuid("PATCH", "/representation/"+a.member("create_task"), kwargs("microprotocol", `"Add"`, "network", `{"nodes":["alice","bob"],"myself":0}`))
	tk, err := a.gateway.changeTask(t.Context(), anyone, uuid.MustParse(id), func(t *task) error {
		t.Job, t.Named = uuid.New(), time.Now().UTC()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	began := make(chan struct{})
	go func() {
		<-began
		q, err := a.gateway.taskRequest(anyone, tk)
		if err == nil {
			_, err = a.gateway.submit(t.Context(), q)
		}
		if err != nil {
			t.Error(err)
		}
	}()
	start := b.uuid("GET", "/representation/"+id+"/start", "{}")
	time.AfterFunc(200*time.Millisecond, func() { close(began) })
	b.want(b.do("PATCH", "/representation/"+start, "{}"), 200, "none")
	if list, err := b.jobs.List(t.Context(), ""); err != nil || len(list) != 1 || list[0].ID != tk.Job {
		t.Errorf("%v, %v", list, err)
	}
}

// While the broker is away each request is answered soon, with when to come again, and goes on when it is back.
func TestAway(t *testing.T) {
	twins := newTwins(t, 1)
	p := twins[0]
	id := p.compute()
	value := p.uuid("PUT", "/representations", `{"args":[[1,2]]}`)
	p.broker.Server.Shutdown()
	for _, r := range [][2]string{
		{"GET", "/v1/jobs"}, {"GET", "/v1/jobs/" + id}, {"GET", "/representation/" + value}, {"PUT", "/representations"}, {"DELETE", "/representation/" + value},
	} {
		began := time.Now()
		a := p.do(r[0], r[1], `{"args":[1]}`)
		if p.want(a, 503, "does not answer"); a.header.Get("Retry-After") == "" || time.Since(began) > 10*time.Second {
			t.Errorf("%s: %v after %s", r, a.header, time.Since(began))
		}
	}
}
