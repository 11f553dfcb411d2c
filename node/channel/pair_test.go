package channel

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weftmpc/weft/broker/identity"
	"github.com/weftmpc/weft/coordinator"
)

func TestBothEndsAgree(t *testing.T) {
	ps := parties(t, "ann", "bob", "cem")
	seen := make(map[[32]byte]bool)
	for i, p := range ps {
		for _, q := range ps[i+1:] {
			a, b := p.bundle(t, noon), q.bundle(t, noon)
			left, right := p.pair(t, a, b, noon), q.pair(t, b, a, noon)
			secretless(t, left)
			accept(t, left, right.Init())
			secretless(t, right)
			accept(t, right, left.Init())
			seen[agree(t, left, right)] = true
		}
	}
	if len(seen) != 3 {
		t.Errorf("three pairs have %d different secrets", len(seen))
	}
}

// What the two ends may do at a first contact, in every order that keeps Pair before Accept at one end, with every
// INIT arriving twice.
func TestFirstContactInAllOrders(t *testing.T) {
	orders := permutations([]string{"pair a", "pair b", "a to b", "b to a", "a to b again", "b to a again"})
	ps := parties(t, "ann", "bob")
	tried := 0
	for n, order := range orders {
		if !possible(order) {
			continue
		}
		tried++
		now := noon.Add(time.Duration(n) * BundleEvery) // a new pair of bundles each time
		a, b := ps[0].bundle(t, now), ps[1].bundle(t, now)
		var left, right *Pair
		for _, event := range order {
			switch event {
			case "pair a":
				left = ps[0].pair(t, a, b, now)
			case "pair b":
				right = ps[1].pair(t, b, a, now)
			case "a to b", "a to b again":
				accept(t, right, ps[0].pair(t, a, b, now).Init())
			case "b to a", "b to a again":
				accept(t, left, ps[1].pair(t, b, a, now).Init())
			}
		}
		agree(t, left, right)
		ps[0].Tick(now)
		ps[1].Tick(now)
	}
	// At each end, Pair comes first of three events in a third of the orders: 720/9.
	if tried != 80 {
		t.Errorf("%d orders were tried, want 80", tried)
	}
}

// possible says that an end has its pair before it takes the peer's INIT in.
func possible(order []string) bool {
	ready := make(map[string]bool)
	for _, event := range order {
		if who, ok := strings.CutPrefix(event, "pair "); ok {
			ready[who] = true
			continue
		}
		if !ready[strings.Fields(event)[2]] {
			return false
		}
	}
	return true
}

func permutations(items []string) [][]string {
	if len(items) == 0 {
		return [][]string{nil}
	}
	var all [][]string
	for i := range items {
		rest := append(append([]string{}, items[:i]...), items[i+1:]...)
		for _, tail := range permutations(rest) {
			all = append(all, append([]string{items[i]}, tail...))
		}
	}
	return all
}

// Both parties change their bundle while computations with the old ones begin: four pairs of bundles, whose INITs
// cross in any order and reach every pair of the receiver.
func TestCrossingRekeys(t *testing.T) {
	const seed = 7
	order := rand.New(rand.NewPCG(seed, 0))
	for range 40 {
		ps := parties(t, "ann", "bob")
		later := noon.Add(BundleEvery)
		as := [][]byte{ps[0].bundle(t, noon), ps[0].bundle(t, later)}
		bs := [][]byte{ps[1].bundle(t, noon), ps[1].bundle(t, later)}
		var left, right []*Pair
		for _, a := range as {
			for _, b := range bs {
				left = append(left, ps[0].pair(t, a, b, later))
				right = append(right, ps[1].pair(t, b, a, later))
			}
		}
		type delivery struct{ to, from int }
		var all []delivery
		for i := range 4 {
			all = append(all, delivery{i, i + 4}, delivery{i + 4, i})
		}
		both := append(append([]*Pair{}, left...), right...)
		order.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		for _, d := range all {
			init := both[d.from].Init()
			for i, p := range both {
				if err := p.Accept(init); (err == nil) != (i == d.to) {
					t.Fatalf("seed %d: INIT of pair %d at pair %d: %v", seed, d.from, i, err)
				}
			}
		}
		secrets := make(map[[32]byte]bool)
		for i := range left {
			secrets[agree(t, left[i], right[i])] = true
		}
		if len(secrets) != 4 {
			t.Fatalf("seed %d: four pairs of bundles have %d different secrets", seed, len(secrets))
		}
	}
}

