package session

import (
	"encoding/binary"
	"errors"
	"math"

	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

// The kinds of message on a computation's subject: the first element of the msgpack array.
const (
	KindShare byte = iota + 1
	KindAsk
	KindInit
	KindNotice
)

var errMalformed = errors.New("session: malformed message")

// Kind tells what a message claims to be and for which computation, without checking the rest. sid is zero for an INIT.
func Kind(b []byte) (kind byte, sid [32]byte, ok bool) {
	r := reader{b: b}
	r.anyArray()
	switch kind = r.fixint(); kind {
	case KindShare:
		r.fixint() // version
		r.bin(16)  // uuid
		copy(sid[:], r.bin(32))
	case KindAsk, KindNotice:
		copy(sid[:], r.bin(32))
	case KindInit:
	default:
		return 0, sid, false
	}
	if r.bad {
		return 0, [32]byte{}, false
	}
	return kind, sid, true
}

// IsShare tells a share message by its first bytes, before anything else of it is read.
func IsShare(b []byte) bool {
	if len(b) > 3 && b[0] == msgpcode.Array16 {
		return b[3] == KindShare
	}
	return len(b) > 1 && b[1] == KindShare
}

// EncodeInit wraps an INIT as a message.
func EncodeInit(init []byte) []byte {
	var w writer
	w.array(2)
	w.fixint(KindInit)
	w.bytes(init)
	return w.b
}

// maxInit is well above the length of an INIT, which is fixed by its own format.
const maxInit = 8 << 10

// DecodeInit unwraps an INIT. The bytes returned are those of b.
func DecodeInit(b []byte) ([]byte, error) {
	r := reader{b: b}
	r.array(2)
	if r.fixint() != KindInit {
		r.bad = true
	}
	init := r.binMax(maxInit)
	if !r.end() || len(init) == 0 {
		return nil, errMalformed
	}
	return init, nil
}

// reader decodes the few msgpack types of our messages from bytes that anybody may have made. It accepts one encoding per
// value, the one that writer makes, and never allocates by an announced length. After the first mistake bad is set and
// everything reads as zero.
type reader struct {
	b   []byte
	off int
	bad bool
}

func (r *reader) take(n int) []byte {
	if r.bad || n > len(r.b)-r.off {
		r.bad = true
		return nil
	}
	r.off += n
	return r.b[r.off-n : r.off : r.off]
}

func (r *reader) code() byte {
	if c := r.take(1); c != nil {
		return c[0]
	}
	return 0
}

func (r *reader) anyArray() int {
	c := r.code()
	if !msgpcode.IsFixedArray(c) {
		if c != msgpcode.Array16 {
			r.bad = true
			return 0
		}
		n := r.take(2)
		if r.bad || binary.BigEndian.Uint16(n) < 16 {
			r.bad = true
			return 0
		}
		return int(binary.BigEndian.Uint16(n))
	}
	return int(c & msgpcode.FixedArrayMask)
}

func (r *reader) array(n int) {
	if r.anyArray() != n {
		r.bad = true
	}
}

// arrayMax reads the length of an array of at most n elements.
func (r *reader) arrayMax(n int) int {
	l := r.anyArray()
	if l > n {
		r.bad = true
	}
	if r.bad {
		return 0
	}
	return l
}

func (r *reader) fixint() byte {
	c := r.code()
	if c > msgpcode.PosFixedNumHigh {
		r.bad = true
		return 0
	}
	return c
}

func (r *reader) u16() uint16 {
	if r.code() != msgpcode.Uint16 {
		r.bad = true
	}
	if b := r.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (r *reader) u32() uint32 {
	if r.code() != msgpcode.Uint32 {
		r.bad = true
	}
	if b := r.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (r *reader) u64() uint64 {
	if r.code() != msgpcode.Uint64 {
		r.bad = true
	}
	if b := r.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// bin reads a byte string of exactly n bytes; binMax one of at most n.
func (r *reader) bin(n int) []byte {
	b := r.binMax(n)
	if len(b) != n {
		r.bad = true
		return nil
	}
	return b
}

func (r *reader) binMax(limit int) []byte {
	n := 0
	switch r.code() {
	case msgpcode.Bin8:
		n = int(r.code())
	case msgpcode.Bin16:
		if b := r.take(2); b != nil {
			n = int(binary.BigEndian.Uint16(b))
		}
		r.bad = r.bad || n <= math.MaxUint8
	case msgpcode.Bin32:
		if b := r.take(4); b != nil {
			n = int(binary.BigEndian.Uint32(b))
		}
		r.bad = r.bad || n <= math.MaxUint16
	default:
		r.bad = true
	}
	if n > limit {
		r.bad = true
	}
	return r.take(n)
}

// end reports whether all was well and nothing is left.
func (r *reader) end() bool { return !r.bad && r.off == len(r.b) }
