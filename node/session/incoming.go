package session

import (
	"bytes"
	"time"
)

// Bounds of what is kept of a peer before it is needed. What does not fit is dropped and asked for when it is.
const (
	earlyMessages = 64 // datagrams before the pair's key
	earlyBytes    = 8 << 20
	mostUnasked   = 4096 // bodies that nobody here waits for yet
	incomingCost  = 512  // bytes that a record of a body is taken for, beside its label
)

func recordCost(label int) int64 { return incomingCost + 2*int64(label) }

// incoming is the body of one sender under one label, as far as it has come. A record without chunks is one that is
// waited for. Records stay when the body is taken: they tell a repetition from a second body.
type incoming struct {
	from   *peer
	label  string
	th     [32]byte
	length uint64
	chunks uint32 // 0: nothing has come
	units  []unit // by chunk; zero: missing
	single [1]unit
	body   []byte // salted; complete when got = chunks
	got    uint32
	have   uint32 // chunks below have come
	grant  uint32 // chunks below may come
	taken  bool

	w     *wait     // who waits for it
	next  time.Time // when to ask; zero: not set yet
	every time.Duration
}

func (in *incoming) complete() bool { return in.chunks > 0 && in.got == in.chunks }

// missing lists chunks from..grant-1 that have not come, at most limit.
func (in *incoming) missing(from uint32, limit int) []uint32 {
	var m []uint32
	for c := from; c < in.grant && len(m) < limit; c++ {
		if in.units[c].seq == 0 {
			m = append(m, c)
		}
	}
	return m
}

// Deliver takes a datagram that came on the subject of seat from: a share message or an ask. Whatever is wrong with it is
// counted and dropped. b is neither kept nor changed.
func (s *Session) Deliver(from int, b []byte) {
	if from < 0 || from >= len(s.peers) || from == s.cfg.Self {
		return
	}
	if s.deaf() && IsShare(b) {
		s.drop()
		return
	}
	var outs []packet
	switch kind, sid, ok := Kind(b); {
	case !ok || sid != s.cfg.SID:
		s.drop()
	case kind == KindShare:
		m, ok := parseShare(b)
		if !ok {
			s.drop()
			return
		}
		s.mu.Lock()
		outs = s.takeShare(s.peers[from], &m, b)
		s.mu.Unlock()
	case kind == KindAsk:
		a, err := DecodeAsk(b)
		if err != nil {
			s.drop()
			return
		}
		if len(a.MAC) == 0 {
			return // asks for notices only, which the owner of the session answers
		}
		s.mu.Lock()
		outs = s.takeAsk(s.peers[from], &a, b)
		s.mu.Unlock()
	default:
		s.drop()
	}
	s.flush(outs)
}

func (s *Session) drop() {
	s.mu.Lock()
	s.stats.Dropped++
	s.mu.Unlock()
}

// keepEarly keeps a datagram until the pair's key is there.
func (s *Session) keepEarly(p *peer, b []byte) {
	most := min(earlyBytes, int(s.cfg.Memory/8)/len(s.peers))
	if len(p.early) >= earlyMessages || p.earlyBytes+len(b) > most {
		s.stats.Dropped++
		return
	}
	p.early = append(p.early, bytes.Clone(b))
	p.earlyBytes += len(b)
}

func (s *Session) takeAsk(p *peer, a *Ask, b []byte) []packet {
	own := &s.peers[s.cfg.Self].FP
	switch {
	case s.closed.Load():
		return nil
	case !bytes.Equal(a.From, p.FP[:]) || !bytes.Equal(a.To, own[:]):
		s.stats.Dropped++
		return nil
	case !p.keyed:
		s.keepEarly(p, b)
		return nil
	case !a.authentic(p.answerKey):
		s.stats.Dropped++
		return nil
	}
	p.heard = true
	var outs []packet
	for _, l := range a.Labels {
		outs = append(outs, s.answer(p, l)...)
	}
	return outs
}

// expected reports whether the header is one that p may send to this seat.
func (s *Session) expected(p *peer, m *share) bool {
	return bytes.Equal(m.uuid, s.cfg.UUID[:]) && bytes.Equal(m.sid, s.cfg.SID[:]) && m.version == s.cfg.Version &&
		bytes.Equal(m.from, p.FP[:]) && bytes.Equal(m.to, s.peers[s.cfg.Self].FP[:]) && len(m.label) >= 12
}

