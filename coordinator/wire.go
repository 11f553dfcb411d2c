package coordinator

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// reader takes fields off the front of b. The first failure sticks, so that a decoder reads all its fields in a row and asks
// once, in end. Slices that it returns share memory with the input and are cut to their length, so that an append copies.
type reader struct {
	b   []byte
	err error
}

var errShort = errors.New("ends too early")

func (r *reader) fail(format string, a ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, a...)
	}
}

// take returns the next n bytes, or nil. It allocates nothing, whatever n says.
func (r *reader) take(n int) []byte {
	if r.err != nil {
		return nil
	}
	if n < 0 || n > len(r.b) {
		r.err = errShort
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

func (r *reader) u8() uint8 {
	if v := r.take(1); v != nil {
		return v[0]
	}
	return 0
}

func (r *reader) u16() uint16 {
	if v := r.take(2); v != nil {
		return binary.BigEndian.Uint16(v)
	}
	return 0
}

func (r *reader) u32() uint32 {
	if v := r.take(4); v != nil {
		return binary.BigEndian.Uint32(v)
	}
	return 0
}

func (r *reader) i64() int64 {
	if v := r.take(8); v != nil {
		return int64(binary.BigEndian.Uint64(v))
	}
	return 0
}

// into fills a fixed-size field.
func (r *reader) into(dst []byte) { copy(dst, r.take(len(dst))) }

// lp reads a field with a u32 length prefix between least and most bytes.
func (r *reader) lp(name string, least, most int) []byte {
	n := r.u32()
	if r.err != nil {
		return nil
	}
	if int64(n) < int64(least) || int64(n) > int64(most) {
		r.fail("%s: %d bytes; want %d to %d", name, n, least, most)
		return nil
	}
	return r.take(int(n))
}

// version reads the first byte of a format.
func (r *reader) version() {
	if v := r.u8(); r.err == nil && v != formatVersion {
		r.fail("format version %d; this program reads version %d", v, formatVersion)
	}
}

// end reports what went wrong, trailing bytes included.
func (r *reader) end(what string) error {
	if r.err == nil && len(r.b) > 0 {
		r.err = fmt.Errorf("%d trailing bytes", len(r.b))
	}
	if r.err != nil {
		return fmt.Errorf("decoding %s: %w", what, r.err)
	}
	return nil
}

func appendLP(b, field []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(field)))
	return append(b, field...)
}

func appendI64(b []byte, v int64) []byte { return binary.BigEndian.AppendUint64(b, uint64(v)) }
