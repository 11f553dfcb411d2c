package session

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"github.com/weftmpc/weft/simon"
)

// Inputs go to both evaluators, and a party that sends them different ones steers what is opened without anybody's notice.
// So each evaluator keeps a digest over the salted inputs that it has, its own included, and the engine puts it before the
// body of the evaluators' next Exchange. All parties compare the two, the evaluators among them, before anything is made of
// what was exchanged. A protocol that ends with inputs that were never compared is an error.
//
// What is an input is the receiver's to know, not the sender's to say: a Receive at an evaluator is one of inputs where this
// evaluator has sent its own under the same label. All inputs of a label are received in one Receive.

const digestSize = sha256.Size

// ownInput is what an evaluator has sent as its own input.
type ownInput struct {
	hash [32]byte // of salt and body
	body []byte   // for the own Receive; nil once it was asked for
}

// evaluators are the seats of both, ascending; ok is false where there are none.
func (s *Session) evaluators() (seats []int, ok bool) {
	s0, ok0 := s.cfg.Roles[simon.S0]
	s1, ok1 := s.cfg.Roles[simon.S1]
	if !ok0 || !ok1 || s0 == s1 || s0 >= s.cfg.Parties || s1 >= s.cfg.Parties {
		return nil, false
	}
	return []int{min(s0, s1), max(s0, s1)}, true
}

// SendInput sends body to both evaluators. See simon.Session.
func (c *call) SendInput(ctx context.Context, l simon.Label, body []byte) error {
	s := c.s
	to, ok := s.evaluators()
	if !ok {
		return misuse("inputs are for two evaluators, which this computation does not have")
	}
	if s.cfg.Self >= s.cfg.Parties {
		return misuse("seat %d is a helper's and has no input", s.cfg.Self)
	}
	r, err := c.run(ctx, step{label: l, send: true, body: body, to: to})
	if err != nil {
		return err
	}
	defer c.rest()
	if !slices.Contains(to, s.cfg.Self) {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.reserve(int64(len(body))) {
		return s.outOfMemory()
	}
	if c.inputs == nil {
		c.inputs = map[string]*ownInput{}
	}
	c.inputs[r.label] = &ownInput{hash: bodyHash(&r.salt, body), body: append([]byte{}, body...)}
	return nil
}

// taken reports whether the own body was received; then it is gone.
func (o *ownInput) taken() bool { return o.body == nil }

// own returns what this evaluator has sent as input under l; nil: nothing, and what it receives is no input.
func (c *call) own(l simon.Label) *ownInput {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	return c.inputs[string(labelBytes(c.path, l))]
}

// digest takes received inputs into the digest: H("weft/v1/inputs" || digest || LP(label) || u32(seat) || H(salt || body) ...)
// in seat order, own one included. It returns the own body for who receives from itself, too.
func (c *call) digestInputs(own *ownInput, label string, from []int, salted [][]byte) []byte {
	s := c.s
	type part struct {
		seat int
		hash [32]byte
	}
	parts := []part{{s.cfg.Self, own.hash}}
	for i, seat := range from {
		parts = append(parts, part{seat, sha256.Sum256(salted[i])})
	}
	slices.SortFunc(parts, func(a, b part) int { return a.seat - b.seat })
	s.mu.Lock()
	defer s.mu.Unlock()
	b := append([]byte("weft/v1/inputs"), c.digest[:]...)
	b = appendLP(b, label)
	for _, p := range parts {
		b = binary.BigEndian.AppendUint32(b, uint32(p.seat))
		b = append(b, p.hash[:]...)
	}
	c.digest = sha256.Sum256(b)
	body := own.body
	own.body = nil
	s.release(int64(len(body)))
	return body
}

// foldInputs takes what a call that is over has not compared into its parent's digest. The caller holds the lock.
func (c *call) foldInputs(children []*call) {
	for _, k := range children {
		if k.digest != ([32]byte{}) {
			c.digest = sha256.Sum256(append(append([]byte("weft/v1/inputs-join"), c.digest[:]...), k.digest[:]...))
		}
	}
}

// compares reports whether an exchange of from carries the digests: it is the evaluators', and nobody else's.
func (c *call) compares(from []int) bool {
	seats, ok := c.s.evaluators()
	return ok && slices.Equal(seats, from)
}

// withDigest is the body of an evaluator's exchange.
func (c *call) withDigest(body []byte) []byte {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	return append(append(make([]byte, 0, digestSize+len(body)), c.digest[:]...), body...)
}

// compare takes the digests off the evaluators' bodies.
func (c *call) compare(from []int, bodies [][]byte) error {
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	cheat := func(seat int, name, reason string) error {
		err := &EquivocationError{Seat: seat, Name: name, Reason: reason}
		s.fail(err)
		return err
	}
	for i, b := range bodies {
		if len(b) < digestSize {
			p := s.peers[from[i]]
			return cheat(p.seat, p.Name, "sent no digest of the inputs it has received")
		}
	}
	a, b := s.peers[from[0]], s.peers[from[1]]
	if !bytes.Equal(bodies[0][:digestSize], bodies[1][:digestSize]) {
		return cheat(a.seat, a.Name+" and "+b.Name, "evaluate different inputs: a party has sent them different ones, or one of them says so")
	}
	for i := range bodies {
		bodies[i] = bodies[i][digestSize:]
	}
	c.digest = [32]byte{}
	return nil
}
