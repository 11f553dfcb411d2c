package gateway

import (
	"fmt"
	"net/http"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// peak measures how far the heap grows while f runs, in bytes.
func peak(f func()) uint64 {
	defer debug.SetGCPercent(debug.SetGCPercent(10)) // what is garbage does not count for long
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	before := m.HeapAlloc
	var most atomic.Uint64
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			runtime.ReadMemStats(&m)
			most.Store(max(most.Load(), m.HeapAlloc))
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	f()
	close(stop)
	<-done
	return most.Load() - min(before, most.Load())
}

// Arguments that the function does not have are refused before anybody reads what they stand for: a small request must not
// make the gateway read one large upload many times over.
func TestUnknownArgumentsAreNotRead(t *testing.T) {
	p := newParty(t, nil)
	const size, references = 8 << 20, 32
	upload := p.uuid("PUT", "/representations", `{"args":["`+strings.Repeat("x", size)+`"],"kwargs":{}}`)
	compute := p.member("compute")
	var kwargs []string
	for i := range references {
		kwargs = append(kwargs, fmt.Sprintf(`"k%d":{"representation_uuid":%q}`, i, upload))
	}
	body := `{"args":[],"kwargs":{` + strings.Join(kwargs, ",") + `}}`
	var a answer
	grown := peak(func() { a = p.do("PATCH", "/representation/"+compute, body) })
	if a.code != http.StatusBadRequest {
		t.Error(a.code, a.body)
	}
	if grown > 4*size {
		t.Errorf("a request of %d bytes made the heap grow by %d MiB", len(body), grown>>20)
	}
}

// A list that is refused for its length is not split first.
func TestLongListsAreNotSplit(t *testing.T) {
	p := newParty(t, nil)
	const size = 8 << 20
	body := `{"microprotocol":"Add","data":[1],"parties":[` + strings.Repeat("0,", size/2) + `0]}`
	var a answer
	grown := peak(func() { a = p.do("POST", "/v1/jobs", body) })
	if a.code != http.StatusBadRequest {
		t.Error(a.code, a.body)
	}
	if grown > 8*size {
		t.Errorf("a body of %d MiB made the heap grow by %d MiB", size>>20, grown>>20)
	}
}
