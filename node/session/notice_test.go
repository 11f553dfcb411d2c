package session

import (
	"crypto/ed25519"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/weftmpc/weft/broker/identity"
)

func identities(t testing.TB, n int) ([]*identity.Identity, []Participant) {
	t.Helper()
	from := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	a, err := identity.NewAuthority("test", from, from.AddDate(1, 0, 0))
	if err != nil {
		t.Fatal(err)
	}
	ids := make([]*identity.Identity, n)
	for i := range ids {
		if ids[i], err = identity.New(a, "p"+string(rune('a'+i)), "Org", from, from.AddDate(0, 0, 20)); err != nil {
			t.Fatal(err)
		}
	}
	slices.SortFunc(ids, func(a, b *identity.Identity) int { return a.FP().Compare(b.FP()) })
	ps := make([]Participant, n)
	for i, id := range ids {
		ps[i] = Participant{FP: id.FP(), Key: id.Leaf.Key, Name: id.Name()}
	}
	return ids, ps
}

func TestNotice(t *testing.T) {
	ids, ps := identities(t, 2)
	sid := fill32(1)
	for _, n := range []Notice{SignConfirm(ids[0], sid, fill32(2), fill32(3)), SignAbort(ids[0], sid, 2)} {
		b := n.Encode()
		got, err := DecodeNotice(b)
		if err != nil || got != n {
			t.Fatalf("%+v, %v", got, err)
		}
		if err := got.Verify(ps[0].Key); err != nil {
			t.Error(err)
		}
		if got.Verify(ps[1].Key) == nil || got.Verify(nil) == nil {
			t.Error("verified under another key")
		}
		if kind, s, ok := Kind(b); kind != KindNotice || s != sid || !ok {
			t.Error("kind of a notice")
		}
		for bit := range 8 * len(b) {
			bad := slices.Clone(b)
			bad[bit/8] ^= 1 << (bit % 8)
			if n, err := DecodeNotice(bad); err == nil && n.Verify(ps[0].Key) == nil {
				t.Errorf("bit %d does not matter", bit)
			}
		}
		if _, err := DecodeNotice(append(slices.Clone(b), 0)); err == nil {
			t.Error("a trailing byte was accepted")
		}
	}
	// The signature covers what the definition says, in its own context.
	n := SignConfirm(ids[0], sid, fill32(2), fill32(3))
	msg := slices.Concat(fill32s(1), fill32s(2), fill32s(3))
	if err := ed25519.VerifyWithOptions(ps[0].Key, msg, n.Sig[:], &ed25519.Options{Context: "weft/v1/confirm"}); err != nil {
		t.Error(err)
	}
	a := SignAbort(ids[0], sid, 0x0102)
	if err := ed25519.VerifyWithOptions(ps[0].Key, append(fill32s(1), 1, 2), a.Sig[:], &ed25519.Options{Context: "weft/v1/abort"}); err != nil {
		t.Error(err)
	}
}

func fill32s(b byte) []byte { f := fill32(b); return f[:] }

