package gateway

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/gateway/access"
	"github.com/weftmpc/weft/jobs"
	"github.com/weftmpc/weft/jobs/objects"
)

// revocable is an authenticator whose tokens can be revoked while a gateway runs.
type revocable struct {
	mu    sync.Mutex
	list  []access.Token
	ahead atomic.Int64 // of the time; nanoseconds
}

func (v *revocable) authenticator() access.Authenticator {
	return access.NewTokens(func() ([]byte, error) {
		v.mu.Lock()
		defer v.mu.Unlock()
		return access.FormatTokens(v.list), nil
	}, func() time.Time { return time.Now().Add(time.Duration(v.ahead.Load())) })
}

// revoke ends all tokens and lets so much time pass that the list is read again.
func (v *revocable) revoke() {
	v.mu.Lock()
	defer v.mu.Unlock()
	for i := range v.list {
		v.list[i].Revoked = time.Now()
	}
	v.ahead.Add(int64(2 * time.Second))
}

func newRevocable(t *testing.T, change func(*Config)) (*party, *people, *revocable) {
	t.Helper()
	v := &revocable{}
	p, who := newGuarded(t, func(c *Config) {
		c.Access.Authenticators = []access.Authenticator{v.authenticator()}
		if change != nil {
			change(c)
		}
	})
	v.list = who.list
	return p, who, v
}

// waitingJobOf is a job of a caller that waits for the other parties.
func (p *party) waitingJobOf(caller string) string {
	p.t.Helper()
	j, err := p.gateway.submit(p.t.Context(), request{
		id: uuid.New(), caller: caller, microprotocol: p.gateway.microprotocol["Add"], parties: []string{"alice", "bob"}, uuid: uuid.New(), deadline: time.Minute, data: []byte("[1]"),
	})
	if err != nil {
		p.t.Fatal(err)
	}
	p.move(j.ID.String(), nil, jobs.Waiting)
	return j.ID.String()
}

// A stream of events ends when the credential that opened it is revoked, and tells nothing after that.
func TestStreamsEndWithTheirCredential(t *testing.T) {
	p, who, v := newRevocable(t, nil)
	p.gateway.beat = 20 * time.Millisecond
	job := p.waitingJobOf("token:analyst")
	url, stop := p.serve()
	defer stop()
	for _, path := range []string{"/v1/events", "/v1/jobs/" + job + "/events"} {
		v.mu.Lock()
		for i := range v.list {
			v.list[i].Revoked = time.Time{}
		}
		v.ahead.Add(int64(2 * time.Second))
		v.mu.Unlock()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, "GET", url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+who.tokens["analyst"])
		transport := &http.Transport{DisableKeepAlives: true}
		res, err := transport.RoundTrip(r)
		if err != nil || res.StatusCode != 200 {
			t.Fatalf("%s: %v %v", path, res, err)
		}
		defer res.Body.Close()
		lines := bufio.NewScanner(res.Body)
		for lines.Scan() && !strings.HasPrefix(lines.Text(), "data:") { // the job as it stands
		}
		v.revoke()
		for lines.Scan() { // to the stream's end
		}
		if ctx.Err() != nil {
			t.Errorf("%s goes on after its token was revoked", path)
		}
	}
}

// A request that waits for a job is not answered with it once its credential has been revoked.
func TestWaitsEndWithTheirCredential(t *testing.T) {
	p, who, v := newRevocable(t, nil)
	id := p.waitingJobOf("token:analyst")
	got := make(chan answer)
	paths := []string{"/v1/jobs/" + id + "?wait=20s", "/v1/jobs/" + id + "/result", "/representation/" + id}
	for _, path := range paths {
		go func() {
			a, _ := p.try(t.Context(), "GET", path, "", who.as("analyst"))
			got <- a
		}()
	}
	p.waitFor(len(paths))
	v.revoke()
	body, err := p.jobs.Put(t.Context(), []byte(`{"sum":`+secretValue+`}`))
	if err != nil {
		t.Fatal(err)
	}
	p.move(id, func(j *jobs.Job) { j.Result = body }, jobs.Started, jobs.Committed, jobs.Done)
	for range paths {
		if a := <-got; a.code != 401 || strings.Contains(a.body, secretValue) {
			t.Errorf("a revoked token fetches a result: %d %s", a.code, a.body)
		}
	}
}