// takeShare authenticates a share message and takes its chunk in. The caller holds the lock.
func (s *Session) takeShare(p *peer, m *share, b []byte) []packet {
	switch {
	case s.closed.Load():
		return nil
	case !s.expected(p, m):
		s.stats.Dropped++
		return nil
	case !p.keyed:
		s.keepEarly(p, b)
		return nil
	case !bytes.Equal(m.epoch, p.epoch[:]):
		s.stats.Dropped++
		return nil
	}
	in := p.in[string(m.label)]
	if in != nil && in.chunks > 0 {
		same := in.chunks == m.chunks && in.length == m.length && bytes.Equal(m.th, in.th[:])
		if same && in.units[m.chunk] == m.unit() {
			s.stats.Duplicates++
			return nil
		}
		if !same || in.units[m.chunk].seq != 0 {
			s.second(p, m)
			return nil
		}
	}
	plain, ok := s.unseal(p, in, m)
	if !ok {
		return nil
	}
	p.heard = true
	if in == nil {
		in = &incoming{from: p, label: string(m.label)}
		p.in[in.label] = in
	}
	return s.store(p, in, m, plain)
}

// second judges another unit for a chunk that has come. If it is authentic, the sender has sealed two bodies for one label.
func (s *Session) second(p *peer, m *share) {
	nonce := nonceOf(m.seq)
	if _, err := p.open.Open(nil, nonce[:], m.sealed, m.aad); err != nil {
		s.stats.Dropped++
		return
	}
	s.fail(&EquivocationError{Seat: p.seat, Name: p.Name, Reason: "sent two different bodies for " + describe(string(m.label))})
}

// unseal authenticates a chunk that is new: into the body where that exists, else into memory of its own, since the
// announced length is not to be trusted before.
func (s *Session) unseal(p *peer, in *incoming, m *share) ([]byte, bool) {
	n := chunkLen(m.length, m.chunk)
	awaited := in != nil && in.w != nil
	room := true
	var dst []byte
	if in != nil && in.body != nil {
		at := int(m.chunk) * chunkSize
		dst = in.body[at : at : at+n]
	} else {
		need := int64(m.length) + recordCost(len(m.label))
		room = need <= s.cfg.Memory-s.memory
		if !awaited {
			room = room && s.err == nil && (s.playing || !s.played) && p.unasked < mostUnasked &&
				p.unaskedMem+need <= s.cfg.Memory/2/int64(len(s.peers))
		}
		if !room && !awaited {
			s.stats.Dropped++ // asked for when it is needed
			return nil, false
		}
		dst = make([]byte, 0, n)
	}
	nonce := nonceOf(m.seq)
	plain, err := p.open.Open(dst, nonce[:], m.sealed, m.aad)
	if err != nil {
		s.stats.Dropped++
		return nil, false
	}
	if !room {
		s.fail(ErrMemory)
		return nil, false
	}
	return plain, true
}

// store takes an authentic chunk in.
func (s *Session) store(p *peer, in *incoming, m *share, plain []byte) []packet {
	if in.chunks == 0 {
		in.chunks, in.length, in.th = m.chunks, m.length, [32]byte(m.th)
		in.grant = min(firstWindow, in.chunks)
		cost := int64(in.length) + recordCost(len(in.label))
		s.hold(cost)
		if in.w == nil {
			p.unasked++
			p.unaskedMem += cost
		}
		in.units, in.body = in.single[:], plain
		if in.chunks > 1 {
			in.units = make([]unit, in.chunks)
			in.body = make([]byte, in.length)
			copy(in.body[int(m.chunk)*chunkSize:], plain)
			clear(plain)
		}
	}
	in.units[m.chunk] = m.unit()
	in.got++
	for in.have < in.chunks && in.units[in.have].seq != 0 {
		in.have++
	}
	if in.complete() {
		if in.w != nil {
			s.arrived(in)
		}
		return nil
	}
	if !in.next.IsZero() {
		in.every = askFirst
		in.next = s.now.Add(s.jitter(in.every))
	}
	return s.grantMore(in)
}

// grantMore lets the sender go on when few of the granted chunks are still under way.
func (s *Session) grantMore(in *incoming) []packet {
	if !s.ready || in.chunks == 0 || in.grant-in.got > grantAt {
		return nil
	}
	from := in.grant
	in.grant = min(in.grant+moreWindow, in.chunks, in.have+mostAhead)
	m := in.missing(from, maxAskChunks)
	if in.grant <= from {
		in.grant = from
		return nil
	}
	if len(m) == 0 {
		return nil
	}
	return []packet{s.ask(in.from, []LabelAsk{{Label: []byte(in.label), Have: in.have, Missing: m}})}
}
