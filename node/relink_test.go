package node

import (
	"testing"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/simon/simontest"
)

// What was asked while the link was down is lost: when it is back, an open JOIN is sent at once, not after up to ten seconds.
func TestJoinWhenTheLinkIsBack(t *testing.T) {
	f := newFleet(t, simontest.Faults{}, three...)
	w, id := f.watch(), uuid.New()
	f.submit("alice", id, "1", patience)
	const links = 12 // by itself the JOIN would leave so often in a minute and a half
	for n := range links {
		f.await("another JOIN", func() bool { return len(w.seen(is(kindJoin, id))) > n })
		f.members["alice"].node.reconnected()
	}
}