// A credential that runs out in its time while a request waits was good for that request: providers give them for minutes.
func TestWaitsOutliveTheirCredentialsTime(t *testing.T) {
	v := &revocable{}
	clock := func() time.Time { return time.Now().Add(time.Duration(v.ahead.Load())) }
	p, who, v2 := newRevocable(t, func(c *Config) { c.Now = clock })
	id := p.waitingJobOf("token:analyst")
	got := make(chan answer)
	go func() {
		a, _ := p.try(t.Context(), "GET", "/v1/jobs/"+id+"/result", "", who.as("analyst"))
		got <- a
	}()
	p.waitFor(1)
	v.ahead.Store(int64(2 * time.Hour))
	v2.ahead.Store(int64(2 * time.Hour))
	body, err := p.jobs.Put(t.Context(), []byte(`{"sum":1}`))
	if err != nil {
		t.Fatal(err)
	}
	p.move(id, func(j *jobs.Job) { j.Result = body }, jobs.Started, jobs.Committed, jobs.Done)
	p.want(<-got, 200, `"sum":1`)
	p.want(p.do("GET", "/v1/jobs/"+id+"/result", "", who.as("analyst")), 401, "has expired")
}

// One caller does not take all the places that are there for waiting and listening.
func TestOneCallerDoesNotTakeAllPlaces(t *testing.T) {
	p, who := newGuarded(t, func(c *Config) { c.MaxWaiting, c.MaxWatchers = 4, 4 })
	url, stop := p.serve()
	defer stop()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	open := func(name, path string) int {
		r, err := http.NewRequestWithContext(ctx, "GET", url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+who.tokens[name])
		res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { res.Body.Close() })
		return res.StatusCode
	}
	served := 0
	for range 4 {
		if open("viewer", "/v1/events") == 200 {
			served++
		}
	}
	if served == 0 {
		t.Error("nobody may listen")
	}
	if code := open("analyst", "/v1/events"); code != 200 {
		t.Errorf("with %d streams of one caller another one's is answered with %d", served, code)
	}

	greedy, other := p.waitingJobOf("token:viewer"), p.waitingJobOf("token:analyst")
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	var refused atomic.Int64
	for range 4 {
		wg.Go(func() {
			if a, err := p.try(ctx, "GET", "/v1/jobs/"+greedy+"?wait=30s", "", who.as("viewer")); err == nil && a.code == 503 {
				refused.Add(1)
			}
		})
	}
	for end := time.Now().Add(10 * time.Second); p.gateway.waiting.Load()+refused.Load() < 4; {
		if time.Now().After(end) {
			t.Fatalf("%d wait, %d are refused", p.gateway.waiting.Load(), refused.Load())
		}
		<-time.After(time.Millisecond)
	}
	p.want(p.do("GET", "/v1/jobs/"+other+"?wait=50ms", "", who.as("analyst")), 200, `"state":"waiting"`)
}

// slowReaders download the upload at the same time, and do not read what comes. It returns how far the heap grew.
func (p *party) slowReaders(path string, n int, header ...string) uint64 {
	p.t.Helper()
	url, stop := p.serve()
	defer stop()
	var open []net.Conn
	defer func() {
		for _, c := range open {
			c.Close()
		}
	}()
	return peak(func() {
		for range n {
			c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
			if err != nil {
				p.t.Fatal(err)
			}
			open = append(open, c)
			fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: localhost\r\n", path)
			for _, h := range header {
				fmt.Fprintf(c, "%s\r\n", h)
			}
			fmt.Fprint(c, "\r\n")
		}
		for _, c := range open { // the answer has begun, so the value is in memory
			_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
			if _, err := c.Read(make([]byte, 1)); err != nil {
				p.t.Error(err)
			}
		}
	})
}

