package brokertest

import (
	"bytes"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	markPrefix = "_OBSERVER"
	patience   = 10 * time.Second
)

// Seen is a message as an account saw it.
type Seen struct {
	Account, Subject, Reply string
	Header                  nats.Header
	Data                    []byte
}

// Observer sees every message in every account of a hub, which is what whoever runs the hub sees.
//
// It is a subscriber like others: while it looks on, a message to an absent party has a receiver, so its sender gets no
// "no responders".
type Observer struct {
	conns []*nats.Conn

	mu    sync.Mutex
	seen  []Seen
	marks map[string]chan struct{} // by subject
}

// Observe begins to look on; from when it returns, nothing is missed.
func (f *Fabric) Observe(t testing.TB) *Observer {
	t.Helper()
	o := &Observer{marks: map[string]chan struct{}{}}
	for _, a := range f.Config.Accounts {
		nc := f.Intruder(t, a.Name)
		sub, err := nc.Subscribe(">", func(m *nats.Msg) { o.note(a.Name, m) })
		if err != nil {
			t.Fatal(err)
		}
		if err := sub.SetPendingLimits(-1, -1); err != nil {
			t.Fatal(err)
		}
		if err := nc.Flush(); err != nil {
			t.Fatal(err)
		}
		o.conns = append(o.conns, nc)
	}
	return o
}

// Seen gives all messages so far. What a connection had flushed before the call is among them.
func (o *Observer) Seen(t testing.TB) []Seen {
	t.Helper()
	for _, nc := range o.conns {
		o.settle(t, nc)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.seen)
}

// Contains tells whether any subject, header or payload so far has b in it.
func (o *Observer) Contains(t testing.TB, b []byte) bool {
	t.Helper()
	return slices.ContainsFunc(o.Seen(t), func(s Seen) bool {
		for k, vs := range s.Header {
			if bytes.Contains([]byte(k), b) || slices.ContainsFunc(vs, func(v string) bool { return bytes.Contains([]byte(v), b) }) {
				return true
			}
		}
		return bytes.Contains([]byte(s.Subject), b) || bytes.Contains([]byte(s.Reply), b) || bytes.Contains(s.Data, b)
	})
}

// settle sends a mark to the connection's own account and waits until the observer has been handed it, and with it all
// that the server had queued for it earlier.
func (o *Observer) settle(t testing.TB, nc *nats.Conn) {
	t.Helper()
	mark, done := markPrefix+nats.NewInbox(), make(chan struct{})
	o.mu.Lock()
	o.marks[mark] = done
	o.mu.Unlock()
	if err := nc.Publish(mark, nil); err != nil {
		t.Fatal(err)
	}
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatal("the hub does not answer the observer")
	}
}

func (o *Observer) note(account string, m *nats.Msg) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if done, ok := o.marks[m.Subject]; ok {
		delete(o.marks, m.Subject)
		close(done)
		return
	}
	o.seen = append(o.seen, Seen{Account: account, Subject: m.Subject, Reply: m.Reply, Header: m.Header, Data: m.Data})
}
