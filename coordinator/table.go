package coordinator

import (
	"log/slog"
	"time"

	"github.com/weftmpc/weft/broker/identity"
)

// Config of a coordinator.
type Config struct {
	Identity *identity.Identity // the coordinator's own; JOINs name its fingerprint
	Roots    identity.Roots     // the consortium's certificate authorities
	Logger   *slog.Logger       // nil: slog.Default()
	Now      func() time.Time   // nil: time.Now

	MaxParties int // of one computation, 2 to 128; 0: 32
	MaxOpen    int // JOINs held open or in conflict; 0: 16384
	PerParty   int // the same for one party; 0: 1024
	MaxKept    int // bytes of finished STARTs kept to answer repeated JOINs; 0: 64 MiB
}

// Delivery is an answer for a party's start subject.
type Delivery struct {
	To     identity.Fingerprint
	Name   string // the party's name as its verified certificate says it
	Answer Answer
}

// Table is the coordinator's state, without a network.
type Table struct{}

// NewTable returns an empty table.
func NewTable(c Config) *Table { panic("todo") }

// Join takes an encoded JOIN. The reply goes to its sender, push to the other parties.
func (t *Table) Join(b []byte) (reply Answer, push []Delivery) { panic("todo") }

// Leave takes an encoded LEAVE.
func (t *Table) Leave(b []byte) error { panic("todo") }

// Sweep forgets what has expired.
func (t *Table) Sweep() { panic("todo") }
