// Package simontest runs protocols and engines without servers: a datagram network with faults, and sessions in memory.
package simontest

import "time"

// Faults says what the network does to datagrams. Probabilities are 0..1; the zero value delivers everything at once.
type Faults struct {
	Seed               uint64
	MinDelay, MaxDelay time.Duration
	Loss               float64
	Duplicate          float64
	Reorder            float64
	Tamper             float64
}

// Datagram is one message on its way.
type Datagram struct {
	From, To string
	Seq      uint64
	Body     []byte
	Delay    time.Duration
}

// Network carries datagrams between named endpoints.
type Network struct{}

// Endpoint is a place that sends and receives.
type Endpoint struct{}

// NewNetwork returns a network with the given faults.
func NewNetwork(f Faults) *Network { panic("todo") }

// Endpoint registers name; receive is called for each datagram that arrives.
func (n *Network) Endpoint(name string, receive func(from string, b []byte)) *Endpoint { panic("todo") }

// Send sends b.
func (e *Endpoint) Send(to string, b []byte) error { panic("todo") }

// Tap calls f for every datagram before any fault; f may change it, and drops it by returning false.
func (n *Network) Tap(f func(d *Datagram) bool) { panic("todo") }

// Cut and Heal separate and rejoin two endpoints.
func (n *Network) Cut(a, b string) { panic("todo") }

// Heal undoes Cut.
func (n *Network) Heal(a, b string) { panic("todo") }

// Isolate separates one endpoint from all others.
func (n *Network) Isolate(name string) { panic("todo") }

// Rejoin undoes Isolate.
func (n *Network) Rejoin(name string) { panic("todo") }

// Close drops what is under way and waits for running deliveries.
func (n *Network) Close() { panic("todo") }
