package gateway

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/weftmpc/weft/broker"
)

// Names that are no tokens, thousands of services, announcements without end: what was known stays, and a look ends.
func TestManyHostileServices(t *testing.T) {
	h := newHouse(t, nil, "adder")
	var calls atomic.Int64
	h.announce("adder", "1.0.0", adder, adding(&calls))
	h.look()
	add := h.memberOf(h.service(`{"microservice":"adder"}`), "add")

	crowd := h.broker.Conn // whom no permission holds back
	answer := func(name, text string) []byte {
		return mustJSON(micro.Info{ServiceIdentity: micro.ServiceIdentity{Name: name, ID: "1", Version: "1.0.0", Metadata: map[string]string{broker.ServiceMetadata: text}},
			Endpoints: []micro.EndpointInfo{{Name: "get", Subject: broker.ServiceSubject(name, "get")}}})
	}
	one := `{"description":{"namespace":"x"},"members":[{"name":"get"}]}`
	subscribe := func(subject string, f func(*nats.Msg)) {
		sub, err := crowd.Subscribe(subject, f)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = sub.Unsubscribe() })
	}
	subscribe("$SRV.PING", func(m *nats.Msg) {
		for i := range 3000 {
			_ = m.Respond([]byte(fmt.Sprintf(`{"name":"aaa-%04d"}`, i)))
		}
		for _, name := range []string{"a.b", "*", ">", "", "UPPER", strings.Repeat("x", 70), "a b", "_x"} {
			_ = m.Respond(mustJSON(map[string]string{"name": name}))
		}
	})
	var asked sync.Map
	subscribe("$SRV.INFO.*", func(m *nats.Msg) {
		name := strings.TrimPrefix(m.Subject, "$SRV.INFO.")
		asked.Store(name, true)
		if name == "adder" { // the test's crowd leaves it alone; a service with a user of its own cannot hear this
			return
		}
		for range 100 {
			_ = m.Respond(answer(name, one))
		}
		_ = m.Respond(make([]byte, 1<<20))
	})
	began := time.Now()
	for range 3 {
		h.look()
	}
	if took := time.Since(began); took > 12*time.Second {
		t.Errorf("three looks took %v", took)
	}
	h.gateway.microservices.mu.Lock()
	known := len(h.gateway.microservices.known)
	h.gateway.microservices.mu.Unlock()
	if known > mostServices {
		t.Errorf("%d services are known", known)
	}
	asked.Range(func(name, _ any) bool {
		if n := name.(string); n != "adder" && !strings.HasPrefix(n, "aaa-") {
			t.Errorf("%q was asked", n)
		}
		return true
	})
	h.uuid("PATCH", "/representation/"+add, `{"args":[1]}`)
	list := h.do("GET", "/representations", "").body
	if !strings.Contains(list, "ADDER") || strings.Count(list, "aaa-") > mostServices || len(list) > 20_000 {
		t.Errorf("%d bytes: %.300s", len(list), list)
	}
	if lines := strings.Count(h.log.String(), "is not taken"); lines > 3*notesEach {
		t.Errorf("%d lines in the log", lines)
	}
}

