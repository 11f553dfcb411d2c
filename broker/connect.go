package broker

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
)

// Connect opens a connection to a broker at url, such as nats://hub.example:4222. It fails if the broker is not there
// now; once connected, it reconnects for ever. The options given come after weft's own and win over them.
func Connect(url string, user Key, opts ...nats.Option) (*nats.Conn, error) {
	nc, err := nats.Connect(url, options(user, slog.Default(), opts)...)
	if err != nil {
		return nil, fmt.Errorf("connecting to broker %s as %s: %w", url, user.public, err)
	}
	return nc, nil
}

func options(user Key, log *slog.Logger, opts []nats.Option) []nats.Option {
	own := []nats.Option{
		user.Option(),
		nats.Name("weft"),
		nats.Timeout(5 * time.Second),
		nats.PingInterval(10 * time.Second),
		nats.MaxPingsOutstanding(2),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(250 * time.Millisecond),
		nats.ReconnectJitter(250*time.Millisecond, 500*time.Millisecond),
		// What could not be sent fails at once and is sent again by who knows whether it still matters; a buffer would
		// deliver it stale.
		nats.ReconnectBufSize(-1),
		nats.ErrorHandler(func(nc *nats.Conn, sub *nats.Subscription, err error) {
			a := []any{"connection", nc.Opts.Name, "error", err}
			if sub != nil {
				a = append(a, "subject", sub.Subject)
			}
			log.Warn("broker connection: a message was lost or refused", a...)
		}),
		nats.DisconnectErrHandler(func(nc *nats.Conn, err error) {
			if err != nil {
				log.Info("broker connection lost", "connection", nc.Opts.Name, "error", err)
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			log.Info("broker connection is back", "connection", nc.Opts.Name)
		}),
	}
	return append(own, opts...)
}
