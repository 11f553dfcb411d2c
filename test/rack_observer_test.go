package test

import (
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/weftmpc/weft/broker/brokertest"
)

// watchedHub is a hub in the test's own process that listens for the processes of a rack as the real one does: its options
// are read from what `weft broker hub --print` writes. To each account it adds one user who may do anything there, and who
// sees every message: what passes the hub's listening port, after TLS.
type watchedHub struct {
	t       testing.TB
	options *server.Options
	keys    map[string]nkeys.KeyPair // of the observers, by account

	mu     sync.Mutex
	server *server.Server
	conns  []*nats.Conn
	seen   []brokertest.Seen
	tell   func(brokertest.Seen) // called with the lock held, for every message, instead of keeping it
	marks  map[string]chan struct{}
	lost   []string
}

// watchHub starts the hub of a rack in this process.
func watchHub(r *rack) *watchedHub {
	r.t.Helper()
	h := &watchedHub{t: r.t, options: &server.Options{}, keys: map[string]nkeys.KeyPair{}, marks: map[string]chan struct{}{}}
	must(r.t, h.options.ProcessConfigString(r.weft("broker", "hub", "--config", r.path(memberHub, "hub.yaml"), "--print")))
	h.options.NoSigs, h.options.NoLog = true, true
	for _, a := range h.options.Accounts {
		pair, err := nkeys.CreatePairWithRand(nkeys.PrefixByteUser, rand.Reader)
		must(r.t, err)
		public, err := pair.PublicKey()
		must(r.t, err)
		h.options.Nkeys = append(h.options.Nkeys, &server.NkeyUser{Nkey: public, Account: a})
		h.keys[a.Name] = pair
	}
	if len(h.keys) != len(r.parties)+3 {
		r.t.Fatalf("the hub has the accounts %v", h.keys)
	}
	h.start()
	r.t.Cleanup(h.stop)
	return h
}

// start starts the server and the observers; nothing that passes afterwards is missed.
func (h *watchedHub) start() {
	h.t.Helper()
	s, err := server.NewServer(h.options.Clone())
	must(h.t, err)
	s.Start()
	if !s.ReadyForConnections(patience) {
		h.t.Fatal("the observed hub does not get ready")
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.server, h.conns = s, nil
	for account, pair := range h.keys {
		public, err := pair.PublicKey()
		must(h.t, err)
		nc, err := nats.Connect("", nats.InProcessServer(s), nats.Name("observer of "+account), nats.Nkey(public, pair.Sign), nats.NoReconnect(),
			nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { h.miss(fmt.Errorf("%s: %w", account, err)) }))
		must(h.t, err)
		sub, err := nc.Subscribe(">", func(m *nats.Msg) { h.note(account, m) })
		must(h.t, err)
		must(h.t, sub.SetPendingLimits(-1, -1))
		must(h.t, nc.Flush())
		h.conns = append(h.conns, nc)
	}
}

// stop stops the hub; start starts it again on the same port.
func (h *watchedHub) stop() {
	h.mu.Lock()
	s, conns := h.server, h.conns
	h.server, h.conns = nil, nil
	h.mu.Unlock()
	if s == nil {
		return
	}
	for _, nc := range conns {
		nc.Close()
	}
	s.Shutdown()
	s.WaitForShutdown()
}

func (h *watchedHub) miss(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lost = append(h.lost, err.Error())
}

func (h *watchedHub) note(account string, m *nats.Msg) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if done, ok := h.marks[m.Subject]; ok {
		delete(h.marks, m.Subject)
		close(done)
		return
	}
	s := brokertest.Seen{Account: account, Subject: m.Subject, Reply: m.Reply, Header: m.Header, Data: m.Data}
	if h.tell != nil {
		h.tell(s)
		return
	}
	h.seen = append(h.seen, s)
}

// messages gives all that passed so far; what had reached the hub before the call is among it.
func (h *watchedHub) messages() []brokertest.Seen {
	h.t.Helper()
	h.settle()
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.seen)
}

// settle waits until the observers have been handed all that the hub has for them, and wants that they missed nothing.
func (h *watchedHub) settle() {
	h.t.Helper()
	h.mu.Lock()
	conns := slices.Clone(h.conns)
	h.mu.Unlock()
	for _, nc := range conns {
		mark, done := "_OBSERVER"+nats.NewInbox(), make(chan struct{})
		h.mu.Lock()
		h.marks[mark] = done
		h.mu.Unlock()
		must(h.t, nc.Publish(mark, nil))
		select {
		case <-done:
		case <-time.After(patience):
			h.t.Fatal("the hub does not answer the observer")
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.lost) > 0 {
		h.t.Fatalf("the observers have missed something: %s", strings.Join(h.lost, "; "))
	}
}

// onEach has f called for every message from now on, one at a time, instead of keeping it. It must be quick and must not
// call the hub.
func (h *watchedHub) onEach(f func(brokertest.Seen)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tell = f
}

// The observers see both ends of everything that the processes say to each other through the hub's port.
func TestWatchedHubSeesEverything(t *testing.T) {
	r := newRack(t, rackOptions{observed: true, proxied: true})
	r.wantSum(r.sumAll("19", "5", "61"), "85")
	subjects := map[string]map[string]bool{} // accounts by the first two tokens and the last two
	for _, s := range r.watched.messages() {
		tokens := strings.Split(s.Subject, ".")
		key := tokens[0]
		switch {
		case strings.HasPrefix(s.Subject, "weft.c."):
			key = strings.Join(tokens[3:], " from ")
		case tokens[0] == "weft":
			key = strings.Join(tokens[1:], ".")
		}
		if subjects[key] == nil {
			subjects[key] = map[string]bool{}
		}
		subjects[key][s.Account] = true
	}
	for _, to := range r.parties {
		want := "coordinator.join." + to
		if s := subjects[want]; !s[strings.ToUpper(to)] || !s["COORDINATOR"] {
			t.Errorf("%s was seen in the accounts %v", want, s)
		}
		for _, from := range r.parties {
			want := to + " from " + from
			if s := subjects[want]; from != to && (!s[strings.ToUpper(to)] || !s[strings.ToUpper(from)]) {
				t.Errorf("%s was seen in the accounts %v", want, s)
			}
		}
	}
	for member, p := range r.proxies {
		if p.open() == 0 {
			t.Errorf("%s has no connection through its proxy", member)
		}
	}
}
