package identity

import (
	"crypto"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
)

// Context is the domain of a signature: the context string of Ed25519ctx (RFC 8032, section 5.1).
type Context string

// The contexts, one per kind of signed message.
const (
	ContextJoin    Context = "weft/v1/join"
	ContextBundle  Context = "weft/v1/bundle"
	ContextInit    Context = "weft/v1/init"
	ContextConfirm Context = "weft/v1/confirm"
	ContextAbort   Context = "weft/v1/abort"
	ContextLeave   Context = "weft/v1/leave"
)

var contexts = []Context{ContextJoin, ContextBundle, ContextInit, ContextConfirm, ContextAbort, ContextLeave}

// ErrSignature is what Verify returns for a signature that does not fit.
var ErrSignature = errors.New("signature does not verify")

// Verify checks a signature of 64 bytes over msg in the context c.
func Verify(key ed25519.PublicKey, c Context, msg, sig []byte) error {
	if !slices.Contains(contexts, c) {
		return fmt.Errorf("no signature is made in context %q", string(c))
	}
	if len(key) != ed25519.PublicKeySize || len(sig) != ed25519.SignatureSize {
		return ErrSignature
	}
	return verify(key, c, msg, sig)
}

func verify(key ed25519.PublicKey, c Context, msg, sig []byte) error {
	if err := ed25519.VerifyWithOptions(key, msg, sig, &ed25519.Options{Context: string(c)}); err != nil {
		return ErrSignature
	}
	return nil
}

func sign(key ed25519.PrivateKey, c Context, msg []byte) []byte {
	sig, err := key.Sign(nil, msg, &ed25519.Options{Hash: crypto.Hash(0), Context: string(c)})
	if err != nil { // only for a context of more than 255 bytes
		panic("identity: signing: " + err.Error())
	}
	return sig
}
