package session

import "context"

// Hop is a wait for others: for their messages of one step or, before the first one, for a peer's part of the pair's key.
type Hop struct {
	s *Session
	w *wait
}

// Key says that the wait is for a key.
func (h Hop) Key() bool { return h.w.key != nil }

// Label names the step for people: call path, vector and round, all of them public.
func (h Hop) Label() string { return describe(h.w.label) }

// Late lists the seats that a wait which has ended with err was for at last: those that had not come where it has failed, else
// the one that came last, if there was any to wait for.
func (h Hop) Late(err error) []int {
	h.s.mu.Lock()
	defer h.s.mu.Unlock()
	switch {
	case err != nil:
		return h.w.lacking()
	case h.w.last != nil:
		return []int{h.w.last.seat}
	}
	return nil
}

// waited is finished, and tells of the wait.
func (s *Session) waited(ctx context.Context, w *wait) error {
	if s.cfg.Hop == nil || w.key == nil && len(w.ins) == 0 {
		return s.finished(ctx, w)
	}
	over := s.cfg.Hop(ctx, Hop{s, w})
	err := s.finished(ctx, w)
	if over != nil {
		over(err)
	}
	return err
}
