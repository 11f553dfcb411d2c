package broker_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/weftmpc/weft/broker"
	"github.com/weftmpc/weft/broker/brokertest"
)

const patience = 10 * time.Second

// listen collects what a connection is handed on a subject.
func listen(t testing.TB, nc *nats.Conn, subject string) chan *nats.Msg {
	t.Helper()
	ch := make(chan *nats.Msg, 64)
	if _, err := nc.ChanSubscribe(subject, ch); err != nil {
		t.Fatal(err)
	}
	flush(t, nc)
	return ch
}

func flush(t testing.TB, nc *nats.Conn) {
	t.Helper()
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
}

func publish(t testing.TB, nc *nats.Conn, subject, body string) {
	t.Helper()
	if err := nc.Publish(subject, []byte(body)); err != nil {
		t.Fatal(err)
	}
	flush(t, nc)
}

func next(t testing.TB, ch chan *nats.Msg) *nats.Msg {
	t.Helper()
	select {
	case m := <-ch:
		return m
	case <-time.After(patience):
		t.Fatal("no message came")
		return nil
	}
}

// only checks that exactly the message want is there: a later one of the same sender, through the same subscription,
// shows that nothing else was on its way.
func only(t testing.TB, ch chan *nats.Msg, want string) {
	t.Helper()
	if m := next(t, ch); string(m.Data) != want {
		t.Errorf("got %q on %s, want only %q", m.Data, m.Subject, want)
	}
}

func TestShareKeepsItsSubject(t *testing.T) {
	f := brokertest.Hub(t, "alice", "bob", "carol")
	id := uuid.NewString()
	bob := listen(t, f.Conns["bob"], broker.ShareInbox("bob"))
	carol := listen(t, f.Conns["carol"], broker.ShareInbox("carol"))
	publish(t, f.Conns["alice"], broker.Share(id, "bob", "alice"), "to bob")
	publish(t, f.Conns["carol"], broker.Share(id, "bob", "carol"), "to bob too")
	publish(t, f.Conns["alice"], broker.Share(id, "carol", "alice"), "to carol")

	for _, from := range []string{"alice", "carol"} {
		m := next(t, bob)
		computation, to, sender, ok := broker.ParseShare(m.Subject)
		if !ok || computation != id || to != "bob" || sender != from {
			t.Errorf("bob got subject %q from %s", m.Subject, from)
		}
	}
	only(t, carol, "to carol")
}

func TestJoinIsAnswered(t *testing.T) {
	f := brokertest.Hub(t, "alice", "bob")
	srv := serveCoordinator(t, f)
	for _, party := range []string{"alice", "bob"} {
		m, err := f.Conns[party].Request(broker.JoinSubject(party), []byte(party), patience)
		if err != nil {
			t.Fatal(err)
		}
		if string(m.Data) != "welcome "+party {
			t.Errorf("%s got %q", party, m.Data)
		}
	}
	start := listen(t, f.Conns["alice"], broker.StartSubject("alice"))
	publish(t, f.Coordinator, broker.StartSubject("alice"), "go")
	only(t, start, "go")
	if n := srv.Stats().Endpoints[0].NumRequests; n != 2 {
		t.Errorf("the coordinator counted %d requests, want 2", n)
	}
}

func serveCoordinator(t testing.TB, f *brokertest.Fabric) micro.Service {
	t.Helper()
	srv, err := micro.AddService(f.Coordinator, micro.Config{Name: broker.ServiceCoordinator, Version: "1.0.0"})
	if err != nil {
		t.Fatal(err)
	}
	err = srv.AddEndpoint("join", micro.HandlerFunc(func(r micro.Request) {
		if err := r.Respond(append([]byte("welcome "), r.Data()...)); err != nil {
			t.Error(err)
		}
	}), micro.WithEndpointSubject(broker.JoinSubject("*")))
	if err != nil {
		t.Fatal(err)
	}
	flush(t, f.Coordinator)
	return srv
}

