package test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/weftmpc/weft/broker"
	"github.com/weftmpc/weft/broker/brokertest"
	"github.com/weftmpc/weft/broker/identity"
	"github.com/weftmpc/weft/coordinator"
	"github.com/weftmpc/weft/node/session"
)

// audit reads everything that passes a watched hub, over all lives of all processes, and holds it against what must never
// be, whatever is cut and killed:
//
//   - a party signs CONFIRM and ABORT of one run, or two different CONFIRMs;
//   - two CONFIRMs of one run differ in transcript or result;
//   - two runs of one computation are both confirmed by all parties;
//   - two different sealed bodies leave for one counter (the nonce), or for one label and chunk, of a run and a pair;
//   - one JOIN takes part in two runs; a party signs two JOINs with one nonce or one ephemeral key;
//   - a run without a START, a signature that does not verify, an accusation of equivocation among the honest.
type audit struct {
	keys  map[identity.Fingerprint]ed25519.PublicKey
	names map[identity.Fingerprint]string

	mu       sync.Mutex
	known    map[[32]byte]bool // messages read already: each is seen in two accounts, and many are repeated
	notices  map[signer]session.Notice
	sealed   map[string][32]byte // by counter, and by label and chunk
	fresh    map[string][32]byte // JOIN by what must be fresh in it
	starts   map[[32]byte]coordinator.Start
	runs     map[uuid.UUID]map[[32]byte]bool // with a START
	takes    map[signer]bool                 // who has sent a body or a CONFIRM in which run
	count    auditCount
	problems []string
}

// signer is a party in a run.
type signer struct {
	sid [32]byte
	fp  identity.Fingerprint
}

// auditCount are the different messages of each kind that were checked.
type auditCount struct{ joins, starts, confirms, aborts, bodies int }

func (c auditCount) signatures() int { return c.joins + c.confirms + c.aborts }

func (c auditCount) String() string {
	return fmt.Sprintf("%d signatures (%d JOINs, %d CONFIRMs, %d ABORTs), %d STARTs, %d sealed bodies", c.signatures(), c.joins, c.confirms, c.aborts, c.starts, c.bodies)
}

// newAudit knows the parties by the certificates in their folders.
func newAudit(t testing.TB, r *rack) *audit {
	t.Helper()
	a := &audit{
		keys: map[identity.Fingerprint]ed25519.PublicKey{}, names: map[identity.Fingerprint]string{}, known: map[[32]byte]bool{},
		notices: map[signer]session.Notice{}, sealed: map[string][32]byte{}, fresh: map[string][32]byte{},
		starts: map[[32]byte]coordinator.Start{}, runs: map[uuid.UUID]map[[32]byte]bool{}, takes: map[signer]bool{},
	}
	for _, party := range r.parties {
		der, err := identity.LoadCertificate(r.path(party, identity.FileIdentityCert))
		must(t, err)
		leaf, err := identity.ParseLeaf(der)
		must(t, err)
		a.keys[leaf.FP], a.names[leaf.FP] = leaf.Key, party
	}
	return a
}

// see takes one message that passed the hub. What belongs together may come in any order.
func (a *audit) see(s brokertest.Seen) {
	a.mu.Lock()
	defer a.mu.Unlock()
	sum := sha256.Sum256(append([]byte(s.Subject+"\x00"), s.Data...))
	if a.known[sum] {
		return
	}
	a.known[sum] = true
	if id, to, from, ok := broker.ParseShare(s.Subject); ok {
		kind, _, known := session.Kind(s.Data)
		switch {
		case !known:
			a.wrong("%s sent %s a message of no kind", from, to)
		case kind == session.KindNotice:
			a.notice(from, s.Data)
		case kind == session.KindShare:
			a.body(id, from, to, s.Data)
		}
		return
	}
	if strings.HasPrefix(s.Subject, broker.JoinSubject("")) {
		a.join(s.Subject, s.Data)
		return
	}
	// On a start subject or as an answer to a JOIN; other answers are not read.
	if answer, err := coordinator.DecodeAnswer(s.Data); err == nil && answer.Kind == coordinator.AnswerStart {
		a.start(answer)
	}
}

func (a *audit) wrong(format string, args ...any) {
	a.problems = append(a.problems, fmt.Sprintf(format, args...))
}

