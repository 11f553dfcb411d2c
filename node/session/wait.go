package session

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/weftmpc/weft/simon"
)

const (
	askFirst = 250 * time.Millisecond
	askMost  = 4 * time.Second
)

// wait is a step of the protocol that cannot go on yet: for bodies under one label, or for the key of a pair.
type wait struct {
	label string
	th    [32]byte    // the own transcript, which all senders must have
	ins   []*incoming // by sender; nil where the wait is for a key
	key   *peer
	left  int
	last  *peer // who came last; nil: all were there before the wait
	done  chan struct{}
	since time.Time // the first Tick that saw it; zero: none has
}

func (w *wait) finish() {
	w.left = 0
	close(w.done)
}

// lacking lists the seats that the wait is for.
func (w *wait) lacking() []int {
	if w.key != nil {
		return []int{w.key.seat}
	}
	var seats []int
	for _, in := range w.ins {
		if !in.complete() {
			seats = append(seats, in.from.seat)
		}
	}
	return seats
}

// expect begins to wait for the bodies of from under label. The caller holds the lock.
func (s *Session) expect(label string, th [32]byte, from []int) (*wait, []packet, error) {
	w := &wait{label: label, th: th, ins: make([]*incoming, len(from)), done: make(chan struct{})}
	for i, seat := range from {
		p := s.peers[seat]
		in := p.in[label]
		if in == nil {
			in = &incoming{from: p, label: label}
			p.in[label] = in
		}
		if in.w != nil || in.taken {
			return nil, nil, misuse("%s of seat %d is received a second time", describe(label), seat)
		}
		w.ins[i] = in
	}
	w.left = len(from)
	s.waits = append(s.waits, w)
	var outs []packet
	for _, in := range w.ins {
		in.w = w
		if in.chunks > 0 {
			in.from.unasked--
			in.from.unaskedMem -= int64(in.length) + recordCost(len(in.label))
		}
		if in.complete() {
			s.arrived(in)
		} else {
			outs = append(outs, s.grantMore(in)...)
		}
	}
	if len(from) == 0 {
		w.finish()
	}
	if w.left == 0 {
		w.last = nil
	}
	return w, outs, nil
}

// arrived counts a complete body, if its sender has seen what this seat has.
func (s *Session) arrived(in *incoming) {
	w := in.w
	if !s.agrees(in, w) {
		s.fail(&EquivocationError{Seat: in.from.seat, Name: in.from.Name, Reason: "transcripts differ at " + describe(in.label)})
		return
	}
	if w.left > 0 {
		if w.left--; w.left == 0 {
			w.last = in.from
			w.finish()
		}
	}
}

// agrees compares transcripts. A helper gets no public bodies: the parties it hears must agree with each other, and it
// goes on with their transcript. A dealer stands at the start for ever; another helper speaks when it has heard the parties.
func (s *Session) agrees(in *incoming, w *wait) bool {
	if in.from.seat >= s.cfg.Parties {
		if seat, ok := s.cfg.Roles[simon.Dealer]; ok && seat == in.from.seat { // it hears nothing
			return in.th == transcriptStart(s.cfg.SID)
		}
		return in.th == w.th
	}
	if s.cfg.Self < s.cfg.Parties {
		return in.th == w.th
	}
	return !slices.ContainsFunc(w.ins, func(other *incoming) bool {
		return other.complete() && other.from.seat < s.cfg.Parties && other.th != in.th
	})
}

