package broker

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/weftmpc/weft/broker/identity"
)

// keyCheck is the file beside the streams by which a wrong key is noticed. The server itself would warn, leave out the
// streams that it cannot read, and let us make new ones in their place.
const keyCheck = "key.check"

// checkStoreKey compares the key with the one that the store was made under, or notes it for a new store.
func checkStoreKey(dir string, key identity.Secret) error {
	path := filepath.Join(dir, keyCheck)
	was, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && len(key) == 0:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return writeDurably(dir, path, keyMark(key)+"\n")
	case err != nil:
		return err
	}
	return compareKey(dir, was, key)
}

// HasStore tells whether there is a store in the folder dir, or what is left of one. It belongs to one key for ever.
func HasStore(dir string) (bool, error) {
	for _, name := range []string{keyCheck, streamList, storeFolder} {
		switch _, err := os.Lstat(filepath.Join(dir, name)); {
		case err == nil:
			return true, nil
		case !errors.Is(err, fs.ErrNotExist):
			return false, err
		}
	}
	return false, nil
}

// CheckStore looks at the store in the folder dir and changes nothing, so that a server may have it open: whether it was
// made under the key, and whether each stream on its list has a folder. What is in the streams, only Start finds out. A
// folder without a store is good.
func CheckStore(dir string, key identity.Secret) error {
	was, err := os.ReadFile(filepath.Join(dir, keyCheck))
	if err == nil {
		err = compareKey(dir, was, key)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	list, err := os.ReadFile(filepath.Join(dir, streamList))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, name := range strings.Fields(string(list)) {
		account, stream, _ := strings.Cut(name, "/")
		if _, err := os.ReadDir(filepath.Join(dir, storeFolder, account, streamsFolder, stream)); err != nil {
			return unreadable(name, dir, err)
		}
	}
	return nil
}

// compareKey compares the key with the mark that a store was made under.
func compareKey(dir string, was []byte, key identity.Secret) error {
	switch {
	case len(key) == 0:
		return fmt.Errorf("%s is encrypted and no key was given: bring back the key it was made with", dir)
	case !hmac.Equal([]byte(strings.TrimSpace(string(was))), []byte(keyMark(key))):
		return fmt.Errorf("%s is encrypted under another key: bring back the key it was made with, or use another folder", dir)
	}
	return nil
}

// keyMark tells keys apart and nothing about them: they are random, 16 bytes or more.
func keyMark(key identity.Secret) string {
	m := hmac.New(sha256.New, key)
	m.Write([]byte("weft/v1/store-key-check"))
	return hex.EncodeToString(m.Sum(nil))
}

// writeDurably writes a small file in dir, whole or not at all: it is on disk under its name once this returns.
func writeDurably(dir, path, text string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) //nolint:errcheck // gone already if it was renamed
	_, err = f.WriteString(text)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	if err = d.Sync(); runtime.GOOS == "windows" {
		err = nil // a folder cannot be synced there
	}
	if e := d.Close(); err == nil {
		err = e
	}
	return err
}
