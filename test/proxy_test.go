package test

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"
)

// proxy stands between a process and the hub and does to their connections what networks do: end them, let them fall
// silent without an end, refuse new ones, delay. The zero faults pass everything on. It does not look into what passes,
// which is TLS.
type proxy struct {
	target   string
	listener net.Listener
	done     sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	refuse  bool
	up      bool // swallow what the process sends
	down    bool // swallow what the hub sends
	delay   time.Duration
	conns   map[*proxied]bool
	carried int // connections so far
}

// proxied is one connection through a proxy.
type proxied struct {
	p        *proxy
	near     *net.TCPConn // to the process
	far      *net.TCPConn // to the hub
	finished chan struct{}
	once     sync.Once
}

// newProxy listens on a loopback port for connections to target.
func newProxy(t testing.TB, target string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", freeAddress(t))
	must(t, err)
	p := &proxy{target: target, listener: l, conns: map[*proxied]bool{}}
	p.done.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

func (p *proxy) addr() string { return p.listener.Addr().String() }

func (p *proxy) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.listener.Close()
	p.cut(true)
	p.done.Wait()
}

func (p *proxy) accept() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.done.Go(func() { p.serve(c.(*net.TCPConn)) })
	}
}

func (p *proxy) serve(near *net.TCPConn) {
	p.mu.Lock()
	refused := p.refuse || p.closed
	p.mu.Unlock()
	var far net.Conn
	err := errors.New("refused")
	if !refused {
		far, err = net.Dial("tcp", p.target)
	}
	if err != nil {
		_ = near.SetLinger(0)
		near.Close()
		return
	}
	c := &proxied{p: p, near: near, far: far.(*net.TCPConn), finished: make(chan struct{})}
	p.mu.Lock()
	if p.refuse || p.closed {
		p.mu.Unlock()
		c.end(true)
		return
	}
	p.conns[c] = true
	p.carried++
	p.mu.Unlock()
	var halves sync.WaitGroup
	halves.Go(func() { c.carry(c.far, c.near, true) })
	halves.Go(func() { c.carry(c.near, c.far, false) })
	halves.Wait()
	p.mu.Lock()
	delete(p.conns, c)
	p.mu.Unlock()
}

// parcel is what was read at once, and when it is due on the other side.
type parcel struct {
	data []byte
	due  time.Time
}

// carry copies one direction. Reading and writing are apart, so that a delay holds back every byte equally long and
// none of the bytes behind it.
func (c *proxied) carry(to, from *net.TCPConn, up bool) {
	parcels := make(chan parcel, 1024)
	var writer sync.WaitGroup
	writer.Go(func() {
		for q := range parcels {
			if wait := time.Until(q.due); wait > 0 {
				timer := time.NewTimer(wait)
				select {
				case <-timer.C:
				case <-c.finished:
					timer.Stop()
				}
			}
			if _, err := to.Write(q.data); err != nil {
				c.end(true)
			}
		}
		_ = to.CloseWrite() // the end of this direction, behind all that was under way
	})
	defer writer.Wait()
	defer close(parcels)
	buffer := make([]byte, 64<<10)
	gap := false // something was swallowed: this direction can never be whole again
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			c.p.mu.Lock()
			gap = gap || up && c.p.up || !up && c.p.down
			delay := c.p.delay
			c.p.mu.Unlock()
			if !gap {
				select {
				case parcels <- parcel{append([]byte(nil), buffer[:n]...), time.Now().Add(delay)}:
				case <-c.finished:
					return
				}
			}
		}
		if err != nil {
			if !errors.Is(err, io.EOF) { // a reset is passed on as a reset
				c.end(true)
			}
			return
		}
	}
}

// end ends both halves at once, with RST or with FIN.
func (c *proxied) end(rst bool) {
	c.once.Do(func() {
		for _, conn := range []*net.TCPConn{c.near, c.far} {
			if rst {
				_ = conn.SetLinger(0)
			}
			conn.Close()
		}
		close(c.finished)
	})
}

// cut ends all connections that there are, with RST or with FIN, and returns how many.
func (p *proxy) cut(rst bool) int {
	p.mu.Lock()
	all := make([]*proxied, 0, len(p.conns))
	for c := range p.conns {
		all = append(all, c)
	}
	p.mu.Unlock()
	for _, c := range all {
		c.end(rst)
	}
	return len(all)
}

// silence swallows what the process sends (up), what the hub sends (down), or both, from now on; connections stay, and new
// ones are accepted and swallowed as well.
func (p *proxy) silence(up, down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.up, p.down = up, down
}

