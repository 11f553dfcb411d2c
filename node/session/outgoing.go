package session

import (
	"fmt"
	"io"
	"math"
	"time"
)

const (
	firstWindow = 16 // chunks of a body that are sent unasked
	moreWindow  = 16 // chunks that an ask grants on top, when so many as grantAt are still under way
	grantAt     = 8
	mostAhead   = 32 // chunks beyond the first missing one that may be granted: bounds what a sender keeps
	// repeatGap is the least time between two repetitions of one body to one peer.
	repeatGap = 100 * time.Millisecond
)

// posted is one body that this seat sends under one label.
type posted struct {
	label  []byte
	th     [32]byte
	salt   [saltSize]byte
	body   []byte // the caller's until its call returns, then an own copy of what is left to seal, or nil once all is sealed
	base   int    // where in the caller's body an own copy begins
	owned  bool
	length uint64 // salt included
	chunks uint32
	open   int // receivers for whom some of it is not sealed yet
}

// receiver is what one peer gets of a body. Chunks are sealed in order; a sealed one is kept until the peer says that it
// has come, and repeated as it is.
type receiver struct {
	*posted
	packets  [][]byte // by chunk; nil: not sealed, or no longer needed
	single   [1][]byte
	sealed   uint32 // chunks below have been sealed
	have     uint32 // chunks below have come
	answered time.Time
}

// wipe erases what is left of the body in the clear and forgets the ciphertexts.
func (r *receiver) wipe() {
	if r.owned {
		clear(r.body)
	}
	r.body, r.packets, r.single[0] = nil, nil, nil
	clear(r.salt[:])
}

// post seals body for the seats in to, as far as their keys are there and the first window goes. The rest is sealed from
// the caller's memory until keep is called. The caller holds the lock.
func (s *Session) post(label string, th [32]byte, to []int, body []byte) (p *posted, outs []packet, err error) {
	if s.used[label] {
		return nil, nil, misuse("%s is sent a second time", describe(label))
	}
	s.used[label] = true
	p = &posted{label: []byte(label), th: th, body: body, length: uint64(len(body)) + saltSize}
	p.chunks = chunksOf(p.length)
	if _, err := io.ReadFull(s.rand, p.salt[:]); err != nil {
		return nil, nil, fmt.Errorf("session: reading randomness: %w", err)
	}
	outs = make([]packet, 0, len(to))
	p.open = len(to)
	for _, seat := range to {
		peer := s.peers[seat]
		r := &receiver{posted: p}
		if r.packets = r.single[:]; p.chunks > 1 {
			r.packets = make([][]byte, p.chunks)
		}
		peer.out[label] = r
		if !peer.keyed {
			peer.waiting = append(peer.waiting, r)
		} else {
			outs = append(outs, s.sealUpTo(peer, r, firstWindow)...)
			if r.sealed < min(firstWindow, p.chunks) {
				return nil, nil, s.outOfMemory()
			}
		}
	}
	return p, outs, nil
}

// keep lets go of the caller's memory, with a copy of what is left to seal for some receiver. Nobody waits for a body
// longer than the protocol does, so by then there is little or nothing. The caller holds the lock.
func (s *Session) keep(p *posted) error {
	if p.owned || p.body == nil {
		return nil
	}
	if p.open == 0 { // for nobody: the only recipient's own part of an opening
		p.body = nil
		return nil
	}
	body := p.body
	p.body = nil
	if s.err != nil { // nothing is sealed any more
		return s.err
	}
	sealed := p.chunks
	for _, peer := range s.peers {
		if r := peer.out[string(p.label)]; r != nil {
			sealed = min(sealed, r.sealed)
		}
	}
	if sealed > 0 {
		p.base = int(sealed)*chunkSize - saltSize
	}
	if !s.reserve(int64(len(body) - p.base)) {
		return s.outOfMemory()
	}
	p.body, p.owned = append(make([]byte, 0, len(body)-p.base), body[p.base:]...), true
	return nil
}

