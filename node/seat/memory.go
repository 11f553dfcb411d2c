package seat

import (
	"context"
	"sync"
	"time"

	"github.com/weftmpc/weft/jobs"
)

// mostMemory bounds the participants of all lines together; a line takes about 400 bytes for each.
const mostMemory = 1 << 17

// memory is a dealer's ledger: it lasts as long as the process.
//
// A party's ledger is durable because a party that has confirmed and forgets it may abort, and try again with new data what
// another one completes. A dealer cannot do that harm: it signs an ABORT only of a computation that runs in this process and
// that it has not confirmed, and it tries nothing again. After a restart it knows no computation and says nothing about any:
// its CONFIRM, if anybody has it, is passed on by the parties; a computation in which it had not finished dealing ends by the
// time-out and is tried again; and one whose every party waits for a CONFIRM that reached nobody fails as not confirmed. That
// takes a crash in the instant between its last message and its CONFIRM. The alternative, a store on disk with its key, its
// folder and its backups, would make of a coordinator that keeps nothing one that has to be looked after, for that instant.
type memory struct {
	now func() time.Time

	mu    sync.Mutex
	lines map[[32]byte]jobs.Line
	seats int
}

func newMemory(now func() time.Time) *memory {
	return &memory{now: now, lines: map[[32]byte]jobs.Line{}}
}

// full reports whether n more participants do not fit.
func (m *memory) full(n int) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.seats+n > mostMemory
}

// CreateLine implements Ledger.
func (m *memory) CreateLine(_ context.Context, l jobs.Line) (jobs.Line, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.lines[l.SID]; ok {
		return jobs.Line{}, jobs.ErrExists
	}
	l.Revision = 1
	m.lines[l.SID] = l
	m.seats += len(l.Participants)
	return l, nil
}

// UpdateLine implements Ledger.
func (m *memory) UpdateLine(_ context.Context, l jobs.Line) (jobs.Line, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	old, ok := m.lines[l.SID]
	switch {
	case !ok:
		return jobs.Line{}, jobs.ErrNotFound
	case old.Revision != l.Revision:
		return jobs.Line{}, jobs.ErrConflict
	case old.State != l.State && !old.State.CanMove(l.State):
		return jobs.Line{}, &jobs.MoveError{From: old.State, To: l.State}
	}
	l.Revision++
	m.lines[l.SID] = l
	return l, nil
}

// Line implements Ledger.
func (m *memory) Line(_ context.Context, sid [32]byte) (jobs.Line, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l, ok := m.lines[sid]
	if !ok {
		return jobs.Line{}, jobs.ErrNotFound
	}
	return l, nil
}

// Lines implements Ledger. What it holds is of this process, which has nothing to recover.
func (m *memory) Lines(context.Context) ([]jobs.Line, error) { return nil, nil }

// sweep forgets lines that nobody asks about any more.
func (m *memory) sweep() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for sid, l := range m.lines {
		if m.now().After(l.Until.Add(time.Minute)) {
			m.seats -= len(l.Participants)
			delete(m.lines, sid)
		}
	}
}
