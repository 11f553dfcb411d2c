package jobs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/weftmpc/weft/broker"
	"github.com/weftmpc/weft/broker/brokertest"
)

// timeout ends a test that would wait for ever; no test depends on it.
func timeout(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// reopen opens a Store of its own on a broker, as another process would.
func reopen(t testing.TB, p *brokertest.PrivateBroker, o Options) *Store {
	t.Helper()
	if o.Version == "" {
		o.Version = "1.2.3"
	}
	o.Ledger = p.Ledger
	s, err := Open(timeout(t), p.Conn, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func newStore(t testing.TB, o Options) (*Store, *brokertest.PrivateBroker) {
	t.Helper()
	p := brokertest.Private(t)
	return reopen(t, p, o), p
}

// sample is a job as a gateway submits it.
func sample(caller string) Job {
	return Job{
		Caller: caller, UUID: uuid.New(), Microprotocol: "StatisticsUnivariate", Version: 1,
		Parameters: []byte(`{"ddof":1}`), Layout: sha256.Sum256([]byte("layout")), Parties: []string{"alice", "bob", "carol"}, Self: 1,
		Round: 20 * time.Second, Limit: 2 * time.Minute, Deadline: time.Date(2026, 11, 21, 12, 5, 0, 0, time.UTC), Attempts: 5,
	}
}

func submit(t testing.TB, s *Store, j Job, input []byte) Job {
	t.Helper()
	j, err := s.Submit(timeout(t), j, input)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// walk moves a job through states.
func walk(t testing.TB, s *Store, j Job, states ...State) Job {
	t.Helper()
	for _, to := range states {
		var err error
		j, err = s.Change(timeout(t), j.ID, func(j Job) (Job, error) { return j.Move(to) })
		if err != nil {
			t.Fatal(err)
		}
	}
	return j
}

// large is a body that does not fit into a record, different for each seed.
func large(seed byte) []byte { return bytes.Repeat([]byte{seed, 1, 2, 3}, MaxInline) }

// stored counts the messages of the object store: chunks, names and markers.
func stored(t testing.TB, p *brokertest.PrivateBroker) uint64 {
	t.Helper()
	return messages(t, p.JS, "OBJ_"+broker.StoreBodies)
}

func messages(t testing.TB, js jetstream.JetStream, stream string) uint64 {
	t.Helper()
	st, err := js.Stream(timeout(t), stream)
	if err != nil {
		t.Fatal(err)
	}
	return st.CachedInfo().State.Msgs
}

// check fails the test unless the job's record, read by a Store that has just been opened, is the given one.
func check(t testing.TB, p *brokertest.PrivateBroker, want Job) {
	t.Helper()
	got, err := reopen(t, p, Options{}).Get(timeout(t), want.ID)
	if err != nil {
		t.Fatal(err)
	}
	if a, b := plain(got), plain(want); a != b {
		t.Fatalf("after a restart:\n%s\nwant\n%s", a, b)
	}
}

// plain shows all of a job, which its own String hides.
func plain(j Job) string {
	type open Job
	o := open(j)
	bodies := [3]string{}
	for i, b := range j.bodies() {
		bodies[i] = fmt.Sprintf("%x/%s/%d", b.Inline, b.Object, b.Size)
	}
	o.Input, o.Opened, o.Result, o.Problem = Body{}, Body{}, Body{}, nil
	problem := "none"
	if j.Problem != nil {
		problem = fmt.Sprintf("%+v", *j.Problem)
	}
	return fmt.Sprintf("%+v %v %s", o, bodies, problem)
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }
