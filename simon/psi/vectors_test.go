package psi

import (
	"bytes"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/gtank/ristretto255"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestVectors: expand_message_xmd with SHA-512 (RFC 9380, appendix K.3), and hashing to the group, blinding and evaluation of
// ristretto255-SHA512 (RFC 9497, appendix A.1). Evaluation goes through Keyed.Answer.
func TestVectors(t *testing.T) {
	raw, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var v struct {
		Expand struct {
			DST   string
			Tests []struct {
				Message, Bytes string
				Length         int
			}
		}
		Group []struct{ DST, Input, Blind, Blinded, Key, Evaluated string }
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Expand.Tests) < 10 || len(v.Group) < 6 {
		t.Fatalf("%d and %d vectors", len(v.Expand.Tests), len(v.Group))
	}
	for i, c := range v.Expand.Tests {
		got := make([]byte, c.Length)
		expand(got, []byte(c.Message), []byte(v.Expand.DST))
		if hex.EncodeToString(got) != c.Bytes {
			t.Errorf("expansion %d: %x", i, got)
		}
	}
	for i, c := range v.Group {
		var wide [64]byte
		Hasher{unhex(t, c.DST)}.uniform(wide[:], unhex(t, c.Input))
		var blind ristretto255.Scalar
		if err := blind.Decode(unhex(t, c.Blind)); err != nil {
			t.Fatal(err)
		}
		e := new(ristretto255.Element).FromUniformBytes(wide[:])
		got := e.ScalarMult(&blind, e).Encode(nil)
		if hex.EncodeToString(got) != c.Blinded {
			t.Errorf("element %d: %x", i, got)
		}
		if c.Key == "" {
			continue
		}
		k := &Keyed{key: new(Scalar)}
		if err := k.key.s.Decode(unhex(t, c.Key)); err != nil {
			t.Fatal(err)
		}
		if answer, err := k.Answer(got, 1, steady); err != nil || hex.EncodeToString(answer) != c.Evaluated {
			t.Errorf("evaluation %d: %x %v", i, answer, err)
		}
	}
}

// TestGroup: multiples of the generator, encodings that are none, and elements of uniform bytes (RFC 9496, appendices A.1 to
// A.3), the first two as lists that another party sends.
func TestGroup(t *testing.T) {
	one := &Keyed{key: new(Scalar)}
	if err := one.key.s.Decode(append([]byte{1}, make([]byte, 31)...)); err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(one.Public()); got != multiples[1] {
		t.Errorf("the generator is %s", got)
	}
	sum := ristretto255.NewElement()
	for i, m := range multiples {
		if got := hex.EncodeToString(sum.Encode(nil)); got != m {
			t.Errorf("multiple %d is %s", i, got)
		}
		sum.Add(sum, new(ristretto255.Element).Base())
		got, err := one.Answer(unhex(t, m), 1, steady)
		if i == 0 {
			if err != ErrPoint {
				t.Errorf("the identity is taken: %v", err)
			}
		} else if err != nil || hex.EncodeToString(got) != m {
			t.Errorf("1 times multiple %d: %x %v", i, got, err)
		}
	}
	for _, bad := range invalid {
		list := append(unhex(t, multiples[3]), unhex(t, bad)...)
		if _, err := one.Answer(list, 2, steady); err != ErrPoint {
			t.Errorf("%s is answered: %v", bad, err)
		}
		if _, _, err := one.Return(list, 2, 0, 1, steady); err != ErrPoint {
			t.Errorf("%s is returned: %v", bad, err)
		}
		if err := one.CheckPublic(unhex(t, bad), make([]byte, ProofSize), 1); err != ErrPoint {
			t.Errorf("%s is a public point: %v", bad, err)
		}
	}
	for text, want := range uniform {
		wide := sha512.Sum512([]byte(text))
		if got := new(ristretto255.Element).FromUniformBytes(wide[:]).Encode(nil); !bytes.Equal(got, unhex(t, want)) {
			t.Errorf("%q becomes %x", text, got)
		}
	}
}

// TestOwnVectors: what has no official vectors, as another implementation (in Python, with its library's hashes) computes it.
func TestOwnVectors(t *testing.T) {
	var name, sid [32]byte
	var key [32]byte
	for i := range name {
		name[i], sid[i], key[i] = byte(i), byte(i), byte(100+i)
	}
	same := func(what string, got []byte, want string) {
		t.Helper()
		if hex.EncodeToString(got) != want {
			t.Errorf("%s: %x, want %s", what, got, want)
		}
	}
	store := make([]byte, Columns(100)*ValueSize)
	for i := range store {
		store[i] = byte((i*i + 37*i) % 251)
	}
	v := Decode(store, 100, 7, name)
	same("the value of a name", v[:], "b3779aa44ae556e79adb8aab0dd71f51")
	share := make([]byte, ValueSize)
	AddShares(share, &key, [][NameSize]byte{name})
	same("a share of zero", share, "50ebb9df76366d2abbf5513d2d2ab3bb")
	one := &Keyed{hash: NewHasher(sid, "a name"), sid: sid, name: "a name", key: new(Scalar)}
	if err := one.key.s.Decode(append([]byte{1}, make([]byte, 31)...)); err != nil {
		t.Fatal(err)
	}
	generator := unhex(t, multiples[1])
	returned, match, err := one.Return(generator, 1, 0, 1, steady)
	if err != nil {
		t.Fatal(err)
	}
	same("a returned hash", returned, "7345020b4de972f69bfa8364c199eb67")
	same("a returned hash of the other", match, "75f5b39e24992d1fe5c3f71e92d5f9df")
	// Blinded, the element is 2 generators; the own key makes that 2, the answer is 3, and the blinding takes 1 + 1 off.
	b := &Blinded{List: unhex(t, multiples[2]), keyed: one, blind: make([]ristretto255.Scalar, 1)}
	b.blind[0] = one.key.s
	names, _, err := b.Pseudonyms([][]byte{generator}, [][]byte{unhex(t, multiples[3])}, steady)
	if err != nil {
		t.Fatal(err)
	}
	same("a pseudonym", names[0][:], "185ad82cec01bfe0a7f1ca27ce1723deb2c3175a1a9b1953abcfab088a4f0e7b") // of 3 generators
	same("the tag", one.hash.dst, "776566742f76312f7073692f72697374726574746f3235355f584d443a5348412d3531325f523235354d41505f524f5f3fac2abb45f3006e6d4dbe589a6e871de0dd6706edb4cb4f0c4601f152c5495f")
}

// steady is a Step that notices nothing.
func steady(int) error { return nil }

var multiples = strings.Fields(`
	0000000000000000000000000000000000000000000000000000000000000000
	e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76
	6a493210f7499cd17fecb510ae0cea23a110e8d5b901f8acadd3095c73a3b919
	94741f5d5d52755ece4f23f044ee27d5d1ea1e2bd196b462166b16152a9d0259
	da80862773358b466ffadfe0b3293ab3d9fd53c5ea6c955358f568322daf6a57
	e882b131016b52c1d3337080187cf768423efccbb517bb495ab812c4160ff44e
	f64746d3c92b13050ed8d80236a7f0007c3b3f962f5ba793d19a601ebb1df403
	44f53520926ec81fbd5a387845beb7df85a96a24ece18738bdcfa6a7822a176d
	903293d8f2287ebe10e2374dc1a53e0bc887e592699f02d077d5263cdd55601c
	02622ace8f7303a31cafc63f8fc48fdc16e1c8c8d234b2f0d6685282a9076031
	20706fd788b2720a1ed2a5dad4952b01f413bcf0e7564de8cdc816689e2db95f
	bce83f8ba5dd2fa572864c24ba1810f9522bc6004afe95877ac73241cafdab42
	e4549ee16b9aa03099ca208c67adafcafa4c3f3e4e5303de6026e3ca8ff84460
	aa52e000df2e16f55fb1032fc33bc42742dad6bd5a8fc0be0167436c5948501f
	46376b80f409b29dc2b5f6f0c52591990896e5716f41477cd30085ab7f10301e
	e0c418f7c8d9c4cdd7395b93ea124f3ad99021bb681dfc3302a9d99a2e53e64e
`)

var invalid = strings.Fields(`
	00ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff
	ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f
	f3ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f
	edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f
	0100000000000000000000000000000000000000000000000000000000000000
	01ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f
	ed57ffd8c914fb201471d1c3d245ce3c746fcbe63a3679d51b6a516ebebe0e20
	c34c4e1826e5d403b78e246e88aa051c36ccf0aafebffe137d148a2bf9104562
	c940e5a4404157cfb1628b108db051a8d439e1a421394ec4ebccb9ec92a8ac78
	47cfc5497c53dc8e61c91d17fd626ffb1c49e2bca94eed052281b510b1117a24
	f1c6165d33367351b0da8f6e4511010c68174a03b6581212c71c0e1d026c3c72
	87260f7a2f12495118360f02c26a470f450dadf34a413d21042b43b9d93e1309
	26948d35ca62e643e26a83177332e6b6afeb9d08e4268b650f1f5bbd8d81d371
	4eac077a713c57b4f4397629a4145982c661f48044dd3f96427d40b147d9742f
	de6a7b00deadc788eb6b6c8d20c0ae96c2f2019078fa604fee5b87d6e989ad7b
	bcab477be20861e01e4a0e295284146a510150d9817763caf1a6f4b422d67042
	2a292df7e32cababbd9de088d1d1abec9fc0440f637ed2fba145094dc14bea08
	f4a9e534fc0d216c44b218fa0c42d99635a0127ee2e53c712f70609649fdff22
	8268436f8c4126196cf64b3c7ddbda90746a378625f9813dd9b8457077256731
	2810e5cbc2cc4d4eece54f61c6f69758e289aa7ab440b3cbeaa21995c2f4232b
	3eb858e78f5a7254d8c9731174a94f76755fd3941c0ac93735c07ba14579630e
	a45fdc55c76448c049a1ab33f17023edfb2be3581e9c7aade8a6125215e04220
	d483fe813c6ba647ebbfd3ec41adca1c6130c2beeee9d9bf065c8d151c5f396e
	8a2e1d30050198c65a54483123960ccc38aef6848e1ec8f5f780e8523769ba32
	32888462f8b486c68ad7dd9610be5192bbeaf3b443951ac1a8118419d9fa097b
	227142501b9d4355ccba290404bde41575b037693cef1f438c47f8fbf35d1165
	5c37cc491da847cfeb9281d407efc41e15144c876e0170b499a96a22ed31e01e
	445425117cb8c90edcbc7c1cc0e74f747f2c1efa5630a967c64f287792a48a4b
	ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f
`)

var uniform = map[string]string{
	"Ristretto is traditionally a short shot of espresso coffee":      "3066f82a1a747d45120d1740f14358531a8f04bbffe6a819f86dfe50f44a0a46",
	"made with the normal amount of ground coffee but extracted with": "f26e5b6f7d362d2d2a94c5d0e7602cb4773c95a2e5c31a64f133189fa76ed61b",
	"about half the amount of water in the same amount of time":       "006ccd2a9e6867e6a2c5cea83d3302cc9de128dd2a9a57dd8ee7b9d7ffe02826",
	"by using a finer grind.":                                         "f8f0c87cf237953c5890aec3998169005dae3eca1fbb04548c635953c817f92a",
	"This produces a concentrated shot of coffee per volume.":         "ae81e7dedf20a497e10c304a765c1767a42d6e06029758d2d7e8ef7cc4c41179",
	"Just pulling a normal shot short will produce a weaker shot":     "e2705652ff9f5e44d3e841bf1c251cf7dddb77d140870d1ab2ed64f1a9ce8628",
	"and is not a Ristretto as some believe.":                         "80bd07262511cdde4863f8a7434cef696750681cb9510eea557088f76d9e5065",
}
