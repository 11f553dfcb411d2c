package coordinator

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/weftmpc/weft/broker/identity"
)

// sample makes valid formats from a seed: n parties, parameters and leaves of the sizes given.
func sample(seed uint64, n, parameters, leaf int) (Common, []Own, Start) {
	rng := rand.New(rand.NewPCG(seed, 1))
	fill := func(b []byte) []byte {
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		return b
	}
	c := Common{Microprotocol: strings.Repeat("S", 1+rng.IntN(MaxMicroprotocol)), Version: rng.Uint32(), RoundMS: 20_000, LimitMS: 120_000}
	c.Parameters = fill(make([]byte, parameters))
	fill(c.UUID[:])
	fill(c.Layout[:])
	fill(c.Coordinator[:])
	for len(c.Parties) < n {
		var fp identity.Fingerprint
		fill(fp[:])
		c.Parties = insert(c.Parties, fp)
	}
	for _, p := range rng.Perm(n) {
		c.Positions = append(c.Positions, uint16(p))
	}
	c.Recipients = slices.Clone(c.Parties[:1+rng.IntN(n)])
	common, err := c.Encode()
	if err != nil {
		panic(err)
	}
	s := Start{Common: common}
	var owns []Own
	for _, fp := range c.Parties {
		b := Bundle{FP: fp, NotBefore: 1, NotAfter: 2, PK: fill(make([]byte, BundleKey)), Leaf: fill(make([]byte, leaf))}
		o := Own{FP: fp, Issued: 1, Expiry: 2, Bundle: b.Encode()}
		fill(o.Nonce[:])
		fill(o.E[:])
		owns = append(owns, o)
		j := Signed{Own: o.Encode()}
		fill(j.Sig[:])
		s.Joins = append(s.Joins, j)
	}
	return c, owns, s
}

