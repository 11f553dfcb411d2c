package node

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/jobs"
	"github.com/weftmpc/weft/node/session"
	"github.com/weftmpc/weft/simon"
	"github.com/weftmpc/weft/simon/simontest"
)

var (
	bitLabel  = simon.Label{Round: 1, Vector: "bit"}
	bitLayout = sha256.Sum256([]byte("one bit"))
)

// playBits is as easy to guess as a protocol can be: each party publishes a bit, and what is opened is how many are one.
func playBits(ctx context.Context, s simon.Session, _ simon.Common, input []byte) ([]byte, error) {
	if _, err := s.Exchange(ctx, nil, bitLabel, input); err != nil {
		return nil, err
	}
	bodies, err := s.Open(ctx, simon.Label{Round: 2, Vector: "bit"}, input)
	if err != nil {
		return nil, err
	}
	var ones byte
	for _, b := range bodies {
		ones += b[0]
	}
	return []byte{ones}, nil
}

func bits() simon.Microprotocol {
	m := simon.SecureSum()
	m.Name = "Bits"
	m.Prepare = func(r io.Reader, _ json.RawMessage, _ simon.Guard) (simon.Prepared, error) {
		b, err := io.ReadAll(r)
		return simon.Prepared{Parameters: []byte("{}"), Layout: bitLayout, Input: []byte{b[0] - '0'}}, err
	}
	m.Run = playBits
	m.Finish = func(c simon.Common, _, opened []byte) (json.RawMessage, error) {
		return fmt.Appendf(nil, `{"samples":%d,"sum":%d}`, c.Parties, opened[0]), nil
	}
	return m
}

func lp(b []byte) []byte { return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...) }

func hash(parts ...[]byte) []byte {
	h := sha256.Sum256(slices.Concat(parts...))
	return h[:]
}

// guesses are the digests that one who knows all public facts of a computation, and no salt, would look for: hashes of
// bodies, transcripts and results over all values that the bits may have and all salts that he can think of.
func guesses(sid [32]byte, parties int) map[[32]byte]string {
	out := map[[32]byte]string{}
	add := func(b []byte, format string, a ...any) []byte {
		out[[32]byte(b)] = fmt.Sprintf(format, a...)
		return b
	}
	zero := make([]byte, 32)
	th := hash([]byte("weft/v1/th"), sid[:])
	label := slices.Concat(lp(nil), binary.BigEndian.AppendUint32(nil, bitLabel.Round), lp([]byte(bitLabel.Vector)))
	salts := map[string][]byte{"no salt": nil, "salt zero": zero, "salt sid": sid[:], "salt th": th, "salt H(sid)": hash(sid[:])}
	for name, salt := range salts {
		for values := range 1 << parties {
			step := slices.Concat([]byte("weft/v1/th"), th, lp(label))
			for i := range parties {
				bit := []byte{byte(values >> i & 1)}
				step = append(step, lp(add(hash(salt, bit), "body %d, %s", bit, name))...)
			}
			add(hash(step), "transcript of bits %b, %s", values, name)
		}
		for ones := range parties + 1 {
			opened := []byte{byte(ones)}
			add(hash(salt, opened), "opened %d, %s", ones, name)
			add(hash(sid[:], salt, opened), "sid and opened %d, %s", ones, name)
			for _, s := range [][]byte{salt, hash(salt), hash(bytes.Repeat(salt, parties))} {
				add(hash([]byte("weft/v1/result"), s, lp(bitLayout[:]), lp(opened)), "result %d, %s", ones, name)
			}
		}
	}
	return out
}

// search looks for guesses at every place of b.
func search(b []byte, guesses map[[32]byte]string) (found []string) {
	for i := 0; i+32 <= len(b); i++ {
		if what, ok := guesses[[32]byte(b[i:])]; ok {
			found = append(found, what)
		}
	}
	return found
}

// nothing is randomness that is none.
type nothing struct{}

