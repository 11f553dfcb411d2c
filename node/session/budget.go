package session

import "sync/atomic"

// Budget bounds the bytes that several sessions hold together. A nil Budget bounds nothing.
type Budget struct {
	most int64
	used atomic.Int64
	of   []*Budget
}

// NewBudget allows most bytes, and no more than each of the budgets that it is a part of allows.
func NewBudget(most int64, of ...*Budget) *Budget { return &Budget{most: most, of: of} }

// Used is how many bytes are held now.
func (b *Budget) Used() int64 { return b.used.Load() }

func (b *Budget) take(n int64) bool {
	if b == nil {
		return true
	}
	ok := b.used.Add(n) <= b.most
	taken := 0
	for ok && taken < len(b.of) {
		if ok = b.of[taken].take(n); ok {
			taken++
		}
	}
	if !ok {
		b.used.Add(-n)
		for _, o := range b.of[:taken] {
			o.give(n)
		}
	}
	return ok
}

func (b *Budget) give(n int64) {
	if b == nil {
		return
	}
	b.used.Add(-n)
	for _, o := range b.of {
		o.give(n)
	}
}

// hold accounts for n bytes for which there was room when they were announced.
func (s *Session) hold(n int64) {
	s.memory += n
	s.cfg.Budget.give(-n)
}
