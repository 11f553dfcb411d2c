package objects

import (
	"sync"
	"testing"
)

// Many large objects that are read at once do not overrun the connection, which jobs and the node use too: the broker cuts
// it when more than 64 MiB wait there to be sent.
func TestACrowdOfReadersKeepsTheConnection(t *testing.T) {
	s, p := newStore(t, Options{})
	r := put(t, s, "alice", make([]byte, 8<<20))
	before := p.Conn.Stats().Reconnects
	var wg sync.WaitGroup
	for range 40 {
		wg.Go(func() {
			if _, err := s.Get(timeout(t), r.ID); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := p.Conn.Stats().Reconnects - before; n != 0 {
		t.Errorf("the connection was cut %d times", n)
	}
}
