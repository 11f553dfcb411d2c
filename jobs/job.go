package jobs

import (
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/jobs/internal/body"
)

// Body is a private byte string of a job: at most MaxInline bytes in the record itself, larger ones in the object store.
type Body = body.Body

// MaxInline is the most bytes of one body that a record carries itself.
const MaxInline = body.MaxInline

// Problem says why a job ended without a result.
type Problem struct {
	Code    int    // HTTP status that a client gets
	Reason  string // one of: not-joined, conflict, policy, replaced, cancelled, peer, equivocation, not-confirmed, input, internal …
	Message string // for a person; says what to do next; at most 4 KiB, the rest is cut off
}

// Trace is a place in a trace, as the traceparent of W3C Trace Context (§3.2) names it: 25 bytes. The zero Trace is none.
// It stands in the record so that whoever works on the job goes on with the trace, also after a restart and in another
// process.
type Trace struct {
	ID    [16]byte // of the trace
	Span  [8]byte  // below which the job's spans hang
	Flags uint8    // 1: sampled
}

// Job is a client's durable request for a computation. It is a value: the slices of a Job that a Store returned are
// shared with its cache, so replace them and never write into them.
type Job struct {
	ID            uuid.UUID
	Caller        string    // who asked; at most 256 bytes
	UUID          uuid.UUID // of the computation, as the clients agreed
	Microprotocol string
	Version       uint32 // of the microprotocol
	Parameters    []byte // canonical; at most 64 KiB
	Layout        [32]byte
	Parties       []string // in the client's order; at most 128
	Self          int      // own place in Parties
	Round, Limit  time.Duration
	Input         Body // what Prepare made; removed when the job ends
	Created       time.Time
	Deadline      time.Time // for the start, over all attempts
	Asked         [32]byte  // keyed digest of the request that may be sent again; zero: it may not
	Trace         Trace     // of the request, where requests are traced; this party's own, and told to no other
	Approval      Approval  // that the job waits for, or has waited for

	State             State
	Attempt, Attempts int       // the attempt that runs, from 1; how many there may be
	Boot              string    // of the node process that claimed the job
	Issued            int64     // of the last JOIN, unix nanoseconds
	SID               [32]byte  // of the attempt; zero before a START
	Waiting           []string  // parties that have not joined yet, or whose message or confirmation is missing
	WaitingSince      time.Time // since when, for all of Waiting at least; Update sets it
	StartedAt         time.Time // of the attempt; zero before that, and where it was over too soon to be written down
	Step, Steps       int       // message step of the protocol that is under way, from 1, and how many there will be; 0: not known
	CancelRequested   bool
	Opened            Body // opened elements and salts, in state committed
	CommittedAt       time.Time
	Ended             time.Time // when the job became done, failed or cancelled
	Result            Body      // in state done
	Problem           *Problem  // in states failed and cancelled

	Revision uint64 // of the record this Job was read from; not part of it
}

// Terminal says whether the job is done, failed or cancelled: nothing changes it any more.
func (j Job) Terminal() bool { return j.State.Terminal() }

// String names the job and its state, without parameters, bodies and the text of its problem.
func (j Job) String() string {
	s := fmt.Sprintf("job %s %s (%s, computation %s, attempt %d of %d)", j.ID, j.State, j.Microprotocol, j.UUID, j.Attempt, j.Attempts)
	if j.Problem != nil {
		s += ": " + j.Problem.Reason
	}
	return s
}

// GoString is String: a Job printed with %#v shows no private bytes either.
func (j Job) GoString() string { return j.String() }

// Format writes String under every verb.
func (j Job) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, j.String()) }

// LogValue is what a log line may know of a job.
func (j Job) LogValue() slog.Value {
	attrs := []slog.Attr{
		slog.String("id", j.ID.String()), slog.String("state", j.State.String()), slog.String("microprotocol", j.Microprotocol),
		slog.String("computation", j.UUID.String()), slog.Int("attempt", j.Attempt),
	}
	if j.Problem != nil {
		attrs = append(attrs, slog.String("reason", j.Problem.Reason))
	}
	return slog.GroupValue(attrs...)
}