// A request to a coordinator that is not there is answered at once: the hub says that nobody listens.
func TestJoinWithoutCoordinator(t *testing.T) {
	f := brokertest.Hub(t, "alice", "bob")
	_, err := f.Conns["alice"].Request(broker.JoinSubject("alice"), nil, patience)
	if err != nats.ErrNoResponders {
		t.Errorf("got %v, want %v", err, nats.ErrNoResponders)
	}
}

func TestOperatorsSeeServicesAndEventsOnly(t *testing.T) {
	f := brokertest.Hub(t, "alice", "bob")
	serveCoordinator(t, f)
	refused := make(chan error, 8)
	ops := brokertest.Connect(t, f.Server, f.OpsKey, nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err }))
	for _, verb := range []string{"PING", "INFO", "STATS"} {
		m, err := ops.Request("$SRV."+verb+"."+broker.ServiceCoordinator, nil, patience)
		if err != nil || !bytes.Contains(m.Data, []byte(`"name":"weft-coordinator"`)) {
			t.Errorf("%s: %v %s", verb, err, m.Data)
		}
	}
	replica := brokertest.Connect(t, f.Server, f.CoordinatorKey)
	if _, err := micro.AddService(replica, micro.Config{Name: broker.ServiceCoordinator, Version: "1.0.1"}); err != nil {
		t.Fatal(err)
	}
	flush(t, replica)
	inbox := ops.NewInbox()
	answers := listen(t, ops, inbox)
	if err := ops.PublishRequest("$SRV.PING", inbox, nil); err != nil {
		t.Fatal(err)
	}
	if a, b := next(t, answers), next(t, answers); bytes.Equal(a.Data, b.Data) {
		t.Errorf("two instances gave the answers %s and %s", a.Data, b.Data)
	}
	events := listen(t, ops, broker.EventSubject("*", ">"))
	publish(t, f.Conns["alice"], broker.EventSubject("alice", "started"), "event")
	if m := next(t, events); m.Subject != "weft.event.alice.started" || string(m.Data) != "event" {
		t.Errorf("got %q on %s", m.Data, m.Subject)
	}
	for _, subject := range []string{broker.JoinSubject("alice"), broker.SubjectStatus, broker.StartSubject("alice"), "weft.c.x.alice.bob"} {
		publish(t, ops, subject, "no")
		refusal(t, refused, "publish "+subject)
	}
	for _, subject := range []string{">", "weft.coordinator.>", "weft.start.*", "$SRV.>"} {
		if _, err := ops.SubscribeSync(subject); err != nil {
			t.Fatal(err)
		}
		flush(t, ops)
		refusal(t, refused, "subscribe "+subject)
	}
}

func refusal(t testing.TB, refused chan error, what string) {
	t.Helper()
	select {
	case err := <-refused:
		if !strings.Contains(strings.ToLower(err.Error()), "permissions violation") {
			t.Errorf("%s: %v", what, err)
		}
	case <-time.After(patience):
		t.Errorf("%s was not refused", what)
	}
}

// What a party's own user may not do is refused at its own connection already.
func TestPartyPermissions(t *testing.T) {
	f := brokertest.Hub(t, "alice", "bob", "carol")
	refused := make(chan error, 8)
	alice := brokertest.Connect(t, f.Server, f.Keys["alice"], nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err }))
	for _, subject := range []string{
		broker.Share("u", "bob", "carol"), broker.StartSubject("alice"), broker.EventSubject("bob", "x"), broker.JoinSubject("bob"), broker.LeaveSubject("bob"), "$SRV.PING", "$JS.API.INFO", "_INBOX.x",
	} {
		publish(t, alice, subject, "no")
		refusal(t, refused, "publish "+subject)
	}
	for _, subject := range []string{">", "weft.>", broker.ShareInbox("bob"), "weft.c.>", broker.StartSubject("bob"), "weft.coordinator.>", broker.JoinSubject("alice"), "$SYS.>", "_R_.>"} {
		if _, err := alice.SubscribeSync(subject); err != nil {
			t.Fatal(err)
		}
		flush(t, alice)
		refusal(t, refused, "subscribe "+subject)
	}
}

