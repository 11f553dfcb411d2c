package jobs

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// LineState is where one sid stands in the ledger.
type LineState uint8

const (
	LineStarted     LineState = iota + 1 // bodies of the sid may have left; no CONFIRM has
	LineCommitted                        // the own CONFIRM may have left
	LineAborted                          // this node will never confirm the sid
	LineDone                             // all confirmed
	LinePeerAborted                      // a participant aborted after the own commit
	LineFailed                           // not confirmed in time, or convicted
)

// Participant is one seat of a sid, as far as its notices need it.
type Participant struct {
	FP   [32]byte // fingerprint
	Key  [32]byte // Ed25519 public key
	Name string   // at most 63 bytes
}

// Line is the ledger's line of one sid. It outlives the job.
type Line struct {
	SID          [32]byte
	Job, UUID    uuid.UUID
	Own          [32]byte // hash of the own JOIN
	State        LineState
	Self         int
	Parties      int // the first of Participants; helpers follow
	Participants []Participant
	Recipients   []int
	TH, RH       [32]byte
	Notices      [][]byte  // raw notices by seat; nil: missing
	Until        time.Time // until when missing notices are asked for
	Kept         time.Time // until when the line answers for its sid; zero at CreateLine: 24 h from then
	Revision     uint64    // of the record this Line was read from; not part of it
}

// Move returns the line in another state, or a *MoveError.
func (l Line) Move(to LineState) (Line, error) { panic("todo") }

func (s *Store) CreateLine(ctx context.Context, l Line) (Line, error) { panic("todo") }
func (s *Store) UpdateLine(ctx context.Context, l Line) (Line, error) { panic("todo") }
func (s *Store) Line(ctx context.Context, sid [32]byte) (Line, error) { panic("todo") }
func (s *Store) Lines(ctx context.Context) ([]Line, error)            { panic("todo") }
