package jobs

// quota counts what Limits bounds. The lock of the job mirror guards it.
type quota struct {
	jobs   int            // readable records, and those being submitted
	active map[string]int // by caller: jobs that have not ended, and those being submitted
}

// changed follows the mirror.
func (q *quota) changed(old, new *Job) {
	if old != nil {
		q.add(old.Caller, -1, !old.Terminal())
	}
	if new != nil {
		q.add(new.Caller, 1, !new.Terminal())
	}
}

func (q *quota) add(caller string, n int, active bool) {
	q.jobs += n
	if !active {
		return
	}
	q.active[caller] += n
	if q.active[caller] == 0 {
		delete(q.active, caller)
	}
}

// reserve takes a place for a job that is being submitted, so that submissions at the same time cannot pass the limit
// together. release gives it back, when the record counts or the submission has failed.
func (s *Store) reserve(caller string) (release func(), err error) {
	s.jobs.Locked(func() {
		if s.quota.jobs >= s.o.Limits.Jobs || s.quota.active[caller] >= s.o.Limits.PerCaller {
			err = ErrTooMany
			return
		}
		s.quota.add(caller, 1, true)
	})
	if err != nil {
		return nil, err
	}
	return func() { s.jobs.Locked(func() { s.quota.add(caller, -1, true) }) }, nil
}
