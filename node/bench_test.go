package node

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/broker/brokertest"
	"github.com/weftmpc/weft/broker/identity"
	"github.com/weftmpc/weft/coordinator"
	"github.com/weftmpc/weft/jobs"
	"github.com/weftmpc/weft/node/policy"
	"github.com/weftmpc/weft/node/seat"
	"github.com/weftmpc/weft/simon"
)

// rack is a consortium in this process as it runs in production: a hub, a coordinator, and parties with private brokers.
type rack struct {
	b      *testing.B
	names  []string
	stores []*jobs.Store
	inputs []simon.Prepared
	sum    simon.Microprotocol
}

func newRack(b *testing.B, parties int) *rack {
	b.Helper()
	r := &rack{b: b, sum: simon.Catalogue()[0]}
	for i := range parties {
		r.names = append(r.names, fmt.Sprintf("party-%03d", i))
	}
	now, quiet := time.Now(), slog.New(slog.DiscardHandler)
	ca, err := identity.NewAuthority("bench", now.Add(-time.Hour), now.Add(24*time.Hour))
	must(b, err)
	roots, err := identity.NewRoots(ca.Certificate())
	must(b, err)
	certify := func(name string) *identity.Identity {
		id, err := identity.New(ca, name, name+" org", now.Add(-time.Hour), now.Add(12*time.Hour))
		must(b, err)
		return id
	}
	hub := brokertest.Hub(b, r.names...)
	center := certify("coordinator")
	service, err := coordinator.Serve(context.Background(), hub.Coordinator, coordinator.Config{
		Identity: center, Roots: roots, MaxParties: coordinator.MaxParties, Logger: quiet,
	})
	must(b, err)
	b.Cleanup(service.Stop)
	var ids []*identity.Identity
	var peers []seat.Peer
	for _, name := range r.names {
		id := certify(name)
		ids = append(ids, id)
		peers = append(peers, seat.Peer{Name: name, FP: id.FP(), Organisation: id.Leaf.Organisation})
	}
	for i, name := range r.names {
		private := brokertest.Private(b)
		store, err := jobs.Open(b.Context(), private.Conn, jobs.Options{Ledger: private.Ledger, Logger: quiet, Alone: true, Limits: jobs.Limits{PerCaller: 1 << 30, Jobs: 1 << 30}})
		must(b, err)
		b.Cleanup(store.Close)
		key := make(identity.Secret, 32)
		copy(key, name)
		n, err := New(Config{
			Identity: ids[i], Roots: roots, Parties: peers, Coordinator: center.FP(), Policy: policy.Policy{Profile: policy.Teaching, MaxParties: coordinator.MaxParties},
			Catalogue: simon.Catalogue(), Jobs: store, Fabric: hub.Conns[name], StoreKey: key, Logger: quiet,
		})
		must(b, err)
		ctx, stop := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() {
			defer close(done)
			if err := n.Run(ctx); err != nil && ctx.Err() == nil {
				b.Error(err)
			}
		}()
		b.Cleanup(func() { stop(); <-done })
		prepared, err := r.sum.Prepare(strings.NewReader(strconv.Itoa(i+1)), nil, simon.Guard{})
		must(b, err)
		r.stores, r.inputs = append(r.stores, store), append(r.inputs, prepared)
	}
	return r
}

// once runs one computation from the submission at each party to the result at each party.
func (r *rack) once() time.Duration {
	id, n := uuid.New(), len(r.names)
	var all sync.WaitGroup
	begin := time.Now()
	for i, store := range r.stores {
		all.Go(func() {
			now := time.Now().UTC()
			job, err := store.Submit(context.Background(), jobs.Job{
				Caller: "bench", UUID: id, Microprotocol: r.sum.Name, Version: r.sum.Version,
				Parameters: r.inputs[i].Parameters, Layout: r.inputs[i].Layout, Parties: r.names, Self: i,
				Round: time.Minute, Limit: 5 * time.Minute, Created: now, Deadline: now.Add(5 * time.Minute), Attempts: 5,
			}, r.inputs[i].Input)
			if err == nil {
				job, err = store.Wait(context.Background(), job.ID, func(j jobs.Job) bool { return j.Terminal() })
			}
			if err != nil || job.State != jobs.Done {
				r.b.Errorf("%s: %v %v", r.names[i], job, err)
				return
			}
			body, err := store.Read(context.Background(), job.Result)
			if err != nil || !strings.Contains(string(body), strconv.Itoa(n*(n+1)/2)) {
				r.b.Errorf("%s: wrong result: %v", r.names[i], err)
			}
		})
	}
	all.Wait()
	return time.Since(begin)
}

// report says the median and the 99th percentile in milliseconds.
func (r *rack) report(took []time.Duration) {
	slices.Sort(took)
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	r.b.ReportMetric(ms(took[len(took)/2]), "p50-ms")
	r.b.ReportMetric(ms(took[len(took)*99/100]), "p99-ms")
}

// BenchmarkSum is a sum, from the submission of the jobs to the result at every party.
func BenchmarkSum(b *testing.B) {
	for _, parties := range []int{3, 16, 64} {
		b.Run(fmt.Sprintf("parties=%d", parties), func(b *testing.B) {
			r := newRack(b, parties)
			for range max(2, b.N/10) {
				r.once()
			}
			b.ResetTimer()
			took := make([]time.Duration, b.N)
			for i := range took {
				took[i] = r.once()
			}
			b.StopTimer()
			r.report(took)
		})
	}
}

// BenchmarkSumsAtOnce keeps 64 sums of three parties under way.
func BenchmarkSumsAtOnce(b *testing.B) {
	const flight = 64
	r := newRack(b, 3)
	for range 10 {
		r.once()
	}
	b.ResetTimer()
	begin := time.Now()
	took := make([]time.Duration, flight*b.N)
	var all sync.WaitGroup
	for k := range flight {
		all.Go(func() {
			for i := range b.N {
				took[k*b.N+i] = r.once()
			}
		})
	}
	all.Wait()
	b.StopTimer()
	b.ReportMetric(float64(len(took))/time.Since(begin).Seconds(), "sums/s")
	r.report(took)
}
