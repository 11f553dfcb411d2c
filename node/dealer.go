package node

import (
	"fmt"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"

	"github.com/weftmpc/weft/broker"
	"github.com/weftmpc/weft/node/seat"
)

// dealerPending bounds the messages that have arrived for a dealer and are not looked at, in bytes: asks and notices.
const dealerPending = 64 << 20

// NewDealer makes a dealer that speaks over nc, which stays the caller's. c.Send is set here. The dealer hears its messages
// until unsubscribe is called, and is driven by its Run.
func NewDealer(nc *nats.Conn, c seat.DealerConfig) (d *seat.Dealer, unsubscribe func(), err error) {
	if c.Identity == nil {
		return nil, nil, fmt.Errorf("dealer: it has no identity")
	}
	self := c.Identity.Name()
	c.Send = natsFabric{nc, self}.Send
	if d, err = seat.NewDealer(c); err != nil {
		return nil, nil, err
	}
	shares, err := nc.Subscribe(broker.ShareInbox(self), func(m *nats.Msg) {
		id, to, from, ok := broker.ParseShare(m.Subject)
		if !ok || to != self {
			return
		}
		if u, err := uuid.Parse(id); err == nil && u.String() == id {
			d.Deliver(u, from, m.Data)
		}
	})
	if err != nil {
		return nil, nil, fmt.Errorf("subscribing to messages for the dealer: %w", err)
	}
	if err := shares.SetPendingLimits(-1, dealerPending); err != nil {
		return nil, nil, err
	}
	before := nc.Opts.ReconnectedCB
	nc.SetReconnectHandler(func(nc *nats.Conn) {
		if before != nil {
			before(nc)
		}
		d.Reconnected()
	})
	unsubscribe = func() { _ = shares.Unsubscribe() }
	if !nc.IsConnected() {
		return d, unsubscribe, nil
	}
	return d, unsubscribe, nc.Flush()
}
