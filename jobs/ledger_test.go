package jobs

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
)

func newLine(n byte) Line {
	l := fullLine()
	l.SID, l.State, l.TH, l.RH, l.Notices = [32]byte{n, 0xaa}, LineStarted, [32]byte{}, [32]byte{}, nil
	l.Kept = time.Time{}
	return l
}

func TestLedgerLine(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	s, p := newStore(t, Options{Now: func() time.Time { return now }})
	ctx := timeout(t)
	if _, err := s.Line(ctx, newLine(1).SID); !errors.Is(err, ErrNotFound) {
		t.Fatal(err)
	}
	l, err := s.CreateLine(ctx, newLine(1))
	if err != nil || !l.Kept.Equal(now.Add(LineKept)) || l.Revision == 0 {
		t.Fatal(l, err)
	}
	if _, err = s.CreateLine(ctx, newLine(1)); !errors.Is(err, ErrExists) {
		t.Fatalf("a sid twice: %v", err)
	}
	committed := newLine(2)
	committed.State = LineCommitted
	if _, err = s.CreateLine(ctx, committed); err == nil {
		t.Fatal("a line that begins as committed")
	}

	if l, err = l.Move(LineCommitted); err != nil {
		t.Fatal(err)
	}
	l.TH, l.RH = [32]byte{1}, [32]byte{2}
	l.Notices = make([][]byte, len(l.Participants))
	l.Notices[2] = []byte("own confirm")
	stale := l
	if l, err = s.UpdateLine(ctx, l); err != nil {
		t.Fatal(err)
	}
	if _, err = s.UpdateLine(ctx, stale); !errors.Is(err, ErrConflict) {
		t.Fatalf("an old revision: %v", err)
	}
	for name, spoil := range map[string]func(*Line){
		"a transcript hash":  func(l *Line) { l.TH[0]++ },
		"a result hash":      func(l *Line) { l.RH[0]++ },
		"a participant":      func(l *Line) { l.Participants = l.Participants[:3]; l.Notices = l.Notices[:3] },
		"the own JOIN":       func(l *Line) { l.Own[0]++ },
		"a notice":           func(l *Line) { l.Notices = make([][]byte, 4) },
		"a notice's bytes":   func(l *Line) { l.Notices = [][]byte{nil, nil, []byte("other"), nil} },
		"all notices":        func(l *Line) { l.Notices = nil },
		"the time it stands": func(l *Line) { l.Kept = l.Kept.Add(-1) },
	} {
		bad := l
		spoil(&bad)
		if _, err = s.UpdateLine(ctx, bad); !errors.Is(err, ErrLineChanged) {
			t.Errorf("%s was changed: %v", name, err)
		}
	}
	back := l
	back.State = LineAborted
	var move *MoveError
	if _, err = s.UpdateLine(ctx, back); !errors.As(err, &move) {
		t.Fatalf("a committed line was aborted: %v", err)
	}
	l.Notices = [][]byte{[]byte("alice's"), nil, []byte("own confirm"), nil}
	if l, err = s.UpdateLine(ctx, l); err != nil {
		t.Fatalf("a notice more: %v", err)
	}
	if l, err = l.Move(LineDone); err == nil {
		l, err = s.UpdateLine(ctx, l)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*Store{s, reopen(t, p, Options{})} {
		got, err := s.Line(ctx, l.SID)
		if err != nil || fmt.Sprint(got) != fmt.Sprint(l) {
			t.Fatalf("%v\n%v\nwant\n%v", err, got, l)
		}
		if all, err := s.Lines(ctx); err != nil || len(all) != 1 || !bytes.Equal(all[0].Notices[0], []byte("alice's")) {
			t.Errorf("%v %v", all, err)
		}
	}
}

// One of commit and abort wins, whoever tries at the same time, and every process sees the same one.
func TestCommitAndAbortExcludeEachOther(t *testing.T) {
	s, p := newStore(t, Options{})
	stores := []*Store{s, reopen(t, p, Options{})}
	ctx := timeout(t)
	for n := range byte(20) {
		l, err := s.CreateLine(ctx, newLine(n))
		if err != nil {
			t.Fatal(err)
		}
		var won atomic.Int32
		var wg sync.WaitGroup
		for i, to := range []LineState{LineCommitted, LineAborted, LineCommitted, LineAborted} {
			wg.Go(func() {
				m, err := l.Move(to)
				if err == nil {
					_, err = stores[i%2].UpdateLine(ctx, m)
				}
				if err == nil {
					won.Add(1)
				} else if !errors.Is(err, ErrConflict) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			t.Fatalf("%d of them won", won.Load())
		}
	}
}

func TestLedgerOutlivesTheJob(t *testing.T) {
	now := time.Now().UTC()
	s, p := newStore(t, Options{Now: func() time.Time { return now }, Retain: time.Hour})
	ctx := timeout(t)
	j := submit(t, s, sample("alice"), nil)
	l := newLine(7)
	l.Job, l.UUID = j.ID, uuid.UUID{1}
	l, err := s.CreateLine(ctx, l)
	if err != nil {
		t.Fatal(err)
	}
	walk(t, s, j, Cancelled)
	if err := s.Sweep(ctx, now.Add(LineKept)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(ctx, j.ID); !errors.Is(err, ErrNotFound) {
		t.Fatalf("the job is left: %v", err)
	}
	if _, err := s.Line(ctx, l.SID); err != nil {
		t.Fatalf("the line went with the job: %v", err)
	}
	if err := s.Sweep(ctx, now.Add(LineKept+1)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Line(ctx, l.SID); !errors.Is(err, ErrNotFound) {
		t.Errorf("after its time: %v", err)
	}
	st, err := p.Sids.Status(timeout(t))
	if err != nil || st.(*jetstream.KeyValueBucketStatus).StreamInfo().State.Msgs != 0 {
		t.Errorf("records are left: %v", err)
	}
}
