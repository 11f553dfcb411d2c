package seat

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/broker/identity"
	"github.com/weftmpc/weft/coordinator"
	"github.com/weftmpc/weft/jobs"
	"github.com/weftmpc/weft/node/session"
	"github.com/weftmpc/weft/simon"
)

// The reasons that an ABORT gives; none depends on data.
const (
	CodeFailure      uint16 = 1
	CodeTimeout      uint16 = 2
	CodeEquivocation uint16 = 3
	CodeWithdrawn    uint16 = 4
	CodeRefused      uint16 = 5
	CodeDenied       uint16 = 6 // by a person who decides there; an earlier weft takes it for a withdrawal and waits on
)

const (
	repeatFirst = 250 * time.Millisecond // of INITs and asks for notices
	repeatMost  = 4 * time.Second
)

// Run is one started computation at one seat, or, after a restart, what is left of a committed one.
type Run struct {
	seat   *Seat
	uuid   uuid.UUID
	sid    [32]byte
	common coordinator.Common
	self   int
	peers  []participant
	among  int // how many of peers are parties; helpers follow
	begun  time.Time
	log    *slog.Logger
	until  time.Time // of asking for notices

	line jobs.Line // owned by the goroutine that runs

	session *session.Session // nil after a restart
	counted sync.Once        // what became of its messages

	written  chan struct{} // closed when the line "started" is durable, or not to be had
	writeErr error

	mu      sync.Mutex
	commit  *session.Commit  // nil before the own CONFIRM
	pending []session.Notice // that came before it
	known   [][]byte         // notices by seat, as sent
	abort   context.CancelCauseFunc
	nextAsk time.Time
	asks    time.Duration
	wake    chan struct{}
	sent    []int64 // at a helper: bytes, by seat
}

// AbortedError ends a computation that nobody can complete any more.
type AbortedError struct {
	Code  uint16
	Party string // who aborted; empty: this node
	Cause error
}

func (e *AbortedError) Error() string {
	if e.Party != "" {
		return fmt.Sprintf("%s ended the computation: %s", e.Party, codeText(e.Code))
	}
	return fmt.Sprintf("the computation was ended here: %v", e.Cause)
}

func (e *AbortedError) Unwrap() error { return e.Cause }

// Retry reports whether a new attempt makes sense: not where somebody cheated, refused or denied.
func (e *AbortedError) Retry() bool {
	return e.Code != CodeEquivocation && e.Code != CodeRefused && e.Code != CodeDenied
}

func codeText(code uint16) string {
	switch code {
	case CodeFailure:
		return "it failed there or was restarted"
	case CodeTimeout:
		return "a message did not come in time"
	case CodeEquivocation:
		return "a party sent different messages for one step"
	case CodeWithdrawn:
		return "its request was withdrawn"
	case CodeRefused:
		return "it refused"
	case CodeDenied:
		return "whoever decides about its data has denied it"
	}
	return fmt.Sprintf("code %d", code)
}

// NotConfirmedError is a computation that this node finished and cannot know to be finished by all.
type NotConfirmedError struct {
	Parties []string
	Reason  string
}

func (e *NotConfirmedError) Error() string { return e.Reason }

// SID names the computation in the cryptography.
func (r *Run) SID() [32]byte { return r.sid }

// Until is the time after which the run does not ask for notices any more.
func (r *Run) Until() time.Time { return r.until }

// Send implements session.Link.
func (r *Run) Send(to int, b []byte) error {
	if err := r.count(to, len(b)); err != nil {
		return err
	}
	return r.seat.cfg.Fabric.Send(r.uuid, r.peers[to].Name, b)
}

// Name returns the party in a seat.
func (r *Run) Name(seat int) string { return r.peers[seat].Name }

func (r *Run) seatOf(fp identity.Fingerprint) (int, bool) {
	for i := range r.peers {
		if r.peers[i].FP == fp {
			return i, true
		}
	}
	return 0, false
}