// finished blocks until w is, ctx ends, or the session does.
func (s *Session) finished(ctx context.Context, w *wait) error {
	var err error
	select {
	case <-w.done:
	case <-s.dead:
	case <-ctx.Done():
		err = fmt.Errorf("session: waiting at %s: %w", describe(w.label), context.Cause(ctx))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waits = slices.DeleteFunc(s.waits, func(o *wait) bool { return o == w })
	if s.err != nil {
		return s.err
	}
	return err
}

// take hands out the salted bodies of a finished wait, in its order. They are the caller's then, who holds the lock.
func (s *Session) take(w *wait) ([][]byte, error) {
	if s.err != nil {
		return nil, s.err
	}
	bodies := make([][]byte, len(w.ins))
	for i, in := range w.ins {
		bodies[i] = in.body
		in.body, in.taken, in.w = nil, true, nil
		s.release(int64(in.length))
	}
	return bodies, nil
}

// Tick tells the time, every 50 ms or so: it asks for what is missing and ends what took too long.
func (s *Session) Tick(now time.Time) {
	s.mu.Lock()
	if now.After(s.now) {
		s.now = now
	}
	if s.closed.Load() || s.err != nil {
		s.mu.Unlock()
		return
	}
	s.expire()
	outs := s.asks()
	var report func()
	if len(outs) > 0 && s.cfg.Progress != nil {
		p := s.last
		p.Waiting = s.outstanding(func(*wait) bool { return true })
		report = func() { s.cfg.Progress(p) }
	}
	s.mu.Unlock()
	s.flush(outs)
	if report != nil {
		report()
	}
}

// Reconnected asks at once for all that is missing: what was sent while the link was down is lost.
func (s *Session) Reconnected() {
	s.mu.Lock()
	if s.closed.Load() || s.err != nil {
		s.mu.Unlock()
		return
	}
	for _, w := range s.waits {
		for _, in := range w.ins {
			in.next, in.every = s.now, askFirst
		}
	}
	outs := s.asks()
	s.mu.Unlock()
	s.flush(outs)
}

// expire ends the computation when a step or the whole took too long.
func (s *Session) expire() {
	if !s.playing {
		return
	}
	if s.cfg.Limit > 0 && s.now.Sub(s.cfg.Started) >= s.cfg.Limit {
		s.fail(s.timeout("time limit of the whole computation", func(*wait) bool { return true }))
		return
	}
	label := ""
	late := func(w *wait) bool { return s.cfg.Round > 0 && s.now.Sub(w.since) >= s.cfg.Round }
	for _, w := range s.waits {
		if w.since.IsZero() {
			w.since = s.now
		}
		if late(w) && label == "" {
			label = describe(w.label)
		}
	}
	if label != "" {
		s.fail(s.timeout(label, late))
	}
}

func (s *Session) timeout(label string, which func(*wait) bool) *TimeoutError {
	e := &TimeoutError{Seats: s.outstanding(which), Label: label}
	for _, seat := range e.Seats {
		e.Names = append(e.Names, s.peers[seat].Name)
	}
	return e
}

// outstanding lists the seats that the chosen waits are for, ascending.
func (s *Session) outstanding(which func(*wait) bool) []int {
	var seats []int
	for _, w := range s.waits {
		if w.left > 0 && which(w) {
			seats = append(seats, w.lacking()...)
		}
	}
	slices.Sort(seats)
	return slices.Compact(seats)
}

// asks collects what is due to be asked for, one message per peer.
func (s *Session) asks() []packet {
	var due map[*peer][]LabelAsk
	for _, w := range s.waits {
		for _, in := range w.ins {
			if in.complete() || !in.from.keyed {
				continue
			}
			if in.next.IsZero() {
				in.every = askFirst
				in.next = s.now.Add(s.jitter(askFirst))
				continue
			}
			if s.now.Before(in.next) || len(due[in.from]) == maxAskLabels {
				continue
			}
			in.every = min(2*in.every, askMost)
			in.next = s.now.Add(s.jitter(in.every))
			if due == nil {
				due = map[*peer][]LabelAsk{}
			}
			l := LabelAsk{Label: []byte(in.label), Have: in.have}
			if in.chunks > 0 {
				l.Missing = in.missing(in.have, maxAskChunks)
			}
			due[in.from] = append(due[in.from], l)
		}
	}
	var outs []packet
	for _, p := range s.peers {
		if len(due[p]) > 0 {
			outs = append(outs, s.ask(p, due[p]))
		}
	}
	return outs
}

func (s *Session) ask(p *peer, labels []LabelAsk) packet {
	s.stats.Asks++
	own := s.peers[s.cfg.Self].FP
	return packet{p.seat, sealAsk(Ask{SID: s.cfg.SID, From: own[:], To: p.FP[:], Labels: labels}, p.askKey)}
}

// jitter lengthens d by up to a quarter, so that many receivers do not ask in step.
func (s *Session) jitter(d time.Duration) time.Duration {
	var b [2]byte
	if _, err := io.ReadFull(s.rand, b[:]); err != nil {
		return d
	}
	return d + d*time.Duration(binary.BigEndian.Uint16(b[:]))/(4<<16)
}

// describe names a label for people: call path, round and vector.
func describe(label string) string {
	path, rest, ok := cutLP([]byte(label))
	if !ok || len(rest) < 4 {
		return "an unreadable step"
	}
	round := binary.BigEndian.Uint32(rest)
	vector, _, _ := cutLP(rest[4:])
	text := ""
	for len(path) > 0 {
		name, tail, ok := cutLP(path)
		if !ok || len(tail) < 4 {
			break
		}
		text += fmt.Sprintf("%s#%d/", shown(name), binary.BigEndian.Uint32(tail))
		path = tail[4:]
	}
	return fmt.Sprintf("%s%s, round %d", text, shown(vector), round)
}

// shown makes a name printable and short: a label may be a peer's.
func shown(name []byte) string {
	q := strconv.QuoteToASCII(string(name[:min(len(name), 40)]))
	return q[1 : len(q)-1]
}

func cutLP(b []byte) (head, tail []byte, ok bool) {
	if len(b) < 4 || uint64(binary.BigEndian.Uint32(b)) > uint64(len(b)-4) {
		return nil, nil, false
	}
	n := 4 + int(binary.BigEndian.Uint32(b))
	return b[4:n], b[n:], true
}

// Progress is what the protocol has reported last, and whose messages it waits for now.
func (s *Session) Progress() simon.Progress {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.last
	p.Waiting = s.outstanding(func(*wait) bool { return true })
	return p
}

// Report passes progress on to the owner.
func (c *call) Report(p simon.Progress) {
	c.s.mu.Lock()
	c.s.last = p
	c.s.mu.Unlock()
	if c.s.cfg.Progress != nil {
		c.s.cfg.Progress(p)
	}
}
