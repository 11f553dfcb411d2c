package identity

import (
	"fmt"
	"log/slog"
)

// Secret holds bytes that must not be seen. Every way of printing or marshalling it gives [secret].
//
// It protects where fmt and encoders can call its methods, which is not so for unexported fields: a struct that holds a
// secret in one either has a Format method itself or keeps the secret in a function value, of which fmt prints the address.
// A pointer does not help: for a verb that does not fit, fmt prints what it points to.
type Secret []byte

const hidden = "[secret]"

// String gives [secret].
func (Secret) String() string { return hidden }

// GoString gives [secret].
func (Secret) GoString() string { return hidden }

// Format gives [secret] for every verb: %x and %d would otherwise go round String.
func (Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(hidden)) }

// LogValue gives [secret].
func (Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalJSON gives "[secret]".
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + hidden + `"`), nil }

// MarshalText gives [secret].
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }
