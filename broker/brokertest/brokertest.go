// Package brokertest runs real brokers for tests: a hub with parties, and a party's private broker. Everything ends with
// the test that asked for it.
package brokertest

import (
	"crypto/rand"
	"log/slog"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/weftmpc/weft/broker"
	"github.com/weftmpc/weft/broker/identity"
)

// CoordinatorName is the coordinator's name on every Fabric.
const CoordinatorName = "coordinator"

// Fabric is a hub in this process with every participant connected, each with the permissions it has in production.
type Fabric struct {
	Server         *broker.Server
	Config         broker.Config
	Keys           map[string]broker.Key // by party
	Conns          map[string]*nats.Conn // by party
	Coordinator    *nats.Conn
	CoordinatorKey broker.Key
	OpsKey         broker.Key // of the operators' user

	strangers map[string]broker.Key // by account: a user who may do anything within it
}

// Hub runs a hub for the parties named. It does not listen.
func Hub(t testing.TB, names ...string) *Fabric {
	t.Helper()
	f := &Fabric{
		Keys: map[string]broker.Key{}, Conns: map[string]*nats.Conn{}, strangers: map[string]broker.Key{},
		CoordinatorKey: Key(t), OpsKey: Key(t),
	}
	var members []broker.Member
	for _, name := range names {
		f.Keys[name] = Key(t)
		members = append(members, broker.Member{Name: name, NKey: f.Keys[name].Public()})
	}
	coordinator := broker.Member{Name: CoordinatorName, NKey: f.CoordinatorKey.Public()}
	f.Config = broker.Hub("hub", "", members, coordinator, f.OpsKey.Public())
	f.Config.Logger = Logger(t)
	for i := range f.Config.Accounts {
		a := &f.Config.Accounts[i]
		k := Key(t)
		f.strangers[a.Name] = k
		a.Users = append(a.Users, broker.User{NKey: k.Public(), Publish: []string{">"}, Subscribe: []string{">"}})
	}
	f.Server = start(t, f.Config)
	for _, name := range names {
		f.Conns[name] = Connect(t, f.Server, f.Keys[name], nats.Name(name))
	}
	f.Coordinator = Connect(t, f.Server, f.CoordinatorKey, nats.Name(CoordinatorName))
	return f
}

// Intruder connects to the account as a user whom no permission holds back, as whoever runs that institution's own broker
// is: what stops it is the border of the account alone.
func (f *Fabric) Intruder(t testing.TB, account string) *nats.Conn {
	t.Helper()
	k, ok := f.strangers[account]
	if !ok {
		t.Fatalf("the hub has no account %q", account)
	}
	return Connect(t, f.Server, k, nats.Name("intruder-"+account))
}

// PrivateBroker is a party's own broker with its buckets provisioned.
type PrivateBroker struct {
	Server    *broker.Server
	Config    broker.Config
	Key       broker.Key
	LedgerKey broker.Key
	StoreKey  identity.Secret
	Conn      *nats.Conn
	JS        jetstream.JetStream
	Buckets   broker.Buckets
	Ledger    *nats.Conn // to the ledger's account
	Sids      jetstream.KeyValue
}

// Private runs a private broker over a new folder, for the guests given, if any.
func Private(t testing.TB, guests ...broker.Guests) *PrivateBroker {
	t.Helper()
	p := &PrivateBroker{Key: Key(t), LedgerKey: Key(t), StoreKey: make(identity.Secret, 32)}
	if _, err := rand.Read(p.StoreKey); err != nil {
		t.Fatal(err)
	}
	p.Config = broker.Private("private", t.TempDir(), p.StoreKey, p.Key.Public(), p.LedgerKey.Public(), false)
	for _, g := range guests {
		p.Config = p.Config.Admit(g)
	}
	p.Config.Logger = Logger(t)
	p.open(t)
	return p
}

// Restart stops the broker and starts it again over the same folder; Server, Conn, JS and Buckets are new.
func (p *PrivateBroker) Restart(t testing.TB) {
	t.Helper()
	p.Server.Shutdown()
	p.open(t)
}

func (p *PrivateBroker) open(t testing.TB) {
	t.Helper()
	p.Server = start(t, p.Config)
	p.Conn = Connect(t, p.Server, p.Key, nats.Name("private"))
	js, err := jetstream.New(p.Conn)
	if err != nil {
		t.Fatal(err)
	}
	p.JS = js
	if p.Buckets, err = broker.Provision(t.Context(), js); err != nil {
		t.Fatal(err)
	}
	p.Ledger = Connect(t, p.Server, p.LedgerKey, nats.Name("ledger"))
	ledger, err := jetstream.New(p.Ledger)
	if err != nil {
		t.Fatal(err)
	}
	if p.Sids, err = broker.ProvisionLedger(t.Context(), ledger); err != nil {
		t.Fatal(err)
	}
}

// Connect connects to s in process for the length of the test.
func Connect(t testing.TB, s *broker.Server, k broker.Key, opts ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := s.Connect(k, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// Key makes a user's key.
func Key(t testing.TB) broker.Key {
	t.Helper()
	k, err := broker.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// Logger writes the broker's warnings into the test's own log.
func Logger(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
}

func start(t testing.TB, c broker.Config) *broker.Server {
	t.Helper()
	s, err := broker.Start(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	return s
}
