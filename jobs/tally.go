package jobs

import "github.com/weftmpc/weft/jobs/internal/mirror"

// Kind is what jobs are counted by.
type Kind struct {
	State         State
	Microprotocol string // as their callers named it
}

// Tally counts the jobs of all callers.
func (s *Store) Tally() map[Kind]int {
	count := map[Kind]int{}
	s.jobs.Each(func(_ string, e *mirror.Entry[Job]) {
		if e.Err == nil {
			count[Kind{e.Value.State, e.Value.Microprotocol}]++
		}
	})
	return count
}

// States lists all states in the order in which a job comes to them.
func States() []State {
	return []State{Submitted, Held, Waiting, Started, Committed, Done, Failed, Cancelled}
}
