package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/gofrs/flock"
	"github.com/spf13/cobra"

	"github.com/weftmpc/weft/broker/identity"
)

const (
	// clockSkew is how far back a certificate's validity begins, so that a party whose clock is slow believes it at once.
	clockSkew = time.Hour

	maxYears = 50 // of an authority
)

func (p *program) caCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "ca",
		Short: "The consortium's certificate authority: who is a member",
		Long: `The authority is a folder with a key. Whoever runs it for the consortium makes it once with "init", on a machine that does
nothing else, and makes each member's keys and certificates with "issue".

A certificate admits nobody by itself: it says who holds a key, and every node's own configuration lists the parties it
computes with.`,
		Example: `  weft ca init --name "Hospital consortium" --passphrase
  weft ca issue coordinator --coordinator
  weft ca issue hub --host hub.example.org
  weft ca issue alice --organisation "Alice Hospital" --gateway https://weft.alice.example:55501
  weft ca issue alice --renew`,
	}, p.caInitCommand(), p.caIssueCommand())
}

type caInit struct {
	dir, name  string
	years      int
	passphrase bool
}

func (p *program) caInitCommand() *cobra.Command {
	var f caInit
	c := &cobra.Command{
		Use:   "init",
		Short: "Make the authority: its key and its certificate",
		Long: `Makes a folder with ca.crt, the certificate that every member is given, and ca.key, the key that signs all others. Whoever
has the key can make certificates in anybody's name: keep the folder on a machine of its own, and a copy of it in a safe.

With --passphrase the key is encrypted (ca.key.age, a file of the age tool), and every "weft ca issue" asks for the
passphrase. Without a terminal it is read from the variable ` + passphraseVariable + `. Nothing there is overwritten.`,
		Example: `  weft ca init --name "Hospital consortium" --passphrase
  weft ca init --dir /media/usb/ca --years 5`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return p.initAuthority(c.Context(), f) },
	}
	fl := c.Flags()
	fl.StringVar(&f.dir, "dir", "ca", "the folder to make")
	fl.StringVar(&f.name, "name", "weft consortium", "the authority's name, for people, at most 64 characters")
	fl.IntVar(&f.years, "years", 10, fmt.Sprintf("how long the authority is valid, 1 to %d years", maxYears))
	fl.BoolVar(&f.passphrase, "passphrase", false, "encrypt the key under a passphrase of at least "+fmt.Sprint(identity.MinPassphrase)+" characters")
	return c
}

func (p *program) initAuthority(ctx context.Context, f caInit) error {
	if f.years < 1 || f.years > maxYears {
		return usageError("--years %d: between 1 and %d are possible", f.years, maxYears)
	}
	if err := identity.CheckOrganisation(f.name); err != nil {
		return usageError("--name: %w", err)
	}
	if err := freeForAuthority(f.dir); err != nil {
		return err
	}
	var passphrase identity.Secret
	if f.passphrase {
		var err error
		if passphrase, err = p.newPassphrase(ctx); err != nil {
			return err
		}
		defer clear(passphrase)
	}
	now := p.now().UTC()
	a, err := identity.NewAuthority(f.name, now.Add(-clockSkew), now.AddDate(f.years, 0, 0))
	if err != nil {
		return err
	}
	defer a.Forget()
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return fmt.Errorf("making the authority's folder: %w", err)
	}
	key := filepath.Join(f.dir, identity.FileCAKey)
	if f.passphrase {
		key = filepath.Join(f.dir, identity.FileCAKeySealed)
		err = a.SaveSealed(f.dir, passphrase)
	} else {
		err = a.Save(f.dir)
	}
	if err != nil {
		return err
	}
	_, until := a.Validity()
	fmt.Fprintf(p.stdout, "%s\n", filepath.Join(f.dir, identity.FileCACert))
	fmt.Fprintf(p.stderr, "weft: the authority %q is valid until %s\n", f.name, until.Format(time.DateOnly))
	if f.passphrase {
		fmt.Fprintf(p.stderr, "weft: %s is its key, encrypted: nobody can restore it without the passphrase. Keep a copy in a safe\n", key)
	} else {
		fmt.Fprintf(p.stderr, "weft: %s is its key, not encrypted (see --passphrase): whoever reads it can be any member. Keep a copy in a safe\n", key)
	}
	return nil
}

// freeForAuthority wants a folder that is not there, or one of ours in which no authority is.
func freeForAuthority(dir string) error {
	for _, name := range []string{identity.FileCAKey, identity.FileCAKeySealed, identity.FileCACert, fileMembers} {
		path := filepath.Join(dir, name)
		switch _, err := os.Lstat(path); {
		case err == nil:
			return withHint(fmt.Errorf("%s is there already and is not overwritten", path),
				"choose another folder with --dir; without the authority that made them, no member's certificate can be renewed")
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
	}
	st, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if runtime.GOOS != "windows" && st.Mode().Perm()&0o077 != 0 {
		return withHint(fmt.Errorf("the folder %s is open to others on this machine (mode %04o)", dir, st.Mode().Perm()), "chmod 700 %s", dir)
	}
	return nil
}

// authority opens the authority in dir; it asks for the passphrase if there is one. Forget it after use.
func (p *program) authority(ctx context.Context, dir string) (*identity.Authority, error) {
	sealed, err := identity.Sealed(dir)
	if err != nil {
		return nil, err
	}
	if !sealed {
		return identity.LoadAuthority(dir)
	}
	passphrase, err := p.passphrase(ctx, "Passphrase of the authority in "+dir+": ")
	if err != nil {
		return nil, err
	}
	defer clear(passphrase)
	a, err := identity.LoadSealedAuthority(dir, passphrase)
	if errors.Is(err, identity.ErrPassphrase) {
		return nil, withHint(fmt.Errorf("the passphrase of %s is wrong", filepath.Join(dir, identity.FileCAKeySealed)),
			"it is the one that was given to `weft ca init --passphrase`; nothing has been issued")
	}
	return a, err
}

// lockAuthority keeps a second command from writing the list of members at the same time.
func lockAuthority(dir string) (unlock func(), err error) {
	if _, err := os.Stat(filepath.Join(dir, identity.FileCACert)); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, withHint(fmt.Errorf("there is no authority in the folder %s", dir), "`weft ca init --dir %s` makes one; --ca names another folder", dir)
		}
		return nil, err
	}
	if _, err := identity.Sealed(dir); errors.Is(err, fs.ErrNotExist) {
		return nil, withHint(fmt.Errorf("the authority in the folder %s has lost its key", dir),
			"bring back %s or %s from your copy of the folder", identity.FileCAKey, identity.FileCAKeySealed)
	}
	lock := flock.New(filepath.Join(dir, ".lock"))
	switch ok, err := lock.TryLock(); {
	case err != nil:
		return nil, fmt.Errorf("locking the authority's folder %s: %w", dir, err)
	case !ok:
		return nil, fmt.Errorf("another weft ca is at work in the folder %s: wait until it has ended, or end it", dir)
	}
	return func() { _ = lock.Unlock() }, nil
}
