package broker_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/weftmpc/weft/broker"
	"github.com/weftmpc/weft/broker/brokertest"
)

// served starts a service with an endpoint get that answers with its own instance's id.
func served(t *testing.T, nc *nats.Conn, name, metadata string) micro.Service {
	t.Helper()
	s, err := micro.AddService(nc, micro.Config{Name: name, Version: "1.2.3", Metadata: map[string]string{broker.ServiceMetadata: metadata}})
	if err != nil {
		t.Fatal(err)
	}
	for endpoint, subject := range map[string]string{"get": broker.ServiceSubject(name, "get"), "elsewhere": "elsewhere." + name, "foreign": broker.ServiceSubject("other", "foreign")} {
		if endpoint != "get" && name != "unbound" {
			continue // a service's own user may not
		}
		if err := s.AddEndpoint(endpoint, micro.HandlerFunc(func(r micro.Request) { _ = r.Respond([]byte(name)) }), micro.WithEndpointSubject(subject)); err != nil {
			t.Fatal(err)
		}
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return s
}

// A service with a user of its own and a gateway with one, as processes of their own have.
func TestServicesOfUsersOfTheirOwn(t *testing.T) {
	key, gate := brokertest.Key(t), brokertest.Key(t)
	p := brokertest.Private(t, broker.Guests{Listen: "127.0.0.1:-1", Gateways: []string{gate.Public()}, Services: []broker.Member{{Name: "mean", NKey: key.Public()}}})
	for _, through := range []*broker.Services{
		broker.NewServices(p.Conn),
		broker.NewServices(brokertest.Connect(t, p.Server, gate, gate.Inbox())),
	} {
		if found, err := through.Find(t.Context(), []string{"mean"}); err != nil || len(found) != 0 {
			t.Fatal(found, err)
		}
		if _, err := through.Call(t.Context(), "mean", "get", nil); !errors.Is(err, broker.ErrNoService) {
			t.Error(err)
		}
		one := brokertest.Connect(t, p.Server, key, key.Inbox())
		two := brokertest.Connect(t, p.Server, key, key.Inbox())
		served(t, one, "mean", "{}")
		served(t, two, "mean", "{}")
		for _, names := range [][]string{nil, {"mean"}, {"mean", "gone"}} {
			found, err := through.Find(t.Context(), names)
			if err != nil || len(found) != 2 {
				t.Fatalf("%v %v", found, err)
			}
			if s := found[0]; s.Name != "mean" || s.Version != "1.2.3" || s.Metadata != "{}" || !slices.Equal(s.Endpoints, []string{"get"}) {
				t.Errorf("%+v", s)
			}
		}
		if b, err := through.Call(t.Context(), "mean", "get", []byte("x")); err != nil || string(b) != "mean" {
			t.Error(string(b), err)
		}
		one.Close()
		two.Close()
	}
}

// Endpoints at other subjects than the service's own do not count, and a service without metadata is nobody's object.
func TestServicesThatAreNoObjects(t *testing.T) {
	p := brokertest.Private(t)
	served(t, p.Conn, "unbound", "{}")
	served(t, p.Conn, "plain", "")
	found, err := broker.NewServices(p.Conn).Find(t.Context(), nil)
	if err != nil || len(found) != 1 || found[0].Name != "unbound" || !slices.Equal(found[0].Endpoints, []string{"get"}) {
		t.Errorf("%+v %v", found, err)
	}
}

// Who answers for others, too much, too often or never.
func TestHostileAnswersToALook(t *testing.T) {
	p := brokertest.Private(t)
	served(t, p.Conn, "mean", "{}")
	info := `{"name":"mean","version":"6.6.6","metadata":{"` + broker.ServiceMetadata + `":"%s"},"endpoints":[{"name":"get","subject":"weft.service.mean.get"}]}`
	var asked sync.Map
	subscribe := func(subject string, f func(*nats.Msg)) {
		nc := brokertest.Connect(t, p.Server, p.Key)
		if _, err := nc.Subscribe(subject, f); err != nil {
			t.Fatal(err)
		}
		if err := nc.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	subscribe("$SRV.PING", func(m *nats.Msg) {
		asked.Store(m.Reply, true)
		for i := range 2000 {
			_ = m.Respond([]byte(fmt.Sprintf(info, strings.Repeat("x", i%100)))) // an INFO, where a PING was asked
		}
		_ = m.Respond([]byte(`{"name":"slow"}`))
	})
	subscribe("$SRV.INFO.slow", func(*nats.Msg) {})
	found, err := broker.NewServices(p.Conn).Find(t.Context(), []string{"mean"})
	if err != nil || len(found) != 1 || found[0].Version != "1.2.3" {
		t.Errorf("%+v %v", found, err)
	}

	// A flood at its own name drowns nothing else.
	subscribe("$SRV.INFO.flood", func(m *nats.Msg) {
		for range 500 {
			_ = m.Respond([]byte(strings.ReplaceAll(fmt.Sprintf(info, "x"), "mean", "flood")))
		}
		_ = m.Respond(make([]byte, 1<<20))
	})
	subscribe("$SRV.INFO.liar", func(m *nats.Msg) { _ = m.Respond([]byte(fmt.Sprintf(info, "x"))) }) // speaks for mean
	began := time.Now()
	found, err = broker.NewServices(p.Conn).Find(t.Context(), []string{"flood", "liar", "mean", "slow"})
	n := 0
	for _, s := range found {
		if s.Name == "flood" {
			n++
		}
	}
	if err != nil || n == 0 || n > 16 || len(found) != n+1 || time.Since(began) > 5*time.Second {
		t.Errorf("%d of the flood, %d in all, %v, after %v", n, len(found), err, time.Since(began))
	}

	// The way back of the question to one is not near that of the question to all.
	asked.Range(func(reply, _ any) bool {
		if last := reply.(string)[strings.LastIndex(reply.(string), ".")+1:]; len(last) != 32 {
			t.Errorf("%q can be guessed", reply)
		}
		return true
	})
}

func TestErrorsOfAService(t *testing.T) {
	p := brokertest.Private(t)
	code := "404"
	s, err := micro.AddService(p.Conn, micro.Config{Name: "odd", Version: "1.0.0"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.AddEndpoint("get", micro.HandlerFunc(func(r micro.Request) { _ = r.Error(code, "why", nil) }), micro.WithEndpointSubject(broker.ServiceSubject("odd", "get"))); err != nil {
		t.Fatal(err)
	}
	if err := p.Conn.Flush(); err != nil {
		t.Fatal(err)
	}
	through := broker.NewServices(p.Conn)
	for text, want := range map[string]int{"404": 404, "x": 0, "40": 0, "4040": 0, "-40": 0, "+40": 0} {
		code = text
		_, err := through.Call(t.Context(), "odd", "get", nil)
		var e *broker.ServiceError
		if !errors.As(err, &e) || e.Code != want || e.Text != "why" || strings.Contains(err.Error(), "why") {
			t.Errorf("%s: %v", text, err)
		}
	}
	if through.Limit() != 1<<20 {
		t.Error(through.Limit())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := through.Find(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := through.Call(ctx, "odd", "get", nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	p.Conn.Close()
	if _, err := through.Find(t.Context(), nil); err == nil {
		t.Error("a look without a connection")
	}
}
