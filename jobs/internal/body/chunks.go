package body

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// fetch reads stored bytes chunk by chunk, asking for each. jetstream's own reader has the broker send all of them: tens of
// MiB then wait in the broker and in this process, for each reader, and the broker cuts a connection where too much waits.
func (s *Store) fetch(ctx context.Context, b Body) ([]byte, error) {
	info, err := s.objects.GetInfo(ctx, b.Object)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, min(b.Size, s.o.Most)) // a record may say anything; what is really there makes it grow
	hash := sha256.New()
	var at uint64
	for range info.Chunks {
		m, err := s.stream.GetMsg(ctx, at+1, jetstream.WithGetMsgSubject(s.chunks()+info.NUID))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			break
		}
		if err != nil {
			return nil, err
		}
		if int64(len(out)+len(m.Data)) > b.Size {
			return nil, fmt.Errorf("more than %d stored bytes: %w", b.Size, ErrNotFound)
		}
		out, at = append(out, m.Data...), m.Sequence
		hash.Write(m.Data)
	}
	if int64(len(out)) < b.Size {
		return nil, fmt.Errorf("%d of %d stored bytes are left: %w", len(out), b.Size, ErrNotFound)
	}
	want, err := jetstream.DecodeObjectDigest(info.Digest)
	if err != nil {
		return nil, err
	}
	if string(hash.Sum(nil)) != string(want) {
		return nil, jetstream.ErrDigestMismatch
	}
	return out, nil
}
