package jobs

import (
	"errors"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/jobs/internal/body"
	"github.com/weftmpc/weft/jobs/internal/record"
)

// RecordError is a record that cannot be read: a newer weft wrote it, or it is damaged. It never contains the bytes.
type RecordError = record.Error

// The formats of the records that this weft writes, and the newest that it reads.
const (
	jobFormat  = 4 // 1 ended before Asked, 2 before Trace, 3 before Approval
	lineFormat = 1
)

// Bounds of a record's fields. The largest possible job record has about 280 KiB, a quarter of the broker's max_payload.
const (
	maxParties    = 128
	maxSeats      = maxParties + 3 // with dealer, opener and aggregator
	maxName       = 63
	maxCaller     = 256
	maxText       = 128
	maxParameters = 64 << 10
	maxMessage    = 4 << 10
	maxAttempts   = 1 << 16
	maxNotice     = 512
	maxSteps      = 1 << 30
)

var errFields = errors.New("its fields contradict each other")

// encode makes the job's record.
func (j Job) encode(version string) ([]byte, error) {
	size := 1024 + len(j.Parameters) + len(j.Input.Inline) + len(j.Opened.Inline) + len(j.Result.Inline)
	w := record.NewWriter(jobFormat, version, size)
	w.Fixed(j.ID[:])
	w.Text("the caller's name", j.Caller, maxCaller)
	w.Fixed(j.UUID[:])
	w.Text("the microprotocol's name", j.Microprotocol, maxText)
	w.U32(j.Version)
	w.Bytes("the parameters", j.Parameters, maxParameters)
	w.Fixed(j.Layout[:])
	writeNames(w, "party", j.Parties)
	w.Int("the own place", j.Self, maxParties-1)
	w.I64(int64(j.Round))
	w.I64(int64(j.Limit))
	j.Input.Write(w, "the input")
	w.Time(j.Created)
	w.Time(j.Deadline)

	w.U8(uint8(j.State))
	w.Int("the attempt", j.Attempt, maxAttempts)
	w.Int("the number of attempts", j.Attempts, maxAttempts)
	w.Text("the boot id", j.Boot, maxText)
	w.I64(j.Issued)
	w.Fixed(j.SID[:])
	writeNames(w, "waiting party", j.Waiting)
	w.Bool(j.CancelRequested)
	j.Opened.Write(w, "what was opened")
	w.Time(j.CommittedAt)
	w.Time(j.Ended)
	j.Result.Write(w, "the result")
	w.Bool(j.Problem != nil)
	if p := j.Problem; p != nil {
		w.Int("the problem's code", p.Code, 999)
		w.Text("the problem's reason", p.Reason, maxText)
		w.Text("the problem's message", shorten(p.Message), maxMessage)
	}
	w.Fixed(j.Asked[:])
	w.Time(j.WaitingSince)
	w.Time(j.StartedAt)
	w.Int("the step", j.Step, maxSteps)
	w.Int("the number of steps", j.Steps, maxSteps)
	w.Fixed(j.Trace.ID[:])
	w.Fixed(j.Trace.Span[:])
	w.U8(j.Trace.Flags)
	w.Time(j.Approval.Since)
	w.Bool(j.Approval.ByCaller)
	w.U8(uint8(j.Approval.Verdict))
	w.Text("who has decided", j.Approval.By, maxCaller)
	w.Time(j.Approval.At)
	w.Text("the reason of a decision", j.Approval.Reason, MaxReason)
	return w.Done()
}

// shorten makes any message fit: a job must be able to fail, whatever its cause says.
func shorten(s string) string {
	s = strings.ToValidUTF8(s, "?")
	if len(s) <= maxMessage {
		return s
	}
	cut := maxMessage - len("…")
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}

// decodeJob reads a record. Its slices point into b.
func decodeJob(version, key string, b []byte, revision uint64) (Job, error) {
	r, err := record.NewReader(key, b, jobFormat, version)
	if err != nil {
		return Job{}, err
	}
	j := Job{
		ID:            uuid.UUID(r.Fixed(16)),
		Caller:        r.Text(maxCaller),
		UUID:          uuid.UUID(r.Fixed(16)),
		Microprotocol: r.Text(maxText),
		Version:       r.U32(),
		Parameters:    r.Bytes(maxParameters),
		Layout:        [32]byte(r.Fixed(32)),
		Parties:       readNames(r),
		Self:          r.Int(maxParties - 1),
		Round:         time.Duration(r.I64()),
		Limit:         time.Duration(r.I64()),
		Input:         body.ReadBody(r),
		Created:       r.Time(),
		Deadline:      r.Time(),

		State:           State(r.U8()),
		Attempt:         r.Int(maxAttempts),
		Attempts:        r.Int(maxAttempts),
		Boot:            r.Text(maxText),
		Issued:          r.I64(),
		SID:             [32]byte(r.Fixed(32)),
		Waiting:         readNames(r),
		CancelRequested: r.Bool(),
		Opened:          body.ReadBody(r),
		CommittedAt:     r.Time(),
		Ended:           r.Time(),
		Result:          body.ReadBody(r),
		Revision:        revision,
	}
	if r.Bool() {
		j.Problem = &Problem{Code: r.Int(999), Reason: r.Text(maxText), Message: r.Text(maxMessage)}
	}
	if b[0] >= 2 {
		j.Asked, j.WaitingSince, j.StartedAt = [32]byte(r.Fixed(32)), r.Time(), r.Time()
		j.Step, j.Steps = r.Int(maxSteps), r.Int(maxSteps)
	}
	if b[0] >= 3 {
		j.Trace = Trace{ID: [16]byte(r.Fixed(16)), Span: [8]byte(r.Fixed(8)), Flags: r.U8()}
	}
	if b[0] >= 4 {
		j.Approval = Approval{Since: r.Time(), ByCaller: r.Bool(), Verdict: Verdict(r.U8()), By: r.Text(maxCaller), At: r.Time(), Reason: r.Text(MaxReason)}
	}
	err = r.Done()
	if err == nil && (!j.State.valid() || j.Approval.Verdict > Denied || j.ID.String() != key) {
		err = errFields
	}
	if err != nil {
		return Job{}, &RecordError{Key: key, Reader: version, Cause: err}
	}
	return j, nil
}

