package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/weftmpc/weft/gateway/representation"
	"github.com/weftmpc/weft/jobs"
	"github.com/weftmpc/weft/jobs/objects"
	"github.com/weftmpc/weft/simon"
)

// Error is an answer that is no success. Its message is for the person at the client: it names what was wrong and what to
// do, and never a value of the data.
type Error struct {
	Code    int    // HTTP status
	Reason  string // one word for programs, like unknown-node
	Field   string // which part of the request, like network.nodes[1]; may be empty
	Message string

	instance string // path of the job that it is about; may be empty
	retry    int    // seconds after which to send the request again (Retry-After); 0: not said
	cause    error  // for the log only
}

func (e *Error) Error() string { return e.Message }

// Unwrap is the cause that only the log sees.
func (e *Error) Unwrap() error { return e.cause }

func fail(code int, reason, format string, args ...any) *Error {
	return &Error{Code: code, Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// invalid is a 400 about one field of the request; the message begins with the field.
func invalid(field, format string, args ...any) *Error {
	return &Error{Code: http.StatusBadRequest, Reason: "invalid-" + lastName(field), Field: field, Message: field + ": " + fmt.Sprintf(format, args...)}
}

// lastName is nodes of network.nodes[3].
func lastName(field string) string {
	end := len(field)
	for i := len(field) - 1; i >= 0; i-- {
		switch field[i] {
		case '[':
			end = i
		case '.':
			return field[i+1 : end]
		}
	}
	return field[:end]
}

var (
	errDraining = comingBack(fail(http.StatusServiceUnavailable, "draining", "this gateway is shutting down; the job goes on, ask again in a moment"))
	errAway     = comingBack(fail(http.StatusServiceUnavailable, "away", "this party's node, which keeps jobs and objects, does not answer at present; what was accepted is not lost, ask again in a moment"))
	errWaited   = errors.New("the wait is over")

	errHalfClosed = fail(http.StatusBadRequest, "client-gone", "the client closed its side of the connection before the answer was ready; keep it open until the answer has come, and look whether the request was carried out")
)

// asError is the one table from errors to answers.
func asError(err error) *Error {
	var (
		own     *Error
		input   *simon.InputError
		syntax  *representation.SyntaxError
		tooLong *http.MaxBytesError
	)
	switch {
	case errors.As(err, &own):
		return own
	case errors.As(err, &input):
		return &Error{Code: http.StatusBadRequest, Reason: "invalid-input", Field: input.Path, Message: input.Error()}
	case errors.As(err, &syntax):
		return fail(http.StatusBadRequest, "bad-json", "%s", syntax.Error())
	case errors.As(err, &tooLong):
		return tooLarge(tooLong.Limit)
	case errors.Is(err, jobs.ErrNotFound), errors.Is(err, objects.ErrNotFound):
		return fail(http.StatusNotFound, "unknown", "there is no such object here; it may have been deleted or have expired")
	case errors.Is(err, jobs.ErrCommitted):
		return fail(http.StatusConflict, "committed", "%s", jobs.ErrCommitted)
	case errors.Is(err, jobs.ErrActive):
		return fail(http.StatusConflict, "active", "%s", jobs.ErrActive)
	case errors.Is(err, jobs.ErrNotHeld):
		return fail(http.StatusConflict, "not-held", "%s: it has ended, goes on, or its deadline has passed", jobs.ErrNotHeld)
	case errors.Is(err, jobs.ErrAnother):
		return fail(http.StatusConflict, "not-held", "%s; look at it again", jobs.ErrAnother)
	case errors.Is(err, jobs.ErrDecided):
		return fail(http.StatusConflict, "decided", "%s", jobs.ErrDecided)
	case errors.Is(err, jobs.ErrOwnJob):
		return fail(http.StatusForbidden, "own-job", "%s", jobs.ErrOwnJob)
	case errors.Is(err, jobs.ErrConflict), errors.Is(err, objects.ErrConflict):
		return fail(http.StatusConflict, "changed", "two requests changed the same object at once; send this one again")
	case errors.Is(err, jobs.ErrTooMany):
		return fail(http.StatusTooManyRequests, "too-many", "%s", jobs.ErrTooMany)
	case errors.Is(err, objects.ErrTooMany):
		return fail(http.StatusTooManyRequests, "too-many", "%s", objects.ErrTooMany)
	case errors.Is(err, jobs.ErrTooLarge):
		return fail(http.StatusRequestEntityTooLarge, "too-large", "the data is too large for a job of this gateway")
	case errors.Is(err, jobs.ErrFull):
		return fail(http.StatusInsufficientStorage, "full", "this gateway has no disk space left; nothing was stored, and its operator has to make room")
	case errors.Is(err, jobs.ErrClosed), errors.Is(err, objects.ErrClosed):
		return errDraining
	case jobs.IsAway(err):
		return &Error{Code: http.StatusServiceUnavailable, Reason: "away", Message: errAway.Message, retry: errAway.retry, cause: err}
	case errors.Is(err, context.Canceled):
		return &Error{Code: statusClientGone, Reason: "client-gone", Message: "the client has gone", cause: err}
	}
	return &Error{Code: http.StatusInternalServerError, Reason: "internal", Message: "something failed in this gateway; its log says what", cause: err}
}

// statusClientGone never leaves the process: it stands for a client that has gone in the log of who did what.
const statusClientGone = 499

func tooLarge(limit int64) *Error {
	return fail(http.StatusRequestEntityTooLarge, "too-large", "the body is larger than the %d bytes that this gateway accepts", limit)
}

// writeError answers with {"code","message"} on the representation API and with problem details (RFC 9457) under /v1.
func writeError(w http.ResponseWriter, v1 bool, e *Error) {
	var body []byte
	if v1 {
		w.Header().Set("Content-Type", "application/problem+json")
		body = mustJSON(problemFrom(e))
	} else {
		w.Header().Set("Content-Type", "application/json")
		body = mustJSON(wireError{e.Code, e.Message})
	}
	if e.retry > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(e.retry))
	}
	w.WriteHeader(e.Code)
	_, _ = w.Write(body) // an error here is the client's absence
}

type wireError struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

// mustJSON encodes our own structs, which hold nothing that could fail.
func mustJSON(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // people read these texts as they are; the content type keeps browsers from seeing HTML in them
	if err := e.Encode(v); err != nil {
		panic("gateway: " + err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
