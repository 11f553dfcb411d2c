// Package objects keeps what clients of a gateway uploaded or asked for, uploaded values and tasks, as durable records
// beside the jobs, on the party's private JetStream.
//
// Durable, once Put or Update has returned: the record and its bytes, up to 64 KiB in the record itself, more of them in
// the object store, written first. Memory only: when an object was last read. An object that nobody read, wrote or asked
// for during the grace period is swept; a restart begins that period anew.
//
// Bounds are per caller, in objects and in bytes, so that one cannot fill the disk for all.
//
// Safety: an object is never mixed with another's bytes, and never overwritten by someone who has not read its newest
// revision. Liveness: a write that was acknowledged is read by every later Get of this Store, and after a restart.
package objects

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/jobs/internal/body"
	"github.com/weftmpc/weft/jobs/internal/record"
)

// Errors that callers branch on.
var (
	ErrNotFound = errors.New("there is no such object")
	ErrExists   = errors.New("an object with this name exists")
	ErrConflict = errors.New("the object has changed since it was read: read it again")
	ErrTooMany  = errors.New("too many objects, or too many bytes in them: delete some")
	ErrTooLarge = body.ErrTooLarge
	ErrFull     = body.ErrFull
	ErrClosed   = errors.New("the object store is closed")
)

// Kind says what an object is.
type Kind uint8

// The kinds.
const (
	Value Kind = iota + 1 // uploaded JSON
	Task                  // a list of things to do, as the client gave it
)

// String is the kind in lower case.
func (k Kind) String() string {
	switch k {
	case Value:
		return "value"
	case Task:
		return "task"
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Record is one object. Nothing that prints it shows its data.
type Record struct {
	ID       uuid.UUID
	Caller   string // who made it; at most 256 bytes
	Kind     Kind
	Data     []byte // shared with the cache: replace it, never write into it; nil in what List returns
	Size     int64  // of Data, bytes
	Created  time.Time
	Revision uint64 // of the record this was read from; not part of it
}

// String names the object, without its data.
func (r Record) String() string { return fmt.Sprintf("%s %s (revision %d)", r.Kind, r.ID, r.Revision) }

// GoString is String.
func (r Record) GoString() string { return r.String() }

// Format writes String under every verb.
func (r Record) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, r.String()) }

// LogValue is what a log line may know of an object.
func (r Record) LogValue() slog.Value {
	return slog.GroupValue(slog.String("id", r.ID.String()), slog.String("kind", r.Kind.String()))
}

// RecordError is a record that cannot be read: a newer weft wrote it, or it is damaged.
type RecordError = record.Error

const (
	format    = 1 // of the records that this weft writes, and the newest that it reads
	maxCaller = 256
)

// item is what the bucket holds: a Record whose data may lie elsewhere.
type item struct {
	Record // without Data
	body   body.Body
}

func (x item) encode(version string) ([]byte, error) {
	w := record.NewWriter(format, version, 128+len(x.Caller)+len(x.body.Inline))
	w.Fixed(x.ID[:])
	w.Text("the caller's name", x.Caller, maxCaller)
	w.U8(uint8(x.Kind))
	x.body.Write(w, "the data")
	w.Time(x.Created)
	return w.Done()
}

func decode(version, key string, b []byte, revision uint64) (item, error) {
	r, err := record.NewReader(key, b, format, version)
	if err != nil {
		return item{}, err
	}
	x := item{
		Record: Record{ID: uuid.UUID(r.Fixed(16)), Caller: r.Text(maxCaller), Kind: Kind(r.U8()), Revision: revision},
		body:   body.ReadBody(r),
	}
	x.Created, x.Size = r.Time(), x.body.Size
	err = r.Done()
	if err == nil && (x.Kind < Value || x.Kind > Task || x.ID.String() != key) {
		err = errors.New("its fields contradict each other")
	}
	if err != nil {
		return item{}, &RecordError{Key: key, Reader: version, Cause: err}
	}
	return x, nil
}
