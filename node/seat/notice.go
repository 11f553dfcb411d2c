package seat

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/broker/identity"
	"github.com/weftmpc/weft/coordinator"
	"github.com/weftmpc/weft/jobs"
	"github.com/weftmpc/weft/node/session"
)

// openChannel takes the pair's key where the channel stands. Until the peer has proved to have it too, the own INIT is sent
// and repeated: it may have been lost in an earlier computation.
func (r *Run) openChannel(seat int) {
	s := r.seat
	p := &r.peers[seat]
	pair, err := s.channels.Pair(r.peers[r.self].bundle, p.bundle, s.cfg.Now())
	if err != nil {
		r.log.Warn("no channel", "party", p.Name, "error", err)
		return // the round's time-out ends the computation
	}
	r.mu.Lock()
	p.pair = pair
	r.mu.Unlock()
	if r.key(seat) && pair.Confirmed() {
		return // a warm channel: nothing to send
	}
	k := pairKey{sha256.Sum256(p.bundle), sha256.Sum256(r.peers[r.self].bundle)}
	s.mu.Lock()
	s.inits[k] = append(s.inits[k], r)
	s.mu.Unlock()
	r.mu.Lock()
	p.wait, p.repeat = repeatFirst, s.cfg.Now().Add(repeatFirst)
	r.mu.Unlock()
	_ = s.cfg.Fabric.Send(r.uuid, p.Name, session.EncodeInit(pair.Init()))
	r.key(seat) // the peer's INIT may have been taken in by another run meanwhile
}

// key hands the pair's secret of this computation to the session once the channel stands.
func (r *Run) key(seat int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := &r.peers[seat]
	if p.keyed || p.pair == nil {
		return p.keyed
	}
	k, epoch, ok := p.pair.Secret()
	if !ok {
		return false
	}
	prk, err := pairSecret(r.sid, k, p.shared)
	clear(k[:])
	if err != nil {
		return false
	}
	err = r.session.SetKey(seat, prk, epoch)
	clear(prk[:])
	if err != nil {
		return false
	}
	clear(p.shared)
	p.keyed, p.shared = true, nil
	return true
}

// init takes a peer's INIT in for this run's pair.
func (r *Run) init(from Peer, init []byte) {
	seat, ok := r.seatFrom(from)
	if !ok {
		return
	}
	r.mu.Lock()
	pair := r.peers[seat].pair
	r.mu.Unlock()
	if pair == nil {
		return
	}
	if err := pair.Accept(init); err != nil {
		r.log.Debug("INIT refused", "party", r.peers[seat].Name, "error", err)
		return
	}
	r.mu.Lock()
	r.peers[seat].invited = true
	r.mu.Unlock()
	if r.key(seat) {
		r.greet(seat)
	}
}

// forgetInits takes the run off the list of those that wait for an INIT; the seat's lock is held.
func (r *Run) forgetInits() {
	for k, waiting := range r.seat.inits {
		if waiting = slices.DeleteFunc(waiting, func(x *Run) bool { return x == r }); len(waiting) == 0 {
			delete(r.seat.inits, k)
		} else {
			r.seat.inits[k] = waiting
		}
	}
}

// notice takes a signed CONFIRM or ABORT in, whenever it comes. Its signature is verified on arrival, once, and without
// the run's lock, so that notices of several parties and the end of the own computation do not wait for each other.
func (r *Run) notice(n session.Notice) {
	seat, ok := r.seatOf(n.FP)
	if !ok || seat == r.self || n.SID != r.sid || r.knows(n) || n.Verify(r.peers[seat].Key) != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.commit != nil {
		r.add(n)
		return
	}
	if len(r.pending) < 4*len(r.peers) && !slices.Contains(r.pending, n) { // it may have come twice at once
		r.pending = append(r.pending, n)
	}
	if !n.Confirm && r.abort != nil {
		r.abort(&AbortedError{Code: n.Code, Party: r.peers[seat].Name})
	}
}

// knows reports whether a notice that says the same to the last bit has been verified and is kept.
func (r *Run) knows(n session.Notice) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.commit == nil {
		return slices.Contains(r.pending, n)
	}
	if !r.commit.Has(n) {
		return false
	}
	r.wakeUp() // it changes nothing, but it is a sign of life, and the clock may have been put forward
	return true
}

