package session

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weftmpc/weft/simon"
	"github.com/weftmpc/weft/simon/simontest"
)

// listed prepares party i's list of numbers.
func listed(t testing.TB, i, columns int) (simon.Common, []byte) {
	row := strings.Repeat(fmt.Sprintf("%d.5,", i), columns)
	p, err := simon.SecureSum().Prepare(strings.NewReader("[["+row[:len(row)-1]+"]]"), nil, simon.Guard{})
	if err != nil {
		t.Fatal(err)
	}
	return simon.Common{Parameters: p.Parameters}, p.Input
}

// Twenty parties and an aggregator end with one transcript and one result, whatever the network does; each party sends its
// vector once. An aggregator that tells one party another total is found when they confirm: here the tag finds it before.
func TestAggregatedByMany(t *testing.T) {
	const n = 20
	for seed, faults := range []simontest.Faults{{}, {Loss: 0.1, Duplicate: 0.1}} {
		synctest.Test(t, func(t *testing.T) {
			l := newLab(t, n, labOptions{helpers: 1, seed: uint64(seed), faults: faults, change: func(_ int, c *Config) {
				c.Roles[simon.Aggregator], c.Round, c.Limit = n, 0, 0
			}})
			defer l.close()
			outs, errs := l.play(func(ctx context.Context, s simon.Session) ([]byte, error) {
				if s.Self() == n {
					return nil, simon.Aggregate(ctx, s)
				}
				c, input := listed(t, s.Self(), 2)
				return simon.SecureSum().Run(ctx, s, c, input)
			})
			if err := errors.Join(errs...); err != nil {
				t.Fatal(err)
			}
			c, _ := listed(t, 0, 2)
			got, err := simon.SecureSum().Finish(c, nil, outs[7].Opened)
			if err != nil || string(got) != `{"samples":20,"sum":[200,200]}` {
				t.Errorf("%s %v", got, err)
			}
			for self := range outs {
				c := NewCommit(labSID(uint64(seed)), labParticipants(n+1), self, n, []int{0}, outs[self].TH, outs[self].RH)
				for i, o := range outs {
					c.count(i, Notice{Confirm: true, TH: o.TH, RH: o.RH})
				}
				if v := c.Verdict(); v.State != Done {
					t.Errorf("seat %d judges %+v", self, v)
				}
			}
		})
	}
}

// SecureSum of many parties in one process, sealed messages and all, without and with an aggregator.
func BenchmarkAllToAllOrAggregated(b *testing.B) {
	for _, n := range []int{8, 16, 17, 24, 32, 64} {
		for _, columns := range []int{1, 1000} {
			for _, helpers := range []int{0, 1} {
				b.Run(fmt.Sprintf("n=%d/columns=%d/%s", n, columns, [...]string{"all", "agg"}[helpers]), func(b *testing.B) {
					inputs := make([][]byte, n)
					var common simon.Common
					for i := range inputs {
						common, inputs[i] = listed(b, i, columns)
					}
					for range b.N {
						b.StopTimer()
						sessions, stop := hall(b, n, helpers)
						b.StartTimer()
						var wg sync.WaitGroup
						for i, s := range sessions {
							wg.Go(func() {
								_, err := s.Play(b.Context(), func(ctx context.Context, c simon.Session) ([]byte, error) {
									if i == n {
										return nil, simon.Aggregate(ctx, c)
									}
									return simon.SecureSum().Run(ctx, c, common, inputs[i])
								})
								if err != nil {
									b.Error(err)
								}
							})
						}
						wg.Wait()
						b.StopTimer()
						stop()
						b.StartTimer()
					}
				})
			}
		}
	}
}

// hall are the sessions of n parties and helpers with an aggregator among them, whose links lose nothing.
func hall(b *testing.B, n, helpers int) (sessions []*Session, stop func()) {
	t := &table{}
	for i := range n + helpers {
		c := labConfig(n, helpers, i, 1)
		if helpers > 0 {
			c.Roles[simon.Aggregator] = n
		}
		c.Rand, c.Link, c.Started, c.Memory = nil, seatLink{t, i}, time.Time{}, 1<<40
		s, err := New(c)
		if err != nil {
			b.Fatal(err)
		}
		t.sessions, t.queues = append(t.sessions, s), append(t.queues, make(chan datagram, 4096))
	}
	for i, s := range t.sessions {
		for j := range t.sessions {
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
	return t.sessions, func() {
		for i, s := range t.sessions {
			s.Close()
			close(t.queues[i])
		}
	}
}
