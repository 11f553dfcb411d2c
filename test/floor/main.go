// Floor is a yardstick: a secure sum over embedded NATS with the same signatures, key agreements, record writes and
// messages as weft's, and no product code. What weft takes on top of it is weft's own doing.
//
// node.go is a party's part of the protocol, coordinator.go the coordinator's, procs.go parties as processes over TLS.
package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

var (
	o      opts
	mode   = flag.String("mode", "sum", "sum: one after the other; tput: several at once; procs: parties as processes over TLS; rawbig: only the bytes of a vector")
	count  = flag.Int("count", 300, "measured repetitions; of each flight in mode tput")
	quiet  = flag.Duration("pause", time.Millisecond, "rest between two repetitions, which does not count")
	flight = flag.Int("flight", 64, "sums at once in mode tput")
	child  = flag.Int("child", -1, "index of the party in a child process (internal)")
	hubURL = flag.String("hub", "", "address of the broker for a child process (internal)")
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// line is one result. Times are in milliseconds.
type line struct {
	Name        string  `json:"name"`
	Parties     int     `json:"parties"`
	Values      int     `json:"values"`
	Repetitions int     `json:"repetitions"`
	P50         float64 `json:"p50_ms"`
	P99         float64 `json:"p99_ms"`
	PerSecond   float64 `json:"per_second"`
}

// report prints one line; took is zero for repetitions that followed each other.
func report(name string, d []time.Duration, took time.Duration) {
	if took == 0 {
		for _, t := range d {
			took += t
		}
	}
	slices.Sort(d)
	ms := func(percent int) float64 { return float64(d[len(d)*percent/100]) / float64(time.Millisecond) }
	b := must(json.Marshal(line{name, o.n, o.elems, len(d), ms(50), ms(99), float64(len(d)) / took.Seconds()}))
	fmt.Printf("%s\n", b)
}

func start(so *server.Options) *server.Server {
	so.NoSigs, so.NoLog, so.MaxPayload, so.MaxPending = true, true, 1<<20, 1<<30
	s := must(server.NewServer(so))
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		panic("server not ready")
	}
	return s
}

func (p *node) openKV(nc *nats.Conn) {
	p.js = must(jetstream.New(nc))
	p.kv = must(p.js.CreateKeyValue(context.Background(), jetstream.KeyValueConfig{Bucket: "jobs" + id(p.i)}))
}

// setup makes n parties and a coordinator in this process.
func setup() []*node {
	var nodes []*node
	s := start(&server.Options{DontListen: true, JetStream: true, StoreDir: o.dir, JetStreamMaxMemory: 1 << 30, JetStreamMaxStore: 16 << 30})
	dial := func(name string) *nats.Conn { return must(nats.Connect("", nats.InProcessServer(s), nats.Name(name))) }
	for i := range o.n {
		p := newNode(&o, i)
		p.nc = dial(id(i))
		p.openKV(p.nc)
		p.listen()
		must(0, p.nc.Flush())
		nodes = append(nodes, p)
	}
	listenCoordinator(dial("coord"))
	return nodes
}

// vector is the input of party i: all values are i+1.
func vector(i int) []byte {
	x := make([]byte, o.elems*valueLen)
	for k := 0; k < len(x); k += valueLen {
		binary.LittleEndian.PutUint64(x[k:], uint64(i+1))
	}
	return x
}

func check(sum []byte) {
	if v := binary.LittleEndian.Uint64(sum[len(sum)-valueLen:]); v != uint64(o.n*(o.n+1)/2) {
		panic("wrong sum " + strconv.FormatUint(v, 10))
	}
}

// once runs one computation at all parties and checks the sum.
func once(nodes []*node, xs [][]byte) time.Duration {
	uuid := newUUID()
	if o.pool && *mode != "tput" {
		for _, p := range nodes {
			p.refill()
		}
	}
	var wg sync.WaitGroup
	t := time.Now()
	for i, p := range nodes {
		wg.Go(func() { check(p.run(uuid, xs[i])) })
	}
	wg.Wait()
	return time.Since(t)
}

// repeat warms up with a tenth, two at least, and measures count times.
func repeat(f func() time.Duration) (d []time.Duration) {
	warm := max(2, *count/10)
	for k := range *count + warm {
		if t := f(); k >= warm {
			d = append(d, t)
		}
		time.Sleep(*quiet)
	}
	return d
}

// raw sends what a vector takes, and nothing else: every party publishes parts messages of size bytes to every other.
func raw(nodes []*node, size, parts int) func() time.Duration {
	got := make([]chan bool, o.n)
	for i, p := range nodes {
		got[i] = make(chan bool, 2*o.n*parts)
		s := must(p.nc.Subscribe("weft.r.*."+id(i)+".>", func(*nats.Msg) { got[i] <- true }))
		must(0, s.SetPendingLimits(-1, -1))
		must(0, p.nc.Flush())
	}
	return func() time.Duration {
		var wg sync.WaitGroup
		t := time.Now()
		for i, p := range nodes {
			wg.Go(func() { p.rawRound(size, parts, got[i]) })
		}
		wg.Wait()
		return time.Since(t)
	}
}

// rawRound is one party's part.
func (p *node) rawRound(size, parts int, got chan bool) {
	body := make([]byte, size)
	for range parts {
		for j := range p.o.n {
			if j != p.i {
				must(0, p.nc.Publish("weft.r.1."+id(j)+"."+id(p.i), body))
			}
		}
	}
	for range (p.o.n - 1) * parts {
		<-got
	}
}

// throughput keeps several computations under way.
func throughput(nodes []*node, xs [][]byte) {
	for range 10 {
		once(nodes, xs)
	}
	var (
		wg sync.WaitGroup
		mu sync.Mutex
		d  []time.Duration
	)
	t := time.Now()
	for range *flight {
		wg.Go(func() {
			for range *count {
				e := once(nodes, xs)
				mu.Lock()
				d = append(d, e)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	report("tput", d, time.Since(t))
}

func main() {
	flag.IntVar(&o.n, "n", 3, "parties")
	flag.IntVar(&o.elems, "elems", 1, "vector elements of 24 bytes")
	flag.BoolVar(&o.overlap, "overlap", false, "records written beside the work, acknowledged before bytes leave")
	flag.BoolVar(&o.pool, "pool", false, "X25519 keys made beforehand")
	flag.StringVar(&o.dir, "dir", "", "(internal)")
	flag.Parse()
	if *child >= 0 {
		childMain()
		return
	}
	o.dir = must(os.MkdirTemp("", "floor"))
	defer os.RemoveAll(o.dir)
	if *mode == "procs" {
		procs()
		return
	}
	nodes := setup()
	var xs [][]byte
	for i := range o.n {
		xs = append(xs, vector(i))
	}
	switch *mode {
	case "sum":
		report("sum", repeat(func() time.Duration { return once(nodes, xs) }), 0)
	case "rawbig":
		report("rawbig", repeat(raw(nodes, chunkMax, o.chunks())), 0)
	case "tput":
		throughput(nodes, xs)
	default:
		panic("no such mode: " + *mode)
	}
}
