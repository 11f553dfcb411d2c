package seat

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/broker/identity"
	"github.com/weftmpc/weft/coordinator"
	"github.com/weftmpc/weft/jobs"
	"github.com/weftmpc/weft/node/session"
	"github.com/weftmpc/weft/simon"
)

const (
	dealerTick  = 50 * time.Millisecond
	dealerSweep = 10 * time.Second
	// startSoon is how long the dealer's JOIN waits for its START, which the coordinator makes in the same moment.
	startSoon = 10 * time.Second
	// dealerJoin is how long others accept the dealer's JOIN: beyond what their clocks may differ from its own.
	dealerJoin = 10 * time.Minute
)

// DealerConfig describes a coordinator's place in computations in which it is no party: as dealer, opener or aggregator.
type DealerConfig struct {
	Identity  *identity.Identity // with a dealer's certificate
	Roots     identity.Roots
	Catalogue []simon.Microprotocol
	// Send publishes b to the party named to, under the computation's uuid.
	Send   func(id uuid.UUID, to string, b []byte) error
	Now    func() time.Time // nil: time.Now
	Rand   io.Reader        // nil: crypto/rand
	Logger *slog.Logger     // nil: discards

	MaxParties int   // of one computation; 0: 128
	Running    int   // computations at a time, until all parties have confirmed; 0: 512
	PerParty   int   // the same of one party; 0: 128
	Memory     int64 // bytes that one computation holds; 0: 64 MiB
	OfParty    int64 // bytes that all computations of one party hold; 0: 128 MiB
	Total      int64 // bytes that all computations hold; 0: 512 MiB
	Bytes      int64 // bytes that one computation sends to one participant, repetitions included; 0: 256 MiB
}

// Dealer helps computations: it signs a JOIN when all parties have joined, plays the helper's part of the microprotocol, and
// confirms. It holds no data and no results, and keeps nothing on disk. Where it deals it receives no body; as opener it sees
// the sums that its part opens, as aggregator masked vectors.
type Dealer struct {
	cfg    DealerConfig
	seat   *Seat
	ledger *memory
	budget *session.Budget
	ctx    context.Context
	stop   context.CancelFunc

	mu      sync.Mutex
	stopped bool
	issued  int64
	running int
	parties map[identity.Fingerprint]*client // those of the computations that run
	hears   map[uuid.UUID]int                // how many of them it receives bodies in
	work    sync.WaitGroup
}

// client is a party that a dealer deals for.
type client struct {
	running int // computations
	budget  *session.Budget
}

var _ coordinator.Helper = (*Dealer)(nil)

// NewDealer returns a dealer. Run drives it.
func NewDealer(c DealerConfig) (*Dealer, error) {
	c.Now, c.Rand, c.Logger = surroundings(c.Now, c.Rand, c.Logger)
	if c.Identity == nil || c.Send == nil {
		return nil, errors.New("dealer: identity and a way to send are required")
	}
	if u := c.Identity.Leaf.Usage; u != identity.UsageDealer {
		return nil, fmt.Errorf("dealer: the certificate of %s is a %s's: have it renewed as a coordinator's, with `weft ca issue %s --renew`", c.Identity.Name(), u, c.Identity.Name())
	}
	c.MaxParties, c.Running, c.PerParty = orDefault(c.MaxParties, coordinator.MaxParties), orDefault(c.Running, 512), orDefault(c.PerParty, 128)
	c.Memory, c.Total, c.Bytes = orDefault(c.Memory, 64<<20), orDefault(c.Total, 512<<20), orDefault(c.Bytes, 256<<20)
	c.OfParty = orDefault(c.OfParty, 128<<20)
	d := &Dealer{cfg: c, ledger: newMemory(c.Now), budget: session.NewBudget(c.Total), parties: map[identity.Fingerprint]*client{}, hears: map[uuid.UUID]int{}}
	d.ctx, d.stop = context.WithCancel(context.Background())
	key := make(identity.Secret, 32) // of this process: there is no state folder to tell from a copy
	if _, err := io.ReadFull(c.Rand, key); err != nil {
		return nil, fmt.Errorf("dealer: reading randomness: %w", err)
	}
	var err error
	d.seat, err = New(Config{
		Helper: true, Identity: c.Identity, Roots: c.Roots, Fabric: dealerFabric{c.Send}, Ledger: d.ledger, StoreKey: key,
		Now: c.Now, Rand: c.Rand, Logger: c.Logger, Budget: d.budgetOf, Bytes: c.Bytes,
	})
	return d, err
}

func orDefault[T int | int64](v, d T) T {
	if v <= 0 {
		return d
	}
	return v
}

// dealerFabric is what a dealer's seat needs of a fabric: it joins nothing by itself.
type dealerFabric struct {
	send func(id uuid.UUID, to string, b []byte) error
}

func (f dealerFabric) Send(id uuid.UUID, to string, b []byte) error { return f.send(id, to, b) }

func (dealerFabric) Join(context.Context, []byte) ([]byte, error) {
	return nil, errors.New("a dealer's JOIN is not sent")
}

func (dealerFabric) Leave([]byte) error { return nil }

