// Package objects keeps what clients of a gateway uploaded or asked for, values, tasks, barriers, broadcasts and
// key-value storages, as durable records beside the jobs, on the party's private JetStream.
//
// Durable, once Put or Update has returned: the record and its bytes, up to 64 KiB in the record itself, more of them in
// the object store, written first. Memory only: when an object was last read. But a record that is still read after half
// its time is written anew, so that other processes over the same buckets know. An object that nobody read or wrote during
// its time, an hour for values and a day for the others, expires: it is gone for Get at once and removed by Sweep, and for
// a day Get tells that it was there. A restart begins that time anew.
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
	ErrExpired  = fmt.Errorf("%w: it was not used for long and has expired", ErrNotFound)
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
	Value     Kind = iota + 1 // JSON, uploaded or returned by a call
	Task                      // a list of things to do, as the client gave it
	Barrier                   // where several clients wait for each other
	Broadcast                 // one message for several clients
	KeyValue                  // a caller's values by key

	lastKind = KeyValue
)

// String is the kind in lower case.
func (k Kind) String() string {
	switch k {
	case Value:
		return "value"
	case Task:
		return "task"
	case Barrier:
		return "barrier"
	case Broadcast:
		return "broadcast"
	case KeyValue:
		return "key-value storage"
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
	format    = 2 // the newest that this weft reads; kinds above Task are written in it, the others in format 1
	maxCaller = 256
)

// item is what the bucket holds: a Record whose data may lie elsewhere.
type item struct {
	Record // without Data
	body   body.Body
}

func (x item) encode(version string) ([]byte, error) {
	f := byte(format)
	if x.Kind <= Task {
		f = 1 // which an older weft reads
	}
	w := record.NewWriter(f, version, 128+len(x.Caller)+len(x.body.Inline))
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
	if err == nil && (x.Kind < Value || x.Kind > lastKind || x.ID.String() != key) {
		err = errors.New("its fields contradict each other")
	}
	if err != nil {
		return item{}, &RecordError{Key: key, Reader: version, Cause: err}
	}
	return x, nil
}
