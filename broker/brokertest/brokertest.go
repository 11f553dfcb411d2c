// Package brokertest runs real brokers for tests: a hub with parties, and a party's private broker.
package brokertest

import (
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/weftmpc/weft/broker"
	"github.com/weftmpc/weft/broker/identity"
)

// Fabric is a hub in this process with every participant connected.
type Fabric struct {
	Server         *broker.Server
	Config         broker.Config
	Keys           map[string]broker.Key // by party
	Conns          map[string]*nats.Conn // by party
	Coordinator    *nats.Conn
	CoordinatorKey broker.Key
	OpsKey         broker.Key
}

// Hub runs a hub.
func Hub(t testing.TB, names ...string) *Fabric { panic("todo") }

// PrivateBroker is a party's own broker.
type PrivateBroker struct {
	Server   *broker.Server
	Config   broker.Config
	Key      broker.Key
	StoreKey identity.Secret
	Conn     *nats.Conn
	JS       jetstream.JetStream
}

// Private runs a private broker.
func Private(t testing.TB) *PrivateBroker { panic("todo") }

// Restart stops the broker and starts another over the same folder; Conn and JS are new.
func (p *PrivateBroker) Restart(t testing.TB) { panic("todo") }
