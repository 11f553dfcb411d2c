package node

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/broker/brokertest"
	"github.com/weftmpc/weft/broker/identity"
	"github.com/weftmpc/weft/coordinator"
	"github.com/weftmpc/weft/jobs"
	"github.com/weftmpc/weft/node/seat"
	"github.com/weftmpc/weft/simon"
)

// Hub, coordinator service, its dealer and three nodes, each with the permissions that it has in production: a computation
// with a dealer ends, again after the coordinator's process was stopped and started, and with two replicas of it at a time.
func TestDealerOverAHub(t *testing.T) {
	t.Parallel()
	log, now := slog.New(slog.DiscardHandler), time.Now()
	m := DealtSum(`{}`)
	ca, err := identity.NewAuthority("test", now.Add(-time.Hour), now.AddDate(0, 1, 0))
	must(t, err)
	roots, err := identity.NewRoots(ca.Certificate())
	must(t, err)
	center, err := identity.NewAs(identity.UsageDealer, ca, brokertest.CoordinatorName, "center", now.Add(-time.Hour), now.Add(12*time.Hour))
	must(t, err)
	ids, peers := map[string]*identity.Identity{}, []seat.Peer(nil)
	for _, name := range three {
		id, err := identity.New(ca, name, name+" org", now.Add(-time.Hour), now.Add(12*time.Hour))
		must(t, err)
		ids[name], peers = id, append(peers, seat.Peer{Name: name, FP: id.FP(), Organisation: id.Leaf.Organisation})
	}
	hub := brokertest.Hub(t, three...)
	ctx, cancel := context.WithCancel(context.Background())
	var nodes sync.WaitGroup
	stores := map[string]*jobs.Store{}
	for _, name := range three {
		private := brokertest.Private(t)
		stores[name], err = jobs.Open(t.Context(), private.Conn, jobs.Options{Ledger: private.Ledger, Logger: log})
		must(t, err)
		n, err := New(Config{
			Identity: ids[name], Roots: roots, Parties: peers, Coordinator: center.FP(), Catalogue: []simon.Microprotocol{m}, Jobs: stores[name],
			Fabric: hub.Conns[name], StoreKey: private.StoreKey, Logger: log,
		})
		must(t, err)
		nodes.Go(func() {
			if err := n.Run(ctx); err != nil && ctx.Err() == nil {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	t.Cleanup(func() {
		cancel()
		nodes.Wait()
		for _, s := range stores {
			s.Close()
		}
	})

	replica := func() (stop func()) {
		nc := brokertest.Connect(t, hub.Server, hub.CoordinatorKey)
		d, unsubscribe, err := NewDealer(nc, seat.DealerConfig{Identity: center, Roots: roots, Catalogue: []simon.Microprotocol{m}, Logger: log})
		must(t, err)
		running, end := context.WithCancel(context.Background())
		var done sync.WaitGroup
		done.Go(func() { d.Run(running) })
		s, err := coordinator.Serve(running, nc, coordinator.Config{Identity: center, Roots: roots, Logger: log, Helper: d, Started: d.Started})
		must(t, err)
		return sync.OnceFunc(func() { s.Stop(); end(); done.Wait(); unsubscribe(); nc.Close() })
	}
	compute := func() {
		t.Helper()
		id, all := uuid.New(), map[string]jobs.Job{}
		for i, name := range three {
			p, err := m.Prepare(strings.NewReader(data[name]), nil, simon.Guard{})
			must(t, err)
			at := time.Now().UTC()
			all[name], err = stores[name].Submit(t.Context(), jobs.Job{
				Caller: "test", UUID: id, Microprotocol: m.Name, Version: m.Version, Parameters: p.Parameters, Layout: p.Layout, Parties: three, Self: i,
				Round: 10 * time.Second, Limit: time.Minute, Created: at, Deadline: at.Add(patience), Attempts: 5,
			}, p.Input)
			must(t, err)
		}
		for name, j := range all {
			waiting, stop := context.WithTimeout(t.Context(), patience)
			j, err := stores[name].Wait(waiting, j.ID, func(j jobs.Job) bool { return j.Terminal() })
			stop()
			must(t, err)
			var r struct{ Sum int }
			if b, err := stores[name].Read(t.Context(), j.Result); err != nil || json.Unmarshal(b, &r) != nil || r.Sum != 85 {
				t.Fatalf("%s: %s %v, %v", name, j.State, j.Problem, r)
			}
		}
	}
	first := replica()
	defer first()
	compute()
	compute()
	second := replica()
	defer second()
	for range 4 { // JOINs go to either: whichever has all of them deals
		compute()
	}
	first()
	compute()
}
