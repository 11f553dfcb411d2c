package main

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/nats-io/nats.go/micro"

	"github.com/weftmpc/weft/broker"
	"github.com/weftmpc/weft/gateway"
	"github.com/weftmpc/weft/simon"
)

// nodeStatus is what a node tells the gateways of its party that are processes of their own: everything that they need of it
// and the stores do not have. One answer holds all, so that a gateway knows all of one moment, and how old it is.
type nodeStatus struct {
	Party   string            `json:"party"`
	Version string            `json:"version"`
	Parties []partyStatus     `json:"parties"`
	Guard   simon.Guard       `json:"guard"`
	Missing string            `json:"missing,omitempty"` // what keeps the party from computing
	Room    string            `json:"room,omitempty"`    // why nothing new may be stored
	Stats   gateway.NodeStats `json:"stats"`
}

// partyStatus is one party of the node's list.
type partyStatus struct {
	Name         string    `json:"name"`
	URLs         []string  `json:"urls"`
	Organisation string    `json:"organisation,omitempty"`
	Seen         time.Time `json:"seen,omitzero"`
	Expires      time.Time `json:"expires,omitzero"`
}

// status is the answer at this moment.
func (p *party) status(c partyConfig) nodeStatus {
	facts := c.facts(p.node)
	s := nodeStatus{Party: c.identity.Name(), Version: version(), Guard: *p.guard.Load(), Stats: p.stats(c)}
	for _, q := range p.directory.Parties() {
		f := facts(q.Name)
		s.Parties = append(s.Parties, partyStatus{q.Name, q.URLs, f.Organisation, f.Seen, f.Expires})
	}
	if err := p.missing(c); err != nil {
		s.Missing = strings.ReplaceAll(err.Error(), "\n", "; ") // of errors.Join
	}
	if p.retired.Load() {
		s.Missing = "the node is shutting down"
	}
	if err := c.state.room(); err != nil {
		s.Room = err.Error()
	}
	return s
}

// serveGateways answers the gateways of this party until the connection closes.
func (p *party) serveGateways(c partyConfig) error {
	_, err := micro.AddService(p.conn, micro.Config{
		Name: broker.ServiceNode, Version: "1.0.0", Description: "Tells the gateways of its party what they need to know of the node; no data.",
		Metadata: map[string]string{"version": version()},
		Endpoint: &micro.EndpointConfig{Subject: broker.SubjectNode, Handler: micro.HandlerFunc(func(r micro.Request) {
			if !broker.IsInbox(r.Reply()) {
				c.logger.Warn("a request to the node wants its answer somewhere else than in an inbox, and gets none", "subject", r.Reply())
				return
			}
			b, err := json.Marshal(p.status(c))
			if err == nil {
				err = r.Respond(b)
			}
			if err != nil {
				c.logger.Warn("a gateway got no answer from the node", "error", err)
			}
		})},
	})
	return err
}

// setGuard takes a policy's guard over, here and in the node's own gateway.
func (p *party) setGuard(g simon.Guard) {
	p.guard.Store(&g)
	if p.gateway != nil {
		p.gateway.SetGuard(g)
	}
}
