package coordinator

import (
	"crypto/sha256"
	"slices"
	"time"

	"github.com/weftmpc/weft/broker/identity"
)

// Entry is a verified JOIN as Match sees it. Among the entries of one call a party stands at most once for each list of
// parties, and its own fingerprint is in that list.
type Entry struct {
	Join   Join
	Common Common
	Own    Own
	Group  [32]byte // SHA-256(Join.Common): entries with one Group agree
	Hash   [32]byte // of the JOIN

	// A JOIN that disagreed with another is dead: it never starts and stays, until it expires, to tell parties of its list
	// that join later.
	Against [32]byte               // hash of the JOIN that it was found to differ from; zero: open
	Told    []identity.Fingerprint // parties that know about the disagreement, ascending
}

// NewEntry makes an open entry of a JOIN whose signature the caller has verified.
func NewEntry(j Join, c Common, o Own) Entry {
	return Entry{Join: j, Common: c, Own: o, Group: sha256.Sum256(j.Common), Hash: j.Hash()}
}

func (e *Entry) dead() bool { return e.Against != [32]byte{} }

// VerdictKind says what becomes of an entry.
type VerdictKind uint8

// The verdicts.
const (
	VerdictWaiting  VerdictKind = iota + 1 // open; Missing have not joined
	VerdictStart                           // all parties are there; Parties are the entries of the START
	VerdictConflict                        // open until now, and differs from Other; Told is its first list
	VerdictDead                            // was in conflict before; Told is the new list
	VerdictExpired                         // counts no more
)

// Verdict is what Match says about one entry.
type Verdict struct {
	Kind    VerdictKind
	Missing []identity.Fingerprint // VerdictWaiting: ascending
	Parties []int                  // VerdictStart: indices into joins, in fingerprint order
	Other   int                    // VerdictConflict: index into joins of what the party is to be shown
	Told    []identity.Fingerprint // VerdictConflict and VerdictDead: ascending
}

// Match decides about all JOINs of one UUID and gives one verdict per entry, in the order of joins. It is a pure function.
//
// Entries agree when their common parts are equal, byte for byte. An open group in which every listed party has an entry
// starts. Two open groups disagree when a signer of each is listed by the other and has not signed both: then all their
// entries are in conflict, and each is shown a JOIN of the other group by a party of its own list. A stranger who guesses
// the UUID is listed by nobody and disagrees with nobody. An open entry whose party has not heard of an older disagreement
// among parties that it lists, and that list it, joins that disagreement.
func Match(now time.Time, joins []Entry) []Verdict {
	m := matching{joins: joins, verdicts: make([]Verdict, len(joins))}
	for i := range joins {
		switch {
		case joins[i].Own.Expiry <= now.UnixNano():
			m.verdicts[i].Kind = VerdictExpired
		case joins[i].dead():
			m.verdicts[i] = Verdict{Kind: VerdictDead, Told: slices.Clone(joins[i].Told)}
			m.dead = append(m.dead, i)
		default:
			m.verdicts[i].Kind = VerdictWaiting
			m.add(i)
		}
	}
	m.start()
	m.disagree()
	m.hear()
	m.tell()
	return m.verdicts
}

// group is a set of open entries with equal common parts.
type group struct {
	entries []int                  // indices into joins, by signer
	signers []identity.Fingerprint // ascending
}

type matching struct {
	joins    []Entry
	verdicts []Verdict
	dead     []int
	groups   []*group // in order of their first entry in joins
}

func (m *matching) common(g *group) *Common { return &m.joins[g.entries[0]].Common }

func (m *matching) add(i int) {
	e := &m.joins[i]
	k := slices.IndexFunc(m.groups, func(g *group) bool { return m.joins[g.entries[0]].Group == e.Group })
	if k < 0 {
		k = len(m.groups)
		m.groups = append(m.groups, &group{})
	}
	g := m.groups[k]
	at, there := slices.BinarySearchFunc(g.signers, e.Own.FP, identity.Fingerprint.Compare)
	if there {
		return
	}
	g.signers = slices.Insert(g.signers, at, e.Own.FP)
	g.entries = slices.Insert(g.entries, at, i)
}

