package identity

import (
	"bytes"
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

// The names of the files.
const (
	FileIdentityCert = "identity.crt"
	FileIdentityKey  = "identity.key"
	FileTLSCert      = "tls.crt"
	FileTLSKey       = "tls.key"
	FileCACert       = "ca.crt"
	FileCAKey        = "ca.key"
	FileCAKeySealed  = "ca.key.age"
)

const (
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
	return savePair(dir, FileIdentityCert, i.Leaf.DER, FileIdentityKey, der)
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
	return savePair(dir, FileCACert, a.cert.Raw, FileCAKey, der)
}

// LoadAuthority reads ca.crt and ca.key from the folder dir.
func LoadAuthority(dir string) (*Authority, error) {
	der, key, err := loadPair(filepath.Join(dir, FileCACert), filepath.Join(dir, FileCAKey))
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

// LoadCertificate reads a certificate in PEM, as Save writes it, and gives it in DER. Nothing about it has been checked.
func LoadCertificate(path string) ([]byte, error) { return readPEM(path, pemCert) }

// ReplaceCertificate puts a certificate in DER in the place of the one in the file path: whoever reads meanwhile, or after
// a power cut, finds the one or the other. The file's mode is kept.
func ReplaceCertificate(path string, der []byte) error {
	st, err := os.Stat(path)
	if err != nil {
		return err
	}
	return write(path, pemBytes(pemCert, der), func(f *os.File) error {
		if err := f.Chmod(st.Mode().Perm()); err != nil && runtime.GOOS != "windows" {
			return err
		}
		return nil
	}, os.Rename)
}

// SaveCertificate writes the authority's own certificate to the file ca.crt in the folder dir, where every member needs
// it. A file of that name is kept, and refused unless it holds the same certificate.
func (a *Authority) SaveCertificate(dir string) error {
	path := filepath.Join(dir, FileCACert)
	old, err := LoadCertificate(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return writeNew(path, pemBytes(pemCert, a.cert.Raw))
	case err != nil:
		return err
	case !bytes.Equal(old, a.cert.Raw):
		return fmt.Errorf("%s is another authority's and is not overwritten: move it away first", path)
	}
	return nil
}

// readPEM reads a file of exactly one PEM block of the given type.
func readPEM(path, kind string) ([]byte, error) {
	b, err := ReadSmall(path)
	if err != nil {
		return nil, err
	}
	defer clear(b)
	block, rest := pem.Decode(b)
	if block == nil || block.Type != kind || len(strings.TrimSpace(string(rest))) != 0 {
		return nil, fmt.Errorf("%s does not hold exactly one PEM block %q", path, kind)
	}
	return block.Bytes, nil
}

// ReadSmall reads a file of certificates or keys, which has at most 64 KiB.
func ReadSmall(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(b) > maxFile {
		err = fmt.Errorf("%s is larger than %d bytes", path, maxFile)
	}
	if err != nil {
		clear(b)
		return nil, err
	}
	return b, nil
}

func pemBytes(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// savePair writes the key first: a certificate without its key would look like a whole identity.
func savePair(dir, crtName string, crtDER []byte, keyName string, keyDER []byte) error {
	key := pemBytes(pemKey, keyDER)
	defer clear(key)
	return saveFiles(dir, file{keyName, key}, file{crtName, pemBytes(pemCert, crtDER)})
}

// file is a file to be: its name in its folder, and what it holds.
type file struct {
	name string
	data []byte
}

// saveFiles writes files in their order, or none if one of them is there already.
func saveFiles(dir string, files ...file) error {
	for _, f := range files {
		path := filepath.Join(dir, f.name)
		if _, err := os.Lstat(path); err == nil {
			return fmt.Errorf("%s is there already and is not overwritten: move it away first", path)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	for _, f := range files {
		if err := writeNew(filepath.Join(dir, f.name), f.data); err != nil {
			return err
		}
	}
	return nil
}

// writeNew writes a file with mode 0600 that is either whole or not there, and never replaces one.
func writeNew(path string, b []byte) error {
	return write(path, b, func(*os.File) error { return nil }, place)
}

// write makes a file whole beside its place, with mode 0600 unless prepare changes it, and has name put it there.
func write(path string, b []byte, prepare func(*os.File) error, name func(temporary, path string) error) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".new-*") // mode 0600
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	defer os.Remove(f.Name()) //nolint:errcheck // gone already if it was renamed
	if err = prepare(f); err == nil {
		_, err = f.Write(b)
	}
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = name(f.Name(), path)
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
