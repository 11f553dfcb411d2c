package gateway

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/weftmpc/weft/simon"
)

// A request with a file that is refused tells something about the file: whether all its values are among those that the
// parameters name. So each caller may be refused only so often.
const (
	mostRefusals = 20               // of a caller's requests with a file, in refusalTime
	refusalTime  = 10 * time.Minute // after which a refusal counts no more
	mostRefused  = 1000             // callers that are counted one by one; those beyond share one count
)

// refusals counts, by caller, the refused requests of the last refusalTime. A restart forgets them.
type refusals struct {
	mu      sync.Mutex
	callers map[string]*counted
}

// counted are the times of one caller's refusals, the oldest first.
type counted struct{ times []time.Time }

// trial is a request that counts as refused until it is known not to be: side by side, requests get no further than one
// after the other.
type trial struct {
	all   *refusals
	of    *counted
	began time.Time
}

// begin counts a request, or tells in how many seconds the next one is possible.
func (r *refusals) begin(caller string, now time.Time) (_ trial, wait int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, c := range r.callers {
		c.times = slices.DeleteFunc(c.times, func(t time.Time) bool { return now.Sub(t) >= refusalTime })
		if len(c.times) == 0 {
			delete(r.callers, name)
		}
	}
	const others = "" // no caller's name
	if r.callers[caller] == nil && len(r.callers) >= mostRefused {
		caller = others
	}
	c := r.callers[caller]
	switch {
	case c == nil:
		c = &counted{}
		if r.callers == nil {
			r.callers = map[string]*counted{}
		}
		r.callers[caller] = c
	case len(c.times) >= mostRefusals:
		left := refusalTime - now.Sub(c.times[0])
		return trial{}, int((left + time.Second - 1) / time.Second)
	}
	c.times = append(c.times, now)
	return trial{r, c, now}, 0
}

// passed takes the request out of the count.
func (t trial) passed() {
	t.all.mu.Lock()
	defer t.all.mu.Unlock()
	if i := slices.Index(t.of.times, t.began); i >= 0 {
		t.of.times = slices.Delete(t.of.times, i, i+1)
	}
}

// count is how many of the caller's requests count at present.
func (t trial) count() int {
	t.all.mu.Lock()
	defer t.all.mu.Unlock()
	return len(t.of.times)
}

func tooManyRefused(wait int) *Error {
	e := fail(http.StatusTooManyRequests, "too-many-refused",
		"%d of your requests with a file of this node were refused in %d minutes: each tells something about a file, so wait before the next one; data that you send with a request are not bounded so", mostRefusals, int(refusalTime.Minutes()))
	e.retry = wait
	return e
}

// refusalClass is what an answer tells of a file's content, for the log; "" if it tells nothing.
func refusalClass(err error) string {
	var compared *simon.ComparedError
	var input *simon.InputError
	var own *Error
	switch {
	case errors.As(err, &compared):
		return "a value against parameters"
	case errors.As(err, &input) && strings.HasPrefix(input.Path, "parameters"):
		return "parameters"
	case errors.As(err, &input):
		return "a value"
	case errors.As(err, &own) && own.Code == http.StatusBadRequest:
		return "format"
	}
	return ""
}
