package session

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
)

// saltSize is the length of the random bytes that start every body, so that no hash of a body can be matched by trying
// the values that it may have.
const saltSize = 32

// transcriptStart is th_0 = H("weft/v1/th" || sid).
func transcriptStart(sid [32]byte) [32]byte {
	return sha256.Sum256(append([]byte("weft/v1/th"), sid[:]...))
}

// transcriptStep is H("weft/v1/th" || th || LP(label) || LP(H(body_0)) || ...) with the bodies' hashes in seat order.
func transcriptStep(th [32]byte, label string, bodies [][32]byte) [32]byte {
	b := append([]byte("weft/v1/th"), th[:]...)
	b = appendLP(b, label)
	for _, h := range bodies {
		b = appendLP(b, h[:])
	}
	return sha256.Sum256(b)
}

// transcriptJoin is H("weft/v1/th-join" || th || child ths in call order).
func transcriptJoin(th [32]byte, children [][32]byte) [32]byte {
	b := append([]byte("weft/v1/th-join"), th[:]...)
	for _, c := range children {
		b = append(b, c[:]...)
	}
	return sha256.Sum256(b)
}

// opening is what one call's Open contributes to the result hash.
type opening struct {
	order []uint32   // the call's place: counters of the nested calls
	salts [][32]byte // by sender
}

// resultHash is H("weft/v1/result" || H(salt_0 || ...) || LP(layout) || LP(opened)) with the salts of all openings in call
// order, then sender order. Without an opening it is zero: there is no salt, and an unsalted hash of a count shows it.
func resultHash(openings []opening, layout [32]byte, opened []byte) [32]byte {
	if len(openings) == 0 {
		return [32]byte{}
	}
	sorted := slices.SortedFunc(slices.Values(openings), func(a, b opening) int {
		return slices.Compare(a.order, b.order)
	})
	var salts []byte
	for _, o := range sorted {
		for _, s := range o.salts {
			salts = append(salts, s[:]...)
		}
	}
	salt := sha256.Sum256(salts)
	clear(salts)
	b := appendLP(append([]byte("weft/v1/result"), salt[:]...), layout[:])
	h := sha256.New()
	h.Write(binary.BigEndian.AppendUint32(b, uint32(len(opened))))
	h.Write(opened)
	return [32]byte(h.Sum(nil))
}

// bodyHash is H(salt || body).
func bodyHash(salt *[saltSize]byte, body []byte) [32]byte {
	h := sha256.New()
	h.Write(salt[:])
	h.Write(body)
	var sum [32]byte
	h.Sum(sum[:0])
	return sum
}
