package jobs

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
)

var (
	ErrNotFound  = errors.New("there is no such record")
	ErrExists    = errors.New("a record with this name exists")
	ErrConflict  = errors.New("the record has changed since it was read: read it again")
	ErrCommitted = errors.New("the job is computed and waits for the other parties' confirmations: it can neither be cancelled nor deleted now")
	ErrActive    = errors.New("the job has not ended: cancel it first")
	ErrTooMany   = errors.New("too many jobs: delete ended ones or wait for running ones to end")
	ErrTooLarge  = errors.New("too large")
	ErrClosed    = errors.New("the job store is closed")
)

// Limits bounds what a Store accepts.
type Limits struct {
	PerCaller int   // unfinished jobs of one caller; zero: 1,000
	Jobs      int   // job records in all; zero: 100,000
	Body      int64 // bytes of one body; zero: 64 MiB
}

// Options configures a Store. The zero value works.
type Options struct {
	Logger  *slog.Logger
	Now     func() time.Time
	Retain  time.Duration // how long an ended job is kept; zero: 24 h
	Version string        // of this weft, written into each record
	Limits  Limits
}

type Store struct{}

func Open(ctx context.Context, nc *nats.Conn, o Options) (*Store, error)      { panic("todo") }
func (s *Store) Close()                                                       { panic("todo") }
func (s *Store) Submit(ctx context.Context, j Job, input []byte) (Job, error) { panic("todo") }
func (s *Store) Get(ctx context.Context, id uuid.UUID) (Job, error)           { panic("todo") }
func (s *Store) Update(ctx context.Context, j Job) (Job, error)               { panic("todo") }
func (s *Store) Change(ctx context.Context, id uuid.UUID, f func(Job) (Job, error)) (Job, error) {
	panic("todo")
}
func (s *Store) List(ctx context.Context, caller string) ([]Job, error) { panic("todo") }
func (s *Store) Unreadable() []error                                    { panic("todo") }
func (s *Store) Wait(ctx context.Context, id uuid.UUID, until func(Job) bool) (Job, error) {
	panic("todo")
}
func (s *Store) Watch(ctx context.Context) <-chan Job                         { panic("todo") }
func (s *Store) RequestCancel(ctx context.Context, id uuid.UUID) (Job, error) { panic("todo") }
func (s *Store) Delete(ctx context.Context, id uuid.UUID) error               { panic("todo") }
func (s *Store) Put(ctx context.Context, b []byte) (Body, error)              { panic("todo") }
func (s *Store) Read(ctx context.Context, b Body) ([]byte, error)             { panic("todo") }
func (s *Store) Drop(ctx context.Context, b Body) error                       { panic("todo") }
func (s *Store) Sweep(ctx context.Context, now time.Time) error               { panic("todo") }