// Whoever runs an institution's own broker is held back by the border of its account alone.
func TestHostileInstitution(t *testing.T) {
	f := brokertest.Hub(t, "alice", "bob", "mallory")
	serveCoordinator(t, f)
	evil := f.Intruder(t, broker.AccountOf("mallory"))
	everything := listen(t, evil, ">")
	id := uuid.NewString()

	t.Run("reads nothing of others", func(t *testing.T) {
		bob := listen(t, f.Conns["bob"], broker.ShareInbox("bob"))
		publish(t, f.Conns["alice"], broker.Share(id, "bob", "alice"), "share")
		only(t, bob, "share")
		if _, err := f.Conns["alice"].Request(broker.JoinSubject("alice"), []byte("alice"), patience); err != nil {
			t.Fatal(err)
		}
		publish(t, f.Conns["alice"], broker.EventSubject("alice", "started"), "event")
		publish(t, f.Coordinator, broker.StartSubject("bob"), "start")
		publish(t, f.Conns["alice"], broker.Share(id, "mallory", "alice"), "for mallory")
		only(t, everything, "for mallory")
	})

	t.Run("cannot forge a sender", func(t *testing.T) {
		bob := listen(t, f.Conns["bob"], broker.ShareInbox("bob"))
		start := listen(t, f.Conns["bob"], broker.StartSubject("bob"))
		publish(t, evil, broker.Share(id, "bob", "alice"), "forged")
		publish(t, evil, broker.StartSubject("bob"), "forged")
		publish(t, evil, broker.Share(id, "bob", "mallory"), "own")
		only(t, bob, "own")
		publish(t, f.Coordinator, broker.StartSubject("bob"), "real")
		only(t, start, "real")
		drop(everything)
	})

	t.Run("cannot make another answer into an inbox", func(t *testing.T) {
		bob := listen(t, f.Conns["bob"], broker.ShareInbox("bob"))
		// The coordinator answers to the reply subject, and so would the hub if nobody listened.
		for _, to := range []string{broker.JoinSubject("mallory"), broker.LeaveSubject("mallory"), "weft.coordinator.nobody", broker.Share(id, "alice", "mallory")} {
			if err := evil.PublishRequest(to, broker.Share(id, "bob", "alice"), []byte("mallory")); err != nil {
				t.Fatal(err)
			}
			flush(t, evil)
		}
		if _, err := f.Conns["bob"].Request(broker.JoinSubject("bob"), []byte("bob"), patience); err != nil { // after the other in the coordinator's queue
			t.Fatal(err)
		}
		publish(t, f.Conns["alice"], broker.Share(id, "bob", "alice"), "real")
		only(t, bob, "real")
		drop(everything)
	})

	t.Run("cannot ask under another's name", func(t *testing.T) {
		observer := f.Intruder(t, broker.AccountCoordinator)
		defer observer.Close()
		heard := listen(t, observer, "weft.coordinator.>")
		for _, subject := range []string{broker.JoinSubject("bob"), broker.LeaveSubject("bob"), broker.JoinSubject("mallory.bob"), "weft.coordinator.join"} {
			publish(t, evil, subject, "forged")
		}
		publish(t, evil, broker.LeaveSubject("mallory"), "own")
		only(t, heard, "own")
		drop(everything)
	})

	t.Run("cannot answer as coordinator", func(t *testing.T) {
		if _, err := evil.QueueSubscribe("weft.coordinator.>", "q", func(m *nats.Msg) { _ = m.Respond([]byte("forged")) }); err != nil {
			t.Fatal(err)
		}
		flush(t, evil)
		for range 50 {
			m, err := f.Conns["bob"].Request(broker.JoinSubject("bob"), []byte("bob"), patience)
			if err != nil || string(m.Data) != "welcome bob" {
				t.Fatalf("bob got an answer that is not the coordinator's (%v)", err)
			}
		}
	})
}

