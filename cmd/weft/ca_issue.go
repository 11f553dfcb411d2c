package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weftmpc/weft/broker"
	"github.com/weftmpc/weft/broker/identity"
)

// fileNKey holds the seed of a member's user on the brokers.
const fileNKey = "nats.nk"

// issue is what a command line of weft ca issue asks for.
type issue struct {
	name, ca, out, organisation string
	gateways, hosts             []string
	days                        int
	renew, replace              bool
	coordinator, operator       bool

	place place // what the flags and the list of members make of it
}

func (p *program) caIssueCommand() *cobra.Command {
	var f issue
	c := &cobra.Command{
		Use:   "issue NAME",
		Short: "Make a member's keys and certificates, or renew the certificates",
		Long: `Makes keys and certificates for one member, in a folder that is then given to the member over a way that nobody else
listens on, and deleted here:

  a party (default),       identity.crt, identity.key   signs messages of computations, nothing else
  or --coordinator         tls.crt, tls.key, nats.nk    opens connections to the hub
                           ca.crt                       whom to believe
  --host HOST, a broker    tls.crt, tls.key, ca.crt     HOST is a name or address that clients connect to
  --operator               tls.crt, tls.key, nats.nk, ca.crt   to look at the hub with the NATS CLI

Prints the member's entry for the others' configurations and keeps it in members.yaml in the authority's folder, which
the init commands of node, coordinator and hub read. Entries are public.

Certificates live ` + fmt.Sprint(maxDays) + ` days at most. --renew issues new ones for the same keys: only the .crt files in the folder are read and
replaced, keys stay where they are and may be elsewhere. The fingerprint stays, so nobody else has anything to do; the
member puts the new .crt files in the place of the old ones.

--replace makes new keys for a member whose old ones are lost or in wrong hands: all others must take over the new entry.`,
		Example: `  weft ca issue alice --organisation "Alice Hospital" --gateway https://weft.alice.example:55501
  weft ca issue coordinator --coordinator
  weft ca issue hub --host hub.example.org --host 192.0.2.7
  weft ca issue ops --operator
  weft ca issue alice --renew
  weft ca issue alice --replace --out alice-2`,
		Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			switch {
			case len(args) == 0:
				return withHint(usageError("NAME is missing"), "write `%s NAME`", c.CommandPath())
			case len(args) > 1:
				return usageError("%q is one too many: each member has a command of its own", args[1])
			}
			f.name = args[0]
			return p.runIssue(c.Context(), f)
		},
	}
	fl := c.Flags()
	fl.StringVar(&f.ca, "ca", "ca", "the authority's folder")
	fl.StringVar(&f.out, "out", "", "the member's folder (default: NAME)")
	fl.StringVar(&f.organisation, "organisation", "", "the institution's name, for people, at most 64 characters (default: NAME)")
	fl.StringArrayVar(&f.gateways, "gateway", nil, "address of the party's gateway, as clients of all parties write it; repeat for more")
	fl.StringSliceVar(&f.hosts, "host", nil, "a broker: a DNS name or IP address that clients connect to; repeat for more")
	fl.IntVar(&f.days, "days", maxDays, fmt.Sprintf("how long the certificates are valid, 1 to %d days", maxDays))
	fl.BoolVar(&f.renew, "renew", false, "new certificates for the keys of the certificates in the folder")
	fl.BoolVar(&f.replace, "replace", false, "new keys for a member that has some")
	fl.BoolVar(&f.coordinator, "coordinator", false, "the coordinator")
	fl.BoolVar(&f.operator, "operator", false, "somebody who looks at the hub with the NATS CLI")
	return c
}

// maxDays is identity.MaxLifetime in days.
const maxDays = int(identity.MaxLifetime / (24 * time.Hour))

func (p *program) runIssue(ctx context.Context, f issue) error {
	if err := f.check(); err != nil {
		return err
	}
	unlock, err := lockAuthority(f.ca)
	if err != nil {
		return err
	}
	defer unlock()
	list, err := loadMembersIfAny(f.list())
	if err != nil {
		return err
	}
	if f.renew {
		return p.renew(ctx, f, list)
	}
	return p.issueNew(ctx, f, list)
}

// list is the path of the list of members.
func (f *issue) list() string { return filepath.Join(f.ca, fileMembers) }

// check looks at the flags by themselves.
func (f *issue) check() error {
	if f.out == "" {
		f.out = f.name
	}
	kinds := 0
	f.place = placeParty
	for p, asked := range map[place]bool{placeCoordinator: f.coordinator, placeOperator: f.operator, placeBroker: len(f.hosts) > 0} {
		if asked {
			f.place, kinds = p, kinds+1
		}
	}
	switch {
	case kinds > 1:
		return usageError("--coordinator, --operator and --host exclude each other: give each its own name and command")
	case f.renew && f.replace:
		return usageError("--renew keeps the keys and --replace makes new ones: choose one")
	case f.days < 1 || f.days > maxDays:
		return withHint(usageError("--days %d: between 1 and %d are possible", f.days, maxDays), "a short life bounds how long a stolen key is believed; --renew makes it longer")
	}
	if err := f.checkName(kinds > 0 || !f.renew && !f.replace); err != nil {
		return err
	}
	for _, h := range f.hosts {
		if err := identity.CheckHost(h); err != nil {
			return usageError("--host: %w", err)
		}
	}
	for _, g := range f.gateways {
		if err := checkGateway(g); err != nil {
			return usageError("--gateway: %w", err)
		}
	}
	if f.organisation != "" {
		if err := identity.CheckOrganisation(f.organisation); err != nil {
			return usageError("--organisation: %w", err)
		}
	}
	if kinds > 0 || !f.renew && !f.replace {
		return f.suits()
	}
	return nil // what NAME is, the list says
}

