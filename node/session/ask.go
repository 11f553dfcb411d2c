package session

import (
	"crypto/hmac"
	"crypto/sha256"

	"github.com/weftmpc/weft/broker/identity"
)

// Ask says what its sender still lacks: parts of bodies, which only the holder of the pair's key may ask for, and notices,
// which are public.
type Ask struct {
	SID      [32]byte
	From, To []byte // fingerprints; both empty where MAC is
	Labels   []LabelAsk
	Notices  []identity.Fingerprint
	MAC      []byte // HMAC-SHA256 over all bytes of the array before it; empty where only notices are asked for

	covered []byte // what MAC is over, as received
}

// LabelAsk asks for parts of one body.
type LabelAsk struct {
	Label   []byte
	Have    uint32   // all chunks below have come, and need not be kept for the asker
	Missing []uint32 // chunks that should come now, ascending; none: the first ones, of a body of which nothing has come
}

// Bounds of what an ask may hold.
const (
	maxAskLabels  = 256
	maxAskChunks  = 64
	maxAskNotices = 256
)

// EncodeNoticeAsk asks for the notices of fps and of the receiver.
func EncodeNoticeAsk(sid [32]byte, fps []identity.Fingerprint) []byte {
	var w writer
	encodeAsk(&w, Ask{SID: sid, Notices: fps})
	w.bytes(nil)
	return w.b
}

// encodeAsk writes all but the MAC.
func encodeAsk(w *writer, a Ask) {
	w.array(7)
	w.fixint(KindAsk)
	w.bytes(a.SID[:])
	w.bytes(a.From)
	w.bytes(a.To)
	w.array(len(a.Labels))
	for _, l := range a.Labels {
		w.array(3)
		w.bytes(l.Label)
		w.u32(l.Have)
		w.array(len(l.Missing))
		for _, m := range l.Missing {
			w.u32(m)
		}
	}
	w.array(len(a.Notices))
	for _, fp := range a.Notices {
		w.bytes(fp[:])
	}
}

// Greet proves to the peer in a seat that the pair's key stands here: an ask for nothing, under the key. A dealer and a
// party that does not evaluate have nothing else to tell each other by which they would know.
func (s *Session) Greet(seat int) {
	s.mu.Lock()
	if seat < 0 || seat >= len(s.peers) || s.closed.Load() || !s.ready || !s.peers[seat].keyed {
		s.mu.Unlock()
		return
	}
	out := s.ask(s.peers[seat], nil)
	s.mu.Unlock()
	s.flush([]packet{out})
}

// sealAsk is the whole message with its MAC under key.
func sealAsk(a Ask, key [32]byte) []byte {
	var w writer
	encodeAsk(&w, a)
	w.bytes(askMAC(key, w.b))
	return w.b
}

func askMAC(key [32]byte, covered []byte) []byte {
	m := hmac.New(sha256.New, key[:])
	m.Write(covered)
	return m.Sum(nil)
}

// authentic reports whether the MAC is there and right.
func (a Ask) authentic(key [32]byte) bool {
	return len(a.MAC) == sha256.Size && hmac.Equal(a.MAC, askMAC(key, a.covered))
}

// DecodeAsk reads an ask. It does not check the MAC. The result refers to the bytes of b.
func DecodeAsk(b []byte) (Ask, error) {
	var a Ask
	r := reader{b: b}
	r.array(7)
	if r.fixint() != KindAsk {
		return Ask{}, errMalformed
	}
	copy(a.SID[:], r.bin(32))
	a.From, a.To = r.binMax(32), r.binMax(32)
	for range r.arrayMax(maxAskLabels) {
		if r.bad {
			break
		}
		a.Labels = append(a.Labels, decodeLabelAsk(&r))
	}
	for range r.arrayMax(maxAskNotices) {
		if r.bad {
			break
		}
		var fp identity.Fingerprint
		copy(fp[:], r.bin(32))
		a.Notices = append(a.Notices, fp)
	}
	a.covered = b[:r.off]
	a.MAC = r.binMax(sha256.Size)
	if !r.end() {
		return Ask{}, errMalformed
	}
	switch len(a.MAC) {
	case 0:
		if len(a.From) != 0 || len(a.To) != 0 || len(a.Labels) != 0 {
			return Ask{}, errMalformed
		}
	case sha256.Size:
		if len(a.From) != 32 || len(a.To) != 32 {
			return Ask{}, errMalformed
		}
	default:
		return Ask{}, errMalformed
	}
	return a, nil
}

func decodeLabelAsk(r *reader) LabelAsk {
	r.array(3)
	l := LabelAsk{Label: r.binMax(maxLabel), Have: r.u32()}
	for range r.arrayMax(maxAskChunks) {
		m := r.u32()
		if n := len(l.Missing); n > 0 && m <= l.Missing[n-1] {
			r.bad = true
		}
		if r.bad {
			break
		}
		l.Missing = append(l.Missing, m)
	}
	return l
}