// add adds a verified notice to the commit; the run's lock is held.
func (r *Run) add(n session.Notice) {
	if r.commit.AddVerified(n) != nil {
		return
	}
	if seat, ok := r.seatOf(n.FP); ok && (r.known[seat] == nil || !n.Confirm) {
		r.known[seat] = n.Encode()
	}
	r.wakeUp()
}

// wakeUp makes gather look at the notices and the clock.
func (r *Run) wakeUp() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// answer serves the notices that this run knows.
func (r *Run) answer(to string, wanted []identity.Fingerprint) {
	r.mu.Lock()
	var out [][]byte
	if r.known != nil {
		for _, fp := range wanted {
			if seat, ok := r.seatOf(fp); ok && r.known[seat] != nil {
				out = append(out, r.known[seat])
			}
		}
	}
	r.mu.Unlock()
	for _, raw := range out {
		_ = r.seat.cfg.Fabric.Send(r.uuid, to, raw)
	}
}

// Unconfirmed names the participants whose notice is missing, after the own CONFIRM.
func (r *Run) Unconfirmed() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var names []string
	if r.commit != nil {
		for _, seat := range r.commit.Missing() {
			names = append(names, r.peers[seat].Name)
		}
	}
	return names
}

// ask asks every peer for the notices that are missing.
func (r *Run) ask() {
	r.mu.Lock()
	var fps []identity.Fingerprint
	if r.commit != nil {
		for _, seat := range r.commit.Missing() {
			fps = append(fps, r.peers[seat].FP)
		}
	}
	r.mu.Unlock()
	if len(fps) > 0 {
		r.toAll(session.EncodeNoticeAsk(r.sid, fps))
	}
}

// tick repeats what may have been lost.
func (r *Run) tick(now time.Time) {
	if r.session != nil {
		r.session.Tick(now)
		r.repeatInits(now)
	}
	r.mu.Lock()
	due := r.commit != nil && now.After(r.nextAsk)
	if due {
		r.asks = min(2*r.asks, repeatMost)
		r.nextAsk = now.Add(r.asks)
	}
	r.mu.Unlock()
	if due {
		r.ask()
	}
}

func (r *Run) repeatInits(now time.Time) {
	r.mu.Lock()
	waiting := false
	for i := range r.peers {
		waiting = waiting || !r.peers[i].repeat.IsZero()
	}
	r.mu.Unlock()
	if !waiting {
		return
	}
	heard := r.session.Heard()
	for i := range r.peers {
		r.mu.Lock()
		p := &r.peers[i]
		if p.pair != nil && (p.pair.Confirmed() || slices.Contains(heard, i)) {
			p.pair.Confirm()
			p.repeat = time.Time{}
		}
		due := !p.repeat.IsZero() && now.After(p.repeat) && p.pair != nil
		pair := p.pair
		if due {
			p.wait = min(2*p.wait, repeatMost)
			p.repeat = now.Add(p.wait)
		}
		r.mu.Unlock()
		if due {
			_ = r.seat.cfg.Fabric.Send(r.uuid, r.peers[i].Name, session.EncodeInit(pair.Init()))
		}
	}
}

// noticeFor answers a START that this seat cannot serve, from the ledger or with ABORT and the code. If the JOIN
// in it is forgotten here, a line may be forgotten as well, and with it a CONFIRM: then only a line that is there is told.
func (s *Seat) noticeFor(common coordinator.Common, sid [32]byte, code uint16, forgotten bool) {
	ctx, cancel := context.WithTimeout(context.Background(), ledgerLook)
	defer cancel()
	line, err := s.cfg.Ledger.Line(ctx, sid)
	var raw []byte
	switch {
	case err == nil && line.State != jobs.LineStarted:
		raw = line.Notices[line.Self]
	case err == nil: // started by a process that is gone
		if raw, err = s.abortLine(ctx, line); err != nil {
			s.cfg.Logger.Error("ledger", "computation", common.UUID, "error", err)
			return
		}
	default:
		if !errors.Is(err, jobs.ErrNotFound) {
			s.cfg.Logger.Error("ledger", "computation", common.UUID, "error", err)
			return
		}
		if forgotten {
			s.warn("forgotten", "a request of this party has started that its state folder knows nothing of: the process died while it asked, "+
				"or the folder is an old copy, which must not be put back: start with a new folder")
			return
		}
		raw = session.SignAbort(s.cfg.Identity, sid, code).Encode()
	}
	for _, fp := range common.Parties {
		if p, ok := s.peer(fp); ok && fp != s.cfg.Identity.FP() && raw != nil {
			_ = s.cfg.Fabric.Send(common.UUID, p.Name, raw)
		}
	}
	for _, fp := range common.Helpers() {
		s.mu.Lock()
		name := s.helpers[fp]
		s.mu.Unlock()
		if name != "" && raw != nil {
			_ = s.cfg.Fabric.Send(common.UUID, name, raw)
		}
	}
}

