package channel

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"
	"time"

	"github.com/weftmpc/weft/broker/identity"
)

const (
	// BundleEvery is the time from one own bundle to the next. A JOIN lives for at most an hour, so one made just
	// before the next bundle still ends before its own bundle does.
	BundleEvery = 45 * time.Minute
	// BundleValid is how long a bundle and its private key live after they are made.
	BundleValid = 2 * time.Hour
	// Tolerance is how far a peer's clock may be behind: not_before lies that much before the making of a bundle.
	Tolerance = 2 * time.Minute
)

// pairsPerBundle bounds the pairs of one own bundle. A party makes at most four bundles in the life of another
// party's bundle unless it restarts, and a computation has at most 128 parties: 32 each.
const pairsPerBundle = 128 * 32

var (
	// ErrNoKey says that the own bundle is not one of this process, or that its private key was erased.
	ErrNoKey = errors.New("no private key for the own bundle: it is of an earlier process or past its end; join again")
	// ErrErased says that the pair is past the end of one of its bundles.
	ErrErased = errors.New("the keys of this pair of bundles were erased at the end of a bundle; join again")
	// ErrDifferentInit says that a peer signed two different INITs for one pair of bundles.
	ErrDifferentInit = errors.New("the peer signed a second, different INIT for the same two bundles: two processes may be running with its identity")
	// ErrTime says that a bundle is not valid now by the local clock.
	ErrTime = errors.New("bundle is not valid now")
)

// Config says whose channels these are.
type Config struct {
	// Identity signs bundles and INITs. Required.
	Identity *identity.Identity
	// Rand gives the seeds of bundle keys and the nonces. Nil means crypto/rand. Encapsulation always
	// draws from the standard library's own source.
	Rand io.Reader
}

// Channels holds the own bundles and the pairs made with them. Its methods may be called at the same time.
type Channels struct {
	id *identity.Identity

	randMu sync.Mutex // one reader of rand at a time
	rand   io.Reader

	rotate sync.Mutex // held while a bundle is made, so that two callers do not make two

	mu      sync.Mutex // guards what follows; never held during public key operations
	current *bundle
	own     map[[32]byte]*bundle
	checked cache
}

// New returns the channels of an identity. There is no bundle yet.
func New(c Config) *Channels {
	if c.Identity == nil {
		panic("channel: Config.Identity is nil")
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	return &Channels{id: c.Identity, rand: c.Rand, own: make(map[[32]byte]*bundle), checked: newCache(cacheSize)}
}

// Bundle returns the own current bundle, encoded. It makes a new one if there is none or the last is older than
// BundleEvery. A bundle never outlives the certificate.
func (c *Channels) Bundle(now time.Time) ([]byte, error) {
	c.rotate.Lock()
	defer c.rotate.Unlock()
	if b := c.fresh(now); b != nil {
		return bytes.Clone(b.raw), nil
	}
	b, err := c.newBundle(now)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.current, c.own[b.hash] = b, b
	return bytes.Clone(b.raw), nil
}

// fresh returns the current bundle if it can still be published.
func (c *Channels) fresh(now time.Time) *bundle {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.current
	if b == nil || !b.validAt(now) || now.UnixNano() >= b.notBefore+int64(Tolerance+BundleEvery) {
		return nil
	}
	return b
}

// Pair returns the pair of an own and a peer's bundle, encoded as they stand in the JOINs. The same two bundles
// give the same Pair and so the same INIT, from whatever computation and goroutine.
//
// The caller has verified the peer's certificate chain and found the peer in its allow-list; Pair checks everything
// else as Check does. It fails with ErrNoKey if the own bundle's key is erased or was never here.
func (c *Channels) Pair(own, peer []byte, now time.Time) (*Pair, error) {
	remote, err := c.check(peer, now)
	if err != nil {
		return nil, err
	}
	if remote.bundle.FP == c.id.FP() {
		return nil, errors.New("channel: the peer's bundle is of the own identity: a party is listed twice, or its key is in use elsewhere")
	}
	p, err := c.pair(sha256.Sum256(own), remote, now)
	if err != nil {
		return nil, err
	}
	if err := p.start(c); err != nil {
		return nil, fmt.Errorf("opening a channel to %s: %w", remote.leaf.Name, err)
	}
	return p, nil
}

// pair finds or enters the pair, without a public key operation.
func (c *Channels) pair(own [32]byte, remote *checked, now time.Time) (*Pair, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.own[own]
	if b == nil || !b.validAt(now) {
		return nil, ErrNoKey
	}
	if p := b.pairs[remote.hash]; p != nil {
		return p, nil
	}
	if len(b.pairs) >= pairsPerBundle {
		return nil, fmt.Errorf("channel: %d channels were opened with one bundle: a peer restarts all the time; wait for the next bundle", pairsPerBundle)
	}
	p := &Pair{own: b, peer: remote, until: min(b.notAfter, remote.bundle.NotAfter), self: c.id}
	b.pairs[remote.hash] = p
	return p, nil
}

// Tick erases every own private key whose bundle has ended, and the secret of every pair of which one bundle has
// ended. It waits for operations under way with them (about a millisecond), so after it returns nothing uses them.
//
// A clock put back to before an own bundle's not_before ends that bundle too: the key would otherwise live for
// longer than its two hours.
func (c *Channels) Tick(now time.Time) {
	pairs, bundles := c.ended(now)
	for _, p := range pairs {
		p.erase()
	}
	for _, b := range bundles {
		b.erase()
	}
}

// ended unlists what has ended by now. A pair that ends before its own bundle stays listed, so that no second INIT
// can ever be made for it.
func (c *Channels) ended(now time.Time) (pairs []*Pair, bundles []*bundle) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for hash, b := range c.own {
		over := !b.validAt(now)
		for _, p := range b.pairs {
			if over || now.UnixNano() >= p.until {
				pairs = append(pairs, p)
				p.until = math.MaxInt64 // do not visit it again
			}
		}
		if over {
			bundles = append(bundles, b)
			delete(c.own, hash)
			if c.current == b {
				c.current = nil
			}
		}
	}
	return pairs, bundles
}

// random fills b.
func (c *Channels) random(b []byte) error {
	c.randMu.Lock()
	defer c.randMu.Unlock()
	if _, err := io.ReadFull(c.rand, b); err != nil {
		return fmt.Errorf("channel: reading randomness: %w", err)
	}
	return nil
}

// Format prints nothing of the keys inside, whatever the verb.
func (c *Channels) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "channels of %s [secret]", c.id.Name())
}