func (a *audit) notice(from string, b []byte) {
	n, err := session.DecodeNotice(b)
	if err == nil {
		err = n.Verify(a.keys[n.FP])
	}
	if err != nil {
		a.wrong("a notice that %s sent: %v", from, err)
		return
	}
	at := signer{n.SID, n.FP}
	if n.Confirm {
		a.takes[at] = true
	} else if n.Code == 3 {
		a.wrong("%s says that somebody equivocates in %x", a.names[n.FP], n.SID[:4])
	}
	old, ok := a.notices[at]
	switch {
	case !ok:
		a.notices[at] = n
		if n.Confirm {
			a.count.confirms++
		} else {
			a.count.aborts++
		}
	case old.Confirm != n.Confirm:
		a.wrong("%s has signed CONFIRM and ABORT of %x", a.names[n.FP], n.SID[:4])
	case old.TH != n.TH || old.RH != n.RH:
		a.wrong("%s has signed two different CONFIRMs of %x", a.names[n.FP], n.SID[:4])
	}
}

// body reads a share message with the library's own decoder, so that it and the product's have to agree.
func (a *audit) body(id, from, to string, b []byte) {
	d := msgpack.NewDecoder(bytes.NewReader(b))
	n, err := d.DecodeArrayLen()
	fields := make([]any, max(n, 0))
	for i := range fields {
		if err == nil {
			fields[i], err = d.DecodeInterface()
		}
	}
	if err != nil || n != 15 {
		a.wrong("a share message of %s has %d fields: %v", from, n, err)
		return
	}
	raw := func(i int) string { b, _ := fields[i].([]byte); return hex.EncodeToString(b) }
	sid, sender, receiver := raw(3), raw(7), raw(8)
	if u, err := uuid.Parse(raw(2)); err != nil || u.String() != id || len(sid) != 64 {
		a.wrong("a share message of %s on a subject of %s is of %s", from, id, raw(2))
		return
	}
	sum := sha256.Sum256(b)
	a.count.bodies++
	for _, key := range []string{
		fmt.Sprintf("counter %v from %.8s to %.8s of %.8s (%s)", fields[9], sender, receiver, sid, sid+sender+receiver),
		fmt.Sprintf("label %s, chunk %v from %.8s to %.8s of %.8s (%s)", raw(6), fields[10], sender, receiver, sid, sid+sender+receiver),
	} {
		if old, ok := a.sealed[key]; ok && old != sum {
			a.wrong("%s has sent %s two sealed bodies for %s", from, to, key)
		}
		a.sealed[key] = sum
	}
	var at signer
	_, at.sid, _ = session.Kind(b)
	if _, err := hex.Decode(at.fp[:], []byte(sender)); err != nil || a.names[at.fp] != from {
		a.wrong("a share message that %s sent is of %.8s", from, sender)
	}
	a.takes[at] = true
}

// join checks a JOIN's signature, and that what has to be fresh in it is.
func (a *audit) join(subject string, b []byte) {
	j, err := coordinator.DecodeJoin(b)
	if err != nil {
		a.wrong("on %s: %v", subject, err)
		return
	}
	if own, ok := a.signed(subject, j.Common, j.Signed); ok {
		a.count.joins++
		hash := j.Hash()
		for what, value := range map[string][32]byte{"nonce": own.Nonce, "ephemeral key": own.E} {
			key := fmt.Sprintf("%s %x", what, value)
			if old, ok := a.fresh[key]; ok && old != hash {
				a.wrong("%s has signed two JOINs with one %s", a.names[own.FP], what)
			}
			a.fresh[key] = hash
		}
	}
}

func (a *audit) signed(where string, common []byte, s coordinator.Signed) (coordinator.Own, bool) {
	own, err := coordinator.DecodeOwn(s.Own)
	if err == nil {
		err = identity.Verify(a.keys[own.FP], identity.ContextJoin, coordinator.SigningBytes(common, s.Own), s.Sig[:])
	}
	if err != nil {
		a.wrong("a JOIN on %s: %v", where, err)
	}
	return own, err == nil
}

func (a *audit) start(answer coordinator.Answer) {
	s, err := coordinator.DecodeStart(answer.Start)
	if err != nil {
		a.wrong("a START: %v", err)
		return
	}
	sid := s.SID()
	if _, ok := a.starts[sid]; ok {
		return
	}
	a.starts[sid] = s
	a.count.starts++
	for _, j := range s.Joins {
		a.signed("a START", s.Common, j)
	}
	if a.runs[answer.UUID] == nil {
		a.runs[answer.UUID] = map[[32]byte]bool{}
	}
	a.runs[answer.UUID][sid] = true
}

