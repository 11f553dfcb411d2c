package identity

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	day = 24 * time.Hour
	t0  = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
)

func newAuthority(t testing.TB) *Authority {
	t.Helper()
	a, err := NewAuthority("Consortium", t0.Add(-day), t0.Add(3650*day))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func newIdentity(t testing.TB, a *Authority) *Identity {
	t.Helper()
	i, err := New(a, "alice", "Universitätsklinikum A", t0, t0.Add(MaxLifetime))
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func roots(t testing.TB, as ...*Authority) Roots {
	t.Helper()
	var ders [][]byte
	for _, a := range as {
		ders = append(ders, a.Certificate())
	}
	r, err := NewRoots(ders...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// RFC 8032, section 7.2, all four.
func TestEd25519ctxVectors(t *testing.T) {
	for _, v := range []struct{ secret, public, msg, context, sig string }{
		{
			"0305334e381af78f141cb666f6199f57bc3495335a256a95bd2a55bf546663f6", "dfc9425e4f968f7f0c29f0259cf5f9aed6851c2bb4ad8bfb860cfee0ab248292",
			"f726936d19c800494e3fdaff20b276a8", "foo",
			"55a4cc2f70a54e04288c5f4cd1e45a7bb520b36292911876cada7323198dd87a8b36950b95130022907a7fb7c4e9b2d5f6cca685a587b4b21f4b888e4e7edb0d",
		},
		{
			"0305334e381af78f141cb666f6199f57bc3495335a256a95bd2a55bf546663f6", "dfc9425e4f968f7f0c29f0259cf5f9aed6851c2bb4ad8bfb860cfee0ab248292",
			"f726936d19c800494e3fdaff20b276a8", "bar",
			"fc60d5872fc46b3aa69f8b5b4351d5808f92bcc044606db097abab6dbcb1aee3216c48e8b3b66431b5b186d1d28f8ee15a5ca2df6668346291c2043d4eb3e90d",
		},
		{
			"0305334e381af78f141cb666f6199f57bc3495335a256a95bd2a55bf546663f6", "dfc9425e4f968f7f0c29f0259cf5f9aed6851c2bb4ad8bfb860cfee0ab248292",
			"508e9e6882b979fea900f62adceaca35", "foo",
			"8b70c1cc8310e1de20ac53ce28ae6e7207f33c3295e03bb5c0732a1d20dc64908922a8b052cf99b7c4fe107a5abb5b2c4085ae75890d02df26269d8945f84b0b",
		},
		{
			"ab9c2853ce297ddab85c993b3ae14bcad39b2c682beabc27d6d4eb20711d6560", "0f1d1274943b91415889152e893d80e93275a1fc0b65fd71b4b0dda10ad7d772",
			"f726936d19c800494e3fdaff20b276a8", "foo",
			"21655b5f1aa965996b3f97b3c849eafba922a0a62992f73b3d1b73106a84ad85e9b86a7b6005ea868337ff2d20a7f5fbd4cd10b0be49a68da2b2e0dc0ad8960f",
		},
	} {
		key := ed25519.NewKeyFromSeed(unhex(t, v.secret))
		public, msg, sig := unhex(t, v.public), unhex(t, v.msg), unhex(t, v.sig)
		if got := sign(key, Context(v.context), msg); !bytes.Equal(got, sig) {
			t.Errorf("context %s: signature %x", v.context, got)
		}
		if err := verify(public, Context(v.context), msg, sig); err != nil {
			t.Errorf("context %s: %v", v.context, err)
		}
		if err := verify(public, Context(v.context+"x"), msg, sig); err == nil {
			t.Errorf("context %s: verifies in another", v.context)
		}
	}
}

func TestSignAndVerify(t *testing.T) {
	a := newAuthority(t)
	i, other := newIdentity(t, a), newIdentity(t, a)
	msg := []byte("message")
	for _, c := range contexts {
		sig := i.Sign(c, msg)
		for _, d := range contexts {
			if err := Verify(i.Leaf.Key, d, msg, sig); (err == nil) != (c == d) {
				t.Errorf("signed in %s, verified in %s: %v", c, d, err)
			}
		}
		if ed25519.Verify(i.Leaf.Key, msg, sig) {
			t.Errorf("%s: a plain Ed25519 verifier accepts it", c)
		}
		for name, err := range map[string]error{
			"another message": Verify(i.Leaf.Key, c, []byte("massage"), sig),
			"another key":     Verify(other.Leaf.Key, c, msg, sig),
			"a short key":     Verify(i.Leaf.Key[:31], c, msg, sig),
			"no key":          Verify(nil, c, msg, sig),
			"a short sig":     Verify(i.Leaf.Key, c, msg, sig[:63]),
			"a long sig":      Verify(i.Leaf.Key, c, msg, append(sig, 0)),
			"no sig":          Verify(i.Leaf.Key, c, msg, nil),
			"no context":      Verify(i.Leaf.Key, "", msg, sig),
		} {
			if err == nil {
				t.Errorf("%s: %s verifies", c, name)
			}
		}
	}
	plain := ed25519.Sign(i.key(), msg)
	if Verify(i.Leaf.Key, "", msg, plain) == nil {
		t.Error("a plain signature verifies")
	}
	defer func() {
		if recover() == nil {
			t.Error("signed in an unknown context")
		}
	}()
	i.Sign("tls", msg)
}

func TestIssueAndVerify(t *testing.T) {
	a, stranger := newAuthority(t), newAuthority(t)
	i := newIdentity(t, a)
	l := i.Leaf
	if l.Name != "alice" || l.Organisation != "Universitätsklinikum A" || !l.NotBefore.Equal(t0) || !l.NotAfter.Equal(t0.Add(MaxLifetime)) || l.NotAfter.Location() != time.UTC {
		t.Errorf("got %+v", l)
	}
	if l.FP != sha256.Sum256(l.cert.RawSubjectPublicKeyInfo) || l.FP != FingerprintOf(l.Key) || i.FP() != l.FP || i.Name() != "alice" {
		t.Error("fingerprint is not that of the certificate's SubjectPublicKeyInfo")
	}
	if len(l.DER) > MaxLeaf/3 {
		t.Errorf("%d bytes", len(l.DER))
	}
	own := roots(t, a)
	for _, v := range []struct {
		name string
		now  time.Time
		ok   bool
	}{
		{"one second early", t0.Add(-time.Second), false},
		{"first moment", t0, true},
		{"last moment", t0.Add(MaxLifetime), true},
		{"one second late", t0.Add(MaxLifetime + time.Second), false},
		{"no time", time.Time{}, false},
	} {
		if err := own.Verify(l, v.now); (err == nil) != v.ok {
			t.Errorf("%s: %v", v.name, err)
		}
	}
	if err := roots(t, stranger, a).Verify(l, t0); err != nil {
		t.Errorf("two authorities: %v", err)
	}
	if err := roots(t, stranger).Verify(l, t0); err == nil {
		t.Error("another authority of the same name is believed")
	}
	if err := (Roots{}).Verify(l, t0); err == nil {
		t.Error("no authority is believed")
	}
	if err := own.Verify(&Leaf{Name: l.Name, Key: l.Key, DER: l.DER}, t0); err == nil {
		t.Error("a Leaf that nobody parsed is believed")
	}
	if err := own.Verify(nil, t0); err == nil {
		t.Error("nil is believed")
	}
}

func TestIssueRefuses(t *testing.T) {
	a := newAuthority(t)
	pub := newIdentity(t, a).Leaf.Key
	end := t0.Add(day)
	for name, issue := range map[string]func() ([]byte, error){
		"empty name":         func() ([]byte, error) { return a.Issue("", "O", pub, t0, end) },
		"upper case":         func() ([]byte, error) { return a.Issue("Alice", "O", pub, t0, end) },
		"two tokens":         func() ([]byte, error) { return a.Issue("a.b", "O", pub, t0, end) },
		"64 characters":      func() ([]byte, error) { return a.Issue(strings.Repeat("a", 64), "O", pub, t0, end) },
		"no organisation":    func() ([]byte, error) { return a.Issue("a", "", pub, t0, end) },
		"long organisation":  func() ([]byte, error) { return a.Issue("a", strings.Repeat("o", 65), pub, t0, end) },
		"terminal escape":    func() ([]byte, error) { return a.Issue("a", "\x1b[2J", pub, t0, end) },
		"right to left":      func() ([]byte, error) { return a.Issue("a", "a\u202eb", pub, t0, end) },
		"short key":          func() ([]byte, error) { return a.Issue("a", "O", pub[:31], t0, end) },
		"31 days":            func() ([]byte, error) { return a.Issue("a", "O", pub, t0, t0.Add(31*day)) },
		"backwards":          func() ([]byte, error) { return a.Issue("a", "O", pub, end, t0) },
		"before authority":   func() ([]byte, error) { return a.Issue("a", "O", pub, t0.Add(-2*day), t0) },
		"after authority":    func() ([]byte, error) { return a.Issue("a", "O", pub, t0.Add(3650*day), t0.Add(3651*day)) },
		"authority's expiry": func() ([]byte, error) { return a.Issue("a", "O", pub, t0.Add(3640*day), t0.Add(3650*day+time.Second)) },
	} {
		if _, err := issue(); err == nil {
			t.Errorf("%s: issued", name)
		}
	}
	longest := strings.Repeat("z", 63)
	if der, err := a.Issue(longest, strings.Repeat("界", 64), pub, t0, end); err != nil || len(der) > MaxLeaf {
		t.Errorf("the longest names: %v, %d bytes", err, len(der))
	}
}

// leafTemplate is what Issue makes; tests bend one thing.
func leafTemplate() *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "alice", Organization: []string{"O"}},
		NotBefore: t0, NotAfter: t0.Add(day), KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true,
		UnknownExtKeyUsage: []asn1.ObjectIdentifier{usageParty},
	}
}

func bent(t testing.TB, a *Authority, pub any, bend func(*x509.Certificate)) []byte {
	t.Helper()
	c := leafTemplate()
	bend(c)
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, pub, a.key())
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestParseLeafRefuses(t *testing.T) {
	a := newAuthority(t)
	pub := newIdentity(t, a).Leaf.Key
	good := bent(t, a, pub, func(*x509.Certificate) {})
	if _, err := ParseLeaf(good); err != nil {
		t.Fatal(err)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, der := range map[string][]byte{
		"nothing":              nil,
		"trailing byte":        append(bytes.Clone(good), 0),
		"two certificates":     append(bytes.Clone(good), good...),
		"cut":                  good[:len(good)-1],
		"the authority itself": a.Certificate(),
		"P-256 key":            bent(t, a, ec.Public(), func(*x509.Certificate) {}),
		"authority":            bent(t, a, pub, func(c *x509.Certificate) { c.IsCA = true }),
		"no constraints":       bent(t, a, pub, func(c *x509.Certificate) { c.BasicConstraintsValid = false }),
		"no key usage":         bent(t, a, pub, func(c *x509.Certificate) { c.KeyUsage = 0 }),
		"signs certificates":   bent(t, a, pub, func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageCertSign }),
		"no usage":             bent(t, a, pub, func(c *x509.Certificate) { c.UnknownExtKeyUsage = nil }),
		"another usage":        bent(t, a, pub, func(c *x509.Certificate) { c.UnknownExtKeyUsage[0] = asn1.ObjectIdentifier{1, 2, 3} }),
		"TLS client too":       bent(t, a, pub, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }),
		"any usage":            bent(t, a, pub, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny} }),
		"name in upper case":   bent(t, a, pub, func(c *x509.Certificate) { c.Subject.CommonName = "Alice" }),
		"name of two tokens":   bent(t, a, pub, func(c *x509.Certificate) { c.Subject.CommonName = "a.b" }),
		"wildcard":             bent(t, a, pub, func(c *x509.Certificate) { c.Subject.CommonName = "*" }),
		"no name":              bent(t, a, pub, func(c *x509.Certificate) { c.Subject.CommonName = "" }),
		"no organisation":      bent(t, a, pub, func(c *x509.Certificate) { c.Subject.Organization = nil }),
		"two organisations":    bent(t, a, pub, func(c *x509.Certificate) { c.Subject.Organization = []string{"O", "P"} }),
		"two names": bent(t, a, pub, func(c *x509.Certificate) {
			c.Subject.ExtraNames = []pkix.AttributeTypeAndValue{{Type: oidCommonName, Value: "alice"}, {Type: oidCommonName, Value: "bob"}, {Type: oidOrganisation, Value: "O"}}
		}),
		"critical extension": bent(t, a, pub, func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}}}
		}),
		"too large": bent(t, a, pub, func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Value: make([]byte, MaxLeaf)}}
		}),
	} {
		if l, err := ParseLeaf(der); err == nil {
			t.Errorf("%s: read as %+v", name, l)
		}
	}
}

