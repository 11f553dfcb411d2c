package session

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weftmpc/weft/simon"
	"github.com/weftmpc/weft/simon/simontest"
)

func vector(seat, size int) []byte {
	b := make([]byte, size)
	x := uint32(seat + 1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}

// everybody sends a vector to everybody, then one more round to see that the transcripts are equal.
func vectors(size int) func(context.Context, simon.Session) ([]byte, error) {
	return func(ctx context.Context, s simon.Session) ([]byte, error) {
		body := vector(s.Self(), size)
		got, err := s.Exchange(ctx, nil, simon.Label{Round: 1, Vector: "x"}, body)
		if err != nil {
			return nil, err
		}
		clear(body) // the session must not refer to the caller's memory any more
		for i, b := range got {
			if i != s.Self() && !bytes.Equal(b, vector(i, size)) {
				return nil, fmt.Errorf("the vector of seat %d changed", i)
			}
		}
		_, err = s.Exchange(ctx, nil, simon.Label{Round: 2, Vector: "x"}, nil)
		return nil, err
	}
}

func TestVectors(t *testing.T) {
	for _, size := range []int{0, 1, chunkSize - saltSize, chunkSize - saltSize + 1, firstWindow*chunkSize - saltSize, firstWindow*chunkSize + 1, 24_000_000} {
		synctest.Test(t, func(t *testing.T) {
			l := newLab(t, 3, labOptions{})
			defer l.close()
			var mu sync.Mutex
			largest := 0
			l.net.Tap(func(d *simontest.Datagram) bool {
				mu.Lock()
				defer mu.Unlock()
				largest = max(largest, len(d.Body))
				return true
			})
			begun := time.Now()
			_, errs := l.play(vectors(size))
			if err := errors.Join(errs...); err != nil {
				t.Fatalf("%d bytes: %v", size, err)
			}
			if time.Since(begun) > 0 {
				t.Errorf("%d bytes: waited %v on a network without loss: a grant came too late", size, time.Since(begun))
			}
			if largest > 600<<10 {
				t.Errorf("a datagram of %d bytes", largest)
			}
			for i, s := range l.sessions {
				// All but the last chunks, which nobody reports, and records.
				if most := int64(2*(min(size+saltSize, mostAhead*chunkSize)) + 1<<16); s.memory > most {
					t.Errorf("%d bytes: seat %d holds %d after the exchange, want at most %d", size, i, s.memory, most)
				}
			}
		})
	}
}

func TestVectorsFaults(t *testing.T) {
	for seed := range uint64(6) {
		synctest.Test(t, func(t *testing.T) {
			l := newLab(t, 3, labOptions{seed: seed, noKeys: seed%2 == 1, faults: simontest.Faults{
				MinDelay: time.Millisecond, MaxDelay: 20 * time.Millisecond, Loss: 0.1, Duplicate: 0.1, Reorder: 0.3, Tamper: 0.05,
			}})
			defer l.close()
			if seed%2 == 1 {
				go func() {
					for i := range 3 {
						for j := range 3 {
							if i != j {
								time.Sleep(50 * time.Millisecond)
								l.key(i, j)
							}
						}
					}
				}()
			}
			_, errs := l.play(vectors(12_000_000))
			if err := errors.Join(errs...); err != nil {
				t.Errorf("seed %d: %v", seed, err)
			}
		})
	}
}

func TestMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the sender's bound
		l := newLab(t, 2, labOptions{change: func(_ int, c *Config) { c.Memory = 1 << 20 }})
		defer l.close()
		_, errs := l.play(vectors(2 << 20))
		if !errors.Is(errs[0], ErrMemory) {
			t.Error(errs)
		}
	})
	synctest.Test(t, func(t *testing.T) { // the receiver's
		l := newLab(t, 2, labOptions{change: func(seat int, c *Config) {
			if seat == 0 {
				c.Memory = 1 << 20
			}
		}})
		defer l.close()
		_, errs := l.play(func(ctx context.Context, s simon.Session) ([]byte, error) {
			if s.Self() == 1 {
				return nil, s.Send(ctx, []int{0}, simon.Label{}, make([]byte, 2<<20))
			}
			_, err := s.Receive(ctx, []int{1}, simon.Label{})
			return nil, err
		})
		if !errors.Is(errs[0], ErrMemory) || errs[1] != nil {
			t.Error(errs)
		}
	})
}
