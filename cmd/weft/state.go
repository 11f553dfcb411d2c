package main

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/gofrs/flock"

	"github.com/weftmpc/weft/broker/identity"
)

// stateFolder is where a party keeps what must outlive its process. One process at a time may have it open.
type stateFolder struct {
	dir  string
	lock *flock.Flock
	key  identity.Secret
}

var errInUse = errors.New("is in use by another weft process")

// openState opens or makes a state folder. Its key file is made with it, so that a copy elsewhere is recognised as a copy.
func openState(dir string) (*stateFolder, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the state folder: %w", err)
	}
	lock := flock.New(filepath.Join(dir, "lock"))
	ok, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("locking the state folder %s: %w", dir, err)
	}
	if !ok {
		return nil, fmt.Errorf("the state folder %s %w: stop it, or choose another folder", dir, errInUse)
	}
	key, err := loadOrMakeKey(filepath.Join(dir, "state.key"))
	if err != nil {
		return nil, errors.Join(err, lock.Unlock())
	}
	return &stateFolder{dir: dir, lock: lock, key: key}, nil
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

func (s *stateFolder) close() { _ = s.lock.Unlock() }

// derive gives the key for one use of the state key (RFC 5869).
func (s *stateFolder) derive(use string) identity.Secret {
	k, err := hkdf.Key(sha256.New, s.key, nil, "weft/v1/state/"+use, 32)
	if err != nil {
		panic(err) // 32 bytes are always to be had
	}
	return k
}

func loadOrMakeKey(path string) (identity.Secret, error) {
	key, err := os.ReadFile(path)
	if err == nil {
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		if runtime.GOOS != "windows" && info.Mode().Perm()&0o007 != 0 {
			return nil, fmt.Errorf("%s can be read by everybody on this machine: chmod 600 %s", path, path)
		}
		if len(key) != 32 {
			return nil, fmt.Errorf("%s has %d bytes, want 32: restore it from a backup; without it the folder's data cannot be read", path, len(key))
		}
		return key, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	key = make([]byte, 32)
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