// A JOIN made just before the change of bundles is served by a START just after.
func TestJoinBeforeRotationStartAfter(t *testing.T) {
	ps := parties(t, "ann", "bob")
	before, after := noon.Add(BundleEvery-time.Nanosecond), noon.Add(BundleEvery)
	ps[0].bundle(t, noon)
	a, b := ps[0].bundle(t, before), ps[1].bundle(t, before)
	if next := ps[0].bundle(t, after); bytes.Equal(next, a) {
		t.Fatal("the bundle did not change")
	}
	ps[0].Tick(after)
	left, right := ps[0].pair(t, a, b, after), ps[1].pair(t, b, a, after)
	accept(t, left, right.Init())
	accept(t, right, left.Init())
	agree(t, left, right)
}

func TestInitIsMadeOnce(t *testing.T) {
	ps := parties(t, "ann", "bob")
	a, b := ps[0].bundle(t, noon), ps[1].bundle(t, noon)
	first := ps[0].pair(t, a, b, noon)
	init := first.Init()
	init[5] ^= 1 // the caller's copy
	if other := ps[0].pair(t, bytes.Clone(a), bytes.Clone(b), noon.Add(time.Hour)); other != first {
		t.Error("the same two bundles have two pairs")
	}
	if _, _, err := InitBundles(first.Init()); err != nil {
		t.Error(err)
	}
	if bytes.Equal(init, first.Init()) {
		t.Error("the caller can change the INIT")
	}
	from, to, err := InitBundles(first.Init())
	if err != nil || from != hash(a) || to != hash(b) {
		t.Errorf("InitBundles does not name the two bundles: %v", err)
	}
}

func TestDifferentInit(t *testing.T) {
	ps := parties(t, "ann", "bob")
	a, b := ps[0].bundle(t, noon), ps[1].bundle(t, noon)
	left, right := ps[0].pair(t, a, b, noon), ps[1].pair(t, b, a, noon)

	// A twin process with bob's identity makes another INIT for the same two bundles.
	twin := party{New(Config{Identity: ps[1].id}), ps[1].id}
	twin.own[hash(b)] = &bundle{
		raw: b, hash: hash(b), notBefore: noon.UnixNano(), notAfter: noon.Add(time.Hour).UnixNano(), pairs: make(map[[32]byte]*Pair),
	}
	second := twin.pair(t, b, a, noon).Init()
	if bytes.Equal(second, right.Init()) {
		t.Fatal("the twin made the same INIT")
	}
	accept(t, right, left.Init())
	accept(t, left, right.Init())
	k := agree(t, left, right)

	if err := left.Accept(second); !errors.Is(err, ErrDifferentInit) {
		t.Errorf("a second INIT: %v, want ErrDifferentInit", err)
	}
	broken := bytes.Clone(second)
	broken[len(broken)-1] ^= 1
	if err := left.Accept(broken); !errors.Is(err, identity.ErrSignature) {
		t.Errorf("a second INIT with a bad signature: %v, want ErrSignature", err)
	}
	accept(t, left, right.Init())
	if agree(t, left, right) != k {
		t.Error("a refused INIT changed the secret")
	}
}

func TestReplayedInit(t *testing.T) {
	ps := parties(t, "ann", "bob", "cem")
	a, b, c := ps[0].bundle(t, noon), ps[1].bundle(t, noon), ps[2].bundle(t, noon)
	old := ps[1].pair(t, b, a, noon).Init()
	later := noon.Add(BundleEvery)
	a2 := ps[0].bundle(t, later)
	for name, p := range map[string]*Pair{
		"to a pair with a newer own bundle":  ps[0].pair(t, a2, b, later),
		"to a pair with another peer":        ps[0].pair(t, a, c, later),
		"back to its sender":                 ps[1].pair(t, b, a, later),
		"to another party with the same one": ps[2].pair(t, c, b, later),
	} {
		if err := p.Accept(old); err == nil {
			t.Errorf("replayed %s: accepted", name)
		}
		secretless(t, p)
	}
	p := ps[0].pair(t, a, b, later)
	accept(t, p, old)
	k, _, _ := p.Secret()
	accept(t, p, old)
	if again, _, ok := p.Secret(); !ok || again != k {
		t.Error("the same INIT again changed the secret")
	}
}

