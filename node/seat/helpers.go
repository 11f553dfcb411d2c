package seat

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/weftmpc/weft/broker/identity"
	"github.com/weftmpc/weft/coordinator"
	"github.com/weftmpc/weft/node/session"
	"github.com/weftmpc/weft/simon"
)

// mostStrangers is how many senders that are on no list may leave messages for a computation that has not started here and
// that has a helper: its name is not known before its JOIN is.
const mostStrangers = 2

// stranger reports whether only a name is known of p.
func (p Peer) stranger() bool { return p.FP == identity.Fingerprint{} }

// is reports whether the sender p is the participant with this fingerprint and name. Who is on no list can be a helper only,
// or, where this seat is one, anybody. A name proves nothing: what counts is authenticated under the pair's key, or signed.
func (s *Seat) is(p Peer, fp identity.Fingerprint, name string, helper bool) bool {
	if p.stranger() {
		return p.Name == name && (helper || s.cfg.Helper)
	}
	return p.FP == fp
}

// seatFrom is the seat of the sender of a message.
func (r *Run) seatFrom(p Peer) (int, bool) {
	for i := range r.peers {
		if i != r.self && r.seat.is(p, r.peers[i].FP, r.peers[i].Name, i >= r.among) {
			return i, true
		}
	}
	return 0, false
}

// helped reports whether one of the two ends of the pair with a seat is a helper's.
func (r *Run) helped(seat int) bool { return max(seat, r.self) >= r.among }

// strangers is how many senders on no list may leave early messages for a computation.
func (s *Seat) strangers(c coordinator.Common) int {
	switch {
	case s.cfg.Helper:
		return len(c.Parties)
	case len(c.Helpers()) > 0:
		return mostStrangers
	}
	return 0
}

// checkTogether looks at who takes part together: names are distinct, a helper belongs to no party's organisation, and the
// evaluators to two, unless this node's own administrator lists them under one. leaves are by seat.
func (s *Seat) checkTogether(c coordinator.Common, leaves []*identity.Leaf) error {
	for i, l := range leaves {
		if slices.ContainsFunc(leaves[:i], func(o *identity.Leaf) bool { return o.Name == l.Name }) {
			return fmt.Errorf("two participants are called %s", l.Name)
		}
		if i < len(c.Parties) {
			continue
		}
		if _, ok := s.Peer(l.Name); ok {
			return fmt.Errorf("the helper has the name of a party, %s", l.Name)
		}
		for k, p := range leaves[:len(c.Parties)] {
			if sameOrganisation(p.Organisation, l.Organisation) || sameOrganisation(s.configured(c.Parties[k]), l.Organisation) {
				return fmt.Errorf("the helper %s and the party %s belong to one organisation (%s)", l.Name, p.Name, l.Organisation)
			}
		}
	}
	s0, s1 := slices.Index(c.Parties, c.S0), slices.Index(c.Parties, c.S1)
	if s0 < 0 || s1 < 0 || s.cfg.Helper {
		return nil
	}
	if sameOrganisation(leaves[s0].Organisation, leaves[s1].Organisation) && !sameOrganisation(s.configured(c.S0), s.configured(c.S1)) {
		return fmt.Errorf("by their certificates the evaluators %s and %s belong to one organisation (%s), and not by this node's configuration",
			leaves[s0].Name, leaves[s1].Name, leaves[s0].Organisation)
	}
	return nil
}

// configured is the organisation that this node's configuration gives a party; "" where it has none.
func (s *Seat) configured(fp identity.Fingerprint) string {
	p, _ := s.peer(fp)
	return p.Organisation
}

func sameOrganisation(a, b string) bool {
	return strings.EqualFold(strings.TrimSpace(a), strings.TrimSpace(b))
}

// learn keeps the helpers' names. Only the coordinator that this node is configured for can be one, so there are few.
func (s *Seat) learn(peers []participant, parties int) {
	if len(peers) == parties || s.cfg.Helper {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.helpers) > 64 {
		clear(s.helpers)
	}
	for _, p := range peers[parties:] {
		s.helpers[p.FP] = p.Name
	}
}

// roles are the seats of who does what.
func roles(c coordinator.Common, first int) map[simon.Role]int {
	all := map[simon.Role]int{simon.First: first}
	places := append(slices.Clone(c.Parties), c.Helpers()...)
	for role, fp := range map[simon.Role]identity.Fingerprint{
		simon.S0: c.S0, simon.S1: c.S1, simon.Dealer: c.Dealer, simon.Opener: c.Opener, simon.Aggregator: c.Aggregator,
	} {
		if seat := slices.Index(places, fp); seat >= 0 {
			all[role] = seat
		}
	}
	return all
}

// budget bounds what a computation holds at a helper's seat; at a party's, the session does.
func (s *Seat) budget(c coordinator.Common) *session.Budget {
	if s.cfg.Budget == nil {
		return nil
	}
	return s.cfg.Budget(c)
}

var errSent = errors.New("seat: this computation has sent as much to one participant as a helper sends")

// count bounds what a helper sends to a seat.
func (r *Run) count(seat, n int) error {
	most := r.seat.cfg.Bytes
	if most == 0 {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sent == nil {
		r.sent = make([]int64, len(r.peers))
	}
	if r.sent[seat]+int64(n) > most {
		return errSent
	}
	r.sent[seat] += int64(n)
	return nil
}

// greet proves to a peer that the pair's key stands here, where a helper is at one end and the peer does not know yet: it
// has sent its INIT. Else the two would send each other INITs in every computation, for want of bodies in both directions.
func (r *Run) greet(seat int) {
	r.mu.Lock()
	due := r.helped(seat) && r.peers[seat].invited && r.peers[seat].keyed
	r.mu.Unlock()
	if due {
		r.session.Greet(seat)
	}
}
