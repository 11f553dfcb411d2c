package coordinator

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/weftmpc/weft/broker/identity"
)

var (
	first  = uuid.MustParse("11111111-1111-4111-8111-111111111111")
	second = uuid.MustParse("22222222-2222-4222-8222-222222222222")
)

func TestTableStart(t *testing.T) {
	w := newWorld(t, "alice", "bob", "carol")
	c := w.common(first, "carol", "alice", "bob")
	joins := map[string][]byte{}
	for i, name := range []string{"bob", "alice"} {
		joins[name] = w.join(name, c)
		a, push := w.table.Join(joins[name])
		if a.Kind != AnswerWaiting || a.UUID != first || len(push) != 0 {
			t.Fatalf("%+v, %d pushed", a, len(push))
		}
		if diff := cmp.Diff([]string{"alice", "carol"}[i:], w.names(a.Waiting)); diff != "" {
			t.Error(diff)
		}
	}
	joins["carol"] = w.join("carol", c)
	a, push := w.table.Join(joins["carol"])
	if a.Kind != AnswerStart {
		t.Fatalf("%+v", a)
	}
	s := w.opened(a.Start)
	for i, fp := range c.Parties {
		j := Join{Common: s.Common, Signed: s.Joins[i]}
		if !bytes.Equal(j.Encode(), joins[w.name(fp)]) {
			t.Errorf("the JOIN of %s is not in the START as it was sent", w.name(fp))
		}
	}
	var told []string
	for _, d := range push {
		told = append(told, d.Name)
		if !cmp.Equal(d.Answer, a) || d.To != w.fp(d.Name) {
			t.Errorf("%s receives %+v", d.Name, d.Answer)
		}
	}
	slices.Sort(told)
	if diff := cmp.Diff([]string{"alice", "bob"}, told); diff != "" {
		t.Error(diff)
	}
	// The START was lost: the same JOIN again is answered by it, and nobody else is bothered.
	for name, j := range joins {
		if b, push := w.table.Join(j); !cmp.Equal(b, a) || len(push) != 0 {
			t.Errorf("%s repeats its JOIN: %s, %d pushed", name, b.Kind, len(push))
		}
	}
	if n := w.table.Counts(); n.Started != 1 || n.Open != 0 || n.Accepted != 3 {
		t.Errorf("%+v", n)
	}
}

// A START answers a repeated JOIN only if that JOIN stands in it, byte for byte; it is kept for each.
func TestTableRepeatedComputations(t *testing.T) {
	w := newWorld(t, "alice", "bob")
	c := w.common(first, "alice", "bob")
	a1, b1 := w.join("alice", c), w.join("bob", c)
	w.table.Join(a1)
	start1, _ := w.table.Join(b1)
	a2 := w.join("alice", c)
	if a, _ := w.table.Join(a2); a.Kind != AnswerWaiting {
		t.Fatalf("the second computation begins with %s", a.Kind)
	}
	if a, _ := w.table.Join(b1); !cmp.Equal(a, start1) {
		t.Errorf("bob, who lost the first START, gets %s", a.Kind)
	}
	// alice's first JOIN is older than her second, wherever it comes from.
	if a, push := w.table.Join(a1); a.Kind != AnswerRefused || a.Code != CodeReplaced || len(push) != 0 {
		t.Errorf("alice's first JOIN again: %+v", a)
	}
	b2 := w.join("bob", c)
	start2, push := w.table.Join(b2)
	if start2.Kind != AnswerStart || len(push) != 1 || w.opened(start2.Start).SID() == w.opened(start1.Start).SID() {
		t.Fatalf("the second computation: %s", start2.Kind)
	}
	if a, _ := w.table.Join(b1); a.Code != CodeReplaced {
		t.Errorf("bob's first JOIN after his second: %+v", a)
	}
}

