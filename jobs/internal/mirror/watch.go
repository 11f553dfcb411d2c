package mirror

import (
	"context"
	"slices"
)

// Wait calls until with the newest record of the key, now and after each change (changes in quick succession may be seen
// as one), and returns the first that it accepts. ErrNotFound: there is no such key, or it went. A record that cannot be
// read is its error.
func (m *Mirror[T]) Wait(ctx context.Context, key string, until func(T) bool) (T, error) {
	var zero T
	for {
		w, err := m.waiter(ctx, key)
		if err != nil {
			return zero, err
		}
		e, found, _ := m.Get(key)
		switch {
		case !found:
			err = ErrNotFound
		case e.Err != nil:
			err = e.Err
		case until(e.Value):
			m.unwait(key, w)
			return e.Value, nil
		}
		if err != nil {
			m.unwait(key, w)
			return zero, err
		}
		select {
		case <-w:
		case <-ctx.Done():
			m.unwait(key, w)
			return e.Value, ctx.Err()
		}
	}
}

// waiter returns a channel that is closed at the next change of the key. It makes sure that a key written by another
// process is known, so that a wait for it does not end too early.
func (m *Mirror[T]) waiter(ctx context.Context, key string) (chan struct{}, error) {
	if _, err := m.Load(ctx, key); err != nil {
		m.mu.RLock()
		defer m.mu.RUnlock()
		if m.closed {
			return nil, ErrClosed
		}
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, ErrClosed
	}
	w := make(chan struct{})
	if m.waiters[key] == nil {
		m.waiters[key] = map[chan struct{}]struct{}{}
	}
	m.waiters[key][w] = struct{}{}
	return w, nil
}

func (m *Mirror[T]) unwait(key string, w chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.waiters[key], w)
	if len(m.waiters[key]) == 0 {
		delete(m.waiters, key)
	}
}

// reader is one subscriber. Keys that changed stand in line once, however often they changed; the value is looked up
// when the subscriber is ready for it. So a slow one costs a key's name, never a record, and holds nobody up.
type reader[T any] struct {
	line   []string // guarded by the mirror's lock, as is queued
	queued map[string]struct{}
	wake   chan struct{} // holds one
}

func (r *reader[T]) add(key string) {
	if _, ok := r.queued[key]; ok {
		return
	}
	r.queued[key] = struct{}{}
	r.line = append(r.line, key)
	r.wakeUp()
}

func (r *reader[T]) wakeUp() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Watch sends every record that is there, oldest write first, and then each change, until ctx ends or the mirror is
// closed; then the channel is closed. Changes of one key in quick succession may be seen as one; the newest record of
// every key always comes, and no revision comes twice or after a newer one. Removed and unreadable keys are not sent.
func (m *Mirror[T]) Watch(ctx context.Context) <-chan T { return m.watch(ctx, true) }

// Changes is Watch without the records that are there: what is read after it was called, and what it sends, is all.
func (m *Mirror[T]) Changes(ctx context.Context) <-chan T { return m.watch(ctx, false) }

func (m *Mirror[T]) watch(ctx context.Context, all bool) <-chan T {
	r := &reader[T]{queued: map[string]struct{}{}, wake: make(chan struct{}, 1)}
	out := make(chan T)
	m.mu.Lock()
	for key, x := range m.entries {
		if all && x.readable() != nil {
			r.add(key)
		}
	}
	slices.SortFunc(r.line, func(a, b string) int {
		if m.entries[a].Revision < m.entries[b].Revision {
			return -1
		}
		return 1 // revisions of one bucket are distinct
	})
	m.readers[r] = struct{}{}
	m.mu.Unlock()
	go m.feed(ctx, r, out)
	return out
}

func (m *Mirror[T]) feed(ctx context.Context, r *reader[T], out chan<- T) {
	defer close(out)
	defer func() {
		m.mu.Lock()
		delete(m.readers, r)
		m.mu.Unlock()
	}()
	for {
		v, ok, closed := m.next(r)
		if closed {
			return
		}
		if ok {
			select {
			case out <- v:
			case <-ctx.Done():
				return
			case <-m.done:
				return
			}
			continue
		}
		select {
		case <-r.wake:
		case <-ctx.Done():
			return
		}
	}
}

// next takes the first key out of a reader's line and looks its record up.
func (m *Mirror[T]) next(r *reader[T]) (v T, ok, closed bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return v, false, true
	}
	for len(r.line) > 0 {
		key := r.line[0]
		r.line = r.line[1:]
		if len(r.line) == 0 {
			r.line = nil
		}
		delete(r.queued, key)
		if p := m.entries[key].readable(); p != nil {
			return *p, true, false
		}
	}
	return v, false, false
}
