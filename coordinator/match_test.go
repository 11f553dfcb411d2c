package coordinator

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/weftmpc/weft/broker/identity"
)

var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

// letter names a party of the tables by one character.
func letter(c byte) identity.Fingerprint { return identity.Fingerprint{c} }

func letters(s string) []identity.Fingerprint {
	var fps []identity.Fingerprint
	for _, c := range []byte(s) {
		fps = insert(fps, letter(c))
	}
	return fps
}

func spell(fps []identity.Fingerprint) string {
	var b strings.Builder
	for _, fp := range fps {
		b.WriteByte(fp[0])
	}
	return b.String()
}

// entry reads "a:abc/1": party a joins with the list abc and parameters 1. A second word is what it is dead against and a
// third who was told: "a:abc/1 b:abc/2 ab". A leading ~ means expired.
func entry(s string) Entry {
	words := strings.Fields(s)
	first, expired := strings.CutPrefix(words[0], "~")
	who, rest, _ := strings.Cut(first, ":")
	list, parameters, _ := strings.Cut(rest, "/")
	c := Common{Microprotocol: "SecureSum", RoundMS: 1, LimitMS: 1, Parameters: []byte(parameters), Parties: letters(list)}
	c.Recipients = c.Parties
	for i := range c.Parties {
		c.Positions = append(c.Positions, uint16(i))
	}
	b, err := c.Encode()
	if err != nil {
		panic(err)
	}
	o := Own{FP: letter(who[0]), Issued: 1, Expiry: noon.Add(time.Minute).UnixNano()}
	if expired {
		o.Expiry = noon.UnixNano()
	}
	e := NewEntry(Join{Common: b, Signed: Signed{Own: []byte(first)}}, c, o)
	if len(words) > 1 {
		e.Against = entry(words[1]).Hash
		e.Told = letters(words[2])
	}
	return e
}

func entries(ss []string) []Entry {
	var es []Entry
	for _, s := range ss {
		es = append(es, entry(s))
	}
	return es
}