func TestTableReplace(t *testing.T) {
	w := newWorld(t, "alice", "bob")
	c := w.common(first, "alice", "bob")
	a1 := w.join("alice", c)
	a2 := w.join("alice", c)
	w.table.Join(a2)
	if a, _ := w.table.Join(a1); a.Code != CodeReplaced || !strings.Contains(a.Text, "alice") {
		t.Errorf("an older JOIN: %+v", a)
	}
	// Same time of issue, other bytes: not newer.
	d := w.draft(w.ids["alice"], c)
	d.own.Issued--
	if a, _ := w.table.Join(d.sign(t)); a.Code != CodeReplaced {
		t.Errorf("an equally old JOIN: %+v", a)
	}
	start, _ := w.table.Join(w.join("bob", c))
	if start.Kind != AnswerStart || !bytes.Contains(start.Start, must(DecodeJoin(a2))(t).Own) {
		t.Errorf("started with another JOIN")
	}
}

// One party may take part in several circles under one UUID, and in computations under several.
func TestTableCircles(t *testing.T) {
	w := newWorld(t, "alice", "bob", "carol")
	ab, ac := w.common(first, "alice", "bob"), w.common(first, "alice", "carol")
	w.table.Join(w.join("alice", ab))
	w.table.Join(w.join("alice", ac))
	w.table.Join(w.join("alice", w.common(second, "alice", "bob")))
	if n := w.table.Counts().Open; n != 3 {
		t.Fatalf("%d open", n)
	}
	for name, c := range map[string]Common{"bob": ab, "carol": ac} {
		if a, push := w.table.Join(w.join(name, c)); a.Kind != AnswerStart || len(push) != 1 || push[0].Name != "alice" {
			t.Errorf("%s: %s", name, a.Kind)
		}
	}
}

func TestTableConflict(t *testing.T) {
	w := newWorld(t, "alice", "bob", "carol")
	two := w.common(first, "alice", "bob", "carol")
	three := two
	three.Parameters = []byte(`{"columns":3}`)
	ja, jb := w.join("alice", two), w.join("bob", three)
	w.table.Join(ja)
	a, push := w.table.Join(jb)
	if a.Kind != AnswerConflict || !bytes.Equal(a.Other, ja) {
		t.Fatalf("bob: %+v", a)
	}
	if len(push) != 1 || push[0].Name != "alice" || push[0].Answer.Kind != AnswerConflict || !bytes.Equal(push[0].Answer.Other, jb) {
		t.Fatalf("pushed: %+v", push)
	}
	// The answer was lost: the same JOIN gets it again.
	if a, push := w.table.Join(ja); a.Kind != AnswerConflict || !bytes.Equal(a.Other, jb) || len(push) != 0 {
		t.Errorf("alice again: %+v", a)
	}
	// carol was on the list and hears of it when she joins.
	a, push = w.table.Join(w.join("carol", two))
	if a.Kind != AnswerConflict || !bytes.Equal(a.Other, jb) || len(push) != 0 {
		t.Errorf("carol: %+v", a)
	}
	// All have been told and ask anew, alice first: nobody is told of it again.
	for i, name := range []string{"alice", "carol", "bob"} {
		a, _ := w.table.Join(w.join(name, two))
		if want := []AnswerKind{AnswerWaiting, AnswerWaiting, AnswerStart}[i]; a.Kind != want {
			t.Errorf("%s anew: %s, want %s", name, a.Kind, want)
		}
	}
	if n := w.table.Counts(); n.Conflict != 0 || n.Open != 0 {
		t.Errorf("%+v", n)
	}
}

