// Package record is the byte format of what jobs and objects keep in their buckets.
//
// A record is
//
//	u8 format | u8 length | version of the weft that wrote it | fields
//
// and a field is a big-endian integer of fixed width, or bytes behind a u32 length. The first two fields never change:
// an older weft that meets a newer record can say who wrote it. It is a flat format instead of msgpack because the
// decoder then allocates nothing but small slices, whatever the bytes say: byte fields point into the record.
package record

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"
	"unicode/utf8"
)

// MaxVersion is the most bytes of a writer's version.
const MaxVersion = 64

// Error is a record that cannot be read. It never contains the record's bytes.
type Error struct {
	Key    string // in its bucket
	Writer string // version that wrote it, where a newer one did
	Reader string // own version
	Cause  error  // what is wrong with a damaged record; nil for a newer one
}

// Newer says whether a newer weft wrote the record, in contrast to a damaged one.
func (e *Error) Newer() bool { return e.Cause == nil }

func (e *Error) Error() string {
	if e.Newer() {
		return fmt.Sprintf("record %s was written by weft %s; this is weft %s: upgrade this node", e.Key, e.Writer, e.Reader)
	}
	return fmt.Sprintf("record %s is damaged: %v: restore the state folder from a backup, or leave it: it is removed in time", e.Key, e.Cause)
}

func (e *Error) Unwrap() error { return e.Cause }

var (
	errShort    = errors.New("it ends too early")
	errTrailing = errors.New("bytes follow its end")
	errBound    = errors.New("a length or number is out of bounds")
)

// Writer appends fields. Its first error sticks.
type Writer struct {
	b   []byte
	err error
}

// NewWriter begins a record of the given format, written by the given version of weft. size is a guess of its bytes.
func NewWriter(format byte, version string, size int) *Writer {
	w := &Writer{b: make([]byte, 0, size+2+len(version))}
	w.b = append(w.b, format)
	if len(version) > MaxVersion {
		version = version[:MaxVersion]
	}
	w.b = append(append(w.b, byte(len(version))), version...)
	return w
}

// Done returns the record.
func (w *Writer) Done() ([]byte, error) {
	if w.err != nil {
		return nil, w.err
	}
	return w.b, nil
}

func (w *Writer) U8(v uint8)   { w.b = append(w.b, v) }
func (w *Writer) U32(v uint32) { w.b = binary.BigEndian.AppendUint32(w.b, v) }
func (w *Writer) I64(v int64)  { w.b = binary.BigEndian.AppendUint64(w.b, uint64(v)) }

// Bool writes 0 or 1.
func (w *Writer) Bool(v bool) {
	if v {
		w.U8(1)
		return
	}
	w.U8(0)
}

// Int writes a number of 0..most.
func (w *Writer) Int(name string, v, most int) {
	if v < 0 || v > most {
		w.fail(fmt.Errorf("%s is %d: it must be in 0..%d", name, v, most))
		return
	}
	w.U32(uint32(v))
}

// Time writes nanoseconds since 1970; the zero time is the least int64.
func (w *Writer) Time(t time.Time) {
	if t.IsZero() {
		w.I64(math.MinInt64)
		return
	}
	w.I64(t.UnixNano())
}

// Fixed writes bytes whose length the reader knows.
func (w *Writer) Fixed(b []byte) { w.b = append(w.b, b...) }

// Bytes writes at most most bytes behind their length.
func (w *Writer) Bytes(name string, b []byte, most int) {
	if len(b) > most {
		w.fail(fmt.Errorf("%s has %d bytes: at most %d", name, len(b), most))
		return
	}
	w.U32(uint32(len(b)))
	w.b = append(w.b, b...)
}

// Text writes at most most bytes of UTF-8 behind their length.
func (w *Writer) Text(name, s string, most int) {
	if len(s) > most || !utf8.ValidString(s) {
		w.fail(fmt.Errorf("%s has %d bytes: at most %d bytes of UTF-8", name, len(s), most))
		return
	}
	w.U32(uint32(len(s)))
	w.b = append(w.b, s...)
}

func (w *Writer) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}

// Reader takes fields off a record. Its first error sticks, and everything after it reads as zero.
type Reader struct {
	b   []byte
	err error
}

// NewReader reads the head of a record. A format above the given one is a newer weft's: the error names it, whatever
// the rest looks like.
func NewReader(key string, b []byte, format byte, version string) (*Reader, error) {
	if len(b) < 2 || b[0] == 0 || int(b[1]) > MaxVersion || len(b) < 2+int(b[1]) {
		return nil, &Error{Key: key, Reader: version, Cause: errShort}
	}
	end := 2 + int(b[1])
	if b[0] > format {
		return nil, &Error{Key: key, Writer: printable(b[2:end]), Reader: version}
	}
	return &Reader{b: b[end:]}, nil
}

// printable keeps a version from writing control characters into a terminal.
func printable(b []byte) string {
	out := make([]byte, len(b))
	for i, c := range b {
		if c < 0x20 || c > 0x7e {
			c = '?'
		}
		out[i] = c
	}
	return string(out)
}

// Done returns the first error, or that bytes are left.
func (r *Reader) Done() error {
	if r.err == nil && len(r.b) != 0 {
		return errTrailing
	}
	return r.err
}

// Fail makes the record a damaged one.
func (r *Reader) Fail() {
	if r.err == nil {
		r.err = errBound
	}
}

// Fixed takes n bytes; they point into the record. It returns n zero bytes after an error (n is the caller's constant).
func (r *Reader) Fixed(n int) []byte {
	if r.err == nil && len(r.b) < n {
		r.err = errShort
	}
	if r.err != nil {
		return make([]byte, n)
	}
	b := r.b[:n:n]
	r.b = r.b[n:]
	return b
}

func (r *Reader) U8() uint8   { return r.Fixed(1)[0] }
func (r *Reader) U32() uint32 { return binary.BigEndian.Uint32(r.Fixed(4)) }
func (r *Reader) I64() int64  { return int64(binary.BigEndian.Uint64(r.Fixed(8))) }

// Bool reads 0 or 1.
func (r *Reader) Bool() bool {
	v := r.U8()
	if v > 1 {
		r.Fail()
	}
	return v == 1
}

// Int reads a number of 0..most.
func (r *Reader) Int(most int) int {
	v := r.U32()
	if int64(v) > int64(most) {
		r.Fail()
		return 0
	}
	return int(v)
}

// Time reads what Writer.Time wrote, in UTC.
func (r *Reader) Time() time.Time {
	ns := r.I64()
	if r.err != nil || ns == math.MinInt64 {
		return time.Time{}
	}
	return time.Unix(0, ns).UTC()
}

// Bytes reads at most most bytes; they point into the record. No bytes are nil.
func (r *Reader) Bytes(most int) []byte {
	n := r.Int(most)
	if r.err == nil && n > len(r.b) {
		r.err = errShort
	}
	if r.err != nil || n == 0 {
		return nil
	}
	return r.Fixed(n)
}

// Text reads at most most bytes of UTF-8.
func (r *Reader) Text(most int) string {
	b := r.Bytes(most)
	if !utf8.Valid(b) {
		r.Fail()
		return ""
	}
	return string(b)
}
