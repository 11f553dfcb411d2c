// Package simontest runs protocols and engines without servers: Network carries datagrams with faults between the ends of
// an engine, Run plays a protocol in memory and records what everybody sees.
//
// Both draw their randomness from a seed, per link and per message, so that the fate of the k-th datagram from alice to
// bob does not depend on how goroutines are scheduled.
package simontest

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// Faults says what a network does to datagrams. Probabilities are 0..1. The zero value delivers every datagram at once, in
// the order of sending on each link.
type Faults struct {
	Seed               uint64
	MinDelay, MaxDelay time.Duration // uniform in between; a link keeps its order nevertheless (see Reorder)
	Loss               float64       // the datagram is dropped
	Duplicate          float64       // it comes a second time, after a delay of its own
	Reorder            float64       // it leaves the order of its link: later ones may overtake it
	Tamper             float64       // one bit of it is flipped
}

// reorderDelay is how much longer a reordered datagram travels on a network without delays.
const reorderDelay = 5 * time.Millisecond

// Datagram is one message on its way. A tap may change Body and Delay.
type Datagram struct {
	From, To string
	Seq      uint64 // number of the datagram on its link, from 1
	Body     []byte
	Delay    time.Duration
}

// Count says what has become of the datagrams so far. A duplicate counts as one more delivered or lost.
type Count struct{ Sent, Delivered, Lost, Duplicated, Reordered, Tampered int }

// ErrClosed is what Send returns after Close.
var ErrClosed = errors.New("simontest: network closed")

// Network carries datagrams between named endpoints in memory, by time.AfterFunc: in real time or in the time of a
// testing/synctest bubble. All methods may be called at the same time, also from receive functions and taps, but Close may
// not be called from them.
type Network struct {
	faults Faults

	mu        sync.Mutex
	endpoints map[string]*Endpoint
	links     map[link]*wire
	taps      []func(*Datagram) bool
	cut       map[link]bool
	isolated  map[string]bool
	timers    map[*time.Timer]bool
	count     Count
	closed    bool
	running   sync.WaitGroup // one per timer that is set and not yet through
}

// link is one direction between two endpoints.
type link struct{ from, to string }

// wire is the state of a link.
type wire struct {
	seq   uint64
	last  time.Time   // when the last ordered datagram arrives
	queue []*Datagram // ordered ones that have not been delivered
	ready int         // how many of the queue have arrived
	busy  bool        // a goroutine delivers the queue
}

// Endpoint is a place on a Network that sends and receives.
type Endpoint struct {
	n       *Network
	name    string
	receive func(from string, b []byte)
}

// NewNetwork returns a network with the given faults. Close it before the test ends.
func NewNetwork(f Faults) *Network {
	f.MaxDelay = max(f.MinDelay, f.MaxDelay)
	return &Network{
		faults:    f,
		endpoints: map[string]*Endpoint{},
		links:     map[link]*wire{},
		cut:       map[link]bool{},
		isolated:  map[string]bool{},
		timers:    map[*time.Timer]bool{},
	}
}

// Endpoint registers a name; receive owns each datagram it is called with. Datagrams of one link come one after the other,
// those of different links at the same time. Registering a name again replaces its receiver, as a restarted process does.
// A nil receive drops everything.
func (n *Network) Endpoint(name string, receive func(from string, b []byte)) *Endpoint {
	n.mu.Lock()
	defer n.mu.Unlock()
	e := &Endpoint{n, name, receive}
	n.endpoints[name] = e
	return e
}

// Tap has every datagram shown to f as it is sent, before any fault. f may change body and delay; the datagram is dropped
// if it returns false. Taps run in the order of their registration.
func (n *Network) Tap(f func(d *Datagram) bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.taps = append(n.taps, f)
}

// Cut separates a and b, in both directions; datagrams under way are lost too.
func (n *Network) Cut(a, b string) { n.setCut(a, b, true) }

// Heal undoes Cut.
func (n *Network) Heal(a, b string) { n.setCut(a, b, false) }

func (n *Network) setCut(a, b string, cut bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut[link{a, b}], n.cut[link{b, a}] = cut, cut
}

// Isolate separates name from all others; datagrams under way are lost too.
func (n *Network) Isolate(name string) { n.setIsolated(name, true) }

// Rejoin undoes Isolate.
func (n *Network) Rejoin(name string) { n.setIsolated(name, false) }

func (n *Network) setIsolated(name string, isolated bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.isolated[name] = isolated
}

// Count returns what has become of the datagrams so far.
func (n *Network) Count() Count {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.count
}

// Close drops what is under way and waits for deliveries that have begun.
func (n *Network) Close() {
	n.mu.Lock()
	n.closed = true
	for t := range n.timers {
		if t.Stop() {
			n.running.Done()
		}
	}
	clear(n.timers)
	n.mu.Unlock()
	n.running.Wait()
}