// A JOIN in conflict tells others until it expires, also after its party left.
func TestTableConflictLeave(t *testing.T) {
	w := newWorld(t, "alice", "bob", "carol")
	two := w.common(first, "alice", "bob", "carol")
	three := two
	three.Parameters = []byte(`{"columns":3}`)
	ja, jb := w.join("alice", two), w.join("bob", three)
	w.table.Join(ja)
	w.table.Join(jb)
	for name, j := range map[string][]byte{"alice": ja, "bob": jb} {
		if err := w.table.Leave(w.leave(name, two, j)); err != nil {
			t.Error(err)
		}
	}
	if a, _ := w.table.Join(w.join("carol", two)); a.Kind != AnswerConflict {
		t.Errorf("carol: %+v", a)
	}
	w.now = w.now.Add(6 * time.Minute)
	w.table.Sweep()
	if n := w.table.Counts(); n.Conflict != 0 {
		t.Errorf("%+v", n)
	}
	if a, _ := w.table.Join(w.join("carol", two)); a.Kind != AnswerWaiting {
		t.Errorf("carol, later: %+v", a)
	}
}

func TestTableStranger(t *testing.T) {
	w := newWorld(t, "alice", "bob", "mallory")
	ab := w.common(first, "alice", "bob")
	w.table.Join(w.join("alice", ab))
	evil := w.common(first, "alice", "bob", "mallory")
	evil.Parameters = []byte(`{"columns":9}`)
	if a, push := w.table.Join(w.join("mallory", evil)); a.Kind != AnswerWaiting || len(push) != 0 {
		t.Errorf("mallory: %+v", a)
	}
	if a, _ := w.table.Join(w.join("bob", ab)); a.Kind != AnswerStart {
		t.Errorf("bob: %+v", a)
	}
}

func TestTableLeave(t *testing.T) {
	w := newWorld(t, "alice", "bob", "mallory")
	c := w.common(first, "alice", "bob")
	j := w.join("alice", c)
	w.table.Join(j)
	good := w.leave("alice", c, j)

	forged := must(DecodeLeave(good))(t)
	copy(forged.Sig[:], w.ids["mallory"].Sign(identity.ContextLeave, forged.SigningBytes()))
	asMallory := must(DecodeLeave(w.leave("mallory", c, j)))(t)
	other := must(DecodeLeave(w.leave("alice", w.common(second, "alice", "bob"), j)))(t)
	for name, b := range map[string][]byte{"forged": forged.Encode(), "another party's": asMallory.Encode(), "of another uuid": other.Encode(), "short": good[1:]} {
		if err := w.table.Leave(b); err == nil || w.table.Counts().Open != 1 {
			t.Errorf("a LEAVE %s works: %v", name, err)
		}
	}
	unknown := must(DecodeLeave(good))(t)
	unknown.Join[0]++
	if err := w.table.Leave(unknown.Encode()); err != nil || w.table.Counts().Open != 1 {
		t.Errorf("a LEAVE for another JOIN: %v", err)
	}
	if err := w.table.Leave(good); err != nil || w.table.Counts().Open != 0 {
		t.Fatalf("LEAVE: %v", err)
	}
	// The JOIN was under way a second time: it does not open again.
	if a, _ := w.table.Join(j); a.Code != CodeWithdrawn {
		t.Errorf("after LEAVE: %+v", a)
	}
	if a, _ := w.table.Join(w.join("bob", c)); a.Kind != AnswerWaiting {
		t.Errorf("bob: %+v", a)
	}
	// A newer JOIN does, and the old LEAVE does not touch it.
	j2 := w.join("alice", c)
	start, _ := w.table.Join(j2)
	if start.Kind != AnswerStart {
		t.Fatalf("alice anew: %+v", start)
	}
	for _, l := range [][]byte{good, w.leave("alice", c, j2)} {
		if err := w.table.Leave(l); err != nil {
			t.Error(err)
		}
	}
	if a, _ := w.table.Join(j2); !cmp.Equal(a, start) {
		t.Errorf("LEAVE after START: %+v", a)
	}
}

