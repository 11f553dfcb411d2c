package test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
)

// What a computation in a storm may take. The times go with the computation itself, as parameters, so that the tests see
// time-outs, retries and failures within their own time.
const (
	stormRound    = 2 * time.Second
	stormLimit    = 20 * time.Second
	stormDeadline = time.Minute

	// Some sums are of vectors whose bodies take several messages, 24 bytes a value.
	largeEach   = 8
	largeLength = 60_000

	// A node that has confirmed waits for the others' word so long after a computation's time limit.
	confirmHold = 2 * time.Minute
)

// storm is a stream of sums over a rack while something happens to it.
type storm struct {
	t     *testing.T
	r     *rack
	audit *audit
	seed  uint64

	cuts, kills atomic.Int64
	events      lockedBuffer // what was done to the rack, and when

	mu       sync.Mutex
	outcomes map[uuid.UUID]map[string]jobReport // by computation and party
	wants    map[uuid.UUID]string               // the plain sums
}

// newStorm starts a rack whose hub is watched.
func newStorm(t *testing.T, seed uint64, o rackOptions) *storm {
	t.Helper()
	o.observed = true
	r := newRack(t, o)
	s := &storm{t: t, r: r, audit: newAudit(t, r), seed: seed, outcomes: map[uuid.UUID]map[string]jobReport{}, wants: map[uuid.UUID]string{}}
	r.watched.onEach(s.audit.see)
	t.Logf("seed %d; to run it again: WEFT_SEED=%d go test ./test -run '^%s$'", seed, seed, t.Name())
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("what happened:\n%s", &s.events)
		}
	})
	return s
}

// stormSeed is a new seed at each run, unless WEFT_SEED says which.
func stormSeed(t *testing.T) uint64 {
	t.Helper()
	text := os.Getenv("WEFT_SEED")
	if text == "" {
		return uint64(rand.Uint32())
	}
	seed, err := strconv.ParseUint(text, 10, 64)
	must(t, err)
	return seed
}

// random is the source for one purpose: equal seeds give equal data and equal plans of what happens, if not at equal
// moments of the processes' lives.
func (s *storm) random(purpose uint64) *rand.Rand { return rand.New(rand.NewPCG(s.seed, purpose)) }

// stream has so many clients per party compute sums one after another for as long as more says so.
func (s *storm) stream(clients int, more func(computation int) bool) {
	var next atomic.Int64
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if !more(i) || s.t.Failed() {
					return
				}
				s.compute(i)
			}
		})
	}
	all.Wait()
}

