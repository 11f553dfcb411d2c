package identity

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"filippo.io/age"
	"filippo.io/age/armor"
)

const (
	// MinPassphrase is the fewest bytes of a passphrase. The file may be attacked offline for years; four words have more.
	MinPassphrase = 12

	// The work of one guess is 2^18 steps of scrypt: a second or less, and 256 MiB of memory. A file that asks for more than
	// 2^20, one GiB, is not ours.
	sealWork    = 18
	maxSealWork = 20
)

// ErrPassphrase says that the passphrase is not the one that the authority's key was sealed with.
var ErrPassphrase = errors.New("the passphrase is wrong")

// SaveSealed is Save with the key encrypted under a passphrase: it writes ca.crt and ca.key.age. The latter is a file of
// the age tool, so that "age -d ca.key.age > ca.key" opens it without weft.
func (a *Authority) SaveSealed(dir string, passphrase Secret) error {
	if len(passphrase) < MinPassphrase {
		return fmt.Errorf("the passphrase has %d characters, at least %d are needed: take four words or more", len(passphrase), MinPassphrase)
	}
	return a.saveSealed(dir, passphrase, sealWork)
}

func (a *Authority) saveSealed(dir string, passphrase Secret, work int) error {
	der, err := x509.MarshalPKCS8PrivateKey(a.key())
	if err != nil {
		return fmt.Errorf("encoding the authority's key: %w", err)
	}
	defer clear(der)
	plain := pem.EncodeToMemory(&pem.Block{Type: pemKey, Bytes: der})
	defer clear(plain)
	sealed, err := seal(plain, passphrase, work)
	if err != nil {
		return fmt.Errorf("sealing the authority's key: %w", err)
	}
	return saveFiles(dir, file{FileCAKeySealed, sealed}, file{FileCACert, pemBytes(pemCert, a.cert.Raw)})
}

// Sealed tells whether the authority in the folder dir has its key behind a passphrase. It is an error if it has both a
// plain and a sealed key: one of them was meant to be gone. If it has none, the error is fs.ErrNotExist.
func Sealed(dir string) (bool, error) {
	plain, sealed := filepath.Join(dir, FileCAKey), filepath.Join(dir, FileCAKeySealed)
	_, errPlain := os.Stat(plain)
	_, errSealed := os.Stat(sealed)
	switch {
	case errPlain == nil && errSealed == nil:
		return false, fmt.Errorf("there are both %s and %s: keep the one that belongs to ca.crt and move the other away", plain, sealed)
	case errSealed == nil:
		return true, nil
	}
	return false, errPlain
}

// LoadSealedAuthority reads ca.crt and ca.key.age from the folder dir. The error is ErrPassphrase if the passphrase is
// not the one of SaveSealed.
func LoadSealedAuthority(dir string, passphrase Secret) (*Authority, error) {
	a, err := loadSealed(dir, passphrase)
	if err != nil {
		return nil, fmt.Errorf("loading authority: %w", err)
	}
	return a, nil
}

func loadSealed(dir string, passphrase Secret) (*Authority, error) {
	crt, err := readPEM(filepath.Join(dir, FileCACert), pemCert)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, FileCAKeySealed)
	if err := CheckPrivate(path); err != nil {
		return nil, err
	}
	sealed, err := ReadSmall(path)
	if err != nil {
		return nil, err
	}
	plain, err := unseal(sealed, passphrase)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	defer clear(plain)
	block, rest := pem.Decode(plain)
	if block == nil || block.Type != pemKey || len(bytes.TrimSpace(rest)) != 0 {
		return nil, fmt.Errorf("%s does not hold exactly one PEM block %q", path, pemKey)
	}
	defer clear(block.Bytes)
	key, err := parsePKCS8(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return authority(crt, key)
}

func seal(plain []byte, passphrase Secret, work int) ([]byte, error) {
	r, err := age.NewScryptRecipient(string(passphrase))
	if err != nil {
		return nil, err
	}
	r.SetWorkFactor(work)
	var out bytes.Buffer
	text := armor.NewWriter(&out)
	w, err := age.Encrypt(text, r)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(plain); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	if err := text.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// unseal reads what seal wrote, and what the age tool does.
func unseal(sealed []byte, passphrase Secret) ([]byte, error) {
	i, err := age.NewScryptIdentity(string(passphrase))
	if err != nil {
		return nil, ErrPassphrase // it is empty
	}
	i.SetMaxWorkFactor(maxSealWork)
	var in io.Reader = bytes.NewReader(sealed)
	if strings.HasPrefix(strings.TrimSpace(string(sealed)), armor.Header) {
		in = armor.NewReader(in)
	}
	r, err := age.Decrypt(in, i)
	var wrong *age.NoIdentityMatchError
	switch {
	case errors.As(err, &wrong) && len(wrong.StanzaTypes) == 1 && wrong.StanzaTypes[0] == "scrypt":
		return nil, ErrPassphrase
	case err != nil:
		return nil, fmt.Errorf("opening it: %w", err)
	}
	plain, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		clear(plain)
		return nil, fmt.Errorf("opening it: %w", err)
	}
	return plain, nil
}
