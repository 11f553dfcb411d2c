package jobs

import (
	"github.com/google/uuid"

	"github.com/weftmpc/weft/jobs/internal/quota"
)

// quotas count what Limits bounds. The lock of the job mirror guards them.
type quotas struct {
	all    *quota.Quota // readable records, of the one owner ""
	active *quota.Quota // jobs that have not ended, by caller
}

func newQuotas() quotas { return quotas{all: quota.New(), active: quota.New()} }

// changed follows the mirror.
func (q quotas) changed(old, new *Job) {
	if old != nil {
		q.add(old, -1)
	}
	if new != nil {
		q.all.Settle(new.ID.String())
		q.active.Settle(new.ID.String())
		q.add(new, 1)
	}
}

func (q quotas) add(j *Job, n int) {
	q.all.Add("", quota.Use{Count: n})
	if !j.Terminal() {
		q.active.Add(j.Caller, quota.Use{Count: n})
	}
}

// reserve takes a place for a job that is being submitted; release gives it back if the submission failed.
func (s *Store) reserve(id uuid.UUID, caller string) (release func(), err error) {
	var a, b *quota.Reservation
	s.jobs.Locked(func() {
		if s.quotas.all.Of("").Count >= s.o.Limits.Jobs || s.quotas.active.Of(caller).Count >= s.o.Limits.PerCaller {
			err = ErrTooMany
			return
		}
		a = s.quotas.all.Reserve(id.String(), "", quota.Use{Count: 1})
		b = s.quotas.active.Reserve(id.String(), caller, quota.Use{Count: 1})
	})
	if err != nil {
		return nil, err
	}
	return func() {
		s.jobs.Locked(func() {
			s.quotas.all.Release(a)
			s.quotas.active.Release(b)
		})
	}, nil
}
