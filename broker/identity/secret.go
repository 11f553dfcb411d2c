package identity

import (
	"fmt"
	"log/slog"
)

// Secret holds bytes that must not be seen. Every way of printing or marshalling it gives [secret].
//
// It protects where fmt and encoders can call its methods. They cannot through an unexported field: a struct that keeps
// a secret unexported holds it behind a pointer, of which fmt prints the address only.
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