// Mallory publishes ann's public key as its own. Nobody ends with a key that the other end files under another name.
func TestBundleOfAnotherIdentity(t *testing.T) {
	ps := parties(t, "ann", "bob", "mallory")
	ann, bob, mallory := ps[0], ps[1], ps[2]
	a, b := ann.bundle(t, noon), bob.bundle(t, noon)
	own := mallory.bundle(t, noon)

	renamed := forge(t, mallory.id, a, func(w *coordinator.Bundle) { w.FP = mallory.id.FP() })
	if _, _, err := bob.Check(renamed, noon); err == nil {
		t.Error("a bundle with mallory's name and ann's certificate was accepted")
	}
	dressed := forge(t, mallory.id, a, func(w *coordinator.Bundle) { w.Leaf = mallory.id.Leaf.DER })
	if _, _, err := bob.Check(dressed, noon); err == nil {
		t.Error("a bundle with ann's name and mallory's certificate was accepted")
	}

	stolen := forge(t, mallory.id, own, func(w *coordinator.Bundle) {
		w.PK = ann.peer(t, a).bundle.PK
	})
	toMallory := bob.pair(t, b, stolen, noon) // bob cannot tell, but encapsulates for (bob, mallory)
	toAnn := bob.pair(t, b, a, noon)
	fromBob := ann.pair(t, a, b, noon)
	if err := fromBob.Accept(toMallory.Init()); err == nil {
		t.Fatal("ann accepted an INIT that bob made for mallory")
	}
	m, err := decodeInit(toMallory.Init())
	if err != nil {
		t.Fatal(err)
	}
	ss, err := ann.own[hash(a)].open(m.enc[:], contextInfo(hash(b), hash(a)))
	if err != nil {
		t.Fatal(err)
	}
	if ss == toMallory.sent {
		t.Error("the encapsulated secret does not depend on whose bundle it is for")
	}
	accept(t, fromBob, toAnn.Init())
	accept(t, toAnn, fromBob.Init())
	agree(t, fromBob, toAnn)
	// Ann's INIT for bob, handed on by mallory as its own.
	if err := toMallory.Accept(fromBob.Init()); err == nil {
		t.Error("bob accepted ann's INIT as mallory's")
	}
}

