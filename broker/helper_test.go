package broker_test

import (
	"testing"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"

	"github.com/weftmpc/weft/broker"
	"github.com/weftmpc/weft/broker/brokertest"
)

// The coordinator, as a dealer, and each party exchange share messages, and nobody else sees or forges one.
func TestDealerAndPartiesExchange(t *testing.T) {
	const dealer = brokertest.CoordinatorName
	f := brokertest.Hub(t, "alice", "bob", "mallory")
	evil := f.Intruder(t, broker.AccountOf("mallory"))
	everything := listen(t, evil, ">")
	id := uuid.NewString()
	atDealer, atBob := listen(t, f.Coordinator, broker.ShareInbox(dealer)), listen(t, f.Conns["bob"], broker.ShareInbox("bob"))

	publish(t, f.Coordinator, broker.Share(id, "bob", dealer), "dealt")
	only(t, atBob, "dealt")
	publish(t, f.Conns["bob"], broker.Share(id, dealer, "bob"), "ask")
	if m := next(t, atDealer); string(m.Data) != "ask" || m.Subject != broker.Share(id, dealer, "bob") {
		t.Errorf("the dealer got %q on %s", m.Data, m.Subject)
	}

	publish(t, evil, broker.Share(id, dealer, "bob"), "forged")
	publish(t, evil, broker.Share(id, "bob", dealer), "forged")
	publish(t, evil, broker.Share(id, dealer, "mallory"), "own")
	only(t, atDealer, "own")
	publish(t, f.Coordinator, broker.Share(id, "bob", dealer), "dealt again")
	only(t, atBob, "dealt again")
	drop(everything)
	publish(t, f.Coordinator, broker.Share(id, "mallory", dealer), "for mallory")
	only(t, everything, "for mallory")
}

// The coordinator's user speaks to parties as itself alone, and hears what is for it alone.
func TestDealerPermissions(t *testing.T) {
	f := brokertest.Hub(t, "alice", "bob")
	refused := make(chan error, 8)
	nc := brokertest.Connect(t, f.Server, f.CoordinatorKey, nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err }))
	for _, subject := range []string{broker.Share("u", "bob", "alice"), broker.Share("u", "coordinator", "alice"), broker.EventSubject("bob", "x"), broker.JoinSubject("bob")} {
		publish(t, nc, subject, "no")
		refusal(t, refused, "publish "+subject)
	}
	for _, subject := range []string{">", "weft.>", "weft.c.>", broker.ShareInbox("bob"), broker.StartSubject("bob")} {
		if _, err := nc.SubscribeSync(subject); err != nil {
			t.Fatal(err)
		}
		flush(t, nc)
		refusal(t, refused, "subscribe "+subject)
	}
}
