package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
)

// benchRun is one row being measured.
type benchRun struct {
	*benchFabric
	benchCase
	inputs []input
	nodes  bool // the nodes' own part is measured, too

	mu   sync.Mutex
	made [][]string // jobs to forget: for each computation one per party
}

// benchTimes are those of one computation.
type benchTimes struct {
	whole time.Duration // from the submission at every party until every party has the result
	nodes time.Duration // from the last party's acceptance of its job until the last party is done, by the parties' clocks
}

// once computes one sum and checks it, or makes one call. The clock stands still before and after.
func (r *benchRun) once(ctx context.Context) (benchTimes, error) {
	if r.calls != nil {
		return r.calls.once(ctx)
	}
	if r.pure != nil {
		begin := time.Now()
		r.pure()
		return benchTimes{whole: time.Since(begin)}, context.Cause(ctx)
	}
	id, err := uuid.NewRandom()
	if err != nil {
		return benchTimes{}, err
	}
	made, results := make([]string, len(r.names)), make([][]byte, len(r.names))
	defer func() {
		r.mu.Lock()
		r.made = append(r.made, made)
		r.mu.Unlock()
	}()
	submit := func(i int) (err error) {
		made[i], err = r.ask.submit(ctx, i, id, r.inputs[i])
		return err
	}
	fetch := func(i int) (err error) {
		results[i], err = r.ask.result(ctx, i, made[i])
		return err
	}
	var t benchTimes
	begin := time.Now()
	err = r.atAll(func(i int) error {
		if err := submit(i); err != nil {
			return err
		}
		return fetch(i)
	})
	t.whole = time.Since(begin)
	if err == nil && r.nodes {
		t.nodes, err = r.nodesPart(ctx, made)
	}
	if cause := context.Cause(ctx); cause != nil {
		return t, cause
	}
	if err == nil {
		err = r.work.check(results)
	}
	return t, err
}

// nodesPart is the nodes' own time for a computation that is over.
func (r *benchRun) nodesPart(ctx context.Context, made []string) (time.Duration, error) {
	created, ended := make([]time.Time, len(made)), make([]time.Time, len(made))
	err := r.atAll(func(i int) (err error) {
		created[i], ended[i], err = r.ask.done(ctx, i, made[i])
		return err
	})
	return slices.MaxFunc(ended, time.Time.Compare).Sub(slices.MaxFunc(created, time.Time.Compare)), err
}

// forget deletes the jobs made so far.
func (r *benchRun) forget(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerTime)
	defer cancel()
	if r.calls != nil {
		return r.calls.forget(ctx)
	}
	made := r.made
	r.made = nil
	return r.atAll(func(i int) error {
		for _, jobs := range made {
			if jobs[i] == "" {
				continue
			}
			if err := r.ask.forget(ctx, i, jobs[i]); err != nil {
				return fmt.Errorf("deleting job %s: %w", jobs[i], err)
			}
		}
		return nil
	})
}

// measure makes one row, or two where the nodes' part has one of its own. number is that of the row, for profiles.
func (b *benchFabric) measure(ctx context.Context, f benchFlags, c benchCase, number int) (rows []benchRow, err error) {
	r := &benchRun{benchFabric: b, benchCase: c, nodes: b.remote && c.atOnce == 1 && c.calls == nil && c.pure == nil}
	for i := range b.names {
		if c.calls != nil || c.pure != nil {
			break // they bring their own data
		}
		in, err := c.ask.prepare(c.work, c.work.data(i))
		if err != nil {
			return nil, err
		}
		r.inputs = append(r.inputs, in)
	}
	defer func() { err = errors.Join(err, r.forget(ctx)) }()
	warm, _, err := r.repeat(ctx, f, max(2, c.count/10), f.duration/5)
	if err != nil {
		return nil, err
	}
	stop, err := profile(f.profile, fmt.Sprintf("%02d-%s-%d", number, c.kind, len(b.names)))
	if err != nil {
		return nil, err
	}
	var before, after int64
	if b.sent != nil {
		before = b.sent()
	}
	times, took, err := r.repeat(ctx, f, c.count, f.duration)
	if b.sent != nil {
		after = b.sent()
	}
	if err = errors.Join(err, stop()); err != nil {
		return nil, err
	}
	row := r.row(times, took, func(t benchTimes) time.Duration { return t.whole })
	row.WarmUp = len(warm)
	if b.sent != nil && c.calls == nil {
		row.Bytes = (after - before) / int64(len(times)*len(b.names))
	}
	row.rate()
	rows = append(rows, row)
	if r.nodes {
		part := r.row(times, took, func(t benchTimes) time.Duration { return t.nodes })
		part.Name, part.WarmUp = c.kind+benchNodes, row.WarmUp
		part.rate()
		rows = append(rows, part)
	}
	return rows, nil
}

// repeat computes until count or most is reached, two times at least. It returns the times of all computations and how
// long they took together: the sum of their times, or for several at once the time from the first to the last.
func (r *benchRun) repeat(ctx context.Context, f benchFlags, count int, most time.Duration) ([]benchTimes, time.Duration, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		mu    sync.Mutex
		all   []benchTimes
		fault error
		begun int
	)
	begin := time.Now()
	next := func() bool {
		mu.Lock()
		defer mu.Unlock()
		if fault != nil || begun >= count || begun >= 2 && time.Since(begin) > most {
			return false
		}
		begun++
		return true
	}
	worker := func() {
		for next() {
			t, err := r.once(ctx)
			if err == nil && r.atOnce == 1 {
				err = r.rest(ctx, f.pause)
			}
			mu.Lock()
			if err == nil {
				all = append(all, t)
			} else if fault == nil { // the others end because of it
				fault = err
				cancel()
			}
			mu.Unlock()
		}
	}
	var workers sync.WaitGroup
	for range r.atOnce {
		workers.Go(worker)
	}
	workers.Wait()
	took := time.Since(begin)
	if r.atOnce == 1 {
		took = 0
		for _, t := range all {
			took += t.whole
		}
	}
	return all, took, fault
}

// rest is between two computations: large jobs are forgotten at once, so that no disk fills up.
func (r *benchRun) rest(ctx context.Context, d time.Duration) error {
	if r.work.values > 0 {
		if err := r.forget(ctx); err != nil {
			return err
		}
	}
	return pause(ctx, d)
}

// row sums the times up.
func (r *benchRun) row(times []benchTimes, took time.Duration, which func(benchTimes) time.Duration) benchRow {
	sorted := make([]time.Duration, len(times))
	for i, t := range times {
		sorted[i] = which(t)
	}
	slices.Sort(sorted)
	ms := func(percent int) float64 {
		return float64(sorted[min(len(sorted)*percent/100, len(sorted)-1)]) / float64(time.Millisecond)
	}
	return benchRow{
		Name: r.kind, Parties: len(r.names), Values: max(1, r.work.values), AtOnce: r.atOnce, Repetitions: len(times), remote: r.remote,
		P50: ms(50), P99: ms(99), PerSecond: float64(len(times)) / took.Seconds(),
	}
}