// checkName looks at NAME; known tells whether the flags say what it is the name of.
func (f *issue) checkName(known bool) error {
	if err := identity.CheckName(f.name); err != nil {
		return usageError("NAME: %w", err)
	}
	if !known {
		return nil
	}
	err := checkMemberName(f.place, f.name)
	for p, flag := range map[place]string{placeCoordinator: "--coordinator", placeOperator: "--operator"} {
		if err != nil && checkMemberName(p, f.name) == nil {
			return withHint(usageError("NAME: %w", err), "or give %s if that is what it is", flag)
		}
	}
	if err != nil {
		return usageError("NAME: %w", err)
	}
	return nil
}

// suits tells whether the flags are ones for what NAME is.
func (f *issue) suits() error {
	switch {
	case len(f.gateways) > 0 && f.place != placeParty:
		return usageError("--gateway is for parties, nobody else has one")
	case f.organisation != "" && f.place != placeParty && f.place != placeCoordinator:
		return usageError("--organisation is for parties and the coordinator: only an identity names one")
	}
	return nil
}

// known finds out what NAME is, for --renew and --replace, and gives its entry.
func (f *issue) known(list members) (member, error) {
	asked := f.coordinator || f.operator || len(f.hosts) > 0
	old, at := list.find(f.name)
	if old == nil {
		return member{}, withHint(fmt.Errorf("%s has no %s", f.list(), f.name),
			"leave out --renew and --replace for a new member; for one of old, bring back the list from your copy of the folder")
	}
	if asked && at != f.place {
		return member{}, fmt.Errorf("%s is not what the flags say: it stands under %s in %s", f.name, at, f.list())
	}
	f.place = at
	return *old, f.suits()
}

// admit looks for what stands against a new name.
func (f *issue) admit(list members) error {
	if old, at := list.find(f.name); old != nil {
		return withHint(fmt.Errorf("%s has been issued already: it stands under %s in %s", f.name, at, f.list()),
			"--renew gives new certificates to the same keys; --replace gives new keys, which all others must be told (of a broker, nobody); another member needs another name")
	}
	if f.place == placeCoordinator && list.Coordinator != nil {
		return withHint(fmt.Errorf("there is a coordinator already, %s: a consortium has one", list.Coordinator.Name),
			"its replicas share its folder; `weft ca issue %s --renew` renews its certificates", list.Coordinator.Name)
	}
	return nil
}

// validity is from when to when a certificate issued now is valid.
func (p *program) validity(a *identity.Authority, days int) (notBefore, notAfter time.Time) {
	now := p.now().UTC()
	notBefore = now.Add(-clockSkew)
	if begin, _ := a.Validity(); begin.After(notBefore) {
		notBefore = begin
	}
	notAfter = now.AddDate(0, 0, days)
	if last := notBefore.Truncate(time.Second).Add(identity.MaxLifetime); notAfter.After(last) {
		notAfter = last
	}
	return notBefore, notAfter
}

func (p *program) issueNew(ctx context.Context, f issue, list members) (err error) {
	x := member{Name: f.name}
	if f.replace {
		if x, err = f.known(list); err != nil {
			return err
		}
	} else if err := f.admit(list); err != nil {
		return err
	}
	if f.place == placeParty || f.place == placeCoordinator {
		x.Organisation = cmp.Or(f.organisation, x.Organisation, f.name)
	}
	if len(f.gateways) > 0 {
		x.Gateways = f.gateways
	}
	if f.place == placeBroker && len(f.hosts) == 0 {
		f.hosts = x.Hosts
	}
	list.put(f.place, x) // its keys are not made yet; what else is wrong shows before anybody is asked for a passphrase
	if err := list.checkGateways(); err != nil {
		return err
	}
	if err := f.vacant(); err != nil {
		return err
	}
	a, err := p.authority(ctx, f.ca)
	if err != nil {
		return err
	}
	defer a.Forget()
	notBefore, notAfter := p.validity(a, f.days)
	undo, err := f.makeFolder()
	if err != nil {
		return err
	}
	defer func() {
		if err != nil && !f.published(x) {
			undo()
		}
	}()
	if err := f.fill(a, &x, notBefore, notAfter); err != nil {
		return err
	}
	list.put(f.place, x)
	if err := list.save(f.list()); err != nil {
		return err
	}
	p.tellIssued(f, notAfter)
	return p.printEntry(f, x)
}

