package psi

import (
	"runtime"
	"sync"
)

// block is how many elements are worked on between two calls of a Step: about 50 ms of one core.
const block = 1000

// fair is how many elements are worth a goroutine: at least half a millisecond of work.
const fair = 8

// Step is called in the caller's goroutine each time so many more elements, at most 1,000, are done. An error ends the work.
type Step func(done int) error

// inBlocks calls work for all of 0 to n-1, on all cores. prepare, if any, is called before each block, in order and in the
// caller's goroutine. A panic in a goroutine becomes one of the caller, whose recover would not see it otherwise. The
// error is the first by position.
func inBlocks(n int, step Step, prepare func(from, to int) error, work func(from, to int) error) error {
	for from := 0; from < n; from += block {
		to := min(from+block, n)
		if prepare != nil {
			if err := prepare(from, to); err != nil {
				return err
			}
		}
		if err := fan(from, to, work); err != nil {
			return err
		}
		if err := step(to - from); err != nil {
			return err
		}
	}
	return nil
}

func fan(from, to int, work func(from, to int) error) error {
	n := to - from
	workers := min(runtime.GOMAXPROCS(0), n/fair)
	if workers < 2 {
		return work(from, to)
	}
	var wg sync.WaitGroup
	failed, errs := make([]any, workers), make([]error, workers)
	for i := range workers {
		wg.Go(func() {
			defer func() { failed[i] = recover() }()
			errs[i] = work(from+i*n/workers, from+(i+1)*n/workers)
		})
	}
	wg.Wait()
	for _, f := range failed {
		if f != nil {
			panic(f)
		}
	}
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