// The bytes of the formats are for ever: written by hand from their description, without the encoder.
func TestFormatBytes(t *testing.T) {
	c, owns, s := sample(1, 2, 3, 5)
	cat := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	u16 := func(v int) []byte { return []byte{byte(v >> 8), byte(v)} }
	u32 := func(v int) []byte { return []byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)} }
	u64 := func(v int) []byte { return cat(u32(0), u32(v)) }
	lp := func(b []byte) []byte { return cat(u32(len(b)), b) }

	fps := func(fps []identity.Fingerprint) []byte {
		b := u16(len(fps))
		for _, fp := range fps {
			b = append(b, fp[:]...)
		}
		return b
	}
	common := cat([]byte{1}, c.UUID[:], lp([]byte(c.Microprotocol)), u32(int(c.Version)), lp(c.Parameters), u32(20_000), u32(120_000),
		c.Layout[:], fps(c.Parties), u16(int(c.Positions[0])), u16(int(c.Positions[1])), make([]byte, 5*32), fps(c.Recipients), c.Coordinator[:])
	if got, _ := c.Encode(); !bytes.Equal(got, common) {
		t.Errorf("common:\n%x\nwant\n%x", got, common)
	}
	o := owns[0]
	own := cat(o.FP[:], u64(1), u64(2), o.Nonce[:], o.E[:], lp(o.Bundle))
	if got := o.Encode(); !bytes.Equal(got, own) {
		t.Error("own differs")
	}
	b := must(DecodeBundle(o.Bundle))(t)
	unsigned := cat([]byte{1, 0x64, 0x7a}, b.FP[:], u64(1), u64(2), b.Nonce[:], lp(b.PK), lp(b.Leaf))
	if !bytes.Equal(o.Bundle, cat(unsigned, b.Sig[:])) {
		t.Error("bundle differs")
	}
	if h := sha256.Sum256(unsigned); !bytes.Equal(b.SigningBytes(), h[:]) {
		t.Error("signing bytes of the bundle differ")
	}
	j := Join{Common: common, Signed: s.Joins[0]}
	join := cat(lp(common), lp(own), j.Sig[:])
	if !bytes.Equal(j.Encode(), join) || j.Hash() != sha256.Sum256(join) {
		t.Error("JOIN differs")
	}
	hc := sha256.Sum256(common)
	if !bytes.Equal(SigningBytes(common, own), cat(hc[:], own)) {
		t.Error("signing bytes of the JOIN differ")
	}
	own1 := owns[1].Encode()
	if !bytes.Equal(s.Encode(), cat([]byte{1}, lp(common), u16(2), lp(own), s.Joins[0].Sig[:], lp(own1), s.Joins[1].Sig[:])) {
		t.Error("START differs")
	}
	sid := sha256.Sum256(cat([]byte("weft/v1/sid"), lp(common), u16(2), lp(cat(own, s.Joins[0].Sig[:])), lp(cat(own1, s.Joins[1].Sig[:]))))
	if s.SID() != sid {
		t.Error("sid differs")
	}
	id := uuid.UUID{1, 2, 3}
	l := Leave{UUID: id, FP: o.FP, Join: sid, Sig: j.Sig}
	if !bytes.Equal(l.Encode(), cat([]byte{1}, id[:], o.FP[:], sid[:], j.Sig[:])) {
		t.Error("LEAVE differs")
	}
	for _, a := range []struct {
		answer Answer
		want   []byte
	}{
		{Answer{Kind: AnswerStart, UUID: id, Start: []byte("st")}, cat([]byte{1, 1}, id[:], lp([]byte("st")))},
		{Answer{Kind: AnswerWaiting, UUID: id, Waiting: c.Parties}, cat([]byte{1, 2}, id[:], fps(c.Parties))},
		{Answer{Kind: AnswerConflict, UUID: id, Other: []byte("jo")}, cat([]byte{1, 3}, id[:], lp([]byte("jo")))},
		{Answer{Kind: AnswerRefused, UUID: id, Code: 12, Text: "busy"}, cat([]byte{1, 4}, id[:], u16(12), lp([]byte("busy")))},
	} {
		if got := a.answer.Encode(); !bytes.Equal(got, a.want) {
			t.Errorf("%s: %x, want %x", a.answer.Kind, got, a.want)
		}
		if got := must(DecodeAnswer(a.want))(t); !reflect.DeepEqual(got, a.answer) {
			t.Error(cmp.Diff(a.answer, got))
		}
	}
}

func TestRoundTrip(t *testing.T) {
	for seed := range uint64(40) {
		c, owns, s := sample(seed, 2+int(seed)%5, 1+int(seed), 1+int(seed)*30)
		if got := must(DecodeCommon(s.Common))(t); !reflect.DeepEqual(got, c) {
			t.Fatal(cmp.Diff(c, got))
		}
		j := Join{Common: s.Common, Signed: s.Joins[0]}
		if got := must(DecodeJoin(j.Encode()))(t); !reflect.DeepEqual(got, j) {
			t.Fatal("JOIN differs")
		}
		got := must(DecodeStart(s.Encode()))(t)
		if !reflect.DeepEqual(got, s) {
			t.Fatal("START differs")
		}
		gc, gowns, err := got.Open()
		if err != nil || !reflect.DeepEqual(gc, c) || !reflect.DeepEqual(gowns, owns) {
			t.Fatalf("opened START differs: %v", err)
		}
	}
}

// The largest START that the bounds allow is below MaxStart, helpers included.
func TestLargestStart(t *testing.T) {
	c, _, s := sample(1, MaxParties, MaxParameters, MaxLeaf)
	for i, role := range []*identity.Fingerprint{&c.Dealer, &c.Opener, &c.Aggregator} {
		*role = identity.Fingerprint{0xff, byte(i)}
		o := must(DecodeOwn(s.Joins[0].Own))(t)
		o.FP = *role
		s.Joins = append(s.Joins, Signed{Own: o.Encode()})
	}
	c.Microprotocol = strings.Repeat("S", MaxMicroprotocol)
	c.Recipients = append(slices.Clone(c.Parties), c.Dealer)
	slices.SortFunc(c.Recipients, identity.Fingerprint.Compare)
	s.Common = must(c.Encode())(t)
	b := s.Encode()
	t.Logf("%d bytes", len(b))
	if len(b) >= MaxStart {
		t.Errorf("%d bytes, want less than %d", len(b), MaxStart)
	}
	if _, _, err := must(DecodeStart(b))(t).Open(); err != nil {
		t.Error(err)
	}
	if j := (Join{Common: s.Common, Signed: s.Joins[0]}).Encode(); len(j) > maxJoin {
		t.Errorf("JOIN of %d bytes, bound is %d", len(j), maxJoin)
	}
}

