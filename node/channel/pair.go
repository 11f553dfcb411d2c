package channel

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/weftmpc/weft/broker/identity"
)

// Pair is the channel of an own and a peer's bundle. Its methods may be called at the same time.
type Pair struct {
	self  *identity.Identity
	own   *bundle
	peer  *checked
	until int64 // unix ns, the end of the first of the two bundles; guarded by Channels.mu

	mu     sync.Mutex
	init   []byte   // own INIT, made once
	sent   [32]byte // the secret encapsulated in it, until k is there
	got    []byte   // the peer's INIT, once accepted
	k      [32]byte
	epoch  [16]byte
	ready  bool // k and epoch are there
	erased bool

	confirmed atomic.Bool
}

// Confirm notes that the peer has proved to hold the secret, by anything authenticated under it: the own INIT has arrived
// and need not be sent again.
func (p *Pair) Confirm() { p.confirmed.Store(true) }

// Confirmed reports whether Confirm was called.
func (p *Pair) Confirmed() bool { return p.confirmed.Load() }

// Init returns the own INIT, the same bytes ever after.
func (p *Pair) Init() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return bytes.Clone(p.init)
}

// Accept takes the peer's INIT and derives the secret from it. The same bytes again are nil; other bytes that the
// peer signed for the same two bundles are ErrDifferentInit. After any error the pair is as it was before.
func (p *Pair) Accept(init []byte) error {
	m, err := decodeInit(init)
	if err != nil {
		return err
	}
	if err := p.addressed(&m); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.erased:
		return ErrErased
	case p.ready && bytes.Equal(p.got, init):
		return nil
	}
	if err := identity.Verify(p.peer.leaf.Key, identity.ContextInit, init[:initSigned], m.sig[:]); err != nil {
		return fmt.Errorf("channel: INIT of %s: %w", p.peer.leaf.Name, err)
	}
	if p.ready {
		return ErrDifferentInit
	}
	return p.derive(&m, bytes.Clone(init))
}

// addressed checks that an INIT is from this pair's peer to this end, for these two bundles.
func (p *Pair) addressed(m *initMessage) error {
	if m.from != p.peer.bundle.FP || m.to != p.self.FP() {
		return fmt.Errorf("channel: INIT is from %s to %s, not from %s to this node", m.from, m.to, p.peer.leaf.Name)
	}
	if m.fromBundle != p.peer.hash || m.toBundle != p.own.hash {
		return fmt.Errorf("channel: INIT of %s is for other bundles", p.peer.leaf.Name)
	}
	return nil
}

// derive finds K; p.mu is held.
func (p *Pair) derive(m *initMessage, init []byte) error {
	received, err := p.own.open(m.enc[:], contextInfo(p.peer.hash, p.own.hash))
	if err != nil {
		return fmt.Errorf("channel: INIT of %s: %w", p.peer.leaf.Name, err)
	}
	lo := end{bundle: p.own.raw, init: p.init, ss: p.sent}
	hi := end{bundle: p.peer.raw, init: init, ss: received}
	defer func() { clear(lo.ss[:]); clear(hi.ss[:]); clear(received[:]) }()
	if p.self.FP().Compare(p.peer.bundle.FP) > 0 {
		lo, hi = hi, lo
	}
	if p.k, p.epoch, err = schedule(lo, hi); err != nil {
		return fmt.Errorf("channel: %w", err)
	}
	clear(p.sent[:])
	p.got, p.ready = init, true
	return nil
}

// Secret returns K and the epoch. ok is false until Accept has succeeded, and again after erasure.
// The caller erases its copy when it has derived what it needs.
func (p *Pair) Secret() (k [32]byte, epoch [16]byte, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.k, p.epoch, p.ready
}

// start makes the own INIT if there is none.
func (p *Pair) start(c *Channels) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.erased:
		return ErrErased
	case p.init != nil:
		return nil
	}
	m := initMessage{fromBundle: p.own.hash, toBundle: p.peer.hash, from: p.self.FP(), to: p.peer.bundle.FP}
	if err := c.random(m.nonce[:]); err != nil {
		return err
	}
	enc, ss, err := encapsulate(p.peer.pk, contextInfo(p.own.hash, p.peer.hash))
	defer clear(ss[:])
	if err != nil {
		return err
	}
	if len(enc) != encSize {
		return errors.New("channel: the KEM's encapsulation has an unexpected size")
	}
	copy(m.enc[:], enc)
	copy(m.sig[:], p.self.Sign(identity.ContextInit, m.signed()))
	p.init, p.sent = m.encode(), ss
	return nil
}

// erase overwrites the secrets. INITs are public and stay.
func (p *Pair) erase() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.k[:])
	clear(p.sent[:])
	clear(p.epoch[:])
	p.ready, p.erased = false, true
}

// Format prints who is at the ends and nothing of the secret, whatever the verb.
func (p *Pair) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "channel %s-%s [secret]", p.self.Name(), p.peer.leaf.Name)
}