// start takes the complete groups out and lists who is missing in the others. It comes before disagree, so that a group
// that is complete is not held up by what one of its parties asks for elsewhere.
func (m *matching) start() {
	var rest []*group
	for _, g := range m.groups {
		var missing []identity.Fingerprint
		for _, fp := range m.common(g).Parties {
			if !listed(g.signers, fp) {
				missing = append(missing, fp)
			}
		}
		for _, i := range g.entries {
			if len(missing) == 0 {
				m.verdicts[i] = Verdict{Kind: VerdictStart, Parties: g.entries}
			} else {
				m.verdicts[i].Missing = missing
			}
		}
		if len(missing) > 0 {
			rest = append(rest, g)
		}
	}
	m.groups = rest
}

// disagree compares the open groups with each other.
func (m *matching) disagree() {
	for k, g := range m.groups {
		for _, h := range m.groups[k+1:] {
			inG, inH := m.opponent(h, g), m.opponent(g, h)
			if inG < 0 || inH < 0 {
				continue
			}
			m.conflict(g, inH)
			m.conflict(h, inG)
		}
	}
}

// opponent returns the first entry of h whose signer is listed by g and has not signed g; -1: there is none.
func (m *matching) opponent(g, h *group) int {
	for k, fp := range h.signers {
		if m.common(g).Lists(fp) && !listed(g.signers, fp) {
			return h.entries[k]
		}
	}
	return -1
}

func (m *matching) conflict(g *group, other int) {
	for _, i := range g.entries {
		if m.verdicts[i].Kind == VerdictWaiting {
			m.verdicts[i] = Verdict{Kind: VerdictConflict, Other: other}
		}
	}
}

// hear compares what is open still with what is dead.
func (m *matching) hear() {
	for i := range m.verdicts {
		if m.verdicts[i].Kind != VerdictWaiting {
			continue
		}
		for _, x := range m.dead {
			if other := m.unheard(i, x); other >= 0 {
				m.verdicts[i] = Verdict{Kind: VerdictConflict, Other: other, Told: slices.Clone(m.joins[x].Told)}
				break
			}
		}
	}
}

// unheard returns what the party of the open entry i is to be shown because of the dead entry x; -1: nothing.
func (m *matching) unheard(i, x int) int {
	e, d := &m.joins[i], &m.joins[x]
	if e.Own.FP == d.Own.FP || !e.Common.Lists(d.Own.FP) || !d.Common.Lists(e.Own.FP) || listed(d.Told, e.Own.FP) {
		return -1
	}
	if e.Group != d.Group {
		return x
	}
	// The two agree, and a third party disagreed with d. If that one has joined anew since, the matter is over.
	for _, y := range m.dead {
		if o := &m.joins[y]; o.Hash == d.Against && o.Group != e.Group && o.Own.FP != e.Own.FP && e.Common.Lists(o.Own.FP) {
			return y
		}
	}
	return -1
}

// tell notes in all entries of a disagreement that the parties which are in conflict by now know.
func (m *matching) tell() {
	var told []identity.Fingerprint
	for i := range m.verdicts {
		if m.verdicts[i].Kind == VerdictConflict {
			told = insert(told, m.joins[i].Own.FP)
		}
	}
	for i := range m.verdicts {
		v := &m.verdicts[i]
		if v.Kind != VerdictConflict && v.Kind != VerdictDead {
			continue
		}
		for _, fp := range told {
			if m.joins[i].Common.Lists(fp) || fp == m.joins[i].Own.FP {
				v.Told = insert(v.Told, fp)
			}
		}
	}
}

// insert adds fp to an ascending list.
func insert(fps []identity.Fingerprint, fp identity.Fingerprint) []identity.Fingerprint {
	at, there := slices.BinarySearchFunc(fps, fp, identity.Fingerprint.Compare)
	if there {
		return fps
	}
	return slices.Insert(fps, at, fp)
}
