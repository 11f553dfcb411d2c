package test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
)

// slaughter is a stream of sums over a rack of which every process may be killed at any moment, the hub and the gateways
// beside a node too. Its clients give each part under an Idempotency-Key and send the same request until it is answered.
type slaughter struct {
	t       *testing.T
	r       *twins
	seed    uint64
	victims []string // members with a process
	n       int      // computations

	ended  atomic.Int64 // computations
	kills  map[string]int
	events lockedBuffer

	mu       sync.Mutex
	repeated int // requests that were sent again
	statuses map[int]int
	parts    map[uuid.UUID]map[string]*part // by computation and party
	wants    map[uuid.UUID]string           // the plain sums
}

// part is what one party's client knows of its job.
type part struct {
	key, body string
	id        uuid.UUID // of the job, as every answer to the key says
	end       jobReport
}

func newSlaughter(t *testing.T, n int) *slaughter {
	t.Helper()
	s := &slaughter{
		t: t, r: newTwins(t), seed: stormSeed(t), n: n, kills: map[string]int{}, statuses: map[int]int{},
		parts: map[uuid.UUID]map[string]*part{}, wants: map[uuid.UUID]string{},
	}
	for _, name := range s.r.names {
		s.r.procs[name].start()
	}
	s.r.start()
	s.r.up(s.r.names...)
	// Everybody who handles jobs: all but the coordinator, whose part a job only waits for.
	s.victims = append(slices.DeleteFunc(s.r.members(), func(m string) bool { return m == memberCoordinator }), s.r.names...)
	t.Logf("seed %d; to run it again: WEFT_SEED=%d go test ./test -run '^%s$'", s.seed, s.seed, t.Name())
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("what happened:\n%s", &s.events)
		}
	})
	return s
}

// random is the source for one purpose.
func (s *slaughter) random(purpose uint64) *rand.Rand { return rand.New(rand.NewPCG(s.seed, purpose)) }

// killing kills victims at random, so many times, spread over the stream, and starts each again at once. A victim may be
// killed while it starts. None may have ended by itself, whoever else was gone meanwhile.
func (s *slaughter) killing(ctx context.Context, kills int) {
	rnd := s.random(2)
	for k := range kills {
		victim, pause := s.victims[rnd.IntN(len(s.victims))], between(rnd, time.Millisecond, 500*time.Millisecond)
		if rnd.IntN(2) == 0 { // while the clients' requests are on their way
			pause = between(rnd, time.Microsecond, 5*time.Millisecond)
		}
		for s.ended.Load() < int64(k*s.n/kills) && ctx.Err() == nil {
			_ = pauseFor(ctx, 5*time.Millisecond)
		}
		if pauseFor(ctx, pause) != nil {
			return
		}
		s.kills[victim]++
		fmt.Fprintf(&s.events, "%s kill -9 %s\n", time.Now().UTC().Format("15:04:05.000"), victim)
		p := s.r.procs[victim]
		select {
		case <-p.over():
			s.t.Errorf("%s has ended by itself", victim)
			return
		default:
		}
		if err := errors.Join(p.end(syscall.SIGKILL), p.launch()); err != nil {
			s.t.Error(err)
			return
		}
	}
}

// stream has so many clients per party compute sums one after another.
func (s *slaughter) stream(clients int) {
	var next atomic.Int64
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < s.n && !s.t.Failed(); i = int(next.Add(1)) - 1 {
				s.compute(i)
				s.ended.Add(1)
			}
		})
	}
	all.Wait()
}