// Property: the gateway's own objects come first, then the others by name, whatever the order in which they came and how often
// the gateway looked; and each handle is the same again after any such history.
func TestTheListIsStable(t *testing.T) {
	h := newHouse(t, nil)
	m := h.gateway.microservices
	names := []string{"a", "a-b", "ab", "b", "icd10", "z"}
	announced := func(name string) Announced {
		return Announced{name, "1.0.0", `{"description":{"namespace":"x"},"members":[{"name":"get"}]}`, []string{"get"}}
	}
	ids := map[string]string{}
	own := strings.TrimSuffix(h.do("GET", "/representations", "").body, "]}")
	for seed := range 40 {
		var here []Announced
		for i, name := range names {
			if seed*7919>>i&1 == 1 {
				here = append(here, announced(name))
			}
		}
		if seed%2 == 1 {
			slices.Reverse(here)
		}
		m.take(here)
		h.clock.advance(absentAfter) // those that were not there are gone
		m.take(here)
		want := own
		slices.SortFunc(here, func(a, b Announced) int { return strings.Compare(a.Name, b.Name) })
		for _, a := range here {
			want += `,{"namespace":"x","microservice":"` + a.Name + `","version":"1.0.0"}`
			id := h.memberOf(h.service(`{"microservice":"`+a.Name+`"}`), "get")
			if ids[a.Name] == "" {
				ids[a.Name] = id
			} else if ids[a.Name] != id {
				t.Errorf("seed %d: %s has another handle", seed, a.Name)
			}
		}
		if got := h.do("GET", "/representations", "").body; got != want+"]}" {
			t.Fatalf("seed %d: %s\nwant %s", seed, got, want)
		}
	}
	if len(ids) != len(names) {
		t.Errorf("%d services were there", len(ids))
	}
}

// The table is full of services that are away: a new one takes the place of the one that has been for longest.
func TestTheLongestAwayIsForgotten(t *testing.T) {
	h := newHouse(t, nil)
	m := h.gateway.microservices
	get := `{"description":{"namespace":"x"},"members":[{"name":"get"}]}`
	for i := range mostServices {
		m.take([]Announced{{fmt.Sprintf("s%d", i), "1.0.0", get, []string{"get"}}})
		h.clock.advance(time.Second)
	}
	m.take([]Announced{{"late", "1.0.0", get, []string{"get"}}})
	if len(m.known) != mostServices || m.known["late"] == nil || m.known["s0"] != nil {
		t.Errorf("%v", slices.Sorted(maps.Keys(m.known)))
	}
	m.take([]Announced{{"later", "1.0.0", get, []string{"get"}}})
	if len(m.known) != mostServices || m.known["later"] == nil || m.known["s1"] != nil {
		t.Errorf("%v", slices.Sorted(maps.Keys(m.known)))
	}

	// A table of services that are there takes no other one.
	var all []Announced
	for name := range m.known {
		all = append(all, Announced{name, "1.0.0", get, []string{"get"}})
	}
	m.take(append(all, Announced{"a", "1.0.0", get, []string{"get"}}))
	if len(m.known) != mostServices || m.known["a"] != nil || !strings.Contains(h.log.String(), "there are too many; the gateway knows 64") {
		t.Errorf("%v", slices.Sorted(maps.Keys(m.known)))
	}
}

// Identifiers that nobody has cost at most a look every two seconds.
func TestUnknownHandlesLookRarely(t *testing.T) {
	h := newHouse(t, nil)
	looks := &counting{Microservices: h.gateway.microservices.via}
	h.gateway.microservices.via = looks
	for i := range 50 {
		h.want(h.do("GET", fmt.Sprintf("/representation/8a3a5ac0-1ad0-8d6c-9d1e-0d7d3f0f5b%02x", i), ""), http.StatusNotFound, "no such representation")
		h.want(h.do("POST", "/representations", `{"kwargs":{"x":"y"}}`), http.StatusNotFound, "requirements")
	}
	if n := looks.n.Load(); n < 1 || n > 3 {
		t.Errorf("%d looks", n)
	}
}

type counting struct {
	Microservices
	n atomic.Int64
}

func (c *counting) Find(ctx context.Context, names []string) ([]Announced, error) {
	c.n.Add(1)
	return c.Microservices.Find(ctx, names)
}

// BenchmarkMicroservice is a call of a microservice by a client, what comes back released.
func BenchmarkMicroservice(b *testing.B) {
	h := newHouse(b, nil, "adder")
	var calls atomic.Int64
	h.announce("adder", "1.0.0", adder, adding(&calls))
	add := h.memberOf(h.service(`{"microservice":"adder"}`), "add")
	for b.Loop() {
		h.do("DELETE", "/representation/"+h.uuid("PATCH", "/representation/"+add, `{"args":[1,2]}`), "")
	}
}
