// Package body keeps the bytes that belong to a record: small ones inside it, large ones in an object store beside it.
package body

import (
	"fmt"
	"io"
	"log/slog"
)

// MaxInline is the most bytes that a record carries itself. A record holds up to three bodies and must stay well under
// the broker's max_payload of 1 MiB.
const MaxInline = 64 << 10

// Body is a private byte string of a record, or the name under which the object store keeps it. The zero Body is empty.
// Nothing that prints it shows the bytes.
type Body struct {
	Inline []byte // at most MaxInline bytes; shared with the cache: read it, do not change it
	Object string // name in the object store; empty: the bytes are in Inline
	Size   int64  // bytes
}

// Empty says whether there is no body at all. A body of no bytes counts as none.
func (b Body) Empty() bool { return b.Object == "" && len(b.Inline) == 0 }

const hidden = "[secret]"

// String hides the bytes.
func (b Body) String() string { return hidden }

// GoString hides the bytes.
func (b Body) GoString() string { return hidden }

// Format hides the bytes under every verb, %x and %+v included.
func (b Body) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hidden) }

// LogValue hides the bytes.
func (b Body) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText hides the bytes, from encoding/json too.
func (b Body) MarshalText() ([]byte, error) { return []byte(hidden), nil }