// Downloads take no more memory at a time than the bodies of requests may.
func TestDownloadsAreBounded(t *testing.T) {
	const size, readers = 4 << 20, 40
	p := newParty(t, func(c *Config) { c.MaxBody = size + 1000 })
	p.gateway.memory.wait = 50 * time.Millisecond
	upload := p.uuid("PUT", "/representations", `{"args":["`+strings.Repeat("x", size)+`"],"kwargs":{}}`)
	job := p.compute()
	p.finish(job, `{"values":"`+strings.Repeat("y", size)+`"}`)
	for _, path := range []string{"/representation/" + upload, "/representation/" + upload + "/x", "/representation/" + job, "/v1/jobs/" + job + "/result"} {
		if grown := p.slowReaders(path, readers); grown > readers*size/2+bodiesAtOnce*size {
			t.Errorf("%s: %d readers made the heap grow by %d MiB", path, readers, grown>>20)
		}
	}
}

// Strangers do not fill the log while credentials cannot be checked.
func TestUncheckableCredentialsDoNotFloodTheLog(t *testing.T) {
	p := newParty(t, func(c *Config) {
		c.Access = &Access{Authenticators: []access.Authenticator{broken{err: errors.New("no provider")}}}
	})
	for range 5 * failuresAtOnce {
		a := p.do("GET", "/v1/me", "", "Authorization: Bearer a.b.c")
		p.want(a, 503, "cannot check credentials")
	}
	if n := strings.Count(p.log.String(), "cannot be checked"); n == 0 || n > failuresAtOnce {
		t.Errorf("%d lines for %d requests", n, 5*failuresAtOnce)
	}
}

// The metrics have refused credentials apart from requests without one.
func TestLoginFailuresAreAMetric(t *testing.T) {
	p, who := newGuarded(t, nil)
	for range failuresAtOnce + 2 { // the last two are answered with 429
		p.do("GET", "/v1/me", "", "Authorization: Bearer x")
	}
	p.do("GET", "/v1/me", "")
	a, err := p.try(t.Context(), "GET", "/metrics", "", who.as("viewer"))
	if err != nil || !strings.Contains(a.body, fmt.Sprintf("\nweft_login_failures_total %d\n", failuresAtOnce+2)) {
		t.Errorf("%v\n%s", err, a.body)
	}
}

// from is a connection that says it comes from an address.
type from struct {
	net.Conn
	address net.Addr
}

func (f from) RemoteAddr() net.Addr { return f.address }

// crowd is a listener with connections from addresses.
type crowd struct {
	net.Listener
	addresses []string
}

func (c *crowd) Accept() (net.Conn, error) {
	if len(c.addresses) == 0 {
		return nil, net.ErrClosed
	}
	near, _ := net.Pipe()
	address := net.TCPAddrFromAddrPort(netip.MustParseAddrPort(c.addresses[0]))
	c.addresses = c.addresses[1:]
	return from{near, address}, nil
}

// A stranger who opens connections and says nothing leaves half of the places to others.
func TestOneAddressDoesNotTakeAllConnections(t *testing.T) {
	var open atomic.Int64
	many := func(address string) (list []string) {
		for range 8 {
			list = append(list, address)
		}
		return list
	}
	for _, x := range []struct {
		name, crowd, other string
		most               int64 // of the crowd's 8 connections
	}{
		{"an address", "198.51.100.1:5", "203.0.113.9:5", 2},
		{"a network", "[2001:db8:1:2:3::4]:5", "[2001:db8:1:3::1]:5", 2},
		{"this machine", "127.0.0.1:5", "", 4},
		{"a proxy", "192.0.2.7:5", "", 4},
	} {
		in := &crowd{addresses: many(x.crowd)}
		l := newListener(in, 4, proxies{netip.MustParsePrefix("192.0.2.7/32")}, &open)
		var held []net.Conn
		for range x.most {
			c, err := l.Accept()
			if err != nil {
				t.Fatalf("%s: %v", x.name, err)
			}
			held = append(held, c)
		}
		if x.other != "" {
			in.addresses = append(in.addresses, x.other)
			c, err := l.Accept()
			if err != nil || c.RemoteAddr().String() != x.other || open.Load() != x.most+1 {
				t.Errorf("%s: then came %v, %v, %d are open", x.name, c, err, open.Load())
			}
			held = append(held, c)
		}
		for _, c := range held {
			c.Close()
		}
		in.addresses = []string{x.crowd}
		if c, err := l.Accept(); err != nil {
			t.Errorf("%s, when all have gone: %v", x.name, err)
		} else {
			c.Close()
		}
		if open.Load() != 0 || len(l.from) != 0 {
			t.Errorf("%s: %d are open, %v", x.name, open.Load(), l.from)
		}
	}
}

