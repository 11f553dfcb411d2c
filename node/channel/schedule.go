package channel

import (
	"crypto/hkdf"
	"crypto/hpke"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

// contextInfo binds an encapsulation to its direction and to both bundles.
func contextInfo(from, to [32]byte) []byte {
	b := make([]byte, 0, len("weft/v1/chan")+64)
	b = append(b, "weft/v1/chan"...)
	b = append(b, from[:]...)
	return append(b, to[:]...)
}

// exporter is either end of an HPKE context.
type exporter interface {
	Export(context string, length int) ([]byte, error)
}

// encapsulate makes a secret for the holder of pk.
func encapsulate(pk hpke.PublicKey, info []byte) (enc []byte, ss [32]byte, err error) {
	enc, sender, err := hpke.NewSender(pk, hpke.HKDFSHA256(), hpke.ExportOnly(), info)
	if err != nil {
		return nil, ss, fmt.Errorf("encapsulating to the peer's bundle: %w", err)
	}
	ss, err = export(sender)
	return enc, ss, err
}

// decapsulate finds the secret in enc. A manipulated enc gives another secret, not always an error.
func decapsulate(key hpke.PrivateKey, enc, info []byte) (ss [32]byte, err error) {
	recipient, err := hpke.NewRecipient(enc, key, hpke.HKDFSHA256(), hpke.ExportOnly(), info)
	if err != nil {
		return ss, fmt.Errorf("opening the peer's INIT: %w", err)
	}
	return export(recipient)
}

func export(e exporter) (ss [32]byte, err error) {
	b, err := e.Export("weft/v1/ss", len(ss))
	if err != nil {
		return ss, fmt.Errorf("exporting the channel secret: %w", err)
	}
	copy(ss[:], b)
	clear(b)
	return ss, nil
}

// end is what one end contributes to the key.
type end struct {
	bundle, init []byte   // encoded, signatures included
	ss           [32]byte // the secret that this end encapsulated
}

// schedule derives K and the epoch of two ends, lo being the one with the lower fingerprint.
func schedule(lo, hi end) (k [32]byte, epoch [16]byte, err error) {
	th := sha256.New()
	th.Write([]byte("weft/v1/chan-th"))
	for _, part := range [][]byte{lo.bundle, hi.bundle, lo.init, hi.init} {
		th.Write(binary.BigEndian.AppendUint32(nil, uint32(len(part))))
		th.Write(part)
	}
	t := th.Sum(nil)

	ikm := make([]byte, 0, 2*(4+32)) // exactly, so that appending leaves no copy behind
	defer func() { clear(ikm) }()
	for _, ss := range [][]byte{lo.ss[:], hi.ss[:]} {
		ikm = binary.BigEndian.AppendUint32(ikm, uint32(len(ss)))
		ikm = append(ikm, ss...)
	}
	prk, err := hkdf.Extract(sha256.New, ikm, t)
	if err != nil {
		return k, epoch, fmt.Errorf("deriving the channel key: %w", err)
	}
	defer clear(prk)
	id, err := hkdf.Expand(sha256.New, prk, "weft/v1/epoch-id"+string(t), len(epoch))
	if err != nil {
		return k, epoch, fmt.Errorf("deriving the epoch: %w", err)
	}
	copy(k[:], prk)
	copy(epoch[:], id)
	return k, epoch, nil
}
