package broker

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// TestQueueDoesNotWaitForTheReader: writes return though nobody reads, everything arrives in order, and Close brings the rest.
func TestQueueDoesNotWaitForTheReader(t *testing.T) {
	near, far := net.Pipe()
	q := newQueue(near)
	var want bytes.Buffer
	for i := range 500 {
		b := bytes.Repeat([]byte{byte(i)}, i)
		want.Write(b)
		if n, err := q.Write(b); n != len(b) || err != nil { // with the pipe alone the first write would never return
			t.Fatal(n, err)
		}
	}
	got := make(chan []byte)
	go func() {
		b, err := io.ReadAll(far)
		if err != nil {
			t.Error(err)
		}
		got <- b
	}()
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(<-got, want.Bytes()) {
		t.Error("what was read is not what was written")
	}
	if _, err := q.Write([]byte("late")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a write after Close: %v", err)
	}
}

// TestFullQueueWaits: until the deadline, for the reader, or for the end of the connection.
func TestFullQueueWaits(t *testing.T) {
	near, far := net.Pipe()
	q := newQueue(near)
	fill := func() (n int) {
		t.Helper()
		if err := q.SetDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		for {
			m, err := q.Write(make([]byte, queueLarge/2))
			if errors.Is(err, os.ErrDeadlineExceeded) {
				return n
			}
			if n += m; err != nil {
				t.Fatal(err)
			}
		}
	}
	n := fill()
	if n < queueMost || n > 3*queueMost { // what is being written, and what waits
		t.Errorf("%d bytes wait", n)
	}
	if err := q.SetDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	wrote := make(chan error)
	write := func() {
		_, err := q.Write([]byte{1})
		wrote <- err
	}
	go write()
	if _, err := io.CopyN(io.Discard, far, int64(n)); err != nil {
		t.Fatal(err)
	}
	if err := <-wrote; err != nil {
		t.Error("with room again:", err)
	}
	if _, err := io.CopyN(io.Discard, far, 1); err != nil {
		t.Fatal(err)
	}
	fill()
	if err := q.SetDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	go write()
	if err := far.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-wrote; !errors.Is(err, io.ErrClosedPipe) {
		t.Error("when the other side has gone:", err)
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestLargeWritesAreInOrder: they wait for what was written before, and for the reader or the deadline.
func TestLargeWritesAreInOrder(t *testing.T) {
	near, far := net.Pipe()
	q := newQueue(near)
	var want bytes.Buffer
	got := make(chan []byte)
	go func() {
		b, err := io.ReadAll(far)
		if err != nil {
			t.Error(err)
		}
		got <- b
	}()
	for i := range 200 {
		b := bytes.Repeat([]byte{byte(i)}, 1+i%3*queueLarge)
		want.Write(b)
		if n, err := q.Write(b); n != len(b) || err != nil {
			t.Fatal(n, err)
		}
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(<-got, want.Bytes()) {
		t.Error("what was read is not what was written")
	}
	near, far = net.Pipe()
	defer far.Close()
	q = newQueue(near)
	if err := q.SetDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := q.Write(make([]byte, queueLarge)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("nobody reads: %v", err)
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestQueueOfASilentServer: Close does not wait for a server that reads nothing.
func TestQueueOfASilentServer(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	q := newQueue(near)
	if _, err := q.Write([]byte("never read")); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took < queueClose || took > 20*queueClose {
		t.Errorf("Close took %v", took)
	}
}

// TestQueueEndsWithTheConnection: nats.go does not close a connection whose login has failed. No goroutine stays behind.
func TestQueueEndsWithTheConnection(t *testing.T) {
	near, far := net.Pipe()
	q := &queue{Conn: near}
	q.changed.L = &q.mu
	over := make(chan struct{})
	go func() {
		defer close(over)
		q.run()
	}()
	if err := far.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := q.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Error("a read at the end:", err)
	}
	select {
	case <-over:
	case <-time.After(10 * time.Second):
		t.Fatal("the queue waits for ever")
	}
	if _, err := q.Write([]byte{1}); !errors.Is(err, io.ErrClosedPipe) {
		t.Error("a write after the end:", err)
	}
}