func TestCommit(t *testing.T) {
	ids, ps := identities(t, 4) // the last is a helper
	sid, th, rh := fill32(1), fill32(2), fill32(3)
	confirm := func(i int, th, rh [32]byte) Notice { return SignConfirm(ids[i], sid, th, rh) }
	abort := func(i int, code uint16) Notice { return SignAbort(ids[i], sid, code) }
	ok := func(i int) Notice { return confirm(i, th, map[bool][32]byte{true: rh}[i < 2]) } // 0 and 1 receive
	for _, v := range []struct {
		name    string
		self    int
		notices []Notice
		state   CommitState
		seats   []int
		code    uint16
	}{
		{"nothing", 0, nil, Open, nil, 0},
		{"own only", 0, []Notice{ok(0)}, Open, nil, 0},
		{"the helper's is missing", 0, []Notice{ok(0), ok(1), ok(2)}, Open, nil, 0},
		{"all", 0, []Notice{ok(0), ok(1), ok(2), ok(3)}, Done, nil, 0},
		{"all, some twice", 0, []Notice{ok(0), ok(1), ok(1), ok(2), ok(3), ok(3)}, Done, nil, 0},
		{"all, seen by a seat that receives nothing", 2, []Notice{ok(0), ok(1), ok(2), ok(3)}, Done, nil, 0},
		{"aborted", 0, []Notice{ok(0), abort(2, 1)}, PeerAborted, []int{2}, 1},
		{"aborted twice", 0, []Notice{ok(0), abort(2, 4), abort(2, 2)}, PeerAborted, []int{2}, 2},
		{"two aborted", 0, []Notice{ok(0), abort(2, 2), abort(1, 4)}, PeerAborted, []int{1, 2}, 4},
		{"equivocation", 0, []Notice{ok(0), abort(2, 3), abort(1, 1)}, Failed, []int{2}, 3},
		{"refused after all", 0, []Notice{ok(0), abort(2, 1), abort(2, 5)}, Failed, []int{2}, 5},
		{"both signed", 0, []Notice{ok(0), ok(1), ok(2), ok(3), abort(2, 1)}, Failed, []int{2}, 0},
		{"both signed, code 5", 0, []Notice{ok(0), ok(2), abort(2, 5)}, Failed, []int{2}, 0},
		{"confirmed two things", 0, []Notice{ok(1), confirm(1, th, fill32(9))}, Failed, []int{1}, 0},
		{"confirmed two courses", 0, []Notice{ok(1), confirm(1, fill32(9), rh)}, Failed, []int{1}, 0},
		{"other transcript", 0, []Notice{ok(0), confirm(2, fill32(9), [32]byte{}), confirm(3, fill32(9), [32]byte{})}, Failed, []int{2, 3}, 0},
		{"other result", 0, []Notice{ok(0), confirm(1, th, fill32(9))}, Failed, []int{1}, 0},
		{"no result at a recipient", 0, []Notice{ok(0), confirm(1, th, [32]byte{})}, Failed, []int{1}, 0},
		{"a result at one who receives none", 0, []Notice{ok(0), confirm(2, th, rh)}, Failed, []int{2}, 0},
		{"recipients differ, seen by another", 2, []Notice{ok(2), ok(0), confirm(1, th, fill32(9))}, Failed, []int{1}, 0},
	} {
		for round := range 20 {
			own := rh
			if v.self > 1 {
				own = [32]byte{}
			}
			c := NewCommit(sid, ps, v.self, 3, []int{0, 1}, th, own)
			notices := slices.Clone(v.notices)
			if round > 0 { // the order does not matter
				r := rand.New(rand.NewPCG(uint64(round), 0))
				r.Shuffle(len(notices), func(i, j int) { notices[i], notices[j] = notices[j], notices[i] })
			}
			for _, n := range notices {
				if err := c.Add(n); err != nil {
					t.Fatal(v.name, err)
				}
			}
			got := c.Verdict()
			if got.State != v.state || !slices.Equal(got.Seats, v.seats) || got.Code != v.code {
				t.Fatalf("%s: %+v", v.name, got)
			}
			if (got.State == Failed) != (got.Reason != "") || (v.seats == nil) != (got.Seat == -1) {
				t.Fatalf("%s: %+v", v.name, got)
			}
		}
	}
}

func TestCommitAdd(t *testing.T) {
	ids, ps := identities(t, 3)
	sid, th, rh := fill32(1), fill32(2), fill32(3)
	c := NewCommit(sid, ps[:2], 0, 2, []int{0, 1}, th, rh)
	forged := SignConfirm(ids[1], sid, th, rh)
	forged.RH = fill32(9)
	relabelled := SignConfirm(ids[0], sid, th, rh)
	relabelled.FP = ids[1].FP()
	for what, v := range map[string]struct {
		n    Notice
		want error
	}{
		"stranger":                 {SignConfirm(ids[2], sid, th, rh), ErrUnknownSigner},
		"another computation":      {SignConfirm(ids[1], fill32(7), th, rh), ErrOtherComputation},
		"forged":                   {forged, identity.ErrSignature},
		"signed by another":        {relabelled, identity.ErrSignature},
		"an ABORT out of thin air": {Notice{SID: sid, FP: ids[1].FP(), Code: 1}, identity.ErrSignature},
	} {
		if err := c.Add(v.n); !errors.Is(err, v.want) {
			t.Errorf("%s: %v, want %v", what, err, v.want)
		}
	}
	if !slices.Equal(c.Missing(), []int{0, 1}) || c.Verdict().State != Open {
		t.Errorf("refused notices changed the state: %+v", c.Verdict())
	}
	if err := c.Add(SignConfirm(ids[1], sid, th, rh)); err != nil || !slices.Equal(c.Missing(), []int{0}) {
		t.Error(err, c.Missing())
	}
	if n, ok := c.NoticeOf(1); !ok || !n.Confirm {
		t.Error("the notice is not there to be relayed")
	}
}
