package channel

import (
	"bytes"
	"crypto/hpke"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/weftmpc/weft/broker/identity"
	"github.com/weftmpc/weft/coordinator"
)

// maxBundle is the size of the largest well-formed bundle in bytes.
const maxBundle = 1 + 2 + 32 + 8 + 8 + 32 + 4 + coordinator.BundleKey + 4 + coordinator.MaxLeaf + 64

// cacheSize is how many verified bundles are kept: 128 parties with eight bundles each, at most 5 KiB each.
const cacheSize = 1024

// checked is a peer's bundle of which everything that does not depend on the time was verified.
type checked struct {
	raw    []byte
	hash   [32]byte
	bundle coordinator.Bundle
	leaf   *identity.Leaf
	pk     hpke.PublicKey
}

// Check verifies a peer's bundle: format and suite, a lifetime of at most BundleValid + Tolerance that includes now and
// does not outlast the certificate, a public key of the KEM, the certificate's key behind the fingerprint, and the
// signature. The certificate's chain and the allow-list are the caller's part. What it returns may be shared: read only.
//
// Bundles are remembered by hash, so checking one again costs a hash; now is compared every time.
func (c *Channels) Check(raw []byte, now time.Time) (coordinator.Bundle, *identity.Leaf, error) {
	k, err := c.check(raw, now)
	if err != nil {
		return coordinator.Bundle{}, nil, err
	}
	return k.bundle, k.leaf, nil
}

func (c *Channels) check(raw []byte, now time.Time) (*checked, error) {
	if len(raw) > maxBundle {
		return nil, fmt.Errorf("channel: bundle has %d bytes, more than %d", len(raw), maxBundle)
	}
	hash := sha256.Sum256(raw)
	c.mu.Lock()
	k := c.checked.get(hash)
	c.mu.Unlock()
	if k == nil {
		var err error
		if k, err = verify(raw, hash); err != nil {
			return nil, fmt.Errorf("channel: %w", err)
		}
		c.mu.Lock()
		c.checked.put(k)
		c.mu.Unlock()
	}
	return k, k.at(now)
}

// verify checks all that does not depend on the time.
func verify(raw []byte, hash [32]byte) (*checked, error) {
	raw = bytes.Clone(raw) // it is kept, and what is decoded from it may point into it
	b, err := coordinator.DecodeBundle(raw)
	if err != nil {
		return nil, err
	}
	leaf, err := identity.ParseLeaf(b.Leaf)
	if err != nil {
		return nil, fmt.Errorf("bundle's certificate: %w", err)
	}
	if leaf.FP != b.FP {
		return nil, fmt.Errorf("bundle names fingerprint %s, but its certificate is of %s", b.FP, leaf.FP)
	}
	if err := identity.Verify(leaf.Key, identity.ContextBundle, b.SigningBytes(), b.Sig[:]); err != nil {
		return nil, fmt.Errorf("bundle of %s: %w", leaf.Name, err)
	}
	if life := time.Duration(b.NotAfter - b.NotBefore); life <= 0 || life > BundleValid+Tolerance {
		return nil, fmt.Errorf("bundle of %s is valid for %s, at most %s is allowed: its keys would live too long", leaf.Name, life, BundleValid+Tolerance)
	}
	if time.Unix(0, b.NotAfter).After(leaf.NotAfter) {
		return nil, fmt.Errorf("bundle of %s outlasts its certificate", leaf.Name)
	}
	pk, err := hpke.MLKEM768X25519().NewPublicKey(b.PK)
	if err != nil {
		return nil, fmt.Errorf("public key in the bundle of %s: %w", leaf.Name, err)
	}
	return &checked{raw: raw, hash: hash, bundle: b, leaf: leaf, pk: pk}, nil
}

// at says whether the bundle is valid at a time.
func (k *checked) at(now time.Time) error {
	t := now.UnixNano()
	if k.bundle.NotBefore <= t && t < k.bundle.NotAfter {
		return nil
	}
	return fmt.Errorf("bundle of %s is valid from %s to %s, here it is %s (compare the clocks of both nodes): %w", k.leaf.Name,
		stamp(k.bundle.NotBefore), stamp(k.bundle.NotAfter), stamp(t), ErrTime)
}

func stamp(ns int64) string { return time.Unix(0, ns).UTC().Format(time.RFC3339) }

// cache remembers the last verified bundles, and forgets the oldest. It is not safe for concurrent use.
type cache struct {
	byHash map[[32]byte]*checked
	order  [][32]byte // a ring, once it is full
	next   int
}

func newCache(size int) cache {
	return cache{byHash: make(map[[32]byte]*checked), order: make([][32]byte, 0, size)}
}

func (c *cache) get(hash [32]byte) *checked { return c.byHash[hash] }

func (c *cache) put(k *checked) {
	if c.byHash[k.hash] != nil {
		return
	}
	c.byHash[k.hash] = k
	if len(c.order) < cap(c.order) {
		c.order = append(c.order, k.hash)
		return
	}
	delete(c.byHash, c.order[c.next])
	c.order[c.next] = k.hash
	c.next = (c.next + 1) % len(c.order)
}
