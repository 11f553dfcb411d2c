package coordinator

import (
	"slices"
	"time"

	"github.com/weftmpc/weft/broker/identity"
)

// memory is what is remembered of one party's JOINs after their end.
//
// Every party has its own bounds and loses its own oldest memories first. With one bound for all, a party that joins and
// leaves without pause would make the coordinator forget the others' computations, so that the answer to a repeated JOIN
// would be lost, or a late copy of one open it anew. Only holders of certificates have memories, so their number is bounded.
type memory struct {
	ended []*slot // as they ended
	runs  []*run  // as they started
	bytes int     // of the STARTs of runs
}

// run is a started computation; start is nil when it was dropped to save memory.
type run struct {
	start   []byte
	until   time.Time
	holders int      // memories that it is in
	refused *Refusal // not started at all: why the helper takes no part
}

func (t *Table) memoryOf(fp identity.Fingerprint) *memory {
	m := t.memories[fp]
	if m == nil {
		m = &memory{}
		t.memories[fp] = m
	}
	return m
}

// end keeps a slot as a memory only. A party has at most four times as many memories as JOINs that it may have open.
func (t *Table) end(s *slot, state slotState) {
	t.release(s)
	s.state, s.entry, s.other = state, nil, nil
	t.counts.Ended++
	m := t.memoryOf(s.key.fp)
	m.ended = append(m.ended, s)
	for len(m.ended) > 4*t.config.PerParty {
		oldest := m.ended[0]
		m.ended = m.ended[1:]
		if t.slots[oldest.key] == oldest {
			t.forget(oldest)
		}
	}
}

// keep remembers a START for one of its parties. Its whole size counts for each of them, and it is dropped when the last
// of them has no room for it any more.
func (t *Table) keep(fp identity.Fingerprint, r *run) {
	m := t.memoryOf(fp)
	m.runs = append(m.runs, r)
	m.bytes += len(r.start)
	r.holders++
	for m.bytes > t.config.MaxKept && len(m.runs) > 1 {
		oldest := m.runs[0]
		m.runs = m.runs[1:]
		t.drop(m, oldest)
	}
}

// drop takes a START that m does not list any more off its account.
func (t *Table) drop(m *memory, r *run) {
	m.bytes -= len(r.start)
	if r.holders--; r.holders == 0 {
		t.counts.KeptBytes -= len(r.start)
		r.start = nil
	}
}

func (t *Table) sweepMemories(now time.Time) {
	for fp, m := range t.memories {
		m.ended = slices.DeleteFunc(m.ended, func(s *slot) bool { return t.slots[s.key] != s })
		m.runs = slices.DeleteFunc(m.runs, func(r *run) bool {
			if now.Before(r.until) {
				return false
			}
			t.drop(m, r)
			return true
		})
		if len(m.ended)+len(m.runs) == 0 {
			delete(t.memories, fp)
		}
	}
}
