package jobs

import (
	"testing"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/broker/brokertest"
)

// BenchmarkRawCreate is what the broker alone needs for a record of the size that BenchmarkSubmit writes.
func BenchmarkRawCreate(b *testing.B) {
	p := brokertest.Private(b)
	j := sample("alice")
	j.State, j.Input = Submitted, Body{Inline: make([]byte, 1024), Size: 1024}
	record, err := j.encode("1.2.3")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := p.Buckets.Jobs.Create(b.Context(), uuid.NewString(), record); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSubmit(b *testing.B) {
	s, _ := newStore(b, Options{Limits: Limits{PerCaller: 1 << 30, Jobs: 1 << 30}})
	j, input := sample("alice"), make([]byte, 1024)
	for b.Loop() {
		if _, err := s.Submit(b.Context(), j, input); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSubmitLarge(b *testing.B) {
	s, _ := newStore(b, Options{Limits: Limits{PerCaller: 1 << 30, Jobs: 1 << 30}})
	j, input := sample("alice"), make([]byte, 1<<20)
	b.SetBytes(int64(len(input)))
	for b.Loop() {
		if _, err := s.Submit(b.Context(), j, input); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReadLarge(b *testing.B) {
	s, _ := newStore(b, Options{})
	input := make([]byte, 1<<20)
	j := submit(b, s, sample("alice"), input)
	b.SetBytes(int64(len(input)))
	for b.Loop() {
		if _, err := s.Read(b.Context(), j.Input); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkUpdate(b *testing.B) {
	s, _ := newStore(b, Options{})
	j := walk(b, s, submit(b, s, sample("alice"), make([]byte, 1024)), Waiting)
	var err error
	for b.Loop() {
		if j, err = s.Update(b.Context(), j); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkUpdateToWait is the time from a write to the return of a Wait for it.
func BenchmarkUpdateToWait(b *testing.B) {
	s, _ := newStore(b, Options{})
	j := walk(b, s, submit(b, s, sample("alice"), nil), Waiting)
	ready, seen := make(chan uint64), make(chan error)
	go func() {
		for rev := range ready {
			_, err := s.Wait(b.Context(), j.ID, func(j Job) bool { return j.Revision > rev })
			seen <- err
		}
	}()
	defer close(ready)
	var err error
	for b.Loop() {
		ready <- j.Revision
		if j, err = s.Update(b.Context(), j); err != nil {
			b.Fatal(err)
		}
		if err = <-seen; err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGet(b *testing.B) {
	s, _ := newStore(b, Options{})
	j := submit(b, s, sample("alice"), make([]byte, 1024))
	for b.Loop() {
		if _, err := s.Get(b.Context(), j.ID); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLine(b *testing.B) {
	s, _ := newStore(b, Options{})
	l, err := s.CreateLine(b.Context(), newLine(1))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := s.Line(b.Context(), l.SID); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCommitLine(b *testing.B) {
	s, _ := newStore(b, Options{})
	n := uint32(0)
	for b.Loop() {
		l := newLine(0)
		n++
		l.SID[2], l.SID[3], l.SID[4], l.SID[5] = byte(n>>24), byte(n>>16), byte(n>>8), byte(n)
		l, err := s.CreateLine(b.Context(), l)
		if err == nil {
			l, err = l.Move(LineCommitted)
		}
		if err == nil {
			_, err = s.UpdateLine(b.Context(), l)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkTenThousandJobs lists them, and opens a store that holds them.
func BenchmarkTenThousandJobs(b *testing.B) {
	s, p := newStore(b, Options{Limits: Limits{PerCaller: 1 << 30}})
	for i := range 10_000 {
		submit(b, s, sample([]string{"alice", "bob"}[i%2]), make([]byte, 256))
	}
	b.Run("list", func(b *testing.B) {
		for b.Loop() {
			if l, err := s.List(b.Context(), "alice"); err != nil || len(l) != 5000 {
				b.Fatal(len(l), err)
			}
		}
	})
	b.Run("open", func(b *testing.B) {
		for b.Loop() {
			s, err := Open(b.Context(), p.Conn, Options{})
			if err != nil {
				b.Fatal(err)
			}
			s.Close()
		}
	})
}
