package seat

import (
	"sync"
	"time"

	"github.com/weftmpc/weft/node/session"
)

// HopBounds are the upper bounds of the classes into which Stats sorts hops.
var HopBounds = [...]time.Duration{
	time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second,
	20 * time.Second, time.Minute,
}

// Stats are sums over all computations since the seat was made. They tell nothing about single ones.
type Stats struct {
	Hops    [len(HopBounds) + 1]uint64 // waits for others' messages, by how long they took; the last is beyond all bounds
	HopTime time.Duration              // of all hops together
	Session session.Stats              // of the computations that have ended
	Running int                        // computations under way
}

type stats struct {
	mu  sync.Mutex
	sum Stats
}

// count takes in how long a wait for others' messages was.
func (s *stats) count(took time.Duration) {
	took = max(0, took)
	class := 0
	for class < len(HopBounds) && took > HopBounds[class] {
		class++
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sum.Hops[class]++
	s.sum.HopTime += took
}

// refuse counts a message that was dropped unread.
func (s *stats) refuse() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sum.Session.Dropped++
}

// add takes in what became of one computation's messages.
func (s *stats) add(one session.Stats) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := &s.sum.Session
	all.Dropped += one.Dropped
	all.Duplicates += one.Duplicates
	all.Repeated += one.Repeated
	all.Asks += one.Asks
	all.Unsent += one.Unsent
}

// Stats returns the sums as they are now.
func (s *Seat) Stats() Stats {
	s.mu.Lock()
	running := len(s.runs)
	s.mu.Unlock()
	s.stats.mu.Lock()
	defer s.stats.mu.Unlock()
	all := s.stats.sum
	all.Running = running
	return all
}