func TestTableRefusals(t *testing.T) {
	w := newWorld(t, "alice", "bob", "carol", "dave")
	stranger := w.issue(must(identity.NewAuthority("elsewhere", w.now.Add(-time.Hour), w.now.AddDate(1, 0, 0)))(t), "alice")
	brief := must(identity.New(w.ca, "alice", "Institute", w.now.Add(-time.Hour), w.now.Add(time.Minute)))(t)
	for _, c := range []struct {
		name string
		bend func(d *draft)
		code uint16
		text string
	}{
		{"good", func(*draft) {}, 0, ""},
		{"valid for an hour", func(d *draft) { d.own.Expiry = d.own.Issued + int64(time.Hour) }, 0, ""},
		{"valid for longer", func(d *draft) { d.own.Expiry = d.own.Issued + int64(time.Hour) + 1 }, CodeExpired, "at most 1h0m0s"},
		{"just expired", func(d *draft) {
			d.own.Issued, d.own.Expiry = w.now.Add(-5*time.Minute).UnixNano(), w.now.UnixNano()
		}, CodeExpired, "expired"},
		{"clock is behind", func(d *draft) {
			d.own.Issued, d.own.Expiry = w.now.Add(-598*time.Second).UnixNano(), w.now.Add(-298*time.Second).UnixNano()
		}, CodeClock, "clock of alice differs by 9m58s: it is behind"},
		{"clock is ahead", func(d *draft) {
			d.own.Issued, d.own.Expiry = w.now.Add(598*time.Second).UnixNano(), w.now.Add(898*time.Second).UnixNano()
		}, CodeClock, "clock of alice differs by 9m58s: it is ahead"},
		{"clock is a little ahead", func(d *draft) { d.own.Issued = w.now.Add(2 * time.Minute).UnixNano() }, 0, ""},
		{"an open JOIN from before a restart", func(d *draft) {
			d.own.Issued, d.own.Expiry = w.now.Add(-50*time.Minute).UnixNano(), w.now.Add(time.Minute).UnixNano()
		}, 0, ""},
		{"another coordinator", func(d *draft) { d.common.Coordinator[0]++ }, CodeCoordinator, "meant for the coordinator"},
		{"a dealer from outside", func(d *draft) { d.common.Dealer = w.fp("dave") }, CodeHelpers, "dealer: it must be the coordinator or a party"},
		{"this coordinator as dealer", func(d *draft) { d.common.Dealer = w.coord.FP() }, CodeHelpers, "this coordinator does not deal"},
		{"one evaluator", func(d *draft) { d.common.S0 = w.fp("alice") }, CodeHelpers, "evaluators: there is one"},
		{"an opener", func(d *draft) { d.common.Opener = w.coord.FP() }, CodeHelpers, "this coordinator does not open"},
		{"an aggregator", func(d *draft) { d.common.Aggregator = w.coord.FP() }, CodeHelpers, "this coordinator does not aggregate"},
		{"too many parties", func(d *draft) { d.common = w.common(first, "alice", "bob", "carol", "dave") }, CodeParties, "up to 3"},
		{"not listed", func(d *draft) { d.common = w.common(first, "bob", "carol") }, CodeMalformed, "not in its own list"},
		{"another CA", func(d *draft) {
			d.id, d.own.FP, d.bundle.FP, d.bundle.Leaf = stranger, stranger.FP(), stranger.FP(), stranger.Leaf.DER
			d.common.Parties = insert(w.fps("bob"), stranger.FP())
			d.common.Recipients, d.common.Positions = d.common.Parties, []uint16{0, 1}
		}, CodeCertificate, "alice"},
		{"certificate ends before the bundle", func(d *draft) {
			d.id, d.own.FP, d.bundle.FP, d.bundle.Leaf = brief, brief.FP(), brief.FP(), brief.Leaf.DER
			d.common.Parties = insert(w.fps("bob"), brief.FP())
			d.common.Recipients, d.common.Positions = d.common.Parties, []uint16{0, 1}
		}, CodeMalformed, "renew the certificate"},
		{"no certificate", func(d *draft) { d.bundle.Leaf = []byte("alice") }, CodeMalformed, ""},
		{"someone's certificate", func(d *draft) { d.bundle.Leaf = w.ids["bob"].Leaf.DER }, CodeMalformed, "not of one key"},
		{"someone's bundle", func(d *draft) { d.bundle.FP, d.bundle.Leaf = w.fp("bob"), w.ids["bob"].Leaf.DER }, CodeMalformed, "not of one key"},
		{"a bundle for someone", func(d *draft) { d.bundle.FP = w.fp("bob") }, CodeMalformed, "not of one key"},
		{"someone's name", func(d *draft) {
			d.own.FP, d.bundle.FP, d.bundle.Leaf = w.fp("bob"), w.fp("bob"), w.ids["bob"].Leaf.DER
		}, CodeSignature, "bob"},
		{"outlives its bundle", func(d *draft) { d.bundle.NotAfter = d.own.Expiry - 1 }, CodeMalformed, "outlives"},
		{"bundle for too long", func(d *draft) { d.bundle.NotBefore-- }, CodeMalformed, "at most 2h2m0s"},
		{"bundle from the future", func(d *draft) {
			d.bundle.NotBefore = w.now.Add(3 * time.Minute).UnixNano()
		}, CodeClock, "clock of alice differs"},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := w.config()
			config.MaxParties = 3
			w.table = NewTable(config)
			d := w.draft(w.ids["alice"], w.common(first, "alice", "bob"))
			c.bend(d)
			a, push := w.table.Join(d.sign(t))
			if c.code == 0 {
				if a.Kind != AnswerWaiting {
					t.Fatalf("%+v", a)
				}
				return
			}
			if a.Kind != AnswerRefused || a.Code != c.code || !strings.Contains(a.Text, c.text) || a.UUID != first || len(push) != 0 {
				t.Errorf("%+v, want code %d with %q", a, c.code, c.text)
			}
			if n := w.table.Counts(); n.Open != 0 || n.Refused != 1 {
				t.Errorf("%+v", n)
			}
			if got := must(DecodeAnswer(a.Encode()))(t); !cmp.Equal(got, a) {
				t.Errorf("the refusal does not travel: %+v", got)
			}
		})
	}
}

