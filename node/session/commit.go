package session

import (
	"errors"
	"fmt"
	"slices"
)

// CommitState is how far the notices of a computation have come.
type CommitState uint8

// The states of a Commit. Open is the only one that more notices are needed for; Failed, once there, stays.
const (
	Open        CommitState = iota + 1 // notices are missing
	Done                               // everybody confirmed the same
	PeerAborted                        // somebody aborted and has not confirmed: nobody can complete this
	Failed                             // somebody signed what does not fit together, or aborted for good
)

func (s CommitState) String() string {
	switch s {
	case Open:
		return "open"
	case Done:
		return "done"
	case PeerAborted:
		return "peer aborted"
	case Failed:
		return "failed"
	}
	return fmt.Sprintf("state %d", uint8(s))
}

// Verdict is what the notices say so far.
type Verdict struct {
	State  CommitState
	Seat   int    // PeerAborted, Failed: who; -1 otherwise
	Seats  []int  // Failed: all to whom Reason applies, ascending
	Reason string // Failed: a clause whose subject is the party in Seat
	Code   uint16 // PeerAborted, and Failed by an ABORT: its code
}

// Codes of an ABORT that end a job for good: a retry would meet the same cheat or the same refusal.
const (
	codeEquivocation uint16 = 3
	codeRefused      uint16 = 5
)

// Errors of Commit.Add. None of them changes the state.
var (
	ErrUnknownSigner    = errors.New("session: the notice's signer takes no part in this computation")
	ErrOtherComputation = errors.New("session: the notice is of another computation")
)

// Commit counts the notices of one computation. Its verdict does not depend on their order. It is not safe for concurrent
// use.
type Commit struct {
	sid        [32]byte
	ps         []Participant
	self       int
	deaf       []int // seats of dealers that are no parties
	unsure     []int // seats of helpers that may be deaf
	recipients []int
	th, rh     [32]byte
	said       []said
}

// said is what one participant has signed.
type said struct {
	confirm *Notice
	twice   bool // two different CONFIRMs
	abort   *Notice
}

// NewCommit starts to count. th and rh are the own hashes; the own notice is added like any other. parties is how many of
// ps are parties, recipients who of ps receives the opening.
func NewCommit(sid [32]byte, ps []Participant, self, parties int, recipients []int, th, rh [32]byte) *Commit {
	if self < 0 || self >= len(ps) || parties > len(ps) {
		panic("session: a commit's own seat is not among its participants")
	}
	return &Commit{
		sid: sid, ps: slices.Clone(ps), self: self, recipients: slices.Clone(recipients), th: th, rh: rh,
		said: make([]said, len(ps)),
	}
}

// Deaf says that the participant in a seat hears nothing: it confirms the transcript's start, and, if the seat is the own
// one, cannot tell more of the parties' transcripts than that they are equal.
func (c *Commit) Deaf(seat int) { c.deaf = append(c.deaf, seat) }

// Unsure says that it is not known whether the participant in a seat, a helper, is deaf.
func (c *Commit) Unsure(seat int) { c.unsure = append(c.unsure, seat) }

// course is the transcript hash that the participant in seat i should confirm.
func (c *Commit) course(i int) [32]byte {
	start := transcriptStart(c.sid)
	if slices.Contains(c.deaf, i) {
		return start
	}
	if s := c.said[i].confirm; s != nil && s.TH == start && slices.Contains(c.unsure, i) {
		return start
	}
	if slices.Contains(c.deaf, c.self) {
		for k, s := range c.said {
			if s.confirm != nil && !slices.Contains(c.deaf, k) {
				return s.confirm.TH
			}
		}
	}
	return c.th
}

// Add verifies a notice and counts it. The same notice twice is fine.
func (c *Commit) Add(n Notice) error {
	if n.SID != c.sid {
		return ErrOtherComputation
	}
	i := slices.IndexFunc(c.ps, func(p Participant) bool { return p.FP == n.FP })
	if i < 0 {
		return ErrUnknownSigner
	}
	if err := n.Verify(c.ps[i].Key); err != nil {
		return err
	}
	c.count(i, n)
	return nil
}

