package session

import (
	"context"
	"io"
	"slices"

	"github.com/weftmpc/weft/simon"
	"github.com/weftmpc/weft/simon/prg"
)

// call is one call path of a running protocol: the simon.Session that its code sees. Fields are guarded by the session's
// lock.
type call struct {
	s      *Session
	parent *call
	path   []byte
	order  []uint32 // counters along the path

	th       [32]byte
	children uint32 // made so far
	open     int    // children not joined
	joined   bool   // into the parent: this call is over
	opened   bool   // Open was used
	busy     bool   // an operation is under way

	inputs map[string]*ownInput // at an evaluator: own inputs, by label
	digest [32]byte             // of the inputs received and not compared yet; zero: none
}

var _ simon.Session = (*call)(nil)

func (c *call) N() int                 { return c.s.cfg.Parties }
func (c *call) Self() int              { return c.s.cfg.Self }
func (c *call) Position(party int) int { return c.s.cfg.Positions[party] }
func (c *call) Recipients() []int      { return slices.Clone(c.s.cfg.Recipients) }
func (c *call) SID() [32]byte          { return c.s.cfg.SID }
func (c *call) Rand() io.Reader        { return c.s.rand }

func (c *call) Name(l simon.Label) []byte { return labelBytes(c.path, l) }

func (c *call) Seat(r simon.Role) (int, bool) {
	seat, ok := c.s.cfg.Roles[r]
	return seat, ok
}

// Call opens a nested call, whose transcript goes on from the present one.
func (c *call) Call(name string) simon.Session {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if c.joined {
		c.s.fail(misuse("a call was made from one that is over"))
	}
	child := &call{s: c.s, parent: c, path: appendPath(slices.Clone(c.path), name, c.children), th: c.th}
	child.order = append(slices.Clone(c.order), c.children)
	c.children++
	c.open++
	return child
}

// Join folds the transcripts of children into this one, in call order.
func (c *call) Join(children ...simon.Session) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	own := make([]*call, 0, len(children))
	for _, child := range children {
		k, ok := child.(*call)
		if !ok || k.parent != c || k.joined || k.open > 0 || k.busy {
			c.s.fail(misuse("Join of what is no open child, or has open children or an operation under way itself"))
			return
		}
		k.joined = true
		own = append(own, k)
	}
	slices.SortFunc(own, func(a, b *call) int { return slices.Compare(a.order, b.order) })
	ths := make([][32]byte, len(own))
	for i, k := range own {
		ths[i] = k.th
	}
	if !c.s.deaf() { // who hears nothing stays at the transcript's start
		c.th = transcriptJoin(c.th, ths)
	}
	c.foldInputs(own)
	c.open -= len(own)
}

// begin checks that an operation may start now, and names its label.
func (c *call) begin(l simon.Label) (string, error) {
	label := labelBytes(c.path, l)
	switch {
	case c.s.err != nil:
		return "", c.s.err
	case len(label) > maxLabel:
		return "", misuse("a label of %d bytes is too long, %d are allowed", len(label), maxLabel)
	case c.joined:
		return "", misuse("%s: the call is over", describe(string(label)))
	case c.open > 0:
		return "", misuse("%s: a nested call is open", describe(string(label)))
	case c.busy:
		return "", misuse("%s: another operation of this call is under way", describe(string(label)))
	}
	return string(label), nil
}

// step is one operation on the wire: what to send, to whom, and whose bodies to wait for.
type step struct {
	label simon.Label
	send  bool
	body  []byte
	to    []int // may hold the own seat
	from  []int // without the own seat
	open  bool
}

// ran is what came of a step.
type ran struct {
	label  string
	salt   [saltSize]byte // of the own body, if one was sent
	salted [][]byte       // the bodies of from
}

// rest ends what a successful run began.
func (c *call) rest() {
	c.s.mu.Lock()
	c.busy = false
	c.s.mu.Unlock()
}