// refuseNew ends new connections before a byte passes; those that there are go on.
func (p *proxy) refuseNew(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = on
}

// slow delays every byte that comes from now on, in each direction, as a long line does: the throughput stays.
func (p *proxy) slow(oneWay time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = oneWay
}

// heal passes everything on again. A connection that lost bytes to silence stays silent, as it does behind a router that
// has forgotten it; end those with cut.
func (p *proxy) heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.up, p.down, p.refuse = false, false, false
}

// open is how many connections there are.
func (p *proxy) open() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.conns)
}

// echo is a server that sends back all that comes, and what the far end of a proxy sees of its connections.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	return l.Addr().String()
}

// line is a connection through a proxy as its user sees it.
type line struct {
	t *testing.T
	net.Conn
}

func dialProxy(t *testing.T, p *proxy) line {
	t.Helper()
	c, err := net.Dial("tcp", p.addr())
	must(t, err)
	t.Cleanup(func() { c.Close() })
	must(t, c.SetDeadline(time.Now().Add(patience)))
	return line{t, c}
}

// says sends a word; echoes wants it back.
func (l line) says(word string) {
	l.t.Helper()
	_, err := l.Write([]byte(word))
	must(l.t, err)
}

func (l line) echoes(word string) {
	l.t.Helper()
	l.says(word)
	l.hears(word)
}

func (l line) hears(word string) {
	l.t.Helper()
	b := make([]byte, len(word))
	if _, err := io.ReadFull(l, b); err != nil || string(b) != word {
		l.t.Fatalf("heard %q, %v, want %q", b, err, word)
	}
}

// ends wants the connection's end: a reset, or an end of the stream.
func (l line) ends(reset bool) {
	l.t.Helper()
	n, err := l.Read(make([]byte, 1))
	if n != 0 || reset == errors.Is(err, io.EOF) || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		l.t.Fatalf("read %d bytes, %v; want reset %t", n, err, reset)
	}
}

// silent wants nothing to come.
func (l line) silent() {
	l.t.Helper()
	must(l.t, l.SetReadDeadline(time.Now().Add(50*time.Millisecond)))
	n, err := l.Read(make([]byte, 1))
	var timeout net.Error
	if n != 0 || !errors.As(err, &timeout) || !timeout.Timeout() {
		l.t.Fatalf("read %d bytes, %v, want silence", n, err)
	}
	must(l.t, l.SetReadDeadline(time.Now().Add(patience)))
}

func TestProxy(t *testing.T) {
	p := newProxy(t, echo(t))
	t.Run("passes on", func(t *testing.T) {
		l := dialProxy(t, p)
		l.echoes("hello")
		must(t, l.Conn.(*net.TCPConn).CloseWrite())
		l.ends(false)
	})
	for name, rst := range map[string]bool{"cut with RST": true, "cut with FIN": false} {
		t.Run(name, func(t *testing.T) {
			l := dialProxy(t, p)
			l.echoes("hello")
			if n := p.cut(rst); n == 0 {
				t.Error("nothing was cut")
			}
			l.ends(rst)
			dialProxy(t, p).echoes("again")
		})
	}
	for name, d := range map[string]struct{ up, down bool }{"silent": {true, true}, "silent up": {true, false}, "silent down": {false, true}} {
		t.Run(name, func(t *testing.T) {
			l := dialProxy(t, p)
			l.echoes("hello")
			p.silence(d.up, d.down)
			defer p.heal()
			l.says("lost")
			l.silent()
			late := dialProxy(t, p)
			late.says("lost, too")
			late.silent()
			p.heal()
			dialProxy(t, p).echoes("again")
			l.says("no more")
			l.silent() // it has lost bytes, so it stays silent
			p.cut(true)
			l.ends(true)
		})
	}
	t.Run("refuses", func(t *testing.T) {
		l := dialProxy(t, p)
		l.echoes("hello")
		p.refuseNew(true)
		defer p.heal()
		if c, err := net.Dial("tcp", p.addr()); err == nil { // the end can come before the beginning is over
			defer c.Close()
			line{t, c}.ends(true)
		}
		l.echoes("still here")
		p.heal()
		dialProxy(t, p).echoes("again")
	})
	t.Run("delays", func(t *testing.T) {
		const oneWay = 30 * time.Millisecond
		p.slow(oneWay)
		defer p.slow(0)
		l := dialProxy(t, p)
		began := time.Now()
		for range 20 { // under way together
			l.says("word")
		}
		for range 20 {
			l.hears("word")
		}
		if took := time.Since(began); took < 2*oneWay {
			t.Errorf("there and back took %s, less than the delay", took)
		}
	})
}
