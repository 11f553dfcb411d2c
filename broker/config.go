package broker

import (
	"log/slog"
	"time"

	"github.com/weftmpc/weft/broker/identity"
)

// Sizes in bytes.
const (
	// MaxPayload is the most that one message may have, headers included. It is the same on every broker of a fabric: one
	// message too large for the next broker closes the whole link.
	MaxPayload = 1 << 20
	// MaxValue is the most that one value of a bucket may have; the rest of MaxPayload is for headers.
	MaxValue = MaxPayload - 4<<10

	minStoreKey = 16
)

// Config describes a broker. Render turns it into the text that a stock nats-server reads.
type Config struct {
	Name          string    // of the server, one word
	Listen        string    // host:port, port -1 for any free one; empty: no socket, connections in process only
	TLS           *TLS      // of the socket; nil only if Listen is a loopback address or empty
	SystemAccount string    // the account of the broker's own events; empty: one without users, made by the server
	Accounts      []Account // at least one user in all

	StoreDir  string          // folder of JetStream; needed if an account has it
	StoreKey  identity.Secret // encrypts JetStream at rest, 16 bytes or more; empty: no encryption. Not rendered
	Power     bool            // every write reaches the disk before its acknowledgement: safe over a power cut, four times slower
	MaxMemory int64           // bytes of JetStream streams in memory, 0: 64 MiB
	MaxStore  int64           // bytes of JetStream streams on disk, 0: 16 GiB

	MaxPayload int32        // bytes of one message, 0: MaxPayload
	Logger     *slog.Logger // the server's own log, notices at debug level; nil: slog.Default(). Not rendered

	err error // what Hub or Private found wrong; Render reports it
}

// TLS is one end of a mutually authenticated TLS 1.3 connection: PEM files of the own certificate and its key, and of the
// authority that issued the other end's. The handshake comes before the first byte of NATS.
//
// TLS keeps strangers off a broker's socket and metadata off the network. Who may do what there depends on a user's key
// (Key), and what parties say to each other is sealed and signed on top: a broken TLS shows who computes with whom, no data.
type TLS struct{ Cert, Key, CA string }

// Account is a space of subjects of its own. Nothing passes between accounts but by an export and its import.
type Account struct {
	Name      string // upper-case letters, digits, hyphen, underscore
	JetStream bool
	// MaxConnections bounds the account's connections together, MaxSubscriptions the subscriptions of each; 0: no bound. On
	// a server that others share, they keep one account from using it up.
	MaxConnections, MaxSubscriptions int
	Users                            []User
	Exports                          []Export
	Imports                          []Import
}

// User may connect with its key, and publish and subscribe to what is listed: all else is refused.
type User struct {
	NKey      string   // public key, U...
	Publish   []string // subjects; none: may not publish
	Subscribe []string // subjects; none: may not subscribe
	Respond   bool     // may answer each request it received, once, within 2 min
}

// Export offers a subject to the accounts listed, and to no other.
type Export struct {
	Subject string
	Stream  bool // messages flow out; otherwise requests flow in (a service)
	Many    bool // of a service: several answers to one request may pass, such as one of each instance
	// Answer is how long the server keeps the way back for the answer to one request, which costs memory whether or not one
	// comes; 0: 2 min. Requests that nobody answers want as little as possible.
	Answer   time.Duration
	Accounts []string // at least one
}

// Import takes what another account exports, under the same subject.
type Import struct {
	Subject string
	Account string
	Stream  bool
}

// Member is a participant of a hub: its name and its user's public key.
type Member struct{ Name, NKey string }