func TestCommonBounds(t *testing.T) {
	fp := func(b byte) identity.Fingerprint { return identity.Fingerprint{b} }
	for name, bend := range map[string]func(*Common){
		"no name":                   func(c *Common) { c.Microprotocol = "" },
		"long name":                 func(c *Common) { c.Microprotocol = strings.Repeat("S", 65) },
		"name with control":         func(c *Common) { c.Microprotocol = "Secure\x1bSum" },
		"name with space":           func(c *Common) { c.Microprotocol = "Secure Sum" },
		"name not ASCII":            func(c *Common) { c.Microprotocol = "SécureSum" },
		"parameters too long":       func(c *Common) { c.Parameters = make([]byte, MaxParameters+1) },
		"no round time-out":         func(c *Common) { c.RoundMS = 0 },
		"no limit":                  func(c *Common) { c.LimitMS = 0 },
		"one party":                 func(c *Common) { c.Parties, c.Positions, c.Recipients = c.Parties[:1], []uint16{0}, c.Parties[:1] },
		"descending":                func(c *Common) { c.Parties = []identity.Fingerprint{fp(2), fp(1), fp(3)} },
		"party twice":               func(c *Common) { c.Parties = []identity.Fingerprint{fp(1), fp(2), fp(2)} },
		"position missing":          func(c *Common) { c.Positions = c.Positions[:2] },
		"position twice":            func(c *Common) { c.Positions = []uint16{0, 1, 1} },
		"position out of range":     func(c *Common) { c.Positions = []uint16{0, 1, 3} },
		"no recipient":              func(c *Common) { c.Recipients = nil },
		"recipient twice":           func(c *Common) { c.Recipients = []identity.Fingerprint{fp(1), fp(1)} },
		"recipients descending":     func(c *Common) { c.Recipients = []identity.Fingerprint{fp(2), fp(1)} },
		"recipient takes no part":   func(c *Common) { c.Recipients = []identity.Fingerprint{fp(1), fp(9)} },
		"recipient is zero":         func(c *Common) { c.Recipients = []identity.Fingerprint{{}} },
		"more parties than allowed": func(c *Common) { big, _, _ := sample(1, MaxParties, 1, 1); c.Parties = insert(big.Parties, fp(0)) },
	} {
		t.Run(name, func(t *testing.T) {
			c := Common{Microprotocol: "SecureSum", RoundMS: 1, LimitMS: 1, Parties: []identity.Fingerprint{fp(1), fp(2), fp(3)},
				Positions: []uint16{2, 0, 1}, Recipients: []identity.Fingerprint{fp(3)}}
			if _, err := c.Encode(); err != nil {
				t.Fatal(err)
			}
			bend(&c)
			if _, err := c.Encode(); err == nil {
				t.Error("Encode accepts it")
			}
			if _, err := DecodeCommon(c.encode()); err == nil {
				t.Error("DecodeCommon accepts it")
			}
		})
	}
}

