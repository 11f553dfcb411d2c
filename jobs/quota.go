package jobs

import (
	"github.com/google/uuid"

	"github.com/weftmpc/weft/jobs/internal/quota"
)

// quotas count what Limits bounds. The lock of the job mirror guards them.
type quotas struct {
	all    *quota.Quota // readable records, of the one owner ""
	active *quota.Quota // jobs that have not ended, by caller
	inside *quota.Quota // records and their bytes, by caller
	beside *quota.Quota // bytes beside records, by caller
}

func newQuotas() quotas {
	return quotas{all: quota.New(), active: quota.New(), inside: quota.New(), beside: quota.New()}
}

// each are all of them.
func (q quotas) each() []*quota.Quota { return []*quota.Quota{q.all, q.active, q.inside, q.beside} }

// bytes are those that a record carries itself, and those of its larger bodies.
func (j *Job) bytes() (inside, beside int64) {
	inside = int64(len(j.Parameters))
	for _, b := range j.bodies() {
		if b.Object == "" {
			inside += b.Size
		} else {
			beside += b.Size
		}
	}
	return inside, beside
}

// changed follows the mirror.
func (q quotas) changed(old, new *Job) {
	if old != nil {
		q.add(old, -1)
	}
	if new != nil {
		for _, one := range q.each() {
			one.Settle(new.ID.String())
		}
		q.add(new, 1)
	}
}

func (q quotas) add(j *Job, n int) {
	q.all.Add("", quota.Use{Count: n})
	sign := int64(n)
	inside, beside := j.bytes()
	q.inside.Add(j.Caller, quota.Use{Count: n, Bytes: sign * inside})
	q.beside.Add(j.Caller, quota.Use{Bytes: sign * beside})
	if !j.Terminal() {
		q.active.Add(j.Caller, quota.Use{Count: n})
	}
}

// reserve takes a place for a job that is being submitted; release gives it back if the submission failed.
func (s *Store) reserve(id uuid.UUID, caller string, inside, beside int64) (release func(), err error) {
	var taken [4]*quota.Reservation // as each lists them
	s.jobs.Locked(func() {
		if s.full(caller, inside, beside) {
			err = ErrTooMany
			return
		}
		key := id.String()
		taken[0] = s.quotas.all.Reserve(key, "", quota.Use{Count: 1})
		taken[1] = s.quotas.active.Reserve(key, caller, quota.Use{Count: 1})
		taken[2] = s.quotas.inside.Reserve(key, caller, quota.Use{Count: 1, Bytes: inside})
		taken[3] = s.quotas.beside.Reserve(key, caller, quota.Use{Bytes: beside})
	})
	if err != nil {
		return nil, err
	}
	return func() {
		s.jobs.Locked(func() {
			for i, one := range s.quotas.each() {
				one.Release(taken[i])
			}
		})
	}, nil
}

// full says whether a job with so many bytes passes a bound.
func (s *Store) full(caller string, inside, beside int64) bool {
	l, own := s.o.Limits, s.quotas.inside.Of(caller)
	return s.quotas.all.Of("").Count >= l.Jobs || s.quotas.active.Of(caller).Count >= l.PerCaller ||
		l.Kept > 0 && own.Count >= l.Kept ||
		l.Inside > 0 && own.Bytes+inside > l.Inside ||
		l.Beside > 0 && beside > 0 && s.quotas.beside.Of(caller).Bytes+beside > l.Beside
}
