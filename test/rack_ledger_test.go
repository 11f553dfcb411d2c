package test

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
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
	other, err := broker.NewKey()
	must(r.t, err)
	c := broker.Private(party, dir, identity.Secret(key), user.Public(), other.Public(), true)
	c.Logger = slog.New(slog.DiscardHandler)
	private, err := broker.Start(c)
	must(r.t, err)
	defer private.Shutdown()
	conn, err := private.Connect(user)
	must(r.t, err)
	defer conn.Close()
	ledger, err := private.Connect(other)
	must(r.t, err)
	defer ledger.Close()
	store, err := jobs.Open(r.t.Context(), conn, jobs.Options{Alone: true, Ledger: ledger, Logger: c.Logger})
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
// the clients were told: a party has one job of each computation, the one that its client knows, in the state that its
// client was told, and the ledgers agree.
func (s *slaughter) checkLedgers() ledgerCount {
	s.t.Helper()
	var count ledgerCount
	a, l := newAudit(s.t, s.r.rack), newLedgers()
	for _, party := range s.r.parties {
		all, lines := s.r.readStore(party)
		count.jobs, count.lines = count.jobs+len(all), count.lines+len(lines)
		if len(all) != len(s.parts) {
			s.t.Errorf("%s has %d jobs of %d computations", party, len(all), len(s.parts))
		}
		for _, line := range lines {
			l.line(party, line)
			for _, n := range line.Notices {
				if n != nil {
					count.notices++
					a.notice(party, n)
				}
			}
		}
		for _, j := range all {
			l.job(party, j)
			if p := s.parts[j.UUID][party]; p == nil || p.id != j.ID || j.State.String() != p.end.State {
				s.t.Errorf("%s has %s, which its client does not know so", party, j)
			}
		}
	}
	for _, problem := range append(l.finish(), a.problems...) {
		s.t.Error(problem)
	}
	return count
}

// ledgers are those of all parties, with their jobs, when all has ended. What must never be in them:
//
//   - a run that is done at one party and aborted at another, or is neither committed nor aborted;
//   - two runs of a computation that are done, or two results of a run to which parties have committed;
//   - a job that is done and its run is not, or the other way round.
//
// That nobody has signed CONFIRM and ABORT, or two CONFIRMs, of a run is for the audit of their notices.
type ledgers struct {
	lines    map[[32]byte]map[string]jobs.Line // by run and party
	done     map[uuid.UUID]map[[32]byte]bool   // runs that some party calls done, by computation
	jobs     map[string][]jobs.Job             // by party
	problems []string
}

func newLedgers() *ledgers {
	return &ledgers{lines: map[[32]byte]map[string]jobs.Line{}, done: map[uuid.UUID]map[[32]byte]bool{}, jobs: map[string][]jobs.Job{}}
}

func (l *ledgers) wrong(format string, args ...any) {
	l.problems = append(l.problems, fmt.Sprintf(format, args...))
}

func (l *ledgers) job(party string, j jobs.Job) { l.jobs[party] = append(l.jobs[party], j) }

func (l *ledgers) line(party string, line jobs.Line) {
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
}

// finish compares everything and returns what was wrong.
func (l *ledgers) finish() []string {
	for id, runs := range l.done {
		if len(runs) > 1 {
			l.wrong("computation %s has %d runs that are done", id, len(runs))
		}
		for sid := range runs {
			for party, line := range l.lines[sid] {
				if line.State == jobs.LineAborted || line.State == jobs.LinePeerAborted {
					l.wrong("run %x of computation %s is done at one party and %s at %s", sid[:4], id, line.State, party)
				}
			}
		}
	}
	for sid, by := range l.lines {
		l.agree(sid, by)
	}
	for party, all := range l.jobs {
		for _, j := range all {
			line := l.lines[j.SID][party]
			switch {
			case j.State == jobs.Done && line.State != jobs.LineDone:
				l.wrong("%s: %s under a run that is %s", party, j, line.State)
			case j.State != jobs.Done && l.doneAt(party, j.UUID):
				l.wrong("%s: %s, and a run of it is done there", party, j)
			}
		}
	}
	slices.Sort(l.problems)
	return l.problems
}

