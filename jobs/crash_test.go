package jobs

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/weftmpc/weft/broker"
	"github.com/weftmpc/weft/broker/brokertest"
)

var errKilled = errors.New("the process was killed here")

// knife kills the process that writes: after a number of writes nothing reaches the server any more. Every second time
// it strikes only after the write, so that the writer never hears of it.
type knife struct {
	left  int
	after bool // strike after the write
}

func (k *knife) write(do func() error) error {
	if k.left == 0 && k.after {
		k.left--
		_ = do()
		return errKilled
	}
	if k.left <= 0 {
		return errKilled
	}
	k.left--
	return do()
}

type knifeKV struct {
	jetstream.KeyValue
	k *knife
}

func (v knifeKV) Create(ctx context.Context, key string, b []byte, o ...jetstream.KVCreateOpt) (r uint64, err error) {
	err = v.k.write(func() error { r, err = v.KeyValue.Create(ctx, key, b, o...); return err })
	return r, err
}

func (v knifeKV) Update(ctx context.Context, key string, b []byte, rev uint64) (r uint64, err error) {
	err = v.k.write(func() error { r, err = v.KeyValue.Update(ctx, key, b, rev); return err })
	return r, err
}

func (v knifeKV) Delete(ctx context.Context, key string, o ...jetstream.KVDeleteOpt) error {
	return v.k.write(func() error { return v.KeyValue.Delete(ctx, key, o...) })
}

type knifeObjects struct {
	jetstream.ObjectStore
	k *knife
}

func (v knifeObjects) PutBytes(ctx context.Context, name string, b []byte) (i *jetstream.ObjectInfo, err error) {
	err = v.k.write(func() error { i, err = v.ObjectStore.PutBytes(ctx, name, b); return err })
	return i, err
}

// The first step of removing bytes; none of them is removed by a killed process.
func (v knifeObjects) GetInfo(ctx context.Context, name string, o ...jetstream.GetObjectInfoOpt) (i *jetstream.ObjectInfo, err error) {
	err = v.k.write(func() error { i, err = v.ObjectStore.GetInfo(ctx, name, o...); return err })
	return i, err
}

// life plays a job with large bodies from submission to deletion, and returns what was acknowledged last.
func life(ctx context.Context, s *Store, id uuid.UUID) (acked Job, deleted bool) {
	j := sample("alice")
	j.ID = id
	j, err := s.Submit(ctx, j, large('I'))
	step := func(to State, body *Body, b []byte) {
		if err != nil {
			return
		}
		acked = j
		if j, err = j.Move(to); err != nil {
			return
		}
		if body != nil {
			if *body, err = s.Put(ctx, b); err != nil {
				return
			}
			if to == Committed {
				j.Opened = *body
			} else {
				j.Result = *body
			}
		}
		j, err = s.Update(ctx, j)
	}
	var b Body
	step(Waiting, nil, nil)
	step(Started, nil, nil)
	step(Committed, &b, large('O'))
	step(Done, &b, large('R'))
	if err == nil {
		acked = j
		deleted = s.Delete(ctx, id) == nil
	}
	return acked, deleted
}

// The process dies at each of its writes in turn, before it or after it. What was acknowledged is there afterwards, with
// its bytes; what is there is one step ahead at most; and after an hour no byte is left that no record names.
func TestKilledAtEveryWrite(t *testing.T) {
	p := brokertest.Private(t)
	for n := 0; ; n++ {
		for _, after := range []bool{false, true} {
			acked, deleted := killedAfter(t, p, n, after)
			if deleted && !after {
				if n < 9 {
					t.Errorf("a whole life took %d writes only", n)
				}
				t.Logf("%d writes, last state %s", n, acked.State)
				return
			}
		}
	}
}

