package gateway

import (
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weftmpc/weft/jobs"
	"github.com/weftmpc/weft/jobs/objects"
)

// agedParty is a party whose stores have a clock that the test moves.
func agedParty(t *testing.T) (p *party, pass func(time.Duration)) {
	var ahead atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	p = newParty(t, nil)
	p.objects.Close()
	p.jobs.Close()
	var err error
	if p.objects, err = objects.Open(t.Context(), p.broker.Conn, objects.Options{Now: now}); err != nil {
		t.Fatal(err)
	}
	if p.jobs, err = jobs.Open(t.Context(), p.broker.Conn, jobs.Options{Now: now}); err != nil {
		t.Fatal(err)
	}
	p.gateway.config.Objects, p.gateway.config.Jobs, p.gateway.config.Now = p.objects, p.jobs, now
	return p, func(d time.Duration) { ahead.Add(int64(d)) }
}

func (p *party) sweep() {
	p.t.Helper()
	for _, s := range []jobs.Sweeper{p.jobs, p.objects} {
		if err := s.Sweep(p.t.Context(), p.gateway.config.Now()); err != nil {
			p.t.Fatal(err)
		}
	}
}

func TestWhatIsNotUsedExpires(t *testing.T) {
	p, pass := agedParty(t)
	c := p.as(anyone)
	idle, used := p.uuid("PUT", "/representations", `{"args":[[1]]}`), p.uuid("PUT", "/representations", `{"args":[[2]]}`)
	storage := c.instance("KeyValueStorage", "")
	c.walk(storage, []step{{"store", `"k",1`, "none"}})
	retrieve := c.id("GET", "/representation/"+storage+"/retrieve", "")
	released := p.uuid("PUT", "/representations", `{"args":[3]}`)
	p.want(p.do("DELETE", "/representation/"+released, ""), 200, "none")
	job := p.compute()
	p.finish(job, `{"sum":1}`)

	pass(40 * time.Minute)
	p.want(p.do("GET", "/representation/"+used, ""), 200, "[2]")
	pass(40 * time.Minute)
	for range 2 { // swept or not
		p.want(p.do("GET", "/representation/"+idle, ""), 404, "has expired: a value is kept for an hour after its last use")
		p.want(p.do("DELETE", "/representation/"+idle, ""), 404, "has expired")
		p.want(p.do("GET", "/representation/"+released, ""), 404, "no such representation")
		p.want(p.do("GET", "/representation/"+used, ""), 200, "[2]")
		p.sweep()
	}
	// An argument that stands for what has expired is refused, and not passed on as it is.
	compute := "/representation/" + p.member("compute")
	p.want(p.do("PATCH", compute, kwargs("microprotocol", `"Add"`, "data", `{"representation_uuid":"`+idle+`"}`, "network", network3)), 404, "data: what this representation stood for has expired")
	p.want(p.do("GET", "/representation/"+job, ""), 200, `"sum":1`)

	pass(23 * time.Hour)
	p.sweep()
	p.want(p.do("GET", "/representation/"+job, ""), 404, "has expired")
	for _, path := range []string{"", "/result", "/events"} {
		p.want(p.do("GET", "/v1/jobs/"+job+path, ""), 404, "this job has expired: a job and its result are kept for 24 hours after its end")
	}
	p.want(p.do("GET", "/v1/jobs/"+released+"/result", ""), 404, "there is no such job here")
	p.want(p.do("PATCH", "/representation/"+retrieve, `{"args":["k"]}`), 404, "has expired")
	c.walk(c.instance("KeyValueStorage", ""), []step{{"exists", `"k"`, "false"}})
	// That something has expired is known after a restart.
	p.restart()
	p.want(p.do("GET", "/representation/"+idle, ""), 404, "has expired")
	p.want(p.do("GET", "/representation/"+job, ""), 404, "has expired")
	p.want(p.do("GET", "/v1/jobs/"+job+"/result", ""), 404, "this job has expired")
	if n := p.count(); n != 1 {
		t.Errorf("%d records are left, want the storage", n)
	}
}

// TestObjectsOfACallerAreBounded has a store for three objects of a caller.
func TestObjectsOfACallerAreBounded(t *testing.T) {
	p := newParty(t, nil)
	small, err := objects.Open(t.Context(), p.broker.Conn, objects.Options{Limits: objects.Limits{Count: 3, Bytes: 3000}})
	if err != nil {
		t.Fatal(err)
	}
	defer small.Close()
	p.gateway.config.Objects = small
	ann, dora := p.as("ann"), p.as("dora")
	put := func(c who, body string) answer { return c.send("PUT", "/representations", `{"args":[`+body+`]}`) }
	first := ann.id("PUT", "/representations", `{"args":["`+strings.Repeat("x", 2000)+`"]}`)
	p.want(put(ann, `"`+strings.Repeat("x", 2000)+`"`), 429, "delete some")
	ann.instance("Barrier", meetingPoint)
	ann.instance("KeyValueStorage", "")
	p.want(put(ann, "1"), 429, "delete some")
	p.want(ann.call(ann.service("Broadcast"), "create", meetingPoint), 429, "delete some")
	p.want(put(dora, "1"), 200, "uuid")
	p.want(ann.send("DELETE", "/representation/"+first, ""), 200, "none")
	p.want(put(ann, "1"), 200, "uuid")
}

