package main

import (
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weftmpc/weft/broker"
	"github.com/weftmpc/weft/broker/brokertest"
	"github.com/weftmpc/weft/broker/identity"
)

// The ledger is in its own account before any guest can connect: here none can, because the address is taken.
func TestLedgerMovesBeforeGuestsComeIn(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	o := newOffice(t)
	o.issue("alice")
	id, err := identity.LoadIdentity(o.path("alice", "identity.crt"), o.path("alice", "identity.key"))
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "state")
	s, err := openState(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	c := partyConfig{state: s, identity: id, logger: slog.New(slog.DiscardHandler),
		guests: broker.Guests{Listen: l.Addr().String(), Gateways: []string{brokertest.Key(t).Public()}}}
	start := func() error {
		p := &party{stop: func() {}, failed: make(chan struct{})}
		err := p.openStores(t.Context(), c)
		if closing := p.close(); closing != nil {
			t.Error(closing)
		}
		return err
	}
	if err := start(); err == nil || !strings.Contains(err.Error(), l.Addr().String()) {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, fileLedger)); err != nil {
		t.Error("guests are let in before the ledger is in its place:", err)
	}
	l.Close()
	if err := start(); err != nil {
		t.Error(err)
	}
}
