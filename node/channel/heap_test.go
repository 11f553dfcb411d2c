package channel

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"testing"
)

// TestHeapForgets looks for the secrets in a dump of all live objects, before and after erasure.
func TestHeapForgets(t *testing.T) {
	ps := parties(t, "ann", "bob")
	var masked [3][32]byte // secrets xor 0x5a, so that the test itself does not hold them
	var left *Pair
	done := make(chan struct{})
	go func() { // on a stack of its own
		defer close(done)
		a, b := ps[0].bundle(t, noon), ps[1].bundle(t, noon)
		right := ps[1].pair(t, b, a, noon)
		left = ps[0].pair(t, a, b, noon)
		masked[2] = mask(left.sent[:])
		if err := left.Accept(right.Init()); err != nil {
			t.Error(err)
			return
		}
		seed, err := ps[0].own[hash(a)].key.Bytes()
		if err != nil {
			t.Error(err)
			return
		}
		masked[0], masked[1] = mask(left.k[:]), mask(seed)
	}()
	<-done
	if t.Failed() {
		return
	}
	if found := heapHolds(t, masked); found != [3]bool{true, true, false} {
		t.Errorf("before erasure K, seed and own half are found: %t, want true, true, false", found)
	}
	ps[0].Tick(noon.Add(BundleValid))
	if found := heapHolds(t, masked); found != [3]bool{} {
		t.Errorf("after erasure K, seed and own half are found: %t, want none", found)
	}
	runtime.KeepAlive(left)
	runtime.KeepAlive(ps)
}

func mask(secret []byte) (m [32]byte) {
	for i, x := range secret {
		m[i] = x ^ 0x5a
	}
	return m
}

// heapHolds says which secrets are in live memory.
func heapHolds(t *testing.T, masked [3][32]byte) (found [3]bool) {
	t.Helper()
	runtime.GC()
	f, err := os.Create(filepath.Join(t.TempDir(), "heap"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	debug.WriteHeapDump(f.Fd())
	dump, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	for i := range dump {
		dump[i] ^= 0x5a // masked like the secrets: nothing in this process holds them in the clear
	}
	for i, m := range masked {
		found[i] = bytes.Contains(dump, m[:])
	}
	return found
}