// TestUploadsHaveNoMembers: whatever a language's values can do, an uploaded one has nothing that could be called.
func TestUploadsHaveNoMembers(t *testing.T) {
	p := newParty(t, nil)
	values := []string{`"os.system('id')"`, `[1,2]`, `{"append":1,"eval":"x","keys":{"call":1}}`, `5`, `true`, `null`}
	names := []string{
		"append", "pop", "sort", "format", "encode", "join", "keys", "values", "get", "update", "items", "real", "bit_length", "as_integer_ratio", "eval", "exec", "call",
		"constructor", "prototype", "toString", "valueOf", "0", "1", "length", "compute", "start", "arrive", "store", "data", "Data", "ID", "caller", "%2e%2e", "%5f",
	}
	for _, v := range values {
		id := p.uuid("PUT", "/representations", `{"args":[`+v+`]}`)
		for _, name := range names {
			want, part := 404, "no attribute"
			switch name {
			case "%2e%2e":
				part = "404"
			case "%5f":
				want, part = 403, "underscore"
			}
			p.want(p.do("GET", "/representation/"+id+"/"+name, ""), want, part)
		}
		for _, name := range []string{"__class__", "__init__", "__globals__", "_"} {
			p.want(p.do("GET", "/representation/"+id+"/"+name, ""), 403, "underscore")
		}
		p.want(p.do("PATCH", "/representation/"+id, `{"args":["id"]}`), 400, "no function")
		p.want(p.do("GET", "/representation/"+id, ""), 200, v)
	}
	// Nor do values that a call returned.
	c := p.as(anyone)
	b := c.instance("Barrier", meetingPoint)
	count := c.id("PATCH", "/representation/"+c.id("GET", "/representation/"+b+"/arrived", ""), "{}")
	p.want(p.do("GET", "/representation/"+count+"/bit_length", ""), 404, "no attribute")
	p.want(p.do("PATCH", "/representation/"+count, "{}"), 400, "no function")
	p.want(p.do("DELETE", "/representation/"+count, ""), 200, "none")
	p.want(p.do("GET", "/representation/"+count, ""), 200, `"object":0`)
}

// TestIdleRepresentationsAreSmall holds 10,000 uploads and tasks, the most that one caller may have, with the broker that
// stores them in the same process, and releases them.
func TestIdleRepresentationsAreSmall(t *testing.T) {
	n, most := 10_000, int64(50<<20)
	if testing.Short() { // under the race detector 10,000 take 20 s
		n, most = n/10, most/10
	}
	p := newParty(t, nil)
	c := p.as(anyone)
	before := heap()
	ids := make([]string, n)
	create := "/representation/" + p.member("create_task")
	for i := range ids {
		if i%2 == 0 {
			ids[i] = c.id("PUT", "/representations", fmt.Sprintf(`{"args":[[%d,2.5]]}`, i))
			continue
		}
		ids[i] = c.id("PATCH", create, kwargs("microprotocol", `"Add"`, "network", `{"nodes":["alice","bob"],"myself":0}`))
		c.id("GET", "/representation/"+ids[i]+"/input", "") // and with it the task's other members
	}
	got := heap() - before
	t.Logf("%.1f MiB for %d representations", float64(got)/(1<<20), len(ids))
	if got > most {
		t.Errorf("%d bytes, at most %d are wanted", got, most)
	}
	if !testing.Short() {
		p.want(c.send("PUT", "/representations", `{"args":[1]}`), 429, "delete some")
	}
	for _, id := range ids {
		if a := c.send("DELETE", "/representation/"+id, ""); a.code != 200 {
			t.Fatal(a)
		}
	}
	if n := p.count(); n != 0 || len(p.gateway.handles.indexed) != 0 || len(p.gateway.handles.members) != 0 {
		t.Errorf("%d records are left, %d tasks and %d members in memory", n, len(p.gateway.handles.indexed), len(p.gateway.handles.members))
	}
}

// heap is what is in use once nothing is left to collect.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// BenchmarkRepresentations are small calls as they come over HTTP, by as many clients as there are cores: at least 2,000 a
// second are wanted.
func BenchmarkRepresentations(b *testing.B) {
	p := newParty(b, nil)
	c := p.as(anyone)
	storage := c.instance("KeyValueStorage", "")
	barrier := c.instance("Barrier", meetingPoint)
	member := func(object, name string) string {
		return "/representation/" + c.id("GET", "/representation/"+object+"/"+name, "")
	}
	exists, arrived, store := member(storage, "exists"), member(barrier, "arrived"), member(storage, "store")
	value := "/representation/" + c.id("PUT", "/representations", `{"args":[[1,2,3]]}`)
	for _, bm := range []struct{ name, method, path, body string }{
		{"create", "POST", "/representations", `{"args":[],"kwargs":{"protocol":"Simon"}}`},
		{"attribute", "GET", "/representation/" + barrier + "/arrived", ""},
		{"arrived", "PATCH", arrived, `{"args":[],"kwargs":{}}`},
		{"exists", "PATCH", exists, `{"args":["k"],"kwargs":{}}`},
		{"store", "PATCH", store, `{"args":["k",1],"kwargs":{}}`},
		{"download", "GET", value, ""},
	} {
		b.Run(bm.name, func(b *testing.B) {
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if a, err := p.try(b.Context(), bm.method, bm.path, bm.body); err != nil || a.code != 200 {
						b.Error(a, err)
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
		})
	}
	b.Run("upload-release", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				a, err := p.try(b.Context(), "PUT", "/representations", `{"args":[[1,2,3]]}`)
				if err == nil {
					id := strings.TrimSuffix(strings.TrimPrefix(a.body, `{"type":"uuid","uuid":"`), `"}`)
					a, err = p.try(b.Context(), "DELETE", "/representation/"+id, "")
				}
				if err != nil || a.code != 200 {
					b.Error(a, err)
				}
			}
		})
		b.ReportMetric(2*float64(b.N)/b.Elapsed().Seconds(), "calls/s")
	})
}