// compute gives all parties' parts of a sum and waits for the ends of all jobs.
func (s *slaughter) compute(i int) {
	rnd := s.random(1000 + uint64(i))
	k := task{
		uuid: uuid.New(), data: map[string]string{}, deadline: stormDeadline.String(),
		roundMS: int(stormRound.Milliseconds()), limitMS: int(stormLimit.Milliseconds()),
	}
	total, length := 0, 0
	if i%largeEach == largeEach-1 { // inputs and results that do not stand in the job's record
		length = largeLength
	}
	for _, party := range s.r.parties {
		v := rnd.IntN(2_000_000) - 1_000_000
		k.data[party], total = numbers(v, 1, length), total+v
		if length > 0 {
			k.data[party] = "[" + k.data[party] + "]" // one sample
		}
	}
	parts := map[string]*part{}
	for _, party := range s.r.parties {
		parts[party] = &part{key: fmt.Sprintf("sum %d of %d", i, s.seed), body: k.body(party, s.r.parties)}
	}
	s.mu.Lock()
	s.parts[k.uuid], s.wants[k.uuid] = parts, numbers(total, len(s.r.parties), length)
	s.mu.Unlock()
	ctx, cancel := context.WithTimeoutCause(s.t.Context(), stormDeadline+stormLimit+confirmHold+2*patience, errors.New("its times are over"))
	defer cancel()
	var all sync.WaitGroup
	for party, p := range parts {
		all.Go(func() {
			j, err := s.post(ctx, party, p)
			if err == nil {
				p.id = j.ID
				p.end, err = s.r.outcome(ctx, party, j.ID)
			}
			if err != nil {
				s.t.Errorf("computation %s: %v", k.uuid, err)
			}
		})
	}
	all.Wait()
}

// post sends a part until it is answered with a job. Whatever went wrong before, the next request is the same.
func (s *slaughter) post(ctx context.Context, party string, p *part) (jobReport, error) {
	for {
		j, status, err := s.once(ctx, party, p.key, p.body)
		s.mu.Lock()
		s.statuses[status]++
		s.mu.Unlock()
		switch {
		case err == nil:
			return j, nil
		case status != 0 && status != http.StatusServiceUnavailable || ctx.Err() != nil:
			return j, err
		}
		s.mu.Lock()
		s.repeated++
		s.mu.Unlock()
		_ = pauseFor(ctx, 20*time.Millisecond)
	}
}

// once sends a part once to the address of its party.
func (s *slaughter) once(ctx context.Context, party, key, body string) (jobReport, int, error) {
	return s.onceAt(ctx, s.r.urls[party], key, body)
}

// onceAt sends a part once to a gateway or to the proxy before it; status is 0 where nothing or half an answer came.
func (s *slaughter) onceAt(ctx context.Context, gateway, key, body string) (j jobReport, status int, err error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, gateway+"/v1/jobs", strings.NewReader(body))
	if err != nil {
		return j, 0, err
	}
	q.Header.Set("Content-Type", "application/json")
	q.Header.Set("Idempotency-Key", `"`+key+`"`)
	answer, err := s.r.client.Do(q)
	if err != nil {
		return j, 0, err
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		return j, 0, err
	}
	if answer.StatusCode != http.StatusOK && answer.StatusCode != http.StatusAccepted {
		return j, answer.StatusCode, &statusError{gateway + " POST /v1/jobs", answer.StatusCode, strings.TrimSpace(string(b))}
	}
	return j, answer.StatusCode, decode(b, &j)
}

// outcomes is how the computations of a slaughter ended.
type outcomes struct {
	done, partly, failed int // done: at all parties; partly: the others say "not confirmed"
	reasons              map[string]int
	worst                time.Duration
}

// gateways are the addresses of all that serve a party's jobs, those behind a proxy by themselves.
func (s *slaughter) gateways(party string) []string {
	if party == s.r.party {
		return slices.Collect(maps.Values(s.r.at))
	}
	return []string{s.r.urls[party]}
}

// check holds all outcomes against the plain sums and each other, and asks every key at every gateway once more for its job.
func (s *slaughter) check() outcomes {
	s.t.Helper()
	o := outcomes{reasons: map[string]int{}}
	ids := map[uuid.UUID]string{}
	for id, parts := range s.parts {
		done := 0
		for party, p := range parts {
			if other, ok := ids[p.id]; ok {
				s.t.Errorf("%s: job %s is that of %s, too", party, p.id, other)
			}
			ids[p.id] = p.key + " at " + party
			if s.ends(id, party, p, &o) {
				done++
			}
		}
		for party, p := range parts {
			if done > 0 && p.end.Error != nil && p.end.Error.Reason != "not-confirmed" {
				s.t.Errorf("computation %s is done at %d parties, and at %s %s: %s", id, done, party, p.end.State, p.end.Error.Message)
			}
		}
		switch done {
		case 0:
			o.failed++
		case len(parts):
			o.done++
		default:
			o.partly++
		}
	}
	return o
}