// finish looks at what only the whole shows, and returns all that was wrong.
func (a *audit) finish() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	problems := slices.Clone(a.problems)
	wrong := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }

	first := map[[32]byte]session.Notice{} // a CONFIRM of each run
	for at, n := range a.notices {
		if _, ok := a.starts[at.sid]; !ok {
			wrong("%s has signed a notice of %x, which never started", a.names[at.fp], at.sid[:4])
		}
		if !n.Confirm {
			continue
		}
		if other, ok := first[at.sid]; ok && (other.TH != n.TH || other.RH != n.RH) {
			wrong("%s and %s have confirmed different results of %x", a.names[at.fp], a.names[other.FP], at.sid[:4])
		}
		first[at.sid] = n
	}
	for id := range a.runs {
		if n := a.confirmed(id); n > 1 {
			wrong("computation %s has %d runs that all parties have confirmed", id, n)
		}
	}
	used := map[string][32]byte{}
	for at := range a.takes {
		s, ok := a.starts[at.sid]
		if !ok {
			wrong("%s has sent bodies or a CONFIRM of %x, which never started", a.names[at.fp], at.sid[:4])
			continue
		}
		for _, j := range s.Joins {
			if own, err := coordinator.DecodeOwn(j.Own); err != nil || own.FP != at.fp {
				continue
			}
			if other, ok := used[string(j.Own)]; ok && other != at.sid {
				wrong("a JOIN of %s takes part in %x and %x", a.names[at.fp], other[:4], at.sid[:4])
			}
			used[string(j.Own)] = at.sid
		}
	}
	slices.Sort(problems)
	return slices.Compact(problems)
}

// confirmed counts the runs of a computation that all parties have confirmed.
func (a *audit) confirmed(id uuid.UUID) (n int) {
	for sid := range a.runs[id] {
		all := true
		for fp := range a.names {
			all = all && a.notices[signer{sid, fp}].Confirm
		}
		if all {
			n++
		}
	}
	return n
}

// attempts is how many runs of a computation were started.
func (a *audit) attempts(id uuid.UUID) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.runs[id])
}

// everConfirmed reports whether all parties have confirmed some run of a computation.
func (a *audit) everConfirmed(id uuid.UUID) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.confirmed(id) > 0
}

