package session

import (
	"errors"
	"fmt"
	"strings"
)

var (
	// ErrClosed ends every operation of a session that was closed.
	ErrClosed = errors.New("session: closed")
	// ErrMemory ends a computation that would hold more bytes than Config.Memory allows.
	ErrMemory = errors.New("session: the messages of this computation exceed the memory of a session: raise the limit or send smaller vectors")
	// ErrMisuse is wrapped by errors that a protocol's code is to blame for, not a peer: a label used twice, a call left open.
	ErrMisuse = errors.New("session: protocol error")
)

// TimeoutError says whose messages did not come in time.
type TimeoutError struct {
	Seats []int    // ascending
	Names []string // of Seats
	Label string   // the step that waited for them, for people
}

func (e *TimeoutError) Error() string {
	if len(e.Names) == 0 {
		return "session: the computation did not end in time (" + e.Label + ")"
	}
	return fmt.Sprintf("session: no message of %s came in time (%s): see that their nodes run and are connected",
		strings.Join(e.Names, ", "), e.Label)
}

// EquivocationError says that a party sent different bodies for one step, or that its transcript is not ours, in which
// case somebody did.
type EquivocationError struct {
	Seat   int
	Name   string
	Reason string
}

func (e *EquivocationError) Error() string { return fmt.Sprintf("session: %s: %s", e.Name, e.Reason) }

func misuse(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMisuse, fmt.Sprintf(format, args...))
}
