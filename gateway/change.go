package gateway

import (
	"context"
	"errors"
	"sync"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/jobs/objects"
)

// stripes are locks by identifier: requests of this process that change one record take turns, so that only another
// process can come between reading and writing. Different records share a lock now and then, which costs a moment.
type stripes [64]sync.Mutex

func (s *stripes) lock(id uuid.UUID) (unlock func()) {
	m := &s[int(id[len(id)-1])%len(s)]
	m.Lock()
	return m.Unlock
}

// change writes the record that f makes of the stored one, again if another process has changed it in between.
func (g *Gateway) change(ctx context.Context, id uuid.UUID, f func() (objects.Record, error)) error {
	const tries = 50
	defer g.changing.lock(id)()
	for try := 1; ; try++ {
		r, err := f()
		if err != nil {
			return err
		}
		if _, err = g.config.Objects.Update(ctx, r); !errors.Is(err, objects.ErrConflict) || try == tries {
			return err
		}
	}
}

// ensure stores a record unless one with its identifier is there.
func (g *Gateway) ensure(ctx context.Context, r objects.Record) error {
	if _, err := g.object(ctx, r.ID); !errors.Is(err, objects.ErrNotFound) {
		return err
	}
	r.Created = g.config.Now()
	_, err := g.config.Objects.Put(ctx, r)
	if errors.Is(err, objects.ErrExists) {
		return nil
	}
	return err
}

// load reads a record of a kind that the caller sees.
func (g *Gateway) load(ctx context.Context, caller string, kind objects.Kind, id uuid.UUID) (objects.Record, error) {
	r, err := g.object(ctx, id)
	switch {
	case errors.Is(err, objects.ErrExpired):
		g.handles.forget(caller, id)
		return r, errExpiredRepresentation
	case errors.Is(err, objects.ErrNotFound), err == nil && (r.Kind != kind || !sees(caller, r)):
		g.handles.forget(caller, id)
		return r, errUnknownRepresentation
	}
	return r, err
}
