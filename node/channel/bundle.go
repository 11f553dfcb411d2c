package channel

import (
	"crypto/hpke"
	"crypto/sha256"
	"fmt"
	"sync"
	"time"

	"github.com/weftmpc/weft/broker/identity"
	"github.com/weftmpc/weft/coordinator"
)

// Sizes of the KEM MLKEM768-X25519 in bytes (draft-ietf-hpke-pq); that of its public key is coordinator.BundleKey.
const (
	seedSize = 32 // a private key
	encSize  = 1120
)

// bundle is an own one with its private key.
type bundle struct {
	raw                 []byte
	hash                [32]byte
	notBefore, notAfter int64 // unix ns; valid from notBefore up to, not including, notAfter

	pairs map[[32]byte]*Pair // by hash of the peer's bundle; guarded by Channels.mu

	mu  sync.RWMutex // held for reading while the key is used, so that erase waits for that
	key hpke.PrivateKey
}

// newBundle makes a key and signs its bundle.
func (c *Channels) newBundle(now time.Time) (*bundle, error) {
	leaf := c.id.Leaf
	notAfter := now.Add(BundleValid)
	if leaf.NotAfter.Before(notAfter) {
		notAfter = leaf.NotAfter
	}
	if !now.Before(notAfter) {
		return nil, fmt.Errorf("channel: the certificate of %s ended at %s: have a new one issued (weft ca issue) and restart",
			leaf.Name, leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	key, err := c.newKey()
	if err != nil {
		return nil, err
	}
	w := coordinator.Bundle{
		FP:        c.id.FP(),
		NotBefore: now.Add(-Tolerance).UnixNano(),
		NotAfter:  notAfter.UnixNano(),
		PK:        key.PublicKey().Bytes(),
		Leaf:      leaf.DER,
	}
	if err := c.random(w.Nonce[:]); err != nil {
		return nil, err
	}
	copy(w.Sig[:], c.id.Sign(identity.ContextBundle, w.SigningBytes()))
	raw := w.Encode()
	return &bundle{
		raw: raw, hash: sha256.Sum256(raw), notBefore: w.NotBefore, notAfter: w.NotAfter,
		pairs: make(map[[32]byte]*Pair), key: key,
	}, nil
}

// newKey makes a private key of the KEM from a fresh seed.
func (c *Channels) newKey() (hpke.PrivateKey, error) {
	var seed [seedSize]byte
	defer clear(seed[:])
	if err := c.random(seed[:]); err != nil {
		return nil, err
	}
	key, err := hpke.MLKEM768X25519().NewPrivateKey(seed[:])
	if err != nil {
		return nil, fmt.Errorf("channel: making a bundle's key: %w", err)
	}
	return key, nil
}

func (b *bundle) validAt(now time.Time) bool {
	t := now.UnixNano()
	return b.notBefore <= t && t < b.notAfter
}

// open returns the secret that the peer encapsulated, or ErrErased.
func (b *bundle) open(enc, info []byte) ([32]byte, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.key == nil {
		return [32]byte{}, ErrErased
	}
	return decapsulate(b.key, enc, info)
}

// erase overwrites the key's seed and drops the key.
func (b *bundle) erase() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.key == nil {
		return
	}
	// Bytes returns the seed itself, not a copy (a test would notice a change), so this overwrites it.
	if seed, err := b.key.Bytes(); err == nil {
		clear(seed)
	}
	b.key = nil
}
