package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"
)

// Microservices is how a gateway reaches the programs beside it that serve its clients. The gateway knows no connection: who
// runs it brings one.
type Microservices interface {
	// Find asks the microservices of these names, and whichever else there are, to announce themselves, and returns what came
	// within a second or so. An announcement must come from whoever is called under its name.
	Find(ctx context.Context, names []string) ([]Announced, error)
	// Call sends body to the microservice's member and returns what it answers, at most Limit bytes. The error is a *Refused
	// if the service answers so, ErrNotRunning if nobody is there to answer.
	Call(ctx context.Context, service, member string, body []byte) ([]byte, error)
	// Limit is how many bytes a body may have, in either direction.
	Limit() int
}

// Announced is what one instance of a microservice says of itself.
type Announced struct {
	Name    string   // 1 to 63 of a-z, 0-9 and hyphen; the same for all instances
	Version string   // as in semantic versioning
	Text    string   // its representation: JSON, as README.md has it, unchecked
	Members []string // those that it can be called at
}

// Refused is an error that a microservice answers with.
type Refused struct {
	Code int // as HTTP has them; 0: none that could be read
	Text string
}

func (e *Refused) Error() string { return "the microservice refuses the call" } // Text may hold data

// ErrNotRunning says that no instance of a microservice is there.
var ErrNotRunning = errors.New("the microservice is not running")

// Bounds of microservices.
const (
	mostServices       = 64 // known at a time, those included that are away
	callsAtOnce        = 16 // of one service; further ones wait, and are answered with 503
	allCallsAtOnce     = 128
	defaultServiceTime = 30 * time.Second
	maxServiceTime     = 40 * time.Second // with the wait for a place less than writeTimeout

	lookEvery   = 5 * time.Second  // in the background
	lookAgain   = 2 * time.Second  // at the earliest, for requests that name something unknown
	lookTime    = 3 * time.Second  // that one look may take
	absentAfter = 15 * time.Second // without an announcement

	mostNoted = 256 // services of which the log has said why they are not taken
	notesEach = 8   // of them at one look
)

// microservices knows those that have announced themselves. One that is away stays known, so that its handles say that, and
// are good again when it is back; when there are too many it is the first to be forgotten.
type microservices struct {
	gateway *Gateway
	via     Microservices
	log     *slog.Logger
	now     func() time.Time
	calls   *memory // of all services
	turn    chan struct{}
	last    time.Time // of a look; as failing for who has the turn alone
	failing bool      // the last look has failed

	mu    sync.Mutex
	known map[string]*knownService
	noted map[string]string // why the log says that a service is not taken
	notes int               // that this look may still make
}

type knownService struct {
	root   *root
	from   Announced // by which it was taken
	seen   time.Time
	absent bool
	calls  *memory // one for each call that may be under way
}

func newMicroservices(g *Gateway) *microservices {
	m := &microservices{
		gateway: g, via: g.config.Microservices, log: g.config.Logger, now: g.config.Now,
		turn: make(chan struct{}, 1), known: map[string]*knownService{}, noted: map[string]string{},
	}
	m.calls = m.places(allCallsAtOnce)
	return m
}

// places are one for each call that may be under way. A caller leaves a quarter of them to others.
func (m *microservices) places(most int64) *memory {
	p := newMemory(most)
	if m.gateway.config.Access != nil {
		p.each = most * 3 / 4
	}
	return p
}

