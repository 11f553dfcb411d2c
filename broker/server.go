package broker

import (
	"github.com/nats-io/nats.go"

	"github.com/weftmpc/weft/broker/identity"
)

// Server is a running broker.
type Server struct{}

// Start runs a broker.
func Start(c Config) (*Server, error) { panic("todo") }

// Connect connects in process.
func (s *Server) Connect(user Key, opts ...nats.Option) (*nats.Conn, error) { panic("todo") }

// Addr is the listening address.
func (s *Server) Addr() string { panic("todo") }

// Shutdown ends the broker.
func (s *Server) Shutdown() { panic("todo") }

// Connect connects over TCP.
func Connect(url string, user Key, opts ...nats.Option) (*nats.Conn, error) { panic("todo") }

// Hub describes a hub.
func Hub(name, listen string, parties []Member, coordinator Member, ops string) Config { panic("todo") }

// Private describes a party's own broker.
func Private(name, dir string, key identity.Secret, user string, power bool) Config { panic("todo") }

// Render writes the configuration.
func (c Config) Render() (string, error) { panic("todo") }
