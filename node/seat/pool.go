package seat

import (
	"crypto/ecdh"
	"io"
	"sync"
	"time"
)

const (
	poolSize = 64          // keys
	poolLife = time.Minute // of a key that waits, and of the pool after the last JOIN
)

// pool holds X25519 keys for the next JOINs, made while nobody waits for them. Each serves one JOIN, as a key that is made
// on the spot does; what is different is that it lies in memory before. So it lies there for a minute at most, and a seat
// that has not joined anything for a minute holds none: whoever takes a copy of the memory learns nothing of computations
// whose JOIN is signed later than a minute after it.
type pool struct {
	rand io.Reader

	mu   sync.Mutex
	keys []pooled // oldest first
	used time.Time
}

type pooled struct {
	key  *ecdh.PrivateKey
	made time.Time
}

// take gives a key that nobody else gets.
func (p *pool) take(now time.Time) (*ecdh.PrivateKey, error) {
	p.mu.Lock()
	p.used = now
	p.expire(now)
	var key *ecdh.PrivateKey
	if len(p.keys) > 0 {
		key = p.keys[0].key
		p.keys[0] = pooled{}
		p.keys = p.keys[1:]
	}
	p.mu.Unlock()
	if key != nil {
		return key, nil
	}
	return ecdh.X25519().GenerateKey(p.rand)
}

// fill makes keys where JOINs have been made of late, and drops what has lain for too long. The lock is not held while a
// key is made: nobody waits for the pool.
func (p *pool) fill(now time.Time) {
	for {
		p.mu.Lock()
		p.expire(now)
		enough := len(p.keys) >= poolSize || !recent(p.used, now)
		p.mu.Unlock()
		if enough {
			return
		}
		key, err := ecdh.X25519().GenerateKey(p.rand)
		if err != nil {
			return // whoever needs one says so
		}
		p.mu.Lock()
		p.keys = append(p.keys, pooled{key, now})
		p.mu.Unlock()
	}
}

// expire drops keys that are too old, and all after a time without JOINs; the lock is held.
func (p *pool) expire(now time.Time) {
	if !recent(p.used, now) {
		p.drop(len(p.keys))
		return
	}
	old := 0
	for old < len(p.keys) && !recent(p.keys[old].made, now) {
		old++
	}
	p.drop(old)
}

func (p *pool) drop(n int) {
	clear(p.keys[:n])
	if p.keys = p.keys[n:]; len(p.keys) == 0 {
		p.keys = nil
	}
}

// empty drops all keys, and makes no more before the next JOIN.
func (p *pool) empty() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.used = time.Time{}
	p.drop(len(p.keys))
}

// recent reports whether t is within poolLife before now. A clock that was put back counts as time gone by.
func recent(t, now time.Time) bool {
	age := now.Sub(t)
	return age >= 0 && age < poolLife
}