func (nothing) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// direct is a link to the other one of two sessions.
type direct struct {
	to   **session.Session
	from int
}

func (d direct) Send(_ int, b []byte) error {
	(*d.to).Deliver(d.from, bytes.Clone(b))
	return nil
}

// unsalted plays the bits between two sessions whose salts are zero and returns what they would confirm.
func unsalted(t *testing.T, f *fleet, sid [32]byte, values [2]byte) [2]session.Outcome {
	t.Helper()
	two := []string{"alice", "bob"}
	slices.SortFunc(two, func(a, b string) int { return f.ids[a].FP().Compare(f.ids[b].FP()) })
	var ps []session.Participant
	for _, name := range two {
		ps = append(ps, session.Participant{FP: f.ids[name].FP(), Key: f.ids[name].Leaf.Key, Name: name})
	}
	var sessions [2]*session.Session
	for i := range sessions {
		s, err := session.New(session.Config{
			UUID: uuid.UUID{1}, SID: sid, Layout: bitLayout, Participants: ps, Parties: 2, Self: i, Positions: []int{0, 1},
			Recipients: []int{0, 1}, Version: 1, Started: f.now(), Rand: nothing{}, Link: direct{&sessions[1-i], i},
		})
		must(t, err)
		sessions[i] = s
	}
	var out [2]session.Outcome
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var wg sync.WaitGroup
	for i, s := range sessions {
		must(t, s.SetKey(1-i, [32]byte{1}, [16]byte{2}))
		wg.Go(func() {
			var err error
			out[i], err = s.Play(ctx, func(ctx context.Context, s simon.Session) ([]byte, error) {
				return playBits(ctx, s, simon.Common{}, []byte{values[i]})
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	return out
}

// Who sees all traffic and the ledgers' hashes cannot test a guess of a one-bit input on them. The same search finds the
// hashes at once where the salts are known.
func TestHashesCannotBeGuessed(t *testing.T) {
	f := newFleet(t, simontest.Faults{}, three...)
	f.catalogue = []simon.Microprotocol{bits()}
	f.again()
	w := f.watch()
	for _, values := range []map[string]string{
		{"alice": "0", "bob": "0", "carol": "0"}, {"alice": "0", "bob": "1", "carol": "0"}, {"alice": "1", "bob": "1", "carol": "1"},
	} {
		id, ones := uuid.New(), 0
		for _, v := range values {
			ones += int(v[0] - '0')
		}
		f.wantSum(f.sumAll(id, values), fmt.Sprint(ones), "3")
		f.wantOneLine(id, jobs.LineDone)
		sid := w.await(1, is(kindShare, id)).sid()
		g := guesses(sid, 3)
		confirms := map[[32]byte]bool{}
		for _, d := range w.seen(func(d sent) bool { return d.uuid() == id }) {
			for _, what := range search(d.body, g) {
				t.Errorf("a %s from %s to %s shows the %s", d.kind(), d.from, d.to, what)
			}
			if n, ok := d.notice(); ok && n.Confirm {
				confirms[n.TH], confirms[n.RH] = true, true
			}
		}
		if len(confirms) != 2 || confirms[[32]byte{}] {
			t.Errorf("the CONFIRMs have %d different hashes, want two that are not zero", len(confirms))
		}
		for name, m := range f.members {
			l, err := m.current().Line(t.Context(), sid)
			must(t, err)
			for _, what := range search(slices.Concat(l.TH[:], l.RH[:]), g) {
				t.Errorf("the ledger of %s shows the %s", name, what)
			}
		}
	}
	sid := [32]byte{7}
	for _, o := range unsalted(t, f, sid, [2]byte{1, 0}) {
		g := guesses(sid, 2)
		if len(search(o.TH[:], g)) == 0 || len(search(o.RH[:], g)) == 0 {
			t.Errorf("the search does not find hashes with salts that are zero: th %v, rh %v", search(o.TH[:], g), search(o.RH[:], g))
		}
	}
}
