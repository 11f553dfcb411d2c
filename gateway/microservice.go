package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"unicode"

	"github.com/weftmpc/weft/gateway/representation"
	"github.com/weftmpc/weft/jobs"
)

// microservice is a program beside the gateway as a Service.
type microservice struct {
	name string
	announcement
	of    *microservices
	calls *memory
}

// Description implements Service.
func (s *microservice) Description() representation.Description { return s.description }

// Members implements Service.
func (s *microservice) Members() []Member { return s.members }

var errServiceLate = errors.New("the microservice takes too long")

// Invoke implements Service: it sends the caller's name and the arguments, and what comes back is data and nothing else.
// Whether the service is listed does not matter, so one that is back is called before it is found again.
func (s *microservice) Invoke(ctx context.Context, c Call) (Answer, error) {
	body, err := s.encode(ctx, c)
	if err != nil {
		return Answer{}, err
	}
	g := s.of.gateway
	for _, places := range [...]*memory{s.calls, s.of.calls} {
		place := &loan{of: places, ends: g.draining}
		if err := place.take(ctx, 1); err != nil {
			if err == errBusyMemory { //nolint:errorlint // exactly this value
				err = busy(fmt.Sprintf("the microservice %s has as many calls under way as this gateway allows; send this one again in a moment", s.name))
			}
			return Answer{}, err
		}
		defer place.giveBack()
	}
	calling, cancel := context.WithTimeoutCause(ctx, g.config.ServiceTime, errServiceLate)
	defer cancel()
	calling, stop := context.WithCancelCause(calling)
	defer stop(nil)
	defer context.AfterFunc(g.draining, func() { stop(errDraining) })()
	value, err := s.of.via.Call(calling, s.name, c.Member, body)
	if err != nil {
		return Answer{}, s.problem(calling, ctx, c.Member, err)
	}
	if len(value) > s.of.via.Limit() {
		return Answer{}, fail(http.StatusBadGateway, "microservice", "the microservice %s answered with more than %d bytes; whoever keeps it has to mend that", s.name, s.of.via.Limit())
	}
	if len(value) == 0 {
		return Answer{}, nil
	}
	if err := c.request.loan.take(ctx, int64(len(value))); err != nil {
		return Answer{}, err
	}
	if representation.Check(value) != nil {
		return Answer{}, fail(http.StatusBadGateway, "microservice", "the microservice %s answered with something else than one JSON value; whoever keeps it has to mend that", s.name)
	}
	return Answer{Value: value}, nil
}

// encode is the body of a call: {"caller":"token:anna","kwargs":{"codes":["E11.9"]}}.
func (s *microservice) encode(ctx context.Context, c Call) ([]byte, error) {
	signature := s.signature(c.Member)
	before, after := `{"caller":`+string(mustJSON(c.Caller))+`,"kwargs":{`, `}}`
	size, limit := int64(len(before)+len(after)), int64(s.of.via.Limit())
	for i, p := range signature.Parameters {
		size += int64(len(p.Name) + len(c.Args[i]) + 4)
	}
	if size > limit {
		return nil, fail(http.StatusRequestEntityTooLarge, "too-large", "the arguments, with what representations among them stand for, take %d bytes, and a call of the microservice %s may take %d; send them in parts", size, s.name, limit)
	}
	if err := c.request.loan.take(ctx, size); err != nil {
		return nil, err
	}
	b := bytes.NewBuffer(make([]byte, 0, size))
	b.WriteString(before)
	comma := ""
	for i, p := range signature.Parameters {
		if c.Args[i] != nil {
			b.WriteString(comma + `"` + p.Name + `":`)
			b.Write(c.Args[i])
			comma = ","
		}
	}
	b.WriteString(after)
	return b.Bytes(), nil
}

func (s *microservice) signature(member string) representation.Signature {
	for _, m := range s.members {
		if m.Name == member {
			return m.Signature
		}
	}
	panic("gateway: a call of a member that the microservice does not have")
}

// problem is the answer to a call that has failed. What a service says is shown as its words where it refuses the caller's
// arguments; of its own defects the client learns no more than that.
func (s *microservice) problem(calling, ctx context.Context, member string, err error) error {
	var refused *Refused
	switch cause := context.Cause(calling); {
	case errors.As(err, &refused):
		return s.refusal(refused)
	case errors.Is(err, ErrNotRunning):
		return s.away()
	case cause == errServiceLate: //nolint:errorlint // exactly this value
		return fail(http.StatusGatewayTimeout, "microservice-late", "the microservice %s has not answered within %v; whoever keeps it sees why", s.name, s.of.gateway.config.ServiceTime)
	case cause == errDraining: //nolint:errorlint // exactly this value
		return errDraining
	case ctx.Err() != nil:
		return ctx.Err()
	case jobs.IsAway(err): // it is not the service that is away, but the broker between
		return err
	}
	s.of.log.Warn("gateway: a microservice cannot be called", "service", s.name, "member", member, "error", err)
	return s.away()
}

func (s *microservice) away() *Error {
	return comingBack(fail(http.StatusServiceUnavailable, "microservice-away", "the microservice %s does not run at present; whoever keeps it starts it, and this representation is good again then", s.name))
}

// passed are the codes of a service's refusal that the client gets as they are. Others below 500 become 400: a 401 would
// have a client doubt its credential.
var passed = []int{http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound, http.StatusConflict, http.StatusRequestEntityTooLarge, http.StatusTooManyRequests}

// refusal is the answer to a call that the service refuses.
func (s *microservice) refusal(r *Refused) *Error {
	if r.Code < 400 || r.Code > 499 {
		return fail(http.StatusBadGateway, "microservice", "the microservice %s has failed; whoever keeps it finds the reason in its log", s.name)
	}
	code := http.StatusBadRequest
	for _, c := range passed {
		if c == r.Code {
			code = c
		}
	}
	e := fail(code, "microservice-refused", "the microservice %s says: %s", s.name, oneLine(r.Text))
	if code == http.StatusTooManyRequests {
		e.retry = 2
	}
	return e
}

// oneLine is at most 300 characters of a text, in one line and without what a terminal would obey.
func oneLine(text string) string {
	const most = 300
	var b strings.Builder
	n := 0
	for _, r := range text[:min(len(text), 4*most)] {
		if n++; n > most {
			b.WriteString("…")
			break
		}
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			r = ' '
		}
		b.WriteRune(r)
	}
	if t := strings.TrimSpace(b.String()); t != "" {
		return t
	}
	return "nothing about the reason"
}
