package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/weftmpc/weft/gateway"
	"github.com/weftmpc/weft/node/seat"
)

// maxDrain bounds how long the end of a node may take.
const maxDrain = 10 * time.Minute

// drain lets the computations that run come to their end, for so long at most, while nothing new is accepted. It returns how
// many jobs this process still works on.
func (p *party) drain(ctx context.Context, most time.Duration) (left int) {
	p.retired.Store(true)
	if p.gateway != nil {
		p.gateway.Retire()
	}
	ctx, stop := context.WithTimeout(ctx, most)
	defer stop()
	go func() {
		select {
		case <-p.failed: // nothing can be written any more
			stop()
		case <-ctx.Done():
		}
	}()
	return p.node.Drain(ctx)
}

// missing is all that keeps the party from computing at present; nil: nothing does.
func (p *party) missing(c partyConfig) error {
	var list []error
	if !c.fabric.IsConnected() {
		list = append(list, errors.New("no connection to the hub"))
	}
	if !p.conn.IsConnected() && p.problem() == nil {
		list = append(list, errors.New("the store does not answer"))
	}
	if until := c.identity.Leaf.NotAfter; !p.now(c).Before(until) {
		list = append(list, fmt.Errorf("the certificate of %s has expired at %s: renew it and restart the node", c.identity.Name(), until.UTC().Format(time.RFC3339)))
	}
	return errors.Join(append(list, untold(p.problem(), c.state.room()))...)
}

// untold is what strangers hear at /readyz of a part that has stopped and of a full disk: not the folders and addresses, which
// the log has.
func untold(stopped, full error) error {
	var list []error
	if stopped != nil {
		list = append(list, errors.New("a part of this node has stopped; its log says why"))
	}
	if full != nil {
		list = append(list, errors.New("the disk is nearly full; the log says where"))
	}
	return errors.Join(list...)
}

func (*party) now(c partyConfig) time.Time {
	if c.now == nil {
		return time.Now()
	}
	return c.now()
}

// stats is what the node and its connection to the hub count.
func (p *party) stats(c partyConfig) gateway.NodeStats {
	s, link := p.node.Stats(), c.fabric.Stats()
	out := gateway.NodeStats{
		Running: s.Running, Hops: histogram(s), Resent: s.Session.Repeated, Asks: s.Session.Asks, Dropped: s.Session.Dropped,
		Connected: c.fabric.IsConnected(), Reconnects: link.Reconnects,
		MessagesIn: link.InMsgs, Bytes: link.InBytes, MessagesOut: link.OutMsgs, Sent: link.OutBytes,
		Expires: map[string]time.Time{"identity": c.identity.Leaf.NotAfter},
	}
	if c.hubCert != "" {
		if _, until, err := validUntil(c.hubCert); err == nil { // warnExpiry tells of a file that cannot be read
			out.Expires["hub"] = until
		}
	}
	return out
}

// histogram is the hops as the gateway tells them: in seconds, each class with those below it.
func histogram(s seat.Stats) (h gateway.Histogram) {
	for i, bound := range seat.HopBounds {
		h.Count += s.Hops[i]
		h.Bounds, h.Counts = append(h.Bounds, bound.Seconds()), append(h.Counts, h.Count)
	}
	h.Count += s.Hops[len(seat.HopBounds)]
	h.Sum = s.HopTime.Seconds()
	return h
}