// Run drives the dealer until ctx ends; then what runs is aborted, and it returns when all of that has ended.
func (d *Dealer) Run(ctx context.Context) {
	t := time.NewTicker(dealerTick)
	defer t.Stop()
	swept := d.cfg.Now()
	for {
		select {
		case <-t.C:
			now := d.cfg.Now()
			d.seat.Tick(now)
			if now.Sub(swept).Abs() >= dealerSweep {
				swept = now
				d.ledger.sweep()
			}
			continue
		case <-ctx.Done():
		}
		break
	}
	d.mu.Lock()
	d.stopped = true
	d.mu.Unlock()
	d.stop()
	d.work.Wait()
	d.seat.Stop()
	d.seat.Wait()
}

// Deliver takes a message that arrived on the computation's subject from the party called from. Bodies are for an opener or an
// aggregator: a dealer's are refused before they are looked at.
func (d *Dealer) Deliver(id uuid.UUID, from string, b []byte) {
	if session.IsShare(b) {
		d.mu.Lock()
		hears := d.hears[id] > 0
		d.mu.Unlock()
		if !hears {
			d.seat.stats.refuse()
			return
		}
	}
	d.seat.Deliver(id, from, b)
}

// Reconnected makes every session ask at once for what it lacks.
func (d *Dealer) Reconnected() { d.seat.Reconnected() }

// Stats are those of the dealer's seat.
func (d *Dealer) Stats() Stats { return d.seat.Stats() }

// Started takes a START that a JOIN of Sign's is in. It does not block.
func (d *Dealer) Started(start []byte) { d.seat.deliverStart(start) }

// Sign implements coordinator.Helper.
func (d *Dealer) Sign(common []byte) (own, sig []byte, err error) {
	c, err := coordinator.DecodeCommon(common)
	if err != nil {
		return nil, nil, err
	}
	play, err := d.accepts(c)
	if err != nil {
		return nil, nil, err
	}
	if err := d.enter(c); err != nil {
		return nil, nil, err
	}
	d.mu.Lock()
	d.issued = max(d.cfg.Now().UnixNano(), d.issued+1)
	issued := d.issued
	d.mu.Unlock()
	o, err := d.seat.Propose(c, issued, d.cfg.Now().Add(dealerJoin))
	if err != nil {
		d.leave(c)
		return nil, nil, err
	}
	go func() {
		defer d.leave(c)
		d.serve(o, play)
	}()
	return o.join.Own, o.join.Sig[:], nil
}

// budgetOf bounds what a computation holds: by itself, with all others of each of its parties, and with all others. So a few
// parties that let theirs lie keep nobody else out.
func (d *Dealer) budgetOf(c coordinator.Common) *session.Budget {
	d.mu.Lock()
	defer d.mu.Unlock()
	of := []*session.Budget{d.budget}
	for _, fp := range c.Parties {
		of = append(of, d.parties[fp].budget)
	}
	return session.NewBudget(d.cfg.Memory, of...)
}

// enter counts a computation, if there is room for it: no more than half of what may be held is.
func (d *Dealer) enter(c coordinator.Common) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	full := d.stopped || d.running >= d.cfg.Running || d.budget.Used() > d.cfg.Total/2 || d.ledger.full(len(c.Parties)+1)
	for _, fp := range c.Parties {
		p := d.parties[fp]
		full = full || p != nil && (p.running >= d.cfg.PerParty || p.budget.Used() > d.cfg.OfParty/2)
	}
	if full {
		return &coordinator.Refusal{Code: coordinator.CodeBusy, Text: "busy: the dealer has too many computations under way; try again later"}
	}
	d.running++
	if c.Dealer != d.cfg.Identity.FP() {
		d.hears[c.UUID]++
	}
	for _, fp := range c.Parties {
		if d.parties[fp] == nil {
			d.parties[fp] = &client{budget: session.NewBudget(d.cfg.OfParty)}
		}
		d.parties[fp].running++
	}
	d.work.Add(1)
	return nil
}

func (d *Dealer) leave(c coordinator.Common) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.running--
	if c.Dealer != d.cfg.Identity.FP() {
		if d.hears[c.UUID]--; d.hears[c.UUID] == 0 {
			delete(d.hears, c.UUID)
		}
	}
	for _, fp := range c.Parties {
		if d.parties[fp].running--; d.parties[fp].running == 0 {
			delete(d.parties, fp)
		}
	}
	d.work.Done()
}

// serve helps one computation and waits until all parties have confirmed it.
func (d *Dealer) serve(o *Open, p part) {
	log := d.cfg.Logger.With("computation", o.common.UUID, "microprotocol", o.common.Microprotocol, "as", p.role)
	run, err := d.begin(o)
	if err != nil {
		log.Warn("not helped", "reason", err)
		return
	}
	common := simon.Common{Parties: len(o.common.Parties), Parameters: o.common.Parameters}
	out, err := run.Play(d.ctx, func(ctx context.Context, s simon.Session) ([]byte, error) { return nil, p.run(ctx, s, common) })
	if err == nil {
		err = run.Confirm(d.ctx, out)
	}
	if err != nil {
		log.Info("a computation that was helped did not complete", "reason", err)
		return
	}
	log.Debug("helped")
}

// begin waits for the START. The JOIN's secret is gone when it returns an error.
func (d *Dealer) begin(o *Open) (*Run, error) {
	t := time.NewTimer(startSoon)
	defer t.Stop()
	var err error
	select {
	case b := <-o.Starts:
		run, errBegin := o.Begin(b, jobs.Job{ID: uuid.New()})
		if errBegin == nil {
			return run, nil
		}
		err = errBegin
	case <-t.C:
		err = errors.New("no START came")
	case <-d.ctx.Done():
		err = d.ctx.Err()
	}
	o.Withdraw()
	return nil, err
}
