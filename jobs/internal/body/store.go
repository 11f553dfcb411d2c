package body

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/weftmpc/weft/broker"
)

// Orphan is the age at which a body that no record names is removed: a process died between the write of the body and
// the write of the record, or between the removal of the record and that of the body. It is far above the time between
// two such writes.
const Orphan = time.Hour

var (
	ErrNotFound = errors.New("the bytes are gone")
	ErrTooLarge = errors.New("too many bytes")
	ErrFull     = errors.New("the disk space for jobs and uploaded values is used up: delete ended jobs or uploaded values, or try again later")
)

// Options say how a Store works.
type Options struct {
	Bucket string // the name of the object store
	Prefix string // of the bodies' names: several stores may share one object store
	Most   int64  // bytes of one body
	Guest  bool   // may not manage streams
}

// Store keeps bodies.
type Store struct {
	o       Options
	js      jetstream.JetStream
	objects jetstream.ObjectStore
	stream  jetstream.Stream // of the object store
}

// NewStore works on the given object store.
func NewStore(ctx context.Context, js jetstream.JetStream, objects jetstream.ObjectStore, o Options) (*Store, error) {
	stream, err := js.Stream(ctx, "OBJ_"+o.Bucket)
	if err != nil {
		return nil, fmt.Errorf("opening the stream of object store %s: %w", o.Bucket, err)
	}
	return &Store{o: o, js: js, objects: objects, stream: stream}, nil
}

// Put returns small bytes as a body of their own (b itself, not a copy) and stores large ones.
func (s *Store) Put(ctx context.Context, b []byte) (Body, error) {
	if int64(len(b)) > s.o.Most {
		return Body{}, fmt.Errorf("%w: %d, at most %d", ErrTooLarge, len(b), s.o.Most)
	}
	if len(b) <= MaxInline {
		return Body{Inline: b, Size: int64(len(b))}, nil
	}
	id, err := uuid.NewRandom()
	if err != nil {
		return Body{}, err
	}
	name := s.o.Prefix + id.String()
	if _, err := s.objects.PutBytes(ctx, name, b); err != nil {
		if broker.IsFull(err) {
			err = ErrFull
			_ = s.Drop(ctx, Body{Object: name}) // the name may have had room where the bytes had none; else Sweep removes it
		}
		return Body{}, fmt.Errorf("storing %d bytes: %w", len(b), err)
	}
	return Body{Object: name, Size: int64(len(b))}, nil
}

// Read returns the bytes. Large ones are checked against the digest that the object store took of them.
func (s *Store) Read(ctx context.Context, b Body) ([]byte, error) {
	if b.Object == "" {
		return b.Inline, nil
	}
	out, err := s.fetch(ctx, b)
	switch {
	case errors.Is(err, jetstream.ErrObjectNotFound):
		return nil, ErrNotFound
	case err != nil && !errors.Is(err, ErrNotFound):
		return nil, fmt.Errorf("reading stored bytes: %w", err)
	}
	return out, err
}

// Drop removes the bytes; bytes that are gone are no error. The chunks go first: if the process dies after them, the
// name is still there for Sweep to find. (ObjectStore.Delete does it the other way round and leaves a marker for good.)
func (s *Store) Drop(ctx context.Context, b Body) error {
	if b.Object == "" {
		return nil
	}
	info, err := s.objects.GetInfo(ctx, b.Object, jetstream.GetObjectInfoShowDeleted())
	if errors.Is(err, jetstream.ErrObjectNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("removing stored bytes: %w", err)
	}
	return s.remove(ctx, info)
}

// Discard is Drop for a body that no record names any more. If it fails, Sweep does it later.
func (s *Store) Discard(ctx context.Context, logger *slog.Logger, b Body) {
	if b.Object == "" {
		return
	}
	// The record is written: a caller who goes away now does not keep the bytes from going too.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := s.Drop(ctx, b); err != nil {
		logger.Warn("stored bytes were not removed and will be in an hour or two", "object", b.Object, "error", err)
	}
}

func (s *Store) remove(ctx context.Context, info *jetstream.ObjectInfo) error {
	name := "$O." + s.o.Bucket + ".M." + base64.URLEncoding.EncodeToString([]byte(info.Name))
	if s.o.Guest {
		return s.empty(ctx, info, name)
	}
	if info.NUID != "" {
		if err := s.purge(ctx, s.chunks()+info.NUID); err != nil {
			return err
		}
	}
	return s.purge(ctx, name)
}

// empty is remove for who may not purge: an empty message takes the place of the chunks, and a mark that of the name. Sweep of
// the node's store removes the two in an hour or two.
func (s *Store) empty(ctx context.Context, info *jetstream.ObjectInfo, name string) error {
	gone := *info
	gone.Deleted, gone.Size, gone.Chunks, gone.Digest = true, 0, 0, ""
	mark, err := json.Marshal(gone)
	if err == nil && info.NUID != "" {
		err = s.replace(ctx, s.chunks()+info.NUID, nil)
	}
	if err == nil {
		err = s.replace(ctx, name, mark)
	}
	if err != nil {
		return fmt.Errorf("removing stored bytes: %w", err)
	}
	return nil
}

// replace puts one message in the place of all those of a subject.
func (s *Store) replace(ctx context.Context, subject string, b []byte) error {
	m := nats.NewMsg(subject)
	m.Header.Set(jetstream.MsgRollup, jetstream.MsgRollupSubject)
	m.Data = b
	_, err := s.js.PublishMsg(ctx, m)
	return err
}

func (s *Store) chunks() string { return "$O." + s.o.Bucket + ".C." }

func (s *Store) purge(ctx context.Context, subject string) error {
	if err := s.stream.Purge(ctx, jetstream.WithPurgeSubject(subject)); err != nil {
		return fmt.Errorf("removing stored bytes: %w", err)
	}
	return nil
}

// Sweep removes bodies of this prefix that are older than Orphan and that used does not know, and chunks of any prefix
// that never got a name. used is called after the list was read.
func (s *Store) Sweep(ctx context.Context, now time.Time, used func(name string) bool) error {
	infos, err := s.objects.List(ctx, jetstream.ListObjectsShowDeleted())
	if err != nil && !errors.Is(err, jetstream.ErrNoObjectsFound) {
		return fmt.Errorf("listing stored bytes: %w", err)
	}
	named := make(map[string]bool, len(infos))
	var errs []error
	for _, info := range infos {
		named[s.chunks()+info.NUID] = true
		if !strings.HasPrefix(info.Name, s.o.Prefix) || now.Sub(info.ModTime) <= Orphan || used(info.Name) {
			continue
		}
		errs = append(errs, s.remove(ctx, info))
	}
	errs = append(errs, s.sweepChunks(ctx, now, named))
	return errors.Join(errs...)
}

// sweepChunks removes what a process left that died in the middle of a Put.
func (s *Store) sweepChunks(ctx context.Context, now time.Time, named map[string]bool) error {
	info, err := s.stream.Info(ctx, jetstream.WithSubjectFilter(s.chunks()+"*"))
	if err != nil {
		return fmt.Errorf("listing stored chunks: %w", err)
	}
	var errs []error
	for subject := range info.State.Subjects {
		if named[subject] {
			continue
		}
		last, err := s.stream.GetLastMsgForSubject(ctx, subject)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("looking at a stored chunk: %w", err))
			continue
		}
		if now.Sub(last.Time) > Orphan {
			errs = append(errs, s.purge(ctx, subject))
		}
	}
	return errors.Join(errs...)
}
