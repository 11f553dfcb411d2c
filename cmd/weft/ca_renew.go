package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"reflect"
	"time"

	"github.com/weftmpc/weft/broker/identity"
)

// renew issues new certificates for the keys of the ones in the folder. The files there come from anywhere, perhaps from
// the member by mail: only what this authority issued before, for this name, and for the keys on the list, is certified again.
func (p *program) renew(ctx context.Context, f issue, list members) error {
	x, err := f.known(list)
	if err != nil {
		return err
	}
	tls, err := f.oldTLS()
	if err != nil {
		return err
	}
	id, err := f.oldIdentity(x)
	if err != nil {
		return err
	}
	if err := f.present(x, tls); err != nil {
		return err
	}
	before := x
	x.Organisation = cmp.Or(f.organisation, x.Organisation)
	if id != nil {
		x.Organisation = cmp.Or(x.Organisation, id.Organisation)
	}
	if len(f.gateways) > 0 {
		x.Gateways = f.gateways
	}
	if len(f.hosts) == 0 {
		f.hosts = x.Hosts
	}
	x.Hosts = f.hosts
	list.put(f.place, x)
	if err := list.check(); err != nil {
		return err
	}
	a, err := p.authority(ctx, f.ca)
	if err != nil {
		return err
	}
	defer a.Forget()
	notBefore, notAfter := p.validity(a, f.days)
	if err := f.recertify(a, id, tls, x.Organisation, notBefore, notAfter); err != nil {
		return err
	}
	changed := !same(reflect.ValueOf(before), reflect.ValueOf(x))
	if changed {
		if err := list.save(f.list()); err != nil {
			return err
		}
	}
	p.tellRenewed(f, id != nil, changed, notAfter)
	return p.printEntry(f, x)
}

// recertify makes both certificates before it replaces one.
func (f *issue) recertify(a *identity.Authority, id *identity.Leaf, tls *identity.TLSLeaf, organisation string, notBefore, notAfter time.Time) error {
	newTLS, err := a.RenewTLS(tls, f.hosts, notBefore, notAfter)
	if err != nil {
		return err
	}
	if id != nil {
		newID, err := a.RenewAs(f.usage(), id, organisation, notBefore, notAfter)
		if err != nil {
			return err
		}
		if err := identity.ReplaceCertificate(filepath.Join(f.out, identity.FileIdentityCert), newID); err != nil {
			return err
		}
	}
	return identity.ReplaceCertificate(filepath.Join(f.out, identity.FileTLSCert), newTLS)
}

// oldTLS reads the TLS certificate in the folder.
func (f *issue) oldTLS() (*identity.TLSLeaf, error) {
	path := filepath.Join(f.out, identity.FileTLSCert)
	der, err := identity.LoadCertificate(path)
	if err != nil {
		return nil, f.missing(err)
	}
	l, err := identity.ParseTLS(der)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return l, f.mine(path, l.Name)
}

// present compares the TLS key with the entry: an older one may be in wrong hands.
func (f *issue) present(x member, l *identity.TLSLeaf) error {
	path, fp := filepath.Join(f.out, identity.FileTLSCert), identity.FingerprintOf(l.Key)
	switch {
	case x.TLS == (identity.Fingerprint{}):
		return withHint(fmt.Errorf("%s does not tell the TLS key of %s (tls), so that %s may be anybody's", f.list(), f.name, path),
			"it was written before weft kept them: give new keys with --replace")
	case fp != x.TLS:
		return withHint(fmt.Errorf("%s is for the TLS key %s, but %s lists %s for %s", path, fp, f.list(), x.TLS, f.name), hintOld)
	}
	return nil
}

// hintOld is what to do about a certificate for a key that is not the member's present one.
const hintOld = "it is from before the keys were replaced, or not the member's: ask for the present identity.crt and tls.crt, or give new keys with --replace"

// oldIdentity reads the identity certificate in the folder, and compares it with the entry; nil for who has none.
func (f *issue) oldIdentity(x member) (*identity.Leaf, error) {
	if f.place != placeParty && f.place != placeCoordinator {
		return nil, nil
	}
	path := filepath.Join(f.out, identity.FileIdentityCert)
	der, err := identity.LoadCertificate(path)
	if err != nil {
		return nil, f.missing(err)
	}
	l, err := identity.ParseLeaf(der)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := f.mine(path, l.Name); err != nil {
		return nil, err
	}
	if l.FP != x.Fingerprint {
		return nil, withHint(fmt.Errorf("%s has the fingerprint %s, but %s lists %s for %s", path, l.FP, f.list(), x.Fingerprint, f.name), hintOld)
	}
	return l, nil
}

func (f *issue) missing(err error) error {
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return withHint(fmt.Errorf("--renew needs the present certificates: %w", err),
		"ask the member for its .crt files, which are public, and put them into %s, or name their folder with --out; keys are not needed", f.out)
}

// mine refuses another member's certificate.
func (f *issue) mine(path, name string) error {
	if name != f.name {
		return withHint(fmt.Errorf("%s belongs to %s, not to %s", path, name, f.name), "name the folder of %s with --out", f.name)
	}
	return nil
}

func (p *program) tellRenewed(f issue, hasIdentity, changed bool, notAfter time.Time) {
	say := func(format string, args ...any) { fmt.Fprintf(p.stderr, "weft: "+format+"\n", args...) }
	what := identity.FileTLSCert
	if hasIdentity {
		what = identity.FileIdentityCert + " and " + what
	}
	say("%s in %s: renewed, valid until %s", what, f.out, day(notAfter))
	say("put them in the place of the old ones; the keys are the same")
	if changed && f.place != placeBroker {
		say("%s has changed: send it to the other members", f.list())
	}
}
