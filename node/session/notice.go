package session

import (
	"crypto/ed25519"
	"encoding/binary"
	"fmt"

	"github.com/weftmpc/weft/broker/identity"
)

// Notice is a participant's signed word on how a computation ended for it. It travels in the clear, may be relayed by
// anybody, and counts only when it verifies under the key that the signed JOINs name for FP.
type Notice struct {
	SID     [32]byte
	FP      identity.Fingerprint // who signed
	Confirm bool                 // CONFIRM with TH and RH, or ABORT with Code
	TH, RH  [32]byte             // transcript and result hash; both are salted, so they show nothing
	Code    uint16               // why it was aborted; never depends on data
	Sig     [64]byte
}

const (
	noticeConfirm byte = iota + 1
	noticeAbort
)

// SignConfirm says that id has finished sid with these hashes. It must not be called before that is durable.
func SignConfirm(id *identity.Identity, sid, th, rh [32]byte) Notice {
	n := Notice{SID: sid, FP: id.FP(), Confirm: true, TH: th, RH: rh}
	copy(n.Sig[:], id.Sign(identity.ContextConfirm, n.signed()))
	return n
}

// SignAbort says that id will never confirm sid. It must not be called before that is durable.
func SignAbort(id *identity.Identity, sid [32]byte, code uint16) Notice {
	n := Notice{SID: sid, FP: id.FP(), Code: code}
	copy(n.Sig[:], id.Sign(identity.ContextAbort, n.signed()))
	return n
}

// signed is what the signature covers: sid || th || rh, or sid || u16(code).
func (n Notice) signed() []byte {
	b := append(make([]byte, 0, 96), n.SID[:]...)
	if n.Confirm {
		return append(append(b, n.TH[:]...), n.RH[:]...)
	}
	return binary.BigEndian.AppendUint16(b, n.Code)
}

// Verify checks the signature under key, which must be the one that belongs to FP.
func (n Notice) Verify(key ed25519.PublicKey) error {
	if len(key) != ed25519.PublicKeySize || identity.FingerprintOf(key) != n.FP {
		return fmt.Errorf("session: notice of %s: the key is another's", n.FP)
	}
	c := identity.ContextAbort
	if n.Confirm {
		c = identity.ContextConfirm
	}
	if err := identity.Verify(key, c, n.signed(), n.Sig[:]); err != nil {
		return fmt.Errorf("session: notice of %s: %w", n.FP, err)
	}
	return nil
}

// Encode is the message: [4, sid, fp, 1, th, rh, sig] or [4, sid, fp, 2, code, sig].
func (n Notice) Encode() []byte {
	w := writer{b: make([]byte, 0, 256)}
	if n.Confirm {
		w.array(7)
	} else {
		w.array(6)
	}
	w.fixint(KindNotice)
	w.bytes(n.SID[:])
	w.bytes(n.FP[:])
	if n.Confirm {
		w.fixint(noticeConfirm)
		w.bytes(n.TH[:])
		w.bytes(n.RH[:])
	} else {
		w.fixint(noticeAbort)
		w.u16(n.Code)
	}
	w.bytes(n.Sig[:])
	return w.b
}

// DecodeNotice reads what Encode writes. It does not verify.
func DecodeNotice(b []byte) (Notice, error) {
	var n Notice
	r := reader{b: b}
	fields := r.anyArray()
	if r.fixint() != KindNotice {
		return Notice{}, errMalformed
	}
	copy(n.SID[:], r.bin(32))
	copy(n.FP[:], r.bin(32))
	switch what := r.fixint(); {
	case what == noticeConfirm && fields == 7:
		n.Confirm = true
		copy(n.TH[:], r.bin(32))
		copy(n.RH[:], r.bin(32))
	case what == noticeAbort && fields == 6:
		n.Code = r.u16()
	default:
		return Notice{}, errMalformed
	}
	copy(n.Sig[:], r.bin(64))
	if !r.end() {
		return Notice{}, errMalformed
	}
	return n, nil
}
