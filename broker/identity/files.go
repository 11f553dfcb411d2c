package identity

import (
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"crypto/ed25519"
	"crypto/x509"
)

const (
	fileIdentityCert = "identity.crt"
	fileIdentityKey  = "identity.key"
	fileCACert       = "ca.crt"
	fileCAKey        = "ca.key"

	pemCert = "CERTIFICATE"
	pemKey  = "PRIVATE KEY"

	maxFile = 64 << 10 // bytes of a PEM file we read
)

// Save writes identity.crt and identity.key into the folder dir, which must exist, for the owner's eyes only. Files
// that are there already are kept and refused: a lost key cannot be made again.
func (i *Identity) Save(dir string) error {
	der, err := i.MarshalPKCS8()
	if err != nil {
		return err
	}
	defer clear(der)
	return savePair(dir, fileIdentityCert, i.Leaf.DER, fileIdentityKey, der)
}

// LoadIdentity reads a certificate and its private key in PEM, as Save writes them. It does not check validity.
func LoadIdentity(crtPEMPath, keyPEMPath string) (*Identity, error) {
	der, key, err := loadPair(crtPEMPath, keyPEMPath)
	if err != nil {
		return nil, fmt.Errorf("loading identity: %w", err)
	}
	i, err := FromKey(der, key)
	if err != nil {
		return nil, fmt.Errorf("loading identity from %s and %s: %w", crtPEMPath, keyPEMPath, err)
	}
	return i, nil
}

// Save writes ca.crt and ca.key into the folder dir as Identity.Save does. The key belongs on a machine of its own.
func (a *Authority) Save(dir string) error {
	der, err := x509.MarshalPKCS8PrivateKey(a.key())
	if err != nil {
		return fmt.Errorf("encoding the authority's key: %w", err)
	}
	defer clear(der)
	return savePair(dir, fileCACert, a.cert.Raw, fileCAKey, der)
}

// LoadAuthority reads ca.crt and ca.key from the folder dir.
func LoadAuthority(dir string) (*Authority, error) {
	der, key, err := loadPair(filepath.Join(dir, fileCACert), filepath.Join(dir, fileCAKey))
	if err != nil {
		return nil, fmt.Errorf("loading authority: %w", err)
	}
	a, err := authority(der, key)
	if err != nil {
		return nil, fmt.Errorf("loading authority from %s: %w", dir, err)
	}
	return a, nil
}

func loadPair(crtPath, keyPath string) ([]byte, ed25519.PrivateKey, error) {
	der, err := readPEM(crtPath, pemCert)
	if err != nil {
		return nil, nil, err
	}
	if err := CheckPrivate(keyPath); err != nil {
		return nil, nil, err
	}
	keyDER, err := readPEM(keyPath, pemKey)
	if err != nil {
		return nil, nil, err
	}
	defer clear(keyDER)
	key, err := parsePKCS8(keyDER)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", keyPath, err)
	}
	return der, key, nil
}

// CheckPrivate refuses a key file that strangers can read. A group may read: that is how containers mount secrets.
func CheckPrivate(path string) error {
	if runtime.GOOS == "windows" { // mode bits say nothing there
		return nil
	}
	st, err := os.Stat(path)
	if err != nil {
		return err
	}
	if st.Mode().Perm()&0o027 != 0 {
		return fmt.Errorf("%s can be read or changed by others (mode %04o): run chmod 600 on it", path, st.Mode().Perm())
	}
	return nil
}

// readPEM reads a file of exactly one PEM block of the given type.
func readPEM(path, kind string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	defer clear(b)
	if len(b) > maxFile {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, maxFile)
	}
	block, rest := pem.Decode(b)
	if block == nil || block.Type != kind || len(strings.TrimSpace(string(rest))) != 0 {
		return nil, fmt.Errorf("%s does not hold exactly one PEM block %q", path, kind)
	}
	return block.Bytes, nil
}

// savePair writes the key first: a certificate without its key would look like a whole identity.
func savePair(dir, crtName string, crtDER []byte, keyName string, keyDER []byte) error {
	crt, key := filepath.Join(dir, crtName), filepath.Join(dir, keyName)
	for _, path := range []string{key, crt} {
		if _, err := os.Lstat(path); err == nil {
			return fmt.Errorf("%s is there already and is not overwritten: move it away first", path)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: pemKey, Bytes: keyDER})
	defer clear(keyPEM)
	if err := writeNew(key, keyPEM); err != nil {
		return err
	}
	return writeNew(crt, pem.EncodeToMemory(&pem.Block{Type: pemCert, Bytes: crtDER}))
}

// writeNew writes a file with mode 0600 that is either whole or not there, and never replaces one.
func writeNew(path string, b []byte) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".new-*") // mode 0600
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	defer os.Remove(f.Name()) //nolint:errcheck // gone already if it was renamed
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = place(f.Name(), path)
	}
	if err == nil {
		err = syncDir(dir)
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

// place gives a finished file its name. A hard link fails if the name is taken; where a file system has no hard links, a
// rename after a look is the best there is.
func place(temporary, path string) error {
	err := os.Link(temporary, path)
	if err == nil || errors.Is(err, fs.ErrExist) {
		return err
	}
	if _, e := os.Lstat(path); e == nil {
		return fs.ErrExist
	}
	return os.Rename(temporary, path)
}

// syncDir makes the new name survive a power cut.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" { // a folder cannot be opened for that there
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
