package seat

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/broker/identity"
	"github.com/weftmpc/weft/coordinator"
	"github.com/weftmpc/weft/jobs"
)

// lone is a seat's surroundings without anybody in them: the coordinator gives one answer to every JOIN.
type lone struct{ answer coordinator.Answer }

func (l *lone) Send(uuid.UUID, string, []byte) error         { return nil }
func (l *lone) Join(context.Context, []byte) ([]byte, error) { return l.answer.Encode(), nil }
func (l *lone) Leave([]byte) error                           { return nil }
func (l *lone) Line(context.Context, [32]byte) (jobs.Line, error) {
	return jobs.Line{}, jobs.ErrNotFound
}
func (l *lone) Lines(context.Context) ([]jobs.Line, error) { return nil, nil }
func (l *lone) CreateLine(context.Context, jobs.Line) (jobs.Line, error) {
	return jobs.Line{}, errors.New("no ledger")
}
func (l *lone) UpdateLine(context.Context, jobs.Line) (jobs.Line, error) {
	return jobs.Line{}, errors.New("no ledger")
}

func newLone(t *testing.T, names ...string) (*Seat, *lone, []identity.Fingerprint) {
	t.Helper()
	now := time.Now()
	ca, err := identity.NewAuthority("test", now.Add(-time.Hour), now.Add(24*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	roots, err := identity.NewRoots(ca.Certificate())
	if err != nil {
		t.Fatal(err)
	}
	c, l := Config{Roots: roots, StoreKey: make(identity.Secret, 32)}, &lone{}
	var fps []identity.Fingerprint
	for i, name := range names {
		id, err := identity.New(ca, name, name, now.Add(-time.Hour), now.Add(12*time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			c.Identity = id
		}
		c.Peers, fps = append(c.Peers, Peer{Name: name, FP: id.FP()}), append(fps, id.FP())
	}
	c.Fabric, c.Ledger = l, l
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s, l, fps
}

// One uuid may serve different circles at once. The coordinator's reply to one circle's JOIN, which names no circle, is not
// taken for an answer to another's.
func TestReplyGoesToTheJoinThatWasSent(t *testing.T) {
	s, l, fps := newLone(t, "alice", "bob", "carol")
	propose := func(fps ...identity.Fingerprint) *Open {
		slices.SortFunc(fps, identity.Fingerprint.Compare)
		c := coordinator.Common{UUID: uuid.UUID{1}, Microprotocol: "SecureSum", Version: 1, RoundMS: 1, LimitMS: 1, Parties: fps, Recipients: fps}
		for i := range fps {
			c.Positions = append(c.Positions, uint16(i))
		}
		o, err := s.Propose(c, time.Now().UnixNano(), time.Now().Add(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	pair, trio := propose(fps[0], fps[1]), propose(fps[0], fps[1], fps[2])
	l.answer = coordinator.Answer{Kind: coordinator.AnswerRefused, UUID: uuid.UUID{1}, Code: coordinator.CodeParties, Text: "3 parties are too many"}
	if err := trio.Send(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(trio.Answers) != 1 {
		t.Errorf("%d answers for the JOIN that was sent, want 1", len(trio.Answers))
	}
	if len(pair.Answers) != 0 {
		t.Errorf("the JOIN of the other circle got the refusal too")
	}
}

// What early messages take is bounded for the node, not only for each open JOIN: who has a thousand jobs waiting must not
// hold eight gigabytes for each party that sends nonsense.
func TestEarlyMessagesAreBoundedForTheNode(t *testing.T) {
	e := newEarly()
	m, total := make([]byte, 1<<20), 0
	for i := range 1000 {
		id := uuid.UUID{byte(i >> 8), byte(i)}
		e.expect(id, 0)
		for range 64 {
			e.keep(id, Peer{Name: "bob", FP: identity.Fingerprint{1}}, m)
		}
		for _, p := range e.byUUID[id].peers {
			total += p.bytes
		}
	}
	if total > 256<<20 {
		t.Errorf("%d MiB of early messages of one party are kept", total>>20)
	}
}