// A helper may receive the result, and a START has its own part after the parties'.
func TestHelpersInFormats(t *testing.T) {
	c, owns, s := sample(1, 3, 1, 1)
	d := identity.Fingerprint{0xee}
	c.Dealer, c.Opener, c.Aggregator = d, c.Parties[1], d
	c.Recipients = []identity.Fingerprint{d}
	if got := c.Helpers(); !slices.Equal(got, []identity.Fingerprint{d}) {
		t.Fatalf("helpers %v", got)
	}
	s.Common = must(c.Encode())(t)
	if _, _, err := s.Open(); err == nil {
		t.Error("a START without the helper's JOIN is accepted")
	}
	o := owns[0]
	o.FP = d
	s.Joins = append(s.Joins, Signed{Own: o.Encode()})
	if _, _, err := s.Open(); err != nil {
		t.Error(err)
	}
	s.Joins[0], s.Joins[1] = s.Joins[1], s.Joins[0]
	if _, _, err := s.Open(); err == nil {
		t.Error("a START in another order is accepted")
	}
}

func TestTrailingAndMissingBytes(t *testing.T) {
	c, owns, s := sample(3, 3, 10, 100)
	_ = c
	for name, f := range map[string]struct {
		b      []byte
		decode func([]byte) error
	}{
		"common": {s.Common, func(b []byte) error { _, err := DecodeCommon(b); return err }},
		"own":    {s.Joins[0].Own, func(b []byte) error { _, err := DecodeOwn(b); return err }},
		"bundle": {owns[0].Bundle, func(b []byte) error { _, err := DecodeBundle(b); return err }},
		"join":   {Join{Common: s.Common, Signed: s.Joins[0]}.Encode(), func(b []byte) error { _, err := DecodeJoin(b); return err }},
		"start":  {s.Encode(), func(b []byte) error { _, err := DecodeStart(b); return err }},
		"leave":  {Leave{}.Encode(), func(b []byte) error { _, err := DecodeLeave(b); return err }},
		"answer": {Answer{Kind: AnswerRefused, Code: 1, Text: "no"}.Encode(), func(b []byte) error { _, err := DecodeAnswer(b); return err }},
	} {
		if err := f.decode(f.b); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if f.decode(append(slices.Clone(f.b), 0)) == nil {
			t.Errorf("%s: a trailing byte is accepted", name)
		}
		for n := range f.b {
			if f.decode(f.b[:n]) == nil {
				t.Fatalf("%s: %d of %d bytes are accepted", name, n, len(f.b))
			}
		}
	}
}

// A length that announces more than there is costs nothing.
func TestNoAllocationByAnnouncedLength(t *testing.T) {
	huge := bytes.Repeat([]byte{0xff}, 64)
	_, _, s := sample(1, 2, 1, 1)
	start := appendLP([]byte{1}, s.Common)
	start = append(start, 0, maxParticipants) // 131 joins announced, none there
	for name, decode := range map[string]func(){
		"join":  func() { _, _ = DecodeJoin(huge) },
		"start": func() { _, _ = DecodeStart(start) },
		"answer": func() {
			_, _ = DecodeAnswer(append([]byte{1, byte(AnswerWaiting)}, bytes.Repeat([]byte{0, 131}, 9)...))
		},
	} {
		const runs = 100
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range runs {
			decode()
		}
		runtime.ReadMemStats(&after)
		if per := (after.TotalAlloc - before.TotalAlloc) / runs; per > 2048 {
			t.Errorf("%s allocates %d bytes", name, per)
		}
	}
}

func TestAnswerText(t *testing.T) {
	bad := Answer{Kind: AnswerRefused, Code: 1, Text: "red \x1b[31m alert \u202e\xff" + strings.Repeat("é", 400)}
	a := must(DecodeAnswer(bad.Encode()))(t)
	if strings.ContainsAny(a.Text, "\x1b\u202e") || len(a.Text) > maxText {
		t.Errorf("text %q", a.Text)
	}
	raw := append([]byte{1, byte(AnswerRefused)}, make([]byte, 16)...)
	raw = append(raw, 0, 1)
	for _, text := range []string{"a\x1b", "a\n", "\xff", "\u202e"} {
		if _, err := DecodeAnswer(appendLP(slices.Clone(raw), []byte(text))); err == nil {
			t.Errorf("text %s is accepted", hex.EncodeToString([]byte(text)))
		}
	}
}
