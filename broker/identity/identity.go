package identity

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Identity is a party's own certificate together with its private key.
type Identity struct {
	Leaf *Leaf

	key func() ed25519.PrivateKey // a function, so that printing an Identity shows an address: fmt follows pointers for some verbs
}

// New makes an identity with a fresh key and has it certified: for demos, tests and the command that does both at once.
func New(a *Authority, name, organisation string, notBefore, notAfter time.Time) (*Identity, error) {
	return NewAs(UsageParty, a, name, organisation, notBefore, notAfter)
}

// NewAs is New for another usage, such as a dealer's.
func NewAs(u Usage, a *Authority, name, organisation string, notBefore, notAfter time.Time) (*Identity, error) {
	pub, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, fmt.Errorf("making a key for %q: %w", name, err)
	}
	der, err := a.IssueAs(u, name, organisation, pub, notBefore, notAfter)
	if err != nil {
		return nil, err
	}
	defer clear(key) // FromKey has made its own
	return FromKey(der, key)
}

// FromKey joins a certificate in DER and the private key it was issued for.
func FromKey(leafDER []byte, key ed25519.PrivateKey) (*Identity, error) {
	leaf, err := ParseLeaf(leafDER)
	if err != nil {
		return nil, err
	}
	if len(key) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("the private key of %q has %d bytes, an Ed25519 key has %d", leaf.Name, len(key), ed25519.PrivateKeySize)
	}
	own := ed25519.NewKeyFromSeed(key.Seed()) // the public half of the argument might not be its own
	if !bytes.Equal(own[32:], key[32:]) || !own.Public().(ed25519.PublicKey).Equal(leaf.Key) {
		return nil, fmt.Errorf("the private key does not belong to the certificate of %q: bring back the pair that was made together", leaf.Name)
	}
	return &Identity{Leaf: leaf, key: func() ed25519.PrivateKey { return own }}, nil
}

// Sign gives the signature of 64 bytes over msg in the context c, which must be one of those listed here.
func (i *Identity) Sign(c Context, msg []byte) []byte {
	if !slices.Contains(contexts, c) {
		panic("identity: signing in unknown context " + string(c))
	}
	return sign(i.key(), c, msg)
}

// FP is the fingerprint of the identity's key.
func (i *Identity) FP() Fingerprint { return i.Leaf.FP }

// Name is the party's name.
func (i *Identity) Name() string { return i.Leaf.Name }

// Forget overwrites the private key, as far as the runtime has made no copies of it. The identity signs nothing after.
func (i *Identity) Forget() {
	if i.key != nil {
		clear(i.key())
		i.key = nil
	}
}

// MarshalPKCS8 is the private key in DER (RFC 5958), for a file that only its owner can read.
func (i *Identity) MarshalPKCS8() (Secret, error) {
	der, err := x509.MarshalPKCS8PrivateKey(i.key())
	if err != nil {
		return nil, fmt.Errorf("encoding the private key of %q: %w", i.Leaf.Name, err)
	}
	return der, nil
}

// parsePKCS8 reads an Ed25519 private key. Errors of the parser may quote what they read and are not passed on.
func parsePKCS8(der []byte) (ed25519.PrivateKey, error) {
	k, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, errors.New("it does not hold a private key in PKCS #8")
	}
	key, ok := k.(ed25519.PrivateKey)
	if !ok {
		return nil, errors.New("its private key is not Ed25519")
	}
	return key, nil
}
