package node

import (
	"bytes"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/coordinator"
	"github.com/weftmpc/weft/jobs"
	"github.com/weftmpc/weft/simon/simontest"
)

// wantFirst wants sums in the first attempt.
func (f *fleet) wantFirst(ended map[string]jobs.Job, sum string) {
	f.t.Helper()
	f.wantSum(ended, sum, "3")
	for name, j := range ended {
		if j.Attempt != 1 {
			f.t.Errorf("%s needed %d attempts", name, j.Attempt)
		}
	}
}

// Two computations begin at once between nodes that have no channel yet, in the same order and in the opposite one at
// different parties, while INITs are lost, come twice, or come mixed with those of earlier channels. Each pair ends with one
// channel, and every party makes one INIT for it.
func TestFirstContacts(t *testing.T) {
	f := newFleet(t, simontest.Faults{}, three...)
	f.terms.round = 20 * time.Second
	w := f.watch()
	var earlier []sent // of channels that are gone
	var arrived sync.WaitGroup
	scenes := []struct {
		name string
		rule func() func(d sent) bool
	}{
		{"no faults", func() func(d sent) bool { return func(sent) bool { return true } }},
		{"the first INITs are lost", func() func(d sent) bool {
			lost := map[string]int{}
			return func(d sent) bool {
				lost[d.from+d.to]++
				return lost[d.from+d.to] > 3 // two computations send one each at first
			}
		}},
		{"INITs of one direction are lost", func() func(d sent) bool {
			lost := map[string]int{}
			return func(d sent) bool {
				lost[d.from+d.to]++
				return d.from > d.to || lost[d.from+d.to] > 3
			}
		}},
		{"INITs come twice, with earlier ones", func() func(d sent) bool {
			return func(d sent) bool {
				list := append([]sent{d}, earlier...)
				arrived.Go(func() {
					for _, e := range list {
						if e.to == d.to {
							f.members[e.to].receive(e.from, append(bytes.Clone(d.body[:16]), e.message()...))
						}
					}
				})
				return true
			}
		}},
	}
	for _, s := range scenes {
		rule := s.rule()
		inits := map[string]map[string]bool{}
		w.rule(func(d sent) bool {
			if d.kind() != kindInit {
				return true
			}
			key := d.from + " to " + d.to
			if inits[key] == nil {
				inits[key] = map[string]bool{}
			}
			inits[key][string(d.message())] = true
			return rule(d)
		})
		one, two := uuid.New(), uuid.New()
		other := map[string]string{"alice": "1", "bob": "10", "carol": "100"}
		a, b := map[string]jobs.Job{}, map[string]jobs.Job{}
		for i, name := range three {
			if i%2 == 0 {
				a[name] = f.submit(name, one, data[name], patience)
			}
			b[name] = f.submit(name, two, other[name], patience)
			if i%2 == 1 {
				a[name] = f.submit(name, one, data[name], patience)
			}
		}
		f.wantFirst(f.endedAll(a), "85")
		f.wantFirst(f.endedAll(b), "111")
		w.open()
		arrived.Wait()
		if len(inits) != 6 {
			t.Errorf("%s: INITs on %d links, want 6", s.name, len(inits))
		}
		for link, different := range inits {
			if len(different) != 1 {
				t.Errorf("%s: %d different INITs from %s", s.name, len(different), link)
			}
		}
		f.settle()
		earlier = w.seen(func(d sent) bool { return d.kind() == kindInit })
		f.again() // channels live in memory only
	}
	f.checkInvariants()
}

// A bundle is replaced by the next one, at two parties, while their JOINs with the old one wait for the third; the
// computation starts with the bundles that stand in the JOINs.
func TestRotationBetweenJoinAndStart(t *testing.T) {
	f := newFleet(t, simontest.Faults{}, three...)
	w := f.watch()
	id := uuid.New()
	bundle := func(id uuid.UUID, name string) string {
		t.Helper()
		d := w.await(1, func(d sent) bool { return is(kindJoin, id)(d) && d.from == name })
		j, err := coordinator.DecodeJoin(d.message())
		must(t, err)
		own, err := coordinator.DecodeOwn(j.Own)
		must(t, err)
		return string(own.Bundle)
	}
	all := map[string]jobs.Job{
		"alice": f.submit("alice", id, "19", 58*time.Minute), "bob": f.submit("bob", id, "5", 58*time.Minute),
	}
	old := map[string]string{"alice": bundle(id, "alice"), "bob": bundle(id, "bob")}
	f.ahead.Store(int64(46 * time.Minute))
	for range 2 { // a computation with the new bundles, before and after
		between := uuid.New()
		f.wantFirst(f.sumAll(between, data), "85")
		for name, b := range old {
			if bundle(between, name) == b {
				t.Errorf("%s has the same bundle after 46 minutes", name)
			}
		}
		if all["carol"].ID == (uuid.UUID{}) {
			all["carol"] = f.submit("carol", id, "61", 10*time.Minute)
			f.wantFirst(f.endedAll(all), "85")
		}
	}
	f.checkInvariants()
}
