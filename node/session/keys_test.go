package session

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"github.com/weftmpc/weft/broker/identity"
	"github.com/weftmpc/weft/simon"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func fill32(b byte) [32]byte { return [32]byte(bytes.Repeat([]byte{b}, 32)) }

// RFC 5869, appendix A.1 and A.2.
func TestHKDF(t *testing.T) {
	long := make([]byte, 80)
	for i := range long {
		long[i] = byte(i)
	}
	shift := func(by byte) []byte {
		b := bytes.Clone(long)
		for i := range b {
			b[i] += by
		}
		return b
	}
	tests := []struct {
		ikm, salt, info []byte
		prk, okm        string
	}{
		{
			bytes.Repeat([]byte{0x0b}, 22), long[:13], unhex(t, "f0f1f2f3f4f5f6f7f8f9"),
			"077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5",
			"3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
		},
		{
			long, shift(0x60), shift(0xb0),
			"06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244",
			"b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87",
		},
	}
	for _, v := range tests {
		prk, err := hkdf.Extract(sha256.New, v.ikm, v.salt)
		if err != nil || hex.EncodeToString(prk) != v.prk {
			t.Errorf("extract: %x, %v", prk, err)
		}
		okm, err := hkdf.Expand(sha256.New, prk, string(v.info), len(v.okm)/2)
		if err != nil || hex.EncodeToString(okm) != v.okm {
			t.Errorf("expand: %x, %v", okm, err)
		}
	}
}

// testLabel is vector y of round 5 in the fourth call, of gate, in the first call, of sum.
func testLabel() string {
	path := appendPath(appendPath(nil, "sum", 0), "gate", 3)
	return string(labelBytes(path, simon.Label{Round: 5, Vector: "y"}))
}

// The expected values were computed with Python's hmac and hashlib from the formulas.
func TestDeriveKey(t *testing.T) {
	if got, want := hex.EncodeToString([]byte(testLabel())), "000000170000000373756d00000000000000046761746500000003000000050000000179"; got != want {
		t.Errorf("label %s, want %s", got, want)
	}
	var prk [32]byte
	for i := range prk {
		prk[i] = byte(i)
	}
	a, b := identity.Fingerprint(fill32(0xaa)), identity.Fingerprint(fill32(0xbb))
	for _, v := range []struct{ purpose, label, key string }{
		{purposeSeal, "", "3cfdafe22132e36b154cf87192fb69b0f5de1d3e4059f33d7e71fcf22f513203"},
		{purposeMask, testLabel(), "fa7395bb76b43c08b6ca52c4277eacd42d529d68bcc6efe8b888135790355210"},
		{purposeDeal, testLabel(), "c8155a407fc0ffe0e80cbed0bb6fefd6ca117d5cfdd7f4d783fcdfa3b8507015"},
		{purposeOpen, testLabel(), "da8493a94d86b8870c209f891e43a16626478d6f24f7f69da40bc27824cf0f54"},
		{purposeZero, testLabel(), "e880d900a92aeca70e7cf591866590cde3637bae88eb8fd47824672afcd074da"},
		{purposeResend, "", "f6f4b3202fab359011e9b1dd51f885c873e206af0e02c4e83f74e903d59ad378"},
	} {
		if got := deriveKey(&prk, v.purpose, v.label, &a, &b); hex.EncodeToString(got[:]) != v.key {
			t.Errorf("key %s: %x, want %s", v.purpose, got, v.key)
		}
	}
}

func TestTranscript(t *testing.T) {
	th0 := transcriptStart(fill32(0x51))
	var hashes [][32]byte
	var salts [][32]byte
	for i := range byte(3) {
		salt := fill32(i)
		hashes = append(hashes, bodyHash(&salt, append([]byte("body"), '0'+i)))
	}
	th1 := transcriptStep(th0, testLabel(), hashes)
	join := transcriptJoin(th0, [][32]byte{th1, th0})
	for i := range byte(4) {
		salts = append(salts, fill32(i))
	}
	openings := []opening{{[]uint32{2}, salts[2:]}, {[]uint32{0, 7}, salts[1:2]}, {[]uint32{0}, salts[:1]}} // as they came, not as they were called
	rh := resultHash(openings, fill32(9), []byte("opened"))
	for _, v := range []struct {
		name string
		got  [32]byte
		want string
	}{
		{"start", th0, "d24b344d5e119c92413d14962c75bdbfa236aa9a800a09041ca24cb1b7ce140e"},
		{"step", th1, "7bae7f0e255cbf544bf494f12ca7935d7d7b5f71cb452762677715c7f92b937c"},
		{"join", join, "e4737c69ba498dd37b01fa90d92c502a7ef78e7f20e7c8de5c7ba8c65b468c33"},
		{"result", rh, "39e34867234a0098d18a96d708e0ff9354d73949b4f919aa256c893831d63288"},
		{"no opening", resultHash(nil, fill32(9), []byte("opened")), "0000000000000000000000000000000000000000000000000000000000000000"},
	} {
		if hex.EncodeToString(v.got[:]) != v.want {
			t.Errorf("%s: %x, want %s", v.name, v.got, v.want)
		}
	}
}

// Different calls never share a path, however their names are chosen.
func TestPathsDiffer(t *testing.T) {
	paths := map[string]string{}
	for what, path := range map[string][]byte{
		"a, b":       appendPath(appendPath(nil, "a", 0), "b", 0),
		"ab":         appendPath(nil, "ab", 0),
		"a":          appendPath(nil, "a", 0),
		"a again":    appendPath(nil, "a", 1),
		"a, a":       appendPath(appendPath(nil, "a", 0), "a", 0),
		"a that has": appendPath(nil, "a\x00\x00\x00\x00\x00\x00\x00\x01b", 0),
	} {
		if other, ok := paths[string(path)]; ok {
			t.Errorf("%s and %s have one path", what, other)
		}
		paths[string(path)] = what
	}
	if got := describe(testLabel()); got != "sum#0/gate#3/y, round 5" {
		t.Errorf("described as %q", got)
	}
}

// The name of a step is the label of the vectors for its comparisons' keys, which a script has made from the same formula.
func TestNamesAreThoseOfTheVectors(t *testing.T) {
	vectors, err := os.ReadFile("../../simon/fss/testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	c := &call{path: appendPath(appendPath(nil, "sum", 0), "gate", 8)}
	if name := hex.EncodeToString(c.Name(simon.Label{Round: 8, Vector: "thresholds"})); !strings.Contains(string(vectors), `"label": "`+name+`"`) {
		t.Errorf("no vector has the label %s", name)
	}
}
