package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weftmpc/weft/broker"
	"github.com/weftmpc/weft/broker/identity"
)

// office is where somebody runs weft ca: a folder of its own and a clock.
type office struct {
	t      *testing.T
	dir    string
	now    time.Time
	stderr bytes.Buffer
}

func newOffice(t *testing.T) *office {
	t.Helper()
	o := &office{t: t, dir: t.TempDir(), now: time.Date(2026, 11, 21, 12, 5, 0, 700, time.UTC)}
	o.does("init", "--dir", o.path("ca"))
	return o
}

func (o *office) path(name ...string) string {
	return filepath.Join(append([]string{o.dir}, name...)...)
}

// run gives the exit code and what was printed.
func (o *office) run(args ...string) (int, string) {
	o.t.Helper()
	var stdout bytes.Buffer
	code := o.runTo(&stdout, args...)
	return code, stdout.String()
}

func (o *office) runTo(stdout io.Writer, args ...string) int {
	o.stderr.Reset()
	p := &program{
		stdin: strings.NewReader(""), stdout: stdout, stderr: &o.stderr, signals: make(chan os.Signal),
		getenv: func(string) string { return "" }, now: func() time.Time { return o.now },
	}
	return p.execute(o.t.Context(), append([]string{"ca"}, args...))
}

func (o *office) does(args ...string) string {
	o.t.Helper()
	code, out := o.run(args...)
	if code != exitDone {
		o.t.Fatalf("weft ca %v: exit code %d: %s", args, code, &o.stderr)
	}
	return out
}

func (o *office) refuses(want string, args ...string) {
	o.t.Helper()
	if code, _ := o.run(args...); code == exitDone || !strings.Contains(o.stderr.String(), want) {
		o.t.Errorf("weft ca %v: exit code %d: %s, want %q", args, code, &o.stderr, want)
	}
}

// issue issues name into a folder of that name.
func (o *office) issue(name string, more ...string) string {
	o.t.Helper()
	return o.does(append([]string{"issue", name, "--ca", o.path("ca"), "--out", o.path(name)}, more...)...)
}

func (o *office) members() members {
	o.t.Helper()
	m, err := loadMembers(o.path("ca", "members.yaml"))
	if err != nil {
		o.t.Fatal(err)
	}
	return m
}

func TestIssuedFilesAreGood(t *testing.T) {
	o := newOffice(t)
	for _, args := range [][]string{{"bob"}, {"alice", "--organisation", "Alice Hospital"}, {"coordinator", "--coordinator"}, {"ops", "--operator"}, {"hub", "--host", "localhost"}} {
		o.issue(args[0], args[1:]...)
	}
	m := o.members()
	if len(m.Parties) != 2 || m.Parties[0].Name != "alice" || m.Parties[1].Name != "bob" || m.Coordinator == nil || len(m.Operators) != 1 {
		t.Fatalf("%+v", m)
	}
	a, err := identity.LoadAuthority(o.path("ca"))
	if err != nil {
		t.Fatal(err)
	}
	roots, err := identity.NewRoots(a.Certificate())
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range append([]member{*m.Coordinator, m.Operators[0]}, m.Parties...) {
		seed, err := os.ReadFile(o.path(x.Name, "nats.nk"))
		if err != nil {
			t.Fatal(err)
		}
		if k, err := broker.ParseKey(bytes.TrimSpace(seed)); err != nil || k.Public() != x.NKey {
			t.Errorf("%s: the key of nats.nk is not the entry's: %v", x.Name, err)
		}
		if x.Name == "ops" {
			continue
		}
		id, err := identity.LoadIdentity(o.path(x.Name, "identity.crt"), o.path(x.Name, "identity.key"))
		if err != nil {
			t.Fatal(err)
		}
		if id.FP() != x.Fingerprint || id.Name() != x.Name || id.Leaf.Organisation != x.Organisation {
			t.Errorf("identity %+v, entry %+v", id.Leaf, x)
		}
		usage := identity.UsageParty
		if x.Name == "coordinator" {
			usage = identity.UsageDealer
		}
		if err := roots.VerifyAs(usage, id.Leaf, o.now); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"alice", "bob", "coordinator", "ops", "hub"} {
		pair, err := tls.LoadX509KeyPair(o.path(name, "tls.crt"), o.path(name, "tls.key"))
		if err != nil {
			t.Fatal(err)
		}
		l, err := identity.ParseTLS(pair.Certificate[0])
		if err != nil || l.Name != name || (name == "hub") != (len(l.Hosts) == 1) || l.NotAfter.Sub(l.NotBefore) > identity.MaxLifetime || !l.NotBefore.Before(o.now) {
			t.Errorf("%s: %+v %v", name, l, err)
		}
		for _, kind := range []string{"identity.key", "tls.key", "nats.nk"} {
			st, err := os.Stat(o.path(name, kind))
			if err == nil && runtime.GOOS != "windows" && st.Mode().Perm() != 0o600 {
				t.Errorf("%s/%s has mode %o", name, kind, st.Mode().Perm())
			}
		}
	}
	if st, err := os.Stat(o.path("ca")); err != nil || runtime.GOOS != "windows" && st.Mode().Perm() != 0o700 {
		t.Error(st.Mode(), err)
	}
}

