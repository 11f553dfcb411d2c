package gateway

import "sync"

// places are those that all callers share while they wait or listen. One caller takes half of them at most, so that nobody
// keeps all others out.
type places struct {
	each int // for one caller; 0: as many as there are

	mu    sync.Mutex
	taken map[string]int // by caller
}

// enter takes a place for the caller; leave gives it back.
func (p *places) enter(caller string) bool {
	if p.each == 0 {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.taken[caller] >= p.each {
		return false
	}
	if p.taken == nil {
		p.taken = map[string]int{}
	}
	p.taken[caller]++
	return true
}

func (p *places) leave(caller string) {
	if p.each == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.taken[caller]--; p.taken[caller] == 0 {
		delete(p.taken, caller)
	}
}
