package fss

import (
	"runtime"
	"sync/atomic"
	"testing"
)

// A panic in a goroutine reaches the caller's recover, after all goroutines have ended.
func TestPanicsReachTheCaller(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
	for _, at := range []int{0, fair, 4*fair - 1} {
		var done atomic.Int32
		func() {
			defer func() {
				if f := recover(); f != "broken" {
					t.Errorf("the caller sees %v", f)
				}
			}()
			fan(4*fair, 1, func(_ *block, from, to int) {
				if from == at {
					panic("broken")
				}
				done.Add(int32(to - from))
			})
		}()
		if n := done.Load(); n < 3*fair {
			t.Errorf("only %d portions were done before", n)
		}
	}
}

// Every portion is done once, and none is longer than asked for.
func TestFan(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(3))
	for _, n := range []int{0, 1, fair, 2 * fair, 3*fair + 5, 1000} {
		count := make([]atomic.Int32, n)
		fan(n, 7, func(b *block, from, to int) {
			if b == nil || to-from > 7 {
				t.Errorf("portion from %d to %d", from, to)
			}
			for i := from; i < to; i++ {
				count[i].Add(1)
			}
		})
		for i := range count {
			if c := count[i].Load(); c != 1 {
				t.Fatalf("%d of %d was done %d times", i, n, c)
			}
		}
	}
}
