package session

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weftmpc/weft/simon"
	"github.com/weftmpc/weft/simon/simontest"
)

// forger seals what a dishonest seat would: it holds the same secret as the session that it stands for.
type forger struct {
	s      *Session // an own session of the seat, for its keys
	to     int
	body   []byte
	label  string
	th     [32]byte
	seq    uint64
	chunk  uint32
	length uint64 // 0: as the body is
	chunks uint32 // 0: as the length says
	salt   byte
	alter  func(h *header) // the rest of the header; nil: as it should be
}

func (f forger) seal() []byte {
	p, own := f.s.peers[f.to], f.s.peers[f.s.cfg.Self].FP
	salted := append(bytes.Repeat([]byte{f.salt}, saltSize), f.body...)
	if f.length == 0 {
		f.length = uint64(len(salted))
	}
	if f.chunks == 0 {
		f.chunks = chunksOf(f.length)
	}
	h := header{
		uuid: f.s.cfg.UUID[:], sid: f.s.cfg.SID[:], epoch: p.epoch[:], version: f.s.cfg.Version, label: []byte(f.label),
		from: own[:], to: p.FP[:], seq: f.seq, chunk: f.chunk, chunks: f.chunks, th: f.th[:], length: f.length,
	}
	if f.alter != nil {
		f.alter(&h)
	}
	var w writer
	h.encode(&w)
	aad := bytes.Clone(w.b)
	nonce := nonceOf(f.seq)
	w.bytes(p.seal.Seal(nil, nonce[:], salted, aad))
	return w.b
}

// loner is one session with keys and a link that records, and the session of a peer to forge with.
func loner(t *testing.T, n, self, peer int) (s, forge *Session, sent *[][]byte) {
	t.Helper()
	sent = new([][]byte)
	build := func(self int, link Link) *Session {
		c := labConfig(n, 0, self, 0)
		c.Link = link
		s, err := New(c)
		if err != nil {
			t.Fatal(err)
		}
		for j := range n {
			if j != self {
				if err := s.SetKey(j, labPRK(c.SID, self, j), labEpoch(self, j)); err != nil {
					t.Fatal(err)
				}
			}
		}
		t.Cleanup(s.Close)
		return s
	}
	return build(self, recorder{sent}), build(peer, recorder{new([][]byte)}), sent
}

type recorder struct{ sent *[][]byte }

func (r recorder) Send(_ int, b []byte) error { *r.sent = append(*r.sent, bytes.Clone(b)); return nil }

func helloLabel(round uint32) string {
	return string(labelBytes(nil, simon.Label{Round: round, Vector: "hello"}))
}

// Every flipped bit, every cut and every appended byte is dropped, and the good message still counts.
func TestTamper(t *testing.T) {
	s, forge, _ := loner(t, 2, 0, 1)
	good := forger{s: forge, to: 0, label: helloLabel(1), th: transcriptStart(s.cfg.SID), seq: 1, body: []byte("body")}.seal()
	dropped := uint64(0)
	try := func(what string, b []byte) {
		t.Helper()
		dropped++
		if s.Deliver(1, b); s.Stats().Dropped != dropped || len(s.Heard()) != 0 {
			t.Fatalf("%s was taken", what)
		}
	}
	for bit := range 8 * len(good) {
		b := bytes.Clone(good)
		b[bit/8] ^= 1 << (bit % 8)
		try(fmt.Sprintf("bit %d", bit), b)
	}
	for n := range len(good) {
		try(fmt.Sprintf("the first %d bytes", n), good[:n])
	}
	try("a longer message", append(bytes.Clone(good), 0))
	s.Deliver(1, good)
	if st := s.Stats(); st.Dropped != dropped || !slices.Equal(s.Heard(), []int{1}) {
		t.Fatalf("the good message was not taken: %+v", st)
	}
	s.Deliver(1, bytes.Clone(good))
	if st := s.Stats(); st.Duplicates != 1 || s.err != nil {
		t.Errorf("the same message again: %+v, %v", st, s.err)
	}
}

