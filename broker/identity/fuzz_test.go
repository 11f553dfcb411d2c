package identity

import (
	"bytes"
	"crypto/sha256"
	"encoding/pem"
	"testing"
)

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func FuzzParseLeaf(f *testing.F) {
	a := newAuthority(f)
	i := newIdentity(f, a)
	r := roots(f, a)
	f.Add(i.Leaf.DER)
	f.Add(a.Certificate())
	f.Add(i.Leaf.DER[:len(i.Leaf.DER)/2])
	f.Add([]byte{0x30, 0x84, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, der []byte) {
		l, err := ParseLeaf(der)
		if err != nil {
			return
		}
		if !bytes.Equal(l.DER, der) || len(der) > MaxLeaf {
			t.Error("it is not what was read")
		}
		if CheckName(l.Name) != nil || CheckOrganisation(l.Organisation) != nil || l.FP != sha256.Sum256(l.cert.RawSubjectPublicKeyInfo) {
			t.Errorf("read %+v", l)
		}
		if r.Verify(l, t0) == nil && !bytes.Equal(l.cert.RawTBSCertificate, i.Leaf.cert.RawTBSCertificate) {
			t.Error("a certificate that the authority never issued is believed")
		}
	})
}

func FuzzParseFingerprint(f *testing.F) {
	f.Add(Fingerprint{1, 2, 3}.String())
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		if fp, err := ParseFingerprint(s); err == nil && fp.String() != s {
			t.Errorf("%q comes back as %s", s, fp)
		}
	})
}
