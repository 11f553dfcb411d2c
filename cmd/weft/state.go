package main

import (
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/gofrs/flock"
	"github.com/nats-io/nats.go"

	"github.com/weftmpc/weft/broker"
	"github.com/weftmpc/weft/broker/identity"
	"github.com/weftmpc/weft/jobs"
)

// stateFolder is where a party keeps what must outlive its process. One process at a time may have it open.
type stateFolder struct {
	dir  string
	lock *flock.Flock
	key  identity.Secret
}

var errInUse = errors.New("is in use by another weft process")

const (
	fileStateKey = "state.key"

	// lockWait is how long a starting node waits for its folder: the process before it may be ending just now.
	lockWait  = 3 * time.Second
	lockAgain = 50 * time.Millisecond
)

// openState opens or makes a state folder. Its key file is made with it, so that a copy elsewhere is recognised as a copy.
func openState(dir string) (*stateFolder, error) {
	return openStateWithin(context.Background(), dir, 0)
}

// openStateWithin is openState that waits for a folder which is in use.
func openStateWithin(ctx context.Context, dir string, wait time.Duration) (*stateFolder, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the state folder: %w", err)
	}
	if err := checkFolder(dir, os.Geteuid()); err != nil {
		return nil, err
	}
	lock := flock.New(filepath.Join(dir, "lock"))
	ok, err := lock.TryLock()
	if err == nil && !ok && wait > 0 {
		within, cancel := context.WithTimeout(ctx, wait)
		defer cancel()
		if ok, err = lock.TryLockContext(within, lockAgain); within.Err() != nil {
			err = context.Cause(ctx) // nil unless it was not for the wait
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("locking the state folder %s: %w", dir, err), lock.Close())
	}
	if !ok {
		return nil, errors.Join(fmt.Errorf("the state folder %s %w: stop it, or choose another folder", dir, errInUse), lock.Close())
	}
	key, err := loadKey(dir)
	if errors.Is(err, fs.ErrNotExist) {
		key, err = makeKey(dir)
	}
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return &stateFolder{dir: dir, lock: lock, key: key}, nil
}

// checkFolder refuses a state folder that another user than euid owns, or that others can put files into: the key in it is
// the node's word that it does not sign two different messages for one label.
func checkFolder(dir string, euid int) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is no folder", dir)
	}
	if uid, ok := owner(info); ok && uid != euid {
		return withHint(fmt.Errorf("the state folder %s belongs to the user with number %d, and weft runs as number %d", dir, uid, euid),
			"run weft as the folder's owner; if it shall be another's from now on: chown -R %d %s", euid, dir)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o022 != 0 {
		return withHint(fmt.Errorf("the state folder %s can be changed by others (mode %04o)", dir, info.Mode().Perm()), "chmod 700 %s", dir)
	}
	return nil
}

// spaceReserve is what has to be free on the disk of a state folder for anything new to begin, in bytes. It lets what has
// begun come to its end, and it keeps the broker of the folder from ever meeting a full disk, which its streams do not
// survive: they take no more writes before the next start.
const spaceReserve = 256 << 20

// room tells why nothing new can be stored.
func (s *stateFolder) room() error {
	if free, ok := freeSpace(s.dir); ok && free < spaceReserve {
		return fmt.Errorf("%d MiB are free on the disk of %s, and %d are needed: make room", free>>20, s.dir, spaceReserve>>20)
	}
	return nil
}

// fileLedger says that the ledger is in its own account. It must be as durable as the ledger is.
const fileLedger = "ledger"

// movedLedger says whether the ledger is in its place.
func (s *stateFolder) movedLedger() (bool, error) {
	_, err := os.Stat(filepath.Join(s.dir, fileLedger))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// moveLedger brings the ledger of an earlier weft to its place, once in the life of a folder.
func (s *stateFolder) moveLedger(ctx context.Context, nc, ledger *nats.Conn) error {
	path := filepath.Join(s.dir, fileLedger)
	if moved, err := s.movedLedger(); moved || err != nil {
		return err
	}
	if err := jobs.MoveLedger(ctx, nc, ledger); err != nil {
		return err
	}
	if err := writeWhole(path, []byte(broker.AccountLedger+"\n"), 0o600); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

func (s *stateFolder) close() { _ = s.lock.Unlock() }

// derive gives the key for one use of the state key (RFC 5869).
func (s *stateFolder) derive(use string) identity.Secret {
	k, err := hkdf.Key(sha256.New, s.key, nil, "weft/v1/state/"+use, 32)
	if err != nil {
		panic(err) // 32 bytes are always to be had
	}
	return k
}

// loadKey reads the key of a state folder. The error is fs.ErrNotExist where there is none and none is missing: with a key
// made anew, a store would be lost for good.
func loadKey(dir string) (identity.Secret, error) {
	path := filepath.Join(dir, fileStateKey)
	key, err := identity.ReadSmall(path)
	if errors.Is(err, fs.ErrNotExist) {
		switch has, e := broker.HasStore(dir); {
		case e != nil:
			return nil, e
		case has:
			return nil, withHint(fmt.Errorf("%s is missing, and without it nobody can read what is stored in %s", path, dir),
				"restore it from a backup; or use a new folder: open computations are lost, results too")
		}
	}
	if err != nil {
		return nil, err
	}
	if err := identity.CheckPrivate(path); err != nil {
		clear(key)
		return nil, withHint(err, "chmod 600 %s", path)
	}
	if len(key) != 32 {
		clear(key)
		return nil, fmt.Errorf("%s has %d bytes, want 32: restore it from a backup; without it the folder's data cannot be read", path, len(key))
	}
	return key, nil
}

func makeKey(dir string) (identity.Secret, error) {
	key, path := make([]byte, 32), filepath.Join(dir, fileStateKey)
	if _, err := rand.Read(key); err != nil {
		return nil, err
	}
	if err := writeWhole(path, key, 0o600); err != nil {
		return nil, fmt.Errorf("writing %s: %w", path, err)
	}
	return key, nil
}

// writeWhole makes a file that is either whole or not there, also after a power cut.
func writeWhole(path string, b []byte, mode fs.FileMode) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	if mode != 0o600 && runtime.GOOS != "windows" {
		err = f.Chmod(mode)
	}
	if err == nil {
		_, err = f.Write(b)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil && runtime.GOOS != "windows" {
		return err
	}
	return nil
}
