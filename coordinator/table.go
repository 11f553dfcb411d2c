package coordinator

import (
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/broker/identity"
)

// Config of a coordinator.
type Config struct {
	Identity *identity.Identity // the coordinator's own; JOINs name its fingerprint
	Roots    identity.Roots     // the consortium's certificate authorities
	Logger   *slog.Logger       // nil: slog.Default()
	Now      func() time.Time   // nil: time.Now
	Version  string             // of the program, SemVer, shown to operators; empty: 0.1.0

	Helper  Helper             // the coordinator's own place in computations that it helps; nil: it does not help
	Started func(start []byte) // told of each START that Helper is in; must not block; may be nil

	MaxParties int // of one computation, 2 to 128; 0: 32
	MaxOpen    int // JOINs held open or in conflict, of all parties; 0: 16384
	PerParty   int // the same for one party, at most MaxOpen; 0: 1024
	MaxKept    int // bytes of finished STARTs kept for one party, to answer its repeated JOINs; 0: 8 MiB
}

// perUUID bounds the lists of parties that one party may have JOINs for under one UUID.
const perUUID = 8

// Delivery is an answer for a party's start subject.
type Delivery struct {
	To     identity.Fingerprint
	Name   string // the party's name as its verified certificate says it
	Answer Answer
}

// Counts is what a coordinator tells operators about its state.
type Counts struct {
	Open      int    `json:"open"`     // JOINs that wait for others
	Conflict  int    `json:"conflict"` // JOINs in conflict that have not expired
	Ended     int    `json:"ended"`    // JOINs remembered after START or LEAVE
	KeptBytes int    `json:"kept_bytes"`
	Accepted  uint64 `json:"accepted"` // new JOINs since the coordinator began
	Refused   uint64 `json:"refused"`
	Started   uint64 `json:"started"` // computations
	Dropped   uint64 `json:"dropped"` // messages too long or too many to be read; a Service's
}

// Table is the coordinator's state, without a network. Its methods may be called from any goroutine.
type Table struct {
	config Config
	self   identity.Fingerprint
	leaves *identity.Leaves

	mu       sync.Mutex
	slots    map[key]*slot
	byHash   map[[32]byte]*slot
	held     map[uuid.UUID][]*slot // open and dead ones, as they came
	perParty map[identity.Fingerprint]int
	memories map[identity.Fingerprint]*memory
	counts   Counts
	swept    time.Time
}

// key is what a party has one JOIN for: a newer one replaces the older.
type key struct {
	uuid uuid.UUID
	fp   identity.Fingerprint
	set  [32]byte // SHA-256 of the list of parties: one UUID may serve different circles at once
}

type slotState uint8

const (
	slotOpen slotState = iota + 1
	slotDead
	slotStarted
	slotLeft
)

// slot is a party's newest JOIN for its key. It is remembered after its end, so that a copy which comes late opens nothing.
type slot struct {
	key     key
	name    string
	public  ed25519.PublicKey
	hash    [32]byte
	issued  int64
	expiry  time.Time
	state   slotState
	entry   *Entry                 // slotOpen, slotDead
	missing []identity.Fingerprint // slotOpen: who has not joined
	refused *Refusal               // slotOpen, nobody missing: why the helper takes no part now
	other   []byte                 // slotDead: the JOIN that the party was shown
	started *run                   // slotStarted
}

func (s *slot) held() bool { return s.state == slotOpen || s.state == slotDead }

// NewTable returns an empty table.
func NewTable(c Config) *Table {
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Started == nil {
		c.Started = func([]byte) {}
	}
	c.MaxParties = min(orDefault(c.MaxParties, 32), MaxParties)
	c.MaxOpen = orDefault(c.MaxOpen, 16384)
	c.PerParty = min(orDefault(c.PerParty, 1024), c.MaxOpen)
	c.MaxKept = orDefault(c.MaxKept, 8<<20)
	return &Table{
		config: c, self: c.Identity.FP(), leaves: identity.NewLeaves(c.Roots),
		slots: make(map[key]*slot), byHash: make(map[[32]byte]*slot), held: make(map[uuid.UUID][]*slot),
		perParty: make(map[identity.Fingerprint]int), memories: make(map[identity.Fingerprint]*memory),
	}
}

