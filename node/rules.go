package node

import (
	"context"
	"errors"

	"github.com/weftmpc/weft/node/policy"
	"github.com/weftmpc/weft/node/seat"
)

// errReloaded ends an open request whose rules are not those of the node any more; it is judged and sent again.
var errReloaded = errors.New("the rules of this node have changed")

// rules are what an attempt is judged by, until they are replaced.
type rules struct {
	policy policy.Policy
	over   context.Context // ends when they are replaced
	end    context.CancelFunc
}

// SetRules replaces the policy and the list of parties, own entry included. Computations that run go on. Requests that have
// not started are withdrawn and judged anew: those that the new rules forbid end, the others are sent again.
func (n *Node) SetRules(p policy.Policy, parties []seat.Peer) error {
	if err := n.seat.Allow(parties); err != nil {
		return err
	}
	n.setPolicy(p)
	return nil
}

func (n *Node) setPolicy(p policy.Policy) {
	if p.Profile == 0 {
		p.Profile = policy.Strict
	}
	p.Coordinator = n.cfg.Coordinator
	next := &rules{policy: p}
	next.over, next.end = context.WithCancel(context.Background())
	if before := n.rules.Swap(next); before != nil {
		before.end()
	}
}