func killedAfter(t *testing.T, p *brokertest.PrivateBroker, n int, after bool) (acked Job, deleted bool) {
	t.Helper()
	ctx, id, k := timeout(t), uuid.New(), &knife{left: n, after: after}
	cut := broker.Buckets{Jobs: knifeKV{p.Buckets.Jobs, k}, Bodies: knifeObjects{p.Buckets.Bodies, k}}
	victim, err := open(ctx, p.JS, cut, Options{Logger: quiet(), Ledger: p.Ledger})
	if err != nil {
		t.Fatal(err)
	}
	acked, deleted = life(ctx, victim, id)
	victim.Close()
	whole := k.left > 0

	s := reopen(t, p, Options{Logger: quiet()})
	j, err := s.Get(ctx, id)
	switch {
	case errors.Is(err, ErrNotFound):
		if acked.State != 0 && acked.State != Done {
			t.Errorf("killed after %d writes (%v): an acknowledged job in %s is lost", n, after, acked.State)
		}
	case err != nil:
		t.Fatal(err)
	case j.Revision != acked.Revision && acked.State != 0 && !acked.State.CanMove(j.State):
		t.Errorf("killed after %d writes (%v): %s after %s", n, after, j.State, acked.State)
	default:
		want := map[State][]byte{Submitted: large('I'), Waiting: large('I'), Started: large('I'), Committed: large('O'), Done: large('R')}
		have := map[State]Body{Submitted: j.Input, Waiting: j.Input, Started: j.Input, Committed: j.Opened, Done: j.Result}
		if b, err := s.Read(ctx, have[j.State]); err != nil || string(b) != string(want[j.State]) {
			t.Errorf("killed after %d writes (%v): %s without its bytes: %v", n, after, j.State, err)
		}
	}
	if err := s.Sweep(ctx, time.Now().Add(2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	for _, b := range j.bodies() {
		if _, err := s.Read(ctx, b); err != nil {
			t.Errorf("killed after %d writes (%v): swept too much: %v", n, after, err)
		}
	}
	for j.ID == id && !j.Terminal() {
		to := Failed
		if j, err = s.Change(ctx, id, func(j Job) (Job, error) { return j.Move(to) }); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Delete(ctx, id); err != nil && !errors.Is(err, ErrNotFound) {
		t.Fatal(err)
	}
	if left := stored(t, p); left != 0 {
		t.Errorf("killed after %d writes (%v): %d messages left in the object store", n, after, left)
	}
	s.Close()
	return acked, deleted && whole
}

// A process that dies in the middle of a large body leaves chunks without a name.
func TestNamelessChunksAreSwept(t *testing.T) {
	s, p := newStore(t, Options{})
	ctx := timeout(t)
	if _, err := p.JS.Publish(ctx, "$O."+broker.StoreBodies+".C.nameless", []byte("half an input")); err != nil {
		t.Fatal(err)
	}
	whole := submit(t, s, sample("alice"), large('I'))
	before := stored(t, p)
	if err := s.Sweep(ctx, time.Now()); err != nil || stored(t, p) != before {
		t.Fatalf("swept while it may still be written: %v", err)
	}
	if err := s.Sweep(ctx, time.Now().Add(2*time.Hour)); err != nil || stored(t, p) != before-1 {
		t.Fatalf("not swept: %v", err)
	}
	if _, err := s.Read(ctx, whole.Input); err != nil {
		t.Error(err)
	}
}

func TestRestartOfTheBroker(t *testing.T) {
	p := brokertest.Private(t)
	s := reopen(t, p, Options{})
	ctx := timeout(t)
	small := walk(t, s, submit(t, s, sample("alice"), []byte("small")), Waiting)
	big := submit(t, s, sample("alice"), large('I'))
	line, err := s.CreateLine(ctx, newLine(3))
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	p.Conn.Close()

	p.Restart(t)
	check(t, p, small)
	check(t, p, big)
	s = reopen(t, p, Options{})
	if b, err := s.Read(ctx, big.Input); err != nil || string(b) != string(large('I')) {
		t.Error(err)
	}
	if got, err := s.Line(ctx, line.SID); err != nil || got.Revision != line.Revision {
		t.Error(got, err)
	}
	walk(t, s, small, Started)
	s.Close()
	p.Conn.Close()
	p.Server.Shutdown()

	wrong := p.Config
	wrong.StoreKey = []byte(strings.Repeat("w", 32))
	if server, err := broker.Start(wrong); err == nil {
		server.Shutdown()
		t.Fatal("the store opened with a wrong key")
	}
	p.Restart(t)
	if j, err := reopen(t, p, Options{}).Get(ctx, small.ID); err != nil || j.State != Started {
		t.Errorf("after the attempt with a wrong key: %v %v", j, err)
	}
}
