package test

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"testing"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/broker"
	"github.com/weftmpc/weft/broker/identity"
	"github.com/weftmpc/weft/jobs"
)

func decode(b []byte, v any) error {
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%w: %s", err, b)
	}
	return nil
}

// ledgerCount is how much was checked.
type ledgerCount struct{ jobs, lines, notices int }

// readStore opens the store of a party whose process has ended, as its next process would, and reads all jobs and lines.
func (r *rack) readStore(party string) ([]jobs.Job, []jobs.Line) {
	r.t.Helper()
	dir := r.path(party, "state")
	secret, err := os.ReadFile(r.path(party, "state", "state.key"))
	must(r.t, err)
	key, err := hkdf.Key(sha256.New, secret, nil, "weft/v1/state/jetstream", 32)
	must(r.t, err)
	user, err := broker.NewKey()
	must(r.t, err)
	c := broker.Private(party, dir, identity.Secret(key), user.Public(), true)
	c.Logger = slog.New(slog.DiscardHandler)
	private, err := broker.Start(c)
	must(r.t, err)
	defer private.Shutdown()
	conn, err := private.Connect(user)
	must(r.t, err)
	defer conn.Close()
	store, err := jobs.Open(r.t.Context(), conn, jobs.Options{Alone: true, Logger: c.Logger})
	must(r.t, err)
	defer store.Close()
	for _, damaged := range store.Unreadable() {
		r.t.Errorf("%s: %v", party, damaged)
	}
	all, err := store.List(r.t.Context(), "")
	must(r.t, err)
	lines, err := store.Lines(r.t.Context())
	must(r.t, err)
	return all, lines
}

// checkLedgers reads the stores of all parties, whose processes have ended, and compares them with each other and with what
// the clients were told:
//
//   - a party has one job of each computation, the one that its client knows, in the state that its client was told;
//   - a job is done under a run that the ledger calls done, the same at all parties, and no other run of the computation is;
//   - a run that is done at one party is aborted at none;
//   - no party has signed CONFIRM and ABORT of one run, or two different CONFIRMs, and all CONFIRMs of a run are equal.
func (s *slaughter) checkLedgers() ledgerCount {
	s.t.Helper()
	var count ledgerCount
	a := newAudit(s.t, s.r)
	l := ledgers{t: s.t, lines: map[[32]byte]map[string]jobs.Line{}, done: map[uuid.UUID]map[[32]byte]bool{}}
	for _, party := range s.r.parties {
		all, lines := s.r.readStore(party)
		count.jobs += len(all)
		for _, line := range lines {
			count.lines++
			count.notices += l.add(a, party, line)
		}
		if len(all) != len(s.parts) {
			s.t.Errorf("%s has %d jobs of %d computations", party, len(all), len(s.parts))
		}
		for _, j := range all {
			p := s.parts[j.UUID][party]
			if p == nil || p.id != j.ID || j.State.String() != p.end.State {
				s.t.Errorf("%s has %s, which its client does not know so", party, j)
			}
			if j.State == jobs.Done && l.lines[j.SID][party].State != jobs.LineDone {
				s.t.Errorf("%s: %s under a run that is %s", party, j, l.lines[j.SID][party].State)
			}
			if j.State != jobs.Done && len(l.done[j.UUID]) > 0 && l.doneAt(party, j.UUID) {
				s.t.Errorf("%s: %s, and a run of it is done there", party, j)
			}
		}
	}
	l.check()
	for _, problem := range a.problems {
		s.t.Error(problem)
	}
	return count
}

// ledgers are those of all parties.
type ledgers struct {
	t     testing.TB
	lines map[[32]byte]map[string]jobs.Line // by run and party
	done  map[uuid.UUID]map[[32]byte]bool   // runs that some party calls done, by computation
}

// add takes a line in, checks the notices in it, and returns how many there are.
func (l ledgers) add(a *audit, party string, line jobs.Line) (notices int) {
	if l.lines[line.SID] == nil {
		l.lines[line.SID] = map[string]jobs.Line{}
	}
	l.lines[line.SID][party] = line
	if line.State == jobs.LineDone {
		if l.done[line.UUID] == nil {
			l.done[line.UUID] = map[[32]byte]bool{}
		}
		l.done[line.UUID][line.SID] = true
	}
	for _, n := range line.Notices {
		if n != nil {
			notices++
			a.notice(party, n)
		}
	}
	return notices
}

// doneAt tells whether a party calls a run of a computation done.
func (l ledgers) doneAt(party string, id uuid.UUID) bool {
	for sid := range l.done[id] {
		if l.lines[sid][party].State == jobs.LineDone {
			return true
		}
	}
	return false
}

// check compares the parties' lines.
func (l ledgers) check() {
	for id, runs := range l.done {
		if len(runs) > 1 {
			l.t.Errorf("computation %s has %d runs that are done", id, len(runs))
		}
		for sid := range runs {
			for party, line := range l.lines[sid] {
				if line.State == jobs.LineAborted || line.State == jobs.LinePeerAborted {
					l.t.Errorf("run %x of computation %s is done at one party and %s at %s", sid[:4], id, line.State, party)
				}
			}
		}
	}
	for sid, by := range l.lines {
		var first *jobs.Line
		for party, line := range by {
			if line.State == jobs.LineStarted {
				l.t.Errorf("%s: run %x is neither committed nor aborted", party, sid[:4])
			}
			if line.State != jobs.LineCommitted && line.State != jobs.LineDone {
				continue
			}
			if first == nil {
				first = &line
			} else if first.TH != line.TH || first.RH != line.RH {
				l.t.Errorf("two parties have committed to different results of run %x", sid[:4])
			}
		}
	}
}
