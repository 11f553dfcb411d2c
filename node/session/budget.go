package session

import "sync/atomic"

// Budget bounds the bytes that several sessions hold together. A nil Budget bounds nothing.
type Budget struct {
	most int64
	used atomic.Int64
}

// NewBudget allows most bytes.
func NewBudget(most int64) *Budget { return &Budget{most: most} }

// Used is how many bytes are held now.
func (b *Budget) Used() int64 { return b.used.Load() }

func (b *Budget) take(n int64) bool {
	if b == nil {
		return true
	}
	if b.used.Add(n) > b.most {
		b.used.Add(-n)
		return false
	}
	return true
}

func (b *Budget) give(n int64) {
	if b != nil {
		b.used.Add(-n)
	}
}

// hold accounts for n bytes for which there was room when they were announced.
func (s *Session) hold(n int64) {
	s.memory += n
	if s.cfg.Budget != nil {
		s.cfg.Budget.used.Add(n)
	}
}