func TestRenewalKeepsKeys(t *testing.T) {
	o := newOffice(t)
	o.issue("alice", "--gateway", "http://127.0.0.1:55511")
	before := o.members()
	read := func(name string) []byte {
		b, err := os.ReadFile(o.path("alice", name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	kept := map[string][]byte{"identity.key": nil, "tls.key": nil, "nats.nk": nil, "ca.crt": nil}
	for name := range kept {
		kept[name] = read(name)
	}
	old := read("identity.crt")
	o.now = o.now.AddDate(0, 3, 0) // long expired
	printed := o.issue("alice", "--renew", "--days", "10")
	id, err := identity.LoadIdentity(o.path("alice", "identity.crt"), o.path("alice", "identity.key"))
	if err != nil {
		t.Fatal(err)
	}
	if until := o.now.AddDate(0, 0, 10).Truncate(time.Second); id.FP() != before.Parties[0].Fingerprint || !id.Leaf.NotAfter.Equal(until) || bytes.Equal(read("identity.crt"), old) {
		t.Errorf("%+v, want it valid until %s", id.Leaf, until)
	}
	if want := "valid until " + o.now.AddDate(0, 0, 10).Format("2006-01-02 15:04") + " UTC"; !strings.Contains(o.stderr.String(), want) {
		t.Errorf("says %s, want %q", &o.stderr, want)
	}
	for name, b := range kept {
		if !bytes.Equal(read(name), b) {
			t.Errorf("%s has changed", name)
		}
	}
	if after := o.members(); !reflect.DeepEqual(after, before) {
		t.Errorf("the list has changed: %+v", after)
	}
	m, err := parseMembers("members.yaml", []byte(printed))
	before.Parties[0].TLS = identity.Fingerprint{} // the authority's business
	if err != nil || !reflect.DeepEqual(m.Parties, before.Parties) {
		t.Errorf("printed %s: %v", printed, err)
	}
}

// Files that come by mail: a key that is not the member's is not certified under the member's name.
func TestRenewalOfForeignCertificates(t *testing.T) {
	o, forger := newOffice(t), newOffice(t)
	o.issue("alice")
	o.issue("hub", "--host", "localhost")
	forger.issue("alice")
	forger.issue("hub", "--host", "localhost")
	forge := func(from, to string) {
		b, err := os.ReadFile(forger.path(from))
		if err == nil {
			err = os.WriteFile(o.path(to), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	renewed := func(name string) []string {
		return []string{"issue", name, "--renew", "--ca", o.path("ca"), "--out", o.path(name)}
	}
	forge("hub/tls.crt", "hub/tls.crt")
	o.refuses("is for the TLS key", renewed("hub")...)
	whole, err := os.ReadFile(o.path("alice", "identity.crt"))
	if err != nil {
		t.Fatal(err)
	}
	certified := o.certifiedBy(forger, "alice")
	forge("alice/tls.crt", "alice/tls.crt")
	o.refuses("is for the TLS key", renewed("alice")...)
	if err := os.WriteFile(o.path("alice", "tls.crt"), certified, 0o600); err != nil {
		t.Fatal(err)
	}
	o.refuses("not issued by this authority", renewed("alice")...)
	if b, err := os.ReadFile(o.path("alice", "identity.crt")); err != nil || !bytes.Equal(b, whole) {
		t.Error("one certificate was replaced, though the other was refused", err)
	}
	forge("alice/identity.crt", "alice/identity.crt")
	o.refuses("has the fingerprint", renewed("alice")...)
	forge("alice/identity.crt", "alice/tls.crt")
	o.refuses("not one for TLS", renewed("alice")...)
}

// certifiedBy is a TLS certificate for name's present key by another authority.
func (o *office) certifiedBy(other *office, name string) []byte {
	o.t.Helper()
	a, err := identity.LoadAuthority(other.path("ca"))
	if err != nil {
		o.t.Fatal(err)
	}
	der, err := identity.LoadCertificate(o.path(name, "tls.crt"))
	if err != nil {
		o.t.Fatal(err)
	}
	l, err := identity.ParseTLS(der)
	if err != nil {
		o.t.Fatal(err)
	}
	der, err = a.IssueTLS(name, nil, l.Key, o.now, o.now.AddDate(0, 0, 10))
	if err != nil {
		o.t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func TestFailureLeavesNothingBehind(t *testing.T) {
	o := newOffice(t)
	o.issue("alice")
	o.now = o.now.AddDate(10, 0, -3) // three days before the authority ends
	o.refuses("shorten the validity", "issue", "bob", "--ca", o.path("ca"), "--out", o.path("bob"))
	if _, err := os.Stat(o.path("bob")); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the folder is there:", err)
	}
	if err := os.MkdirAll(o.path("bob"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(o.path("bob", "node.yaml"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	o.refuses("shorten the validity", "issue", "bob", "--ca", o.path("ca"), "--out", o.path("bob"))
	left, err := os.ReadDir(o.path("bob"))
	if err != nil || len(left) != 1 || left[0].Name() != "node.yaml" {
		t.Error(left, err)
	}
	if m := o.members(); len(m.Parties) != 1 {
		t.Errorf("%+v", m)
	}
	o.issue("bob", "--days", "2")
}

// broken is standard output on a full disk.
type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

// Once the list names keys, they are the member's, though its entry cannot be printed: nobody else could ever have them.
func TestPublishedKeysStay(t *testing.T) {
	o := newOffice(t)
	for _, more := range [][]string{nil, {"--replace", "--out", o.path("alice-2")}, {"--renew", "--out", o.path("alice-2"), "--organisation", "Alice Hospital"}} {
		args := append([]string{"issue", "alice", "--ca", o.path("ca"), "--out", o.path("alice")}, more...)
		if code := o.runTo(broken{}, args...); code != exitFailed || !strings.Contains(o.stderr.String(), "cannot be printed: no space left") {
			t.Errorf("%v: exit code %d: %s", more, code, &o.stderr)
		}
		dir := "alice"
		if more != nil {
			dir = "alice-2"
		}
		id, err := identity.LoadIdentity(o.path(dir, "identity.crt"), o.path(dir, "identity.key"))
		if err != nil {
			t.Fatal(err)
		}
		seed, err := os.ReadFile(o.path(dir, "nats.nk"))
		if err != nil {
			t.Fatal(err)
		}
		k, err := broker.ParseKey(bytes.TrimSpace(seed))
		if x := o.members().Parties[0]; err != nil || x.Fingerprint != id.FP() || x.NKey != k.Public() || x.Organisation != id.Leaf.Organisation {
			t.Errorf("%v: the list has %+v, the folder %s: %v", more, x, id.FP(), err)
		}
	}
}

func TestOneAtATime(t *testing.T) {
	o := newOffice(t)
	unlock, err := lockAuthority(o.path("ca"))
	if err != nil {
		t.Fatal(err)
	}
	o.refuses("another weft ca is at work", "issue", "alice", "--ca", o.path("ca"), "--out", o.path("alice"))
	unlock()
	o.issue("alice")
}

func TestAuthorityFolderIsPrivate(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // no mode bits there
	}
	o := newOffice(t)
	if err := os.Mkdir(o.path("open"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(o.path("open"), 0o755); err != nil {
		t.Fatal(err)
	}
	o.refuses("open to others", "init", "--dir", o.path("open"))
	if err := os.Chmod(o.path("ca", "ca.key"), 0o644); err != nil {
		t.Fatal(err)
	}
	o.refuses("chmod 600", "issue", "alice", "--ca", o.path("ca"), "--out", o.path("alice"))
}

func TestMembersRefuse(t *testing.T) {
	o := newOffice(t)
	for _, args := range [][]string{{"alice", "--gateway", "http://a.example"}, {"bob", "--gateway", "http://b.example"}, {"coordinator", "--coordinator"}, {"ops", "--operator"}, {"hub", "--host", "localhost"}} {
		o.issue(args[0], args[1:]...)
	}
	good, err := os.ReadFile(o.path("ca", "members.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	m := o.members()
	alice, bob := m.Parties[0], m.Parties[1]
	for name, c := range map[string]struct{ old, new, want string }{
		"unknown key":     {"organisation: alice", "organization: alice", "unknown key"},
		"key twice":       {"name: alice", "name: alice\n    name: eve", "already defined"},
		"one name":        {"name: bob\n", "name: alice\n", "stands for two members"},
		"one fingerprint": {bob.Fingerprint.String(), alice.Fingerprint.String(), "each member has keys of its own"},
		"one nkey":        {bob.NKey, m.Operators[0].NKey, "each member has keys of its own"},
		"one gateway":     {"http://b.example", "http://A.example/", "an address names one party"},
		"no name":         {"name: bob", "name: \"\"", "1 to 63 characters"},
		"reserved name":   {"name: bob", "name: ops-", ""},
		"the hub's name":  {"name: bob", "name: sys", "the broker's own"},
		"short print":     {bob.Fingerprint.String(), bob.Fingerprint.String()[1:], "64 hexadecimal digits"},
		"no print":        {bob.Fingerprint.String(), identity.Fingerprint{}.String(), "fingerprint: it is missing"},
		"wrong nkey":      {bob.NKey, "S" + bob.NKey[1:], "no public key of a broker's user"},
		"bad gateway":     {"http://b.example", "b.example", "no address of a gateway"},
		"with a query":    {"http://b.example", "http://b.example?x", "leave out what begins with"},
		"another section": {"parties:", "party:", "unknown key"},
		"two documents":   {"parties:", "---\nparties:", "several documents"},
		"a tag":           {`- "http://b.example"`, `!- "http://b.example"`, "a tag (!)"}, // goccy/go-yaml v1.19.2 panics
		"an alias":        {"organisation: alice", "organisation: *x", "an alias (*)"},
		"an anchor":       {"organisation: alice", "organisation: &x alice", "an anchor (&)"},
		"one TLS key":     {bob.TLS.String(), alice.TLS.String(), "each member has keys of its own"},
		"a key for two":   {bob.TLS.String(), alice.Fingerprint.String(), "each member has keys of its own"},
		"a party's hosts": {"- name: bob", "- hosts: [b.example]\n    name: bob", "only brokers have them"},
		"a hub's name":    {"name: bob", "name: hub", "stands for two members"},
		"a hub's nkey":    {"- name: hub", "- nkey: " + m.Operators[0].NKey + "\n    name: hub", "take out what else"},
		"a hub's key":     {m.Brokers[0].TLS.String(), identity.Fingerprint{}.String(), "tls: it is missing"},
		"a hub's hosts":   {"hosts:\n      - localhost", "hosts: []", "hosts: they are missing"},
		"no host":         {"- localhost", `- "tls://localhost"`, "is no host"},
		"no mapping":      {string(good), "alice", "a group of keys"},
	} {
		text := strings.ReplaceAll(string(good), c.old, c.new)
		if text == string(good) {
			t.Errorf("%s: nothing to replace", name)
		}
		_, err := parseMembers("members.yaml", []byte(text))
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if _, err := loadMembers(o.path("none.yaml")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if _, err := parseMembers("members.yaml", make([]byte, maxMembers+1)); err == nil {
		t.Error("a huge file is read")
	}
	if m, err := parseMembers("members.yaml", []byte(membersHead)); err != nil || len(m.Parties) != 0 || m.Coordinator != nil {
		t.Error("an empty list:", m, err)
	}
}

// YAML takes some words for other things than text: names among them come back as they went.
func TestMembersKeepNames(t *testing.T) {
	k, err := broker.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"7", "007", "null", "true", "no", "on", "y", "1e5", "0x1f", "0b1", "0o7", "2026-11-21", "-", "--", "---", "-1"} {
		m := members{Parties: []member{{Name: name, Organisation: `A: "B" # C`, Fingerprint: identity.Fingerprint{1}, NKey: k.Public(), Gateways: []string{"http://[::1]:80/a"}}}}
		b, err := m.marshal()
		if err != nil {
			t.Fatal(err)
		}
		if back, err := parseMembers("members.yaml", b); err != nil || !reflect.DeepEqual(back, m) {
			t.Errorf("%q: %+v %v from\n%s", name, back, err, b)
		}
	}
}

// Organisations that YAML or its library take for something else come back as they went, in the list and in configurations,
// also in the office: a list that was written badly could not be read by any later command.
func TestHostileText(t *testing.T) {
	k, err := broker.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	pieces := []string{":", " ", "#", "?", "-", "!", "&", "*", "@", "%", "`", "'", `"`, `\`, "|", ">", "{", "}", "[", "]", ",", "=", "~", "<<", "a",
		"1", "e", ".", "_", "null", "true", "yes", "0x", "\t", "\n", "\r", "é", "☃", "😀", "\u0085", "\u2028", "\ufeff", "\x7f", "\x00"}
	text := rapid.OneOf(rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 0, 12).Draw(t, "pieces"), "")
	}),
		rapid.SampledFrom([]string{"? a", ": #", "1e3", "null", "- x", "!t", "&a", "*a", "@x", "%x", "`", "a: b", "a #b", "---", "...", "[[[[[", "{a: 1}", "2026-11-21", "0b1", "0o7", ".inf", "y"}))
	dir := t.TempDir()
	files := 0
	rapid.Check(t, func(t *rapid.T) {
		s := text.Draw(t, "text")
		m := members{Parties: []member{{Name: "alice", Organisation: s, Fingerprint: identity.Fingerprint{1}, NKey: k.Public()}}}
		files++
		path := filepath.Join(dir, fmt.Sprint(files))
		if err := m.save(path); err != nil {
			t.Fatal(err)
		}
		if back, err := loadMembers(path); err != nil || !reflect.DeepEqual(back, m) {
			t.Fatalf("%+v %v", back, err)
		}
		c := full()
		c.Parties[0].Organisation, c.Gateway.Hosts, c.State = s, []string{s, s}, s
		if err := writeConfig(path+".yaml", "A title.", c); err != nil {
			t.Fatal(err)
		}
		back := nodeConfig{}
		if err := loadConfig(path+".yaml", &back, nil); err != nil || !reflect.DeepEqual(back, c) {
			t.Fatalf("%+v %v", back, err)
		}
	})
	o := newOffice(t)
	o.issue("alice", "--organisation", "? a")
	o.issue("bob", "--organisation", "]: [{#")
	if m := o.members(); m.Parties[0].Organisation != "? a" || m.Parties[1].Organisation != "]: [{#" {
		t.Errorf("%+v", m)
	}
}

// What would not come back is not written, and what was there stays.
func TestWrongTextIsNotWritten(t *testing.T) {
	k, err := broker.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	m := members{Parties: []member{{Name: "alice", Organisation: "no UTF-8: \xff", Fingerprint: identity.Fingerprint{1}, NKey: k.Public()}}}
	path := filepath.Join(t.TempDir(), "members.yaml")
	if err := m.save(path); !errors.Is(err, errReadsBack) {
		t.Error(err)
	}
	c := full()
	c.State = "no UTF-8: \xff"
	if err := writeConfig(path, "A title.", c); !errors.Is(err, errReadsBack) {
		t.Error(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Error("it was written:", err)
	}
}

func FuzzParseMembers(f *testing.F) {
	k, err := broker.NewKey()
	if err != nil {
		f.Fatal(err)
	}
	m := members{Parties: []member{{Name: "alice", Organisation: "A", Fingerprint: identity.Fingerprint{1}, NKey: k.Public(), Gateways: []string{"http://a.example"}}}}
	b, err := m.marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte("parties: [{name: a}]"))
	f.Add([]byte("a: &a [*a]"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseMembers("members.yaml", b)
		if err != nil {
			return
		}
		again, err := m.marshal()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parseMembers("members.yaml", again); err != nil {
			t.Errorf("what was read cannot be written: %v\n%s", err, again)
		}
	})
}

// Nobody is there to type; the answer comes from the environment, or the command ends at once.
func TestPassphraseFromTheEnvironment(t *testing.T) {
	p := &program{stderr: io.Discard, getenv: func(name string) string { return map[string]string{passphraseVariable: "four words are long"}[name] }}
	if s, err := p.passphrase(context.Background(), ""); err != nil || string(s) != "four words are long" {
		t.Error(len(s), err)
	}
	if s, err := p.newPassphrase(context.Background()); err != nil || string(s) != "four words are long" {
		t.Error(len(s), err)
	}
}
