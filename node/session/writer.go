package session

import "github.com/vmihailenco/msgpack/v5"

// writer appends msgpack to b. Its encoder is made once and serves many messages.
type writer struct {
	b   []byte
	enc *msgpack.Encoder
}

// Write appends p; it and WriteByte make writer what the encoder writes to.
func (w *writer) Write(p []byte) (int, error) {
	w.b = append(w.b, p...)
	return len(p), nil
}

// WriteByte appends c.
func (w *writer) WriteByte(c byte) error {
	w.b = append(w.b, c)
	return nil
}

func (w *writer) e() *msgpack.Encoder {
	if w.enc == nil {
		w.enc = msgpack.NewEncoder(w)
	}
	return w.enc
}

// The encoder's errors are those of Write, which has none.
func (w *writer) array(n int)    { _ = w.e().EncodeArrayLen(n) }
func (w *writer) fixint(n byte)  { _ = w.e().EncodeUint(uint64(n)) }
func (w *writer) u16(n uint16)   { _ = w.e().EncodeUint16(n) }
func (w *writer) u32(n uint32)   { _ = w.e().EncodeUint32(n) }
func (w *writer) u64(n uint64)   { _ = w.e().EncodeUint64(n) }
func (w *writer) bytesLen(n int) { _ = w.e().EncodeBytesLen(n) }
func (w *writer) bytes(b []byte) { w.bytesLen(len(b)); w.b = append(w.b, b...) }