// usage is what the certificate of the member's identity says that it is.
func (f *issue) usage() identity.Usage {
	if f.place == placeCoordinator {
		return identity.UsageDealer
	}
	return identity.UsageParty
}

// published tells whether the list on disk has the entry x: its keys are then the member's, and must stay, whatever fails
// later. A list that cannot be read may have it.
func (f *issue) published(x member) bool {
	list, err := loadMembersIfAny(f.list())
	old, _ := list.find(x.Name)
	return err != nil || old != nil && same(reflect.ValueOf(*old), reflect.ValueOf(x))
}

// files are the names of what a new member's folder gets, but for ca.crt.
func (f *issue) files() []string {
	names := []string{identity.FileTLSCert, identity.FileTLSKey}
	if f.place == placeParty || f.place == placeCoordinator {
		names = append(names, identity.FileIdentityCert, identity.FileIdentityKey)
	}
	if f.place != placeBroker {
		names = append(names, fileNKey)
	}
	return names
}

// vacant refuses a folder in which there is somebody's key or certificate.
func (f *issue) vacant() error {
	for _, name := range append(f.files(), identity.FileIdentityKey, fileNKey, identity.FileCAKey, identity.FileCAKeySealed) {
		path := filepath.Join(f.out, name)
		switch _, err := os.Lstat(path); {
		case err == nil:
			return withHint(fmt.Errorf("%s is there already and is not overwritten", path),
				"choose another folder with --out, or move that one away; --renew replaces certificates and keeps keys")
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
	}
	return nil
}

// fill makes the keys and certificates, writes them, and puts their public halves into x.
func (f *issue) fill(a *identity.Authority, x *member, notBefore, notAfter time.Time) error {
	if err := a.SaveCertificate(f.out); err != nil {
		return err
	}
	pair, err := identity.NewTLS(a, f.name, f.hosts, notBefore, notAfter)
	if err != nil {
		return err
	}
	defer pair.Forget()
	if err := pair.Save(f.out); err != nil {
		return err
	}
	x.TLS, x.Hosts = identity.FingerprintOf(pair.Leaf.Key), pair.Leaf.Hosts
	if f.place == placeBroker {
		return nil
	}
	if x.NKey, err = saveNKey(filepath.Join(f.out, fileNKey)); err != nil || f.place == placeOperator {
		return err
	}
	id, err := identity.NewAs(f.usage(), a, f.name, x.Organisation, notBefore, notAfter)
	if err != nil {
		return err
	}
	defer id.Forget()
	x.Fingerprint = id.FP()
	return id.Save(f.out)
}

// saveNKey makes a broker user's key and writes its seed; it returns the public key.
func saveNKey(path string) (string, error) {
	k, err := broker.NewKey()
	if err != nil {
		return "", err
	}
	seed, err := k.Seed()
	if err != nil {
		return "", err
	}
	defer clear(seed) // the key's own bytes
	line := append(slices.Clone(seed), '\n')
	defer clear(line)
	if err := writeWhole(path, line, 0o600); err != nil {
		return "", fmt.Errorf("writing %s: %w", path, err)
	}
	return k.Public(), nil
}

// makeFolder makes a member's folder, and tells how to take back what fill has put there.
func (f *issue) makeFolder() (undo func(), err error) {
	var ours []string
	for _, path := range append(f.files(), identity.FileCACert, ".") { // the folder itself last
		if _, err := os.Lstat(filepath.Join(f.out, path)); errors.Is(err, fs.ErrNotExist) {
			ours = append(ours, path)
		} else if err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll(f.out, 0o700); err != nil {
		return nil, fmt.Errorf("making the member's folder: %w", err)
	}
	return func() {
		for _, name := range ours {
			_ = os.Remove(filepath.Join(f.out, name))
		}
	}, nil
}

// tellIssued says what is where, and what to do with it.
func (p *program) tellIssued(f issue, notAfter time.Time) {
	say := func(format string, args ...any) { fmt.Fprintf(p.stderr, "weft: "+format+"\n", args...) }
	say("%s has %s and ca.crt, valid until %s", f.out, strings.Join(f.files(), ", "), day(notAfter))
	say("hand the folder over on a way that nobody else listens on, and delete the keys here; before that day: weft ca issue %s --renew", f.name)
	if f.replace && f.place != placeBroker {
		say("%s has new keys: its entry below takes the place of the old one in the configuration of every other member and the hub; until they have it, %s cannot take part", f.name, f.name)
	}
}

// day is a time as an administrator reads it.
func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// printEntry writes a member's entry as the others' configurations have it: there are no brokers in them, and no TLS keys.
func (p *program) printEntry(f issue, x member) error {
	if f.place == placeBroker {
		return nil
	}
	var one members
	x.TLS = identity.Fingerprint{}
	one.put(f.place, x)
	b, err := encode(one)
	if err == nil {
		_, err = p.stdout.Write(b)
	}
	if err != nil {
		return withHint(fmt.Errorf("the entry of %s cannot be printed: %w", f.name, err), "all else is done: its files are in %s, and its entry stands in %s", f.out, f.list())
	}
	return nil
}
