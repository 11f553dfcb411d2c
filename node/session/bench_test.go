package session

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/weftmpc/weft/simon"
)

// table is the shortest link: the receiver's Deliver is called by a goroutine per receiver.
type table struct {
	sessions []*Session
	queues   []chan datagram
}

type datagram struct {
	from int
	b    []byte
}

type seatLink struct {
	*table
	self int
}

func (l seatLink) Send(to int, b []byte) error {
	l.queues[to] <- datagram{l.self, b} // the session does not change what it has sent
	return nil
}

func newTable(b *testing.B, n int) *table {
	t := &table{}
	for i := range n {
		c := labConfig(n, 0, i, 1)
		c.Rand, c.Link, c.Started, c.Memory = nil, seatLink{t, i}, time.Time{}, 1<<40
		s, err := New(c)
		if err != nil {
			b.Fatal(err)
		}
		t.sessions, t.queues = append(t.sessions, s), append(t.queues, make(chan datagram, 1024))
	}
	for i, s := range t.sessions {
		for j := range n {
			if i != j {
				if err := s.SetKey(j, labPRK(labSID(1), i, j), labEpoch(i, j)); err != nil {
					b.Fatal(err)
				}
			}
		}
		go func() {
			for d := range t.queues[i] {
				s.Deliver(d.from, d.b)
			}
		}()
	}
	b.Cleanup(func() {
		for i, s := range t.sessions {
			s.Close()
			close(t.queues[i])
		}
	})
	return t
}

func (t *table) play(b *testing.B, play func(ctx context.Context, s simon.Session) error) {
	var wg sync.WaitGroup
	for _, s := range t.sessions {
		wg.Go(func() {
			_, err := s.Play(b.Context(), func(ctx context.Context, c simon.Session) ([]byte, error) { return nil, play(ctx, c) })
			if err != nil {
				b.Error(err)
			}
		})
	}
	wg.Wait()
}

// One warm round of three parties, all their work included: 6 messages sealed and opened.
func BenchmarkRound64(b *testing.B) {
	t := newTable(b, 3)
	body := make([]byte, 64)
	b.ReportAllocs()
	b.ResetTimer()
	t.play(b, func(ctx context.Context, s simon.Session) error {
		for i := range b.N {
			if _, err := s.Exchange(ctx, nil, simon.Label{Round: uint32(i), Vector: "x"}, body); err != nil {
				return err
			}
		}
		return nil
	})
}

// One message sealed and one opened, nothing else: what the cryptography and the codec cost.
func BenchmarkMessage64(b *testing.B) {
	t := newTable(b, 2)
	a, z := t.sessions[0], t.sessions[1]
	body := make([]byte, 64)
	th := transcriptStart(a.cfg.SID)
	b.ReportAllocs()
	for i := range b.N {
		label := string(labelBytes(nil, simon.Label{Round: uint32(i), Vector: "x"}))
		a.mu.Lock()
		_, outs, err := a.post(label, th, []int{1}, body)
		a.mu.Unlock()
		if err != nil {
			b.Fatal(err)
		}
		z.mu.Lock()
		_, _, err = z.expect(label, th, []int{0})
		z.waits = z.waits[:0]
		z.mu.Unlock()
		if err != nil {
			b.Fatal(err)
		}
		z.Deliver(0, outs[0].b)
	}
}

// Vectors of 1,000,000 elements of 24 bytes between three parties.
func BenchmarkVectors24MB(b *testing.B) {
	const size = 24_000_000
	b.SetBytes(size)
	b.ReportAllocs()
	var peak uint64
	for range b.N {
		b.StopTimer()
		t := newTable(b, 3)
		body := make([]byte, size)
		runtime.GC()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		b.StartTimer()
		t.play(b, func(ctx context.Context, s simon.Session) error {
			_, err := s.Exchange(ctx, nil, simon.Label{Vector: "x"}, body)
			if s.Self() == 0 {
				runtime.ReadMemStats(&after)
				peak = max(peak, after.HeapAlloc-before.HeapAlloc)
			}
			return err
		})
		b.StopTimer()
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(int64(after.HeapAlloc)-int64(before.HeapAlloc))/3/size, "vectors-kept/party")
		for _, s := range t.sessions {
			s.Close()
		}
		b.StartTimer()
	}
	b.ReportMetric(float64(peak)/3/size, "vectors-peak/party")
}

func BenchmarkStream(b *testing.B) {
	t := newTable(b, 2)
	b.ReportAllocs()
	c := &call{s: t.sessions[0]}
	for i := range b.N {
		if _, err := c.Stream(simon.Mask, 1, simon.Label{Round: uint32(i), Vector: "y"}); err != nil {
			b.Fatal(err)
		}
	}
}
