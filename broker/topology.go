package broker

import (
	"strings"
	"time"

	"github.com/weftmpc/weft/broker/identity"
)

// The accounts that are no party's.
const (
	AccountCoordinator = "COORDINATOR"
	AccountOperators   = "OPS"
	AccountSystem      = "SYS"
	AccountPrivate     = "PRIVATE"
	AccountLedger      = "LEDGER"
	AccountGateways    = "GATEWAYS"
)

// What one member of a hub may use of it, and how long ways back are kept.
const (
	mostConnections   = 16  // of a member: its node, a doctor, and what a half-open link has left
	mostSubscriptions = 256 // of one connection; a node has a handful
	mostOperators     = 64  // connections of all operators together

	noAnswer   = time.Second      // for share messages and STARTs, which nobody answers
	soonAnswer = 10 * time.Second // for what the coordinator answers
)

// AccountOf is the account that a party has on a hub.
func AccountOf(party string) string { return strings.ToUpper(party) }

// Hub describes the broker between institutions: an account for each party, one for the coordinator, one for the
// operators, and SYS.
//
// For each ordered pair the receiver exports weft.c.*.<to>.<from> to the sender alone, as a service: a service's reply
// subject is rewritten when it passes from account to account, so nobody can have the hub answer into a third party's
// inbox. The coordinator has such a pair with each party, too: as a dealer it exchanges sealed messages with them, and what one
// party sends it no other sees. For the same reason the operators are not in the coordinator's account: there they could name a party's start
// subject as reply to what they ask, and the coordinator would answer there. JOINs and LEAVEs go through an export for each
// party, whose name stands in the subject.
//
// ops are the public keys of the operators' users, who may discover services (such as by "nats micro ls") and see events,
// nothing else.
func Hub(name, listen string, parties []Member, coordinator Member, ops ...string) Config {
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
	for i, p := range parties {
		pair(&c.Accounts[i], p.Name, coordinator.Name, AccountCoordinator)
	}
	c.Accounts = append(c.Accounts, hubCoordinator(coordinator, parties, all), hubOperators(parties, ops), Account{Name: AccountSystem})
	return c
}

func hubParty(p Member, parties []Member) Account {
	a := Account{
		Name: AccountOf(p.Name), MaxConnections: mostConnections, MaxSubscriptions: mostSubscriptions,
		Users: []User{{
			NKey:      p.NKey,
			Publish:   []string{Share("*", "*", p.Name), JoinSubject(p.Name), LeaveSubject(p.Name), SubjectStatus, EventSubject(p.Name, ">")},
			Subscribe: []string{ShareInbox(p.Name), StartSubject(p.Name), subjectsInbox},
		}},
		Exports: []Export{
			{Subject: StartSubject(p.Name), Answer: noAnswer, Accounts: []string{AccountCoordinator}},
			{Subject: EventSubject(p.Name, ">"), Stream: true, Accounts: []string{AccountOperators}},
		},
		Imports: []Import{
			{Subject: JoinSubject(p.Name), Account: AccountCoordinator},
			{Subject: LeaveSubject(p.Name), Account: AccountCoordinator},
			{Subject: SubjectStatus, Account: AccountCoordinator},
		},
	}
	for _, q := range parties {
		if q.Name == p.Name {
			continue
		}
		pair(&a, p.Name, q.Name, AccountOf(q.Name))
	}
	return a
}

// pair lets the member of a account exchange share messages with another one, in the other's account.
func pair(a *Account, self, other, account string) {
	a.Exports = append(a.Exports, Export{Subject: Share("*", self, other), Answer: noAnswer, Accounts: []string{account}})
	a.Imports = append(a.Imports, Import{Subject: Share("*", other, self), Account: account})
}

func hubCoordinator(m Member, parties []Member, all []string) Account {
	a := Account{
		Name: AccountCoordinator, MaxConnections: mostConnections, MaxSubscriptions: mostSubscriptions,
		Users: []User{{
			NKey:      m.NKey,
			Publish:   []string{StartSubject("*"), Share("*", "*", m.Name)},
			Subscribe: []string{subjectsCoordinator, subjectsDiscovery, ShareInbox(m.Name), subjectsInbox},
			Respond:   true,
		}},
		Exports: []Export{{Subject: subjectsDiscovery, Many: true, Accounts: []string{AccountOperators}}},
	}
	if len(all) > 0 {
		a.Exports = append(a.Exports, Export{Subject: SubjectStatus, Answer: soonAnswer, Accounts: all})
	}
	for _, p := range parties {
		own := []string{AccountOf(p.Name)}
		a.Exports = append(a.Exports, Export{Subject: JoinSubject(p.Name), Answer: soonAnswer, Accounts: own}, Export{Subject: LeaveSubject(p.Name), Answer: soonAnswer, Accounts: own})
		a.Imports = append(a.Imports, Import{Subject: StartSubject(p.Name), Account: AccountOf(p.Name)})
		pair(&a, m.Name, p.Name, AccountOf(p.Name))
	}
	return a
}

func hubOperators(parties []Member, ops []string) Account {
	a := Account{
		Name: AccountOperators, MaxConnections: mostOperators, MaxSubscriptions: mostSubscriptions,
		Imports: []Import{{Subject: subjectsDiscovery, Account: AccountCoordinator}},
	}
	for _, key := range ops {
		a.Users = append(a.Users, User{NKey: key, Publish: []string{subjectsDiscovery}, Subscribe: []string{subjectsInbox, subjectsEvent + ">"}})
	}
	for _, p := range parties {
		a.Imports = append(a.Imports, Import{Subject: EventSubject(p.Name, ">"), Account: AccountOf(p.Name), Stream: true})
	}
	return a
}
