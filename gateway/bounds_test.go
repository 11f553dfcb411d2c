package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/gateway/representation"
	"github.com/weftmpc/weft/jobs/objects"
)

// TestConnectionsAreBounded fills all places with clients that say nothing. The next one is served once one has left, and
// the gateway ends though they stay.
func TestConnectionsAreBounded(t *testing.T) {
	const most = 4
	p := newParty(t, func(c *Config) { c.MaxConnections = most })
	url, stop := p.serve()
	address := strings.TrimPrefix(url, "http://")
	dial := func() net.Conn {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	var silent []net.Conn
	for range most {
		silent = append(silent, dial())
	}
	for end := time.Now().Add(10 * time.Second); p.gateway.connections.Load() != most; {
		if time.Now().After(end) {
			t.Fatalf("%d connections", p.gateway.connections.Load())
		}
		<-time.After(time.Millisecond)
	}
	next := dial()
	fmt.Fprintf(next, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
	if err := next.SetReadDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := next.Read(make([]byte, 1)); n != 0 || !isTimeout(err) {
		t.Fatalf("served beyond the bound: %d bytes, %v", n, err)
	}
	silent[0].Close()
	if err := next.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	// No place is left, so the connection is not kept for another request.
	if b, err := io.ReadAll(next); err != nil || !strings.HasPrefix(string(b), "HTTP/1.1 200") || !strings.Contains(string(b), "Connection: close") {
		t.Fatalf("%q, %v", b, err)
	}
	if took := stop(); took > time.Second {
		t.Errorf("the end took %v", took)
	}
	for end := time.Now().Add(10 * time.Second); p.gateway.connections.Load() != 0; {
		if time.Now().After(end) {
			t.Fatalf("%d connections after the end", p.gateway.connections.Load())
		}
		<-time.After(time.Millisecond)
	}
}

func isTimeout(err error) bool {
	var e net.Error
	return errors.As(err, &e) && e.Timeout()
}

func TestWaitingRequestsAreBounded(t *testing.T) {
	p := newParty(t, func(c *Config) { c.MaxWaiting = 2 })
	id := p.compute()
	got := make(chan answer)
	for range 2 {
		go func() {
			a, _ := p.try(t.Context(), "GET", "/representation/"+id, "")
			got <- a
		}()
	}
	p.waitFor(2)
	a := p.do("GET", "/representation/"+id, "")
	p.want(a, 503, "as many requests wait for results")
	if a.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	p.want(p.do("GET", "/v1/jobs/"+id+"?wait=30s", ""), 503, `"reason":"busy"`)
	p.want(p.do("GET", "/v1/jobs/"+id, ""), 200, "submitted") // what does not wait is served
	p.finish(id, `{"sum":1}`)
	for range 2 {
		p.want(<-got, 200, `"sum":1`)
	}
	p.waitFor(0)
}

// TestMemoryIsBounded has a large body wait for memory that another holds.
func TestMemoryIsBounded(t *testing.T) {
	p := newParty(t, func(c *Config) { c.MaxBody = 1 << 20 })
	p.gateway.memory.wait = 20 * time.Millisecond
	other := p.gateway.loan()
	if err := other.take(t.Context(), bodiesAtOnce<<20); err != nil {
		t.Fatal(err)
	}
	large := `{"args":["` + strings.Repeat("x", 900_000) + `"]}`
	a := p.do("PUT", "/representations", large)
	p.want(a, 503, "as it has memory for")
	if a.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	p.want(p.do("PUT", "/representations", `{"args":["small"]}`), 200, "uuid")

	p.gateway.memory.wait = time.Minute
	got := make(chan answer)
	go func() {
		a, _ := p.try(t.Context(), "PUT", "/representations", large)
		got <- a
	}()
	select {
	case a := <-got:
		t.Fatalf("%d %s", a.code, a.body)
	case <-time.After(100 * time.Millisecond):
	}
	other.giveBack()
	p.want(<-got, 200, "uuid")
	// A body whose length is not announced takes no more than one that is, and all comes back.
	r, err := http.NewRequestWithContext(t.Context(), "PUT", p.server.URL+"/representations", io.MultiReader(strings.NewReader(large)))
	if err != nil {
		t.Fatal(err)
	}
	res, err := p.server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 200 {
		t.Error(res.StatusCode)
	}
	p.server.Close() // waits for the handlers
	if free := p.gateway.memory.free; free != bodiesAtOnce<<20 {
		t.Errorf("%d bytes are free, not %d", free, bodiesAtOnce<<20)
	}
}

// TestSubstitutedValuesAreBounded has arguments that each fit and together do not.
func TestSubstitutedValuesAreBounded(t *testing.T) {
	p := newParty(t, func(c *Config) { c.MaxBody = 1 << 20 })
	upload := p.uuid("PUT", "/representations", `{"args":[[`+strings.Repeat("1,", 300_000)+`1]]}`)
	compute := "/representation/" + p.member("compute")
	stands := `{"representation_uuid":"` + upload + `"}`
	p.uuid("PATCH", compute, kwargs("microprotocol", `"Add"`, "data", stands, "network", network3))
	p.want(p.do("PATCH", compute, kwargs("microprotocol", `"Add"`, "data", stands, "network", network3, "parameters", stands)), 413, "together larger than the 1048576 bytes")
}

// TestReadsEachRepresentationOnce counts by the loan, which grows with each value that is read.
func TestReadsEachRepresentationOnce(t *testing.T) {
	p := newParty(t, nil)
	const size = 1000
	upload := p.uuid("PUT", "/representations", `{"args":["`+strings.Repeat("x", size-2)+`"]}`)
	s := substitution{g: p.gateway, caller: anyone, loan: p.gateway.loan(), cache: map[uuid.UUID]json.RawMessage{}}
	for range 5 {
		if v, err := s.replace(t.Context(), "data", []byte(`{"representation_uuid":"`+upload+`"}`)); err != nil || len(v) != size {
			t.Fatal(len(v), err)
		}
	}
	if s.loan.size != size || s.size != 5*size {
		t.Errorf("%d bytes read, %d put in", s.loan.size, s.size)
	}
}

// TestPanicsAreLoggedWithoutArguments looks for the words that a usual stack trace shows in brackets.
func TestPanicsAreLoggedWithoutArguments(t *testing.T) {
	p := newParty(t, nil)
	p.want(p.do("POST", "/v1/jobs", `{"microprotocol":"Add","data":[666],"parties":["alice","bob"]}`), 500, "internal")
	log := p.log.String()
	if !strings.Contains(log, "addThem.func1 harness_test.go:") || !strings.Contains(log, "gateway.(*Gateway).submit submit.go:") {
		t.Errorf("the place is missing in %s", log)
	}
	for _, part := range []string{"goroutine", "0x", secretValue} {
		if strings.Contains(log, part) {
			t.Errorf("%s in %s", part, log)
		}
	}
}

func TestTooManyMembersAreRefused(t *testing.T) {
	p := newParty(t, nil)
	var members strings.Builder
	for i := range 65 {
		fmt.Fprintf(&members, `,"k%d":1`, i)
	}
	many := members.String()[1:]
	for body, want := range map[string]string{
		`{"args":[1` + strings.Repeat(",1", 16) + `]}`: "more than 16 positional arguments",
		`{"kwargs":{` + many + `}}`:                    "more than 64 named arguments",
		`{` + many + `}`:                               "more than 64 members",
	} {
		p.want(p.do("PUT", "/representations", body), 400, want)
	}
	members.Reset()
	for i := range 50_001 {
		fmt.Fprintf(&members, `,"k%d":1`, i)
	}
	p.want(p.do("PUT", "/representations", `{"args":[{`+members.String()[1:]+`}]}`), 400, "more than 50000 keys")
}

// TestInventedIdentifiersCostLittle has a store with many tasks and a gateway that has derived their members before.
func TestInventedIdentifiersCostLittle(t *testing.T) {
	h := newHandles(make([]byte, 32))
	all := make([]objects.Record, 2000)
	for i := range all {
		all[i] = objects.Record{ID: uuid.New(), Kind: objects.Task}
	}
	lists := 0
	visible := func() ([]objects.Record, error) { lists++; return all, nil }
	invented := representation.Derive([]byte("another key"), anyone, "task/x/start")
	find := func(id uuid.UUID) (found bool) {
		if _, ok := h.remembered(anyone, id); ok {
			return true
		}
		_, found, err := h.find(anyone, id, visible)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	last := representation.Derive(make([]byte, 32), anyone, "task/"+all[len(all)-1].ID.String()+"/start")
	for range 2 {
		if !find(last) || lists != 1 {
			t.Errorf("looked %d times", lists)
		}
	}
	if cost := testing.AllocsPerRun(10, func() { find(invented) }); cost > 100 {
		t.Errorf("%.0f allocations for an invented identifier", cost)
	}
	// A task that another process made is found all the same, and the index stays bounded.
	for range mostIndexed {
		h.partOf(anyone, objects.Task, uuid.New(), "start")
	}
	if !find(last) || len(h.indexed) > mostIndexed || len(h.members) > mostIndexed*7 {
		t.Errorf("%d tasks, %d members", len(h.indexed), len(h.members))
	}
}