// Identifiers that somebody invents do not hold up others who ask for what is remembered.
func TestInventedIdentifiersHoldNobodyUp(t *testing.T) {
	h := newHandles(make([]byte, 32))
	all := make([]objects.Record, 2*mostIndexed) // of several callers, so that no more is remembered than of some
	for i := range all {
		all[i] = objects.Record{ID: uuid.New(), Kind: objects.Task}
	}
	root := h.rootID(anyone, h.roots[0])
	looking, took := make(chan struct{}), make(chan time.Duration)
	go func() {
		start := time.Now()
		_, _, err := h.find("mallory", uuid.New(), func() ([]objects.Record, error) { close(looking); return all, nil })
		if err != nil {
			t.Error(err)
		}
		took <- time.Since(start)
	}()
	<-looking
	var longest time.Duration
	for {
		start := time.Now()
		if _, ok := h.remembered(anyone, root); !ok {
			t.Fatal("a root is unknown")
		}
		longest = max(longest, time.Since(start))
		select {
		case whole := <-took:
			if longest > whole/3 {
				t.Errorf("of the %v of a search others waited %v", whole, longest)
			}
			return
		case <-time.After(time.Millisecond):
		}
	}
}

// A page of a long list of jobs does not take the memory of the whole list, however many ask for it at once.
func TestAPageTakesTheMemoryOfAPage(t *testing.T) {
	p := newParty(t, nil)
	for range 500 {
		p.waitingJobOf(anyone)
	}
	cost := func(handler func(http.ResponseWriter, *http.Request) error, path string) uint64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if err := handler(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), "GET", path, nil)); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	one := cost(p.gateway.listJobs, "/v1/jobs?limit=1")
	if whole := uint64(500 * unsafe.Sizeof(jobs.Job{})); one > whole/2 {
		t.Errorf("a page of one job takes %d bytes, and all jobs have %d", one, whole)
	}
}

// One caller's large requests, however slowly they come, leave memory for another's.
func TestOneCallerDoesNotTakeAllMemory(t *testing.T) {
	p, who := newGuarded(t, func(c *Config) { c.MaxBody = 1 << 20 })
	p.gateway.memory.wait, p.gateway.files.wait = 20*time.Millisecond, 20*time.Millisecond
	greedy := principal{caller: "token:" + stranger}.as(httptest.NewRequest("GET", "/", nil)).Context()
	large := `{"args":["` + strings.Repeat("x", 900_000) + `"]}`
	for of, unit := range map[*memory]int64{p.gateway.memory: 1 << 20, p.gateway.files: 1} {
		var held []*loan
		for range bodiesAtOnce {
			l := &loan{of: of, ends: p.gateway.draining}
			if err := l.take(greedy, unit); err != nil {
				break
			}
			held = append(held, l)
		}
		if len(held) != bodiesAtOnce-1 {
			t.Errorf("one caller has %d of %d", len(held), bodiesAtOnce)
		}
		other := &loan{of: of, ends: p.gateway.draining}
		if err := other.take(t.Context(), unit); err != nil {
			t.Error(err)
		}
		other.giveBack()
		p.want(p.do("PUT", "/representations", large, who.as("analyst")), 200, "uuid")
		for _, l := range held {
			l.giveBack()
		}
		if len(of.taken) != 0 {
			t.Errorf("left: %v", of.taken)
		}
	}
}