func sentence(v Verdict) string {
	switch v.Kind {
	case VerdictWaiting:
		return "waiting " + spell(v.Missing)
	case VerdictStart:
		return "start " + strings.Trim(fmt.Sprint(v.Parties), "[]")
	case VerdictConflict:
		return fmt.Sprintf("conflict %d told %s", v.Other, spell(v.Told))
	case VerdictDead:
		return "dead told " + spell(v.Told)
	case VerdictExpired:
		return "expired"
	}
	return "nothing"
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		name     string
		joins    []string
		verdicts []string
	}{
		{"nobody", nil, nil},
		{"first of two", []string{"a:ab/1"}, []string{"waiting b"}},
		{"two of two", []string{"b:ab/1", "a:ab/1"}, []string{"start 1 0", "start 1 0"}},
		{"two of three", []string{"a:abc/1", "c:abc/1"}, []string{"waiting b", "waiting b"}},
		{"an expired JOIN does not start", []string{"~a:ab/1", "b:ab/1"}, []string{"expired", "waiting a"}},
		{"other parameters", []string{"a:ab/1", "b:ab/2"}, []string{"conflict 1 told ab", "conflict 0 told ab"}},
		{"an expired JOIN disagrees with nobody", []string{"~a:ab/1", "b:ab/2"}, []string{"expired", "waiting a"}},
		{"all who agreed are told", []string{"a:abc/1", "c:abc/1", "b:abc/2"},
			[]string{"conflict 2 told abc", "conflict 2 told abc", "conflict 0 told abc"}},
		{"other parties", []string{"a:abc/1", "b:ab/1"}, []string{"conflict 1 told ab", "conflict 0 told ab"}},
		{"who is told need not be listed by the other", []string{"a:abc/1", "c:abc/1", "b:ab/1"},
			[]string{"conflict 2 told abc", "conflict 2 told abc", "conflict 0 told ab"}},
		{"a stranger guesses the uuid", []string{"a:ab/1", "z:abz/2"}, []string{"waiting b", "waiting ab"}},
		{"a stranger with all parties", []string{"a:ab/1", "z:abz/1", "b:ab/1"}, []string{"start 0 2", "waiting ab", "start 0 2"}},
		{"two circles under one uuid", []string{"a:ab/1", "c:cd/2", "d:cd/2"}, []string{"waiting b", "start 1 2", "start 1 2"}},
		{"two circles with a common party", []string{"a:ab/1", "a:ac/2", "c:ac/2"}, []string{"waiting b", "start 1 2", "start 1 2"}},
		{"a complete circle is not held up", []string{"a:abc/1", "a:ab/1", "b:ab/1"}, []string{"waiting bc", "start 1 2", "start 1 2"}},
		{"who signed both disagrees with nobody", []string{"a:abc/1", "a:abd/1", "b:abd/1"}, []string{"waiting bc", "waiting d", "waiting d"}},
		{"three opinions", []string{"a:abc/1", "b:abc/2", "c:abc/3"},
			[]string{"conflict 1 told abc", "conflict 0 told abc", "conflict 0 told abc"}},
		{"late, agrees with one side", []string{"a:abc/1 b:abc/2 ab", "b:abc/2 a:abc/1 ab", "c:abc/1"},
			[]string{"dead told abc", "dead told abc", "conflict 1 told abc"}},
		{"late, agrees with neither", []string{"a:abc/1 b:abc/2 ab", "b:abc/2 a:abc/1 ab", "c:abc/3"},
			[]string{"dead told abc", "dead told abc", "conflict 0 told abc"}},
		{"late, agrees with the only side that lists it", []string{"a:abc/1 b:ab/1 ab", "b:ab/1 a:abc/1 ab", "c:abc/1"},
			[]string{"dead told abc", "dead told ab", "conflict 1 told abc"}},
		{"told already", []string{"b:ab/2 a:ab/1 ab", "a:ab/1"}, []string{"dead told ab", "waiting b"}},
		{"told already, and both anew", []string{"c:abc/2 a:abc/1 abc", "a:abc/3", "b:abc/3"}, []string{"dead told abc", "waiting c", "waiting c"}},
		{"the matter is over", []string{"a:abc/1 b:abc/2 ab", "b:abc/1", "c:abc/1"}, []string{"dead told ab", "waiting a", "waiting a"}},
		{"the matter is over, and the other in conflict elsewhere", []string{"a:abc/1 b:abc/2 ab", "b:abc/3 a:abc/4 abc", "c:abc/1"},
			[]string{"dead told ab", "dead told abc", "waiting ab"}},
		{"the other has expired", []string{"a:abc/1 b:abc/2 ab", "~b:abc/2 a:abc/1 ab", "c:abc/1"},
			[]string{"dead told ab", "expired", "waiting ab"}},
		{"a dead JOIN does not start", []string{"a:ab/1 b:ab/2 ab", "b:ab/1"}, []string{"dead told ab", "waiting a"}},
		{"a stranger's dead JOIN", []string{"z:zay/1 y:zay/2 yz", "y:zay/2 z:zay/1 yz", "a:ab/1"}, []string{"dead told yz", "dead told yz", "waiting b"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, v := range Match(noon, entries(c.joins)) {
				got = append(got, sentence(v))
			}
			if diff := cmp.Diff(c.verdicts, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What has to hold whatever is thrown at it.
func TestMatchProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		joins := anyEntries(t)
		vs := Match(noon, joins)
		if len(vs) != len(joins) {
			t.Fatalf("%d verdicts for %d entries", len(vs), len(joins))
		}
		if !cmp.Equal(vs, Match(noon, joins)) {
			t.Fatal("not a function")
		}
		for i, v := range vs {
			e := joins[i]
			switch v.Kind {
			case VerdictStart:
				var fps []identity.Fingerprint
				for _, k := range v.Parties {
					if o := joins[k]; o.dead() || o.Group != e.Group || o.Own.Expiry <= noon.UnixNano() || !cmp.Equal(vs[k], v) {
						t.Fatalf("entry %d starts with %d", i, k)
					}
					fps = append(fps, joins[k].Own.FP)
				}
				if !slices.Equal(fps, e.Common.Parties) || !slices.Contains(v.Parties, i) {
					t.Fatalf("entry %d starts with parties %q", i, spell(fps))
				}
			case VerdictWaiting:
				if len(v.Missing) == 0 || listed(v.Missing, e.Own.FP) || !ascending(v.Missing) {
					t.Fatalf("entry %d waits for %q", i, spell(v.Missing))
				}
			case VerdictConflict:
				o := joins[v.Other]
				if o.Group == e.Group || o.Own.FP == e.Own.FP || !e.Common.Lists(o.Own.FP) || e.dead() || !listed(v.Told, e.Own.FP) || !ascending(v.Told) {
					t.Fatalf("entry %d in conflict with %d, told %q", i, v.Other, spell(v.Told))
				}
			case VerdictDead:
				if !e.dead() || !ascending(v.Told) {
					t.Fatalf("entry %d dead", i)
				}
				for _, fp := range e.Told {
					if !listed(v.Told, fp) {
						t.Fatalf("entry %d forgot that %q was told", i, spell([]identity.Fingerprint{fp}))
					}
				}
			case VerdictExpired:
				if e.Own.Expiry > noon.UnixNano() {
					t.Fatalf("entry %d expired", i)
				}
			default:
				t.Fatalf("entry %d has no verdict", i)
			}
		}
	})
}

// JOINs of parties that nobody lists change nothing for anybody.
func TestMatchStrangers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		joins := anyEntries(t)
		before := Match(noon, joins)
		strange := slices.Clone(joins)
		for _, who := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"x", "y", "z"}), 1, 3, rapid.ID).Draw(t, "strangers") {
			strange = append(strange, entry(fmt.Sprintf("%s:%sabcd/%d", who, who, rapid.IntRange(1, 3).Draw(t, "parameters"))))
		}
		if after := Match(noon, strange)[:len(joins)]; !cmp.Equal(before, after) {
			t.Fatal(cmp.Diff(before, after))
		}
	})
}

// anyEntries keeps to what Match asks for: a signer is in its own list and has one entry per list.
func anyEntries(t *rapid.T) []Entry {
	var es []Entry
	seen := map[string]bool{}
	for range rapid.IntRange(0, 8).Draw(t, "entries") {
		list := rapid.SampledFrom([]string{"ab", "abc", "abcd", "bc", "cd"}).Draw(t, "list")
		who := string(list[rapid.IntRange(0, len(list)-1).Draw(t, "who")])
		if seen[who+list] {
			continue
		}
		seen[who+list] = true
		s := fmt.Sprintf("%s:%s/%d", who, list, rapid.IntRange(1, 2).Draw(t, "parameters"))
		if rapid.IntRange(0, 9).Draw(t, "expired") == 0 {
			s = "~" + s
		}
		es = append(es, entry(s))
	}
	for i := range es { // some are dead against another
		k := rapid.IntRange(-2*len(es), len(es)-1).Draw(t, "against")
		if k >= 0 && es[k].Group != es[i].Group && es[k].Own.FP != es[i].Own.FP {
			es[i].Against = es[k].Hash
			es[i].Told = insert(insert(nil, es[i].Own.FP), es[k].Own.FP)
		}
	}
	return es
}