// What is authentic in its place is refused in any other.
func TestSwap(t *testing.T) {
	s, forge, _ := loner(t, 3, 0, 1)
	th := transcriptStart(s.cfg.SID)
	first := forger{s: forge, to: 0, label: helloLabel(1), th: th, seq: 1, body: []byte("first")}.seal()
	second := forger{s: forge, to: 0, label: helloLabel(2), th: th, seq: 2, body: []byte("other")}.seal()
	swap := func(head, tail []byte) []byte {
		a, _ := parseShare(head)
		b, _ := parseShare(tail)
		w := writer{b: bytes.Clone(a.aad)}
		w.bytes(b.sealed)
		return w.b
	}
	c := forge.cfg // the same secret in another computation
	c.SID = labSID(99)
	elsewhere, err := New(c)
	if err == nil {
		err = elsewhere.SetKey(0, labPRK(labSID(0), 0, 1), labEpoch(0, 1))
	}
	if err != nil {
		t.Fatal(err)
	}
	other := forger{s: elsewhere, to: 0, label: helloLabel(1), th: th, seq: 3, body: []byte("first")}.seal()
	moved := bytes.Clone(other) // claims to be of this computation
	copy(moved[bytes.Index(moved, elsewhere.cfg.SID[:]):], s.cfg.SID[:])
	wrongTo := forger{s: forge, to: 2, label: helloLabel(1), th: th, seq: 1, body: []byte("first")}.seal()
	lie := func(alter func(h *header)) []byte { // authentic under the pair's key nevertheless
		return forger{s: forge, to: 0, label: helloLabel(1), th: th, seq: 1, body: []byte("first"), alter: alter}.seal()
	}
	for what, b := range map[string][]byte{
		"wrong uuid":                     lie(func(h *header) { h.uuid = make([]byte, 16) }),
		"wrong epoch":                    lie(func(h *header) { h.epoch = make([]byte, 16) }),
		"wrong version":                  lie(func(h *header) { h.version++ }),
		"another sender":                 lie(func(h *header) { h.from = s.cfg.Participants[2].FP[:] }),
		"another receiver":               lie(func(h *header) { h.to = s.cfg.Participants[2].FP[:] }),
		"body of another label":          swap(first, second),
		"body of another computation":    swap(first, other),
		"message of another computation": other,
		"message moved to this one":      moved,
		"message to another seat":        wrongTo,
	} {
		before := s.Stats().Dropped
		if s.Deliver(1, b); s.Stats().Dropped != before+1 || len(s.Heard()) != 0 {
			t.Errorf("%s was taken", what)
		}
	}
	before := s.Stats().Dropped
	if s.Deliver(2, first); s.Stats().Dropped != before+1 {
		t.Error("a message on another sender's subject was taken")
	}
	for _, b := range [][]byte{first, second} {
		if s.Deliver(1, b); s.Stats().Dropped != before+1 {
			t.Error("the good message was not taken")
		}
	}
}

// Chunks of one body cannot change places either.
func TestSwapChunks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, 2, labOptions{})
		defer l.close()
		var chunks [][]byte
		l.net.Tap(func(d *simontest.Datagram) bool {
			if m, ok := parseShare(d.Body); ok && d.From == "p0" && m.chunks == 2 && len(chunks) < 2 {
				if chunks = append(chunks, bytes.Clone(d.Body)); len(chunks) == 2 {
					a, _ := parseShare(chunks[0])
					b, _ := parseShare(chunks[1])
					w := writer{b: bytes.Clone(b.aad)}
					w.bytes(a.sealed)
					l.sessions[1].Deliver(0, w.b)
				}
			}
			return true
		})
		body := make([]byte, 2*chunkSize-saltSize) // both chunks have one length
		for i := range body {
			body[i] = byte(i >> 10)
		}
		_, errs := l.play(func(ctx context.Context, s simon.Session) ([]byte, error) {
			got, err := s.Exchange(ctx, []int{0}, simon.Label{Round: 1}, map[int][]byte{0: body}[s.Self()])
			if err == nil && !bytes.Equal(got[0], body) {
				err = errors.New("the body changed")
			}
			return nil, err
		})
		if err := errors.Join(errs...); err != nil || l.sessions[1].Stats().Dropped != 1 {
			t.Error(err, l.sessions[1].Stats())
		}
	})
}