func TestVerifyRefuses(t *testing.T) {
	a := newAuthority(t)
	i := newIdentity(t, a)
	r := roots(t, a)
	long, err := ParseLeaf(bent(t, a, i.Leaf.Key, func(c *x509.Certificate) { c.NotAfter = t0.Add(31 * day) }))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Verify(long, t0); err == nil {
		t.Error("a certificate of 31 days is believed")
	}
	forged := bytes.Clone(i.Leaf.DER)
	forged[len(forged)-1] ^= 1 // in the signature
	l, err := ParseLeaf(forged)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Verify(l, t0); err == nil {
		t.Error("a certificate with a broken signature is believed")
	}
	// A party signs a certificate for somebody else.
	c := leafTemplate()
	c.Subject.CommonName = "bob"
	der, err := x509.CreateCertificate(rand.Reader, c, i.Leaf.cert, i.Leaf.Key, i.key())
	if err != nil {
		t.Fatal(err)
	}
	if l, err = ParseLeaf(der); err != nil {
		t.Fatal(err)
	}
	if err := r.Verify(l, t0); err == nil {
		t.Error("a certificate signed by a party is believed")
	}
	// The authority outlived itself.
	short, err := NewAuthority("Consortium", t0.Add(-day), t0.Add(day))
	if err != nil {
		t.Fatal(err)
	}
	if l, err = ParseLeaf(bent(t, short, i.Leaf.Key, func(c *x509.Certificate) { c.NotAfter = t0.Add(10 * day) })); err != nil {
		t.Fatal(err)
	}
	if err := roots(t, short).Verify(l, t0.Add(2*day)); err == nil {
		t.Error("an expired authority is believed")
	}
}

