package identity

import (
	"crypto/sha256"
	"errors"
	"sync"
	"time"
)

const (
	maxLeaves  = 4096
	chainAgain = 10 * time.Minute
)

// ErrUnreadable is what Leaves.Verify wraps where the bytes are no party's certificate at all.
var ErrUnreadable = errors.New("not a party's certificate")

// Leaves remembers certificates whose chain was verified, so that a party's next message costs one signature check instead
// of two and no parsing. Its methods may be called from any goroutine.
//
// Certificates are known by SHA-256 of their DER, so one whose bytes differ anywhere is another one. What can change with
// time is looked at anew each time: the certificate's own validity at every call, the chain every ten minutes (an authority
// expires too). Whether the party is allowed is the caller's to look at, as with Roots.Verify. Errors are not remembered.
type Leaves struct {
	roots Roots

	mu    sync.Mutex
	known map[[32]byte]knownLeaf
	order [][32]byte // as they came, to forget the oldest
}

type knownLeaf struct {
	leaf  *Leaf
	since time.Time // of the last look at the chain
}

// NewLeaves returns an empty memory of certificates under roots. It keeps at most 4,096.
func NewLeaves(roots Roots) *Leaves {
	return &Leaves{roots: roots, known: make(map[[32]byte]knownLeaf)}
}

// Verify returns the leaf in der if it chains to the roots and is valid at now. What it returns is shared: read only.
// An error is ErrUnreadable, or that of Roots.Verify.
func (v *Leaves) Verify(der []byte, now time.Time) (*Leaf, error) {
	return v.VerifyAs(UsageParty, der, now)
}

// VerifyAs is Verify for a certificate of the usage given.
func (v *Leaves) VerifyAs(u Usage, der []byte, now time.Time) (*Leaf, error) {
	h := sha256.Sum256(der)
	v.mu.Lock()
	k, ok := v.known[h]
	v.mu.Unlock()
	if ok && k.leaf.Usage == u && k.fresh(now) {
		return k.leaf, nil
	}
	leaf, err := ParseLeaf(der)
	if err != nil {
		return nil, unreadable{err}
	}
	if err := v.roots.VerifyAs(u, leaf, now); err != nil {
		return nil, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if _, ok := v.known[h]; !ok {
		if len(v.order) >= maxLeaves {
			delete(v.known, v.order[0])
			v.order = v.order[1:]
		}
		v.order = append(v.order, h)
	}
	v.known[h] = knownLeaf{leaf: leaf, since: now}
	return leaf, nil
}

// fresh says whether the chain need not be looked at again. A clock that was put back counts as time gone by.
func (k knownLeaf) fresh(now time.Time) bool {
	age := now.Sub(k.since)
	return age >= 0 && age < chainAgain && !now.Before(k.leaf.NotBefore) && !now.After(k.leaf.NotAfter)
}

// Known is how many certificates are remembered.
func (v *Leaves) Known() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.known)
}

// unreadable is an error of ParseLeaf, with its text alone.
type unreadable struct{ error }

func (unreadable) Is(target error) bool { return target == ErrUnreadable }

func (u unreadable) Unwrap() error { return u.error }
