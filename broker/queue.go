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
	queueMost  = 256 << 10   // bytes that wait for the server before a write does
	queueLarge = 32 << 10    // bytes of a write that are not copied
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

// queue is a connection whose small writes return at once, unless much waits to be read. The pipe below has no room: a write to
// it lasts until the other side has read all and, as a server does, acted on most of it. nats.go holds its lock meanwhile, so
// that everybody who publishes would wait for the server. Large writes wait all the same: copies of them cost memory.
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
		switch {
		case len(q.waiting) > 0 && !q.writing:
			now := q.waiting
			q.waiting = spare[:0]
			q.through(now)
			spare = now
		case q.closed && len(q.waiting) == 0:
			return
		default:
			q.changed.Wait()
		}
	}
}

// through writes b to the pipe, while nobody else does.
func (q *queue) through(b []byte) {
	q.writing = true
	q.mu.Unlock()
	_, err := q.Conn.Write(b)
	q.mu.Lock()
	if q.writing = false; err != nil && q.err == nil {
		q.err = err
	}
	q.changed.Broadcast()
}

// Write copies b into the queue, or, if it is large, writes it when the queue is empty. It waits for that, or for room, until
// the write deadline.
func (q *queue) Write(b []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	large := len(b) >= queueLarge
	for q.err == nil && !q.closed && (len(q.waiting) >= queueMost || large && (len(q.waiting) > 0 || q.writing)) {
		if err := q.wait(q.deadline); err != nil {
			return 0, err
		}
	}
	switch {
	case q.err != nil:
		return 0, q.err
	case q.closed:
		return 0, net.ErrClosed
	case large:
		if err := q.Conn.SetWriteDeadline(q.deadline); err != nil {
			return 0, err
		}
		if q.through(b); q.err != nil {
			return 0, q.err
		}
		return len(b), q.Conn.SetWriteDeadline(time.Time{})
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

// SetWriteDeadline implements net.Conn. What waits has none.
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
