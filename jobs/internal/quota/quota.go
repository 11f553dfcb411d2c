// Package quota counts what callers keep, writes under way included, so that writes at the same time cannot pass a bound
// together, and none is refused for the sake of one that is counted already.
package quota

import "slices"

// Use is what an owner keeps.
type Use struct {
	Count int
	Bytes int64
}

// Quota counts by owner. It has no lock: the mirror whose records it counts lends its own.
type Quota struct {
	used    map[string]Use
	pending map[string][]*Reservation // by key of the record that is being written
}

// Reservation is room taken for a write under way.
type Reservation struct {
	key, owner string
	use        Use
}

// New returns a Quota in which nobody keeps anything.
func New() *Quota { return &Quota{used: map[string]Use{}, pending: map[string][]*Reservation{}} }

// Of returns what an owner keeps.
func (q *Quota) Of(owner string) Use { return q.used[owner] }

// Add counts a record in, or out with negative numbers.
func (q *Quota) Add(owner string, u Use) {
	u = Use{q.used[owner].Count + u.Count, q.used[owner].Bytes + u.Bytes}
	if u == (Use{}) {
		delete(q.used, owner)
		return
	}
	q.used[owner] = u
}

// Reserve takes room for the write of a record.
func (q *Quota) Reserve(key, owner string, u Use) *Reservation {
	r := &Reservation{key: key, owner: owner, use: u}
	q.Add(owner, u)
	q.pending[key] = append(q.pending[key], r)
	return r
}

// Settle gives back what was reserved for a record: it has come, and is counted itself. Of several writes of one
// record at most one succeeds, the others' room is not needed either.
func (q *Quota) Settle(key string) {
	for _, r := range slices.Clone(q.pending[key]) {
		q.Release(r)
	}
}

// Release gives a reservation back, unless Settle has.
func (q *Quota) Release(r *Reservation) {
	i := slices.Index(q.pending[r.key], r)
	if i < 0 {
		return
	}
	q.Add(r.owner, Use{-r.use.Count, -r.use.Bytes})
	if q.pending[r.key] = slices.Delete(q.pending[r.key], i, i+1); len(q.pending[r.key]) == 0 {
		delete(q.pending, r.key)
	}
}
