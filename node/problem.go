package node

import (
	"errors"
	"strings"

	"github.com/weftmpc/weft/jobs"
	"github.com/weftmpc/weft/node/policy"
	"github.com/weftmpc/weft/node/seat"
	"github.com/weftmpc/weft/node/session"
	"github.com/weftmpc/weft/simon"
)

// problem is what the job's record says of an error.
func problem(err error) *jobs.Problem {
	var (
		own      *jobError
		denied   *denial
		refusal  *policy.Refusal
		conflict *seat.Conflict
		timeout  *session.TimeoutError
		cheat    *session.EquivocationError
		aborted  *seat.AbortedError
		open     *seat.NotConfirmedError
		input    *simon.InputError
		outcome  *simon.OutcomeError
	)
	p := func(code int, reason string) *jobs.Problem {
		return &jobs.Problem{Code: code, Reason: reason, Message: err.Error()}
	}
	switch {
	case errors.Is(err, errCancelled):
		return &jobs.Problem{Code: 409, Reason: "cancelled", Message: "cancelled by the caller"}
	case errors.Is(err, errReplaced):
		return p(409, "replaced")
	case errors.As(err, &denied):
		return p(403, "denied")
	case errors.As(err, &own):
		return p(own.code, own.reason)
	case errors.Is(err, jobs.ErrTooLarge):
		return &jobs.Problem{Code: 507, Reason: "too-large", Message: "the result is too large to store: ask for less of it, such as fewer columns, categories or times (" + err.Error() + ")"}
	case errors.Is(err, session.ErrMemory):
		return &jobs.Problem{Code: 507, Reason: "too-large", Message: "the messages of this computation are too large for so many parties: ask for less, such as fewer columns, categories or times"}
	case errors.As(err, &refusal):
		return p(403, "policy")
	case errors.As(err, &conflict):
		return p(409, "conflict")
	case errors.As(err, &cheat):
		return p(502, "equivocation")
	case errors.As(err, &timeout):
		return &jobs.Problem{Code: 504, Reason: "timeout", Message: timeout.Error()}
	case errors.As(err, &outcome):
		return &jobs.Problem{Code: 400, Reason: "outcome", Message: outcome.Error()}
	case errors.As(err, &input):
		return p(400, "input")
	case errors.As(err, &open):
		return p(504, "not-confirmed")
	case errors.As(err, &aborted) && aborted.Code == seat.CodeDenied:
		return p(502, "denied")
	case errors.As(err, &aborted):
		return p(502, "peer")
	}
	return p(500, "internal")
}

// jobError is an end that needs no type of its own.
type jobError struct {
	code   int
	reason string
	text   string
}

func (e *jobError) Error() string { return e.text }

func names(list []string) string { return strings.Join(list, ", ") }
