package channel

import (
	"bytes"
	"crypto/ecdh"
	"crypto/hmac"
	"crypto/hpke"
	"crypto/mlkem"
	"crypto/sha256"
	"crypto/sha3"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"slices"
	"testing"

	"github.com/weftmpc/weft/broker/identity"
)

var update = flag.Bool("update", false, "write "+vectorFile+" anew")

// TestScheduleVector compares the schedule with values computed once by a few lines of Python (hashlib, hmac).
func TestScheduleVector(t *testing.T) {
	lo := end{bundle: []byte("bundle of lo"), init: []byte("init of lo"), ss: [32]byte(bytes.Repeat([]byte{0x11}, 32))}
	hi := end{bundle: []byte("the bundle of hi"), init: []byte("the init of hi"), ss: [32]byte(bytes.Repeat([]byte{0x22}, 32))}
	k, epoch, err := schedule(lo, hi)
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(k[:]); got != "6ddc9b75d4db7f78b291fbcb53d41f40d74e83ca22302178b5c63b0896658563" {
		t.Errorf("K = %s", got)
	}
	if got := hex.EncodeToString(epoch[:]); got != "90976d077dcfd4342e31ff3917f4d0ef" {
		t.Errorf("epoch = %s", got)
	}
	if swapped, _, _ := schedule(hi, lo); swapped == k {
		t.Error("the order of the ends does not matter")
	}
}

// vector is one set-up with everything secret in it, in hexadecimal.
type vector struct {
	SeedLo, SeedHi, BundleLo, BundleHi, InitLo, InitHi, K, Epoch string
}

// TestFrozenPair recomputes a stored set-up from the seeds and the bytes on the wire with hash functions, ML-KEM and
// X25519 alone: a changed format, label or order shows here.
func TestFrozenPair(t *testing.T) {
	if *update {
		writeVector(t)
	}
	v := readVector(t)
	bundleLo, bundleHi, initLo, initHi := unhex(t, v.BundleLo), unhex(t, v.BundleHi), unhex(t, v.InitLo), unhex(t, v.InitHi)
	hLo, hHi := sha256.Sum256(bundleLo), sha256.Sum256(bundleHi)

	// The wire, by offsets: INIT = 1 | 32 | 32 | 32 | 32 | enc 1120 | nonce 32 | signature 64.
	for _, c := range []struct{ init, from, to []byte }{{initLo, hLo[:], hHi[:]}, {initHi, hHi[:], hLo[:]}} {
		if len(c.init) != 1345 || c.init[0] != 1 || !bytes.Equal(c.init[1:33], c.from) || !bytes.Equal(c.init[33:65], c.to) {
			t.Fatal("INIT is not laid out as specified")
		}
	}
	if bytes.Compare(initLo[65:97], initLo[97:129]) >= 0 || !bytes.Equal(initLo[65:129], slices.Concat(initHi[97:129], initHi[65:97])) {
		t.Fatal("fingerprints in the INITs are not those of lo and hi")
	}
	ssLo := rawOpen(t, unhex(t, v.SeedHi), initLo[129:1249], hLo[:], hHi[:]) // encapsulated by lo to hi
	ssHi := rawOpen(t, unhex(t, v.SeedLo), initHi[129:1249], hHi[:], hLo[:])

	th := sha256.Sum256(slices.Concat([]byte("weft/v1/chan-th"), lp(bundleLo), lp(bundleHi), lp(initLo), lp(initHi)))
	k := mac(th[:], lp(ssLo), lp(ssHi))
	epoch := mac(k, []byte("weft/v1/epoch-id"), th[:], []byte{1})[:16]
	if hex.EncodeToString(k) != v.K || hex.EncodeToString(epoch) != v.Epoch {
		t.Errorf("recomputed K and epoch differ from the stored ones:\n%x %x", k, epoch)
	}

	// The package's own way to the same end.
	for _, c := range []struct {
		seed, init []byte
		from, to   [32]byte
		want       []byte
	}{{unhex(t, v.SeedHi), initLo, hLo, hHi, ssLo}, {unhex(t, v.SeedLo), initHi, hHi, hLo, ssHi}} {
		key, err := hpke.MLKEM768X25519().NewPrivateKey(c.seed)
		if err != nil {
			t.Fatal(err)
		}
		m, err := decodeInit(c.init)
		if err != nil {
			t.Fatal(err)
		}
		if ss, err := decapsulate(key, m.enc[:], contextInfo(c.from, c.to)); err != nil || !bytes.Equal(ss[:], c.want) {
			t.Errorf("the package finds another secret: %v", err)
		}
	}
	gotK, gotEpoch, err := schedule(end{bundleLo, initLo, [32]byte(ssLo)}, end{bundleHi, initHi, [32]byte(ssHi)})
	if err != nil || !bytes.Equal(gotK[:], k) || !bytes.Equal(gotEpoch[:], epoch) {
		t.Errorf("the package derives another key: %v", err)
	}
}