func orDefault(v, d int) int {
	if v <= 0 {
		return d
	}
	return v
}

// Join takes an encoded JOIN. The reply goes to whoever sent it; push goes to other parties whose JOINs this one completes
// or contradicts. A JOIN that is held already is answered again and costs no signature check.
func (t *Table) Join(b []byte) (reply Answer, push []Delivery) { return t.join(b, "") }

// JoinFrom is Join for a message that came as the party's named: a JOIN that another one signed is refused.
func (t *Table) JoinFrom(party string, b []byte) (reply Answer, push []Delivery) {
	if party == "" {
		return refuse(CodeSender, "this JOIN came under no party's name").answer(uuid.UUID{}), nil
	}
	return t.join(b, party)
}

func (t *Table) join(b []byte, from string) (reply Answer, push []Delivery) {
	if len(b) > maxJoin {
		return refuse(CodeMalformed, "a JOIN of %d bytes; at most %d", len(b), maxJoin).answer(uuid.UUID{}), nil
	}
	now := t.config.Now()
	b = slices.Clone(b) // entries point into it
	hash := sha256.Sum256(b)
	if reply, push, ok := t.repeat(hash, from, now); ok {
		return reply, push
	}
	c, bundle, r := t.parse(b)
	if r == nil {
		r = t.older(&c.entry)
	}
	if r == nil {
		r = t.verify(&c, bundle, now)
	}
	if r == nil {
		r = wrongSender(from, c.leaf.Name)
	}
	if r == nil {
		reply, push, r = t.admit(&c, now)
	}
	if r != nil {
		t.mu.Lock()
		t.counts.Refused++
		t.mu.Unlock()
		return r.answer(c.entry.Common.UUID), nil
	}
	return reply, push
}

// wrongSender refuses what came under another name than its certificate has. from is empty where nobody knows the sender.
func wrongSender(from, name string) *Refusal {
	if from == "" || from == name {
		return nil
	}
	return refuse(CodeSender, "this JOIN of %s came as a message of %s: a party's name at the broker is the one in its certificate", name, from)
}

// repeat answers a JOIN that is known byte for byte.
func (t *Table) repeat(hash [32]byte, from string, now time.Time) (Answer, []Delivery, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s, ok := t.byHash[hash]
	if !ok {
		return Answer{}, nil, false
	}
	if r := wrongSender(from, s.name); r != nil {
		t.counts.Refused++
		return r.answer(s.key.uuid), nil, true
	}
	if s.held() && !now.Before(s.expiry) {
		r := refuse(CodeExpired, "the JOIN of %s expired at %s", s.name, s.expiry.UTC().Format(time.RFC3339))
		return r.answer(s.key.uuid), nil, true
	}
	if s.state == slotOpen {
		push := t.settle(s.key.uuid, s, now)
		return answer(s), push, true
	}
	return answer(s), nil, true
}

func keyOf(e *Entry) key {
	return key{uuid: e.Common.UUID, fp: e.Own.FP, set: sha256.Sum256(appendFingerprints(nil, e.Common.Parties))}
}

// older refuses a JOIN that does not replace what the party sent before.
func (t *Table) older(e *Entry) *Refusal {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.olderLocked(e)
}

func (t *Table) olderLocked(e *Entry) *Refusal {
	if s, ok := t.slots[keyOf(e)]; ok && e.Own.Issued <= s.issued {
		return refuse(CodeReplaced, "%s has sent a newer JOIN for this computation", s.name)
	}
	return nil
}

