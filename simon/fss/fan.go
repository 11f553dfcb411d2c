package fss

import (
	"runtime"
	"sync"
)

// fair is how many comparisons are worth a goroutine: about 50 µs of work.
const fair = 64

// fan calls work for all of 0 to n-1, in portions of at most portion, with a block of its own in each goroutine. It returns
// when all is done. A panic in a goroutine becomes one of the caller, whose recover would not see it otherwise.
func fan(n, portion int, work func(b *block, from, to int)) {
	some := func(from, to int) {
		b := new(block)
		defer func() { *b = block{} }() // seeds
		for ; from < to; from += portion {
			work(b, from, min(from+portion, to))
		}
	}
	workers := min(runtime.GOMAXPROCS(0), n/fair)
	if workers < 2 {
		some(0, n)
		return
	}
	var wg sync.WaitGroup
	failed := make([]any, workers)
	for i := range workers {
		wg.Go(func() {
			defer func() { failed[i] = recover() }()
			some(i*n/workers, (i+1)*n/workers)
		})
	}
	wg.Wait()
	for _, f := range failed {
		if f != nil {
			panic(f)
		}
	}
}