// TestLivePairRecomputed does the same for a fresh set-up, whichever end has the lower fingerprint.
func TestLivePairRecomputed(t *testing.T) {
	for range 4 {
		v := makeVector(t)
		bundleLo, bundleHi, initLo, initHi := unhex(t, v.BundleLo), unhex(t, v.BundleHi), unhex(t, v.InitLo), unhex(t, v.InitHi)
		hLo, hHi := sha256.Sum256(bundleLo), sha256.Sum256(bundleHi)
		ssLo := rawOpen(t, unhex(t, v.SeedHi), initLo[129:1249], hLo[:], hHi[:])
		ssHi := rawOpen(t, unhex(t, v.SeedLo), initHi[129:1249], hHi[:], hLo[:])
		th := sha256.Sum256(slices.Concat([]byte("weft/v1/chan-th"), lp(bundleLo), lp(bundleHi), lp(initLo), lp(initHi)))
		if k := mac(th[:], lp(ssLo), lp(ssHi)); hex.EncodeToString(k) != v.K {
			t.Fatal("the pair's secret is not the specified one")
		}
		leaf, err := identity.ParseLeaf(leafOf(bundleHi))
		if err != nil {
			t.Fatal(err)
		}
		if err := identity.Verify(leaf.Key, "weft/v1/init", initHi[:1281], initHi[1281:]); err != nil {
			t.Errorf("INIT's signature is not over all bytes before it: %v", err)
		}
		signed := sha256.Sum256(bundleHi[:len(bundleHi)-64])
		if err := identity.Verify(leaf.Key, "weft/v1/bundle", signed[:], bundleHi[len(bundleHi)-64:]); err != nil {
			t.Errorf("bundle's signature is not over the hash of all bytes before it: %v", err)
		}
	}
}

// leafOf cuts the certificate out of a bundle: 1 | 2 | 32 | 8 | 8 | 32 | LP(1216) | LP(leaf) | 64.
func leafOf(bundle []byte) []byte { return bundle[83+4+1216+4 : len(bundle)-64] }

// makeVector sets a pair up.
func makeVector(t *testing.T) vector {
	t.Helper()
	ps := parties(t, "ann", "bob")
	slices.SortFunc(ps, func(p, q party) int { return p.id.FP().Compare(q.id.FP()) })
	lo, hi := ps[0].bundle(t, noon), ps[1].bundle(t, noon)
	p, q := ps[0].pair(t, lo, hi, noon), ps[1].pair(t, hi, lo, noon)
	accept(t, p, q.Init())
	accept(t, q, p.Init())
	agree(t, p, q)
	k, epoch, _ := p.Secret()
	var seeds [2][]byte
	for i, raw := range [][]byte{lo, hi} {
		seed, err := ps[i].own[hash(raw)].key.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		seeds[i] = seed
	}
	x := hex.EncodeToString
	return vector{x(seeds[0]), x(seeds[1]), x(lo), x(hi), x(p.Init()), x(q.Init()), x(k[:]), x(epoch[:])}
}

const vectorFile = "testdata/pair.json"

func readVector(t testing.TB) (v vector) {
	t.Helper()
	raw, err := os.ReadFile(vectorFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func writeVector(t *testing.T) {
	b, err := json.MarshalIndent(makeVector(t), "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(vectorFile, append(b, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func lp(b []byte) []byte { return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...) }

// mac is HMAC-SHA256: HKDF-Extract with the salt as key, and one block of HKDF-Expand (RFC 5869).
func mac(key []byte, parts ...[]byte) []byte {
	h := hmac.New(sha256.New, key)
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

// rawOpen is the receiver's side of HPKE base mode with X-Wing, HKDF-SHA256 and export only, written out from
// RFC 9180 (sections 4 and 5) and the X-Wing draft, and then the export of the channel.
func rawOpen(t testing.TB, seed, enc, from, to []byte) []byte {
	t.Helper()
	expanded := sha3.SumSHAKE256(seed, 96)
	dk, err := mlkem.NewDecapsulationKey768(expanded[:64])
	if err != nil {
		t.Fatal(err)
	}
	sk, err := ecdh.X25519().NewPrivateKey(expanded[64:])
	if err != nil {
		t.Fatal(err)
	}
	ssM, err := dk.Decapsulate(enc[:1088])
	if err != nil {
		t.Fatal(err)
	}
	pub, err := ecdh.X25519().NewPublicKey(enc[1088:])
	if err != nil {
		t.Fatal(err)
	}
	ssX, err := sk.ECDH(pub)
	if err != nil {
		t.Fatal(err)
	}
	shared := sha3.Sum256(slices.Concat(ssM, ssX, enc[1088:], sk.PublicKey().Bytes(), []byte(`\.//^\`)))

	suite := []byte{'H', 'P', 'K', 'E', 0x64, 0x7a, 0x00, 0x01, 0xff, 0xff}
	extract := func(salt []byte, label string, ikm []byte) []byte {
		return mac(salt, []byte("HPKE-v1"), suite, []byte(label), ikm)
	}
	expand := func(prk []byte, label string, info []byte) []byte { // 32 bytes
		return mac(prk, []byte{0, 32}, []byte("HPKE-v1"), suite, []byte(label), info, []byte{1})
	}
	info := slices.Concat([]byte("weft/v1/chan"), from, to)
	context := slices.Concat([]byte{0}, extract(nil, "psk_id_hash", nil), extract(nil, "info_hash", info))
	secret := extract(shared[:], "secret", nil)
	return expand(expand(secret, "exp", context), "sec", []byte("weft/v1/ss"))
}
