package jobs

import (
	"fmt"
	"time"
)

// State is where a job stands.
type State uint8

// The states of a job. A person is shown "running" for Started and "computed; waiting for …" for Committed.
const (
	Submitted State = iota + 1 // accepted and durable; no node has looked at it yet
	Waiting                    // the node's JOIN is open, or about to be
	Started                    // a sid runs; no CONFIRM has left this node
	Committed                  // opened and durable; the own CONFIRM may be out; waits for the others' notices
	Done                       // the result is released
	Failed                     // ended without a result; Problem says why
	Cancelled                  // ended because the caller asked for it
	Held                       // nothing has left for it: by the party's policy somebody has to approve it first
)

var stateNames = [...]string{Submitted: "submitted", Waiting: "waiting", Started: "started", Committed: "committed", Done: "done", Failed: "failed", Cancelled: "cancelled", Held: "held"}

// String is the state in lower case.
func (s State) String() string {
	if s.valid() {
		return stateNames[s]
	}
	return fmt.Sprintf("state(%d)", uint8(s))
}

func (s State) valid() bool { return s >= Submitted && s <= Held }

// Terminal says whether nothing leaves the state.
func (s State) Terminal() bool { return s >= Done && s <= Cancelled }

// moves is THE transition table. Its drawing is in the package documentation.
var moves = [...][]State{
	Submitted: {Held, Waiting, Failed, Cancelled},
	Held:      {Waiting, Failed, Cancelled},                           // Waiting: approved, or the rules ask for it no more; once denied: never
	Waiting:   {Waiting, Held, Started, Committed, Failed, Cancelled}, // Committed: it was started for a moment only
	Started:   {Committed, Waiting, Failed, Cancelled},
	Committed: {Done, Waiting, Failed},
	Done:      {},
	Failed:    {},
	Cancelled: {},
}

// CanMove says whether the table has the step.
func (s State) CanMove(to State) bool {
	if !s.valid() {
		return false
	}
	for _, t := range moves[s] {
		if t == to {
			return true
		}
	}
	return false
}

// MoveError is a step that the table does not have.
type MoveError struct{ From, To fmt.Stringer }

func (e *MoveError) Error() string {
	return fmt.Sprintf("no step leads from %s to %s", e.From, e.To)
}

// Move returns the job in another state, or a *MoveError where the table has no such step; a job that was denied ends, and
// does not go on. It also forgets what the new
// state must not keep, so that one write removes it: a job that ends loses its prepared input and its opened elements; a
// committed job that waits again loses the opened elements and salts of the attempt that nobody can complete, and its
// commit time. Store.Update then removes their bytes from the object store.
func (j Job) Move(to State) (Job, error) {
	if !j.State.CanMove(to) || to == Waiting && j.Approval.Verdict == Denied {
		return j, &MoveError{From: j.State, To: to}
	}
	j.State = to
	switch {
	case to.Terminal():
		j.Input, j.Opened, j.Waiting = Body{}, Body{}, nil
	case to == Waiting, to == Held:
		j.Opened, j.SID = Body{}, [32]byte{}
		j.CommittedAt, j.StartedAt = time.Time{}, time.Time{}
		j.Step, j.Steps = 0, 0
		if to == Held {
			j.Waiting = nil // for nobody but those who approve
		}
	}
	return j, nil
}
