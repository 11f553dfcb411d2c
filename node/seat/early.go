package seat

import "github.com/google/uuid"

// Bounds of what is kept, per computation and peer, of messages that come before the own START.
const (
	earlyMessages = 64
	earlyBytes    = 8 << 20
	earlyTotal    = 64 << 20 // of a node
)

// early keeps messages of computations that have an open JOIN here but no START yet. What does not fit is dropped and
// asked for later. Its owner locks it.
type early struct {
	byUUID map[uuid.UUID]*earlyBox
	bytes  int
}

type earlyBox struct {
	joins     int // open JOINs of this uuid
	strangers int // how many senders that are on no list may leave messages
	peers     map[string]*earlyPeer
}

type earlyPeer struct {
	messages [][]byte
	bytes    int
}

func newEarly() early { return early{byUUID: map[uuid.UUID]*earlyBox{}} }

// expect opens the box of a uuid, once per open JOIN, for everybody on the list and so many others.
func (e *early) expect(id uuid.UUID, strangers int) {
	b := e.byUUID[id]
	if b == nil {
		b = &earlyBox{peers: map[string]*earlyPeer{}}
		e.byUUID[id] = b
	}
	b.joins++
	b.strangers = max(b.strangers, strangers)
}

// release ends one expect. The box goes with the last.
func (e *early) release(id uuid.UUID) {
	if b := e.byUUID[id]; b != nil {
		if b.joins--; b.joins == 0 {
			e.take(id)
			delete(e.byUUID, id)
		}
	}
}

func (e *early) keep(id uuid.UUID, from Peer, m []byte) {
	b := e.byUUID[id]
	if b == nil {
		return
	}
	p := b.peers[from.Name]
	if p == nil {
		if from.stranger() {
			if b.strangers == 0 {
				return
			}
			b.strangers--
		}
		p = &earlyPeer{}
		b.peers[from.Name] = p
	}
	if len(p.messages) < earlyMessages && p.bytes+len(m) <= earlyBytes && e.bytes+len(m) <= earlyTotal {
		p.messages = append(p.messages, m)
		p.bytes += len(m)
		e.bytes += len(m)
	}
}

// take empties the box of a uuid: its messages by sender.
func (e *early) take(id uuid.UUID) map[string][][]byte {
	b := e.byUUID[id]
	if b == nil {
		return nil
	}
	all := make(map[string][][]byte, len(b.peers))
	for name, p := range b.peers {
		all[name] = p.messages
		e.bytes -= p.bytes
	}
	b.peers = map[string]*earlyPeer{}
	return all
}