// Every byte of a JOIN counts.
func TestTableTampered(t *testing.T) {
	w := newWorld(t, "alice", "bob")
	j := w.join("alice", w.common(first, "alice", "bob"))
	for i := range j {
		b := bytes.Clone(j)
		b[i] ^= 1
		if a, _ := w.table.Join(b); a.Kind != AnswerRefused {
			t.Fatalf("byte %d changed: %s", i, a.Kind)
		}
	}
}

func TestTableExpiry(t *testing.T) {
	w := newWorld(t, "alice", "bob")
	c := w.common(first, "alice", "bob")
	ja := w.join("alice", c)
	w.table.Join(ja)
	w.now = w.now.Add(5 * time.Minute)
	if a, _ := w.table.Join(ja); a.Code != CodeExpired {
		t.Errorf("alice again: %+v", a)
	}
	jb := w.join("bob", c)
	if a, _ := w.table.Join(jb); a.Kind != AnswerWaiting || !slices.Equal(w.names(a.Waiting), []string{"alice"}) {
		t.Errorf("bob: %+v", a)
	}
	w.table.Sweep()
	if n := w.table.Counts(); n.Open != 1 {
		t.Errorf("%+v", n)
	}
	start, _ := w.table.Join(w.join("alice", c))
	for _, late := range []time.Duration{5 * time.Minute, 2*time.Minute - time.Second, 2 * time.Second} {
		if a, _ := w.table.Join(jb); !cmp.Equal(a, start) {
			t.Errorf("before %s: %+v", late, a)
		}
		w.now = w.now.Add(late)
		w.table.Sweep()
	}
	if a, _ := w.table.Join(jb); a.Kind != AnswerRefused {
		t.Errorf("two minutes after its expiry: %s", a.Kind)
	}
	w.table.Sweep()
	if n := w.table.Counts(); n.Open+n.Conflict+n.Ended+n.KeptBytes != 0 || len(w.table.slots)+len(w.table.byHash)+len(w.table.held)+len(w.table.perParty)+len(w.table.memories) != 0 {
		t.Errorf("something is left: %+v", n)
	}
}