func (s *Session) outOfMemory() error {
	s.fail(ErrMemory)
	return ErrMemory
}

// sealUpTo seals the chunks of r below limit that are not sealed yet and returns them. It stops where memory ends. Nothing
// is sealed after a failure: the body may be the caller's memory still.
func (s *Session) sealUpTo(p *peer, r *receiver, limit uint32) []packet {
	var outs []packet
	for s.err == nil && r.sealed < min(limit, r.chunks) {
		b := s.sealNext(p, r)
		if b == nil {
			break
		}
		outs = append(outs, packet{p.seat, b})
	}
	return outs
}

// sealNext seals the next chunk of r for p, into the datagram that will carry it and, if need be, repeat it.
func (s *Session) sealNext(p *peer, r *receiver) []byte {
	c := r.sealed
	n := chunkLen(r.length, c)
	size := headerMax + len(r.label) + n + tagSize
	if p.seq == math.MaxUint64 || !s.reserve(int64(size)) {
		return nil
	}
	p.seq++
	nonce := nonceOf(p.seq)
	if s.monitor != nil {
		s.monitor(p.sealKey, nonce[:])
	}
	own := &s.peers[s.cfg.Self].FP
	h := header{
		uuid: s.cfg.UUID[:], sid: s.cfg.SID[:], epoch: p.epoch[:], version: s.cfg.Version, label: r.label,
		from: own[:], to: p.FP[:], seq: p.seq, chunk: c, chunks: r.chunks, th: r.th[:], length: r.length,
	}
	w := &s.w
	w.b = make([]byte, 0, size)
	h.encode(w)
	aad := w.b
	w.bytesLen(n + tagSize)
	dst, plain := w.b, []byte(nil)
	if c == 0 { // salt and body are joined in the datagram and sealed in place
		w.b = append(w.b, r.salt[:]...)
		w.b = append(w.b, r.body[:n-saltSize]...)
		plain = w.b[len(dst):]
	} else {
		from := int(c)*chunkSize - saltSize - r.base
		plain = r.body[from : from+n]
	}
	b := p.seal.Seal(dst, nonce[:], plain, aad)
	w.b = nil
	r.packets[c] = b
	r.sealed++
	if r.sealed == r.chunks {
		r.done(s)
	}
	return b
}

// done is called when all of a body is sealed for one receiver; after the last the clear text goes.
func (r *receiver) done(s *Session) {
	if r.open--; r.open > 0 {
		return
	}
	if r.owned {
		clear(r.body)
		s.release(int64(len(r.body)))
	}
	r.body, r.owned = nil, false
}

// answer serves one label of a peer's authentic ask. The caller holds the lock.
func (s *Session) answer(p *peer, l LabelAsk) []packet {
	r := p.out[string(l.Label)]
	if r == nil {
		return nil // not sent yet, or never
	}
	for ; r.have < min(l.Have, r.sealed); r.have++ {
		s.release(int64(cap(r.packets[r.have])))
		r.packets[r.have] = nil
	}
	missing := l.Missing
	if len(missing) == 0 {
		missing = windowOf(min(firstWindow, r.chunks))
	}
	var outs []packet
	repeat := r.answered.IsZero() || s.now.Sub(r.answered) >= repeatGap
	limit := r.sealed
	for _, c := range missing {
		switch {
		case c >= r.chunks || c >= r.have+mostAhead:
		case c >= r.sealed:
			limit = c + 1
		case r.packets[c] != nil && repeat:
			outs = append(outs, packet{p.seat, r.packets[c]})
		}
	}
	if len(outs) > 0 {
		r.answered = s.now
		s.stats.Repeated += uint64(len(outs))
	}
	return append(outs, s.sealUpTo(p, r, limit)...)
}

func windowOf(n uint32) []uint32 {
	w := make([]uint32, n)
	for i := range w {
		w[i] = uint32(i)
	}
	return w
}