func drop(ch chan *nats.Msg) {
	for {
		select {
		case <-ch:
		default:
			return
		}
	}
}

// A party that subscribes shows nobody else what it waits for: a request to nobody is answered alike with and without
// another's interest, and no account but its own sees a message that nobody was sent.
func TestInterestIsPrivate(t *testing.T) {
	f := brokertest.Hub(t, "alice", "bob", "mallory")
	evil := f.Intruder(t, broker.AccountOf("mallory"))
	id := uuid.NewString()
	subject := broker.Share(id, "alice", "bob") // alice waits for bob
	ask := func() error {
		_, err := evil.Request(subject, nil, patience)
		return err
	}
	if err := ask(); err != nats.ErrNoResponders {
		t.Fatalf("before: %v", err)
	}
	listen(t, f.Intruder(t, broker.AccountOf("alice")), subject)
	if err := ask(); err != nats.ErrNoResponders {
		t.Errorf("with alice's interest: %v, want %v", err, nats.ErrNoResponders)
	}
}

func TestObserverSeesAllAccounts(t *testing.T) {
	f := brokertest.Hub(t, "alice", "bob")
	o := f.Observe(t)
	id := uuid.NewString()
	publish(t, f.Conns["alice"], broker.Share(id, "bob", "alice"), "in the clear")
	publish(t, f.Coordinator, broker.StartSubject("bob"), "start")
	accounts := map[string]bool{}
	for _, s := range o.Seen(t) {
		accounts[s.Account+" "+string(s.Data)] = true
	}
	for _, want := range []string{"ALICE in the clear", "BOB in the clear", "COORDINATOR start", "BOB start"} {
		if !accounts[want] {
			t.Errorf("not seen: %s", want)
		}
	}
	if !o.Contains(t, []byte("the clear")) || !o.Contains(t, []byte(id)) || o.Contains(t, []byte("never sent")) {
		t.Error("Contains is wrong")
	}
}

func names(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("party-%d", i)
	}
	return out
}

func BenchmarkStartHub(b *testing.B) {
	for _, n := range []int{3, 16, 128} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			c := hubConfig(b, n)
			for b.Loop() {
				s, err := broker.Start(c)
				if err != nil {
					b.Fatal(err)
				}
				s.Shutdown()
			}
		})
	}
}

func hubConfig(t testing.TB, n int) broker.Config {
	t.Helper()
	var members []broker.Member
	for _, name := range names(n) {
		members = append(members, broker.Member{Name: name, NKey: brokertest.Key(t).Public()})
	}
	c := broker.Hub("hub", "", members, broker.Member{Name: "coordinator", NKey: brokertest.Key(t).Public()})
	c.Logger = brokertest.Logger(t)
	return c
}

func BenchmarkRenderHub(b *testing.B) {
	c := hubConfig(b, 128)
	for b.Loop() {
		if _, err := c.Render(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkShare measures one way between two accounts, in process.
func BenchmarkShare(b *testing.B) {
	f := brokertest.Hub(b, "alice", "bob", "carol")
	subject := broker.Share(uuid.NewString(), "bob", "alice")
	bob := listen(b, f.Conns["bob"], broker.ShareInbox("bob"))
	for b.Loop() {
		if err := f.Conns["alice"].Publish(subject, make([]byte, 64)); err != nil {
			b.Fatal(err)
		}
		<-bob
	}
}

// BenchmarkJoin measures a request to the coordinator and its answer, through the import, in process.
func BenchmarkJoin(b *testing.B) {
	f := brokertest.Hub(b, "alice", "bob", "carol")
	serveCoordinator(b, f)
	for b.Loop() {
		if _, err := f.Conns["alice"].Request(broker.JoinSubject("alice"), nil, patience); err != nil {
			b.Fatal(err)
		}
	}
}