func TestTableBounds(t *testing.T) {
	w := newWorld(t, "alice", "bob", "carol")
	config := w.config()
	config.MaxOpen, config.PerParty = 5, 3
	w.table = NewTable(config)
	join := func(name string, k byte) Answer {
		a, _ := w.table.Join(w.join(name, w.common(uuid.UUID{k}, "alice", "bob", "carol")))
		return a
	}
	for k := range byte(4) {
		a := join("alice", k)
		if full := k >= 3; full != (a.Kind == AnswerRefused) || full && (a.Code != CodeBusy || !strings.Contains(a.Text, "busy")) {
			t.Errorf("alice's JOIN %d: %+v", k, a)
		}
	}
	if a := join("alice", 0); a.Kind != AnswerWaiting { // replaces one of hers
		t.Errorf("a newer JOIN when full: %+v", a)
	}
	join("bob", 10)
	join("bob", 11)
	if a := join("carol", 20); a.Code != CodeBusy {
		t.Errorf("carol, when all is full: %+v", a)
	}
	w.now = w.now.Add(6 * time.Minute) // nobody swept
	if a := join("carol", 20); a.Kind != AnswerWaiting {
		t.Errorf("carol, when all has expired: %+v", a)
	}
	// Lists under one UUID.
	w = newWorld(t, "a", "b", "c", "d", "e")
	var got []AnswerKind
	for _, list := range []string{"a b", "a c", "a d", "a e", "a b c", "a b d", "a b e", "a c d", "a c e"} {
		a, _ := w.table.Join(w.join("a", w.common(first, strings.Fields(list)...)))
		got = append(got, a.Kind)
	}
	if want := append(slices.Repeat([]AnswerKind{AnswerWaiting}, perUUID), AnswerRefused); !slices.Equal(got, want) {
		t.Errorf("lists under one UUID: %v", got)
	}
}

// What is remembered of finished computations is bounded, and a late copy of a JOIN opens nothing.
func TestTableKept(t *testing.T) {
	w := newWorld(t, "alice", "bob")
	config := w.config()
	config.MaxKept, config.MaxOpen = 10_000, 4
	w.table = NewTable(config)
	var joins [][]byte
	for k := range byte(20) {
		c := w.common(uuid.UUID{k}, "alice", "bob")
		j := w.join("alice", c)
		joins = append(joins, j)
		w.table.Join(j)
		if a, _ := w.table.Join(w.join("bob", c)); a.Kind != AnswerStart {
			t.Fatal(a.Kind)
		}
	}
	if n := w.table.Counts(); n.KeptBytes > 10_000 || n.KeptBytes < 3000 || n.Ended != 32 || len(w.table.slots) != 32 {
		t.Errorf("%+v, %d slots", n, len(w.table.slots))
	}
	if a, _ := w.table.Join(joins[19]); a.Kind != AnswerStart {
		t.Errorf("the last: %+v", a)
	}
	if a, _ := w.table.Join(joins[14]); a.Code != CodeOver {
		t.Errorf("one whose START is dropped: %+v", a)
	}
}

func TestTableOneVerificationPerLeaf(t *testing.T) {
	w := newWorld(t, "alice", "bob")
	for k := range byte(3) {
		w.table.Join(w.join("alice", w.common(uuid.UUID{k}, "alice", "bob")))
	}
	if n := w.table.leaves.Known(); n != 1 {
		t.Fatalf("%d leaves known", n)
	}
	// Validity is looked at anew, and every refusal says what it is about.
	later := w.now.AddDate(0, 0, 21)
	w.table.config.Now = func() time.Time { return later }
	if a, _ := w.table.Join(w.join("alice", w.common(uuid.UUID{9}, "alice", "bob"))); a.Code != CodeCertificate {
		t.Errorf("an expired certificate: %+v", a)
	}
}