// floodLink sends a thousand corrupted copies beside each good message.
type floodLink struct {
	Link
	rnd interface{ Uint64() uint64 }
}

func (f *floodLink) Send(to int, b []byte) error {
	for i := range 1000 {
		if i == 500 {
			if err := f.Link.Send(to, b); err != nil {
				return err
			}
		}
		bad := bytes.Clone(b)
		bit := f.rnd.Uint64() % uint64(8*len(b))
		bad[bit/8] ^= 1 << (bit % 8)
		if err := f.Link.Send(to, bad); err != nil {
			return err
		}
	}
	return nil
}

func TestCorruptedCopies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, 3, labOptions{change: func(_ int, c *Config) {
			c.Link = &floodLink{Link: c.Link, rnd: c.Rand.(interface{ Uint64() uint64 })}
			c.Rand = nil
		}})
		defer l.close()
		outs, errs := l.play(sum(value))
		if check(t, 3, outs, errs) != 3 {
			t.Error(errs)
		}
		synctest.Wait()
		for i, s := range l.sessions {
			// A copy whose tag is whole counts as a repetition once the good message is there, without being opened.
			if st := s.Stats(); st.Dropped+st.Duplicates != 4*1000 {
				t.Errorf("seat %d: %+v, want 4,000 dropped or duplicates", i, st)
			}
		}
	})
}

func TestEquivocation(t *testing.T) {
	base := forger{label: helloLabel(1), seq: 1, body: []byte("body")}
	for what, change := range map[string]func(f *forger){
		"another body":         func(f *forger) { f.seq, f.body = 2, []byte("BODY") },
		"the body sealed anew": func(f *forger) { f.seq = 2 },
		"another length":       func(f *forger) { f.seq, f.body = 2, []byte("longer body") },
		"another transcript":   func(f *forger) { f.seq, f.th = 2, fill32(1) },
		"more chunks":          func(f *forger) { f.seq, f.body, f.length = 2, make([]byte, chunkSize-saltSize), 2*chunkSize },
	} {
		s, forge, _ := loner(t, 2, 0, 1)
		f := base
		f.s, f.th = forge, transcriptStart(s.cfg.SID)
		s.Deliver(1, f.seal())
		change(&f)
		s.Deliver(1, f.seal())
		var e *EquivocationError
		_, err := s.Play(t.Context(), sum(value))
		if !errors.As(err, &e) || e.Seat != 1 || e.Name != "p1" {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// A party that shows two receivers different public bodies is found out before either uses the next round.
func TestTranscriptsDiffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, 3, labOptions{})
		defer l.close()
		var used atomic.Bool
		play := func(ctx context.Context, s simon.Session) ([]byte, error) {
			if _, err := s.Exchange(ctx, nil, simon.Label{Round: 1, Vector: "hello"}, []byte{1}); err != nil {
				return nil, err
			}
			_, err := s.Exchange(ctx, []int{0, 1}, simon.Label{Round: 2, Vector: "hello"}, []byte{2})
			if err == nil {
				used.Store(true)
			}
			return nil, err
		}
		cheat := l.sessions[2] // never plays
		for to := range 2 {
			l.sessions[to].Deliver(2, forger{s: cheat, to: to, label: helloLabel(1), th: transcriptStart(cheat.cfg.SID), seq: 1, body: []byte{byte(to)}}.seal())
		}
		errs := make(chan error, 2)
		for _, s := range l.sessions[:2] {
			go func() { _, err := s.Play(t.Context(), play); errs <- err }()
		}
		for range 2 {
			var e *EquivocationError
			if err := <-errs; !errors.As(err, &e) {
				t.Errorf("%v", err)
			}
		}
		if used.Load() {
			t.Error("a round was used although the transcripts differ")
		}
	})
}

