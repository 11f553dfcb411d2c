package coordinator

import (
	"context"

	"github.com/nats-io/nats.go"
)

// Service is a coordinator on a NATS connection.
type Service struct{}

// Serve starts the coordinator's endpoints on nc.
func Serve(ctx context.Context, nc *nats.Conn, c Config) (*Service, error) { panic("todo") }

// Stop ends the endpoints and joins the service's goroutine.
func (s *Service) Stop() error { panic("todo") }
