// Package objects keeps uploaded values and tasks on a party's private JetStream.
package objects

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
)

var (
	ErrNotFound = errors.New("there is no such object")
	ErrExists   = errors.New("an object with this name exists")
	ErrConflict = errors.New("the object has changed since it was read: read it again")
	ErrTooMany  = errors.New("too many objects, or too many bytes in them: delete some")
	ErrClosed   = errors.New("the object store is closed")
)

// Kind says what an object is.
type Kind uint8

const (
	Value Kind = iota + 1
	Task
)

// Record is one object.
type Record struct {
	ID       uuid.UUID
	Caller   string
	Kind     Kind
	Data     []byte // nil in what List returns
	Size     int64  // of Data, bytes
	Created  time.Time
	Revision uint64
}

// Limits bounds what one caller may keep.
type Limits struct {
	Count int
	Bytes int64
}

// Options configures a Store. The zero value works.
type Options struct {
	Logger  *slog.Logger
	Now     func() time.Time
	Grace   time.Duration
	Version string
	Limits  Limits
}

type Store struct{}

func Open(ctx context.Context, nc *nats.Conn, o Options) (*Store, error)   { panic("todo") }
func (s *Store) Close()                                                    { panic("todo") }
func (s *Store) Put(ctx context.Context, r Record) (Record, error)         { panic("todo") }
func (s *Store) Get(ctx context.Context, id uuid.UUID) (Record, error)     { panic("todo") }
func (s *Store) Update(ctx context.Context, r Record) (Record, error)      { panic("todo") }
func (s *Store) Delete(ctx context.Context, id uuid.UUID) error            { panic("todo") }
func (s *Store) List(ctx context.Context, caller string) ([]Record, error) { panic("todo") }
func (s *Store) Sweep(ctx context.Context, now time.Time) error            { panic("todo") }
