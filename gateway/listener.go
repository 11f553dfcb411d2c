package gateway

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
)

// listener accepts no more than so many connections at a time. Further ones wait in the system's queue, where they cost
// the process no file descriptor: without descriptors the stores could not write either. One place in the network has half of
// the connections at most, but for this machine and for proxies, which bring many people: who is nobody yet must not be able
// to keep everybody out.
type listener struct {
	net.Listener
	open    *atomic.Int64 // connections, for all to see
	slots   chan struct{}
	closed  chan struct{}
	once    sync.Once
	proxies proxies

	mu   sync.Mutex
	from map[string]int // open connections by place
}

func newListener(l net.Listener, most int, p proxies, open *atomic.Int64) *listener {
	return &listener{Listener: l, open: open, slots: make(chan struct{}, most), closed: make(chan struct{}), proxies: p, from: map[string]int{}}
}

// enter counts a connection by its place, "" for those that have no bound; ok says whether there is room for it.
func (l *listener) enter(c net.Conn) (place string, ok bool) {
	a := addressOf(c.RemoteAddr().String())
	if !a.IsValid() || a.IsLoopback() || l.proxies.has(a) {
		return "", true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	place = placeOf(a)
	if l.from[place] >= (cap(l.slots)+1)/2 {
		return place, false
	}
	l.from[place]++
	return place, true
}

func (l *listener) leave(place string) {
	if place == "" {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.from[place]--; l.from[place] == 0 {
		delete(l.from, place)
	}
}

// Accept waits for a slot, then for a connection.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			<-l.slots
			return nil, err
		}
		if place, ok := l.enter(c); ok {
			l.open.Add(1)
			return &connection{Conn: c, l: l, place: place}, nil
		}
		_ = c.Close()
	}
}

// Close also ends an Accept that waits for a slot.
func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// connection gives its slot back when it is closed.
type connection struct {
	net.Conn
	l     *listener
	place string
	once  sync.Once
}

func (c *connection) Close() error {
	err := c.Conn.Close()
	c.giveUp()
	return err
}

// giveUp gives the slot back, once.
func (c *connection) giveUp() {
	c.once.Do(func() {
		c.l.open.Add(-1)
		c.l.leave(c.place)
		<-c.l.slots
	})
}

type connectionKey struct{}

// withConnection lets a request find its connection.
func withConnection(ctx context.Context, c net.Conn) context.Context {
	if secure, ok := c.(interface{ NetConn() net.Conn }); ok { // crypto/tls
		c = secure.NetConn()
	}
	return context.WithValue(ctx, connectionKey{}, c)
}

// stepAside makes room for another connection while this one listens to events: those are counted by themselves. The
// connection must end with the request.
func stepAside(ctx context.Context) {
	if c, ok := ctx.Value(connectionKey{}).(*connection); ok {
		c.giveUp()
	}
}