// run sends and waits. After success the call is busy until rest.
func (c *call) run(ctx context.Context, st step) (r ran, err error) {
	s := c.s
	if err := s.awaitDurable(); err != nil {
		return ran{}, err
	}
	s.mu.Lock()
	if r.label, err = c.begin(st.label); err == nil && st.open && c.opened {
		err = misuse("%s: a call opens once", describe(r.label))
	}
	var w *wait
	var sent *posted
	var outs, asks []packet
	if err == nil && st.send {
		if sent, outs, err = s.post(r.label, c.th, without(st.to, s.cfg.Self), st.body); err == nil {
			r.salt = sent.salt
		}
	}
	if err == nil {
		c.opened = c.opened || st.open
		w, asks, err = s.expect(r.label, c.th, st.from)
	}
	if err != nil {
		if sent != nil {
			_ = s.keep(sent) // err came first
		}
		s.mu.Unlock()
		return ran{}, err
	}
	c.busy = true
	s.mu.Unlock()
	s.flush(outs)
	s.flush(asks)
	err = s.waited(ctx, w)
	s.mu.Lock()
	defer s.mu.Unlock()
	if sent != nil {
		if kept := s.keep(sent); err == nil {
			err = kept
		}
	}
	if err == nil {
		r.salted, err = s.take(w)
	}
	c.busy = err == nil // until rest: the transcript goes on first
	if err == nil && s.cfg.Self >= s.cfg.Parties {
		c.adopt(w)
	}
	return r, err
}

// adopt lets a helper go on with the transcript of the parties that it has heard, which all agree.
func (c *call) adopt(w *wait) {
	for _, in := range w.ins {
		if in.from.seat < c.s.cfg.Parties {
			c.th = in.th
		}
	}
}

func without(seats []int, self int) []int {
	return slices.DeleteFunc(slices.Clone(seats), func(i int) bool { return i == self })
}

// Exchange sends one body to all parties and waits for those of from. See simon.Session.
func (c *call) Exchange(ctx context.Context, from []int, l simon.Label, body []byte) ([][]byte, error) {
	self := c.s.cfg.Self
	if from == nil {
		from = c.s.parties
	}
	if !ascending(from, len(c.s.peers)) {
		return nil, misuse("senders %v are not in ascending order", from)
	}
	st := step{label: l, send: slices.Contains(from, self), body: body, to: c.s.parties}
	if !st.send && body != nil {
		return nil, misuse("seat %d gives a body to an exchange of %v", self, from)
	}
	if c.s.deaf() {
		return nil, misuse("the dealer has nothing to say in public")
	}
	compares := c.compares(from)
	if compares && st.send {
		body = c.withDigest(body)
		st.body = body
	}
	helper := self >= c.s.cfg.Parties
	if !helper { // a helper sends and hears nothing; it knows the transcript after its own announcement only
		st.from = without(from, self)
	} else if !st.send {
		return nil, misuse("seat %d is a helper's and hears no public bodies", self)
	}
	r, err := c.run(ctx, st)
	if err != nil {
		return nil, err
	}
	defer c.rest()
	if helper && len(from) > 1 {
		return nil, nil
	}
	bodies, hashes, _ := c.collect(from, r, body)
	if compares && !helper {
		if err := c.compare(from, bodies); err != nil {
			return nil, err
		}
	}
	c.s.mu.Lock()
	c.th = transcriptStep(c.th, r.label, hashes)
	c.s.mu.Unlock()
	if helper {
		return nil, nil
	}
	return bodies, nil
}

// collect puts own and received bodies in seat order, without salts, and hashes them with theirs.
func (c *call) collect(from []int, r ran, body []byte) (bodies [][]byte, hashes, salts [][32]byte) {
	salted := r.salted
	for _, seat := range from {
		var salt [saltSize]byte
		b := body
		if seat == c.s.cfg.Self {
			salt = r.salt
		} else {
			copy(salt[:], salted[0])
			b, salted = salted[0][saltSize:], salted[1:]
		}
		bodies, hashes, salts = append(bodies, b), append(hashes, bodyHash(&salt, b)), append(salts, salt)
	}
	return bodies, hashes, salts
}

// Open sends one body to the recipients, who wait for those of all parties. See simon.Session.
func (c *call) Open(ctx context.Context, l simon.Label, body []byte) ([][]byte, error) {
	self, recipients := c.s.cfg.Self, c.s.cfg.Recipients
	receives := slices.Contains(recipients, self)
	st := step{label: l, open: true, send: self < c.s.cfg.Parties, body: body, to: recipients}
	if !st.send && !receives {
		return nil, misuse("seat %d neither has a share of an opening nor receives it", self)
	}
	if receives {
		st.from = without(c.s.parties, self)
	}
	r, err := c.run(ctx, st)
	if err != nil {
		return nil, err
	}
	defer c.rest()
	if !receives {
		return nil, nil
	}
	bodies, _, salts := c.collect(c.s.parties, r, body)
	c.s.mu.Lock()
	c.s.openings = append(c.s.openings, opening{c.order, salts})
	c.s.mu.Unlock()
	return bodies, nil
}