// The audit of a quiet run finds nothing; each thing that must never be, made from that run's own messages and keys, is
// found.
func TestAuditFindsWhatMustNeverBe(t *testing.T) {
	r := newRack(t, rackOptions{observed: true})
	r.wantSum(r.sumAll("19", "5", "61"), "85")
	seen := r.watched.messages()
	var (
		share, notice, join brokertest.Seen
		confirm             session.Notice
	)
	for _, s := range seen {
		kind, _, _ := session.Kind(s.Data)
		_, _, from, ok := broker.ParseShare(s.Subject)
		switch {
		case ok && kind == session.KindShare && from == "alice":
			share = s
		case ok && kind == session.KindNotice && from == "alice":
			notice = s
		case s.Subject == broker.JoinSubject("alice"):
			join = s
		}
	}
	confirm, err := session.DecodeNotice(notice.Data)
	must(t, err)
	alice, err := identity.LoadIdentity(r.path("alice", identity.FileIdentityCert), r.path("alice", identity.FileIdentityKey))
	must(t, err)
	if confirm.FP != alice.FP() {
		t.Fatalf("alice has sent a notice of %s", confirm.FP)
	}
	as := func(s brokertest.Seen, b []byte) brokertest.Seen { s.Data = b; return s }
	flipped := func(s brokertest.Seen, at int) brokertest.Seen {
		s.Data = bytes.Clone(s.Data)
		s.Data[(at+len(s.Data))%len(s.Data)] ^= 1
		return s
	}
	otherRH, otherSID := confirm.RH, confirm.SID
	otherRH[0] ^= 1
	otherSID[0] ^= 1
	old, err := coordinator.DecodeJoin(join.Data)
	must(t, err)
	again := old // signed anew with another expiry, as if alice reused a nonce
	own, err := coordinator.DecodeOwn(old.Own)
	must(t, err)
	own.Expiry++
	again.Own = own.Encode()
	copy(again.Sig[:], alice.Sign(identity.ContextJoin, coordinator.SigningBytes(again.Common, again.Own)))

	for name, c := range map[string]struct {
		more []brokertest.Seen
		want string
	}{
		"nothing":                 {nil, ""},
		"repetitions":             {seen, ""},
		"CONFIRM and ABORT":       {[]brokertest.Seen{as(notice, session.SignAbort(alice, confirm.SID, 1).Encode())}, "alice has signed CONFIRM and ABORT"},
		"two CONFIRMs":            {[]brokertest.Seen{as(notice, session.SignConfirm(alice, confirm.SID, confirm.TH, otherRH).Encode())}, "alice has signed two different CONFIRMs"},
		"a CONFIRM of nothing":    {[]brokertest.Seen{as(notice, session.SignConfirm(alice, otherSID, confirm.TH, confirm.RH).Encode())}, "which never started"},
		"equivocation":            {[]brokertest.Seen{as(notice, session.SignAbort(alice, otherSID, 3).Encode())}, "says that somebody equivocates"},
		"a forged notice":         {[]brokertest.Seen{flipped(notice, -1)}, "a notice that alice sent"},
		"two bodies of a label":   {[]brokertest.Seen{flipped(share, -1)}, "two sealed bodies for label"},
		"two bodies of a counter": {[]brokertest.Seen{flipped(share, -1)}, "two sealed bodies for counter"},
		"a forged JOIN":           {[]brokertest.Seen{flipped(join, -1)}, "a JOIN on weft.coordinator.join.alice"},
		"a nonce again":           {[]brokertest.Seen{as(join, again.Encode())}, "alice has signed two JOINs with one nonce"},
		"a key again":             {[]brokertest.Seen{as(join, again.Encode())}, "alice has signed two JOINs with one ephemeral key"},
	} {
		a := newAudit(t, r)
		for _, s := range append(slices.Clone(seen), c.more...) {
			a.see(s)
		}
		problems := a.finish()
		if c.want == "" && len(problems) > 0 || !strings.Contains(strings.Join(problems, "\n"), c.want) {
			t.Errorf("%s: found %q, want %q", name, problems, c.want)
		}
		if c := a.count; c.confirms < 3 || c.joins < 3 || c.starts < 1 || c.bodies < 6 {
			t.Errorf("%s: checked only %s", name, c)
		}
	}
	t.Run("two runs", func(t *testing.T) { auditOfTwoRuns(t, r, seen) })
}

// auditOfTwoRuns makes a second run of the same JOINs but one, confirmed by all as the first was, or with another result by
// one of them.
func auditOfTwoRuns(t *testing.T, r *rack, seen []brokertest.Seen) {
	a := newAudit(t, r)
	for _, s := range seen {
		a.see(s)
	}
	var start coordinator.Start
	var id uuid.UUID
	for of, sids := range a.runs {
		for sid := range sids {
			id, start = of, a.starts[sid]
		}
	}
	ids := map[identity.Fingerprint]*identity.Identity{}
	for fp, party := range a.names {
		var err error
		ids[fp], err = identity.LoadIdentity(filepath.Join(r.path(party), identity.FileIdentityCert), filepath.Join(r.path(party), identity.FileIdentityKey))
		must(t, err)
	}
	own, err := coordinator.DecodeOwn(start.Joins[0].Own)
	must(t, err)
	own.Nonce[0] ^= 1
	start.Joins = slices.Clone(start.Joins)
	start.Joins[0].Own = own.Encode()
	copy(start.Joins[0].Sig[:], ids[own.FP].Sign(identity.ContextJoin, coordinator.SigningBytes(start.Common, start.Joins[0].Own)))
	a.see(brokertest.Seen{Subject: broker.StartSubject("alice"), Data: coordinator.Answer{Kind: coordinator.AnswerStart, UUID: id, Start: start.Encode()}.Encode()})
	if problems := a.finish(); len(problems) > 0 || a.attempts(id) != 2 {
		t.Fatalf("a second START: %q, %d runs", problems, a.attempts(id))
	}
	for fp, id := range ids {
		rh := [32]byte{}
		if fp == own.FP {
			rh[0] = 1
		}
		n := session.SignConfirm(id, start.SID(), [32]byte{}, rh)
		a.see(brokertest.Seen{Subject: broker.Share(uuid.NewString(), "alice", "bob"), Data: n.Encode()})
	}
	problems := strings.Join(a.finish(), "\n")
	for _, want := range []string{"have confirmed different results", "has 2 runs that all parties have confirmed", "takes part in"} {
		if !strings.Contains(problems, want) {
			t.Errorf("%q is not among %s", want, problems)
		}
	}
}