// peer is a bundle as Check remembers it.
func (p party) peer(t testing.TB, raw []byte) *checked {
	t.Helper()
	k, err := p.check(raw, noon)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestEveryByteOfInitCounts(t *testing.T) {
	ps := parties(t, "ann", "bob")
	a, b := ps[0].bundle(t, noon), ps[1].bundle(t, noon)
	left, right := ps[0].pair(t, a, b, noon), ps[1].pair(t, b, a, noon)
	good := right.Init()
	for i := range good {
		for _, flip := range []byte{1, 0x80} {
			bad := bytes.Clone(good)
			bad[i] ^= flip
			if err := left.Accept(bad); err == nil {
				t.Fatalf("byte %d changed by %#x: accepted", i, flip)
			}
			secretless(t, left)
		}
	}
	for _, bad := range [][]byte{nil, good[:len(good)-1], append(bytes.Clone(good), 0)} {
		if err := left.Accept(bad); err == nil {
			t.Errorf("INIT of %d bytes: accepted", len(bad))
		}
	}
	accept(t, left, good)
	accept(t, right, left.Init())
	agree(t, left, right)
}

// Signed by the right party, but nothing that could be opened: the pair stays as it was.
func TestSignedButUnusableInit(t *testing.T) {
	ps := parties(t, "ann", "bob")
	a, b := ps[0].bundle(t, noon), ps[1].bundle(t, noon)
	left, right := ps[0].pair(t, a, b, noon), ps[1].pair(t, b, a, noon)
	m, err := decodeInit(right.Init())
	if err != nil {
		t.Fatal(err)
	}
	clear(m.enc[encSize-32:]) // the X25519 point of order one
	copy(m.sig[:], ps[1].id.Sign(identity.ContextInit, m.signed()))
	if err := left.Accept(m.encode()); err == nil || errors.Is(err, ErrDifferentInit) {
		t.Errorf("unusable INIT: %v", err)
	}
	secretless(t, left)
	accept(t, left, right.Init())
	accept(t, right, left.Init())
	agree(t, left, right)
}

// An INIT names the two ends as well as their bundles, and both are compared.
func TestInitNamesBothEnds(t *testing.T) {
	ps := parties(t, "ann", "bob", "cem")
	a, b := ps[0].bundle(t, noon), ps[1].bundle(t, noon)
	left, right := ps[0].pair(t, a, b, noon), ps[1].pair(t, b, a, noon)
	for name, bend := range map[string]func(*initMessage){
		"another sender":   func(m *initMessage) { m.from = ps[2].id.FP() },
		"another receiver": func(m *initMessage) { m.to = ps[2].id.FP() },
		"the ends swapped": func(m *initMessage) { m.from, m.to = m.to, m.from },
	} {
		m, err := decodeInit(right.Init())
		if err != nil {
			t.Fatal(err)
		}
		bend(&m)
		copy(m.sig[:], ps[1].id.Sign(identity.ContextInit, m.signed()))
		if err := left.Accept(m.encode()); err == nil {
			t.Errorf("%s: accepted", name)
		}
		secretless(t, left)
	}
}

// The same bytes, signed in another context, are no INIT.
func TestInitInAnotherContext(t *testing.T) {
	ps := parties(t, "ann", "bob")
	a, b := ps[0].bundle(t, noon), ps[1].bundle(t, noon)
	left, right := ps[0].pair(t, a, b, noon), ps[1].pair(t, b, a, noon)
	m, err := decodeInit(right.Init())
	if err != nil {
		t.Fatal(err)
	}
	copy(m.sig[:], ps[1].id.Sign(identity.ContextJoin, m.signed()))
	if err := left.Accept(m.encode()); !errors.Is(err, identity.ErrSignature) {
		t.Errorf("got %v, want ErrSignature", err)
	}
}

func TestNoChannelToOneself(t *testing.T) {
	ps := parties(t, "ann", "bob")
	a := ps[0].bundle(t, noon)
	next := ps[0].bundle(t, noon.Add(BundleEvery))
	for _, peer := range [][]byte{a, next} {
		if _, err := ps[0].Pair(a, peer, noon.Add(BundleEvery)); err == nil {
			t.Error("a pair of two own bundles was made")
		}
	}
	if _, err := ps[0].Pair(ps[1].bundle(t, noon), a, noon); err == nil {
		t.Error("a pair was made with somebody else's bundle as the own one")
	}
	b := ps[1].bundle(t, noon)
	if _, err := New(Config{Identity: ps[0].id}).Pair(a, b, noon); !errors.Is(err, ErrNoKey) {
		t.Errorf("bundle of an earlier process: %v, want ErrNoKey", err)
	}
}

// Many computations make first contact at once, while bundles change, INITs repeat and time passes.
func TestParallelFirstContacts(t *testing.T) {
	ps := parties(t, "ann", "bob", "cem", "dua")
	var wg sync.WaitGroup
	pairs := make([][][]*Pair, len(ps)) // [end][peer][goroutine]
	bundles := make([][]byte, len(ps))
	for i, p := range ps {
		bundles[i] = p.bundle(t, noon)
		pairs[i] = make([][]*Pair, len(ps))
		for j := range ps {
			pairs[i][j] = make([]*Pair, 6)
		}
	}
	contact := func(i, j, n int) {
		p, err := ps[i].Pair(bundles[i], bundles[j], noon)
		if err != nil {
			t.Error(err)
			return
		}
		q, err := ps[j].Pair(bundles[j], bundles[i], noon)
		if err != nil {
			t.Error(err)
			return
		}
		if err := p.Accept(q.Init()); err != nil {
			t.Error(err)
		}
		pairs[i][j][n] = p
		if _, err := ps[i].Bundle(noon.Add(time.Duration(n) * BundleEvery / 4)); err != nil {
			t.Error(err)
		}
		ps[i].Tick(noon.Add(time.Duration(n) * time.Minute))
		_ = fmt.Sprint(p, ps[i])
	}
	for i := range ps {
		for j := range ps {
			for n := range 6 {
				if i != j {
					wg.Go(func() { contact(i, j, n) })
				}
			}
		}
	}
	wg.Wait()
	for i := range ps {
		for j := range i {
			agree(t, pairs[i][j][0], pairs[j][i][0])
			for n := range 6 {
				if pairs[i][j][n] != pairs[i][j][0] || pairs[i][j][n] == nil {
					t.Fatal("two goroutines have different pairs")
				}
			}
		}
	}
}

// Computations that begin at once share one bundle.
func TestParallelBundles(t *testing.T) {
	p := parties(t, "ann")[0]
	var wg sync.WaitGroup
	var got [16][]byte
	for i := range got {
		wg.Go(func() {
			var err error
			if got[i], err = p.Bundle(noon); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, b := range got[1:] {
		if !bytes.Equal(b, got[0]) {
			t.Fatal("two bundles were made")
		}
	}
	if len(p.own) != 1 {
		t.Errorf("%d keys were made", len(p.own))
	}
}

func TestPairsOfOneBundleAreBounded(t *testing.T) {
	ps := parties(t, "ann", "bob", "cem")
	a, b, c := ps[0].bundle(t, noon), ps[1].bundle(t, noon), ps[2].bundle(t, noon)
	listed := ps[0].pair(t, a, b, noon)
	for i := range uint32(pairsPerBundle - 1) {
		var h [32]byte
		binary.BigEndian.PutUint32(h[:], i)
		ps[0].own[hash(a)].pairs[h] = &Pair{}
	}
	if _, err := ps[0].Pair(a, c, noon); err == nil {
		t.Error("one more pair was made")
	}
	if ps[0].pair(t, a, b, noon) != listed {
		t.Error("a pair that was there is not found")
	}
}

// While one pair is busy, everything that concerns others goes on.
func TestBusyPairBlocksNobody(t *testing.T) {
	ps := parties(t, "ann", "bob", "cem")
	a, b, c := ps[0].bundle(t, noon), ps[1].bundle(t, noon), ps[2].bundle(t, noon)
	busy := ps[0].pair(t, a, b, noon)
	busy.mu.Lock() // as in a public key operation
	defer busy.mu.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		p, err := ps[0].Pair(a, c, noon)
		if err != nil {
			t.Error(err)
			return
		}
		q, err := ps[2].Pair(c, a, noon)
		if err != nil {
			t.Error(err)
			return
		}
		if err := p.Accept(q.Init()); err != nil {
			t.Error(err)
		}
		if _, err := ps[0].Bundle(noon.Add(BundleEvery)); err != nil {
			t.Error(err)
		}
		ps[0].Tick(noon.Add(BundleEvery))
	}()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Fatal("another pair waits for the busy one")
	}
}

func TestNothingPrintsSecrets(t *testing.T) {
	ps := parties(t, "ann", "bob")
	a, b := ps[0].bundle(t, noon), ps[1].bundle(t, noon)
	left, right := ps[0].pair(t, a, b, noon), ps[1].pair(t, b, a, noon)
	accept(t, left, right.Init())
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("state", "pair", left, "channels", ps[0].Channels)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("state", "pair", left, "channels", ps[0].Channels)
	k, _, _ := left.Secret()
	for _, verb := range []string{"%v", "%+v", "%#v", "%x", "%s", "%d"} {
		fmt.Fprintf(&log, verb+" "+verb+"\n", left, ps[0].Channels)
	}
	for _, form := range []string{fmt.Sprintf("%x", k), fmt.Sprintf("%d", k), fmt.Sprintf("%v", k[:8])} {
		if strings.Contains(log.String(), strings.Trim(form, "[]")) {
			t.Error("the secret was printed")
		}
	}
	if !strings.Contains(log.String(), "[secret]") || strings.Contains(log.String(), "0x") {
		t.Errorf("printed: %s", log.String())
	}
}

func BenchmarkPairSetup(b *testing.B) {
	ps := parties(b, "ann", "bob")
	x, y := ps[0].bundle(b, noon), ps[1].bundle(b, noon)
	b.ReportAllocs()
	for b.Loop() {
		// Fresh pairs of the same bundles: what a first contact costs at both ends together.
		ps[0].own[sha256.Sum256(x)].pairs = make(map[[32]byte]*Pair)
		ps[1].own[sha256.Sum256(y)].pairs = make(map[[32]byte]*Pair)
		p, q := ps[0].pair(b, x, y, noon), ps[1].pair(b, y, x, noon)
		accept(b, p, q.Init())
		accept(b, q, p.Init())
	}
}

func BenchmarkBundle(b *testing.B) {
	ps := parties(b, "ann")
	for b.Loop() {
		if _, err := ps[0].newBundle(noon); err != nil {
			b.Fatal(err)
		}
	}
}
