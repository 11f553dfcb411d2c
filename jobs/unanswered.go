package jobs

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Unanswered says whether an error of a store, this one or that of objects, comes from a broker that did not answer, or not
// in time: it is overloaded, or about to start or to end. What was to be written may have been written or not.
func Unanswered(err error) bool {
	for _, of := range []error{
		context.DeadlineExceeded, nats.ErrTimeout, nats.ErrNoResponders, nats.ErrConnectionClosed, nats.ErrConnectionReconnecting, nats.ErrReconnectBufExceeded, nats.ErrDisconnected,
		jetstream.ErrNoStreamResponse,
	} {
		if errors.Is(err, of) {
			return true
		}
	}
	return false
}