// Play runs the protocol until the result is opened here. The caller then makes the outcome durable and calls Confirm; or
// the error is an *AbortedError, and the ledger says so durably.
func (r *Run) Play(ctx context.Context, play func(context.Context, simon.Session) ([]byte, error)) (session.Outcome, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r.mu.Lock()
	r.abort = cancel
	pending := r.pending
	r.mu.Unlock()
	for _, n := range pending { // verified when they came
		if seat, ok := r.seatOf(n.FP); ok && !n.Confirm {
			cancel(&AbortedError{Code: n.Code, Party: r.Name(seat)})
		}
	}
	out, err := r.session.Play(ctx, play)
	if err == nil {
		if err = r.durable(); err == nil {
			err = context.Cause(ctx)
		}
	}
	if err == nil {
		r.confirmChannels()
		r.greetAll()
		return out, nil
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return out, r.Abort(err)
}

// confirmChannels notes that everybody was heard under the pair's key.
func (r *Run) confirmChannels() {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.seat.cfg.Now()
	for _, seat := range r.session.Heard() {
		r.seat.met.note(r.peers[seat].Name, func(k *Known) { k.Seen = now })
		if p := &r.peers[seat]; p.pair != nil {
			p.pair.Confirm()
			p.repeat = time.Time{}
		}
	}
}

// greetAll answers the INITs that have come from helpers, or, at a helper, from anybody.
func (r *Run) greetAll() {
	for seat := range r.peers {
		if seat != r.self {
			r.greet(seat)
		}
	}
}

// Abort ends a run that has not been committed: the line first, then the signed notice to all.
func (r *Run) Abort(cause error) error {
	<-r.written
	aborted := &AbortedError{Code: abortCode(cause), Cause: cause}
	var peer *AbortedError
	if errors.As(cause, &peer) {
		aborted = peer
	}
	code := aborted.Code
	if peer != nil { // what others did is said by their own notice, passed on; this node only stops
		code = CodeFailure
	}
	raw := session.SignAbort(r.seat.cfg.Identity, r.sid, code).Encode()
	err := r.move(jobs.LineAborted, func(l *jobs.Line) { l.Notices[r.self] = raw })
	if r.line.State == jobs.LineCommitted {
		return err
	}
	r.close()
	if err != nil { // no ABORT without the line; the next start, or a START that comes again, finishes this
		return &AbortedError{Code: CodeFailure, Cause: errors.Join(cause, err)}
	}
	r.passOn()
	r.toAll(raw)
	return aborted
}

// passOn relays the ABORTs of others that ended this run before its commit.
func (r *Run) passOn() {
	r.mu.Lock()
	pending := r.pending
	r.pending = nil
	r.mu.Unlock()
	for _, n := range pending {
		if !n.Confirm {
			r.toAll(n.Encode())
		}
	}
}

func abortCode(cause error) uint16 {
	var timeout *session.TimeoutError
	var equivocation *session.EquivocationError
	var outcome *simon.OutcomeError
	var sent *simon.SeatError
	switch {
	case errors.As(cause, &equivocation):
		return CodeEquivocation
	case errors.As(cause, &timeout):
		return CodeTimeout
	case errors.Is(cause, ErrWithdrawn):
		return CodeWithdrawn
	case errors.As(cause, &sent): // what nobody sends who follows the protocol
		return CodeRefused
	case errors.As(cause, &outcome): // a party has seen that the result cannot be right
		return CodeRefused
	case errors.Is(cause, jobs.ErrTooLarge), errors.Is(cause, session.ErrMemory): // as in every attempt
		return CodeRefused
	}
	return CodeFailure
}

// Confirm writes the line "committed", sends the own CONFIRM and waits for everybody's. nil: all confirmed the same
// result, and it may be released. *AbortedError: nobody can have completed it. Any other error is final.
func (r *Run) Confirm(ctx context.Context, out session.Outcome) error {
	n := session.SignConfirm(r.seat.cfg.Identity, r.sid, out.TH, out.RH)
	raw := n.Encode()
	err := r.move(jobs.LineCommitted, func(l *jobs.Line) { l.TH, l.RH, l.Notices[r.self] = out.TH, out.RH, raw })
	if err != nil {
		err = r.Abort(err)
		if r.line.State != jobs.LineCommitted {
			return err
		}
	}
	r.startCommit(n)
	r.toAll(raw)
	return r.gather(ctx)
}

// startCommit begins to count notices, with the own one and those that came early; all have been verified.
func (r *Run) startCommit(own session.Notice) {
	parts := make([]session.Participant, len(r.peers))
	for i := range r.peers {
		parts[i] = r.peers[i].Participant
	}
	c := session.NewCommit(r.sid, parts, r.self, r.line.Parties, r.line.Recipients, own.TH, own.RH)
	for helper := r.among; helper < len(parts); helper++ {
		switch r.common.Dealer {
		case parts[helper].FP:
			c.Deaf(helper)
		case identity.Fingerprint{}: // or, after a restart, it is not known who dealt
			if len(r.common.Parties) == 0 {
				c.Unsure(helper)
			}
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.commit, r.asks, r.nextAsk = c, repeatFirst, r.seat.cfg.Now().Add(repeatFirst)
	r.known = make([][]byte, len(r.peers))
	_ = c.AddVerified(own)
	r.known[r.self] = own.Encode()
	for _, p := range r.pending {
		r.add(p)
	}
	r.pending = nil
}

// gather waits until the notices decide.
func (r *Run) gather(ctx context.Context) error {
	var relayed time.Time // until when a contradicting notice may still come
	for {
		r.mu.Lock()
		v, missing := r.commit.Verdict(), r.commit.Missing()
		r.mu.Unlock()
		switch v.State {
		case session.Done:
			r.done()
			return nil
		case session.Failed:
			_ = r.end(jobs.LineFailed)
			return &NotConfirmedError{Parties: []string{r.Name(v.Seat)}, Reason: fmt.Sprintf("%s: %s", r.Name(v.Seat), v.Reason)}
		case session.PeerAborted:
			now := r.seat.cfg.Now()
			if relayed.IsZero() {
				relayed = now.Add(time.Second)
				r.relay(v.Seat)
			}
			if !now.Before(relayed) {
				if err := r.end(jobs.LinePeerAborted); err != nil {
					return err
				}
				return &AbortedError{Code: v.Code, Party: r.Name(v.Seat)}
			}
			if err := r.pause(ctx, relayed.Sub(now)); err != nil {
				r.close()
				return err
			}
			continue
		}
		left := r.until.Sub(r.seat.cfg.Now())
		if left <= 0 {
			_ = r.end(jobs.LineFailed)
			return r.unconfirmed(missing)
		}
		if err := r.pause(ctx, left); err != nil {
			r.close()
			return err // stopped: the line says committed, and the next start goes on
		}
	}
}

func (r *Run) unconfirmed(missing []int) error {
	e := &NotConfirmedError{}
	text := ""
	for i, seat := range missing {
		if i > 0 {
			text += ", "
		}
		text += r.Name(seat)
		e.Parties = append(e.Parties, r.Name(seat))
	}
	e.Reason = "not confirmed by " + text + " in time; the others may have the result: ask them before you compute again"
	return e
}

// pause waits for a notice, for d, or for ctx.
func (r *Run) pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-r.wake:
		return nil
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// relay passes a peer's ABORT on and asks everybody once more: a CONFIRM that convicts its signer may be around.
func (r *Run) relay(from int) {
	r.mu.Lock()
	raw := r.known[from]
	r.mu.Unlock()
	r.toAll(raw)
	r.ask()
}

// done erases the session and writes the line in the background. All notices are verified, so the result may be released
// without waiting for the line: a process that dies before it is durable finds the line committed, which is as true, and
// takes it on from there. Until then the run serves the notices. It is the last thing that happens to the run's line.
func (r *Run) done() {
	if r.session != nil && len(r.peers) > r.among {
		r.confirmChannels() // a helper hears its peers late
	}
	r.erase()
	r.seat.begin.Lock()
	defer r.seat.begin.Unlock()
	r.seat.later.Go(func() {
		if err := r.end(jobs.LineDone); err != nil {
			r.log.Error("the ledger line of a finished computation stays committed until the next start", "error", err)
		}
	})
}

// end writes the last step of the line with all notices and closes the run.
func (r *Run) end(to jobs.LineState) error {
	err := r.move(to, func(l *jobs.Line) {
		r.mu.Lock()
		defer r.mu.Unlock()
		copy(l.Notices, r.known)
	})
	r.close()
	if err != nil {
		return fmt.Errorf("writing the ledger: %w", err)
	}
	return nil
}

// move takes the line one step on, durably.
func (r *Run) move(to jobs.LineState, change func(*jobs.Line)) error {
	if r.writeErr != nil {
		return r.writeErr
	}
	l, err := r.line.Move(to)
	if err != nil {
		return err
	}
	l.Notices = append([][]byte(nil), l.Notices...)
	change(&l)
	tries := 1 << 30
	if to == jobs.LineCommitted {
		tries = 1 // an ABORT is as good, and the compare-and-set says which of the two was written
	}
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		stored, err := r.seat.cfg.Ledger.UpdateLine(context.Background(), l)
		if err == nil {
			r.line = stored
			return nil
		}
		var step *jobs.MoveError
		if errors.As(err, &step) || errors.Is(err, jobs.ErrLineChanged) {
			return err
		}
		if errors.Is(err, jobs.ErrConflict) { // an earlier write has arrived, or another path ended the line
			now, errRead := r.seat.cfg.Ledger.Line(context.Background(), r.sid)
			if errRead == nil && now.Revision > l.Revision {
				r.line = now
				if now.State == to && bytes.Equal(now.Notices[r.self], l.Notices[r.self]) {
					return nil
				}
				return err
			}
		}
		if tries--; tries == 0 {
			return err
		}
		select {
		case <-time.After(wait):
		case <-r.seat.stopping:
			return err
		}
	}
}

// close erases the session and forgets the run. What others still want to know, the ledger answers.
func (r *Run) close() {
	s := r.seat
	s.mu.Lock()
	delete(s.runs, r.sid)
	r.forgetInits()
	s.mu.Unlock()
	r.erase()
}

// erase ends the session and what it was made of; notices are still served.
func (r *Run) erase() {
	if r.session != nil {
		r.session.Close()
		r.counted.Do(func() { r.seat.stats.add(r.session.Stats()) })
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.peers {
		clear(r.peers[i].shared)
		r.peers[i].shared, r.peers[i].pair, r.peers[i].repeat = nil, nil, time.Time{}
	}
}

func (r *Run) toAll(b []byte) {
	for i := range r.peers {
		if i != r.self {
			if err := r.seat.cfg.Fabric.Send(r.uuid, r.Name(i), b); err != nil {
				r.log.Debug("notice not sent", "to", r.Name(i), "error", err)
			}
		}
	}
}
