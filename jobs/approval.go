package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// Verdict is what somebody has decided about a held job.
type Verdict uint8

// The verdicts; zero: nobody has decided.
const (
	Approved Verdict = iota + 1
	Denied
)

// String is the verdict in lower case.
func (v Verdict) String() string {
	switch v {
	case 0:
		return "undecided"
	case Approved:
		return "approved"
	case Denied:
		return "denied"
	}
	return fmt.Sprintf("verdict(%d)", uint8(v))
}

// Approval is what a held job waits for. The node writes who may decide, so that whoever serves the request of one who
// decides needs nothing but the record; Store.Decide writes the rest, once.
type Approval struct {
	Since    time.Time // when the job was held first; zero: never
	ByCaller bool      // the job's own caller may decide, too
	Verdict  Verdict
	By       string    // who has decided; at most 256 bytes
	At       time.Time // when
	Reason   string    // in their words, for the job's caller; at most MaxReason bytes
}

// MaxReason is how many bytes of UTF-8 somebody who decides may give as a reason.
const MaxReason = 1 << 10

// Errors of Decide.
var (
	ErrNotHeld = errors.New("the job does not wait for an approval")
	ErrOwnJob  = errors.New("nobody decides about a job of their own here: somebody else with the role has to")
	ErrDecided = errors.New("somebody else has decided otherwise before")
	ErrAnother = errors.New("the job is not the one that was looked at: it was held at another time")
)

// Decide approves or denies a held job in the name of by. The first decision counts: the same one again, whoever makes it,
// returns the job as it is, another one is ErrDecided. ErrNotHeld: the job does not wait for one, as when it has ended, is
// being cancelled, or its deadline has passed. ErrOwnJob: by is the job's caller, who may not.
//
// What was decided is durable when Decide returns; the node acts on it, now or after its next start. Of a denial and a
// cancellation at once one takes place; the other then finds a job that ends.
func (s *Store) Decide(ctx context.Context, id uuid.UUID, v Verdict, by, reason string) (Job, error) {
	return s.DecideSince(ctx, id, time.Time{}, v, by, reason)
}

// DecideSince is Decide for who has looked at the job before, which was held since then: ErrAnother where it was held at
// another time. Its caller can delete a job, and may then ask for something else under the same id. The zero time is any.
func (s *Store) DecideSince(ctx context.Context, id uuid.UUID, since time.Time, v Verdict, by, reason string) (Job, error) {
	if v != Approved && v != Denied || by == "" || len(by) > maxCaller || len(reason) > MaxReason {
		return Job{}, errors.New("deciding about a job: a verdict, who makes it, and a short reason are needed")
	}
	j, err := s.Change(ctx, id, func(j Job) (Job, error) {
		a := &j.Approval
		switch {
		case a.Since.IsZero():
			return j, ErrNotHeld
		case !since.IsZero() && !since.Equal(a.Since):
			return j, ErrAnother
		case by == j.Caller && !a.ByCaller:
			return j, ErrOwnJob
		case a.Verdict == v:
			return j, errAsIs
		case a.Verdict != 0:
			return j, ErrDecided
		case j.State != Held || j.CancelRequested || !s.o.Now().Before(j.Deadline):
			return j, ErrNotHeld
		}
		a.Verdict, a.By, a.At, a.Reason = v, by, s.o.Now().UTC(), reason
		return j, nil
	})
	switch {
	case errors.Is(err, errAsIs):
		return j, nil
	case err != nil:
		return j, fmt.Errorf("deciding about job %s: %w", id, err)
	}
	return j, nil
}

// approvalAllows says whether next may replace j as far as its approval goes: only a held job is decided about, a decision
// is final, and a job that was denied does not go on.
func (j Job) approvalAllows(next Job) error {
	was, is := j.Approval, next.Approval
	switch {
	case was.Verdict != 0 && was != is, was.Verdict == 0 && is.Verdict != 0 && (j.State != Held || next.State != Held):
		return ErrDecided
	case was.Verdict == Denied && next.State != Held && !next.State.Terminal():
		return &MoveError{From: j.State, To: next.State}
	}
	return nil
}
