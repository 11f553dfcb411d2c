package main

import (
	"context"
	"errors"

	"github.com/weftmpc/weft/broker"
	"github.com/weftmpc/weft/gateway"
)

// microservices are those of the private account, as the gateway knows them.
type microservices struct{ *broker.Services }

// Find implements gateway.Microservices.
func (m microservices) Find(ctx context.Context, names []string) ([]gateway.Announced, error) {
	found, err := m.Services.Find(ctx, names)
	list := make([]gateway.Announced, len(found))
	for i, s := range found {
		list[i] = gateway.Announced{Name: s.Name, Version: s.Version, Text: s.Metadata, Members: s.Endpoints}
	}
	return list, err
}

// Call implements gateway.Microservices.
func (m microservices) Call(ctx context.Context, service, member string, body []byte) ([]byte, error) {
	answer, err := m.Services.Call(ctx, service, member, body)
	var refused *broker.ServiceError
	switch {
	case errors.As(err, &refused):
		return nil, &gateway.Refused{Code: refused.Code, Text: refused.Text}
	case errors.Is(err, broker.ErrNoService):
		return nil, gateway.ErrNotRunning
	}
	return answer, err
}
