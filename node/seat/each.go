package seat

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// each calls f for 0..n-1 on as many goroutines as there are processors, this one among them, and returns the error of the
// lowest index: whom a message names does not depend on who was faster. All calls have returned when it does.
func each(n int, f func(i int) error) error {
	errs := make([]error, n)
	var next atomic.Int64
	part := func() {
		for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
			errs[i] = f(i)
		}
	}
	var wg sync.WaitGroup
	for range min(n, runtime.GOMAXPROCS(0)) - 1 {
		wg.Go(part)
	}
	part()
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
