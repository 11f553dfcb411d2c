package gateway

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// FuzzGateway has the bytes of a fuzzer decide what a client sends.
func FuzzGateway(f *testing.F) {
	for seed := range uint64(40) {
		f.Add(decide(seed, 0))
	}
	w := newWorld(f)
	f.Fuzz(func(t *testing.T, decided []byte) {
		if len(decided) > 1<<12 {
			return
		}
		if err := w.run(decided); err != nil {
			t.Error(err)
		}
		for _, line := range w.errors.take() {
			t.Error(line)
		}
	})
}

// TestHostileRequests sends what seeds decide, from several clients at once. WEFT_REQUESTS says how many, WEFT_SEED from
// which seed on.
func TestHostileRequests(t *testing.T) {
	requests, seed := int64(6000), uint64(1)
	if testing.Short() {
		requests = 1500
	}
	for name, set := range map[string]func(string) error{
		"WEFT_REQUESTS": func(s string) (err error) { requests, err = strconv.ParseInt(s, 10, 64); return err },
		"WEFT_SEED":     func(s string) (err error) { seed, err = strconv.ParseUint(s, 10, 64); return err },
	} {
		if text := os.Getenv(name); text != "" {
			if err := set(text); err != nil {
				t.Fatal(name, err)
			}
		}
	}
	w := newWorld(t)
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	batch := func(from uint64, until int64) {
		const clients = 16
		var next atomic.Uint64
		var wg sync.WaitGroup
		for range clients {
			wg.Go(func() {
				for w.served.Load() < until && !t.Failed() {
					at := from + next.Add(1)
					if err := w.run(decide(seed, at)); err != nil {
						t.Errorf("WEFT_SEED=%d, program %d: %v", seed, at, err)
					}
				}
			})
		}
		wg.Wait()
	}
	batch(0, requests/10) // whatever is made once is made
	w.tidy(t.Context(), 0)
	before, goroutines, began := heap(), runtime.NumGoroutine(), time.Now()
	batch(1<<32, requests)
	took := time.Since(began)
	w.tidy(t.Context(), 0)
	for end := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > goroutines+8 && time.Now().Before(end); {
		<-time.After(10 * time.Millisecond)
	}
	after, left := heap(), runtime.NumGoroutine()
	t.Logf("%d answers in %v; %s; heap %d MiB before, %d after; goroutines %d before, %d after; %s", w.served.Load(), took.Round(time.Second), w.tally(), before>>20, after>>20, goroutines, left, resident())
	if left > goroutines+8 {
		t.Errorf("%d goroutines, %d before", left, goroutines)
	}
	const more = 48 << 20
	if after > before+more {
		t.Errorf("%d bytes of heap, %d before", after, before)
	}
	for _, line := range w.errors.take() {
		t.Error(line)
	}
	if n := w.gateway.connections.Load(); n != 0 {
		t.Errorf("%d connections", n)
	}
	w.closed()
	if free := w.gateway.memory.left(); free != bodiesAtOnce<<20 {
		t.Errorf("%d bytes are free for bodies, not %d", free, bodiesAtOnce<<20)
	}
}

// resident is the memory of this process, stores and test included, as Linux knows it.
func resident() string {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return "resident memory unknown"
	}
	var now, most string
	for line := range strings.Lines(string(b)) {
		name, value, _ := strings.Cut(line, ":")
		switch name {
		case "VmRSS":
			now = strings.TrimSpace(value)
		case "VmHWM":
			most = strings.TrimSpace(value)
		}
	}
	return "resident " + now + ", at most " + most
}
