package broker_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weftmpc/weft/broker"
	"github.com/weftmpc/weft/broker/brokertest"
)

// A service answers the question who is there as if nobody were: the others are found all the same.
func TestAServiceSaysThatNobodyIsThere(t *testing.T) {
	h := newHouse(t)
	liar, _ := h.dial(t, h.service)
	lied := make(chan struct{}, 1)
	if _, err := liar.Subscribe("$SRV.PING", func(m *nats.Msg) {
		nobody := nats.NewMsg(m.Reply)
		nobody.Header.Set("Status", "503")
		_ = liar.PublishMsg(nobody)
		_ = liar.Flush()
		lied <- struct{}{}
	}); err != nil {
		t.Fatal(err)
	}
	flush(t, liar)
	other, _ := h.dial(t, h.other)
	served(t, other, "other", "{}")
	// What the other one answers comes after the lie.
	slow, _ := h.dial(t, h.other)
	if _, err := slow.Subscribe("$SRV.PING", func(m *nats.Msg) {
		<-lied
		_ = m.Respond([]byte(`{"name":"late"}`))
	}); err != nil {
		t.Fatal(err)
	}
	late := brokertest.Connect(t, h.Server, h.Key)
	asked := make(chan struct{}, 1)
	if _, err := late.Subscribe("$SRV.INFO.late", func(*nats.Msg) { asked <- struct{}{} }); err != nil {
		t.Fatal(err)
	}
	flush(t, slow)
	flush(t, late)
	gateway, _ := h.dial(t, h.gateway)
	found, err := broker.NewServices(gateway).Find(t.Context(), nil)
	if err != nil || len(found) != 1 || found[0].Name != "other" {
		t.Errorf("%+v %v", found, err)
	}
	select {
	case <-asked:
	case <-time.After(patience):
		t.Error("what answered after the lie was not heard")
	}
}

// A service that comes under many names, before all others in the alphabet, does not keep the others away for good.
func TestManyNamesHideNoService(t *testing.T) {
	p := brokertest.Private(t)
	flood := brokertest.Connect(t, p.Server, p.Key)
	if _, err := flood.Subscribe("$SRV.PING", func(m *nats.Msg) {
		for i := range 80 {
			_ = m.Respond(fmt.Appendf(nil, `{"name":"a%d"}`, i))
		}
	}); err != nil {
		t.Fatal(err)
	}
	flush(t, flood)
	served(t, p.Conn, "mean", "{}")
	for range 40 { // each look hears of it with a chance of three in four
		found, err := broker.NewServices(p.Conn).Find(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(found) == 1 {
			return
		}
	}
	t.Error("the service was never found")
}
