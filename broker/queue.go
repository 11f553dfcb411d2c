package broker

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

const (
	queueMost  = 1 << 20     // bytes that wait for the server before a write does
	queueClose = time.Second // how long the last of them may take
)

// inProcess gives connections to a server in this process, with a queue each.
type inProcess struct{ srv *server.Server }

// InProcessConn implements nats.InProcessConnProvider.
func (p inProcess) InProcessConn() (net.Conn, error) {
	c, err := p.srv.InProcessConn()
	if err != nil {
		return nil, err
	}
	return newQueue(c), nil
}

// queue is a connection whose writes return at once, unless a MiB waits to be read. The pipe below has no room: a write to it
// lasts until the other side has read all and, as a server does, acted on most of it. nats.go holds its lock meanwhile, so
// that everybody who publishes would wait for the server.
type queue struct {
	net.Conn
	mu       sync.Mutex
	changed  sync.Cond // of what follows
	waiting  []byte
	writing  bool
	closed   bool
	err      error // of the pipe
	deadline time.Time
}

func newQueue(c net.Conn) *queue {
	q := &queue{Conn: c}
	q.changed.L = &q.mu
	go q.run()
	return q
}

// run writes what waits until the connection ends.
func (q *queue) run() {
	var spare []byte
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.err == nil {
		if len(q.waiting) == 0 {
			if q.closed {
				return
			}
			q.changed.Wait()
			continue
		}
		now := q.waiting
		q.waiting, q.writing = spare[:0], true
		q.mu.Unlock()
		_, err := q.Conn.Write(now)
		q.mu.Lock()
		if spare = now; cap(spare) > queueMost/8 { // a large message is rare
			spare = nil
		}
		if q.writing = false; err != nil && q.err == nil {
			q.err = err
		}
		q.changed.Broadcast()
	}
}

// Write copies b into the queue. It waits for room until the write deadline.
func (q *queue) Write(b []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.waiting) >= queueMost && q.err == nil && !q.closed {
		if err := q.wait(q.deadline); err != nil {
			return 0, err
		}
	}
	switch {
	case q.err != nil:
		return 0, q.err
	case q.closed:
		return 0, net.ErrClosed
	}
	q.waiting = append(q.waiting, b...)
	q.changed.Broadcast()
	return len(b), nil
}

// Read reads from the pipe. Once that has come to its end the queue has, too: nats.go leaves a connection whose login has failed
// as it is, and closes it never.
func (q *queue) Read(b []byte) (int, error) {
	n, err := q.Conn.Read(b)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		q.mu.Lock()
		defer q.mu.Unlock()
		if q.err == nil {
			q.err = io.ErrClosedPipe
		}
		q.changed.Broadcast()
	}
	return n, err
}

// wait waits for a change until a deadline, if there is one.
func (q *queue) wait(deadline time.Time) error {
	if !deadline.IsZero() {
		left := time.Until(deadline)
		if left <= 0 {
			return os.ErrDeadlineExceeded
		}
		defer time.AfterFunc(left, func() {
			q.mu.Lock()
			defer q.mu.Unlock()
			q.changed.Broadcast()
		}).Stop()
	}
	q.changed.Wait()
	return nil
}

// Close ends the connection when the server has read what waits, or after a second.
func (q *queue) Close() error {
	q.mu.Lock()
	q.closed = true
	q.changed.Broadcast()
	until := time.Now().Add(queueClose)
	for (len(q.waiting) > 0 || q.writing) && q.err == nil && q.wait(until) == nil {
	}
	q.mu.Unlock()
	return q.Conn.Close()
}

// SetWriteDeadline implements net.Conn.
func (q *queue) SetWriteDeadline(t time.Time) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.deadline = t
	q.changed.Broadcast()
	return nil
}

// SetDeadline implements net.Conn.
func (q *queue) SetDeadline(t time.Time) error {
	if err := q.SetWriteDeadline(t); err != nil {
		return err
	}
	return q.SetReadDeadline(t)
}
