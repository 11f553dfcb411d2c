package jobs

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/jobs/internal/mirror"
)

// LineKept is how long a line answers for its sid, whatever becomes of the job. The bucket holds it an hour longer.
const LineKept = 24 * time.Hour

// ErrLineChanged is an update that contradicts what a line has promised.
var ErrLineChanged = errors.New("a ledger line's participants, its hashes once committed, and its notices once received do not change")

// LineState is where one sid stands in the ledger.
type LineState uint8

// The states of a line.
const (
	LineStarted     LineState = iota + 1 // bodies of the sid may have left; no CONFIRM has
	LineCommitted                        // the own CONFIRM may have left; this node never aborts the sid
	LineAborted                          // this node never confirms the sid
	LineDone                             // all have confirmed
	LinePeerAborted                      // a participant aborted after the own commit
	LineFailed                           // not confirmed in time, or a participant is convicted
)

var lineNames = [...]string{
	LineStarted: "started", LineCommitted: "committed", LineAborted: "aborted", LineDone: "done", LinePeerAborted: "peer-aborted", LineFailed: "failed",
}

// String is the state in lower case.
func (s LineState) String() string {
	if s.valid() {
		return lineNames[s]
	}
	return fmt.Sprintf("line state(%d)", uint8(s))
}

func (s LineState) valid() bool { return s >= LineStarted && s <= LineFailed }

// lineMoves is the ledger's transition table.
var lineMoves = [...][]LineState{
	LineStarted:     {LineCommitted, LineAborted},
	LineCommitted:   {LineDone, LinePeerAborted, LineFailed},
	LineAborted:     {},
	LineDone:        {},
	LinePeerAborted: {},
	LineFailed:      {},
}

// CanMove says whether the table has the step.
func (s LineState) CanMove(to LineState) bool {
	return s.valid() && slices.Contains(lineMoves[s], to)
}

// Participant is one seat of a sid, as far as its notices need it.
type Participant struct {
	FP   [32]byte // fingerprint
	Key  [32]byte // Ed25519 public key
	Name string   // at most 63 bytes
}

// Line is the ledger's line of one sid. It outlives the job. As with a Job, slices of a stored Line are replaced, never
// written into.
type Line struct {
	SID          [32]byte
	Job, UUID    uuid.UUID
	Own          [32]byte // hash of the own JOIN
	State        LineState
	Self         int // own seat
	Parties      int // how many of Participants are parties, the first ones; helpers follow
	Participants []Participant
	Recipients   []int
	TH, RH       [32]byte  // transcript and result hash, from LineCommitted on
	Notices      [][]byte  // raw, by seat, nil where missing; empty while there are none; at most 512 bytes each
	Until        time.Time // until when missing notices are asked for
	Kept         time.Time // until when the line answers for its sid; zero at CreateLine: LineKept from then
	Revision     uint64    // of the record this Line was read from; not part of it
}

// Move returns the line in another state, or a *MoveError where the table has no such step.
func (l Line) Move(to LineState) (Line, error) {
	if !l.State.CanMove(to) {
		return l, &MoveError{From: l.State, To: to}
	}
	l.State = to
	return l, nil
}

func lineKey(sid [32]byte) string { return hex.EncodeToString(sid[:]) }

// CreateLine writes the line of a new sid, in state LineStarted. ErrExists: the sid has a line. It is durable when
// CreateLine returns; no body of the sid may leave before that. After another error it may have been written.
func (s *Store) CreateLine(ctx context.Context, l Line) (Line, error) {
	if l.State != LineStarted {
		return Line{}, fmt.Errorf("creating the ledger line of %s: %w", lineKey(l.SID), &MoveError{From: LineState(0), To: l.State})
	}
	if l.Kept.IsZero() {
		l.Kept = s.o.Now().Add(LineKept).UTC()
	}
	b, err := l.encode(s.o.Version)
	if err == nil {
		l, err = s.sids.Create(ctx, lineKey(l.SID), b)
	}
	if err != nil {
		return Line{}, fmt.Errorf("creating a ledger line: %w", known(err))
	}
	return l, nil
}

// UpdateLine writes a changed line over the revision that was read, ErrConflict if there is a newer one. Another state
// must be a step of the table, else *MoveError. In any state notices may be added, never taken back (ErrLineChanged).
func (s *Store) UpdateLine(ctx context.Context, l Line) (Line, error) {
	key := lineKey(l.SID)
	old, err := s.line(ctx, key, l.Revision)
	if err == nil {
		err = old.mayBecome(l)
	}
	var b []byte
	if err == nil {
		b, err = l.encode(s.o.Version)
	}
	if err == nil {
		l, err = s.sids.Update(ctx, key, b, l.Revision)
	}
	if err != nil {
		return Line{}, fmt.Errorf("updating the ledger line of %s: %w", key, known(err))
	}
	return l, nil
}

// line returns the line at exactly the given revision.
func (s *Store) line(ctx context.Context, key string, revision uint64) (Line, error) {
	e, err := s.sids.Load(ctx, key)
	if err == nil && e.Revision < revision {
		e, err = s.sids.Fetch(ctx, key)
	}
	switch {
	case err != nil:
		return Line{}, err
	case e.Err != nil:
		return Line{}, e.Err
	case e.Revision != revision:
		return Line{}, mirror.ErrConflict
	}
	return e.Value, nil
}

// mayBecome says whether l may follow as the next revision: the table, and what a line has promised.
func (l Line) mayBecome(next Line) error {
	if next.State != l.State && !l.State.CanMove(next.State) {
		return &MoveError{From: l.State, To: next.State}
	}
	if !l.sameComputation(next) || next.Kept.Before(l.Kept) || (l.State != LineStarted && (next.TH != l.TH || next.RH != l.RH)) {
		return ErrLineChanged
	}
	for seat, n := range l.Notices {
		if n != nil && (seat >= len(next.Notices) || !bytes.Equal(n, next.Notices[seat])) {
			return ErrLineChanged
		}
	}
	return nil
}

// Line returns the line of a sid from the local copy. ErrNotFound: the ledger has none. Any other error means that a
// line may exist: a node then stays silent about the sid, and signs nothing.
func (s *Store) Line(ctx context.Context, sid [32]byte) (Line, error) {
	e, err := s.sids.Load(ctx, lineKey(sid))
	if err == nil {
		err = e.Err
	}
	if err != nil {
		return Line{}, fmt.Errorf("ledger line of %s: %w", lineKey(sid), known(err))
	}
	return e.Value, nil
}

// Lines returns all readable lines, oldest write first.
func (s *Store) Lines(context.Context) ([]Line, error) {
	var out []Line
	s.sids.Each(func(_ string, e *mirror.Entry[Line]) {
		if e.Err == nil {
			out = append(out, e.Value)
		}
	})
	slices.SortFunc(out, func(a, b Line) int { return cmp.Compare(a.Revision, b.Revision) })
	return out, nil
}
