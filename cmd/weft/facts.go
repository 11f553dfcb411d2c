package main

import (
	"github.com/weftmpc/weft/gateway"
	"github.com/weftmpc/weft/node"
)

// facts are what the node's configuration, its own certificate and the computations so far tell of a party.
func (c partyConfig) facts(n *node.Node) func(party string) gateway.Facts {
	return func(party string) gateway.Facts {
		known := n.Seat().Known(party)
		f := gateway.Facts{Seen: known.Seen, Expires: known.Expires}
		if peer, ok := n.Seat().Peer(party); ok {
			f.Organisation = peer.Organisation
		}
		if party == c.identity.Name() {
			f.Expires = c.identity.Leaf.NotAfter
		}
		return f
	}
}