func TestNewRootsRefuses(t *testing.T) {
	a := newAuthority(t)
	for name, ders := range map[string][][]byte{
		"none":           {},
		"nothing":        {nil},
		"a party's":      {newIdentity(t, a).Leaf.DER},
		"trailing bytes": {append(a.Certificate(), 0)},
		"one bad":        {a.Certificate(), {1, 2, 3}},
	} {
		if _, err := NewRoots(ders...); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestFromKeyRefuses(t *testing.T) {
	a := newAuthority(t)
	i, j := newIdentity(t, a), newIdentity(t, a)
	mixed := append(bytes.Clone(j.key()[:32]), i.Leaf.Key...) // claims i's public key
	for name, key := range map[string]ed25519.PrivateKey{"another's": j.key(), "short": i.key()[:32], "none": nil, "mixed": mixed} {
		if _, err := FromKey(i.Leaf.DER, key); err == nil {
			t.Errorf("%s key: taken", name)
		}
	}
	if _, err := FromKey(i.Leaf.DER, i.key()); err != nil {
		t.Error(err)
	}
}

func TestSaveAndLoad(t *testing.T) {
	a := newAuthority(t)
	i := newIdentity(t, a)
	dir := t.TempDir()
	if err := i.Save(dir); err != nil {
		t.Fatal(err)
	}
	if err := a.Save(dir); err != nil {
		t.Fatal(err)
	}
	crt, key := filepath.Join(dir, "identity.crt"), filepath.Join(dir, "identity.key")
	j, err := LoadIdentity(crt, key)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(j.Leaf.DER, i.Leaf.DER) || !j.key().Equal(i.key()) {
		t.Error("another identity came back")
	}
	b, err := LoadAuthority(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a.Certificate(), b.Certificate()) || !a.key().Equal(b.key()) {
		t.Error("another authority came back")
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 4 {
		t.Errorf("%d files are left: %v", len(entries), err)
	}
	for _, e := range entries {
		if st, err := e.Info(); err != nil || runtime.GOOS != "windows" && st.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %o, %v", e.Name(), st.Mode(), err)
		}
	}

	before, _ := os.ReadFile(key)
	if err := newIdentity(t, a).Save(dir); err == nil {
		t.Error("overwrote an identity")
	}
	if err := os.Remove(crt); err != nil {
		t.Fatal(err)
	}
	if err := newIdentity(t, a).Save(dir); err == nil {
		t.Error("overwrote a lone key")
	}
	if after, _ := os.ReadFile(key); !bytes.Equal(before, after) {
		t.Error("the key changed")
	}
	if err := newAuthority(t).Save(dir); err == nil {
		t.Error("overwrote an authority")
	}
	if err := place(key, filepath.Join(dir, "ca.key")); err == nil {
		t.Error("a file took a name that was taken meanwhile")
	}
	if _, err := LoadIdentity(filepath.Join(dir, "ca.crt"), key); err == nil {
		t.Error("loaded an authority's certificate as a party's")
	}
}

func TestLoadRefuses(t *testing.T) {
	a := newAuthority(t)
	i := newIdentity(t, a)
	for name, spoil := range map[string]func(crt, key string) error{
		"open key": func(_, key string) error { return os.Chmod(key, 0o644) },
		"another's key": func(_, key string) error {
			der, err := newIdentity(t, a).MarshalPKCS8()
			if err != nil {
				return err
			}
			return os.WriteFile(key, pemOf(pemKey, der), 0o600)
		},
		"no key":         func(_, key string) error { return os.Remove(key) },
		"no certificate": func(crt, _ string) error { return os.Remove(crt) },
		"two blocks": func(crt, _ string) error {
			return os.WriteFile(crt, append(pemOf(pemCert, i.Leaf.DER), pemOf(pemCert, i.Leaf.DER)...), 0o600)
		},
		"swapped block": func(crt, _ string) error { return os.WriteFile(crt, pemOf(pemKey, i.Leaf.DER), 0o600) },
		"garbage":       func(_, key string) error { return os.WriteFile(key, pemOf(pemKey, []byte{1, 2, 3}), 0o600) },
		"huge":          func(crt, _ string) error { return os.WriteFile(crt, make([]byte, maxFile+1), 0o600) },
	} {
		if name == "open key" && runtime.GOOS == "windows" {
			continue // no mode bits there
		}
		dir := t.TempDir()
		if err := i.Save(dir); err != nil {
			t.Fatal(err)
		}
		crt, key := filepath.Join(dir, "identity.crt"), filepath.Join(dir, "identity.key")
		if err := spoil(crt, key); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadIdentity(crt, key); err == nil {
			t.Errorf("%s: loaded", name)
		}
	}
}

func TestNothingPrintsSecrets(t *testing.T) {
	a := newAuthority(t)
	i := newIdentity(t, a)
	type holder struct {
		Named  Secret
		hidden *Identity
		plain  Identity
		ca     *Authority
	}
	der, err := i.MarshalPKCS8()
	if err != nil {
		t.Fatal(err)
	}
	s := Secret("a very secret secret")
	h := holder{s, i, *i, a}
	var out bytes.Buffer
	for _, v := range []any{s, &s, der, i, *i, a, *a, h, &h, []Secret{s}, map[string]Secret{"k": s}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o", "%b"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		if j, err := json.Marshal(v); err == nil {
			out.Write(j)
		}
		slog.New(slog.NewTextHandler(&out, nil)).Info("x", "v", v)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "v", v)
	}
	seeds := [][]byte{s, i.key()[:32], (a.key())[:32]}
	for _, seed := range seeds {
		dec := strings.Trim(fmt.Sprint([]byte(seed)), "[]")
		for _, form := range []string{string(seed), hex.EncodeToString(seed), strings.ToUpper(hex.EncodeToString(seed)), dec, strings.ReplaceAll(dec, " ", ", ")} {
			if strings.Contains(out.String(), form) {
				t.Errorf("printed as %q", form)
			}
		}
	}
	for got, want := range map[string]string{s.String(): hidden, s.GoString(): hidden, fmt.Sprintf("%x", s): hidden, s.LogValue().String(): hidden} {
		if got != want {
			t.Errorf("got %q", got)
		}
	}
	if b, err := s.MarshalText(); err != nil || string(b) != hidden {
		t.Error(string(b), err)
	}
	if b, err := json.Marshal(map[string]any{"k": s}); err != nil || string(b) != `{"k":"[secret]"}` {
		t.Error(string(b), err)
	}
}