// keepLooking looks at once and then every few seconds until ctx ends.
func (m *microservices) keepLooking(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		m.lookAfter(ctx, 0)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// look looks for a request that names something unknown, unless somebody has just done so. It returns false if there is
// nothing new.
func (m *microservices) look(ctx context.Context) bool {
	if m == nil || m.gateway.draining.Err() != nil {
		return false
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(m.gateway.draining, cancel)()
	return m.lookAfter(ctx, lookAgain)
}

// lookAfter looks if the last look is that long ago. Those who come meanwhile wait for it.
func (m *microservices) lookAfter(ctx context.Context, pause time.Duration) bool {
	came := m.now()
	select {
	case m.turn <- struct{}{}:
	case <-ctx.Done():
		return false
	}
	defer func() { <-m.turn }()
	if pause > 0 && m.now().Sub(m.last) < pause {
		return !m.last.Before(came)
	}
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	m.mu.Lock()
	names := slices.Sorted(maps.Keys(m.known))
	m.mu.Unlock()
	found, err := m.via.Find(ctx, names)
	m.last = m.now()
	if err != nil && ctx.Err() == nil && !m.failing {
		m.log.Warn("gateway: microservices cannot be looked for", "error", err)
	}
	m.failing = err != nil
	m.take(found) // nothing, after an error; if that lasts all are away
	return true
}

// take brings what is known up to date with what was announced.
func (m *microservices) take(found []Announced) {
	byName := map[string][]Announced{}
	for _, a := range found {
		byName[a.Name] = append(byName[a.Name], a)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	changed := false
	m.notes = notesEach
	names := slices.Sorted(maps.Keys(byName))
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(m.rank(a), m.rank(b)) })
	for _, name := range names {
		changed = m.takeOne(name, byName[name]) || changed
	}
	for name, k := range m.known {
		if away := m.now().Sub(k.seen) >= absentAfter; away != k.absent {
			k.absent, changed = away, true
			m.log.Info("gateway: a microservice "+map[bool]string{true: "is gone", false: "is back"}[away], "service", name)
		}
	}
	if !changed {
		return
	}
	var roots []*root
	for _, name := range slices.Sorted(maps.Keys(m.known)) {
		k := m.known[name]
		r := *k.root // requests may hold the old one
		r.absent = k.absent
		roots = append(roots, &r)
	}
	m.gateway.handles.serve(roots)
}

// rank has those that are known come before others, who might take their place.
func (m *microservices) rank(name string) int {
	if m.known[name] != nil {
		return 0
	}
	return 1
}

// takeOne chooses among what the instances of one service announce: what was taken before while one of them says the same,
// else what most say. It returns whether something has changed.
func (m *microservices) takeOne(name string, instances []Announced) bool {
	k := m.known[name]
	if k != nil && slices.ContainsFunc(instances, k.from.same) {
		k.seen = m.now()
		m.note(name, "")
		return false
	}
	var best Announced
	var read announcement
	most, why := 0, error(nil)
	for i, a := range instances {
		if slices.ContainsFunc(instances[:i], a.same) {
			continue
		}
		n := 0
		for _, b := range instances {
			if a.same(b) {
				n++
			}
		}
		r, err := readAnnouncement(a)
		switch {
		case err != nil:
			why = err
		case n > most, n == most && cmp.Or(cmp.Compare(a.Version, best.Version), cmp.Compare(a.Text, best.Text)) > 0:
			most, best, read = n, a, r
		}
	}
	if most == 0 {
		m.note(name, why.Error())
		return false
	}
	if k == nil && len(m.known) >= mostServices && !m.forgetOne() {
		m.note(name, fmt.Sprintf("there are too many; the gateway knows %d at a time", mostServices))
		return false
	}
	if k == nil {
		k = &knownService{calls: m.places(callsAtOnce)}
		m.known[name] = k
		m.log.Info("gateway: a microservice announces itself", "service", name, "version", best.Version)
	}
	m.note(name, "")
	k.from, k.seen = best, m.now()
	k.root = newRoot(&microservice{name: name, announcement: read, of: m, calls: k.calls}, "microservice/"+name)
	return true
}

// forgetOne makes room where a service is away: the one that has been for longest.
func (m *microservices) forgetOne() bool {
	oldest := ""
	for _, name := range slices.Sorted(maps.Keys(m.known)) {
		if k := m.known[name]; m.now().Sub(k.seen) >= absentAfter && (oldest == "" || k.seen.Before(m.known[oldest].seen)) {
			oldest = name
		}
	}
	delete(m.known, oldest)
	return oldest != ""
}

// note tells the log, once, why a service is not taken; "" forgets that.
func (m *microservices) note(name, why string) {
	switch {
	case why == "":
		delete(m.noted, name)
		return
	case m.noted[name] == why || m.notes == 0:
		return
	case len(m.noted) >= mostNoted:
		clear(m.noted)
	}
	m.noted[name] = why
	m.notes--
	m.log.Warn("gateway: a microservice is not taken as it announces itself", "service", name, "reason", why)
}

// same says whether two instances announce the same.
func (a Announced) same(b Announced) bool {
	return a.Version == b.Version && a.Text == b.Text && slices.Equal(a.Members, b.Members)
}
