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

	"github.com/gofrs/flock"

	"github.com/weftmpc/weft/broker/identity"
)

// stateFolder is where a party keeps what must outlive its process. One process at a time may have it open.
type stateFolder struct {
	dir  string
	lock *flock.Flock
	key  identity.Secret
}

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
		return nil, fmt.Errorf("the state folder %s is in use by another weft process: stop it, or choose another folder", dir)
	}
	key, err := loadOrMakeKey(filepath.Join(dir, "state.key"))
	if err != nil {
		return nil, errors.Join(err, lock.Unlock())
	}
	return &stateFolder{dir: dir, lock: lock, key: key}, nil
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
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	if _, err = f.Write(key); err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("writing %s: %w", path, err)
	}
	return key, nil
}