func writeNames(w *record.Writer, what string, names []string) {
	w.Int("the number of names of a "+what, len(names), maxParties)
	for _, n := range names {
		w.Text("the name of a "+what, n, maxName)
	}
}

func readNames(r *record.Reader) []string {
	var names []string
	for range r.Int(maxParties) {
		names = append(names, r.Text(maxName))
	}
	return names
}

// encode makes the line's record.
func (l Line) encode(version string) ([]byte, error) {
	if len(l.Notices) != 0 && len(l.Notices) != len(l.Participants) {
		return nil, errors.New("a line has one place for a notice per participant")
	}
	w := record.NewWriter(lineFormat, version, 512+len(l.Participants)*(128+256))
	w.Fixed(l.SID[:])
	w.Fixed(l.Job[:])
	w.Fixed(l.UUID[:])
	w.Fixed(l.Own[:])
	w.U8(uint8(l.State))
	w.Int("the own seat", l.Self, maxSeats-1)
	w.Int("the number of parties", l.Parties, maxParties)
	w.Int("the number of participants", len(l.Participants), maxSeats)
	for _, p := range l.Participants {
		w.Fixed(p.FP[:])
		w.Fixed(p.Key[:])
		w.Text("a participant's name", p.Name, maxName)
	}
	w.Int("the number of recipients", len(l.Recipients), maxParties)
	for _, s := range l.Recipients {
		w.Int("a recipient", s, maxParties-1)
	}
	w.Fixed(l.TH[:])
	w.Fixed(l.RH[:])
	w.Int("the number of notices", len(l.Notices), maxSeats)
	for _, n := range l.Notices {
		w.Bytes("a notice", n, maxNotice)
	}
	w.Time(l.Until)
	w.Time(l.Kept)
	return w.Done()
}

// decodeLine reads a record. Its slices point into b.
func decodeLine(version, key string, b []byte, revision uint64) (Line, error) {
	r, err := record.NewReader(key, b, lineFormat, version)
	if err != nil {
		return Line{}, err
	}
	l := Line{
		SID:      [32]byte(r.Fixed(32)),
		Job:      uuid.UUID(r.Fixed(16)),
		UUID:     uuid.UUID(r.Fixed(16)),
		Own:      [32]byte(r.Fixed(32)),
		State:    LineState(r.U8()),
		Self:     r.Int(maxSeats - 1),
		Parties:  r.Int(maxParties),
		Revision: revision,
	}
	for range r.Int(maxSeats) {
		l.Participants = append(l.Participants, Participant{FP: [32]byte(r.Fixed(32)), Key: [32]byte(r.Fixed(32)), Name: r.Text(maxName)})
	}
	for range r.Int(maxParties) {
		l.Recipients = append(l.Recipients, r.Int(maxParties-1))
	}
	l.TH, l.RH = [32]byte(r.Fixed(32)), [32]byte(r.Fixed(32))
	for range r.Int(maxSeats) {
		l.Notices = append(l.Notices, r.Bytes(maxNotice))
	}
	l.Until, l.Kept = r.Time(), r.Time()
	err = r.Done()
	if err == nil && (!l.State.valid() || lineKey(l.SID) != key || (len(l.Notices) != 0 && len(l.Notices) != len(l.Participants))) {
		err = errFields
	}
	if err != nil {
		return Line{}, &RecordError{Key: key, Reader: version, Cause: err}
	}
	return l, nil
}

// sameComputation says whether two versions of a line speak of the same participants and the same JOIN.
func (l Line) sameComputation(m Line) bool {
	return l.SID == m.SID && l.Job == m.Job && l.UUID == m.UUID && l.Own == m.Own && l.Self == m.Self && l.Parties == m.Parties &&
		slices.Equal(l.Participants, m.Participants) && slices.Equal(l.Recipients, m.Recipients)
}
