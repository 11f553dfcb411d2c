package identity

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"filippo.io/age"
	"filippo.io/age/armor"
)

const testPass = "correct horse battery staple"

func TestSealedAuthority(t *testing.T) {
	a, dir := newAuthority(t), t.TempDir()
	if _, err := Sealed(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if err := a.SaveSealed(dir, Secret("short")); err == nil || !strings.Contains(err.Error(), "at least 12") {
		t.Error(err)
	}
	const light = 10 // scrypt of a millisecond
	if err := a.saveSealed(dir, Secret(testPass), light); err != nil {
		t.Fatal(err)
	}
	if sealed, err := Sealed(dir); err != nil || !sealed {
		t.Error(sealed, err)
	}
	path := filepath.Join(dir, "ca.key.age")
	text, err := os.ReadFile(path)
	if err != nil || !strings.HasPrefix(string(text), "-----BEGIN AGE ENCRYPTED FILE-----\n") {
		t.Error(string(text), err)
	}
	if err := CheckPrivate(path); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "ca.key")); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the plain key is there, too:", err)
	}
	b, err := LoadSealedAuthority(dir, Secret(testPass))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b.Certificate(), a.Certificate()) || !b.key().Equal(a.key()) {
		t.Error("another authority came back")
	}
	for _, wrong := range []string{"", testPass + " ", testPass[1:]} {
		if _, err := LoadSealedAuthority(dir, Secret(wrong)); !errors.Is(err, ErrPassphrase) {
			t.Errorf("%q: %v", wrong, err)
		}
	}
	if err := a.saveSealed(dir, Secret(testPass), light); err == nil {
		t.Error("overwrote an authority")
	}
	if err := a.Save(t.TempDir()); err != nil {
		t.Fatal(err)
	}

	if err := os.WriteFile(filepath.Join(dir, "ca.key"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Sealed(dir); err == nil || !strings.Contains(err.Error(), "both") {
		t.Error(err)
	}
}

// SaveSealed is what people use: its work factor is one that LoadSealedAuthority takes.
func TestSealWork(t *testing.T) {
	a, dir := newAuthority(t), t.TempDir()
	if err := a.SaveSealed(dir, Secret(testPass)); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadSealedAuthority(dir, Secret(testPass)); err != nil {
		t.Fatal(err)
	}
}

func TestUnsealRefuses(t *testing.T) {
	sealed, err := seal([]byte("text"), Secret(testPass), 10)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := unseal(sealed, Secret(testPass)); err != nil || string(b) != "text" {
		t.Fatal(string(b), err)
	}
	binary, err := io.ReadAll(armor.NewReader(bytes.NewReader(sealed)))
	if err != nil {
		t.Fatal(err)
	}
	// The work is looked at before it is done.
	dear := regexp.MustCompile(`(-> scrypt \S+) 10\n`).ReplaceAll(binary, fmt.Appendf(nil, "${1} %d\n", maxSealWork+1))
	if bytes.Equal(dear, binary) {
		t.Fatal("the work factor is not where it was")
	}
	if _, err := unseal(dear, Secret(testPass)); err == nil || !strings.Contains(err.Error(), "work factor too large") {
		t.Error(err)
	}
	x, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	var forKey bytes.Buffer
	w, err := age.Encrypt(&forKey, x.Recipient())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	spoiled := bytes.Clone(sealed)
	spoiled[len(spoiled)-50] ^= 1
	for name, b := range map[string][]byte{
		"for a key": forKey.Bytes(), "spoiled": spoiled, "empty": nil, "another text": []byte("hello"),
		"cut": sealed[:len(sealed)/2],
	} {
		if _, err := unseal(b, Secret(testPass)); err == nil || errors.Is(err, ErrPassphrase) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
