package test

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
)

// job runs a job command against a party's gateway.
func (r *rack) job(t *testing.T, party string, args ...string) *command {
	t.Helper()
	return startCommand(t, r.urls[party], "", append([]string{"job"}, args...)...)
}

// states are the states that a job command prints, in either form for programs.
func states(t *testing.T, format, out string) (all []string) {
	t.Helper()
	if format == "csv" {
		rows, err := csv.NewReader(strings.NewReader(out)).ReadAll()
		if err != nil || len(rows) == 0 || len(rows[0]) < 4 || rows[0][0] != "id" || rows[0][3] != "state" {
			t.Fatalf("no CSV of jobs: %v: %s", err, out)
		}
		for _, row := range rows[1:] {
			all = append(all, row[3])
		}
		return all
	}
	for line := range strings.Lines(out) {
		var j struct {
			State string
			Jobs  []struct{ State string }
		}
		must(t, json.Unmarshal([]byte(line), &j))
		if j.State != "" {
			all = append(all, j.State)
		}
		for _, one := range j.Jobs {
			all = append(all, one.State)
		}
	}
	return all
}

// The job commands at nodes: what they print in each form, and their exit codes, for a job that is done, one that waits and
// one that was cancelled.
func TestJobCommandsAtNodes(t *testing.T) {
	t.Parallel()
	r := newRack(t, rackOptions{})
	done := r.sumAll("19", "5", "61")["alice"].ID.String()
	id := r.give(r.sum(5*time.Minute), "alice")["alice"].ID
	r.comesTo("alice", id, "waiting", "bob and carol")
	waits := id.String()

	for _, format := range []string{"json", "csv"} {
		for args, want := range map[string]string{
			"ls": "waiting done", "show " + waits: "waiting", "show " + done: "done", "watch " + done: "done", "cancel " + done: "done",
		} {
			out := r.job(t, "alice", append(strings.Fields(args), "--output", format)...).ok()
			if got := strings.Join(states(t, format, out), " "); got != want {
				t.Errorf("weft job %s --output %s: %q, want %q", args, format, got, want)
			}
		}
	}
	for args, want := range map[string]string{
		"result " + done:              "inputs   3\nsamples  3\nsum      85\n",
		"result " + done + " --json":  `{"inputs":3,"result":{"samples":3,"sum":85}}` + "\n",
		"result --output csv " + done: "samples,sum\n3,85\n",
		"cancel " + done:              "job " + done + " has ended already (done); nothing to cancel\n",
		"show --output table " + done: "\n\ninputs   3\nsamples  3\nsum      85\n",
	} {
		if out := r.job(t, "alice", strings.Fields(args)...).ok(); !strings.HasSuffix(out, want) {
			t.Errorf("weft job %s: %q, want %q", args, out, want)
		}
	}
	r.job(t, "alice", "result", waits).fails(1, "has not ended", "weft job watch")
	r.job(t, "bob", "show", waits).fails(1, "no such job")
	r.job(t, "alice", "show", uuid.NewString()).fails(1, "no such job")
	for _, verb := range []string{"show", "watch", "result", "cancel"} {
		r.job(t, "alice", verb, waits, "--output", "xml").fails(2, "table, json or csv")
	}

	left, watched := r.job(t, "alice", "watch", waits, "--output", "json"), r.job(t, "alice", "watch", waits, "--output", "csv")
	for _, w := range []*command{left, watched} {
		await(t, "a line of weft job watch", func() bool { return strings.Contains(w.stdout.String(), "waiting") })
	}
	must(t, left.cmd.Process.Signal(syscall.SIGINT))
	if code := left.code(); code != 130 {
		t.Errorf("weft job watch, interrupted: exit code %d, want 130", code)
	}
	out := r.job(t, "alice", "cancel", waits, "--output", "csv").ok()
	if s := strings.Join(states(t, "csv", out), " "); s != "waiting" && s != "cancelled" {
		t.Errorf("weft job cancel: %s", out)
	}
	if code, seen := watched.code(), states(t, "csv", watched.stdout.String()); code != 1 || seen[len(seen)-1] != "cancelled" || !strings.Contains(watched.stderr.String(), "cancelled by the caller") {
		t.Errorf("weft job watch of a job that is cancelled: exit code %d, %q, %s", code, seen, &watched.stderr)
	}
	r.job(t, "alice", "result", waits).fails(1, "cancelled by the caller")
	if out := r.job(t, "alice", "show", waits).ok(); !strings.Contains(out, "state          cancelled\n") {
		t.Errorf("weft job show: %s", out)
	}
}

// A job is cancelled while its computation runs, over lines so long that everybody sees it run. The other parties are told
// so: their nodes wait for alice again, and their jobs end with words that say what she did.
func TestCancelTellsTheOtherParties(t *testing.T) {
	t.Parallel()
	r := newRack(t, rackOptions{proxied: true})
	const deadline = 15 * time.Second
	k := r.sum(deadline)
	k.roundMS, k.limitMS = 20_000, 60_000
	all := r.give(k)
	for _, party := range r.parties {
		r.proxies[party].slow(600 * time.Millisecond)
	}
	await(t, "alice's computation runs", func() bool {
		j := r.look("alice", all["alice"].ID)
		if j.terminal() { // it was too quick: again
			all = r.give(r.again(&k))
		}
		return j.State == "running"
	})
	r.job(t, "alice", "cancel", all["alice"].ID.String()).ok()
	await(t, "alice's job is cancelled", func() bool { return r.look("alice", all["alice"].ID).State == "cancelled" })
	for _, party := range []string{"bob", "carol"} {
		r.procs[party].says("alice ended the computation: its request was withdrawn")
	}
	for _, p := range r.proxies {
		p.slow(0)
	}
	for party, j := range r.ended(all) {
		if party != "alice" {
			wantError(t, party, j, "not-joined", fmt.Sprintf("alice did not join within %s; before that, alice ended the computation: its request was withdrawn", deadline))
		}
	}
}

// again is the same computation under another uuid.
func (r *rack) again(k *task) task {
	k.uuid = uuid.New()
	return *k
}