func TestFingerprint(t *testing.T) {
	f := FingerprintOf(bytes.Repeat([]byte{1}, 32))
	g, err := ParseFingerprint(f.String())
	if err != nil || g != f {
		t.Error(g, err)
	}
	for _, bad := range []string{"", f.String()[1:], f.String() + "0", strings.ToUpper(f.String()), strings.Repeat("g", 64)} {
		if _, err := ParseFingerprint(bad); err == nil {
			t.Errorf("%q is read", bad)
		}
	}
	low, high := Fingerprint{0: 1}, Fingerprint{0: 2}
	if low.Compare(high) != -1 || high.Compare(low) != 1 || low.Compare(low) != 0 {
		t.Error("order")
	}
	b, err := json.Marshal(f)
	if err != nil || string(b) != `"`+f.String()+`"` {
		t.Error(string(b), err)
	}
	var back Fingerprint
	if err := json.Unmarshal(b, &back); err != nil || back != f {
		t.Error(back, err)
	}
}

func TestCheckName(t *testing.T) {
	for _, ok := range []string{"a", "0", "alice", "site-7", strings.Repeat("a", 63)} {
		if err := CheckName(ok); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{"", "A", "a.b", "a b", "*", ">", "ä", "a_b", "a\x00", strings.Repeat("a", 64)} {
		if err := CheckName(bad); err == nil {
			t.Errorf("%q is a name", bad)
		}
	}
}
