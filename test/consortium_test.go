package test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/weftmpc/weft/broker"
	"github.com/weftmpc/weft/broker/brokertest"
	"github.com/weftmpc/weft/broker/identity"
	"github.com/weftmpc/weft/coordinator"
	"github.com/weftmpc/weft/jobs"
	"github.com/weftmpc/weft/node"
	"github.com/weftmpc/weft/node/seat"
	"github.com/weftmpc/weft/node/session"
	"github.com/weftmpc/weft/simon"
)

var three = []string{"alice", "bob", "carol"}

// consortium is a hub, a coordinator and nodes with private brokers, all real and in this process, and somebody at the
// hub who sees everything that passes. Everything logs at debug level into log.
type consortium struct {
	t        *testing.T
	hub      *brokertest.Fabric
	observer *brokertest.Observer
	members  map[string]*member
	log      *lockedBuffer
	logger   *slog.Logger

	catalogue []simon.Microprotocol
	cancel    context.CancelFunc
	nodes     sync.WaitGroup
}

type member struct {
	private *brokertest.PrivateBroker
	store   *jobs.Store
}

// newConsortium starts alice, bob and carol. With plain their stores are not encrypted, which no program of weft offers.
func newConsortium(t *testing.T, plain bool) *consortium {
	t.Helper()
	c := &consortium{t: t, members: map[string]*member{}, log: &lockedBuffer{}, catalogue: append(simon.Catalogue(), clearSum())}
	o := &slog.HandlerOptions{Level: slog.LevelDebug}
	c.logger = slog.New(slog.NewMultiHandler(slog.NewTextHandler(c.log, o), slog.NewJSONHandler(c.log, o)))
	was := slog.Default()
	slog.SetDefault(c.logger) // for whoever was given none
	t.Cleanup(func() { slog.SetDefault(was) })

	now := time.Now()
	ca, err := identity.NewAuthority("test", now.Add(-time.Hour), now.Add(60*24*time.Hour))
	must(t, err)
	roots, err := identity.NewRoots(ca.Certificate())
	must(t, err)
	ids := map[string]*identity.Identity{}
	var peers []seat.Peer
	for _, name := range append(slices.Clone(three), brokertest.CoordinatorName) {
		id, err := identity.New(ca, name, name+" org", now.Add(-time.Hour), now.Add(24*time.Hour))
		must(t, err)
		if ids[name] = id; name != brokertest.CoordinatorName {
			peers = append(peers, seat.Peer{Name: name, FP: id.FP(), Organisation: id.Leaf.Organisation})
		}
	}
	center := ids[brokertest.CoordinatorName]

	c.startHub()
	ctx, cancel := context.WithCancel(context.Background())
	c.cancel = cancel
	t.Cleanup(c.stop)
	service, err := coordinator.Serve(ctx, c.hub.Coordinator, coordinator.Config{Identity: center, Roots: roots, Logger: c.logger})
	must(t, err)
	t.Cleanup(service.Stop)
	for _, name := range three {
		m := &member{private: brokertest.Private(t)}
		m.private.Config.Logger = c.logger
		if plain {
			m.private.Config.StoreKey, m.private.Config.StoreDir = nil, t.TempDir()
		}
		m.private.Restart(t)
		m.store, err = jobs.Open(t.Context(), m.private.Conn, jobs.Options{Ledger: m.private.Ledger, Logger: c.logger})
		must(t, err)
		n, err := node.New(node.Config{
			Identity: ids[name], Roots: roots, Parties: peers, Coordinator: center.FP(), Catalogue: c.catalogue, Jobs: m.store,
			Fabric: c.hub.Conns[name], StoreKey: m.private.StoreKey, Logger: c.logger.With("node", name),
		})
		must(t, err)
		c.members[name] = m
		c.nodes.Go(func() {
			if err := n.Run(ctx); err != nil && ctx.Err() == nil {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	t.Cleanup(c.stop) // again, before the private brokers' own end
	return c
}

// startHub starts the hub, anew with a log of all levels, and begins to observe it.
func (c *consortium) startHub() {
	c.hub = brokertest.Hub(c.t, three...)
	c.hub.Server.Shutdown()
	c.hub.Config.Logger = c.logger
	var err error
	c.hub.Server, err = broker.Start(c.hub.Config)
	must(c.t, err)
	c.t.Cleanup(c.hub.Server.Shutdown)
	for _, name := range three {
		c.hub.Conns[name] = brokertest.Connect(c.t, c.hub.Server, c.hub.Keys[name], nats.Name(name))
	}
	c.hub.Coordinator = brokertest.Connect(c.t, c.hub.Server, c.hub.CoordinatorKey, nats.Name(brokertest.CoordinatorName))
	c.observer = c.hub.Observe(c.t)
}

// stop ends nodes and private brokers, so that all they write is on disk. A second call does nothing.
func (c *consortium) stop() {
	c.cancel()
	c.nodes.Wait()
	for _, m := range c.members {
		m.store.Close()
		m.private.Server.Shutdown()
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// clearSum is SecureSum after a round in which every party tells its stored input to all: what sealing, and nothing else,
// has to hide.
func clearSum() simon.Microprotocol {
	m := simon.SecureSum()
	m.Name = "ClearSum"
	run := m.Run
	m.Run = func(ctx context.Context, s simon.Session, c simon.Common, input []byte) ([]byte, error) {
		if _, err := s.Exchange(ctx, nil, simon.Label{Round: 1, Vector: "clear"}, input[1:]); err != nil {
			return nil, err
		}
		return run(ctx, s, c, input)
	}
	return m
}

// rows are one party's data: lists of numbers, each a sample.
type rows [][]string

// json is what a client sends: the number itself where there is only one.
func (r rows) json() string {
	if len(r) == 1 && len(r[0]) == 1 {
		return r[0][0]
	}
	lists := make([]string, len(r))
	for i, row := range r {
		lists[i] = "[" + strings.Join(row, ",") + "]"
	}
	return "[" + strings.Join(lists, ",") + "]"
}

// sums are the totals of the columns.
func (r rows) sums(t testing.TB) []number {
	t.Helper()
	var sums []number
	for i, row := range r {
		for col, text := range row {
			if n := parseNumber(t, text); i == 0 {
				sums = append(sums, n)
			} else {
				sums[col] = sums[col].plus(n)
			}
		}
	}
	return sums
}

func pooled(data map[string]rows, names ...string) (all rows) {
	for _, name := range names {
		all = append(all, data[name]...)
	}
	return all
}

// secrets are all inputs, the local sums, the sums of any two parties, and the result.
func secrets(t testing.TB, data map[string]rows) needles {
	t.Helper()
	ns := needles{}
	for _, name := range three {
		for i, row := range data[name] {
			for col, text := range row {
				ns.add(fmt.Sprintf("%s's input %d, %d", name, i, col), parseNumber(t, text))
			}
		}
	}
	for _, group := range [][]string{{"alice"}, {"bob"}, {"carol"}, {"alice", "bob"}, {"alice", "carol"}, {"bob", "carol"}, three} {
		for col, sum := range pooled(data, group...).sums(t) {
			ns.add(fmt.Sprintf("the sum %d of %s", col, strings.Join(group, " and ")), sum)
		}
	}
	return ns
}

// submit gives one party's part.
func (c *consortium) submit(name, protocol string, id uuid.UUID, data rows) jobs.Job {
	c.t.Helper()
	at := slices.IndexFunc(c.catalogue, func(m simon.Microprotocol) bool { return m.Name == protocol })
	mp := c.catalogue[at]
	prepared, err := mp.Prepare(strings.NewReader(data.json()), nil, simon.Guard{})
	must(c.t, err)
	now := time.Now().UTC()
	j, err := c.members[name].store.Submit(c.t.Context(), jobs.Job{
		Caller: "test", UUID: id, Microprotocol: mp.Name, Version: mp.Version, Parameters: prepared.Parameters, Layout: prepared.Layout,
		Parties: three, Self: slices.Index(three, name), Round: mp.Round, Limit: mp.Limit, Created: now, Deadline: now.Add(patience), Attempts: 5,
	}, prepared.Input)
	must(c.t, err)
	return j
}

// wait waits until a job is as it should be.
func (c *consortium) wait(name string, id uuid.UUID, until func(jobs.Job) bool) jobs.Job {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	j, err := c.members[name].store.Wait(ctx, id, until)
	if err != nil {
		c.t.Fatalf("%s: job %s: %v (%v)", name, id, err, j)
	}
	return j
}

// compute has all parties compute a sum, and checks the result that each of them gets.
func (c *consortium) compute(protocol string, id uuid.UUID, data map[string]rows) {
	c.t.Helper()
	all := pooled(data, three...)
	var texts []string
	for _, sum := range all.sums(c.t) {
		texts = append(texts, sum.json())
	}
	sum := strings.Join(texts, ",")
	if len(texts) > 1 {
		sum = "[" + sum + "]"
	}
	want := fmt.Sprintf(`{"samples":%d,"sum":%s}`, len(all), sum)
	submitted := map[string]jobs.Job{}
	for _, name := range three {
		submitted[name] = c.submit(name, protocol, id, data[name])
	}
	for _, name := range three {
		j := c.wait(name, submitted[name].ID, jobs.Job.Terminal)
		if j.State != jobs.Done {
			c.t.Fatalf("%s: %s %v", name, j.State, j.Problem)
		}
		b, err := c.members[name].store.Read(c.t.Context(), j.Result)
		must(c.t, err)
		if !json.Valid(b) || string(b) != want {
			c.t.Fatalf("%s: %s, want %s", name, b, want)
		}
	}
}

// sighting is what of a secret was found in a message at the hub.
type sighting struct {
	needle
	brokertest.Seen
}

func (s sighting) String() string {
	return fmt.Sprintf("%s: in account %s, on %s", s.needle, s.Account, s.Subject)
}

// sightings searches everything in every account of the hub.
func (c *consortium) sightings(ns needles) (found []sighting) {
	c.t.Helper()
	seen := c.observer.Seen(c.t)
	for _, s := range seen {
		parts := [][]byte{[]byte(s.Subject), []byte(s.Reply), s.Data}
		for k, values := range s.Header {
			parts = append(parts, []byte(k))
			for _, v := range values {
				parts = append(parts, []byte(v))
			}
		}
		for _, part := range parts {
			for _, n := range ns.in(part) {
				found = append(found, sighting{n, s})
			}
		}
	}
	return found
}

// messages are the distinct messages of one kind that the parties of a computation sent each other, by subject.
func (c *consortium) messages(id uuid.UUID, kind byte) (all []brokertest.Seen) {
	c.t.Helper()
	for _, s := range c.observer.Seen(c.t) {
		u, _, _, ok := broker.ParseShare(s.Subject)
		if k, _, known := session.Kind(s.Data); !ok || u != id.String() || !known || k != kind {
			continue
		}
		same := func(o brokertest.Seen) bool { return o.Subject == s.Subject && bytes.Equal(o.Data, s.Data) }
		if !slices.ContainsFunc(all, same) { // repeated, or seen in another account
			all = append(all, s)
		}
	}
	return all
}

// bodies are what the share messages of a computation carry behind their headers.
func (c *consortium) bodies(id uuid.UUID) (all [][]byte) {
	c.t.Helper()
	for _, s := range c.messages(id, session.KindShare) {
		var last any
		d := msgpack.NewDecoder(bytes.NewReader(s.Data))
		n, err := d.DecodeArrayLen()
		for range n {
			if err == nil {
				last, err = d.DecodeInterface()
			}
		}
		b, ok := last.([]byte)
		if err != nil || !ok {
			c.t.Fatalf("a share message ends with %T: %v", last, err)
		}
		all = append(all, b)
	}
	return all
}

// repeatedBlocks counts the runs of 16 bytes, at any offset, that occur in bodies a second time.
func repeatedBlocks(bodies [][]byte) (repeated int) {
	known := map[[16]byte]bool{}
	for _, b := range bodies {
		for i := 0; i+16 <= len(b); i++ {
			block := [16]byte(b[i:])
			if known[block] {
				repeated++
			}
			known[block] = true
		}
	}
	return repeated
}

// The data of the tests: integers of 18 digits, and decimals of 17, which SecureSum takes as they are. Local sums differ from inputs where a party has several samples.
var (
	scalars = map[string]rows{"alice": {{"483920175630298417"}}, "bob": {{"-130277591846620539"}}, "carol": {{"718446092357110283"}}}
	vectors = map[string]rows{
		"alice": {{"920417.38501662947", "-318840275966103.27", "58.612039447183027", "602913847750162839"}, {"118273.90445561028", "771029384756610.92", "-19.204775638193046", "174650932288017465"}},
		"bob":   {{"-663017.20993847556", "450192837465528.16", "83.910274665538102", "-299174650328841093"}, {"507731.66291038447", "-238847561029374.46", "41.773662910485726", "385561092837447561"}},
		"carol": {{"274650.91827364554", "629103847561102.93", "-77.364019283746550", "110293847566473829"}, {"845500.17283940556", "192837465564738.29", "66.192837465564738", "-556473829100192837"}},
	}
	// The same for all, so that the clear texts of two computations differ in the salts alone.
	equal = map[string]rows{"alice": wide("314159265358979323"), "bob": wide("314159265358979323"), "carol": wide("314159265358979323")}
)

func wide(text string) rows {
	return rows{slices.Repeat([]string{text}, 64)}
}