// AddVerified is Add for a notice whose signature the caller has verified under the key of the participant that it names.
func (c *Commit) AddVerified(n Notice) error {
	if n.SID != c.sid {
		return ErrOtherComputation
	}
	i := slices.IndexFunc(c.ps, func(p Participant) bool { return p.FP == n.FP })
	if i < 0 {
		return ErrUnknownSigner
	}
	c.count(i, n)
	return nil
}

// Has reports whether this very notice is counted, or another by which it changes nothing.
func (c *Commit) Has(n Notice) bool {
	return slices.ContainsFunc(c.said, func(s said) bool {
		return (s.confirm != nil && *s.confirm == n) || (s.abort != nil && *s.abort == n)
	})
}

func (c *Commit) count(i int, n Notice) {
	s := &c.said[i]
	switch {
	case !n.Confirm:
		if s.abort == nil || graver(n.Code, s.abort.Code) {
			s.abort = &n
		}
	case s.confirm == nil:
		s.confirm = &n
	case s.confirm.TH != n.TH || s.confirm.RH != n.RH:
		s.twice = true
	}
}

// graver orders the codes of two ABORTs of one signer, so that the verdict does not depend on which came first.
func graver(a, b uint16) bool {
	rank := func(c uint16) int {
		if c == codeEquivocation || c == codeRefused {
			return int(c) - 1<<16
		}
		return int(c)
	}
	return rank(a) < rank(b)
}

// Missing lists the seats that have signed nothing yet, ascending.
func (c *Commit) Missing() []int {
	var m []int
	for i, s := range c.said {
		if s.confirm == nil && s.abort == nil {
			m = append(m, i)
		}
	}
	return m
}

// Verdict judges what has come so far. The gravest finding wins, and among equals the lowest seat.
func (c *Commit) Verdict() Verdict {
	if seats := c.where(func(_ int, s said) bool { return s.confirm != nil && s.abort != nil }); seats != nil {
		return failed(seats, "signed both that it confirms and that it aborts this computation")
	}
	if seats := c.where(func(_ int, s said) bool { return s.twice }); seats != nil {
		return failed(seats, "signed two different confirmations of this computation")
	}
	if seats := c.where(func(i int, s said) bool { return s.confirm != nil && s.confirm.TH != c.course(i) }); seats != nil {
		return failed(seats, "confirms a different course of the computation: somebody sent different messages for one step")
	}
	if seats := c.where(c.otherResult); seats != nil {
		return failed(seats, "confirms a different result")
	}
	aborted := c.where(func(_ int, s said) bool { return s.abort != nil })
	for _, i := range aborted {
		if code := c.said[i].abort.Code; code == codeEquivocation || code == codeRefused {
			v := failed([]int{i}, "ended the computation because a party sent different messages for one step")
			if code == codeRefused {
				v.Reason = "refused the computation"
			}
			v.Code = code
			return v
		}
	}
	if aborted != nil {
		return Verdict{State: PeerAborted, Seat: aborted[0], Seats: aborted, Code: c.said[aborted[0]].abort.Code}
	}
	if len(c.Missing()) > 0 {
		return Verdict{State: Open, Seat: -1}
	}
	return Verdict{State: Done, Seat: -1}
}

func failed(seats []int, reason string) Verdict {
	return Verdict{State: Failed, Seat: seats[0], Seats: seats, Reason: reason}
}

func (c *Commit) where(f func(int, said) bool) []int {
	var seats []int
	for i, s := range c.said {
		if f(i, s) {
			seats = append(seats, i)
		}
	}
	return seats
}

// otherResult reports whether seat i confirms another result than it should: zero where it receives none, the own one,
// or, where the own seat receives none, that of the first recipient who confirmed.
func (c *Commit) otherResult(i int, s said) bool {
	if s.confirm == nil {
		return false
	}
	if !slices.Contains(c.recipients, i) {
		return s.confirm.RH != [32]byte{}
	}
	if slices.Contains(c.recipients, c.self) {
		return s.confirm.RH != c.rh
	}
	for _, r := range c.recipients {
		if first := c.said[r].confirm; first != nil {
			return s.confirm.RH != first.RH
		}
	}
	return false
}

// NoticeOf returns the notice of a seat that should be shown to others, if it has signed one.
func (c *Commit) NoticeOf(seat int) (Notice, bool) {
	switch s := c.said[seat]; {
	case s.confirm != nil:
		return *s.confirm, true
	case s.abort != nil:
		return *s.abort, true
	}
	return Notice{}, false
}