// Liveness: whatever order, loss, duplication and restarts, repetition brings every party the one START. Safety: all parties
// that are started in the end hold STARTs that consist of their own open JOINs.
func TestTableRepetitionCompletes(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 2))
		names := []string{"a", "b", "c", "d"}[:2+rng.IntN(3)]
		w := newWorld(t, names...)
		c := w.common(first, names...)
		joins := map[string][]byte{}
		for _, n := range names {
			joins[n] = w.join(n, c)
		}
		got := map[string][]byte{}
		for step := 0; len(got) < len(names); step++ {
			if step > 1000 {
				t.Fatalf("seed %d: only %d of %d started", seed, len(got), len(names))
			}
			if rng.IntN(10) == 0 && step < 500 {
				w.restart()
			}
			n := names[rng.IntN(len(names))]
			reply, push := w.table.Join(joins[n])
			if got[n] == nil && rng.IntN(3) > 0 {
				if reply.Kind == AnswerStart {
					got[n] = reply.Start
				}
			}
			for _, d := range push {
				if rng.IntN(3) == 0 && d.Answer.Kind == AnswerStart {
					got[d.Name] = d.Answer.Start
				}
			}
		}
		for n, start := range got {
			if w.opened(start).SID() != w.opened(got[names[0]]).SID() {
				t.Fatalf("seed %d: %s has another START", seed, n)
			}
		}
	}
}

// Everybody at once, everything twice: one START.
func TestTableConcurrent(t *testing.T) {
	names := strings.Fields("a b c d e f g h")
	w := newWorld(t, names...)
	c := w.common(first, names...)
	var joins [][]byte
	for _, n := range names {
		joins = append(joins, w.join(n, c))
	}
	starts := make([][]byte, 2*len(joins))
	var wg sync.WaitGroup
	for i := range starts {
		wg.Go(func() {
			a, push := w.table.Join(joins[i%len(joins)])
			starts[i] = a.Start
			for _, d := range push {
				if d.Answer.Kind != AnswerStart {
					t.Errorf("%s is told %s", d.Name, d.Answer.Kind)
				}
			}
			w.table.Sweep()
		})
	}
	wg.Wait()
	if n := w.table.Counts(); n.Started != 1 || n.Accepted != uint64(len(names)) || n.Open != 0 {
		t.Errorf("%+v", n)
	}
	want, _ := w.table.Join(joins[0])
	for _, s := range starts {
		if s != nil && !bytes.Equal(s, want.Start) {
			t.Error("another START")
		}
	}
}

// All parties of the largest computation join; the coordinator's part of it is timed by the benchmark below.
func TestTable128(t *testing.T) {
	var names []string
	for i := range MaxParties {
		names = append(names, fmt.Sprintf("p%d", i))
	}
	w := newWorld(t, names...)
	config := w.config()
	config.MaxParties = 1000
	w.table = NewTable(config)
	c := w.common(first, names...)
	for i, n := range names {
		a, push := w.table.Join(w.join(n, c))
		switch {
		case i < MaxParties-1 && (a.Kind != AnswerWaiting || len(a.Waiting) != MaxParties-1-i):
			t.Fatalf("%s: %s, %d missing", n, a.Kind, len(a.Waiting))
		case i == MaxParties-1:
			if a.Kind != AnswerStart || len(push) != MaxParties-1 {
				t.Fatalf("%s, %d pushed", a.Kind, len(push))
			}
			w.opened(a.Start)
			t.Logf("START of %d bytes", len(a.Start))
		}
	}
}

func BenchmarkJoin(b *testing.B) {
	w := newWorld(b, "alice", "bob")
	c := w.common(first, "alice", "bob")
	for b.Loop() {
		b.StopTimer()
		j := w.join("alice", c)
		b.StartTimer()
		w.table.Join(j)
	}
}