// Send sends one body to the seats in to. See simon.Session.
func (c *call) Send(ctx context.Context, to []int, l simon.Label, body []byte) error {
	if dealer, ok := c.Seat(simon.Dealer); ok && slices.Contains(to, dealer) {
		return misuse("nothing may be sent to the dealer, who could take masks off")
	}
	if !ascending(to, len(c.s.peers)) || len(to) == 0 || slices.Contains(to, c.s.cfg.Self) {
		return misuse("receivers %v: give other seats in ascending order", to)
	}
	_, err := c.run(ctx, step{label: l, send: true, body: body, to: to})
	if err == nil {
		c.rest()
	}
	return err
}

// Receive waits for the bodies that the seats in from sent with Send or SendInput. An evaluator may be among them where it
// has sent an input of its own. See simon.Session.
func (c *call) Receive(ctx context.Context, from []int, l simon.Label) ([][]byte, error) {
	self, input := c.s.cfg.Self, c.own(l)
	at, asksSelf := slices.BinarySearch(from, self)
	if !ascending(from, len(c.s.peers)) || (asksSelf && (input == nil || input.taken())) {
		return nil, misuse("senders %v: give other seats in ascending order", from)
	}
	if c.s.deaf() {
		return nil, misuse("the dealer hears nothing")
	}
	others := without(from, self)
	r, err := c.run(ctx, step{label: l, from: others})
	if err != nil {
		return nil, err
	}
	defer c.rest()
	var own []byte
	if input != nil {
		own = c.digestInputs(input, r.label, others, r.salted)
	}
	for i, b := range r.salted {
		r.salted[i] = b[saltSize:]
	}
	if asksSelf {
		return slices.Insert(r.salted, at, own), nil
	}
	return r.salted, nil
}

// Stream gives the stream that this seat shares with peer. It waits for the pair's key. See simon.Session.
func (c *call) Stream(p simon.Purpose, seat int, l simon.Label) (prg.Stream, error) {
	s := c.s
	if seat < 0 || seat >= len(s.peers) || seat == s.cfg.Self {
		return nil, misuse("no stream is shared with seat %d", seat)
	}
	a, b := &s.peers[s.cfg.Self].FP, &s.peers[seat].FP
	var purpose string
	switch p {
	case simon.Mask:
		purpose = purposeMask
	case simon.Opening:
		purpose = purposeOpen
	case simon.Zero:
		purpose = purposeZero
	case simon.Deal:
		purpose = purposeDeal
	default:
		return nil, misuse("unknown purpose %d of a stream", p)
	}
	if p == simon.Deal {
		dealer, ok := c.Seat(simon.Dealer)
		if !ok || (dealer != seat && dealer != s.cfg.Self) {
			return nil, misuse("seats %d and %d share no dealt stream: neither is the dealer", s.cfg.Self, seat)
		}
		if dealer == seat {
			a, b = b, a
		}
	} else if a.Compare(*b) > 0 {
		a, b = b, a
	}
	if err := c.claim(p, seat, l); err != nil {
		return nil, err
	}
	prk, err := s.awaitKey(s.peers[seat])
	if err != nil {
		return nil, err
	}
	key := deriveKey(&prk, purpose, string(labelBytes(c.path, l)), a, b)
	if s.monitor != nil {
		s.monitor(key, nil)
	}
	stream, err := prg.New(key[:])
	clear(prk[:])
	clear(key[:])
	return stream, err
}

// claim marks a stream as used.
func (c *call) claim(p simon.Purpose, seat int, l simon.Label) error {
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	id := streamID{p, seat, string(labelBytes(c.path, l))}
	switch {
	case s.err != nil:
		return s.err
	case c.joined:
		return misuse("%s: the call is over", describe(id.label))
	case s.streams[id]:
		return simon.ErrUsed
	}
	s.streams[id] = true
	return nil
}

// awaitKey waits for the secret shared with p.
func (s *Session) awaitKey(p *peer) ([32]byte, error) {
	s.mu.Lock()
	if !p.keyed && s.err == nil {
		w := &wait{key: p, last: p, left: 1, done: make(chan struct{}), label: string(labelBytes(nil, simon.Label{Vector: "key"}))}
		s.waits = append(s.waits, w)
		ctx := s.ctx
		s.mu.Unlock()
		if err := s.waited(ctx, w); err != nil {
			return [32]byte{}, err
		}
		s.mu.Lock()
	}
	defer s.mu.Unlock()
	return p.prk, s.err
}
