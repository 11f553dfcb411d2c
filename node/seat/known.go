package seat

import (
	"sync"
	"time"

	"github.com/weftmpc/weft/simon"
)

// Known is what this process has learnt of a party. Zero times: nothing yet.
type Known struct {
	Seen    time.Time // when the last computation ended in which its messages came, under the pair's own key
	Expires time.Time // of the certificate in its newest JOIN that led to a START
}

// acquaintance keeps what is known of all parties; there are as many as the allow-list has.
type acquaintance struct {
	mu    sync.Mutex
	known map[string]Known // by name
}

func (a *acquaintance) note(name string, change func(*Known)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.known == nil {
		a.known = map[string]Known{}
	}
	k := a.known[name]
	change(&k)
	a.known[name] = k
}

// Known is what this process has learnt of the party called name.
func (s *Seat) Known(name string) Known {
	s.met.mu.Lock()
	defer s.met.mu.Unlock()
	return s.met.known[name]
}

// Progress is the message step that is under way, how many there will be, and who is waited for; zero after a restart.
func (r *Run) Progress() (p simon.Progress, waiting []string) {
	if r.session == nil {
		return p, nil
	}
	p = r.session.Progress()
	for _, seat := range p.Waiting {
		waiting = append(waiting, r.peers[seat].Name)
	}
	return p, waiting
}
