package coordinator

import "sync"

// maxQueued bounds the messages of one party that wait for their turn.
const maxQueued = 64

// message is a JOIN or LEAVE that waits for its turn.
type message struct {
	leave bool
	party string // whose subject it came on
	reply string // subject; empty if it was published, not requested
	data  []byte
}

// queues holds a queue per party and gives them out in turn, so that a party that sends without pause delays itself only.
// Of each party one message at a time is being served: its messages stay in order, and it never holds more than one worker.
type queues struct {
	mu     sync.Mutex
	wake   sync.Cond
	by     map[string]*queue // only those with messages waiting or being served
	turns  []*queue          // those with messages waiting and none being served, next first
	closed bool
}

type queue struct {
	party   string
	waiting []message
}

func newQueues() *queues {
	q := &queues{by: make(map[string]*queue)}
	q.wake.L = &q.mu
	return q
}

// add puts m at the end of its party's queue. It is false if that is full; after close the message is dropped.
func (q *queues) add(m message) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return true
	}
	p := q.by[m.party]
	if p == nil {
		p = &queue{party: m.party}
		q.by[m.party] = p
		q.turns = append(q.turns, p)
		q.wake.Signal()
	}
	if len(p.waiting) >= maxQueued {
		return false
	}
	p.waiting = append(p.waiting, m)
	return true
}

// serve hands messages to f, one party after the other, until close. Several goroutines may serve.
func (q *queues) serve(f func(message)) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		for len(q.turns) == 0 && !q.closed {
			q.wake.Wait()
		}
		if q.closed {
			return
		}
		p := q.turns[0]
		q.turns = q.turns[1:]
		m := p.waiting[0]
		p.waiting[0] = message{} // its bytes are not kept
		p.waiting = p.waiting[1:]
		q.mu.Unlock()
		f(m)
		q.mu.Lock()
		if len(p.waiting) > 0 {
			q.turns = append(q.turns, p)
			q.wake.Signal()
		} else {
			delete(q.by, p.party)
		}
	}
}

// close ends serve; what waits is dropped.
func (q *queues) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed, q.by, q.turns = true, nil, nil
	q.wake.Broadcast()
}
