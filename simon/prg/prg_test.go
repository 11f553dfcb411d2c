package prg

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/hex"
	"testing"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// NIST SP 800-38A, F.5.5: CTR-AES256.Encrypt. The stream starts at counter 0, the vectors do not, so they test the
// construction (block cipher, counter order); TestStream ties the stream to it.
const (
	sp800Key     = "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4"
	sp800Counter = "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"
	sp800Plain   = "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51" +
		"30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"
	sp800Cipher = "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5" +
		"2b0930daa23de94ce87017ba2d84988ddfc9c58db67aada613c2dd08457941a6"
)

func TestCounterMode(t *testing.T) {
	b, err := aes.NewCipher(unhex(t, sp800Key))
	if err != nil {
		t.Fatal(err)
	}
	s := ctr{cipher.NewCTR(b, unhex(t, sp800Counter))}
	mask := bytes.Repeat([]byte{0xaa}, 64) // what was in dst must not matter
	s.Fill(mask)
	plain, want := unhex(t, sp800Plain), unhex(t, sp800Cipher)
	for i := range mask {
		if mask[i]^plain[i] != want[i] {
			t.Fatalf("byte %d of the key stream is %02x, want %02x", i, mask[i], plain[i]^want[i])
		}
	}
}

// TestStream builds the stream from single blocks: AES-256 of the counter, big endian, from 0.
func TestStream(t *testing.T) {
	key := unhex(t, sp800Key)
	b, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	var want []byte
	for i := range 300 {
		in, out := make([]byte, 16), make([]byte, 16)
		in[14], in[15] = byte(i>>8), byte(i)
		b.Encrypt(out, in)
		want = append(want, out...)
	}
	s, err := New(key)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(want))
	for at, step := 0, 1; at < len(got); step++ { // in pieces of 1, 2, 3, ... bytes
		n := min(step, len(got)-at)
		s.Fill(got[at : at+n])
		at += n
	}
	if !bytes.Equal(got, want) {
		t.Error("the stream is not AES-256 of 0, 1, 2, ...")
	}
}

func TestKeySize(t *testing.T) {
	for _, n := range []int{0, 16, 24, 31, 33} {
		if _, err := New(make([]byte, n)); err == nil {
			t.Errorf("a key of %d bytes was taken", n)
		}
	}
}