// agree compares the parties' lines of a run.
func (l *ledgers) agree(sid [32]byte, by map[string]jobs.Line) {
	var first *jobs.Line
	for party, line := range by {
		switch line.State {
		case jobs.LineStarted, jobs.LineCommitted:
			l.wrong("%s: run %x is still %s", party, sid[:4], line.State)
		case jobs.LineAborted:
			continue
		}
		if first == nil {
			first = &line
		} else if line.State != jobs.LineStarted && (first.TH != line.TH || first.RH != line.RH) {
			l.wrong("two parties have committed to different results of run %x", sid[:4])
		}
	}
}

// doneAt tells whether a party calls a run of a computation done.
func (l *ledgers) doneAt(party string, id uuid.UUID) bool {
	for sid := range l.done[id] {
		if l.lines[sid][party].State == jobs.LineDone {
			return true
		}
	}
	return false
}

func TestLedgersShowWhatMustNeverBe(t *testing.T) {
	id, one, two := uuid.New(), [32]byte{1}, [32]byte{2}
	at := func(state jobs.LineState, sid [32]byte, rh byte) jobs.Line {
		return jobs.Line{SID: sid, UUID: id, State: state, RH: [32]byte{rh}}
	}
	job := func(state jobs.State, sid [32]byte) jobs.Job { return jobs.Job{UUID: id, State: state, SID: sid} }
	for name, c := range map[string]struct {
		alice, bob []jobs.Line
		jobs       [2]jobs.Job
		want       string
	}{
		"all done":      {[]jobs.Line{at(jobs.LineDone, one, 1)}, []jobs.Line{at(jobs.LineDone, one, 1)}, [2]jobs.Job{job(jobs.Done, one), job(jobs.Done, one)}, ""},
		"again":         {[]jobs.Line{at(jobs.LineAborted, two, 0), at(jobs.LineDone, one, 1)}, []jobs.Line{at(jobs.LinePeerAborted, two, 3), at(jobs.LineDone, one, 1)}, [2]jobs.Job{job(jobs.Done, one), job(jobs.Done, one)}, ""},
		"not confirmed": {[]jobs.Line{at(jobs.LineDone, one, 1)}, []jobs.Line{at(jobs.LineFailed, one, 1)}, [2]jobs.Job{job(jobs.Done, one), job(jobs.Failed, one)}, ""},
		"done, aborted": {[]jobs.Line{at(jobs.LineDone, one, 1)}, []jobs.Line{at(jobs.LineAborted, one, 0)}, [2]jobs.Job{job(jobs.Done, one), job(jobs.Failed, one)}, "is done at one party and aborted at bob"},
		"two runs":      {[]jobs.Line{at(jobs.LineDone, one, 1), at(jobs.LineDone, two, 1)}, nil, [2]jobs.Job{job(jobs.Done, one), {}}, "has 2 runs that are done"},
		"two results":   {[]jobs.Line{at(jobs.LineDone, one, 1)}, []jobs.Line{at(jobs.LineDone, one, 2)}, [2]jobs.Job{job(jobs.Done, one), job(jobs.Done, one)}, "different results"},
		"left over":     {[]jobs.Line{at(jobs.LineStarted, one, 0)}, nil, [2]jobs.Job{job(jobs.Failed, one), {}}, "is still started"},
		"undone":        {[]jobs.Line{at(jobs.LineFailed, one, 1)}, nil, [2]jobs.Job{job(jobs.Done, one), {}}, "under a run that is failed"},
		"lost":          {[]jobs.Line{at(jobs.LineDone, one, 1)}, nil, [2]jobs.Job{job(jobs.Failed, one), {}}, "a run of it is done there"},
	} {
		l := newLedgers()
		for i, lines := range [][]jobs.Line{c.alice, c.bob} {
			party := []string{"alice", "bob"}[i]
			for _, line := range lines {
				l.line(party, line)
			}
			if c.jobs[i].State != 0 {
				l.job(party, c.jobs[i])
			}
		}
		problems := l.finish()
		if (c.want == "") != (len(problems) == 0) || !strings.Contains(strings.Join(problems, "\n"), c.want) {
			t.Errorf("%s: found %q, want %q", name, problems, c.want)
		}
	}
}
