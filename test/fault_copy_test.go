package test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weftmpc/weft/broker"
	"github.com/weftmpc/weft/coordinator"
)

// A node is started with an old copy of its state folder, which knows nothing of computations that it has confirmed since.
// It signs nothing a second time, whatever STARTs come again, says what is wrong, and computes on.
func TestFaultOldStateFolder(t *testing.T) {
	t.Parallel()
	r := newRack(t, rackOptions{observed: true})
	r.wantSum(r.sumAll("1", "2", "3"), "6")
	r.procs["carol"].stop()
	state, saved := r.path("carol", "state"), r.path("carol", "backup")
	copyFolder(t, state, saved)
	r.procs["carol"].start()
	r.ready("carol")
	later := r.give(r.sum(5 * time.Minute))
	r.wantSum(r.ended(later), "6")
	waits := r.sum(5 * time.Second) // carol asks for it, and forgets that she has
	waits.roundMS, waits.limitMS = 1000, 10_000
	forgotten := r.give(waits, "carol")["carol"]
	r.comesTo("carol", forgotten.ID, "waiting", "alice")

	r.procs["carol"].kill()
	must(t, os.Rename(state, r.path("carol", "newer")))
	must(t, os.Rename(saved, state))
	r.procs["carol"].start()
	r.ready("carol")
	// Everything that any coordinator may have kept comes again: STARTs of what carol has confirmed, then forgotten.
	for _, s := range r.watched.messages() {
		if a, err := coordinator.DecodeAnswer(s.Data); err == nil && a.Kind == coordinator.AnswerStart {
			r.watched.publish("COORDINATOR", broker.StartSubject("carol"), s.Data)
		}
	}
	r.procs["carol"].says("old copy")
	// What alice and bob ask for now starts with the JOIN that the coordinator still holds of carol. She has forgotten it.
	for party, j := range r.ended(r.give(waits, "alice", "bob")) {
		if j.State != "failed" || j.Error == nil || j.Error.Message == "" {
			t.Errorf("%s: %s %+v %+v", party, j.State, j.Result, j.Error)
		}
	}
	r.wantSum(r.sumAll("1", "2", "4"), "7")
	r.auditAll()
}

// auditAll holds all that passed the watched hub against what must never be.
func (r *rack) auditAll() {
	r.t.Helper()
	a := newAudit(r.t, r)
	for _, s := range r.watched.messages() {
		a.see(s)
	}
	for _, problem := range a.finish() {
		r.t.Error(problem)
	}
	if a.count.confirms < 6 {
		r.t.Errorf("the audit saw only %s", a.count)
	}
}

// copyFolder copies files with their modes, as a backup does.
func copyFolder(t testing.TB, from, to string) {
	t.Helper()
	must(t, filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		at := to + strings.TrimPrefix(path, from)
		if d.IsDir() {
			return os.Mkdir(at, info.Mode().Perm())
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(at, b, info.Mode().Perm())
	}))
}
