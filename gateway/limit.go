package gateway

import (
	"container/list"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// limits is a token bucket for each of many names. It remembers so many names at most; the one that has been quiet for the
// longest is forgotten, and begins with a full bucket when it comes again.
type limits struct {
	rate  rate.Limit
	burst int
	most  int

	mu    sync.Mutex
	names map[string]*list.Element
	order *list.List // of *limited, the latest first
}

type limited struct {
	name   string
	bucket *rate.Limiter
}

func newLimits(r rate.Limit, burst, most int) *limits {
	return &limits{rate: r, burst: burst, most: most, names: map[string]*list.Element{}, order: list.New()}
}

// take takes one from the name's bucket. If that is empty it takes nothing and says after which time there is one.
func (l *limits) take(name string, now time.Time) (wait time.Duration) {
	b := l.bucket(name)
	if b.AllowN(now, 1) {
		return 0
	}
	missing := 1 - b.TokensAt(now)
	return max(time.Duration(missing/float64(l.rate)*float64(time.Second)), time.Millisecond)
}

func (l *limits) bucket(name string) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e, ok := l.names[name]; ok {
		l.order.MoveToFront(e)
		return e.Value.(*limited).bucket
	}
	if l.order.Len() >= l.most {
		last := l.order.Back()
		delete(l.names, l.order.Remove(last).(*limited).name)
	}
	n := &limited{name, rate.NewLimiter(l.rate, l.burst)}
	l.names[name] = l.order.PushFront(n)
	return n.bucket
}
