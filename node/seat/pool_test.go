package seat

import (
	"crypto/rand"
	"testing"
	"time"
)

// A key is given out once, lies for a minute at most, and a seat that joins nothing holds none.
func TestPool(t *testing.T) {
	p, now := &pool{rand: rand.Reader}, time.Now()
	given := map[string]bool{}
	take := func() {
		t.Helper()
		k, err := p.take(now)
		if err != nil {
			t.Fatal(err)
		}
		if given[string(k.Bytes())] {
			t.Error("a key is given out twice")
		}
		given[string(k.Bytes())] = true
	}
	if p.fill(now); len(p.keys) != 0 {
		t.Errorf("%d keys before the first JOIN", len(p.keys))
	}
	take()
	if p.fill(now); len(p.keys) != poolSize {
		t.Errorf("%d keys after a JOIN", len(p.keys))
	}
	for range poolSize + 3 {
		take()
	}
	p.fill(now)
	waiting := map[string]bool{}
	for _, k := range p.keys {
		waiting[string(k.key.Bytes())] = true
	}
	now = now.Add(poolLife - 1)
	take() // keeps the pool in use
	for _, k := range p.keys {
		if !waiting[string(k.key.Bytes())] {
			t.Error("a key was made anew before its time")
		}
	}
	now = now.Add(1)
	p.fill(now)
	for _, k := range p.keys {
		if waiting[string(k.key.Bytes())] {
			t.Error("a key lies for more than a minute")
		}
	}
	if len(p.keys) != poolSize {
		t.Errorf("%d keys in use", len(p.keys))
	}
	for name, at := range map[string]time.Time{"unused for a minute": now.Add(poolLife), "clock put back": now.Add(-2 * poolLife)} {
		q := &pool{rand: rand.Reader, keys: append([]pooled(nil), p.keys...), used: p.used}
		if q.fill(at); q.keys != nil {
			t.Errorf("%s: %d keys", name, len(q.keys))
		}
	}
	if p.empty(); p.keys != nil {
		t.Errorf("%d keys in an empty pool", len(p.keys))
	}
	if p.fill(now); p.keys != nil {
		t.Errorf("%d keys after the end", len(p.keys))
	}
}
