package test

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"

	"github.com/weftmpc/weft/broker/identity"
)

// What the tests of single faults share: each sets one thing wrong in a consortium of processes, and wants either a result
// or words that tell a person what to do, in the job's error, in a log, or among the doctor's findings.

// clocked is weft whose clock a test can set, built once for the tests that need it.
var clocked = sync.OnceValues(func() (string, error) {
	path := filepath.Join(filepath.Dir(binary), "weft-clocked")
	out, err := exec.Command("go", "build", "-tags", "weft_test_clock", "-o", path, "../cmd/weft").CombinedOutput()
	if err != nil {
		return "", errors.New(string(out))
	}
	return path, nil
})

// clock has a member's process run with a clock that is off: by a duration, or by what a file holds at each moment if the
// text is @ and a path.
func (r *rack) clock(member, off string) {
	r.t.Helper()
	path, err := clocked()
	must(r.t, err)
	p := r.procs[member]
	p.env = append(p.env, "WEFT_TEST_CLOCK="+off)
	p.wrap = []string{"/bin/sh", "-c", `shift; exec "$0" "$@"`, path} // in the place of the binary, which the shell drops
}

// finding is one of the doctor's.
type finding struct{ Check, Status, Text, Advice string }

// doctor runs `weft doctor` as the owner of a node would, with the node's own program and environment, and returns the exit
// code and the findings by check; of several for one check, the worst.
func (r *rack) doctor(party string) (int, map[string]finding) {
	r.t.Helper()
	p := r.procs[party]
	argv := append(append([]string{}, p.wrap...), binary, "doctor", "--config", party+"/node.yaml", "--json")
	cmd := exec.Command(argv[0], argv[1:]...)
	var stdout, stderr bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = r.dir, append(rackEnviron(), p.env...), &stdout, &stderr
	code := 0
	var exit *exec.ExitError
	if err := cmd.Run(); errors.As(err, &exit) {
		code = exit.ExitCode()
	} else {
		must(r.t, err)
	}
	var all []finding
	if err := json.Unmarshal(stdout.Bytes(), &all); err != nil {
		r.t.Fatalf("weft doctor: %v\n%s%s", err, &stdout, &stderr)
	}
	worst, by := map[string]int{"ok": 0, "warning": 1, "error": 2}, map[string]finding{}
	for _, f := range all {
		if old, ok := by[f.Check]; !ok || worst[f.Status] > worst[old.Status] {
			by[f.Check] = f
		}
	}
	return code, by
}

// wantFinding compares a finding's status and looks for words in its text and advice.
func (r *rack) wantFinding(all map[string]finding, check, status string, words ...string) {
	r.t.Helper()
	f := all[check]
	if f.Status != status {
		r.t.Errorf("weft doctor on %s: %q %q (%q), want %q", check, f.Status, f.Text, f.Advice, status)
	}
	wantWords(r.t, "weft doctor on "+check, f.Text+" | "+f.Advice, words...)
}

// wantWords wants all of the words in a text.
func wantWords(t testing.TB, where, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%s says %q, and not %q", where, text, w)
		}
	}
}

// wantError wants that a job has failed for a reason, with words in its message.
func wantError(t testing.TB, party string, j jobReport, reason string, words ...string) {
	t.Helper()
	if j.State != "failed" || j.Error == nil || j.Error.Reason != reason {
		t.Errorf("%s's job: %s %s %+v, want failed for %q", party, j.State, j.Detail, j.Error, reason)
		return
	}
	wantWords(t, party+"'s job", j.Error.Message, words...)
}

// sum is a task of all parties with the values 1, 2, 3... that waits for everybody as long as it is told to.
func (r *rack) sum(deadline time.Duration) task {
	k := task{uuid: uuid.New(), data: map[string]string{}, deadline: deadline.String()}
	for i, party := range r.parties {
		k.data[party] = string(rune('1' + i))
	}
	return k
}

// give posts the parts of some parties, all of them if none is named.
func (r *rack) give(k task, parties ...string) map[string]jobReport {
	r.t.Helper()
	if len(parties) == 0 {
		parties = r.parties
	}
	all := map[string]jobReport{}
	for _, party := range parties {
		j, err := r.post(r.t.Context(), party, k)
		if err != nil {
			r.t.Fatalf("submitting at %s: %v", party, err)
		}
		all[party] = j
	}
	return all
}

// look is a job as it is now.
func (r *rack) look(party string, id uuid.UUID) (j jobReport) {
	r.t.Helper()
	must(r.t, r.ask(r.t.Context(), party, "GET", "/v1/jobs/"+id.String(), "", 200, &j))
	return j
}

// comesTo waits until a job's state and detail have some words.
func (r *rack) comesTo(party string, id uuid.UUID, state string, words ...string) {
	r.t.Helper()
	await(r.t, party+"'s job is "+state+" "+strings.Join(words, " "), func() bool {
		j := r.look(party, id)
		ok := j.State == state
		for _, w := range words {
			ok = ok && strings.Contains(j.Detail, w)
		}
		if !ok && j.terminal() {
			r.t.Fatalf("%s's job has ended: %s %s", party, j.State, j.Detail)
		}
		return ok
	})
}

// recertify gives a party certificates for its own keys with another validity: its identity's, its TLS certificate, or both.
func (r *rack) recertify(party string, id, tls bool, notBefore, notAfter time.Time) {
	r.t.Helper()
	a, err := identity.LoadAuthority(r.path("ca"))
	must(r.t, err)
	old := func(file string) []byte {
		der, err := identity.LoadCertificate(r.path(party, file))
		must(r.t, err)
		return der
	}
	save := func(file string, der []byte, err error) {
		must(r.t, err)
		must(r.t, os.WriteFile(r.path(party, file), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	}
	if id {
		leaf, err := identity.ParseLeaf(old(identity.FileIdentityCert))
		must(r.t, err)
		der, err := a.Renew(leaf, leaf.Organisation, notBefore, notAfter)
		save(identity.FileIdentityCert, der, err)
	}
	if tls {
		leaf, err := identity.ParseTLS(old(identity.FileTLSCert))
		must(r.t, err)
		der, err := a.RenewTLS(leaf, nil, notBefore, notAfter)
		save(identity.FileTLSCert, der, err)
	}
}

// setClock sets a clock that processes read from a file: off by d from the machine's.
func (r *rack) setClock(file string, d time.Duration) {
	r.t.Helper()
	must(r.t, os.WriteFile(file+".new", []byte(d.String()), 0o600))
	must(r.t, os.Rename(file+".new", file)) // so that nobody reads half of it
}

// publish says something in an account of the hub, as whoever runs the hub could.
func (h *watchedHub) publish(account, subject string, data []byte) {
	h.t.Helper()
	pair := h.keys[account]
	public, err := pair.PublicKey()
	must(h.t, err)
	nc, err := nats.Connect("", nats.InProcessServer(h.server), nats.Nkey(public, pair.Sign))
	must(h.t, err)
	defer nc.Close()
	must(h.t, nc.Publish(subject, data))
	must(h.t, nc.Flush())
}

// copyFile puts a member's file in the place of another member's.
func (r *rack) copyFile(from, to, file string) {
	r.t.Helper()
	b, err := os.ReadFile(r.path(from, file))
	must(r.t, err)
	must(r.t, os.WriteFile(r.path(to, file), b, 0o600))
}