// Send sends a copy of b. Like a datagram network it reports no loss: the error says that the network is closed.
func (e *Endpoint) Send(to string, b []byte) error {
	n := e.n
	k := link{e.name, to}
	n.mu.Lock()
	if n.closed {
		n.mu.Unlock()
		return ErrClosed
	}
	w := n.links[k]
	if w == nil {
		w = &wire{}
		n.links[k] = w
	}
	w.seq++
	n.count.Sent++
	fate := newFate(n.faults, k, w.seq)
	d := &Datagram{From: e.name, To: to, Seq: w.seq, Body: bytes.Clone(b), Delay: fate.delay}
	taps := slices.Clone(n.taps)
	n.mu.Unlock()

	for _, f := range taps {
		if !f(d) {
			n.mu.Lock()
			n.count.Lost++
			n.mu.Unlock()
			return nil
		}
	}
	n.dispatch(k, d, fate)
	return nil
}

// dispatch puts d under way as its fate says.
func (n *Network) dispatch(k link, d *Datagram, f fate) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if f.lost || n.separated(k) {
		n.count.Lost++
		return
	}
	if f.duplicate {
		n.count.Duplicated++
		again := *d
		again.Body, again.Delay = bytes.Clone(d.Body), f.secondDelay
		defer n.enqueue(k, &again)
	}
	if f.tamper && len(d.Body) > 0 {
		n.count.Tampered++
		bit := f.bit % uint64(8*len(d.Body))
		d.Body[bit/8] ^= 1 << (bit % 8)
	}
	if f.reorder {
		n.count.Reordered++
		n.after(d.Delay+f.detour, func() { n.deliver(k, d) })
		return
	}
	n.enqueue(k, d)
}

// enqueue sends d in the order of its link.
func (n *Network) enqueue(k link, d *Datagram) {
	w := n.links[k]
	w.queue = append(w.queue, d)
	now := time.Now()
	at := now.Add(d.Delay)
	if at.Before(w.last) {
		at = w.last
	}
	w.last = at
	n.after(at.Sub(now), func() { n.drain(k, w) })
}

// after calls f in d unless the network is closed before. The caller holds the lock, f does not.
func (n *Network) after(d time.Duration, f func()) {
	if n.closed {
		return
	}
	n.running.Add(1)
	var t *time.Timer
	t = time.AfterFunc(d, func() {
		defer n.running.Done()
		n.mu.Lock()
		delete(n.timers, t)
		n.mu.Unlock()
		f()
	})
	n.timers[t] = true
}

// drain delivers the datagrams of a link that have arrived. Only one goroutine at a time does so: a second leaves its
// datagram to the first, so that no goroutine waits on a lock for a receiver.
func (n *Network) drain(k link, w *wire) {
	n.mu.Lock()
	w.ready++
	if w.busy {
		n.mu.Unlock()
		return
	}
	w.busy = true
	for w.ready > 0 {
		d := w.queue[0]
		w.queue = w.queue[1:]
		w.ready--
		n.mu.Unlock()
		n.deliver(k, d)
		n.mu.Lock()
	}
	w.busy = false
	n.mu.Unlock()
}

// deliver hands d to its receiver.
func (n *Network) deliver(k link, d *Datagram) {
	n.mu.Lock()
	e := n.endpoints[k.to]
	if n.closed || e == nil || e.receive == nil || n.separated(k) {
		n.count.Lost++
		n.mu.Unlock()
		return
	}
	n.count.Delivered++
	n.mu.Unlock()
	e.receive(d.From, d.Body)
}

func (n *Network) separated(k link) bool {
	return n.cut[k] || n.isolated[k.from] || n.isolated[k.to]
}

// fate is what happens to one datagram: a function of seed, link and number.
type fate struct {
	delay, secondDelay, detour       time.Duration
	lost, duplicate, reorder, tamper bool
	bit                              uint64
}

func newFate(f Faults, k link, seq uint64) fate {
	r := rand.New(rand.NewChaCha8(digest("network", f.Seed, fmt.Sprintf("%q %q %d", k.from, k.to, seq))))
	delay := func() time.Duration { return f.MinDelay + time.Duration(r.Int64N(int64(f.MaxDelay-f.MinDelay)+1)) }
	longest := max(f.MaxDelay, reorderDelay)
	// Every number is drawn whether it is needed or not: a changed probability changes no other draw.
	return fate{
		delay:       delay(),
		secondDelay: delay(),
		detour:      time.Duration(r.Int64N(int64(longest) + 1)),
		lost:        r.Float64() < f.Loss,
		duplicate:   r.Float64() < f.Duplicate,
		reorder:     r.Float64() < f.Reorder,
		tamper:      r.Float64() < f.Tamper,
		bit:         r.Uint64(),
	}
}