// compute gives all parties' parts of a sum and waits for the ends of all jobs.
func (s *storm) compute(i int) {
	rnd := s.random(1000 + uint64(i))
	k := task{
		uuid: uuid.New(), data: map[string]string{}, deadline: stormDeadline.String(),
		roundMS: int(stormRound.Milliseconds()), limitMS: int(stormLimit.Milliseconds()),
	}
	length := 0 // of a vector
	if i%largeEach == largeEach-1 {
		length = largeLength
	}
	total := 0
	for _, party := range s.r.parties {
		v := rnd.IntN(2_000_000) - 1_000_000
		k.data[party], total = numbers(v, 1, length), total+v
		if length > 0 {
			k.data[party] = "[" + k.data[party] + "]" // one sample
		}
	}
	s.mu.Lock()
	s.outcomes[k.uuid], s.wants[k.uuid] = map[string]jobReport{}, numbers(total, len(s.r.parties), length)
	s.mu.Unlock()
	// A job that has not ended when all its times are over is stuck.
	ctx, cancel := context.WithTimeoutCause(s.t.Context(), stormDeadline+stormLimit+confirmHold+patience, errors.New("its times are over"))
	defer cancel()
	var parts sync.WaitGroup
	for _, party := range s.r.parties {
		parts.Go(func() {
			j, err := s.r.post(ctx, party, k)
			if err == nil {
				j, err = s.r.outcome(ctx, party, j.ID)
			}
			if err != nil {
				s.t.Errorf("computation %s: %v", k.uuid, err)
				return
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			s.outcomes[k.uuid][party] = j
		})
	}
	parts.Wait()
}

// numbers is a number, or a list of so many with the same step between them, in JSON.
func numbers(first, step, length int) string {
	if length == 0 {
		return strconv.Itoa(first)
	}
	list := make([]string, length)
	for i := range list {
		list[i] = strconv.Itoa(first + i*step)
	}
	return "[" + strings.Join(list, ",") + "]"
}

// tally is how the jobs of a storm ended.
type tally struct {
	computations, complete, partly, done, failed int // complete: done at all parties; partly: at some
	reasons                                      map[string]int
	attempts                                     int // runs started, of all computations
	worst                                        time.Duration
}

// check holds all outcomes against the plain sums, each other, and what passed the hub.
func (s *storm) check() tally {
	s.t.Helper()
	s.r.watched.settle()
	s.mu.Lock()
	defer s.mu.Unlock()
	y := tally{reasons: map[string]int{}}
	for id, jobs := range s.outcomes {
		y.computations++
		y.attempts += s.audit.attempts(id)
		done := 0
		for party, j := range jobs {
			switch {
			case j.Ended == nil:
				s.t.Errorf("%s: job %s has no end: %s", party, j.ID, j.State)
			case j.Ended.Sub(j.Created) > stormDeadline+stormLimit+confirmHold+10*time.Second:
				s.t.Errorf("%s: job %s took %s", party, j.ID, j.Ended.Sub(j.Created))
			default:
				y.worst = max(y.worst, j.Ended.Sub(j.Created))
			}
			switch {
			case j.State == "done" && j.Result != nil:
				done++
				if j.Result.Sum.String() != s.wants[id] || j.Result.Samples.String() != fmt.Sprint(len(s.r.parties)) {
					s.t.Errorf("%s: computation %s gives %.200s of %s samples, want %.200s", party, id, j.Result.Sum, j.Result.Samples, s.wants[id])
				}
			case j.State == "failed" && j.Error != nil && j.Error.Reason != "" && j.Error.Message != "":
				y.failed++
				y.reasons[j.Error.Reason]++
				s.t.Logf("computation %s failed at %s: %s", id, party, j.Error.Message)
			default:
				s.t.Errorf("%s: computation %s ends as %s without result or reason: %s", party, id, j.State, j.Detail)
			}
		}
		y.done += done
		switch {
		case done == len(s.r.parties):
			y.complete++
		case done > 0:
			y.partly++
		}
		if done > 0 && !s.audit.everConfirmed(id) {
			s.t.Errorf("computation %s is done at %d parties, but not all parties have confirmed it", id, done)
		}
	}
	for _, problem := range s.audit.finish() {
		s.t.Error(problem)
	}
	if c := s.audit.count; c.confirms < y.done || c.joins < len(s.r.parties)*y.complete || c.bodies < 6*y.complete || c.starts < y.complete {
		s.t.Errorf("the audit has seen too little: %s", c)
	}
	return y
}

// table prints a storm as a line of a Markdown table; stormHead is what stands above.
func (s *storm) table(y tally) string {
	reasons := make([]string, 0, len(y.reasons))
	for reason, n := range y.reasons {
		reasons = append(reasons, fmt.Sprintf("%s %d", reason, n))
	}
	slices.Sort(reasons)
	if len(reasons) == 0 {
		reasons = []string{"none"}
	}
	return fmt.Sprintf("| %s | %d | %d | %d | %d | %d | %s | %d | %.1f s | %d (%d/%d/%d) | %d | %d |",
		strings.TrimPrefix(s.t.Name(), "Test"), y.computations, s.cuts.Load(), s.kills.Load(), y.complete, y.done, strings.Join(reasons, ", "), y.attempts,
		y.worst.Seconds(), s.audit.count.signatures(), s.audit.count.joins, s.audit.count.confirms, s.audit.count.aborts,
		s.audit.count.bodies, len(s.audit.finish()))
}

const stormHead = `| test | computations | cuts | kills | complete | jobs done | jobs failed | runs started | slowest job | signatures checked (JOIN/CONFIRM/ABORT) | sealed bodies checked | violations |
|---|---|---|---|---|---|---|---|---|---|---|---|`

// during runs something beside the stream, until the stream is over or it has done all it wanted.
func during(t *testing.T, what func(ctx context.Context), stream func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var beside sync.WaitGroup
	beside.Go(func() { what(ctx) })
	stream()
	cancel()
	beside.Wait()
}

// report prints the table, and wants most computations to be complete.
func (s *storm) report(y tally) {
	s.t.Helper()
	s.t.Logf("\n%s\n%s", stormHead, s.table(y))
	if y.complete < y.computations*3/4 {
		s.t.Errorf("only %d of %d computations are complete", y.complete, y.computations)
	}
}

// between draws a duration.
func between(rnd *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(rnd.Int64N(int64(most-least)))
}

// cutting does to the lines between processes and hub what networks do, at random, until ctx ends; then all lines are well.
func (s *storm) cutting(ctx context.Context) {
	rnd := s.random(1)
	members := append([]string{memberCoordinator}, s.r.parties...)
	heal := func(p *proxy) {
		p.heal()
		p.slow(0)
	}
	defer func() {
		for _, p := range s.r.proxies {
			heal(p)
			p.cut(true) // whatever has fallen silent for good
		}
	}()
	for pauseFor(ctx, between(rnd, 200*time.Millisecond, 1200*time.Millisecond)) == nil {
		member := members[rnd.IntN(len(members))]
		p, rst, what, direction := s.r.proxies[member], rnd.IntN(2) == 0, rnd.IntN(6), rnd.IntN(3)
		s.cuts.Add(1)
		s.event("the line of %s: %s, by RST %t, direction %d", member, [...]string{"cut", "cut", "silent", "silent", "refused", "long"}[what], rst, direction)
		switch what {
		case 0, 1: // the line is cut
			p.cut(rst)
		case 2, 3: // half open: silent in both directions or one; later whoever is in between remembers nothing
			p.silence(direction != 1, direction != 2)
			_ = pauseFor(ctx, between(rnd, 100*time.Millisecond, 3*time.Second))
			p.heal()
			p.cut(rst)
		case 4: // the hub cannot be reached for a while
			p.refuseNew(true)
			p.cut(rst)
			_ = pauseFor(ctx, between(rnd, 100*time.Millisecond, 2*time.Second))
			p.heal()
		case 5: // the line is long
			p.slow(between(rnd, time.Millisecond, 100*time.Millisecond))
			_ = pauseFor(ctx, between(rnd, 100*time.Millisecond, time.Second))
			p.slow(0)
		}
	}
}

// killing kills nodes, so many times, and starts each again at once.
func (s *storm) killing(ctx context.Context, kills int) {
	rnd := s.random(2)
	for range kills {
		if pauseFor(ctx, between(rnd, 10*time.Millisecond, 1500*time.Millisecond)) != nil {
			return
		}
		p := s.r.procs[s.r.parties[rnd.IntN(len(s.r.parties))]]
		s.kills.Add(1)
		s.event("kill -9 %s", p.name)
		if err := errors.Join(p.end(syscall.SIGKILL), p.launch()); err != nil {
			s.t.Error(err)
			return
		}
	}
}

func (s *storm) event(format string, args ...any) {
	fmt.Fprintf(&s.events, "%s %s\n", time.Now().UTC().Format("15:04:05.000"), fmt.Sprintf(format, args...))
}

// soaking tells whether the long versions of the tests of cuts and kills run, as in make soak.
func soaking() bool { return os.Getenv("WEFT_SOAK") == "1" }

// counts scales a test: for the race detector with -short, for CI, for a soak.
func counts(short, ci, soak int) int {
	switch {
	case soaking():
		return soak
	case testing.Short():
		return short
	}
	return ci
}

// Lines to the hub are cut, fall silent, are refused and get long, at random. Every job ends at every party, with the sum
// or with a reason; no two results differ; nothing that must never be signed or sealed passes the hub; most computations
// are complete.
func TestStormOfCuts(t *testing.T) {
	t.Parallel()
	s := newStorm(t, stormSeed(t), rackOptions{proxied: true})
	n, cuts := counts(10, 50, 200), int64(counts(5, 25, 100))
	during(t, s.cutting, func() { s.stream(4, func(i int) bool { return i < n || s.cuts.Load() < cuts }) })
	s.report(s.check())
}

// Nodes are killed (kill -9) in the middle of their work and start again over the same folder. No accepted job is lost, and
// all else is as in a storm of cuts.
func TestStormOfKills(t *testing.T) {
	t.Parallel()
	s := newStorm(t, stormSeed(t), rackOptions{})
	n, kills := counts(10, 50, 200), counts(3, 10, 30)
	var over atomic.Bool
	during(t, func(ctx context.Context) {
		defer over.Store(true)
		s.killing(ctx, kills)
	}, func() { s.stream(4, func(i int) bool { return i < n || !over.Load() }) })
	s.report(s.check())
	if int(s.kills.Load()) != kills {
		t.Errorf("%d kills, want %d", s.kills.Load(), kills)
	}
}

// A line that falls silent and is never reset, as behind a router that has lost its memory, is noticed by both ends
// themselves: the computation that waits for it is done.
func TestSilentLineIsNoticed(t *testing.T) {
	t.Parallel()
	r := newRack(t, rackOptions{proxied: true})
	r.wantSum(r.sumAll("19", "5", "61"), "85")
	r.proxies["bob"].silence(true, true)
	all := r.submit("19", "5", "62")
	r.procs["bob"].says("broker connection lost")
	r.proxies["bob"].heal()
	r.wantSum(r.ended(all), "86")
}
