package node

import "github.com/weftmpc/weft/node/seat"

// Stats are sums over all computations since the node was made. They tell nothing about single ones.
func (n *Node) Stats() seat.Stats { return n.seat.Stats() }