// An ask is answered only if its MAC is of the right pair, direction and computation, and with the stored bytes only.
func TestAskForgery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, 3, labOptions{})
		defer l.close()
		outs, errs := l.play(sum(value))
		if check(t, 3, outs, errs) != 3 {
			t.Fatal(errs)
		}
		s := l.sessions[0]
		fp := func(i int) []byte { return s.cfg.Participants[i].FP[:] }
		answers := func(b []byte) int {
			before := l.net.Count().Sent
			s.Deliver(1, b)
			return l.net.Count().Sent - before
		}
		ask := Ask{SID: s.cfg.SID, From: fp(1), To: fp(0), Labels: []LabelAsk{{Label: []byte(helloLabel(1))}}}
		swapped, foreign, unknown := ask, ask, ask
		swapped.From, swapped.To = ask.To, ask.From
		foreign.SID = labSID(7)
		unknown.Labels = []LabelAsk{{Label: []byte("nothing")}, {Label: []byte(helloLabel(1)), Have: 1 << 31, Missing: []uint32{1, 1 << 30}}}
		for _, v := range []struct {
			what string
			b    []byte
		}{
			{"another pair's key", sealAsk(ask, askKeyOf(l, 2, 0))},
			{"the other direction", sealAsk(ask, askKeyOf(l, 0, 1))},
			{"from and to swapped", sealAsk(swapped, askKeyOf(l, 1, 0))},
			{"of another computation", sealAsk(foreign, askKeyOf(l, 1, 0))},
			{"no MAC", EncodeNoticeAsk(s.cfg.SID, nil)},
			{"unknown label and chunks", sealAsk(unknown, askKeyOf(l, 1, 0))},
		} {
			if n := answers(v.b); n != 0 {
				t.Errorf("%s: %d answers", v.what, n)
			}
		}
		good := sealAsk(Ask{SID: ask.SID, From: ask.From, To: ask.To, Labels: []LabelAsk{{Label: sumLabel()}}}, askKeyOf(l, 1, 0))
		if n := answers(good); n != 1 {
			t.Errorf("%d answers, want 1", n)
		}
		if n := answers(good); n != 0 {
			t.Errorf("%d answers at once, want none: the rate is limited", n)
		}
		time.Sleep(repeatGap + 50*time.Millisecond)
		if n := answers(good); n != 1 {
			t.Errorf("%d answers later, want 1", n)
		}
	})
}

func sumLabel() []byte {
	return labelBytes(appendPath(nil, "sum", 0), simon.Label{Round: 1, Vector: "y"})
}

// A peer that floods labels nobody waits for fills its own share of memory and stops nobody.
func TestFlood(t *testing.T) {
	s, forge, _ := loner(t, 3, 0, 1)
	for i := range uint32(20_000) {
		s.Deliver(1, forger{s: forge, to: 0, label: helloLabel(10 + i), seq: uint64(i) + 1, body: make([]byte, 100)}.seal())
	}
	if len(s.peers[1].in) != mostUnasked {
		t.Errorf("%d bodies kept of one peer, want %d", len(s.peers[1].in), mostUnasked)
	}
	s.cfg.Memory = 1 << 20
	big := forger{s: forge, to: 0, label: helloLabel(1), seq: 30_000, body: make([]byte, chunkSize-saltSize), length: 1 << 39}
	before := s.memory
	if s.Deliver(1, big.seal()); s.memory != before || s.err != nil {
		t.Errorf("an announced length of 512 GiB: %d bytes taken, %v", s.memory-before, s.err)
	}
}
