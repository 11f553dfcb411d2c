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
		return writeKeyCheck(dir, path, keyMark(key))
	case err != nil:
		return err
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

func writeKeyCheck(dir, path, mark string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) //nolint:errcheck // gone already if it was renamed
	_, err = f.WriteString(mark + "\n")
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
