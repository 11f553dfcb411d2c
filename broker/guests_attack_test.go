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

// A gateway chooses what is in a record, and where the server sends what it is asked for. It cannot have it sent to the API
// that manages streams.
func TestGatewayCannotHaveStreamsManaged(t *testing.T) {
	h := newHouse(t)
	nc, _ := h.dial(t, h.gateway)
	for key, record := range map[string]string{
		"make": `{"name":"EVIL","subjects":["_INBOX.>","weft.service.>"],"storage":"file","no_ack":true}`, "empty": "",
		"change": `{"name":"KV_weft_objects","subjects":["$KV.weft_objects.>","weft.service.>"],"storage":"file","max_age":1000000000,"max_msgs_per_subject":1,"allow_direct":true,"allow_rollup_hdrs":true,"deny_delete":true,"discard":"new","num_replicas":1}`,
	} {
		if _, err := nc.Request("$KV.weft_jobs."+key, []byte(record), patience); err != nil {
			t.Fatal(err)
		}
	}
	const get = "$JS.API.DIRECT.GET.KV_weft_jobs.$KV.weft_jobs."
	for _, ask := range []struct{ subject, reply string }{
		{get + "make", "$JS.API.STREAM.CREATE.EVIL"},
		{get + "change", "$JS.API.STREAM.UPDATE.KV_weft_objects"},
		{get + "empty", "$JS.API.STREAM.DELETE.KV_weft_objects"},
		{"$JS.API.STREAM.INFO.KV_weft_jobs", "$JS.API.STREAM.PURGE.KV_weft_jobs"},
	} {
		if err := nc.PublishRequest(ask.subject, ask.reply, nil); err != nil {
			t.Fatal(err)
		}
	}
	for key, to := range map[string]string{"make": "$JS.API.STREAM.CREATE.EVIL", "empty": "$JS.API.STREAM.DELETE.KV_weft_objects"} {
		config := fmt.Sprintf(`{"stream_name":"KV_weft_jobs","config":{"name":%q,"deliver_subject":%q,"deliver_policy":"all","ack_policy":"none","filter_subject":"$KV.weft_jobs.%s"}}`, key, to, key)
		if _, err := nc.Request("$JS.API.CONSUMER.CREATE.KV_weft_jobs."+key+".$KV.weft_jobs."+key, []byte(config), patience); err != nil {
			t.Fatal(err)
		}
	}
	for end := time.Now().Add(time.Second); time.Now().Before(end); <-time.After(20 * time.Millisecond) {
		if _, err := h.JS.Stream(t.Context(), "EVIL"); err == nil {
			t.Fatal("a gateway has made a stream")
		}
		objects, err := h.JS.Stream(t.Context(), "KV_weft_objects")
		if err != nil {
			t.Fatal("a gateway has removed a stream:", err)
		}
		if objects.CachedInfo().Config.MaxAge != 0 {
			t.Fatal("a gateway has changed a stream")
		}
		if jobs, err := h.JS.Stream(t.Context(), "KV_weft_jobs"); err != nil || jobs.CachedInfo().State.Msgs != 3 {
			t.Fatal("a gateway has emptied a stream:", err)
		}
	}
}
