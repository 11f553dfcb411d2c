package broker

import (
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/weftmpc/weft/broker/identity"
)

// Private describes a party's own broker: jobs, inputs, results and the ledger, in the folder dir, encrypted under key. user
// and ledger are the public keys of the node's own users, who connect in process. With power a write is on disk before it is
// acknowledged.
//
// The ledger has an account of its own, in which there is nobody but the node. Permissions alone would not keep others of
// the same account from it: whoever may ask JetStream for anything chooses the subject of the answer, and of a consumer's
// messages, and the server publishes there in its own name, be it into a stream or to the API that purges one.
func Private(name, dir string, key identity.Secret, user, ledger string, power bool) Config {
	own := func(account, user string) Account {
		return Account{Name: account, JetStream: true, Users: []User{{NKey: user, Publish: []string{">"}, Subscribe: []string{">"}}}}
	}
	c := Config{Name: name, StoreDir: dir, StoreKey: key, Power: power, Accounts: []Account{own(AccountPrivate, user), own(AccountLedger, ledger)}}
	if len(key) == 0 {
		c.err = fmt.Errorf("a private broker's store is encrypted: give a key of at least %d bytes", minStoreKey)
	}
	return c
}

// Guests are the processes of a party's house, besides its node, that use the private broker.
type Guests struct {
	Listen   string   // host:port of the socket; empty: there are no guests
	TLS      *TLS     // of the socket; nil only if Listen is a loopback address
	Gateways []string // public keys of gateways' users
	Services []Member // micro services: name, and public key of the user
}

// Admit opens a private broker to guests. A gateway may use the records and bodies of jobs and objects, ask the node and the
// services, and see who they are; it may not manage streams. A service may answer what is asked of its own name, and nothing
// else. Each receives answers in an inbox of its own (Key.Inbox): in one for all, a service would read what passes there.
//
// Gateways have an account of their own, into which the private one exports what they may use as services: there the reply
// subject of a request is rewritten. In the private account they could name one of JetStream's API, and have the server send
// what they have stored there, in its own name: the description of a stream that hears everything, or the end of one.
func (c Config) Admit(g Guests) Config {
	if g.Listen == "" {
		if len(g.Gateways)+len(g.Services) > 0 && c.err == nil {
			c.err = errors.New("gateways and services connect to a private broker that listens, and this one does not")
		}
		return c
	}
	c.Listen, c.TLS = g.Listen, g.TLS
	private := &c.Accounts[0]
	gateways := Account{Name: AccountGateways}
	export := func(e Export) {
		e.Accounts = []string{AccountGateways}
		private.Exports = append(private.Exports, e)
		gateways.Imports = append(gateways.Imports, Import{Subject: e.Subject, Account: AccountPrivate, Stream: e.Stream})
	}
	for i, key := range g.Gateways {
		u := gatewayUser(key)
		gateways.Users = append(gateways.Users, u)
		if i == 0 { // the same for all
			// Without this the server answers in the gateways' account as well, that it has no JetStream. No user may ask it.
			export(Export{Subject: "$JS.API.INFO"})
			for _, subject := range u.Publish {
				e := Export{Subject: subject}
				if subject == subjectsDiscovery {
					e.Many, e.Answer = true, soonAnswer
				}
				export(e)
			}
		}
		export(Export{Subject: inbox(key) + ".>", Stream: true}) // messages of its consumers
	}
	names := map[string]bool{}
	for _, s := range g.Services {
		switch err := identity.CheckName(s.Name); {
		case err != nil && c.err == nil:
			c.err = fmt.Errorf("the name of a service is made like a party's: %w", err)
		case names[s.Name] && c.err == nil:
			c.err = fmt.Errorf("two services are called %s", s.Name)
		}
		names[s.Name] = true
		private.Users = append(private.Users, serviceUser(s))
	}
	if len(g.Gateways) > 0 {
		c.Accounts = append(c.Accounts, gateways)
	}
	return c
}

// gatewayUser is the user of a gateway that is a process of its own.
func gatewayUser(key string) User {
	u := User{NKey: key, Publish: []string{subjectsNode, subjectsService + ">", subjectsDiscovery}, Subscribe: []string{inbox(key) + ".>"}}
	for _, bucket := range []string{BucketJobs, BucketObjects} {
		u.Publish = append(u.Publish, "$KV."+bucket+".>")
		u.Publish = append(u.Publish, readStream("KV_"+bucket)...)
	}
	u.Publish = append(u.Publish, "$O."+StoreBodies+".>")
	u.Publish = append(u.Publish, readStream("OBJ_"+StoreBodies)...)
	return u
}

// readStream are the subjects of JetStream's API by which a stream is described, read and watched. What a gateway may write
// is in the subjects of the streams themselves: what it can write it can also empty.
func readStream(name string) []string {
	return []string{
		"$JS.API.STREAM.INFO." + name,
		"$JS.API.STREAM.MSG.GET." + name,
		"$JS.API.DIRECT.GET." + name,
		"$JS.API.DIRECT.GET." + name + ".>",
		"$JS.API.CONSUMER.CREATE." + name + ".>",
		"$JS.API.CONSUMER.INFO." + name + ".*",
		"$JS.API.CONSUMER.DELETE." + name + ".*",
		"$JS.FC." + name + ".>", // answers to flow control
	}
}

// serviceUser is the user of a micro service: it hears requests and discovery of its own name.
func serviceUser(m Member) User {
	u := User{NKey: m.NKey, Respond: true, Subscribe: []string{ServiceSubject(m.Name, ">"), inbox(m.NKey) + ".>"}}
	for _, verb := range []string{"PING", "INFO", "STATS"} {
		of := strings.TrimSuffix(subjectsDiscovery, ">") + verb
		u.Subscribe = append(u.Subscribe, of, of+"."+m.Name, of+"."+m.Name+".*")
	}
	return u
}

func inbox(key string) string { return subjectsInboxes + key }

// Inbox has a guest of a private broker receive answers where it may.
func (k Key) Inbox() nats.Option { return nats.CustomInboxPrefix(inbox(k.public)) }

// IsInbox says whether a reply subject is one of a user's inbox, or one that the server has put in its place because the
// request comes from another account. Who may publish everywhere must answer nowhere else: within an account the server does
// not look at where a request has its answer sent.
func IsInbox(reply string) bool {
	return strings.HasPrefix(reply, subjectsInboxes) || strings.HasPrefix(reply, subjectsRewritten)
}