// abortLine takes a started line without a session to aborted and returns the notice.
func (s *Seat) abortLine(ctx context.Context, line jobs.Line) ([]byte, error) {
	l, err := line.Move(jobs.LineAborted)
	if err != nil {
		return nil, err
	}
	raw := session.SignAbort(s.cfg.Identity, line.SID, CodeFailure).Encode()
	l.Notices = slices.Clone(l.Notices)
	l.Notices[l.Self] = raw
	if _, err := s.cfg.Ledger.UpdateLine(ctx, l); err != nil {
		return nil, err
	}
	return raw, nil
}

// Recover goes through the ledger after a restart: what was started is aborted, and what was committed is returned so that
// its jobs can go on waiting for the others' notices with Resume. It must be called before the first Propose.
func (s *Seat) Recover(ctx context.Context) (committed []*Run, err error) {
	lines, err := s.cfg.Ledger.Lines(ctx)
	if err != nil {
		return nil, err
	}
	for _, line := range lines {
		switch line.State {
		case jobs.LineStarted:
			raw, err := s.abortLine(ctx, line)
			if errors.Is(err, jobs.ErrConflict) { // a START that came meanwhile has aborted it
				if line, err = s.cfg.Ledger.Line(ctx, line.SID); err == nil && line.State == jobs.LineAborted {
					continue
				}
			}
			if err != nil {
				return nil, err
			}
			for i, p := range line.Participants {
				if i != line.Self {
					_ = s.cfg.Fabric.Send(line.UUID, p.Name, raw)
				}
			}
		case jobs.LineCommitted:
			committed = append(committed, s.resumed(line))
		}
	}
	return committed, nil
}

// resumed is the run of a committed line: no keys, only notices.
func (s *Seat) resumed(line jobs.Line) *Run {
	r := &Run{
		seat: s, uuid: line.UUID, sid: line.SID, self: line.Self, among: line.Parties, line: line, until: line.Until,
		wake: make(chan struct{}, 1), written: make(chan struct{}), log: s.cfg.Logger.With("job", line.Job, "computation", line.UUID),
	}
	close(r.written)
	for _, p := range line.Participants {
		r.peers = append(r.peers, participant{Participant: session.Participant{FP: p.FP, Key: p.Key[:], Name: p.Name}})
	}
	return r
}

// LogTo sets where the lines about a run that Recover returned go, before Resume.
func (r *Run) LogTo(l *slog.Logger) { r.log = l }

// Job is the record that this run's ledger line names.
func (r *Run) Job() uuid.UUID { return r.line.Job }

// Settle ends the line of a run that Recover returned and whose result has been released: everybody had confirmed it, and
// the process died before that was written.
func (r *Run) Settle() error { return r.end(jobs.LineDone) }

// Resume waits for the notices of a run that Recover returned, as Confirm does.
func (r *Run) Resume(ctx context.Context) error {
	own, err := session.DecodeNotice(r.line.Notices[r.self])
	if err == nil {
		err = own.Verify(r.peers[r.self].Key)
	}
	if err != nil {
		return fmt.Errorf("the own notice in the ledger: %w", err)
	}
	r.startCommit(own)
	r.seat.mu.Lock()
	r.seat.runs[r.sid] = r
	r.seat.mu.Unlock()
	r.toAll(r.line.Notices[r.self])
	r.ask()
	return r.gather(ctx)
}
