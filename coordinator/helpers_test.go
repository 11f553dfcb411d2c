package coordinator

import (
	"crypto/rand"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/broker/identity"
)

// world is a consortium with a coordinator and a clock that stands still until told.
type world struct {
	t     testing.TB
	now   time.Time
	ca    *identity.Authority
	roots identity.Roots
	coord *identity.Identity
	ids   map[string]*identity.Identity
	table *Table
}

func newWorld(t testing.TB, names ...string) *world {
	t.Helper()
	w := &world{t: t, now: time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC), ids: map[string]*identity.Identity{}}
	w.ca = must(identity.NewAuthority("consortium", w.now.Add(-time.Hour), w.now.AddDate(1, 0, 0)))(t)
	w.roots = must(identity.NewRoots(w.ca.Certificate()))(t)
	w.coord = must(identity.NewAs(identity.UsageDealer, w.ca, "coordinator", "Institute of coordination", w.now.Add(-time.Hour), w.now.AddDate(0, 0, 20)))(t)
	for _, name := range names {
		w.ids[name] = w.issue(w.ca, name)
	}
	w.restart()
	return w
}

func (w *world) issue(ca *identity.Authority, name string) *identity.Identity {
	w.t.Helper()
	return must(identity.New(ca, name, "Institute of "+name, w.now.Add(-time.Hour), w.now.AddDate(0, 0, 20)))(w.t)
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// config is the world's coordinator's.
func (w *world) config() Config {
	return Config{Identity: w.coord, Roots: w.roots, Now: func() time.Time { return w.now }, Logger: slog.New(slog.DiscardHandler)}
}

// restart gives the coordinator an empty memory.
func (w *world) restart() { w.table = NewTable(w.config()) }

func (w *world) fp(name string) identity.Fingerprint { return w.ids[name].FP() }

func (w *world) fps(names ...string) []identity.Fingerprint {
	var out []identity.Fingerprint
	for _, n := range names {
		out = insert(out, w.fp(n))
	}
	return out
}

func (w *world) names(fps []identity.Fingerprint) []string {
	out := []string{}
	for _, fp := range fps {
		out = append(out, w.name(fp))
	}
	slices.Sort(out)
	return out
}

func (w *world) name(fp identity.Fingerprint) string {
	for name, id := range w.ids {
		if id.FP() == fp {
			return name
		}
	}
	return fp.String()
}

// common is a computation of the parties named, for all of them, in the order given.
func (w *world) common(id uuid.UUID, names ...string) Common {
	c := Common{
		UUID: id, Microprotocol: "SecureSum", Version: 1, Parameters: []byte(`{"columns":2}`),
		RoundMS: 20_000, LimitMS: 120_000, Layout: [32]byte{7}, Parties: w.fps(names...), Coordinator: w.coord.FP(),
	}
	c.Recipients = c.Parties
	c.Positions = make([]uint16, len(names))
	for i, n := range names {
		at, _ := slices.BinarySearchFunc(c.Parties, w.fp(n), identity.Fingerprint.Compare)
		c.Positions[at] = uint16(i)
	}
	return c
}

// draft is a JOIN before it is signed, for tests that bend it.
type draft struct {
	id     *identity.Identity
	common Common
	own    Own
	bundle Bundle
}

func (w *world) draft(id *identity.Identity, c Common) *draft {
	d := &draft{id: id, common: c}
	d.bundle = Bundle{FP: id.FP(), NotBefore: w.now.Add(-2 * time.Minute).UnixNano(), NotAfter: w.now.Add(2 * time.Hour).UnixNano(),
		PK: make([]byte, BundleKey), Leaf: id.Leaf.DER}
	d.own = Own{FP: id.FP(), Issued: w.now.UnixNano(), Expiry: w.now.Add(5 * time.Minute).UnixNano()}
	_, _ = rand.Read(d.own.Nonce[:])
	return d
}

func (d *draft) sign(t testing.TB) []byte {
	t.Helper()
	d.own.Bundle = d.bundle.Encode()
	j := Join{Common: must(d.common.Encode())(t), Signed: Signed{Own: d.own.Encode()}}
	copy(j.Sig[:], d.id.Sign(identity.ContextJoin, SigningBytes(j.Common, j.Own)))
	return j.Encode()
}

// join is a fresh JOIN; the clock moves on by a nanosecond, so that the next one is newer.
func (w *world) join(name string, c Common) []byte {
	w.t.Helper()
	b := w.draft(w.ids[name], c).sign(w.t)
	w.now = w.now.Add(time.Nanosecond)
	return b
}

func (w *world) leave(name string, c Common, join []byte) []byte {
	l := Leave{UUID: c.UUID, FP: w.fp(name), Join: must(DecodeJoin(join))(w.t).Hash()}
	copy(l.Sig[:], w.ids[name].Sign(identity.ContextLeave, l.SigningBytes()))
	return l.Encode()
}

// opened checks that a START is what parties would accept, and returns it.
func (w *world) opened(b []byte) Start {
	w.t.Helper()
	s := must(DecodeStart(b))(w.t)
	_, owns, err := s.Open()
	if err != nil {
		w.t.Fatal(err)
	}
	for i, o := range owns {
		if o.Expiry <= w.now.UnixNano() {
			w.t.Fatalf("join %d of the START has expired", i)
		}
		leaf := must(identity.ParseLeaf(must(DecodeBundle(o.Bundle))(w.t).Leaf))(w.t)
		if err := identity.Verify(leaf.Key, identity.ContextJoin, SigningBytes(s.Common, s.Joins[i].Own), s.Joins[i].Sig[:]); err != nil {
			w.t.Fatalf("join %d of the START: %v", i, err)
		}
	}
	return s
}
