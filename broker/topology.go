package broker

import (
	"fmt"
	"strings"

	"github.com/weftmpc/weft/broker/identity"
)

// The accounts that are no party's.
const (
	AccountCoordinator = "COORDINATOR"
	AccountSystem      = "SYS"
	AccountPrivate     = "PRIVATE"
)

// AccountOf is the account that a party has on a hub.
func AccountOf(party string) string { return strings.ToUpper(party) }

// Hub describes the broker between institutions: an account for each party, one for the coordinator, and SYS.
//
// For each ordered pair the receiver exports weft.c.*.<to>.<from> to the sender alone, as a service: a service's reply
// subject is rewritten when it passes from account to account, so nobody can have the hub answer into a third party's
// inbox. ops, if not empty, is the public key of a user in the coordinator's account who may discover services (such as
// by "nats micro ls") and see events, nothing else.
func Hub(name, listen string, parties []Member, coordinator Member, ops string) Config {
	c := Config{Name: name, Listen: listen, SystemAccount: AccountSystem}
	for _, m := range append([]Member{coordinator}, parties...) {
		if err := identity.CheckName(m.Name); err != nil {
			c.err = err
			return c
		}
	}
	all := make([]string, len(parties))
	for i, p := range parties {
		all[i] = AccountOf(p.Name)
	}
	for _, p := range parties {
		c.Accounts = append(c.Accounts, hubParty(p, parties))
	}
	c.Accounts = append(c.Accounts, hubCoordinator(coordinator, parties, all, ops), Account{Name: AccountSystem})
	return c
}

func hubParty(p Member, parties []Member) Account {
	a := Account{
		Name: AccountOf(p.Name),
		Users: []User{{
			NKey:      p.NKey,
			Publish:   []string{Share("*", "*", p.Name), "weft.coordinator.*", EventSubject(p.Name, ">")},
			Subscribe: []string{ShareInbox(p.Name), StartSubject(p.Name), subjectsInbox},
		}},
		Exports: []Export{
			{Subject: StartSubject(p.Name), Accounts: []string{AccountCoordinator}},
			{Subject: EventSubject(p.Name, ">"), Stream: true, Accounts: []string{AccountCoordinator}},
		},
		Imports: []Import{{Subject: subjectsCoordinator, Account: AccountCoordinator}},
	}
	for _, q := range parties {
		if q.Name == p.Name {
			continue
		}
		a.Exports = append(a.Exports, Export{Subject: Share("*", p.Name, q.Name), Accounts: []string{AccountOf(q.Name)}})
		a.Imports = append(a.Imports, Import{Subject: Share("*", q.Name, p.Name), Account: AccountOf(q.Name)})
	}
	return a
}

func hubCoordinator(m Member, parties []Member, all []string, ops string) Account {
	a := Account{
		Name: AccountCoordinator,
		Users: []User{{
			NKey:      m.NKey,
			Publish:   []string{StartSubject("*")},
			Subscribe: []string{subjectsCoordinator, subjectsDiscovery, subjectsInbox},
			Respond:   true,
		}},
	}
	if ops != "" {
		a.Users = append(a.Users, User{
			NKey: ops, Publish: []string{subjectsDiscovery}, Subscribe: []string{subjectsInbox, subjectsEvent + ">"},
		})
	}
	if len(all) > 0 {
		a.Exports = []Export{{Subject: subjectsCoordinator, Accounts: all}}
	}
	for _, p := range parties {
		a.Imports = append(a.Imports,
			Import{Subject: StartSubject(p.Name), Account: AccountOf(p.Name)},
			Import{Subject: EventSubject(p.Name, ">"), Account: AccountOf(p.Name), Stream: true})
	}
	return a
}

// Private describes a party's own broker: jobs, inputs and results, in process only, in the folder dir, encrypted under
// key. user is the public key of the one user there is. With power a write is on disk before it is acknowledged.
func Private(name, dir string, key identity.Secret, user string, power bool) Config {
	c := Config{
		Name: name, StoreDir: dir, StoreKey: key, Power: power,
		Accounts: []Account{{
			Name: AccountPrivate, JetStream: true,
			Users: []User{{NKey: user, Publish: []string{">"}, Subscribe: []string{">"}}},
		}},
	}
	if len(key) == 0 {
		c.err = fmt.Errorf("a private broker's store is encrypted: give a key of at least %d bytes", minStoreKey)
	}
	return c
}
