package seat

import (
	"errors"
	"maps"

	"github.com/weftmpc/weft/broker/identity"
)

// allowed is the list of parties; it never changes, but is replaced as a whole.
type allowed struct {
	byName map[string]Peer
	byFP   map[identity.Fingerprint]Peer
	former map[string]Peer // that were on an earlier list, by name
}

// Allow replaces the list of parties, own entry included. Computations that run go on with whom they began; a START with
// anybody else is refused from now on.
func (s *Seat) Allow(peers []Peer) error {
	next := &allowed{byName: map[string]Peer{}, byFP: map[identity.Fingerprint]Peer{}, former: map[string]Peer{}}
	for _, p := range peers {
		next.byName[p.Name], next.byFP[p.FP] = p, p
	}
	if me, ok := next.byFP[s.cfg.Identity.FP()]; !ok || me.Name != s.cfg.Identity.Name() {
		return errors.New("seat: the list of parties has no entry with this node's own name and fingerprint")
	}
	if before := s.allowed.Load(); before != nil {
		maps.Copy(next.former, before.former)
		maps.Copy(next.former, before.byName)
	}
	s.allowed.Store(next)
	return nil
}

// Peer returns the allow-listed party called name.
func (s *Seat) Peer(name string) (Peer, bool) {
	p, ok := s.allowed.Load().byName[name]
	return p, ok
}

func (s *Seat) peer(fp identity.Fingerprint) (Peer, bool) {
	p, ok := s.allowed.Load().byFP[fp]
	return p, ok
}

// sender returns the party called name, which may be one of an earlier list: a computation that runs, or that the ledger
// has, still wants its messages.
func (s *Seat) sender(name string) (Peer, bool) {
	a := s.allowed.Load()
	p, ok := a.byName[name]
	if !ok {
		p, ok = a.former[name]
	}
	if !ok { // a helper, perhaps: the computation knows it by name, from the certificate in its JOIN
		return Peer{Name: name}, identity.CheckName(name) == nil
	}
	return p, ok
}

// Name returns the configured name of a fingerprint, or its first digits.
func (s *Seat) Name(fp identity.Fingerprint) string {
	if p, ok := s.peer(fp); ok {
		return p.Name
	}
	s.mu.Lock()
	name, ok := s.helpers[fp]
	s.mu.Unlock()
	if ok {
		return name
	}
	return "party " + fp.String()[:16]
}
