package main

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weftmpc/weft/broker"
	"github.com/weftmpc/weft/broker/brokertest"
	"github.com/weftmpc/weft/broker/identity"
	"github.com/weftmpc/weft/coordinator"
)

// The doctor tells a coordinator that does not deal, a hub that does not pass messages to it, and one that does.
func TestDoctorLooksForTheDealer(t *testing.T) {
	o := newOffice(t)
	o.issue("alice")
	f := brokertest.Hub(t, "alice", "bob")
	var found []finding
	d := &doctor{now: time.Now, tell: func(f finding) { found = append(found, f) }}
	d.config.Identity.Cert = o.path("alice", "identity.crt")
	ask := func(s coordinator.Status) finding {
		t.Helper()
		found = nil
		d.dealer(t.Context(), f.Conns["alice"], s)
		if len(found) != 1 || found[0].Check != "dealer" {
			t.Fatalf("%+v", found)
		}
		return found[0]
	}
	if x := ask(coordinator.Status{Name: "coordinator"}); x.Status != "warning" {
		t.Errorf("%+v", x)
	}
	if x := ask(coordinator.Status{Name: "coordinator", Deals: true}); x.Status != "error" || !strings.Contains(x.Text, "does not pass") {
		t.Errorf("%+v", x)
	}
	if x := ask(coordinator.Status{Name: "weft.>", Deals: true}); x.Status != "error" {
		t.Errorf("%+v", x)
	}
	if _, err := f.Coordinator.Subscribe(broker.ShareInbox("coordinator"), func(*nats.Msg) {}); err != nil {
		t.Fatal(err)
	}
	if err := f.Coordinator.Flush(); err != nil {
		t.Fatal(err)
	}
	if x := ask(coordinator.Status{Name: "coordinator", Deals: true}); x.Status != "ok" {
		t.Errorf("%+v", x)
	}
}

// A node does not run with a coordinator's certificate. A coordinator that had a party's, from before it could deal, gets a
// dealer's for the same key when it is renewed, and then writes a configuration that deals.
func TestCertificatesOfDealers(t *testing.T) {
	o := newOffice(t)
	o.issue("alice")
	o.issue("coordinator", "--coordinator")
	c := identityConfig{Cert: o.path("coordinator", "identity.crt"), Key: o.path("coordinator", "identity.key")}
	if _, _, err := c.loadAs(o.path("ca", "ca.crt"), o.now, identity.UsageParty); err == nil || !strings.Contains(err.Error(), "is a dealer's, and a party's is needed here") {
		t.Errorf("a node with the coordinator's certificate: %v", err)
	}
	a, err := identity.LoadAuthority(o.path("ca"))
	if err != nil {
		t.Fatal(err)
	}
	id, err := identity.LoadIdentity(c.Cert, c.Key)
	if err != nil {
		t.Fatal(err)
	}
	old, err := a.Issue("coordinator", "coordinator", id.Leaf.Key, o.now.Add(-time.Hour), o.now.AddDate(0, 0, 20))
	if err != nil {
		t.Fatal(err)
	}
	if err := identity.ReplaceCertificate(c.Cert, old); err != nil {
		t.Fatal(err)
	}
	if id, _, err := c.loadAs(o.path("ca", "ca.crt"), o.now, identity.UsageDealer, identity.UsageParty); err != nil || id.Leaf.Usage != identity.UsageParty {
		t.Fatal(err)
	}
	o.issue("coordinator", "--renew")
	renewed, _, err := c.loadAs(o.path("ca", "ca.crt"), o.now, identity.UsageDealer)
	if err != nil || renewed.FP() != id.FP() {
		t.Errorf("%v", err)
	}
}