// ends checks one job, and tells whether it is done.
func (s *slaughter) ends(computation uuid.UUID, party string, p *part, o *outcomes) bool {
	s.t.Helper()
	for _, gateway := range s.gateways(party) {
		again, _, err := s.onceAt(s.t.Context(), gateway, p.key, p.body)
		if err != nil || again.ID != p.id || again.State != p.end.State || again.UUID != computation {
			s.t.Errorf("%s: the key of job %s (%s) gives job %s (%s) at %s: %v", party, p.id, p.end.State, again.ID, again.State, gateway, err)
		}
	}
	j := p.end
	if j.Ended == nil {
		s.t.Errorf("%s: job %s has no end: %s", party, p.id, j.State)
		return false
	}
	o.worst = max(o.worst, j.Ended.Sub(j.Created))
	switch {
	case j.State == "done" && j.Result != nil:
		if j.Result.Sum.String() != s.wants[computation] || j.Result.Samples.String() != fmt.Sprint(len(s.r.parties)) {
			s.t.Errorf("%s: computation %s gives %.200s of %s samples, want %.200s", party, computation, j.Result.Sum, j.Result.Samples, s.wants[computation])
		}
		return true
	case j.State == "failed" && j.Error != nil && j.Error.Reason != "" && j.Error.Message != "":
		o.reasons[j.Error.Reason]++
		s.t.Logf("computation %s failed at %s: %s", computation, party, j.Error.Message)
	default:
		s.t.Errorf("%s: computation %s ends as %s without result or reason: %s", party, computation, j.State, j.Detail)
	}
	return false
}

const slaughterHead = `| test | computations | kills | requests sent again | done at all | done at some, "not confirmed" at others | failed at all | reasons of failed jobs | slowest job | jobs, ledger lines and notices checked |
|---|---|---|---|---|---|---|---|---|---|`

// table prints the slaughter as a line of a Markdown table.
func (s *slaughter) table(o outcomes, c ledgerCount) string {
	list := func(m map[string]int) string {
		var all []string
		for _, k := range slices.Sorted(maps.Keys(m)) {
			all = append(all, fmt.Sprintf("%s %d", k, m[k]))
		}
		if all == nil {
			return "none"
		}
		return strings.Join(all, ", ")
	}
	total := 0
	for _, n := range s.kills {
		total += n
	}
	return fmt.Sprintf("| %s | %d | %d (%s) | %d | %d | %d | %d | %s | %.1f s | %d, %d, %d |", strings.TrimPrefix(s.t.Name(), "Test"), len(s.parts), total,
		list(s.kills), s.repeated, o.done, o.partly, o.failed, list(o.reasons), o.worst.Seconds(), c.jobs, c.lines, c.notices)
}

// Any process that handles jobs is killed (kill -9) at any moment and starts again: the hub, the nodes, of which two have
// their gateway in them, and the two gateways of the third, which are processes behind a load balancer. Meanwhile clients
// who repeat their requests until they are answered have sums computed. Every job has exactly one outcome: each key stands
// for one job, at whichever gateway, no accepted job is lost, no computation has two results, and what the parties' ledgers
// say agrees with it.
func TestStormOfKilledProcesses(t *testing.T) {
	if !soaking() {
		t.Parallel()
	}
	s := newSlaughter(t, counts(20, 40, 500))
	kills := counts(4, 8, 100)
	during(t, func(ctx context.Context) { s.killing(ctx, kills) }, func() { s.stream(4) })
	s.r.ready(s.r.parties...) // the last victims start again
	s.r.up(s.r.names...)
	o := s.check()
	for _, member := range slices.Concat(s.r.names, s.r.parties) {
		s.r.procs[member].stop()
	}
	c := s.checkLedgers()
	t.Logf("\n%s\n%s", slaughterHead, s.table(o, c))
	if o.done < s.n*3/4 {
		t.Errorf("only %d of %d computations are done", o.done, s.n)
	}
	for status := range s.statuses {
		switch status {
		case 0, http.StatusOK, http.StatusAccepted, http.StatusServiceUnavailable:
		default:
			t.Errorf("%d requests were answered with %d", s.statuses[status], status)
		}
	}
}