// admit takes a verified JOIN in.
func (t *Table) admit(c *candidate, now time.Time) (Answer, []Delivery, *Refusal) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := &c.entry
	if s, ok := t.byHash[e.Hash]; ok { // the same JOIN came twice at once
		return answer(s), nil, nil
	}
	if r := t.olderLocked(e); r != nil {
		return Answer{}, nil, r
	}
	k := keyOf(e)
	old := t.slots[k]
	if old == nil || !old.held() {
		if r := t.room(k, now); r != nil {
			return Answer{}, nil, r
		}
	}
	if old = t.slots[k]; old != nil { // room may have swept it away
		t.forget(old)
	}
	s := &slot{key: k, name: c.leaf.Name, public: c.leaf.Key, hash: e.Hash, issued: e.Own.Issued,
		expiry: time.Unix(0, e.Own.Expiry), state: slotOpen, entry: e}
	t.slots[k], t.byHash[s.hash] = s, s
	t.held[k.uuid] = append(t.held[k.uuid], s)
	t.perParty[k.fp]++
	t.counts.Open++
	t.counts.Accepted++
	push := t.settle(k.uuid, s, now)
	return answer(s), push, nil
}

// room refuses when the table is full.
func (t *Table) room(k key, now time.Time) *Refusal {
	full := func() bool {
		return t.counts.Open+t.counts.Conflict >= t.config.MaxOpen || t.perParty[k.fp] >= t.config.PerParty
	}
	if full() && now.Sub(t.swept) >= time.Second { // a full table is not walked for every JOIN
		t.sweep(now)
	}
	lists := 0
	for _, s := range t.held[k.uuid] {
		if s.key.fp == k.fp {
			lists++
		}
	}
	if full() || lists >= perUUID {
		return refuse(CodeBusy, "busy: too many JOINs are open; try again later")
	}
	return nil
}

// settle runs Match over the JOINs of one UUID and does what it says. It returns the answers for everybody but asker.
func (t *Table) settle(id uuid.UUID, asker *slot, now time.Time) []Delivery {
	slots := slices.Clone(t.held[id])
	entries := make([]Entry, len(slots))
	for i, s := range slots {
		entries[i] = *s.entry
	}
	var push []Delivery
	runs := make(map[[32]byte]*run)
	for i, v := range Match(now, entries) {
		s := slots[i]
		switch v.Kind {
		case VerdictStart:
			r := runs[entries[i].Group]
			if r == nil {
				r = t.begin(entries, v.Parties)
				runs[entries[i].Group] = r
			}
			if s.missing, s.refused = nil, r.refused; r.refused != nil { // it stays open, and each repetition asks the helper again
				continue
			}
			s.started = r
			t.end(s, slotStarted)
		case VerdictConflict:
			s.other = entries[v.Other].Join.Encode()
			s.entry.Against, s.entry.Told = entries[v.Other].Hash, v.Told
			s.state = slotDead
			t.counts.Open--
			t.counts.Conflict++
		case VerdictDead:
			s.entry.Told = v.Told
			continue
		case VerdictWaiting:
			s.missing, s.refused = v.Missing, nil
			continue
		default: // expired; sweep forgets it
			continue
		}
		if s != asker {
			push = append(push, Delivery{To: s.key.fp, Name: s.name, Answer: answer(s)})
		}
	}
	return push
}

// begin makes the START of the entries with the given indices, unless the helper takes no part.
func (t *Table) begin(entries []Entry, parties []int) *run {
	start := Start{Common: entries[parties[0]].Join.Common}
	var until int64
	for _, i := range parties {
		start.Joins = append(start.Joins, entries[i].Join.Signed)
		until = max(until, entries[i].Own.Expiry)
	}
	if refused := t.help(&entries[parties[0]].Common, &start); refused != nil {
		return &run{refused: refused}
	}
	r := &run{start: start.Encode(), until: time.Unix(0, until).Add(ClockTolerance)}
	t.counts.Started++
	t.counts.KeptBytes += len(r.start)
	for _, i := range parties {
		t.keep(entries[i].Own.FP, r)
	}
	t.config.Logger.Debug("computation started", "computation", entries[parties[0]].Common.UUID, "parties", len(parties))
	if len(start.Joins) > len(parties) {
		t.config.Started(r.start)
	}
	return r
}

