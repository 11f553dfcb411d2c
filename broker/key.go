package broker

import (
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/weftmpc/weft/broker/identity"
)

// Key is a broker user's key pair (an nkey, Ed25519). It opens a connection to a broker and nothing else: it is not the
// party's identity. The zero Key is not valid.
type Key struct {
	public string
	pair   *nkeys.KeyPair // to an interface, which fmt prints as an address for every verb
}

// NewKey makes a fresh key.
func NewKey() (Key, error) {
	pair, err := nkeys.CreateUser()
	if err != nil {
		return Key{}, fmt.Errorf("making a broker key: %w", err)
	}
	return keyOf(pair)
}

// ParseKey reads the seed of a user's key, SU....
func ParseKey(seed identity.Secret) (Key, error) {
	pair, err := nkeys.FromSeed(seed)
	if err != nil {
		return Key{}, errors.New("reading broker key: it is not the seed of an nkey, which begins with SU")
	}
	return keyOf(pair)
}

func keyOf(pair nkeys.KeyPair) (Key, error) {
	public, err := pair.PublicKey()
	if err != nil {
		return Key{}, fmt.Errorf("reading broker key: %w", err)
	}
	if !nkeys.IsValidPublicUserKey(public) {
		return Key{}, errors.New("reading broker key: it is not a user's, whose seed begins with SU")
	}
	return Key{public: public, pair: &pair}, nil
}

// Public is the public key, as it stands in the broker's configuration.
func (k Key) Public() string { return k.public }

// Option lets a connection prove that it holds the key.
func (k Key) Option() nats.Option {
	return nats.Nkey(k.public, func(nonce []byte) ([]byte, error) {
		if k.pair == nil {
			return nil, errors.New("no broker key given")
		}
		return (*k.pair).Sign(nonce)
	})
}

// Seed is the private half, for a file that only its owner can read.
func (k Key) Seed() (identity.Secret, error) {
	if k.pair == nil {
		return nil, errors.New("no broker key given")
	}
	return (*k.pair).Seed()
}
