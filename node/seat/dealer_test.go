package seat

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/broker/identity"
	"github.com/weftmpc/weft/coordinator"
	"github.com/weftmpc/weft/jobs"
	"github.com/weftmpc/weft/simon"
)

// desk is a dealer whose messages go nowhere.
func desk(t *testing.T, change func(*DealerConfig)) (*Dealer, coordinator.Common) {
	t.Helper()
	now := time.Now()
	ca, err := identity.NewAuthority("test", now.Add(-time.Hour), now.AddDate(0, 1, 0))
	if err != nil {
		t.Fatal(err)
	}
	roots, err := identity.NewRoots(ca.Certificate())
	if err != nil {
		t.Fatal(err)
	}
	id, err := identity.NewAs(identity.UsageDealer, ca, "coordinator", "center", now.Add(-time.Hour), now.Add(12*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	c := DealerConfig{
		Identity: id, Roots: roots, Send: func(uuid.UUID, string, []byte) error { return nil },
		Catalogue: []simon.Microprotocol{
			{Name: "Compare", Version: 2, Roles: []simon.Role{simon.S0, simon.S1, simon.Dealer}, Deal: func(context.Context, simon.Session, simon.Common) error { return nil }},
			{Name: "PartyDeals", Version: 1, Roles: []simon.Role{simon.S0, simon.S1, simon.Dealer}},
			{Name: "SecureSum", Version: 1, Deal: func(context.Context, simon.Session, simon.Common) error { return nil }},
			{Name: "Count", Version: 1, Roles: []simon.Role{simon.Opener}, OpenTo: func(context.Context, simon.Session, simon.Common) error { return nil }},
			{Name: "Total", Version: 1, Aggregates: true},
		},
	}
	if change != nil {
		change(&c)
	}
	d, err := NewDealer(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); d.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	common := coordinator.Common{
		UUID: uuid.New(), Microprotocol: "Compare", Version: 2, Parameters: []byte("{}"), RoundMS: 1000, LimitMS: 60_000,
		Parties: []identity.Fingerprint{{1}, {2}, {3}}, Positions: []uint16{0, 1, 2}, Recipients: []identity.Fingerprint{{1}},
		S0: identity.Fingerprint{1}, S1: identity.Fingerprint{3}, Dealer: id.FP(), Coordinator: id.FP(),
	}
	return d, common
}

func sign(t *testing.T, d *Dealer, c coordinator.Common) *coordinator.Refusal {
	t.Helper()
	raw, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = d.Sign(raw)
	var r *coordinator.Refusal
	if err != nil && !errors.As(err, &r) {
		t.Fatal(err)
	}
	return r
}

func TestDealerRefuses(t *testing.T) {
	d, common := desk(t, func(c *DealerConfig) { c.MaxParties = 3 })
	if r := sign(t, d, common); r != nil {
		t.Fatal(r)
	}
	for want, change := range map[string]func(*coordinator.Common){
		"has another one":                        func(c *coordinator.Common) { c.Dealer = identity.Fingerprint{2} },
		"the coordinator or a party":             func(c *coordinator.Common) { c.Coordinator = identity.Fingerprint{7} },
		"the roles are not those that Compare":   func(c *coordinator.Common) { c.S0, c.S1 = identity.Fingerprint{}, identity.Fingerprint{} },
		"the roles are not those that SecureSum": func(c *coordinator.Common) { c.Microprotocol, c.Version = "SecureSum", 1 },
		"does not help Compare version 3":        func(c *coordinator.Common) { c.Version = 3 },
		"does not help Nothing":                  func(c *coordinator.Common) { c.Microprotocol = "Nothing" },
		"does not help PartyDeals":               func(c *coordinator.Common) { c.Microprotocol, c.Version = "PartyDeals", 1 },
		"opener: it must be the coordinator":     func(c *coordinator.Common) { c.Opener = identity.Fingerprint{9} },
		"receives no result":                     func(c *coordinator.Common) { c.Recipients = []identity.Fingerprint{c.Dealer} },
		"more than 1h":                           func(c *coordinator.Common) { c.LimitMS = 3_600_001 },
		"4 parties are more than the 3": func(c *coordinator.Common) {
			c.Parties, c.Positions = append(c.Parties[:3:3], identity.Fingerprint{4}), []uint16{0, 1, 2, 3}
		},
	} {
		c := common
		change(&c)
		if r := sign(t, d, c); r == nil || r.Code != coordinator.CodeHelpers || !strings.Contains(r.Text, want) {
			t.Errorf("%q: %v", want, r)
		}
	}
	self, none := common.Dealer, identity.Fingerprint{}
	as := func(name string, o, a identity.Fingerprint) coordinator.Common {
		c := common
		c.Microprotocol, c.Version, c.S0, c.S1, c.Dealer, c.Opener, c.Aggregator = name, 1, none, none, none, o, a
		return c
	}
	for want, c := range map[string]coordinator.Common{
		"":                                   as("Count", self, none),
		"the opener: it does not help Total": as("Total", self, none),
		"the aggregator: it does not help":   as("Count", none, self),
		"the dealer: it does not help Count": func() coordinator.Common { c := as("Count", none, none); c.Dealer = self; return c }(),
		"must be the coordinator":            as("Count", identity.Fingerprint{9}, none),
		"has two places":                     as("Count", self, self),
		"has another one":                    as("Count", none, none),
	} {
		if r := sign(t, d, c); (want == "") != (r == nil) || r != nil && (r.Code != coordinator.CodeHelpers || !strings.Contains(r.Text, want)) {
			t.Errorf("%q: %v", want, r)
		}
	}
	if r := sign(t, d, as("Total", none, self)); r != nil {
		t.Errorf("an aggregator: %v", r)
	}
	if _, err := NewDealer(DealerConfig{Identity: partys(t), Send: d.cfg.Send}); err == nil || !strings.Contains(err.Error(), "is a party's: have it renewed") {
		t.Errorf("a dealer with a party's certificate: %v", err)
	}
}

func partys(t *testing.T) *identity.Identity {
	now := time.Now()
	ca, err := identity.NewAuthority("test", now.Add(-time.Hour), now.AddDate(0, 1, 0))
	if err != nil {
		t.Fatal(err)
	}
	id, err := identity.New(ca, "coordinator", "center", now.Add(-time.Hour), now.Add(12*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// What runs at a time is bounded, of all parties and of each.
func TestDealerIsBusy(t *testing.T) {
	d, common := desk(t, func(c *DealerConfig) { c.Running, c.PerParty = 3, 2 })
	of := func(b ...byte) coordinator.Common {
		c := common
		c.Parties = nil
		for _, x := range b {
			c.Parties = append(c.Parties, identity.Fingerprint{x})
		}
		c.S0, c.S1, c.Recipients = c.Parties[0], c.Parties[1], c.Parties[:1]
		return c
	}
	for i, step := range []struct {
		c    coordinator.Common
		busy bool
	}{{of(1, 2, 3), false}, {of(1, 4, 5), false}, {of(1, 6, 7), true}, {of(6, 7, 8), false}, {of(9, 10, 11), true}} {
		if r := sign(t, d, step.c); (r != nil) != step.busy || r != nil && r.Code != coordinator.CodeBusy {
			t.Errorf("computation %d: %v", i, r)
		}
	}
	d.ledger.seats = mostMemory
	if !d.ledger.full(1) {
		t.Error("the ledger has no bound")
	}
}

// A ledger in memory takes the steps of a line and no other, and forgets when nobody asks any more.
func TestMemory(t *testing.T) {
	now := time.Now()
	m := newMemory(func() time.Time { return now })
	ctx := t.Context()
	line := jobs.Line{SID: [32]byte{1}, State: jobs.LineStarted, Participants: make([]jobs.Participant, 4), Until: now.Add(time.Minute)}
	line, err := m.CreateLine(ctx, line)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.CreateLine(ctx, line); !errors.Is(err, jobs.ErrExists) {
		t.Error(err)
	}
	next, err := line.Move(jobs.LineCommitted)
	if err == nil {
		next, err = m.UpdateLine(ctx, next)
	}
	if err != nil {
		t.Fatal(err)
	}
	line.State = jobs.LineAborted
	if _, err := m.UpdateLine(ctx, line); !errors.Is(err, jobs.ErrConflict) {
		t.Errorf("an update over a newer line: %v", err)
	}
	next.State = jobs.LineAborted
	var step *jobs.MoveError
	if _, err := m.UpdateLine(ctx, next); !errors.As(err, &step) {
		t.Errorf("committed to aborted: %v", err)
	}
	m.sweep()
	if l, err := m.Line(ctx, line.SID); err != nil || l.State != jobs.LineCommitted {
		t.Errorf("%v %v", l.State, err)
	}
	now = now.Add(3 * time.Minute)
	m.sweep()
	if _, err := m.Line(ctx, line.SID); !errors.Is(err, jobs.ErrNotFound) || m.seats != 0 {
		t.Errorf("%v, %d seats", err, m.seats)
	}
}

// A computation sends one participant no more than the bound, whatever is asked for again.
func TestDealerBytes(t *testing.T) {
	sent := 0
	d, _ := desk(t, func(c *DealerConfig) {
		c.Bytes, c.Send = 1000, func(_ uuid.UUID, _ string, b []byte) error { sent += len(b); return nil }
	})
	r := &Run{seat: d.seat, peers: make([]participant, 3)}
	for range 10 {
		_ = r.Send(1, make([]byte, 300))
	}
	if sent != 900 || r.Send(1, make([]byte, 300)) == nil || r.Send(2, make([]byte, 300)) != nil {
		t.Errorf("%d bytes were sent to one, of 1000", sent)
	}
}