// answer is what the slot's party is told by now.
func answer(s *slot) Answer {
	a := Answer{UUID: s.key.uuid}
	switch s.state {
	case slotOpen:
		if s.refused != nil {
			return s.refused.answer(s.key.uuid)
		}
		a.Kind, a.Waiting = AnswerWaiting, s.missing
	case slotDead:
		a.Kind, a.Other = AnswerConflict, s.other
	case slotStarted:
		if s.started.start == nil {
			return refuse(CodeOver, "this computation started, and its START is no longer kept; ask anew").answer(s.key.uuid)
		}
		a.Kind, a.Start = AnswerStart, s.started.start
	case slotLeft:
		return refuse(CodeWithdrawn, "%s has withdrawn this JOIN", s.name).answer(s.key.uuid)
	default:
		panic("coordinator: slot without a state")
	}
	return a
}

// Leave takes an encoded LEAVE and withdraws the open JOIN that it names. One that is dead stays dead, to tell the others;
// one that has started is for the parties to end. A LEAVE for nothing is no error: it is a hint and may come late.
func (t *Table) Leave(b []byte) error { return t.leave(b, "") }

// LeaveFrom is Leave for a message that came as the party's named: another one's LEAVE is an error.
func (t *Table) LeaveFrom(party string, b []byte) error {
	if party == "" {
		return errors.New("this LEAVE came under no party's name")
	}
	return t.leave(b, party)
}

func (t *Table) leave(b []byte, from string) error {
	l, err := DecodeLeave(b)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	s, ok := t.byHash[l.Join]
	if !ok || s.state != slotOpen {
		return nil
	}
	if from != "" && from != s.name {
		return fmt.Errorf("this LEAVE of a JOIN of %s came as a message of %s", s.name, from)
	}
	if s.key.uuid != l.UUID || s.key.fp != l.FP {
		return errors.New("the LEAVE names another party or computation than the JOIN has")
	}
	if err := identity.Verify(s.public, identity.ContextLeave, l.SigningBytes(), l.Sig[:]); err != nil {
		return fmt.Errorf("the LEAVE of %s: %w", s.name, err)
	}
	t.end(s, slotLeft)
	return nil
}

// release takes a slot out of what is held.
func (t *Table) release(s *slot) {
	if !s.held() {
		return
	}
	if s.state == slotOpen {
		t.counts.Open--
	} else {
		t.counts.Conflict--
	}
	rest := slices.DeleteFunc(slices.Clone(t.held[s.key.uuid]), func(o *slot) bool { return o == s })
	if len(rest) == 0 {
		delete(t.held, s.key.uuid)
	} else {
		t.held[s.key.uuid] = rest
	}
	if t.perParty[s.key.fp]--; t.perParty[s.key.fp] <= 0 {
		delete(t.perParty, s.key.fp)
	}
}

func (t *Table) forget(s *slot) {
	if s.held() {
		t.release(s)
	} else {
		t.counts.Ended--
	}
	delete(t.slots, s.key)
	delete(t.byHash, s.hash)
}

// Sweep forgets what has expired: JOINs and what is remembered of them two minutes after their expiry, when no clock within
// the tolerance believes in them any more.
func (t *Table) Sweep() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sweep(t.config.Now())
}

func (t *Table) sweep(now time.Time) {
	t.swept = now
	for _, s := range t.slots {
		if (s.held() && !now.Before(s.expiry)) || now.Sub(s.expiry) > ClockTolerance {
			t.forget(s)
		}
	}
	t.sweepMemories(now)
}

// Counts returns numbers for operators.
func (t *Table) Counts() Counts {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.counts
}
