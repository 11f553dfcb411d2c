package test

import (
	"os"
	"testing"
	"time"

	"github.com/weftmpc/weft/broker/identity"
)

// A node whose certificate has expired does not start and says what to do, and so does its doctor; one whose TLS
// certificate has expired runs, says what the hub refuses, and connects as soon as the certificate is renewed.
func TestFaultExpiredCertificate(t *testing.T) {
	t.Parallel()
	r := newRack(t, rackOptions{})
	now := time.Now()
	expired := func(id, tls bool) { r.recertify("carol", id, tls, now.Add(-50*time.Minute), now.Add(-time.Minute)) }
	renewed := func(id, tls bool) { r.recertify("carol", id, tls, now.Add(-50*time.Minute), now.Add(20*24*time.Hour)) }
	renew := "weft ca issue carol --renew"

	t.Run("identity", func(t *testing.T) {
		r.procs["carol"].stop()
		expired(true, false)
		r.procs["carol"].start()
		if code := r.procs["carol"].code(); code != 1 {
			t.Errorf("the node ended with code %d", code)
		}
		wantWords(t, "carol", r.procs["carol"].life(), "identity.crt of carol has expired at", renew, "clock")
		code, findings := r.doctor("carol")
		if code != 1 {
			t.Errorf("weft doctor ended with code %d", code)
		}
		r.wantFinding(findings, "identity", "error", "has expired at", renew)
		k := r.sum(2 * time.Second)
		wantError(t, "alice", r.ended(r.give(k, "alice"))["alice"], "not-joined", "bob, carol did not join")
		renewed(true, false)
	})
	t.Run("TLS", func(t *testing.T) {
		expired(false, true)
		r.procs["carol"].start()
		r.procs["carol"].says("no connection to the broker", "refuses our certificate: is it expired")
		code, findings := r.doctor("carol")
		if code != 1 {
			t.Errorf("weft doctor ended with code %d", code)
		}
		r.wantFinding(findings, "tls", "error", "tls.crt is valid from", renew)
		r.wantFinding(findings, "hub", "error", "refuses our certificate")
		r.wantFinding(findings, "identity", "ok")
		renewed(false, true)
		r.ready("carol") // without a restart
		r.wantSum(r.sumAll("1", "2", "3"), "6")
	})
}

// A certificate expires while its node runs: its jobs fail with words that say so, the others miss it, and all compute
// again once it is renewed and the node started anew.
func TestFaultCertificateExpiresMeanwhile(t *testing.T) {
	t.Parallel()
	r := prepareRack(t, rackOptions{})
	clock := r.path(memberCoordinator, "clock")
	for _, member := range append([]string{memberCoordinator}, three...) {
		r.clock(member, "@"+clock)
	}
	r.setClock(clock, 0)
	now := time.Now()
	r.recertify("carol", true, false, now.Add(-50*time.Minute), now.Add(24*time.Hour)) // the others have 30 days
	r.start()
	r.wantSum(r.sumAll("1", "2", "3"), "6")

	r.setClock(clock, 25*time.Hour)
	all := r.ended(r.give(r.sum(2 * time.Second)))
	wantError(t, "carol", all["carol"], "certificate", "the certificate of carol has expired at", "weft ca issue carol --renew", "restart")
	wantError(t, "alice", all["alice"], "not-joined", "carol did not join")
	code, findings := r.doctor("carol")
	if code != 1 {
		t.Errorf("weft doctor ended with code %d", code)
	}
	r.wantFinding(findings, "identity", "error", "has expired at", "--renew")

	r.recertify("carol", true, false, now.Add(-50*time.Minute), now.Add(26*time.Hour))
	r.procs["carol"].stop()
	r.procs["carol"].start()
	r.ready("carol")
	r.wantSum(r.sumAll("1", "2", "4"), "7")
}

// A certificate that the authority has issued and that is not on the lists: of its own node, which does not start, of the
// hub, which does not let it in, or of the other parties, who go on missing the one on theirs. Once it is listed, all compute.
func TestFaultUnlistedCertificate(t *testing.T) {
	t.Parallel()
	r := newRack(t, rackOptions{})
	listed := r.fingerprint("carol")
	r.procs["carol"].stop()
	r.weft("ca", "issue", "carol", "--replace", "--out", "carol-new")
	for _, file := range []string{"identity.crt", "identity.key", "tls.crt", "tls.key", "nats.nk", "ca.crt"} {
		r.copyFile("carol-new", "carol", file)
	}
	unlisted := r.fingerprint("carol")

	// Her own configuration still has the old one.
	r.procs["carol"].start()
	if code := r.procs["carol"].code(); code != 1 {
		t.Errorf("the node ended with code %d", code)
	}
	wantWords(t, "carol", r.procs["carol"].life(), "parties", "carol", unlisted)
	_, findings := r.doctor("carol")
	r.wantFinding(findings, "parties", "error", unlisted)

	// The hub has the old key.
	r.rewrite("carol", "node.yaml", listed, unlisted)
	r.procs["carol"].start()
	r.procs["carol"].says("no connection to the broker", "does not know this user's key")
	_, findings = r.doctor("carol")
	r.wantFinding(findings, "hub", "error", "does not know this user's key")

	// The hub has the new key, alice and bob have the old fingerprint.
	r.procs[memberHub].stop()
	must(t, os.Remove(r.path(memberHub, "hub.yaml")))
	r.weft("broker", "hub", "init", "--listen", r.hubAt)
	r.procs[memberHub].start()
	r.ready(memberHub, memberCoordinator, "alice", "bob", "carol")
	all := r.ended(r.give(r.sum(2 * time.Second)))
	wantError(t, "alice", all["alice"], "not-joined", "carol did not join", "compare fingerprints", listed[:16])
	wantError(t, "bob", all["bob"], "not-joined", "carol did not join", "compare fingerprints", listed[:16])
	wantError(t, "carol", all["carol"], "not-joined", "alice, bob did not join")
	for _, party := range []string{"alice", "bob"} {
		r.rewrite(party, "node.yaml", listed, unlisted)
		r.procs[party].stop()
		r.procs[party].start()
	}
	r.ready(three...)
	r.wantSum(r.sumAll("1", "2", "4"), "7")
}

func (r *rack) fingerprint(party string) string {
	r.t.Helper()
	der, err := identity.LoadCertificate(r.path(party, identity.FileIdentityCert))
	must(r.t, err)
	leaf, err := identity.ParseLeaf(der)
	must(r.t, err)
	return leaf.FP.String()
}
